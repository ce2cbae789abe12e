"""Recordings that are in a table more than once: the same file, or nearly the same sound."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.neighbors import NearestNeighbors

from genreclf.learning.scaling import LogScaler
from genreclf.learning.splits import own_groups
from genreclf.tables.table import FeatureTable, Texts

Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]

# A recording may be there nearly alike as many times as a track has neighbours that are asked.
NEIGHBOURS = 5
# So many pairs of different recordings are expected to be taken for one in a whole table.
CHANCE_PAIRS = 0.01
MOST_COMPONENTS = 300
_NO_PAIRS = np.empty((0, 2), dtype=np.intp), np.empty(0)


@dataclass(frozen=True, eq=False)
class Copies:
    """Which tracks of a table are copies of one recording.

    Attributes
    ----------
    recording : (n_tracks,) array of int
        Number of the recording; -1 for a track that has no copy.
    distance : (n_tracks,) array
        To the nearest copy, as a share of the distance to the fifth neighbour: 0 for identical
        features, infinite for a track that has no copy.
    """

    recording: Indices
    distance: Doubles

    @property
    def recordings(self) -> list[Indices]:
        """The rows of each recording that is there more than once."""
        return [np.flatnonzero(self.recording == number) for number in range(self.n_recordings)]

    @property
    def n_recordings(self) -> int:
        """How many recordings are there more than once."""
        return int(self.recording.max(initial=-1)) + 1

    @property
    def n_tracks(self) -> int:
        """How many tracks have a copy."""
        return int((self.recording >= 0).sum())

    def weights(self, rows: Indices) -> Doubles:
        """Return what each of some tracks counts if a recording counts once, (n_rows,).

        A recording that is there m times among them counts 1 / m each time.
        """
        alone = len(self.recording) + rows  # numbers that no recording has
        of = np.where(self.recording[rows] < 0, alone, self.recording[rows])
        _, which, count = np.unique(of, return_inverse=True, return_counts=True)
        weights: Doubles = 1 / count[which]
        return weights

    def with_paths(self, paths: Texts) -> "Copies":
        """Count rows of one file as copies too, whatever their features.

        Parameters
        ----------
        paths : (n_tracks,) array of str
            The empty string for a row whose file is not known.
        """
        _, first, which, count = np.unique(
            paths, return_index=True, return_inverse=True, return_counts=True
        )
        again = (count[which] > 1) & (paths != "")
        if not again.any():
            return self
        rows = np.arange(len(paths))
        alone = self.n_recordings + rows
        node = np.where(self.recording < 0, alone, self.recording)
        same = _components(node, node[np.where(again, first[which], rows)], alone[-1] + 1)[node]
        recording = np.full(len(paths), -1, dtype=np.intp)
        several = again | (self.recording >= 0)
        _, recording[several] = np.unique(same[several], return_inverse=True)
        return Copies(recording, np.where(again & np.isinf(self.distance), 0.0, self.distance))

    def merged(self, other: "Copies") -> "Copies":
        """Take for copies what this or another table of the same tracks takes for copies."""
        nobody = np.full(len(self.recording), "", dtype=object)
        together = other.joined(self.joined(nobody))
        recording = np.full(len(together), -1, dtype=np.intp)
        several = together != ""
        _, recording[several] = np.unique(together[several], return_inverse=True)
        return Copies(recording, np.minimum(self.distance, other.distance))

    def joined(self, groups: Texts) -> Texts:
        """Put all copies of a recording into one group, and groups that share one into one.

        Parameters
        ----------
        groups : (n_tracks,) array of str
            The empty string for a track on its own.
        """
        names, codes = np.unique(own_groups(groups), return_inverse=True)
        rows = np.flatnonzero(self.recording >= 0)
        _, first, which = np.unique(self.recording[rows], return_index=True, return_inverse=True)
        group = _components(codes[rows], codes[rows[first]][which], len(names))
        kept = np.empty(len(names), dtype=object)
        kept[group] = names  # the last stays: those of tracks on their own sort first
        alone = (groups == "") & (self.recording < 0)
        return np.where(alone, "", kept[group[codes]])


def find_copies(values: NDArray[np.float32], *, near: bool = True) -> Copies:
    """Find the tracks whose features are identical, or nearer than different recordings are.

    Re-encoding, another level or a cut of a few seconds move a track a little; distances are
    measured after whitening, in which all that is never alike by accident counts alike. Two tracks
    are copies if their distance is so small a share of the distance from either to its fifth
    neighbour that chance would make fewer than ``CHANCE_PAIRS`` such pairs in the whole table. How
    likely chance is depends on how many dimensions the neighbours spread in: a ratio test (Lowe
    2004) whose threshold is learned from the intrinsic dimension (Levina & Bickel 2004). As the
    distances are local, the tracks of an artist who always sounds alike are not taken for copies.

    Parameters
    ----------
    values : (n_tracks, n_features) array
        NaN for a missing value. A track without any value has no copies.
    near : bool
        Look for more than identical features, which takes time by the square of the tracks: 2 s
        for 4,000, 2 min for 50,000.
    """
    known = np.flatnonzero(~np.isnan(values).all(axis=1))
    distinct, which = _distinct(values[known])
    pairs, shares = _near_pairs(values[known][distinct]) if near else _NO_PAIRS
    component = np.empty(len(values), dtype=np.intp)
    component[known] = _components(pairs[:, 0], pairs[:, 1], len(distinct))[which]
    distance = np.full(len(values), np.inf)
    nearest = np.full(len(distinct), np.inf)
    np.minimum.at(nearest, pairs, shares[:, None])
    nearest[np.bincount(which) > 1] = 0
    distance[known] = nearest[which]
    recording = np.full(len(values), -1, dtype=np.intp)
    several = np.isfinite(distance)
    _, recording[several] = np.unique(component[several], return_inverse=True)
    return Copies(recording, distance)


def keep_copies_together(table: FeatureTable) -> FeatureTable:
    """Put all copies of a recording, and all rows of a file, into one group of the table."""
    copies = find_copies(table.values).with_paths(table.paths)
    return replace(table, groups=copies.joined(table.groups))


def _distinct(values: NDArray[np.float32]) -> tuple[Indices, Indices]:
    """Return the first row of each kind, and each row's kind."""
    kinds: dict[bytes, int] = {}
    which = [kinds.setdefault(row.tobytes(), len(kinds)) for row in values + np.float32(0)]
    _, first = np.unique(which, return_index=True)
    return first, np.array(which, dtype=np.intp)


def _near_pairs(values: NDArray[np.float32]) -> tuple[Indices, Doubles]:
    """Return pairs of rows that are nearer than chance makes them, and how near they are."""
    n_neighbours = min(NEIGHBOURS, (len(values) - 1) // 2)
    if n_neighbours < 2:
        return _NO_PAIRS
    search = NearestNeighbors(n_neighbors=n_neighbours, algorithm="brute").fit(_whitened(values))
    distances, neighbours = search.kneighbors()
    reach = distances[:, -1]
    rows = np.repeat(np.arange(len(values)), n_neighbours)
    pairs = np.column_stack((rows, neighbours.ravel()))
    shares = distances.ravel() / np.maximum(reach[pairs].min(axis=1), np.finfo(np.float64).tiny)
    found = shares < _largest_share(distances)
    return pairs[found], shares[found]


def _whitened(values: NDArray[np.float32]) -> Doubles:
    """Return uncorrelated columns of like spread.

    Half as many as there are tracks at most: of more, the spread cannot be known.
    """
    filled = SimpleImputer(strategy="median", keep_empty_features=True).fit_transform(values)
    most = min(len(values) // 2, filled.shape[1], MOST_COMPONENTS)
    pca = PCA(most, whiten=True, random_state=0)
    scores: Doubles = pca.fit_transform(LogScaler((filled > 0).all(axis=0)).fit_transform(filled))
    # Where columns depend on each other, nothing but rounding errors is left to the last ones.
    return scores[:, pca.explained_variance_ratio_ > 1e-9]


def _largest_share(distances: Doubles) -> float:
    """Return below which share of the reach a neighbour is nearer than by chance.

    Points spread at random in m dimensions have a neighbour within a share s of the reach of
    their k neighbours with probability (k - 1) s^m.

    Parameters
    ----------
    distances : (n, k) array
        To the k nearest neighbours, ascending.
    """
    n, k = distances.shape
    # The dimension is told by how much farther the outer neighbours are than the middle ones: the
    # inner ones may be copies.
    middle = (k + 1) // 2
    apart = distances[:, middle - 1] > 0
    growth = np.log(distances[apart, -1] / distances[apart, middle - 1])
    if not growth.any():
        return 0.0
    dimension = sum(1 / j for j in range(middle, k)) / growth.mean()
    return float((2 * CHANCE_PAIRS / (n * (k - 1))) ** (1 / dimension))


def _components(first: Indices, second: Indices, n: int) -> Indices:
    """Return the connected part of a graph that each of its n nodes is in."""
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    return component.astype(np.intp)
