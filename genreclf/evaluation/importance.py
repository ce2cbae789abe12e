"""Which features the accuracy depends on: permutation importance of groups of features."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from genreclf.config.schema import Config
from genreclf.evaluation.intervals import bootstrap_interval
from genreclf.learning.explanation import CODEBOOK, column_groups
from genreclf.learning.resolution import resolve
from genreclf.tables.inputs import exchanged, inputs, with_frames_exchanged
from genreclf.tables.table import FeatureTable

Indices = NDArray[np.intp]

MOST_REPEATS = 5
# Predictions in all, so that the report of a large table does not cost as much as the
# cross-validation itself: fewer repetitions, then fewer tracks.
MOST_PREDICTIONS = 20_000


@dataclass(frozen=True, slots=True)
class Importance:
    """The permutation importance of a group of features."""

    name: str
    n_columns: int
    drop: float  # accuracy that is lost without the information of the group, as a share
    low: float  # low to high: 95 % interval of the drop
    high: float


class ImportanceMeter:
    """Measures the importance of groups of features on tracks held out in a cross-validation.

    All columns of a group are taken from another held-out track of the same fold, while the other
    features stay (Breiman 2001; by exchange, so that no track keeps its own columns: Fisher, Rudin
    & Dominici 2019). No classifier is trained for it. (``sklearn.inspection`` permutes single
    columns only.)

    Parameters
    ----------
    table : FeatureTable
        All tracks that will be held out; their number bounds the work.
    config : Config
        Of the classifier; its seed, ``evaluation.bootstrap_samples`` and codebook are used.
    """

    def __init__(self, table: FeatureTable, config: Config) -> None:
        self._config = resolve(config, table)
        takes_frames = self._config.classifier.takes_frames  # which are not in groups
        self.groups = {} if takes_frames else column_groups(table.names, table.config)
        if self._config.codebook.n_words and table.frames is not None:
            n, n_words = len(table.names), self._config.codebook.n_words * len(table.frames)
            self.groups[CODEBOOK] = np.arange(n, n + n_words)  # the columns of the codebook
        at_once = max(1, len(self.groups) * len(table))
        self.n_repeats = int(np.clip(MOST_PREDICTIONS // at_once, 1, MOST_REPEATS))
        self._share = min(1.0, MOST_PREDICTIONS / at_once)
        self._random = np.random.default_rng(config.seed)
        self._drops: list[NDArray[np.float64]] = []
        self._tracks: list[NDArray[np.object_]] = []

    @property
    def n_tracks(self) -> int:
        """Number of tracks measured so far."""
        return sum(map(len, self._tracks))

    def __call__(self, pipeline: Any, part: FeatureTable) -> None:
        """Measure a fitted pipeline on tracks that it was not trained on, if at least two."""
        n = min(len(part), max(2, round(self._share * len(part))))
        if n < 2 or len(self.groups) < 2:
            return
        part = part.take(np.sort(self._random.choice(len(part), n, replace=False)))
        given = inputs(part, self._config)
        drops = np.zeros((n, len(self.groups)))
        for _ in range(self.n_repeats):
            partners = _exchange(n, self._random)
            for i, (name, columns) in enumerate(self.groups.items()):
                if name == CODEBOOK:
                    changed = with_frames_exchanged(given, partners)
                else:
                    changed = exchanged(given, partners, columns)
                drops[:, i] -= pipeline.predict(changed) == part.labels
        correct = pipeline.predict(given) == part.labels
        self._drops.append(correct[:, None] + drops / self.n_repeats)
        self._tracks.append(part.groups)

    def importances(self) -> list[Importance]:
        """Return the importance of each group, the largest first; none of a single group.

        The intervals come from a bootstrap over groups of tracks.
        """
        if not self._drops:
            return []
        drops, tracks = np.concatenate(self._drops), np.concatenate(self._tracks)
        n_samples, seed = self._config.evaluation.bootstrap_samples, self._config.seed
        found = [
            Importance(
                name,
                len(columns),
                float(drop.mean()),
                *bootstrap_interval(drop, tracks, n_samples, seed),
            )
            for (name, columns), drop in zip(self.groups.items(), drops.T, strict=True)
        ]
        return sorted(found, key=lambda importance: -importance.drop)


def _exchange(n: int, random: np.random.Generator) -> Indices:
    """Draw a permutation without fixed points: a single cycle."""
    order = random.permutation(n)
    partner = np.empty(n, dtype=np.intp)
    partner[order] = np.roll(order, 1)
    return partner


def most_different(table: FeatureTable, n: int) -> list[str]:
    """Return the names of the columns that differ most between genres.

    By the F statistic (Fisher 1925) of each column alone; ``ImportanceMeter`` measures the
    importance of several columns together.
    """
    of_genres = [table.values[table.labels == genre].astype(np.float64) for genre in table.genres]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of constant columns
        f = scipy.stats.f_oneway(*of_genres, nan_policy="omit").statistic
    order = np.argsort(-np.nan_to_num(f, nan=-1, posinf=np.finfo(float).max), kind="stable")
    return [table.names[column] for column in order[:n]]
