"""What the documents say is true."""

import doctest
import importlib
import re
import shlex
from pathlib import Path

import click
import pytest

import genreclf
from genreclf.cli import cli
from genreclf.config import CLASSIFIERS, load_config
from genreclf.pooling import feature_names

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def commands_in(text: str) -> list[str]:
    return re.findall(r"^(?:\$ )?(genreclf [^\n|]*)$", text, flags=re.MULTILINE)


def examples_in_help() -> list[str]:
    found = []
    for command in cli.commands.values():
        assert command.help
        assert "Example" in command.help, f"{command.name} has no example"
        found += re.findall(r"^\s*(?:find [^|]*\| )?(genreclf .*)$", command.help, re.MULTILINE)
    return found


@pytest.mark.parametrize("line", commands_in(README) + examples_in_help())
def test_commands_that_are_shown_parse(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()  # made by the command before; outputs need their folder
    _, name, *arguments = shlex.split(re.split(r" [<>] ", line)[0])
    command = cli.commands[name]
    with click.Context(command) as context:
        command.parse_args(context, arguments)


@pytest.mark.parametrize("module", ["config", "pooling", "transformer"])
def test_docstring_examples_run(module: str) -> None:
    results = doctest.testmod(importlib.import_module(f"genreclf.{module}"))
    assert results.attempted > 0
    assert results.failed == 0


def test_readme_names_every_classifier_command_and_the_number_of_columns() -> None:
    for name in (*CLASSIFIERS, *(f"genreclf {command}" for command in cli.commands)):
        assert name in README
    assert f"{len(feature_names(load_config()))} columns" in README


def test_python_names_in_the_readme_exist() -> None:
    for name in re.findall(r"genreclf\.(\w+)", README):
        assert name in genreclf.__all__, name


def test_readme_calls_the_scripts_that_are_there() -> None:
    for script in re.findall(r"^sh (\S+)$", README, re.MULTILINE):
        assert (Path(__file__).parent.parent / script).is_file()
