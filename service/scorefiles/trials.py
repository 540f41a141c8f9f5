"""Trials on files and on stored runs (试算): what is tried, as people write it, and how results differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from service.language import Language, say
from service.scorefiles.documents import read_scheme_file
from service.scorefiles.faults import FaultyFilesError, FileFault, quoted
from service.scorefiles.values import Form, Miswritten, plain_decimal
from service.scoring import Change, InvalidInput, OtherValue, Scheme, tried_scheme
from service.scoring.text import Text


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried: another scheme's file, (indicator, weight) and (unit, item, value), all as typed."""

    scheme: Path | None = None
    weights: Sequence[tuple[str, str]] = ()
    values: Sequence[tuple[str, str, str]] = ()


def read_trial(
    before: Scheme, document: Mapping[str, Any], units: Sequence[str], trial: Trial
) -> tuple[Scheme, list[OtherValue]]:
    """The scheme and the values that a trial computes with; `document` is used where no file is given.

    Raises FaultyFilesError with every fault, OSError where the file can't be read.
    """
    faults: list[FileFault] = []
    name = "--weight"
    if trial.scheme is not None:
        name = str(trial.scheme)
        other, document = read_scheme_file(name, trial.scheme.read_bytes(), faults, [])
        if other is None:
            raise FaultyFilesError(faults)
    weights: dict[str, Fraction] = {}
    for code, size in trial.weights:
        try:
            weights[code] = Fraction(plain_decimal(size))
        except Miswritten as error:
            faults.append(FileFault("--weight", code, error.text, error.hint))
    scheme: Scheme | None = None
    try:
        scheme = tried_scheme(before, document, weights)
    except InvalidInput as error:
        for fault in error.faults:
            weighed = fault.path[0] == "weights"
            where = "/".join(fault.path[1:] if weighed else fault.path)
            faults.append(FileFault("--weight" if weighed else name, where, fault.text, fault.hint))
    known = scheme if scheme is not None or trial.scheme is not None else before
    values = [] if known is None else _values(known, frozenset(units), trial.values, faults)
    if scheme is None or faults:
        raise FaultyFilesError(faults)
    return scheme, values


def _values(
    scheme: Scheme, units: frozenset[str], given: Sequence[tuple[str, str, str]], faults: list[FileFault]
) -> list[OtherValue]:
    found = []
    for unit, key, cell in given:
        where = f"{unit} {key}"
        item = scheme.data_items.get(key)
        if unit not in units:
            text = Text(f"没有单位“{quoted(unit)}”", f'there is no unit "{quoted(unit)}"')
            faults.append(FileFault("--value", where, text))
        if item is None:
            text = Text(f"方案中没有数据项“{quoted(key)}”", f'the scheme has no data item "{quoted(key)}"')
            faults.append(FileFault("--value", where, text))
            continue
        try:
            found.append(OtherValue(unit, key, Form.of(item, places=item.scale).parse(cell)))
        except Miswritten as error:
            faults.append(FileFault("--value", where, error.text, error.hint))
    return found


def difference_rows(changes: Sequence[Change], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Per unit what it has and what it would have."""
    return [
        {
            "unit": change.unit,
            "name": names[change.unit],
            "totalBefore": _plain(change.before.total),
            "totalAfter": _plain(change.after.total),
            "total": _plain(change.total),
            "rankBefore": change.before.rank,
            "rankAfter": change.after.rank,
            "rank": change.rank,
            "gradeBefore": change.before.grade,
            "gradeAfter": change.after.grade,
        }
        for change in changes
    ]


def _plain(value: Any) -> str | None:
    return None if value is None else f"{value:f}"


def differences_text(changes: Sequence[Change], names: Mapping[str, str], language: Language) -> str:
    """The units that differ, in words, and how many there are."""
    moved = [change for change in changes if change.moved]
    lines = []
    for change in moved:
        name = names[change.unit]
        head = change.unit if name == change.unit else f"{change.unit} {name}"
        old, new = change.before, change.after
        parts = [_moved(Text("得分", "total"), _plain(old.total), _plain(new.total), language)]
        parts.append(_moved(Text("名次", "rank"), old.rank, new.rank, language))
        if old.grade is not None or new.grade is not None:
            parts.append(_moved(Text("等次", "grade"), old.grade, new.grade, language))
        colon, comma = ("：", "，") if language == "zh-CN" else (": ", ", ")
        lines.append(head + colon + comma.join(parts))
    count = Text(f"{len(changes)}个单位中有{len(moved)}个变化", f"{len(moved)} of {len(changes)} units change")
    return "\n".join([*lines, say(count, language)])


def _moved(word: Text, before: object, after: object, language: Language) -> str:
    shown = [say(Text("无", "none"), language) if each is None else str(each) for each in (before, after)]
    blank = "" if language == "zh-CN" else " "
    if before == after:
        return f"{say(word, language)}{blank}{shown[0]}"
    return f"{say(word, language)}{blank}{shown[0]} → {shown[1]}"
