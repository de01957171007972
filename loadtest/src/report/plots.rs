//! Which plots a report has, and how each is read.

use super::RunReport;
use super::axis::{Scale, number};
use super::chart::{Across, Band, Chart, Line, Stands};
use super::judge::FRESHNESS_P99_S_MAX;
use crate::drive::seconds::Second;
use crate::observe::{Observation, Sample};

const MIB: f64 = 1_048_576.0;

/// The plots in the order of the page; those without anything to show are left out.
pub fn charts(report: &RunReport) -> Vec<Chart> {
    let over = Over::new(report);
    let mut charts = vec![latency(&over), percentiles(report), throughput(&over)];
    if !report.samples.is_empty() {
        charts.extend([freshness(&over), lag(&over), memory(&over), cpu(&over)]);
    }
    charts.push(slip(&over));
    charts.retain(|chart| !chart.is_empty());
    charts
}

/// A report over its time.
struct Over<'a> {
    report: &'a RunReport,
    observation: Observation,
    end_s: f64,
}

impl<'a> Over<'a> {
    fn new(report: &'a RunReport) -> Self {
        let sent_s = report.timeline.seconds.last().map_or(0.0, |last| last.second as f64 + 1.0);
        let end_s = sent_s.max(report.sent.seconds);
        let from_ms = report.timeline.started_ms;
        // What was seen while the run was set up and verified is not part of it.
        let observation = Observation { samples: report.samples.clone() }
            .between(from_ms, from_ms + (end_s * 1_000.0) as i64 + 1);
        Self { report, observation, end_s }
    }

    fn chart(&self, id: &'static str, title: &'static str, unit: &'static str, lines: Vec<Line>) -> Chart {
        let bands = self.report.marks.iter().zip(1..).map(|(mark, number)| Band {
            number,
            from_s: self.seconds(mark.at_ms),
            until_s: self.seconds(mark.until_ms),
        });
        Chart {
            id,
            title,
            reading: String::new(),
            unit,
            scale: Scale::Linear,
            across: Across::Time(self.end_s),
            lines,
            limit: None,
            bands: bands.collect(),
        }
    }

    fn seconds(&self, at_ms: i64) -> f64 {
        (at_ms - self.report.timeline.started_ms) as f64 / 1_000.0
    }

    fn sent(&self, name: &str, stands: Stands, value: impl Fn(&Second) -> Option<f64>) -> Line {
        let seconds = &self.report.timeline.seconds;
        let points = seconds.iter().filter_map(|second| Some((second.second as f64, value(second)?)));
        Line { name: name.to_owned(), points: points.collect(), stands }
    }

    fn seen(&self, name: &str, stands: Stands, value: impl Fn(&Sample) -> Option<f64>) -> Line {
        let samples = self.observation.samples.iter();
        let points = samples.filter_map(|sample| Some((self.seconds(sample.at_ms), value(sample)?)));
        Line { name: name.to_owned(), points: points.collect(), stands }
    }
}

fn latency(over: &Over<'_>) -> Chart {
    let of = |name, pick: fn(&Second) -> f64| {
        over.sent(name, Stands::Largest, move |second| (second.accepted > 0).then(|| pick(second)))
    };
    let lines = vec![
        of("p50", |second| second.latency_p50_ms),
        of("p99", |second| second.latency_p99_ms),
        of("longest", |second| second.latency_max_ms),
    ];
    Chart {
        reading: "Of the beacons that were due in a second, half were answered within p50 and 99 of 100 within p99. \
                  Measured from the moment when a beacon was to be sent, so that waiting behind a slow answer counts. \
                  Each line upwards is ten times as long."
            .to_owned(),
        scale: Scale::Logarithmic,
        ..over.chart("latency", "Latency over time", "ms", lines)
    }
}

fn percentiles(report: &RunReport) -> Chart {
    let points = &report.timeline.percentiles;
    let line = Line {
        name: "latency".to_owned(),
        points: points.iter().map(|point| (point.percent, point.latency_ms)).collect(),
        stands: Stands::Largest,
    };
    // The longest is one beacon; where the axis ends depends on how many there are.
    let beacons = report.sent.accepted.max(10) as f64;
    Chart {
        id: "percentiles",
        title: "Latency by percentile",
        reading: "At 99 % stands how long the slowest beacon of the best 99 of 100 took. A line that bends upwards late \
                  is good: few beacons were slow. It ends with the longest of all."
            .to_owned(),
        unit: "ms",
        scale: Scale::Logarithmic,
        across: Across::Percent(100.0 - 100.0 / beacons),
        lines: vec![line],
        limit: None,
        bands: Vec::new(),
    }
}

fn throughput(over: &Over<'_>) -> Chart {
    let mut lines = vec![
        over.sent("sent", Stands::Mean, |second| Some(second.sent as f64)),
        over.sent("accepted", Stands::Mean, |second| Some(second.accepted as f64)),
    ];
    let sent = &over.report.sent;
    if sent.retries > 0 {
        lines.push(over.sent("tries beyond the first", Stands::Mean, |second| Some(second.retries as f64)));
    }
    if sent.accepted < sent.beacons {
        let lost = |second: &Second| Some((second.refused + second.unanswered) as f64);
        lines.push(over.sent("not accepted", Stands::Largest, lost));
    }
    Chart {
        reading: "Beacons a second by when they were to be sent, whatever was answered. Both lines on one another: \
                  everything that was sent was accepted in the end."
            .to_owned(),
        ..over.chart("throughput", "Throughput", "beacons/s", lines)
    }
}

fn freshness(over: &Over<'_>) -> Chart {
    let behind = |sample: &Sample| Some(sample.freshness_ms? as f64 / 1_000.0);
    let lines = vec![over.seen("behind", Stands::Largest, behind)];
    Chart {
        reading: "How far the tables are behind the log: everything that was appended longer ago than this can be queried. \
                  Up and down by a flush interval is right, since batches are written so often; a line that climbs is not."
            .to_owned(),
        limit: Some((FRESHNESS_P99_S_MAX, format!("{} s", number(FRESHNESS_P99_S_MAX)))),
        ..over.chart("freshness", "Freshness of the tables", "s", lines)
    }
}

fn lag(over: &Over<'_>) -> Chart {
    let lines = vec![
        over.seen("in Kafka, not read yet", Stands::Largest, |sample| {
            Some(sample.aggregator?.lag_records as f64)
        }),
        over.seen("in ingest, for Kafka", Stands::Largest, |sample| {
            Some(sample.ingest?.queued_records as f64)
        }),
        over.seen("in the spool on disk", Stands::Largest, |sample| {
            Some(sample.ingest?.spool_records as f64)
        }),
    ];
    Chart {
        reading: "Records that wait, by where. Below what arrives in a second is right; a line that climbs is a part that \
                  does not keep up, or that cannot reach the next one."
            .to_owned(),
        ..over.chart("lag", "What waits", "records", lines)
    }
}

fn memory(over: &Over<'_>) -> Chart {
    let parts = over.observation.processes();
    let mut lines: Vec<Line> = parts
        .iter()
        .map(|part| {
            over.seen(part, Stands::Largest, |sample| {
                Some(sample.processes.get(part)?.rss_bytes as f64 / MIB)
            })
        })
        .collect();
    lines.push(over.seen("sessions in the aggregator", Stands::Largest, |sample| {
        Some(sample.aggregator?.state_bytes as f64 / MIB)
    }));
    Chart {
        reading: "Resident memory of each process. Lines become level once caches are full; the aggregator's may rise as the \
                  sessions do that it must remember, which stand beside it."
            .to_owned(),
        ..over.chart("memory", "Memory", "MiB", lines)
    }
}

fn cpu(over: &Over<'_>) -> Chart {
    let parts = over.observation.processes();
    let lines = parts.iter().map(|part| Line {
        name: part.clone(),
        points: over
            .observation
            .steps(part)
            .map(|step| (over.seconds(step.at_ms), step.cpu_s / step.wall_s))
            .collect(),
        stands: Stands::Mean,
    });
    let cores = over.report.machine.cores;
    Chart {
        reading: format!(
            "Cores that each process kept busy, of {cores} that the machine has. Together near {cores}: the machine is the \
             limit, not the part."
        ),
        ..over.chart("cpu", "CPU", "cores", lines.collect())
    }
}

fn slip(over: &Over<'_>) -> Chart {
    let lines = vec![over.sent("late by", Stands::Largest, |second| Some(second.slip_max_ms))];
    Chart {
        reading: "How late the generator itself handed a beacon over, at most. It is part of the latency above: where this \
                  line is high, that one says little about the server."
            .to_owned(),
        ..over.chart("slip", "The generator's own delay", "ms", lines)
    }
}
