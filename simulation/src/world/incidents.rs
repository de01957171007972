//! What goes wrong, and what changes on the way.

use super::{Event, World};
use crate::scenario::{T0, What};

impl World<'_> {
    pub(super) fn incident(&mut self, place: usize) {
        let (number, incident) = &self.scenario.incidents[place];
        self.say(|| format!("incident {number}: {}", incident.what));
        match incident.what {
            What::Crash { aggregator, down_ms } => {
                if self.processes[aggregator].is_up {
                    self.stats.crashes += 1;
                    self.die(aggregator);
                    self.at(self.now_ms + down_ms, Event::Start(aggregator));
                }
            }
            What::Pause { aggregator, paused_ms } => self.pause(aggregator, paused_ms),
            What::Stop { aggregator, down_ms } => {
                let stop_by_ms = self.now_ms + self.scenario.timing.stop_ms;
                let process = &mut self.processes[aggregator];
                if process.is_up && process.stopping.is_none() {
                    process.stopping = Some((stop_by_ms, down_ms));
                }
            }
            What::Rebalance => self.rebalance(),
            What::KillDatabase { down_ms } => self.kill_database(down_ms),
            What::LoseAnswers { for_ms, percent } => self.lost_answers = (self.now_ms + for_ms, percent),
            What::SlowDatabase { for_ms } => self.slow_until_ms = self.now_ms + for_ms,
            What::Definitions { set } => {
                for partition in 0..self.log.len() {
                    let at_ms = self.now_ms + self.dice.within(0..=3_000);
                    self.at(at_ms, Event::Activate { partition, set });
                }
            }
            What::OffsetGap { partition, offsets } => {
                if self.now_ms < self.log_ends_ms {
                    self.log[partition].high += offsets;
                }
            }
            What::Retention => self.delete_unneeded(),
            What::DeleteNeeded { partition, percent } => {
                // Before a batch with it, the definition set could go, and without one nobody knows when to cut.
                let last = self.database.last_batch(partition as i32);
                let has_begun = last.is_some_and(|row| !row.definition_set.is_empty());
                let log = &mut self.log[partition];
                let percent = if has_begun { percent } else { 0 };
                log.low += (log.high - log.low) * percent / 100;
            }
            What::Truncate { partition, records } => {
                self.log[partition].truncate(records);
                let counted = self.database.last_batch(partition as i32).map_or(0, |row| row.next_offset);
                self.went_back |= self.log[partition].high < counted;
                // Where the set itself is lost nobody knows when to cut.
                let set = std::sync::Arc::clone(&self.scenario.sets[0]);
                self.log[partition].definitions(self.now_ms, &set);
            }
            What::Recreate { partition } => {
                self.log[partition].recreate();
                self.went_back |= self.database.last_batch(partition as i32).is_some();
                let set = std::sync::Arc::clone(&self.scenario.sets[0]);
                self.log[partition].definitions(self.now_ms, &set);
            }
            What::NoTicks { for_ms } => self.no_ticks_until_ms = self.now_ms + for_ms,
        }
    }

    /// Deletes any part of what no owner would replay any more.
    fn delete_unneeded(&mut self) {
        for partition in 0..self.log.len() {
            let Some(row) = self.database.last_batch(partition as i32) else { continue };
            let low = self.log[partition].low;
            // What a former log's batches say is not about this one.
            if row.replay_from > low && self.log[partition].generation == 0 {
                self.log[partition].low = self.dice.within(low..=row.replay_from);
            }
        }
    }

    /// The process is gone at once; what it sent is on its way.
    pub(super) fn die(&mut self, aggregator: usize) {
        let process = &mut self.processes[aggregator];
        let event = Event::SessionTimeout { aggregator, incarnation: process.incarnation, pause: 0 };
        process.die();
        self.at(self.now_ms + self.scenario.timing.session_timeout_ms, event);
    }

    fn pause(&mut self, aggregator: usize, paused_ms: i64) {
        let process = &mut self.processes[aggregator];
        if !process.is_up || process.is_paused() {
            return;
        }
        process.pauses += 1;
        let (pause, incarnation) = (process.pauses, process.incarnation);
        process.pause = Some(pause);
        self.at(self.now_ms + paused_ms, Event::Resume { aggregator, pause });
        let missed_ms = self.now_ms + self.scenario.timing.session_timeout_ms;
        self.at(missed_ms, Event::SessionTimeout { aggregator, incarnation, pause });
    }

    /// The process goes on: what waited for it happens now, in any order. The group takes it back when it had
    /// been given up.
    pub(super) fn resume(&mut self, aggregator: usize, pause: u64) {
        if self.processes[aggregator].pause != Some(pause) {
            return;
        }
        let is_tight = self.scenario.timing.is_tight;
        let is_member = self.is_member(aggregator);
        let process = &mut self.processes[aggregator];
        process.pause = None;
        let held = self.now_ms - process.renewed_at_ms < self.scenario.timing.lease_ms;
        if !is_member || !held {
            self.stats.zombies += 1;
        }
        // It may have stood still just after it had looked at its lease.
        process.looked = process.dice.chance(50);
        let mut waiting = std::mem::take(&mut process.waiting);
        process.dice.shuffle(&mut waiting);
        for mut event in waiting {
            let after_ms = self.processes[aggregator].dice.within(0..=20);
            if let Event::Send { may_send, .. } = &mut event {
                *may_send = !is_tight && self.processes[aggregator].dice.chance(50);
            }
            self.tell_process(aggregator, after_ms, event);
        }
        if !is_member {
            self.join(aggregator);
        }
    }

    /// What is under way is written in part, and the server is away.
    fn kill_database(&mut self, down_ms: i64) {
        self.database_up = false;
        self.at(self.now_ms + down_ms, Event::DatabaseUp);
        for (_, sent) in std::mem::take(&mut self.under_way) {
            self.stats.partial_writes += 1;
            self.database.insert_partly(&sent.insert, &mut self.dice);
            let seconds = (self.now_ms - T0) as f64 / 1000.0;
            if let Some(story) = &mut self.story {
                story.push(format!("{seconds:9.3} s  killed at {}", sent.insert.token));
            }
            self.answer(&sent, false);
        }
    }
}
