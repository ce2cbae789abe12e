"""What a person reads: evaluations, tables, models and audio files as text."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from genreclf.errors import one_line

if TYPE_CHECKING:  # to print a prediction, nothing that fits or evaluates is needed
    from genreclf.evaluation import Evaluation
    from genreclf.excerpt import Excerpt
    from genreclf.model import Model, Prediction
    from genreclf.table import FeatureTable

__all__ = [
    "audio_report",
    "comparison_report",
    "evaluation_report",
    "genre_counts",
    "model_report",
    "predictions_table",
    "printable",
    "table_report",
]

_KINDS = {
    "grouped": "{n_folds}-fold cross-validation, groups kept together",
    "stratified": "{n_folds}-fold cross-validation",
    "folds": "the table's own {n_folds} folds",
    "split": "the table's own split into training and test",
    "model": "a saved model on the tracks of this table",
}


def printable(text: object) -> str:
    """Replace what would steer a terminal, break a line, or be taken for rich's markup."""
    return escape(one_line(text))


def evaluation_report(evaluation: "Evaluation", console: Console) -> None:
    """Print accuracy, what to hold it against, and where it goes wrong."""
    result = evaluation.to_dict()
    for line in summary_lines(result):
        console.print(line, highlight=False)
    console.print()
    console.print(_per_genre_table(result))
    console.print(_confusion_table(result, console.width))
    for note in evaluation.notes:
        console.print(f"note: {printable(note)}", markup=False, highlight=False)


def summary_lines(result: dict[str, Any]) -> list[str]:
    """Say in words how good a classifier is, from ``Evaluation.to_dict``."""
    low, high = result["accuracy_ci95"]
    how = _KINDS[result["splits"]["kind"]].format(**result["splits"])
    lines = [
        f"accuracy {result['accuracy']:.1%}  (95 % interval {low:.1%} to {high:.1%}; "
        f"{result['n_tracks']} tracks, {how})",
        f"always answering the most frequent genre: {result['baseline_accuracy']:.1%}",
        f"balanced accuracy {result['balanced_accuracy']:.1%}, macro F1 {result['macro_f1']:.3f}",
    ]
    ungrouped = result.get("ungrouped_accuracy")
    if ungrouped is not None:
        points = 100 * (ungrouped - result["accuracy"])
        lines.insert(
            1,
            f"ignoring groups it would seem {ungrouped:.1%}: {abs(points):.1f} points "
            f"{'more' if points >= 0 else 'less'}; the figure above is the one to expect "
            "on artists or albums not heard before",
        )
    return lines


def _per_genre_table(result: dict[str, Any]) -> Table:
    table = Table("genre", *(_right(name) for name in ("precision", "recall", "F1", "tracks")))
    for genre, scores in result["per_genre"].items():
        table.add_row(
            printable(genre),
            *(f"{scores[name]:.2f}" for name in ("precision", "recall", "f1")),
            str(scores["n"]),
        )
    return table


def _confusion_table(result: dict[str, Any], width: int) -> Table:
    """Rows are true genres, columns predicted ones; numbered where their names do not fit."""
    genres, matrix = [printable(genre) for genre in result["genres"]], result["confusion_matrix"]
    first = max(map(len, genres)) + 4
    room = (width - first) // len(genres) - 3
    heads = [genre[: max(room, 1)] for genre in genres]
    if len(set(heads)) < len(heads) or room < 2:
        heads = [str(i + 1) for i in range(len(genres))]
        genres = [f"{i + 1} {genre}" for i, genre in enumerate(genres)]
    table = Table("true \\ predicted", *(_right(head) for head in heads), title="confusion")
    for i, (genre, row) in enumerate(zip(genres, matrix, strict=True)):
        if sum(row):
            cells = [_cell(n, diagonal=i == j) for j, n in enumerate(row)]
            table.add_row(genre, *cells)
    return table


def _cell(n: int, *, diagonal: bool) -> str:
    if not n:
        return "·"
    return f"[bold]{n}[/bold]" if diagonal else str(n)


def _right(name: str) -> Any:
    from rich.table import Column

    return Column(name, justify="right", no_wrap=True)


def genre_counts(labels: Iterable[str]) -> str:
    """List genres with their numbers of tracks in one line."""
    counts = Counter(labels)
    named = [f"{printable(genre)} {n}" for genre, n in sorted(counts.items()) if genre]
    if counts[""]:
        named.append(f"without label {counts['']}")
    return ", ".join(named)


def predictions_table(predictions: "Sequence[Prediction]", top: int) -> Table:
    """One row a file: the genre, how sure, and the runners-up."""
    table = Table("file", "genre", _right("confidence"))
    if top > 1:
        table.add_column("then")
    for prediction in predictions:
        ranked = list(prediction.probabilities.items())[:top]
        others = ", ".join(f"{printable(genre)} {p:.0%}" for genre, p in ranked[1:])
        cells = [printable(prediction.path), printable(prediction.genre)]
        cells.append(f"{prediction.confidence:.0%}")
        table.add_row(*cells, *([others] if top > 1 else []))
    return table


def table_report(table: "FeatureTable", console: Console) -> None:
    """Print what a feature table holds."""
    facts = [
        ("tracks", len(table)),
        ("genres", genre_counts(table.labels) or "none"),
        ("groups", len(set(table.groups) - {""}) or "none"),
        ("features", f"{len(table.names)}, {table.names[0]} to {table.names[-1]}"),
        ("missing values", int((table.values != table.values).sum())),
        ("configuration", table.config.fingerprint if table.config else "none: from elsewhere"),
    ]
    _print_facts(facts, console)
    if table.config:
        _print_config(table.config.to_dict(), console)
    for note in table.notes:
        console.print(f"note: {printable(note)}", markup=False, highlight=False)


def model_report(model: "Model", console: Console) -> None:
    """Print what a model is, what it was trained on and how good it is."""
    packages = ", ".join(f"{name} {version}" for name, version in model.versions.items())
    facts = [
        ("trained", model.created),
        ("classifier", model.config.classifier.name),
        ("genres", ", ".join(f"{printable(g)} {n}" for g, n in model.counts.items())),
        ("features", f"{len(model.feature_names)}, {model.feature_names[0]} to "
                     f"{model.feature_names[-1]}"),
        ("predicts from", "audio and tables" if model.from_audio else "tables only"),
        ("versions", packages),
        ("configuration", model.config.fingerprint),
    ]  # fmt: skip
    _print_facts(facts, console)
    if model.evaluation is None:
        console.print("never evaluated", highlight=False)
    else:
        for line in summary_lines(model.evaluation):
            console.print(line, highlight=False)
    _print_config(model.config.to_dict(), console)


def audio_report(
    excerpt: "Excerpt", tags: dict[str, str], features: dict[str, float], console: Console
) -> None:
    """Print what an audio file is, which seconds of it are used, and its features."""
    info, stop = excerpt.info, excerpt.start_seconds + excerpt.seconds
    padding = (len(excerpt.samples) / excerpt.sample_rate_hz - excerpt.seconds) / 2
    padded = f", {padding:.2f} s of silence added on each side" if padding > 0.01 else ""
    facts = [
        ("duration", f"{info.seconds:.2f} s"),
        ("sample rate", f"{info.sample_rate_hz} Hz, {info.channels} channels"),
        ("codec", f"{info.container}, {info.codec}"),
        *(("tag " + name, value) for name, value in tags.items()),
        ("excerpt", f"{excerpt.start_seconds:.2f} s to {stop:.2f} s{padded}"),
    ]
    _print_facts(facts, console)
    table = Table("feature", _right("value"))
    for name, value in features.items():
        table.add_row(name, f"{value:.6g}")
    console.print(table)


def comparison_report(differences: dict[str, float], console: Console) -> None:
    """Print how far each feature is from librosa's, relative to its largest value."""
    table = Table("feature", _right("largest relative difference"))
    for name, difference in differences.items():
        table.add_row(name, f"{difference:.1e}")
    console.print(table)


def _print_facts(facts: Sequence[tuple[str, object]], console: Console) -> None:
    grid = Table.grid(padding=(0, 2))
    for name, value in facts:
        grid.add_row(printable(name), printable(value))
    console.print(grid)


def _print_config(tree: dict[str, Any], console: Console) -> None:
    for key, value in tree.items():
        branch = value.items() if isinstance(value, dict) else [("", value)]
        for name, leaf in branch:
            dotted = f"{key}.{name}".rstrip(".")
            console.print(f"  {dotted} = {json.dumps(leaf)}", markup=False, highlight=False)
