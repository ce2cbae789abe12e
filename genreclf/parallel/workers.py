"""Worker processes that apply one function to many items; a crash costs one item only."""

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from multiprocessing.context import SpawnContext, SpawnProcess
from threading import Thread
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from genreclf.errors import GenreclfError

# What every worker needs. By name, since this module must not import it.
PRELOADED = "genreclf.extraction.tracks"

POOL_CHECK_SECONDS = 2

_NO_WORKERS = "worker processes cannot be started; a limit on memory or processes may be too low"
_NO_GUARD = (
    "each worker process imports this script, and would start workers in turn; put what the script "
    'does under if __name__ == "__main__":'
)
_NO_GUARD_STATUS = 78  # "configuration error" in BSD's sysexits.h, which nothing else returns here
_SECONDS_TO_DIE = 1

Item = TypeVar("Item")
Result = TypeVar("Result")


class NoWorkersError(GenreclfError):
    """No process could be started, or all failed together."""


@dataclass(frozen=True, slots=True)
class WorkerError:
    """Why an item has no result: its worker died, or took too long."""

    reason: str
    died: bool = False


class _Context(SpawnContext):
    """Starts new processes: forking one that has threads (BLAS) can deadlock."""

    def __init__(self) -> None:
        self._processes: list[SpawnProcess] = []

    def Process(self, *args: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        """Remember each process, whose exit status says why it failed."""
        process = SpawnProcess(*args, **options)
        self._processes.append(process)
        return process

    @property
    def imports_unguarded_script(self) -> bool:
        """Whether a worker reached the line of the script that starts workers."""
        return any(process.exitcode == _NO_GUARD_STATUS for process in self._processes)

    def startup_error(self) -> NoWorkersError:
        """Return an error that says why there are no workers."""
        for process in self._processes:
            process.join(_SECONDS_TO_DIE)
        return NoWorkersError(_NO_GUARD if self.imports_unguarded_script else _NO_WORKERS)


class Workers:
    """Worker processes, which start at once and get ready while the caller does.

    A worker that dies (a crash in a codec, the kernel's out-of-memory killer) or takes longer than
    ``seconds_an_item`` costs one item, and the others go on. Pools of joblib and concurrent.futures
    break as a whole, which is why this is pebble's.

    Parameters
    ----------
    jobs : int
        Number of processes.
    seconds_an_item : float, optional
        Time limit of the function for one item.

    Examples
    --------
    >>> with Workers(jobs=2) as workers:  # doctest: +SKIP
    ...     for item, result in workers.map(function, items):
    ...         print(item, result)
    """

    def __init__(self, jobs: int, seconds_an_item: float | None = None) -> None:
        self.jobs = jobs
        self.seconds_an_item = seconds_an_item
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            sys.exit(_NO_GUARD_STATUS)  # a worker that is still importing the script
        self._context = _Context()
        self._pool = ProcessPool(
            max_workers=jobs,
            context=self._context,
            initializer=_initialise_worker,
        )
        with _interrupts_ignored():
            self._schedule(_no_op)  # with the first task pebble starts its processes

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.stop()
        self._pool.join()

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Generator[tuple[Item, Result | WorkerError]]:
        """Apply a function to items, and yield the results in the order of the items.

        Work begins at once, not when the first result is asked for.

        Parameters
        ----------
        function : callable
            Importable by name, as for every process pool. Its exceptions are raised here.
        items : iterable
            Read only a few items ahead of the results, so that memory does not grow.

        Yields
        ------
        item, result or WorkerError
        """
        items = iter(items)
        waiting: deque[tuple[Item, Any]] = deque()

        def top_up() -> None:
            for item in islice(items, 4 * self.jobs - len(waiting)):
                future = self._schedule(function, item, timeout=self.seconds_an_item)
                waiting.append((item, future))

        def results() -> Generator[tuple[Item, Result | WorkerError]]:
            while waiting:
                item, future = waiting.popleft()
                while not wait([future], timeout=POOL_CHECK_SECONDS).done:
                    # A pool that failed as a whole never finishes its futures.
                    if not self._pool.active or self._context.imports_unguarded_script:
                        raise self._context.startup_error()
                result = self._result(future)
                top_up()
                yield item, result

        top_up()
        return results()

    def _schedule(
        self, function: Callable[..., object], *arguments: object, timeout: float | None = None
    ) -> Any:
        try:
            return self._pool.schedule(function, arguments, timeout=timeout)
        except (OSError, RuntimeError):  # such as a broken pipe to a worker, not to standard output
            raise self._context.startup_error() from None

    def _result(self, future: Any) -> Any:
        try:
            return future.result()
        except FutureTimeoutError as error:
            if error.args != ("Task timeout", self.seconds_an_item):  # raised by the function
                raise
            return WorkerError(f"took longer than {self.seconds_an_item:g} s")
        except BrokenProcessPool:
            raise self._context.startup_error() from None
        except ProcessExpired as error:
            return WorkerError(f"the worker process died ({_cause(error.exitcode)})", died=True)


def _cause(exitcode: int) -> str:
    if exitcode < 0:
        return signal.strsignal(-exitcode) or f"signal {-exitcode}"
    return f"exit status {exitcode}"


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let processes that are started here ignore Ctrl-C from the beginning."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not in the main thread, where signals are handled
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _no_op() -> None:
    """Start the processes, as the first task."""


def _initialise_worker() -> None:
    # Results go through a pipe of pebble's. libsndfile prints messages on damaged SDS files to
    # standard output, which is for the results of commands.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != 1:  # it is 1 if standard output was closed
        os.dup2(nowhere, 1)
        os.close(nowhere)
    Thread(target=_end_with_parent, daemon=True).start()
    import_module(PRELOADED)
    # Ctrl-C reaches the whole process group, and the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_with_parent() -> None:
    """End with a killed parent, even while a codec hangs."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
