"""A Dask cluster that applies one function to many items, with the guarantees of ``Workers``.

A Dask worker is one process with several threads, which a crash or a hang in a codec would end. So
each Dask worker starts its own ``Workers``, one process per thread, and a failing file has the same
effect as on one machine. Dask distributes the items, and does so again when a machine is lost.
"""

import multiprocessing
import os
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import monotonic
from typing import Any, TypeVar, cast
from uuid import uuid4

from threadpoolctl import threadpool_info

from genreclf.errors import GenreclfError, shortened
from genreclf.parallel.workers import NoWorkersError, WorkerError, Workers
from genreclf.version import __version__
from genreclf.versions import numbers_depend_on

try:
    from distributed import Client, Future, KilledWorker, get_worker, wait
    from distributed.comm.core import CommClosedError
    from distributed.diagnostics.plugin import WorkerPlugin
    from distributed.versions import VersionMismatchWarning
except ImportError:
    raise GenreclfError(
        "a Dask cluster needs dask and distributed, which are not installed: "
        "pip install 'genreclf[dask]'"
    ) from None

CONNECT_SECONDS = 10
CHECK_SECONDS = 2
# How long to wait for workers if the cluster has none, because it may be starting some.
PATIENCE_SECONDS = 60
# How often to try an item whose process died; other programs on that machine may be the cause.
TRIES = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


class DaskWorkers:
    """Workers on an existing Dask cluster, with the same ``map`` as ``Workers``.

    Scheduler and workers need this version of genreclf. Workers also need the same versions of all
    libraries that numbers depend on, and the files at the same paths as here.

    Parameters
    ----------
    address : str
        Address of the scheduler, such as ``tcp://10.0.0.1:8786``.
    seconds_an_item : float, optional
        Time limit of the function for one item.

    Raises
    ------
    GenreclfError
        If no scheduler answers, or a worker has other versions.

    Warns
    -----
    UserWarning
        If workers have other processors, whose results may differ in the last digits.

    Examples
    --------
    >>> with DaskWorkers("tcp://10.0.0.1:8786") as workers:  # doctest: +SKIP
    ...     for item, result in workers.map(function, items):
    ...         print(item, result)
    """

    def __init__(self, address: str, seconds_an_item: float | None = None) -> None:
        self.address = address
        self._name = f"genreclf-{uuid4().hex}"
        self._client = _connected(address)
        self._n_threads, self._last_seen = 0, monotonic()
        try:
            _warn_of_processors(self._start(_Processes(seconds_an_item, _versions())))
            self._count_threads()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> "DaskWorkers":
        return self

    def __exit__(self, *_: object) -> None:
        if self._client.status == "running":
            with suppress(Exception):  # a cluster that is shutting down needs no cleaning up
                self._client.unregister_worker_plugin(self._name)
        self._client.close()

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Generator[tuple[Item, Result | WorkerError]]:
        """Do what ``Workers.map`` does; ``function`` is importable by name on the cluster.

        The items of a lost machine are tried on others; the result of an item whose processes die
        again and again is a ``WorkerError``.
        """
        items = iter(items)
        waiting: deque[tuple[Item, Future[Any]]] = deque()
        apply = partial(_apply, self._name, partial(_in_folder, Path.cwd(), function))

        def top_up() -> None:
            if monotonic() - self._last_seen > CHECK_SECONDS:  # more may have joined
                self._count_threads()
            n_wanted = 4 * max(1, self._n_threads) - len(waiting)
            for item in islice(items, max(0, n_wanted)):
                waiting.append((item, self._submit(apply, item)))

        def results() -> Generator[tuple[Item, Result | WorkerError]]:
            try:
                while waiting:
                    item, future = waiting[0]
                    result = self._result(future)
                    if isinstance(result, KilledWorker):
                        result = self._try_last(apply, item, [other for _, other in waiting])
                    waiting.popleft()
                    top_up()
                    yield item, result
            finally:
                if waiting and self._client.status == "running":
                    with suppress(Exception):
                        self._client.cancel([future for _, future in waiting])

        top_up()
        return results()

    def _submit(self, apply: Callable[[Item], object], item: Item) -> "Future[Any]":
        with self._loss_reported():
            return self._client.submit(apply, item, pure=False, retries=TRIES - 1)

    def _start(self, processes: "_Processes", tries: int = TRIES) -> Mapping[str, str]:
        """Start processes beside each worker, and return the kinds of processors of the workers."""
        try:
            self._client.run_on_scheduler(_versions)  # it unpickles what passes through it
            self._client.register_plugin(processes, self._name)
            return cast(Mapping[str, str], self._client.run(_processor, on_error="ignore"))
        except GenreclfError:
            raise
        except OSError:  # a worker was lost meanwhile, or the scheduler
            if tries == 1 or self._client.status != "running":
                raise self._connection_lost() from None
            return self._start(processes, tries - 1)
        except Exception as error:  # an ImportError, possibly wrapped in another error
            raise GenreclfError(
                f"{self.address}: scheduler and workers need genreclf {__version__}, and answer: "
                f"{shortened(error)}"
            ) from None

    def _wait_for(self, future: "Future[Any]") -> None:
        """Return when the future is done, or raise an error if it never will be."""
        while not future.done():
            with self._loss_reported(), suppress(TimeoutError), self._client.as_current():
                wait(future, timeout=CHECK_SECONDS)
                return
            self._count_threads()

    def _count_threads(self) -> None:
        with self._loss_reported():
            self._n_threads = sum(self._client.nthreads().values())
        if self._n_threads:
            self._last_seen = monotonic()
        elif monotonic() - self._last_seen > PATIENCE_SECONDS:
            raise GenreclfError(
                f"the scheduler {self.address} has had no worker for {PATIENCE_SECONDS} s; start "
                "workers, then run the same command again"
            )

    def _result(self, future: "Future[Any]") -> Any:
        self._wait_for(future)
        try:
            return future.result()
        except KilledWorker as error:
            return error
        except _ProcessDiedError as error:
            return WorkerError(f"{error}, {TRIES} times", died=True)
        except (CancelledError, CommClosedError):
            raise self._connection_lost() from None

    def _try_last(
        self, apply: Callable[[Item], object], item: Item, others: "list[Future[Any]]"
    ) -> Any:
        """Try an item after all others: Dask counts a dead worker against all items that waited."""
        for other in others:
            self._wait_for(other)
        result = self._result(self._submit(apply, item))
        if not isinstance(result, KilledWorker):
            return result
        n = result.allowed_failures + 1
        reason = f"{n} Dask workers died, one after the other, while they computed it"
        return WorkerError(reason, died=True)

    @contextmanager
    def _loss_reported(self) -> Iterator[None]:
        try:
            yield
        except (OSError, CancelledError):
            raise self._connection_lost() from None

    def _connection_lost(self) -> GenreclfError:
        return GenreclfError(f"the connection to the scheduler {self.address} is lost")


def _connected(address: str) -> Client:
    answers: SimpleQueue[Client | Exception] = SimpleQueue()

    def connect() -> None:
        try:
            answers.put(Client(address, timeout=CONNECT_SECONDS, set_as_default=False))
        except Exception as error:  # any type: another program may listen there
            answers.put(error)

    with warnings.catch_warnings():
        # The versions that our numbers depend on are compared below, with a message of one line.
        warnings.simplefilter("ignore", VersionMismatchWarning)
        # In a thread that may hang, because Dask waits forever for a program that never answers.
        Thread(target=connect, daemon=True).start()
        try:
            answer = answers.get(timeout=CONNECT_SECONDS + 1)
        except Empty:
            answer = TimeoutError(f"nothing within {CONNECT_SECONDS} s")
    if isinstance(answer, Exception):
        raise GenreclfError(
            f"{address}: no Dask scheduler answers there ({shortened(answer, 200)})"
        )
    return answer


class _ProcessDiedError(Exception):
    """Makes Dask try an item again, on another worker if possible."""


class _Processes(WorkerPlugin):
    """Worker processes beside every Dask worker, even those that join later."""

    workers: Workers | None = None

    def __init__(self, seconds_an_item: float | None, needed: Mapping[str, str]) -> None:
        self.seconds_an_item = seconds_an_item
        self.needed = needed

    def setup(self, worker: Any) -> None:
        here = _versions()
        if differing := [
            f"{name} {here.get(name)} (here {value})"
            for name, value in self.needed.items()
            if here.get(name) != value
        ]:
            raise GenreclfError(
                f"the worker {worker.address} has {', '.join(differing)}; other versions give "
                "other numbers"
            )
        # Dask marks its processes as ones that may not have children.
        multiprocessing.current_process().daemon = False
        self.replace_lock = Lock()
        self.n_threads = worker.state.nthreads
        self.workers = Workers(self.n_threads, self.seconds_an_item)

    def teardown(self, worker: Any) -> None:
        workers, self.workers = self.workers, None  # so that no thread replaces them
        if workers is not None:
            workers.__exit__()

    def apply(self, function: Callable[[Item], Result], item: Item) -> Result | WorkerError:
        """Apply a function in one of the processes."""
        workers = self.workers
        if workers is None:
            raise GenreclfError("a worker with other versions has joined the cluster")
        try:
            [(_, result)] = workers.map(function, [item])
        except NoWorkersError:  # as when one is killed while it starts
            self._replace(workers)
            raise
        if isinstance(result, WorkerError) and result.died:
            raise _ProcessDiedError(result.reason)
        return result

    def _replace(self, failed: Workers) -> None:
        with self.replace_lock:
            if self.workers is failed:
                failed.__exit__()
                self.workers = Workers(self.n_threads, self.seconds_an_item)


def _apply(name: str, function: Callable[[Item], Result], item: Item) -> Result | WorkerError:
    """Run on a Dask worker, in one of its threads."""
    return cast(_Processes, get_worker().plugins[name]).apply(function, item)


def _versions() -> dict[str, str]:
    return {"genreclf": __version__, **numbers_depend_on()}


def _in_folder(folder: Path, function: Callable[[Item], Result], item: Item) -> Result:
    """Run in a process on the cluster, in the caller's folder, which paths are relative to."""
    with suppress(OSError):
        os.chdir(folder)
    return function(item)


def _processor() -> str:
    """Return the kind of processor by which libraries for matrices choose their code."""
    kinds = {part.get("architecture") for part in threadpool_info()} - {None}
    return ", ".join(sorted(map(str, kinds)))


def _warn_of_processors(there: Mapping[str, str]) -> None:
    here = _processor()
    if others := [f"{address} {kind}" for address, kind in there.items() if kind != here]:
        warnings.warn(
            f"{len(others)} of {len(there)} workers have processors of another kind than this one "
            f"({here}), so that last digits may differ: {others[0]}",
            stacklevel=3,
        )
