"""What is left of a declaration's SQL once some of its conditions are known to hold (已知条件的化简).

Conditions are texts that stand in the SQL word for word, so nothing here understands SQL but parentheses, quotes, AND,
OR and WHEN: a group with a condition that holds beside an OR holds, and what stood in it can no longer matter.
Whatever is not recognised stays as it is, so the rest is never less than what the answer depends on.
"""

import re
from collections.abc import Iterable
from typing import Final

HOLDS: Final = "TRUE"

_TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|[()]|--[^\n]*|/\*.*?\*/", re.DOTALL)
_HELD = re.compile("\x00(\\d+)\x00")
_WHEN = re.compile(r"\bWHEN\b(.*?)\bTHEN\b", re.DOTALL)
_QUERY = re.compile(r"\s*(SELECT|WITH|VALUES)\b")
_NO_CONDITION = re.compile(r"\b(CASE|SELECT|FROM|UNION|ORDER|THEN|ELSE)\b|,")
_OPERAND = re.compile(r"(?:^|\b(?:AND|OR|NOT|WHERE|WHEN|ON))\s*$")


def settled(sql: str, known: Iterable[str]) -> str:
    """The SQL with everything taken out that can't matter where each of the `known` conditions holds."""
    for condition in known:
        sql = sql.replace(condition, HOLDS)
    return _settled(sql)


def _settled(sql: str) -> str:
    """A text with balanced parentheses, settled from the inside out."""
    flat, held = _flattened(sql)
    flat = _WHEN.sub(lambda match: f"WHEN {_condition(match[1])} THEN", flat)
    if not _QUERY.match(flat):
        flat = _condition(flat)
    return _HELD.sub(lambda match: held[int(match[1])], flat)


def _flattened(sql: str) -> tuple[str, list[str]]:
    """The text with a mark in the place of each quoted text and each group that does not simply hold; what they held.

    Raises ValueError where parentheses are not balanced.
    """
    made: list[str] = []
    held: list[str] = []
    at = depth = opened = 0
    for token in _TOKEN.finditer(sql):
        text = token[0]
        if text == "(":
            if depth == 0:
                made.append(sql[at : token.start()])
                opened = token.end()
            depth += 1
        elif text == ")":
            depth -= 1
            if depth < 0:
                raise ValueError("A parenthesis is closed that was not opened.")
            if depth == 0:
                inner = _settled(sql[opened : token.start()])
                if inner.strip() == HOLDS and _OPERAND.search("".join(made)):
                    made.append(HOLDS)
                else:
                    made.append(f"\x00{len(held)}\x00")
                    held.append(f"({inner})")
                at = token.end()
        elif depth == 0:
            made.append(sql[at : token.start()])
            made.append(f"\x00{len(held)}\x00")
            held.append(text)
            at = token.end()
    if depth:
        raise ValueError("A parenthesis is not closed.")
    made.append(sql[at:])
    return "".join(made), held


def _condition(flat: str) -> str:
    """A condition without its groups: HOLDS where one of what OR joins does."""
    if _NO_CONDITION.search(flat):
        return flat
    for part in re.split(r"\bOR\b", flat):
        if all(each.strip() == HOLDS for each in re.split(r"\bAND\b", part)):
            return HOLDS
    return flat
