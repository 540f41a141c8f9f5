"""Reading what people typed: each check gives the value, or notes an issue and gives None.

Mutations take decimals, dates and ids as text, so that a typing error comes back as an issue with its path and not as
a fault of the request. A use-case makes one `Check`, runs all its checks, and then calls `check.done()`.
"""

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from service.errors import ErrorCode, Issues, Path
from service.ids import decode_id, parse_id
from service.scoring.text import Text

MAX_DIGITS = 38
"""Digits of a decimal, before and after the point together."""

MAX_LINE = 200
"""Characters of a name, a title or a code's neighbour."""

MAX_PROSE = 4000
"""Characters of a definition, a reason or a scoring standard."""

MAX_CODE = 64
"""Characters of a code."""

FIRST_YEAR = 1900
LAST_YEAR = 2200
"""Years of dates and instants: what lies outside was mistyped, and would carry reckoning of days to its edges."""

D = TypeVar("D", bound=date)

_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
_KEY = re.compile(r"[\x20-\x7e]{1,128}", re.ASCII)


class Check(Issues):
    """Collects the faults of one input. Paths are tuples that begin with "input"."""

    def done(self) -> None:
        """Refuse with all faults at once, if there are any."""
        self.raise_any()

    def invalid(self, path: Path, zh: str, en: str, *, hint: Text | None = None) -> None:
        """Note that a rule of the domain is broken."""
        self.add(ErrorCode.INVALID, path, Text(zh=zh, en=en), hint)

    def duplicate(self, path: Path, zh: str, en: str) -> None:
        """Note that something exists already."""
        self.add(ErrorCode.DUPLICATE, path, Text(zh=zh, en=en))

    def unknown(self, path: Path) -> None:
        """Note that an id names nothing in the tenant."""
        self.add(
            ErrorCode.NOT_FOUND,
            path,
            Text(zh="没有找到该对象。", en="There is no such object."),
            Text(zh="请使用查询返回的 id。", en="Use an id that a query gave."),
        )

    def decimal(
        self,
        path: Path,
        raw: str,
        *,
        scale: int | None = None,
        minimum: Decimal | None = None,
        maximum: Decimal | None = None,
    ) -> Decimal | None:
        """A plain decimal of at most 38 digits; `scale` is the number of places allowed."""
        if len(raw) > MAX_DIGITS + 2 or not _DECIMAL.fullmatch(raw) or sum(c.isdigit() for c in raw) > MAX_DIGITS:
            self.add(
                ErrorCode.INVALID_DECIMAL,
                path,
                Text(zh=f"“{_short(raw)}”不是小数。", en=f'"{_short(raw)}" is not a decimal.'),
                Text(
                    zh="请用半角数字书写，例如 12.5；不用科学计数、千分位和正号，最多38位。",
                    en="Write plain ASCII digits such as 12.5: no exponent, no separators, no plus, at most 38 digits.",
                ),
            )
            return None
        value = Decimal(raw)
        fraction = raw.partition(".")[2]
        if scale is not None and fraction[scale:].strip("0"):
            self.invalid(
                path,
                f"最多保留{scale}位小数，收到{len(fraction)}位。",
                f"At most {scale} decimal places; got {len(fraction)}.",
            )
            return None
        if minimum is not None and value < minimum:
            self.invalid(path, f"{raw}小于下限{minimum:f}。", f"{raw} is below the least value {minimum:f}.")
            return None
        if maximum is not None and value > maximum:
            self.invalid(path, f"{raw}大于上限{maximum:f}。", f"{raw} is above the greatest value {maximum:f}.")
            return None
        return value

    def date(self, path: Path, raw: str) -> date | None:
        """A calendar date, YYYY-MM-DD, within the years that the product knows."""
        try:
            if _DATE.fullmatch(raw):
                return self._in_years(path, date.fromisoformat(raw))
        except ValueError:
            pass
        self.add(
            ErrorCode.INVALID_DATETIME,
            path,
            Text(zh=f"“{_short(raw)}”不是日期。", en=f'"{_short(raw)}" is not a date.'),
            Text(zh="请写成 2026-07-10 的形式。", en="Write it like 2026-07-10."),
        )
        return None

    def instant(self, path: Path, raw: str) -> datetime | None:
        """An instant with its offset, RFC 3339, within the years that the product knows; in UTC."""
        try:
            if _INSTANT.fullmatch(raw):
                instant = datetime.fromisoformat(raw.upper().replace("Z", "+00:00")).astimezone(UTC)
                return self._in_years(path, instant)
        except (ValueError, OverflowError):
            pass
        self.add(
            ErrorCode.INVALID_DATETIME,
            path,
            Text(zh=f"“{_short(raw)}”不是带时区的时刻。", en=f'"{_short(raw)}" is not an instant with an offset.'),
            Text(zh="请写成 2026-07-10T09:00:00+08:00 的形式。", en="Write it like 2026-07-10T09:00:00+08:00."),
        )
        return None

    def _in_years(self, path: Path, day: D) -> D | None:
        if FIRST_YEAR <= day.year <= LAST_YEAR:
            return day
        self.add(
            ErrorCode.INVALID_DATETIME,
            path,
            Text(
                zh=f"年份须在{FIRST_YEAR}至{LAST_YEAR}之间，收到{day.year:04}。",
                en=f"The year must be {FIRST_YEAR} to {LAST_YEAR}; got {day.year:04}.",
            ),
            Text(zh="请核对年份。", en="Look at the year again."),
        )
        return None

    def id(self, path: Path, raw: str, type_name: str | None) -> UUID | None:
        """An id of that type; of any type for None. Whether such an object exists is for the caller to find out."""
        if type_name is None:
            parsed = parse_id(raw)
            value = parsed[1] if parsed else None
        else:
            value = decode_id(raw, type_name)
        if value is None:
            what = Text(zh=f"{type_name}的编号", en=f"an id of {type_name}") if type_name else Text("编号", "an id")
            self.add(
                ErrorCode.INVALID_ID,
                path,
                Text(zh=f"“{_short(raw)}”不是{what.zh}。", en=f'"{_short(raw)}" is not {what.en}.'),
                Text(zh="请使用查询返回的 id。", en="Use an id that a query gave."),
            )
        return value

    def ids(self, path: Path, raw: Sequence[str] | None, type_name: str) -> list[UUID]:
        """Ids of that type, each once, in order; none for None."""
        seen: dict[UUID, None] = {}
        for position, text in enumerate(raw or ()):
            value = self.id((*path, str(position)), text, type_name)
            if value is None:
                continue
            if value in seen:
                self.duplicate((*path, str(position)), "编号重复。", "The id occurs twice.")
            seen[value] = None
        return list(seen)

    def line(self, path: Path, raw: str, *, longest: int = MAX_LINE) -> str | None:
        """One line of text that is not empty, trimmed, in normal form C."""
        return self._text(path, raw, longest, lines=False, empty=False)

    def prose(self, path: Path, raw: str | None, *, required: bool = False, longest: int = MAX_PROSE) -> str | None:
        """Text that may have several lines; None or blank text is None unless required."""
        if raw is None or not raw.strip():
            if required:
                self.add(ErrorCode.INVALID_TEXT, path, Text(zh="不能为空。", en="Must not be empty."))
            return None
        return self._text(path, raw, longest, lines=True, empty=True)

    def code(self, path: Path, raw: str) -> str | None:
        """A code: 1 to 64 ASCII letters, digits, dots, underscores and hyphens."""
        if len(raw) <= MAX_CODE and _CODE.fullmatch(raw):
            return raw
        self.add(
            ErrorCode.INVALID_TEXT,
            path,
            Text(zh=f"“{_short(raw)}”不能作编码。", en=f'"{_short(raw)}" cannot be a code.'),
            Text(
                zh=f"编码为1至{MAX_CODE}个半角字母、数字、点、下划线或连字符，以字母或数字开头。",
                en=f"1 to {MAX_CODE} ASCII letters, digits, dots, underscores or hyphens, a letter or digit first.",
            ),
        )
        return None

    def at_most(self, path: Path, items: Sequence[object], limit: int) -> bool:
        """Whether a list keeps its limit."""
        if len(items) <= limit:
            return True
        self.add(
            ErrorCode.TOO_LARGE,
            path,
            Text(zh=f"最多{limit}项，收到{len(items)}项。", en=f"At most {limit} items; got {len(items)}."),
            Text(zh="请分批提交。", en="Send it in several parts."),
        )
        return False

    def _text(self, path: Path, raw: str, longest: int, *, lines: bool, empty: bool) -> str | None:
        text = unicodedata.normalize("NFC", raw).strip()
        if not text and not empty:
            self.add(ErrorCode.INVALID_TEXT, path, Text(zh="不能为空。", en="Must not be empty."))
        elif any(_forbidden(c) and not (lines and c in "\n\t") for c in text):
            self.add(
                ErrorCode.INVALID_TEXT,
                path,
                Text(zh="含有不可见的控制字符。", en="Contains invisible control characters."),
                Text(zh="请重新键入，不要粘贴格式符。", en="Type it again rather than paste formatting marks."),
            )
        elif len(text) > longest:
            self.add(
                ErrorCode.INVALID_TEXT,
                path,
                Text(
                    zh=f"最多{longest}个字，收到{len(text)}个。", en=f"At most {longest} characters; got {len(text)}."
                ),
            )
        else:
            return text
        return None


def idempotency_key_is_sound(key: str) -> bool:
    """Whether a key is 1 to 128 printable ASCII characters."""
    return _KEY.fullmatch(key) is not None


def _forbidden(character: str) -> bool:
    # Controls, lone surrogates, and marks that reorder or hide text.
    return unicodedata.category(character) in {"Cc", "Cs", "Cf"} and character != "\u200d"


def _short(text: str) -> str:
    clean = "".join("�" if _forbidden(c) else c for c in text)
    return clean if len(clean) <= 40 else clean[:39] + "…"
