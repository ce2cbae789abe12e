"""``genreclf evaluate``: how good a classifier is, honestly."""

import json
from dataclasses import replace
from pathlib import Path

import click

from genreclf.cli.options import (
    FILE,
    OUTPUT_FILE,
    SOME_FAILED,
    TABLE,
    Learning,
    TableOptions,
    Trainings,
    cross_validated,
    fold_jobs_option,
    html_option,
    json_option,
    learning_options,
    out_of_core_option,
    stdout_console,
    summarised,
    table_options,
    target_precision_option,
    trust_option,
    warn_of_leaks,
    worker_count,
    write_html,
    write_predictions,
    write_text,
)
from genreclf.cli.telling import complain, progress, verbosity_options


@click.command()
@click.argument("table", type=TABLE)
@click.option(
    "--model",
    type=FILE,
    metavar="FILE",
    help="Evaluate this saved model on the table, instead of cross-validating.",
)
@trust_option
@learning_options
@target_precision_option
@table_options
@out_of_core_option
@click.option("--folds", metavar="COLUMN", help="Column with published folds, run as they are.")
@click.option(
    "--split", metavar="COLUMN", help="Column with a published split into train, valid and test."
)
@click.option(
    "--permutations",
    type=click.IntRange(min=1),
    metavar="N",
    help="Tell how likely so high an accuracy is by chance, from N permutations of the genres.",
)
@click.option(
    "--predictions", type=OUTPUT_FILE, metavar="FILE.csv",
    help="Also write what was predicted for each track: path,fold,label,genre,confidence (- for "
    "standard output, instead of the text).",
)  # fmt: skip
@fold_jobs_option
@json_option
@html_option
@verbosity_options
def evaluate(
    table: Path,
    model: Path | None,
    trust: bool,
    learning: Learning,
    target_precision: float | None,
    table_options: TableOptions,
    out_of_core: bool,
    folds: str | None,
    split: str | None,
    permutations: int | None,
    predictions: Path | None,
    jobs: int | None,
    json_file: Path | None,
    html_file: Path | None,
) -> None:  # fmt: skip
    """Measure the accuracy on tracks that the classifier has not seen.

    Cross-validation by default. If the TABLE has groups (artists, albums), no group is ever on
    both sides of a fold: that accuracy is the one to expect on music not heard before.
    With --folds, --split and --model, a track whose genre the classifier was not trained on counts
    as wrong; in cross-validation, a genre of one group only is left out and named.

    \b
    Examples:
      genreclf evaluate features.csv
      genreclf evaluate features.csv --classifier lda --json result.json
      genreclf evaluate features.csv --html report.html
      genreclf evaluate features.csv --predictions predictions.csv
      genreclf evaluate features.csv --model model.joblib
      genreclf evaluate features.csv --group-regex 'music/[^/]+/([^/]+)/'
      genreclf evaluate gtzan.csv --group artist --folds sturm_fold --ignore length
    """
    from genreclf.evaluation.crossvalidation import count_trainings, evaluate_model
    from genreclf.evaluation.importance import ImportanceMeter
    from genreclf.learning.model import Model
    from genreclf.reports.text import evaluation_report
    from genreclf.tables.table import load_table

    if folds and split:
        raise click.UsageError("--folds and --split exclude each other")
    if model and not (learning.is_default and folds is split is None and target_precision is None):
        raise click.UsageError(
            "a saved model is evaluated as it is, on the whole table: --classifier, --search, "
            "--target-precision, --config, --set, --folds and --split have no meaning with --model"
        )
    if out_of_core and (model or folds or split or learning.search or html_file):
        raise click.UsageError(
            "--out-of-core goes without --model, --folds, --split, --search and --html"
        )
    to_stdout = [str(file) for file in (predictions, json_file)].count("-")
    if to_stdout > 1:
        raise click.UsageError("--predictions and --json cannot both go to standard output")
    settings = learning.settings()
    if out_of_core:
        from genreclf.evaluation.outofcore import evaluate_in_parts
        from genreclf.learning.outofcore import TableParts

        learning.check_extraction(None)
        evaluation = evaluate_in_parts(TableParts(table, table_options.columns(), settings))
    elif model is None:
        features = load_table(table, table_options.columns(folds=folds, split=split))
        features = features.labelled()
        learning.check_extraction(features.config)
        warn_of_leaks(features)
        meter = ImportanceMeter(features, settings)
        n_folds = count_trainings(features, settings)
        trainings = Trainings(features, settings, learning.search, n_folds)
        jobs = worker_count(jobs, n_folds)
        trainings.announce(jobs)
        with progress(n_folds, "cross-validation") as advance:
            evaluation = cross_validated(trainings, jobs, advance, meter if html_file else None)
    else:
        features = load_table(table, table_options.columns())
        loaded = Model.load(model, trusted=trust)
        warn_of_leaks(loaded.columns_of(features))
        evaluation = evaluate_model(loaded, features)
        if html_file:
            features = loaded.columns_of(features)
            meter = ImportanceMeter(features, loaded.config)
            held_out = evaluation.held_out  # in whose groups copies are together
            meter(loaded.pipeline, replace(features.take(held_out.rows), groups=held_out.groups))
    result, unreached = summarised(evaluation, target_precision, n_permutations=permutations)
    if html_file is not None:
        write_html(html_file, evaluation, result, features, meter)
    # Before the report: whoever reads it through a pipe may stop after the first line.
    if predictions is not None:
        write_predictions(predictions, evaluation)
    if json_file is not None:
        write_text(json_file, json.dumps(result, indent=2) + "\n", "result")
    elif not to_stdout:
        evaluation_report(result, stdout_console())
    if unreached is not None:
        complain(f"genreclf: {unreached}")
        raise click.exceptions.Exit(SOME_FAILED)
