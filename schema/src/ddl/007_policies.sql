-- Error-budget policies as they were agreed on: by whom, with what, until when, and what is exempt. Each line of a policy
-- repeats it. Whether a policy has expired on a day, who reads it says: a set does not change by the passing of time.

ALTER TABLE sli.policy_definitions
    ADD COLUMN IF NOT EXISTS burn LowCardinality(String) COMMENT 'Burn alert at which it is done: ticket or page; empty where budget_left says when, else budget_left is 1',
    ADD COLUMN IF NOT EXISTS capacity String COMMENT 'What is set aside for it; empty where nothing was said',
    ADD COLUMN IF NOT EXISTS agreed_by Array(String) COMMENT 'Names or roles of those who agreed',
    ADD COLUMN IF NOT EXISTS agreed_on Nullable(Date32) COMMENT 'The day on which they did',
    ADD COLUMN IF NOT EXISTS expires Nullable(Date32) COMMENT 'The last day on which it holds, UTC; NULL: until it is changed',
    ADD COLUMN IF NOT EXISTS exceptions Array(Tuple(exempt String, reason String, until Date32)) COMMENT 'What it does not apply to, why, and the last day of that';

CREATE OR REPLACE VIEW sli.active_policies AS
SELECT policy, place, budget_left, burn, action, role, capacity, agreed_by, agreed_on, expires, exceptions
FROM sli.policy_definitions FINAL
WHERE set_id = (SELECT argMax(set_id, (activated_at, set_id)) FROM sli.definitions)
COMMENT 'Error-budget policies of the active definition set';
