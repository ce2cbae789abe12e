"""Whether class weights have any effect on a support vector machine."""

from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from genreclf.learning.augmentation.resampled import Resampled

UNEQUAL = 2.0  # times as many tracks of one genre as of another; less is no scarce genre


def weights_are_idle(pipeline: Pipeline) -> bool:
    """Return True if genres are unequal and balanced class weights changed nothing.

    The weight of a class is a factor of C, the upper bound of its support vectors' coefficients.
    If no coefficient reaches its bound, neither with weights nor with C alone, the bounds have no
    influence on the solution. That happens with few tracks in many dimensions, which a kernel
    separates without error.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted. False if its classifier is another one than ``SVC``.
    """
    machine: Any = getattr(pipeline[-1], "estimator_", None)
    if isinstance(machine, Resampled):
        machine = machine.estimator_
    if not isinstance(machine, SVC):
        return False
    weights = machine.class_weight_
    if weights.max() < UNEQUAL * weights.min():
        return False
    bounds = machine.C * np.repeat(np.minimum(weights, 1), machine.n_support_)
    return bool((np.abs(machine.dual_coef_) < bounds * (1 - 1e-6)).all())
