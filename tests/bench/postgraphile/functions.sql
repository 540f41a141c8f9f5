-- What a team would write in SQL for PostGraphile to answer as Kaoping does: a worklist, and saving a value.

CREATE SCHEMA IF NOT EXISTS bench;

-- A view, not a function: only from tables and views does PostGraphile join what a row leads to in the same statement.
CREATE OR REPLACE VIEW bench.worklist WITH (security_invoker = true) AS
    SELECT t.id, t.tenant_id, t.cycle_unit_id, t.data_item_id, t.state, t.due_on, t.due_at, t.position
    FROM public.tasks t
    WHERE t.tenant_id = current_setting('app.tenant_id')::uuid AND t.id IN (
        SELECT wt.id FROM public.grants gg
        JOIN public.cycle_unit_ancestors wa ON wa.tenant_id = gg.tenant_id AND wa.ancestor_id = gg.unit_id
        JOIN public.cycle_units wu ON wu.tenant_id = wa.tenant_id AND wu.id = wa.cycle_unit_id
             AND wu.cycle_id = ANY (ARRAY(SELECT wc.id FROM public.cycles wc
                 WHERE wc.tenant_id = current_setting('app.tenant_id')::uuid AND wc.state IN ('OPEN', 'REVIEWING')))
        JOIN public.tasks wt ON wt.tenant_id = wu.tenant_id AND wt.cycle_unit_id = wu.id AND wt.filler = 'UNIT'
             AND wt.state IN ('OPEN', 'DRAFTED', 'RETURNED')
        WHERE gg.tenant_id = current_setting('app.tenant_id')::uuid
          AND gg.holder_id = current_setting('app.actor_id')::uuid
          AND gg.role = 'SECRETARY' AND (gg.valid_to IS NULL OR gg.valid_to >= current_date));
COMMENT ON VIEW bench.worklist IS
    E'@primaryKey tenant_id,id'
    '\n@foreignKey (tenant_id, cycle_unit_id) references public.cycle_units (tenant_id, id)'
    '\n@foreignKey (tenant_id, data_item_id) references public.data_items (tenant_id, id)';
COMMENT ON TABLE public.entries IS
    E'@foreignKey (tenant_id, task_id) references bench.worklist (tenant_id, id)';
GRANT SELECT ON bench.worklist TO kp_app;

-- Relations that Kaoping's tables have without a foreign key, told to PostGraphile.
COMMENT ON TABLE public.standing_dimensions IS
    E'@foreignKey (tenant_id, indicator_id) references indicators (tenant_id, id)';
COMMENT ON TABLE public.progress_counters IS
    E'@foreignKey (tenant_id, subject_id) references indicators (tenant_id, id)';

-- Saves one value with the writes that Kaoping makes: entry, revision, state of the task, audit event and head,
-- event of the outbox, key.
CREATE OR REPLACE FUNCTION bench.save_entry(the_task uuid, the_number numeric, seen_version integer, the_key text)
RETURNS public.entries LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    tenant uuid := current_setting('app.tenant_id')::uuid;
    actor uuid := current_setting('app.actor_id')::uuid;
    hashed text := encode(sha256(convert_to(the_task || the_number::text || seen_version, 'UTF8')), 'hex');
    claimed boolean;
    asked record;
    saved public.entries;
    head record;
    event jsonb;
    made text;
    event_id uuid := gen_random_uuid();
    place bigint;
BEGIN
    DELETE FROM public.idempotency_keys k WHERE k.tenant_id = tenant AND k.actor_id = actor
        AND k.mutation = 'saveEntries' AND k.key = the_key AND k.created_at < now() - interval '24 hours';
    INSERT INTO public.idempotency_keys (tenant_id, actor_id, mutation, key, input_hash, outcome)
        VALUES (tenant, actor, 'saveEntries', the_key, hashed, '{}') ON CONFLICT DO NOTHING RETURNING true INTO claimed;
    IF claimed IS NULL THEN
        RAISE EXCEPTION 'IDEMPOTENCY_KEY_REUSED';
    END IF;
    PERFORM FROM public.tasks t WHERE t.tenant_id = tenant AND t.id = the_task FOR NO KEY UPDATE;
    SELECT t.*, v.scale, v.minimum, v.maximum, v.source AS item_source, e.version AS entry_version INTO asked
    FROM public.tasks t
    JOIN public.cycles c ON c.tenant_id = t.tenant_id AND c.id = t.cycle_id AND c.state IN ('OPEN', 'REVIEWING')
    JOIN public.scheme_version_items v ON v.tenant_id = c.tenant_id AND v.scheme_version_id = c.scheme_version_id
         AND v.data_item_id = t.data_item_id
    LEFT JOIN public.entries e ON e.tenant_id = t.tenant_id AND e.task_id = t.id
    WHERE t.tenant_id = tenant AND t.id = the_task AND t.closes_at > now() AND t.state IN ('OPEN', 'DRAFTED', 'RETURNED')
      AND EXISTS (SELECT FROM public.grants g
          JOIN public.cycle_unit_ancestors a ON a.tenant_id = g.tenant_id AND a.ancestor_id = g.unit_id
          WHERE g.tenant_id = tenant AND g.holder_id = actor AND g.role = 'SECRETARY'
            AND a.cycle_unit_id = t.cycle_unit_id)
    FOR SHARE OF c;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'NOT_FOUND';
    END IF;
    IF asked.entry_version IS DISTINCT FROM nullif(seen_version, 0) THEN
        RAISE EXCEPTION 'VERSION_CONFLICT';
    END IF;
    IF scale(the_number) > asked.scale OR the_number < asked.minimum OR the_number > asked.maximum THEN
        RAISE EXCEPTION 'INVALID';
    END IF;
    INSERT INTO public.entries AS en (tenant_id, id, task_id, cycle_id, state, revision, revision_id, number, source,
                                      by_id, at, days_late, version)
        VALUES (tenant, gen_random_uuid(), the_task, asked.cycle_id, 'DRAFT', 1, gen_random_uuid(), the_number,
                asked.item_source, actor, now(), 0, 1)
        ON CONFLICT (tenant_id, task_id) DO UPDATE
        SET state = 'DRAFT', revision = en.revision + 1, revision_id = EXCLUDED.revision_id,
            number = EXCLUDED.number, by_id = EXCLUDED.by_id, at = EXCLUDED.at, version = en.version + 1
        RETURNING * INTO saved;
    INSERT INTO public.entry_revisions (tenant_id, id, entry_id, revision, number, source, by_id, at)
        VALUES (tenant, saved.revision_id, saved.id, saved.revision, saved.number, saved.source, actor, saved.at);
    UPDATE public.tasks t SET state = 'DRAFTED' WHERE t.tenant_id = tenant AND t.id = the_task AND t.state = 'OPEN';
    UPDATE public.audit_heads h SET sequence = h.sequence + 1 WHERE h.tenant_id = tenant
        RETURNING h.sequence, h.digest, now() AS at INTO head;
    event := jsonb_build_object('tenant', tenant, 'sequence', head.sequence, 'at', head.at, 'actor', actor,
        'action', 'saveEntries', 'subject', jsonb_build_array('Entry', saved.id), 'summary', '保存填报值1项',
        'previous', head.digest);
    made := encode(sha256(convert_to(event::text, 'UTF8')), 'hex');
    INSERT INTO public.audit_events (tenant_id, id, sequence, at, actor_id, action, subject_type, subject_id, summary,
                                     changes, digest, previous_digest)
        VALUES (tenant, event_id, head.sequence, head.at, actor, 'saveEntries', 'Entry', saved.id,
                '{"zh": "保存填报值1项", "en": "Saved 1 value(s)"}', '[]', made, head.digest);
    UPDATE public.audit_heads h SET digest = made WHERE h.tenant_id = tenant;
    INSERT INTO public.outbox_heads AS oh (tenant_id, sequence) VALUES (tenant, 1)
        ON CONFLICT (tenant_id) DO UPDATE SET sequence = oh.sequence + 1 RETURNING oh.sequence INTO place;
    INSERT INTO public.outbox_events (tenant_id, id, sequence, at, kind, subject_type, subject_id, ids)
        VALUES (tenant, event_id, place, head.at, 'saveEntries', 'Entry', saved.id, '{}');
    UPDATE public.idempotency_keys k SET outcome = jsonb_build_object('entries', jsonb_build_array(saved.id))
        WHERE k.tenant_id = tenant AND k.actor_id = actor AND k.mutation = 'saveEntries' AND k.key = the_key;
    RETURN saved;
END
$$;

GRANT USAGE ON SCHEMA bench TO kp_app;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bench TO kp_app;
