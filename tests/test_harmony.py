"""Chroma, tonnetz and tuning, against librosa and known pitches."""

import librosa
import numpy as np
import pytest
from conftest import sine
from sounds import PRESETS, SIGNALS, analysed, chord, feature_of, spectrum_of

from genreclf.config.load import load_config
from genreclf.features.catalogue import PITCH_CLASSES
from genreclf.features.harmony import estimate_tuning, tonal_centroids


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", SIGNALS)
def test_tuning_equals_librosas(preset: str, kind: str) -> None:
    for part in analysed(preset, kind).parts:
        rate = part.sample_rate_hz
        expected = librosa.estimate_tuning(S=part.power, sr=rate)
        assert estimate_tuning(part) == pytest.approx(expected, abs=1e-9)


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
