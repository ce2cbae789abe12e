"""Sections of a track, and which of them repeat.

Sections are found as in McFee & Ellis 2014, "Analyzing song structure with spectral clustering":
blocks of the track are the nodes of a graph, with edges between blocks that sound alike and between
neighbours. The eigenvectors of its Laplacian with the smallest eigenvalues separate sections, few
eigenvectors coarse ones and more eigenvectors finer ones. The repetition of a block measures how
often its section returns and how much of the track it covers (after Goto 2006, "A chorus section
detection method for musical audio signals"), on all levels together.

The code is our own because the libraries are slower. For a track of four minutes (480 blocks) on
one core, ``librosa.segment.recurrence_matrix`` takes 920 ms twice and seconds to import, against
11 ms here; ``scipy.cluster.vq.kmeans2`` from the same centres takes 49 ms and scikit-learn's KMeans
70 ms, against 17 ms; ``scipy.linalg.eigh`` of the smallest eigenvalues takes as long as numpy's of
all.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from genreclf.features.scan import BLOCK_SECONDS, Doubles, Scan, mean_of
from genreclf.features.spectra import Array, frame

Labels = NDArray[np.intp]

SMOOTHED_BLOCKS = 8  # 4 s: a bar or two, so that a loop is one section
_CONTEXT = 8  # 4 s: blocks are similar if their surroundings are similar in the same order
_SHORTEST_RUN = 10  # 5 s; transitions between two sections are no longer than this
_LABEL_MEDIAN = 9
_NEAR = 4  # closer blocks are always similar
_MAX_BLOCKS = 1200  # ten minutes; blocks of a longer track are joined

_LEVELS = range(2, 11)  # numbers of kinds of sections to try
_SHOWN_LEVELS = range(3, 11)
_SHARPNESS = 3
_LOUDNESS_EXPONENT = 0.25
_TINY = 1e-9


@dataclass(frozen=True)
class Structure:
    """The sections of a track.

    Attributes
    ----------
    block_seconds : float
    labels : (m,) int
        Kind of section of each block; the first kind is 0, the next new one is 1, and so on.
    repetition : (m,) float64
        How much each block belongs to the section that repeats most, at most 1; 0 everywhere if
        nothing repeats.
    """

    block_seconds: float
    labels: Labels
    repetition: Doubles

    @property
    def segments(self) -> list[tuple[float, float, str]]:
        """Start and stop of each section in seconds, and a letter that its repetitions share."""
        return [
            (start * self.block_seconds, stop * self.block_seconds, "ABCDEFGHIJ"[label])
            for label, start, stop in _runs(self.labels)
        ]


def find_structure(track: Scan) -> Structure | None:
    """Find the sections of a track, and how much each block repeats.

    Returns
    -------
    Structure or None
        None if the track is too short to have sections: less than 16 s.
    """
    joined = -(-track.chroma.shape[1] // _MAX_BLOCKS)
    if track.chroma.shape[1] < 4 * SMOOTHED_BLOCKS:
        return None
    pitches, timbre = mean_of(track.chroma, joined), mean_of(track.mfcc, joined)
    seconds = joined * BLOCK_SECONDS
    loudness = track.loudness(seconds, pitches.shape[1])
    repetition = np.zeros(pitches.shape[1])
    for smoothed in (1, SMOOTHED_BLOCKS):  # similar in the same order, and similar on average
        levels = _levels(_distances(pitches, timbre, smoothed))
        for weight, labels in levels.values():
            repetition += weight * _repetition(labels, loudness)
    _, shown = max((levels[k] for k in _SHOWN_LEVELS), key=lambda level: level[0])
    return Structure(
        seconds,
        _in_order(_without_short_runs(shown)),
        repetition / max(float(np.max(repetition)), _TINY),
    )


def _levels(distances: Doubles) -> dict[int, tuple[float, Labels]]:
    """Separate k kinds of sections for each k; the weight says how distinct they are.

    It is the eigengap, from the k-th eigenvalue to the next, relative to the latter.
    """
    values, vectors = _spectral_embedding(distances)
    gaps = np.diff(values) / (values[1:] + 1e-3)
    return {k: (float(gaps[k - 1]), _level(vectors[:, :k])) for k in _LEVELS}


def _distances(pitches: Array, timbre: Array, smoothed: int) -> Doubles:
    """Return distances of blocks in harmony and timbre, (m, m); the median of each is 1.

    Of chroma it is the Hellinger distance, in which the quieter notes of a chord count.
    """
    shares = np.sqrt(pitches / np.maximum(pitches.sum(axis=0), _TINY))
    spread = timbre - timbre.mean(axis=1, keepdims=True)
    distances = np.zeros((pitches.shape[1],) * 2)
    for rows in (shares, spread):
        average = uniform_filter1d(rows.astype(np.float64), smoothed, axis=1, mode="nearest")
        squared = _squared_distances(_in_context(average))
        distances += squared / max(float(np.median(squared)), _TINY)
    return distances


def _in_context(rows: Doubles) -> Doubles:
    """Stack each column with those around it, (d * _CONTEXT, m)."""
    before = _CONTEXT // 2
    padded = np.pad(rows, ((0, 0), (before, _CONTEXT - 1 - before)), mode="edge")
    n = rows.shape[1]
    return np.concatenate([padded[:, i : i + n] for i in range(_CONTEXT)])


def _squared_distances(rows: Doubles) -> Doubles:
    """Return squared Euclidean distances of columns, (m, m)."""
    products = rows.T @ rows
    lengths = np.diag(products)
    return np.maximum(0, lengths[:, None] + lengths - 2 * products)


def _spectral_embedding(distances: Doubles) -> tuple[Doubles, Doubles]:
    """Return the smallest eigenvalues of the graph's Laplacian, and their vectors as columns.

    Edges lead to mutual nearest neighbours (recurrence) and to the next block (path), weighted so
    that both kinds count alike (McFee & Ellis 2014, equations 3 to 8).
    """
    n = len(distances)
    block = np.arange(n)
    n_neighbours = 1 + int(np.ceil(2 * np.log2(n)))
    far = np.where(np.abs(block[:, None] - block) < _NEAR, np.inf, distances)
    nearest = np.argpartition(far, n_neighbours, axis=1)[:, :n_neighbours]
    linked = np.zeros((n, n), dtype=bool)
    linked[block[:, None], nearest] = True
    linked &= linked.T & np.isfinite(far)
    width = np.median(np.take_along_axis(far, nearest, axis=1).max(axis=1))
    recurrence = np.where(linked, np.exp(-distances / max(float(width), _TINY)), 0)
    steps = distances[block[:-1], block[1:]]
    path = np.diag(np.exp(-steps / max(float(np.median(steps)), _TINY)), 1)
    path += path.T
    a, b = recurrence.sum(axis=1), path.sum(axis=1)
    balance = b @ (a + b) / max(float(np.sum((a + b) ** 2)), _TINY)
    graph = balance * recurrence + (1 - balance) * path
    degree = 1 / np.sqrt(np.maximum(graph.sum(axis=1), _TINY))
    values, vectors = np.linalg.eigh(np.eye(n) - degree[:, None] * graph * degree)
    return values[: _LEVELS.stop], vectors[:, : _LEVELS.stop]


def _level(vectors: Doubles) -> Labels:
    """Separate as many kinds of sections as there are eigenvectors, (m,)."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = _k_means(vectors / np.maximum(length, _TINY), vectors.shape[1])
    return _most_frequent_around(labels)


def _k_means(points: Doubles, k: int) -> Labels:
    """Cluster points; the first centres are those farthest apart, so that nothing is random.

    Signs of eigenvectors are arbitrary, but distances do not depend on them.
    """
    first = np.linalg.norm(points - points.mean(axis=0), axis=1).argmax()
    centres = points[[first]]
    while len(centres) < k:
        nearest = np.min(_to_centres(points, centres), axis=1)
        centres = np.concatenate((centres, points[[nearest.argmax()]]))
    for _ in range(50):
        labels = _to_centres(points, centres).argmin(axis=1)
        members = labels == np.arange(k)[:, None]
        sizes = members.sum(axis=1, keepdims=True)
        moved = np.where(sizes > 0, members @ points / np.maximum(sizes, 1), centres)
        if np.allclose(moved, centres):
            break
        centres = moved
    return labels


def _to_centres(points: Doubles, centres: Doubles) -> Doubles:
    """Return squared distances, (n_points, n_centres)."""
    return np.sum((points[:, None] - centres) ** 2, axis=2)


def _most_frequent_around(labels: Labels) -> Labels:
    """Replace each label by the most frequent of those around it."""
    windows = frame(np.pad(labels, _LABEL_MEDIAN // 2, mode="edge"), _LABEL_MEDIAN, 1)
    counts = [np.sum(windows == label, axis=1) for label in range(labels.max() + 1)]
    return np.argmax(counts, axis=0)


def _repetition(labels: Labels, loudness: Doubles) -> Doubles:
    """Score each block by how often its kind of section returns, (m,); the highest score is 1.

    The score of a kind is the square of the number of its returns, times its total length, times a
    small power of its loudness. A section twice in a row is one run of double length, so returns
    are counted in lengths of the shortest run. Short runs do not count: transitions between
    sections return more often than any section.
    """
    labels = _without_short_runs(labels)
    scores = np.zeros(len(labels))
    for label in range(labels.max() + 1):
        lengths = [stop - start for kind, start, stop in _runs(labels) if kind == label]
        if len(lengths) > 1:
            here = labels == label
            n_times = sum(round(length / min(lengths)) for length in lengths)
            louder = np.sqrt(np.mean(loudness[here] ** 2)) / max(loudness.max(), _TINY)
            scores[here] = (n_times - 1) ** 2 * sum(lengths) * louder**_LOUDNESS_EXPONENT
    return (scores / max(scores.max(), _TINY)) ** _SHARPNESS


def _runs(labels: Labels) -> list[tuple[int, int, int]]:
    """Return label, start and stop of each run of equal labels."""
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    return [(int(labels[start]), start, stop) for start, stop in pairwise(edges)]


def _without_short_runs(labels: Labels) -> Labels:
    """Divide each short run between the sections before and after it."""
    labels = labels.copy()
    while len(runs := _runs(labels)) > 1:
        i = min(range(len(runs)), key=lambda i: runs[i][2] - runs[i][1])
        _, start, stop = runs[i]
        if stop - start >= _SHORTEST_RUN:
            break
        before = runs[i - 1][0] if i else runs[1][0]
        after = runs[i + 1][0] if i + 1 < len(runs) else before
        middle = (start + stop) // 2
        labels[start:middle], labels[middle:stop] = before, after
    return labels


def _in_order(labels: Labels) -> Labels:
    """Renumber labels in the order of their first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
