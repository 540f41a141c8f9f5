"""BONUS 加分项, DEDUCTION 减分项: sums of confirmed events, outside the sum of the tree. Source: practice (考核细则).

Within a pot: confirmed → of one matter only the highest (heaviest) → cap per level → cap of the pot. Several leaves may
share a pot. Points are in the scheme's full marks.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

from service.scoring.numbers import format_decimal, show
from service.scoring.quantities import ItemNames
from service.scoring.reading import Reader
from service.scoring.rules.base import Rule, RuleContext
from service.scoring.text import Text


@dataclass(frozen=True, slots=True)
class EventLevel:
    """A level of events (事项级别): points of one event, most for one where the amount may vary, cap over all of it."""

    code: str
    name: str
    points: Fraction
    max_points: Fraction | None = None
    cap: Fraction | None = None

    def document(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "name": self.name,
            "points": format_decimal(self.points),
            "maxPoints": None if self.max_points is None else format_decimal(self.max_points),
            "cap": None if self.cap is None else format_decimal(self.cap),
        }


@dataclass(frozen=True, kw_only=True)
class PotRule(Rule):
    """Events that fall into a pot."""

    outside: ClassVar[bool] = True
    flag: ClassVar[str]
    """What a document calls `one_per_matter`."""
    verb: ClassVar[Text]

    levels: tuple[EventLevel, ...]
    pot: str
    pot_cap: Fraction | None = None
    one_per_matter: bool = True

    @classmethod
    def read(cls, reader: Reader, context: RuleContext) -> "PotRule | None":
        before = len(reader.sink.faults)
        levels: dict[str, EventLevel] = {}
        entries = reader.each("levels", required=True, limit=50)
        for entry in entries:
            code = entry.text("code", limit=100)
            name = entry.text("name", required=False)
            points = entry.decimal("points", least=0)
            most = entry.decimal("maxPoints", required=False, least=points if points is not None else 0)
            cap = entry.decimal("cap", required=False, least=0)
            entry.finish()
            if code in levels:
                entry.fault("code", Text(f"级别“{code}”重复", f'level "{code}" is repeated'), code="DUPLICATE")
            elif code is not None and points is not None:
                levels[code] = EventLevel(code, name or code, points, most, cap)
        if not entries and len(reader.sink.faults) == before:
            reader.fault("levels", Text("至少要有一个级别", "there must be at least one level"))
        pot = reader.text("pot", limit=100)
        pot_cap = reader.decimal("potCap", required=False, least=0)
        one = reader.flag(cls.flag, default=True)
        if pot is None or len(reader.sink.faults) > before:
            return None
        return cls(levels=tuple(levels.values()), pot=pot, pot_cap=pot_cap, one_per_matter=one)

    def settings(self) -> dict[str, Any]:
        return {
            "levels": [level.document() for level in self.levels],
            "pot": self.pot,
            "potCap": None if self.pot_cap is None else format_decimal(self.pot_cap),
            self.flag: self.one_per_matter,
        }

    def data_items(self) -> tuple[str, ...]:
        return ()

    def level(self, code: str | None) -> EventLevel | None:
        """The level of that code."""
        return next((level for level in self.levels if level.code == code), None)

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        zh, en = [], []
        for level in self.levels:
            most = f"至{show(level.max_points)}" if level.max_points is not None else ""
            upto = f" to {show(level.max_points)}" if level.max_points is not None else ""
            cap = f"，合计最多{show(level.cap)}分" if level.cap is not None else ""
            limit = f", at most {show(level.cap)} together" if level.cap is not None else ""
            zh.append(f"{level.name}每项{self.verb.zh}{show(level.points)}{most}分{cap}")
            en.append(f"{level.name}: {show(level.points)}{upto} each{limit}")
        text = Text("；".join(zh), "; ".join(en))
        if self.one_per_matter:
            text = Text(text.zh + "；同一事项只计最高一次", text.en + "; of one matter only the highest counts")
        if self.pot_cap is not None:
            text = Text(
                f"{text.zh}；“{self.pot}”合计最多{self.verb.zh}{show(self.pot_cap)}分",
                f"{text.en}; at most {show(self.pot_cap)} in pot {self.pot}",
            )
        return Text(text.zh + "。", text.en + ".")


@dataclass(frozen=True, kw_only=True)
class BonusRule(PotRule):
    """Marks on top."""

    kind: ClassVar[str] = "BONUS"
    term: ClassVar[Text] = Text("加分项", "bonus")
    flag: ClassVar[str] = "highestPerMatter"
    verb: ClassVar[Text] = Text("加", "adds")


@dataclass(frozen=True, kw_only=True)
class DeductionRule(PotRule):
    """Marks taken off."""

    kind: ClassVar[str] = "DEDUCTION"
    term: ClassVar[Text] = Text("减分项", "deduction")
    flag: ClassVar[str] = "heaviestPerMatter"
    verb: ClassVar[Text] = Text("减", "takes")
