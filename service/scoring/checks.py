"""Checking a whole scheme (方案检查): all faults at once, each with its path, its numbers and what would mend it."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from service.scoring.document import Indicator, Scheme, read_scheme
from service.scoring.faults import FAULT_LIMIT, Fault
from service.scoring.numbers import show
from service.scoring.reading import Sink
from service.scoring.rules.base import ScoredRule
from service.scoring.rules.events import PotRule
from service.scoring.text import Text

DEPTH_LIMIT: Final = 5
"""Most levels below the root."""


@dataclass(frozen=True, slots=True)
class PointSum:
    """Points of one node for one category against the sum of its children that apply (分值合计)."""

    indicator: str
    category: str
    expected: Fraction
    actual: Fraction

    @property
    def balanced(self) -> bool:
        """Whether they are equal."""
        return self.expected == self.actual


def point_sums(document: Mapping[str, Any]) -> list[PointSum]:
    """The table of sums of a document, node by node and category by category, also where it has faults.

    Empty under RELATIVE, and where there is no tree to add up.
    """
    scheme = read_scheme(document, Sink())
    return sums_of(scheme) if scheme is not None else []


def sums_of(scheme: Scheme) -> list[PointSum]:
    """The table of sums of a scheme."""
    if scheme.weighting != "POINTS":
        return []
    found = []
    for node in scheme.scored:
        below = [child for child in scheme.children(node.code) if child.code not in scheme.outside]
        if not below:
            continue
        for key in scheme.category_keys:
            if scheme.applies(node.code, key):
                actual = sum(
                    (scheme.points_of(child.code, key) for child in below if scheme.applies(child.code, key)),
                    Fraction(0),
                )
                found.append(PointSum(node.code, key, scheme.points_of(node.code, key), actual))
    return found


def parse_scheme(document: Mapping[str, Any]) -> tuple[Scheme | None, list[Fault]]:
    """Read and check a scheme document: every fault at once, the scheme only if none is a FAULT.

    At most 1,000 faults are listed. Warnings stand beside a scheme that can be used.
    """
    sink = Sink()
    scheme = read_scheme(document, sink)
    if scheme is not None:
        check_scheme(scheme, sink)
    bad = any(fault.severity == "FAULT" for fault in sink.faults)
    return (None if bad else scheme), sink.faults[:FAULT_LIMIT]


def check_scheme(scheme: Scheme, sink: Sink) -> None:
    """Note every fault of the tree and of what settings refer to; single settings were checked when they were read."""
    for node in scheme.indicators:
        sink.indicator = node.code
        _check_shape(scheme, node, sink)
        _check_categories(scheme, node, sink)
        _check_size(scheme, node, sink)
        _check_means(scheme, node, sink)
        _check_rule(scheme, node, sink)
    _check_sums(scheme, sink)
    _check_weights(scheme, sink)
    _check_pots(scheme, sink)
    sink.indicator = None
    _check_settings(scheme, sink)


def _check_shape(scheme: Scheme, node: Indicator, sink: Sink) -> None:
    path = scheme.path(node.code)
    below = scheme.children(node.code)
    has_rule = node.rule is not None or node.faulty_rule
    if len(path) - 1 > DEPTH_LIMIT:
        sink.add(
            path,
            Text(
                f"“{node.name}”在第{len(path) - 1}级，指标最多{DEPTH_LIMIT}级",
                f"level {len(path) - 1}; at most {DEPTH_LIMIT} levels",
            ),
        )
    if node.parent_code is None and has_rule:
        sink.add((*path, "rule"), Text("根指标不能有计分规则", "the root can't have a rule"))
    elif below and has_rule:
        sink.add(
            (*path, "rule"),
            Text(f"“{node.name}”有下级指标，不能再有计分规则", f"{node.name} has children and so can't have a rule"),
        )
    elif not below and not has_rule:
        sink.add(
            (*path, "rule"),
            Text(f"末级指标“{node.name}”没有计分规则", f"{node.name} is a leaf without a rule"),
            Text("补上计分规则，或在其下添加指标", "give it a rule, or add indicators below it"),
        )


def _check_categories(scheme: Scheme, node: Indicator, sink: Sink) -> None:
    path = scheme.path(node.code)
    known = set(scheme.category_keys)
    for place, key in enumerate(node.categories):
        if key not in known:
            sink.add((*path, "categories", str(place)), Text(f"没有考核类别“{key}”", f'there is no category "{key}"'))
    for place, key in enumerate(node.points_by_category):
        if key not in known:
            sink.add(
                (*path, "pointsByCategory", str(place), "category"),
                Text(f"没有考核类别“{key}”", f'there is no category "{key}"'),
            )
    if node.parent_code is not None and node.categories and known & set(node.categories):
        beyond = [key for key in node.categories if key in known and not scheme.applies(node.parent_code, key)]
        if beyond:
            names = {category.code: category.name for category in scheme.categories}
            listed = "、".join(names[key] for key in beyond)
            sink.add(
                (*path, "categories"),
                Text(
                    f"“{listed}”不在上级指标的适用类别内，不起作用",
                    f"{listed}: its parent does not apply to them, so this has no effect",
                ),
                severity="WARNING",
            )


def _check_size(scheme: Scheme, node: Indicator, sink: Sink) -> None:
    path = scheme.path(node.code)
    if node.parent_code is None:
        if node.points is not None and node.points != scheme.full_marks:
            sink.add(
                (*path, "points"),
                Text(
                    f"根指标分值{show(node.points)}分与方案满分{show(scheme.full_marks)}分不一致",
                    f"the root's points are {show(node.points)}, the scheme's full marks {show(scheme.full_marks)}",
                ),
            )
        if node.points_by_category:
            sink.add(
                (*path, "pointsByCategory"), Text("根指标不能按类别设分值", "the root can't have points by category")
            )
        if node.categories:
            sink.add(
                (*path, "categories"),
                Text("根指标适用于所有类别，不能限制", "the root applies to every category and can't be restricted"),
                Text("从方案的考核类别中去掉不考核的类别", "take out of the scheme's categories what is not assessed"),
            )
        return
    if node.code in scheme.outside:
        return
    if scheme.weighting == "POINTS" and node.points is None:
        unset = [
            key for key in scheme.category_keys if scheme.applies(node.code, key) and key not in node.points_by_category
        ]
        if unset and not sink.named((*path, "points")):
            sink.add((*path, "points"), Text(f"“{node.name}”没有分值", f"{node.name} has no points"))
    if scheme.weighting == "RELATIVE":
        if node.weight is None and not sink.named((*path, "weight")):
            sink.add((*path, "weight"), Text(f"“{node.name}”没有权重", f"{node.name} has no weight"))
        if node.points_by_category:
            sink.add(
                (*path, "pointsByCategory"),
                Text("权重制方案不能按类别设分值", "points by category need a scheme of points"),
            )


def _check_means(scheme: Scheme, node: Indicator, sink: Sink) -> None:
    if node.rule is not None or node.aggregation == "ARITHMETIC" or node.code in scheme.outside:
        return
    path = (*scheme.path(node.code), "aggregation")
    word = Text("几何平均", "geometric mean") if node.aggregation == "GEOMETRIC" else Text("调和平均", "harmonic mean")
    for leaf in _leaves_below(scheme, node.code):
        if isinstance(leaf.rule, ScoredRule) and leaf.rule.can_be_negative():
            sink.add(
                path,
                Text(f"“{leaf.name}”可能得负分，不能用{word.zh}", f"{leaf.name} can be negative, so no {word.en}"),
                Text("改用算术平均，或限制该指标不低于0分", "use an arithmetic mean, or keep that leaf at 0 or above"),
            )
        if scheme.not_applicable_policy_of(leaf.code) == "GLOBAL":
            sink.add(
                path,
                Text(
                    f"不适用项按适用部分折算(GLOBAL)只能用算术平均，“{leaf.name}”之上用了{word.zh}",
                    f"GLOBAL needs arithmetic means; above {leaf.name} is a {word.en}",
                ),
            )
            break


def _leaves_below(scheme: Scheme, code: str) -> list[Indicator]:
    found: list[Indicator] = []
    for child in scheme.children(code):
        if child.code in scheme.outside:
            continue
        found += [child] if child.rule is not None else _leaves_below(scheme, child.code)
    return found


def _check_rule(scheme: Scheme, node: Indicator, sink: Sink) -> None:
    rule = node.rule
    if rule is None:
        return
    path = (*scheme.path(node.code), "rule")
    by_marks: dict[Fraction, list[str]] = {}
    for key in scheme.category_keys:
        if scheme.applies(node.code, key):
            by_marks.setdefault(scheme.full_marks_of(node.code, key), []).append(key)
    for marks, keys in by_marks.items():
        if marks > 0:
            rule.check(marks, sink, path, keys[0] if len(by_marks) > 1 else None)


def _check_sums(scheme: Scheme, sink: Sink) -> None:
    names = {category.code: category.name for category in scheme.categories}
    by_node: dict[str, list[PointSum]] = {}
    for row in sums_of(scheme):
        by_node.setdefault(row.indicator, []).append(row)
    for code, rows in by_node.items():
        node = scheme.by_code[code]
        if any(
            child.code not in scheme.outside and child.points is None and not child.points_by_category
            for child in scheme.children(code)
        ):
            continue
        sink.indicator = code
        wrong = [row for row in rows if not row.balanced]
        same = len(wrong) == len(rows) and len({(row.expected, row.actual) for row in wrong}) == 1
        for row in wrong[:1] if same else wrong:
            off = show(abs(row.actual - row.expected))
            where = Text("", "") if same else Text(f"（{names[row.category]}）", f" ({names[row.category]})")
            sink.add(
                (*scheme.path(code), "points"),
                Text(
                    f"{node.name}{where.zh}：下级分值合计{show(row.actual)}分，本级{show(row.expected)}分，相差{off}分",
                    f"{node.name}{where.en}: children's points add up to {show(row.actual)}, the parent has "
                    f"{show(row.expected)}, {off} apart",
                ),
                Text("调整下级或本级分值，使两者相等", "change the children's or the parent's points until they agree"),
                category=None if same else row.category,
            )


def _check_weights(scheme: Scheme, sink: Sink) -> None:
    """Where something has weight, something below it must have some too."""
    names = {category.code: category.name for category in scheme.categories}
    for node in scheme.scored:
        below = [child for child in scheme.children(node.code) if child.code not in scheme.outside]
        if node.rule is not None or not scheme.children(node.code):
            continue
        if scheme.weighting == "POINTS" and below:
            continue
        sink.indicator = node.code
        for key in scheme.category_keys:
            if not scheme.applies(node.code, key):
                continue
            if node.parent_code is not None and scheme.weight_of(node.code, key) == 0:
                continue
            if not any(scheme.applies(child.code, key) and scheme.weight_of(child.code, key) for child in below):
                sink.add(
                    scheme.path(node.code),
                    Text(
                        f"{node.name}（{names[key]}）：没有计入的下级指标",
                        f"{node.name} ({names[key]}): nothing below it has weight",
                    ),
                    Text("限制其适用类别，或给下级指标权重", "restrict its categories, or give its children weights"),
                    category=key,
                )


def _check_pots(scheme: Scheme, sink: Sink) -> None:
    """Leaves that share a pot must say the same of its cap."""
    caps: dict[tuple[str, str], Fraction | None] = {}
    for leaf in scheme.leaves:
        rule = leaf.rule
        if not isinstance(rule, PotRule):
            continue
        sink.indicator = leaf.code
        known = caps.setdefault((rule.kind, rule.pot), rule.pot_cap)
        if known != rule.pot_cap:
            said = [
                Text("不设上限", "no cap") if cap is None else Text(f"{show(cap)}分", show(cap))
                for cap in (rule.pot_cap, known)
            ]
            sink.add(
                (*scheme.path(leaf.code), "rule", "potCap"),
                Text(
                    f"“{rule.pot}”的上限此处为{said[0].zh}，别处为{said[1].zh}",
                    f"the cap of pot {rule.pot} is {said[0].en} here and {said[1].en} elsewhere",
                ),
            )


def _check_settings(scheme: Scheme, sink: Sink) -> None:
    codes = {node.code for node in scheme.scored}
    for place, code in enumerate(scheme.settings.tie_breakers):
        if code not in codes:
            sink.add(
                ("settings", "tieBreakers", str(place)),
                Text(f"没有计分指标“{code}”", f'there is no scored indicator "{code}"'),
            )
    for place, grade in enumerate(scheme.settings.grades):
        for number, condition in enumerate(grade.conditions):
            path = ("settings", "grades", str(place), "conditions", str(number), "indicator")
            if condition.kind == "NODE_SHARE" and condition.indicator not in codes:
                sink.add(
                    path,
                    Text(
                        f"没有计分指标“{condition.indicator}”", f'there is no scored indicator "{condition.indicator}"'
                    ),
                )
            if condition.kind == "NO_EVENT" and condition.indicator not in scheme.by_code:
                sink.add(
                    path, Text(f"没有指标“{condition.indicator}”", f'there is no indicator "{condition.indicator}"')
                )
