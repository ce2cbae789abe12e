"""Confusion matrices of very many genres."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def largest_genres(
    genres: Sequence[str], counts: NDArray[np.int64], most: int
) -> tuple[list[str], NDArray[np.int64]]:
    """Merge the smallest genres if there are more than ``most``.

    Parameters
    ----------
    genres : sequence of str
    counts : (n_genres, n_genres) array
        Tracks by true genre (rows) and predicted genre (columns).
    most : int

    Returns
    -------
    names : list of str
    counts : (n_names, n_names) array
    """
    if len(genres) <= most:
        return list(genres), counts
    by_size = np.argsort(-(counts.sum(axis=0) + counts.sum(axis=1)), kind="stable")
    largest, rest = np.sort(by_size[: most - 1]), by_size[most - 1 :]
    for _ in range(2):  # rows, then columns
        counts = np.vstack((counts[largest], counts[rest].sum(axis=0))).T
    return [*(genres[i] for i in largest), f"{len(rest)} others"], counts
