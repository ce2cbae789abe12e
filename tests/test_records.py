"""Records of predictions and timelines for programs."""

import json
from pathlib import Path

import pytest

from genreclf.extraction.tracks import Failure
from genreclf.learning.prediction import Prediction
from genreclf.learning.timeline import Timeline, Window
from genreclf.library.sources import Track
from genreclf.reports.records import Result, csv_header, csv_rows, json_record

GENRES = ["jazz", "rock"]
ROCK = Prediction("a.mp3", {"rock": 0.7, "jazz": 0.3})
UNSURE = Prediction("b.mp3", {"jazz": 0.6, "rock": 0.4}, novel=True, threshold=0.9, notes=("odd",))
FAILURE = Failure(Track(Path("c.mp3")), "audio", "c.mp3: no audio")
TIMELINE = Timeline("d.mp3", [Window(0, 2.0004, ROCK), Window(1, 3, None)])


def test_predictions_as_json() -> None:
    assert json_record(ROCK) == {
        "path": "a.mp3", "genre": "rock", "confidence": 0.7,
        "probabilities": {"rock": 0.7, "jazz": 0.3},
    }  # fmt: skip
    assert json_record(UNSURE) == {
        "path": "b.mp3", "genre": "unknown", "confidence": 0.6, "novel": True, "notes": ("odd",),
        "probabilities": {"jazz": 0.6, "rock": 0.4},
    }  # fmt: skip
    assert json_record(FAILURE) == {"path": "c.mp3", "error": "c.mp3: no audio"}


def test_the_most_probable_genres_only_if_several_are_asked_for() -> None:
    of_three = Prediction("e.mp3", {"x": 0.5, "y": 0.3, "z": 0.2})
    assert [list(json_record(of_three, top)["probabilities"]) for top in (1, 2, 9)] == [
        ["x", "y", "z"], ["x", "y"], ["x", "y", "z"],
    ]  # fmt: skip


def test_silence_has_no_genre() -> None:
    sound, silence = json_record(TIMELINE)["timeline"]
    assert (sound["start"], sound["stop"], sound["genre"]) == (0, 2.0, "rock")
    assert silence == {
        "start": 1, "stop": 3, "genre": None, "confidence": None, "probabilities": {},
    }  # fmt: skip
    assert json.loads(json.dumps(silence)) == silence
    rows = list(csv_rows(TIMELINE, GENRES, windows=True))
    assert rows[1] == ["d.mp3", 1, 3, "", "", "", "", "", ""]


@pytest.mark.parametrize(
    ("result", "windows"),
    [(ROCK, False), (UNSURE, False), (FAILURE, False), (FAILURE, True), (TIMELINE, True)],
)
def test_each_row_of_csv_fits_the_header(result: Result, windows: bool) -> None:
    header = csv_header(GENRES, windows=windows)
    for row in csv_rows(result, GENRES, windows=windows):
        cells = dict(zip(header, row, strict=True))
        assert cells["path"] == json_record(result)["path"]
        assert bool(cells["error"]) == isinstance(result, Failure)
        if cells["genre"]:
            assert cells["confidence"] == max(cells[genre] for genre in GENRES)
