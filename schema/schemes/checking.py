"""The check of a version: faults with their paths, and sums of points (方案检查、分值合计)."""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from schema.context import Context
from schema.directory import Category
from schema.errors import Error
from schema.mapping import column, relation, value
from schema.schemes.words import FaultSeverity
from service import schemes
from service.errors import ErrorCode
from service.language import say
from service.schemes import SchemeCheck
from service.scoring.numbers import format_decimal

if TYPE_CHECKING:
    from schema.schemes.indicators import Indicator


@value
class SchemeIssue(Error):
    """One fault found by the check of a scheme."""

    code: ErrorCode = column("Always INVALID or DUPLICATE.")
    message: str = column("For people: what is wrong, with the numbers.")
    path: list[str] | None = column("Codes from the root to the node, then the setting.")
    hint: str | None = column("What would mend it.")
    severity: FaultSeverity = column("Fault or warning.")
    indicator: "Indicator | None" = relation("The node at fault; null for settings.", on={"indicator_id": "id"})
    category: Category | None = relation("The category for which it is wrong; null for all.", on={"category_id": "id"})


@value
class CategorySumInfo:
    """Sum of the children's points of one node for one category."""

    indicator: "Indicator" = relation("The node.", on={"indicator_id": "id"})
    category: Category = relation("The category.", on={"category_id": "id"})
    expected: Decimal = column("The node's points.")
    actual: Decimal = column("Sum of the children that apply.")
    balanced: bool = column("Whether they are equal.")


async def _checks(context: Context, versions: Sequence[Mapping[str, Any]]) -> Sequence[SchemeCheck]:
    """The checks of versions; one for all fields that ask for it together."""

    async def run(ids: list[UUID]) -> Sequence[SchemeCheck]:
        found = {key: await schemes.check_version(context.reader, key) for key in dict.fromkeys(ids)}
        return [found[key] for key in ids]

    asked = (context.loader.load("scheme check", version["id"], run) for version in versions)
    found: list[SchemeCheck] = await asyncio.gather(*asked)
    return found


async def faults(context: Context, versions: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
    """What the engine and the product find, in the caller's language."""
    language = context.language
    return [
        [
            {
                "code": fault.code,
                "message": say(fault.text, language),
                "path": list(fault.path),
                "hint": None if fault.hint is None else say(fault.hint, language),
                "severity": fault.severity,
                "indicator_id": fault.indicator_id,
                "category_id": fault.category_id,
            }
            for fault in check.faults
        ]
        for check in await _checks(context, versions)
    ]


async def sums(context: Context, versions: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
    """The tables of sums, also of drafts with faults."""
    return [
        [
            {
                "indicator_id": each.indicator_id,
                "category_id": each.category_id,
                "expected": format_decimal(each.expected),
                "actual": format_decimal(each.actual),
                "balanced": each.balanced,
            }
            for each in check.sums
        ]
        for check in await _checks(context, versions)
    ]
