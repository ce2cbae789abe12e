"""Whether a difference is noise: against scipy, against formulas written out, and by simulation."""

from math import sqrt

import numpy as np
import pytest
import scipy.stats

from genreclf.evaluation.significance import corrected_t_test, group_t_test, holm, sign_flip_test


def folds(seed: int, n: int = 20, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 0.05, n)


def test_without_shared_training_tracks_it_is_the_plain_t_test() -> None:
    d = folds(0, shift=0.02)
    found = corrected_t_test(d, np.ones(20), np.full(20, 1e12))
    expected = scipy.stats.ttest_1samp(d, 0)
    assert found is not None
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()))


def test_the_correction_is_that_of_nadeau_and_bengio() -> None:
    d = folds(1, n=10, shift=0.03)
    found = corrected_t_test(d, np.full(10, 7), np.full(10, 63))
    statistic = d.mean() / sqrt((1 / 10 + 7 / 63) * d.var(ddof=1))
    assert found is not None
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(2 * scipy.stats.t.sf(abs(statistic), 9))
    assert found.degrees_of_freedom == 9


@pytest.mark.parametrize("d", [[0.1], [0.1, 0.1, 0.1], np.zeros(10)])
def test_without_spread_there_is_no_t_test(d: list[float]) -> None:
    assert corrected_t_test(d, np.ones(len(d)), np.full(len(d), 9)) is None


def test_groups_of_one_track_give_the_plain_t_test() -> None:
    d = folds(2, n=30, shift=0.02)
    found = group_t_test(d, np.arange(30))
    expected = scipy.stats.ttest_1samp(d, 0)
    assert found is not None
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()))
    wider = group_t_test(d, np.arange(30), factor=4)
    assert wider is not None
    assert wider.statistic == pytest.approx(found.statistic / 2)


def test_tracks_of_one_group_count_as_one() -> None:
    """Groups of equal size give the t-test of their means; a repeated group tells nothing new."""
    means = folds(3, n=12, shift=0.02)
    noise = np.random.default_rng(0).normal(0, 0.1, (12, 5))
    d = means[:, None] + noise - noise.mean(axis=1, keepdims=True)
    found = group_t_test(d.ravel(), np.repeat(np.arange(12), 5))
    expected = scipy.stats.ttest_1samp(means, 0)
    assert found is not None
    assert found.degrees_of_freedom == pytest.approx(11)
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue))


def test_groups_of_unequal_size_have_the_jackknifes_variance() -> None:
    sizes = np.array([1, 2, 3, 10, 4, 5, 5])
    group = np.repeat(np.arange(7), sizes)
    d = np.random.default_rng(4).normal(0.3, 1, len(group)) + 0.5 * group
    without = np.array([d[group != i].mean() for i in range(7)])
    error = sqrt(6 / 7 * ((without - d.mean()) ** 2).sum())
    found = group_t_test(d, group)
    assert found is not None
    assert found.statistic == pytest.approx(d.mean() / error)
    assert found.degrees_of_freedom == pytest.approx(30**2 / (sizes**2).sum() - 1)


@pytest.mark.parametrize("group", [np.zeros(9, dtype=int), np.array([0] * 8 + [1])])
def test_one_group_or_nearly_gives_no_t_test(group: np.ndarray) -> None:
    assert group_t_test(np.arange(9), group) is None
    assert group_t_test(np.full(9, 0.2), np.arange(9)) is None  # nor does what never varies


@pytest.mark.parametrize("seed", range(3))
def test_few_units_are_exchanged_in_all_ways(seed: int) -> None:
    d = np.random.default_rng(seed).integers(-2, 4, 12).astype(float)
    expected = scipy.stats.permutation_test(
        (d,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=False
    )
    found = sign_flip_test(d)
    assert found.exact
    assert found.p_value == pytest.approx(expected.pvalue)


def test_right_or_wrong_answers_give_mcnemars_exact_test() -> None:
    only_first, only_second = 11, 3
    d = np.repeat([1.0, -1.0, 0.0], [only_first, only_second, 40])
    expected = scipy.stats.binomtest(only_second, only_first + only_second).pvalue
    assert sign_flip_test(d).p_value == pytest.approx(expected)


def test_many_units_are_exchanged_at_random_as_the_seed_says() -> None:
    d = np.random.default_rng(0).normal(0.4, 1, 60)
    found = sign_flip_test(d, seed=1)
    assert not found.exact
    assert found == sign_flip_test(d, seed=1)
    # The t-test knows the same of normal differences.
    assert found.p_value == pytest.approx(scipy.stats.ttest_1samp(d, 0).pvalue, abs=0.01)


def test_what_never_differs_is_no_difference() -> None:
    assert sign_flip_test(np.zeros(30)).p_value == 1
    assert sign_flip_test([]).p_value == 1


def test_holm_written_out() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_of_nothing_little_is_found_and_of_much_almost_all() -> None:
    """Two classifiers with the same chance of being right on each of 200 tracks; then one better.

    Folds of one cross-validation share what is trained on; here nothing is, so that the corrected
    test is on the careful side.
    """
    random = np.random.default_rng(0)

    def p_values(gain: float) -> np.ndarray:
        found = []
        for _ in range(200):
            right = random.random((2, 10, 20)) < np.array([0.6, 0.6 + gain])[:, None, None]
            d = right[1].mean(axis=1) - right[0].mean(axis=1)
            test = corrected_t_test(d, np.full(10, 20), np.full(10, 180))
            found.append(1.0 if test is None else test.p_value)
        return np.array(found)

    assert (p_values(0) < 0.05).mean() <= 0.06
    assert (p_values(0.25) < 0.05).mean() >= 0.9
