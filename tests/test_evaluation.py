import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sample_tables import blobs, texts
from scipy.special import log_softmax, softmax
from scipy.stats import binomtest
from scipy.stats import t as student
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genreclf.config.load import load_config
from genreclf.config.schema import Config
from genreclf.errors import ConfigError, GenreclfError, TableError
from genreclf.evaluation import folds
from genreclf.evaluation import result as results
from genreclf.evaluation.crossvalidation import choose_splits, count_trainings, cross_validate
from genreclf.evaluation.intervals import wilson_interval
from genreclf.evaluation.modelevaluation import evaluate_model
from genreclf.evaluation.notes import few_groups_notes
from genreclf.evaluation.result import Evaluation, HeldOut
from genreclf.learning.model import Model
from genreclf.learning.training import fit_pipeline
from genreclf.parallel.workers import Workers
from genreclf.reports.evaluation import calibration_clause
from genreclf.tables.table import FeatureTable
from genreclf.versions import versions


def configured(*overrides: str, name: str = "logistic") -> Config:
    return load_config(overrides=[f"classifier.name={name}", "evaluation.folds=4", *overrides])


def grouped_noise(n_groups: int = 40, n_per_group: int = 5, seed: int = 0) -> FeatureTable:
    """Noise that tells the group and nothing of the genre: 20 columns, two genres."""
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_groups), n_per_group)
    offsets = 5 * random.standard_normal((n_groups, 20))
    values = offsets[group] + 0.1 * random.standard_normal((len(group), 20))
    genre_of_group = random.permutation(np.arange(n_groups) % 2)
    return FeatureTable(
        paths=texts([f"{row}.mp3" for row in range(len(group))]),
        labels=texts([f"genre{genre_of_group[g]}" for g in group]),
        groups=texts([f"band {g}" for g in group]),
        names=[f"f{column}" for column in range(20)],
        values=values.astype(np.float32),
    )


def held_out(correct: NDArray[np.bool_], groups: list[str]) -> HeldOut:
    n = len(correct)
    return HeldOut(
        rows=np.arange(n),
        labels=texts(["a"] * n),
        predicted=np.where(correct, "a", "b").astype(object),
        groups=texts(groups),
        probabilities=np.zeros((n, 2)),
        known=np.ones(n, dtype=bool),
    )


@pytest.mark.parametrize("grouped", [False, True])
def test_metrics_are_scikit_learns(grouped: bool) -> None:
    group = (lambda genre, i: f"{genre}-{i // 3}") if grouped else (lambda genre, i: "")
    table = blobs(25, 4, spread=0.6, group=group)
    keep = np.ones(len(table), dtype=bool)
    keep[np.flatnonzero(table.labels == "genre3")[:12]] = False  # not all of one size
    result = cross_validate(table.take(keep), configured())
    truth, found = result.held_out.labels, result.held_out.predicted
    assert 0.3 < result.accuracy < 0.95
    assert result.accuracy == metrics.accuracy_score(truth, found)
    assert result.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(truth, found))
    assert result.macro_f1 == pytest.approx(metrics.f1_score(truth, found, average="macro"))
    np.testing.assert_array_equal(result.confusion, metrics.confusion_matrix(truth, found))
    report = metrics.classification_report(truth, found, output_dict=True)
    for genre, scores in result.per_genre.items():
        theirs = report[genre]
        assert scores == pytest.approx(
            {
                "precision": theirs["precision"],
                "recall": theirs["recall"],
                "f1": theirs["f1-score"],
                "n": theirs["support"],
            }
        )
    counts = Counter(truth)
    assert result.baseline_accuracy == max(counts.values()) / len(truth)


@pytest.mark.parametrize("name", ["logistic", "svm", "lda", "knn"])
def test_held_out_tracks_are_each_predicted_once_by_others(name: str) -> None:
    table = blobs(20, 3, spread=0.6)
    table = table.take(table.canonical_order())
    config = configured(name=name)
    result = cross_validate(table, config).held_out
    assert sorted(result.rows) == list(range(len(table)))
    assert list(result.labels) == list(table.labels[result.rows])
    expected = np.empty(len(table), dtype=object)
    scores = np.empty((len(table), 3))
    fold_of = np.empty(len(table), dtype=int)
    for fold, (train, test) in enumerate(choose_splits(table, config).folds):
        pipeline = fit_pipeline(table.take(train), config)
        expected[test] = pipeline.predict(table.values[test])
        scores[test] = pipeline.predict_log_proba(table.values[test])
        scores[test] *= pipeline["classify"].temperature_
        fold_of[test] = fold
    assert list(result.predicted) == list(expected[result.rows])
    # Within a fold all scores are divided by one number.
    for fold in range(4):
        rows = fold_of[result.rows] == fold
        ours = np.log(result.probabilities[rows])
        theirs = log_softmax(scores[result.rows[rows]], axis=1)
        ratios = (ours[:, :1] - ours[:, 1:]) / (theirs[:, :1] - theirs[:, 1:])
        np.testing.assert_allclose(ratios, ratios[0, 0], rtol=1e-6)


def test_a_folds_calibration_knows_nothing_of_its_own_labels() -> None:
    """Other labels in one published fold change the temperatures of the others, not its own."""
    truth, groups = np.arange(120) % 3, texts([str(row) for row in range(120)])
    tested = np.split(np.arange(120), 3)
    scores = 2 * np.eye(3)[truth] + np.random.default_rng(1).standard_normal((120, 3))
    first, *others = folds._temperatures(np.split(scores, 3), tested, truth, groups)
    changed = truth.copy()
    changed[:40] = np.random.default_rng(0).permutation(truth[:40])
    same, *changed_others = folds._temperatures(np.split(scores, 3), tested, changed, groups)
    assert same == first
    assert min(np.abs(np.array(others) / changed_others - 1)) > 0.05


@pytest.mark.parametrize("grouped", [False, True])
def test_calibrating_costs_no_fits(fits: list[int], grouped: bool) -> None:
    group = (lambda genre, i: f"{genre}-{i // 3}") if grouped else (lambda genre, i: "")
    result = cross_validate(blobs(24, 3, spread=1, group=group), configured(name="svm"))
    assert len(fits) == (8 if grouped else 4)  # once more where groups are ignored
    confidence = result.held_out.confidence.mean()
    assert confidence == pytest.approx(result.accuracy, abs=0.15)


def test_an_evaluation_calibrates_the_model_too(fits: list[int]) -> None:
    table = blobs(24, 3, spread=1, group=lambda genre, i: f"{genre}-{i // 3}")
    table, config = table.take(table.canonical_order()), configured(name="svm")
    evaluation = cross_validate(table, config, ungrouped=False)
    assert len(fits) == 4
    model = Model.fit(table, config, evaluation=evaluation)
    assert fits[4:] == [72]
    labels, scores = held_out_scores(table, config)

    def loss(temperature: float) -> float:
        return float(metrics.log_loss(labels, softmax(scores / temperature, axis=1)))

    best = min(map(loss, np.logspace(-2, 2, 81)))
    assert loss(model.pipeline["classify"].temperature_) < best + 0.01
    fits.clear()
    other = configured("classifier.C=1", name="svm")  # which has other scores
    Model.fit(table, other, evaluation=evaluation)
    assert len(fits) > 1


def held_out_scores(table: FeatureTable, config: Config) -> tuple[NDArray[Any], NDArray[Any]]:
    """Labels and uncalibrated scores of held-out tracks, fold by fold."""
    labels, scores = [], []
    for train, test in choose_splits(table, config).folds:
        pipeline = fit_pipeline(table.take(train), config, calibrated=False)
        labels.append(table.labels[test])
        scores.append(pipeline.predict_log_proba(table.values[test]))
    return np.concatenate(labels), np.concatenate(scores)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("paths", "svm"), ("no paths", "random-forest"), ("folds", "lda"), ("groups", "ensemble")],
)
def test_the_order_of_rows_does_not_matter(kind: str, name: str) -> None:
    table = blobs(14, 3, spread=1)
    if kind == "no paths":
        table = replace(table, paths=texts([""] * len(table)))
    if kind == "folds":
        table = replace(table, folds=texts(["x", "y"] * 21))
    if kind == "groups":  # and two copies of a recording
        table = replace(table, groups=texts([f"artist {row // 2}" for row in range(len(table))]))
        table.values[5] = table.values[20]
    order = np.random.default_rng(0).permutation(len(table))
    shuffled = table.take(order)
    size = [] if name in ("svm", "lda") else ["classifier.n_estimators=10"]
    config = configured(*size, name=name)
    result, other = cross_validate(table, config), cross_validate(shuffled, config)
    assert other.to_dict() == result.to_dict()
    np.testing.assert_array_equal(order[other.held_out.rows], result.held_out.rows)
    np.testing.assert_array_equal(other.held_out.probabilities, result.held_out.probabilities)
    assert list(shuffled.paths[other.test_set.rows]) == list(table.paths[result.test_set.rows])
    model, same = Model.fit(table, config), Model.fit(shuffled, config)
    np.testing.assert_array_equal(model.predict_proba(table), same.predict_proba(table))


@pytest.mark.processes
def test_workers_change_nothing() -> None:
    table = blobs(14, 3, spread=1, group=lambda genre, i: f"{genre}-{i // 2}")
    config = configured(name="lda")
    seen: list[str] = []
    with Workers(2) as workers:
        result = cross_validate(
            table, config, workers=workers, on_model=lambda _, part: seen.extend(part.paths)
        )
        with pytest.raises(ConfigError, match="pca = 500"):  # as without workers
            cross_validate(table, configured("pca=500"), workers=workers)
    alone = cross_validate(table, config)
    assert result.to_dict() == alone.to_dict()
    np.testing.assert_array_equal(result.held_out.probabilities, alone.held_out.probabilities)
    assert seen == list(table.paths[result.held_out.rows])


def test_accuracy_is_that_of_scikit_learn_alone() -> None:
    table = blobs(60, 3, spread=0.6)
    config = configured("pca=off", "classifier.C=1")
    theirs = make_pipeline(StandardScaler(), LogisticRegression())
    hits = 0
    for train, test in choose_splits(table, config).folds:
        theirs.fit(table.values[train], table.labels[train])
        hits += int((theirs.predict(table.values[test]) == table.labels[test]).sum())
    assert cross_validate(table, config).accuracy == pytest.approx(hits / len(table), abs=0.02)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 30), (30, 30), (7, 30), (812, 1000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilsons_interval_is_scipys(k: int, n: int, confidence: float) -> None:
    expected = binomtest(k, n).proportion_ci(confidence, method="wilson")
    ours = wilson_interval(k, n, confidence)
    assert ours == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= ours[0] <= k / n + 1e-12
    assert k / n - 1e-12 <= ours[1] <= 1


def learned_from(n: int, n_genres: int, n_folds: int) -> float:
    """What the variance is multiplied by: few groups in each genre, and not all trained on."""
    return (n - 1) / (n - n_genres) * (1 + 1 / n_folds)


def test_tracks_without_groups_have_wilsons_interval_of_somewhat_fewer_tracks() -> None:
    result = cross_validate(blobs(20, 3, spread=0.6), configured())
    n = 60 / learned_from(60, 3, 4)
    assert result.interval == pytest.approx(wilson_interval(result.accuracy * n, n))
    low, high = result.held_out.interval(False)  # of a classifier that is given
    expected = binomtest(int(result.held_out.correct.sum()), 60).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high))


def test_the_grouped_interval_written_out() -> None:
    """Wilson's of so many answers as the tracks are worth, with Student's t."""
    random = np.random.default_rng(3)
    sizes = random.integers(3, 9, size=20)
    groups = np.repeat([f"g{i}" for i in range(20)], sizes)
    correct = random.random(len(groups)) < np.repeat(random.uniform(0.3, 1, 20), sizes)
    p = correct.mean()
    without = np.array([correct[groups != f"g{i}"].mean() for i in range(20)])
    variance = 19 / 20 * ((without - p) ** 2).sum()  # the jackknife's
    assert variance > p * (1 - p) / len(correct)
    n_groups = len(groups) ** 2 / (sizes**2).sum()
    # Of a single genre, every accuracy is chance.
    for share, factor in ((None, 1.0), (0.8, 1 + 2 / np.pi)):
        n, z = p * (1 - p) / variance / factor, student.ppf(0.975, n_groups - 1)
        # Both ends solve |p - x| = z sqrt(x (1 - x) / n).
        ends = np.sort(np.roots([1 + z**2 / n, -2 * p - z**2 / n, p**2]))
        tracks = held_out(correct, list(groups))
        assert tracks.interval(True, train_share=share) == pytest.approx(ends)


def test_an_accuracy_that_chance_may_reach_has_a_wider_interval() -> None:
    table = blobs(50, 2, spread=0.6)
    mixed = replace(table, labels=np.random.default_rng(0).permutation(table.labels))
    for labels, n in ((table, 100 / learned_from(100, 2, 10)), (mixed, 100 / (1 + 2 / np.pi))):
        result = cross_validate(labels, configured("evaluation.folds=10", "classifier.name=lda"))
        assert result.interval == pytest.approx(wilson_interval(result.accuracy * n, n))


@pytest.mark.parametrize("n_wrong", range(4))
def test_a_wrong_answer_makes_no_interval_sharper(n_wrong: int) -> None:
    groups = [f"g{i // 10}" for i in range(200)]
    right = np.arange(200) >= n_wrong
    perfect, _ = held_out(np.ones(200, dtype=bool), groups).interval(True)
    low, high = held_out(right, groups).interval(True)
    assert 0 < low <= perfect
    assert right.mean() <= high <= 1
    _, nothing = held_out(np.zeros(200, dtype=bool), groups).interval(True)
    assert nothing == pytest.approx(1 - perfect)


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        (["all"] * 40, "1 groups, 1 per genre"),
        (["most"] * 38 + ["a", "b"], "3 groups, 3 per genre"),
        ([f"g{i // 5}" for i in range(40)], "8 groups, 8 per genre"),
        (["most"] * 29 + [f"g{i}" for i in range(11)], "12 groups of very unequal size, 12 per"),
    ],
)
def test_groups_that_are_too_few_to_tell_are_said_so(groups: list[str], told: str) -> None:
    correct = np.arange(40) % 4 > 0
    low, high = held_out(correct, groups).interval(True, train_share=0.9)
    assert 0 <= low < 0.75 < high <= 1
    assert high - low > 0.29  # of 40 tracks it would be 0.26
    if len(set(groups)) <= 3:
        assert (low, high) == (0, 1)
    [note] = few_groups_notes(texts(["a"] * 40), texts(groups), 0.9)
    assert note.startswith("too few groups to estimate the accuracy on others")
    assert told in note


def test_two_groups_a_genre_are_too_few_to_learn_from_but_not_to_test_with() -> None:
    labels = texts([f"genre{i // 6}" for i in range(60)])
    groups = texts([f"g{i // 3}" for i in range(60)])
    assert few_groups_notes(labels, groups) == []
    [note] = few_groups_notes(labels, groups, 0.5)
    assert "20 groups, 2 per genre" in note
    table = blobs(12, 2, group=lambda genre, i: f"{genre}-{i // 6}")
    assert any("too few groups to estimate" in text for text in cross_validate(table).warnings)


def test_the_interval_widens_where_groups_stand_or_fall_together() -> None:
    # 40 groups of ten: as good as 40 tracks, not 400.
    right = np.arange(40) % 10 < 7
    correct = np.repeat(right, 10)
    groups = [f"g{i}" for i in np.repeat(np.arange(40), 10)]
    low, high = held_out(correct, groups).interval(True)
    wilson = wilson_interval(280, 400)
    honest = wilson_interval(28, 40)
    assert high - low > 2.5 * (wilson[1] - wilson[0])
    assert high - low == pytest.approx(honest[1] - honest[0], rel=0.1)
    assert low < 0.7 < high


def test_a_perfect_score_on_a_few_groups_is_no_certainty() -> None:
    # Four of four right leaves Wilson's lower bound at 0.51; hundreds of tracks add little.
    groups = [f"g{i % 4}" for i in range(400)]
    low, high = held_out(np.ones(400, dtype=bool), groups).interval(True)
    assert high == 1
    assert low < 0.9


def test_groups_of_one_track_have_an_interval_like_wilsons() -> None:
    correct = np.arange(400) % 10 < 7
    for groups in ([f"g{i}" for i in range(400)], [""] * 399 + ["g"]):
        interval = held_out(correct, groups).interval(True)
        assert interval == pytest.approx(wilson_interval(280, 400), abs=0.01)


def test_groups_keep_a_leak_out_of_the_accuracy() -> None:
    result = cross_validate(grouped_noise(), configured(name="knn"))
    assert result.splits["kind"] == "grouped"
    assert result.ungrouped_accuracy is not None
    assert result.ungrouped_accuracy > 0.98
    assert result.accuracy < 0.65
    assert result.interval[0] < 0.5


def test_without_groups_the_same_leak_goes_unseen_but_is_warned_of() -> None:
    table = grouped_noise()
    ungrouped = replace(table, groups=texts([""] * len(table)))
    result = cross_validate(ungrouped, configured(name="knn"))
    assert result.splits["kind"] == "stratified"
    assert result.accuracy > 0.98
    assert result.ungrouped_accuracy is None
    [warning] = result.warnings
    assert warning.startswith("no groups:")
    assert warning in result.notes
    assert not any("no groups" in note for note in cross_validate(table, configured()).notes)


def test_the_ungrouped_accuracy_is_of_the_same_tracks() -> None:
    # Genre 0 lives in one group: only its ungrouped folds could test it.
    table = blobs(20, 3, spread=6, group=lambda genre, i: "one" if genre == 0 else f"{genre}-{i}")
    mixed_up = table.values.copy()
    cloud = mixed_up[table.labels == "genre1"]
    mixed_up[table.labels == "genre0"] = 2 * cloud.mean(axis=0) - cloud
    result = cross_validate(replace(table, values=mixed_up), configured(name="knn"))
    assert set(result.held_out.labels) == {"genre1", "genre2"}
    seen = result.held_out.rows
    ungrouped = replace(table, values=mixed_up, groups=texts([""] * len(table)))
    alone = cross_validate(ungrouped, configured(name="knn")).held_out
    expected = alone.correct[np.isin(alone.rows, seen)].mean()
    assert result.ungrouped_accuracy == pytest.approx(expected)


def test_a_genre_of_one_group_is_reported_as_not_tested() -> None:
    table = blobs(20, 3, group=lambda genre, i: "one" if genre == 0 else f"{genre}-{i % 5}")
    result = cross_validate(table, configured())
    assert result.genres == ["genre0", "genre1", "genre2"]
    assert "genre0" not in result.per_genre
    assert len(result.held_out.rows) == 40
    assert result.splits["n_unscored"] == 20
    assert result.accuracy == 1
    assert result.baseline_accuracy == 0.5
    [warning] = [text for text in result.warnings if "not tested" in text]
    assert warning.startswith("not tested: genre0 (20 tracks, all in one group);")
    assert warning in result.notes
    np.testing.assert_array_equal(result.confusion, np.diag([0, 20, 20]))


@pytest.mark.parametrize("name", ["svm", "logistic", "lda", "knn"])
def test_genres_that_folds_lack_are_no_trouble(name: str) -> None:
    table = blobs(12, 4, group=lambda genre, i: f"{genre}-{i // 6}")
    result = cross_validate(table, configured(name=name))
    assert result.accuracy > 0.9
    np.testing.assert_allclose(result.held_out.probabilities.sum(axis=1), 1)


def test_every_genre_in_one_group_cannot_be_tested() -> None:
    with pytest.raises(TableError, match="the tracks of every genre are in one group"):
        cross_validate(blobs(20, 3, group=lambda genre, i: f"band {genre}"), configured())


@pytest.mark.parametrize("table", [blobs(20, 1), blobs(1, 3)])
def test_too_little_to_compare(table: FeatureTable) -> None:
    with pytest.raises(TableError):
        cross_validate(table, configured())


def test_tracks_without_a_label_are_left_out() -> None:
    table = blobs(20, 2)
    labels = table.labels.copy()
    labels[:6] = ""
    result = cross_validate(replace(table, labels=labels), configured())
    assert len(result.held_out.rows) == 34
    assert result.notes[0] == "6 of 40 tracks have no label and are left out"


CONTRACT = {
    "accuracy", "accuracy_ci95", "balanced_accuracy", "macro_f1", "n_tracks", "splits",
    "baseline_accuracy", "per_genre", "genres", "confusion_matrix", "config", "versions",
    "chance_accuracy", "top2_accuracy", "top3_accuracy", "expected_calibration_error",
    "calibration_error_by_chance", "calibration_error_by_chance_ci95", "excess_calibration_error",
    "reliability", "warnings",
}  # fmt: skip


@pytest.mark.parametrize("grouped", [False, True])
def test_the_keys_of_the_contract_are_all_there(grouped: bool) -> None:
    group = (lambda genre, i: f"{genre}-{i // 2}") if grouped else (lambda genre, i: "")
    result = cross_validate(blobs(20, 3, spread=1, group=group), configured())
    plain = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert set(plain) - {"notes"} == CONTRACT | ({"ungrouped_accuracy"} if grouped else set())
    assert plain["n_tracks"] == 60
    assert plain["splits"]["kind"] == ("grouped" if grouped else "stratified")
    assert plain["splits"]["n_folds"] == 4
    assert plain["accuracy_ci95"] == list(result.interval)
    low, high = plain["accuracy_ci95"]
    assert low < high
    assert low - 1e-12 <= plain["accuracy"] <= high + 1e-12
    assert plain["genres"] == ["genre0", "genre1", "genre2"]
    assert set(plain["per_genre"]["genre0"]) == {"precision", "recall", "f1", "n"}
    assert np.array(plain["confusion_matrix"]).sum() == 60
    assert plain["config"]["classifier"]["name"] == "logistic"
    assert {"genreclf", "python", "numpy", "scikit-learn"} <= set(plain["versions"])


@pytest.mark.parametrize(("n", "power"), [(42, 1), (948, 1), (948, 3)])
def test_confidence_is_off_only_beyond_chance(n: int, power: int) -> None:
    """Answers are right as often as they say, or much less often where the power is 3."""
    random = np.random.default_rng(2)
    confidence = random.uniform(0.5, 1, n)
    correct = random.random(n) < confidence**power
    probabilities = np.column_stack([confidence, 1 - confidence])
    part = replace(held_out(correct, [""] * n), probabilities=probabilities)
    empty = texts([])
    measured = Evaluation(
        part, ["a", "b"], {"kind": "stratified"}, Config(), (0, 1),
        results.TestSet(part.rows, empty, empty, part.labels), np.ones(n),
    )  # fmt: skip
    plain = dict(measured.calibration)
    low, high = plain["calibration_error_by_chance_ci95"]
    chance, error = plain["calibration_error_by_chance"], plain["expected_calibration_error"]
    assert 0 < low < chance < high < (0.35 if n == 42 else 0.06)
    assert plain["excess_calibration_error"] == pytest.approx(max(0, error - chance))
    clause = calibration_clause(plain)
    assert f"{100 * low:.1f} to {100 * high:.1f} with this many tracks" in clause
    if power == 1:
        assert low <= error <= high
        assert "no more than by chance" in clause
    else:
        assert plain["excess_calibration_error"] > 0.1
        assert re.search(r"off by \d\d\.\d points on average, \d\d\.\d more than by", clause)
    del plain["calibration_error_by_chance"]  # the card of an older model
    assert calibration_clause(plain) == f"off by {100 * error:.1f} points on average"


def test_versions_are_those_installed() -> None:
    import sklearn

    import genreclf

    assert versions()["scikit-learn"] == sklearn.__version__
    assert versions()["numpy"] == np.__version__
    assert versions()["genreclf"] == genreclf.__version__


def test_the_baseline_is_always_answering_the_most_frequent_genre() -> None:
    table = blobs(30, 2)
    keep = np.ones(60, dtype=bool)
    keep[np.flatnonzero(table.labels == "genre0")[:20]] = False
    assert cross_validate(table.take(keep), configured()).baseline_accuracy == 30 / 40


@pytest.mark.parametrize(
    ("name", "search", "overrides"),
    [
        ("svm", False, []),
        ("random-forest", False, ["classifier.n_estimators=5"]),
        ("lda", True, []),
    ],
)
def test_the_same_seed_gives_the_same_result(name: str, search: bool, overrides: list[str]) -> None:
    table = blobs(12, 2, spread=0.5, group=lambda genre, i: f"{genre}-{i // 2}")
    config = configured("evaluation.folds=2", *overrides, name=name)
    first, second = (cross_validate(table, config, search=search) for _ in range(2))
    assert json.dumps(first.to_dict()) == json.dumps(second.to_dict())
    np.testing.assert_array_equal(first.held_out.probabilities, second.held_out.probabilities)


def test_another_seed_makes_other_folds() -> None:
    table = blobs(20, 2, spread=0.5)
    rows = {str(cross_validate(table, configured(f"seed={s}")).held_out.rows) for s in range(3)}
    assert len(rows) == 3


def record_tuning(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    tuned_on: list[set[str]] = []

    def recording(table: FeatureTable, config: Config) -> Config:
        tuned_on.append(set(table.paths))
        return config

    monkeypatch.setattr(folds, "tune", recording)
    return tuned_on


def test_hyperparameters_are_tuned_inside_training_parts_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tuned_on = record_tuning(monkeypatch)
    table = replace(blobs(12, 2), folds=texts(["a", "b", "c"] * 8))
    result = cross_validate(table, configured(), search=True)
    everything = set(table.paths)
    held_back = [everything - tracks for tracks in tuned_on]
    assert held_back == [set(table.paths[table.folds == fold]) for fold in "abc"]
    assert result.splits["search"] is True
    tuned_on.clear()
    assert cross_validate(table, configured()).splits["search"] is False
    assert tuned_on == []


def test_tuning_is_nested_in_grouped_and_ungrouped_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned_on = record_tuning(monkeypatch)
    table = blobs(12, 2, group=lambda genre, i: f"{genre}-{i // 3}")
    cross_validate(table, configured(), search=True)
    everything = set(table.paths)
    grouped, ungrouped = tuned_on[:4], tuned_on[4:]
    for rounds in (grouped, ungrouped):
        held_back = [track for tracks in rounds for track in everything - tracks]
        assert sorted(held_back) == sorted(everything)
    group_of = dict(zip(table.paths, table.groups, strict=True))
    for tracks in grouped:
        assert {group_of[t] for t in tracks}.isdisjoint(group_of[t] for t in everything - tracks)


def test_searching_among_pure_noise_finds_nothing() -> None:
    random = np.random.default_rng(0)
    table = blobs(60, 2, 30)
    noise = replace(table, values=random.standard_normal((120, 30)).astype(np.float32))
    result = cross_validate(noise, configured("evaluation.folds=3", name="knn"), search=True)
    assert result.interval[0] < 0.5
    assert result.accuracy < 0.62


@pytest.mark.parametrize("name", ["knn", "lda"])
def test_searching_with_two_groups_a_genre(name: str) -> None:
    # Inside a training part each genre lives in one group.
    table = blobs(16, 2, group=lambda genre, i: f"{genre}-{i % 2}")
    config = configured("evaluation.folds=2", name=name)
    result = cross_validate(table, config, search=True)
    assert result.accuracy > 0.9


def test_published_folds_are_run_as_they_are() -> None:
    table = replace(blobs(12, 2), folds=texts(["x", "y", "z"] * 7 + [""] * 3))
    done = 0

    def on_fold() -> None:
        nonlocal done
        done += 1

    result = cross_validate(table, configured(), on_fold=on_fold)
    assert result.splits["kind"] == "folds"
    assert result.splits["n_folds"] == done == 3
    tested = np.split(result.held_out.rows, 3)
    assert [sorted(rows) for rows in tested] == [
        list(np.flatnonzero(table.folds == fold)) for fold in "xyz"
    ]
    assert any(note.startswith("3 of 24 tracks") for note in result.notes)
    assert result.ungrouped_accuracy is None


def test_a_published_split_tests_its_test_part_once() -> None:
    split = texts(["train", "train", "test", "valid", "train", "test"] * 4)
    table = replace(blobs(12, 2), split=split)
    result = cross_validate(table, configured())
    assert (result.splits["kind"], result.splits["n_folds"]) == ("split", 1)
    assert sorted(result.held_out.rows) == list(np.flatnonzero(split == "test"))
    train = table.take(split == "train")
    expected = fit_pipeline(train, configured()).predict(table.values[result.held_out.rows])
    assert list(result.held_out.predicted) == list(expected)
    assert "4 tracks for validation are not used" in result.notes


def with_a_genre_apart(kind: str) -> tuple[FeatureTable, int]:
    """Genre "c" is in one part of a published split, or in one published fold, only."""
    labels = texts(["a", "b", "a", "c"] * 10)
    names: dict[str, Any]
    if kind == "split":
        names = {"split": texts(["train", "train", "test", "test"] * 10)}
    else:
        names = {
            "folds": texts(["one", "one", "two", "two"] * 5 + ["two", "two", "one", "two"] * 5)
        }
    return replace(blobs(20, 2), labels=labels, **names), 10


@pytest.mark.parametrize("kind", ["split", "folds"])
def test_a_genre_that_the_published_training_part_lacks_counts_as_wrong(kind: str) -> None:
    table, n_unknown = with_a_genre_apart(kind)
    config = configured(name="lda")
    result = cross_validate(table, config)
    column = table.split if kind == "split" else table.folds
    assert column is not None
    hits, tested = 0, []
    for name in ["test"] if kind == "split" else ["one", "two"]:
        test = np.flatnonzero(column == name)
        train = np.flatnonzero(column != name)
        pipeline = fit_pipeline(table.take(train), config)
        hits += int((pipeline.predict(table.values[test]) == table.labels[test]).sum())
        tested += list(test)
    assert sorted(result.held_out.rows) == sorted(tested)
    assert result.accuracy == hits / len(tested)
    assert result.splits["n_unknown_genre"] == n_unknown
    assert result.splits["n_unscored"] == 0
    assert result.per_genre["c"] == {"precision": 0, "recall": 0, "f1": 0, "n": n_unknown}
    assert result.confusion.sum() == len(tested)
    assert result.confusion[2, 2] == 0
    # Of two genres that a classifier knows, the first three hold no third.
    assert result.top_accuracy(3) == 1 - n_unknown / len(tested)
    assert (result.held_out.probabilities[~result.held_out.known, 2] == 0).all()
    share = f"{hits / (len(tested) - n_unknown):.1%}"
    [warning] = result.warnings
    assert warning.startswith(f"{n_unknown} of the {len(tested)} tracks count as wrong")
    assert warning.endswith(f"(c); {share} of the others are correct")
    json.dumps(result.to_dict(suggest=True), allow_nan=False)


def test_a_published_training_part_of_one_genre_is_refused() -> None:
    labels = texts(["a", "b"] * 10)
    table = replace(blobs(10, 2), labels=labels, split=texts(["train", "test"] * 10))
    with pytest.raises(TableError, match="training part of the split has one genre only, a;"):
        cross_validate(table, configured())
    table = replace(table, split=None, folds=texts(["x", "y"] * 10))
    with pytest.raises(TableError, match="training part of fold x has one genre only, b;"):
        cross_validate(table, configured())


def test_copies_of_every_recording_of_a_genre_are_a_reason_of_their_own() -> None:
    random = np.random.default_rng(0)
    values = np.repeat(random.standard_normal((3, 6)), 8, axis=0).astype(np.float32)
    table = replace(
        blobs(12, 2), labels=texts(np.repeat(["a", "b", "c"], 8)), values=values,
        names=[f"f{i}" for i in range(6)],
    )  # fmt: skip
    with pytest.raises(TableError, match="tracks of every genre are copies of one recording"):
        cross_validate(table, configured())


@pytest.mark.parametrize("grouped", [False, True])
def test_copies_count_once_in_the_interval(grouped: bool) -> None:
    group = (lambda genre, i: f"{genre}-{i // 2}") if grouped else (lambda genre, i: "")
    once = blobs(30, 2, 4, spread=2.5, group=group)
    five = once.take(np.tile(np.arange(60), 5))
    alone, copied = (cross_validate(table, configured()) for table in (once, five))
    (low, high), (low5, high5) = alone.interval, copied.interval
    assert low5 <= copied.accuracy <= high5
    assert high5 - low5 == pytest.approx(high - low, abs=0.03)
    if not grouped:
        n = 60 / learned_from(60, 2, 4)
        assert (low5, high5) == pytest.approx(wilson_interval(n * copied.accuracy, n), abs=0.02)
    assert copied.weights.sum() == pytest.approx(60)


def test_one_wrong_answer_in_many_copies_makes_no_threshold() -> None:
    table = blobs(20, 2, spread=0.3)
    labels = table.labels.copy()
    labels[0] = "genre1"  # of a track among those of genre0
    rows = np.r_[np.zeros(9, dtype=int), np.arange(40)]
    result = cross_validate(replace(table, labels=labels).take(rows), configured())
    assert result.accuracy < 0.9
    assert "suggested_threshold" not in result.to_dict(suggest=True)


def test_without_a_wrong_answer_there_is_no_threshold() -> None:
    result = cross_validate(blobs(20, 2), configured())
    assert result.accuracy == 1
    assert "suggested_threshold" not in result.to_dict(suggest=True)
    with pytest.raises(TableError, match=r"40 most confident .* 100\.0% .* it takes at least 99"):
        result.threshold(0.99)
    noise = grouped_noise(80, 1)
    with pytest.raises(
        TableError, match=r"no threshold reaches a precision of 99\.5%: of the \d+ most confident"
    ):
        cross_validate(noise, configured()).threshold(0.995)


def test_predictions_are_those_of_the_folds_in_the_tables_order() -> None:
    table = blobs(20, 3, group=lambda genre, i: "one" if genre == 0 else f"{genre}-{i % 5}")
    table.labels[5] = ""  # of genre0
    result = cross_validate(table, configured())
    found = result.predictions()
    known = table.labelled()
    assert [each.path for each in found] == list(known.paths)
    assert [each.label for each in found] == list(known.labels)
    fold_of = {}
    for number, (_, test) in enumerate(choose_splits(known, configured()).folds, 1):
        fold_of |= dict.fromkeys(known.paths[test], str(number))
    assert [each.fold for each in found] == [fold_of[path] for path in known.paths]
    tested = [each for each in found if each.genre]
    assert {each.label for each in found if not each.genre} == {"genre0"}
    assert all(each.confidence is None for each in found if not each.genre)
    assert np.mean([a.genre == a.label for a in tested]) == result.accuracy
    held_out = dict(zip(result.held_out.rows, result.held_out.confidence, strict=True))
    assert [a.confidence for a in tested] == [held_out[row] for row in sorted(held_out)]


def test_unlabelled_rows_do_not_upset_published_folds() -> None:
    labels = blobs(12, 2).labels.copy()
    labels[[0, 5, 9]] = ""
    table = replace(blobs(12, 2), folds=texts(["x", "y"] * 6 + ["y", "x"] * 6), labels=labels)
    result = cross_validate(table, configured())
    assert len(result.held_out.rows) == 21
    kept = table.labelled()
    assert list(result.held_out.labels) == list(kept.labels[result.held_out.rows])


def test_a_model_is_compared_with_all_labels() -> None:
    table = blobs(20, 3)
    two = table.take(table.labels != "genre2")
    model = Model.fit(two, configured())
    labels = table.labels.copy()
    labels[0] = ""
    asked = replace(table, labels=labels, groups=texts([""] * 60))
    result = evaluate_model(model, asked)
    assert result.splits == {"kind": "model", "n_unknown_genre": 20}
    assert result.genres == ["genre0", "genre1", "genre2"]
    assert list(result.held_out.rows) == list(range(1, 60))
    predicted = model.predict(table)[1:]
    assert result.accuracy == metrics.accuracy_score(table.labels[1:], predicted)
    known = table.labels[1:] != "genre2"
    share = metrics.accuracy_score(table.labels[1:][known], predicted[known])
    assert "1 of 60 tracks have no label and are left out" in result.notes
    assert result.warnings[1] == (
        "20 of the 59 tracks count as wrong because the model has no tracks of their genre "
        f"(genre2); {share:.1%} of the others are correct"
    )
    json.dumps(result.to_dict(), allow_nan=False)


def test_a_model_that_knows_none_of_the_genres() -> None:
    model = Model.fit(blobs(20, 2), configured())
    other = replace(blobs(2, 2), labels=texts(["x", "y"] * 2))
    with pytest.raises(TableError, match=r"none of the table's genres \(x, y\)"):
        evaluate_model(model, other)


GroupOf = Callable[[int, int], str]


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        (lambda genre, i: "", "stratified"),
        (lambda genre, i: f"{genre}-{i}", "grouped"),
        (lambda genre, i: "" if i else "band", "grouped"),
    ],
)
def test_groups_are_kept_together_whenever_there_are_any(group: GroupOf, kind: str) -> None:
    assert choose_splits(blobs(20, 2, group=group), configured()).kind == kind


def test_published_folds_win_over_groups() -> None:
    changes: dict[str, Any] = {"folds": texts(["1", "2"] * 20), "split": texts(["train"] * 40)}
    table = replace(blobs(20, 2, group=lambda genre, i: f"{genre}-{i}"), **changes)
    assert choose_splits(table, configured()).kind == "folds"


SMALL_TABLES = {
    "two tracks a genre": blobs(2, 2),
    "three tracks a genre": blobs(3, 2),
    "one prolific artist": replace(blobs(10, 2), groups=texts(["prolific"] * 17 + ["a", "b", "c"])),
    "a genre of one track": replace(blobs(4, 2), labels=texts(["a", "b"] * 3 + ["b", "c"])),
}


@pytest.mark.parametrize("search", [False, True])
@pytest.mark.parametrize("name", ["lda", "knn"])
@pytest.mark.parametrize("kind", SMALL_TABLES)
def test_small_tables_are_measured_or_refused(kind: str, name: str, search: bool) -> None:
    config = configured("evaluation.bootstrap_samples=100", name=name)
    try:
        result = cross_validate(SMALL_TABLES[kind], config, search=search)
    except GenreclfError:
        return  # any other error would be a traceback on the command line
    low, high = result.interval
    assert 0 <= low <= result.accuracy + 1e-12
    assert result.accuracy - 1e-12 <= high <= 1


@pytest.mark.parametrize("kind", ["grouped", "stratified", "folds", "split"])
def test_trainings_are_counted_before_they_are_done(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    table = grouped_noise()
    if kind != "grouped":
        table = replace(table, groups=np.full(len(table), "", dtype=object))
    third = np.array(["train", "test", "other"], dtype=object)[np.arange(len(table)) % 3]
    if kind in ("folds", "split"):
        table = replace(table, **{kind: third})
    done = []
    monkeypatch.setattr(
        folds,
        "fit_pipeline",
        lambda *given, **how: (done.append(kind), fit_pipeline(*given, **how))[1],
    )
    cross_validate(table, configured("evaluation.folds=4"))
    assert len(done) == count_trainings(table, configured("evaluation.folds=4"))
