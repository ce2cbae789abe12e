"""The commands as a person runs them: output, exit status, files."""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from conftest import music, noise

from genreclf import AudioError, Model, extract_one, load_table
from genreclf.cli import cli


def run(*arguments: object, stdin: str | None = None, cwd: Path | None = None) -> Result:
    before = Path.cwd()
    os.chdir(cwd or before)
    try:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments], input=stdin)
    finally:
        os.chdir(before)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def trained(genre_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with features.csv and model.joblib made by the commands."""
    folder = tmp_path_factory.mktemp("trained")
    extracted = run("extract", genre_folder, "-o", folder / "features.csv", "--jobs", 2)
    assert extracted.exit_code == 0, extracted.output
    assert "passed over 1 file " in extracted.stderr
    done = run("train", folder / "features.csv", "-o", folder / "model.joblib")
    assert done.exit_code == 0, done.output
    assert "accuracy" in done.stdout
    return folder


def test_extract_takes_labels_from_folders(trained: Path) -> None:
    table = load_table(trained / "features.csv")
    assert list(table.paths) == sorted(table.paths)
    assert [Path(path).parent.name for path in table.paths] == list(table.labels)
    assert table.genres == ["noisy", "tonal"]
    assert not (trained / "features.csv.partial").exists()


def test_extract_is_bit_identical_for_any_number_of_jobs_and_order(
    genre_folder: Path, trained: Path, tmp_path: Path
) -> None:
    files = sorted(genre_folder.rglob("*.mp3"), reverse=True)
    done = run("extract", "-", "-o", tmp_path / "one.csv", "--jobs", 1,
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
        (["evaluate", "no.csv", "--model", "m.joblib", "--search"], 2, "have no meaning"),
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


def test_predict_jsonl_gives_one_line_for_each_input_in_order(
    genre_folder: Path, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.mp3").write_text("no audio")
    inputs = [genre_folder / "tonal/0.mp3", tmp_path / "bad.mp3", genre_folder / "noisy/1.mp3"]
    done = run("predict", *inputs, "--model", trained / "model.joblib", "--format", "jsonl")
    assert done.exit_code == 3
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["path"] for record in records] == list(map(str, inputs))
    assert set(records[1]) == {"path", "error"}
    for record, genre in ((records[0], "tonal"), (records[2], "noisy")):
        assert set(record) == {"path", "genre", "confidence", "probabilities"}
        assert record["genre"] == genre
        assert record["confidence"] == max(record["probabilities"].values())
        assert sum(record["probabilities"].values()) == pytest.approx(1)


def test_predict_csv_and_table_and_from_a_table(genre_folder: Path, trained: Path) -> None:
    files = [genre_folder / "tonal/0.mp3", genre_folder / "noisy/1.mp3"]
    model = ["--model", trained / "model.joblib"]
    rows = list(
        csv.DictReader(run("predict", *files, *model, "--format", "csv").stdout.splitlines())
    )
    assert [row["genre"] for row in rows] == ["tonal", "noisy"]
    assert float(rows[0]["tonal"]) == float(rows[0]["confidence"])
    text = run("predict", *files, *model, "--top", 2).stdout
    assert "tonal" in text
    assert "noisy" in text
    done = run("predict", "--table", trained / "features.csv", *model, "--format", "jsonl")
    genres = [json.loads(line)["genre"] for line in done.stdout.splitlines()]
    expected = Model.load(trained / "model.joblib").predict(load_table(trained / "features.csv"))
    assert genres == list(expected)


def test_model_is_found_in_the_folder_or_by_the_environment(
    genre_folder: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song = genre_folder / "tonal/0.mp3"
    assert run("predict", song, cwd=trained).exit_code == 0
    assert run("predict", song, cwd=tmp_path).exit_code == 1
    monkeypatch.setenv("GENRECLF_MODEL", str(trained / "model.joblib"))
    assert run("predict", song, cwd=tmp_path).exit_code == 0


def test_reencoded_copy_gives_nearly_the_same_features_and_genre(
    genre_folder: Path, trained: Path, write_audio: Callable[..., Path]
) -> None:
    table = load_table(trained / "features.csv")
    spread = table.values.std(axis=0)
    spread[spread == 0] = 1
    for song in (genre_folder / "tonal/2.mp3", genre_folder / "noisy/3.mp3"):
        samples, rate = soundfile.read(song, dtype="float32")
        copy = write_audio(f"copy-{song.stem}.mp3", samples, rate)
        difference = np.abs(extract_one(song) - extract_one(copy)) / spread
        assert np.median(difference) < 0.1  # standard deviations between tracks
        done = run("predict", copy, "--model", trained / "model.joblib", "--format", "jsonl")
        assert json.loads(done.stdout)["genre"] == song.parent.name


def test_evaluate_json_keeps_the_contract(trained: Path, tmp_path: Path) -> None:
    result_file = tmp_path / "result.json"
    done = run("evaluate", trained / "features.csv", "--json", result_file)
    assert done.exit_code == 0, done.output
    result = json.loads(result_file.read_text())
    assert result.keys() >= {
        "accuracy", "accuracy_ci95", "balanced_accuracy", "macro_f1", "n_tracks", "splits",
        "baseline_accuracy", "per_genre", "genres", "confusion_matrix", "config", "versions",
    }  # fmt: skip
    assert result["n_tracks"] == 12
    assert result["splits"]["kind"] == "stratified"
    assert np.sum(result["confusion_matrix"]) == 12
    low, high = result["accuracy_ci95"]
    assert 0 <= low <= result["accuracy"] <= high <= 1
    model = run("evaluate", trained / "features.csv", "--model", trained / "model.joblib",
                "--json", "-")  # fmt: skip
    assert json.loads(model.stdout)["splits"]["kind"] == "model"


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
    assert "ignoring groups" in text


def test_foreign_table_trains_and_predicts_from_tables_only(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    lines = ["genre,artist,length,x,y,comment"]
    for i in range(40):
        genre = "ab"[i % 2]
        x, y = random.standard_normal(2) + (3 if genre == "a" else -3)
        lines.append(f"{genre},artist{i // 4},{1000 + i},{x},{y if i else ''},hello")
    foreign = tmp_path / "foreign.csv"
    foreign.write_text("\n".join(lines) + "\n")
    options = ["--label-column", "genre", "--group", "artist", "--ignore", "length"]
    done = run("train", foreign, *options, "-o", tmp_path / "m.joblib")
    assert done.exit_code == 0, done.output
    assert "comment" in done.stdout
    model = Model.load(tmp_path / "m.joblib")
    assert model.feature_names == ["x", "y"]
    predicted = run("predict", "--table", foreign, "--model", tmp_path / "m.joblib",
                    "--format", "jsonl")  # fmt: skip
    genres = [json.loads(line)["genre"] for line in predicted.stdout.splitlines()]
    assert genres == ["ab"[i % 2] for i in range(40)]
    refused = run("predict", "song.mp3", "--model", tmp_path / "m.joblib")
    assert refused.exit_code == 1
    assert "--table" in refused.stderr


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
    assert "harmonic.chroma.G#.mean" in text


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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_interrupted_extraction_goes_on_where_it_stopped(
    tmp_path: Path, write_audio: Callable[..., Path]
) -> None:
    for i in range(40):
        write_audio(f"music/{i:02}.wav", noise(30, 12000, seed=i), 12000, tmp_path)
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
    assert "the same command goes on" in stderr
    assert not (tmp_path / "t.csv").exists()
    again = run("extract", "music", "-o", "t.csv", cwd=tmp_path)
    assert again.exit_code == 0
    assert "finished by an earlier run" in again.stderr
    run("extract", "music", "-o", "fresh.csv", cwd=tmp_path)
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "fresh.csv").read_bytes()
    assert not partial.exists()


def test_names_that_are_no_text_are_decoded(
    tmp_path: Path, trained: Path, write_audio: Callable[..., Path]
) -> None:
    source = write_audio("a.wav", music(3, 22050), 22050)
    odd = os.fsencode(tmp_path) + b"/non\xffutf8.wav"
    Path(os.fsdecode(odd)).write_bytes(source.read_bytes())
    assert run("extract", tmp_path).exit_code == 0  # to standard output
    assert run("extract", tmp_path, "-o", trained / "odd.csv").exit_code == 0
    assert [os.fsencode(path) for path in load_table(trained / "odd.csv").paths] == [odd]
    for form in ("jsonl", "csv", "table"):
        done = run("predict", tmp_path, "--model", trained / "model.joblib", "--format", form)
        assert done.exit_code == 0, done.output


def test_silence_is_no_genre(
    tmp_path: Path, trained: Path, write_audio: Callable[..., Path]
) -> None:
    for name, level in (("silent.wav", 0), ("constant.wav", 0.5)):
        path = write_audio(name, np.full(4 * 22050, level, np.float32), 22050, tmp_path)
        done = run("predict", path, "--model", trained / "model.joblib")
        assert done.exit_code == 1
        assert "only silence" in done.stderr


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
    assert f"{locked}: a folder that cannot be searched; permission denied" in done.stderr
    assert len(load_table(tmp_path / "t.csv")) == 1
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != song and access(path, mode))
    song = tmp_path / "good/a.wav"
    with pytest.raises(AudioError, match="permission denied"):
        extract_one(song)


def test_a_reader_who_stops_early_costs_no_model(trained: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} -m genreclf train {trained}/features.csv -o {tmp_path}/m.joblib"
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} | head -n 1"], capture_output=True, text=True, check=True
    )
    assert "12 tracks, 2 genres" in done.stdout
    assert "Traceback" not in done.stderr
    assert Model.load(tmp_path / "m.joblib").genres == ["noisy", "tonal"]


def test_an_empty_folder_is_named(tmp_path: Path, trained: Path) -> None:
    for command in (
        ["extract", tmp_path],
        ["predict", tmp_path, "--model", trained / "model.joblib"],
    ):
        done = run(*command)
        assert done.exit_code == 1
        assert done.stderr.startswith(f"genreclf: {tmp_path}: no audio files found")
        assert done.stderr.count("\n") == 1


def test_one_file_that_fails_is_told_of_once(tmp_path: Path) -> None:
    (tmp_path / "text.mp3").write_text("no audio")
    done = run("extract", tmp_path / "text.mp3")
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
