"""Other labels for a table or manifest: with an undo file, and a manifest of all labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genreclf.errors import TableError
from genreclf.files import beside
from genreclf.library.corrections import (
    Plan,
    plan_corrections,
    plan_renaming,
    read_corrections,
    write_undo,
)
from genreclf.library.manifest import write_manifest
from genreclf.tables.labelfiles import LabelFile, read_labels, write_labels


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files that a change of labels writes.

    Attributes
    ----------
    table : Path
        The table or manifest with the new labels; it may be the one that is read.
    undo : Path, optional
        Corrections that bring the old labels back.
    manifest : Path, optional
        A manifest of all labels. None is needed for a manifest.

    By default, both are beside the table, as ``TABLE.undo.csv`` and ``TABLE.manifest.csv`` without
    its suffix; a number follows if there is such a file.
    """

    table: Path
    undo: Path | None = None
    manifest: Path | None = None


@dataclass(frozen=True, slots=True)
class Relabelled:
    """What was done.

    Attributes
    ----------
    plan : Plan
        The changes.
    undo, manifest : Path or None
        The files that were written.
    notes : list of str
    """

    plan: Plan
    undo: Path | None
    manifest: Path | None
    notes: list[str]


def apply_corrections(
    corrections: str | Path,
    table: str | Path,
    outputs: Outputs,
    label_column: str = "label",
) -> Relabelled:
    """Change labels of a table or manifest to those in a file of corrections.

    Parameters
    ----------
    corrections : str or Path
        CSV with the columns ``path,label``. An empty label or ``not music`` removes the label.
    table : str or Path
        CSV, Parquet or NPZ, or a folder of Parquet files. Only the labels change.
    outputs : Outputs
    label_column : str

    Raises
    ------
    TableError
        If a file cannot be read or written, corrections contradict each other, or none of them
        fits a track.
    """
    wanted = read_corrections(Path(corrections))
    labels = read_labels(table, label_column)
    plan = plan_corrections(wanted, labels.paths, labels.labels, labels.folder)
    return _write(labels, plan, outputs, {Path(corrections)})


def rename_genres(
    pairs: Sequence[tuple[str, str]],
    table: str | Path,
    outputs: Outputs,
    label_column: str = "label",
) -> Relabelled:
    """Give genres of a table or manifest other names, all at once.

    Parameters
    ----------
    pairs : sequence of (str, str)
        Old and new name; an empty new name removes the label.
    table, outputs, label_column
        As for ``apply_corrections``.

    Raises
    ------
    TableError
        If a file cannot be read or written, a genre gets two names, or no track has any of them.
    """
    labels = read_labels(table, label_column)
    plan = plan_renaming(pairs, labels.paths, labels.labels)
    return _write(labels, plan, outputs, set())


def _write(file: LabelFile, plan: Plan, outputs: Outputs, kept: set[Path]) -> Relabelled:
    """Write undo file, table and manifest; ``kept`` are inputs that the table must not replace."""
    undo = outputs.undo or _free(outputs.table, "undo")
    manifest = outputs.manifest
    if manifest is None and file.is_table:
        manifest = _free(outputs.table, "manifest")
    _check_places(outputs.table, [undo, *([manifest] if manifest else [])], kept, file.path)
    notes = []
    try:
        if plan.changes:  # first, so that no change is without it
            write_undo(undo, plan.changes)
        write_labels(file, plan.labels, outputs.table)
        if manifest is not None and (left_out := _write_manifest(file, plan, manifest)):
            notes.append(f"{manifest}: without tracks whose names are not UTF-8: {left_out}")
    except OSError as error:
        reason = error.strerror or error
        raise TableError(f"{error.filename}: cannot be written: {reason}") from None
    return Relabelled(plan, undo if plan.changes else None, manifest, notes)


def _free(table: Path, kind: str) -> Path:
    """Return a name beside a table that no file has."""
    base, n = table.with_suffix(""), 1
    path = beside(base, f".{kind}.csv")
    while path.exists():
        n += 1
        path = beside(base, f".{kind}-{n}.csv")
    return path


def _check_places(table: Path, others: list[Path], kept: set[Path], source: Path) -> None:
    """Refuse outputs that would replace each other, or an input other than the table itself."""
    places = [path.resolve() for path in (table, *others)]
    inputs = {path.resolve() for path in kept}
    for n, place in enumerate(places):
        if place in inputs or (n and place == source.resolve()):
            raise TableError(f"{place}: is an input of this command; write to another file")
    if len(set(places)) < len(places):
        raise TableError(f"{table}: table, undo file and manifest need different names")


def _write_manifest(file: LabelFile, plan: Plan, manifest: Path) -> int:
    new = plan.labels
    labels = [new.get(row, label) for row, label in enumerate(file.labels)]
    columns = {"label": labels, "group": file.groups} | file.assignments
    return write_manifest(manifest, file.paths, columns, file.folder)
