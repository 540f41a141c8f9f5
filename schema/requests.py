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

    query: str | None
    """The document's text; None where it is named by `document_id`."""
    variables: Mapping[str, Any]
    operation_name: str | None
    document_id: str | None = None


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
    if query is None:
        place, document_id = document_id_of(body)
        if isinstance(document_id, str) and document_id:
            return GraphQLRequest(None, variables or {}, operation_name, document_id)
        if place is not None:
            text = Text(zh=f"{place} 必须是非空字符串。", en=f"{place} must be a string, and not empty.")
            _wrong(place, text, language)
    if not isinstance(query, str) or not query:
        _wrong("query", Text(zh="query 必须是非空字符串。", en="query must be a string, and not empty."), language)
    return GraphQLRequest(query, variables or {}, operation_name)


def document_id_of(body: Mapping[str, Any]) -> tuple[str | None, object]:
    """Where a request without a text names its document, and the name.

    `documentId` is the GraphQL-over-HTTP draft's, `doc_id` and `id` are Relay's, the last is Apollo's.
    """
    for name in ("documentId", "doc_id", "id"):
        if body.get(name) is not None:
            return name, body[name]
    persisted = (body.get("extensions") or {}).get("persistedQuery")
    if persisted is None:
        return None, None
    return "extensions.persistedQuery.sha256Hash", (
        persisted.get("sha256Hash") if isinstance(persisted, Mapping) else None
    )


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
