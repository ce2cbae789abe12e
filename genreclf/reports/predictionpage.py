"""The review page of predictions: the novel and the least certain tracks."""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import repeat

from genreclf.config.schema import ExtractionConfig
from genreclf.extraction.tracks import Failure
from genreclf.learning.prediction import UNKNOWN, Prediction, margin
from genreclf.reports.review import (
    EXTRACT_COMMAND,
    UNCERTAIN_BELOW,
    ReviewItem,
    page_of_tracks,
)

_Ranked = tuple[float, int, Prediction, str]


@dataclass
class PredictionPage:
    """Chooses predictions for a page as they come: in memory are only those that may be on it.

    Attributes
    ----------
    most : int
        Novel tracks on the page, and as many others.
    explained : bool
        Whether the explanations that were made for the page stay in the predictions.
    """

    most: int
    explained: bool = False
    _n: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    # By novelty, heaps with the most certain of the chosen tracks on top.
    _chosen: dict[bool, list[_Ranked]] = field(default_factory=lambda: {True: [], False: []})

    def admits(self, prediction: Prediction) -> bool:
        """Return True if a prediction would be among the least certain so far."""
        chosen = self._chosen[prediction.novel]
        if len(chosen) < self.most:
            return True
        return bool(chosen) and -margin(prediction.probabilities) > chosen[0][0]

    def each(
        self, results: Iterable[Prediction | Failure], labels: Iterable[str] = repeat("")
    ) -> Iterator[Prediction | Failure]:
        """Yield each result after it was considered for the page.

        Parameters
        ----------
        results : iterable of Prediction or Failure
            Of which those are explained that the page ``admits``.
        labels : iterable of str
            The label of each track; the empty string if it has none.
        """
        for result, label in zip(results, labels, strict=False):
            if isinstance(result, Failure):
                yield result
                continue
            self._add(result, label)
            yield result if self.explained else replace(result, explanation={})

    def _add(self, prediction: Prediction, label: str) -> None:
        number = sum(self._n.values())
        if self.admits(prediction):
            chosen = self._chosen[prediction.novel]
            heapq.heappush(chosen, (-margin(prediction.probabilities), -number, prediction, label))
            if len(chosen) > self.most:
                heapq.heappop(chosen)
        self._n[prediction.novel] += 1

    def html(
        self, genres: Iterable[str], config: ExtractionConfig | None, command: str = EXTRACT_COMMAND
    ) -> str:
        """Write the page; see ``page_of_tracks`` for the parameters."""
        ranked = [sorted(self._chosen[novel], reverse=True) for novel in (True, False)]
        items = [_item(entry[2], entry[3]) for entries in ranked for entry in entries]
        return page_of_tracks(items, list(genres), config, command=command, notes=self._notes())

    def _notes(self) -> list[str]:
        notes = []
        for novel, what in ((True, "novel"), (False, "other")):
            n = self._n[novel]
            if n > self.most:
                notes.append(f"The page shows the {self.most} least certain of {n} {what} tracks.")
        return notes


def _item(prediction: Prediction, label: str) -> ReviewItem:
    is_unknown = prediction.genre == UNKNOWN
    is_uncertain = is_unknown or prediction.confidence < UNCERTAIN_BELOW
    below = (
        f"below the model's threshold of {prediction.threshold:.0%}: the prediction is {UNKNOWN}"
    )
    return ReviewItem(
        path=prediction.path,
        label=label,
        probabilities=prediction.probabilities,
        explanation=prediction.explanation,
        doubts=("novel",) * prediction.novel + ("uncertain",) * is_uncertain,
        spans=prediction.spans,
        notes=(*prediction.notes, *((below,) if is_unknown else ())),
    )
