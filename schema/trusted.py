"""The manifest of trusted documents, in the forms in which frontends' tools write it (受信文档清单).

GraphQL Code Generator (`persisted-documents.json`) and relay-compiler (`persistConfig.file`) write one JSON object of
hash → text; Apollo (`generate-persisted-query-manifest`) writes
`{"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{id, name, type, body}]}`. An id that looks
like a hash must be the hash of its text; tools may be told to use ids of another kind, which are taken as they are.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import orjson

from service.settings import SettingsError

MOST_BYTES = 64 * 1024 * 1024
"""Length of a manifest."""

MOST_DOCUMENTS = 10_000
"""Documents of a manifest."""

MOST_FAULTS = 50
"""Faults that are told; what is wrong with one document is often wrong with all."""

LONGEST_ID = 200
"""Characters of an id."""

APOLLO = "apollo-persisted-query-manifest"

_HASHES = {32: "md5", 40: "sha1", 64: "sha256"}
_HEX = re.compile(r"[0-9a-f]+", re.ASCII)


class TrustedError(SettingsError):
    """The manifest can't be trusted as it is."""

    def __init__(self, path: Path, faults: list[str]) -> None:
        told = faults[:MOST_FAULTS]
        if len(faults) > MOST_FAULTS:
            told.append(f"and {len(faults) - MOST_FAULTS} more faults.")
        super().__init__([f"KAOPING_TRUSTED_DOCUMENTS ({path}): {fault}" for fault in told])


def read_manifest(path: Path) -> tuple[dict[str, str], list[str]]:
    """Id → text of each document whose entry is sound, and what is wrong with the others.

    Raises TrustedError where there is no manifest to read.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise TrustedError(path, [f"The file has more than {MOST_BYTES} bytes."])
        manifest = orjson.loads(path.read_bytes())
    except OSError as error:
        raise TrustedError(path, [f"The file can't be read: {error.strerror or error}."]) from error
    except orjson.JSONDecodeError as error:
        raise TrustedError(path, [f"The file is not JSON in UTF-8: line {error.lineno}, {error.msg}."]) from error
    documents: dict[str, str] = {}
    faults: list[str] = []
    for place, document_id, text in _entries(path, manifest):
        fault = _fault(document_id, text)
        if fault is not None:
            faults.append(f"{place}: {fault}")
        elif documents.setdefault(str(document_id), str(text)) != text:
            faults.append(f"{place}: the id stands for two documents.")
    return documents, faults


def _entries(path: Path, manifest: object) -> Iterator[tuple[str, object, object]]:
    """Place, id and text of each entry."""
    if not isinstance(manifest, dict):
        raise TrustedError(path, ["The file is not a JSON object of id → document."])
    if "format" not in manifest:
        entries: list[tuple[str, object, object]] = [
            (f"Document {document_id[:80]}", document_id, text) for document_id, text in manifest.items()
        ]
    elif manifest["format"] != APOLLO or manifest.get("version") != 1:
        raise TrustedError(path, [f'The file has a "format", but not "{APOLLO}" in version 1.'])
    elif not isinstance(manifest.get("operations"), list):
        raise TrustedError(path, ['"operations" is not a list.'])
    else:
        entries = [
            (f"operations[{index}]", each.get("id"), each.get("body"))
            if isinstance(each, dict)
            else (f"operations[{index}]", None, None)
            for index, each in enumerate(manifest["operations"])
        ]
    if not entries:
        raise TrustedError(path, ["The manifest has no document."])
    if len(entries) > MOST_DOCUMENTS:
        raise TrustedError(path, [f"The manifest has {len(entries)} documents, the limit is {MOST_DOCUMENTS}."])
    yield from entries


def _fault(document_id: object, text: object) -> str | None:
    """What is wrong with an entry, apart from its GraphQL."""
    if not isinstance(document_id, str) or not 0 < len(document_id) <= LONGEST_ID:
        return f"its id is not a text of 1 to {LONGEST_ID} characters."
    if not isinstance(text, str):
        return "it is not a text."
    told = document_id.removeprefix("sha256:")
    algorithm = _HASHES.get(len(told)) if _HEX.fullmatch(told) else None
    if told != document_id and algorithm != "sha256":
        return "what follows sha256: is not one."
    if algorithm is None:
        return None
    # MD5 and SHA-1 are what these tools write; what is trusted is the file, not its hashes.
    made = hashlib.new(algorithm, text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
    return None if made == told else f"the {algorithm.upper()} of its text is {made}."
