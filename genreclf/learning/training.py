"""Training: from a table to a fitted pipeline, a tuned configuration or a model."""

import math
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import ParameterGrid, cross_val_score
from sklearn.pipeline import Pipeline

from genreclf.config.schema import Config
from genreclf.errors import ConfigError, TableError
from genreclf.learning.calibration import count_calibration_folds
from genreclf.learning.curves import LearningCurves
from genreclf.learning.duplicates import Copies, copies_in
from genreclf.learning.excerpts import as_rows
from genreclf.learning.model import Evaluated, Model
from genreclf.learning.networks.watch import Watch, watched
from genreclf.learning.novelty import NoveltyDetector
from genreclf.learning.pipelines import INNER_FOLDS, Task
from genreclf.learning.resolution import resolve
from genreclf.learning.scaling import measures_spread
from genreclf.learning.splits import Fold, cross_validation, known_genres_only, own_groups
from genreclf.tables.inputs import inputs
from genreclf.tables.table import FeatureTable
from genreclf.versions import versions


def fit_model(
    table: FeatureTable,
    config: Config,
    *,
    search: bool = False,
    copies: Copies | None = None,
    evaluation: Evaluated | None = None,
) -> Model:
    """Train a model; see ``Model.fit``."""
    config = resolve(config, table)
    same = evaluation is not None and evaluation.config == config and not search
    same &= config.learn_from != "excerpts"  # of excerpts, single ones have another temperature
    temperature = evaluation.temperature if evaluation is not None and same else None
    table = table.labelled()
    copies = copies or copies_in(table)
    table = replace(table, groups=copies.joined(table.groups))
    # The order of rows decides what a random state draws: the same tracks give the same model.
    table = table.take(table.canonical_order())
    if len(table.genres) < 2:
        raise TableError(f"all tracks are {table.genres[0]!r}; at least two genres are needed")
    if search:
        config = tune(table, config)
    pipeline = fit_pipeline(table, config, calibrated=temperature is None)
    if temperature is not None:
        pipeline["classify"].temperature_ = temperature
    return Model(
        pipeline=pipeline,
        novelty=_fit_novelty(table, config),
        genres=[str(genre) for genre in pipeline.classes_],
        feature_names=table.names,
        config=config,
        from_audio=table.config is not None,
        counts=dict(sorted(Counter(table.labels).items())),
        made=Task(table, config).made,
        versions=versions(),
        evaluation=None,
        threshold=0.0,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        curves=_curves(pipeline),
    )


def _curves(pipeline: Pipeline) -> LearningCurves | None:
    history = getattr(pipeline["classify"], "history_", None)
    return None if history is None else LearningCurves(**history)


def _fit_novelty(table: FeatureTable, config: Config) -> NoveltyDetector:
    detector = NoveltyDetector(measures_spread(table.names), random_state=config.seed)
    if config.learn_from == "excerpts" and table.excerpts is not None:
        groups = np.repeat(own_groups(table.groups), table.excerpts.shape[1])
        return detector.fit(as_rows(table.excerpts), groups=groups)
    return detector.fit(table.values, groups=table.groups if table.has_groups else None)


def fit_pipeline(table: FeatureTable, config: Config, *, calibrated: bool = True) -> Pipeline:
    """Fit the configured classifier to a labelled table.

    Groups stay together in the folds that calibrate the probabilities. The pipeline takes what
    ``inputs`` makes of a table.

    Parameters
    ----------
    table : FeatureTable
    config : Config
    calibrated : bool
        Learn a temperature, which takes more fits and never changes the most probable genre.

    Raises
    ------
    ConfigError
        If there cannot be as many principal components as the configuration asks for.
    TableError
        If no column varies, or there are too few tracks for this classifier.
    """
    if not (np.fmin.reduce(table.values) < np.fmax.reduce(table.values)).any():
        raise TableError("no column varies from track to track: there is nothing to learn from")
    task = Task(table, config, calibrated)
    _check_pca(task)
    pipeline = config.classifier.pipeline(task)
    groups = table.groups if table.has_groups else None
    with _explained_errors(task):
        pipeline.fit(inputs(table, config), table.labels, classify__groups=groups)
    return pipeline


def _check_pca(task: Task) -> None:
    pca, most = task.config.pca, min(task.n_rows, task.n_columns)
    if isinstance(pca, int) and pca > most:
        rows = "tracks" if task.rows_per_track == 1 else "excerpts"
        raise ConfigError(
            f"pca = {pca}: {task.n_rows} {rows} with {task.n_columns} columns have at most "
            f"{most} components"
        )


@contextmanager
def _explained_errors(task: Task) -> Iterator[None]:
    """Turn the error of an estimator about the data into one that names classifier and tracks."""
    with warnings.catch_warnings():
        # A perceptron that stops at max_iter still classifies; its accuracy shows how well.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # Few labels of many genres are what one begins with.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        try:
            yield
        except ValueError as error:
            raise TableError(
                f"{task.config.classifier.name} cannot learn from {task.n_tracks} tracks of "
                f"{len(task.table.genres)} genres: {str(error).splitlines()[0]}"
            ) from None


def tune(table: FeatureTable, config: Config) -> Config:
    """Choose hyperparameters by cross-validation within a labelled table.

    The mean accuracy on folds that keep groups together decides. The accuracy of the result has
    to be measured on other tracks.

    Returns
    -------
    Config
        With the best values in its classifier section.
    """
    folds = _inner_folds(table, config)
    task = Task(table, config, calibrated=False)
    n_tracks = min(len(train) for train, _ in folds)
    candidates = [
        msgspec.structs.replace(config.classifier, **values)
        for values in ParameterGrid(config.classifier.search_space(n_tracks, task.n_columns))
    ]
    # Candidates are not watched: an interruption ends the tuning, and keeps none of them.
    with _explained_errors(task), watched(Watch()):
        given = inputs(table, config)
        accuracies = [
            cross_val_score(
                candidate.pipeline(task), given, table.labels,
                cv=folds, scoring="accuracy", error_score="raise",
            ).mean()
            for candidate in candidates
        ]  # fmt: skip
    return msgspec.structs.replace(config, classifier=candidates[int(np.argmax(accuracies))])


def _inner_folds(table: FeatureTable, config: Config) -> list[Fold]:
    for groups in (table.groups, None) if table.has_groups else (None,):
        splits = cross_validation(table.labels, groups, INNER_FOLDS, config.seed)
        if folds := known_genres_only(splits.folds, table.labels):
            return folds  # none if every genre has one group only
    raise TableError("too few tracks to tune hyperparameters by cross-validation")


def training_seconds(
    table: FeatureTable, config: Config, *, search: bool = False, calibrated: bool = True
) -> float:
    """Estimate the time of one training on one core, in seconds.

    A rough rule from one measurement, by which a person may choose another classifier.

    Parameters
    ----------
    table : FeatureTable
    config : Config
    search : bool
        Whether hyperparameters are tuned first.
    calibrated : bool
        Whether a temperature is learned.
    """
    n_tracks, n_columns = len(table), len(table.names)
    config = resolve(config, table)
    task = Task(table, config)
    n_rows = task.n_rows + sum(task.made.values())
    once = config.classifier.seconds(n_rows, n_columns, len(table.genres))
    if task.made and config.augment == "gan":
        once += config.classifier.resamplings * config.gan.seconds
    in_a_fold = 1 - 1 / INNER_FOLDS
    n_fits = 1.0
    if calibrated and config.classifier.refits_to_calibrate:
        n_fits += count_calibration_folds(n_tracks, INNER_FOLDS) * in_a_fold
    if search:
        space = config.classifier.search_space(n_tracks, n_columns)
        n_fits += math.prod(map(len, space.values())) * INNER_FOLDS * in_a_fold
    return once * n_fits
