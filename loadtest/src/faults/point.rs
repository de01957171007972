//! The places at which a fault strikes, by name.
//!
//! The product knows nothing of them: each is a moment in the conversation between an aggregator and ClickHouse
//! that a [proxy](super::proxy) sees.

use std::fmt;

/// A moment at which something is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// A batch begins: its first table's insert has been sent and does not reach ClickHouse.
    BeforeFirstTable,
    /// One table of a batch was written and confirmed, another one's insert does not reach ClickHouse.
    BetweenTables,
    /// A table was written, and its confirmation does not reach the aggregator.
    TableUnanswered,
    /// Every table was written, and the batch's own row does not reach ClickHouse.
    BeforeBatchesRow,
    /// The batch's own row was written, and its confirmation does not reach the aggregator.
    BatchesRowUnanswered,
    /// Where partitions go on was read, and the answer does not reach the aggregator.
    StartLookup,
    /// A short time after the aggregator learned where a partition goes on: it replays.
    Replay,
    /// ClickHouse, between the first confirmed table of a batch and the next one.
    ServerBetweenTables,
    /// ClickHouse, while it works on an insert.
    ServerDuringInsert,
    /// ClickHouse, between the last table of a batch and the batch's own row.
    ServerBeforeBatchesRow,
    /// Any moment.
    Random,
}

impl Point {
    /// Where an aggregator is killed.
    pub const OF_AGGREGATOR: [Self; 7] = [
        Self::BeforeFirstTable,
        Self::BetweenTables,
        Self::TableUnanswered,
        Self::BeforeBatchesRow,
        Self::BatchesRowUnanswered,
        Self::StartLookup,
        Self::Replay,
    ];
    /// Where an aggregator is stopped: with inserts of a batch that its successor will write as well.
    pub const OF_ZOMBIE: [Self; 4] =
        [Self::BetweenTables, Self::BeforeBatchesRow, Self::Random, Self::BeforeFirstTable];
    /// Where ClickHouse is killed.
    pub const OF_SERVER: [Self; 3] =
        [Self::ServerBetweenTables, Self::ServerDuringInsert, Self::ServerBeforeBatchesRow];

    /// The name in what is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeforeFirstTable => "before_first_table",
            Self::BetweenTables | Self::ServerBetweenTables => "between_tables",
            Self::TableUnanswered => "table_unanswered",
            Self::BeforeBatchesRow | Self::ServerBeforeBatchesRow => "before_batches_row",
            Self::BatchesRowUnanswered => "batches_row_unanswered",
            Self::StartLookup => "start_lookup",
            Self::Replay => "replay",
            Self::ServerDuringInsert => "during_insert",
            Self::Random => "random",
        }
    }

    /// Whether the blow follows some time after the point, while what began there goes on.
    pub fn is_beginning(self) -> bool {
        matches!(self, Self::Replay | Self::ServerDuringInsert | Self::Random)
    }

    /// Whether it comes only when partitions are assigned.
    pub fn needs_assignment(self) -> bool {
        matches!(self, Self::StartLookup | Self::Replay)
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
