"""The steps that most classifiers share: codebook, impute, standardise, PCA, calibrate."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from genreclf.config.schema import Config
from genreclf.learning.augmentation.resampled import resampled, resampling
from genreclf.learning.augmentation.sampler import missing_samples
from genreclf.learning.calibration import TemperatureScaled
from genreclf.learning.codebook import make_codebook
from genreclf.learning.excerpts import ExcerptPipeline, rows_per_track
from genreclf.learning.scaling import LogScaler, measures_spread
from genreclf.tables.table import FeatureTable

INNER_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Task:
    """What a pipeline is built for.

    Attributes
    ----------
    table : FeatureTable
        The tracks that it is trained on.
    config : Config
    calibrated : bool
        Whether the temperature of the probabilities is learned.
    """

    table: FeatureTable
    config: Config
    calibrated: bool = True

    @property
    def n_tracks(self) -> int:
        """Number of training tracks."""
        return len(self.table)

    @property
    def rows_per_track(self) -> int:
        """Number of rows that the classifier learns from of each track: 1, or its excerpts."""
        return rows_per_track(self.config, self.table)

    @property
    def n_rows(self) -> int:
        """Number of rows that the classifier learns from."""
        return self.n_tracks * self.rows_per_track

    @property
    def made(self) -> dict[str, int]:
        """Number of rows that augmentation makes for each scarce genre."""
        if self.config.augment == "none":
            return {}
        return missing_samples(np.repeat(self.table.labels, self.rows_per_track))

    @property
    def n_columns(self) -> int:
        """Number of statistics and words that the classifier learns from."""
        n_with_words = 0 if self.table.frames is None else len(self.table.frames)
        return len(self.table.names) + self.config.codebook.n_words * n_with_words


def standard_pipeline(
    classifier: Any, task: Task, *, pca: float | Literal["off"] = "off"
) -> Pipeline:
    """Build (codebook →) impute → standardise → PCA → calibrated classifier, unfitted.

    Parameters
    ----------
    classifier : estimator
    task : Task
    pca : float or "off"
        What ``pca = "auto"`` stands for: the share of the variance that is kept.
    """
    codebook = make_codebook(task.config)
    n_components = pca if task.config.pca == "auto" else task.config.pca
    off = n_components == "off"
    n_folds = INNER_FOLDS if task.calibrated else 0
    # An ensemble resamples in its members, because these are calibrated.
    if "resampling" not in classifier.get_params():
        classifier = resampled(classifier, resampling(task.config))
    kind = ExcerptPipeline if task.config.learn_from == "excerpts" else Pipeline
    return kind(
        [
            *([("codebook", codebook)] if codebook is not None else []),
            ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("standardise", _scaler(task)),
            (
                "pca",
                "passthrough" if off else PCA(n_components, svd_solver="full"),
            ),
            (
                "classify",
                TemperatureScaled(classifier, n_folds, task.config.seed, task.rows_per_track),
            ),
        ]
    )


def _scaler(task: Task) -> LogScaler:
    config, names = task.config, task.table.names
    logarithmic = np.zeros(task.n_columns, dtype=bool)
    if config.scaling == "log":
        logarithmic[: len(names)] = measures_spread(names)
    limit = np.inf if config.scaling_limit == "off" else config.scaling_limit
    return LogScaler(logarithmic, limit)
