"""Genres and groups from tags, paths and label maps; in the library and on the command line."""

from collections.abc import Callable
from pathlib import Path

import mutagen
import pytest
import soundfile
from click.testing import CliRunner, Result
from conftest import music

import genreclf
from genreclf import FeatureTable, TableError, load_table
from genreclf.cli import cli
from genreclf.library.labelmap import read_label_map, spelling
from genreclf.library.labels import Labelling, describe_labels, label_tracks
from genreclf.library.sources import Track, find_tracks
from genreclf.parallel.workers import WorkerError, Workers

RATE = 12000
QUICK = ["--set", "separation=none", "--set", "excerpt.seconds=2"]
SONG = music(2, RATE)


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def song(path: Path, **tags: str | list[str]) -> Track:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, SONG, RATE)
    file = mutagen.File(path)
    for name, value in tags.items():
        file[name] = value
    file.save()
    return Track(path)


def labelled(tracks: list[Track], *arguments: object, **options: object) -> list[str | None]:
    return [track.label for track in label_tracks(tracks, Labelling(*arguments, **options)).tracks]


def grouped(tracks: list[Track], group: str) -> list[str | None]:
    return [track.group for track in label_tracks(tracks, Labelling("none", group=group)).tracks]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Seven tagged songs in no order that tells anything."""
    folder = tmp_path / "library"
    song(folder / "0.flac", genre="Hip Hop", artist="The Beatles", album="One")
    song(folder / "1.flac", genre="hip-hop", artist="the  beatles ", album="Two")
    song(folder / "2.flac", genre=["Rap", "Pop"], artist="The Beatles feat. Someone", album="ONE")
    song(folder / "3.flac", genre="Jazz; Swing", albumartist="Björk")
    song(folder / "4.flac", genre="Podcast", artist="Bjork")
    song(folder / "5.flac", title="no genre")
    song(folder / "6.flac", genre="JAZZ", artist="R.E.M.")
    return folder


@pytest.fixture
def spellings(tmp_path: Path) -> Path:
    path = tmp_path / "spellings.csv"
    path.write_text("from,to\nHip Hop,hiphop\nrap,hiphop\nPodcast,\n")
    return path


def test_genres_come_from_tags_the_first_of_several(library: Path) -> None:
    found = label_tracks(find_tracks([library], "tags").tracks, Labelling("tags"))
    assert [track.label for track in found.tracks] == [
        "Hip Hop", "hip-hop", "Rap", "Jazz", "Podcast", None, "JAZZ",
    ]  # fmt: skip
    assert found.notes == [
        "several genres; the first one is used: 2 of 7 tracks",
        "no genre tag, and so no label: 1 of 7 tracks",
        "genres with several spellings, which count as different: 'Hip Hop' and 'hip-hop', "
        "'JAZZ' and 'Jazz'; a label map unites them (--label-map)",
    ]
    assert f"{library / '5.flac'}: no genre tag, and so no label" in found.details


def test_a_map_unites_spellings_and_takes_labels_away(library: Path, spellings: Path) -> None:
    found = label_tracks(find_tracks([library], "tags").tracks, Labelling("tags", spellings))
    assert [track.label for track in found.tracks] == [
        "hiphop", "hiphop", "hiphop", "Jazz", None, None, "JAZZ",
    ]  # fmt: skip
    assert "label removed by the map: 1 of 7 tracks" in found.notes
    assert "labels that are not in the map stay as they are: Jazz 1, JAZZ 1" in found.notes


@pytest.mark.processes
def test_workers_read_the_same_tags(library: Path, spellings: Path) -> None:
    tracks = find_tracks([library], "tags").tracks
    labelling = Labelling("tags", spellings, "artist")
    here = label_tracks(tracks, labelling)
    read = 0

    def count() -> None:
        nonlocal read
        read += 1

    with Workers(2) as workers:
        there = label_tracks(tracks, labelling, workers, count)
    assert there == here
    assert read == len(tracks)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("artist", ["the beatles"] * 3 + ["bjork"] * 2 + [None, "rem"]),
        ("albumartist", ["the beatles"] * 3 + ["bjork"] * 2 + [None, "rem"]),
        ("album", ["one", "two", "one", None, None, None, None]),
    ],
)
def test_groups_come_from_tags_however_they_are_spelt(
    library: Path, kind: str, expected: list[str | None]
) -> None:
    assert grouped(find_tracks([library], "none").tracks, kind) == expected


@pytest.mark.parametrize(
    ("artist", "group"),
    [
        ("Jay-Z (feat. Rihanna)", "jay z"),
        ("Jay Z ft. Alicia Keys", "jay z"),
        ("Guns N\u2019 Roses", "guns n roses"),
        ("AC/DC", "ac dc"),
        ("!!!", "!!!"),
        ("feat. Nobody", "feat nobody"),
        ("Featherweights", "featherweights"),
        ("Кино", "кино"),
        ("サカナクション", "サカナクション"),
    ],
)
def test_names_of_artists(tmp_path: Path, artist: str, group: str) -> None:
    assert grouped([song(tmp_path / "a.flac", artist=artist)], "artist") == [group]


def test_spellings() -> None:
    assert {spelling(text) for text in ("Hip Hop", "hip-hop", "HIPHOP", " Hip_Hop ")} == {"hiphop"}
    assert spelling("R&B") == spelling("r & b") != spelling("RnB")
    assert spelling("Canção") == spelling("cancao")
    assert spelling("रॉक") != spelling("रक")  # vowel signs are no accents
    assert spelling("???") == "???"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", "from,to\nHip Hop,hiphop\nRap,hiphop\nTalk,\n"),
        ("m.csv", "\ufeffto,comment,from\r\nhiphop,x,HIP-HOP\r\nhiphop,,rap\r\n,,talk\r\n"),
        ("m.toml", '"Hip Hop" = "hiphop"\nrap = "hiphop"\nTalk = ""\n'),
        ("m.toml", 'hiphop = ["Hip Hop", "hip-hop", "Rap"]\n"" = ["talk"]\n'),
    ],
)
def test_maps(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_label_map(tmp_path / name) == {"hiphop": "hiphop", "rap": "hiphop", "talk": ""}


def test_what_a_map_wants_counts_as_named(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("from,to\nRap,Hip Hop\n")
    tracks = [Track(Path("a"), "hip-hop"), Track(Path("b"), "rap"), Track(Path("c"), " x\n y")]
    assert labelled(tracks, "folder", tmp_path / "m.csv") == ["Hip Hop", "Hip Hop", "x y"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", b"a,b\nx,y\n", "no column from and no column to"),
        ("m.csv", b"", "no column from"),
        ("m.csv", b"from,to\n\xff,y\n", "cannot be read as a label map"),
        ("m.csv", b"from,to\nHip Hop,a\nhip-hop,b\n", "hip-hop is mapped to both 'a' and 'b'"),
        ("m.toml", b"rock = 3", "rock is neither a label nor a list"),
        ("m.toml", b"[rock", "cannot be read as a label map"),
        ("m.toml", b"a = " + b"[" * 5000, "cannot be read as a label map"),
    ],
)
def test_maps_that_are_none(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match=message) as raised:
        read_label_map(tmp_path / name)
    assert str(raised.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(raised.value)


def test_broken_tags_cost_the_label_not_the_track(tmp_path: Path) -> None:
    track = song(tmp_path / "a.ogg", genre="Rock")
    # The comments' own length: a gigabyte in a file of some kilobytes.
    data = track.path.read_bytes()
    at = data.index(b"\x03vorbis") + 7
    track.path.write_bytes(data[:at] + b"\xff\xff\xff\x3f" + data[at + 4 :])
    found = label_tracks([track], Labelling("tags", group="artist"))
    assert found.tracks == [track]
    assert found.notes == ["tags that cannot be read: 1 of 1 tracks"]
    assert found.details[0].startswith(f"{track.path}: its tags cannot be read")


def test_tags_that_are_read_for_ever_cost_the_label_only(library: Path) -> None:
    class Slow(Workers):
        """Workers who give up on one file."""

        def map(self, function, items):
            for item, result in super().map(function, items):
                slow = item.name == "0.flac"
                yield item, WorkerError("took longer than 3 s") if slow else result

    tracks = find_tracks([library], "tags").tracks[:2]
    with Slow(1) as workers:
        found = label_tracks(tracks, Labelling("tags"), workers)
    assert [track.label for track in found.tracks] == [None, "hip-hop"]
    assert found.details == [f"{library / '0.flac'}: took longer than 3 s"]


def test_manifests_groups_win_and_its_labels_are_mapped(library: Path, spellings: Path) -> None:
    manifest = library / "manifest.csv"
    manifest.write_text("path,label,group\n0.flac,RAP,mine\n1.flac,rock,\n")
    tracks = find_tracks([library / "0.flac", library / "1.flac"], manifest).tracks
    found = label_tracks(tracks, Labelling(manifest, spellings, "artist")).tracks
    assert [(track.label, track.group) for track in found] == [
        ("hiphop", "mine"), ("rock", "the beatles"),
    ]  # fmt: skip
    found = label_tracks(tracks, Labelling(manifest, group_regex=r"(\d)\.flac")).tracks
    assert [track.group for track in found] == ["mine", "1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group": "artist", "group_regex": "x"}, "not from both"),
        ({"group": "composer"}, "can be artist, album, albumartist"),
        ({"labels": "none", "label_map": "m.csv"}, "a label map needs labels"),
    ],
)
def test_contradictions(options: dict[str, str], message: str) -> None:
    with pytest.raises(TableError, match=message):
        Labelling(**options)


def test_the_library_takes_the_same_options(library: Path, spellings: Path) -> None:
    config = genreclf.load_config(overrides=["separation=none", "excerpt.seconds=2"])
    table = genreclf.extract(
        library, config, labels="tags", label_map=spellings, group="artist"
    )  # fmt: skip
    assert list(table.labels) == ["hiphop", "hiphop", "hiphop", "Jazz", "", "", "JAZZ"]
    assert table.groups[0] == table.groups[1] == table.groups[2] == "the beatles"
    assert "no genre tag, and so no label: 1 of 7 tracks" in table.notes
    table = genreclf.extract(library, config, group_regex=r"([0-3])\.flac$")
    assert list(table.groups) == ["0", "1", "2", "3", "", "", ""]


def test_the_command_takes_labels_and_groups_from_tags(
    library: Path, spellings: Path, tmp_path: Path
) -> None:
    options = [*QUICK, "--labels", "tags", "--label-map", spellings, "-o", tmp_path / "t.csv"]
    done = run("extract", library, *options, "--group", "artist", "--jobs", 2)
    assert done.exit_code == 0, done.output
    table = load_table(tmp_path / "t.csv")
    assert list(table.labels) == ["hiphop", "hiphop", "hiphop", "Jazz", "", "", "JAZZ"]
    assert list(table.groups) == ["the beatles"] * 3 + ["bjork"] * 2 + ["", "rem"]
    assert "note: no artist tag, and so no group: 1 of 7 tracks\n" in done.stderr
    assert "accuracy will be too high" not in done.stderr  # the one without a group has no label
    done = run("extract", library, *options, "--group-regex", r"library/(\d)")
    assert list(load_table(tmp_path / "t.csv").groups) == list("0123456")


def test_labels_can_be_found_in_paths(library: Path) -> None:
    config = genreclf.load_config(overrides=["separation=none", "excerpt.seconds=2"])
    tracks = find_tracks([library], "none").tracks
    labelling = Labelling(label_regex=r"/([0-4])\.flac$", group_regex="library")
    assert labelling.of_paths == "none"
    found = label_tracks(tracks, labelling)
    assert [track.label for track in found.tracks] == [*"01234", None, None]
    assert {track.group for track in found.tracks} == {"library"}
    assert found.notes == ["no label found in the path: 2 of 7 tracks"]
    table = genreclf.extract(library, config, label_regex=r"([0-4])\.flac$")
    assert list(table.labels) == [*"01234", "", ""]


def test_genres_are_listed_and_too_many_are_warned_of(library: Path) -> None:
    done = run("extract", library, *QUICK, "-q")
    assert "genre" not in done.stderr
    done = run("extract", library, *QUICK)
    assert "1 genre: library 7\n" in done.stderr
    assert "warning" not in done.stderr
    done = run("extract", library, *QUICK, "--label-regex", r"([0-4])\.flac")
    assert "5 genres: 0 1, 1 1, 2 1, 3 1, 4 1, 2 without\n" in done.stderr
    assert "warning: 5 labels for 5 tracks: are these genres" in done.stderr
    assert "genre" not in run("extract", library, *QUICK, "--labels", "none").stderr


def test_only_the_most_frequent_of_many_genres_are_listed() -> None:
    tracks = [Track(Path(f"{i}"), f"g{min(i, 20):02}") for i in range(60)]
    [listed, *rest] = describe_labels(tracks)
    assert listed.startswith("21 genres: ")
    assert "g20 40" in listed
    assert listed.endswith(", 9 more")
    assert rest == []
    assert describe_labels(tracks[:1]) == describe_labels([Track(Path("a"))] * 2) == []


def test_labels_without_groups_are_noted(library: Path, tmp_path: Path) -> None:
    output = ["-o", tmp_path / "t.csv"]
    told = "note: no groups: where an artist has several tracks, the accuracy will be too high"
    assert told in run("extract", library, *QUICK, *output).stderr
    assert told not in run("extract", library, *QUICK, *output, "--labels", "none").stderr
    some = run("extract", library, *QUICK, *output, "--group", "album").stderr
    assert "note: 4 of 7 tracks in no group: " in some


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--group", "artist", "--group-regex", "x"], 2, "not from both"),
        (["--labels", "none", "--label-map", "m.csv"], 2, "a label map needs labels"),
        (["--group", "composer"], 2, "'composer'"),
        (["--label-map", "no.csv"], 1, "no.csv: no such file"),
        (["--group-regex", "("], 1, "not a regular expression"),
        (["--label-regex", "("], 1, "--label-regex (: not a regular expression"),
        (["--label-regex", "nowhere"], 1, "finds no label in any path"),
        (["--labels", "tags", "--label-regex", "x"], 2, "not from both"),
        (["--group-regex", "nowhere"], 1, "finds no group in any path"),
    ],
)
def test_wrong_options_are_errors_of_one_line(
    library: Path, options: list[str], status: int, message: str
) -> None:
    done = run("extract", library / "0.flac", *QUICK, *options)
    assert done.exit_code == status
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert done.stdout == ""


def test_resumed_runs_take_the_labels_of_today(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise TableError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(FeatureTable, "save", full)
        done = run("extract", library, *QUICK, "-o", tmp_path / "t.csv", "--no-cache")
        assert done.exit_code == 1
    done = run("extract", library, *QUICK, "-o", tmp_path / "t.csv", "--no-cache",
               "--labels", "tags", "--group", "artist")  # fmt: skip
    assert "7 finished by an earlier run" in done.stderr
    table = load_table(tmp_path / "t.csv")
    assert list(table.labels)[:2] == ["Hip Hop", "hip-hop"]
    assert table.groups[6] == "rem"


def test_inspect_shows_tags_and_tells_of_broken_ones(
    library: Path, tmp_path: Path, write_audio: Callable[..., Path]
) -> None:
    assert "The Beatles" in run("inspect", library / "0.flac", *QUICK).stdout
    path = tmp_path / "a.mp3"
    source = write_audio("a.mp3", SONG, RATE)
    path.write_bytes(b"ID3\x03\0\x40" + bytes([0, 0, 0, 8]) + b"\xff" * 8 + source.read_bytes())
    done = run("inspect", path, *QUICK)
    assert done.exit_code == 0
    assert "Traceback" not in done.output


def test_spellings_of_folders_are_noted() -> None:
    tracks = [Track(Path(f"{label}/a.mp3"), label) for label in ("Hip Hop", "hip-hop", "jazz")]
    [note] = label_tracks(tracks, Labelling()).notes
    assert "'Hip Hop' and 'hip-hop'" in note
