"""What is to be seen in PostgreSQL, as the program's role sees it."""

import asyncio
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

import asyncpg

from service.addresses import place_of
from service.doctor.around import ZONE, offset_now
from service.doctor.findings import Findings
from service.settings import Settings
from tenants.migrate import program_migrations

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 15.0

VERSIONS = range(16, 19)
"""PostgreSQL versions that the suite runs on, and those between."""

CLOCK_SECONDS = 2.0
"""How far clocks may be apart: tokens and log lines are dated here, deadlines there."""

WAITED = "1 minute"
FAILED_WITHIN = "7 days"

GLOBAL_TABLES = ("directory", "tortoise_migrations")
"""The closed list of tables without a tenant."""

APPEND_ONLY = ("audit_events", "entry_revisions", "reviews", "publications", "standings", "run_snapshots")

POLICY = "(tenant_id = (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid)"

_POLICY_SQL = "tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid"


async def check_database(findings: Findings, settings: Settings, *, processes: int) -> None:
    """Everything that a connection as the program's role shows."""
    if settings.database_url is None:
        findings.wrong("database", "KAOPING_DATABASE_URL is not set.", "Set it, as kp_app.")
        return
    url = settings.database_url.get_secret_value()
    parts = urlsplit(url)
    place = place_of(url)
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS, command_timeout=STATEMENT_SECONDS)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        what, mend = _unreachable(error, unquote(parts.username or ""))
        findings.wrong("database", f"{place}: {what}", mend)
        return
    try:
        await _look(findings, connection, settings, place, processes)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        findings.wrong(
            "database",
            f"{place}: it went away while it was looked at ({type(error).__name__}).",
            "Look at the server's own log, then try again.",
        )
    finally:
        await connection.close(timeout=CONNECT_SECONDS)


def _unreachable(error: Exception, user: str) -> tuple[str, str]:
    match error:
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            return (
                f"it refuses the user {user} or its password.",
                f"Correct KAOPING_DATABASE_URL, or: ALTER ROLE {user} PASSWORD '…'",
            )
        case asyncpg.InvalidCatalogNameError():
            return "there is no such database.", "Correct KAOPING_DATABASE_URL, or create it and run: kaoping migrate"
        case asyncpg.TooManyConnectionsError():
            return "it has no connection left.", "Raise max_connections, or lower KAOPING_POOL_SIZE or the replicas."
        case asyncpg.InsufficientPrivilegeError():
            return f"{user} may not connect to it.", "kaoping migrate --roles | psql -d DATABASE"
    return (
        f"it does not answer ({type(error).__name__}).",
        "Start it, or correct KAOPING_DATABASE_URL; look at firewalls and network policies between.",
    )


async def _look(
    findings: Findings, connection: asyncpg.Connection, settings: Settings, place: str, processes: int
) -> None:
    version: str = await connection.fetchval("SHOW server_version")
    number = int(await connection.fetchval("SHOW server_version_num")) // 10_000
    if number in VERSIONS:
        findings.ok("database", f"PostgreSQL {version} at {place}")
    else:
        findings.wrong("database", f"PostgreSQL is {version}.", f"Use {VERSIONS[0]} to {VERSIONS[-1]}.")
    await _clock(findings, connection)
    await _role(findings, connection)
    await _timeouts(findings, connection)
    await _connections(findings, connection, settings, processes)
    if await _migrations(findings, connection):
        await _policies(findings, connection)
        await _append_only(findings, connection)
        await _jobs(findings, connection)
        for row in await connection.fetch("SELECT issuer, code FROM directory WHERE issuer IS NOT NULL ORDER BY 1, 2"):
            findings.issuers.setdefault(row["issuer"], []).append(row["code"])


async def _clock(findings: Findings, connection: asyncpg.Connection) -> None:
    before = datetime.now(UTC)
    theirs = await connection.fetchval("SELECT clock_timestamp()")
    after = datetime.now(UTC)
    # What the round trip took is nobody's fault.
    apart = max((before - theirs).total_seconds(), (theirs - after).total_seconds(), 0.0)
    if apart > CLOCK_SECONDS:
        findings.wrong(
            "clock",
            f"The clock of this machine and the database's are {apart:.1f} s apart.",
            "Let both follow a time server (NTP); deadlines are judged by the database's.",
        )
    else:
        findings.ok("clock", f"{apart:.1f} s apart")
    if findings.has("time zones"):
        return
    try:
        offset = float(
            await connection.fetchval(
                "SELECT extract(epoch FROM (now() AT TIME ZONE $1) - (now() AT TIME ZONE 'UTC'))", ZONE
            )
        )
    except asyncpg.InvalidParameterValueError:
        offset = float("nan")
    if offset == offset_now():
        findings.ok("time zones", f"{ZONE} is known here and there")
    else:
        findings.wrong(
            "time zones",
            f"The database and this machine do not agree on {ZONE}.",
            "Install current time zone data (tzdata) for both.",
        )


async def _role(findings: Findings, connection: asyncpg.Connection) -> None:
    row = await connection.fetchrow(
        """
        SELECT current_user AS name, quote_ident(current_user) AS quoted, rolsuper, rolbypassrls, rolcreaterole,
               EXISTS (SELECT FROM pg_roles o WHERE o.rolname = 'kp_owner'
                       AND pg_has_role(current_user, o.oid, 'MEMBER')) AS owns,
               (SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tableowner = current_user) AS tables
        FROM pg_roles WHERE rolname = current_user
        """
    )
    assert row is not None
    name, quoted = row["name"], row["quoted"]
    for wrong, what, mend in (
        (row["rolsuper"], "is a superuser", f"ALTER ROLE {quoted} NOSUPERUSER"),
        (row["rolbypassrls"], "has BYPASSRLS", f"ALTER ROLE {quoted} NOBYPASSRLS"),
        (row["owns"] and not row["rolsuper"], "is a member of kp_owner", f"REVOKE kp_owner FROM {quoted}"),
        (row["rolcreaterole"] and not row["rolsuper"], "may make roles", f"ALTER ROLE {quoted} NOCREATEROLE"),
        (row["tables"], f"owns {row['tables']} tables", f"REASSIGN OWNED BY {quoted} TO kp_owner"),
    ):
        if wrong:
            findings.wrong(
                "role",
                f"The role {name} of KAOPING_DATABASE_URL {what}, so row-level security would not hold it.",
                f"As an administrator: {mend}; or give the program kp_app.",
            )
    if not findings.has("role"):
        findings.ok("role", f"{name} is bound")


async def _timeouts(findings: Findings, connection: asyncpg.Connection) -> None:
    quoted = await connection.fetchval("SELECT quote_ident(current_user)")
    for setting, value in (
        ("statement_timeout", "60s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "60s"),
    ):
        found = await connection.fetchval("SELECT current_setting($1)", setting)
        if found == "0":
            findings.wrong(
                "timeouts",
                f"{setting} is off for the program's role: one statement may hold everybody up.",
                f"As an administrator: ALTER ROLE {quoted} SET {setting} = '{value}'",
            )
    if not findings.has("timeouts"):
        findings.ok("timeouts", "statements, locks and idle transactions end by themselves")


async def _connections(findings: Findings, connection: asyncpg.Connection, settings: Settings, processes: int) -> None:
    row = await connection.fetchrow(
        """
        SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                   - coalesce(current_setting('reserved_connections', true), '0')::int AS most,
               (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS role_limit,
               (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS database_limit,
               (SELECT sum(numbackends) FROM pg_stat_database) AS used
        """
    )
    assert row is not None
    limits = [row["most"], *(limit for limit in (row["role_limit"], row["database_limit"]) if limit >= 0)]
    most = min(limits)
    # Each process has a pool, and a worker a connection for its pulse besides.
    wanted = processes * (settings.pool_size + 1)
    free = row["most"] - row["used"]
    if wanted > most:
        findings.wrong(
            "connections",
            f"{processes} processes may want {wanted} connections, there are {most}.",
            "Raise max_connections (or the role's CONNECTION LIMIT), or lower KAOPING_POOL_SIZE or the replicas.",
        )
    elif free < settings.pool_size:
        findings.wrong(
            "connections",
            f"Only {free} of {row['most']} connections are free, a process may want {settings.pool_size}.",
            "Look in pg_stat_activity who holds them; raise max_connections, or lower KAOPING_POOL_SIZE.",
        )
    else:
        findings.ok("connections", f"{wanted} wanted by {processes} processes, {free} of {row['most']} free")


async def _migrations(findings: Findings, connection: asyncpg.Connection) -> bool:
    """Whether the tables can be looked at at all."""
    wanted = program_migrations()
    try:
        rows = await connection.fetch("SELECT name FROM tortoise_migrations WHERE app = 'tenants' ORDER BY name")
    except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError):
        findings.wrong("migrations", "The database has no tables of this program.", "Run: kaoping migrate")
        return False
    applied = [row["name"] for row in rows]
    missing = [name for name in wanted if name not in applied]
    newer = [name for name in applied if name not in wanted]
    if missing:
        findings.wrong("migrations", f"The database lacks {', '.join(missing)}.", "Run: kaoping migrate")
    if newer:
        findings.wrong(
            "migrations",
            f"The database has {', '.join(newer)}, which this program does not know.",
            "A newer version migrated it. Run that version here as well.",
        )
    if not missing and not newer:
        findings.ok("migrations", f"all {len(wanted)} are applied")
    # Rows of tables that a missing migration makes are looked at another time.
    return not missing


async def _policies(findings: Findings, connection: asyncpg.Connection) -> None:
    tables = await connection.fetch(
        """
        SELECT c.relname AS name, quote_ident(c.relname) AS quoted, c.relrowsecurity AND c.relforcerowsecurity AS bound,
               EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
                       AND a.attnotnull) AS tenant,
               EXISTS (SELECT FROM pg_policies p WHERE p.schemaname = 'public' AND p.tablename = c.relname
                       AND p.policyname = 'tenant' AND p.qual = $2 AND p.with_check = $2) AS policy
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
          AND c.relname <> ALL ($1::text[]) ORDER BY 1
        """,
        list(GLOBAL_TABLES),
        POLICY,
    )
    for table in tables:
        name, quoted = table["name"], table["quoted"]
        if not table["tenant"]:
            findings.wrong(
                "policies",
                f"The table {name} has no tenant.",
                f"As kp_owner: ALTER TABLE {quoted} SET SCHEMA …, or DROP it: it is none of this program's",
            )
            continue
        if not table["bound"]:
            findings.wrong(
                "policies",
                f"Row-level security is not forced on {name}: districts may see each other.",
                f"As kp_owner: ALTER TABLE {quoted} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            )
        if not table["policy"]:
            findings.wrong(
                "policies",
                f"The policy of {name} is missing or altered.",
                f"As kp_owner: DROP POLICY IF EXISTS tenant ON {quoted}; "
                f"CREATE POLICY tenant ON {quoted} USING ({_POLICY_SQL}) WITH CHECK ({_POLICY_SQL})",
            )
    # Permissive policies are OR-ed: one that is not the dispatcher's opens its table.
    for row in await connection.fetch(
        """SELECT tablename, policyname, format('%I ON %I', policyname, tablename) AS quoted FROM pg_policies
           WHERE schemaname = 'public' AND policyname <> 'tenant' AND permissive = 'PERMISSIVE'
             AND (roles::text[] <> ARRAY['kp_dispatch'] OR cmd <> 'SELECT') ORDER BY 1, 2"""
    ):
        findings.wrong(
            "policies",
            f"The policy {row['policyname']} opens {row['tablename']} beside its own.",
            f"As kp_owner: DROP POLICY {row['quoted']}",
        )
    if not findings.has("policies"):
        findings.ok("policies", f"forced on all {len(tables)} tables")


async def _append_only(findings: Findings, connection: asyncpg.Connection) -> None:
    for table in APPEND_ONLY:
        rights = await connection.fetchval(
            """SELECT array_agg(wanted) FROM unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS wanted
               WHERE has_table_privilege(current_user, $1, wanted)""",
            table,
        )
        if rights:
            findings.wrong(
                "append-only",
                f"The program's role may {' and '.join(rights)} {table}, which must never change.",
                f"As kp_owner: REVOKE {', '.join(rights)} ON {table} FROM kp_app",
            )
    if not findings.has("append-only"):
        findings.ok("append-only", "audit, revisions, reviews and boards can only be added to")


async def _jobs(findings: Findings, connection: asyncpg.Connection) -> None:
    try:
        async with connection.transaction(readonly=True), asyncio.timeout(STATEMENT_SECONDS):
            await connection.execute("SET LOCAL ROLE kp_dispatch")
            row = await connection.fetchrow(
                f"""
                SELECT count(*) FILTER (WHERE state = 'QUEUED' AND run_at < now() - interval '{WAITED}') AS waiting,
                       count(*) FILTER (WHERE state = 'RUNNING' AND lease_until < now() - interval '{WAITED}') AS lost,
                       count(*) FILTER (WHERE state = 'FAILED' AND requested_at > now() - interval '{FAILED_WITHIN}')
                           AS failed
                FROM jobs
                """
            )
    except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidParameterValueError):
        findings.wrong(
            "jobs",
            "The program's role may not act as kp_dispatch, so no worker finds a job.",
            "As an administrator: GRANT kp_dispatch TO the role of KAOPING_DATABASE_URL, WITH INHERIT FALSE, SET TRUE",
        )
        return
    assert row is not None
    if row["waiting"] or row["lost"]:
        findings.wrong(
            "jobs",
            f"{row['waiting'] + row['lost']} jobs have been due for more than a minute.",
            "Start `kaoping worker`, or more of them; look at its log.",
        )
    if row["failed"]:
        findings.wrong(
            "jobs",
            f"{row['failed']} jobs of the last 7 days have been given up.",
            "Their lastError in the API says why; mend that, then retryJob.",
        )
    if not findings.has("jobs"):
        findings.ok("jobs", "none waits, none has been given up")
