"""Margins of a support vector machine, by matrix products."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.utils import gen_batches

Doubles = NDArray[np.float64]

# Numbers in memory at a time, 8 bytes each. A sample has one for each support vector, and one for
# each ordered pair of classes: 250,000 of 500 classes.
MOST_NUMBERS = 4_000_000


def weakest_margins(machine: Any, values: Doubles) -> Doubles:
    """Return the margin of each class against its strongest rival, (n, n_classes).

    Only a class that wins all its pairs, and so most votes, has a positive score. Votes contain
    little about confidence, and sums of margins often prefer another class, which costs accuracy.

    The margins are those of ``SVC.decision_function``, which adds them up one number at a time.
    Matrix products take a tenth of that time with many support vectors or classes.

    Parameters
    ----------
    machine : SVC
        Fitted to dense samples.
    values : (n, n_features) array
    """
    n_classes, n_vectors = len(machine.classes_), len(machine.support_vectors_)
    weakest = np.full((len(values), n_classes), np.inf)
    for rows in gen_batches(len(values), max(1, MOST_NUMBERS // (n_vectors + n_classes**2))):
        kernel = _kernel(machine, values[rows])
        if n_classes == 2:  # of only two classes, the margin is positive for the second one
            margins = kernel @ machine.dual_coef_[0] + machine.intercept_[0]
            weakest[rows] = np.column_stack((-margins, margins))
        else:
            _lower_to_margins(weakest[rows].T, machine, kernel)
    return weakest


def _kernel(machine: Any, values: Doubles) -> Doubles:
    """Return the kernel between samples and support vectors, (n, n_vectors)."""
    kernel: Doubles = pairwise_kernels(
        values, machine.support_vectors_, machine.kernel, filter_params=True,
        gamma=machine._gamma, degree=machine.degree, coef0=machine.coef0,
    )  # fmt: skip
    return kernel


def _lower_to_margins(weakest: Doubles, machine: Any, kernel: Doubles) -> None:
    """Lower the scores of all classes, (n_classes, n), to the margins of each pair."""
    shares = _shares(machine, kernel)
    start = 0
    for first in range(len(shares) - 1):  # its pairs with all later classes are adjacent
        later = slice(first + 1, None)
        intercepts = machine.intercept_[start : (start := start + len(shares) - 1 - first)]
        margins = shares[first, later] + shares[later, first] + intercepts[:, None]
        np.minimum(weakest[first], margins.min(axis=0), out=weakest[first])
        np.minimum(weakest[later], -margins, out=weakest[later])


def _shares(machine: Any, kernel: Doubles) -> Doubles:
    """Return what the vectors of each class add to its pair with each other class.

    Returns
    -------
    (n_classes, n_classes, n) array
        Of the vectors of the first class, in its pair with the second one; 0 of a class with
        itself.
    """
    n_classes = len(machine.classes_)
    shares = np.zeros((n_classes, n_classes, len(kernel)))
    ends = np.cumsum(machine.n_support_)  # the vectors of a class are adjacent
    for own, (start, end) in enumerate(zip(ends - machine.n_support_, ends, strict=True)):
        rivals = np.arange(n_classes) != own  # each has a row of coefficients
        shares[own, rivals] = machine.dual_coef_[:, start:end] @ kernel[:, start:end].T
    return shares
