"""Signals that no music is, but that a file may hold: features are finite, and nobody is warned.

Floating-point errors and warnings are errors in all tests.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import noise, sine

from genreclf.audio.audiofile import Samples
from genreclf.config.load import load_config, preset_names
from genreclf.config.schema import ExtractionConfig
from genreclf.errors import SilenceError
from genreclf.extraction.chain import extract_one
from genreclf.features.catalogue import FEATURES
from genreclf.features.scan import scan
from genreclf.features.structure import find_structure
from genreclf.learning.scaling import LogScaler

Writer = Callable[..., Path]
RATE = 12_000
N = 18_000  # 1.5 s


def impulse(at: int, height: float = 1, n: int = N) -> Samples:
    samples = np.zeros(n, np.float32)
    samples[at] = height
    return samples


ALTERNATING = np.where(np.arange(N) % 2, 1, -1).astype(np.float32)
HALF = np.arange(N) < N // 2
SOUNDING = {
    "one sample": impulse(N // 2),
    "one sample of a hundred times full scale": impulse(N // 2, 100),
    "the first sample": impulse(0),
    "the last sample": impulse(N - 1),
    "one sample on an offset": impulse(N // 3, 0.1) + np.float32(0.5),
    "noise on an offset": noise(1.5, RATE, 0.001) + np.float32(99),
    "Nyquist frequency": ALTERNATING,
    "Nyquist frequency, a hundred times full scale": 100 * ALTERNATING,
    "clipped": np.clip(noise(1.5, RATE, 40), -100, 100),
    "tone of a bin": sine(1500, 1.5, RATE),
    "tone between bins": sine(1234.5, 1.5, RATE),
    "next to nothing, then noise": np.where(HALF, 1e-40, 1) * noise(1.5, RATE),
    "loud, then silence": np.where(HALF, 150, 0) * noise(1.5, RATE),
    "a step": np.where(HALF, -1, 1),
    "a ramp": np.linspace(-1, 1, N),
    "nearly constant": np.float32(0.5) + noise(1.5, RATE, 1e-4),
    "one second": noise(1, RATE),
}
SILENT = {
    "zeros": np.zeros(N),
    "constant": np.full(N, 0.7),
    "constant, a hundred times full scale": np.full(N, -100.0),
    "denormal": noise(1.5, RATE, 1e-40),
    "squares underflow": noise(1.5, RATE, 1e-25),
    "one step of 16 bits": ALTERNATING / 2**15,
}
STATISTICS = '["mean", "var", "max", "min", "std", "median", "skewness", "kurtosis"]'
EVERYTHING = load_config(
    overrides=[
        f"features.select={list(FEATURES)}".replace("'", '"'),
        f"pooling.statistics={STATISTICS}",
        "pooling.texture_seconds=0.5",
        'pooling.covariance=["mix.mfcc", "mix.contrast"]',
        'pooling.modulation=["mix.mfcc", "mix.rms"]',
        'pooling.keep_frames=["mix.mfcc", "mix.centroid"]',
        "spectra.n_mels=40",
    ]
)
UNUSUAL = load_config(
    overrides=[
        f"pooling.statistics={STATISTICS}",
        "hpss.mask_power=0.5", "hpss.harmonic_margin=3", "hpss.percussive_margin=100",
        "features.onset_aggregate=median", "features.rms=waveform", "features.delta=difference",
        "spectra.pad_mode=reflect", "audio.resampler=kaiser_best", "audio.sample_rate_hz=8000",
    ]
)  # fmt: skip
PRESETS = {name: load_config(name) for name in preset_names()}
CONFIGS = {name: config for name, config in PRESETS.items() if not config.networks} | {
    "everything": EVERYTHING,
    "unusual": UNUSUAL,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signals")
    for name, samples in (SOUNDING | SILENT).items():
        soundfile.write(folder / f"{name}.wav", samples.astype(np.float32), RATE, subtype="FLOAT")
    return folder


@pytest.mark.parametrize("signal", SOUNDING)
@pytest.mark.parametrize("config", CONFIGS)
def test_features_of_any_signal_are_finite(files: Path, config: str, signal: str) -> None:
    assert np.isfinite(extract_one(files / f"{signal}.wav", CONFIGS[config])).all()


@pytest.mark.parametrize("config", [ExtractionConfig(), EVERYTHING, UNUSUAL])
@pytest.mark.parametrize("signal", SILENT)
def test_what_is_no_more_than_dither_is_silence(
    files: Path, config: ExtractionConfig, signal: str
) -> None:
    with pytest.raises(SilenceError, match="holds only silence"):
        extract_one(files / f"{signal}.wav", config)


@pytest.mark.parametrize(
    "signal", ["one sample", "Nyquist frequency", "tone of a bin", "a ramp", "zeros", "denormal"]
)
def test_sections_of_any_signal_are_numbers(write_audio: Writer, signal: str) -> None:
    samples = (SOUNDING | SILENT)[signal].astype(np.float32)
    path = write_audio("long.wav", np.resize(samples, 21 * RATE), RATE)
    structure = find_structure(scan(path, timbre=True))
    assert structure is not None
    assert np.isfinite(structure.repetition).all()
    assert structure.segments[-1][1] == pytest.approx(21, abs=0.5)


def test_a_column_of_the_smallest_numbers_has_logarithms() -> None:
    train = np.array([[5e-324, 1e-45], [1e-320, 1.0], [1e-310, 3e38]])
    scaler = LogScaler(limit=4).fit(train)
    scaled = scaler.transform(np.array([[0.0, 0.0], [-1e300, -3e38], [1e300, 3e38]]))
    assert np.isfinite(scaled).all()
    assert (np.abs(scaled) <= 4).all()
