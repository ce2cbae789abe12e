"""``genreclf compare``: which features, which classifier, and is the difference more than noise?"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genreclf.cli.extract import collect, labelled, summary, warn_of_groups
from genreclf.cli.options import (
    ANY_PATH,
    SOME_FAILED,
    LabelOptions,
    TableOptions,
    audio_sources,
    cache_in_use,
    cache_option,
    check_extraction,
    file_and_fold_jobs_option,
    json_option,
    label_map_option,
    label_regex_option,
    labels_option,
    plot_option,
    table_options,
    timeout_option,
    worker_count,
)
from genreclf.cli.output import (
    note,
    plural,
    stdout_console,
    tell_written,
    verbosity_options,
    write_text,
)
from genreclf.cli.progress import duration, progress
from genreclf.cli.training import LONG_SECONDS
from genreclf.config.schema import CLASSIFIERS
from genreclf.errors import AudioError, ConfigError, TableError

if TYPE_CHECKING:
    from genreclf.config.schema import Config
    from genreclf.evaluation.comparison import Variant
    from genreclf.extraction.chain import Failure, Row
    from genreclf.library.sources import Track
    from genreclf.parallel.workers import Workers
    from genreclf.tables.table import FeatureTable


@dataclass(frozen=True)
class Planned:
    """A variant before there are features: ``source`` names its table, or its extraction."""

    name: str
    source: str
    config: "Config"


@dataclass(frozen=True)
class _Way:
    """How variants are compared: see the options of these names."""

    repeats: int
    reference: int | None
    search: bool
    jobs: int | None


def _listed(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[str]:
    """Take lists with commas, repeated options, and both."""
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def _listed_classifiers(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[str]:
    choice = click.Choice(CLASSIFIERS)
    return [
        choice.convert(name, parameter, context) for name in _listed(context, parameter, values)
    ]


@click.command()
@click.argument("paths", nargs=-1, required=True, type=ANY_PATH, metavar="PATH...")
@click.option(
    "--configs", "--config", "configs", metavar="NAME|FILE,...", multiple=True, callback=_listed,
    help="Presets or TOML files, a variant each. For tables only what they say of learning counts.",
)  # fmt: skip
@click.option(
    "--classifiers", "--classifier", "classifiers", metavar="NAME,...", multiple=True,
    callback=_listed_classifiers,
    help=f"Classifiers, a variant each: {', '.join(CLASSIFIERS)}.",
)  # fmt: skip
@click.option(
    "--variant", "extra", metavar="'NAME: KEY=VALUE ...'", multiple=True,
    help="One variant more: the first configuration with these values changed; repeatable.",
)  # fmt: skip
@click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True,
    help="Change one value in all variants; repeatable.",
)  # fmt: skip
@click.option("--search", is_flag=True, help="Tune hyperparameters, anew in each training part.")
@click.option(
    "--reference", metavar="NAME",
    help="The variant that the others are held against, instead of the first one.",
)  # fmt: skip
@click.option("--all-pairs", is_flag=True, help="Hold each variant against each.")
@click.option(
    "--repeats", type=click.IntRange(min=1, max=100), default=5, show_default=True, metavar="R",
    help="Cross-validate R times, each time with other folds. Published folds are run once.",
)  # fmt: skip
@table_options
@click.option("--folds", metavar="COLUMN", help="Column with published folds, run as they are.")
@click.option(
    "--split", metavar="COLUMN", help="Column with a published split into train, valid and test."
)
@labels_option
@label_regex_option
@label_map_option
@file_and_fold_jobs_option
@timeout_option
@cache_option
@json_option
@plot_option
@verbosity_options
def compare(
    paths: tuple[Path, ...],
    configs: list[str],
    classifiers: list[str],
    extra: tuple[str, ...],
    overrides: tuple[str, ...],
    search: bool,
    reference: str | None,
    all_pairs: bool,
    repeats: int,
    table_options: TableOptions,
    folds: str | None,
    split: str | None,
    labels: str,
    label_regex: str | None,
    label_map: Path | None,
    jobs: int | None,
    timeout: float,
    no_cache: bool,
    json_file: Path | None,
    plot_file: Path | None,
) -> None:  # fmt: skip
    """Tell which variant is more accurate, and whether the difference is more than noise.

    PATHs are feature tables of the same tracks, or audio files and folders, whose features are
    then made with each of --configs. Several tables, configurations and classifiers make a variant
    for each combination. All are trained and tested on the same folds, and held against the first.
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
    from genreclf.parallel.workers import Workers

    ways = _ways(configs or ["default"], classifiers, extra, overrides)
    of_tables = _are_tables(paths)
    plan = _plan(paths, ways) if of_tables else [Planned(n, c.fingerprint, c) for n, c in ways]
    number = _check(plan, reference, all_pairs)
    of_audio = labels != "folder" or bool(label_map or label_regex)
    _check_options(of_tables, table_options, folds, split, of_audio)
    failed: list[tuple[str, Failure]] = []
    if of_tables:
        tables = _read_tables(paths, table_options, folds, split)
        changes = [change for text in extra for change in _parse_variant(text)[1]]
        for table in tables.values():
            check_extraction(configs, [*overrides, *changes], table.config)
    else:
        group = None if table_options.group == "group" else table_options.group
        labelling = LabelOptions(
            labels, label_map, group, table_options.group_regex, label_regex
        ).chosen()
        tracks = list(dict.fromkeys(audio_sources(paths, labelling.of_paths).tracks))
        with Workers(worker_count(jobs, len(tracks)), timeout) as workers:
            tracks = labelled(tracks, labelling, workers)
            tables, failed = _extract(plan, tracks, workers, cache_in_use(no_cache))
    try:
        result = _compare(plan, tables, _Way(repeats, number, search, jobs))
    except TableError as error:
        if not failed:
            raise
        # The last line has to hold the cause.
        raise TableError(f"{error} ({_told_of(failed)})") from None
    result["failed"] = [
        {"variant": name, "path": str(f.track.path), "error": f.error} for name, f in failed
    ]
    _show(result, json_file, plot_file)
    if failed:
        raise click.exceptions.Exit(SOME_FAILED)


def _ways(
    configs: Sequence[str], classifiers: Sequence[str], extra: Iterable[str],
    overrides: Sequence[str],
) -> "list[tuple[str, Config]]":  # fmt: skip
    """Name and read each configuration with each classifier, then the variants of the first."""
    from genreclf.config.load import load_config

    ways = []
    for config, name in zip(configs, _names(configs), strict=True):
        for classifier in classifiers or [""]:
            chosen = [f"classifier.name={classifier}"] if classifier else []
            varied = [name] if len(configs) > 1 or len(classifiers) < 2 else []
            varied += [classifier] if len(classifiers) > 1 else []
            ways.append((", ".join(varied), load_config(config, [*chosen, *overrides])))
    first = [f"classifier.name={classifiers[0]}"] if classifiers else []
    for text in extra:
        name, changes = _parse_variant(text)
        try:
            ways.append((name, load_config(configs[0], [*first, *overrides, *changes])))
        except ConfigError as error:
            reason = str(error).removeprefix("--set: ")
            raise ConfigError(f"--variant {name}: {reason}") from None
    return ways


def _parse_variant(text: str) -> tuple[str, list[str]]:
    """Split ``NAME: KEY=VALUE KEY=VALUE``; without a name, the values are the name."""
    name, colon, values = text.partition(":")
    if not colon or "=" in name:
        name, values = text, text
    # Values may hold spaces, as lists do; what follows a space and has an equals sign is a key.
    changes = [part for part in re.split(r"\s+(?=[\w.]+\s*=)", values.strip()) if part]
    if not changes or not name.strip():
        raise click.UsageError(
            f"--variant {text!r}: expected NAME: KEY=VALUE, as in 'stiff: classifier.C=1'"
        )
    return name.strip(), changes


def _names(sources: Sequence[str]) -> list[str]:
    """Shorten paths to names, if these still differ."""
    names = [Path(source).stem for source in sources]
    return names if len(set(names)) == len(set(sources)) else list(sources)


def _are_tables(paths: Sequence[Path]) -> bool:
    from genreclf.tables.formats import FORMATS

    tables = [path.suffix.lower() in FORMATS for path in paths]
    if any(tables) and not all(tables):
        raise click.UsageError(
            f"{paths[tables.index(True)]} is a table, {paths[tables.index(False)]} is not: compare "
            "tables, or audio files and folders"
        )
    return all(tables)


def _plan(paths: Sequence[Path], ways: "Sequence[tuple[str, Config]]") -> list[Planned]:
    """Combine each table with each way of learning; only what differs goes into the name."""
    plan = []
    for name in _names([str(path) for path in paths]):
        for way, config in ways:
            varied = [name] if len(paths) > 1 or len(ways) == 1 else []
            varied += [way] if len(ways) > 1 else []
            plan.append(Planned(", ".join(varied), name, config))
    return plan


def _check(plan: Sequence[Planned], reference: str | None, all_pairs: bool) -> int | None:
    """Refuse what would compare nothing; return the number of the reference."""
    from genreclf.config.schema import ExtractionConfig

    names = [variant.name for variant in plan]
    if len(plan) < 2:
        raise click.UsageError(
            f"there is one variant only, {names[0]}; give another table, or several --configs or "
            "--classifiers, or a --variant"
        )
    met: list[tuple[str, Config]] = []
    for i, variant in enumerate(plan):
        if variant.name in names[:i]:
            raise click.UsageError(f"{variant.name} is there twice")
        what = (variant.source, variant.config.with_extraction(ExtractionConfig()))
        if what in met:
            raise click.UsageError(
                f"{names[met.index(what)]} and {variant.name} are the same: on a table, only what "
                "a configuration says of learning counts; features are made from audio"
            )
        met.append(what)
    if all_pairs:
        if reference is not None:
            raise click.UsageError("--reference and --all-pairs exclude each other")
        return None
    if reference is None:
        return 0
    if reference not in names:
        raise click.UsageError(
            f"--reference {reference}: no such variant; there are {', '.join(names)}"
        )
    return names.index(reference)


def _check_options(
    of_tables: bool, options: TableOptions, folds: str | None, split: str | None, labels: bool
) -> None:
    if folds and split:
        raise click.UsageError("--folds and --split exclude each other")
    if of_tables and labels:
        raise click.UsageError(
            "--labels, --label-regex and --label-map are for audio; a table has a column "
            "(--label-column)"
        )
    plain = TableOptions("label", options.group, options.group_regex, (), (), ())
    if not of_tables and (options != plain or folds or split):
        raise click.UsageError(
            "--label-column, --features, --ignore, --join, --folds and --split are for tables; for "
            "audio, see --labels, and --group artist or --group-regex"
        )


def _read_tables(
    paths: Sequence[Path], options: TableOptions, folds: str | None, split: str | None
) -> "dict[str, FeatureTable]":
    from genreclf.tables.table import load_tables

    tables = load_tables(paths, options.columns(folds=folds, split=split))
    return dict(zip(_names([str(path) for path in paths]), tables, strict=True))


def _extract(
    plan: Iterable[Planned], tracks: "list[Track]", workers: "Workers", cache: Path | None
) -> "tuple[dict[str, FeatureTable], list[tuple[str, Failure]]]":
    """Make a table with each kind of extraction, of the tracks that fail with none."""
    from genreclf.extraction.chain import build_table, extract_tracks

    # Of several variants with the same features, the first one's name is told.
    kinds = {variant.source: variant for variant in reversed(list(plan))}
    rows: dict[str, list[Row]] = {}
    failed: list[tuple[str, Failure]] = []
    for source, kind in reversed(kinds.items()):
        outcomes = extract_tracks(tracks, kind.config, workers, cache)
        done, failures = collect(tracks, outcomes)
        note(f"{kind.name}: {summary(done, failures, None)}")
        rows[source] = done
        failed += [(kind.name, failure) for failure in failures]
        if not done:
            raise AudioError(
                f"{kind.name}: none of {plural(len(tracks), 'file')} gave features, the last one "
                f"because: {failures[-1].error}"
            )
        tracks = [row.track for row in done]
    warn_of_groups([row.track for row in done])
    left = set(tracks)
    tables = {
        source: build_table((row for row in of if row.track in left), kinds[source].config)
        for source, of in rows.items()
    }
    return tables, failed


def _told_of(failed: "Sequence[tuple[str, Failure]]") -> str:
    """Tell why files gave no features, by the last of them."""
    name, last = failed[-1]
    return f"{plural(len(failed), 'file')} gave no features, the last one with {name}: {last.error}"


def _compare(
    plan: Sequence[Planned], tables: "Mapping[str, FeatureTable]", way: _Way
) -> dict[str, Any]:
    from genreclf.evaluation.comparison import Variant, compare, match_tracks
    from genreclf.evaluation.trainings import fold_workers

    matched, notes = match_tracks(tables)
    of_source = dict(zip(tables, matched, strict=True))
    variants = [Variant(v.name, of_source[v.source], v.config) for v in plan]
    n_trainings, seconds, at_a_time = _announce(variants, way)
    with (
        progress(n_trainings, "cross-validation") as advance,
        fold_workers(at_a_time, seconds) as workers,
    ):
        comparison = compare(
            variants, repeats=way.repeats, reference=way.reference, search=way.search,
            workers=workers, on_fold=advance,
        )  # fmt: skip
    result = comparison.to_dict()
    result["notes"] = [*notes, *result["notes"]]
    return result


def _announce(variants: "Sequence[Variant]", way: _Way) -> tuple[int, float, int]:
    """Tell beforehand how much work it is.

    Return the trainings, their seconds on one core, and how many run at a time.
    """
    from genreclf.evaluation.comparison import count_folds
    from genreclf.learning.classifiers import training_seconds

    table, config = variants[0].table, variants[0].config
    once = sum(
        training_seconds(v.table, v.config, search=way.search, calibrated=False) for v in variants
    )
    n_folds = count_folds(table, config, way.repeats)
    n_trainings = n_folds * len(variants)
    text = (
        f"{plural(len(variants), 'variant')}, {plural(len(table), 'track')}: "
        f"{n_trainings} trainings"
    )
    # Folds of one round run side by side, the rounds one after the other.
    in_a_round = count_folds(table, config, 1)
    at_a_time = worker_count(way.jobs, in_a_round)
    if (seconds := n_folds * once / at_a_time) >= LONG_SECONDS:
        text += f", about {duration(seconds)}"
        fewer = in_a_round * once / at_a_time
        text += f"; with --repeats 1 about {duration(fewer)}" if in_a_round < n_folds else ""
    note(text)
    return n_trainings, n_folds * once, at_a_time


def _show(result: dict[str, Any], json_file: Path | None, plot_file: Path | None) -> None:
    from genreclf.reports.plots import draw_comparison
    from genreclf.reports.text import variants_report

    if plot_file is not None:
        draw_comparison(plot_file, result["variants"], result["comparisons"], result["reference"])
        tell_written("picture", plot_file)
    if json_file is not None:
        write_text(json_file, json.dumps(result, indent=2) + "\n", "result")
    else:
        variants_report(result, stdout_console())
