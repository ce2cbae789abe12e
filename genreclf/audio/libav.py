"""Decode with PyAV what libsndfile cannot: AAC, ALAC, WMA and others (the extra ``codecs``).

mp3 is left to libsndfile, since FFmpeg is some 25 ms off after a seek.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from genreclf.audio.parts import Part, open_parts
from genreclf.library.sources import CODEC_SUFFIXES

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream
    from av.container import InputContainer

Samples = NDArray[np.float32]

NEEDS_EXTRA = "needs the extra for more formats: pip install 'genreclf[codecs]'"

# FFmpeg's names. No others are tried: some, like playlists, would open further files.
_CONTAINERS = (
    *("aac", "ac3", "aiff", "amr", "amrnb", "amrwb", "ape", "asf", "au", "caf", "dsf", "dts"),
    *("eac3", "flac", "iff", "matroska", "mlp", "mov", "mpc", "mpc8", "ogg", "oma", "rm", "shn"),
    *("tak", "truehd", "tta", "voc", "w64", "wav", "wv"),
)
# A stream without a container does not tell its length; FFmpeg guesses it from the bit rate.
_BARE_STREAMS = frozenset(
    ("aac", "ac3", "amr", "amrnb", "amrwb", "dts", "eac3", "mlp", "shn", "truehd")
)
# FFmpeg takes the last packet of an Ogg for a full one, if it comes to the last page by seeking,
# and what is on that page for earlier than it is. The page may be that long.
_OGG_END_SECONDS = 10
# Each sample of these leans on all before it: they are decoded from the beginning.
_WITHOUT_BLOCKS = frozenset(
    ("adpcm_ct", "adpcm_sbpro_2", "adpcm_sbpro_3", "adpcm_sbpro_4", "adpcm_yamaha", "g722", "g726")
)
# The header of ASF, and the object in it that holds the length and flags. The first flag says that
# the length is not valid.
_ASF = bytes.fromhex("3026b2758e66cf11")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_FLAGS_AT, _ASF_PROPERTIES_WITHIN = 88, 2**16
# First bytes that tell whatever the name is: (offset, bytes).
_MARKS = (
    *((4, b"ftyp"), (0, b"\x1aE\xdf\xa3"), (0, _ASF)),
    *((0, b"wvpk"), (0, b"MAC "), (0, b"TTA1"), (0, b"MPCK"), (0, b"MP+"), (0, b"tBaK")),
    *((0, b"DSD "), (0, b"FRM8"), (0, b".RMF"), (0, b"#!AMR"), (0, b"ajkg")),
    *((0, b"\xff\xf0"), (0, b"\xff\xf1"), (0, b"\xff\xf8"), (0, b"\xff\xf9")),  # AAC
    # Ogg with something else than Vorbis or Opus.
    *((28, b"\x7fFLAC"), (28, b"Speex"), (28, b"fishead"), (28, b"\x80theora")),
)
# Between time stamps and counted samples; beyond it, part of the stream is missing.
_LARGEST_GAP_SECONDS = 0.1


class LibavError(RuntimeError):
    """A file that FFmpeg does not decode; the message is the reason."""


def is_for_libav(path: Path) -> bool:
    """Tell whether a file has a suffix or first bytes of these formats."""
    if path.suffix.lower() in CODEC_SUFFIXES:
        return True
    with path.open("rb") as file:
        head = file.read(40)
    return any(head.startswith(mark, offset) for offset, mark in _MARKS)


class LibavFile:
    """An audio file that FFmpeg decodes, with the part of ``soundfile.SoundFile`` that is needed.

    Each ``read`` begins shortly before the samples asked for, with a new decoder, so that the
    result does not depend on what was read before.

    Raises
    ------
    LibavError
        If it holds no audio that can be decoded, or the extra is not installed.
    """

    extra_info = ""

    def __init__(self, path: Path, parts: Sequence[Part] = ()) -> None:
        if find_spec("av") is None:
            raise LibavError(NEEDS_EXTRA)
        self._path, self._parts = path, parts
        self._at, self._timed = 0, True
        with self._opened() as (container, stream):
            first = next(self._decoded(container, stream), None)
            if first is None or not (first.samples and first.sample_rate and stream.time_base):
                raise LibavError("no audio could be decoded (nothing in it is known)")
            self.format = container.format.name.partition(",")[0].upper()
            self.subtype = stream.codec_context.name.upper()
            self.samplerate = first.sample_rate
            self.channels = first.layout.nb_channels
            self._first = first.samples
            self._start = first.pts or 0
            # What time stamps grow by from sample to sample.
            self._step = 1 / (stream.time_base * self.samplerate)
            seconds = Fraction(container.duration or 0, 10**6)
            if stream.duration:
                seconds = stream.duration * stream.time_base
            self.frames = round(seconds * self.samplerate)
        if self.format.lower() in _BARE_STREAMS:
            self._count(first.samples)
            return
        if unknown := self.frames <= 0 or _is_broadcast(path):
            self._measure()
        if unknown or self.format in ("CAF", "WAV"):
            self._find_end(tolerance=0)
        elif self.format in ("ASF", "MATROSKA"):  # moved only where that is heard
            self._find_end(tolerance=round(_LARGEST_GAP_SECONDS * self.samplerate))

    def __enter__(self) -> "LibavFile":
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: files are open while they are read only."""

    def seek(self, frames: int) -> int:
        """Go to a sample."""
        self._at = frames
        return frames

    def read(self, frames: int, dtype: str = "float32", always_2d: bool = True) -> Samples:
        """Read (n, channels) samples, fewer than asked for where the stream breaks off."""
        blocks = [np.empty((0, self.channels), np.float32)]
        missing = frames
        for position, block in self._blocks(self._at):
            blocks.append(block[max(self._at - position, 0) :][:missing])
            missing -= len(blocks[-1])
            if missing <= 0:
                break
        self._at += frames - missing
        return np.concatenate(blocks)

    def blocks(self, size: int, frames: int) -> Iterator[Samples]:
        """Yield the first samples in turn, some (size, channels) at a time, in one decoding."""
        pending, held, missing = [], 0, frames
        for _, block in self._blocks(0):
            pending.append(block[:missing])
            held += len(pending[-1])
            missing -= len(pending[-1])
            if held >= size or missing <= 0:
                yield np.concatenate(pending)
                pending, held = [], 0
            if missing <= 0:
                return
        if pending:
            yield np.concatenate(pending)

    def _blocks(self, at: int) -> Iterator[tuple[int, Samples]]:
        """Yield samples with their position, beginning at or before ``at``."""
        if (
            not self._timed
            or self.subtype.lower() in _WITHOUT_BLOCKS
            or (self.format == "OGG" and at > self.frames - _OGG_END_SECONDS * self.samplerate)
        ):
            at = 0
        with self._opened() as (container, stream):
            frames = self._decoded(container, stream, at)
            position = 0
            if at:
                next(frames, None)  # may lack the padding that decoders drop when they begin
                second = next(frames, None)
                position = self._position(second) if second else self.frames
                if second is None or position > at:
                    yield from self._blocks(0)  # where time stamps do not lead, counting does
                    return
                frames = chain([second], frames)
            for frame in frames:
                if self._is_elsewhere(frame, position):
                    return
                yield position, _samples(frame)
                position += frame.samples

    def _position(self, frame: "AudioFrame") -> int:
        """Return at which sample a frame begins; the end where its time stamp cannot tell."""
        if frame.pts is None:
            return self.frames
        told = (frame.pts - self._start) / self._step
        if self._step >= 1:
            return round(told)
        # Coarser time stamps are enough where all frames but the first are of one length.
        index = round((told - self._first) / frame.samples)
        counted = self._first + index * frame.samples
        return counted if abs(counted - told) <= 1 / self._step else self.frames

    def _is_elsewhere(self, frame: "AudioFrame", position: int) -> bool:
        """Tell whether a frame is of another kind, or does not follow the one before."""
        if (frame.sample_rate, frame.layout.nb_channels) != (self.samplerate, self.channels):
            return True
        if frame.pts is None or not self._timed:
            return False
        gap = (frame.pts - self._start) / self._step - position
        return abs(gap) > _LARGEST_GAP_SECONDS * self.samplerate

    def _count(self, samples: int) -> None:
        """Find the length of a stream whose packets hold ``samples`` each, by counting them."""
        from av import FFmpegError

        durations = []
        with self._opened() as (container, stream), suppress(FFmpegError, OSError):
            for packet in container.demux(stream):
                if packet.size:
                    durations.append(packet.duration)  # noqa: PERF401  (what precedes damage counts)
        self.frames = len(durations) * samples
        if durations and durations[0]:
            self._step = Fraction(durations[0], samples)  # rounded, as all time stamps are

    def _measure(self) -> None:
        """Find the length that a container does not state, by where its last packet ends.

        Where time stamps stand still, as in old RealAudio, the lengths of packets are added up.
        """
        from av import FFmpegError

        end, total = Fraction(self._start), Fraction(0)
        with self._opened() as (container, stream), suppress(FFmpegError, OSError):
            for packet in container.demux(stream):
                if packet.size:
                    lasts = Fraction(packet.duration or self._first * self._step)
                    total += lasts
                    end = max(end, (packet.pts or 0) + lasts)
        self._timed = 2 * (end - self._start) > total
        self.frames = round((end - self._start if self._timed else total) / self._step)

    def _find_end(self, tolerance: int) -> None:
        """Correct a length that is wrong by more than a tolerance, by decoding the last packets.

        Headers of some formats state whole packets or milliseconds, or what encoders add. A stream
        that ends long before is one that breaks off.
        """
        end = 0
        for position, block in self._blocks(max(0, self.frames - 2 * self._first)):
            end = position + len(block)
        if tolerance < abs(end - self.frames) and self.frames - end < self.samplerate:
            self.frames = end

    def _decoded(
        self, container: "InputContainer", stream: "AudioStream", at: int = 0
    ) -> "Iterator[AudioFrame]":
        """Decode from a sample on, until the end or the first damage."""
        from av import FFmpegError

        try:
            if at:
                early = 2 * self._first + self.samplerate // 4
                target = self._start + int(max(at - early, 0) * self._step)
                container.seek(target, stream=stream)
            yield from container.decode(stream)
        except (FFmpegError, OSError):  # the latter from the file, if it is told to go before 0
            return

    @contextmanager
    def _opened(self) -> "Iterator[tuple[InputContainer, AudioStream]]":
        import av

        options = {"format_whitelist": ",".join(_CONTAINERS), "protocol_whitelist": ""}
        # Tags in another coding than UTF-8 are no reason to fail. PyAV 19 no longer asks.
        before_19 = int(av.__version__.split(".")[0]) < 19
        tags: dict[str, Any] = {"metadata_errors": "replace"} if before_19 else {}
        # Not by its name, in which FFmpeg might see the name of a protocol.
        with open_parts(self._path, self._parts) if self._parts else self._path.open("rb") as file:
            try:
                container = av.open(file, "r", options=options, **tags)
            except (av.FFmpegError, OSError, ValueError) as error:
                reason = (getattr(error, "strerror", None) or str(error)).lower()
                raise LibavError(f"no audio could be decoded ({reason})") from None
            with container:
                if not container.streams.audio:
                    raise LibavError("no audio could be decoded (it holds none)")
                stream = container.streams.audio[0]
                if stream.codec_context is None:  # whatever PyAV's types say
                    raise LibavError("no audio could be decoded (no decoder for its codec)")
                stream.codec_context.thread_count = 1  # files are what is done at a time
                yield container, stream


def _is_broadcast(path: Path) -> bool:
    """Tell an ASF that was written into a pipe: its header does not state the length."""
    with path.open("rb") as file:
        head = file.read(_ASF_PROPERTIES_WITHIN)
    at = head.find(_ASF_PROPERTIES)
    flags = head[at + _ASF_FLAGS_AT : at + _ASF_FLAGS_AT + 4]
    return head.startswith(_ASF) and at > 0 and bool(int.from_bytes(flags, "little") & 1)


def _samples(frame: "AudioFrame") -> Samples:
    """Return (n, channels) samples, full scale being 1."""
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(frame.samples, -1)
    samples = values.astype(np.float32)
    if values.dtype.kind == "u":  # eight bits, silence in the middle
        samples -= np.float32(128)
    if values.dtype.kind in "iu":
        samples /= np.float32(2 ** (8 * values.dtype.itemsize - 1))
    return samples
