-- Where thresholds come from, beside what is promised.

ALTER TABLE sli.objective_definitions
    ADD COLUMN IF NOT EXISTS source String COMMENT 'Where the threshold comes from: who published it, or that it was chosen, and why';

CREATE OR REPLACE VIEW sli.active_objectives AS
SELECT app, journey, objective, version, target, window_days, description, source
FROM sli.objective_definitions FINAL
WHERE set_id = (SELECT argMax(set_id, (activated_at, set_id)) FROM sli.definitions)
COMMENT 'Objectives of the active definition set; app * is every app';
