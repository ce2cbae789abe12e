"""Decoding: only the seconds asked for, any format that libsndfile or FFmpeg know."""

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

from genreclf.errors import AudioError
from genreclf.libav import NEEDS_EXTRA, LibavError, LibavFile, is_for_libav, libav_version
from genreclf.mpeg import MISSING_SECONDS_ALLOWED
from genreclf.streams import (
    MOST_LINKS,
    AudioFile,
    Chain,
    SndFile,
    open_with_libsndfile,
    read,
    read_blocks,
)

__all__ = [
    "AudioInfo",
    "Samples",
    "decode",
    "decode_blocks",
    "decode_spans",
    "decoder_versions",
    "describe",
]

Samples = NDArray[np.float32]

# Full scale is 1; float files and decoders may go somewhat beyond. What is a hundred times as loud
# comes from damage.
LOUDEST_PEAK = 100.0

# Unrelated channels add up to the sum of their powers, and one and the same piece in both to twice
# that. Where less than a quarter of that sum is left, they cancel each other: of 230 stereo tracks
# of 80 artists the least has 0.64. Then the mean is not the music but what rounding or coding has
# made of it: Vorbis leaves a tenth, since it knows no phases of high frequencies.
CANCELLED = 0.25
CANCELS = (
    "its channels cancel each other out; those of opposite polarity are inverted before the mixing"
)
# Raised when a file gives other samples than before, so that no cache keeps what they gave.
_DECODING = 2

# From telephones to four times what studios use; DSD is decoded at 2.8 MHz / 8 and multiples.
SAMPLE_RATES_HZ = (1000, 3_000_000)

# What SoX states as the size of an AIFF that it writes into a pipe; others state larger sizes.
UNKNOWN_SIZE = 0x7F00_0000

# What libsndfile says of an Ogg stream without an end is the largest number that there is.
UNKNOWN_LENGTH = 2**48

# After a seek into an mp3, libmpg123 lacks the bits that earlier frames keep in store for the
# next ones, and the first frames come out wrong: decoding starts this much early. It has to be
# one read, since soundfile seeks after each.
PREROLL_SECONDS = 0.5

# What is decoded at a time of a whole track, 4 MB: 12 s of a CD.
BLOCK_SAMPLES = 2**20


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
        return _info(path, file)


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
        Mean over the channels. Where they cancel each other, as in a stereo file of which one
        channel was inverted, those of opposite polarity are inverted before.
    info : AudioInfo
    start : int
        The frame that ``samples`` begin at.

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
        What the user should know of how the file was decoded, without its name.
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
        Mean over the channels; what follows the block before. Together they are what ``decode``
        gives of the whole, but never more than ``BLOCK_SAMPLES`` values are held. Whether
        channels cancel each other is judged block by block.

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
    """Return the mean of channels, put right where they cancel, and whether they do."""
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
    # Variances, since an offset that all channels have does not cancel.
    powers = [float(channel.var()) for channel in channels.T]
    if float(mixed.var()) * len(powers) ** 2 >= CANCELLED * sum(powers):
        return mixed, False
    return _put_right(channels, int(np.argmax(powers))), True


def _put_right(channels: Samples, loudest: int) -> Samples:
    """Return the mean of channels, inverting those whose polarity is opposite to the loudest's."""
    reference = channels[:, loudest] - channels[:, loudest].mean()
    aligned = [-channel if np.dot(channel, reference) < 0 else channel for channel in channels.T]
    mixed: Samples = sum(aligned[1:], start=aligned[0]) / np.float32(len(aligned))
    return mixed


def decoder_versions() -> str:
    """Name the libraries on which the last digits of samples depend."""
    versions = f"libsndfile {soundfile.__libsndfile_version__}, {libav_version()}"
    return f"{versions}, decoding {_DECODING}"


def _count_frames(path: Path, at_most: int) -> int:
    """Count what can be decoded of a stream; ten minutes of it will do."""
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
    """Count what can be decoded of a stream that has no length."""
    held = 0
    for size in (BLOCK_SAMPLES, 4096):  # some give nothing of a read that fails in the end
        with _decoder(path) as file:
            held += sum(len(block) for block in read_blocks(file, size, UNKNOWN_LENGTH, held))
    return held


def _about_folder(path: Path) -> str:
    """Say why a folder is no track: it was named as one, or the search could not look into it."""
    try:
        os.scandir(path).close()
    except OSError as error:
        return f"a folder that cannot be searched; {(error.strerror or str(error)).lower()}"
    return "a folder, not an audio file"


@contextmanager
def _open(path: Path) -> Iterator[AudioFile]:
    """Open a file by whatever decodes it, and tell what of it is not heard."""
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
    """Tell of links of a chain that have another sample rate, or cannot be decoded."""
    if not isinstance(file, Chain):
        return []
    notes = []
    if file.unheard_seconds:
        seconds = file.frames / file.samplerate + file.unheard_seconds
        notes.append(
            f"{file.unheard_seconds:.1f} s of {seconds:.1f} s are not heard; they have another "
            f"sample rate than the {file.samplerate} Hz of the rest"
        )
    if file.n_failed:
        notes.append(
            f"{file.n_failed} of the files that are joined in it are not heard; they cannot be "
            f"decoded, or come after {MOST_LINKS} others"
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


# How libsndfile refuses a container that it knows, for what is in it.
_UNKNOWN_CODEC = re.compile("unsupported|unimplemented|incompatible|alformed|holds 0 samples")


def _is_misread(path: Path, file: AudioFile) -> bool:
    """Tell what libsndfile opens, but cannot seek in (GSM), or takes for an mp3 (AAC)."""
    if not isinstance(file, SndFile):
        return False
    return not file.seekable() or (file.format == "MP3" and is_for_libav(path))


class _CodecsMuted:
    """Keeps libmpg123 from printing what it dislikes to the C-level standard error.

    Nothing can tell it not to; what matters of it shows in the samples. Standard error belongs
    to the whole process: the first thread to come in turns it off, the last one out on again.
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


# The chunk that holds the audio in WAV, AU, AIFF; W64 is told as a whole only.
_SHORTENED = re.compile(r"^ *(?:data|Data Size|SSND|riff) *: (\d+) \(should be (\d+)\)", re.M)


def _declared_frames(file: AudioFile) -> int:
    """Return the length that the header declares, also where the file ends before it.

    libsndfile shortens the length of uncompressed audio to what is there, and tells of it in its
    log only: ``data : 384000 (should be 191978)``. Streams of unknown length declare the largest
    number that there is; what is there of them is all.
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
