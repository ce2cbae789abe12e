"""Genre tags are written and put back; whatever else a file holds stays as it is."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.apev2 import APEv2
from mutagen.id3 import ID3, TCON, TIT2, TPE1, TXXX
from sample_tags import (
    NAMES,
    RATE,
    SONG,
    ape_bytes,
    id3_bytes,
    info_chunk,
    riff,
    samples,
    untagged,
    with_genres,
    written,
)

from genreclf.errors import TagError
from genreclf.library.tagbackup import Backup, read_backup
from genreclf.library.tags import read_tags
from genreclf.library.tagwriter import read_genre, restore


@pytest.fixture
def made(tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: untagged(tmp_path / name)


def payload(path: Path) -> bytes:
    """Cut the encoded audio out of a file."""
    data = path.read_bytes()
    if path.suffix == ".mp3":
        try:
            start = ID3(path, load_v1=False).size
        except mutagen.MutagenError:
            start = 0
        return data[start : -128 if data[-128:-125] == b"TAG" else None]
    if path.suffix == ".flac":
        at, last = data.index(b"fLaC") + 4, False
        while not last:
            last, size = bool(data[at] & 0x80), int.from_bytes(data[at + 1 : at + 4], "big")
            at += 4 + size
        return data[at:]
    if path.suffix == ".m4a":
        at = 0
        while data[at + 4 : at + 8] != b"mdat":
            at += int.from_bytes(data[at : at + 4], "big")
        return data[at : at + int.from_bytes(data[at : at + 4], "big")]
    if path.suffix in (".ogg", ".opus"):
        return b"".join(ogg_packets(data)[3 if path.suffix == ".ogg" else 2 :])
    return b""


def ogg_packets(data: bytes) -> list[bytes]:
    packets, packet, at = [], b"", 0
    while at < len(data):
        n = data[at + 26]
        at_body = at + 27 + n
        for size in data[at + 27 : at + 27 + n]:
            packet += data[at_body : at_body + size]
            at_body += size
            if size < 255:
                packets.append(packet)
                packet = b""
        at = at_body
    return packets


def reason_not_written(path: Path, genre: str, tmp_path: Path) -> str:
    try:
        written(path, genre, tmp_path)
    except TagError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("genres", [(), ("Rock",), ("Hip Hop", "Räp")], ids=len)
def test_written_and_put_back(
    made: Callable[[str], Path], tmp_path: Path, name: str, genres: tuple[str, ...]
) -> None:
    path = made(name)
    if genres:
        with_genres(path, *genres)
    else:
        assert read_tags(path) == {}
    before, heard, encoded_audio = path.read_bytes(), samples(path), payload(path)
    tags_before = read_tags(path)
    path.chmod(0o640)
    change = written(path, "Jäzz", tmp_path)
    assert read_tags(path) == tags_before | {"genre": ("Jäzz",)}
    np.testing.assert_array_equal(samples(path), heard)
    assert payload(path) == encoded_audio
    assert path.stat().st_mode & 0o777 == 0o640
    assert restore(path, change)
    assert read_tags(path) == tags_before
    assert read_genre(path) == change.before
    np.testing.assert_array_equal(samples(path), heard)
    assert payload(path) == encoded_audio
    if name in ("a.mp3", "a.wav", "a.aiff") and not genres:
        assert path.read_bytes() == before  # no tag before, none after
    assert not restore(path, change)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "backup.jsonl"])


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("texts", [["Rock"], ["(17)"], ["Ro", "Jä"]], ids=repr)
def test_the_version_of_id3_and_its_other_frames_stay(
    made: Callable[[str], Path], tmp_path: Path, version: int, texts: list[str]
) -> None:
    path, tags = made("a.mp3"), ID3()
    for frame in (
        TPE1(encoding=1, text=["A", "B"]), TXXX(encoding=1, desc="x", text=["1", "2"]),
        TCON(encoding=1, text=texts),
    ):  # fmt: skip
        tags.add(frame)
    tags.save(path, v2_version=version, v23_sep=None)
    before = ID3(path, translate=False)
    change = written(path, "Jazz", tmp_path)
    during = ID3(path, translate=False)
    assert during["TCON"].text == ["Jazz"]
    restore(path, change)
    after = ID3(path, translate=False)
    assert before.version == during.version == after.version == (2, version, 0)
    for key in ("TPE1", "TXXX:x"):
        assert before[key].text == during[key].text == after[key].text
    assert after["TCON"].text == before["TCON"].text == texts
    assert after["TCON"].encoding == before["TCON"].encoding


def id3v1(genre: int) -> bytes:
    fields = [b"Title".ljust(30), b"Artist".ljust(30), bytes(30), b"1999", b"no\0\0".ljust(30)]
    return b"TAG" + b"".join(fields) + bytes([genre])


@pytest.mark.parametrize("with_v2", [False, True])
@pytest.mark.parametrize(("genre", "number"), [("Jazz", 8), ("chillhop", 255)])
def test_id3v1_keeps_all_but_the_genre(
    made: Callable[[str], Path], tmp_path: Path, with_v2: bool, genre: str, number: int
) -> None:
    path = made("a.mp3")
    path.write_bytes(path.read_bytes() + id3v1(17))
    if with_v2:
        tags = ID3()
        tags.add(TIT2(encoding=0, text="A title in ID3v2"))
        tags.save(path, v1=0)
        path.write_bytes(path.read_bytes() + id3v1(17))
    before = path.read_bytes()
    change = written(path, genre, tmp_path)
    assert path.read_bytes()[-128:] == id3v1(number)
    assert read_tags(path)["genre"] == (genre,)
    assert read_tags(path)["title"] == ("A title in ID3v2" if with_v2 else "Title",)
    restore(path, change)
    assert path.read_bytes()[-128:] == id3v1(17)
    if with_v2:
        assert "TCON" not in ID3(path, load_v1=False)
    else:
        assert path.read_bytes() == before


LYRICS = b"LYRICSBEGININD0000200LYR00005hello"
LYRICS3 = LYRICS + b"%06d" % len(LYRICS) + b"LYRICS200"


def several(path: Path) -> Path:
    """Put into a file a genre in each kind of tags that it can have."""
    if path.suffix == ".wav":
        path.write_bytes(riff(path, info_chunk(IART=b"Me\0", IGNR=b"Jazz\0", ICMT=b"odd")))
        return with_genres(path, "Rock")
    if path.suffix == ".m4a":
        file = mutagen.File(with_genres(path, "Rock"))
        file["----:com.apple.iTunes:GENRE"] = [b"Jazz", b"Blues"]
        file["----:com.apple.iTunes:MOOD"] = [b"calm"]
        file.save()
        return path
    if path.suffix == ".flac":
        with_genres(path, "Folk")
    behind = ape_bytes(Genre="Jazz", Artist="Me") + LYRICS3 + id3v1(17)
    path.write_bytes(id3_bytes(TIT2(0, "Title"), TCON(0, "Rock")) + path.read_bytes() + behind)
    return path


def genres_in(path: Path) -> dict[str, list[str]]:
    """Read the genres of each kind of tags with mutagen."""
    found: dict[str, list[str]] = {}
    data = path.read_bytes()
    if path.suffix == ".wav":
        at = data.index(b"IGNR")
        value = data[at + 8 : at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")]
        found["info"] = [value.rstrip(b"\0").decode()]
        found["id3"] = mutagen.File(path).tags["TCON"].text
    elif path.suffix == ".m4a":
        tags = mutagen.File(path).tags
        found["mp4"] = tags["\xa9gen"]
        found["freeform"] = [value.decode() for value in tags["----:com.apple.iTunes:GENRE"]]
    else:
        found["id3"] = ID3(path, load_v1=False)["TCON"].text
        found["ape"] = list(APEv2(path)["Genre"])
        found["id3v1"] = [TCON.GENRES[data[-1]]]
        assert data[-128:-1] == id3v1(17)[:-1]
        assert LYRICS3 in data
        assert list(APEv2(path)["Artist"]) == ["Me"]
    if path.suffix == ".flac":
        found["vorbis"] = mutagen.File(path).tags["genre"]
    return found


@pytest.mark.parametrize("name", ["a.mp3", "a.aac", "a.wv", "a.flac", "a.wav", "a.m4a"])
def test_no_tag_keeps_the_old_genre_and_all_come_back(
    made: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    path = several(made(name))
    before, held = path.read_bytes(), genres_in(path)
    assert len({tuple(values) for values in held.values()}) > 1
    change = written(path, "Hip-Hop", tmp_path)
    assert genres_in(path) == {kind: ["Hip-Hop"] for kind in held}
    assert read_genre(path).reads(["Hip-Hop"])
    if name == "a.wav":
        assert int.from_bytes(path.read_bytes()[4:8], "little") == path.stat().st_size - 8
    restore(path, change)
    assert genres_in(path) == held
    restored = path.read_bytes()
    if name == "a.flac":  # in which mutagen has made room between tags and audio
        assert restored[-len(payload(path)) :] == before[-len(payload(path)) :]
    elif name != "a.m4a":
        assert len(restored) >= len(before)
        assert restored[-5000:] == before[-5000:]


@pytest.mark.parametrize("genre", ["Jazz", "a genre that is longer than the other one was"])
@pytest.mark.parametrize("name", ["a.mp3", "a.wv", "a.wav"])
def test_where_one_tag_has_the_genre_no_other_is_begun(
    made: Callable[[str], Path], tmp_path: Path, name: str, genre: str
) -> None:
    path = made(name)
    if name == "a.wav":
        path.write_bytes(riff(path, info_chunk(IGNR=b"R\xe4p\0", IART=b"Me\0")))
    else:
        path.write_bytes(path.read_bytes() + LYRICS3 + ape_bytes(GENRE="Räp", Zed="z") + id3v1(255))
    before, heard = path.read_bytes(), None if name == "a.wv" else samples(path)
    change = written(path, genre, tmp_path)
    assert read_tags(path)["genre"] == (genre,)
    assert "TCON" not in (mutagen.File(path).tags or {})
    assert read_genre(path).genres == [genre]
    if heard is not None:
        np.testing.assert_array_equal(samples(path), heard)
    restore(path, change)
    assert path.read_bytes() == before


def test_a_number_in_id3v1_that_contradicts_is_written(
    made: Callable[[str], Path], tmp_path: Path
) -> None:
    path = made("a.mp3")
    path.write_bytes(id3_bytes(TCON(0, "Jazz")) + path.read_bytes() + id3v1(17))
    assert not read_genre(path).reads(["Jazz"])
    change = written(path, "Jazz", tmp_path)
    assert path.read_bytes()[-1] == 8
    assert read_genre(path).reads(["Jazz"])
    restore(path, change)
    assert path.read_bytes()[-1] == 17


@pytest.mark.parametrize("end", [b"TAG" + bytes(122), b"TAG" + bytes(126)], ids=len)
def test_what_is_not_quite_id3v1_stays(
    made: Callable[[str], Path], tmp_path: Path, end: bytes
) -> None:
    path = made("a.mp3")
    stream = path.read_bytes() + end
    path.write_bytes(id3_bytes(TCON(0, "Rock")) + stream)
    change = written(path, "a genre that is longer" * 100, tmp_path)
    assert path.read_bytes().endswith(stream)
    restore(path, change)
    assert path.read_bytes().endswith(stream)


def test_one_of_several_tags_that_was_changed_since_is_left_alone(
    made: Callable[[str], Path], tmp_path: Path
) -> None:
    path = several(made("a.mp3"))
    change = written(path, "Hip-Hop", tmp_path)
    ape = APEv2(path)
    ape["Genre"] = "Folk"
    ape.save()  # without ID3v1, which mutagen takes away
    with pytest.raises(TagError, match="was changed since, to Hip-Hop, Folk; --force"):
        restore(path, change)
    assert restore(path, change, force=True)
    assert list(APEv2(path)["Genre"]) == ["Jazz"]


def test_backups_of_old_are_restored(made: Callable[[str], Path], tmp_path: Path) -> None:
    path, file = made("a.mp3"), tmp_path / "backup.jsonl"
    path.write_bytes(id3_bytes(TCON(0, "Jazz")) + path.read_bytes() + id3v1(8))
    before = {"kind": "id3", "values": ["Rock"], "tagged": True, "version": [2, 4, 0],
              "encoding": 3, "v1": 17, "places": None}  # fmt: skip
    line = json.dumps({"path": str(path), "before": before, "after": ["Jazz"]})
    file.write_text('{"format": "genreclf-tags", "format_version": 1}\n' + line + "\n")
    [change] = read_backup(file)
    assert restore(path, change)
    assert ID3(path)["TCON"].text == ["Rock"]
    assert path.read_bytes()[-1] == 17


TITLES = {
    "ape": [0, (b"\4\0\0\0\0\0\0\0Title\0Jazz").hex()],
    "ape, longer": [0, (b"\4\0\0\0\0\0\0\0Genre\0Jazz, and more").hex()],
    "info": [0, (b"INAM\4\0\0\0Jazz").hex()],
    "info, two": [0, (b"IGNR\4\0\0\0JazzINAM\4\0\0\0Jazz").hex()],
    "freeform": [1, "----:com.apple.iTunes:TITLE"],
    "vorbis": [0, "title"],
    "nonsense": [0, "x"],
}


@pytest.mark.parametrize("kind", TITLES)
def test_a_backup_changes_nothing_but_genres(
    made: Callable[[str], Path], tmp_path: Path, kind: str
) -> None:
    place, *_ = kind.split(",")
    name = {"ape": "a.mp3", "info": "a.wav", "freeform": "a.m4a"}.get(place, "a.flac")
    path = several(made(name))
    genre = read_genre(path)
    own = {"kind": genre.kind, "values": genre.values}
    crafted = {"kind": place, "values": ["Jazz again"], "places": [TITLES[kind]]}
    before = crafted if place == genre.kind else own | {"others": [crafted]}
    line = json.dumps({"path": str(path), "before": before, "after": ["Hip-Hop"]})
    file, content = tmp_path / "backup.jsonl", path.read_bytes()
    file.write_text('{"format": "genreclf-tags", "format_version": 1}\n' + line + "\n")
    [change] = read_backup(file)
    if kind == "nonsense":
        assert not restore(path, change, force=True)
    else:
        with pytest.raises(TagError, match="something other than genres"):
            restore(path, change, force=True)
    assert path.read_bytes() == content


def test_spelling_and_order_of_vorbis_comments_come_back(
    made: Callable[[str], Path], tmp_path: Path
) -> None:
    path = made("a.flac")
    file = mutagen.File(path)
    pairs = [("Genre", "Rock"), ("TITLE", "x"), ("GENRE", "Pop"), ("artist", "y")]
    file.tags[:] = pairs
    file.save()
    change = written(path, "jazz", tmp_path)
    assert list(mutagen.File(path).tags) == [("Genre", "jazz"), ("TITLE", "x"), ("artist", "y")]
    restore(path, change)
    assert list(mutagen.File(path).tags) == pairs


def test_what_was_changed_since_is_left_alone(made: Callable[[str], Path], tmp_path: Path) -> None:
    path = with_genres(made("a.ogg"), "Rock")
    change = written(path, "jazz", tmp_path)
    with_genres(path, "Folk")
    with pytest.raises(
        TagError, match=r"a\.ogg: its genre tag was changed since, to Folk; --force"
    ):
        restore(path, change)
    assert read_genre(path).values == ["Folk"]
    assert restore(path, change, force=True)
    assert read_genre(path).values == ["Rock"]


def test_a_title_given_since_stays(made: Callable[[str], Path], tmp_path: Path) -> None:
    path = made("a.mp3")
    change = written(path, "jazz", tmp_path)
    tags = ID3(path)
    tags.add(TIT2(encoding=3, text="New"))
    tags.save(path)
    restore(path, change)
    assert read_tags(path) == {"title": ("New",)}


def test_the_backup_is_on_the_disk_before_the_file_changes(
    made: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = with_genres(made("a.mp3"), "Rock")
    before = path.read_bytes()

    def killed(self: Path, target: Path) -> None:
        assert path.read_bytes() == before
        [change] = read_backup(tmp_path / "backup.jsonl")
        assert change.before.values == ["Rock"]
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        written(path, "jazz", tmp_path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    [change] = read_backup(tmp_path / "backup.jsonl")
    assert not restore(path, change)


@pytest.mark.parametrize("where", ["copy", "backup"])
def test_a_full_disk_leaves_the_file(
    made: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    path = with_genres(made("a.flac"), "Rock")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if where == "copy":
        monkeypatch.setattr(shutil, "copyfile", full)
    else:
        monkeypatch.setattr(Backup, "append", full)
    with pytest.raises(TagError, match=r"a\.flac: no space left on device"):
        written(path, "jazz", tmp_path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.flac"]


def test_a_link_goes_on_to_point_at_the_file(made: Callable[[str], Path], tmp_path: Path) -> None:
    path = made("a.mp3")
    link = tmp_path / "link.mp3"
    link.symlink_to(path)
    written(link, "jazz", tmp_path)
    assert link.is_symlink()
    assert read_genre(path).values == ["jazz"]


def test_what_cannot_be_written_is_an_error(made: Callable[[str], Path], tmp_path: Path) -> None:
    path = made("a.mp3")
    path.chmod(0o444)
    with pytest.raises(TagError, match=r"a\.mp3: .*read-only"):
        written(path, "jazz", tmp_path)
    assert not (tmp_path / "backup.jsonl").exists()
    au = tmp_path / "a.au"
    soundfile.write(au, SONG, RATE)
    with pytest.raises(TagError, match=r"a\.au: not a kind of file whose genre tag can be written"):
        read_genre(au)
    with pytest.raises(TagError, match="no such file"):
        read_genre(tmp_path / "no.mp3")
    with pytest.raises(TagError, match="not a file"):
        read_genre(tmp_path)


@pytest.mark.parametrize("name", ["a.mp3", "a.flac", "a.ogg", "a.wav", "a.aiff", "b.mp3", "b.wav"])
def test_damaged_files_are_written_whole_or_stay(
    made: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    path = several(made(name)) if name.startswith("b") else with_genres(made(name), "Rock")
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(whole[: random.integers(len(whole))])
        for at in random.integers(0, min(400, len(damaged) + 1), 8):
            damaged[at : at + 1] = bytes([random.integers(256)])
        path.write_bytes(damaged)
        reason = reason_not_written(path, "jazz", tmp_path)
        if reason:
            assert reason.startswith(f"{path}: ")
            assert "\n" not in reason
            assert path.read_bytes() == damaged
        else:
            assert read_genre(path).genres == ["jazz"]


def test_a_backup_is_added_to_also_after_a_line_that_breaks_off(
    made: Callable[[str], Path], tmp_path: Path
) -> None:
    path, file = with_genres(made("a.flac"), "Rock"), tmp_path / "backup.jsonl"
    written(path, "jazz", tmp_path)
    with file.open("a") as lines:
        lines.write('{"path": "half')
    written(path, "folk", tmp_path)
    assert [change.after for change in read_backup(file)] == [["jazz"], ["folk"]]
    assert all(json.loads(line) for line in file.read_text().splitlines() if "half" not in line)


@pytest.mark.parametrize(
    "content",
    [b"text", b"{}\n", b"[" * 100_000, b"\xff\xfe\n", b'{"format": "genreclf-tags"}\n',
     b'{"format": "genreclf-tags", "format_version": 1}\n{"path": 3}\n'],
)  # fmt: skip
def test_what_is_no_backup_is_neither_read_nor_added_to(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "backup.jsonl"
    file.write_bytes(content)
    for use in (read_backup, Backup):
        with pytest.raises(TagError, match=r"backup\.jsonl: not a backup of tags"):
            use(file)
    assert file.read_bytes() == content
