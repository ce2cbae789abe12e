"""FeatureTable: the features of many tracks, and the files that it is kept in."""

import csv
import json
import sys
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genreclf import __version__
from genreclf.config import ExtractionConfig, extraction_config_from_dict
from genreclf.errors import TableError, shortened
from genreclf.files import written_whole
from genreclf.formats import import_pyarrow, table_format, table_parts
from genreclf.framestore import read_frames, write_frames
from genreclf.kept import Layout
from genreclf.pooling import feature_names
from genreclf.sources import groups_of

__all__ = ["Columns", "FeatureTable", "in_one", "load_table", "load_tables"]

_HEADER = "genreclf-table"
_OWN = ("path", "label", "group")
_MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "None", "-"]
# No table of features has as many; what has was made to fill the memory.
_MOST_COLUMNS = 100_000
_LONGEST_LINE = 2**24

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
    frames : (n_tracks, n_kept) float16, or None
        Frames that were kept, a track a row, as ``keep`` lays them out. Of a table from a file
        they are on the disk, and only those that ``take`` chooses are read.
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
    frames: NDArray[np.float16] | None = None

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
            frames=None if self.frames is None else self.frames[rows],
        )

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
        """Return a pandas data frame: ``path``, ``label``, ``group``, then the features."""
        columns = {"path": self.paths, "label": self.labels, "group": self.groups}
        # As objects: text of pandas' own kind cannot hold file names that are not UTF-8.
        own = pd.DataFrame(columns, dtype=object)
        return pd.concat([own, pd.DataFrame(self.values, columns=self.names)], axis=1)

    def write_csv(self, file: IO[str]) -> None:
        """Write the table as CSV, its configuration in a comment line before the header."""
        if self.config is not None:
            file.write(f"# {_header(self.config)}\n")
        # Quoted, so that a reader who skips comments does not cut "chroma.C#" or "a #1.mp3".
        self.to_frame().to_csv(file, index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")

    def save(self, path: str | Path) -> None:
        """Write the table as CSV, Parquet or NPZ, by the name's suffix; whole or not at all.

        Kept frames go into a file beside it, which has to stay there.

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
        frames = None
        if table.config is not None and (n_kept := Layout.of(table.config).n_kept):
            frames = read_frames(path, n_kept, table.config, table.paths)
        tables.append(replace(table, notes=[*notes, *table.notes], frames=frames))
    return tables


def _read_joined(
    path: Path, columns: Columns
) -> tuple[pd.DataFrame, dict[str, Any] | None, list[str]]:
    frame, header = _read(path, columns)
    notes = []
    for other in columns.join:
        joined = _join(frame, _read(other, columns)[0], other)
        if lost := len(frame) - len(joined):
            notes.append(f"{lost} of {len(frame)} tracks are not in {other} and are left out")
        frame, header = joined, None
    return frame, header, notes


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
    return replace(
        first,
        paths=paths,
        labels=labels,
        groups=all_of("groups"),
        values=all_of("values"),
        folds=None if first.folds is None else all_of("folds"),
        split=None if first.split is None else all_of("split"),
        notes=list(dict.fromkeys([*told, *_notes_on_paths(paths), *_notes_on_labels(labels)])),
    )


def _read(path: Path, columns: Columns) -> tuple[pd.DataFrame, dict[str, Any] | None]:
    readers = {".csv": _read_csv, ".parquet": _read_parquet, ".npz": _read_npz}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows of too many fields
            warnings.filterwarnings("ignore", r"Reading `\.npy`")
            frame, header = readers[table_format(path)](path, columns)
            _check_columns(frame.columns)
            return frame, header
    except TableError:
        raise
    except FileNotFoundError:
        raise TableError(f"{path}: no such file") from None
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
    features, notes = _feature_columns(frame, columns)
    if not features:
        raise TableError(
            f"{path}: no numeric columns that could be features; are commas what separates them?"
        )
    config = None
    if header is not None:
        config = extraction_config_from_dict(header["config"], str(path))
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
        groups[:] = groups_of(paths, columns.group_regex)
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
        notes=notes,
    )


def _feature_columns(frame: pd.DataFrame, columns: Columns) -> tuple[list[str], list[str]]:
    """Choose the columns that are features, and say which others were met."""
    rest = [name for name in frame.columns if columns.is_feature(name)]
    assignments = [name for name in rest if name.lower().endswith(("fold", "folds", "split"))]
    texts = [name for name in rest if not pd.api.types.is_numeric_dtype(frame[name])]
    notes = []
    left_out = {*texts, *assignments}
    if columns_left := [name for name in rest if name in left_out]:
        notes.append(f"columns taken for no features: {_shortened(columns_left)}")
    return [name for name in rest if name not in left_out], notes


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


def _read_csv(path: Path, columns: Columns) -> tuple[pd.DataFrame, dict[str, Any] | None]:
    with path.open("rb") as file:
        first = file.readline(_LONGEST_LINE)
        if len(first) == _LONGEST_LINE:
            raise ValueError(f"its first line is over {_LONGEST_LINE:,} bytes")
        if b"\0" in first:
            raise ValueError("it is not text in UTF-8 (is it UTF-16?)")
        header = _parse_header(first[2:]) if first.startswith(b"# {") else None
        start = file.tell() if header is not None else 0
        file.seek(start)
        _check_number(1 + file.readline(_LONGEST_LINE).count(b","))  # pandas takes a minute
        file.seek(start)
        names = pd.read_csv(
            file, nrows=0, encoding="utf-8-sig", index_col=False, encoding_errors="surrogateescape"
        ).columns
        file.seek(start)
        texts = columns.never_features
        frame = pd.read_csv(
            file,
            index_col=False,
            dtype={name: object for name in names if name in texts},
            # A genre may well be called "NA", but no number is.
            keep_default_na=False,
            na_values={name: _MISSING for name in names if name not in texts},
            encoding="utf-8-sig",
            encoding_errors="surrogateescape",
            low_memory=False,
        )
    return frame, header


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
    pyarrow.parquet.write_table(arrow, path, use_dictionary=["label", "group"])


def _read_parquet(path: Path, columns: Columns) -> tuple[pd.DataFrame, dict[str, Any] | None]:
    pyarrow = import_pyarrow()
    arrow = pyarrow.parquet.read_table(path)
    arrow.validate(full=True)  # that texts are UTF-8, among others
    header = (arrow.schema.metadata or {}).get(_HEADER.encode())
    frame = arrow.to_pandas()
    frame.columns = [str(name) for name in frame.columns]
    return frame, _parse_header(header) if header else None


def _is_utf8(text: str) -> bool:
    return text == text.encode("utf-8", "replace").decode("utf-8")


def _write_npz(table: FeatureTable, path: Path) -> None:
    with path.open("wb") as file:
        np.savez(
            file,
            path=table.paths.astype(str),
            label=table.labels.astype(str),
            group=table.groups.astype(str),
            names=np.array(table.names, dtype=str),
            values=table.values,
            header=np.array("" if table.config is None else _header(table.config)),
        )


def _read_npz(path: Path, columns: Columns) -> tuple[pd.DataFrame, dict[str, Any] | None]:
    with ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > max(2**30, 100 * path.stat().st_size):
        raise ValueError(f"it unpacks to {unpacked / 2**30:.0f} GiB, a hundred times its size")
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        own = pd.DataFrame({name: _strings(arrays[name]) for name in _OWN}, dtype=object)
        features = pd.DataFrame(arrays["values"], columns=_strings(arrays["names"]))
        header = str(_strings(arrays["header"]))
    return pd.concat([own, features], axis=1), _parse_header(header) if header else None


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
