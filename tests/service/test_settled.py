"""Settled values reach a run as they are, of whatever size (核定值)."""

from decimal import Decimal

import pytest

from service.rankings import snapshot
from service.scoring.numbers import scaled
from tenants.database import Database
from tenants.provisioning import District
from tests.service.computing import Values, course

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("values", "wide"),
    [
        (["0", "-12.5", "90071992547409.93"], False),
        # Below 2**63 in hundredths, and beyond: eight bytes hold the first only.
        (["92233720368547758.07", "-92233720368547758.08", "9999999999999999.99"], False),
        (["92233720368547758.08", "1", "-3.07"], True),
        (["1" * 36 + ".25", "-" + "9" * 36, "0.01"], True),
    ],
)
async def test_values_of_any_size_are_read_exactly(
    db: Database, tenant: District, values: list[str], wide: bool
) -> None:
    term = {"coefficient": "1", "dataItem": "x", "countName": None}
    quantity = {"numerator": {"terms": [term], "constant": "0"}, "denominator": None}
    rule = {"kind": "LINEAR", "zeroAt": "0", "fullAt": "90", "clamp": True, "quantity": quantity}
    given = await course(db, tenant, {"a": rule, "b": rule})
    filled: Values = {unit: {"x": value} for unit, value in zip(("c1", "c2", "v1"), values, strict=True)}
    cycle_id = await given.cycle(filled)
    async with db.transaction(tenant.id) as tx:
        read = await snapshot.load(tx, cycle_id)
    for leaf in ("a", "b"):
        column = read.snapshot.leaf_items[leaf, "x"]
        assert (column.numbers.dtype == object) is wide
        found = dict(zip(read.snapshot.units, zip(column.state.tolist(), column.numbers, strict=True), strict=True))
        assert [found[unit] for unit in filled] == [(0, scaled(Decimal(value), 2)) for value in values]
        assert {state for unit, (state, _) in found.items() if unit not in filled} == {2}
    assert read.missing == 2 * (len(read.units) - 3)
