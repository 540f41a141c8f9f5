"""How rules are declared (计分规则声明): one declaration per kind makes its type and its input.

    @rule("LINEAR")
    class LinearRule(ScoringRule):
        '''F·clamp((x−a)/(b−a), 0, 1) (按比例计分).'''

        quantity: Quantity = parameter("x, the settled value or a ratio of combinations.")
        zero_at: Decimal = parameter("a, where nothing is earned; above b where lower is better.")
        clamp: bool = parameter("False lets the score leave 0 to F.", default=True)

declares the type LinearRule, the input LinearRuleInput, and the field `linear` of ScoringRuleInput; `rule_document`
reads the input into the rule of a scheme document. Parameters have the same names in and out, but that a data item is
an id going in (`dataItemId`) and an object coming out. `part` does so for the value objects that rules are made of.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, TypeVar, cast

from strawberry import UNSET
from strawberry.utils.str_converters import to_camel_case

from schema.context import Context
from schema.mapping import ID, by_ids, column, described, document, input_type, relation, value
from schema.scalars import DecimalText
from service.errors import Path
from service.language import say
from service.schemes import AsTyped
from service.scoring import Text

T = TypeVar("T")

Reads = Literal["plain", "decimal", "line", "item", "units", "part", "parts"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a rule or part, before its type is made."""

    description: str
    default: Any


@dataclass(frozen=True)
class Read:
    """How a parameter of an input gets into the document: its names there, and what stands in it."""

    attribute: str
    field: str
    key: str
    reads: Reads
    part: str | None = None


PARTS: dict[str, tuple[Read, ...]] = {}
"""Parameters of every rule and part, by the name of its type."""

KINDS: dict[str, str] = {}
"""Type of every kind of rule."""


def parameter(description: str, *, default: Any = ...) -> Any:
    """A parameter; its annotation says what it is. Annotated `| None` it may be left out, as with a default."""
    return Parameter(description, default)


def part(cls: type[T]) -> type[T]:
    """Make a value object and its input of one declaration."""
    return _make(cls, ())


def rule(kind: str, *, outside: bool = False) -> Callable[[type[T]], type[T]]:
    """Make a rule's type and its input of one declaration; `outside` the sum of the tree, where it has no marks F."""

    def decorate(cls: type[T]) -> type[T]:
        KINDS[kind] = cls.__name__
        full = (
            "full",
            DecimalText | None,
            described("F, where it is neither the printed points nor 100."),
        )
        return _make(cls, () if outside else (full,))

    return decorate


def _make(cls: type[T], first: tuple[tuple[str, Any, Any], ...]) -> type[T]:
    name, words = cls.__name__, inspect.cleandoc(cls.__doc__ or "")
    reads = [Read("full", "full", "full", "decimal") for _ in first]
    given: dict[str, Any] = {"__doc__": words, "__module__": cls.__module__, "__annotations__": {}}
    for attribute, annotation, field in first:
        given["__annotations__"][attribute], given[attribute] = annotation, field
    for attribute, annotation in inspect.get_annotations(cls).items():
        declared = vars(cls).get(attribute)
        if not isinstance(declared, Parameter):
            continue
        made = _read(attribute, annotation)
        reads.append(made)
        setattr(cls, attribute, _shown(declared.description, made))
        default = declared.default
        typed = _typed(annotation, made)
        if made.reads == "parts" and default == []:
            typed, default = f"{typed} | None", ...
        given["__annotations__"][made.attribute] = typed
        plain = {"default": default} if default is not ... else {}
        given[made.attribute] = described(declared.description, **plain)
    PARTS[name] = tuple(reads)
    input_type(type(f"{name.removesuffix('Info')}Input", (), given))
    return value(cls)


def _read(attribute: str, annotation: Any) -> Read:
    plain = attribute.rstrip("_")
    key = to_camel_case(plain)
    bare = _bare(annotation)
    if bare == "Decimal":
        return Read(attribute, key, key, "decimal")
    if bare == "str":
        return Read(attribute, key, key, "line")
    if bare == "DataItem":
        return Read(f"{plain}_id", f"{key}Id", key, "item")
    if bare == "list[OrgUnit]":
        return Read("responsible_unit_ids", "responsibleUnitIds", key, "units")
    if bare.removeprefix("list[").removesuffix("]") in PARTS:
        inner = bare.removeprefix("list[").removesuffix("]")
        return Read(attribute, key, key, "parts" if bare.startswith("list[") else "part", inner)
    return Read(attribute, key, key, "plain")


def _bare(annotation: Any) -> str:
    """An annotation's name without `| None`: classes stand in it as themselves, later ones as text."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    bare = text.removesuffix(" | None").removeprefix("list[").removesuffix("]").rpartition(".")[2]
    return f"list[{bare}]" if text.startswith("list[") else bare


def _typed(annotation: Any, made: Read) -> Any:
    """What the input asks for."""
    optional = " | None" if str(annotation).endswith("| None") else ""
    match made.reads:
        case "decimal":
            return DecimalText | None if optional else DecimalText
        case "item":
            return ID | None if optional else ID
        case "units":
            return list[ID]
        case "part":
            return f"{made.part}Input{optional}"
        case "parts":
            return f"list[{made.part}Input]{optional}"
    return annotation


def _shown(description: str, made: Read) -> Any:
    """Where the output's field lives in the document."""
    if made.reads == "item":
        return relation(description, on={made.key: "id"})
    if made.reads == "units":
        return by_ids(description, made.key)
    if made.part is None:
        return column(description, made.key)
    if not _has_words(made.part):
        if made.reads == "parts":
            # A rule may have been written before it could have any.
            return document(description, sql=f"coalesce(nullif({{t}} -> '{made.key}', 'null'), '[]')")
        return document(description, made.key)
    items = "jsonb_build_object('dataItems', {t} -> 'dataItems')"
    if made.reads == "parts":
        return document(
            description,
            sql=f"""(SELECT coalesce(jsonb_agg(ee.v || {items} ORDER BY ee.o), '[]')
                     FROM jsonb_array_elements({{t}} -> '{made.key}') WITH ORDINALITY AS ee(v, o))""",
        )
    return document(
        description,
        sql=f"CASE WHEN jsonb_typeof({{t}} -> '{made.key}') = 'object' THEN ({{t}} -> '{made.key}') || {items} END",
    )


def _has_words(name: str) -> bool:
    """Whether a part says something in words, for which it needs the names of data items."""
    return name == "Quantity" or any(each.part is not None and _has_words(each.part) for each in PARTS[name])


def rule_document(given: Any) -> dict[str, Any]:
    """The rule that a ScoringRuleInput says, as the use-case takes it."""
    for kind, name in KINDS.items():
        inner = getattr(given, kind.lower())
        if inner is not None and inner is not UNSET:
            return {"kind": kind, **part_document(name, inner, (to_camel_case(kind.lower()),))}
    raise LookupError("A rule's input has exactly one field.")


def part_document(name: str, given: Any, path: Path) -> dict[str, Any]:
    """An input as an object of a document: what was typed is still to be judged, at its place below `path`."""
    made: dict[str, Any] = {}
    for each in PARTS[name]:
        found = getattr(given, each.attribute)
        here = (*path, each.field)
        if found is None or found is UNSET:
            made[each.key] = [] if each.reads == "parts" else None
            continue
        match each.reads:
            case "decimal":
                made[each.key] = AsTyped(found, "DECIMAL", here)
            case "line":
                made[each.key] = AsTyped(found, "LINE", here)
            case "item":
                made[each.key] = AsTyped(found, "DataItem", here)
            case "units":
                made[each.key] = [AsTyped(one, "OrgUnit", (*here, str(place))) for place, one in enumerate(found)]
            case "part":
                made[each.key] = part_document(cast("str", each.part), found, here)
            case "parts":
                made[each.key] = [
                    part_document(cast("str", each.part), one, (*here, str(place))) for place, one in enumerate(found)
                ]
            case _:
                made[each.key] = found.name if isinstance(found, Enum) else found
    return made


def said(
    describe: Callable[[Mapping[str, Any]], Text],
) -> Callable[[Context, Sequence[Mapping[str, Any]]], Awaitable[Sequence[str]]]:
    """For `computed`: what a document says, in the caller's language."""

    async def say_all(context: Context, documents: Sequence[Mapping[str, Any]]) -> Sequence[str]:
        return [say(describe(document), context.language) for document in documents]

    return say_all
