"""Compare ways to learn from the default's columns and those of two networks together.

    python benchmarks/views.py TABLE... [--against preset] [--only WORD]

The tables are of own music, by ``genreclf extract`` with three views: the default, and musicnn and
musicnn-mtt with ``outputs = ["penultimate", "tags"]`` and ``pooling.statistics = ["mean"]``. Folds,
repetitions and the weighted difference are those of ``defaults.py --embeddings``. Where several
classifiers are named, the mean of their log probabilities decides. Tags are used as logits.

The ten variants and the rule were written down before the first run: one replaces the preset
``musicnn`` if its weighted difference is higher, and if it is on no collection more than one
standard error less accurate than the preset.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from defaults import FOLDS, REPEATS, Collection, grouped, mean_hits, print_heading, print_row
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.preprocessing import FunctionTransformer

from genreclf.config.load import load_config
from genreclf.learning.classifiers.base import Pipeline
from genreclf.learning.pipelines import Task
from genreclf.tables.reading import load_table
from genreclf.tables.table import FeatureTable

DEFAULT = r"(?!musicnn).*"
MSD, MTT = (rf"{network}\.penultimate\.\d+\.mean" for network in ("musicnn", "musicnn-mtt"))
MSD_TAGS, MTT_TAGS = (rf"{network}\.tags\..+\.mean" for network in ("musicnn", "musicnn-mtt"))


@dataclass(frozen=True)
class Member:
    """A classifier of some views; with ``equal``, each view has the same variance in total."""

    views: tuple[str, ...]
    classifier: str
    equal: bool = False


SVM, LOGISTIC = "svm classifier.C=3", "logistic classifier.C=0.03"
PRESETS = {
    "default, SVM": [Member((DEFAULT,), SVM)],
    "default and penultimate, logistic": [Member((DEFAULT, MSD), LOGISTIC)],
}
VARIANTS = {
    "default and both networks, logistic": [Member((DEFAULT, MSD, MTT), LOGISTIC)],
    "both networks, SVM": [Member((MSD, MTT), SVM)],
    "default, penultimate and tags, logistic": [Member((DEFAULT, MSD, MSD_TAGS), LOGISTIC)],
    "default, both networks and their tags, logistic, C = 0.01": [
        Member((DEFAULT, MSD, MTT, MSD_TAGS, MTT_TAGS), "logistic classifier.C=0.01")
    ],
    "mean of SVM (default) and logistic (penultimate)": [
        Member((DEFAULT,), SVM), Member((MSD,), LOGISTIC),
    ],
    "mean of SVM (default) and SVM (penultimate)": [
        Member((DEFAULT,), SVM), Member((MSD,), SVM),
    ],
    "default and penultimate with equal weights, logistic": [
        Member((DEFAULT, MSD), LOGISTIC, equal=True)
    ],
    "default and penultimate with equal weights, SVM": [Member((DEFAULT, MSD), SVM, equal=True)],
    "default and both networks, lda": [Member((DEFAULT, MSD, MTT), "lda")],
    "mean of SVM (default), SVM (penultimate) and SVM (musicnn-mtt)": [
        Member((DEFAULT,), SVM), Member((MSD,), SVM), Member((MTT,), SVM),
    ],
}  # fmt: skip


def with_logits(table: FeatureTable) -> FeatureTable:
    """Replace the probabilities of tags by their logits."""
    values = table.values.astype(np.float64)
    tags = [".tags." in name for name in table.names]
    p = np.clip(values[:, tags], 1e-6, 1 - 1e-6)
    values[:, tags] = np.log(p / (1 - p))
    return replace(table, values=values.astype(np.float32))


def columns_of(names: Sequence[str], view: str) -> list[str]:
    """Return the columns of a view."""
    return [name for name in names if re.fullmatch(view, name)]


def pipeline_of(member: Member, train: FeatureTable) -> Pipeline:
    """Build the pipeline of a member, unfitted."""
    config = load_config(overrides=f"classifier.name={member.classifier}".split())
    pipeline = config.classifier.pipeline(Task(train, config))
    if member.equal:
        sizes = [len(columns_of(train.names, view)) for view in member.views]
        weights = np.repeat([np.sqrt(sum(sizes) / len(sizes) / n) for n in sizes], sizes)
        after = [name for name, _ in pipeline.steps].index("standardise") + 1
        pipeline.steps.insert(after, ("weights", FunctionTransformer(lambda x: x * weights)))
    return pipeline


def hits(collection: Collection, members: Sequence[Member]) -> NDArray[np.float64]:
    """Return how often the mean of the log probabilities predicts each track correctly."""
    return mean_hits(
        collection, lambda train, test: predicted(collection.table, train, test, members)
    )


def predicted(
    table: FeatureTable, train: NDArray[np.intp], test: NDArray[np.intp], members: Sequence[Member]
) -> NDArray[np.bool_]:
    """Return which test tracks were predicted correctly."""
    total: NDArray[np.float64] | float = 0.0
    for member in members:
        some = table.with_columns(
            [n for view in member.views for n in columns_of(table.names, view)]
        )
        part = some.take(train)
        pipeline = pipeline_of(member, part).fit(part.values, part.labels)
        total = total + np.log(np.maximum(pipeline.predict_proba(some.values[test]), 1e-9))
    return pipeline.classes_[np.argmax(total, axis=1)] == table.labels[test]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tables", type=Path, nargs="+", metavar="TABLE")
    parser.add_argument("--against", choices=("default", "preset"), default="default")
    parser.add_argument("--only", default="", help="Variants whose names hold this word only.")
    arguments = parser.parse_args()
    found = [
        grouped(path.stem, with_logits(load_table(path)), FOLDS, REPEATS)
        for path in arguments.tables
    ]
    print_heading("way", found)
    reference = list(PRESETS)[arguments.against == "preset"]
    ways = {reference: PRESETS[reference]} | PRESETS | VARIANTS
    before: list[NDArray[np.float64]] = []
    for name, members in ways.items():
        if not before or arguments.only in name:
            results = Parallel(n_jobs=-1)(delayed(hits)(c, members) for c in found)
            before = before or results
            print_row(name, found, results, before)


if __name__ == "__main__":
    main()
