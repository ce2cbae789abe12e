"""The catalogue of features: one entry and one function add a feature."""

import numpy as np
import pytest
from conftest import music
from sounds import excerpt_of, spectrum_of

from genreclf.config.load import load_config
from genreclf.errors import ConfigError
from genreclf.features import catalogue, timbre
from genreclf.features.catalogue import FEATURES, Feature, group_of
from genreclf.features.compute import features_of
from genreclf.features.pooling import feature_names
from genreclf.features.sound import Sound
from genreclf.features.spectra import Array
from genreclf.learning.explanation import column_groups


@pytest.mark.parametrize("feature", FEATURES.values(), ids=FEATURES)
def test_each_feature_is_declared_in_full(feature: Feature) -> None:
    assert feature.part in ("harmonic", "percussive", "mix")
    assert feature.group
    assert feature.summary.endswith(".")
    assert group_of(f"{feature.name}.00.mean") == feature.group


def test_one_entry_and_one_function_add_a_feature(monkeypatch: pytest.MonkeyPatch) -> None:
    def peak(sound: Sound) -> Array:
        """Largest magnitude."""
        return sound.spectrum.magnitude.max(axis=0, keepdims=True)

    monkeypatch.setattr(timbre, "peak", peak, raising=False)
    entry = Feature("mix.peak", "loudness", "timbre:peak", needs=("mel bands",))
    with pytest.raises(ConfigError, match=r"'mix\.peak': can be harmonic\.chroma, "):
        load_config(overrides=["features.select=['mix.peak']"])
    monkeypatch.setitem(catalogue.FEATURES, "mix.peak", entry)
    with pytest.raises(ConfigError, match="mel bands are narrower"):
        load_config(overrides=["features.select=['mix.peak']", "spectra.n_mels=500"])
    selected = ["features.select=['mix.peak', 'mix.rms']", "pooling.covariance=['mix.peak']"]
    config = load_config(overrides=selected)
    assert feature_names(config)[:4] == [f"mix.peak.{of}" for of in ("mean", "var", "max", "cov")]
    samples = music(3, 12_000)
    rows = features_of(excerpt_of(samples, 12_000), config)["mix.peak"]
    np.testing.assert_array_equal(rows[0], spectrum_of(samples).magnitude.max(axis=0))
    assert {
        name: len(columns) for name, columns in column_groups(feature_names(config)).items()
    } == {"loudness": 7}
