"""Labels of tables and manifests: counted, renamed, corrected, and brought back."""

import csv
import json
import os
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import run
from sample_models import QUICK
from sample_tables import blobs, texts

from genreclf.config.load import load_config
from genreclf.errors import TableError
from genreclf.features.measured import frame_shapes
from genreclf.features.pooling import feature_names
from genreclf.library.pathmatching import PathIndex
from genreclf.library.sources import find_tracks
from genreclf.tables.formats import read_parts
from genreclf.tables.frames import Frames
from genreclf.tables.reading import load_table
from genreclf.tables.relabelling import Outputs, apply_corrections, rename_genres
from genreclf.tables.table import FeatureTable

PATHS = ["music/rock/a.mp3", "music/jazz/a.mp3", "music/rock/b, c.mp3", "music/x.mp3"]
NOT_UTF8 = os.fsdecode(b"music/caf\xe9.mp3")


def own_table(paths: list[str] | None = None) -> FeatureTable:
    """A table as ``extract`` makes it; the last track has no label."""
    paths = paths or PATHS
    names = feature_names(QUICK)
    table = blobs(len(paths), 1, len(names))
    labels = [*["rock", "jazz", "Rock"] * len(paths)][: len(paths) - 1]
    return replace(
        table,
        paths=texts(paths),
        labels=texts([*labels, ""]),
        groups=texts([f"artist {i % 2}" for i in range(len(paths))]),
        names=names,
        config=QUICK.extraction,
        assignments={"fold": texts([str(i % 2) for i in range(len(paths))])},
    )


@pytest.fixture(params=["csv", "parquet", "npz"])
def table_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"features.{request.param}"
    own_table().save(path)
    return path


def corrections(folder: Path, *rows: tuple[str, str], name: str = "corrections.csv") -> Path:
    path = folder / name
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    return path


def labels_of(path: Path) -> list[str]:
    return list(load_table(path).labels)


def test_labels_change_and_nothing_else_and_come_back(table_file: Path) -> None:
    folder, output = table_file.parent, table_file.with_stem("features2")
    wanted = corrections(
        folder,
        ("music/rock/a.mp3", "pop"),
        ("music/jazz/a.mp3", "not music"),
        ("music/rock/b, c.mp3", "Rock"),
        ("music/x.mp3", 'hip "hop", old'),
    )
    done = run("labels", "apply", wanted, table_file, "-o", output)
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "music/rock/a.mp3: rock -> pop",
        "music/jazz/a.mp3: jazz -> no label",
        'music/x.mp3: no label -> hip "hop", old',
        "not music, so without a label and not used in training: 1 track: music/jazz/a.mp3",
        "3 labels changed, 1 already as wanted, 0 not found",
        f"labels written to {output}",
        f"manifest written to {folder / 'features2.manifest.csv'}",
        f"to undo: genreclf labels apply {folder / 'features2.undo.csv'} {output} -o FILE",
    ]
    before, after = load_table(table_file), load_table(output)
    assert list(after.labels) == ["pop", "", "Rock", 'hip "hop", old']
    assert after.values.tobytes() == before.values.tobytes()
    assert (after.names, after.config) == (before.names, before.config)
    for column in ("paths", "groups"):
        assert list(getattr(after, column)) == list(getattr(before, column))
    assert list(after.assignments["fold"]) == ["0", "1", "0", "1"]

    again = table_file.with_stem("features3")
    undone = run("labels", "apply", folder / "features2.undo.csv", output, "-o", again)
    assert undone.exit_code == 0, undone.output
    assert labels_of(again) == list(before.labels)
    if table_file.suffix == ".csv":
        assert again.read_bytes() == table_file.read_bytes()


def test_the_manifest_holds_all_labels_for_extract(tmp_path: Path) -> None:
    for path in PATHS:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    own_table().save(tmp_path / "features.csv")
    wanted = corrections(tmp_path, ("music/x.mp3", "folk"))
    (tmp_path / "out").mkdir()
    done = run("labels", "apply", wanted, "features.csv", "-o", "out/new.csv", cwd=tmp_path)
    assert done.exit_code == 0, done.output
    found = find_tracks([tmp_path / "music"], tmp_path / "out" / "new.manifest.csv")
    assert {track.path.relative_to(tmp_path).as_posix(): track.label for track in found.tracks} == {
        PATHS[0]: "rock", PATHS[1]: "jazz", PATHS[2]: "Rock", PATHS[3]: "folk",
    }  # fmt: skip
    assert {track.group for track in found.tracks} == {"artist 0", "artist 1"}
    assert found.tracks[0].assignments == (("fold", "1"),)
    assert found.notes == []


def test_unknown_paths_are_named_and_the_others_applied(tmp_path: Path) -> None:
    table = tmp_path / "features.csv"
    own_table().save(table)
    wanted = corrections(tmp_path, ("music/y.mp3", "pop"), ("music/x.mp3", "pop"))
    done = run("labels", "apply", wanted, table, "-o", table)
    assert done.exit_code == 3
    assert "music/y.mp3: no such track\n" in done.stderr
    assert f"labels written to {table} (replaced)" in done.stderr
    assert labels_of(table) == ["rock", "jazz", "Rock", "pop"]

    only_unknown = corrections(tmp_path, ("music/y.mp3", "pop"))
    done = run("labels", "apply", only_unknown, table, "-o", tmp_path / "none.csv")
    assert done.exit_code == 1
    assert "none of its paths is in the table" in done.stderr
    assert not (tmp_path / "none.csv").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("music/x.mp3", "pop"), ("music/x.mp3", "rock")],
            "'pop' in line 2, and 'rock' in line 3",
        ),
        ([("music/x.mp3", "pop"), ("x.mp3", "")], "'pop' in line 2, and no label in line 3"),
        ([("no.mp3", "pop"), ("no.mp3", "jazz")], "'pop' in line 2, and 'jazz' in line 3"),
        ([], "holds no corrections"),
        ([("", "pop")], "line 2 has no path"),
        ([("music/x.mp3", "x" * 2000)], "line 2: its label is too long"),
        ([("music/x.mp3", os.fsdecode(b"caf\xe9"))], "the label in line 2 is not text in UTF-8"),
    ],
)
def test_corrections_that_cannot_be_used_are_refused(
    rows: list[tuple[str, str]], message: str, tmp_path: Path
) -> None:
    table = tmp_path / "features.csv"
    own_table().save(table)
    done = run("labels", "apply", corrections(tmp_path, *rows), table, "-o", tmp_path / "new.csv")
    assert done.exit_code == 1
    [line] = done.stderr.splitlines()
    assert message in line
    assert "corrections.csv" in line
    assert not list(tmp_path.glob("new*"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("music/rock/a.mp3", [0]),
        ("./music/rock/../rock/a.mp3", [0]),
        ("rock/a.mp3", [0]),
        ("/elsewhere/music/rock/a.mp3", [0]),
        ("../music/jazz/a.mp3", [1]),
        ("b, c.mp3", [2]),
        ("/other/x.mp3", None),
        ("a.mp3", "could be music/rock/a.mp3 or music/jazz/a.mp3"),
        ("blues/a.mp3", None),
        ("MUSIC/rock/a.mp3", None),
        ("cafe\u0301.mp3", [4]),
        ("music/back\\\\slash\\n.mp3", [5]),
        ("music/nul\0.mp3", None),
        ("twice.mp3", [6, 8]),
    ],
)
def test_paths_are_compared_as_texts_files_and_by_their_ends(
    path: str, expected: list[int] | str | None, tmp_path: Path
) -> None:
    paths = [*PATHS, "music/caf\xe9.mp3", "music/back\\slash\n.mp3", "twice.mp3", "", "twice.mp3"]
    index = PathIndex(paths, tmp_path)
    if isinstance(expected, list):
        assert index.find(path) == expected
        return
    with pytest.raises(TableError, match=expected or "no such track"):
        index.find(path)


def test_one_file_by_two_names_is_found(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    index = PathIndex(["real/a.mp3", "other/a.mp3"], tmp_path)
    assert index.find(str(tmp_path / "link" / "a.mp3")) == [0]


def test_manifests_keep_their_columns_encoding_and_quotes(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    text = (
        'sep=;\r\npath;year;"label";note\r\nrock/ä.mp3;1999;"a;b";"two\r\nlines"\r\n\r\n'
        "rock/b.mp3;;rock;x\r\n"
    )
    manifest.write_bytes(text.encode("utf-16"))
    wanted = corrections(tmp_path, (str(tmp_path / "rock" / "ä.mp3"), "pop"), ("b.mp3", "c;d"))
    output = tmp_path / "new.csv"
    apply_corrections(wanted, manifest, Outputs(output))
    expected = text.replace('"a;b"', '"pop"').replace(";rock;", ';"c;d";')
    assert output.read_bytes().decode("utf-16") == expected
    assert sorted(path.name for path in tmp_path.glob("new*")) == ["new.csv", "new.undo.csv"]
    apply_corrections(tmp_path / "new.undo.csv", output, Outputs(tmp_path / "old.csv"))
    back = (tmp_path / "old.csv").read_bytes().decode("utf-16")
    assert back.replace('"rock"', "rock") == text


def test_foreign_tables_keep_every_column(tmp_path: Path) -> None:
    table = tmp_path / "foreign.csv"
    table.write_text("filename,length,genre,artist\na.au,66179.123456789012,1,X\nb.au,1e-3,2,Y\n")
    wanted = corrections(tmp_path, ("a.au", "blues"))
    done = run(
        "labels", "apply", wanted, table, "-o", tmp_path / "new.csv", "--label-column", "genre"
    )
    assert done.exit_code == 0, done.output
    expected = "filename,length,genre,artist\na.au,66179.123456789012,blues,X\nb.au,1e-3,2,Y\n"
    assert (tmp_path / "new.csv").read_text() == expected
    undo = done.stderr.splitlines()[-1].removeprefix("to undo: genreclf ").removesuffix("FILE")
    old = tmp_path / "old.csv"
    assert run(*shlex.split(undo), old).exit_code == 0
    assert old.read_bytes() == table.read_bytes()
    shown = run("labels", "show", old, "--label-column", "genre").stdout
    assert "2 tracks: 2 with one of 2 genres" in shown
    missing = run("labels", "apply", wanted, table, "-o", tmp_path / "other.csv")
    assert missing.exit_code == 1
    assert "foreign.csv: no column label;" in missing.stderr


def test_other_columns_of_parquet_files_keep_their_types(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"path": ["a", "b"], "genre": [1, 2], "x": [0.1, 0.2], "n": [3, 4]})
    frame.to_parquet(tmp_path / "foreign.parquet")
    wanted = corrections(tmp_path, ("b", "blues"))
    outputs = Outputs(tmp_path / "new.parquet")
    apply_corrections(wanted, tmp_path / "foreign.parquet", outputs, "genre")
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "new.parquet"), frame.assign(genre=["1", "blues"])
    )
    kinds = pyarrow.parquet.read_schema(tmp_path / "new.parquet")
    assert [str(kinds.field(name).type) for name in ("x", "n")] == ["double", "int64"]


@pytest.mark.skipif(os.name == "nt", reason="names of files are text there")
def test_names_that_are_not_utf8_and_equal_names_come_back_too(tmp_path: Path) -> None:
    table = tmp_path / "features.csv"
    own_table([NOT_UTF8, "a\rb.mp3", "twice.mp3", "twice.mp3", ""]).save(table)
    done = run("labels", "rename", "rock", "pop", "jazz", "pop", "Rock", "pop", table, "-o",
               tmp_path / "new.csv")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert labels_of(tmp_path / "new.csv") == ["pop", "pop", "pop", "pop", ""]
    assert "without tracks whose names are not UTF-8: 1" in done.stderr
    undo = tmp_path / "new.undo.csv"
    run("labels", "apply", undo, tmp_path / "new.csv", "-o", tmp_path / "old.csv")
    assert (tmp_path / "old.csv").read_bytes() == table.read_bytes()


def test_a_label_not_music_comes_back_as_it_was(tmp_path: Path) -> None:
    table = tmp_path / "features.csv"
    speech = replace(own_table(), labels=texts(["not music", "rock", "", "not music"]))
    speech.save(table)
    apply_corrections(
        corrections(tmp_path, ("music/x.mp3", "folk")), table, Outputs(tmp_path / "new.csv")
    )
    apply_corrections(tmp_path / "new.undo.csv", tmp_path / "new.csv", Outputs(tmp_path / "o.csv"))
    assert labels_of(tmp_path / "o.csv") == list(speech.labels)


def test_frames_are_carried(tmp_path: Path) -> None:
    settings = ['pooling.keep_frames=["mix.mfcc"]', "pooling.frames_per_track=4"]
    config = load_config(overrides=["separation=none", *settings]).extraction
    names, shapes = feature_names(config), frame_shapes(config)
    random = np.random.default_rng(0)
    values = random.standard_normal((4, len(names))).astype(np.float32)
    frames = {n: random.standard_normal((4, *shape)).astype("f2") for n, shape in shapes.items()}
    table = replace(own_table(), names=names, values=values, config=config, frames=Frames(frames))
    table.save(tmp_path / "features.csv")
    wanted = corrections(tmp_path, ("music/x.mp3", "folk"))
    apply_corrections(wanted, tmp_path / "features.csv", Outputs(tmp_path / "new.csv"))
    carried = load_table(tmp_path / "new.csv").frames
    assert carried is not None
    assert carried["mix.mfcc"].tobytes() == frames["mix.mfcc"].tobytes()
    apply_corrections(wanted, tmp_path / "new.csv", Outputs(tmp_path / "new.csv"))
    assert load_table(tmp_path / "new.csv").frames is not None


def test_a_folder_of_parquet_files_becomes_another(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    table, folder = own_table(), tmp_path / "features.parquet"
    folder.mkdir()
    table.take(np.array([0, 1])).save(folder / "part-00000.parquet")
    table.take(np.array([2, 3])).save(folder / "part-00001.parquet")
    wanted = corrections(tmp_path, ("music/jazz/a.mp3", "folk"), ("music/x.mp3", "pop"))
    output = tmp_path / "new.parquet"
    done = run("labels", "apply", wanted, folder, "-o", output)
    assert done.exit_code == 0, done.output
    assert labels_of(output) == ["rock", "folk", "Rock", "pop"]
    assert load_table(output).values.tobytes() == table.values.tobytes()
    parts = read_parts(output)
    assert parts is not None
    assert parts.finished
    again = run("labels", "apply", wanted, folder, "-o", output)
    assert again.exit_code == 1
    assert "new.parquet: exists; write a folder of tables to a new folder" in again.stderr


def test_outputs_do_not_replace_inputs_or_each_other(tmp_path: Path) -> None:
    table = tmp_path / "features.csv"
    own_table().save(table)
    wanted = corrections(tmp_path, ("music/x.mp3", "folk"))
    before = {path: path.read_bytes() for path in (table, wanted)}
    new = tmp_path / "new.csv"
    for arguments in (
        ("-o", wanted), ("-o", new, "--undo", table), ("-o", new, "--undo", wanted),
        ("-o", new, "--manifest", table), ("-o", new, "--undo", new),
        ("-o", new.with_suffix(".npz")),
    ):  # fmt: skip
        done = run("labels", "apply", wanted, table, *arguments)
        assert done.exit_code == 1, arguments
        assert len(done.stderr.splitlines()) == 1
    for option in ("-o", "--undo", "--manifest"):
        unnamed = run("labels", "apply", wanted, table, "-o", new, option, "-")
        assert unnamed.exit_code == 2
        assert "not to standard output" in unnamed.stderr
    assert {path: path.read_bytes() for path in before} == before
    run("labels", "apply", wanted, table, "-o", table)
    first = (tmp_path / "features.undo.csv").read_bytes()
    run("labels", "rename", "folk", "pop", table, "-o", table)
    assert (tmp_path / "features.undo.csv").read_bytes() == first
    assert (tmp_path / "features.undo-2.csv").exists()


def test_genres_are_renamed_at_once(tmp_path: Path) -> None:
    table = tmp_path / "features.csv"
    own_table().save(table)
    done = run("labels", "rename", "rock", "jazz", "jazz", "rock", "Rock", "", table,
               "-o", tmp_path / "new.csv")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert labels_of(tmp_path / "new.csv") == ["jazz", "rock", "", ""]
    assert "music/rock/b, c.mp3: Rock -> no label" in done.stderr

    partly = run("labels", "rename", "rock", "pop", "ROCK", "pop", table, "-o", tmp_path / "p.csv")
    assert partly.exit_code == 3
    assert "no track has the label 'ROCK'; there is 'Rock' and 'rock'" in partly.stderr
    assert labels_of(tmp_path / "p.csv") == ["pop", "jazz", "Rock", ""]
    assert run("labels", "rename", "x", "y", table, "-o", tmp_path / "q.csv").exit_code == 1
    assert run("labels", "rename", "x", table, "-o", tmp_path / "q.csv").exit_code == 2


@pytest.mark.parametrize("pairs", [[("", "a")], [("rock", "a"), ("rock", "b")]])
def test_names_that_contradict_each_other_are_refused(
    pairs: list[tuple[str, str]], tmp_path: Path
) -> None:
    own_table().save(tmp_path / "features.csv")
    with pytest.raises(TableError, match="a genre is renamed once"):
        rename_genres(pairs, tmp_path / "features.csv", Outputs(tmp_path / "new.csv"))


def test_show_counts_genres_groups_and_spellings(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    rows = ["a,hip hop,X", "b,Hip-Hop,X", "c,Hip-Hop,Y", "d,hiphop,", "e,,X", "f,rock,X"]
    manifest.write_text("\n".join(["path,label,group", *rows]) + "\n")
    counts = json.loads(run("labels", "show", manifest, "--json", "-").stdout)
    assert counts == {
        "n_tracks": 6,
        "n_unlabelled": 1,
        "genres": [
            {"genre": "Hip-Hop", "n_tracks": 2, "n_groups": 2},
            {"genre": "hip hop", "n_tracks": 1, "n_groups": 1},
            {"genre": "hiphop", "n_tracks": 1, "n_groups": 0},
            {"genre": "rock", "n_tracks": 1, "n_groups": 1},
        ],
        "spellings": [["Hip-Hop", "hip hop", "hiphop"]],
    }
    shown = run("labels", "show", manifest).stdout
    assert "6 tracks: 5 with one of 4 genres, 1 without a label" in shown
    hint = "genreclf labels rename 'hip hop' Hip-Hop hiphop Hip-Hop TABLE"
    assert hint in " ".join(shown.split())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"path,label\n", "has no rows"),
        ("t.csv", b"", "no column label"),
        ("t.csv", b"\x00\x01\x02", "cannot be read"),
        ("t.csv", b'path,label\n"a,b', "is the file cut off?"),
        ("t.csv", b"path,label\na,b\nc", "is the file cut off?"),
        ("t.npz", b"PK\x03\x04 no archive", "cannot be read"),
        ("t.parquet", b"PAR1 no table", "cannot be read"),
    ],
)
def test_damaged_files_are_refused_in_one_line(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    done = run("labels", "show", tmp_path / name)
    assert done.exit_code == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"genreclf: {tmp_path / name}: ")
    assert message in line
