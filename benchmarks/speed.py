"""Seconds per track and peak memory of genreclf, librosa and others, on the same files.

    python benchmarks/speed.py [FILES or FOLDERS...] [--json FILE] [--plot FILE.svg]

Without files it synthesises some. Every contender runs in a process of its own with one thread,
is warmed up, and then takes its turn at each file, so that a machine that slows down slows all of
them; ratios are taken within a round, and the median over the rounds is reported. First of all,
genreclf's numbers are compared with librosa's: if they differ, the exit status is 1.
"""

# mypy: disable-error-code="import-not-found"
# (the peers are seldom installed)

import json
import math
import multiprocessing
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from numpy import median

# Nothing heavy is imported up here: on Linux, the peak memory that a process reports starts from
# what the process that started it held.
if TYPE_CHECKING:
    from genreclf.config.schema import ExtractionConfig
    from genreclf.features.spectra import Array

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
LARGEST_DIFFERENCE = 1e-4
COMMAND_TRACKS = 40  # enough to make the start-up of a command and its workers a small part
PACKAGES = ("genreclf", "librosa", "numpy", "scipy", "soundfile", "soxr")
PEER_PACKAGES = ("essentia", "musicnn", "opensmile", "pyAudioAnalysis", "tensorflow")
RATIOS = (
    ("librosa", "genreclf"),
    ("librosa-defaults", "genreclf"),
    ("genreclf", "floor"),
    ("genreclf --jobs 1", "genreclf --jobs 2"),
    ("musicnn", "genreclf musicnn-fast"),
)
SPAWN = multiprocessing.get_context("spawn")

Run = Callable[[Path], object]
Times = dict[str, list[float]]  # seconds a track of each round


# The contenders: each function imports what it needs and returns what is timed.


def librosa(config: "ExtractionConfig") -> Run:
    """Compute the same features by librosa's functions."""
    from genreclf.features.pooling import pool

    def run(path: Path) -> object:
        frames = features_by_librosa(path, config)
        return pool(frames, selecting(frames, config))

    return run


def features_by_librosa(path: Path, config: "ExtractionConfig") -> "dict[str, Array]":
    """Load the centre of a file with librosa, and compute the features that librosa has."""
    import librosa

    from genreclf.audio.decode import PREROLL_SECONDS, describe
    from genreclf.audio.excerpt import with_level
    from genreclf.audio.placement import centre_span
    from genreclf.features.librosa_engine import librosa_features

    info = describe(path)
    start, stop = centre_span(info.n_frames, info.sample_rate_hz, config.excerpt)
    early = min(start, round(PREROLL_SECONDS * info.sample_rate_hz))
    # librosa cuts to whole samples: half a sample more keeps it from losing one.
    offset = (start - early + 0.5) / info.sample_rate_hz
    duration = (stop - start + early + 0.5) / info.sample_rate_hz
    y, native = librosa.load(path, sr=None, offset=offset, duration=duration)
    y = with_level(y[early:], config.audio)
    y = librosa.resample(y, orig_sr=native, target_sr=config.audio.sample_rate_hz)
    # Rounding in librosa's length can add a sample.
    return librosa_features(
        y[: round(config.excerpt.seconds * config.audio.sample_rate_hz)], config
    )


def genreclf(config: "ExtractionConfig") -> Run:
    """Compute all of genreclf's features, which are more than librosa's."""
    from genreclf import extract_one

    return lambda path: extract_one(path, config)


def floor(config: "ExtractionConfig") -> Run:
    """Do what every extractor has to do: decode, resample, one STFT."""
    from genreclf.audio.excerpt import load_excerpt
    from genreclf.features.spectra import stft_magnitude

    n_fft, hop = config.spectra.n_fft, config.spectra.hop_length
    return lambda path: stft_magnitude(load_excerpt(path, config).samples, n_fft, hop)


def essentia(config: "ExtractionConfig") -> Run:
    """Run Essentia's MusicExtractor on the same seconds; it decodes them itself, at 44,100 Hz."""
    import essentia
    from essentia.standard import MusicExtractor

    from genreclf.audio.decode import describe
    from genreclf.audio.placement import centre_span

    essentia.log.infoActive = False

    def run(path: Path) -> object:
        info = describe(path)
        start, stop = centre_span(info.n_frames, info.sample_rate_hz, config.excerpt)
        rate = info.sample_rate_hz
        return MusicExtractor(startTime=start / rate, endTime=stop / rate)(str(path))

    return run


def opensmile(_: "ExtractionConfig") -> Run:
    """Compute the 6,373 functionals of ComParE 2016 from a wav file."""
    import opensmile

    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet.ComParE_2016,
        feature_level=opensmile.FeatureLevel.Functionals,
    )
    return lambda wav: smile.process_file(str(wav))


def pyaudioanalysis(_: "ExtractionConfig") -> Run:
    """Compute mid-term features from a wav file, with the windows of its command line."""
    from pyAudioAnalysis.audioBasicIO import read_audio_file
    from pyAudioAnalysis.MidTermFeatures import mid_feature_extraction

    def run(wav: Path) -> object:
        rate, samples = read_audio_file(str(wav))
        return mid_feature_extraction(samples, rate, rate, rate, 0.05 * rate, 0.05 * rate)

    return run


def musicnn(_: "ExtractionConfig") -> Run:
    """Compute the embedding of the presets musicnn by musicnn's own program, from a wav file."""
    from musicnn.extractor import extractor

    return lambda wav: extractor(str(wav), model="MSD_musicnn", extract_features=True)


@dataclass(frozen=True)
class Contender:
    """A program that is measured.

    ``install`` makes it a peer, which may be missing or fail. A contender ``on_wav`` reads the
    excerpt as genreclf decodes and resamples it, at no cost to it.
    """

    name: str
    setup: Callable[["ExtractionConfig"], Run]
    config: "ExtractionConfig"
    install: str = ""
    on_wav: bool = False


def line_up(config: "ExtractionConfig", peers: bool) -> list[Contender]:
    """List the contenders in the order in which they take turns."""
    from genreclf.config.load import load_config

    contenders = [Contender("librosa", librosa, config)]
    wide = load_config("wide").extraction
    if config != wide:
        contenders.append(Contender("librosa-defaults", librosa, wide))
    contenders += [Contender("genreclf", genreclf, config), Contender("floor", floor, config)]
    for preset in ("musicnn", "musicnn-fast"):  # left out where the network is not here
        embedding = load_config(preset).extraction
        contenders.append(Contender(f"genreclf {preset}", genreclf, embedding, "'genreclf'"))
    if peers:
        # pyAudioAnalysis' package does not tell pip what it needs.
        needs = "pyAudioAnalysis eyed3 matplotlib pydub tqdm"
        contenders += [
            Contender("essentia", essentia, config, "essentia"),
            Contender("openSMILE", opensmile, config, "opensmile", on_wav=True),
            Contender("pyAudioAnalysis", pyaudioanalysis, config, needs, on_wav=True),
            Contender("musicnn", musicnn, config, "musicnn==0.1.0 (Python 3.7)", on_wav=True),
        ]
    return contenders


class Runner:
    """A contender in a process of its own, told over a pipe what to run on."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.problem = ""
        self.peak_mib = math.nan
        self.pipe, other_end = SPAWN.Pipe()
        SPAWN.Process(target=serve, args=(contender, other_end), daemon=True).start()
        other_end.close()

    def seconds(self, file: tuple[Path, Path]) -> float:
        """Run on one file, given as it is and as excerpt; nan for a peer that has a problem."""
        if self.problem:
            return math.nan
        try:
            self.pipe.send(file)
            answer = self.pipe.recv()
        except (EOFError, OSError):
            answer = f"its process died at {file[0].name}"
        if isinstance(answer, tuple):
            seconds, self.peak_mib = answer
            return float(seconds)
        self.problem = f"{self.contender.name}: {answer}"
        if not self.contender.install:
            raise click.ClickException(self.problem)
        return math.nan


def serve(contender: Contender, pipe: Any) -> None:
    """Answer each file with seconds and peak MiB, or with the reason why there are none."""
    run: Run | None = None
    with suppress(EOFError, KeyboardInterrupt):  # the parent is done
        while True:
            path, wav = pipe.recv()
            try:
                run = run or contender.setup(contender.config)
                start = time.perf_counter()
                run(wav if contender.on_wav else path)
                pipe.send((time.perf_counter() - start, peak_mib()))
            except ImportError as error:
                wanted = contender.install or "'genreclf'"
                pipe.send(f"not installed: pip install {wanted} ({error})")
            except Exception as error:  # a peer may raise anything
                pipe.send(f"failed on {path.name}: {type(error).__name__}: {error}")


def peak_mib() -> float:
    """Return the peak memory of this process in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


# What comes before, untimed, in processes that end with it.


def in_processes(function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Call a function with each of the arguments, two at a time."""
    with SPAWN.Pool(2) as pool:
        return pool.starmap(function, arguments)


def synthesise(path: Path, seed: int) -> None:
    """Write four minutes of stereo mp3: half a minute of chords, drums and hiss, repeated."""
    import numpy as np
    import soundfile

    rate, seconds, repeats = 44_100, 30, 8
    rng = np.random.default_rng(seed)
    clock = np.arange(rate // 2) / rate
    sound = 0.002 * rng.standard_normal((seconds * rate, 2))
    eighth = round(rate * 30 / rng.uniform(80, 160))
    for place, start in enumerate(range(0, len(sound) - len(clock), eighth)):
        pitches = 110 * 2 ** (rng.choice([0, 3, 5, 7, 10, 12, 15, 19], 3) / 12)
        partials = np.outer(np.arange(1, 7), pitches).ravel()
        chord = np.sin(2 * np.pi * np.outer(clock, partials)) @ (100 / partials)
        drum = rng.standard_normal(len(clock)) * np.exp(-clock * (15 if place % 4 == 2 else 60))
        pan = rng.uniform(0.3, 0.7)
        note = np.outer(chord * np.exp(-6 * clock) + drum, [pan, 1 - pan])
        sound[start : start + len(clock)] += note
    sound *= 0.8 / np.abs(sound).max()
    soundfile.write(path, np.tile(sound, (repeats, 1)), rate, format="MP3")


def write_excerpt(path: Path, wav: Path, config: "ExtractionConfig") -> None:
    """Write the excerpt that genreclf uses, at its sample rate."""
    import soundfile

    from genreclf.audio.excerpt import load_excerpt

    excerpt = load_excerpt(path, config)
    soundfile.write(wav, excerpt.samples[excerpt.audio], excerpt.sample_rate_hz)


def differences(path: Path, config: "ExtractionConfig") -> dict[str, tuple[float, float]]:
    """Return each feature's largest difference from librosa's: frame by frame, and pooled."""
    import numpy as np

    from genreclf.extraction.chain import extract_frames

    ours, theirs = extract_frames(path, config)[1], features_by_librosa(path, config)
    return {
        name: (
            float(np.abs(ours[name] - rows).max() / max(np.abs(rows).max(), 1e-30)),
            pooled_difference(name, ours[name], rows, config),
        )
        for name, rows in theirs.items()
    }


def pooled_difference(name: str, ours: "Array", theirs: "Array", config: Any) -> float:
    """Return the largest relative difference over the columns of one feature.

    A mean of values around 0 is mostly their rounding: no column counts as smaller than a
    hundredth of the largest value (for variances: of its square) that it was pooled from.
    """
    import numpy as np

    from genreclf.features.catalogue import FEATURES
    from genreclf.features.pooling import pool

    size = np.abs(theirs).max(axis=1)
    sizes = {"var": size**2, "skewness": np.ones_like(size), "kurtosis": np.ones_like(size)}
    statistics = ["value"] if FEATURES[name].per == "track" else config.pooling.statistics
    least = np.concatenate([sizes.get(statistic, size) for statistic in statistics]) / 100
    alone = selecting([name], config)
    found, expected = pool({name: ours}, alone), pool({name: theirs}, alone)
    scale = np.maximum(np.maximum(np.abs(expected), least), 1e-30)
    return float((np.abs(found - expected) / scale).max())


def selecting(names: Collection[str], config: Any) -> Any:
    """Return a configuration that selects only these features; librosa has some of them.

    ``pool`` refuses frames that lack a selected feature.
    """
    from msgspec.structs import replace

    def narrowed(view: Any) -> Any:
        select = tuple(name for name in view.features.select if name in names)
        return replace(view, features=replace(view.features, select=select))

    if config.views:
        return replace(config, views=tuple(map(narrowed, config.views)))
    return narrowed(config)


# The measurement.


def command_seconds(folder: Path, config: str, environment: dict[str, str], jobs: int) -> float:
    """Time ``genreclf extract`` as people run it, start-up included; return seconds a track."""
    command = [sys.executable, "-m", "genreclf", "extract", str(folder), "--config", config]
    command += ["--labels", "none", "--no-cache", "--jobs", str(jobs), "-o", f"{folder}.csv"]
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise click.ClickException(f"genreclf extract failed:\n{done.stderr}")
    return seconds / len(list(folder.iterdir()))


def link(paths: list[Path], copies: int, folder: Path) -> None:
    """Fill a folder with links to files, several to each."""
    folder.mkdir()
    for copy in range(copies):
        for index, path in enumerate(paths):
            (folder / f"{copy:03}-{index:03}{path.suffix}").symlink_to(path.resolve())


def take_turns(
    runners: list[Runner],
    files: list[tuple[Path, Path]],
    rounds: int,
    command: Callable[[int], float],
) -> Times:
    """Run each contender on each file in turn, then the whole commands, round by round."""
    for runner in runners:
        log(f"warming up {runner.contender.name}")
        runner.seconds(files[0])
    times: Times = defaultdict(list)
    for number in range(1, rounds + 1):
        log(f"round {number} of {rounds}")
        taken = [[runner.seconds(file) for runner in runners] for file in files]
        for runner, seconds in zip(runners, zip(*taken, strict=True), strict=True):
            times[runner.contender.name].append(sum(seconds) / len(files))
        for jobs in (1, 2):
            times[f"genreclf --jobs {jobs}"].append(command(jobs))
    failed = {runner.contender.name for runner in runners if runner.problem}
    return {name: seconds for name, seconds in times.items() if name not in failed}


def measure(
    paths: list[Path], name: str, rounds: int, repeat: int | None, peers: bool, scratch: Path
) -> dict[str, Any]:
    """Compare the numbers, print how they differ, then compare the speeds."""
    from genreclf.config.load import load_config

    config = load_config(name).extraction
    command = partial(command_seconds, scratch / "tracks", name, dict(os.environ))
    copies = repeat or math.ceil(COMMAND_TRACKS / len(paths))
    link(paths, copies, scratch / "tracks")
    os.environ.update(ONE_THREAD)  # for every process from here on but the command's
    log("comparing the numbers with librosa's")
    found = worst(paths, in_processes(differences, [(path, config) for path in paths]))
    print_differences(found)
    files = [(path, scratch / f"{index}.wav") for index, path in enumerate(paths)]
    in_processes(write_excerpt, [(*file, config) for file in files])
    runners = [Runner(contender) for contender in line_up(config, peers)]
    times = take_turns(runners, files, rounds, command)
    return {
        "config": Path(name).stem,
        "rounds": rounds,
        "files": [path.name for path in paths],
        "command_tracks": copies * len(paths),
        "machine": facts(),
        "differences": found,
        **figures(times, {runner.contender.name: runner.peak_mib for runner in runners}),
        "left_out": [runner.problem for runner in runners if runner.problem],
    }


# The results.


def worst(paths: list[Path], found: list[dict[str, tuple[float, float]]]) -> dict[str, Any]:
    """Return each feature's largest differences over all files, and where the pooled one is."""
    table = {}
    for name in found[0]:
        pooled, file = max(
            (each[name][1], path.name) for path, each in zip(paths, found, strict=True)
        )
        frames = max(each[name][0] for each in found)
        table[name] = {"frames": frames, "pooled": pooled, "pooled_in": file}
    return table


def figures(times: Times, peaks: dict[str, float]) -> dict[str, Any]:
    """Summarise the rounds, slowest contender first."""

    def summary(values: list[float]) -> dict[str, Any]:
        return {"median": median(values), "min": min(values), "max": max(values), "rounds": values}

    def ratio(slower: str, faster: str) -> dict[str, Any]:
        return summary([a / b for a, b in zip(times[slower], times[faster], strict=True)])

    contenders = {
        name: {
            "seconds_a_track": summary(times[name]),
            "over_genreclf": ratio(name, "genreclf"),
            "peak_mib": round(peaks[name], 1) if name in peaks else None,
        }
        for name in sorted(times, key=lambda name: -median(times[name]))
    }
    ratios = {f"{a} / {b}": ratio(a, b) for a, b in RATIOS if a in times}
    return {"contenders": contenders, "ratios": ratios}


def facts() -> dict[str, Any]:
    """Describe the machine and the versions that matter for speed."""
    versions = {"python": platform.python_version()}
    for package in (*PACKAGES, *PEER_PACKAGES):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {"cpus": os.cpu_count(), "architecture": platform.machine(), **versions}


def print_differences(found: dict[str, Any]) -> None:
    """Print how far genreclf's numbers are from librosa's."""
    rows = [(name, f"{row['frames']:.0e}", f"{row['pooled']:.0e}") for name, row in found.items()]
    print_table("Largest relative difference from librosa", ("feature", "frames", "pooled"), rows)
    for name, row in found.items():
        if row["pooled"] > LARGEST_DIFFERENCE:
            click.echo(f"{name} differs by more than {LARGEST_DIFFERENCE:g} in {row['pooled_in']}")


def print_results(report: dict[str, Any]) -> None:
    """Print the seconds, the memory and the ratios."""
    rows = []
    for name, row in report["contenders"].items():
        seconds, peak = row["seconds_a_track"], row["peak_mib"]
        middle, low, high = (f"{seconds[key]:.3f}" for key in ("median", "min", "max"))
        over = f"{row['over_genreclf']['median']:.2f}"
        rows.append((name, middle, f"{low} to {high}", over, f"{peak:.0f}" if peak else ""))
    columns = ("contender", "median", "min to max", "time / genreclf", "peak MiB")
    print_table(f"Seconds a track, configuration {report['config']}", columns, rows)
    for name, each in report["ratios"].items():
        click.echo(f"{name}: {each['median']:.2f}  ({each['min']:.2f} to {each['max']:.2f})")
    for problem in report["left_out"]:
        click.echo(f"left out: {problem}")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table whose first column holds names and whose others hold numbers."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="left" if column == columns[0] else "right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


# Okabe and Ito's colours, which colour-blind people can distinguish; green for the peers.
COLOURS = {"genreclf": "#0072B2", "librosa": "#E69F00", "floor": "#999999"}
PEER_COLOUR = "#009E73"


def bar_chart(report: dict[str, Any]) -> str:
    """Draw the medians as bars, with whiskers from the fastest to the slowest round."""
    left, top, height, rows = 160, 64, 34, report["contenders"]
    bottom = top + height * len(rows)
    longest = max(row["seconds_a_track"]["max"] for row in rows.values())
    scale = 480 / longest
    step = 10.0 ** math.floor(math.log10(longest))
    step *= next(part for part in (0.2, 0.5, 1, 2) if longest <= 6 * part * step)
    title = f"Seconds a track, configuration {report['config']}"
    legend = f"median and range of {report['rounds']} rounds; peak memory of one process"
    marks = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 820 {bottom + 48}" role="img" '
        'font-family="sans-serif" font-size="14" fill="#222">',
        f'<title>{escape(title)}</title><rect width="100%" height="100%" fill="white"/>',
        f'<text x="16" y="26" font-size="17" font-weight="bold">{escape(title)}</text>',
        f'<text x="16" y="47" fill="#555">{legend}</text>',
    ]
    for tick in range(math.floor(longest / step) + 1):
        x = left + tick * step * scale
        marks.append(f'<path d="M{x:.1f} {top}V{bottom}" stroke="#ddd"/>')
        marks.append(
            f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{tick * step:.3g}</text>'
        )
    for index, (name, row) in enumerate(rows.items()):
        marks += bar(name, row, left, top + height * index + height // 2, scale)
    marks.append(f'<text x="{left}" y="{bottom + 38}" fill="#555">seconds a track</text></svg>\n')
    return "\n".join(marks)


def bar(name: str, row: dict[str, Any], x: int, y: int, scale: float) -> list[str]:
    """Draw one contender: name, bar, whisker and figures."""
    seconds = row["seconds_a_track"]
    low, middle, high = (x + seconds[key] * scale for key in ("min", "median", "max"))
    memory = f", {row['peak_mib']:.0f} MiB" if row["peak_mib"] else ""
    colour = COLOURS.get(name.replace("-", " ").split()[0], PEER_COLOUR)
    whisker = f"M{low:.1f} {y}H{high:.1f}M{low:.1f} {y - 4}v8M{high:.1f} {y - 4}v8"
    return [
        f'<text x="{x - 10}" y="{y + 5}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{x}" y="{y - 10}" width="{middle - x:.1f}" height="20" fill="{colour}"/>',
        f'<path d="{whisker}" stroke="#222"/>',
        f'<text x="{high + 8:.1f}" y="{y + 5}">{seconds["median"]:.3f} s{memory}</text>',
    ]


def log(text: str) -> None:
    """Print progress on standard error."""
    click.echo(text, err=True)


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--config", default="default", show_default=True, help="Preset or TOML file.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--repeat",
    type=click.IntRange(1, 200),
    help=f"Copies of each file for --jobs; as many as make {COMMAND_TRACKS} tracks by default.",
)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="SVG file to write.")
@click.option("--peers/--no-peers", default=True, show_default=True, help="Other packages too.")
def main(
    paths: tuple[Path, ...],
    config: str,
    rounds: int,
    repeat: int | None,
    json_file: Path | None,
    plot: Path | None,
    peers: bool,
) -> None:
    """Measure genreclf's speed and memory beside others', on PATHS or on synthesised tracks."""
    from genreclf.errors import GenreclfError
    from genreclf.library.sources import find_tracks

    with tempfile.TemporaryDirectory() as folder:
        files = list(dict.fromkeys(track.path for track in find_tracks(paths, "none").tracks))
        if not paths:
            log("synthesising four tracks of four minutes")
            files = [Path(folder, f"synthesised-{seed}.mp3") for seed in range(4)]
            in_processes(synthesise, [(path, seed) for seed, path in enumerate(files)])
        if not files:
            raise click.ClickException("no audio files found")
        try:
            report = measure(files, config, rounds, repeat, peers, Path(folder))
        except GenreclfError as error:
            raise click.ClickException(str(error)) from None
    print_results(report)
    if json_file:
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if plot:
        plot.write_text(bar_chart(report), encoding="utf-8")
    if any(row["pooled"] > LARGEST_DIFFERENCE for row in report["differences"].values()):
        raise click.ClickException("genreclf's features differ from librosa's; see the first table")


if __name__ == "__main__":
    main()
