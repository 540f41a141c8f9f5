"""Where Tortoise finds models and migrations, and how a connection pool is set up."""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

APP = "tenants"


def tortoise_config(url: str, *, min_size: int = 1, max_size: int = 10) -> dict[str, Any]:
    """Tortoise's configuration for one database URL: `postgresql://user:password@host:port/name?host=/socket/folder`."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    credentials: dict[str, Any] = {
        "host": options.pop("host", None) or parts.hostname,
        "port": parts.port or 5432,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "database": unquote(parts.path.lstrip("/")),
        "minsize": min_size,
        "maxsize": max_size,
        # A reading plan can be longer than asyncpg's default of 15 KiB; it must be prepared once all the same.
        "statement_cache_size": 500,
        "max_cacheable_statement_size": 256 * 1024,
        **options,
    }
    return {
        "connections": {"default": {"engine": "tortoise.backends.asyncpg", "credentials": credentials}},
        "apps": {
            APP: {
                "models": ["tenants.models"],
                "migrations": "tenants.migrations",
                "default_connection": "default",
            }
        },
        "use_tz": True,
        "timezone": "UTC",
    }
