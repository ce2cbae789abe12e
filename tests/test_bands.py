"""Limits of a band and the mel scale, against librosa and against the definition."""

import itertools

import librosa
import numpy as np
import pytest
import scipy.integrate

from genreclf.config.bands import Emphasis, band_bins, hz_to_mel, mel_edges, mel_to_hz

HZ = [0.0, 20.0, 440.0, 999.9, 1000.0, 1000.1, 4000.0, 11_025.0, 48_000.0]


@pytest.mark.parametrize("hz", HZ)
def test_mel_scale_equals_librosas(hz: float) -> None:
    assert hz_to_mel(hz) == pytest.approx(librosa.hz_to_mel(hz))
    assert mel_to_hz(hz_to_mel(hz)) == pytest.approx(hz)


@pytest.mark.parametrize(("low", "high"), [(0, 6000), (30, 3000), (4000, 11_000), (0, 22_050)])
@pytest.mark.parametrize("n_mels", [8, 40, 128])
def test_mel_edges_equal_librosas(low: float, high: float, n_mels: int) -> None:
    expected = librosa.mel_frequencies(n_mels=n_mels + 2, fmin=low, fmax=high)
    np.testing.assert_allclose(mel_edges(n_mels, low, high), expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("factor", [1.0, 1.5, 3.0, 10.0])
@pytest.mark.parametrize(
    ("start", "end"), [(4000, 11_000), (200, 800), (0, 500), (5000, 20_000), (300, 310)]
)
def test_as_many_bands_lie_anywhere_as_the_density_says(
    factor: float, start: float, end: float
) -> None:
    edges = mel_edges(60, 20, 11_025, Emphasis(factor, start, end))
    assert edges[0] == pytest.approx(20)
    assert edges[-1] == pytest.approx(11_025)
    mels = [hz_to_mel(hz) for hz in edges]

    def density(mel: float) -> float:
        return factor if hz_to_mel(start) <= mel <= hz_to_mel(end) else 1.0

    jumps = [hz_to_mel(start), hz_to_mel(end)]
    between = [
        scipy.integrate.quad(density, low, high, points=[j for j in jumps if low < j < high])[0]
        for low, high in itertools.pairwise(mels)
    ]
    np.testing.assert_allclose(between, between[0], rtol=1e-6)


def test_an_emphasis_outside_the_band_changes_nothing() -> None:
    plain = mel_edges(40, 0, 4000)
    np.testing.assert_allclose(mel_edges(40, 0, 4000, Emphasis(5.0, 4000, 11_000)), plain)


def test_the_preset_for_perception_has_over_half_of_its_bands_in_the_emphasis() -> None:
    for factor, share in [(1.0, 0.29), (3.0, 0.56)]:
        centres = np.array(mel_edges(128, 0, 11_025, Emphasis(factor, 4000, 11_000))[1:-1])
        assert np.mean((centres > 4000) & (centres < 11_000)) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("rate", [8000, 12_000, 16_000, 22_050, 44_100])
@pytest.mark.parametrize("n_fft", [510, 512, 1024, 2048])
def test_band_bins_are_those_within_the_limits(rate: int, n_fft: int) -> None:
    hz = librosa.fft_frequencies(sr=rate, n_fft=n_fft)
    for low, high in [(0, rate / 2), (0, np.inf), (30, 3000), (rate / 4, rate / 2), (1001, 1999)]:
        inside = np.flatnonzero((hz >= low) & (hz <= high))
        np.testing.assert_array_equal(np.arange(len(hz))[band_bins(low, high, rate, n_fft)], inside)


@pytest.mark.parametrize("k", [1, 3, 100, 511])
def test_a_limit_at_a_bin_has_it_within(k: int) -> None:
    hz = k * 12_000 / 1024
    assert band_bins(hz, 6000, 12_000, 1024).start == k
    assert band_bins(0, hz, 12_000, 1024).stop == k + 1
