"""``genreclf evaluate``: how good a classifier is, honestly."""

import json
from pathlib import Path

import click

from genreclf.cli.options import (
    FILE,
    OUTPUT_FILE,
    classifier_options,
    column_options,
    columns_from,
    config_option,
    evaluate_with_progress,
    learning_config,
    stdout_console,
    write_text,
)


@click.command()
@click.argument("table", type=FILE)
@click.option(
    "--model",
    type=FILE,
    metavar="FILE",
    help="Evaluate this saved model on the table, instead of cross-validating.",
)
@classifier_options
@config_option
@column_options
@click.option("--folds", metavar="COLUMN", help="Column with published folds, run as they are.")
@click.option(
    "--split", metavar="COLUMN", help="Column with a published split into train, valid and test."
)
@click.option(
    "--json",
    "json_file",
    type=OUTPUT_FILE,
    metavar="FILE",
    help="Write the result as JSON to this file (- for standard output) instead.",
)
def evaluate(
    table: Path,
    model: Path | None,
    classifier: str | None,
    search: bool,
    config: str,
    overrides: tuple[str, ...],
    label_column: str,
    group: str,
    ignore: tuple[str, ...],
    folds: str | None,
    split: str | None,
    json_file: Path | None,
) -> None:  # fmt: skip
    """Measure the accuracy on tracks that the classifier has not seen.

    Cross-validation by default. If the TABLE has groups (artists, albums), no group is ever on
    both sides of a fold: that accuracy is the one to expect on music not heard before.

    \b
    Examples:
      genreclf evaluate features.csv
      genreclf evaluate features.csv --classifier lda --json result.json
      genreclf evaluate features.csv --model model.joblib
      genreclf evaluate gtzan.csv --group artist --folds sturm_fold --ignore length
    """
    from genreclf.model import Model
    from genreclf.report import evaluation_report
    from genreclf.table import load_table

    if folds and split:
        raise click.UsageError("--folds and --split exclude each other")
    changed = classifier or search or overrides or config != "default"
    if model and (changed or folds or split):
        raise click.UsageError(
            "a saved model is evaluated as it is, on the whole table: --classifier, --search, "
            "--config, --set, --folds and --split have no meaning with --model"
        )
    settings = learning_config(config, overrides, classifier)
    columns = columns_from(label_column, group, ignore, folds=folds, split=split)
    features = load_table(table, columns)
    if model is None:
        evaluation = evaluate_with_progress(features, settings, search)
    else:
        evaluation = Model.load(model).evaluate(features)
    if json_file is None:
        evaluation_report(evaluation, stdout_console())
    else:
        write_text(json_file, json.dumps(evaluation.to_dict(), indent=2) + "\n")
