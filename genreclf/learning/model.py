"""Model: a fitted classifier, and what it was trained on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from genreclf.config.load import preset_of
from genreclf.config.schema import Config
from genreclf.errors import ModelError, TableError, shortened
from genreclf.extraction.tracks import Failure, Outcome, extract_tracks
from genreclf.features.measured import Measured, frame_shapes
from genreclf.features.pooling import feature_names
from genreclf.learning.card import Card
from genreclf.learning.modelfile import read_model, write_model
from genreclf.learning.networktags import NetworkTags
from genreclf.learning.novelty import NoveltyDetector
from genreclf.learning.prediction import (
    Explained,
    Prediction,
    TrackToPredict,
    novelty_and_probabilities,
    predict_inputs,
    predict_outcomes,
    with_tags,
)
from genreclf.library.sources import Track
from genreclf.parallel.workers import Workers
from genreclf.tables.inputs import Inputs, inputs, inputs_of
from genreclf.tables.table import FeatureTable, Texts

if TYPE_CHECKING:
    from genreclf.learning.duplicates import Copies
    from genreclf.learning.thresholds import Threshold
    from genreclf.parallel.cluster import DaskWorkers


class Evaluated(Protocol):
    """An ``Evaluation``, of which a model keeps the plain values."""

    @property
    def config(self) -> Config:
        """How the evaluated classifier was trained."""

    @property
    def temperature(self) -> float | None:
        """The temperature that fits its scores."""

    def to_dict(self, *, suggest: bool = False) -> dict[str, Any]:
        """Return plain values."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(Card):
    """A fitted pipeline, and what its ``Card`` says about it.

    Attributes
    ----------
    pipeline : sklearn.pipeline.Pipeline
        From the features of tracks to calibrated probabilities of genres.
    novelty : NoveltyDetector
        Finds tracks that are unlike the training tracks.
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
        copies: "Copies | None" = None,
    ) -> "Model":
        """Train on a table.

        Parameters
        ----------
        table : FeatureTable
            Rows without a label are left out.
        config : Config, optional
            How to learn; which features there are depends on the table only.
        search : bool
            Tune the classifier's hyperparameters by cross-validation first.
        evaluation : Evaluation or dict, optional
            To store with the model; a dictionary as ``Evaluation.to_dict`` returns it. If it has
            a threshold, the model predicts ``unknown`` below it. An ``Evaluation`` of this table
            and configuration also gives the temperature of the probabilities, which otherwise
            takes another cross-validation.
        copies : Copies, optional
            What ``copies_in`` finds in a table in which every row has a label.

        Raises
        ------
        TableError
            If there are fewer than two genres.
        """
        from genreclf.learning.training import fit_model

        measured = None if isinstance(evaluation, dict) else evaluation
        model = fit_model(
            table, config or Config(), search=search, copies=copies, evaluation=measured
        )
        return model.with_evaluation(evaluation)

    def with_evaluation(self, evaluation: "Evaluated | dict[str, Any] | None") -> "Model":
        """Return this model with an evaluation, and with its threshold if it has one."""
        if evaluation is not None and not isinstance(evaluation, dict):
            evaluation = evaluation.to_dict(suggest=True)
        threshold = (evaluation or {}).get("threshold", {"confidence": 0})
        return replace(self, evaluation=evaluation, threshold=float(threshold["confidence"]))

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
        self, table: FeatureTable, *, explained: Explained = False, tags: NetworkTags | None = None
    ) -> Iterator[Prediction]:
        """Yield a prediction for each track of a table, with explanation and tags if asked for."""
        tracks = [TrackToPredict(str(path)) for path in table.paths]
        predictions = predict_inputs(self, self._inputs(table), tracks, explained=explained)
        return predictions if tags is None else with_tags(predictions, tags.of_table(table))

    def predict_files(
        self,
        paths: Iterable[str | Path],
        workers: "Workers | DaskWorkers | None" = None,
        cache: Path | None = None,
        *,
        tags: bool = False,
    ) -> Iterator[Prediction | Failure]:
        """Yield a prediction or a failure for each audio file, in their order.

        Parameters
        ----------
        paths : iterable of str or Path
        workers : Workers or DaskWorkers, optional
        cache : Path, optional
            See ``extract_tracks``.
        tags : bool
            Also return the tags of the network whose embeddings the model uses.

        Raises
        ------
        ModelError
            If the model was trained on a table that genreclf did not make, or uses no network with
            tags.
        """
        self.require_audio()
        found = NetworkTags.of(self.config) if tags else None
        tracks = (Track(Path(path)) for path in paths)
        outcomes = extract_tracks(tracks, found.config if found else self.config, workers, cache)
        yield from self.predict_outcomes(outcomes, tags=found)

    def predict_outcomes(
        self,
        outcomes: Iterable[Outcome],
        *,
        explained: Explained = False,
        tags: NetworkTags | None = None,
    ) -> Iterator[Prediction | Failure]:
        """Yield a prediction or a failure for each outcome of an extraction, in their order."""
        return predict_outcomes(self, outcomes, explained=explained, tags=tags)

    def columns(self, config: Config | None = None) -> list[int]:
        """Return the positions of the model's columns among those that a configuration makes.

        Parameters
        ----------
        config : Config, optional
            Without it, the model's.

        Raises
        ------
        ModelError
            If the configuration does not make one of them.
        """
        place = {name: column for column, name in enumerate(feature_names(config or self.config))}
        if unknown := [name for name in self.feature_names if name not in place]:
            raise ModelError(
                f"the model's configuration makes no {shortened(unknown[0])}, which its card names"
            )
        return [place[name] for name in self.feature_names]

    def columns_of(self, table: FeatureTable) -> FeatureTable:
        """Return the table with only the columns that the pipeline takes, in its order.

        Raises
        ------
        TableError
            If the table lacks columns or was made with another configuration.
        """
        self._check_configuration(table)
        return table.with_columns(self.feature_names)

    def sensible_threshold(self) -> "Threshold":
        """Return the confidence below which to predict ``unknown``, from the model's evaluation.

        It is the threshold that was asked for in training, else the one below which predictions
        are more often wrong than correct. Its confidence is 0, so that nothing is withheld, if too
        few predictions were wrong to find one.

        Raises
        ------
        ModelError
            If the model was not evaluated, or its predictions are never correct often enough.
        """
        from genreclf.learning.thresholds import threshold_of_evaluation

        if self.evaluation is None:
            raise ModelError(
                "this model was not evaluated and has no threshold: give one as a number, or train "
                "it again without --no-evaluate"
            )
        try:
            found = threshold_of_evaluation(self.evaluation)
        except (KeyError, TypeError, ValueError):  # a card may hold anything there
            raise ModelError(
                "the model's evaluation is damaged: give a threshold as a number"
            ) from None
        if found is None:
            raise ModelError(
                "even this model's most confident predictions are more often wrong than correct"
            )
        return found

    def save(self, path: str | Path) -> None:
        """Write the model; the file is complete, or is not written at all.

        A name that ends in ``.skops`` makes a file that cannot run code when it is loaded; any
        other name makes a joblib file. This user's genreclf trusts the file from now on.

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
            loading it runs whatever code its author put there.

        Raises
        ------
        ModelError
            If it is not a model of genreclf, or is not trusted.
        """
        path = Path(path)
        card, estimators = read_model(path, trusted=trusted)
        model = cls(**vars(card), **estimators)
        if path.suffix.lower() == ".skops":  # the file may come from anyone
            model._check(path)
        return model

    def _check(self, path: Path) -> None:
        """Refuse estimators that do not fit the card, or cannot predict."""
        n_columns, shapes = len(self.feature_names), frame_shapes(self.config)
        frames = {name: np.zeros(shape, np.float16) for name, shape in shapes.items()}
        excerpts = np.zeros((self.config.n_excerpts, n_columns), np.float32)
        blank = Measured(np.zeros(n_columns, np.float32), frames, excerpts=excerpts)
        zeros = inputs_of([blank], range(n_columns), self.config)
        try:
            _, [probabilities] = novelty_and_probabilities(self, zeros)
            fits = list(self.pipeline.classes_) == self.genres
            fits &= bool(np.isfinite(probabilities).all())
        except Exception as error:  # estimators from others may raise anything
            reason = shortened(str(error) or type(error).__name__, 300)
            raise ModelError(f"{path}: not a genreclf model, or a damaged one ({reason})") from None
        if not fits:
            raise ModelError(f"{path}: its estimators do not fit its card")

    def _inputs(self, table: FeatureTable) -> Inputs:
        return inputs(self.columns_of(table), self.config)

    def _check_configuration(self, table: FeatureTable) -> None:
        if self.from_audio and table.config is not None:
            theirs, ours = table.config.fingerprint, self.config.fingerprint
            if theirs != ours:
                preset = preset_of(self.config)
                remedy = (
                    f"make it again: genreclf extract MUSIC --config {preset} -o TABLE"
                    if preset
                    else "genreclf predict MUSIC --model MODEL extracts what the model needs"
                )
                raise TableError(
                    f"the table was made with another configuration ({theirs}) than the model "
                    f"({ours}); {remedy}"
                )
