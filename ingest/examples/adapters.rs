//! What the adapters cost: CPU time of one core for a beacon of five events of equal content in each format, from the
//! body to the beacon that is encoded.
//!
//! `cargo run --release -p ingest --example adapters`
#![expect(clippy::print_stdout, reason = "a command-line tool")]

use std::path::PathBuf;

use anyhow::Context;
use ingest::admission::objection::Objections;
use ingest::admission::{Notation, Request};
use ingest::apps::Apps;
use ingest::hints::Hints;
use ingest::user_agent::Client;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike as _};
use schema::record::encode_beacon;

#[path = "bodies/mod.rs"]
mod bodies;

use bodies::{AT_MS, FORMATS, body};

/// Beacons of a round; the fastest of the rounds counts.
const BEACONS: u32 = 20_000;
const ROUNDS: usize = 7;

/// CPU time of this thread.
fn cpu_ns() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let us = |time: TimeVal| time.num_microseconds() as f64;
    Ok((us(usage.user_time()) + us(usage.system_time())) * 1e3)
}

fn main() -> anyhow::Result<()> {
    let file = "app: web\nkeys: [bench-key]\nroutes: [\"/lectures/:id\", \"/lectures/:id/play\", \"/api/lectures/:id\"]\n";
    let apps = Apps::new(vec![(PathBuf::from("web.yaml"), serde_yaml_ng::from_str(file)?)])?;
    let client =
        Client { os: "Linux".into(), browser: "Chrome".into(), device_class: "desktop", ..Client::default() };
    println!("{:>12} {:>7} {:>7} {:>10} {:>7}", "format", "bytes", "events", "ns/beacon", "ratio");
    let mut first_ns = None;
    for format in FORMATS {
        let body = body(format, 0);
        let request = Request {
            body: body.as_bytes(),
            write_key: Some("bench-key"),
            origin: None,
            idempotency_key: None,
            session: None,
            country: "",
            client: &client,
            hints: Hints::default(),
            objections: Objections::default(),
            received_at_ms: AT_MS + 200,
            arrival: 0,
            notation: Notation::Json,
            apps: &apps,
        };
        let events: usize =
            format.adapt(&request)?.admitted.iter().map(|admitted| admitted.beacon.events.len()).sum();
        let mut buffer = Vec::new();
        let mut best_ns = f64::INFINITY;
        for _ in 0..ROUNDS {
            let before_ns = cpu_ns()?;
            for _ in 0..BEACONS {
                let admission = format.adapt(&request)?;
                let admitted = admission.admitted.first().context("no beacon")?;
                buffer = encode_beacon(&admitted.beacon, buffer);
            }
            best_ns = f64::min(best_ns, (cpu_ns()? - before_ns) / f64::from(BEACONS));
        }
        let first = *first_ns.get_or_insert(best_ns);
        println!(
            "{:>12} {:>7} {events:>7} {best_ns:>10.0} {:>7.2}",
            format.name(),
            body.len(),
            best_ns / first
        );
    }
    Ok(())
}
