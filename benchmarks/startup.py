"""The start-up time of the command line, compared with the imports that it needs.

    python benchmarks/startup.py SONG MODEL [--rounds 9]

Every figure is a whole fresh process; contenders take turns, so that a machine that slows down
slows down all of them.
"""

import subprocess
import sys
import time

import click
from numpy import median

# What a prediction needs at least: unpickling a scikit-learn pipeline.
NEEDED = "import numpy, scipy, sklearn.decomposition, sklearn.impute, sklearn.pipeline, sklearn.svm"


def contenders(song: str, model: str) -> dict[str, list[str]]:
    """Name the commands to be timed."""
    genreclf = [sys.executable, "-m", "genreclf"]
    return {
        "import click": [sys.executable, "-c", "import click"],
        "genreclf --version": [*genreclf, "--version"],
        "genreclf --help": [*genreclf, "--help"],
        "imports that predict needs": [sys.executable, "-c", NEEDED],
        "genreclf predict SONG": [*genreclf, "predict", "--no-cache", song, "--model", model],
    }


def seconds(command: list[str]) -> float:
    """Run a command and return its wall time."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


@click.command()
@click.argument("song")
@click.argument("model")
@click.option("--rounds", default=9, show_default=True)
def main(song: str, model: str, rounds: int) -> None:
    """Time start-up, and print medians and the ratios that matter."""
    commands = contenders(song, model)
    times: dict[str, list[float]] = {name: [] for name in commands}
    for command in commands.values():
        seconds(command)  # fills the file cache
    for _ in range(rounds):
        for name, command in commands.items():
            times[name].append(seconds(command))
    for name, measured in times.items():
        click.echo(f"{name:28s} {median(measured):.3f} s (least {min(measured):.3f})")
    for name, floor in (
        ("genreclf --help", "import click"),
        ("genreclf --version", "import click"),
        ("genreclf predict SONG", "imports that predict needs"),
    ):
        ratios = [a / b for a, b in zip(times[name], times[floor], strict=True)]
        click.echo(f"{name} / {floor}: {median(ratios):.2f}")


if __name__ == "__main__":
    main()
