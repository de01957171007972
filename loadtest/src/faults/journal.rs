//! What went to ClickHouse, as the gate saw it.
//!
//! Beside telling who makes progress, the journal holds aggregators to their word that a batch is a function of the
//! log: inserts of one token must have one content, whoever sends them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::request::Insert;

/// See the module.
#[derive(Debug, Default)]
pub struct Journal {
    tokens: HashMap<String, Sent>,
    /// Batches whose own row was written, by partition and member.
    rows: BTreeMap<(i32, usize), u64>,
    /// Inserts that were sent on.
    pub inserts: u64,
    /// Of them those whose token the same aggregator had sent before.
    pub repeated: u64,
    /// Of them those whose token another aggregator had sent before.
    pub repeated_by_another: u64,
    /// Inserts that were sent on and not confirmed.
    pub unconfirmed: u64,
    /// Tokens that came with different contents.
    pub contradicted: BTreeSet<String>,
}

#[derive(Debug)]
struct Sent {
    content: u64,
    members: Vec<usize>,
}

impl Journal {
    pub(super) fn sent(&mut self, member: usize, insert: &Insert) {
        self.inserts += 1;
        let Some(sent) = self.tokens.get_mut(&insert.token) else {
            let sent = Sent { content: insert.content, members: vec![member] };
            self.tokens.insert(insert.token.clone(), sent);
            return;
        };
        if sent.content != insert.content {
            self.contradicted.insert(insert.token.clone());
        }
        if sent.members.last() == Some(&member) {
            self.repeated += 1;
        } else {
            self.repeated_by_another += 1;
            sent.members.push(member);
        }
    }

    pub(super) fn written(&mut self, member: usize, insert: &Insert) {
        if insert.ends_batch {
            *self.rows.entry((insert.partition, member)).or_default() += 1;
        }
    }

    pub(super) fn not_written(&mut self) {
        self.unconfirmed += 1;
    }

    /// Batches of a partition that were written whole, by others than `except`.
    pub fn batches(&self, partition: i32, except: Option<usize>) -> u64 {
        let rows = self.rows.iter();
        rows.filter(|((of, member), _)| *of == partition && Some(*member) != except)
            .map(|(_, count)| count)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(table: &str, content: u64) -> Insert {
        Insert {
            token: format!("t/2/0-5@9/{table}"),
            batch: "t/2/0-5@9".into(),
            partition: 2,
            ends_batch: table == "batches",
            content,
        }
    }

    #[test]
    fn a_token_has_one_content() {
        let mut journal = Journal::default();
        journal.sent(0, &insert("quality", 1));
        journal.sent(0, &insert("quality", 1));
        journal.sent(1, &insert("quality", 1));
        assert_eq!((journal.inserts, journal.repeated, journal.repeated_by_another), (3, 1, 1));
        assert!(journal.contradicted.is_empty());
        journal.sent(1, &insert("quality", 2));
        assert_eq!(journal.contradicted.len(), 1);
    }

    #[test]
    fn a_batch_is_whole_with_its_own_row() {
        let mut journal = Journal::default();
        journal.written(0, &insert("quality", 1));
        assert_eq!(journal.batches(2, None), 0);
        journal.written(0, &insert("batches", 1));
        assert_eq!(
            (journal.batches(2, None), journal.batches(2, Some(0)), journal.batches(1, None)),
            (1, 0, 0)
        );
    }
}
