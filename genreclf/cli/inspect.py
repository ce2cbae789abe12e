"""``genreclf inspect``: what is in this file?"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genreclf.cli.options import (
    TABLE,
    config_option,
    plot_option,
    stdout_console,
    tell_written,
    timeout_option,
)
from genreclf.cli.telling import note

if TYPE_CHECKING:
    from rich.console import Console

    from genreclf.config.schema import Config


@click.command()
@click.argument("file", type=TABLE)
@config_option
@click.option(
    "--compare-librosa",
    is_flag=True,
    help="Hold each feature of an audio file against librosa's own (needs librosa).",
)
@click.option("--all", "show_all", is_flag=True, help="List all features of an audio file.")
@plot_option
@timeout_option
def inspect(
    file: Path,
    config: str,
    overrides: tuple[str, ...],
    compare_librosa: bool,
    show_all: bool,
    plot_file: Path | None,
    timeout: float,
) -> None:  # fmt: skip
    """Tell what a feature table, a model or an audio FILE holds.

    Of an audio file: its length, codec and tags, which seconds are listened to, and the features
    that are one number for all of them, such as the tempo; --all lists the others too.

    The suffix decides: .csv, .parquet and .npz are tables, .joblib and .skops are models (of which
    only the card is read, so that nothing in them can run), all else is taken for audio. --plot
    draws the waveform and the energy of an audio file, which seconds of it are listened to, and
    its sections where excerpt.strategy is highlight.

    \b
    Examples:
      genreclf inspect features.csv
      genreclf inspect model.joblib
      genreclf inspect song.mp3
      genreclf inspect song.mp3 --config wide --all
      genreclf inspect song.mp3 --set excerpt.strategy=highlight --plot song.png
      genreclf inspect song.mp3 --compare-librosa
    """
    from genreclf.config.load import load_config
    from genreclf.learning.modelfile import SUFFIXES, read_card
    from genreclf.reports.plots import check_plot
    from genreclf.reports.text import audio_report, model_report, table_report
    from genreclf.tables.formats import FORMATS
    from genreclf.tables.table import load_table

    console = stdout_console()
    is_table = file.suffix.lower() in FORMATS or file.is_dir()
    is_audio = not is_table and file.suffix.lower() not in SUFFIXES
    if plot_file is not None:
        if not is_audio or compare_librosa:
            raise click.UsageError("--plot draws audio files, and without --compare-librosa")
        check_plot(plot_file)
    if is_table:
        table_report(load_table(file), console)
    elif file.suffix.lower() in SUFFIXES:
        model_report(read_card(file), console)
    elif compare_librosa:
        _compare_with_librosa(file, load_config(config, overrides), timeout, console)
    else:
        settings = load_config(config, overrides)
        report = partial(audio_report, show_all=show_all, console=stdout_console())
        spans = _inspect_audio(file, settings, timeout, report)
        if plot_file is not None:
            _draw(file, settings, timeout, spans, plot_file)


def _inspect_audio(
    file: Path, settings: "Config", timeout: float, report: Callable[..., None]
) -> list[tuple[float, float]]:
    """Print what is in it, and return which seconds were listened to."""
    from genreclf.extraction.chain import extract_frames
    from genreclf.features.pooling import feature_names, pool

    excerpts, frames = in_worker(extract_frames, file, settings, timeout)
    for text in excerpts[0].notes:
        note(f"note: {text}")
    values = pool(frames, settings)
    features = dict(zip(feature_names(settings), map(float, values), strict=True))
    strategy = settings.each_view[0].excerpt.strategy
    report(excerpts, strategy, _tags(file), features)
    return [(excerpt.start_seconds, excerpt.stop_seconds) for excerpt in excerpts]


def _tags(file: Path) -> dict[str, str]:
    from genreclf.errors import AudioError
    from genreclf.library.tags import read_tags

    try:
        return {name: ", ".join(values) for name, values in read_tags(file).items()}
    except AudioError as error:
        note(f"note: {error}")
        return {}


def in_worker(function: Callable[..., Any], file: Path, settings: "Config", timeout: float) -> Any:
    """Compute in a worker process, which a file may crash or keep busy for ever."""
    from genreclf.errors import AudioError
    from genreclf.parallel.workers import WorkerError, Workers

    with Workers(1, timeout) as workers:
        _, result = next(workers.map(partial(function, config=settings), [file]))
    if isinstance(result, WorkerError):
        raise AudioError(f"{file}: {result.reason}")
    return result


def _draw(
    file: Path, settings: "Config", timeout: float, spans: list[tuple[float, float]], picture: Path
) -> None:
    from genreclf.extraction.chain import scan_track
    from genreclf.reports.plots import TrackPicture, draw_track

    heard = in_worker(scan_track, file, settings, timeout)
    draw_track(
        picture,
        TrackPicture(
            seconds_a_value=heard.hop / heard.info.sample_rate_hz,
            peaks=heard.peaks,
            energies=heard.energies,
            spans=spans,
            segments=heard.structure.segments if heard.structure else [],
        ),
    )
    tell_written("picture", picture)


def _compare_with_librosa(
    file: Path, settings: "Config", timeout: float, console: "Console"
) -> None:
    from genreclf.errors import AudioError
    from genreclf.extraction.chain import extract_frames
    from genreclf.features.reference import compare_with_librosa
    from genreclf.reports.text import comparison_report

    excerpts, frames = in_worker(extract_frames, file, settings, timeout)
    if notes := "; ".join(excerpts[0].notes):
        raise AudioError(f"{file}: {notes}; that cannot be compared with librosa")
    comparison_report(compare_with_librosa(frames, file, settings), console)
