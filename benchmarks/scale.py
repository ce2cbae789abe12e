"""How time and memory grow: with the number of tracks, their length, and the size of a table.

python benchmarks/scale.py tracks SONG [--counts 100,2000] [--jobs 2]
python benchmarks/scale.py length [--minutes 4,60,180] [--formats mp3,flac,ogg,wav]
python benchmarks/scale.py tables [--rows 50000]
python benchmarks/scale.py training [--rows 10000,100000] [--columns 300]
python benchmarks/scale.py evaluate [--rows 1000] [--columns 300] [--groups]
python benchmarks/scale.py approximation FOLDER_OF_TABLES [--components 1000,2000]
python benchmarks/scale.py genres [--genres 10,100,500] [--rows 3000] [--columns 100]
python benchmarks/scale.py parts [--rows 100000,300000] [--columns 280] [--rows-per-file 20000]
python benchmarks/scale.py bytes SONG...
python benchmarks/scale.py cluster ADDRESS [--items 2000]
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from genreclf import FeatureTable


@click.group()
def main() -> None:
    """Measure growth."""


def numbers(_: click.Context, __: click.Parameter, text: str) -> list[int]:
    """Read a comma-separated list of numbers."""
    return [int(part) for part in text.split(",")]


@main.command()
@click.argument("song", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--counts", default="100,2000", show_default=True, callback=numbers)
@click.option("--jobs", default="1,2", show_default=True, callback=numbers)
def tracks(song: Path, counts: list[int], jobs: list[int]) -> None:
    """Extract the same song under many names; peak memory is of parent and largest worker."""
    for count in counts:
        for n in jobs:
            with tempfile.TemporaryDirectory() as folder:
                for i in range(count):
                    Path(folder, f"{i:05}{song.suffix}").symlink_to(song.resolve())
                elapsed, parent, worker = _extract(folder, n)
            click.echo(
                f"{count:6d} tracks, --jobs {n}: {elapsed:7.2f} s, {1000 * elapsed / count:6.1f} "
                f"ms a track; peak MiB: parent {parent:.0f}, worker {worker:.0f}"
            )


def _extract(folder: str, jobs: int) -> tuple[float, float, float]:
    """Run the command; the child reports its own peak and that of its largest child."""
    code = (
        "import resource, sys\n"
        "from genreclf.cli import cli\n"
        f"sys.argv = ['genreclf', 'extract', {folder!r}, '-o', {folder + '/table.npz'!r}, "
        f"'--no-cache', '--jobs', '{jobs}']\n"
        "try:\n    cli()\n"
        "finally:\n"
        "    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):\n"
        "        print(resource.getrusage(who).ru_maxrss / 1024)\n"
    )
    start = time.perf_counter()
    # From a file, because worker processes import the main module again.
    script = Path(folder, "main.py")
    script.write_text(f"if __name__ == '__main__':\n    exec({code!r})\n")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    elapsed = time.perf_counter() - start
    parent, worker = map(float, done.stdout.split()[-2:])
    return elapsed, parent, worker


@main.command()
@click.option("--minutes", default="4,60,180", show_default=True, callback=numbers)
@click.option("--formats", default="mp3,flac,ogg,wav", show_default=True)
def length(minutes: list[int], formats: str) -> None:
    """Extract one excerpt from tracks of different lengths and formats."""
    with tempfile.TemporaryDirectory() as folder:
        for kind in formats.split(","):
            first = 0.0
            for n in minutes:
                path = Path(folder, f"{n}.{kind}")
                _write_noise(path, n)
                elapsed, processor, peak = _one(path)
                first = first or processor
                size = path.stat().st_size / 2**20
                click.echo(
                    f"{kind:4s} {n:4d} min ({size:6.0f} MiB): {1000 * elapsed:6.1f} ms, processor "
                    f"{1000 * processor:6.1f} ms, {processor / first:.2f} of the shortest's; "
                    f"peak {peak:.0f} MiB"
                )
                path.unlink()


def _write_noise(path: Path, minutes: int) -> None:
    """Write stereo noise minute by minute, so that this process stays small."""
    import numpy as np
    import soundfile

    random = np.random.default_rng(0)
    block = 0.1 * random.standard_normal((60 * 44_100, 2)).astype(np.float32)
    options = {"format": "MP3"} if path.suffix == ".mp3" else {}
    with soundfile.SoundFile(path, "w", 44_100, 2, **options) as file:
        for _ in range(minutes):
            for part in np.array_split(block, 60):  # ogg wants small blocks
                file.write(part)


def _one(path: Path) -> tuple[float, float, float]:
    """Return median elapsed and processor time of nine extractions, and their peak memory."""
    code = (
        "import resource, statistics, sys, time\n"
        "from genreclf import extract_one\n"
        "extract_one(sys.argv[1])\n"
        "for clock in (time.perf_counter, time.process_time):\n"
        "    times = []\n"
        "    for _ in range(9):\n"
        "        start = clock()\n"
        "        extract_one(sys.argv[1])\n"
        "        times.append(clock() - start)\n"
        "    print(statistics.median(times))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    elapsed, processor, peak = map(float, done.stdout.split())
    return elapsed, processor, peak


@main.command()
@click.option("--rows", default=50_000, show_default=True)
def tables(rows: int) -> None:
    """Write and read a table of the default configuration in each format; processor time."""
    import numpy as np

    from genreclf import FeatureTable, feature_names, load_config, load_table

    random, config = np.random.default_rng(0), load_config()
    names = feature_names(config)
    values = np.exp(random.standard_normal((rows, len(names)))).astype(np.float32)
    paths, labels, groups = (
        np.array([form.format(i, i % 10, i % 3000) for i in range(rows)], dtype=object)
        for form in ("/music/artist {2}/album/{0:05} title.flac", "genre {1}", "artist {2}")
    )
    table = FeatureTable(paths, labels, groups, names, values, config.extraction)
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".npz", ".parquet", ".csv"):
            file, clock = Path(folder, f"table{suffix}"), time.process_time
            start = clock()
            table.save(file)
            written = clock()
            load_table(file)
            click.echo(
                f"{suffix:8s} {file.stat().st_size / 1e6:4.0f} MB, written in "
                f"{written - start:5.1f} s, read in {clock() - written:5.1f} s"
            )


@main.command()
@click.option("--rows", default="10000,100000", show_default=True, callback=numbers)
@click.option("--columns", default=300, show_default=True)
@click.option("--classifiers", default="lda,logistic,svm,random-forest,gradient-boosting,knn,mlp")
@click.option("--limit", default=900.0, show_default=True, help="Seconds for one training.")
def training(rows: list[int], columns: int, classifiers: str, limit: float) -> None:
    """Train each classifier on ten overlapping clouds, on one core, without evaluation."""
    for n in rows:
        for name in classifiers.split(","):
            click.echo(f"{n:7d} x {columns}, {name:18s} {_train(n, columns, name, limit)}")


def _train(n_rows: int, n_columns: int, name: str, limit: float) -> str:
    code = "\n".join(_training_script(n_rows, n_columns, name))
    one_core = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True, text=True, check=True, timeout=limit, env=os.environ | one_core,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"more than {limit:.0f} s"
    elapsed, processor, peak = map(float, done.stdout.split())
    return f"{elapsed:7.1f} s, processor {processor:7.1f} s, peak {peak:.0f} MiB"


def _training_script(n_rows: int, n_columns: int, name: str) -> Iterator[str]:
    yield "import resource, time, numpy as np"
    yield "from genreclf import FeatureTable, Model, load_config"
    yield "random = np.random.default_rng(0)"
    yield f"labels = random.integers(10, size={n_rows})"
    yield f"centres = 0.4 * random.standard_normal((10, {n_columns}))"
    yield f"values = centres[labels] + random.standard_normal(({n_rows}, {n_columns}))"
    yield f"empty = np.full({n_rows}, '', dtype=object)"
    yield f"artists = [f'artist {{i}}' for i in random.integers({n_rows} // 10, size={n_rows})]"
    yield "groups = np.array(artists, dtype=object)"
    yield "texts = np.array([f'genre{label}' for label in labels], dtype=object)"
    yield f"names = [f'f{{i}}' for i in range({n_columns})]"
    yield "table = FeatureTable(empty, texts, groups, names, values.astype(np.float32))"
    yield f"config = load_config(overrides=['classifier.name={name}'])"
    yield "start, busy = time.perf_counter(), time.process_time()"
    yield "Model.fit(table, config)"
    yield "print(time.perf_counter() - start, time.process_time() - busy)"
    yield "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"


@main.command()
@click.option("--rows", default=1000, show_default=True)
@click.option("--columns", default=300, show_default=True)
@click.option(
    "--classifiers", default="lda,logistic,svm,random-forest,gradient-boosting,knn,mlp,ensemble"
)
@click.option("--groups", is_flag=True, help="Of artists: evaluate cross-validates twice.")
def evaluate(rows: int, columns: int, classifiers: str, groups: bool) -> None:
    """Compare evaluate with scikit-learn's cross_val_predict, with the same pipeline and folds.

    Processor time on one core. scikit-learn predicts without calibration, copies, intervals and
    the like.
    """
    from sklearn.model_selection import cross_val_predict
    from threadpoolctl import threadpool_limits

    from genreclf.config.load import load_config
    from genreclf.evaluation.crossvalidation import choose_splits, cross_validate
    from genreclf.learning.pipelines import Task

    cross_validate(_clouds(100, 10, 2, groups=groups))  # imports what it needs
    table = _clouds(rows, columns, 10, groups=groups)
    alone = _clouds(rows, columns, 10, groups=False)
    for name in classifiers.split(","):
        config = load_config(overrides=[f"classifier.name={name}"])
        pipeline = config.classifier.pipeline(Task(table, config, calibrated=False))
        clock = time.process_time
        with threadpool_limits(1):
            start = clock()
            cross_validate(table, config)
            ours = clock() - start
            all_folds = [
                choose_splits(t, config).folds for t in ([table, alone] if groups else [table])
            ]
            start = clock()
            for folds in all_folds:
                cross_val_predict(pipeline, table.values, table.labels, cv=folds)
            theirs = clock() - start
        click.echo(
            f"{rows} x {columns}, {name:18s} evaluate {ours:7.2f} s, cross_val_predict "
            f"{theirs:7.2f} s: {ours / theirs:.2f} times"
        )


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--components", default="1000,2000", show_default=True, callback=numbers)
@click.option("--classifier", type=click.Choice(["svm", "ensemble"]), default="svm")
def approximation(folder: Path, components: list[int], classifier: str) -> None:
    """Compare an SVM with an approximated kernel to the exact one: accuracy and processor time.

    The tables are Ballroom (3 grouped folds, three times) and 30,000 synthetic tracks, of which
    20,000 are for training. The rule, written down before looking: use the smallest number of
    components with a loss of less than one point on both.
    """
    from threadpoolctl import threadpool_limits

    from genreclf.tables.columns import Columns
    from genreclf.tables.reading import load_table

    ballroom = load_table(folder / "ballroom-mfcc120.csv", Columns(features=("mfcc*",)))
    for name, table, repeats in (("Ballroom", ballroom, 3), ("synthetic", _curved_clouds(), 1)):
        exact = 0.0
        for value in ("off", *map(str, components)):
            with threadpool_limits(1):
                start = time.process_time()
                accuracy = _accuracy(table, f"{classifier} {value}", repeats)
                processor = time.process_time() - start
            exact = exact or accuracy
            click.echo(
                f"{name:10s} {value:>5s} components: {accuracy:.2%}, "
                f"{100 * (accuracy - exact):+.2f} points, processor {processor:5.1f} s"
            )


def _accuracy(table: "FeatureTable", approximated: str, repeats: int) -> float:
    """Return the mean accuracy over the repeats, each with other folds.

    ``approximated`` is the name of a classifier and its ``kernel_approximation``.
    """
    import numpy as np

    from genreclf.config.load import load_config
    from genreclf.evaluation.folds import FoldOptions, predict_held_out
    from genreclf.learning.splits import cross_validation, published_split

    name, value = approximated.split()
    changes = [f"classifier.name={name}", f"classifier.kernel_approximation={value}"]
    config, options = load_config(overrides=changes), FoldOptions(calibrated=False)
    folds = [
        cross_validation(table.labels, table.groups, 3, 10 * repeat)
        if table.split is None
        else published_split(table.split)
        for repeat in range(repeats)
    ]
    return float(np.mean([predict_held_out(table, config, f, options).accuracy for f in folds]))


def _curved_clouds() -> "FeatureTable":
    """Make fifteen genres of six clouds each, which no plane separates, in 300 columns."""
    import numpy as np

    from genreclf import FeatureTable

    random, n_rows, n_columns, n_factors = np.random.default_rng(0), 30_000, 300, 40
    loadings = random.standard_normal((n_factors, n_columns)) / np.sqrt(n_factors)
    centres = 0.75 * random.standard_normal((15, 6, n_factors))
    labels, clouds = random.integers(15, size=n_rows), random.integers(6, size=n_rows)
    factors = centres[labels, clouds] + random.standard_normal((n_rows, n_factors))
    values = factors @ loadings + 0.3 * random.standard_normal((n_rows, n_columns))
    empty = np.full(n_rows, "", dtype=object)
    return FeatureTable(
        empty,
        np.array([f"genre{label:02}" for label in labels], dtype=object),
        empty,
        [f"f{i}" for i in range(n_columns)],
        values.astype(np.float32),
        split=np.where(np.arange(n_rows) < 20_000, "train", "test").astype(object),
    )


@main.command()
@click.option("--genres", default="10,100,500", show_default=True, callback=numbers)
@click.option("--rows", default=3000, show_default=True)
@click.option("--columns", default=100, show_default=True)
@click.option("--classifiers", default="lda,logistic,svm,knn")
def genres(genres: list[int], rows: int, columns: int, classifiers: str) -> None:
    """Train with different numbers of genres, predict 2,000 tracks; processor time on one core."""
    import resource

    from threadpoolctl import threadpool_limits

    from genreclf.config.load import load_config
    from genreclf.learning.training import fit_pipeline, training_seconds

    for name in classifiers.split(","):
        config, clock = load_config(overrides=[f"classifier.name={name}"]), time.process_time
        for n in genres:
            table = _clouds(rows, columns, n, groups=False)
            with threadpool_limits(1):
                start = clock()
                pipeline = fit_pipeline(table, config)
                fitted = clock()
                pipeline.predict_proba(table.values[:2000])
                predicted = clock()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            click.echo(
                f"{name:10s} {n:4d} genres: foretold {training_seconds(table, config):5.1f} s, "
                f"trained in {fitted - start:5.1f} s, predicted in {predicted - fitted:5.1f} s, "
                f"peak so far {peak:.0f} MiB"
            )


def _clouds(n_rows: int, n_columns: int, n_genres: int, *, groups: bool) -> "FeatureTable":
    """Make a table of overlapping clouds, a genre each, with ten tracks an artist if asked for."""
    import numpy as np

    from genreclf import FeatureTable

    random = np.random.default_rng(0)
    centres = 0.4 * random.standard_normal((n_genres, n_columns))
    labels = np.arange(n_rows) % n_genres
    values = centres[labels] + random.standard_normal((n_rows, n_columns))
    artists = [f"artist {i % n_genres}-{i // (10 * n_genres)}" for i in range(n_rows)]
    return FeatureTable(
        np.array([f"{i:06}.mp3" for i in range(n_rows)], dtype=object),
        np.array([f"genre{label}" for label in labels], dtype=object),
        np.array(artists if groups else [""] * n_rows, dtype=object),
        [f"f{i}" for i in range(n_columns)],
        values.astype(np.float32),
    )


@main.command()
@click.option("--rows", default="100000,300000", show_default=True, callback=numbers)
@click.option("--columns", default=280, show_default=True)
@click.option("--rows-per-file", default=20_000, show_default=True)
def parts(rows: list[int], columns: int, rows_per_file: int) -> None:
    """Train and evaluate out of core on a folder of Parquet files: ten overlapping clouds."""
    for n in rows:
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder, "table.parquet")
            table.mkdir()
            for i in range(0, n, rows_per_file):
                _write_part(table / f"{i:08}.parquet", i, min(rows_per_file, n - i), columns)
            size = sum(part.stat().st_size for part in table.iterdir())
            code = (
                "import resource, sys\nfrom genreclf.cli import cli\n"
                f"sys.argv = ['genreclf', 'train', {str(table)!r}, '-o', {folder + '/m.joblib'!r}, "
                "'--classifier', 'lda', '--out-of-core']\n"
                "try:\n    cli()\n"
                "finally:\n"
                "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
            )
            start = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            )
            elapsed = time.perf_counter() - start
            click.echo(
                f"{n:8d} x {columns}, {size / n:.0f} bytes a track: {elapsed:.0f} s, "
                f"peak {float(done.stdout.split()[-1]):.0f} MiB"
            )


def _write_part(path: Path, start: int, n_rows: int, n_columns: int) -> None:
    import numpy as np

    from genreclf import FeatureTable

    centres = 0.2 * np.random.default_rng(0).standard_normal((10, n_columns))
    random = np.random.default_rng(start + 1)
    labels = random.integers(10, size=n_rows)
    values = centres[labels] + random.standard_normal((n_rows, n_columns))
    FeatureTable(
        np.array([f"music/{start + i:08}.mp3" for i in range(n_rows)], dtype=object),
        np.array([f"genre{label}" for label in labels], dtype=object),
        np.array([f"artist {(start + i) // 10}" for i in range(n_rows)], dtype=object),
        [f"f{i}" for i in range(n_columns)],
        values.astype(np.float32),
    ).save(path)


@main.command(name="bytes")
@click.argument("songs", nargs=-1, required=True, type=click.Path(path_type=Path))
def bytes_a_track(songs: tuple[Path, ...]) -> None:
    """Print the bytes per track on the disk and on the network, without the music itself."""
    import pickle

    from genreclf import Workers, load_config
    from genreclf.extraction import cache, journal
    from genreclf.extraction import chain as extraction
    from genreclf.library.sources import Track

    config = load_config()
    tracks = [Track(path, "genre", "artist") for path in songs]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "table")
        kept = Path(folder, "features.sqlite")
        with Workers(2) as workers:
            outcomes = list(journal.extract_resumably(tracks, config, output, workers, kept))
        rows = [row for row in outcomes if isinstance(row, extraction.Row)]
        for suffix in (".csv", ".parquet", ".npz"):
            extraction.build_table(rows, config).save(output.with_suffix(suffix))
        cache.prepare_cache(kept)  # which writes its log into the file
        files = [*(output.with_suffix(s) for s in (".csv", ".parquet", ".npz")),
                 journal.journal_path(output), kept]  # fmt: skip
        for path in files:
            click.echo(f"{path.name:20s} {path.stat().st_size / len(rows):8.0f} bytes a track")
    click.echo(f"result, pickled      {len(pickle.dumps(rows[0])):8d} bytes a track")


@main.command()
@click.argument("address")
@click.option("--items", default=2000, show_default=True)
def cluster(address: str, items: int) -> None:
    """Print the time per track of sending it to a Dask cluster and back, without computing."""
    import operator

    from genreclf.parallel.cluster import DaskWorkers

    with DaskWorkers(address) as workers:
        list(workers.map(operator.neg, range(10)))  # until all processes are ready
        start, busy = time.perf_counter(), time.process_time()
        n = sum(1 for _ in workers.map(operator.neg, range(items)))
        elapsed, processor = time.perf_counter() - start, time.process_time() - busy
    click.echo(f"{n / elapsed:.0f} a second; {1000 * processor / n:.2f} ms of this processor each")


if __name__ == "__main__":
    main()
