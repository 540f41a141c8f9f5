-- Jobs at a time of their own, and forgetting those that are over.

ALTER TABLE jobs ADD CHECK (length(request_id) <= 64);

-- The next job of one district, in the order in which they became due.
CREATE INDEX jobs_waiting ON jobs (tenant_id, run_at, id) WHERE state = 'QUEUED';

-- Rows change often and their table stays small: it is cleaned up sooner than a fifth of it has changed.
ALTER TABLE jobs SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

-- Finished jobs are removed after their time.
GRANT DELETE ON jobs TO kp_app;

-- Which districts lack the row of a recurring job is seen by its key.
GRANT SELECT (dedupe_key) ON jobs TO kp_dispatch;
