-- What analysts read: journeys by the minute, hour and day, and their steps.
--
-- Ratios are sums divided by sums, and NULL where nothing was valid. To look at a wider window or fewer
-- dimensions, sum the counters and merge the histograms, never average ratios or quantiles:
-- quantilesExactWeightedArray(0.5, 0.95)(mapKeys(latency), mapValues(latency)).
-- join_use_nulls is set in each view that joins, so that no tool's own setting turns 'nothing found' into NULL.
-- An attempt without another outcome is a success: where a session is the attempt, its failure may come days after
-- it was counted, and a success that was written could not be taken back. A failure that arrives before the start
-- that it belongs to counts never makes a negative number.
-- Keys of `latency` are the stored ones (ten-thousandths for a score); quantiles and mean are in the unit.

CREATE OR REPLACE VIEW sli.active_journeys AS
SELECT app, journey, title, promise, product, owner, unit, attempt, standard, timeout_ms, policy
FROM sli.journey_definitions FINAL
WHERE set_id = (SELECT argMax(set_id, (activated_at, set_id)) FROM sli.definitions)
COMMENT 'Journeys of the active definition set; app * is every app';

CREATE OR REPLACE VIEW sli.active_objectives AS
SELECT app, journey, objective, version, target, window_days, calendar, description, source
FROM sli.objective_definitions FINAL
WHERE set_id = (SELECT argMax(set_id, (activated_at, set_id)) FROM sli.definitions)
COMMENT 'Objectives of the active definition set; app * is every app';

CREATE OR REPLACE VIEW sli.active_policies AS
SELECT policy, place, budget_left, burn, action, role, capacity, agreed_by, agreed_on, expires, exceptions
FROM sli.policy_definitions FINAL
WHERE set_id = (SELECT argMax(set_id, (activated_at, set_id)) FROM sli.definitions)
COMMENT 'Error-budget policies of the active definition set';

CREATE OR REPLACE VIEW sli.journeys AS
SELECT
    cells.app AS app,
    cells.journey AS journey,
    defined.title AS title,
    defined.promise AS promise,
    defined.product AS product,
    defined.owner AS owner,
    cells.route AS route,
    cells.platform AS platform,
    cells.window_start AS window_start,
    cells.attempts AS attempts,
    cells.valid AS valid,
    cells.success AS success,
    cells.failure AS failure,
    cells.timeout AS timeout,
    cells.interrupted AS interrupted,
    cells.abandoned AS abandoned,
    cells.cancelled AS cancelled,
    cells.unknown AS unknown,
    cells.sessions AS sessions,
    cells.sessions_hurt AS sessions_hurt,
    cells.arrived_late AS arrived_late,
    cells.reasons AS reasons,
    if(cells.valid = 0, NULL, cells.success / cells.valid) AS ratio,
    if(cells.attempts = 0, NULL, cells.unknown / cells.attempts) AS unknown_share,
    if(cells.valid + cells.unknown = 0, NULL, cells.success / (cells.valid + cells.unknown)) AS ratio_if_unknown_bad,
    if(defined.unit = '', 'ms', defined.unit) AS unit,
    if(defined.unit = 'score', 10000, 1) AS keys_per_unit,
    if(empty(cells.latency), NULL, cells.quantiles[1] / keys_per_unit) AS p50,
    if(empty(cells.latency), NULL, cells.quantiles[2] / keys_per_unit) AS p75,
    if(empty(cells.latency), NULL, cells.quantiles[3] / keys_per_unit) AS p90,
    if(empty(cells.latency), NULL, cells.quantiles[4] / keys_per_unit) AS p95,
    if(empty(cells.latency), NULL, cells.quantiles[5] / keys_per_unit) AS p99,
    if(empty(cells.latency), NULL, cells.latency_sum / 10000 / arraySum(mapValues(cells.latency))) AS mean,
    cells.latency AS latency,
    cells.latency_sum AS latency_sum,
    cells.abandoned_wait AS abandoned_wait
FROM
(
    SELECT
        source.app AS app,
        source.journey AS journey,
        source.route AS route,
        source.platform AS platform,
        source.window_start AS window_start,
        sum(source.attempts) AS attempts,
        sum(source.valid) AS valid,
        toUInt64(greatest(0, toInt64(sum(source.attempts)) - toInt64(sum(source.failure) + sum(source.timeout) + sum(source.interrupted) + sum(source.abandoned) + sum(source.cancelled) + sum(source.unknown)))) AS success,
        sum(source.failure) AS failure,
        sum(source.timeout) AS timeout,
        sum(source.interrupted) AS interrupted,
        sum(source.abandoned) AS abandoned,
        sum(source.cancelled) AS cancelled,
        sum(source.unknown) AS unknown,
        sum(source.sessions) AS sessions,
        sum(source.sessions_hurt) AS sessions_hurt,
        sum(source.arrived_late) AS arrived_late,
        sumMap(source.reasons) AS reasons,
        sumMap(source.latency) AS latency,
        sum(source.latency_sum) AS latency_sum,
        sumMap(source.abandoned_wait) AS abandoned_wait,
        quantilesExactWeightedArray(0.5, 0.75, 0.9, 0.95, 0.99)(mapKeys(source.latency), mapValues(source.latency)) AS quantiles
    FROM sli.journey_minutes AS source
    GROUP BY app, journey, route, platform, window_start
) AS cells
LEFT JOIN sli.active_journeys AS defined
    ON defined.journey = cells.journey AND (defined.app = cells.app OR defined.app = '*')
SETTINGS join_use_nulls = 0
COMMENT 'Journeys by the minute in which their attempts started';

CREATE OR REPLACE VIEW sli.journeys_by_hour AS
SELECT
    cells.app AS app,
    cells.journey AS journey,
    defined.title AS title,
    defined.promise AS promise,
    defined.product AS product,
    defined.owner AS owner,
    cells.route AS route,
    cells.platform AS platform,
    cells.window_start AS window_start,
    cells.attempts AS attempts,
    cells.valid AS valid,
    cells.success AS success,
    cells.failure AS failure,
    cells.timeout AS timeout,
    cells.interrupted AS interrupted,
    cells.abandoned AS abandoned,
    cells.cancelled AS cancelled,
    cells.unknown AS unknown,
    cells.sessions AS sessions,
    cells.sessions_hurt AS sessions_hurt,
    cells.arrived_late AS arrived_late,
    cells.reasons AS reasons,
    if(cells.valid = 0, NULL, cells.success / cells.valid) AS ratio,
    if(cells.attempts = 0, NULL, cells.unknown / cells.attempts) AS unknown_share,
    if(cells.valid + cells.unknown = 0, NULL, cells.success / (cells.valid + cells.unknown)) AS ratio_if_unknown_bad,
    if(defined.unit = '', 'ms', defined.unit) AS unit,
    if(defined.unit = 'score', 10000, 1) AS keys_per_unit,
    if(empty(cells.latency), NULL, cells.quantiles[1] / keys_per_unit) AS p50,
    if(empty(cells.latency), NULL, cells.quantiles[2] / keys_per_unit) AS p75,
    if(empty(cells.latency), NULL, cells.quantiles[3] / keys_per_unit) AS p90,
    if(empty(cells.latency), NULL, cells.quantiles[4] / keys_per_unit) AS p95,
    if(empty(cells.latency), NULL, cells.quantiles[5] / keys_per_unit) AS p99,
    if(empty(cells.latency), NULL, cells.latency_sum / 10000 / arraySum(mapValues(cells.latency))) AS mean,
    cells.latency AS latency,
    cells.latency_sum AS latency_sum,
    cells.abandoned_wait AS abandoned_wait
FROM
(
    SELECT
        source.app AS app,
        source.journey AS journey,
        source.route AS route,
        source.platform AS platform,
        source.window_start AS window_start,
        sum(source.attempts) AS attempts,
        sum(source.valid) AS valid,
        toUInt64(greatest(0, toInt64(sum(source.attempts)) - toInt64(sum(source.failure) + sum(source.timeout) + sum(source.interrupted) + sum(source.abandoned) + sum(source.cancelled) + sum(source.unknown)))) AS success,
        sum(source.failure) AS failure,
        sum(source.timeout) AS timeout,
        sum(source.interrupted) AS interrupted,
        sum(source.abandoned) AS abandoned,
        sum(source.cancelled) AS cancelled,
        sum(source.unknown) AS unknown,
        sum(source.sessions) AS sessions,
        sum(source.sessions_hurt) AS sessions_hurt,
        sum(source.arrived_late) AS arrived_late,
        sumMap(source.reasons) AS reasons,
        sumMap(source.latency) AS latency,
        sum(source.latency_sum) AS latency_sum,
        sumMap(source.abandoned_wait) AS abandoned_wait,
        quantilesExactWeightedArray(0.5, 0.75, 0.9, 0.95, 0.99)(mapKeys(source.latency), mapValues(source.latency)) AS quantiles
    FROM sli.journey_hours AS source
    GROUP BY app, journey, route, platform, window_start
) AS cells
LEFT JOIN sli.active_journeys AS defined
    ON defined.journey = cells.journey AND (defined.app = cells.app OR defined.app = '*')
SETTINGS join_use_nulls = 0
COMMENT 'Journeys by the hour in which their attempts started';

CREATE OR REPLACE VIEW sli.journeys_by_day AS
SELECT
    cells.app AS app,
    cells.journey AS journey,
    defined.title AS title,
    defined.promise AS promise,
    defined.product AS product,
    defined.owner AS owner,
    cells.route AS route,
    cells.platform AS platform,
    cells.window_start AS window_start,
    cells.attempts AS attempts,
    cells.valid AS valid,
    cells.success AS success,
    cells.failure AS failure,
    cells.timeout AS timeout,
    cells.interrupted AS interrupted,
    cells.abandoned AS abandoned,
    cells.cancelled AS cancelled,
    cells.unknown AS unknown,
    cells.sessions AS sessions,
    cells.sessions_hurt AS sessions_hurt,
    cells.arrived_late AS arrived_late,
    cells.reasons AS reasons,
    if(cells.valid = 0, NULL, cells.success / cells.valid) AS ratio,
    if(cells.attempts = 0, NULL, cells.unknown / cells.attempts) AS unknown_share,
    if(cells.valid + cells.unknown = 0, NULL, cells.success / (cells.valid + cells.unknown)) AS ratio_if_unknown_bad,
    if(defined.unit = '', 'ms', defined.unit) AS unit,
    if(defined.unit = 'score', 10000, 1) AS keys_per_unit,
    if(empty(cells.latency), NULL, cells.quantiles[1] / keys_per_unit) AS p50,
    if(empty(cells.latency), NULL, cells.quantiles[2] / keys_per_unit) AS p75,
    if(empty(cells.latency), NULL, cells.quantiles[3] / keys_per_unit) AS p90,
    if(empty(cells.latency), NULL, cells.quantiles[4] / keys_per_unit) AS p95,
    if(empty(cells.latency), NULL, cells.quantiles[5] / keys_per_unit) AS p99,
    if(empty(cells.latency), NULL, cells.latency_sum / 10000 / arraySum(mapValues(cells.latency))) AS mean,
    cells.latency AS latency,
    cells.latency_sum AS latency_sum,
    cells.abandoned_wait AS abandoned_wait
FROM
(
    SELECT
        source.app AS app,
        source.journey AS journey,
        source.route AS route,
        source.platform AS platform,
        toStartOfDay(source.window_start) AS window_start,
        sum(source.attempts) AS attempts,
        sum(source.valid) AS valid,
        toUInt64(greatest(0, toInt64(sum(source.attempts)) - toInt64(sum(source.failure) + sum(source.timeout) + sum(source.interrupted) + sum(source.abandoned) + sum(source.cancelled) + sum(source.unknown)))) AS success,
        sum(source.failure) AS failure,
        sum(source.timeout) AS timeout,
        sum(source.interrupted) AS interrupted,
        sum(source.abandoned) AS abandoned,
        sum(source.cancelled) AS cancelled,
        sum(source.unknown) AS unknown,
        sum(source.sessions) AS sessions,
        sum(source.sessions_hurt) AS sessions_hurt,
        sum(source.arrived_late) AS arrived_late,
        sumMap(source.reasons) AS reasons,
        sumMap(source.latency) AS latency,
        sum(source.latency_sum) AS latency_sum,
        sumMap(source.abandoned_wait) AS abandoned_wait,
        quantilesExactWeightedArray(0.5, 0.75, 0.9, 0.95, 0.99)(mapKeys(source.latency), mapValues(source.latency)) AS quantiles
    FROM sli.journey_hours AS source
    GROUP BY app, journey, route, platform, window_start
) AS cells
LEFT JOIN sli.active_journeys AS defined
    ON defined.journey = cells.journey AND (defined.app = cells.app OR defined.app = '*')
SETTINGS join_use_nulls = 0
COMMENT 'Journeys by the UTC day in which their attempts started';

CREATE OR REPLACE VIEW sli.steps AS
SELECT
    cells.app AS app,
    cells.journey AS journey,
    defined.title AS title,
    cells.step AS step,
    cells.step_number AS step_number,
    cells.platform AS platform,
    cells.window_start AS window_start,
    cells.attempts AS attempts,
    cells.success AS success,
    if(cells.attempts = 0, NULL, cells.success / cells.attempts) AS ratio,
    if(empty(cells.latency), NULL, cells.quantiles[1]) AS p50,
    if(empty(cells.latency), NULL, cells.quantiles[2]) AS p75,
    if(empty(cells.latency), NULL, cells.quantiles[3]) AS p90,
    if(empty(cells.latency), NULL, cells.quantiles[4]) AS p95,
    if(empty(cells.latency), NULL, cells.quantiles[5]) AS p99,
    'ms' AS unit,
    cells.reasons AS reasons,
    cells.latency AS latency
FROM
(
    SELECT
        source.app AS app,
        source.journey AS journey,
        source.step AS step,
        max(source.step_number) AS step_number,
        source.platform AS platform,
        source.window_start AS window_start,
        sum(source.attempts) AS attempts,
        sum(source.success) AS success,
        sumMap(source.reasons) AS reasons,
        sumMap(source.latency) AS latency,
        quantilesExactWeightedArray(0.5, 0.75, 0.9, 0.95, 0.99)(mapKeys(source.latency), mapValues(source.latency)) AS quantiles
    FROM sli.journey_steps AS source
    GROUP BY app, journey, step, platform, window_start
) AS cells
LEFT JOIN sli.active_journeys AS defined
    ON defined.journey = cells.journey AND (defined.app = cells.app OR defined.app = '*')
SETTINGS join_use_nulls = 0
COMMENT 'Steps of journeys by the minute: of those that reached the step before, how many reached it, and when';
