-- What was promised and what was kept. Everything here ends where the data is complete, not at now, so that a
-- late batch never makes a good minute look bad, nor a stopped pipeline a bad one look good. Only where a session is
-- the attempt can a crash that is told of days later still make a complete minute worse.
-- Good is never less than nothing: the bad of a session can come under a later version of its objective.

CREATE OR REPLACE VIEW sli.progress AS
WITH
    (SELECT argMax((set_id, JSONExtractInt(content, 'settings', 'grace_ms')), (activated_at, set_id)) FROM sli.definitions) AS active
SELECT
    current.topic AS topic,
    active.1 AS set_id,
    current.log_time_ms AS log_time_ms,
    active.2 AS grace_ms,
    (SELECT greatest(30000, max(timeout_ms)) FROM sli.journey_definitions WHERE set_id = active.1) AS timeout_ms_max,
    (SELECT greatest(28, max(window_days)) FROM sli.objective_definitions WHERE set_id = active.1) AS window_days_max,
    toStartOfHour(toDateTime(intDiv(log_time_ms - timeout_ms_max - grace_ms, 1000), 'UTC')) AS first_open_hour,
    first_open_hour - toIntervalDay(window_days_max) AS first_window_hour
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
COMMENT 'One row: how far the slowest partition of the current topic is; the first hour that is not complete for every journey, and the first hour of the longest window that ends there. A partition that never wrote a batch is not known here';

CREATE OR REPLACE VIEW sli.listed_journeys AS
WITH
    (SELECT (log_time_ms, grace_ms, first_open_hour, first_window_hour) FROM sli.progress) AS progress,
    progress.1 AS progress_ms,
    progress.2 AS grace_ms
SELECT
    listed.app AS app,
    listed.journey AS journey,
    defined.app AS defined_for,
    defined.title AS title,
    defined.promise AS promise,
    defined.product AS product,
    defined.owner AS owner,
    if(defined.unit = '', 'ms', defined.unit) AS unit,
    defined.standard AS standard,
    if(defined.app = '', 30000, defined.timeout_ms) AS timeout_ms,
    defined.policy AS policy,
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

CREATE OR REPLACE VIEW sli.listed_objectives AS
SELECT
    journeys.app AS app,
    journeys.journey AS journey,
    objectives.objective AS objective,
    objectives.version AS version,
    objectives.description AS description,
    objectives.target AS target,
    if(objectives.window_days = 0, 28, objectives.window_days) AS window_days,
    journeys.title AS title,
    journeys.promise AS promise,
    journeys.product AS product,
    journeys.owner AS owner,
    journeys.policy AS policy,
    journeys.complete_until AS complete_until,
    toStartOfHour(complete_until) - toIntervalDay(window_days) AS window_from
FROM sli.listed_journeys AS journeys
LEFT JOIN sli.active_objectives AS objectives
    ON objectives.journey = journeys.journey AND objectives.app = journeys.defined_for
SETTINGS join_use_nulls = 0
COMMENT 'Current objectives of the listed journeys; a journey without any has one row with an empty objective. A window begins with a whole hour';

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
GROUP BY app, journey, objective, version, platform, window_start
COMMENT 'Good and valid attempts of every objective by the minute, for evaluators of SLOs';

-- What was counted of the listed objectives. Hours and minutes are read once for all objectives, and each takes what lies in
-- its windows: the window of the objective, and those of burn alerts. A window of six hours or more begins with a whole hour.
-- Pairs of windows and shares of the budget: https://sre.google/workbook/alerting-on-slos/, with the pair
-- 2h/1d between. The factor is the share × the window of the objective ÷ the long window: 13.44, 5.6, 2.8 and
-- 0.933 for 28 days; a pair that is longer than the window is left out. An alert needs both windows above the
-- factor, and 5 bad attempts that were observed in the long one, so that a single error at low traffic wakes nobody.
CREATE OR REPLACE VIEW sli.objective_counts AS
WITH
    5 AS observed_bad_min,
    [300, 1800, 3600, 7200, 21600, 86400, 259200] AS windows_s,
    7200 AS minutes_until_s,
    [
        ('5m', '1h', 1, 3, 2, 'page'),
        ('30m', '6h', 2, 5, 5, 'page'),
        ('2h', '1d', 4, 6, 10, 'ticket'),
        ('6h', '3d', 5, 7, 10, 'ticket')
    ]::Array(Tuple(short String, long String, short_index UInt8, long_index UInt8, budget_percent UInt8, severity String)) AS window_pairs,
    (SELECT (log_time_ms, grace_ms, first_open_hour, first_window_hour) FROM sli.progress) AS progress,
    ifNull(o.complete_until, toDateTime(0, 'UTC')) AS until,
    toStartOfHour(until) AS open_hour,
    arrayFilter(r -> r.window_start < if(r.is_minute, until, open_hour), counted.rows) AS complete,
    arrayFilter(r -> r.window_start >= if(r.is_minute, open_hour, o.window_from), complete) AS in_window,
    arrayFilter(r -> r.window_start >= open_hour - windows_s[-1], complete) AS recent,
    arrayMap(
        w -> arrayFilter(
            r -> if(r.is_minute, r.window_start >= if(w <= minutes_until_s, until - w, open_hour), w > minutes_until_s AND r.window_start >= open_hour - w),
            recent),
        windows_s) AS in_windows
SELECT
    o.app AS app,
    o.journey AS journey,
    o.objective AS objective,
    o.version AS version,
    o.description AS description,
    o.target AS target,
    1000000 - round(o.target * 1000000) AS allowed_ppm,
    o.window_days AS window_days,
    o.window_from AS window_from,
    o.title AS title,
    o.promise AS promise,
    o.product AS product,
    o.owner AS owner,
    o.policy AS policy,
    o.complete_until AS complete_until,
    if(empty(in_window), NULL, arrayMin(r -> r.window_start, in_window)) AS since,
    arraySum(r -> r.valid, in_window) AS valid,
    arraySum(r -> r.bad, in_window) AS bad,
    arraySum(r -> r.observed, in_window) AS observed,
    arraySum(r -> r.observed_bad, in_window) AS observed_bad,
    arrayMap(rows -> arraySum(r -> r.valid, rows), in_windows) AS valid_in,
    arrayMap(rows -> arraySum(r -> r.bad, rows), in_windows) AS bad_in,
    arrayMap(rows -> arraySum(r -> r.observed_bad, rows), in_windows) AS observed_bad_in,
    arrayMap(
        p -> (p.short, p.long, p.severity, p.budget_percent * o.window_days * 86400 / windows_s[p.long_index] / 100,
            valid_in[p.short_index], bad_in[p.short_index], valid_in[p.long_index], bad_in[p.long_index], observed_bad_in[p.long_index])
            ::Tuple(short_window String, long_window String, severity String, factor Float64, short_valid UInt64, short_bad UInt64, long_valid UInt64, long_bad UInt64, long_observed_bad UInt64),
        arrayFilter(p -> windows_s[p.long_index] <= o.window_days * 86400, window_pairs)) AS pairs,
    arrayMap(
        p -> if(p.long_observed_bad >= observed_bad_min
            AND p.short_bad * 1000000 > p.factor * p.short_valid * allowed_ppm
            AND p.long_bad * 1000000 > p.factor * p.long_valid * allowed_ppm, p.severity, 'none'),
        pairs) AS alerts
FROM sli.listed_objectives AS o
LEFT JOIN
(
    SELECT
        app,
        journey,
        objective,
        version,
        groupArray((window_start, is_minute, valid, bad, observed, observed_bad)::Tuple(window_start DateTime('UTC'), is_minute Bool, valid UInt64, bad UInt64, observed UInt64, observed_bad UInt64)) AS rows
    FROM
    (
        SELECT window_start, app, journey, objective, version, sum(h.valid) AS valid, sum(h.bad) AS bad, sum(h.observed) AS observed, sum(h.observed_bad) AS observed_bad, false AS is_minute
        FROM sli.objective_hours AS h
        WHERE window_start >= progress.4
        GROUP BY window_start, app, journey, objective, version
        UNION ALL
        SELECT window_start, app, journey, objective, version, sum(m.valid) AS valid, sum(m.bad) AS bad, sum(m.observed) AS observed, sum(m.observed_bad) AS observed_bad, true AS is_minute
        FROM sli.objective_minutes AS m
        WHERE window_start >= progress.3 - minutes_until_s
        GROUP BY window_start, app, journey, objective, version
    )
    GROUP BY app, journey, objective, version
) AS counted
    ON counted.app = o.app AND counted.journey = o.journey AND counted.objective = o.objective AND counted.version = o.version
SETTINGS join_use_nulls = 0
COMMENT 'What was counted of every listed objective, in its window and in those of burn alerts';

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
    alert,
    c.complete_until AS complete_until
FROM sli.objective_counts AS c
ARRAY JOIN c.pairs AS pair, c.alerts AS alert
WHERE c.target IS NOT NULL
COMMENT 'How fast objectives use up their budgets: 1 is a budget used up exactly at the end of the window';

-- low and high are the Wilson score interval of 95 % (Wilson 1927, doi:10.1080/01621459.1927.10502953) of the
-- observed attempts. Under 20 of them it spans more than 0.16 whatever the ratio: too little for any verdict.
CREATE OR REPLACE VIEW sli.slo_status AS
WITH
    20 AS observed_min,
    0.25 AS at_risk_share,
    1.959963984540054 AS z,
    (SELECT (log_time_ms, grace_ms, first_open_hour, first_window_hour) FROM sli.progress) AS progress,
    toStartOfHour(o.complete_until) AS open_hour,
    arrayFilter(r -> ifNull(r.window_start < if(r.is_minute, o.complete_until, open_hour) AND r.window_start >= if(r.is_minute, open_hour, o.window_from), false), j.rows) AS attempts_rows,
    arrayFilter(r -> ifNull(r.hour < o.complete_until AND r.hour >= o.window_from, false), q.rows) AS quality_rows,
    arraySum(r -> r.attempts, attempts_rows) AS attempts,
    arraySum(r -> r.unknown, attempts_rows) AS unknown,
    arraySum(r -> r.sequence_expected, quality_rows) AS sequence_expected,
    1 - least(o.observed_bad, o.observed) / o.observed AS observed_ratio,
    z * z / o.observed AS z_squared_share,
    (observed_ratio + z_squared_share / 2) / (1 + z_squared_share) AS wilson_middle,
    z / (1 + z_squared_share) * sqrt(observed_ratio * (1 - observed_ratio) / o.observed + z_squared_share / (4 * o.observed)) AS wilson_half
SELECT
    o.app AS app,
    o.journey AS journey,
    o.objective AS objective,
    o.title AS title,
    o.promise AS promise,
    o.product AS product,
    o.owner AS owner,
    o.policy AS policy,
    o.version AS version,
    o.description AS description,
    o.target AS target,
    concat(toString(o.window_days), 'd') AS window,
    o.window_days AS window_days,
    o.window_from AS window_from,
    o.since AS since,
    if(o.objective = '', arraySum(r -> r.success, attempts_rows), toUInt64(greatest(0, toInt64(o.valid) - toInt64(o.bad)))) AS good,
    if(o.objective = '', arraySum(r -> r.valid, attempts_rows), o.valid) AS valid,
    if(valid = 0, NULL, good / valid) AS ratio,
    o.observed AS observed,
    o.observed_bad AS observed_bad,
    if(observed = 0, NULL, greatest(0, wilson_middle - wilson_half)) AS low,
    if(observed = 0, NULL, least(1, wilson_middle + wilson_half)) AS high,
    -- In millionths, in which targets are given, so that 0.5 % of 1,000 are 5 and not 5.0000000000000044.
    valid * o.allowed_ppm / 1000000 AS budget_total,
    (valid * o.allowed_ppm - (valid - good) * 1000000) / 1000000 AS budget_left,
    arraySum(r -> r.sessions_hurt, attempts_rows) AS sessions_hurt,
    if(attempts = 0, NULL, unknown / attempts) AS unknown_share,
    if(valid + unknown = 0, NULL, good / (valid + unknown)) AS ratio_if_unknown_bad,
    if(sequence_expected = 0, NULL, arraySum(r -> r.sequence_received, quality_rows) / sequence_expected) AS coverage,
    o.complete_until AS complete_until,
    multiIf(o.target IS NULL, 'none', has(o.alerts, 'page'), 'page', has(o.alerts, 'ticket'), 'ticket', 'none') AS alert,
    multiIf(
        o.target IS NULL, 'no_objective',
        observed < observed_min, 'insufficient_data',
        budget_left < 0, 'broken',
        alert IN ('page', 'ticket') OR budget_left < at_risk_share * budget_total, 'at_risk',
        'kept') AS state
FROM sli.objective_counts AS o
LEFT JOIN
(
    SELECT app, journey, groupArray((window_start, is_minute, attempts, valid, success, unknown, sessions_hurt)::Tuple(window_start DateTime('UTC'), is_minute Bool, attempts UInt64, valid UInt64, success UInt64, unknown UInt64, sessions_hurt UInt64)) AS rows
    FROM
    (
        SELECT window_start, app, journey, sum(h.attempts) AS attempts, sum(h.valid) AS valid, toUInt64(greatest(0, toInt64(sum(h.attempts)) - toInt64(sum(h.failure) + sum(h.timeout) + sum(h.interrupted) + sum(h.abandoned) + sum(h.cancelled) + sum(h.unknown)))) AS success, sum(h.unknown) AS unknown, sum(h.sessions_hurt) AS sessions_hurt, false AS is_minute
        FROM sli.journey_hours AS h
        WHERE window_start >= progress.4
        GROUP BY window_start, app, journey
        UNION ALL
        SELECT window_start, app, journey, sum(m.attempts) AS attempts, sum(m.valid) AS valid, toUInt64(greatest(0, toInt64(sum(m.attempts)) - toInt64(sum(m.failure) + sum(m.timeout) + sum(m.interrupted) + sum(m.abandoned) + sum(m.cancelled) + sum(m.unknown)))) AS success, sum(m.unknown) AS unknown, sum(m.sessions_hurt) AS sessions_hurt, true AS is_minute
        FROM sli.journey_minutes AS m
        WHERE window_start >= progress.3
        GROUP BY window_start, app, journey
    )
    GROUP BY app, journey
) AS j ON j.app = o.app AND j.journey = o.journey
LEFT JOIN
(
    SELECT app, groupArray((hour, sequence_received, sequence_expected)::Tuple(hour DateTime('UTC'), sequence_received UInt64, sequence_expected UInt64)) AS rows
    FROM
    (
        SELECT app, hour, sum(source.sequence_received) AS sequence_received, sum(source.sequence_expected) AS sequence_expected
        FROM sli.quality AS source
        WHERE hour >= progress.4
        GROUP BY app, hour
    )
    GROUP BY app
) AS q ON q.app = o.app
SETTINGS join_use_nulls = 0
COMMENT 'Every objective over its window: was the promise kept';

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
