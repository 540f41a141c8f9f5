"""Migrations: model state in Python, keys, checks, policies and grants in an SQL file of the same name beside it."""

from pathlib import Path


def sql_beside(migration_file: str) -> str:
    """The SQL file that belongs to a migration."""
    return Path(migration_file).with_suffix(".sql").read_text(encoding="utf-8")
