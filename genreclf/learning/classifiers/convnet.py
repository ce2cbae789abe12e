"""Convolutional network on spectrograms."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, to_builtins

from genreclf.config.sections import Count
from genreclf.learning.classifiers.base import Classifier, Cost, Pipeline, SearchSpace, Task
from genreclf.learning.networks.optimizers import Optimizer

CHANNELS = 32  # of Choi et al. 2017

# Pons et al. 2017 (arXiv 1711.02520): boosted trees on designed features were more accurate than
# networks with 100,000 training tracks, and less accurate with a million.
LEARNS_BETTER_FROM = 1_000_000
STILL_WORSE_WITH = 100_000


class Convnet(Classifier, frozen=True, tag="convnet"):
    """Convolutional network of Choi et al. 2017 on the spectrograms that a table keeps."""

    channels: Annotated[int, Meta(ge=1, le=512)] = CHANNELS
    crop: Annotated[float, Meta(ge=0.1, le=1)] = 0.5
    mixup: Annotated[float, Meta(ge=0, le=10)] = 0.2
    mask_bands: Annotated[int, Meta(ge=0, le=10_000)] = 0
    mask_frames: Annotated[int, Meta(ge=0, le=100_000)] = 0
    epochs: Annotated[int, Meta(ge=1, le=10_000)] = 60
    patience: Count = 20
    validation: Annotated[float, Meta(ge=0, le=0.5)] = 0.15
    batch_size: Annotated[int, Meta(ge=2, le=4096)] = 16
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: Annotated[int, Meta(ge=1, le=1024)] = 1
    optimizer: Optimizer = Optimizer()
    cost: ClassVar[Cost] = Cost(26_000, 1.0, 0.0)  # 60 epochs of half excerpts
    takes_frames: ClassVar[bool] = True
    refits_to_calibrate: ClassVar[bool] = False  # it uses the tracks that stop the training

    def pipeline(self, task: Task) -> Pipeline:
        """Classify spectrograms."""
        from sklearn.pipeline import Pipeline

        from genreclf.learning.convnet import SpectrogramNetwork

        given: dict[str, Any] = to_builtins(self)
        del given["name"]
        network = SpectrogramNetwork(
            **given, calibrated=task.calibrated, random_state=task.config.seed
        )
        return Pipeline([("classify", network)])

    def seconds(self, n_tracks: int, n_columns: int, n_genres: int) -> float:
        """Estimate the time of a fit without early stopping on one core, in seconds.

        The number of columns does not matter: excerpts are taken for those of ``convnet-input``.
        """
        width = self.channels / CHANNELS
        work = self.epochs / 60 * self.crop / 0.5 * (width + width**2) / 2
        return work * self.cost.estimate(n_tracks, 300, n_genres)

    def advice(self, n_tracks: int) -> str | None:
        """Compare the number of tracks with those at which networks were seen to be better."""
        if n_tracks >= LEARNS_BETTER_FROM:
            return None
        return (
            f"{self.name} needs many tracks: in Pons et al. (2017), networks on spectrograms were "
            f"less accurate than a classifier of features with {STILL_WORSE_WITH:,} training "
            f"tracks, and more accurate with a million; here are {n_tracks:,}"
        )

    def search_space(self, n_tracks: int, n_columns: int) -> SearchSpace:
        """Vary the number of channels and the length of the crops."""
        return {"channels": [16, 32], "crop": [0.25, 0.5]}
