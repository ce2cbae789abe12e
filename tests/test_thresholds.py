"""The confidence below which a model answers ``unknown``."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from genreclf.evaluation.reliability import reliability
from genreclf.learning.thresholds import (
    nearest_to_precision,
    sensible_threshold,
    threshold_for_precision,
)


def answers(n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return confidences, and whether each prediction is correct: as often as it says."""
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.1, 1, n)
    return confidence, random.uniform(size=n) < confidence


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
