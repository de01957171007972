//! Where a partition begins, as a pure function of its last batch, of what the log holds, and of the snapshot that
//! was found. Asking for these three is left to the module above.

use serde::Deserialize;

use crate::engine::Cut;

/// What a partition's last batch says; the columns of `sli.batches` of the same names. The default is what stands
/// before the first one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct LastBatch {
    /// How often the log had gone back before.
    pub generation: u32,
    /// Offset after its range.
    pub next_offset: i64,
    /// Oldest offset that the state at `next_offset` needs.
    pub replay_from: i64,
    /// Log time before `replay_from`, ms.
    pub replay_log_time_ms: i64,
    /// Definition set that was active before `replay_from`, empty for none.
    pub replay_definition_set: String,
    /// Log time at the end of its range, ms.
    pub log_time_ms: i64,
    /// Its definition set, empty for none.
    pub definition_set: String,
}

/// What the log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// First offset.
    pub low: i64,
    /// Offset after the last.
    pub high: i64,
    /// First offset that was appended after the log time of the last batch. None that the batch covers can be, unless
    /// the log was begun anew and has grown since.
    pub newer: Option<i64>,
}

/// Where reading begins, and with what state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// First offset to read.
    pub offset: i64,
    /// What it means.
    pub kind: StartKind,
    /// The state before that offset.
    pub state: State,
}

/// What the engine begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The snapshot; records before `next_offset` only bring it up to the last batch.
    Snapshot {
        /// Its cut.
        cut: Cut,
        /// First offset that no batch holds yet.
        next_offset: i64,
    },
    /// No session; records before `next_offset` rebuild the state.
    Replay {
        /// How often the log has gone back.
        generation: u32,
        /// First offset that the state needs, whether the log still holds it or not.
        replay_from: i64,
        /// Definition set to begin with, empty for none.
        definition_set: String,
        /// First offset that no batch holds yet.
        next_offset: i64,
    },
}

/// How a partition starts; all but the first two mean that something was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartKind {
    /// No batch was ever written, and nothing was deleted.
    Fresh,
    /// Everything that is needed is there.
    Resumed,
    /// The log no longer holds the oldest records that the state needs, but everything that is not yet counted.
    StateIncomplete,
    /// The log no longer holds records that were not yet counted.
    RecordsLost,
    /// The log ends before what was counted: it was truncated, or the topic made anew.
    WentBack,
}

impl StartKind {
    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Resumed => "resumed",
            Self::StateIncomplete => "state_incomplete",
            Self::RecordsLost => "records_lost",
            Self::WentBack => "went_back",
        }
    }

    /// Whether something was lost.
    pub fn is_loss(self) -> bool {
        match self {
            Self::Fresh | Self::Resumed => false,
            Self::StateIncomplete | Self::RecordsLost | Self::WentBack => true,
        }
    }
}

/// Why a snapshot is of no use for a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// It ends after the last batch: another log had it, or the batch's row was lost.
    Ahead,
    /// It is older than what a replay begins with, or of the log before that went back.
    Outdated,
    /// The log no longer holds the record after it.
    NotHeld,
}

impl Misfit {
    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ahead => "ahead",
            Self::Outdated => "outdated",
            Self::NotHeld => "not_held",
        }
    }
}

/// Decides where a partition begins.
pub fn decide(last: Option<&LastBatch>, held: Held, snapshot: Option<Cut>) -> Beginning {
    let Some(last) = last else {
        // What was deleted before anybody counted it is lost as well.
        let kind = if held.low > 0 { StartKind::RecordsLost } else { StartKind::Fresh };
        let state =
            State::Replay { generation: 0, replay_from: 0, definition_set: String::new(), next_offset: 0 };
        return Beginning { offset: held.low, kind, state };
    };
    let snapshot = snapshot.filter(|cut| judge(last, held, *cut).is_ok());
    let kind = kind_of(last, held, snapshot);
    let (offset, state) = match (kind, snapshot) {
        (StartKind::WentBack, _) => after_going_back(last, held),
        (_, Some(cut)) => (cut.next_offset, State::Snapshot { cut, next_offset: last.next_offset }),
        (_, None) => {
            // What is deleted may hold the record that activated the set of the last batch.
            let is_whole = held.low <= last.replay_from;
            let definition_set = if is_whole { &last.replay_definition_set } else { &last.definition_set };
            let state = State::Replay {
                generation: last.generation,
                replay_from: last.replay_from,
                definition_set: definition_set.clone(),
                next_offset: last.next_offset,
            };
            (last.replay_from.max(held.low), state)
        }
    };
    Beginning { offset, kind, state }
}

/// What is not newer than the last batch was counted before the log went back, and is what is left of the state.
fn after_going_back(last: &LastBatch, held: Held) -> (i64, State) {
    let next_offset = held.newer.unwrap_or(held.high);
    // What was lost may have changed the definitions, and then no replay could tell what counted under which.
    let is_same_set = last.replay_definition_set == last.definition_set;
    let replay_from = if is_same_set { last.replay_from.max(held.low).min(next_offset) } else { next_offset };
    let state = State::Replay {
        generation: last.generation + 1,
        replay_from,
        definition_set: last.definition_set.clone(),
        next_offset,
    };
    (replay_from, state)
}

/// Whether the state at `cut` leads to the state after `last`, and sooner than a replay.
///
/// # Errors
/// Says why not.
pub fn judge(last: &LastBatch, held: Held, cut: Cut) -> Result<(), Misfit> {
    if cut.generation > last.generation
        || cut.next_offset > last.next_offset
        || cut.log_time_ms > last.log_time_ms
    {
        Err(Misfit::Ahead)
    } else if cut.generation < last.generation || cut.next_offset < last.replay_from {
        Err(Misfit::Outdated)
    } else if cut.next_offset < held.low || cut.next_offset > held.high {
        Err(Misfit::NotHeld)
    } else {
        Ok(())
    }
}

fn kind_of(last: &LastBatch, held: Held, snapshot: Option<Cut>) -> StartKind {
    if held.high < last.next_offset || held.newer.is_some_and(|offset| offset < last.next_offset) {
        StartKind::WentBack
    } else if held.low > last.next_offset {
        StartKind::RecordsLost
    } else if held.low > last.replay_from && snapshot.is_none() {
        StartKind::StateIncomplete
    } else {
        StartKind::Resumed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_SNAPSHOT: Option<Cut> = None;

    fn last() -> LastBatch {
        LastBatch {
            generation: 1,
            next_offset: 100,
            replay_from: 60,
            replay_log_time_ms: 6_000,
            replay_definition_set: "set".into(),
            log_time_ms: 10_000,
            definition_set: "set".into(),
        }
    }

    /// A batch under a set that became active in what its state needs.
    fn last_of_new_set() -> LastBatch {
        LastBatch { replay_definition_set: "old".into(), definition_set: "new".into(), ..last() }
    }

    fn replay(generation: u32, replay_from: i64, definition_set: &str, next_offset: i64) -> State {
        State::Replay { generation, replay_from, definition_set: definition_set.into(), next_offset }
    }

    fn held(low: i64, high: i64) -> Held {
        Held { low, high, newer: None }
    }

    #[test]
    fn what_the_log_still_holds_decides_how_a_partition_starts() {
        let check = |low, high, expect, offset| {
            let beginning = decide(Some(&last()), held(low, high), NO_SNAPSHOT);
            assert_eq!((beginning.kind, beginning.offset), (expect, offset), "{low}..{high}");
        };
        check(0, 100, StartKind::Resumed, 60);
        check(60, 500, StartKind::Resumed, 60);
        check(61, 500, StartKind::StateIncomplete, 61);
        check(100, 500, StartKind::StateIncomplete, 100);
        check(101, 500, StartKind::RecordsLost, 101);
        check(0, 99, StartKind::WentBack, 60);
        check(70, 99, StartKind::WentBack, 70);
        check(0, 50, StartKind::WentBack, 50);
        check(0, 0, StartKind::WentBack, 0);
    }

    #[test]
    fn before_the_first_batch_all_of_the_log_is_to_be_counted() {
        let state = replay(0, 0, "", 0);
        let check = |low, expect| {
            let beginning = decide(None, held(low, 9), NO_SNAPSHOT);
            assert_eq!(beginning, Beginning { offset: low, kind: expect, state: state.clone() });
        };
        check(0, StartKind::Fresh);
        check(7, StartKind::RecordsLost);
    }

    #[test]
    fn where_its_activation_may_be_deleted_the_latest_set_is_active_from_the_start() {
        let check = |low, expect_set| {
            let beginning = decide(Some(&last_of_new_set()), held(low, 500), NO_SNAPSHOT);
            assert_eq!(beginning.state, replay(1, 60, expect_set, 100), "{low}");
        };
        check(60, "old");
        check(61, "new");
        check(130, "new");
    }

    #[test]
    fn what_is_left_of_a_log_that_went_back_only_rebuilds_the_state() {
        let check = |last: &LastBatch, newer, from, expect: State| {
            let beginning = decide(Some(last), Held { low: 0, high: 99, newer }, NO_SNAPSHOT);
            assert_eq!(beginning, Beginning { offset: from, kind: StartKind::WentBack, state: expect });
        };
        check(&last(), None, 60, replay(2, 60, "set", 99));
        check(&last(), Some(90), 60, replay(2, 60, "set", 90));
        check(&last(), Some(50), 50, replay(2, 50, "set", 50));
        check(&last(), Some(0), 0, replay(2, 0, "set", 0));
        check(&last_of_new_set(), Some(90), 90, replay(2, 90, "new", 90));
    }

    #[test]
    fn a_log_that_outgrew_the_last_batch_is_known_by_its_append_times() {
        let check = |newer, expect, offset| {
            let beginning = decide(Some(&last()), Held { low: 0, high: 500, newer }, NO_SNAPSHOT);
            assert_eq!((beginning.kind, beginning.offset), (expect, offset), "newer: {newer:?}");
        };
        check(None, StartKind::Resumed, 60);
        check(Some(100), StartKind::Resumed, 60);
        check(Some(130), StartKind::Resumed, 60);
        check(Some(99), StartKind::WentBack, 60);
        check(Some(0), StartKind::WentBack, 0);
    }

    #[test]
    fn a_snapshot_is_used_when_it_leads_to_the_last_batch() {
        let check = |held: Held, next_offset, log_time_ms, expect: Result<(), Misfit>| {
            let cut = Cut { generation: 1, next_offset, log_time_ms };
            assert_eq!(judge(&last(), held, cut), expect, "{cut:?} in {held:?}");
            let beginning = decide(Some(&last()), held, Some(cut));
            let from_snapshot = beginning.state == State::Snapshot { cut, next_offset: 100 };
            assert_eq!(from_snapshot, expect.is_ok(), "{cut:?} in {held:?}");
            if expect.is_ok() {
                assert_eq!((beginning.kind, beginning.offset), (StartKind::Resumed, next_offset));
            }
        };
        check(held(0, 500), 80, 8_000, Ok(()));
        check(held(0, 500), 60, 6_001, Ok(()));
        check(held(0, 500), 100, 10_000, Ok(()));
        check(held(0, 500), 101, 10_000, Err(Misfit::Ahead));
        check(held(0, 500), 100, 10_001, Err(Misfit::Ahead));
        check(held(0, 500), 59, 8_000, Err(Misfit::Outdated));
        check(held(80, 500), 80, 8_000, Ok(()));
        check(held(81, 500), 80, 8_000, Err(Misfit::NotHeld));
    }

    #[test]
    fn a_snapshot_of_another_generation_is_not_used() {
        let check = |generation, expect| {
            let cut = Cut { generation, next_offset: 80, log_time_ms: 8_000 };
            assert_eq!(judge(&last(), held(0, 500), cut), expect, "generation {generation}");
        };
        check(0, Err(Misfit::Outdated));
        check(1, Ok(()));
        check(2, Err(Misfit::Ahead));
    }

    #[test]
    fn no_snapshot_hides_a_loss() {
        let cut = Some(Cut { generation: 1, next_offset: 80, log_time_ms: 8_000 });
        let check = |held, expect| assert_eq!(decide(Some(&last()), held, cut).kind, expect, "{held:?}");
        check(held(0, 99), StartKind::WentBack);
        check(Held { low: 0, high: 500, newer: Some(5) }, StartKind::WentBack);
        check(held(101, 500), StartKind::RecordsLost);
        check(held(90, 500), StartKind::StateIncomplete);
    }
}
