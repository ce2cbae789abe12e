"""The approximated kernel of an SVM for large tables."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import scikit_learns_checks
from helpers import run
from numpy.typing import NDArray
from sample_tables import blobs
from scipy.special import softmax
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from genreclf.config.load import load_config
from genreclf.learning.classifiers import kernel
from genreclf.learning.model import Model
from genreclf.learning.modelfile import read_card
from genreclf.learning.nystroem import LOGISTIC_C, NystroemClassifier
from genreclf.learning.training import fit_pipeline, training_seconds


def clusters(
    n: int, n_classes: int = 4, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Three clouds a class, so that no line separates classes; the same ones for each seed."""
    centres = 1.5 * np.random.default_rng(0).standard_normal((n_classes, 3, 8))
    random = np.random.default_rng(seed)
    codes, cloud = random.integers(n_classes, size=n), random.integers(3, size=n)
    return centres[codes, cloud] + random.standard_normal((n, 8)), codes


@scikit_learns_checks(NystroemClassifier(n_components=50))
def test_scikit_learns_contract(estimator: Any, check: Callable[..., None]) -> None:
    check(estimator)


@pytest.mark.parametrize("n_components", [60, 300])
def test_it_is_scikit_learns_kernel_logistic_regression(
    monkeypatch: pytest.MonkeyPatch, n_components: int
) -> None:
    monkeypatch.setattr("genreclf.learning.nystroem.LEAST_GAIN", 1e-12)
    values, codes = clusters(300)
    ours = NystroemClassifier(C=0.5, gamma=0.05, n_components=n_components).fit(values, codes)
    features = Nystroem(gamma=0.05, n_components=n_components, random_state=0)
    features.fit(ours.landmarks_)  # it draws all of them, in another order
    regression = LogisticRegression(
        C=0.5 * LOGISTIC_C, class_weight="balanced", tol=1e-9, max_iter=10_000
    ).fit(features.transform(values), codes)
    expected = regression.predict_proba(features.transform(values))
    found = softmax(ours.decision_function(values), axis=1)
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("n_classes", [2, 6])
def test_it_is_as_accurate_as_the_exact_machine(n_classes: int) -> None:
    (values, codes), (unseen, truth) = (clusters(n, n_classes, n) for n in (3000, 4000))
    exact = SVC(C=3, class_weight="balanced").fit(values, codes).score(unseen, truth)
    linear = LogisticRegression().fit(values, codes).score(unseen, truth)
    ours = NystroemClassifier(C=3, n_components=300).fit(values, codes).score(unseen, truth)
    assert ours > exact - 0.01
    assert ours > linear + 0.05


def test_every_sample_of_a_rare_class_is_a_landmark() -> None:
    values, codes = clusters(2000, 2)
    rare = values[:8] + 20
    fitted = NystroemClassifier(n_components=100).fit(
        np.concatenate((values, rare)), np.concatenate((codes, np.full(8, 2)))
    )
    assert len(fitted.landmarks_) == 100
    assert (fitted.landmarks_.mean(axis=1) > 10).sum() == 8
    assert (fitted.predict(rare) == 2).all()


@pytest.fixture
def exact_fits(fits: list[int], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of tracks of each fit of an exact machine, with 100 tracks counting as many."""
    monkeypatch.setattr(kernel, "EXACT_UP_TO", 100)
    return fits


def test_a_large_table_is_approximated_in_all_folds_and_the_card_says_so(
    exact_fits: list[int], tmp_path: Path
) -> None:
    table, model = tmp_path / "t.csv", tmp_path / "m.joblib"
    blobs(34, 3, spread=1).save(table)  # of which folds train on 92
    done = run("train", table, "-o", model)
    assert done.exit_code == 0, done.output
    assert not exact_fits
    note = "note: svm, its kernel approximated by 2,000 components, because there are more than"
    assert note in done.stderr
    assert "--set classifier.kernel_approximation=off" in done.stderr
    assert "kernel approximated by 2,000 components" in run("inspect", model).stdout
    card = read_card(model)
    assert card.evaluation is not None
    assert "svm, its kernel approximated by 2,000 components" in card.evaluation["notes"]
    assert card.config.classifier.hyperparameters["kernel_approximation"] == 2000
    done = run("compare", table, "--classifiers", "svm,lda", "--repeats", "1", "--json", "-")
    assert done.stderr.count("svm, its kernel approximated by 2,000 components, because") == 1
    assert "svm, its kernel approximated by 2,000 components" in json.loads(done.stdout)["notes"]
    assert not exact_fits


@pytest.mark.parametrize(
    ("value", "n_tracks", "exact"),
    [("auto", 99, True), ("auto", 102, False), ("off", 102, True), ("20", 99, False)],
)
def test_the_configuration_decides(
    exact_fits: list[int], value: str, n_tracks: int, exact: bool
) -> None:
    table = blobs(n_tracks // 3, 3)
    config = load_config(overrides=[f"classifier.kernel_approximation={value}"])
    pipeline = fit_pipeline(table, config)
    assert bool(exact_fits) == exact
    assert isinstance(pipeline["classify"].estimator_, NystroemClassifier) != exact
    assert pipeline.score(table.values, table.labels) > 0.95


def test_the_svm_of_a_large_ensemble_is_approximated(exact_fits: list[int]) -> None:
    table = blobs(34, 3)
    small = ["classifier.name=ensemble", "classifier.n_estimators=5"]
    approximated = fit_pipeline(table, load_config(overrides=small))
    assert not exact_fits
    [machine, _, _] = approximated["classify"].estimator_.vote_.estimators_
    assert isinstance(machine.estimator_, NystroemClassifier)
    assert approximated.score(table.values, table.labels) > 0.95
    fit_pipeline(table, load_config(overrides=[*small, "classifier.kernel_approximation=off"]))
    assert exact_fits


def test_an_approximated_model_is_the_same_from_a_skops_file(tmp_path: Path) -> None:
    pytest.importorskip("skops", reason="skops is an extra")
    table = blobs(20)
    config = load_config(overrides=["classifier.kernel_approximation=30"])
    model = Model.fit(table, config)
    model.save(tmp_path / "m.skops")
    read = Model.load(tmp_path / "m.skops")
    np.testing.assert_array_equal(read.predict_proba(table), model.predict_proba(table))


def test_an_approximation_is_estimated_to_take_less_time() -> None:
    small = blobs(20)
    large = small.take(np.tile(np.arange(60), 2000))
    exact, fewer = (
        load_config(overrides=[f"classifier.kernel_approximation={value}"])
        for value in ("off", "1000")
    )
    seconds = training_seconds(large, load_config())
    narrow = replace(large, names=large.names[:2], values=large.values[:, :2])
    assert training_seconds(narrow, load_config()) == seconds  # the kernel takes little of it
    wide = replace(large, names=50 * large.names, values=np.tile(large.values, 50))
    assert training_seconds(wide, exact) > 10 * seconds
    assert training_seconds(large, fewer) == pytest.approx(seconds / 2)
    assert training_seconds(small, load_config()) == training_seconds(small, exact)
