"""The constant-Q transform, against its definition, librosa, and pitches that are known."""

from functools import cache
from typing import Any

import librosa
import numpy as np
import pytest
from conftest import music, noise, sine
from sounds import Given

from genreclf.audio.audiofile import Samples
from genreclf.config.views import Features, Spectra, SpectralView
from genreclf.features.constantq import constant_q, cqt_frequencies, cqt_rows, pitch_class_energy
from genreclf.features.harmony import chroma_cqt, cqt_magnitude
from genreclf.features.spectra import Array, power_to_db

CASES: list[tuple[int, dict[str, Any]]] = [
    (12_000, {}),
    (12_000, {"hop_length": 100, "cqt_bins_per_octave": 36}),
    (8000, {"hop_length": 250, "cqt_bins_per_octave": 24}),
    (22_050, {"hop_length": 512, "pad_mode": "reflect", "cqt_min_hz": 100.0}),
    (44_100, {"hop_length": 1009, "cqt_min_hz": 200.0, "cqt_max_hz": 9000.0}),
]
EVERY = 5  # frames are compared, to be quick


def by_definition(samples: Samples, rate: int, spectra: Spectra, deviation: float) -> Array:
    """Inner products with windowed sinusoids (Brown 1991), of every ``EVERY``-th frame."""
    bins_per_octave, hop = spectra.cqt_bins_per_octave, spectra.hop_length
    step = 2 ** (1 / bins_per_octave)
    q = (step**2 + 1) / (step**2 - 1)
    frames = range(0, 1 + len(samples) // hop, EVERY)
    rows = np.empty((len(cqt_frequencies(spectra)), len(frames)))
    for k, hz in enumerate(cqt_frequencies(spectra) * 2 ** (deviation / 12)):
        length = q * rate / hz
        half = int(length / 2)
        n = np.arange(-half, half + 1)
        window = 0.5 + 0.5 * np.cos(2 * np.pi * n / length)
        kernel = window / window.sum() * np.sqrt(length) * np.exp(-2j * np.pi * hz / rate * n)
        padded = np.pad(samples.astype(float), half + 1, mode=spectra.pad_mode)[1:]
        rows[k] = [abs(padded[t * hop :][: len(n)] @ kernel) for t in frames]
    return rows


def view_of(spectra: Spectra) -> SpectralView:
    return SpectralView(spectra=spectra, features=Features(("mix.rms",)))


def pitches_of(spectra: Spectra) -> tuple[str, ...]:
    return cqt_rows(view_of(spectra))


def chroma_of(magnitude: Array, spectra: Spectra) -> Array:
    return chroma_cqt(Given({cqt_magnitude: magnitude}, view=view_of(spectra)))


def by_librosa(samples: Samples, rate: int, spectra: Spectra, deviation: float) -> Array:
    hz, bins_per_octave = cqt_frequencies(spectra), spectra.cqt_bins_per_octave
    cqt = librosa.cqt(
        samples, sr=rate, hop_length=spectra.hop_length, fmin=hz[0], n_bins=len(hz),
        bins_per_octave=bins_per_octave, tuning=deviation * bins_per_octave / 12,
        pad_mode=spectra.pad_mode,
    )  # fmt: skip
    return np.abs(cqt)


@cache
def triad(rate: int = 12_000) -> Samples:
    """C major from C4 on, three partials a note."""
    tones = [
        sine(hz * partial, 3, rate, 0.15 / partial)
        for hz in (261.626, 329.628, 391.995)
        for partial in (1, 2, 3)
    ]
    return np.sum(tones, axis=0, dtype=np.float32)


# --- the transform ---------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "settings"), CASES)
@pytest.mark.parametrize("make", [music, noise])
@pytest.mark.parametrize("deviation", [0.0, -0.37])
def test_it_is_what_the_definition_says(
    rate: int, settings: dict[str, Any], make: Any, deviation: float
) -> None:
    samples, spectra = make(0.6, rate), Spectra(**settings)
    expected = by_definition(samples, rate, spectra, deviation)
    found = constant_q(samples, rate, spectra, deviation)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, ::EVERY], expected, atol=2e-4 * expected.max())


@pytest.mark.parametrize("bins_per_octave", [12, 24, 36])
@pytest.mark.parametrize("make", [music, noise, lambda *_: triad()])
def test_it_is_librosas_but_for_rounded_windows(make: Any, bins_per_octave: int) -> None:
    samples, spectra = make(3, 12_000), Spectra(cqt_bins_per_octave=bins_per_octave)
    expected = by_librosa(samples, 12_000, spectra, 0.2)
    found = constant_q(samples, 12_000, spectra, 0.2)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 0.08 * expected.max()
    assert np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)) < 0.02
    exact = by_definition(samples, 12_000, spectra, 0.2)
    ours, theirs = (np.abs(rows[:, ::EVERY] - exact).max() for rows in (found, expected))
    assert ours < 0.02 * theirs


@pytest.mark.parametrize("bins_per_octave", [12, 24, 36])
def test_chroma_is_librosas_of_the_same_transform(bins_per_octave: int) -> None:
    spectra = Spectra(cqt_bins_per_octave=bins_per_octave)
    magnitude = constant_q(music(3, 12_000), 12_000, spectra)
    expected = librosa.feature.chroma_cqt(
        C=magnitude, fmin=cqt_frequencies(spectra)[0], bins_per_octave=bins_per_octave
    )
    np.testing.assert_allclose(chroma_of(magnitude, spectra), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bins_per_octave", [12, 36])
def test_chroma_is_nearly_librosas_of_librosas_transform(bins_per_octave: int) -> None:
    spectra = Spectra(cqt_bins_per_octave=bins_per_octave)
    expected = librosa.feature.chroma_cqt(
        C=by_librosa(music(3, 12_000), 12_000, spectra, 0.0),
        fmin=cqt_frequencies(spectra)[0],
        bins_per_octave=bins_per_octave,
    )
    found = chroma_of(constant_q(music(3, 12_000), 12_000, spectra), spectra)
    assert np.mean(np.abs(found - expected)) < 0.005
    assert np.mean(found.argmax(axis=0) == expected.argmax(axis=0)) > 0.95


@pytest.mark.parametrize("midi", range(24, 102, 7))
@pytest.mark.parametrize("bins_per_octave", [12, 24, 36])
def test_a_tone_is_loudest_in_its_own_bin_and_as_loud_as_it_is(
    midi: int, bins_per_octave: int
) -> None:
    spectra = Spectra(cqt_bins_per_octave=bins_per_octave)
    hz = 440 * 2 ** ((midi - 69) / 12)
    middle = constant_q(sine(hz, 4, 12_000, amplitude=0.8), 12_000, spectra)[:, 90:98]
    name = librosa.midi_to_note(midi, unicode=False)
    k = pitches_of(spectra).index(name)
    assert (middle.argmax(axis=0) == k).all()
    q = 1 / (2 ** (1 / bins_per_octave) - 2 ** (-1 / bins_per_octave)) * 2  # nearly
    np.testing.assert_allclose(middle[k], 0.4 * np.sqrt(q * 12_000 / hz), rtol=0.01)
    chroma = chroma_of(middle, spectra)
    assert (chroma.argmax(axis=0) == midi % 12).all()


def test_a_triad_has_its_three_pitch_classes() -> None:
    chroma = chroma_of(constant_q(triad(), 12_000, Spectra()), Spectra())
    assert set(np.argsort(chroma[:, 20:50].mean(axis=1))[-3:]) == {0, 4, 7}


@pytest.mark.parametrize("cents", [-45, -20, 20, 45])
def test_bins_follow_the_tuning(cents: int) -> None:
    factor = 2 ** (cents / 1200)
    spectra = Spectra(cqt_bins_per_octave=36)
    tuned = constant_q(sine(440, 2, 12_000), 12_000, spectra)[:, 40:50]
    detuned = constant_q(sine(440 * factor, 2, 12_000), 12_000, spectra, cents / 100)[:, 40:50]
    k = pitches_of(spectra).index("A4")
    assert (detuned.argmax(axis=0) == k).all()
    np.testing.assert_allclose(detuned[k], tuned[k] / np.sqrt(factor), rtol=1e-3)


@pytest.mark.parametrize("seconds", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
def test_signals_shorter_than_a_window(seconds: float, pad_mode: Any) -> None:
    spectra = Spectra(cqt_bins_per_octave=36, pad_mode=pad_mode)
    samples = noise(seconds, 8000)
    found = constant_q(samples, 8000, spectra)
    assert found.shape == (len(pitches_of(spectra)), 1 + len(samples) // 256)
    expected = by_definition(samples, 8000, spectra, 0.0)
    np.testing.assert_allclose(found[:, ::EVERY], expected, atol=3e-4 * expected.max())


def test_silence_is_zero() -> None:
    assert not constant_q(np.zeros(12_000, np.float32), 12_000, Spectra()).any()


def test_decibels_are_librosas() -> None:
    magnitude = constant_q(music(2, 12_000), 12_000, Spectra())
    expected = librosa.amplitude_to_db(magnitude)
    np.testing.assert_allclose(power_to_db(np.square(magnitude)), expected, atol=1e-4)


# --- its bins --------------------------------------------------------------------------------


@pytest.mark.parametrize("bins_per_octave", [12, 24, 36])
@pytest.mark.parametrize(("low", "high"), [(30, 3000), (32.703, 4186.0), (440, 880), (441, 1000)])
def test_bins_are_the_pitches_between_the_limits(
    bins_per_octave: int, low: float, high: float
) -> None:
    settings: dict[str, Any] = {"cqt_min_hz": float(low), "cqt_max_hz": float(high)}
    spectra = Spectra(**settings, cqt_bins_per_octave=bins_per_octave)
    hz = cqt_frequencies(spectra)
    np.testing.assert_allclose(np.log2(hz[1:] / hz[:-1]), 1 / bins_per_octave)
    assert low <= hz[0] * 1.0001 < low * 2 ** (1 / 12) * 1.0002
    assert hz[-1] <= high * 1.0001 < hz[-1] * 2 ** (1 / bins_per_octave) * 1.0002
    names = pitches_of(spectra)
    assert len(set(names)) == len(names) == len(hz)
    for name, frequency in zip(names, hz, strict=True):
        midi = librosa.note_to_midi(name, round_midi=False)
        assert librosa.midi_to_hz(midi) == pytest.approx(frequency, rel=3e-4)


def test_names_of_bins() -> None:
    assert pitches_of(Spectra())[:3] == ("B0", "C1", "C#1")
    assert pitches_of(Spectra())[-1] == "F#7"
    assert len(pitches_of(Spectra())) == 80
    assert pitches_of(Spectra(cqt_bins_per_octave=24))[:4] == ("B0", "C1-50", "C1", "C#1-50")
    finest = pitches_of(Spectra(cqt_bins_per_octave=36))
    assert finest[:5] == ("B0", "B0+33", "C1-33", "C1", "C1+33")


def test_pitch_classes_add_up() -> None:
    spectra = Spectra(cqt_bins_per_octave=36)
    magnitude = np.abs(noise(1, 239 * 7).reshape(239, 7)[: len(pitches_of(spectra))])
    energy = pitch_class_energy(magnitude, spectra)
    np.testing.assert_allclose(energy.sum(axis=0), magnitude.sum(axis=0), rtol=1e-5)
    of_c = [name.startswith("C") and "#" not in name for name in pitches_of(spectra)]
    np.testing.assert_allclose(energy[0], magnitude[of_c].sum(axis=0), rtol=1e-5)
