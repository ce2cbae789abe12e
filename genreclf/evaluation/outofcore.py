"""Evaluation of a classifier that is trained on a table in parts, larger than the memory."""

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from genreclf.errors import TableError, shortened
from genreclf.evaluation.modelevaluation import evaluate_model
from genreclf.evaluation.notes import NO_GROUPS, few_groups_notes
from genreclf.evaluation.result import Evaluation, TestSet
from genreclf.learning.leaks import leak_notes
from genreclf.learning.outofcore import TableParts, group_digests, train_in_parts
from genreclf.tables.table import FeatureTable

HELD_OUT_ONE_IN = 10
# This many test tracks give the accuracy to half a point; more would only need more memory.
MOST_TESTED = 50_000


def evaluate_in_parts(parts: TableParts) -> Evaluation:
    """Train on nine of ten groups of a table in parts, and measure on the others.

    A digest of the seed and a group's name (or a track's path) decides on which side it is.

    Parameters
    ----------
    parts : TableParts

    Raises
    ------
    TableError
        If there are too few tracks to train on, or too few groups to hold any out.
    """
    held_out = partial(_held_out, seed=parts.config.seed)
    model = train_in_parts(parts, lambda part: ~held_out(part))
    test = parts.sample(MOST_TESTED, held_out)
    if not len(test):
        raise TableError(f"{parts.path}: too few groups to hold any out; leave out --out-of-core")
    known = np.isin(test.labels, model.genres)
    evaluation = evaluate_model(model, test.take(known))
    scored = evaluation.held_out
    warnings = leak_notes(test)
    warnings += few_groups_notes(scored.labels, scored.groups) if test.has_groups else [NO_GROUPS]
    warnings += _unscored(test.take(~known))
    splits = {"kind": "held-out", "n_folds": 1, "seed": parts.config.seed,
              "n_unscored": int((~known).sum()), "grouped": test.has_groups}  # fmt: skip
    no_folds = np.full(len(test), "", dtype=object)
    notes = [
        f"trained on nine of ten groups, measured on {len(scored.rows)} tracks of the others; "
        "--out-of-core does not look for copies of one recording in both parts"
    ]
    return replace(
        evaluation,
        held_out=replace(scored, rows=np.flatnonzero(known)),
        test_set=TestSet(np.arange(len(test)), test.paths, no_folds, test.labels),
        splits=splits,
        notes=[*test.notes, *notes, *warnings],
        warnings=warnings,
    )


def _held_out(part: FeatureTable, seed: int) -> NDArray[np.bool_]:
    return group_digests(part, str(seed)) % HELD_OUT_ONE_IN == 0


def _unscored(part: FeatureTable) -> list[str]:
    if not len(part):
        return []
    return [
        f"not tested: {len(part)} tracks of {shortened(', '.join(part.genres), 300)}; all groups "
        "of these genres were held out, so the accuracy leaves these tracks out"
    ]
