"""Front-ends of networks, against librosa, the networks' own programs and their definitions."""

from pathlib import Path

import librosa
import numpy as np
import pytest
import scipy.signal
from conftest import music, noise, sine
from oracles import ask

from genreclf.config.frontends import Clap, Mel, Musicnn, Openl3, Panns, Vggish, Waveform, Yamnet
from genreclf.config.networks import load_network
from genreclf.embeddings.frontends import mel_bank, n_samples, network_input
from genreclf.embeddings.runner import patches

LIBROSA = [Musicnn(), Panns(), Clap(), Openl3(), Openl3(n_mels=128)]


def patches_of(name: str, samples: np.ndarray) -> np.ndarray:
    """What the network of a shipped description sees of samples, (n, …)."""
    return np.stack(list(patches(samples, load_network(name))))


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
from essentia.standard import (
    FrameGenerator, MelBands, Spectrum, TensorflowInputMusiCNN, TensorflowInputVGGish, Windowing)
window, spectrum = Windowing(size=2048, normalized=False), Spectrum(size=2048)
bands = MelBands(inputSize=1025, sampleRate=48_000, highFrequencyBound=24_000, numberBands=128,
                 type="magnitude", warpingFormula="slaneyMel", weighting="linear",
                 normalize="unit_tri")
kinds = {"musicnn": (TensorflowInputMusiCNN(), 512, 256),
         "vggish": (TensorflowInputVGGish(), 400, 160),
         "openl3": (lambda frame: bands(spectrum(window(frame))), 2048, 242)}
found = {}
for name, (compute, size, hop) in kinds.items():
    frames = FrameGenerator(given[name], frameSize=size, hopSize=hop,
                            startFromZero=name == "vggish")
    found[name] = np.array([compute(frame) for frame in frames])
"""


@pytest.mark.slow
def test_musicnn_vggish_and_openl3_equal_essentias(tmp_path: Path) -> None:
    samples, second = music(5, 16_000), music(1, 48_000)
    found = ask("essentia", ESSENTIA, tmp_path, musicnn=samples, vggish=samples, openl3=second)
    # Essentia's window is symmetric; those of the releases of VGGish and OpenL3 are periodic.
    decibels = 10 * np.log10(np.maximum(found["openl3"], 1e-10))
    found["openl3"] = np.maximum(decibels - decibels.max(), -80)
    for name, ours in (
        ("musicnn", network_input(samples, Musicnn())),
        ("vggish", network_input(samples, Vggish(window="symmetric hann"))),
        ("openl3", network_input(second, Openl3(n_mels=128, window="symmetric hann"))),
    ):
        n = min(len(ours), len(found[name])) - 3  # the last ones are padded
        assert n > 190
        np.testing.assert_allclose(
            ours[:n], found[name][:n], atol=1e-3 if name == "openl3" else 1e-4
        )


VGGISH = """\
from importlib.util import module_from_spec
from pathlib import Path
from importlib.machinery import SourceFileLoader
# Only the module from the release: the package itself imports more.
folder = Path(find_spec("torchvggish").submodule_search_locations[0])
release = SourceFileLoader("mel_features", str(folder / "mel_features.py")).load_module()
log_mel = release.log_mel_spectrogram(
    given["samples"].astype(float), audio_sample_rate=16_000, log_offset=0.01,
    window_length_secs=0.025, hop_length_secs=0.010, num_mel_bins=64,
    lower_edge_hertz=125, upper_edge_hertz=7500)
found = {"patches": release.frame(log_mel, 96, 96)}
"""


@pytest.mark.slow
def test_vggishs_patches_equal_those_of_its_release(tmp_path: Path) -> None:
    samples = music(3, 16_000)
    found = ask("torchvggish", VGGISH, tmp_path, samples=samples)["patches"]
    np.testing.assert_allclose(patches_of("vggish", samples), found, atol=1e-5)


TORCHLIBROSA = """\
import torch
from torchlibrosa.stft import LogmelFilterBank, Spectrogram
spectrogram = Spectrogram(n_fft=1024, hop_length=320, win_length=1024)
log_mel = LogmelFilterBank(sr=32_000, n_fft=1024, n_mels=64, fmin=50, fmax=14_000, amin=1e-10,
                           ref=1.0, top_db=None)
with torch.no_grad():
    found = {"patches": log_mel(spectrogram(torch.from_numpy(given["patches"])))[:, 0].numpy()}
"""


@pytest.mark.slow
def test_panns_patches_equal_torchlibrosas(tmp_path: Path) -> None:
    samples = music(16, 32_000)
    cut = np.stack([samples[:320_000], samples[160_000:480_000]])
    found = ask("torchlibrosa", TORCHLIBROSA, tmp_path, patches=cut)["patches"]
    assert found.shape == (2, 1001, 64)  # the frames of 10 s, as in training
    np.testing.assert_allclose(patches_of("panns", samples), found, atol=1e-3)


TRANSFORMERS = """\
from transformers import ClapFeatureExtractor, Wav2Vec2FeatureExtractor
clap = ClapFeatureExtractor(frequency_min=50, truncation="rand_trunc", padding="repeatpad")
def mert(level):
    extract = Wav2Vec2FeatureExtractor(sampling_rate=24_000, do_normalize=level)
    return extract(given["mert"], sampling_rate=24_000, return_tensors="np")["input_values"]
found = {
    name: clap(given[name], sampling_rate=48_000, return_tensors="np")["input_features"][0]
    for name in ("long", "short")
} | {"mert": mert(False), "level": mert(True)}
"""


@pytest.mark.slow
def test_clap_and_mert_equal_transformers(tmp_path: Path) -> None:
    long, mert = music(10, 48_000), music(5, 24_000) + np.float32(0.1)
    short = long[:150_000]  # is repeated three times; zeros follow
    found = ask("transformers", TRANSFORMERS, tmp_path, long=long, short=short, mert=mert)
    for name, samples in (("long", long), ("short", short)):
        np.testing.assert_allclose(patches_of("clap", samples), found[name], atol=1e-4)
    np.testing.assert_array_equal(patches_of("mert", mert), found["mert"])
    unit = network_input(mert, Waveform(sample_rate_hz=24_000, level="unit variance"))
    np.testing.assert_allclose(unit[None], found["level"], atol=1e-4)


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
