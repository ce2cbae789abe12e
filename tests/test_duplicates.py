import re
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import music
from numpy.typing import NDArray
from sample_tables import blobs, texts

from genreclf.cli import cli
from genreclf.config.schema import Config
from genreclf.evaluation.crossvalidation import choose_splits
from genreclf.extraction.tracks import extract
from genreclf.learning import duplicates
from genreclf.learning.duplicates import Copies, copies_in, find_copies
from genreclf.tables.columns import Columns
from genreclf.tables.reading import load_table
from genreclf.tables.table import FeatureTable

TABLES = Path(__file__).parents[2] / "shared" / "data" / "tables"

# The exact repetitions within a genre that Sturm (2013, arXiv:1306.1461) lists, by track number.
REPETITIONS = {
    "disco": "50,51,70 55,60,89 71,74 98,99",
    "hiphop": "39,45 76,78",
    "jazz": "33,51 34,53 35,55 36,58 37,60 38,62 39,65 40,67 42,68 43,69 44,70 45,71 46,72",
    "metal": "4,13 34,94 40,61 41,62 42,63 43,64 44,65 45,66",
    "pop": "15,22 30,31 45,46 47,80 52,57 54,60 56,59 67,71 87,90",
    "reggae": "3,54 5,56 8,57 10,60 13,58 41,69 73,74 80,81,82 75,91,92",
}


def songs(n: int, n_features: int = 40, seed: int = 0) -> NDArray[np.float32]:
    """Correlated columns of different scales, half of them positive and skewed."""
    random = np.random.default_rng(seed)
    values = random.standard_normal((n, n_features)) @ random.standard_normal((n_features,) * 2)
    values[:, ::2] = np.exp(values[:, ::2] / 4)
    return (values * 10.0 ** random.integers(-3, 4, n_features)).astype(np.float32)


def altered(values: NDArray[np.float32], share: float, seed: int = 9) -> NDArray[np.float32]:
    """Copies whose values are off by about that share."""
    random = np.random.default_rng(seed)
    return (values * (1 + share * random.standard_normal(values.shape))).astype(np.float32)


def pairs(copies: Copies) -> set[tuple[int, int]]:
    return {
        (int(a), int(b)) for rows in copies.recordings for a, b in combinations(sorted(rows), 2)
    }


@pytest.mark.parametrize("n", [20, 200])
def test_planted_copies_are_found_and_nothing_else(n: int) -> None:
    values = songs(n)
    values = np.vstack((values, altered(values[:4], 0.01), values[4:6]))
    copies = find_copies(values)
    assert pairs(copies) == {(i, n + i) for i in range(6)}
    assert (copies.distance[[4, 5, n + 4, n + 5]] == 0).all()
    near = copies.distance[[0, 1, 2, 3, n, n + 1, n + 2, n + 3]]
    assert ((near > 0) & (near < 0.5)).all()
    assert np.isinf(copies.distance[6:n]).all()
    assert (copies.n_tracks, copies.n_recordings) == (12, 6)


def test_copies_of_copies_are_one_recording() -> None:
    values = songs(60)
    values = np.vstack(
        (values, altered(values[[7]], 0.01), values[7:8], altered(values[[7]], 0.01, 3))
    )
    [rows] = find_copies(values).recordings
    assert list(rows) == [7, 60, 61, 62]


def test_copies_in_a_large_table_are_those_that_all_pairs_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = songs(1200, 20)
    values = np.vstack((values, altered(values[:12], 0.01), values[12:15]))
    expected = find_copies(values)
    assert pairs(expected) == {(i, 1200 + i) for i in range(15)}
    monkeypatch.setattr(duplicates, "MOST_COMPARED", 600)  # tracks; a larger table has cells
    monkeypatch.setattr(duplicates, "SAMPLE_ROWS", 300)
    found = find_copies(values)
    assert pairs(found) == pairs(expected)
    np.testing.assert_allclose(found.distance, expected.distance)
    assert find_copies(songs(1200, 20)).n_tracks == 0


@pytest.mark.parametrize("shape", [(10, 3), (12, 100), (60, 2), (60, 20), (60, 280), (300, 6)])
def test_chance_makes_no_copies(shape: tuple[int, int]) -> None:
    # CHANCE_PAIRS is 0.01 a table: of 40 tables, two at most with a probability of 0.99.
    found = [
        find_copies(np.random.default_rng(seed).normal(size=shape).astype(np.float32)).n_recordings
        for seed in range(40)
    ]
    assert sum(found) <= 2


def test_an_artist_who_always_sounds_alike_makes_no_copies() -> None:
    random = np.random.default_rng(0)
    artists = 3 * random.standard_normal((10, 40))
    values = np.repeat(artists, 15, axis=0) + random.standard_normal((150, 40))
    values[:15] = artists[0] + 0.2 * random.standard_normal((15, 40))
    assert find_copies(values.astype(np.float32)).n_tracks == 0


def test_units_do_not_matter() -> None:
    values = np.vstack((songs(80), altered(songs(80)[:5], 0.03)))
    scale = 10.0 ** np.random.default_rng(0).integers(-6, 7, values.shape[1])
    assert pairs(find_copies(values)) == {(i, 80 + i) for i in range(5)}
    assert pairs(find_copies((values * scale).astype(np.float32))) == pairs(find_copies(values))


def test_columns_that_tell_the_same_do_not_matter() -> None:
    values = np.vstack((songs(80), altered(songs(80)[:5], 0.03)))
    twice = np.hstack((values, values, 3 * values, np.ones((85, 3), dtype=np.float32)))
    assert pairs(find_copies(twice)) == pairs(find_copies(values))


def test_missing_values_are_no_copies() -> None:
    values = np.vstack((songs(60), altered(songs(60)[:3], 0.01)))
    values[10:14] = np.nan  # nothing known of four tracks
    values[:, 5] = np.nan
    values[[20, 0], 7] = np.nan
    assert pairs(find_copies(values)) == {(0, 60), (1, 61), (2, 62)}


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
def test_few_tracks_are_no_trouble(n: int) -> None:
    assert find_copies(songs(n)).n_tracks == 0
    twice = find_copies(np.vstack((songs(n), songs(n)[:1])))
    assert pairs(twice) == {(0, n)}
    assert find_copies(np.ones((n, 4), dtype=np.float32)).n_recordings == int(n > 1)


def test_zero_has_no_sign() -> None:
    assert pairs(find_copies(np.array([[0.0, 1], [-0.0, 1], [2, 3]], dtype=np.float32))) == {(0, 1)}


def test_groups_that_share_a_recording_become_one() -> None:
    recording = np.array([0, -1, 0, 1, 1, -1, 2, 2, -1, -1])
    groups = texts(["a", "a", "b", "b", "c", "c", "", "", "", "d"])
    joined = Copies(recording, np.zeros(10)).joined(groups)
    assert len(set(joined[:6])) == 1
    assert joined[0] in "abc"
    assert joined[6] == joined[7] != ""
    assert joined[8] == ""
    assert joined[9] == "d"


def test_without_copies_groups_stay_as_they_are() -> None:
    groups = texts(["x", "", "y", "x"])
    none = Copies(np.full(4, -1), np.full(4, np.inf))
    assert list(none.joined(groups)) == list(groups)
    assert (none.n_tracks, none.n_recordings, none.recordings) == (0, 0, [])


def test_the_copies_in_a_table() -> None:
    values = np.vstack((songs(20), songs(20)[3:5]))
    table = FeatureTable(
        paths=texts([str(i) for i in range(22)]),
        labels=texts(["x"] * 22),
        groups=texts([""] * 22),
        names=[f"f{i}" for i in range(40)],
        values=values,
    )
    copies = copies_in(table)
    groups = copies.joined(table.groups)
    assert groups[3] == groups[20] != groups[4] == groups[21]
    assert (np.delete(groups, [3, 4, 20, 21]) == "").all()
    order = np.random.default_rng(0).permutation(22)
    shuffled = copies_in(table.take(order)).take(np.argsort(order))
    np.testing.assert_array_equal(shuffled.recording, copies.recording)
    np.testing.assert_array_equal(shuffled.distance, copies.distance)


def test_training_and_its_evaluation_look_for_copies_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def counted(values: NDArray[np.float32], *, near: bool = True) -> Copies:
        sizes.append(len(values))
        return find_copies(values, near=near)

    monkeypatch.setattr(duplicates, "find_copies", counted)
    blobs(12, 2).save(tmp_path / "t.csv")
    arguments = ["--classifier", "lda", "--set", "evaluation.folds=2", "-o", tmp_path / "m.joblib"]
    done = CliRunner().invoke(cli, ["train", str(tmp_path / "t.csv"), *map(str, arguments)])
    assert done.exit_code == 0, done.output
    assert sizes == [24]


def test_sound_that_was_changed_a_little_is_found(
    tmp_path: Path, write_audio: Callable[..., Path]
) -> None:
    rate = 22050
    for seed in range(12):
        sound = music(12, rate, seed, bpm=70 + 7 * seed)
        write_audio(f"{seed:02}.wav", sound, rate, tmp_path)
        if seed == 0:
            write_audio("anew-00.mp3", sound, rate, tmp_path)
        if seed == 1:
            write_audio("quiet-01.flac", sound / 2, rate, tmp_path)
        if seed == 2:
            write_audio("cut-02.mp3", sound[rate:], rate, tmp_path)
        if seed == 3:
            write_audio("same-03.wav", sound, rate, tmp_path)
    table = extract([tmp_path])
    copies = find_copies(table.values)
    names = [re.sub(r".*?(\d\d)\.\w+", r"\1", Path(path).name) for path in table.paths]
    found = [{names[row] for row in rows} for rows in copies.recordings]
    assert sorted(found, key=str) == [{"00"}, {"01"}, {"02"}, {"03"}]
    same = [i for i, name in enumerate(names) if name == "03"]
    assert (copies.distance[same] == 0).all()


@pytest.mark.skipif(not TABLES.is_dir(), reason="the published GTZAN tables are not there")
@pytest.mark.parametrize(
    ("name", "columns", "at_least"),
    [
        ("gtzan-librosa57", Columns(ignore=("length",)), 40),
        ("gtzan-mfcc", Columns(), 35),
        ("gtzan-librosa57", Columns(ignore=("length",), join=(TABLES / "gtzan-mfcc.csv",)), 40),
    ],
    ids=["57", "mfcc", "both"],
)
def test_published_repetitions_of_gtzan_are_found(
    name: str, columns: Columns, at_least: int
) -> None:
    table = load_table(TABLES / f"{name}.csv", columns)
    known = {
        tuple(f"{genre}.{int(number):05}" for number in pair)
        for genre, clusters in REPETITIONS.items()
        for cluster in clusters.split()
        for pair in combinations(cluster.split(","), 2)
    } | {("metal.00058", "rock.00016")}
    names = [re.sub(r"\.(au|mp3|wav)$", "", Path(path).name) for path in table.paths]
    found = {tuple(sorted((names[a], names[b]))) for a, b in pairs(find_copies(table.values))}
    assert found <= known
    assert len(found) >= at_least
    assert ("metal.00058", "rock.00016") in found


def test_rows_of_one_file_are_copies_whatever_their_features() -> None:
    paths = texts(["a", "b", "a", "", "", "c", "d"])
    recording = np.array([-1, -1, -1, -1, -1, 0, 0])
    copies = Copies(recording, np.where(recording < 0, np.inf, 0.5)).with_paths(paths)
    assert pairs(copies) == {(0, 2), (5, 6)}
    assert list(copies.distance) == [0, np.inf, 0, np.inf, np.inf, 0.5, 0.5]
    linked = copies.with_paths(texts(["a", "b", "c", "", "", "a", "d"]))
    assert len({*linked.recording[[0, 2, 5, 6]]}) == 1


def test_rows_of_one_file_are_never_on_both_sides_of_a_fold() -> None:
    table = blobs(20, 2)
    paths = texts([f"{i // 2}.mp3" for i in range(40)])
    segments = replace(table, paths=paths, labels=texts([f"g{i // 2 % 2}" for i in range(40)]))
    for train, test in choose_splits(segments, Config()).folds:
        assert not set(paths[train]) & set(paths[test])
