"""The ``genreclf`` command; also ``python -m genreclf``."""

import gc
import os
import sys
from contextlib import suppress

# Imports make hundreds of thousands of objects that stay. To look for garbage among them every few
# hundred, as is the default, takes a twentieth of the time that predicting one song does.
OBJECTS_BEFORE_COLLECTION = 50_000


def main() -> None:
    """Run the command line."""
    from genreclf.cli import cli  # worker processes import this module, and need none of it

    gc.set_threshold(OBJECTS_BEFORE_COLLECTION)
    try:
        cli()
    except SystemExit as leaving:
        if "numpy" in sys.modules and isinstance(leaving.code, int):
            _leave_at_once(leaving.code)
        raise


def _leave_at_once(status: int) -> None:
    """Exit without taking apart what was imported, which takes a tenth of that time.

    Workers are gone and files closed by now; only what was printed may still wait.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
