"""How a scheme file is written (方案文件写法): a sound example with every rule, and the definition of each rule."""

import inspect
import json
from functools import cache
from importlib.resources import files
from typing import Any

from service.scoring import RULES


@cache
def example_text() -> str:
    """A scheme file that uses every rule once."""
    return (files("service.scorefiles") / "example.scheme.json").read_text("utf-8")


def rules_text() -> str:
    """Every rule: its definition with its edges, as the engine's own text says it, and how it is written."""
    written: dict[str, dict[str, Any]] = {
        rule["kind"]: rule for node in json.loads(example_text())["indicators"] if (rule := node.get("rule"))
    }
    told: dict[str, list[str]] = {}
    for kind, rule in RULES.items():
        # Rules that share a definition share a module, and stand together.
        definition = inspect.cleandoc(inspect.getmodule(rule).__doc__ or "")
        told.setdefault(definition, []).append(json.dumps(written[kind], ensure_ascii=False))
    return "\n\n".join(
        definition + "\n" + "\n".join(f"    {example}" for example in examples) for definition, examples in told.items()
    )
