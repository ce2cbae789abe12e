import copy
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import scikit_learns_checks
from numpy.typing import NDArray
from sample_tables import blobs, texts
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from genreclf.config.load import config_from_dict, load_config
from genreclf.config.schema import CLASSIFIERS, Config
from genreclf.errors import GenreclfError
from genreclf.learning import margins
from genreclf.learning.calibration import TemperatureScaled
from genreclf.learning.estimators import BalancedLda, SoftVote
from genreclf.learning.pipelines import Task
from genreclf.learning.splits import cross_validation
from genreclf.learning.training import fit_pipeline, training_seconds, tune
from genreclf.tables.table import FeatureTable

# Smaller than the defaults where those take seconds.
SMALLER = {
    "random-forest": ["classifier.n_estimators=20"],
    "gradient-boosting": ["classifier.max_iter=10", "classifier.max_leaf_nodes=4"],
    "mlp": ["classifier.hidden_layer_sizes=[32]", "classifier.max_iter=150"],
    "ensemble": ["classifier.n_estimators=10"],
}
# The network learns from frames: tests/test_convnet.py.
ON_COLUMNS = [name for name in CLASSIFIERS if name != "convnet"]
FAST = ("svm", "logistic", "lda", "knn")


def configured(name: str, *overrides: str) -> Config:
    return load_config(overrides=[f"classifier.name={name}", *SMALLER.get(name, []), *overrides])


def overlapping(n: int, seed: int, distance: float = 1.5) -> tuple[FeatureTable, NDArray[Any]]:
    """Two clouds at ± distance / 2 on the first axis, and the true probability of the second."""
    random = np.random.default_rng(seed)
    which = np.tile([0, 1], n // 2)
    values = random.standard_normal((n, 2))
    values[:, 0] += distance * (which - 0.5)
    labels = texts([f"g{k}" for k in which])
    table = replace(blobs(n // 2, 2, 2), values=values.astype(np.float32), labels=labels)
    return table, expit(distance * values[:, 0])


def unscaled(pipeline: Pipeline) -> Pipeline:
    """The same fitted pipeline as if its temperature were one."""
    plain = copy.deepcopy(pipeline)
    plain["classify"].temperature_ = 1.0
    return plain


@pytest.mark.parametrize("name", ON_COLUMNS)
def test_every_classifier_learns_clouds_and_gives_probabilities(name: str) -> None:
    table, unseen = blobs(40, seed=3), blobs(60, seed=3)
    pipeline = fit_pipeline(table, configured(name))
    rows = slice(len(table), None)  # the same centres, other points
    assert pipeline.score(unseen.values[rows], unseen.labels[rows]) > 0.9
    probabilities = pipeline.predict_proba(unseen.values)
    assert probabilities.shape == (len(unseen), 3)
    assert probabilities.dtype == np.float64
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    assert list(pipeline.classes_) == table.genres
    chosen = pipeline.classes_[probabilities.argmax(axis=1)]
    assert list(pipeline.predict(unseen.values)) == list(chosen)


@pytest.mark.parametrize("name", ON_COLUMNS)
def test_the_same_seed_gives_the_same_probabilities(name: str) -> None:
    table = blobs(12, spread=1)
    first, second = (fit_pipeline(table, configured(name, "seed=3")) for _ in range(2))
    np.testing.assert_array_equal(
        first.predict_proba(table.values), second.predict_proba(table.values)
    )


@pytest.mark.parametrize("name", ON_COLUMNS)
def test_hyperparameters_reach_the_estimator(name: str) -> None:
    config = configured(name)
    table = blobs(30)
    plain = config.classifier.pipeline(Task(table, config, calibrated=False))["classify"]
    assert plain.n_folds == 0
    estimator = plain.estimator
    expected = config.classifier.hyperparameters
    expected.pop("kernel_approximation", None)  # which chooses the estimator
    assert expected.items() <= estimator.get_params().items()
    wrapped = config.classifier.pipeline(Task(table, config))["classify"]
    assert isinstance(wrapped, TemperatureScaled)
    assert type(wrapped.estimator) is type(estimator)


@pytest.mark.parametrize("name", ["svm", "logistic", "lda"])
def test_a_rare_genre_is_not_drowned(name: str) -> None:
    # One track in ten is of the rare genre; a prior would shift the border to x = 0.73.
    table, _ = overlapping(2000, seed=1, distance=3)
    rare = table.labels == "g1"
    rare &= np.cumsum(rare) > 100
    part = table.take(~rare)
    pipeline = fit_pipeline(part, configured(name, "pca=off", "classifier.name=" + name))
    border = np.column_stack((np.linspace(-3, 3, 601), np.zeros(601))).astype(np.float32)
    found = border[pipeline.predict(border) == "g1", 0].min()
    assert abs(found) < 0.45


@scikit_learns_checks(
    TemperatureScaled(), TemperatureScaled(SVC(), n_folds=3), SoftVote(n_estimators=5)
)
def test_scikit_learns_contract(estimator: TemperatureScaled, check: Callable[..., None]) -> None:
    check(estimator)


@pytest.mark.parametrize(
    "base",
    [
        LogisticRegression(),
        SVC(),
        SVC(decision_function_shape="ovo"),
        KNeighborsClassifier(3),
        DummyClassifier(strategy="prior"),
    ],
)
@pytest.mark.parametrize("n_genres", [2, 4])
def test_a_temperature_keeps_the_order_of_the_classes(base: Any, n_genres: int) -> None:
    table = blobs(30, n_genres, spread=0.7)
    fitted = TemperatureScaled(base).fit(table.values, table.labels)
    probabilities = fitted.predict_proba(table.values)
    for temperature in (0.5, 1.0, 7.0):
        fitted.temperature_ = temperature
        other = fitted.predict_proba(table.values)
        np.testing.assert_array_equal(other.argmax(axis=1), probabilities.argmax(axis=1))
        np.testing.assert_allclose(other.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("kernel", ["rbf", "poly", "linear"])
@pytest.mark.parametrize("n_genres", [2, 3, 12])
def test_the_score_of_a_class_is_its_margin_against_its_strongest_rival(
    monkeypatch: pytest.MonkeyPatch, n_genres: int, kernel: str
) -> None:
    table = blobs(6, n_genres, spread=0.7)
    table = table.take(np.arange(3, len(table)))  # a genre has fewer tracks
    machine = SVC(kernel=kernel, decision_function_shape="ovo", class_weight="balanced")
    fitted = TemperatureScaled(machine, n_folds=0).fit(table.values, table.labels)
    assert fitted.temperature_ == 1
    pairs = fitted.estimator_.decision_function(table.values).reshape(len(table), -1)
    if n_genres == 2:
        pairs = -pairs
    expected = np.full((len(table), n_genres), np.inf)
    for pair, (first, second) in enumerate(combinations(range(n_genres), 2)):
        expected[:, first] = np.minimum(expected[:, first], pairs[:, pair])
        expected[:, second] = np.minimum(expected[:, second], -pairs[:, pair])
    np.testing.assert_allclose(fitted.predict_proba(table.values), softmax(expected, axis=1))
    monkeypatch.setattr(margins, "MOST_NUMBERS", 1000)  # a few samples at a time
    np.testing.assert_allclose(fitted.predict_proba(table.values), softmax(expected, axis=1))


def test_margins_of_many_classes_are_not_in_memory_at_once() -> None:
    labels = np.arange(600) % 300
    values = np.random.default_rng(0).standard_normal((600, 3))
    machine = SVC(decision_function_shape="ovo")
    fitted = TemperatureScaled(machine, n_folds=0).fit(values, labels)
    tracemalloc.start()
    fitted.predict_proba(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.6 * 600 * (300 * 299 // 2) * 8


@pytest.mark.parametrize("base", [LogisticRegression(), SVC(), KNeighborsClassifier(9)])
@pytest.mark.parametrize("n_genres", [2, 3, 5])
def test_calibration_costs_no_accuracy(base: Any, n_genres: int) -> None:
    table, unseen = blobs(30, n_genres, spread=1, seed=2), blobs(90, n_genres, spread=1, seed=2)
    ours = TemperatureScaled(base).fit(table.values, table.labels)
    theirs = clone(base).fit(table.values, table.labels)
    agreement = np.mean(ours.predict(unseen.values) == theirs.predict(unseen.values))
    assert agreement > 0.98  # all but cyclic votes of one-against-one machines


def test_probabilities_are_the_softmax_of_scaled_scores() -> None:
    table = blobs(30, 3, spread=0.7)
    fitted = TemperatureScaled(LogisticRegression()).fit(table.values, table.labels)
    scores = fitted.estimator_.decision_function(table.values).astype(np.float64)
    expected = softmax(scores / fitted.temperature_, axis=1)
    np.testing.assert_allclose(fitted.predict_proba(table.values), expected, atol=1e-6)


def test_a_model_that_is_right_already_keeps_a_temperature_of_one() -> None:
    table, _ = overlapping(4000, seed=0)
    fitted = TemperatureScaled(LogisticRegression()).fit(table.values, table.labels)
    assert fitted.temperature_ == pytest.approx(1, abs=0.1)


class CountingBayes(GaussianNB):
    """Counts how often any of its kind is fitted."""

    n_fits = 0

    def fit(self, *arguments: Any) -> "CountingBayes":
        CountingBayes.n_fits += 1
        return super().fit(*arguments)


@pytest.mark.parametrize(("n_samples", "n_folds"), [(1000, 5), (4000, 3), (10_000, 1)])
def test_a_large_table_is_calibrated_on_as_many_folds_as_it_takes(
    monkeypatch: pytest.MonkeyPatch, n_samples: int, n_folds: int
) -> None:
    monkeypatch.setattr(CountingBayes, "n_fits", 0)
    table, _ = overlapping(n_samples, seed=1)
    fitted = TemperatureScaled(CountingBayes()).fit(table.values, table.labels)
    assert CountingBayes.n_fits == 1 + n_folds
    assert fitted.temperature_ == pytest.approx(1, abs=0.15)  # it is right already


@pytest.mark.parametrize("name", ON_COLUMNS)
def test_training_is_foretold_to_grow_with_table_and_search(name: str) -> None:
    small, config = blobs(20, 3), configured(name)
    large = small.take(np.tile(np.arange(60), 2000))
    once = training_seconds(large, config, calibrated=False)
    assert once > 30 * training_seconds(small, config, calibrated=False)
    expected = training_seconds(large, config)
    assert 1.5 * once < expected < 2 * once  # so many tracks are calibrated on one fold
    assert training_seconds(large, config, search=True) > 5 * expected
    labels = texts([f"genre {row % 500:03}" for row in range(len(large))])
    if name != "knn":
        assert training_seconds(replace(large, labels=labels), config) > 5 * expected
    if name not in ("lda", "logistic"):  # which are the advice for large tables
        assert expected > 2 * training_seconds(large, configured("lda"))
        assert expected > 2 * training_seconds(large, configured("logistic"))


@pytest.mark.parametrize("name", ON_COLUMNS)
def test_probabilities_are_calibrated(name: str) -> None:
    table, _ = overlapping(400, seed=1)
    unseen, truth = overlapping(4000, seed=2)
    pipeline = fit_pipeline(table, configured(name))
    probabilities = pipeline.predict_proba(unseen.values)
    confidence = probabilities.max(axis=1).mean()
    assert confidence == pytest.approx(pipeline.score(unseen.values, unseen.labels), abs=0.06)
    ours = log_loss(unseen.labels, probabilities)
    before = log_loss(unseen.labels, unscaled(pipeline).predict_proba(unseen.values))
    best = log_loss(unseen.labels, np.column_stack((1 - truth, truth)))
    assert ours < before + 0.01
    assert best - 0.01 < ours < best + 0.12


@pytest.mark.parametrize("name", ["svm", "knn", "logistic"])
def test_three_genres_are_calibrated(name: str) -> None:
    random = np.random.default_rng(4)
    table = blobs(1100, 3, 4)
    centres = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    which = np.array([int(label[-1]) for label in table.labels])
    values = (centres[which] + random.standard_normal((3300, 4))).astype(np.float32)
    table = replace(table, values=values)
    train, unseen = table.take(np.arange(300)), table.take(np.arange(300, 3300))
    pipeline = fit_pipeline(train, configured(name))
    confidence = pipeline.predict_proba(unseen.values).max(axis=1).mean()
    assert confidence == pytest.approx(pipeline.score(unseen.values, unseen.labels), abs=0.06)


@pytest.mark.parametrize("distance", [3.0, 80.0, 5000.0])
@pytest.mark.parametrize("n_genres", [2, 3])
@pytest.mark.parametrize("base", [LogisticRegression(C=0.1), BalancedLda(solver="lsqr"), SVC(C=10)])
def test_right_answers_claim_no_more_than_they_support(
    base: Any, n_genres: int, distance: float
) -> None:
    """Laplace's rule of succession: of n right answers of n, (n + 1) / (n + 2)."""
    n = 15 * n_genres
    random = np.random.default_rng(1)
    labels = np.repeat(np.arange(n_genres), 15)
    values = random.standard_normal((n, 6))
    values[np.arange(n), labels] += 3 * distance
    fitted = TemperatureScaled(base, random_state=0).fit(values, labels)
    out_of_fold = []
    for train, test in cross_validation(labels, None, 5, 0).folds:
        one = clone(fitted)
        one.fit(values[train], labels[train])
        one.temperature_ = fitted.temperature_
        assert (one.predict(values[test]) == labels[test]).all()
        out_of_fold.append(one.predict_proba(values[test]).max(axis=1))
    assert np.concatenate(out_of_fold).mean() <= (n + 1) / (n + 2) + 1e-6
    assert np.concatenate(out_of_fold).mean() > 0.85
    copied = TemperatureScaled(base, random_state=0)
    copied.fit(
        np.tile(values, (4, 1)), np.tile(labels, 4), groups=texts([str(i) for i in range(n)] * 4)
    )
    assert copied.predict_proba(values).max(axis=1).mean() < (n + 1) / (n + 2) + 0.02


def test_groups_hold_together_while_calibrating() -> None:
    # What tells the genres apart belongs to the group: new groups are a matter of chance.
    random = np.random.default_rng(0)
    table = blobs(40, 2, 30, group=lambda genre, i: f"{genre}-{i % 8}")
    offsets = {group: 3 * random.standard_normal(30) for group in sorted(set(table.groups))}
    values = np.array([offsets[group] for group in table.groups])
    values = (values + 0.3 * random.standard_normal(values.shape)).astype(np.float32)
    grouped = replace(table, values=values)
    ungrouped = replace(grouped, groups=texts([""] * len(table)))
    sure, unsure = (
        fit_pipeline(t, configured("logistic")).predict_proba(values).max(axis=1).mean()
        for t in (ungrouped, grouped)
    )
    assert sure > 0.9
    assert unsure < 0.75


def test_missing_values_become_the_columns_median() -> None:
    table = blobs(30)
    values = table.values.copy()
    holes = np.random.default_rng(0).random(values.shape) < 0.1
    values[holes] = np.nan
    filled = np.where(holes, np.nanmedian(values, axis=0), values)
    config = configured("svm")
    np.testing.assert_allclose(
        fit_pipeline(replace(table, values=values), config).predict_proba(values),
        fit_pipeline(replace(table, values=filled), config).predict_proba(filled),
        atol=1e-6,
    )


@pytest.mark.parametrize("name", ON_COLUMNS)
def test_a_column_without_values_or_variation_does_no_harm(name: str) -> None:
    table = blobs(20)
    values = table.values.copy()
    values[:, 1], values[:, 2] = np.nan, 7
    pipeline = fit_pipeline(replace(table, values=values), configured(name))
    assert pipeline.score(values, table.labels) > 0.9


@pytest.mark.parametrize(("pca", "n_columns"), [("off", 6), ("2", 2), ("0.99", None)])
def test_pca_keeps_what_it_is_told(pca: str, n_columns: int | None) -> None:
    table = blobs(30)
    table.values[:, 5] = table.values[:, 0] + table.values[:, 1]
    pipeline = fit_pipeline(table, configured("logistic", f"pca={pca}"))
    seen = pipeline["classify"].estimator_.n_features_in_
    if n_columns is None:
        standardised = (table.values - table.values.mean(axis=0)) / table.values.std(axis=0)
        variances = np.linalg.svd(standardised, compute_uv=False) ** 2
        n_columns = int(np.searchsorted(np.cumsum(variances) / variances.sum(), 0.99) + 1)
    assert seen == n_columns


@pytest.mark.parametrize("name", ON_COLUMNS)
def test_a_classifiers_default_decides_whether_pca_comes_before_it(name: str) -> None:
    automatic, three = (
        config.classifier.pipeline(Task(blobs(10), config))["pca"]
        for config in (configured(name), configured(name, "pca=3"))
    )
    assert (automatic == "passthrough") == (name not in ("svm", "knn", "mlp"))
    assert three.n_components == 3


@pytest.mark.parametrize("name", ["svm", "logistic", "lda"])
def test_no_single_column_decides(name: str) -> None:
    """As when a chroma that is nearly always 1 is 0.9 for once: 100 standard deviations off."""
    table = blobs(30, n_features=60)
    steady = 1 + 1e-3 * np.random.default_rng(0).standard_normal((len(table), 1))
    values = np.hstack((table.values, steady)).astype(np.float32)
    pipeline = fit_pipeline(replace(table, values=values, names=[*table.names, "c"]),
                            configured(name))  # fmt: skip
    odd = values.copy()
    odd[:, -1] = 0.9
    assert pipeline.score(odd, table.labels) == pipeline.score(values, table.labels) == 1
    sure = pipeline.predict_proba(odd).max(axis=1)
    assert (sure > 0.8 * pipeline.predict_proba(values).max(axis=1)).all()


def test_what_is_logarithmic_is_no_matter_of_which_tracks_are_there() -> None:
    names = ["mix.mfcc.01.mean", "mix.mfcc.01.var", "mix.rms.mean", "rms_std", "mix.rms.var.mean",
             "mix.mfcc.01x01.cov", "mix.mfcc.01x02.cov", "mix.rms.var.skewness", "variety",
             "mix.rms.modulation_0.5-1hz"]  # fmt: skip
    table = replace(blobs(10, n_features=len(names)), names=names)
    table = replace(table, values=np.exp(table.values))  # each column is positive
    for rows in (slice(None), slice(0, 15)):
        scaler = fit_pipeline(table.take(np.arange(len(table))[rows]), configured("lda"))[1]
        logarithmic = [name for name, floor in zip(names, scaler.floor_, strict=True) if floor > 0]
        assert logarithmic == [names[i] for i in (1, 3, 4, 5, 9)]


def test_more_components_than_the_table_has_is_told() -> None:
    with pytest.raises(GenreclfError, match=r"pca.*50"):
        fit_pipeline(blobs(10), configured("svm", "pca=50"))


@pytest.mark.parametrize("name", ON_COLUMNS)
@pytest.mark.parametrize(
    "group",
    [
        lambda genre, i: f"artist {genre}",
        lambda genre, i: "one" if genre == 0 else f"{genre}-{i % 4}",
    ],
    ids=["each genre", "one genre"],
)
def test_a_genre_that_lives_in_one_group_is_learned(
    name: str, group: Callable[[int, int], str]
) -> None:
    table = blobs(25, group=group)
    pipeline = fit_pipeline(table, configured(name))
    assert pipeline.score(table.values, table.labels) > 0.9
    assert list(pipeline.classes_) == table.genres


@pytest.mark.parametrize("name", ON_COLUMNS)
def test_a_genre_with_one_track_is_learned(name: str) -> None:
    table = blobs(25)
    labels = table.labels.copy()
    labels[0] = "lonely"
    pipeline = fit_pipeline(replace(table, labels=labels), configured(name))
    assert "lonely" in pipeline.classes_
    np.testing.assert_allclose(pipeline.predict_proba(table.values).sum(axis=1), 1, atol=1e-6)
    assert pipeline.score(table.values, labels) > 0.9


@pytest.mark.parametrize("name", ON_COLUMNS)
@pytest.mark.parametrize("n_per_genre", [2, 3])
def test_a_handful_of_tracks_is_enough_to_fit(name: str, n_per_genre: int) -> None:
    table = blobs(n_per_genre, 2)
    probabilities = fit_pipeline(table, configured(name)).predict_proba(table.values)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("labels", [[2, 10], [-1, 0, 1], [100, 20, 3], [True, False], [0.0, 5.0]])
def test_labels_of_any_kind_give_the_same_temperature(labels: list[Any]) -> None:
    # Sorted as numbers and as texts they come in different orders.
    table = blobs(30, len(labels), spread=0.7)
    which = np.array([int(label[-1]) for label in table.labels])
    expected = TemperatureScaled(LogisticRegression()).fit(table.values, which)
    classes = np.sort(labels)
    fitted = TemperatureScaled(LogisticRegression()).fit(table.values, classes[which])
    assert fitted.temperature_ == pytest.approx(expected.temperature_, rel=1e-3)
    np.testing.assert_array_equal(fitted.classes_, classes)
    chosen = classes[expected.predict(table.values)]
    np.testing.assert_array_equal(fitted.predict(table.values), chosen)


GRIDS = {
    "svm": {"C", "gamma"},
    "logistic": {"C"},
    "lda": {"shrinkage"},
    "knn": {"n_neighbors"},
    "random-forest": {"min_samples_leaf"},
}


@pytest.mark.parametrize("name", GRIDS)
def test_tuning_changes_the_classifiers_section_only(name: str) -> None:
    config = configured(name, "seed=2")
    tuned = tune(blobs(8), config)
    assert tuned.classifier.name == name
    kept = tuned.to_dict() | {"classifier": config.to_dict()["classifier"]}
    assert config_from_dict(kept, "test") == config
    changed = {
        key
        for key in config.classifier.__struct_fields__
        if getattr(tuned.classifier, key) != getattr(config.classifier, key)
    }
    assert changed <= GRIDS[name]


def test_tuning_twice_gives_the_same() -> None:
    table, config = blobs(15, spread=0.5), configured("lda", "seed=2")
    assert tune(table, config) == tune(table, config)


def test_tuning_finds_its_way_out_of_hyperparameters_that_cannot_work() -> None:
    # So narrow a kernel knows each training point by heart and nothing else.
    table, unseen = (
        overlapping(300, seed=0, distance=4)[0],
        overlapping(2000, seed=1, distance=4)[0],
    )
    config = configured("svm", "classifier.gamma=100000.0", "classifier.C=0.001")
    tuned = tune(table, config)
    before = fit_pipeline(table, config).score(unseen.values, unseen.labels)
    after = fit_pipeline(table, tuned).score(unseen.values, unseen.labels)
    assert before < 0.7
    assert after > 0.95


def test_tuning_prefers_many_neighbours_where_labels_are_noisy() -> None:
    table, _ = overlapping(400, seed=0, distance=4)
    flipped = np.random.default_rng(0).random(400) < 0.3
    other = np.where(table.labels == "g0", "g1", "g0").astype(object)
    noisy = replace(table, labels=np.where(flipped, other, table.labels))
    assert tune(noisy, configured("knn", "classifier.n_neighbors=1")).classifier.n_neighbors >= 9


def test_tuning_weighs_group_against_group() -> None:
    # Within a group the nearest neighbour is always right; across groups only the cloud helps.
    random = np.random.default_rng(0)
    table = blobs(60, 2, 6, group=lambda genre, i: f"{genre}-{i // 4}")
    which = np.array([int(label[-1]) for label in table.labels])
    offsets = {group: random.standard_normal(6) for group in sorted(set(table.groups))}
    values = np.array([offsets[group] for group in table.groups])
    values[:, 0] += 1.2 * which
    values = (values + 0.02 * random.standard_normal(values.shape)).astype(np.float32)
    table = replace(table, values=values)
    config = configured("knn", "classifier.n_neighbors=3", "pca=off")
    grouped = tune(table, config).classifier.n_neighbors
    ungrouped = tune(replace(table, groups=texts([""] * len(table))), config).classifier
    assert ungrouped.n_neighbors < 5
    assert grouped >= 9


@pytest.mark.parametrize("name", FAST)
def test_tuning_on_few_tracks(name: str) -> None:
    tuned = tune(blobs(4, 2), configured(name))
    assert tuned.classifier.name == name


@pytest.mark.parametrize("name", ["logistic", "lda", "knn"])
@pytest.mark.parametrize(
    "group",
    [
        lambda genre, i: f"artist {genre}",
        lambda genre, i: "one" if genre == 0 else f"{genre}-{i % 2}",
        lambda genre, i: "one" if genre == 0 else f"{genre}-{i // 2}",
    ],
    ids=["each genre", "one genre of two", "one genre against ten groups"],
)
def test_tuning_where_a_genre_lives_in_one_group(
    name: str, group: Callable[[int, int], str]
) -> None:
    # Nothing can be held out group by group; some choice is better than a traceback.
    tuned = tune(blobs(20, 2, 3, group=group), configured(name))
    assert tuned.classifier.name == name


@pytest.mark.parametrize("name", ["lda", "knn"])
def test_tuning_where_one_of_three_genres_lives_in_one_group(name: str) -> None:
    table = blobs(20, group=lambda genre, i: "one" if genre == 0 else f"{genre}-{i % 4}")
    assert tune(table, configured(name)).classifier.name == name


@pytest.mark.parametrize("name", FAST)
def test_folds_of_very_different_sizes(name: str) -> None:
    # One artist made most of the tracks: without it there are three to learn from.
    table = replace(blobs(10, 2), groups=texts(["prolific"] * 17 + ["a", "b", "c"]))
    pipeline = fit_pipeline(table, configured(name))
    assert pipeline.score(table.values, table.labels) > 0.9


@pytest.mark.parametrize("n_genres", [2, 3])
def test_discriminant_analysis_takes_all_genres_for_equally_likely(n_genres: int) -> None:
    table = blobs(40, n_genres, spread=0.5)
    rare = table.labels == "genre0"
    rare &= np.cumsum(rare) > 8
    table = table.take(~rare)
    means = np.array([table.values[table.labels == g].mean(axis=0) for g in table.genres])
    fitted = BalancedLda(solver="lsqr").fit(table.values.astype(np.float64), table.labels)
    within = np.concatenate(
        [table.values[table.labels == g] - m for g, m in zip(table.genres, means, strict=True)]
    ).astype(np.float64)
    inverse = np.linalg.inv(within.T @ within / len(table))
    scores = table.values @ inverse @ means.T - 0.5 * np.sum(means @ inverse * means, axis=1)
    np.testing.assert_allclose(
        fitted.predict_proba(table.values), softmax(scores, axis=1), atol=1e-4
    )


@pytest.mark.parametrize("pca", ["off", "0.99"])
@pytest.mark.parametrize("name", FAST)
def test_columns_that_never_vary_tell_nothing(name: str, pca: str) -> None:
    table = replace(blobs(10, 2), values=np.ones((20, 6), dtype=np.float32))
    try:
        pipeline = fit_pipeline(table, configured(name, f"pca={pca}"))
    except GenreclfError:
        return  # to refuse is as good
    np.testing.assert_allclose(pipeline.predict_proba(table.values), 0.5, atol=0.01)


def test_a_new_classifier_is_one_class_and_one_line_in_the_registry(tmp_path: Path) -> None:
    """Its pipeline has other steps; --set and --search know its hyperparameters."""
    blobs(15, 3).save(tmp_path / "t.csv")
    code = '''
from typing import ClassVar
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler
from genreclf.learning import classifiers
from genreclf.config.sections import Positive
from genreclf.learning.classifiers.base import Classifier, Cost

class NaiveBayes(Classifier, frozen=True, tag="naive-bayes"):
    """Gaussian naive Bayes."""

    var_smoothing: Positive = 1e-9
    cost: ClassVar[Cost] = Cost(0.1, 1, 0)

    def pipeline(self, task):
        from sklearn.naive_bayes import GaussianNB
        from genreclf.learning.calibration import TemperatureScaled

        bayes = GaussianNB(var_smoothing=self.var_smoothing)
        return Pipeline([("scale", MinMaxScaler()), ("classify", TemperatureScaled(bayes))])

    def search_space(self, n_tracks, n_columns):
        return {"var_smoothing": [1e-9, 1e-3]}

classifiers.ClassifierConfig |= NaiveBayes

import sys
from genreclf.__main__ import main
sys.argv = ["genreclf", "train", "t.csv", "--classifier", "naive-bayes", "--search",
            "--set", "classifier.var_smoothing=0.1", "--set", "evaluation.folds=2", "-q"]
main()
'''
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "accuracy 100.0%" in done.stdout
    assert (tmp_path / "model.joblib").exists()
