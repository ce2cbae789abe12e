"""FeatureExtractor: the extraction as a scikit-learn transformer, from paths to features."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from genreclf.config.load import load_config
from genreclf.config.schema import ExtractionConfig
from genreclf.errors import AudioError
from genreclf.extraction.tracks import Failure, extract_tracks
from genreclf.features.pooling import feature_names
from genreclf.library.sources import Track
from genreclf.parallel.workers import Workers


class FeatureExtractor(TransformerMixin, BaseEstimator):
    """Turn paths of audio files into features, as a step of a scikit-learn pipeline.

    Parameters
    ----------
    config : str, Path or ExtractionConfig
        A preset's name, a TOML file, or a configuration.
    jobs : int, optional
        Worker processes; None computes in this process.
    on_failure : "raise" or "nan"
        What a file without features gives: an ``AudioError``, or a row of NaN, which an imputer
        can fill.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.svm import SVC
    >>> from genreclf import FeatureExtractor
    >>> classifier = make_pipeline(FeatureExtractor("wide"), StandardScaler(), SVC())
    """

    def __init__(
        self,
        config: str | Path | ExtractionConfig = "default",
        jobs: int | None = None,
        on_failure: str = "raise",
    ) -> None:
        self.config = config
        self.jobs = jobs
        self.on_failure = on_failure

    def fit(self, X: ArrayLike, y: Any = None) -> "FeatureExtractor":
        """Check the parameters; there is nothing to learn.

        Raises
        ------
        ConfigError
            If the configuration does not exist.
        ValueError
            If ``on_failure`` is something else, or ``X`` is not a list of paths.
        """
        if self.on_failure not in ("raise", "nan"):
            raise ValueError(f"on_failure is {self.on_failure!r}; it can be 'raise' or 'nan'")
        _paths(X)
        self._configuration()
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Compute the features.

        Parameters
        ----------
        X : (n,) or (n, 1) array of str or Path

        Returns
        -------
        (n, n_features) float32

        Raises
        ------
        AudioError
            If a file fails and ``on_failure`` is "raise".
        """
        config = self._configuration()
        tracks = [Track(Path(path)) for path in _paths(X)]
        values = np.full((len(tracks), len(feature_names(config))), np.nan, dtype=np.float32)
        with Workers(self.jobs) if self.jobs else nullcontext() as workers:
            for row, outcome in enumerate(extract_tracks(tracks, config, workers)):
                if not isinstance(outcome, Failure):
                    values[row] = outcome.measured.statistics
                elif self.on_failure == "raise":
                    raise AudioError(outcome.error)
        return values

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Name the columns, as in ``mix.mfcc.03.mean``."""
        return np.array(feature_names(self._configuration()), dtype=object)

    def _configuration(self) -> ExtractionConfig:
        if isinstance(self.config, ExtractionConfig):
            return self.config
        return load_config(self.config)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        return tags


def _paths(X: ArrayLike) -> list[str]:
    paths = np.asarray(X, dtype=object)
    if paths.ndim == 2 and paths.shape[1] == 1:
        paths = paths[:, 0]
    if paths.ndim != 1 or not all(isinstance(path, str | Path) for path in paths):
        raise ValueError("X has to be a list or a column of paths of audio files")
    return [str(path) for path in paths]
