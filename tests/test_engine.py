"""Features by librosa's own functions: ``features.engine = "librosa"`` and the comparison."""

from pathlib import Path

import librosa
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import music
from sounds import excerpt_of

from genreclf.cli import cli
from genreclf.config.load import load_config
from genreclf.errors import ConfigError
from genreclf.extraction.chain import extract_one
from genreclf.extraction.tracks import extract
from genreclf.features.catalogue import FEATURES
from genreclf.features.compute import features_of, prepare_engine
from genreclf.features.librosa_engine import RECIPES
from genreclf.features.pooling import feature_names
from genreclf.tables.reading import load_table

BY_LIBROSA = ["features.engine=librosa"]
INSTALLED = f"librosa {librosa.__version__}"


def test_librosa_computes_what_it_has_and_we_the_rest() -> None:
    select = [f"features.select={list(FEATURES)}"]
    excerpt = excerpt_of(music(4, 12_000))
    ours = features_of(excerpt, load_config(overrides=select))
    theirs = features_of(excerpt, load_config(overrides=[*BY_LIBROSA, *select]))
    assert list(theirs) == list(ours) == list(FEATURES)
    stft = np.abs(librosa.stft(excerpt.samples, n_fft=1024, hop_length=256))
    centroid = librosa.feature.spectral_centroid(S=stft, sr=12_000)
    np.testing.assert_array_equal(theirs["mix.centroid"], centroid.astype(np.float32))
    for name, rows in ours.items():
        assert theirs[name].dtype == np.float32
        assert theirs[name].shape == rows.shape
        if name not in RECIPES:
            np.testing.assert_array_equal(theirs[name], rows)


def test_mel_bands_that_librosa_does_not_have_are_ours() -> None:
    dense = ["features.select=['mix.mfcc', 'mix.rolloff']", "spectra.mel_emphasis=3"]
    dense += ["spectra.mel_emphasis_min_hz=1000", "spectra.mel_emphasis_max_hz=4000"]
    excerpt = excerpt_of(music(2, 12_000))
    ours, theirs = (
        features_of(excerpt, load_config(overrides=[*dense, *engine]))
        for engine in ([], BY_LIBROSA)
    )
    np.testing.assert_array_equal(ours["mix.mfcc"], theirs["mix.mfcc"])


def test_tables_are_extracted_with_librosa(genre_folder: Path, tmp_path: Path) -> None:
    song, output = genre_folder / "tonal" / "0.mp3", tmp_path / "features.csv"
    arguments = ["extract", str(song), "-o", str(output), "--jobs", "1", "--set", *BY_LIBROSA]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.stderr
    assert "loading librosa, which compiles its functions on the first run" in done.stderr
    table = load_table(output)
    assert table.config is not None
    assert table.config.features.engine == INSTALLED
    np.testing.assert_array_equal(table.values[0], extract_one(song, table.config))
    ours = extract_one(song)
    assert not np.array_equal(table.values[0], ours)
    close = np.isclose(table.values[0], ours, rtol=1e-3, atol=1e-3)
    assert np.mean(close) > 0.95
    assert list(table.names) == feature_names(load_config())
    np.testing.assert_array_equal(extract([song], table.config).values, table.values)


def test_the_version_is_part_of_the_configuration() -> None:
    config = load_config(overrides=BY_LIBROSA)
    assert config.features.engine == INSTALLED
    assert config == load_config(overrides=[f"features.engine={INSTALLED}"])
    other = load_config(overrides=["features.engine=librosa 0.10.2"])
    fingerprints = {load_config().fingerprint, config.fingerprint, other.fingerprint}
    assert len(fingerprints) == 3
    with pytest.raises(ConfigError, match=r"'librosa 0\.10\.2', but .* install librosa==0\.10\.2"):
        prepare_engine(other)


@pytest.mark.parametrize(
    ("preset", "fingerprint"), [("default", "9b4c15eb68d47559"), ("gtzan133", "b30fcbd7f75d6ad3")]
)
def test_tables_from_before_there_was_a_choice_mix_with_ours(preset: str, fingerprint: str) -> None:
    assert load_config(preset).fingerprint == fingerprint


@pytest.mark.parametrize("engine", ["essentia", "librosa x", "librosa 1\n2"])
def test_other_engines_are_refused(engine: str) -> None:
    with pytest.raises(ConfigError, match=r"features\.engine = .*: can be genreclf, librosa$"):
        load_config(overrides=[f"features.engine={engine!r}"])


def test_a_comparison_with_librosa_of_several_excerpts(genre_folder: Path) -> None:
    arguments = ["inspect", str(genre_folder / "tonal" / "0.mp3"), "--compare-librosa"]
    arguments += ["--set", "excerpt.strategy=multi", "--set", "excerpt.seconds=1.5"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.stderr
    shown = [line.split("│")[1:3] for line in done.stdout.splitlines() if "│" in line]
    differences = {name.strip(): float(value) for name, value in shown}
    assert list(differences) == [n for n in load_config().features.select if n in RECIPES]
    assert max(differences.values()) < 1e-3
