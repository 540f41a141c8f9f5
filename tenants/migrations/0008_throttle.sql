-- Tries to sign in: keys, row-level security, grants. The nil tenant is a tenant as any other to the policy.

ALTER TABLE sign_in_tries
    DROP CONSTRAINT sign_in_tries_pkey, ADD PRIMARY KEY (tenant_id, key),
    ADD CHECK (level >= 0), ADD CHECK (octet_length(key) = 32);
CREATE INDEX sign_in_tries_age ON sign_in_tries (tenant_id, at);
ALTER TABLE sign_in_tries ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sign_in_tries
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON sign_in_tries TO kp_app;
