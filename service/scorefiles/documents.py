"""Reading a scheme file (读取方案文件): JSON, its shape, and the engine's own checks, as one list of faults."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from service.scorefiles.faults import FileFault, quoted
from service.scorefiles.shape import misshapen
from service.scoring import Fault, Scheme, parse_scheme
from service.scoring.text import Text

Path = tuple[str, ...]


class _Repeated(ValueError):
    """A key that stands twice in one object."""


def read_document(name: str, data: bytes, faults: list[FileFault]) -> dict[str, Any] | None:
    """The JSON object of a file; None after noting why there is none."""
    text = data.removeprefix(b"\xef\xbb\xbf")
    try:
        # It refuses what JSON does not know, NaN, lone surrogates, unending nesting, and says where.
        orjson.loads(text)
        # It keeps whole numbers of any length as they are, and sees keys that stand twice.
        document = json.loads(text, object_pairs_hook=_once)
    except orjson.JSONDecodeError as error:
        reason = error.msg.partition(": line ")[0]
        place = str(error.lineno) if error.pos else ""
        faults.append(FileFault(name, place, Text(f"不是有效的JSON：{reason}", f"not JSON: {reason}")))
        return None
    except _Repeated as error:
        key = quoted(str(error))
        faults.append(
            FileFault(name, "", Text(f"键“{key}”在同一对象中重复", f'the key "{key}" stands twice in an object'))
        )
        return None
    except (RecursionError, ValueError):
        faults.append(
            FileFault(name, "", Text("JSON嵌套太深或数字太长", "JSON nested too deep, or with too long a number"))
        )
        return None
    if not isinstance(document, dict):
        faults.append(FileFault(name, "", Text("方案文件应为JSON对象", "a scheme file is a JSON object")))
        return None
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _Repeated(next(key for key in keys if keys.count(key) > 1))
    return found


def read_scheme_file(
    name: str, data: bytes, faults: list[FileFault], warnings: list[FileFault]
) -> tuple[Scheme | None, dict[str, Any]]:
    """The scheme of a file and its JSON; no scheme after noting every fault."""
    document = read_document(name, data, faults)
    if document is None:
        return None, {}
    scheme, noted = parse_scheme(document)
    places = _Places(document)
    told: list[Path] = []
    for fault in noted:
        path = places.of(fault)
        told.append(path)
        (warnings if fault.severity == "WARNING" else faults).append(
            FileFault(name, pointer(path), fault.text, fault.hint)
        )
    for path, text in misshapen(document):
        # The engine says the same of most places, and in more words.
        if not any(path[: len(other)] == other or other[: len(path)] == path for other in told):
            faults.append(FileFault(name, pointer(path), text))
            scheme = None
    return scheme, document


def pointer(path: Iterable[str]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


class _Places:
    """Where in the JSON a fault of the engine is: it names nodes by their codes from the root."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        nodes = document.get("indicators")
        self._index: dict[str, int] = {}
        for place, node in enumerate(nodes if isinstance(nodes, list) else ()):
            if isinstance(node, dict) and isinstance(node.get("code"), str):
                self._index.setdefault(node["code"], place)

    def of(self, fault: Fault) -> Path:
        code = fault.indicator
        if code is None or code not in self._index or code not in fault.path or fault.path[:1] == ("indicators",):
            return fault.path
        below = fault.path[fault.path.index(code) + 1 :]
        return ("indicators", str(self._index[code]), *below)
