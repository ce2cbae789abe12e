"""Names to scikit-learn pipelines, with probabilities that are calibrated."""

import warnings
from collections.abc import Mapping
from itertools import combinations
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from genreclf.config import (
    Config,
    GradientBoosting,
    Knn,
    Lda,
    Logistic,
    Mlp,
    RandomForest,
    Svm,
)
from genreclf.errors import ConfigError, TableError
from genreclf.splits import Fold, cross_validation, known_genres_only
from genreclf.table import FeatureTable, Texts

__all__ = ["EvenLda", "TemperatureScaled", "fit_pipeline", "make_pipeline", "tune"]

Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]
INNER_FOLDS = 5
SMOOTHING = 0.01


def fit_pipeline(table: FeatureTable, config: Config) -> Pipeline:
    """Fit the configured classifier, calibrated, to a labelled table.

    Groups, where there are any, hold together in the folds that calibrate it too.

    Raises
    ------
    ConfigError
        If more principal components are asked for than there can be.
    """
    most = min(table.values.shape)
    if isinstance(config.pca, int) and config.pca > most:
        raise ConfigError(
            f"pca = {config.pca}: {len(table)} tracks with {len(table.names)} columns have "
            f"{most} components at most"
        )
    pipeline = make_pipeline(config, len(table))
    groups = table.groups if table.has_groups else None
    with warnings.catch_warnings():
        # A perceptron that stops at max_iter is still one; its score says what it is worth.
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.fit(table.values, table.labels, classify__groups=groups)
    return pipeline


def make_pipeline(config: Config, n_tracks: int, *, calibrated: bool = True) -> Pipeline:
    """Build impute → standardise → PCA → classify, unfitted.

    Parameters
    ----------
    config : Config
    n_tracks : int
        How many there are to train on.
    calibrated : bool
        Wrap the classifier in ``TemperatureScaled``.
    """
    classifier = _make_classifier(config, n_tracks)
    if calibrated:
        classifier = TemperatureScaled(classifier, n_folds=INNER_FOLDS, random_state=config.seed)
    pca = PCA(config.pca, svd_solver="full") if config.pca != "off" else "passthrough"
    return Pipeline(
        [
            ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("standardise", StandardScaler()),
            ("pca", pca),
            ("classify", classifier),
        ]
    )


def _make_classifier(config: Config, n_tracks: int) -> Any:
    """Balance the genres wherever the estimator can."""
    chosen, seed = config.classifier, config.seed
    parameters = {key: getattr(chosen, key) for key in chosen.__struct_fields__}
    match chosen:
        case Svm():
            return SVC(**parameters, class_weight="balanced", decision_function_shape="ovo")
        case Logistic():
            return LogisticRegression(**parameters, class_weight="balanced", max_iter=2000)
        case Lda():
            return EvenLda(**parameters, solver="lsqr")
        case Knn():
            # Half of the tracks are there in every fold.
            few = min(parameters.pop("n_neighbors"), max(1, n_tracks // 2))
            return KNeighborsClassifier(few, **parameters)
        case RandomForest():
            return RandomForestClassifier(**parameters, class_weight="balanced", random_state=seed)
        case GradientBoosting():
            return HistGradientBoostingClassifier(
                **parameters, class_weight="balanced", random_state=seed
            )
        case Mlp():
            return MLPClassifier(**parameters, random_state=seed)


class EvenLda(LinearDiscriminantAnalysis):  # type: ignore[misc]
    """Linear discriminant analysis to which all classes are equally likely beforehand.

    scikit-learn's takes its priors by number, which folds that lack a class do not have.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> "EvenLda":  # noqa: N803
        """Fit, then take the logarithms of the priors out of the intercepts again."""
        with warnings.catch_warnings():
            # A class of one sample has no covariance of its own.
            warnings.filterwarnings("ignore", "Only one sample available", UserWarning)
            super().fit(X, y)
        log_priors = np.log(self.priors_)
        self.intercept_ -= log_priors if len(log_priors) > 2 else np.diff(log_priors)
        return self


class TemperatureScaled(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Classifier whose probabilities are calibrated by one temperature.

    Guo et al. 2017: probabilities are softmax(scores / T), with the T that makes out-of-fold
    scores most likely. One parameter, so that it works with few tracks; and dividing by it never
    changes which class comes first, so that calibration costs no accuracy.

    Parameters
    ----------
    estimator : classifier
        Scores are its decision function or the logarithm of its probabilities.
    n_folds : int
        Of the cross-validation that the temperature is learned from.
    random_state : int
        Shuffles the folds.

    Attributes
    ----------
    estimator_ : classifier
        Fitted to everything.
    classes_ : (n_classes,) array
    temperature_ : float
        1 where there are too few samples to learn it.
    """

    def __init__(self, estimator: Any = None, n_folds: int = 5, random_state: int = 0) -> None:
        self.estimator = estimator
        self.n_folds = n_folds
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, groups: Texts | None = None) -> "TemperatureScaled":  # noqa: N803
        """Fit the estimator, and the temperature by cross-validation.

        Parameters
        ----------
        X : (n_samples, n_features) array
        y : (n_samples,) array
        groups : (n_samples,) array of str, optional
            Samples of one group stay in one fold.
        """
        values, labels = validate_data(self, X, y)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        base = self.estimator if self.estimator is not None else LogisticRegression()
        self.estimator_ = clone(base).fit(values, labels)
        scores, truth = self._out_of_fold(base, values, codes, groups)
        if not len(truth) and groups is not None:  # every class lives in one group
            scores, truth = self._out_of_fold(base, values, codes, None)
        self.temperature_ = _best_temperature(scores, truth) if len(truth) else 1.0
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """Return the most probable class of each sample."""
        check_is_fitted(self)
        return cast(NDArray[Any], self.classes_[self.predict_proba(X).argmax(axis=1)])

    def predict_proba(self, X: ArrayLike) -> Doubles:  # noqa: N803
        """Return calibrated probabilities, (n_samples, n_classes)."""
        check_is_fitted(self)
        values = validate_data(self, X, reset=False)
        return _softmax(_scores(self.estimator_, values) / self.temperature_)

    def _out_of_fold(
        self, base: Any, values: Doubles, codes: Indices, groups: Texts | None
    ) -> tuple[Doubles, Indices]:
        """Score held-out samples of classes that were trained on, and tell their classes.

        A class that was not trained on scores minus infinity: its probability is zero.
        """
        scores, truth = [np.empty((0, len(self.classes_)))], [np.empty(0, dtype=np.intp)]
        try:
            folds = cross_validation(codes, groups, self.n_folds, self.random_state).folds
        except TableError:  # one class, or as many classes as samples
            folds = []
        for train, test in known_genres_only(folds, codes):
            try:
                fitted = clone(base).fit(values[train], codes[train])
            except ValueError:  # too few of some class for this estimator
                continue
            part = np.full((len(test), len(self.classes_)), -np.inf)
            part[:, fitted.classes_] = _scores(fitted, values[test])
            scores.append(part)
            truth.append(codes[test])
        return np.concatenate(scores), np.concatenate(truth)


def _scores(estimator: Any, values: Doubles) -> Doubles:
    """Return one score a class, whose softmax is a first guess at the probabilities."""
    if isinstance(estimator, SVC) and estimator.decision_function_shape == "ovo":
        return _weakest_margins(estimator.decision_function(values), len(estimator.classes_))
    if hasattr(estimator, "decision_function"):
        scores = np.asarray(estimator.decision_function(values), dtype=np.float64)
        return scores if scores.ndim == 2 else np.column_stack((-scores / 2, scores / 2))
    # Neighbours and trees that never voted for a class do not make it impossible.
    return np.log(np.asarray(estimator.predict_proba(values), dtype=np.float64) + SMOOTHING)


def _weakest_margins(margins: Doubles, n_classes: int) -> Doubles:
    """Score each class by its margin against its strongest rival.

    The class that wins all its pairs, which is the one that the votes of one-against-one
    machines elect, has the only positive score. Votes alone say next to nothing about
    confidence, and sums of margins elect another class often enough to cost accuracy.

    Parameters
    ----------
    margins : (n, n_classes * (n_classes - 1) / 2) or, for two classes, (n,) array
        Decision function of each pair, positive for the first of the two; for two classes
        positive for the second.
    """
    if n_classes == 2:
        return np.column_stack((-margins, margins))
    weakest = np.full((len(margins), n_classes), np.inf)
    for pair, (first, second) in enumerate(combinations(range(n_classes), 2)):
        weakest[:, first] = np.minimum(weakest[:, first], margins[:, pair])
        weakest[:, second] = np.minimum(weakest[:, second], -margins[:, pair])
    return weakest


def _softmax(scores: Doubles) -> Doubles:
    return np.exp(scores - logsumexp(scores, axis=1, keepdims=True))


def _best_temperature(scores: Doubles, codes: Indices) -> float:
    def surprise(log_temperature: float) -> float:
        scaled = scores * np.exp(-log_temperature)
        chosen = scaled[np.arange(len(codes)), codes]
        return float(np.mean(logsumexp(scaled, axis=1) - chosen))

    found = minimize_scalar(surprise, bounds=(np.log(0.01), np.log(100)), method="bounded")
    return float(np.exp(found.x))


def _search_space(config: Config, n_columns: int) -> Mapping[str, list[Any]]:
    """Return the few hyperparameters that matter, each with the values to try."""
    match config.classifier:
        case Svm():
            # After standardising, 1 / n_columns is what "scale" means.
            gammas = [factor / n_columns for factor in (0.25, 0.5, 1, 2)]
            return {"C": [1.0, 3.0, 10.0, 30.0], "gamma": gammas}
        case Logistic():
            return {"C": [0.003, 0.01, 0.03, 0.1, 0.3, 1.0]}
        case Lda():
            return {"shrinkage": ["auto", 0.03, 0.1, 0.3, 0.6]}
        case Knn():
            return {"n_neighbors": [1, 3, 5, 9, 15, 25]}
        case RandomForest():
            return {"min_samples_leaf": [1, 2, 4, 8]}
        case GradientBoosting():
            return {"learning_rate": [0.03, 0.1], "max_leaf_nodes": [4, 8, 16]}
        case Mlp():
            return {"alpha": [0.01, 0.1, 1.0, 10.0]}


def tune(table: FeatureTable, config: Config) -> Config:
    """Choose hyperparameters by cross-validation within a labelled table.

    Accuracy on folds that keep groups together decides; whoever reports an accuracy for the
    result has to hold out other tracks than these.

    Returns
    -------
    Config
        With the best values in its classifier section.
    """
    folds = known_genres_only(_inner_folds(table, table.has_groups, config.seed), table.labels)
    if not folds:  # every genre lives in one group
        folds = known_genres_only(_inner_folds(table, False, config.seed), table.labels)
    space = _search_space(config, len(table.names))
    smallest = min(len(train) for train, _ in folds)
    if "n_neighbors" in space:
        space = {"n_neighbors": [k for k in space["n_neighbors"] if k <= smallest]}
    search = GridSearchCV(
        make_pipeline(config, len(table), calibrated=False),
        {f"classify__{name}": values for name, values in space.items()},
        cv=folds,
        scoring="accuracy",
        refit=False,
        error_score="raise",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(table.values, table.labels)
    best = {name.removeprefix("classify__"): value for name, value in search.best_params_.items()}
    classifier = msgspec.structs.replace(config.classifier, **best)
    return msgspec.structs.replace(config, classifier=classifier)


def _inner_folds(table: FeatureTable, grouped: bool, seed: int) -> list[Fold]:
    groups = table.groups if grouped else None
    return cross_validation(table.labels, groups, INNER_FOLDS, seed).folds
