//! Deliberately broken ways to run the engine, each of which the law must catch: the simulation's teeth.

use clap::ValueEnum;

/// What is broken. Each is something that an edge could plausibly do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Broken {
    /// The batch's own row is written first, and its rows after it.
    ProgressFirst,
    /// Batches are cut by the reader's own clock, which is a little off, instead of by the log's time.
    WallClockCuts,
    /// Every insert has a token of its own, so a repeat is not known as one.
    NoToken,
    /// Tokens do not name the log time, so the batches of a log that was begun anew have those of the former one.
    TokenWithoutTime,
    /// A repeated beacon is never known as one: the duplicate horizon is 0.
    NoHorizon,
    /// Rows stand in a batch in whatever order, another for everyone who makes it.
    UnsortedRows,
    /// A repeat sends a block in two halves.
    SplitOnRetry,
    /// An owner goes on at the first offset that no batch holds, with no state.
    NoReplay,
    /// A snapshot is taken for the state at the last batch, whichever cut it is of.
    SnapshotOfOtherCut,
    /// What is replayed is written again.
    ReplayEmits,
    /// A replay begins with the definition set of the last batch instead of the one of its beginning.
    ReplayWithLatestSet,
    /// A replay begins with the log time of the last batch instead of the one of its beginning.
    ReplayAtLatestTime,
    /// An owner that was paused goes on as if it still owned its partitions.
    LeaseIgnored,
    /// The tables remember two parts.
    NarrowWindow,
    /// What a partition's log holds is asked once and before its last batch, and believed though the batch is newer.
    OneLook,
    /// That a log was begun anew is seen by its end only, so not when it has grown past the last batch since.
    OffsetsOnly,
    /// An insert that failed three times is given up.
    GivesUp,
}

impl Broken {
    /// All of them.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }
}
