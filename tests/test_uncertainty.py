import numpy as np
import pytest
from numpy.typing import NDArray
from sample_tables import texts
from scipy.stats import binom
from sklearn.calibration import calibration_curve

from genreclf.evaluation.intervals import bootstrap_interval, cluster_variance
from genreclf.evaluation.reliability import (
    calibration_error_by_chance,
    expected_calibration_error,
    reliability,
)
from genreclf.evaluation.significance import permutation_p_value

Booleans = NDArray[np.bool_]
Doubles = NDArray[np.float64]


def answers(n: int, seed: int = 0) -> tuple[Doubles, Booleans]:
    """Confidences, each right as often as it says."""
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.1, 1, n)
    return confidence, random.uniform(size=n) < confidence


def test_reliability_is_scikit_learns_calibration_curve() -> None:
    confidence, correct = answers(500)
    bins = reliability(confidence, correct)
    right, mean = calibration_curve(correct, confidence, n_bins=10)
    np.testing.assert_allclose([part.accuracy for part in bins], right)
    np.testing.assert_allclose([part.confidence for part in bins], mean)
    assert sum(part.n for part in bins) == 500
    assert all(part.low < part.confidence <= part.high for part in bins)


def test_what_says_how_often_it_is_right_has_no_calibration_error() -> None:
    confidence, correct = answers(20_000)
    assert expected_calibration_error(reliability(confidence, correct)) < 0.01
    too_sure = np.sqrt(confidence)
    expected = np.mean(too_sure) - np.mean(correct)
    error = expected_calibration_error(reliability(too_sure, correct))
    assert error == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("n", "points"), [(42, 14), (200, 6.7), (948, 3.2)])
def test_few_answers_are_off_by_chance(n: int, points: float) -> None:
    """Off by so many points is what answers are that are right exactly as often as they say."""
    confidence = np.random.default_rng(0).uniform(0.2, 1, n)
    mean, low, high = calibration_error_by_chance(confidence)
    errors = []
    for seed in range(300):
        correct = np.random.default_rng(seed).uniform(size=n) < confidence
        errors.append(expected_calibration_error(reliability(confidence, correct)))
    assert mean == pytest.approx(np.mean(errors), rel=0.05)
    assert (low, high) == pytest.approx(np.percentile(errors, (2.5, 97.5)), rel=0.1)
    assert mean == pytest.approx(points / 100, rel=0.25)


def test_one_bin_is_off_as_the_binomial_distribution_says() -> None:
    mean, low, high = calibration_error_by_chance(np.full(100, 0.65))
    count = np.arange(101)
    expected = binom.expect(lambda k: abs(k / 100 - 0.65), (100, 0.65))
    assert mean == pytest.approx(expected, rel=0.05)
    assert binom.pmf(count[np.abs(count / 100 - 0.65) <= high + 1e-9], 100, 0.65).sum() > 0.95
    assert 0 <= low < 0.01
    assert calibration_error_by_chance(np.ones(5)) == (0, 0, 0)
    copied = calibration_error_by_chance(np.full(400, 0.65), 100)  # four copies of each
    assert copied[0] == pytest.approx(mean, rel=0.1)


def test_the_variance_of_groups_of_one_is_that_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(size=40)
    expected = values.var(ddof=1) / 40
    assert cluster_variance(values, np.arange(40)) == pytest.approx(expected)
    assert cluster_variance(np.repeat(values, 3), np.repeat(np.arange(40), 3)) == pytest.approx(
        expected
    )


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_the_ends_of_the_scale_have_their_bins(confidence: float) -> None:
    (only,) = reliability(np.full(3, confidence), np.ones(3, dtype=bool))
    assert only.n == 3
    assert only.low <= confidence <= only.high


def test_p_values_of_guesses_are_uniform() -> None:
    random = np.random.default_rng(0)
    p = []
    for seed in range(100):
        labels, predicted = (texts([f"g{i}" for i in random.integers(4, size=60)]) for _ in "ab")
        p.append(permutation_p_value(labels, predicted, texts([""] * 60), 99, seed))
    assert np.mean(np.array(p) <= 0.1) == pytest.approx(0.1, abs=0.08)
    assert np.mean(p) == pytest.approx(0.55, abs=0.1)


def test_right_answers_are_no_chance() -> None:
    labels = texts(["a", "b", "c"] * 20)
    assert permutation_p_value(labels, labels, texts([""] * 60), 199, 0) == 1 / 200


def test_tracks_of_one_artist_are_one_piece_of_evidence() -> None:
    """Of six artists of ten tracks, predicted all or none, much happens by chance."""
    labels = texts([genre for genre in "aabbcc" for _ in range(10)])
    predicted = texts([genre for genre in "aabbac" for _ in range(10)])
    artists = texts([f"artist {i}" for i in range(6) for _ in range(10)])
    alone = permutation_p_value(labels, predicted, texts([""] * 60), 999, 0)
    together = permutation_p_value(labels, predicted, artists, 999, 0)
    assert alone == 0.001
    assert 0.02 < together < 0.3


def test_the_bootstrap_draws_whole_groups() -> None:
    values = np.random.default_rng(0).normal(size=60)
    single = texts([""] * 60)
    low, high = bootstrap_interval(values, single, 2000, 0)
    reach = 1.96 * values.std() / np.sqrt(60)
    assert (low, high) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=0.05)
    groups = texts([f"g{i // 5}" for i in range(300)])  # each value five times
    assert bootstrap_interval(np.repeat(values, 5), groups, 2000, 0) == pytest.approx(
        (low, high), abs=0.03
    )
    assert bootstrap_interval(values, texts(["one"] * 60), 2000, 0) == (values.mean(),) * 2
