"""A review page plays the seconds that the features of a table were computed from."""

import shutil
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import noise, sine
from helpers import PoolInThisProcess, run
from test_review import data_of

from genreclf.config.load import load_config
from genreclf.extraction import heard
from genreclf.extraction.cache import Cache, cache_file
from genreclf.extraction.chain import measure
from genreclf.extraction.heard import heard_spans
from genreclf.learning.prediction import Prediction
from genreclf.parallel import workers
from genreclf.reports.predictionpage import PredictionPage

RATE = 8000
QUICK = (
    "separation=none",
    'features.select=["mix.rms", "mix.centroid"]',
    "audio.sample_rate_hz=8000",
)
Writer = Callable[..., Path]


def settings(*overrides: str) -> list[str]:
    return [word for override in (*QUICK, *overrides) for word in ("--set", override)]


def loud_from(second: float, *, hz: float = 440) -> np.ndarray:
    """Twelve seconds of quiet noise with three loud seconds."""
    signal = noise(12, RATE, 0.01)
    first = round(second * RATE)
    signal[first : first + 3 * RATE] += sine(hz, 3, RATE, 0.5)
    return signal


LOUD = {"a.wav": 7.0, "b.wav": 1.0, "caf\udce9 #1.wav": 4.5}


@pytest.fixture(autouse=True)
def _no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "ProcessPool", PoolInThisProcess)


@pytest.fixture
def songs(tmp_path: Path, write_audio: Writer) -> Path:
    for i, (name, second) in enumerate(LOUD.items()):
        file = write_audio("x.wav", loud_from(second, hz=300 + 200 * i), RATE, tmp_path / "songs")
        file.rename(file.with_name(name))
    return tmp_path / "songs"


def page_of(*command: object, folder: Path) -> dict[str, dict[str, Any]]:
    html = folder / "review.html"
    done = run(*command, "--html", html)
    assert done.exit_code == 0, done.output
    return {item["path"]: item for item in data_of(html.read_text(encoding="utf-8"))["items"]}


def assert_loud(items: dict[str, dict[str, Any]], names: Collection[str] = LOUD) -> None:
    assert {Path(path).name for path in items} == set(names)
    for path, item in items.items():
        second = LOUD[Path(path).name]
        [span] = item["spans"]
        assert span == pytest.approx([second, second + 3], abs=0.11)  # energies are of 0.1 s


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("strategy", ["energy", "highlight", "window"])
def test_the_loud_part_is_played_whether_its_place_was_cached_or_not(
    songs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str, cached: bool
) -> None:
    chosen = settings(f"excerpt.strategy={strategy}", "excerpt.seconds=3")
    table = tmp_path / "t.csv"
    run(
        "extract",
        songs,
        "--labels",
        "none",
        *chosen,
        *(() if cached else ["--no-cache"]),
        "-o",
        table,
    )
    if cached:
        monkeypatch.setattr(heard, "chosen_spans", None)
    assert_loud(page_of("suggest", table, folder=tmp_path))


@pytest.mark.parametrize("name", ["t.csv", "t.npz", "parts.parquet"])
def test_tables_of_all_formats_and_their_corrected_copies(
    songs: Path, tmp_path: Path, name: str
) -> None:
    table, corrected = tmp_path / name, tmp_path / f"corrected-{name}"
    parts = ["--rows-per-file", 2] if name.startswith("parts") else []
    chosen = settings("excerpt.strategy=energy", "excerpt.seconds=3")
    done = run("extract", songs, "--labels", "none", *chosen, *parts, "-o", table)
    assert done.exit_code == 0, done.output
    assert_loud(page_of("suggest", table, folder=tmp_path))
    corrections = tmp_path / "corrections.csv"
    corrections.write_text(f"path,label\n{songs / 'a.wav'},rock\n")
    done = run("labels", "apply", corrections, table, "-o", corrected)
    assert done.exit_code == 0, done.output
    assert_loud(page_of("suggest", corrected, folder=tmp_path), set(LOUD) - {"a.wav"})


def test_copies_with_two_labels_in_an_audit(songs: Path, tmp_path: Path) -> None:
    for genre in ("rock", "jazz"):
        shutil.copytree(songs, tmp_path / "labelled" / genre)
    table = tmp_path / "t.csv"
    chosen = settings("excerpt.strategy=energy", "excerpt.seconds=3")
    run("extract", tmp_path / "labelled", *chosen, "-o", table)
    items = page_of("audit", table, folder=tmp_path)
    assert len(items) == 2 * len(LOUD)
    assert_loud(items)


def test_predictions_of_a_table(songs: Path) -> None:
    config = load_config(overrides=[*QUICK, "excerpt.strategy=energy", "excerpt.seconds=3"])
    page = PredictionPage(10)
    list(page.each(Prediction(str(path), {"rock": 1.0}) for path in songs.iterdir()))
    assert_loud({item["path"]: item for item in data_of(page.html(["rock"], config))["items"]})


def test_of_several_excerpts_those_are_played_that_are_not_silent(
    tmp_path: Path, write_audio: Writer
) -> None:
    signal = sine(440, 9, RATE)
    signal[: 3 * RATE] = 0
    write_audio("a.wav", signal, RATE, tmp_path)
    chosen = settings("excerpt.strategy=multi", "excerpt.seconds=2")
    run("extract", tmp_path / "a.wav", "--labels", "none", *chosen, "-o", tmp_path / "t.csv")
    [item] = page_of("suggest", tmp_path / "t.csv", folder=tmp_path).values()
    assert item["spans"] == [[3.5, 5.5], [6.5, 8.5]]


def test_a_silent_middle_is_not_played(tmp_path: Path, write_audio: Writer) -> None:
    signal = np.zeros(12 * RATE, np.float32)
    signal[: 2 * RATE] = sine(440, 2, RATE)
    file = write_audio("a.wav", signal, RATE, tmp_path)
    config = load_config(overrides=[*QUICK, "excerpt.seconds=2"])
    assert heard_spans([str(file)], config) == {str(file): ((0.0, 2.0),)}


def test_the_seconds_are_those_of_the_file_as_it_is_and_of_no_missing_one(
    songs: Path, tmp_path: Path, write_audio: Writer
) -> None:
    table = tmp_path / "t.csv"
    chosen = settings("excerpt.strategy=energy", "excerpt.seconds=3")
    run("extract", songs, "--labels", "none", *chosen, "-o", table)
    write_audio("a.wav", loud_from(2.0), RATE, songs)
    (songs / "b.wav").unlink()
    (songs / "caf\udce9 #1.wav").write_text("no music any more")
    items = page_of("suggest", table, folder=tmp_path)
    spans = {Path(path).name: item["spans"] for path, item in items.items()}
    assert spans.pop("a.wav") == [pytest.approx([2, 5], abs=0.11)]
    assert set(map(tuple, spans.values())) == {()}


def test_a_cache_without_seconds_and_one_that_cannot_be_read_are_no_obstacle(
    songs: Path, tmp_path: Path, cache_folder: Path
) -> None:
    config = load_config(overrides=[*QUICK, "excerpt.strategy=energy", "excerpt.seconds=3"])
    path = songs / "a.wav"
    with Cache(cache_file(), config) as cache:  # as older versions of genreclf left it
        cache.get_or_compute(path, lambda file: replace(measure(file, config), spans=()))
        known = cache.get(path)
        assert known is not None
        assert known.spans == ()
    expected = {str(path): measure(path, config).spans}
    assert heard_spans([str(path), "\ud800.wav", "a\0.wav", "", "a" * 5000], config) == expected
    cache_file().write_bytes(b"no cache" * 1000)
    with pytest.warns(UserWarning, match="is damaged and was dropped"):
        assert heard_spans([str(path)], config) == expected


def test_without_processes_the_page_is_written_without_seconds(
    songs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise workers.NoWorkersError

    monkeypatch.setattr(heard, "Workers", fail)
    assert heard_spans(map(str, songs.iterdir()), load_config(overrides=QUICK)) == {}
