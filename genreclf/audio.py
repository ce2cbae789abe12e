"""Decoding: only the seconds asked for, any format that libsndfile knows, resampled."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from genreclf.errors import AudioError

__all__ = ["AudioInfo", "Samples", "decode", "describe", "resample"]

Samples = NDArray[np.float32]

# A stream may end a little before its header says without being damaged: encoders pad, and
# the lengths of some variable-rate files are estimates.
MISSING_SECONDS_ALLOWED = 0.1

# After a seek into an mp3, libmpg123 lacks the bits that earlier frames keep in store for the
# next ones, and the first frames come out wrong: decoding starts this much early. It has to be
# one read, since soundfile seeks after each.
PREROLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What the header of an audio file says."""

    n_frames: int
    sample_rate_hz: int
    channels: int
    container: str
    codec: str

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.n_frames / self.sample_rate_hz


def describe(path: Path) -> AudioInfo:
    """Read the header of an audio file.

    Raises
    ------
    AudioError
        If it is no audio file that can be decoded.
    """
    with _open(path) as file:
        return _info(file)


def decode(
    path: Path, span: Callable[[int, int], tuple[int, int]]
) -> tuple[Samples, AudioInfo, int]:
    """Decode part of an audio file, mixed down to one channel, at its own sample rate.

    Parameters
    ----------
    path : Path
    span : callable
        From ``(n_frames, sample_rate_hz)`` to the ``(start, stop)`` that is wanted, in frames.
        Only that part is read.

    Returns
    -------
    samples : (n,) float32
        Mean over the channels.
    info : AudioInfo
    start : int
        The frame that ``samples`` begin at.

    Raises
    ------
    AudioError
        If the file cannot be decoded, holds no audio, breaks off before the part is complete,
        or holds values that are not finite.
    """
    with _open(path) as file:
        info = _info(file)
        start, stop = span(info.n_frames, info.sample_rate_hz)
        early = min(start, round(PREROLL_SECONDS * info.sample_rate_hz))
        try:
            file.seek(start - early)
            channels = file.read(early + stop - start, dtype="float32", always_2d=True)[early:]
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise AudioError(f"{path}: decoding failed: {_reason(error)}") from None
    missing = stop - start - len(channels)
    if missing > MISSING_SECONDS_ALLOWED * info.sample_rate_hz:
        held = (start + len(channels)) / info.sample_rate_hz
        raise AudioError(
            f"{path}: the stream breaks off after {held:.1f} s of {info.seconds:.1f} s; "
            "the file is damaged or incomplete"
        )
    # numpy's mean over so short an axis takes longer than the decoding.
    samples = sum(channels.T[1:], start=channels[:, 0]) / np.float32(info.channels)
    if not np.isfinite(samples).all():
        raise AudioError(f"{path}: holds samples that are not finite numbers")
    return samples, info, start


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """Change the sample rate with soxr's high-quality recipe, as ``librosa.resample`` does.

    The result has ``ceil(len(samples) * to_hz / from_hz)`` samples.
    """
    if from_hz == to_hz:
        return samples
    resampled: Samples = soxr.resample(samples, from_hz, to_hz, quality="soxr_hq")
    n = -(-len(samples) * to_hz // from_hz)
    if len(resampled) < n:
        return np.pad(resampled, (0, n - len(resampled)))
    return resampled[:n]


@contextmanager
def _open(path: Path) -> Iterator[soundfile.SoundFile]:
    try:
        status = path.stat()
    except OSError as error:
        raise AudioError(f"{path}: {(error.strerror or 'cannot be opened').lower()}") from None
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(f"{path}: not a regular file")
    if status.st_size == 0:
        raise AudioError(f"{path}: no audio could be decoded (the file is 0 bytes)")
    with _codecs_muted():
        try:
            file = soundfile.SoundFile(path)
        except (soundfile.LibsndfileError, OSError, TypeError) as error:
            raise AudioError(f"{path}: no audio could be decoded ({_reason(error)})") from None
        with file:
            yield file


@contextmanager
def _codecs_muted() -> Iterator[None]:
    """Keep libmpg123 from printing what it dislikes to the C-level standard error.

    Nothing can tell it not to; what matters of it shows in the samples.
    """
    try:
        saved = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(silent)


def _info(file: soundfile.SoundFile) -> AudioInfo:
    if file.frames <= 0:
        raise AudioError(f"{file.name}: no audio could be decoded (it holds 0 samples)")
    return AudioInfo(file.frames, file.samplerate, file.channels, file.format, file.subtype)


def _reason(error: Exception) -> str:
    """Return libsndfile's own words, without the path that soundfile puts before them."""
    words = getattr(error, "error_string", None) or str(error)
    return words.strip().rstrip(".") or type(error).__name__
