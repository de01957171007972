//! Forwards an aggregator's requests to ClickHouse, as far as the [gate](super::gate) lets them.
//!
//! Each aggregator has a proxy of its own, which is how the gate knows whose request it is. Every request has a
//! connection of its own to ClickHouse, so that a restart there leaves nothing stale here.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::gate::{Gate, Passage};
use super::request;

/// A proxy that listens, and does not answer yet.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

/// Where requests go, through what, and whose they are.
struct Way {
    client: reqwest::Client,
    clickhouse: String,
    gate: Arc<Gate>,
    member: usize,
}

impl Listening {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    /// When there is none.
    pub async fn bind() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listening as a proxy")?;
        let address = listener.local_addr().context("listening as a proxy")?;
        Ok(Self { listener, address })
    }

    /// Base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves the aggregator `member` until the runtime ends.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn serve(self, clickhouse: &str, gate: Arc<Gate>, member: usize) -> anyhow::Result<()> {
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build()?;
        let way =
            Arc::new(Way { client, clickhouse: clickhouse.trim_end_matches('/').to_owned(), gate, member });
        tokio::spawn(async move {
            // Nothing is accepted any more only when the machine is out of file descriptors: then the run fails
            // for want of progress.
            while let Ok((stream, _)) = self.listener.accept().await {
                tokio::spawn(serve_connection(stream, Arc::clone(&way)));
            }
        });
        Ok(())
    }
}

async fn serve_connection(stream: TcpStream, way: Arc<Way>) {
    let life = way.gate.life(way.member);
    let service = service_fn(|request| forward(&way, life, request));
    // An error is a cut, or the other side's end: both are what this is for.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Forwards a request; an error closes the connection without an answer.
async fn forward(way: &Way, life: u64, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let seen = request::Request::read(target, &body);
    let cut = |passage| match passage {
        Passage::Go => Ok(()),
        Passage::Cut => Err(anyhow!("cut")),
    };
    cut(way.gate.arrives(way.member, life, &seen).await)?;

    let mut headers = head.headers;
    for name in [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION] {
        headers.remove(name);
    }
    let url = format!("{}{target}", way.clickhouse);
    let sent = way.client.request(head.method, url).headers(headers).body(body).send().await;
    let answer = match sent {
        Ok(answer) => {
            let (status, headers) = (answer.status(), answer.headers().clone());
            answer.bytes().await.map(|body| (status, headers, body))
        }
        Err(error) => Err(error),
    };
    let ok = answer.as_ref().is_ok_and(|(status, ..)| status.is_success());
    cut(way.gate.answered(way.member, life, &seen, ok))?;
    let (status, mut headers, body) = answer?;
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION] {
        headers.remove(name);
    }
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}
