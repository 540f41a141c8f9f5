"""A big random case for measurements: all rule kinds mixed, five levels, six categories, bonus and grades."""

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from service.scoring import Event, ItemColumn, Scheme, Snapshot, State, parse_scheme
from service.scoring.rules.base import ScoredRule
from tests.service.scoring.reference import Reference, Unit

DECIMALS = ("AWARD", "YES_NO", "CHOICE", "DEDUCT", "BANDS")
"""Rules whose scores are plain decimals, so that totals can lie on a rounding edge."""
CATEGORIES = 6


class Big:
    """So many units × so many leaves, from a seed."""

    def __init__(
        self, units: int, leaves: int = 100, *, kinds: tuple[str, ...] | None = None, absent: float = 0.02
    ) -> None:
        from service.scoring import RULES

        self.random = np.random.default_rng(units + leaves)
        self.kinds = kinds or tuple(kind for kind, rule in RULES.items() if issubclass(rule, ScoredRule))
        self.count = units
        self.absent = absent
        self.items: dict[str, dict[str, Any]] = {}
        self.columns: dict[str, ItemColumn] = {}
        self.awards: dict[str, ItemColumn] = {}
        self.previous: dict[str, ItemColumn] = {}
        self.nodes: list[dict[str, Any]] = [{"code": "R", "name": "总分"}]
        self._tree("R", leaves, 1)
        self.nodes.append(
            {
                "code": "K",
                "name": "表彰",
                "parentCode": "R",
                "rule": {
                    "kind": "BONUS",
                    "pot": "加分",
                    "potCap": "5",
                    "levels": [{"code": "l", "name": "省级", "points": "1"}],
                },
            }
        )
        self.settings: dict[str, Any] = {
            "coverageThreshold": "0.5",
            "crossCategoryRanks": True,
            "latePenalty": {"pointsPerDay": "0.5", "cap": "3"},
            "grades": [
                {"code": "A", "name": "优秀", "threshold": "50", "share": "0.2"},
                {"code": "B", "name": "良好", "threshold": "40", "share": "0.4", "rounding": "HALF_UP"},
                {"code": "C", "name": "一般"},
            ],
        }

    def _tree(self, parent: str, leaves: int, depth: int) -> None:
        """Five levels: each node splits its leaves over up to five children."""
        parts = min(5, leaves)
        for place in range(parts):
            code = f"{parent}.{place}"
            own = leaves // parts + (place < leaves % parts)
            node: dict[str, Any] = {"code": code, "name": code, "parentCode": parent, "weight": str(place + 1)}
            self.nodes.append(node)
            if own > 1 and depth < 5:
                self._tree(code, own, depth + 1)
            else:
                node["rule"] = self._rule(code, self.kinds[len(self.nodes) % len(self.kinds)])

    def _column(self, key: str, type_: str, top: int, scale: int = 0, **more: Any) -> str:
        state = np.where(self.random.random(self.count) < self.absent, np.uint8(4), np.uint8(0)).astype(np.uint8)
        numbers = self.random.integers(0, top, self.count)
        self.items[key] = {"code": key, "name": key, "type": type_, "scale": scale, **more}
        self.columns[key] = ItemColumn(state, numbers, scale)
        return key

    def _rule(self, code: str, kind: str) -> dict[str, Any]:
        x, y = f"{code}x", f"{code}y"
        plain = {"numerator": {"terms": [{"dataItem": x}]}}
        ratio = {**plain, "denominator": {"terms": [{"dataItem": y}]}}
        if kind == "AWARD":
            state = np.zeros(self.count, np.uint8)
            self.awards[code] = ItemColumn(state, self.random.integers(0, 1001, self.count), 1)
            return {"kind": kind, "step": "0.1"}
        if kind == "YES_NO":
            return {"kind": kind, "dataItem": self._column(x, "YES_NO", 2)}
        if kind == "CHECKLIST":
            return {"kind": kind, "points": [{"dataItem": self._column(f"{x}{i}", "YES_NO", 2)} for i in range(3)]}
        if kind == "CHOICE":
            options = [{"code": c, "name": c} for c in "abc"]
            marks = [{"option": c, "marks": m} for c, m in zip("abc", ("100", "75", "40"), strict=True)]
            return {"kind": kind, "dataItem": self._column(x, "CHOICE", 3, options=options), "options": marks}
        if kind == "GRADE_MEAN":
            self._ballots(x)
            values = [{"option": c, "marks": m} for c, m in zip("abc", ("100", "80", "30"), strict=True)]
            return {"kind": kind, "groups": [{"name": "群众", "dataItem": x, "values": values}], "minBallots": 5}
        if kind == "TRIMMED_MEAN":
            self._scores(x)
            return {"kind": kind, "dataItem": x, "drop": 1, "dropFrom": 5, "minimumCount": 3}
        self._column(x, "NUMBER", 12_000, 2)
        if kind in DECIMALS:
            return {"kind": kind, **self._simple(kind, plain)}
        self._column(y, "NUMBER", 12_000, 2)
        self.columns[y] = ItemColumn(np.zeros(self.count, np.uint8), self.columns[y].numbers + 1, 2)
        return {"kind": kind, **self._quantified(kind, x, plain, ratio)}

    def _simple(self, kind: str, plain: Mapping[str, Any]) -> dict[str, Any]:
        if kind == "BANDS":
            bands = [{"from": "90", "marks": "100"}, {"from": "60", "marks": "62.5"}, {"from": None, "marks": "0"}]
            return {"quantity": plain, "bands": bands}
        return {"lines": [{"quantity": plain, "pointsEach": "0.5"}]}

    def _quantified(self, kind: str, x: str, plain: Mapping[str, Any], ratio: Mapping[str, Any]) -> dict[str, Any]:
        if kind == "COMPLETION":
            return {"actual": plain, "target": {"numerator": ratio["denominator"]}}
        found: dict[str, Any] = {"quantity": ratio}
        if kind == "LINEAR":
            found.update(zeroAt="0.2", fullAt="0.98")
        elif kind == "PIECEWISE":
            found["points"] = [{"x": "0", "marks": "0"}, {"x": "0.8", "marks": "60"}, {"x": "1", "marks": "100"}]
        elif kind == "NEUTRAL":
            found.update(low={"value": "0.5", "pointsPerStep": "20"}, high={"value": "1.5", "pointsPerStep": "10"})
        elif kind == "IMPROVEMENT":
            found["quantity"] = plain
            found["fullAt"] = "0.3"
            self.previous[x] = ItemColumn(
                np.zeros(self.count, np.uint8), self.random.integers(1, 12_000, self.count), 2
            )
        elif kind == "EFFICACY":
            found["base"] = "0.6"
        elif kind == "RANK_POINTS":
            found["step"] = "0.05"
        return found

    def _ballots(self, key: str) -> None:
        parts = {code: self.random.integers(0, 40, self.count) for code in "abc"}
        options = [{"code": code, "name": code} for code in "abc"]
        self.items[key] = {"code": key, "name": key, "type": "COUNTS", "options": options}
        self.columns[key] = ItemColumn(np.zeros(self.count, np.uint8), sum(parts.values()), 0, parts)  # type: ignore[arg-type]  # three arrays

    def _scores(self, key: str) -> None:
        lengths = self.random.integers(3, 8, self.count)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.items[key] = {"code": key, "name": key, "type": "SCORES", "scale": 1}
        numbers = self.random.integers(0, 1001, int(offsets[-1]))
        self.columns[key] = ItemColumn(np.zeros(self.count, np.uint8), numbers, 1, None, offsets)

    def document(self) -> dict[str, Any]:
        return {
            "weighting": "RELATIVE",
            "categories": [{"code": f"c{i}", "name": f"类{i}"} for i in range(CATEGORIES)],
            "dataItems": list(self.items.values()),
            "settings": self.settings,
            "indicators": self.nodes,
        }

    def scheme(self) -> Scheme:
        scheme, faults = parse_scheme(self.document())
        assert scheme is not None, faults[:3]
        return scheme

    def snapshot(self) -> Snapshot:
        units = [f"u{i}" for i in range(self.count)]
        return Snapshot(
            units,
            [f"c{i % CATEGORIES}" for i in range(self.count)],
            self.columns,
            self.awards,
            late_days=np.where(np.arange(self.count) % 9 == 0, 3, 0),
            previous=self.previous,
            events=[Event(f"e{i}", unit, "K", f"m{i}", "l") for i, unit in enumerate(units) if i % 10 == 0],
        )


def reference_of(big: Big) -> Reference:
    """The same units for the reference, which keeps no columns."""
    snapshot = big.snapshot()
    assert snapshot.late_days is not None
    values = {
        key: _plain(big.items[key]["type"], column, big.items[key].get("options"))
        for key, column in big.columns.items()
    }
    awards = {code: _plain("NUMBER", column) for code, column in big.awards.items()}
    previous = {key: _plain("NUMBER", column) for key, column in big.previous.items()}
    units = []
    for place, (key, category) in enumerate(zip(snapshot.units, snapshot.categories, strict=True)):
        unit = Unit(key, category, late_days=int(snapshot.late_days[place]))
        unit.values = {item: held[place] for item, held in values.items()}
        unit.awards = {code: held[place] for code, held in awards.items()}
        unit.previous = {item: held[place][1] for item, held in previous.items()}
        if place % 10 == 0:
            unit.events = [
                {"key": f"e{place}", "indicator": "K", "matter": f"m{place}", "level": "l", "state": "CONFIRMED"}
            ]
        units.append(unit)
    return Reference(big.document(), units)


def _plain(kind: str, column: ItemColumn, options: Any = None) -> list[tuple[str, Any]]:
    """A column as states and values."""
    numbers = column.numbers.tolist()
    unit: int = 10**column.scale
    if kind == "YES_NO":
        values: list[Any] = [bool(number) for number in numbers]
    elif kind == "CHOICE":
        values = [options[number]["code"] for number in numbers]
    elif kind == "COUNTS":
        parts = {code: part.tolist() for code, part in (column.parts or {}).items()}
        values = [{code: part[place] for code, part in parts.items()} for place in range(len(numbers))]
    elif kind == "SCORES":
        assert column.offsets is not None
        ends = column.offsets.tolist()
        values = [[Fraction(n, unit) for n in numbers[a:b]] for a, b in pairwise(ends)]
    else:
        values = [Fraction(number, unit) for number in numbers]
    names = [State(state).name for state in column.state.tolist()]
    return list(zip(names, values, strict=True))
