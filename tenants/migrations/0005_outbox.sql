-- The outbox: keys, row-level security, grants, and what the dispatcher may see of it.

ALTER TABLE outbox_heads DROP CONSTRAINT outbox_heads_pkey, ADD PRIMARY KEY (tenant_id), ADD CHECK (sequence > 0);
ALTER TABLE outbox_events
    DROP CONSTRAINT outbox_events_pkey, ADD PRIMARY KEY (tenant_id, id), ADD UNIQUE (tenant_id, sequence);
ALTER TABLE outbox_readers
    DROP CONSTRAINT outbox_readers_pkey, ADD PRIMARY KEY (tenant_id, reader), ADD CHECK (position >= 0);
CREATE INDEX outbox_events_age ON outbox_events (tenant_id, at);

DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['outbox_heads', 'outbox_events', 'outbox_readers'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY tenant ON %I USING (%s) WITH CHECK (%s)', t,
            'tenant_id = NULLIF(current_setting(''app.tenant_id'', true), '''')::uuid',
            'tenant_id = NULLIF(current_setting(''app.tenant_id'', true), '''')::uuid');
        EXECUTE format('GRANT SELECT, INSERT ON %I TO kp_app', t);
        EXECUTE format('GRANT SELECT ON %I TO kp_read', t);
    END LOOP;
END $$;
GRANT UPDATE ON outbox_heads, outbox_readers TO kp_app;
GRANT DELETE ON outbox_events TO kp_app;

-- How far the events and the readers of all tenants are; no event.
CREATE POLICY dispatch ON outbox_heads FOR SELECT TO kp_dispatch USING (true);
CREATE POLICY dispatch ON outbox_readers FOR SELECT TO kp_dispatch USING (true);
GRANT SELECT ON outbox_heads, outbox_readers TO kp_dispatch;
