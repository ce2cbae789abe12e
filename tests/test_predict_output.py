"""``predict``: its formats, which model it takes, and when it withholds a genre."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers import run

from genreclf import (
    Model,
    extract_one,
    load_table,
)
from genreclf.learning.modelfile import bundled_model, read_card


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


def test_silence_is_no_genre(
    tmp_path: Path, trained: Path, write_audio: Callable[..., Path]
) -> None:
    for name, level in (("silent.wav", 0), ("constant.wav", 0.5)):
        path = write_audio(name, np.full(4 * 22050, level, np.float32), 22050, tmp_path)
        done = run("predict", path, "--model", trained / "model.joblib")
        assert done.exit_code == 1
        assert "only silence" in done.stderr
