"""Holding cycles in their state until the commit (考核周期的锁定)."""


def holding_cycles(table: str, keys: str) -> str:
    """A step of a statement, `cycles_held`: the cycles of rows of `table` whose ids are `keys` (SQL) keep their state.

    It stands in a statement before the one that reads the state: what a statement reads is as old as its beginning, and
    this one may wait for whoever is just closing the cycle.
    """
    return f"""cycles_held AS (
        SELECT ho.id FROM cycles ho WHERE ho.tenant_id = $1 AND ho.id IN (
            SELECT own.cycle_id FROM {table} own WHERE own.tenant_id = $1 AND own.id = ANY ({keys}))
        ORDER BY ho.id FOR SHARE)"""
