"""Frames beside a table: kept in half precision, read by need, never those of other tracks."""

import os
import pickle
import shutil
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import music
from sample_tables import texts

from genreclf.cli import cli
from genreclf.config.load import load_config
from genreclf.config.schema import Config
from genreclf.errors import ConfigError, TableError
from genreclf.extraction.cache import cache_file
from genreclf.extraction.chain import extract_frames, extract_one, measure
from genreclf.extraction.journal import extract_resumably
from genreclf.extraction.tracks import Row, build_table, extract, extract_tracks
from genreclf.features.measured import frame_shapes, keep_frames, pack, unpack
from genreclf.features.pooling import feature_names
from genreclf.library.sources import Track
from genreclf.parallel.workers import Workers
from genreclf.tables.kept import frames_path
from genreclf.tables.reading import load_table
from genreclf.tables.table import FeatureTable

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
    shapes = {"mix.centroid": (1, 32), "mix.mfcc": (20, 32)}
    assert frame_shapes(KEEPING) == table.frames.shapes == shapes
    n = frames["mix.mfcc"].shape[1]
    middles = np.floor((np.arange(32) + 0.5) * n / 32).astype(int)
    assert len(set(np.diff(middles))) <= 2
    for name, kept in table.frames.items():
        assert (kept.dtype, kept.shape) == (np.float16, (4, *shapes[name]))
        np.testing.assert_allclose(kept[0], frames[name][:, middles], rtol=1e-3, atol=1e-3)


def short(n: int) -> dict[str, np.ndarray]:
    rows = {"mix.centroid": np.arange(n)[None], "mix.mfcc": np.arange(20 * n).reshape(20, n)}
    return {name: values.astype(np.float32) for name, values in rows.items()}


def test_a_short_excerpt_has_each_frame_almost_equally_often() -> None:
    [kept] = keep_frames(short(10), KEEPING)["mix.centroid"]
    _, counts = np.unique(kept, return_counts=True)
    assert sorted(set(counts)) == [3, 4]
    assert list(kept) == sorted(kept)


def test_what_half_precision_cannot_hold_is_brought_to_its_limit() -> None:
    frames = {
        "mix.centroid": np.array([[96_000.0, -1e9, 1e-9]], dtype=np.float32),
        "mix.mfcc": np.zeros((20, 3), dtype=np.float32),
    }
    kept = keep_frames(frames, KEEPING)["mix.centroid"]
    assert sorted(set(kept[0])) == [-65504, 0, 65504]


COMPLETE = load_config(overrides=[*OVERRIDES[:-1], 'pooling.frames_per_track="all"'])


def test_all_frames_of_an_excerpt_can_be_kept(songs: Path, tmp_path: Path) -> None:
    table = extract(songs, COMPLETE)
    path = tmp_path / "features.npz"
    table.save(path)
    read = load_table(path)
    assert read.frames is not None
    assert read.frames.shapes["mix.mfcc"] == (20, 1 + 2 * 12000 // 256)
    expected = extract_frames(Path(table.paths[2]), COMPLETE)[1]["mix.mfcc"]
    np.testing.assert_allclose(read.frames["mix.mfcc"][2], expected, rtol=1e-3, atol=1e-3)


def test_a_shorter_excerpt_begins_again() -> None:
    kept = keep_frames(short(40), COMPLETE)
    assert kept["mix.mfcc"].shape == (20, 94)
    assert list(kept["mix.centroid"][0]) == [*range(40), *range(40), *range(14)]


@pytest.mark.parametrize("strategy", ["full", "multi"])
def test_all_frames_need_excerpts_of_one_length(strategy: str) -> None:
    settings = [*OVERRIDES[:-1], f"excerpt.strategy={strategy}"]
    with pytest.raises(ConfigError, match='frames_per_track = "all" needs one excerpt') as caught:
        load_config(overrides=[*settings, "pooling.frames_per_track=all"])
    assert f'excerpt.strategy = "{strategy}"' in str(caught.value)
    with pytest.raises(ConfigError, match="can be a number of frames, all"):
        load_config(overrides=["pooling.frames_per_track=some"])


def test_the_published_network_has_its_whole_input(write_audio, tmp_path: Path) -> None:
    config = load_config("convnet-input")
    assert frame_shapes(config) == {"mix.mel": (96, 1366)}
    path = write_audio("a.wav", music(30, 12000), 12000, tmp_path)
    [kept] = measure(path, config).frames.values()
    expected = extract_frames(path, config)[1]["mix.mel"]
    np.testing.assert_allclose(kept, expected, rtol=1e-3, atol=1e-3)


def test_the_statistics_are_as_without_frames(table: FeatureTable) -> None:
    without = load_config(overrides=OVERRIDES[:3])
    for path, row in zip(table.paths, table.values, strict=True):
        assert row.tobytes() == extract_one(path, without).tobytes()
        assert row.tobytes() == extract_one(path, KEEPING).tobytes()
    assert extract(table.paths[0], without).frames is None


def test_what_was_measured_survives_packing(tracks: list[Track]) -> None:
    before = measure(tracks[0].path, KEEPING)
    content = pack(before, KEEPING)
    again = unpack(content, KEEPING)
    assert again is not None
    assert again.notes == before.notes
    assert again.spans == before.spans
    assert len(before.spans) == 1
    assert again.statistics.tobytes() == before.statistics.tobytes()
    assert list(again.frames) == list(before.frames)
    for name, rows in again.frames.items():
        assert rows.tobytes() == before.frames[name].tobytes()
    n_numbers = 4 * len(feature_names(KEEPING)) + 2 * 21 * 32
    length = int.from_bytes(content[:4])
    assert len(content) == 4 + length + n_numbers
    older = b"\0\0\0\2[]" + content[4 + length :]
    without = unpack(older, KEEPING)
    assert without is not None
    assert (without.notes, without.spans) == ((), ())
    for damaged in (content[:-2], content + b"xx", content[:5], b"", b"\xff" * 99, content[:6]):
        assert unpack(damaged, KEEPING) is None


def assert_same(first: FeatureTable, second: FeatureTable) -> None:
    assert first.frames is not None
    assert second.frames is not None
    assert list(first.paths) == list(second.paths)
    assert first.values.tobytes() == second.values.tobytes()
    assert list(first.frames) == list(second.frames)
    for name, rows in first.frames.items():
        assert rows.tobytes() == second.frames[name].tobytes()


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".parquet"])
def test_frames_come_back_from_the_disk(table: FeatureTable, tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is an extra")
    path = tmp_path / f"features{suffix}"
    table.save(path)
    read = load_table(path)
    assert_same(read, table)
    assert read.frames is not None
    assert isinstance(read.frames["mix.mfcc"], np.memmap)  # on the disk until asked for
    assert_same(read.take(np.array([3, 1])), table.take(np.array([3, 1])))
    twice = read.take(np.array([True, False, True, True])).take(slice(1, None))
    assert_same(twice, table.take(np.array([2, 3])))
    assert_same(replace(twice, frames=pickle.loads(pickle.dumps(twice.frames))), twice)
    assert twice.frames is not None
    batches = list(twice.frames.batches("mix.mfcc"))
    np.testing.assert_array_equal(np.concatenate(batches), twice.frames["mix.mfcc"])


def test_another_process_reads_the_same_file(table: FeatureTable, saved: Path) -> None:
    read = load_table(saved).frames
    assert read is not None
    taken = read.take(np.array([3, 1]))
    sent = pickle.dumps(taken)
    assert len(sent) < 1000 < taken["mix.mfcc"].nbytes
    np.testing.assert_array_equal(pickle.loads(sent)["mix.mfcc"], taken["mix.mfcc"])


@pytest.mark.parametrize("change", ["replaced", "removed"])
def test_frames_that_change_while_they_are_in_use_are_told(saved: Path, change: str) -> None:
    read, file = load_table(saved).frames, frames_path(saved) / "mix.mfcc.npy"
    assert read is not None
    content = file.read_bytes()
    file.unlink()
    if change == "replaced":
        (file.parent / "other.npy").write_bytes(content)  # keeps the number of the old file apart
        file.write_bytes(content)
    with pytest.raises(TableError, match=r"mix\.mfcc\.npy: was changed while it was in use; run"):
        read.take(slice(2))["mix.mfcc"]


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
    assert [isinstance(row, Row) and row.resumed for row in resumed] == [True, True, False, False]


@pytest.mark.parametrize("resumed", [False, True])
def test_frames_of_rows_in_the_journal_take_no_memory(
    tracks: list[Track], tmp_path: Path, resumed: bool
) -> None:
    output = tmp_path / "features.csv"
    config = load_config(overrides=[*OVERRIDES[:-1], 'pooling.frames_per_track="all"',
                                    "spectra.hop_length=32"])  # fmt: skip
    if resumed:
        list(extract_resumably(tracks, config, output))
    tracemalloc.start()
    try:
        rows = list(extract_resumably(tracks, config, output))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(isinstance(row, Row) and row.resumed == resumed for row in rows)
    table = build_table([row for row in rows if isinstance(row, Row)], config)
    table.save(output)
    assert_same(load_table(output), extract(list(table.paths), config))
    assert held < 2 * 751 * 21  # of one track


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
    assert frame_shapes(config) == {"mix.mfcc": (20, 256), "mix.rms": (1, 8)}
    table = extract(songs, config)
    assert table.frames is not None
    second = extract_frames(Path(table.paths[0]), config)[1]["mix.rms"]
    np.testing.assert_allclose(table.frames["mix.rms"][0, 0], keep_of(second, 8), rtol=1e-3)


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
    shutil.rmtree(frames_path(saved))
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


def overwrite(folder: Path, array: np.ndarray) -> None:
    np.save(folder / "mix.mfcc.npy", array, allow_pickle=array.dtype.hasobject)


DAMAGES = {
    "missing": (shutil.rmtree, "but features.csv.frames is not beside it; bring"),
    "format of before": (
        lambda folder: (shutil.rmtree(folder), folder.write_bytes(b"genreclf frames\n")),
        "in the format of an older genreclf; extract features.csv again",
    ),
    "no owner": (lambda folder: (folder / "frames.json").unlink(), "frames.json: is missing or"),
    "owner": (lambda folder: (folder / "frames.json").write_text("[" * 9999), "is missing or"),
    "feature missing": (lambda folder: (folder / "mix.mfcc.npy").unlink(), "mfcc.npy: is missing"),
    "empty": (lambda folder: (folder / "mix.mfcc.npy").write_bytes(b""), "mfcc.npy: is damaged"),
    "cut": (lambda folder: os.truncate(folder / "mix.mfcc.npy", 1000), "mfcc.npy: is damaged"),
    "long": (lambda folder: os.truncate(folder / "mix.mfcc.npy", 2**40), "longer than its header"),
    "archive": (lambda folder: (folder / "mix.mfcc.npy").write_bytes(b"PK\3\4" * 99), "damaged"),
    "shape": (lambda folder: overwrite(folder, np.zeros((4, 20, 31), "<f2")), "(4, 20, 31) float"),
    "type": (lambda folder: overwrite(folder, np.zeros((4, 20, 32), "<f4")), "32) float32, not"),
    "pickle": (lambda folder: overwrite(folder, np.full((4, 20, 32), None)), "Python objects"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_frames_that_are_missing_or_damaged_are_an_error_of_one_line(
    saved: Path, damage: str
) -> None:
    spoil, reason = DAMAGES[damage]
    spoil(frames_path(saved))
    with pytest.raises(TableError) as caught:
        load_table(saved)
    assert reason in str(caught.value)
    assert str(caught.value).startswith(str(saved.parent))
    assert str(caught.value).endswith("again")
    assert "\n" not in str(caught.value)


def test_frames_are_written_whole_or_not_at_all(
    table: FeatureTable, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = sorted(path.name for path in saved.parent.iterdir())
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(TableError, match="No space left"):
        swapped(table).save(saved)
    assert sorted(path.name for path in saved.parent.iterdir()) == before
    assert_same(load_table(saved), table)


def test_a_table_takes_the_place_of_another_with_its_frames(
    table: FeatureTable, saved: Path
) -> None:
    read = load_table(saved)  # its frames are those on the disk
    read.take(np.array([2, 0])).save(saved)
    assert_same(load_table(saved), table.take(np.array([2, 0])))
    shutil.rmtree(frames_path(saved))
    frames_path(saved).write_bytes(b"genreclf frames\n")
    table.save(saved)
    assert_same(load_table(saved), table)
    assert len(list(saved.parent.iterdir())) == 2


def test_a_folder_of_someone_else_is_not_replaced(table: FeatureTable, tmp_path: Path) -> None:
    path = tmp_path / "features.csv"
    frames_path(path).mkdir()
    (frames_path(path) / "diary.txt").touch()
    with pytest.raises(TableError, match="a folder that genreclf did not write; move it away"):
        table.save(path)
    assert (frames_path(path) / "diary.txt").exists()


def test_the_parts_of_a_table_have_their_frames_each(table: FeatureTable, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is an extra")
    for i, rows in enumerate((slice(2), slice(2, None))):
        table.take(rows).save(tmp_path / f"{i}.parquet")
    assert_same(load_table(tmp_path), table)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_named_pipe_is_not_waited_for(saved: Path) -> None:
    for name in ("mix.mfcc.npy", "frames.json"):
        (frames_path(saved) / name).unlink()
        os.mkfifo(frames_path(saved) / name)
        with pytest.raises(TableError, match="is missing"):
            load_table(saved)
    shutil.rmtree(frames_path(saved))
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
    assert "stored beside the table; name the table with -o" in result.stderr


@pytest.mark.slow
def test_a_full_disk_is_an_error_and_no_crash(tmp_path: Path) -> None:
    # Only a file system that is full shows it: a limit of the size of files is checked earlier.
    mounted = "mkdir disk && mount -t tmpfs -o size=100k tmpfs disk"
    sandbox = ["unshare", "--user", "--mount", "--map-root-user", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*sandbox, mounted], cwd=tmp_path).returncode:
        pytest.skip("no file system can be mounted here")
    code = (
        "from pathlib import Path\n"
        "from sample_tables import song_table\n"
        "try:\n"
        "    song_table(60).save(Path('disk/t.npz'))\n"
        "except Exception as error:\n"
        "    print(error)\n"
        "print([path.name for path in Path('disk').iterdir()])\n"
    )
    (tmp_path / "save.py").write_text(code)
    (tmp_path / "disk").rmdir()
    done = subprocess.run(
        [*sandbox, f"{mounted} && exec {sys.executable} save.py"], cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told, left = done.stdout.splitlines()
    assert told == "disk/t.npz: cannot be written: No space left on device"
    assert left == "[]"
