"""Running medians along the first axis, for median-filtering separation.

The general case is scipy's one-dimensional rank filter, which is ten times as fast as its
two-dimensional median filter. For windows of 31, the usual length, sorting networks are four times
faster still: neighbouring windows share most of their values, so they share most of the sorting,
and each comparison is one numpy operation on thousands of windows. Both give the values of
``scipy.ndimage.median_filter``, bit for bit.
"""

import numpy as np
from scipy.ndimage import rank_filter

from genreclf.features.spectra import Array

# Windows per operation: enough to hide the overhead of a call of numpy, few enough that the hundred
# arrays in use stay in the cache.
COLUMNS_AT_A_TIME = 256


def running_median(values: Array, size: int) -> Array:
    """Return the median of the ``size`` values around each value, along the first axis.

    Beyond the ends the values are mirrored, with the outermost twice ("reflect" in scipy).

    Parameters
    ----------
    values : (n, m) float32
    size : int
        Window length.

    Returns
    -------
    (n, m) float32
    """
    if size == 31 and len(values) >= 31:
        return _median_of_31(values)
    return _median_by_rank_filter(values, size)


def _median_by_rank_filter(values: Array, size: int) -> Array:
    """Filter all columns as one signal, each between its mirror images."""
    before, after = size // 2, (size - 1) // 2
    padded = np.pad(values.T, ((0, 0), (before, after)), mode="symmetric")
    filtered = rank_filter(padded.ravel(), size // 2, size=size).reshape(padded.shape)
    return filtered[:, before : before + len(values)].T


def _median_of_31(values: Array) -> Array:
    n, n_columns = values.shape
    groups = -(-n // 8)
    # With one more row in front, the rows that eight neighbouring windows share are whole octets.
    padding = (16, 8 * (groups + 4) - 16 - n)
    padded = np.pad(values, (padding, (0, 0)), mode="symmetric")
    medians = np.empty((groups, 8, n_columns), dtype=np.float32)
    for start in range(0, n_columns, COLUMNS_AT_A_TIME):
        columns = slice(start, start + COLUMNS_AT_A_TIME)
        octets = padded[:, columns].reshape(groups + 4, 8, -1)
        _medians_of_octets([np.ascontiguousarray(octets[:, k]) for k in range(8)],
                           medians[:, :, columns])  # fmt: skip
    return medians.reshape(8 * groups, n_columns)[:n]


def _medians_of_octets(rows: list[Array], medians: Array) -> None:
    """Fill in the medians of eight windows for each octet of rows.

    Window j of octet g begins at row j + 1 of octet g and ends at row j - 1 of octet g + 4. All
    eight windows share octets g + 1 to g + 3. Windows 0-3 and windows 4-7 share four more rows,
    every pair of windows two more, and one row belongs to one window only. Of each shared part,
    only the values that can become the median are passed on.

    Parameters
    ----------
    rows : list of 8 arrays, (g + 4, m)
        Row k of every octet.
    medians : (g, 8, m) array
        The result.
    """
    groups = len(medians)

    def octet(values: list[Array], later: int) -> list[Array]:
        return [value[later : later + groups] for value in values]

    pairs = [_sort(rows[k], rows[k + 1]) for k in (0, 2, 4, 6)]
    first, second = _merge(pairs[0], pairs[1]), _merge(pairs[2], pairs[3])
    whole = _merge(first, second)
    common = _add(_merge(octet(whole, 1), octet(whole, 2)), octet(whole, 3))
    front, back = _add(common, octet(second, 0)), _add(common, octet(first, 4))
    for window, part, pair, later in ((0, front, 1, 0), (2, front, 0, 4),
                                      (4, back, 3, 0), (6, back, 2, 4)):  # fmt: skip
        both = _add(part, octet(pairs[pair], later))
        medians[:, window] = _add(both, octet([rows[window + 1]], 0))[0]
        medians[:, window + 1] = _add(both, octet([rows[window]], 4))[0]


def _sort(a: Array, b: Array) -> list[Array]:
    return [np.minimum(a, b), np.maximum(a, b)]


def _merge(a: list[Array], b: list[Array]) -> list[Array]:
    """Merge two sorted lists of 2^k arrays (Batcher 1968, odd-even merge)."""
    if len(a) == 1:
        return _sort(a[0], b[0])
    even, odd = _merge(a[::2], b[::2]), _merge(a[1::2], b[1::2])
    between = [v for e, o in zip(even[1:], odd[:-1], strict=True) for v in _sort(e, o)]
    return [even[0], *between, odd[-1]]


def _add(middle: list[Array], more: list[Array]) -> list[Array]:
    """Add sorted values to a set whose middle values are known, and return the new middle values.

    If k values are still to be added, the median is one of the k + 1 middle values. The r-th
    smallest of a union is the minimum, over i, of max(the (r - i)-th of one set, the i-th of the
    other).
    """
    n = len(more)
    middles = []
    for rank in range(len(middle) - n):
        value = middle[rank + n]
        for i in range(n):
            value = np.minimum(value, np.maximum(middle[rank + n - 1 - i], more[i]))
        middles.append(value)
    return middles
