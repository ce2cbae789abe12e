"""An evaluation as text: the accuracy, baselines, scores per genre, confusion and calibration."""

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from genreclf.reports.console import Records, print_line, print_notes, printable, right, shown

if TYPE_CHECKING:
    from genreclf.learning.thresholds import Threshold

_KINDS = {
    "grouped": "{n_folds}-fold cross-validation, groups kept together",
    "stratified": "{n_folds}-fold cross-validation",
    "folds": "the table's own {n_folds} folds",
    "split": "the table's own split into training and test",
    "held-out": "one group in ten held out",
    "model": "a saved model on the tracks of this table",
}


def evaluation_report(result: dict[str, Any], console: Console) -> None:
    """Print what ``Evaluation.to_dict`` returns."""
    for line in summary_lines(result):
        print_line(line, console)
    console.print()
    console.print(_per_genre_table(result))
    console.print(_confusion_table(result, console.width))
    console.print(_reliability_table(result))
    warnings = result.get("warnings", [])
    print_notes([text for text in result["notes"] if text not in warnings], console)


def is_ungrouped(splits: dict[str, Any]) -> bool:
    """Return True if tracks of one group may have been in both training and test."""
    return splits.get("kind") == "stratified" or not splits.get("grouped", True)


def how_measured(splits: dict[str, Any]) -> str:
    """Name the kind of splits that an accuracy was measured with."""
    return _KINDS[splits["kind"]].format(**splits)


def summary_lines(result: dict[str, Any]) -> list[str]:
    """Summarise ``Evaluation.to_dict``; warnings follow the accuracy, which they are about."""
    low, high = result["accuracy_ci95"]
    return [
        f"accuracy {result['accuracy']:.1%}  (95 % interval {low:.1%} to {high:.1%}; "
        f"{result['n_tracks']} tracks, {how_measured(result['splits'])})",
        *(f"warning: {printable(text)}" for text in result.get("warnings", [])),
        *_ungrouped_lines(result),
        f"baselines: {result['baseline_accuracy']:.1%} for always predicting the most frequent "
        f"genre, {result['chance_accuracy']:.1%} for random guesses",
        f"balanced accuracy {result['balanced_accuracy']:.1%}, macro F1 {result['macro_f1']:.3f}; "
        f"top-2 accuracy {result['top2_accuracy']:.1%}, top-3 {result['top3_accuracy']:.1%}",
        *_p_value_lines(result),
        *_threshold_lines(result),
    ]


def _ungrouped_lines(result: dict[str, Any]) -> list[str]:
    ungrouped = result.get("ungrouped_accuracy")
    if ungrouped is None:
        return []
    points = 100 * (ungrouped - result["accuracy"])
    return [
        f"if groups were ignored, it would be {ungrouped:.1%}, {abs(points):.1f} points "
        f"{'higher' if points >= 0 else 'lower'}; on artists or albums that were not in the "
        "training set, expect the accuracy above"
    ]


def _p_value_lines(result: dict[str, Any]) -> list[str]:
    p = result.get("permutation_p_value")
    return [] if p is None else [f"probability of such an accuracy by chance: p = {p:.2g}"]


def _threshold_lines(result: dict[str, Any]) -> list[str]:
    clause = "; measured without groups" if is_ungrouped(result["splits"]) else ""
    if found := result.get("threshold"):
        target = f"a precision of {100 * found['target_precision']:.6g}%"
        if not found["confidence"]:
            share = f"{found['precision']:.1%} of all predictions are correct"
            return [f"{target} needs no threshold: {share}{clause}"]
        return [
            f"for {target}, withhold predictions with a confidence below "
            f"{found['confidence']:.1%}: {_what_remains(found)}{clause}"
        ]
    found = result.get("suggested_threshold")
    if found is None or result["accuracy"] == 1:
        return []
    return [
        f"predictions with a confidence below {found['confidence']:.1%} are more often wrong than "
        f"correct; predict --threshold auto withholds them: {_what_remains(found)}{clause}"
    ]


def _what_remains(threshold: dict[str, Any]) -> str:
    return (
        f"{threshold['coverage']:.1%} of the tracks remain, and {threshold['precision']:.1%} of "
        "those are correct"
    )


def threshold_line(found: "Threshold", evaluation: dict[str, Any]) -> str:
    """Describe the suggested threshold of a model, from its evaluation as plain values."""
    if not found.confidence:
        if "threshold" in evaluation:
            why = "all predictions of its evaluation together were correct often enough"
        elif found.precision == 1:
            why = "its evaluation had no wrong predictions"
        else:
            why = "its evaluation had too few wrong predictions to find one"
        return f"threshold: 0; {why}, so nothing is withheld"
    line = (
        f"threshold: {found.confidence:.2f}; {found.coverage:.0%} of the tracks of its evaluation "
        f"reach it, and {found.precision:.0%} of those are correct"
    )
    if is_ungrouped(evaluation.get("splits", {})):
        line += "; measured without groups, so expect less for artists not in the training tracks"
    return line


def _per_genre_table(result: dict[str, Any]) -> Table:
    table = Records("genre", *(right(name) for name in ("precision", "recall", "F1", "tracks")))
    for genre, scores in result["per_genre"].items():
        values = (f"{scores[name]:.2f}" for name in ("precision", "recall", "f1"))
        table.add_row(printable(genre), *values, str(scores["n"]))
    return table


def _confusion_table(result: dict[str, Any], width: int) -> Table:
    """Rows are true genres, columns predicted ones; numbered if their names do not fit."""
    genres, matrix = [printable(genre) for genre in result["genres"]], result["confusion_matrix"]
    first = max(map(len, genres)) + 4
    room = (width - first) // len(genres) - 3
    heads = [genre[: max(room, 1)] for genre in genres]
    if len(set(heads)) < len(heads) or room < 2:
        heads = [str(i + 1) for i in range(len(genres))]
        genres = [f"{i + 1} {genre}" for i, genre in enumerate(genres)]
    table = Table("true \\ predicted", *(right(head) for head in heads), title="confusion")
    for i, (genre, row) in enumerate(zip(genres, matrix, strict=True)):
        if sum(row):
            table.add_row(genre, *(_cell(n, diagonal=i == j) for j, n in enumerate(row)))
    return table


def _cell(n: int, *, diagonal: bool) -> str:
    if not n:
        return shown("·", ".")
    return f"[bold]{n}[/bold]" if diagonal else str(n)


def _reliability_table(result: dict[str, Any]) -> Table:
    columns = (right(name) for name in ("confidence", "tracks", "mean", "accuracy"))
    table = Records(*columns, title=f"calibration: confidence is {calibration_clause(result)}")
    if is_ungrouped(result["splits"]):
        table.caption = "measured without groups"
    for part in result["reliability"]:
        table.add_row(
            f"{part['low']:.0%} to {part['high']:.0%}", str(part["n"]),
            f"{part['confidence']:.0%}", f"{part['accuracy']:.0%}",
        )  # fmt: skip
    return table


def calibration_clause(result: dict[str, Any]) -> str:
    """Compare the calibration error with that of a calibrated classifier by chance."""
    error = 100 * result["expected_calibration_error"]
    clause = f"off by {error:.1f} points on average"
    if "calibration_error_by_chance" not in result:  # the card of an older model
        return clause
    low, high = (100 * bound for bound in result["calibration_error_by_chance_ci95"])
    chance = f"{low:.1f} to {high:.1f} with this many tracks"
    if error <= high:
        return f"{clause}, no more than by chance ({chance})"
    excess = 100 * result["excess_calibration_error"]
    return f"{clause}, {excess:.1f} more than by chance ({chance})"
