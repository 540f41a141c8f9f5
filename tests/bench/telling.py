"""The table of what was measured, and the same as JSON (结果表)."""

from collections.abc import Sequence
from typing import Any

import orjson

from tests.bench.running import BUILD

Json = dict[str, Any]
HEADS = ("requests per second", "Kaoping", "no plans", "PostGraphile", "ratio", "goal", "CPU ms", "PostGraphile's")


def report(rows: Sequence[Json], notes: Sequence[str]) -> None:
    """Print the table and write build/bench.json."""
    lines = ["", _line(*HEADS)]
    for row in rows:
        if "servers" in row:
            row["ratio"] = ratio(row, "kaoping", "postgraphile")
            lines.append(_told(row))
            if "bare" in row["servers"]:
                row["of_bare"] = ratio(row, "kaoping", "bare")
                lines.append(_line("  of what a bare application does", ratio=f"{row['of_bare']:.2f}", goal="0.7"))
        elif "times" in row:
            lines.append(_line(row["name"], ratio=f"{row['times']:.2f}", goal=f"< {row['most']}"))
        else:
            lines += [
                f"memory of {name}: RSS {each['rss']:.0f} MiB, PSS {each['pss']:.0f} MiB"
                for name, each in row["memory"].items()
            ]
    print("\n".join([*lines, "CPU ms: of the server + of the database, for each request.", *notes]))
    BUILD.mkdir(exist_ok=True)
    document = {"rows": list(rows), "notes": list(notes)}
    (BUILD / "bench.json").write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def ratio(row: Json, above: str, below: str) -> float | None:
    """How many times faster; None where one of them was not measured."""
    found = row["servers"]
    if above not in found or below not in found:
        return None
    return float(found[above]["per_second"] / found[below]["per_second"])


def _told(row: Json) -> str:
    found = row["servers"]
    return _line(
        row["name"],
        _spread(found.get("kaoping")),
        _plain(found.get("without plans")),
        _spread(found.get("postgraphile")),
        "-" if row["ratio"] is None else f"{row['ratio']:.1f}",
        str(row.get("goal", "-")),
        _cpu(found.get("kaoping")),
        _cpu(found.get("postgraphile")),
    )


def _line(
    name: str, kaoping: str = "", stock: str = "", rival: str = "", ratio: str = "", goal: str = "", *cpu: str
) -> str:
    cells = "".join(f"{each:>16}" for each in cpu)
    return f"{name:<48}{kaoping:>14}{stock:>10}{rival:>14}{ratio:>8}{goal:>7}{cells}".rstrip()


def _spread(found: Json | None) -> str:
    if found is None:
        return "-"
    half = (found["high"] - found["low"]) / 2 / found["per_second"] * 100
    return f"{found['per_second']:,.0f} ±{half:.0f}%"


def _plain(found: Json | None) -> str:
    return "-" if found is None else f"{found['per_second']:,.0f}"


def _cpu(found: Json | None) -> str:
    return "-" if found is None else f"{found['cpu_ms']:.2f} + {found['database_ms']:.2f}"
