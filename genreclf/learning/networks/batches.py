"""Batches of spectrograms: read from the frames of a table, standardised, cropped and altered."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genreclf.tables.frames import Frames

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Spectrograms:
    """The spectrograms of tracks, read when they are asked for.

    Attributes
    ----------
    frames : Frames
    feature : str
        Name of the frames, (n_tracks, d, t).
    mean, spread : (d,) float32
        Of each band, by which spectrograms are standardised.
    """

    frames: Frames
    feature: str
    mean: Floats
    spread: Floats

    @classmethod
    def standardised(cls, frames: Frames, feature: str, train: Indices) -> "Spectrograms":
        """Learn mean and standard deviation of each band from the training tracks."""
        n_bands, n_frames = frames.shapes[feature]
        sums, squares = np.zeros(n_bands), np.zeros(n_bands)
        for batch in frames.take(train).batches(feature):
            values = batch.astype(np.float64)
            sums += values.sum(axis=(0, 2))
            squares += (values**2).sum(axis=(0, 2))
        n = len(train) * n_frames
        mean = sums / n
        spread = np.sqrt(np.maximum(squares / n - mean**2, 0))
        spread[spread <= 1e-6 * np.maximum(1, np.abs(mean))] = 1  # a band that never varies
        return cls(frames, feature, mean.astype(np.float32), spread.astype(np.float32))

    @property
    def n_frames(self) -> int:
        """Frames of each track."""
        return self.frames.shapes[self.feature][1]

    def read(self, rows: Indices) -> Floats:
        """Return the standardised spectrograms of some tracks, (n, d, t)."""
        return self._scaled(self.frames.take(rows)[self.feature])

    def batches(self) -> Iterator[Floats]:
        """Yield the standardised spectrograms of all tracks, those of some tracks at a time."""
        return map(self._scaled, self.frames.batches(self.feature))

    def _scaled(self, halves: NDArray[np.float16]) -> Floats:
        centred = halves.astype(np.float32) - self.mean[:, None]
        return centred / self.spread[:, None]


def crop_length(n_frames: int, crop: float) -> int:
    """Return the number of frames of a crop."""
    return max(1, round(crop * n_frames))


def crops(spectrograms: Floats, length: int) -> Iterator[Floats]:
    """Yield as few crops of (…, t) as cover it, evenly spaced, each (…, length)."""
    n_frames = spectrograms.shape[-1]
    starts = np.linspace(0, n_frames - length, math.ceil(n_frames / length))
    for start in np.round(starts).astype(int):
        yield spectrograms[..., start : start + length]


@dataclass(frozen=True)
class Alteration:
    """Random changes of training tracks, against overfitting.

    Attributes
    ----------
    length : int
        Frames of a random crop in time.
    mixup : float
        Tracks are mixed in pairs, in a proportion from a beta distribution with this α (Zhang et
        al. 2018); 0 is off.
    mask_bands, mask_frames : int
        One mask over bands and one over frames, at most as wide as this (SpecAugment: Park et al.
        2019); 0 is off.
    """

    length: int
    mixup: float
    mask_bands: int
    mask_frames: int

    def apply(
        self, spectrograms: Floats, targets: Floats, random: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """Return altered spectrograms, (n, d, length), and their targets, (n, n_classes)."""
        n, n_bands, n_frames = spectrograms.shape
        altered = np.empty((n, n_bands, self.length), np.float32)
        starts = random.integers(n_frames - self.length + 1, size=n)
        for track, start in enumerate(starts):
            altered[track] = spectrograms[track, :, start : start + self.length]
            altered[track, _mask(n_bands, self.mask_bands, random)] = 0  # the mean
            altered[track, :, _mask(self.length, self.mask_frames, random)] = 0
        if not self.mixup:
            return altered, targets
        share = np.float32(random.beta(self.mixup, self.mixup))
        partners = random.permutation(n)
        mixed = share * altered + (1 - share) * altered[partners]
        return mixed, share * targets + (1 - share) * targets[partners]


def _mask(n: int, widest: int, random: np.random.Generator) -> slice:
    width = random.integers(min(widest, n) + 1)
    start = random.integers(n - width + 1)
    return slice(start, start + width)


def shuffled_batches(n: int, size: int, random: np.random.Generator) -> list[Indices]:
    """Shuffle the numbers below n into batches of similar sizes, at most ``size`` and at least two.

    Batch normalisation cannot be learned from a single value.
    """
    n_batches = min(math.ceil(n / size), max(1, n // 2))
    return np.array_split(random.permutation(n), n_batches)
