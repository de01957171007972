//! The questions that are asked of everyone's tables, each in the words of its owner.

use std::time::Duration;

use deploy::stack::{ADMIN, PASSWORD};
use serde::{Deserialize, Serialize};

use crate::cost::question::{Asked, ask};
use crate::observe::Process;
use crate::observe::targets::Server;

/// How long each question is asked over and over: many ticks of the kernel's clock.
const ASKED_FOR: Duration = Duration::from_secs(2);

/// Whose tables answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tables {
    /// Those that the aggregator writes.
    Ours,
    /// Latencies by the minute that materialized views fill.
    Minutes,
    /// Every event.
    Events,
}

impl Tables {
    /// Name in a table of results.
    pub fn title(self) -> &'static str {
        match self {
            Self::Ours => "views of `sli`",
            Self::Minutes => "t-digests by the minute (materialized view)",
            Self::Events => "raw events",
        }
    }
}

/// A question, and how it is put to one owner's tables.
#[derive(Debug, Clone, Copy)]
struct Question {
    what: &'static str,
    tables: Tables,
    sql: &'static str,
    lacks: &'static str,
}

/// A question and what its answer took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// The question in words.
    pub what: String,
    /// Whose tables answered.
    pub tables: Tables,
    /// What this answer leaves out; empty for nothing.
    pub lacks: String,
    /// What it took.
    pub asked: Asked,
}

const SLOW_PAGES: &str = "95th percentile of page loads, by route and minute";
const PROMISE: &str = "how often a lecture plays within 2 s of its opening on the web";

const PROMISES: &str = "how every promise of every journey stands";
/// What the views of promises leave out.
const TEN_SECONDS: &str =
    "what came in the last 10 s: computed every 10 s, as in the last row, for everyone who asks";

const QUESTIONS: [Question; 7] = [
    Question {
        what: SLOW_PAGES,
        tables: Tables::Ours,
        sql: "SELECT route, window_start, p95 FROM sli.journeys WHERE app = 'studyapp-web' AND journey = 'page-load'",
        lacks: "",
    },
    Question {
        what: SLOW_PAGES,
        tables: Tables::Minutes,
        sql: "SELECT route, window_start, quantilesTDigestIfMerge(0.5, 0.75, 0.95, 0.99)(latency)[3] AS p95 \
              FROM peers.minutes WHERE app = 'studyapp-web' AND event = 'browser.navigation' GROUP BY route, window_start",
        lacks: "repeats and bots count, sampled sessions count once",
    },
    Question {
        what: SLOW_PAGES,
        tables: Tables::Events,
        sql: "SELECT attributes['route'] AS route, toStartOfMinute(time) AS window_start, quantile(0.95)(value) AS p95 \
              FROM peers.events WHERE app = 'studyapp-web' AND name = 'browser.navigation' GROUP BY route, window_start",
        lacks: "repeats and bots count, sampled sessions count once",
    },
    Question {
        what: PROMISE,
        tables: Tables::Ours,
        sql: "SELECT valid, good, ratio FROM sli.slo_status \
              WHERE app = 'studyapp-web' AND journey = 'watch-lecture' AND objective = 'fast'",
        lacks: TEN_SECONDS,
    },
    Question {
        what: PROMISE,
        tables: Tables::Events,
        sql: "SELECT count() AS attempts, countIf(played >= opened AND played <= opened + toIntervalSecond(2)) AS good FROM \
              (SELECT session, attempt, minIf(time, opens) AS opened, minIf(time, name = 'video.first_frame') AS played FROM \
              (SELECT session, time, name, name = 'user.action' AND attributes['name'] = 'lecture.open' AS opens, \
              sum(opens) OVER (PARTITION BY session ORDER BY time) AS attempt FROM peers.events \
              WHERE app = 'studyapp-web' AND name IN ('user.action', 'video.first_frame')) \
              WHERE attempt > 0 GROUP BY session, attempt)",
        lacks: "no failures, deadlines, abandoned or unknown attempts; repeats open attempts of their own; one journey of all",
    },
    Question {
        what: PROMISES,
        tables: Tables::Ours,
        sql: "SELECT * FROM sli.slo_status",
        lacks: TEN_SECONDS,
    },
    Question {
        what: PROMISES,
        tables: Tables::Ours,
        sql: "SELECT * FROM sli.objective_counts_now",
        lacks: "",
    },
];

/// A server and its process.
#[derive(Debug, Clone)]
pub struct Answering {
    /// Base URL.
    pub url: String,
    /// The process.
    pub process: Process,
}

/// Asks `ours` and, of what was filled there (`filled`), the peers' server.
///
/// # Errors
/// When a question is refused.
pub async fn ask_all(
    ours: &Answering,
    theirs: &Answering,
    filled: &[Tables],
) -> anyhow::Result<Vec<Answered>> {
    let mut all = Vec::new();
    for Question { what, tables, sql, lacks } in QUESTIONS {
        let answering = match tables {
            Tables::Ours => ours,
            Tables::Minutes | Tables::Events if filled.contains(&tables) => theirs,
            Tables::Minutes | Tables::Events => continue,
        };
        let server =
            Server { url: answering.url.clone(), user: ADMIN.to_owned(), password: PASSWORD.to_owned() };
        let asked = ask(&server, answering.process.clone(), sql, ASKED_FOR).await?;
        all.push(Answered { what: what.to_owned(), tables, lacks: lacks.to_owned(), asked });
    }
    Ok(all)
}
