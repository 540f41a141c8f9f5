"""Each fault is planted in a deployment of its own, named by the doctor with its mend; and the mends mend."""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from service import embedded
from service.districts import set_issuer
from service.doctor import CHECKS, Finding, around, examine
from service.doctor import database as module
from service.main import check_documents, cli
from service.settings import Settings
from tenants.provisioning import Issuer, create_tenant
from tests.databases import PRISTINE

pytestmark = pytest.mark.anyio

KEY = "Yr7VqkT2sWc9Jx4LhNf8ZbUa3EoGpMd6"


def at(url: str, database: str, user: str | None = None) -> str:
    """The address of another database of the same server, perhaps as another user, whose password is its name."""
    parts = urlsplit(url)
    place = parts.netloc if user is None else f"{user}:{user}@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=place, path=f"/{database}"))


@pytest.fixture(scope="module")
def superuser(settings: Settings) -> str:
    """Who may plant faults: the superuser of the embedded server."""
    if not embedded.status(settings.data).running:
        pytest.skip("Faults are planted as the embedded server's superuser.")
    return embedded.addresses(settings.data).superuser_url


async def say(url: str, *statements: str) -> None:
    """Run statements."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
async def template(superuser: str, owner_url: str) -> AsyncIterator[str]:
    """A migrated database with a district, to be copied."""
    name = f"doctor_{uuid.uuid4().hex[:12]}"
    await say(superuser, f"CREATE DATABASE {name} TEMPLATE {PRISTINE} OWNER kp_owner")
    await create_tenant(
        at(owner_url, name), code="chunhui", name="春晖区", time_zone="Asia/Shanghai", root_code="r", root_name="区委"
    )
    yield name
    await say(superuser, f"DROP DATABASE {name}")


class Patient:
    """A deployment: a database of its own on the suite's server, with the suite's Redis."""

    def __init__(self, superuser: str, owner_url: str, database: str, settings: Settings) -> None:
        self.superuser = at(superuser, database)
        self.owner_url = at(owner_url, database)
        self.database = database
        assert settings.database_url is not None
        self.settings = settings.model_copy(
            update={
                "database_url": SecretStr(at(settings.database_url.get_secret_value(), database)),
                "database_owner_url": None,
                "signing_key": SecretStr(KEY),
            }
        )
        self.roles: list[str] = []

    async def plant(self, *statements: str) -> None:
        """Do something to it, as the superuser."""
        await say(self.superuser, *statements)

    async def role(self, attributes: str = "", *, like_app: bool = True) -> str:
        """A login of another name; the program uses it from now on."""
        name = f"doctor_{uuid.uuid4().hex[:12]}"
        await self.plant(f"CREATE ROLE {name} LOGIN PASSWORD '{name}' {attributes}")
        self.roles.append(name)
        if like_app:
            await self.plant(
                f"GRANT kp_app TO {name}",
                f"ALTER ROLE {name} SET statement_timeout = '60s'",
                f"ALTER ROLE {name} SET lock_timeout = '5s'",
                f"ALTER ROLE {name} SET idle_in_transaction_session_timeout = '60s'",
            )
        assert self.settings.database_url is not None
        self.set(database_url=SecretStr(at(self.settings.database_url.get_secret_value(), self.database, name)))
        return name

    def set(self, **values: object) -> None:
        """Other settings."""
        self.settings = self.settings.model_copy(update=values)

    async def findings(self, processes: int = 2) -> list[Finding]:
        """What the doctor says."""
        return await examine(self.settings, processes=processes, check_documents=check_documents)

    async def wrong(self, processes: int = 2) -> dict[str, Finding]:
        """What is wrong, by check; one thing per check."""
        found = [finding for finding in await self.findings(processes) if finding.state == "wrong"]
        assert all(finding.mend for finding in found)
        assert len({finding.check for finding in found}) == len(found), found
        return {finding.check: finding for finding in found}

    async def mended(self, finding: Finding) -> None:
        """The SQL of a mend is run, and then all is well."""
        assert finding.mend is not None
        sql = re.sub(r"^As (kp_owner|an administrator): ", "", finding.mend)
        assert sql != finding.mend
        await self.plant(sql.split("; or give")[0])
        assert await self.wrong() == {}


@pytest.fixture
async def patient(superuser: str, owner_url: str, settings: Settings, template: str) -> AsyncIterator[Patient]:
    """A healthy deployment."""
    name = f"doctor_{uuid.uuid4().hex[:12]}"
    await say(superuser, f"CREATE DATABASE {name} TEMPLATE {template} OWNER kp_owner")
    found = Patient(superuser, owner_url, name, settings)
    yield found
    await say(superuser, f"DROP DATABASE {name} WITH (FORCE)", *(f"DROP ROLE {role}" for role in found.roles))


async def test_a_healthy_deployment(patient: Patient) -> None:
    findings = await patient.findings()
    assert [finding.check for finding in findings] == list(CHECKS)
    assert {finding.state for finding in findings} == {"ok"}, findings


ROLES = {
    "superuser": ("SUPERUSER", "is a superuser", "NOSUPERUSER"),
    "bypasses": ("BYPASSRLS", "has BYPASSRLS", "NOBYPASSRLS"),
    "makes roles": ("CREATEROLE", "may make roles", "NOCREATEROLE"),
}


@pytest.mark.parametrize(("attribute", "what", "mend"), ROLES.values(), ids=ROLES)
async def test_a_role_that_is_not_bound(patient: Patient, attribute: str, what: str, mend: str) -> None:
    name = await patient.role(attribute)
    found = await patient.findings()
    (finding,) = [f for f in found if f.check == "role"]
    assert finding.state == "wrong"
    assert f"{name} of KAOPING_DATABASE_URL {what}" in finding.what
    assert finding.mend is not None
    assert f"ALTER ROLE {name} {mend}" in finding.mend
    await patient.mended(finding)


async def test_a_role_that_owns(patient: Patient) -> None:
    name = await patient.role()
    await patient.plant(f"GRANT kp_owner TO {name}")
    finding = next(f for f in await patient.findings() if f.check == "role" and f.state == "wrong")
    assert "is a member of kp_owner" in finding.what
    await patient.mended(finding)
    await patient.plant(f"ALTER TABLE categories OWNER TO {name}")
    finding = next(f for f in await patient.findings() if f.check == "role" and f.state == "wrong")
    assert "owns 1 tables" in finding.what
    await patient.mended(finding)


async def test_rights_to_change_what_must_not(patient: Patient) -> None:
    await patient.plant("GRANT UPDATE, DELETE ON audit_events TO kp_app")
    wrong = await patient.wrong()
    assert set(wrong) == {"append-only"}
    assert "may UPDATE and DELETE audit_events" in wrong["append-only"].what
    await patient.mended(wrong["append-only"])


POLICIES = {
    "dropped": ("DROP POLICY tenant ON entries", "The policy of entries is missing or altered."),
    "altered": ("ALTER POLICY tenant ON entries USING (true)", "The policy of entries is missing or altered."),
    "not forced": ("ALTER TABLE entries NO FORCE ROW LEVEL SECURITY", "Row-level security is not forced on entries"),
    "off": ("ALTER TABLE entries DISABLE ROW LEVEL SECURITY", "Row-level security is not forced on entries"),
    "opened": ("CREATE POLICY all_of_it ON entries USING (true)", "The policy all_of_it opens entries"),
    "without a tenant": ("CREATE TABLE notes (id int)", "The table notes has no tenant."),
}


@pytest.mark.parametrize(("statement", "what"), POLICIES.values(), ids=POLICIES)
async def test_a_policy_that_is_not_as_it_was(patient: Patient, statement: str, what: str) -> None:
    await patient.plant(statement)
    wrong = await patient.wrong()
    assert set(wrong) == {"policies"}
    assert what in wrong["policies"].what
    if "…" in str(wrong["policies"].mend):
        await patient.plant("CREATE SCHEMA apart", "ALTER TABLE notes SET SCHEMA apart")
        assert await patient.wrong() == {}
    else:
        await patient.mended(wrong["policies"])


async def test_migrations_that_are_missing_or_unknown(patient: Patient, app_url: str) -> None:
    await patient.plant(
        "INSERT INTO tortoise_migrations (app, name, applied_at) VALUES ('tenants', '9999_tomorrow', now())"
    )
    wrong = await patient.wrong()
    assert set(wrong) == {"migrations"}
    assert "9999_tomorrow, which this program does not know" in wrong["migrations"].what
    await patient.plant(
        "DELETE FROM tortoise_migrations WHERE name = '9999_tomorrow' OR name LIKE '0003%'",
    )
    wrong = await patient.wrong()
    assert (wrong["migrations"].what, wrong["migrations"].mend) == (
        "The database lacks 0003_operations.",
        "Run: kaoping migrate",
    )


async def test_an_empty_database(patient: Patient) -> None:
    await patient.plant("DROP OWNED BY kp_owner CASCADE")
    await patient.plant("CREATE SCHEMA IF NOT EXISTS public")
    wrong = await patient.wrong()
    assert (wrong["migrations"].what, wrong["migrations"].mend) == (
        "The database has no tables of this program.",
        "Run: kaoping migrate",
    )
    assert {f.check for f in await patient.findings() if f.state == "unseen"} == {"policies", "append-only", "jobs"}


async def test_statements_that_never_end(patient: Patient) -> None:
    name = await patient.role()
    await patient.plant(f"ALTER ROLE {name} SET statement_timeout = 0")
    wrong = await patient.wrong()
    assert set(wrong) == {"timeouts"}
    assert wrong["timeouts"].mend == f"As an administrator: ALTER ROLE {name} SET statement_timeout = '60s'"
    await patient.mended(wrong["timeouts"])


async def test_too_few_connections(patient: Patient) -> None:
    wrong = await patient.wrong(processes=1000)
    assert set(wrong) == {"connections"}
    assert "1000 processes may want 11000 connections" in wrong["connections"].what
    name = await patient.role("CONNECTION LIMIT 5")
    wrong = await patient.wrong()
    assert "there are 5" in wrong["connections"].what
    await patient.plant(f"ALTER ROLE {name} CONNECTION LIMIT -1")
    assert await patient.wrong() == {}


JOB = """
WITH bound AS (SELECT set_config('app.tenant_id', (SELECT id::text FROM directory LIMIT 1), true))
INSERT INTO jobs (tenant_id, id, kind, dedupe_key, max_attempts, state, run_at, lease_until, requested_at)
SELECT (SELECT id FROM directory LIMIT 1), gen_random_uuid(), 'RANKING_RUN', gen_random_uuid()::text, 3, {} FROM bound
"""

JOBS = {
    "waiting": ("'QUEUED', now() - interval '5 minutes', NULL, now()", "1 jobs have been due for more than a minute"),
    "lost": ("'RUNNING', now(), now() - interval '5 minutes', now()", "1 jobs have been due for more than a minute"),
    "given up": ("'FAILED', now(), NULL, now()", "1 jobs of the last 7 days have been given up"),
}


@pytest.mark.parametrize(("values", "what"), JOBS.values(), ids=JOBS)
async def test_jobs_that_are_not_done(patient: Patient, values: str, what: str) -> None:
    await patient.plant(JOB.format("'QUEUED', now(), NULL, now()"))
    await patient.plant(JOB.format("'FAILED', now(), NULL, now() - interval '1 month'"))
    assert await patient.wrong() == {}
    await patient.plant(JOB.format(values))
    wrong = await patient.wrong()
    assert set(wrong) == {"jobs"}
    assert what in wrong["jobs"].what


async def test_a_role_that_may_not_dispatch(patient: Patient) -> None:
    name = await patient.role(like_app=False)
    await patient.plant(
        f"GRANT USAGE ON SCHEMA public TO {name}", f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}"
    )
    found = [f for f in await patient.findings() if f.check == "jobs"]
    assert "may not act as kp_dispatch" in found[0].what


def other(url: SecretStr | None, **parts: object) -> SecretStr:
    """An address with other parts."""
    assert url is not None
    found = urlsplit(url.get_secret_value())
    user, _, rest = found.netloc.rpartition("@")
    netloc = {
        "port": f"{user}@{rest.rpartition(':')[0]}:{parts.get('port')}",
        "password": f"{user.partition(':')[0]}:{quote(str(parts.get('password')))}@{rest}",
    }
    changed = found._replace(netloc=netloc.get(next(iter(parts)), found.netloc))
    return SecretStr(urlunsplit(changed._replace(path=str(parts.get("path", found.path)))))


async def test_a_database_that_cannot_be_reached(patient: Patient) -> None:
    right = patient.settings.database_url
    for parts, what in (
        ({"port": 1}, "it does not answer (ConnectionRefusedError)."),
        ({"password": "hunter2"}, "it refuses the user kp_app or its password."),
        ({"path": "/nothing"}, "there is no such database."),
    ):
        patient.set(database_url=other(right, **parts))
        wrong = await patient.wrong()
        assert set(wrong) == {"database"}
        assert what in wrong["database"].what
        assert "hunter2" not in str(wrong)
        unseen = {finding.check for finding in await patient.findings() if finding.state == "unseen"}
        assert {"policies", "role", "migrations", "issuers", "jobs", "clock"} <= unseen


async def test_redis_that_cannot_be_used(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    right = patient.settings.redis_url
    for parts, what in (({"port": 1}, "does not answer"), ({"password": "hunter2"}, "refuses the password")):
        patient.set(redis_url=other(right, **parts))
        wrong = await patient.wrong()
        assert set(wrong) == {"redis"}
        assert what in wrong["redis"].what
        assert "hunter2" not in str(wrong)
    patient.set(redis_url=right)
    # What is known as the oldest is moved past the server at hand.
    monkeypatch.setattr(around, "OLDEST_REDIS", (99, 0))
    assert "Use 6.2 or later" in str((await patient.wrong())["redis"].mend)


@pytest.mark.parametrize(
    ("key", "what"),
    [("ab" * 20, "2 different characters"), ("a-password-for-kaoping-0123456789xyz", "a word that others would try")],
)
async def test_a_key_that_can_be_guessed(patient: Patient, key: str, what: str) -> None:
    patient.set(signing_key=SecretStr(key))
    wrong = await patient.wrong()
    assert set(wrong) == {"signing key"}
    assert what in wrong["signing key"].what
    assert key not in str(wrong)


class LateClock(datetime):
    """A machine that is ten seconds late."""

    @classmethod
    def now(cls, tz: Any = UTC) -> Any:
        """The time on it."""
        return datetime.now(tz) - timedelta(seconds=10)


async def test_clocks_zones_and_versions(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    # The machine's clock as this module reads it: the database's own can't be moved.
    with monkeypatch.context() as patched:
        patched.setattr(module, "datetime", LateClock)
        wrong = await patient.wrong()
        assert re.search(r"are (9|10)\.\d s apart", wrong["clock"].what)
        assert set(wrong) == {"clock"}
    with monkeypatch.context() as patched:
        patched.setattr(module, "offset_now", lambda: 0.0)
        wrong = await patient.wrong()
        assert set(wrong) == {"time zones"}
    with monkeypatch.context() as patched:
        patched.setattr(around, "ZONE", "Mars/Olympus_Mons")
        assert "does not know Mars/Olympus_Mons" in (await patient.wrong())["time zones"].what
    monkeypatch.setattr(module, "VERSIONS", range(98, 100))
    assert (await patient.wrong())["database"].mend == "Use 98 to 99."


async def test_a_manifest_that_cannot_be_read(patient: Patient, tmp_path: Path) -> None:
    path = tmp_path / "documents.json"
    patient.set(trusted_documents=path)
    wrongly_named = json.dumps({"a" * 64: "{ __typename }"})
    for text, what in ((None, "can't be read"), ("[", "not JSON"), (wrongly_named, "SHA256 of its text")):
        if text is not None:
            path.write_text(text, encoding="utf-8")
        wrong = await patient.wrong()
        assert set(wrong) == {"documents"}
        assert what in wrong["documents"].what
    path.unlink()
    patient.set(trusted_documents=None)
    assert await patient.wrong() == {}


async def test_an_issuer_that_does_not_answer(patient: Patient) -> None:
    await set_issuer(patient.owner_url, code="chunhui", issuer=Issuer("http://127.0.0.1:1/realm", "kaoping"))
    wrong = await patient.wrong()
    assert set(wrong) == {"issuers"}
    assert "http://127.0.0.1:1/realm (of chunhui): it does not answer" in wrong["issuers"].what
    await set_issuer(patient.owner_url, code="chunhui", issuer=None)
    assert await patient.wrong() == {}


async def test_the_command(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in patient.settings.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("KAOPING_DATABASE_OWNER_URL", raising=False)

    def doctor(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["doctor", *words])
        return done.exit_code, done.stdout

    run: Callable[..., Any] = asyncio.to_thread
    code, said = await run(doctor)
    assert (code, said.splitlines()[-1]) == (0, f"All {len(CHECKS)} checks are well.")
    code, said = await run(doctor, "--json")
    assert (code, json.loads(said)["ok"]) == (0, True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAOPING_POOLSIZE", "4")
        code, said = await run(doctor)
        assert code == 0
        assert re.search(r"warns +settings +KAOPING_POOLSIZE is no setting.* Was KAOPING_POOL_SIZE meant\?", said)
        assert said.splitlines()[-1] == f"All {len(CHECKS)} checks are well. 1 doubtful."
    await patient.plant("ALTER TABLE entries DISABLE ROW LEVEL SECURITY")
    code, said = await run(doctor)
    assert code == 1
    assert re.search(r"WRONG +policies +Row-level security is not forced on entries", said)
    assert "Mend: As kp_owner: ALTER TABLE entries ENABLE" in said
    assert said.splitlines()[-1] == "1 wrong."
    monkeypatch.setenv("KAOPING_SIGNING_KEY", "short")
    monkeypatch.delenv("KAOPING_DATABASE_URL")
    code, said = await run(doctor, "--json")
    found = json.loads(said)
    assert (code, found["ok"], len(found["findings"])) == (1, False, 2)
    assert "KAOPING_SIGNING_KEY has 5 bytes" in said
    assert "KAOPING_DATABASE_URL is missing beside KAOPING_REDIS_URL" in said
