-- Trials and the robustness of ranks: beside what is published, never part of it.

DO $$
DECLARE
    names jsonb := '{
        "what_ifs": "tenant_id, id",
        "what_if_changes": "tenant_id, id",
        "run_robustness": "tenant_id, run_id",
        "standing_robustness": "tenant_id, standing_id"}';
    t text; c text;
BEGIN
    FOR t IN SELECT jsonb_object_keys(names) LOOP
        SELECT conname INTO c FROM pg_constraint WHERE conrelid = t::regclass AND contype = 'p';
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', t, c);
        EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (%s)', t, names ->> t);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (%s) WITH CHECK (%s)', t,
            'tenant_id = NULLIF(current_setting(''app.tenant_id'', true), '''')::uuid',
            'tenant_id = NULLIF(current_setting(''app.tenant_id'', true), '''')::uuid');
        EXECUTE format('GRANT SELECT, INSERT ON %I TO kp_app', t);
        EXECUTE format('GRANT SELECT ON %I TO kp_read', t);
    END LOOP;
END $$;

-- A trial is thrown away after its time.
GRANT UPDATE, DELETE ON what_ifs TO kp_app;
GRANT DELETE ON what_if_changes TO kp_app;

ALTER TABLE what_ifs
    ADD FOREIGN KEY (tenant_id, run_id) REFERENCES ranking_runs (tenant_id, id),
    ADD CHECK (expires_at > requested_at);
CREATE INDEX what_ifs_run ON what_ifs (tenant_id, run_id);
CREATE INDEX what_ifs_expiry ON what_ifs (tenant_id, expires_at);
ALTER TABLE what_if_changes
    ADD UNIQUE (tenant_id, what_if_id, cycle_unit_id),
    ADD FOREIGN KEY (tenant_id, what_if_id) REFERENCES what_ifs (tenant_id, id) ON DELETE CASCADE,
    ADD FOREIGN KEY (tenant_id, cycle_unit_id) REFERENCES cycle_units (tenant_id, id);
CREATE INDEX what_if_changes_board ON what_if_changes (tenant_id, what_if_id, position);

ALTER TABLE run_robustness
    ADD FOREIGN KEY (tenant_id, run_id) REFERENCES ranking_runs (tenant_id, id),
    ADD CHECK (draws > 0), ADD CHECK (tolerance >= 0);
ALTER TABLE standing_robustness
    ADD FOREIGN KEY (tenant_id, standing_id) REFERENCES standings (tenant_id, id),
    ADD CHECK (low BETWEEN 1 AND high);
