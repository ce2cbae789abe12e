"""Options and helpers that several commands share."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from genreclf.config import CLASSIFIERS
from genreclf.errors import AudioError, one_line

if TYPE_CHECKING:
    from rich.console import Console

    from genreclf.config import Config
    from genreclf.evaluation import Evaluation
    from genreclf.sources import Sources
    from genreclf.table import Columns, FeatureTable

Command = TypeVar("Command", bound=Callable[..., Any])

# Whether a file can be read is seen when it is read, and is no reason to leave out the others.
FILE = click.Path(dir_okay=False, readable=False, path_type=Path)
ANY_PATH = click.Path(readable=False, path_type=Path)
NOTHING_DONE, SOME_FAILED = 1, 3


class OutputFile(click.Path):
    """A file to be written, whose folder is checked before any work is done."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, readable=False, path_type=Path)

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
        return path


OUTPUT_FILE = OutputFile()


def config_option(command: Command) -> Command:
    """--config and --set, as arguments ``config`` and ``overrides``."""
    command = click.option(
        "--config", metavar="NAME|FILE", default="default", show_default=True,
        help="A preset's name or a TOML file.",
    )(command)  # fmt: skip
    return click.option(
        "--set", "overrides", metavar="KEY=VALUE", multiple=True,
        help="Change one value of the configuration, as in excerpt.seconds=10.",
    )(command)  # fmt: skip


def classifier_options(command: Command) -> Command:
    """--classifier and --search."""
    command = click.option(
        "--classifier", type=click.Choice(CLASSIFIERS),
        help="Which classifier, with its default hyperparameters.",
    )(command)  # fmt: skip
    return click.option(
        "--search", is_flag=True,
        help="Tune the classifier's hyperparameters by cross-validation (slower). The accuracy "
        "reported is measured on tracks that took no part in tuning.",
    )(command)  # fmt: skip


def column_options(command: Command) -> Command:
    """Names of the columns of a table from elsewhere, as an argument ``columns``."""
    options = [
        click.option("--label-column", metavar="COLUMN", default="label", show_default=True,
                     help="Column with the genre."),
        click.option("--group", metavar="COLUMN", default="group", show_default=True,
                     help="Column of what must not straddle folds: artist, album."),
        click.option("--ignore", metavar="COLUMN", multiple=True,
                     help="Column that is no feature; may be repeated."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def jobs_option(command: Command) -> Command:
    """--jobs, by default the cores that this process may use."""
    return click.option(
        "--jobs", "-j", type=click.IntRange(min=1), metavar="N",
        help="Files at a time; by default as many as there are cores for this process.",
    )(command)  # fmt: skip


def timeout_option(command: Command) -> Command:
    """--timeout, in seconds for one file."""
    return click.option(
        "--timeout", type=click.FloatRange(min=0, min_open=True), default=300, show_default=True,
        metavar="SECONDS", help="Longest time for one file.",
    )(command)  # fmt: skip


def worker_count(jobs: int | None, n_files: int) -> int:
    """Return --jobs, or the cores that affinity and container limits leave to this process.

    Never more than there are files.
    """
    if n_files == 1:
        return 1
    if jobs is None:
        from joblib import cpu_count

        jobs = int(cpu_count())
    return min(jobs, n_files)


def columns_from(
    label_column: str, group: str, ignore: tuple[str, ...], **published: str | None
) -> "Columns":
    """Make ``Columns`` of the options' values."""
    from genreclf.table import Columns

    return Columns(label=label_column, group=group, ignore=ignore, **published)


def learning_config(config: str, overrides: Iterable[str], classifier: str | None) -> "Config":
    """Read the configuration, with --classifier before --set, so that both can be given."""
    from genreclf.config import load_config

    chosen = [f"classifier.name={classifier}"] if classifier else []
    return load_config(config, [*chosen, *overrides])


def evaluate_with_progress(table: "FeatureTable", config: "Config", search: bool) -> "Evaluation":
    """Cross-validate, showing how far it is."""
    from genreclf.evaluation import cross_validate

    with progress(None, "cross-validation") as advance:
        return cross_validate(table, config, search=search, on_fold=advance)


def write_text(path: Path, text: str) -> None:
    """Write text to a file, whole or not at all, or to standard output for ``-``."""
    from genreclf.files import written_whole

    if str(path) == "-":
        click.echo(text, nl=False)
        return
    with written_whole(path) as aside:
        aside.write_text(text, encoding="utf-8")


def audio_sources(paths: Sequence[Path], labels: str) -> "Sources":
    """Find the tracks behind the arguments, and tell what was met on the way."""
    from genreclf.sources import find_tracks

    sources = find_tracks(expand_standard_input(paths), labels)
    for text in sources.notes:
        note(f"note: {text}")
    if sources.passed_over:
        note(f"passed over {plural(sources.passed_over, 'file')} without an audio suffix")
    if not sources.tracks:
        raise AudioError(
            f"{', '.join(map(str, paths))}: no audio files found; looked for the suffixes of mp3, "
            "wav, flac, ogg, opus, aiff, au, caf and others"
        )
    return sources


def expand_standard_input(paths: Iterable[Path]) -> Iterator[Path]:
    """Replace ``-`` by the paths that standard input lists, one a line."""
    from genreclf.sources import read_path_list

    for path in paths:
        if str(path) == "-":
            with click.open_file("-", errors="surrogateescape") as lines:
                yield from read_path_list(lines)
        else:
            yield path


def stdout_console() -> "Console":
    """Return a console for tables: plain and of fixed width when not on a terminal."""
    import sys

    from rich.console import Console

    width = None if sys.stdout.isatty() else 100
    return Console(file=sys.stdout, width=width)


def plural(n: int, noun: str) -> str:
    """Count something."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def note(text: str) -> None:
    """Tell a person something, on standard error, in one line that steers no terminal."""
    click.echo(one_line(text), err=True)


@contextmanager
def progress(total: int | None, what: str) -> Iterator[Callable[[], None]]:
    """Show a progress bar on standard error if that is a terminal; yields what advances it."""
    import sys

    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task(what, total=total)
        yield partial(bar.advance, task)
