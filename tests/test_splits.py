from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray
from sample_tables import texts

from genreclf.errors import TableError
from genreclf.learning.splits import (
    Splits,
    cross_validation,
    own_groups,
    published_folds,
    published_split,
)


def labels_of(**counts: int) -> NDArray[np.object_]:
    """So many tracks of each genre, in a fixed random order."""
    labels = texts([genre for genre, n in counts.items() for _ in range(n)])
    return np.random.default_rng(1).permutation(labels)


def random_groups(n: int, n_groups: int, seed: int = 0) -> NDArray[np.object_]:
    return texts([f"g{i}" for i in np.random.default_rng(seed).integers(n_groups, size=n)])


def assert_each_row_is_tested_once(splits: Splits, n: int) -> None:
    tested = np.concatenate([test for _, test in splits.folds])
    assert sorted(tested) == list(range(n))
    for train, test in splits.folds:
        assert sorted([*train, *test]) == list(range(n))


@pytest.mark.parametrize("n_folds", [2, 5, 10])
def test_stratified_folds_have_like_proportions(n_folds: int) -> None:
    labels = labels_of(a=100, b=50, c=23)
    splits = cross_validation(labels, None, n_folds, seed=0)
    assert (splits.kind, len(splits.folds), splits.notes) == ("stratified", n_folds, [])
    assert_each_row_is_tested_once(splits, len(labels))
    for _, test in splits.folds:
        counts = Counter(labels[test])
        for genre, n in Counter(labels).items():
            assert counts[genre] in (n // n_folds, -(-n // n_folds))


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_on_both_sides(seed: int) -> None:
    labels = labels_of(a=60, b=40, c=20)
    groups = random_groups(len(labels), 25, seed)
    splits = cross_validation(labels, groups, 5, seed)
    assert (splits.kind, len(splits.folds)) == ("grouped", 5)
    assert_each_row_is_tested_once(splits, len(labels))
    for train, test in splits.folds:
        assert set(groups[train]).isdisjoint(groups[test])


def test_grouped_folds_have_like_proportions_as_far_as_groups_allow() -> None:
    labels = labels_of(a=100, b=50)
    groups = random_groups(150, 60)
    for _, test in cross_validation(labels, groups, 5, seed=0).folds:
        counts = Counter(labels[test])
        assert 16 <= counts["a"] <= 24
        assert 6 <= counts["b"] <= 14


def test_tracks_without_a_group_are_on_their_own() -> None:
    labels = labels_of(a=30, b=30)
    groups = texts([""] * 50 + ["band"] * 10)
    splits = cross_validation(labels, groups, 5, seed=0)
    assert_each_row_is_tested_once(splits, 60)
    with_band = [len(set(test) & set(range(50, 60))) for _, test in splits.folds]
    assert sorted(with_band) == [0, 0, 0, 0, 10]
    assert max(len(test) for _, test in splits.folds) < 20  # the ungrouped are spread


def test_own_groups_are_all_different() -> None:
    groups = own_groups(texts(["", "x", "", "x", "0", "2"]))
    assert len(set(groups)) == 5
    assert groups[1] == groups[3] == "x"
    assert list(groups[4:]) == ["0", "2"]


@pytest.mark.parametrize("grouped", [False, True])
def test_a_seed_gives_the_same_folds_and_another_seed_others(grouped: bool) -> None:
    labels = labels_of(a=40, b=40)
    groups = random_groups(80, 30) if grouped else None

    def tested(seed: int) -> list[list[int]]:
        return [sorted(test) for _, test in cross_validation(labels, groups, 5, seed).folds]

    assert tested(3) == tested(3)
    assert len({str(sorted(tested(seed))) for seed in (0, 1, 2, 2**32 - 1)}) == 4


@pytest.mark.parametrize("grouped", [False, True])
def test_folds_are_shuffled(grouped: bool) -> None:
    labels = texts(["a"] * 50 + ["b"] * 50)
    groups = own_groups(texts([""] * 100)) if grouped else None
    for _, test in cross_validation(labels, groups, 5, seed=0).folds:
        for genre in "ab":
            assert np.ptp(test[labels[test] == genre]) > 20  # ten in a row would span 9


@pytest.mark.parametrize(("fewest", "n_folds"), [(7, 7), (3, 3), (2, 2)])
def test_few_tracks_make_fewer_folds_and_a_note(fewest: int, n_folds: int) -> None:
    labels = labels_of(a=30, rare=fewest)
    splits = cross_validation(labels, None, 10, seed=0)
    assert len(splits.folds) == n_folds
    assert_each_row_is_tested_once(splits, 30 + fewest)
    [note] = splits.notes
    assert note.startswith(f"{n_folds} folds instead of 10: rare has {fewest} tracks")
    for train, _ in splits.folds:
        assert set(labels[train]) == {"a", "rare"}


def test_few_groups_make_fewer_folds_and_a_note() -> None:
    labels = labels_of(a=30, b=30)
    splits = cross_validation(labels, random_groups(60, 3), 10, seed=0)
    assert len(splits.folds) == 3
    [note] = splits.notes
    assert note.startswith("3 folds instead of 10: there are 3 groups")


def test_there_are_no_more_folds_than_a_typical_genre_has_groups() -> None:
    labels = texts([genre for genre in "abcd" for _ in range(12)])
    groups = texts([f"{genre}{i // 4}" for genre in "abcd" for i in range(12)])
    splits = cross_validation(labels, groups, 10, seed=0)
    [note] = splits.notes
    assert note == "3 folds instead of 10: half of the genres have 3 groups or fewer"
    for train, test in splits.folds:
        assert set(Counter(labels[test]).values()) == {4}  # one group of each genre
        assert set(Counter(labels[train]).values()) == {8}
    assert splits.train_share(labels) == pytest.approx(2 / 3)
    # A genre of one group cannot be tested, and costs the others no folds.
    alone = np.where(labels == "d", "d", groups)
    assert len(cross_validation(labels, alone, 10, seed=0).folds) == 3
    tracks = cross_validation(labels, texts([""] * 47 + ["x"]), 10, seed=0)
    assert (len(tracks.folds), tracks.notes) == (10, [])


def test_a_genre_with_one_track_does_not_stop_the_others() -> None:
    labels = labels_of(a=30, b=30, lonely=1)
    splits = cross_validation(labels, None, 5, seed=0)
    assert_each_row_is_tested_once(splits, 61)
    assert len(splits.folds) >= 2


def test_the_shuffle_is_taken_that_loses_fewest_tracks() -> None:
    # Two groups a genre: a fold that takes both cannot be tested; some shuffle avoids it.
    labels = texts([genre for genre in "abcd" for _ in range(10)])
    groups = texts([f"{genre}{i // 5}" for genre in "abcd" for i in range(10)])
    for seed in range(10):
        for train, test in cross_validation(labels, groups, 2, seed).folds:
            assert set(labels[test]) <= set(labels[train])


@pytest.mark.parametrize("grouped", [False, True])
def test_one_genre_cannot_be_split(grouped: bool) -> None:
    groups = random_groups(10, 3) if grouped else None
    with pytest.raises(TableError, match="all tracks are 'a'; at least two genres"):
        cross_validation(labels_of(a=10), groups, 5, seed=0)


@pytest.mark.parametrize(
    ("labels", "groups"),
    [
        (["a", "b", "c"], None),
        (["a", "a", "b", "b"], ["one"] * 4),
        (["a", "b"], ["x", "y"]),
    ],
)
def test_too_few_to_hold_any_out(labels: list[str], groups: list[str] | None) -> None:
    with pytest.raises(TableError, match="too few tracks or groups"):
        cross_validation(texts(labels), None if groups is None else texts(groups), 5, seed=0)


def test_published_folds_run_as_they_are() -> None:
    column = texts(["2", "1", "", "10", "2", "1", "", "10"])
    splits = published_folds(column)
    assert splits.kind == "folds"
    assert [(list(train), list(test)) for train, test in splits.folds] == [
        ([0, 3, 4, 7], [1, 5]),
        ([0, 1, 4, 5], [3, 7]),
        ([1, 3, 5, 7], [0, 4]),
    ]
    assert splits.notes == ["2 of 8 tracks are in no part of the published split"]


@pytest.mark.parametrize("column", [["1", "1"], ["", ""], ["1", ""]])
def test_published_folds_need_two(column: list[str]) -> None:
    with pytest.raises(TableError, match="needs two different values"):
        published_folds(texts(column))


def test_a_published_split_runs_as_it_is_and_leaves_validation_alone() -> None:
    column = texts(["test", "train", "valid", "Train", "", "TEST", "validation", "train"])
    splits = published_split(column)
    assert splits.kind == "split"
    [(train, test)] = splits.folds
    assert (list(train), list(test)) == ([1, 3, 7], [0, 5])
    assert splits.notes == [
        "2 tracks for validation are not used",
        "1 of 8 tracks are in no part of the published split",
    ]


def test_the_parts_of_a_published_split_have_usual_names() -> None:
    column = texts(["Training", "Testing ", "Validation", "val", "dev", "TRAINING"])
    splits = published_split(column)
    [(train, test)] = splits.folds
    assert (list(train), list(test)) == ([0, 5], [1])
    assert splits.notes == ["3 tracks for validation are not used"]


def test_what_a_split_column_holds_instead_is_named() -> None:
    with pytest.raises(TableError, match=r"'test'; it has a \(2\), b \(1\), empty cells \(1\)$"):
        published_split(texts(["a", "b", "a", ""]))


@pytest.mark.parametrize("column", [["train", "train"], ["test", ""], ["", ""], ["valid", "test"]])
def test_a_published_split_needs_both_sides(column: list[str]) -> None:
    with pytest.raises(TableError, match="'train' and rows named 'test'"):
        published_split(texts(column))
