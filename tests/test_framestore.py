"""Frames beside a table: kept in half precision, read by need, never those of other tracks."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import music
from test_table import texts

from genreclf.cli import cli
from genreclf.config.load import load_config
from genreclf.config.schema import Config
from genreclf.errors import TableError
from genreclf.extraction.cache import cache_file
from genreclf.extraction.chain import (
    Row,
    build_table,
    extract,
    extract_frames,
    extract_one,
    extract_tracks,
)
from genreclf.extraction.journal import extract_resumably
from genreclf.features.kept import Layout, keep, kept_shapes
from genreclf.library.sources import Track
from genreclf.parallel.workers import Workers
from genreclf.tables.framestore import frames_path
from genreclf.tables.table import FeatureTable, load_table

OVERRIDES = [
    "excerpt.seconds=2",
    "separation=none",
    'features.select=["mix.mfcc", "mix.centroid", "mix.rms"]',
    'pooling.keep_frames=["mix.centroid", "mix.mfcc"]',
    "pooling.frames_per_track=32",
]
KEEPING = load_config(overrides=OVERRIDES)
SETTINGS = [word for override in OVERRIDES for word in ("--set", override)]


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory, write_audio) -> Path:
    folder = tmp_path_factory.mktemp("songs")
    for i in range(4):
        write_audio(f"genre{i % 2}/{i}.wav", music(3, 12000, seed=i), 12000, folder)
    return folder


@pytest.fixture(scope="module")
def tracks(songs: Path) -> list[Track]:
    return [Track(path) for path in sorted(songs.rglob("*.wav"))]


@pytest.fixture(scope="module")
def table(songs: Path) -> FeatureTable:
    return extract(songs, KEEPING)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_kept_frames_are_those_of_the_file_evenly_spaced(table: FeatureTable) -> None:
    frames = extract_frames(Path(table.paths[0]), KEEPING)[1]
    assert table.frames is not None
    assert table.frames.dtype == np.float16
    assert table.frames.shape == (4, 21 * 32)
    assert kept_shapes(KEEPING) == {"mix.centroid": (1, 32), "mix.mfcc": (20, 32)}
    centroid, mfcc = np.split(table.frames[0], [32])
    n = frames["mix.mfcc"].shape[1]
    middles = np.floor((np.arange(32) + 0.5) * n / 32).astype(int)
    assert len(set(np.diff(middles))) <= 2
    for kept, name in ((centroid, "mix.centroid"), (mfcc.reshape(20, 32), "mix.mfcc")):
        np.testing.assert_allclose(kept, frames[name][:, middles].squeeze(), rtol=1e-3, atol=1e-3)


def test_a_short_excerpt_has_each_frame_almost_equally_often() -> None:
    frames = {"mix.centroid": np.arange(10)[None], "mix.mfcc": np.arange(200).reshape(20, 10)}
    kept = keep({name: rows.astype(np.float32) for name, rows in frames.items()}, KEEPING)
    _, counts = np.unique(kept[:32], return_counts=True)
    assert sorted(set(counts)) == [3, 4]
    assert list(kept[:32]) == sorted(kept[:32])


def test_what_half_precision_cannot_hold_is_brought_to_its_limit() -> None:
    frames = {
        "mix.centroid": np.array([[96_000.0, -1e9, 1e-9]], dtype=np.float32),
        "mix.mfcc": np.zeros((20, 3), dtype=np.float32),
    }
    kept = keep(frames, KEEPING)
    assert sorted(set(kept)) == [-65504, 0, 65504]


def test_the_statistics_are_as_without_frames(table: FeatureTable) -> None:
    without = load_config(overrides=OVERRIDES[:3])
    for path, row in zip(table.paths, table.values, strict=True):
        assert row.tobytes() == extract_one(path, without).tobytes()
        assert row.tobytes() == extract_one(path, KEEPING).tobytes()
    assert extract(table.paths[0], without).frames is None


def test_a_vector_survives_packing(table: FeatureTable) -> None:
    layout = Layout.of(KEEPING)
    assert table.frames is not None
    vector = np.concatenate((table.values[0], table.frames[0].astype(np.float32)))
    packed = layout.pack(vector)
    assert len(packed) == 4 * layout.n_statistics + 2 * layout.n_kept
    again = layout.unpack(packed)
    assert again is not None
    assert again.tobytes() == vector.tobytes()
    assert layout.unpack(packed[:-2]) is None
    assert layout.unpack(packed + b"xx") is None


def assert_same(first: FeatureTable, second: FeatureTable) -> None:
    assert first.frames is not None
    assert second.frames is not None
    assert list(first.paths) == list(second.paths)
    assert first.values.tobytes() == second.values.tobytes()
    assert first.frames.tobytes() == second.frames.tobytes()


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".parquet"])
def test_frames_come_back_from_the_disk(table: FeatureTable, tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is an extra")
    path = tmp_path / f"features{suffix}"
    table.save(path)
    read = load_table(path)
    assert_same(read, table)
    assert isinstance(read.frames, np.memmap)  # on the disk until asked for
    some = read.take(np.array([3, 1]))
    assert table.frames is not None
    assert some.frames is not None
    assert some.frames.tobytes() == table.frames[[3, 1]].tobytes()


def test_names_that_are_no_text(table: FeatureTable, tmp_path: Path) -> None:
    strange = replace(table, paths=texts(["a\udcff.mp3", "a,\n.mp3", "NA", "música.mp3"]))
    strange.save(tmp_path / "features.csv")
    assert_same(load_table(tmp_path / "features.csv"), strange)


@pytest.mark.processes
def test_resumed_cached_and_parallel_runs_keep_the_same_frames(
    tracks: list[Track], table: FeatureTable, tmp_path: Path
) -> None:
    cache = cache_file()
    with Workers(2) as workers:
        parallel = list(extract_tracks(tracks, KEEPING, workers, cache))
    cached = list(extract_tracks(tracks, KEEPING, None, cache))
    interrupted = extract_resumably(tracks, KEEPING, tmp_path / "t.csv")
    next(interrupted), next(interrupted)
    interrupted.close()
    resumed = list(extract_resumably(tracks, KEEPING, tmp_path / "t.csv"))
    for outcomes in (parallel, cached, resumed):
        rows = [outcome for outcome in outcomes if isinstance(outcome, Row)]
        assert_same(build_table(rows, KEEPING), table)
    assert all(isinstance(row, Row) and row.cached for row in cached)
    assert [isinstance(row, Row) and row.kept for row in resumed] == [True, True, False, False]


def test_views_keep_frames_each(songs: Path, tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(
        "[[views]]\nexcerpt = {seconds = 2}\n"
        'features = {select = ["mix.mfcc"]}\npooling = {keep_frames = ["mix.mfcc"]}\n'
        "[[views]]\nexcerpt = {seconds = 2}\naudio = {sample_rate_hz = 22050}\n"
        'features = {select = ["mix.rms"]}\n'
        'pooling = {keep_frames = ["mix.rms"], frames_per_track = 8}\n'
    )
    config = load_config(path)
    assert kept_shapes(config) == {"mix.mfcc": (20, 256), "mix.rms": (1, 8)}
    table = extract(songs, config)
    assert table.frames is not None
    second = extract_frames(Path(table.paths[0]), config)[1]["mix.rms"]
    np.testing.assert_allclose(table.frames[0, -8:], keep_of(second, 8), rtol=1e-3)


def keep_of(rows: np.ndarray, n: int) -> np.ndarray:
    return rows[0, [int((i + 0.5) * rows.shape[1] / n) for i in range(n)]]


@pytest.fixture
def saved(table: FeatureTable, tmp_path: Path) -> Path:
    table.save(tmp_path / "features.csv")
    return tmp_path / "features.csv"


def swapped(table: FeatureTable) -> FeatureTable:
    return table.take(np.array([1, 0, 2, 3]))


def of_another_configuration(table: FeatureTable) -> FeatureTable:
    return replace(table, config=replace_frames_per_track(table.config))


def replace_frames_per_track(config: object) -> Config:
    return load_config(overrides=[*OVERRIDES[:-1], "pooling.frames_per_track=64"])


@pytest.mark.parametrize("other", [swapped, of_another_configuration])
def test_the_store_of_other_tracks_is_refused(
    table: FeatureTable, saved: Path, tmp_path: Path, other
) -> None:
    elsewhere = tmp_path / "elsewhere.csv"
    other(table).save(elsewhere)
    frames_path(elsewhere).replace(frames_path(saved))
    with pytest.raises(TableError, match=r"csv\.frames: holds the frames of other tracks.*again$"):
        load_table(saved)


def test_rows_that_were_sorted_anew_are_refused(saved: Path) -> None:
    header, names, *rows = saved.read_text().splitlines()
    saved.write_text("\n".join([header, names, *reversed(rows)]) + "\n")
    with pytest.raises(TableError, match=r"in another order, than features\.csv; extract again"):
        load_table(saved)


def test_labels_may_be_changed(table: FeatureTable, saved: Path) -> None:
    saved.write_text(saved.read_text().replace('"genre0"', '"jazz"'))
    read = load_table(saved)
    assert read.genres == ["genre1", "jazz"]
    assert_same(read, table)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda store: store.unlink(), "but features.csv.frames is not beside it; bring"),
        (lambda store: store.write_bytes(b""), "holds no frames; extract features.csv again"),
        (lambda store: store.write_bytes(b"\x93NUMPY" * 99), "holds no frames"),
        (lambda store: store.write_bytes(store.read_bytes()[:40]), "other tracks"),
        (lambda store: store.write_bytes(store.read_bytes()[:-2]), "is damaged: cut off or too"),
        (lambda store: store.write_bytes(store.read_bytes() + b"\0"), "is damaged"),
        (lambda store: os.truncate(store, 2**40), "is damaged"),
    ],
)
def test_a_store_that_is_missing_or_damaged_is_told_in_one_line(
    saved: Path, damage, reason: str
) -> None:
    damage(frames_path(saved))
    with pytest.raises(TableError) as caught:
        load_table(saved)
    assert reason in str(caught.value)
    assert str(caught.value).startswith(str(saved.parent))
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in folders there")
def test_a_named_pipe_is_not_waited_for(saved: Path) -> None:
    frames_path(saved).unlink()
    os.mkfifo(frames_path(saved))
    with pytest.raises(TableError, match="is not beside it"):
        load_table(saved)


def test_extract_writes_the_store_beside_the_table(songs: Path, tmp_path: Path) -> None:
    output = tmp_path / "features.csv"
    run("extract", songs, "-o", output, "--jobs", 2, *SETTINGS)
    assert_same(load_table(output), extract(songs, KEEPING))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        output.name,
        f"{output.name}.frames",
    ]
    told = " ".join(run("inspect", output).split())
    assert "frames mix.centroid (1 by 32), mix.mfcc (20 by 32)" in told


def test_frames_need_a_file(songs: Path) -> None:
    result = CliRunner().invoke(cli, ["extract", str(songs), *SETTINGS])
    assert result.exit_code == 1
    assert "kept in a file beside the table; name it with -o" in result.stderr
