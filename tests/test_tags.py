"""Tags as mutagen and libsndfile write them, and as damage leaves them."""

import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from conftest import music
from mutagen.apev2 import APEv2
from mutagen.id3 import ID3, TALB, TCON, TIT2, TPE1, TPE2

from genreclf.errors import AudioError
from genreclf.tags import Tags, clean, read_tags

RATE = 44100
SONG = music(2, RATE)
EXPECTED = {
    "title": ("Title",),
    "artist": ("Ärtist", "Second"),
    "album": ("Album",),
    "albumartist": ("Band",),
    "genre": ("Hip Hop", "Rap"),
}


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """Write an untagged file of a format that libsndfile writes."""

    def write(name: str) -> Path:
        path = tmp_path / name
        if path.suffix == ".opus":
            soundfile.write(path, SONG[:24000], 48000, format="OGG", subtype="OPUS")
        else:
            soundfile.write(path, SONG, RATE)
        return path

    return write


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


def id3() -> ID3:
    tags = ID3()
    for kind, name in ((TIT2, "title"), (TPE1, "artist"), (TALB, "album"), (TPE2, "albumartist"),
                       (TCON, "genre")):  # fmt: skip
        tags.add(kind(encoding=3, text=list(EXPECTED[name])))
    return tags


def tagged(path: Path, keys: dict[str, str]) -> Path:
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    for name, key in keys.items():
        file.tags[key] = list(EXPECTED[name])
    file.save()
    return path


VORBIS = {name: name.upper() for name in EXPECTED}
MP4 = dict(zip(EXPECTED, ("\xa9nam", "\xa9ART", "\xa9alb", "aART", "\xa9gen"), strict=True))
ASF = dict(
    zip(EXPECTED, ("Title", "Author", "WM/AlbumTitle", "WM/AlbumArtist", "WM/Genre"), strict=True)
)
APE = {name: name.title() for name in EXPECTED} | {"albumartist": "Album Artist"}


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.opus"])
def test_vorbis_comments(written: Callable[[str], Path], name: str) -> None:
    assert read_tags(tagged(written(name), VORBIS)) == EXPECTED


@pytest.mark.parametrize("name", ["a.mp3", "a.wav", "a.aiff"])
def test_id3_of_today(written: Callable[[str], Path], name: str) -> None:
    path = written(name)
    file = mutagen.File(path)
    file.add_tags()
    for frame in id3().values():
        file.tags.add(frame)
    file.save()
    assert read_tags(path) == EXPECTED


def test_apev2_also_in_an_mp3(written: Callable[[str], Path]) -> None:
    path, tags = written("a.mp3"), APEv2()
    for name, key in APE.items():
        tags[key] = list(EXPECTED[name])
    tags["Cover Art (Front)"] = b"\xff\xd8"
    tags.save(path)
    assert read_tags(path) == EXPECTED
    tags["Genre"] = b"\xff\xd8"  # a binary item
    tags.save(path)
    assert "genre" not in read_tags(path)


def test_mp4_with_text_or_number(tmp_path: Path) -> None:
    path = tagged(encoded(tmp_path / "a.m4a", "aac", "ipod"), MP4)
    assert read_tags(path) == EXPECTED
    data = path.read_bytes()
    # gnre holds one more than the number in ID3: 18 is rock.
    number = (18).to_bytes(2, "big")
    atom = b"gnre" + (24 - 6).to_bytes(4, "big") + b"data" + bytes(8) + number
    at = data.index(b"\xa9gen") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    old = data[at : at + size]
    new = (4 + len(atom)).to_bytes(4, "big") + atom
    spare = size - len(new)
    new += spare.to_bytes(4, "big") + b"free" + bytes(spare - 8)
    path.write_bytes(data.replace(old, new))
    assert read_tags(path)["genre"] == ("Rock",)


def test_asf(tmp_path: Path) -> None:
    path = tagged(encoded(tmp_path / "a.wma", "wmav2", "asf"), ASF)
    assert read_tags(path) == EXPECTED


@pytest.mark.parametrize(
    ("texts", "genres"),
    [
        (["(17)"], ("Rock",)),
        (["17"], ("Rock",)),
        (["(4)Eurodisco"], ("Disco", "Eurodisco")),
        (["(RX)"], ("Remix",)),
        (["Hip-Hop/Rap"], ("Hip-Hop/Rap",)),
    ],
)
def test_numbered_genres_of_id3(
    written: Callable[[str], Path], texts: list[str], genres: tuple[str, ...]
) -> None:
    path, tags = written("a.mp3"), ID3()
    tags.add(TCON(encoding=3, text=texts))
    for version in (3, 4):
        tags.save(path, v2_version=version)
        assert read_tags(path)["genre"] == genres


def test_id3_of_old(written: Callable[[str], Path]) -> None:
    path = written("a.mp3")
    fields = [b"Title".ljust(30, b"\0"), "Ärtist".encode("latin-1").ljust(30), bytes(30), b"1999"]
    path.write_bytes(path.read_bytes() + b"TAG" + b"".join(fields) + bytes(30) + bytes([7]))
    assert read_tags(path) == {
        "title": ("Title",), "artist": ("Ärtist",), "genre": ("Hip-Hop",), "date": ("1999",),
    }  # fmt: skip


def test_texts_of_wav_files(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        file.title, file.artist, file.album, file.genre = "Title", "Ärtist", "Album", "Jazz"
        file.write(SONG)
    found = read_tags(path)
    assert (found["title"], found["artist"], found["album"], found["genre"]) == (
        ("Title",), ("Ärtist",), ("Album",), ("Jazz",),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["a.mp3", "a.flac", "a.ogg", "a.wav"])
def test_no_tags(written: Callable[[str], Path], name: str) -> None:
    assert read_tags(written(name)) == {}


def test_values_are_one_clean_line_each(written: Callable[[str], Path]) -> None:
    path = written("a.flac")
    file = mutagen.File(path)
    file["genre"] = [" \x1b[31mHip\n\tHop\x07\0 ", "\u202e", "x" * 2_000_000, "Cafe\u0301"]
    file.save()
    assert read_tags(path) == {"genre": ("[31mHip Hop", "Café")}
    assert clean("a\u2028b") == "a b"


def tags_or_reason(path: Path) -> Tags | str:
    try:
        return read_tags(path)
    except AudioError as error:
        return str(error)


def broken(path: Path, kind: str) -> Path:
    """Damage the tags of an mp3, and leave its audio."""
    audio = path.read_bytes()
    genre = b"\x03Rock\0"
    if kind == "no zlib":  # a compressed frame whose bytes are not zlib's
        frame = b"TCON" + (12).to_bytes(4, "big") + b"\0\x80" + bytes(4) + b"not zlib"
    elif kind == "truncated zlib":
        packed = zlib.compress(genre)[:-6]
        frame = b"TCON" + (4 + len(packed)).to_bytes(4, "big") + b"\0\x80"
        frame += len(genre).to_bytes(4, "big") + packed
    else:  # "odd UTF-16"
        frame = b"TCON" + (6).to_bytes(4, "big") + b"\0\0" + b"\x01\xff\xfe\x00\xd8\x00"
    path.write_bytes(b"ID3\x03\0\0" + bytes([0, 0, 0, len(frame)]) + frame + audio)
    return path


@pytest.mark.parametrize("kind", ["no zlib", "truncated zlib", "odd UTF-16"])
def test_damaged_frames_are_no_genre(written: Callable[[str], Path], kind: str) -> None:
    found = tags_or_reason(broken(written("a.mp3"), kind))
    assert "genre" not in found or "tags that cannot be read" in found


@pytest.mark.parametrize("name", ["a.mp3", "a.flac", "a.ogg", "a.wav", "a.aiff"])
def test_whatever_bytes_a_file_holds_the_error_is_ours(
    written: Callable[[str], Path], name: str
) -> None:
    path = written(name)
    if name == "a.mp3":
        id3().save(path)
    elif name not in ("a.wav", "a.aiff"):
        tagged(path, VORBIS)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole[: random.integers(len(whole))])
        for at in random.integers(0, min(400, len(damaged) + 1), 8):
            damaged[at : at + 1] = bytes([random.integers(256)])
        path.write_bytes(damaged)
        found = tags_or_reason(path)
        if isinstance(found, str):
            assert found.startswith(f"{path}: ")
            assert "\n" not in found
        else:
            assert all(text.isprintable() for texts in found.values() for text in texts)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no such file"):
        read_tags(tmp_path / "no.mp3")
    with pytest.raises(AudioError, match="not a file"):
        read_tags(tmp_path)
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe.mp3")
        with pytest.raises(AudioError, match="not a file"):
            read_tags(tmp_path / "pipe.mp3")
