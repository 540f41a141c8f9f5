"""How a mutation runs: one transaction, one use-case, one kept key, one typed answer (变更执行).

A noun writes one function per mutation and gives back what came of it, by field name of its success: keys of rows, or
plain values.

    @mutation(CreateCategorySuccess, access=at_root(Role.ADMINISTRATOR))
    async def create_category(tx: Transaction, actor: Actor, given: CreateCategoryInput) -> Outcome:
        '''Adds a category (考核类别).'''
        return {"category": await directory.create_category(tx, actor, code=given.code, name=given.name)}

The function's name is the field's, its docstring the description; its third argument is the GraphQL argument `input`.

Rows of the success are read after the commit, or where that is the same, by a use-case that declares `at_once=True`, in
its own transaction (see `schema.successes`); such a one changes nobody's grants. One that declares `claims=True` takes
the key as its fourth argument, claims it in the statement that writes, and gives rows instead of their keys. The
outcome is kept under the input's `idempotency_key` (an input without that field keeps nothing); a replay reads the same
rows as they are then. A field
described with `secret=True` is never kept: it is null on a replay. `access` is asked before the key; it refuses by
raising AccessDenied. Where it depends on the rows, and so on the use-case, who may write, `replayed` is asked before an
answer is given again. And whatever else: rows of an answer that the caller doesn't see any more are answered as if they
did not exist.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
from strawberry import ID
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryList, StrawberryOptional
from strawberry.types.field import StrawberryField
from strawberry.utils.str_converters import to_camel_case

from schema.arguments import canonical
from schema.context import Context
from schema.errors import Result, as_error
from schema.mapping import SECRET
from schema.reach import table_of
from schema.rows import Kind, make
from schema.scalars import write_date, write_decimal, write_instant
from schema.stock import load_row, rows_at_hand
from schema.successes import RowsWanted, keep_and_read
from service import idempotency
from service.access import Actor, Role, forbidden, reread
from service.errors import IdempotencyRefused, KaopingError, NotFound, Path, Unavailable, unauthenticated
from service.idempotency import AlreadyDone, Claim
from tenants.database import LAG_SECONDS, Transaction

Outcome = Mapping[str, Any]
"""Field of the success → UUID of a row, list of them, or a plain value."""

KEY = (
    "1 to 128 printable ASCII characters, chosen by the client; "
    "the same key with the same input has one effect within 24 hours, and answers with the same objects as they are "
    "by then."
)
"""Description of every `idempotencyKey`."""

Access = Callable[[Transaction, Actor, Any], Awaitable[None]]
U = TypeVar("U", bound=Callable[..., Awaitable[Any]])
"""A use-case: it takes the transaction, the actor and the input, and gives an Outcome; see above for `claims`."""

MUTATIONS: dict[str, "MutationField"] = {}
"""Every mutation by the name of its function."""

LOST = (
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ConnectionError,
)
"""The connection broke; that may have been in the middle of the commit."""

TRANSIENT = (
    asyncpg.LockNotAvailableError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.QueryCanceledError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    *LOST,
)
"""What may be gone at the next try."""


class MutationField(StrawberryField):
    """A field of the Mutation root, made of a use-case."""

    def __init__(
        self,
        use_case: Callable[..., Awaitable[Any]],
        success: type,
        access: Access | None,
        replayed: Access | None = None,
        at_once: bool = False,
        claims: bool = False,
    ) -> None:
        super().__init__(
            python_name=use_case.__name__,
            description=" ".join((use_case.__doc__ or "").split()),
            type_annotation=StrawberryAnnotation(Result[success] | None),  # type: ignore[valid-type]  # a class at hand
        )
        self.use_case = use_case
        self.success = success
        self.access = access
        self.replayed = replayed
        self.at_once = at_once
        self.claims = claims

    @property
    def is_basic_field(self) -> bool:
        """False: it needs its context."""
        return False

    @property
    def arguments(self) -> list[StrawberryArgument]:
        """The one argument, `input`."""
        if self._arguments is None:
            third = list(self.use_case.__annotations__)[2]
            self._arguments = [
                StrawberryArgument(
                    python_name="input",
                    graphql_name="input",
                    type_annotation=StrawberryAnnotation(
                        self.use_case.__annotations__[third], namespace=self.use_case.__globals__
                    ),
                    description="All that the mutation takes.",
                )
            ]
        return self._arguments

    @arguments.setter
    def arguments(self, value: list[StrawberryArgument]) -> None:
        self._arguments = value

    def get_result(self, source: Any, info: Any, args: list[Any], kwargs: Any) -> Any:
        """Run the mutation, or give what came of it already."""
        context: Context = info.context
        if isinstance(context.performed, Exception):
            raise context.performed
        if context.performed is not None:
            return context.performed
        return perform(context, self, kwargs["input"])


def mutation(
    success: type,
    *,
    access: Access | None = None,
    replayed: Access | None = None,
    at_once: bool = False,
    claims: bool = False,
) -> Callable[[U], U]:
    """Make a function a mutation; `success` is its payload type."""

    def decorate(use_case: U) -> U:
        if not use_case.__doc__:
            raise TypeError(f"{use_case.__name__} needs a docstring: it is the description of the mutation.")
        MUTATIONS[use_case.__name__] = MutationField(use_case, success, access, replayed, at_once, claims)
        return use_case

    return decorate


def at_root(*roles: Role) -> Access:
    """Access for holders of one of the roles over the whole district."""

    async def check(_tx: Transaction, actor: Actor, given: Any) -> None:
        actor.require_at_root(*roles, path=subject_of(given))

    return check


def holding(*roles: Role) -> Access:
    """Access for holders of one of the roles anywhere: what a replay asks where the use-case judges by the rows."""

    async def check(_tx: Transaction, actor: Actor, given: Any) -> None:
        if not actor.roles & set(roles):
            raise forbidden(roles, path=subject_of(given))

    return check


def subject_of(given: Any) -> Path:
    """Where an input names what it is about: its first id that must be given, else the input as a whole."""
    for field in given.__strawberry_definition__.fields:
        if field.type is ID:
            return ("input", to_camel_case(field.python_name))
    return ("input",)


async def perform(context: Context, field: MutationField, given: Any, wanted: RowsWanted | None = None) -> Any:
    """Run a mutation: its success or a typed error; anything unexpected is raised.

    `wanted` are rows that may be read at once.
    """
    await context.close()
    try:
        if context.actor is None:
            raise unauthenticated()
        written = await _write(context, context.actor, field, given, wanted)
        if written.again and not await _seen(context, field.success, written.outcome):
            raise NotFound(subject_of(given))
        if written.rows is not None and wanted is not None:
            return field.success(**{wanted.field: written.rows})
        payload = await succeed(context, field.success, written.outcome)
        if any(
            isinstance(each, list) and len(getattr(payload, name)) < len(each) for name, each in written.outcome.items()
        ):
            # Between the commit and this reading the caller lost its sight of them.
            raise NotFound(subject_of(given))
    except KaopingError as error:
        return await _refusal(context, error)
    return payload


async def _seen(context: Context, success: type, outcome: Outcome) -> bool:
    """Whether the caller still sees every row of an answer that was kept."""
    for field in success.__strawberry_definition__.fields:  # type: ignore[attr-defined]  # every payload has one
        given = outcome.get(field.python_name)
        shown = await _shown(context, field, given)
        if given is not None and (shown is None or (isinstance(given, list) and len(shown) < len(given))):
            return False
    return True


async def _refusal(context: Context, error: KaopingError) -> Any:
    return await as_error(context, error)


@dataclass(frozen=True, slots=True)
class _Written:
    outcome: Outcome
    again: bool
    """Whether it is one that was kept."""
    rows: list[Any] | None = None
    """Its rows, where they were read at once."""


async def _write(
    context: Context, actor: Actor, field: MutationField, given: Any, wanted: RowsWanted | None
) -> _Written:
    try:
        async with context.db.transaction(actor.tenant_id, lag_seconds=LAG_SECONDS) as tx:
            if field.claims:
                return await _claimed(context, tx, actor, field, given, wanted)
            if context.held:
                context.actor = actor = await reread(tx, actor)
            if field.access is not None:
                await field.access(tx, actor, given)
            claim = _claim(context, field, given)
            if claim is not None:
                kept = await idempotency.find(tx, actor, claim)
                if kept is not None:
                    return await _again(tx, actor, field, given, kept)
            outcome: Outcome = await field.use_case(tx, actor, given)
            if claim is not None:
                hidden = _secrets(field.success)
                plain = {name: _plain(each) for name, each in outcome.items() if name not in hidden}
                if wanted is not None:
                    ids = outcome[wanted.field]
                    rows = await keep_and_read(context, tx, claim, plain, wanted, ids)
                    return _Written(outcome, again=False, rows=rows)
                await idempotency.keep(tx, actor, claim, plain)
            return _Written(outcome, again=False)
    except KaopingError:
        raise
    except Exception as error:
        # Tortoise wraps the driver's error.
        cause = error.__cause__ or error
        if isinstance(cause, TRANSIENT):
            if idempotency.waits_for_key(cause):
                raise IdempotencyRefused(in_progress=True) from error
            raise Unavailable(lost=isinstance(cause, LOST)) from error
        raise


async def _claimed(
    context: Context,
    tx: Transaction,
    actor: Actor,
    field: MutationField,
    given: Any,
    wanted: RowsWanted | None,
) -> _Written:
    """What a use-case writes that claims its key itself."""
    claim = _claim(context, field, given)
    try:
        written: Mapping[str, Sequence[Mapping[str, Any]]] = await field.use_case(tx, actor, given, claim)
    except AlreadyDone as done:
        context.actor = actor = await reread(tx, actor)
        return await _again(tx, actor, field, given, done.outcome)
    rows = rows_at_hand(wanted.cls, written[wanted.field]) if wanted is not None else None
    return _Written({name: [row["id"] for row in each] for name, each in written.items()}, again=False, rows=rows)


async def _again(tx: Transaction, actor: Actor, field: MutationField, given: Any, kept: Outcome) -> _Written:
    if field.replayed is not None:
        await field.replayed(tx, actor, given)
    return _Written(kept, again=True)


def _claim(context: Context, field: MutationField, given: Any) -> Claim | None:
    """The claim of an input; None where it has no key."""
    key: str | None = getattr(given, "idempotency_key", None)
    if key is None:
        return None
    payload = canonical(given, nulls=True)
    del payload["idempotency_key"]
    if payload.get("password") is not None:
        # A plain hash of the input would be an easy way to try out passwords.
        payload["password"] = _sealed(context, payload["password"])
    return idempotency.claim_of(field.use_case.__name__, key, payload)


def _sealed(context: Context, password: str) -> str:
    """What tells two passwords apart, only for who has the signing key."""
    key = context.settings.signing_key
    return hmac.digest((key.get_secret_value() if key else "").encode(), password.encode(), "sha256").hex()


def _secrets(success: type) -> set[str]:
    definition = success.__strawberry_definition__  # type: ignore[attr-defined]  # every payload has one
    return {field.python_name for field in definition.fields if field.metadata.get(SECRET)}


def _plain(each: Any) -> Any:
    """A value of an outcome as JSON."""
    match each:
        case UUID():
            return str(each)
        case datetime():
            return write_instant(each)
        case date():
            return write_date(each)
        case Decimal():
            return write_decimal(each)
        case list() | tuple():
            return [_plain(item) for item in each]
    return each


async def succeed(context: Context, success: type, outcome: Outcome) -> Any:
    """The payload for an outcome, its rows read as they are now."""
    definition = success.__strawberry_definition__  # type: ignore[attr-defined]  # every payload has one
    made: dict[str, Any] = {}
    for field in definition.fields:
        made[field.python_name] = await _shown(context, field, outcome.get(field.python_name))
    return success(**made)


def _value(target: type, given: Any) -> Any:
    """A value object of an outcome: what is already one, a document, or a value that only gathers fields."""
    if isinstance(given, target):
        return given
    return make(target, given, Kind.DOCUMENT) if isinstance(given, dict) else make(target, {}, Kind.ROOT)


async def _shown(context: Context, field: StrawberryField, given: Any) -> Any:
    target: Any = field.type
    while isinstance(target, StrawberryOptional | StrawberryList):
        target = target.of_type
    if given is None or not isinstance(target, type) or not hasattr(target, "__strawberry_definition__"):
        return given
    if target.__strawberry_definition__.is_interface:
        # Which of its types it is tells the table that the row is found in.
        kinds: list[type] = target.__subclasses__()
        found = await asyncio.gather(*(load_row(context, kind, UUID(str(given))) for kind in kinds))
        return next((row for row in found if row is not None), None)
    if table_of(target) is None:
        return [_value(target, each) for each in given] if isinstance(given, list | tuple) else _value(target, given)
    if isinstance(given, list | tuple):
        rows = await asyncio.gather(*(load_row(context, target, UUID(str(each))) for each in given))
        return [row for row in rows if row is not None]
    return await load_row(context, target, UUID(str(given)))
