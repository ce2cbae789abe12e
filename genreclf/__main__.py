"""The ``genreclf`` command; also ``python -m genreclf``."""

import gc
import os
import signal
import sys
from contextlib import suppress

# Imports create hundreds of thousands of permanent objects. By default, Python searches for garbage
# every few hundred objects, which takes a twentieth of the time to predict one song.
OBJECTS_BEFORE_COLLECTION = 50_000


def main() -> None:
    """Run the command line."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        # Schedulers of clusters send it when the time is up; it keeps what Ctrl-C keeps.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from genreclf.cli import cli  # not at the top, because worker processes import this module

        gc.set_threshold(OBJECTS_BEFORE_COLLECTION)
        cli()
    except SystemExit as leaving:
        if "numpy" in sys.modules and isinstance(leaving.code, int):
            _leave_at_once(leaving.code)
        raise
    except KeyboardInterrupt:  # while modules are imported
        print("genreclf: interrupted", file=sys.stderr)
        _leave_at_once(130)


def _leave_at_once(status: int) -> None:
    """Exit without destroying all modules, which takes a tenth of the time to predict one song.

    Workers have ended and files are closed; only printed text may be pending.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
