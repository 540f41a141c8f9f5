"""The ids that clients see (标识): opaque, the same for all tenants, and strict.

An id is the unpadded base64url of `TypeName:uuid`, in exactly one spelling. It names no tenant: what it finds is
decided by the transaction that looks it up, so an id of another tenant answers as one that does not exist.
"""

import base64
import binascii
import re
from uuid import UUID

MAX_LENGTH = 200
"""Characters of an id at most; no id of ours comes near."""

_ALPHABET = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_PLAIN = re.compile(r"([A-Za-z][A-Za-z0-9]*):([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})", re.ASCII)


def encode_id(type_name: str, uuid: UUID) -> str:
    """The id of a row of the GraphQL type `type_name`."""
    return to_base64url(f"{type_name}:{uuid}".encode("ascii"))


def decode_id(text: str, type_name: str) -> UUID | None:
    """The row's key, or None where `text` is not an id of this very type."""
    parsed = parse_id(text)
    return parsed[1] if parsed is not None and parsed[0] == type_name else None


def parse_id(text: str) -> tuple[str, UUID] | None:
    """Type name and key, or None where `text` is not spelled as `encode_id` spells it."""
    plain = from_base64url(text)
    if plain is None:
        return None
    match = _PLAIN.fullmatch(plain.decode("latin-1"))
    return (match[1], UUID(match[2])) if match else None


def id_sql(type_name: str, uuid_expression: str) -> str:
    """SQL for the text that `encode_id` makes of a uuid expression; null for null."""
    sql, size = _base64_sql(f"'{type_name}:' || ({uuid_expression})::text"), len(type_name) + _SUFFIX
    # No ASCII text gives "+" or "/", and whether "=" fills it up is known.
    if size > _LINE:
        sql = f"replace({sql}, E'\\n', '')"
    return f"replace({sql}, '=', '')" if size % 3 else sql


def base64url_sql(text_expression: str) -> str:
    """SQL for the unpadded base64url of a text's UTF-8 bytes."""
    # replace() is quick; translate() would look at each character.
    sql = _base64_sql(text_expression)
    for old, new in (("E'\\n'", "''"), ("'='", "''"), ("'+'", "'-'"), ("'/'", "'_'")):
        sql = f"replace({sql}, {old}, {new})"
    return sql


def _base64_sql(text_expression: str) -> str:
    return f"encode(convert_to({text_expression}, 'UTF8'), 'base64')"


_SUFFIX = len(":") + 36
"""Characters of an id beside the name of its type."""

_LINE = 57
"""Bytes that encode() writes in one line."""


def to_base64url(plain: bytes) -> str:
    """Unpadded base64url."""
    return base64.urlsafe_b64encode(plain).rstrip(b"=").decode("ascii")


def from_base64url(text: str, *, max_length: int = MAX_LENGTH) -> bytes | None:
    """The bytes, or None where the text is too long, not of the alphabet, or not the one spelling of its bytes."""
    if len(text) > max_length or not _ALPHABET.fullmatch(text):
        return None
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        return None
    return plain if to_base64url(plain) == text else None
