"""Options and helpers that several commands share."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from genreclf.cli.streams import write_document
from genreclf.cli.telling import duration, note, plural
from genreclf.config.schema import CLASSIFIERS
from genreclf.errors import AudioError, GenreclfError, TableError
from genreclf.library.tags import GROUPS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem
    from rich.console import Console

    from genreclf.config.schema import Config, ExtractionConfig
    from genreclf.evaluation.crossvalidation import Evaluation
    from genreclf.evaluation.importance import ImportanceMeter
    from genreclf.library.labels import Labelling
    from genreclf.library.sources import Sources
    from genreclf.parallel.workers import Workers
    from genreclf.tables.table import Columns, FeatureTable

Command = TypeVar("Command", bound=Callable[..., Any])

# Whether a file can be read is seen when it is read, and is no reason to leave out the others.
FILE = click.Path(dir_okay=False, readable=False, path_type=Path)
ANY_PATH = click.Path(readable=False, path_type=Path)
TABLE = ANY_PATH  # a file, or a folder of Parquet files
NOTHING_DONE, SOME_FAILED = 1, 3
LINEAR = ("lda", "logistic")  # what trains in a time proportional to the tracks, and short
WORTH_WORKERS_SECONDS = 10  # worker processes take some two seconds each to start
LONG_SECONDS = 600  # what a person should know of beforehand
_THERE_BEFORE = "genreclf.there-before"  # outputs that are replaced, in the context of click


class OutputFile(click.Path):
    """A file to be written, whose folder is checked before any work is done."""

    def __init__(self, *, folder: bool = False) -> None:
        super().__init__(dir_okay=folder, readable=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Fail if the file could not be written."""
        path = Path(os.fspath(value))
        super().convert(value, param, ctx)
        folder = path.absolute().parent
        if str(path) == "-":
            return path
        if not folder.is_dir():
            self.fail(f"{path}: the folder {folder} does not exist; make it first", param, ctx)
        if not os.access(path if path.exists() else folder, os.W_OK):
            self.fail(f"{path}: cannot be written; permission denied", param, ctx)
        if ctx is not None and path.is_file():
            ctx.meta.setdefault(_THERE_BEFORE, set()).add(path)
        return path


class PictureFile(OutputFile):
    """A picture to be drawn: its suffix and matplotlib are checked before any work is done."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Fail if it could not be drawn."""
        from genreclf.reports.plots import check_plot

        path = super().convert(value, param, ctx)
        try:
            check_plot(path)
        except GenreclfError as error:
            self.fail(str(error), param, ctx)
        return path


class HtmlFile(OutputFile):
    """A report to be written; by its suffix it takes the place of no table and no model."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Fail if its name is none of an HTML file."""
        path = super().convert(value, param, ctx)
        if path.suffix.lower() not in (".html", ".htm"):
            self.fail(f"{path}: a report's name ends in .html or .htm", param, ctx)
        return path


OUTPUT_FILE = OutputFile()
OUTPUT_TABLE = OutputFile(folder=True)
PICTURE_FILE = PictureFile()
HTML_FILE = HtmlFile()


def _words_or_file(words: Iterable[str], incomplete: str) -> "list[CompletionItem]":
    from click.shell_completion import CompletionItem

    # The file comes first, since bash forgets the words that stand before it.
    fitting = [CompletionItem(word) for word in words if word.startswith(incomplete)]
    return [CompletionItem(incomplete, type="file"), *fitting]


def complete_config(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    """Let a shell complete names of presets, and of files."""
    from genreclf.config.load import preset_names

    return _words_or_file(preset_names(), incomplete)


def complete_labels(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    """Let a shell complete where labels come from."""
    return _words_or_file(["folder", "tags", "none"], incomplete)


def config_option(command: Command) -> Command:
    """--config and --set, as arguments ``config`` and ``overrides``."""
    command = click.option(
        "--config", metavar="NAME|FILE", default="default", show_default=True,
        shell_complete=complete_config, help="A preset's name or a TOML file.",
    )(command)  # fmt: skip
    return overrides_option(command)


def overrides_option(command: Command) -> Command:
    """--set, as argument ``overrides``."""
    return click.option(
        "--set", "overrides", metavar="KEY=VALUE", multiple=True,
        help="Change one value of the configuration, as in excerpt.seconds=10.",
    )(command)  # fmt: skip


@dataclass(frozen=True)
class Learning:
    """How to learn: the values of ``learning_options``."""

    config: str
    overrides: tuple[str, ...]
    classifier: str | None
    search: bool

    @property
    def is_default(self) -> bool:
        """Whether nothing was chosen."""
        return self == Learning("default", (), None, False)

    def settings(self) -> "Config":
        """Read the configuration, with --classifier before --set, so that both can be given."""
        from genreclf.config.load import load_config

        chosen = [f"classifier.name={self.classifier}"] if self.classifier else []
        return load_config(self.config, [*chosen, *self.overrides])

    def check_extraction(self, made_with: "ExtractionConfig | None") -> None:
        """Refuse --set, and tell of --config, that would change the features of a table."""
        check_extraction([self.config], self.overrides, made_with)


def check_extraction(
    configs: Iterable[str], overrides: Iterable[str], made_with: "ExtractionConfig | None"
) -> None:
    """Refuse values, and tell of configurations, that would change the features of a table.

    Parameters
    ----------
    configs, overrides : iterable of str
        Values of --config, of which all counts that is not about features, and of --set.
    made_with : ExtractionConfig or None
        What the table was made with; None if it is from elsewhere.
    """
    from genreclf.config.load import extraction_changes, load_config
    from genreclf.config.schema import ExtractionConfig

    for text in extraction_changes(made_with, overrides):
        key = text.partition("=")[0].strip()
        raise click.UsageError(
            f"{text}: {key} is fixed in the table, whose features are there already; to change "
            f"it, extract them again: genreclf extract PATH... --set {text}"
        )
    for config in configs:
        theirs, ours = load_config(config).extraction, made_with or ExtractionConfig()
        names = ExtractionConfig.__struct_fields__
        differing = [name for name in names if getattr(theirs, name) != getattr(ours, name)]
        if differing and config != "default":
            note(
                f"note: --config {config}: its {', '.join(differing)} have no effect, because the "
                "features of the table are there already; what it says of learning counts"
            )


@dataclass(frozen=True)
class TableOptions:
    """Which columns of which tables: the values of ``table_options``."""

    label_column: str
    group: str
    group_regex: str | None
    features: tuple[str, ...]
    ignore: tuple[str, ...]
    join: tuple[Path, ...]

    @property
    def is_default(self) -> bool:
        """Whether nothing was chosen."""
        return self == TableOptions("label", "group", None, (), (), ())

    def columns(self, **published: str | None) -> "Columns":
        """Make ``Columns`` of them, with ``folds`` or ``split`` where there are any."""
        from genreclf.tables.table import Columns

        return Columns(
            self.label_column, self.group, self.group_regex,
            features=self.features, ignore=self.ignore, join=self.join, **published,
        )  # fmt: skip


@dataclass(frozen=True)
class LabelOptions:
    """Where labels and groups come from: the values of ``label_options``."""

    labels: str
    label_map: Path | None
    group: str | None
    group_regex: str | None
    label_regex: str | None = None

    def chosen(self) -> "Labelling":
        """Make a ``Labelling`` of them; contradictions are wrong usage."""
        from genreclf.library.labels import Labelling

        try:
            return Labelling(
                self.labels, self.label_map, self.group, self.group_regex, self.label_regex
            )
        except TableError as error:
            raise click.UsageError(str(error)) from None


def learning_options(command: Command) -> Command:
    """--classifier, --search, --config and --set, as one argument ``learning``."""
    options = [
        click.option("--classifier", type=click.Choice(CLASSIFIERS),
                     help="Which classifier, with its default hyperparameters."),
        click.option("--search", is_flag=True,
                     help="Tune the classifier's hyperparameters by cross-validation (slower). The "
                     "accuracy reported is measured on tracks that took no part in tuning."),
        config_option,
    ]  # fmt: skip
    return _gathered(command, "learning", Learning, options)


def group_regex_option(command: Command) -> Command:
    """--group-regex, for paths."""
    return click.option(
        "--group-regex", metavar="REGEX",
        help="Take groups from the paths instead: what the first parenthesis finds, as in "
        "'music/[^/]+/([^/]+)/' of music/GENRE/ARTIST/song.mp3.",
    )(command)  # fmt: skip


def label_regex_option(command: Command) -> Command:
    """--label-regex, for paths."""
    return click.option(
        "--label-regex", metavar="REGEX",
        help="Take genres from the paths instead: what the first parenthesis finds, as in "
        "'music/[^/]+/([^/]+)/' of music/ARTIST/GENRE/song.mp3.",
    )(command)  # fmt: skip


def labels_option(command: Command) -> Command:
    """--labels, for audio."""
    return click.option(
        "--labels", default="folder", show_default=True, shell_complete=complete_labels,
        metavar="folder|tags|none|FILE.csv",
        help="Where genres come from: folders (the first one below PATH, or PATH itself), tags, "
        "nowhere, or a manifest with the columns path,label[,group], paths relative to it.",
    )(command)  # fmt: skip


def label_map_option(command: Command) -> Command:
    """--label-map, a file."""
    return click.option(
        "--label-map", type=FILE, metavar="FILE",
        help="How genres are to be spelt: a CSV file with the columns from,to, or TOML. Case, "
        "spaces and punctuation do not count; an empty 'to' takes the label away.",
    )(command)  # fmt: skip


def label_options(command: Command) -> Command:
    """--labels, --label-map, --group and both --…-regex, as one argument ``label_options``."""
    options = [
        labels_option,
        label_regex_option,
        label_map_option,
        click.option("--group", type=click.Choice(list(GROUPS)),
                     help="Take groups, what no test may have on both sides, from this tag (where "
                     "a manifest gives none)."),
        group_regex_option,
    ]  # fmt: skip
    return _gathered(command, "label_options", LabelOptions, options)


def table_options(command: Command) -> Command:
    """Names of the columns of a table from elsewhere, as one argument ``table_options``."""
    options = [
        click.option("--label-column", metavar="COLUMN", default="label", show_default=True,
                     help="Column with the genre."),
        click.option("--group", metavar="COLUMN", default="group", show_default=True,
                     help="Column of what must not straddle folds: artist, album."),
        group_regex_option,
        click.option("--features", metavar="PATTERN", multiple=True,
                     help="Use only the columns of this name or pattern ('mfcc.*'); repeatable."),
        click.option("--ignore", metavar="PATTERN", multiple=True,
                     help="Columns that are no features; repeatable."),
        click.option("--join", type=FILE, metavar="TABLE", multiple=True,
                     help="Table with more columns of the same tracks; repeatable."),
    ]  # fmt: skip
    return _gathered(command, "table_options", TableOptions, options)


def _gathered(
    command: Command, argument: str, kind: type[Any], options: Sequence[Callable[..., Any]]
) -> Command:
    """Hand the values of several options to a command as one argument of that kind."""
    names = [field.name for field in fields(kind)]

    @wraps(command)
    def gather(**values: Any) -> Any:
        gathered = kind(**{name: values.pop(name) for name in names})
        return command(**{argument: gathered}, **values)

    wrapped: Any = gather
    for option in reversed(options):
        wrapped = option(wrapped)
    return cast(Command, wrapped)


def jobs_option(command: Command) -> Command:
    """--jobs for files, by default the cores that this process may use."""
    return _jobs_option("Files")(command)


def fold_jobs_option(command: Command) -> Command:
    """--jobs for a cross-validation."""
    return _jobs_option("Folds of the cross-validation")(command)


def file_and_fold_jobs_option(command: Command) -> Command:
    """--jobs for both."""
    return _jobs_option("Files, and folds of the cross-validation,")(command)


def _jobs_option(what: str) -> Callable[[Command], Command]:
    return click.option(
        "--jobs", "-j", type=click.IntRange(min=1), metavar="N",
        help=f"{what} at a time; by default as many as there are cores for this process.",
    )  # fmt: skip


def timeout_option(command: Command) -> Command:
    """--timeout, in seconds for one file."""
    return click.option(
        "--timeout", type=click.FloatRange(min=0, min_open=True), default=300, show_default=True,
        metavar="SECONDS", help="Longest time for one file.",
    )(command)  # fmt: skip


def target_precision_option(command: Command) -> Command:
    """--target-precision, a share."""
    return click.option(
        "--target-precision", metavar="SHARE",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        help="Find the confidence from which on this share of the answers is right (0.9, say); a "
        "model answers 'unknown' below it. If none reaches it, the rest is done, with exit status "
        "3.",
    )(command)  # fmt: skip


def out_of_core_option(command: Command) -> Command:
    """--out-of-core, as argument ``out_of_core``."""
    return click.option(
        "--out-of-core", is_flag=True,
        help="Read the folder TABLE one part at a time, for tables larger than the memory; needs "
        "--classifier lda. Accuracy is measured on a tenth of the groups.",
    )(command)  # fmt: skip


def cache_option(command: Command) -> Command:
    """--no-cache, as argument ``no_cache``."""
    return click.option(
        "--no-cache", is_flag=True,
        help="Compute all anew, and keep nothing for next time (see genreclf cache).",
    )(command)  # fmt: skip


def cache_in_use(no_cache: bool) -> Path | None:
    """Return where features are kept from run to run, or None if they are not to be."""
    if no_cache:
        return None
    from genreclf.extraction.cache import cache_file

    try:
        return cache_file()
    except GenreclfError as error:
        note(str(error))
        return None


def json_option(command: Command) -> Command:
    """--json, as argument ``json_file``."""
    return click.option(
        "--json", "json_file", type=OUTPUT_FILE, metavar="FILE",
        help="Write the result as JSON to this file (- for standard output) instead.",
    )(command)  # fmt: skip


def html_option(command: Command) -> Command:
    """--html, as argument ``html_file``."""
    return click.option(
        "--html", "html_file", type=HTML_FILE, metavar="FILE",
        help="Also write a report with pictures to this .html file, for a browser; it needs no "
        "network. What the accuracy rests on is measured for it, by 20,000 predictions at most.",
    )(command)  # fmt: skip


def plot_option(command: Command) -> Command:
    """--plot, as argument ``plot_file``; what it does, the command's help has to say."""
    return click.option(
        "--plot", "plot_file", type=PICTURE_FILE, metavar="FILE",
        help="Draw a picture into this .png, .svg or .pdf file (needs genreclf[plot]).",
    )(command)  # fmt: skip


def trust_option(command: Command) -> Command:
    """--trust, for a model file."""
    return click.option(
        "--trust", is_flag=True,
        help="Load the model although someone else wrote it, from now on. A .joblib file can run "
        "any code when it is loaded.",
    )(command)  # fmt: skip


def worker_count(jobs: int | None, n_items: int) -> int:
    """Return --jobs, or the cores that affinity and container limits leave to this process.

    Never more than there are files or folds.
    """
    if n_items == 1:
        return 1
    if jobs is None:
        from joblib import cpu_count

        jobs = int(cpu_count())
    return min(jobs, n_items)


@contextmanager
def fold_workers(jobs: int, seconds: float) -> "Iterator[Workers | None]":
    """Start worker processes for a cross-validation; none where it is done before they are ready.

    Parameters
    ----------
    jobs : int
    seconds : float
        What the cross-validation is expected to take on one core.
    """
    if jobs == 1 or seconds < WORTH_WORKERS_SECONDS:
        yield None
        return
    from genreclf.parallel.workers import Workers

    with Workers(jobs) as workers:
        yield workers


@dataclass(frozen=True)
class Trainings:
    """The trainings of ``train`` and ``evaluate``, and how long they are expected to take.

    Attributes
    ----------
    table : FeatureTable
    config : Config
    search : bool
    n_folds : int
        How many times a cross-validation trains.
    final : bool
        Whether a model is trained on all tracks then, and calibrated.
    """

    table: "FeatureTable"
    config: "Config"
    search: bool
    n_folds: int
    final: bool = False

    @property
    def number(self) -> int:
        """How many trainings there are."""
        return self.n_folds + self.final

    def fold_seconds(self, config: "Config | None" = None) -> float:
        """Foretell how long the cross-validation takes on one core."""
        from genreclf.learning.classifiers import training_seconds

        once = training_seconds(
            self.table, config or self.config, search=self.search, calibrated=False
        )
        return self.n_folds * once

    def seconds(self, jobs: int, config: "Config | None" = None) -> float:
        """Foretell how long all takes, with so many folds at a time."""
        from genreclf.learning.classifiers import training_seconds

        folds = self.fold_seconds(config) / max(1, min(jobs, self.n_folds))
        if not self.final:
            return folds
        return folds + training_seconds(self.table, config or self.config, search=self.search)

    def announce(self, jobs: int) -> None:
        """Tell beforehand, in one line, if it takes long, and what would be quicker."""
        from genreclf.config.load import override

        seconds = self.seconds(jobs)
        if seconds < LONG_SECONDS:
            return
        name = self.config.classifier.name
        text = (
            f"note: {name} will take about {duration(seconds)} for "
            f"{plural(len(self.table.genres), 'genre')} in {plural(len(self.table), 'track')} "
            f"({plural(self.number, 'training')})"
        )
        others = (override(self.config, [f"classifier.name={other}"]) for other in LINEAR)
        quicker = max(self.seconds(jobs, other) for other in others)
        if name not in LINEAR:
            text += f"; --classifier {' or '.join(LINEAR)} about {duration(quicker)}"
        note(text)


def cross_validated(
    trainings: Trainings,
    jobs: int,
    on_fold: Callable[[], object],
    meter: "ImportanceMeter | None" = None,
) -> "Evaluation":
    """Cross-validate with so many folds at a time."""
    from genreclf.evaluation.crossvalidation import cross_validate

    with fold_workers(jobs, trainings.fold_seconds()) as workers:
        return cross_validate(
            trainings.table, trainings.config, search=trainings.search, workers=workers,
            on_fold=on_fold, on_model=meter,
        )  # fmt: skip


def is_replaced(path: Path) -> bool:
    """Tell whether an output was there before this command."""
    return path in click.get_current_context().meta.get(_THERE_BEFORE, ())


def written_to(path: Path) -> str:
    """Say where something was written, and whether it replaced an older file."""
    return f"written to {path}{' (replaced)' if is_replaced(path) else ''}"


def tell_written(what: str, path: Path) -> None:
    """Tell that something was written."""
    note(f"{what} {written_to(path)}")


def write_text(path: Path, text: str, what: str) -> None:
    """Write text to a file, whole or not at all, or to standard output for ``-``."""
    from genreclf.files import written_whole

    if str(path) == "-":
        write_document(text)
        return
    with written_whole(path) as aside:
        aside.write_text(text, encoding="utf-8")
    tell_written(what, path)


def summarised(
    evaluation: "Evaluation", target_precision: float | None, **asked: Any
) -> tuple[dict[str, Any], str | None]:
    """Return ``Evaluation.to_dict``; without a threshold, and why, if the target is out of reach.

    Nothing that was measured is lost for that.
    """
    try:
        return evaluation.to_dict(target_precision, **asked), None
    except TableError as error:
        return evaluation.to_dict(**asked), str(error)


def write_predictions(path: Path, evaluation: "Evaluation") -> None:
    """Write what was predicted for each track as CSV, and say where."""
    write_text(path, evaluation.answers_csv(), "predictions")


def write_html(
    path: Path,
    evaluation: "Evaluation",
    result: dict[str, Any],
    table: "FeatureTable",
    meter: "ImportanceMeter",
) -> None:
    """Write the HTML report of an evaluation, and say where."""
    from genreclf.reports.html import html_report

    command = ["genreclf", *click.get_current_context().find_root().obj]
    write_text(path, html_report(evaluation, result, table, meter, command), "report")


def warn_of_leaks(table: "FeatureTable") -> None:
    """Name columns that tell the genre alone, before any time goes into learning from them."""
    from genreclf.learning.leaks import leak_notes

    for text in leak_notes(table):
        note(f"warning: {text}")


def audio_sources(paths: Sequence[Path], labels: "str | Path") -> "Sources":
    """Find the tracks behind the arguments, and tell what was met on the way."""
    from genreclf.library.sources import find_tracks

    sources = find_tracks(expand_standard_input(paths), labels)
    for text in sources.notes:
        note(f"note: {text}")
    if sources.passed_over:
        note(f"skipped {plural(sources.passed_over, 'file')} without an audio suffix")
    if not sources.tracks:
        raise AudioError(
            f"{', '.join(map(str, paths))}: no audio files found; looked for the suffixes of mp3, "
            "wav, flac, ogg, opus, aiff, au, caf and others"
        )
    return sources


def expand_standard_input(paths: Iterable[Path]) -> Iterator[Path]:
    """Replace ``-`` by the paths that standard input lists, one a line."""
    from genreclf.library.sources import read_path_list

    for path in paths:
        if str(path) == "-":
            # As bytes, which names of files are, whatever the locale takes standard input for.
            yield from read_path_list(os.fsdecode(line) for line in sys.stdin.buffer)
        else:
            yield path


def stdout_console() -> "Console":
    """Return a console for tables: plain, and 100 columns or COLUMNS wide, if not a terminal."""
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would exit, with a status of its own

    knows_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Output(file=sys.stdout, width=None if knows_width else 100)
