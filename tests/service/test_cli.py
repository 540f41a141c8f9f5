"""The command line as a person or a script meets it: output, JSON, exit codes."""

import asyncio
import json
import re
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from click.testing import CliRunner

from service.access import Role, authenticate
from service.addresses import place_of
from service.main import cli
from service.members import sign_in
from service.settings import Settings
from tenants.database import Database
from tenants.provisioning import District, create_tenant

Done = subprocess.CompletedProcess[str]
Kaoping = Callable[..., Done]


@pytest.fixture
def process(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Kaoping:
    """Runs a command against the suite's servers, as a process of its own."""
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)

    def run(*words: str, text: str | None = None) -> Done:
        return subprocess.run(
            [sys.executable, "-m", "service.main", *words], input=text, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture
def kaoping(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Kaoping:
    """Runs a command against the suite's servers, in this process: starting another takes longer than the command."""
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)

    def run(*words: str, text: str | None = None) -> Done:
        result = CliRunner().invoke(cli, words, prog_name="kaoping", input=text)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(words, result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def district(owner_url: str) -> District:
    """A district of the test's own, for tests without an event loop of their own."""
    return asyncio.run(
        create_tenant(
            owner_url,
            code=new_code(),
            name="命令区",
            time_zone="Asia/Shanghai",
            root_code="root",
            root_name="命令区",
        )
    )


def value_of(result: Done) -> Any:
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


def new_code() -> str:
    return f"cli-{uuid.uuid4().hex[:12]}"


def test_a_district_is_created_listed_suspended_and_resumed(process: Kaoping) -> None:
    code = new_code()
    made = value_of(process("tenant", "create", code, "--name", "命令区", "--json"))
    assert made == {"id": str(uuid.UUID(made["id"])), "code": code, "status": "ACTIVE"}
    assert made in value_of(process("tenant", "list", "--json"))
    assert value_of(process("tenant", "suspend", code, "--json"))["status"] == "SUSPENDED"
    assert value_of(process("tenant", "resume", code, "--json"))["status"] == "ACTIVE"
    assert f"{code} is suspended" in process("tenant", "suspend", code).stdout
    assert code in process("tenant", "list").stdout


def test_what_is_refused_ends_with_1_and_says_why(kaoping: Kaoping, district: District) -> None:
    for words, said in (
        (("tenant", "create", district.code, "--name", "again"), "already"),
        (("tenant", "create", "no spaces", "--name", "x"), "letters, digits and hyphens"),
        (("tenant", "create", new_code(), "--name", "x", "--time-zone", "Mars/Olympus"), "no time zone"),
        (("tenant", "suspend", new_code()), "no district"),
        (("token", "create", "--tenant", new_code(), "--role", "organiser"), "no district"),
        (("token", "create", "--tenant", district.code, "--role", "organiser", "--unit", "nowhere"), "no unit"),
        (("token", "create", "--tenant", district.code, "--role", "organiser", "--member", "nobody"), "no account"),
    ):
        result = kaoping(*words)
        assert result.returncode == 1, words
        assert said in result.stderr
        assert result.stdout == ""


def test_wrong_usage_ends_with_2() -> None:
    for words in (
        ("tenant", "create"),
        ("token", "create", "--tenant", "x", "--role", "emperor"),
        ("token", "create", "--tenant", "x", "--role", "organiser", "--days", "0"),
        ("member", "create", "--tenant", "x", "--name", "x", "--sign-in", "x", "--grant", "emperor:root"),
        ("member", "create", "--tenant", "x", "--name", "x", "--sign-in", "x", "--unit", "root"),
        ("nonsense",),
    ):
        result = CliRunner().invoke(cli, list(words))
        assert result.exit_code == 2, words
        assert "Error: " in result.stderr


def test_unusable_settings_end_with_2_and_are_all_named(process: Kaoping, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAOPING_PORT", "eight")
    monkeypatch.delenv("KAOPING_DATABASE_OWNER_URL")
    result = process("tenant", "list")
    assert result.returncode == 2
    assert "KAOPING_PORT" in result.stderr
    assert "KAOPING_DATABASE_OWNER_URL is missing" in result.stderr


@pytest.mark.parametrize(
    ("words", "setting", "host", "reason"),
    [
        (["tenant", "list"], "KAOPING_DATABASE_OWNER_URL", "127.0.0.1", "Connection refused"),
        (["migrate"], "KAOPING_DATABASE_OWNER_URL", "nowhere.invalid", "not known|No address|Temporary failure"),
        (["serve", "--port", "0"], "KAOPING_DATABASE_URL", "127.0.0.1", "Connection refused"),
        (["serve", "--port", "0"], "KAOPING_DATABASE_URL", "nowhere.invalid", "not known|No address|Temporary failure"),
        (["demo", "--once"], "KAOPING_DATABASE_OWNER_URL", "127.0.0.1", "Connection refused"),
        (["worker"], "KAOPING_DATABASE_URL", "127.0.0.1", "Connection refused"),
    ],
)
def test_a_database_that_does_not_answer_is_named_without_a_traceback(
    process: Kaoping, monkeypatch: pytest.MonkeyPatch, words: list[str], setting: str, host: str, reason: str
) -> None:
    monkeypatch.setenv(setting, f"postgresql://kp_nobody:hunter2@{host}:1/kaoping")
    result = process(*words)
    assert result.returncode == 1
    first, place, mend = result.stderr.splitlines()[-3:]
    assert first == "Error: The database does not answer."
    assert re.fullmatch(rf"  - {setting} names {host}:1/kaoping: .*({reason}).*", place)
    assert mend.startswith("Start it, or correct the setting; ")
    assert "hunter2" not in result.stderr
    assert "Traceback" not in result.stderr


def test_a_database_that_answers_in_another_way_is_named(kaoping: Kaoping, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("KAOPING_DATABASE_OWNER_URL", f"postgresql://a:hunter2@127.0.0.1:{port}/k?sslmode=require")

        def speak() -> None:
            with suppress(OSError):
                while True:
                    with server.accept()[0] as connection:
                        connection.sendall(b"N")

        threading.Thread(target=speak, daemon=True).start()
        result = kaoping("tenant", "list")
    assert result.returncode == 1
    assert "takes connections, and did not answer as it should" in result.stderr
    assert f"KAOPING_DATABASE_OWNER_URL names 127.0.0.1:{port}/k" in result.stderr
    assert "hunter2" not in result.stderr


def test_places_of_servers_are_told_without_names_and_passwords() -> None:
    assert place_of("postgresql://kp_app:hunter2@db.example/kaoping") == "db.example:5432/kaoping"
    assert place_of("postgresql://kp_app:hunter2@[::1]:6432/kaoping") == "[::1]:6432/kaoping"
    assert place_of("rediss://:hunter2@cache/0") == "cache:6379/0"
    assert place_of("unix:///run/redis.sock") == "/run/redis.sock"
    assert place_of("postgresql:///kaoping") == "a local socket:5432/kaoping"


def test_a_misspelt_variable_is_named_where_settings_are_refused(
    kaoping: Kaoping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAOPING_DATABASE_OWNER_URL")
    monkeypatch.setenv("KAOPING_DATABASE_OWNR_URL", "postgresql://a:hunter2@db/kaoping")
    result = kaoping("tenant", "list")
    assert result.returncode == 2
    assert "KAOPING_DATABASE_OWNR_URL is no setting" in result.stderr
    assert "Was KAOPING_DATABASE_OWNER_URL meant?" in result.stderr
    assert "hunter2" not in result.stderr


def test_a_wrong_password_of_the_database_is_said(kaoping: Kaoping, settings: Settings, owner_url: str) -> None:
    head, _, place = owner_url.rpartition("@")
    wrong = f"{head.rpartition(':')[0]}:hunter2@{place}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KAOPING_DATABASE_OWNER_URL", wrong)
        result = kaoping("tenant", "list")
    # On a server that trusts the loopback address any password does.
    assert result.returncode in (0, 1)
    assert "hunter2" not in result.stdout + result.stderr


@pytest.mark.anyio
async def test_a_token_works_at_once(kaoping: Kaoping, db: Database, settings: Settings, district: District) -> None:
    made = value_of(
        await asyncio.to_thread(kaoping, "token", "create", "--tenant", district.code, "--role", "organiser", "--json")
    )
    assert settings.signing_key is not None
    actor = await authenticate(db, settings.signing_key.get_secret_value(), made["token"])
    assert actor.tenant_id == district.id
    assert actor.kind == "SERVICE_TOKEN"
    assert [(grant.role, grant.at_root) for grant in actor.grants] == [(Role.ORGANISER, True)]
    assert (made["tenant"], made["role"], made["unit"], made["member"]) == (district.code, "ORGANISER", None, None)
    plain = await asyncio.to_thread(kaoping, "token", "create", "--tenant", district.code, "--role", "observer")
    other = await authenticate(db, settings.signing_key.get_secret_value(), plain.stdout.strip())
    assert other.id != actor.id


@pytest.mark.anyio
async def test_a_member_signs_in_and_a_token_acts_for_it(
    kaoping: Kaoping, db: Database, settings: Settings, district: District
) -> None:
    made = value_of(
        await asyncio.to_thread(
            kaoping,
            *("member", "create", "--tenant", district.code, "--name", "张三", "--sign-in", "zhangsan"),
            *("--role", "secretary", "--unit", "root", "--grant", "reviewer", "--language", "en", "--json"),
        )
    )
    assert settings.signing_key is not None
    key = settings.signing_key.get_secret_value()
    _, issued = await sign_in(db, key, minutes=5, tenant_code=district.code, name="zhangsan", password=made["password"])
    member = await authenticate(db, key, issued.token)
    assert member.roles == {Role.SECRETARY, Role.REVIEWER}
    assert member.language == "EN"
    token = value_of(
        await asyncio.to_thread(
            kaoping,
            *("token", "create", "--tenant", district.code, "--role", "secretary", "--unit", "root"),
            *("--member", "zhangsan", "--json"),
        )
    )
    actor = await authenticate(db, key, token["token"])
    assert actor.id != member.id
    assert actor.person_id == member.person_id


def test_a_password_comes_from_standard_input_and_is_not_repeated(process: Kaoping, district: District) -> None:
    words = ("member", "create", "--tenant", district.code, "--name", "李四", "--sign-in", "lisi", "--password-stdin")
    result = process(*words, text="a good password\n")
    assert result.returncode == 0
    assert "a good password" not in result.stdout + result.stderr
    again = process(*words, text="a good password\n")
    assert again.returncode == 1
    assert "taken" in again.stderr
    assert "登录名" in again.stderr
    short = process(*words[:-2], "lisi2", "--password-stdin", text="short\n")
    assert short.returncode == 1


def test_migrate_twice_is_safe_and_roles_are_only_printed(kaoping: Kaoping) -> None:
    assert value_of(kaoping("migrate", "--json")) == {"applied": []}
    assert "is up to date" in kaoping("migrate").stdout
    roles = kaoping("migrate", "--roles").stdout
    assert "CREATE ROLE kp_app LOGIN NOINHERIT" in roles
