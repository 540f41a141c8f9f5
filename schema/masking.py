"""What went wrong, as the errors of a response: coded, bilingual, and silent about everything unexpected (错误与遮蔽).

Every top-level error carries `extensions {code, path, hint}`. Expected refusals keep their words; a surprise becomes
INTERNAL with the request's id, and its traceback goes to the log only.
"""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg
from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    GraphQLError,
    Node,
    ObjectFieldNode,
    VariableDefinitionNode,
)

from service import metrics
from service.errors import ErrorCode, KaopingError
from service.language import Language, say
from service.scoring.text import Text

logger = logging.getLogger("kaoping.graphql")

JsonError = dict[str, Any]

MOST_ERRORS = 20
"""Errors in one response; what comes after them is dropped."""

LONGEST_MESSAGE = 500
"""Characters of a message."""

_REPEATED = re.compile(r"(?:[,;.] [Ff]ound:? |(?<=value): ).*$", re.DOTALL)
"""The part of a message of graphql-core that repeats a value."""

_CODES = frozenset(code.value for code in ErrorCode)
_OUT_OF_TIME = (TimeoutError, asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError)
_UNREACHABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    # What asyncpg raises over a connection that was cut off in the middle.
    asyncpg.InternalClientError,
    ConnectionError,
)


class Refusal(Exception):
    """A request that does not run.

    `status` is the HTTP status. `well_formed` says that the request was fine as HTTP and is refused as GraphQL; clients
    of the older media type get 200 for those.
    """

    def __init__(
        self,
        errors: Sequence[JsonError],
        *,
        status: int = 400,
        well_formed: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(errors[0]["message"])
        self.errors = list(errors)
        self.status = status
        self.well_formed = well_formed
        self.headers = dict(headers or {})


def error(
    language: Language,
    code: ErrorCode,
    text: Text,
    *,
    path: Iterable[str] | None = None,
    hint: Text | None = None,
    locations: Sequence[Any] | None = None,
    response_path: Sequence[str | int] | None = None,
    **more: object,
) -> JsonError:
    """One error of a response. `path` leads into the input, `response_path` into the data; `more` joins extensions."""
    metrics.ERRORS.labels(code.value).inc()
    made: JsonError = {"message": _shortened(say(text, language))}
    if locations:
        made["locations"] = [{"line": place.line, "column": place.column} for place in locations]
    if response_path is not None:
        made["path"] = list(response_path)
    made["extensions"] = {
        "code": code.value,
        "path": None if path is None else list(path),
        "hint": None if hint is None else say(hint, language),
        **more,
    }
    return made


def refuse(language: Language, code: ErrorCode, text: Text, *, status: int = 400, **more: Any) -> Refusal:
    """A refusal of the request as HTTP, with one error."""
    headers = more.pop("headers", None)
    return Refusal([error(language, code, text, **more)], status=status, headers=headers)


def unauthenticated(denied: KaopingError, language: Language) -> Refusal:
    """401 for a token that does not hold."""
    return refuse(
        language,
        denied.code,
        denied.text,
        hint=denied.hint,
        path=denied.path,
        status=401,
        headers={"www-authenticate": 'Bearer realm="kaoping", error="invalid_token"'},
    )


def parse_failed(fault: GraphQLError, language: Language) -> Refusal:
    """The document is not GraphQL."""
    made = error(
        language,
        ErrorCode.GRAPHQL_PARSE_FAILED,
        Text(zh=f"查询文本有语法错误：{fault.message}", en=fault.message),
        hint=Text(zh="请检查所标行列处的括号、引号和拼写。", en="Look at brackets, quotes and spelling at that place."),
        locations=fault.locations,
    )
    return Refusal([made], well_formed=True)


def validation_failed(faults: Sequence[GraphQLError], document: DocumentNode, language: Language) -> Refusal:
    """The document does not fit the schema; each fault with its path."""
    return Refusal(
        [
            error(
                language,
                _code_of(fault) or ErrorCode.GRAPHQL_VALIDATION_FAILED,
                Text(zh=f"查询与接口定义不符：{fault.message}", en=fault.message),
                path=trail(document, fault.nodes[0]) if fault.nodes else None,
                hint=Text(
                    zh="请对照 schema.graphql 或 GraphiQL 文档核对字段、参数和类型。",
                    en="Compare fields, arguments and types with schema.graphql or the documentation in GraphiQL.",
                ),
                locations=fault.locations,
            )
            for fault in faults[:MOST_ERRORS]
        ],
        well_formed=True,
    )


def variable_fault(
    fault: GraphQLError, path: Sequence[str], definition: VariableDefinitionNode, language: Language
) -> JsonError:
    """A variable's value does not have its declared type; `path` begins with the variable's name."""
    place = ".".join(path)
    return error(
        language,
        _code_of(fault) or ErrorCode.BAD_USER_INPUT,
        Text(zh=f"变量 ${place} 的值不符合要求：{fault.message}", en=f"Variable ${place}: {fault.message}"),
        path=path,
        hint=Text(zh="请按所声明的类型填写变量。", en="Give the variable a value of its declared type."),
        locations=GraphQLError("", definition).locations,
    )


def execution_errors(
    faults: Sequence[GraphQLError], document: DocumentNode, language: Language, request_id: str
) -> list[JsonError]:
    """The errors of an operation that ran."""
    return [_execution_error(fault, document, language, request_id) for fault in faults[:MOST_ERRORS]]


def _execution_error(fault: GraphQLError, document: DocumentNode, language: Language, request_id: str) -> JsonError:
    if (fault.extensions or {}).get("code") in _CODES:
        return dict(fault.formatted)
    cause: BaseException = fault
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    if isinstance(cause, GraphQLError):
        nodes = fault.nodes or []
        if nodes and not isinstance(nodes[0], FieldNode):
            # Only a fault of an argument's value stands at a node below the field.
            return error(
                language,
                ErrorCode.BAD_USER_INPUT,
                Text(zh=f"参数的值不符合要求：{fault.message}", en=fault.message),
                path=trail(document, nodes[0]),
                hint=Text(zh="请按参数的类型填写。", en="Give the argument a value of its type."),
                locations=fault.locations,
                response_path=fault.path,
            )
    made = exception_error(cause, language, request_id)
    if fault.path is not None:
        made["path"] = list(fault.path)
    if fault.locations:
        made["locations"] = [{"line": place.line, "column": place.column} for place in fault.locations]
    return made


def exception_error(cause: BaseException, language: Language, request_id: str) -> JsonError:
    """The error for an exception: a refusal in its own words, anything else coded and masked, and logged."""
    if isinstance(cause, KaopingError):
        return error(language, cause.code, cause.text, path=cause.path, hint=cause.hint)
    if isinstance(cause, _OUT_OF_TIME):
        logger.warning("Request %s ran out of time: %s", request_id, type(cause).__name__)
        return timeout_error(language, request_id)
    if _is_unreachable(cause):
        logger.error("Request %s: the database is away: %s", request_id, cause, exc_info=cause)
        return error(
            language,
            ErrorCode.UNAVAILABLE,
            Text(zh="服务暂时不可用。", en="The service is not available at the moment."),
            hint=Text(
                zh="请稍后重试；提交类操作请用同一个幂等键。",
                en="Try again in a moment; a mutation with the same idempotency key.",
            ),
            requestId=request_id,
        )
    logger.error("Request %s failed: %s", request_id, type(cause).__name__, exc_info=cause)
    return error(
        language,
        ErrorCode.INTERNAL,
        Text(zh="服务内部错误，已记入日志。", en="A fault of ours; it is in the log."),
        hint=Text(
            zh=f"请把请求编号 {request_id} 告诉系统管理员。", en=f"Tell your administrator the request id {request_id}."
        ),
        requestId=request_id,
    )


def is_passing(cause: BaseException) -> bool:
    """Whether the fault lies in the moment, not in what was asked: the time is up, or the database is away."""
    return isinstance(cause, _OUT_OF_TIME) or _is_unreachable(cause)


def _is_unreachable(cause: BaseException) -> bool:
    return isinstance(cause, _UNREACHABLE) or (isinstance(cause, asyncpg.InterfaceError) and "clos" in str(cause))


def status_of(made: JsonError) -> int:
    """The HTTP status of a request that failed as a whole with this error."""
    return {ErrorCode.UNAVAILABLE: 503, ErrorCode.TIMEOUT: 504}.get(made["extensions"]["code"], 500)


def timeout_error(language: Language, request_id: str) -> JsonError:
    """The time of an operation is up."""
    return error(
        language,
        ErrorCode.TIMEOUT,
        Text(zh="处理超时，已中止。", en="The operation took too long and was given up."),
        hint=Text(
            zh="请缩小查询范围；提交类操作请用同一个幂等键重试。",
            en="Ask for less; send a mutation again with the same idempotency key.",
        ),
        requestId=request_id,
    )


def trail(document: DocumentNode, wanted: Node) -> list[str] | None:
    """Names that lead to a node: from the argument on where it stands in one, else the fields from the root on."""
    stack: list[tuple[Node, tuple[str, ...]]] = [(document, ())]
    while stack:
        node, path = stack.pop()
        if isinstance(node, FieldNode):
            path = (*path, (node.alias or node.name).value)
        elif isinstance(node, ArgumentNode):
            path = (node.name.value,)
        elif isinstance(node, ObjectFieldNode):
            path = (*path, node.name.value)
        elif isinstance(node, VariableDefinitionNode):
            path = (node.variable.name.value,)
        if node is wanted:
            return list(path)
        for key in node.keys:
            child = getattr(node, key, None)
            if isinstance(child, Node):
                stack.append((child, path))
            elif isinstance(child, list | tuple):
                numbered = key == "values"
                stack.extend(
                    (each, (*path, str(place)) if numbered else path)
                    for place, each in enumerate(child)
                    if isinstance(each, Node)
                )
    return None


def _shortened(message: str) -> str:
    # graphql-core repeats what was given, a password in an input included.
    message = _REPEATED.sub(".", message)
    return message if len(message) <= LONGEST_MESSAGE else f"{message[: LONGEST_MESSAGE - 1]}…"


def _code_of(fault: GraphQLError) -> ErrorCode | None:
    seen: BaseException | None = fault
    while isinstance(seen, GraphQLError):
        code = (seen.extensions or {}).get("code")
        if code in _CODES:
            return ErrorCode(code)
        seen = seen.original_error
    return None
