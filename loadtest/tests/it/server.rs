//! A small HTTP server that answers as it is told, and remembers what it took.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behaviour {
    /// Answers with this status at once.
    Answer(u16),
    /// Takes the request, and closes the connection without an answer.
    TakeAndHangUp,
    /// Takes the request, and answers 202 after this long.
    TakeLate(Duration),
}

/// Decides by the number of the request, from 0, and how often its beacon was seen before.
pub(crate) type Decide = dyn Fn(u64, u64) -> Behaviour + Send + Sync;

/// What the server has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    /// Connections that were opened.
    pub(crate) connections: u64,
    /// Target and body without its time of sending → how often it was taken.
    pub(crate) taken: BTreeMap<String, u64>,
    tries: BTreeMap<String, u64>,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Seen>>,
}

impl Server {
    pub(crate) async fn start(decide: impl Fn(u64, u64) -> Behaviour + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (shared, decide): (_, Arc<Decide>) = (Arc::clone(&seen), Arc::new(decide));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                tokio::spawn(serve(stream, Arc::clone(&shared), Arc::clone(&decide)));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(stream: TcpStream, seen: Arc<Mutex<Seen>>, decide: Arc<Decide>) {
    let mut stream = BufReader::new(stream);
    while let Some(body) = read_request(&mut stream).await {
        let key = without_sent_at(&body);
        let behaviour = {
            let mut seen = seen.lock().unwrap();
            let number = seen.requests;
            seen.requests += 1;
            let tries = seen.tries.entry(key.clone()).or_default();
            *tries += 1;
            let behaviour = decide(number, *tries - 1);
            if !matches!(behaviour, Behaviour::Answer(status) if status >= 300) {
                *seen.taken.entry(key).or_default() += 1;
            }
            behaviour
        };
        let status = match behaviour {
            Behaviour::Answer(status) => status,
            Behaviour::TakeAndHangUp => return,
            Behaviour::TakeLate(after) => {
                tokio::time::sleep(after).await;
                202
            }
        };
        let answer = format!("HTTP/1.1 {status} X\r\nretry-after: 0\r\ncontent-length: 2\r\n\r\n{{}}");
        if stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The target and the body of the next request.
async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut first = String::new();
    if stream.read_line(&mut first).await.ok()? == 0 {
        return None;
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(first + &String::from_utf8_lossy(&body))
}

fn without_sent_at(body: &str) -> String {
    match body.split_once("\"sent_at\":") {
        Some((before, after)) => {
            format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => body.to_owned(),
    }
}
