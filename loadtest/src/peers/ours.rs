//! The measurements of this pipeline itself.

use anyhow::bail;
use deploy::stack::{AGGREGATOR, CLICKHOUSE, GRACE_MS, INGEST, KAFKA, PARTITIONS};
use deploy::topic::BEACONS;

use super::place::Place;
use super::report::{Report, Row, Way};
use super::{IDLE_FOR, OURS_WITH_OTLP, PATIENCE, invalid};
use crate::cost::settled::{Aggregators, settling_ms};
use crate::cost::{Cpu, Meter, disk};
use crate::observe::now_ms;
use crate::observe::targets::Server;
use crate::report::Verified;
use crate::scenario::Profile;
use crate::verify;

impl Place {
    /// The mixed traffic through ingest and aggregator, compared with its truth; gives the row of ingest.
    pub(super) async fn ours(&self, report: &mut Report) -> anyhow::Result<Row> {
        eprintln!("measuring ingest and aggregator");
        let parts = || [INGEST, AGGREGATOR, KAFKA, CLICKHOUSE].map(|name| self.part(name)).to_vec();
        let before = self.ingested_events().await?;
        let idle = Meter::over(parts(), IDLE_FOR).await?;
        let meter = Meter::start(parts())?;
        let summary = self.drive(self.stack.ingest_url(), Profile::Mixed, "mixed").await?;
        let sending = meter.read()?;
        let until_ms = now_ms() + settling_ms(GRACE_MS);
        let aggregators = Aggregators {
            urls: vec![self.stack.aggregator_url().to_owned()],
            partitions: PARTITIONS as usize,
        };
        aggregators.written(until_ms, PATIENCE).await?;
        let whole = meter.read()?;
        report.beacons = summary.accepted;
        report.events = self.ingested_events().await?.saturating_sub(before);
        let verified = verify::verify(&verify::Settings {
            ledger: self.stack.dir().join("mixed.jsonl"),
            server: Server::local(self.stack.clickhouse_url().to_owned()),
            wait: PATIENCE,
            since_s: None,
        })
        .await?;
        verified.differences().for_each(|difference| eprintln!("{difference}"));
        report.verified = Some(Verified::from(&verified));
        let row = |way, name: &str, part: &str, store: &str, cpu: Cpu| Row {
            way,
            name: name.to_owned(),
            ours: true,
            events: report.events,
            part: part.to_owned(),
            store: store.to_owned(),
            cpu,
            idle: idle.clone(),
            bytes: None,
            latency_ms: None,
            lacks: String::new(),
            invalid: invalid(&summary),
        };
        let mut received = row(
            Way::Receive,
            "ingest → Kafka, mixed traffic: native, Faro, web-vitals",
            INGEST,
            KAFKA,
            sending,
        );
        report.log_bytes = disk::topic_bytes(self.stack.dir(), BEACONS)?;
        received.bytes = Some(report.log_bytes);
        received.latency_ms = Some((summary.latency_ms.p50, summary.latency_ms.p99));
        received.lacks =
            "not OTLP: beside the others for its own sake; the aggregator reads at the same time".to_owned();
        disk::merged(self.stack.clickhouse()?, "sli").await?;
        let mut counted = row(Way::Count, "aggregator → ClickHouse", AGGREGATOR, CLICKHOUSE, whole);
        counted.bytes = Some(disk::sum(&disk::tables(self.stack.clickhouse()?, "sli").await?));
        counted.lacks = "keeps no raw events, only samples of attempts; bytes grow with cells and minutes, not with events".to_owned();
        report.rows.push(counted);
        Ok(received)
    }

    /// Bodies of OTLP through ingest, while nobody reads the log: as the collector has it.
    pub(super) async fn ours_with_otlp(&self, report: &mut Report) -> anyhow::Result<()> {
        eprintln!("measuring ingest with OTLP");
        let parts = || vec![self.part(INGEST), self.part(KAFKA)];
        let (events, bytes) = (self.ingested_events().await?, disk::topic_bytes(self.stack.dir(), BEACONS)?);
        let idle = Meter::over(parts(), IDLE_FOR).await?;
        let meter = Meter::start(parts())?;
        let summary = self.drive(self.stack.ingest_url(), Profile::Otlp, "otlp-ingest").await?;
        let cpu = meter.read()?;
        if !summary.is_complete() {
            bail!("ingest accepted {} of {} requests of OTLP", summary.accepted, summary.sendings);
        }
        // What the peers' rows are divided by as well: the same bodies.
        let events = self.ingested_events().await? - events;
        report.rows.push(Row {
            way: Way::Receive,
            name: OURS_WITH_OTLP.to_owned(),
            ours: true,
            events,
            part: INGEST.to_owned(),
            store: KAFKA.to_owned(),
            cpu,
            idle,
            bytes: Some(disk::topic_bytes(self.stack.dir(), BEACONS)?.saturating_sub(bytes)),
            latency_ms: Some((summary.latency_ms.p50, summary.latency_ms.p99)),
            lacks: "answers when Kafka has it; checks and cleans every event, and keeps no attribute that an app does not list"
                .to_owned(),
            invalid: invalid(&summary),
        });
        Ok(())
    }
}
