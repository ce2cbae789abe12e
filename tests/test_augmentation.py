"""Synthetic samples of scarce genres: what they are, and that nothing is ever tested on them."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from conftest import scikit_learns_checks
from helpers import run
from numpy.typing import NDArray
from sample_tables import blobs, texts
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.covariance import LedoitWolf
from sklearn.svm import SVC

from genreclf.config.load import load_config
from genreclf.config.schema import Config
from genreclf.errors import ConfigError, TableError
from genreclf.evaluation.crossvalidation import cross_validate
from genreclf.evaluation.notes import IDLE_WEIGHTS
from genreclf.learning.augmentation.gaussian import GaussianSampler
from genreclf.learning.augmentation.oversample import Oversampler
from genreclf.learning.augmentation.resampled import Resampled
from genreclf.learning.augmentation.sampler import Sampler, missing_samples
from genreclf.learning.augmentation.smote import Smote
from genreclf.learning.calibration import TemperatureScaled
from genreclf.learning.model import Model
from genreclf.learning.outofcore import TableParts
from genreclf.learning.training import fit_pipeline, training_seconds
from genreclf.tables.columns import Columns
from genreclf.tables.table import FeatureTable

SAMPLERS = [Oversampler(3), Smote(3), GaussianSampler(3)]


def scarce(*counts: int, n_features: int = 4, spread: float = 4.0) -> FeatureTable:
    """Clouds of different sizes, one a genre."""
    table = blobs(max(counts), len(counts), n_features, spread)
    kept = [table.labels == f"genre{genre}" for genre in range(len(counts))]
    rows = [np.flatnonzero(of)[:n] for of, n in zip(kept, counts, strict=True)]
    return table.take(np.sort(np.concatenate(rows)))


def configured(*overrides: str) -> Config:
    return load_config(overrides=list(overrides))


def test_scarce_genres_lack_what_the_median_genre_has() -> None:
    assert missing_samples("aabbbbbcccccccc") == {"a": 3}
    assert missing_samples("abbbccccccc") == {"a": 2}
    assert missing_samples("aaabbbbbb") == {"a": 1}  # the median is 4.5
    assert missing_samples("aabb") == {}


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
def test_given_vectors_come_first_and_made_ones_fill_up(sampler: Sampler) -> None:
    table = scarce(3, 12, 7, 30, 1)
    X, y = sampler.fit_resample(table.values, table.labels)
    np.testing.assert_array_equal(X[: len(table)], table.values)
    np.testing.assert_array_equal(y[: len(table)], table.labels)
    assert Counter(y) == {"genre0": 7, "genre1": 12, "genre2": 7, "genre3": 30, "genre4": 7}
    assert np.isfinite(X).all()
    again, _ = sampler.fit_resample(table.values, table.labels)
    np.testing.assert_array_equal(again, X)
    other, _ = type(sampler)(4).fit_resample(table.values, table.labels)
    assert (other != X).any()
    for number, genre in enumerate(table.genres):
        own, made = table.values[table.labels == genre], X[len(table) :][y[len(table) :] == genre]
        assert len(made) == [4, 0, 0, 0, 6][number]
        if len(made):
            assert np.abs(made.mean(axis=0) - own.mean(axis=0)).max() < 3


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
def test_where_no_genre_is_scarce_nothing_is_made(sampler: Sampler) -> None:
    table = scarce(6, 6, 6)
    X, y = sampler.fit_resample(table.values, table.labels)
    np.testing.assert_array_equal(X, table.values)
    np.testing.assert_array_equal(y, table.labels)


def test_oversampling_copies_vectors_of_the_genre() -> None:
    table = scarce(3, 40, 40)
    X, _ = Oversampler().fit_resample(table.values, table.labels)
    own = {tuple(row) for row in table.values[table.labels == "genre0"].tolist()}
    assert {tuple(row) for row in X[len(table) :].tolist()} == own


def test_smote_makes_what_imbalanced_learn_makes() -> None:
    oracle = pytest.importorskip("imblearn.over_sampling", reason="needs imbalanced-learn")
    table = scarce(9, 30, 20, 12, 20)
    wanted = {"genre0": 20, "genre3": 20}
    X, y = oracle.SMOTE(sampling_strategy=wanted, random_state=5).fit_resample(
        table.values.astype(np.float64), table.labels
    )
    ours, labels = Smote(5).fit_resample(table.values, table.labels)
    np.testing.assert_array_equal(labels, y)
    np.testing.assert_allclose(ours, X, atol=1e-12)


def test_smote_stays_between_neighbours_however_few_there_are() -> None:
    table = scarce(2, 9, 9)
    X, _ = Smote().fit_resample(table.values, table.labels)
    first, second = table.values[table.labels == "genre0"].astype(np.float64)
    steps = (X[len(table) :] - first) / (second - first)
    np.testing.assert_allclose(steps, np.repeat(steps[:, :1], 4, axis=1), atol=1e-6)
    assert (steps[:, 0] >= 0).all()
    assert (steps[:, 0] <= 1).all()


def test_the_gaussian_has_the_mean_of_a_genre_and_the_covariance_within_all() -> None:
    table = scarce(5, 6000, 6000)
    mixing = np.array([[1, 0.8, 0, 0], [0, 0.6, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0.1]])
    values = table.values @ mixing
    X, _ = GaussianSampler().fit_resample(values, table.labels)
    made = X[len(table) :]
    means = np.array([values[table.labels == genre].mean(axis=0) for genre in table.genres])
    codes = np.searchsorted(table.genres, table.labels.astype(str))
    expected = LedoitWolf(assume_centered=True).fit(values - means[codes]).covariance_
    np.testing.assert_allclose(made.mean(axis=0), means[0], atol=0.1)
    np.testing.assert_allclose(np.cov(made.T), expected, atol=0.15)


class Watched(ClassifierMixin, BaseEstimator):
    """Remembers what it learns from and what it is asked."""

    seen: ClassVar[list[tuple[set[tuple[float, ...]], set[tuple[float, ...]]]]] = []

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> "Watched":
        self.classes_ = np.unique(y)
        self.trained_ = {tuple(row) for row in X.tolist()}
        return self

    def predict_proba(self, X: NDArray[Any]) -> NDArray[Any]:
        self.seen.append((self.trained_, {tuple(row) for row in X.tolist()}))
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


@pytest.mark.parametrize("method", ["oversample", "smote", "gaussian"])
def test_calibration_scores_neither_made_vectors_nor_what_they_were_made_from(method: str) -> None:
    table = scarce(4, 20, 20)
    Watched.seen.clear()
    TemperatureScaled(Resampled(Watched(), method)).fit(table.values, table.labels)
    real = {tuple(row) for row in table.values.tolist()}
    assert len(Watched.seen) == 4  # as many folds as the scarce genre has tracks
    for trained, scored in Watched.seen:
        assert scored < real
        assert not trained & scored
        made = trained - real
        if method == "oversample":
            assert not made
        else:
            assert len(made) == 15 - 3  # the median in a fold is 15
    assert set().union(*(scored for _, scored in Watched.seen)) == real


def test_one_nearest_neighbour_cannot_tell_that_there_are_copies() -> None:
    """Neither in its predictions, nor in its probabilities: folds hold real tracks only."""
    table = scarce(5, 30, 20, spread=0.3)
    one = ["classifier.name=knn", "classifier.n_neighbors=1", "evaluation.folds=4"]
    plain, copied = (
        cross_validate(table, configured(*one, f"augment={how}")) for how in ("none", "oversample")
    )
    np.testing.assert_array_equal(copied.held_out.probabilities, plain.held_out.probabilities)
    assert plain.accuracy < 0.9
    models = [
        fit_pipeline(table, configured(*one, f"augment={how}")) for how in ("none", "oversample")
    ]
    probabilities = [
        model.predict_proba(blobs(9, spread=0.3, n_features=4).values) for model in models
    ]
    np.testing.assert_array_equal(*probabilities)


def test_made_vectors_are_counted() -> None:
    table = scarce(4, 24, 12, 12)
    found = cross_validate(table, configured("augment=gaussian", "evaluation.folds=4"))
    [text] = [text for text in found.notes if "augment" in text]
    # 9 - 3 in each of 4
    assert text.startswith("augment = 'gaussian': 24 synthetic samples were added")
    assert "in the training parts of 4 folds" in text
    assert len(found.held_out.rows) == len(table)
    model = Model.fit(table, configured("augment=gaussian"))
    assert model.made == {"genre0": 8}
    assert Model.fit(table, configured()).made == {}


def test_every_classifier_sees_them() -> None:
    table = scarce(3, 30, 30, spread=0.3)
    for name in ("svm", "lda", "knn", "logistic", "ensemble"):
        quick = ["classifier.n_estimators=5"] if name == "ensemble" else []
        chosen = [f"classifier.name={name}", *quick]
        with_, without = (
            fit_pipeline(table, configured(*chosen, f"augment={how}"), calibrated=False)
            for how in ("gaussian", "none")
        )
        probabilities = [each.predict_proba(table.values + 0.5) for each in (with_, without)]
        assert np.abs(probabilities[0] - probabilities[1]).max() > 0.01


def test_an_ensemble_resamples_within_its_members() -> None:
    config = configured("classifier.name=ensemble", "augment=smote", "classifier.n_estimators=3")
    pipeline = fit_pipeline(scarce(4, 20, 20), config, calibrated=False)
    vote = pipeline["classify"].estimator_
    assert not isinstance(vote, Resampled)
    svm, lda, trees = vote.vote_.estimators_
    for member in (svm.estimator_, lda.estimator_, trees):
        assert isinstance(member, Resampled)
        assert member.method == "smote"


@pytest.mark.parametrize("suffix", [".joblib", ".skops"])
@pytest.mark.parametrize("method", ["gaussian", "smote"])
def test_a_saved_model_predicts_the_same_and_tells_what_was_made(
    method: str, suffix: str, tmp_path: Path
) -> None:
    if suffix == ".skops":
        pytest.importorskip("skops")
    table = scarce(4, 20, 20)
    model = Model.fit(table, configured(f"augment={method}", "classifier.name=lda"))
    model.save(tmp_path / f"m{suffix}")
    loaded = Model.load(tmp_path / f"m{suffix}")
    np.testing.assert_array_equal(loaded.predict_proba(table), model.predict_proba(table))
    shown = run("inspect", tmp_path / f"m{suffix}").stdout
    assert f"{method}, synthetic samples: genre0 16" in " ".join(shown.split())


def test_train_and_compare_take_the_option(tmp_path: Path) -> None:
    scarce(4, 12, 12).save(tmp_path / "t.csv")
    quick = ["--classifier", "lda", "--set", "evaluation.folds=3"]
    done = run(
        "train", tmp_path / "t.csv", "-o", tmp_path / "m.joblib", "--augment", "gaussian", *quick
    )
    assert done.exit_code == 0, done.output
    assert "8 synthetic samples used in training: genre0 8" in done.stderr
    assert "augment = 'gaussian': " in " ".join(done.stdout.split())
    done = run(
        "compare", tmp_path / "t.csv", "--augment", "smote", "--variant", "plain: augment=none",
        *quick, "--repeats", 1, "--json", "-",
    )  # fmt: skip
    first, second = json.loads(done.stdout)["variants"]
    assert (first["config"]["augment"], second["config"]["augment"]) == ("smote", "none")


def test_without_torch_the_gan_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scarce(4, 12, 12).save(tmp_path / "t.csv")
    monkeypatch.setitem(sys.modules, "torch", None)
    commands = [
        ("train", tmp_path / "t.csv", "-o", tmp_path / "m.joblib", "--augment", "gan"),
        ("evaluate", tmp_path / "t.csv", "--set", "augment=gan"),
        ("compare", tmp_path / "t.csv", "--variant", "augment=gan"),
    ]
    for command in commands:
        done = run(*command)
        assert done.exit_code == 1
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
        assert "pip install 'genreclf[torch]'" in done.stderr
        assert "https://pytorch.org/get-started/locally/" in done.stderr
    assert not (tmp_path / "m.joblib").exists()


def test_the_estimate_includes_the_gan() -> None:
    table = scarce(4, 20, 20)
    none, gaussian, gan = (
        training_seconds(table, configured(f"augment={how}"), calibrated=False)
        for how in ("none", "gaussian", "gan")
    )
    assert none < gaussian < gan - 1
    long = configured("augment=gan", "gan.steps=10000")
    assert training_seconds(table, long, calibrated=False) > 5 * gan
    even = training_seconds(scarce(20, 20, 20), configured("augment=gan"))
    assert even == training_seconds(scarce(20, 20, 20), configured())


def test_out_of_core_makes_no_vectors(tmp_path: Path) -> None:
    config = configured("classifier.name=lda", "augment=gaussian")
    with pytest.raises(TableError, match="augment"):
        TableParts(tmp_path, Columns(), config)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("augment=mixup", "can be none, oversample, smote, gaussian, gan"),
        ("gan.discriminator_layers=[64]", "more than the 64 of generator_layers"),
        ("gan.generator_layers=[]", "gan.generator_layers"),
        ("gan.optimizer.name=lion", "can be sgd, adagrad, rmsprop, rmsprop-nesterov, adam"),
        ("gan.optimizer.rho=0.5", "'adam', only with 'rmsprop' or 'rmsprop-nesterov'"),
        ("gan.optimizer.momentum=1", "gan.optimizer.momentum = 1"),
        ("gan.optimizer.speed=1", "gan.optimizer.speed"),
        (
            "classifier.name=convnet augment=smote",
            "'smote' adds synthetic samples of features, but convnet learns from frames",
        ),
    ],
)
def test_settings_that_cannot_be_are_told(override: str, told: str) -> None:
    with pytest.raises(ConfigError, match=r"^--set: ") as caught:
        configured(*override.split())
    assert told in str(caught.value)


@scikit_learns_checks(Resampled())
def test_scikit_learns_contract(estimator: Resampled, check: Callable[..., None]) -> None:
    check(estimator)


def test_class_weights_without_effect_are_told(tmp_path: Path) -> None:
    apart = scarce(8, 40, 40, n_features=30)
    found = cross_validate(apart, configured("evaluation.folds=2"))
    assert IDLE_WEIGHTS in found.notes
    seen = fit_pipeline(apart, configured(), calibrated=False)
    plain = SVC(C=3.0, decision_function_shape="ovo")
    plain.fit(seen[:-1].transform(apart.values), apart.labels)
    np.testing.assert_allclose(
        seen["classify"].estimator_.decision_function(seen[:-1].transform(apart.values)),
        plain.decision_function(seen[:-1].transform(apart.values)),
        atol=1e-9,
    )
    apart.save(tmp_path / "t.csv")
    done = run("train", tmp_path / "t.csv", "-o", tmp_path / "m.joblib", "--no-evaluate")
    assert IDLE_WEIGHTS in done.stderr


@pytest.mark.parametrize(
    "changes", ["classifier.C=0.05", "classifier.name=lda", "augment=gaussian"]
)
def test_where_weights_matter_or_are_not_used_nothing_is_told(changes: str) -> None:
    table = scarce(8, 40, 40, n_features=30)
    assert (
        IDLE_WEIGHTS not in cross_validate(table, configured("evaluation.folds=2", changes)).notes
    )
    even = scarce(20, 20, 20, n_features=30)
    assert IDLE_WEIGHTS not in cross_validate(even, configured("evaluation.folds=2")).notes


def test_groups_stay_together_with_augmentation() -> None:
    table = blobs(20, 3, group=lambda genre, i: f"{genre}-{i // 4}")
    rare = table.take(np.flatnonzero((table.labels != "genre0") | (np.arange(60) < 24)))
    found = cross_validate(rare, configured("augment=smote", "evaluation.folds=2"))
    assert found.splits["kind"] == "grouped"
    relabelled = replace(rare, labels=texts(list(rare.labels)))
    again = cross_validate(relabelled, configured("augment=smote", "evaluation.folds=2"))
    np.testing.assert_array_equal(again.held_out.probabilities, found.held_out.probabilities)
