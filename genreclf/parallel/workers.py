"""Running one function over many items in worker processes, of which any may die."""

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

# What every worker is for. By name, since it stands after this module in the chain.
PRELOADED = "genreclf.extraction.tracks"

POOL_CHECK_SECONDS = 2

_NO_WORKERS = "worker processes cannot be started; a limit on memory or processes may be too low"
_NO_GUARD = (
    "each worker process imports this script, and would start workers in turn; put what the script "
    'does under if __name__ == "__main__":'
)
_NO_GUARD_STATUS = 78  # "configuration error" in BSD's sysexits.h: of no other use here
_SECONDS_TO_DIE = 1

Item = TypeVar("Item")
Result = TypeVar("Result")


class NoWorkersError(GenreclfError):
    """The processes as a whole failed."""


@dataclass(frozen=True, slots=True)
class WorkerError:
    """Why an item has no result: its worker died, or took too long."""

    reason: str
    died: bool = False


class _Context(SpawnContext):
    """Starts processes afresh: forking one that has threads (BLAS) can deadlock."""

    def __init__(self) -> None:
        self._processes: list[SpawnProcess] = []

    def Process(self, *args: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        """Keep each process, as its exit status tells why there is none."""
        process = SpawnProcess(*args, **options)
        self._processes.append(process)
        return process

    @property
    def imports_unguarded_script(self) -> bool:
        """Whether a worker came by the line that starts workers."""
        return any(process.exitcode == _NO_GUARD_STATUS for process in self._processes)

    def why_none(self) -> NoWorkersError:
        """Return what explains that there are no workers."""
        for process in self._processes:
            process.join(_SECONDS_TO_DIE)
        return NoWorkersError(_NO_GUARD if self.imports_unguarded_script else _NO_WORKERS)


class Workers:
    """Worker processes, started at once, so that they get ready while the caller does.

    A worker that dies (a crash in a codec, the kernel's out-of-memory killer) or that takes
    longer than ``seconds_an_item`` costs its one item; the others go on. A joblib or
    concurrent.futures pool breaks as a whole instead, which is why this is pebble's.

    Parameters
    ----------
    jobs : int
        Number of processes.
    seconds_an_item : float, optional
        How long a function may take over an item.

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
            self._schedule(_nothing)  # pebble starts its processes with the first task

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.stop()
        self._pool.join()

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Generator[tuple[Item, Result | WorkerError]]:
        """Apply a function to items and give the results in the items' order.

        Work begins at once, not when the first result is asked for.

        Parameters
        ----------
        function : callable
            Importable by name, as for every process pool. Its own exceptions are raised here.
        items : iterable
            Consumed a few items ahead of the results only, so that memory stays flat.

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
                    # A pool that failed as a whole keeps nobody posted.
                    if not self._pool.active or self._context.imports_unguarded_script:
                        raise self._context.why_none()
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
        except (OSError, RuntimeError):  # a broken pipe, for one: not that of our output
            raise self._context.why_none() from None

    def _result(self, future: Any) -> Any:
        try:
            return future.result()
        except FutureTimeoutError as error:
            if error.args != ("Task timeout", self.seconds_an_item):  # the function's own
                raise
            return WorkerError(f"took longer than {self.seconds_an_item:g} s")
        except BrokenProcessPool:
            raise self._context.why_none() from None
        except ProcessExpired as error:
            return WorkerError(f"the worker process died ({_cause(error.exitcode)})", died=True)


def _cause(exitcode: int) -> str:
    if exitcode < 0:
        return signal.strsignal(-exitcode) or f"signal {-exitcode}"
    return f"exit status {exitcode}"


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let processes that are started now ignore Ctrl-C from their first moment on."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not in the main thread, where signals are handled
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _nothing() -> None:
    """Be the task that starts the processes."""


def _initialise_worker() -> None:
    # Results go through a pipe of pebble's; libsndfile prints what it thinks of damaged SDS files
    # to standard output, where only the results of commands belong.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != 1:  # it is where standard output was closed
        os.dup2(nowhere, 1)
        os.close(nowhere)
    Thread(target=_end_with_parent, daemon=True).start()
    import_module(PRELOADED)
    # Ctrl-C reaches the whole process group; it is the parent's to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_with_parent() -> None:
    """Leave no process behind a killed parent: one that hangs in a codec would never notice."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
