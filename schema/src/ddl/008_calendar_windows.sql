-- Windows that are periods of the calendar rather than the last days.

ALTER TABLE sli.objective_definitions
    ADD COLUMN IF NOT EXISTS calendar LowCardinality(String) COMMENT 'Period of the calendar (UTC) that is the window: week (from Monday), month or quarter, of which window_days is the longest length; empty for a rolling window';

CREATE OR REPLACE VIEW sli.active_objectives AS
SELECT app, journey, objective, version, target, window_days, calendar, description, source
FROM sli.objective_definitions FINAL
WHERE set_id = (SELECT argMax(set_id, (activated_at, set_id)) FROM sli.definitions)
COMMENT 'Objectives of the active definition set; app * is every app';
