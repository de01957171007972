//! The end of a world: what an undisturbed owner makes of the same log, and whether the law holds.

use std::sync::Arc;

use aggregator::engine::{Batch, Engine, Resume};
use aggregator::writer::inserts::{Inserts, of_batch};

use super::{Report, Stats, TOPIC, World};
use crate::database::Prepared;
use crate::law::{self, Law, Violation};
use crate::log::{Origin, PartitionLog};
use crate::truth;

impl World<'_> {
    /// Whether the last record of every partition that one owner would have written is written.
    pub(super) fn is_written(&mut self) -> bool {
        if self.scenario.is_lossy {
            return self.beacons_are_written();
        }
        let ends = self.undisturbed_ends();
        ends.iter().enumerate().all(|(partition, end)| {
            let last = self.database.last_batch(partition as i32);
            last.map_or(0, |row| row.next_offset) >= *end
        })
    }

    fn undisturbed_ends(&mut self) -> Vec<i64> {
        if self.group.ends.is_none() {
            let ends = (0..self.log.len())
                .map(|partition| {
                    let batches = undisturbed(&self.log[partition], partition as i32);
                    batches.last().map_or(0, |batch| batch.row.next_offset)
                })
                .collect();
            self.group.ends = Some(ends);
        }
        self.group.ends.clone().unwrap_or_default()
    }

    pub(super) fn judge(mut self) -> Report {
        if self.scenario.is_lossy {
            return self.judge_lossy();
        }
        let mut violations = self.database.violations().to_vec();
        let ends = self.undisturbed_ends();
        if !self.is_written() {
            let detail = format!("want every partition written up to {ends:?}");
            violations.push(Violation { law: Law::End, detail });
        }
        let mut batches = Vec::new();
        for (partition, log) in self.log.iter().enumerate() {
            self.stats.records += log.entries.len() as u64;
            batches.extend(undisturbed(log, partition as i32));
            truth::tell_records(log, ends[partition], &mut self.truth);
        }
        self.stats.batches += batches.len() as u64;
        let wanted: Vec<Prepared> =
            batches.iter().flat_map(|batch| prepare_all(batch, self.scenario.timing.block_rows)).collect();
        let wanted = wanted
            .iter()
            .flat_map(|insert| insert.parts.iter().map(|part| (insert.table, part.rows.as_str())));
        violations.extend(law::compare_tables(wanted, self.database.parts()));
        violations.extend(law::check_batches(self.database.progress().iter().map(AsRef::as_ref)));
        violations.extend(truth::check(&self.truth, &truth::read(&batches)));
        if self.stats.loud_starts > 0 {
            let detail =
                format!("{} starts said that something was lost, and nothing was", self.stats.loud_starts);
            violations.push(Violation { law: Law::Loud, detail });
        }
        if self.damaged_restored > 0 {
            let detail = format!("{} damaged snapshots were taken for good ones", self.damaged_restored);
            violations.push(Violation { law: Law::Loud, detail });
        }
        let counts = self.database.counts();
        self.stats.dropped = counts.dropped;
        self.stats.dropped_other = counts.dropped_other;
        if counts.dropped_other > 0 {
            let detail = format!("{} repeated parts held other rows than the first", counts.dropped_other);
            violations.push(Violation { law: Law::Content, detail });
        }
        Report { stats: self.stats, violations, story: self.story.unwrap_or_default() }
    }

    /// Whether every partition's last batch is newer than its last beacon.
    fn beacons_are_written(&self) -> bool {
        self.log.iter().enumerate().all(|(partition, log)| {
            let beacons = log.entries.iter().filter(|entry| entry.origin != Origin::Control);
            let last_ms = beacons.map(|entry| entry.append_ms).max().unwrap_or(0);
            self.database.last_batch(partition as i32).map_or(0, |row| row.log_time_ms) >= last_ms
        })
    }

    /// Where needed records are gone, numbers cannot be right; but batches balance, and it is said.
    fn judge_lossy(mut self) -> Report {
        let mut violations = self.database.violations().to_vec();
        if !self.beacons_are_written() {
            let detail = "want every partition written up to its last beacon".to_owned();
            violations.push(Violation { law: Law::End, detail });
        }
        let rows = || self.database.progress().iter().map(AsRef::as_ref);
        let checked = law::check_batches(rows());
        violations.extend(checked.into_iter().filter(|found| found.law == Law::Balance));
        let missing: u64 = rows().map(|row| row.missing_offsets).sum();
        if self.went_back && self.stats.loud_starts == 0 {
            let detail = format!("a log went back, and no start said so ({missing} offsets missing)");
            violations.push(Violation { law: Law::Loud, detail });
        }
        let records = self.log.iter().map(|log| log.entries.len() as u64 + log.former).sum();
        self.stats =
            Stats { records, batches: self.database.progress().len() as u64, lossy: 1, ..self.stats };
        Report { stats: self.stats, violations, story: self.story.unwrap_or_default() }
    }
}

/// The batches of one owner to whom nothing happens.
fn undisturbed(log: &PartitionLog, partition: i32) -> Vec<Batch> {
    let mut engine = Engine::new(TOPIC.to_owned(), partition, Resume::default());
    log.entries.iter().filter_map(|entry| engine.record(entry.record()).batch).collect()
}

/// The inserts of a batch as the database gets them.
fn prepare_all(batch: &Batch, block_rows: usize) -> Vec<Prepared> {
    let row = Arc::new(batch.row.clone());
    let Inserts { tables, definitions, progress } = of_batch(batch);
    let all = tables.iter().chain(&definitions).chain([&progress]);
    all.map(|insert| Prepared::new(insert, &row, &batch.definitions, block_rows)).collect()
}
