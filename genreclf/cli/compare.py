"""``genreclf compare``: which features and which classifier are better, by more than noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genreclf.cli import options
from genreclf.cli.options import collected
from genreclf.cli.output import (
    SOME_FAILED,
    note,
    plural,
    report_written,
    stdout_console,
    verbosity_options,
    write_json,
)
from genreclf.cli.progress import progress
from genreclf.cli.tracks import (
    audio_tracks,
    cache_in_use,
    collect,
    labelled,
    prepare,
    summary,
    warn_of_groups,
    worker_count,
)
from genreclf.cli.training import LONG_SECONDS, announce_augmentation, check_extraction
from genreclf.config.schema import CLASSIFIERS
from genreclf.errors import AudioError, TableError
from genreclf.parallel.meter import duration

if TYPE_CHECKING:
    from genreclf.evaluation.planning import Choices, Estimate, Planned
    from genreclf.evaluation.variants import Variant
    from genreclf.extraction.tracks import Failure, Row
    from genreclf.library.labels import Labelling
    from genreclf.tables.table import FeatureTable

    Failed = list[tuple[str, Failure]]  # with the name of the variant


def _listed(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[str]:
    """Accept lists with commas, repeated options, and both."""
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def _listed_configs(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[str]:
    return _listed(context, parameter, values) or ["default"]


def _listed_classifiers(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[str]:
    choice = click.Choice(CLASSIFIERS)
    return [
        choice.convert(name, parameter, context) for name in _listed(context, parameter, values)
    ]


@dataclass(frozen=True)
class CompareOptions:
    """The arguments of ``compare``."""

    paths: tuple[Path, ...]
    configs: list[str]
    classifiers: list[str]
    extra: tuple[str, ...]
    overrides: tuple[str, ...]
    augment: str | None
    search: bool
    reference: str | None
    all_pairs: bool
    repeats: int
    table_options: options.TableOptions
    folds: str | None
    split: str | None
    labels: str
    label_regex: str | None
    label_map: Path | None
    jobs: int | None
    timeout: float
    no_cache: bool
    json_file: Path | None
    plot_file: Path | None

    @property
    def choices(self) -> "Choices":
        """What varies between variants."""
        from genreclf.evaluation.planning import Choices

        chosen = (f"augment={self.augment}",) if self.augment else ()
        return Choices(self.configs, self.classifiers, self.extra, chosen + self.overrides)

    @property
    def names(self) -> list[str]:
        """Names of the paths."""
        from genreclf.evaluation.planning import short_names

        return short_names(self.paths)

    @property
    def of_tables(self) -> bool:
        """Whether the paths are tables; tables and audio cannot be mixed."""
        from genreclf.tables.formats import FORMATS

        tables = [path.suffix.lower() in FORMATS for path in self.paths]
        if any(tables) and not all(tables):
            raise click.UsageError(
                f"{self.paths[tables.index(True)]} is a table, {self.paths[tables.index(False)]} "
                "is not: compare either tables, or audio files and folders"
            )
        return all(tables)

    def check(self) -> None:
        """Refuse options that exclude each other."""
        if self.folds and self.split:
            raise click.UsageError("--folds and --split exclude each other")
        if self.of_tables and (self.labels != "folder" or self.label_map or self.label_regex):
            raise click.UsageError(
                "--labels, --label-regex and --label-map are for audio; a table has a column "
                "(--label-column)"
            )
        columns = self.table_options
        plain = options.TableOptions(group=columns.group, group_regex=columns.group_regex)
        if not self.of_tables and (columns != plain or self.folds or self.split):
            raise click.UsageError(
                "--label-column, --features, --ignore, --join, --folds and --split are for tables; "
                "for audio, see --labels, and --group artist or --group-regex"
            )

    def labelling(self) -> "Labelling":
        """Where labels and groups of audio files come from."""
        group, regex = self.table_options.group, self.table_options.group_regex
        group_tag = None if group == "group" else group
        chosen = options.LabelOptions(
            self.labels, self.label_map, group_tag, regex, self.label_regex
        )
        return chosen.chosen()


@click.command()
@click.argument("paths", nargs=-1, required=True, type=options.ANY_PATH, metavar="PATH...")
@click.option(
    "--configs", "--config", "configs", metavar="NAME|FILE,...", multiple=True,
    callback=_listed_configs,
    help="Presets or TOML files, one variant each; with tables, only learning settings count.",
)  # fmt: skip
@click.option(
    "--classifiers", "--classifier", "classifiers", metavar="NAME,...", multiple=True,
    callback=_listed_classifiers,
    help=f"Classifiers, one variant each: {', '.join(CLASSIFIERS)}.",
)  # fmt: skip
@click.option(
    "--variant", "extra", metavar="'NAME: KEY=VALUE ...'", multiple=True,
    help="Another variant: the first configuration with these values changed; repeatable.",
)  # fmt: skip
@click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True,
    help="Change one value in all variants; repeatable.",
)  # fmt: skip
@options.augment
@click.option("--search", is_flag=True, help="Tune hyperparameters within each training part.")
@click.option(
    "--reference", metavar="NAME",
    help="The variant that the others are compared with, instead of the first one.",
)  # fmt: skip
@click.option("--all-pairs", is_flag=True, help="Compare all pairs of variants.")
@click.option(
    "--repeats", type=click.IntRange(min=1, max=100), default=5, show_default=True, metavar="R",
    help="Cross-validate R times, each time with other folds. Published folds are run once.",
)  # fmt: skip
@options.table
@options.folds
@options.split
@options.labels
@options.label_regex
@options.label_map
@options.file_and_fold_jobs
@options.timeout
@options.no_cache
@options.json_file
@options.plot_file
@verbosity_options
@collected(CompareOptions)
def compare(args: CompareOptions) -> None:
    """Compare the accuracy of variants, and test whether the differences are more than noise.

    PATHs are feature tables of the same tracks, or audio files and folders, whose features are
    extracted with each of --configs. Each combination of tables, configurations and classifiers is
    a variant. All variants are trained and tested on the same folds, and compared with the first.
    Folds, groups and columns are as in genreclf evaluate. --plot draws accuracies and differences
    with their intervals.

    \b
    Examples:
      genreclf compare a.csv b.csv
      genreclf compare features.csv --classifiers svm,lda,ensemble --plot classifiers.png
      genreclf compare features.csv --variant 'stiff: classifier.C=1' --variant 'no PCA: pca=off'
      genreclf compare music/ --configs default,wide --labels manifest.csv --json -
      genreclf compare music/ --variant 'short: excerpt.seconds=10'
      genreclf compare a.csv b.csv --group artist --folds sturm_fold --ignore length
    """
    from genreclf.evaluation.planning import PlanError, plan_comparison, reference_number

    try:
        plan = plan_comparison(args.choices, args.names if args.of_tables else None)
        reference = reference_number(plan, args.reference, all_pairs=args.all_pairs)
    except PlanError as error:
        raise click.UsageError(str(error)) from None
    args.check()
    announce_augmentation(variant.config for variant in plan)
    tables, failed = _read_tables(args) if args.of_tables else _extract(plan, args)
    try:
        result = _compare(args, plan, tables, reference)
    except TableError as error:
        if not failed:
            raise
        # The last line has to contain the cause.
        raise TableError(f"{error} ({_summary_of(failed)})") from None
    result["failed"] = [
        {"variant": name, "path": str(f.track.path), "error": f.error} for name, f in failed
    ]
    _show(result, args.json_file, args.plot_file)
    if failed:
        raise click.exceptions.Exit(SOME_FAILED)


def _read_tables(args: CompareOptions) -> tuple["dict[str, FeatureTable]", "Failed"]:
    """Read the tables, and refuse changes of the features, which they already hold."""
    from genreclf.evaluation.planning import parse_variant
    from genreclf.tables.reading import load_tables

    columns = args.table_options.columns(folds=args.folds, split=args.split)
    tables = load_tables(args.paths, columns)
    changes = [change for text in args.extra for change in parse_variant(text)[1]]
    for table in tables:
        check_extraction(args.configs, [*args.overrides, *changes], table.config)
    return dict(zip(args.names, tables, strict=True)), []


def _extract(
    plan: "Sequence[Planned]", args: CompareOptions
) -> tuple["dict[str, FeatureTable]", "Failed"]:
    """Make a table with each extraction, of the tracks that fail with none."""
    from genreclf.evaluation.planning import extraction_variants
    from genreclf.extraction.tracks import build_table, extract_tracks
    from genreclf.parallel.workers import Workers

    labelling = args.labelling()
    tracks = audio_tracks(args.paths, labelling.of_paths)
    variants, cache = extraction_variants(plan), cache_in_use(args.no_cache)
    rows: dict[str, list[Row]] = {}
    failed: Failed = []
    with Workers(worker_count(args.jobs, len(tracks)), args.timeout) as workers:
        tracks = labelled(tracks, labelling, workers)
        for variant in variants:
            prepare(variant.config)
            outcomes = extract_tracks(tracks, variant.config, workers, cache)
            done, failures = collect(tracks, outcomes)
            note(f"{variant.name}: {summary(done, failures, None)}")
            failed += [(variant.name, failure) for failure in failures]
            if not done:
                raise AudioError(
                    f"{variant.name}: none of {plural(len(tracks), 'file')} gave features; the "
                    f"last reason: {failures[-1].error}"
                )
            rows[variant.source], tracks = done, [row.track for row in done]
    warn_of_groups([row.track for row in done])
    left = set(tracks)
    tables = {
        variant.source: build_table(
            (row for row in rows[variant.source] if row.track in left), variant.config
        )
        for variant in variants
    }
    return tables, failed


def _summary_of(failed: "Failed") -> str:
    name, last = failed[-1]
    return f"{plural(len(failed), 'file')} gave no features, the last one with {name}: {last.error}"


def _compare(
    args: CompareOptions, plan: "Sequence[Planned]", tables: "dict[str, FeatureTable]",
    reference: int | None,
) -> dict[str, Any]:  # fmt: skip
    from genreclf.evaluation.comparison import compare
    from genreclf.evaluation.planning import estimate, with_tables
    from genreclf.evaluation.trainings import fold_workers

    variants, notes = with_tables(plan, tables)
    work = estimate(variants, args.repeats, search=args.search)
    at_a_time = worker_count(args.jobs, work.n_folds)
    _announce(variants, work, at_a_time)
    with (
        progress(work.n_trainings, "cross-validation") as advance,
        fold_workers(at_a_time, work.seconds) as workers,
    ):
        comparison = compare(
            variants, repeats=args.repeats, reference=reference, search=args.search,
            workers=workers, on_fold=advance,
        )  # fmt: skip
    result = comparison.to_dict()
    result["notes"] = [*notes, *result["notes"]]
    return result


def _announce(variants: "Sequence[Variant]", work: "Estimate", at_a_time: int) -> None:
    """Print the number of trainings, the estimated time if it is long, and approximations."""
    from genreclf.learning.resolution import approximation

    text = (
        f"{plural(len(variants), 'variant')}, {plural(len(variants[0].table), 'track')}: "
        f"{work.n_trainings} trainings"
    )
    if (seconds := work.seconds / at_a_time) >= LONG_SECONDS:
        text += f", about {duration(seconds)}"
        shorter = f"; with --repeats 1 about {duration(seconds / work.n_rounds)}"
        text += shorter if work.n_rounds > 1 else ""
    note(text)
    for reason in dict.fromkeys(approximation(v.config, v.table) for v in variants):
        if reason is not None:
            note(f"note: {reason}")


def _show(result: dict[str, Any], json_file: Path | None, plot_file: Path | None) -> None:
    from genreclf.reports.comparison import comparison_report
    from genreclf.reports.plots import draw_comparison

    if plot_file is not None:
        draw_comparison(plot_file, result["variants"], result["comparisons"], result["reference"])
        report_written("picture", plot_file)
    if json_file is not None:
        write_json(json_file, result, "result")
    else:
        comparison_report(result, stdout_console())
