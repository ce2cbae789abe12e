"""Codebook: frames become words, and a track the histogram of its words.

A bag of frames (Aucouturier, Defreville & Pachet 2007), as vector quantisation makes one (McFee,
Barrington & Lanckriet 2012). It tells what mean and variance cannot: which sounds a track is made
of, and for how long each lasts. The words are learned from training tracks only, as a step of the
pipeline. Apart from the classifiers, because a saved model needs it to predict.
"""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.metrics import pairwise_distances_argmin
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from genreclf.config.schema import Config, Weighting
from genreclf.errors import TableError
from genreclf.features.kept import kept_shapes
from genreclf.tables.table import FeatureTable

Doubles = NDArray[np.float64]

AUTO_WORDS = 64
# So many frames place some hundred words well, and take a second.
MOST_FRAMES = 100_000
_BATCH_TRACKS = 256  # frames of these are in memory in double precision at a time


class Codebook(TransformerMixin, BaseEstimator):
    """Histogram of each track's frames over words that are learned by clustering.

    Parameters
    ----------
    words : int
        How many; fewer where there are fewer training frames.
    n_rows : int
        Numbers that a frame has.
    weighting : "sqrt", "tfidf" or "none"
        Square roots of the shares, in which distances are Hellinger's; shares by how few training
        tracks have the word, of length 1, as scikit-learn's ``TfidfTransformer``; the shares.
    prefix : str
        Of the columns' names.
    random_state : int

    Attributes
    ----------
    mean_, spread_ : (n_rows,) array
        Of the training frames, which are standardised by them.
    words_ : (n_words, n_rows) array
        Centres of the clusters of standardised frames.
    idf_ : (n_words,) array
        Weight of each word by how few training tracks have it; 1 for other weightings.
    """

    def __init__(
        self,
        words: int = AUTO_WORDS,
        n_rows: int = 1,
        weighting: Weighting = "sqrt",
        prefix: str = "codebook",
        random_state: int = 0,
    ) -> None:
        self.words = words
        self.n_rows = n_rows
        self.weighting = weighting
        self.prefix = prefix
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None) -> "Codebook":
        """Learn the words from the frames of training tracks.

        Parameters
        ----------
        X : (n_tracks, n_rows * n_frames) array
            The frames of a track, row after row.
        y : ignored
        """
        from sklearn.cluster import MiniBatchKMeans  # only fitting needs it

        tracks = validate_data(self, X, dtype=[np.float64, np.float32])
        frames = self._some_frames(tracks)
        self.mean_, spread = frames.mean(axis=0), frames.std(axis=0)
        self.spread_ = np.where(spread > 1e-9 * np.abs(self.mean_), spread, 1)
        n_words = min(self.words, len(frames))
        clusters = MiniBatchKMeans(n_words, n_init=3, random_state=self.random_state)
        # A batch is so small that threads wait for each other more than they work, and one gives
        # the same words on every machine.
        with threadpool_limits(1):
            clusters.fit((frames - self.mean_) / self.spread_)
        self.words_ = clusters.cluster_centers_
        self.idf_ = np.ones(n_words)
        if self.weighting == "tfidf":
            n_with_word = np.count_nonzero(self._shares(tracks), axis=0)
            self.idf_ += np.log((1 + len(tracks)) / (1 + n_with_word))
        return self

    def transform(self, X: ArrayLike) -> Doubles:
        """Return the weighted histogram of each track, (n_tracks, n_words)."""
        check_is_fitted(self)
        shares = self._shares(validate_data(self, X, dtype=[np.float64, np.float32], reset=False))
        if self.weighting == "sqrt":
            return np.sqrt(shares)
        if self.weighting == "tfidf":
            weighted = shares * self.idf_
            return weighted / np.linalg.norm(weighted, axis=1, keepdims=True)
        return shares

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Name the words, as in ``codebook.mix.mfcc.017``."""
        check_is_fitted(self)
        names = [f"{self.prefix}.{word:03d}" for word in range(len(self.words_))]
        return np.array(names, dtype=object)

    def _some_frames(self, tracks: NDArray[np.floating]) -> Doubles:
        """Return frames to learn from, (n, n_rows), as many of each track, evenly spaced."""
        if tracks.shape[1] % self.n_rows:
            raise ValueError(f"X has {tracks.shape[1]} columns: no frames of {self.n_rows} rows")
        rows = tracks.reshape(len(tracks), self.n_rows, -1)
        step = max(1, len(tracks) * rows.shape[2] // MOST_FRAMES)
        return _side_by_side(rows[:, :, ::step])

    def _shares(self, tracks: NDArray[np.floating]) -> Doubles:
        """Return which share of its frames each word has of a track, (n_tracks, n_words)."""
        counts = np.empty((len(tracks), len(self.words_)))
        rows = tracks.reshape(len(tracks), self.n_rows, -1)
        for batch in gen_batches(len(tracks), _BATCH_TRACKS):
            frames = _side_by_side(rows[batch])
            word = pairwise_distances_argmin((frames - self.mean_) / self.spread_, self.words_)
            for track, of_track in enumerate(word.reshape(-1, rows.shape[2]), batch.start):
                counts[track] = np.bincount(of_track, minlength=len(self.words_))
        return counts / rows.shape[2]


def _side_by_side(rows: NDArray[np.floating]) -> Doubles:
    """Put the frames of all tracks in rows: (n_tracks, d, t) becomes (n_tracks * t, d)."""
    return rows.transpose(0, 2, 1).reshape(-1, rows.shape[1]).astype(np.float64)


def settle(config: Config, table: FeatureTable) -> Config:
    """Decide how many words there are, where that is left to what the table holds.

    Raises
    ------
    TableError
        If a codebook is asked for, but the table has no frames.
    """
    words = config.codebook.words
    if words == "off" or (words == "auto" and table.frames is None):
        return config
    if table.frames is None:
        raise TableError(
            f"codebook.words = {words}: the table has no frames to learn words from; extract it "
            "with --set 'pooling.keep_frames=[\"mix.mfcc\"]'"
        )
    codebook = msgspec.structs.replace(
        config.codebook, words=AUTO_WORDS if words == "auto" else words
    )
    return msgspec.structs.replace(config, codebook=codebook)


def inputs(
    values: NDArray[np.float32], frames: NDArray[np.float16] | None, config: Config
) -> NDArray[np.float32]:
    """Return what a pipeline takes of tracks.

    Parameters
    ----------
    values : (n_tracks, n_features) float32
    frames : (n_tracks, n_kept) float16, or None
    config : Config
        Settled.

    Returns
    -------
    (n_tracks, n_features [+ n_kept]) float32
        The statistics, with frames behind them where there is a codebook.

    Raises
    ------
    TableError
        If there is a codebook, but no frames, or frames that are not finite.
    """
    if not config.codebook.n_words:
        return values
    if frames is None:
        raise TableError("the table has no frames, which the model's codebook needs")
    if not np.isfinite(frames).all():
        raise TableError("the table's frames are not finite: they are damaged; extract it again")
    return np.hstack((values, frames), dtype=np.float32)


def make_codebooks(table: FeatureTable, config: Config) -> Any:
    """Build the step from ``inputs`` to statistics and histograms, unfitted; None without words."""
    if not config.codebook.n_words or table.config is None:
        return None
    from sklearn.compose import ColumnTransformer

    first = len(table.names)
    columns: list[tuple[str, Any, slice]] = [("statistics", "passthrough", slice(first))]
    for name, (n_rows, n_frames) in kept_shapes(table.config).items():
        stop = first + n_rows * n_frames
        codebook = Codebook(
            config.codebook.n_words, n_rows, config.codebook.weighting, f"codebook.{name}",
            config.seed,
        )  # fmt: skip
        columns.append((codebook.prefix, codebook, slice(first, stop)))
        first = stop
    return ColumnTransformer(columns, verbose_feature_names_out=False)
