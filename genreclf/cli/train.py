"""``genreclf train``: from a feature table to a model."""

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
    note,
    plural,
    stdout_console,
)


@click.command()
@click.argument("table", type=FILE)
@click.option(
    "-o",
    "--output",
    type=OUTPUT_FILE,
    default=Path("model.joblib"),
    show_default=True,
    metavar="FILE",
    help="Model file to write.",
)
@classifier_options
@config_option
@column_options
@click.option("--no-evaluate", is_flag=True, help="Skip the cross-validation.")
def train(
    table: Path,
    output: Path,
    classifier: str | None,
    search: bool,
    config: str,
    overrides: tuple[str, ...],
    label_column: str,
    group: str,
    ignore: tuple[str, ...],
    no_evaluate: bool,
) -> None:  # fmt: skip
    """Train a classifier on the labelled tracks of a feature TABLE and save it.

    First its accuracy on tracks that it has not seen is measured by cross-validation; then it is
    trained on all of them. What the features are is the table's to say: of the configuration only
    seed, pca, classifier and evaluation count here.

    \b
    Examples:
      genreclf train features.csv
      genreclf train features.csv -o forest.joblib --classifier random-forest
      genreclf train features.csv --set classifier.C=3 --set pca=off
      genreclf train foreign.csv --label-column genre --group artist --ignore length
    """
    from genreclf.model import Model
    from genreclf.report import evaluation_report, genre_counts
    from genreclf.table import load_table

    settings = learning_config(config, overrides, classifier)
    features = load_table(table, columns_from(label_column, group, ignore)).labelled()
    console = stdout_console()
    n_tracks, n_genres = plural(len(features), "track"), plural(len(features.genres), "genre")
    counts = genre_counts(features.labels)
    console.print(f"{n_tracks}, {n_genres}: {counts}", markup=False, highlight=False)
    evaluation = None if no_evaluate else evaluate_with_progress(features, settings, search)
    model = Model.fit(features, settings, search=search, evaluation=evaluation)
    # Before the report: whoever reads it through a pipe may stop after the first line.
    model.save(output)
    if evaluation is not None:
        evaluation_report(evaluation, console)
    note(f"model written to {output}")
