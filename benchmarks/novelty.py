"""Share of tracks flagged as novel: of a genre left out of training, and of known genres.

    python benchmarks/novelty.py TABLE... [--group COLUMN] [--ignore COLUMN...]

Each genre is left out in turn, with three random splits of the artists. The detector is trained on
70 % of the artists of the other genres. "Found" is the share of the tracks of the left-out genre
that are novel. "False alarms" is the share of the tracks by the other 30 % of the artists, whose
genres are known, that are novel.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupShuffleSplit

from genreclf.learning.novelty import NoveltyDetector
from genreclf.learning.scaling import measures_spread
from genreclf.tables.columns import Columns
from genreclf.tables.reading import load_table
from genreclf.tables.table import FeatureTable

REPEATS = 3
QUANTILES = (0.95, 0.97, 0.99)


def shares_novel(table: FeatureTable, quantile: float) -> NDArray[np.float64]:
    """Return (false alarms, found) of each genre and repeat, (n, 2)."""
    detector = NoveltyDetector(measures_spread(table.names), quantile=quantile)
    shares = []
    for train, familiar, left_out in splits(table):
        detector.fit(table.values[train], groups=table.groups[train])
        shares.append(
            [detector.is_novel(table.values[rows]).mean() for rows in (familiar, left_out)]
        )
    return np.array(shares)


def splits(table: FeatureTable) -> Iterator[tuple[NDArray[np.intp], ...]]:
    """Yield rows to train on, rows of held-out artists, and rows of the genre left out."""
    for genre in table.genres:
        others = np.flatnonzero(table.labels != genre)
        for seed in range(REPEATS):
            split = GroupShuffleSplit(1, test_size=0.3, random_state=seed)
            train, familiar = next(split.split(others, groups=table.groups[others]))
            yield others[train], others[familiar], np.flatnonzero(table.labels == genre)


def main() -> None:
    """Print a row for each table and quantile."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--group", default="group")
    parser.add_argument("--ignore", action="append", default=[])
    options = parser.parse_args()
    columns = Columns(group=options.group, ignore=tuple(options.ignore))
    print("| table | tracks | quantile | false alarms | found |\n|---|---|---|---|---|")
    for path in options.tables:
        table = load_table(path, columns).labelled()
        table = table.take(table.groups != "")
        for quantile in QUANTILES:
            alarms, found = 100 * shares_novel(table, quantile).mean(axis=0)
            print(f"| {path.stem} | {len(table)} | {quantile} | {alarms:.1f}% | {found:.1f}% |")


if __name__ == "__main__":
    main()
