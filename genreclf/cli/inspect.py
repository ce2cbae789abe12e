"""``genreclf inspect``: what is in this file?"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from genreclf.cli.options import FILE, config_option, stdout_console

if TYPE_CHECKING:
    from rich.console import Console


@click.command()
@click.argument("file", type=FILE)
@config_option
def inspect(file: Path, config: str, overrides: tuple[str, ...]) -> None:
    """Tell what a feature table, a model or an audio FILE holds.

    The suffix decides: .csv, .parquet and .npz are tables, .joblib is a model (a pickle: inspect
    only files that you trust), all else is taken for audio.

    \b
    Examples:
      genreclf inspect features.csv
      genreclf inspect model.joblib
      genreclf inspect song.mp3 --config wide
    """
    from genreclf.model import Model
    from genreclf.report import model_report, table_report
    from genreclf.table import FORMATS, load_table

    console = stdout_console()
    if file.suffix.lower() in FORMATS:
        table_report(load_table(file), console)
    elif file.suffix.lower() == ".joblib":
        model_report(Model.load(file), console)
    else:
        _inspect_audio(file, config, overrides, console)


def _inspect_audio(file: Path, config: str, overrides: tuple[str, ...], console: "Console") -> None:
    from genreclf.audio import describe
    from genreclf.config import load_config
    from genreclf.excerpt import load_excerpt
    from genreclf.extraction import extract_one
    from genreclf.pooling import feature_names
    from genreclf.report import audio_report
    from genreclf.tags import read_tags

    settings = load_config(config, overrides)
    values = extract_one(file, settings)
    features = dict(zip(feature_names(settings), map(float, values), strict=True))
    excerpt = load_excerpt(file, settings)
    audio_report(describe(file), read_tags(file), excerpt, features, console)
