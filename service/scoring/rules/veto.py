"""VETO 一票否决: a closed list of grounds, each with its document, and one effect. Source: practice (考核细则).

NO_EXCELLENT keeps rank and score, but never the best grade. ONE_GRADE_DOWN takes no place in the grade it leaves.
LOWEST_GRADE: the lowest grade, no rank, score still shown. UNRANKED: neither. A proposed veto changes nothing.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Final

from service.scoring.quantities import ItemNames
from service.scoring.reading import Reader
from service.scoring.rules.base import Rule, RuleContext
from service.scoring.text import Text

EFFECTS: Final = {
    "NO_EXCELLENT": Text("不得评优", "no excellent grade"),
    "ONE_GRADE_DOWN": Text("降一等次", "one grade down"),
    "LOWEST_GRADE": Text("定为末等，不参与排名", "lowest grade, not ranked"),
    "UNRANKED": Text("不予排名、不定等次", "neither rank nor grade"),
}
OUT_OF_RANKING: Final = frozenset({"LOWEST_GRADE", "UNRANKED"})


@dataclass(frozen=True, slots=True)
class VetoGround:
    """A ground (否决情形) and the document it rests on (依据)."""

    code: str
    name: str
    basis: str


@dataclass(frozen=True, kw_only=True)
class VetoRule(Rule):
    """What one confirmed event does to a whole result."""

    kind: ClassVar[str] = "VETO"
    term: ClassVar[Text] = Text("一票否决", "veto")
    outside: ClassVar[bool] = True

    effect: str
    grounds: tuple[VetoGround, ...]

    @classmethod
    def read(cls, reader: Reader, context: RuleContext) -> "VetoRule | None":
        before = len(reader.sink.faults)
        effect = reader.choice("effect", EFFECTS)
        grounds: dict[str, VetoGround] = {}
        entries = reader.each("grounds", required=True, limit=100)
        for entry in entries:
            code = entry.text("code", limit=100)
            name = entry.text("name")
            basis = entry.text("basis")
            entry.finish()
            if code in grounds:
                entry.fault("code", Text(f"否决情形“{code}”重复", f'ground "{code}" is repeated'), code="DUPLICATE")
            elif code is not None and name is not None and basis is not None:
                grounds[code] = VetoGround(code, name, basis)
        if not entries and len(reader.sink.faults) == before:
            reader.fault("grounds", Text("须列明否决情形及其依据", "grounds and their documents must be listed"))
        if effect is None or len(reader.sink.faults) > before:
            return None
        return cls(effect=effect, grounds=tuple(grounds.values()))

    def settings(self) -> dict[str, Any]:
        grounds = [{"code": ground.code, "name": ground.name, "basis": ground.basis} for ground in self.grounds]
        return {"effect": self.effect, "grounds": grounds}

    def data_items(self) -> tuple[str, ...]:
        return ()

    def describe(self, full_marks: Fraction, names: ItemNames) -> Text:
        effect = EFFECTS[self.effect]
        zh = "；".join(f"{ground.name}（{ground.basis}）" for ground in self.grounds)
        en = "; ".join(f"{ground.name} ({ground.basis})" for ground in self.grounds)
        return Text(
            f"有下列情形之一并经确认的，{effect.zh}：{zh}。", f"Confirmed, any of these means {effect.en}: {en}."
        )
