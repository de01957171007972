//! Playing a case: raw connections that say what the script says, and what each is answered.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::case::{CLOSED, Case, PATIENCE, SILENT, Source, Step};

/// An address of this host that is no proxy.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 9, 1);
/// A connection's repeated requests come no faster: 32 connections make 2,000 a second.
const PACE: Duration = Duration::from_millis(16);
/// What no head of an answer may hold: parts of hostile requests.
const PLANTED: [&str; 3] = ["set-cookie", "evil.example", "jndi"];
const REFLECTED: &str = "reflected";
/// Connections that are opened at the same time: more than a listener's queue holds would wait for seconds.
const CONNECTING_MAX: usize = 256;

/// How often each answer came.
pub type Answers = BTreeMap<String, usize>;

/// Plays a case against the server and collects the answers.
///
/// # Errors
/// When a connection cannot be opened.
pub(super) async fn play(case: &Case, server: SocketAddr) -> anyhow::Result<Answers> {
    let opening = std::sync::Arc::new(tokio::sync::Semaphore::new(CONNECTING_MAX));
    let mut playing = JoinSet::new();
    for number in 0..case.connections {
        let (script, source, opening) = (case.script.clone(), case.source, opening.clone());
        playing.spawn(async move {
            let permit = opening.acquire_owned().await;
            let connection = Connection::open(source, server).await?;
            drop(permit);
            connection.play(&script, number).await
        });
    }
    let mut answers = Answers::new();
    while let Some(played) = playing.join_next().await {
        for (answer, count) in played?? {
            *answers.entry(answer).or_default() += count;
        }
    }
    Ok(answers)
}

struct Connection {
    source: Source,
    server: SocketAddr,
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
    /// What was read and not yet taken as an answer.
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(source: Source, server: SocketAddr) -> anyhow::Result<Self> {
        let stream = match source {
            Source::Proxy => TcpStream::connect(server).await,
            Source::Stranger => {
                let socket = TcpSocket::new_v4()?;
                socket.bind(SocketAddr::from((STRANGER, 0)))?;
                socket.connect(server).await
            }
        };
        let stream = stream.context("connect")?;
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        Ok(Self { source, server, read, write, buffer: Vec::new() })
    }

    async fn play(mut self, script: &[Step], number: usize) -> anyhow::Result<Answers> {
        let mut answers = Answers::new();
        let mut awaited = true;
        for step in script {
            match step {
                Step::Send(bytes) => self.send(bytes).await,
                Step::Drip(bytes, pause) => self.drip(bytes, *pause).await,
                Step::Prepare => drop(self.answer().await),
                Step::Finish => drop(self.write.shutdown().await),
                Step::Repeat(count, make) => {
                    awaited = false;
                    let mut pace = tokio::time::interval(PACE);
                    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    for at in 0..*count {
                        pace.tick().await;
                        self.send(&make(number * count + at)).await;
                        let answer = self.answer().await;
                        let closed = !answer.stays_open;
                        *answers.entry(answer.text).or_default() += 1;
                        if closed {
                            self = Self::open(self.source, self.server).await?;
                        }
                    }
                }
                Step::Pipeline(count, bytes) => {
                    awaited = false;
                    self.send(&bytes.repeat(*count)).await;
                    for _ in 0..*count {
                        *answers.entry(self.answer().await.text).or_default() += 1;
                    }
                }
            }
        }
        if awaited {
            *answers.entry(self.answer().await.text).or_default() += 1;
        }
        Ok(answers)
    }

    /// Sends as much as the server takes: it may answer and hang up before the end.
    async fn send(&mut self, bytes: &[u8]) {
        let _ = tokio::time::timeout(PATIENCE, self.write.write_all(bytes)).await;
    }

    async fn drip(&mut self, bytes: &[u8], pause: Duration) {
        for byte in bytes {
            if self.write.write_all(&[*byte]).await.is_err() {
                return;
            }
            // An answer, or the end.
            if tokio::time::timeout(pause, self.read.readable()).await.is_ok() {
                return;
            }
        }
    }

    async fn answer(&mut self) -> Answer {
        match tokio::time::timeout(PATIENCE, self.read_answer()).await {
            Ok(Some(answer)) => answer,
            Ok(None) => Answer { text: CLOSED.into(), stays_open: false },
            Err(_) => Answer { text: SILENT.into(), stays_open: false },
        }
    }

    /// None when the connection ends first.
    async fn read_answer(&mut self) -> Option<Answer> {
        loop {
            if let Some((answer, length)) = Answer::parse(&self.buffer) {
                self.buffer.drain(..length);
                // "100 Continue" only invites the body.
                if answer.text != "100" {
                    return Some(answer);
                }
            } else {
                let mut piece = [0; 4_096];
                match self.read.read(&mut piece).await {
                    Ok(read) if read > 0 => self.buffer.extend_from_slice(&piece[..read]),
                    Ok(_) | Err(_) => return None,
                }
            }
        }
    }
}

/// An answer, as the table names it.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    text: String,
    stays_open: bool,
}

impl Answer {
    /// The first answer in what was read and its length, when all of it is there.
    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let head_length = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&bytes[..head_length]).to_ascii_lowercase();
        let status = head.split(' ').nth(1)?.to_owned();
        let header = |name: &str| {
            head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let body_length: usize =
            header("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
        let body = bytes.get(head_length..head_length + body_length)?;
        let text = match cause(body) {
            _ if PLANTED.iter().any(|planted| head.contains(planted)) => REFLECTED.to_owned(),
            Some(cause) if status.as_str() >= "400" => format!("{status} {cause}"),
            Some(_) | None => status,
        };
        let stays_open = header("connection") != Some("close");
        Some((Self { text, stays_open }, head_length + body_length))
    }
}

/// The cause that a refusal names: as `error`, or in the message of a `Status` before its colon.
fn cause(body: &[u8]) -> Option<String> {
    // A `Status` in protocol buffers: the code, then the message's tag and length, of one or two bytes.
    let body = match body {
        [0x08, _, 0x12, 0x80..=0xff, _, message @ ..] | [0x08, _, 0x12, _, message @ ..] => message,
        json => json,
    };
    let text = String::from_utf8_lossy(body);
    let (_, rest) =
        text.split_once("\"error\":\"").or_else(|| text.split_once("\"message\":\"")).unwrap_or(("", &text));
    let end = rest.find(|char: char| !(char.is_ascii_lowercase() || char == '_'))?;
    (end > 0).then(|| rest[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_named_by_status_and_cause() {
        let check = |head: &str, body: &str, expect: &str| {
            let text = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let (answer, length) = Answer::parse(format!("{text}HTTP/1.1 ").as_bytes()).unwrap();
            assert_eq!((answer.text.as_str(), length), (expect, text.len()));
            assert_eq!(Answer::parse(&text.as_bytes()[..text.len() - 1]), None);
        };
        check("202 Accepted", "{\"accepted\":0}", "202");
        check("413 X", "{\"detail\":\"d\",\"error\":\"body_too_large\"}", "413 body_too_large");
        check("400 X", "{\"code\":3,\"message\":\"invalid_body: the body\"}", "400 invalid_body");
        check("400 X", "\u{8}\u{3}\u{12}ainvalid_body: the body", "400 invalid_body");
        check("200 X\r\nset-cookie: a", "{}", REFLECTED);
    }
}
