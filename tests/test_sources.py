import os
from pathlib import Path

import pytest
import soundfile

from genreclf.errors import TableError
from genreclf.library.sources import AUDIO_SUFFIXES, Track, find_tracks, read_path_list


def touch(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


def paths_of(found: list[Track]) -> list[Path]:
    return [track.path for track in found]


def test_every_format_of_libsndfile_is_searched_for_but_headerless_samples() -> None:
    formats = {f".{name.lower()}" for name in soundfile.available_formats()}
    assert formats - AUDIO_SUFFIXES == {".raw"}


def test_folders_are_searched_recursively_in_sorted_order(tmp_path: Path) -> None:
    names = ["b/2.wav", "z.mp3", "a/x/1.ogg", "b/10.wav", "a/é.flac", "a/Z.flac", "B/1.opus"]
    touch(tmp_path, *names)
    expected = sorted(
        (path for path in tmp_path.rglob("*") if path.is_file()),
        key=lambda path: (path.parent.parts, path.name),
    )
    assert paths_of(find_tracks([tmp_path]).tracks) == expected


def test_the_order_does_not_depend_on_the_file_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, *(f"{genre}/{i}.mp3" for genre in "acb" for i in range(9)))
    usual = find_tracks([tmp_path]).tracks
    walk = os.walk

    def reversed_walk(folder: Path, onerror: object):
        for parent, folders, names in walk(folder):
            folders.reverse()
            yield parent, folders, sorted(names, reverse=True)

    monkeypatch.setattr(os, "walk", reversed_walk)
    assert find_tracks([tmp_path]).tracks == usual


def test_paths_keep_the_order_in_which_they_were_given(tmp_path: Path) -> None:
    paths = touch(tmp_path, "b.mp3", "a.mp3", "c.mp3")
    assert paths_of(find_tracks(paths).tracks) == paths


def test_hidden_and_other_files_are_passed_over_and_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp3", "B.MP3", ".c.mp3", "cover.jpg", "mp3", "x/notes.txt", "d.mp3.part")
    found = find_tracks([tmp_path])
    assert {path.name for path in paths_of(found.tracks)} == {"a.mp3", "B.MP3"}
    assert found.passed_over == 5


def test_hidden_folders_below_the_given_one_are_not_searched(tmp_path: Path) -> None:
    touch(tmp_path, ".trash/a.mp3", "b/.git/a.mp3", "b/c.mp3")
    assert paths_of(find_tracks([tmp_path]).tracks) == [tmp_path / "b/c.mp3"]
    assert paths_of(find_tracks([tmp_path / ".trash"]).tracks) == [tmp_path / ".trash/a.mp3"]


@pytest.mark.parametrize("name", ["notes.txt", ".hidden.mp3", "missing.mp3", "no-suffix"])
def test_a_file_named_outright_is_always_tried(tmp_path: Path, name: str) -> None:
    if "missing" not in name:
        touch(tmp_path, name)
    found = find_tracks([tmp_path / name])
    assert paths_of(found.tracks) == [tmp_path / name]
    assert found.passed_over == 0


def test_a_folder_whose_name_looks_like_audio_is_searched(tmp_path: Path) -> None:
    touch(tmp_path, "live.mp3/1.flac")
    assert paths_of(find_tracks([tmp_path]).tracks) == [tmp_path / "live.mp3/1.flac"]


def test_labels_are_the_first_folders_below_the_given_ones(tmp_path: Path) -> None:
    touch(tmp_path, "music/blues/a.mp3", "music/rock/live/cd1/b.mp3", "music/loose.mp3")
    tracks = find_tracks([tmp_path / "music"]).tracks
    assert [(track.path.name, track.label) for track in tracks] == [
        ("loose.mp3", "music"),
        ("a.mp3", "blues"),
        ("b.mp3", "rock"),
    ]
    assert all(track.group is None for track in tracks)


def test_of_files_directly_in_the_given_folders_these_are_the_labels(tmp_path: Path) -> None:
    touch(tmp_path, "music/rock/1.mp3", "music/jazz/2.mp3", "music/jazz/Nina/3.mp3")
    tracks = find_tracks([tmp_path / "music/rock", tmp_path / "music/jazz"]).tracks
    assert [track.label for track in tracks] == ["rock", "jazz", "Nina"]


def test_of_a_file_given_by_name_the_folder_that_it_is_in_is_the_label(tmp_path: Path) -> None:
    [path] = touch(tmp_path, "music/rock/live/1.mp3")
    assert find_tracks([path]).tracks == [Track(path, "live")]


@pytest.mark.parametrize(
    "given", ["music", "music/", "./music", "link", "{}/music", "sub/../music"]
)
def test_the_spelling_of_the_given_folder_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    touch(tmp_path, "music/rock/live/1.mp3", "music/rock/2.mp3")
    (tmp_path / "link").symlink_to("music")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    assert [t.label for t in find_tracks([given.format(tmp_path)]).tracks] == ["rock", "rock"]


@pytest.mark.parametrize(("inside", "given"), [("music", "."), ("music/rock", "..")])
def test_the_given_folder_may_be_this_one_or_the_one_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str, given: str
) -> None:
    touch(tmp_path, "music/rock/live/1.mp3", "music/2.mp3")
    monkeypatch.chdir(tmp_path / inside)
    assert [track.label for track in find_tracks([given]).tracks] == ["music", "rock"]


def test_a_file_of_two_given_folders_with_two_labels_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "music/rock/live/1.mp3", "music/rock/2.mp3")
    music, rock = tmp_path / "music", tmp_path / "music/rock"
    with pytest.raises(
        TableError, match=r"1\.mp3: its label is rock below one .* and live below another"
    ):
        find_tracks([music, rock])
    assert len(find_tracks([music, rock], "none").tracks) == 4
    assert {t.label for t in find_tracks([music, rock / "2.mp3"]).tracks} == {"rock"}


def test_no_labels(tmp_path: Path) -> None:
    touch(tmp_path, "blues/a.mp3")
    assert find_tracks([tmp_path], "none").tracks == [Track(tmp_path / "blues/a.mp3")]


@pytest.mark.parametrize("spelling", ["a.mp3", "./a.mp3", "../blues/a.mp3", "sub/../a.mp3", "."])
def test_the_label_is_the_real_folder_whatever_the_spelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    touch(tmp_path, "blues/a.mp3")
    (tmp_path / "blues/sub").mkdir()
    monkeypatch.chdir(tmp_path / "blues")
    assert [track.label for track in find_tracks([spelling]).tracks] == ["blues"]


def test_a_file_in_the_root_folder_has_no_label() -> None:
    assert find_tracks(["/a.mp3"]).tracks == [Track(Path("/a.mp3"), None)]


def test_a_link_to_a_file_has_the_links_folder_as_label(tmp_path: Path) -> None:
    touch(tmp_path, "store/1.mp3")
    (tmp_path / "music/blues").mkdir(parents=True)
    (tmp_path / "music/blues/a.mp3").symlink_to(tmp_path / "store/1.mp3")
    [track] = find_tracks([tmp_path / "music"]).tracks
    assert (track.path, track.label) == (tmp_path / "music/blues/a.mp3", "blues")


def test_a_broken_link_is_tried(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").symlink_to("nowhere.mp3")
    assert paths_of(find_tracks([tmp_path]).tracks) == [tmp_path / "a.mp3"]


def test_loops_of_links_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp3")
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "a/self.mp3").symlink_to("self.mp3")
    found = paths_of(find_tracks([tmp_path]).tracks)
    assert found == [tmp_path / "a/1.mp3", tmp_path / "a/self.mp3"]


def test_a_link_to_a_folder_that_was_given_is_searched(tmp_path: Path) -> None:
    touch(tmp_path, "real/1.mp3")
    (tmp_path / "link").symlink_to("real")
    [track] = find_tracks([tmp_path / "link"]).tracks
    assert (track.path, track.label) == (tmp_path / "link/1.mp3", "link")


ODD_NAMES = [
    "two words", 'q"uo\'te', "new\nline", "tab\t",
    "naïve 音楽 🎵", " lead", "trail ", "#1", "a,b;c",
    "-o", "%s{}", "a\\b", os.fsdecode(b"latin-\xe9"),
]  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names(tmp_path: Path, name: str) -> None:
    [path] = touch(tmp_path, f"{name}/{name}.mp3")
    assert find_tracks([tmp_path]).tracks == [Track(path, name)]


def write_manifest(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_a_manifest_gives_labels_and_groups_relative_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = touch(tmp_path, "data/audio/a.mp3", "data/audio/b.mp3", "c.mp3")
    rows = f'audio/a.mp3,blues,"King, B.B."\n./audio/../audio/b.mp3,rock,\n{c},,someone\n'
    manifest = write_manifest(tmp_path / "data/m.csv", "path,label,group\n" + rows)
    monkeypatch.chdir(tmp_path)
    found = find_tracks(["data/audio", "c.mp3"], manifest)
    assert found.tracks == [
        Track(Path("data/audio/a.mp3"), "blues", "King, B.B."),
        Track(Path("data/audio/b.mp3"), "rock", None),
        Track(Path("c.mp3"), None, "someone"),
    ]
    assert found.notes == []
    assert paths_of(find_tracks([tmp_path / "data"], manifest).tracks) == [a, b]


def test_a_manifest_may_have_other_columns_in_any_order(tmp_path: Path) -> None:
    [path] = touch(tmp_path, "a.mp3")
    manifest = write_manifest(tmp_path / "m.csv", "year,label,path\r\n1999,jazz,a.mp3\r\n")
    assert find_tracks([path], manifest).tracks == [Track(path, "jazz")]


def test_a_manifest_from_a_spreadsheet_has_a_byte_order_mark(tmp_path: Path) -> None:
    [path] = touch(tmp_path, "é.mp3")
    manifest = write_manifest(tmp_path / "m.csv", "path,label\né.mp3,jazz\n", "utf-8-sig")
    assert find_tracks([path], manifest).tracks == [Track(path, "jazz")]


@pytest.mark.parametrize("name", ['q"uote', "new\nline", "a,b", " lead", "#1", "NA"])
def test_odd_names_in_a_manifest(tmp_path: Path, name: str) -> None:
    [path] = touch(tmp_path, f"{name}.mp3")
    quoted = name.replace('"', '""')
    manifest = write_manifest(tmp_path / "m.csv", f'path,label\n"{quoted}.mp3","{quoted}"\n')
    assert find_tracks([path], manifest).tracks == [Track(path, name)]


def test_files_and_rows_without_a_counterpart_are_noted(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp3", "b.mp3", "c.mp3")
    manifest = write_manifest(tmp_path / "m.csv", "path,label\na.mp3,x\nd.mp3,x\n,\n")
    found = find_tracks([tmp_path], manifest)
    assert [track.label for track in found.tracks] == ["x", None, None]
    unlisted, absent = found.notes
    assert unlisted.startswith("2 of the files")
    assert absent.startswith("the file was not found for 1 row of ")
    assert all(str(manifest) in note for note in found.notes)


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("", "label"),
        ("path\na.mp3\n", "label"),
        ("file,genre\na.mp3,x\n", "path"),
        ("path|label\na.mp3|x\n", "label"),
    ],
)
def test_a_manifest_without_its_columns(tmp_path: Path, text: str, missing: str) -> None:
    manifest = write_manifest(tmp_path / "m.csv", text)
    with pytest.raises(TableError, match=rf"m\.csv: no column .*{missing}"):
        find_tracks([], manifest)


@pytest.mark.parametrize(
    "content", [b"path,label\n\xff.mp3,x\n", b"path,label\na\0.mp3,x\n"], ids=["latin-1", "NUL"]
)
def test_a_manifest_that_is_no_text(tmp_path: Path, content: bytes) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_bytes(content)
    with pytest.raises(TableError, match=r"m\.csv: cannot be read as a manifest"):
        find_tracks([], manifest)


def test_a_manifest_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"folders\.csv: no such file; labels are"):
        find_tracks([], tmp_path / "folders.csv")


def test_a_row_that_is_too_short_has_no_label(tmp_path: Path) -> None:
    [path] = touch(tmp_path, "a.mp3")
    manifest = write_manifest(tmp_path / "m.csv", "path,label,group\na.mp3\nb.mp3,x,\n")
    assert find_tracks([path], manifest).tracks == [Track(path)]


@pytest.mark.parametrize(
    "text",
    [
        "path,label,group\na.mp3,x,y\nb.mp3,x",
        "path,label,group\na.mp3,x,y\nb.mp3",
        "path,label,group\na.mp3,x,y\nb.mp3,x\n",
        'path,label\na.mp3,x\nb.mp3,"x',
        'path,label\na.mp3,x\nb.mp3,"x\n',
        'path,label\na.mp3,x\n"b.mp3',
    ],
)
def test_a_manifest_that_is_cut_off_in_its_last_row_is_refused(tmp_path: Path, text: str) -> None:
    manifest = write_manifest(tmp_path / "m.csv", text)
    with pytest.raises(TableError, match=r"m\.csv: .* is the file cut off\?"):
        find_tracks([], manifest)


def test_a_last_row_without_a_line_break_may_be_whole(tmp_path: Path) -> None:
    [path] = touch(tmp_path, 'a 12".mp3')
    manifest = write_manifest(tmp_path / "m.csv", 'path,label\na 12".mp3,jazz')
    assert find_tracks([path], manifest).tracks == [Track(path, "jazz")]


def test_a_comma_that_is_not_in_quotes_is_an_error(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "m.csv", "path,label\nb.mp3,x\nHello, World.mp3,x\n")
    with pytest.raises(TableError, match=r"m\.csv: .*line 3 has 3 fields, .* needs quotes"):
        find_tracks([], manifest)


@pytest.mark.parametrize(
    ("encoding", "separator"),
    [("utf-8", ";"), ("utf-8-sig", ";"), ("utf-16", "\t"), ("utf-8", "\t"), ("utf-16", ",")],
)
def test_manifests_are_read_as_spreadsheets_save_them(
    tmp_path: Path, encoding: str, separator: str
) -> None:
    [path] = touch(tmp_path, "é, 1.mp3")
    rows = [["path", "label", "group"], ['"é, 1.mp3"', "jazz", "someone"]]
    text = "".join(separator.join(row) + "\r\n" for row in rows)
    manifest = write_manifest(tmp_path / "m.csv", text, encoding)
    assert find_tracks([path], manifest).tracks == [Track(path, "jazz", "someone")]


@pytest.mark.parametrize("again", ["a.mp3", "./a.mp3", "sub/../a.mp3", "link.mp3", "{}/a.mp3"])
@pytest.mark.parametrize("column", ["label", "group", "fold"])
def test_a_file_that_is_twice_in_a_manifest_has_to_be_the_same(
    tmp_path: Path, again: str, column: str
) -> None:
    [path] = touch(tmp_path, "a.mp3")
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.mp3").symlink_to("a.mp3")
    again = again.format(tmp_path)
    same = f"path,label,group,fold\na.mp3,rock,x,1\nb.mp3,,,\n{again},rock,x,1\na.mp3,,,\n"
    expected = [Track(path, "rock", "x", (("fold", "1"),))]
    assert find_tracks([path], write_manifest(tmp_path / "m.csv", same)).tracks == expected
    first = {"label": "rock", "group": "x", "fold": "1"}[column]
    other = f"path,label,group,fold\na.mp3,rock,x,1\nb.mp3,,,\n{again},rock,x,1\n"
    other += "a.mp3," + ",".join(
        "2" if name == column else "" for name in ("label", "group", "fold")
    )
    manifest = write_manifest(tmp_path / "m.csv", other + "\n")
    told = rf"m\.csv: the {column} of a\.mp3 is {first} in line 2, and 2 in line 5; .*one {column}"
    with pytest.raises(TableError, match=told):
        find_tracks([path], manifest)


def test_columns_of_folds_and_splits_go_with_the_tracks(tmp_path: Path) -> None:
    a, b, c = touch(tmp_path, "a.mp3", "b.mp3", "c.mp3")
    text = "path,label,fold,bpm,My_Split\na.mp3,x,01,120,train\nb.mp3,y,,90,test\n"
    found = find_tracks([a, b, c], write_manifest(tmp_path / "m.csv", text))
    assert [track.assignments for track in found.tracks] == [
        (("fold", "01"), ("My_Split", "train")),
        (("fold", ""), ("My_Split", "test")),
        (("fold", ""), ("My_Split", "")),
    ]


def test_a_list_of_paths_is_read_as_find_prints_it() -> None:
    lines = ["a b.mp3\n", " lead.mp3\r\n", "\n", "trail .mp3 \n", "last"]
    names = [str(path) for path in read_path_list(lines)]
    assert names == ["a b.mp3", " lead.mp3", "trail .mp3 ", "last"]
