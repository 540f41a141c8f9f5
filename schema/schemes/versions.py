"""Schemes and their versions (考核方案)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from schema.context import Context
from schema.directory import Category
from schema.mapping import (
    ID,
    Connection,
    Key,
    Node,
    by_id,
    column,
    computed,
    condition,
    connection,
    document,
    filter_type,
    identifier,
    listing,
    query,
    relation,
    table,
)
from schema.members import ACTOR_TYPES
from schema.schemes.checking import CategorySumInfo, SchemeIssue, faults, sums
from schema.schemes.settings import SETTINGS, SchemeSettings
from schema.schemes.words import SchemeVersionState, Weighting
from service import schemes

if TYPE_CHECKING:
    from schema.cycles import Cycle
    from schema.members import Actor
    from schema.schemes.indicators import Indicator

MOST_INDICATORS = 2_001
"""Nodes of a version, with its root."""


@table("schemes", plural="schemes")
class Scheme(Node):
    """A scheme over its versions (考核方案)."""

    id: ID = identifier()
    code: str = column("Code.")
    name: str = column("Name.")
    versions: "list[SchemeVersion]" = listing("Newest first.", on={"id": "scheme_id"}, order="{r}.number DESC")
    draft: "SchemeVersion | None" = relation(
        "The version that can be edited; at most one.", on={"id": "scheme_id"}, where="{r}.state = 'DRAFT'"
    )
    version: int = column("Rises with each change of name or code.")


@filter_type
class SchemeFilter:
    """Which schemes."""

    search: str | None = condition(
        "Code or name contains this.", "{r}.code ILIKE {value} OR {r}.name ILIKE {value}", contains=True
    )


async def _file(context: Context, versions: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    """The scheme documents of the engine."""
    return [await schemes.scheme_file(context.reader, version["id"]) for version in versions]


@table("scheme_versions", plural="scheme versions")
class SchemeVersion(Node):
    """An indicator tree with all settings; frozen when a cycle opens on it, and unchanged from then on."""

    id: ID = identifier()
    scheme: Scheme = relation("Of which scheme.", on={"scheme_id": "id"})
    number: int = column("1, 2, 3 …")
    label: str | None = column("Name for people, such as 2026年修订版.")
    state: SchemeVersionState = column("Draft or frozen.")
    based_on: "SchemeVersion | None" = relation("Version it was copied from.", on={"based_on_id": "id"})
    weighting: Weighting = column("Points or relative weights.")
    full_marks: Decimal = column("Full marks of the root (总分).")
    categories: list[Category] = listing(
        "Categories it applies to.",
        where="""{r}.id IN (SELECT vc.category_id FROM scheme_version_categories vc
                 WHERE vc.tenant_id = {tenant} AND vc.scheme_version_id = {t}.id)""",
        order="""(SELECT vp.position FROM scheme_version_categories vp WHERE vp.tenant_id = {tenant}
                  AND vp.scheme_version_id = {t}.id AND vp.category_id = {r}.id)""",
        limit=100,
    )
    settings: SchemeSettings = document("All that changes results.", sql=SETTINGS)
    indicators: "list[Indicator]" = listing(
        "The whole tree, flat, in print order; depth and parent give the shape. At most 2,000, and the root.",
        on={"id": "scheme_version_id"},
        order="{r}.print_order",
        limit=MOST_INDICATORS,
    )
    root: "Indicator" = relation("The root node.", on={"id": "scheme_version_id"}, where="{r}.parent_id IS NULL")
    cycles: "list[Cycle]" = listing("Cycles on it, newest first.", on={"id": "scheme_version_id"}, order="{r}.id DESC")
    frozen_at: datetime | None = column("When it was frozen.")
    frozen_by: "Actor | None" = relation("By whom.", on={"frozen_by_id": "id"}, variants=ACTOR_TYPES)
    version: int = column(
        "Rises with each change of settings or of the tree's shape; single indicators have their own."
    )

    faults: list[SchemeIssue] = computed(
        "Check of the whole tree now: faults with their paths, then warnings (方案检查); freezing wants no fault.",
        faults,
        needs=["id"],
    )
    sums: list[CategorySumInfo] = computed(
        "Points per category, node by node (分值合计); empty under RELATIVE.", sums, needs=["id"]
    )
    file: str = computed(
        "Canonical JSON text, with codes in place of ids, that importScheme reads (方案文件).", _file, needs=["id"]
    )


@query
class SchemesQuery:
    """Schemes, versions and indicators."""

    scheme: Scheme | None = by_id("One scheme.", "Scheme")
    schemes: Connection[Scheme] | None = connection("Schemes.", filter=SchemeFilter, default=[Key("{r}.code")])
    scheme_version: SchemeVersion | None = by_id("One version, with tree, settings and check.", "SchemeVersion")
    indicator: "Indicator | None" = by_id("One indicator.", "Indicator")
