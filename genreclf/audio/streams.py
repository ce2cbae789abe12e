"""Open audio files that libsndfile alone reads wrongly: mp3s without a length, and chains.

Each class is an ``AudioFile``, and so is ``LibavFile``.
"""

import io
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from genreclf.audio.libav import LibavError, LibavFile
from genreclf.audio.links import FlacLink, adts_links, flac_links, ogg_links
from genreclf.audio.mpeg import MISSING_SECONDS_ALLOWED, Mpeg, after_tags, find_mpeg
from genreclf.audio.parts import Part, open_parts

Samples = NDArray[np.float32]

MOST_LINKS = 1000
_LONGEST_LINK = 2**48  # samples; more is what a stream without an end claims


class AudioFile(Protocol):
    """The part of ``soundfile.SoundFile`` that decoding needs."""

    frames: int
    samplerate: int
    channels: int
    format: str
    subtype: str
    extra_info: str

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def seek(self, frames: int) -> int:
        """Go to a sample."""

    def read(self, frames: int, dtype: str = ..., always_2d: bool = ...) -> Samples:
        """Read (n, channels) samples, fewer where the stream breaks off."""

    def blocks(self, size: int, frames: int) -> Iterator[Samples]:
        """Yield the first samples, about (size, channels) at a time."""


def open_with_libsndfile(path: Path) -> AudioFile:
    """Open a file that holds one stream, or several in a chain.

    Raises
    ------
    soundfile.LibsndfileError, LibavError, OSError, TypeError, ValueError
        If it cannot be decoded.
    """
    links: list[Callable[[], AudioFile]]
    if found := find_mpeg(path):
        links = [partial(MpegFile, path, mpeg) for mpeg in found]
    elif several := flac_links(path):
        links = [partial(_flac_file, path, link) for link in several]
    elif len(chain := ogg_links(path)) > 1:
        return _ogg_chain(path, chain)
    elif len(stretches := adts_links(path)) > 1:
        links = [partial(LibavFile, path, [stretch]) for stretch in stretches]
    else:
        return _single_file(path)
    return links[0]() if len(links) == 1 else Chain(links)


class SndFile(soundfile.SoundFile):
    """A file that libsndfile decodes, or parts of one."""

    def __init__(self, path: Path, parts: Sequence[Part] = ()) -> None:
        self._parts = open_parts(path, parts) if parts else None
        try:
            super().__init__(self._parts or _native_name(path))
        except BaseException:
            self._close_parts()
            raise

    def blocks(self, size: int, frames: int) -> Iterator[Samples]:
        """Yield the first samples, (size, channels) at a time."""
        return read_blocks(self, size, frames)

    def close(self) -> None:
        """Close the file, and what its parts are read from."""
        super().close()
        self._close_parts()

    def _close_parts(self) -> None:
        if self._parts is not None:
            self._parts.close()


class MpegFile:
    """An mp3, mp2 or mp1 whose frames have been counted."""

    extra_info = ""

    def __init__(self, path: Path, mpeg: Mpeg) -> None:
        self._path, self._mpeg, self._at = path, mpeg, 0
        self._file = SndFile(path, () if mpeg.whole_file else mpeg.parts)
        self.format, self.subtype = self._file.format, self._file.subtype
        self.samplerate, self.channels = self._file.samplerate, self._file.channels
        self.frames, self._there = self._file.frames, self._file.frames
        if mpeg.n_samples is not None:
            self.frames, self._there = mpeg.n_samples, mpeg.n_there

    def __enter__(self) -> "MpegFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def seek(self, frames: int) -> int:
        """Go to a sample."""
        self._at = frames
        return frames

    def read(self, frames: int, dtype: str = "float32", always_2d: bool = True) -> Samples:
        """Read (n, channels) samples; those in the middle are reached faster than by libmpg123."""
        start, stop = self._at, min(self._at + frames, self._there)
        samples = self._in_the_middle(start, stop)
        if samples is None:
            samples = read(self._file, start + self._mpeg.n_delayed, max(0, stop - start))
        self._at += len(samples)
        return samples

    def blocks(self, size: int, frames: int) -> Iterator[Samples]:
        """Yield the first samples, (size, channels) at a time."""
        delay = self._mpeg.n_delayed
        return read_blocks(self._file, size, min(frames, self._there) + delay, delay)

    def _in_the_middle(self, start: int, stop: int) -> Samples | None:
        part = self._mpeg.part(self._path, start, stop)
        if part is None:
            return None
        stream, n_dropped = part
        with suppress(soundfile.LibsndfileError), soundfile.SoundFile(io.BytesIO(stream)) as mp3:
            samples = read(mp3, start - n_dropped, stop - start)
            if len(samples) == stop - start:
                return samples
        return None


class Chain:
    """Files that are joined in one, decoded as one.

    Attributes
    ----------
    unheard_seconds : float
        Duration of the links whose sample rate differs from that of most of the chain.
    n_failed : int
        Number of links that cannot be decoded.
    """

    extra_info = ""

    def __init__(self, links: Sequence[Callable[[], AudioFile]]) -> None:
        self._open: tuple[int, AudioFile] | None = None
        self._at = 0
        described: list[tuple[Callable[[], AudioFile], int, tuple[int, int, str, str]]] = []
        errors: list[Exception] = []
        for link in links[:MOST_LINKS]:
            try:
                with link() as file:
                    if 0 < file.frames < _LONGEST_LINK:
                        kind = file.samplerate, file.channels, file.format, file.subtype
                        described.append((link, file.frames, kind))
            except (soundfile.LibsndfileError, LibavError, OSError, ValueError) as error:
                errors.append(error)
        if not described:
            raise errors[0] if errors else ValueError("it holds 0 samples")
        self.n_failed = len(links) - len(links[:MOST_LINKS]) + len(errors)
        seconds: dict[int, float] = {}
        for _, n_frames, (rate, *_) in described:
            seconds[rate] = seconds.get(rate, 0) + n_frames / rate
        self.samplerate = max(seconds, key=lambda rate: seconds[rate])
        self.unheard_seconds = sum(seconds.values()) - seconds[self.samplerate]
        heard = [link for link in described if link[2][0] == self.samplerate]
        self._links = [link for link, _, _ in heard]
        self._starts = [0, *accumulate(n_frames for _, n_frames, _ in heard)]
        self.frames = self._starts[-1]
        self.channels = max(kind[1] for _, _, kind in heard)
        self.format, self.subtype = heard[0][2][2:]

    def __enter__(self) -> "Chain":
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            self._open[1].__exit__()
            self._open = None

    def seek(self, frames: int) -> int:
        """Go to a sample."""
        self._at = frames
        return frames

    def read(self, frames: int, dtype: str = "float32", always_2d: bool = True) -> Samples:
        """Read (n, channels) samples, from several links where needed."""
        pieces = [np.empty((0, self.channels), np.float32)]
        stop = min(self._at + frames, self.frames)
        while self._at < stop:
            index = bisect_right(self._starts, self._at) - 1
            begin, end = self._starts[index : index + 2]
            wanted = min(stop, end) - self._at
            piece = read(self._link(index), self._at - begin, wanted)
            missing = wanted - len(piece)
            if missing > MISSING_SECONDS_ALLOWED * self.samplerate:
                pieces.append(_spread(piece, self.channels))
                self._at += len(piece)
                break
            pieces.append(np.pad(_spread(piece, self.channels), ((0, missing), (0, 0))))
            self._at += wanted
        return np.concatenate(pieces)

    def blocks(self, size: int, frames: int) -> Iterator[Samples]:
        """Yield the first samples, (size, channels) at a time."""
        return read_blocks(self, size, frames)

    def _link(self, index: int) -> AudioFile:
        if self._open is None or self._open[0] != index:
            self.__exit__()
            self._open = index, self._links[index]()
        return self._open[1]


def _spread(samples: Samples, channels: int) -> Samples:
    """Repeat the mean of samples in so many channels, if they have another number of them."""
    if samples.shape[1] == channels:
        return samples
    return np.repeat(samples.mean(axis=1, keepdims=True), channels, axis=1)


def read(file: AudioFile, start: int, n_frames: int) -> Samples:
    """Read (n, channels) samples, fewer where the stream breaks off."""
    try:
        file.seek(start)
        return np.asarray(file.read(n_frames, dtype="float32", always_2d=True))
    except (soundfile.LibsndfileError, RuntimeError, ValueError):
        return np.empty((0, file.channels), dtype=np.float32)


def read_blocks(file: AudioFile, size: int, stop: int, start: int = 0) -> Iterator[Samples]:
    """Read from one sample to another, or until the stream breaks off."""
    at = start
    while at < stop:
        wanted = min(size, stop - at)
        channels = read(file, at, wanted)
        if len(channels):
            yield channels
        at += len(channels)
        if len(channels) < wanted:
            return


def _single_file(path: Path) -> SndFile:
    """Open a file of any other kind; for an mp3 of free format, skip the tags in front."""
    file = SndFile(path)
    if file.format == "MP3" and (after := after_tags(path)):
        file.close()
        file = SndFile(path, [(after, path.stat().st_size)])
    return file


def _flac_file(path: Path, link: FlacLink) -> SndFile:
    """Open a FLAC, without its last block if that is incomplete and no length is stated."""
    file = SndFile(path, link.parts)
    if link.last_block is None or not link.shorter:
        return file
    if len(read(file, link.last_block, file.frames - link.last_block)):
        return file
    file.close()
    return SndFile(path, link.shorter)


def _ogg_chain(path: Path, links: Sequence[tuple[int, int]]) -> Chain:
    """Open a chain with the library that decodes more of it.

    For Opus, libsndfile uses the sample rate before encoding, and FFmpeg always 48 kHz.
    """
    chain = Chain([partial(_ogg_file, path, link) for link in links])
    if chain.unheard_seconds:
        with suppress(LibavError):
            other = Chain([partial(LibavFile, path, [link]) for link in links])
            if other.unheard_seconds < chain.unheard_seconds and other.n_failed <= chain.n_failed:
                return other
    return chain


def _ogg_file(path: Path, link: tuple[int, int]) -> AudioFile:
    try:
        return SndFile(path, [link])
    except soundfile.LibsndfileError:
        return LibavFile(path, [link])


def _native_name(path: Path) -> str | bytes:
    """Return the name as soundfile needs it: on POSIX as bytes, which need not be text."""
    return os.fsencode(path) if os.name == "posix" else str(path)
