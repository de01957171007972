//! A server that stands still for a while every so often: what is measured of it, and what a client would see that
//! waits for each answer before it sends again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::Duration;

use loadtest::client::Client;
use loadtest::drive::{Settings, run};
use loadtest::scenario::Profile;
use loadtest::schedule::{Arrivals, Traffic};
use tokio::time::Instant;

const STALL: Duration = Duration::from_millis(1_000);
const STALLS_EVERY: Duration = Duration::from_millis(3_000);
const MEASURED: Duration = Duration::from_secs(6);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Starts it on threads of its own, so that it stands still whatever the generator does.
fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let running = Arc::new(RwLock::new(()));
    let stalling = Arc::clone(&running);
    thread::spawn(move || {
        loop {
            thread::sleep(STALLS_EVERY - STALL);
            let _everything = stalling.write().unwrap();
            thread::sleep(STALL);
        }
    });
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let running = Arc::clone(&running);
            thread::spawn(move || serve(stream, &running));
        }
    });
    address
}

fn serve(stream: TcpStream, running: &RwLock<()>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        stream.read_exact(&mut vec![0; length]).ok()?;
        drop(running.read().ok()?);
        stream.get_mut().write_all(b"HTTP/1.1 202 X\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}

/// p99 of the latencies from the intended times of sending.
async fn open_loop(address: SocketAddr) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let traffic = Traffic {
        rate: 100.0,
        seconds: MEASURED.as_secs(),
        seed: 11,
        profile: Profile::Tidy,
        arrivals: Arrivals::Constant,
    };
    let ledger = folder.path().join("ledger.jsonl");
    let ingest = format!("http://{address}");
    let settings = Settings { ingest, traffic, ledger, connections: 256, timeout: TIMEOUT, drain: TIMEOUT };
    let summary = run(settings).await.unwrap();
    assert!(summary.is_complete());
    Duration::from_secs_f64(summary.latency_ms.p99 / 1_000.0)
}

/// p99 and maximum of what one client sees that waits for each answer.
async fn closed_loop(address: SocketAddr) -> (Duration, Duration) {
    let client = Client::new(&format!("http://{address}"), 1, TIMEOUT).await.unwrap();
    let begun = Instant::now();
    let mut latencies = Vec::new();
    while begun.elapsed() < MEASURED {
        let sent = Instant::now();
        client.post("/v1/beacons", &[], || b"{}".to_vec()).await.unwrap();
        latencies.push(sent.elapsed());
    }
    latencies.sort_unstable();
    (latencies[latencies.len() * 99 / 100], latencies[latencies.len() - 1])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_is_seen_in_full_where_a_closed_loop_would_hide_it() {
    let address = start();
    let (open_p99, (closed_p99, closed_max)) = tokio::join!(open_loop(address), closed_loop(address));
    // During a stall a third of all beacons is due, evenly; the first of them waits for all of it.
    assert!(open_p99 > STALL * 8 / 10, "open loop: p99 {open_p99:?} of a stall of {STALL:?}");
    // The client that waits meets each stall with one request, and counts nothing for those that it did not send.
    assert!(closed_max > STALL * 8 / 10, "closed loop: maximum {closed_max:?}");
    assert!(closed_p99 < STALL / 10, "closed loop: p99 {closed_p99:?} of a stall of {STALL:?}");
}
