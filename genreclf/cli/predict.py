"""``genreclf predict``: which genre is this?"""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genreclf.cli.options import (
    ANY_PATH,
    FILE,
    NOTHING_DONE,
    SOME_FAILED,
    audio_sources,
    jobs_option,
    note,
    progress,
    stdout_console,
    timeout_option,
    worker_count,
)

if TYPE_CHECKING:
    from genreclf.extraction import Failure
    from genreclf.model import Model, Prediction

    Writer = Callable[[Iterable[Prediction | Failure], Model, int], Iterator[bool]]


@click.command()
@click.argument("paths", nargs=-1, type=ANY_PATH, metavar="[PATH]...")
@click.option(
    "--model",
    type=FILE,
    metavar="FILE",
    envvar="GENRECLF_MODEL",
    default=Path("model.joblib"),
    show_default=True,
    show_envvar=True,
    help="Model file. It is a pickle: name only files that you trust.",
)
@click.option(
    "--table",
    type=FILE,
    metavar="FILE",
    help="Predict the tracks of a feature table instead of audio files.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="K",
    help="Show the K most probable genres.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "jsonl", "csv"]),
    default="table",
    show_default=True,
    help="For people, or for programs.",
)
@jobs_option
@timeout_option
def predict(
    paths: tuple[Path, ...],
    model: Path,
    table: Path | None,
    top: int,
    output_format: str,
    jobs: int | None,
    timeout: float,
) -> None:  # fmt: skip
    """Predict the genre of audio files.

    PATHs are audio files, folders (searched recursively), or - for a list of paths on standard
    input. jsonl and csv give one record for each file, in order, failures included.

    \b
    Examples:
      genreclf predict song.mp3
      genreclf predict music/ --top 3
      genreclf predict - --format jsonl < playlist.txt
      genreclf predict --table features.csv --format csv > genres.csv
    """
    if bool(paths) == bool(table):
        raise click.UsageError("give audio files, or a table with --table")
    write = {"table": _write_table, "jsonl": _write_jsonl, "csv": _write_csv}[output_format]
    if table is not None:
        failed = _predict_table(table, model, write, top)
    else:
        failed = _predict_files(paths, model, write, top, jobs, timeout)
    if failed is not None:
        raise click.exceptions.Exit(failed)


def _predict_table(table: Path, model: Path, write: "Writer", top: int) -> int | None:
    from genreclf.model import Model
    from genreclf.table import load_table

    loaded = Model.load(model)
    return _exit_status(write(loaded.predict_table(load_table(table)), loaded, top), None)


def _predict_files(
    paths: Sequence[Path], model: Path, write: "Writer", top: int, jobs: int | None, timeout: float
) -> int | None:
    from genreclf.workers import Workers

    files = [track.path for track in audio_sources(paths, labels="none").tracks]
    with Workers(worker_count(jobs, len(files)), timeout) as workers:
        # Imported while the workers start: half of the wait for a single song.
        from genreclf.model import Model

        loaded = Model.load(model)
        results = loaded.predict_files(files, workers)
        return _exit_status(write(results, loaded, top), len(files))


def _exit_status(written: Iterable[bool], n: int | None) -> int | None:
    """Run through the records as they are written; None if all of them are predictions."""
    failed, predicted = 0, 0
    with progress(n, "predict") as advance:
        for ok in written:
            predicted, failed = predicted + ok, failed + (not ok)
            advance()
    if not failed:
        return None
    return SOME_FAILED if predicted else NOTHING_DONE


def _write_table(
    results: "Iterable[Prediction | Failure]", model: "Model", top: int
) -> Iterator[bool]:
    from genreclf.extraction import Failure
    from genreclf.report import predictions_table

    predictions = []
    for result in results:
        if isinstance(result, Failure):
            note(result.error)
        else:
            predictions.append(result)
        yield not isinstance(result, Failure)
    if predictions:
        stdout_console().print(predictions_table(predictions, top))


def _write_jsonl(
    results: "Iterable[Prediction | Failure]", model: "Model", top: int
) -> Iterator[bool]:
    from genreclf.extraction import Failure

    for result in results:
        record: dict[str, Any]
        if isinstance(result, Failure):
            record = {"path": str(result.track.path), "error": result.error}
        else:
            shown = dict(list(result.probabilities.items())[: top if top > 1 else None])
            record = {
                "path": result.path,
                "genre": result.genre,
                "confidence": result.confidence,
                "probabilities": shown,
            }
        click.echo(json.dumps(record))
        yield "error" not in record


def _write_csv(
    results: "Iterable[Prediction | Failure]", model: "Model", top: int
) -> Iterator[bool]:
    from genreclf.extraction import Failure

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["path", "genre", "confidence", *model.genres, "error"])
    for result in results:
        if isinstance(result, Failure):
            blank = [""] * (2 + len(model.genres))
            writer.writerow([_encodable(result.track.path), *blank, _encodable(result.error)])
        else:
            shares = [result.probabilities[genre] for genre in model.genres]
            writer.writerow([_encodable(result.path), result.genre, result.confidence, *shares, ""])
        yield not isinstance(result, Failure)


def _encodable(text: object) -> str:
    """Escape what UTF-8 cannot carry: bytes of a file name that are not text."""
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")
