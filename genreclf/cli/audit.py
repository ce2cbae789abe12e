"""``genreclf audit``: what is doubtful in a table."""

import json
from pathlib import Path

import click

from genreclf.cli.options import (
    OUTPUT_FILE,
    TABLE,
    Learning,
    TableOptions,
    json_option,
    learning_options,
    stdout_console,
    table_options,
    write_text,
)
from genreclf.cli.streams import write_records
from genreclf.cli.telling import progress, verbosity_options


@click.command()
@click.argument("table", type=TABLE)
@learning_options
@table_options
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="Show N labels and N recordings at most.",
)
@click.option(
    "--csv",
    "csv_file",
    type=OUTPUT_FILE,
    metavar="FILE",
    help="Write one row a finding to this file (- for standard output) instead.",
)
@json_option
@verbosity_options
def audit(
    table: Path,
    learning: Learning,
    table_options: TableOptions,
    top: int,
    csv_file: Path | None,
    json_file: Path | None,
) -> None:  # fmt: skip
    """Find doubtful labels, and recordings that a TABLE holds more than once.

    A label is doubtful if classifiers that did not hear the track, nor its artist where groups
    are known, find it most improbable: listen to the first ones first. Copies of a recording are
    found by their features, also when one was encoded anew, made louder or cut by a second or two;
    where their labels differ, one is wrong. Training and evaluation keep copies together by
    themselves. Labels need cleanlab: pip install 'genreclf[audit]'.

    \b
    Examples:
      genreclf audit features.csv
      genreclf audit features.csv --classifier lda --csv doubtful.csv
      genreclf audit features.csv --json -
      genreclf audit gtzan.csv --group artist --ignore length --top 50
    """
    from genreclf.evaluation.audit import audit as look
    from genreclf.evaluation.crossvalidation import count_trainings
    from genreclf.reports.text import audit_report
    from genreclf.tables.table import load_table

    features = load_table(table, table_options.columns())
    learning.check_extraction(features.config)
    settings = learning.settings()
    with progress(count_trainings(features, settings), "cross-validation") as advance:
        result = look(features, settings, search=learning.search, on_fold=advance)
    if csv_file is not None and str(csv_file) == "-":
        write_records(result.to_csv())
    elif csv_file is not None:
        write_text(csv_file, result.to_csv(), "findings")
    if json_file is not None:
        write_text(json_file, json.dumps(result.to_dict(), indent=2) + "\n", "findings")
    if csv_file is json_file is None:
        audit_report(result, stdout_console(), top)
