"""Reading a scheme file (方案导入): the document that an export gives becomes a draft.

The file names categories, data items and units by code. What it names must be there, but for data items, which may
be added. What is wrong with the scheme itself (sums that do not add up) is a fault of the draft; what can't be read or
kept is refused, all at once, with its place in the file.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import orjson

from service.access import Actor, Role
from service.audit import append
from service.checks import Check
from service.errors import ErrorCode, Path
from service.ids import encode_id
from service.items import MOST_ITEMS, DataItemSpec, ItemRow, OptionSpec, check_item, insert_items
from service.schemes.nodes import CategoryPoints, IndicatorSpec, check_indicator, write_nodes
from service.schemes.rules import RULE_KINDS, References, translate, with_units
from service.schemes.settings import (
    DISCLOSED,
    PUBLICATION_KINDS,
    SETTING_NAMES,
    default_settings,
    read_settings,
)
from service.schemes.tree import IndicatorRow, check_rows, put_tree
from service.schemes.versions import check_code_is_free, insert_scheme, insert_version, require_no_draft
from service.schemes.words import RELATIONS
from service.scoring import Scheme, Text
from service.scoring.document import read_scheme
from service.scoring.numbers import format_decimal
from service.scoring.quantities import read_quantity
from service.scoring.reading import Reader, Sink
from service.scoring.rules.award import AwardRule
from tenants.database import Transaction
from tenants.ids import uuid7

MOST_BYTES: Final = 4 * 1024 * 1024
"""UTF-8 bytes of a scheme file."""

ROUTES: Final = ("TERRITORIAL", "DEPARTMENTAL")
UNIT_KINDS: Final = ("COMMITTEE", "GENERAL_BRANCH", "BRANCH", "DEPARTMENT")
LEVELS: Final = ("ALL", "BEST", "NONE")
SOURCES: Final = ("REPORTED", "REVIEWED", "ASSIGNED")

_HERE: Final[Path] = ("input", "document")


async def import_scheme(
    tx: Transaction,
    actor: Actor,
    *,
    document: str,
    scheme_id: str | None = None,
    create_missing_data_items: bool = True,
) -> UUID:
    """Make a draft of a scheme file, of a new scheme or as the next version of one; the draft's id.

    Raises AccessDenied, Invalid, NotFound, and IllegalState where that scheme has a draft already.
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    key = None if scheme_id is None else check.id(("input", "schemeId"), scheme_id, "Scheme")
    scheme, chosen = _read_file(check, document)
    check.done()
    assert scheme is not None
    if key is not None:
        await require_no_draft(tx, key, ("input", "schemeId"))
    code, name = str(scheme.words.get("code") or ""), str(scheme.words.get("name") or "")
    label = scheme.words.get("label")
    if key is None:
        clean_code = check.code((*_HERE, "code"), code)
        name = check.line((*_HERE, "name"), name) or code
        await check_code_is_free(tx, check, (*_HERE, "code"), clean_code)
    if label is not None:
        label = check.line((*_HERE, "label"), str(label))
    categories = await _categories(tx, check, scheme)
    units = await _units(tx, check, scheme)
    known, missing = await _data_items(tx, check, scheme, units, create=create_missing_data_items)
    settings = _settings(check, scheme)
    if not chosen:
        settings["notApplicablePolicy"] = None
    # Ids of items that are still to be made are not known yet; any will do to judge the rows.
    stand_in = {item: known.get(item, item) for item in scheme.data_items}
    rows = [
        IndicatorRow(
            indicator=_spec(scheme, node.document(), categories, units, stand_in),
            parent_code=None if node.parent_code == scheme.root.code else node.parent_code,
        )
        for node in scheme.indicators
    ]
    places = {node.code: place for place, node in enumerate(scheme.indicators)}
    root_place = places[scheme.root.code]
    root = check_indicator(check, (*_HERE, "indicators", str(root_place)), rows[root_place].indicator, References())
    judged = check_rows(
        check,
        [(row, (*_HERE, "indicators", str(place)), ()) for place, row in enumerate(rows) if place != root_place],
        References(),
    )
    check.done()
    assert root is not None
    marks = Decimal(format_decimal(scheme.full_marks))
    made = await insert_items(tx, list(missing.values()))
    added = {item: str(item_id) for item, item_id in zip(missing, made, strict=True)}
    for node, _ in judged:
        node.rule, node.checks = translate(node.rule, added), translate(node.checks, added)
    into = await insert_scheme(tx, code, name) if key is None else key
    version_id = await insert_version(
        tx,
        into,
        weighting=scheme.weighting,
        full_marks=marks,
        categories=[categories[category.code] for category in scheme.categories],
        settings=translate(translate(settings, known), added),
        label=label,
    )
    root.id = uuid7()
    if scheme.weighting == "POINTS" and root.points is None:
        root.points = marks
    await write_nodes(tx, version_id, [root])
    await put_tree(tx, version_id, [root], judged)
    await append(
        tx,
        actor,
        "importScheme",
        subject=("SchemeVersion", version_id),
        summary=Text(
            zh=f"导入方案“{name}”：指标{len(judged)}项，新增数据项{len(made)}项",
            en=f'Imported the scheme "{name}": {len(judged)} indicators, {len(made)} new data items',
        ),
        facts={"newDataItems": list(missing)},
    )
    return version_id


def _read_file(check: Check, text: str) -> tuple[Scheme | None, bool]:
    """The scheme as far as it can be read, and whether it says what becomes of what does not apply.

    What can't be read is noted.
    """
    size = len(text.encode(errors="surrogatepass"))
    if size > MOST_BYTES:
        check.add(
            ErrorCode.TOO_LARGE,
            _HERE,
            Text(zh=f"方案文件最大{MOST_BYTES}字节，收到{size}字节。", en=f"At most {MOST_BYTES} bytes; got {size}."),
        )
        return None, False
    try:
        document = orjson.loads(text)
    except ValueError as error:
        check.invalid(_HERE, f"不是有效的JSON：{error}。", f"This is not JSON: {error}.")
        return None, False
    if not isinstance(document, dict):
        check.invalid(_HERE, "方案文件应为JSON对象。", "A scheme file is a JSON object.")
        return None, False
    sink = Sink()
    scheme = read_scheme(document, sink)
    given = document.get("settings")
    chosen = isinstance(given, dict) and given.get("notApplicablePolicy") is not None
    for fault in sink.faults:
        # A draft may leave this open; it is told again when the draft is checked.
        if not chosen and fault.path == ("settings", "notApplicablePolicy"):
            continue
        if fault.severity == "FAULT":
            check.add(ErrorCode(fault.code), (*_HERE, *fault.path), fault.text, fault.hint)
    if scheme is not None and not check.found:
        _refuse_unknown(check, document, scheme)
    return scheme, chosen


def _refuse_unknown(check: Check, document: Mapping[str, Any], scheme: Scheme) -> None:
    """What the engine can read and this program does not keep: dropping it silently would change results."""
    settings = document.get("settings") or {}
    for name, value in settings.items():
        if name not in SETTING_NAMES and value not in (None, [], False):
            _unavailable(check, ("settings", name))
    for place, node in enumerate(scheme.indicators):
        here = ("indicators", str(place))
        rule = node.rule.document() if node.rule is not None else {}
        if rule and rule["kind"] not in RULE_KINDS:
            _unavailable(check, (*here, "rule", "kind"))
        levels = node.words.get("reviewLevels")
        if levels is not None and not _review_levels(levels):
            _misshapen(check, (*here, "reviewLevels"))
        _judge_checks(check, scheme, node.words.get("checks"), (*here, "checks"))
    for place, item in enumerate(scheme.data_items.values()):
        words = item.words or {}
        if words.get("source", "REPORTED") not in SOURCES:
            _unavailable(check, ("dataItems", str(place), "source"))
        for name, plain in (
            ("derivedFrom", None),
            ("rollup", None),
            ("resultFrom", None),
            ("rhythm", "CYCLE"),
            ("combine", "LAST"),
        ):
            if words.get(name) not in (None, plain):
                _unavailable(check, ("dataItems", str(place), name))


def _unavailable(check: Check, path: Path) -> None:
    check.invalid(
        (*_HERE, *path),
        "本系统尚不支持该内容。",
        "This is not available.",
        hint=Text(zh="从文件中去掉后再导入。", en="Take it out of the file."),
    )


def _judge_checks(check: Check, scheme: Scheme, checks: Any, path: Path) -> None:
    """Cross checks mean nothing to the engine, so that their form is judged here."""
    if checks is None:
        return
    if not isinstance(checks, list):
        _misshapen(check, path)
        return
    sink = Sink()
    for place, document in enumerate(checks):
        here = (*path, str(place))
        if not isinstance(document, dict):
            _misshapen(check, here)
            continue
        reader = Reader(document, here, sink)
        for side in ("left", "right"):
            read_quantity(reader.inner(side), scheme.data_items, constant_allowed=True)
        reader.choice("comparison", RELATIONS)
        reader.flag("warningOnly", default=False)
        reader.finish()
    for fault in sink.faults:
        check.add(ErrorCode(fault.code), (*_HERE, *fault.path), fault.text, fault.hint)


def _misshapen(check: Check, path: Path) -> None:
    check.invalid((*_HERE, *path), "内容不符合方案文件的格式。", "This does not have the form of a scheme file.")


async def _by_code(
    tx: Transaction, check: Check, table: str, wanted: Mapping[str, Path], missing: Callable[[str], Text], hint: Text
) -> dict[str, UUID]:
    """Ids by code; a code that finds nothing is noted at its place in the file."""
    rows = await tx.fetch(
        f"SELECT id, code FROM {table} WHERE tenant_id = $1 AND code = ANY($2::text[])", tx.tenant_id, list(wanted)
    )
    found = {row["code"]: row["id"] for row in rows}
    for code, path in wanted.items():
        if code not in found:
            check.add(ErrorCode.INVALID, (*_HERE, *path), missing(code), hint)
    return found


async def _categories(tx: Transaction, check: Check, scheme: Scheme) -> dict[str, UUID]:
    return await _by_code(
        tx,
        check,
        "categories",
        {category.code: ("categories", str(place), "code") for place, category in enumerate(scheme.categories)},
        lambda code: Text(zh=f"本区没有编码为“{code}”的考核类别。", en=f'There is no category with the code "{code}".'),
        Text(zh="先建立该类别，或修改文件中的编码。", en="Create it first, or change the code in the file."),
    )


async def _units(tx: Transaction, check: Check, scheme: Scheme) -> dict[str, UUID]:
    wanted: dict[str, Path] = {}
    for place, item in enumerate(scheme.data_items.values()):
        for at, code in _texts((item.words or {}).get("responsibleUnits")):
            wanted.setdefault(code, ("dataItems", str(place), "responsibleUnits", str(at)))
    for place, node in enumerate(scheme.indicators):
        for at, code in _texts(node.words.get("responsibleUnits")):
            wanted.setdefault(code, ("indicators", str(place), "responsibleUnits", str(at)))
        for number, group in enumerate(node.rule.groups if isinstance(node.rule, AwardRule) else ()):
            here = ("indicators", str(place), "rule", "groups", str(number), "responsibleUnits")
            for at, code in enumerate(group.responsible_units):
                wanted.setdefault(code, (*here, str(at)))
    return await _by_code(
        tx,
        check,
        "org_units",
        wanted,
        lambda code: Text(zh=f"本区没有编码为“{code}”的单位。", en=f'There is no unit with the code "{code}".'),
        Text(zh="先建立该责任单位，或修改文件中的编码。", en="Create it first, or change the code in the file."),
    )


def _texts(value: Any) -> Iterable[tuple[int, str]]:
    return ((at, each) for at, each in enumerate(value if isinstance(value, list) else ()) if isinstance(each, str))


async def _data_items(
    tx: Transaction, check: Check, scheme: Scheme, units: Mapping[str, UUID], *, create: bool
) -> tuple[dict[str, str], dict[str, ItemRow]]:
    """Ids of the items that are there, and the rows of those that are to be added, both by code."""
    # Held, so that nobody else makes an item of the same code meanwhile.
    await tx.hold_tenant()
    rows = await tx.fetch(
        "SELECT id, code, type FROM data_items WHERE tenant_id = $1 AND code = ANY($2::text[])",
        tx.tenant_id,
        list(scheme.data_items),
    )
    there = {row["code"]: row for row in rows}
    missing: dict[str, ItemRow] = {}
    absent = 0
    for place, item in enumerate(scheme.data_items.values()):
        here = (*_HERE, "dataItems", str(place))
        row = there.get(item.code)
        if row is not None:
            if row["type"] != item.type:
                check.invalid(
                    (*here, "type"),
                    f"本区数据项“{item.code}”的类型是{row['type']}，文件中是{item.type}。",
                    f'The data item "{item.code}" is of type {row["type"]} here, and {item.type} in the file.',
                    hint=Text(
                        zh="修改文件中的编码，作为新的数据项导入。",
                        en="Give it another code in the file, to make a new item.",
                    ),
                )
            continue
        absent += 1
        if not create:
            check.invalid(
                (*here, "code"),
                f"本区没有编码为“{item.code}”的数据项。",
                f'There is no data item with the code "{item.code}".',
                hint=Text(zh="先建立该数据项，或允许新增。", en="Create it first, or let missing ones be added."),
            )
            continue
        made = check_item(check, here, _item_spec(item.document(), units))
        if made is not None:
            missing[item.code] = made
    if absent > MOST_ITEMS and create:
        check.add(
            ErrorCode.TOO_LARGE,
            (*_HERE, "dataItems"),
            Text(zh=f"一次最多新增{MOST_ITEMS}个数据项。", en=f"At most {MOST_ITEMS} data items can be added at once."),
        )
    return {code: str(row["id"]) for code, row in there.items()}, missing


def _item_spec(item: Mapping[str, Any], units: Mapping[str, UUID]) -> DataItemSpec:
    return DataItemSpec(
        code=item["code"],
        name=item["name"],
        definition=str(item.get("definition") or item["name"]),
        type=item["type"],
        unit_of_measure=item["unitOfMeasure"],
        scale=item["scale"],
        minimum=item["minimum"],
        maximum=item["maximum"],
        options=[OptionSpec(each["code"], each["name"], each["dontKnow"]) for each in item["options"]],
        source=item.get("source") or "REPORTED",
        responsible_unit_ids=_unit_ids(item.get("responsibleUnits"), units),
        personal=item.get("personal") is True,
    )


def _unit_ids(codes: Any, units: Mapping[str, UUID]) -> list[str]:
    return [encode_id("OrgUnit", units[code]) for _, code in _texts(codes) if code in units]


def _spec(
    scheme: Scheme,
    node: Mapping[str, Any],
    categories: Mapping[str, UUID],
    units: Mapping[str, UUID],
    items: Mapping[str, str],
) -> IndicatorSpec:
    """A node of the document in the form in which nodes are judged."""
    ids = {code: encode_id("Category", key) for code, key in categories.items()}
    return IndicatorSpec(
        code=node["code"],
        name=node["name"],
        weight=node["weight"],
        points=node["points"],
        points_by_category=[
            CategoryPoints(ids[each["category"]], each["points"])
            for each in node["pointsByCategory"]
            if each["category"] in ids
        ],
        category_ids=[ids[code] for code in node["categories"] if code in ids],
        aggregation=node["aggregation"],
        rule=with_units(translate(node["rule"], items), {code: str(key) for code, key in units.items()}),
        wording=_word(node, "wording"),
        check_method=_word(node, "checkMethod"),
        source_note=_word(node, "sourceNote"),
        basis=_word(node, "basis"),
        responsible_unit_ids=_unit_ids(node.get("responsibleUnits"), units),
        evidence_reason=_word(node, "evidenceReason"),
        missing_policy=node["missingPolicy"],
        not_applicable_policy=node["notApplicablePolicy"],
        review_levels=node.get("reviewLevels"),
        checks=[
            {
                "left": _quantity(each["left"], scheme, items),
                "comparison": each["comparison"],
                "right": _quantity(each["right"], scheme, items),
                "warningOnly": each.get("warningOnly") is True,
            }
            for each in node.get("checks") or ()
        ],
    )


def _quantity(document: Any, scheme: Scheme, items: Mapping[str, str]) -> Any:
    """A quantity of a check that was judged, with all its keys, and with the ids of its items."""
    read = read_quantity(Reader(document, (), Sink()), scheme.data_items, constant_allowed=True)
    assert read is not None, "its faults were told"
    return translate(read.document(), items)


def _word(node: Mapping[str, Any], name: str) -> str | None:
    value = node.get(name)
    return value if isinstance(value, str) else None


def _settings(check: Check, scheme: Scheme) -> dict[str, Any]:
    """The settings of the file over the defaults; those that mean nothing to the engine are judged here."""
    document = scheme.settings.document()
    given = {name: document[name] for name in SETTING_NAMES if document.get(name) is not None}
    here = (*_HERE, "settings")
    for name, sound in _SHAPES.items():
        if name in given and not sound(given[name]):
            _misshapen(check, ("settings", name))
            del given[name]
    return read_settings(check, here, given, default_settings(scheme.weighting))


def _review_levels(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict) and each.get("route") in ROUTES and each.get("unitKind") in (None, *UNIT_KINDS)
        for each in value
    )


def _disclosures(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict)
        and each.get("kind") in PUBLICATION_KINDS
        and all(each.get(what) in (LEVELS if what != "grades" else (None, *LEVELS)) for what in DISCLOSED)
        and (each.get("bestCount") is None or type(each["bestCount"]) is int)
        for each in value
    )


_SHAPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "reviewLevels": _review_levels,
    "disclosures": _disclosures,
    "objectionWorkingDays": lambda value: type(value) is int,
    "skipNotice": lambda value: isinstance(value, bool),
    "bodyDecides": lambda value: isinstance(value, bool),
}
