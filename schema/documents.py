"""Documents, each parsed, measured and validated once (查询文档缓存).

Validation is most of the work of a small request, so what passed is kept, by the SHA-256 of its text and bounded by
bytes. What failed is not kept: nobody can push good documents out with bad ones.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
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
from service.errors import ErrorCode
from service.language import Language
from service.scoring.text import Text

_RULES = (*specified_rules, MaybeNullValidationRule)
BYTES_PER_TOKEN = 1_000
"""What a parsed token takes in memory, with its node and place, rounded up from a measurement."""

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

    __slots__ = ("ast", "bytes", "digest", "operations")

    def __init__(self, digest: bytes, ast: DocumentNode, measured: Mapping[int, Measured], size: int) -> None:
        self.digest = digest
        self.ast = ast
        self.bytes = size
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
    """The cache: documents by the SHA-256 of their text, the longest unused leaving first."""

    def __init__(self, schema: GraphQLSchema, limits: DocumentLimits, max_bytes: int) -> None:
        self._schema = schema
        self._limits = limits
        self._max_bytes = max_bytes
        self._kept: OrderedDict[bytes, Document] = OrderedDict()
        self.bytes = 0
        """Estimated size of what is kept."""
        self.misses = 0
        """How many documents were parsed."""

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, text: str, language: Language) -> Document:
        """The document; raises Refusal (GRAPHQL_PARSE_FAILED, GRAPHQL_VALIDATION_FAILED, QUERY_TOO_COMPLEX)."""
        encoded = text.encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(encoded).digest()
        kept = self._kept.get(digest)
        if kept is not None:
            self._kept.move_to_end(digest)
            return kept
        self.misses += 1
        if len(encoded) > self._limits.bytes:
            raise too_complex([Excess("bytes", len(encoded), self._limits.bytes)], language)
        document = self._read(digest, text, language)
        if document.bytes <= self._max_bytes:
            self._kept[digest] = document
            self.bytes += document.bytes
            while self.bytes > self._max_bytes:
                self.bytes -= self._kept.popitem(last=False)[1].bytes
        return document

    def _read(self, digest: bytes, text: str, language: Language) -> Document:
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
        return Document(digest, ast, measured, len(text) * 4 + ast_tokens(ast) * BYTES_PER_TOKEN)


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
