//! Connections that can be made bad: toxiproxy between two parts, and a look at what comes through.
//!
//! toxiproxy is a program of Go, pinned by `loadtest/drills/toxiproxy` and spoken to by its HTTP API
//! (<https://github.com/Shopify/toxiproxy#http-api>).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use deploy::cache::Cache;
use deploy::launch::Launcher;
use deploy::part::{OnChange, Part};
use deploy::port::{Port, PortChoice};
use deploy::progress::Progress;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::step::{LinkName, Toxic};
use crate::parts::command;

/// The program, as Go's package and as its file.
const PACKAGE: &str = "github.com/Shopify/toxiproxy/v2/cmd/server";
const PROGRAM: &str = "server";
const PART: &str = "toxiproxy";
/// How long the program may take to answer its first question.
const START_PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
/// How long a question through a link may take.
const QUESTION_PATIENCE: Duration = Duration::from_secs(3);
/// Bytes that a question is filled up with, so that a narrow link shows.
const PADDING_BYTES: usize = 4_000;
/// A link that is slower only by less than this may be so by chance.
const SLOWER_MIN: Duration = Duration::from_millis(20);

/// The running program. Dropping it ends it.
#[derive(Debug)]
pub struct Toxiproxy {
    part: Part,
    url: String,
    client: reqwest::Client,
    _port: Port,
}

/// One way between two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its name in toxiproxy.
    pub name: String,
    /// Where it listens, `host:port`.
    pub listen: String,
    /// Where everything goes, `host:port`.
    pub upstream: String,
}

/// All ways of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Which.
    pub name: LinkName,
    /// The ways: one, or one for each aggregator.
    pub proxies: Vec<Proxy>,
}

/// A link as it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Connections that are open through it.
    pub connections: usize,
    /// How long a question took to be answered, or why it was not.
    pub answered: Result<Duration, String>,
}

impl Toxiproxy {
    /// Builds it where that was not done yet, starts it, and waits until it answers.
    ///
    /// # Errors
    /// When it cannot be built or does not start.
    pub async fn start(drills: &Path, dir: &Path, launcher: Launcher) -> anyhow::Result<Self> {
        let pins = drills.join("toxiproxy");
        let programs =
            tokio::task::spawn_blocking(move || Cache::of_user()?.go_programs(&pins, &[PACKAGE])).await??;
        let port = Port::choose(PortChoice::Free, PART, "")?;
        let mut command = command(dir, PART, programs.join(PROGRAM), BTreeMap::new());
        command.args = ["-host", "127.0.0.1", "-port", &port.number().to_string()].map(Into::into).into();
        let part = Part::new(PART, command, launcher, Progress::Quiet, OnChange(std::sync::Arc::new(|| {})))?;
        part.start()?;
        let url = format!("http://127.0.0.1:{}", port.number());
        let client = reqwest::Client::builder().no_proxy().timeout(QUESTION_PATIENCE).build()?;
        let this = Self { part, url, client, _port: port };
        let answers = timeout(START_PATIENCE, async {
            while this.client.get(format!("{}/version", this.url)).send().await.is_err() {
                sleep(POLL).await;
            }
        });
        if answers.await.is_err() {
            return Err(this.part.silent(START_PATIENCE, "no answer to GET /version".into()).into());
        }
        Ok(this)
    }

    /// Lets everything through a link.
    ///
    /// # Errors
    /// When toxiproxy refuses, such as a port that is in use.
    pub async fn open(&self, link: &Link) -> anyhow::Result<()> {
        for Proxy { name, listen, upstream } in &link.proxies {
            self.post("proxies", &json!({ "name": name, "listen": listen, "upstream": upstream })).await?;
        }
        Ok(())
    }

    /// Makes a link bad, or worse.
    ///
    /// # Errors
    /// When toxiproxy refuses.
    pub async fn spoil(&self, link: &Link, toxic: Toxic) -> anyhow::Result<()> {
        for Proxy { name, .. } in &link.proxies {
            match toxic_json(toxic) {
                None => self.post(&format!("proxies/{name}"), &json!({ "enabled": false })).await?,
                Some((kind, attributes)) => {
                    for stream in ["upstream", "downstream"] {
                        let toxic = json!({
                            "name": format!("{kind}-{stream}"),
                            "type": kind,
                            "stream": stream,
                            "attributes": attributes,
                        });
                        self.post(&format!("proxies/{name}/toxics"), &toxic).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Undoes what [`Toxiproxy::spoil`] did.
    ///
    /// # Errors
    /// When toxiproxy refuses.
    pub async fn mend(&self, link: &Link, toxic: Toxic) -> anyhow::Result<()> {
        for Proxy { name, .. } in &link.proxies {
            match toxic_json(toxic) {
                None => self.post(&format!("proxies/{name}"), &json!({ "enabled": true })).await?,
                Some((kind, _)) => {
                    for stream in ["upstream", "downstream"] {
                        let path = format!("{}/proxies/{name}/toxics/{kind}-{stream}", self.url);
                        self.client.delete(path).send().await?.error_for_status()?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let answer = self.client.post(format!("{}/{path}", self.url)).json(body).send().await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        bail!("toxiproxy refused {path} ({status}): {}", answer.text().await.unwrap_or_default().trim())
    }
}

/// Type and attributes of a toxic; none where the proxy is switched off.
fn toxic_json(toxic: Toxic) -> Option<(&'static str, Value)> {
    match toxic {
        Toxic::Slow { latency_ms, jitter_ms } => {
            Some(("latency", json!({ "latency": latency_ms, "jitter": jitter_ms })))
        }
        Toxic::Narrow { kb_per_s } => Some(("bandwidth", json!({ "rate": kb_per_s }))),
        Toxic::Slice { bytes, delay_us } => {
            Some(("slicer", json!({ "average_size": bytes, "size_variation": bytes / 4, "delay": delay_us })))
        }
        Toxic::Hang => Some(("timeout", json!({ "timeout": 0 }))),
        Toxic::Reset => Some(("reset_peer", json!({ "timeout": 0 }))),
        Toxic::Cut => None,
    }
}

impl Link {
    /// How many connections are open, and how long a question takes: by the slowest of its ways.
    pub async fn look(&self) -> Look {
        let mut look = Look { connections: 0, answered: Ok(Duration::ZERO) };
        for proxy in &self.proxies {
            look.connections += connections(&proxy.listen);
            look.answered = match (look.answered, self.ask(&proxy.listen).await) {
                (Ok(longest), Ok(took)) => Ok(longest.max(took)),
                (Err(error), _) | (_, Err(error)) => Err(error),
            };
        }
        look
    }

    /// How long a question takes to be answered.
    async fn ask(&self, address: &str) -> Result<Duration, String> {
        let begun = Instant::now();
        match timeout(QUESTION_PATIENCE, self.exchange(address)).await {
            Ok(Ok(())) => Ok(begun.elapsed()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("nothing came for {} s", QUESTION_PATIENCE.as_secs())),
        }
    }

    async fn exchange(&self, address: &str) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        match self.name {
            LinkName::IngestKafka | LinkName::AggregatorKafka => {
                stream.write_all(&api_versions()).await?;
                let mut answer = vec![0; stream.read_u32().await? as usize];
                stream.read_exact(&mut answer).await?;
            }
            LinkName::ClientsIngest | LinkName::AggregatorClickhouse => {
                let padding = "x".repeat(PADDING_BYTES);
                let head = "GET /ping HTTP/1.1\r\nhost: drill\r\nconnection: close\r\nx-padding: ";
                stream.write_all(format!("{head}{padding}\r\n\r\n").as_bytes()).await?;
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).await?;
                if !answer.starts_with(b"HTTP/1.1 ") {
                    return Err(std::io::Error::other("the connection was closed without an answer"));
                }
            }
        }
        Ok(())
    }
}

/// The request by which every client of Kafka begins (`ApiVersions`, version 0), of a client with a long name:
/// <https://kafka.apache.org/protocol#protocol_messages>.
fn api_versions() -> Vec<u8> {
    const API_VERSIONS: i16 = 18;
    let mut request = Vec::new();
    request.extend_from_slice(&API_VERSIONS.to_be_bytes());
    request.extend_from_slice(&0_i16.to_be_bytes());
    request.extend_from_slice(&1_i32.to_be_bytes());
    request.extend_from_slice(&(PADDING_BYTES as i16).to_be_bytes());
    request.resize(request.len() + PADDING_BYTES, b'x');
    [(request.len() as u32).to_be_bytes().as_slice(), &request].concat()
}

/// Connections that are open at a port of this machine, from the kernel's table (`man 5 proc`).
fn connections(listen: &str) -> usize {
    let port = listen.rsplit(':').next().and_then(|port| port.parse().ok());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    port.map_or(0, |port| established(&table, port))
}

/// Rows of the kernel's table whose local port is this one, and whose state is 01: established.
fn established(table: &str, port: u16) -> usize {
    let is_one = |line: &&str| {
        let mut columns = line.split_whitespace().skip(1);
        let local = columns.next().and_then(|local| u16::from_str_radix(local.rsplit(':').next()?, 16).ok());
        local == Some(port) && columns.nth(1) == Some("01")
    };
    table.lines().skip(1).filter(is_one).count()
}

/// What two looks say of a toxic: that it struck, or that it did not.
///
/// # Errors
/// When nobody used the link, or the toxic made no difference.
pub fn struck(toxic: Toxic, before: &Look, during: &Look) -> Result<String, String> {
    let Look { connections, answered: Ok(before) } = before else {
        return Err(format!("no answer came through it before: {:?}", before.answered));
    };
    if *connections == 0 {
        return Err("no connection was open through it".to_owned());
    }
    let open = format!("{connections} connections; a question took {} ms before", before.as_millis());
    match (&during.answered, toxic.stops()) {
        (Err(error), true) => Ok(format!("{open} and got no answer then ({error})")),
        (Ok(took), true) => Err(format!("a question was answered all the same, in {} ms", took.as_millis())),
        (Ok(took), false) if *took >= (*before + SLOWER_MIN).max(least(toxic)) => {
            Ok(format!("{open} and {} ms then", took.as_millis()))
        }
        (Ok(took), false) => Err(format!("{open} and {} ms then, which is no slower", took.as_millis())),
        (Err(error), false) => Ok(format!("{open} and longer than was waited then ({error})")),
    }
}

/// What a question takes at least.
fn least(toxic: Toxic) -> Duration {
    match toxic {
        // Forth and back.
        Toxic::Slow { latency_ms, jitter_ms } => {
            Duration::from_millis(2 * latency_ms.saturating_sub(jitter_ms))
        }
        Toxic::Narrow { .. } | Toxic::Slice { .. } | Toxic::Hang | Toxic::Reset | Toxic::Cut => {
            Duration::ZERO
        }
    }
}

/// The address without its scheme.
///
/// # Errors
/// When it is no URL of plain HTTP.
pub fn address_of(url: &str) -> anyhow::Result<&str> {
    url.strip_prefix("http://").with_context(|| format!("{url} is no URL of plain HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_connections_are_counted() {
        let table = "  sl  local_address rem_address   st tx:rx tr:when retrnsmt uid timeout inode\n\
             0: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0 0 0 42 1\n\
             1: 0100007F:1F90 0100007F:8000 01 0:0 00:0 0 0 0 41 1\n\
             2: 0100007F:1F90 0100007F:8001 01 0:0 00:0 0 0 0 43 1\n\
             3: 0100007F:8000 0100007F:1F90 01 0:0 00:0 0 0 0 44 1\n";
        assert_eq!((established(table, 8080), established(table, 8081)), (2, 0));
    }

    #[test]
    fn a_toxic_has_struck_when_it_made_a_difference() {
        let look = |connections, answered: Result<u64, &str>| Look {
            connections,
            answered: answered.map(Duration::from_millis).map_err(str::to_owned),
        };
        let slow = Toxic::Slow { latency_ms: 100, jitter_ms: 20 };
        let before = look(3, Ok(2));
        let said = struck(slow, &before, &look(3, Ok(190)));
        assert_eq!(said.as_deref(), Ok("3 connections; a question took 2 ms before and 190 ms then"));
        assert!(struck(slow, &before, &look(3, Ok(150))).unwrap_err().contains("no slower"));
        assert!(struck(slow, &look(0, Ok(2)), &look(3, Ok(190))).unwrap_err().contains("no connection"));
        assert!(struck(Toxic::Cut, &before, &look(0, Err("refused"))).is_ok());
        assert!(struck(Toxic::Hang, &before, &look(3, Ok(2))).unwrap_err().contains("all the same"));
    }

    #[test]
    fn the_question_to_kafka_says_its_length() {
        let request = api_versions();
        assert_eq!(request[..4], (request.len() as u32 - 4).to_be_bytes());
    }
}
