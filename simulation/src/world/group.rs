//! The consumer group: who is a member, and which partitions each was given.
//!
//! More than Kafka would ever do goes wrong here: nobody waits until a former owner has let go, so two live owners
//! can work on a partition at once until the notice has come.

use std::collections::BTreeMap;

use super::{Event, World};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Members with the incarnation that joined.
    members: BTreeMap<usize, u64>,
    generation: u64,
    given: BTreeMap<usize, Vec<i32>>,
    /// Where each partition ends for one undisturbed owner, once the log has ended.
    pub(super) ends: Option<Vec<i64>>,
}

impl World<'_> {
    /// A started process joins. One that comes back before it was missed gets what it had.
    pub(super) fn join(&mut self, aggregator: usize) {
        let incarnation = self.processes[aggregator].incarnation;
        let was_member = self.group.members.insert(aggregator, incarnation).is_some();
        if was_member {
            let partitions = self.group.given.get(&aggregator).cloned().unwrap_or_default();
            self.notify(aggregator, partitions);
        } else {
            self.rebalance();
        }
    }

    pub(super) fn leave(&mut self, aggregator: usize) {
        if self.group.members.remove(&aggregator).is_some() {
            self.rebalance();
        }
    }

    pub(super) fn is_member(&self, aggregator: usize) -> bool {
        self.group.members.contains_key(&aggregator)
    }

    /// Distributes the partitions anew, beginning at any member.
    pub(super) fn rebalance(&mut self) {
        self.stats.rebalances += 1;
        self.group.generation += 1;
        self.group.given.clear();
        let members: Vec<usize> = self.group.members.keys().copied().collect();
        if members.is_empty() {
            return;
        }
        let first = self.dice.below(members.len());
        for member in &members {
            self.group.given.insert(*member, Vec::new());
        }
        for partition in 0..self.log.len() {
            let member = members[(first + partition) % members.len()];
            self.group.given.entry(member).or_default().push(partition as i32);
        }
        for (member, partitions) in self.group.given.clone() {
            self.notify(member, partitions);
        }
    }

    fn notify(&mut self, aggregator: usize, partitions: Vec<i32>) {
        let generation = self.group.generation;
        let after_ms = self.dice.within(5..=self.scenario.timing.notice_ms);
        self.tell_process(aggregator, after_ms, Event::Notice { generation, partitions });
    }

    /// A process that was away or paused all the time since is no member any more.
    pub(super) fn session_timeout(&mut self, aggregator: usize, incarnation: u64, pause: u64) {
        let is_missed = self.group.members.get(&aggregator) == Some(&incarnation);
        let process = &self.processes[aggregator];
        let is_away = !process.is_up || process.incarnation != incarnation || process.pause == Some(pause);
        if is_missed && is_away {
            self.say(|| format!("the group misses aggregator {aggregator}"));
            self.leave(aggregator);
        }
    }
}
