"""Messages on standard error, results on standard output, and files that are written."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from genreclf.cli.streams import discard_output, write_document
from genreclf.errors import one_line

if TYPE_CHECKING:
    from rich.console import Console

Command = TypeVar("Command", bound=Callable[..., Any])

NOTHING_DONE, SOME_FAILED, INTERRUPTED = 1, 3, 130  # exit status
_VERBOSITY = "genreclf.verbosity"
_REPLACED = "genreclf.replaced"


def verbosity_options(command: Command) -> Command:
    """Add --quiet and --verbose, which the functions below read; the command gets no argument."""

    def choose(ctx: click.Context, param: click.Parameter, chosen: bool) -> None:
        if chosen and ctx.meta.setdefault(_VERBOSITY, param.name) != param.name:
            raise click.UsageError("--quiet and --verbose exclude each other")

    for name, text in (
        ("--verbose", "Also print details, such as each file as it finishes."),
        ("--quiet", "Print only results and errors."),
    ):
        command = click.option(
            name, name[1:3], is_flag=True, expose_value=False, callback=choose, help=text
        )(command)
    return command


def _verbosity() -> str | None:
    context = click.get_current_context(silent=True)
    return None if context is None else context.meta.get(_VERBOSITY)


def is_quiet() -> bool:
    """Return True if --quiet was given."""
    return _verbosity() == "quiet"


def is_verbose() -> bool:
    """Return True if --verbose was given."""
    return _verbosity() == "verbose"


def print_error(text: str) -> None:
    """Print an error on standard error, in one line without control characters."""
    # The current sys.stderr: a progress bar replaces it to keep lines apart from the bar, and
    # err=True would write to the original one.
    try:
        click.echo(one_line(text), file=sys.stderr)
    except OSError:  # a closed standard error must not stop the results
        discard_output(sys.stderr)


def note(text: str) -> None:
    """Print a message as ``print_error`` does, unless --quiet was given."""
    if not is_quiet():
        print_error(text)


def detail(text: str) -> None:
    """Print a message as ``print_error`` does, only if --verbose was given."""
    if is_verbose():
        print_error(text)


def say(text: str) -> None:
    """Print one line of a result for people."""
    # With the file named: click would choose another encoding than that of the stream.
    click.echo(one_line(text), file=sys.stdout)


def plural(n: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def stdout_console() -> "Console":
    """Return a console for tables: plain, and 100 columns or COLUMNS wide, if not a terminal."""
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # otherwise rich would exit with its own status

    knows_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Output(file=sys.stdout, width=None if knows_width else 100)


def remember_replaced(path: Path, context: click.Context) -> None:
    """Remember that an output file existed before this command."""
    context.meta.setdefault(_REPLACED, set()).add(path)


def is_replaced(path: Path) -> bool:
    """Return True if an output file existed before this command."""
    return path in click.get_current_context().meta.get(_REPLACED, ())


def written_to(path: Path) -> str:
    """Say where something was written, and whether it replaced an older file."""
    return f"written to {path}{' (replaced)' if is_replaced(path) else ''}"


def report_written(what: str, path: Path) -> None:
    """Print that something was written."""
    note(f"{what} {written_to(path)}")


def write_text(path: Path, text: str, what: str) -> None:
    """Write text to a file, whole or not at all, or to standard output for ``-``."""
    from genreclf.files import written_whole

    if str(path) == "-":
        write_document(text)
        return
    with written_whole(path) as aside:
        aside.write_text(text, encoding="utf-8")
    report_written(what, path)


def write_json(path: Path, value: object, what: str) -> None:
    """Write plain values as JSON; see ``write_text``."""
    write_text(path, json.dumps(value, indent=2) + "\n", what)
