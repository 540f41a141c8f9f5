"""Data items as scoring sees them (数据项): key, shape, options, bounds; where they come from does not matter here."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from service.scoring.numbers import format_decimal
from service.scoring.reading import Reader
from service.scoring.text import Text

TYPES: Final = ("NUMBER", "INTEGER", "YES_NO", "CHOICE", "COUNTS", "SCORES")
SCALE_LIMIT: Final = 30
"""Most decimal places of a data item."""

_WORDS: Final = (
    "definition",
    "source",
    "derivedFrom",
    "rollup",
    "resultFrom",
    "rhythm",
    "combine",
    "responsibleUnits",
    "personal",
    "active",
)
"""Known, and without meaning for a score."""


@dataclass(frozen=True, slots=True)
class ItemOption:
    """A choice, or the name of a count (选项)."""

    code: str
    name: str
    dont_know: bool = False


@dataclass(frozen=True, slots=True)
class DataItem:
    """One thing collected once per unit and cycle."""

    code: str
    name: str
    type: str
    unit_of_measure: str | None = None
    scale: int = 0
    minimum: Fraction | None = None
    maximum: Fraction | None = None
    options: tuple[ItemOption, ...] = ()
    words: Mapping[str, Any] | None = None
    """What the document says besides, kept for the dump."""

    def document(self) -> dict[str, Any]:
        """As it is written in a scheme document."""
        return {
            **(self.words or {}),
            "code": self.code,
            "name": self.name,
            "type": self.type,
            "unitOfMeasure": self.unit_of_measure,
            "scale": self.scale,
            "minimum": None if self.minimum is None else format_decimal(self.minimum),
            "maximum": None if self.maximum is None else format_decimal(self.maximum),
            "options": [
                {"code": option.code, "name": option.name, "dontKnow": option.dont_know} for option in self.options
            ],
        }


def read_data_item(reader: Reader) -> DataItem | None:
    """A data item of a document; None if its key or type is wrong."""
    code = reader.text("code")
    name = reader.text("name", required=False)
    type_ = reader.choice("type", TYPES)
    scale = reader.whole("scale", default=0, least=0, most=SCALE_LIMIT)
    minimum = reader.decimal("minimum", required=False)
    maximum = reader.decimal("maximum", required=False)
    if minimum is not None and maximum is not None and minimum > maximum:
        reader.fault("minimum", Text("最小值大于最大值", "the minimum is above the maximum"))
    options: dict[str, ItemOption] = {}
    for entry in reader.each("options", limit=200):
        option = entry.text("code")
        label = entry.text("name", required=False)
        dont_know = entry.flag("dontKnow", default=False)
        entry.finish()
        if option in options:
            entry.fault("code", Text(f"选项“{option}”重复", f'option "{option}" is repeated'), code="DUPLICATE")
        elif option is not None:
            options[option] = ItemOption(option, label or option, dont_know)
    unit_of_measure = reader.text("unitOfMeasure", required=False)
    reader.ignore(*_WORDS)
    reader.finish()
    if type_ in ("CHOICE", "COUNTS") and not options:
        reader.fault("options", Text("选择型、计数型数据项须列出选项", "choices and counts need their options"))
    if code is None or type_ is None:
        return None
    words = {key: reader.data[key] for key in _WORDS if reader.data.get(key) is not None}
    return DataItem(
        code, name or code, type_, unit_of_measure, scale or 0, minimum, maximum, tuple(options.values()), words
    )
