"""``genreclf audit``: doubtful labels and copies in a table."""

from dataclasses import dataclass
from pathlib import Path

import click

from genreclf.cli import options
from genreclf.cli.options import collected
from genreclf.cli.output import stdout_console, verbosity_options, write_json, write_text
from genreclf.cli.progress import epochs, progress
from genreclf.cli.streams import write_records
from genreclf.cli.tracks import worker_count
from genreclf.cli.training import announce, load_checked


@dataclass(frozen=True)
class AuditOptions:
    """The arguments of ``audit``."""

    table: Path
    learning: options.Learning
    table_options: options.TableOptions
    top: int
    csv_file: Path | None
    json_file: Path | None
    html_file: Path | None
    html_top: int
    jobs: int | None


@click.command()
@click.argument("table", type=options.TABLE)
@options.learning
@options.table
@click.option(
    "--top", type=click.IntRange(min=1), default=20, show_default=True, metavar="N",
    help="Show up to N labels and N recordings.",
)  # fmt: skip
@click.option(
    "--csv", "csv_file", type=options.OUTPUT_FILE, metavar="FILE",
    help="Write one row for each finding to this file (- for standard output) instead.",
)  # fmt: skip
@options.fold_jobs
@options.json_file
@options.review_file
@options.review_size
@verbosity_options
@collected(AuditOptions)
def audit(args: AuditOptions) -> None:
    """Find doubtful labels, and recordings that are in a TABLE more than once.

    A label is doubtful if classifiers trained without the track (and without its group) find it
    very improbable. The most doubtful labels come first. Copies of a recording are found by their
    features, even if one was encoded again, made louder or cut by a second or two. If their labels
    differ, one is wrong. Training and evaluation always keep copies together. Labels need cleanlab:
    pip install 'genreclf[audit]'.

    --html writes a page that plays the doubtful tracks, the copies with two labels, the novel and
    the uncertain tracks from where they are, and saves your corrections.

    \b
    Examples:
      genreclf audit features.csv
      genreclf audit features.csv --classifier lda --csv doubtful.csv
      genreclf audit features.csv --json -
      genreclf audit features.csv --html review.html
      genreclf audit gtzan.csv --group artist --ignore length --top 50
    """
    from genreclf.evaluation.audit import audit as find_doubtful
    from genreclf.evaluation.trainings import Trainings, fold_workers
    from genreclf.reports.audit import audit_report
    from genreclf.reports.auditpage import HeldOutModels, audit_page
    from genreclf.reports.review import labels_command, require_paths

    table = load_checked(args.table, args.table_options.columns(), args.learning)
    if args.html_file is not None:
        require_paths(args.table, table)
    config, search = args.learning.settings(), args.learning.search
    trainings = Trainings(table, config, search, ungrouped=False)
    jobs = worker_count(args.jobs, trainings.n_folds)
    announce(trainings, jobs)
    models = HeldOutModels()
    with (
        progress(trainings.n_folds, "cross-validation") as advance,
        epochs(final=False),
        fold_workers(jobs, trainings.fold_seconds()) as workers,
    ):
        result = find_doubtful(
            table, config, search=search, workers=workers, on_fold=advance,
            on_model=models.add if args.html_file else None,
        )  # fmt: skip
    if str(args.csv_file) == "-":
        write_records(result.to_csv())
    elif args.csv_file is not None:
        write_text(args.csv_file, result.to_csv(), "findings")
    if args.json_file is not None:
        write_json(args.json_file, result.to_dict(), "findings")
    if args.html_file is not None:
        command = labels_command(args.table, args.table_options.label_column)
        page = audit_page(result, table, models, args.html_top, command)
        write_text(args.html_file, page, "review page")
    if args.csv_file is args.json_file is None:
        audit_report(result, stdout_console(), args.top)
