"""``genreclf predict``: genres of audio files, or of the tracks of a table."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from genreclf.cli import options
from genreclf.cli.options import collected
from genreclf.cli.output import (
    NOTHING_DONE,
    SOME_FAILED,
    note,
    report_written,
    verbosity_options,
    write_text,
)
from genreclf.cli.predictions import FileOutputs, write_results
from genreclf.cli.progress import counted, meter_summary, progress
from genreclf.cli.tracks import audio_tracks, cache_in_use, prepare, worker_count
from genreclf.errors import about

if TYPE_CHECKING:
    from genreclf.extraction.tracks import Failure
    from genreclf.learning.card import Card
    from genreclf.learning.choice import ModelChoice
    from genreclf.learning.model import Model
    from genreclf.learning.networktags import NetworkTags
    from genreclf.learning.timeline import Timeline
    from genreclf.library.sources import Track
    from genreclf.parallel.workers import Workers


@dataclass(frozen=True)
class PredictOptions:
    """The arguments of ``predict``."""

    paths: tuple[Path, ...]
    model: Path | None
    trust: bool
    table: Path | None
    top: int
    threshold: float | Literal["auto"] | None
    output_format: str
    explain: bool
    tags: bool
    timeline: bool
    window: float | None
    step: float | None
    plot_file: Path | None
    m3u: Path | None
    html_file: Path | None
    html_top: int
    write_tags: bool
    only_missing: bool
    dry_run: bool
    backup: Path | None
    jobs: int | None
    timeout: float
    no_cache: bool

    def check(self) -> None:
        """Refuse options that would have no effect."""
        if bool(self.paths) == bool(self.table):
            raise click.UsageError("give audio files, or a table with --table")
        for option in self._given("window", "step", "plot_file"):
            if not self.timeline:
                raise click.UsageError(f"{option} needs --timeline")
        for option in self._given("only_missing", "dry_run", "backup"):
            if not self.write_tags:
                raise click.UsageError(f"{option} needs --write-tags")
        if self.table and (others := self._given("timeline", "m3u", "write_tags")):
            raise click.UsageError(f"{others[0]} needs audio files, not a table")
        of_files = ("explain", "tags", "m3u", "html_file", "write_tags")
        if self.timeline and (others := self._given(*of_files)):
            raise click.UsageError(
                f"{others[0]} is about whole files, --timeline about their parts"
            )
        if self.dry_run and self.backup:
            raise click.UsageError("--dry-run changes nothing, so there is nothing to --backup")

    def _given(self, *names: str) -> list[str]:
        """Return those of the options that were given."""
        spelt = {name: "--" + name.removesuffix("_file").replace("_", "-") for name in names}
        return [option for name, option in spelt.items() if getattr(self, name)]

    @property
    def page_size(self) -> int:
        """Tracks of each kind on the review page; 0 if there is none."""
        return self.html_top if self.html_file else 0

    def choice(self) -> "ModelChoice":
        """Choose the model, and print which it is if none was named."""
        from genreclf.learning.choice import ModelChoice, default_model

        path = self.model
        if path is None:
            path, which = default_model()
            note(f"model: {which}")
        return ModelChoice(path, self.trust, self.threshold)


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
@click.argument("paths", nargs=-1, type=options.ANY_PATH, metavar="[PATH]...")
@click.option(
    "--model", type=options.FILE, metavar="FILE",
    help="Model file. Default: model.joblib in this folder, else the file that GENRECLF_MODEL "
    "names, else the bundled model.",
)  # fmt: skip
@options.trust
@click.option(
    "--table", type=options.TABLE, metavar="FILE",
    help="Predict the tracks of a feature table instead of audio files.",
)  # fmt: skip
@click.option(
    "--top", type=click.IntRange(min=1), default=1, show_default=True, metavar="K",
    help="Show the K most probable genres.",
)  # fmt: skip
@click.option(
    "--threshold", callback=_share_or_auto, metavar="P|auto",
    help="Predict 'unknown' below this confidence, in place of the model's own threshold. auto "
    "chooses the confidence below which most predictions in the model's evaluation were wrong.",
)  # fmt: skip
@options.output_format
@click.option(
    "--explain", is_flag=True,
    help="Show how much each group of features adds to the probability of the genre, compared with "
    "the average training track.",
)  # fmt: skip
@click.option(
    "--tags", is_flag=True,
    help="Show the most probable tags of the network whose embeddings the model uses.",
)  # fmt: skip
@click.option(
    "--timeline", is_flag=True,
    help="Classify windows along each file, and show how the genre changes.",
)  # fmt: skip
@click.option(
    "--window", type=click.FloatRange(1, 600), metavar="SECONDS",
    help="Length of a window; by default that of the excerpts that the model was trained on.",
)  # fmt: skip
@click.option(
    "--step", type=click.FloatRange(min=0.1), metavar="SECONDS",
    help="Time from one window to the next; by default half a window.",
)  # fmt: skip
@options.plot_file
@click.option(
    "--m3u", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Write one playlist for each genre into this folder (.m3u8, replacing older ones), and "
    "playlists of the unknown and the novel files.",
)  # fmt: skip
@options.review_file
@options.review_size
@click.option(
    "--write-tags", is_flag=True,
    help="Write the genre into each file's tags in place of the genres that it has, unless the "
    "prediction is unknown or novel. 'genreclf tags restore' restores the old tags.",
)  # fmt: skip
@click.option(
    "--only-missing", is_flag=True,
    help="Write tags only into files without a genre in any tag.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only print what --write-tags would change.")
@click.option(
    "--backup", type=options.OUTPUT_FILE, metavar="FILE",
    help="File in which --write-tags keeps the old tags; an existing backup is extended. Default: "
    "a new file in the user's data folder.",
)  # fmt: skip
@options.jobs
@options.timeout
@options.no_cache
@verbosity_options
@collected(PredictOptions)
def predict(args: PredictOptions) -> None:
    """Predict the genre of audio files.

    PATHs are audio files, folders (searched recursively), or - for a list of paths on standard
    input. jsonl and csv have one record for each file, in order, including failures. "novel" marks
    a file unlike all music that the model was trained on: noise, speech, another kind of music. In
    jsonl, "notes" says what was unusual about a file. The exit status is 3 if some files failed,
    and 1 if all did.

    --timeline prints the sections of each file by genre. jsonl has one object for each file,
    {"path", "timeline": [{"start", "stop", "genre", "confidence", "probabilities"}, ...]}, with
    times in seconds and a null genre for silence; csv has one row for each window. --plot draws the
    timeline of one file.

    --explain adds a column to the table, and to jsonl "explanation": [{"group", "contribution"},
    ...]. The contributions add up to the probability minus that of the average training track.

    --html writes a page that plays the novel and the least certain files from where they are, with
    the predictions and what they are based on, and saves the genres that you choose.

    --tags adds a column to the table, to jsonl "tags": {tag: probability, ...}, and to csv a column
    tag:NAME for each tag. The tags are those that a network such as musicnn was trained with, not
    genres of the model, and --write-tags does not write them.

    --write-tags writes ID3 (mp3, aac, wav, aiff), Vorbis comments (flac, ogg, opus), MP4, ASF and
    APEv2 tags, and every other place that holds a genre: ID3v1, APEv2 beside ID3 in mp3, INFO in
    wav, freeform GENRE in m4a. The new genre replaces all genres of the file; --only-missing keeps
    them. Audio, other tags and permissions do not change.

    \b
    Examples:
      genreclf predict song.mp3
      genreclf predict music/ --top 3 --threshold auto
      genreclf predict - --format jsonl < playlist.txt
      genreclf predict --table features.csv --format csv > genres.csv
      genreclf predict song.mp3 --explain
      genreclf predict song.mp3 --tags
      genreclf predict song.mp3 --timeline --window 10 --step 5 --plot song.png
      genreclf predict music/ --threshold 0.7 --m3u playlists/
      genreclf predict music/ --html review.html
      genreclf predict music/ --threshold auto --write-tags --dry-run
      genreclf predict music/ --threshold auto --write-tags --only-missing
    """
    args.check()
    if args.table is not None:
        _predict_table(args, args.table)
        return
    from genreclf.parallel.workers import Workers

    # Before a model is chosen, because without music no model is needed.
    tracks = audio_tracks(args.paths)
    if args.plot_file is not None and len(tracks) != 1:
        raise click.UsageError(f"--plot draws one file, not {len(tracks)}")
    predict_tracks = _predict_timelines if args.timeline else _predict_files
    with Workers(worker_count(args.jobs, len(tracks)), args.timeout) as workers:
        predict_tracks(args, tracks, workers)


def _predict_table(args: PredictOptions, table: Path) -> None:
    from genreclf.reports.predictionpage import PredictionPage
    from genreclf.reports.review import labels_command, require_paths
    from genreclf.tables.reading import load_table

    page = PredictionPage(args.page_size, args.explain)
    model, features = _load(args.choice()), load_table(table)
    _warn_of_explanations(args, model)
    if args.html_file is not None:
        require_paths(table, features)
    tags, explained = _tags(args, model), args.explain or page.admits
    with about(table):
        predictions = model.predict_table(features, explained=explained, tags=tags)
    write_results(page.each(predictions, features.labels), model, args, tags)
    if args.html_file is not None:
        genres = sorted({*model.genres, *features.genres})
        html = page.html(genres, features.config, labels_command(table))
        write_text(args.html_file, html, "review page")


def _tags(args: PredictOptions, card: "Card") -> "NetworkTags | None":
    from genreclf.learning.networktags import NetworkTags

    return NetworkTags.of(card.config) if args.tags else None


def _predict_files(args: PredictOptions, tracks: "list[Track]", workers: "Workers") -> None:
    from genreclf.extraction.tracks import extract_tracks
    from genreclf.learning.modelfile import read_card
    from genreclf.reports.predictionpage import PredictionPage

    uses, page = FileOutputs.of(args), PredictionPage(args.page_size, args.explain)
    choice, cache = args.choice(), cache_in_use(args.no_cache)
    card = read_card(choice.path)
    card.require_audio()
    prepare(card.config)
    tags = _tags(args, card)
    # The card says what to extract: that begins while the model itself is loaded.
    outcomes = extract_tracks(tracks, tags.config if tags else card.config, workers, cache)
    model = _load(choice)
    _warn_of_explanations(args, model)
    with progress(len(tracks), "predict", "tracks") as meter:
        explained = args.explain or page.admits
        counted_outcomes = counted(outcomes, meter)
        predictions = model.predict_outcomes(counted_outcomes, explained=explained, tags=tags)
        write_results(uses.each(page.each(predictions)), model, args, tags)
    if len(tracks) > 1:
        note(meter_summary(meter))
    left_out = uses.finish(workers)
    if args.html_file is not None and meter.done > meter.failed:
        html = page.html(model.genres, model.config)
        write_text(args.html_file, html, "review page")
    _exit(meter.failed, meter.done - meter.failed, left_out)


def _warn_of_explanations(args: PredictOptions, model: "Model") -> None:
    if args.explain and (classifier := model.config.classifier).takes_frames:
        note(f"note: there are no explanations for {classifier.name}, which has no feature groups")


def _predict_timelines(args: PredictOptions, tracks: "list[Track]", workers: "Workers") -> None:
    from genreclf.extraction.windows import Windows
    from genreclf.learning.timeline import predict_timelines, short_window_note

    model = _load(args.choice())
    prepare(model.config)
    if warning := short_window_note(model, args.window):
        note(f"warning: {warning}")
    windows = Windows(args.window, args.step)
    with progress(len(tracks), "predict", "tracks") as meter:
        timelines = counted(predict_timelines(model, tracks, windows, workers), meter)
        if args.plot_file is not None:  # of one file
            timelines = iter([timeline := next(timelines)])
            _draw(timeline, args.plot_file, model.genres)
        write_results(timelines, model, args)
    if len(tracks) > 1:
        note(meter_summary(meter))
    _exit(meter.failed, meter.done - meter.failed)


def _exit(n_failed: int, n_predicted: int, left_out: bool = False) -> None:
    if n_failed and not n_predicted:
        raise click.exceptions.Exit(NOTHING_DONE)
    if n_failed or left_out:
        raise click.exceptions.Exit(SOME_FAILED)


def _load(choice: "ModelChoice") -> "Model":
    """Load a model, and print the threshold that its evaluation suggests, for ``auto``."""
    model, found = choice.load()
    if found is not None:
        from genreclf.reports.evaluation import threshold_line

        note(threshold_line(found, model.evaluation or {}))
    return model


def _draw(timeline: "Timeline | Failure", picture: Path, genres: list[str]) -> None:
    from genreclf.extraction.tracks import Failure
    from genreclf.reports.plots import draw_timeline

    if not isinstance(timeline, Failure):
        shares, name = timeline.probabilities(genres), Path(timeline.path).name
        draw_timeline(picture, timeline.borders, shares, genres, name)
        report_written("picture", picture)
