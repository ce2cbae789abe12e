"""Decode files that consist of several files in a row: chained Ogg, joined FLAC and AAC.

Programs that record radio streams write such files, and so does ``cat``. libsndfile reads only the
first part.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
import soundfile

from genreclf.audio.audiofile import (
    MISSING_SECONDS_ALLOWED,
    UNKNOWN_LENGTH,
    AudioFile,
    AudioInfo,
    Samples,
)
from genreclf.audio.libav import LibavError
from genreclf.library.containers import adts_frames, ogg_pages
from genreclf.library.streamtags import id3_end

MOST_LINKS = 1000
Opener: TypeAlias = Callable[[], AudioFile]
Span: TypeAlias = tuple[int, int]

_FIRST_PAGE = 2  # flag of the first page of a stream


class Chain(AudioFile):
    """Files that are joined in one, decoded as one.

    Links whose sample rate differs from that of most of the chain are left out, with a note.

    Attributes
    ----------
    seconds_left_out : float
        Duration of these links.
    n_failed : int
        Number of links that cannot be decoded.
    """

    def __init__(self, links: Sequence[Opener]) -> None:
        self._current: tuple[int, AudioFile] | None = None
        described, errors = _described(links[:MOST_LINKS])
        if not described:
            raise errors[0] if errors else ValueError("it holds 0 samples")
        self.n_failed = len(links[MOST_LINKS:]) + len(errors)
        seconds: dict[int, float] = {}
        for _, info in described:
            seconds[info.sample_rate_hz] = seconds.get(info.sample_rate_hz, 0) + info.seconds
        rate = max(seconds, key=lambda rate: seconds[rate])
        self.seconds_left_out = sum(seconds.values()) - seconds[rate]
        used = [(link, info) for link, info in described if info.sample_rate_hz == rate]
        self._links = [link for link, _ in used]
        self._starts = [0, *accumulate(info.n_frames for _, info in used)]
        channels = max(info.channels for _, info in used)
        first = used[0][1]
        self.info = AudioInfo(self._starts[-1], rate, channels, first.container, first.codec)
        self.notes = tuple(self._notes())

    def _notes(self) -> list[str]:
        notes = []
        if self.seconds_left_out:
            seconds = self.info.seconds + self.seconds_left_out
            notes.append(
                f"{self.seconds_left_out:.1f} s of {seconds:.1f} s are left out; their sample rate "
                f"differs from the {self.info.sample_rate_hz} Hz of the rest"
            )
        if self.n_failed:
            notes.append(
                f"{self.n_failed} of the files that are joined in it are left out; they cannot be "
                f"decoded, or more than {MOST_LINKS} are joined"
            )
        return notes

    def read(self, start: int, stop: int) -> Samples:
        """Decode samples ``start`` to ``stop``, from several links where needed."""
        pieces = [np.empty((0, self.info.channels), np.float32)]
        stop = min(stop, self.info.n_frames)
        while start < stop:
            index = bisect_right(self._starts, start) - 1
            begin, end = self._starts[index : index + 2]
            wanted = min(stop, end) - start
            piece = self._link(index).read(start - begin, start - begin + wanted)
            missing = wanted - len(piece)
            if missing > MISSING_SECONDS_ALLOWED * self.info.sample_rate_hz:
                pieces.append(_spread(piece, self.info.channels))
                break
            pieces.append(np.pad(_spread(piece, self.info.channels), ((0, missing), (0, 0))))
            start += wanted
        return np.concatenate(pieces)

    def close(self) -> None:
        """Close the link that is open."""
        if self._current is not None:
            self._current[1].close()
            self._current = None

    def _link(self, index: int) -> AudioFile:
        if self._current is None or self._current[0] != index:
            self.close()
            self._current = index, self._links[index]()
        return self._current[1]


def _described(links: Sequence[Opener]) -> tuple[list[tuple[Opener, AudioInfo]], list[Exception]]:
    """Return the links that can be opened, and why the others cannot."""
    described: list[tuple[Opener, AudioInfo]] = []
    errors: list[Exception] = []
    for link in links:
        try:
            with link() as file:
                if file.info.n_frames >= UNKNOWN_LENGTH:
                    raise ValueError("it states no length")
                if file.info.n_frames:
                    described.append((link, file.info))
        except (soundfile.LibsndfileError, LibavError, OSError, ValueError) as error:
            errors.append(error)
    return described, errors


def _spread(samples: Samples, channels: int) -> Samples:
    """Return samples with ``channels`` channels: as they are, or their mean in each channel."""
    if samples.shape[1] == channels:
        return samples
    return np.repeat(samples.mean(axis=1, keepdims=True), channels, axis=1)


def ogg_links(path: Path) -> list[Span]:
    """Return where each link of a chain starts and stops.

    Most Ogg files have one link; other files have none. A link begins where a stream begins after
    pages of other streams. Several streams that begin together (sound and pictures) are one link.
    """
    starts, after_others = [], True
    with path.open("rb") as file:
        for page in ogg_pages(file):
            begins = bool(page.header[5] & _FIRST_PAGE)
            if begins and after_others:
                starts.append(page.start)
            after_others = not begins
        stop = file.seek(0, 2)
    return [*pairwise([*starts, stop])]


def adts_links(path: Path) -> list[Span]:
    """Return where each stretch of an AAC (ADTS) starts and stops; none if it is no such file.

    A stretch ends where the sample rate, the number of channels or the profile changes.
    """
    starts: list[int] = []
    current = b""
    with path.open("rb") as file:
        frames = adts_frames(file, id3_end(file))
        for (at, stop, kind), (following, _, same) in pairwise(frames):
            # Only where a frame of the same kind follows; garbage may look like a single frame.
            if kind != current and kind == same and stop == following:
                starts.append(at)
                current = kind
        end = file.seek(0, 2)
    return [*pairwise([*starts, end])]
