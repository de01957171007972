-- What was promised and what was kept. Everything here ends where the data is complete, not at now, so that a
-- late batch never makes a good minute look bad, nor a stopped pipeline a bad one look good. Only where a session is
-- the attempt can a crash that is told of days later still make a complete minute worse.
-- Good is never less than nothing: the bad of a session can come under a later version of its objective.

-- A window is read as days where it is whole ones, as hours where it begins and in the last three days, and as minutes after its
-- last complete hour. `first_hours` are those that a rolling window can begin with until its first whole day: deadlines,
-- and so ends of windows, lie 4 hours apart at most.
CREATE OR REPLACE VIEW sli.progress AS
WITH
    (SELECT argMax((set_id, grace_ms, timeout_ms_max, windows_days), (activated_at, set_id)) FROM sli.definitions) AS active,
    arrayDistinct(arrayPushBack(active.4, 28)) AS windows_days
SELECT
    current.topic AS topic,
    active.1 AS set_id,
    current.log_time_ms AS log_time_ms,
    active.2 AS grace_ms,
    toStartOfHour(toDateTime(intDiv(log_time_ms - greatest(30000, active.3) - grace_ms, 1000), 'UTC')) AS first_open_hour,
    toStartOfDay(first_open_hour - toIntervalDay(arrayMax(windows_days))) AS first_window_day,
    arrayFlatten(arrayMap(d -> arrayMap(h -> first_open_hour - toIntervalDay(d) + toIntervalHour(h), range(30)), windows_days)) AS first_hours
FROM
(
    -- One topic is current: before partitions are added by a new topic, the old one is drained. Of a topic that was
    -- recreated with fewer partitions the others are not waited for: minutes are kept for 90 days.
    SELECT
        argMaxOrNull(topic, newest_ms) AS topic,
        argMaxOrNull(arrayMin(arrayFilter(ms -> ms >= newest_ms - 90 * 86400000, partitions_ms)), newest_ms) AS log_time_ms
    FROM
    (
        SELECT topic, max(reached_ms) AS newest_ms, groupArray(reached_ms) AS partitions_ms
        FROM (SELECT topic, partition, max(b.log_time_ms) AS reached_ms FROM sli.batches AS b GROUP BY topic, partition)
        GROUP BY topic
    )
) AS current
COMMENT 'One row: how far the slowest partition of the current topic is; the first hour that is not complete for every journey, and where the windows that end there begin. A partition that never wrote a batch is not known here';

CREATE OR REPLACE VIEW sli.listed_journeys AS
WITH
    (SELECT (log_time_ms, grace_ms) FROM sli.progress) AS progress,
    progress.1 AS progress_ms,
    progress.2 AS grace_ms
SELECT
    listed.app AS app,
    listed.journey AS journey,
    defined.app AS defined_for,
    if(defined.app = '', 30000, defined.timeout_ms) AS timeout_ms,
    toDateTime(intDiv(progress_ms, 1000), 'UTC') AS log_time,
    toStartOfMinute(toDateTime(intDiv(progress_ms - timeout_ms - grace_ms, 1000), 'UTC')) AS complete_until
FROM
(
    SELECT app, journey
    FROM sli.active_journeys
    WHERE app != '*'
    UNION DISTINCT
    SELECT app, journey
    FROM sli.journey_hours
    GROUP BY app, journey
    HAVING max(window_start) > toDateTime(intDiv(progress_ms, 1000), 'UTC') - INTERVAL 28 DAY
) AS listed
LEFT JOIN sli.active_journeys AS defined
    ON defined.journey = listed.journey AND (defined.app = listed.app OR defined.app = '*')
SETTINGS join_use_nulls = 0
COMMENT 'Journeys that are defined for an app by name, or were seen in the last 28 days; defined_for is empty for discovered ones, whose timeout is the default of 30 s';

CREATE OR REPLACE VIEW sli.freshness AS
SELECT app, journey, complete_until, log_time, timeout_ms
FROM sli.listed_journeys
COMMENT 'Until when every attempt of a journey has settled: log time less timeout and grace; NULL where nothing was read yet';

CREATE OR REPLACE VIEW sli.discovered AS
WITH (SELECT max(last) FROM (SELECT app, journey, max(window_start) AS last FROM sli.journey_hours GROUP BY app, journey)) AS last_hour
SELECT
    source.app AS app,
    source.journey AS journey,
    sum(source.attempts) AS attempts,
    toUInt64(greatest(0, toInt64(sum(source.attempts)) - toInt64(sum(source.failure) + sum(source.timeout) + sum(source.interrupted) + sum(source.abandoned) + sum(source.cancelled) + sum(source.unknown)))) AS success,
    min(source.window_start) AS first_seen,
    max(source.window_start) AS last_seen
FROM sli.journey_hours AS source
WHERE source.window_start > last_hour - INTERVAL 28 DAY
    AND (source.app, source.journey) IN (SELECT app, journey FROM sli.listed_journeys WHERE defined_for = '')
GROUP BY app, journey
COMMENT 'Journeys that an app declares and nobody has defined, in the last 28 days';

CREATE OR REPLACE VIEW sli.slo_events AS
SELECT
    source.app AS app,
    source.journey AS journey,
    source.objective AS objective,
    source.version AS version,
    source.platform AS platform,
    source.window_start AS window_start,
    toUInt64(greatest(0, toInt64(sum(source.valid)) - toInt64(sum(source.bad)))) AS good,
    sum(source.valid) AS valid,
    sum(source.bad) AS bad,
    sum(source.observed) AS observed,
    sum(source.observed_bad) AS observed_bad
FROM sli.objective_minutes AS source
WHERE source.objective != ''
GROUP BY app, journey, objective, version, platform, window_start
COMMENT 'Good and valid attempts of every objective by the minute, for evaluators of SLOs';

-- What was counted of every current objective, and of discovered journeys, which have an empty one, as of now. Days, hours and minutes are
-- read once for all of them, and each takes what lies in its windows: the window of the objective, and those of burn
-- alerts. A window of six hours or more begins with a whole hour.
-- Pairs of windows and shares of the budget: https://sre.google/workbook/alerting-on-slos/, with the pair
-- 2h/1d between. The factor is the share × the window of the objective ÷ the long window: 13.44, 5.6, 2.8 and
-- 0.933 for 28 days; a pair that is longer than the window is left out. An alert needs both windows above the
-- factor, and 5 bad attempts that were observed in the long one, so that a single error at low traffic wakes nobody.
-- Each step is a query of its own: within one, ClickHouse plans an expression anew wherever its name stands, and that
-- would take most of the time.
CREATE OR REPLACE VIEW sli.objective_counts_now AS
WITH
    (SELECT (log_time_ms, grace_ms, first_open_hour, first_window_day, first_hours, set_id) FROM sli.progress) AS progress,
    (SELECT groupUniqArray((app::String, journey::String)) FROM sli.objective_definitions WHERE set_id = progress.6) AS defined_journeys
SELECT
    * EXCEPT (windows, burning),
    arrayMap(
        p -> (p.short_window, p.long_window, p.severity, p.factor, p.short[1], p.short[2], p.long[1], p.long[2], p.long[3],
            if(p.long[3] >= 5 AND p.short[2] * 1000000 > p.factor * p.short[1] * allowed_ppm AND p.long[2] * 1000000 > p.factor * p.long[1] * allowed_ppm, p.severity, 'none'))
            ::Tuple(short_window String, long_window String, severity String, factor Float64, short_valid UInt64, short_bad UInt64, long_valid UInt64, long_bad UInt64, long_observed_bad UInt64, alert String),
        burning) AS pairs
FROM
(
    SELECT
        *,
        arrayFilter(p -> p.long_s <= window_days * 86400, [
            ('5m', '1h', 'page', 3600, 2 * 24 * window_days / 100, windows[1], windows[3]),
            ('30m', '6h', 'page', 21600, 5 * 4 * window_days / 100, windows[2], windows[5]),
            ('2h', '1d', 'ticket', 86400, 10 * window_days / 100, windows[4], windows[6]),
            ('6h', '3d', 'ticket', 259200, 10 * window_days / 300, windows[5], windows[7])
        ]::Array(Tuple(short_window String, long_window String, severity String, long_s UInt32, factor Float64, short Array(UInt64), long Array(UInt64)))) AS burning
    FROM
    (
        SELECT
            * EXCEPT (in_window, recent, quality, until, open_hour),
            if(empty(in_window), NULL, arrayMin(in_window.first_start)) AS since,
            arraySum(in_window.valid) AS valid,
            arraySum(in_window.bad) AS bad,
            arraySum(in_window.observed) AS observed,
            arraySum(in_window.observed_bad) AS observed_bad,
            arraySum(in_window.attempts) AS attempts,
            arraySum(in_window.unknown) AS unknown,
            arraySum(in_window.sessions_hurt) AS sessions_hurt,
            arraySum(quality.sequence_received) AS sequence_received,
            arraySum(quality.sequence_expected) AS sequence_expected,
            arraySum(quality.sessions) AS sessions,
            arraySum(quality.sessions_measured) AS sessions_measured,
            -- Valid, bad and bad as observed in 5m, 30m, 1h, 2h, 6h, 1d and 3d: of minutes, or of hours and the minutes after them.
            arrayMap(
                w -> arrayReduce('sumForEach', arrayConcat([[0, 0, 0]], arrayMap(r -> [r.valid, r.bad, r.observed_bad], arrayFilter(r -> r.begin >= w.1 AND r.span_s = w.2 OR w.2 = 3600 AND r.begin >= open_hour, recent)))),
                [(until - 300, 60), (until - 1800, 60), (until - 3600, 60), (until - 7200, 60), (open_hour - 21600, 3600), (open_hour - 86400, 3600), (open_hour - 259200, 3600)]) AS windows
        FROM
        (
            SELECT
                * EXCEPT (open_day, first_day, rows, quality_rows),
                arrayFilter(
                    r -> multiIf(
                        r.span_s = 60, r.begin >= open_hour AND r.begin < until,
                        r.span_s = 3600, r.begin >= window_from AND r.begin < open_hour AND (r.begin < first_day OR r.begin >= open_day),
                        r.begin >= first_day AND r.begin < open_day),
                    rows) AS in_window,
                arrayFilter(r -> r.span_s = 60 AND r.begin < until OR r.span_s = 3600 AND r.begin < open_hour, rows) AS recent,
                arrayFilter(r -> r.hour >= window_from AND r.hour < until, quality_rows) AS quality
            FROM
            (
                SELECT *, toStartOfDay(until) AS open_day, toStartOfDay(window_from + toIntervalSecond(86399)) AS first_day
                FROM
                (
                    SELECT
                        *,
                        toStartOfHour(until) AS open_hour,
                        multiIf(
                            calendar = 'week', toDateTime(toStartOfWeek(until, 1), 'UTC'),
                            calendar = 'month', toDateTime(toStartOfMonth(until), 'UTC'),
                            calendar = 'quarter', toDateTime(toStartOfQuarter(until), 'UTC'),
                            open_hour - toIntervalDay(window_days)) AS window_from
                    FROM
                    (
                        SELECT
                            counted.app AS app,
                            counted.journey AS journey,
                            counted.objective AS objective,
                            counted.version AS version,
                            o.description AS description,
                            o.target AS target,
                            1000000 - round(o.target * 1000000) AS allowed_ppm,
                            if(o.app = '', 28, o.window_days) AS window_days,
                            o.calendar AS calendar,
                            o.title AS title,
                            o.promise AS promise,
                            o.product AS product,
                            o.owner AS owner,
                            o.policy AS policy,
                            toStartOfMinute(toDateTime(intDiv(progress.1 - if(o.app = '', 30000, o.timeout_ms) - progress.2, 1000), 'UTC')) AS complete_until,
                            ifNull(complete_until, toDateTime(0, 'UTC')) AS until,
                            counted.rows AS rows,
                            q.rows AS quality_rows
                        FROM
                        (
                            SELECT app, journey, objective, version, groupArray((begin, span_s, first_start, valid, bad, observed, observed_bad, attempts, unknown, sessions_hurt)
                                ::Tuple(begin DateTime('UTC'), span_s UInt32, first_start DateTime('UTC'), valid UInt64, bad UInt64, observed UInt64, observed_bad UInt64, attempts UInt64, unknown UInt64, sessions_hurt UInt64)) AS rows
                            FROM
                            (
                                SELECT toStartOfDay(d.window_start) AS begin, app, journey, objective, version, min(d.window_start) AS first_start, sum(d.valid) AS valid, sum(d.bad) AS bad, sum(d.observed) AS observed, sum(d.observed_bad) AS observed_bad, sum(d.attempts) AS attempts, sum(d.unknown) AS unknown, sum(d.sessions_hurt) AS sessions_hurt, 86400 AS span_s
                                FROM sli.objective_hours AS d
                                WHERE toStartOfDay(d.window_start) >= progress.4
                                GROUP BY begin, app, journey, objective, version
                                UNION ALL
                                SELECT h.window_start AS begin, app, journey, objective, version, h.window_start AS first_start, sum(h.valid) AS valid, sum(h.bad) AS bad, sum(h.observed) AS observed, sum(h.observed_bad) AS observed_bad, sum(h.attempts) AS attempts, sum(h.unknown) AS unknown, sum(h.sessions_hurt) AS sessions_hurt, 3600 AS span_s
                                FROM sli.objective_hours AS h
                                WHERE h.window_start >= progress.3 - 259200 OR h.window_start IN (SELECT arrayJoin(progress.5))
                                GROUP BY h.window_start, app, journey, objective, version
                                UNION ALL
                                SELECT m.window_start AS begin, app, journey, objective, version, m.window_start AS first_start, sum(m.valid) AS valid, sum(m.bad) AS bad, sum(m.observed) AS observed, sum(m.observed_bad) AS observed_bad, sum(m.attempts) AS attempts, sum(m.unknown) AS unknown, sum(m.sessions_hurt) AS sessions_hurt, 60 AS span_s
                                FROM sli.objective_minutes AS m
                                WHERE m.window_start >= progress.3 - 7200
                                GROUP BY m.window_start, app, journey, objective, version
                                UNION ALL
                                -- What is defined for an app by name is listed before anything of it was seen.
                                SELECT toDateTime(0, 'UTC') AS begin, app, journey, objective, version, begin AS first_start, 0 AS valid, 0 AS bad, 0 AS observed, 0 AS observed_bad, 0 AS attempts, 0 AS unknown, 0 AS sessions_hurt, 0 AS span_s
                                FROM sli.objective_definitions
                                WHERE set_id = progress.6 AND app != '*'
                            )
                            GROUP BY app, journey, objective, version
                        ) AS counted
                        LEFT JOIN (SELECT * FROM sli.objective_definitions FINAL WHERE set_id = progress.6) AS o
                            ON o.journey = counted.journey AND o.objective = counted.objective AND o.version = counted.version AND (o.app = counted.app OR o.app = '*')
                        LEFT JOIN
                        (
                            SELECT app, groupArray((hour, sequence_received, sequence_expected, sessions, sessions_measured)
                                ::Tuple(hour DateTime('UTC'), sequence_received UInt64, sequence_expected UInt64, sessions UInt64, sessions_measured UInt64)) AS rows
                            FROM
                            (
                                SELECT app, hour, sum(source.sequence_received) AS sequence_received, sum(source.sequence_expected) AS sequence_expected, sum(source.sessions) AS sessions, sum(source.sessions_measured) AS sessions_measured
                                FROM sli.quality AS source
                                WHERE hour >= progress.4
                                GROUP BY app, hour
                            )
                            GROUP BY app
                        ) AS q ON q.app = counted.app
                        WHERE o.app != ''
                            OR counted.objective = '' AND NOT has(defined_journeys, (counted.app::String, counted.journey::String)) AND NOT has(defined_journeys, ('*', counted.journey::String))
                    )
                )
            )
        )
    )
)
SETTINGS join_use_nulls = 0
COMMENT 'What was counted of every current objective and discovered journey until now, in its window and in those of burn alerts, and how much of the traffic of its app arrived. A rolling window begins with a whole hour, one of the calendar at its midnight in UTC';

-- ClickHouse plans that query for longer than it runs, however little there is to read. So it is asked every ten seconds for
-- everyone; each row says until when it is complete. `SYSTEM REFRESH VIEW sli.objective_counts_refresh` does it at once.
CREATE TABLE IF NOT EXISTS sli.objective_counts
(
    app LowCardinality(String) COMMENT 'App, by its write key',
    journey LowCardinality(String) COMMENT 'Journey',
    objective LowCardinality(String) COMMENT 'Objective of the journey; empty for a discovered journey',
    version LowCardinality(String) COMMENT 'Hash of rule, target and window',
    description String COMMENT 'What is good, in words',
    target Nullable(Float64) COMMENT 'Share of the valid attempts that should be good; NULL where nobody set one',
    allowed_ppm Nullable(Float64) COMMENT 'Share of the valid attempts that may be bad, in millionths',
    window_days UInt16 COMMENT 'Length of a rolling window, days',
    calendar LowCardinality(String) COMMENT 'week, month or quarter where the window is one of the calendar, else empty',
    title String COMMENT 'Title of the journey',
    promise String COMMENT 'What users are promised',
    product LowCardinality(String) COMMENT 'Product of the journey',
    owner LowCardinality(String) COMMENT 'Team that owns the journey',
    policy LowCardinality(String) COMMENT 'Policy for a broken promise',
    complete_until Nullable(DateTime('UTC')) COMMENT 'Until when every attempt has settled; NULL where nothing was read yet',
    window_from DateTime('UTC') COMMENT 'Begin of the window that ends there',
    since Nullable(DateTime('UTC')) COMMENT 'First hour or minute of it in which something was counted',
    valid UInt64 COMMENT 'Attempts that the objective judges, weighted by sampling',
    bad UInt64 COMMENT 'Those of them that were not good',
    observed UInt64 COMMENT 'Attempts that the objective judges, as observed',
    observed_bad UInt64 COMMENT 'Those of them that were not good',
    attempts UInt64 COMMENT 'Attempts of the journey on a platform that the objective judges, weighted by sampling',
    unknown UInt64 COMMENT 'Those of them whose end is not known',
    sessions_hurt UInt64 COMMENT 'Sessions with a bad attempt',
    sequence_received UInt64 COMMENT 'Numbered beacons of the app that arrived',
    sequence_expected UInt64 COMMENT 'Numbered beacons of the app that were sent, by their numbers',
    sessions UInt64 COMMENT 'Sessions of the app',
    sessions_measured UInt64 COMMENT 'Those of them that number their beacons',
    pairs Array(Tuple(short_window String, long_window String, severity String, factor Float64, short_valid UInt64, short_bad UInt64, long_valid UInt64, long_bad UInt64, long_observed_bad UInt64, alert String)) COMMENT 'Windows of burn alerts and what was counted in them',
    computed_at DateTime('UTC') COMMENT 'When this was computed'
)
ENGINE = MergeTree
ORDER BY (app, journey, objective, version)
COMMENT 'objective_counts_now as it was up to 10 s ago; replaced as a whole';

CREATE MATERIALIZED VIEW IF NOT EXISTS sli.objective_counts_refresh
REFRESH EVERY 10 SECOND TO sli.objective_counts
AS SELECT *, now('UTC') AS computed_at FROM sli.objective_counts_now
COMMENT 'Brings objective_counts up to date; how that went is in system.view_refreshes';

CREATE OR REPLACE VIEW sli.slo_burn AS
SELECT
    c.app AS app,
    c.journey AS journey,
    c.objective AS objective,
    c.version AS version,
    c.target AS target,
    pair.short_window AS short_window,
    pair.long_window AS long_window,
    pair.severity AS severity,
    pair.factor AS factor,
    pair.short_valid AS short_valid,
    pair.short_bad AS short_bad,
    pair.long_valid AS long_valid,
    pair.long_bad AS long_bad,
    pair.long_observed_bad AS long_observed_bad,
    multiIf(short_valid = 0, NULL, short_bad = 0, 0, short_bad * 1000000 / (short_valid * c.allowed_ppm)) AS short_burn,
    multiIf(long_valid = 0, NULL, long_bad = 0, 0, long_bad * 1000000 / (long_valid * c.allowed_ppm)) AS long_burn,
    pair.alert AS alert,
    c.complete_until AS complete_until
FROM sli.objective_counts AS c
ARRAY JOIN c.pairs AS pair
WHERE c.target IS NOT NULL
COMMENT 'How fast objectives use up their budgets: 1 is a budget used up exactly at the end of the window';

-- low and high are the Wilson score interval of 95 % (Wilson 1927, doi:10.1080/01621459.1927.10502953) of the
-- observed attempts. Under 20 of them it spans more than 0.16 whatever the ratio: too little for any verdict.
-- A promise is at risk while a burn alert stands, or with less than a quarter of its budget left.
CREATE OR REPLACE VIEW sli.slo_status AS
SELECT
    app,
    journey,
    objective,
    title,
    promise,
    product,
    owner,
    policy,
    version,
    description,
    target,
    window,
    window_days,
    window_from,
    since,
    good,
    valid,
    ratio,
    observed,
    observed_bad,
    if(observed = 0, NULL, greatest(0, wilson_middle - wilson_half)) AS low,
    if(observed = 0, NULL, least(1, wilson_middle + wilson_half)) AS high,
    budget_total,
    budget_left,
    sessions_hurt,
    unknown_share,
    ratio_if_unknown_bad,
    coverage,
    coverage_measured,
    complete_until,
    alert,
    multiIf(
        target IS NULL, 'no_objective',
        observed < 20, 'insufficient_data',
        budget_left < 0, 'broken',
        alert IN ('page', 'ticket') OR budget_left < 0.25 * budget_total, 'at_risk',
        'kept') AS state
FROM
(
    SELECT
        * EXCEPT window_from,
        if(calendar = '', concat(toString(window_days), 'd'), calendar) AS window,
        if(complete_until IS NULL, NULL, o.window_from) AS window_from,
        toUInt64(greatest(0, toInt64(valid) - toInt64(bad))) AS good,
        if(valid = 0, NULL, good / valid) AS ratio,
        -- In millionths, in which targets are given, so that 0.5 % of 1,000 are 5 and not 5.0000000000000044.
        valid * allowed_ppm / 1000000 AS budget_total,
        (valid * allowed_ppm - (valid - good) * 1000000) / 1000000 AS budget_left,
        if(attempts = 0, NULL, unknown / attempts) AS unknown_share,
        if(valid + unknown = 0, NULL, good / (valid + unknown)) AS ratio_if_unknown_bad,
        if(sequence_expected = 0, NULL, sequence_received / sequence_expected) AS coverage,
        if(sessions = 0, NULL, sessions_measured / sessions) AS coverage_measured,
        multiIf(target IS NULL, 'none', has(pairs.alert, 'page'), 'page', has(pairs.alert, 'ticket'), 'ticket', 'none') AS alert,
        (observed_ratio + z_squared_share / 2) / (1 + z_squared_share) AS wilson_middle,
        1.959963984540054 / (1 + z_squared_share) * sqrt(observed_ratio * (1 - observed_ratio) / observed + z_squared_share / (4 * observed)) AS wilson_half,
        1 - least(observed_bad, observed) / observed AS observed_ratio,
        1.959963984540054 * 1.959963984540054 / observed AS z_squared_share
    FROM sli.objective_counts AS o
)
COMMENT 'Every objective over its window: was the promise kept. Coverage is the share of numbered beacons that arrived, in the share coverage_measured of the sessions';

-- A changed objective is a new version and counts anew, so slo_status shows less than a window for a while. What was promised
-- before stands here, over the last window in which it was counted.
CREATE OR REPLACE VIEW sli.slo_versions AS
WITH
    20 AS observed_min,
    0.25 AS at_risk_share,
    1000000 - round(defined.target * 1000000) AS allowed_ppm
SELECT
    counted.app AS app,
    counted.journey AS journey,
    counted.objective AS objective,
    counted.version AS version,
    defined.description AS description,
    defined.target AS target,
    defined.window_days AS window_days,
    ((counted.journey, counted.objective, counted.version) IN (SELECT journey, objective, version FROM sli.active_objectives))::Bool AS is_current,
    lives.first_hour AS counted_from,
    lives.last_hour + INTERVAL 1 HOUR AS counted_until,
    toUInt64(greatest(0, toInt64(sum(counted.valid)) - toInt64(sum(counted.bad)))) AS good,
    sum(counted.valid) AS valid,
    if(valid = 0, NULL, good / valid) AS ratio,
    sum(counted.observed) AS observed,
    valid * allowed_ppm / 1000000 AS budget_total,
    (valid * allowed_ppm - (valid - good) * 1000000) / 1000000 AS budget_left,
    multiIf(
        target IS NULL, 'no_objective',
        observed < observed_min, 'insufficient_data',
        budget_left < 0, 'broken',
        budget_left < at_risk_share * budget_total, 'at_risk',
        'kept') AS state
FROM
(
    SELECT window_start, app, journey, objective, version, sum(h.valid) AS valid, sum(h.bad) AS bad, sum(h.observed) AS observed
    FROM sli.objective_hours AS h
    GROUP BY window_start, app, journey, objective, version
) AS counted
INNER JOIN
(
    SELECT app, journey, objective, version, min(window_start) AS first_hour, max(window_start) AS last_hour
    FROM sli.objective_hours
    GROUP BY app, journey, objective, version
) AS lives
    ON lives.app = counted.app AND lives.journey = counted.journey AND lives.objective = counted.objective AND lives.version = counted.version
INNER JOIN
(
    -- A version is a hash of what it promises: whichever set names it says the same.
    SELECT journey, objective, version, any(d.description) AS description, any(d.target) AS target, any(d.window_days) AS window_days
    FROM sli.objective_definitions AS d
    GROUP BY journey, objective, version
) AS defined
    ON defined.journey = counted.journey AND defined.objective = counted.objective AND defined.version = counted.version
WHERE counted.window_start > lives.last_hour - toIntervalDay(defined.window_days)
GROUP BY app, journey, objective, version, description, target, window_days, is_current, counted_from, counted_until
SETTINGS join_use_nulls = 0
COMMENT 'Every version of every objective over the last window in which it was counted: what was promised before and after a change';
