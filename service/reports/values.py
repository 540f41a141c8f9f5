"""Values as people enter them and as rows keep them (填报值): read and judged against the pinned item.

Numbers and yes-no (1, 0) stand in `number`; choices, counts and scores in `detail`:
{"choice": code}, {"counts": {code: n}}, {"scores": ["95", …]}.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from service.checks import Check
from service.errors import Path
from service.scoring.items import ItemOption
from service.scoring.text import Text

MOST_SCORES = 1000
"""Scores of one value."""

MOST_COUNTED = 1_000_000_000
"""Greatest named count."""


@dataclass(frozen=True)
class Content:
    """A value as it was typed: exactly one field is not None, the one of the item's type."""

    number: str | None = None
    yes_no: bool | None = None
    choice: str | None = None
    counts: Sequence[tuple[str, int]] | None = None
    scores: Sequence[str] | None = None


@dataclass(frozen=True)
class Value:
    """A value as rows keep it."""

    number: Decimal | None = None
    detail: dict[str, Any] | None = None

    @property
    def detail_json(self) -> str | None:
        """The detail as JSON text."""
        return None if self.detail is None else orjson.dumps(self.detail, option=orjson.OPT_SORT_KEYS).decode()


@dataclass(frozen=True)
class PinnedItem:
    """A data item as a scheme version pinned it."""

    id: UUID
    code: str
    name: str
    type: str
    unit_of_measure: str | None
    scale: int
    minimum: Decimal | None
    maximum: Decimal | None
    options: tuple[ItemOption, ...]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "PinnedItem":
        """From a row of `scheme_version_items`."""
        options = orjson.loads(row["options"])
        return cls(
            id=row["data_item_id"],
            code=row["code"],
            name=row["name"],
            type=row["type"],
            unit_of_measure=row["unit_of_measure"],
            scale=row["scale"],
            minimum=row["minimum"],
            maximum=row["maximum"],
            options=tuple(
                ItemOption(option["code"], option.get("name") or option["code"], bool(option.get("dontKnow")))
                for option in options
            ),
        )


_FIELDS = {
    "NUMBER": ("number", Text(zh="数值", en="a number")),
    "INTEGER": ("number", Text(zh="整数", en="a whole number")),
    "YES_NO": ("yesNo", Text(zh="是或否", en="yes or no")),
    "CHOICE": ("choice", Text(zh="选项", en="a choice")),
    "COUNTS": ("counts", Text(zh="各项计数", en="named counts")),
    "SCORES": ("scores", Text(zh="一组评分", en="a list of scores")),
}


def read_value(check: Check, path: Path, content: Content, item: PinnedItem) -> Value | None:
    """The value, or None after noting at least one fault; `path` is that of the content."""
    wanted, kind = _FIELDS[item.type]
    given = _given(content)
    if given != [wanted]:
        check.invalid(
            (*path, *given[:1]),
            f"数据项“{item.name}”应填{kind.zh}。",
            f'"{item.name}" takes {kind.en}.',
            hint=Text(zh=f"请只填写 {wanted}。", en=f"Give {wanted} and nothing else."),
        )
        return None
    path = (*path, wanted)
    match item.type:
        case "YES_NO":
            sound = True
        case "CHOICE":
            sound = _choice_is_sound(check, path, content.choice or "", item)
        case "COUNTS":
            sound = _counts_are_sound(check, path, content.counts or (), item)
        case "SCORES":
            sound = _scores_are_sound(check, path, content.scores or (), item)
        case _:
            sound = _number_is_sound(check, path, content.number or "", item)
    return value_of(content) if sound else None


def value_of(content: Content) -> Value | None:
    """The value as rows keep it if its item takes it; None for what no item takes."""
    readable = Check()
    check_content(readable, (), content)
    longest = max(len(content.counts or ()), len(content.scores or ()))
    if readable.found or longest > MOST_SCORES or len(_given(content)) != 1:
        return None
    if content.yes_no is not None:
        return Value(number=Decimal(1 if content.yes_no else 0))
    if content.choice is not None:
        return Value(detail={"choice": content.choice})
    if content.counts is not None:
        return Value(detail={"counts": dict(content.counts)})
    if content.scores is not None:
        return Value(detail={"scores": [f"{Decimal(score):f}" for score in content.scores]})
    assert content.number is not None
    return Value(number=Decimal(content.number))


def _given(content: Content) -> list[str]:
    """The fields that are not None."""
    return [
        name
        for name, part in (
            ("number", content.number),
            ("yesNo", content.yes_no),
            ("choice", content.choice),
            ("counts", content.counts),
            ("scores", content.scores),
        )
        if part is not None
    ]


def check_content(check: Check, path: Path, content: Content) -> None:
    """Note what can't be read, whatever the item: for an input whose items are not looked up, since it is refused."""
    if content.number is not None:
        check.decimal((*path, "number"), content.number)
    if content.choice is not None:
        check.line((*path, "choice"), content.choice)
    for place, (code, _) in enumerate((content.counts or ())[:MOST_SCORES]):
        check.line((*path, "counts", str(place), "option"), code)
    for place, score in enumerate((content.scores or ())[:MOST_SCORES]):
        check.decimal((*path, "scores", str(place)), score)


def _number_is_sound(check: Check, path: Path, raw: str, item: PinnedItem) -> bool:
    scale = 0 if item.type == "INTEGER" else item.scale
    return check.decimal(path, raw, scale=scale, minimum=item.minimum, maximum=item.maximum) is not None


def _choice_is_sound(check: Check, path: Path, code: str, item: PinnedItem) -> bool:
    if code in (option.code for option in item.options):
        return True
    check.invalid(path, f"“{code[:40]}”不在选项之内。", f'"{code[:40]}" is not among the options.', hint=_options(item))
    return False


def _counts_are_sound(check: Check, path: Path, counts: Sequence[tuple[str, int]], item: PinnedItem) -> bool:
    if not counts:
        check.invalid(path, "至少填一项计数。", "Give at least one count.")
        return False
    codes = [option.code for option in item.options]
    found: set[str] = set()
    sound = check.at_most(path, counts, len(codes))
    for place, (code, number) in enumerate(counts if sound else ()):
        at = (*path, str(place))
        if code not in codes:
            check.invalid(
                (*at, "option"),
                f"没有名为“{code[:40]}”的计数。",
                f'There is no count "{code[:40]}".',
                hint=_options(item),
            )
        elif code in found:
            check.duplicate((*at, "option"), f"“{code}”重复。", f'"{code}" occurs twice.')
        elif not 0 <= number <= MOST_COUNTED:
            check.invalid(
                (*at, "count"), f"计数应为0至{MOST_COUNTED}。", f"A count is 0 to {MOST_COUNTED}; got {number}."
            )
        else:
            low = item.minimum is not None and number < item.minimum
            high = item.maximum is not None and number > item.maximum
            if low or high:
                bound = item.minimum if low else item.maximum
                check.invalid(
                    (*at, "count"),
                    f"{number}{'小于下限' if low else '大于上限'}{bound:f}。",
                    f"{number} is {'below the least' if low else 'above the greatest'} value {bound:f}.",
                )
            else:
                found.add(code)
                continue
        sound = False
    return sound


def _scores_are_sound(check: Check, path: Path, scores: Sequence[str], item: PinnedItem) -> bool:
    if not scores:
        check.invalid(path, "至少填一个评分。", "Give at least one score.")
        return False
    if not check.at_most(path, scores, MOST_SCORES):
        return False
    judged = [_number_is_sound(check, (*path, str(place)), raw, item) for place, raw in enumerate(scores)]
    return all(judged)


def _options(item: PinnedItem) -> Text:
    return Text(
        zh="可选：" + "、".join(f"{option.code}（{option.name}）" for option in item.options),
        en="One of: " + ", ".join(option.code for option in item.options),
    )
