"""Doubtful labels in a table, and copies of recordings."""

import csv
import io
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genreclf.config.schema import Config
from genreclf.errors import TableError, escaped
from genreclf.evaluation.crossvalidation import cross_validate
from genreclf.evaluation.result import Evaluation
from genreclf.learning.duplicates import Copies, find_copies
from genreclf.parallel.workers import Workers
from genreclf.tables.table import FeatureTable

# A label is doubtful if another genre is this many times as probable. Confident learning alone
# reports a third of the labels if the features separate genres poorly, and 40 % in a table of
# noise. With this factor, it reports none in noise. In the GTZAN tables with 5 % of the labels
# changed, it reports 15 % of the labels, among them seven of ten of the changed ones.
ODDS = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """A track with a doubtful label, or a copy of a recording."""

    kind: str  # "label"; "exact" for a copy with identical features, "near" for a similar one
    path: str
    label: str
    # Of a doubtful label: the prediction of a classifier that was not trained on the track.
    predicted: str | None = None
    confidence: float | None = None
    label_confidence: float | None = None
    # Of a copy: the number of its recording, and the distance of the nearest other copy.
    recording: int | None = None
    distance: float | None = None
    labels_differ: bool | None = None


@dataclass(frozen=True, eq=False)
class Audit:
    """Doubtful labels, the least probable first; then copies, recording by recording."""

    n_tracks: int
    accuracy: float | None  # of the predictions; None without a check of labels
    findings: list[Finding]
    notes: list[str] = field(default_factory=list)
    evaluation: Evaluation | None = None  # of the labelled tracks, with the predictions

    def of_kind(self, *kinds: str) -> list[Finding]:
        """Return the findings of these kinds."""
        return [finding for finding in self.findings if finding.kind in kinds]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; the keys are part of the command line's contract."""
        return {
            "n_tracks": self.n_tracks,
            "accuracy": self.accuracy,
            "findings": [asdict(finding) for finding in self.findings],
            "notes": self.notes,
        }

    def to_csv(self) -> str:
        """Return the findings as CSV, one per line, with empty cells for None."""
        text = io.StringIO()
        columns = [column.name for column in fields(Finding)]
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        for finding in self.findings:
            cells = asdict(finding).items()
            writer.writerow({k: escaped(v) if isinstance(v, str) else v for k, v in cells})
        return text.getvalue()


def audit(
    table: FeatureTable,
    config: Config | None = None,
    *,
    search: bool = False,
    workers: Workers | None = None,
    on_fold: Callable[[], object] = lambda: None,
    on_model: Callable[[Any, FeatureTable], object] | None = None,
) -> Audit:
    """Find doubtful labels, and copies of recordings.

    Confident learning (Northcutt, Jiang & Chuang 2021) compares labels with the predictions of
    classifiers that were not trained on the track, its group or its recording. This needs cleanlab;
    if it is not installed, or labels cannot be predicted, a note says so.

    Parameters
    ----------
    table : FeatureTable
    config, search, workers, on_fold, on_model
        As for ``cross_validate``.
    """
    copies = _copy_findings(table, find_copies(table.values))
    if not (table.labels != "").any():
        return Audit(len(table), None, copies, [*table.notes, "no labels: looked for copies only"])
    if find_spec("cleanlab") is None:
        note = (
            "looked for copies only, because labels need cleanlab, which is not installed: "
            "pip install 'genreclf[audit]'"
        )
        return Audit(len(table), None, copies, [*table.notes, note])
    try:
        evaluation = cross_validate(
            table, config, search=search, workers=workers, on_fold=on_fold, on_model=on_model,
            ungrouped=False,
        )  # fmt: skip
    except TableError as error:
        note = f"looked for copies only, because labels cannot be predicted: {error}"
        return Audit(len(table), None, copies, [*table.notes, note])
    doubtful = _label_findings(table.labelled(), evaluation)
    findings = [*doubtful, *copies]
    return Audit(len(table), evaluation.accuracy, findings, evaluation.notes, evaluation)


def _label_findings(table: FeatureTable, evaluation: Evaluation) -> list[Finding]:
    held_out = evaluation.held_out
    tested, label = np.unique(held_out.labels, return_inverse=True)
    if len(tested) < 2:
        return []
    # A genre that was never held out has no labels to compare with its predictions.
    known = np.isin(evaluation.genres, tested)
    probabilities = held_out.probabilities[:, known]
    whole = probabilities.sum(axis=1, keepdims=True)
    probabilities = probabilities / np.maximum(whole, np.finfo(np.float64).tiny)
    found = []
    for i in _doubtful(label, probabilities):
        own, best = probabilities[i, label[i]], probabilities[i].argmax()
        if probabilities[i, best] > ODDS * own:
            path = str(table.paths[held_out.rows[i]])
            found.append(
                Finding("label", path, str(held_out.labels[i]), str(tested[best]),
                        float(probabilities[i, best]), float(own))
            )  # fmt: skip
    return found


def _doubtful(label: NDArray[np.intp], probabilities: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return which labels contradict the predictions, the least probable label first."""
    from cleanlab.filter import find_label_issues

    return np.asarray(
        find_label_issues(
            label, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1
        ),
        dtype=np.intp,
    )


def _copy_findings(table: FeatureTable, copies: Copies) -> list[Finding]:
    found = []
    for number, rows in enumerate(copies.recordings, 1):
        values, labels = table.values[rows], table.labels[rows]
        same = np.array_equal(values, np.broadcast_to(values[0], values.shape), equal_nan=True)
        differ = len(set(labels) - {""}) > 1
        found += [
            Finding(
                "exact" if same else "near", str(table.paths[row]), str(table.labels[row]),
                recording=number, distance=float(copies.distance[row]), labels_differ=differ,
            )
            for row in rows
        ]  # fmt: skip
    return found
