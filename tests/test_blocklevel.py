"""The patterns of blocks of frames, against loops over blocks, bands and frames."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from conftest import clicks, music, noise, sine
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from sounds import Given, excerpt_of, mix_of

from genreclf.audio.audiofile import Samples
from genreclf.audio.excerpt import Excerpt
from genreclf.config.load import load_config
from genreclf.config.schema import ExtractionConfig
from genreclf.errors import ConfigError
from genreclf.features.blocklevel import (
    cent_spectrum,
    correlation_pattern,
    delta_spectral_pattern,
    fluctuation_pattern,
)
from genreclf.features.catalogue import feature_rows
from genreclf.features.compute import features_of
from genreclf.features.sound import Sound
from genreclf.features.spectra import Array

RATE, N_FFT, HOP = 12_000, 1024, 256
FRAME_RATE_HZ = RATE / HOP
SELECT = ["mix.spectral_pattern", "mix.delta_spectral_pattern", "mix.fluctuation_pattern",
          "mix.correlation_pattern"]  # fmt: skip
PATTERNS = load_config(overrides=[f"features.select={SELECT}"])


def patterns_of(excerpt: Excerpt, config: ExtractionConfig = PATTERNS) -> dict[str, Array]:
    return features_of(excerpt, config)


def named(name: str, samples: Samples) -> dict[str, float]:
    """A pattern's values by the names of its rows."""
    values = patterns_of(excerpt_of(samples))[name][:, 0]
    return dict(zip(feature_rows(PATTERNS)[name], map(float, values), strict=True))


def cents_of(samples: Samples) -> Array:
    return cent_spectrum(mix_of(samples, PATTERNS))


def pattern_of(function: Callable[[Sound], Array], cents: Array) -> Array:
    return function(Given({cent_spectrum: cents}, FRAME_RATE_HZ))


def bands_by_loop() -> list[list[int]]:
    """The bins of each band: those of one step of 100 cents above 53.43 Hz."""
    bands: dict[int, list[int]] = {}
    for k in range(N_FFT // 2 + 1):
        hz = k * RATE / N_FFT
        if hz >= 53.43:
            bands.setdefault(math.floor(1200 * math.log2(hz / 53.43) / 100), []).append(k)
    return list(bands.values())


def starts_of_blocks(n_frames: int, width: int, hop: int) -> list[int]:
    return list(range(0, max(1, n_frames - width + 1), hop))


def sorted_by_loop(levels: Array, width: int, n_ranks: int) -> Array:
    n_bands, n_frames = levels.shape
    pattern = np.empty((n_bands, n_ranks))
    for band in range(n_bands):
        ranked = [
            sorted(levels[band, start : start + width].tolist(), reverse=True)
            for start in starts_of_blocks(n_frames, width, 5)
        ]
        for rank in range(n_ranks):
            pattern[band, rank] = np.percentile([block[rank] for block in ranked], 90)
    return pattern.reshape(-1, 1)


# --- the spectrum ----------------------------------------------------------------------------


def test_cent_bands_are_sums_of_bins_in_decibels_about_their_mean() -> None:
    sound = mix_of(music(3, RATE), PATTERNS)
    sums = np.array([sound.spectrum.magnitude[bins].sum(axis=0) for bins in bands_by_loop()])
    levels = 20 * np.log10(np.maximum(sums, 1e-5))
    levels = np.maximum(levels, levels.max() - 80)
    np.testing.assert_allclose(cent_spectrum(sound), levels - levels.mean(), atol=1e-3)


def test_every_bin_from_the_lowest_up_is_in_one_band() -> None:
    bins = [k for band in bands_by_loop() for k in band]
    assert bins == list(range(math.ceil(53.43 * N_FFT / RATE), N_FFT // 2 + 1))
    assert len(cents_of(music(1, RATE))) == len(bands_by_loop())


@pytest.mark.parametrize("hz", [100, 440, 1000, 4000])
def test_a_tone_is_loudest_in_its_own_band(hz: float) -> None:
    cents = cents_of(sine(hz, 2, RATE))
    loudest = int(cents.mean(axis=1).argmax())
    low, high = bands_by_loop()[loudest][0] - 1, bands_by_loop()[loudest][-1] + 1
    assert low * RATE / N_FFT <= hz <= high * RATE / N_FFT


@pytest.mark.parametrize("gain", [0.01, 3.0])
def test_patterns_do_not_depend_on_loudness(gain: float) -> None:
    plain = patterns_of(excerpt_of(music(3, RATE)))
    scaled = patterns_of(excerpt_of(music(3, RATE) * np.float32(gain)))
    for name, values in plain.items():
        np.testing.assert_allclose(scaled[name], values, atol=2e-3, err_msg=name)


# --- the patterns ----------------------------------------------------------------------------


def test_spectral_pattern_is_that_of_a_loop() -> None:
    samples = music(3, RATE)
    found = patterns_of(excerpt_of(samples))["mix.spectral_pattern"]
    np.testing.assert_allclose(found, sorted_by_loop(cents_of(samples), 10, 10), rtol=1e-5)


def test_delta_spectral_pattern_is_that_of_a_loop() -> None:
    cents = cents_of(music(3, RATE))
    rises = np.zeros_like(cents)
    for t in range(cents.shape[1]):
        rises[:, t] = np.maximum(0, cents[:, t] - cents[:, max(t - 3, 0)])
    expected = sorted_by_loop(rises, 25, 14)
    np.testing.assert_allclose(
        pattern_of(delta_spectral_pattern, cents), expected, rtol=1e-5, atol=1e-5
    )


def test_ranks_of_a_steady_tone_are_alike_and_it_never_rises() -> None:
    samples = sine(1000, 3, RATE) + noise(3, RATE, 0.001)
    spectral, delta = named(SELECT[0], samples), named(SELECT[1], samples)
    stem = max(spectral, key=lambda name: spectral[name]).partition(".")[0]
    assert spectral[f"{stem}.r00"] == pytest.approx(spectral[f"{stem}.r09"], abs=0.2)
    assert delta[f"{stem}.r00"] < 0.2
    beats = clicks(150, 3, RATE) + noise(3, RATE, 0.001)
    assert named(SELECT[1], beats)[f"{stem}.r00"] > 20


@pytest.mark.parametrize("n_frames", [300, 512, 700])
def test_fluctuation_pattern_is_that_of_a_loop(n_frames: int) -> None:
    random = np.random.default_rng(n_frames)
    cents = random.gamma(2, 3, size=(4, n_frames)).astype(np.float32)
    width = min(512, n_frames)
    steps: dict[int, list[int]] = {}
    for k in range(1, 257):
        if k * FRAME_RATE_HZ / 512 <= 10:
            steps.setdefault(math.floor(8 * math.log2(k) + 1e-9), []).append(k)
    blocks = []
    for start in starts_of_blocks(n_frames, 512, 128):
        block = np.zeros((4, len(steps)))
        for band in range(4):
            row = cents[band, start : start + width].astype(float)
            for m, bins in enumerate(steps.values()):
                for k in bins:
                    turns = np.exp(-2j * np.pi * k * np.arange(width) / 512)
                    hz = k * FRAME_RATE_HZ / 512
                    strength = abs(np.sum((row - row.mean()) * turns)) / width
                    block[band, m] += strength / (hz / 4 + 4 / hz) / len(bins)
        blocks.append(gaussian_filter1d(block, 1.0, axis=0, mode="nearest"))
    expected = np.percentile(blocks, 60, axis=0).reshape(-1, 1)
    found = pattern_of(fluctuation_pattern, cents)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("bpm", [60, 120, 300])
def test_fluctuation_is_strongest_at_the_rate_of_modulation(bpm: float) -> None:
    t = np.arange(14 * RATE) / RATE
    swelling = noise(14, RATE, 0.1) * 10 ** (np.sin(2 * np.pi * bpm / 60 * t) / 4)
    pattern = named("mix.fluctuation_pattern", swelling.astype(np.float32))
    strongest = max(pattern, key=lambda name: pattern[name]).partition(".m")[2]
    steps = sorted({math.floor(8 * math.log2(k) + 1e-9) for k in range(1, 110)})
    k = bpm / 60 * 512 / FRAME_RATE_HZ
    assert abs(steps[int(strongest)] - 8 * math.log2(k)) < 1.5


@pytest.mark.parametrize("n_frames", [2, 100, 256, 700])
def test_correlation_pattern_is_scipys_coefficient(n_frames: int) -> None:
    random = np.random.default_rng(n_frames)
    cents = np.cumsum(random.normal(size=(5, n_frames)), axis=0).astype(np.float32)
    expected = []
    for low in range(5):
        for high in range(low + 1, 5):
            coefficients = [
                scipy.stats.pearsonr(cents[low, at : at + 256], cents[high, at : at + 256])[0]
                for at in starts_of_blocks(n_frames, 256, 128)
            ]
            expected.append([np.median(coefficients)])
    np.testing.assert_allclose(
        pattern_of(correlation_pattern, cents), expected, rtol=1e-4, atol=1e-6
    )


def test_correlation_pattern_has_the_mean_of_neighbouring_bands() -> None:
    cents = np.random.default_rng(0).normal(size=(104, 300)).astype(np.float32)
    pairs = (cents[0::2] + cents[1::2]).astype(np.float64) / 2
    above = np.triu_indices(52, 1)
    blocks = [np.corrcoef(pairs[:, start : start + 256])[above] for start in (0,)]
    found = pattern_of(correlation_pattern, cents)[:, 0]
    np.testing.assert_allclose(found, np.median(blocks, axis=0), atol=1e-6)


def test_what_sounds_together_correlates_and_what_takes_turns_does_not() -> None:
    low, high = 26, 256  # bins
    owners = [i for i, bins in enumerate(bands_by_loop()) if {low, high}.intersection(bins)]
    starts = [i * len(bands_by_loop()) // 52 for i in range(52)]
    pair = "b{:02d}xb{:02d}".format(*(sum(start <= i for start in starts) - 1 for i in owners))
    on = np.sin(2 * np.pi * np.arange(8 * RATE) / RATE) > 0
    tones = [sine(k * RATE / N_FFT, 8, RATE) for k in (low, high)]

    def correlation(second: NDArray[np.bool_]) -> float:
        samples = tones[0] * on + tones[1] * second + noise(8, RATE, 0.001)
        return named("mix.correlation_pattern", samples.astype(np.float32))[pair]

    assert correlation(on) > 0.8
    assert correlation(~on) < -0.4


# --- every excerpt ---------------------------------------------------------------------------


def test_rows_are_named_one_for_one() -> None:
    rows = feature_rows(PATTERNS)
    n_bands = len(bands_by_loop())
    assert rows["mix.spectral_pattern"][10 * 3 + 5] == "b03.r05"
    assert rows["mix.delta_spectral_pattern"][14 * 3 + 13] == "b03.r13"
    assert len(rows["mix.spectral_pattern"]) == 10 * n_bands
    assert len(rows["mix.fluctuation_pattern"]) % n_bands == 0
    assert rows["mix.correlation_pattern"][:2] == ("b00xb01", "b00xb02")
    assert len(rows["mix.correlation_pattern"]) == 52 * 51 / 2


SHORT: dict[str, Callable[[], Samples]] = {
    "a second": lambda: music(1, RATE),
    "three": lambda: music(3, RATE),
    "silence": lambda: np.zeros(RATE, np.float32),
    "tone": lambda: sine(440, 2, RATE),
    "impulse": lambda: np.eye(1, 3 * RATE, RATE, dtype=np.float32)[0],
    "next to nothing": lambda: music(2, RATE) * np.float32(1e-30),
    "silence, then music": lambda: np.pad(music(1, RATE), (2 * RATE, 0)),
}


SHORT_WINDOW = ["spectra.n_fft=64", "spectra.hop_length=16", "spectra.n_mels=12",
                "features.n_mfcc=12"]  # fmt: skip


@pytest.mark.parametrize("kind", SHORT)
@pytest.mark.parametrize(
    "overrides",
    [[], ["spectra.hop_length=1024"], SHORT_WINDOW],
    ids=["default", "12 frames a second", "a short window"],
)
def test_patterns_are_finite_and_have_the_rows_they_should(kind: str, overrides: list[str]) -> None:
    config = load_config(overrides=[f"features.select={SELECT}", *overrides])
    for name, values in patterns_of(excerpt_of(SHORT[kind]()), config).items():
        assert values.shape == (len(feature_rows(config)[name]), 1), name
        assert values.dtype == np.float32, name
        assert np.isfinite(values).all(), name


def test_what_never_changes_has_no_rises_no_fluctuation_and_no_correlation() -> None:
    patterns = patterns_of(excerpt_of(np.zeros(3 * RATE, np.float32)))
    for name, values in patterns.items():
        np.testing.assert_allclose(values, 0, atol=1e-4, err_msg=name)


def test_padding_changes_no_pattern() -> None:
    samples = music(2, RATE)
    padded = patterns_of(excerpt_of(samples, before=5000, after=5000))
    for name, values in patterns_of(excerpt_of(samples)).items():
        np.testing.assert_array_equal(padded[name], values, err_msg=name)


def test_patterns_keep_to_the_band_of_the_spectrum() -> None:
    limited = load_config(
        overrides=[f"features.select={SELECT}", "spectra.min_hz=300", "spectra.max_hz=3000"]
    )
    quiet_outside = noise(4.0, RATE)
    below = sine(100, 4.0, RATE)
    patterns = patterns_of(excerpt_of(quiet_outside), limited)
    for name, names in feature_rows(limited).items():
        assert len(names) == len(patterns[name]) < len(feature_rows(PATTERNS)[name])
    with_more = patterns_of(excerpt_of(quiet_outside + below), limited)
    np.testing.assert_allclose(
        with_more["mix.spectral_pattern"], patterns["mix.spectral_pattern"], atol=0.5
    )


def test_patterns_need_an_octave() -> None:
    with pytest.raises(ConfigError, match=r"max_hz leaves less than an octave"):
        load_config(overrides=[f"features.select={SELECT}", "spectra.max_hz=100"])
