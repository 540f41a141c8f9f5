"""A slow reference of the whole scoring, in fractions, one unit at a time, straight from the definitions.

It shares no code with the engine: it reads the plain document, keeps no columns, and knows no floats. Values of a unit
are Fractions, booleans, option codes, dicts of counts, or lists of Fractions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from typing import Any

Q = Fraction
ZERO = Q(0)
GONE = object()
"""Its weight is shared among the siblings."""
LOST = object()
"""Its weight leaves the total."""


@dataclass
class Unit:
    """One unit of a case."""

    key: str
    category: str
    values: dict[str, tuple[str, Any]] = field(default_factory=dict)
    awards: dict[str, tuple[str, Any]] = field(default_factory=dict)
    group_awards: dict[tuple[str, str], list[Q]] = field(default_factory=dict)
    leaf_states: dict[str, str] = field(default_factory=dict)
    leaf_values: dict[tuple[str, str], tuple[str, Any]] = field(default_factory=dict)
    previous: dict[str, Any] = field(default_factory=dict)
    late_days: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    parent: str | None = None
    previous_grade: str | None = None


@dataclass
class Answer:
    """What the reference says of one unit."""

    exact: Q | None = None
    shown: int | None = None
    rank: int | None = None
    overall: int | None = None
    shared: int = 0
    status: str = "RANKED"
    coverage: Q = ZERO
    nodes: dict[str, Q | None] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    bonus: Q = ZERO
    deduction: Q = ZERO
    late: Q = ZERO
    grade: str | None = None
    undecided: bool = False


ORDER = ["GIVEN", "CARRIED", "MISSING", "REJECTED", "NOT_APPLICABLE"]


def number(text: Any, default: str | None = None) -> Q | None:
    if text is None:
        return None if default is None else Q(default)
    return Q(str(text))


def sure(text: Any, default: str | None = None) -> Q:
    found = number(text, default)
    assert found is not None
    return found


class Reference:
    """The definitions, over one document and all its units."""

    def __init__(self, document: Mapping[str, Any], units: Sequence[Unit]) -> None:
        self.document = document
        self.units = list(units)
        self.settings = document.get("settings") or {}
        self.items = {item["code"]: item for item in document.get("dataItems") or []}
        self.nodes = {node["code"]: node for node in document["indicators"]}
        self.kids: dict[str, list[str]] = {code: [] for code in self.nodes}
        for node in document["indicators"]:
            if node.get("parentCode") is not None:
                self.kids[node["parentCode"]].append(node["code"])
        self.root = next(code for code, node in self.nodes.items() if node.get("parentCode") is None)
        self.full = sure(document.get("fullMarks"), "100")
        self.points = document["weighting"] == "POINTS"
        self._state_memo: dict[tuple[str, str], str] = {}
        self._peers: dict[tuple[str, str], list[tuple[Unit, Q]]] = {}

    # The tree

    def outside(self, code: str) -> bool:
        rule = self.nodes[code].get("rule")
        if rule:
            return rule["kind"] in ("BONUS", "DEDUCTION", "VETO")
        return code != self.root and bool(self.kids[code]) and all(self.outside(kid) for kid in self.kids[code])

    def applies(self, code: str, category: str) -> bool:
        node = self.nodes[code]
        if node.get("categories") and category not in node["categories"]:
            return False
        return node.get("parentCode") is None or self.applies(node["parentCode"], category)

    def children(self, code: str, category: str) -> list[str]:
        return [kid for kid in self.kids[code] if not self.outside(kid) and self.applies(kid, category)]

    def weight(self, code: str, category: str) -> Q:
        node = self.nodes[code]
        if not self.points:
            return sure(node["weight"])
        for row in node.get("pointsByCategory") or []:
            if row["category"] == category:
                return sure(row["points"])
        return sure(node.get("points"), "0")

    def full_marks(self, code: str, category: str) -> Q:
        full = number(self.nodes[code]["rule"].get("full"))
        if full is not None:
            return full
        return self.weight(code, category) if self.points else Q(100)

    def policy(self, code: str, name: str, default: str) -> str:
        node: str | None = code
        while node is not None:
            own = self.nodes[node].get(name)
            if own:
                return str(own)
            node = self.nodes[node].get("parentCode")
        return str(self.settings.get(name) or default)

    # Values

    def held(self, unit: Unit, leaf: str, item: str) -> tuple[str, Any]:
        if (leaf, item) in unit.leaf_values:
            return unit.leaf_values[leaf, item]
        return unit.values.get(item, ("MISSING", None))

    def items_of(self, rule: Mapping[str, Any]) -> list[str]:
        found: list[str] = []

        def walk(thing: Any) -> None:
            if isinstance(thing, Mapping):
                for key in ("dataItem", "assigned"):
                    if isinstance(thing.get(key), str):
                        found.append(thing[key])
                for value in thing.values():
                    walk(value)
            elif isinstance(thing, list):
                for value in thing:
                    walk(value)

        walk(rule)
        return found

    def raw_state(self, unit: Unit, leaf: str) -> str:
        own = unit.leaf_states.get(leaf, "GIVEN")
        if own != "GIVEN":
            return own
        rule = self.nodes[leaf]["rule"]
        if rule["kind"] == "AWARD":
            if rule.get("groups"):
                given = any(unit.group_awards.get((leaf, group["name"])) for group in rule["groups"])
                return "GIVEN" if given else "MISSING"
            return unit.awards.get(leaf, ("MISSING", None))[0]
        states = [self.held(unit, leaf, item)[0] for item in self.items_of(rule)]
        return max(states, key=ORDER.index, default="GIVEN")

    def combination(self, what: Mapping[str, Any], unit: Unit, leaf: str, previous: bool = False) -> Q:
        total = sure(what.get("constant"), "0")
        for term in what.get("terms") or []:
            value = unit.previous[term["dataItem"]] if previous else self.held(unit, leaf, term["dataItem"])[1]
            if isinstance(value, dict):
                name = term.get("countName")
                value = Q(sum(value.values())) if name is None else Q(value.get(name, 0))
            total += sure(term.get("coefficient"), "1") * Q(value)
        return total

    def quantity(self, what: Mapping[str, Any], unit: Unit, leaf: str, previous: bool = False) -> Any:
        """x, or "NA", or "FULL"."""
        top = self.combination(what["numerator"], unit, leaf, previous)
        if not what.get("denominator"):
            return top
        bottom = self.combination(what["denominator"], unit, leaf, previous)
        if bottom == 0:
            return "FULL" if what.get("denominatorZero") == "FULL" else "NA"
        return top / bottom

    # Rules: marks, or "NA", or "FULL"

    def peers(self, unit: Unit, leaf: str) -> list[tuple[Unit, Q]]:
        known = self._peers.get((unit.category, leaf))
        if known is not None:
            return known
        found = self._peers[unit.category, leaf] = []
        for other in self.units:
            if other.category == unit.category and self.raw_state(other, leaf) in ("GIVEN", "CARRIED"):
                x = self.quantity(self.nodes[leaf]["rule"]["quantity"], other, leaf)
                if not isinstance(x, str):
                    found.append((other, x))
        return found

    def marks(self, unit: Unit, leaf: str, full: Q) -> Any:
        rule = self.nodes[leaf]["rule"]
        method = getattr(self, "rule_" + rule["kind"].lower())
        return method(rule, unit, leaf, full)

    def rule_award(self, rule: Any, unit: Unit, leaf: str, full: Q) -> Any:
        if not rule.get("groups"):
            return unit.awards[leaf][1]
        total, weights = Q(0), Q(0)
        for group in rule["groups"]:
            awards = sorted(unit.group_awards.get((leaf, group["name"]), []))
            if group.get("method") == "TRIMMED_MEAN" and len(awards) >= 3:
                awards = awards[1:-1]
            if awards:
                total += sure(group["weight"]) * sum(awards) / len(awards)
                weights += sure(group["weight"])
        return total / weights

    def rule_linear(self, rule: Any, unit: Unit, leaf: str, full: Q) -> Any:
        x = self.quantity(rule["quantity"], unit, leaf)
        if isinstance(x, str):
            return x
        a, b = sure(rule["zeroAt"]), sure(rule["fullAt"])
        share = (x - a) / (b - a)
        if rule.get("clamp", True):
            share = min(max(share, Q(0)), Q(1))
        return full * share

    def rule_bands(self, rule: Any, unit: Unit, leaf: str, full: Q) -> Any:
        x = self.quantity(rule["quantity"], unit, leaf)
        if isinstance(x, str):
            return x
        for band in rule["bands"]:
            if band["from"] is None or x >= sure(band["from"]):
                return sure(band["marks"])
        raise AssertionError("bands are complete")

    def rule_completion(self, rule: Any, unit: Unit, leaf: str, full: Q) -> Any:
        actual = self.quantity(rule["actual"], unit, leaf)
        target = self.quantity(rule["target"], unit, leaf)
        if "NA" in (actual, target):
            return "NA"
        undefined = "FULL" in (actual, target)
        if not isinstance(target, str) and target == 0 and not isinstance(actual, str):
            return "FULL" if rule.get("targetZero") == "FULL" else "NA"
        if undefined:
            return "FULL"
        share = actual / target if target > 0 and actual > 0 else Q(0)
        below = number(rule.get("allOrNothingBelow"))
        if below is not None and share < below:
            return Q(0)
        return full * min(share, sure(rule.get("cap"), "1"))

    def rule_yes_no(self, rule: Any, unit: Unit, leaf: str, full: Q) -> Any:
        return full if bool(self.held(unit, leaf, rule["dataItem"])[1]) == rule.get("fullWhen", True) else Q(0)

    def parts(self, units: Q, how: str | None) -> Q:
        if how == "STARTED":
            return Q(ceil(units))
        if how == "COMPLETED":
            return Q(floor(units))
        return units

    def rule_deduct(self, rule: Any, unit: Unit, leaf: str, full: Q) -> Any:
        taken, wiped = Q(0), False
        for line in rule["lines"]:
            if line.get("quantity"):
                count = self.quantity(self.named(line["quantity"], line.get("countName")), unit, leaf)
            elif line.get("required"):
                asked = self.quantity(self.named(line["required"], line.get("countName")), unit, leaf)
                done = self.quantity(self.named(line["done"], line.get("countName")), unit, leaf)
                count = next((x for x in ("NA", "FULL") if x in (asked, done)), None) or asked - done
            else:
                code = line.get("eventIndicatorCode") or leaf
                count = Q(sum(e["indicator"] == code and e["state"] == "CONFIRMED" for e in unit.events))
            if count == "NA":
                return "NA"
            if count == "FULL":
                continue
            units = self.parts(max(count, Q(0)) / sure(line.get("perUnits"), "1"), line.get("partUnits"))
            off = units * sure(line.get("pointsEach"), "0")
            cap = number(line.get("cap"))
            taken += off if cap is None else min(off, cap)
            wiped = wiped or bool(line.get("wipeOut") and units > 0)
        return Q(0) if wiped else max(full - taken, sure(rule.get("floor"), "0"))

    def named(self, quantity: Any, name: str | None) -> Any:
        if name is None:
            return quantity

        def fill(part: Any) -> Any:
            terms = [
                {**term, "countName": term.get("countName") or name}
                if self.items[term["dataItem"]]["type"] == "COUNTS"
                else term
                for term in part.get("terms") or []
            ]
            return {**part, "terms": terms}

        below = quantity.get("denominator")
        return {**quantity, "numerator": fill(quantity["numerator"]), "denominator": below and fill(below)}

    def between(self, rule: Any, unit: Unit, leaf: str, full: Q, base: Q) -> Any:
        x = self.quantity(rule["quantity"], unit, leaf)
        if isinstance(x, str):
            return x
        values = [value for _, value in self.peers(unit, leaf)]
        best, worst = max(values), min(values)
        if rule.get("direction") == "LOWER":
            best, worst = worst, best
        if best == worst:
            return full
        return base * full + (1 - base) * full * (x - worst) / (best - worst)

    def rule_minmax(self, rule: Any, unit: Unit, leaf: str, full: Q) -> Any:
        return self.between(rule, unit, leaf, full, Q(0))

    def rule_efficacy(self, rule: Any, unit: Unit, leaf: str, full: Q) -> Any:
        return self.between(rule, unit, leaf, full, sure(rule["base"]))

    def rule_piecewise(self, rule: Any, unit: Unit, leaf: str, full: Q) -> Any:
        x = self.quantity(rule["quantity"], unit, leaf)
        if isinstance(x, str):
            return x
        points = [(sure(point["x"]), sure(point["marks"])) for point in rule["points"]]
        if x <= points[0][0]:
            return points[0][1]
        for (a, low), (b, high) in pairwise(points):
            if x <= b:
                return low + (high - low) * (x - a) / (b - a)
        return points[-1][1]

    def rule_choice(self, rule: Any, unit: Unit, leaf: str, full: Q) -> Any:
        chosen = self.held(unit, leaf, rule["dataItem"])[1]
        return next(sure(option["marks"]) for option in rule["options"] if option["option"] == chosen)

    def rule_checklist(self, rule: Any, unit: Unit, leaf: str, full: Q) -> Any:
        if rule.get("done"):
            done = self.quantity(rule["done"], unit, leaf)
            asked = self.quantity(rule["asked"], unit, leaf)
            if "NA" in (done, asked):
                return "NA"
            if "FULL" in (done, asked):
                return "FULL"
            if asked == 0:
                return "NA"
            share = min(max(done / asked, Q(0)), Q(1)) if asked > 0 else Q(0)
            return full * (Q(share == 1) if rule.get("allOrNothing") else share)
        met = [bool(self.held(unit, leaf, point["dataItem"])[1]) for point in rule["points"]]
        if rule.get("allOrNothing"):
            return full if all(met) else Q(0)
        own = [sure(point["marks"]) if point.get("marks") else full / len(met) for point in rule["points"]]
        return sum((marks for marks, yes in zip(own, met, strict=True) if yes), Q(0))

    def rule_neutral(self, rule: Any, unit: Unit, leaf: str, full: Q) -> Any:
        x = self.quantity(rule["quantity"], unit, leaf)
        if isinstance(x, str):
            return x
        marks = full
        for name, sign in (("low", 1), ("high", -1)):
            end = rule.get(name)
            if end:
                bound = self.bound(end, unit, leaf)
                steps = self.parts(max((bound - x) * sign, Q(0)) / sure(end.get("step"), "1"), end.get("partSteps"))
                marks -= steps * sure(end["pointsPerStep"])
        plus = rule.get("plus")
        if plus:
            steps = max(x - self.bound(rule["high"], unit, leaf), Q(0)) / sure(plus.get("step"), "1")
            marks += min(steps * sure(plus["pointsPerStep"]), sure(plus["cap"]))
        return max(marks, sure(rule.get("floor"), "0"))

    def bound(self, end: Any, unit: Unit, leaf: str) -> Q:
        return self.held(unit, leaf, end["assigned"])[1] if end.get("assigned") else sure(end["value"])

    def rule_improvement(self, rule: Any, unit: Unit, leaf: str, full: Q) -> Any:
        x = self.quantity(rule["quantity"], unit, leaf)
        if isinstance(x, str):
            return x
        if any(item not in unit.previous for item in self.items_of(rule)):
            return "NA"
        base = self.quantity(rule["quantity"], unit, leaf, previous=True)
        if isinstance(base, str) or base == 0:
            return "NA"
        change = (x - base) / abs(base) * (-1 if rule.get("direction") == "LOWER" else 1)
        return full * min(max(change / sure(rule["fullAt"]), Q(0)), Q(1))

    def rule_best_ratio(self, rule: Any, unit: Unit, leaf: str, full: Q) -> Any:
        x = self.quantity(rule["quantity"], unit, leaf)
        if isinstance(x, str):
            return x
        values = [value for _, value in self.peers(unit, leaf)]
        if rule.get("direction") == "LOWER":
            best = min(values)
            if best <= 0:
                return full if x == best else Q(0)
            return full * best / x
        best = max(values)
        return full * max(x, Q(0)) / best if best > 0 else Q(0)

    def rule_percentile(self, rule: Any, unit: Unit, leaf: str, full: Q) -> Any:
        x = self.quantity(rule["quantity"], unit, leaf)
        if isinstance(x, str):
            return x
        others = [value for other, value in self.peers(unit, leaf) if other.key != unit.key]
        if not others:
            return full
        if rule.get("direction") == "LOWER":
            return full * sum(value > x for value in others) / len(others)
        return full * sum(value < x for value in others) / len(others)

    def rule_rank_points(self, rule: Any, unit: Unit, leaf: str, full: Q) -> Any:
        x = self.quantity(rule["quantity"], unit, leaf)
        if isinstance(x, str):
            return x
        values = [value for _, value in self.peers(unit, leaf)]
        better = sum(value < x if rule.get("direction") == "LOWER" else value > x for value in values)
        count, equal = len(values), sum(value == x for value in values)
        table = [sure(row["marks"]) for row in rule.get("table") or []]
        floor_ = sure(rule.get("floor"), "0")

        def at(rank: int) -> Q:
            if rule.get("step") is not None:
                return max(full - sure(rule["step"]) * (rank - 1), floor_)
            if rule.get("countFrom") == "LAST":
                from_last = count - rank + 1
                return table[from_last - 1] if from_last <= len(table) else full
            return table[rank - 1] if rank <= len(table) else floor_

        if rule.get("ties") == "MEAN":
            return sum((at(better + 1 + i) for i in range(equal)), Q(0)) / equal
        return at(better + 1)

    def rule_grade_mean(self, rule: Any, unit: Unit, leaf: str, full: Q) -> Any:
        total, weights = Q(0), Q(0)
        for group in rule["groups"]:
            counts = self.held(unit, leaf, group["dataItem"])[1]
            ballots = sum(counts.get(value["option"], 0) for value in group["values"])
            if ballots >= rule["minBallots"]:
                marks = sum((sure(v["marks"]) * counts.get(v["option"], 0) for v in group["values"]), Q(0))
                total += sure(group.get("weight"), "1") * marks / ballots
                weights += sure(group.get("weight"), "1")
        return total / weights if weights else "NA"

    def rule_trimmed_mean(self, rule: Any, unit: Unit, leaf: str, full: Q) -> Any:
        scores = sorted(self.held(unit, leaf, rule["dataItem"])[1])
        if not scores or len(scores) < rule["minimumCount"]:
            return "NA"
        if len(scores) >= rule["dropFrom"] and rule["drop"]:
            scores = scores[rule["drop"] : -rule["drop"]]
        return min(max(sum(scores, Q(0)) / len(scores), Q(0)), full)

    # Leaves and nodes

    def leaf(self, unit: Unit, code: str, answer: Answer) -> Any:
        """Score 0 … 100, or GONE, or LOST."""
        full = self.full_marks(code, unit.category)
        state = self.raw_state(unit, code)
        score: Any = Q(0)
        if full and state in ("GIVEN", "CARRIED"):
            marks = self.marks(unit, code, full)
            if marks == "NA":
                state = "NOT_APPLICABLE"
            else:
                score = Q(100) if marks == "FULL" else 100 * marks / full
        answer.states[code] = "MISSING" if state == "CARRIED" else state
        self._state_memo[unit.key, code] = state
        if not full:
            return GONE
        policy = self.policy(code, "notApplicablePolicy", "PARENT")
        shared = LOST if policy == "GLOBAL" else GONE
        if state == "NOT_APPLICABLE":
            return Q(100) if policy == "FULL" else shared
        if state == "MISSING" and self.policy(code, "missingPolicy", "ZERO") == "EXCLUDE":
            return shared
        return score

    def flat(self, code: str, unit: Unit, scores: dict[str, Any]) -> list[tuple[Q, Any]]:
        """Weights and scores of what a node is the mean of, sharing done; lost ones stay in with LOST."""
        if code in scores:
            return [] if scores[code] is GONE else [(Q(1), scores[code])]
        if self.nodes[code].get("aggregation", "ARITHMETIC") != "ARITHMETIC":
            score = self.node(code, unit, scores)
            return [] if score is GONE else [(Q(1), score)]
        parts = []
        for kid in self.children(code, unit.category):
            weight = self.weight(kid, unit.category)
            below = self.flat(kid, unit, scores)
            if weight and below:
                parts.append((weight, below))
        total = sum((weight for weight, _ in parts), Q(0))
        return [(weight * own / total, score) for weight, below in parts for own, score in below]

    def node(self, code: str, unit: Unit, scores: dict[str, Any]) -> Any:
        if code in scores:
            return scores[code]
        kind = self.nodes[code].get("aggregation", "ARITHMETIC")
        if kind == "ARITHMETIC":
            parts = self.flat(code, unit, scores)
            if not parts:
                return GONE
            kept = [(weight, score) for weight, score in parts if score is not LOST]
            total = sum((weight for weight, _ in kept), Q(0))
            return sum((weight * score for weight, score in kept), Q(0)) / total if kept else LOST
        parts = []
        for kid in self.children(code, unit.category):
            weight, score = self.weight(kid, unit.category), self.node(kid, unit, scores)
            if weight and score is not GONE:
                parts.append((weight, score))
        if not parts:
            return GONE
        if any(score == 0 for _, score in parts):
            return Q(0)
        total = sum((weight for weight, _ in parts), Q(0))
        if kind == "HARMONIC":
            return total / sum((weight / score for weight, score in parts), Q(0))
        return geometric(parts, total)

    def coverage(self, unit: Unit) -> Q:
        got, all_ = Q(0), Q(0)

        def walk(code: str, share: Q) -> None:
            nonlocal got, all_
            if self.nodes[code].get("rule"):
                all_ += share
                got += share if self._state_memo[unit.key, code] == "GIVEN" else 0
                return
            kids = self.children(code, unit.category)
            total = sum((self.weight(kid, unit.category) for kid in kids), Q(0))
            for kid in kids:
                walk(kid, share * self.weight(kid, unit.category) / total if total else Q(0))

        walk(self.root, Q(1))
        return got / all_ if all_ else Q(0)

    # Totals, ranks

    def answers(self) -> dict[str, Answer]:
        found = {unit.key: self.total(unit) for unit in self.units}
        threshold = number(self.settings.get("coverageThreshold"))
        for unit in self.units:
            answer = found[unit.key]
            if threshold is not None and answer.coverage < threshold:
                answer.status = "LOW_COVERAGE"
            if self.effects(unit) & {"LOWEST_GRADE", "UNRANKED"}:
                answer.status = "VETOED"
            if answer.exact is None:
                answer.status = "NOT_SCORED"
        self.rank(found)
        self.grade(found)
        return found

    def total(self, unit: Unit) -> Answer:
        answer = Answer()
        scores = {
            code: self.leaf(unit, code, answer)
            for code, node in self.nodes.items()
            if node.get("rule") and not self.outside(code) and self.applies(code, unit.category)
        }
        for code in self.nodes:
            if not self.outside(code) and self.applies(code, unit.category):
                score = self.node(code, unit, scores)
                answer.nodes[code] = None if score in (GONE, LOST) else score
        answer.coverage = self.coverage(unit)
        late = self.settings.get("latePenalty")
        if late and unit.late_days > 0:
            answer.late = sure(late["pointsPerDay"]) * unit.late_days
            if late.get("cap") is not None:
                answer.late = min(answer.late, sure(late["cap"]))
        answer.bonus = self.pots(unit, "BONUS", "highestPerMatter", number(self.settings.get("bonusCap")))
        answer.deduction = self.pots(unit, "DEDUCTION", "heaviestPerMatter", number(self.settings.get("deductionCap")))
        root = answer.nodes[self.root]
        if root is None:
            return answer
        total = root * self.full / 100 + answer.bonus - answer.deduction - answer.late
        ceiling = self.ceiling()
        total = max(total, Q(0))
        answer.exact = total if ceiling is None else min(total, ceiling)
        places = self.settings.get("roundingPlaces", 2)
        answer.shown = floor(answer.exact * 10**places + Q(1, 2))
        return answer

    def ceiling(self) -> Q | None:
        if self.settings.get("capAtFullMarks"):
            return self.full
        if self.settings.get("bonusCap") is not None:
            return self.full + sure(self.settings["bonusCap"])
        rules = [node["rule"] for node in self.nodes.values() if node.get("rule")]
        caps = {rule["pot"]: number(rule.get("potCap")) for rule in rules if rule["kind"] == "BONUS"}
        if any(cap is None for cap in caps.values()):
            return None
        return self.full + sum((cap for cap in caps.values() if cap is not None), Q(0))

    # Events

    def confirmed(self, unit: Unit, kind: str) -> list[dict[str, Any]]:
        """Confirmed events of a kind, by print order of their leaf, then the greatest, then by key."""
        order = list(self.nodes)
        found = []
        for event in unit.events:
            rule = self.nodes[event["indicator"]].get("rule") or {}
            counts = rule.get("kind") == kind and event["state"] == "CONFIRMED"
            if counts and self.applies(event["indicator"], unit.category):
                found.append({**event, "worth": self.worth(rule, event)})
        found.sort(key=lambda e: (order.index(e["indicator"]), -e["worth"], e["key"]))
        return found

    def worth(self, rule: Any, event: Any) -> Q:
        level = next((level for level in rule.get("levels", ()) if level["code"] == event.get("level")), None)
        if event.get("amount") is None:
            return sure(level["points"]) if level else Q(0)
        if level and level.get("maxPoints") is not None:
            return min(sure(event["amount"]), sure(level["maxPoints"]))
        return sure(event["amount"])

    def pots(self, unit: Unit, kind: str, flag: str, cap: Q | None) -> Q:
        events = self.confirmed(unit, kind)
        pots: dict[str, Q] = {}
        caps: dict[str, Q | None] = {}
        levels: dict[tuple[str, Any], Q] = {}
        for event in events:
            rule = self.nodes[event["indicator"]]["rule"]
            if rule.get(flag, True) and event.get("matter"):
                same = [
                    other
                    for other in events
                    if other.get("matter") == event["matter"]
                    and self.nodes[other["indicator"]]["rule"]["pot"] == rule["pot"]
                    and self.nodes[other["indicator"]]["rule"].get(flag, True)
                ]
                first = next(other for other in same if other["worth"] == max(o["worth"] for o in same))
                if first is not event:
                    continue
            key = (event["indicator"], event.get("level"))
            levels[key] = levels.get(key, Q(0)) + event["worth"]
        for (leaf, code), total in levels.items():
            rule = self.nodes[leaf]["rule"]
            level = next((level for level in rule["levels"] if level["code"] == code), None)
            if level and level.get("cap") is not None:
                total = min(total, sure(level["cap"]))
            pots[rule["pot"]] = pots.get(rule["pot"], Q(0)) + total
            caps[rule["pot"]] = number(rule.get("potCap"))
        total = Q(0)
        for pot, own in pots.items():
            limit = caps[pot]
            total += own if limit is None else min(own, limit)
        return total if cap is None else min(total, cap)

    def effects(self, unit: Unit) -> set[str]:
        found = set()
        for event in self.confirmed(unit, "VETO"):
            found.add(event.get("effect") or self.nodes[event["indicator"]]["rule"]["effect"])
        return found

    # Grades

    def holds(self, unit: Unit, answer: Answer, condition: Any) -> bool:
        if condition["kind"] == "NODE_SHARE":
            if condition["indicator"] not in answer.nodes:
                return True
            score = answer.nodes[condition["indicator"]]
            return score is not None and score >= 100 * sure(condition["minimumShare"])
        if condition["kind"] == "NO_EVENT":
            return not any(e["indicator"] == condition["indicator"] and e["state"] == "CONFIRMED" for e in unit.events)
        if condition["kind"] == "ITEM_TRUE":
            state, value = unit.values.get(condition["dataItem"], ("MISSING", None))
            return state in ("GIVEN", "CARRIED") and bool(value)
        codes = [grade["code"] for grade in self.settings["grades"]]
        if unit.previous_grade is None:
            return False
        return codes.index(unit.previous_grade) <= codes.index(condition["gradeCode"])

    def grade(self, answers: dict[str, Answer]) -> None:
        grades = self.settings.get("grades") or []
        policy = self.settings.get("tiePolicy", "STRICT")
        threshold = number(self.settings.get("coverageThreshold"))
        dropped: set[str] = set()
        if not grades:
            return
        pool = {unit.key: unit for unit in self.units if answers[unit.key].status == "RANKED"}
        keys = {key: self.key(unit, answers) for key, unit in pool.items()}
        out = [
            unit
            for unit in self.units
            if answers[unit.key].status == "VETOED" and (threshold is None or answers[unit.key].coverage >= threshold)
        ]
        for place, grade in enumerate(grades):
            last = place == len(grades) - 1

            def group(unit: Unit, scope: str = grade.get("scope", "CATEGORY")) -> str:
                return {"CATEGORY": unit.category, "PARENT": unit.parent or "", "ALL": ""}[scope]

            for name in sorted({group(unit) for unit in self.units}):
                base = [unit for unit in pool.values() if group(unit) == name]
                if grade.get("baseIncludesVetoed", True):
                    base += [unit for unit in out if group(unit) == name]
                left = self.places(grade, len(base))
                able = [
                    unit
                    for unit in pool.values()
                    if group(unit) == name
                    and answers[unit.key].grade is None
                    and Q(answers[unit.key].shown or 0) / 10 ** self.settings.get("roundingPlaces", 2)
                    >= sure(grade.get("threshold"), "0")
                    and all(self.holds(unit, answers[unit.key], c) for c in grade.get("conditions") or [])
                    and not (place == 0 and "NO_EXCELLENT" in self.effects(unit))
                ]
                for key in sorted({keys[unit.key] for unit in able}, reverse=True):
                    tie = [unit for unit in able if keys[unit.key] == key]
                    down = [
                        unit
                        for unit in tie
                        if not last and unit.key not in dropped and "ONE_GRADE_DOWN" in self.effects(unit)
                    ]
                    takers = [unit for unit in tie if unit not in down]
                    if left is not None and (left <= 0 or (len(takers) > left and policy != "INCLUSIVE")):
                        if left > 0 and policy in ("DECISION", "TIE_BREAK"):
                            for unit in takers:
                                answers[unit.key].undecided = True
                        break
                    for unit in takers:
                        answers[unit.key].grade = grade["code"]
                    dropped.update(unit.key for unit in down)
                    if left is not None:
                        left -= len(takers)
        for unit in self.units:
            effects = self.effects(unit)
            lowest = "LOWEST_GRADE" in effects and "UNRANKED" not in effects and len(grades) > 1
            if answers[unit.key].status == "VETOED" and lowest:
                answers[unit.key].grade = grades[-1]["code"]

    def places(self, grade: Any, base: int) -> int | None:
        if grade.get("placesByCount"):
            rows = [row["places"] for row in grade["placesByCount"] if base >= row["unitsFrom"]]
            return int(max([grade.get("minimumPlaces", 0), *rows[-1:]]))
        if grade.get("share") is None:
            return None
        share = sure(grade["share"]) * base
        rounded = {"FLOOR": floor(share), "HALF_UP": floor(share + Q(1, 2)), "CEIL": ceil(share)}
        return max(rounded[grade.get("rounding", "FLOOR")], int(grade.get("minimumPlaces", 0)))

    def key(self, unit: Unit, answers: dict[str, Answer]) -> tuple[Any, ...]:
        answer = answers[unit.key]
        first = answer.exact if self.settings.get("rankOn") == "EXACT" else answer.shown
        finer: list[Any] = []
        if self.settings.get("tiePolicy") == "TIE_BREAK":
            for code in self.settings.get("tieBreakers") or []:
                score = answer.nodes.get(code)
                finer.append((0, 0) if score is None else (1, score))
        return (first, *finer)

    def rank(self, answers: dict[str, Answer]) -> None:
        ranked = [unit for unit in self.units if answers[unit.key].status == "RANKED"]
        keys = {unit.key: self.key(unit, answers) for unit in ranked}
        for unit in ranked:
            peers = [other for other in ranked if other.category == unit.category]
            answers[unit.key].rank = 1 + sum(keys[other.key] > keys[unit.key] for other in peers)
            answers[unit.key].shared = sum(keys[other.key] == keys[unit.key] for other in peers)
            if self.settings.get("crossCategoryRanks"):
                answers[unit.key].overall = 1 + sum(keys[other.key] > keys[unit.key] for other in ranked)


def geometric(parts: list[tuple[Q, Q]], total: Q) -> Q:
    """Π score^(weight/total) to 30 decimals, half even, by way of 100 digits."""
    with localcontext() as context:
        context.prec = 120
        log = Decimal(0)
        for weight, score in parts:
            share = weight / total
            logged = Decimal(score.numerator).ln() - Decimal(score.denominator).ln()
            log += Decimal(share.numerator) / Decimal(share.denominator) * logged
        value = log.exp()
        nearest = value.quantize(Decimal(1).scaleb(-60), rounding=ROUND_HALF_EVEN)
        return Q(nearest.quantize(Decimal(1).scaleb(-30), rounding=ROUND_HALF_EVEN))
