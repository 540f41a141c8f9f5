"""The demo's scheme: its sums for every category, its words, and the form that the API takes."""

from decimal import Decimal

import pytest

from service.demo.library import Json, Library, Part, item_input, library, quantity_items, row_input

KINDS = {"award", "linear", "minmax", "bands", "completion", "deduct", "yesNo"}
CATEGORIES = ["community", "village", "agency", "newdomain", "school"]


@pytest.fixture(scope="module")
def scheme() -> Library:
    return library()


def walk(value: Part) -> list[Json]:
    """All objects inside a JSON value."""
    if isinstance(value, list):
        return [found for part in value for found in walk(part)]
    if isinstance(value, dict):
        return [value] + [found for part in value.values() for found in walk(part)]
    return []


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_node_of_every_category_sums_to_its_printed_points(scheme: Library, category: str) -> None:
    for node in scheme.nodes:
        children = [child for child in scheme.nodes if child.parent == node.code and child.applies_to(category)]
        if node.rule is None:
            assert sum(child.points for child in children) == node.points, node.code
        else:
            assert not children
    assert sum(node.points for node in scheme.dimensions()) == scheme.full_marks == 100
    assert sum(leaf.points for leaf in scheme.leaves(category)) == 100


def test_the_scheme_has_three_levels_and_the_promised_leaves(scheme: Library) -> None:
    codes = {node.code: node for node in scheme.nodes}
    assert [category.code for category in scheme.categories] == CATEGORIES
    assert {category: len(scheme.leaves(category)) for category in CATEGORIES} == {
        "community": 41,
        "village": 41,
        "agency": 37,
        "newdomain": 37,
        "school": 37,
    }
    for leaf in scheme.nodes:
        if leaf.rule is not None:
            assert leaf.parent in codes
            assert codes[leaf.parent].parent in codes
            assert leaf.kind in KINDS


def test_parents_come_before_their_children(scheme: Library) -> None:
    seen: set[str | None] = {None}
    for node in scheme.nodes:
        assert node.parent in seen
        seen.add(node.code)
    assert len(seen) == len(scheme.nodes) + 1


def test_every_leaf_says_how_it_is_judged_and_on_what_it_rests(scheme: Library) -> None:
    departments = {department.code for department in scheme.departments}
    for leaf in scheme.nodes:
        if leaf.rule is None:
            continue
        for field in ("wording", "checkMethod", "sourceNote", "basis"):
            assert leaf.row[field].strip()
        assert leaf.responsible in departments
        # A kind of document, never the number of one: those are for the district to fill in.
        assert not any(mark in leaf.row["basis"] for mark in "〔〕[]号0123456789《》")
        assert f"{leaf.points}分" in leaf.row["wording"] or leaf.kind == "deduct"


def test_every_data_item_is_used_and_says_what_is_counted(scheme: Library) -> None:
    used = {code for node in scheme.nodes for code in node.items}
    assert used == set(scheme.items)
    departments = {department.code for department in scheme.departments}
    assert departments == {node.responsible for node in scheme.nodes if node.responsible} | {
        item.responsible for item in scheme.items.values() if item.responsible
    }
    for item in scheme.items.values():
        assert item.definition.endswith("。")
        assert item.source == ("REVIEWED" if item.responsible else "REPORTED")
        assert (item.type == "YES_NO") == (item.maximum is None)


def test_amounts_of_rules_stay_within_the_printed_points(scheme: Library) -> None:
    for leaf in scheme.nodes:
        if leaf.kind == "bands":
            bands = (leaf.rule or {})["bands"]["bands"]
            assert Decimal(bands[0]["marks"]) == leaf.points
            bounds = [Decimal(band["from"]) for band in bands[:-1]]
            assert bounds == sorted(set(bounds), reverse=True)
            assert bands[-1] == {"from": None, "marks": "0"}
        if leaf.kind == "award":
            assert leaf.points % Decimal((leaf.rule or {})["award"]["step"]) == 0


def test_inputs_name_ids_and_never_codes(scheme: Library) -> None:
    items = {code: f"item:{code}" for code in scheme.items}
    departments = {department.code: f"unit:{department.code}" for department in scheme.departments}
    categories = {category.code: f"category:{category.code}" for category in scheme.categories}
    for item in scheme.items.values():
        written = item_input(item, departments=departments)
        assert all(unit.startswith("unit:") for unit in written["responsibleUnitIds"])
        assert written["minimum"] is None or Decimal(written["minimum"]) == item.minimum
    for node in scheme.nodes:
        row = row_input(node, items=items, departments=departments, categories=categories)
        assert row.get("parentCode") == node.parent
        indicator = row["indicator"]
        assert indicator["points"] == str(node.points)
        assert {value.removeprefix("category:") for value in indicator["categoryIds"]} == node.categories
        assert ("rule" in indicator) == (node.rule is not None)
        for part in walk(indicator):
            assert "dataItem" not in part
            assert part.get("dataItemId", "item:").startswith("item:")
        if node.rule is not None:
            named = {part["dataItemId"] for part in walk(indicator["rule"]) if "dataItemId" in part}
            assert named == {items[code] for code in node.items}


def test_a_quantity_names_one_item_or_two() -> None:
    assert quantity_items("done") == ["done"]
    assert quantity_items("done / due") == ["done", "due"]
