"""``genreclf predict``: which genre is this?"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from genreclf.cli.options import (
    ANY_PATH,
    FILE,
    NOTHING_DONE,
    OUTPUT_FILE,
    SOME_FAILED,
    TABLE,
    audio_sources,
    cache_in_use,
    cache_option,
    jobs_option,
    plot_option,
    timeout_option,
    trust_option,
    worker_count,
)
from genreclf.cli.output import complain, note, plural, stdout_console, verbosity_options
from genreclf.cli.progress import Meter, TrackNotes, progress, tally, tell_row
from genreclf.cli.streams import record_writer
from genreclf.cli.tags import Tagging

if TYPE_CHECKING:
    from genreclf.extraction.chain import Failure, Outcome
    from genreclf.extraction.windows import Windows
    from genreclf.learning.model import Model, Prediction
    from genreclf.learning.thresholds import Threshold
    from genreclf.library.sources import Track
    from genreclf.parallel.workers import Workers
    from genreclf.reports.playlists import Playlists

    Results = Iterable[Prediction | Failure]
    Writer = Callable[[Results, Model], Iterator[bool]]

# Rows of a table that are printed at a time, so that thousands of files need no memory.
TABLE_ROWS = 200


def _share_or_auto(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> float | Literal["auto"] | None:
    if value is None:
        return None
    if value == "auto":
        return "auto"
    share: float = click.FloatRange(0, 1)(value, param, ctx)
    return share


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
    callback=_share_or_auto,
    metavar="P|auto",
    help="Answer 'unknown' below this confidence, whatever the model has learned. auto takes the "
    "one below which its answers are more often wrong than right, by its evaluation.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "jsonl", "csv"]),
    default="table",
    show_default=True,
    help="For people, or for programs.",
)
@click.option(
    "--explain",
    is_flag=True,
    help="Tell what spoke for the genre: what groups of features add to its probability, against "
    "the average training track.",
)
@click.option(
    "--timeline",
    is_flag=True,
    help="Classify windows along each file, and show how the genre changes.",
)
@click.option(
    "--window",
    type=click.FloatRange(1, 600),
    metavar="SECONDS",
    help="Length of the windows; by default what the model listens to of a file.",
)
@click.option(
    "--step",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="From one window to the next; by default half a window.",
)
@plot_option
@click.option(
    "--m3u",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write a playlist a genre into this folder (.m3u8, in place of older ones), and unknown "
    "and novel ones for the files that are so.",
)
@click.option(
    "--write-tags",
    is_flag=True,
    help="Write the genre into each file's tags, unless it is unknown or the file novel. It takes "
    "the place of all genres that the file has. What the tags were is kept; 'genreclf tags "
    "restore' puts it back.",
)
@click.option(
    "--only-missing",
    is_flag=True,
    help="Write a genre only into files that have none in any of their tags.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what --write-tags would change.")
@click.option(
    "--backup",
    type=OUTPUT_FILE,
    metavar="FILE",
    help="Where --write-tags keeps what the tags were, added to if it is there; by default a new "
    "file in the user's data folder.",
)
@jobs_option
@timeout_option
@cache_option
@verbosity_options
def predict(
    paths: tuple[Path, ...],
    model: Path | None,
    trust: bool,
    table: Path | None,
    top: int,
    threshold: float | Literal["auto"] | None,
    output_format: str,
    explain: bool,
    timeline: bool,
    window: float | None,
    step: float | None,
    plot_file: Path | None,
    m3u: Path | None,
    write_tags: bool,
    only_missing: bool,
    dry_run: bool,
    backup: Path | None,
    jobs: int | None,
    timeout: float,
    no_cache: bool,
) -> None:  # fmt: skip
    """Predict the genre of audio files.

    PATHs are audio files, folders (searched recursively), or - for a list of paths on standard
    input. jsonl and csv give one record for each file, in order, failures included. "novel" marks
    what is unlike all music that the model was trained on: noise, speech, another kind of music.
    Where a track was not heard as usual, jsonl has "notes", a list of sentences. The exit status is
    3 if some files failed, and 1 if all did.

    --timeline prints the stretches of each file that have one genre. jsonl gives one object a file,
    {"path", "timeline": [{"start", "stop", "genre", "confidence", "probabilities"}, ...]}, in
    seconds, the genre being null in silence; csv one row a window. --plot draws it, of one file.

    --explain adds a column to the table, and to jsonl "explanation": [{"group", "contribution"},
    ...]. The contributions add up to the probability less that of the average training track.

    --write-tags writes ID3 (mp3, aac, wav, aiff), Vorbis comments (flac, ogg, opus), MP4, ASF and
    APEv2 tags, and whatever else in a file holds a genre: ID3v1, APEv2 beside ID3 in mp3, INFO in
    wav, freeform GENRE in m4a. If a file has several genres, the new one replaces them all; use
    --only-missing to keep what is there. Audio, other tags and permissions stay as they are.

    \b
    Examples:
      genreclf predict song.mp3
      genreclf predict music/ --top 3 --threshold auto
      genreclf predict - --format jsonl < playlist.txt
      genreclf predict --table features.csv --format csv > genres.csv
      genreclf predict song.mp3 --explain
      genreclf predict song.mp3 --timeline --window 10 --step 5 --plot song.png
      genreclf predict music/ --threshold 0.7 --m3u playlists/
      genreclf predict music/ --threshold auto --write-tags --dry-run
      genreclf predict music/ --threshold auto --write-tags --only-missing
    """
    asked = click.get_current_context().params
    _check_usage(paths, table, asked)
    if timeline:
        from genreclf.cli.timeline import write_csv, write_jsonl, write_table

        write: Callable[..., Iterator[bool]]
        write = {"table": write_table, "jsonl": write_jsonl, "csv": write_csv}[output_format]
    else:
        write = {"table": _write_table, "jsonl": _write_jsonl, "csv": _write_csv}[output_format]
    write = partial(write, top=top)
    # Before a model is chosen and told of: without music there is nothing to answer.
    tracks = audio_sources(paths, labels="none").tracks if paths else []
    if plot_file is not None and len(tracks) != 1:
        raise click.UsageError(f"--plot draws one file, and here are {len(tracks)}")
    tagging = None
    if write_tags:
        tagging = Tagging.into(backup, dry_run=dry_run, only_missing=only_missing)
    source = Source(model or _default_model(), trust, threshold)
    if table is not None:
        failed = _predict_table(table, source, write, explain)
    else:
        from genreclf.parallel.workers import Workers

        with Workers(worker_count(jobs, len(tracks)), timeout) as workers:
            if timeline:
                from genreclf.extraction.windows import Windows

                windows = Windows(window, step)
                failed = _predict_timelines(tracks, source, write, workers, windows, plot_file)
            else:
                library = Library(cache_in_use(no_cache), explain, _playlists(m3u), tagging)
                failed = _predict_files(tracks, source, write, workers, library)
    if failed is not None:
        raise click.exceptions.Exit(failed)


def _check_usage(paths: Sequence[Path], table: Path | None, asked: Mapping[str, Any]) -> None:
    """Refuse options that would be without effect."""
    if bool(paths) == bool(table):
        raise click.UsageError("give audio files, or a table with --table")

    def given(*names: str) -> list[str]:
        spelt = ("--" + name.removesuffix("_file").replace("_", "-") for name in names)
        return [option for name, option in zip(names, spelt, strict=True) if asked[name]]

    for option, needed in (
        *((option, "timeline") for option in given("window", "step", "plot_file")),
        *((option, "write_tags") for option in given("only_missing", "dry_run", "backup")),
    ):
        if not asked[needed]:
            raise click.UsageError(f"{option} goes with --{needed.replace('_', '-')} only")
    if table and (others := given("timeline", "m3u", "write_tags")):
        raise click.UsageError(f"{others[0]} needs audio files, not a table")
    if asked["timeline"] and (others := given("explain", "m3u", "write_tags")):
        raise click.UsageError(f"{others[0]} is about whole files, --timeline about their parts")
    if asked["dry_run"] and asked["backup"]:
        raise click.UsageError("--dry-run changes nothing, so that there is no --backup")


@dataclass(frozen=True)
class Source:
    """Where the model comes from."""

    path: Path
    trusted: bool
    threshold: float | Literal["auto"] | None

    def load(self) -> "Model":
        """Load it, with the threshold that was asked for."""
        from genreclf.learning.model import Model

        model = Model.load(self.path, trusted=self.trusted)
        if self.threshold is None:
            return model
        if self.threshold != "auto":
            return replace(model, threshold=self.threshold)
        found = model.sensible_threshold()
        note(_told(found, model))
        return replace(model, threshold=found.confidence)


def _told(found: "Threshold", model: "Model") -> str:
    """Say what a threshold is, and what it was learned from."""
    from genreclf.reports.text import without_groups

    if not found.confidence:
        if "threshold" in (model.evaluation or {}):
            why = "all answers of its evaluation together were right often enough"
        elif found.precision == 1:
            why = "its evaluation had no wrong answers"
        else:
            why = "its evaluation had too few wrong answers to tell"
        return f"threshold: 0; {why}, so nothing is withheld"
    text = (
        f"threshold: {found.confidence:.2f}; {found.coverage:.0%} of the tracks of its "
        f"evaluation reach it, and {found.precision:.0%} of those are right"
    )
    if without_groups((model.evaluation or {}).get("splits", {})):
        text += "; measured without groups, so expect less on artists not heard before"
    return text


@dataclass(frozen=True)
class Library:
    """What else becomes of predictions than to be printed, and where features are kept."""

    cache: Path | None
    explained: bool
    playlists: "Playlists | None"
    tagging: Tagging | None

    def through(self, results: "Results") -> "Results":
        """Hand predictions on as they come, each when its tag is written."""
        from genreclf.extraction.chain import Failure

        for result in results:
            if not isinstance(result, Failure):
                if self.playlists is not None:
                    self.playlists.add("novel" if result.novel else result.genre, result.path)
                if self.tagging is not None:
                    self.tagging.write(result)
            yield result

    def finish(self, workers: "Workers", status: int | None) -> int | None:
        """Write the playlists, tell of all, and return the exit status."""
        if self.playlists is not None:
            written, left_out = self.playlists.write(workers)
            older = self.playlists.n_replaced
            note(
                f"{plural(len(written), 'playlist')} written to {self.playlists.folder}"
                + (f" ({older} replaced)" if older else "")
            )
            for path in left_out:
                complain(f"{path}: in no playlist; its name is not one line of text")
            status = SOME_FAILED if left_out and status is None else status
        if self.tagging is not None:
            self.tagging.tell()
            status = SOME_FAILED if self.tagging.failed and status is None else status
        return status


def _playlists(folder: Path | None) -> "Playlists | None":
    if folder is None:
        return None
    from genreclf.reports.playlists import Playlists

    folder.mkdir(parents=True, exist_ok=True)  # before hours of work, not after
    return Playlists(folder)


def _default_model() -> Path:
    """Choose the user's own model where there is one, and tell which it is."""
    from genreclf.learning.modelfile import bundled_model

    named = os.environ.get("GENRECLF_MODEL")
    if (own := Path("model.joblib")).exists():
        note(f"model: {own} in this folder")
        return own
    if named:
        note(f"model: {named} (GENRECLF_MODEL)")
        return Path(named)
    note(
        "model: the bundled one (ten Western genres as of 2001); it is right for five to seven of "
        "ten songs, and 'genreclf train' makes one for your genres"
    )
    return bundled_model()


def _predict_table(table: Path, source: Source, write: "Writer", explain: bool) -> int | None:
    from genreclf.tables.table import load_table

    model = source.load()
    return _exit_status(write(model.predict_table(load_table(table), explained=explain), model))


def _predict_files(
    tracks: "Sequence[Track]",
    source: Source,
    write: "Writer",
    workers: "Workers",
    library: Library,
) -> int | None:
    from genreclf.extraction.chain import extract_tracks
    from genreclf.learning.modelfile import read_card

    card = read_card(source.path)
    card.require_audio()
    # The card says what to extract: that begins while the model itself is loaded.
    outcomes = extract_tracks(tracks, card.config, workers, library.cache, each_excerpt=True)
    model, notes = source.load(), TrackNotes()
    with progress(len(tracks), "predict", "tracks") as meter:
        counted = _counted(outcomes, meter, notes)
        predictions = model.predict_outcomes(counted, explained=library.explained)
        status = _exit_status(write(library.through(predictions), model))
    notes.finish()
    if len(tracks) > 1:
        earlier = [f"{meter.cached} from the cache"] if meter.cached else []
        note(tally(meter.done - meter.failed, earlier, meter.failed, meter.seconds))
    return library.finish(workers, status)


def _predict_timelines(
    tracks: "Sequence[Track]", source: Source, write: Callable[..., Iterator[bool]],
    workers: "Workers", windows: "Windows", plot_file: Path | None,
) -> int | None:  # fmt: skip
    from genreclf.cli.timeline import counted, plotted
    from genreclf.learning.timeline import predict_timelines

    model, notes = source.load(), TrackNotes()
    with progress(len(tracks), "predict", "tracks") as meter:
        results = counted(predict_timelines(model, tracks, windows, workers), meter, notes)
        if plot_file is not None:
            results = plotted(results, plot_file, model.genres)
        status = _exit_status(write(results, model))
    notes.finish()
    if len(tracks) > 1:
        note(tally(meter.done - meter.failed, [], meter.failed, meter.seconds))
    return status


def _counted(outcomes: "Iterable[Outcome]", meter: Meter, notes: TrackNotes) -> "Iterator[Outcome]":
    from genreclf.extraction.chain import Failure

    for outcome in outcomes:
        if isinstance(outcome, Failure):
            meter(failed=True)
        else:
            meter(cached=outcome.cached)
            tell_row(outcome)
            notes.tell(outcome.track.path, outcome.notes)
        yield outcome


def _exit_status(written: Iterable[bool]) -> int | None:
    """Run through the records as they are written; None if all of them are predictions."""
    failed, predicted = 0, 0
    for ok in written:
        predicted, failed = predicted + ok, failed + (not ok)
    if not failed:
        return None
    return SOME_FAILED if predicted else NOTHING_DONE


def _write_table(
    results: "Iterable[Prediction | Failure]", model: "Model", top: int
) -> Iterator[bool]:
    from genreclf.extraction.chain import Failure
    from genreclf.reports.text import predictions_table

    predictions = []
    for result in results:
        if isinstance(result, Failure):
            complain(result.error)
        else:
            predictions.append(result)
        if len(predictions) == TABLE_ROWS:
            stdout_console().print(predictions_table(predictions, top))
            predictions = []
        yield not isinstance(result, Failure)
    if predictions:
        stdout_console().print(predictions_table(predictions, top))


def _write_jsonl(
    results: "Iterable[Prediction | Failure]", model: "Model", top: int
) -> Iterator[bool]:
    from genreclf.extraction.chain import Failure

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
            if result.notes:
                record["notes"] = result.notes
            if result.explanation:
                record["explanation"] = [
                    {"group": group, "contribution": share}
                    for group, share in result.explanation.items()
                ]
        click.echo(json.dumps(record))
        yield "error" not in record


def _write_csv(
    results: "Iterable[Prediction | Failure]", model: "Model", top: int
) -> Iterator[bool]:
    from genreclf.extraction.chain import Failure

    write = record_writer()
    write(["path", "genre", "confidence", *model.genres, "novel", "error"])
    for result in results:
        if isinstance(result, Failure):
            blank = [""] * (3 + len(model.genres))
            write([str(result.track.path), *blank, result.error])
        else:
            shares = [result.probabilities[genre] for genre in model.genres]
            answer = [result.genre, result.confidence, *shares, str(result.novel).lower()]
            write([result.path, *answer, ""])
        yield not isinstance(result, Failure)
