//! A client's connection: how long it may take over a head, how much of it may wait, and how many one network has.
//!
//! The framework bounds the time of the first head of a connection only, and the bytes of each head alone. Here every
//! head has its time from its first byte on, what is read of heads counts in the [`Budget`] of all bodies, and
//! connections are counted by network. What a request means begins with [`Serving`].
//!
//! One request of a connection is served at a time, and the framework would keep every further one that it can read. So
//! nothing is read while a request is answered, but for its body, and of what came together only so many heads are
//! passed on at once; the rest waits as bytes, which count.
//!
//! A connection has one timer, which is set anew at most once in the time of a head: it may fire early, and then looks
//! when it is really due.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::rt::net::TcpStream;
use bytes::BytesMut;
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::address::{Network, Proxies};
use crate::body::budget::{Budget, Share};
use crate::clock;

/// Bytes that the framework keeps of what it has read and not yet understood, at most.
const UNREAD_BYTES_MAX: usize = 128 << 10;
/// Ends a head.
const HEAD_END: &[u8] = b"\r\n\r\n";
/// Heads that are passed on at once.
const HEADS_MAX: usize = 16;

/// What connections have in common.
#[derive(Debug)]
pub struct Connections {
    proxies: Proxies,
    budget: Arc<Budget>,
    times: Times,
    network_connections_max: usize,
    by_network: Mutex<HashMap<Network, (usize, Arc<Share>)>>,
}

/// How long a connection may take.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// From an answer to the end of the next head.
    pub idle: Duration,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    head: Rc<Head>,
    timer: Option<Pin<Box<Sleep>>>,
    connections: Arc<Connections>,
    network: Option<Network>,
    /// What was read and not passed on.
    rest: Rest,
}

/// Bytes beyond [`HEADS_MAX`] heads, held in the budget.
#[derive(Debug, Default)]
struct Rest {
    bytes: BytesMut,
    /// The framework is to look at what it has first.
    is_paused: bool,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A head.
    Head,
    /// The body of a request.
    Body,
    /// The answer to it.
    Answer,
}

/// How far a connection is with the head of its next request.
#[derive(Debug)]
struct Head {
    phase: Cell<Phase>,
    /// Of whoever wanted to read while nothing was read.
    waiting: RefCell<Option<Waker>>,
    held_bytes: Cell<usize>,
    /// When its first byte came; before that, when the last answer was ready or the connection was made.
    since: Cell<Instant>,
    budget: Arc<Budget>,
    /// What the bodies of its network hold; a proxy's hold for many.
    share: Option<Arc<Share>>,
}

/// Says that a request of the connection is being answered, for as long as it lives.
#[derive(Debug)]
pub struct Serving(Option<Rc<Head>>);

impl Connections {
    /// None yet.
    pub fn new(proxies: Proxies, budget: Arc<Budget>, times: Times, network_connections_max: usize) -> Self {
        let by_network = Mutex::default();
        Self { proxies, budget, times, network_connections_max, by_network }
    }

    /// Counts a connection; none when its network has too many. Proxies have as many as they need.
    pub fn open(self: &Arc<Self>, stream: TcpStream, peer: Option<SocketAddr>) -> Option<Connection> {
        let network = peer.map(|peer| peer.ip().to_canonical());
        let network = network.filter(|address: &IpAddr| !self.proxies.trusts(*address)).map(Network::of);
        let share = match network {
            Some(network) => Some(self.count(network)?),
            None => None,
        };
        let head = Head {
            phase: Cell::new(Phase::Head),
            waiting: RefCell::new(None),
            held_bytes: Cell::new(0),
            since: Cell::new(now()),
            budget: Arc::clone(&self.budget),
            share,
        };
        let connections = Arc::clone(self);
        let rest = Rest::default();
        Some(Connection { stream, head: Rc::new(head), timer: None, connections, network, rest })
    }

    fn count(&self, network: Network) -> Option<Arc<Share>> {
        let mut by_network = self.by_network.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, share) = by_network.entry(network).or_default();
        if *count >= self.network_connections_max {
            return None;
        }
        *count += 1;
        Some(Arc::clone(share))
    }

    fn forget(&self, network: Network) {
        let mut by_network = self.by_network.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((count, _)) = by_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                by_network.remove(&network);
            }
        }
    }
}

impl Connection {
    /// Where [`Serving::begin`] finds this connection.
    pub fn attach(&self, extensions: &mut actix_web::dev::Extensions) {
        extensions.insert(Rc::clone(&self.head));
    }

    /// Keeps back what is beyond the heads that may be passed on, and counts the others' bytes.
    fn has_read(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> io::Result<()> {
        let read = &buf.filled()[before..];
        if let Some(end) = end_of_heads(read) {
            let beyond = &read[end..];
            self.head.take(beyond.len())?;
            let mut rest = BytesMut::from(beyond);
            rest.extend_from_slice(&self.rest.bytes);
            self.rest = Rest { bytes: rest, is_paused: true };
            buf.set_filled(before + end);
        }
        let bytes = buf.filled().len() - before;
        if bytes > 0 && self.head.phase.get() == Phase::Head { self.read_of_head(bytes) } else { Ok(()) }
    }

    fn take_rest(&mut self, buf: &mut ReadBuf<'_>) {
        let bytes = self.rest.bytes.len().min(buf.remaining());
        buf.put_slice(&self.rest.bytes.split_to(bytes));
        self.head.budget.give_back(bytes);
    }

    /// Counts what was read of a head, whose time begins with its first byte.
    fn read_of_head(&self, bytes: usize) -> io::Result<()> {
        let held = self.head.held_bytes.get();
        let more = bytes.min(UNREAD_BYTES_MAX - held);
        self.head.take(more)?;
        self.head.held_bytes.set(held + more);
        if held == 0 {
            self.head.since.set(now());
        }
        Ok(())
    }

    /// Waits until the head is due.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let times = self.connections.times;
        let time = if self.head.held_bytes.get() > 0 { times.head } else { times.idle };
        let due = self.head.since.get() + time;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if due < timer.deadline() {
            timer.as_mut().reset(due);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if due <= timer.deadline() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.head.phase.get() == Phase::Answer {
            // What comes meanwhile waits in the socket.
            if !self.rest.bytes.is_empty() || self.stream.poll_read_ready(cx).is_ready() {
                self.head.waiting.replace(Some(cx.waker().clone()));
            }
            return Poll::Pending;
        }
        if std::mem::take(&mut self.rest.is_paused) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = if self.rest.bytes.is_empty() {
            Pin::new(&mut self.stream).poll_read(cx, buf)
        } else {
            self.take_rest(buf);
            Poll::Ready(Ok(()))
        };
        match polled {
            Poll::Ready(Ok(())) => Poll::Ready(self.has_read(buf, before)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if self.head.phase.get() == Phase::Head => self.poll_due(cx),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.head.budget.give_back(self.rest.bytes.len());
        if let Some(network) = self.network {
            self.connections.forget(network);
        }
    }
}

/// Where more heads than may be passed on at once begin, if so.
fn end_of_heads(bytes: &[u8]) -> Option<usize> {
    let end = memmem::find_iter(bytes, HEAD_END).nth(HEADS_MAX - 1)? + HEAD_END.len();
    (end < bytes.len()).then_some(end)
}

impl Head {
    fn take(&self, bytes: usize) -> io::Result<()> {
        self.budget.take(bytes).map_err(|_| io::ErrorKind::OutOfMemory.into())
    }

    /// What is waited for from now on.
    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    fn give_back(&self) {
        self.budget.give_back(self.held_bytes.take());
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Serving {
    /// The head is complete: its time and bytes count no more.
    pub fn begin(request: &HttpRequest) -> Self {
        let head = request.conn_data::<Rc<Head>>().map(Rc::clone);
        if let Some(head) = &head {
            head.enter(Phase::Answer);
            head.give_back();
        }
        Self(head)
    }

    /// What the bodies of the client's network hold, unless a proxy stands for it.
    pub fn share(&self) -> Option<&Share> {
        self.0.as_ref()?.share.as_deref()
    }

    /// Lets the body be read for as long as the future runs.
    pub async fn receive<T>(&self, body: impl Future<Output = T>) -> T {
        self.enter(Phase::Body);
        let received = body.await;
        self.enter(Phase::Answer);
        received
    }

    fn enter(&self, phase: Phase) {
        if let Some(head) = &self.0 {
            head.enter(phase);
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(head) = &self.0 {
            head.since.set(now());
            head.enter(Phase::Head);
        }
    }
}

fn now() -> Instant {
    Instant::from_std(clock::monotonic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_heads_are_passed_on_at_once() {
        let head = b"GET / HTTP/1.1\r\n\r\n";
        let check = |heads: usize, more: &[u8], expect| {
            assert_eq!(end_of_heads(&[&head.repeat(heads), more].concat()), expect, "{heads}");
        };
        check(1, b"a body", None);
        check(HEADS_MAX - 1, head, None);
        check(HEADS_MAX, b"", None);
        check(HEADS_MAX, b"G", Some(HEADS_MAX * head.len()));
        check(7_000, b"", Some(HEADS_MAX * head.len()));
    }
}
