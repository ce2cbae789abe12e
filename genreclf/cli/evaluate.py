"""``genreclf evaluate``: the accuracy on unseen tracks."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genreclf.cli import options
from genreclf.cli.options import collected
from genreclf.cli.output import (
    SOME_FAILED,
    print_error,
    stdout_console,
    verbosity_options,
    write_json,
    write_text,
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
    from genreclf.evaluation.importance import ImportanceMeter
    from genreclf.evaluation.result import Evaluation
    from genreclf.tables.table import FeatureTable


@dataclass(frozen=True)
class EvaluateOptions:
    """The arguments of ``evaluate``."""

    table: Path
    model: Path | None
    trust: bool
    learning: options.Learning
    target_precision: float | None
    table_options: options.TableOptions
    out_of_core: bool
    folds: str | None
    split: str | None
    permutations: int | None
    predictions: Path | None
    jobs: int | None
    json_file: Path | None
    html_file: Path | None

    @property
    def prints_records(self) -> bool:
        """Whether standard output gets JSON or CSV, and no report."""
        return "-" in (str(self.predictions), str(self.json_file))

    def check(self) -> None:
        """Refuse options that exclude each other."""
        learning, published = self.learning, self.folds or self.split
        if self.folds and self.split:
            raise click.UsageError("--folds and --split exclude each other")
        if self.model and not (
            learning.is_default and not published and self.target_precision is None
        ):
            raise click.UsageError(
                "a saved model is evaluated as it is, on the whole table: --model excludes "
                "--classifier, --augment, --search, --target-precision, --config, --set, --folds "
                "and --split"
            )
        if self.out_of_core and (self.model or published or learning.search or self.html_file):
            raise click.UsageError(
                "--out-of-core excludes --model, --folds, --split, --search and --html"
            )
        if str(self.predictions) == str(self.json_file) == "-":
            raise click.UsageError("--predictions and --json cannot both go to standard output")


@click.command()
@click.argument("table", type=options.TABLE)
@click.option(
    "--model", type=options.FILE, metavar="FILE",
    help="Evaluate this saved model on the table, instead of cross-validating.",
)  # fmt: skip
@options.trust
@options.learning
@options.target_precision
@options.table
@options.out_of_core
@options.folds
@options.split
@click.option(
    "--permutations", type=click.IntRange(min=1), metavar="N",
    help="Estimate a p-value: the share of N random permutations of the genres that reach this "
    "accuracy.",
)  # fmt: skip
@click.option(
    "--predictions", type=options.OUTPUT_FILE, metavar="FILE.csv",
    help="Also write the prediction for each track: path,fold,label,genre,confidence (- for "
    "standard output, instead of the report).",
)  # fmt: skip
@options.fold_jobs
@options.json_file
@options.html_file
@verbosity_options
@collected(EvaluateOptions)
def evaluate(args: EvaluateOptions) -> None:
    """Measure the accuracy on tracks that the classifier has not seen.

    The default is a cross-validation. If the TABLE has groups (artists, albums), the tracks of a
    group are never in both training and test: that accuracy is the one to expect on new artists.

    With --folds, --split or --model, a track of a genre that the classifier was not trained on
    counts as wrong. In a cross-validation, a genre with only one group is left out and named.

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
    args.check()
    if args.out_of_core:
        measured = _in_parts(args)
    else:
        measured = _cross_validate(args) if args.model is None else _evaluate(args, args.model)
    result, unreached = summarised(
        measured.evaluation, args.target_precision, n_permutations=args.permutations
    )
    _write(args, measured, result)
    if unreached is not None:
        print_error(f"genreclf: {unreached}")
        raise click.exceptions.Exit(SOME_FAILED)


@dataclass(frozen=True)
class _Measured:
    """An evaluation, and what its HTML report also shows."""

    evaluation: "Evaluation"
    table: "FeatureTable | None" = None
    meter: "ImportanceMeter | None" = None


def _in_parts(args: EvaluateOptions) -> _Measured:
    from genreclf.evaluation.outofcore import evaluate_in_parts
    from genreclf.learning.outofcore import TableParts

    config = args.learning.settings()
    check_learning(args.learning, None)
    parts = TableParts(args.table, args.table_options.columns(), config)
    return _Measured(evaluate_in_parts(parts))


def _cross_validate(args: EvaluateOptions) -> _Measured:
    from genreclf.evaluation.importance import ImportanceMeter
    from genreclf.evaluation.trainings import Trainings

    config = args.learning.settings()
    columns = args.table_options.columns(folds=args.folds, split=args.split)
    table = load_checked(args.table, columns, args.learning).labelled()
    warn_of_leaks(table)
    trainings = Trainings(table, config, args.learning.search)
    jobs = worker_count(args.jobs, trainings.n_folds)
    announce(trainings, jobs)
    meter = ImportanceMeter(table, config) if args.html_file else None
    with progress(trainings.n_folds, "cross-validation") as advance, epochs(final=False):
        return _Measured(trainings.cross_validate(jobs, advance, meter), table, meter)


def _evaluate(args: EvaluateOptions, model_file: Path) -> _Measured:
    from genreclf.evaluation.importance import ImportanceMeter
    from genreclf.evaluation.modelevaluation import evaluate_model
    from genreclf.learning.model import Model
    from genreclf.tables.reading import load_table

    table = load_table(args.table, args.table_options.columns())
    model = Model.load(model_file, trusted=args.trust)
    used = model.columns_of(table)
    warn_of_leaks(used)
    evaluation = evaluate_model(model, table)
    if args.html_file is None:
        return _Measured(evaluation)
    meter = ImportanceMeter(used, model.config)
    held_out = evaluation.held_out  # with copies in one group
    meter(model.pipeline, replace(used.take(held_out.rows), groups=held_out.groups))
    return _Measured(evaluation, used, meter)


def _write(args: EvaluateOptions, measured: _Measured, result: dict[str, Any]) -> None:
    from genreclf.reports.evaluation import evaluation_report
    from genreclf.reports.html import Measured

    evaluation, table, meter = measured.evaluation, measured.table, measured.meter
    if args.html_file is not None and table is not None and meter is not None:
        write_html(args.html_file, Measured(evaluation, table, meter), result)
    # Before the report, because the reader of a pipe may stop after the first line.
    if args.predictions is not None:
        write_text(args.predictions, evaluation.predictions_csv(), "predictions")
    if args.json_file is not None:
        write_json(args.json_file, result, "result")
    elif not args.prints_records:
        evaluation_report(result, stdout_console())
