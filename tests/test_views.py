"""Configurations of several views, whose features stand side by side."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import music

from genreclf.cli import cli
from genreclf.config.load import config_from_dict, extraction_config_from_dict, load_config
from genreclf.config.schema import Config, ExtractionConfig
from genreclf.config.views import SpectralView
from genreclf.errors import ConfigError
from genreclf.extraction.chain import extract_one
from genreclf.extraction.journal import extract_resumably
from genreclf.extraction.tracks import extract
from genreclf.extraction.transformer import FeatureExtractor
from genreclf.features.pooling import feature_names
from genreclf.library.sources import Track
from genreclf.tables.reading import load_table

TWO = """
[[views]]
excerpt.seconds = 2.0
features.select = ["mix.mfcc", "mix.rms"]

[[views]]
preset = "wide"
separation = "none"
excerpt.seconds = 3.0
features.select = ["percussive.tempo", "mix.centroid"]
features.n_mfcc = 5
"""


@pytest.fixture
def two(tmp_path: Path) -> Path:
    path = tmp_path / "two.toml"
    path.write_text(TWO)
    return path


# --- the configuration -----------------------------------------------------------------------


def test_a_view_begins_from_its_preset_or_from_the_default(two: Path) -> None:
    first, second = load_config(two).views
    assert first.audio == SpectralView().audio
    assert (first.excerpt.seconds, first.pooling) == (2, SpectralView().pooling)
    wide = load_config("wide")
    assert (second.audio, second.spectra, second.hpss) == (wide.audio, wide.spectra, wide.hpss)
    assert (second.separation, second.features.n_mfcc) == ("none", 5)
    assert second.features.rolloff_fraction == wide.features.rolloff_fraction


def test_a_configuration_without_views_is_its_only_one() -> None:
    config = load_config("wide")
    assert config.views == ()
    assert config.each_view == (config,)
    assert "views" not in config.to_dict()


def test_views_survive_a_round_trip_without_any_preset(
    two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(two)
    monkeypatch.setattr("genreclf.config.load.presets_folder", lambda: two.parent / "gone")
    tree = json.loads(json.dumps(config.to_dict()))
    assert config_from_dict(tree, "json") == config
    tree = json.loads(json.dumps(config.extraction.to_dict()))
    assert extraction_config_from_dict(tree, "json") == config.extraction
    assert tree.keys() == {"views"}


def test_the_fingerprint_is_that_of_all_views_in_their_order(two: Path) -> None:
    config = load_config(two)
    first, second = config.views
    others = [
        ExtractionConfig(views=(second, first)),
        ExtractionConfig(views=(first,)),
        load_config(two, ["spectra.n_mels=100"]),
        Config(),
    ]
    assert ExtractionConfig(views=(first, second)).fingerprint == config.fingerprint
    assert len({config.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_an_override_changes_every_view(two: Path) -> None:
    config = load_config(two, ["excerpt.seconds=1.5", "seed=4", "separation=hpss"])
    assert [view.excerpt.seconds for view in config.views] == [1.5, 1.5]
    assert [view.separation for view in config.views] == ["hpss", "hpss"]
    assert config.seed == 4
    assert config.excerpt == SpectralView().excerpt


def test_learning_from_features_of_views(two: Path) -> None:
    joined = load_config("wide", ["seed=5"]).with_extraction(load_config(two).extraction)
    assert (joined.extraction, joined.seed) == (load_config(two).extraction, 5)
    back = joined.with_extraction(load_config("wide").extraction)
    assert back == load_config("wide", ["seed=5"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("views = 3", ["views = 3"]),
        ("views = [3]", ["views.0 = 3"]),
        ('views = [{preset = "narrow"}]', ["no preset 'narrow'", "default", "gtzan57"]),
        ("views = [{preset = 3}]", ["no preset 3"]),
        ('views = [{preset = "gtzan133"}]', ["gtzan133", "has views itself"]),
        ("views = [{views = []}]", ["unknown key views.0.views"]),
        ("views = [{seed = 3}]", ["unknown key views.0.seed"]),
        ("views = [{audio = {rate = 3}}]", ["unknown key views.0.audio.rate"]),
        ('views = [{preset = "wide", audio = 3}]', ["views.0.audio = 3"]),
        ("views = [{spectra = {n_fft = 1023}}]", ["views.0.spectra", "n_fft", "even"]),
        ("views = [{}, {}]", ["features.select", "harmonic.chroma", "two"]),
        ("views = [{}]\n[audio]\nsample_rate_hz = 8000", ["audio is set beside views"]),
        ('separation = "none"\nviews = [{}]', ["separation is set beside views"]),
    ],
)
def test_views_that_cannot_be(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert all(word in message for word in ["mine.toml", *words])
    assert "\n" not in message


def test_nothing_looks_up_a_preset_but_a_file() -> None:
    with pytest.raises(ConfigError, match=r"unknown key views\.0\.preset"):
        config_from_dict({"views": [{"preset": "wide"}]}, "table.csv")


# --- the features ----------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["wav", "mp3"])
def test_features_of_views_are_those_of_each_side_by_side(
    two: Path, write_audio: Callable[..., Path], format_: str
) -> None:
    song = write_audio(f"a.{format_}", music(8, 22_050), 22_050)
    config = load_config(two)
    alone = [ExtractionConfig(views=(view,)) for view in config.views]
    expected = np.concatenate([extract_one(song, view) for view in alone])
    if format_ == "mp3":  # whose decoder's last bits depend on where it began
        np.testing.assert_allclose(extract_one(song, config), expected, rtol=1e-4, atol=1e-4)
    else:
        np.testing.assert_array_equal(extract_one(song, config), expected)
    assert feature_names(config) == [name for view in alone for name in feature_names(view)]


def test_gtzan133_is_made_of_the_two_others(write_audio: Callable[..., Path]) -> None:
    song = write_audio("a.wav", music(31, 22_050), 22_050)
    names = feature_names(load_config("gtzan133"))
    values = dict(zip(names, extract_one(song, load_config("gtzan133")), strict=True))
    both = {}
    for preset in ("gtzan57", "gtzan-mfcc"):
        config = load_config(preset)
        both |= dict(zip(feature_names(config), extract_one(song, config), strict=True))
    assert len(names) == 133
    assert names[:120] == feature_names(load_config("gtzan-mfcc"))
    assert names[120:] == [
        name for name in feature_names(load_config("gtzan57"))
        if name.startswith("mix.") and "mfcc" not in name
    ]  # fmt: skip
    assert values == {name: both[name] for name in names}


def test_tables_and_transformers_hold_views(two: Path, genre_folder: Path) -> None:
    songs = sorted(genre_folder.glob("tonal/*.mp3"))[:2]
    config = load_config(two)
    expected = np.array([extract_one(song, config) for song in songs])
    table = extract(songs, config, jobs=1)
    np.testing.assert_array_equal(table.values, expected)
    for name in ("t.csv", "t.npz", "t.parquet"):
        table.save(two.parent / name)
        assert load_table(two.parent / name).config == config.extraction
    extractor = FeatureExtractor(two)
    np.testing.assert_array_equal(extractor.fit_transform(songs), expected)
    assert list(extractor.get_feature_names_out()) == feature_names(config)


def test_an_interrupted_extraction_of_views_goes_on(two: Path, genre_folder: Path) -> None:
    tracks = [Track(song) for song in sorted(genre_folder.glob("tonal/*.mp3"))[:3]]
    config, output = load_config(two), two.parent / "table.csv"
    next(rows := extract_resumably(tracks, config, output))
    rows.close()
    again = list(extract_resumably(tracks, config, output))
    assert [row.resumed for row in again] == [True, False, False]
    np.testing.assert_array_equal(again[0].measured.statistics, extract_one(tracks[0].path, config))
    other = load_config(two, ["excerpt.seconds=1"])
    assert [row.resumed for row in extract_resumably(tracks[:1], other, output)] == [False]


# --- the commands ----------------------------------------------------------------------------


def test_commands_take_views(two: Path, genre_folder: Path) -> None:
    song = min(genre_folder.glob("tonal/*.mp3"))
    output = two.parent / "table.csv"
    run = CliRunner().invoke
    done = run(cli, ["extract", str(song), "--config", str(two), "-o", str(output)])
    assert done.exit_code == 0, done.output
    assert load_table(output).names == feature_names(load_config(two))
    shown = run(cli, ["inspect", str(output)]).stdout
    assert "views.0.excerpt.seconds = 2.0" in shown
    assert "views.1.excerpt.seconds = 3.0" in shown
    shown = run(cli, ["inspect", str(song), "--config", str(two), "--all"]).stdout
    assert "mix.mfcc.19.max" in shown
    assert "percussive.tempo" in shown


@pytest.mark.parametrize("preset", ["gtzan133", "gtzan57"])
def test_librosa_agrees_with_published_definitions(genre_folder: Path, preset: str) -> None:
    song = min(genre_folder.glob("tonal/*.mp3"))
    done = CliRunner().invoke(cli, ["inspect", str(song), "--config", preset, "--compare-librosa"])
    assert done.exit_code == 0, done.output
    shown = [line.split("│")[1:3] for line in done.stdout.splitlines() if "│" in line]
    differences = {name.strip(): float(value) for name, value in shown}
    selected = [n for view in load_config(preset).each_view for n in view.features.select]
    assert list(differences) == selected
    assert max(differences.values()) < 1e-4
