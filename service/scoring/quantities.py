"""What a rule looks at (计分口径): a linear combination of data items and constants, perhaps over another one.

No free formulas: Σ coefficient × item + constant, divided by at most one more such sum. Exact: items are whole numbers
of their last decimal place, coefficients become whole numbers over one common denominator.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import Any, Literal, Protocol

from service.scoring.items import DataItem
from service.scoring.numbers import format_decimal, show
from service.scoring.reading import Reader
from service.scoring.text import Text
from service.scoring.whole import Mask, Whole

ItemNames = Mapping[str, str]
"""Shown name of each data item by key; an item that is not named shows its key."""

ZeroPolicy = Literal["NOT_APPLICABLE", "FULL"]
COUNTABLE = ("NUMBER", "INTEGER", "YES_NO", "COUNTS")


class Columns(Protocol):
    """Values of items for some units; 0 where a unit has none."""

    def numbers(self, key: str, count_name: str | None = None) -> tuple[Whole, int]:
        """(value × 10**scale, scale)."""


class UnitValues(Protocol):
    """Values of items for one unit."""

    def number(self, key: str, count_name: str | None = None) -> Fraction:
        """The exact value."""


@dataclass(frozen=True, slots=True)
class Term:
    """coefficient × item."""

    coefficient: Fraction
    data_item: str
    count_name: str | None = None
    count_label: str | None = None

    def document(self) -> dict[str, Any]:
        return {
            "coefficient": format_decimal(self.coefficient),
            "dataItem": self.data_item,
            "countName": self.count_name,
        }

    def shown(self, names: ItemNames) -> str:
        name = names.get(self.data_item, self.data_item)
        return f"{name}（{self.count_label}）" if self.count_label else name


@dataclass(frozen=True, slots=True)
class Combination:
    """Σ coefficient × data item + constant (线性组合)."""

    terms: tuple[Term, ...]
    constant: Fraction = Fraction(0)

    def document(self) -> dict[str, Any]:
        return {"terms": [term.document() for term in self.terms], "constant": format_decimal(self.constant)}

    def evaluate(self, columns: Columns) -> tuple[Whole, int]:
        """(numbers, denominator): one denominator for all units."""
        parts = []
        for term in self.terms:
            value, scale = columns.numbers(term.data_item, term.count_name)
            parts.append((value, term.coefficient / 10**scale))
        common = lcm(self.constant.denominator, *(factor.denominator for _, factor in parts))
        total = Whole.of(int(self.constant * common))
        for value, factor in parts:
            total = value * int(factor * common) + total
        return total, common

    def value(self, values: UnitValues) -> Fraction:
        """The exact value for one unit."""
        found = self.constant
        for term in self.terms:
            found += term.coefficient * values.number(term.data_item, term.count_name)
        return found

    def words(self, names: ItemNames) -> str:
        """Such as 2×甲＋乙－3."""
        return self._written([(term.coefficient, term.shown(names)) for term in self.terms], "×", "＋", "－")

    def formula(self, values: UnitValues) -> str:
        """The same with a unit's numbers, such as 2 × 3 + 4."""
        return self._written(
            [(term.coefficient, show(values.number(term.data_item, term.count_name))) for term in self.terms],
            " × ",
            " + ",
            " - ",
        )

    def _written(self, terms: list[tuple[Fraction, str]], times: str, plus: str, minus: str) -> str:
        text = ""
        for coefficient, name in terms:
            size = abs(coefficient)
            body = name if size == 1 else f"{show(size)}{times}{name}"
            if not text:
                text = body if coefficient >= 0 else minus.strip() + body
            else:
                text += (plus if coefficient >= 0 else minus) + body
        if self.constant or not text:
            constant = show(abs(self.constant))
            if not text:
                return constant if self.constant >= 0 else "-" + constant
            text += (plus if self.constant > 0 else minus) + constant
        return text

    @property
    def single(self) -> bool:
        """Whether it reads as one word, without brackets."""
        return len(self.terms) + (self.constant != 0) <= 1 and all(term.coefficient == 1 for term in self.terms)


@dataclass(frozen=True, slots=True)
class Ratio:
    """x of some units as numerator / denominator; the denominator is above 0, also where x is not defined."""

    numerator: Whole
    denominator: Whole
    not_applicable: Mask | None = None
    full: Mask | None = None

    @property
    def undefined(self) -> Mask | None:
        """Units whose denominator is 0."""
        return self.not_applicable if self.full is None else self.full


@dataclass(frozen=True, slots=True)
class Quantity:
    """x: a combination, perhaps over another one; a denominator of 0 does not apply, or earns full marks."""

    numerator: Combination
    denominator: Combination | None = None
    denominator_zero: ZeroPolicy = "NOT_APPLICABLE"

    def document(self) -> dict[str, Any]:
        """As it is written in a scheme document."""
        return {
            "numerator": self.numerator.document(),
            "denominator": self.denominator.document() if self.denominator else None,
            "denominatorZero": self.denominator_zero,
        }

    def data_items(self) -> tuple[str, ...]:
        """Keys of the items it uses, each once, in order."""
        terms = (*self.numerator.terms, *(self.denominator.terms if self.denominator else ()))
        return tuple(dict.fromkeys(term.data_item for term in terms))

    def evaluate(self, columns: Columns) -> Ratio:
        """x for all units, exactly; a negative denominator turns both signs."""
        top, top_scale = self.numerator.evaluate(columns)
        if self.denominator is None:
            return Ratio(top, Whole.of(top_scale))
        bottom, bottom_scale = self.denominator.evaluate(columns)
        shared = gcd(top_scale, bottom_scale)
        top, bottom = top * (bottom_scale // shared), bottom * (top_scale // shared)
        if bottom.low < 0:
            negative = bottom < 0
            top, bottom = (-top).where(negative, top), (-bottom).where(negative, bottom)
        undefined = None
        if bottom.low <= 0:
            undefined = bottom <= 0
            bottom = bottom.at_least(1)
        if undefined is None or not undefined.any():
            return Ratio(top, bottom)
        if self.denominator_zero == "FULL":
            return Ratio(top, bottom, full=undefined)
        return Ratio(top, bottom, not_applicable=undefined)

    def value(self, values: UnitValues) -> Fraction | None:
        """x of one unit; None where the denominator is 0."""
        top = self.numerator.value(values)
        if self.denominator is None:
            return top
        bottom = self.denominator.value(values)
        return top / bottom if bottom else None

    def words(self, names: ItemNames) -> str:
        """Such as 按期办结数÷应办结数."""
        top = self.numerator.words(names)
        if self.denominator is None:
            return top
        bottom = self.denominator.words(names)
        return (
            f"{top if self.numerator.single else f'（{top}）'}÷{bottom if self.denominator.single else f'（{bottom}）'}"
        )

    def describe(self, names: ItemNames) -> Text:
        """In words; items keep the names they were given."""
        return Text(self.words(names), self.words(names).replace("÷", " ÷ ").replace("×", " × "))

    def divisor(self, names: ItemNames) -> Text:
        """In words, in brackets where it is more than one item: as what something is divided by."""
        text = self.describe(names)
        if self.denominator is None and self.numerator.single:
            return text
        return Text(f"（{text.zh}）", f"({text.en})")

    def formula(self, values: UnitValues) -> str:
        """With a unit's numbers, such as 46 ÷ 48."""
        top = self.numerator.formula(values)
        if self.denominator is None:
            return top
        bottom = self.denominator.formula(values)
        return f"{_bracketed(top)} ÷ {_bracketed(bottom)}"


def _bracketed(text: str) -> str:
    return f"({text})" if " " in text or text.startswith("-") else text


def read_combination(
    reader: Reader | None, items: Mapping[str, DataItem], *, count_name: str | None = None
) -> Combination | None:
    """A combination of a document; None if absent or wrong. `count_name` is for terms of counts that name none."""
    if reader is None:
        return None
    before = len(reader.sink.faults)
    constant = reader.decimal("constant", required=False, default=Fraction(0))
    terms = []
    for entry in reader.each("terms", limit=100):
        coefficient = entry.decimal("coefficient", required=False, default=Fraction(1))
        key = entry.text("dataItem")
        named = entry.text("countName", required=False)
        entry.finish()
        item = read_item(entry, "dataItem", key, items, COUNTABLE)
        label = None
        if item is not None and item.type == "COUNTS":
            named = named or count_name
            option = next((option for option in item.options if option.code == named), None)
            if named is not None and option is None:
                entry.fault(
                    "countName",
                    Text(f"数据项没有计数“{named}”", f'the data item has no count "{named}"'),
                    Text(
                        "可选：" + "、".join(option.code for option in item.options),
                        "one of: " + ", ".join(option.code for option in item.options),
                    ),
                )
            label = option.name if option else None
        elif named is not None and item is not None:
            entry.fault(
                "countName", Text("只有计数型数据项才能指定计数", "only a data item of counts has named counts")
            )
        if coefficient == 0:
            entry.fault("coefficient", Text("系数不能为0", "the coefficient must not be 0"))
        if key is not None and coefficient is not None:
            terms.append(Term(coefficient, key, named, label))
    reader.finish()
    if len(reader.sink.faults) > before or constant is None:
        return None
    return Combination(tuple(terms), constant)


def read_quantity(
    reader: Reader | None,
    items: Mapping[str, DataItem],
    *,
    constant_allowed: bool = False,
    count_name: str | None = None,
) -> Quantity | None:
    """A quantity of a document; None if it is absent or wrong. A plain number only where `constant_allowed`."""
    if reader is None:
        return None
    before = len(reader.sink.faults)
    numerator = read_combination(reader.inner("numerator"), items, count_name=count_name)
    has_denominator = reader.has("denominator")
    denominator = read_combination(reader.inner("denominator", required=False), items, count_name=count_name)
    zero = reader.choice("denominatorZero", ("NOT_APPLICABLE", "FULL"), default="NOT_APPLICABLE")
    reader.finish()
    if len(reader.sink.faults) > before or numerator is None or (has_denominator and denominator is None):
        return None
    if denominator is not None and not denominator.terms and denominator.constant <= 0:
        reader.fault("denominator", Text("作分母的常数必须大于0", "a denominator without data items must be above 0"))
        return None
    if not constant_allowed and not numerator.terms and (denominator is None or not denominator.terms):
        reader.fault(("numerator", "terms"), Text("至少要用一个数据项", "at least one data item must be used"))
        return None
    return Quantity(numerator, denominator, "FULL" if zero == "FULL" else "NOT_APPLICABLE")


def read_item(
    reader: Reader, name: str, key: str | None, items: Mapping[str, DataItem], types: tuple[str, ...]
) -> DataItem | None:
    """The data item of that key if there is one and its type fits; else a fault."""
    if key is None:
        return None
    item = items.get(key)
    if item is None:
        reader.fault(
            name,
            Text(f"没有数据项“{key}”", f'there is no data item "{key}"'),
            Text("先在数据项清单中登记，再用于计分", "add it to the data items first"),
        )
        return None
    if item.type not in types:
        reader.fault(
            name,
            Text(
                f"数据项“{item.name}”的类型是{item.type}，此处须为{'、'.join(types)}",
                f'data item "{item.name}" is of type {item.type}, here it must be {" or ".join(types)}',
            ),
        )
        return None
    return item
