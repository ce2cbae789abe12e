"""What every classifier declares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from genreclf.config.sections import Section

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline as Pipeline

    from genreclf.learning.pipelines import Task as Task
else:
    Pipeline = Task = Any

SearchSpace = Mapping[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Cost:
    """Time of one uncalibrated fit with default hyperparameters.

    Measured by ``benchmarks/scale.py training`` and ``genres``.

    Attributes
    ----------
    seconds : float
        On one core, for 10,000 tracks with 300 columns and ten genres.
    power : float
        The time grows with this power of the number of tracks.
    by_genre : float
        Each genre beyond ten adds this share.
    """

    seconds: float
    power: float
    by_genre: float

    def estimate(self, n_tracks: int, n_columns: int, n_genres: int) -> float:
        """Estimate the time of one fit in seconds."""
        seconds = self.seconds * (n_tracks / 10_000) ** self.power * n_columns / 300
        return seconds * (1 + self.by_genre * max(0, n_genres - 10))


class Classifier(Section, frozen=True, tag_field="name"):
    """Hyperparameters of a classifier, with scikit-learn's names, and how to train with them.

    A subclass declares its hyperparameters, with ranges and defaults, and the attributes and the
    methods below. Its module is imported to read any configuration, so it imports scikit-learn in
    method bodies only.

    Attributes
    ----------
    cost : Cost
    takes_frames : bool
        Whether the pipeline learns from the kept frames of a table instead of its columns.
    refits_to_calibrate : bool
        Whether the temperature of the probabilities takes more fits, one a fold.
    """

    cost: ClassVar[Cost]
    takes_frames: ClassVar[bool] = False
    refits_to_calibrate: ClassVar[bool] = True
    resamplings: ClassVar[int] = 1  # times that samples are generated for one fit

    @property
    def name(self) -> str:
        """The name that the command line and TOML files use."""
        return str(self.__struct_config__.tag)

    @property
    def description(self) -> str:
        """The name, and what else a reader of results has to know."""
        return self.name

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The hyperparameters by name."""
        return {name: getattr(self, name) for name in self.__struct_fields__}

    def resolved(self, n_tracks: int) -> Self:
        """Return the hyperparameters for that many tracks, where "auto" depends on them."""
        return self

    def seconds(self, n_tracks: int, n_columns: int, n_genres: int) -> float:
        """Estimate the time of one uncalibrated fit, in seconds on one core."""
        return self.cost.estimate(n_tracks, n_columns, n_genres)

    def pipeline(self, task: Task) -> Pipeline:
        """Build the pipeline from ``inputs`` to probabilities, unfitted.

        Its last step is called ``classify`` and takes ``groups`` in ``fit``. Genres are balanced
        if the estimator can do so.
        """
        raise NotImplementedError

    def advice(self, n_tracks: int) -> str | None:
        """Return what a person should know before training on so many tracks, if anything."""
        return None

    def search_space(self, n_tracks: int, n_columns: int) -> SearchSpace:
        """Return the values to try of the few hyperparameters that matter.

        Parameters
        ----------
        n_tracks : int
            Tracks in the smallest fold that is trained on.
        n_columns : int
        """
        raise NotImplementedError
