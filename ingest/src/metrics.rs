//! Counters of this process in Prometheus' format. What is counted on the way of a request costs an atomic addition.

use actix_web::http::StatusCode;
use prometheus::core::{AtomicU64, Collector, GenericCounter, GenericCounterVec};
use prometheus::{Encoder, Histogram, HistogramOpts, IntGauge, Opts, Registry, TextEncoder};

use crate::adapter::Format;
use crate::admission::Admission;
use crate::body::budget::Budget;
use crate::log::Log;

type Counter = GenericCounter<AtomicU64>;
type CounterVec = GenericCounterVec<AtomicU64>;

/// Upper ends of the buckets of durations, s.
const LATENCY_BUCKETS_S: [f64; 13] =
    [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// Every counter.
pub struct Metrics {
    registry: Registry,
    requests: CounterVec,
    accepted: [Counter; Format::ALL.len()],
    refused: CounterVec,
    beacons: Counter,
    events: Counter,
    rejected: CounterVec,
    cut: CounterVec,
    bots: Counter,
    record_bytes: Counter,
    produce_seconds: Histogram,
    queued: IntGauge,
    failures: IntGauge,
    in_flight: IntGauge,
    bodies_bytes: IntGauge,
    networks: IntGauge,
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// Never with names that are valid and different, as they are here.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let vec = CounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let counter = |name: &str, help: &str| {
            let counter = Counter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let requests = counters(
            "ingest_requests_total",
            "Requests answered, by format and status.",
            &["format", "status"],
        )?;
        let produce_seconds = Histogram::with_opts(
            HistogramOpts::new(
                "ingest_produce_seconds",
                "Time until every record of a request was acknowledged.",
            )
            .buckets(LATENCY_BUCKETS_S.to_vec()),
        )?;
        registry.register(Box::new(produce_seconds.clone()))?;
        Ok(Self {
            accepted: Format::ALL
                .map(|format| requests.with_label_values(&[format.name(), format.success_status().as_str()])),
            requests,
            refused: counters(
                "ingest_refused_total",
                "Requests of which nothing was accepted, by cause.",
                &["error"],
            )?,
            beacons: counter("ingest_beacons_total", "Beacons that became durable.")?,
            events: counter("ingest_events_total", "Events that became durable.")?,
            rejected: counters(
                "ingest_events_rejected_total",
                "Events of accepted beacons that were not kept, by reason.",
                &["reason"],
            )?,
            cut: counters(
                "ingest_cut_total",
                "What was left out of accepted beacons: attributes, identities, what an app's list has not, sessions of \
                 users who object, ends of texts.",
                &["what"],
            )?,
            bots: counter("ingest_bot_beacons_total", "Beacons of bots and headless browsers.")?,
            record_bytes: counter("ingest_record_bytes_total", "Bytes of the records handed to the log.")?,
            produce_seconds,
            queued: gauge("ingest_log_queued_records", "Records that wait for the broker.")?,
            failures: gauge("ingest_log_failed_records_total", "Records that the log did not confirm.")?,
            in_flight: gauge("ingest_requests_in_flight", "Requests that are not answered yet.")?,
            bodies_bytes: gauge(
                "ingest_bodies_held_bytes",
                "Bytes of bodies that are being received or answered, of `limits.bodies_bytes_max`.",
            )?,
            networks: gauge("ingest_client_networks", "Networks of clients whose rate is being counted.")?,
            registry,
        })
    }

    /// Counts an admission whose records are durable.
    pub fn count_durable(
        &self,
        format: Format,
        status: StatusCode,
        admission: &Admission<'_>,
        record_bytes: usize,
        seconds: f64,
    ) {
        if status == format.success_status() {
            self.accepted[format as usize].inc();
        } else {
            self.requests.with_label_values(&[format.name(), status.as_str()]).inc();
        }
        self.produce_seconds.observe(seconds);
        self.beacons.inc_by(admission.admitted.len() as u64);
        self.record_bytes.inc_by(record_bytes as u64);
        for admitted in &admission.admitted {
            self.events.inc_by(admitted.beacon.events.len() as u64);
            self.bots.inc_by(u64::from(admitted.beacon.bot));
            for (reason, count) in &admitted.beacon.rejected {
                self.rejected.with_label_values(&[reason.as_ref()]).inc_by(u64::from(*count));
            }
        }
        for (reason, count) in &admission.without_app {
            self.rejected.with_label_values(&[reason]).inc_by(u64::from(*count));
        }
        for (what, count) in [
            ("attributes", admission.attributes_cut),
            ("identities", admission.identities_dropped),
            ("not_allowed", admission.attributes_not_allowed),
            ("sessions", admission.sessions_dropped),
            ("texts", admission.texts_cut),
        ] {
            if count > 0 {
                self.cut.with_label_values(&[what]).inc_by(count);
            }
        }
    }

    /// Counts a request of which nothing was accepted.
    pub fn count_refused(&self, format: Option<Format>, status: u16, error: &str) {
        let format = format.map_or("none", Format::name);
        self.requests.with_label_values(&[format, &status.to_string()]).inc();
        self.refused.with_label_values(&[error]).inc();
    }

    /// Counts a preflight that was answered.
    pub fn count_preflight(&self, format: Format) {
        self.requests.with_label_values(&[format.name(), "204"]).inc();
    }

    /// Tells how many networks' rates are counted.
    pub fn set_networks(&self, count: usize) {
        self.networks.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a request for as long as the guard lives.
    pub fn begin(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Adds what others count.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn register(&self, collectors: Vec<Box<dyn Collector>>) -> Result<(), prometheus::Error> {
        collectors.into_iter().try_for_each(|collector| self.registry.register(collector))
    }

    /// The text for Prometheus.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn render(&self, log: &Log, bodies: &Budget) -> Result<String, prometheus::Error> {
        self.bodies_bytes.set(i64::try_from(bodies.held_bytes()).unwrap_or(i64::MAX));
        self.queued.set(i64::from(log.queued()));
        self.failures.set(i64::try_from(log.failures()).unwrap_or(i64::MAX));
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// A request that is not answered yet.
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::metrics::SpoolMetrics;

    /// What operators read.
    const PAGE: &str = include_str!("../../docs/operating.md");

    #[test]
    fn the_page_for_operators_names_every_metric() {
        let metrics = Metrics::new().unwrap();
        metrics.count_refused(None, 404, "not_found");
        metrics.rejected.with_label_values(&["r"]).inc();
        metrics.cut.with_label_values(&["w"]).inc();
        metrics.register(SpoolMetrics::new().unwrap().collectors()).unwrap();
        let families = metrics.registry.gather();
        assert!(families.len() > 20, "{}", families.len());
        for family in families {
            assert!(PAGE.contains(&format!("`{}`", family.name())), "{} is not explained", family.name());
        }
    }
}
