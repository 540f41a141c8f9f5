"""Settings: typed, all faults at once, secrets never shown."""

import logging
import os
import stat
from pathlib import Path

import pytest

from service import logs
from service.settings import Settings, SettingsError, generated_signing_key
from service.variables import unknown_variables

KEY = "0123456789abcdef0123456789abcdef"
APP, OWNER, REDIS = "postgresql://kp_app:pw@db/kaoping", "postgresql://kp_migrate:pw@db/kaoping", "redis://:pw@cache/0"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("KAOPING_"):
            monkeypatch.delenv(name)


def test_with_nothing_set_the_program_is_embedded_and_shows_graphiql() -> None:
    settings = Settings.read()
    assert settings.embedded
    assert settings.graphiql_enabled
    assert settings.port == 8000
    assert settings.data.is_absolute()


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAOPING_DATABASE_URL", "")
    monkeypatch.setenv("KAOPING_PORT", "")
    assert Settings.read().embedded


def test_servers_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("DATABASE_URL", APP), ("DATABASE_OWNER_URL", OWNER), ("REDIS_URL", REDIS)):
        monkeypatch.setenv(f"KAOPING_{name}", value)
    monkeypatch.setenv("KAOPING_SIGNING_KEY", KEY)
    settings = Settings.read()
    assert not settings.embedded
    assert not settings.graphiql_enabled


def test_all_contradictions_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAOPING_DATABASE_URL", OWNER)
    monkeypatch.setenv("KAOPING_DATABASE_OWNER_URL", OWNER)
    monkeypatch.setenv("KAOPING_SIGNING_KEY", "short")
    with pytest.raises(SettingsError) as refused:
        Settings.read(needs=["redis_url"])
    text = str(refused.value)
    assert len(refused.value.faults) == 3
    assert "KAOPING_REDIS_URL is missing beside KAOPING_DATABASE_URL and KAOPING_DATABASE_OWNER_URL" in text
    assert "same role (kp_migrate)" in text
    assert "KAOPING_SIGNING_KEY has 5 bytes" in text


def test_the_three_addresses_alone_are_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in (("DATABASE_URL", APP), ("DATABASE_OWNER_URL", OWNER), ("REDIS_URL", REDIS)):
        monkeypatch.setenv(f"KAOPING_{name}", value)
    monkeypatch.setenv("KAOPING_DATA", str(tmp_path))
    settings = Settings.read()
    assert settings.signing_key is not None
    assert settings.signing_key.get_secret_value() == generated_signing_key(tmp_path)


def test_what_serves_needs_no_owner_and_what_migrates_no_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAOPING_SIGNING_KEY", KEY)
    monkeypatch.setenv("KAOPING_DATABASE_URL", APP)
    with pytest.raises(SettingsError, match="KAOPING_REDIS_URL is missing beside KAOPING_DATABASE_URL"):
        Settings.read(needs=["redis_url"])
    monkeypatch.setenv("KAOPING_REDIS_URL", REDIS)
    assert not Settings.read(needs=["redis_url"]).embedded
    with pytest.raises(SettingsError, match="KAOPING_DATABASE_OWNER_URL is missing beside"):
        Settings.read(needs=["database_owner_url"])
    monkeypatch.delenv("KAOPING_DATABASE_URL")
    with pytest.raises(SettingsError, match="KAOPING_DATABASE_URL is missing beside KAOPING_REDIS_URL"):
        Settings.read()


def test_malformed_values_are_all_named_and_no_secret_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAOPING_PORT", "eight thousand")
    monkeypatch.setenv("KAOPING_DATABASE_URL", "mysql://root:hunter2@db/kaoping")
    monkeypatch.setenv("KAOPING_LANGUAGE", "fr")
    with pytest.raises(SettingsError) as refused:
        Settings.read(needs=["database_owner_url", "redis_url"])
    text = str(refused.value)
    assert [fault.split(":")[0] for fault in refused.value.faults] == [
        "KAOPING_DATABASE_URL",
        "KAOPING_PORT",
        "KAOPING_LANGUAGE",
        "KAOPING_DATABASE_OWNER_URL and KAOPING_REDIS_URL are missing beside KAOPING_DATABASE_URL. Set them as "
        "well, or none of the addresses for embedded servers.",
    ]
    assert "postgresql://" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("password", ["hun/ter2", "hun#ter2", "hun?ter2", "5432#ter2", "hun[ter2", "hun\uff0fter2"])
def test_an_address_whose_password_is_not_encoded_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("KAOPING_DATABASE_URL", f"postgresql://kp_app:{password}@db:5432/kaoping")
    monkeypatch.setenv("KAOPING_REDIS_URL", f"redis://:{password}@cache:6379/0")
    with pytest.raises(SettingsError) as refused:
        Settings.read(signs=False)
    assert [fault.split(":")[0] for fault in refused.value.faults] == ["KAOPING_DATABASE_URL", "KAOPING_REDIS_URL"]
    assert "%2F" in str(refused.value)
    assert "hun" not in str(refused.value)
    assert "ter2" not in str(refused.value)


def test_an_origin_that_no_browser_sends_is_refused() -> None:
    told = Settings.read(allowed_origins="https://a.example/, http://127.0.0.1:5173")
    assert told.origins == ("https://a.example", "http://127.0.0.1:5173")
    for origin in ("*", "a.example", "https://*.example", "https://a.example/app"):
        with pytest.raises(SettingsError, match=r"KAOPING_ALLOWED_ORIGINS: .* is no origin"):
            Settings.read(allowed_origins=f"https://b.example,{origin}")


def test_a_port_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAOPING_DATABASE_URL", "postgresql://kp_app:x@db:54x2/kaoping")
    monkeypatch.setenv("KAOPING_REDIS_URL", "redis://cache:99999/0")
    with pytest.raises(SettingsError, match=r"(?s)DATABASE_URL: its host and port.*REDIS_URL: its host and port"):
        Settings.read(signs=False)


def test_secrets_do_not_show_in_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("DATABASE_URL", APP), ("DATABASE_OWNER_URL", OWNER), ("REDIS_URL", REDIS)):
        monkeypatch.setenv(f"KAOPING_{name}", value)
    monkeypatch.setenv("KAOPING_SIGNING_KEY", KEY)
    settings = Settings.read()
    assert ":pw@" not in f"{settings!r} {settings}"
    assert KEY not in f"{settings!r} {settings}"


def test_another_process_reads_the_same_settings_back(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Settings.read(
        database_url=APP, database_owner_url=OWNER, redis_url=REDIS, signing_key=KEY, graphiql=False, port=1
    )
    for name, value in given.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.read() == given


def test_the_generated_signing_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    key = generated_signing_key(tmp_path / "data")
    assert generated_signing_key(tmp_path / "data") == key
    assert len(key) >= 32
    assert stat.S_IMODE((tmp_path / "data" / "signing.key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["signing.key"]


def test_a_secret_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in (("DATABASE_URL", APP), ("REDIS_URL", REDIS), ("SIGNING_KEY", KEY)):
        (tmp_path / name).write_text(f"{value}\n", encoding="utf-8")
        monkeypatch.setenv(f"KAOPING_{name}_FILE", str(tmp_path / name))
    settings = Settings.read(needs=["redis_url"])
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == APP
    assert settings.signing_key is not None
    assert settings.signing_key.get_secret_value() == KEY
    assert KEY not in f"{settings!r}"


def test_faults_of_such_files_are_named_with_the_others_and_never_their_text(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    (tmp_path / "other").write_text("redis://:hunter2@other/0", encoding="utf-8")
    (tmp_path / "bad").write_text("mysql://:hunter2@db", encoding="utf-8")
    monkeypatch.setenv("KAOPING_SIGNING_KEY_FILE", str(tmp_path / "empty"))
    monkeypatch.setenv("KAOPING_DATABASE_URL_FILE", str(tmp_path / "missing"))
    monkeypatch.setenv("KAOPING_REDIS_URL", REDIS)
    monkeypatch.setenv("KAOPING_REDIS_URL_FILE", str(tmp_path / "other"))
    monkeypatch.setenv("KAOPING_DATABASE_OWNER_URL_FILE", str(tmp_path / "bad"))
    monkeypatch.setenv("KAOPING_PORT", "many")
    with pytest.raises(SettingsError) as refused:
        Settings.read()
    text = str(refused.value)
    assert len(refused.value.faults) == 5, text
    for words in (
        "KAOPING_SIGNING_KEY_FILE: ",
        "is empty",
        "KAOPING_DATABASE_URL_FILE: ",
        "No such file or directory. Mount the secret there, or unset it.",
        "KAOPING_REDIS_URL and KAOPING_REDIS_URL_FILE contradict each other",
        "KAOPING_DATABASE_OWNER_URL: an address that begins with postgresql://",
        "KAOPING_PORT: ",
    ):
        assert words in text
    assert "hunter2" not in text


def test_a_command_wants_only_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAOPING_DATABASE_URL", APP)
    monkeypatch.setenv("KAOPING_SIGNING_KEY", KEY)
    assert Settings.read().database_owner_url is None
    with pytest.raises(SettingsError, match="KAOPING_REDIS_URL is missing beside KAOPING_DATABASE_URL"):
        Settings.read(needs=["redis_url"])


def test_without_a_place_for_a_signing_key_it_is_called_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in (("DATABASE_URL", APP), ("DATABASE_OWNER_URL", OWNER), ("REDIS_URL", REDIS)):
        monkeypatch.setenv(f"KAOPING_{name}", value)
    (tmp_path / "file").touch()
    monkeypatch.setenv("KAOPING_DATA", str(tmp_path / "file" / "data"))
    with pytest.raises(SettingsError, match="KAOPING_SIGNING_KEY is missing, and none can be kept in"):
        Settings.read()
    assert Settings.read(signs=False).signing_key is None


def test_secrets_do_not_show_in_tracebacks_and_logs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("DATABASE_URL", APP), ("DATABASE_OWNER_URL", OWNER), ("REDIS_URL", REDIS)):
        monkeypatch.setenv(f"KAOPING_{name}", value)
    monkeypatch.setenv("KAOPING_SIGNING_KEY", KEY)
    settings = Settings.read()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        logs.configure(form="json", level="info")
        try:
            int(f"{settings} {vars(settings)}")
        except ValueError:
            logging.getLogger("kaoping.test").exception("Failed with %s", settings, extra={"given": settings})
    finally:
        root.handlers = handlers
        root.setLevel(level)
    said = capsys.readouterr().err
    assert "ValueError" in said
    assert "SecretStr" in said
    assert KEY not in said
    assert ":pw@" not in said


def test_a_misspelt_variable_is_named_with_what_was_meant_and_never_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABSE_URL", "SIGNING_KEY_FLIE", "METRIC_PORT", "COLOUR"):
        monkeypatch.setenv(f"KAOPING_{name}", "hunter2")
    # Names are read in any case.
    monkeypatch.setenv("kaoping_log_levl", "debug")
    for name, value in {
        "LOG_LEVEL": "debug", "SIGNING_KEY_FILE": "/run/secrets/key",
        # What Kubernetes tells of Services called kaoping and kaoping-web.
        "SERVICE_HOST": "10.0.0.1", "WEB_SERVICE_PORT_HTTP": "80", "WEB_PORT": "tcp://10.0.0.1:80",
        "PORT_80_TCP": "tcp://10.0.0.1:80", "PORT_80_TCP_ADDR": "10.0.0.1",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"KAOPING_{name}", value)
    monkeypatch.setenv("kaoping_language", "en")
    assert unknown_variables() == [
        "KAOPING_COLOUR is no setting and is ignored. README lists all settings.",
        "KAOPING_DATABSE_URL is no setting and is ignored. Was KAOPING_DATABASE_URL meant?",
        "KAOPING_METRIC_PORT is no setting and is ignored. Was KAOPING_METRICS_PORT meant?",
        "KAOPING_SIGNING_KEY_FLIE is no setting and is ignored. Was KAOPING_SIGNING_KEY_FILE meant?",
        "kaoping_log_levl is no setting and is ignored. Was KAOPING_LOG_LEVEL meant?",
    ]
