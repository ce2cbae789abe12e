"""The shape of the spectrum and its level, against librosa, scipy and known signals."""

import itertools

import librosa
import numpy as np
import pytest
import scipy.signal
from conftest import music, noise, sine
from sounds import (
    PRESETS,
    SHORT_WINDOWS,
    SIGNALS,
    analyse,
    analysed,
    excerpt_of,
    feature_of,
    spectrum_of,
)

from genreclf.config.load import load_config
from genreclf.config.views import PadMode
from genreclf.features.catalogue import feature_rows
from genreclf.features.compute import features_of
from genreclf.features.timbre import delta, difference


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    ("width", "n_frames"), [(3, 3), (5, 40), (9, 9), (9, 10), (9, 300), (21, 30)]
)
def test_delta_equals_librosas(order: int, width: int, n_frames: int) -> None:
    rows = np.random.default_rng(0).standard_normal((4, n_frames)).astype(np.float32)
    expected = librosa.feature.delta(rows, width=width, order=order)
    np.testing.assert_allclose(delta(rows, width, order), expected, atol=3e-6)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("n_frames", "narrowed"), [(3, 3), (4, 3), (5, 5), (8, 7)])
def test_delta_of_a_few_frames_narrows_its_window(order: int, n_frames: int, narrowed: int) -> None:
    rows = np.random.default_rng(0).standard_normal((4, n_frames)).astype(np.float32)
    expected = librosa.feature.delta(rows, width=narrowed, order=order)
    np.testing.assert_allclose(delta(rows, 9, order), expected, atol=3e-6)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("n_frames", [1, 2])
def test_delta_of_too_few_frames_is_zero(order: int, n_frames: int) -> None:
    np.testing.assert_array_equal(
        delta(np.ones((3, n_frames), np.float32), 9, order), np.zeros((3, n_frames))
    )


@pytest.mark.parametrize("order", [1, 2])
def test_delta_of_a_parabola_is_its_derivative(order: int) -> None:
    t = np.arange(50, dtype=np.float32)
    rows = np.stack([0.5 * t**2, 3 * t - 7])
    inside = delta(rows, 9, order)[:, 4:-4]
    expected = [t[4:-4], np.full(42, 3)] if order == 1 else [np.ones(42), np.zeros(42)]
    np.testing.assert_allclose(inside, expected, atol=1e-3)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("n_frames", [4, 5, 100])
def test_differences_are_between_neighbours(order: int, n_frames: int) -> None:
    rows = np.random.default_rng(0).standard_normal((4, n_frames)).astype(np.float32)
    expected = rows
    for _ in range(order):
        expected = expected[:, 1:] - expected[:, :-1]
    np.testing.assert_array_equal(difference(rows, order), expected)


def test_differences_of_too_few_frames_are_zero() -> None:
    np.testing.assert_array_equal(difference(np.ones((3, 2), np.float32), 2), np.zeros((3, 1)))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", SIGNALS)
@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
def test_rms_of_the_waveform_equals_librosas(preset: str, kind: str, pad_mode: PadMode) -> None:
    config = load_config(preset)
    n_fft, hop = config.spectra.n_fft, config.spectra.hop_length
    samples = SIGNALS[kind](3, config.audio.sample_rate_hz)
    expected = librosa.feature.rms(y=samples, frame_length=n_fft, hop_length=hop, pad_mode=pad_mode)
    overrides = ["features.rms=waveform", f"spectra.pad_mode={pad_mode}"]
    found = feature_of("mix.rms", samples, preset, overrides)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.85, 0.99])
@pytest.mark.parametrize("kind", ["music", "pause"])
def test_rolloff_of_any_fraction_equals_librosas(kind: str, fraction: float) -> None:
    samples = SIGNALS[kind](6, 12_000)
    expected = librosa.feature.spectral_rolloff(
        S=spectrum_of(samples).magnitude, sr=12_000, roll_percent=fraction
    )
    found = feature_of("mix.rolloff", samples, overrides=[f"features.rolloff_fraction={fraction}"])
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(
    ("preset", "min_hz", "octaves"),
    [("default", 200, 5), ("default", 100, 6), ("default", 1500, 2), ("default", 750, 3),
     ("default", 2000, 2), ("wide", 200, 6), ("wide", 50, 8)],
)  # fmt: skip
@pytest.mark.parametrize("quantile", [0.001, 0.02, 0.25])
def test_contrast_of_any_bands_equals_librosas(
    preset: str, min_hz: float, octaves: int, quantile: float
) -> None:
    mix = analysed(preset, "music").parts.mix
    expected = librosa.feature.spectral_contrast(
        S=mix.magnitude, sr=mix.sample_rate_hz, fmin=min_hz, n_bands=octaves, quantile=quantile
    )
    overrides = [f"features.contrast_min_hz={min_hz}", f"features.contrast_quantile={quantile}"]
    found = feature_of("mix.contrast", SIGNALS["music"](6, mix.sample_rate_hz), preset, overrides)
    np.testing.assert_allclose(found, expected, atol=1e-4)


SHAPE = "features.select=['mix.centroid', 'mix.bandwidth', 'mix.rolloff', 'mix.flatness']"


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("hz", [500, 1000, 3000, 5000])
def test_spectral_shape_of_a_sine(preset: str, hz: float) -> None:
    rate = load_config(preset).audio.sample_rate_hz
    config = load_config(preset, [SHAPE])
    frames = features_of(excerpt_of(sine(hz, 2, rate), rate), config)
    bin_hz = rate / config.spectra.n_fft
    centroid, bandwidth, rolloff, flatness = (rows[:, 4:-4] for rows in frames.values())
    np.testing.assert_allclose(centroid, hz, atol=2 * bin_hz)
    np.testing.assert_allclose(rolloff, hz, atol=2 * bin_hz)
    assert bandwidth.max() < 5 * bin_hz
    assert flatness.max() < 1e-4


@pytest.mark.parametrize("preset", PRESETS)
def test_spectral_shape_of_white_noise(preset: str) -> None:
    rate = load_config(preset).audio.sample_rate_hz
    excerpt = excerpt_of(noise(5, rate, seed=5), rate)
    means = [rows.mean() for rows in features_of(excerpt, load_config(preset, [SHAPE])).values()]
    centroid, bandwidth, rolloff, flatness = means
    nyquist = rate / 2
    assert centroid == pytest.approx(nyquist / 2, rel=0.01)
    assert bandwidth == pytest.approx(nyquist / np.sqrt(12), rel=0.01)
    assert rolloff == pytest.approx(0.85 * nyquist, rel=0.01)
    # Powers of white noise are exponentially distributed: geometric over arithmetic mean.
    assert flatness == pytest.approx(np.exp(-np.euler_gamma), rel=0.01)


@pytest.mark.parametrize("amplitude", [0.01, 0.5, 1.0])
def test_rms_of_a_sine_is_that_of_the_windowed_sine(amplitude: float) -> None:
    level = feature_of("mix.rms", sine(1000, 2, 12_000, amplitude))[:, 4:-4]
    np.testing.assert_allclose(level, amplitude * np.sqrt(3 / 8 / 2), rtol=1e-3)


@pytest.mark.parametrize("n_fft", [512, 1024])
def test_rms_is_that_of_the_windowed_samples(n_fft: int) -> None:
    samples = music(2, 12_000)
    level = feature_of("mix.rms", samples, overrides=[f"spectra.n_fft={n_fft}"])[0]
    window = scipy.signal.get_window("hann", n_fft)
    for t in (10, 50):
        part = samples[t * 256 - n_fft // 2 : t * 256 + n_fft // 2]
        assert level[t] == pytest.approx(np.sqrt(np.mean((part * window) ** 2)), rel=1e-4)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("hz", [100, 440, 1000, 5000])
def test_zero_crossing_rate_of_a_sine(preset: str, hz: float) -> None:
    config = load_config(preset)
    rate, n_fft = config.audio.sample_rate_hz, config.spectra.n_fft
    crossings = feature_of("mix.zero_crossing_rate", sine(hz, 2, rate), preset)[:, 4:-4]
    np.testing.assert_allclose(crossings, 2 * hz / rate, atol=1.5 / n_fft)
    assert crossings.mean() == pytest.approx(2 * hz / rate, rel=0.01)


def test_zero_crossing_rate_counts_next_to_nothing_as_positive() -> None:
    samples = np.tile(np.array([1e-11, -1e-11, 0, -1e-11], np.float32), 3000)
    assert not feature_of("mix.zero_crossing_rate", samples).any()


@pytest.mark.parametrize(
    ("hz", "octave"), [(100, 0), (300, 1), (600, 2), (1200, 3), (2400, 4), (4800, 5)]
)
def test_contrast_is_highest_in_the_octave_of_the_tone(hz: float, octave: int) -> None:
    samples = sine(hz, 2, 12_000) + noise(2, 12_000, 0.01)
    contrast = feature_of("mix.contrast", samples).mean(axis=1)
    assert contrast.argmax() == octave


def test_mfcc_of_a_louder_signal_differ_in_the_first_only() -> None:
    samples = noise(2, 12_000)
    quiet, loud = (feature_of("mix.mfcc", gain * samples) for gain in (1, 10))
    # 20 dB in each of 128 bands, by an orthonormal transform.
    np.testing.assert_allclose(loud[0] - quiet[0], 20 * np.sqrt(128), rtol=1e-4)
    np.testing.assert_allclose(loud[1:], quiet[1:], atol=1e-3)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", SIGNALS)
def test_low_energy_frames_are_counted_one_by_one(preset: str, kind: str) -> None:
    analysis = analysed(preset, kind)
    levels = analysis.frames["mix.rms"][0].astype(float)
    half = round(analysis.parts.mix.frame_rate_hz)
    padded = np.pad(levels, half, mode="edge")
    quiet = [
        level < 0.5 * np.mean(padded[half + t - half // 2 :][:half])
        for t, level in enumerate(levels)
    ]
    found = feature_of("mix.low_energy", analysis.excerpt.samples, preset).item()
    assert found == pytest.approx(np.mean(quiet), abs=1.5 / len(levels))


def test_low_energy_of_syllables_is_the_share_of_their_pauses() -> None:
    signal = noise(8, 12_000)
    t = np.arange(len(signal)) / 12_000
    syllables = (signal * ((4 * t) % 1 < 0.6)).astype(np.float32)
    for samples, share in [(syllables, 0.4), (signal, 0)]:
        found = feature_of("mix.low_energy", samples, overrides=SHORT_WINDOWS).item()
        assert found == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize("kind", SIGNALS)
def test_flux_is_the_distance_between_neighbouring_spectra(kind: str) -> None:
    mix = analysed("default", kind).parts.mix
    scaled = librosa.util.normalize(mix.magnitude.astype(np.float64), norm=1, axis=0)
    expected = [np.linalg.norm(b - a) for a, b in itertools.pairwise(scaled.T)]
    flux = feature_of("mix.flux", SIGNALS[kind](6, 12_000))[0]
    np.testing.assert_allclose(flux, [0, *expected], rtol=1e-4, atol=1e-7)


def test_flux_heeds_changes_and_no_loudness() -> None:
    steady, louder = sine(1000, 2, 12_000, 0.2), sine(1000, 2, 12_000, 0.8)
    change = np.concatenate([steady, sine(2000, 2, 12_000, 0.2)])
    flux, of_louder, moving = (
        feature_of("mix.flux", samples)[0] for samples in (steady, louder, change)
    )
    flux = flux[5:-5]
    np.testing.assert_allclose(flux, of_louder[5:-5], atol=1e-5)
    assert abs(int(moving[5:-5].argmax()) + 5 - 2 * 12_000 / 256) <= 2
    assert moving[5:-5].max() > 50 * flux.max()


@pytest.mark.parametrize("seconds", [0.01, 1.0])
def test_they_are_there_for_the_shortest_excerpt_and_for_silence(seconds: float) -> None:
    for signal in (noise(seconds, 12_000), np.zeros(round(seconds * 12_000), np.float32)):
        for name in ("mix.modulation_4hz", "mix.low_energy", "mix.flux"):
            value = feature_of(name, signal)
            assert value.size
            assert np.isfinite(value).all()


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_rows_of_mel_frames_are_named_by_where_a_tone_is_loudest(factor: float) -> None:
    overrides = ["features.select=['mix.mel']", f"spectra.mel_emphasis={factor}"]
    overrides += ["spectra.mel_emphasis_min_hz=2000", "spectra.mel_emphasis_max_hz=5000"]
    config = load_config(overrides=[*overrides, "spectra.n_mels=40"])
    names = feature_rows(config)["mix.mel"]
    assert len(set(names)) == len(names) == 40
    assert list(names) == sorted(names)
    for k in range(5, 40, 7):
        tone = sine(int(names[k].removesuffix("Hz")), 1, 12_000)
        frames = analyse(excerpt_of(tone, 12_000), config).frames["mix.mel"]
        assert frames[:, 20].argmax() == k


def test_an_emphasis_gives_more_of_the_mfcc_to_its_band() -> None:
    """What changes above 4 kHz moves the coefficients more, against what changes below."""
    low, high = (noise(2, 22_050, seed=seed) for seed in (1, 2))
    b, a = scipy.signal.butter(6, 4000, fs=22_050)
    d, c = scipy.signal.butter(6, 4000, "highpass", fs=22_050)
    low, high = scipy.signal.lfilter(b, a, low), scipy.signal.lfilter(d, c, high)

    def ratio(factor: float) -> float:
        emphasis = [f"spectra.mel_emphasis={factor}"]
        plain, less_low, less_high = (
            feature_of("mix.mfcc", mixed.astype(np.float32), "wide", emphasis).mean(axis=1)
            for mixed in (low + high, 0.5 * low + high, low + 0.5 * high)
        )
        return float(np.linalg.norm(less_high - plain) / np.linalg.norm(less_low - plain))

    # Halving a band moves its levels by 6 dB, and the coefficients by the root of its share.
    assert ratio(1) == pytest.approx(np.sqrt(0.29 / 0.71), rel=0.1)
    assert ratio(3) == pytest.approx(np.sqrt(0.56 / 0.44), rel=0.1)
