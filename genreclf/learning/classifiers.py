"""Names to scikit-learn pipelines, with probabilities that are calibrated."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from genreclf.config.schema import (
    Config,
    Ensemble,
    GradientBoosting,
    Knn,
    Lda,
    Logistic,
    Mlp,
    RandomForest,
    Svm,
)
from genreclf.errors import ConfigError, TableError
from genreclf.features.kept import kept_shapes
from genreclf.learning.calibration import TemperatureScaled, count_calibration_folds
from genreclf.learning.codebook import inputs, make_codebooks
from genreclf.learning.scaling import LogScaler, measures_spread
from genreclf.learning.splits import Fold, cross_validation, known_genres_only
from genreclf.tables.table import FeatureTable

INNER_FOLDS = 5

# Classifiers that "auto" puts behind PCA. Trees ask about one column at a time, of which rotated
# ones each tell a little of everything; of what PCA drops, discriminant analysis loses two to eight
# points (benchmarks/accuracy.md).
_BEHIND_PCA = (Svm, Knn, Mlp)


class _Cost(NamedTuple):
    """What one uncalibrated fit takes.

    Attributes
    ----------
    seconds : float
        Of one core, for 10,000 tracks of 300 columns and ten genres.
    power : float
        Of the number of tracks, that it grows with.
    by_genre : float
        How much longer it takes for each genre more, as a share.
    """

    seconds: float
    power: float
    by_genre: float


# With default hyperparameters, from ``benchmarks/scale.py training`` and ``genres``.
_TRAINING: Mapping[str, _Cost] = {
    "lda": _Cost(0.6, 1, 0.02),
    "logistic": _Cost(0.6, 1, 0.013),
    "knn": _Cost(0.6, 1.5, 0),
    "svm": _Cost(6.6, 1.8, 0.02),
    "mlp": _Cost(5, 0.6, 0.02),  # the more tracks, the fewer passes over them
    "random-forest": _Cost(52, 1.1, 0.03),
    "gradient-boosting": _Cost(42, 0.5, 0.1),  # a tree for each genre
    "ensemble": _Cost(72, 1.1, 0.02),
}


def fit_pipeline(table: FeatureTable, config: Config, *, calibrated: bool = True) -> Pipeline:
    """Fit the configured classifier to a labelled table.

    Groups, where there are any, hold together in the folds that calibrate it too. With a settled
    codebook the pipeline takes what ``inputs`` makes of a table, else its values.

    Parameters
    ----------
    table : FeatureTable
    config : Config
    calibrated : bool
        Learn a temperature, which takes more fits and never changes which genre comes first.

    Raises
    ------
    ConfigError
        If more principal components are asked for than there can be.
    TableError
        If no column varies, or there are too few tracks for this classifier.
    """
    if not (np.fmin.reduce(table.values) < np.fmax.reduce(table.values)).any():
        raise TableError("no column varies from track to track: there is nothing to learn from")
    n_columns = _n_columns(table, config)
    most = min(len(table), n_columns)
    if isinstance(config.pca, int) and config.pca > most:
        raise ConfigError(
            f"pca = {config.pca}: {len(table)} tracks with {n_columns} columns have "
            f"{most} components at most"
        )
    pipeline = make_pipeline(config, table, calibrated=calibrated)
    groups = table.groups if table.has_groups else None
    with _learning(table, config):
        columns = inputs(table.values, table.frames, config)
        pipeline.fit(columns, table.labels, classify__groups=groups)
    return pipeline


def _n_columns(table: FeatureTable, config: Config) -> int:
    """Count the statistics and words that a classifier learns from."""
    n_words = config.codebook.n_words
    kept = kept_shapes(table.config) if n_words and table.config is not None else {}
    return len(table.names) + n_words * len(kept)


def training_seconds(
    table: FeatureTable, config: Config, *, search: bool = False, calibrated: bool = True
) -> float:
    """Foretell roughly how long one training takes, in seconds of one core.

    A rule of thumb from one measurement, for a person who may want to choose another classifier:
    proportional to the columns, and to a power of the tracks; a share of it to the genres.

    Parameters
    ----------
    table : FeatureTable
    config : Config
    search : bool
        Tune first.
    calibrated : bool
        Learn a temperature too.
    """
    cost = _TRAINING[config.classifier.name]
    n = len(table)
    once = cost.seconds * (n / 10_000) ** cost.power * len(table.names) / 300
    once *= 1 + cost.by_genre * max(0, len(table.genres) - 10)
    total = once
    if calibrated:
        total += once * count_calibration_folds(n, INNER_FOLDS) * (1 - 1 / INNER_FOLDS)
    if search:
        n_candidates = math.prod(map(len, _search_space(config, len(table.names)).values()))
        total += once * n_candidates * INNER_FOLDS * (1 - 1 / INNER_FOLDS)
    return total


@contextmanager
def _learning(table: FeatureTable, config: Config) -> Iterator[None]:
    """Turn an estimator's complaint about the data into an error that a person can act on."""
    with warnings.catch_warnings():
        # A perceptron that stops at max_iter is still one; its score says what it is worth.
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            yield
        except ValueError as error:
            raise TableError(
                f"{config.classifier.name} cannot learn from {len(table)} tracks of "
                f"{len(table.genres)} genres: {str(error).splitlines()[0]}"
            ) from None


def make_pipeline(config: Config, table: FeatureTable, *, calibrated: bool = True) -> Pipeline:
    """Build (codebook →) impute → standardise → PCA → classify, unfitted.

    Parameters
    ----------
    config : Config
    table : FeatureTable
        What it is to learn from: names and number of its columns, and how many tracks.
    calibrated : bool
        Learn the temperature of ``TemperatureScaled``, which wraps the classifier.
    """
    n_columns = _n_columns(table, config)
    classifier = _make_classifier(config, len(table))
    n_folds = INNER_FOLDS if calibrated else 0
    codebooks = make_codebooks(table, config)
    return Pipeline(
        [
            *([("codebook", codebooks)] if codebooks is not None else []),
            ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("standardise", _make_scaler(config, table.names, n_columns)),
            ("pca", _make_pca(config)),
            ("classify", TemperatureScaled(classifier, n_folds, config.seed)),
        ]
    )


def _make_scaler(config: Config, names: Sequence[str], n_columns: int) -> LogScaler:
    logarithmic = np.zeros(n_columns, dtype=bool)
    if config.scaling == "log":
        logarithmic[: len(names)] = measures_spread(names)
    limit = np.inf if config.scaling_limit == "off" else config.scaling_limit
    return LogScaler(logarithmic, limit)


def _make_pca(config: Config) -> PCA | str:
    kept = config.pca
    if kept == "auto":
        kept = 0.99 if isinstance(config.classifier, _BEHIND_PCA) else "off"
    return "passthrough" if kept == "off" else PCA(kept, svd_solver="full")


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
            return KNeighborsClassifier(few, algorithm="brute", **parameters)
        case RandomForest():
            return RandomForestClassifier(**parameters, class_weight="balanced", random_state=seed)
        case GradientBoosting():
            return HistGradientBoostingClassifier(
                **parameters, class_weight="balanced", random_state=seed
            )
        case Mlp():
            return MLPClassifier(**parameters, random_state=seed)
        case Ensemble():
            return SoftVote(**parameters, random_state=seed)


class EvenLda(LinearDiscriminantAnalysis):
    """Linear discriminant analysis to which all classes are equally likely beforehand.

    scikit-learn's takes its priors by number, which folds that lack a class do not have.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> "EvenLda":
        """Fit, then take the logarithms of the priors out of the intercepts again."""
        with warnings.catch_warnings():
            # A class of one sample has no covariance of its own.
            warnings.filterwarnings("ignore", "Only one sample available", UserWarning)
            super().fit(X, y)
        log_priors = np.log(self.priors_)
        self.intercept_ -= log_priors if len(log_priors) > 2 else np.diff(log_priors)
        return self


class SoftVote(ClassifierMixin, BaseEstimator):
    """Mean probabilities of three very different classifiers, for standardised columns.

    A support vector machine, discriminant analysis and, counting twice, extremely randomised trees
    (Geurts, Ernst & Wehenkel 2006). The first two are calibrated, so that none outvotes the others
    by being too sure of itself.

    Parameters
    ----------
    C : float
        Of the support vector machine, whose kernel is half as narrow as scikit-learn's "scale".
    n_estimators, max_features, min_samples_leaf
        Of the trees.
    random_state : int

    Attributes
    ----------
    classes_ : (n_classes,) array
    vote_ : VotingClassifier
    """

    def __init__(
        self,
        C: float = 3.0,
        n_estimators: int = 300,
        max_features: float = 0.2,
        min_samples_leaf: int = 1,
        random_state: int = 0,
    ) -> None:
        self.C = C
        self.n_estimators = n_estimators
        self.max_features = max_features
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> "SoftVote":
        """Fit all three."""
        values, labels = validate_data(self, X, y)
        check_classification_targets(labels)
        machine = SVC(
            C=self.C,
            gamma=0.5 / values.shape[1],
            class_weight="balanced",
            decision_function_shape="ovo",
        )
        lda = EvenLda(solver="lsqr", shrinkage="auto")
        trees = ExtraTreesClassifier(
            self.n_estimators,
            max_features=self.max_features,
            min_samples_leaf=self.min_samples_leaf,
            class_weight="balanced",
            random_state=self.random_state,
        )
        members = [
            ("svm", TemperatureScaled(machine, INNER_FOLDS, self.random_state)),
            ("lda", TemperatureScaled(lda, INNER_FOLDS, self.random_state)),
            ("trees", trees),
        ]
        self.vote_ = VotingClassifier(members, voting="soft", weights=[1, 1, 2])
        self.vote_.fit(values, labels)
        self.classes_ = self.vote_.classes_
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable class of each sample."""
        most_probable = self.predict_proba(X).argmax(axis=1)
        return self.classes_[most_probable]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the mean of the three's probabilities, (n_samples, n_classes)."""
        check_is_fitted(self)
        return self.vote_.predict_proba(validate_data(self, X, reset=False))


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
        case Ensemble():
            return {"min_samples_leaf": [1, 2, 4], "max_features": [0.1, 0.2, 0.4]}


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
    space = _search_space(config, _n_columns(table, config))
    smallest = min(len(train) for train, _ in folds)
    if "n_neighbors" in space:
        space = {"n_neighbors": [k for k in space["n_neighbors"] if k <= smallest]}
    search = GridSearchCV(
        make_pipeline(config, table, calibrated=False),
        {f"classify__estimator__{name}": values for name, values in space.items()},
        cv=folds,
        scoring="accuracy",
        refit=False,
        error_score="raise",
    )
    with _learning(table, config):
        search.fit(inputs(table.values, table.frames, config), table.labels)
    best = {name.split("__")[-1]: value for name, value in search.best_params_.items()}
    classifier = msgspec.structs.replace(config.classifier, **best)
    return msgspec.structs.replace(config, classifier=classifier)


def _inner_folds(table: FeatureTable, grouped: bool, seed: int) -> list[Fold]:
    groups = table.groups if grouped else None
    return cross_validation(table.labels, groups, INNER_FOLDS, seed).folds
