import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.signal
from conftest import clicks, music, noise, sine
from sounds import Given, excerpt_of, feature_of, settings

from genreclf.audio.audiofile import Samples
from genreclf.audio.excerpt import Excerpt
from genreclf.config.load import load_config
from genreclf.config.schema import ExtractionConfig
from genreclf.config.views import PadMode
from genreclf.errors import ConfigError
from genreclf.features import catalogue, rhythm, timbre
from genreclf.features.catalogue import FEATURES, PITCH_CLASSES, Feature, feature_rows, group_of
from genreclf.features.compute import compute_features, features_of
from genreclf.features.harmony import estimate_tuning, tonal_centroids
from genreclf.features.librosa_engine import RECIPES, librosa_features
from genreclf.features.pooling import feature_names
from genreclf.features.rhythm import mean_tempogram, onset_strength
from genreclf.features.separation import Parts, separate
from genreclf.features.sound import Sound
from genreclf.features.spectra import Array, Spectrum, mix_spectrum
from genreclf.features.timbre import delta, difference
from genreclf.learning.explanation import column_groups

PRESETS = ["default", "wide"]
# Each feature, in each of the ways in which it can be defined.
EVERYTHING = f"features.select={list(FEATURES)}"
NOT_IN_LIBROSA = {
    "percussive.tempogram", "percussive.pulse_clarity", "mix.flux", "mix.low_energy",
    "mix.modulation_4hz", "mix.spectral_pattern", "mix.delta_spectral_pattern",
    "mix.fluctuation_pattern", "mix.correlation_pattern",
}  # fmt: skip
OTHERWISE = ["spectra.pad_mode=reflect", "features.delta=difference", "features.rms=waveform",
             "features.onset_aggregate=median", EVERYTHING]  # fmt: skip
TEMPI = [60, 90, 120, 140, 150, 174]
C_MAJOR_HZ = (261.626, 329.628, 391.995)


def chord(seconds: float, rate: int, cents: float = 0.0, root_factor: float = 1.0) -> Samples:
    """C major with three partials a note, out of tune by some cents."""
    factor = root_factor * 2 ** (cents / 1200)
    tones = [
        sine(hz * factor * partial, seconds, rate, 0.15 / partial)
        for hz in C_MAJOR_HZ
        for partial in (1, 2, 3)
    ]
    return np.sum(tones, axis=0, dtype=np.float32)


def with_pause(seconds: float, rate: int) -> Samples:
    """Music with digital silence in its middle third."""
    signal = music(seconds, rate, seed=3)
    signal[len(signal) // 3 : 2 * len(signal) // 3] = 0
    return signal


SIGNALS: dict[str, Callable[[float, int], Samples]] = {
    "music": music,
    "noise": noise,
    "detuned chord": lambda seconds, rate: chord(seconds, rate, cents=30),
    "pause": with_pause,
}


def spectrum_of(samples: Samples, preset: str = "default") -> Spectrum:
    config = load_config(preset)
    return mix_spectrum(excerpt_of(samples, config.audio.sample_rate_hz), config)


@dataclass(frozen=True)
class Analysis:
    """What the chain makes of an excerpt."""

    config: ExtractionConfig
    excerpt: Excerpt
    parts: Parts
    frames: dict[str, Array]


def analyse(excerpt: Excerpt, config: ExtractionConfig) -> Analysis:
    parts = separate(mix_spectrum(excerpt, config), config)
    names = list(config.features.select)
    return Analysis(config, excerpt, parts, compute_features(names, parts, excerpt, config))


@cache
def analysed(preset: str, kind: str) -> Analysis:
    config = load_config(preset)
    rate = config.audio.sample_rate_hz
    return analyse(excerpt_of(SIGNALS[kind](6, rate), rate), config)


@cache
def by_librosa(preset: str, kind: str) -> dict[str, Array]:
    """Every feature that librosa has, from the same magnitudes."""
    analysis = analysed(preset, kind)
    harmonic, percussive, mix = analysis.parts
    rate, n_fft, hop = mix.sample_rate_hz, mix.n_fft, mix.hop_length
    of_mix: dict[str, Any] = {"S": mix.magnitude, "sr": rate}
    mel_db = {
        part: librosa.power_to_db(
            librosa.feature.melspectrogram(S=spectrum.magnitude**2, sr=rate, n_mels=128)
        )
        for part, spectrum in [("percussive", percussive), ("mix", mix)]
    }
    pitch_classes = librosa.feature.chroma_stft(S=harmonic.magnitude**2, sr=rate)
    onsets = librosa.onset.onset_strength(
        S=mel_db["percussive"], sr=rate, n_fft=n_fft, hop_length=hop
    )
    detected = librosa.onset.onset_detect(onset_envelope=onsets, sr=rate, hop_length=hop)
    coefficients = librosa.feature.mfcc(S=mel_db["mix"], n_mfcc=20)
    octaves = {12_000: 5, 22_050: 6}[rate]
    return {
        "harmonic.chroma": pitch_classes,
        "harmonic.tonnetz": librosa.feature.tonnetz(chroma=pitch_classes, sr=rate),
        "percussive.onset_strength": onsets[None],
        "percussive.tempo": librosa.feature.tempo(onset_envelope=onsets, sr=rate, hop_length=hop)[
            None
        ],
        "percussive.onset_rate": np.array([[len(detected) * rate / hop / len(onsets)]]),
        "mix.mfcc": coefficients,
        "mix.mfcc_delta": librosa.feature.delta(coefficients),
        "mix.mfcc_delta2": librosa.feature.delta(coefficients, order=2),
        "mix.centroid": librosa.feature.spectral_centroid(**of_mix),
        "mix.bandwidth": librosa.feature.spectral_bandwidth(**of_mix),
        "mix.rolloff": librosa.feature.spectral_rolloff(**of_mix),
        "mix.flatness": librosa.feature.spectral_flatness(S=mix.magnitude),
        "mix.contrast": librosa.feature.spectral_contrast(**of_mix, n_bands=octaves),
        "mix.rms": librosa.feature.rms(S=mix.magnitude, frame_length=n_fft),
        "mix.zero_crossing_rate": librosa.feature.zero_crossing_rate(
            analysis.excerpt.samples, frame_length=n_fft, hop_length=hop
        ),
    }


IN_LIBROSA = sorted(feature_rows(load_config()).keys() - NOT_IN_LIBROSA)


def octave_error(found: float, true: float) -> bool:
    """True if a tempo is off by an octave; fails if it is off by anything else."""
    factor = min((1.0, 2.0, 0.5), key=lambda f: abs(np.log(found / (f * true))))
    assert found == pytest.approx(factor * true, rel=0.04)
    return factor != 1


def bpm_lags(bpm: float, frame_rate_hz: float) -> int:
    return round(60 * frame_rate_hz / bpm)


# --- against librosa -------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", SIGNALS)
@pytest.mark.parametrize("feature", IN_LIBROSA)
def test_frames_equal_librosas(preset: str, kind: str, feature: str) -> None:
    frames = analysed(preset, kind).frames[feature]
    expected = by_librosa(preset, kind)[feature]
    assert frames.shape == expected.shape
    tolerance = 3e-6 * np.abs(expected).max()
    np.testing.assert_allclose(frames, expected, rtol=1e-5, atol=tolerance)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", SIGNALS)
@pytest.mark.parametrize("feature", IN_LIBROSA)
def test_pooled_frames_equal_librosas(preset: str, kind: str, feature: str) -> None:
    frames = analysed(preset, kind).frames[feature].astype(np.float64)
    expected = by_librosa(preset, kind)[feature].astype(np.float64)
    # A mean of values around 0 is compared with the values, not with itself.
    size = np.abs(expected).max(axis=1)
    statistics: list[tuple[Any, Any]] = [(np.mean, size), (np.var, size**2), (np.max, size)]
    for statistic, scale in statistics:
        ours, theirs = statistic(frames, axis=1), statistic(expected, axis=1)
        np.testing.assert_array_less(
            np.abs(ours - theirs), 1e-4 * np.abs(theirs) + 1e-6 * scale + 1e-12
        )


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", SIGNALS)
def test_tuning_equals_librosas(preset: str, kind: str) -> None:
    for part in analysed(preset, kind).parts:
        rate = part.sample_rate_hz
        expected = librosa.estimate_tuning(S=part.power, sr=rate)
        assert estimate_tuning(part) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", SIGNALS)
@pytest.mark.parametrize("seconds", [2.0, 4.0, 8.0])
def test_mean_tempogram_equals_librosas(preset: str, kind: str, seconds: float) -> None:
    analysis = analysed(preset, kind)
    mix, onsets = analysis.parts.mix, analysis.frames["percussive.onset_strength"]
    expected = librosa.feature.tempogram(
        onset_envelope=onsets[0],
        sr=mix.sample_rate_hz,
        hop_length=mix.hop_length,
        win_length=int(seconds * mix.frame_rate_hz),
    ).mean(axis=-1)
    given = {onset_strength: onsets}
    tempogram = mean_tempogram(Given(given, mix.frame_rate_hz, settings(tempogram_seconds=seconds)))
    np.testing.assert_allclose(tempogram, expected, atol=1e-6)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("seed", range(5))
def test_tempo_and_onset_rate_of_any_curve_equal_librosas(preset: str, seed: int) -> None:
    config = load_config(preset)
    rate, hop = config.audio.sample_rate_hz, config.spectra.hop_length
    random = np.random.default_rng(seed)
    # Few different values make ties and plateaus.
    curve = random.integers(0, 4, 400).astype(np.float32) ** 2
    curve[: seed * 3] = 0
    detected = librosa.onset.onset_detect(onset_envelope=curve, sr=rate, hop_length=hop)
    given = {onset_strength: curve[None]}
    per_second = rhythm.onset_rate(Given(given, rate / hop)).item()
    assert round(per_second * len(curve) * hop / rate, 3) == len(detected)

    expected = librosa.feature.tempo(
        onset_envelope=curve, sr=rate, hop_length=hop, start_bpm=90, max_tempo=200
    )
    sound = Given(given, rate / hop, settings(tempo_prior_bpm=90.0, tempo_max_bpm=200.0))
    assert rhythm.tempo(sound).item() == pytest.approx(expected.item())


# Where rounding makes the autocorrelation as low as -2e-6 to -8e-6 between the pulses.
@pytest.mark.parametrize(("frame_rate", "period"), [(46.875, 70), (93.75, 80), (187.5, 75)])
def test_tempo_of_pulses_with_nothing_in_between(frame_rate: float, period: int) -> None:
    curve = np.zeros((1, 5437), np.float32)
    curve[0, ::period] = 1
    found = rhythm.tempo(Given({onset_strength: curve}, frame_rate))
    assert found.item() == pytest.approx(60 * frame_rate / period)


@pytest.mark.parametrize("below", [-1e-9, -1e-6, -1.007e-6, -1e-3])
def test_tempo_takes_less_than_zero_for_zero(below: float) -> None:
    rate, hop, lags = 12_000, 256, np.arange(375)
    autocorrelation = np.exp(-lags / 100) * np.maximum(np.cos(2 * np.pi * lags / 27), 0)
    framing: dict[str, Any] = {"sr": rate, "hop_length": hop, "aggregate": None}
    expected = librosa.feature.tempo(tg=autocorrelation[:, None], **framing).item()
    for tempogram in (autocorrelation, np.where(autocorrelation == 0, below, autocorrelation)):
        sound = Given({mean_tempogram: tempogram}, rate / hop)
        assert rhythm.tempo(sound).item() == pytest.approx(expected)


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
@pytest.mark.parametrize("kind", ["music", "noise"])  # in the others, rounding fills empty bins
def test_otherwise_defined_features_equal_librosas(preset: str, kind: str) -> None:
    config = load_config(preset, OTHERWISE)
    rate = config.audio.sample_rate_hz
    samples = SIGNALS[kind](6, rate)
    frames = features_of(excerpt_of(samples, rate), config)
    expected = librosa_features(samples, config)
    assert frames.keys() - expected.keys() == NOT_IN_LIBROSA == FEATURES.keys() - RECIPES.keys()
    for name, rows in expected.items():
        assert frames[name].shape == rows.shape
        if "cqt" in name:  # librosa's windows are rounded
            assert np.median(np.abs(frames[name] - rows)) < 0.01 * np.abs(rows).max(), name
            continue
        tolerance = 1e-5 * np.abs(rows).max()
        np.testing.assert_allclose(frames[name], rows, rtol=1e-4, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("kind", ["music", "noise"])
@pytest.mark.parametrize(
    ("rate", "n_fft", "limits"),
    [
        (12_000, 1024, (100.0, 3000.0)),
        (12_000, 1024, (150.0, "nyquist")),
        (12_000, 1024, (0.0, 1000.0)),
        (22_050, 2048, (0.0, 8000.0)),
        (8000, 512, (60.0, 3400.0)),
        (44_100, 2048, (170.0, 16_000.0)),
    ],
)
def test_features_of_a_band_are_librosas_of_its_bins(
    kind: str, rate: int, n_fft: int, limits: tuple[float, float | str]
) -> None:
    overrides = [EVERYTHING, f"audio.sample_rate_hz={rate}"]
    overrides += [f"spectra.n_fft={n_fft}", f"spectra.hop_length={n_fft // 4}"]
    overrides += [f"spectra.min_hz={limits[0]}", f"spectra.max_hz={limits[1]}"]
    config = load_config(overrides=[*overrides, "spectra.n_mels=30"])
    excerpt = excerpt_of(SIGNALS[kind](4, rate), rate)
    frames, expected = features_of(excerpt, config), librosa_features(excerpt.samples, config)
    whole = features_of(excerpt, load_config(overrides=[*overrides[:-2], "spectra.n_mels=30"]))
    assert frames.keys() - expected.keys() == NOT_IN_LIBROSA
    unlimited = {"harmonic.waveform", "percussive.waveform", "mix.zero_crossing_rate"}
    for name, rows in frames.items():
        if name in unlimited:
            np.testing.assert_array_equal(rows, whole[name])
        if name in expected and "cqt" not in name:
            tolerance = 2e-5 * np.abs(expected[name]).max()
            np.testing.assert_allclose(
                rows, expected[name], rtol=1e-4, atol=tolerance, err_msg=name
            )
    for name in ("mix.centroid", "mix.bandwidth", "mix.flatness", "mix.contrast", "mix.rms"):
        assert not np.array_equal(frames[name], whole[name]), name


def test_a_tone_outside_the_band_is_not_heard() -> None:
    inside, outside = sine(1000, 3, 12_000, 0.1), sine(5000, 3, 12_000, 0.8)
    names = "mix.centroid", "mix.rolloff", "mix.rms", "mix.mel", "mix.chroma"
    config = load_config(overrides=[f"features.select={list(names)}", "spectra.max_hz=3000"])
    alone, both = (
        analyse(excerpt_of(samples, 12_000), config).frames
        for samples in (inside, inside + outside)
    )
    for name in names:
        # The outermost frames hear where the tones are cut off.
        ours, theirs = alone[name][:, 3:-3], both[name][:, 3:-3]
        np.testing.assert_allclose(theirs, ours, atol=0.01 * np.abs(ours).max(), err_msg=name)
    assert alone["mix.centroid"][0, 20] == pytest.approx(1000, abs=2)


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


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", SIGNALS)
def test_median_onset_strength_and_its_tempo_are_those_of_librosas_beat_tracker(
    preset: str, kind: str
) -> None:
    config = load_config(preset, ["features.onset_aggregate=median", EVERYTHING])
    rate, hop = config.audio.sample_rate_hz, config.spectra.hop_length
    samples = SIGNALS[kind](6, rate)
    framing: dict[str, Any] = {"n_fft": config.spectra.n_fft, "hop_length": hop}
    onsets = librosa.onset.onset_strength(y=samples, sr=rate, aggregate=np.median, **framing)
    analysis = analyse(excerpt_of(samples, rate), config)
    mix = Sound(analysis.parts.mix, analysis.parts.mix, analysis.excerpt, config)
    np.testing.assert_allclose(onset_strength(mix)[0], onsets, rtol=1e-4, atol=1e-5)
    tempo, _ = librosa.beat.beat_track(onset_envelope=onsets, sr=rate, hop_length=hop)
    assert analysis.frames["mix.tempo"].item() == pytest.approx(np.atleast_1d(tempo)[0], rel=1e-6)


def test_chroma_and_tempo_of_the_mix_are_those_without_separation() -> None:
    excerpt = excerpt_of(music(6, 12_000), 12_000)
    apart = analyse(excerpt, load_config(overrides=[EVERYTHING])).frames
    whole = analyse(excerpt, load_config(overrides=["separation=none"])).frames
    for name, of_all in [("mix.chroma", "harmonic.chroma"), ("mix.tempo", "percussive.tempo")]:
        np.testing.assert_array_equal(apart[name], whole[of_all])
        assert not np.array_equal(apart["harmonic.chroma"], whole["harmonic.chroma"])


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


# --- pulse clarity and tempogram, against scipy's peaks --------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", SIGNALS)
def test_pulse_clarity_is_the_highest_autocorrelation_peak(preset: str, kind: str) -> None:
    analysis = analysed(preset, kind)
    frame_rate = analysis.parts.mix.frame_rate_hz
    onsets = analysis.frames["percussive.onset_strength"]
    centred = onsets[0].astype(np.float64) - onsets[0].mean(dtype=np.float64)
    correlation = np.correlate(centred, centred, mode="full")[len(centred) - 1 :]
    peaks, _ = scipy.signal.find_peaks(correlation / correlation[0], height=0)
    allowed = peaks[(60 * frame_rate / peaks >= 30) & (60 * frame_rate / peaks <= 320)]
    expected = correlation[allowed].max() / correlation[0]
    found = analysis.frames["percussive.pulse_clarity"].item()
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", ["music", "noise", "pause"])
def test_tempogram_summary_is_of_the_two_highest_peaks(preset: str, kind: str) -> None:
    analysis = analysed(preset, kind)
    frame_rate = analysis.parts.mix.frame_rate_hz
    onsets = analysis.frames["percussive.onset_strength"]
    tempogram = mean_tempogram(Given({onset_strength: onsets}, frame_rate))
    peaks, _ = scipy.signal.find_peaks(tempogram, height=0)
    peaks = peaks[(60 * frame_rate / peaks >= 30) & (60 * frame_rate / peaks <= 320)]
    first, second = peaks[np.argsort(-tempogram[peaks])][:2]
    expected = [
        tempogram[first],
        tempogram[second],
        tempogram[second] / tempogram[first],
        first / second,
    ]
    found = analysis.frames["percussive.tempogram"]
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-6)


def peaks_of(tempogram: Array, frame_rate: float = 50.0) -> list[float]:
    rows = rhythm.tempogram_peaks(Given({mean_tempogram: tempogram}, frame_rate))
    return list(rows[:, 0])


def test_tempogram_summary_of_two_peaks() -> None:
    frame_rate = 50.0
    autocorrelation = np.zeros(400, np.float32)
    autocorrelation[bpm_lags(60, frame_rate)] = 0.5
    autocorrelation[bpm_lags(120, frame_rate)] = 0.8
    assert peaks_of(autocorrelation) == pytest.approx([0.8, 0.5, 0.625, 0.5])


def test_tempogram_summary_of_one_peak_and_of_none() -> None:
    autocorrelation = np.zeros(400, np.float32)
    assert not any(peaks_of(autocorrelation))
    autocorrelation[30] = 0.5
    assert peaks_of(autocorrelation) == [0.5, 0, 0, 0]


@pytest.mark.parametrize("bpm", [25, 350])
def test_tempogram_summary_looks_at_the_range_of_tempi_only(bpm: float) -> None:
    autocorrelation = np.zeros(400, np.float32)
    autocorrelation[bpm_lags(bpm, 50.0)] = 0.9
    assert not any(peaks_of(autocorrelation))


@pytest.mark.parametrize("preset", PRESETS)
def test_tempogram_summary_takes_no_rounding_noise_for_peaks(preset: str) -> None:
    config = load_config(preset)
    frame_rate = config.audio.sample_rate_hz / config.spectra.hop_length
    curve = np.zeros((1, 470), np.float32)
    curve[0, 10 :: bpm_lags(60, frame_rate)] = 1  # impulses: autocorrelation 0 between the beats
    sound = Given({onset_strength: curve}, frame_rate)
    peak1, peak2, ratio, tempo_ratio = rhythm.tempogram_peaks(sound)[:, 0]
    assert peak1 > 0.5
    assert (peak2 == ratio == tempo_ratio == 0) or peak2 > 1e-6


# --- harmony, known answers ------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("octave", [4, 5, 6])
@pytest.mark.parametrize("pitch_class", range(12))
def test_chroma_of_a_sine_is_its_pitch_class(preset: str, octave: int, pitch_class: int) -> None:
    hz = 440 * 2 ** ((pitch_class - 9) / 12 + octave - 4)
    samples = sine(hz, 1, load_config(preset).audio.sample_rate_hz)
    rows = feature_of("mix.chroma", samples, preset)[:, 4:-4]
    assert rows.shape[0] == len(PITCH_CLASSES)
    assert (rows.argmax(axis=0) == pitch_class).all()
    np.testing.assert_allclose(rows[pitch_class], 1)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("cents", [-40, 0, 30])
@pytest.mark.parametrize("semitones", [0, 2, 7])
def test_three_largest_chroma_of_a_major_chord(preset: str, cents: float, semitones: int) -> None:
    rate = load_config(preset).audio.sample_rate_hz
    samples = chord(3, rate, cents, root_factor=2 ** (semitones / 12))
    profile = feature_of("mix.chroma", samples, preset).mean(axis=1)
    expected = {(note + semitones) % 12 for note in (0, 4, 7)}
    assert set(np.argsort(profile)[-3:]) == expected


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("cents", [-45, -30, -10, 0, 10, 30, 45])
def test_tuning_of_a_detuned_chord(preset: str, cents: float) -> None:
    samples = chord(3, load_config(preset).audio.sample_rate_hz, cents, root_factor=2.0)
    deviation = estimate_tuning(spectrum_of(samples, preset)) - cents / 100
    assert abs((deviation + 0.5) % 1 - 0.5) < 0.05


def test_tuning_without_peaks_is_zero() -> None:
    assert estimate_tuning(spectrum_of(np.zeros(24_000, np.float32))) == 0
    assert estimate_tuning(spectrum_of(sine(60, 2, 12_000))) == pytest.approx(0, abs=0.5)


def test_tonnetz_of_a_single_pitch_class_lies_on_the_circles() -> None:
    rows = tonal_centroids(np.eye(12, dtype=np.float32))
    for axis, radius in [(0, 1), (2, 1), (4, 0.5)]:
        np.testing.assert_allclose(np.hypot(rows[axis], rows[axis + 1]), radius, rtol=1e-5)
    np.testing.assert_allclose(rows[:2, 0], rows[:2, :].T[0])
    fifths = [7 * i % 12 for i in range(12)]
    steps = np.hypot(*(rows[:2, np.roll(fifths, -1)] - rows[:2, fifths]))
    np.testing.assert_allclose(steps, 2 * np.sin(np.pi / 12), rtol=1e-5)


def test_tonnetz_does_not_depend_on_loudness() -> None:
    rows = np.random.default_rng(0).random((12, 20)).astype(np.float32)
    np.testing.assert_allclose(tonal_centroids(rows), tonal_centroids(rows * 7), atol=1e-6)
    np.testing.assert_array_equal(tonal_centroids(np.zeros((12, 3), np.float32)), np.zeros((6, 3)))


# --- rhythm, known answers -------------------------------------------------------------------


@cache
def of_clicks(preset: str, bpm: float) -> dict[str, Array]:
    """Features of the percussive part of clicks after half a second of silence."""
    names = [name for name in FEATURES if name.startswith("percussive.")]
    config = load_config(preset, [f"features.select={names}"])
    rate = config.audio.sample_rate_hz
    samples = np.concatenate([np.zeros(rate // 2, np.float32), clicks(bpm, 10, rate)])
    return features_of(excerpt_of(samples, rate), config)


@pytest.mark.parametrize("preset", PRESETS)
def test_tempo_of_clicks(preset: str) -> None:
    config = load_config(preset)
    our_errors, librosas_errors = 0, 0
    for bpm in TEMPI:
        frames = of_clicks(preset, bpm)
        ours = frames["percussive.tempo"].item()
        librosas = librosa.feature.tempo(
            onset_envelope=frames["percussive.onset_strength"][0],
            sr=config.audio.sample_rate_hz,
            hop_length=config.spectra.hop_length,
        ).item()
        assert ours == pytest.approx(librosas)
        our_errors += octave_error(ours, bpm)
        librosas_errors += octave_error(librosas, bpm)
    assert our_errors <= librosas_errors


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("bpm", TEMPI)
def test_onset_rate_of_clicks(preset: str, bpm: float) -> None:
    found = of_clicks(preset, bpm)["percussive.onset_rate"].item()
    assert found == pytest.approx(bpm / 60, rel=0.1)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("bpm", TEMPI)
def test_pulse_of_clicks_is_clear(preset: str, bpm: float) -> None:
    assert 0.5 < of_clicks(preset, bpm)["percussive.pulse_clarity"].item() <= 1


@pytest.mark.parametrize("preset", PRESETS)
def test_pulse_of_noise_is_not_clear(preset: str) -> None:
    assert 0 <= analysed(preset, "noise").frames["percussive.pulse_clarity"].item() < 0.3


def test_onset_strength_jumps_at_the_click() -> None:
    samples = np.zeros(36_000, np.float32)
    samples[20_000] = 0.9
    strength = "percussive.onset_strength"
    onsets = feature_of(strength, samples, overrides=["separation=none"])[0]
    assert onsets.shape == (141,)
    # The window first reaches the click half a window early; the shift of two frames makes up.
    assert abs(int(onsets.argmax()) - 20_000 / 256) <= 1.5
    assert np.count_nonzero(onsets > 0.1 * onsets.max()) <= 4


@pytest.mark.parametrize(
    ("prior", "expected"), [(50.0, 60), (60.0, 60), (120.0, 120), (150.0, 120)]
)
def test_tempo_prior_decides_between_octaves(prior: float, expected: float) -> None:
    autocorrelation = np.zeros(375, np.float32)
    autocorrelation[[bpm_lags(60, 50.0), bpm_lags(120, 50.0)]] = 0.5
    sound = Given({mean_tempogram: autocorrelation}, view=settings(tempo_prior_bpm=prior))
    assert rhythm.tempo(sound).item() == expected


def test_tempo_stays_below_its_maximum() -> None:
    autocorrelation = np.zeros(375, np.float32)
    autocorrelation[[bpm_lags(120, 50.0), bpm_lags(60, 50.0)]] = 0.9, 0.3
    sound = Given({mean_tempogram: autocorrelation}, view=settings(tempo_max_bpm=100.0))
    assert rhythm.tempo(sound).item() == 60


# --- timbre, known answers -------------------------------------------------------------------


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


# --- the whole -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        load_config(),
        load_config("wide"),
        load_config(overrides=["separation=none"]),
        load_config("gtzan57"),
        load_config(overrides=[EVERYTHING]),
        load_config(overrides=['features.select=["mix.rms", "percussive.tempo", "mix.mfcc"]']),
        load_config(overrides=["features.n_mfcc=3", "features.contrast_min_hz=1000"]),
        load_config(overrides=["audio.sample_rate_hz=8000", "spectra.n_mels=40"]),
    ],
    ids=["default", "wide", "none", "gtzan57", "everything", "selected", "few", "8 kHz"],
)
@pytest.mark.parametrize("seconds", [1.0, 3.21])
def test_keys_and_shapes_are_those_of_feature_rows(
    config: ExtractionConfig, seconds: float
) -> None:
    rate = config.audio.sample_rate_hz
    excerpt = excerpt_of(music(seconds, rate), rate, before=1024, after=1100)
    frames = analyse(excerpt, config).frames
    n_frames = 1 + round(seconds * rate) // config.spectra.hop_length
    assert list(frames) == list(feature_rows(config))
    for name, rows in feature_rows(config).items():
        length = round(seconds * rate) if "waveform" in name else n_frames
        assert frames[name].shape == (len(rows), 1 if FEATURES[name].per == "track" else length), (
            name
        )
        assert frames[name].dtype == np.float32, name
        assert np.isfinite(frames[name]).all(), name


SPECIAL: dict[str, Callable[[int], Samples]] = {
    "silence": lambda rate: np.zeros(5 * rate, np.float32),
    "a second of silence": lambda rate: np.zeros(rate, np.float32),
    "direct current": lambda rate: np.full(3 * rate, 0.5, np.float32),
    "square wave": lambda rate: np.sign(sine(100, 3, rate)).astype(np.float32),
    "impulse": lambda rate: np.eye(1, 3 * rate, rate, dtype=np.float32)[0],
    "next to nothing": lambda rate: music(3, rate) * np.float32(1e-20),
    "subnormal": lambda rate: music(3, rate) * np.float32(1e-38),
    "silence, then music": lambda rate: np.concatenate(
        [np.zeros(2 * rate, np.float32), music(1, rate)]
    ),
}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("separation", ["hpss", "none"])
@pytest.mark.parametrize("kind", SPECIAL)
def test_features_of_special_signals_are_finite(preset: str, separation: str, kind: str) -> None:
    for overrides in ([EVERYTHING], OTHERWISE):
        config = load_config(preset, [f"separation={separation}", *overrides])
        rate = config.audio.sample_rate_hz
        frames = analyse(excerpt_of(SPECIAL[kind](rate), rate), config).frames
        for name, rows in frames.items():
            assert np.isfinite(rows).all(), name


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("seconds", [1, 5])
def test_silence_has_no_features_to_speak_of(preset: str, seconds: int) -> None:
    config = load_config(preset)
    rate = config.audio.sample_rate_hz
    frames = analyse(excerpt_of(np.zeros(seconds * rate, np.float32), rate), config).frames
    for name, rows in frames.items():
        if name not in {"mix.mfcc", "mix.flatness"}:
            # Derivatives of a constant -1131, the first MFCC, are 0 within float32 rounding.
            tolerance = 1e-5 if "delta" in name else 0
            np.testing.assert_allclose(rows, 0, atol=tolerance, err_msg=name)
    np.testing.assert_allclose(frames["mix.mfcc"][0], -100 * np.sqrt(128), rtol=1e-5)
    np.testing.assert_allclose(frames["mix.flatness"], 1, rtol=1e-3)  # as librosa has it


@pytest.mark.parametrize("preset", [*PRESETS, "gtzan57"])
@pytest.mark.parametrize("n", [12_345, 30_000])
def test_padding_changes_no_feature(preset: str, n: int) -> None:
    config = load_config(preset)
    rate, n_fft, hop = config.audio.sample_rate_hz, config.spectra.n_fft, config.spectra.hop_length
    samples = music(3, rate)[:n]
    plain = analyse(excerpt_of(samples, rate), config).frames
    padded = analyse(excerpt_of(samples, rate, before=20 * hop, after=20 * hop + 99), config).frames
    for name, rows in padded.items():
        # Where the first or last window meets the padding there may be one more crossing.
        tolerance = 1.01 / n_fft if name == "mix.zero_crossing_rate" else 0
        np.testing.assert_allclose(rows, plain[name], rtol=0, atol=tolerance, err_msg=name)


def test_features_leave_their_input_alone() -> None:
    analysis = analyse(excerpt_of(music(2, 12_000), 12_000), load_config())
    before = [part.magnitude.copy() for part in analysis.parts]
    names = list(analysis.frames)
    again = compute_features(names, analysis.parts, analysis.excerpt, analysis.config)
    for part, magnitude in zip(analysis.parts, before, strict=True):
        np.testing.assert_array_equal(part.magnitude, magnitude)
    for name, rows in again.items():
        np.testing.assert_array_equal(rows, analysis.frames[name], err_msg=name)


@pytest.mark.parametrize("gain", [0.01, 0.1, 3.0])
def test_what_is_not_a_level_does_not_depend_on_loudness(gain: float) -> None:
    config = load_config()
    samples = music(3, 12_000)
    plain = analyse(excerpt_of(samples, 12_000), config).frames
    louder = analyse(excerpt_of(samples * np.float32(gain), 12_000), config).frames
    for name in ("harmonic.chroma", "harmonic.tonnetz", "percussive.tempo", "mix.centroid",
                 "mix.bandwidth", "mix.rolloff", "mix.zero_crossing_rate"):  # fmt: skip
        np.testing.assert_allclose(louder[name], plain[name], rtol=1e-3, atol=1e-4, err_msg=name)
    np.testing.assert_allclose(louder["mix.rms"], gain * plain["mix.rms"], rtol=1e-4)


# --- configurations that cannot work ---------------------------------------------------------


@pytest.mark.parametrize(
    "overrides",
    [
        ["spectra.n_fft=512", "spectra.n_mels=32", "features.contrast_min_hz=20"],
        ["spectra.n_fft=256", "spectra.n_mels=20", "features.contrast_min_hz=20"],
        ["spectra.n_fft=32768", "spectra.hop_length=32768", "features.tempogram_seconds=2"],
    ],
    ids=["lowest band holds one bin", "octave holds no bin", "tempogram shorter than a hop"],
)
def test_settings_that_leave_nothing_to_compute_from_are_a_config_error(
    overrides: list[str],
) -> None:
    def attempt() -> None:
        config = load_config(overrides=overrides)
        analyse(excerpt_of(music(6, 12_000), 12_000), config)

    with pytest.raises(ConfigError):
        attempt()


# --- what tells speech from music ------------------------------------------------------------


SHORT_WINDOWS = ["spectra.n_fft=256", "spectra.hop_length=64", "spectra.n_mels=20"]


def pulsing(hz: float, depth: float, seconds: float = 8, rate: int = 12_000) -> Samples:
    """A tone whose level goes up and down."""
    t = np.arange(round(seconds * rate)) / rate
    swell = 1 + depth * np.sin(2 * np.pi * hz * t)
    return (swell * sine(1000, seconds, rate, 0.3)).astype(np.float32)


@pytest.mark.parametrize("depth", [0.2, 0.5, 1.0])
@pytest.mark.parametrize(("hz", "passed"), [(4.0, 1.0), (8.0, 0.1), (2.0, 0.1), (1.0, 1 / 57.25)])
def test_modulation_is_the_share_of_a_tones_pulse_near_4_hz(
    hz: float, passed: float, depth: float
) -> None:
    # (1 + d sin)^2 has mean 1 + d^2 / 2, of which d^2 / 2 pulses.
    expected = passed * (depth**2 / 2) / (1 + depth**2 / 2)
    found = feature_of("mix.modulation_4hz", pulsing(hz, depth), overrides=SHORT_WINDOWS).item()
    assert found == pytest.approx(expected, rel=0.05, abs=0.001)


def test_modulation_is_that_of_scipys_filter() -> None:
    samples = music(29.12, 12_000)
    mix = spectrum_of(samples)
    envelopes = np.sqrt(mix.mel_power.astype(np.float64))
    b, a = scipy.signal.iirpeak(4, Q=2, fs=mix.frame_rate_hz)
    filtered = scipy.signal.lfilter(b, a, envelopes - envelopes.mean(axis=1, keepdims=True))
    expected = np.sum(filtered**2) / np.sum(envelopes**2)
    assert feature_of("mix.modulation_4hz", samples).item() == pytest.approx(expected, rel=0.1)


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


# --- mel frames ------------------------------------------------------------------------------


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


# --- the catalogue ---------------------------------------------------------------------------


@pytest.mark.parametrize("feature", FEATURES.values(), ids=FEATURES)
def test_each_feature_is_declared_in_full(feature: Feature) -> None:
    assert feature.part in ("harmonic", "percussive", "mix")
    assert feature.group
    assert feature.summary.endswith(".")
    assert group_of(f"{feature.name}.00.mean") == feature.group


def test_one_entry_and_one_function_add_a_feature(monkeypatch: pytest.MonkeyPatch) -> None:
    def peak(sound: Sound) -> Array:
        """Largest magnitude."""
        return sound.spectrum.magnitude.max(axis=0, keepdims=True)

    monkeypatch.setattr(timbre, "peak", peak, raising=False)
    entry = Feature("mix.peak", "loudness", "timbre:peak", needs=("mel bands",))
    with pytest.raises(ConfigError, match=r"'mix\.peak': can be harmonic\.chroma, "):
        load_config(overrides=["features.select=['mix.peak']"])
    monkeypatch.setitem(catalogue.FEATURES, "mix.peak", entry)
    with pytest.raises(ConfigError, match="mel bands are narrower"):
        load_config(overrides=["features.select=['mix.peak']", "spectra.n_mels=500"])
    selected = ["features.select=['mix.peak', 'mix.rms']", "pooling.covariance=['mix.peak']"]
    config = load_config(overrides=selected)
    assert feature_names(config)[:4] == [f"mix.peak.{of}" for of in ("mean", "var", "max", "cov")]
    samples = music(3, 12_000)
    rows = features_of(excerpt_of(samples, 12_000), config)["mix.peak"]
    np.testing.assert_array_equal(rows[0], spectrum_of(samples).magnitude.max(axis=0))
    assert {
        name: len(columns) for name, columns in column_groups(feature_names(config)).items()
    } == {"loudness": 7}
