"""One pass over a whole track: its level, harmony and timbre over time."""

from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from genreclf.audio.audiofile import AudioInfo, Samples
from genreclf.audio.decode import decode_blocks
from genreclf.audio.resampling import block_resampler
from genreclf.features.harmony import chromagram
from genreclf.features.spectra import Array, Spectrum, frame, hann_window
from genreclf.features.timbre import cepstrum

if TYPE_CHECKING:
    from genreclf.features.structure import Structure

Doubles = NDArray[np.float64]

ENERGY_SECONDS = 0.1

# Harmony and timbre: windows of a third of a second resolve semitones from 100 Hz.
_RATE_HZ = 12_000
_N_FFT = 4096
_HOP = 1500
_FRAMES_PER_BLOCK = 4
_N_MELS = 64
_N_MFCC = 14
BLOCK_SECONDS = _FRAMES_PER_BLOCK * _HOP / _RATE_HZ


@dataclass(frozen=True)
class Scan:
    """A few hundred numbers per second of a whole track.

    Attributes
    ----------
    info : AudioInfo
    energies : (n,) float64
        Mean square of each ``hop`` samples.
    peaks : (n,) float32
        Largest magnitude of each ``hop`` samples.
    chroma : (12, m) float32
        Means of blocks of ``BLOCK_SECONDS``; m is 0 in a scan without timbre.
    mfcc : (14, m) float32
        Likewise.
    """

    info: AudioInfo
    energies: Doubles
    peaks: Array
    chroma: Array
    mfcc: Array

    @property
    def hop(self) -> int:
        """Samples of the file per energy."""
        return _energy_hop(self.info.sample_rate_hz)

    @cached_property
    def structure(self) -> "Structure | None":
        """The sections; None if the track is too short to have any."""
        from genreclf.features.structure import find_structure

        return find_structure(self)

    def loudness(self, block_seconds: float, n: int) -> Doubles:
        """Return the root mean square of the first ``n`` blocks of any length, (n,)."""
        total = np.concatenate(([0.0], np.cumsum(self.energies)))
        edges = np.arange(n + 1) * (block_seconds * self.info.sample_rate_hz / self.hop)
        sums = np.diff(np.interp(edges, np.arange(len(total)), total))
        return np.sqrt(np.maximum(sums, 0) / np.diff(edges))


def scan(path: Path, *, timbre: bool) -> Scan:
    """Decode a whole track in blocks, and measure it.

    Parameters
    ----------
    path : Path
    timbre : bool
        Compute chroma and MFCC, too.

    Raises
    ------
    AudioError
        As ``decode_blocks``.
    """
    blocks = decode_blocks(path)
    info, first = next(blocks)
    level, harmony = _Level(info.sample_rate_hz), _Harmony(info.sample_rate_hz)
    for block in chain([first], (block for _, block in blocks)):
        level.add(block)
        if timbre:
            harmony.add(block)
    return Scan(info, *level.result, *harmony.result)


class _Level:
    """Energies and peaks of a signal that comes in blocks."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._hop = _energy_hop(sample_rate_hz)
        self._rest = np.empty(0, np.float32)
        self._energies: list[Doubles] = []
        self._peaks: list[Array] = []

    def add(self, block: Samples) -> None:
        samples = np.concatenate((self._rest, block))
        n = len(samples) // self._hop
        pieces = samples[: n * self._hop].reshape(n, self._hop)
        self._energies.append(np.mean(np.square(pieces), axis=1, dtype=np.float64))
        self._peaks.append(np.abs(pieces).max(axis=1))
        self._rest = samples[n * self._hop :]

    @property
    def result(self) -> tuple[Doubles, Array]:
        return np.concatenate(self._energies), np.concatenate(self._peaks)


class _Harmony:
    """Chroma and MFCC in blocks of ``BLOCK_SECONDS``, of a signal that comes in other blocks."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._resample = block_resampler(sample_rate_hz, _RATE_HZ)
        self._rest = np.zeros((_N_FFT - _HOP) // 2, np.float32)
        self._chroma = [np.empty((12, 0), np.float32)]
        self._mfcc = [np.empty((_N_MFCC, 0), np.float32)]

    def add(self, block: Samples) -> None:
        self._rest = np.concatenate((self._rest, self._resample(block)))
        beyond = _N_FFT - _HOP  # the rest of the last window is in the next block
        n_frames = (len(self._rest) - beyond) // (_FRAMES_PER_BLOCK * _HOP) * _FRAMES_PER_BLOCK
        if n_frames <= 0:
            return
        windows = frame(self._rest[: n_frames * _HOP + beyond], _N_FFT, _HOP)
        spectra = scipy.fft.rfft(windows * hann_window(_N_FFT).astype(np.float32), axis=1)
        spectrum = Spectrum(np.abs(spectra).T, _RATE_HZ, _HOP, _N_MELS)
        # The same tuning throughout: any tuning shows which blocks are similar.
        self._chroma.append(mean_of(chromagram(spectrum, deviation=0.0), _FRAMES_PER_BLOCK))
        self._mfcc.append(mean_of(cepstrum(spectrum, _N_MFCC), _FRAMES_PER_BLOCK))
        self._rest = self._rest[n_frames * _HOP :]

    @property
    def result(self) -> tuple[Array, Array]:
        return np.concatenate(self._chroma, axis=1), np.concatenate(self._mfcc, axis=1)


def mean_of(rows: Array, n: int) -> Array:
    """Return the mean of each ``n`` columns; fewer columns at the end are left out."""
    n_means = rows.shape[1] // n
    return rows[:, : n_means * n].reshape(len(rows), n_means, n).mean(axis=2)


def _energy_hop(sample_rate_hz: int) -> int:
    return round(ENERGY_SECONDS * sample_rate_hz)
