"""What the accuracy rests on: permutation importance of groups of features."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from genreclf.config.schema import Config
from genreclf.evaluation.intervals import bootstrap_interval
from genreclf.learning.codebook import resolve
from genreclf.tables.inputs import exchanged, inputs, with_frames_exchanged
from genreclf.tables.table import FeatureTable

Indices = NDArray[np.intp]

MOST_GROUPS = 12
MOST_REPEATS = 5
# Predictions of single tracks in all, so that a report of a large table does not cost as much as
# the cross-validation itself: fewer repetitions, then fewer tracks.
MOST_PREDICTIONS = 20_000
_LONGEST_BEGINNING = 200
_CODEBOOK = "codebook"


@dataclass(frozen=True, slots=True)
class Importance:
    """What a group of features is worth.

    Attributes
    ----------
    name : str
    n_columns : int
    drop : float
        Accuracy that is lost without what the group tells, as a share.
    low, high : float
        95 % interval of it.
    """

    name: str
    n_columns: int
    drop: float
    low: float
    high: float


class ImportanceMeter:
    """Measures the importance of groups of features on tracks held out in a cross-validation.

    Each group's columns are taken from another held-out track of the same fold, all together, so
    that the other features keep their meaning and these lose theirs (Breiman 2001; by exchange, so
    that no track keeps its own: Fisher, Rudin & Dominici 2019). No classifier is trained for it.

    Parameters
    ----------
    table : FeatureTable
        Of the tracks that will be held out in all; how many there are bounds the work.
    config : Config
        What is learned with: its seed, ``evaluation.bootstrap_samples`` and codebook count.

    Examples
    --------
    >>> meter = ImportanceMeter(table, config)  # doctest: +SKIP
    >>> cross_validate(table, config, on_model=meter)  # doctest: +SKIP
    >>> meter.importances()  # doctest: +SKIP
    """

    def __init__(self, table: FeatureTable, config: Config) -> None:
        self._config = resolve(config, table)
        self.groups = column_groups(table.names)
        if self._config.codebook.n_words and table.frames is not None:
            n, n_words = len(table.names), self._config.codebook.n_words * len(table.frames)
            self.groups = self.groups or {"statistics": np.arange(n)}
            self.groups[_CODEBOOK] = np.arange(n, n + n_words)  # the columns that it makes
        at_once = max(1, len(self.groups) * len(table))
        self.n_repeats = int(np.clip(MOST_PREDICTIONS // at_once, 1, MOST_REPEATS))
        self._share = min(1.0, MOST_PREDICTIONS / at_once)
        self._random = np.random.default_rng(config.seed)
        self._drops: list[NDArray[np.float64]] = []
        self._tracks: list[NDArray[np.object_]] = []

    @property
    def n_tracks(self) -> int:
        """How many tracks have been looked at."""
        return sum(map(len, self._tracks))

    def __call__(self, pipeline: Any, part: FeatureTable) -> None:
        """Look at a fitted pipeline and tracks that it has not seen; of a single one, nothing."""
        n = min(len(part), max(2, round(self._share * len(part))))
        if n < 2 or not self.groups:
            return
        part = part.take(np.sort(self._random.choice(len(part), n, replace=False)))
        given = inputs(part, self._config)
        drops = np.zeros((n, len(self.groups)))
        for _ in range(self.n_repeats):
            partners = _exchange(n, self._random)
            for i, (name, columns) in enumerate(self.groups.items()):
                if name == _CODEBOOK:
                    changed = with_frames_exchanged(given, partners)
                else:
                    changed = exchanged(given, partners, columns)
                drops[:, i] -= pipeline.predict(changed) == part.labels
        right = pipeline.predict(given) == part.labels
        self._drops.append(right[:, None] + drops / self.n_repeats)
        self._tracks.append(part.groups)

    def importances(self) -> list[Importance]:
        """Return what each group is worth, the most important one first; none if there is one only.

        Intervals are those of a bootstrap over groups of tracks.
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
    """Draw a permutation that leaves nothing in its place: a single cycle."""
    order = random.permutation(n)
    partner = np.empty(n, dtype=np.intp)
    partner[order] = np.roll(order, 1)
    return partner


def column_groups(names: Sequence[str]) -> dict[str, Indices]:
    """Put columns into a few groups by how their names begin.

    By the first word (``mix`` of ``mix.mfcc.03.mean``, ``spectral`` of ``spectral_centroid_var``);
    if that is the same for all, by what stands before the first number, or before the last word
    where there is no number. Of more than ``MOST_GROUPS`` the smaller ones are put together.

    Returns
    -------
    dict of str to array of int
        Columns by group; empty if names make no difference.

    Examples
    --------
    >>> list(column_groups(["mix.mfcc.00.mean", "mix.rms.mean", "percussive.tempo"]))
    ['mix', 'percussive']
    >>> list(column_groups(["mix.mfcc.00.mean", "mix.mfcc_delta.00.mean"]))
    ['mix.mfcc', 'mix.mfcc_delta']
    """
    for pattern in (r"[^\W\d_]+", r"\D+?(?=[._\s-]*\d)|.+[._\s-].+(?=[._\s-])"):
        groups: dict[str, list[int]] = {}
        for column, name in enumerate(names):
            found = re.match(pattern, name[:_LONGEST_BEGINNING])
            groups.setdefault(found[0] if found else name, []).append(column)
        # As many groups as columns, or nearly, are no groups.
        if 1 < len(groups) <= max(MOST_GROUPS, len(names) // 2):
            return {name: np.array(columns) for name, columns in _largest(groups).items()}
    return {}


def _largest(groups: dict[str, list[int]]) -> dict[str, list[int]]:
    if len(groups) <= MOST_GROUPS:
        return groups
    by_size = sorted(groups, key=lambda name: -len(groups[name]))
    rest = by_size[MOST_GROUPS - 1 :]
    kept = {name: groups[name] for name in by_size[: MOST_GROUPS - 1]}
    others = [column for name in rest for column in groups[name]]
    return {**kept, f"{len(rest)} others": others}


def most_telling(table: FeatureTable, n: int) -> list[str]:
    """Name the columns that differ most between genres, by the F statistic (Fisher 1925).

    Each on its own: what several tell together, ``ImportanceMeter`` measures.
    """
    of_genres = [table.values[table.labels == genre].astype(np.float64) for genre in table.genres]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of columns that never vary
        f = scipy.stats.f_oneway(*of_genres, nan_policy="omit").statistic
    order = np.argsort(-np.nan_to_num(f, nan=-1, posinf=np.finfo(float).max), kind="stable")
    return [table.names[column] for column in order[:n]]
