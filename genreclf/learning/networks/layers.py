"""The layers of a convolutional network in numpy, by which a trained one predicts without PyTorch.

A block is a 3 × 3 convolution with zeros around the edges, a bias (in which batch normalisation is
folded), max pooling, and ELU. The pooling comes before ELU, which gives the same values as after
it, because ELU never decreases, and takes an eighth of the exponentials.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pool = tuple[int, int]

# Choi, Fazekas, Sandler & Cho 2017 (arXiv 1703.09179): 96 by 1,366 becomes 1 by 1.
POOLS: tuple[Pool, ...] = ((2, 4), (3, 4), (2, 5), (2, 4), (4, 4))


def pools_for(n_bands: int, n_frames: int) -> list[Pool]:
    """Return the sizes of pooling that leave one value a channel of a spectrogram.

    They are those of the paper, or what remains if that is less; the last one takes all that
    remains.
    """
    pools = []
    height, width = n_bands, n_frames
    for high, wide in POOLS[:-1]:
        pool = min(high, height), min(wide, width)
        pools.append(pool)
        height, width = height // pool[0], width // pool[1]
    return [*pools, (height, width)]


def forward(
    spectrogram: Floats, kernels: Sequence[Floats], biases: Sequence[Floats], pools: Sequence[Pool]
) -> Floats:
    """Return the features of a spectrogram, the output of the last block.

    Parameters
    ----------
    spectrogram : (n_bands, n_frames) float32
    kernels : sequence of (3, 3, n_in, n_out) float32
        Of each block.
    biases : sequence of (n_out,) float32
    pools : sequence of (int, int)
        From ``pools_for``.

    Returns
    -------
    (n_out,) float32
    """
    values = spectrogram[:, :, None]
    for kernel, bias, pool in zip(kernels, biases, pools, strict=True):
        values = _elu(_convolved_and_pooled(values, kernel, pool) + bias)
    return values.ravel()


def _convolved_and_pooled(values: Floats, kernel: Floats, pool: Pool) -> Floats:
    """Convolve (h, w, n_in) by (3, 3, n_in, n_out), and pool, without a bias.

    A row of the convolution is the sum of three products of matrices, one for each row of the
    kernel. As many rows as are pooled together are made at a time, so that they stay in the cache.
    """
    height, width, n_in = values.shape
    padded = np.pad(values, ((1, 1), (1, 1), (0, 0)))
    side_by_side = np.concatenate([padded[:, shift : shift + width] for shift in range(3)], axis=2)
    factors = kernel.reshape(3, 3 * n_in, -1)
    high, wide = pool
    pooled = np.empty((height // high, width // wide, factors.shape[2]), dtype=np.float32)
    for row in range(len(pooled)):
        first = row * high
        shifted = (side_by_side[first + down : first + down + high] for down in range(3))
        convolved = sum(
            rows.reshape(high * width, 3 * n_in) @ factor
            for rows, factor in zip(shifted, factors, strict=True)
        )
        pooled[row] = _pooled(np.reshape(convolved, (high, width, -1)), wide)
    return pooled


def _pooled(rows: Floats, wide: int) -> Floats:
    """Return the maximum over all rows, and over ``wide`` adjacent columns; the rest is left."""
    highest = rows.max(axis=0)
    n_columns = len(highest) // wide
    return highest[: n_columns * wide].reshape(n_columns, wide, -1).max(axis=1)


def _elu(values: Floats) -> Floats:
    """Return x where it is positive, else exp(x) - 1 (Clevert, Unterthiner & Hochreiter 2016)."""
    return np.where(values > 0, values, np.expm1(np.minimum(values, 0)))
