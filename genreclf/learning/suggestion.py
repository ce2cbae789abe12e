"""Which tracks to label next: those whose labels would teach the model most."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.dummy import DummyClassifier

from genreclf.config.schema import Config
from genreclf.errors import TableError, about
from genreclf.learning.model import Model
from genreclf.learning.pipelines import Task, standard_pipeline
from genreclf.learning.prediction import margin
from genreclf.library.pathmatching import PathIndex
from genreclf.tables.inputs import inputs
from genreclf.tables.reading import concatenated
from genreclf.tables.table import FeatureTable

Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]
Method = Literal["clusters", "margin", "random"]

METHODS: tuple[Method, ...] = ("clusters", "margin", "random")
# Clusters are made of this many times as many uncertain tracks as are asked for, which is all of
# them in a small library, and saves time in a large one.
PRESELECTED = 50


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A track to label.

    Attributes
    ----------
    path : str
    probabilities : dict of str to float
        What the model says so far, the most probable genre first; empty without a model.
    novel : bool
        Whether it is unlike all training tracks, so that it may need a new genre.
    explanation : dict of str to float
        If asked for; see ``Prediction``.
    """

    path: str
    probabilities: dict[str, float] = field(default_factory=dict)
    novel: bool = False
    explanation: dict[str, float] = field(default_factory=dict)

    @property
    def margin(self) -> float | None:
        """Probability of the most probable genre less that of the next; None without a model."""
        return margin(self.probabilities) if self.probabilities else None


def unlabelled(
    table: FeatureTable,
    others: Sequence[tuple[Path, FeatureTable]] = (),
    exclude: Iterable[str] = (),
) -> FeatureTable:
    """Return the tracks that can be suggested.

    Parameters
    ----------
    table : FeatureTable
        Its rows without a label.
    others : sequence of (Path, FeatureTable)
        Tables with more of them, and their names; the labels in these do not count.
    exclude : iterable of str
        Paths of tracks to leave out, such as those that are not music.

    Returns
    -------
    FeatureTable
        Each path once, and none that has a label in the table.

    Raises
    ------
    TableError
        If there are none, or a table has other columns or another configuration.
    """
    whole = replace(table, folds=None, split=None, assignments={})
    for file, other in others:
        with about(file):
            own = _without_labels(other, table.names)
        whole = concatenated(file, [whole, own])
    known = set(whole.paths[whole.labels != ""]) | {""}
    index = PathIndex(list(whole.paths), Path())
    for path in exclude:
        with suppress(TableError):  # of another table
            known |= set(whole.paths[index.find(path)])
    first = {path: row for row, path in reversed(list(enumerate(whole.paths)))}
    rows = sorted(row for path, row in first.items() if path not in known)
    if not rows:
        raise TableError(
            "no track to suggest: every track has a label or no path, or is to be left out; "
            "--unlabelled takes more tracks from another table"
        )
    return whole.take(np.array(rows, dtype=np.intp))


def _without_labels(table: FeatureTable, names: list[str]) -> FeatureTable:
    """Return the columns of these names, and no labels."""
    return replace(
        table.with_columns(names),
        labels=np.full(len(table), "", dtype=object),
        folds=None,
        split=None,
        assignments={},
    )


def suggest(
    tracks: FeatureTable,
    n: int,
    model: Model | None = None,
    *,
    method: Method = "clusters",
    explained: bool = False,
) -> list[Suggestion]:
    """Choose the tracks to label next, the most uncertain ones first.

    Parameters
    ----------
    tracks : FeatureTable
        From ``unlabelled``.
    n : int
        How many; all if there are fewer.
    model : Model, optional
        Trained on the labels so far. Without it, clusters are those of all tracks, the largest
        first.
    method : "clusters", "margin" or "random"
        See ``choose``.
    explained : bool
        Whether to explain what the model says.

    Raises
    ------
    TableError
        If the tracks do not fit the model, or ``margin`` has no model.
    """
    tracks = tracks.take(tracks.canonical_order())
    if model is None:
        if method == "margin":
            raise TableError("margins need a model: label tracks of two genres, or give a model")
        rows = choose(None, _standardised(tracks), n, method, Config().seed)
        return [Suggestion(str(path)) for path in tracks.paths[rows]]
    probabilities, space = model.predict_proba(tracks), _as_seen(model, tracks)
    rows = choose(probabilities, space, n, method, model.config.seed)
    return [
        Suggestion(found.path, found.probabilities, found.novel, found.explanation)
        for found in model.predict_table(tracks.take(rows), explained=explained)
    ]


def choose(
    probabilities: Doubles | None, space: Doubles, n: int, method: Method, seed: int
) -> Indices:
    """Return the rows of the tracks to label.

    Parameters
    ----------
    probabilities : (n_tracks, n_genres) array, or None
        Without them, all tracks are equally uncertain.
    space : (n_tracks, n_columns) array
        What the classifier sees of the tracks.
    n : int
    method : "clusters", "margin" or "random"
        ``margin`` takes the tracks whose two most probable genres are closest (Scheffer, Decomain
        & Wrobel 2001). ``clusters`` makes n clusters of the tracks, weighted by their uncertainty
        as in Zhdanov 2019 ("Diverse mini-batch active learning"), and takes the one with the
        smallest margin of each; without probabilities, the one nearest to the centre. ``random``
        is for comparison.
    seed : int

    Returns
    -------
    (n,) array of int
        All rows if there are fewer; fewer if tracks have equal features.
    """
    if method == "random":
        return np.random.default_rng(seed).permutation(len(space))[:n]
    if probabilities is None:
        return _one_of_each_cluster(space, None, n, seed)
    doubt = 1 - _margins(probabilities)
    order = np.argsort(-doubt, kind="stable")
    if method == "clusters" and n < len(space):
        candidates = order[: PRESELECTED * n]
        each = _one_of_each_cluster(space[candidates], doubt[candidates], n, seed)
        order = candidates[each][np.argsort(-doubt[candidates[each]], kind="stable")]
    return order[:n]


def _margins(probabilities: Doubles) -> Doubles:
    """Return the probability of the most probable genre less that of the next, (n_tracks,)."""
    if probabilities.shape[1] < 2:
        return 1 - probabilities[:, 0]
    best = np.partition(probabilities, -2, axis=1)
    return best[:, -1] - best[:, -2]


def _one_of_each_cluster(space: Doubles, doubt: Doubles | None, n: int, seed: int) -> Indices:
    """Return one row of each of n clusters, those of heavy clusters first.

    It is the row with the largest doubt, or without doubts the one nearest to the centre. Equal
    rows are in one cluster, so that there may be fewer.
    """
    n_clusters = min(n, len(np.unique(space, axis=0)))
    weights = np.ones(len(space)) if doubt is None else np.maximum(doubt, 1e-6)
    means = KMeans(n_clusters, n_init=3, random_state=seed).fit(space, sample_weight=weights)
    inside = means.labels_[:, None] == np.arange(n_clusters)
    scores = means.transform(space) if doubt is None else -doubt[:, None]
    mass = np.bincount(means.labels_, weights, n_clusters)
    return np.where(inside, scores, np.inf).argmin(axis=0)[np.argsort(-mass, kind="stable")]


def _as_seen(model: Model, tracks: FeatureTable) -> Doubles:
    """Return what the classifier of a model sees, (n_tracks, n_columns)."""
    of_model = model.columns_of(tracks)
    steps = model.pipeline[:-1]
    if not len(steps):  # a network, which sees frames
        return _standardised(of_model)
    columns: Doubles = steps.transform(inputs(of_model, model.config))
    return columns


def _standardised(tracks: FeatureTable) -> Doubles:
    """Return principal components of standardised features, as an SVM would see them."""
    pipeline = standard_pipeline(DummyClassifier(), Task(tracks, Config()), pca=0.99)
    with np.errstate(all="ignore"):  # a single track has no variance
        columns: Doubles = pipeline[:-1].fit_transform(tracks.values)
    return columns
