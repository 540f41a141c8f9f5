-- Tokens of an issuer: a district that names one also says for whom its tokens are meant and where the account stands.
ALTER TABLE directory
    ADD CHECK ((issuer IS NULL) = (audience IS NULL)), ADD CHECK ((issuer IS NULL) = (subject_claim IS NULL)),
    ADD CHECK (issuer IS NOT NULL OR tenant_claim IS NULL);
CREATE INDEX directory_issuer ON directory (issuer) WHERE issuer IS NOT NULL;

-- What a job keeps is the header of its request: version, trace, span, flags.
ALTER TABLE jobs ADD CHECK (length(traceparent) <= 64);

-- The program asks whether the database has the migrations that it was written for.
GRANT SELECT ON tortoise_migrations TO kp_app;
