"""Whether a scheme file has the shape that its JSON Schema describes (方案文件的结构).

The schema is package data, printed by `kaoping score --schema`, so that any other program can check files against the
same text. Of JSON Schema it uses, and this module knows, only what `violations` names.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from service.scoring.reading import one_of
from service.scoring.text import Text

Path = tuple[str, ...]
Schema = Mapping[str, Any]

_TYPES: Final = {
    "object": (Text("对象", "an object"), lambda value: isinstance(value, dict)),
    "array": (Text("列表", "a list"), lambda value: isinstance(value, list)),
    "string": (Text("文字", "text"), lambda value: isinstance(value, str)),
    "integer": (Text("整数", "a whole number"), lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "boolean": (Text("true或false", "true or false"), lambda value: isinstance(value, bool)),
    "null": (Text("null", "null"), lambda value: value is None),
}


@cache
def schema_text() -> str:
    """The JSON Schema of scheme files, as it is shipped."""
    return (files("service.scorefiles") / "scheme.schema.json").read_text("utf-8")


@cache
def _whole() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(schema_text())
    return schema


def misshapen(document: Any) -> list[tuple[Path, Text]]:
    """Every place where a document has not the shape of a scheme file, as (JSON path, what is wrong)."""
    return list(violations(_whole(), document, ()))


def violations(schema: Schema, value: Any, path: Path) -> Iterator[tuple[Path, Text]]:
    """$ref, anyOf, type, enum, const, pattern, lengths, bounds, required, properties, additionalProperties, items."""
    if "$ref" in schema:
        yield from violations(_named(schema), value, path)
        return
    if "anyOf" in schema:
        yield from _any_of(schema["anyOf"], value, path)
        return
    types = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    if types and not any(_TYPES[name][1](value) for name in types):
        named = [_TYPES[name][0] for name in types]
        yield path, Text("应为" + "或".join(t.zh for t in named), "must be " + " or ".join(t.en for t in named))
        return
    if "enum" in schema and value not in schema["enum"]:
        words = one_of([str(word) for word in schema["enum"] if word is not None])
        yield path, Text(f"不是可选值，{words.zh}", f"not among the choices; {words.en}")
    if "const" in schema and value != schema["const"]:
        yield path, Text(f"应为“{schema['const']}”", f'must be "{schema["const"]}"')
    if isinstance(value, str):
        yield from _text(schema, value, path)
    elif isinstance(value, int) and not isinstance(value, bool):
        if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            low, high = schema.get("minimum"), schema.get("maximum")
            yield path, Text(f"应在{low}到{high}之间", f"must be {low} to {high}")
    elif isinstance(value, list):
        yield from _list(schema, value, path)
    elif isinstance(value, dict):
        yield from _object(schema, value, path)


def _named(schema: Schema) -> Schema:
    found: Schema = _whole()["$defs"][schema["$ref"].removeprefix("#/$defs/")] if "$ref" in schema else schema
    return found


def _any_of(branches: list[Schema], value: Any, path: Path) -> Iterator[tuple[Path, Text]]:
    """What is wrong by the branch that is meant: null, or the one of the object's kind, or the first."""
    meant = [branch for branch in branches if branch.get("type") != "null"]
    if value is None and len(meant) < len(branches):
        return
    kinds = {kind: branch for branch in meant if (kind := _kind(branch)) is not None}
    if not kinds or not isinstance(value, dict):
        yield from violations(meant[0], value, path)
        return
    kind = value.get("kind")
    branch = kinds.get(kind) if isinstance(kind, str) else None
    if branch is None:
        words = one_of(list(kinds))
        yield (*path, "kind"), Text(f"不是可选值，{words.zh}", f"not among the choices; {words.en}")
        return
    yield from violations(branch, value, path)


def _kind(branch: Schema) -> str | None:
    kind: str | None = _named(branch).get("properties", {}).get("kind", {}).get("const")
    return kind


def _text(schema: Schema, value: str, path: Path) -> Iterator[tuple[Path, Text]]:
    if len(value) < schema.get("minLength", 0):
        yield path, Text("不能为空", "must not be empty")
    elif len(value) > schema.get("maxLength", len(value)):
        most = schema["maxLength"]
        yield path, Text(f"最多{most}字", f"at most {most} characters")
    elif "pattern" in schema and not re.search(schema["pattern"], value):
        yield path, Text("写法不合要求", "is not written as it must be")


def _list(schema: Schema, value: list[Any], path: Path) -> Iterator[tuple[Path, Text]]:
    if len(value) < schema.get("minItems", 0):
        least = schema["minItems"]
        yield path, Text(f"至少{least}项", f"at least {least} entries")
    if len(value) > schema.get("maxItems", len(value)):
        most = schema["maxItems"]
        yield path, Text(f"至多{most}项", f"at most {most} entries")
        return
    if "items" in schema:
        for place, entry in enumerate(value):
            yield from violations(schema["items"], entry, (*path, str(place)))


def _object(schema: Schema, value: dict[str, Any], path: Path) -> Iterator[tuple[Path, Text]]:
    known: Mapping[str, Schema] = schema.get("properties", {})
    for name in schema.get("required", ()):
        if value.get(name) is None:
            yield (*path, name), Text(f"缺少“{name}”", f'"{name}" is missing')
    for name, entry in value.items():
        if name in known:
            if entry is not None or name not in schema.get("required", ()):
                yield from violations(known[name], entry, (*path, name))
        elif schema.get("additionalProperties") is False:
            yield (*path, name), Text(f"不认识“{name}”", f'"{name}" is not known here')
