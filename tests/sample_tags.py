"""Files for tests of tags: untagged ones of every format, and the bytes of tags."""

from io import BytesIO
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from conftest import music
from helpers import decode
from mutagen.apev2 import APEv2
from mutagen.id3 import ID3, TCON, TIT2, Frame

from genreclf.library.tagbackup import Backup, Change, read_backup
from genreclf.library.tagwriter import read_genre, write_genre

RATE = 44100
SONG = music(2, RATE)


def encoded(path: Path, codec: str, container: str) -> Path:
    """Write an untagged file of a format that FFmpeg writes."""
    av = pytest.importorskip("av", reason="PyAV is not installed")
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=RATE, layout="mono")
        stream.bit_rate = 64_000
        size = stream.codec_context.frame_size or 1024
        for start in range(0, len(SONG) - size, size):
            samples = np.ascontiguousarray(SONG[None, start : start + size])
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def id3_bytes(*frames: Frame) -> bytes:
    tags, file = ID3(), BytesIO()
    for frame in frames:
        tags.add(frame)
    tags.save(file)
    return file.getvalue()


def ape_bytes(**items: str | list[str]) -> bytes:
    tags, file = APEv2(), BytesIO()
    for key, value in items.items():
        tags[key] = value
    tags.save(file)
    return file.getvalue()


def info_chunk(**texts: bytes) -> bytes:
    body = b"INFO"
    for key, text in texts.items():
        body += key.encode() + len(text).to_bytes(4, "little") + text + bytes(len(text) % 2)
    return b"LIST" + len(body).to_bytes(4, "little") + body


def riff(path: Path, chunk: bytes) -> bytes:
    """Put a chunk before the others of a WAV file."""
    body = b"WAVE" + chunk + path.read_bytes()[12:]
    return b"RIFF" + len(body).to_bytes(4, "little") + body


ENCODED = {".m4a": ("aac", "ipod"), ".aac": ("aac", "adts"), ".wma": ("wmav2", "asf"),
           ".wv": ("wavpack", "wv"), ".oga": ("flac", "ogg")}  # fmt: skip


NAMES = ("a.mp3", "a.flac", "a.ogg", "a.opus", "a.wav", "a.aiff", "a.m4a", "a.wma")


def untagged(path: Path) -> Path:
    """Write an untagged file of any kind."""
    if path.suffix == ".opus":
        soundfile.write(path, SONG[:24000], 48000, format="OGG", subtype="OPUS")
    elif path.suffix in ENCODED:
        encoded(path, *ENCODED[path.suffix])
    else:
        soundfile.write(path, SONG, RATE)
    return path


def with_genres(path: Path, *genres: str) -> Path:
    """Tag a file by mutagen's own means, with a title beside."""
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    if isinstance(file.tags, ID3):
        file.tags.add(TIT2(encoding=3, text="Title"))
        file.tags.add(TCON(encoding=3, text=list(genres)))
    else:
        title, genre = {
            "MP4": ("\xa9nam", "\xa9gen"), "ASF": ("Title", "WM/Genre"),
        }.get(type(file).__name__, ("title", "genre"))  # fmt: skip
        file.tags[title], file.tags[genre] = ["Title"], list(genres)
    file.save()
    return path


def samples(path: Path) -> np.ndarray:
    return decode(path, lambda n_frames, rate: (0, min(n_frames, rate)))[0]


def written(path: Path, genre: str, tmp_path: Path) -> Change:
    change = Change(str(path), read_genre(path), [genre])
    write_genre(path, change, Backup(tmp_path / "backup.jsonl"))
    return read_backup(tmp_path / "backup.jsonl")[-1]
