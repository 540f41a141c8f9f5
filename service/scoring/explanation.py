"""Where every point came from (得分说明): a unit's total opened down to rules, values and arithmetic, as data and
in words.

Steps are flat, in reading order; `parent_key` and `depth` give the tree. The first is the shown total. What flows
into it adds up exactly: root's `result` × full marks ÷ 100 + bonus − deductions − late penalty, clamped, is its
`before`; a node's `result` is the mean of its children's, weighted by `effective_weight`; a leaf's `result` is 100 ×
marks ÷ F.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

import numpy as np

from service.scoring.document import Scheme
from service.scoring.exact import ExactTree
from service.scoring.leaves import EventTable, OneUnit
from service.scoring.numbers import format_scaled, round_half_up, show
from service.scoring.pots import NOTHING, CountedEvent
from service.scoring.result import CategoryRun, Result, Status
from service.scoring.rules import Rule
from service.scoring.rules.base import Peers
from service.scoring.rules.events import PotRule
from service.scoring.rules.veto import EFFECTS
from service.scoring.snapshot import STATE_NAMES, Snapshot, State
from service.scoring.text import Text
from service.scoring.tree import TreeNode

TOTAL: Final = "total"

_MEANS: Final = {
    "ARITHMETIC": Text("加权平均", "weighted mean"),
    "GEOMETRIC": Text("加权几何平均", "weighted geometric mean"),
    "HARMONIC": Text("加权调和平均", "weighted harmonic mean"),
}


@dataclass(frozen=True, slots=True)
class StepInput:
    """A settled value that a leaf used (所用数据): the item's key, its state, and how people read it."""

    data_item: str
    state: str
    display: str


@dataclass(frozen=True, slots=True)
class StepPeers:
    """What a relative rule compared with (同类比较)."""

    peers: int
    best: Fraction | None
    worst: Fraction | None
    rank: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the arithmetic.

    kind: LEAF, AGGREGATE, BONUS, DEDUCTION, LATE_PENALTY, CLAMP, ROUND, VETO, RANK, TIE, QUOTA or GRADE.
    result: exact; of LEAF and AGGREGATE a score 0 … 100 (None: not applicable), of all others in full marks.
    shown: the same rounded. weight: weight or points as printed; effective_weight: what of the siblings' weights
    counted for it after sharing what does not apply. events: keys of the events it is about.
    """

    key: str
    parent_key: str | None
    depth: int
    kind: str
    text: Text
    formula: str = ""
    indicator: str | None = None
    before: Fraction | None = None
    result: Fraction | None = None
    shown: str | None = None
    weight: Fraction | None = None
    effective_weight: Fraction | None = None
    value_state: str | None = None
    inputs: tuple[StepInput, ...] = ()
    comparison: StepPeers | None = None
    events: tuple[str, ...] = field(default=())


def explain(scheme: Scheme, snapshot: Snapshot, result: Result, unit: int) -> list[Step]:
    """All steps of one unit (its place in the snapshot), in reading order."""
    run, place = result.place_of(unit)
    return _Explanation(scheme, snapshot, result, run, unit, place).steps()


def explanation_text(steps: Sequence[Step]) -> Text:
    """The whole explanation in words, one line per step, indented by depth."""
    lines = [("　" * step.depth, "  " * step.depth, step) for step in steps]
    return Text(
        "\n".join(zh + step.text.zh for zh, _, step in lines), "\n".join(en + step.text.en for _, en, step in lines)
    )


def effective_marks(scheme: Scheme, steps: Sequence[Step]) -> Mapping[str, Fraction]:
    """Marks of the scheme's full marks that each node stood for after sharing what does not apply (折算后分值)."""
    found: dict[str, Fraction] = {scheme.root.code: scheme.full_marks}
    siblings: dict[str | None, Fraction] = {}
    nodes = [step for step in steps if step.kind in ("LEAF", "AGGREGATE") and step.indicator is not None]
    for step in nodes:
        siblings[step.parent_key] = siblings.get(step.parent_key, Fraction(0)) + (step.effective_weight or 0)
    for step in nodes:
        parent = scheme.by_code[str(step.indicator)].parent_code
        if parent is not None:
            total = siblings[step.parent_key]
            own = (step.effective_weight or Fraction(0)) / total if total else Fraction(0)
            found[str(step.indicator)] = found[parent] * own
    return found


class _Explanation:
    def __init__(
        self, scheme: Scheme, snapshot: Snapshot, result: Result, run: CategoryRun, unit: int, place: int
    ) -> None:
        self.scheme = scheme
        self.snapshot = snapshot
        self.result = result
        self.run = run
        self.unit = unit
        self.place = place
        self.exact = ExactTree(run.tree, run.leaves, np.array([place]))
        self.events = EventTable(snapshot)
        self.places = scheme.settings.rounding_places
        self.found: list[Step] = []

    def steps(self) -> list[Step]:
        total = self.exact.fractions(0)[0]
        if total is None:
            text = Text("没有适用的指标，不计总分", "nothing applies: no total")
            self.found.append(Step(TOTAL, None, 0, "ROUND", text))
            self._node(0, TOTAL, 1, None, None)
            return self.found
        marks = total * self.scheme.full_marks / 100
        parts = self._parts()
        raw = marks + sum((amount for _, amount, _ in parts), Fraction(0))
        ceiling = self.run.tail.ceiling
        clamped = max(raw, Fraction(0)) if ceiling is None else min(max(raw, Fraction(0)), ceiling)
        shown = self._shown(clamped)
        signs = "".join(f" {'+' if amount >= 0 else '-'} {show(abs(amount))}" for _, amount, _ in parts)
        self.found.append(
            Step(
                TOTAL,
                None,
                0,
                "ROUND",
                Text(
                    f"总得分{shown}分（满分{show(self.scheme.full_marks)}分），四舍五入到{self.places}位小数",
                    f"total {shown} of {show(self.scheme.full_marks)}, rounded half up to {self.places} places",
                ),
                f"{show(marks)}{signs}" + (f" → {show(clamped)}" if clamped != raw else ""),
                before=clamped,
                result=Fraction(round_half_up(clamped, self.places), 10**self.places),
                shown=shown,
            )
        )
        self._node(0, TOTAL, 1, None, None)
        for step, _, below in parts:
            self.found += [step, *below]
        if clamped != raw:
            self.found.append(self._clamp(raw, clamped))
        self._vetoes()
        self._rank()
        self._grade()
        return self.found

    def _shown(self, value: Fraction) -> str:
        return format_scaled(round_half_up(value, self.places), self.places)

    def _parts(self) -> list[tuple[Step, Fraction, list[Step]]]:
        """What comes after the tree: (step, signed amount, steps below it)."""
        found: list[tuple[Step, Fraction, list[Step]]] = []
        tail = self.run.tail
        own = self.result.unit_events.get(self.unit, NOTHING)
        if own.bonus_events:
            step, below = self._pot("bonus", "BONUS", Text("加分", "bonus"), own.bonus, own.bonus_events)
            found.append((step, own.bonus, below))
        if own.deduction_events:
            step, below = self._pot(
                "deduction", "DEDUCTION", Text("减分", "deductions"), own.deduction, own.deduction_events
            )
            found.append((step, -own.deduction, below))
        late = Fraction(tail.late.at(self.place), tail.unit)
        if late:
            days = 0 if self.snapshot.late_days is None else int(self.snapshot.late_days[self.unit])
            penalty = self.scheme.settings.late_penalty
            each = penalty.points_per_day if penalty else Fraction(0)
            text = Text(f"逾期{days}天，扣{show(late)}分", f"{days} days late: {show(late)} off")
            formula = f"{days} × {show(each)}" + (f" → {show(late)}" if late != days * each else "")
            step = Step("late", TOTAL, 1, "LATE_PENALTY", text, formula, result=late, shown=self._shown(late))
            found.append((step, -late, []))
        return found

    def _pot(
        self, key: str, kind: str, word: Text, total: Fraction, events: Sequence[CountedEvent]
    ) -> tuple[Step, list[Step]]:
        """A pot's step, and one below it for each confirmed event."""
        below = []
        for each in events:
            event = each.event
            rule = self.scheme.by_code[event.indicator].rule
            level = rule.level(event.level) if isinstance(rule, PotRule) else None
            name = self.scheme.by_code[event.indicator].name + (f"·{level.name}" if level else "")
            text = Text(
                f"{name}（{event.key}）：{show(each.amount)}分，计{show(each.counted)}分",
                f"{name} ({event.key}): {show(each.amount)}, counts {show(each.counted)}",
            )
            if each.reason is not None:
                text = Text(f"{text.zh}；{each.reason.zh}", f"{text.en}; {each.reason.en}")
            below.append(
                Step(
                    f"{key}/{event.key}",
                    key,
                    2,
                    kind,
                    text,
                    show(each.counted),
                    event.indicator,
                    each.amount,
                    each.counted,
                    self._shown(each.counted),
                    events=(event.key,),
                )
            )
        text = Text(f"{word.zh}合计{show(total)}分", f"{word.en}: {show(total)} together")
        formula = " + ".join(show(each.counted) for each in events)
        step = Step(key, TOTAL, 1, kind, text, formula, None, None, total, self._shown(total))
        return step, below

    def _clamp(self, raw: Fraction, clamped: Fraction) -> Step:
        if clamped > raw:
            text = Text("扣减后低于0分，按0分计", "below 0: counts as 0")
        else:
            text = Text(f"超过上限，按{show(clamped)}分计", f"above the upper limit: counts as {show(clamped)}")
        return Step(
            "clamp", TOTAL, 1, "CLAMP", text, f"{show(raw)} → {show(clamped)}", None, raw, clamped, self._shown(clamped)
        )

    def _node(self, place: int, parent: str, depth: int, weight: Fraction | None, effective: Fraction | None) -> None:
        node = self.run.tree.nodes[place]
        if node.leaf:
            self._leaf(place, node, parent, depth, weight, effective)
        else:
            self._aggregate(place, node, parent, depth, weight, effective)

    def _aggregate(
        self, place: int, node: TreeNode, parent: str, depth: int, weight: Fraction | None, effective: Fraction | None
    ) -> None:
        score = self.exact.fractions(place)[0]
        nodes = self.run.tree.nodes
        printed = [nodes[child].printed for child in node.children]
        masses = [self._mass(child) for child in node.children]
        counted = sum((w * m for w, m in zip(printed, masses, strict=True)), Fraction(0))
        whole = sum(printed, Fraction(0))
        shares = [w * m * whole / counted if counted else Fraction(0) for w, m in zip(printed, masses, strict=True)]
        name = self.scheme.by_code[node.code].name
        gone = [child for child, w, m in zip(node.children, printed, masses, strict=True) if w and not m]
        names = "、".join(self.scheme.by_code[nodes[child].code].name for child in gone)
        if score is None:
            text = Text(f"{name}：没有适用的下级指标，不适用", f"{name}: nothing below applies")
        else:
            mean = _MEANS[node.aggregation]
            marks = score * node.points / 100
            text = Text(
                f"{name}：{mean.zh}得{show(score)}分（百分制），折合{show(marks)}分，满分{show(node.points)}分",
                f"{name}: {mean.en} {show(score)} of 100, that is {show(marks)} of {show(node.points)}",
            )
            if gone:
                text = Text(
                    f"{text.zh}；{names}不计入，权重由其余部分分担", f"{text.en}; {names} left out, weight shared"
                )
        self.found.append(
            Step(
                node.code,
                parent,
                depth,
                "AGGREGATE",
                text,
                self._formula(node, shares),
                node.code,
                None,
                score,
                None if score is None else self._shown(score),
                node.printed if weight is None else weight,
                node.printed if effective is None else effective,
                "NOT_APPLICABLE" if score is None else "GIVEN",
            )
        )
        for child, own, share in zip(node.children, printed, shares, strict=True):
            self._node(child, node.code, depth + 1, own, share)

    def _mass(self, place: int) -> Fraction:
        """How much of a node's printed weight took part."""
        score = self.exact.node(place)
        if score.present is not None and not score.present[0]:
            return Fraction(0)
        if score.mass_numerator is None or score.mass_denominator is None:
            return Fraction(1)
        return Fraction(score.mass_numerator.at(0), score.mass_denominator.at(0))

    def _formula(self, node: TreeNode, shares: Sequence[Fraction]) -> str:
        terms = []
        for child, share in zip(node.children, shares, strict=True):
            score = self.exact.fractions(child)[0]
            if share and score is not None:
                terms.append((share, score))
        if not terms:
            return ""
        total = show(sum((share for share, _ in terms), Fraction(0)))
        if node.aggregation == "GEOMETRIC":
            return f"({' × '.join(f'{show(score)}^{show(share)}' for share, score in terms)})^(1 ÷ {total})"
        if node.aggregation == "HARMONIC":
            return f"{total} ÷ ({' + '.join(f'{show(share)} ÷ {show(score)}' for share, score in terms)})"
        return f"({' + '.join(f'{show(share)} × {show(score)}' for share, score in terms)}) ÷ {total}"

    def _leaf(
        self, place: int, node: TreeNode, parent: str, depth: int, weight: Fraction | None, effective: Fraction | None
    ) -> None:
        rule = node.rule
        if rule is None:
            return
        leaf = self.run.leaves[place]
        state = State(int(leaf.states[self.place]))
        score = self.exact.fractions(place)[0]
        one = OneUnit(self.snapshot, self.events, node.code, self.unit, self.place, leaf.peers)
        name = self.scheme.by_code[node.code].name
        formula = ""
        if not node.full_marks:
            text = Text("只展示，不计分", "shown only, not scored")
        elif state <= State.CARRIED:
            work = rule.work(one, node.full_marks, self.scheme.item_names)
            text, formula = work.text, work.formula
            if state == State.CARRIED:
                text = Text("缺报，按上期值计：" + text.zh, "missing, last cycle's value: " + text.en)
        else:
            text = _state_words(node, state)
        self.found.append(
            Step(
                node.code,
                parent,
                depth,
                "LEAF",
                Text(f"{name}：{text.zh}", f"{name}: {text.en}"),
                formula,
                node.code,
                None,
                score,
                None if score is None else self._shown(score),
                weight,
                effective,
                STATE_NAMES[state],
                self._inputs(rule, one),
                _peers(leaf.peers, self.place),
            )
        )

    def _inputs(self, rule: Rule, one: OneUnit) -> tuple[StepInput, ...]:
        found = []
        for key in rule.data_items():
            state = one.state(key)
            item = self.scheme.data_items[key]
            display = ""
            if state <= State.CARRIED:
                if item.type == "YES_NO":
                    display = "是" if one.number(key) else "否"
                elif item.type == "CHOICE":
                    display = item.options[int(one.number(key))].name
                elif item.type == "SCORES":
                    scores = one.scores(key)
                    mean = show(sum(scores, Fraction(0)) / len(scores), 4) if scores else "—"
                    display = f"{mean}（{len(scores)}）"
                else:
                    display = show(one.number(key), 30) + (item.unit_of_measure or "")
            found.append(StepInput(key, STATE_NAMES[state], display))
        return tuple(found)

    def _vetoes(self) -> None:
        own = self.result.unit_events.get(self.unit, NOTHING)
        for event, effect in own.vetoes:
            name = self.scheme.by_code[event.indicator].name
            words = EFFECTS[effect]
            text = Text(f"一票否决：{name}（{event.key}），{words.zh}", f"veto: {name} ({event.key}): {words.en}")
            step = Step(f"veto/{event.key}", None, 0, "VETO", text, "", event.indicator, events=(event.key,))
            self.found.append(step)

    def _grade(self) -> None:
        grades = self.scheme.settings.grades
        if not grades:
            return
        result, unit = self.result, self.unit
        place = int(result.grading.grade[unit])
        waiting = next((tie for tie in result.pending() if unit in tie.units), None)
        if place >= 0:
            grade = grades[place]
            text = Text(f"测算等次：{grade.name}", f"computed grade: {grade.name}")
            if unit in result.grading.dropped:
                text = Text(f"{text.zh}（一票否决降一等次）", f"{text.en} (one grade down by veto)")
        else:
            text = Text("测算等次：无", "computed grade: none")
        self.found.append(Step("grade", None, 0, "GRADE", text))
        groups = {
            "CATEGORY": self.run.tree.category,
            "PARENT": (self.snapshot.parents[unit] if self.snapshot.parents else None) or "",
            "ALL": "",
        }
        names = {grade.code: grade for grade in grades}
        for quota in result.quotas():
            grade = names[quota.grade]
            better = place < 0 or list(names).index(quota.grade) <= place
            if quota.group == groups[grade.scope] and better:
                text = Text(
                    f"{grade.name}名额：按{quota.base}个单位计{quota.places}个，已用{quota.used}个",
                    f"places of {grade.name}: {quota.places} for {quota.base} units, {quota.used} taken",
                )
                self.found.append(Step(f"quota/{quota.grade}", "grade", 1, "QUOTA", text))
        if waiting is not None:
            text = Text(
                f"{names[waiting.grade].name}还剩{waiting.left}个名额，{len(waiting.units)}个单位得分相同，"
                "须由人排定先后并说明理由",
                f"{waiting.left} places of {names[waiting.grade].name} left for {len(waiting.units)} equals: a "
                "person must order them",
            )
            self.found.append(Step("pending", "grade", 1, "TIE", text))

    def _rank(self) -> None:
        result, unit = self.result, self.unit
        status = Status(int(result.status[unit]))
        category = next(c.name for c in self.scheme.categories if c.code == self.run.tree.category)
        if status == Status.LOW_COVERAGE:
            threshold = self.scheme.settings.coverage_threshold or Fraction(0)
            text = Text(
                f"数据完整度{show(result.coverage(unit), 4)}低于{show(threshold)}，不参与排名",
                f"coverage {show(result.coverage(unit), 4)} is below {show(threshold)}: not ranked",
            )
            self.found.append(Step("rank", None, 0, "RANK", text))
            return
        if status != Status.RANKED:
            return
        rank, shared = int(result.rank[unit]), int(result.shared[unit])
        basis = Text("按显示得分", "by the shown total")
        if self.scheme.settings.rank_on == "EXACT":
            basis = Text("按精确得分", "by the exact total")
        text = Text(f"{category}第{rank}名（{basis.zh}）", f"rank {rank} in {category} ({basis.en})")
        self.found.append(Step("rank", None, 0, "RANK", text))
        if shared > 1:
            text = Text(
                f"与同类{shared - 1}个单位得分相同，名次并列",
                f"equal to {shared - 1} other units of the category: they share the rank",
            )
            self.found.append(Step("tie", "rank", 1, "TIE", text))


def _state_words(node: TreeNode, state: State) -> Text:
    if state == State.REJECTED:
        return Text("不予认定，计0分", "not recognised: 0")
    shared = Text("其权重由同级指标分担", "its weight is shared among its siblings")
    if node.not_applicable_policy == "GLOBAL":
        shared = Text("总分按适用部分折算", "the total is scored out of what applies")
    if state == State.MISSING:
        if node.missing_policy == "EXCLUDE":
            return Text(f"缺报，不计入，{shared.zh}", f"missing, left out: {shared.en}")
        return Text("缺报，计0分", "missing: 0")
    if node.not_applicable_policy == "FULL":
        return Text("不适用，按规则得满分", "not applicable: full marks by rule")
    return Text(f"不适用，{shared.zh}", f"not applicable: {shared.en}")


def _peers(peers: Peers | None, place: int) -> StepPeers | None:
    if peers is None:
        return None
    rank = None if peers.ranks is None else int(peers.ranks[place]) or None
    return StepPeers(peers.count, peers.best, peers.worst, rank)
