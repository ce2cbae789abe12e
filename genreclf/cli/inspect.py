"""``genreclf inspect``: the contents of a file."""

from dataclasses import dataclass
from pathlib import Path

import click

from genreclf.cli import options
from genreclf.cli.options import collected
from genreclf.cli.output import note, report_written, stdout_console
from genreclf.cli.tracks import load_librosa, prepare
from genreclf.errors import AudioError


@dataclass(frozen=True)
class InspectOptions:
    """The arguments of ``inspect``."""

    file: Path
    config: options.ConfigOptions
    compare_librosa: bool
    show_all: bool
    plot_file: Path | None
    timeout: float


@click.command()
@click.argument("file", type=options.TABLE)
@options.config
@click.option(
    "--compare-librosa", is_flag=True,
    help="Compare each feature of an audio file with librosa's.",
)  # fmt: skip
@click.option("--all", "show_all", is_flag=True, help="List all features of an audio file.")
@options.plot_file
@options.timeout
@collected(InspectOptions)
def inspect(args: InspectOptions) -> None:
    """Show what a feature table, a model, a network or an audio FILE holds.

    For an audio file: its length, codec and tags, the excerpts that are analysed, and features with
    one value for the whole file, such as the tempo. --all lists the other features too. --plot
    draws the waveform, the energy and the excerpts; with excerpt.strategy=highlight also the
    sections.

    The suffix decides: .csv, .parquet and .npz are tables; .joblib and .skops are models, of which
    only the card is read, so that no code in them can run; .onnx are networks, shown with a draft
    of a description for 'genreclf embeddings import'; all others are audio.

    \b
    Examples:
      genreclf inspect features.csv
      genreclf inspect model.joblib
      genreclf inspect song.mp3
      genreclf inspect song.mp3 --config wide --all
      genreclf inspect song.mp3 --set excerpt.strategy=highlight --plot song.png
      genreclf inspect song.mp3 --compare-librosa
    """
    from genreclf.learning.modelfile import SUFFIXES, read_card
    from genreclf.reports.inspection import model_report, table_report
    from genreclf.tables.formats import FORMATS
    from genreclf.tables.reading import load_table

    file, suffix = args.file, args.file.suffix.lower()
    is_table = suffix in FORMATS or file.is_dir()
    is_audio = not (is_table or suffix in SUFFIXES or suffix == ".onnx")
    if args.plot_file is not None and (not is_audio or args.compare_librosa):
        raise click.UsageError("--plot draws audio files, and excludes --compare-librosa")
    if is_table:
        table_report(load_table(file), stdout_console())
    elif suffix in SUFFIXES:
        model_report(read_card(file), stdout_console())
    elif suffix == ".onnx":
        _inspect_onnx(file)
    elif args.compare_librosa:
        _compare_with_librosa(args)
    else:
        _inspect_audio(args)


def _inspect_onnx(file: Path) -> None:
    from genreclf.embeddings.importing import read_onnx
    from genreclf.reports.inspection import onnx_report

    contents, skeleton = read_onnx(file)
    onnx_report(contents, skeleton, stdout_console())


def _inspect_audio(args: InspectOptions) -> None:
    from genreclf.extraction.chain import extract_frames
    from genreclf.extraction.isolated import in_worker
    from genreclf.features.pooling import feature_names, pool
    from genreclf.reports.inspection import audio_report

    config = args.config.settings()
    prepare(config)
    excerpts, frames = in_worker(extract_frames, args.file, config, args.timeout)
    for text in excerpts[0].notes:
        note(f"note: {text}")
    values = pool(frames, config)
    features = dict(zip(feature_names(config), map(float, values), strict=True))
    strategy = config.each_view[0].excerpt.strategy
    tags = _tags(args.file)
    audio_report(
        excerpts, strategy, tags, features, show_all=args.show_all, console=stdout_console()
    )
    if args.plot_file is not None:
        spans = [(excerpt.start_seconds, excerpt.stop_seconds) for excerpt in excerpts]
        _draw(args, args.plot_file, spans)


def _tags(file: Path) -> dict[str, str]:
    from genreclf.library.tags import read_tags

    try:
        return {name: ", ".join(values) for name, values in read_tags(file).items()}
    except AudioError as error:
        note(f"note: {error}")
        return {}


def _draw(args: InspectOptions, picture: Path, spans: list[tuple[float, float]]) -> None:
    from genreclf.extraction.chain import scan_track
    from genreclf.extraction.isolated import in_worker
    from genreclf.reports.plots import TrackPicture, draw_track

    scan = in_worker(scan_track, args.file, args.config.settings(), args.timeout)
    drawn = TrackPicture(
        seconds_a_value=scan.hop / scan.info.sample_rate_hz,
        peaks=scan.peaks,
        energies=scan.energies,
        spans=spans,
        segments=scan.structure.segments if scan.structure else [],
    )
    draw_track(picture, drawn)
    report_written("picture", picture)


def _compare_with_librosa(args: InspectOptions) -> None:
    from genreclf.extraction.isolated import in_worker
    from genreclf.features.compute import compare_with_librosa
    from genreclf.reports.inspection import librosa_report

    config = args.config.settings()
    load_librosa()
    differences = in_worker(compare_with_librosa, args.file, config, args.timeout)
    librosa_report(differences, stdout_console())
