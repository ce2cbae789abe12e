"""Standard input, output and error: always open, and able to take any text in any locale.

Three kinds of text are written:

- text for people: characters that the stream's encoding lacks are escaped (``\\u3042``);
- records of CSV, whose cells are ``escaped`` by the same rule, so that they can be read back;
- documents: the bytes that a file would have, in UTF-8.
"""

import csv
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any, TextIO

from genreclf.errors import escaped, one_line

_ESCAPE = "backslashreplace"


def prepare_streams() -> None:
    """Open closed streams, and let streams escape what their encoding lacks."""
    for number in range(3):  # before any file is opened
        _open_descriptor(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPE)


def _open_descriptor(number: int) -> None:
    """Point a closed descriptor at the null device.

    Otherwise the next file to be opened would get its number, and the output of libraries.
    """
    try:
        os.fstat(number)
    except OSError:
        if os.open(os.devnull, os.O_RDWR) == number:
            os.set_inheritable(number, True)  # inherited by worker processes


def write_records(text: str) -> None:
    """Write records of CSV whose cells are ``escaped``.

    If standard output is not UTF-8, all characters beyond ASCII are escaped as well, so that
    readers need not know the encoding.
    """
    if not sys.stdout.encoding.lower().startswith("utf"):
        text = text.encode("ascii", _ESCAPE).decode("ascii")
    sys.stdout.write(text)


def record_writer() -> Callable[[Iterable[object]], Any]:
    """Return a function that writes one CSV record to standard output, in one line."""
    writer = csv.writer(SimpleNamespace(write=write_records), lineterminator="\n")
    return lambda values: writer.writerow(
        [escaped(value) if isinstance(value, str) else value for value in values]
    )


@contextmanager
def document() -> Iterator[TextIO]:
    """Yield standard output for a document: in UTF-8, whatever the locale.

    A terminal gets text for people, so that file names cannot control it.
    """
    if sys.stdout.isatty():
        text = io.StringIO()
        yield text
        sys.stdout.write("\n".join(map(one_line, text.getvalue().split("\n"))))
    elif isinstance(sys.stdout, io.TextIOWrapper):
        encoding = sys.stdout.encoding
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
        try:
            yield sys.stdout
        finally:
            sys.stdout.reconfigure(encoding=encoding, errors=_ESCAPE, newline=None)
    else:
        yield sys.stdout


def write_document(text: str) -> None:
    """Write the content of a file to standard output."""
    with document() as output:
        output.write(text)


def discard_output(stream: TextIO) -> None:
    """Point a stream that cannot be written at the null device, with its pending text."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
