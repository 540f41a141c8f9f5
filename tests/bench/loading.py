"""A district of any size, loaded by SQL: units under towns, data items, and a frozen scheme with a leaf per item."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

import asyncpg
import orjson

from service.schemes.settings import default_settings
from tenants.database import Transaction
from tenants.ids import uuid7, uuid7s
from tests.small import today

UNITS_PER_TOWN = 100


@dataclass(frozen=True)
class Loaded:
    """What was made."""

    category_ids: list[UUID]
    unit_ids: list[UUID]
    item_ids: list[UUID]
    version_id: UUID
    cycle_id: UUID


async def load(
    tx: Transaction,
    *,
    units: int,
    items: int,
    categories: int = 5,
    due_on: date | None = None,
    sources: Sequence[str] = ("REPORTED",),
) -> Loaded:
    """Fill an empty district; its cycle is a draft, due in 20 days. Items beyond `sources` have that of the first."""
    tenant, root = tx.tenant_id, await tx.fetchval("SELECT id FROM org_units WHERE tenant_id = $1", tx.tenant_id)
    category_ids = uuid7s(categories)
    await tx.execute(
        """INSERT INTO categories (tenant_id, id, code, name, position)
           SELECT $1, c.id, 'c' || c.n, '第' || c.n || '类', c.n FROM unnest($2::uuid[]) WITH ORDINALITY c(id, n)""",
        tenant,
        category_ids,
    )
    town_ids, unit_ids = uuid7s(-(-units // UNITS_PER_TOWN)), uuid7s(units)
    await tx.execute(
        """INSERT INTO org_units (tenant_id, id, code, name, kind, parent_id, tree_path, valid_from)
           SELECT $1, t.id, 't' || t.n, '第' || t.n || '街道', 'COMMITTEE', $3, 'root t' || t.n, '2020-01-01'
           FROM unnest($2::uuid[]) WITH ORDINALITY t(id, n)""",
        tenant,
        town_ids,
        root,
    )
    await tx.execute(
        f"""INSERT INTO org_units (tenant_id, id, code, name, kind, parent_id, category_id, tree_path, valid_from)
            SELECT $1, u.id, 'u' || u.n, '第' || u.n || '社区', 'GENERAL_BRANCH',
                   ($3::uuid[])[(u.n - 1) / {UNITS_PER_TOWN} + 1], ($4::uuid[])[u.n % cardinality($4::uuid[]) + 1],
                   'root t' || (u.n - 1) / {UNITS_PER_TOWN} + 1 || ' u' || u.n, '2020-01-01'
            FROM unnest($2::uuid[]) WITH ORDINALITY u(id, n)""",
        tenant,
        unit_ids,
        town_ids,
        category_ids,
    )
    await tx.execute(
        """INSERT INTO org_unit_ancestors (tenant_id, unit_id, ancestor_id, depth)
           SELECT $1, o.id, o.id, 0 FROM org_units o WHERE o.tenant_id = $1 AND o.id <> $2
           UNION ALL SELECT $1, o.id, o.parent_id, 1 FROM org_units o WHERE o.tenant_id = $1 AND o.id <> $2
           UNION ALL SELECT $1, o.id, $2, 2 FROM org_units o
                     WHERE o.tenant_id = $1 AND o.parent_id IS NOT NULL AND o.parent_id <> $2""",
        tenant,
        root,
    )
    item_ids, leaf_ids = uuid7s(items), uuid7s(items)
    scheme_id, version_id, root_id = uuid7(), uuid7(), uuid7()
    await tx.execute(
        """INSERT INTO data_items (tenant_id, id, code, name, name_key, definition, type, scale, source, personal,
                                   active)
           SELECT $1, i.id, 'i' || i.n, '第' || i.n || '项', 'i' || i.n, '口径', 'NUMBER', 2,
                  coalesce(($3::text[])[i.n], ($3::text[])[1]), false, true
           FROM unnest($2::uuid[]) WITH ORDINALITY i(id, n)""",
        tenant,
        item_ids,
        list(sources),
    )
    await tx.execute(
        "INSERT INTO schemes (tenant_id, id, code, name) VALUES ($1, $2, 'bench', '方案')", tenant, scheme_id
    )
    settings = {**default_settings("RELATIVE"), "notApplicablePolicy": "PARENT"}
    await tx.execute(
        """INSERT INTO scheme_versions (tenant_id, id, scheme_id, number, weighting, full_marks, settings, state,
                                        frozen_at)
           VALUES ($1, $2, $3, 1, 'RELATIVE', 100, $4::jsonb, 'FROZEN', now())""",
        tenant,
        version_id,
        scheme_id,
        orjson.dumps(settings).decode(),
    )
    await tx.execute(
        """INSERT INTO scheme_version_items (tenant_id, scheme_version_id, data_item_id, position, code, name,
                                             definition, type, scale, options, source, personal)
           SELECT $1, $2, d.id, i.n, d.code, d.name, d.definition, d.type, d.scale, d.options, d.source, d.personal
           FROM unnest($3::uuid[]) WITH ORDINALITY i(id, n)
           JOIN data_items d ON d.tenant_id = $1 AND d.id = i.id""",
        tenant,
        version_id,
        item_ids,
    )
    await tx.execute(
        """INSERT INTO scheme_version_categories (tenant_id, scheme_version_id, category_id, position)
           SELECT $1, $2, c.id, c.n FROM unnest($3::uuid[]) WITH ORDINALITY c(id, n)""",
        tenant,
        version_id,
        category_ids,
    )
    await tx.execute(
        """INSERT INTO indicators (tenant_id, id, scheme_version_id, code, name, depth, position, print_order, ordinal,
                                   leaf)
           VALUES ($1, $2, $3, 'all', '总分', 0, 0, 0, '', false)""",
        tenant,
        root_id,
        version_id,
    )
    await tx.execute(
        """INSERT INTO indicators (tenant_id, id, scheme_version_id, code, name, parent_id, depth, position,
                                   print_order, ordinal, leaf, weight, rule)
           SELECT $1, l.id, $3, 'l' || l.n, '第' || l.n || '项', $4, 1, l.n, l.n, l.n::text, true, 1,
                  jsonb_build_object('kind', 'LINEAR', 'zeroAt', '0', 'fullAt', '100', 'clamp', true, 'quantity',
                      jsonb_build_object('denominator', NULL, 'denominatorZero', 'NOT_APPLICABLE', 'numerator',
                          jsonb_build_object('constant', '0', 'terms', jsonb_build_array(jsonb_build_object(
                              'coefficient', '1', 'dataItem', l.item, 'countName', NULL)))))
           FROM unnest($2::uuid[], $5::uuid[]) WITH ORDINALITY l(id, item, n)""",
        tenant,
        leaf_ids,
        version_id,
        root_id,
        item_ids,
    )
    await tx.execute(
        """INSERT INTO indicator_items (tenant_id, indicator_id, data_item_id, position)
           SELECT $1, l.id, l.item, 0 FROM unnest($2::uuid[], $3::uuid[]) l(id, item)""",
        tenant,
        leaf_ids,
        item_ids,
    )
    cycle_id = await add_cycle(
        tx, version_id, category_ids, code="bench", due_on=due_on or today() + timedelta(days=20)
    )
    return Loaded(category_ids, unit_ids, item_ids, version_id, cycle_id)


async def add_cycle(
    tx: Transaction, version_id: UUID, category_ids: Sequence[UUID], *, code: str, due_on: date
) -> UUID:
    """One more cycle of the version, in draft."""
    tenant, cycle_id = tx.tenant_id, uuid7()
    await tx.execute(
        """INSERT INTO cycles (tenant_id, id, code, name, kind, starts_on, ends_on, scheme_version_id, opens_on, due_on,
                               due_at, grace_days, closes_at)
           VALUES ($1, $2, $5, '测试周期' || $5, 'YEAR', '2026-01-01', '2026-12-31', $3, '2026-01-01', $4::date,
                   ($4::date + 1)::timestamp AT TIME ZONE 'Asia/Shanghai', 0,
                   ($4::date + 1)::timestamp AT TIME ZONE 'Asia/Shanghai')""",
        tenant,
        cycle_id,
        version_id,
        due_on,
        code,
    )
    await tx.execute(
        """INSERT INTO cycle_categories (tenant_id, cycle_id, category_id, position, name)
           SELECT $1, $2, c.id, c.n, '?' FROM unnest($3::uuid[]) WITH ORDINALITY c(id, n)""",
        tenant,
        cycle_id,
        list(category_ids),
    )
    return cycle_id


async def look_over(owner_url: str) -> None:
    """Have PostgreSQL learn how much there is, as autovacuum does some minutes after a load."""
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute("SET ROLE kp_owner")
        await owner.execute("ANALYZE")
    finally:
        await owner.close()
