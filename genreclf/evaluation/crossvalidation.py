"""How good a classifier is, measured so that it can be believed."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass, field, fields, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from threadpoolctl import ThreadpoolController

from genreclf.config.schema import Config
from genreclf.errors import GenreclfError, TableError, escaped, shortened
from genreclf.evaluation.uncertainty import (
    ConfidenceBin,
    calibration_error_by_chance,
    cluster_interval,
    effective_groups,
    expected_calibration_error,
    groups_of_genres,
    learning_factor,
    permutation_p_value,
    reliability,
    wilson_interval,
)
from genreclf.learning.calibration import best_temperature
from genreclf.learning.classifiers import fit_pipeline, tune
from genreclf.learning.codebook import inputs, settle
from genreclf.learning.duplicates import Copies, find_copies
from genreclf.learning.leaks import leak_notes
from genreclf.learning.model import Model
from genreclf.learning.splits import (
    Splits,
    cross_validation,
    own_groups,
    published_folds,
    published_split,
)
from genreclf.learning.thresholds import (
    Threshold,
    nearest_to_precision,
    sensible_threshold,
    threshold_for_precision,
)
from genreclf.parallel.workers import WorkerError, Workers
from genreclf.tables.table import FeatureTable, Texts
from genreclf.versions import versions

Interval = tuple[float, float]
Doubles = NDArray[np.float64]

NO_GROUPS = (
    "no groups: tracks of one artist may be in both training and test, so expect less on artists "
    "not heard before; --group COLUMN or --group-regex names the artists"
)
# Copies that differ a little are looked for among so many tracks that a model predicts at once.
MOST_COMPARED = 10_000
# Of fewer groups, the interval holds the truth only because it is so wide; see
# benchmarks/statistics.py.
FEWEST_GROUPS, FEWEST_A_GENRE = 10, 3
MODEL_KNOWS = "tracks that the model was trained on, if any, make this accuracy too high"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Tracks that were predicted by a classifier that had not seen them.

    Attributes
    ----------
    rows : (n,) array of int
        Where in the table they stand.
    labels, predicted, groups : (n,) array of str
    probabilities : (n, n_genres) array
        0 for a genre that the classifier was not trained on.
    known : (n,) array of bool
        Whether the classifier was trained on the track's genre.
    """

    rows: NDArray[np.intp]
    labels: Texts
    predicted: Texts
    groups: Texts
    probabilities: NDArray[np.float64]
    known: NDArray[np.bool_]

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
class TestSet:
    """Tracks that were to be tested.

    Attributes
    ----------
    rows : (n,) array of int
        Where in the table they stand.
    paths, folds, labels : (n,) array of str
        The fold is a number from 1, the name of a published fold, ``test`` for a split, and
        empty where there are no folds.
    """

    rows: NDArray[np.intp]
    paths: Texts
    folds: Texts
    labels: Texts

    @classmethod
    def of(cls, table: FeatureTable, splits: Splits) -> "TestSet":
        """Take the test tracks of all folds."""
        rows = np.concatenate([test for _, test in splits.folds])
        sizes = [len(test) for _, test in splits.folds]
        folds = np.repeat(np.array(splits.names, dtype=object), sizes)
        return cls(rows, table.paths[rows], folds, table.labels[rows])


@dataclass(frozen=True, slots=True)
class Answer:
    """What was predicted for a track by a classifier that had not seen it.

    Attributes
    ----------
    path, fold, label : str
    genre : str
        What was predicted; empty for a track that could not be tested.
    confidence : float or None
        Its probability.
    """

    path: str
    fold: str
    label: str
    genre: str
    confidence: float | None


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
    test_set : TestSet
        All tracks that were to be tested, also those that could not be.
    weights : (n,) array
        What each track of ``held_out`` counts in thresholds: copies of a recording count once.
    ungrouped_accuracy : float or None
        Where groups were kept together: what ignoring them would have claimed.
    notes : list of str
        What a person should know of how this was measured.
    warnings : list of str
        Those of the notes that are told beside the accuracy.
    """

    held_out: HeldOut
    genres: list[str]
    splits: dict[str, Any]
    config: Config
    interval: Interval
    test_set: TestSet
    weights: NDArray[np.float64]
    ungrouped_accuracy: float | None = None
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

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
        named = np.array(self.genres, dtype=object)[best] == self.held_out.labels[:, None]
        return float((named.any(axis=1) & self.held_out.known).mean())

    @cached_property
    def reliability(self) -> list[ConfidenceBin]:
        """How sure the predictions are, and how often right, in bins of confidence."""
        return reliability(self.held_out.confidence, self.held_out.correct)

    @cached_property
    def calibration(self) -> dict[str, Any]:
        """How far confidence is off, and how far it would be by chance if it were exactly true."""
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
        """Find the confidence below which to answer ``unknown``.

        Raises
        ------
        TableError
            If not even the most confident predictions are right often enough.
        """
        answers = self.held_out.confidence, self.held_out.correct
        found = threshold_for_precision(*answers, target_precision, self.weights)
        if found is not None:
            return found
        n, precision = nearest_to_precision(*answers, target_precision, self.weights)
        target = f"{100 * target_precision:.6g}%"
        missing = "; take a lower --target-precision or more tracks"
        if precision >= target_precision:  # one standard error below n of n right is n / (n + 1)
            needed = np.ceil(target_precision / (1 - target_precision) - 1e-9)
            missing = f", which are too few to show {target}: at least {needed:.0f} are needed"
        raise TableError(
            f"no threshold makes {target} of the answers right: the {n:.0f} most confident answers "
            f"are {precision:.1%} right{missing}"
        )

    def answers(self) -> list[Answer]:
        """Return what was predicted for each track that was to be tested, in the table's order."""
        tested, held_out = self.test_set, self.held_out
        place = {row: i for i, row in enumerate(held_out.rows)}
        confidences = held_out.confidence
        answers = []
        for i in np.argsort(tested.rows, kind="stable"):
            track = str(tested.paths[i]), str(tested.folds[i]), str(tested.labels[i])
            if (j := place.get(tested.rows[i])) is None:
                answers.append(Answer(*track, "", None))
            else:
                answers.append(Answer(*track, str(held_out.predicted[j]), float(confidences[j])))
        return answers

    def answers_csv(self) -> str:
        """Return ``answers`` as CSV, a track a line whatever names hold."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([column.name for column in fields(Answer)])
        for answer in self.answers():
            *texts, confidence = astuple(answer)
            writer.writerow([*map(escaped, texts), confidence])
        return text.getvalue()

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
            enough answers are wrong to tell: for the card of a model.

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
        if suggest:
            answers = self.held_out.confidence, self.held_out.correct
            suggested = sensible_threshold(*answers, self.weights)
            if suggested is not None and suggested.confidence > 0:
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


@dataclass(frozen=True)
class Work:
    """How the folds of a cross-validation are run.

    Attributes
    ----------
    search : bool
        Tune hyperparameters, anew within each training part.
    calibrated : bool
        Calibrate the probabilities; which genre is predicted does not depend on it.
    workers : Workers, optional
        Run so many folds at a time; the result is the same.
    on_fold : callable
        Called after every fold.
    on_model : callable, optional
        Called with every fitted pipeline and the tracks that were held out from it.
    """

    search: bool = False
    calibrated: bool = True
    workers: Workers | None = None
    on_fold: Callable[[], object] = lambda: None
    on_model: Callable[[Any, FeatureTable], object] | None = None


def cross_validate(
    table: FeatureTable,
    config: Config | None = None,
    *,
    search: bool = False,
    workers: Workers | None = None,
    on_fold: Callable[[], object] = lambda: None,
    on_model: Callable[[Any, FeatureTable], object] | None = None,
) -> Evaluation:
    """Measure how well the configured classifier does on tracks that it has not seen.

    Parameters
    ----------
    table : FeatureTable
        Rows without a label are left out. The order of the others does not matter.
    config : Config, optional
        The default configuration if there is none.
    search : bool
        Tune hyperparameters, anew within each training part, so that what is reported was
        measured on tracks that took no part in tuning.
    workers : Workers, optional
        Run so many folds at a time; the result is the same.
    on_fold : callable
        Called after every fold.
    on_model : callable, optional
        Called with every fitted pipeline and the tracks that were held out from it, except with
        those that only tell what ignoring groups would claim. Its probabilities are not
        calibrated.

    Returns
    -------
    Evaluation
        A test track of a published split or fold whose genre the training part lacks counts as
        wrong. In folds of our own such a track is left out, as the classifier that is trained on
        the whole table knows its genre. A warning tells either.

    Raises
    ------
    TableError
        If there are too few tracks, groups or genres to hold any out.
    """
    config = settle(config or Config(), table)
    table = table.labelled()
    order = table.canonical_order()
    table = table.take(order)
    copies = find_copies(table.values).with_paths(table.paths)
    splits = choose_splits(table, config, copies)
    together = replace(table, groups=copies.joined(table.groups))
    work = Work(search=search, workers=workers, on_fold=on_fold, on_model=on_model)
    held_out = predict_held_out(together, config, splits, work)
    train_share = splits.train_share(table.labels)
    warnings = leak_notes(table)
    if table.has_groups:
        warnings += few_groups_notes(held_out.labels, held_out.groups, train_share)
    warnings += _unknown_genre_warnings(held_out, "the training part")
    warnings += unscored_notes(table, splits, held_out)
    ungrouped = None
    if splits.kind == "grouped":
        work = replace(work, calibrated=False, on_model=None)
        ungrouped = _ungrouped_accuracy(table, config, held_out, work)
    elif splits.kind == "stratified":
        warnings.insert(0, NO_GROUPS)
    weights = copies.weights(held_out.rows)
    test_set = TestSet.of(table, splits)
    return Evaluation(
        replace(held_out, rows=order[held_out.rows]),
        table.genres,
        {"kind": splits.kind, "n_folds": len(splits.folds), "seed": config.seed,
         "search": search, "n_unscored": _n_tested(splits) - len(held_out.rows),
         "n_unknown_genre": int((~held_out.known).sum()),
         "n_copies": copies.n_tracks, "n_copies_apart": _n_apart(splits, copies)},
        config,
        accuracy_interval(held_out, table.has_groups, weights.sum(), train_share),
        replace(test_set, rows=order[test_set.rows]),
        weights,
        ungrouped,
        [*table.notes, *splits.notes, *warnings],
        warnings,
    )  # fmt: skip


def evaluate_model(model: Model, table: FeatureTable) -> Evaluation:
    """Compare a model's predictions with the labels of a table.

    A track whose genre the model does not know counts as wrong, and a warning says so.

    Parameters
    ----------
    model : Model
    table : FeatureTable
        Rows without a label are left out.

    Raises
    ------
    TableError
        If the columns do not fit, or no track has a label that the model knows.
    """
    leaks = leak_notes(model.columns_of(table))
    genres = model.genres
    rows = np.flatnonzero(table.labels != "")
    part = table.take(rows)
    if not np.isin(part.labels, genres).any():
        raise TableError(
            f"none of the table's genres ({shortened(', '.join(table.genres)) or 'no labels'}) is "
            f"one of the model's ({shortened(', '.join(genres), 300)})"
        )
    notes = list(table.notes)
    if len(rows) < len(table):
        notes.append(
            f"{len(table) - len(rows)} of {len(table)} tracks have no label and are left out"
        )
    copies = find_copies(part.values, near=len(part) <= MOST_COMPARED).with_paths(part.paths)
    part = replace(part, groups=copies.joined(part.groups))
    genres = sorted({*genres, *table.genres})
    probabilities = _by_genre(model.predict_proba(part), model.genres, genres, 0.0)
    known = np.isin(part.labels, model.genres)
    held_out = _held_out(part, rows, genres, probabilities, known)
    warnings = [MODEL_KNOWS, *_unknown_genre_warnings(held_out, "the model")]
    if table.has_groups:
        warnings += few_groups_notes(held_out.labels, held_out.groups)
    weights = copies.weights(np.arange(len(rows)))
    no_folds = np.full(len(rows), "", dtype=object)
    return Evaluation(
        held_out,
        genres,
        {"kind": "model", "n_unknown_genre": int((~held_out.known).sum())},
        model.config,
        accuracy_interval(held_out, table.has_groups, weights.sum()),
        TestSet(rows, part.paths, no_folds, part.labels),
        weights,
        notes=[*leaks, *notes, *warnings],
        warnings=warnings,
    )


def predict_held_out(
    table: FeatureTable, config: Config, splits: Splits, work: Work | None = None
) -> HeldOut:
    """Predict the test tracks of each fold after training on its other tracks.

    A fold's probabilities are calibrated by the temperature that suits the held-out scores of the
    other folds, which takes no further training. Where there are no others, or where each fold
    tunes hyperparameters of its own, cross-validation within the training part tells it. The
    labels of a fold are not among those that its temperature is fitted to. (The classifiers of the
    other folds were trained on them, of which one number carries next to nothing over.)

    Returns
    -------
    HeldOut
        The test tracks of ``splits.tested(table.labels)``, fold by fold.

    Raises
    ------
    TableError
        If no genre can be tested.
    """
    work = work or Work()
    folds = splits.tested(table.labels)
    if not folds:
        raise TableError(
            "every genre lives in one group, so none can be tested on a group that is not in the "
            "training set; each genre needs at least two groups"
            if splits.kind == "grouped" else
            "the tracks of every genre are copies of one recording, so none can be tested on a "
            "recording that is not in the training set; each genre needs at least two recordings"
        )  # fmt: skip
    within = work.calibrated and (work.search or len(folds) == 1)
    kept = work.on_model is not None
    trainings = (
        _Training(
            table.take(train), table.take(test), table.genres, config, work.search, within, kept
        )
        for train, test in folds
    )
    parts = []
    for training, (scores, pipeline) in _trained(trainings, work.workers):
        parts.append(scores)
        if work.on_model is not None:
            work.on_model(pipeline, training.test)
        work.on_fold()
    codes = np.searchsorted(np.array(table.genres, dtype=object), table.labels)
    known = [np.isin(codes[test], codes[train]) for train, test in folds]
    rows = np.concatenate([test for _, test in folds])
    if work.calibrated and not within:
        tested = [test[scored] for (_, test), scored in zip(folds, known, strict=True)]
        theirs = [part[scored] for part, scored in zip(parts, known, strict=True)]
        temperatures = _temperatures(theirs, tested, codes, own_groups(table.groups))
        parts = [part / t for part, t in zip(parts, temperatures, strict=True)]
    probabilities = softmax(np.concatenate(parts), axis=1)
    return _held_out(table.take(rows), rows, table.genres, probabilities, np.concatenate(known))


@dataclass(frozen=True, eq=False)
class _Training:
    """One fold, as a worker takes it: what to train on, what to score, and how.

    ``genres`` are those of the whole table, ``calibrated`` learns a temperature within the
    training part, ``kept`` gives the pipeline back.
    """

    train: FeatureTable
    test: FeatureTable
    genres: list[str]
    config: Config
    search: bool
    calibrated: bool
    kept: bool


def _trained(
    trainings: Iterable[_Training], workers: Workers | None
) -> Iterator[tuple[_Training, tuple[Doubles, Any]]]:
    if workers is None:
        yield from ((training, _train(training)) for training in trainings)
        return
    for training, result in workers.map(_train, trainings):
        if isinstance(result, WorkerError):
            raise GenreclfError(
                f"a fold was not trained: {result.reason}; --jobs 1 needs the least memory"
            )
        yield training, result


def _train(training: _Training) -> tuple[Doubles, Any]:
    """Return the logarithms of the test tracks' probabilities, (n, n_genres), and the pipeline."""
    train, test, config = training.train, training.test, training.config
    # Sums that are split among threads round otherwise: so one result, whatever the cores.
    with _thread_pools().limit(limits=1, user_api="blas"):
        config = tune(train, config) if training.search else config
        pipeline = fit_pipeline(train, config, calibrated=training.calibrated)
        scores = pipeline.predict_log_proba(inputs(test.values, test.frames, config))
    scores = _by_genre(scores, pipeline.classes_, training.genres, -np.inf)
    return scores, pipeline if training.kept else None


@cache
def _thread_pools() -> ThreadpoolController:
    """Look for the libraries that have threads; which takes as long as a small training."""
    return ThreadpoolController()


def _temperatures(
    scores: list[Doubles], tested: list[NDArray[np.intp]], codes: NDArray[np.intp], groups: Texts
) -> list[float]:
    """Return for each fold the temperature that suits the scores of the other folds.

    Parameters
    ----------
    scores : list of (n_tested, n_genres) array
        Held-out ones of each fold's test tracks whose genre was trained on.
    tested : list of (n_tested,) array
        Their rows in the table.
    codes, groups : (n_tracks,) array
        Columns of the tracks' genres, and groups, of which none is empty.
    """
    temperatures = []
    for fold in range(len(tested)):
        others = [other for other in range(len(tested)) if other != fold]
        rows = np.concatenate([tested[other] for other in others])
        theirs = np.concatenate([scores[other] for other in others])
        n_units = len(set(groups[rows]))
        temperatures.append(best_temperature(theirs, codes[rows], n_units) if n_units else 1.0)
    return temperatures


def _by_genre(
    columns: Doubles, classes: Iterable[Any], genres: list[str], missing: float
) -> Doubles:
    """Put the columns of a classifier's classes where they stand among all genres."""
    spread = np.full((len(columns), len(genres)), missing)
    spread[:, [genres.index(genre) for genre in classes]] = columns
    return spread


def _held_out(
    part: FeatureTable, rows: NDArray[np.intp], genres: list[str], probabilities: Doubles,
    known: NDArray[np.bool_],
) -> HeldOut:  # fmt: skip
    return HeldOut(
        rows=rows,
        labels=part.labels,
        predicted=np.array(genres, dtype=object)[probabilities.argmax(axis=1)],
        groups=part.groups,
        probabilities=probabilities,
        known=known,
    )


def _ungrouped_accuracy(table: FeatureTable, config: Config, scored: HeldOut, work: Work) -> float:
    """Accuracy on the same tracks when tracks of one group may be on both sides."""
    splits = cross_validation(table.labels, None, config.evaluation.folds, config.seed)
    ungrouped = replace(table, groups=np.full(len(table), "", dtype=object))
    held_out = predict_held_out(ungrouped, config, splits, work)
    return float(held_out.correct[np.isin(held_out.rows, scored.rows)].mean())


def _n_tested(splits: Splits) -> int:
    return sum(len(test) for _, test in splits.folds)


def unknown_genre_notes(held_out: HeldOut, who: str) -> list[str]:
    """Tell which tracks count as wrong because the classifier does not know their genre."""
    unknown = ~held_out.known
    if not unknown.any():
        return []
    genres = shortened(", ".join(sorted(set(held_out.labels[unknown]))))
    n, total = int(unknown.sum()), len(unknown)
    count = f"all {total}" if n == total else f"{n} of the {total}"
    return [f"{count} tracks count as wrong because {who} has no tracks of their genre ({genres})"]


def _unknown_genre_warnings(held_out: HeldOut, who: str) -> list[str]:
    """Tell also how good the classifier is on the genres that it knows."""
    known = held_out.known
    rest = f"; of the others {held_out.correct[known].mean():.1%} are right" if known.any() else ""
    return [f"{text}{rest}" for text in unknown_genre_notes(held_out, who)]


def unscored_notes(table: FeatureTable, splits: Splits, held_out: HeldOut) -> list[str]:
    """Tell which tracks our own folds cannot test, and why."""
    unscored = np.setdiff1d(np.concatenate([test for _, test in splits.folds]), held_out.rows)
    labels, groups = table.labels[unscored], own_groups(table.groups)[unscored]
    tested = set(held_out.labels)
    missing = []
    for genre in sorted(set(labels) - tested):
        of_genre = labels == genre
        n = int(of_genre.sum())
        one = "group" if table.has_groups and len(set(groups[of_genre])) == 1 else "fold"
        missing.append(f"{genre} ({f'{n} tracks, all in one {one}' if n > 1 else 'one track'})")
    notes = []
    if missing:
        notes.append(
            f"not tested: {shortened(', '.join(missing), 300)}; a genre is tested only if it has "
            "tracks to train on in other folds, so these tracks are not in the accuracy"
        )
    if others := int(np.isin(labels, list(tested)).sum()):
        notes.append(
            f"not tested: {others} tracks whose fold leaves only one genre to train on; they are "
            "not in the accuracy"
        )
    return notes


def accuracy_interval(
    held_out: HeldOut,
    has_groups: bool,
    n_recordings: float | None = None,
    train_share: float | None = None,
) -> Interval:
    """95 % confidence interval of the accuracy; see ``share_interval``.

    Parameters
    ----------
    held_out : HeldOut
    has_groups : bool
        Whether tracks depend on each other within groups.
    n_recordings : float, optional
        How many of the tracks are no copies of another; by default all.
    train_share : float, optional
        In a cross-validation, the tracks that a fold is trained on, as a share of all. Without it,
        the accuracy is that of one classifier that is there already.
    """
    right, groups = held_out.correct, held_out.groups
    n_recordings = n_recordings or len(right)
    tied = has_groups or n_recordings < len(right)
    factor = 1.0 if train_share is None else learning_factor(held_out.labels, groups, train_share)
    return share_interval(right, groups if tied else None, n_recordings, factor)


def share_interval(
    right: NDArray[Any], groups: Texts | None, n_recordings: float, factor: float = 1.0
) -> Interval:
    """95 % confidence interval of a share of right answers.

    Wilson's; where tracks come in groups, with as many answers as they are worth, since tracks of
    one artist stand or fall together (``cluster_interval``).

    Parameters
    ----------
    right : (n_tracks,) array
        True or 1 where the answer is right; in between for a mean over several answers.
    groups : (n_tracks,) array of str, or None
        Copies of one recording are in one group.
    n_recordings : float
        How many of the tracks are no copies of another.
    factor : float
        What the variance is multiplied by; see ``learning_factor``.
    """
    if groups is None:
        n = n_recordings / factor
        return wilson_interval(float(right.mean()) * n, n)
    _, group = np.unique(own_groups(groups), return_inverse=True)
    return cluster_interval(right, group, n_recordings, factor)


def few_groups_notes(labels: Texts, groups: Texts, train_share: float | None = None) -> list[str]:
    """Say when groups are too few to tell an accuracy on others.

    Parameters
    ----------
    labels, groups : (n_tracks,) array of str
        Of the tracks that were tested.
    train_share : float, optional
        As for ``accuracy_interval``: only a cross-validation needs several groups in each genre.
    """
    _, group = np.unique(own_groups(groups), return_inverse=True)
    n_groups = int(group.max()) + 1
    a_genre = np.mean(list(groups_of_genres(labels, groups).values()))
    few = effective_groups(group) < FEWEST_GROUPS
    if not few and (train_share is None or a_genre >= FEWEST_A_GENRE):
        return []
    uneven = n_groups >= FEWEST_GROUPS and few
    what = f"{n_groups} groups{' of very unequal size' if uneven else ''}, {a_genre:.2g} a genre"
    return [
        f"too few groups to tell how good this is on others ({what}): the interval is so wide for "
        f"that reason; take {FEWEST_GROUPS} groups or more, and {FEWEST_A_GENRE} or more of each "
        "genre"
    ]
