"""Tracks with several excerpts: a classifier learns from each, and predicts by their mean score."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.pipeline import Pipeline

from genreclf.config.schema import Config
from genreclf.errors import TableError
from genreclf.tables.table import FeatureTable

Doubles = NDArray[np.float64]


class ExcerptPipeline(Pipeline):
    """Pipeline that learns from the excerpts of tracks, and predicts tracks.

    ``X`` is (n_tracks, n_excerpts, n_features): every excerpt is a row for the steps. The score of
    a genre for a track is the mean over its excerpts, so probabilities are normalised geometric
    means. The last step calibrates those, and keeps the excerpts of a track in one fold.

    ``X`` may also be (n, n_features), one row an excerpt, such as the windows of a timeline.
    """

    def fit(self, X: NDArray[Any], y: Any = None, **params: Any) -> "ExcerptPipeline":
        """Fit all steps; ``y`` and ``classify__groups`` are those of tracks."""
        n_excerpts = X.shape[1] if X.ndim == 3 else 1
        super().fit(as_rows(X), np.repeat(y, n_excerpts), **params)
        return self

    def transform(self, X: NDArray[Any], **params: Any) -> Doubles:
        """Return what the steps make of each track: the mean of its excerpts, (n_tracks, n)."""
        rows: Doubles = super().transform(as_rows(X))
        return rows.reshape(len(X), -1, rows.shape[1]).mean(axis=1)

    def predict(self, X: NDArray[Any], **params: Any) -> NDArray[Any]:
        """Return the most probable class of each track."""
        most_probable = self.predict_log_proba(X).argmax(axis=1)
        predicted: NDArray[Any] = self.classes_[most_probable]
        return predicted

    def predict_proba(self, X: NDArray[Any], **params: Any) -> Doubles:
        """Return calibrated probabilities, (n_tracks, n_classes)."""
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: NDArray[Any], **params: Any) -> Doubles:
        """Return the logarithms of the probabilities, (n_tracks, n_classes)."""
        of_rows: Doubles = super().predict_log_proba(as_rows(X))
        if X.ndim == 2:
            return of_rows
        means = of_rows.reshape(*X.shape[:2], -1).mean(axis=1)
        classify = self[-1]
        return log_softmax(means * classify.temperature_ / classify.mean_temperature_, axis=1)


def as_rows(X: NDArray[Any]) -> NDArray[Any]:
    """Put the excerpts of all tracks in rows, (n_tracks * n_excerpts, n_features)."""
    return X.reshape(-1, X.shape[-1])


def rows_per_track(config: Config, table: FeatureTable) -> int:
    """Return how many rows a classifier learns from of each track: 1, or its excerpts."""
    several = table.excerpts if config.learn_from == "excerpts" else None
    return 1 if several is None else several.shape[1]


def resolve_rows(config: Config, table: FeatureTable) -> Config:
    """Decide whether each excerpt is a row to learn from, where that depends on the table.

    ``"auto"`` is excerpts if the table has them, unless frames of whole tracks are learned from.

    Raises
    ------
    TableError
        If excerpts are asked for, but the table has none, or frames are learned from.
    """
    learn_from = config.learn_from
    if learn_from == "auto" and table.excerpts is not None and not config.takes_frames:
        return msgspec.structs.replace(config, learn_from="excerpts")
    if learn_from == "excerpts" and table.excerpts is None:
        raise TableError(
            'learn_from = "excerpts": the table holds no statistics of single excerpts; extract it '
            "with --set excerpt.strategy=multi and -o, and without --rows-per-file"
        )
    if learn_from == "excerpts" and config.takes_frames:
        taker = "codebook" if config.codebook.n_words else "network"
        raise TableError(f'learn_from = "excerpts": a {taker} takes the frames of whole tracks')
    return config
