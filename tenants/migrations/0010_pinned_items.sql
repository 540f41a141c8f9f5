-- As its cycle does, whose version never changes once there are tasks.
-- Row-level security binds the owner as well, so tenant after tenant.
DO $$
DECLARE t uuid;
BEGIN
    FOR t IN SELECT id FROM directory LOOP
        PERFORM set_config('app.tenant_id', t::text, true);
        UPDATE tasks ta SET scheme_version_id = cy.scheme_version_id
        FROM cycles cy WHERE ta.tenant_id = t AND cy.tenant_id = t AND cy.id = ta.cycle_id;
    END LOOP;
    PERFORM set_config('app.tenant_id', '', true);
END $$;
