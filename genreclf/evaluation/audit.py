"""What is doubtful in a table: labels, and recordings that are there more than once."""

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
from genreclf.tables.table import FeatureTable

# A label is doubted if another genre is so many times as probable. Confident learning alone doubts
# a third of the labels where features hardly tell genres apart, and four of ten in a table of
# noise. With these odds it doubts 15 % of those of the GTZAN tables when 5 % are made wrong, among
# them seven of ten of the wrong ones, and none in noise.
ODDS = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One track that something is doubtful about.

    Attributes
    ----------
    kind : str
        ``label`` for a doubtful label; ``exact`` for a copy with identical features, ``near`` for
        one of a recording whose copies differ a little.
    path, label : str
    predicted : str or None
        Of a doubtful label: the genre that was predicted by a classifier that had not seen the
        track.
    confidence, label_confidence : float or None
        The probabilities of both.
    recording : int or None
        Of a copy: a number that all copies of a recording have in common.
    distance : float or None
        Of a copy: how far the nearest other one is, as in ``Copies``; 0 for identical features.
    labels_differ : bool or None
        Whether the copies of the recording have more than one label.
    """

    kind: str
    path: str
    label: str
    predicted: str | None = None
    confidence: float | None = None
    label_confidence: float | None = None
    recording: int | None = None
    distance: float | None = None
    labels_differ: bool | None = None


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found.

    Attributes
    ----------
    n_tracks : int
    accuracy : float or None
        Of the predictions that labels were held against; None if they were not.
    findings : list of Finding
        Doubtful labels, the least probable one first; then copies, a recording after the other.
    notes : list of str
        What a person should know of how this was found.
    """

    n_tracks: int
    accuracy: float | None
    findings: list[Finding]
    notes: list[str] = field(default_factory=list)

    def of_kind(self, *kinds: str) -> list[Finding]:
        """Return the findings of these kinds."""
        return [finding for finding in self.findings if finding.kind in kinds]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; the keys are part of the command line's contract."""
        return asdict(self)

    def to_csv(self) -> str:
        """Return the findings as CSV, one a line, empty where there is nothing to tell."""
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
    on_fold: Callable[[], object] = lambda: None,
) -> Audit:
    """Look for doubtful labels and for recordings that are there more than once.

    Labels are held against predictions of classifiers that had not seen the track, nor any other
    of its group or recording, by confident learning (Northcutt, Jiang & Chuang 2021). That needs
    cleanlab; where it is not installed, or labels cannot be predicted, a note says so.

    Parameters
    ----------
    table : FeatureTable
    config, search, on_fold
        As for ``cross_validate``.
    """
    copies = _copy_findings(table, find_copies(table.values))
    if not (table.labels != "").any():
        return Audit(len(table), None, copies, [*table.notes, "no labels: only copies are sought"])
    if find_spec("cleanlab") is None:
        note = (
            "labels were not looked at, only copies sought: cleanlab is not installed: "
            "pip install 'genreclf[audit]'"
        )
        return Audit(len(table), None, copies, [*table.notes, note])
    try:
        evaluation = cross_validate(table, config, search=search, on_fold=on_fold)
    except TableError as error:
        note = f"labels were not looked at, only copies sought: {error}"
        return Audit(len(table), None, copies, [*table.notes, note])
    doubtful = _label_findings(table.labelled(), evaluation)
    return Audit(len(table), evaluation.accuracy, [*doubtful, *copies], evaluation.notes)


def _label_findings(table: FeatureTable, evaluation: Evaluation) -> list[Finding]:
    held_out = evaluation.held_out
    tested, label = np.unique(held_out.labels, return_inverse=True)
    if len(tested) < 2:
        return []
    # A genre that was never held out has no labels to compare its predictions with.
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
