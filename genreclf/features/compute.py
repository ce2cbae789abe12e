"""From an excerpt to the frames of its features."""

from genreclf.audio.excerpt import Excerpt
from genreclf.config.views import View
from genreclf.features.catalogue import FEATURES
from genreclf.features.separation import Parts, separate
from genreclf.features.sound import Sound
from genreclf.features.spectra import Array, mix_spectrum


def features_of(excerpt: Excerpt, view: View) -> dict[str, Array]:
    """Transform an excerpt, separate it and compute the selected features.

    Returns
    -------
    dict of str to (rows, values) float32
        In the order of ``features.select``, which is that of the columns; ``feature_rows`` names
        the rows.
    """
    mix = mix_spectrum(excerpt, view)
    parts = separate(mix, view)
    return compute_features(parts, excerpt, view)


def compute_features(parts: Parts, excerpt: Excerpt, view: View) -> dict[str, Array]:
    """Compute the selected features from the parts of an excerpt, as ``features_of``."""
    sounds = {
        part: Sound(spectrum, parts.mix, excerpt, view)
        for part, spectrum in parts._asdict().items()
    }
    features = [FEATURES[name] for name in view.features.select]
    return {feature.name: feature.compute(sounds[feature.part]) for feature in features}
