"""Tables as spreadsheets and other programs save them again, and tables that are cut off."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import run
from sample_tables import any_floats, own_table, texts

from genreclf.config.load import load_config
from genreclf.errors import TableError
from genreclf.features.pooling import feature_names
from genreclf.tables.columns import Columns
from genreclf.tables.reading import load_table
from genreclf.tables.table import FeatureTable

NUMBER = re.compile(r"-?\d+\.\d+(e[+-]?\d+)?", re.IGNORECASE)


def small_table(n_tracks: int = 12) -> FeatureTable:
    """A table of our own with so few columns that its configuration has more cells."""
    config = load_config(overrides=["features.select=['mix.rms']"]).extraction
    names = feature_names(config)
    return FeatureTable(
        paths=texts([f"a, b/{i}.mp3" for i in range(n_tracks)]),
        labels=texts([("rock", "", "blues")[i % 3] for i in range(n_tracks)]),
        groups=texts([""] * n_tracks),
        names=names,
        values=any_floats((n_tracks, len(names))),
        config=config,
    )


def as_it_is(cell: str) -> str:
    return cell


def with_comma(cell: str) -> str:
    return cell.replace(".", ",") if NUMBER.fullmatch(cell) else cell


def resaved(
    path: Path, encoding: str, separator: str, change: Callable[[str], str], quoting: int = 0
) -> Path:
    """Save a CSV file again as a spreadsheet does: cells in a rectangle, quoted where needed."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    width = max(map(len, rows))
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=separator, quoting=quoting)
        writer.writerows([*map(change, row), *[""] * (width - len(row))] for row in rows)
    return path


def assert_same(table: FeatureTable, other: FeatureTable) -> None:
    np.testing.assert_array_equal(table.values, other.values)
    assert (table.names, table.config, table.notes) == (other.names, other.config, [])
    for column in ("paths", "labels", "groups"):
        assert list(getattr(table, column)) == list(getattr(other, column))


@pytest.mark.parametrize("make", [own_table, small_table])
@pytest.mark.parametrize(
    ("encoding", "separator", "change", "quoting"),
    [
        ("utf-8-sig", ",", as_it_is, csv.QUOTE_MINIMAL),  # Excel
        ("utf-8", ",", as_it_is, csv.QUOTE_ALL),  # LibreOffice, all text in quotes
        ("utf-8-sig", ";", with_comma, csv.QUOTE_MINIMAL),  # Excel in most of Europe
        ("utf-8", ",", with_comma, csv.QUOTE_MINIMAL),  # LibreOffice there: "1,5"
        ("utf-16", "\t", as_it_is, csv.QUOTE_MINIMAL),  # Excel's "Unicode text"
        ("utf-16", "\t", with_comma, csv.QUOTE_MINIMAL),
    ],
)
def test_own_tables_come_back_from_spreadsheets(
    tmp_path: Path,
    make: Callable[[], FeatureTable],
    encoding: str,
    separator: str,
    change: Callable[[str], str],
    quoting: int,
) -> None:
    table = make()
    table.save(tmp_path / "t.csv")
    assert_same(
        load_table(resaved(tmp_path / "t.csv", encoding, separator, change, quoting)), table
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: b"\xef\xbb\xbf" + whole,
        lambda whole: whole.replace(b"\n", b"\r\n"),
        lambda whole: b"sep=,\r\n" + whole,
        lambda whole: whole + b"\r\n\r\n",
        lambda whole: whole.decode().encode("utf-16-be").join([b"\xfe\xff", b""]),
        # The configuration as one quoted cell.
        lambda whole: b'"%s"\n%s' % tuple(
            part.replace(b'"', b'""') if i == 0 else part
            for i, part in enumerate(whole.split(b"\n", 1))
        ),
    ],
    ids=["mark", "crlf", "sep", "empty lines", "utf-16-be", "one cell"],
)  # fmt: skip
def test_own_tables_come_back_from_editors(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    table = small_table()
    table.save(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(change((tmp_path / "t.csv").read_bytes()))
    assert_same(load_table(tmp_path / "t.csv"), table)


def test_a_configuration_that_is_damaged_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    small_table().save(path)
    path.write_text(path.read_text().replace(':{"strategy"', '"strategy"', 1))
    with pytest.raises(TableError, match=r"t\.csv: .*the configuration, is damaged; extract"):
        load_table(path)


def test_a_feature_that_became_a_date_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    table = small_table(3)
    table.save(path)
    lines = path.read_text().splitlines()
    lines[-2] = lines[-2].rpartition(",")[0] + ",01. Mai"
    path.write_text("\n".join(lines) + "\n")
    told = rf"{re.escape(table.names[-1])} of track 2 is 01\. Mai, which is not a number"
    with pytest.raises(TableError, match=told):
        load_table(path)


@pytest.mark.parametrize(
    ("cells", "decimal", "thousands"),
    [
        (["1,5", "-2,25", "3", "1E-05", "7,5e-3"], ",", None),
        (["1.5", "-2.25", "3", "1E-05", ".5"], ".", None),
        (["1.234,5", "12.345", "7", "0,25"], ",", "."),
        (["1,234.5", "12,345", "7", "0.25"], ".", ","),
        (["0,123", "1,234"], ",", None),
        (["1.234.567", "2"], ",", "."),
    ],
)
def test_numbers_are_read_as_pandas_reads_them_when_told_how(
    tmp_path: Path, cells: list[str], decimal: str, thousands: str | None
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("label;f\n" + "".join(f"x;{cell}\n" for cell in cells))
    expected = pd.read_csv(path, sep=";", decimal=decimal, thousands=thousands)["f"]
    assert expected.dtype.kind in "if"
    np.testing.assert_array_equal(load_table(path).values[:, 0], expected.astype(np.float32))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (["1,5;0.5", "2,5;1"], "0.5 and 1,5 do not have the same decimal mark"),
        (["1,5;1.234", "2,5;1"], "do not have the same decimal mark"),
        (["1,5;2", "1.5;3"], "do not have the same decimal mark"),
        (["1.234,5;0.5", "2;1"], "do not have the same decimal mark"),
        (["1.234,5;2", "1,234.5;3"], "do not have the same decimal mark"),
        (["1,234;2", "5;3"], "1,234 could be thousands or have a decimal comma"),
    ],
)
def test_numbers_that_could_be_others_are_refused(
    tmp_path: Path, rows: list[str], told: str
) -> None:
    (tmp_path / "t.csv").write_text("label;f;g\n" + "".join(f"x;{row}\n" for row in rows))
    with pytest.raises(TableError, match=rf"t\.csv: .*{re.escape(told)}"):
        load_table(tmp_path / "t.csv")
    assert len(load_table(tmp_path / "t.csv", Columns(ignore=("f",)))) == 2


def test_errors_of_spreadsheets_are_missing_values(tmp_path: Path) -> None:
    errors = ["#N/A", "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?", "#NULL!", "#NV"]
    rows = "".join(f"x;{error};1,5\n" for error in [*errors, "2,5"])
    (tmp_path / "t.csv").write_text("label;f;g\n" + rows)
    table = load_table(tmp_path / "t.csv")
    assert table.names == ["f", "g"]
    assert np.isnan(table.values[:-1, 0]).all()
    assert table.values[-1, 0] == 2.5


def test_a_column_of_numbers_with_a_date_among_them_is_named(tmp_path: Path) -> None:
    rows = ["1,5;2", "2,5;01. Mai", "3,5;7", "4,5;"]
    (tmp_path / "t.csv").write_text("label;f;g\n" + "".join(f"x;{row}\n" for row in rows))
    table = load_table(tmp_path / "t.csv")
    assert table.names == ["f"]
    assert table.notes == [
        "columns that are not features, because some of their cells are not numbers: g (01. Mai)"
    ]


def test_lists_and_dates_are_no_numbers(tmp_path: Path) -> None:
    text = "label;f;list;date\nx;1,5;1,2,3;01.02.2024\ny;2,5;4;03.04.2024\n"
    (tmp_path / "t.csv").write_text(text)
    table = load_table(tmp_path / "t.csv")
    assert table.names == ["f"]
    assert table.notes == ["columns that are not features: list, date"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "feature,mfcc,mfcc\nstatistics,mean,std\nnumber,01,01\ntrack_id,,\n2,1.5,2.5\n",
            r"it has 3 header rows \(feature, statistics, number\) .*track_id, as FMA's tables",
        ),
        (
            ",track,track\n,title,genre\ntrack_id,,\n2,Food,Hip-Hop\n",
            r"it has 2 header rows \(track, title\)",
        ),
    ],
)
def test_several_header_rows_are_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(TableError, match=rf"t\.csv: .*{told}.*one header row"):
        load_table(tmp_path / "t.csv")


def test_the_documented_way_makes_one_header_row_of_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    index = pd.Index([2, 3, 5], name="track_id")
    features = [("mfcc", "mean", "01"), ("mfcc", "std", "01")]
    levels = pd.MultiIndex.from_tuples(features, names=["feature", "statistics", "number"])
    pd.DataFrame([[1.5, 2], [3, 4], [5, 6]], index, levels).to_csv("features.csv")
    facts = pd.MultiIndex.from_tuples([("track", "genre_top"), ("artist", "id"), ("set", "split")])
    rows = [["Rock", 7, "training"], ["Jazz", 8, "validation"], [None, 7, "test"]]
    pd.DataFrame(rows, index, facts).to_csv("tracks.csv")
    for name in ("features.csv", "tracks.csv"):
        with pytest.raises(TableError, match="header rows"):
            load_table(name)
    page = Path(__file__).parent.parent / "docs" / "how-to" / "pandas.md"
    section = page.read_text(encoding="utf-8").partition("## Tables with several header rows")[2]
    exec(section.partition("```python\n")[2].partition("```")[0], {})
    table = load_table("fma.parquet", Columns(split="split"))
    assert table.names == ["mfcc.mean.01", "mfcc.std.01"]
    np.testing.assert_array_equal(table.values, [[1.5, 2], [3, 4], [5, 6]])
    assert list(table.paths) == ["2", "3", "5"]
    assert list(table.labels) == ["Rock", "Jazz", ""]
    assert list(table.groups) == ["7", "8", "7"]
    assert table.split is not None
    assert list(table.split) == ["train", "valid", "test"]


def test_a_track_without_values_is_no_header_row(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,f,g\na.mp3,1,2\nb.mp3,,\n")
    assert len(load_table(tmp_path / "t.csv")) == 2


def test_utf16_without_a_mark_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("label,f\nx,1\n".encode("utf-16-le"))
    with pytest.raises(TableError, match=r"t\.csv: .*is it UTF-16 without a byte order mark\?"):
        load_table(tmp_path / "t.csv")


def test_a_workbook_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"PK\x03\x04" + bytes(99))
    with pytest.raises(TableError, match=r"t\.csv: .*a workbook or an archive; save it as CSV"):
        load_table(tmp_path / "t.csv")


def test_empty_lines_above_the_names_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\n\nlabel,f\nx,1\ny\nz,3\n")
    table = load_table(tmp_path / "t.csv")
    assert table.names == ["f"]
    assert "the first in line 5" in table.notes[0]


def test_rows_that_are_one_cell_each_are_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('"label,""f"""\n"x,1"\n')
    with pytest.raises(TableError, match="each row is in one cell"):
        load_table(tmp_path / "t.csv")


# --- cut off -------------------------------------------------------------------------------


def test_an_own_table_cut_off_anywhere_in_its_last_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    small_table(3).save(path)
    whole = path.read_bytes()
    begin = whole.rindex(b"\n", 0, -1) + 1
    for end in range(begin + 1, len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(TableError, match=r"t\.csv: .*cut off\?"):
            load_table(path)
    path.write_bytes(whole)
    assert len(load_table(path)) == 3


@pytest.mark.parametrize("n", [1, 5, 10, 11, 12, 13])
def test_a_table_from_elsewhere_cut_off_in_its_last_row_is_refused(tmp_path: Path, n: int) -> None:
    path = tmp_path / "t.csv"
    path.write_text('path,label,f\n"a, b.mp3",x,1.5\n' + '"c, d.mp3",y,2.5'[:n])
    with pytest.raises(TableError, match=r"t\.csv: .*cut off\?"):
        load_table(path)


@pytest.mark.parametrize("missing", [1, 2, 3, 9, 40])
def test_a_table_in_utf16_cut_off_in_its_last_row_is_refused(tmp_path: Path, missing: int) -> None:
    path = tmp_path / "t.csv"
    small_table(3).save(path)
    whole = path.read_text(encoding="utf-8").encode("utf-16")
    path.write_bytes(whole[:-missing])
    with pytest.raises(TableError, match=r"t\.csv: .*cut off\?"):
        load_table(path)


def test_a_last_line_without_an_end_is_noted(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,label,f\na.mp3,x,1.5\nb.mp3,y,2.5")
    table = load_table(tmp_path / "t.csv")
    assert list(table.values[:, 0]) == [1.5, 2.5]
    assert table.notes == [
        "the last line has no line break; if the file is cut off, its end is wrong"
    ]


def test_short_rows_are_noted_unless_they_are_the_last(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,f,label\na.mp3,1\nb.mp3,2,y\n")
    table = load_table(tmp_path / "t.csv")
    assert list(table.labels) == ["", "y"]
    [note] = table.notes
    assert note.startswith(
        "1 rows have fewer fields than the table has columns, the first in line 2"
    )
    (tmp_path / "t.csv").write_text("path,label,f\na.mp3,x,1\nb.mp3,y,\n")
    assert load_table(tmp_path / "t.csv").notes == []  # a missing value has its comma


def test_a_line_break_in_a_path_is_no_end(tmp_path: Path) -> None:
    table = small_table(3)
    table.paths[-1] = 'new\nline "quoted".mp3'
    table.save(tmp_path / "t.csv")
    assert list(load_table(tmp_path / "t.csv").paths) == list(table.paths)


# --- columns that number the rows ----------------------------------------------------------


def frame_of(n: int = 6) -> pd.DataFrame:
    return pd.DataFrame(
        {"path": [f"{i}.mp3" for i in range(n)], "label": "x", "f": np.arange(n) / 7}
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Unnamed: 0", range(6)),
        ("Unnamed: 0.1", [1, 2, 3, 4, 5, 6]),
        ("Unnamed: 0", [9, 3, 12, 4, 700, 0]),  # filtered and shuffled
        ("Unnamed: 0", [0, 1, 2, 0, 1, 2]),  # of two tables, one below the other
        ("index", [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        ("level_0", range(6)),
        ("row_number", range(6)),
        ("X", range(1, 7)),
        ("...1", range(1, 7)),
        ("id", [5, 9, 2, 3, 8, 1]),
        ("track_id", [5, 9, 2, 3, 8, 1]),
    ],
)
def test_numbers_of_rows_are_no_features(
    tmp_path: Path, suffix: str, name: str, values: list[float]
) -> None:
    frame = frame_of()
    frame.insert(0, name, list(values))
    path = tmp_path / f"t{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    table = load_table(path)
    assert table.names == ["f"]
    assert table.notes == [f"columns that number the rows, and are not features: {name}"]
    assert load_table(path, Columns(features=(name, "f"))).names == [name, "f"]
    ignored = load_table(path, Columns(ignore=(name,)))
    assert (ignored.names, ignored.notes) == (["f"], [])


def test_the_index_that_pandas_writes_is_no_feature(tmp_path: Path) -> None:
    frame_of().to_csv(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().startswith(",path")
    assert load_table(tmp_path / "t.csv").names == ["f"]
    pd.read_csv(tmp_path / "t.csv").to_csv(tmp_path / "again.csv")
    assert load_table(tmp_path / "again.csv").names == ["f"]
    joined = load_table(tmp_path / "again.csv", Columns(join=(tmp_path / "t.csv",)))
    assert joined.names == ["f"]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Unnamed: 0", [0.5, 1, 2, 3, 4, 5]),
        ("Unnamed: 0", [-1, 1, 2, 3, 4, 5]),
        ("genre_id", [0, 0, 1, 1, 2, 2]),
        ("beats", range(6)),
        ("index_of_modulation", range(6)),
    ],
)
def test_other_numbers_are_features(tmp_path: Path, name: str, values: list[float]) -> None:
    frame_of().assign(**{name: list(values)}).to_csv(tmp_path / "t.csv", index=False)
    assert load_table(tmp_path / "t.csv").names == ["f", name]


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "damaged.csv"],
        ["labels", "show", "damaged.csv"],
        ["labels", "apply", "damaged.csv", "sound.csv", "-o", "new.csv"],
        ["extract", ".", "--labels", "damaged.csv", "-o", "t.csv"],
    ],
)
def test_a_field_without_an_end_is_told_with_its_line(tmp_path: Path, arguments: list[str]) -> None:
    # A quote that lacks its end takes the rest of a large file into its field.
    rest = "".join(f"song{i}.mp3,rock,1,{i}\n" for i in range(10_000))
    damaged = f'path,label,from,to\na.mp3,pop,1,2\nb.mp3,pop,1,"3\n{rest}'
    (tmp_path / "damaged.csv").write_text(damaged)
    (tmp_path / "sound.csv").write_text("path,label,x\na.mp3,pop,1\n")
    done = run(*arguments, cwd=tmp_path)
    assert done.exit_code == 1
    assert done.stderr.startswith("genreclf: damaged.csv: ")
    assert "line 3 has a field of over 131,072 characters; does a quote lack" in done.stderr
    assert done.stderr.count("\n") == 1
