"""Model: a fitted classifier with all that is needed to use and to judge it."""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import Pipeline

from genreclf.config import Config, config_from_dict
from genreclf.errors import ModelError, TableError
from genreclf.extraction import Failure, extract_tracks
from genreclf.files import written_whole
from genreclf.sources import Track
from genreclf.table import FeatureTable, Texts
from genreclf.versions import versions
from genreclf.workers import Workers

if TYPE_CHECKING:
    from genreclf.evaluation import Evaluation

__all__ = ["Model", "Prediction"]

_FORMAT = "genreclf-model"
_FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one track; genres by falling probability."""

    path: str
    probabilities: dict[str, float]

    @property
    def genre(self) -> str:
        """The most probable genre."""
        return next(iter(self.probabilities))

    @property
    def confidence(self) -> float:
        """Its probability."""
        return self.probabilities[self.genre]


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted pipeline and what it was made from.

    Attributes
    ----------
    pipeline : sklearn.pipeline.Pipeline
        Impute, standardise, PCA, calibrated classifier.
    feature_names : list of str
        The columns that the pipeline takes, in order.
    config : Config
        What the features were made with and how they were learned from.
    from_audio : bool
        Whether ``config`` made the features, so that the model can predict from audio; False
        for a model of a table from elsewhere.
    counts : dict of str to int
        Training tracks a genre.
    versions : dict of str to str
    evaluation : dict or None
        As ``Evaluation.to_dict`` gives it.
    created : str
        Date and time, ISO 8601, UTC.
    """

    pipeline: Pipeline
    feature_names: list[str]
    config: Config
    from_audio: bool
    counts: dict[str, int]
    versions: dict[str, str]
    evaluation: dict[str, Any] | None
    created: str

    @property
    def genres(self) -> list[str]:
        """What the model tells apart, in the order of the probabilities' columns."""
        return [str(genre) for genre in self.pipeline.classes_]

    @classmethod
    def fit(
        cls,
        table: FeatureTable,
        config: Config | None = None,
        *,
        search: bool = False,
        evaluation: "Evaluation | None" = None,
    ) -> "Model":
        """Train on a table.

        Parameters
        ----------
        table : FeatureTable
            Rows without a label are left out.
        config : Config, optional
            How to learn; what the features are is the table's to say.
        search : bool
            Tune the classifier's hyperparameters by cross-validation first.
        evaluation : Evaluation, optional
            To be kept with the model.

        Raises
        ------
        TableError
            If there are not two genres to tell apart.
        """
        from genreclf.classifiers import fit_pipeline, tune  # predicting needs none of it

        config = config or Config()
        table = table.labelled()
        if len(table.genres) < 2:
            raise TableError(f"all tracks are {table.genres[0]!r}; two genres are needed to tell")
        if table.config is not None:
            config = config.with_extraction(table.config)
        if search:
            config = tune(table, config)
        return cls(
            pipeline=fit_pipeline(table, config),
            feature_names=table.names,
            config=config,
            from_audio=table.config is not None,
            counts=dict(sorted(Counter(table.labels).items())),
            versions=versions(),
            evaluation=evaluation.to_dict() if evaluation else None,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def predict(self, table: FeatureTable) -> Texts:
        """Return the most probable genre of each track of a table, (n_tracks,)."""
        return np.array(self.genres, dtype=object)[self.predict_proba(table).argmax(axis=1)]

    def predict_proba(self, table: FeatureTable) -> NDArray[np.float64]:
        """Return the probabilities of ``genres`` for each track, (n_tracks, n_genres).

        Raises
        ------
        TableError
            If the table lacks columns or was made with another configuration.
        """
        probabilities: NDArray[np.float64] = self.pipeline.predict_proba(self._values(table))
        return probabilities

    def predict_table(self, table: FeatureTable) -> Iterator[Prediction]:
        """Yield a prediction for each track of a table."""
        for path, row in zip(table.paths, self.predict_proba(table), strict=True):
            yield self._prediction(str(path), row)

    def predict_files(
        self,
        paths: Iterable[str | Path],
        workers: Workers | None = None,
    ) -> Iterator[Prediction | Failure]:
        """Yield a prediction or a failure for each audio file, in their order.

        Parameters
        ----------
        paths : iterable of str or Path
        workers : Workers, optional
            See ``extract_tracks``.

        Raises
        ------
        ModelError
            If the model was trained on a table from elsewhere.
        """
        if not self.from_audio:
            raise ModelError(
                "this model was trained on a table from elsewhere, so that nobody knows how to "
                "make its features from audio; predict from such a table with --table"
            )
        tracks = (Track(Path(path)) for path in paths)
        for outcome in extract_tracks(tracks, self.config, workers):
            if isinstance(outcome, Failure):
                yield outcome
            else:
                row = self.pipeline.predict_proba(outcome.values[None])[0]
                yield self._prediction(str(outcome.track.path), row)

    def evaluate(self, table: FeatureTable) -> "Evaluation":
        """Compare predictions with the labels of a table.

        Raises
        ------
        TableError
            If the columns do not fit, or no track has a label that the model knows.
        """
        from genreclf.evaluation import evaluate_model

        return evaluate_model(self.pipeline, self.genres, self._values(table), table, self.config)

    def save(self, path: str | Path) -> None:
        """Write the model with joblib; whole or not at all.

        Raises
        ------
        ModelError
            If the file cannot be written.
        """
        content = {name: getattr(self, name) for name in self.__dataclass_fields__}
        content["config"] = self.config.to_dict()
        payload = {"format": _FORMAT, "format_version": _FORMAT_VERSION, **content}
        try:
            with written_whole(Path(path)) as aside:
                joblib.dump(payload, aside)
        except OSError as error:
            raise ModelError(f"{path}: cannot be written: {error.strerror or error}") from None

    @classmethod
    def load(cls, path: str | Path) -> "Model":
        """Read a model file.

        A joblib file is a pickle: loading it runs whatever code its maker put there. Load only
        files that you or someone you trust wrote.

        Raises
        ------
        ModelError
            If it is not a model of genreclf.
        """
        payload = _unpickle(Path(path))
        if not isinstance(payload, dict) or payload.get("format") != _FORMAT:
            raise ModelError(f"{path}: not a genreclf model")
        if payload.get("format_version") != _FORMAT_VERSION:
            raise ModelError(
                f"{path}: a model of format {payload.get('format_version')}, but this genreclf "
                f"reads {_FORMAT_VERSION}; train it anew"
            )
        if missing := [name for name in cls.__dataclass_fields__ if name not in payload]:
            raise ModelError(f"{path}: an incomplete model, without {missing[0]}")
        content = {name: payload[name] for name in cls.__dataclass_fields__}
        content["config"] = config_from_dict(content["config"], str(path))
        _warn_of_versions(Path(path), content["versions"])
        return cls(**content)

    def _values(self, table: FeatureTable) -> NDArray[np.float32]:
        if self.from_audio and table.config is not None:
            theirs, ours = table.config.fingerprint, self.config.fingerprint
            if theirs != ours:
                raise TableError(
                    f"the table was made with another configuration ({theirs}) than the model "
                    f"({ours}); extract the features anew with the model's"
                )
        return table.columns_of(self.feature_names)

    def _prediction(self, path: str, row: NDArray[np.float64]) -> Prediction:
        order = np.argsort(-row, kind="stable")
        return Prediction(path, {self.genres[i]: float(row[i]) for i in order})


def _unpickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # Told once, in our own words, instead of once for each part of the pipeline.
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            return joblib.load(path)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; train a model first, or name one") from None
    except Exception as error:
        # Damaged pickles raise whatever their bytes lead to.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(f"{path}: not a genreclf model, or a damaged one ({reason})") from None


def _warn_of_versions(path: Path, written_with: dict[str, str]) -> None:
    now = versions()
    differing = [
        f"{package} {written_with[package]} (here {now[package]})"
        for package in ("genreclf", "scikit-learn", "numpy")
        if _minor(written_with[package]) != _minor(now[package])
    ]
    if differing:
        warnings.warn(
            f"{path} was written with {', '.join(differing)}; predictions may differ, train it "
            "anew if in doubt",
            stacklevel=3,
        )


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]
