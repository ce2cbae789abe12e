"""Progress of many tracks or folds: a bar on a terminal, messages on each track, a summary."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from genreclf.cli.output import detail, is_quiet, is_verbose, note, plural
from genreclf.parallel.meter import Meter, duration, rate

if TYPE_CHECKING:
    from genreclf.extraction.tracks import Failure, Row
    from genreclf.learning.networks.watch import Epoch
    from genreclf.learning.timeline import Timeline

Result = TypeVar("Result", bound="Row | Timeline | Failure")
MOST_NAMED_TRACKS = 5  # tracks whose notes are printed without --verbose


def counted(results: Iterable[Result], meter: "Meter") -> Iterator[Result]:
    """Count results as they come, and print the notes on them; with --verbose, each file."""
    from genreclf.extraction.tracks import Failure, Row

    n_noted = 0
    for result in results:
        if isinstance(result, Failure):
            meter(failed=True)
        elif isinstance(result, Row):
            meter(cached=result.cached or result.resumed)
            _name(result)
            n_noted += _print_notes(result.track.path, result.notes, n_noted)
        else:
            meter()
            n_noted += _print_notes(result.path, result.notes, n_noted)
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


def _print_notes(path: object, notes: Sequence[str], n_noted: int) -> bool:
    """Print the notes on a track, unless many tracks had some; return True if there are any."""
    say = note if n_noted < MOST_NAMED_TRACKS else detail
    for text in notes:
        say(f"note: {path}: {text}")
    return bool(notes)


def tally(n_rows: int, earlier: Sequence[str], n_failed: int, seconds: float | None) -> str:
    """Count tracks: all, those from earlier runs, and those that failed; with the time taken."""
    those = f" ({', '.join(earlier)})" if earlier else ""
    pace = "" if seconds is None else f", {seconds:.1f} s ({rate(n_rows + n_failed, seconds)})"
    return f"{plural(n_rows, 'track')}{those}, {n_failed} failed{pace}"


def meter_summary(meter: Meter) -> str:
    """Count the tracks of a meter, as ``tally`` does."""
    earlier = [f"{meter.cached} from the cache"] if meter.cached else []
    return tally(meter.done - meter.failed, earlier, meter.failed, meter.seconds)


@contextmanager
def epochs(*, final: bool) -> Iterator[None]:
    """Print the epochs of networks that are trained within a block.

    Parameters
    ----------
    final : bool
        Whether it is the final model, which Ctrl-C ends early. The epochs of folds, which can be
        thousands, are only printed with --verbose.
    """
    from genreclf.learning.networks.watch import Watch, watched

    say = note if final else detail
    with watched(Watch(lambda epoch: say(_epoch_line(epoch)), interruptible=final)):
        yield


def _epoch_line(epoch: "Epoch") -> str:
    line = f"epoch {epoch.number} of {epoch.n_epochs}: loss {epoch.loss:.3f}"
    if epoch.validation_accuracy is not None:
        line += (
            f"; validation: loss {epoch.validation_loss:.3f}, {epoch.validation_accuracy:.0%} "
            "correct"
        )
    left = f"; at most {duration(epoch.seconds_left)} left"
    return line + (left if epoch.number < epoch.n_epochs else "")


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
