"""The accuracy of a trained model on a labelled table."""

from dataclasses import replace

import numpy as np

from genreclf.errors import TableError, shortened
from genreclf.evaluation.folds import by_genre
from genreclf.evaluation.notes import MODEL_KNOWS, few_groups_notes, unknown_genre_warnings
from genreclf.evaluation.result import Evaluation, HeldOut, TestSet
from genreclf.learning.duplicates import copies_in
from genreclf.learning.leaks import leak_notes
from genreclf.learning.model import Model
from genreclf.tables.table import FeatureTable

# Near copies are looked for in tables of this size only; for larger ones it would take too long.
MOST_COMPARED = 10_000


def evaluate_model(model: Model, table: FeatureTable) -> Evaluation:
    """Compare a model's predictions with the labels of a table.

    A track whose genre the model does not know counts as wrong, and a warning says so.

    Parameters
    ----------
    model : Model
    table : FeatureTable
        Rows without a label are left out.

    Raises
    ------
    TableError
        If the columns do not fit, or no track has a label that the model knows.
    """
    leaks = leak_notes(model.columns_of(table))
    rows = np.flatnonzero(table.labels != "")
    part = table.take(rows)
    known = np.isin(part.labels, model.genres)
    if not known.any():
        raise TableError(
            f"none of the table's genres ({shortened(', '.join(table.genres)) or 'no labels'}) is "
            f"one of the model's ({shortened(', '.join(model.genres), 300)})"
        )
    n_unlabelled = len(table) - len(rows)
    unlabelled = [f"{n_unlabelled} of {len(table)} tracks have no label and are left out"]
    copies = copies_in(part, near=len(part) <= MOST_COMPARED)
    part = replace(part, groups=copies.joined(part.groups))
    genres = sorted({*model.genres, *table.genres})
    probabilities = by_genre(model.predict_proba(part), model.genres, genres, 0.0)
    held_out = HeldOut.of(part, rows, genres, probabilities, known)
    warnings = [MODEL_KNOWS, *unknown_genre_warnings(held_out, "the model")]
    if table.has_groups:
        warnings += few_groups_notes(held_out.labels, held_out.groups)
    weights = copies.weights(np.arange(len(rows)))
    return Evaluation(
        held_out,
        genres,
        {"kind": "model", "n_unknown_genre": int((~known).sum())},
        model.config,
        held_out.interval(table.has_groups, weights.sum()),
        TestSet(rows, part.paths, np.full(len(rows), "", dtype=object), part.labels),
        weights,
        notes=[*leaks, *table.notes, *(unlabelled if n_unlabelled else []), *warnings],
        warnings=warnings,
    )
