"""``train`` and ``evaluate``: reports, models, thresholds and splits."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from helpers import run

from genreclf import (
    Model,
)
from genreclf.cli import training
from genreclf.evaluation import trainings
from genreclf.learning.modelfile import read_card


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


def test_a_model_predicts_unknown_below_the_confidence_it_learned(tmp_path: Path) -> None:
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


@pytest.mark.slow
def test_a_reader_who_stops_early_costs_no_model(trained: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} -m genreclf train {trained}/features.csv -o {tmp_path}/m.joblib"
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} | head -n 1"], capture_output=True, text=True, check=True
    )
    assert "12 tracks, 2 genres" in done.stdout
    assert "Traceback" not in done.stderr
    assert Model.load(tmp_path / "m.joblib").genres == ["noisy", "tonal"]
