"""``genreclf train``: from a feature table to a model."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from genreclf.cli.options import (
    OUTPUT_FILE,
    SOME_FAILED,
    TABLE,
    Learning,
    TableOptions,
    Trainings,
    cross_validated,
    fold_jobs_option,
    html_option,
    learning_options,
    out_of_core_option,
    stdout_console,
    summarised,
    table_options,
    target_precision_option,
    tell_written,
    warn_of_leaks,
    worker_count,
    write_html,
)
from genreclf.cli.telling import complain, plural, progress, verbosity_options

if TYPE_CHECKING:
    from rich.console import Console

    from genreclf.learning.model import Model


@click.command()
@click.argument("table", type=TABLE)
@click.option(
    "-o",
    "--output",
    type=OUTPUT_FILE,
    default=Path("model.joblib"),
    show_default=True,
    metavar="FILE",
    help="Model file to write.",
)
@learning_options
@target_precision_option
@table_options
@out_of_core_option
@click.option("--no-evaluate", is_flag=True, help="Skip the cross-validation.")
@fold_jobs_option
@html_option
@verbosity_options
def train(
    table: Path,
    output: Path,
    learning: Learning,
    target_precision: float | None,
    table_options: TableOptions,
    out_of_core: bool,
    no_evaluate: bool,
    jobs: int | None,
    html_file: Path | None,
) -> None:  # fmt: skip
    """Train a classifier on the labelled tracks of a feature TABLE and save it.

    First its accuracy on tracks that it has not seen is measured by cross-validation; then it is
    trained on all of them. The features are those of the table: of the configuration only seed,
    scaling, pca, codebook, classifier and evaluation count.

    \b
    Examples:
      genreclf train features.csv
      genreclf train features.csv -o forest.joblib --classifier random-forest
      genreclf train features.csv --html report.html
      genreclf train features.csv --set classifier.C=3 --set pca=off
      genreclf train features.parquet --classifier lda --out-of-core
      genreclf train foreign.csv --label-column genre --group artist --ignore length
    """
    from genreclf.evaluation.crossvalidation import count_trainings
    from genreclf.evaluation.importance import ImportanceMeter
    from genreclf.learning.model import Model
    from genreclf.learning.modelfile import check_writer
    from genreclf.reports.text import genre_counts
    from genreclf.tables.table import load_table

    if no_evaluate and target_precision:
        raise click.UsageError("--target-precision is learned from the cross-validation")
    if no_evaluate and html_file:
        raise click.UsageError("--html reports the cross-validation, which --no-evaluate skips")
    check_writer(output)
    settings = learning.settings()
    console = stdout_console()
    evaluated, unreached = None, None
    if out_of_core:
        if learning.search or html_file:
            raise click.UsageError("--out-of-core goes without --search and --html")
        from genreclf.evaluation.outofcore import evaluate_in_parts
        from genreclf.learning.outofcore import TableParts, train_in_parts

        learning.check_extraction(None)
        parts = TableParts(table, table_options.columns(), settings)
        if not no_evaluate:
            evaluation = evaluate_in_parts(parts)
            evaluated, unreached = summarised(evaluation, target_precision, suggest=True)
        model = train_in_parts(parts).with_evaluation(evaluated)
        # Before the report: whoever reads it through a pipe may stop after the first line.
        model.save(output)
        _tell(model, output, console, unreached)
        return
    features = load_table(table, table_options.columns()).labelled()
    learning.check_extraction(features.config)
    n_tracks, n_genres = plural(len(features), "track"), plural(len(features.genres), "genre")
    counts = genre_counts(features.labels)
    console.print(f"{n_tracks}, {n_genres}: {counts}", markup=False, highlight=False)
    warn_of_leaks(features)
    n_folds = 0 if no_evaluate else count_trainings(features, settings)
    trainings = Trainings(features, settings, learning.search, n_folds, final=True)
    jobs = worker_count(jobs, max(1, n_folds))
    trainings.announce(jobs)
    with progress(trainings.number, "training") as advance:
        if not no_evaluate:
            meter = ImportanceMeter(features, settings)
            watching = meter if html_file else None
            evaluation = cross_validated(trainings, jobs, advance, watching)
            evaluated, unreached = summarised(evaluation, target_precision, suggest=True)
        model = Model.fit(features, settings, search=learning.search, evaluation=evaluated)
        advance()
    model.save(output)
    if html_file is not None and evaluated is not None:
        write_html(html_file, evaluation, evaluated, features, meter)
    _tell(model, output, console, unreached)


def _tell(model: "Model", output: Path, console: "Console", unreached: str | None) -> None:
    from genreclf.reports.text import evaluation_report

    if model.evaluation is not None:
        evaluation_report(model.evaluation, console)
    tell_written("model", output)
    if unreached is not None:
        complain(f"genreclf: {unreached}; the model has no threshold and answers every file")
        raise click.exceptions.Exit(SOME_FAILED)
