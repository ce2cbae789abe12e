"""Notes and warnings on how an accuracy was measured."""

import numpy as np

from genreclf.config.schema import Config
from genreclf.errors import shortened
from genreclf.evaluation.intervals import effective_groups, group_numbers, groups_per_genre
from genreclf.evaluation.result import HeldOut
from genreclf.learning.pipelines import Task
from genreclf.learning.splits import Splits, own_groups
from genreclf.tables.table import FeatureTable, Texts

NO_GROUPS = (
    "no groups: tracks of one artist may be in both the training and the test set, so expect a "
    "lower accuracy on new artists; --group COLUMN or --group-regex names the artists"
)
MODEL_KNOWS = "if the model was trained on some of these tracks, this accuracy is too high"
IDLE_WEIGHTS = (
    "class weights change nothing here, because no coefficient of a support vector reaches its "
    "upper bound; for genres with few tracks, try --augment gaussian"
)
# With fewer groups, the interval covers the true accuracy only because it is so wide; see
# benchmarks/statistics.py.
FEWEST_GROUPS, FEWEST_PER_GENRE = 10, 3


def approximation_notes(config: Config) -> list[str]:
    """Name the approximation of a resolved configuration, if there is one."""
    name, description = config.classifier.name, config.classifier.description
    return [] if description == name else [description]


def unknown_genre_notes(held_out: HeldOut, who: str) -> list[str]:
    """Count the tracks that are wrong because the classifier was not trained on their genre."""
    unknown = ~held_out.known
    if not unknown.any():
        return []
    genres = shortened(", ".join(sorted(set(held_out.labels[unknown]))))
    n, total = int(unknown.sum()), len(unknown)
    count = f"all {total}" if n == total else f"{n} of the {total}"
    return [f"{count} tracks count as wrong because {who} has no tracks of their genre ({genres})"]


def unknown_genre_warnings(held_out: HeldOut, who: str) -> list[str]:
    """As ``unknown_genre_notes``, with the accuracy on the other tracks."""
    known = held_out.known
    rest = f"; {held_out.correct[known].mean():.1%} of the others are correct" * bool(known.any())
    return [f"{text}{rest}" for text in unknown_genre_notes(held_out, who)]


def unscored_notes(table: FeatureTable, splits: Splits, held_out: HeldOut) -> list[str]:
    """Name the tracks that folds of our own cannot test, and the reason."""
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
            f"not tested: {shortened(', '.join(missing), 300)}; a genre is tested only if other "
            "folds have tracks of it to train on, so the accuracy leaves these tracks out"
        )
    if others := int(np.isin(labels, list(tested)).sum()):
        notes.append(
            f"not tested: {others} tracks whose fold leaves only one genre to train on; the "
            "accuracy leaves them out"
        )
    return notes


def augmentation_notes(table: FeatureTable, splits: Splits, config: Config) -> list[str]:
    """Count the synthetic samples in the training parts of folds."""
    if config.augment == "none":
        return []
    folds = splits.tested(table.labels)
    n_made = sum(sum(Task(table.take(train), config).made.values()) for train, _ in folds)
    return [
        f"augment = {config.augment!r}: {n_made} synthetic samples were added to genres below "
        f"the median number of tracks, in the training parts of {len(folds)} folds; all test "
        "tracks are real"
    ]


def few_groups_notes(labels: Texts, groups: Texts, train_share: float | None = None) -> list[str]:
    """Warn if groups are too few to estimate the accuracy on other groups.

    Parameters
    ----------
    labels, groups : (n_tracks,) array of str
        Of the test tracks.
    train_share : float, optional
        As for ``learning_factor``: only a cross-validation needs several groups in each genre.
    """
    group = group_numbers(groups)
    n_groups = int(group.max()) + 1
    per_genre = np.mean(list(groups_per_genre(labels, groups).values()))
    few = effective_groups(group) < FEWEST_GROUPS
    if not few and (train_share is None or per_genre >= FEWEST_PER_GENRE):
        return []
    unequal = " of very unequal size" if few and n_groups >= FEWEST_GROUPS else ""
    return [
        f"too few groups to estimate the accuracy on others ({n_groups} groups{unequal}, "
        f"{per_genre:.2g} per genre), so the interval is wide; use at least {FEWEST_GROUPS} "
        f"groups, and at least {FEWEST_PER_GENRE} per genre"
    ]
