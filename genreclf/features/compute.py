"""From an excerpt to the frames of its features."""

from pathlib import Path

import numpy as np

from genreclf.audio.excerpt import Excerpt
from genreclf.config.schema import ExtractionConfig
from genreclf.config.views import SpectralView
from genreclf.errors import ConfigError
from genreclf.features.catalogue import FEATURES
from genreclf.features.selection import load_chosen
from genreclf.features.separation import Parts, separate
from genreclf.features.sound import Sound
from genreclf.features.spectra import Array, mix_spectrum
from genreclf.versions import version_of


def features_of(excerpt: Excerpt, view: SpectralView) -> dict[str, Array]:
    """Compute the selected features of an excerpt with the engine of the configuration.

    Returns
    -------
    dict of str to (rows, values) float32
        In the order of ``features.select``, which is that of the columns; ``feature_rows`` names
        the rows.
    """
    computed = _by_librosa(excerpt, view) if view.features.uses_librosa else {}
    ours = [name for name in view.features.select if name not in computed]
    if ours:
        mix = mix_spectrum(excerpt, view)
        parts = separate(mix, view)
        computed |= compute_features(ours, parts, excerpt, view)
    return {name: computed[name] for name in view.features.select}


def compute_features(
    names: list[str], parts: Parts, excerpt: Excerpt, view: SpectralView
) -> dict[str, Array]:
    """Compute the named features from the parts of an excerpt, as ``features_of``."""
    sounds = {
        part: Sound(spectrum, parts.mix, excerpt, view)
        for part, spectrum in parts._asdict().items()
    }
    features = [FEATURES[name] for name in names]
    return {feature.name: feature.compute(sounds[feature.part]) for feature in features}


def prepare_engine(config: ExtractionConfig) -> None:
    """Load what an engine needs; call it before worker processes start.

    Raises
    ------
    ConfigError
        If another version of librosa is installed than the configuration names.
    """
    from genreclf.features.librosa_engine import compile_functions

    for view in config.spectral_views:
        if view.features.uses_librosa:
            _check_version(view)
            compile_functions()


def compare_with_librosa(path: Path, config: ExtractionConfig) -> dict[str, float]:
    """Compare the features of a file with librosa's of the same samples.

    Returns
    -------
    dict of str to float
        For each selected feature that librosa has, the largest difference, relative to librosa's
        largest value. Of several excerpts, it is that of the excerpt with the largest one.
    """
    from genreclf.features.librosa_engine import librosa_features

    found: dict[str, float] = {}
    views = config.spectral_views
    for excerpts, view in zip(load_chosen(path, views), views, strict=True):
        for excerpt in excerpts:
            theirs = librosa_features(excerpt.unpadded, view)
            parts = separate(mix_spectrum(excerpt, view), view)
            ours = compute_features(list(theirs), parts, excerpt, view)
            for name, rows in theirs.items():
                difference = float(np.abs(ours[name] - rows).max() / max(np.abs(rows).max(), 1e-30))
                found[name] = max(difference, found.get(name, 0.0))
    return found


def _by_librosa(excerpt: Excerpt, view: SpectralView) -> dict[str, Array]:
    from genreclf.features.librosa_engine import librosa_features

    _check_version(view)
    return librosa_features(excerpt.unpadded, view)


def _check_version(view: SpectralView) -> None:
    installed, wanted = f"librosa {version_of('librosa')}", view.features.engine
    if wanted != installed:
        raise ConfigError(
            f"features.engine = {wanted!r}, but {installed} is installed; install "
            f"{wanted.replace(' ', '==')}, or extract again with features.engine=librosa"
        )
