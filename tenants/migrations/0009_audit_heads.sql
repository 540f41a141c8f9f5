-- The head moves on by an upsert, which gives back only what it has become.
ALTER TABLE audit_heads ALTER COLUMN previous_digest SET DEFAULT '';
