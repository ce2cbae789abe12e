"""Decode parts of audio files, of any format that libsndfile or FFmpeg can read."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from genreclf.audio.audiofile import (
    MISSING_SECONDS_ALLOWED,
    UNKNOWN_LENGTH,
    AudioFile,
    AudioInfo,
    Samples,
)
from genreclf.audio.opening import open_audio, open_decoder
from genreclf.errors import AudioError

# Full scale is 1. Float files and decoders may exceed it a little; a hundred times as much means
# damage.
LOUDEST_PEAK = 100.0

# The power of a sum of unrelated channels is the sum of their powers; of two identical channels it
# is twice that. Less than a quarter of it means that the channels cancel: of 230 stereo tracks by
# 80 artists the lowest value is 0.64. The mean of cancelling channels is mostly noise from rounding
# and coding. After Vorbis, a tenth is left, because it does not keep the phase of high frequencies.
CANCELLED = 0.25
CANCELS = "its channels cancel each other out; one polarity is inverted before they are mixed"

# From below telephone to above studio quality; DSD is decoded at multiples of 2.8 MHz / 8.
SAMPLE_RATES_HZ = (1000, 3_000_000)

# After a seek into an mp3, libmpg123 lacks the bits that earlier frames hold for later ones, and
# decodes the first frames wrongly. So decoding starts this much earlier, in one read, since
# soundfile seeks after each.
PREROLL_SECONDS = 0.5

# Values per block when a whole track is decoded: 4 MB, 12 s of a CD.
BLOCK_SAMPLES = 2**20


def describe(path: Path) -> AudioInfo:
    """Read the header of an audio file.

    Raises
    ------
    AudioError
        If it cannot be decoded as audio.
    """
    with open_audio(path) as file:
        return _info(path, file)


def decode_spans(
    path: Path, spans: Callable[[AudioInfo], Sequence[tuple[int, int]]]
) -> tuple[list[Samples], AudioInfo, tuple[str, ...]]:
    """Decode parts of an audio file, mixed down to one channel, at its own sample rate.

    Parameters
    ----------
    path : Path
    spans : callable
        Returns the ``(start, stop)`` of each part, in frames. Only these parts are read.

    Returns
    -------
    parts : list of (n,) float32
        Mean over the channels. Where they cancel each other, as in a stereo file with one inverted
        channel, those of opposite polarity are inverted first.
    info : AudioInfo
    notes : tuple of str
        What the user should know about how the file was decoded, without its name.

    Raises
    ------
    AudioError
        If the file cannot be decoded, holds no audio, breaks off before a part is complete, or
        holds values that are not finite or absurdly large.
    """
    parts, notes = [], []
    with open_audio(path) as file:
        info = _info(path, file)
        for start, stop in spans(info):
            early = min(start, round(PREROLL_SECONDS * info.sample_rate_hz))
            channels = file.read(start - early, stop)[early:]
            _require_complete(path, info, (start, stop), len(channels))
            mixed, cancels = _mix_down(path, channels)
            parts.append(mixed)
            notes += [CANCELS] * cancels
        notes += file.notes
    return parts, info, tuple(dict.fromkeys(notes))


def decode_blocks(path: Path) -> Iterator[tuple[AudioInfo, Samples]]:
    """Decode a whole audio file once, block after block, mixed down, at its own sample rate.

    Yields
    ------
    info : AudioInfo
        The same each time.
    samples : (n,) float32
        Mean over the channels of the next block. Together, the blocks are what ``decode_spans``
        returns for the whole file, but only ``BLOCK_SAMPLES`` values are in memory at a time.
        Whether channels cancel each other is decided for each block.

    Raises
    ------
    AudioError
        As ``decode_spans``.
    """
    with open_audio(path) as file:
        info = _info(path, file)
        size = max(1, BLOCK_SAMPLES // info.channels)
        n_decoded = 0
        for channels in file.blocks(size, 0, info.n_frames):
            yield info, _mix_down(path, channels)[0]
            n_decoded += len(channels)
        _require_complete(path, info, (0, info.n_frames), n_decoded)
        if not n_decoded:
            raise AudioError(f"{path}: no audio could be decoded")


def _info(path: Path, file: AudioFile) -> AudioInfo:
    """Return the format of a file, with the true length of one that states none."""
    info = file.info
    low, high = SAMPLE_RATES_HZ
    if not low <= info.sample_rate_hz <= high:
        raise AudioError(
            f"{path}: its sample rate of {info.sample_rate_hz} Hz is outside {low} to {high} Hz; "
            "the file is damaged"
        )
    if info.n_frames >= UNKNOWN_LENGTH:
        info = replace(info, n_frames=_count_decodable(path, UNKNOWN_LENGTH))
    if info.n_frames <= 0:
        raise AudioError(f"{path}: no audio could be decoded (it holds 0 samples)")
    return info


def _count_decodable(path: Path, at_most: int) -> int:
    """Count the frames of a stream that can be decoded."""
    n_decoded = 0
    for size in (BLOCK_SAMPLES, 4096):  # some return nothing if the end of a read fails
        if n_decoded == 0 or at_most == UNKNOWN_LENGTH:
            with open_decoder(path) as file:
                n_decoded += sum(map(len, file.blocks(size, n_decoded, at_most)))
    return n_decoded


def _require_complete(path: Path, info: AudioInfo, span: tuple[int, int], n_read: int) -> None:
    """Refuse a stream that breaks off before the part that is wanted is complete."""
    start, stop = span
    if stop - start - n_read <= MISSING_SECONDS_ALLOWED * info.sample_rate_hz:
        return
    n_present = start + n_read if n_read else _count_decodable(path, stop)
    raise AudioError(
        f"{path}: the stream breaks off after {n_present / info.sample_rate_hz:.1f} s of "
        f"{info.seconds:.1f} s; the file is damaged or incomplete"
    )


def _mix_down(path: Path, channels: Samples) -> tuple[Samples, bool]:
    """Return the mean of the channels, corrected where they cancel, and whether they do."""
    if not np.isfinite(channels).all():
        raise AudioError(f"{path}: holds samples that are not finite numbers")
    peak = float(np.abs(channels).max(initial=0))
    if peak > LOUDEST_PEAK:
        raise AudioError(
            f"{path}: holds samples of {peak:.3g} times full scale; the file is damaged"
        )
    mixed = _mean(list(channels.T))
    if not len(channels) or channels.shape[1] == 1:
        return mixed, False
    # Variances, because an offset that all channels share does not cancel.
    powers = [float(channel.var()) for channel in channels.T]
    if float(mixed.var()) * len(powers) ** 2 >= CANCELLED * sum(powers):
        return mixed, False
    loudest = channels[:, int(np.argmax(powers))]
    reference = loudest - loudest.mean()
    return _mean([-x if np.dot(x, reference) < 0 else x for x in channels.T]), True


def _mean(channels: Sequence[Samples]) -> Samples:
    """Return the mean over channels; ``numpy.mean`` over so few takes longer than the decoding."""
    mixed: Samples = sum(channels[1:], start=channels[0]) / np.float32(len(channels))
    return mixed
