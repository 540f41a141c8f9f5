"""Documents, each parsed, measured and validated once (查询文档缓存).

Validation is most of the work of a small request, so what passed is kept, by its text and bounded by bytes. What failed
is not kept: nobody can push good documents out with bad ones. Trusted documents, which a manifest names, are read at
start and stay for good beside them.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    parse,
    specified_rules,
    validate,
)
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule

from schema import masking
from schema.limits import Excess, Measured, measure
from schema.masking import Refusal
from schema.options import DocumentLimits
from schema.requests import GraphQLRequest
from schema.trusted import TrustedError, read_manifest
from service import metrics
from service.errors import ErrorCode
from service.language import Language
from service.metrics import operation_names
from service.scoring.text import Text

_RULES = (*specified_rules, MaybeNullValidationRule)
BYTES_PER_TOKEN = 1_000
"""What a parsed token takes in memory, with its node and place, rounded up from a measurement."""

_HITS, _MISSES = metrics.DOCUMENTS.labels("hit"), metrics.DOCUMENTS.labels("miss")

_NAMES = {
    "bytes": Text(zh="文本长度（字节）", en="length in bytes"),
    "tokens": Text(zh="词法单元数", en="number of tokens"),
    "depth": Text(zh="嵌套层数", en="depth"),
    "fields": Text(zh="字段数", en="number of fields"),
    "aliases": Text(zh="别名数", en="number of aliases"),
    "repeats": Text(zh="同名字段重复数", en="number of repetitions of one field"),
    "directives": Text(zh="指令数", en="number of directives"),
    "roots": Text(zh="根字段数", en="number of root fields"),
    "cost": Text(zh="查询成本", en="cost"),
}
_HINTS = {
    "cost": Text(
        zh="请减小 first、last，或少选嵌套的列表。",
        en="Ask for smaller pages (first, last) or fewer lists within lists.",
    ),
    "bytes": Text(zh="请把数据放进变量。", en="Put data into variables."),
}
_HINT = Text(zh="请拆成几次查询。", en="Split it into several operations.")
_TRUST = Text(
    zh="请由运维把前端构建出的文档清单登记到服务端。",
    en="Have the operator give the server the manifest that the frontend's build wrote.",
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document, ready to run."""

    document: "Document"
    node: OperationDefinitionNode
    measured: Measured

    @property
    def name(self) -> str | None:
        """Its name; None for an anonymous one."""
        return self.node.name.value if self.node.name else None

    @property
    def type(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.node.operation

    def check_cost(self, variables: Mapping[str, Any], limits: DocumentLimits, language: Language) -> int:
        """Its cost with these variables; raises Refusal (QUERY_TOO_COMPLEX) above the limit."""
        cost = self.measured.costs.reckon(variables, limits.page)
        if cost > limits.cost:
            raise too_complex([Excess("cost", cost, limits.cost)], language)
        return cost


class Document:
    """A document that is valid for the schema and within the limits of what can be known without variables."""

    __slots__ = ("ast", "bytes", "digest", "operations", "trusted")

    def __init__(self, digest: bytes, ast: DocumentNode, measured: Mapping[int, Measured], size: int) -> None:
        self.digest = digest
        self.ast = ast
        self.bytes = size
        self.trusted = False
        """Whether a manifest names it."""
        self.operations: dict[str | None, Operation] = {}
        for place, found in measured.items():
            node = ast.definitions[place]
            assert isinstance(node, OperationDefinitionNode)
            operation = Operation(self, node, found)
            self.operations[operation.name] = operation

    def operation(self, name: str | None, language: Language) -> Operation:
        """The operation of this name, or the only one; raises Refusal (BAD_USER_INPUT)."""
        if name is not None and name in self.operations:
            return self.operations[name]
        # An empty name is none, as in other servers.
        if not name and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        known = "、".join(sorted(each or "—" for each in self.operations)[:10])
        text = (
            Text(zh=f"文档中没有名为 {name[:100]} 的操作。", en=f"The document has no operation named {name[:100]}.")
            if name
            else Text(zh="文档中有多个操作，须指定 operationName。", en="Which operation? Give its operationName.")
            if self.operations
            else Text(zh="文档中没有操作。", en="The document has no operation.")
        )
        hint = Text(zh=f"可选：{known}。", en=f"It has: {known}.") if self.operations else None
        made = masking.error(language, ErrorCode.BAD_USER_INPUT, text, path=("operationName",), hint=hint)
        raise Refusal([made], well_formed=True)


class Documents:
    """The cache: documents by their text, the longest unused leaving first."""

    def __init__(
        self, schema: GraphQLSchema, limits: DocumentLimits, max_bytes: int, *, trusted_only: bool = False
    ) -> None:
        self._schema = schema
        self._limits = limits
        self._max_bytes = max_bytes
        self._trusted_only = trusted_only
        self._kept: OrderedDict[str, Document] = OrderedDict()
        self._trusted: dict[str, Document] = {}
        self._by_id: dict[str, Document] = {}
        self.bytes = 0
        """Estimated size of what is kept."""
        self.misses = 0
        """How many documents were parsed."""

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, text: str, language: Language) -> Document:
        """The document; raises Refusal (GRAPHQL_PARSE_FAILED, GRAPHQL_VALIDATION_FAILED, QUERY_TOO_COMPLEX)."""
        trusted = self._trusted.get(text)
        if trusted is not None:
            return trusted
        if self._trusted_only:
            raise _not_trusted(language)
        kept = self._kept.get(text)
        (_MISSES if kept is None else _HITS).inc()
        if kept is not None:
            self._kept.move_to_end(text)
            return kept
        self.misses += 1
        document = self._read(text, language)
        if document.bytes <= self._max_bytes:
            self._kept[text] = document
            self.bytes += document.bytes
            while self.bytes > self._max_bytes:
                self.bytes -= self._kept.popitem(last=False)[1].bytes
        return document

    def find(self, request: GraphQLRequest, language: Language) -> Document:
        """The document that a request brings or names; raises Refusal as `get` does, or PERSISTED_QUERY_NOT_FOUND."""
        if request.document_id is None:
            return self.get(request.query or "", language)
        document = self.by_id(request.document_id)
        if document is None:
            raise _unknown(language, trusted_only=self._trusted_only)
        return document

    def by_id(self, document_id: str) -> Document | None:
        """The trusted document of this id: the manifest's, or the SHA-256 of its text, `sha256:` before it or not."""
        return self._by_id.get(document_id.removeprefix("sha256:"))

    def trusted_name(self, operation: Operation) -> str | None:
        """The name of an operation of a trusted document, of which there are few; None for all others."""
        return operation.name if operation.document.trusted else None

    def trust(self, path: Path) -> None:
        """Read a manifest; its documents are never pushed out. Raises TrustedError, which names every fault."""
        manifest, faults = read_manifest(path)
        for document_id, text in manifest.items():
            try:
                document = self._trusted.get(text) or self._read(text, "en")
                for operation in document.operations.values():
                    operation.check_cost({}, self._limits, "en")
            except Refusal as refusal:
                faults += [f"Document {document_id[:80]}{_place(each)}: {each['message']}" for each in refusal.errors]
                continue
            document.trusted = True
            self._trusted[text] = self._by_id[document_id.removeprefix("sha256:")] = document
            self._by_id.setdefault(document.digest.hex(), document)
            for operation in document.operations.values():
                # Few, and known beforehand: metrics tell them apart whatever else is sent.
                operation_names(operation.name)
        if faults:
            raise TrustedError(path, faults)

    @property
    def trusted(self) -> list[Document]:
        """All trusted documents."""
        return list(self._trusted.values())

    def _read(self, text: str, language: Language) -> Document:
        encoded = text.encode("utf-8", "surrogatepass")
        if len(encoded) > self._limits.bytes:
            raise too_complex([Excess("bytes", len(encoded), self._limits.bytes)], language)
        try:
            ast = parse(text, max_tokens=self._limits.tokens)
        except GraphQLSyntaxError as fault:
            # The parser has no other way to tell that it stopped counting; a test holds its words.
            if fault.message.startswith("Syntax Error: Document contains more than"):
                raise too_complex([Excess("tokens", self._limits.tokens + 1, self._limits.tokens)], language) from None
            raise masking.parse_failed(fault, language) from None
        except GraphQLError as fault:
            raise masking.parse_failed(fault, language) from None
        try:
            measured = measure(self._schema, ast, self._limits)
        except RecursionError:
            raise too_complex([Excess("depth", self._limits.depth + 1, self._limits.depth)], language) from None
        excesses = [excess for each in measured.values() for excess in each.excesses]
        fragments = sum(isinstance(node, FragmentDefinitionNode) for node in ast.definitions)
        operations = len(measured)
        if fragments + operations > self._limits.fields:
            excesses.append(Excess("fields", fragments + operations, self._limits.fields))
        if excesses:
            raise too_complex(excesses, language)
        faults = validate(self._schema, ast, _RULES, max_errors=masking.MOST_ERRORS)
        if faults:
            raise masking.validation_failed(faults, ast, language)
        return Document(
            hashlib.sha256(encoded).digest(), ast, measured, len(text) * 4 + ast_tokens(ast) * BYTES_PER_TOKEN
        )


def _place(error: masking.JsonError) -> str:
    """Where in a document a fault is, if that is known."""
    for place in error.get("locations", ())[:1]:
        return f", line {place['line']}, column {place['column']}"
    return ""


def _unknown(language: Language, *, trusted_only: bool) -> Refusal:
    made = masking.error(
        language,
        ErrorCode.PERSISTED_QUERY_NOT_FOUND,
        Text(zh="没有找到该编号的文档。", en="No document is known by this id."),
        hint=_TRUST if trusted_only else Text(zh="请发送完整的 query。", en="Send the whole query."),
    )
    return Refusal([made], well_formed=True)


def _not_trusted(language: Language) -> Refusal:
    made = masking.error(
        language,
        ErrorCode.PERSISTED_QUERY_NOT_FOUND,
        Text(
            zh="此处只接受预先登记的文档，该文档不在其中。",
            en="Only trusted documents are taken here, and this is none of them.",
        ),
        hint=_TRUST,
    )
    return Refusal([made], well_formed=True)


def ast_tokens(document: DocumentNode) -> int:
    """Lexical tokens of a parsed document."""
    token = document.loc.start_token if document.loc else None
    count = 0
    while token is not None:
        count += 1
        token = token.next
    return count


def too_complex(excesses: list[Excess], language: Language) -> Refusal:
    """The refusal that names each limit, with numbers."""
    seen: dict[str, Excess] = {}
    for excess in excesses:
        if excess.limit not in seen or excess.actual > seen[excess.limit].actual:
            seen[excess.limit] = excess
    return Refusal(
        [
            masking.error(
                language,
                ErrorCode.QUERY_TOO_COMPLEX,
                Text(
                    zh=f"查询的{_NAMES[each.limit].zh}为{each.actual}，超过上限{each.maximum}。",
                    en=f"The operation's {_NAMES[each.limit].en} is {each.actual}, above the limit of {each.maximum}.",
                ),
                path=("query",),
                hint=_HINTS.get(each.limit, _HINT),
                limit=each.limit,
                actual=each.actual,
                maximum=each.maximum,
            )
            for each in seen.values()
        ],
        well_formed=True,
    )
