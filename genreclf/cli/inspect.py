"""``genreclf inspect``: what is in this file?"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from genreclf.cli.options import TABLE, config_option, stdout_console, timeout_option

if TYPE_CHECKING:
    from rich.console import Console

    from genreclf.config import Config
    from genreclf.excerpt import Excerpt
    from genreclf.spectra import Array


@click.command()
@click.argument("file", type=TABLE)
@config_option
@click.option(
    "--compare-librosa",
    is_flag=True,
    help="Hold each feature of an audio file against librosa's own (needs librosa).",
)
@timeout_option
def inspect(
    file: Path, config: str, overrides: tuple[str, ...], compare_librosa: bool, timeout: float
) -> None:  # fmt: skip
    """Tell what a feature table, a model or an audio FILE holds.

    The suffix decides: .csv, .parquet and .npz are tables, .joblib and .skops are models (of which
    only the card is read, so that nothing in them can run), all else is taken for audio.

    \b
    Examples:
      genreclf inspect features.csv
      genreclf inspect model.joblib
      genreclf inspect song.mp3 --config wide
      genreclf inspect song.mp3 --compare-librosa
    """
    from genreclf.config import load_config
    from genreclf.formats import FORMATS
    from genreclf.modelfile import SUFFIXES, read_card
    from genreclf.report import model_report, table_report
    from genreclf.table import load_table

    console = stdout_console()
    if file.suffix.lower() in FORMATS:
        table_report(load_table(file), console)
    elif file.suffix.lower() in SUFFIXES:
        model_report(read_card(file), console)
    elif compare_librosa:
        _compare_with_librosa(file, load_config(config, overrides), timeout, console)
    else:
        _inspect_audio(file, load_config(config, overrides), timeout, console)


def _inspect_audio(file: Path, settings: "Config", timeout: float, console: "Console") -> None:
    from genreclf.pooling import feature_names, pool
    from genreclf.report import audio_report
    from genreclf.tags import read_tags

    excerpt, frames = _frames(file, settings, timeout)
    values = pool(frames, settings)
    features = dict(zip(feature_names(settings), map(float, values), strict=True))
    audio_report(excerpt, read_tags(file), features, console)


def _frames(file: Path, settings: "Config", timeout: float) -> "tuple[Excerpt, dict[str, Array]]":
    """Compute in a worker process, which a file may crash or keep busy for ever."""
    from genreclf.errors import AudioError
    from genreclf.extraction import extract_frames
    from genreclf.workers import WorkerError, Workers

    with Workers(1, timeout) as workers:
        _, result = next(workers.map(partial(extract_frames, config=settings), [file]))
    if isinstance(result, WorkerError):
        raise AudioError(f"{file}: {result.reason}")
    return result


def _compare_with_librosa(
    file: Path, settings: "Config", timeout: float, console: "Console"
) -> None:
    from genreclf.reference import compare_with_librosa
    from genreclf.report import comparison_report

    _, frames = _frames(file, settings, timeout)
    comparison_report(compare_with_librosa(frames, file, settings), console)
