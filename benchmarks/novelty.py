"""Share of tracks flagged as novel: of a genre left out of training, and of known genres.

    python benchmarks/novelty.py TABLE... [--group COLUMN] [--ignore COLUMN...] [--alternatives]

Each genre is left out in turn, with three random splits of the artists. The detector is trained on
70 % of the artists of the other genres. "Found" is the share of the tracks of the left-out genre
that are novel. "False alarms" is the share of the tracks by the other 30 % of the artists, whose
genres are known, that are novel.

With --alternatives, other scores of novelty are compared, each with the threshold that gives 5 %
false alarms: so all have the same, and none has to estimate its threshold.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GroupShuffleSplit
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from genreclf.learning.estimators import BalancedLda
from genreclf.learning.margins import weakest_margins
from genreclf.learning.novelty import NoveltyDetector
from genreclf.learning.scaling import LogScaler, measures_spread
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


Doubles = NDArray[np.float64]


def alternatives(table: FeatureTable) -> dict[str, float]:
    """Return the share found of each score, at 5 % false alarms."""
    found: dict[str, list[float]] = {}
    for train, familiar, left_out in splits(table):
        known, unknown = (_scores(table, train, rows) for rows in (familiar, left_out))
        for name in known:
            limit = np.quantile(known[name], 0.95)
            found.setdefault(name, []).append(float((unknown[name] > limit).mean()))
    return {name: float(np.mean(shares)) for name, shares in found.items()}


def _scores(
    table: FeatureTable, train: NDArray[np.intp], rows: NDArray[np.intp]
) -> dict[str, Doubles]:
    """Return the scores of tracks, larger for more novel ones, by name."""
    today = NoveltyDetector(measures_spread(table.names))
    today.fit(table.values[train], groups=table.groups[train])
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    prepare = make_pipeline(impute, LogScaler(measures_spread(table.names), 4.0), PCA(0.99))
    labels, values = table.labels[train], prepare.fit_transform(table.values[train])
    new = prepare.transform(table.values[rows])
    machine = SVC(C=3.0, class_weight="balanced", decision_function_shape="ovo")
    margins = weakest_margins(machine.fit(values, labels), new)
    lda = BalancedLda(solver="eigen", shrinkage="auto").fit(values, labels)
    densities = lda.decision_function(new)
    by_class = [values[labels == genre] for genre in lda.classes_]
    within = np.concatenate([part - part.mean(axis=0) for part in by_class])
    nearest = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(lda.transform(values))
    relative = [_distances(new, part, np.eye(new.shape[1])) / _typical(part) for part in by_class]
    mahalanobis = _nearest(new, by_class, ledoit_wolf(within)[0])
    background = _distances(new, values, ledoit_wolf(values - values.mean(axis=0))[0])
    return {
        "k-NN in all components (the detector)": today.distances(table.values[rows]),
        "k-NN in the space of LDA": nearest.kneighbors(lda.transform(new))[0].mean(axis=1),
        "Mahalanobis distance to the nearest class": mahalanobis,
        "the same, minus that to all tracks": mahalanobis**2 - background**2,
        "distance to the nearest class / typical": np.min(relative, axis=0),
        "largest margin of the SVM": -margins.max(axis=1),
        "energy of the SVM's margins": -logsumexp(margins, axis=1),
        "energy of LDA's scores": -logsumexp(densities, axis=1),
        "largest probability of LDA": logsumexp(densities, axis=1) - densities.max(axis=1),
    }


def _nearest(new: Doubles, by_class: list[Doubles], covariance: Doubles) -> Doubles:
    nearest: Doubles = np.min([_distances(new, part, covariance) for part in by_class], axis=0)
    return nearest


def _distances(new: Doubles, part: Doubles, covariance: Doubles) -> Doubles:
    """Return the distances to the mean of a part, in standard deviations of a covariance."""
    off = new - part.mean(axis=0)
    distances: Doubles = np.sqrt((off * np.linalg.solve(covariance, off.T).T).sum(axis=1))
    return distances


def _typical(part: Doubles) -> float:
    """Return the median distance to the mean; infinite for a single track."""
    median = float(np.median(_distances(part, part, np.eye(part.shape[1]))))
    return median or np.inf


def main() -> None:
    """Print a row for each table and quantile."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--group", default="group")
    parser.add_argument("--ignore", action="append", default=[])
    parser.add_argument("--alternatives", action="store_true")
    options = parser.parse_args()
    columns = Columns(group=options.group, ignore=tuple(options.ignore))
    if not options.alternatives:
        print("| table | tracks | quantile | false alarms | found |\n|---|---|---|---|---|")
    for path in options.tables:
        table = load_table(path, columns).labelled()
        table = table.take(table.groups != "")
        if options.alternatives:
            print(f"{path.stem}, {len(table)} tracks:")
            for name, share in alternatives(table).items():
                print(f"  {name}: {share:.1%}", flush=True)
            continue
        for quantile in QUANTILES:
            alarms, found = 100 * shares_novel(table, quantile).mean(axis=0)
            print(f"| {path.stem} | {len(table)} | {quantile} | {alarms:.1f}% | {found:.1f}% |")


if __name__ == "__main__":
    main()
