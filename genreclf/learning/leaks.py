"""Columns that determine the genre alone: numbers of rows, artists or genres among the features.

A measurement of the sound does not determine the genre alone. A column that does is usually the
label in another form, and makes any accuracy meaningless.
"""

import numpy as np
from numpy.typing import NDArray

from genreclf.errors import listed, shortened
from genreclf.tables.table import FeatureTable

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Codes = NDArray[np.intp]

# With fewer tracks, a genuine feature may separate the genres, by chance or because it is easy.
LEAST_TRACKS = 10
LEAST_TRACKS_OF_NEIGHBOURS = 20
# Share of the distance from the accuracy of always predicting the most frequent genre to 1.
LEAST_SKILL = 0.85
LEAST_SAME = 0.95
# From this many genres on, a genuine feature cannot separate all of them; two or three it may.
MANY_GENRES, MANY_TRACKS = 4, 100
LEAST_BETWEEN = 0.8
MOST_WHOLE = 1_000  # columns in one block; if there are more, they are counts, and would take long
LARGEST_WHOLE = 2**22  # single precision rounds larger numbers to whole ones
_BLOCK = 2**21
_OWN = ("mix.", "harmonic.", "percussive.")


def leak_notes(table: FeatureTable) -> list[str]:
    """Return a sentence that names the columns that determine the genre alone, if there are any."""
    found = leaking_columns(table)
    if not found:
        return []
    if len(found) == 1:
        [(name, share)] = found.items()
        begin = f"column {shortened(name)} alone determines the genre of {share:.0%} of the tracks"
        end = f"leave it out with --ignore {shortened(name)}"
    else:
        columns = listed(f"{shortened(name)} ({share:.0%})" for name, share in found.items())
        begin = f"each of these columns alone determines the genre: {columns}"
        end = "leave them out with --ignore"
    return [f"{begin}; if it numbers genres, artists or rows, the accuracy is far too high: {end}"]


def leaking_columns(table: FeatureTable) -> dict[str, float]:
    """Find columns that determine the genre of a track without any other column.

    In such a column, either all tracks of a genre have the same value, but not all genres (a number
    of the genre); or its values are whole or evenly spaced, and the nearest other track has the
    same genre (a number of the row in a table sorted by genre, or of the artist). With many genres
    and tracks, values of any kind count; in small tables a genuine feature may separate two genres.
    Columns that genreclf computes never count.

    Returns
    -------
    dict of str to float
        For each column, the share of the tracks whose genre it determines; the largest first.
    """
    if table.config is not None:
        return {}
    known = table.labels != ""
    genres, codes = np.unique(table.labels[known].astype(str), return_inverse=True)
    if known.sum() < LEAST_TRACKS or len(genres) < 2:
        return {}
    found: dict[str, float] = {}
    step = max(1, _BLOCK // len(codes))
    for start in range(0, len(table.names), step):
        values = table.values[known, start : start + step]
        for i in _candidates(values, codes):
            name = table.names[start + i]
            share = None if name.startswith(_OWN) else _share_determined(values[:, i], codes)
            if share is not None:
                found[name] = share
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _candidates(values: Floats, codes: Codes) -> list[int]:
    """Return the columns of (n_tracks, n_columns) that are whole numbers or differ by genre."""
    missing = np.isnan(values)
    some = missing.any(axis=0)
    filled = np.where(missing, 0, values) if some.any() else values
    differs = _differs(filled, codes)
    differs[some] |= _differs(missing[:, some].astype(np.float32), codes)
    whole = (filled == np.rint(filled)).all(axis=0)
    if (whole & ~differs).sum() > MOST_WHOLE:
        whole[:] = False
    return [int(i) for i in np.flatnonzero(whole | differs)]


def _differs(values: Floats, codes: Codes) -> NDArray[np.bool_]:
    """Return which of (n_tracks, n_columns) columns vary mostly between genres."""
    largest = np.maximum(np.abs(values).max(axis=0, initial=0), np.finfo(np.float32).tiny)
    scaled = values / largest  # squares of large numbers overflow single precision
    centred = scaled - scaled.mean(axis=0)
    total = np.einsum("ij,ij->j", centred, centred)
    members = np.eye(codes.max() + 1, dtype=np.float32)[codes]
    sums = members.T @ centred
    between: Floats = (sums**2 / members.sum(axis=0)[:, None]).sum(axis=0)
    return between >= LEAST_BETWEEN * total


def _share_determined(values: Floats, codes: Codes) -> float | None:
    """Return the share of the tracks whose genre a column determines; None if it is too small."""
    column = values.astype(np.float64)
    present, places = np.unique(column, return_inverse=True)  # a missing value counts as one
    if len(present) < 2:
        return None
    same = _share_same(places, codes)
    if same is not None:
        return same
    if len(codes) < LEAST_TRACKS_OF_NEIGHBOURS:
        return None
    counts = np.bincount(codes)
    many = len(counts) >= MANY_GENRES and len(codes) >= MANY_TRACKS
    if not (many or _is_counted(present, len(codes))):
        return None
    share = _share_of_neighbours(column, places, codes)
    usual = counts.max() / counts.sum()
    return share if share - usual >= LEAST_SKILL * (1 - usual) else None


def _share_same(places: Codes, codes: Codes) -> float | None:
    """Return the share of tracks with the usual value of their genre, if it is large in each."""
    pairs, counts = np.unique(np.column_stack((codes, places)), axis=0, return_counts=True)
    order = np.lexsort((-counts, pairs[:, 0]))  # the usual value of each genre first
    _, first = np.unique(pairs[order, 0], return_index=True)
    usual, most, n = pairs[order[first], 1], counts[order[first]], np.bincount(codes)
    several = n > 2
    if len(set(usual[several])) < 2 or (most < LEAST_SAME * n)[several].any():
        return None
    return float(most[several].sum() / n[several].sum())


def _is_counted(present: Doubles, n_tracks: int) -> bool:
    """Return True for whole numbers, and for evenly spaced ones that no two tracks share."""
    present = present[~np.isnan(present)]
    if len(present) < 2:
        return True
    if (present == np.round(present)).all() and np.abs(present).max() < LARGEST_WHOLE:
        return True
    steps = (present - present[0]) / np.diff(present).min()
    even = steps[-1] <= 4 * n_tracks and np.abs(steps - np.round(steps)).max() < 0.1
    return bool(even) and len(present) > 0.9 * n_tracks


def _share_of_neighbours(column: Doubles, places: Codes, codes: Codes) -> float:
    """Return the accuracy of nearest neighbours in one column.

    The neighbours of a track are the others with the same value; if there are none, those with the
    nearest value, or with both that are equally near.
    """
    n_genres = codes.max() + 1
    pairs, counts = np.unique(places * n_genres + codes, return_counts=True)
    n = np.bincount(places)

    def share(at: Codes) -> Doubles:
        """Return the share of the tracks with each of these values that has the track's genre."""
        keys = at * n_genres + codes
        place = np.minimum(np.searchsorted(pairs, keys), len(pairs) - 1)
        return np.where(pairs[place] == keys, counts[place], 0) / n[at]

    distinct = np.empty(len(n))
    distinct[places] = column
    gaps = np.concatenate(([np.inf], np.nan_to_num(np.diff(distinct), nan=np.inf), [np.inf]))
    below, above = gaps[:-1][places], gaps[1:][places]
    last = len(n) - 1
    left, right = share(np.maximum(places - 1, 0)), share(np.minimum(places + 1, last))
    nearest = np.where(below < above, left, np.where(above < below, right, (left + right) / 2))
    others = np.maximum(n[places] - 1, 1)
    same = (share(places) * n[places] - 1) / others
    return float(np.where(n[places] > 1, same, nearest).mean())
