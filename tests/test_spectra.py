from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.signal
from conftest import music, noise, sine

from genreclf.audio.audiofile import AudioInfo, Samples
from genreclf.audio.excerpt import Excerpt, load_excerpt
from genreclf.config.load import load_config
from genreclf.config.views import PadMode
from genreclf.errors import ConfigError
from genreclf.features.spectra import (
    Spectrum,
    fft_frequencies,
    frame,
    hann_window,
    mel_filterbank,
    mix_spectrum,
    power_to_db,
    stft_magnitude,
)

STFTS = [(1024, 256), (2048, 512), (1024, 1000), (510, 64)]
Numbers = np.ndarray[Any, np.dtype[np.floating]]


def spectrum_of(samples: Samples, rate: int = 12_000, n_fft: int = 1024) -> Spectrum:
    return Spectrum(stft_magnitude(samples, n_fft, n_fft // 4), rate, n_fft // 4, 64)


# --- the transform ---------------------------------------------------------------------------


@pytest.mark.parametrize(("n_fft", "hop_length"), STFTS)
@pytest.mark.parametrize("make", [music, noise])
@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
def test_stft_magnitude_equals_librosa(
    make: Any, n_fft: int, hop_length: int, pad_mode: PadMode
) -> None:
    samples = make(5, 12_000)
    expected = np.abs(librosa.stft(samples, n_fft=n_fft, hop_length=hop_length, pad_mode=pad_mode))
    magnitude = stft_magnitude(samples, n_fft, hop_length, pad_mode)
    assert magnitude.dtype == np.float32
    assert magnitude.shape == (1 + n_fft // 2, 1 + len(samples) // hop_length)
    # The frames at mirrored ends librosa transforms in single precision.
    atol = 1e-9 if pad_mode == "constant" else 1e-5
    np.testing.assert_allclose(magnitude, expected, rtol=2e-6, atol=atol)


@pytest.mark.parametrize("n", [1, 255, 256, 257, 700, 1023, 1025, 5000])
def test_stft_magnitude_has_a_frame_for_each_hop(n: int) -> None:
    assert stft_magnitude(noise(n / 1000, 1000), 1024, 256).shape == (513, 1 + n // 256)


def test_stft_of_a_sine_peaks_at_its_bin_with_a_quarter_of_the_window() -> None:
    magnitude = stft_magnitude(sine(12_000 * 40 / 1024, 2, 12_000, amplitude=0.8), 1024, 256)
    middle = magnitude[:, 4:-4]
    assert (middle.argmax(axis=0) == 40).all()
    np.testing.assert_allclose(middle[40], 0.8 * 1024 / 4, rtol=1e-4)


@pytest.mark.parametrize("length", [64, 375, 1024, 2048])
def test_hann_window_equals_scipy(length: int) -> None:
    np.testing.assert_allclose(hann_window(length), scipy.signal.get_window("hann", length))


@pytest.mark.parametrize(("length", "hop"), [(1024, 256), (375, 1), (10, 10), (4, 7)])
def test_frame_equals_librosa(length: int, hop: int) -> None:
    samples = noise(0.5, 12_000)
    expected = librosa.util.frame(samples, frame_length=length, hop_length=hop).T
    np.testing.assert_array_equal(frame(samples, length, hop), expected)


@pytest.mark.parametrize(("rate", "n_fft"), [(12_000, 1024), (22_050, 2048), (8000, 510)])
def test_fft_frequencies_equal_librosa(rate: int, n_fft: int) -> None:
    expected = librosa.fft_frequencies(sr=rate, n_fft=n_fft)
    np.testing.assert_allclose(fft_frequencies(rate, n_fft), expected)


@pytest.mark.parametrize("preset", ["default", "wide", "gtzan57"])
@pytest.mark.parametrize("seconds", [1, 2.345, 29.1])
def test_mix_spectrum_of_a_short_track_is_the_stft_of_the_unpadded_track(
    tmp_path: Path, write_audio: Any, preset: str, seconds: float
) -> None:
    config = load_config(preset)
    path = write_audio("a.wav", noise(seconds, 22_050), 22_050, tmp_path)
    excerpt = load_excerpt(path, config)
    mix = mix_spectrum(excerpt, config)
    unpadded = excerpt.samples[excerpt.audio]
    expected = np.abs(
        librosa.stft(
            unpadded, n_fft=mix.n_fft, hop_length=mix.hop_length, pad_mode=config.spectra.pad_mode
        )
    )
    np.testing.assert_allclose(mix.magnitude, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("preset", "rate", "n_fft"), [("default", 12_000, 1024), ("wide", 22_050, 2048)]
)
def test_mix_spectrum_knows_its_numbers(preset: str, rate: int, n_fft: int) -> None:
    samples = noise(2, rate)
    info = AudioInfo(len(samples), rate, 1, "WAV", "PCM_16")
    excerpt = Excerpt(samples, slice(0, len(samples)), rate, 0.0, info)
    mix = mix_spectrum(excerpt, load_config(preset))
    assert (mix.sample_rate_hz, mix.n_fft, mix.hop_length) == (rate, n_fft, n_fft // 4)
    assert mix.frame_rate_hz == rate / (n_fft // 4)
    assert mix.n_mels == 128


# --- mel and decibels ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "n_fft", "n_mels"),
    [
        (12_000, 1024, 128),
        (22_050, 2048, 128),
        (22_050, 2048, 40),
        (22_050, 1024, 13),
        (44_100, 4096, 128),
        (8000, 512, 32),
        (4000, 510, 20),
        (96_000, 8192, 8),
    ],
)
def test_mel_filterbank_equals_librosa(rate: int, n_fft: int, n_mels: int) -> None:
    expected = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels)
    bank = mel_filterbank(rate, n_fft, n_mels)
    assert bank.dtype == np.float32
    assert bank.shape == (n_mels, 1 + n_fft // 2)
    np.testing.assert_allclose(bank, expected, rtol=1e-5, atol=1e-7 * expected.max())


def test_empty_mel_bands_are_a_config_error() -> None:
    message = r"^spectra\.n_mels = 128: .* n_fft = 256 at 22050 Hz; .*$"
    with pytest.raises(ConfigError, match=message):
        mel_filterbank(22_050, 256, 128)


@pytest.mark.filterwarnings("ignore:Empty filters:UserWarning")  # librosa warns and goes on
@pytest.mark.parametrize(("rate", "n_fft"), [(12_000, 512), (22_050, 512), (8000, 256)])
def test_mel_filterbank_is_refused_just_where_librosa_has_empty_bands(
    rate: int, n_fft: int
) -> None:
    refused, empty = [], []
    for n_mels in range(20, 300, 7):
        bank = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels)
        empty.append(not bank.any(axis=1).all())
        try:
            mel_filterbank(rate, n_fft, n_mels)
            refused.append(False)
        except ConfigError:
            refused.append(True)
    assert refused == empty
    assert 0 < sum(refused) < len(refused)


@pytest.mark.parametrize("dynamic_range_db", [80.0, 60.0, 10.0])
@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1.0, 1e6])
def test_power_to_db_equals_librosa(scale: float, dynamic_range_db: float) -> None:
    random = np.random.default_rng(0)
    power = (scale * 10 ** random.uniform(-12, 2, (40, 50))).astype(np.float32)
    power[:5] = 0
    expected = librosa.power_to_db(power, top_db=dynamic_range_db)
    np.testing.assert_allclose(power_to_db(power, dynamic_range_db), expected, rtol=1e-6)


def test_power_to_db_of_known_powers() -> None:
    power = np.array([[1, 10, 100, 0.1, 0]], dtype=np.float32)
    np.testing.assert_allclose(power_to_db(power), [[0, 10, 20, -10, -60]], atol=1e-5)


def test_power_to_db_of_silence_is_the_floor() -> None:
    np.testing.assert_allclose(power_to_db(np.zeros((3, 4), np.float32)), -100)


@pytest.mark.parametrize("make", [music, noise])
def test_mel_db_equals_librosa(make: Any) -> None:
    spectrum = spectrum_of(make(3, 12_000))
    mel = librosa.feature.melspectrogram(S=spectrum.magnitude**2, sr=12_000, n_mels=64)
    np.testing.assert_allclose(spectrum.mel_db, librosa.power_to_db(mel), atol=1e-4)


# --- what derives from the magnitude ---------------------------------------------------------


def test_power_is_the_squared_magnitude() -> None:
    spectrum = spectrum_of(music(2, 12_000))
    np.testing.assert_allclose(spectrum.power, spectrum.magnitude.astype(float) ** 2, rtol=1e-6)


def test_weights_of_a_frame_sum_to_one_and_are_zero_in_silence() -> None:
    samples = music(4, 12_000)
    samples[12_000:24_000] = 0
    spectrum = spectrum_of(samples)
    silent = ~spectrum.magnitude.any(axis=0)
    assert 30 < silent.sum() < 60
    assert not spectrum.weights[:, silent].any()
    np.testing.assert_allclose(spectrum.weights[:, ~silent].sum(axis=0), 1, rtol=1e-5)
    expected = librosa.util.normalize(spectrum.magnitude, norm=1, axis=0)
    np.testing.assert_allclose(spectrum.weights, expected, rtol=1e-5)


def test_weights_leave_the_magnitude_alone() -> None:
    spectrum = spectrum_of(np.zeros(12_000, np.float32))
    assert not spectrum.weights.any()
    assert not spectrum.magnitude.any()
