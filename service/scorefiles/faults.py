"""Faults of files (文件问题清单): in which file, where in it, what is wrong, in both languages and all at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.language import Language, say
from service.scoring.text import Text

SHOWN = 300
"""Most characters of one sentence; a cell that is wrong may be very long."""


@dataclass(frozen=True, slots=True)
class FileFault:
    """One thing that is wrong. place: line of a CSV file, JSON pointer of a scheme file, empty for the whole file."""

    file: str
    place: str
    text: Text
    hint: Text | None = None

    def line(self, language: Language) -> str:
        """As one printable line: FILE:PLACE: what is wrong, what would mend it."""
        where = f"{self.file}:{self.place}" if self.place else self.file
        hint = "" if self.hint is None else say(Text(f"。{self.hint.zh}", f"; {self.hint.en}"), language)
        return _printable(f"{where}: {_cut(say(self.text, language))}{hint}")


class FaultyFilesError(ValueError):
    """Raised where files can't be scored; carries every fault, file by file."""

    def __init__(self, faults: Sequence[FileFault]) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = tuple(faults)


def quoted(text: str) -> str:
    """What stands in a file, for a sentence: not too long."""
    return text if len(text) <= 40 else text[:39] + "…"


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _printable(text: str) -> str:
    """Without characters that could steer a terminal or break the line."""
    return "".join(
        char if char.isprintable() or char == "\u3000" else char.encode("unicode_escape").decode() for char in text
    )
