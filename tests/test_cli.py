"""What holds for every command: errors, exit status, and what reaches a terminal."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import music
from helpers import run

from genreclf import (
    FeatureTable,
    feature_names,
    load_config,
    load_table,
)
from genreclf.cli import cli


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process that gets a signal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_while_modules_are_imported(number: signal.Signals) -> None:
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'genreclf.cli.train':\n"
        f"            os.kill(os.getpid(), {number:d})\n"
        "from genreclf.__main__ import main\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "genreclf: interrupted\n")


def test_a_command_that_succeeds_exits_with_a_number() -> None:
    # Only with a number, the process ends without destroying all modules, which takes long.
    with pytest.raises(SystemExit) as leaving:
        cli.main(["config", "list"])
    assert leaving.value.code == 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["extract"], 2, "Missing argument"),
        (["extract", ".", "-o", "t.xls"], 1, ".csv, .parquet or .npz"),
        (["extract", ".", "--set", "spectra.n_fft=big"], 1, "spectra.n_fft = 'big'"),
        (["extract", ".", "--config", "nonsense"], 1, "no such preset"),
        (["train", "no.csv"], 1, "no.csv"),
        (["predict", "a.mp3", "--model", "no.joblib"], 1, "train a model first"),
        (["predict"], 2, "--table"),
        (["evaluate", "no.csv", "--folds", "a", "--split", "b"], 2, "exclude"),
        (["inspect", "no.wav"], 1, "no such file"),
        (["extract", ".", "-o", "missing/t.csv"], 2, "does not exist"),
        (["evaluate", "no.csv", "--json", "missing/e.json"], 2, "does not exist"),
        (["evaluate", "no.csv", "--model", "m.joblib", "--search"], 2, "--model excludes"),
        (["extract", ".", "--labels", "foo"], 1, "folder, none or a manifest"),
    ],
)
def test_errors_are_one_line_with_a_remedy(
    arguments: list[str], status: int, message: str, tmp_path: Path
) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.exit_code == status
    assert message in done.stderr
    assert "Traceback" not in done.output
    if status == 1:
        assert done.stderr.startswith("genreclf: ")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", ["features.csv", "model.joblib"])
def test_inspect_tells_what_a_file_holds(trained: Path, kind: str) -> None:
    done = run("inspect", trained / kind)
    assert done.exit_code == 0, done.output
    for fact in ("noisy 6", "tonal 6", "excerpt.seconds = 29.12", "280"):
        assert fact in done.stdout


def test_inspect_audio_shows_excerpt_and_features(song: Path) -> None:
    text = run("inspect", song).stdout
    assert "44100 Hz" in text
    assert "MP3" in text
    assert "5.4" in text  # (40 - 29.12) / 2 s
    assert "percussive.tempo " in text
    assert "and 277 more features (--all)" in text
    everything = run("inspect", song, "--all").stdout
    assert [name for name in feature_names(load_config()) if name not in everything] == []
    assert len(everything.splitlines()) - len(text.splitlines()) == 276


def test_file_names_do_not_steer_the_terminal(
    trained: Path, tmp_path: Path, write_audio: Callable[..., Path]
) -> None:
    evil = "\x1b[31mred\nnew\x07.wav"
    song = write_audio(evil, music(3, 22050), 22050, tmp_path)
    model = ["--model", trained / "model.joblib"]
    for arguments in (["predict", song, *model], ["extract", tmp_path / "\x1b[2J.mp3"]):
        done = run(*arguments)
        assert "\x1b" not in done.output
        assert "\x07" not in done.output
    lines = run("predict", song, *model, "--format", "jsonl").stdout.splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["path"] == str(song)


def test_outputs_that_replace_an_older_file_say_so(trained: Path, tmp_path: Path) -> None:
    table, lda = trained / "features.csv", ["--classifier", "lda"]
    picture, model, result = (tmp_path / name for name in ("p.png", "m.joblib", "r.json"))
    lists, files = tmp_path / "lists", sorted({Path(p) for p in load_table(table).paths})[:2]
    for again in ("", " (replaced)"):
        told = [
            run("evaluate", table, *lda, "--json", result, "--html", tmp_path / "r.html").stderr,
            run("train", table, *lda, "-o", model, "--no-evaluate").stderr,
            run("plot", "features", table, "-o", picture).stderr,
            run("audit", table, *lda, "--csv", tmp_path / "a.csv").stderr,
            run("predict", *files, "--model", model, "--m3u", lists).stderr,
        ]
        assert f"result written to {result}{again}\n" in told[0]
        assert f"report written to {tmp_path / 'r.html'}{again}\n" in told[0]
        assert told[1] == f"model written to {model}{again}\n"
        assert told[2] == f"picture written to {picture}{again}\n"
        assert f"findings written to {tmp_path / 'a.csv'}{again}\n" in told[3]
        assert f" written to {lists}{' (1 replaced)' if again else ''}\n" in told[4]


def test_an_empty_folder_is_named(tmp_path: Path, trained: Path) -> None:
    for command in (
        ["extract", tmp_path],
        ["predict", tmp_path, "--model", trained / "model.joblib"],
    ):
        done = run(*command)
        assert done.exit_code == 1
        assert done.stderr.startswith(f"genreclf: {tmp_path}: no audio files found")
        assert done.stderr.count("\n") == 1


EVIL = "\x1b[31mred\nnew\x07\u202e"


def all_printable(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@pytest.fixture(scope="module")
def evil_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table whose paths, labels, groups and column names would steer a terminal."""
    random = np.random.default_rng(0)
    names = [f"{EVIL}{column}" for column in range(4)]
    values = random.standard_normal((24, 4)).astype(np.float32)
    values[::2] += 2
    rows = range(24)
    table = FeatureTable(
        paths=np.array([f"{EVIL}{i // 2}.mp3" for i in rows], dtype=object),
        labels=np.array([f"{EVIL} {'aA'[i % 2]}" for i in rows], dtype=object),
        groups=np.array([f"{EVIL}{i // 2}" for i in rows], dtype=object),
        names=names,
        values=values,
    )
    path = tmp_path_factory.mktemp("evil") / f"{EVIL}.npz"
    table.save(path)
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect"],
        ["evaluate", "--classifier", "lda"],
        ["evaluate", "--classifier", "lda", "--json", "-"],
        ["audit", "--classifier", "lda"],
        ["audit", "--classifier", "lda", "--csv", "-"],
        ["train", "--classifier", "lda", "-o", "m.joblib"],
        ["train", "--label-column", EVIL],
        ["train", "--group-regex", f"({EVIL}"],
        ["train", "--set", f"{EVIL}=1"],
        ["train", "--config", EVIL],
        ["evaluate", f"--{EVIL}"],
        ["evaluate", "--classifier", EVIL],
        ["train", "-o", f"{EVIL}/x/m.joblib"],
        ["train", "-o", f"{EVIL}.xyz/"],
    ],
    ids=lambda arguments: " ".join(arguments)[:30].encode("ascii", "backslashreplace").decode(),
)
def test_tables_and_options_do_not_steer_the_terminal(
    arguments: list[str], evil_table: Path, tmp_path: Path
) -> None:
    command, *options = arguments
    done = run(command, evil_table, *options, cwd=tmp_path)
    assert not isinstance(done.exception, Exception) or isinstance(done.exception, SystemExit)
    assert done.output
    assert all_printable(done.output)


def test_predictions_do_not_steer_the_terminal(evil_table: Path, tmp_path: Path) -> None:
    model = tmp_path / f"{EVIL}.joblib"
    run("train", evil_table, "--classifier", "lda", "--no-evaluate", "-o", model)
    for output_format in ("table", "jsonl", "csv"):
        done = run("predict", "--table", evil_table, "--model", model, "--format", output_format,
                   "--top", "2")  # fmt: skip
        assert done.exit_code == 0, done.output
        printed = done.output.replace("\u202e", "") if output_format == "csv" else done.output
        assert all_printable(printed)
        if output_format != "table":
            assert len(done.stdout.splitlines()) == 24 + (output_format == "csv")


def test_errors_of_strange_names_are_one_line_each(tmp_path: Path) -> None:
    song = tmp_path / f"{EVIL}.mp3"
    song.write_bytes(b"no music")
    done = run("extract", song, "-o", tmp_path / "t.csv", "--errors", tmp_path / "errors.csv")
    assert len(done.stderr.splitlines()) == 1
    assert all_printable(done.stderr)
    with (tmp_path / "errors.csv").open(newline="") as file:
        [row] = csv.DictReader(file)
    assert row["path"] == str(song)
    assert row["error"].isprintable()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pty")
def test_a_table_on_a_terminal_does_not_steer_it(
    tmp_path: Path, write_audio: Callable[..., Path]
) -> None:
    import pty

    song = write_audio(f"{EVIL}.wav", music(2, 12000), 12000, tmp_path)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "genreclf", "extract", str(song), "--set", "separation=none"]
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL) as process:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # which Linux raises when the other end is closed
            while part := os.read(ours, 2**16):
                shown += part
    os.close(ours)
    assert process.returncode == 0
    assert b"mix.mfcc.00.mean" in shown
    assert all_printable(shown.decode().replace("\r\n", "\n"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError("Unable to allocate 8 TiB"), "out of memory: Unable to allocate 8 TiB"),
        (ImportError("x.so: failed to map"), "cannot import a module: x.so: failed to map"),
    ],
)
def test_too_little_memory_is_told_in_one_line(
    error: Exception, told: str, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("genreclf.tables.reading.load_table", fail)
    done = run("inspect", trained / "features.csv")
    assert done.exit_code == 1
    assert done.stderr == f"genreclf: {told}\n"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["evaluate", "TRAINED/features.csv", "--classifier", "lda", "--json", "-"], 0),
        (["predict", "TRAINED/missing.mp3", "--model", "TRAINED/model.joblib"], 1),
        (["evaluate", "TRAINED/features.csv", "--folds", "a", "--split", "b"], 2),
    ],
)
def test_leaving_at_once_loses_neither_output_nor_status(
    trained: Path, arguments: list[str], status: int
) -> None:
    arguments = [argument.replace("TRAINED", str(trained)) for argument in arguments]
    command = [sys.executable, "-m", "genreclf", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == status
    if status:
        assert done.stderr
    else:
        assert json.loads(done.stdout)["n_tracks"] == 12


def test_compare_takes_labels_as_extract_does(genre_folder: Path) -> None:
    quick = ["--set", "excerpt.seconds=2", "--set", "evaluation.folds=2", "--repeats", 1]
    options = ["--classifiers", "lda,logistic", *quick, "--jobs", 1]
    done = run("compare", genre_folder, *options)
    assert "2 genres: noisy 6, tonal 6\n" in done.stderr
    done = run("compare", genre_folder, *options, "--label-regex", r"(\d)\.mp3$")
    assert "genres: 0 2, 1 2" in done.stderr
