"""Windows along a track."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import clicks, music, noise
from rich.console import Console
from sample_models import QUICK

from genreclf.config.load import load_config
from genreclf.extraction.chain import extract_one
from genreclf.extraction.tracks import Failure, extract
from genreclf.extraction.windows import MeasuredWindows, Windows, measure_windows
from genreclf.learning.model import Model
from genreclf.learning.prediction import Prediction
from genreclf.learning.timeline import Timeline, Window, predict_timelines
from genreclf.library.sources import Track
from genreclf.parallel.workers import Workers
from genreclf.reports.predictions import timeline_report

RATE = 22050


@pytest.fixture(scope="module")
def model(genre_folder: Path) -> Model:
    return Model.fit(extract(genre_folder, QUICK), QUICK)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(1, 60) as started:
        yield started


def tonal(seconds: float) -> np.ndarray:
    return music(seconds, RATE, seed=1, bpm=60)


def noisy(seconds: float) -> np.ndarray:
    return clicks(126, seconds, RATE) + noise(seconds, RATE, 0.02, seed=2)


@pytest.fixture(scope="module")
def changing(write_audio: Callable[..., Path]) -> Path:
    """Eight seconds of tones, four of silence, eight of clicks and noise."""
    parts = (tonal(8), np.zeros(4 * RATE, np.float32), noisy(8))
    return write_audio("changing.wav", np.concatenate(parts), RATE)


def only(model: Model, path: Path, windows: Windows, workers: Workers) -> Timeline:
    [found] = predict_timelines(model, [Track(path)], windows, workers)
    assert isinstance(found, Timeline), found
    return found


def test_the_genre_changes_where_the_music_does(
    model: Model, changing: Path, workers: Workers
) -> None:
    found = only(model, changing, Windows(step=2), workers)
    assert [(window.start, window.stop) for window in found.windows] == [
        (start, start + 2) for start in range(0, 20, 2)
    ]
    assert [window.genre for window in found.windows] == (
        ["tonal"] * 4 + [None] * 2 + ["noisy"] * 4
    )
    runs = [(run.start, run.stop, run.genre) for run in found.runs()]
    assert runs == [(0, 8, "tonal"), (8, 12, None), (12, 20, "noisy")]
    assert [run.confidence is None for run in found.runs()] == [False, True, False]


def test_overlapping_windows_share_out_the_track(
    model: Model, changing: Path, workers: Workers
) -> None:
    found = only(model, changing, Windows(), workers)
    assert [window.start for window in found.windows] == list(range(19))  # half a window apart
    assert found.borders[0] == 0
    assert found.borders[-1] == 20
    assert found.borders[1:-1] == [i + 0.5 for i in range(1, 19)]


@pytest.mark.parametrize("suffix", ["wav", "mp3", "flac", "ogg"])
@pytest.mark.parametrize("config", ["default", "gtzan133"])
def test_the_window_in_the_middle_is_what_ordinary_predictions_hear(
    write_audio: Callable[..., Path], suffix: str, config: str
) -> None:
    settings = load_config(config, ["excerpt.seconds=3"])
    path = write_audio(f"a.{suffix}", tonal(9), RATE)
    found = measure_windows(Track(path), settings, 3)
    assert isinstance(found, MeasuredWindows)
    middle = found.measured[found.spans.index((3, 6))]
    assert middle is not None
    np.testing.assert_array_equal(middle.statistics, extract_one(path, settings))


def test_the_middle_window_is_predicted_as_the_file_is(
    model: Model, changing: Path, workers: Workers, write_audio: Callable[..., Path]
) -> None:
    path = write_audio("b.wav", noisy(6), RATE)
    [expected] = model.predict_files([path])
    assert isinstance(expected, Prediction)
    said = only(model, path, Windows(step=2), workers).windows[1].prediction
    assert said is not None
    assert said.probabilities == pytest.approx(expected.probabilities, rel=1e-9)


def test_the_last_window_ends_with_the_track(
    model: Model, workers: Workers, write_audio: Callable[..., Path]
) -> None:
    path = write_audio("c.wav", noisy(7), RATE)
    found = only(model, path, Windows(4, 2.5), workers)
    assert [(w.start, w.stop) for w in found.windows] == [(0, 4), (2.5, 6.5), (3, 7)]


def test_a_track_shorter_than_a_window_is_one_window(
    model: Model, workers: Workers, write_audio: Callable[..., Path]
) -> None:
    path = write_audio("d.wav", noisy(1.5), RATE)
    [window] = only(model, path, Windows(30), workers).windows
    assert (window.start, window.stop) == (0, 1.5)


def test_silence_damage_and_too_many_windows_fail(
    model: Model, workers: Workers, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(5 * RATE), RATE)
    (tmp_path / "damaged.mp3").write_bytes(b"no audio")
    soundfile.write(tmp_path / "long.flac", np.zeros(1003 * 1000), 1000)
    tracks = [Track(tmp_path / name) for name in ("silent.wav", "damaged.mp3", "long.flac")]
    found = list(predict_timelines(model, tracks, Windows(step=0.1), workers))
    assert [type(failure) for failure in found] == [Failure] * 3
    reasons = [failure.error for failure in found if isinstance(failure, Failure)]
    assert "holds only silence" in reasons[0]
    assert "no audio could be decoded" in reasons[1]
    assert "10011 windows, a step of 0.1 s apart; take a longer --step" in reasons[2]


def test_runs_average_their_windows() -> None:
    def window(i: int, p: float, novel: bool = False) -> Window:
        return Window(i, i + 1, Prediction("a", {"x": p, "y": 1 - p}, novel, threshold=0.55))

    line = Timeline("a", [window(0, 0.6), window(1, 0.8, True), window(2, 0.5)])
    first, second = line.runs()
    assert (first.genre, first.confidence, first.novel) == ("x", pytest.approx(0.7), True)
    assert (second.genre, second.start, second.stop) == ("unknown", 2, 3)
    told = io.StringIO()
    timeline_report(line, Console(file=told, width=80))
    rows = [row for row in told.getvalue().splitlines() if row.startswith("│")]
    assert "70%" in rows[0]
    assert "unknown" in rows[1]
    assert "%" not in rows[1]  # the confidence is not that of "unknown"
