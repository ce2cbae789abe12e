from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import Samples, clicks, music, noise, scikit_learns_checks, sine
from numpy.typing import NDArray
from sample_tables import texts
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from genreclf.config.load import load_config
from genreclf.extraction.chain import extract_one
from genreclf.features.pooling import feature_names
from genreclf.learning.novelty import NoveltyDetector, unlike_the_others
from genreclf.learning.scaling import LogScaler, measures_spread

RATE = 22050


@scikit_learns_checks(NoveltyDetector(n_folds=2), LogScaler(), LogScaler(limit=3.0))
def test_scikit_learns_contract(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def cloud(n: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((n, 8))


def test_distances_are_the_nearest_neighbours() -> None:
    values, unseen = cloud(200), cloud(20, seed=1)
    detector = NoveltyDetector(n_neighbors=3).fit(values)
    scale = StandardScaler().fit(values)
    nearest = NearestNeighbors(n_neighbors=3).fit(scale.transform(values))
    expected = nearest.kneighbors(scale.transform(unseen))[0].mean(axis=1)
    # The principal components that hold 99 % of the variance of eight even ones are all eight.
    np.testing.assert_allclose(detector.distances(unseen), expected)


def test_what_was_trained_on_is_familiar_and_far_away_is_not() -> None:
    detector = NoveltyDetector().fit(cloud(500))
    assert detector.is_novel(cloud(1000, seed=1)).mean() < 0.03
    assert detector.is_novel(cloud(100, seed=2) + 6).all()


def test_the_quantile_is_the_share_of_false_alarms() -> None:
    for quantile in (0.5, 0.9):
        detector = NoveltyDetector(quantile=quantile).fit(cloud(800))
        assert detector.is_novel(cloud(2000, seed=1)).mean() == pytest.approx(
            1 - quantile, abs=0.06
        )


def test_groups_are_no_measure_for_themselves() -> None:
    """Forty bands, whose tracks are all alike: another band is as far as any."""
    random = np.random.default_rng(0)
    bands = 5 * random.standard_normal((41, 6))
    which = np.repeat(np.arange(40), 10)
    values = bands[which] + 0.1 * random.standard_normal((400, 6))
    groups = texts([f"band {i}" for i in which])
    another = bands[40:] + 0.1 * random.standard_normal((20, 6))
    assert NoveltyDetector().fit(values).is_novel(another).all()
    assert not NoveltyDetector().fit(values, groups=groups).is_novel(another).any()


def test_one_group_tells_nothing() -> None:
    detector = NoveltyDetector().fit(cloud(30), groups=texts(["one"] * 30))
    assert not detector.is_novel(cloud(5) + 100).any()


def test_many_samples_are_drawn_from() -> None:
    detector = NoveltyDetector(max_samples=300).fit(cloud(2000))
    assert detector.neighbours_.n_samples_fit_ == 300
    assert detector.is_novel(cloud(100) + 9).all()


def test_missing_values_are_no_novelty() -> None:
    values = cloud(300)
    values[::7, 2] = np.nan
    assert NoveltyDetector().fit(values).is_novel(values).mean() < 0.05


def test_one_odd_sample_does_not_make_room_for_everything() -> None:
    values = cloud(100)
    values[0] = 1e6
    assert NoveltyDetector().fit(values).is_novel(cloud(50, seed=1) + 5e5).all()


def test_one_column_that_is_far_off_is_novel() -> None:
    """The classifier clips it, so only the detector sees how far off it is."""
    detector = NoveltyDetector().fit(cloud(300))
    values = cloud(50, seed=1)
    values[:, 2] += 30
    assert detector.is_novel(values).all()
    values[:, 2] = 1e300
    assert detector.is_novel(values).all()


# Six seconds without separation: what is asked here needs no more.
SHORT = load_config(overrides=["excerpt.seconds=6", "separation=none"])


@pytest.fixture(scope="module")
def features_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Samples], Samples]:
    path = tmp_path_factory.mktemp("audio") / "a.wav"

    def features(samples: Samples) -> Samples:
        soundfile.write(path, samples, RATE)
        return extract_one(path, SHORT)

    return features


def test_noise_tones_and_clicks_are_unlike_music(
    features_of: Callable[[Samples], Samples],
) -> None:
    pieces = [features_of(music(6, RATE, seed, 70 + 2 * seed)) for seed in range(40)]
    detector = NoveltyDetector(measures_spread(feature_names(SHORT))).fit(np.array(pieces[:32]))
    assert detector.is_novel(np.array(pieces[32:])).sum() <= 1
    odd = [noise(6, RATE), noise(6, RATE, 1e-3), sine(440, 6, RATE), sine(3000, 6, RATE, 0.1),
           clicks(120, 6, RATE)]  # fmt: skip
    assert detector.is_novel(np.array([features_of(samples) for samples in odd])).all()


@pytest.mark.parametrize("limit", [np.inf, 2.0])
def test_log_scaling_is_numpys(limit: float) -> None:
    random = np.random.default_rng(0)
    variances, means = random.lognormal(size=(50, 3)), random.standard_normal((50, 2))
    logarithmic = [True] * 3 + [False] * 2
    scaled = LogScaler(logarithmic, limit).fit_transform(np.hstack((variances, means)))
    expected = StandardScaler().fit_transform(np.hstack((np.log(variances), means)))
    np.testing.assert_allclose(scaled, np.clip(expected, -limit, limit), atol=1e-12)


def test_zero_where_all_were_positive_is_very_small() -> None:
    scaler = LogScaler([True]).fit(np.array([[1.0], [2.0], [4.0]]))
    low = scaler.transform(np.array([[0.0], [-3.0], [1e-9]]))
    assert np.isfinite(low).all()
    assert (low < -10).all()


def test_a_column_that_never_varies_is_zero() -> None:
    assert not LogScaler().fit_transform(np.array([[3.0, -1.0], [3.0, -1.0]])).any()


def test_tracks_of_a_table_that_are_unlike_the_others_are_found_farthest_first() -> None:
    values = cloud(200).astype(np.float32)
    values[[20, 70]] = [[9], [-7]]  # clipped, yet far from all others
    alone = texts([""] * 200)
    assert set(unlike_the_others(values, alone)[:2]) == {20, 70}
    assert len(unlike_the_others(values, alone)) < 6
    values[[21, 22, 23, 24, 25, 26]] = values[20] + cloud(6)[:, :8].astype(np.float32) / 100
    several = unlike_the_others(values, alone)
    assert not set(several) & set(range(20, 27))  # they have one another
    assert 70 in several
    groups = alone.copy()
    groups[20:27] = "one artist"
    assert set(unlike_the_others(values, groups)) >= {*range(20, 27), 70}
    assert not len(unlike_the_others(values, texts(["one"] * 200)))


def test_few_or_even_tracks_have_none_that_is_unlike_the_others() -> None:
    assert not len(unlike_the_others(cloud(1).astype(np.float32), texts([""])))
    assert not len(unlike_the_others(np.ones((30, 8), np.float32), texts([""] * 30)))
