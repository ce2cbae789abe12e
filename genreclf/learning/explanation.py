"""Explanation of a prediction: exact Shapley values of a few groups of features."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import product
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genreclf.config.schema import ExtractionConfig
from genreclf.features.catalogue import group_of
from genreclf.tables.inputs import FrameInputs, Inputs, statistics_of

Indices = NDArray[np.intp]

CODEBOOK = "kinds of sounds"
OTHERS = "other features"
MOST_GROUPS = 8  # each more doubles the work


def column_groups(
    names: Sequence[str], config: ExtractionConfig | None = None
) -> dict[str, Indices]:
    """Return the columns of each group of features.

    Parameters
    ----------
    names : sequence of str
    config : ExtractionConfig, optional
        That made the columns.

    Returns
    -------
    dict of str to array of int
        Groups of the configuration's views and of the catalogue that have columns. If none of the
        names is ours, columns with the same first word are a group (``spectral_centroid_var``); if
        all have the same, those with the same text before a number (``mfcc_delta.03``). There are
        at most ``MOST_GROUPS``; the rarest are one group together.
    """
    of_columns = _groups_by_view(names, config)
    if set(of_columns) == {OTHERS}:
        of_columns = _groups_by_name(names)
    of_columns = _frequent(of_columns)
    groups: dict[str, list[int]] = {}
    for column, group in enumerate(of_columns):
        groups.setdefault(group, []).append(column)
    return {group: np.array(columns) for group, columns in groups.items()}


def _groups_by_view(names: Sequence[str], config: ExtractionConfig | None) -> list[str]:
    views = config.each_view if config is not None else ()
    known = {feature: view.group(feature) for view in views for feature in view.feature_names}

    def group(name: str) -> str:
        feature = ".".join(name.split(".", 2)[:2])
        return known.get(feature) or group_of(name) or OTHERS

    return [group(name) for name in names]


def _groups_by_name(names: Sequence[str]) -> list[str]:
    for beginning in (r"[^\W\d_]{1,40}", r"\D{1,40}?(?=[._\s-]*\d)"):
        found = [re.search(beginning, name) for name in names]
        groups = [match[0] if match else OTHERS for match in found]
        if len(set(groups)) > 1:
            break
    return groups


def _frequent(groups: list[str]) -> list[str]:
    """Replace the rarest groups, if there are too many, by one."""
    if len(set(groups)) <= MOST_GROUPS:
        return groups
    frequent = {group for group, _ in Counter(groups).most_common(MOST_GROUPS - 1)}
    return [group if group in frequent else OTHERS for group in groups]


def explain_track(
    pipeline: Any, groups: dict[str, Indices], given: Inputs, genre: int
) -> dict[str, float]:
    """Explain the prediction of one track; of a codebook, the words are explained, not the frames.

    See ``explain``; ``given`` is what the pipeline takes of the track.
    """
    if not isinstance(given, FrameInputs):
        return explain(pipeline, groups, statistics_of(given), genre)
    values = pipeline[:1].transform(given)
    words = np.arange(given.values.shape[1], values.shape[1])
    return explain(pipeline[1:], {**groups, CODEBOOK: words}, values, genre)


def explain(
    pipeline: Any, groups: dict[str, Indices], values: NDArray[np.float32], genre: int
) -> dict[str, float]:
    """Divide the difference from the average track among groups of features.

    Interventional Shapley values with one baseline (Štrumbelj & Kononenko 2014, Lundberg & Lee
    2017): the value of a coalition of groups is the probability of the genre for a track whose
    other groups are those of the average training track. They are exact, from all coalitions.

    Parameters
    ----------
    pipeline : sklearn.pipeline.Pipeline
        With a step ``standardise``, in which zero is the average track.
    groups : dict of str to array of int
        Columns of each group; see ``column_groups``.
    values : (1, n_features) or (1, n_excerpts, n_features) array
        Of one track.
    genre : int
        Column of the probabilities.

    Returns
    -------
    dict of str to float
        Probability that each group adds, the largest amount first. Their sum is the probability
        of the track less that of the average track.
    """
    n_columns = values.shape[-1]
    average = pipeline["standardise"].inverse_transform(np.zeros((1, n_columns)))
    coalitions = np.array(list(product((False, True), repeat=len(groups))))
    present = np.zeros((len(coalitions), n_columns), dtype=bool)
    for group, columns in enumerate(groups.values()):
        present[:, columns] = coalitions[:, [group]]
    if values.ndim == 3:  # a coalition holds the same groups of all excerpts
        present = present[:, None]
    mixed = np.where(present, values, average)
    value = pipeline.predict_proba(mixed)[:, genre]
    shares = _shapley_values(coalitions, value)
    by_amount = sorted(zip(groups, map(float, shares), strict=True), key=lambda pair: -abs(pair[1]))
    return dict(by_amount)


def _shapley_values(
    coalitions: NDArray[np.bool_], value: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what each member adds, averaged over all orders of joining (Shapley 1953).

    Parameters
    ----------
    coalitions : (2**n, n) bool
        In the order of binary numbers, with the first member as the highest digit.
    value : (2**n,)
    """
    n = coalitions.shape[1]
    sizes = coalitions.sum(axis=1)
    shares = np.empty(n)
    for member in range(n):
        without = np.flatnonzero(~coalitions[:, member])
        orders = [factorial(size) * factorial(n - size - 1) for size in sizes[without]]
        gained = value[without + 2 ** (n - 1 - member)] - value[without]
        shares[member] = np.dot(orders, gained) / factorial(n)
    return shares
