-- What was promised: every definition set that was ever active, and its journeys and objectives as rows.
--
-- Each partition of the log activates a set and inserts the same rows: they replace each other by their key, the
-- latest activation wins. `definitions` is written after the others, and names the active set: the one that was
-- activated last. A set that becomes active again is inserted again, with a token of its own.

CREATE TABLE IF NOT EXISTS sli.definitions
(
    set_id String COMMENT 'Hash of the content, 16 hex digits',
    activated_at DateTime64(3, 'UTC') COMMENT 'Log time of the latest activation',
    grace_ms UInt64 COMMENT 'Grace period of its settings: attempts settle so long after their end',
    timeout_ms_max UInt64 COMMENT 'Longest deadline of its journeys',
    windows_days Array(UInt16) COMMENT 'Lengths of the windows of its objectives, each once',
    content String COMMENT 'The set as JSON: settings of the engine, apps, journeys' CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree(activated_at)
ORDER BY set_id
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Every definition set that was ever active';

CREATE TABLE IF NOT EXISTS sli.journey_definitions
(
    set_id String COMMENT 'Definition set',
    activated_at DateTime64(3, 'UTC') COMMENT 'Log time of the latest activation of the set',
    app LowCardinality(String) COMMENT 'App that the journey is defined for, * for every app',
    journey LowCardinality(String) COMMENT 'Journey',
    title String COMMENT 'Title for people',
    promise String COMMENT 'The promise in the words of the users',
    product LowCardinality(String) COMMENT 'Product that it belongs to, empty for standard journeys',
    owner LowCardinality(String) COMMENT 'Owning team or role, empty for standard journeys',
    unit LowCardinality(String) COMMENT 'Unit of its latency or value: ms or score',
    attempt LowCardinality(String) COMMENT 'What one attempt is: journey (from a start to an end), event or session',
    standard Bool COMMENT 'Shipped with the product and on without configuration',
    timeout_ms UInt64 COMMENT 'Deadline of an attempt after its start',
    policy LowCardinality(String) COMMENT 'Error-budget policy'
)
ENGINE = ReplacingMergeTree(activated_at)
ORDER BY (set_id, app, journey)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Journeys of every definition set';

CREATE TABLE IF NOT EXISTS sli.objective_definitions
(
    set_id String COMMENT 'Definition set',
    activated_at DateTime64(3, 'UTC') COMMENT 'Log time of the latest activation of the set',
    app LowCardinality(String) COMMENT 'App that the journey is defined for, * for every app',
    journey LowCardinality(String) COMMENT 'Journey',
    objective LowCardinality(String) COMMENT 'Objective of the journey',
    version LowCardinality(String) COMMENT 'Hash of rule, target and window: a changed objective is a new version',
    target Nullable(Float64) COMMENT 'Share of the valid attempts that must be good; NULL for an indicator that nobody has adopted',
    window_days UInt16 COMMENT 'Rolling window, days; of a period of the calendar the longest length',
    calendar LowCardinality(String) COMMENT 'Period of the calendar (UTC) that is the window: week (from Monday), month or quarter, of which window_days is the longest length; empty for a rolling window',
    description String COMMENT 'What makes a valid attempt good',
    source String COMMENT 'Where the threshold comes from: who published it, or that it was chosen, and why',
    title String COMMENT 'Title of the journey; this and what follows stands here as well so that a status joins one table',
    promise String COMMENT 'Promise of the journey',
    product LowCardinality(String) COMMENT 'Product of the journey',
    owner LowCardinality(String) COMMENT 'Owner of the journey',
    policy LowCardinality(String) COMMENT 'Error-budget policy of the journey',
    timeout_ms UInt64 COMMENT 'Deadline of an attempt of the journey after its start'
)
ENGINE = ReplacingMergeTree(activated_at)
ORDER BY (set_id, app, journey, objective)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Objectives of every definition set';

CREATE TABLE IF NOT EXISTS sli.policy_definitions
(
    set_id String COMMENT 'Definition set',
    activated_at DateTime64(3, 'UTC') COMMENT 'Log time of the latest activation of the set',
    policy LowCardinality(String) COMMENT 'Error-budget policy, as journeys name it',
    place UInt16 COMMENT 'Place of the action in the policy, from 1',
    budget_left Float64 COMMENT 'Share of the budget that is left: from there on it is done',
    action String COMMENT 'What is done',
    role String COMMENT 'Role that does it',
    burn LowCardinality(String) COMMENT 'Burn alert at which it is done: ticket or page; empty where budget_left says when, else budget_left is 1',
    capacity String COMMENT 'What is set aside for it; empty where nothing was said',
    agreed_by Array(String) COMMENT 'Names or roles of those who agreed',
    agreed_on Nullable(Date32) COMMENT 'The day on which they did',
    expires Nullable(Date32) COMMENT 'The last day on which it holds, UTC; NULL: until it is changed. Whether it has expired, who reads it says: a set does not change by the passing of time',
    exceptions Array(Tuple(exempt String, reason String, until Date32)) COMMENT 'What it does not apply to, why, and the last day of that'
)
ENGINE = ReplacingMergeTree(activated_at)
ORDER BY (set_id, policy, place)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Error-budget policies of every definition set: what was agreed on';
