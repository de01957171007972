//! An HTTP/1.1 client of keep-alive connections to one server, for many small requests.
//!
//! Connections are opened until there are as many as were asked for, and then used in turn, as those of many clients
//! are. A request that finds every connection busy waits for one; how long that took is the caller's to measure. No
//! retries are made here beyond a connection that the server had closed before the request was written.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// A client of one server.
pub struct Client {
    address: SocketAddr,
    host: HeaderValue,
    timeout: Duration,
    permits: Semaphore,
    connections: usize,
    open: Arc<AtomicUsize>,
    /// The one that was used longest ago comes first.
    idle: Mutex<VecDeque<SendRequest<Full<Bytes>>>>,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Seconds of `Retry-After`.
    pub retry_after_s: Option<u64>,
}

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoAnswer {
    /// The connection could not be opened: the server has not seen the request.
    NotConnected,
    /// The connection broke: the server may have taken the request.
    Broken,
    /// The answer did not come in time: the server may have taken the request.
    TimedOut,
}

impl NoAnswer {
    /// Name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotConnected => "not connected",
            Self::Broken => "connection broken",
            Self::TimedOut => "timed out",
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the server at `url` (`http://host:port`) with at most `connections` connections.
    ///
    /// # Errors
    /// When the URL is not one of plain HTTP or its host has no address.
    pub async fn new(url: &str, connections: usize, timeout: Duration) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("ingest URL {url:?}"))?;
        if uri.scheme_str() != Some("http") {
            bail!("ingest URL {url:?} must begin with http://, TLS is not spoken here");
        }
        let host = uri.host().with_context(|| format!("ingest URL {url:?} has no host"))?;
        let port = uri.port_u16().unwrap_or(80);
        let address = tokio::net::lookup_host((host.trim_matches(['[', ']']), port))
            .await
            .with_context(|| format!("looking up {host}"))?
            .next()
            .with_context(|| format!("{host} has no address"))?;
        Ok(Self {
            address,
            host: HeaderValue::from_str(&format!("{host}:{port}"))?,
            timeout,
            permits: Semaphore::new(connections),
            connections,
            open: Arc::new(AtomicUsize::new(0)),
            idle: Mutex::new(VecDeque::with_capacity(connections)),
        })
    }

    /// Posts, when a connection is free; `body` is made at that moment.
    ///
    /// # Errors
    /// When there was no answer, with what is known of why.
    pub async fn post(
        &self,
        target: &'static str,
        headers: &[(&'static str, String)],
        body: impl FnOnce() -> Vec<u8>,
    ) -> Result<Answer, NoAnswer> {
        self.send(&Method::POST, target, headers, body).await
    }

    /// Sends, when a connection is free; `body` is made at that moment.
    ///
    /// # Errors
    /// When there was no answer, with what is known of why.
    pub async fn send(
        &self,
        method: &Method,
        target: &str,
        headers: &[(&'static str, String)],
        body: impl FnOnce() -> Vec<u8>,
    ) -> Result<Answer, NoAnswer> {
        let Ok(_permit) = self.permits.acquire().await else { return Err(NoAnswer::NotConnected) };
        let request = self.request(method, target, headers, body())?;
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(NoAnswer::TimedOut),
        }
    }

    fn request(
        &self,
        method: &Method,
        target: &str,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<Request<Full<Bytes>>, NoAnswer> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method.clone();
        *request.uri_mut() = target.parse().map_err(|_| NoAnswer::NotConnected)?;
        request.headers_mut().insert(HOST, self.host.clone());
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                request.headers_mut().insert(*name, value);
            }
        }
        Ok(request)
    }

    async fn exchange(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, NoAnswer> {
        loop {
            let (mut connection, fresh) = match self.take_idle() {
                Some(connection) => (connection, false),
                None => (self.connect().await?, true),
            };
            if connection.ready().await.is_err() {
                if fresh {
                    return Err(NoAnswer::NotConnected);
                }
                continue;
            }
            match connection.try_send_request(request).await {
                Ok(response) => {
                    let answer = read(response).await?;
                    self.give_back(connection);
                    return Ok(answer);
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !fresh => request = unsent,
                    _ => return Err(NoAnswer::Broken),
                },
            }
        }
    }

    /// A connection that is open; none where one more may be opened.
    fn take_idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        if self.open.load(Ordering::Relaxed) < self.connections {
            return None;
        }
        let mut idle = self.idle.lock().ok()?;
        while let Some(connection) = idle.pop_front() {
            if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn give_back(&self, connection: SendRequest<Full<Bytes>>) {
        if let Ok(mut idle) = self.idle.lock() {
            idle.push_back(connection);
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, NoAnswer> {
        let stream = TcpStream::connect(self.address).await.map_err(|_| NoAnswer::NotConnected)?;
        stream.set_nodelay(true).map_err(|_| NoAnswer::NotConnected)?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|_| NoAnswer::NotConnected)?;
        self.open.fetch_add(1, Ordering::Relaxed);
        let open = Arc::clone(&self.open);
        // Ends with the connection; its errors reach the request that is on it.
        tokio::spawn(async move {
            let _ = connection.await;
            open.fetch_sub(1, Ordering::Relaxed);
        });
        Ok(sender)
    }
}

/// Reads the answer to its end, so that the connection can be used again.
async fn read(response: Response<hyper::body::Incoming>) -> Result<Answer, NoAnswer> {
    let status = response.status().as_u16();
    let retry_after_s =
        response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame.map_err(|_| NoAnswer::Broken)?;
    }
    Ok(Answer { status, retry_after_s })
}
