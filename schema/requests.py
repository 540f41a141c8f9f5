"""Read a GraphQL request out of a JSON object, whichever transport brought it (请求体)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from schema import masking
from service.errors import ErrorCode
from service.language import Language
from service.scoring.text import Text


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """What a client asks to run."""

    query: str
    variables: Mapping[str, Any]
    operation_name: str | None


def read_request(body: object, language: Language) -> GraphQLRequest:
    """The request; raises Refusal (400, BAD_USER_INPUT) naming the first entry that has the wrong shape."""
    if not isinstance(body, dict):
        _wrong(None, Text(zh="请求体必须是 JSON 对象。", en="The request must be a JSON object."), language)
    query = body.get("query")
    variables = body.get("variables")
    operation_name = body.get("operationName")
    extensions = body.get("extensions")
    if not isinstance(variables, dict | None):
        text = Text(zh="variables 必须是对象或 null。", en="variables must be an object or null.")
        _wrong("variables", text, language)
    if not isinstance(operation_name, str | None):
        text = Text(zh="operationName 必须是字符串或 null。", en="operationName must be a string or null.")
        _wrong("operationName", text, language)
    if not isinstance(extensions, dict | None):
        text = Text(zh="extensions 必须是对象或 null。", en="extensions must be an object or null.")
        _wrong("extensions", text, language)
    if query is None and ("documentId" in body or "persistedQuery" in (extensions or {})):
        raise masking.refuse(
            language,
            ErrorCode.PERSISTED_QUERY_NOT_FOUND,
            Text(zh="没有找到该编号的文档。", en="No document is known by this id."),
            hint=Text(zh="请发送完整的 query。", en="Send the whole query."),
        )
    if not isinstance(query, str) or not query:
        _wrong("query", Text(zh="query 必须是非空字符串。", en="query must be a string, and not empty."), language)
    return GraphQLRequest(query, variables or {}, operation_name)


def _wrong(name: str | None, text: Text, language: Language) -> NoReturn:
    raise masking.refuse(
        language,
        ErrorCode.BAD_USER_INPUT,
        text,
        path=None if name is None else (name,),
        hint=Text(
            zh='格式为 {"query": "…", "variables": {…}, "operationName": "…"}。',
            en='Send {"query": "…", "variables": {…}, "operationName": "…"}.',
        ),
    )
