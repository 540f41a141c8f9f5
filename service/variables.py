"""Variables of the environment that look like settings and are none (拼错的环境变量): each with what was meant."""

import difflib
import os
import re
from typing import Final

from service.settings import PREFIX, SECRETS, Settings

KNOWN: Final = frozenset(
    {name.upper() for name in Settings.model_fields} | {f"{name.upper()}_FILE" for name in SECRETS}
)
"""Settings, and files of secrets, without the prefix."""

# What Kubernetes tells every pod of a Service that is called kaoping or kaoping-…: KAOPING_SERVICE_HOST=10.0.0.1,
# KAOPING_WEB_PORT=tcp://10.0.0.1:80, KAOPING_PORT_80_TCP_ADDR=10.0.0.1.
_SERVICE = re.compile(
    r"(.+_)?(SERVICE_(HOST|PORT(_.+)?)|PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR))=.*|.+=(tcp|udp|sctp)://.+"
)


def unknown_variables() -> list[str]:
    """A sentence for each variable that begins like a setting and is ignored; its value is never told.

    They are no refusal: others may use the same beginning.
    """
    said = []
    for variable in sorted(os.environ):
        name = variable.upper().removeprefix(PREFIX)
        if name == variable.upper() or name in KNOWN or _SERVICE.fullmatch(f"{name}={os.environ[variable]}"):
            continue
        close = difflib.get_close_matches(name, KNOWN, n=1)
        meant = f"Was {PREFIX}{close[0]} meant?" if close else "README lists all settings."
        said.append(f"{variable} is no setting and is ignored. {meant}")
    return said
