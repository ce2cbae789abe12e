"""The review page of an audit: what it found, and the tracks that are novel or uncertain."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from genreclf.evaluation.audit import Audit
from genreclf.evaluation.result import Evaluation
from genreclf.learning.explanation import column_groups, explain_track
from genreclf.learning.novelty import unlike_the_others
from genreclf.learning.scaling import measures_spread
from genreclf.reports.review import UNCERTAIN_BELOW, ReviewItem, page_of_tracks
from genreclf.tables.inputs import inputs
from genreclf.tables.table import FeatureTable

Track = tuple[str, str]  # path and label
Found = TypeVar("Found")


@dataclass
class HeldOutModels:
    """The pipelines of a cross-validation, which explain their predictions of held-out tracks."""

    _models: list[tuple[Any, FeatureTable]] = field(default_factory=list)
    _starts: list[int] = field(default_factory=lambda: [0])

    def add(self, pipeline: Any, held_out: FeatureTable) -> None:
        """Keep a pipeline and the tracks that it was not trained on; for ``on_model``."""
        self._models.append((pipeline, held_out))
        self._starts.append(self._starts[-1] + len(held_out))

    def explanation(self, evaluation: Evaluation, place: int) -> dict[str, float]:
        """Explain a prediction; ``place`` is its number among those of ``held_out``.

        Networks, which take frames, have no explanation.
        """
        if evaluation.config.classifier.takes_frames:
            return {}
        fold = bisect_right(self._starts, place) - 1
        pipeline, held_out = self._models[fold]
        if evaluation.temperature is not None:  # as the probabilities are calibrated
            of_mean = evaluation.config.learn_from == "excerpts"
            name = "mean_temperature_" if of_mean else "temperature_"
            setattr(pipeline["classify"], name, evaluation.temperature)
        track = inputs(held_out.take(np.array([place - self._starts[fold]])), evaluation.config)
        genre = list(pipeline.classes_).index(evaluation.held_out.predicted[place])
        groups = column_groups(held_out.names, held_out.config)
        with np.errstate(all="ignore"):
            return explain_track(pipeline, groups, track, genre)


def audit_page(
    audit: Audit, table: FeatureTable, models: HeldOutModels, most: int, command: str
) -> str:
    """Write a page of doubtful labels, copies with two labels, novel and uncertain tracks.

    Parameters
    ----------
    audit : Audit
    table : FeatureTable
        The table of the audit.
    models : HeldOutModels
        The pipelines of the audit.
    most : int
        Tracks of each kind on the page; of copies, recordings.
    command : str
        What to run with the corrections.
    """
    chosen = _Chosen(most)
    recordings = _recordings_with_two_labels(audit)
    copies = {track: tracks for tracks in recordings for track in tracks}
    labels = [(finding.path, finding.label) for finding in audit.of_kind("label")]
    for track in chosen.first(labels, "doubtful labels"):
        chosen.add(track, "label")
        for copy in copies.get(track, ()):
            chosen.add(copy, "copy")
    for tracks in chosen.first(recordings, "recordings with two labels"):
        for copy in tracks:
            chosen.add(copy, "copy")
    for track in chosen.first(_novel(audit, table), "novel tracks"):
        chosen.add(track, "novel")
    predictions = _HeldOutPredictions(audit.evaluation, table, models)
    uncertain = [track for track in predictions.uncertain() if track not in chosen.doubts]
    for track in chosen.first(uncertain, "uncertain predictions"):
        chosen.add(track, "uncertain")
    items = []
    for track, doubts in chosen.doubts.items():
        probabilities, explanation = predictions.of(track)
        others = tuple(copy for copy in copies.get(track, ()) if copy != track)
        items.append(
            ReviewItem(
                path=track[0], label=track[1], probabilities=probabilities,
                explanation=explanation, doubts=tuple(doubts), copies=others,
            )
        )  # fmt: skip
    notes = [*_how_sure(audit), *chosen.notes]
    return page_of_tracks(items, table.genres, table.config, command=command, notes=notes)


@dataclass
class _Chosen:
    """The tracks on the page, with what is doubtful about each, and notes on what is left out."""

    most: int
    doubts: dict[Track, dict[str, None]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def first(self, found: Sequence[Found], what: str) -> Sequence[Found]:
        """Return the first findings of a kind."""
        if len(found) > self.most:
            self.notes.append(f"The page shows the first {self.most} of {len(found)} {what}.")
        return found[: self.most]

    def add(self, track: Track, doubt: str) -> None:
        """Put a track on the page, once, unless its file is unknown."""
        if track[0]:
            self.doubts.setdefault(track, {})[doubt] = None


def _recordings_with_two_labels(audit: Audit) -> list[list[Track]]:
    recordings: dict[int | None, dict[Track, None]] = {}
    for found in audit.of_kind("exact", "near"):
        if found.labels_differ:
            recordings.setdefault(found.recording, {})[found.path, found.label] = None
    return [list(tracks) for tracks in recordings.values()]


def _novel(audit: Audit, table: FeatureTable) -> list[Track]:
    """Return the tracks that are unlike all others, the most unlike first."""
    seed = audit.evaluation.config.seed if audit.evaluation else 0
    rows = unlike_the_others(table.values, table.groups, measures_spread(table.names), seed)
    return [(str(table.paths[row]), str(table.labels[row])) for row in rows]


class _HeldOutPredictions:
    """What classifiers that were not trained on a track predict for it."""

    def __init__(
        self, evaluation: Evaluation | None, table: FeatureTable, models: HeldOutModels
    ) -> None:
        self._evaluation, self._models = evaluation, models
        self._places: dict[Track, int] = {}
        if evaluation is not None:
            labelled = table.labelled()
            for place, row in enumerate(evaluation.held_out.rows):
                track = str(labelled.paths[row]), str(labelled.labels[row])
                self._places.setdefault(track, place)

    def of(self, track: Track) -> tuple[dict[str, float], dict[str, float]]:
        """Return probabilities, the highest first, and the explanation; empty if there are none."""
        if self._evaluation is None or track not in self._places:
            return {}, {}
        place, genres = self._places[track], self._evaluation.genres
        shares = self._evaluation.held_out.probabilities[place]
        order = np.argsort(-shares, kind="stable")
        probabilities = {genres[genre]: float(shares[genre]) for genre in order}
        return probabilities, self._models.explanation(self._evaluation, place)

    def uncertain(self) -> list[Track]:
        """Return the tracks with improbable predictions, those with the smallest margin first."""
        if self._evaluation is None:
            return []
        highest = np.sort(self._evaluation.held_out.probabilities, axis=1)[:, -2:]
        margin, confidence = highest[:, 1] - highest[:, 0], highest[:, 1]
        tracks = sorted(self._places, key=lambda track: margin[self._places[track]])
        return [t for t in tracks if confidence[self._places[t]] < UNCERTAIN_BELOW]


def _how_sure(audit: Audit) -> Iterator[str]:
    if audit.accuracy is not None:
        yield (
            "The predictions come from classifiers that were not trained on the track. On all "
            f"labelled tracks, {audit.accuracy:.0%} of their predictions agree with the labels."
        )
    else:
        yield from (f"{note[:1].upper()}{note[1:]}." for note in audit.notes)
