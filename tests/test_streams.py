"""What commands print wherever it goes: other encodings, streams that are closed, a full disk."""

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from conftest import music
from helpers import run

from genreclf import FeatureTable, load_table
from genreclf.reports.console import FilePath

CYRILLIC, LATIN, BROKEN = "Песня", "café", os.fsdecode(b"caf\xe9\n\\n")
GENRES = ["рок", "ジャズ"]
pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows file names are text, not bytes"
)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, write_audio: Callable[..., Path]) -> Path:
    """A folder with songs of such names, a table of such genres, and a model of it."""
    folder = tmp_path_factory.mktemp("streams")
    song = write_audio("song.ogg", music(2, 12000), 12000)
    (folder / "songs").mkdir()
    for name in (CYRILLIC, LATIN, BROKEN):
        (folder / f"songs/{name}.ogg").write_bytes(song.read_bytes())
    random = np.random.default_rng(0)
    table = FeatureTable(
        paths=np.array([f"{name}{i}.ogg" for i in range(8) for name in (CYRILLIC, BROKEN)]),
        labels=np.array(GENRES * 8),
        groups=np.full(16, ""),
        names=["x", "y"],
        values=random.standard_normal((16, 2)).astype(np.float32) + [[0], [3]] * 8,
    )
    table.save(folder / "table.csv")
    quick = ["--classifier", "lda", "--no-evaluate"]
    assert run("train", "table.csv", *quick, cwd=folder).exit_code == 0
    return folder


def command(
    folder: Path, arguments: Iterable[str], redirected: str = "", **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """Run genreclf by a shell, which redirects and closes what is asked for."""
    environment = {**os.environ, **variables}
    line = [sys.executable, "-m", "genreclf", *arguments]
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirected}', "sh", *line],
        cwd=folder, env=environment, capture_output=True, check=False,
    )  # fmt: skip


def unescaped(text: str) -> str:
    """The rule of docs/reference/files.md."""
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape")


LOCALES = {
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0"},
    "cp949": {"PYTHONIOENCODING": "cp949"},
}
ENCODINGS = ["ascii", pytest.param("cp949", marks=pytest.mark.slow)]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_records_are_read_back_in_any_locale(encoding: str, work: Path) -> None:
    asked = ["predict", "--table", "table.csv", "--model", "model.joblib", "--format"]
    paths = list(load_table(work / "table.csv").paths)
    done = command(work, [*asked, "csv"], **LOCALES[encoding])
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode(encoding).splitlines()
    rows = list(csv.DictReader(lines))
    assert len(lines) == 17
    assert [os.fsencode(unescaped(row["path"])) for row in rows] == list(map(os.fsencode, paths))
    assert {unescaped(row["genre"]) for row in rows} == set(GENRES)
    assert {unescaped(name) for name in rows[0]} >= set(GENRES)
    done = command(work, [*asked, "jsonl"], **LOCALES[encoding])
    records = [json.loads(line) for line in done.stdout.decode(encoding).splitlines()]
    assert [record["path"] for record in records] == paths


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_text_for_people_escapes_what_the_encoding_lacks(encoding: str, work: Path) -> None:
    done = command(work, ["evaluate", "table.csv", "--classifier", "lda"], **LOCALES[encoding])
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode(encoding)
    for genre in GENRES:
        assert genre.encode(encoding, "backslashreplace").decode(encoding) in text
    done = command(work, ["evaluate", f"{CYRILLIC}.csv"], **LOCALES[encoding])
    assert done.stderr.startswith(
        f"genreclf: {CYRILLIC}.csv: ".encode(encoding, "backslashreplace")
    )
    done = command(work, ["predict", f"--{CYRILLIC}"], **LOCALES[encoding])
    assert done.returncode == 2
    assert "No such option" in done.stderr.decode(encoding)


def test_a_table_on_standard_output_is_the_same_in_any_locale(work: Path, tmp_path: Path) -> None:
    quick = ["--set", "separation=none", "--labels", "none"]
    names = {os.fsencode(f"songs/{name}.ogg") for name in (CYRILLIC, LATIN, BROKEN)}
    done = command(work, ["extract", "songs", *quick], **LOCALES["ascii"])
    assert done.returncode == 0, done.stderr
    (tmp_path / "t.csv").write_bytes(done.stdout)
    paths = list(load_table(tmp_path / "t.csv").paths)
    assert {os.fsencode(path) for path in paths} == names
    assert all((work / path).is_file() for path in paths)


CLOSED = [pytest.param(">&-", marks=pytest.mark.slow), "<&- >&- 2>&-"]


@pytest.mark.parametrize("closed", CLOSED)
def test_closed_streams_are_like_the_null_device(closed: str, work: Path, tmp_path: Path) -> None:
    output = tmp_path / "t.npz"
    quick = ["--set", "separation=none", "--labels", "none"]
    done = command(work, ["extract", "songs", *quick, "-o", str(output)], closed)
    assert done.returncode == 0, done.stderr
    assert len(load_table(output)) == 3


def test_answers_come_where_standard_error_is_closed(work: Path) -> None:
    asked = ["predict", "--table", "table.csv", "--model", "model.joblib", "--format", "csv"]
    done = command(work, asked, "2>&-")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 17)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "--table", "table.csv", "--model", "model.joblib"],
        ["config", "show"],
        ["--help"],
    ],
)
def test_a_full_disk_is_one_line(arguments: list[str], work: Path) -> None:
    done = command(work, arguments, "> /dev/full")
    assert done.returncode == 1
    assert done.stderr == b"genreclf: standard output: No space left on device\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_notes_that_cannot_be_told_cost_no_results(work: Path) -> None:
    asked = ["predict", "--table", "table.csv", "--format", "csv"]  # with a note which model
    done = command(work, asked, "2> /dev/full")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 17)
    assert command(work, ["predict", "--no-such-option"], "2> /dev/full").returncode == 2


@pytest.mark.parametrize("form", ["table", "csv"])
def test_a_reader_who_has_seen_enough_is_no_error(form: str, work: Path) -> None:
    asked = ["predict", "--table", "table.csv", "--model", "model.joblib", "--format", form]
    line = [sys.executable, "-m", "genreclf", *asked]
    done = subprocess.run(
        ["bash", "-c", '"$@" | head -n 1; exit ${PIPESTATUS[0]}', "sh", *line],
        cwd=work, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_group_of_commands_by_itself_shows_its_help(work: Path) -> None:
    done = command(work, ["tags"])
    assert done.returncode == 2
    assert b"\n  Restore the genre tags that" in done.stderr


@pytest.mark.parametrize("width", [40, 100])
def test_tables_keep_genre_confidence_and_ends_of_paths(
    width: int, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = "a folder/whose name/is much longer/than it needs to be/to make room scarce"
    table = load_table(work / "table.csv")
    paths = np.array([f"{folder}/{i} song.ogg" for i in range(16)])
    long = FeatureTable(paths, table.labels, table.groups, table.names, table.values)
    long.save(work / f"long{width}.csv")
    asked = ["predict", "--table", f"long{width}.csv", "--model", "model.joblib", "--top", "2"]
    monkeypatch.setenv("COLUMNS", str(width))
    text = run(*asked, cwd=work).stdout
    assert max(map(len, text.splitlines())) <= width
    flat = " ".join(text.split())
    for i in range(16):
        # Of a name that is too long by a letter, the middle goes.
        assert re.search(rf"\b{i} so(ng|…g)\.ogg", flat)
    assert sum(text.count(genre) for genre in GENRES) == 32  # the answer, and the other one
    assert text.count("%") == 32


@pytest.mark.parametrize(
    ("path", "width", "shown"),
    [
        ("music/song.mp3", 14, "music/song.mp3"),
        ("music/song.mp3", 13, "…sic/song.mp3"),
        ("music/a long song.mp3", 10, "a lo…g.mp3"),
        ("音楽/曲.mp3", 9, "…/曲.mp3"),
        ("C:\\music\\a.mp3", 8, "…c\\a.mp3"),
    ],
)
def test_paths_lose_their_beginning_first(path: str, width: int, shown: str) -> None:
    assert FilePath(path).fitted(width) == shown
