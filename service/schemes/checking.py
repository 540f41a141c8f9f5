"""Checking a version (方案检查): the engine's faults, and those of who is to fill, award and review.

A draft may be as faulty as it likes; what is found here keeps it from being frozen.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

import orjson

from service.errors import Path
from service.items import name_key
from service.schemes.documents import Reading, VersionRows, document_of, item_documents, read_version, used_items
from service.schemes.rules import EVENT_RULES, RULE_KINDS, items_of
from service.scoring import DataItem, Fault, Text, parse_scheme, point_sums
from service.scoring.faults import FAULT_LIMIT
from service.scoring.items import read_data_item
from service.scoring.quantities import read_quantity
from service.scoring.reading import Reader, Sink

NAMED: Final = 5
"""Codes that a warning about many indicators lists."""


@dataclass(frozen=True)
class SchemeFault:
    """One fault or warning; `path` is codes from the root to the node, then the setting."""

    code: str
    path: Path
    text: Text
    hint: Text | None
    severity: str
    indicator_id: UUID | None
    category_id: UUID | None


@dataclass(frozen=True)
class SumRow:
    """Points of one node for one category, and the sum of its children that apply (分值合计)."""

    indicator_id: UUID
    category_id: UUID
    expected: Fraction
    actual: Fraction

    @property
    def balanced(self) -> bool:
        """Whether they are equal."""
        return self.expected == self.actual


@dataclass(frozen=True)
class SchemeCheck:
    """What the check of a version found: faults before warnings, and the table of sums."""

    faults: list[SchemeFault]
    sums: list[SumRow]

    @property
    def sound(self) -> bool:
        """Whether it can be frozen."""
        return all(fault.severity != "FAULT" for fault in self.faults)


async def check_version(reader: Reading, version_id: UUID) -> SchemeCheck:
    """Check a version as it is now; nothing is found where there is no such version."""
    rows = await read_version(reader, version_id)
    return check_rows(rows) if rows is not None else SchemeCheck([], [])


def check_rows(rows: VersionRows) -> SchemeCheck:
    """Check rows at hand."""
    document = document_of(rows, keys="id")
    _, found = parse_scheme(document)
    faults = sorted((*found, *_of_the_product(rows)), key=lambda fault: fault.severity != "FAULT")
    ids = {row["code"]: row["id"] for row in rows.nodes}
    return SchemeCheck(
        faults=[
            SchemeFault(
                code=fault.code,
                path=fault.path,
                text=fault.text,
                hint=fault.hint,
                severity=fault.severity,
                indicator_id=ids.get(fault.indicator) if fault.indicator is not None else None,
                category_id=UUID(fault.category) if fault.category is not None else None,
            )
            for fault in faults[:FAULT_LIMIT]
        ],
        sums=[SumRow(ids[row.indicator], UUID(row.category), row.expected, row.actual) for row in point_sums(document)],
    )


def _of_the_product(rows: VersionRows) -> Iterator[Fault]:
    """Faults that the engine does not know of: it is told neither who fills a value nor who judges it."""
    settings = orjson.loads(rows.version["settings"])
    paths = _paths(rows)
    seen: dict[UUID, None] = {}
    names = Counter(name_key(item["name"]) for item in rows.items)
    without_basis: list[Any] = []
    known = dict(_engine_items(rows))
    kinds = {node["code"]: str(rule.get("kind")) for node in rows.nodes if (rule := rows.rule_of(node)) is not None}
    for node in rows.nodes:
        rule = rows.rule_of(node)
        if rule is None:
            continue
        path, code = paths[node["id"]], node["code"]
        items = used_items(rows, node)
        yield from _rule_faults(node, rule, items, (*path, "rule"))
        yield from _event_faults(node, rule, kinds, (*path, "rule"))
        yield from _check_faults(rows, node, known, path)
        if rule.get("kind") == "AWARD" and not node["responsible_unit_ids"]:
            yield Fault(
                "INVALID",
                (*path, "responsibleUnits"),
                Text(
                    f"“{node['name']}”由评分员赋分，但没有责任单位",
                    f"{node['name']} is awarded, but nobody is responsible for it",
                ),
                Text("指定责任单位，由其评分员赋分", "name the responsible unit whose assessors award it"),
                indicator=code,
            )
        for item in items:
            if item["id"] in seen:
                continue
            seen[item["id"]] = None
            yield from _item_faults(item, (*path, "rule"), code)
            if names[name_key(item["name"])] > 1:
                yield Fault(
                    "DUPLICATE",
                    (*path, "rule"),
                    Text(
                        f"数据项“{item['name']}”与另一数据项同名，可能重复采集",
                        f"another data item has the name {item['name']} too: is the same asked twice?",
                    ),
                    Text("合用一个数据项", "use one item for both"),
                    severity="WARNING",
                    indicator=code,
                )
        own = None if node["review_levels"] is None else orjson.loads(node["review_levels"])
        levels = own if own is not None else settings["reviewLevels"] if _reported(items) else []
        if rule.get("kind") != "AWARD" and not node["responsible_unit_ids"]:
            for place, level in enumerate(levels):
                if level["route"] == "DEPARTMENTAL":
                    yield Fault(
                        "INVALID",
                        (*path, "reviewLevels", str(place)) if own is not None else (*path, "responsibleUnits"),
                        Text(
                            f"“{node['name']}”须经责任单位审核（归口审核），但没有责任单位",
                            f"{node['name']} is reviewed by its responsible unit, but has none",
                        ),
                        Text(
                            "指定责任单位，或改用属地审核", "name a responsible unit, or let the unit above review it"
                        ),
                        indicator=code,
                    )
                    break
        if node["basis"] is None:
            without_basis.append(node)
    if without_basis:
        codes = [node["code"] for node in without_basis]
        more = len(codes) > NAMED
        yield Fault(
            "INVALID",
            (*paths[without_basis[0]["id"]], "basis"),
            Text(
                f"{len(codes)}项指标没有写明依据：{'、'.join(codes[:NAMED])}{'等' if more else ''}",
                f"{len(codes)} indicator(s) name no basis: {', '.join(codes[:NAMED])}{' …' if more else ''}",
            ),
            Text("写明所依据的文件", "name the document they rest on"),
            severity="WARNING",
        )


def _reported(items: list[Any]) -> bool:
    """Whether a unit fills any of them: what departments fill needs no review of its own."""
    return any(item["source"] == "REPORTED" for item in items)


def _item_faults(item: Any, path: Path, code: str) -> Iterator[Fault]:
    if not item["active"]:
        yield Fault(
            "INVALID",
            path,
            Text(f"数据项“{item['name']}”已停用", f"the data item {item['name']} is retired"),
            Text("换用在用的数据项", "use one that is not"),
            indicator=code,
        )
    if item["source"] == "REVIEWED" and not item["responsible_unit_ids"]:
        yield Fault(
            "INVALID",
            path,
            Text(
                f"数据项“{item['name']}”由责任单位填报，但没有责任单位",
                f"the data item {item['name']} is filled by its responsible unit, but has none",
            ),
            Text("为数据项指定责任单位", "name the item's responsible unit"),
            indicator=code,
        )


def _rule_faults(node: Any, rule: dict[str, Any], items: list[Any], path: Path) -> Iterator[Fault]:
    """What the engine can score and the product can't yet collect: awards of groups, and events; and whose values
    may not decide."""
    code = node["code"]
    if rule.get("kind") not in RULE_KINDS:
        yield Fault(
            "INVALID",
            (*path, "kind"),
            Text(f"不支持计分规则“{rule.get('kind')}”", f'the rule "{rule.get("kind")}" is not available'),
            Text("可选：" + "、".join(RULE_KINDS), "one of: " + ", ".join(RULE_KINDS)),
            indicator=code,
        )
    if rule.get("kind") == "AWARD":
        yield from _group_faults(node, rule, path)
    sources = {str(item["id"]): item["source"] for item in items}
    for end in ("low", "high"):
        if sources.get(str((rule.get(end) or {}).get("assigned"))) == "REPORTED":
            yield Fault(
                "INVALID",
                (*path, end, "assigned"),
                Text("区间端点不能由被考核单位自己填报", "a unit can't report the end of its own corridor"),
                Text(
                    "选用下达的数据项，或由责任单位填报的数据项",
                    "take an assigned item, or one that a department fills",
                ),
                indicator=code,
            )


def _group_faults(node: Any, rule: dict[str, Any], path: Path) -> Iterator[Fault]:
    """Every group has units of the leaf's, and no unit is in two: else it is open whose an award is."""
    responsible = {str(unit) for unit in node["responsible_unit_ids"]}
    taken: set[str] = set()
    for place, group in enumerate(rule.get("groups") or ()):
        here = (*path, "groups", str(place), "responsibleUnits")
        units = set(group.get("responsibleUnits") or ())
        if not units:
            yield Fault(
                "INVALID",
                here,
                Text(f"评分组“{group.get('name')}”没有责任单位", f"group {group.get('name')} has no responsible unit"),
                Text("指定由哪些责任单位的评分员组成", "name the units whose assessors belong to it"),
                indicator=node["code"],
            )
        elif not units <= responsible:
            yield Fault(
                "INVALID",
                here,
                Text("评分组的单位须是该指标的责任单位", "a group's units must be responsible for the leaf"),
                Text("先把该单位列为该指标的责任单位", "add them to the leaf's responsible units"),
                indicator=node["code"],
            )
        if units & taken:
            yield Fault(
                "DUPLICATE",
                here,
                Text("同一责任单位不能在两个评分组", "a unit can't be in two groups"),
                indicator=node["code"],
            )
        taken |= units


def _event_faults(node: Any, rule: dict[str, Any], kinds: Mapping[str, str], path: Path) -> Iterator[Fault]:
    """Lines count events of leaves under which there may be any; `kinds` are the rules of all leaves by code."""
    for place, line in enumerate(rule.get("lines") or ()):
        filed = line.get("eventIndicatorCode")
        if filed is not None and kinds.get(filed) not in EVENT_RULES:
            yield Fault(
                "INVALID",
                (*path, "lines", str(place), "eventIndicatorCode"),
                Text(f"“{filed}”下不登记事项", f"no events are filed under {filed}"),
                Text(
                    "选用扣分制、减分、加分或一票否决的末级指标",
                    "name a leaf of deductions, bonus or veto, or leave it out",
                ),
                indicator=node["code"],
            )


def _check_faults(rows: VersionRows, node: Any, known: Mapping[str, DataItem], path: Path) -> Iterator[Fault]:
    """Cross checks speak of items that the scheme collects, and of numbers."""
    for place, check in enumerate(orjson.loads(node["checks"])):
        for side in ("left", "right"):
            here = (*path, "checks", str(place), side)
            if set(items_of(check[side])) - known.keys():
                yield Fault(
                    "INVALID",
                    here,
                    Text("审核关系用到了本方案不采集的数据项", "a data item here is not collected by this scheme"),
                    Text("只用计分规则中的数据项", "use items that a rule uses"),
                    indicator=node["code"],
                )
                continue
            sink = Sink()
            sink.indicator = node["code"]
            read_quantity(Reader(check[side], here, sink), known, constant_allowed=True)
            yield from sink.faults


def _engine_items(rows: VersionRows) -> Iterator[tuple[str, DataItem]]:
    for document in item_documents(rows, keys="id"):
        item = read_data_item(Reader(document, (), Sink()))
        if item is not None:
            yield item.code, item


def _paths(rows: VersionRows) -> dict[UUID, Path]:
    found: dict[UUID, Path] = {}
    for node in rows.nodes:
        found[node["id"]] = (*found.get(node["parent_id"], ()), node["code"])
    return found
