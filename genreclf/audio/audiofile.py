"""The interface of all decoders: an open audio file, read by position."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

# The number of frames that libsndfile reports for an Ogg stream without an end.
UNKNOWN_LENGTH = 2**48

# An undamaged stream may end a little earlier than its header says: encoders pad, count the header
# as a frame, and estimate the lengths of some variable-rate files.
MISSING_SECONDS_ALLOWED = 0.1


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """The format of an audio file, known before its samples are decoded."""

    n_frames: int
    sample_rate_hz: int
    channels: int
    container: str
    codec: str

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.n_frames / self.sample_rate_hz


class AudioFile(ABC):
    """An open audio file.

    Attributes
    ----------
    info : AudioInfo
        Its length is the declared one, even if the file breaks off earlier.
    notes : tuple of str
        What the user should know about how the file is decoded.
    """

    info: AudioInfo
    notes: tuple[str, ...] = ()

    @abstractmethod
    def read(self, start: int, stop: int) -> Samples:
        """Decode samples ``start`` to ``stop``, (n, channels); fewer if the stream breaks off."""

    def blocks(self, size: int, start: int, stop: int) -> Iterator[Samples]:
        """Decode samples ``start`` to ``stop`` in blocks of (size, channels)."""
        while start < stop:
            wanted = min(size, stop - start)
            block = self.read(start, start + wanted)
            if len(block):
                yield block
            start += len(block)
            if len(block) < wanted:
                return

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
