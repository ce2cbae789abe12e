"""Damage files of every kind and see what becomes of them.

    python tests/fuzz/run.py --audio 2000 --tables 500 --labels 500 --configs 500 \\
        --models 200 --networks 500 --seed 0

What breaks a property (see properties.py) is named, and kept with ``--keep FOLDER``.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

import properties
import seeds

from genreclf.parallel.workers import WorkerError, Workers

GIGABYTES = 2.0
SECONDS = 60.0
CLASSIFIERS = ("svm", "ensemble", "lda", "logistic", "knn", "mlp")


class Report(NamedTuple):
    """How many inputs gave a result and how many an error, and which broke a property."""

    counts: Counter[str]
    broken: list[tuple[str, str]]


def limited(given: str, check: properties.Check, harmless: str, gigabytes: float) -> str:
    """Check one input with so much memory."""
    properties.limit_memory(round(gigabytes * 2**30))
    return check(given, harmless)


def fuzz(kind: str, n: int, folder: Path, seed: int = 0, jobs: int = 1) -> Report:
    """Check n damaged inputs of a kind, which stay in the folder if they break a property."""
    given, harmless = inputs(kind, n, folder, seed)
    check = partial(
        limited,
        check=getattr(properties, f"check_{kind}"),
        harmless=harmless,
        gigabytes=GIGABYTES,
    )
    report = Report(Counter(), [])
    with Workers(jobs, SECONDS) as workers:
        for name, found in workers.map(check, given):
            verdict = f"BROKEN {found.reason}" if isinstance(found, WorkerError) else found
            report.counts[verdict.split()[0]] += 1
            if verdict.startswith("BROKEN"):
                report.broken.append((name, verdict))
            elif os.sep in name:
                Path(name).unlink()
    return report


def inputs(kind: str, n: int, folder: Path, seed: int) -> tuple[Iterator[str], str]:
    """Return damaged inputs of a kind, and something harmless that they are checked with."""
    random, intact = Random(f"{kind} {seed}"), folder / f"intact {kind}"
    intact.mkdir()
    if kind == "audio":
        files = seeds.audio_seeds(intact)
        return (str(seeds.damaged_audio(files, folder, i, random)) for i in range(n)), ""
    if kind == "table":
        tables = seeds.table_seeds(intact)
        seeds.trained("lda").save(folder / "lda.joblib")
        made = (str(seeds.damaged_table(tables, folder, i, random)) for i in range(n))
        return made, str(folder / "lda.joblib")
    if kind == "label":
        tables = seeds.table_seeds(intact)
        made = (str(seeds.damaged_table(tables, folder, i, random)) for i in range(n))
        return made, 'hip "hop",\r\nold;'
    if kind == "network":
        files = seeds.network_seeds(intact)
        made = (str(seeds.damaged_network(files, folder, i, random)) for i in range(n))
        return made, str(intact / "tiny.toml")
    if kind == "config":
        song = seeds.song(intact / "song.wav")
        return (seeds.damaged_config(folder, i, random) for i in range(n)), str(song)
    models = seeds.model_seeds(intact, CLASSIFIERS[: max(1, n // 20)])
    seeds.table().save(folder / "table.npz")
    made = (str(seeds.damaged_model(models, folder, i, random)) for i in range(n))
    return made, str(folder / "table.npz")


def main() -> int:
    """Run from the command line; status 1 if a property was broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for kinds in ("audio", "tables", "labels", "configs", "models", "networks"):
        parser.add_argument(f"--{kinds}", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for what breaks a property")
    arguments = parser.parse_args()
    n_broken = 0
    for kind in ("audio", "table", "label", "config", "model", "network"):
        n = getattr(arguments, kind if kind == "audio" else f"{kind}s")
        with tempfile.TemporaryDirectory() as name, chdir(name):
            folder = Path(name)
            os.environ["GENRECLF_DATA"] = str(folder / "data")
            report = fuzz(kind, n, folder, arguments.seed, arguments.jobs)
            for given, verdict in report.broken:
                print(f"{given[:60]!r}: {verdict}")
                if arguments.keep and os.sep in given:
                    arguments.keep.mkdir(exist_ok=True)
                    shutil.copy(given, arguments.keep / f"{kind} {Path(given).name}")
        print(f"{kind}: {n} inputs, {dict(report.counts)}", flush=True)
        n_broken += len(report.broken)
    return 1 if n_broken else 0


if __name__ == "__main__":
    sys.exit(main())
