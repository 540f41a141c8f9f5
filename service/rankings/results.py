"""Writing a run's result: standings, dimension scores and node scores, in bulk (写入测算结果)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import orjson

from service.rankings.gradebook import CURRENT_GRADE
from service.rankings.grading import Graded, graded, write_grades
from service.rankings.previous import Previous
from service.rankings.snapshot import RunInput
from service.scoring.numbers import format_rational
from service.scoring.result import Result
from tenants.database import Transaction
from tenants.ids import uuid7s


@dataclass(frozen=True, slots=True)
class Rows:
    """A result as columns, ready to be inserted; all lists follow the order of the snapshot's units."""

    standings: list[list[Any]]
    dimensions: list[list[Any]]
    nodes: list[str]
    digest: str
    """SHA-256 of every unit's code, exact total, shown total, ranks, status and computed grade."""
    units: list[str]
    graded: Graded | None


def rows_of(given: RunInput, result: Result) -> Rows:
    """Everything that needs no database; runs beside the event loop."""
    units = given.units
    totals, exacts, ranks = result.totals(), result.exact_totals(), result.ranks()
    overall, shared, statuses = result.overall_ranks(), result.shared_by(), result.statuses()
    late = given.snapshot.late_days
    order = sorted(
        range(len(units)),
        key=lambda i: (units[i].category_position, ranks[i] is None, ranks[i] or 0, units[i].code),
    )
    position = [0] * len(units)
    for place, index in enumerate(order):
        position[index] = place
    columns: list[list[Any]] = [
        [unit.id for unit in units],
        [unit.category_id for unit in units],
        position,
        best_first(result.exact_fractions()),
        totals,
        exacts,
        ranks,
        overall,
        shared,
        statuses,
        result.bases(),
        result.bonuses(),
        result.deductions(),
        result.late_penalties(),
        [0] * len(units) if late is None else late.tolist(),
        result.coverages(),
        _vetoes(given, result),
    ]
    dimensions = [_dimension(result, given, code, place) for place, code in enumerate(given.dimensions)]
    told = sorted(zip([u.code for u in units], exacts, totals, ranks, overall, statuses, result.grades(), strict=True))
    return Rows(
        columns,
        dimensions,
        _nodes(result, given),
        hashlib.sha256(orjson.dumps(told)).hexdigest(),
        list(result.units),
        graded(result),
    )


def _vetoes(given: RunInput, result: Result) -> list[str]:
    """Per unit the ids of its confirmed vetoes, as the text of an array."""
    found = ["{}"] * len(given.units)
    for place, own in result.unit_events.items():
        found[place] = f"{{{','.join(str(given.events[event.key]) for event, _ in own.vetoes)}}}"
    return found


def best_first(values: Sequence[Fraction | None]) -> list[int | None]:
    """Places 0, 1, … by exact value, the best first; equals share a place, None has none."""
    # Correctly rounded, so floats order all but near equals; those are told apart by the fractions behind them.
    keys = [None if value is None else (value.numerator / value.denominator, value) for value in values]
    ranked = sorted((i for i, key in enumerate(keys) if key is not None), key=lambda i: keys[i] or (0, 0), reverse=True)
    places: list[int | None] = [None] * len(values)
    for place, index in enumerate(ranked):
        before = ranked[place - 1] if place else None
        places[index] = places[before] if before is not None and values[before] == values[index] else place
    return places


def _dimension(result: Result, given: RunInput, code: str, place: int) -> list[Any]:
    exacts = result.node_fractions(code)
    applies = result.node_applies(code)
    full_marks = {category: _full_marks(given, code, category) for category in set(given.snapshot.categories)}
    full = [full_marks[category] for category in given.snapshot.categories]
    return [
        given.indicators[code],
        place,
        applies,
        best_first(exacts),
        result.node_scores(code),
        result.node_marks(code),
        full,
        [None if value is None else format_rational(value) for value in exacts],
        result.node_states(code),
        _coverages(result, code),
    ]


def _coverages(result: Result, code: str) -> list[str]:
    """Coverage below a node; 0 where nothing below it has weight (监测指标)."""
    return [coverage or "0" for coverage in result.node_coverages(code)]


def _full_marks(given: RunInput, code: str, category: str) -> str | None:
    node = next(node for node in given.document["indicators"] if node["code"] == code)
    special = {each["category"]: each["points"] for each in node.get("pointsByCategory") or ()}
    points = special.get(category, node.get("points"))
    return None if points is None else str(Decimal(points))


def _nodes(result: Result, given: RunInput) -> list[str]:
    """Per unit one JSON list of all nodes below the root, in print order: [code, score, marks, state, coverage].

    Written by hand: decimals and names of states have nothing to escape.
    """
    columns: list[list[str]] = []
    for code in result.node_codes[1:]:
        own = orjson.dumps(code).decode().replace("%", "%%")
        columns.append(
            [
                text if applies else ""
                for applies, text in zip(
                    result.node_applies(code),
                    map(
                        f'[{own},%s,%s,"%s","%s"]'.__mod__,
                        zip(
                            _quoted(result.node_scores(code)),
                            _quoted(result.node_marks(code)),
                            result.node_states(code),
                            _coverages(result, code),
                            strict=True,
                        ),
                    ),
                    strict=True,
                )
            ]
        )
    return [f"[{','.join(filter(None, nodes))}]" for nodes in zip(*columns, strict=True)]


def _quoted(decimals: Sequence[str | None]) -> list[str]:
    return ["null" if text is None else f'"{text}"' for text in decimals]


# The name of the grade that a standing {p} had, by the version of its own cycle.
_PREVIOUS_GRADE = f"""SELECT pg.v ->> 'name' FROM ranking_runs pr
    JOIN cycles pc ON pc.tenant_id = $1 AND pc.id = pr.cycle_id
    JOIN scheme_versions pv ON pv.tenant_id = $1 AND pv.id = pc.scheme_version_id
    CROSS JOIN LATERAL jsonb_array_elements(pv.settings -> 'grades') pg(v)
    WHERE pr.tenant_id = $1 AND pr.id = p.run_id
      AND pg.v ->> 'code' = {CURRENT_GRADE.replace("{tenant}", "$1").replace("{t}", "p")}"""


async def write(tx: Transaction, run_id: UUID, rows: Rows, previous: Previous) -> None:
    """Insert a run's result. Changes are kept against what is `previous`."""
    ids = uuid7s(len(rows.nodes))
    await tx.execute(
        """
        INSERT INTO standings (tenant_id, run_id, id, cycle_unit_id, category_id, position, exact_order, total, exact,
            rank, overall_rank, shared_by, status, base, bonus, deduction, late_penalty, days_late, coverage,
            veto_event_ids, previous_publication_id, previous_total, previous_rank, previous_grade)
        SELECT $1, $2, s.id, s.unit, s.category, s.position, s.exact_order, s.total::numeric, s.exact, s.rank,
               s.overall, s.shared, s.status, s.base::numeric, s.bonus::numeric, s.deduction::numeric, s.late::numeric,
               s.days,
               s.coverage::numeric, s.vetoes::uuid[], before.publication_id, before.total, before.rank, before.grade
        FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::int[], $7::int[], $8::text[], $9::text[], $10::int[],
                    $11::int[], $12::int[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::int[],
                    $19::text[], $20::text[])
             AS s(id, unit, category, position, exact_order, total, exact, rank, overall, shared, status, base, bonus,
                  deduction, late, days, coverage, vetoes)
        JOIN cycle_units u ON u.tenant_id = $1 AND u.id = s.unit
        LEFT JOIN (
            SELECT n.unit_id, n.publication_id, p.total, p.rank, ({previous_grade}) AS grade
            FROM unnest($21::uuid[], $22::uuid[], $23::uuid[]) AS n(unit_id, standing_id, publication_id)
            JOIN standings p ON p.tenant_id = $1 AND p.id = n.standing_id
        ) before ON before.unit_id = u.unit_id
        """.replace("{previous_grade}", _PREVIOUS_GRADE),
        tx.tenant_id,
        run_id,
        ids,
        *rows.standings,
        previous.unit_ids,
        previous.standing_ids,
        previous.publication_ids,
    )
    for indicator_id, place, applies, *columns in rows.dimensions:
        chosen = [i for i, wanted in enumerate(applies) if wanted]
        await tx.execute(
            """
            INSERT INTO standing_dimensions (tenant_id, indicator_id, position, standing_id, exact_order, score, marks,
                full_marks, exact, value_state, coverage)
            SELECT $1, $2, $3, d.id, d.exact_order, d.score::numeric, d.marks::numeric, d.full_marks::numeric, d.exact,
                   d.state, d.coverage::numeric
            FROM unnest($4::uuid[], $5::int[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[])
                 AS d(id, exact_order, score, marks, full_marks, exact, state, coverage)
            """,
            tx.tenant_id,
            indicator_id,
            place,
            [ids[i] for i in chosen],
            *([column[i] for i in chosen] for column in columns),
        )
    if rows.graded is not None:
        await write_grades(tx, run_id, rows.graded, dict(zip(rows.units, ids, strict=True)))
    await tx.execute(
        """INSERT INTO standing_details (tenant_id, standing_id, nodes)
           SELECT $1, d.id, d.nodes FROM unnest($2::uuid[], $3::text[]) AS d(id, nodes)""",
        tx.tenant_id,
        ids,
        rows.nodes,
    )
