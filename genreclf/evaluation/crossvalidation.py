"""Cross-validation: the accuracy on tracks, and on groups of tracks, that were not trained on."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from genreclf.config.schema import Config
from genreclf.evaluation.folds import FoldOptions, predict_held_out
from genreclf.evaluation.notes import (
    IDLE_WEIGHTS,
    NO_GROUPS,
    approximation_notes,
    augmentation_notes,
    few_groups_notes,
    unknown_genre_warnings,
    unscored_notes,
)
from genreclf.evaluation.result import Evaluation, HeldOut, TestSet
from genreclf.learning.duplicates import Copies, copies_in
from genreclf.learning.leaks import leak_notes
from genreclf.learning.resolution import resolve
from genreclf.learning.splits import Splits, cross_validation, published_folds, published_split
from genreclf.parallel.workers import Workers
from genreclf.tables.table import FeatureTable


def cross_validate(
    table: FeatureTable,
    config: Config | None = None,
    *,
    search: bool = False,
    workers: Workers | None = None,
    on_fold: Callable[[], object] = lambda: None,
    on_model: Callable[[Any, FeatureTable], object] | None = None,
    copies: Copies | None = None,
    ungrouped: bool = True,
) -> Evaluation:
    """Measure the accuracy of the configured classifier on tracks that it was not trained on.

    Parameters
    ----------
    table : FeatureTable
        Rows without a label are left out. The order of the rows does not matter.
    config : Config, optional
        By default the default configuration.
    search : bool
        Tune hyperparameters within each training part, so that the test tracks take no part in
        tuning.
    workers : Workers, optional
        Run several folds at a time; the result is the same.
    on_fold : callable
        Called after every fold.
    on_model : callable, optional
        Called with every fitted pipeline, whose probabilities are not calibrated, and the tracks
        that were held out from it; not for the folds that ignore groups.
    copies : Copies, optional
        What ``copies_in`` finds in a table in which every row has a label.
    ungrouped : bool
        With groups, also measure the accuracy that folds without groups would claim, which takes
        as many trainings again.

    Returns
    -------
    Evaluation
        In a published split or fold, a test track whose genre the training part lacks counts as
        wrong. Folds of our own leave such a track out, because the classifier that is trained on
        the whole table knows its genre. A warning names these tracks.

    Raises
    ------
    TableError
        If there are too few tracks, groups or genres to hold any out.
    """
    config = resolve(config or Config(), table)
    table = table.labelled()
    order = table.canonical_order()
    copies = (copies or copies_in(table)).take(order)
    table = table.take(order)
    splits = choose_splits(table, config, copies)
    together = replace(table, groups=copies.joined(table.groups))
    options = FoldOptions(search=search, workers=workers, on_fold=on_fold, on_model=on_model)
    held_out = predict_held_out(together, config, splits, options)
    ungrouped_accuracy = None
    if ungrouped and splits.kind == "grouped":
        options = replace(options, calibrated=False, on_model=None)
        ungrouped_accuracy = _ungrouped_accuracy(table, config, held_out, options)
    warnings = _warnings(table, splits, held_out)
    notes = augmentation_notes(table, splits, config)
    notes += [IDLE_WEIGHTS] if held_out.idle_weights else []
    weights = copies.weights(held_out.rows)
    train_share = splits.train_share(table.labels)
    test_set = TestSet.of(table, splits)
    facts = {
        "kind": splits.kind, "n_folds": len(splits.folds), "seed": config.seed, "search": search,
        "n_unscored": len(test_set.rows) - len(held_out.rows),
        "n_unknown_genre": int((~held_out.known).sum()),
        "n_copies": copies.n_tracks, "n_copies_apart": _count_split_recordings(splits, copies),
    }  # fmt: skip
    return Evaluation(
        replace(held_out, rows=order[held_out.rows]),
        table.genres,
        facts,
        config,
        held_out.interval(table.has_groups, weights.sum(), train_share),
        replace(test_set, rows=order[test_set.rows]),
        weights,
        ungrouped_accuracy,
        [*table.notes, *splits.notes, *approximation_notes(config), *notes, *warnings],
        warnings,
    )


def count_folds(table: FeatureTable, config: Config) -> int:
    """Return the number of folds, at most."""
    if table.split is not None:
        return 1
    if table.folds is not None:
        return len(set(table.folds) - {""})
    return config.evaluation.folds


def count_trainings(table: FeatureTable, config: Config) -> int:
    """Return how many times ``cross_validate`` trains, at most."""
    published = table.folds is not None or table.split is not None
    again = table.has_groups and not published  # without the groups
    return count_folds(table, config) * (2 if again else 1)


def choose_splits(table: FeatureTable, config: Config, copies: Copies | None = None) -> Splits:
    """Use the published folds or split if the table has one, else make folds.

    Folds of our own keep groups together, and copies of one recording.
    """
    copies = copies or copies_in(table)
    if table.folds is not None:
        return _with_copies_note(published_folds(table.folds), copies)
    if table.split is not None:
        return _with_copies_note(published_split(table.split), copies)
    groups = table.groups if table.has_groups else None
    together = copies.joined(table.groups) if copies.n_tracks else None
    n_folds, seed = config.evaluation.folds, config.seed
    splits = cross_validation(table.labels, groups, n_folds, seed, together)
    if copies.n_tracks:
        splits.notes.append(
            f"{copies.n_tracks} tracks are copies of one another ({copies.n_recordings} "
            "recordings); all copies of a recording are in one fold (genreclf audit names them)"
        )
    return splits


def _with_copies_note(splits: Splits, copies: Copies) -> Splits:
    if n_split := _count_split_recordings(splits, copies):
        splits.notes.append(
            f"{n_split} recordings have copies in both the training and the test set, so the true "
            "accuracy is lower (genreclf audit names them)"
        )
    return splits


def _count_split_recordings(splits: Splits, copies: Copies) -> int:
    """Count the recordings that have copies on both sides of a fold."""
    apart: set[int] = set()
    for train, test in splits.folds:
        apart |= set(copies.recording[train]) & set(copies.recording[test]) - {-1}
    return len(apart)


def _ungrouped_accuracy(
    table: FeatureTable, config: Config, scored: HeldOut, options: FoldOptions
) -> float:
    """Accuracy on the same tracks if a group may be in both the training and the test set."""
    splits = cross_validation(table.labels, None, config.evaluation.folds, config.seed)
    ungrouped = replace(table, groups=np.full(len(table), "", dtype=object))
    held_out = predict_held_out(ungrouped, config, splits, options)
    return float(held_out.correct[np.isin(held_out.rows, scored.rows)].mean())


def _warnings(table: FeatureTable, splits: Splits, held_out: HeldOut) -> list[str]:
    warnings = [NO_GROUPS] if splits.kind == "stratified" else []
    warnings += leak_notes(table)
    if table.has_groups:
        train_share = splits.train_share(table.labels)
        warnings += few_groups_notes(held_out.labels, held_out.groups, train_share)
    warnings += unknown_genre_warnings(held_out, "the training set")
    return [*warnings, *unscored_notes(table, splits, held_out)]
