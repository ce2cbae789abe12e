"""The command line: each file has one command, which parses, calls the library and prints.

Heavy modules are imported in the body of a command, so that ``--help`` is instant.
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
from genreclf.cli.embeddings import embeddings
from genreclf.cli.evaluate import evaluate
from genreclf.cli.extract import extract
from genreclf.cli.inspect import inspect
from genreclf.cli.labels import labels
from genreclf.cli.output import INTERRUPTED, print_error, verbosity_options
from genreclf.cli.plot import plot
from genreclf.cli.predict import predict
from genreclf.cli.streams import discard_output, prepare_streams
from genreclf.cli.suggest import suggest
from genreclf.cli.tags import tags
from genreclf.cli.train import train
from genreclf.errors import GenreclfError, one_line
from genreclf.version import __version__

# Errors of writing. If such an error names no file, standard output could not be written.
_CANNOT_TAKE_MORE = (errno.ENOSPC, errno.EIO, errno.EFBIG)


class ErrorReportingGroup(click.Group):
    """A group of commands that reports an error as one line and an exit status."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run with streams that take any text."""
        prepare_streams()
        extra["standalone_mode"] = False  # click would choose another encoding
        try:
            status = super().main(*args, **extra) or 0
            sys.stdout.flush()
        except click.exceptions.NoArgsIsHelpError as error:  # a group without a command
            status = _show(error)
        except click.UsageError as error:  # the message may contain a file name
            status = _show(click.UsageError(one_line(error.format_message()), error.ctx))
        except click.Abort:
            status = INTERRUPTED
        except OSError as error:  # such as --help into a file on a full disk
            status = _failed(error)
        sys.exit(status)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:  # fmt: skip
        """Remember the arguments for the HTML report."""
        typed = list(args)
        context = super().make_context(info_name, args, parent, **extra)
        context.obj = typed
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; exit with 1 on an error and 130 on an interruption."""
        try:
            return super().invoke(ctx)
        except GenreclfError as error:
            print_error(f"genreclf: {error}")
            ctx.exit(1)
        except OSError as error:
            ctx.exit(_failed(error))
        except UnicodeEncodeError as error:  # in a file name
            print_error(
                f"genreclf: {error.object}: cannot be written in {error.encoding}; if this is the "
                "encoding of the locale, set LC_ALL=C.UTF-8"
            )
            ctx.exit(1)
        except (MemoryError, ImportError) as error:  # lack of memory can raise either
            what = "out of memory" if isinstance(error, MemoryError) else "cannot import a module"
            print_error(f"genreclf: {what}: {error}")
            ctx.exit(1)
        except KeyboardInterrupt:
            print_error("genreclf: interrupted")
            ctx.exit(INTERRUPTED)


def _show(error: click.UsageError) -> int:
    """Print how a command is used, and return the exit status."""
    try:
        error.show(sys.stderr)
    except OSError:
        discard_output(sys.stderr)
    return error.exit_code


def _failed(error: OSError) -> int:
    """Print an error of the operating system, and return the exit status."""
    if isinstance(error, BrokenPipeError):  # the reader of a pipe has stopped
        discard_output(sys.stdout)
        return 0
    name = error.filename
    if name is None and error.errno in _CANNOT_TAKE_MORE:
        name = "standard output"
        discard_output(sys.stdout)  # pending output would fail again
    print_error(f"genreclf: {f'{name}: ' if name else ''}{error.strerror or error}")
    return 1


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    file: TextIO | None = None, line: str | None = None,
) -> None:  # fmt: skip
    print_error(f"genreclf: warning: {message}")


@click.group(
    cls=ErrorReportingGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@verbosity_options
@click.version_option(__version__, prog_name="genreclf")
def cli() -> None:
    """Classify music by genre.

    Extract features from music, train a classifier on your own genres, measure its accuracy on
    unseen artists, and predict the genres of songs.

    \b
    Examples:
      genreclf extract music/ -o features.csv
      genreclf train features.csv -o model.joblib
      genreclf predict song.mp3

    \b
    Exit status:
      0    all done
      1    nothing could be done; a line on standard error says why
      2    wrong usage
      3    done, but something failed or did not fit; standard error names it with the reason
      130  interrupted; finished work is kept

    \b
    Environment:
      GENRECLF_MODEL  model for predict, unless there is --model or model.joblib in this folder
      GENRECLF_CACHE  folder of the feature cache
      GENRECLF_DATA   folder of networks, of the list of trusted models and of tag backups
    """
    warnings.showwarning = _show_warning


COMMANDS = (
    extract, train, evaluate, compare, audit, predict, suggest, labels, tags, inspect, plot,
    embeddings, cache, config, completion,
)  # fmt: skip

for command in COMMANDS:
    cli.add_command(command)
