"""Codebook: frames become words, and a track the histogram of its words.

A bag of frames (Aucouturier, Defreville & Pachet 2007) by vector quantisation (McFee, Barrington &
Lanckriet 2012). Unlike mean and variance, it describes which sounds a track is made of, and for how
long each lasts. The words are learned from training tracks only, as the first step of the pipeline.
"""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.metrics import pairwise_distances_argmin
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from genreclf.config.schema import Codebook as Words
from genreclf.config.schema import Config, Weighting
from genreclf.errors import TableError
from genreclf.tables.frames import Frames
from genreclf.tables.inputs import FrameInputs
from genreclf.tables.table import FeatureTable

Doubles = NDArray[np.float64]

AUTO_WORDS = 64
# Enough frames to learn a few hundred words well; this takes a second.
MOST_FRAMES = 100_000


class Codebook(TransformerMixin, BaseEstimator):
    """Statistics, and beside them histograms of each track's frames over words.

    The words of a feature are the centres of clusters of its standardised training frames.

    Parameters
    ----------
    words : int
        Words of each feature; fewer where there are fewer training frames.
    weighting : "sqrt", "tfidf" or "none"
        Square roots of the shares, whose distances are Hellinger's; shares weighted by how few
        training tracks have the word, of length 1, as in scikit-learn's ``TfidfTransformer``; or
        the shares.
    random_state : int

    Attributes
    ----------
    mean_, spread_ : dict of str to (d,) array
        Of the training frames of each feature, by which frames are standardised.
    words_ : dict of str to (n_words, d) array
    idf_ : dict of str to (n_words,) array
        Weight of each word by how few training tracks have it; 1 for other weightings.
    """

    def __init__(
        self, words: int = AUTO_WORDS, weighting: Weighting = "sqrt", random_state: int = 0
    ) -> None:
        self.words = words
        self.weighting = weighting
        self.random_state = random_state

    def fit(self, X: FrameInputs, y: Any = None) -> "Codebook":
        """Learn the words from the frames of training tracks."""
        self.n_features_in_ = X.values.shape[1]
        self.mean_: dict[str, Doubles] = {}
        self.spread_: dict[str, Doubles] = {}
        self.words_: dict[str, Doubles] = {}
        self.idf_: dict[str, Doubles] = {}
        for name in X.frames:
            self._learn_words(name, _some_frames(X.frames, name))
            self.idf_[name] = self._learn_idf(name, X.frames)
        return self

    def _learn_words(self, name: str, frames: Doubles) -> None:
        from sklearn.cluster import MiniBatchKMeans  # only fitting needs it

        mean, spread = frames.mean(axis=0), frames.std(axis=0)
        spread = np.where(spread > 1e-9 * np.abs(mean), spread, 1)
        n_words = min(self.words, len(frames))
        clusters = MiniBatchKMeans(n_words, n_init=3, random_state=self.random_state)
        # One thread: batches are too small to gain from more, and one thread gives the same words
        # on every machine.
        with threadpool_limits(1):
            clusters.fit((frames - mean) / spread)
        self.mean_[name], self.spread_[name] = mean, spread
        self.words_[name] = clusters.cluster_centers_

    def _learn_idf(self, name: str, frames: Frames) -> Doubles:
        if self.weighting != "tfidf":
            return np.ones(len(self.words_[name]))
        shares = self._shares(name, frames)
        n_with_word = np.count_nonzero(shares, axis=0)
        return 1 + np.log((1 + len(shares)) / (1 + n_with_word))

    def transform(self, X: FrameInputs) -> Doubles:
        """Return the statistics, then the histogram of each feature.

        Returns
        -------
        (n_tracks, n_features + n_words) float64
        """
        check_is_fitted(self)
        histograms = (self._histogram(name, X.frames) for name in self.words_)
        return np.hstack((X.values, *histograms))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Name the columns: as they came, then the words, as in ``codebook.mix.mfcc.017``."""
        check_is_fitted(self)
        words = [
            f"codebook.{name}.{word:03d}"
            for name, words in self.words_.items()
            for word in range(len(words))
        ]
        return np.array([*input_features, *words], dtype=object)

    def _histogram(self, name: str, frames: Frames) -> Doubles:
        shares = self._shares(name, frames)
        if self.weighting == "sqrt":
            return np.sqrt(shares)
        if self.weighting == "tfidf":
            weighted = shares * self.idf_[name]
            return weighted / np.linalg.norm(weighted, axis=1, keepdims=True)
        return shares

    def _shares(self, name: str, frames: Frames) -> Doubles:
        """Return each word's share of the frames of each track, (n_tracks, n_words)."""
        words = self.words_[name]
        counts: list[NDArray[np.intp]] = []
        for tracks in frames.batches(name):
            standardised = (_side_by_side(tracks) - self.mean_[name]) / self.spread_[name]
            nearest = pairwise_distances_argmin(standardised, words)
            of_tracks = nearest.reshape(len(tracks), -1)
            counts += [np.bincount(of_track, minlength=len(words)) for of_track in of_tracks]
        return np.array(counts) / frames.shapes[name][1]


def _some_frames(frames: Frames, name: str) -> Doubles:
    """Return frames to learn from, (n, d): as many of each track, evenly spaced."""
    step = max(1, frames.n_tracks * frames.shapes[name][1] // MOST_FRAMES)
    batches = [_side_by_side(tracks[:, :, ::step]) for tracks in frames.batches(name)]
    return np.concatenate(batches)


def _side_by_side(tracks: NDArray[np.floating]) -> Doubles:
    """Put the frames of all tracks in rows: (n_tracks, d, t) becomes (n_tracks * t, d)."""
    return tracks.transpose(0, 2, 1).reshape(-1, tracks.shape[1]).astype(np.float64)


def resolve_codebook(config: Config, table: FeatureTable) -> Config:
    """Decide how many words there are, where that depends on what the table holds.

    ``"auto"`` is 64 for a table with sampled frames. Complete frames are meant for networks, which
    have no codebook.

    Raises
    ------
    TableError
        If a codebook is asked for, or a network, but the table has no frames.
    """
    if config.classifier.takes_frames:
        return _for_network(config, table)
    words = config.codebook.words
    if words == "auto":
        if table.frames is None or _keeps_all(table):
            return config
        words = AUTO_WORDS
    if words == "off":
        return config
    if table.frames is None:
        raise TableError(
            f"codebook.words = {words}: the table has no frames to learn words from; extract it "
            "with --set 'pooling.keep_frames=[\"mix.mfcc\"]'"
        )
    codebook = msgspec.structs.replace(config.codebook, words=words)
    return msgspec.structs.replace(config, codebook=codebook)


def _for_network(config: Config, table: FeatureTable) -> Config:
    if table.frames is None:
        raise TableError(
            f"{config.classifier.name} learns from spectrograms, and the table has none; extract "
            "the music with --config convnet-input"
        )
    return msgspec.structs.replace(config, codebook=Words(words="off"))


def _keeps_all(table: FeatureTable) -> bool:
    views = table.config.each_view if table.config is not None else ()
    return any(view.pooling.frames_per_track == "all" for view in views)


def make_codebook(config: Config) -> Codebook | None:
    """Build the first step of a pipeline, unfitted; None without words."""
    if not config.codebook.n_words:
        return None
    return Codebook(config.codebook.n_words, config.codebook.weighting, config.seed)
