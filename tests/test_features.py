"""All features together: against librosa, of special signals, and their shapes."""

from collections.abc import Callable
from functools import cache
from typing import Any

import librosa
import numpy as np
import pytest
from conftest import music, sine
from sounds import EVERYTHING, PRESETS, SIGNALS, analyse, analysed, excerpt_of

from genreclf.audio.audiofile import Samples
from genreclf.config.load import load_config
from genreclf.config.schema import ExtractionConfig
from genreclf.errors import ConfigError
from genreclf.features.catalogue import FEATURES, feature_rows
from genreclf.features.compute import compute_features, features_of
from genreclf.features.librosa_engine import RECIPES, librosa_features
from genreclf.features.spectra import Array

NOT_IN_LIBROSA = {
    "percussive.tempogram", "percussive.pulse_clarity", "mix.flux", "mix.low_energy",
    "mix.modulation_4hz", "mix.spectral_pattern", "mix.delta_spectral_pattern",
    "mix.fluctuation_pattern", "mix.correlation_pattern",
}  # fmt: skip


OTHERWISE = ["spectra.pad_mode=reflect", "features.delta=difference", "features.rms=waveform",
             "features.onset_aggregate=median", EVERYTHING]  # fmt: skip


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
    names = [name for name in FEATURES if "cqt" not in name]  # it has limits of its own
    overrides = [f"features.select={names}", f"audio.sample_rate_hz={rate}"]
    overrides += [f"spectra.n_fft={n_fft}", f"spectra.hop_length={n_fft // 4}"]
    overrides += [f"spectra.min_hz={limits[0]}", f"spectra.max_hz={limits[1]}"]
    config = load_config(overrides=[*overrides, "spectra.n_mels=30"])
    excerpt = excerpt_of(SIGNALS[kind](2, rate), rate)
    frames, expected = features_of(excerpt, config), librosa_features(excerpt.samples, config)
    whole = features_of(excerpt, load_config(overrides=[*overrides[:-2], "spectra.n_mels=30"]))
    assert frames.keys() - expected.keys() == NOT_IN_LIBROSA
    unlimited = {"harmonic.waveform", "percussive.waveform", "mix.zero_crossing_rate"}
    for name, rows in frames.items():
        if name in unlimited:
            np.testing.assert_array_equal(rows, whole[name])
        if name in expected:
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


def test_chroma_and_tempo_of_the_mix_are_those_without_separation() -> None:
    excerpt = excerpt_of(music(6, 12_000), 12_000)
    apart = analyse(excerpt, load_config(overrides=[EVERYTHING])).frames
    whole = analyse(excerpt, load_config(overrides=["separation=none"])).frames
    for name, of_all in [("mix.chroma", "harmonic.chroma"), ("mix.tempo", "percussive.tempo")]:
        np.testing.assert_array_equal(apart[name], whole[of_all])
        assert not np.array_equal(apart["harmonic.chroma"], whole["harmonic.chroma"])


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


@pytest.mark.parametrize(("preset", "separation"), [("default", "hpss"), ("wide", "none")])
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
