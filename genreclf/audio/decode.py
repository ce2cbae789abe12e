"""Decode parts of audio files, of any format that libsndfile or FFmpeg can read."""

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import soundfile
from numpy.typing import NDArray

from genreclf.audio.libav import NEEDS_EXTRA, LibavError, LibavFile, is_for_libav
from genreclf.audio.mpeg import MISSING_SECONDS_ALLOWED
from genreclf.audio.streams import (
    MOST_LINKS,
    AudioFile,
    Chain,
    SndFile,
    open_with_libsndfile,
    read,
    read_blocks,
)
from genreclf.errors import AudioError

Samples = NDArray[np.float32]

# Full scale is 1. Float files and decoders may exceed it a little; a hundred times as much means
# damage.
LOUDEST_PEAK = 100.0

# The power of a sum of unrelated channels is the sum of their powers; of two identical channels it
# is twice that. Less than a quarter of it means that the channels cancel: of 230 stereo tracks by
# 80 artists the lowest value is 0.64. The mean of such channels holds little but errors of rounding
# and coding. Vorbis leaves a tenth, since it does not keep the phase of high frequencies.
CANCELLED = 0.25
CANCELS = "its channels cancel each other out; one polarity is inverted before they are mixed"

# From below telephones to beyond studios; DSD is decoded at 2.8 MHz / 8 and multiples of it.
SAMPLE_RATES_HZ = (1000, 3_000_000)

# What SoX states as the size of an AIFF that it writes into a pipe; others state larger sizes.
UNKNOWN_SIZE = 0x7F00_0000

# For an Ogg stream without an end, libsndfile states the largest number that there is.
UNKNOWN_LENGTH = 2**48

# After a seek into an mp3, libmpg123 lacks the bits that earlier frames hold for later ones, and
# decodes the first frames wrongly. So decoding starts this much earlier, in one read, since
# soundfile seeks after each.
PREROLL_SECONDS = 0.5

# Values that are decoded at a time of a whole track: 4 MB, 12 s of a CD.
BLOCK_SAMPLES = 2**20


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What is known about an audio file before it is decoded."""

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
        return _info(path, file)


def decode(
    path: Path, span: Callable[[int, int], tuple[int, int]]
) -> tuple[Samples, AudioInfo, int]:
    """Decode part of an audio file, mixed down to one channel, at its own sample rate.

    Parameters
    ----------
    path : Path
    span : callable
        Takes ``(n_frames, sample_rate_hz)`` and returns the ``(start, stop)`` to decode, in frames.
        Only that part is read.

    Returns
    -------
    samples : (n,) float32
        Mean over the channels. Where they cancel each other, as in a stereo file with one inverted
        channel, those of opposite polarity are inverted first.
    info : AudioInfo
    start : int
        The frame at which ``samples`` begin.

    Raises
    ------
    AudioError
        If the file cannot be decoded, holds no audio, breaks off before the part is complete,
        or holds values that are not finite or absurdly large.
    """
    starts: list[int] = []

    def only(info: AudioInfo) -> list[tuple[int, int]]:
        wanted = span(info.n_frames, info.sample_rate_hz)
        starts.append(wanted[0])
        return [wanted]

    [samples], info, _ = decode_spans(path, only)
    return samples, info, starts[0]


def decode_spans(
    path: Path, spans: Callable[[AudioInfo], Sequence[tuple[int, int]]]
) -> tuple[list[Samples], AudioInfo, tuple[str, ...]]:
    """As ``decode``, for several parts of a file that is opened once.

    Returns
    -------
    parts : list of (n,) float32
    info : AudioInfo
    notes : tuple of str
        What the user should know about how the file was decoded, without its name.
    """
    notes: list[str] = []
    with _open(path) as file:
        info = _info(path, file)
        parts = []
        for start, stop in spans(info):
            early = min(start, round(PREROLL_SECONDS * info.sample_rate_hz))
            channels = read(file, start - early, early + stop - start)[early:]
            _require(path, info, start, stop, len(channels))
            mixed, cancels = _mixed_down(path, channels)
            parts.append(mixed)
            notes += [CANCELS] * cancels
        notes += _not_heard(file)
    return parts, info, tuple(dict.fromkeys(notes))


def decode_blocks(path: Path) -> Iterator[tuple[AudioInfo, Samples]]:
    """Decode a whole audio file once, block after block, mixed down, at its own sample rate.

    Yields
    ------
    info : AudioInfo
        The same each time.
    samples : (n,) float32
        Mean over the channels of the next block. Together, the blocks are what ``decode`` returns
        for the whole file, but only ``BLOCK_SAMPLES`` values are in memory at a time. Whether
        channels cancel each other is decided for each block.

    Raises
    ------
    AudioError
        As ``decode`` of the whole.
    """
    with _open(path) as file:
        info = _info(path, file)
        size = max(1, BLOCK_SAMPLES // info.channels)
        at = 0
        for channels in file.blocks(size, info.n_frames):
            yield info, _mixed_down(path, channels)[0]
            at += len(channels)
        _require(path, info, 0, info.n_frames, at)
        if not at:
            raise AudioError(f"{path}: no audio could be decoded")


def _require(path: Path, info: AudioInfo, start: int, stop: int, n_read: int) -> None:
    """Refuse a stream that breaks off before the part that is wanted is complete."""
    if stop - start - n_read <= MISSING_SECONDS_ALLOWED * info.sample_rate_hz:
        return
    held = start + n_read if n_read else _count_frames(path, stop)
    raise AudioError(
        f"{path}: the stream breaks off after {held / info.sample_rate_hz:.1f} s of "
        f"{info.seconds:.1f} s; the file is damaged or incomplete"
    )


def _mixed_down(path: Path, channels: Samples) -> tuple[Samples, bool]:
    """Return the mean of the channels, corrected where they cancel, and whether they do."""
    if not np.isfinite(channels).all():
        raise AudioError(f"{path}: holds samples that are not finite numbers")
    peak = float(np.abs(channels).max(initial=0))
    if peak > LOUDEST_PEAK:
        raise AudioError(
            f"{path}: holds samples of {peak:.3g} times full scale; the file is damaged"
        )
    # numpy's mean over so short an axis takes longer than the decoding.
    mixed: Samples = sum(channels.T[1:], start=channels[:, 0]) / np.float32(channels.shape[1])
    if not len(channels) or channels.shape[1] == 1:
        return mixed, False
    # Variances, since an offset that all channels share does not cancel.
    powers = [float(channel.var()) for channel in channels.T]
    if float(mixed.var()) * len(powers) ** 2 >= CANCELLED * sum(powers):
        return mixed, False
    return _put_right(channels, int(np.argmax(powers))), True


def _put_right(channels: Samples, loudest: int) -> Samples:
    """Return the mean of the channels; those that oppose the loudest one are inverted first."""
    reference = channels[:, loudest] - channels[:, loudest].mean()
    aligned = [-channel if np.dot(channel, reference) < 0 else channel for channel in channels.T]
    mixed: Samples = sum(aligned[1:], start=aligned[0]) / np.float32(len(aligned))
    return mixed


def _count_frames(path: Path, at_most: int) -> int:
    """Count the frames of a stream that can be decoded, in its first ten minutes at most."""
    with _decoder(path) as file:
        # In one read, since an mp3 decoder that is made to seek beyond the end invents silence.
        at_most = min(at_most, 600 * file.samplerate)
        held = len(read(file, 0, at_most))
    if held == 0:
        with _decoder(path) as file:  # others give nothing of a read that fails in the end
            while held < at_most and (block := len(read(file, held, 4096))):
                held += block
    return held


def _count_all(path: Path) -> int:
    """Count the frames of a stream that states no length."""
    held = 0
    for size in (BLOCK_SAMPLES, 4096):  # some give nothing of a read that fails in the end
        with _decoder(path) as file:
            held += sum(len(block) for block in read_blocks(file, size, UNKNOWN_LENGTH, held))
    return held


def _about_folder(path: Path) -> str:
    """Say why a folder is no track: it was given as a file, or cannot be searched."""
    try:
        os.scandir(path).close()
    except OSError as error:
        return f"a folder that cannot be searched; {(error.strerror or str(error)).lower()}"
    return "a folder, not an audio file"


@contextmanager
def _open(path: Path) -> Iterator[AudioFile]:
    """Open a file with the library that can decode it."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "cannot be opened"
        raise AudioError(f"{path}: {reason.lower()}") from None
    if stat.S_ISDIR(status.st_mode):
        raise AudioError(f"{path}: {_about_folder(path)}")
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(f"{path}: not a regular file")
    if not os.access(path, os.R_OK):
        raise AudioError(f"{path}: cannot be read; permission denied")
    if status.st_size == 0:
        raise AudioError(f"{path}: no audio could be decoded (the file is 0 bytes)")
    with _CODECS_MUTED, _decoder(path) as file:
        yield file


def _not_heard(file: AudioFile) -> list[str]:
    """Note the links of a chain that have another sample rate or cannot be decoded."""
    if not isinstance(file, Chain):
        return []
    notes = []
    if file.unheard_seconds:
        seconds = file.frames / file.samplerate + file.unheard_seconds
        notes.append(
            f"{file.unheard_seconds:.1f} s of {seconds:.1f} s are not heard; their sample rate "
            f"differs from the {file.samplerate} Hz of the rest"
        )
    if file.n_failed:
        notes.append(
            f"{file.n_failed} of the files that are joined in it are not heard; they cannot be "
            f"decoded, or more than {MOST_LINKS} are joined"
        )
    return notes


def _decoder(path: Path) -> AudioFile:
    """Open with libsndfile, or else with FFmpeg if that is there."""
    decodable = False
    try:
        file = open_with_libsndfile(path)
        decodable = file.frames > 0
        if decodable and not _is_misread(path, file):
            return file
        file.__exit__()
        reason = "it holds 0 samples"
    except LibavError as error:
        raise AudioError(f"{path}: {error}") from None
    except (soundfile.LibsndfileError, OSError, TypeError, ValueError) as error:
        reason = _reason(error)
    try:
        return LibavFile(path)
    except LibavError as error:
        if decodable or is_for_libav(path):
            raise AudioError(f"{path}: {error}") from None
        remedy = ""
        if str(error) == NEEDS_EXTRA and _UNKNOWN_CODEC.search(reason):
            remedy = f"; perhaps it {NEEDS_EXTRA}"
    raise AudioError(f"{path}: no audio could be decoded ({reason}){remedy}")


# How libsndfile refuses a container that it knows because of the codec in it.
_UNKNOWN_CODEC = re.compile("unsupported|unimplemented|incompatible|alformed|holds 0 samples")


def _is_misread(path: Path, file: AudioFile) -> bool:
    """Tell whether libsndfile cannot seek in a file (GSM), or takes it for an mp3 (AAC)."""
    if not isinstance(file, SndFile):
        return False
    return not file.seekable() or (file.format == "MP3" and is_for_libav(path))


class _CodecsMuted:
    """Keeps libmpg123 from printing warnings to the C-level standard error.

    It has no option for that, and damage shows in the samples anyway. Standard error belongs to
    the whole process: the first thread to enter turns it off, and the last one to leave turns it
    on again.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._saved = -1

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._saved = _redirect_standard_error()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._saved >= 0:
                os.dup2(self._saved, 2)
                os.close(self._saved)


def _redirect_standard_error() -> int:
    """Send standard error nowhere and return a copy of it, or -1 if there is none."""
    try:
        saved = os.dup(2)
    except OSError:
        return -1
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return saved


_CODECS_MUTED = _CodecsMuted()


def _info(path: Path, file: AudioFile) -> AudioInfo:
    low, high = SAMPLE_RATES_HZ
    if not low <= file.samplerate <= high:
        raise AudioError(
            f"{path}: {file.samplerate} samples a second, which no music has; the file is damaged"
        )
    n_frames = _declared_frames(file)
    if n_frames >= UNKNOWN_LENGTH:
        n_frames = _count_all(path)
    if n_frames <= 0:
        raise AudioError(f"{path}: no audio could be decoded (it holds 0 samples)")
    return AudioInfo(n_frames, file.samplerate, file.channels, file.format, file.subtype)


# The chunk that holds the audio in WAV, AU, AIFF; for W64 the log has the whole file only.
_SHORTENED = re.compile(r"^ *(?:data|Data Size|SSND|riff) *: (\d+) \(should be (\d+)\)", re.M)


def _declared_frames(file: AudioFile) -> int:
    """Return the length that the header declares, even if the file ends earlier.

    For uncompressed audio libsndfile returns the length that is there, and mentions the declared
    one only in its log: ``data : 384000 (should be 191978)``. Streams of unknown length declare
    the largest number that there is; of those the length that is there counts.
    """
    found = _SHORTENED.search(file.extra_info)
    if found:
        declared, there = map(int, found.groups())
        if there < declared < UNKNOWN_SIZE - 2**16:
            return round(file.frames * declared / there)
    return int(file.frames)


def _reason(error: Exception) -> str:
    """Return libsndfile's own words, without the path that soundfile puts before them."""
    words = str(getattr(error, "error_string", None) or error).strip().rstrip(".")
    if "does not exist" in words:  # its guess at a file that no decoder wants
        words = "not in a format that is known"
    return words or type(error).__name__
