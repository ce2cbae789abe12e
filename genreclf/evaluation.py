"""How good a classifier is, measured so that it can be believed."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from genreclf.classifiers import fit_pipeline, tune
from genreclf.codebook import inputs, settle
from genreclf.config import Config
from genreclf.duplicates import Copies, find_copies
from genreclf.errors import TableError
from genreclf.leaks import leak_notes
from genreclf.splits import (
    Splits,
    cross_validation,
    known_genres_only,
    own_groups,
    published_folds,
    published_split,
)
from genreclf.table import FeatureTable, Texts
from genreclf.uncertainty import (
    ConfidenceBin,
    Threshold,
    expected_calibration_error,
    group_bootstrap,
    permutation_p_value,
    reliability,
    sensible_threshold,
    threshold_for_precision,
    wilson_interval,
)
from genreclf.versions import versions

__all__ = [
    "NO_GROUPS",
    "Evaluation",
    "HeldOut",
    "accuracy_interval",
    "choose_splits",
    "count_trainings",
    "cross_validate",
    "evaluate_model",
    "predict_held_out",
    "share_interval",
    "unscored_notes",
]

Interval = tuple[float, float]

NO_GROUPS = (
    "no groups: tracks of one artist or album may be on both sides of a fold, which makes "
    "the accuracy look better than it is; give groups in the group column of a manifest, "
    "or name one with --group COLUMN"
)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Tracks that were predicted by a classifier that had not seen them.

    Attributes
    ----------
    rows : (n,) array of int
        Where in the table they stand.
    labels, predicted, groups : (n,) array of str
    probabilities : (n, n_genres) array
    """

    rows: NDArray[np.intp]
    labels: Texts
    predicted: Texts
    groups: Texts
    probabilities: NDArray[np.float64]

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Which predictions are right."""
        right: NDArray[np.bool_] = self.predicted == self.labels
        return right

    @property
    def accuracy(self) -> float:
        """Share of right predictions."""
        return float(self.correct.mean())

    @property
    def confidence(self) -> NDArray[np.float64]:
        """Probability of what was predicted, (n,)."""
        highest: NDArray[np.float64] = self.probabilities.max(axis=1)
        return highest


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A classifier's accuracy on tracks that it has not seen, and what to know about it.

    Attributes
    ----------
    held_out : HeldOut
    genres : list of str
    splits : dict
        ``kind`` (grouped, stratified, folds, split or model) and particulars.
    config : Config
    interval : (float, float)
        95 % confidence interval of the accuracy.
    ungrouped_accuracy : float or None
        Where groups were kept together: what ignoring them would have claimed.
    notes : list of str
        What a person should know of how this was measured.
    """

    held_out: HeldOut
    genres: list[str]
    splits: dict[str, Any]
    config: Config
    interval: Interval
    ungrouped_accuracy: float | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def accuracy(self) -> float:
        """Share of right predictions."""
        return self.held_out.accuracy

    @property
    def baseline_accuracy(self) -> float:
        """Accuracy of always answering the genre that is most frequent among these tracks."""
        return max(self._shares())

    @property
    def chance_accuracy(self) -> float:
        """Expected accuracy of guessing each genre as often as it occurs among these tracks."""
        return sum(share**2 for share in self._shares())

    def _shares(self) -> list[float]:
        return [scores["n"] / len(self.held_out.rows) for scores in self.per_genre.values()]

    def top_accuracy(self, k: int) -> float:
        """Share of tracks whose genre is among the ``k`` most probable ones."""
        best = np.argsort(-self.held_out.probabilities, axis=1, kind="stable")[:, :k]
        named = np.array(self.genres, dtype=object)[best]
        return float((named == self.held_out.labels[:, None]).any(axis=1).mean())

    @cached_property
    def reliability(self) -> list[ConfidenceBin]:
        """How sure the predictions are, and how often right, in bins of confidence."""
        return reliability(self.held_out.confidence, self.held_out.correct)

    def threshold(self, target_precision: float) -> Threshold:
        """Find the confidence below which to answer ``unknown``.

        Raises
        ------
        TableError
            If not even the most confident predictions are right often enough.
        """
        confidence, correct = self.held_out.confidence, self.held_out.correct
        found = threshold_for_precision(confidence, correct, target_precision)
        if found is None:
            surest = correct[confidence >= np.quantile(confidence, 0.9)].mean()
            raise TableError(
                f"no threshold makes {target_precision:.0%} of the answers right: of the surest "
                f"tenth of these {len(correct)} tracks {surest:.0%} are; take a lower "
                "--target-precision or more tracks"
            )
        return found

    def p_value(self, n_permutations: int) -> float:
        """Chance of so high an accuracy if the predictions had nothing to do with the genres."""
        held_out = self.held_out
        return permutation_p_value(
            held_out.labels, held_out.predicted, held_out.groups, n_permutations, self.config.seed
        )

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """Tracks by true genre (rows) and predicted genre (columns)."""
        matrix: NDArray[np.int64] = confusion_matrix(
            self.held_out.labels, self.held_out.predicted, labels=self.genres
        )
        return matrix

    @cached_property
    def per_genre(self) -> dict[str, dict[str, float]]:
        """Precision, recall, F1 and number of tracks, for the genres that were tested."""
        precision, recall, f1, n = precision_recall_fscore_support(
            self.held_out.labels, self.held_out.predicted, labels=self.genres, zero_division=0
        )
        return {
            genre: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "n": int(n[i]),
            }
            for i, genre in enumerate(self.genres)
            if n[i]
        }

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the genres."""
        return float(np.mean([scores["recall"] for scores in self.per_genre.values()]))

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the genres."""
        return float(np.mean([scores["f1"] for scores in self.per_genre.values()]))

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
            Adds ``suggested_threshold``, below which answers are more often wrong than right, if
            there is such a confidence: for the card of a model.
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
            "expected_calibration_error": expected_calibration_error(self.reliability),
            "reliability": [part.to_dict() for part in self.reliability],
            "per_genre": self.per_genre,
            "genres": self.genres,
            "confusion_matrix": self.confusion.tolist(),
            "config": self.config.to_dict(),
            "versions": versions(),
            "notes": self.notes,
        }
        held_out = self.held_out
        if suggest and (suggested := sensible_threshold(held_out.confidence, held_out.correct)):
            result["suggested_threshold"] = suggested.to_dict()
        if self.ungrouped_accuracy is not None:
            result["ungrouped_accuracy"] = self.ungrouped_accuracy
        if target_precision is not None:
            result["threshold"] = self.threshold(target_precision).to_dict()
        if n_permutations is not None:
            result["permutation_p_value"] = self.p_value(n_permutations)
        return result


def choose_splits(table: FeatureTable, config: Config, copies: Copies | None = None) -> Splits:
    """Take the published folds or split if the table has one, else cross-validate.

    Groups are kept together whenever there are any, and so are copies of one recording; published
    folds are left as they are.
    """
    copies = copies or find_copies(table.values).with_paths(table.paths)
    if table.folds is not None:
        return _with_copies_apart(published_folds(table.folds), copies)
    if table.split is not None:
        return _with_copies_apart(published_split(table.split), copies)
    groups = table.groups if table.has_groups else None
    together = copies.joined(table.groups) if copies.n_tracks else None
    n_folds, seed = config.evaluation.folds, config.seed
    splits = cross_validation(table.labels, groups, n_folds, seed, together)
    if copies.n_tracks:
        splits.notes.append(
            f"{copies.n_tracks} tracks are copies of one another, of {copies.n_recordings} "
            "recordings, and are kept in one fold each time (genreclf audit names them)"
        )
    return splits


def _with_copies_apart(splits: Splits, copies: Copies) -> Splits:
    """Note how many recordings stand on both sides of published folds."""
    if n_apart := _n_apart(splits, copies):
        splits.notes.append(
            f"{n_apart} recordings have copies both in training and in test, which makes the "
            "accuracy look better than it is (genreclf audit names them)"
        )
    return splits


def _n_apart(splits: Splits, copies: Copies) -> int:
    """Count the recordings that have copies on both sides of a fold."""
    apart: set[int] = set()
    for train, test in splits.folds:
        apart |= set(copies.recording[train]) & set(copies.recording[test]) - {-1}
    return len(apart)


def count_trainings(table: FeatureTable, config: Config) -> int:
    """Return how many times ``cross_validate`` trains, unless tracks or groups are too few."""
    if table.split is not None:
        return 1
    if table.folds is not None:
        return len(set(table.folds) - {""})
    return config.evaluation.folds * (2 if table.has_groups else 1)  # once without the groups


def cross_validate(
    table: FeatureTable,
    config: Config | None = None,
    *,
    search: bool = False,
    on_fold: Callable[[], object] = lambda: None,
    on_model: Callable[[Any, FeatureTable], object] = lambda pipeline, part: None,
) -> Evaluation:
    """Measure how well the configured classifier does on tracks that it has not seen.

    Parameters
    ----------
    table : FeatureTable
        Rows without a label are left out.
    config : Config, optional
        The default configuration if there is none.
    search : bool
        Tune hyperparameters, anew within each training part, so that what is reported was
        measured on tracks that took no part in tuning.
    on_fold : callable
        Called after every fold.
    on_model : callable
        Called with every fitted pipeline and the tracks that were held out from it, except with
        those that only tell what ignoring groups would claim.

    Returns
    -------
    Evaluation
        A track whose genre does not occur in its training part cannot be predicted rightly by
        anyone; such tracks are left out of the figures, and a note says so.

    Raises
    ------
    TableError
        If there are too few tracks, groups or genres to hold any out.
    """
    config = settle(config or Config(), table)
    table = table.labelled()
    copies = find_copies(table.values).with_paths(table.paths)
    splits = choose_splits(table, config, copies)
    together = replace(table, groups=copies.joined(table.groups))

    def fitted(pipeline: Any, part: FeatureTable) -> None:
        on_model(pipeline, part)
        on_fold()

    held_out = predict_held_out(together, config, splits, search, fitted)
    notes = [*leak_notes(table), *table.notes, *splits.notes]
    notes += unscored_notes(table, splits, held_out)
    ungrouped = None
    if splits.kind == "grouped":
        ungrouped = _ungrouped_accuracy(table, config, held_out, search, on_fold)
    elif not table.has_groups and splits.kind == "stratified":
        notes.append(NO_GROUPS)
    return Evaluation(
        held_out,
        table.genres,
        {"kind": splits.kind, "n_folds": len(splits.folds), "seed": config.seed,
         "search": search, "n_unscored": _n_tested(splits) - len(held_out.rows),
         "n_copies": copies.n_tracks, "n_copies_apart": _n_apart(splits, copies)},
        config,
        accuracy_interval(held_out, table.has_groups, config),
        ungrouped,
        notes,
    )  # fmt: skip


def evaluate_model(
    pipeline: Any, genres: list[str], values: NDArray[np.float32], table: FeatureTable,
    config: Config,
) -> Evaluation:  # fmt: skip
    """Compare a fitted pipeline's predictions with the labels of a table.

    Raises
    ------
    TableError
        If no track has a label that the model knows.
    """
    known = np.isin(table.labels, genres)
    rows = np.flatnonzero(known)
    if not len(rows):
        raise TableError(
            f"none of the table's genres ({', '.join(table.genres) or 'no labels'}) is one of "
            f"the model's ({', '.join(genres)})"
        )
    notes = list(table.notes)
    if len(rows) < len(table):
        notes.append(
            f"{len(table) - len(rows)} of {len(table)} tracks have no label or one that the model "
            "does not know, and are left out"
        )
    part = table.take(rows)
    held_out = _held_out(pipeline, genres, part, values[rows], rows)
    notes.append("tracks that the model was trained on make this figure look better than it is")
    interval = accuracy_interval(held_out, table.has_groups, config)
    return Evaluation(held_out, genres, {"kind": "model"}, config, interval, None, notes)


def predict_held_out(
    table: FeatureTable,
    config: Config,
    splits: Splits,
    search: bool,
    fitted: Callable[[Any, FeatureTable], object],
) -> HeldOut:
    """Predict the test tracks of each fold after training on its other tracks.

    Returns
    -------
    HeldOut
        The test tracks of ``known_genres_only(splits.folds, table.labels)``, fold by fold.

    Raises
    ------
    TableError
        If no genre can be tested.
    """
    parts = []
    for train_rows, rows in known_genres_only(splits.folds, table.labels):
        train, part = table.take(train_rows), table.take(rows)
        pipeline = fit_pipeline(train, tune(train, config) if search else config)
        columns = inputs(part.values, part.frames, config)
        parts.append(_held_out(pipeline, table.genres, part, columns, rows))
        fitted(pipeline, part)
    if not parts:
        raise TableError(
            "every genre lives in one group, so that none can be tested on groups that were not "
            "trained on; more groups a genre are needed"
        )
    return HeldOut(
        *(np.concatenate([getattr(part, name) for part in parts])
          for name in ("rows", "labels", "predicted", "groups", "probabilities"))
    )  # fmt: skip


def _held_out(
    pipeline: Any, genres: list[str], part: FeatureTable, values: NDArray[np.float32],
    rows: NDArray[np.intp],
) -> HeldOut:  # fmt: skip
    known = pipeline.predict_proba(values)
    probabilities = np.zeros((len(part), len(genres)))
    probabilities[:, [genres.index(genre) for genre in pipeline.classes_]] = known
    return HeldOut(
        rows=rows,
        labels=part.labels,
        predicted=np.array(genres, dtype=object)[probabilities.argmax(axis=1)],
        groups=part.groups,
        probabilities=probabilities,
    )


def _ungrouped_accuracy(
    table: FeatureTable,
    config: Config,
    scored: HeldOut,
    search: bool,
    on_fold: Callable[[], object],
) -> float:
    """Accuracy on the same tracks when tracks of one group may be on both sides."""
    splits = cross_validation(table.labels, None, config.evaluation.folds, config.seed)
    ungrouped = replace(table, groups=np.full(len(table), "", dtype=object))
    held_out = predict_held_out(ungrouped, config, splits, search, lambda *_: on_fold())
    return float(held_out.correct[np.isin(held_out.rows, scored.rows)].mean())


def _n_tested(splits: Splits) -> int:
    return sum(len(test) for _, test in splits.folds)


def unscored_notes(table: FeatureTable, splits: Splits, held_out: HeldOut) -> list[str]:
    """Tell which test tracks could not be predicted rightly by anyone, and are left out."""
    tested = np.concatenate([test for _, test in splits.folds])
    unscored = np.setdiff1d(tested, held_out.rows)
    if not len(unscored):
        return []
    genres = sorted(set(table.labels[unscored]) - set(held_out.labels))
    notes = []
    if genres:
        notes.append(
            f"not tested: {', '.join(genres)}; all tracks of such a genre are in one group (or "
            "fold), so no accuracy on unheard ones can be known; they take part in training only"
        )
    others = int((~np.isin(table.labels[unscored], genres)).sum())
    if others:
        notes.append(f"{others} tracks more are left out: their genre is not in the training part")
    return notes


def accuracy_interval(held_out: HeldOut, has_groups: bool, config: Config) -> Interval:
    """95 % confidence interval of the accuracy; see ``share_interval``."""
    return share_interval(held_out.correct, held_out.groups if has_groups else None, config)


def share_interval(right: NDArray[Any], groups: Texts | None, config: Config) -> Interval:
    """95 % confidence interval of a share of right answers.

    Wilson's where tracks are independent; where they come in groups, the percentiles of a
    bootstrap over groups, since tracks of one artist stand or fall together, but no less than
    Wilson's.

    Parameters
    ----------
    right : (n_tracks,) array
        True or 1 where the answer is right; in between for a mean over several answers.
    groups : (n_tracks,) array of str, or None
    config : Config
    """
    independent = wilson_interval(float(right.sum()), len(right))
    if groups is None:
        return independent
    low, high = group_bootstrap(right, groups, config.evaluation.bootstrap_samples, config.seed)
    if low == high:  # all right or all wrong: what so many groups can tell
        n_groups = len(set(own_groups(groups)))
        return wilson_interval(float(right.mean()) * n_groups, n_groups)
    return min(low, independent[0]), max(high, independent[1])
