"""Run one operation, whichever transport brought it, and give its answer as JSON-ready values (执行).

Documents come parsed and validated from the cache, so Strawberry's own `Schema.execute`, which would do both again, is
passed by. `Engine.execute` is the one door through which queries and mutations go: a query is answered by its plan
where it has one, everything else runs in graphql-core with Strawberry's executor. Whoever has the bytes of a result
already puts `orjson.Fragment(bytes)` in the place of data.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Protocol, TypeGuard, cast

import orjson
import strawberry
from graphql import (
    ExecutionResult,
    FieldNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLSchema,
    execute,
    map_source_to_response_event,
    type_from_ast,
)
from graphql.execution import Executor, create_source_event_stream
from graphql.utilities import validate_input_value
from strawberry.execution import optimized_is_awaitable

from schema import masking
from schema.context import Context
from schema.documents import Documents, Operation
from schema.masking import JsonError, Refusal
from schema.options import EndpointOptions
from schema.plans.run import Plans
from schema.plans.writes import Writes
from schema.requests import GraphQLRequest
from service.errors import ErrorCode
from service.language import Language
from service.scoring.text import Text

MOST_INTROSPECTIONS = 8
"""Introspections whose answer is kept as bytes."""

# Strawberry's quicker test for awaitables, typed as graphql-core wants it.
_is_awaitable = cast("Callable[[Any], TypeGuard[Awaitable[Any]]]", optimized_is_awaitable)


class OperationContext(Protocol):
    """What an operation's context must have; its resolvers know it better."""

    language: Language
    request_id: str | None

    @property
    def actor(self) -> object | None:
        """Who asks; None without a token."""

    async def close(self) -> None:
        """Give up what the operation held."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The response of an operation. `ran` is False where it was refused before any resolver.

    `status` is the HTTP status for clients of the newer media type.
    """

    body: dict[str, Any]
    ran: bool = True
    status: int = 200


def encode(body: object) -> bytes:
    """JSON as UTF-8, Han characters unescaped."""
    return orjson.dumps(body)


class Engine:
    """The schema with its document cache and limits."""

    def __init__(self, schema: strawberry.Schema, options: EndpointOptions) -> None:
        self._executor_class = schema.execution_context_class
        self.core: GraphQLSchema = schema._schema  # noqa: SLF001  # Strawberry names it nowhere in public
        self.options = options
        _check_one_of_early(self.core)
        trusted_only = options.trusted_only
        self.documents = Documents(self.core, options.limits, options.document_cache_bytes, trusted_only=trusted_only)
        if options.trusted_documents is not None:
            self.documents.trust(options.trusted_documents)
        self._introspected: dict[tuple[bytes, str | None], Answer] = {}
        self.plans = Plans(schema) if options.plans else None
        self.writes = Writes(schema)

    def prepare(self, request: GraphQLRequest, language: Language) -> Operation:
        """The operation to run, within its limits; raises Refusal."""
        document = self.documents.find(request, language)
        operation = document.operation(request.operation_name, language)
        operation.check_cost(request.variables, self.options.limits, language)
        return operation

    def admit(self, operation: Operation, context: OperationContext) -> None:
        """Refuse what this caller may not run: introspection without a token, unless GraphiQL is on."""
        if operation.measured.introspects and context.actor is None and not self.options.graphiql:
            made = masking.error(
                context.language,
                ErrorCode.UNAUTHENTICATED,
                Text(zh="查询接口定义需要登录。", en="Introspection needs a sign-in."),
                hint=Text(zh="也可直接使用 schema.graphql。", en="Or use schema.graphql."),
            )
            raise Refusal([made], status=401, well_formed=True, headers={"www-authenticate": 'Bearer realm="kaoping"'})

    async def execute(
        self, operation: Operation, variables: Mapping[str, Any], context: OperationContext, request_id: str
    ) -> Answer:
        """Run a query or mutation to its end, or until its time is up; raises no Exception."""
        constant = _is_constant(operation)
        key = (operation.document.digest, operation.name)
        if constant and key in self._introspected:
            return self._introspected[key]
        answer = await self._run(operation, variables, context, request_id)
        if constant and "errors" not in answer.body and len(self._introspected) < MOST_INTROSPECTIONS:
            # Tools ask the same at each start, and the answer, a megabyte, takes a fifth of a second to make.
            self._introspected[key] = answer = Answer({"data": orjson.Fragment(encode(answer.body["data"]))})
        return answer

    async def _run(
        self, operation: Operation, variables: Mapping[str, Any], context: OperationContext, request_id: str
    ) -> Answer:
        language = context.language
        try:
            async with asyncio.timeout(self.options.operation_seconds):
                if self.plans is not None:
                    data = await self.plans.read(operation, variables, cast(Context, context))
                    if data is not None:
                        return Answer({"data": orjson.Fragment(data)})
                    written = await self.writes.run(operation, variables, cast(Context, context))
                    if written is not None:
                        return Answer({"data": written})
                result = execute(
                    self.core,
                    operation.document.ast,
                    context_value=context,
                    variable_values=dict(variables),
                    operation_name=operation.name,
                    executor_class=self._executor_class,
                    is_awaitable=_is_awaitable,
                    operation_extensions=None,
                )
                if isawaitable(result):
                    result = await result
        except TimeoutError:
            return _failed(masking.timeout_error(language, request_id))
        except Exception as error:
            return _failed(masking.exception_error(error, language, request_id))
        return self._answer(operation, variables, result, language, request_id)

    async def subscribe(
        self,
        operation: Operation,
        variables: Mapping[str, Any],
        context: OperationContext,
        request_id: str,
        fresh: Callable[[], Awaitable[OperationContext]],
    ) -> AsyncGenerator[Answer, None]:
        """Answers of a subscription, each event resolved in a context of its own.

        `context` belongs to the source of the events; it is closed after each event, so that no snapshot is held while
        waiting. What `fresh` raises ends the subscription and comes through.
        """
        language = context.language
        executor = self._executor_class.build(
            self.core,
            operation.document.ast,
            context_value=context,
            raw_variable_values=dict(variables),
            operation_name=operation.name,
            is_awaitable=_is_awaitable,
            operation_extensions=None,
        )
        if isinstance(executor, list):
            yield self._answer(operation, variables, ExecutionResult(None, executor), language, request_id)
            return
        source = create_source_event_stream(executor)
        if isawaitable(source):
            source = await source
        if isinstance(source, ExecutionResult):
            yield self._answer(operation, variables, source, language, request_id, ran=False)
            return

        async def one(event: Executor[Any]) -> ExecutionResult:
            event.context_value = own = await fresh()
            try:
                result = event.execute_operation(False)
                return cast(ExecutionResult, await result if isawaitable(result) else result)
            finally:
                await own.close()
                await context.close()

        events = map_source_to_response_event(executor, cast(AsyncIterator[Any], source), one)
        try:
            async with aclosing(events):
                async for result in events:
                    yield self._answer(operation, variables, result, language, request_id)
        except GraphQLError as fault:
            # A refusal of the source itself: an argument that is no id or no cursor.
            errors = masking.execution_errors([fault], operation.document.ast, language, request_id)
            yield Answer({"errors": errors}, ran=False)

    def _answer(
        self,
        operation: Operation,
        variables: Mapping[str, Any],
        result: ExecutionResult,
        language: Language,
        request_id: str,
        *,
        ran: bool = True,
    ) -> Answer:
        if not result.errors:
            return Answer({"data": result.data})
        if result.data is None and all(fault.path is None for fault in result.errors):
            errors = self._input_errors(operation, variables, result.errors, language)
            return Answer({"errors": errors}, ran=False, status=400)
        errors = masking.execution_errors(result.errors, operation.document.ast, language, request_id)
        return Answer({"data": result.data, "errors": errors} if ran else {"errors": errors}, ran=ran)

    def _input_errors(
        self, operation: Operation, variables: Mapping[str, Any], faults: list[GraphQLError], language: Language
    ) -> list[JsonError]:
        """Faults of variables, found anew because graphql-core tells their paths in prose only."""
        made: list[JsonError] = []
        for definition in operation.node.variable_definitions or ():
            name = definition.variable.name.value
            if name not in variables and definition.default_value is not None:
                continue

            def note(fault: GraphQLError, path: list[str | int], node: Any = definition, name: str = name) -> None:
                if len(made) < masking.MOST_ERRORS:
                    made.append(masking.variable_fault(fault, (name, *map(str, path)), node, language))

            declared = type_from_ast(self.core, definition.type)
            if name in variables:
                validate_input_value(variables[name], cast(GraphQLInputType, declared), note)
            elif definition.type.kind == "non_null_type":
                note(GraphQLError(f"A value of type {declared} is required."), [])
        return made or [
            masking.error(
                language,
                ErrorCode.BAD_USER_INPUT,
                Text(zh=f"变量不符合要求：{fault.message}", en=fault.message),
                path=("variables",),
                locations=fault.locations,
            )
            for fault in faults[: masking.MOST_ERRORS]
        ]


def _is_constant(operation: Operation) -> bool:
    """Whether it asks for nothing but the schema itself, which never changes while the program runs."""
    return (
        operation.measured.introspects
        and not operation.node.variable_definitions
        and all(
            isinstance(node, FieldNode) and node.name.value.startswith("__")
            for node in operation.node.selection_set.selections
        )
    )


def _failed(error: JsonError) -> Answer:
    return Answer({"data": None, "errors": [error]}, status=masking.status_of(error))


def _check_one_of_early(schema: GraphQLSchema) -> None:
    """Let graphql-core check @oneOf, with a path; Strawberry does it while coercing, where no path is known."""
    for each in schema.type_map.values():
        definition = each.extensions.get("strawberry-definition")
        if isinstance(each, GraphQLInputObjectType) and definition is not None and definition.is_one_of:
            each.is_one_of = True
