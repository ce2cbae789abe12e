"""The command line: one file a command, each a call into the library and a print.

Nothing heavy is imported before a command's body runs, so that ``--help`` is instant.
"""

import errno
import sys
import warnings
from typing import Any, NoReturn, TextIO

import click

from genreclf.cli.audit import audit
from genreclf.cli.cache import cache
from genreclf.cli.compare import compare
from genreclf.cli.completion import completion
from genreclf.cli.config import config
from genreclf.cli.evaluate import evaluate
from genreclf.cli.extract import extract
from genreclf.cli.inspect import inspect
from genreclf.cli.output import complain, verbosity_options
from genreclf.cli.plot import plot
from genreclf.cli.predict import predict
from genreclf.cli.streams import give_up, prepare_streams
from genreclf.cli.tags import tags
from genreclf.cli.train import train
from genreclf.errors import GenreclfError, one_line
from genreclf.version import __version__

INTERRUPTED = 130
# What a write fails with; all files that are written are named in the error.
_CANNOT_TAKE_MORE = (errno.ENOSPC, errno.EIO, errno.EFBIG)


class Funnel(click.Group):
    """The one place where errors become a line on standard error and an exit status."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run with streams that take any text, and report an output that cannot be written."""
        prepare_streams()
        extra["standalone_mode"] = False  # click would write wrong usage in an encoding of its own
        try:
            status = super().main(*args, **extra)
            sys.stdout.flush()
        except click.exceptions.NoArgsIsHelpError as error:  # a group of commands by itself
            status = _show(error)
        except click.UsageError as error:  # may quote the name of a file
            status = _show(click.UsageError(one_line(error.format_message()), error.ctx))
        except click.Abort:
            status = INTERRUPTED
        except OSError as error:  # --help, say, into a full disk
            status = _failed(error)
        sys.exit(status)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:  # fmt: skip
        """Keep what was typed, for reports that say what made them."""
        typed = list(args)
        context = super().make_context(info_name, args, parent, **extra)
        context.obj = typed
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; 1 on an error of ours, 130 when interrupted."""
        try:
            return super().invoke(ctx)
        except GenreclfError as error:
            complain(f"genreclf: {error}")
            ctx.exit(1)
        except OSError as error:
            ctx.exit(_failed(error))
        except UnicodeEncodeError as error:  # of the name of a file
            complain(
                f"genreclf: {error.object}: cannot be written in {error.encoding}; if that is the "
                "locale's encoding, set LC_ALL=C.UTF-8"
            )
            ctx.exit(1)
        except (MemoryError, ImportError) as error:  # the one may well lead to the other
            what = "out of memory" if isinstance(error, MemoryError) else "cannot load its parts"
            complain(f"genreclf: {what}: {error}")
            ctx.exit(1)
        except KeyboardInterrupt:
            complain("genreclf: interrupted")
            ctx.exit(INTERRUPTED)


def _show(error: click.UsageError) -> int:
    """Tell how a command is used, and return the exit status."""
    try:
        error.show(sys.stderr)
    except OSError:
        give_up(sys.stderr)
    return error.exit_code


def _failed(error: OSError) -> int:
    """Report an error of the operating system, and return the exit status."""
    if isinstance(error, BrokenPipeError):  # the reader of a pipe has seen enough
        give_up(sys.stdout)
        return 0
    name = error.filename
    if name is None and error.errno in _CANNOT_TAKE_MORE:
        name = "standard output"
        give_up(sys.stdout)  # what waits to be written would fail again
    complain(f"genreclf: {f'{name}: ' if name else ''}{error.strerror or error}")
    return 1


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    file: TextIO | None = None, line: str | None = None,
) -> None:  # fmt: skip
    complain(f"genreclf: warning: {message}")


@click.group(
    cls=Funnel,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@verbosity_options
@click.version_option(__version__, prog_name="genreclf")
def cli() -> None:
    """Music genre classification that can be believed.

    Turn music into features, train a classifier on your own genres, learn honestly how good it
    is, and classify songs.

    \b
    Example:
      genreclf extract music/ -o features.csv
      genreclf train features.csv -o model.joblib
      genreclf predict song.mp3

    \b
    Exit status:
      0    all done
      1    nothing could be done; one line on standard error says why
      2    wrong usage
      3    done, but some files failed, each named with its reason
      130  interrupted; what was finished is kept

    \b
    Environment:
      GENRECLF_MODEL  model that predict answers with, without --model and model.joblib
      GENRECLF_CACHE  folder of the cache of features
      GENRECLF_DATA   folder of the list of trusted models
    """
    warnings.showwarning = _show_warning


COMMANDS = (
    extract, train, evaluate, compare, audit, predict, tags, inspect, plot, cache, config,
    completion,
)  # fmt: skip

for command in COMMANDS:
    cli.add_command(command)
