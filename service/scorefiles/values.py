"""How values are written in a file (值的写法), and the columns that the engine computes with.

12.5 · true · the code or name of an option · 很满意=90;满意=60 (counts) · 95;90;85 (scores).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from service.scorefiles.faults import quoted
from service.scoring import DataItem, ItemColumn, State, Text
from service.scoring.numbers import DIGITS, parse_decimal, show
from service.scoring.reading import one_of

Value = Decimal | dict[str, int] | list[Decimal]
"""NUMBER, INTEGER; YES_NO as 1 or 0; CHOICE as the place of the option. COUNTS. SCORES."""

_COUNT: Final = re.compile(rf"[0-9]{{1,{DIGITS}}}", re.ASCII)


class Miswritten(ValueError):
    """A cell that does not hold such a value."""

    def __init__(self, text: Text, hint: Text | None = None) -> None:
        super().__init__(text.en)
        self.text = text
        self.hint = hint


def plain_decimal(cell: str) -> Decimal:
    """A plain decimal; raises Miswritten."""
    value = parse_decimal(cell)
    if value is None:
        raise Miswritten(
            Text(f"“{quoted(cell)}”不是小数", f'"{quoted(cell)}" is not a plain decimal'),
            Text(
                f"用半角数字书写，如12.5；不用科学计数、千分位和正号，最多{DIGITS}位",
                f"plain ASCII digits such as 12.5: no exponent, no separators, no plus, at most {DIGITS} digits",
            ),
        )
    return value


def whole_number(cell: str, most: int) -> int:
    """A whole number of at least 0; raises Miswritten."""
    if not _COUNT.fullmatch(cell) or int(cell) > most:
        raise Miswritten(
            Text(f"“{quoted(cell)}”应为0至{most}的整数", f'"{quoted(cell)}" must be a whole number to {most}')
        )
    return int(cell)


def places_of(value: Decimal) -> int:
    """Decimal places that are not 0 at the end."""
    return len(f"{value:f}".partition(".")[2].rstrip("0"))


def choose(cell: str, options: Sequence[tuple[str, str]], what: Text) -> int:
    """The place of the option with this code, or else with this name, if only one has it; raises Miswritten."""
    for place, (code, _) in enumerate(options):
        if code == cell:
            return place
    named = [place for place, (_, name) in enumerate(options) if name == cell]
    if len(named) == 1:
        return named[0]
    if named:
        raise Miswritten(
            Text(
                f"有{len(named)}个{what.zh}名为“{quoted(cell)}”",
                f'{len(named)} {what.en}s have the name "{quoted(cell)}"',
            ),
            Text("写编码", "write the code"),
        )
    raise Miswritten(
        Text(f"没有{what.zh}“{quoted(cell)}”", f'there is no {what.en} "{quoted(cell)}"'),
        one_of([code for code, _ in options[:20]]),
    )


@dataclass(frozen=True, slots=True)
class Form:
    """What the values of one item look like. places: most decimal places, None for any number of them."""

    type: str
    places: int | None = None
    minimum: Fraction | None = None
    maximum: Fraction | None = None
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, item: DataItem, *, places: int | None, bounded: bool = True) -> "Form":
        """The form of a data item; last cycle's values are not held to its bounds of today."""
        return cls(
            item.type,
            0 if item.type == "INTEGER" and bounded else places,
            item.minimum if bounded else None,
            item.maximum if bounded else None,
            tuple((option.code, option.name) for option in item.options),
        )

    def parse(self, cell: str) -> Value:
        """The value that a cell holds; raises Miswritten."""
        match self.type:
            case "YES_NO":
                if cell not in ("true", "false"):
                    raise Miswritten(
                        Text(f"“{quoted(cell)}”应为true或false", f'"{quoted(cell)}" must be true or false')
                    )
                return Decimal(cell == "true")
            case "CHOICE":
                return Decimal(choose(cell, self.options, Text("选项", "option")))
            case "COUNTS":
                return self._counts(cell)
            case "SCORES":
                return [self._number(part) for part in cell.split(";")]
        return self._number(cell)

    def _number(self, cell: str) -> Decimal:
        value = plain_decimal(cell)
        if self.places is not None and places_of(value) > self.places:
            raise Miswritten(
                Text(f"“{cell}”多于{self.places}位小数", f'"{cell}" has more than {self.places} decimal places')
                if self.places
                else Text(f"“{cell}”应为整数", f'"{cell}" must be a whole number')
            )
        self._bounded(Fraction(value), cell)
        return value

    def _bounded(self, value: Fraction, cell: str) -> None:
        if self.minimum is not None and value < self.minimum:
            bound = show(self.minimum)
            raise Miswritten(Text(f"“{cell}”小于下限{bound}", f'"{cell}" is below the least value {bound}'))
        if self.maximum is not None and value > self.maximum:
            bound = show(self.maximum)
            raise Miswritten(Text(f"“{cell}”大于上限{bound}", f'"{cell}" is above the greatest value {bound}'))

    def _counts(self, cell: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for part in cell.split(";"):
            name, equals, number = part.rpartition("=")
            if not equals:
                raise Miswritten(
                    Text(f"计数“{quoted(part)}”缺少“=”", f'the count "{quoted(part)}" has no "="'),
                    Text("写成：很满意=90;满意=60", "write it as: good=90;fair=60"),
                )
            code = self.options[choose(name, self.options, Text("计数", "count"))][0]
            if code in found:
                raise Miswritten(Text(f"计数“{quoted(name)}”重复", f'the count "{quoted(name)}" is repeated'))
            if not _COUNT.fullmatch(number):
                raise Miswritten(
                    Text(
                        f"计数“{quoted(name)}”应为不小于0的整数，现为“{quoted(number)}”",
                        f'the count "{quoted(name)}" must be a whole number of at least 0, not "{quoted(number)}"',
                    )
                )
            found[code] = int(number)
            self._bounded(Fraction(found[code]), number)
        return found


Held = tuple[State, Value | None]
"""State and value of one unit; the value is None unless it is given or carried over."""

NOTHING: Final[Held] = (State.MISSING, None)


def column_of(kind: str, held: Sequence[Held]) -> ItemColumn:
    """One item's values for all units as the engine takes them, with as many decimal places as they need."""
    states = [state for state, _ in held]
    values = [value for _, value in held]
    if kind == "COUNTS":
        return ItemColumn.of_counts([value if isinstance(value, dict) else None for value in values], states=states)
    if kind == "SCORES":
        lists = [value if isinstance(value, list) else None for value in values]
        places = max((places_of(score) for value in lists if value for score in value), default=0)
        return ItemColumn.of_scores(lists, scale=places, states=states)
    numbers = [value if isinstance(value, Decimal) else None for value in values]
    places = max((places_of(number) for number in numbers if number is not None), default=0)
    return ItemColumn.of(numbers, scale=places, states=states)
