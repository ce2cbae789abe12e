"""Running one function over many items in worker processes, of which any may die."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

__all__ = ["WorkerError", "map_in_workers"]

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class WorkerError:
    """Why an item has no result: its worker died, or took too long."""

    reason: str


def map_in_workers(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    jobs: int,
    seconds_an_item: float | None = None,
) -> Iterator[tuple[Item, Result | WorkerError]]:
    """Apply a function to items, ``jobs`` at a time, and give the results in the items' order.

    A worker that dies (a crash in a codec, the kernel's out-of-memory killer) or that takes
    longer than ``seconds_an_item`` costs its one item; the others go on. A joblib or
    concurrent.futures pool breaks as a whole instead, which is why this is pebble's.

    Parameters
    ----------
    function : callable
        Importable by name, as for every process pool. Its own exceptions are raised here.
    items : iterable
        Consumed a few items ahead of the results only, so that memory stays flat.
    jobs : int
        Number of worker processes.
    seconds_an_item : float, optional

    Yields
    ------
    item, result or WorkerError
    """
    pool = ProcessPool(
        max_workers=jobs,
        # Not forked: forking a process that has threads (BLAS) can deadlock.
        context=multiprocessing.get_context("spawn"),
        initializer=_initialise_worker,
    )
    items = iter(items)
    waiting: deque[tuple[Item, Any]] = deque()
    try:
        while True:
            for item in islice(items, 4 * jobs - len(waiting)):
                waiting.append((item, pool.schedule(function, (item,), timeout=seconds_an_item)))
            if not waiting:
                break
            item, future = waiting.popleft()
            yield item, _result(future, seconds_an_item)
        pool.close()  # type: ignore[no-untyped-call]
    finally:
        # Reached with work under way when the caller stops early, as on Ctrl-C.
        pool.stop()  # type: ignore[no-untyped-call]
        pool.join()


def _result(future: Any, seconds_an_item: float | None) -> Any:
    try:
        return future.result()
    except FutureTimeoutError:
        return WorkerError(f"took longer than {seconds_an_item:g} s")
    except ProcessExpired as error:
        return WorkerError(f"the worker process died ({_cause(error.exitcode)})")


def _cause(exitcode: int) -> str:
    if exitcode < 0:
        return signal.strsignal(-exitcode) or f"signal {-exitcode}"
    return f"exit status {exitcode}"


def _initialise_worker() -> None:
    # Ctrl-C reaches the whole process group; it is the parent's to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
