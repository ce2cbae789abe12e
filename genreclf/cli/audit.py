"""``genreclf audit``: doubtful labels and copies in a table."""

import json
from dataclasses import dataclass
from pathlib import Path

import click

from genreclf.cli import options
from genreclf.cli.options import collected
from genreclf.cli.output import stdout_console, verbosity_options, write_text
from genreclf.cli.progress import progress
from genreclf.cli.streams import write_records
from genreclf.cli.training import load_checked


@dataclass(frozen=True)
class AuditOptions:
    """The arguments of ``audit``."""

    table: Path
    learning: options.Learning
    table_options: options.TableOptions
    top: int
    csv_file: Path | None
    json_file: Path | None


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
@options.json_file
@verbosity_options
@collected(AuditOptions)
def audit(args: AuditOptions) -> None:
    """Find doubtful labels, and recordings that are in a TABLE more than once.

    A label is doubtful if classifiers trained without the track (and without its group) find it
    very improbable. The most doubtful labels come first. Copies of a recording are found by their
    features, even if one was encoded again, made louder or cut by a second or two. If their labels
    differ, one is wrong. Training and evaluation always keep copies together. Labels need cleanlab:
    pip install 'genreclf[audit]'.

    \b
    Examples:
      genreclf audit features.csv
      genreclf audit features.csv --classifier lda --csv doubtful.csv
      genreclf audit features.csv --json -
      genreclf audit gtzan.csv --group artist --ignore length --top 50
    """
    from genreclf.evaluation.audit import audit as find_doubtful
    from genreclf.evaluation.crossvalidation import count_folds
    from genreclf.reports.audit import audit_report

    table = load_checked(args.table, args.table_options.columns(), args.learning)
    config = args.learning.settings()
    with progress(count_folds(table, config), "cross-validation") as advance:
        result = find_doubtful(table, config, search=args.learning.search, on_fold=advance)
    if str(args.csv_file) == "-":
        write_records(result.to_csv())
    elif args.csv_file is not None:
        write_text(args.csv_file, result.to_csv(), "findings")
    if args.json_file is not None:
        write_text(args.json_file, json.dumps(result.to_dict(), indent=2) + "\n", "findings")
    if args.csv_file is args.json_file is None:
        audit_report(result, stdout_console(), args.top)
