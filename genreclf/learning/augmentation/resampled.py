"""A classifier that learns from the given samples and synthetic ones."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from genreclf.config.schema import Config
from genreclf.learning.augmentation.gan import GanSampler
from genreclf.learning.augmentation.gaussian import GaussianSampler
from genreclf.learning.augmentation.oversample import Oversampler
from genreclf.learning.augmentation.sampler import Sampler
from genreclf.learning.augmentation.settings import Gan
from genreclf.learning.augmentation.smote import Smote


class Resampled(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Classifier that resamples in ``fit`` only, so that test samples are always real.

    It must be inside of whatever holds tracks out, such as the calibration.

    Parameters
    ----------
    estimator : classifier
    method : str
        "oversample", "smote", "gaussian" or "gan".
    random_state : int
    gan : dict, optional
        The settings of ``Gan`` as plain values, which a model file can hold.

    Attributes
    ----------
    estimator_ : classifier
        Fitted to all samples, given and synthetic.
    classes_ : (n_classes,) array
    """

    def __init__(
        self,
        estimator: Any = None,
        method: str = "gaussian",
        random_state: int = 0,
        gan: dict[str, Any] | None = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.random_state = random_state
        self.gan = gan

    def fit(self, X: ArrayLike, y: ArrayLike) -> "Resampled":
        """Add synthetic samples of scarce classes, and fit the estimator to all samples."""
        values, labels = validate_data(self, X, y)
        check_classification_targets(labels)
        base = self.estimator if self.estimator is not None else GaussianNB()
        self.estimator_ = clone(base).fit(*self._sampler().fit_resample(values, labels))
        self.classes_ = self.estimator_.classes_
        return self

    def _sampler(self) -> Sampler:
        if self.method == "gan":
            return GanSampler(self.random_state, msgspec.convert(self.gan or {}, Gan))
        kinds = {"oversample": Oversampler, "smote": Smote, "gaussian": GaussianSampler}
        return kinds[self.method](self.random_state)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return what the estimator predicts."""
        check_is_fitted(self)
        return self.estimator_.predict(validate_data(self, X, reset=False))

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities of the estimator, (n_samples, n_classes)."""
        check_is_fitted(self)
        return self.estimator_.predict_proba(validate_data(self, X, reset=False))


def resampling(config: Config) -> Resampled | None:
    """Return what resamples for a classifier as the configuration says, if it does."""
    if config.augment == "none":
        return None
    gan = msgspec.to_builtins(config.gan) if config.augment == "gan" else None
    return Resampled(method=config.augment, random_state=config.seed, gan=gan)


def resampled(classifier: Any, resampling: Resampled | None) -> Any:
    """Return the classifier itself, or inside of what resamples for it."""
    if resampling is None:
        return classifier
    return clone(resampling).set_params(estimator=classifier)
