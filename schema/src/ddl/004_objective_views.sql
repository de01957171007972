-- What was promised and what was kept. Everything here ends where the data is complete, not at now, so that a
-- late batch never makes a good minute look bad, nor a stopped pipeline a bad one look good. Only where a session is
-- the attempt can a crash that is told of days later still make a complete minute worse.
-- Good is never less than nothing: the bad of a session can come under a later version of its objective.

CREATE OR REPLACE VIEW sli.progress AS
WITH
    -- One topic is current: before partitions are added by a new topic, the old one is drained.
    (SELECT argMax(topic, log_time_ms) FROM sli.batches) AS current_topic,
    -- Older progress cannot matter: minutes are kept for 90 days.
    (SELECT max(log_time_ms) FROM sli.batches) - 90 * 86400000 AS oldest_ms,
    (SELECT argMax(set_id, (activated_at, set_id)) FROM sli.definitions) AS active_set
SELECT
    current_topic AS topic,
    active_set AS set_id,
    minOrNull(reached_ms) AS log_time_ms,
    (SELECT JSONExtractInt(any(content), 'settings', 'grace_ms') FROM sli.definitions WHERE set_id = active_set) AS grace_ms,
    (SELECT greatest(30000, max(timeout_ms)) FROM sli.active_journeys) AS timeout_ms_max,
    (SELECT greatest(28, max(window_days)) FROM sli.active_objectives) AS window_days_max,
    toStartOfHour(toDateTime(intDiv(log_time_ms - timeout_ms_max - grace_ms, 1000), 'UTC')) AS first_open_hour,
    first_open_hour - toIntervalDay(window_days_max) AS first_window_hour
FROM
(
    SELECT partition, max(log_time_ms) AS reached_ms
    FROM sli.batches
    WHERE topic = current_topic AND log_time_ms >= oldest_ms
    GROUP BY partition
)
COMMENT 'One row: how far the slowest partition of the current topic is; the first hour that is not complete for every journey, and the first hour of the longest window that ends there';

CREATE OR REPLACE VIEW sli.listed_journeys AS
WITH
    (SELECT max(window_start) FROM sli.journey_hours) AS last_hour,
    (SELECT log_time_ms FROM sli.progress) AS progress_ms,
    (SELECT grace_ms FROM sli.progress) AS grace_ms
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
    WHERE window_start > last_hour - INTERVAL 28 DAY
    GROUP BY app, journey
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
WITH (SELECT max(window_start) FROM sli.journey_hours) AS last_hour
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

-- Pairs of windows and shares of the budget: https://sre.google/workbook/alerting-on-slos/, with the pair
-- 2h/1d between. The factor is the share × the window of the objective ÷ the long window: 13.44, 5.6, 2.8 and
-- 0.933 for 28 days; a pair that is longer than the window is left out. An alert needs both windows above the
-- factor, and 5 bad attempts that were observed in the long one, so that a single error at low traffic wakes nobody.
CREATE OR REPLACE VIEW sli.slo_burn AS
WITH
    5 AS observed_bad_min,
    [300, 1800, 3600, 7200, 21600, 86400, 259200] AS windows_s,
    [
        ('5m', '1h', 1, 3, 2, 'page'),
        ('30m', '6h', 2, 5, 5, 'page'),
        ('2h', '1d', 4, 6, 10, 'ticket'),
        ('6h', '3d', 5, 7, 10, 'ticket')
    ]::Array(Tuple(short String, long String, short_index UInt8, long_index UInt8, budget_percent UInt8, severity String)) AS pairs,
    (SELECT first_open_hour FROM sli.progress) AS first_open_hour,
    1000000 - round(objectives.target * 1000000) AS allowed_ppm
SELECT
    objectives.app AS app,
    objectives.journey AS journey,
    objectives.objective AS objective,
    objectives.version AS version,
    objectives.target AS target,
    pair.short AS short_window,
    pair.long AS long_window,
    pair.severity AS severity,
    pair.budget_percent * objectives.window_days * 86400 / windows_s[pair.long_index] / 100 AS factor,
    counts.valid[pair.short_index] AS short_valid,
    counts.bad[pair.short_index] AS short_bad,
    counts.valid[pair.long_index] AS long_valid,
    counts.bad[pair.long_index] AS long_bad,
    counts.observed_bad[pair.long_index] AS long_observed_bad,
    multiIf(short_valid = 0, NULL, short_bad = 0, 0, short_bad * 1000000 / (short_valid * allowed_ppm)) AS short_burn,
    multiIf(long_valid = 0, NULL, long_bad = 0, 0, long_bad * 1000000 / (long_valid * allowed_ppm)) AS long_burn,
    if(short_burn > factor AND long_burn > factor AND long_observed_bad >= observed_bad_min, severity, 'none') AS alert,
    objectives.complete_until AS complete_until
FROM sli.listed_objectives AS objectives
LEFT JOIN
(
    -- Each minute is counted under the shortest window that it is in; a window is the sum of the shorter ones.
    SELECT
        app,
        journey,
        objective,
        sumForEach(arrayMap(i -> if(i >= shortest, bucket_valid, 0), arrayEnumerate(windows_s))) AS valid,
        sumForEach(arrayMap(i -> if(i >= shortest, bucket_bad, 0), arrayEnumerate(windows_s))) AS bad,
        sumForEach(arrayMap(i -> if(i >= shortest, bucket_observed_bad, 0), arrayEnumerate(windows_s))) AS observed_bad
    FROM
    (
        WITH listed.complete_until - source.window_start AS age_s
        SELECT
            listed.app AS app,
            listed.journey AS journey,
            listed.objective AS objective,
            multiIf(age_s <= 300, 1, age_s <= 1800, 2, age_s <= 3600, 3, age_s <= 7200, 4, age_s <= 21600, 5, age_s <= 86400, 6, 7) AS shortest,
            sum(source.valid) AS bucket_valid,
            sum(source.bad) AS bucket_bad,
            sum(source.observed_bad) AS bucket_observed_bad
        FROM sli.objective_minutes AS source
        SEMI LEFT JOIN sli.listed_objectives AS listed
            ON listed.app = source.app AND listed.journey = source.journey
            AND listed.objective = source.objective AND listed.version = source.version
        WHERE source.window_start >= first_open_hour - INTERVAL 3 DAY
            AND source.window_start >= listed.complete_until - INTERVAL 3 DAY
            AND source.window_start < listed.complete_until
        GROUP BY app, journey, objective, shortest
    )
    GROUP BY app, journey, objective
) AS counts
    ON counts.app = objectives.app AND counts.journey = objectives.journey AND counts.objective = objectives.objective
ARRAY JOIN pairs AS pair
WHERE objectives.target IS NOT NULL AND windows_s[pair.long_index] <= objectives.window_days * 86400
SETTINGS join_use_nulls = 0
COMMENT 'How fast objectives use up their budgets: 1 is a budget used up exactly at the end of the window';

-- low and high are the Wilson score interval of 95 % (Wilson 1927, doi:10.1080/01621459.1927.10502953) of the
-- observed attempts. Under 20 of them it spans more than 0.16 whatever the ratio: too little for any verdict.
CREATE OR REPLACE VIEW sli.slo_status AS
WITH
    20 AS observed_min,
    0.25 AS at_risk_share,
    1.959963984540054 AS z,
    (SELECT first_open_hour FROM sli.progress) AS first_open_hour,
    (SELECT first_window_hour FROM sli.progress) AS first_window_hour,
    objective_counts AS
    (
        SELECT
            listed.app AS app,
            listed.journey AS journey,
            listed.objective AS objective,
            sum(source.valid) AS valid,
            sum(source.bad) AS bad,
            sum(source.observed) AS observed,
            sum(source.observed_bad) AS observed_bad
        FROM
        (
            SELECT app, journey, objective, version, window_start, valid, bad, observed, observed_bad, 0 AS is_minute
            FROM sli.objective_hours
            WHERE window_start >= first_window_hour
            UNION ALL
            SELECT app, journey, objective, version, window_start, valid, bad, observed, observed_bad, 1 AS is_minute
            FROM sli.objective_minutes
            WHERE window_start >= first_open_hour
        ) AS source
        SEMI LEFT JOIN sli.listed_objectives AS listed
            ON listed.app = source.app AND listed.journey = source.journey
            AND listed.objective = source.objective AND listed.version = source.version
        WHERE source.window_start >= if(is_minute, toStartOfHour(listed.complete_until), listed.window_from)
            AND source.window_start < if(is_minute, listed.complete_until, toStartOfHour(listed.complete_until))
        GROUP BY app, journey, objective
    ),
    journey_counts AS
    (
        SELECT
            listed.app AS app,
            listed.journey AS journey,
            listed.window_days AS window_days,
            sum(source.attempts) AS attempts,
            sum(source.valid) AS valid,
            sum(source.success) AS success,
            sum(source.unknown) AS unknown,
            sum(source.sessions_hurt) AS sessions_hurt
        FROM
        (
            SELECT app, journey, window_start, sum(h.attempts) AS attempts, sum(h.valid) AS valid, toUInt64(greatest(0, toInt64(sum(h.attempts)) - toInt64(sum(h.failure) + sum(h.timeout) + sum(h.interrupted) + sum(h.abandoned) + sum(h.cancelled) + sum(h.unknown)))) AS success, sum(h.unknown) AS unknown, sum(h.sessions_hurt) AS sessions_hurt, 0 AS is_minute
            FROM sli.journey_hours AS h
            WHERE window_start >= first_window_hour
            GROUP BY app, journey, window_start
            UNION ALL
            SELECT app, journey, window_start, sum(m.attempts) AS attempts, sum(m.valid) AS valid, toUInt64(greatest(0, toInt64(sum(m.attempts)) - toInt64(sum(m.failure) + sum(m.timeout) + sum(m.interrupted) + sum(m.abandoned) + sum(m.cancelled) + sum(m.unknown)))) AS success, sum(m.unknown) AS unknown, sum(m.sessions_hurt) AS sessions_hurt, 1 AS is_minute
            FROM sli.journey_minutes AS m
            WHERE window_start >= first_open_hour
            GROUP BY app, journey, window_start
        ) AS source
        INNER JOIN (SELECT DISTINCT app, journey, window_days, window_from, complete_until FROM sli.listed_objectives) AS listed
            ON listed.app = source.app AND listed.journey = source.journey
        WHERE source.window_start >= if(is_minute, toStartOfHour(listed.complete_until), listed.window_from)
            AND source.window_start < if(is_minute, listed.complete_until, toStartOfHour(listed.complete_until))
        GROUP BY app, journey, window_days
    ),
    app_quality AS
    (
        SELECT
            listed.app AS app,
            listed.window_from AS window_from,
            listed.complete_until AS complete_until,
            sum(source.sequence_received) AS sequence_received,
            sum(source.sequence_expected) AS sequence_expected
        FROM
        (
            SELECT app, hour, sum(q.sequence_received) AS sequence_received, sum(q.sequence_expected) AS sequence_expected
            FROM sli.quality AS q
            WHERE hour >= first_window_hour
            GROUP BY app, hour
        ) AS source
        INNER JOIN (SELECT DISTINCT app, window_from, complete_until FROM sli.listed_objectives) AS listed ON listed.app = source.app
        WHERE source.hour >= listed.window_from AND source.hour < listed.complete_until
        GROUP BY app, window_from, complete_until
    ),
    alerts AS
    (
        SELECT app, journey, objective, multiIf(countIf(b.alert = 'page') > 0, 'page', countIf(b.alert = 'ticket') > 0, 'ticket', 'none') AS alert
        FROM sli.slo_burn AS b
        GROUP BY app, journey, objective
    ),
    1000000 - round(o.target * 1000000) AS allowed_ppm,
    1 - least(c.observed_bad, c.observed) / c.observed AS observed_ratio,
    z * z / c.observed AS z_squared_share,
    (observed_ratio + z_squared_share / 2) / (1 + z_squared_share) AS wilson_middle,
    z / (1 + z_squared_share) * sqrt(observed_ratio * (1 - observed_ratio) / c.observed + z_squared_share / (4 * c.observed)) AS wilson_half
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
    if(o.objective = '', j.success, toUInt64(greatest(0, toInt64(c.valid) - toInt64(c.bad)))) AS good,
    if(o.objective = '', j.valid, c.valid) AS valid,
    if(valid = 0, NULL, good / valid) AS ratio,
    c.observed AS observed,
    c.observed_bad AS observed_bad,
    if(observed = 0, NULL, greatest(0, wilson_middle - wilson_half)) AS low,
    if(observed = 0, NULL, least(1, wilson_middle + wilson_half)) AS high,
    -- In millionths, in which targets are given, so that 0.5 % of 1,000 are 5 and not 5.0000000000000044.
    valid * allowed_ppm / 1000000 AS budget_total,
    (valid * allowed_ppm - (valid - good) * 1000000) / 1000000 AS budget_left,
    j.sessions_hurt AS sessions_hurt,
    if(j.attempts = 0, NULL, j.unknown / j.attempts) AS unknown_share,
    if(valid + j.unknown = 0, NULL, good / (valid + j.unknown)) AS ratio_if_unknown_bad,
    if(q.sequence_expected = 0, NULL, q.sequence_received / q.sequence_expected) AS coverage,
    o.complete_until AS complete_until,
    if(a.alert = '', 'none', a.alert) AS alert,
    multiIf(
        o.target IS NULL, 'no_objective',
        observed < observed_min, 'insufficient_data',
        budget_left < 0, 'broken',
        a.alert IN ('page', 'ticket') OR budget_left < at_risk_share * budget_total, 'at_risk',
        'kept') AS state
FROM sli.listed_objectives AS o
LEFT JOIN objective_counts AS c ON c.app = o.app AND c.journey = o.journey AND c.objective = o.objective
LEFT JOIN journey_counts AS j ON j.app = o.app AND j.journey = o.journey AND j.window_days = o.window_days
LEFT JOIN app_quality AS q ON q.app = o.app AND q.window_from = o.window_from AND q.complete_until = o.complete_until
LEFT JOIN alerts AS a ON a.app = o.app AND a.journey = o.journey AND a.objective = o.objective
SETTINGS join_use_nulls = 0
COMMENT 'Every objective over its window: was the promise kept';
