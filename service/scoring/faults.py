"""Faults of an input (问题清单): where, what is wrong, what would mend it, in both languages and all at once."""

from dataclasses import dataclass
from typing import Final, Literal

from service.scoring.text import Text

FaultCode = Literal["INVALID", "DUPLICATE"]
Severity = Literal["FAULT", "WARNING"]
Path = tuple[str, ...]

FAULT_LIMIT: Final = 1_000
"""Most faults that one check lists; a file that is wrong everywhere needs no longer list to be mended."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, or (severity WARNING) that should be looked at.

    path: codes from the root to the node, then the setting, such as ("ROOT", "A", "A1", "rule", "bands", "2", "from");
    settings of the scheme begin with "settings". indicator: code of the node at fault; None for settings.
    category: key of the category for which it is wrong; None for all.
    """

    code: FaultCode
    path: Path
    text: Text
    hint: Text | None = None
    severity: Severity = "FAULT"
    indicator: str | None = None
    category: str | None = None


class InvalidInput(ValueError):
    """Raised where values can't be computed with, though the scheme is sound; carries every fault."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{'/'.join(fault.path)}: {fault.text.en}" for fault in faults[:5]))
        self.faults = faults
