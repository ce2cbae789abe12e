"""Tags as mutagen and libsndfile write them, and as damage leaves them."""

import os
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.apev2 import APEv2
from mutagen.id3 import ID3, TALB, TCON, TDRC, TIT2, TPE1, TPE2, TXXX
from sample_tags import RATE, SONG, ape_bytes, encoded, id3_bytes, info_chunk, riff

from genreclf.errors import AudioError
from genreclf.library.tags import Tags, clean, read_tags

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
        (["(CR)"], ("Cover",)),
        (["(17)(20)"], ("Rock", "Alternative")),
        (["((17) seconds"], ("(17) seconds",)),
        (["Hip-Hop/Rap"], ("Hip-Hop/Rap",)),
        (["(250)"], ()),
        (["250"], ()),
        (["255"], ()),
        (["-1"], ()),
        (["(250)Techno"], ("Techno",)),
        (["9" * 900], ()),
        (["\u00b2"], ("\u00b2",)),  # a digit, but no number
        (["  "], ()),
        ([""], ()),
    ],
)
def test_numbered_genres_of_id3(
    written: Callable[[str], Path], texts: list[str], genres: tuple[str, ...]
) -> None:
    path, tags = written("a.mp3"), ID3()
    tags.add(TCON(encoding=3, text=texts))
    for version in (3, 4):
        tags.save(path, v2_version=version)
        assert read_tags(path).get("genre", ()) == genres


def test_id3_of_old(written: Callable[[str], Path]) -> None:
    path = written("a.mp3")
    fields = [b"Title".ljust(30, b"\0"), "Ärtist".encode("latin-1").ljust(30), bytes(30), b"1999"]
    path.write_bytes(path.read_bytes() + b"TAG" + b"".join(fields) + bytes(30) + bytes([7]))
    assert read_tags(path) == {
        "title": ("Title",), "artist": ("Ärtist",), "genre": ("Hip-Hop",), "date": ("1999",),
    }  # fmt: skip


GAIN = TXXX(3, "replaygain_track_gain", ["-6.20 dB"])


def test_what_the_first_tag_has_not_is_in_another(written: Callable[[str], Path]) -> None:
    path = written("a.mp3")
    fields = [b"Old title".ljust(30), b"Old artist".ljust(30), bytes(30), b"1999", bytes(30)]
    old = b"TAG" + b"".join(fields) + bytes([7])
    ape = ape_bytes(Genre="Jazz", Artist="Someone")
    stream = path.read_bytes()
    path.write_bytes(id3_bytes(GAIN) + stream + ape)
    assert read_tags(path) == {"artist": ("Someone",), "genre": ("Jazz",)}
    lyrics = b"LYRICSBEGININD0000200"
    for between in (b"", lyrics + b"%06d" % len(lyrics) + b"LYRICS200"):
        path.write_bytes(id3_bytes(TIT2(0, "Title"), TCON(0, " ")) + stream + ape + between + old)
        assert read_tags(path) == {
            "title": ("Title",), "artist": ("Someone",), "genre": ("Jazz",), "date": ("1999",),
        }  # fmt: skip
    path.write_bytes(id3_bytes(TPE1(0, "First"), TCON(0, "(250)")) + stream + old)
    assert read_tags(path)["genre"] == ("Hip-Hop",)
    assert read_tags(path)["artist"] == ("First",)


def test_id3_in_front_of_other_streams(written: Callable[[str], Path], tmp_path: Path) -> None:
    tag = id3_bytes(TPE1(0, "In front"), TCON(0, "Rock"))
    flac = tagged(written("a.flac"), {"genre": "GENRE"})
    streams = [
        encoded(tmp_path / "a.aac", "aac", "adts"),
        encoded(tmp_path / "a.wv", "wavpack", "wv"),
    ]
    for path in (flac, *streams):
        path.write_bytes(tag + path.read_bytes())
        assert read_tags(path)["artist"] == ("In front",)
        assert read_tags(path)["genre"] == (EXPECTED["genre"] if path == flac else ("Rock",))


def test_freeform_texts_of_mp4(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.m4a", "aac", "ipod")
    file = mutagen.File(path)
    file["----:com.apple.iTunes:GENRE"] = [b"Jazz", b"Blues"]
    file["----:com.apple.iTunes:ALBUM ARTIST"] = [b"Band"]
    file.save()
    assert read_tags(path) == {"albumartist": ("Band",), "genre": ("Jazz", "Blues")}
    file["\xa9gen"] = ["Rock"]
    file.save()
    assert read_tags(path)["genre"] == ("Rock",)


@pytest.mark.parametrize("key", ["ALBUMARTIST", "album artist", "ALBUM_ARTIST"])
def test_the_album_artist_has_several_spellings(written: Callable[[str], Path], key: str) -> None:
    assert read_tags(tagged(written("a.ogg"), {"albumartist": key})) == {"albumartist": ("Band",)}


def test_texts_beside_id3_in_wav_and_aiff(written: Callable[[str], Path]) -> None:
    wav, aiff = written("a.wav"), written("a.aiff")
    wav.write_bytes(riff(wav, info_chunk(IGNR=b"J\xe4zz", IART=b"Someone\0")))
    author = b"AUTH" + (7).to_bytes(4, "big") + b"Someone\0"
    body = aiff.read_bytes()[8:] + author
    aiff.write_bytes(b"FORM" + len(body).to_bytes(4, "big") + body)
    for path in (wav, aiff):
        file = mutagen.File(path)
        file.add_tags()
        file.tags.add(TIT2(0, "Title"))
        file.save()
        assert read_tags(path)["artist"] == ("Someone",)
        assert read_tags(path)["title"] == ("Title",)
    assert read_tags(wav)["genre"] == ("Jäzz",)


def test_the_year_of_every_version_of_id3(written: Callable[[str], Path]) -> None:
    path, tags = written("a.mp3"), ID3()
    tags.add(TDRC(0, "1999"))
    tags.save(path)
    assert read_tags(path)["date"] == ("1999",)
    tags.update_to_v23()
    tags.save(path, v2_version=3)
    assert read_tags(path)["date"] == ("1999",)


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
    assert "genre" not in found or "its tags cannot be read" in found


@pytest.mark.parametrize("version", [3, 4])
def test_compressed_frames_do_not_fill_the_memory(
    written: Callable[[str], Path], version: int
) -> None:
    path, audio = written("a.mp3"), written("a.mp3").read_bytes()

    def seven_bits(size: int) -> bytes:
        return bytes(size >> shift & 127 for shift in (21, 14, 7, 0))

    def frame(text: bytes) -> bytes:
        packed = len(text).to_bytes(4) + zlib.compress(text)
        size = len(packed).to_bytes(4) if version == 3 else seven_bits(len(packed))
        return b"TCON" + size + (b"\0\x80" if version == 3 else b"\0\x09") + packed

    def read(*texts: bytes) -> Tags:
        frames = b"".join(map(frame, texts))
        head = b"ID3" + bytes([version, 0, 0]) + seven_bits(len(frames))
        path.write_bytes(head + frames + audio)
        return read_tags(path)

    assert read(b"\x03Rock" + b" " * 200) == {"genre": ("Rock",)}
    bomb = b"\x03" + b"x" * 2**26
    tracemalloc.start()
    try:
        assert read(bomb) == {}
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()


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
