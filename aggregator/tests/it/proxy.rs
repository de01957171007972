//! A TCP proxy before ClickHouse that swallows answers or refuses connections.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    /// Whether the first answer to each insert is swallowed.
    swallows: bool,
    refuses: AtomicBool,
    /// Tokens of the inserts whose first answer was swallowed.
    swallowed: Mutex<BTreeSet<String>>,
}

impl Proxy {
    /// Forwards to `url`; with `swallows`, ClickHouse does each insert, but its first answer never arrives.
    pub(crate) async fn start(url: &str, swallows: bool) -> Self {
        let target: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { swallows, ..State::default() });
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                if !shared.refuses.load(Ordering::Relaxed) {
                    tokio::spawn(forward(client, target, Arc::clone(&shared)));
                }
            }
        });
        Self { address, state, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn refuse(&self, refuses: bool) {
        self.state.refuses.store(refuses, Ordering::Relaxed);
    }

    pub(crate) fn swallowed(&self) -> BTreeSet<String> {
        self.state.swallowed.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One connection, closed by either side or when an answer is swallowed.
async fn forward(mut client: TcpStream, target: SocketAddr, state: Arc<State>) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut token = None;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => match read {
                Ok(bytes) if bytes > 0 => {
                    if let Some(found) = token_of(&asked[..bytes]) {
                        token = Some(found);
                    }
                    if server.write_all(&asked[..bytes]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
            read = server.read(&mut answered) => match read {
                Ok(bytes) if bytes > 0 => {
                    let insert = token.take();
                    let swallow = state.swallows
                        && insert.is_some_and(|token| state.swallowed.lock().unwrap().insert(token));
                    let refused = state.refuses.load(Ordering::Relaxed);
                    if swallow || refused || client.write_all(&answered[..bytes]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}

/// The insert's token, when these bytes begin an insert.
fn token_of(request: &[u8]) -> Option<String> {
    let line = String::from_utf8_lossy(request.split(|byte| *byte == b'\r').next()?).into_owned();
    let rest = line.split_once("insert_deduplication_token=")?.1;
    Some(rest.split(['&', ' ']).next()?.to_owned())
}
