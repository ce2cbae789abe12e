"""Training on the folds of a cross-validation, and predicting their test tracks."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from threadpoolctl import ThreadpoolController

from genreclf.config.schema import Config
from genreclf.errors import GenreclfError, TableError
from genreclf.evaluation.result import HeldOut
from genreclf.learning.calibration import best_temperature
from genreclf.learning.classweights import weights_are_idle
from genreclf.learning.splits import Fold, Splits, own_groups
from genreclf.learning.training import fit_pipeline, tune
from genreclf.parallel.workers import WorkerError, Workers
from genreclf.tables.inputs import inputs
from genreclf.tables.table import FeatureTable, Texts

Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class FoldOptions:
    """How the folds of a cross-validation are run; see ``cross_validate``."""

    search: bool = False
    calibrated: bool = True  # which does not change the predicted genres
    workers: Workers | None = None
    on_fold: Callable[[], object] = lambda: None
    on_model: Callable[[Any, FeatureTable], object] | None = None


def predict_held_out(
    table: FeatureTable, config: Config, splits: Splits, options: FoldOptions | None = None
) -> HeldOut:
    """Predict the test tracks of each fold after training on its other tracks.

    The probabilities of a fold are calibrated with the temperature that fits the held-out scores of
    the other folds, which takes no further training and uses no label of the fold itself. (The
    classifiers of the other folds were trained on them; a single number carries next to nothing
    over.) With a single fold, or if each fold tunes its own hyperparameters, the temperature comes
    from a cross-validation within the training part.

    Returns
    -------
    HeldOut
        The test tracks of ``splits.tested(table.labels)``, fold by fold.

    Raises
    ------
    TableError
        If no genre can be tested.
    """
    options = options or FoldOptions()
    folds = splits.tested(table.labels)
    if not folds:
        raise TableError(_untestable(splits))
    within = options.calibrated and (options.search or len(folds) == 1)
    scores, idle = [], []
    for training, (fold_scores, pipeline, idle_weights) in _trained(
        _trainings(table, config, folds, options, within), options.workers
    ):
        scores.append(fold_scores)
        idle.append(idle_weights)
        if options.on_model is not None:
            options.on_model(pipeline, training.test)
        options.on_fold()
    codes = np.searchsorted(np.array(table.genres, dtype=object), table.labels)
    known = [np.isin(codes[test], codes[train]) for train, test in folds]
    temperature = None
    if options.calibrated and not within:
        tests = [test for _, test in folds]
        scores, temperature = _calibrated(scores, tests, known, codes, table.groups)
    rows = np.concatenate([test for _, test in folds])
    probabilities = softmax(np.concatenate(scores), axis=1)
    found = HeldOut.of(table.take(rows), rows, table.genres, probabilities, np.concatenate(known))
    return replace(found, temperature=temperature, idle_weights=all(idle))


def _untestable(splits: Splits) -> str:
    if splits.kind == "grouped":
        return (
            "the tracks of every genre are in one group, so no genre can be tested on a group that "
            "is not in the training set; each genre needs at least two groups"
        )
    return (
        "the tracks of every genre are copies of one recording, so no genre can be tested on a "
        "recording that is not in the training set; each genre needs at least two recordings"
    )


@dataclass(frozen=True, eq=False)
class _Training:
    """One fold, as a worker takes it."""

    train: FeatureTable
    test: FeatureTable
    genres: list[str]  # of the whole table
    config: Config
    search: bool
    calibrated: bool  # learn a temperature within the training part
    returned: bool  # return the pipeline


def _trainings(
    table: FeatureTable, config: Config, folds: list[Fold], options: FoldOptions, calibrated: bool
) -> Iterator[_Training]:
    returned = options.on_model is not None
    for train, test in folds:
        parts = table.take(train), table.take(test)
        yield _Training(*parts, table.genres, config, options.search, calibrated, returned)


def _trained(
    trainings: Iterable[_Training], workers: Workers | None
) -> Iterator[tuple[_Training, tuple[Doubles, Any, bool]]]:
    if workers is None:
        yield from ((training, _train(training)) for training in trainings)
        return
    for training, result in workers.map(_train, trainings):
        if isinstance(result, WorkerError):
            raise GenreclfError(
                f"a fold was not trained: {result.reason}; --jobs 1 needs the least memory"
            )
        yield training, result


def _train(training: _Training) -> tuple[Doubles, Any, bool]:
    """Return the log-probabilities of the test tracks, (n, n_genres), and the pipeline.

    Also return whether class weights had no effect on it.
    """
    train, test, config = training.train, training.test, training.config
    # Sums that are split among threads round differently: one thread gives one result everywhere.
    with _thread_pools().limit(limits=1, user_api="blas"):
        config = tune(train, config) if training.search else config
        pipeline = fit_pipeline(train, config, calibrated=training.calibrated)
        scores = pipeline.predict_log_proba(inputs(test, config))
    scores = by_genre(scores, pipeline.classes_, training.genres, -np.inf)
    returned = pipeline if training.returned else None
    return scores, returned, weights_are_idle(pipeline)


@cache
def _thread_pools() -> ThreadpoolController:
    """Find the libraries that have threads, which takes as long as a small training."""
    return ThreadpoolController()


def by_genre(
    columns: Doubles, classes: Iterable[Any], genres: list[str], missing: float
) -> Doubles:
    """Spread the columns of a classifier's classes over all genres."""
    spread = np.full((len(columns), len(genres)), missing)
    spread[:, [genres.index(genre) for genre in classes]] = columns
    return spread


def _calibrated(
    scores: list[Doubles], tests: list[Indices], known: list[NDArray[np.bool_]], codes: Indices,
    groups: Texts,
) -> tuple[list[Doubles], float]:  # fmt: skip
    """Divide the scores of each fold by its temperature; return also that of all folds."""
    tested = [test[scored] for test, scored in zip(tests, known, strict=True)]
    of_known = [part[scored] for part, scored in zip(scores, known, strict=True)]
    groups = own_groups(groups)
    temperatures = _temperatures(of_known, tested, codes, groups)
    scaled = [part / t for part, t in zip(scores, temperatures, strict=True)]
    return scaled, _temperature(of_known, tested, codes, groups)


def _temperatures(
    scores: list[Doubles], tested: list[Indices], codes: Indices, groups: Texts
) -> list[float]:
    """Return for each fold the temperature that fits the scores of the other folds.

    ``scores``, (n_tested, n_genres), are those of the tested rows; ``codes`` the columns of genres.
    """
    return [
        _temperature(
            scores[:fold] + scores[fold + 1 :], tested[:fold] + tested[fold + 1 :], codes, groups
        )
        for fold in range(len(tested))
    ]


def _temperature(
    scores: list[Doubles], tested: list[Indices], codes: Indices, groups: Texts
) -> float:
    rows = np.concatenate(tested)
    n_units = len(set(groups[rows]))
    return best_temperature(np.concatenate(scores), codes[rows], n_units) if n_units else 1.0
