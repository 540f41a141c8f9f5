"""The scheme document (方案文件): dataclasses, reading with every fault at once, and the canonical dump."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any, Final

from service.scoring.faults import Fault
from service.scoring.items import DataItem, read_data_item
from service.scoring.numbers import format_decimal
from service.scoring.reading import Reader, Sink
from service.scoring.rules import Rule, RuleContext, read_rule
from service.scoring.settings import MISSING_POLICIES, NOT_APPLICABLE_POLICIES, Settings, read_settings
from service.scoring.text import Text

WEIGHTINGS: Final = ("POINTS", "RELATIVE")
AGGREGATIONS: Final = ("ARITHMETIC", "GEOMETRIC", "HARMONIC")
NODE_LIMIT: Final = 2_001
"""Most nodes of a scheme: 2,000 and the root."""

_SCHEME_WORDS: Final = ("format", "code", "name", "number", "label", "basis", "description", "engineVersion")
_NODE_WORDS: Final = (
    "wording",
    "checkMethod",
    "sourceNote",
    "basis",
    "responsible",
    "responsibleUnits",
    "evidenceReason",
    "reviewLevels",
    "reviewRoute",
    "checks",
    "ordinal",
    "description",
)
"""Known, and without meaning for a score."""


@dataclass(frozen=True, slots=True)
class Category:
    """A peer group that is ranked together (考核类别)."""

    code: str
    name: str


@dataclass(frozen=True)
class Indicator:
    """A node of the indicator tree (指标). A leaf has a rule; the root has no parent and neither weight nor points."""

    code: str
    name: str
    parent_code: str | None = None
    weight: Fraction | None = None
    points: Fraction | None = None
    points_by_category: Mapping[str, Fraction] = field(default_factory=dict)
    categories: tuple[str, ...] = ()
    aggregation: str = "ARITHMETIC"
    missing_policy: str | None = None
    not_applicable_policy: str | None = None
    rule: Rule | None = None
    faulty_rule: bool = False
    """Whether the document has a rule that could not be read; never so in a scheme without faults."""
    words: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As it is written in a scheme document."""
        return {
            **self.words,
            "code": self.code,
            "parentCode": self.parent_code,
            "name": self.name,
            "weight": None if self.weight is None else format_decimal(self.weight),
            "points": None if self.points is None else format_decimal(self.points),
            "pointsByCategory": [
                {"category": key, "points": format_decimal(points)} for key, points in self.points_by_category.items()
            ],
            "categories": list(self.categories),
            "aggregation": self.aggregation,
            "missingPolicy": self.missing_policy,
            "notApplicablePolicy": self.not_applicable_policy,
            "rule": self.rule.document() if self.rule else None,
        }


@dataclass(frozen=True)
class Scheme:
    """An indicator tree with all that changes results (考核方案). Codes and keys are opaque strings."""

    weighting: str
    full_marks: Fraction
    categories: tuple[Category, ...]
    data_items: Mapping[str, DataItem]
    settings: Settings
    indicators: tuple[Indicator, ...]
    words: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def by_code(self) -> Mapping[str, Indicator]:
        """Every node by code."""
        return {node.code: node for node in self.indicators}

    @cached_property
    def root(self) -> Indicator:
        """The node without a parent (总分)."""
        return next(node for node in self.indicators if node.parent_code is None)

    @cached_property
    def _children(self) -> Mapping[str, tuple[Indicator, ...]]:
        found: dict[str, list[Indicator]] = {node.code: [] for node in self.indicators}
        for node in self.indicators:
            if node.parent_code is not None and node.parent_code in found:
                found[node.parent_code].append(node)
        return {code: tuple(nodes) for code, nodes in found.items()}

    def children(self, code: str) -> tuple[Indicator, ...]:
        """Nodes directly below, in print order."""
        return self._children[code]

    def path(self, code: str) -> tuple[str, ...]:
        """Codes from the root to the node."""
        found = [code]
        while (
            (above := self.by_code[found[-1]].parent_code) is not None and above in self.by_code and above not in found
        ):
            found.append(above)
        return tuple(reversed(found))

    @cached_property
    def leaves(self) -> tuple[Indicator, ...]:
        """Nodes with a rule, in print order, those outside the sum included."""
        return tuple(node for node in self.indicators if node.rule is not None)

    @cached_property
    def outside(self) -> frozenset[str]:
        """Codes of what stands outside the sum: bonus, deduction and veto leaves, and nodes over nothing else."""
        found: set[str] = set()
        for node in reversed(self.indicators):
            below = self.children(node.code)
            if (node.rule is not None and node.rule.outside) or (
                below and node.parent_code is not None and all(child.code in found for child in below)
            ):
                found.add(node.code)
        return frozenset(found)

    @cached_property
    def scored(self) -> tuple[Indicator, ...]:
        """Nodes inside the sum, in print order, the root first."""
        return tuple(node for node in self.indicators if node.code not in self.outside)

    @cached_property
    def category_keys(self) -> tuple[str, ...]:
        """Keys of the categories, in order."""
        return tuple(category.code for category in self.categories)

    @cached_property
    def item_names(self) -> Mapping[str, str]:
        """Shown name of each data item by key."""
        return {key: item.name for key, item in self.data_items.items()}

    @cached_property
    def _applying(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        everyone = frozenset(self.category_keys)
        for node in self.indicators:
            own = frozenset(node.categories) if node.categories else everyone
            above = found.get(node.parent_code, everyone) if node.parent_code is not None else everyone
            found[node.code] = own & above
        return found

    def applies(self, code: str, category: str) -> bool:
        """Whether the node is part of the tree of that category."""
        return category in self._applying[code]

    def points_of(self, code: str, category: str) -> Fraction:
        """Printed points (分值) of a node for a category; under RELATIVE 100."""
        node = self.by_code[code]
        if node.parent_code is None:
            return self.full_marks
        if self.weighting != "POINTS":
            return Fraction(100)
        return node.points_by_category.get(category, node.points if node.points is not None else Fraction(0))

    def weight_of(self, code: str, category: str) -> Fraction:
        """Weight of a node among its siblings for a category: its points, or its weight under RELATIVE."""
        if self.weighting == "POINTS":
            return self.points_of(code, category)
        return self.by_code[code].weight or Fraction(0)

    def full_marks_of(self, code: str, category: str) -> Fraction:
        """F of a leaf: what its rule's `full` says, or its printed points, or 100. 0 for a leaf that is only shown."""
        rule = self.by_code[code].rule
        return rule.full if rule is not None and rule.full is not None else self.points_of(code, category)

    def items_of(self, code: str) -> tuple[str, ...]:
        """Keys of the data items that a leaf needs."""
        rule = self.by_code[code].rule
        return rule.data_items() if rule else ()

    def missing_policy_of(self, code: str) -> str:
        """A leaf's missing policy: its own, the nearest above, or the scheme's."""
        for above in reversed(self.path(code)):
            policy = self.by_code[above].missing_policy
            if policy is not None:
                return policy
        return self.settings.missing_policy

    def not_applicable_policy_of(self, code: str) -> str:
        """A leaf's N/A policy: its own, the nearest above, or the scheme's."""
        for above in reversed(self.path(code)):
            policy = self.by_code[above].not_applicable_policy
            if policy is not None:
                return policy
        return self.settings.not_applicable_policy

    def describe(self, code: str, category: str | None = None) -> Text:
        """A leaf's rule in words (评分标准)."""
        node = self.by_code[code]
        if node.rule is None:
            return Text("", "")
        key = (
            category
            if category is not None
            else next((key for key in self.category_keys if self.applies(code, key)), "")
        )
        return node.rule.describe(self.full_marks_of(code, key), self.item_names)


def parse_rule(
    rule: Mapping[str, Any],
    *,
    data_items: list[Mapping[str, Any]],
    full_marks: Fraction | None = None,
    path: tuple[str, ...] = ("rule",),
) -> tuple[Rule | None, list[Fault]]:
    """Read and check one rule alone, while a leaf is edited.

    data_items: entries of a scheme document's `dataItems`. full_marks: the leaf's points, to check amounts against.
    """
    sink = Sink()
    items = _read_items([Reader(item, ("dataItems", str(i)), Sink()) for i, item in enumerate(data_items)])
    found = read_rule(Reader(rule, path, sink), RuleContext(items))
    if found is not None and full_marks is not None:
        marks = found.full if found.full is not None else full_marks
        if marks > 0:
            found.check(marks, sink, path, None)
    bad = any(fault.severity == "FAULT" for fault in sink.faults)
    return (None if bad else found), sink.faults


def scheme_document(scheme: Scheme) -> dict[str, Any]:
    """The document of a scheme, all settings written out."""
    return {
        **scheme.words,
        "weighting": scheme.weighting,
        "fullMarks": format_decimal(scheme.full_marks),
        "categories": [{"code": category.code, "name": category.name} for category in scheme.categories],
        "dataItems": [item.document() for item in scheme.data_items.values()],
        "settings": scheme.settings.document(),
        "indicators": [node.document() for node in scheme.indicators],
    }


def canonical_json(document: Any) -> str:
    """JSON with sorted keys and without blanks, characters as they are: equal data, equal bytes."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def dump_scheme(scheme: Scheme) -> str:
    """Canonical JSON text of a scheme: what is exported, hashed, and read by `parse_scheme` again."""
    return canonical_json(scheme_document(scheme))


def read_scheme(document: Any, sink: Sink) -> Scheme | None:
    """The scheme of a document as far as it can be read; None where there is no tree at all."""
    if not isinstance(document, Mapping):
        sink.add((), Text("方案文件应为对象", "a scheme document must be an object"))
        return None
    reader = Reader(document, (), sink)
    weighting = reader.choice("weighting", WEIGHTINGS) or "RELATIVE"
    full_marks = reader.decimal("fullMarks", required=False, default=Fraction(100), above=0) or Fraction(100)
    categories: dict[str, Category] = {}
    for entry in reader.each("categories", required=True, limit=200):
        code = entry.text("code")
        name = entry.text("name", required=False)
        entry.finish()
        if code in categories:
            entry.fault("code", Text(f"类别“{code}”重复", f'category "{code}" is repeated'), code="DUPLICATE")
        elif code is not None:
            categories[code] = Category(code, name or code)
    if not categories and isinstance(document.get("categories"), list):
        reader.fault("categories", Text("至少要有一个考核类别", "there must be at least one category"))
    items = _read_items(reader.each("dataItems", limit=5_000))
    settings = read_settings(
        reader.inner("settings", required=False) or Reader({}, ("settings",), sink), items, weighting
    )
    entries = reader.each("indicators", required=True, limit=NODE_LIMIT)
    reader.ignore(*_SCHEME_WORDS)
    reader.finish()
    indicators = _read_indicators(entries, items, sink)
    if not any(node.parent_code is None for node in indicators):
        reader.fault("indicators", Text("缺少根指标（总分）", "there is no root (a node without parentCode)"))
        return None
    words = {key: document[key] for key in _SCHEME_WORDS if document.get(key) is not None}
    return Scheme(weighting, full_marks, tuple(categories.values()), items, settings, tuple(indicators), words)


def _read_items(entries: list[Reader]) -> dict[str, DataItem]:
    items: dict[str, DataItem] = {}
    for entry in entries:
        item = read_data_item(entry)
        if item is not None and item.code in items:
            entry.fault(
                "code", Text(f"数据项“{item.code}”重复", f'data item "{item.code}" is repeated'), code="DUPLICATE"
            )
        elif item is not None:
            items[item.code] = item
    return items


def _read_indicators(entries: list[Reader], items: Mapping[str, DataItem], sink: Sink) -> list[Indicator]:
    """Nodes whose code and parent are sound; faults of a node carry its path from the root."""
    codes = frozenset(str(code) for entry in entries if (code := entry.data.get("code")) is not None)
    context = RuleContext(items, codes)
    found: dict[str, Indicator] = {}
    paths: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        code, parent = entry.data.get("code"), entry.data.get("parentCode")
        place = entry.path
        if isinstance(code, str) and code:
            entry.path = (*paths.get(str(parent), ()), code)
            sink.indicator = code
        node = _read_indicator(entry, context)
        if node is None:
            sink.indicator = None
            continue
        if node.code in found:
            entry.path = place
            entry.fault(
                "code",
                Text(f"指标编码“{node.code}”重复", f'indicator code "{node.code}" is repeated'),
                code="DUPLICATE",
            )
        elif node.parent_code is not None and node.parent_code not in found:
            known = node.parent_code in codes
            entry.fault(
                "parentCode",
                Text(
                    f"上级指标“{node.parent_code}”{'须排在下级之前' if known else '不存在'}",
                    f'parent "{node.parent_code}" {"must come before its children" if known else "does not exist"}',
                ),
                Text(
                    "指标按打印顺序排列，上级在前，不得成环",
                    "list nodes in print order, parents first, without circles",
                ),
            )
        elif node.parent_code is None and any(other.parent_code is None for other in found.values()):
            entry.fault("parentCode", Text("只能有一个根指标", "there can be only one root"))
        else:
            found[node.code] = node
            paths[node.code] = entry.path
        sink.indicator = None
    return list(found.values())


def _read_indicator(entry: Reader, context: RuleContext) -> Indicator | None:
    code = entry.text("code", limit=200)
    parent = entry.text("parentCode", required=False)
    name = entry.text("name", required=False)
    weight = entry.decimal("weight", required=False, least=0)
    points = entry.decimal("points", required=False, least=0)
    by_category: dict[str, Fraction] = {}
    for row in entry.each("pointsByCategory", limit=200):
        key = row.text("category")
        own = row.decimal("points", least=0)
        row.finish()
        if key in by_category:
            row.fault("category", Text(f"类别“{key}”重复", f'category "{key}" is repeated'), code="DUPLICATE")
        elif key is not None and own is not None:
            by_category[key] = own
    categories = entry.texts("categories")
    aggregation = entry.choice("aggregation", AGGREGATIONS, default="ARITHMETIC")
    missing = entry.choice("missingPolicy", MISSING_POLICIES, default="") or None
    not_applicable = entry.choice("notApplicablePolicy", NOT_APPLICABLE_POLICIES, default="") or None
    rule_reader = entry.inner("rule", required=False)
    rule = read_rule(rule_reader, context) if rule_reader is not None else None
    entry.ignore(*_NODE_WORDS)
    entry.finish()
    if code is None:
        return None
    words = {key: entry.data[key] for key in _NODE_WORDS if entry.data.get(key) is not None}
    return Indicator(
        code,
        name or code,
        parent,
        weight,
        points,
        by_category,
        tuple(categories),
        aggregation or "ARITHMETIC",
        missing,
        not_applicable,
        rule,
        rule is None and entry.has("rule"),
        words,
    )
