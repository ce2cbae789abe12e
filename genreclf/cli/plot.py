"""``genreclf plot``: pictures of features, results and music."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from genreclf.cli import options
from genreclf.cli.output import note, plural, report_written, say
from genreclf.cli.progress import epochs, progress
from genreclf.cli.tracks import worker_count
from genreclf.cli.training import announce, load_checked
from genreclf.parallel.meter import duration

if TYPE_CHECKING:
    from genreclf.learning.networks.paths import Expectation
    from genreclf.reports.spectrograms import Kind

output_option = click.option(
    "-o", "--output", type=options.PICTURE_FILE, required=True, metavar="FILE",
    help="Picture to write: .png, .svg or .pdf.",
)  # fmt: skip


@click.group()
def plot() -> None:
    """Draw features, results, learning curves and spectrograms (needs genreclf[plot]).

    \b
    Examples:
      genreclf plot features features.csv 'mix.mfcc.0?.mean' -o mfcc.svg
      genreclf plot confusion features.csv -o confusion.png
      genreclf plot training convnet.skops -o curves.png
      genreclf plot spectrogram song.mp3 -o song.png
      genreclf plot hpss song.mp3 -o parts.png
      genreclf plot optimizers -o optimizers.png
      genreclf plot optimizers mel.npz -o curves.png
      genreclf plot gan -o gan.gif
    """


@plot.command()
@click.argument("table", type=options.TABLE)
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@output_option
@options.table
def features(
    table: Path, patterns: tuple[str, ...], output: Path, table_options: options.TableOptions
) -> None:
    """Draw the distribution of features of a TABLE within each genre.

    PATTERNs choose up to 12 columns by name. The default is the six columns that differ most
    between genres, by the F statistic of an analysis of variance.

    \b
    Examples:
      genreclf plot features features.csv -o features.png
      genreclf plot features features.csv percussive.tempo 'mix.rms.*' -o rhythm.svg
    """
    from genreclf.reports.distributions import distributions
    from genreclf.reports.plots import draw_features
    from genreclf.tables.reading import load_table

    found = distributions(load_table(table, table_options.columns()).labelled(), patterns)
    if found.n_features_left_out:
        n_drawn = len(found.values)
        note(
            f"note: the first {n_drawn} of {n_drawn + found.n_features_left_out} columns are drawn"
        )
    draw_features(output, found.values, found.n_genres_left_out)
    report_written("picture", output)


@plot.command()
@click.argument("source", type=options.TABLE, metavar="TABLE|RESULT.json")
@output_option
@options.learning
@options.table
@options.folds
@options.fold_jobs
def confusion(
    source: Path,
    output: Path,
    learning: options.Learning,
    table_options: options.TableOptions,
    folds: str | None,
    jobs: int | None,
) -> None:
    """Draw the confusion matrix: which genres are predicted as which.

    From a TABLE, by a cross-validation as in genreclf evaluate; or from a result of
    genreclf evaluate --json.

    \b
    Examples:
      genreclf plot confusion features.csv --classifier lda -o confusion.svg
      genreclf plot confusion result.json -o confusion.png
    """
    from genreclf.evaluation.trainings import Trainings
    from genreclf.reports.plots import draw_confusion
    from genreclf.reports.results import read_confusion

    if source.suffix.lower() == ".json":
        if folds or not learning.is_default or not table_options.is_default:
            raise click.UsageError("a result is drawn as it is: the other options need a TABLE")
        genres, matrix = read_confusion(source)
    else:
        table = load_checked(source, table_options.columns(folds=folds), learning).labelled()
        trainings = Trainings(table, learning.settings(), learning.search, ungrouped=False)
        at_a_time = worker_count(jobs, trainings.n_folds)
        announce(trainings, at_a_time)
        with progress(trainings.n_folds, "cross-validation") as advance, epochs(final=False):
            result = trainings.cross_validate(at_a_time, advance)
        genres, matrix = result.genres, result.confusion.tolist()
    draw_confusion(output, genres, matrix)
    report_written("picture", output)


@plot.command()
@click.argument("model", type=options.FILE)
@output_option
def training(model: Path, output: Path) -> None:
    """Draw the learning curves of a MODEL that is a network (--classifier convnet).

    \b
    Examples:
      genreclf plot training convnet.skops -o curves.png
    """
    from genreclf.errors import ModelError
    from genreclf.learning.modelfile import read_card
    from genreclf.reports.plots import draw_training

    card = read_card(model)
    if card.curves is None:
        raise ModelError(
            f"{model}: {card.config.classifier.name} has no learning curves; only convnet has"
        )
    draw_training(output, card.curves, card.curves.summary())
    report_written("picture", output)


@plot.command()
@click.argument("table", type=options.TABLE, required=False)
@output_option
@options.config
@options.table
def optimizers(
    table: Path | None,
    output: Path,
    config: options.ConfigOptions,
    table_options: options.TableOptions,
) -> None:
    """Draw the paths or learning curves of the optimisers (needs genreclf[torch]).

    Each optimiser of gan.optimizer and classifier.optimizer starts at the same point of a narrow
    bowl and of Rosenbrock's valley. With a TABLE that keeps spectrograms (--config convnet-input),
    each trains the network of --classifier convnet on the same tracks, with the same seed. The
    command also prints how a textbook (Goodfellow, Bengio & Courville 2016) describes each, and
    whether this was seen.

    \b
    Examples:
      genreclf plot optimizers -o optimizers.png
      genreclf plot optimizers mel.npz --set classifier.epochs=12 -o curves.png
    """
    from genreclf.learning.networks.runtime import require_torch

    require_torch("plot optimizers")
    if table is not None:
        found = _draw_learning_curves(table, output, config, table_options)
    elif config != options.ConfigOptions() or not table_options.is_default:
        raise click.UsageError("the paths have no settings: the other options need a TABLE")
    else:
        found = _draw_paths(output)
    for expected in found:
        verdict = "seen" if expected.seen else "not seen"
        say(f"{expected.optimizer} {expected.text}: {verdict} ({expected.measured})")
    report_written("picture", output)


def _draw_paths(output: Path) -> "list[Expectation]":
    from genreclf.learning.networks.paths import all_paths, expectations
    from genreclf.reports.networkplots import draw_optimizers

    paths = all_paths()
    draw_optimizers(output, paths)
    return expectations(paths)


def _draw_learning_curves(
    table: Path, output: Path, config: options.ConfigOptions, table_options: options.TableOptions
) -> "list[Expectation]":
    """Train with each optimiser; a bar shows the epochs."""
    from genreclf.learning.networks.comparison import (
        OPTIMIZERS,
        expectations,
        learning_curves,
        network_of,
    )
    from genreclf.learning.networks.watch import Watch, watched
    from genreclf.learning.training import training_seconds
    from genreclf.reports.networkplots import draw_learning_curves

    learning = options.Learning(config.config, config.overrides, classifier="convnet")
    settings = learning.settings()
    n_epochs = len(OPTIMIZERS) * network_of(settings).epochs
    features = load_checked(table, table_options.columns(), learning).labelled()
    seconds = len(OPTIMIZERS) * training_seconds(features, settings)
    note(f"note: {plural(len(OPTIMIZERS), 'training')} will take about {duration(seconds)}")
    with progress(n_epochs, "epochs") as advance, watched(Watch(lambda epoch: advance())):
        curves = learning_curves(features, settings)
    draw_learning_curves(output, curves)
    return expectations(curves)


@plot.command()
@click.option(
    "-o", "--output", type=options.GAME_FILE, required=True, metavar="FILE",
    help="Picture to write: .png, .svg or .pdf; or .gif, an animation.",
)  # fmt: skip
@click.option(
    "--data", type=click.Choice(["two-modes", "gaussian"]), default="two-modes", show_default=True,
    help="What the generator has to learn: a mixture of two normal distributions, or one.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
def gan(output: Path, data: str, seed: int) -> None:
    """Draw how a small adversarial network learns a distribution (needs genreclf[torch]).

    A generator learns from one-dimensional data, without and with minibatch discrimination. The
    picture shows the data, what is generated, and for which values the discriminator takes a sample
    for data: before, during and after training. The command prints how much of the data the
    generator covers in the end, and the Wasserstein distance between generated samples and data.

    \b
    Examples:
      genreclf plot gan -o gan.png
      genreclf plot gan --data gaussian -o gan.gif
    """
    from genreclf.learning.networks.runtime import require_torch

    require_torch("plot gan")
    from genreclf.learning.networks.onedimensional import play
    from genreclf.reports.networkplots import draw_games

    games = [
        play(data, minibatch_discrimination=how, seed=seed, n_moments=26) for how in (False, True)
    ]
    draw_games(output, data, games)
    for how, game in zip(("without", "with"), games, strict=True):
        say(
            f"{how} minibatch discrimination: {game.coverage:.0%} of the data covered, "
            f"Wasserstein distance {game.distance:.2f}"
        )
    report_written("picture", output)


@plot.command()
@click.argument("song", type=options.FILE)
@output_option
@click.option(
    "--kind", type=click.Choice(["stft", "mel", "cqt"]), default="stft", show_default=True,
    help="Linear frequency, mel bands, or semitones.",
)  # fmt: skip
@options.config
@options.timeout
def spectrogram(
    song: Path, output: Path, kind: "Kind", config: options.ConfigOptions, timeout: float
) -> None:
    """Draw the spectrogram of the analysed excerpt of a SONG.

    \b
    Examples:
      genreclf plot spectrogram song.mp3 -o song.png
      genreclf plot spectrogram song.mp3 --kind cqt --set excerpt.strategy=start -o start.png
    """
    from functools import partial

    from genreclf.extraction.isolated import in_worker
    from genreclf.reports.plots import draw_spectrograms
    from genreclf.reports.spectrograms import spectrogram_of

    shown = in_worker(partial(spectrogram_of, kind=kind), song, config.settings(), timeout)
    draw_spectrograms(output, [shown], song.name)
    report_written("picture", output)


@plot.command()
@click.argument("song", type=options.FILE)
@output_option
@options.config
@options.timeout
def hpss(song: Path, output: Path, config: options.ConfigOptions, timeout: float) -> None:
    """Draw the mix, the harmonic and the percussive part of a SONG.

    \b
    Examples:
      genreclf plot hpss song.mp3 -o parts.png
      genreclf plot hpss song.mp3 --set hpss.harmonic_margin=2 -o parts.svg
    """
    from genreclf.extraction.isolated import in_worker
    from genreclf.reports.plots import draw_spectrograms
    from genreclf.reports.spectrograms import parts_of

    draw_spectrograms(output, in_worker(parts_of, song, config.settings(), timeout), song.name)
    report_written("picture", output)
