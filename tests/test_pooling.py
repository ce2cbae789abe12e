import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import scipy.stats
from conftest import music
from numpy.typing import NDArray

from genreclf.audio.audiofile import AudioInfo
from genreclf.audio.excerpt import Excerpt
from genreclf.config.load import config_from_dict, load_config, override
from genreclf.config.schema import ExtractionConfig
from genreclf.evaluation.crossvalidation import cross_validate
from genreclf.extraction.chain import extract_one
from genreclf.extraction.tracks import extract
from genreclf.features.catalogue import FEATURES, feature_rows
from genreclf.features.compute import compute_features
from genreclf.features.pooling import STATISTICS, feature_names, pool
from genreclf.features.separation import separate
from genreclf.features.spectra import Array, mix_spectrum

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
    "all poolers": load_config(
        overrides=[
            "pooling.texture_seconds=1",
            'pooling.covariance=["harmonic.tonnetz", "mix.rms", "mix.mfcc"]',
            'pooling.modulation=["mix.mfcc", "mix.contrast", "mix.rms"]',
        ]
    ),
    "one statistic": load_config(overrides=['pooling.statistics=["median"]', "features.n_mfcc=5"]),
}


EVERYTHING = load_config(overrides=[f"features.select={list(FEATURES)}"])


def made_up_frames(config: ExtractionConfig, n_frames: int = 20, seed: int = 0) -> dict[str, Array]:
    """Random frames in the shapes that the features have."""
    random = np.random.default_rng(seed)
    return {
        name: random.gamma(
            2, size=(len(rows), 1 if FEATURES[name].per == "track" else n_frames)
        ).astype("f4")
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


@pytest.mark.parametrize("name", sorted(CONFIGS.keys() - {"all poolers"}))
def test_every_column_is_the_statistic_that_its_name_says(name: str) -> None:
    config = CONFIGS[name]
    frames = made_up_frames(config)
    vector = dict(zip(feature_names(config), pool(frames, config), strict=True))
    for feature, rows in feature_rows(config).items():
        if feature in config.pooling.joint:
            frames[feature], rows = frames[feature].reshape(1, -1), ("",)
        for i, row in enumerate(rows):
            stem = f"{feature}.{row}" if row else feature
            if FEATURES[feature].per == "track":
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
    names = list(config.features.select)
    vector = pool(compute_features(names, parts, excerpt, config), config)
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


def test_pooling_in_double_precision_keeps_small_variances() -> None:
    config = load_config()
    frames = made_up_frames(config, n_frames=1366)
    wobble = np.where(np.arange(1366) % 2, 1, -1) * 2.0**-9
    frames["mix.centroid"] = (4096 + wobble).astype(np.float32)[None]
    vector = dict(zip(feature_names(config), pool(frames, config), strict=True))
    assert vector["mix.centroid.var"] == pytest.approx(2.0**-18, rel=1e-6)


# --- texture windows, covariance, modulation -------------------------------------------------


def by_name(config: ExtractionConfig, frames: dict[str, Array]) -> dict[str, float]:
    return dict(zip(feature_names(config), map(float, pool(frames, config)), strict=True))


def windows_by_loop(row: Array, length: int) -> list[NDArray[np.float64]]:
    """Windows that overlap by half; all of a row that is no longer than one."""
    step = (length + 1) // 2
    starts = range(0, max(1, len(row) - length + 1), step)
    return [row[start : start + length].astype(np.float64) for start in starts]


@pytest.mark.parametrize(
    ("seconds", "n_frames"),
    [(1, 1), (1, 30), (1, 47), (1, 48), (1, 70), (1, 71), (1, 300), (0.32, 40), (0.001, 10)],
)
def test_texture_columns_are_statistics_of_statistics(n_frames: int, seconds: float) -> None:
    config = load_config(
        overrides=[
            f"pooling.texture_seconds={seconds}",
            'pooling.texture_statistics=["std", "median"]',
            'pooling.statistics=["mean", "max", "var"]',
        ]
    )
    frames = made_up_frames(config, n_frames)
    vector = by_name(config, frames)
    length = max(1, round(seconds * 12_000 / 256))
    for feature, rows in feature_rows(config).items():
        for row, values in zip(rows, frames[feature], strict=True):
            stem = f"{feature}.{row}" if row else feature
            if FEATURES[feature].per == "track":
                assert vector.pop(stem) == values[0]
                continue
            for inner, of_window in {"std": np.std, "median": np.median}.items():
                texture = [of_window(window) for window in windows_by_loop(values, length)]
                for outer, over_windows in {"mean": np.mean, "max": np.max, "var": np.var}.items():
                    found = vector.pop(f"{stem}.{inner}.{outer}")
                    assert found == pytest.approx(over_windows(texture), rel=1e-5, abs=1e-12)
    assert not vector


def test_texture_windows_tell_a_change_within_a_second_from_one_between_seconds() -> None:
    config = load_config(overrides=["pooling.texture_seconds=1", "audio.sample_rate_hz=12800"])
    frames = made_up_frames(config, 500)
    frames["mix.rms"] = (np.arange(500) % 2).astype(np.float32)[None]
    frames["mix.centroid"] = (np.arange(500) >= 250).astype(np.float32)[None]
    vector = by_name(config, frames)
    assert vector["mix.rms.var.mean"] == pytest.approx(0.25)
    assert vector["mix.rms.mean.var"] == pytest.approx(0, abs=1e-12)
    assert vector["mix.centroid.var.mean"] < 0.02
    assert vector["mix.centroid.mean.var"] == pytest.approx(0.25, rel=0.1)


def test_joined_rows_share_their_texture_windows() -> None:
    config = load_config(
        overrides=["pooling.texture_seconds=1", 'pooling.joint=["harmonic.chroma"]']
    )
    frames = made_up_frames(config, 200)
    windows = [windows_by_loop(row, 47) for row in frames["harmonic.chroma"]]
    variances = [np.var(np.concatenate(rows)) for rows in zip(*windows, strict=True)]
    vector = by_name(config, frames)
    assert vector["harmonic.chroma.var.mean"] == pytest.approx(np.mean(variances))
    assert vector["harmonic.chroma.var.max"] == pytest.approx(np.max(variances))
    assert not [name for name in vector if name.startswith("harmonic.chroma.C.")]


def test_each_view_and_the_waveform_have_windows_at_their_own_rate() -> None:
    chosen = {"separation": "none", "pooling": {"texture_seconds": 1.0, "statistics": ["mean"]}}
    views = [
        {**chosen, "features": {"select": ["mix.rms", "harmonic.waveform"]}},
        {**chosen, "audio": {"sample_rate_hz": 6400}, "features": {"select": ["mix.flatness"]}},
    ]
    config = config_from_dict({"views": views}, "test")
    frames = {
        name: np.random.default_rng(0).random((1, n)).astype(np.float32)
        for name, n in [("mix.rms", 150), ("mix.flatness", 90), ("harmonic.waveform", 30_000)]
    }
    vector = by_name(config, frames)
    lengths = {"mix.rms": 47, "mix.flatness": 25, "harmonic.waveform": 12_000}
    for name, length in lengths.items():
        variances = [np.var(window) for window in windows_by_loop(frames[name][0], length)]
        assert vector[f"{name}.var.mean"] == pytest.approx(np.mean(variances), rel=1e-5)


@pytest.mark.parametrize("n_frames", [1, 2, 1366])
@pytest.mark.parametrize("offset", [0, 1000])
def test_covariance_is_numpys(n_frames: int, offset: float) -> None:
    config = load_config(overrides=['pooling.covariance=["mix.mfcc", "mix.rms"]'])
    frames = made_up_frames(config, n_frames)
    frames["mix.mfcc"] += np.float32(offset)
    vector = by_name(config, frames)
    doubles = frames["mix.mfcc"].astype(np.float64)
    expected = np.cov(doubles, bias=True) if n_frames > 1 else np.zeros((20, 20))
    columns = [name for name in vector if name.endswith(".cov")]
    assert len(columns) == 210 + 1
    for i in range(20):
        for j in range(i, 20):
            found = vector[f"mix.mfcc.{i:02d}x{j:02d}.cov"]
            assert found == pytest.approx(expected[i, j], rel=1e-5, abs=1e-9)
    assert vector["mix.rms.cov"] == pytest.approx(vector["mix.rms.var"], rel=1e-6)


@pytest.mark.parametrize("n_frames", [1, 2, 7, 500, 1366])
def test_modulation_is_the_sum_of_scipys_periodogram(n_frames: int) -> None:
    edges = [0.3, 1.5, 4, 23]
    config = load_config(
        overrides=[
            'pooling.modulation=["mix.contrast", "mix.rms"]',
            f"pooling.modulation_edges_hz={edges}",
        ]
    )
    frames = made_up_frames(config, n_frames)
    vector = by_name(config, frames)
    for i, row in enumerate(frames["mix.contrast"].astype(np.float64)):
        for low, high in itertools.pairwise(edges):
            expected = 0.0
            if n_frames > 1:
                hz, density = scipy.signal.periodogram(row, 12_000 / 256, "hann")
                expected = density[(hz >= low) & (hz < high)].sum() * 12_000 / 256 / n_frames
            found = vector[f"mix.contrast.{i:02d}.modulation_{low:g}-{high:g}hz"]
            assert found == pytest.approx(expected, rel=1e-5, abs=1e-12)
    assert sum("modulation" in name for name in vector) == 3 * (6 + 1)


@pytest.mark.parametrize("hz", [0.7, 1.4, 3, 5, 11])
@pytest.mark.parametrize("seconds", [10, 29.12])
def test_a_modulation_lands_in_its_band_with_its_variance(hz: float, seconds: float) -> None:
    config = load_config(overrides=['pooling.modulation=["mix.rms"]'])
    t = np.arange(round(seconds * 12_000 / 256)) * 256 / 12_000
    frames = made_up_frames(config, len(t))
    frames["mix.rms"] = (10 + 2 * np.sin(2 * np.pi * hz * t)).astype(np.float32)[None]
    vector = by_name(config, frames)
    bands = itertools.pairwise([0.5, 1, 2, 4, 8, 16])
    found = {band: vector["mix.rms.modulation_{:g}-{:g}hz".format(*band)] for band in bands}
    low, _ = max(found, key=lambda band: found[band])
    assert low <= hz < 2 * low
    assert found[low, 2 * low] == pytest.approx(2, rel=0.03)  # half of the amplitude squared
    assert sum(found.values()) == pytest.approx(2, rel=0.03)


def test_modulation_of_all_rates_is_the_variance() -> None:
    edges = [1e-3, 23.4]
    config = load_config(
        overrides=['pooling.modulation=["mix.rms"]', f"pooling.modulation_edges_hz={edges}"]
    )
    frames = made_up_frames(config, 20_000)
    vector = by_name(config, frames)
    found = vector["mix.rms.modulation_0.001-23.4hz"]
    assert found == pytest.approx(vector["mix.rms.var"], rel=0.05)  # the window weighs frames


@pytest.mark.parametrize("value", [0, 1 / 3, -123.456, 1e30])
@pytest.mark.parametrize("n_frames", [1, 2, 47, 1366])
def test_what_never_varies_has_no_texture_covariance_or_modulation(
    value: float, n_frames: int
) -> None:
    config = CONFIGS["all poolers"]
    frames = {
        name: np.full_like(rows, value) for name, rows in made_up_frames(config, n_frames).items()
    }
    for name, found in by_name(config, frames).items():
        if "modulation" in name or name.endswith((".cov", ".var")) or ".var." in name:
            assert abs(found) <= 1e-12 * value**2, name


@pytest.mark.parametrize("name", ["default", "wide", "gtzan57"])
def test_other_poolers_leave_the_columns_of_statistics_as_they_are(name: str) -> None:
    config = load_config(name)
    select = config.features.select
    added = override(
        config, ['pooling.covariance=["mix.mfcc"]', 'pooling.modulation=["mix.rms", "mix.mfcc"]']
    )
    assert added.features.select == select
    frames = made_up_frames(config, 100)
    plain, more = by_name(config, frames), by_name(added, frames)
    assert [n for n in more if n in plain] == list(plain)
    assert {n: more[n] for n in plain} == plain


EVERY_COLUMN = [
    f"features.select={list(FEATURES)}",
    "excerpt.seconds=2",
    "pooling.texture_seconds=1",
    'pooling.covariance=["mix.mfcc", "harmonic.chroma"]',
    'pooling.modulation=["mix.mfcc", "mix.contrast", "harmonic.waveform"]',
]


def test_thousands_of_columns_of_a_dozen_tracks_can_be_learned_from(genre_folder: Path) -> None:
    config = load_config(overrides=EVERY_COLUMN)
    table = extract(genre_folder, config)
    assert len(table.names) > 5000
    assert np.isfinite(table.values).all()
    in_processes = extract(genre_folder, config, jobs=2)
    np.testing.assert_array_equal(in_processes.values, table.values)
    assert cross_validate(table, config).accuracy > 0.9


@pytest.mark.parametrize("preset", ["default", "wide"])
def test_a_second_of_music_has_every_column(preset: str, write_audio: Callable[..., Path]) -> None:
    path = write_audio("second.wav", music(1, 22_050), 22_050)
    config = load_config(preset, EVERY_COLUMN)
    vector = extract_one(path, config)
    assert vector.shape == (len(feature_names(config)),)
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()
