"""The published values of two whole GTZAN recordings, whose audio lies beside the repository."""

import csv
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from genreclf.config.load import load_config
from genreclf.extraction.chain import extract_one
from genreclf.features.pooling import feature_names

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
CLIPS = ["blues.00001", "classical.00000"]

pytestmark = pytest.mark.skipif(
    not (DATA / "gtzan-full").is_dir(), reason=f"no GTZAN recordings in {DATA}"
)

# What the table of 57 calls our features.
NAMES_OF_57 = {
    "mix.chroma": "chroma_stft",
    "mix.centroid": "spectral_centroid",
    "mix.bandwidth": "spectral_bandwidth",
    "mix.rolloff": "rolloff",
    "mix.rms": "rms",
    "mix.zero_crossing_rate": "zero_crossing_rate",
    "harmonic.waveform": "harmony",
    "percussive.waveform": "perceptr",
}


@cache
def row(table: str, key: str, clip: str) -> dict[str, str]:
    with (DATA / "tables" / f"{table}.csv").open(encoding="utf-8") as file:
        return next(row for row in csv.DictReader(file) if row[key] == f"{clip}.au")


def of_57(name: str) -> str:
    """Name a column of ours as that table does: mfcc1 is the first."""
    if name == "mix.tempo":
        return "tempo"
    feature, _, statistic = name.rpartition(".")
    if feature.startswith("mix.mfcc."):
        return f"mfcc{int(feature[-2:]) + 1}_{statistic}"
    return f"{NAMES_OF_57[feature]}_{statistic}"


def compared(preset: str, clip: str) -> dict[str, tuple[float, float]]:
    """Our value and the published one of each column."""
    config = load_config(preset)
    values = extract_one(DATA / "gtzan-full" / f"{clip}.wav", config)
    mfcc = row("gtzan-mfcc", "path", clip) if preset != "gtzan57" else {}
    others = row("gtzan-librosa57", "filename", clip)
    return {
        name: (float(value), float(mfcc.get(name.removeprefix("mix.")) or others[of_57(name)]))
        for name, value in zip(feature_names(config), values, strict=True)
    }


@pytest.mark.parametrize("clip", CLIPS)
def test_gtzan57_gives_the_published_values(clip: str) -> None:
    pairs = compared("gtzan57", clip)
    assert len({of_57(name) for name in pairs}) == 57
    for name, (value, published) in pairs.items():
        # A mean of a waveform is next to nothing beside its samples.
        assert value == pytest.approx(published, rel=1e-4, abs=1e-8), name


@pytest.mark.parametrize("clip", CLIPS)
def test_gtzan_mfcc_gives_the_published_values(clip: str) -> None:
    pairs = compared("gtzan-mfcc", clip)
    assert len(pairs) == 120
    for name, (value, published) in pairs.items():
        if name.endswith(".std"):
            assert value == pytest.approx(published, rel=5e-3), name
        elif name.startswith("mix.mfcc."):
            assert value == pytest.approx(published, abs=0.1), name
    # The mean of differences is that of the ends, a few frames alone: no more than similar.
    ours, theirs = np.array([p for n, p in pairs.items() if "delta" in n and "mean" in n]).T
    assert np.corrcoef(ours, theirs)[0, 1] > 0.9


@pytest.mark.parametrize("clip", CLIPS)
def test_gtzan133_gives_both(clip: str) -> None:
    pairs = compared("gtzan133", clip)
    apart = compared("gtzan-mfcc", clip) | compared("gtzan57", clip)
    mfcc = compared("gtzan-mfcc", clip)
    assert pairs == {name: mfcc.get(name, apart[name]) for name in pairs}


@pytest.mark.parametrize("clip", CLIPS)
def test_the_bundled_model_learned_from_clips_at_the_level_that_it_hears(clip: str) -> None:
    spec = spec_from_file_location("train_bundled", ROOT / "data" / "train_bundled.py")
    assert spec is not None
    assert spec.loader is not None
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    config = load_config("gtzan133", script.SETTINGS)
    table = script.load_published(DATA / "tables", config)
    row = dict(zip(table.names, table.values[list(table.paths).index(f"{clip}.au")], strict=True))
    values = extract_one(DATA / "gtzan-full" / f"{clip}.wav", config)
    heard = dict(zip(feature_names(config), values, strict=True))
    assert heard["mix.rms.mean"] == pytest.approx(row["mix.rms.mean"], rel=1e-3)
    assert heard["mix.rms.var"] == pytest.approx(row["mix.rms.var"], rel=1e-3)
    # The published mean is of other seconds by a few milliseconds: a fortieth of its spread.
    assert heard["mix.mfcc.00.mean"] == pytest.approx(row["mix.mfcc.00.mean"], abs=2)
