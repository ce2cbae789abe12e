import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, binomtest
from sklearn.calibration import calibration_curve
from test_table import texts

from genreclf.evaluation.uncertainty import (
    calibration_error_by_chance,
    cluster_variance,
    expected_calibration_error,
    nearest_to_precision,
    permutation_p_value,
    reliability,
    sensible_threshold,
    threshold_for_precision,
)

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


@pytest.mark.parametrize("target", [0.6, 0.8, 0.95])
def test_answers_above_the_threshold_are_right_often_enough_on_new_tracks(target: float) -> None:
    found = threshold_for_precision(*answers(2000), target)
    assert found is not None
    confidence, correct = answers(20_000, seed=1)
    given = confidence >= found.confidence
    assert correct[given].mean() == pytest.approx(found.precision, abs=0.03)
    assert correct[given].mean() > target - 0.02
    assert given.mean() == pytest.approx(found.coverage, abs=0.03)
    # For confidences that are uniform and true, the mean above t is (1 + t) / 2.
    assert found.confidence == pytest.approx(max(0.1, 2 * target - 1), abs=0.06)


def test_the_threshold_is_the_lowest_that_will_do() -> None:
    correct = np.array([True] * 18 + [False] * 2 + [True] * 2)
    confidence = np.linspace(0.9, 0.4, len(correct))
    found = threshold_for_precision(confidence, correct, 0.8)
    assert found is not None
    assert (found.coverage, found.precision) == (1, 20 / 22)
    assert found.confidence == 0  # right often enough without a threshold
    stricter = threshold_for_precision(confidence, correct, 0.94)
    assert stricter is not None
    assert stricter.confidence == pytest.approx(confidence[17])


def test_equal_confidences_are_answered_all_or_none() -> None:
    correct = np.array([True] * 10 + [False] * 10)
    assert threshold_for_precision(np.full(20, 0.5), correct, 0.9) is None
    found = threshold_for_precision(np.full(20, 0.5), correct, 0.35)
    assert found is not None
    assert found.coverage == 1


def test_a_few_right_answers_promise_nothing() -> None:
    assert threshold_for_precision(np.linspace(1, 0.9, 5), np.ones(5, dtype=bool), 0.9) is None
    assert threshold_for_precision(np.linspace(1, 0.9, 9), np.ones(9, dtype=bool), 0.9) is not None


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


def test_a_sensible_threshold_leaves_more_right_than_wrong() -> None:
    confidence = np.repeat([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], 4)
    correct = np.repeat([True, True, False, True, False, False], 4)
    found = sensible_threshold(confidence, correct)
    assert found is not None
    # 8, 4 or 8 more right than wrong from 0.8, 0.7 and 0.6 on. Below 0.8, 4 of 16 are right, and
    # the 95 % interval of that ends below a half.
    assert (found.confidence, found.precision, found.coverage) == (0.8, 1.0, pytest.approx(1 / 3))
    assert "target_precision" not in found.to_dict()
    assert sensible_threshold(confidence, ~correct & (confidence > 0.65)) is None
    assert sensible_threshold(confidence, np.zeros(24, dtype=bool)) is None


@pytest.mark.parametrize("n_wrong", range(8))
def test_a_sensible_threshold_needs_enough_wrong_answers(n_wrong: int) -> None:
    confidence = np.linspace(1, 0.3, 40)
    correct = np.arange(40) < 40 - n_wrong
    found = sensible_threshold(confidence, correct)
    assert found is not None
    enough = n_wrong and binomtest(0, n_wrong).proportion_ci(method="wilson").high < 0.5
    if enough:
        assert found.confidence == confidence[39 - n_wrong]
        assert found.precision == 1
    else:
        assert (found.confidence, found.coverage) == (0, 1)
        assert found.precision == correct.mean()
    copied = sensible_threshold(np.tile(confidence, 5), np.tile(correct, 5), np.full(200, 0.2))
    assert copied is not None
    assert copied.confidence == found.confidence


def test_a_sensible_threshold_of_many_is_where_half_are_right() -> None:
    random = np.random.default_rng(0)
    confidence = random.uniform(0, 1, 20_000)
    correct = random.uniform(0, 1, 20_000) < confidence  # perfectly calibrated
    found = sensible_threshold(confidence, correct)
    assert found is not None
    assert found.confidence == pytest.approx(0.5, abs=0.05)
    bins = reliability(confidence, correct)
    low, share, n = (np.array([getattr(b, k) for b in bins]) for k in ("low", "accuracy", "n"))
    binned = sensible_threshold(low, share, n)
    assert binned is not None
    assert binned.confidence == pytest.approx(0.5)
    assert binned.precision == pytest.approx(correct[confidence > 0.5].mean())
    assert binned.coverage == pytest.approx((confidence > 0.5).mean())


def test_a_sensible_threshold_divides_no_equal_confidences() -> None:
    confidence = np.array([0.9] * 5 + [0.5] * 10)
    found = sensible_threshold(confidence, np.arange(15) < 6)  # one of those of 0.5 is right
    assert found is not None
    assert found.confidence == 0.9


def test_how_near_the_answers_come_to_a_precision() -> None:
    confidence = np.linspace(1, 0, 20)
    correct = np.arange(20) % 5 != 4  # every fifth one is wrong
    assert threshold_for_precision(confidence, correct, 0.95) is None
    n, precision = nearest_to_precision(confidence, correct, 0.95)
    assert (n, precision) == (4, 1)
    assert nearest_to_precision(confidence, correct, 0.95, np.full(20, 0.5))[0] < 10
