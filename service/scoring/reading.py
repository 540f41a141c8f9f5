"""Reading a document that people wrote (读取与校验): typed access that notes every fault with its path and goes on."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from service.scoring.faults import Fault, FaultCode, Path, Severity
from service.scoring.numbers import parse_decimal, show
from service.scoring.text import Text

_ABSENT = object()


class Sink:
    """Collects faults, and knows which indicator they are about."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.indicator: str | None = None

    def add(
        self,
        path: Path,
        text: Text,
        hint: Text | None = None,
        *,
        code: FaultCode = "INVALID",
        severity: Severity = "FAULT",
        category: str | None = None,
    ) -> None:
        """Note one fault."""
        self.faults.append(Fault(code, path, text, hint, severity, self.indicator, category))

    def named(self, path: Path) -> bool:
        """Whether a fault of this place was noted already, so that it need not be said again in other words."""
        return any(fault.path == path for fault in self.faults)


class Reader:
    """One object of the document. Keys that nobody asked for are faults when `finish` is called."""

    def __init__(self, data: Mapping[str, Any], path: Path, sink: Sink) -> None:
        self.data = data
        self.path = path
        self.sink = sink
        self._known: set[str] = set()

    def fault(self, name: str | Path, text: Text, hint: Text | None = None, *, code: FaultCode = "INVALID") -> None:
        """A fault of one key of this object, or of a path below it; () means the object itself."""
        below = (name,) if isinstance(name, str) else name
        self.sink.add((*self.path, *below), text, hint, code=code)

    def _get(self, name: str) -> Any:
        self._known.add(name)
        value = self.data.get(name)
        return _ABSENT if value is None else value

    def has(self, name: str) -> bool:
        """Whether the key is there and not null."""
        return self._get(name) is not _ABSENT

    def _missing(self, name: str) -> None:
        self.fault(name, Text(f"缺少“{name}”", f'"{name}" is missing'))

    def text(self, name: str, *, required: bool = True, limit: int = 1_000) -> str | None:
        """A string that is not blank; None if it is absent or wrong."""
        value = self._get(name)
        if value is _ABSENT:
            if required:
                self._missing(name)
            return None
        if not isinstance(value, str) or not value.strip():
            self.fault(name, Text("应为非空文字", "must be text that is not blank"))
            return None
        if len(value) > limit:
            self.fault(name, Text(f"文字超过{limit}字", f"longer than {limit} characters"))
            return None
        return value

    def decimal(
        self,
        name: str,
        *,
        required: bool = True,
        default: Fraction | None = None,
        least: Fraction | int | None = None,
        most: Fraction | int | None = None,
        above: Fraction | int | None = None,
    ) -> Fraction | None:
        """An exact number within bounds; the default (or None) if it is absent or wrong."""
        value = self._get(name)
        if value is _ABSENT:
            if required and default is None:
                self._missing(name)
            return default
        parsed = parse_decimal(value) if isinstance(value, str) else None
        if isinstance(value, int) and not isinstance(value, bool):
            parsed = parse_decimal(str(value))
        if parsed is None:
            self.fault(
                name,
                Text("应为十进制数", "must be a plain decimal"),
                Text(
                    '写成字符串，如"0.5"；不用指数、全角数字和千位分隔符，至多38位',
                    'a string such as "0.5": no exponent, at most 38 digits',
                ),
            )
            return default
        number = Fraction(parsed)
        if least is not None and number < least:
            self.fault(name, Text(f"不能小于{show(Fraction(least))}", f"must be at least {show(Fraction(least))}"))
            return default
        if above is not None and number <= above:
            self.fault(name, Text(f"必须大于{show(Fraction(above))}", f"must be above {show(Fraction(above))}"))
            return default
        if most is not None and number > most:
            self.fault(name, Text(f"不能大于{show(Fraction(most))}", f"must be at most {show(Fraction(most))}"))
            return default
        return number

    def whole(self, name: str, *, default: int | None = None, least: int, most: int) -> int | None:
        """A whole number (a JSON number) within bounds."""
        value = self._get(name)
        if value is _ABSENT:
            if default is None:
                self._missing(name)
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.fault(name, Text(f"应为{least}到{most}的整数", f"must be a whole number from {least} to {most}"))
            return default
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """true or false."""
        value = self._get(name)
        if value is _ABSENT:
            return default
        if not isinstance(value, bool):
            self.fault(name, Text("应为true或false", "must be true or false"))
            return default
        return value

    def choice(self, name: str, options: Iterable[str], *, default: str | None = None) -> str | None:
        """One word of a closed list."""
        value = self._get(name)
        if value is _ABSENT:
            if default is None:
                self._missing(name)
            return default
        listed = list(options)
        if value not in listed:
            self.fault(name, Text(f"“{value}”不是可选值", f'"{value}" is not among the choices'), one_of(listed))
            return default
        return str(value)

    def texts(self, name: str) -> list[str]:
        """A list of strings, each once; empty if absent."""
        value = self._get(name)
        if value is _ABSENT:
            return []
        if not isinstance(value, Sequence) or isinstance(value, str):
            self.fault(name, Text("应为列表", "must be a list"))
            return []
        found: list[str] = []
        for place, entry in enumerate(value):
            if not isinstance(entry, str) or not entry:
                self.fault((name, str(place)), Text("应为文字", "must be text"))
            elif entry in found:
                self.fault((name, str(place)), Text(f"“{entry}”重复", f'"{entry}" is repeated'), code="DUPLICATE")
            else:
                found.append(entry)
        return found

    def inner(self, name: str, *, required: bool = True) -> "Reader | None":
        """An object within."""
        value = self._get(name)
        if value is _ABSENT:
            if required:
                self._missing(name)
            return None
        if not isinstance(value, Mapping):
            self.fault(name, Text("应为对象", "must be an object"))
            return None
        return Reader(value, (*self.path, name), self.sink)

    def each(self, name: str, *, required: bool = False, limit: int = 2_000) -> list["Reader"]:
        """The objects of a list within; empty if absent."""
        value = self._get(name)
        if value is _ABSENT:
            if required:
                self._missing(name)
            return []
        if not isinstance(value, Sequence) or isinstance(value, str):
            self.fault(name, Text("应为列表", "must be a list"))
            return []
        if len(value) > limit:
            self.fault(
                name, Text(f"至多{limit}项，现有{len(value)}项", f"at most {limit} entries, there are {len(value)}")
            )
            return []
        found = []
        for place, entry in enumerate(value):
            if isinstance(entry, Mapping):
                found.append(Reader(entry, (*self.path, name, str(place)), self.sink))
            else:
                self.fault((name, str(place)), Text("应为对象", "must be an object"))
        return found

    def ignore(self, *names: str) -> None:
        """Keys that may be there and mean nothing here."""
        self._known.update(names)

    def finish(self) -> None:
        """Name the keys that nobody asked for."""
        for name in self.data:
            if name not in self._known:
                self.fault(
                    str(name), Text(f"不认识“{name}”", f'"{name}" is not known here'), one_of(sorted(self._known))
                )


def one_of(options: Sequence[str]) -> Text:
    """A hint that lists what is possible."""
    return Text("可选：" + "、".join(options), "one of: " + ", ".join(options))
