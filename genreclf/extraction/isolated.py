"""Work on one audio file in a process of its own."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from genreclf.config.schema import Config
from genreclf.errors import AudioError

Result = TypeVar("Result")


def in_worker(
    function: Callable[..., Result], path: Path, config: Config, seconds: float
) -> Result:
    """Call ``function(path, config=config)`` in a worker process, which may die or hang.

    Raises
    ------
    AudioError
        If the worker dies or takes longer than ``seconds``.
    """
    from genreclf.parallel.workers import WorkerError, Workers

    with Workers(1, seconds) as workers:
        _, result = next(iter(workers.map(partial(function, config=config), [path])))
    if isinstance(result, WorkerError):
        raise AudioError(f"{path}: {result.reason}")
    return result
