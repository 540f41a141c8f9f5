"""Random cases for the differential test: a scheme document, units, and the same units as the engine's snapshot.

Two thirds of the data are adversarial: coarse values that tie, values on the edges of bands and thresholds, huge
values, twins that differ in the last digit, totals that lie exactly on a rounding edge.
"""

from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np

from service.scoring import Event, ItemColumn, Scheme, Snapshot, State
from tests.service.scoring.reference import Unit

KINDS = (
    "AWARD",
    "COMPLETION",
    "LINEAR",
    "BANDS",
    "PIECEWISE",
    "YES_NO",
    "CHECKLIST",
    "CHOICE",
    "DEDUCT",
    "NEUTRAL",
    "IMPROVEMENT",
    "BEST_RATIO",
    "EFFICACY",
    "MINMAX",
    "RANK_POINTS",
    "PERCENTILE",
    "GRADE_MEAN",
    "TRIMMED_MEAN",
)
STATE = {state.name: state for state in State}


def text(value: Fraction) -> str:
    """A fraction with a finite decimal form as a plain decimal."""
    with localcontext() as context:
        context.prec = 100
        exact = Decimal(value.numerator) / Decimal(value.denominator)
    assert Fraction(exact) == value
    return f"{exact:f}"


def decimal(random: Random, low: int, high: int, places: int = 2) -> Fraction:
    scale = 10 ** random.randint(0, places)
    return Fraction(random.randint(low * scale, high * scale), scale)


class Case:
    """One random case, made from a seed."""

    def __init__(self, seed: int, *, kinds: Sequence[str] = KINDS, size: int = 7) -> None:
        self.random = Random(seed)
        random = self.random
        self.points = random.random() < 0.5
        self.kinds = kinds
        self.categories = [f"c{i}" for i in range(random.randint(1, 3))]
        self.items: dict[str, dict[str, Any]] = {}
        self.nodes: list[dict[str, Any]] = []
        self.na = random.choice(["PARENT", "PARENT", "GLOBAL", "FULL"])
        self.means = (
            ["ARITHMETIC"] if self.na == "GLOBAL" or random.random() < 0.6 else ["ARITHMETIC", "GEOMETRIC", "HARMONIC"]
        )
        self.negative = len(self.means) == 1
        self.full = random.choice([Fraction(100), Fraction(10), Fraction(600), Fraction(1), Fraction(1103, 10)])
        self._tree(size)
        self.event_leaves: list[dict[str, Any]] = []
        if random.random() < 0.5:
            self._events()
        self.document: dict[str, Any] = {
            "weighting": "POINTS" if self.points else "RELATIVE",
            "fullMarks": text(self.full),
            "categories": [{"code": key, "name": key} for key in self.categories],
            "dataItems": list(self.items.values()),
            "settings": self._settings(),
            "indicators": self.nodes,
        }
        self.units = self._units(random.choice([1, 2, 5, 9, 14]))

    # Scheme

    def _tree(self, size: int) -> None:
        random = self.random
        self.nodes.append({"code": "R", "name": "总分", "aggregation": random.choice(self.means)})
        marks = dict.fromkeys(self.categories, self.full)
        self._split("R", marks, random.randint(1, 4), size)

    def _events(self) -> None:
        """Bonus, deduction and veto leaves right below the root."""
        random = self.random
        unit = self.full / 100
        for place in range(random.randint(1, 4)):
            kind = random.choice(["BONUS", "BONUS", "DEDUCTION", "VETO"])
            node: dict[str, Any] = {"code": f"E{place}", "parentCode": "R", "name": f"事项{place}"}
            if random.random() < 0.2:
                node["categories"] = [self.categories[0]]
            if kind == "VETO":
                effect = random.choice(["NO_EXCELLENT", "ONE_GRADE_DOWN", "LOWEST_GRADE", "UNRANKED"])
                grounds = [{"code": "g", "name": "弄虚作假", "basis": "区考核办法"}]
                node["rule"] = {"kind": kind, "effect": effect, "grounds": grounds}
            else:
                pot = random.choice(["甲", "乙"])
                cap = {"甲": text(3 * unit), "乙": None}[pot]
                levels: list[dict[str, Any]] = [
                    {"code": "省", "name": "省级", "points": text(2 * unit), "cap": text(3 * unit)},
                    {"code": "区", "name": "区级", "points": text(unit / 2), "maxPoints": text(unit)},
                ]
                flag = "highestPerMatter" if kind == "BONUS" else "heaviestPerMatter"
                node["rule"] = {"kind": kind, "levels": levels, "pot": pot, "potCap": cap, flag: random.random() < 0.7}
            self.nodes.append(node)
            self.event_leaves.append(node)

    def _split(self, parent: str, marks: dict[str, Fraction], depth: int, size: int) -> None:
        """Children of a node; under POINTS they sum to the parent's points in every category."""
        random = self.random
        count = random.randint(1, max(1, min(4, size)))
        weights = [Fraction(random.choice([1, 1, 2, 3, 5, 7])) for _ in range(count)]
        if count > 1 and random.random() < 0.2:
            weights[0] = Fraction(0)
        total = sum(weights)
        shares: list[dict[str, Fraction]] = []
        rest = dict(marks)
        for place in range(count):
            if place == count - 1:
                shares.append(dict(rest))
                break
            own = {}
            for key in marks:
                part = Fraction(int(marks[key] * weights[place] / total * 10), 10)
                own[key] = part
                rest[key] -= part
            shares.append(own)
        restricted = None
        if len(self.categories) > 1 and count > 1 and random.random() < 0.25:
            restricted = random.choice(self.categories)
            for key in marks:
                if key != restricted:
                    shares[1][key] += shares[0][key]
        if not self.points and count > 1 and not any(weights[1:]):
            weights[1] = Fraction(1)
        for place in range(count):
            code = f"{parent}{place}" if parent != "R" else f"N{place}"
            node: dict[str, Any] = {"code": code, "parentCode": parent, "name": code}
            keys = [key for key in marks if restricted is None or place != 0 or key == restricted]
            if restricted is not None and place == 0:
                node["categories"] = [restricted]
            own_marks = {key: shares[place][key] for key in keys}
            if self.points:
                node["points"] = text(own_marks[keys[0]]) if keys else "0"
                others = [key for key in keys if own_marks[key] != own_marks[keys[0]]]
                if others:
                    node["pointsByCategory"] = [{"category": key, "points": text(own_marks[key])} for key in others]
            else:
                node["weight"] = text(weights[place])
            if random.random() < 0.1:
                node["missingPolicy"] = random.choice(["ZERO", "EXCLUDE", "CARRY_OVER"])
            if random.random() < 0.1:
                allowed = ["PARENT", "FULL"] + (["GLOBAL"] if len(self.means) == 1 else [])
                node["notApplicablePolicy"] = random.choice(allowed)
            self.nodes.append(node)
            if depth > 1 and size > 1 and random.random() < 0.5 and keys:
                node["aggregation"] = random.choice(self.means)
                self._split(code, own_marks, depth - 1, size - 1)
            else:
                self._rule(node, own_marks)

    def _item(self, type_: str = "NUMBER") -> str:
        random = self.random
        same = [key for key, item in self.items.items() if item["type"] == type_]
        if same and random.random() < 0.3:
            return random.choice(same)
        key = f"x{len(self.items)}"
        item: dict[str, Any] = {"code": key, "name": f"数据{len(self.items)}", "type": type_}
        if type_ == "NUMBER":
            item["scale"] = random.choice([0, 1, 2, 4, 18])
        if type_ in ("COUNTS", "CHOICE"):
            item["options"] = [{"code": code, "name": code} for code in ("a", "b", "c")]
        if type_ == "COUNTS":
            item["options"].append({"code": "d", "name": "不了解", "dontKnow": True})
        if type_ == "SCORES":
            item["scale"] = random.choice([0, 1, 2])
        self.items[key] = item
        return key

    def _combination(self) -> dict[str, Any]:
        random = self.random
        terms = []
        for _ in range(random.choice([1, 1, 1, 2])):
            if random.random() < 0.15:
                term = {"dataItem": self._item("COUNTS"), "coefficient": "1"}
                if random.random() < 0.5:
                    term["countName"] = random.choice("abc")
            else:
                term = {"dataItem": self._item(), "coefficient": random.choice(["1", "1", "1", "-1", "0.5", "2.25"])}
            terms.append(term)
        return {"terms": terms, "constant": random.choice(["0", "0", "0", "1", "-2.5"])}

    def _quantity(self, ratio: float = 0.5) -> dict[str, Any]:
        random = self.random
        found: dict[str, Any] = {"numerator": self._combination()}
        if random.random() < ratio:
            found["denominator"] = self._combination()
            found["denominatorZero"] = random.choice(["NOT_APPLICABLE", "NOT_APPLICABLE", "FULL"])
        return found

    def _rule(self, node: dict[str, Any], marks: dict[str, Fraction]) -> None:
        random = self.random
        kind = random.choice(self.kinds)
        rule: dict[str, Any] = {"kind": kind}
        if random.random() < 0.15:
            rule["full"] = text(random.choice([Fraction(5), Fraction(100), Fraction(25, 10)]))
        if "full" in rule:
            least = Fraction(rule["full"])
        elif self.points:
            least = min((value for value in marks.values() if value > 0), default=Fraction(1))
        else:
            least = Fraction(100)
        self.least = least
        getattr(self, "_make_" + kind.lower())(rule, least)
        node["rule"] = rule

    def _make_award(self, rule: dict[str, Any], full: Fraction) -> None:
        rule["step"] = "0.1"
        if self.random.random() < 0.2:
            rule["groups"] = [
                {"name": "领导", "weight": "2", "method": "MEAN"},
                {"name": "同级", "weight": "3", "method": "TRIMMED_MEAN"},
            ]

    def _make_linear(self, rule: dict[str, Any], full: Fraction) -> None:
        a, b = self.random.sample(
            [Fraction(0), Fraction(1), Fraction(3), Fraction(95, 100), Fraction(6, 10), Fraction(-2)], 2
        )
        rule.update(quantity=self._quantity(), zeroAt=text(a), fullAt=text(b))
        if self.negative and self.random.random() < 0.2:
            rule["clamp"] = False

    def _make_bands(self, rule: dict[str, Any], full: Fraction) -> None:
        bounds = sorted(self.random.sample([0, 1, 2, 3, 5, 8, 9, 10], self.random.randint(1, 4)), reverse=True)
        bands = [
            {"from": text(Fraction(bound, self.random.choice([1, 1]))), "marks": text(self._part(full))}
            for bound in bounds
        ]
        rule.update(quantity=self._quantity(), bands=[*bands, {"from": None, "marks": text(self._part(full))}])

    def _part(self, full: Fraction) -> Fraction:
        return full * self.random.randint(0, 8) / 8

    def _make_completion(self, rule: dict[str, Any], full: Fraction) -> None:
        random = self.random
        rule["actual"] = self._quantity(0.2)
        rule["target"] = self._quantity(0.2) if random.random() < 0.7 else {"numerator": {"constant": "3"}}
        if random.random() < 0.3:
            rule["cap"] = random.choice(["1.2", "0.9"])
        if random.random() < 0.3:
            rule["allOrNothingBelow"] = "0.75"
        if random.random() < 0.3:
            rule["targetZero"] = "FULL"

    def _make_yes_no(self, rule: dict[str, Any], full: Fraction) -> None:
        rule["dataItem"] = self._item("YES_NO")
        if self.random.random() < 0.3:
            rule["fullWhen"] = False

    def _make_deduct(self, rule: dict[str, Any], full: Fraction) -> None:
        random = self.random
        lines = []
        for _ in range(random.randint(1, 3)):
            line: dict[str, Any] = {"pointsEach": random.choice(["0.5", "1", "0.125", "0.3"])}
            what = random.random()
            if what < 0.5:
                line["quantity"] = self._quantity(0.2)
            elif what < 0.8:
                line["required"], line["done"] = self._quantity(0.1), self._quantity(0.1)
            if random.random() < 0.4:
                line["partUnits"] = random.choice(["STARTED", "COMPLETED", "EXACT"])
            if random.random() < 0.3:
                line["perUnits"] = random.choice(["2", "0.5", "0.3"])
            if random.random() < 0.3:
                line["cap"] = random.choice(["1", "0.75"])
            if random.random() < 0.1:
                line["wipeOut"] = True
            lines.append(line)
        rule["lines"] = lines
        if self.negative and random.random() < 0.2:
            rule["floor"] = "-1.5"

    def _make_minmax(self, rule: dict[str, Any], full: Fraction) -> None:
        rule.update(quantity=self._quantity(), direction=self.random.choice(["HIGHER", "LOWER"]))

    def _make_efficacy(self, rule: dict[str, Any], full: Fraction) -> None:
        self._make_minmax(rule, full)
        rule["base"] = self.random.choice(["0.6", "0", "0.333"])

    def _make_piecewise(self, rule: dict[str, Any], full: Fraction) -> None:
        xs = sorted(self.random.sample([0, 1, 2, 3, 5, 8], self.random.randint(2, 4)))
        rule.update(quantity=self._quantity(), points=[{"x": str(x), "marks": text(self._part(full))} for x in xs])

    def _make_choice(self, rule: dict[str, Any], full: Fraction) -> None:
        options = [{"option": code, "marks": text(self._part(full))} for code in "abc"]
        self.random.shuffle(options)
        rule.update(dataItem=self._item("CHOICE"), options=options)

    def _make_checklist(self, rule: dict[str, Any], full: Fraction) -> None:
        random = self.random
        rule["allOrNothing"] = random.random() < 0.2
        if random.random() < 0.3:
            rule.update(done=self._quantity(0.2), asked=self._quantity(0.2))
            return
        keys = {self._item("YES_NO") for _ in range(random.randint(1, 4))}
        rule["points"] = [{"dataItem": key} for key in sorted(keys)]
        if random.random() < 0.4 and "full" in rule:
            for point in rule["points"]:
                point["marks"] = "0"
            rule["points"][0]["marks"] = rule["full"]
            if len(keys) > 1:
                rule["points"][0]["marks"] = text(full * 5 / 8)
                rule["points"][1]["marks"] = text(full * 3 / 8)

    def _make_neutral(self, rule: dict[str, Any], full: Fraction) -> None:
        random = self.random

        def end(value: str, points: str) -> dict[str, Any]:
            found: dict[str, Any] = {
                "value": value,
                "pointsPerStep": points,
                "step": random.choice(["1", "0.5", "0.3"]),
            }
            if random.random() < 0.2:
                found["assigned"] = self._item()
                del found["value"]
            found["partSteps"] = random.choice(["EXACT", "STARTED", "COMPLETED"])
            return found

        rule["quantity"] = self._quantity()
        if random.random() < 0.8:
            rule["low"] = end("2", "0.5")
        if random.random() < 0.7 or "low" not in rule:
            rule["high"] = end("3", "0.25")
            if self.negative and random.random() < 0.3:
                rule["high"]["pointsPerStep"] = "0"
                rule["plus"] = {"pointsPerStep": "0.2", "step": "0.5", "cap": "0.3"}
        if self.negative and random.random() < 0.2:
            rule["floor"] = "-1"

    def _make_improvement(self, rule: dict[str, Any], full: Fraction) -> None:
        self._make_minmax(rule, full)
        rule["fullAt"] = self.random.choice(["0.3", "1", "0.05"])

    def _make_best_ratio(self, rule: dict[str, Any], full: Fraction) -> None:
        self._make_minmax(rule, full)

    def _make_percentile(self, rule: dict[str, Any], full: Fraction) -> None:
        self._make_minmax(rule, full)

    def _make_rank_points(self, rule: dict[str, Any], full: Fraction) -> None:
        random = self.random
        self._make_minmax(rule, full)
        rule["ties"] = random.choice(["COMPETITION", "MEAN"])
        if random.random() < 0.4:
            rule["step"] = text(full / 8)
        else:
            rule["countFrom"] = random.choice(["FIRST", "LAST"])
            rule["table"] = [{"rank": i + 1, "marks": text(self._part(full))} for i in range(random.randint(1, 4))]
        if random.random() < 0.3:
            rule["floor"] = text(full / 8)

    def _make_grade_mean(self, rule: dict[str, Any], full: Fraction) -> None:
        random = self.random
        names = random.sample(["群众", "党员", "代表"], random.randint(1, 2))
        rule["groups"] = [
            {
                "name": name,
                "weight": random.choice(["1", "0.4", "3"]),
                "dataItem": self._item("COUNTS"),
                "values": [{"option": code, "marks": text(self._part(full))} for code in "abc"],
            }
            for name in names
        ]
        rule["minBallots"] = random.choice([1, 2, 8])

    def _make_trimmed_mean(self, rule: dict[str, Any], full: Fraction) -> None:
        rule.update(
            dataItem=self._item("SCORES"),
            drop=self.random.choice([0, 1]),
            dropFrom=3,
            minimumCount=self.random.choice([0, 1, 3]),
        )

    def _settings(self) -> dict[str, Any]:
        random = self.random
        settings: dict[str, Any] = {
            "notApplicablePolicy": self.na,
            "missingPolicy": random.choice(["ZERO", "EXCLUDE", "CARRY_OVER"]),
            "roundingPlaces": random.choice([2, 2, 0, 1, 4, 12]),
            "rankOn": random.choice(["ROUNDED", "EXACT"]),
            "crossCategoryRanks": random.random() < 0.5,
        }
        if random.random() < 0.3:
            settings["coverageThreshold"] = random.choice(["0.8", "0.5", "1", "0.333"])
        if random.random() < 0.5:
            settings["latePenalty"] = {
                "pointsPerDay": random.choice(["0.5", "0.005", "1"]),
                "cap": random.choice([None, "3"]),
            }
        if random.random() < 0.3:
            settings["tiePolicy"] = "TIE_BREAK"
            settings["tieBreakers"] = self._codes(2)
        elif random.random() < 0.5:
            settings["tiePolicy"] = random.choice(["STRICT", "INCLUSIVE", "DECISION"])
        unit = self.full / 100
        if random.random() < 0.3:
            settings["bonusCap"] = text(4 * unit)
        if random.random() < 0.3:
            settings["deductionCap"] = text(2 * unit)
        if random.random() < 0.2:
            settings["capAtFullMarks"] = True
        if random.random() < 0.6:
            settings["grades"] = self._grades()
        return settings

    def _codes(self, count: int) -> list[str]:
        codes = [node["code"] for node in self.nodes if node not in self.event_leaves]
        return self.random.sample(codes, min(count, len(codes)))

    def _grades(self) -> list[dict[str, Any]]:
        random = self.random
        grades = []
        for code, least in (("优", 60), ("良", 45), ("中", 30))[: random.randint(1, 3)]:
            grade: dict[str, Any] = {"code": code, "name": code, "threshold": text(self.full * least / 100)}
            what = random.random()
            if what < 0.6:
                grade["share"] = random.choice(["0.29", "0.3", "0.5", "0.1"])
            elif what < 0.8:
                grade["placesByCount"] = [{"unitsFrom": 2, "places": 1}, {"unitsFrom": 5, "places": 2}]
            grade["rounding"] = random.choice(["FLOOR", "HALF_UP", "CEIL"])
            grade["minimumPlaces"] = random.choice([0, 0, 1])
            grade["scope"] = random.choice(["CATEGORY", "PARENT", "ALL"])
            grade["baseIncludesVetoed"] = random.random() < 0.5
            grade["conditions"] = []
            if random.random() < 0.3:
                node = random.choice([n for n in self.nodes if n not in self.event_leaves])
                share = random.choice(["0.5", "1"])
                grade["conditions"].append({"kind": "NODE_SHARE", "indicator": node["code"], "minimumShare": share})
            if self.event_leaves and random.random() < 0.3:
                grade["conditions"].append({"kind": "NO_EVENT", "indicator": random.choice(self.event_leaves)["code"]})
            if random.random() < 0.2:
                grade["conditions"].append({"kind": "PREVIOUS_GRADE", "gradeCode": code})
            yes_no = [key for key, item in self.items.items() if item["type"] == "YES_NO"]
            if yes_no and random.random() < 0.2:
                grade["conditions"].append({"kind": "ITEM_TRUE", "dataItem": yes_no[0]})
            grades.append(grade)
        return [*grades, {"code": "差", "name": "差", "threshold": random.choice(["0", "0", text(self.full / 10)])}]

    # Units

    def _units(self, count: int) -> list[Unit]:
        units = [self._unit(f"u{i}") for i in range(count)]
        if count > 1 and self.random.random() < 0.3:
            self._twin(units)
        return units

    def _state(self) -> str:
        return self.random.choices(["GIVEN", "MISSING", "NOT_APPLICABLE", "REJECTED", "CARRIED"], [86, 5, 5, 2, 2])[0]

    def _number(self, scale: int) -> Fraction:
        random, style = self.random, self.random.random()
        if style < 0.45:
            return Fraction(random.randint(0, 4))
        if style < 0.65:
            edge = random.choice([Fraction(0), Fraction(1), Fraction(2), Fraction(3), Fraction(9), Fraction(95, 100)])
            value = edge + Fraction(random.choice([-1, 0, 1]), 10**scale)
            return Fraction(int(value * 10**scale), 10**scale)
        if style < 0.72:
            return Fraction(random.randint(-(10**18), 10**18), 10**scale) + random.randint(0, 1) * 10**18
        return Fraction(random.randint(-3 * 10**scale // 10, 12 * 10**scale), 10**scale)

    def _value(self, item: dict[str, Any]) -> Any:
        random = self.random
        kind = item["type"]
        if kind == "YES_NO":
            return random.random() < 0.6
        if kind == "CHOICE":
            return random.choice("abc")
        if kind == "COUNTS":
            return {code: random.choice([0, 0, 1, 2, 7, 30]) for code in "abcd"}
        scale = int(item.get("scale", 0))
        if kind == "SCORES":
            return [
                Fraction(random.randint(0, 12 * 10**scale), 10**scale) for _ in range(random.choice([0, 1, 3, 4, 6]))
            ]
        return self._number(scale)

    def _unit(self, key: str) -> Unit:
        random = self.random
        unit = Unit(key, random.choice(self.categories), parent=random.choice(["p", "q", None]))
        unit.previous_grade = random.choice(["优", "差", None]) if self.document["settings"].get("grades") else None
        for code, item in self.items.items():
            if random.random() < 0.03:
                continue
            state = self._state()
            unit.values[code] = (state, self._value(item) if state in ("GIVEN", "CARRIED") else None)
            if random.random() < 0.9:
                unit.previous[code] = self._value(item)
        for node in self.nodes:
            rule = node.get("rule")
            if not rule:
                continue
            if random.random() < 0.03:
                unit.leaf_states[node["code"]] = random.choice(["MISSING", "REJECTED", "NOT_APPLICABLE"])
            if rule["kind"] == "AWARD":
                self._award(unit, node)
            if rule["kind"] == "DEDUCT" and random.random() < 0.4:
                for _ in range(random.randint(1, 3)):
                    unit.events.append(
                        {"indicator": node["code"], "state": random.choice(["CONFIRMED", "PROPOSED", "REVOKED"])}
                    )
            if random.random() < 0.05:
                for used in self._leaf_items(rule):
                    unit.leaf_values[node["code"], used] = ("GIVEN", self._value(self.items[used]))
        if random.random() < 0.3:
            unit.late_days = random.randint(1, 8)
        for node in self.event_leaves:
            for _ in range(random.choice([0, 0, 1, 1, 3])):
                unit.events.append(self._event(node["code"], node["rule"]))
        for place, event in enumerate(unit.events):
            event["key"] = f"{key}-{place}"
        return unit

    def _event(self, code: str, rule: dict[str, Any]) -> dict[str, Any]:
        random = self.random
        state = random.choices(["CONFIRMED", "PROPOSED", "REJECTED", "REVOKED"], [7, 1, 1, 1])[0]
        event: dict[str, Any] = {"indicator": code, "state": state}
        if rule["kind"] == "VETO":
            if random.random() < 0.3:
                event["effect"] = random.choice(["NO_EXCELLENT", "ONE_GRADE_DOWN", "UNRANKED"])
            return event
        event["level"] = random.choice(["省", "区"])
        event["matter"] = random.choice(["", "m1", "m2"])
        if random.random() < 0.5:
            event["amount"] = text(self.full / 100 * random.choice([Fraction(1, 2), Fraction(3, 4), Fraction(2)]))
        return event

    def _leaf_items(self, rule: dict[str, Any]) -> list[str]:
        quantity = rule.get("quantity")
        found = [term["dataItem"] for term in quantity["numerator"]["terms"]] if quantity else []
        return found + ([rule["dataItem"]] if "dataItem" in rule else [])

    def _award(self, unit: Unit, node: dict[str, Any]) -> None:
        random, rule = self.random, node["rule"]
        full = Fraction(rule["full"]) if "full" in rule else Fraction(100)
        if "full" not in rule and self.points:
            full = Fraction(node.get("points", "0"))
            for row in node.get("pointsByCategory", ()):
                if row["category"] == unit.category:
                    full = Fraction(row["points"])
        marks = [Fraction(int(full * random.randint(0, 20) / 20 * 10), 10) for _ in range(6)]
        if rule.get("groups"):
            for group in rule["groups"]:
                awards = marks[: random.randint(0, 5)]
                if awards:
                    unit.group_awards[node["code"], group["name"]] = awards
            return
        state = self._state()
        unit.awards[node["code"]] = (state, marks[0] if state in ("GIVEN", "CARRIED") else None)

    def _twin(self, units: list[Unit]) -> None:
        """A second unit like the first, perhaps off by the last digit of one value."""
        first, twin = units[0], units[1]
        twin.category = first.category
        twin.values = dict(first.values)
        twin.awards = dict(first.awards)
        twin.group_awards = dict(first.group_awards)
        twin.leaf_states = dict(first.leaf_states)
        twin.leaf_values = dict(first.leaf_values)
        twin.previous = dict(first.previous)
        twin.late_days = first.late_days
        twin.events = [{**event, "key": f"twin-{place}"} for place, event in enumerate(first.events)]
        twin.parent, twin.previous_grade = first.parent, first.previous_grade
        numbers = [
            key for key, (state, value) in twin.values.items() if isinstance(value, Fraction) and state == "GIVEN"
        ]
        if numbers and self.random.random() < 0.7:
            key = self.random.choice(numbers)
            state, value = twin.values[key]
            twin.values[key] = (state, value + Fraction(1, 10 ** int(self.items[key].get("scale", 0))))


def snapshot_of(scheme: Scheme, units: Sequence[Unit]) -> Snapshot:
    """The units as columns."""
    items = {
        key: column(scheme, key, [unit.values.get(key, ("MISSING", None)) for unit in units])
        for key in scheme.data_items
    }
    leaf_items = {}
    for pair in sorted({pair for unit in units for pair in unit.leaf_values}):
        held = [unit.leaf_values.get(pair, unit.values.get(pair[1], ("MISSING", None))) for unit in units]
        leaf_items[pair] = column(scheme, pair[1], held)
    awards, group_awards, leaf_states, previous = {}, {}, {}, {}
    for leaf in scheme.leaves:
        assert leaf.rule is not None
        if leaf.rule.kind == "AWARD" and not leaf.rule.settings()["groups"]:
            held = [unit.awards.get(leaf.code, ("MISSING", None)) for unit in units]
            awards[leaf.code] = numbers([value for _, value in held], 2, [STATE[state] for state, _ in held])
        elif leaf.rule.kind == "AWARD":
            for group in leaf.rule.settings()["groups"]:
                lists = [[text(a) for a in unit.group_awards.get((leaf.code, group["name"]), [])] for unit in units]
                group_awards[leaf.code, group["name"]] = ItemColumn.of_scores(lists, scale=2)
        states = [unit.leaf_states.get(leaf.code, "GIVEN") for unit in units]
        if any(state != "GIVEN" for state in states):
            leaf_states[leaf.code] = np.array([int(STATE[state]) for state in states], np.uint8)
    for key, item in scheme.data_items.items():
        if item.type in ("NUMBER", "INTEGER", "COUNTS"):
            held = [("GIVEN", unit.previous[key]) if key in unit.previous else ("MISSING", None) for unit in units]
            previous[key] = column(scheme, key, held)
    events = [
        Event(
            key=event.get("key", f"{unit.key}-{place}"),
            unit=unit.key,
            indicator=event["indicator"],
            matter=event.get("matter", ""),
            level=event.get("level"),
            amount=event.get("amount") and Decimal(event["amount"]),
            effect=event.get("effect"),
            state=event["state"],
        )
        for unit in units
        for place, event in enumerate(unit.events)
    ]
    return Snapshot(
        [unit.key for unit in units],
        [unit.category for unit in units],
        items,
        awards,
        leaf_items,
        leaf_states,
        np.array([unit.late_days for unit in units], np.int64),
        previous,
        group_awards,
        events,
        [unit.parent for unit in units],
        [unit.previous_grade for unit in units],
    )


def numbers(values: Sequence[Fraction | None], scale: int, states: Sequence[State]) -> ItemColumn:
    return ItemColumn.of([None if value is None else text(value) for value in values], scale=scale, states=states)


def column(scheme: Scheme, key: str, held: Sequence[tuple[str, Any]]) -> ItemColumn:
    """One item's values as a column."""
    item = scheme.data_items[key]
    states = [STATE[state] for state, _ in held]
    values = [value for _, value in held]
    if item.type == "YES_NO":
        return ItemColumn.of([None if value is None else int(value) for value in values], states=states)
    if item.type == "CHOICE":
        places = {option.code: place for place, option in enumerate(item.options)}
        return ItemColumn.of([None if value is None else places[value] for value in values], states=states)
    if item.type == "COUNTS":
        return ItemColumn.of_counts(values, states=states)
    if item.type == "SCORES":
        lists = [None if value is None else [text(score) for score in value] for value in values]
        return ItemColumn.of_scores(lists, scale=item.scale, states=states)
    return numbers(values, item.scale, states)
