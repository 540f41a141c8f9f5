"""Short ways to write schemes and snapshots in directed tests."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.scoring import Fault, ItemColumn, Result, Scheme, Snapshot, State, compute, parse_scheme

X = {"numerator": {"terms": [{"dataItem": "x"}]}}
"""The quantity of item x."""
X_OVER_Y = {"numerator": {"terms": [{"dataItem": "x"}]}, "denominator": {"terms": [{"dataItem": "y"}]}}
"""x ÷ y."""
OPTIONS = [
    {"code": "a", "name": "好"},
    {"code": "b", "name": "一般"},
    {"code": "d", "name": "不了解", "dontKnow": True},
]
ITEMS: list[Mapping[str, Any]] = [
    {"code": "x", "name": "完成数", "type": "NUMBER", "scale": 4},
    {"code": "y", "name": "应完成数", "type": "NUMBER", "scale": 4},
    {"code": "ok", "name": "按期换届", "type": "YES_NO"},
    {"code": "ok2", "name": "制度上墙", "type": "YES_NO"},
    {"code": "votes", "name": "测评票", "type": "COUNTS", "options": OPTIONS},
    {"code": "pick", "name": "评价等次", "type": "CHOICE", "options": OPTIONS[:2]},
    {"code": "marks", "name": "评委打分", "type": "SCORES", "scale": 2},
]


def document(*leaves: Mapping[str, Any], weighting: str = "RELATIVE", **settings: Any) -> dict[str, Any]:
    """A scheme of leaves right below the root; a leaf is a node without code, name and parent."""
    indicators: list[dict[str, Any]] = [{"code": "R", "name": "总分"}]
    for place, leaf in enumerate(leaves):
        plain: dict[str, Any] = {"code": f"L{place}", "name": f"指标{place}", "parentCode": "R"}
        if weighting == "RELATIVE":
            plain["weight"] = "1"
        indicators.append({**plain, **leaf})
    settings.setdefault("notApplicablePolicy", "PARENT")
    full = settings.pop("fullMarks", "100")
    categories = settings.pop("categories", ["c"])
    return {
        "weighting": weighting,
        "fullMarks": full,
        "categories": [{"code": key, "name": {"c": "社区", "v": "村"}.get(key, key)} for key in categories],
        "dataItems": ITEMS,
        "settings": settings,
        "indicators": indicators,
    }


def scheme_of(what: Mapping[str, Any]) -> Scheme:
    """The scheme of a sound document."""
    scheme, faults = parse_scheme(what)
    assert scheme is not None, faults
    return scheme


def faults_of(what: Mapping[str, Any]) -> list[Fault]:
    """The faults of a document that must be refused."""
    scheme, faults = parse_scheme(what)
    assert scheme is None
    return faults


def paths_of(what: Mapping[str, Any]) -> list[str]:
    """Where a refused document is at fault."""
    return ["/".join(fault.path) for fault in faults_of(what) if fault.severity == "FAULT"]


def run(
    what: Mapping[str, Any],
    values: Mapping[str, Sequence[Any]] | None = None,
    *,
    count: int | None = None,
    categories: Sequence[str] | None = None,
    **rest: Any,
) -> Result:
    """Compute a document over columns of plain values: None is missing, a State is that state."""
    items = {key: column(key, held) for key, held in (values or {}).items()}
    size = count if count is not None else max((len(held) for held in (values or {}).values()), default=1)
    units = [f"u{place}" for place in range(size)]
    awards = {code: column("x", held) for code, held in rest.pop("awards", {}).items()}
    snapshot = Snapshot(units, list(categories or ["c"] * size), items, awards, **rest)
    return compute(scheme_of(what), snapshot)


def column(key: str, held: Sequence[Any]) -> ItemColumn:
    """A column of one of ITEMS."""
    states = [value if isinstance(value, State) else State.MISSING if value is None else State.GIVEN for value in held]
    plain = [None if isinstance(value, State) else value for value in held]
    if key == "votes":
        return ItemColumn.of_counts(plain, states=states)
    if key == "marks":
        return ItemColumn.of_scores(plain, scale=2, states=states)
    if key in ("ok", "ok2"):
        return ItemColumn.of([None if value is None else int(value) for value in plain], states=states)
    if key == "pick":
        return ItemColumn.of([None if value is None else "ab".index(value) for value in plain], states=states)
    return ItemColumn.of([None if value is None else str(value) for value in plain], scale=4, states=states)


def leaf(rule: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A leaf with a rule."""
    return {"rule": dict(rule), **more}


LINEAR = {"kind": "LINEAR", "quantity": X, "zeroAt": "0", "fullAt": "100"}
"""x of 100."""
