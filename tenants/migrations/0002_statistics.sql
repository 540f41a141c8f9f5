-- Counters of cycles: key, row-level security, grants, and the counts of what is there already.

ALTER TABLE progress_counters
    DROP CONSTRAINT progress_counters_pkey,
    ADD PRIMARY KEY (tenant_id, cycle_id, subject_id, due_at),
    ADD FOREIGN KEY (tenant_id, cycle_id) REFERENCES cycles (tenant_id, id),
    ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON progress_counters
    USING (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid)
    WITH CHECK (tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE ON progress_counters TO kp_app;
GRANT SELECT ON progress_counters TO kp_read;

-- Row-level security binds the owner as well, so tenant after tenant.
DO $$
DECLARE t uuid;
BEGIN
    FOR t IN SELECT id FROM directory LOOP
        PERFORM set_config('app.tenant_id', t::text, true);
        WITH filled AS (
            SELECT ta.cycle_id, ta.cycle_unit_id, ta.data_item_id, ta.due_at, ta.filler = 'UNIT' AS own,
                   ta.state IN ('SUBMITTED', 'SETTLED') AS sent, ta.days_late > 0 AS late
            FROM tasks ta WHERE ta.tenant_id = t AND ta.filler <> 'SYSTEM'
        ), changes AS (
            SELECT cycle_id, cycle_unit_id, data_item_id, NULL::uuid AS indicator_id, due_at, 1 AS asked,
                   sent::int AS submitted, (sent AND late)::int AS submitted_late, (own AND NOT sent)::int AS outstanding,
                   0 AS ready, 0 AS returned, 0 AS accepted, 0 AS rejected, 0 AS not_applicable, 0 AS inconsistent
            FROM filled
            UNION ALL
            SELECT cycle_id, cycle_unit_id, NULL, indicator_id, 'infinity', 0, 0, 0, 0, (state = 'READY')::int,
                   (state = 'RETURNED')::int, (state IN ('ACCEPTED', 'ADJUSTED'))::int, (state = 'REJECTED')::int,
                   (state = 'NOT_APPLICABLE')::int, (changes_since_accepted > 0)::int
            FROM assessments WHERE tenant_id = t
        ), placed AS (
            SELECT ch.*, ch.cycle_id AS subject_id FROM changes ch
            UNION ALL SELECT ch.*, ch.cycle_unit_id FROM changes ch
            UNION ALL SELECT ch.*, ca.ancestor_id FROM changes ch JOIN cycle_unit_ancestors ca
                      ON ca.tenant_id = t AND ca.cycle_unit_id = ch.cycle_unit_id AND ca.depth > 0
            UNION ALL SELECT ch.*, cu.category_id FROM changes ch JOIN cycle_units cu
                      ON cu.tenant_id = t AND cu.id = ch.cycle_unit_id
            UNION ALL SELECT ch.*, ch.indicator_id FROM changes ch WHERE ch.indicator_id IS NOT NULL
            UNION ALL SELECT ch.*, ii.indicator_id FROM changes ch
                      JOIN indicator_items ii ON ii.tenant_id = t AND ii.data_item_id = ch.data_item_id
                      JOIN assessments al ON al.tenant_id = t AND al.cycle_unit_id = ch.cycle_unit_id
                           AND al.indicator_id = ii.indicator_id
        )
        INSERT INTO progress_counters (tenant_id, cycle_id, subject_id, due_at, asked, submitted, submitted_late,
                                       outstanding, ready, returned, accepted, rejected, not_applicable, inconsistent)
        SELECT t, cycle_id, subject_id, due_at, sum(asked), sum(submitted), sum(submitted_late), sum(outstanding),
               sum(ready), sum(returned), sum(accepted), sum(rejected), sum(not_applicable), sum(inconsistent)
        FROM placed GROUP BY cycle_id, subject_id, due_at;
    END LOOP;
    PERFORM set_config('app.tenant_id', '', true);
END $$;
