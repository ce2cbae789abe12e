"""Model: a fitted classifier with all that is needed to use and to judge it."""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from genreclf.card import Card
from genreclf.config import Config
from genreclf.errors import ModelError, TableError, shortened
from genreclf.extraction import Failure, Outcome, extract_tracks
from genreclf.modelfile import bundled_model, read_card, read_model, write_model
from genreclf.novelty import NoveltyDetector
from genreclf.pooling import feature_names
from genreclf.sources import Track
from genreclf.table import FeatureTable, Texts
from genreclf.versions import versions
from genreclf.workers import Workers

if TYPE_CHECKING:
    from genreclf.cluster import DaskWorkers
    from genreclf.evaluation import Evaluation

__all__ = ["UNKNOWN", "Model", "Prediction"]

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one track.

    Attributes
    ----------
    path : str
    probabilities : dict of str to float
        By falling probability.
    novel : bool
        Whether the track is unlike all that the model was trained on, so that none of its genres
        may fit.
    threshold : float
        Confidence below which the answer is ``unknown``.
    """

    path: str
    probabilities: dict[str, float]
    novel: bool = False
    threshold: float = 0.0

    @property
    def genre(self) -> str:
        """The most probable genre, or ``unknown`` where that is not probable enough."""
        return UNKNOWN if self.confidence < self.threshold else next(iter(self.probabilities))

    @property
    def confidence(self) -> float:
        """Probability of the most probable genre."""
        return next(iter(self.probabilities.values()))


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(Card):
    """A fitted pipeline and what it was made from, as its ``Card`` tells.

    Attributes
    ----------
    pipeline : sklearn.pipeline.Pipeline
        Impute, standardise, PCA, calibrated classifier.
    novelty : NoveltyDetector
        Tells what is unlike the training tracks.
    """

    pipeline: Pipeline
    novelty: NoveltyDetector

    @classmethod
    def fit(
        cls,
        table: FeatureTable,
        config: Config | None = None,
        *,
        search: bool = False,
        evaluation: "Evaluation | dict[str, Any] | None" = None,
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
        evaluation : Evaluation or dict, optional
            To be kept with the model; a dictionary as ``Evaluation.to_dict`` gives it. If that has
            a threshold, the model answers ``unknown`` below it.

        Raises
        ------
        TableError
            If there are not two genres to tell apart.
        """
        from genreclf.classifiers import fit_pipeline, tune  # predicting needs none of these
        from genreclf.duplicates import keep_copies_together

        config = config or Config()
        table = keep_copies_together(table.labelled())
        if len(table.genres) < 2:
            raise TableError(f"all tracks are {table.genres[0]!r}; two genres are needed to tell")
        if table.config is not None:
            config = config.with_extraction(table.config)
        if search:
            config = tune(table, config)
        pipeline = fit_pipeline(table, config)
        groups = table.groups if table.has_groups else None
        model = cls(
            pipeline=pipeline,
            novelty=NoveltyDetector(random_state=config.seed).fit(table.values, groups=groups),
            genres=[str(genre) for genre in pipeline.classes_],
            feature_names=table.names,
            config=config,
            from_audio=table.config is not None,
            counts=dict(sorted(Counter(table.labels).items())),
            versions=versions(),
            evaluation=None,
            threshold=0.0,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        return model.judged(evaluation)

    def judged(self, evaluation: "Evaluation | dict[str, Any] | None") -> "Model":
        """Return this model with an evaluation, and with the threshold if that has one."""
        if evaluation is not None and not isinstance(evaluation, dict):
            evaluation = evaluation.to_dict()
        return replace(self, evaluation=evaluation, threshold=_threshold(evaluation or {}))

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
        yield from self._predictions([str(path) for path in table.paths], self._values(table))

    def predict_files(
        self,
        paths: Iterable[str | Path],
        workers: "Workers | DaskWorkers | None" = None,
        cache: Path | None = None,
    ) -> Iterator[Prediction | Failure]:
        """Yield a prediction or a failure for each audio file, in their order.

        Parameters
        ----------
        paths : iterable of str or Path
        workers : Workers or DaskWorkers, optional
        cache : Path, optional
            See ``extract_tracks``.

        Raises
        ------
        ModelError
            If the model was trained on a table from elsewhere.
        """
        self.require_audio()
        tracks = (Track(Path(path)) for path in paths)
        yield from self.predict_outcomes(extract_tracks(tracks, self.config, workers, cache))

    def predict_outcomes(self, outcomes: Iterable[Outcome]) -> Iterator[Prediction | Failure]:
        """Yield a prediction or a failure for each track whose features were to be computed."""
        place = {name: column for column, name in enumerate(feature_names(self.config))}
        if unknown := [name for name in self.feature_names if name not in place]:
            raise ModelError(
                f"the model's configuration makes no {shortened(unknown[0])}, which its card names"
            )
        columns = [place[name] for name in self.feature_names]
        for outcome in outcomes:
            if isinstance(outcome, Failure):
                yield outcome
            else:
                values = outcome.values[None, columns]
                yield from self._predictions([str(outcome.track.path)], values)

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
        """Write the model; whole or not at all.

        With joblib, or as data that cannot run code where the name ends in ``.skops``. This user's
        genreclf trusts the file from now on.

        Raises
        ------
        ModelError
            If the file cannot be written.
        """
        write_model(Path(path), {"pipeline": self.pipeline, "novelty": self.novelty}, self)

    @classmethod
    def load(cls, path: str | Path, *, trusted: bool = False) -> "Model":
        """Read a model file.

        Parameters
        ----------
        path : str or Path
        trusted : bool
            Load it although someone else wrote it, and remember that. A joblib file is a pickle:
            loading it runs whatever code its maker put there.

        Raises
        ------
        ModelError
            If it is not a model of genreclf, or is not trusted.
        """
        path = Path(path)
        card = read_card(path)
        estimators = read_model(path, trusted=trusted)
        if not isinstance(estimators, dict) or estimators.keys() != {"pipeline", "novelty"}:
            raise ModelError(f"{path}: not a genreclf model")
        model = cls(**vars(card), **estimators)
        if path.suffix.lower() == ".skops":  # which anyone may have made
            model._check(path)
        if path != bundled_model():  # which is tested with every supported version
            _warn_of_versions(path, card.versions)
        return model

    def _check(self, path: Path) -> None:
        """Refuse estimators that do not fit the card, or do not even predict."""
        zeros = np.zeros((1, len(self.feature_names)), dtype=np.float32)
        try:
            [prediction] = self._predictions([""], zeros)
            fits = list(self.pipeline.classes_) == self.genres
            fits &= bool(np.isfinite(list(prediction.probabilities.values())).all())
        except Exception as error:  # whatever a stranger's estimators lead to
            reason = shortened(str(error) or type(error).__name__, 300)
            raise ModelError(f"{path}: not a genreclf model, or a damaged one ({reason})") from None
        if not fits:
            raise ModelError(f"{path}: its estimators do not fit its card")

    def _values(self, table: FeatureTable) -> NDArray[np.float32]:
        if self.from_audio and table.config is not None:
            theirs, ours = table.config.fingerprint, self.config.fingerprint
            if theirs != ours:
                raise TableError(
                    f"the table was made with another configuration ({theirs}) than the model "
                    f"({ours}); extract the features anew with the model's"
                )
        return table.columns_of(self.feature_names)

    def _predictions(self, paths: list[str], values: NDArray[np.float32]) -> Iterator[Prediction]:
        try:
            with np.errstate(all="ignore"):
                novel = self.novelty.is_novel(values)
                predicted = self.pipeline.predict_proba(values)
        except Exception as error:  # whatever a stranger's estimators lead to
            reason = shortened(str(error) or type(error).__name__, 300)
            raise ModelError(f"the model cannot predict, and may be damaged: {reason}") from None
        for i, row in enumerate(predicted):
            order = np.argsort(-row, kind="stable")
            probabilities = {self.genres[j]: float(row[j]) for j in order}
            yield Prediction(paths[i], probabilities, bool(novel[i]), self.threshold)


def _threshold(evaluation: dict[str, Any]) -> float:
    return float(evaluation["threshold"]["confidence"]) if "threshold" in evaluation else 0.0


def _warn_of_versions(path: Path, written_with: dict[str, str]) -> None:
    now = versions()
    differing = [
        f"{package} {written_with[package]} (here {now[package]})"
        for package in ("genreclf", "scikit-learn", "numpy")
        if package in written_with and _minor(written_with[package]) != _minor(now[package])
    ]
    if differing:
        warnings.warn(
            f"{path} was written with {', '.join(differing)}; predictions may differ, train it "
            "anew if in doubt",
            stacklevel=3,
        )


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]
