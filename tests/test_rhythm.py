"""Onsets, tempo and pulse, against librosa, scipy and clicks of known tempo."""

from functools import cache
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.signal
from conftest import clicks, music, sine
from sounds import (
    EVERYTHING,
    PRESETS,
    SHORT_WINDOWS,
    SIGNALS,
    Given,
    analyse,
    analysed,
    bpm_lags,
    excerpt_of,
    feature_of,
    settings,
    spectrum_of,
)

from genreclf.audio.audiofile import Samples
from genreclf.config.load import load_config
from genreclf.features import rhythm
from genreclf.features.catalogue import FEATURES
from genreclf.features.compute import features_of
from genreclf.features.rhythm import mean_tempogram, onset_strength
from genreclf.features.sound import Sound
from genreclf.features.spectra import Array

TEMPI = [60, 90, 120, 140, 150, 174]


def octave_error(found: float, true: float) -> bool:
    """True if a tempo is off by an octave; fails if it is off by anything else."""
    factor = min((1.0, 2.0, 0.5), key=lambda f: abs(np.log(found / (f * true))))
    assert found == pytest.approx(factor * true, rel=0.04)
    return factor != 1


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
