"""musicnn (Pons & Serra 2019) in numpy: a network for patches of a mel spectrogram.

Convolutions are matrix products, in blocks that stay in the cache. On one core this is faster than
onnxruntime, so musicnn needs no other package.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy.fft
import scipy.special
from numpy.lib.stride_tricks import sliding_window_view

from genreclf.features.spectra import Array

BANDS = 96
_EPSILON = np.float32(1e-3)  # of tf.layers.batch_normalization
_TAPS = 7  # frames that the filters of the timbral and the middle layers see
_ROWS = 1024  # of a matrix product of a temporal block
_FRAMES = 8  # that a timbral block transforms at a time

_TIMBRAL, _TEMPORAL, _MIDDLE, _DENSE, _TAGS = 204, 51, 64, 200, 50
_FRONT = 2 * _TIMBRAL + 3 * _TEMPORAL
_POOLED = _FRONT + 3 * _MIDDLE
_KERNELS = {
    "conv2d": (_TAPS, 38, 1, _TIMBRAL),
    "conv2d_1": (_TAPS, 67, 1, _TIMBRAL),
    "conv2d_2": (128, 1, 1, _TEMPORAL),
    "conv2d_3": (64, 1, 1, _TEMPORAL),
    "conv2d_4": (32, 1, 1, _TEMPORAL),
    "conv2d_5": (_TAPS, _FRONT, 1, _MIDDLE),
    "conv2d_6": (_TAPS, _MIDDLE, 1, _MIDDLE),
    "conv2d_7": (_TAPS, _MIDDLE, 1, _MIDDLE),
    "dense": (2 * _POOLED, _DENSE),
    "dense_1": (_DENSE, _TAGS),
}
# The width of what each batch normalisation normalises, in the order of the graph.
_NORMALISED = (
    1, _TIMBRAL, _TIMBRAL, _TEMPORAL, _TEMPORAL, _TEMPORAL, _MIDDLE, _MIDDLE, _MIDDLE,
    2 * _POOLED, _DENSE,
)  # fmt: skip
_PARAMETERS = ("gamma", "beta", "moving_mean", "moving_variance")


def _numbered(name: str, i: int) -> str:
    return f"{name}_{i}" if i else name


# Names of the variables in musicnn's checkpoints, and their shapes.
VARIABLES: Mapping[str, tuple[int, ...]] = {
    **{f"{layer}/kernel": shape for layer, shape in _KERNELS.items()},
    **{f"{layer}/bias": shape[-1:] for layer, shape in _KERNELS.items()},
    **{
        f"{_numbered('batch_normalization', i)}/{parameter}": (width,)
        for i, width in enumerate(_NORMALISED)
        for parameter in _PARAMETERS
    },
}
OUTPUTS = {"penultimate": _DENSE, "mean_pool": _POOLED, "max_pool": _POOLED, "tags": _TAGS}


class _Affine(NamedTuple):
    """Batch normalisation with fixed statistics: ``scale x + shift``."""

    scale: Array
    shift: Array

    def __call__(self, values: Array) -> Array:
        return values * self.scale + self.shift


class _Layer(NamedTuple):
    """A convolution or dense layer as a matrix, (inputs, filters), and what follows it."""

    matrix: Array
    bias: Array
    normalise: _Affine

    def __call__(self, rows: Array) -> Array:
        return self.normalise(np.maximum(rows @ self.matrix + self.bias, 0))


class Musicnn:
    """The network with its weights.

    Parameters
    ----------
    variables : mapping of str to array
        As ``VARIABLES`` names them.

    Raises
    ------
    ValueError
        If one is missing, has another shape or is not finite.
    """

    def __init__(self, variables: Mapping[str, Array]) -> None:
        for name, shape in VARIABLES.items():
            if name not in variables or variables[name].shape != shape:
                raise ValueError(f"holds no variable {name} of shape {shape}")
            if variables[name].dtype != np.float32 or not np.isfinite(variables[name]).all():
                raise ValueError(f"variable {name} is not finite float32")
        self._variables = variables
        self._normalise = self._affine(0)
        self._front: list[_TimbralBlock | _TemporalBlock] = [
            *(_TimbralBlock(self._layer(i), self._kernel(i)) for i in (0, 1)),
            *(_TemporalBlock(self._layer(i), self._kernel(i)) for i in (2, 3, 4)),
        ]
        self._middle = [self._layer(i) for i in (5, 6, 7)]
        self._pooled = self._affine(9)
        self._dense = self._layer(10, "dense")

    def _affine(self, i: int) -> _Affine:
        name = _numbered("batch_normalization", i)
        gamma, beta, mean, variance = (self._variables[f"{name}/{key}"] for key in _PARAMETERS)
        scale = gamma / np.sqrt(variance + _EPSILON)
        return _Affine(scale, beta - mean * scale)

    def _layer(self, i: int, name: str | None = None) -> _Layer:
        name = name or _numbered("conv2d", i)
        kernel = self._variables[f"{name}/kernel"]
        # The normalisation of convolution i has the number i + 1.
        normalise = self._affine(i if name == "dense" else i + 1)
        matrix = kernel.reshape(-1, kernel.shape[-1])
        return _Layer(matrix, self._variables[f"{name}/bias"], normalise)

    def _kernel(self, i: int) -> Array:
        return self._variables[f"{_numbered('conv2d', i)}/kernel"][:, :, 0]

    def __call__(self, patch: Array) -> dict[str, Array]:
        """Apply the network to one patch.

        Parameters
        ----------
        patch : (t, 96) float32

        Returns
        -------
        dict of str to (size,) float32
            As ``OUTPUTS``.
        """
        maps = self._feature_maps(patch)
        strongest, mean = maps.max(axis=0), maps.mean(axis=0)
        pooled = np.stack([strongest, mean], axis=1).ravel()  # maximum and mean of a map alternate
        penultimate = self._dense(self._pooled(pooled))
        logits = penultimate @ self._variables["dense_1/kernel"] + self._variables["dense_1/bias"]
        tags = scipy.special.expit(logits)
        return {
            "penultimate": penultimate, "mean_pool": mean, "max_pool": strongest, "tags": tags,
        }  # fmt: skip

    def _feature_maps(self, patch: Array) -> Array:
        """Return all feature maps over time, (t, 753)."""
        normalised = self._normalise(patch)
        front = np.concatenate([block(normalised) for block in self._front], axis=1)
        first, second, third = self._middle
        one = first(_in_time(front))
        two = second(_in_time(one)) + one
        three = third(_in_time(two)) + two
        return np.concatenate([front, one, two, three], axis=1)


class _Strongest:
    """What is common to convolutions of which each filter keeps its strongest band.

    The maximum over bands commutes with all that rises: adding the bias, rectifying, and a
    normalisation with a positive scale. Where the scale is negative, the minimum is needed, which
    is the maximum of the filter with the other sign.
    """

    def __init__(self, layer: _Layer, kernel: Array) -> None:
        self._layer = layer
        self._signs = np.where(layer.normalise.scale < 0, np.float32(-1), np.float32(1))
        self.kernel = kernel * self._signs  # (frames, bands, filters)

    def finished(self, strongest: Array) -> Array:
        """Add the bias to the maxima, (t, filters), rectify and normalise them."""
        layer = self._layer
        return layer.normalise(np.maximum(strongest * self._signs + layer.bias, 0))


class _TemporalBlock(_Strongest):
    """Filters that are long in time and one band wide, as a matrix product for some bands each."""

    def __call__(self, patch: Array) -> Array:
        """Convolve (t, 96), and return (t, filters)."""
        (n_frames, _, n_filters), t = self.kernel.shape, len(patch)
        before = (n_frames - 1) // 2
        padded = np.pad(patch, ((before, n_frames - 1 - before), (0, 0)))
        windows = sliding_window_view(padded.T, n_frames, axis=1)  # (bands, t, frames)
        strongest = np.full((t, n_filters), -np.inf, dtype=np.float32)
        block = max(1, _ROWS // t)
        for start in range(0, BANDS, block):
            rows = windows[start : start + block].reshape(-1, n_frames)
            products = (rows @ self.kernel[:, 0]).reshape(-1, t, n_filters)
            np.maximum(strongest, products.max(axis=0), out=strongest)
        return self.finished(strongest)


class _TimbralBlock(_Strongest):
    """Filters that are 7 frames long and tens of bands wide, by the Fourier transform over bands.

    Over bands, a correlation is a product of transforms, one of them conjugate. The products and
    the inverse transform, at the positions where the filter lies within the spectrum, are matrix
    products of real numbers, with a quarter of the operations that the correlation takes.
    """

    def __init__(self, layer: _Layer, kernel: Array) -> None:
        super().__init__(layer, kernel)
        transformed = scipy.fft.rfft(self.kernel, BANDS, axis=1).transpose(1, 0, 2)
        real, imaginary = transformed.real, transformed.imag  # (49, frames, filters)
        self._product = np.stack(
            [np.concatenate(parts, 1) for parts in ((real, imaginary), (-imaginary, real))], 1
        )  # (49, 2, 2 frames, filters)
        units = np.eye(BANDS // 2 + 1, dtype=np.complex64)
        inverse = np.stack([scipy.fft.irfft(units), scipy.fft.irfft(1j * units)], 1)
        n_positions = BANDS - kernel.shape[1] + 1
        self._inverse = inverse.reshape(-1, BANDS).T[:n_positions].astype(np.float32)

    def __call__(self, patch: Array) -> Array:
        """Convolve (t, 96), and return (t, filters)."""
        padded = np.pad(patch, ((_TAPS // 2, _TAPS // 2), (0, 0)))
        spectra = scipy.fft.rfft(padded, axis=1).T
        frames = [sliding_window_view(part, _TAPS, axis=1) for part in (spectra.real, spectra.imag)]
        windows = np.concatenate(frames, axis=2)[:, None]  # (49, 1, t, 2 frames)
        n_filters = self.kernel.shape[2]
        strongest = np.empty((len(patch), n_filters), dtype=np.float32)
        for start in range(0, len(patch), _FRAMES):
            block = slice(start, start + _FRAMES)
            products = windows[:, :, block] @ self._product  # (49, 2, frames, filters)
            maps = self._inverse @ products.reshape(len(self._inverse.T), -1)
            strongest[block] = maps.max(axis=0).reshape(-1, n_filters)
        return self.finished(strongest)


def _in_time(maps: Array) -> Array:
    """Return for each frame the frames around it, (t, 7 maps)."""
    padded = np.pad(maps, ((_TAPS // 2, _TAPS // 2), (0, 0)))
    windows = sliding_window_view(padded, _TAPS, axis=0)  # (t, maps, 7)
    return windows.transpose(0, 2, 1).reshape(len(maps), -1)
