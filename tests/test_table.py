import csv
import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sample_tables import blobs, own_table, texts

from genreclf import __version__
from genreclf.config.load import load_config
from genreclf.errors import GenreclfError, TableError
from genreclf.tables import storage
from genreclf.tables.columns import Columns
from genreclf.tables.formats import table_format
from genreclf.tables.reading import load_table
from genreclf.tables.table import FeatureTable

SUFFIXES = [".csv", ".parquet", ".npz"]


def bits(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    assert values.dtype == np.float32
    return np.ascontiguousarray(values).view(np.uint32)


def saved(table: FeatureTable, path: Path) -> FeatureTable:
    table.save(path)
    return load_table(path)


def from_elsewhere(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".CSV"])
def test_a_table_comes_back_bit_for_bit_with_its_configuration(tmp_path: Path, suffix: str) -> None:
    table = own_table()
    read = saved(table, tmp_path / f"t{suffix}")
    np.testing.assert_array_equal(bits(read.values), bits(table.values))
    assert read.names == table.names
    for column in ("paths", "labels", "groups"):
        assert list(getattr(read, column)) == list(getattr(table, column))
    assert read.config == table.config
    assert read.config is not None
    assert read.config.fingerprint == load_config("wide").fingerprint
    assert read.notes == []
    assert read.folds is read.split is None


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_from_elsewhere_comes_back_without_a_configuration(
    tmp_path: Path, suffix: str
) -> None:
    table = blobs()
    read = saved(table, tmp_path / f"t{suffix}")
    np.testing.assert_array_equal(read.values, table.values)
    assert read.config is None


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_writing_is_deterministic(tmp_path: Path, suffix: str) -> None:
    first, second = tmp_path / f"1{suffix}", tmp_path / f"2{suffix}"
    own_table().save(first)
    own_table().save(second)
    assert first.read_bytes() == second.read_bytes()


def test_pandas_reads_our_csv_by_skipping_comments(tmp_path: Path) -> None:
    table = own_table()
    assert any("#" in name for name in table.names)
    table = replace(table, paths=texts([f"#{i} a.mp3" for i in range(len(table))]))
    table.save(tmp_path / "t.csv")
    frame = pd.read_csv(tmp_path / "t.csv", comment="#")
    assert list(frame.columns) == ["path", "label", "group", *table.names]
    assert list(frame["path"]) == list(table.paths)
    values = frame[table.names].to_numpy(dtype=np.float32)
    np.testing.assert_array_equal(bits(values), bits(table.values))


def test_the_csv_begins_with_one_comment_that_holds_the_configuration(tmp_path: Path) -> None:
    table = own_table()
    table.save(tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        comment = file.readline()
        rows = list(csv.reader(file))
    header = json.loads(comment.removeprefix("# "))
    assert header["genreclf"] == __version__
    assert header["fingerprint"] == load_config("wide").fingerprint
    assert header["config"]["audio"] == {
        "sample_rate_hz": 22050, "resampler": "soxr_hq", "rms_dbfs": -20,
    }  # fmt: skip
    assert rows[0] == ["path", "label", "group", *table.names]
    assert len(rows) == 1 + len(table)


def test_the_same_csv_goes_to_a_stream(tmp_path: Path) -> None:
    table, stream = own_table(), io.StringIO()
    table.save(tmp_path / "t.csv")
    table.write_csv(stream)
    assert stream.getvalue() == (tmp_path / "t.csv").read_text(encoding="utf-8")


ODD_TEXTS = [
    "", "NA", "None", "nan", "null", "N/A", "<NA>", "123", "1e5", "007", "True", "inf", "-", "#1",
    "# {", "a,b", 'q"uo""te', "'single'", " lead", "trail ", "new\nline", "cr\rlf\r\n", "tab\t",
    "naïve 音楽 🎵", "\ufeffmark", "\u2028", "=1+1", "a\\",
]  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_odd_texts_come_back(tmp_path: Path, suffix: str) -> None:
    odd = texts(ODD_TEXTS)
    table = replace(blobs(len(odd), 1), paths=odd, labels=odd[::-1], groups=np.roll(odd, 1))
    read = saved(table, tmp_path / f"t{suffix}")
    assert list(read.paths) == list(table.paths)
    assert list(read.labels) == list(table.labels)
    assert list(read.groups) == list(table.groups)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("genre", ["NA", "None", "123", "nan"])
def test_a_genre_called_like_a_missing_value_is_a_genre(
    tmp_path: Path, suffix: str, genre: str
) -> None:
    table = replace(blobs(2, 2), labels=texts([genre, "b", genre, ""]))
    assert saved(table, tmp_path / f"t{suffix}").genres == sorted([genre, "b"])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_path_that_is_not_utf8_comes_back(tmp_path: Path, suffix: str) -> None:
    # As os.fsdecode gives the Latin-1 names of old archives.
    table = replace(blobs(2, 2), paths=texts(["caf\udce9.mp3", "b", "c", "d"]))
    assert list(saved(table, tmp_path / f"t{suffix}").paths) == list(table.paths)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_column_of_numbers_for_labels_stays_text(tmp_path: Path, suffix: str) -> None:
    table = replace(blobs(2, 2), labels=texts(["1", "2", "1", "2"]), groups=texts(["07"] * 4))
    read = saved(table, tmp_path / f"t{suffix}")
    assert list(read.labels) == ["1", "2", "1", "2"]
    assert list(read.groups) == ["07"] * 4


def test_writing_over_a_table_is_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("old")

    def disk_full(table: FeatureTable, file: io.TextIOBase) -> None:
        file.write("new")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "write_csv", disk_full)
    with pytest.raises(TableError, match=r"t\.csv: cannot be written: No space left on device"):
        blobs().save(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_writing_where_nothing_can_be_written(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(TableError, match=r"cannot be written: .*No such file"):
        blobs().save(tmp_path / f"missing/t{suffix}")


@pytest.mark.parametrize("name", ["t", "t.xlsx", "t.csv.gz", ".csv"])
def test_an_unknown_suffix(tmp_path: Path, name: str) -> None:
    for use in (blobs().save, load_table):
        with pytest.raises(TableError, match=r"a table's name ends in \.csv, \.parquet or \.npz"):
            use(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    blobs().save(path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    for use in (blobs().save, load_table, table_format):
        with pytest.raises(TableError, match=r"pip install 'genreclf\[parquet\]'"):
            use(path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_columns_of_a_table_from_elsewhere(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame(
        {
            "tempo": [120.5, np.nan, 90.0],
            "genre": ["rock", "", "blues"],
            "count": [1, 2, 3],
            "artist": ["x", "y", "x"],
            "comment": ["loud", "soft", "good"],
            "length": [1, 2, 3],
            "part": ["train", "test", "valid"],
            "artist_fold": [1, 2, 3],
            "OldSplit": [1, 2, 1],
            "loud": [True, False, True],
        }
    )
    path = from_elsewhere(frame, tmp_path / f"t{suffix}")
    columns = Columns(label="genre", group="artist", split="part", ignore=("length",))
    table = load_table(path, columns)
    assert table.names == ["tempo", "count", "loud"]
    expected = np.array([[120.5, 1, 1], [np.nan, 2, 0], [90, 3, 1]], dtype=np.float32)
    np.testing.assert_array_equal(table.values, expected)
    assert list(table.labels) == ["rock", "", "blues"]
    assert list(table.groups) == ["x", "y", "x"]
    assert table.split is not None
    assert list(table.split) == ["train", "test", "valid"]
    assert list(table.paths) == ["", "", ""]
    assert table.config is table.folds is None
    [note] = table.notes
    assert note.endswith("comment, artist_fold, OldSplit")


def test_a_file_name_stands_in_for_a_path(tmp_path: Path) -> None:
    frame = pd.DataFrame({"filename": ["a.wav", "b.wav"], "length": [1, 2]})
    table = load_table(from_elsewhere(frame, tmp_path / "t.csv"))
    assert list(table.paths) == ["a.wav", "b.wav"]
    assert table.names == ["length"]


def test_the_own_label_column_is_no_feature_when_another_is_named(tmp_path: Path) -> None:
    frame = pd.DataFrame({"label": [0, 1], "genre": ["a", "b"], "group": [3, 4], "f": [1, 2]})
    table = load_table(from_elsewhere(frame, tmp_path / "t.csv"), Columns(label="genre"))
    assert table.names == ["f"]
    assert list(table.labels) == ["a", "b"]
    assert list(table.groups) == ["3", "4"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    "folds",
    [[1, 2, 10, 1], [1.0, np.nan, 10.0, 1.0], ["a", None, "b", "a"], ["01", "2", "10", "01"]],
)
def test_published_folds_are_read(
    tmp_path: Path, suffix: str, folds: list[float | str | None]
) -> None:
    frame = pd.DataFrame({"f": [1, 2, 3, 4], "set": folds})
    table = load_table(from_elsewhere(frame, tmp_path / f"t{suffix}"), Columns(folds="set"))
    assert table.names == ["f"]
    assert table.folds is not None
    assert [fold == "" for fold in table.folds] == list(frame["set"].isna())
    ours, theirs = list(table.folds), list(folds)
    for a, b in combinations(range(4), 2):
        assert (ours[a] == ours[b]) == (theirs[a] == theirs[b])


def test_folds_of_whole_numbers_have_no_decimals(tmp_path: Path) -> None:
    frame = pd.DataFrame({"f": [1, 2], "fold": [1.0, np.nan], "g": [2.0, 3.0]})
    columns = Columns(folds="fold", group="g")
    table = load_table(from_elsewhere(frame, tmp_path / "t.parquet"), columns)
    assert table.folds is not None
    assert (list(table.folds), list(table.groups)) == (["1", ""], ["2", "3"])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_missing_values_become_nan(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"f": [1.0, np.nan], "i": pd.array([None, 3], dtype="Int64")})
    table = load_table(from_elsewhere(frame, tmp_path / f"t{suffix}"))
    np.testing.assert_array_equal(table.values, [[1, np.nan], [np.nan, 3]])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
def test_values_that_float32_cannot_hold(tmp_path: Path, suffix: str, value: float) -> None:
    frame = pd.DataFrame({"f": [1.0, 2.0], "big": [0, value]})
    with pytest.raises(TableError, match=r"column big is not finite"):
        load_table(from_elsewhere(frame, tmp_path / f"t{suffix}"))


@pytest.mark.parametrize(
    "columns",
    [
        Columns(label="gone"),
        Columns(group="gone"),
        Columns(folds="gone"),
        Columns(split="gone"),
        Columns(ignore=("gone",)),
    ],
)
def test_a_column_that_was_asked_for_is_missing(tmp_path: Path, columns: Columns) -> None:
    frame = pd.DataFrame({"label": ["a"], "tempo": [1.0]})
    with pytest.raises(TableError, match=r"t\.csv: no column gone; it has label, tempo"):
        load_table(from_elsewhere(frame, tmp_path / "t.csv"), columns)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_without_rows(tmp_path: Path, suffix: str) -> None:
    table = own_table().take(np.array([], dtype=int))
    table.save(tmp_path / f"t{suffix}")
    with pytest.raises(TableError, match="the table has no rows"):
        load_table(tmp_path / f"t{suffix}")


def test_a_table_without_numbers(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,label,f\na.mp3,x,loud\n")
    with pytest.raises(TableError, match="no numeric columns"):
        load_table(tmp_path / "t.csv")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"just a line of text\n",
        bytes(range(256)) * 9,
        b"PAR1 not really PAR1",
        b"PK\x03\x04 not really",
        b"# {broken json\na,b\n1,2\n",
        b'# {"config": 3}\na,b\n1,2\n',
        b'# {"config": {"spectra": {"n_fft": -1}}}\na,b\n1,2\n',
        b"a,b\n1,2\n3,4,5\n",
        "a,b\n1,2\n".encode("utf-16-le"),
    ],
)
def test_what_is_no_table(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_bytes(content)
    with pytest.raises(GenreclfError) as caught:
        load_table(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_that_is_cut_off(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    own_table().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2 if suffix != ".csv" else 200])
    with pytest.raises(TableError, match=f"t{suffix}: "):
        load_table(path)


def test_an_npz_that_holds_something_else(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    np.savez(path, X=np.eye(3))
    with pytest.raises(TableError, match=r"t\.npz: cannot be read as a table"):
        load_table(path)


def test_an_npz_never_runs_a_pickle(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    np.savez(path, path=np.array(["a", 3], dtype=object))
    with pytest.raises(TableError, match="allow_pickle"):
        load_table(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_is_not_there(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(TableError, match="no such file"):
        load_table(tmp_path / f"t{suffix}")


def test_a_parquet_file_whose_columns_have_numbers_for_names(tmp_path: Path) -> None:
    frame = pd.DataFrame([[1.0, 2.0], [3.0, 4.0]])
    table = load_table(from_elsewhere(frame, tmp_path / "t.parquet"))
    assert table.names == ["0", "1"]
    np.testing.assert_array_equal(table.values, frame.to_numpy())


def test_rows_longer_than_the_header_do_not_shift_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("label,tempo\nrock,120,7\nblues,90,8\n")
    with pytest.raises(TableError, match=r"t\.csv"):
        load_table(tmp_path / "t.csv")


def test_take_selects_rows_in_order() -> None:
    table = replace(blobs(2, 2), folds=texts(["1", "2", "3", ""]), notes=["kept"])
    part = table.take(np.array([3, 0]))
    assert list(part.paths) == [table.paths[3], table.paths[0]]
    assert list(part.labels) == ["genre1", "genre0"]
    np.testing.assert_array_equal(part.values, table.values[[3, 0]])
    assert part.folds is not None
    assert list(part.folds) == ["", "1"]
    assert part.split is None
    assert part.notes == ["kept"]
    mask = np.array([True, False, False, True])
    assert list(table.take(mask).paths) == [table.paths[0], table.paths[3]]
    assert len(table) == 4


def test_labelled_leaves_out_rows_without_a_label_and_says_so() -> None:
    table = replace(blobs(2, 2), labels=texts(["", "b", "a", ""]))
    assert table.genres == ["a", "b"]
    part = table.labelled()
    assert list(part.paths) == list(table.paths[1:3])
    assert part.notes == ["2 of 4 tracks have no label and are left out"]
    assert table.notes == []
    assert part.labelled() is part
    with pytest.raises(TableError, match="the table has no labels"):
        replace(table, labels=texts([""] * 4)).labelled()


def test_groups_are_there_if_any_track_has_one() -> None:
    table = blobs(2, 2)
    assert not table.has_groups
    assert replace(table, groups=texts(["", "", "x", ""])).has_groups


def test_columns_are_put_in_the_order_asked_for() -> None:
    table = blobs(2, 2)
    np.testing.assert_array_equal(table.columns_of(["f3", "f0"]), table.values[:, [3, 0]])
    with pytest.raises(TableError, match=r"2 of 3 feature columns are missing, gone first"):
        table.columns_of(["f0", "gone", "lost"])


def test_a_data_frame_of_a_table() -> None:
    table = blobs(2, 2)
    frame = table.to_frame()
    assert list(frame.columns) == ["path", "label", "group", *table.names]
    np.testing.assert_array_equal(frame[table.names].to_numpy(), table.values)
    assert list(frame["label"]) == list(table.labels)


def test_a_table_carries_the_extraction_only(tmp_path: Path) -> None:
    wide = load_config("wide", ["seed=5"])
    table = replace(own_table(3), config=wide.extraction)
    read = saved(table, tmp_path / "t.csv")
    assert read.config == load_config("wide").extraction


def two_tables(tmp_path: Path) -> tuple[Path, Path]:
    """The same tracks in another order, in a CSV and a Parquet file."""
    left = pd.DataFrame(
        {"path": ["a.mp3", "b.mp3", "c.mp3"], "label": ["x", "y", "x"], "m.0": [1.0, 2.0, 3.0]}
    )
    right = pd.DataFrame(
        {"filename": ["c.mp3", "a.mp3", "b.mp3"], "label": ["x", "x", "y"], "n.0": [30.0, 10, 20]}
    )
    left.to_csv(tmp_path / "left.csv", index=False)
    right.to_parquet(tmp_path / "right.parquet")
    return tmp_path / "left.csv", tmp_path / "right.parquet"


def test_joined_tables_are_one_by_path(tmp_path: Path) -> None:
    left, right = two_tables(tmp_path)
    table = load_table(left, Columns(join=(right,)))
    assert table.names == ["m.0", "n.0"]
    assert list(table.labels) == ["x", "y", "x"]
    np.testing.assert_array_equal(table.values, [[1, 10], [2, 20], [3, 30]])
    assert table.config is None


def test_tracks_of_one_table_only_are_left_out_with_a_note(tmp_path: Path) -> None:
    left, right = two_tables(tmp_path)
    pd.read_parquet(right).head(2).to_parquet(right)
    table = load_table(left, Columns(join=(right,)))
    assert list(table.paths) == ["a.mp3", "c.mp3"]
    assert table.notes == [f"1 of 3 tracks are left out: not in {right}"]


def test_tables_that_contradict_each_other_are_not_joined(tmp_path: Path) -> None:
    left, right = two_tables(tmp_path)
    pd.read_parquet(right).assign(label="z").to_parquet(right)
    with pytest.raises(TableError, match="column label is in both tables with other values"):
        load_table(left, Columns(join=(right,)))


def test_a_track_that_is_twice_in_a_table_cannot_be_joined(tmp_path: Path) -> None:
    left, right = two_tables(tmp_path)
    frame = pd.read_parquet(right)
    pd.concat([frame, frame]).to_parquet(right)
    with pytest.raises(TableError, match="column path with every track once"):
        load_table(left, Columns(join=(right,)))


def test_own_tables_joined_know_no_configuration(tmp_path: Path) -> None:
    own_table().save(tmp_path / "own.csv")
    other = pd.DataFrame({"path": own_table().paths, "more": np.arange(float(len(own_table())))})
    other.to_csv(tmp_path / "more.csv", index=False)
    table = load_table(tmp_path / "own.csv", Columns(join=(tmp_path / "more.csv",)))
    assert table.config is None
    assert table.names == [*own_table().names, "more"]


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (Columns(features=("mfcc.*",)), ["mfcc.0", "mfcc.1"]),
        (Columns(features=("mfcc.*", "tempo")), ["mfcc.0", "mfcc.1", "tempo"]),
        (Columns(ignore=("mfcc.?",)), ["tempo", "rms[0]"]),
        (Columns(features=("*",), ignore=("*.1", "tempo")), ["mfcc.0", "rms[0]"]),
        (Columns(ignore=("rms[0]",)), ["mfcc.0", "mfcc.1", "tempo"]),
    ],
)
def test_features_are_chosen_by_pattern(tmp_path: Path, columns: Columns, names: list[str]) -> None:
    frame = pd.DataFrame(
        {"path": ["a"], "label": ["x"], "mfcc.0": [1.0], "mfcc.1": [2.0], "tempo": [3.0],
         "rms[0]": [4.0]}
    )  # fmt: skip
    table = load_table(from_elsewhere(frame, tmp_path / "t.csv"), columns)
    assert sorted(table.names) == sorted(names)


def test_a_pattern_that_matches_nothing_is_told(tmp_path: Path) -> None:
    frame = pd.DataFrame({"path": ["a"], "label": ["x"], "mfcc.0": [1.0]})
    path = from_elsewhere(frame, tmp_path / "t.csv")
    with pytest.raises(TableError, match=r"t\.csv: no column chroma.*; it has path, label, mfcc"):
        load_table(path, Columns(features=("chroma.*",)))


@pytest.mark.parametrize(
    ("regex", "groups"),
    [
        (r"^([^/]+)/", ["Abba", "Abba", ""]),
        (r"(?<=/)\d+", ["1976", "1978", ""]),
        (r"^(?:Abba)/(\d+)?", ["1976", "1978", ""]),
    ],
)
def test_groups_are_found_in_paths(tmp_path: Path, regex: str, groups: list[str]) -> None:
    frame = pd.DataFrame(
        {"path": ["Abba/1976/a.mp3", "Abba/1978/b.mp3", "c.mp3"], "group": ["", "", ""],
         "label": "x", "f": [1.0, 2.0, 3.0]}
    )  # fmt: skip
    table = load_table(from_elsewhere(frame, tmp_path / "t.csv"), Columns(group_regex=regex))
    assert list(table.groups) == groups


@pytest.mark.parametrize(
    ("regex", "told"),
    [("(", "not a regular expression"), ("nowhere", "finds no group in any path")],
)
def test_a_regular_expression_of_no_use(tmp_path: Path, regex: str, told: str) -> None:
    own_table().save(tmp_path / "t.csv")
    with pytest.raises(TableError, match=told):
        load_table(tmp_path / "t.csv", Columns(group_regex=regex))


# --- tables of strangers -------------------------------------------------------------------


def npz(file: Path, **arrays: bytes) -> Path:
    """Write an archive of whatever is given as arrays."""
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)
    return file


def npy(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000,), }\n",
        "{'descr': (('<f4',\n",
        "no header",
    ],
)
def test_arrays_whose_header_lies(tmp_path: Path, header: str) -> None:
    path = npz(tmp_path / "t.npz", path=npy(header), label=b"no array")
    with pytest.raises(TableError, match=r"t\.npz: cannot be read as a table: .") as caught:
        load_table(path)
    assert str(caught.value).isprintable()


def test_an_archive_that_unpacks_to_a_thousand_times_its_size(tmp_path: Path) -> None:
    path = npz(tmp_path / "bomb.npz", path=bytes(2**20))
    whole = path.read_bytes()
    told = (2**20).to_bytes(4, "little")
    assert whole.count(told) == 2
    path.write_bytes(whole.replace(told, (2**31).to_bytes(4, "little")))  # 2 MB would do as well
    with pytest.raises(TableError, match=r"bomb\.npz: .* unpacks to 2 GiB"):
        load_table(path)


def test_more_columns_than_anyone_has(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(",".join(map(str, range(100_001))) + "\n")
    with pytest.raises(TableError, match=r"wide\.csv: .* it has 100,001 columns"):
        load_table(path)


def test_a_first_line_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "endless.csv"
    path.write_bytes(b"," * 2**24)
    with pytest.raises(TableError, match=r"endless\.csv: .* first line is over 16,777,216 char"):
        load_table(path)


def test_a_column_that_is_there_twice(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    table = replace(blobs(2, 2), names=["a", "b", "c", "d", "e", "a"])
    table.save(path)
    with pytest.raises(TableError, match=r"t\.npz: .*two columns are named a"):
        load_table(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_a_spreadsheet_takes_for_a_formula_comes_back_as_it_is(
    tmp_path: Path, suffix: str
) -> None:
    formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "'=1"]
    table = replace(blobs(2, 3), paths=texts(formulas), labels=texts(formulas))
    read = saved(table, tmp_path / f"t{suffix}")
    assert list(read.paths) == list(read.labels) == formulas


def test_columns_in_another_order_are_found_by_name(tmp_path: Path) -> None:
    table = own_table(5)
    frame = table.to_frame()
    reordered = from_elsewhere(frame[frame.columns[::-1]], tmp_path / "t.csv")
    values = load_table(reordered).columns_of(table.names)
    np.testing.assert_array_equal(bits(values), bits(table.values))


def test_columns_that_others_added_make_a_table_from_elsewhere(tmp_path: Path) -> None:
    table = own_table(5)
    more = np.ones((5, 1), np.float32)
    widened = replace(table, names=[*table.names, "bpm"], values=np.hstack((table.values, more)))
    read = saved(widened, tmp_path / "t.csv")
    assert read.config is None
    [note] = read.notes
    assert note.startswith("read as a table that genreclf did not make, since")
    assert note.endswith("does not make bpm")


def test_paths_in_several_rows_are_named(tmp_path: Path) -> None:
    table = replace(blobs(2, 2), paths=texts(["a.mp3", "b.mp3", "a.mp3", ""]))
    [note] = saved(table, tmp_path / "t.csv").notes
    assert note.endswith("count as copies of one recording: a.mp3")


def test_genres_spelt_in_two_ways_are_named_and_kept_apart(tmp_path: Path) -> None:
    labels = ["Rock", "rock", "caf\u00e9", "cafe\u0301", "jazz", "hip  hop", "hip hop", "blues"]
    table = replace(blobs(8, 1), labels=texts(labels))
    read = saved(table, tmp_path / "t.csv")
    assert read.genres == sorted(labels)
    [note] = read.notes
    assert "'Rock' and 'rock'" in note
    assert r"'cafe\u0301' and 'caf\xe9'" in note
    assert "'hip  hop' and 'hip hop'" in note
    assert "jazz" not in note


def test_text_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    label = np.array(["rock"] * 4).view(np.uint32)
    label[0] = 0x110000
    with npz_arrays(path, blobs(2, 2)) as arrays:
        arrays["label"] = label.view("U4")
    with pytest.raises(TableError, match=r"t\.npz: cannot be read .* code points that do not"):
        load_table(path)
    parquet = tmp_path / "t.parquet"
    saved(replace(blobs(2, 2), labels=texts(["rock!"] * 4)), parquet)
    parquet.write_bytes(parquet.read_bytes().replace(b"rock!", b"roc\xff!"))
    with pytest.raises(TableError, match=r"t\.parquet: cannot be read as a table: .*UTF"):
        load_table(parquet)


@contextmanager
def npz_arrays(path: Path, table: FeatureTable) -> Iterator[dict[str, Any]]:
    """Give the arrays of a saved table, to be written back."""
    table.save(path)
    with np.load(path) as saved_arrays:
        arrays = dict(saved_arrays)
    yield arrays
    np.savez(path, **arrays)


def test_a_signalling_nan_is_a_missing_value(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    with npz_arrays(path, blobs(2, 2)) as arrays:
        values = arrays["values"].astype(np.float64)
        values.view(np.uint64)[0, 0] = 0x7FF0_0000_0000_0001
        arrays["values"] = values
    assert np.flatnonzero(np.isnan(load_table(path).values)).tolist() == [0]


# --- folds and splits that go with a table ---------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_folds_and_splits_go_with_a_table_and_are_no_features(tmp_path: Path, suffix: str) -> None:
    assignments = {"fold": texts(["01", "", "2"] * 2), "my_split": texts(["train", "test", ""] * 2)}
    table = replace(own_table(6), assignments=assignments)
    path = tmp_path / f"t{suffix}"
    read = saved(table, path)
    assert (read.names, read.notes, read.folds, read.split) == (table.names, [], None, None)
    assert read.config == table.config
    assert {name: list(column) for name, column in read.assignments.items()} == {
        name: list(column) for name, column in assignments.items()
    }
    assert list(read.to_frame().columns[:5]) == ["path", "label", "group", "fold", "my_split"]
    assert list(read.take(np.array([2, 0])).assignments["fold"]) == ["2", "01"]
    folds = load_table(path, Columns(folds="fold", split="my_split"))
    assert folds.folds is not None
    assert folds.split is not None
    assert list(folds.folds) == ["01", "", "2"] * 2
    assert list(folds.split) == ["train", "test", ""] * 2
    assert list(saved(folds, tmp_path / f"again{suffix}").assignments) == ["fold", "my_split"]
    with pytest.raises(TableError, match="no column other_fold"):
        load_table(path, Columns(folds="other_fold"))


def test_parts_have_the_folds_of_all(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    folder = tmp_path / "parts.parquet"
    folder.mkdir()
    table = own_table(4)
    first = replace(table.take(np.arange(2)), assignments={"fold": texts(["1", "2"])})
    first.save(folder / "0.parquet")
    table.take(np.arange(2, 4)).save(folder / "1.parquet")
    assert list(load_table(folder).assignments["fold"]) == ["1", "2", "", ""]
