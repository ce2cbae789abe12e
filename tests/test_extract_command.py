"""``extract``: tables, failures, and runs that are interrupted."""

import csv
import errno
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import music, noise
from helpers import run

from genreclf import (
    AudioError,
    extract_one,
    load_table,
)
from genreclf.extraction.journal import exclusive_run


def test_extract_takes_labels_from_folders(trained: Path) -> None:
    table = load_table(trained / "features.csv")
    assert list(table.paths) == sorted(table.paths)
    assert [Path(path).parent.name for path in table.paths] == list(table.labels)
    assert table.genres == ["noisy", "tonal"]
    assert not (trained / "features.csv.partial").exists()


@pytest.mark.processes
def test_extract_is_bit_identical_for_any_number_of_jobs_and_order(
    genre_folder: Path, trained: Path, tmp_path: Path
) -> None:
    files = sorted(genre_folder.rglob("*.mp3"), reverse=True)
    done = run("extract", "-", "-o", tmp_path / "one.csv", "--jobs", 2,
               stdin="\n".join(map(str, files)) + "\n")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert (tmp_path / "one.csv").read_bytes() == (trained / "features.csv").read_bytes()


def test_extract_writes_csv_to_standard_output_without_an_output_file(short_song: Path) -> None:
    done = run("extract", short_song, "--labels", "none")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("# {")
    row = next(csv.DictReader(lines[1:]))
    assert row["path"] == str(short_song)
    assert row["label"] == ""
    values = np.array([row[name] for name in list(row)[3:]], dtype=np.float32)
    assert np.array_equal(values, extract_one(short_song))


def test_failed_files_are_named_and_the_rest_is_saved(short_song: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"")
    done = run("extract", short_song, broken, tmp_path / "no.mp3", "-o", tmp_path / "t.npz",
               "--errors", tmp_path / "errors.csv")  # fmt: skip
    assert done.exit_code == 3
    assert "0 bytes" in done.stderr
    assert len(load_table(tmp_path / "t.npz")) == 1
    with (tmp_path / "errors.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [str(broken), str(tmp_path / "no.mp3")]
    assert {row["stage"] for row in rows} == {"audio"}
    assert all(row["error"] for row in rows)


def test_nothing_extracted_is_status_1_and_leaves_no_table(tmp_path: Path) -> None:
    (tmp_path / "text.mp3").write_text("no audio")
    done = run("extract", tmp_path / "text.mp3", "-o", tmp_path / "t.csv")
    assert done.exit_code == 1
    assert not (tmp_path / "t.csv").exists()
    assert "Traceback" not in done.output


def test_groups_from_a_manifest_are_kept_together(genre_folder: Path, tmp_path: Path) -> None:
    manifest = genre_folder / "manifest.csv"
    rows = [f"{path.relative_to(genre_folder)},{path.parent.name},artist{int(path.stem) // 2}"
            for path in sorted(genre_folder.rglob("*.mp3"))]  # fmt: skip
    manifest.write_text("\n".join(["path,label,group", *rows]) + "\n")
    try:
        done = run("extract", genre_folder, "--labels", manifest, "-o", tmp_path / "t.parquet")
    finally:
        manifest.unlink()
    assert done.exit_code == 0, done.output
    result = json.loads(run("evaluate", tmp_path / "t.parquet", "--json", "-").stdout)
    assert result["splits"]["kind"] == "grouped"
    assert "ungrouped_accuracy" in result
    text = run("evaluate", tmp_path / "t.parquet").stdout
    assert "if groups were ignored, it would be" in text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_interrupted_extraction_goes_on_where_it_stopped(
    tmp_path: Path, write_audio: Callable[..., Path]
) -> None:
    for i in range(16):
        write_audio(f"music/{i:02}.wav", noise(8, 12000, seed=i), 12000, tmp_path)
    command = [sys.executable, "-m", "genreclf", "extract", "music", "-o", "t.csv", "--jobs", "1"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        # A shell lets what it runs in the background ignore interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    partial = tmp_path / "t.csv.partial"
    while not (partial.exists() and partial.read_text().count("\n") > 3):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again" in stderr
    assert not (tmp_path / "t.csv").exists()
    again = run("extract", "music", "-o", "t.csv", cwd=tmp_path)
    assert again.exit_code == 0
    assert "finished by an earlier run" in again.stderr
    run("extract", "music", "-o", "fresh.csv", "--no-cache", cwd=tmp_path)
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "fresh.csv").read_bytes()
    assert not partial.exists()


def test_two_runs_on_one_table_are_not_let_in(short_song: Path, tmp_path: Path) -> None:
    output = tmp_path / "t.csv"
    with exclusive_run(output):
        done = run("extract", short_song, "-o", output)
        assert done.exit_code == 1
        assert done.stderr.startswith(f"genreclf: {output}: another run is at work")
        assert done.stderr.count("\n") == 1
        assert run("extract", short_song, "-o", tmp_path / "other.csv").exit_code == 0
    assert run("extract", short_song, "-o", output).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.csv", "t.csv"]


# Less than the journal; less than the table.
@pytest.mark.parametrize("limit", [30_000, pytest.param(60_000, marks=pytest.mark.slow)])
def test_a_full_disk_keeps_what_is_done_and_the_older_table(
    tmp_path: Path, write_audio: Callable[..., Path], limit: int
) -> None:
    resource = pytest.importorskip("resource", reason="no limits for file sizes here")
    for i in range(30):
        write_audio(f"music/{i:02}.wav", noise(2, 12000, seed=i), 12000, tmp_path)
    output = tmp_path / "t.csv"
    output.write_text("older")
    command = ["extract", "music", "--set", "excerpt.seconds=2", "-o", "t.csv", "--no-cache"]
    done = subprocess.run(
        [sys.executable, "-m", "genreclf", *command], cwd=tmp_path, capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("genreclf: ")]
    assert "too large" in line
    assert output.read_text() == "older"
    again = run(*command, cwd=tmp_path)
    assert again.exit_code == 0
    told = re.search(r"(\d+) of 30 files are kept", line)
    kept = int(told[1]) if told else 30  # all of them, where it was the table that did not fit
    assert 0 < kept < 30 or limit == 60_000
    assert f"({kept} finished by an earlier run)" in again.stderr
    assert not (tmp_path / "t.csv.partial").exists()
    assert len(load_table(output)) == 30


def test_names_that_are_no_text_are_decoded(
    tmp_path: Path, trained: Path, write_audio: Callable[..., Path]
) -> None:
    source = write_audio("a.wav", music(3, 22050), 22050)
    odd = os.fsencode(tmp_path) + b"/non\xffutf8.wav"
    Path(os.fsdecode(odd)).write_bytes(source.read_bytes())
    assert run("extract", tmp_path).exit_code == 0  # to standard output
    assert run("extract", tmp_path, "-o", tmp_path / "odd.csv").exit_code == 0
    assert [os.fsencode(path) for path in load_table(tmp_path / "odd.csv").paths] == [odd]
    for form in ("jsonl", "csv", "table"):
        done = run("predict", tmp_path, "--model", trained / "model.joblib", "--format", form)
        assert done.exit_code == 0, done.output


def test_what_may_not_be_read_is_named(
    tmp_path: Path, write_audio: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may read all, and tests may run as root: the refusals are made here.
    write_audio("good/a.wav", music(3, 22050), 22050, tmp_path)
    locked = write_audio("locked/b.wav", music(3, 22050), 22050, tmp_path).parent
    scandir, access = os.scandir, os.access

    def refusing(folder: str) -> object:
        if Path(folder) == locked:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    done = run("extract", tmp_path, "-o", tmp_path / "t.csv")
    assert done.exit_code == 3
    assert f"{locked}: a folder" in done.stderr  # by a worker, which is not refused
    with pytest.raises(AudioError, match="a folder that cannot be searched; permission denied"):
        extract_one(locked)
    assert len(load_table(tmp_path / "t.csv")) == 1
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != song and access(path, mode))
    song = tmp_path / "good/a.wav"
    with pytest.raises(AudioError, match="permission denied"):
        extract_one(song)


def endless_wav(path: Path) -> Path:
    """Write a file that libsndfile 1.2.2 reads for ever: a chunk whose size leads backwards."""
    chunk = b"INFO" + b"what" + struct.pack("<I", 2**32 - 8) + bytes(60)
    form = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16_000, 2, 16)
    body = form + b"LIST" + struct.pack("<I", len(chunk)) + chunk + b"data" + bytes(4)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


@pytest.mark.slow
@pytest.mark.processes
def test_a_file_that_is_read_for_ever_costs_itself_only(short_song: Path, tmp_path: Path) -> None:
    path = endless_wav(tmp_path / "endless.wav")
    done = run("extract", path, short_song, "--timeout", "3", "-o", tmp_path / "t.csv")
    assert len(load_table(tmp_path / "t.csv")) == 1
    # Later versions of the library may come to an end.
    assert f"{path}: took longer than 3 s" in done.stderr or "no audio" in done.stderr
    assert done.exit_code == 3


def test_one_file_that_fails_is_told_of_once(tmp_path: Path) -> None:
    (tmp_path / "text.mp3").write_text("no audio")
    done = run("extract", tmp_path / "text.mp3")
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1


def test_folds_and_splits_of_a_manifest_are_those_of_the_evaluation(
    genre_folder: Path, tmp_path: Path
) -> None:
    files = sorted(genre_folder.rglob("*.mp3"))
    rows = [
        f"{file},{file.parent.name},{i % 3},{'test' if i % 2 else 'train'}"
        for i, file in enumerate(files)
    ]
    (tmp_path / "m.csv").write_text("path,label,fold,split\n" + "\n".join(rows) + "\n")
    options = ["--labels", tmp_path / "m.csv", "--set", "excerpt.seconds=2", "--jobs", 1]
    quick = ["--classifier", "lda", "--json", "-"]
    for output in ("t.csv", "t.parquet"):
        parts = ["--rows-per-file", 5] if output == "t.parquet" else []
        table = tmp_path / output
        done = run("extract", genre_folder, *options, "-o", table, *parts)
        assert done.exit_code == 0, done.output
        assert "2 genres: noisy 6, tonal 6\n" in done.stderr
        by_folds = json.loads(run("evaluate", table, "--folds", "fold", *quick).stdout)
        assert (by_folds["splits"]["kind"], by_folds["splits"]["n_folds"]) == ("folds", 3)
        by_split = json.loads(run("evaluate", table, "--split", "split", *quick).stdout)
        assert (by_split["splits"]["kind"], by_split["n_tracks"]) == ("split", 6)
        assert json.loads(run("evaluate", table, *quick).stdout)["splits"]["kind"] == "stratified"
    # Another assignment is that of the table, though all features are there already.
    (tmp_path / "m.csv").write_text((tmp_path / "m.csv").read_text().replace("train", "valid"))
    run("extract", genre_folder, *options, "-o", table, *parts)
    assert set(load_table(table).assignments["split"]) == {"valid", "test"}
