"""Model: a fitted classifier with all that is needed to use and to judge it."""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from genreclf.config.schema import Config
from genreclf.errors import ModelError, TableError, shortened
from genreclf.extraction.chain import Failure, Outcome, Row, extract_tracks
from genreclf.features.kept import Layout
from genreclf.features.pooling import feature_names
from genreclf.learning.card import Card
from genreclf.learning.codebook import inputs, settle
from genreclf.learning.explanation import explain
from genreclf.learning.modelfile import bundled_model, read_card, read_model, write_model
from genreclf.learning.novelty import NoveltyDetector
from genreclf.learning.scaling import measures_spread
from genreclf.library.sources import Track
from genreclf.parallel.workers import Workers
from genreclf.tables.table import FeatureTable, Texts
from genreclf.versions import versions

if TYPE_CHECKING:
    from genreclf.learning.thresholds import Threshold
    from genreclf.parallel.cluster import DaskWorkers

UNKNOWN = "unknown"

# Tracks that are predicted at once. A forest takes as long for one as for so many.
BATCH = 16


class Evaluated(Protocol):
    """An ``Evaluation``, of which a model keeps the plain values."""

    def to_dict(self, *, suggest: bool = False) -> dict[str, Any]:
        """Return plain values."""


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
    explanation : dict of str to float
        Where it was asked for: what each group of features adds to the probability of the most
        probable genre, against the average training track; the largest first.
    notes : tuple of str
        What the user should know of how the track was heard, without its name.
    """

    path: str
    probabilities: dict[str, float]
    novel: bool = False
    threshold: float = 0.0
    explanation: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

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
        Impute, standardise, PCA, calibrated classifier; before them the codebook, if there is one.
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
        evaluation: "Evaluated | dict[str, Any] | None" = None,
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
        from genreclf.learning.classifiers import (  # predicting needs none of these
            fit_pipeline,
            tune,
        )
        from genreclf.learning.duplicates import keep_copies_together

        config = settle(config or Config(), table)
        table = table.labelled()
        # The order of rows decides what a random state draws: the same tracks, the same model.
        table = keep_copies_together(table.take(table.canonical_order()))
        if len(table.genres) < 2:
            raise TableError(f"all tracks are {table.genres[0]!r}; at least two genres are needed")
        if table.config is not None:
            config = config.with_extraction(table.config)
        if search:
            config = tune(table, config)
        pipeline = fit_pipeline(table, config)
        groups = table.groups if table.has_groups else None
        novelty = NoveltyDetector(measures_spread(table.names), random_state=config.seed)
        model = cls(
            pipeline=pipeline,
            novelty=novelty.fit(table.values, groups=groups),
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
        return model.with_evaluation(evaluation)

    def with_evaluation(self, evaluation: "Evaluated | dict[str, Any] | None") -> "Model":
        """Return this model with an evaluation, and with the threshold if that has one."""
        if evaluation is not None and not isinstance(evaluation, dict):
            evaluation = evaluation.to_dict(suggest=True)
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
        probabilities: NDArray[np.float64] = self.pipeline.predict_proba(self._inputs(table))
        return probabilities

    def predict_table(
        self, table: FeatureTable, *, explained: bool = False
    ) -> Iterator[Prediction]:
        """Yield a prediction for each track of a table, explained if that is asked for."""
        values = self._inputs(table)
        for path, row, novel, probabilities in zip(
            table.paths, values, *self._judge(values), strict=True
        ):
            prediction = self._prediction(str(path), novel, probabilities)
            yield self._explained(prediction, row[None]) if explained else prediction

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
        outcomes = extract_tracks(tracks, self.config, workers, cache, each_excerpt=True)
        yield from self.predict_outcomes(outcomes)

    def predict_outcomes(
        self, outcomes: Iterable[Outcome], *, explained: bool = False
    ) -> Iterator[Prediction | Failure]:
        """Yield a prediction or a failure for each track whose features were to be computed.

        Of several rows of features of a track the probabilities are averaged, and the track is
        novel if half of them are.
        """
        columns = self.columns()
        outcomes = iter(outcomes)
        while batch := list(islice(outcomes, BATCH)):
            rows = [outcome for outcome in batch if isinstance(outcome, Row)]
            predictions = iter(self._predict_rows(rows, columns, explained))
            for outcome in batch:
                yield outcome if isinstance(outcome, Failure) else next(predictions)

    def columns(self) -> list[int]:
        """Return where the model's columns stand among those that its configuration makes.

        Raises
        ------
        ModelError
            If the configuration lacks one.
        """
        place = {name: column for column, name in enumerate(feature_names(self.config))}
        if unknown := [name for name in self.feature_names if name not in place]:
            raise ModelError(
                f"the model's configuration makes no {shortened(unknown[0])}, which its card names"
            )
        columns = [place[name] for name in self.feature_names]
        return [*columns, *range(len(place), len(place) + self._n_kept)]

    def columns_of(self, table: FeatureTable) -> FeatureTable:
        """Return the table with those columns only that the pipeline takes, in its order.

        Raises
        ------
        TableError
            If the table lacks columns or was made with another configuration.
        """
        return replace(table, names=self.feature_names, values=self._values(table))

    def predict_windows(self, path: str, values: NDArray[np.float32]) -> list[Prediction]:
        """Return a prediction for each row of features of one track, (n, n_features)."""
        if not len(values):
            return []
        judged = zip(*self._judge(values[:, self.columns()]), strict=True)
        return [self._prediction(path, novel, probabilities) for novel, probabilities in judged]

    def _predict_rows(
        self, rows: Sequence[Row], columns: list[int], explained: bool
    ) -> Iterator[Prediction]:
        if not rows:
            return
        vectors = [np.atleast_2d(row.values)[:, columns] for row in rows]
        novel, probabilities = self._judge(np.concatenate(vectors))
        start = 0
        for row, several in zip(rows, vectors, strict=True):
            own = slice(start, start := start + len(several))
            prediction = self._prediction(
                str(row.track.path), novel[own].mean() >= 0.5, probabilities[own].mean(axis=0)
            )
            prediction = replace(prediction, notes=row.notes)
            yield self._explained(prediction, several) if explained else prediction

    def sensible_threshold(self) -> "Threshold":
        """Return the confidence below which to answer ``unknown``, as its evaluation has it.

        That which was asked for in training, else that from which on answers are more often right
        than wrong; to a tenth, where the model was evaluated before there was such a threshold.
        Its confidence is 0 where too few answers were wrong to tell: nothing is withheld.

        Raises
        ------
        ModelError
            If the model was not evaluated, or is never right often enough.
        """
        from genreclf.learning.thresholds import threshold_of_evaluation

        if self.evaluation is None:
            raise ModelError(
                "this model was not evaluated and knows no threshold: name one, or train it anew "
                "with its cross-validation"
            )
        try:
            found = threshold_of_evaluation(self.evaluation)
        except (KeyError, TypeError, ValueError):  # a card may hold anything there
            raise ModelError("the model's evaluation is damaged: name a threshold") from None
        if found is None:
            raise ModelError("even the surest answers of this model are as often wrong as right")
        return found

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
        zeros = np.zeros((1, len(self.feature_names) + self._n_kept), dtype=np.float32)
        try:
            _, [probabilities] = self._judge(zeros)
            fits = list(self.pipeline.classes_) == self.genres
            fits &= bool(np.isfinite(probabilities).all())
        except Exception as error:  # whatever a stranger's estimators lead to
            reason = shortened(str(error) or type(error).__name__, 300)
            raise ModelError(f"{path}: not a genreclf model, or a damaged one ({reason})") from None
        if not fits:
            raise ModelError(f"{path}: its estimators do not fit its card")

    @property
    def _n_kept(self) -> int:
        """How many numbers of frames the pipeline takes behind the statistics."""
        return Layout.of(self.config).n_kept if self.config.codebook.n_words else 0

    def _inputs(self, table: FeatureTable) -> NDArray[np.float32]:
        return inputs(self._values(table), table.frames, self.config)

    def _values(self, table: FeatureTable) -> NDArray[np.float32]:
        if self.from_audio and table.config is not None:
            theirs, ours = table.config.fingerprint, self.config.fingerprint
            if theirs != ours:
                raise TableError(
                    f"the table was made with another configuration ({theirs}) than the model "
                    f"({ours}); extract the features anew with the model's"
                )
        return table.columns_of(self.feature_names)

    def _judge(self, columns: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Return which rows are novel, and the probabilities of each, (n_rows, n_genres)."""
        try:
            with np.errstate(all="ignore"):
                novel = self.novelty.is_novel(columns[:, : len(self.feature_names)])
                return novel, self.pipeline.predict_proba(columns)
        except Exception as error:  # whatever a stranger's estimators lead to
            raise _damaged(error) from None

    def _prediction(self, path: str, novel: Any, row: NDArray[np.float64]) -> Prediction:
        order = np.argsort(-row, kind="stable")
        probabilities = {self.genres[j]: float(row[j]) for j in order}
        return Prediction(path, probabilities, bool(novel), self.threshold)

    def _explained(self, prediction: Prediction, values: NDArray[np.float32]) -> Prediction:
        genre = self.genres.index(next(iter(prediction.probabilities)))
        try:
            with np.errstate(all="ignore"):
                pipeline, names = self.pipeline, self.feature_names
                if self._n_kept:  # a codebook's words are explained, not its frames
                    values, pipeline = pipeline[:1].transform(values), pipeline[1:]
                    names = [*names, *["codebook."] * (values.shape[1] - len(names))]
                found = explain(pipeline, names, values, genre)
        except Exception as error:  # as above
            raise _damaged(error) from None
        return replace(prediction, explanation=found)


def _damaged(error: Exception) -> ModelError:
    reason = shortened(str(error) or type(error).__name__, 300)
    return ModelError(f"the model cannot predict, and may be damaged: {reason}")


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
