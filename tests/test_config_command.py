"""``genreclf config`` and ``genreclf completion``."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete, get_completion_class
from click.testing import CliRunner, Result
from helpers import SLOW

from genreclf.cli import cli
from genreclf.config.load import load_config, preset_names
from genreclf.config.schema import CLASSIFIERS, Config


def run(*arguments: object, cwd: Path | None = None) -> Result:
    before = Path.cwd()
    os.chdir(cwd or before)
    try:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    finally:
        os.chdir(before)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.parametrize("preset", preset_names())
def test_show_prints_what_reads_back_as_the_same(preset: str, tmp_path: Path) -> None:
    file = tmp_path / "shown.toml"
    file.write_text(run("config", "show", preset).stdout, encoding="utf-8")
    assert load_config(file) == load_config(preset)
    changes = ["--set", "classifier.name=knn", "--set", "seed=7"]
    file.write_text(run("config", "show", preset, *changes).stdout, encoding="utf-8")
    expected = load_config(preset, ["classifier.name=knn", "seed=7"])
    assert load_config(file) == expected != load_config(preset)


def test_show_prints_the_default_without_an_argument_and_files(tmp_path: Path) -> None:
    assert run("config", "show").stdout == run("config", "show", "default").stdout
    (tmp_path / "a.toml").write_text("excerpt.seconds = 5\n")
    shown = run("config", "show", tmp_path / "a.toml").stdout
    assert tomllib.loads(shown)["excerpt"]["seconds"] == 5
    done = run("config", "show", tmp_path / "no.toml")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no such file and no such preset" in done.stderr


@pytest.mark.parametrize("preset", preset_names())
def test_init_writes_a_preset_with_its_reasons(preset: str, tmp_path: Path) -> None:
    done = run("config", "init", tmp_path / "my.toml", "--preset", preset)
    assert done.exit_code == 0
    assert load_config(tmp_path / "my.toml") == load_config(preset)
    text = (tmp_path / "my.toml").read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert f"--config {tmp_path / 'my.toml'}" in text


def test_init_overwrites_only_when_told_to(tmp_path: Path) -> None:
    assert run("config", "init", cwd=tmp_path).exit_code == 0
    assert load_config(tmp_path / "genreclf.toml") == Config()
    (tmp_path / "genreclf.toml").write_text("seed = 3\n")
    refused = run("config", "init", cwd=tmp_path)
    assert refused.exit_code == 1
    assert refused.stderr == "genreclf: genreclf.toml: already exists; --force overwrites it\n"
    assert (tmp_path / "genreclf.toml").read_text() == "seed = 3\n"
    assert run("config", "init", "--force", "-q", cwd=tmp_path).stderr == ""
    assert load_config(tmp_path / "genreclf.toml").seed == 0
    unknown = run("config", "init", "b.toml", "--preset", "../x", cwd=tmp_path)
    assert unknown.exit_code == 1
    assert "no preset ../x; there are accurate, " in unknown.stderr
    assert not (tmp_path / "b.toml").exists()


def test_list_names_every_preset_with_what_it_is() -> None:
    lines = run("config", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == preset_names()
    assert all(len(line.split()) > 5 for line in lines)
    needing = [line.split()[0] for line in lines if "genreclf embeddings get musicnn" in line]
    assert needing == ["musicnn", "musicnn-fast"]


def test_validate_tells_one_line_a_file(tmp_path: Path) -> None:
    good, key, value = (tmp_path / name for name in ("good.toml", "key.toml", "value.toml"))
    good.write_text("seed = 3\n")
    key.write_text("sed = 3\n")
    value.write_text("[spectra]\nn_fft = 'big'\n")
    done = run("config", "validate", good)
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{good}: valid\n", "")
    done = run("config", "validate", key, good, value, tmp_path / "no.toml")
    assert done.exit_code == 1
    assert done.stdout == f"{good}: valid\n"
    assert done.stderr.splitlines()[:2] == [
        f"genreclf: {key}: unknown key sed",
        f"genreclf: {value}: spectra.n_fft = 'big': expected a whole number, got a text",
    ]
    assert len(done.stderr.splitlines()) == 3
    assert run("config", "validate").exit_code == 2


def completed(arguments: list[str], incomplete: str = "") -> list[str]:
    completer = ShellComplete(cli, {}, "genreclf", "_GENRECLF_COMPLETE")
    found = completer.get_completions(arguments, incomplete)
    return [f"<{item.type}>" if item.type != "plain" else item.value for item in found]


def test_commands_options_and_their_values_are_completed() -> None:
    assert completed([]) == sorted(cli.commands)
    assert completed([], "ex") == ["extract"]
    assert {"--labels", "--label-map", "--jobs", "--quiet"} <= set(completed(["extract"], "--"))
    assert completed(["train", "--classifier"]) == list(CLASSIFIERS)
    assert completed(["extract", "--config"]) == ["<file>", *preset_names()]
    assert completed(["extract", "--config"], "w") == ["<file>", "wide"]
    assert completed(["config", "show"], "gtzan5") == ["<file>", "gtzan57"]
    assert completed(["config", "init", "--preset"], "d") == ["<file>", "default"]
    assert completed(["extract", "--labels"]) == ["<file>", "folder", "tags", "none"]
    assert completed(["extract", "--group"], "al") == ["album", "albumartist"]
    assert completed(["predict"], "mus") == ["<file>"]
    assert completed(["completion"]) == ["bash", "zsh", "fish"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_clicks(shell: str) -> None:
    done = run("completion", shell)
    assert done.exit_code == 0
    kind = get_completion_class(shell)
    assert kind is not None
    expected = ShellComplete.source(kind(cli, {}, "genreclf", "_GENRECLF_COMPLETE"))
    assert done.stdout == expected + "\n"
    assert f"_GENRECLF_COMPLETE={shell}_complete" in done.stdout


def test_completing_imports_nothing_slow() -> None:
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('\\nLOADED', *{m.split('.')[0] for m in sys.modules}))\n"
        "from genreclf.__main__ import main\n"
        "sys.argv = ['genreclf']\n"
        "main()\n"
    )
    environment = {
        **os.environ,
        "_GENRECLF_COMPLETE": "bash_complete",
        "COMP_WORDS": "genreclf extract --config wi",
        "COMP_CWORD": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    words, _, loaded = done.stdout.rpartition("LOADED")
    assert "plain,wide" in words.splitlines()
    assert "click" in loaded.split()
    assert not set(loaded.split()) & (SLOW | {"mutagen", "pebble", "joblib"})


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes(tmp_path: Path) -> None:
    command = tmp_path / "genreclf"  # as an installer makes it
    command.write_text(f"#!{sys.executable}\nfrom genreclf.__main__ import main\nmain()\n")
    command.chmod(0o755)
    script = (
        "eval \"$(genreclf completion bash)\"\n"
        "try() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMPREPLY=()\n"
        "  _genreclf_completion genreclf 2> /dev/null; echo \"${COMPREPLY[*]}\"; }\n"
        "complete -p genreclf\n"
        "try genreclf pre\n"
        "try genreclf extract --config gtzan\n"
        "try genreclf train --classifier l\n"
        "try genreclf config ''\n"
    )  # fmt: skip
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    places = os.pathsep.join(sys.path)
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True,
        env={**os.environ, "PATH": path, "PYTHONPATH": places},
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "complete -o nosort -F _genreclf_completion genreclf",
        "predict",
        "gtzan-mfcc gtzan133 gtzan57",
        "logistic lda",
        "init list show validate",
    ]
