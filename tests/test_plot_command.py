"""What ``genreclf plot`` draws is what the numbers say."""

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import clicks, sine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from genreclf.cli import cli
from genreclf.config.load import load_config
from genreclf.evaluation.importance import most_different
from genreclf.reports.plots import COLOURS
from genreclf.reports.spectrograms import Kind, parts_of, spectrogram_of
from genreclf.tables.table import FeatureTable

GENRES = ("folk", "a$b$ _rock", "<jazz>")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def texts(picture: Path) -> list[str]:
    tree = ElementTree.fromstring(picture.read_text(encoding="utf-8"))
    return [
        "".join(text.itertext()).strip() for text in tree.iter("{http://www.w3.org/2000/svg}text")
    ]


@pytest.fixture(scope="module")
def table() -> FeatureTable:
    random = np.random.default_rng(0)
    labels = np.array(GENRES * 12, dtype=object)
    values = random.standard_normal((36, 8)).astype(np.float32)
    values[:, 5] += 9 * (labels == "folk")
    values[:, 2] += 4 * (labels == "<jazz>")
    values[:, 7] = 1  # which tells nothing
    return FeatureTable(
        paths=np.array([f"{i}.mp3" for i in range(36)], dtype=object),
        labels=labels,
        groups=np.full(36, "", dtype=object),
        names=[f"mix.column.{i:02d}" for i in range(8)],
        values=values,
    )


@pytest.fixture(scope="module")
def table_file(table: FeatureTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    table.save(path)
    return path


def test_the_most_different_columns_come_first(table: FeatureTable) -> None:
    assert most_different(table, 2) == ["mix.column.05", "mix.column.02"]
    assert most_different(table, 99)[-1] == "mix.column.07"


def test_features_are_drawn_by_genre(table_file: Path, tmp_path: Path) -> None:
    picture = tmp_path / "f.svg"
    assert run("plot", "features", table_file, "-o", picture).exit_code == 0
    shown = texts(picture)
    assert "mix.column.05" in shown
    assert "mix.column.07" not in shown
    assert set(GENRES) <= set(shown)
    done = run("plot", "features", table_file, "mix.column.07", "*.00", "-o", picture)
    assert done.exit_code == 0
    assert {"mix.column.07", "mix.column.00"} <= set(texts(picture))


def test_confusion_has_the_counts_of_evaluate(table_file: Path, tmp_path: Path) -> None:
    options = ["--classifier", "lda", "--set", "evaluation.folds=3"]
    result = tmp_path / "r.json"
    run("evaluate", table_file, *options, "--json", result)
    matrix = json.loads(result.read_text(encoding="utf-8"))["confusion_matrix"]
    counts = sorted(str(n) for row in matrix for n in row if n)
    for source in ([table_file, *options], [result]):
        picture = tmp_path / "c.svg"
        done = run("plot", "confusion", *source, "-o", picture)
        assert done.exit_code == 0, done.output
        shown = texts(picture)
        assert sorted(text for text in shown if text.isdigit()) == counts
        assert shown.count("folk") == 2


@pytest.mark.parametrize("command", ["audit", "plot confusion"])
def test_folds_are_run_by_as_many_workers_as_jobs(
    command: str, table_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def counted(jobs: int, seconds: float) -> Any:
        started.append(jobs)
        return nullcontext()

    monkeypatch.setattr("genreclf.evaluation.trainings.fold_workers", counted)
    output = ["-o", tmp_path / "c.svg"] if command == "plot confusion" else []
    done = run(*command.split(), table_file, *output, "--classifier", "lda", "--jobs", "2")
    assert done.exit_code == 0, done.output
    assert started == [2]


def test_confusion_trains_only_on_folds_that_it_draws(
    table_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = []
    real = LinearDiscriminantAnalysis.fit

    def counted(self: LinearDiscriminantAnalysis, X: Any, y: Any) -> Any:
        fits.append(len(y))
        return real(self, X, y)

    monkeypatch.setattr(LinearDiscriminantAnalysis, "fit", counted)
    done = run("plot", "confusion", table_file, "--group-regex", r"(\d)\.mp3", "--classifier",
               "lda", "--set", "evaluation.folds=3", "-o", tmp_path / "c.svg")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert len(fits) == 3


@pytest.mark.slow
def test_of_very_many_genres_the_smaller_ones_are_put_together(tmp_path: Path) -> None:
    n = 500
    matrix = np.zeros((n, n), dtype=int)
    matrix[np.arange(n), np.arange(n)] = np.arange(n) + 1
    matrix[0, 499], matrix[499, 1], matrix[0, 1] = 3, 5, 7
    result, picture = tmp_path / "r.json", tmp_path / "c.svg"
    genres = [f"genre{i:03d}" for i in range(n)]
    result.write_text(json.dumps({"genres": genres, "confusion_matrix": matrix.tolist()}))
    assert run("plot", "confusion", result, "-o", picture).exit_code == 0
    shown = texts(picture)
    assert shown.count("genre499") == shown.count("441 others") == 2
    assert "genre000" not in shown
    counts = [int(text) for text in shown if text.isdigit()]
    assert sum(counts) == matrix.sum()
    assert {3, 5} <= set(counts)


def test_a_result_is_drawn_as_it_is(tmp_path: Path) -> None:
    done = run("plot", "confusion", tmp_path / "r.json", "-o", tmp_path / "c.png",
               "--classifier", "lda")  # fmt: skip
    assert done.exit_code == 2
    assert "a result is drawn as it is" in done.stderr


@pytest.mark.parametrize("kind", ["stft", "mel", "cqt"])
def test_a_tone_is_brightest_at_its_frequency(
    kind: Kind, tmp_path: Path, write_audio: Callable[..., Path]
) -> None:
    song = write_audio("tone.wav", sine(1000, 4, 12_000), 12_000)
    found = spectrogram_of(song, load_config(), kind)
    brightest = found.hz[found.decibels.mean(axis=1).argmax()]
    assert brightest == pytest.approx(1000, rel=0.03)
    assert found.decibels.max() == pytest.approx(0, abs=1e-3)
    assert found.decibels.min() >= -80
    assert (found.start, found.stop) == (0, 4)
    picture = tmp_path / "s.png"
    assert run("plot", "spectrogram", song, "--kind", kind, "-o", picture).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_parts_hold_what_belongs_to_them(tmp_path: Path, write_audio: Callable[..., Path]) -> None:
    samples = sine(1000, 4, 12_000) + clicks(120, 4, 12_000)[: 4 * 12_000]
    song = write_audio("both.wav", 0.5 * samples, 12_000)
    mix, harmonic, percussive = parts_of(song, load_config())
    tone = np.argmin(np.abs(mix.hz - 1000))
    assert [part.name for part in (mix, harmonic, percussive)] == ["mix", "harmonic", "percussive"]
    middle = np.median(harmonic.decibels[tone]), np.median(percussive.decibels[tone])
    assert middle[0] > middle[1] + 20
    picture = tmp_path / "h.svg"
    assert run("plot", "hpss", song, "-o", picture).exit_code == 0
    assert {"mix", "harmonic", "percussive", "both.wav"} <= set(texts(picture))


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["features", "{table}", "no.such", "-o", "x.png"], 1, "no column no.such"),
        (["features", "{table}", "-o", "x.gif"], 2, ".png, .svg or .pdf"),
        (["features", "{table}"], 2, "Missing option '-o'"),
        (["confusion", "{json}", "-o", "x.png"], 1, "not a result of evaluate --json"),
        (["spectrogram", "{table}", "-o", "x.png"], 1, "no audio could be decoded"),
    ],
)
def test_what_cannot_be_drawn_is_told_in_a_line(
    arguments: list[str], status: int, reason: str, table_file: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("bad.json").write_text('{"genres": ["a"], "confusion_matrix": [["x"]]}', encoding="utf-8")
    done = run("plot", *(a.format(table=table_file, json="bad.json") for a in arguments))
    assert done.exit_code == status
    assert reason in done.stderr
    assert not Path("x.png").exists()


def test_without_matplotlib_the_extra_is_named(
    table_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = run("plot", "features", table_file, "-o", "x.png")
    assert done.exit_code == 2
    assert "genreclf[plot]" in done.stderr


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


# Machado, Oliveira & Fernandes 2009, at full severity.
BLINDNESS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
}  # fmt: skip


@pytest.mark.parametrize("kind", BLINDNESS)
def test_neighbouring_colours_are_told_apart_by_colour_blind_people(kind: str) -> None:
    seen = np.array([np.array(BLINDNESS[kind]) @ linear(colour) for colour in COLOURS])
    distances = np.linalg.norm(seen[:, None] - seen, axis=2) + np.eye(len(COLOURS))
    assert distances.min() > 0.05
