"""Progress of many tracks or folds: a bar on a terminal, messages on each track, a summary."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from genreclf.cli.output import detail, is_quiet, is_verbose, note, plural

if TYPE_CHECKING:
    from genreclf.extraction.chain import Failure, Row
    from genreclf.learning.timeline import Timeline

Result = TypeVar("Result", bound="Row | Timeline | Failure")
MOST_NAMED_TRACKS = 5  # tracks whose notes are printed without --verbose


def counted(results: Iterable[Result], meter: "Meter") -> Iterator[Result]:
    """Count results as they come, and print the notes on them; with --verbose, each file."""
    from genreclf.extraction.chain import Failure, Row

    n_noted = 0
    for result in results:
        if isinstance(result, Failure):
            meter(failed=True)
        elif isinstance(result, Row):
            meter(cached=result.cached or result.resumed)
            _name(result)
            n_noted += _tell_notes(result.track.path, result.notes, n_noted)
        else:
            meter()
            n_noted += _tell_notes(result.path, result.notes, n_noted)
        yield result
    if n_noted > MOST_NAMED_TRACKS and not is_verbose():
        more = plural(n_noted - MOST_NAMED_TRACKS, "more track")
        note(f"note: {more} with notes of this kind; -v names each")


def _name(row: "Row") -> None:
    if row.resumed:
        detail(f"{row.track.path}: finished by an earlier run")
    else:
        how = "from the cache" if row.cached else "computed"
        detail(f"{row.track.path}: {how}, {row.seconds:.2f} s")


def _tell_notes(path: object, notes: Sequence[str], n_noted: int) -> bool:
    """Print the notes on a track, unless many tracks had some; return True if there are any."""
    say = note if n_noted < MOST_NAMED_TRACKS else detail
    for text in notes:
        say(f"note: {path}: {text}")
    return bool(notes)


def duration(seconds: float) -> str:
    """Round seconds for people."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def rate(n: int, seconds: float, unit: str = "tracks") -> str:
    """Return how many that is a second."""
    speed = n / max(seconds, 1e-3)
    return f"{speed:.{2 if speed < 1 else 1 if speed < 100 else 0}f} {unit}/s"


def tally(n_rows: int, earlier: Sequence[str], n_failed: int, seconds: float | None) -> str:
    """Count tracks: all, those from earlier runs, and those that failed; with the time taken."""
    those = f" ({', '.join(earlier)})" if earlier else ""
    pace = "" if seconds is None else f", {seconds:.1f} s ({rate(n_rows + n_failed, seconds)})"
    return f"{plural(n_rows, 'track')}{those}, {n_failed} failed{pace}"


class Meter:
    """Counts what is done, and estimates the time left.

    The estimate uses only the pace of items that were computed: not that of cached ones, nor the
    first, which includes the start of the workers.
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
        """Count one item."""
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
        """None as long as the pace is unknown."""
        if self.total is None or not self._paced:
            return None
        return (self.total - self.done) * self._paced_seconds / self._paced

    def __str__(self) -> str:
        """Return rate, time left and failures; empty if the total is unknown."""
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

    def summary(self) -> str:
        """Count the tracks that are done, as ``tally`` does."""
        earlier = [f"{self.cached} from the cache"] if self.cached else []
        return tally(self.done - self.failed, earlier, self.failed, self.seconds)


@contextmanager
def progress(total: int | None, what: str, unit: str = "") -> Iterator[Meter]:
    """Yield a meter, shown as a progress bar if standard error is a terminal."""
    meter = Meter(total, unit)
    if not sys.stderr.isatty() or is_quiet():
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
