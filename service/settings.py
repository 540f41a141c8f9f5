"""All settings of the program in one typed place (设置).

Each comes from an environment variable named `KAOPING_` and its name below in capitals; a secret may stand in a file
instead, named by the same variable with `_FILE` at its end. With none of the three addresses of servers (database,
owner, Redis) set, the program runs on embedded servers in its data folder; with one of them set, on servers of one's
own, and each command says which of the others it lacks: the API and the workers never need the owner's credentials. All
faults are named at once.
"""

import os
import re
import secrets
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.embedded import Servers
from service.language import Language

SIGNING_KEY_BYTES = 32
"""The least length of the key that sign-in tokens are signed with (HMAC-SHA-256)."""

PREFIX = "KAOPING_"

LogFormat = Literal["text", "json"]
Address = Literal["database_url", "database_owner_url", "redis_url"]

ADDRESSES: tuple[Address, ...] = get_args(Address)
"""The settings that name servers."""


class SettingsError(Exception):
    """What is missing or contradictory, one fault per entry of `faults`."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("\n".join(["The settings are not usable:", *(f"  - {fault}" for fault in faults)]))


def _address(schemes: tuple[str, ...], value: SecretStr | None) -> SecretStr | None:
    if value is None:
        return None
    try:
        parts = urlsplit(value.get_secret_value())
        whole = parts.port != 0 and not parts.fragment
    except ValueError:
        # Its message would repeat a part of the password, as whoever reads the port later would.
        parts, whole = None, False
    if parts is not None and parts.scheme not in schemes:
        raise ValueError(f"an address that begins with {' or '.join(f'{s}://' for s in schemes)} is wanted")
    if not whole:
        raise ValueError(
            "its host and port cannot be read; characters like / # ? @ in a password are written as %2F %23 %3F %40"
        )
    return value


def _database_address(value: SecretStr | None) -> SecretStr | None:
    return _address(("postgresql", "postgres"), value)


def _redis_address(value: SecretStr | None) -> SecretStr | None:
    return _address(("redis", "rediss", "unix"), value)


def _absolute(value: Path | None) -> Path | None:
    # A worker or a test that changes its folder must still find the same data.
    return None if value is None else value.expanduser().absolute()


def _number(value: object) -> object:
    # An environment holds text only, which a Literal of numbers does not take.
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _web_address(value: str | None) -> str | None:
    if value is not None and urlsplit(value).scheme not in ("http", "https"):
        raise ValueError("an address that begins with http:// or https:// is wanted")
    return value and value.rstrip("/")


DatabaseAddress = Annotated[SecretStr, AfterValidator(_database_address)]
RedisAddress = Annotated[SecretStr, AfterValidator(_redis_address)]


class Settings(BaseSettings):
    """What the program was told by its environment. Addresses and keys never show in `repr`, logs or errors."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    database_url: DatabaseAddress | None = Field(
        default=None,
        description="PostgreSQL as the app's role: `postgresql://kp_app:password@host:5432/kaoping`.",
    )
    database_owner_url: DatabaseAddress | None = Field(
        default=None,
        description="The same database as the role that migrates (`kp_migrate`), or as one that may make roles.",
    )
    redis_url: RedisAddress | None = Field(
        default=None,
        description="Redis, which wakes workers and carries progress: `redis://:password@host:6379/0`.",
    )
    data: Annotated[Path, AfterValidator(_absolute)] = Field(
        default=Path(".kaoping"),
        validate_default=True,
        description="The data folder: embedded servers, their passwords, the generated signing key.",
    )
    embedded_postgres: Annotated[Literal[16, 18], BeforeValidator(_number)] = Field(
        default=18,
        description="Which PostgreSQL a new data folder gets; an old one keeps its own.",
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="The address that `kaoping serve` listens on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Its port; 0 takes a free one.")
    signing_key: SecretStr | None = Field(
        default=None,
        description=(
            f"The key that sign-in tokens are signed with, at least {SIGNING_KEY_BYTES} bytes; the same for all "
            "processes. Without it one is made once and kept in the data folder."
        ),
    )
    token_minutes: int = Field(
        default=480, ge=1, le=60 * 24 * 7, description="How long a sign-in lasts, in minutes (a working day)."
    )
    graphiql: bool | None = Field(
        default=None,
        description="Whether GraphiQL is served at /graphiql; by default only on embedded servers.",
    )
    body_bytes: int = Field(
        default=16 * 1024 * 1024,
        ge=64 * 1024,
        le=1024 * 1024 * 1024,
        description="The longest request body and WebSocket message, in bytes; a mutation carries up to 20,000 rows.",
    )
    allowed_origins: str = Field(
        default="",
        description="Pages of other origins that may use the API from a browser: `https://a.example,https://b.example`.",
    )
    plans: bool = Field(
        default=True,
        description="Whether queries are answered by one SQL statement each where they can be: many times as fast.",
    )
    trusted_documents: Annotated[Path | None, AfterValidator(_absolute)] = Field(
        default=None,
        description=(
            "The manifest of trusted documents: the JSON file that GraphQL Code Generator, Relay or Apollo writes. "
            "Clients name these by their hash."
        ),
    )
    trusted_only: bool = Field(default=False, description="Whether every document outside the manifest is refused.")
    board_cache_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=0,
        le=16 * 1024 * 1024 * 1024,
        description="Memory for published boards that are answered as bytes, per process; 0 keeps none.",
    )
    pool_size: int = Field(
        default=10, ge=2, le=200, description="Connections to PostgreSQL per process, at most. Keep the sum in mind."
    )
    drain_seconds: float | None = Field(
        default=None,
        ge=0,
        le=300,
        description=(
            "How long after SIGTERM the API goes on as before, only unready, so that load balancers notice; by default "
            "5, and 0 on embedded servers."
        ),
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description=(
            "The port of /metrics, and of probes beside it, for `kaoping serve` and `kaoping worker`; 0 takes a free "
            "one, the API's own port shows /metrics there. Without it there is no /metrics."
        ),
    )
    metrics_host: str = Field(
        default="127.0.0.1", min_length=1, description="The address that the metrics port listens on."
    )
    otlp_endpoint: Annotated[str | None, AfterValidator(_web_address)] = Field(
        default=None,
        description="Where traces go, by OTLP over HTTP: `http://collector:4318`. Needs the extra `telemetry`.",
    )
    issuer_http: bool = Field(
        default=False,
        description="Whether issuers of tokens may be asked by plain http, and not on this machine alone.",
    )
    lease_seconds: int = Field(
        default=30,
        ge=2,
        le=600,
        description="How long a job stays with a worker that gives no sign of life; the same for all workers.",
    )
    job_memory_mib: int = Field(
        default=4096,
        ge=256,
        le=1024 * 1024,
        description="Memory that one computation (a ranking run) may take, in MiB; beyond it that job fails, alone.",
    )
    job_days: int = Field(
        default=30, ge=1, le=3650, description="How long finished jobs that nothing refers to are kept, in days."
    )
    log_format: LogFormat = Field(default="text", description="Log lines for people (`text`) or for machines (`json`).")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least serious log line that is written."
    )
    language: Language = Field(
        default="zh-CN", description="The language of messages where a caller names none: `zh-CN` or `en`."
    )

    @property
    def embedded(self) -> bool:
        """Whether the program runs on the embedded servers of the data folder."""
        return all(getattr(self, name) is None for name in ADDRESSES)

    @property
    def graphiql_enabled(self) -> bool:
        """GRAPHIQL as it was set, or its default."""
        return self.embedded if self.graphiql is None else self.graphiql

    @property
    def drain(self) -> float:
        """DRAIN_SECONDS as it was set, or its default."""
        return (0.0 if self.embedded else 5.0) if self.drain_seconds is None else self.drain_seconds

    @property
    def origins(self) -> tuple[str, ...]:
        """ALLOWED_ORIGINS, one by one."""
        return tuple(origin.strip().rstrip("/") for origin in self.allowed_origins.split(",") if origin.strip())

    def faults(self, needs: Sequence[Address] = ()) -> list[str]:
        """What contradicts or is missing, in sentences; each value by itself was checked when it was read."""
        faults = []
        missing = [name for name in ADDRESSES if name in ("database_url", *needs) and getattr(self, name) is None]
        if missing and not self.embedded:
            given = [name for name in ADDRESSES if getattr(self, name) is not None]
            lacking, beside = (" and ".join(PREFIX + name.upper() for name in names) for names in (missing, given))
            faults.append(
                f"{lacking} {'are' if len(missing) > 1 else 'is'} missing beside {beside}. "
                "Set them as well, or none of the addresses for embedded servers."
            )
        if self.database_url and self.database_owner_url:
            app, owner = (urlsplit(url.get_secret_value()) for url in (self.database_url, self.database_owner_url))
            if app.username == owner.username:
                faults.append(
                    f"KAOPING_DATABASE_URL and KAOPING_DATABASE_OWNER_URL name the same role ({app.username}). "
                    "The app must not own its tables: give it kp_app."
                )
        if self.signing_key is not None:
            size = len(self.signing_key.get_secret_value().encode())
            if size < SIGNING_KEY_BYTES:
                faults.append(
                    f"KAOPING_SIGNING_KEY has {size} bytes, at least {SIGNING_KEY_BYTES} are wanted. "
                    "Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
                )
        if self.trusted_only and self.trusted_documents is None:
            faults.append(
                "KAOPING_TRUSTED_ONLY is set, but no document is trusted. Name the manifest in "
                "KAOPING_TRUSTED_DOCUMENTS."
            )
        faults += [
            f"KAOPING_ALLOWED_ORIGINS: {origin} is no origin. Write each as a browser sends it: https://a.example."
            for origin in self.origins
            if not re.fullmatch(r"https?://[^/@*?#\s]+", origin)
        ]
        if self.otlp_endpoint is not None and find_spec("opentelemetry.sdk") is None:
            faults.append(
                "KAOPING_OTLP_ENDPOINT is set, but the program was installed without what sends traces. "
                "Install kaoping[telemetry], or unset it."
            )
        return faults

    @classmethod
    def read(cls, *, needs: Sequence[Address] = (), signs: bool = True, **overrides: object) -> Self:
        """The settings of the environment, with `overrides` (options of a command line) above them.

        needs: addresses that must be there besides the database's, where servers of one's own are used.
        signs: whether a signing key is made where none is set.
        Raises SettingsError, which names every fault.
        """
        from_files, unreadable = cls._read_files()
        given = {**from_files, **{name: value for name, value in overrides.items() if value is not None}}
        try:
            settings = cls(**given)  # type: ignore[arg-type]  # judged by the model itself
        except ValidationError as error:
            bad = {str(fault["loc"][0]): fault["msg"] for fault in error.errors()}
            # The message of pydantic repeats the input, which may be a secret: only our words and the reason are said.
            faults = [f"{_variable(name)}: {_reason(message)}" for name, message in bad.items()]
            # With stand-ins for what could not be read, the rest is judged as well.
            usable = {name: _STAND_INS.get(name, cls.model_fields[name].default) for name in bad}
            rest = cls(**{**given, **usable})
            raise SettingsError(unreadable + faults + rest.faults(needs)) from None
        if faults := unreadable + settings.faults(needs):
            raise SettingsError(faults)
        if signs and settings.signing_key is None and not settings.embedded:
            # Right for one machine. Several need the same key from their environment, which README says.
            try:
                key = generated_signing_key(settings.data)
            except OSError as error:
                raise SettingsError(
                    [
                        f"KAOPING_SIGNING_KEY is missing, and none can be kept in {settings.data}: {error.strerror}. "
                        "Set it, to the same for all processes."
                    ]
                ) from None
            return settings.model_copy(update={"signing_key": SecretStr(key)})
        return settings

    @classmethod
    def _read_files(cls) -> tuple[dict[str, str], list[str]]:
        """Secrets that stand in files, as orchestrators mount them, and what is wrong with those files."""
        found, faults = {}, []
        for name in SECRETS:
            variable = f"{_variable(name)}_FILE"
            path = os.environ.get(variable)
            if not path:
                continue
            try:
                found[name] = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not text"
                faults.append(f"{variable}: {path} cannot be read: {reason}. Mount the secret there, or unset it.")
            else:
                if not found[name]:
                    faults.append(f"{variable}: {path} is empty. Write the secret into it, or unset it.")
                elif os.environ.get(_variable(name), found[name]) not in ("", found[name]):
                    faults.append(f"{_variable(name)} and {variable} contradict each other. Set one of them.")
            # With a stand-in the rest is judged as well, and nothing is called missing that was only not read.
            found[name] = found.get(name) or _STAND_INS[name]
        return found, faults

    def on(self, servers: Servers) -> Self:
        """The same settings with the addresses of running embedded servers and the folder's signing key filled in."""
        return self.model_copy(
            update={
                "database_url": SecretStr(servers.database_url),
                "database_owner_url": SecretStr(servers.database_owner_url),
                "redis_url": SecretStr(servers.redis_url),
                "graphiql": self.graphiql_enabled,
                "drain_seconds": self.drain,
                "signing_key": self.signing_key or SecretStr(generated_signing_key(self.data)),
            }
        )

    def environment(self) -> dict[str, str]:
        """The environment variables that give another process these very settings, secrets included."""
        result = {}
        for name, value in self:
            if value is not None:
                plain = value.get_secret_value() if isinstance(value, SecretStr) else value
                result[PREFIX + name.upper()] = str(plain).lower() if isinstance(plain, bool) else str(plain)
        return result


SECRETS = (*ADDRESSES, "signing_key")
"""Settings that may stand in a file."""

_STAND_INS = {
    "database_url": "postgresql://app@unread",
    "database_owner_url": "postgresql://owner@unread",
    "redis_url": "redis://unread",
    "signing_key": "*" * SIGNING_KEY_BYTES,
}


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ") + "."


def generated_signing_key(data: Path) -> str:
    """The signing key of a data folder, made at the first call and readable by its owner only.

    Two processes that ask at once get the same key: whoever links its file into place first has made it.
    """
    path = data / "signing.key"
    if not path.exists():
        data.mkdir(parents=True, exist_ok=True)
        draft = data / f"signing.key.{os.getpid()}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
