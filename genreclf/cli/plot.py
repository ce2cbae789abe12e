"""``genreclf plot``: pictures of features, results and music."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genreclf.cli.inspect import in_worker
from genreclf.cli.options import (
    FILE,
    PICTURE_FILE,
    TABLE,
    Learning,
    TableOptions,
    Trainings,
    config_option,
    cross_validated,
    learning_options,
    table_options,
    tell_written,
    timeout_option,
)
from genreclf.cli.telling import note, progress
from genreclf.errors import TableError

if TYPE_CHECKING:
    from genreclf.reports.spectrograms import Kind
    from genreclf.tables.table import FeatureTable

MOST_FEATURES = 12
TELLING_FEATURES = 6  # where nobody says which
MOST_GENRES = 30

output_option = click.option(
    "-o", "--output", type=PICTURE_FILE, required=True, metavar="FILE",
    help="Picture to write: .png, .svg or .pdf.",
)  # fmt: skip


@click.group()
def plot() -> None:
    """Draw features, confusion, spectrograms and separation (needs genreclf[plot]).

    \b
    Examples:
      genreclf plot features features.csv 'mix.mfcc.0?.mean' -o mfcc.svg
      genreclf plot confusion features.csv -o confusion.png
      genreclf plot spectrogram song.mp3 -o song.png
      genreclf plot hpss song.mp3 -o parts.png
    """


@plot.command()
@click.argument("table", type=TABLE)
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@output_option
@table_options
def features(
    table: Path, patterns: tuple[str, ...], output: Path, table_options: TableOptions
) -> None:
    """Draw how the features of a TABLE are distributed within each genre.

    PATTERNs choose columns by name, 12 at most; without any, the six that tell genres apart best
    are drawn (by the F statistic of an analysis of variance).

    \b
    Examples:
      genreclf plot features features.csv -o features.png
      genreclf plot features features.csv percussive.tempo 'mix.rms.*' -o rhythm.svg
    """
    from genreclf.reports.plots import draw_features
    from genreclf.tables.table import load_table

    known = load_table(table, table_options.columns()).labelled()
    chosen = _matching(known.names, patterns) if patterns else _most_telling(known)
    if len(chosen) > MOST_FEATURES:
        note(f"note: of {len(chosen)} columns the first {MOST_FEATURES} are drawn")
    by_size = sorted(known.genres, key=lambda genre: -int((known.labels == genre).sum()))
    shown = sorted(by_size[:MOST_GENRES])
    column = {name: i for i, name in enumerate(known.names)}
    values = {
        name: {genre: _finite(known.values[known.labels == genre, column[name]]) for genre in shown}
        for name in chosen[:MOST_FEATURES]
    }
    draw_features(output, values, len(known.genres) - len(shown))
    tell_written("picture", output)


def _finite(values: Any) -> Any:
    return values[values == values]


def _matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    from fnmatch import fnmatchcase

    found = [n for n in names if any(n == p or fnmatchcase(n, p) for p in patterns)]
    for pattern in patterns:
        if not any(n == pattern or fnmatchcase(n, pattern) for n in names):
            raise TableError(f"no column {pattern}; the first of {len(names)} is {names[0]}")
    return found


def _most_telling(table: "FeatureTable") -> list[str]:
    from genreclf.evaluation.importance import most_telling

    return most_telling(table, TELLING_FEATURES)


@plot.command()
@click.argument("source", type=TABLE, metavar="TABLE|RESULT.json")
@output_option
@learning_options
@table_options
@click.option("--folds", metavar="COLUMN", help="Column with published folds, run as they are.")
def confusion(
    source: Path,
    output: Path,
    learning: Learning,
    table_options: TableOptions,
    folds: str | None,
) -> None:
    """Draw which genres are taken for which.

    From a TABLE, by cross-validation as genreclf evaluate does it, or from what evaluate --json has
    written.

    \b
    Examples:
      genreclf plot confusion features.csv --classifier lda -o confusion.svg
      genreclf plot confusion result.json -o confusion.png
    """
    from genreclf.evaluation.crossvalidation import count_trainings
    from genreclf.reports.plots import draw_confusion
    from genreclf.tables.table import load_table

    if source.suffix.lower() == ".json":
        if folds or not learning.is_default or not table_options.is_default:
            raise click.UsageError("a result is drawn as it is: options of learning are for tables")
        genres, matrix = _read_confusion(source)
    else:
        table = load_table(source, table_options.columns(folds=folds))
        learning.check_extraction(table.config)
        settings = learning.settings()
        n_folds = count_trainings(table, settings)
        with progress(n_folds, "cross-validation") as advance:
            trainings = Trainings(table, settings, learning.search, n_folds)
            result = cross_validated(trainings, 1, advance)
        genres, matrix = result.genres, result.confusion.tolist()
    draw_confusion(output, genres, matrix)
    tell_written("picture", output)


def _read_confusion(path: Path) -> tuple[list[str], list[list[int]]]:
    import msgspec

    class Result(msgspec.Struct):
        genres: list[str]
        confusion_matrix: list[list[int]]

    try:
        result = msgspec.json.decode(path.read_bytes(), type=Result)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise TableError(f"{path}: not what evaluate --json writes: {error}") from None
    n = len(result.genres)
    rows = result.confusion_matrix
    square = len(rows) == n > 0 and all(len(row) == n and min(row) >= 0 for row in rows)
    if not square or not any(map(any, rows)):
        raise TableError(f"{path}: its confusion matrix is not {n} by {n} counts")
    return result.genres, rows


@plot.command()
@click.argument("song", type=FILE)
@output_option
@click.option(
    "--kind", type=click.Choice(["stft", "mel", "cqt"]), default="stft", show_default=True,
    help="Linear frequency, mel bands, or semitones.",
)  # fmt: skip
@config_option
@timeout_option
def spectrogram(
    song: Path, output: Path, kind: "Kind", config: str, overrides: tuple[str, ...], timeout: float
) -> None:
    """Draw the spectrogram of what is listened to of a SONG.

    \b
    Examples:
      genreclf plot spectrogram song.mp3 -o song.png
      genreclf plot spectrogram song.mp3 --kind cqt --set excerpt.strategy=start -o start.png
    """
    from functools import partial

    from genreclf.config.load import load_config
    from genreclf.reports.plots import draw_spectrograms
    from genreclf.reports.spectrograms import spectrogram_of

    of_kind = partial(spectrogram_of, kind=kind)
    shown = in_worker(of_kind, song, load_config(config, overrides), timeout)
    draw_spectrograms(output, [shown], song.name)
    tell_written("picture", output)


@plot.command()
@click.argument("song", type=FILE)
@output_option
@config_option
@timeout_option
def hpss(song: Path, output: Path, config: str, overrides: tuple[str, ...], timeout: float) -> None:
    """Draw the mix, the harmonic and the percussive part of a SONG.

    \b
    Examples:
      genreclf plot hpss song.mp3 -o parts.png
      genreclf plot hpss song.mp3 --set hpss.harmonic_margin=2 -o parts.svg
    """
    from genreclf.config.load import load_config
    from genreclf.reports.plots import draw_spectrograms
    from genreclf.reports.spectrograms import parts_of

    parts = in_worker(parts_of, song, load_config(config, overrides), timeout)
    draw_spectrograms(output, parts, song.name)
    tell_written("picture", output)
