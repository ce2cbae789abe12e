"""The commands as a person runs them: output, exit status, files."""

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
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile
from conftest import music, noise
from helpers import run

from genreclf import (
    AudioError,
    FeatureTable,
    Model,
    extract_one,
    feature_names,
    load_config,
    load_table,
)
from genreclf.cli import training
from genreclf.evaluation import trainings
from genreclf.extraction.journal import only_run
from genreclf.learning.modelfile import bundled_model, read_card


@pytest.fixture(scope="module")
def trained(genre_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with features.csv and model.joblib made by the commands."""
    folder = tmp_path_factory.mktemp("trained")
    extracted = run("extract", genre_folder, "-o", folder / "features.csv", "--jobs", 2)
    assert extracted.exit_code == 0, extracted.output
    assert "skipped 1 file " in extracted.stderr
    done = run("train", folder / "features.csv", "-o", folder / "model.joblib")
    assert done.exit_code == 0, done.output
    assert "accuracy" in done.stdout
    return folder


def test_long_training_is_announced_with_what_is_quicker(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = trained / "features.csv"
    quiet = run("evaluate", table)
    assert "will take" not in quiet.stderr
    monkeypatch.setattr(training, "LONG_SECONDS", 0)
    announced = run("evaluate", table)
    assert "note: svm will take about" in announced.stderr
    assert "12 tracks (10 trainings); --classifier lda or logistic about" in announced.stderr
    assert announced.stdout == quiet.stdout
    trained_again = run("train", table, "-o", tmp_path / "m.joblib", "--classifier", "lda",
                        "--no-evaluate")  # fmt: skip
    assert "note: lda will take about" in trained_again.stderr
    assert "12 tracks (1 training)\n" in trained_again.stderr


class InThisProcess:
    """Stands for worker processes, and notes how many there would be."""

    started: ClassVar[list[int]] = []

    def __init__(self, jobs: int) -> None:
        self.started.append(jobs)

    def __enter__(self) -> "InThisProcess":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return ((item, function(item)) for item in items)


@pytest.mark.parametrize(
    "command",
    [("evaluate",), ("compare", "--classifiers", "lda,logistic", "--repeats", "1"), ("train",)],
)
def test_folds_are_run_by_as_many_workers_as_jobs(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(InThisProcess, "started", [])
    monkeypatch.setattr("genreclf.parallel.workers.Workers", InThisProcess)
    name, *rest = command
    alone = run(name, trained / "features.csv", *rest, "--jobs", "2")
    assert not InThisProcess.started  # so few tracks are done before workers would be ready
    monkeypatch.setattr(trainings, "WORTH_WORKERS_SECONDS", 0)
    again = run(name, trained / "features.csv", *rest, "--jobs", "2")
    assert InThisProcess.started == [2]
    assert again.exit_code == alone.exit_code == 0, again.output
    assert again.stdout == alone.stdout
    run(name, trained / "features.csv", *rest, "--jobs", "1")
    assert InThisProcess.started == [2]


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
    monkeypatch.delenv("GENRECLF_MODEL", raising=False)
    told = [run("predict", song, cwd=trained).stderr, run("predict", song, cwd=tmp_path).stderr]
    monkeypatch.setenv("GENRECLF_MODEL", str(trained / "model.joblib"))
    told += [run("predict", song, cwd=tmp_path).stderr, run("predict", song, cwd=trained).stderr]
    assert [text.splitlines()[0].partition(";")[0] for text in told] == [
        "model: model.joblib in this folder",
        "model: the bundled one (ten Western genres as of 2001)",
        f"model: {trained / 'model.joblib'} (GENRECLF_MODEL)",
        "model: model.joblib in this folder",
    ]
    named = run("predict", song, "--model", trained / "model.joblib", cwd=tmp_path)
    assert named.exit_code == 0
    assert "model:" not in named.stderr


def test_without_any_training_ten_genres_are_known(
    genre_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GENRECLF_MODEL", raising=False)
    monkeypatch.setenv("GENRECLF_DATA", str(tmp_path / "a new user"))
    song = genre_folder / "tonal/0.mp3"
    done = run("predict", song, "--format", "jsonl", cwd=tmp_path)
    assert done.exit_code == 0, done.output
    probabilities = json.loads(done.stdout)["probabilities"]
    assert sorted(probabilities) == [
        "blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae",
        "rock",
    ]  # fmt: skip
    assert sum(probabilities.values()) == pytest.approx(1)


def test_the_bundled_models_card_tells_what_its_file_does() -> None:
    evaluation = read_card(bundled_model()).evaluation
    assert evaluation is not None
    assert evaluation["n_tracks"] == 948
    text = bundled_model().with_suffix(".md").read_text(encoding="utf-8")
    for figure in (f"**{evaluation['accuracy']:.1%}**", f"{evaluation['top3_accuracy']:.1%}"):
        assert figure in text
    for genre, scores in evaluation["per_genre"].items():
        assert f"| {genre} | {scores['precision']:.0%} | {scores['recall']:.0%} |" in text


def test_answers_of_little_confidence_are_withheld(genre_folder: Path, trained: Path) -> None:
    options = [genre_folder, "--model", trained / "model.joblib", "--format", "jsonl"]
    records = [json.loads(line) for line in run("predict", *options).stdout.splitlines()]
    middle = float(np.median([record["confidence"] for record in records]))
    lines = run("predict", *options, "--threshold", middle).stdout.splitlines()
    for record, line in zip(records, lines, strict=True):
        expected = record["genre"] if record["confidence"] >= middle else "unknown"
        assert json.loads(line) == {**record, "genre": expected}


def test_a_model_answers_unknown_below_the_confidence_it_learned(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    lines = ["path,label,x,y"]
    for i in range(300):
        x, y = random.standard_normal(2) + (0.7 if i % 2 else -0.7)
        lines.append(f"{i}.mp3,{'ab'[i % 2]},{x},{y}")
    table, model = tmp_path / "t.csv", tmp_path / "m.joblib"
    table.write_text("\n".join(lines) + "\n")
    done = run("train", table, "-o", model, "--classifier", "lda", "--target-precision", 0.9)
    assert done.exit_code == 0, done.output
    card = read_card(model)
    assert card.evaluation is not None
    learned = card.evaluation["threshold"]
    assert card.threshold == learned["confidence"] > 0.5
    assert learned["precision"] >= 0.9
    assert 0.2 < learned["coverage"] < 0.9
    assert f"below {card.threshold:.1%}" in run("inspect", model).stdout
    done = run("predict", "--table", table, "--model", model, "--format", "jsonl")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    given = [record for record in records if record["genre"] != "unknown"]
    assert len(given) / 300 == pytest.approx(learned["coverage"], abs=0.05)
    assert all(record["confidence"] >= card.threshold for record in given)
    right = [record["genre"] == "ab"[int(record["path"][:-4]) % 2] for record in given]
    assert np.mean(right) > 0.93


def test_a_precision_out_of_reach_costs_nothing_else(trained: Path, tmp_path: Path) -> None:
    done = run("train", trained / "features.csv", "-o", tmp_path / "m.joblib",
               "--target-precision", 0.99)  # fmt: skip
    assert done.exit_code == 3
    last = done.stderr.splitlines()[-1]
    assert last.startswith("genreclf: no threshold reaches a precision of 99%: of the ")
    assert "too few to show 99%: it takes at least 99; the model has no threshold" in last
    assert done.stdout.splitlines()[1].startswith("accuracy ")
    assert Model.load(tmp_path / "m.joblib").threshold == 0
    done = run("evaluate", trained / "features.csv", "--target-precision", 0.99, "--json", "-")
    assert done.exit_code == 3
    assert "no threshold reaches a precision of 99%" in done.stderr
    assert "threshold" not in json.loads(done.stdout)
    done = run("train", trained / "features.csv", "--no-evaluate", "--target-precision", 0.9)
    assert done.exit_code == 2


@pytest.fixture
def split_table(tmp_path: Path) -> Path:
    """Twenty test tracks of two genres that are trained on, and forty of one that is not."""
    random = np.random.default_rng(0)
    genres = ["a"] * 40 + ["b"] * 40 + ["a"] * 10 + ["b"] * 10 + ["c"] * 40
    lines = ["path,label,split,x,y"]
    for i, genre in enumerate(genres):
        x, y = random.standard_normal(2) + (3 if genre == "b" else 0)
        lines.append(f"{i}.mp3,{genre},{'train' if i < 80 else 'test'},{x},{y}")
    (tmp_path / "s.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "s.csv"


def test_answers_of_a_split_are_written_and_are_those_that_are_counted(
    split_table: Path, tmp_path: Path
) -> None:
    ask = ["evaluate", split_table, "--classifier", "lda", "--split", "split"]
    done = run(*ask, "--predictions", tmp_path / "p.csv", "--json", tmp_path / "r.json")
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    assert list(rows[0]) == ["path", "fold", "label", "genre", "confidence"]
    assert [row["path"] for row in rows] == [f"{i}.mp3" for i in range(80, 140)]
    assert {row["fold"] for row in rows} == {"test"}
    assert {row["genre"] for row in rows} == {"a", "b"}
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["accuracy"] == np.mean([row["genre"] == row["label"] for row in rows]) < 1 / 3
    assert result["n_tracks"] == 60
    shown = run(*ask).stdout
    accuracy, below = shown.index("accuracy "), shown.index("40 of the 60 tracks count as wrong")
    assert below - accuracy < 200
    written = run(*ask, "--predictions", "-")
    assert written.stdout == (tmp_path / "p.csv").read_text()
    assert run(*ask, "--predictions", "-", "--json", "-").exit_code == 2


def test_that_groups_are_missing_is_told_beside_every_figure(trained: Path, tmp_path: Path) -> None:
    done = run("evaluate", trained / "features.csv", "--html", tmp_path / "r.html")
    lines = done.stdout.splitlines()
    accuracy = next(i for i, line in enumerate(lines) if line.startswith("accuracy "))
    assert lines[accuracy + 1].startswith("warning: no groups: tracks of one artist may be in both")
    assert done.stdout.count("no groups:") == 1
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    headline = page.index('class="big"')
    assert 0 < page.index("<strong>Warning:</strong> no groups:") - headline < 500
    assert page.count("no groups:") == 1
    assert "This was measured without groups" in page
    done = run("evaluate", trained / "features.csv", "--group-regex", r"(\d)\.mp3$")
    assert "no groups" not in done.stdout
    assert "without groups" not in done.stdout


def test_what_features_are_is_fixed_in_a_table(trained: Path, tmp_path: Path) -> None:
    table = trained / "features.csv"
    for command in (["evaluate", table], ["train", table, "-o", tmp_path / "m.joblib"]):
        done = run(*command, "--set", "excerpt.seconds=5")
        assert done.exit_code == 2
        assert "excerpt.seconds is fixed in the table" in " ".join(done.stderr.split())
    same = ["--set", "excerpt.seconds=29.12", "--set", "evaluation.folds=2"]
    assert run("evaluate", table, "--classifier", "lda", *same).exit_code == 0
    done = run("evaluate", table, "--config", "wide", "--classifier", "lda", *same[2:])
    assert done.exit_code == 0
    assert "note: --config wide: its audio, spectra have no effect" in done.stderr
    foreign = tmp_path / "foreign.csv"
    foreign.write_text("label,x\n" + "a,1\nb,2\n" * 5)
    assert run("evaluate", foreign, "--set", "excerpt.seconds=29.12").exit_code == 2


def test_a_missing_skops_is_told_before_the_work(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "skops", None)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    done = run("train", tmp_path / "no.csv", "-o", tmp_path / "m.skops")
    assert done.exit_code == 1
    assert "pip install 'genreclf[skops]'" in done.stderr


def test_a_narrow_terminal_still_names_what_calibration_was_measured_on(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    done = run("evaluate", trained / "features.csv", "--classifier", "lda")
    shown = done.stdout.partition("calibration: ")[2]
    assert "confidence  " in shown
    assert "measured without groups" in shown


def test_evaluate_tells_chance_and_reliability(trained: Path) -> None:
    done = run("evaluate", trained / "features.csv", "--permutations", 200)
    assert "probability of such an accuracy by chance: p = 0.0" in done.stdout
    assert "50.0% for random guesses" in done.stdout
    assert "calibration: confidence is off by " in done.stdout
    plain = run("evaluate", trained / "features.csv", "--permutations", 200, "--json", "-").stdout
    assert 0 < json.loads(plain)["permutation_p_value"] < 0.05


def test_groups_are_taken_from_paths(trained: Path) -> None:
    # Each folder is a genre: as groups, none of them can be tested.
    done = run("evaluate", trained / "features.csv", "--group-regex", r"/(\w+)/\d\.mp3$")
    assert done.exit_code == 1
    assert "the tracks of every genre are in one group" in done.stderr
    done = run("evaluate", trained / "features.csv", "--group-regex", r"(\d)\.mp3$", "--json", "-")
    assert json.loads(done.stdout)["splits"]["kind"] == "grouped"


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
    assert "if groups were ignored, it would be" in text


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
    with only_run(output):
        done = run("extract", short_song, "-o", output)
        assert done.exit_code == 1
        assert done.stderr.startswith(f"genreclf: {output}: another run is at work")
        assert done.stderr.count("\n") == 1
        assert run("extract", short_song, "-o", tmp_path / "other.csv").exit_code == 0
    assert run("extract", short_song, "-o", output).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.csv", "t.csv"]


@pytest.mark.parametrize("limit", [30_000, 60_000])  # less than the journal; less than the table
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
    assert run("extract", tmp_path, "-o", trained / "odd.csv").exit_code == 0
    assert [os.fsencode(path) for path in load_table(trained / "odd.csv").paths] == [odd]
    for form in ("jsonl", "csv", "table"):
        done = run("predict", tmp_path, "--model", trained / "model.joblib", "--format", form)
        assert done.exit_code == 0, done.output


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
    assert f"{locked}: a folder" in done.stderr  # by a worker, which is not refused
    with pytest.raises(AudioError, match="a folder that cannot be searched; permission denied"):
        extract_one(locked)
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

    monkeypatch.setattr("genreclf.tables.table.load_table", fail)
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


def test_compare_takes_labels_as_extract_does(genre_folder: Path) -> None:
    quick = ["--set", "excerpt.seconds=2", "--set", "evaluation.folds=2", "--repeats", 1]
    options = ["--classifiers", "lda,logistic", *quick, "--jobs", 1]
    done = run("compare", genre_folder, *options)
    assert "2 genres: noisy 6, tonal 6\n" in done.stderr
    done = run("compare", genre_folder, *options, "--label-regex", r"(\d)\.mp3$")
    assert "genres: 0 2, 1 2" in done.stderr
