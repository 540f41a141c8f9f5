"""The house is in order: packages, commands and settings as README says them, imports one way, lint and types clean."""

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import click
import pytest

from service.errors import ErrorCode
from service.main import cli
from service.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = ("schema", "service", "tenants")


def run_tool(*command: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def name_of(requirement: str) -> str:
    """The distribution that a requirement names."""
    return re.split(r"[^a-z0-9-]", requirement, maxsplit=1)[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_foreign_distribution_owns_a_package_of_ours(package: str) -> None:
    # The names are plain words: whatever else brings a top-level `schema` would be taken for ours, or mixed in.
    owners = {owner.lower() for owner in metadata.packages_distributions().get(package, [])}
    assert owners <= {"kaoping"}, f"{package} is also owned by {owners - {'kaoping'}}"
    module = sys.modules.get(package) or __import__(package)
    assert module.__file__ is not None
    assert Path(module.__file__).parent == ROOT / package
    assert list(module.__path__) == [str(ROOT / package)]


def test_the_wheel_holds_the_three_packages_and_no_other() -> None:
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == list(PACKAGES)
    assert PROJECT["project"]["scripts"] == {"kaoping": "service.main:main"}


def test_only_the_main_module_imports_schema() -> None:
    importing = re.compile(r"^\s*(from|import) schema\b", re.MULTILINE)
    found = {
        path.relative_to(ROOT).as_posix()
        for package in ("service", "tenants")
        for path in (ROOT / package).rglob("*.py")
        if importing.search(path.read_text(encoding="utf-8"))
    }
    assert found <= {"service/main.py"}


def test_the_two_commands_stand_first_in_readme() -> None:
    first = [line.strip() for line in README.splitlines()[1:] if line.strip()][:2]
    assert first[0].startswith("make demo")
    assert first[1].startswith("make test")


def test_targets_that_readme_names_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {word for line in re.findall(r"\bmake ((?:[a-z-]+\b ?)+)", code_of(README)) for word in line.split()}
    assert named
    assert named <= targets


def test_commands_and_options_that_readme_names_exist() -> None:
    named = re.findall(r"\bkaoping ((?:[a-z][a-z-]* ?)+)((?:.*?)(?:`|\||&&|#|\n|\)))", code_of(README))
    assert named
    for words, rest in named:
        command = find(words.split())
        assert command is not None, f"kaoping {words} is no command"
        options = {option for parameter in command.params for option in parameter.opts}
        unknown = set(re.findall(r"(?<!\S)--[a-z-]+", rest)) - options
        assert not unknown, f"kaoping {words}has no {unknown}"


def code_of(markdown: str) -> str:
    blocks = re.findall(r"(?m)^    .*$", markdown)
    return "\n".join([*blocks, *re.findall(r"`[^`\n]+`", markdown)]) + "\n"


def find(words: list[str]) -> click.Command | None:
    command: click.Command = cli
    for word in words:
        if not isinstance(command, click.Group):
            break
        inner = command.commands.get(word)
        if inner is None:
            return None
        command = inner
    return command


def every_command(command: click.Command = cli, path: str = "kaoping") -> list[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        return [found for name, inner in command.commands.items() for found in every_command(inner, f"{path} {name}")]
    return [(path, command)]


@pytest.mark.parametrize(("path", "command"), every_command(), ids=[path for path, _ in every_command()])
def test_every_help_is_complete_in_itself(path: str, command: click.Command) -> None:
    text = command.help or ""
    assert "Example" in text, f"{path} shows no example"
    assert "Exit codes: 0 done, 1 refused or failed, 2 wrong usage" in text
    assert path in text, f"{path}: the example is of another command"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path} {parameter.opts} says nothing"


def test_every_setting_stands_in_readme_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(KAOPING_[A-Z_]+)` \| (.+?) \|", README, re.MULTILINE))
    assert set(rows) == {PREFIX + name.upper() for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        assert field.description, f"{name} is not described"
        if field.default not in (None, ""):
            told = str(field.default).lower() if isinstance(field.default, bool) else field.default
            assert rows[PREFIX + name.upper()] == f"`{told}`"


def test_every_dependency_stands_in_readme() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *extras["embedded"], *extras["dev"]]
    chapter = README.partition("### Dependencies")[2]
    missing = [name for line in wanted if (name := name_of(line)) not in chapter]
    assert not missing


def test_every_ignore_says_why() -> None:
    ignore = re.compile(r"#\s*(?:noqa\b[:\sA-Z0-9,]*|type:\s*ignore\b(?:\[[^\]]*\])?)(?P<reason>.*)")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for package in (*PACKAGES, "tests")
        for path in (ROOT / package).rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (match := ignore.search(line)) and not match["reason"].strip(" #-—")
    ]
    assert not found


def test_lock_files_hold_hashes_and_name_no_index() -> None:
    for name in ("requirements.lock", "requirements-dev.lock", "requirements-redis.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text)
        for requirement in re.split(r"\n(?=\S)", text):
            if "==" in requirement and not requirement.startswith("#"):
                assert "--hash=sha256:" in requirement, requirement


def test_the_lock_file_covers_what_the_project_needs() -> None:
    locked = set(re.findall(r"^([a-z0-9-]+)(?=\[|==)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    wanted = {name_of(line) for line in PROJECT["project"]["dependencies"]}
    assert wanted <= locked


def test_imports_point_one_way() -> None:
    tool = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([str(tool)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_linter_finds_nothing() -> None:
    run_tool("ruff", "check", ".")


def test_everything_is_formatted() -> None:
    run_tool("ruff", "format", "--check", ".")


def test_types_are_sound() -> None:
    run_tool("mypy")


def test_every_error_code_is_in_readme() -> None:
    assert [code.value for code in ErrorCode if f"`{code.value}`" not in README] == []
