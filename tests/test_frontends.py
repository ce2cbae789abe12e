"""Front-ends of networks, against librosa, Essentia, TensorFlow and their definitions."""

from pathlib import Path

import librosa
import numpy as np
import pytest
import scipy.signal
from conftest import music, noise, sine
from oracles import ask

from genreclf.config.frontends import Clap, Mel, Musicnn, Openl3, Panns, Vggish, Waveform, Yamnet
from genreclf.embeddings.frontends import mel_bank, n_samples, network_input

LIBROSA = [Musicnn(), Panns(), Clap(), Openl3(), Openl3(n_mels=128)]


def by_librosa(samples: np.ndarray, frontend: Mel) -> np.ndarray:
    """The mel spectrogram of librosa, (t, bands), before the logarithm."""
    window = scipy.signal.get_window(
        "hann", frontend.window_length, fftbins=frontend.window == "hann"
    )
    return librosa.feature.melspectrogram(
        y=samples, sr=frontend.sample_rate_hz, n_fft=frontend.n_fft, window=window,
        hop_length=frontend.hop_length, n_mels=frontend.n_mels, fmin=frontend.min_hz,
        fmax=frontend.max_hz, power=1.0 if frontend.spectrum == "magnitude" else 2.0,
        pad_mode="constant" if frontend.padding == "zeros" else "reflect",
    ).T  # fmt: skip


@pytest.mark.parametrize("frontend", LIBROSA, ids=lambda f: f"{type(f).__name__}{f.n_mels}")
def test_mel_spectrograms_equal_librosas(frontend: Mel) -> None:
    samples = music(1.5, frontend.sample_rate_hz)
    expected = by_librosa(samples, frontend)
    if isinstance(frontend, Musicnn):
        expected = np.log10(1 + 10_000 * expected)
    else:
        range_db = frontend.range_db or None
        expected = librosa.power_to_db(expected, amin=1e-10, top_db=range_db)
        if range_db:
            expected -= expected.max()
    found = network_input(samples, frontend)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(("frontend", "offset"), [(Vggish(), 0.01), (Yamnet(), 0.001)])
def test_audioset_networks_hear_natural_logarithms_of_magnitudes(
    frontend: Mel, offset: float
) -> None:
    samples = music(1, 16_000)
    frames = np.lib.stride_tricks.sliding_window_view(samples, 400)[::160]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    magnitude = np.abs(np.fft.rfft(frames * window, 512))
    mels = np.linspace(1127 * np.log(1 + 125 / 700), 1127 * np.log(1 + 7500 / 700), 66)
    bins = 1127 * np.log(1 + np.arange(257) * 31.25 / 700)
    weights = np.array([np.interp(bins, mels[i : i + 3], [0, 1, 0]) for i in range(64)])
    expected = np.log(magnitude @ weights.T + offset)
    assert expected.shape == (98, 64)
    np.testing.assert_allclose(network_input(samples, frontend), expected, atol=1e-4)


def test_a_tone_is_in_its_band_and_silence_has_a_logarithm() -> None:
    for frontend in (Musicnn(), Vggish(), Yamnet(), Panns(), Clap(), Openl3()):
        rate = frontend.sample_rate_hz
        strongest = network_input(sine(1000, 1, rate), frontend).mean(axis=0).argmax()
        nearest = round(1000 * frontend.n_fft / rate)
        assert mel_bank(frontend)[strongest, nearest - 1 : nearest + 2].any()
        silent = network_input(np.zeros(rate, np.float32), frontend)
        assert np.isfinite(silent).all()
        assert np.ptp(silent) == 0


def test_a_spectrogram_can_be_standardised() -> None:
    plain, scaled = Musicnn(), Musicnn(mean=2.0, deviation=2.5)
    samples = noise(1, 16_000)
    expected = (network_input(samples, plain) - 2) / 2.5
    np.testing.assert_allclose(network_input(samples, scaled), expected, rtol=1e-6)


def test_a_waveform_keeps_its_level_or_gets_unit_variance() -> None:
    samples = noise(1, 24_000) + np.float32(0.1)
    as_recorded = network_input(samples, Waveform(sample_rate_hz=24_000))
    np.testing.assert_array_equal(as_recorded, samples)
    levelled = network_input(samples, Waveform(sample_rate_hz=24_000, level="unit variance"))
    assert levelled.mean() == pytest.approx(0, abs=1e-5)
    assert levelled.std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("frontend", [Musicnn(), Vggish(), Panns(), Openl3()])
@pytest.mark.parametrize("n_frames", [1, 2, 96])
def test_so_many_samples_make_so_many_frames(frontend: Mel, n_frames: int) -> None:
    n = n_samples(n_frames, frontend)
    assert len(network_input(np.zeros(n, np.float32), frontend)) >= n_frames
    if n_frames > 5:
        assert len(network_input(np.zeros(n - 1, np.float32), frontend)) < n_frames


ESSENTIA = """\
from essentia.standard import FrameGenerator, TensorflowInputMusiCNN, TensorflowInputVGGish
kinds = {"musicnn": (TensorflowInputMusiCNN(), 512, 256),
         "vggish": (TensorflowInputVGGish(), 400, 160)}
found = {}
for name, (compute, size, hop) in kinds.items():
    frames = FrameGenerator(given["samples"], frameSize=size, hopSize=hop,
                            startFromZero=name == "vggish")
    found[name] = np.array([compute(frame) for frame in frames])
"""


@pytest.mark.slow
def test_musicnn_and_vggish_equal_essentias(tmp_path: Path) -> None:
    samples = music(5, 16_000)
    found = ask("essentia", ESSENTIA, tmp_path, samples=samples)
    ours = network_input(samples, Musicnn())
    n = min(len(ours), len(found["musicnn"]))
    assert n > 300
    np.testing.assert_allclose(ours[:n], found["musicnn"][:n], atol=1e-4)
    # Essentia's window is symmetric, the release's is periodic.
    ours = network_input(samples, Vggish(window="symmetric hann"))
    n = min(len(ours), len(found["vggish"])) - 3  # the last ones are padded
    np.testing.assert_allclose(ours[:n], found["vggish"][:n], atol=1e-4)


TENSORFLOW = """\
import tensorflow as tf
stft = tf.signal.stft(given["samples"], 400, 160, 512)
weights = tf.signal.linear_to_mel_weight_matrix(64, 257, 16_000, 125.0, 7500.0)
found = {"yamnet": tf.math.log(tf.matmul(tf.abs(stft), weights) + 0.001).numpy()}
"""


@pytest.mark.slow
def test_yamnets_front_end_equals_tensorflows(tmp_path: Path) -> None:
    samples = music(2, 16_000)
    found = ask("tensorflow", TENSORFLOW, tmp_path, samples=samples)
    np.testing.assert_allclose(network_input(samples, Yamnet()), found["yamnet"], atol=2e-4)
