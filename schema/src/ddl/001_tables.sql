-- Tables that a batch writes, and the batches themselves.
--
-- Cells are merged by ClickHouse: a row is what one batch adds to its key, so read sums, or the views.
-- Every table drops a repeated insert of the same token (non_replicated_deduplication_window, in parts):
-- that is what makes the writer's retries and two owners of one partition count once. A table by the day needs more, since
-- late data makes a part in each day that it reaches back to: 20000 are enough for 100 partitions of the log, 10000 elsewhere for
-- more than 200.
-- Partitions are as long as the reads and the retention want; a whole part is dropped when its last row expires.
-- Projections are what the views of objectives read: the same sums without the platform, kept in the same part, so that they
-- are written, repeated and merged with it. They are read in small pieces, and so have small granules; ClickHouse
-- takes what has fewer granules, so the table of hours has to have smaller ones as well.
-- Times are UTC. Latency keys are whole milliseconds, or ten-thousandths where the journey's unit is a score.

CREATE DATABASE IF NOT EXISTS sli;

CREATE TABLE IF NOT EXISTS sli.journey_minutes
(
    app LowCardinality(String) COMMENT 'App, by its write key',
    journey LowCardinality(String) COMMENT 'Journey',
    route LowCardinality(String) COMMENT 'Route of a journey that is measured per route, else empty',
    platform LowCardinality(String) COMMENT 'web, ios, android, …',
    release LowCardinality(String) COMMENT 'Release of the app; __other__ beyond the most frequent',
    window_start DateTime('UTC') COMMENT 'Minute in which the attempts started' CODEC(DoubleDelta, ZSTD),
    attempts SimpleAggregateFunction(sum, UInt64) COMMENT 'Attempts of every outcome, weighted by sampling' CODEC(T64, ZSTD),
    valid SimpleAggregateFunction(sum, UInt64) COMMENT 'Attempts that objectives judge' CODEC(T64, ZSTD),
    success SimpleAggregateFunction(sum, UInt64) COMMENT 'A success event came in time; 0 where a session is the attempt: read attempts less every other outcome, as the views do' CODEC(T64, ZSTD),
    failure SimpleAggregateFunction(sum, UInt64) COMMENT 'A failure event came; where a session is the attempt, in the window of its start, whenever it came' CODEC(T64, ZSTD),
    timeout SimpleAggregateFunction(sum, UInt64) COMMENT 'The deadline passed and the session was still heard of' CODEC(T64, ZSTD),
    interrupted SimpleAggregateFunction(sum, UInt64) COMMENT 'Evidence of a crash, of an app that did not answer, or of a kill' CODEC(T64, ZSTD),
    abandoned SimpleAggregateFunction(sum, UInt64) COMMENT 'The user left or started again' CODEC(T64, ZSTD),
    cancelled SimpleAggregateFunction(sum, UInt64) COMMENT 'The app says that the user cancelled' CODEC(T64, ZSTD),
    unknown SimpleAggregateFunction(sum, UInt64) COMMENT 'Silence without evidence: telemetry may be lost' CODEC(T64, ZSTD),
    sessions SimpleAggregateFunction(sum, UInt64) COMMENT 'Sessions, each in the window of its first attempt of the journey' CODEC(T64, ZSTD),
    sessions_hurt SimpleAggregateFunction(sum, UInt64) COMMENT 'Sessions, each in the window of its first bad attempt of the journey' CODEC(T64, ZSTD),
    arrived_late SimpleAggregateFunction(sum, UInt64) COMMENT 'Attempts whose last record was appended more than an hour after their end' CODEC(T64, ZSTD),
    reasons SimpleAggregateFunction(sumMap, Map(String, UInt64)) COMMENT 'Reason → attempts that were no success' CODEC(ZSTD),
    latency SimpleAggregateFunction(sumMap, Map(UInt32, UInt64)) COMMENT 'Latency or value of the successes: middle of the bucket → attempts' CODEC(T64, ZSTD),
    latency_sum SimpleAggregateFunction(sum, UInt64) COMMENT 'Sum of the latencies or values, ten-thousandths of the unit' CODEC(T64, ZSTD),
    abandoned_wait SimpleAggregateFunction(sumMap, Map(UInt32, UInt64)) COMMENT 'How long those waited who abandoned, ms: middle of the bucket → attempts' CODEC(T64, ZSTD)
)
ENGINE = AggregatingMergeTree
PARTITION BY toMonday(window_start)
ORDER BY (app, journey, route, platform, release, window_start)
TTL window_start + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
COMMENT 'Attempts of journeys by the minute, with few dimensions';

CREATE TABLE IF NOT EXISTS sli.journey_hours
(
    app LowCardinality(String) COMMENT 'App, by its write key',
    journey LowCardinality(String) COMMENT 'Journey',
    route LowCardinality(String) COMMENT 'Route of a journey that is measured per route, else empty',
    platform LowCardinality(String) COMMENT 'web, ios, android, …',
    release LowCardinality(String) COMMENT 'Release of the app; __other__ beyond the most frequent',
    os LowCardinality(String) COMMENT 'Operating system and its major version',
    browser LowCardinality(String) COMMENT 'Browser family and its major version',
    device_class LowCardinality(String) COMMENT 'mobile, tablet, desktop, …',
    country LowCardinality(String) COMMENT 'Country code, empty where it is not known',
    connection LowCardinality(String) COMMENT 'Effective connection type, empty where it is not known',
    segment LowCardinality(String) COMMENT 'Value of the one attribute that the app declares as its segment',
    window_start DateTime('UTC') COMMENT 'Hour in which the attempts started' CODEC(DoubleDelta, ZSTD),
    attempts SimpleAggregateFunction(sum, UInt64) COMMENT 'Attempts of every outcome, weighted by sampling' CODEC(T64, ZSTD),
    valid SimpleAggregateFunction(sum, UInt64) COMMENT 'Attempts that objectives judge' CODEC(T64, ZSTD),
    success SimpleAggregateFunction(sum, UInt64) COMMENT 'A success event came in time; 0 where a session is the attempt: read attempts less every other outcome, as the views do' CODEC(T64, ZSTD),
    failure SimpleAggregateFunction(sum, UInt64) COMMENT 'A failure event came; where a session is the attempt, in the window of its start, whenever it came' CODEC(T64, ZSTD),
    timeout SimpleAggregateFunction(sum, UInt64) COMMENT 'The deadline passed and the session was still heard of' CODEC(T64, ZSTD),
    interrupted SimpleAggregateFunction(sum, UInt64) COMMENT 'Evidence of a crash, of an app that did not answer, or of a kill' CODEC(T64, ZSTD),
    abandoned SimpleAggregateFunction(sum, UInt64) COMMENT 'The user left or started again' CODEC(T64, ZSTD),
    cancelled SimpleAggregateFunction(sum, UInt64) COMMENT 'The app says that the user cancelled' CODEC(T64, ZSTD),
    unknown SimpleAggregateFunction(sum, UInt64) COMMENT 'Silence without evidence: telemetry may be lost' CODEC(T64, ZSTD),
    sessions SimpleAggregateFunction(sum, UInt64) COMMENT 'Sessions, each in the window of its first attempt of the journey' CODEC(T64, ZSTD),
    sessions_hurt SimpleAggregateFunction(sum, UInt64) COMMENT 'Sessions, each in the window of its first bad attempt of the journey' CODEC(T64, ZSTD),
    arrived_late SimpleAggregateFunction(sum, UInt64) COMMENT 'Attempts whose last record was appended more than an hour after their end' CODEC(T64, ZSTD),
    reasons SimpleAggregateFunction(sumMap, Map(String, UInt64)) COMMENT 'Reason → attempts that were no success' CODEC(ZSTD),
    latency SimpleAggregateFunction(sumMap, Map(UInt32, UInt64)) COMMENT 'Latency or value of the successes: middle of the bucket → attempts' CODEC(T64, ZSTD),
    latency_sum SimpleAggregateFunction(sum, UInt64) COMMENT 'Sum of the latencies or values, ten-thousandths of the unit' CODEC(T64, ZSTD),
    abandoned_wait SimpleAggregateFunction(sumMap, Map(UInt32, UInt64)) COMMENT 'How long those waited who abandoned, ms: middle of the bucket → attempts' CODEC(T64, ZSTD),
    PROJECTION listed
    (
        SELECT app, journey, min(window_start), max(window_start), sum(attempts)
        GROUP BY app, journey
    )
)
ENGINE = AggregatingMergeTree
PARTITION BY toMonday(window_start)
ORDER BY (app, journey, route, platform, release, os, browser, device_class, country, connection, segment, window_start)
TTL window_start + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1, deduplicate_merge_projection_mode = 'rebuild'
COMMENT 'Attempts of journeys by the hour, with every dimension';

CREATE TABLE IF NOT EXISTS sli.journey_steps
(
    app LowCardinality(String) COMMENT 'App, by its write key',
    journey LowCardinality(String) COMMENT 'Journey',
    step LowCardinality(String) COMMENT 'Step',
    step_number SimpleAggregateFunction(max, UInt16) COMMENT 'Position in the journey, from 1',
    platform LowCardinality(String) COMMENT 'web, ios, android, …',
    release LowCardinality(String) COMMENT 'Release of the app; __other__ beyond the most frequent',
    window_start DateTime('UTC') COMMENT 'Minute in which the attempts started' CODEC(DoubleDelta, ZSTD),
    attempts SimpleAggregateFunction(sum, UInt64) COMMENT 'Attempts that reached the step before it, weighted by sampling' CODEC(T64, ZSTD),
    success SimpleAggregateFunction(sum, UInt64) COMMENT 'Attempts that reached it' CODEC(T64, ZSTD),
    reasons SimpleAggregateFunction(sumMap, Map(String, UInt64)) COMMENT 'Outcome or reason → attempts that did not reach it' CODEC(ZSTD),
    latency SimpleAggregateFunction(sumMap, Map(UInt32, UInt64)) COMMENT 'From the start to this step, ms: middle of the bucket → attempts' CODEC(T64, ZSTD)
)
ENGINE = AggregatingMergeTree
PARTITION BY toMonday(window_start)
ORDER BY (app, journey, step, platform, release, window_start)
TTL window_start + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
COMMENT 'Steps of journeys by the minute: a funnel';

CREATE TABLE IF NOT EXISTS sli.objective_minutes
(
    app LowCardinality(String) COMMENT 'App, by its write key',
    journey LowCardinality(String) COMMENT 'Journey',
    objective LowCardinality(String) COMMENT 'Objective of the journey; empty for a journey that an app declares and nobody has defined: whether it works',
    version LowCardinality(String) COMMENT 'Hash of rule, target and window: a changed objective is a new version',
    platform LowCardinality(String) COMMENT 'web, ios, android, …',
    window_start DateTime('UTC') COMMENT 'Minute in which the attempts started' CODEC(DoubleDelta, ZSTD),
    valid SimpleAggregateFunction(sum, UInt64) COMMENT 'Attempts that the objective judges, weighted by sampling' CODEC(T64, ZSTD),
    bad SimpleAggregateFunction(sum, UInt64) COMMENT 'Those of them that were not good, weighted by sampling' CODEC(T64, ZSTD),
    observed SimpleAggregateFunction(sum, UInt64) COMMENT 'Attempts that the objective judges, as observed: how sure a ratio is' CODEC(T64, ZSTD),
    observed_bad SimpleAggregateFunction(sum, UInt64) COMMENT 'Those of them that were not good, as observed' CODEC(T64, ZSTD),
    attempts SimpleAggregateFunction(sum, UInt64) COMMENT 'Attempts of the journey on a platform that the objective judges, weighted by sampling' CODEC(T64, ZSTD),
    unknown SimpleAggregateFunction(sum, UInt64) COMMENT 'Those of them whose end is not known' CODEC(T64, ZSTD),
    sessions_hurt SimpleAggregateFunction(sum, UInt64) COMMENT 'Sessions, each in the window of its first bad attempt of the journey' CODEC(T64, ZSTD),
    PROJECTION by_objective
    (
        SELECT window_start, app, journey, objective, version, sum(valid), sum(bad), sum(observed), sum(observed_bad), sum(attempts), sum(unknown), sum(sessions_hurt)
        GROUP BY window_start, app, journey, objective, version
    ) WITH SETTINGS (index_granularity = 256)
)
ENGINE = AggregatingMergeTree
PARTITION BY toMonday(window_start)
ORDER BY (app, journey, objective, version, platform, window_start)
TTL window_start + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1, deduplicate_merge_projection_mode = 'rebuild'
COMMENT 'Objectives by the minute, exact and not from buckets';

-- By the month, since five years of weeks would be 260 partitions.
CREATE TABLE IF NOT EXISTS sli.objective_hours
(
    app LowCardinality(String) COMMENT 'App, by its write key',
    journey LowCardinality(String) COMMENT 'Journey',
    objective LowCardinality(String) COMMENT 'Objective of the journey; empty for a journey that an app declares and nobody has defined: whether it works',
    version LowCardinality(String) COMMENT 'Hash of rule, target and window: a changed objective is a new version',
    platform LowCardinality(String) COMMENT 'web, ios, android, …',
    window_start DateTime('UTC') COMMENT 'Hour in which the attempts started' CODEC(DoubleDelta, ZSTD),
    valid SimpleAggregateFunction(sum, UInt64) COMMENT 'Attempts that the objective judges, weighted by sampling' CODEC(T64, ZSTD),
    bad SimpleAggregateFunction(sum, UInt64) COMMENT 'Those of them that were not good, weighted by sampling' CODEC(T64, ZSTD),
    observed SimpleAggregateFunction(sum, UInt64) COMMENT 'Attempts that the objective judges, as observed: how sure a ratio is' CODEC(T64, ZSTD),
    observed_bad SimpleAggregateFunction(sum, UInt64) COMMENT 'Those of them that were not good, as observed' CODEC(T64, ZSTD),
    attempts SimpleAggregateFunction(sum, UInt64) COMMENT 'Attempts of the journey on a platform that the objective judges, weighted by sampling' CODEC(T64, ZSTD),
    unknown SimpleAggregateFunction(sum, UInt64) COMMENT 'Those of them whose end is not known' CODEC(T64, ZSTD),
    sessions_hurt SimpleAggregateFunction(sum, UInt64) COMMENT 'Sessions, each in the window of its first bad attempt of the journey' CODEC(T64, ZSTD),
    PROJECTION by_objective
    (
        SELECT window_start, app, journey, objective, version, sum(valid), sum(bad), sum(observed), sum(observed_bad), sum(attempts), sum(unknown), sum(sessions_hurt)
        GROUP BY window_start, app, journey, objective, version
    ) WITH SETTINGS (index_granularity = 256),
    PROJECTION by_objective_and_day
    (
        SELECT toStartOfDay(window_start), app, journey, objective, version, min(window_start), sum(valid), sum(bad), sum(observed), sum(observed_bad), sum(attempts), sum(unknown), sum(sessions_hurt)
        GROUP BY toStartOfDay(window_start), app, journey, objective, version
    ) WITH SETTINGS (index_granularity = 256)
)
ENGINE = AggregatingMergeTree
PARTITION BY toStartOfMonth(window_start)
ORDER BY (app, journey, objective, version, platform, window_start)
TTL window_start + INTERVAL 5 YEAR
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 1024, ttl_only_drop_parts = 1, deduplicate_merge_projection_mode = 'rebuild'
COMMENT 'Objectives by the hour, exact and not from buckets';

-- What was counted of an objective since it was activated: counters for evaluators that keep their own history, such as
-- Prometheus. Nothing expires, so that no counter ever falls: a failure that comes late only adds to `bad`.
CREATE TABLE IF NOT EXISTS sli.objective_totals
(
    app LowCardinality(String) COMMENT 'App, by its write key',
    journey LowCardinality(String) COMMENT 'Journey',
    objective LowCardinality(String) COMMENT 'Objective of the journey',
    version LowCardinality(String) COMMENT 'Hash of rule, target and window: a changed objective is a new version',
    platform LowCardinality(String) COMMENT 'web, ios, android, …',
    valid SimpleAggregateFunction(sum, UInt64) COMMENT 'Attempts that the objective judges, weighted by sampling' CODEC(T64, ZSTD),
    bad SimpleAggregateFunction(sum, UInt64) COMMENT 'Those of them that were not good, weighted by sampling' CODEC(T64, ZSTD)
)
ENGINE = AggregatingMergeTree
ORDER BY (app, journey, objective, version, platform)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Objectives since their activation, exact and for ever';

-- By the day, since samples name a session and must not outlive their retention by a week.
CREATE TABLE IF NOT EXISTS sli.attempt_samples
(
    app LowCardinality(String) COMMENT 'App, by its write key',
    journey LowCardinality(String) COMMENT 'Journey',
    start_ms Int64 COMMENT 'Start of the attempt, ms since the epoch' CODEC(Delta, ZSTD),
    start DateTime64(3, 'UTC') ALIAS fromUnixTimestamp64Milli(start_ms, 'UTC') COMMENT 'Start of the attempt',
    session String COMMENT 'Session, as the client names it',
    outcome LowCardinality(String) COMMENT 'success, failure, timeout, interrupted, abandoned, cancelled or unknown',
    valid Bool COMMENT 'Whether objectives judge it',
    reason LowCardinality(String) COMMENT 'Why it was no success',
    route LowCardinality(String) COMMENT 'Route on which it started or was measured',
    latency Nullable(Decimal(18, 4)) COMMENT 'Latency or value in the unit of the journey (ms or score)',
    steps Map(String, UInt64) COMMENT 'Step that was reached → ms from the start',
    weight UInt64 COMMENT 'Attempts of its kind in its batch that it stands for',
    platform LowCardinality(String) COMMENT 'web, ios, android, …',
    release LowCardinality(String) COMMENT 'Release of the app',
    os LowCardinality(String) COMMENT 'Operating system and its major version',
    browser LowCardinality(String) COMMENT 'Browser family and its major version',
    device_class LowCardinality(String) COMMENT 'mobile, tablet, desktop, …',
    country LowCardinality(String) COMMENT 'Country code, empty where it is not known',
    connection LowCardinality(String) COMMENT 'Effective connection type, empty where it is not known',
    segment LowCardinality(String) COMMENT 'Value of the one attribute that the app declares as its segment'
)
ENGINE = MergeTree
PARTITION BY toDate(intDiv(start_ms, 86400000))
ORDER BY (app, journey, start_ms)
TTL toDateTime(intDiv(start_ms, 1000), 'UTC') + INTERVAL 14 DAY
SETTINGS non_replicated_deduplication_window = 20000, ttl_only_drop_parts = 1
COMMENT 'Examples of attempts: bad ones up to a bound, a few good ones';

CREATE TABLE IF NOT EXISTS sli.seen_events
(
    app LowCardinality(String) COMMENT 'App, by its write key',
    platform LowCardinality(String) COMMENT 'web, ios, android, …',
    event LowCardinality(String) COMMENT 'Name of the event',
    name LowCardinality(String) COMMENT 'Its attribute name, where it has one',
    route LowCardinality(String) COMMENT 'Its route, where it has one',
    hour DateTime('UTC') COMMENT 'Hour in which it happened' CODEC(DoubleDelta, ZSTD),
    seen SimpleAggregateFunction(sum, UInt64) COMMENT 'How often it was seen' CODEC(T64, ZSTD),
    matched SimpleAggregateFunction(sumMap, Map(String, UInt64)) COMMENT 'Journey → how often one of its matchers matched' CODEC(ZSTD)
)
ENGINE = AggregatingMergeTree
PARTITION BY toMonday(hour)
ORDER BY (app, platform, event, name, route, hour)
TTL hour + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
COMMENT 'Which events arrive, and which of them a journey looks at';

CREATE TABLE IF NOT EXISTS sli.quality
(
    app LowCardinality(String) COMMENT 'App, by its write key',
    platform LowCardinality(String) COMMENT 'web, ios, android, …',
    release LowCardinality(String) COMMENT 'Release of the app; __other__ beyond the most frequent',
    hour DateTime('UTC') COMMENT 'Hour of log time' CODEC(DoubleDelta, ZSTD),
    beacons SimpleAggregateFunction(sum, UInt64) COMMENT 'Beacons' CODEC(T64, ZSTD),
    events SimpleAggregateFunction(sum, UInt64) COMMENT 'Their events' CODEC(T64, ZSTD),
    sessions SimpleAggregateFunction(sum, UInt64) COMMENT 'Sessions, in the hour of their first beacon' CODEC(T64, ZSTD),
    sessions_measured SimpleAggregateFunction(sum, UInt64) COMMENT 'Those of them whose beacons are numbered, so that losses are seen, in the hour of the first numbered one' CODEC(T64, ZSTD),
    sequence_received SimpleAggregateFunction(sum, UInt64) COMMENT 'Beacons that carried a sequence number' CODEC(T64, ZSTD),
    sequence_expected SimpleAggregateFunction(sum, UInt64) COMMENT 'Beacons that the sequence numbers say were sent' CODEC(T64, ZSTD),
    bots SimpleAggregateFunction(sum, UInt64) COMMENT 'Beacons of bots' CODEC(T64, ZSTD),
    environments SimpleAggregateFunction(sum, UInt64) COMMENT 'Beacons of environments that the app does not list' CODEC(T64, ZSTD),
    duplicates SimpleAggregateFunction(sum, UInt64) COMMENT 'Beacons that had been counted before' CODEC(T64, ZSTD),
    late SimpleAggregateFunction(sum, UInt64) COMMENT 'Events that came after their attempt had settled' CODEC(T64, ZSTD),
    too_old SimpleAggregateFunction(sum, UInt64) COMMENT 'Events older than the retention of late data' CODEC(T64, ZSTD),
    clock_corrected SimpleAggregateFunction(sum, UInt64) COMMENT 'Events whose time was corrected or clamped' CODEC(T64, ZSTD),
    not_counted SimpleAggregateFunction(sumMap, Map(String, UInt64)) COMMENT 'Reason → events that were not accepted or not counted' CODEC(ZSTD)
)
ENGINE = AggregatingMergeTree
PARTITION BY toMonday(hour)
ORDER BY (app, platform, release, hour)
TTL hour + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
COMMENT 'How much of what was sent could be counted';

-- Not a replacing table: a batch whose row landed twice in spite of its token may have been counted twice, and
-- the audit must see that.
CREATE TABLE IF NOT EXISTS sli.batches
(
    topic LowCardinality(String) COMMENT 'Topic of the log',
    partition Int32 COMMENT 'Partition of the log',
    generation UInt32 COMMENT 'How often the log of the partition had gone back before: truncated, or made anew',
    first_offset Int64 COMMENT 'First offset of the range' CODEC(Delta, ZSTD),
    next_offset Int64 COMMENT 'Offset after the range: where the next batch begins' CODEC(Delta, ZSTD),
    replay_from Int64 COMMENT 'Oldest offset that the state of the engine at next_offset needs' CODEC(Delta, ZSTD),
    replay_log_time_ms Int64 COMMENT 'Log time before replay_from, ms since the epoch' CODEC(Delta, ZSTD),
    replay_definition_set LowCardinality(String) COMMENT 'Definition set before replay_from, empty for none',
    log_time_ms Int64 COMMENT 'Log time at the end of the range, ms since the epoch' CODEC(Delta, ZSTD),
    log_time DateTime64(3, 'UTC') ALIAS fromUnixTimestamp64Milli(log_time_ms, 'UTC') COMMENT 'Log time at the end of the range',
    definition_set LowCardinality(String) COMMENT 'Definition set of the batch, empty for none',
    engine_version UInt32 COMMENT 'Version of the engine that made it',
    records UInt64 COMMENT 'Records in the range, control records included' CODEC(T64, ZSTD),
    counted UInt64 COMMENT 'Beacons that were counted' CODEC(T64, ZSTD),
    reasons Map(String, UInt64) COMMENT 'Reason → records that were not counted' CODEC(ZSTD),
    events UInt64 COMMENT 'Events of the counted beacons' CODEC(T64, ZSTD),
    event_reasons Map(String, UInt64) COMMENT 'Reason → events that were not looked at' CODEC(ZSTD),
    rows Map(String, UInt64) COMMENT 'Table → rows written' CODEC(ZSTD),
    missing_offsets UInt64 COMMENT 'Offsets of the range that the log did not hold any more' CODEC(T64, ZSTD),
    PROJECTION reached
    (
        SELECT topic, partition, max(log_time_ms)
        GROUP BY topic, partition
    )
)
ENGINE = MergeTree
PARTITION BY toStartOfMonth(toDateTime(intDiv(log_time_ms, 1000), 'UTC'))
ORDER BY (topic, partition, first_offset)
TTL toDateTime(intDiv(log_time_ms, 1000), 'UTC') + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
COMMENT 'What was read from the log and written here: progress and audit';
