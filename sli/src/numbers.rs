//! What ClickHouse says of objectives: rows of its views, read as they are.
//!
//! Nothing is calculated here but where a window begins; what the columns mean stands in the DDL's comments.

use deploy::clickhouse::ClickHouse;
use deploy::error::StackError;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

mod policies;

/// Longer windows begin with a whole hour, as those of `sli.slo_status` and `sli.slo_burn` do, s.
const MINUTES_UNTIL_S: u64 = 7_200;
/// Longest window that can be asked for: as long as hours are kept, s.
pub(crate) const WINDOW_S_MAX: u64 = 5 * 365 * 86_400;

/// Columns of `sli.slo_status`, times in ISO 8601.
const STATUS: &str = "SELECT app, journey, objective, title, promise, product, owner, policy, version, description, \
    target, window, formatDateTime(window_from, '%FT%TZ') AS window_from, formatDateTime(s.since, '%FT%TZ') AS since, good, valid, ratio, low, high, observed, \
    observed_bad, budget_total, budget_left, sessions_hurt, unknown_share, ratio_if_unknown_bad, coverage, coverage_measured, \
    formatDateTime(s.complete_until, '%FT%TZ') AS complete_until, alert, state \
    FROM sli.slo_status AS s";

/// An objective over its window: a row of `sli.slo_status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Status {
    /// App.
    pub(crate) app: String,
    /// Journey.
    pub(crate) journey: String,
    /// Objective; empty for a journey without any.
    pub(crate) objective: String,
    /// Title of the journey.
    pub(crate) title: String,
    /// The promise in the words of the users.
    pub(crate) promise: String,
    /// Product that the journey belongs to.
    pub(crate) product: String,
    /// Owning team or role.
    pub(crate) owner: String,
    /// Error-budget policy.
    pub(crate) policy: String,
    /// Hash of rule, target and window: a changed objective is a new version.
    pub(crate) version: String,
    /// What makes a valid attempt good.
    pub(crate) description: String,
    /// Share of the valid attempts that must be good; null for an indicator that nobody has adopted.
    pub(crate) target: Option<f64>,
    /// Window: `28d`, or `week`, `month`, `quarter` of the calendar.
    pub(crate) window: String,
    /// Where the window begins.
    pub(crate) window_from: Option<String>,
    /// The first hour in it that has counts of this version; null without any.
    pub(crate) since: Option<String>,
    /// Good attempts.
    pub(crate) good: u64,
    /// Valid attempts.
    pub(crate) valid: u64,
    /// Good ÷ valid; null where nothing was valid.
    pub(crate) ratio: Option<f64>,
    /// Lower end of the ratio's 95 % interval.
    pub(crate) low: Option<f64>,
    /// Upper end of it.
    pub(crate) high: Option<f64>,
    /// Valid attempts as observed, unweighted.
    pub(crate) observed: u64,
    /// Those of them that were not good.
    pub(crate) observed_bad: u64,
    /// Attempts that may be bad; null without a target.
    pub(crate) budget_total: Option<f64>,
    /// Attempts that may still be bad; negative when the promise is broken.
    pub(crate) budget_left: Option<f64>,
    /// Sessions with a bad attempt.
    pub(crate) sessions_hurt: u64,
    /// Share of the attempts whose end is not known.
    pub(crate) unknown_share: Option<f64>,
    /// The ratio if all of those were bad.
    pub(crate) ratio_if_unknown_bad: Option<f64>,
    /// Share of the app's beacons that arrived, where it can be measured.
    pub(crate) coverage: Option<f64>,
    /// Share of the app's sessions whose beacons are numbered, so that coverage is measured on them.
    pub(crate) coverage_measured: Option<f64>,
    /// Until when the numbers are complete.
    pub(crate) complete_until: Option<String>,
    /// Strongest burn alert: `none`, `ticket` or `page`.
    pub(crate) alert: String,
    /// `kept`, `at_risk`, `broken`, `insufficient_data` or `no_objective`.
    pub(crate) state: String,
}

/// How fast an objective uses up its budget over a pair of windows: a row of `sli.slo_burn`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Burn {
    /// App.
    pub(crate) app: String,
    /// Journey.
    pub(crate) journey: String,
    /// Objective.
    pub(crate) objective: String,
    /// Version of the objective.
    pub(crate) version: String,
    /// Shorter window.
    pub(crate) short_window: String,
    /// Longer window.
    pub(crate) long_window: String,
    /// What an alert of this pair is: `page` or `ticket`.
    pub(crate) severity: String,
    /// Both windows must burn faster than this.
    pub(crate) factor: f64,
    /// How fast the shorter burns: 1 uses the budget up exactly at the end of the objective's window.
    pub(crate) short_burn: Option<f64>,
    /// How fast the longer burns.
    pub(crate) long_burn: Option<f64>,
    /// Valid attempts in the longer window.
    pub(crate) long_valid: u64,
    /// Bad attempts in the longer window.
    pub(crate) long_bad: u64,
    /// `severity` when it burns too fast, else `none`.
    pub(crate) alert: String,
}

/// Good and valid attempts in a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Counts {
    /// Begin, inclusive.
    pub(crate) from: String,
    /// End, exclusive.
    pub(crate) until: String,
    /// Good attempts.
    pub(crate) good: u64,
    /// Valid attempts.
    pub(crate) valid: u64,
    /// Valid attempts that were not good.
    pub(crate) bad: u64,
}

/// What the file of an objective says beside its rule and target.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub(crate) struct Promise {
    pub(crate) source: String,
    pub(crate) calendar: String,
}

/// What was counted since an objective's version was activated: a row of `sli.objective_totals`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Total {
    pub(crate) app: String,
    pub(crate) journey: String,
    pub(crate) objective: String,
    pub(crate) version: String,
    pub(crate) valid: u64,
    pub(crate) bad: u64,
}

/// A current objective, and what counts against it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Listed {
    pub(crate) app: String,
    pub(crate) journey: String,
    pub(crate) objective: String,
    pub(crate) version: String,
    pub(crate) target: Option<f64>,
    /// Seconds since the epoch.
    pub(crate) complete_until: Option<i64>,
    /// What an attempt is: `journey`, `event` or `session`.
    pub(crate) attempt: String,
}

/// Reads the views as a user who may only read.
#[derive(Debug, Clone)]
pub(crate) struct Numbers {
    clickhouse: ClickHouse,
}

impl Numbers {
    /// Reads from this server.
    pub(crate) fn new(clickhouse: ClickHouse) -> Self {
        Self { clickhouse }
    }

    /// Every objective over its window, in the order of app, journey and objective.
    pub(crate) async fn statuses(&self) -> Result<Vec<Status>, StackError> {
        self.rows(&format!("{STATUS} ORDER BY app, journey, objective"), &[]).await
    }

    /// One objective over its window.
    pub(crate) async fn status(&self, key: Key<'_>) -> Result<Option<Status>, StackError> {
        let sql = format!("{STATUS} WHERE {OF_KEY}");
        Ok(self.rows(&sql, &key.parameters()).await?.pop())
    }

    /// What the file of a current objective says of it.
    pub(crate) async fn promise(&self, key: Key<'_>) -> Result<Promise, StackError> {
        let sql = "SELECT source, calendar FROM sli.active_objectives \
            WHERE app IN ({app:String}, '*') AND journey = {journey:String} AND objective = {objective:String}";
        Ok(self.rows(sql, &key.parameters()).await?.pop().unwrap_or_default())
    }

    /// Window pairs of one objective.
    pub(crate) async fn burn(&self, key: Key<'_>) -> Result<Vec<Burn>, StackError> {
        self.rows(&format!("{BURN} WHERE {OF_KEY} ORDER BY factor DESC"), &key.parameters()).await
    }

    /// Window pairs of every objective that burn too fast.
    pub(crate) async fn alerts(&self) -> Result<Vec<Burn>, StackError> {
        self.rows(&format!("{BURN} WHERE alert != 'none' ORDER BY app, journey, objective, factor DESC"), &[])
            .await
    }

    /// The current objectives, a new one at once: its counters begin at 0.
    pub(crate) async fn listed(&self) -> Result<Vec<Listed>, StackError> {
        let sql = "SELECT o.app AS app, o.journey AS journey, objective, version, target, \
            toUnixTimestamp(complete_until) AS complete_until, defined.attempt AS attempt \
            FROM sli.objective_counts_now AS o \
            LEFT JOIN sli.active_journeys AS defined \
                ON defined.journey = o.journey AND (defined.app = o.app OR defined.app = '*') \
            WHERE objective != '' ORDER BY app, journey, objective SETTINGS join_use_nulls = 0";
        self.rows(sql, &[]).await
    }

    /// What was counted of every objective since its activation.
    pub(crate) async fn totals(&self) -> Result<Vec<Total>, StackError> {
        let sql = "SELECT app, journey, objective, version, sum(t.valid) AS valid, sum(t.bad) AS bad \
            FROM sli.objective_totals AS t GROUP BY app, journey, objective, version";
        self.rows(sql, &[]).await
    }

    /// The counts of an objective's version in the window of `window_s` seconds before `until_s` (since the epoch).
    ///
    /// A window of more than two hours begins with a whole hour, by the rule of the views: over the window of the objective
    /// and until its numbers are complete, the counts are those of the status.
    pub(crate) async fn counts(
        &self,
        key: Key<'_>,
        version: &str,
        window_s: u64,
        until_s: i64,
    ) -> Result<Counts, StackError> {
        let hour_s = until_s - until_s.rem_euclid(3600);
        let whole_hours = window_s > MINUTES_UNTIL_S;
        let from_s = if whole_hours { hour_s } else { until_s } - window_s as i64;
        let minutes_from_s = if whole_hours { hour_s } else { from_s };
        let sql = format!(
            "SELECT formatDateTime(toDateTime({{from:Int64}}, 'UTC'), '%FT%TZ') AS from, \
                formatDateTime(toDateTime({{until:Int64}}, 'UTC'), '%FT%TZ') AS until, \
                toUInt64(greatest(0, toInt64(sum(w.valid)) - toInt64(sum(w.bad)))) AS good, \
                sum(w.valid) AS valid, sum(w.bad) AS bad \
            FROM ( \
                SELECT app, journey, objective, version, valid, bad FROM sli.objective_hours \
                WHERE window_start >= {{from:Int64}} AND window_start < {{minutes_from:Int64}} \
                UNION ALL \
                SELECT app, journey, objective, version, valid, bad FROM sli.objective_minutes \
                WHERE window_start >= {{minutes_from:Int64}} AND window_start < {{until:Int64}} \
            ) AS w WHERE {OF_KEY} AND version = {{version:String}}"
        );
        let mut parameters = key.parameters().to_vec();
        parameters.push(("version", version.to_owned()));
        parameters.push(("from", from_s.to_string()));
        parameters.push(("minutes_from", minutes_from_s.to_string()));
        parameters.push(("until", until_s.to_string()));
        let mut rows = self.rows(&sql, &parameters).await?;
        Ok(rows.pop().unwrap_or_else(|| unreachable!("sums without groups are one row")))
    }

    /// Good and valid attempts of an objective's version by the hour, since `since` (ISO 8601).
    pub(crate) async fn hours(
        &self,
        key: Key<'_>,
        version: &str,
        since: &str,
    ) -> Result<Vec<Counts>, StackError> {
        let sql = format!(
            "SELECT formatDateTime(w.window_start, '%FT%TZ') AS from, \
                formatDateTime(w.window_start + INTERVAL 1 HOUR, '%FT%TZ') AS until, \
                toUInt64(greatest(0, toInt64(sum(w.valid)) - toInt64(sum(w.bad)))) AS good, \
                sum(w.valid) AS valid, sum(w.bad) AS bad \
            FROM sli.objective_hours AS w \
            WHERE {OF_KEY} AND version = {{version:String}} AND w.window_start >= parseDateTimeBestEffort({{since:String}}, 'UTC') \
            GROUP BY w.window_start ORDER BY w.window_start"
        );
        let mut parameters = key.parameters().to_vec();
        parameters.push(("version", version.to_owned()));
        parameters.push(("since", since.to_owned()));
        self.rows(&sql, &parameters).await
    }

    /// The most frequent reasons of a journey's bad attempts in the last `hours` hours before `until` (ISO 8601).
    pub(crate) async fn reasons(
        &self,
        app: &str,
        journey: &str,
        hours: u32,
        until: &str,
    ) -> Result<Vec<Reason>, StackError> {
        let sql = "SELECT reason, sum(attempts) AS attempts FROM sli.journey_minutes AS m \
            ARRAY JOIN mapKeys(m.reasons) AS reason, mapValues(m.reasons) AS attempts \
            WHERE app = {app:String} AND journey = {journey:String} \
                AND m.window_start < parseDateTimeBestEffort({until:String}, 'UTC') \
                AND m.window_start >= parseDateTimeBestEffort({until:String}, 'UTC') - toIntervalHour({hours:UInt32}) \
            GROUP BY reason ORDER BY attempts DESC, reason LIMIT 3";
        let parameters = [
            ("app", app.to_owned()),
            ("journey", journey.to_owned()),
            ("hours", hours.to_string()),
            ("until", until.to_owned()),
        ];
        self.rows(sql, &parameters).await
    }

    /// Whether the server goes on computing what objectives counted; if not, say [`LATE`].
    pub(crate) async fn is_current(&self) -> Result<bool, StackError> {
        let sql = "SELECT count() AS counted, countIf(computed_at < now() - INTERVAL 1 MINUTE) AS late \
            FROM sli.objective_counts";
        let rows = self.clickhouse.query(sql).await?;
        match rows.first().map(|row| (&row["counted"], &row["late"])) {
            // It was never done, or there is nothing to count.
            Some((counted, _)) if counted == 0 => Ok(self.listed().await?.is_empty()),
            Some((_, late)) => Ok(late == 0),
            None => Ok(false),
        }
    }

    async fn rows<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: &[(&str, String)],
    ) -> Result<Vec<T>, StackError> {
        self.clickhouse.query_as(sql, parameters).await
    }
}

/// Why answers would be old ones.
pub(crate) const LATE: &str =
    "what objectives counted was not computed for a minute: system.view_refreshes of ClickHouse says why";

const BURN: &str = "SELECT app, journey, objective, version, short_window, long_window, severity, factor, short_burn, \
    long_burn, long_valid, long_bad, alert FROM sli.slo_burn";

const OF_KEY: &str = "app = {app:String} AND journey = {journey:String} AND objective = {objective:String}";

/// Names of an objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key<'a> {
    pub(crate) app: &'a str,
    pub(crate) journey: &'a str,
    pub(crate) objective: &'a str,
}

impl Key<'_> {
    fn parameters(&self) -> [(&'static str, String); 3] {
        [
            ("app", self.app.to_owned()),
            ("journey", self.journey.to_owned()),
            ("objective", self.objective.to_owned()),
        ]
    }
}

/// Why attempts were bad, and how many.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Reason {
    pub(crate) reason: String,
    pub(crate) attempts: u64,
}

#[cfg(test)]
impl Status {
    /// A promise that is broken by as much as it allows, under policy `strict`.
    pub(crate) fn broken() -> Self {
        let row = serde_json::json!({
            "app": "web", "journey": "watch", "objective": "works", "title": "Watch", "promise": "It plays.",
            "product": "school", "owner": "team", "policy": "strict", "version": "v1", "description": "success",
            "target": 0.99, "window": "28d", "window_from": null, "since": null, "good": 980, "valid": 1000,
            "ratio": 0.98, "low": null, "high": null, "observed": 1000, "observed_bad": 20, "budget_total": 10.0,
            "budget_left": -10.0, "sessions_hurt": 20, "unknown_share": null, "ratio_if_unknown_bad": null,
            "coverage": null, "complete_until": null, "alert": "page", "state": "broken",
        });
        serde_json::from_value(row).unwrap()
    }
}
