"""``genreclf predict``: which genre is this?"""

import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genreclf.cli.options import (
    ANY_PATH,
    FILE,
    NOTHING_DONE,
    SOME_FAILED,
    TABLE,
    audio_sources,
    cache_in_use,
    cache_option,
    jobs_option,
    note,
    progress,
    stdout_console,
    timeout_option,
    trust_option,
    worker_count,
)
from genreclf.errors import escaped

if TYPE_CHECKING:
    from genreclf.extraction import Failure
    from genreclf.model import Model, Prediction
    from genreclf.sources import Track
    from genreclf.workers import Workers

    Writer = Callable[[Iterable[Prediction | Failure], Model], Iterator[bool]]


@click.command()
@click.argument("paths", nargs=-1, type=ANY_PATH, metavar="[PATH]...")
@click.option(
    "--model",
    type=FILE,
    metavar="FILE",
    help="Model file; else model.joblib in this folder, the one that GENRECLF_MODEL names, or the "
    "bundled one.",
)
@trust_option
@click.option(
    "--table",
    type=TABLE,
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
    "--threshold",
    type=click.FloatRange(0, 1),
    metavar="P",
    help="Answer 'unknown' below this confidence, whatever the model has learned.",
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
@cache_option
def predict(
    paths: tuple[Path, ...],
    model: Path | None,
    trust: bool,
    table: Path | None,
    top: int,
    threshold: float | None,
    output_format: str,
    jobs: int | None,
    timeout: float,
    no_cache: bool,
) -> None:  # fmt: skip
    """Predict the genre of audio files.

    PATHs are audio files, folders (searched recursively), or - for a list of paths on standard
    input. jsonl and csv give one record for each file, in order, failures included. "novel" marks
    what is unlike all music that the model was trained on: noise, speech, another kind of music.

    \b
    Examples:
      genreclf predict song.mp3
      genreclf predict music/ --top 3 --threshold 0.5
      genreclf predict - --format jsonl < playlist.txt
      genreclf predict --table features.csv --format csv > genres.csv
    """
    if bool(paths) == bool(table):
        raise click.UsageError("give audio files, or a table with --table")
    write = {"table": _write_table, "jsonl": _write_jsonl, "csv": _write_csv}[output_format]
    # Before a model is chosen and told of: without music there is nothing to answer.
    tracks = audio_sources(paths, labels="none").tracks if paths else []
    source = Source(model or _default_model(), trust, threshold)
    if table is not None:
        failed = _predict_table(table, source, partial(write, top=top))
    else:
        from genreclf.workers import Workers

        with Workers(worker_count(jobs, len(tracks)), timeout) as workers:
            kept = cache_in_use(no_cache)
            failed = _predict_files(tracks, source, partial(write, top=top), workers, kept)
    if failed is not None:
        raise click.exceptions.Exit(failed)


@dataclass(frozen=True)
class Source:
    """Where the model comes from."""

    path: Path
    trusted: bool
    threshold: float | None

    def load(self) -> "Model":
        """Load it, with the threshold that was asked for."""
        from genreclf.model import Model

        model = Model.load(self.path, trusted=self.trusted)
        return model if self.threshold is None else replace(model, threshold=self.threshold)


def _default_model() -> Path:
    """Choose the user's own model where there is one, and tell which it is."""
    from genreclf.modelfile import bundled_model

    named = os.environ.get("GENRECLF_MODEL")
    if (own := Path("model.joblib")).exists():
        note(f"model: {own} in this folder")
        return own
    if named:
        note(f"model: {named} (GENRECLF_MODEL)")
        return Path(named)
    note(
        "model: the bundled one (ten Western genres as of 2001); right for about six of ten songs, "
        "see 'genreclf train' for one of your own"
    )
    return bundled_model()


def _predict_table(table: Path, source: Source, write: "Writer") -> int | None:
    from genreclf.table import load_table

    model = source.load()
    return _exit_status(write(model.predict_table(load_table(table)), model), None)


def _predict_files(
    tracks: "Sequence[Track]",
    source: Source,
    write: "Writer",
    workers: "Workers",
    cache: Path | None,
) -> int | None:
    from genreclf.extraction import extract_tracks
    from genreclf.modelfile import read_card

    card = read_card(source.path)
    card.require_audio()
    # The card says what to extract: that begins while the model itself is loaded.
    outcomes = extract_tracks(tracks, card.config, workers, cache)
    model = source.load()
    return _exit_status(write(model.predict_outcomes(outcomes), model), len(tracks))


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
            if result.novel:
                record["novel"] = True
        click.echo(json.dumps(record))
        yield "error" not in record


def _write_csv(
    results: "Iterable[Prediction | Failure]", model: "Model", top: int
) -> Iterator[bool]:
    from genreclf.extraction import Failure

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["path", "genre", "confidence", *map(escaped, model.genres), "novel", "error"])
    for result in results:
        if isinstance(result, Failure):
            blank = [""] * (3 + len(model.genres))
            writer.writerow([escaped(result.track.path), *blank, escaped(result.error)])
        else:
            shares = [result.probabilities[genre] for genre in model.genres]
            answer = [escaped(result.genre), result.confidence, *shares, str(result.novel).lower()]
            writer.writerow([escaped(result.path), *answer, ""])
        yield not isinstance(result, Failure)
