"""FeatureTable: the features of many tracks, and the files that it is kept in."""

import csv
import json
import re
import sys
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any, TextIO
from zipfile import ZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genreclf.config.load import extraction_config_from_dict
from genreclf.config.schema import ExtractionConfig
from genreclf.csvtext import (
    Head,
    check_levels,
    decimal_marks,
    ends_within_a_line,
    is_number,
    open_text,
    read_head,
    short_rows,
)
from genreclf.errors import TableError, shortened
from genreclf.features.pooling import feature_names
from genreclf.files import written_whole
from genreclf.library.sources import found_in_paths, is_assignment
from genreclf.tables.formats import import_pyarrow, table_format, table_parts
from genreclf.tables.frames import Frames, read_frames, write_frames
from genreclf.version import __version__

_HEADER = "genreclf-table"
_OWN = ("path", "label", "group")
_MISSING = [
    *("", "NA", "N/A", "n/a", "<NA>", "NaN", "nan", "NULL", "null", "None", "-"),
    # Errors of spreadsheets, also in German ones.
    *("#N/A", "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?", "#NULL!"),
    *("#NV", "#WERT!", "#BEZUG!", "#ZAHL!"),
]
# No table of features has as many; what has was made to fill the memory.
_MOST_COLUMNS = 100_000
# Names of columns that pandas, readr or a database gave the number of a row.
_NO_NAME = re.compile(r"\s*|Unnamed: \d+(\.\d+)*|\.\.\.\d+|__index_level_\d+__")
_ROW = re.compile(r"index|level_\d+|row([ _.-]?(id|index|names?|no|number))?", re.IGNORECASE)
_ID = re.compile(r"(\w*[ _.-])?id|idx|no\.?|nr\.?|#|X(\.\d+)?", re.IGNORECASE)

Texts = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of a table are called; a table of our own needs none of it.

    Attributes
    ----------
    label, group : str
        Column that holds the genre, and column of what must not straddle folds.
    group_regex : str or None
        Regular expression whose first parenthesis (or whole match) in the path is the group.
    folds, split : str or None
        Column of a published assignment to folds, or to train, valid and test.
    features, ignore : tuple of str
        Names or patterns (``mfcc.*``) of the columns that are features (all, if there is none),
        and of those that are not.
    join : tuple of Path
        Tables that hold more columns of the same tracks.
    """

    label: str = "label"
    group: str = "group"
    group_regex: str | None = None
    folds: str | None = None
    split: str | None = None
    features: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    join: tuple[Path, ...] = ()

    @property
    def never_features(self) -> set[str]:
        """Columns of text, which are read as it stands and are no features."""
        named = {self.label, self.group, self.folds, self.split}
        return {*_OWN, "filename", *(name for name in named if name)}

    @property
    def asked_for(self) -> set[str]:
        """Columns that must be there, because someone named them."""
        named = {self.label, self.group, self.folds, self.split}
        return {name for name in named if name} - {"label", "group"}

    @property
    def patterns(self) -> tuple[str, ...]:
        """Patterns of columns that must match something, because someone gave them."""
        return (*self.features, *self.ignore)

    def is_feature(self, name: str) -> bool:
        """Tell whether a column of numbers of that name is a feature."""
        chosen = not self.features or _matches(name, self.features)
        return chosen and name not in self.never_features and not _matches(name, self.ignore)


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of tracks, one row each.

    Attributes
    ----------
    paths : (n_tracks,) array of str
    labels, groups : (n_tracks,) array of str
        The empty string where there is none.
    names : list of str
        Of the columns of ``values``.
    values : (n_tracks, n_features) float32
        NaN where a foreign table holds nothing; a table of our own has none.
    config : ExtractionConfig or None
        What the features were made with; None for a table from elsewhere.
    folds, split : (n_tracks,) array of str, or None
        Published assignments, the empty string for a track that they leave out.
    notes : list of str
        What a person should know of how the file was read.
    assignments : dict of str to (n_tracks,) array of str
        Columns of folds and splits that go with the table and are no features, by name, whether
        they are in use (``folds``, ``split``) or not.
    frames : Frames or None
        The frames that were kept. Those of a table from a file are on the disk, and are read when
        they are asked for.
    """

    paths: Texts
    labels: Texts
    groups: Texts
    names: list[str]
    values: NDArray[np.float32]
    config: ExtractionConfig | None = None
    folds: Texts | None = None
    split: Texts | None = None
    notes: list[str] = field(default_factory=list)
    frames: Frames | None = None
    assignments: dict[str, Texts] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def genres(self) -> list[str]:
        """The labels that occur, sorted."""
        return sorted(set(self.labels) - {""})

    @property
    def has_groups(self) -> bool:
        """Whether any track belongs to a group."""
        return bool((self.groups != "").any())

    def take(self, rows: NDArray[Any]) -> "FeatureTable":
        """Return the rows that an index or boolean array selects."""
        return replace(
            self,
            paths=self.paths[rows],
            labels=self.labels[rows],
            groups=self.groups[rows],
            values=self.values[rows],
            folds=None if self.folds is None else self.folds[rows],
            split=None if self.split is None else self.split[rows],
            frames=None if self.frames is None else self.frames.take(rows),
            assignments={name: column[rows] for name, column in self.assignments.items()},
        )

    def canonical_order(self) -> NDArray[np.intp]:
        """Return the rows, (n_tracks,), in an order that what they hold decides.

        By path; where paths are missing or not unique, by all that is in a row. What is learned
        from rows in this order does not depend on the order in which they came.
        """
        keys: list[Any] = list(self.paths)
        if len(set(keys)) < len(keys):
            contents = (row.tobytes() for row in self.values)
            keys = list(zip(self.paths, self.labels, self.groups, contents, strict=True))
        return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.intp)

    def labelled(self) -> "FeatureTable":
        """Return the rows that have a label, with a note if that leaves any out.

        Raises
        ------
        TableError
            If there is none.
        """
        known = self.labels != ""
        if not known.any():
            raise TableError(
                "the table has no labels: nothing to learn from or to compare with; is the genre "
                "in a column of another name (--label-column)?"
            )
        if known.all():
            return self
        note = f"{(~known).sum()} of {len(self)} tracks have no label and are left out"
        return replace(self.take(known), notes=[*self.notes, note])

    def columns_of(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Return the values of the named columns, in that order.

        Raises
        ------
        TableError
            If a column is missing.
        """
        where = {name: column for column, name in enumerate(self.names)}
        missing = [name for name in names if name not in where]
        if missing:
            raise TableError(
                f"{len(missing)} of {len(names)} feature columns are missing, {missing[0]} first; "
                "the table was made with another configuration than the model"
            )
        return self.values[:, [where[name] for name in names]]

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas data frame: path, label, group, assignments, then the features."""
        columns = {"path": self.paths, "label": self.labels, "group": self.groups}
        # As objects: text of pandas' own kind cannot hold file names that are not UTF-8.
        own = pd.DataFrame(columns | self.assignments, dtype=object)
        return pd.concat([own, pd.DataFrame(self.values, columns=self.names)], axis=1)

    def write_csv(self, file: IO[str]) -> None:
        """Write the table as CSV, its configuration in a comment line before the header."""
        if self.config is not None:
            file.write(f"# {_header(self.config)}\n")
        # Quoted, so that a reader who skips comments does not cut "chroma.C#" or "a #1.mp3".
        self.to_frame().to_csv(file, index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")

    def save(self, path: str | Path) -> None:
        """Write the table as CSV, Parquet or NPZ, by the name's suffix; whole or not at all.

        Kept frames go into a folder beside it, which has to stay there.

        Raises
        ------
        TableError
            If the suffix is none of these, pyarrow is missing for Parquet, or writing fails.
        """
        path = Path(path)
        writers = {".csv": _write_csv, ".parquet": _write_parquet, ".npz": _write_npz}
        writer = writers[table_format(path)]
        try:
            if self.config is not None and self.frames is not None:
                write_frames(path, self.frames, self.config, self.paths)
            with written_whole(path) as aside:
                writer(self, aside)
        except OSError as error:
            raise TableError(f"{path}: cannot be written: {error.strerror or error}") from None


def load_table(path: str | Path, columns: Columns | None = None) -> FeatureTable:
    """Read a feature table, our own or one from elsewhere.

    Parameters
    ----------
    path : str or Path
        CSV, Parquet or NPZ, by its suffix; or a folder of Parquet files.
    columns : Columns, optional
        Needed where a table from elsewhere calls its columns otherwise. Columns named there are
        never features; nor are columns whose name says that they hold folds or a split, nor
        columns that are not numbers (with a note each).

    Raises
    ------
    TableError
        If the file is no table, or a column that was asked for is not there.
    """
    return load_tables([path], columns)[0]


def load_tables(paths: Sequence[str | Path], columns: Columns | None = None) -> list[FeatureTable]:
    """Read several tables; a column that was asked for has to be in one of them.

    See ``load_table``.
    """
    columns = columns or Columns()
    sources = [Path(path) for path in paths]
    read = {path: _read_joined(path, columns) for path in sources if not path.is_dir()}
    names = [str(name) for frame, _, _ in read.values() for name in frame.columns]
    for name in [*sorted(columns.asked_for), *columns.patterns]:
        if read and not any(_matches(have, [name]) for have in names):
            where = ", ".join(map(str, sources))
            raise TableError(f"{where}: no column {name}; it has {_shortened(names)}")
    tables = []
    for path in sources:
        if path not in read:
            parts = [load_table(part, columns) for part in table_parts(path)]
            tables.append(in_one(path, parts))
            continue
        frame, header, notes = read[path]
        if frame.empty:
            raise TableError(f"{path}: the table has no rows")
        table = _from_frame(frame, header, columns, path)
        frames = read_frames(path, table.config, table.paths) if table.config else None
        tables.append(replace(table, notes=[*notes, *table.notes], frames=frames))
    return tables


def _read_joined(
    path: Path, columns: Columns
) -> tuple[pd.DataFrame, dict[str, Any] | None, list[str]]:
    frame, header, notes = _read_features(path, columns)
    for other in columns.join:
        more, _, more_notes = _read_features(other, columns)
        joined = _join(frame, more, other)
        notes += more_notes
        if lost := len(frame) - len(joined):
            notes.append(f"{lost} of {len(frame)} tracks are not in {other} and are left out")
        frame, header = joined, None
    return frame, header, notes


def _read_features(
    path: Path, columns: Columns
) -> tuple[pd.DataFrame, dict[str, Any] | None, list[str]]:
    """Read a file, without the columns that number its rows."""
    frame, header, notes = _read(path, columns)
    named = (*columns.never_features, *columns.patterns)  # a person has said what they are
    numbers = [
        name
        for name in frame.columns
        if not (name in named or _matches(name, columns.ignore))
        and _numbers_rows(name, frame[name])
    ]
    if numbers:
        notes.append(f"columns that number the rows, and are no features: {_shortened(numbers)}")
    return frame.drop(columns=numbers), header, notes


def _numbers_rows(name: str, column: "pd.Series[Any]") -> bool:
    """Tell whether a column holds numbers of rows or files, by its name and its values."""
    of_row = any(pattern.fullmatch(name) for pattern in (_NO_NAME, _ROW))
    if not (of_row or _ID.fullmatch(name)):
        return False
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    values = column.dropna()
    counts = bool(((values % 1 == 0) & (values >= 0)).all())
    return counts and (of_row or values.is_unique)


def in_one(path: Path, parts: list[FeatureTable]) -> FeatureTable:
    """Put the parts of a table, the files in a folder, one after the other.

    Raises
    ------
    TableError
        If their columns or configurations differ.
    """
    first = parts[0]
    if any(part.names != first.names or part.config != first.config for part in parts):
        raise TableError(f"{path}: its files have other columns or configurations than each other")

    def all_of(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    paths, labels = all_of("paths"), all_of("labels")
    told = [note for part in parts for note in part.notes]
    assigned = dict.fromkeys(name for part in parts for name in part.assignments)
    return replace(
        first,
        paths=paths,
        labels=labels,
        groups=all_of("groups"),
        values=all_of("values"),
        frames=Frames.joined([part.frames for part in parts]),
        folds=None if first.folds is None else all_of("folds"),
        split=None if first.split is None else all_of("split"),
        assignments={
            name: np.concatenate([part.assignments.get(name, _nothing(part)) for part in parts])
            for name in assigned
        },
        notes=list(dict.fromkeys([*told, *_notes_on_paths(paths), *_notes_on_labels(labels)])),
    )


def _nothing(table: FeatureTable) -> Texts:
    return np.full(len(table), "", dtype=object)


def _read(path: Path, columns: Columns) -> tuple[pd.DataFrame, dict[str, Any] | None, list[str]]:
    readers = {".csv": _read_csv, ".parquet": _read_parquet, ".npz": _read_npz}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows of too many fields
            warnings.filterwarnings("ignore", r"Reading `\.npy`")
            frame, header, notes = readers[table_format(path)](path, columns)
            _check_columns(frame.columns)
            return frame, header, notes
    except TableError:
        raise
    except FileNotFoundError:
        raise TableError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise TableError(
            f"{path}: cannot be read as a table: it is no text in its encoding; is it cut off?"
        ) from None
    except Exception as error:  # damaged files raise whatever their bytes lead a parser to
        reason = shortened(_first_line(error), 300)
        raise TableError(f"{path}: cannot be read as a table: {reason}") from None


def _check_columns(names: "pd.Index[Any]") -> None:
    _check_number(len(names))
    if names.has_duplicates:
        raise ValueError(f"column {names[names.duplicated()][0]} is there twice")


def _check_number(n_columns: int) -> None:
    if n_columns > _MOST_COLUMNS:
        raise ValueError(f"it has {n_columns:,} columns; {_MOST_COLUMNS:,} at most are read")


def _join(frame: pd.DataFrame, other: pd.DataFrame, source: Path) -> pd.DataFrame:
    """Add the columns of another table of the same tracks; what both have must agree."""
    frame, other = (part.rename(columns={"filename": "path"}) for part in (frame, other))
    for part in (frame, other):
        if "path" not in part or part["path"].duplicated().any():
            raise TableError(f"{source}: joining needs a column path in which no track is twice")
    joined = frame.merge(other, on="path", how="inner", suffixes=(None, "\0"))
    for name in frame.columns.intersection(other.columns).drop("path"):
        ours, theirs = joined[name].astype(object), joined.pop(f"{name}\0").astype(object)
        if not ((ours == theirs) | (ours.isna() & theirs.isna())).all():
            raise TableError(f"{source}: column {name} is in both tables with other values")
    return joined


def _from_frame(
    frame: pd.DataFrame, header: dict[str, Any] | None, columns: Columns, path: Path
) -> FeatureTable:
    features, notes = _feature_columns(frame, columns, header is not None)
    if not features:
        one = len(frame.columns) == 1 and "," in frame.columns[0]
        why = "each row is in one cell" if one else f"there are {_shortened(frame.columns)}"
        raise TableError(f"{path}: no numeric columns that could be features; {why}")
    config = None
    if header is not None:
        config = extraction_config_from_dict(header["config"], str(path))
        _check_numbers(frame, feature_names(config), path)
        if added := sorted(set(features) - set(feature_names(config))):
            notes.append(
                "taken for a table from elsewhere, since its configuration makes no "
                f"{_shortened(added)}"
            )
            config = None
    with np.errstate(over="ignore", invalid="ignore"):  # infinity is told below, NaN is one
        values = frame[features].to_numpy(dtype=np.float64, na_value=np.nan).astype(np.float32)
    if np.isinf(values).any():
        raise TableError(
            f"{path}: column {features[_first_infinite(values)]} is not finite in single precision"
        )
    paths = _texts(frame, "path" if "path" in frame else "filename")
    groups = _texts(frame, columns.group)
    if columns.group_regex is not None:
        groups[:] = found_in_paths(paths, columns.group_regex, "group")
    labels = _texts(frame, columns.label)
    notes += [*_notes_on_paths(paths), *_notes_on_labels(labels)]
    return FeatureTable(
        paths=paths,
        labels=labels,
        groups=groups,
        names=features,
        values=values,
        config=config,
        folds=_texts(frame, columns.folds) if columns.folds else None,
        split=_texts(frame, columns.split) if columns.split else None,
        assignments={
            name: _texts(frame, name)
            for name in frame.columns
            if is_assignment(name) and name not in (columns.label, columns.group)
        },
        notes=notes,
    )


def _check_numbers(frame: pd.DataFrame, names: Iterable[str], path: Path) -> None:
    """Refuse an own table in which features are no numbers any more."""
    for name in names:
        if name in frame and not pd.api.types.is_numeric_dtype(frame[name]):
            row, cell = next(
                (row, cell)
                for row, cell in enumerate(frame[name], 1)
                if not pd.isna(cell) and not is_number(str(cell))
            )
            raise TableError(
                f"{path}: {name} of track {row} is {shortened(cell)}, which is no number: did a "
                "spreadsheet make a date of it? Mend the cell, or extract the table anew"
            )


def _feature_columns(
    frame: pd.DataFrame, columns: Columns, is_own: bool
) -> tuple[list[str], list[str]]:
    """Choose the columns that are features, and say which others were met."""
    rest = [name for name in frame.columns if columns.is_feature(name)]
    assignments = {name for name in rest if is_assignment(name)}
    texts = {name for name in rest if not pd.api.types.is_numeric_dtype(frame[name])}
    spoilt = {name: cell for name in texts - assignments if (cell := _odd_cell(frame[name]))}
    notes = []
    told = (
        texts - assignments if is_own else texts | assignments
    )  # own tables carry what they should
    if columns_left := [name for name in rest if name in told - spoilt.keys()]:
        notes.append(f"columns taken for no features: {_shortened(columns_left)}")
    if shown := [f"{name} ({shortened(spoilt[name])})" for name in rest if name in spoilt]:
        notes.append(
            "columns of numbers with some cells that are none, and so no features: "
            f"{_shortened(shown)}"
        )
    return [name for name in rest if name not in texts | assignments], notes


def _odd_cell(column: "pd.Series[Any]") -> str | None:
    """Return the first cell that is no number, if most of the first thousand are."""
    cells = column.dropna().head(1000).astype(str)
    odd = [cell for cell in cells if not is_number(cell)]
    return odd[0] if 0 < len(odd) < len(cells) / 2 else None


def _texts(frame: pd.DataFrame, column: str | None) -> Texts:
    if column not in frame:
        return np.full(len(frame), "", dtype=object)
    values = frame[column]
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")  # folds 1.0, 2.0 and missing are 1, 2 and missing
    return np.array([_text(value) for value in values], dtype=object)


def _notes_on_paths(paths: Texts) -> list[str]:
    several = [path for path, n in Counter(paths[paths != ""]).items() if n > 1]
    if not several:
        return []
    return [
        f"paths in more than one row, which count as copies of one recording: {_shortened(several)}"
    ]


def _notes_on_labels(labels: Texts) -> list[str]:
    """Name genres that are probably one, spelt in two ways. They are kept apart as they are."""
    alike: dict[str, list[str]] = {}
    for label in sorted(set(labels)):
        alike.setdefault(_key(label), []).append(label)
    shown = [_side_by_side(several) for several in alike.values() if len(several) > 1]
    if not shown:
        return []
    return [
        "genres that differ in upper case, spaces or the coding of accents only, and are kept "
        f"apart: {_shortened(shown)}"
    ]


def _key(label: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", label).casefold().split())


def _side_by_side(labels: list[str]) -> str:
    composed = {unicodedata.normalize("NFC", label) for label in labels}
    # In ASCII where they look the same, as an accent may be part of the letter or follow it.
    spelt = map(repr if len(composed) == len(labels) else ascii, labels)
    return " and ".join(spelt)


def _matches(name: object, patterns: Iterable[str]) -> bool:
    return any(name == pattern or fnmatchcase(str(name), pattern) for pattern in patterns)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return "" if pd.isna(value) else str(value)


def _header(config: ExtractionConfig) -> str:
    header = {
        "genreclf": __version__,
        "fingerprint": config.fingerprint,
        "config": config.to_dict(),
    }
    return json.dumps(header, separators=(",", ":"))


def _write_csv(table: FeatureTable, path: Path) -> None:
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table.write_csv(file)


def _read_csv(
    path: Path, columns: Columns
) -> tuple[pd.DataFrame, dict[str, Any] | None, list[str]]:
    with open_text(path, errors="surrogateescape") as file:
        head = read_head(file)
        _check_number(len(head.names))  # pandas takes a minute to see it
        check_levels(file, head)
        frame = _without_empty(_parsed(file, head, columns), head)
        notes = _check_end(file, head, frame, ends_within_a_line(path))
    return frame, head.header, notes


def _parsed(file: TextIO, head: Head, columns: Columns) -> pd.DataFrame:
    """Read the rows: texts as they stand, numbers whatever their decimal mark."""
    names = _parse(file, head, nrows=0).columns
    texts = [name for name in names if name in columns.never_features or is_assignment(name)]
    others = [name for name in names if name not in texts]
    # A genre may well be called "NA", but no number is.
    options: dict[str, Any] = {"na_values": dict.fromkeys(others, _MISSING)}
    frame = _parse(file, head, dtype=dict.fromkeys(texts, object), **options)
    features = [name for name in others if columns.is_feature(name)]
    if marked := [name for name in features if _has_marks(frame[name])]:
        fractions = [name for name in features if _has_fractions(frame[name])]
        cells = _parse(file, head, dtype=object, usecols=[*marked, *fractions], **options)
        frame[cells.columns] = _numbers(cells)
    return frame


def _parse(file: TextIO, head: Head, **options: Any) -> pd.DataFrame:
    file.seek(head.start)
    try:
        return pd.read_csv(
            file, sep=head.separator, index_col=False, keep_default_na=False, low_memory=False,
            encoding_errors="surrogateescape", **options,
        )  # fmt: skip
    except pd.errors.ParserError as error:
        if "EOF inside string" in str(error):
            raise ValueError("it ends within a quoted text: is the file cut off?") from None
        raise


def _has_marks(column: "pd.Series[Any]") -> bool:
    """Tell whether all cells are numbers, but not such as pandas reads."""
    cells = column.dropna()
    if pd.api.types.is_numeric_dtype(cells) or cells.empty:
        return False
    return all(isinstance(cell, str) and is_number(cell) for cell in cells)


def _has_fractions(column: "pd.Series[Any]") -> bool:
    return pd.api.types.is_float_dtype(column) and bool((column.dropna() % 1 != 0).any())


def _numbers(texts: pd.DataFrame) -> pd.DataFrame:
    """Read numbers with decimal commas, or with a sign between thousands."""
    cells = {cell for name in texts.columns for cell in texts[name].dropna()}
    decimal, thousands = decimal_marks(sorted(cells))

    def number(cell: str) -> float:
        return float(cell.replace(thousands, "").replace(decimal, "."))

    return texts.apply(lambda column: column.map(number, na_action="ignore").astype(np.float64))


def _without_empty(frame: pd.DataFrame, head: Head) -> pd.DataFrame:
    """Leave out columns without a name and rows, if there is nothing in them."""
    without_name = frame.columns[[not name.strip() for name in head.names]]
    frame = frame.drop(columns=[name for name in without_name if frame[name].isna().all()])
    if frame.shape[1] and _is_empty(frame.iloc[:, -1]).any():
        frame = frame[~frame.apply(_is_empty).all(axis=1)].reset_index(drop=True)
    return frame


def _is_empty(column: "pd.Series[Any]") -> "pd.Series[bool]":
    return column.isna() | (column.astype(object) == "")


def _check_end(file: TextIO, head: Head, frame: pd.DataFrame, unfinished: bool) -> list[str]:
    """Refuse a file that is cut off within a row, as far as that can be seen."""
    lines: list[int] = []
    last = False
    if frame.size and _is_empty(frame.iloc[:, -1]).any():
        lines, last = short_rows(file, head)
        last |= unfinished and bool(_is_empty(frame.iloc[-1:, -1]).all())
    if last or (lines and head.header):
        where = f"line {lines[-1 if last else 0]}" if lines else "the last line"
        raise ValueError(f"{where} has too few fields: is the file cut off?")
    if unfinished and head.header:
        raise ValueError(
            "its last line has no end: is the file cut off? If it is whole, add a line break"
        )
    notes = []
    if lines:
        notes.append(
            f"{len(lines)} rows have fewer fields than the table has columns, the first in line "
            f"{lines[0]}; what they lack counts as missing"
        )
    if unfinished:
        notes.append("the last line has no line break; if the file is cut off, its end is wrong")
    return notes


def _parse_header(text: str | bytes) -> dict[str, Any] | None:
    header = json.loads(text)
    return header if isinstance(header, dict) and "config" in header else None


def _write_parquet(table: FeatureTable, path: Path) -> None:
    pyarrow = import_pyarrow()
    frame = table.to_frame()
    for name in _OWN:
        if not all(map(_is_utf8, frame[name])):  # a column of bytes
            frame[name] = [text.encode("utf-8", "surrogateescape") for text in frame[name]]
    arrow = pyarrow.Table.from_pandas(frame, preserve_index=False)
    if table.config is not None:
        metadata = {
            **(arrow.schema.metadata or {}),
            _HEADER.encode(): _header(table.config).encode(),
        }
        arrow = arrow.replace_schema_metadata(metadata)
    # Numbers do not repeat: dictionaries of them would take a third more.
    pyarrow.parquet.write_table(arrow, path, use_dictionary=["label", "group", *table.assignments])


def _read_parquet(
    path: Path, columns: Columns
) -> tuple[pd.DataFrame, dict[str, Any] | None, list[str]]:
    pyarrow = import_pyarrow()
    arrow = pyarrow.parquet.read_table(path)
    arrow.validate(full=True)  # that texts are UTF-8, among others
    header = (arrow.schema.metadata or {}).get(_HEADER.encode())
    frame = arrow.to_pandas()
    frame.columns = [str(name) for name in frame.columns]
    return frame, _parse_header(header) if header else None, []


def _is_utf8(text: str) -> bool:
    return text == text.encode("utf-8", "replace").decode("utf-8")


def _write_npz(table: FeatureTable, path: Path) -> None:
    assignments: dict[str, Any] = {n: texts.astype(str) for n, texts in table.assignments.items()}
    with path.open("wb") as file:
        np.savez(
            file,
            path=table.paths.astype(str),
            label=table.labels.astype(str),
            group=table.groups.astype(str),
            names=np.array(table.names, dtype=str),
            values=table.values,
            header=np.array("" if table.config is None else _header(table.config)),
            **assignments,
        )


def _read_npz(
    path: Path, columns: Columns
) -> tuple[pd.DataFrame, dict[str, Any] | None, list[str]]:
    with ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > max(2**30, 100 * path.stat().st_size):
        raise ValueError(f"it unpacks to {unpacked / 2**30:.0f} GiB, a hundred times its size")
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        texts = (*_OWN, *filter(is_assignment, arrays.files))
        own = pd.DataFrame({name: _strings(arrays[name]) for name in texts}, dtype=object)
        features = pd.DataFrame(arrays["values"], columns=_strings(arrays["names"]))
        header = str(_strings(arrays["header"]))
    return pd.concat([own, features], axis=1), _parse_header(header) if header else None, []


def _strings(array: NDArray[Any]) -> Texts:
    """Make Python's strings of numpy's, which may hold what is no character, and crash Python."""
    if array.dtype.kind == "U":
        codes = np.ascontiguousarray(array).reshape(-1)
        codes = codes.view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if codes.max(initial=0) > sys.maxunicode:
            raise ValueError("it holds what is no text")
    return array.astype(object)


def _first_infinite(values: NDArray[np.float32]) -> int:
    return int(np.isinf(values).any(axis=0).argmax())


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _shortened(names: Iterable[str], most: int = 8) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(shortened(name, 200) for name in names[:most]) + more
