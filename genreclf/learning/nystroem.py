"""A kernel machine for many tracks: Nyström's approximation, trained in linear time."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Indices = NDArray[np.intp]

ROWS = 4096  # of a kernel matrix at a time
# With an SVC's C = 3, penalties from 10 to 30 were equally accurate.
LOGISTIC_C = 5.0
# The curvature of smaller eigenvalues is below the precision of the kernel.
LEAST_EIGENVALUE = 1e-7
LEAST_GAIN = 1e-4  # of an iteration, relative to the loss
MOST_ITERATIONS = 100


class NystroemClassifier(ClassifierMixin, BaseEstimator):
    """Kernel logistic regression with balanced classes, whose kernel is approximated.

    It stands for an ``SVC`` with a radial basis function kernel, whose training time grows with
    the square of the number of samples; here it grows with their number. The decision function of
    a class is a weighted sum of the kernel between a sample and a few training samples, the
    landmarks (Williams & Seeger 2001). The logistic loss takes the place of the hinge loss (Zhu &
    Hastie 2005), because it has a gradient everywhere.

    ``Nystroem`` and ``LogisticRegression`` of scikit-learn make the same classifier. They need many
    more iterations, because the loss is far more curved in some directions than in others. Here,
    each direction is scaled by its curvature, which the landmarks tell (as in Rudi, Carratino &
    Rosasco 2017).

    Parameters
    ----------
    C : float
        Penalty; the same value as for an ``SVC``.
    gamma : float, "scale" or "auto"
        As for an ``SVC``.
    n_components : int
        Number of landmarks, drawn with equal shares of the classes.
    random_state : int

    Attributes
    ----------
    classes_ : (n_classes,) array
    landmarks_ : (n_components, n_features) array
    gamma_ : float
    coef_ : (n_components, n_classes) array
        Weights of the landmarks.
    intercept_ : (n_classes,) array
    n_iter_ : int
    """

    def __init__(
        self,
        C: float = 1.0,
        gamma: float | Literal["scale", "auto"] = "scale",
        n_components: int = 2000,
        random_state: int = 0,
    ) -> None:
        self.C = C
        self.gamma = gamma
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> "NystroemClassifier":
        """Draw landmarks, and fit their weights."""
        values, labels = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("needs samples of at least 2 classes; the data has only one class")
        weights = compute_sample_weight("balanced", labels)
        self.gamma_ = self._width(values)
        self.landmarks_ = self._draw(values, weights)
        basis, curvatures = self._eigenbasis(len(values))
        kernel = np.empty((len(values), len(self.landmarks_)), dtype=np.float32)
        for rows in gen_batches(len(values), ROWS):
            kernel[rows] = self._kernel(values[rows])
        loss = _Loss(kernel, codes, LOGISTIC_C * self.C * weights, basis, curvatures)
        self.coef_, self.intercept_, self.n_iter_ = loss.minimised(len(self.classes_))
        return self

    def _width(self, values: Doubles) -> float:
        if isinstance(self.gamma, str):
            variance = float(values.var()) if self.gamma == "scale" else 1.0
            return 1 / (values.shape[1] * variance) if variance else 1.0
        return self.gamma

    def _draw(self, values: Doubles, weights: Doubles) -> Doubles:
        """Draw samples with equal shares of the classes, as long as a class has enough."""
        random = check_random_state(self.random_state)
        n = min(self.n_components, len(values))
        rows = random.choice(len(values), n, replace=False, p=weights / weights.sum())
        landmarks: Doubles = values[np.sort(rows)]
        return landmarks

    def _kernel(self, values: Doubles) -> Doubles:
        kernel: Doubles = rbf_kernel(values, self.landmarks_, self.gamma_)
        return kernel

    def _eigenbasis(self, n_samples: int) -> tuple[Doubles, Doubles]:
        """Return directions in the space of the kernel, scaled by the curvature of the loss.

        The space is spanned by the eigenvectors of the kernel between landmarks. The mean square of
        the samples along an eigenvector is its eigenvalue, divided by the number of landmarks; so
        that is, but for constants, the curvature of the loss.

        Returns
        -------
        basis : (n_components, n_directions) array
            Weights of the landmarks for a step in each direction.
        penalties : (n_directions,) array
            Squared length of this step.
        """
        eigenvalues, vectors = np.linalg.eigh(self._kernel(self.landmarks_))
        used = eigenvalues > LEAST_EIGENVALUE * eigenvalues[-1]
        eigenvalues, vectors = eigenvalues[used], vectors[:, used]
        samples_each = n_samples / len(vectors) / len(self.classes_)
        penalties = 1 / (1 + LOGISTIC_C * self.C * samples_each * eigenvalues)
        return vectors * np.sqrt(penalties / eigenvalues), penalties

    def decision_function(self, X: ArrayLike) -> Doubles:
        """Return the score of each class, (n, n_classes); of two classes that of the second, (n,).

        The softmax of the scores is an uncalibrated estimate of the probabilities.
        """
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, reset=False)
        scores = np.empty((len(values), len(self.classes_)))
        for rows in gen_batches(len(values), ROWS):
            scores[rows] = self._kernel(values[rows]) @ self.coef_ + self.intercept_
        return scores if len(self.classes_) > 2 else scores[:, 1] - scores[:, 0]

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the class with the highest score."""
        scores = self.decision_function(X)
        best = scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(np.intp)
        found: NDArray[Any] = self.classes_[best]
        return found


def kernel_machine(
    C: float, gamma: float | str, approximation: int | str, random_state: int
) -> Any:
    """Return a machine with balanced classes, unfitted, whose ``class_scores`` are known.

    Parameters
    ----------
    C, gamma
        As for an ``SVC``.
    approximation : int or str
        Number of landmarks; a word for an exact machine.
    random_state : int
        Draws the landmarks.
    """
    if isinstance(approximation, int):
        return NystroemClassifier(C, gamma, approximation, random_state)  # type: ignore[arg-type]
    from sklearn.svm import SVC

    return SVC(C=C, gamma=gamma, class_weight="balanced", decision_function_shape="ovo")


@dataclass(frozen=True, eq=False)
class _Loss:
    """Penalised logistic loss as a function of steps along the directions of a basis.

    Attributes
    ----------
    kernel : (n, n_components) array
    codes : (n,) array of int
        Numbers of the true classes.
    weights : (n,) array
    basis : (n_components, n_directions) array
    penalties : (n_directions,) array
    """

    kernel: Floats
    codes: Indices
    weights: Doubles
    basis: Doubles
    penalties: Doubles

    def minimised(self, n_classes: int) -> tuple[Doubles, Doubles, int]:
        """Return weights of the landmarks, intercepts, and the number of iterations."""
        start = np.zeros((len(self.penalties) + 1) * n_classes)
        found = minimize(
            self, start, jac=True, method="L-BFGS-B",
            options={"maxiter": MOST_ITERATIONS, "ftol": LEAST_GAIN},
        )  # fmt: skip
        steps = found.x.reshape(-1, n_classes)
        return self.basis @ steps[:-1], self._step * steps[-1], int(found.nit)

    @property
    def _step(self) -> float:
        """Scale of the intercepts, which are not penalised."""
        return float(np.sqrt(self.penalties.min()))

    def __call__(self, flat: Doubles) -> tuple[float, Doubles]:
        """Return the loss and its gradient at the steps of all classes, the intercepts last."""
        steps = flat.reshape(len(self.penalties) + 1, -1)
        coef = (self.basis @ steps[:-1]).astype(np.float32)
        intercept = (self._step * steps[-1]).astype(np.float32)
        loss = 0.5 * float(self.penalties @ (steps[:-1] ** 2).sum(axis=1))
        of_coef, of_intercept = np.zeros(coef.shape), np.zeros(intercept.shape)
        for rows in gen_batches(len(self.codes), ROWS):
            kernel, weights = self.kernel[rows], self.weights[rows].astype(np.float32)
            logs = log_softmax(kernel @ coef + intercept, axis=1)
            true = np.arange(len(logs)), self.codes[rows]
            loss -= float(weights @ logs[true])
            residuals = np.exp(logs)
            residuals[true] -= 1
            residuals *= weights[:, None]
            of_coef += kernel.T @ residuals
            of_intercept += residuals.sum(axis=0)
        gradient = self.penalties[:, None] * steps[:-1] + self.basis.T @ of_coef
        return loss, np.vstack((gradient, self._step * of_intercept)).ravel()
