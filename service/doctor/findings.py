"""What a check found."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "warning", "wrong", "unseen"]


@dataclass(frozen=True)
class Finding:
    """One thing that is well, doubtful or wrong (with what mends it), or could not be seen."""

    check: str
    state: State
    what: str
    mend: str | None = None

    def as_json(self) -> dict[str, str | None]:
        """For a script."""
        return asdict(self)


class Findings:
    """Findings as they are made; a check may find several things wrong."""

    def __init__(self) -> None:
        self._found: list[Finding] = []
        self.issuers: dict[str, list[str]] = {}
        """Issuers of the directory, with the codes of their districts; filled in by whoever reads the database."""

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found)

    def has(self, check: str) -> bool:
        """Whether anything was found about it."""
        return any(finding.check == check for finding in self._found)

    def ok(self, check: str, what: str) -> None:
        """It is well."""
        self._found.append(Finding(check, "ok", what))

    def wrong(self, check: str, what: str, mend: str) -> None:
        """It is not, and this mends it."""
        self._found.append(Finding(check, "wrong", what, mend))

    def warning(self, check: str, what: str, mend: str) -> None:
        """It works, and is likely not what was meant."""
        self._found.append(Finding(check, "warning", what, mend))

    def unseen(self, check: str, what: str) -> None:
        """It could not be looked at."""
        self._found.append(Finding(check, "unseen", what))
