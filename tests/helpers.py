"""Stand-ins and small functions that several test files share."""

import os
import pickle
import struct
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from genreclf.audio.audiofile import AudioInfo, Samples
from genreclf.audio.decode import decode_spans
from genreclf.cli import cli
from genreclf.errors import AudioError

# Packages that no command imports before it needs them.
SLOW = {
    "numpy", "scipy", "sklearn", "pandas", "numba", "librosa", "soundfile", "rich", "matplotlib",
    "jinja2", "onnx", "onnxruntime",
}  # fmt: skip


class PoolInThisProcess:
    """Stands for pebble's pool of processes: each task runs when it is scheduled, here.

    Function, arguments and result are pickled, as they would be on their way to a process.
    """

    active = True

    def __init__(self, **_: object) -> None:
        pass

    def schedule(
        self, function: Callable[..., Any], args: tuple[Any, ...] = (), timeout: float | None = None
    ) -> "Future[Any]":
        future: Future[Any] = Future()
        function, args = pickle.loads(pickle.dumps((function, args)))
        try:
            future.set_result(pickle.loads(pickle.dumps(function(*args))))
        except Exception as error:
            future.set_exception(error)
        return future

    def stop(self) -> None:
        pass

    def join(self) -> None:
        pass


def run(*arguments: object, stdin: str | None = None, cwd: Path | None = None) -> Result:
    """Run a command in this process. An exception that would be a traceback is raised."""
    before = Path.cwd()
    os.chdir(cwd or before)
    try:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments], input=stdin)
    finally:
        os.chdir(before)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def decode(
    path: Path, span: Callable[[int, int], tuple[int, int]]
) -> tuple[Samples, AudioInfo, int]:
    """Decode one part of a file; ``span`` takes its length and sample rate."""
    starts = []

    def only(info: AudioInfo) -> list[tuple[int, int]]:
        wanted = span(info.n_frames, info.sample_rate_hz)
        starts.append(wanted[0])
        return [wanted]

    [samples], info, _ = decode_spans(path, only)
    return samples, info, starts[0]


def whole(n_frames: int, sample_rate_hz: int) -> tuple[int, int]:
    return 0, n_frames


def message_of(path: Path) -> str:
    """What the error says; it has to be one line with the file's name."""
    with pytest.raises(AudioError) as caught:
        decode(path, whole)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    return message


def with_last_position(ogg: bytes, position: int) -> bytes:
    """Change what the last page of an Ogg stream says of its position."""
    at = ogg.rindex(b"OggS")
    page = bytearray(ogg[at:])
    struct.pack_into("<q", page, 6, position)
    struct.pack_into("<I", page, 22, 0)
    checksum = 0
    for byte in page:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1 ^ (0x04C1_1DB7 if checksum >> 31 else 0)) & 0xFFFF_FFFF
    struct.pack_into("<I", page, 22, checksum)
    return ogg[:at] + page
