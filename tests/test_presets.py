"""Each preset, from its file to the features of a song; every rate with every window."""

import warnings
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import clicks, music, noise
from helpers import run

from genreclf.audio.audiofile import Samples
from genreclf.cli import cli
from genreclf.config.load import load_config, preset_names, presets_folder
from genreclf.config.views import SpectralView
from genreclf.errors import ConfigError
from genreclf.extraction.chain import extract_frames, extract_one
from genreclf.features.catalogue import feature_rows
from genreclf.features.pooling import feature_names
from genreclf.tables.table import FeatureTable

# tests/test_musicnn.py extracts with the others, if it finds the network.
WITHOUT_NETWORK = [name for name in preset_names() if not load_config(name).networks]
RATES = [8000, 12_000, 16_000, 22_050, 44_100]
# Nothing but what cannot be: an emphasis above the Nyquist frequency; bands between two bins.
REFUSED = {
    ("perception", 8000): r"spectra\.mel_emphasis_min_hz is not below 4000 Hz",
    ("convnet-input", 44_100): r"spectra\.n_mels = 96: some mel bands are narrower than a bin",
}


@pytest.fixture(scope="module")
def second(write_audio: Callable[..., Path]) -> Path:
    """The shortest excerpt that there is."""
    return write_audio("second.wav", music(1, 44_100) + 0.1 * clicks(240, 1, 44_100), 44_100)


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_says_what_it_is_for(name: str) -> None:
    text = (presets_folder() / f"{name}.toml").read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert len(text.partition("\n\n")[0]) > 150


@pytest.mark.parametrize("name", WITHOUT_NETWORK)
@pytest.mark.parametrize("length", ["short_song", "second"])
def test_a_preset_gives_finite_features_under_names_of_their_own(
    name: str, length: str, request: pytest.FixtureRequest
) -> None:
    song, config = request.getfixturevalue(length), load_config(name)
    values, names = extract_one(song, config), feature_names(config)
    assert values.shape == (len(names),)
    assert len(set(names)) == len(names)
    assert np.isfinite(values).all()
    assert np.ptp(values) > 0
    np.testing.assert_array_equal(values, extract_one(song, config))
    if "[classifier]" not in (presets_folder() / f"{name}.toml").read_text(encoding="utf-8"):
        assert load_config(name).classifier == load_config().classifier


@pytest.mark.parametrize("name", ["fast", "pitch", "speech-music", "convnet-input"])
def test_the_command_takes_a_preset(name: str, short_song: Path, tmp_path: Path) -> None:
    output = tmp_path / "table.csv"
    arguments = ["extract", str(short_song), "--config", name, "-o", str(output), "--jobs", "1"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    shown = CliRunner().invoke(cli, ["inspect", str(short_song), "--config", name])
    assert shown.exit_code == 0, shown.output


# --- what each is for ------------------------------------------------------------------------


def test_convnet_input_is_librosas_mel_spectrogram_of_1366_frames(song: Path) -> None:
    [excerpt], frames = extract_frames(song, load_config("convnet-input"))
    assert frames.keys() == {"mix.mel"}
    assert frames["mix.mel"].shape == (96, 1366)
    mel = librosa.feature.melspectrogram(
        y=excerpt.samples, sr=12_000, n_fft=512, hop_length=256, n_mels=96
    )
    np.testing.assert_allclose(frames["mix.mel"], librosa.power_to_db(mel), atol=1e-3)


def test_fast_separates_nothing_and_has_few_columns() -> None:
    config = load_config("fast")
    assert not config.separates
    assert len(feature_names(config)) < 50
    assert config.excerpt.seconds <= load_config().excerpt.seconds / 2


def test_pitch_is_constant_q_from_30_hz_to_3_khz() -> None:
    config = load_config("pitch")
    assert (config.spectra.cqt_min_hz, config.spectra.cqt_max_hz) == (30, 3000)
    assert all("cqt" in name for name in config.features.select)
    assert "mix.cqt.A4.mean" in feature_names(config)
    assert "harmonic.chroma_cqt.C.std" in feature_names(config)


def test_perception_hears_up_to_11_khz_and_best_from_4_khz_on() -> None:
    config = load_config("perception", ["features.select=['mix.mel']"])
    hz = np.array([int(name.removesuffix("Hz")) for name in feature_rows(config)["mix.mel"]])
    assert np.mean((hz > 4000) & (hz < 11_000)) > 0.5


def of_speech(values: np.ndarray, view: SpectralView) -> dict[str, float]:
    return dict(zip(feature_names(view), map(float, values), strict=True))


def syllables(seconds: float, rate: int) -> Samples:
    """A stand-in for speech: buzz and hiss in turn, four times a second, with pauses."""
    t = np.arange(round(seconds * rate)) / rate
    phase = (4 * t) % 1
    swell = np.sin(np.pi * np.clip(phase / 0.7, 0, 1))
    buzz = np.sign(np.sin(2 * np.pi * 120 * t)) * 0.3
    voiced = (4 * t).astype(int) % 3 > 0
    return (swell * np.where(voiced, buzz, noise(seconds, rate, 0.1))).astype(np.float32)


def test_speech_music_tells_syllables_from_chords(write_audio: Callable[..., Path]) -> None:
    config = load_config("speech-music")
    speech, chords = (
        of_speech(extract_one(write_audio("a.wav", make(16, 16_000), 16_000), config), config)
        for make in (syllables, music)
    )
    # As Scheirer & Slaney say.
    for name in ("mix.modulation_4hz", "mix.low_energy", "mix.zero_crossing_rate.std",
                 "mix.centroid.std"):  # fmt: skip
        assert speech[name] > 2 * chords[name], name


# --- every rate with every window ------------------------------------------------------------


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("n_fft", [512, 1024, 2048])
@pytest.mark.parametrize("n_mels", [40, 96, 128])
def test_a_rate_and_a_window_give_features_or_are_refused_beforehand(
    rate: int, n_fft: int, n_mels: int, second: Path
) -> None:
    overrides = [f"audio.sample_rate_hz={rate}", f"spectra.n_fft={n_fft}"]
    overrides += [f"spectra.n_mels={n_mels}"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa warns of empty bands
        bank = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels)
    if not bank.any(axis=1).all():
        with pytest.raises(ConfigError, match=rf"spectra\.n_mels = {n_mels}: some mel bands"):
            load_config(overrides=overrides)
        return
    values = extract_one(second, load_config(overrides=overrides))
    assert np.isfinite(values).all()


@pytest.mark.parametrize("name", WITHOUT_NETWORK)
@pytest.mark.parametrize("rate", RATES)
def test_every_preset_takes_every_rate(name: str, rate: int, second: Path) -> None:
    overrides = [f"audio.sample_rate_hz={rate}"]
    if (name, rate) in REFUSED:
        with pytest.raises(ConfigError, match=REFUSED[name, rate]):
            load_config(name, overrides)
        return
    config = load_config(name, overrides)
    frames = extract_frames(second, config)[1]
    assert all(np.isfinite(rows).all() for rows in frames.values())
    for view in config.each_view:
        for feature, rows in feature_rows(view).items():
            assert len(frames[feature]) == len(rows)
            assert view.rate_hz(feature) or frames[feature].shape[1] == 1


@pytest.mark.parametrize(
    ("preset", "options", "named"),
    [
        ("musicnn", [], "classifier is svm; --config musicnn uses the preset's (logistic)"),
        ("musicnn", ["--config", "musicnn"], ""),
        ("musicnn", ["--classifier", "lda"], ""),
        ("musicnn", ["--set", "classifier.C=1"], ""),
        ("accurate", [], ""),  # its features are those of the default
        ("fast", [], ""),
    ],
)
def test_the_classifier_of_the_preset_of_a_table_is_named(
    preset: str, options: list[str], named: str, tmp_path: Path
) -> None:
    config = load_config(preset).extraction
    names, n = feature_names(config), 8
    table = FeatureTable(
        paths=np.array([f"{i}.mp3" for i in range(n)], dtype=object),
        labels=np.array(["a", "b"] * (n // 2), dtype=object),
        groups=np.array([""] * n, dtype=object),
        names=names,
        values=np.random.default_rng(0).uniform(1, 2, (n, len(names))).astype(np.float32),
        config=config,
    )
    table.save(tmp_path / "t.npz")
    done = run("evaluate", tmp_path / "t.npz", *options)
    assert done.exit_code == 0, done.output
    assert named in done.stderr
    assert ("made with the preset" in done.stderr) == bool(named)
