"""Decode with PyAV what libsndfile cannot: AAC, ALAC, WMA and others (the extra ``codecs``).

mp3 is left to libsndfile, since FFmpeg is some 25 ms off after a seek.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genreclf.audio.audiofile import AudioFile, AudioInfo, Samples
from genreclf.audio.segments import Segment, open_segments
from genreclf.library.containers import kind_of
from genreclf.library.sources import CODEC_SUFFIXES
from genreclf.library.streamtags import read_at

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream
    from av.container import InputContainer

NEEDS_EXTRA = "needs the extra for more formats: pip install 'genreclf[codecs]'"

# FFmpeg's names. No others are tried: some, like playlists, would open further files.
_CONTAINERS = (
    *("aac", "ac3", "aiff", "amr", "amrnb", "amrwb", "ape", "asf", "au", "caf", "dsf", "dts"),
    *("eac3", "flac", "iff", "matroska", "mlp", "mov", "mpc", "mpc8", "ogg", "oma", "rm", "shn"),
    *("tak", "truehd", "tta", "voc", "w64", "wav", "wv"),
)
# A stream without a container does not state its length; FFmpeg guesses it from the bit rate.
_BARE_STREAMS = frozenset(
    ("aac", "ac3", "amr", "amrnb", "amrwb", "dts", "eac3", "mlp", "shn", "truehd")
)
# After a seek to the last page of an Ogg file, FFmpeg treats its last packet as a full one, and
# positions the samples of that page too early. A page may be this long.
_OGG_END_SECONDS = 10
# In these codecs each sample depends on all samples before it, so decoding starts at the beginning.
_WITHOUT_BLOCKS = frozenset(
    ("adpcm_ct", "adpcm_sbpro_2", "adpcm_sbpro_3", "adpcm_sbpro_4", "adpcm_yamaha", "g722", "g726")
)
# The header of ASF, and the object in it with the length and flags. The first flag marks the length
# as invalid.
_ASF = bytes.fromhex("3026b2758e66cf11")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_FLAGS_AT, _ASF_PROPERTIES_WITHIN = 88, 2**16
# Kinds of files, first bytes of others, and first bytes of streams in Ogg, that FFmpeg decodes.
_KINDS = frozenset(("aac", "ape", "asf", "dsf", "mp4"))
_MAGICS = (b"\x1aE\xdf\xa3", b"TTA1", b"FRM8", b".RMF", b"#!AMR", b"ajkg")
_OGG_MAGICS = (b"\x7fFLAC", b"Speex", b"fishead", b"\x80theora")
# If time stamps and counted samples differ by more, part of the stream is missing.
_LARGEST_GAP_SECONDS = 0.1


class LibavError(RuntimeError):
    """A file that FFmpeg does not decode; the message is the reason."""


def is_for_libav(path: Path) -> bool:
    """Return True if a file has a suffix or first bytes of these formats."""
    if path.suffix.lower() in CODEC_SUFFIXES:
        return True
    with path.open("rb") as file:
        kind, head = kind_of(file), read_at(file, 0, 40)
    return kind in _KINDS or head.startswith(_MAGICS) or head.startswith(_OGG_MAGICS, 28)


class LibavFile(AudioFile):
    """A file, or segments of one, decoded by FFmpeg.

    Each ``read`` begins shortly before the samples asked for, with a new decoder, so that the
    result does not depend on what was read before.

    Raises
    ------
    LibavError
        If it holds no audio that can be decoded, or the extra is not installed.
    """

    def __init__(self, path: Path, segments: Sequence[Segment] = ()) -> None:
        if find_spec("av") is None:
            raise LibavError(NEEDS_EXTRA)
        self._path, self._segments, self._has_time_stamps = path, segments, True
        with self._opened() as (container, stream):
            first = next(self._decoded(container, stream), None)
            if first is None or not (first.samples and first.sample_rate and stream.time_base):
                raise LibavError("no audio could be decoded (nothing in it is known)")
            self._samples_of_first, self._start = first.samples, first.pts or 0
            # Increment of the time stamps from one sample to the next.
            self._step = 1 / (stream.time_base * first.sample_rate)
            seconds = Fraction(container.duration or 0, 10**6)
            if stream.duration:
                seconds = stream.duration * stream.time_base
            self.info = AudioInfo(
                round(seconds * first.sample_rate),
                first.sample_rate,
                first.layout.nb_channels,
                container.format.name.partition(",")[0].upper(),
                stream.codec_context.name.upper(),
            )
        self._correct_length()

    def _correct_length(self) -> None:
        """Find the true length where the container does not state it, or states it wrongly."""
        if self.info.container.lower() in _BARE_STREAMS:
            self._count_packets()
            return
        if unknown := self.info.n_frames <= 0 or _is_broadcast(self._path):
            self._add_up_packets()
        if unknown or self.info.container in ("CAF", "WAV"):
            self._decode_end(tolerance=0)
        elif self.info.container in ("ASF", "MATROSKA"):  # smaller errors are not audible
            self._decode_end(round(_LARGEST_GAP_SECONDS * self.info.sample_rate_hz))

    def read(self, start: int, stop: int) -> Samples:
        """Decode samples ``start`` to ``stop``."""
        pieces = [np.empty((0, self.info.channels), np.float32)]
        missing = stop - start
        for position, block in self._decoded_from(start):
            pieces.append(block[max(start - position, 0) :][:missing])
            missing -= len(pieces[-1])
            if missing <= 0:
                break
        return np.concatenate(pieces)

    def blocks(self, size: int, start: int, stop: int) -> Iterator[Samples]:
        """Decode samples ``start`` to ``stop`` in blocks, in one decoding."""
        pending: list[Samples] = []
        for position, block in self._decoded_from(start):
            pending.append(block[max(start - position, 0) : max(stop - position, 0)])
            is_last = position + len(block) >= stop
            if is_last or sum(map(len, pending)) >= size:
                yield np.concatenate(pending)
                pending = []
            if is_last:
                return
        if pending:
            yield np.concatenate(pending)

    def close(self) -> None:
        """Do nothing: the file is open only while it is read."""

    def _decoded_from(self, at: int) -> Iterator[tuple[int, Samples]]:
        """Yield samples with their position, beginning at or before ``at``."""
        if not self._can_seek_to(at):
            at = 0
        with self._opened() as (container, stream):
            frames = self._decoded(container, stream, at)
            position = 0
            if at:
                next(frames, None)  # may lack the padding that decoders drop when they begin
                second = next(frames, None)
                position = self._position(second) if second else self.info.n_frames
                if second is None or position > at:
                    yield from self._decoded_from(0)  # the seek failed: wrong time stamps
                    return
                frames = chain([second], frames)
            for frame in frames:
                if self._is_elsewhere(frame, position):
                    return
                yield position, _samples(frame)
                position += frame.samples

    def _can_seek_to(self, at: int) -> bool:
        info = self.info
        if not self._has_time_stamps or info.codec.lower() in _WITHOUT_BLOCKS:
            return False
        return info.container != "OGG" or at <= info.n_frames - _OGG_END_SECONDS * (
            info.sample_rate_hz
        )

    def _position(self, frame: "AudioFrame") -> int:
        """Return at which sample a frame begins; the end if its time stamp does not say."""
        if frame.pts is None:
            return self.info.n_frames
        stated = (frame.pts - self._start) / self._step
        if self._step >= 1:
            return round(stated)
        # Coarser time stamps are enough where all frames but the first are of one length.
        index = round((stated - self._samples_of_first) / frame.samples)
        counted = self._samples_of_first + index * frame.samples
        return counted if abs(counted - stated) <= 1 / self._step else self.info.n_frames

    def _is_elsewhere(self, frame: "AudioFrame", position: int) -> bool:
        """Return True if a frame is of another kind, or does not follow the one before."""
        rate = self.info.sample_rate_hz
        if (frame.sample_rate, frame.layout.nb_channels) != (rate, self.info.channels):
            return True
        if frame.pts is None or not self._has_time_stamps:
            return False
        gap = (frame.pts - self._start) / self._step - position
        return abs(gap) > _LARGEST_GAP_SECONDS * rate

    def _count_packets(self) -> None:
        """Set the length of a stream whose packets hold as many samples as the first."""
        durations = [duration for _, duration in self._packets()]
        self.info = replace(self.info, n_frames=len(durations) * self._samples_of_first)
        if durations and durations[0]:  # rounded, as all time stamps are
            self._step = Fraction(durations[0], self._samples_of_first)

    def _add_up_packets(self) -> None:
        """Set the length that a container does not state, by where its last packet ends.

        Where time stamps stand still, as in old RealAudio, the lengths of packets are added up.
        """
        end, total = Fraction(self._start), Fraction(0)
        for start, stated in self._packets():
            duration = Fraction(stated or self._samples_of_first * self._step)
            total += duration
            end = max(end, start + duration)
        self._has_time_stamps = 2 * (end - self._start) > total
        duration = end - self._start if self._has_time_stamps else total
        self.info = replace(self.info, n_frames=round(duration / self._step))

    def _packets(self) -> Iterator[tuple[int, int]]:
        """Yield the time stamp and the duration of each packet, or 0, until the first damage."""
        from av import FFmpegError

        with self._opened() as (container, stream), suppress(FFmpegError, OSError):
            for packet in container.demux(stream):
                if packet.size:
                    yield packet.pts or 0, packet.duration or 0

    def _decode_end(self, tolerance: int) -> None:
        """Correct a length that is wrong by more than a tolerance, by decoding the last packets.

        Headers of some formats state whole packets or milliseconds, or what encoders add. A stream
        that ends more than a second too early is one that breaks off.
        """
        stated, end = self.info.n_frames, 0
        for position, block in self._decoded_from(max(0, stated - 2 * self._samples_of_first)):
            end = position + len(block)
        if tolerance < abs(end - stated) and stated - end < self.info.sample_rate_hz:
            self.info = replace(self.info, n_frames=end)

    def _decoded(
        self, container: "InputContainer", stream: "AudioStream", at: int = 0
    ) -> "Iterator[AudioFrame]":
        """Decode from a sample on, until the end or the first damage."""
        from av import FFmpegError

        try:
            if at:
                early = 2 * self._samples_of_first + self.info.sample_rate_hz // 4
                target = self._start + int(max(at - early, 0) * self._step)
                container.seek(target, stream=stream)
            yield from container.decode(stream)
        except (FFmpegError, OSError):  # OSError if the seek leads before the beginning
            return

    @contextmanager
    def _opened(self) -> "Iterator[tuple[InputContainer, AudioStream]]":
        import av

        options = {"format_whitelist": ",".join(_CONTAINERS), "protocol_whitelist": ""}
        # Tags that are not UTF-8 must not cause an error. PyAV 19 has no such option any more.
        before_19 = int(av.__version__.split(".")[0]) < 19
        tags: dict[str, Any] = {"metadata_errors": "replace"} if before_19 else {}
        # An open file, because FFmpeg might read a protocol into the file name.
        has_segments = bool(self._segments)
        with (
            open_segments(self._path, self._segments) if has_segments else self._path.open("rb")
        ) as file:
            try:
                container = av.open(file, "r", options=options, **tags)
            except (av.FFmpegError, OSError, ValueError) as error:
                reason = (getattr(error, "strerror", None) or str(error)).lower()
                raise LibavError(f"no audio could be decoded ({reason})") from None
            with container:
                if not container.streams.audio:
                    raise LibavError("no audio could be decoded (it holds none)")
                stream = container.streams.audio[0]
                if stream.codec_context is None:  # possible, although not in PyAV's types
                    raise LibavError("no audio could be decoded (no decoder for its codec)")
                stream.codec_context.thread_count = 1  # files are processed in parallel
                yield container, stream


def _is_broadcast(path: Path) -> bool:
    """Return True for an ASF that was written into a pipe: its header states no length."""
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
