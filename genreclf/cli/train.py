"""``genreclf train``: from a feature table to a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from genreclf.cli import options
from genreclf.cli.options import collected
from genreclf.cli.output import (
    INTERRUPTED,
    SOME_FAILED,
    note,
    plural,
    print_error,
    report_written,
    stdout_console,
    verbosity_options,
)
from genreclf.cli.progress import epochs, progress
from genreclf.cli.tracks import worker_count
from genreclf.cli.training import (
    announce,
    check_learning,
    load_checked,
    summarised,
    warn_of_leaks,
    write_html,
)

if TYPE_CHECKING:
    from genreclf.config.schema import Config
    from genreclf.learning.model import Model
    from genreclf.tables.table import FeatureTable


@dataclass(frozen=True)
class TrainOptions:
    """The arguments of ``train``."""

    table: Path
    output: Path
    learning: options.Learning
    target_precision: float | None
    table_options: options.TableOptions
    out_of_core: bool
    no_evaluate: bool
    jobs: int | None
    html_file: Path | None

    def check(self) -> None:
        """Refuse options that exclude each other."""
        if self.no_evaluate and self.target_precision:
            raise click.UsageError("--target-precision needs the cross-validation")
        if self.no_evaluate and self.html_file:
            raise click.UsageError("--html reports the cross-validation, which --no-evaluate skips")
        if self.out_of_core and (self.learning.search or self.html_file):
            raise click.UsageError("--out-of-core excludes --search and --html")


@click.command()
@click.argument("table", type=options.TABLE)
@click.option(
    "-o", "--output", type=options.OUTPUT_FILE, default=Path("model.joblib"), show_default=True,
    metavar="FILE", help="Model file to write.",
)  # fmt: skip
@options.learning
@options.target_precision
@options.table
@options.out_of_core
@click.option("--no-evaluate", is_flag=True, help="Skip the cross-validation.")
@options.fold_jobs
@options.html_file
@verbosity_options
@collected(TrainOptions)
def train(args: TrainOptions) -> None:
    """Train a classifier on the labelled tracks of a feature TABLE.

    A cross-validation measures the accuracy on unseen tracks; then a model is trained on all tracks
    and saved. The features are those of the TABLE. Of the configuration, only seed, scaling,
    scaling_limit, pca, learn_from, augment, codebook, gan, classifier and evaluation count.

    \b
    Examples:
      genreclf train features.csv
      genreclf train features.csv -o forest.joblib --classifier random-forest
      genreclf train features.csv --html report.html
      genreclf train features.csv --set classifier.C=3 --set pca=off
      genreclf train features.parquet --classifier lda --out-of-core
      genreclf train foreign.csv --label-column genre --group artist --ignore length
    """
    from genreclf.learning.modelfile import check_writer

    args.check()
    check_writer(args.output)
    config = args.learning.settings()
    train_one = _train_in_parts if args.out_of_core else _train_and_report
    unreached = train_one(args, config)
    if unreached is not None:
        print_error(f"genreclf: {unreached}; the model has no threshold and never says 'unknown'")
        raise click.exceptions.Exit(SOME_FAILED)


def _train_in_parts(args: TrainOptions, config: "Config") -> str | None:
    """Train on a folder of tables; return why there is no threshold."""
    from genreclf.evaluation.outofcore import evaluate_in_parts
    from genreclf.learning.outofcore import TableParts, train_in_parts

    check_learning(args.learning, None)
    parts = TableParts(args.table, args.table_options.columns(), config)
    result, unreached = None, None
    if args.no_evaluate:
        _print_notes(next(iter(parts)))
    else:
        evaluation = evaluate_in_parts(parts)
        result, unreached = summarised(evaluation, args.target_precision, suggest=True)
    model = train_in_parts(parts).with_evaluation(result)
    model.save(args.output)
    _report(model, args.output)
    return unreached


def _train_and_report(args: TrainOptions, config: "Config") -> str | None:
    """Train on a table in memory; return why there is no threshold."""
    from genreclf.evaluation.importance import ImportanceMeter
    from genreclf.evaluation.trainings import Trainings
    from genreclf.learning.model import Model
    from genreclf.reports.console import genre_counts
    from genreclf.reports.html import Measured

    table = load_checked(args.table, args.table_options.columns(), args.learning).labelled()
    n_tracks, n_genres = plural(len(table), "track"), plural(len(table.genres), "genre")
    counts = f"{n_tracks}, {n_genres}: {genre_counts(table.labels)}"
    stdout_console().print(counts, markup=False, highlight=False)
    if args.no_evaluate:
        _print_notes(table)
    warn_of_leaks(table)
    search = args.learning.search
    trainings = Trainings(table, config, search, not args.no_evaluate, final=True)
    jobs = worker_count(args.jobs, max(1, trainings.n_folds))
    announce(trainings, jobs)
    evaluation, result, unreached = None, None, None
    with progress(trainings.number, "training") as advance:
        if not args.no_evaluate:
            meter = ImportanceMeter(table, config)
            with epochs(final=False):
                on_model = meter if args.html_file else None
                evaluation = trainings.cross_validate(jobs, advance, on_model)
            result, unreached = summarised(evaluation, args.target_precision, suggest=True)
        with epochs(final=True):
            model = Model.fit(
                table, config, search=search, evaluation=evaluation, copies=trainings.copies
            ).with_evaluation(result)
        advance()
    # Before the report, because the reader of a pipe may stop after the first line.
    model.save(args.output)
    if args.html_file is not None and evaluation is not None and result is not None:
        write_html(args.html_file, Measured(evaluation, table, meter, model.curves), result)
    _report(model, args.output)
    if model.curves is not None and model.curves.was_interrupted:
        print_error(f"genreclf: interrupted; the best is kept: {model.curves.summary()}")
        raise click.exceptions.Exit(INTERRUPTED)
    return unreached


def _print_notes(table: "FeatureTable") -> None:
    """Print what the report of an evaluation says about the table."""
    for text in table.notes:
        note(f"note: {text}")


def _report(model: "Model", output: Path) -> None:
    from genreclf.evaluation.notes import IDLE_WEIGHTS
    from genreclf.learning.classweights import weights_are_idle
    from genreclf.reports.console import genre_numbers
    from genreclf.reports.evaluation import evaluation_report

    if model.evaluation is not None:
        evaluation_report(model.evaluation, stdout_console())
    elif weights_are_idle(model.pipeline):
        note(f"note: {IDLE_WEIGHTS}")
    if model.made:
        n_made = sum(model.made.values())
        note(f"{plural(n_made, 'synthetic sample')} used in training: {genre_numbers(model.made)}")
    report_written("model", output)
