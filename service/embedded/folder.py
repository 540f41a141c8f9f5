"""The data folder: what it remembers, who may change it, and what can be wrong with it."""

import contextlib
import dataclasses
import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from service.scoring.text import Text

SUPERUSER = "postgres"
LOGIN_ROLES = ("kp_migrate", "kp_app")

LOCK_SECONDS = 180.0
"""How long to wait for another process that is starting or stopping the servers of the folder."""

CONTENTS = ("postgres", "postgres.new", "redis", "servers.json", "signing.key", "demo.log", "kept", "lock", "users")
"""What Kaoping puts into a data folder; nothing else is ever removed from it."""

Report = Callable[[Text, float], None]
"""Told what was done and how many seconds it took."""


class EmbeddedError(Exception):
    """The embedded servers cannot be had; the message says why and what to do."""


def silent(_what: Text, _seconds: float) -> None:
    """Report nothing."""


@dataclasses.dataclass
class State:
    """What the folder remembers: passwords by role, the ports last used, and which roles.sql was run."""

    passwords: dict[str, str]
    postgres_port: int = 0
    redis_port: int = 0
    roles: str = ""


def prepared(data: Path) -> Path:
    """The folder, made where it is missing. Raises EmbeddedError where it is not ours to write in."""
    data = data.absolute()
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
    except OSError as error:
        raise EmbeddedError(
            f"The data folder {data} cannot be made: {error.strerror}. Choose another with KAOPING_DATA."
        ) from error
    if not os.access(data, os.W_OK | os.X_OK):
        raise EmbeddedError(not_ours(data))
    return data


def not_ours(data: Path) -> str:
    """What to say of a folder of somebody else."""
    return (
        f"The data folder {data} belongs to another user ({_owner(data)}). Run the command as that user, or choose "
        "another folder with KAOPING_DATA."
    )


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, OSError):
        return "unknown"


@contextlib.contextmanager
def alone(data: Path) -> Iterator[None]:
    """Hold the folder's lock. A process that dies gives it back by that."""
    try:
        file = (data / "lock").open("a")
    except PermissionError as error:
        raise EmbeddedError(not_ours(data)) from error
    with file:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedError(
                        f"Another process has been starting or stopping the servers of {data} for "
                        f"{LOCK_SECONDS:.0f} seconds. Look for it, end it, and try again."
                    ) from None
                time.sleep(0.05)
        yield


def read_state(data: Path) -> State | None:
    """What the folder remembers; None where it is new."""
    path = data / "servers.json"
    try:
        return State(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise EmbeddedError(not_ours(data)) from error
    except (ValueError, TypeError) as error:
        raise EmbeddedError(
            f"{path} is damaged. Remove the folder's data with `kaoping embedded remove` and start again."
        ) from error


def write_state(data: Path, state: State) -> None:
    """Remember; readable by the owner only, and never half written."""
    draft = data / "servers.json.new"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(dataclasses.asdict(state), file)
    draft.replace(data / "servers.json")


def new_state() -> State:
    """The passwords of a new folder."""
    return State(passwords={name: secrets.token_urlsafe(24) for name in (SUPERUSER, *LOGIN_ROLES, "redis")})


def indented(text: str) -> str:
    """The end of a program's output, for an error's message."""
    return "\n".join("    " + line for line in text.strip().splitlines()[-15:])
