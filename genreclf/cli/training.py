"""What the commands that train classifiers share."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genreclf.cli.options import Learning
from genreclf.cli.output import note, plural, write_text
from genreclf.cli.progress import duration
from genreclf.errors import TableError

if TYPE_CHECKING:
    from genreclf.evaluation.importance import ImportanceMeter
    from genreclf.evaluation.result import Evaluation
    from genreclf.evaluation.trainings import Trainings
    from genreclf.tables.table import Columns, FeatureTable

LONG_SECONDS = 600  # trainings that take longer are announced


def load_labelled(table: Path, columns: "Columns", learning: Learning) -> "FeatureTable":
    """Load the labelled tracks of a table, if the options for learning fit it."""
    from genreclf.tables.table import load_table

    features = load_table(table, columns).labelled()
    learning.check_extraction(features.config)
    return features


def warn_of_leaks(table: "FeatureTable") -> None:
    """Name columns that give the genre away, before any time is spent on them."""
    from genreclf.learning.leaks import leak_notes

    for text in leak_notes(table):
        note(f"warning: {text}")


def announce(trainings: "Trainings", jobs: int) -> None:
    """Print the estimated time if it is long, and which classifiers take less."""
    from genreclf.evaluation.trainings import LINEAR

    seconds = trainings.seconds(jobs)
    if seconds < LONG_SECONDS:
        return
    name, table = trainings.config.classifier.name, trainings.table
    text = (
        f"note: {name} will take about {duration(seconds)} for "
        f"{plural(len(table.genres), 'genre')} in {plural(len(table), 'track')} "
        f"({plural(trainings.number, 'training')})"
    )
    if name not in LINEAR:
        quicker = duration(trainings.linear_seconds(jobs))
        text += f"; --classifier {' or '.join(LINEAR)} about {quicker}"
    note(text)


def summarised(
    evaluation: "Evaluation", target_precision: float | None, **options: Any
) -> tuple[dict[str, Any], str | None]:
    """Return ``Evaluation.to_dict``, without a threshold if the target cannot be reached, and why.

    The other results are kept.
    """
    try:
        return evaluation.to_dict(target_precision, **options), None
    except TableError as error:
        return evaluation.to_dict(**options), str(error)


def write_html(
    path: Path,
    evaluation: "Evaluation",
    result: dict[str, Any],
    table: "FeatureTable",
    meter: "ImportanceMeter",
) -> None:
    """Write the HTML report of an evaluation."""
    from genreclf.reports.html import html_report

    command = ["genreclf", *click.get_current_context().find_root().obj]
    write_text(path, html_report(evaluation, result, table, meter, command), "report")
