"""Publications, as frontends see them (公示、通报)."""

from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING

from schema.mapping import (
    ID,
    Connection,
    Key,
    Node,
    Order,
    Sort,
    by_id,
    column,
    condition,
    connection,
    described,
    document,
    enumeration,
    expression,
    filter_type,
    identifier,
    input_type,
    listing,
    order_type,
    payload,
    query,
    relation,
    table,
)
from schema.members import ACTOR_TYPES
from schema.mutations import KEY, Outcome, at_root, mutation
from schema.rankings import CategoryBoardInfo, Standing, StandingFilter, StandingOrder, categories_of
from schema.scope import covers
from service import publications
from service.access import Actor as Caller
from service.access import Role
from tenants.database import Transaction

if TYPE_CHECKING:
    from schema.cycles import Cycle
    from schema.members import Actor
    from schema.rankings import RankingRun
    from schema.schemes import DisclosureInfo, Indicator, PublicationKind


@table("publications", plural="publications")
class Publication(Node):
    """An immutable, verifiable board (公示、通报)."""

    id: ID = identifier()
    cycle: "Cycle" = relation("The cycle.", on={"cycle_id": "id"})
    run: "RankingRun | None" = relation("The run; null for those who may only see publications.", on={"run_id": "id"})
    kind: "PublicationKind" = column("Of which kind.")
    number: int = column("1, 2, 3 … in the cycle.")
    title: str = column("Title.")
    published_at: datetime = column("When.")
    published_by: "Actor | None" = relation("By whom.", on={"published_by_id": "id"}, variants=ACTOR_TYPES)
    current: bool = expression(
        "Whether none supersedes it.",
        """NOT EXISTS (SELECT 1 FROM publications sp WHERE sp.tenant_id = {tenant}
           AND sp.supersedes_id = {t}.id)""",
    )
    disclosure: "DisclosureInfo" = document("What it shows to whom.")
    objection_from: date | None = column("First day of the objection window.")
    objection_until: date | None = column("Last day of it (异议截止).")
    dimensions: "list[Indicator]" = listing(
        "Column heads: first-level indicators in print order, but for those of bonus, deductions and vetoes.",
        where="""{r}.depth = 1 AND {r}.scheme_version_id = (SELECT dc.scheme_version_id FROM cycles dc
                 WHERE dc.tenant_id = {tenant} AND dc.id = {t}.cycle_id)
             AND EXISTS (WITH RECURSIVE db AS (
                     SELECT {r}.id, {r}.rule
                     UNION ALL
                     SELECT dn.id, dn.rule FROM db
                     JOIN indicators dn ON dn.tenant_id = {tenant} AND dn.parent_id = db.id
                 ) SELECT 1 FROM db WHERE db.rule ->> 'kind' NOT IN ('BONUS', 'DEDUCTION', 'VETO'))""",
        order="{r}.print_order",
    )
    categories: list[CategoryBoardInfo] = listing(
        "Categories with summary.",
        rows=categories_of("{t}.run_id"),
        order="{r}.position",
    )
    standings: Connection[Standing] = connection(
        "The board; without disclosure to all, the viewer's own units.",
        on={"run_id": "run_id"},
        filter=StandingFilter,
        order=StandingOrder,
        default=[Key("{r}.position", "bigint")],
    )
    own_standings: list[Standing] = listing(
        "Those of the viewer's own units, in full.",
        on={"run_id": "run_id"},
        where=covers("{r}.cycle_unit_id", "SECRETARY"),
        order="{r}.position",
        limit=100,
    )
    format: str = column("Format of the bundle.")
    engine_version: str = column("Engine that reckons it again.")
    digest: str = column("SHA-256 of the bundle, hex; for everyone.")


@enumeration("What publications can be sorted by.")
class PublicationOrderField(Enum):
    """Orders of publications."""

    PUBLISHED_AT = Sort("By when it was published.", (Key("{r}.published_at", "timestamptz"),))


@order_type
class PublicationOrder(Order):
    """An order of publications."""

    field: PublicationOrderField = described("What to sort by.")


@filter_type
class PublicationFilter:
    """Which publications."""

    cycle_id: ID | None = condition("Of this cycle.", "{r}.cycle_id = {value}", of="Cycle")
    kinds: "list[PublicationKind] | None" = condition("Of these kinds.", "{r}.kind = ANY({value})")
    current: bool | None = condition(
        "Only those not superseded, or only the others.",
        """{value} = NOT EXISTS (SELECT 1 FROM publications sp WHERE sp.tenant_id = {tenant}
           AND sp.supersedes_id = {r}.id)""",
    )


@query
class PublicationsQuery:
    """Boards."""

    publication: Publication | None = by_id("One board.", "Publication")
    publications: Connection[Publication] | None = connection(
        "Boards, newest first.",
        filter=PublicationFilter,
        order=PublicationOrder,
        default=[Key("{r}.published_at", "timestamptz", descending=True)],
    )


@input_type
class PublishRunInput:
    """What publishRun takes."""

    run_id: ID = described("Which run.")
    version: int = described("Version of the cycle that was read.")
    kind: "PublicationKind" = described("Of which kind.")
    title: str = described("Title.")
    idempotency_key: str = described(KEY)


@payload
class PublishRunSuccess:
    """publishRun is done."""

    publication: Publication = described("The publication.")
    cycle: "Cycle" = described("The cycle.")


@mutation(PublishRunSuccess, access=at_root(Role.ORGANISER))
async def publish_run(tx: Transaction, actor: Caller, given: PublishRunInput) -> Outcome:
    """Publishes a run, for ever (公示、通报)."""
    publication_id, cycle_id = await publications.publish_run(
        tx, actor, run_id=given.run_id, version=given.version, kind=given.kind.name, title=given.title
    )
    return {"publication": publication_id, "cycle": cycle_id}
