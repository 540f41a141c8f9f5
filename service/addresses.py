"""Where servers of one's own are, and which of them do not answer (服务器地址): never with user and password."""

import socket
from typing import Final
from urllib.parse import urlsplit

from service.settings import PREFIX, Address, Settings

PORTS: Final = {"postgresql": 5432, "postgres": 5432, "redis": 6379, "rediss": 6379}
"""Where servers listen unless their address says otherwise."""

ANSWER_SECONDS: Final = 3.0
"""How long a server may take to be called silent, once something has failed."""

DATABASES: Final[tuple[Address, ...]] = ("database_url", "database_owner_url")


def place_of(url: str) -> str:
    """Host, port and database of an address, without user and password."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    host = parts.hostname or "a local socket"
    return f"{f'[{host}]' if ':' in host else host}:{parts.port or PORTS[parts.scheme]}{parts.path}"


def unanswered(settings: Settings, error: OSError) -> str:
    """What to say of a failure to reach the database: which setting names it, where it is, and what to do.

    What fails far below names no server, so each one that may have been meant is asked again.
    """
    urls = {name: url.get_secret_value() for name in DATABASES if (url := getattr(settings, name)) is not None}
    silent = {name: reason for name, url in urls.items() if (reason := _silence(url)) is not None}
    lines = [
        f"  - {PREFIX}{name.upper()} names {place_of(url)}" + (f": {silent[name]}" if silent else "")
        for name, url in urls.items()
        if name in silent or not silent
    ]
    if silent:
        head = "The database does not answer."
        mend = "Start it, or correct the setting; look at firewalls and network policies between."
    else:
        head = f"The database takes connections, and did not answer as it should: {str(error) or type(error).__name__}"
        mend = "Look at its own log, and at whether both sides want TLS."
    return "\n".join([head, *lines, f"{mend} `kaoping doctor` tells more."])


def _silence(url: str) -> str | None:
    """Why nobody can be reached at an address; None where somebody can, or where it is no place of the network."""
    parts = urlsplit(url)
    if not parts.hostname:
        return None
    try:
        socket.create_connection((parts.hostname, parts.port or PORTS[parts.scheme]), ANSWER_SECONDS).close()
    except OSError as error:
        return error.strerror or str(error)
    return None
