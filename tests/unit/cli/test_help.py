"""Help is quick, complete and imports nothing heavy: conventions that hold for every command there is or will be."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import click
import pytest

from flakeguard_pipeline.cli import cli

HEAVY = (
    "dagster",
    "dbt",
    "great_expectations",
    "duckdb",
    "polars",
    "sqlalchemy",
    "alembic",
    "pydantic",
    "rich",
    "numpy",
    "scipy",
    "yaml",
)

# Walks all commands in one fresh interpreter and asks each for its help, the way a person does.
WALK = """
import contextlib, io, json, sys, time
started = time.perf_counter()
from flakeguard_pipeline.cli import cli
import click

def walk(command, words):
    yield words
    for name, member in getattr(command, "commands", {}).items():
        yield from walk(member, [*words, name])

pages = {}
for words in walk(cli, []):
    page = io.StringIO()
    with contextlib.redirect_stdout(page):
        cli.main([*words, "--help"], prog_name="flakeguard", standalone_mode=False)
    pages[" ".join(words)] = page.getvalue()
seconds = time.perf_counter() - started
heavy = sorted({name.partition(".")[0] for name in sys.modules} & set(json.loads(sys.argv[1])))
print(json.dumps({"pages": pages, "heavy": heavy, "seconds": seconds}))
"""


def _commands() -> Iterator[tuple[str, click.Command]]:
    def walk(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
        yield name, command
        if isinstance(command, click.Group):
            for member in command.commands.values():
                yield from walk(member, f"{name} {member.name}")

    return walk(cli, "flakeguard")


COMMANDS = [pytest.param(name, command, id=name) for name, command in _commands() if command is not cli]


@pytest.fixture(scope="module")
def walked() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", WALK, json.dumps(HEAVY)], capture_output=True, text=True, check=True, timeout=60
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_help_of_every_command_imports_nothing_heavy(walked: dict[str, Any]) -> None:
    assert walked["heavy"] == []


def test_the_help_of_all_commands_is_quick(walked: dict[str, Any]) -> None:
    # A tenth of a second on an idle machine; the bound only tells import storms from slow machines.
    assert walked["seconds"] < 3


def test_every_command_has_a_page(walked: dict[str, Any]) -> None:
    assert set(walked["pages"]) == {"", *(name.removeprefix("flakeguard ") for name, _ in _commands() if " " in name)}
    for words, page in walked["pages"].items():
        assert page.startswith(f"Usage: flakeguard{' ' + words if words else ''} "), words


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_every_command_says_shortly_what_it_does(name: str, command: click.Command) -> None:
    assert command.short_help, f"`{name}` has no short help"
    assert command.short_help.endswith(".")
    assert len(command.short_help) <= 60
    assert command.help


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_every_option_says_what_it_is_for(name: str, command: click.Command) -> None:
    silent = [each.name for each in command.params if isinstance(each, click.Option) and not each.help]
    assert silent == [], f"options of `{name}` without help"


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_every_command_with_options_shows_an_example(name: str, command: click.Command) -> None:
    if not command.params:
        return
    examples = [line for line in (command.help or "").splitlines() if line.strip().startswith(f"{name} --")]
    assert examples, f"the docstring of `{name}` shows no line with `{name} --...`"
    known = {name for each in command.params for name in each.opts}
    for line in examples:
        assert {word for word in line.split() if word.startswith("--")} <= known, line


def test_the_group_lists_every_command(walked: dict[str, Any]) -> None:
    page = walked["pages"][""]
    for name, command in _commands():
        if name.count(" ") == 1:
            assert command.short_help in page, name
