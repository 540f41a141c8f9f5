"""The audit, as frontends see it (操作日志)."""

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING

from schema.mapping import (
    ID,
    Connection,
    Key,
    Node,
    Order,
    Sort,
    column,
    condition,
    connection,
    described,
    document,
    enumeration,
    expression,
    filter_type,
    identifier,
    order_type,
    query,
    reference,
    relation,
    table,
    value,
)
from schema.members import ACTOR_TYPES, IS_ADMINISTRATOR
from schema.scalars import DateTimeText

if TYPE_CHECKING:
    from schema.members import Actor


@value
class AuditChangeInfo:
    """One changed field."""

    field: str = column("Name of the field.")
    before: str | None = column("As it was.")
    after: str | None = column("As it is.")


@table("audit_events", plural="audit events", visible=f"{{all}} OR {IS_ADMINISTRATOR}")
class AuditEvent(Node):
    """Who did what, when (操作日志); chained by hash per tenant."""

    id: ID = identifier()
    sequence: int = column("Number in the tenant's chain.")
    at: datetime = column("When.")
    actor: "Actor | None" = relation("Who; null for the system.", on={"actor_id": "id"}, variants=ACTOR_TYPES)
    action: str = column("Mutation or step, such as reviewAssessments.")
    subject: Node | None = reference(
        "What it was done to; null if it may not be seen.", kind="subject_type", id="subject_id"
    )
    summary: str = expression("In words.", "{t}.summary ->> CASE {language} WHEN 'EN' THEN 'en' ELSE 'zh' END")
    reason: str | None = column("Reason given.")
    changes: list[AuditChangeInfo] = document("What changed.")
    request_id: str | None = column("Request it came with.")
    digest: str = column("Its hash, hex.")
    previous_digest: str = column("Hash of the one before.")


@enumeration("What audit events can be sorted by.")
class AuditEventOrderField(Enum):
    """Orders of audit events."""

    AT = Sort("By when.", (Key("{r}.sequence", "bigint"),))


@order_type
class AuditEventOrder(Order):
    """An order of audit events."""

    field: AuditEventOrderField = described("What to sort by.")


@filter_type
class AuditEventFilter:
    """Which audit events."""

    subject_id: ID | None = condition("About this object.", "{r}.subject_id = {value}")
    actor_id: ID | None = condition("By this member or token.", "{r}.actor_id = {value}")
    actions: list[str] | None = condition("Of these actions.", "{r}.action = ANY({value})")
    from_: DateTimeText | None = condition("From this instant on.", "{r}.at >= {value}")
    to: DateTimeText | None = condition("Before this instant.", "{r}.at < {value}")


@query
class AuditQuery:
    """The audit."""

    audit_events: Connection[AuditEvent] | None = connection(
        "The audit, newest first.",
        filter=AuditEventFilter,
        order=AuditEventOrder,
        default=[Key("{r}.sequence", "bigint", descending=True)],
    )
