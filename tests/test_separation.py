from functools import cache
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.ndimage
from conftest import clicks, music, noise, sine
from sounds import excerpt_of, mix_of

from genreclf.config.load import load_config
from genreclf.config.views import Hpss, PadMode
from genreclf.features.medians import running_median
from genreclf.features.separation import hpss, separate, waveform
from genreclf.features.sound import Sound
from genreclf.features.spectra import Array, Spectrum, mix_spectrum, stft_magnitude

RATE = 12_000
MARGINS = [(1, 1), (2, 3), (1, 2)]
KERNELS = [(31, 31), (17, 31), (8, 20), (31, 13)]


@cache
def magnitude_of(kind: str, seconds: float = 5) -> Array:
    signals = {
        "music": music(seconds, RATE),
        "noise": noise(seconds, RATE),
        "pause": music(seconds, RATE) * (np.arange(round(seconds * RATE)) % RATE > RATE // 2),
    }
    return stft_magnitude(signals[kind].astype(np.float32), 1024, 256)


def energy(magnitude: Array) -> float:
    return float(np.sum(magnitude.astype(np.float64) ** 2))


# --- the running median ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 4, 5, 8, 17, 30, 31, 32, 33, 101])
@pytest.mark.parametrize("shape", [(200, 5), (33, 40), (120, 1), (101, 3)])
@pytest.mark.parametrize("values", ["continuous", "tied", "music"])
def test_running_median_is_scipys_bit_for_bit(
    size: int, shape: tuple[int, int], values: str
) -> None:
    random = np.random.default_rng(size)
    kinds: dict[str, np.ndarray[Any, Any]] = {
        "continuous": random.standard_normal(shape),
        "tied": random.integers(0, 3, shape),
        "music": magnitude_of("music", 5)[: shape[0], : shape[1]],
    }
    columns = kinds[values].astype(np.float32)
    expected = scipy.ndimage.median_filter(columns, size=(size, 1), mode="reflect")
    medians = running_median(columns, size)
    np.testing.assert_array_equal(medians, expected)
    assert medians.dtype == np.float32


LENGTHS = [(n, 3) for n in (31, 32, 33, 38, 39, 40, 41, 47, 48, 513, 1366)]
WIDTHS = [(45, m) for m in (1, 255, 256, 257, 600)]


@pytest.mark.parametrize("shape", LENGTHS + WIDTHS)
def test_running_median_of_31_is_scipys_for_every_shape(shape: tuple[int, int]) -> None:
    columns = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    expected = scipy.ndimage.median_filter(columns, size=(31, 1), mode="reflect")
    np.testing.assert_array_equal(running_median(columns, 31), expected)


@pytest.mark.parametrize("density", [0.3, 0.45, 0.5, 0.55, 0.7])
def test_median_of_31_counts_ones(density: float) -> None:
    # A network of minima and maxima that is right for zeros and ones is right for all values.
    bits = np.random.default_rng(0).random((400, 700)) < density
    mirrored = np.pad(bits, ((15, 15), (0, 0)), mode="symmetric")
    count = np.lib.stride_tricks.sliding_window_view(mirrored, 31, axis=0).sum(axis=-1)
    np.testing.assert_array_equal(running_median(bits.astype(np.float32), 31), count >= 16)


def test_median_of_31_of_sorted_and_extreme_values() -> None:
    ramp = np.arange(100, dtype=np.float32)
    columns = np.stack([ramp, -ramp, ramp % 2, ramp * 1e36, ramp * 1e-44], axis=1)
    columns = columns.astype(np.float32)
    expected = scipy.ndimage.median_filter(columns, size=(31, 1), mode="reflect")
    np.testing.assert_array_equal(running_median(columns, 31), expected)


@pytest.mark.parametrize("size", [3, 4, 9, 16, 31])
@pytest.mark.parametrize("n", [4, 5, 7, 10, 30])
def test_running_median_of_columns_shorter_than_the_window_is_scipys(n: int, size: int) -> None:
    columns = np.random.default_rng(n).standard_normal((n, 6)).astype(np.float32)
    expected = scipy.ndimage.median_filter(columns, size=(size, 1), mode="reflect")
    np.testing.assert_array_equal(running_median(columns, size), expected)


@pytest.mark.parametrize("size", [3, 31, 32, 501])
@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_running_median_of_columns_far_shorter_than_the_window(n: int, size: int) -> None:
    # Not against scipy's 2-D filter: that one reads beyond the array when a window is longer
    # than some eight even-sized rows (seen in 1.17). Sorting every window is slow but plain.
    columns = np.random.default_rng(n).standard_normal((n, 3)).astype(np.float32)
    mirrored = np.concatenate([columns, columns[::-1]])
    places = np.arange(n)[:, None] + np.arange(size) - size // 2
    expected = np.sort(mirrored[places % (2 * n)], axis=1)[:, size // 2]
    np.testing.assert_array_equal(running_median(columns, size), expected)


@pytest.mark.parametrize("size", [9, 31])
@pytest.mark.parametrize("n", [10, 50])
def test_running_median_does_not_leak_from_column_to_column(n: int, size: int) -> None:
    columns = np.repeat(np.arange(600, dtype=np.float32)[None], n, axis=0)
    np.testing.assert_array_equal(running_median(columns, size), columns)


@pytest.mark.parametrize("size", [9, 31])
def test_running_median_takes_any_memory_layout_and_leaves_it_alone(size: int) -> None:
    columns = np.random.default_rng(0).random((80, 300)).astype(np.float32)
    expected = running_median(columns.copy(), size)
    for view in (np.asfortranarray(columns), np.repeat(columns, 2, axis=1)[:, ::2], columns[::-1]):
        before = view.copy()
        medians = running_median(view, size)
        np.testing.assert_array_equal(view, before)
        np.testing.assert_array_equal(
            medians if view.base is not columns else medians[::-1], expected
        )


# --- harmonic and percussive -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["music", "noise", "pause"])
@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("margins", MARGINS)
@pytest.mark.parametrize("kernels", KERNELS)
def test_hpss_equals_librosa(
    kind: str, kernels: tuple[int, int], margins: tuple[float, float], power: float
) -> None:
    magnitude = magnitude_of(kind, 2)
    expected = librosa.decompose.hpss(magnitude, kernel_size=kernels, power=power, margin=margins)
    parts = hpss(magnitude, Hpss(*kernels, power, *margins))
    for part, expected_part in zip(parts, expected, strict=True):
        assert part.dtype == np.float32
        np.testing.assert_allclose(part, expected_part, rtol=1e-5, atol=3e-7 * magnitude.max())


@pytest.mark.parametrize("kind", ["music", "noise", "pause"])
@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 16.0])
def test_parts_add_up_to_the_mix_at_margin_1(kind: str, power: float) -> None:
    magnitude = magnitude_of(kind)
    harmonic, percussive = hpss(magnitude, Hpss(mask_power=power))
    np.testing.assert_allclose(harmonic + percussive, magnitude, rtol=2e-7)
    assert harmonic.min() >= 0
    assert percussive.min() >= 0


@pytest.mark.parametrize("margins", [(2.0, 3.0), (1.0, 2.0), (4.0, 1.0)])
def test_parts_leave_a_residual_above_margin_1(margins: tuple[float, float]) -> None:
    magnitude = magnitude_of("music")
    harmonic, percussive = hpss(magnitude, Hpss(31, 31, 2.0, *margins))
    assert np.all(harmonic + percussive <= magnitude * (1 + 1e-6))
    assert energy(harmonic + percussive) < 0.999 * energy(magnitude)


@pytest.mark.parametrize("scale", [1e-15, 1e-6, 1e6, 1e15])
@pytest.mark.parametrize("power", [1.0, 2.0, 16.0])
def test_hpss_does_not_depend_on_loudness(scale: float, power: float) -> None:
    magnitude = magnitude_of("music", 2)
    settings = Hpss(mask_power=power)
    expected = hpss(magnitude, settings)
    parts = hpss(magnitude * np.float32(scale), settings)
    for part, expected_part in zip(parts, expected, strict=True):
        np.testing.assert_allclose(
            part / np.float32(scale), expected_part, rtol=1e-4, atol=1e-6 * magnitude.max()
        )


@pytest.mark.parametrize("hz", [110, 440, 1000, 3000, 5000])
def test_energy_of_a_sine_is_harmonic(hz: float) -> None:
    magnitude = stft_magnitude(sine(hz, 5, RATE), 1024, 256)
    harmonic, _ = hpss(magnitude, Hpss())
    assert energy(harmonic) > 0.9 * energy(magnitude)


@pytest.mark.parametrize("bpm", [60, 120, 174])
def test_energy_of_clicks_is_percussive(bpm: float) -> None:
    magnitude = stft_magnitude(clicks(bpm, 5, RATE), 1024, 256)
    _, percussive = hpss(magnitude, Hpss())
    assert energy(percussive) > 0.9 * energy(magnitude)


def test_a_tone_and_clicks_are_told_apart() -> None:
    tone, beat = sine(1000, 5, RATE, 0.3), clicks(120, 5, RATE)
    harmonic, percussive = hpss(stft_magnitude(tone + beat, 1024, 256), Hpss())
    only_tone, only_beat = stft_magnitude(tone, 1024, 256), stft_magnitude(beat, 1024, 256)
    assert np.corrcoef(harmonic.ravel(), only_tone.ravel())[0, 1] > 0.97
    assert np.corrcoef(percussive.ravel(), only_beat.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("margins", MARGINS)
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_silence_stays_silent(margins: tuple[float, float], power: float) -> None:
    for part in hpss(np.zeros((513, 50), np.float32), Hpss(31, 31, power, *margins)):
        np.testing.assert_array_equal(part, np.zeros((513, 50)))


@pytest.mark.parametrize("n_frames", [1, 2, 5])
def test_hpss_of_a_few_frames_is_finite(n_frames: int) -> None:
    magnitude = magnitude_of("music", 2)[:, 10 : 10 + n_frames]
    harmonic, percussive = hpss(magnitude, Hpss())
    assert np.isfinite(harmonic).all()
    np.testing.assert_allclose(harmonic + percussive, magnitude, rtol=2e-7)


def test_hpss_leaves_its_input_alone() -> None:
    magnitude = magnitude_of("music", 2)
    before = magnitude.copy()
    hpss(magnitude, Hpss(31, 31, 2.0, 2.0, 2.0))
    np.testing.assert_array_equal(magnitude, before)


# --- separate --------------------------------------------------------------------------------


def test_separate_gives_the_parts_with_the_numbers_of_the_mix() -> None:
    mix = Spectrum(magnitude_of("music"), RATE, 256, 64)
    parts = separate(mix, load_config())
    harmonic, percussive = hpss(mix.magnitude, Hpss())
    assert parts.mix is mix
    np.testing.assert_array_equal(parts.harmonic.magnitude, harmonic)
    np.testing.assert_array_equal(parts.percussive.magnitude, percussive)
    for part in parts:
        assert (part.sample_rate_hz, part.hop_length, part.n_mels) == (RATE, 256, 64)


def test_what_the_mix_has_cached_does_not_reach_the_parts() -> None:
    mix = Spectrum(magnitude_of("music"), RATE, 256, 64)
    cached: list[Any] = [mix.power, mix.mel_db, mix.weights]
    parts = separate(mix, load_config())
    assert len(cached) == 3
    np.testing.assert_array_equal(parts.harmonic.power, parts.harmonic.magnitude**2)
    assert energy(parts.harmonic.power) < energy(mix.power)


def test_separation_none_uses_the_mix_for_all_three() -> None:
    mix = Spectrum(magnitude_of("music"), RATE, 256, 64)
    parts = separate(mix, load_config(overrides=["separation=none"]))
    assert parts == (mix, mix, mix)
    assert parts.harmonic is parts.percussive is parts.mix is mix


def test_settings_of_the_config_reach_the_filter() -> None:
    config = load_config(
        overrides=[
            "hpss.harmonic_kernel_frames=11",
            "hpss.percussive_kernel_bins=51",
            "hpss.mask_power=1",
            "hpss.harmonic_margin=2",
            "hpss.percussive_margin=3",
        ]
    )
    mix = Spectrum(magnitude_of("music", 2), RATE, 256, 64)
    parts = separate(mix, config)
    expected = librosa.decompose.hpss(mix.magnitude, kernel_size=(11, 51), power=1, margin=(2, 3))
    tolerance = 3e-7 * mix.magnitude.max()
    np.testing.assert_allclose(parts.harmonic.magnitude, expected[0], rtol=1e-5, atol=tolerance)
    np.testing.assert_allclose(parts.percussive.magnitude, expected[1], rtol=1e-5, atol=tolerance)


# --- back to samples -------------------------------------------------------------------------


@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
@pytest.mark.parametrize("margins", MARGINS)
@pytest.mark.parametrize(("n_fft", "hop"), [(1024, 256), (2048, 512), (510, 200), (512, 256)])
def test_waveforms_equal_librosas(
    pad_mode: PadMode, margins: tuple[float, float], n_fft: int, hop: int
) -> None:
    samples = music(3.01, RATE)
    config = load_config(
        overrides=[
            f"spectra.n_fft={n_fft}", f"spectra.hop_length={hop}", f"spectra.pad_mode={pad_mode}",
            f"hpss.harmonic_margin={margins[0]}", f"hpss.percussive_margin={margins[1]}",
            "spectra.n_mels=32",
        ]
    )  # fmt: skip
    excerpt = excerpt_of(samples)
    mix = mix_spectrum(excerpt, config)
    harmonic, percussive, _ = separate(mix, config)
    stft = librosa.stft(samples, n_fft=n_fft, hop_length=hop, pad_mode=pad_mode)
    expected = librosa.decompose.hpss(stft, margin=margins)
    for part, spectrum in zip((harmonic, percussive), expected, strict=True):
        # As its first versions did: to the middle of the last frame, and then nothing.
        inverse = librosa.istft(spectrum, n_fft=n_fft, hop_length=hop)
        inverse = librosa.util.fix_length(inverse, size=len(samples))
        found = waveform(Sound(part, mix, excerpt, config))
        assert found.shape == (1, len(samples))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[0], inverse, atol=2e-6)


def test_waveforms_are_those_of_librosas_effects_up_to_the_last_hop() -> None:
    samples = music(3.01, RATE)
    config = load_config("wide", [f"audio.sample_rate_hz={RATE}", "features.contrast_min_hz=100"])
    mix = mix_spectrum(excerpt_of(samples), config)
    harmonic, percussive, _ = separate(mix, config)
    end = len(samples) // 512 * 512
    expected = librosa.effects.hpss(samples)
    for part, theirs in zip((harmonic, percussive), expected, strict=True):
        found = waveform(Sound(part, mix, excerpt_of(samples), config))[0]
        np.testing.assert_allclose(found[:end], theirs[:end], atol=2e-6)
        assert not found[end:].any()


def test_waveforms_of_both_parts_add_up_to_the_sound() -> None:
    samples = music(2, RATE)
    config = load_config()
    mix = mix_spectrum(excerpt_of(samples), config)
    harmonic, percussive, _ = separate(mix, config)
    tones = waveform(Sound(harmonic, mix, excerpt_of(samples), config))
    hits = waveform(Sound(percussive, mix, excerpt_of(samples), config))
    end = len(samples) // 256 * 256
    np.testing.assert_allclose((tones + hits)[0, :end], samples[:end], atol=1e-6)


def test_waveform_of_silence_is_silence() -> None:
    samples = np.zeros(RATE, np.float32)
    assert not waveform(mix_of(samples, load_config())).any()


def test_nothing_is_separated_that_no_feature_needs() -> None:
    mix = mix_spectrum(excerpt_of(music(2, RATE)), load_config())
    parts = separate(mix, load_config(overrides=['features.select=["mix.mfcc"]']))
    assert parts.harmonic is parts.percussive is mix
