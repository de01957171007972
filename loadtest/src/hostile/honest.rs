//! Honest traffic beside the attacks: beacons by a fixed schedule that no answer delays.
//!
//! It has a thread of its own, so that what the attacks cost their sender does not look like the server's latency.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::server::HONEST_KEY;
use crate::client::Client;

/// Beacons a second.
pub const RATE: u32 = 200;
const CONNECTIONS: usize = 32;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Honest traffic that goes on until it is stopped.
pub(super) struct Honest {
    sent: Arc<Mutex<Vec<Sent>>>,
    /// The thread ends when this is dropped.
    _going_on: oneshot::Sender<()>,
}

/// One beacon and its answer.
#[derive(Debug, Clone, Copy)]
struct Sent {
    due: Instant,
    latency: Duration,
    accepted: bool,
}

/// What honest traffic has seen in a time.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Beacons.
    pub beacons: usize,
    /// Of them those that were not accepted.
    pub refused: usize,
    /// Median time from when a beacon was due to its answer.
    pub p50: Duration,
    /// The 99th percentile.
    pub p99: Duration,
}

impl Honest {
    pub(super) async fn start(url: &str) -> anyhow::Result<Self> {
        let client = Arc::new(Client::new(url, CONNECTIONS, TIMEOUT).await?);
        let sent = Arc::new(Mutex::new(Vec::new()));
        let (going_on, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::clone(&sent);
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = send(client, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { sent, _going_on: going_on })
    }

    /// What was seen of the beacons that were due in a time.
    pub(super) fn seen(&self, from: Instant, to: Instant) -> Seen {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let of_time: Vec<_> = sent.iter().filter(|sent| (from..to).contains(&sent.due)).collect();
        let mut latencies: Vec<_> = of_time.iter().map(|sent| sent.latency).collect();
        latencies.sort_unstable();
        let at = |share: f64| {
            latencies.get((latencies.len() as f64 * share) as usize).copied().unwrap_or_default()
        };
        let refused = of_time.iter().filter(|sent| !sent.accepted).count();
        Seen { beacons: of_time.len(), refused, p50: at(0.5), p99: at(0.99) }
    }

    /// Waits until so many beacons have been answered from now on.
    pub(super) async fn wait_for(&self, beacons: usize) {
        let count = || self.sent.lock().unwrap_or_else(PoisonError::into_inner).len();
        let wanted = count() + beacons;
        while count() < wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "traffic has a schedule")]
pub(super) fn now() -> Instant {
    Instant::now()
}

async fn send(client: Arc<Client>, sent: Arc<Mutex<Vec<Sent>>>) {
    let mut schedule = tokio::time::interval(Duration::from_secs(1) / RATE);
    let mut answers = JoinSet::new();
    for number in 0u32.. {
        let due = schedule.tick().await.into_std();
        let (client, sent) = (Arc::clone(&client), Arc::clone(&sent));
        answers.spawn(async move {
            let headers = [
                ("x-api-key", HONEST_KEY.to_owned()),
                ("content-type", "application/json".to_owned()),
                ("x-forwarded-for", format!("198.{}.{}.7", 18 + number / 256 % 2, number % 256)),
            ];
            let answer = client.post("/v1/beacons", &headers, || beacon(number)).await;
            let accepted = answer.is_ok_and(|answer| answer.status == 202);
            let entry = Sent { due, latency: now().saturating_duration_since(due), accepted };
            sent.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        });
        while answers.try_join_next().is_some() {}
    }
}

fn beacon(number: u32) -> Vec<u8> {
    let events = [
        "{\"name\":\"journey.start\",\"attributes\":{\"journey\":\"watch-lecture\"}}",
        "{\"name\":\"user.action\",\"value\":149.8,\"attributes\":{\"name\":\"lecture.open\"}}",
        "{\"name\":\"http.client\",\"value\":125,\"attributes\":{\"method\":\"GET\",\"url\":\"/api/lectures/4815\",\"status\":200}}",
        "{\"name\":\"browser.web_vital\",\"value\":228,\"attributes\":{\"name\":\"LCP\",\"rating\":\"good\"}}",
        "{\"name\":\"journey.end\",\"attributes\":{\"journey\":\"watch-lecture\",\"outcome\":\"success\"}}",
    ];
    format!("{{\"session\":\"honest-{number}\",\"id\":\"{number}\",\"events\":[{}]}}", events.join(","))
        .into_bytes()
}
