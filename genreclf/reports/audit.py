"""An audit as text: doubtful labels, and copies of recordings."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from genreclf.reports.console import FilePath, Records, print_line, print_notes, printable, right

if TYPE_CHECKING:
    from genreclf.evaluation.audit import Audit, Finding


def audit_report(audit: "Audit", console: Console, most: int) -> None:
    """Print at most ``most`` doubtful labels, and as many recordings that have copies."""
    doubtful = audit.of_kind("label")
    if audit.accuracy is not None:
        print_line(
            f"{len(doubtful)} of {audit.n_tracks} labels are doubtful: a classifier that was not "
            f"trained on the track predicts another genre (its accuracy is {audit.accuracy:.1%}; "
            "the lower it is, the more correct labels are doubted)",
            console,
        )
    if doubtful:
        console.print(_doubtful_table(doubtful[:most]))
        _print_rest(len(doubtful), most, console)
    copies = _by_recording(audit.of_kind("exact", "near"))
    exact = sum(tracks[0].kind == "exact" for tracks in copies)
    print_line(
        f"{len(copies)} recordings have copies: {exact} with identical features, "
        f"{len(copies) - exact} with features that differ a little",
        console,
    )
    if copies:
        copies.sort(key=lambda tracks: not tracks[0].labels_differ)  # different labels first
        console.print(_copies_table(copies[:most]))
        _print_rest(len(copies), most, console)
    print_notes(audit.notes, console)


def _doubtful_table(findings: "Sequence[Finding]") -> Table:
    table = Records("file", "label", right("probability"), "predicted", right("probability"))
    for found in findings:
        table.add_row(
            FilePath.of(found.path), printable(found.label), f"{found.label_confidence:.1%}",
            printable(found.predicted), f"{found.confidence:.0%}",
        )  # fmt: skip
    return table


def _by_recording(findings: "Iterable[Finding]") -> "list[list[Finding]]":
    tracks: dict[int | None, list[Finding]] = {}
    for found in findings:
        tracks.setdefault(found.recording, []).append(found)
    return list(tracks.values())


def _copies_table(copies: "Iterable[Sequence[Finding]]") -> Table:
    table = Records("copies", "file", "label", right("distance"))
    for tracks in copies:
        kind = f"{tracks[0].kind}{', labels differ' if tracks[0].labels_differ else ''}"
        for i, found in enumerate(tracks):
            table.add_row(
                "" if i else kind, FilePath.of(found.path), printable(found.label),
                f"{found.distance:.2f}", end_section=i == len(tracks) - 1,
            )  # fmt: skip
    return table


def _print_rest(n: int, most: int, console: Console) -> None:
    if n > most:
        print_line(f"and {n - most} more (--top, --csv and --json show them)", console)
