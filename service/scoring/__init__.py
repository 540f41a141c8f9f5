"""The scoring engine (测算引擎): from a scheme and settled values to totals, ranks and grades, exactly.

Pure functions: no database, no files, no clock, no tenant. Answers equal exact rational arithmetic, always; floats are
used only where a proven bound shows that no rounding and no comparison can differ.

**Scheme document** (方案文件): a plain dict as JSON gives it, camelCase, the words of the API; the same dict is
what the API exports and imports as a scheme file. Keys of categories (`categories[].code`) and data items
(`dataItems[].code`) and codes of indicators are opaque strings. Amounts are decimal strings. Unknown keys are
faults, so that a typing error can't silently become a default; words for print (`wording`, `checkMethod`, …) are
kept and ignored.

    {"weighting": "POINTS" | "RELATIVE", "fullMarks": "100",
     "code": …, "name": …, "number": …, "label": …,                                # optional, ignored
     "categories": [{"code": KEY, "name": "社区"}, …],
     "dataItems": [{"code": KEY, "name": "党员总数",
                    "type": "NUMBER" | "INTEGER" | "YES_NO" | "CHOICE" | "COUNTS" | "SCORES",
                    "unitOfMeasure": "人", "scale": 0, "minimum": "0", "maximum": null, "source": …, "definition": …,
                    "options": [{"code": "A", "name": "很满意", "dontKnow": false}, …]}, …],
     "settings": {"missingPolicy": "ZERO" | "CARRY_OVER" | "EXCLUDE",
                  "notApplicablePolicy": "PARENT" | "GLOBAL" | "FULL", "coverageThreshold": "0.6", "roundingPlaces": 2,
                  "rankOn": "ROUNDED" | "EXACT", "tiePolicy": "STRICT" | "INCLUSIVE" | "TIE_BREAK" | "DECISION",
                  "tieBreakers": [CODE, …], "crossCategoryRanks": false, "capAtFullMarks": false,
                  "bonusCap": "5", "deductionCap": null, "latePenalty": {"pointsPerDay": "0.5", "cap": "3"},
                  "grades": [{"code": "A", "name": "优秀", "threshold": "90", "share": "0.3", …}], …},
     "indicators": [{"code": "A1", "parentCode": "A", "name": "…", "weight": null, "points": "10",
                     "pointsByCategory": [{"category": KEY, "points": "12"}], "categories": [KEY, …],
                     "aggregation": "ARITHMETIC" | "GEOMETRIC" | "HARMONIC", "missingPolicy": null,
                     "notApplicablePolicy": null, "rule": {"kind": "LINEAR", …} | null, …}, …]}

Indicators stand in print order, parents first. The one without `parentCode` is the root (总分): no rule, its points
are `fullMarks`. A rule has the field names of its GraphQL type (`{"kind": "LINEAR", "quantity": {…}, "zeroAt":
"0.6", "fullAt": "0.98", "clamp": true, "full": null}`); where GraphQL has an item (`dataItem`, `assigned`) the
document has its key. A quantity is `{"numerator": {"terms": [{"coefficient": "1", "dataItem": KEY, "countName":
null}], "constant": "0"}, "denominator": {…} | null, "denominatorZero": "NOT_APPLICABLE" | "FULL"}`. What has a
default may be left out or be null. A policy on a node holds for all leaves below it.

**Reading and checking**

- `parse_scheme(document) -> (Scheme | None, [Fault, …])`: every fault at once; the scheme is None exactly when one
  of them is of severity FAULT. `point_sums(document) -> [PointSum, …]`: the table of sums, also of a faulty draft.
- `scheme_document(scheme) -> dict`, `dump_scheme(scheme) -> str`: all settings written out, canonical JSON (sorted
  keys, no blanks, characters as they are); parsing it again gives an equal scheme.
- `parse_rule(rule, data_items=…, full_marks=…) -> (Rule | None, [Fault, …])`: one rule alone, while a leaf is
  edited.
- `Rule`: `kind`, `full`, `data_items() -> (KEY, …)`, `describe(full_marks: Fraction, names) -> Text` (the rule in
  words), `names` a mapping from item key to shown name. `Quantity.describe(names) -> Text`. `RULES`: kind → class.
- `Scheme.leaves`, `.scored`, `.outside`, `.children(code)`, `.path(code)`, `.applies(code, category)`,
  `.items_of(leaf)`, `.points_of(code, category)`, `.full_marks_of(leaf, category)`, `.describe(leaf)`.

`Fault(code, path, text, hint, severity, indicator, category)`: path goes from the root's code to the node, then to
the setting; settings of the scheme begin with "settings".

**Computing**

- `Snapshot` (units, categories, items, awards, leaf_items, leaf_states, late_days, events, …) of `ItemColumn`s: see
  snapshot.py.
- `compute(scheme, snapshot, *, progress=None) -> Result`. `progress(stage, done, total)` is called between steps,
  stage one of "LEAVES", "TREE", "RANKS", and may raise to cancel. Raises InvalidInput (with `.faults`) where the
  snapshot does not fit: unknown category, column of another length, award above full marks, unknown level of an
  event, …
- `Result`: totals, ranks, statuses, coverage, grades, quotas, equals that a person must order, and per node scores,
  marks, states, as Python lists ready for bulk insert, in the order of the snapshot's units: see result.py.
  `result.unit_events[place]` says what of a unit's events counted, and why not.
- `explain(scheme, snapshot, result, unit) -> [Step, …]` (unit: its place): where every point came from, flat, in
  reading order; `explanation_text(steps) -> Text` the whole in words; `effective_marks(scheme, steps)` full marks
  per node after sharing what does not apply.
- `robustness(scheme, result, seed=…, draws=1000) -> Robustness`, `ranks_without(scheme, result, codes)`: how firm
  ranks are. `changes(outcomes(before), outcomes(after))`: how a result differs from another (变化、试算对比).
- `tried_scheme(before, document, weights)`, `tried(before, snapshot, scheme, values)`: the same snapshot under another
  scheme, other weights, other values (试算).

`Text(zh, en)` is what the whole product says to people.
"""

from service.scoring.checks import PointSum, parse_scheme, point_sums
from service.scoring.comparison import Change, Outcome, changes, outcomes
from service.scoring.document import (
    Category,
    Indicator,
    Scheme,
    canonical_json,
    dump_scheme,
    parse_rule,
    scheme_document,
)
from service.scoring.engine import compute
from service.scoring.explanation import Step, effective_marks, explain, explanation_text
from service.scoring.faults import Fault, InvalidInput
from service.scoring.items import DataItem, ItemOption
from service.scoring.quantities import Quantity
from service.scoring.result import Result, Status
from service.scoring.robustness import Robustness, SeatFlip, moved_without, ranks_without, robustness
from service.scoring.rules import RULES, Rule
from service.scoring.settings import Settings
from service.scoring.snapshot import Event, ItemColumn, Snapshot, State
from service.scoring.text import Text
from service.scoring.trials import (
    OtherValue,
    keeping_awards,
    revalued,
    reweighted,
    transplanted,
    tried,
    tried_scheme,
)
from service.scoring.version import ENGINE_VERSION

__all__ = [
    "ENGINE_VERSION",
    "RULES",
    "Category",
    "Change",
    "DataItem",
    "Event",
    "Fault",
    "Indicator",
    "InvalidInput",
    "ItemColumn",
    "ItemOption",
    "OtherValue",
    "Outcome",
    "PointSum",
    "Quantity",
    "Result",
    "Robustness",
    "Rule",
    "Scheme",
    "SeatFlip",
    "Settings",
    "Snapshot",
    "State",
    "Status",
    "Step",
    "Text",
    "canonical_json",
    "changes",
    "compute",
    "dump_scheme",
    "effective_marks",
    "explain",
    "explanation_text",
    "keeping_awards",
    "moved_without",
    "outcomes",
    "parse_rule",
    "parse_scheme",
    "point_sums",
    "ranks_without",
    "revalued",
    "reweighted",
    "robustness",
    "scheme_document",
    "transplanted",
    "tried",
    "tried_scheme",
]
