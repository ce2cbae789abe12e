import os
from collections.abc import Callable, Iterator
from pathlib import Path

import mutagen
import pytest
from conftest import music
from mutagen.id3 import TIT2, TPE1

from genreclf.parallel.workers import Workers
from genreclf.reports.playlists import Playlists, file_name


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(1) as started:
        yield started


def test_a_playlist_a_genre_with_lengths_and_titles(
    tmp_path: Path, write_audio: Callable[..., Path], workers: Workers
) -> None:
    song = write_audio("music/ä #1.mp3", music(3, 22050), 22050, tmp_path)
    file = mutagen.File(song)
    file.add_tags()
    file.tags.add(TIT2(encoding=3, text="Title\n#EXTINF:1,x"))
    file.tags.add(TPE1(encoding=3, text=["A", "B"]))
    file.save()
    plain = write_audio("lists/#b.wav", music(2, 22050), 22050, tmp_path)
    lists = Playlists(tmp_path / "lists")
    for path in (song, plain, song, tmp_path / "gone.mp3"):
        lists.add("rock", str(path))
    lists.add("jazz", str(song))
    written, left_out = lists.write(workers)
    assert [path.name for path in written] == ["jazz.m3u8", "rock.m3u8"]
    assert left_out == []
    lines = (tmp_path / "lists/rock.m3u8").read_text(encoding="utf-8").splitlines()
    assert lines == [
        "#EXTM3U", "#PLAYLIST:rock",
        "#EXTINF:3,A, B - Title #EXTINF:1,x", "../music/ä #1.mp3",
        "#EXTINF:2,#b", "./#b.wav",
        "#EXTINF:-1,gone", "../gone.mp3",
    ]  # fmt: skip
    for line in lines:
        if not line.startswith("#"):
            assert line.endswith("gone.mp3") or (tmp_path / "lists" / line).is_file()


def test_what_is_no_line_of_text_is_left_out(tmp_path: Path, workers: Workers) -> None:
    lists = Playlists(tmp_path / "lists")
    bad = ["a\nb.mp3", "a\rb.mp3", os.fsdecode(b"a\xff.mp3")]
    for path in bad:
        lists.add("rock", path)
    assert lists.write(workers) == ([], bad)
    assert list((tmp_path / "lists").iterdir()) == []


@pytest.mark.parametrize(
    ("genre", "expected"),
    [
        ("Rock & Roll", "Rock & Roll"),
        ("R'n'B", "R'n'B"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..", "_"),
        ("", "_"),
        ('a/b\\c:d*e?f"g<h>i|j\0k\n', "a_b_c_d_e_f_g_h_i_j_k_"),
        ("CON", "CON_"),
        ("com1.x", "com1.x_"),
        (" trailing. ", "trailing"),
        ("ジャズ", "ジャズ"),
        ("x" * 500, "x" * 80),
        ("\U00020000" * 500, "\U00020000" * 60),  # of four bytes each
        ("\x1b[31m\u202e", "__31m_"),
    ],
)
def test_hostile_genres_make_file_names(genre: str, expected: str) -> None:
    assert file_name(genre) == expected


def test_genres_that_would_share_a_file_have_their_own(tmp_path: Path, workers: Workers) -> None:
    lists = Playlists(tmp_path)
    for genre in ("rock", "Rock", "a/b", "a:b"):
        lists.add(genre, f"{genre}.mp3".replace("/", "_"))
    written, _ = lists.write(workers)
    assert len({path.name.casefold() for path in written}) == 4
    for path in written:
        assert path.parent == tmp_path
        assert path.read_text(encoding="utf-8").count("#EXTINF") == 1
