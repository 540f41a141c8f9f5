"""Grades of a scheme, their places and conditions (等次、名额): as they are read, and as they are given."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from schema.items import DataItem
from schema.mapping import ID, column, computed, described, document, input_type, known, one_of, relation, value
from schema.rules import said
from schema.scalars import DecimalText
from schema.schemes.words import GradeConditionKind, QuotaRounding, QuotaScope
from service.errors import Path
from service.schemes import AsTyped, describe_condition

if TYPE_CHECKING:
    from schema.schemes.indicators import Indicator


@value
class PlacesInfo:
    """One row of a table of places."""

    units_from: int = column("From so many units on.", "unitsFrom")
    places: int = column("So many places.")


@value
class GradeCondition:
    """One condition of a grade, from a closed list."""

    kind: GradeConditionKind = column("Which.")
    indicator: "Indicator | None" = relation("The node or leaf it looks at.", on={"indicatorId": "id"})
    data_item: DataItem | None = relation("The yes-no item it looks at.", on={"dataItem": "id"})
    minimum_share: Decimal | None = column("Least share of the node's marks.", "minimumShare")
    grade_code: str | None = column("Grade that must have been reached before.", "gradeCode")
    text: str = computed("In words.", said(describe_condition))


@value
class Grade:
    """A grade of the scheme (等次)."""

    code: str = column("Code.")
    name: str = column("Such as 优秀, 良好.")
    threshold: Decimal | None = column("Least rounded total.")
    share: Decimal | None = column("Share of the base that may get it, 0 to 1; null without.")
    places_by_count: list[PlacesInfo] = document("Places by number of units, instead of a share.", "placesByCount")
    minimum_places: int = column("At least so many places.", "minimumPlaces")
    rounding: QuotaRounding = column("How share × base is rounded.")
    scope: QuotaScope = column("Per what places are counted.")
    base_includes_vetoed: bool = column(
        "Whether units out of the ranking by veto count in the base.", "baseIncludesVetoed"
    )
    conditions: list[GradeCondition] = document("What a unit must fulfil besides.")


def grades_of(settings: str, version: str) -> str:
    """SQL for the grades of a version's settings as documents: with what their conditions name."""
    conditions = f"""(SELECT coalesce(jsonb_agg(gc.v || jsonb_build_object(
            'indicatorId', gi.id, 'indicatorName', gi.name, 'itemName', gd.name, 'gradeName', (
                SELECT gn.v ->> 'name' FROM jsonb_array_elements({settings} -> 'grades') gn(v)
                WHERE gn.v ->> 'code' = gc.v ->> 'gradeCode' LIMIT 1)) ORDER BY gc.o), '[]')
        FROM jsonb_array_elements(gg.v -> 'conditions') WITH ORDINALITY AS gc(v, o)
        LEFT JOIN indicators gi ON gi.tenant_id = {{tenant}} AND gi.scheme_version_id = {version}
             AND gi.code = gc.v ->> 'indicator'
        LEFT JOIN data_items gd ON gd.tenant_id = {{tenant}} AND gd.id = (gc.v ->> 'dataItem')::uuid)"""
    return f"""(SELECT coalesce(jsonb_agg(gg.v || jsonb_build_object('conditions', {conditions}) ORDER BY gg.o), '[]')
        FROM jsonb_array_elements({settings} -> 'grades') WITH ORDINALITY AS gg(v, o))"""


def grade_of(version: str, code: str) -> str:
    """SQL for the document of one grade by its code; null where the code is null."""
    return f"""(SELECT ge.v FROM scheme_versions gv
        CROSS JOIN LATERAL jsonb_array_elements({grades_of("gv.settings", "gv.id")}) ge(v)
        WHERE gv.tenant_id = {{tenant}} AND gv.id = {version} AND ge.v ->> 'code' = {code} LIMIT 1)"""


@input_type
class PlacesInput:
    """One row of a table of places."""

    units_from: int = described("From so many units on.")
    places: int = described("So many places.")


@input_type
class NodeShareInput:
    """Share of a node's marks."""

    indicator_code: str = described("The node.")
    minimum_share: DecimalText = described("Least share, 0 to 1.")


@one_of
class GradeConditionInput:
    """Exactly one condition."""

    node_share: NodeShareInput | None = described("A node has at least so much of its marks.")
    no_event_under: str | None = described("No confirmed event under the leaf with this code.")
    item_true: ID | None = described("This yes-no item is yes.")
    previous_grade_at_least: str | None = described("The grade of the last cycle was at least the one with this code.")


@input_type
class GradeInput:
    """A grade."""

    code: str = described("Code.")
    name: str = described("Name.")
    threshold: DecimalText = described("Least rounded total.", default="0")
    share: DecimalText | None = described("Share of the base; not together with placesByCount.")
    places_by_count: list[PlacesInput] | None = described("Places by number of units.")
    minimum_places: int = described("At least so many.", default=0)
    rounding: QuotaRounding = described("How places are rounded.", default=QuotaRounding.FLOOR)
    scope: QuotaScope = described("Per what.", default=QuotaScope.CATEGORY)
    base_includes_vetoed: bool = described("Whether vetoed units count in the base.", default=True)
    conditions: list[GradeConditionInput] | None = described("What must be fulfilled besides.")


def grade_document(given: GradeInput, place: int) -> dict[str, Any]:
    """A grade as an object of the scheme document: what was typed is still to be judged."""
    here = ("grades", str(place))

    def typed(name: str, raw: str | None, what: Any = "DECIMAL") -> AsTyped | None:
        return None if raw is None else AsTyped(raw, what, (*here, name))

    return {
        "code": typed("code", given.code, "LINE"),
        "name": typed("name", given.name, "LINE"),
        "threshold": typed("threshold", given.threshold),
        "share": typed("share", given.share),
        "placesByCount": [
            {"unitsFrom": each.units_from, "places": each.places} for each in given.places_by_count or ()
        ],
        "minimumPlaces": given.minimum_places,
        "rounding": given.rounding.name,
        "scope": given.scope.name,
        "baseIncludesVetoed": given.base_includes_vetoed,
        "conditions": [
            _condition(each, (*here, "conditions", str(number))) for number, each in enumerate(given.conditions or ())
        ],
    }


def _condition(given: GradeConditionInput, here: Path) -> dict[str, Any]:
    """A condition of a grade as an object of the scheme document."""
    if share := known(given.node_share):
        return {
            "kind": "NODE_SHARE",
            "indicator": AsTyped(share.indicator_code, "LINE", (*here, "nodeShare", "indicatorCode")),
            "minimumShare": AsTyped(share.minimum_share, "DECIMAL", (*here, "nodeShare", "minimumShare")),
        }
    if (leaf := known(given.no_event_under)) is not None:
        return {"kind": "NO_EVENT", "indicator": AsTyped(leaf, "LINE", (*here, "noEventUnder"))}
    if (item := known(given.item_true)) is not None:
        return {"kind": "ITEM_TRUE", "dataItem": AsTyped(item, "DataItem", (*here, "itemTrue"))}
    code = str(known(given.previous_grade_at_least))
    return {"kind": "PREVIOUS_GRADE", "gradeCode": AsTyped(code, "LINE", (*here, "previousGradeAtLeast"))}
