"""What the documents say is true."""

import csv
import doctest
import importlib
import json
import re
import runpy
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import genreclf
from genreclf.cli import cli
from genreclf.config.load import load_config, preset_names
from genreclf.config.networks import Network
from genreclf.config.schema import CLASSIFIERS
from genreclf.features.pooling import feature_names

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
OTHERS = [ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", *ROOT.glob("benchmarks/*.md")]
NOTEBOOK = ROOT / "docs" / "notebooks" / "first-look.ipynb"


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def commands_in(text: str) -> list[str]:
    blocks = "".join(re.findall(r"^```\w+\n(.+?)^```", text, re.MULTILINE | re.DOTALL))
    lines = re.sub(r" \\\n\s*", " ", blocks)  # goes on in the next line
    return re.findall(r"^(?:\$ )?(?:[^\n|]* \| )?(genreclf [^\n|]*)$", lines, re.MULTILINE)


def examples_in_help() -> list[str]:
    found = []
    for command in cli.commands.values():
        assert command.help
        assert "Example" in command.help, f"{command.name} has no example"
        found += re.findall(r"^\s*(?:find [^|]*\| )?(genreclf .*)$", command.help, re.MULTILINE)
    return found


@pytest.mark.parametrize(
    "line",
    [line for file in DOCUMENTS for line in commands_in(file.read_text(encoding="utf-8"))]
    + examples_in_help(),
)
def test_commands_that_are_shown_parse(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()  # made by the command before; outputs need their folder
    _, name, *arguments = shlex.split(re.split(r" [<>] ", line)[0])
    command = cli.commands[name]
    with click.Context(command) as context:
        command.parse_args(context, arguments)


DOCTESTED = [
    "config.load",
    "extraction.transformer",
    "features.catalogue",
    "features.pooling",
    "learning.scaling",
]


@pytest.mark.parametrize("module", DOCTESTED)
def test_docstring_examples_run(module: str) -> None:
    results = doctest.testmod(importlib.import_module(f"genreclf.{module}"))
    assert results.attempted > 0
    assert results.failed == 0


def test_readme_is_short_and_names_every_command() -> None:
    assert len(README.splitlines()) <= 150
    for command in cli.commands:
        assert f"| `genreclf {command}" in README


def test_pages_name_every_classifier_preset_and_the_number_of_columns() -> None:
    for name in CLASSIFIERS:
        assert f"`{name}`" in page("how-to/evaluate.md")
    for name in preset_names():
        assert f"`{name}`" in page("how-to/configure.md")
    n_columns = len(feature_names(load_config()))
    assert f"{n_columns} columns" in page("explanation/features.md")
    assert f"| {n_columns} |" in page("how-to/configure.md")


def test_the_quick_start_shows_what_the_tutorial_shows() -> None:
    """A release runs the tutorial, and compares its output."""
    steps = runpy.run_path(str(ROOT / "docs" / "run.py"))["steps"]
    tutorial = dict(steps(ROOT / "docs" / "tutorial.md"))
    for command, shown in steps(ROOT / "README.md"):
        lines = iter(tutorial[command])
        assert all(line in lines for line in shown if line not in ("", "…"))


@pytest.mark.parametrize("file", [*DOCUMENTS, NOTEBOOK], ids=lambda path: path.name)
def test_python_names_that_are_shown_exist(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for name in re.findall(r"(?<![\w/])genreclf\.(\w+)(?!\.py|\w|\[)", text):
        assert name in genreclf.__all__ or find_spec(f"genreclf.{name}"), name


def test_the_reference_has_every_public_name() -> None:
    shown = re.findall(r"^::: genreclf\.(\w+)$", page("reference/python.md"), re.MULTILINE)
    assert sorted(shown) == sorted(set(genreclf.__all__) - {"__version__"})
    for name in re.findall(
        r"^::: (genreclf\.\w+)\.\w+$", page("reference/python.md"), re.MULTILINE
    ):
        assert find_spec(name)


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda path: path.name)
def test_scripts_that_are_called_are_there(file: Path) -> None:
    called = r"^(?:\$ )?(?:sh|python) ([\w./]+\.(?:sh|py))"
    for script in re.findall(called, file.read_text(encoding="utf-8"), re.MULTILINE):
        assert (ROOT / script).is_file()


def test_files_of_the_source_that_are_named_are_there() -> None:
    for file in (*DOCUMENTS, *OTHERS):
        named = r"`((?:genreclf|tests|docs|data|configs|benchmarks)/[\w./-]+\.\w+)`"
        for name in re.findall(named, file.read_text(encoding="utf-8")):
            assert (ROOT / name).is_file(), f"{file.name} names {name}"


@pytest.mark.parametrize("file", [*DOCUMENTS, *OTHERS], ids=lambda path: path.name)
def test_links_lead_somewhere(file: Path) -> None:
    for link in re.findall(r"\]\(([^)\s#]+)", file.read_text(encoding="utf-8")):
        assert "://" in link or (file.parent / link).exists() or link.endswith(".md#"), link


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tutorial's music, a sixth as long, with its table, in a folder ``demo``."""
    folder = tmp_path_factory.mktemp("tutorial")
    script = [sys.executable, str(ROOT / "data" / "make_demo.py"), "demo", "--seconds", "5"]
    subprocess.run(script, cwd=folder, check=True, capture_output=True)
    genreclf.extract(folder / "demo" / "train").save(folder / "demo" / "features.csv")
    return folder


@pytest.mark.parametrize(
    "name", ["how-to/pandas.md", "explanation/excerpt.md", "reference/files.md"]
)
def test_python_examples_show_what_comes_out(
    name: str, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo)
    examples = "\n".join(re.findall(r"```pycon\n(.+?)```", page(name), re.DOTALL))
    test = doctest.DocTestParser().get_doctest(examples, {}, name, name, 0)
    result = doctest.DocTestRunner().run(test)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.slow
def test_the_notebook_runs_and_keeps_no_output(tmp_path: Path) -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    run = [sys.executable, str(ROOT / "docs" / "run.py"), str(NOTEBOOK)]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"accuracy \d+%, 95 % interval", done.stdout)


@pytest.mark.parametrize(
    ("shown", "complaint"),
    [
        ("3 tracks\n…\nlast 87%", None),
        ("2 tracks\nlast 90%", "but (status 0)"),
        ("…\nother", "other"),
        ("…\nlast 86%", "last 86%"),
    ],
)
def test_pages_that_show_something_else_are_complained_about(
    shown: str, complaint: str | None, tmp_path: Path
) -> None:
    shows = tmp_path / "page.md"
    shows.write_text(f"```console\n$ printf '50 tracks\\nmore\\nlast 90%%\\n'\n{shown}\n```\n")
    run = [sys.executable, str(ROOT / "docs" / "run.py"), str(shows)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == (complaint is not None)
    assert (complaint or "") in done.stderr


def documented(title: str) -> list[str]:
    """The first column of a section's table in the reference of files."""
    section = page("reference/files.md").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def run_cli(*arguments: str) -> str:
    return CliRunner().invoke(cli, list(arguments)).stdout


def test_keys_and_columns_that_are_documented_are_those_written(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo)
    quick = ["--classifier", "lda", "--set", "evaluation.folds=2"]
    asked = ["--target-precision", "0.3", "--permutations", "10", "--group-regex", r"(\d)\.mp3"]
    evaluated = json.loads(run_cli("evaluate", "demo/features.csv", *quick, *asked, "--json", "-"))
    assert sorted(evaluated) == sorted(documented("Evaluation"))

    ways = ["--classifiers", "lda,logistic", "--repeats", "1", "--set", "evaluation.folds=2"]
    compared = json.loads(run_cli("compare", "demo/features.csv", *ways, "--json", "-"))
    assert sorted(compared) == sorted(documented("Comparison"))

    answers = run_cli("evaluate", "demo/features.csv", *quick, "--predictions", "-")
    assert answers.splitlines()[0].split(",") == documented("Predictions of an evaluation")

    model = tmp_path / "model.joblib"
    run_cli("train", "demo/features.csv", "-o", str(model), "--classifier", "lda", "--no-evaluate")
    card = json.loads(
        model.read_bytes()[:-16].rpartition(b'{"format"')[2].join([b'{"format"', b""])
    )
    assert sorted(card) == sorted(documented("Model"))

    broken = tmp_path / "broken.mp3"
    broken.write_text("no music")
    files = ["demo/unheard/folk-00.mp3", str(broken), "--model", str(model)]
    records = list(map(json.loads, run_cli("predict", *files, "--format", "jsonl").splitlines()))
    assert {key for record in records for key in record} | {"novel"} == set(
        documented("Predictions")
    )
    header = next(csv.reader(run_cli("predict", *files, "--format", "csv").splitlines()))
    assert {*header} - set(genreclf.load_table("demo/features.csv").genres) | {
        "probabilities"
    } == set(documented("Predictions"))

    [network, *_] = json.loads(run_cli("embeddings", "list", "--json", "-"))
    assert {*documented("Networks")} == {*network} - {*Network.__struct_fields__}

    counted = json.loads(run_cli("labels", "show", "demo/features.csv", "--json", "-"))
    assert sorted(counted) == sorted(documented("Label counts"))
    renamed = tmp_path / "renamed.csv"
    run_cli("labels", "rename", "folk", "", "demo/features.csv", "-o", str(renamed))
    undo = renamed.with_name("renamed.undo.csv").read_text(encoding="utf-8")
    assert next(csv.reader(undo.splitlines())) == documented("Corrections")

    learning = [str(renamed), "--classifier", "lda", "-n", "2"]
    [first, _] = run_cli("suggest", *learning, "--format", "jsonl").splitlines()
    assert {*json.loads(first)} | {"novel"} == set(documented("Suggestions"))
    header = run_cli("suggest", *learning, "--format", "csv").splitlines()[0].split(",")
    assert {*header, "probabilities"} == set(documented("Suggestions"))

    errors = tmp_path / "errors.csv"
    run_cli("extract", str(broken), "--errors", str(errors))
    assert errors.read_text(encoding="utf-8").splitlines()[0].split(",") == documented("Errors")
    audited = run_cli("audit", "demo/features.csv", *quick, "--csv", "-")
    assert audited.splitlines()[0].split(",") == documented("Audit")


def test_exit_status_and_environment_are_the_same_in_help_and_reference() -> None:
    told = run_cli("--help")
    status, variables = (
        re.findall(r"^    (\w+)  +\S", part.partition("\n\n")[0], re.MULTILINE)
        for part in (told.partition("Exit status:\n")[2], told.partition("Environment:\n")[2])
    )
    tabled = page("reference/files.md").partition("\n## Exit status\n")[2].partition("\n## ")[0]
    assert status == re.findall(r"^\| (\d+) \|", tabled, re.MULTILINE)
    assert sorted(variables) == sorted(documented("Environment variables"))
    for file in (ROOT / "genreclf").rglob("*.py"):
        for name in re.findall(
            r"environ\S*?[\[(]\"(GENRECLF_\w+)", file.read_text(encoding="utf-8")
        ):
            assert name in variables


def test_accuracies_are_those_of_the_benchmark() -> None:
    measured = (ROOT / "benchmarks" / "accuracy.md").read_text(encoding="utf-8")
    table = "\n".join(re.findall(r"^\|.*\|$", README, re.MULTILINE))
    for text, figure in (
        (page("explanation/artists.md"), r"\d+\.\d %"),
        (table, r"[\d.]+ % \(.*?\)"),
    ):
        figures = re.findall(figure, text)
        assert len(figures) > 3
        assert not [figure for figure in figures if figure not in measured]
