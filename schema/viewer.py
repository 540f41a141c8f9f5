"""The caller, and what waits for it (当前登录者)."""

from typing import TYPE_CHECKING

from schema.mapping import expression, listing, query, relation, table
from schema.members import ACTOR_TYPES, Language
from service.access import Role

if TYPE_CHECKING:
    from schema.directory import Tenant
    from schema.members import Actor, Grant


@table("actors")
class Viewer:
    """The caller: who it is, what it may do, what waits for it."""

    actor: "Actor" = relation("The member or token.", on={"id": "id"}, variants=ACTOR_TYPES)
    tenant: "Tenant" = relation("Its district.", on={"tenant_id": "tenant_id"})
    roles: list[Role] = expression(
        "All roles it holds anywhere.",
        """ARRAY(SELECT DISTINCT gr.role FROM grants gr WHERE gr.tenant_id = {tenant} AND gr.holder_id = {t}.id
           AND (gr.valid_to IS NULL OR gr.valid_to >= {today}) ORDER BY gr.role)""",
    )
    grants: "list[Grant]" = listing(
        "Its grants in force.",
        on={"id": "holder_id"},
        where="{r}.valid_to IS NULL OR {r}.valid_to >= {today}",
        order="{r}.id",
    )
    language: Language = expression("Language of its messages in this request.", "{language}")


@query
class ViewerQuery:
    """The caller."""

    viewer: Viewer | None = relation("The caller; null without sign-in.", where="{r}.id = {actor}")
