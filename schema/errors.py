"""Typed refusals of mutations: one set of error types for all, made from the errors of `service.errors` (业务错误)."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, Union
from uuid import UUID

import strawberry

from schema.context import Context
from schema.mapping import Node, column, describe, described, interface, payload, relation, value
from schema.registry import registered
from schema.rows import Kind, make
from schema.stock import load_row
from service import errors as refusals
from service import metrics
from service.access import Role
from service.errors import ErrorCode
from service.language import say

if TYPE_CHECKING:
    from schema.directory import OrgUnit

MOST_ISSUES = 1000
"""Issues listed in one answer; all are counted."""

describe(
    ErrorCode,
    "The closed list of error codes, in typed errors and in extensions.code of top-level errors.",
    INVALID="A value breaks a rule of the domain.",
    INVALID_ID="Not an id, or an id of another type.",
    INVALID_CURSOR="Not a cursor of this list, filter and order.",
    INVALID_DECIMAL="Not a plain decimal of at most 38 digits.",
    INVALID_TEXT="Text with forbidden characters, or too long.",
    INVALID_DATETIME="Not a date, or an instant without offset.",
    INVALID_IDEMPOTENCY_KEY="Not 1 to 128 printable ASCII characters.",
    NOT_FOUND="No such thing, or not for the caller to see.",
    FORBIDDEN="The caller's grants do not allow it.",
    UNAUTHENTICATED="No valid sign-in.",
    VERSION_CONFLICT="Changed by another since it was read.",
    IDEMPOTENCY_KEY_REUSED="The key was used with another input.",
    IDEMPOTENCY_IN_PROGRESS="A twin with this key is still running; try again.",
    ILLEGAL_STATE="Not possible in the present state.",
    DEADLINE_PASSED="The due instant and its grace are over.",
    WINDOW_CLOSED="The objection or return window is not open.",
    UNIT_CLOSED="The unit has ended.",
    DUPLICATE="Exists already.",
    QUERY_TOO_COMPLEX="The operation costs more than allowed.",
    TOO_LARGE="Body, list or file above its limit.",
    THROTTLED="Too many at once; the hint says how to go on.",
    TIMEOUT="The operation's time is up.",
    UNAVAILABLE="A part is away; try again.",
    INTERNAL="A fault of ours; quote the request id.",
    GRAPHQL_PARSE_FAILED="The document is not GraphQL; nothing ran.",
    GRAPHQL_VALIDATION_FAILED="The document does not fit the schema; nothing ran.",
    BAD_USER_INPUT="The request or its variables do not have the shape that was asked for.",
    PERSISTED_QUERY_NOT_FOUND="No document is known by this hash.",
)

describe(
    Role,
    "What a grant allows (角色).",
    ADMINISTRATOR="Accounts and units (系统管理员).",
    ORGANISER="Schemes, cycles, runs, publications (考核办).",
    ASSESSOR="Fills and awards a responsible unit's items and indicators for all units but its own (评分员).",
    REVIEWER="Reviews a subtree, never the own unit (审核员).",
    SECRETARY="Reports and appeals of a unit (填报员).",
    OBSERVER="Reads (查阅员).",
    FEED="Pushes data items (数据接口).",
)


@interface
class Error:
    """What every typed refusal has in common; write one fragment on it."""

    code: ErrorCode = described("For programs; never renamed.")
    message: str = described("For people, in the language of Accept-Language (zh-CN or en).")
    path: list[str] | None = described(
        'Where in the input, such as ["input", "entries", "3", "value"]; null where no one place is at fault.'
    )
    hint: str | None = described("What would help, and who can help.")


@payload
class InputIssue(Error):
    """One fault of an input."""


@payload
class InputError(Error):
    """The input is refused as a whole (INVALID and its kin, DUPLICATE, TOO_LARGE); nothing was written."""

    issues: list[InputIssue] = described("All faults at once, at most 1,000.")
    issue_count: int = described("How many faults there are, also beyond those listed.")


@payload
class NotFoundError(Error):
    """NOT_FOUND: unknown, foreign and invisible ids answer alike."""


@value
class Contact:
    """Who can help with something (联系人)."""

    role: Role = column("In which role.")
    unit: "OrgUnit | None" = relation("Of which unit.", on={"unit_id": "id"})
    display_name: str | None = column("Shown name, where rules let it be seen.")


@payload
class AccessError(Error):
    """FORBIDDEN, UNAUTHENTICATED, or THROTTLED: seen, but not for this caller to do, or not yet."""

    required_roles: list[Role] = described("Roles of which one would do.")
    contacts: list[Contact] = described("Who can help.")


@payload
class StateError(Error):
    """ILLEGAL_STATE, DEADLINE_PASSED, WINDOW_CLOSED or UNIT_CLOSED: says which, since when, and who can help."""

    state: str | None = described("The state that stands in the way, as its enum value is written.")
    legal_from: list[str] = described("States from which it would be possible.")
    since: datetime | None = described("Since when it has not been possible.")
    contacts: list[Contact] = described("Who can help.")
    subject: Node | None = described("The object whose state stands in the way.")


@payload
class VersionConflictIssue:
    """One stale object."""

    path: list[str] = described("Place of its version in the input.")
    current_version: int = described("Its version now.")
    current: Node = described("The object now.")


@payload
class VersionConflictError(Error):
    """VERSION_CONFLICT: nothing was written; every stale object is listed as it is now."""

    conflicts: list[VersionConflictIssue] = described("Each stale object with its present state.")


@payload
class IdempotencyError(Error):
    """IDEMPOTENCY_KEY_REUSED or IDEMPOTENCY_IN_PROGRESS; or UNAVAILABLE: the same key may be sent again."""

    retryable: bool = described("True while a twin is in progress, and where the service was only busy.")


ERRORS: tuple[type, ...] = (
    InputError,
    NotFoundError,
    AccessError,
    StateError,
    VersionConflictError,
    IdempotencyError,
)
"""The members that every mutation's result has beside its success."""

T = TypeVar("T")

if TYPE_CHECKING:

    class Result(Generic[T]):
        """What a mutation answers: its success or one of the errors."""

else:
    _results: dict[type, Any] = {}

    class Result:
        """`Result[CreateCategorySuccess]` is the union CreateCategoryResult."""

        def __class_getitem__(cls, success: type) -> Any:
            if success not in _results:
                name = success.__name__.removesuffix("Success")
                field = name[0].lower() + name[1:]
                _results[success] = Annotated[
                    Union[(success, *ERRORS)],
                    strawberry.union(
                        f"{name}Result",
                        description=f"Answer of {field}: select ... on Error beside the success, "
                        "other errors may join.",
                    ),
                ]
            return _results[success]


async def as_error(context: Context, error: refusals.KaopingError) -> Error:
    """The typed error for a refusal, in the caller's language; what it shows is read as it is now."""
    metrics.ERRORS.labels(error.code.value).inc()
    common: dict[str, Any] = {
        "code": error.code,
        "message": say(error.text, context.language),
        "path": None if error.path is None else list(error.path),
        "hint": None if error.hint is None else say(error.hint, context.language),
    }
    match error:
        case refusals.Invalid(issues=issues):
            listed = [_issue(context, issue) for issue in issues[:MOST_ISSUES]]
            return InputError(**common, issues=listed, issue_count=len(issues))
        case refusals.NotFound():
            return NotFoundError(**common)
        case refusals.AccessDenied(required_roles=roles, contacts=contacts):
            return AccessError(
                **common, required_roles=[Role(role) for role in roles], contacts=await _contacts(context, contacts)
            )
        case refusals.IllegalState(subject=subject):
            return StateError(
                **common,
                state=error.state,
                legal_from=error.legal_from,
                since=error.since,
                contacts=await _contacts(context, error.contacts),
                subject=None if subject is None else await load_row(context, registered(subject[0]), subject[1]),
            )
        case refusals.VersionConflict(conflicts=conflicts):
            return await _conflict(context, common, conflicts)
        case refusals.IdempotencyRefused(retryable=retryable):
            return IdempotencyError(**common, retryable=retryable)
        case refusals.Unavailable():
            return IdempotencyError(**common, retryable=True)
    issue = refusals.Issue(error.code, error.path or (), error.text, error.hint)
    return InputError(**common, issues=[_issue(context, issue)], issue_count=1)


async def _conflict(context: Context, common: dict[str, Any], conflicts: Sequence[refusals.Conflict]) -> Error:
    rows = await asyncio.gather(
        *(load_row(context, registered(conflict.type_name), conflict.id) for conflict in conflicts)
    )
    listed = [
        VersionConflictIssue(path=list(conflict.path), current_version=conflict.current_version, current=row)
        for conflict, row in zip(conflicts, rows, strict=True)
        if row is not None
    ]
    if not listed:
        # What the caller may not see has no state to show.
        return await as_error(context, refusals.NotFound(conflicts[0].path))
    return VersionConflictError(**common, conflicts=listed)


def _issue(context: Context, issue: refusals.Issue) -> InputIssue:
    return InputIssue(
        code=issue.code,
        message=say(issue.text, context.language),
        path=list(issue.path),
        hint=None if issue.hint is None else say(issue.hint, context.language),
    )


async def _contacts(context: Context, contacts: Sequence[refusals.Contact]) -> list[Contact]:
    """Who can help; whoever does in the whole district sits at the root of its tree."""
    root = await _root(context) if any(contact.unit_id is None for contact in contacts) else None
    return [
        make(
            Contact,
            {"role": contact.role, "unit_id": contact.unit_id or root, "display_name": contact.display_name},
            Kind.DOCUMENT,
        )
        for contact in contacts
    ]


async def _root(context: Context) -> UUID | None:
    statement = context.statement()
    rows = await context.fetch(
        statement.render("SELECT ru.id FROM org_units ru WHERE ru.tenant_id = {tenant} AND ru.parent_id IS NULL"),
        statement,
    )
    return rows[0]["id"] if rows else None
