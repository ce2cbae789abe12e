"""What a track is like over its whole length, heard once, and where in it to listen.

Sections are found as by McFee & Ellis (2014, "Analyzing song structure with spectral
clustering"): blocks of the track are the nodes of a graph, whose edges lead to blocks that sound
alike, however far away, and to the next block; the eigenvectors of its Laplacian with the
smallest eigenvalues tell sections apart, few eigenvectors coarse ones, more eigenvectors finer
ones. The chorus is what returns most often and covers most (after Goto 2006, "A chorus section
detection method for musical audio signals"), on all levels together, each with the weight of its
eigengap; where that leaves a choice, the loudest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from genreclf.audio.decode import AudioInfo, Samples, decode_blocks
from genreclf.audio.excerpt import Chooser, Excerpt, Span, load_excerpts, placed_spans
from genreclf.audio.resampling import block_resampler
from genreclf.config.views import Excerpt as ExcerptSettings
from genreclf.config.views import View
from genreclf.features.harmony import chromagram
from genreclf.features.spectra import Array, Spectrum, frame, hann_window
from genreclf.features.timbre import cepstrum

Doubles = NDArray[np.float64]
Labels = NDArray[np.intp]

ENERGY_SECONDS = 0.1
PEAK_SECONDS = 3.0  # how long a moment is, of which the loudest is the energy peak

# The look at harmony and timbre: windows of a third of a second resolve semitones from 100 Hz.
_RATE_HZ = 12_000
_N_FFT = 4096
_HOP = 1500
_FRAMES_A_BLOCK = 4
_N_MELS = 64
_N_MFCC = 14
BLOCK_SECONDS = _FRAMES_A_BLOCK * _HOP / _RATE_HZ

# In blocks.
_SMOOTHED = 8  # 4 s: what a bar or two are like, so that a loop is one section
_CONTEXT = 8  # 4 s: blocks are alike if what is around them comes in the same order, too
_SHORTEST_RUN = 10  # 5 s; where two sections are heard at once, that is no longer than this
_LABEL_MEDIAN = 9
_NEAR = 4  # closer blocks are alike anyway
_MAX_BLOCKS = 1200  # ten minutes; of a longer track blocks are joined

_LEVELS = range(2, 11)  # kinds of sections
_SHOWN_LEVELS = range(3, 11)
_SHARPNESS = 3
_LOUDNESS_EXPONENT = 0.25
_LOUDNESS_WEIGHT = 0.05
_TINY = 1e-9


@dataclass(frozen=True)
class Scan:
    """What is kept of a whole track: some hundred numbers a second.

    Attributes
    ----------
    info : AudioInfo
    energies : (n,) float64
        Mean square of each ``hop`` samples.
    peaks : (n,) float32
        Their largest magnitude.
    chroma : (12, m) float32
        Of blocks of ``BLOCK_SECONDS``; (12, 0) where nobody asked for it.
    mfcc : (14, m) float32
    """

    info: AudioInfo
    energies: Doubles
    peaks: Array
    chroma: Array
    mfcc: Array

    @property
    def hop(self) -> int:
        """Samples of the file to an energy."""
        return _hop(self.info.sample_rate_hz)

    @cached_property
    def structure(self) -> "Structure | None":
        """The sections, or None of what is too short to have any."""
        return find_structure(self)

    def loudness(self, block_seconds: float, n: int) -> Doubles:
        """Return the root mean square of the first ``n`` blocks of any length, (n,)."""
        total = np.concatenate(([0.0], np.cumsum(self.energies)))
        edges = np.arange(n + 1) * (block_seconds * self.info.sample_rate_hz / self.hop)
        sums = np.diff(np.interp(edges, np.arange(len(total)), total))
        rms: Doubles = np.sqrt(np.maximum(sums, 0) / np.diff(edges))
        return rms


@dataclass(frozen=True)
class Structure:
    """The sections of a track.

    Attributes
    ----------
    block_seconds : float
    labels : (m,) int
        Kind of section of each block; 0 comes first, then 1, and so on.
    chorusness : (m,) float64
        How much each block belongs to what returns most often, at most 1; 0 everywhere where
        nothing does.
    """

    block_seconds: float
    labels: Labels
    chorusness: Doubles

    @property
    def segments(self) -> list[tuple[float, float, str]]:
        """Start and stop of each section in seconds, and a letter that repeats share."""
        return [
            (start * self.block_seconds, stop * self.block_seconds, "ABCDEFGHIJ"[label])
            for label, start, stop in _runs(self.labels)
        ]


# --- hearing a whole track -------------------------------------------------------------------


def scan(path: Path, *, timbre: bool) -> Scan:
    """Decode a whole track once, in blocks, and keep what tells where to listen.

    Parameters
    ----------
    path : Path
    timbre : bool
        Whether chroma and MFCC are wanted, not only energies.

    Raises
    ------
    AudioError
        As ``decode_blocks``.
    """
    blocks = decode_blocks(path)
    info, first = next(blocks)
    loudness, harmony = _Loudness(info.sample_rate_hz), _Harmony(info.sample_rate_hz)
    for block in chain([first], (block for _, block in blocks)):
        loudness.hear(block)
        if timbre:
            harmony.hear(block)
    return Scan(info, *loudness.heard, *harmony.heard)


class _Loudness:
    """Energies and peaks of a signal that comes in blocks."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._hop = _hop(sample_rate_hz)
        self._rest = np.empty(0, np.float32)
        self._energies: list[Doubles] = []
        self._peaks: list[Array] = []

    def hear(self, block: Samples) -> None:
        samples = np.concatenate((self._rest, block))
        n = len(samples) // self._hop
        pieces = samples[: n * self._hop].reshape(n, self._hop)
        self._energies.append(np.mean(np.square(pieces), axis=1, dtype=np.float64))
        self._peaks.append(np.abs(pieces).max(axis=1))
        self._rest = samples[n * self._hop :]

    @property
    def heard(self) -> tuple[Doubles, Array]:
        return np.concatenate(self._energies), np.concatenate(self._peaks)


class _Harmony:
    """Chroma and MFCC of blocks of ``BLOCK_SECONDS``, of a signal that comes in others."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._resample = block_resampler(sample_rate_hz, _RATE_HZ)
        self._rest = np.zeros((_N_FFT - _HOP) // 2, np.float32)
        self._chroma = [np.empty((12, 0), np.float32)]
        self._mfcc = [np.empty((_N_MFCC, 0), np.float32)]

    def hear(self, block: Samples) -> None:
        self._rest = np.concatenate((self._rest, self._resample(block)))
        beyond = _N_FFT - _HOP  # what the last window reaches into the next block
        n_frames = (len(self._rest) - beyond) // (_FRAMES_A_BLOCK * _HOP) * _FRAMES_A_BLOCK
        if n_frames <= 0:
            return
        windows = frame(self._rest[: n_frames * _HOP + beyond], _N_FFT, _HOP)
        spectra = scipy.fft.rfft(windows * hann_window(_N_FFT).astype(np.float32), axis=1)
        spectrum = Spectrum(np.abs(spectra).T, _RATE_HZ, _HOP, _N_MELS)
        # One tuning for all of the track: which one does not matter to see what is alike.
        self._chroma.append(_mean_of(chromagram(spectrum, deviation=0.0), _FRAMES_A_BLOCK))
        self._mfcc.append(_mean_of(cepstrum(spectrum, _N_MFCC), _FRAMES_A_BLOCK))
        self._rest = self._rest[n_frames * _HOP :]

    @property
    def heard(self) -> tuple[Array, Array]:
        return np.concatenate(self._chroma, axis=1), np.concatenate(self._mfcc, axis=1)


def _hop(sample_rate_hz: int) -> int:
    return round(ENERGY_SECONDS * sample_rate_hz)


def _mean_of(rows: Array, n: int) -> Array:
    """Mean of each ``n`` columns; what is left over in the end counts no more."""
    n_means = rows.shape[1] // n
    return rows[:, : n_means * n].reshape(len(rows), n_means, n).mean(axis=2)


# --- what is alike, and what returns ---------------------------------------------------------


def find_structure(heard: Scan) -> Structure | None:
    """Find the sections of a track, and how much each moment belongs to the chorus.

    Returns
    -------
    Structure or None
        None of a track that is too short to have sections, 16 s or so.
    """
    joined = -(-heard.chroma.shape[1] // _MAX_BLOCKS)
    if heard.chroma.shape[1] < 4 * _SMOOTHED:
        return None
    pitches, timbre = _mean_of(heard.chroma, joined), _mean_of(heard.mfcc, joined)
    seconds = joined * BLOCK_SECONDS
    loudness = heard.loudness(seconds, pitches.shape[1])
    chorusness = np.zeros(pitches.shape[1])
    for smoothed in (1, _SMOOTHED):  # what comes in the same order, and what is like it on average
        levels = _levels(_distances(pitches, timbre, smoothed))
        for weight, labels in levels.values():
            chorusness += weight * _returns(labels, loudness)
    _, shown = max((levels[k] for k in _SHOWN_LEVELS), key=lambda level: level[0])
    return Structure(
        seconds,
        _in_order(_without_short_runs(shown)),
        chorusness / max(float(np.max(chorusness)), _TINY),
    )


def _levels(distances: Doubles) -> dict[int, tuple[float, Labels]]:
    """Tell k kinds of sections apart, for each k; with a weight for how far apart they are.

    That is the eigengap, from the k-th eigenvalue to the next, relative to the latter.
    """
    values, vectors = _spectral_embedding(distances)
    gaps = np.diff(values) / (values[1:] + 1e-3)
    return {k: (float(gaps[k - 1]), _level(vectors[:, :k])) for k in _LEVELS}


def _distances(pitches: Array, timbre: Array, smoothed: int) -> Doubles:
    """Return how unlike blocks sound in harmony and timbre, (m, m); about 1 each where median.

    Of chroma by the Hellinger distance, which heeds the quieter notes of a chord.
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
    squared: Doubles = np.maximum(0, lengths[:, None] + lengths - 2 * products)
    return squared


def _spectral_embedding(distances: Doubles) -> tuple[Doubles, Doubles]:
    """Return the smallest eigenvalues of the graph's Laplacian, and their vectors as columns.

    Edges lead to mutual nearest neighbours (recurrence) and to the next block (path), weighted
    such that both kinds count alike (McFee & Ellis 2014, equations 3 to 8).
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
    """Tell as many kinds of sections apart as there are eigenvectors, (m,)."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = _k_means(vectors / np.maximum(length, _TINY), vectors.shape[1])
    return _most_frequent_around(labels)


def _k_means(points: Doubles, k: int) -> Labels:
    """Cluster points, beginning with those that are farthest apart: nothing is left to chance.

    Nor to the signs of eigenvectors, which are arbitrary: distances do not see them.
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
    squared: Doubles = np.sum((points[:, None] - centres) ** 2, axis=2)
    return squared


def _most_frequent_around(labels: Labels) -> Labels:
    """Replace each label by the most frequent of those around it."""
    windows = frame(np.pad(labels, _LABEL_MEDIAN // 2, mode="edge"), _LABEL_MEDIAN, 1)
    counts = [np.sum(windows == label, axis=1) for label in range(labels.max() + 1)]
    return np.argmax(counts, axis=0)


def _returns(labels: Labels, loudness: Doubles) -> Doubles:
    """Score each block by how often its kind of section returns, (m,); the most frequent has 1.

    The score of a kind is the square of the number of its returns times all their length, and a
    little of how loud it is. Twice in a row are one run of double length, so that returns are
    counted in its shortest run. Short runs do not count: what is heard on the way from one
    section to another returns more often than any section.
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
    relative: Doubles = (scores / max(scores.max(), _TINY)) ** _SHARPNESS
    return relative


def _runs(labels: Labels) -> list[tuple[int, int, int]]:
    """Return label, start and stop of each run of equal labels."""
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    return [(int(labels[start]), start, stop) for start, stop in pairwise(edges)]


def _without_short_runs(labels: Labels) -> Labels:
    """Give what is between two sections, where both are heard at once, to either by halves."""
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
    order: Labels = np.argsort(np.argsort(first))
    return order[inverse]


# --- where to listen -------------------------------------------------------------------------


def load_chosen(path: Path, views: Sequence[View]) -> list[list[Excerpt]]:
    """Decode what a configuration chooses of a track, or the loudest part where that is silent.

    See ``load_excerpts`` for what is returned and raised.
    """
    hear = cache(partial(scan, path, timbre=False))  # at most once for all views

    def loudest(info: AudioInfo, settings: ExcerptSettings) -> list[Span]:
        whole = settings.strategy == "full"
        seconds = settings.longest_seconds if whole else settings.seconds
        return [_loudest_span(hear(), info, seconds)]

    return load_excerpts(path, views, chooser(path, views), instead=loudest)


def chooser(path: Path, views: Sequence[View]) -> Chooser:
    """Return what chooses the spans that a view listens to, for ``load_excerpts``.

    The track is heard once, whatever the number of views, and only if one of them asks for it.
    """
    if not any(view.excerpt.by_ear for view in views):
        return placed_spans
    timbre = any(view.excerpt.strategy == "highlight" for view in views)
    return partial(choose_spans, scan(path, timbre=timbre))


def choose_spans(heard: Scan, info: AudioInfo, settings: ExcerptSettings) -> list[Span]:
    """Choose what is listened to of a track that was heard.

    "energy" is the span of the highest mean energy; "window" has the loudest moment, of
    ``PEAK_SECONDS``, in its middle, as far as the track goes; "highlight" is the span that holds
    most of the chorus, well inside it rather than at its edge, and the loudest one of those, or
    as "energy" where nothing returns.
    """
    if not settings.by_ear:
        return placed_spans(info, settings)
    wanted = min(info.n_frames, round(settings.seconds * info.sample_rate_hz))
    structure = heard.structure if settings.strategy == "highlight" else None
    if settings.strategy == "window":
        moment = round(PEAK_SECONDS / ENERGY_SECONDS)
        start = heard.hop * _best_start(heard.energies, moment) + heard.hop * moment // 2
        start -= wanted // 2
    elif structure is not None and structure.chorusness.any():
        start = _highlight_start(heard, structure, wanted)
    else:
        return [_loudest_span(heard, info, settings.seconds)]
    start = max(0, min(start, info.n_frames - wanted))
    return [(start, start + wanted)]


def _loudest_span(heard: Scan, info: AudioInfo, seconds: float) -> Span:
    """Return the span of the highest mean energy."""
    wanted = min(info.n_frames, round(seconds * info.sample_rate_hz))
    start = heard.hop * _best_start(heard.energies, round(wanted / heard.hop))
    start = max(0, min(start, info.n_frames - wanted))
    return start, start + wanted


def _highlight_start(heard: Scan, structure: Structure, wanted: int) -> int:
    block = structure.block_seconds * heard.info.sample_rate_hz
    loudness = heard.loudness(structure.block_seconds, len(structure.labels))
    # Smoothed, it is highest in the middle of a chorus: a boundary may be a second or two off.
    worth = uniform_filter1d(structure.chorusness, _SMOOTHED, mode="nearest")
    worth += _LOUDNESS_WEIGHT * loudness / max(loudness.max(), _TINY)
    return round(block * _best_start(worth, round(wanted / block)))


def _best_start(worth: Doubles, length: int) -> int:
    """Return where the ``length`` values with the largest sum begin; the first such place."""
    length = max(1, min(length, len(worth)))
    total = np.concatenate(([0.0], np.cumsum(worth)))
    return int(np.argmax(total[length:] - total[:-length])) if len(worth) else 0
