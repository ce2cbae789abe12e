"""Recordings that are in a table more than once: the same file, or nearly the same sound."""

from dataclasses import dataclass

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

# Near copies of a recording are found up to this number.
NEIGHBOURS = 5
# Expected number of pairs of different recordings in a whole table that are taken for copies.
CHANCE_PAIRS = 0.01
MOST_COMPONENTS = 300
# All pairs of this many tracks are compared; above, only rows in near cells.
MOST_COMPARED = 10_000
CELLS_COMPARED = 8
SAMPLE_ROWS = 1000
_NO_PAIRS = np.empty((0, 2), dtype=np.intp), np.empty(0)


@dataclass(frozen=True, eq=False)
class Copies:
    """Which tracks of a table are copies of one recording.

    Attributes
    ----------
    recording : (n_tracks,) array of int
        Number of the recording; -1 for a track without a copy.
    distance : (n_tracks,) array
        To the nearest copy, as a share of the distance to the fifth neighbour: 0 for identical
        features, infinite for a track without a copy.
    """

    recording: Indices
    distance: Doubles

    @property
    def recordings(self) -> list[Indices]:
        """The rows of each recording with copies."""
        return [np.flatnonzero(self.recording == number) for number in range(self.n_recordings)]

    @property
    def n_recordings(self) -> int:
        """Number of recordings with copies."""
        return int(self.recording.max(initial=-1)) + 1

    @property
    def n_tracks(self) -> int:
        """Number of tracks with a copy."""
        return int((self.recording >= 0).sum())

    def take(self, order: Indices) -> "Copies":
        """Return the copies for the same rows in another order."""
        return Copies(self.recording[order], self.distance[order])

    def weights(self, rows: Indices) -> Doubles:
        """Return weights of some tracks with which each recording counts once, (n_rows,).

        Each of m copies of a recording among them has the weight 1 / m.
        """
        alone = len(self.recording) + rows  # unused numbers
        of = np.where(self.recording[rows] < 0, alone, self.recording[rows])
        _, which, count = np.unique(of, return_inverse=True, return_counts=True)
        weights: Doubles = 1 / count[which]
        return weights

    def with_paths(self, paths: Texts) -> "Copies":
        """Add rows of one file, which are copies with any features.

        Parameters
        ----------
        paths : (n_tracks,) array of str
            The empty string for a row of an unknown file.
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
        """Return the copies that this or another table of the same tracks has."""
        ungrouped = np.full(len(self.recording), "", dtype=object)
        together = other.joined(self.joined(ungrouped))
        recording = np.full(len(together), -1, dtype=np.intp)
        several = together != ""
        _, recording[several] = np.unique(together[several], return_inverse=True)
        return Copies(recording, np.minimum(self.distance, other.distance))

    def joined(self, groups: Texts) -> Texts:
        """Put all copies of a recording into one group, and join groups that share a recording.

        Parameters
        ----------
        groups : (n_tracks,) array of str
            The empty string for a track without a group.
        """
        names, codes = np.unique(own_groups(groups), return_inverse=True)
        rows = np.flatnonzero(self.recording >= 0)
        _, first, which = np.unique(self.recording[rows], return_index=True, return_inverse=True)
        group = _components(codes[rows], codes[rows[first]][which], len(names))
        joined = np.empty(len(names), dtype=object)
        joined[group] = names  # the last one; names of tracks without a group sort first
        alone = (groups == "") & (self.recording < 0)
        return np.where(alone, "", joined[group[codes]])


def find_copies(values: NDArray[np.float32], *, near: bool = True) -> Copies:
    """Find tracks with features that are identical, or nearer than those of different recordings.

    Re-encoding, another level or a cut of a few seconds change features a little. Distances are
    measured after whitening, and compared with the distance from either track to its fifth
    neighbour: a ratio test (Lowe 2004). Its threshold follows from the intrinsic dimension of the
    neighbours (Levina & Bickel 2004), so that fewer than ``CHANCE_PAIRS`` pairs in the whole table
    are expected to be below it by chance. Because the test is local, similar tracks of one artist
    are not taken for copies.

    Parameters
    ----------
    values : (n_tracks, n_features) array
        NaN for a missing value. A track without any value has no copies.
    near : bool
        Also find near copies. Up to ``MOST_COMPARED`` tracks, each is compared with all others.
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


def copies_in(table: FeatureTable, *, near: bool = True) -> Copies:
    """Find the copies in a table by features and by paths; the order of rows has no effect."""
    order = table.canonical_order()
    copies = find_copies(table.values[order], near=near).with_paths(table.paths[order])
    return copies.take(np.argsort(order))


def _distinct(values: NDArray[np.float32]) -> tuple[Indices, Indices]:
    """Return the first of each set of identical rows, and the set that each row is in."""
    sets: dict[bytes, int] = {}
    which = [sets.setdefault(row.tobytes(), len(sets)) for row in values + np.float32(0)]
    _, first = np.unique(which, return_index=True)
    return first, np.array(which, dtype=np.intp)


def _near_pairs(values: NDArray[np.float32]) -> tuple[Indices, Doubles]:
    """Return pairs of rows that are nearer than by chance, and their shares of the reach."""
    n_neighbours = min(NEIGHBOURS, (len(values) - 1) // 2)
    if n_neighbours < 2:
        return _NO_PAIRS
    points = _whitened(values)
    everything = rows = np.arange(len(points))
    if len(points) > MOST_COMPARED:
        sample = np.random.default_rng(0).choice(everything, SAMPLE_ROWS, replace=False)
        distances, _ = _nearest(points, everything, sample, n_neighbours)
        largest_share = _largest_share(distances, len(points))
        rows = _candidates(points, n_neighbours, largest_share)
        if not len(rows):
            return _NO_PAIRS
        distances, neighbours = _nearest(points, everything, rows, n_neighbours)
    else:
        distances, neighbours = _nearest(points, everything, rows, n_neighbours)
        largest_share = _largest_share(distances, len(points))
    reach = np.full(len(points), np.nan)  # of rows that have no copy
    reach[rows] = distances[:, -1]
    pairs = np.column_stack((np.repeat(rows, n_neighbours), neighbours.ravel()))
    shares = distances.ravel() / np.maximum(reach[pairs].min(axis=1), np.finfo(np.float64).tiny)
    found = shares < largest_share
    return pairs[found], shares[found]


def _nearest(
    points: Doubles, members: Indices, asking: Indices, n_neighbours: int
) -> tuple[Doubles, Indices]:
    """Return the nearest members to each asking row, other than itself, and their distances."""
    n = min(n_neighbours + 1, len(members))
    search = NearestNeighbors(n_neighbors=n, algorithm="brute").fit(points[members])
    distances, found = search.kneighbors(points[asking])
    found = members[found]
    distances[found == asking[:, None]] = np.inf
    return _first(distances, found, n_neighbours)


def _first(distances: Doubles, rows: Indices, n: int) -> tuple[Doubles, Indices]:
    order = np.argsort(distances, axis=1, kind="stable")[:, :n]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(rows, order, 1)


def _candidates(points: Doubles, n_neighbours: int, largest_share: float) -> Indices:
    """Return the rows that may have a copy, in a time that grows with n^1.5.

    Rows are divided into cells by the nearest of some centres, and compared with the rows of the
    nearest few cells only (the inverted file of Jegou, Douze & Schmid 2011). A copy is nearer than
    most rows, so it is rarely missed. The distance to the fifth neighbour comes out too large, so
    there are too many candidates, which the exact search for these rows corrects.
    """
    cells = _nearest_cells(points)
    n_rows = len(points)
    distances = np.full((n_rows, n_neighbours), np.inf)
    neighbours = np.zeros((n_rows, n_neighbours), dtype=np.intp)
    for cell in range(int(cells.max()) + 1):
        members = np.flatnonzero(cells[:, 0] == cell)
        asking = np.flatnonzero((cells == cell).any(axis=1))
        if len(members):
            theirs, found = _nearest(points, members, asking, n_neighbours)
            distances[asking], neighbours[asking] = _first(
                np.hstack((distances[asking], theirs)),
                np.hstack((neighbours[asking], found)), n_neighbours,
            )  # fmt: skip
    near = distances < largest_share * distances[:, -1:]
    return np.union1d(np.flatnonzero(near.any(axis=1)), neighbours[near])


def _nearest_cells(points: Doubles) -> Indices:
    """Return the numbers of the nearest cells of each row, (n, CELLS_COMPARED)."""
    from sklearn.cluster import KMeans  # only large tables need it

    n_cells = int(np.sqrt(len(points)))
    sample = np.random.default_rng(1).choice(len(points), MOST_COMPARED, replace=False)
    centres = KMeans(n_cells, init="random", n_init=1, max_iter=5, random_state=0)
    centres.fit(points[sample])
    search = NearestNeighbors(n_neighbors=CELLS_COMPARED, algorithm="brute")
    cells: Indices = search.fit(centres.cluster_centers_).kneighbors(points, return_distance=False)
    return cells


def _whitened(values: NDArray[np.float32]) -> Doubles:
    """Return uncorrelated columns of the same variance.

    They are at most half as many as the tracks, from which their variances are estimated.
    """
    filled = values
    if np.isnan(values).any():  # the imputer sorts every column, which takes long
        filled = SimpleImputer(strategy="median", keep_empty_features=True).fit_transform(values)
    most = min(len(values) // 2, filled.shape[1], MOST_COMPONENTS)
    # With fewer columns than tracks, their covariance matrix is quicker to decompose.
    solver = "covariance_eigh" if filled.shape[1] < len(values) else "auto"
    pca = PCA(most, whiten=True, svd_solver=solver, random_state=0)
    scores: Doubles = pca.fit_transform(LogScaler((filled > 0).all(axis=0)).fit_transform(filled))
    # If columns depend on each other, the last components are rounding errors.
    return scores[:, pca.explained_variance_ratio_ > 1e-9]


def _largest_share(distances: Doubles, n: int) -> float:
    """Return the largest share of the reach at which two tracks are copies.

    Random points in m dimensions have a neighbour within a share s of the distance to their k-th
    neighbour with probability (k - 1) s^m.

    Parameters
    ----------
    distances : (n_rows, k) array
        To the k nearest neighbours, ascending.
    n : int
        Number of tracks in the table.
    """
    k = distances.shape[1]
    # From outer and middle neighbours, because the inner ones may be copies.
    middle = (k + 1) // 2
    apart = distances[:, middle - 1] > 0
    growth = np.log(distances[apart, -1] / distances[apart, middle - 1])
    if not growth.any():
        return 0.0
    dimension = sum(1 / j for j in range(middle, k)) / growth.mean()
    return float((2 * CHANCE_PAIRS / (n * (k - 1))) ** (1 / dimension))


def _components(first: Indices, second: Indices, n: int) -> Indices:
    """Return the number of the connected component of each of n nodes."""
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    return component.astype(np.intp)
