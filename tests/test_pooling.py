from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import scipy.stats
from conftest import music

from genreclf.audio import AudioInfo
from genreclf.config import ExtractionConfig, FrameFeature, TrackFeature, load_config
from genreclf.excerpt import Excerpt
from genreclf.features import TRACK_LEVEL, compute_features, feature_rows
from genreclf.pooling import STATISTICS, feature_names, pool
from genreclf.separation import separate
from genreclf.spectra import Array, mix_spectrum

ALL_OVERRIDE = (
    'pooling.statistics=["kurtosis", "max", "mean", "median", "min", "skewness", "std", "var"]'
)
ORACLES: dict[str, Callable[[Any], Any]] = {
    "mean": lambda rows: np.mean(rows, axis=1),
    "var": lambda rows: np.var(rows, axis=1),
    "max": lambda rows: np.max(rows, axis=1),
    "min": lambda rows: np.min(rows, axis=1),
    "std": lambda rows: np.std(rows, axis=1),
    "median": lambda rows: np.median(rows, axis=1),
    "skewness": lambda rows: scipy.stats.skew(rows, axis=1, bias=True),
    "kurtosis": lambda rows: scipy.stats.kurtosis(rows, axis=1, fisher=True, bias=True),
}
CONFIGS = {
    "default": load_config(),
    "wide": load_config("wide"),
    "none": load_config(overrides=["separation=none"]),
    "gtzan57": load_config("gtzan57"),
    "gtzan-mfcc": load_config("gtzan-mfcc"),
    "all statistics": load_config(overrides=[ALL_OVERRIDE]),
    "one statistic": load_config(overrides=['pooling.statistics=["median"]', "features.n_mfcc=5"]),
}


EVERYTHING = load_config(
    overrides=[f"features.select={list(get_args(FrameFeature) + get_args(TrackFeature))}"]
)


def made_up_frames(config: ExtractionConfig, n_frames: int = 20, seed: int = 0) -> dict[str, Array]:
    """Random frames in the shapes that the features have."""
    random = np.random.default_rng(seed)
    return {
        name: random.gamma(2, size=(len(rows), 1 if name in TRACK_LEVEL else n_frames)).astype("f4")
        for name, rows in feature_rows(config).items()
    }


@pytest.mark.parametrize("statistic", ["mean", "var", "max"])
def test_joined_rows_have_one_statistic_over_all_of_them(statistic: str) -> None:
    config = load_config(overrides=['pooling.joint=["harmonic.chroma", "mix.mfcc"]'])
    frames = made_up_frames(config)
    vector = dict(zip(feature_names(config), pool(frames, config), strict=True))
    for name in ("harmonic.chroma", "mix.mfcc"):
        assert {f"{name}.mean", f"{name}.var", f"{name}.max"} == {
            column for column in vector if column.startswith(f"{name}.")
        }
        expected = ORACLES[statistic](frames[name].reshape(1, -1).astype(np.float64)).item()
        assert vector[f"{name}.{statistic}"] == pytest.approx(expected, rel=1e-6)
    apart = load_config()
    others = dict(zip(feature_names(apart), pool(frames, apart), strict=True))
    assert {n: v for n, v in vector.items() if n in others}.items() <= others.items()


# --- statistics ------------------------------------------------------------------------------


def test_every_statistic_has_an_oracle() -> None:
    assert STATISTICS.keys() == ORACLES.keys()


@pytest.mark.parametrize("statistic", ORACLES)
@pytest.mark.parametrize("n_frames", [1, 2, 3, 100, 1366])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_statistic_equals_numpys_or_scipys(statistic: str, n_frames: int, offset: float) -> None:
    random = np.random.default_rng(n_frames)
    rows = offset + random.gamma(2, size=(7, n_frames)) * np.logspace(-3, 3, 7)[:, None]
    if n_frames == 1 and statistic in {"skewness", "kurtosis"}:
        expected = np.zeros(7)  # scipy gives NaN
    else:
        expected = ORACLES[statistic](rows)
    np.testing.assert_allclose(STATISTICS[statistic](rows), expected, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("statistic", ["var", "std", "skewness", "kurtosis"])
@pytest.mark.parametrize("value", [0, 1, -1, 0.1, 1 / 3, 1e-30, 1e30, -123.456, 440])
@pytest.mark.parametrize("n_frames", [1, 3, 7, 1255, 1366])
def test_a_constant_row_has_no_spread_and_no_shape(
    statistic: str, value: float, n_frames: int
) -> None:
    rows = np.full((2, n_frames), np.float32(value)).astype(np.float64)
    np.testing.assert_array_equal(STATISTICS[statistic](rows), [0, 0])


@pytest.mark.parametrize(
    ("statistic", "of_uniform", "of_normal", "of_exponential"),
    [("skewness", 0, 0, 2), ("kurtosis", -1.2, 0, 6)],
)
def test_shape_of_known_distributions(
    statistic: str, of_uniform: float, of_normal: float, of_exponential: float
) -> None:
    quantiles = (np.arange(100_000) + 0.5) / 100_000
    rows = np.stack([quantiles, scipy.stats.norm.ppf(quantiles), scipy.stats.expon.ppf(quantiles)])
    shape = STATISTICS[statistic](rows)
    np.testing.assert_allclose(shape, [of_uniform, of_normal, of_exponential], rtol=0.01, atol=0.01)


# --- the vector ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGS)
def test_every_column_is_the_statistic_that_its_name_says(name: str) -> None:
    config = CONFIGS[name]
    frames = made_up_frames(config)
    vector = dict(zip(feature_names(config), pool(frames, config), strict=True))
    for feature, rows in feature_rows(config).items():
        if feature in config.pooling.joint:
            frames[feature], rows = frames[feature].reshape(1, -1), ("",)
        for i, row in enumerate(rows):
            stem = f"{feature}.{row}" if row else feature
            if feature in TRACK_LEVEL:
                assert vector.pop(stem) == frames[feature][i, 0]
                continue
            for statistic in config.pooling.statistics:
                expected = ORACLES[statistic](frames[feature][i : i + 1].astype(np.float64))
                assert vector.pop(f"{stem}.{statistic}") == pytest.approx(expected.item(), rel=1e-5)
    assert not vector


@pytest.mark.parametrize("name", CONFIGS)
def test_names_fit_the_vector(name: str) -> None:
    config = CONFIGS[name]
    vector = pool(made_up_frames(config), config)
    names = feature_names(config)
    assert vector.shape == (len(names),)
    assert vector.dtype == np.float32
    assert len(set(names)) == len(names)
    assert all(part for column in names for part in column.split("."))


@pytest.mark.parametrize("name", ["default", "wide", "none"])
def test_names_fit_the_vector_of_real_features(name: str) -> None:
    config = CONFIGS[name]
    rate = config.audio.sample_rate_hz
    samples = music(2, rate)
    info = AudioInfo(len(samples), rate, 1, "WAV", "PCM_16")
    excerpt = Excerpt(samples, slice(0, len(samples)), rate, 0.0, info)
    parts = separate(mix_spectrum(excerpt, config), config)
    vector = pool(compute_features(parts, excerpt, config), config)
    values = dict(zip(feature_names(config), vector, strict=True))
    assert np.isfinite(vector).all()
    assert values["harmonic.chroma.G#.max"] <= 1
    assert 30 < values["percussive.tempo"] < 320
    assert 200 < values["mix.centroid.mean"] < rate / 2


@pytest.mark.parametrize(
    "name",
    [
        "harmonic.chroma.C.mean",
        "harmonic.chroma.G#.mean",
        "harmonic.tonnetz.minor_third.y.var",
        "percussive.onset_strength.max",
        "percussive.tempo",
        "percussive.tempogram.peak_ratio",
        "percussive.pulse_clarity",
        "percussive.onset_rate",
        "mix.mfcc.03.var",
        "mix.mfcc.19.mean",
        "mix.mfcc_delta2.00.max",
        "mix.centroid.mean",
        "mix.contrast.05.var",
        "mix.rms.mean",
        "mix.zero_crossing_rate.var",
    ],
)
def test_name_is_there(name: str) -> None:
    assert name in feature_names(load_config())


def test_wide_band_has_an_octave_more() -> None:
    assert set(feature_names(load_config("wide"))) - set(feature_names(load_config())) == {
        "mix.contrast.06.mean",
        "mix.contrast.06.var",
        "mix.contrast.06.max",
    }


def test_no_name_counts_higher_than_the_config() -> None:
    names = feature_names(load_config(overrides=["features.n_mfcc=3"]))
    assert [n for n in names if n.startswith("mix.mfcc.") and n.endswith(".mean")] == [
        "mix.mfcc.00.mean",
        "mix.mfcc.01.mean",
        "mix.mfcc.02.mean",
    ]


@pytest.mark.parametrize(
    "order", [("mean", "var", "max"), ("max", "mean"), ("var", "median", "min")]
)
def test_order_of_statistics_follows_the_config(order: tuple[str, ...]) -> None:
    listed = ", ".join(f'"{statistic}"' for statistic in order)
    config = load_config(overrides=[f"pooling.statistics=[{listed}]"])
    names = feature_names(config)
    assert [n for n in names if n.startswith("mix.rms")] == [f"mix.rms.{s}" for s in order]
    by_name = dict(zip(names, pool(made_up_frames(config), config), strict=True))
    default = load_config(overrides=[ALL_OVERRIDE])
    expected = dict(zip(feature_names(default), pool(made_up_frames(config), default), strict=True))
    assert by_name == {name: expected[name] for name in names}


def test_track_level_features_are_features() -> None:
    assert set(get_args(FrameFeature)) | TRACK_LEVEL == set(feature_rows(EVERYTHING))


def test_pooling_in_double_precision_keeps_small_variances() -> None:
    config = load_config()
    frames = made_up_frames(config, n_frames=1366)
    wobble = np.where(np.arange(1366) % 2, 1, -1) * 2.0**-9
    frames["mix.centroid"] = (4096 + wobble).astype(np.float32)[None]
    vector = dict(zip(feature_names(config), pool(frames, config), strict=True))
    assert vector["mix.centroid.var"] == pytest.approx(2.0**-18, rel=1e-6)
