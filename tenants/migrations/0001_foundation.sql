-- Keys, checks, row-level security and grants of the foundation. Everything begins with tenant_id: foreign key checks
-- bypass row-level security, and a unique key without it would tell whether another tenant's row exists.

-- Primary keys -----------------------------------------------------------------------------------------------------

DO $$
DECLARE
    names jsonb := '{
        "tenants": "tenant_id", "audit_heads": "tenant_id",
        "org_unit_ancestors": "tenant_id, unit_id, ancestor_id",
        "data_item_responsibles": "tenant_id, data_item_id, unit_id",
        "scheme_version_categories": "tenant_id, scheme_version_id, category_id",
        "scheme_version_items": "tenant_id, scheme_version_id, data_item_id",
        "indicator_items": "tenant_id, indicator_id, data_item_id",
        "indicator_responsibles": "tenant_id, indicator_id, unit_id",
        "cycle_categories": "tenant_id, cycle_id, category_id",
        "cycle_unit_ancestors": "tenant_id, cycle_unit_id, ancestor_id",
        "cycle_targets": "tenant_id, cycle_id, data_item_id, unit_id",
        "run_snapshots": "tenant_id, run_id",
        "standing_dimensions": "tenant_id, standing_id, indicator_id",
        "standing_details": "tenant_id, standing_id",
        "standing_grades": "tenant_id, standing_id",
        "tie_group_members": "tenant_id, tie_group_id, standing_id",
        "decided_grades": "tenant_id, record_id, standing_id",
        "idempotency_keys": "tenant_id, actor_id, mutation, key"}';
    t text; c text;
BEGIN
    FOR t IN SELECT table_name FROM information_schema.columns
             WHERE table_schema = current_schema AND column_name = 'tenant_id' LOOP
        SELECT conname INTO c FROM pg_constraint WHERE conrelid = t::regclass AND contype = 'p';
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', t, c);
        EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (%s)', t, coalesce(names ->> t, 'tenant_id, id'));
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', t);
        -- After a transaction the setting reads '' and not NULL, hence the NULLIF. Unset means no rows.
        EXECUTE format('CREATE POLICY tenant ON %I USING (%s) WITH CHECK (%s)', t,
            'tenant_id = NULLIF(current_setting(''app.tenant_id'', true), '''')::uuid',
            'tenant_id = NULLIF(current_setting(''app.tenant_id'', true), '''')::uuid');
        EXECUTE format('GRANT SELECT, INSERT ON %I TO kp_app', t);
        EXECUTE format('GRANT SELECT ON %I TO kp_read', t);
    END LOOP;
    -- What the program leaves out of an INSERT.
    FOR t, c IN SELECT table_name, column_name FROM information_schema.columns
                WHERE table_schema = current_schema AND data_type = 'ARRAY' AND is_nullable = 'NO' LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET DEFAULT ''{}''', t, c);
    END LOOP;
    FOR t IN SELECT table_name FROM information_schema.columns
             WHERE table_schema = current_schema AND column_name = 'version' LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN version SET DEFAULT 1, ADD CHECK (version > 0)', t);
    END LOOP;
END $$;

-- Rows that change; all others are written once. What is append-only has no UPDATE or DELETE grant.
GRANT UPDATE ON idempotency_keys, tenants, categories, org_units, actors, members, service_tokens, grants, data_items, schemes,
    scheme_versions, indicators, cycles, cycle_targets, reports, tasks, entries, assessments, events, ranking_runs, jobs,
    standing_grades, tie_groups, tie_group_members, audit_heads TO kp_app;
GRANT DELETE ON org_unit_ancestors, grants, data_item_responsibles, scheme_versions, scheme_version_categories,
    scheme_version_items, indicators, indicator_items, indicator_responsibles, cycle_categories, cycle_targets,
    idempotency_keys TO kp_app;

-- The directory of districts -----------------------------------------------------------------------------------------

ALTER TABLE directory ADD UNIQUE (code), ADD CHECK (status IN ('ACTIVE', 'SUSPENDED'));
GRANT SELECT ON directory TO kp_app;
GRANT SELECT ON directory TO kp_dispatch, kp_read; -- written by provisioning, as the owner

-- Defaults -------------------------------------------------------------------------------------------------------------

ALTER TABLE tenants ALTER COLUMN created_at SET DEFAULT now();
ALTER TABLE service_tokens ALTER COLUMN created_at SET DEFAULT now();
ALTER TABLE idempotency_keys ALTER COLUMN created_at SET DEFAULT now();
ALTER TABLE data_items ALTER COLUMN options SET DEFAULT '[]', ALTER COLUMN name_key SET DEFAULT '';
ALTER TABLE indicators ALTER COLUMN points_by_category SET DEFAULT '[]', ALTER COLUMN checks SET DEFAULT '[]',
    ALTER COLUMN aggregation SET DEFAULT 'ARITHMETIC';
ALTER TABLE scheme_versions ALTER COLUMN state SET DEFAULT 'DRAFT';
ALTER TABLE cycles ALTER COLUMN state SET DEFAULT 'DRAFT', ALTER COLUMN grace_days SET DEFAULT 0;
ALTER TABLE tasks ALTER COLUMN state SET DEFAULT 'OPEN', ALTER COLUMN days_late SET DEFAULT 0;
ALTER TABLE entries ALTER COLUMN state SET DEFAULT 'DRAFT', ALTER COLUMN days_late SET DEFAULT 0;
ALTER TABLE assessments ALTER COLUMN state SET DEFAULT 'WAITING', ALTER COLUMN level SET DEFAULT 1,
    ALTER COLUMN days_late SET DEFAULT 0, ALTER COLUMN changes_since_accepted SET DEFAULT 0,
    ALTER COLUMN findings SET DEFAULT '[]';
ALTER TABLE events ALTER COLUMN state SET DEFAULT 'PROPOSED', ALTER COLUMN counted SET DEFAULT 0;
ALTER TABLE standings ALTER COLUMN days_late SET DEFAULT 0;
ALTER TABLE jobs ALTER COLUMN arguments SET DEFAULT '{}', ALTER COLUMN state SET DEFAULT 'QUEUED',
    ALTER COLUMN percent SET DEFAULT 0, ALTER COLUMN units_done SET DEFAULT 0, ALTER COLUMN units_total SET DEFAULT 0,
    ALTER COLUMN want_seq SET DEFAULT 1, ALTER COLUMN done_seq SET DEFAULT 0, ALTER COLUMN attempts SET DEFAULT 0,
    ALTER COLUMN crashes SET DEFAULT 0, ALTER COLUMN fence SET DEFAULT 0, ALTER COLUMN run_at SET DEFAULT now(),
    ALTER COLUMN requested_at SET DEFAULT now(), ALTER COLUMN cancel_requested SET DEFAULT false,
    ALTER COLUMN change_seq SET DEFAULT 0;

-- Unique keys, foreign keys, checks, indexes: noun by noun ----------------------------------------------------------------

ALTER TABLE categories ADD UNIQUE (tenant_id, code), ADD UNIQUE (tenant_id, name);

ALTER TABLE org_units
    ALTER COLUMN tree_path TYPE text COLLATE "C",
    ADD UNIQUE (tenant_id, code),
    ADD FOREIGN KEY (tenant_id, parent_id) REFERENCES org_units (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, category_id) REFERENCES categories (tenant_id, id),
    ADD CHECK (kind IN ('COMMITTEE', 'GENERAL_BRANCH', 'BRANCH', 'DEPARTMENT')),
    ADD CHECK (parent_id <> id), ADD CHECK (valid_to >= valid_from), ADD CHECK (member_count >= 0);
CREATE UNIQUE INDEX org_units_one_root ON org_units (tenant_id) WHERE parent_id IS NULL;
CREATE INDEX org_units_children ON org_units (tenant_id, parent_id, code);
CREATE INDEX org_units_category ON org_units (tenant_id, category_id);
CREATE INDEX org_units_tree ON org_units (tenant_id, tree_path);
ALTER TABLE org_unit_ancestors
    ADD FOREIGN KEY (tenant_id, unit_id) REFERENCES org_units (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, ancestor_id) REFERENCES org_units (tenant_id, id),
    ADD CHECK (depth >= 0), ADD CHECK ((depth = 0) = (unit_id = ancestor_id));
CREATE INDEX org_unit_ancestors_below ON org_unit_ancestors (tenant_id, ancestor_id, unit_id);
ALTER TABLE org_unit_names ADD FOREIGN KEY (tenant_id, unit_id) REFERENCES org_units (tenant_id, id);
CREATE INDEX org_unit_names_unit ON org_unit_names (tenant_id, unit_id, until DESC);

ALTER TABLE actors ADD CHECK (kind IN ('MEMBER', 'SERVICE_TOKEN'));
ALTER TABLE members
    ADD FOREIGN KEY (tenant_id, id) REFERENCES actors (tenant_id, id),
    ADD UNIQUE (tenant_id, sign_in_name), ADD CHECK (language IN ('ZH_CN', 'EN'));
ALTER TABLE service_tokens
    ADD FOREIGN KEY (tenant_id, id) REFERENCES actors (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, member_id) REFERENCES members (tenant_id, id),
    ADD UNIQUE (tenant_id, secret_hash);
ALTER TABLE grants
    ADD FOREIGN KEY (tenant_id, holder_id) REFERENCES actors (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, unit_id) REFERENCES org_units (tenant_id, id),
    ADD CHECK (role IN ('ADMINISTRATOR', 'ORGANISER', 'ASSESSOR', 'REVIEWER', 'SECRETARY', 'OBSERVER', 'FEED'));
CREATE INDEX grants_holder ON grants (tenant_id, holder_id, role);
CREATE INDEX grants_unit ON grants (tenant_id, unit_id, role);

ALTER TABLE data_items
    ADD UNIQUE (tenant_id, code),
    ADD CHECK (type IN ('NUMBER', 'INTEGER', 'YES_NO', 'CHOICE', 'COUNTS', 'SCORES')),
    ADD CHECK (source IN ('REPORTED', 'REVIEWED', 'ASSIGNED')),
    ADD CHECK (scale BETWEEN 0 AND 30), ADD CHECK (maximum >= minimum);
CREATE INDEX data_items_alike ON data_items (tenant_id, name_key) WHERE active;
ALTER TABLE data_item_responsibles
    ADD FOREIGN KEY (tenant_id, data_item_id) REFERENCES data_items (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, unit_id) REFERENCES org_units (tenant_id, id);
CREATE INDEX data_item_responsibles_unit ON data_item_responsibles (tenant_id, unit_id);

ALTER TABLE schemes ADD UNIQUE (tenant_id, code);
ALTER TABLE scheme_versions
    ADD UNIQUE (tenant_id, scheme_id, number),
    ADD FOREIGN KEY (tenant_id, scheme_id) REFERENCES schemes (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, based_on_id) REFERENCES scheme_versions (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, frozen_by_id) REFERENCES actors (tenant_id, id),
    ADD CHECK (state IN ('DRAFT', 'FROZEN')), ADD CHECK (weighting IN ('POINTS', 'RELATIVE')),
    ADD CHECK ((state = 'FROZEN') = (frozen_at IS NOT NULL));
CREATE UNIQUE INDEX scheme_versions_one_draft ON scheme_versions (tenant_id, scheme_id) WHERE state = 'DRAFT';
ALTER TABLE scheme_version_categories
    ADD FOREIGN KEY (tenant_id, scheme_version_id) REFERENCES scheme_versions (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, category_id) REFERENCES categories (tenant_id, id);
ALTER TABLE scheme_version_items
    ADD FOREIGN KEY (tenant_id, scheme_version_id) REFERENCES scheme_versions (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, data_item_id) REFERENCES data_items (tenant_id, id);
ALTER TABLE indicators
    ADD UNIQUE (tenant_id, scheme_version_id, code) DEFERRABLE INITIALLY DEFERRED,
    ADD FOREIGN KEY (tenant_id, scheme_version_id) REFERENCES scheme_versions (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, parent_id) REFERENCES indicators (tenant_id, id) DEFERRABLE INITIALLY DEFERRED,
    ADD CHECK (aggregation IN ('ARITHMETIC', 'GEOMETRIC', 'HARMONIC'));
CREATE UNIQUE INDEX indicators_one_root ON indicators (tenant_id, scheme_version_id) WHERE parent_id IS NULL;
CREATE INDEX indicators_parent ON indicators (tenant_id, parent_id, position);
CREATE INDEX indicators_print ON indicators (tenant_id, scheme_version_id, print_order);
ALTER TABLE indicator_items
    ADD FOREIGN KEY (tenant_id, indicator_id) REFERENCES indicators (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, data_item_id) REFERENCES data_items (tenant_id, id);
CREATE INDEX indicator_items_item ON indicator_items (tenant_id, data_item_id, indicator_id);
ALTER TABLE indicator_responsibles
    ADD FOREIGN KEY (tenant_id, indicator_id) REFERENCES indicators (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, unit_id) REFERENCES org_units (tenant_id, id);
CREATE INDEX indicator_responsibles_unit ON indicator_responsibles (tenant_id, unit_id);

ALTER TABLE cycles
    ADD UNIQUE (tenant_id, code),
    ADD FOREIGN KEY (tenant_id, scheme_version_id) REFERENCES scheme_versions (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, under_id) REFERENCES org_units (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, previous_cycle_id) REFERENCES cycles (tenant_id, id),
    ADD CHECK (kind IN ('YEAR', 'HALF', 'QUARTER', 'MONTH')),
    ADD CHECK (state IN ('DRAFT', 'OPEN', 'REVIEWING', 'RANKED', 'NOTICED', 'PUBLISHED', 'ARCHIVED')),
    ADD CHECK (ends_on >= starts_on), ADD CHECK (due_on >= opens_on), ADD CHECK (grace_days >= 0);
CREATE INDEX cycles_starts ON cycles (tenant_id, starts_on DESC, id);
CREATE INDEX cycles_version ON cycles (tenant_id, scheme_version_id);
ALTER TABLE cycle_categories
    ADD FOREIGN KEY (tenant_id, cycle_id) REFERENCES cycles (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, category_id) REFERENCES categories (tenant_id, id);
ALTER TABLE cycle_units
    ALTER COLUMN tree_path TYPE text COLLATE "C",
    ADD UNIQUE (tenant_id, cycle_id, unit_id),
    ADD FOREIGN KEY (tenant_id, cycle_id) REFERENCES cycles (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, unit_id) REFERENCES org_units (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, category_id) REFERENCES categories (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, parent_id) REFERENCES cycle_units (tenant_id, id) DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX cycle_units_code ON cycle_units (tenant_id, cycle_id, code);
CREATE INDEX cycle_units_tree ON cycle_units (tenant_id, cycle_id, tree_path);
CREATE INDEX cycle_units_unit ON cycle_units (tenant_id, unit_id);
ALTER TABLE cycle_unit_ancestors
    ADD FOREIGN KEY (tenant_id, cycle_unit_id) REFERENCES cycle_units (tenant_id, id);
CREATE INDEX cycle_unit_ancestors_below ON cycle_unit_ancestors (tenant_id, ancestor_id, cycle_unit_id);
ALTER TABLE cycle_targets
    ADD FOREIGN KEY (tenant_id, cycle_id) REFERENCES cycles (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, data_item_id) REFERENCES data_items (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, unit_id) REFERENCES org_units (tenant_id, id);

ALTER TABLE reports
    ADD UNIQUE (tenant_id, cycle_unit_id),
    ADD FOREIGN KEY (tenant_id, cycle_unit_id) REFERENCES cycle_units (tenant_id, id);
CREATE INDEX reports_cycle ON reports (tenant_id, cycle_id);
-- Tasks and assessments have no foreign key to their cycle unit: an opening makes up to millions of them in the
-- transaction that makes the units, the check of each row took a third of its time (9 of 27 seconds for 2,000,000), and
-- units of a cycle are never deleted: nobody has the right to.
ALTER TABLE tasks
    ADD UNIQUE (tenant_id, cycle_unit_id, data_item_id),
    ADD CHECK (filler IN ('UNIT', 'RESPONSIBLE_UNIT', 'SYSTEM')),
    ADD CHECK (state IN ('OPEN', 'DRAFTED', 'SUBMITTED', 'RETURNED', 'SETTLED', 'MISSED'));
CREATE INDEX tasks_item ON tasks (tenant_id, cycle_id, data_item_id, cycle_unit_id);
ALTER TABLE entries
    ADD UNIQUE (tenant_id, task_id),
    ADD FOREIGN KEY (tenant_id, task_id) REFERENCES tasks (tenant_id, id),
    ADD CHECK (state IN ('DRAFT', 'SUBMITTED'));
ALTER TABLE entry_revisions
    ADD UNIQUE (tenant_id, entry_id, revision),
    ADD FOREIGN KEY (tenant_id, entry_id) REFERENCES entries (tenant_id, id);

ALTER TABLE assessments
    ADD UNIQUE (tenant_id, cycle_unit_id, indicator_id),
    ADD CHECK (state IN ('WAITING', 'READY', 'ACCEPTED', 'ADJUSTED', 'RETURNED', 'REJECTED', 'NOT_APPLICABLE'));
CREATE INDEX assessments_leaf ON assessments (tenant_id, cycle_id, indicator_id, cycle_unit_id);
CREATE INDEX assessments_waiting ON assessments (tenant_id, cycle_id, ready_since) WHERE state = 'READY';
ALTER TABLE reviews
    ADD FOREIGN KEY (tenant_id, assessment_id) REFERENCES assessments (tenant_id, id),
    ADD CHECK (decision IN ('ACCEPT', 'RETURN', 'ADJUST', 'AWARD', 'REJECT', 'NOT_APPLICABLE'));
CREATE INDEX reviews_assessment ON reviews (tenant_id, assessment_id, id);

ALTER TABLE events
    ADD UNIQUE (tenant_id, cycle_id, number),
    ADD FOREIGN KEY (tenant_id, cycle_unit_id) REFERENCES cycle_units (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, indicator_id) REFERENCES indicators (tenant_id, id),
    ADD CHECK (kind IN ('BONUS', 'DEDUCTION', 'BREACH', 'VETO')),
    ADD CHECK (state IN ('PROPOSED', 'CONFIRMED', 'REJECTED', 'REVOKED', 'WITHDRAWN')),
    ADD CHECK (amount >= 0), ADD CHECK (counted BETWEEN 0 AND amount),
    ADD CHECK ((state = 'PROPOSED') = (decided_at IS NULL));
CREATE INDEX events_unit ON events (tenant_id, cycle_unit_id, indicator_id);
CREATE INDEX events_day ON events (tenant_id, cycle_id, happened_on DESC, id);
CREATE INDEX events_waiting ON events (tenant_id, cycle_id, proposed_at) WHERE state = 'PROPOSED';

ALTER TABLE ranking_runs
    ADD UNIQUE (tenant_id, cycle_id, number),
    ADD FOREIGN KEY (tenant_id, cycle_id) REFERENCES cycles (tenant_id, id);
CREATE INDEX ranking_runs_job ON ranking_runs (tenant_id, job_id);
ALTER TABLE run_snapshots ADD FOREIGN KEY (tenant_id, run_id) REFERENCES ranking_runs (tenant_id, id);
ALTER TABLE standings
    ADD UNIQUE (tenant_id, run_id, cycle_unit_id),
    ADD FOREIGN KEY (tenant_id, run_id) REFERENCES ranking_runs (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, cycle_unit_id) REFERENCES cycle_units (tenant_id, id),
    ADD CHECK (status IN ('RANKED', 'VETOED', 'LOW_COVERAGE', 'NOT_SCORED'));
CREATE INDEX standings_board ON standings (tenant_id, run_id, position);
CREATE INDEX standings_category ON standings (tenant_id, run_id, category_id, position);
CREATE INDEX standings_unit ON standings (tenant_id, cycle_unit_id);
ALTER TABLE standing_dimensions ADD FOREIGN KEY (tenant_id, standing_id) REFERENCES standings (tenant_id, id);
ALTER TABLE standing_details ADD FOREIGN KEY (tenant_id, standing_id) REFERENCES standings (tenant_id, id);

ALTER TABLE standing_grades ADD FOREIGN KEY (tenant_id, standing_id) REFERENCES standings (tenant_id, id);
CREATE INDEX standing_grades_run ON standing_grades (tenant_id, run_id, grade);
ALTER TABLE tie_groups
    ADD FOREIGN KEY (tenant_id, run_id) REFERENCES ranking_runs (tenant_id, id),
    ADD CHECK (places_left > 0), ADD CHECK ((decided_at IS NULL) = (reason IS NULL));
CREATE INDEX tie_groups_run ON tie_groups (tenant_id, run_id);
ALTER TABLE tie_group_members
    ADD FOREIGN KEY (tenant_id, tie_group_id) REFERENCES tie_groups (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, standing_id) REFERENCES standings (tenant_id, id);
ALTER TABLE grade_records
    ADD UNIQUE (tenant_id, run_id, number),
    ADD FOREIGN KEY (tenant_id, run_id) REFERENCES ranking_runs (tenant_id, id);
ALTER TABLE decided_grades
    ADD FOREIGN KEY (tenant_id, record_id) REFERENCES grade_records (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, standing_id) REFERENCES standings (tenant_id, id);
CREATE INDEX decided_grades_standing ON decided_grades (tenant_id, standing_id);

ALTER TABLE publications
    ADD UNIQUE (tenant_id, cycle_id, number),
    ADD FOREIGN KEY (tenant_id, cycle_id) REFERENCES cycles (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, run_id) REFERENCES ranking_runs (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, supersedes_id) REFERENCES publications (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, published_by_id) REFERENCES actors (tenant_id, id),
    ADD CHECK (kind IN ('FEEDBACK', 'INTERIM', 'NOTICE', 'FINAL'));
CREATE UNIQUE INDEX publications_superseded_once ON publications (tenant_id, supersedes_id)
    WHERE supersedes_id IS NOT NULL;
CREATE INDEX publications_run ON publications (tenant_id, run_id);
CREATE INDEX publications_newest ON publications (tenant_id, published_at DESC, id);

ALTER TABLE jobs
    ADD UNIQUE (tenant_id, dedupe_key),
    ADD CHECK (state IN ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
    ADD CHECK (percent BETWEEN 0 AND 100);
CREATE INDEX jobs_newest ON jobs (tenant_id, requested_at DESC, id);
-- The dispatcher looks for work of all tenants, so these two indexes alone do not begin with tenant_id.
CREATE INDEX jobs_due ON jobs (run_at) WHERE state = 'QUEUED';
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state = 'RUNNING';
CREATE POLICY dispatch ON jobs FOR SELECT TO kp_dispatch USING (true);
GRANT SELECT (tenant_id, id, kind, state, run_at, lease_until, crashes, fence, requested_at) ON jobs TO kp_dispatch;

ALTER TABLE audit_events ADD UNIQUE (tenant_id, sequence);
CREATE INDEX audit_events_subject ON audit_events (tenant_id, subject_id, sequence DESC);
CREATE INDEX audit_events_actor ON audit_events (tenant_id, actor_id, sequence DESC);
CREATE INDEX idempotency_keys_age ON idempotency_keys (tenant_id, created_at);
