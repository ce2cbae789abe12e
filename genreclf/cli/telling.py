"""What a person is told on standard error, how far it is, and how much of that was asked for."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from genreclf.cli.streams import give_up
from genreclf.errors import one_line

if TYPE_CHECKING:
    from genreclf.extraction.chain import Row

Command = TypeVar("Command", bound=Callable[..., Any])

_LEVEL = "genreclf.verbosity"
_QUIET, _VERBOSE = "quiet", "verbose"
_NOTED_TRACKS = 5  # of more, only -v names each


def verbosity_options(command: Command) -> Command:
    """--quiet and --verbose, which no argument of the command holds: what it tells knows them."""

    def choose(ctx: click.Context, param: click.Parameter, chosen: bool) -> None:
        if chosen and ctx.meta.setdefault(_LEVEL, param.name) != param.name:
            raise click.UsageError("--quiet and --verbose exclude each other")

    command = click.option(
        "--verbose", "-v", is_flag=True, expose_value=False, callback=choose,
        help="Name each file as it is done.",
    )(command)  # fmt: skip
    return click.option(
        "--quiet", "-q", is_flag=True, expose_value=False, callback=choose,
        help="Tell nothing but results and errors.",
    )(command)  # fmt: skip


def _level() -> str | None:
    context = click.get_current_context(silent=True)
    return None if context is None else context.meta.get(_LEVEL)


def complain(text: str) -> None:
    """Tell what went wrong, in one line that steers no terminal."""
    # To what stands for standard error now: a bar makes room for the line, which err=True evades.
    try:
        click.echo(one_line(text), file=sys.stderr)
    except OSError:  # nobody listens, which is no reason to lose the results
        give_up(sys.stderr)


def say(text: str) -> None:
    """Print one line of a result for people."""
    # By its name, as click would choose another encoding than that of the stream.
    click.echo(one_line(text), file=sys.stdout)


def note(text: str) -> None:
    """Tell what is good to know, as ``complain`` does, unless quiet was asked for."""
    if _level() != _QUIET:
        complain(text)


def detail(text: str) -> None:
    """Tell what is seldom wanted, only when asked for."""
    if _level() == _VERBOSE:
        complain(text)


def tell_row(row: "Row") -> None:
    """Name a file that is done, when asked for."""
    if row.kept:
        detail(f"{row.track.path}: finished by an earlier run")
    else:
        how = "from the cache" if row.cached else "computed"
        detail(f"{row.track.path}: {how}, {row.seconds:.2f} s")


class TrackNotes:
    """Tells how tracks were heard, where that is not as usual: of the first few one by one."""

    def __init__(self) -> None:
        self._n_tracks = 0

    def tell(self, path: object, notes: Sequence[str]) -> None:
        """Tell the notes on one track."""
        self._n_tracks += bool(notes)
        say = note if self._n_tracks <= _NOTED_TRACKS else detail
        for text in notes:
            say(f"note: {path}: {text}")

    def finish(self) -> None:
        """Count the tracks that were not named."""
        more = self._n_tracks - _NOTED_TRACKS
        if more > 0 and _level() != _VERBOSE:
            note(f"note: {plural(more, 'more track')} with notes of this kind; -v names each")


def plural(n: int, noun: str) -> str:
    """Count something."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def duration(seconds: float) -> str:
    """Round seconds to what a person wants to know."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def rate(n: int, seconds: float, unit: str = "tracks") -> str:
    """Tell how many that is a second."""
    speed = n / max(seconds, 1e-3)
    return f"{speed:.{2 if speed < 1 else 1 if speed < 100 else 0}f} {unit}/s"


def tally(n_rows: int, earlier: Sequence[str], n_failed: int, seconds: float | None) -> str:
    """Tell in the end how many there are, how many of them from where, and how long that took."""
    those = f" ({', '.join(earlier)})" if earlier else ""
    pace = "" if seconds is None else f", {seconds:.1f} s ({rate(n_rows + n_failed, seconds)})"
    return f"{plural(n_rows, 'track')}{those}, {n_failed} failed{pace}"


class Meter:
    """How many are done, how fast (if they have a ``unit``), and how long the others will take.

    The time left is that of computing all that is missing at the pace of what was computed so
    far. How fast the cache gave the others says nothing about them, nor does the first one, whose
    time is that in which the workers start.
    """

    def __init__(
        self, total: int | None, unit: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total, self.unit = total, unit
        self.done = self.failed = self.cached = 0
        self._clock = clock
        self._started = self._last = clock()
        self._paced, self._paced_seconds = 0, 0.0
        self.on_advance: Callable[[], object] = lambda: None

    def __call__(self, *, failed: bool = False, cached: bool = False) -> None:
        """Count one that is done."""
        now = self._clock()
        if not cached and self.done > self.cached:
            self._paced += 1
            self._paced_seconds += now - self._last
        self._last = now
        self.done += 1
        self.failed += failed
        self.cached += cached
        self.on_advance()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self._clock() - self._started

    @property
    def seconds_left(self) -> float | None:
        """None as long as the pace is not known."""
        if self.total is None or not self._paced:
            return None
        return (self.total - self.done) * self._paced_seconds / self._paced

    def __str__(self) -> str:
        """Tell all that in a few words; nothing where the total is not known."""
        if self.total is None or not self.done:
            return ""
        left = self.seconds_left
        n, seconds = (
            (self.done, self.seconds) if left is None else (self._paced, self._paced_seconds)
        )
        parts = [rate(n, seconds, self.unit)] if self.unit else []
        parts += [f"{duration(left)} left"] if left is not None else []
        parts += [f"{self.failed} failed"] if self.failed else []
        return ", ".join(parts)


@contextmanager
def progress(total: int | None, what: str, unit: str = "") -> Iterator[Meter]:
    """Show a progress bar on standard error if that is a terminal; yields what advances it."""
    meter = Meter(total, unit)
    if not sys.stderr.isatty() or _level() == _QUIET:
        yield meter
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(),
        TextColumn("{task.fields[meter]}", markup=False), TimeElapsedColumn(),
        console=Console(stderr=True), transient=True, redirect_stdout=False,
    )  # fmt: skip
    with bar:
        task = bar.add_task(what, total=total, meter=meter)
        meter.on_advance = lambda: bar.update(task, completed=meter.done)
        yield meter
