"""Stand-ins and small functions that several test files share."""

import os
import pickle
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from genreclf.cli import cli


class PoolInThisProcess:
    """Stands for pebble's pool of processes: each task runs when it is scheduled, here.

    Function, arguments and result are pickled, as they would be on their way to a process.
    """

    active = True

    def __init__(self, **_: object) -> None:
        pass

    def schedule(
        self, function: Callable[..., Any], args: tuple[Any, ...] = (), timeout: float | None = None
    ) -> "Future[Any]":
        future: Future[Any] = Future()
        function, args = pickle.loads(pickle.dumps((function, args)))
        try:
            future.set_result(pickle.loads(pickle.dumps(function(*args))))
        except Exception as error:
            future.set_exception(error)
        return future

    def stop(self) -> None:
        pass

    def join(self) -> None:
        pass


def run(*arguments: object, stdin: str | None = None, cwd: Path | None = None) -> Result:
    """Run a command in this process. An exception that would be a traceback is raised."""
    before = Path.cwd()
    os.chdir(cwd or before)
    try:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments], input=stdin)
    finally:
        os.chdir(before)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result
