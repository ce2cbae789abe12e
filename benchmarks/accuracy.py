"""Accuracy on the published GTZAN tables, each figure from one command line.

    python benchmarks/accuracy.py FOLDER_OF_TABLES

The folder holds ``gtzan-librosa57.csv`` and ``gtzan-mfcc.csv``. Prints a Markdown table of
accuracies with their 95 % intervals, and each command to standard error.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

OTHERS = "--features 'chroma*' --features 'rms*' --features 'spectral*' --features 'rolloff*' " \
    "--features 'zero*' --features tempo"  # fmt: skip
TABLES = {
    "57 librosa statistics": "gtzan-librosa57.csv --ignore length",
    "120 MFCC statistics": "gtzan-mfcc.csv",
    "both, 177": "gtzan-mfcc.csv --join gtzan-librosa57.csv --ignore length",
    "120 and 13 others": "gtzan-mfcc.csv --join gtzan-librosa57.csv "
    f"--features 'mfcc[._]*' {OTHERS}",
    "those without means of differences, 93": "gtzan-mfcc.csv --join gtzan-librosa57.csv "
    f"--features 'mfcc[._]*' {OTHERS} --ignore 'mfcc_delta*.mean'",
}
CLASSIFIERS = {
    "SVC, C = 10, standardised": "--set scaling=standard --set scaling_limit=off --set pca=off "
    "--set classifier.C=10 --set classifier.gamma=scale",
    "default": "",
    "ensemble": "--classifier ensemble",
}
SPLITS = {
    "10 random folds": "",
    "3 artist-filtered folds": "--group artist --folds sturm_fold",
    "fault-filtered split": "--group artist --split fault_filtered_split",
}


def measure(folder: Path, options: str) -> str:
    """Run ``genreclf evaluate`` and return its accuracy with the interval."""
    print(f"genreclf evaluate {options}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "genreclf", "evaluate", *shlex.split(options), "--json", "-"]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    result = json.loads(done.stdout)
    low, high = result["accuracy_ci95"]
    return f"{result['accuracy']:.1%} ({low:.0%} to {high:.0%})".replace("%", " %")


def main() -> None:
    """Measure each classifier with each set of features on each split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path, metavar="FOLDER_OF_TABLES")
    folder = parser.parse_args().tables.resolve()
    print(
        f"| features | classifier | {' | '.join(SPLITS)} |",
        "|---" * (2 + len(SPLITS)) + "|",
        sep="\n",
    )
    for features, table in TABLES.items():
        for classifier, how in CLASSIFIERS.items():
            figures = [
                measure(folder, " ".join(filter(None, (table, split, how))))
                for split in SPLITS.values()
            ]
            print(f"| {features} | {classifier} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
