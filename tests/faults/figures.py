"""What happened while things were broken, counted."""

from dataclasses import dataclass, field, fields


@dataclass
class Figures:
    """What happened, in one test or in all of a run."""

    requests: int = 0
    effects: int = 0
    crashes: int = 0
    reaped: int = 0
    fenced: int = 0
    dead: int = 0
    lost: int = 0
    doubled: int = 0
    notes: list[str] = field(default_factory=list)

    def __add__(self, other: "Figures") -> "Figures":
        """Of both."""
        return Figures(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def __str__(self) -> str:
        """In a line, and a line for each note."""
        counted = (
            f"{self.requests:,} requests, {self.effects:,} effects, {self.crashes} workers killed, "
            f"{self.reaped} jobs taken from lost workers, {self.fenced} fenced commits, "
            f"{self.dead} dead and retried, {self.lost} lost, {self.doubled} doubled"
        )
        return "\n".join([counted, *self.notes])
