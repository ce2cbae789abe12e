"""The result of an evaluation: predictions of held-out tracks, and figures computed from them."""

import csv
import io
from dataclasses import astuple, dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from genreclf.config.schema import Config
from genreclf.errors import TableError, escaped
from genreclf.evaluation.intervals import chance_agreement, learning_factor, share_interval
from genreclf.evaluation.reliability import (
    ConfidenceBin,
    calibration_error_by_chance,
    expected_calibration_error,
    reliability,
)
from genreclf.evaluation.significance import permutation_p_value
from genreclf.learning.splits import Splits
from genreclf.learning.thresholds import (
    Threshold,
    nearest_to_precision,
    sensible_threshold,
    threshold_for_precision,
)
from genreclf.tables.table import FeatureTable, Texts
from genreclf.versions import versions

Doubles = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions of tracks by a classifier that was not trained on them.

    Attributes
    ----------
    rows : (n,) array of int
        Rows of the table.
    labels, predicted, groups : (n,) array of str
    probabilities : (n, n_genres) array
        0 for a genre that the classifier was not trained on.
    known : (n,) array of bool
        Whether the classifier was trained on the track's genre.
    temperature : float or None
        Fits the scores of all these tracks; None if each fold learned its own temperature.
    idle_weights : bool
        Whether class weights had no effect on the classifier of any fold.
    """

    rows: NDArray[np.intp]
    labels: Texts
    predicted: Texts
    groups: Texts
    probabilities: Doubles
    known: Booleans
    temperature: float | None = None
    idle_weights: bool = False

    @classmethod
    def of(
        cls, part: FeatureTable, rows: NDArray[np.intp], genres: list[str],
        probabilities: Doubles, known: Booleans,
    ) -> "HeldOut":  # fmt: skip
        """Predict the most probable genre of each track of ``part``, the ``rows`` of a table."""
        predicted = np.array(genres, dtype=object)[probabilities.argmax(axis=1)]
        return cls(rows, part.labels, predicted, part.groups, probabilities, known)

    @cached_property
    def correct(self) -> Booleans:
        """Which predictions are correct."""
        correct: Booleans = self.predicted == self.labels
        return correct

    @property
    def accuracy(self) -> float:
        """Share of correct predictions."""
        return float(self.correct.mean())

    @property
    def confidence(self) -> Doubles:
        """Probability of the predicted genre, (n,)."""
        highest: Doubles = self.probabilities.max(axis=1)
        return highest

    def interval(
        self, has_groups: bool, n_recordings: float | None = None, train_share: float | None = None
    ) -> tuple[float, float]:
        """95 % confidence interval of the accuracy; see ``share_interval``, ``learning_factor``.

        By default, each track is a recording of its own.
        """
        n_recordings = n_recordings or len(self.rows)
        tied = has_groups or n_recordings < len(self.rows)
        factor = learning_factor(self.labels, self.groups, train_share)
        chance = None if train_share is None else chance_agreement(self.labels, self.predicted)
        groups = self.groups if tied else None
        return share_interval(self.correct, groups, n_recordings, factor, chance)


@dataclass(frozen=True, eq=False)
class TestSet:
    """All tracks that were to be tested, also those that could not be."""

    rows: NDArray[np.intp]  # of the table
    paths: Texts
    folds: Texts  # numbers from 1, names of published folds, "test" for a split, or empty
    labels: Texts

    @classmethod
    def of(cls, table: FeatureTable, splits: Splits) -> "TestSet":
        """Take the test tracks of all folds."""
        rows = np.concatenate([test for _, test in splits.folds])
        sizes = [len(test) for _, test in splits.folds]
        folds = np.repeat(np.array(splits.names, dtype=object), sizes)
        return cls(rows, table.paths[rows], folds, table.labels[rows])


@dataclass(frozen=True, slots=True)
class TrackPrediction:
    """The prediction of one track; without genre and confidence if it could not be tested."""

    path: str
    fold: str
    label: str
    genre: str
    confidence: float | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A classifier's accuracy on tracks that it was not trained on.

    Attributes
    ----------
    held_out : HeldOut
    genres : list of str
    splits : dict
        ``kind`` (grouped, stratified, folds, split, held-out or model) and details.
    config : Config
    interval : (float, float)
        95 % confidence interval of the accuracy.
    test_set : TestSet
        All tracks that were to be tested, also those that could not be.
    weights : (n,) array
        Weight of each held-out track in thresholds: copies of a recording count once.
    ungrouped_accuracy : float or None
        With grouped folds: the accuracy that folds without groups would have claimed.
    notes : list of str
        How this was measured.
    warnings : list of str
        Those notes that are printed beside the accuracy.
    """

    held_out: HeldOut
    genres: list[str]
    splits: dict[str, Any]
    config: Config
    interval: tuple[float, float]
    test_set: TestSet
    weights: Doubles
    ungrouped_accuracy: float | None = None
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def accuracy(self) -> float:
        """Share of correct predictions."""
        return self.held_out.accuracy

    @property
    def temperature(self) -> float | None:
        """Temperature of a model that is trained on all these tracks; None if not known."""
        return self.held_out.temperature

    @property
    def baseline_accuracy(self) -> float:
        """Accuracy of always predicting the most frequent genre of these tracks."""
        return max(self._shares())

    @property
    def chance_accuracy(self) -> float:
        """Expected accuracy of random guesses in proportion to the genres of these tracks."""
        return sum(share**2 for share in self._shares())

    def _shares(self) -> list[float]:
        return [scores["n"] / len(self.held_out.rows) for scores in self.per_genre.values()]

    def top_accuracy(self, k: int) -> float:
        """Share of tracks whose genre is among the ``k`` most probable ones."""
        best = np.argsort(-self.held_out.probabilities, axis=1, kind="stable")[:, :k]
        named = np.array(self.genres, dtype=object)[best] == self.held_out.labels[:, None]
        return float((named.any(axis=1) & self.held_out.known).mean())

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """Number of tracks by true genre (rows) and predicted genre (columns)."""
        labels, predicted = self.held_out.labels, self.held_out.predicted
        matrix: NDArray[np.int64] = confusion_matrix(labels, predicted, labels=self.genres)
        return matrix

    @cached_property
    def per_genre(self) -> dict[str, dict[str, float]]:
        """Precision, recall, F1 and number of tracks of each tested genre."""
        precision, recall, f1, n = precision_recall_fscore_support(
            self.held_out.labels, self.held_out.predicted, labels=self.genres, zero_division=0
        )
        return {
            genre: {"precision": float(p), "recall": float(r), "f1": float(f), "n": int(count)}
            for genre, p, r, f, count in zip(self.genres, precision, recall, f1, n, strict=True)
            if count
        }

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the genres."""
        return float(np.mean([scores["recall"] for scores in self.per_genre.values()]))

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the genres."""
        return float(np.mean([scores["f1"] for scores in self.per_genre.values()]))

    @cached_property
    def reliability(self) -> list[ConfidenceBin]:
        """Confidence and accuracy of the predictions, in bins of confidence."""
        return reliability(self.held_out.confidence, self.held_out.correct)

    @cached_property
    def calibration(self) -> dict[str, Any]:
        """Calibration error, and the error that a calibrated classifier would have by chance."""
        error = expected_calibration_error(self.reliability)
        chance, low, high = calibration_error_by_chance(
            self.held_out.confidence, float(self.weights.sum()), self.config.seed
        )
        return {
            "expected_calibration_error": error,
            "calibration_error_by_chance": chance,
            "calibration_error_by_chance_ci95": [low, high],
            "excess_calibration_error": max(0.0, error - chance),
        }

    def threshold(self, target_precision: float) -> Threshold:
        """Find the lowest confidence at which predictions reach a precision.

        Raises
        ------
        TableError
            If not even the most confident predictions reach it.
        """
        predictions = self.held_out.confidence, self.held_out.correct
        found = threshold_for_precision(*predictions, target_precision, self.weights)
        if found is not None:
            return found
        n, precision = nearest_to_precision(*predictions, target_precision, self.weights)
        target = f"{100 * target_precision:.6g}%"
        remedy = "; lower --target-precision or add tracks"
        if precision >= target_precision:  # one standard error below n of n is n / (n + 1)
            needed = np.ceil(target_precision / (1 - target_precision) - 1e-9)
            remedy = f", but these are too few to show {target}: it takes at least {needed:.0f}"
        raise TableError(
            f"no threshold reaches a precision of {target}: of the {n:.0f} most confident "
            f"predictions, {precision:.1%} are correct{remedy}"
        )

    def predictions(self) -> list[TrackPrediction]:
        """Return the prediction of each track that was to be tested, in the table's order."""
        tested, held_out = self.test_set, self.held_out
        place = {row: i for i, row in enumerate(held_out.rows)}
        confidences = held_out.confidence
        predictions = []
        for i in np.argsort(tested.rows, kind="stable"):
            track = str(tested.paths[i]), str(tested.folds[i]), str(tested.labels[i])
            if (j := place.get(tested.rows[i])) is None:
                predictions.append(TrackPrediction(*track, "", None))
            else:
                predictions.append(
                    TrackPrediction(*track, str(held_out.predicted[j]), float(confidences[j]))
                )
        return predictions

    def predictions_csv(self) -> str:
        """Return ``predictions`` as CSV, one line per track."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([column.name for column in fields(TrackPrediction)])
        for prediction in self.predictions():
            *texts, confidence = astuple(prediction)
            writer.writerow([*map(escaped, texts), confidence])
        return text.getvalue()

    def p_value(self, n_permutations: int) -> float:
        """Probability of such an accuracy if predictions and genres were unrelated."""
        tracks = self.held_out
        return permutation_p_value(
            tracks.labels, tracks.predicted, tracks.groups, n_permutations, self.config.seed
        )

    def to_dict(
        self,
        target_precision: float | None = None,
        n_permutations: int | None = None,
        *,
        suggest: bool = False,
    ) -> dict[str, Any]:
        """Return everything as plain values; the keys are part of the command line's contract.

        Parameters
        ----------
        target_precision, n_permutations : optional
            Adds ``threshold`` and ``permutation_p_value``.
        suggest : bool
            Adds ``suggested_threshold``, if there is one, for the card of a model.

        Raises
        ------
        TableError
            If no threshold reaches the target precision.
        """
        result: dict[str, Any] = {
            "accuracy": self.accuracy,
            "accuracy_ci95": list(self.interval),
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "n_tracks": len(self.held_out.rows),
            "splits": self.splits,
            "baseline_accuracy": self.baseline_accuracy,
            "chance_accuracy": self.chance_accuracy,
            "top2_accuracy": self.top_accuracy(2),
            "top3_accuracy": self.top_accuracy(3),
            **self.calibration,
            "reliability": [part.to_dict() for part in self.reliability],
            "per_genre": self.per_genre,
            "genres": self.genres,
            "confusion_matrix": self.confusion.tolist(),
            "config": self.config.to_dict(),
            "versions": versions(),
            "notes": self.notes,
            "warnings": self.warnings,
        }
        if suggest and (suggested := self._suggested_threshold()):
            result["suggested_threshold"] = suggested.to_dict()
        if self.ungrouped_accuracy is not None:
            result["ungrouped_accuracy"] = self.ungrouped_accuracy
        if target_precision is not None:
            result["threshold"] = self.threshold(target_precision).to_dict()
        if n_permutations is not None:
            result["permutation_p_value"] = self.p_value(n_permutations)
        return result

    def _suggested_threshold(self) -> Threshold | None:
        tracks = self.held_out
        found = sensible_threshold(tracks.confidence, tracks.correct, self.weights)
        return found if found is not None and found.confidence > 0 else None
