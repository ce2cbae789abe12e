"""The tags that a pretrained network gives a track, such as "rock" and "female vocalists"."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from genreclf.config.networks import Output
from genreclf.config.schema import Config
from genreclf.config.views import EmbeddingView
from genreclf.errors import ModelError, TableError
from genreclf.features.pooling import feature_names
from genreclf.features.spectra import Array
from genreclf.tables.table import FeatureTable


@dataclass(frozen=True)
class NetworkTags:
    """The tags of the network in a model's configuration.

    Attributes
    ----------
    config : Config
        Makes the model's columns, and those of the tags.
    labels : tuple of str
    names : list of str
        The columns of the tags: their mean probabilities over time.
    """

    config: Config
    labels: tuple[str, ...]
    names: list[str]

    @classmethod
    def of(cls, config: Config) -> "NetworkTags":
        """Find the first network with tags in the configuration of a model.

        Raises
        ------
        ModelError
            If there is none, or its view pools tags so that each has no mean.
        """
        for place, view in enumerate(config.views):
            if isinstance(view, EmbeddingView) and (output := _tags_of(view)):
                views = list(config.views)
                views[place] = _with_tags(view, output)
                changed = msgspec.structs.replace(config, views=tuple(views))
                return cls._of_output(changed, f"{view.embedding.name}.{output.column}", output)
        raise ModelError(
            "--tags: the features of this model do not come from a network with tags; use a "
            "model that was trained with the preset musicnn"
        )

    @classmethod
    def _of_output(cls, config: Config, feature: str, output: Output) -> "NetworkTags":
        made = set(feature_names(config))
        # Of the mean, of the mean of texture windows, and of one value for the whole excerpt.
        for ending in (".mean", ".mean.mean", ""):
            names = [f"{feature}.{label}{ending}" for label in output.labels]
            if made.issuperset(names):
                return cls(config, output.labels, names)
        raise ModelError(f"--tags: pooling.joint joins {feature}, so no tag has a mean of its own")

    def of_tracks(self, statistics: Sequence[Array]) -> list[dict[str, float]]:
        """Return the probability of each tag for each track, the most probable first.

        Parameters
        ----------
        statistics : sequence of (n_features,) float32
            As ``config`` makes them.
        """
        place = {name: column for column, name in enumerate(feature_names(self.config))}
        columns = [place[name] for name in self.names]
        return [self._sorted(values[columns]) for values in statistics]

    def of_table(self, table: FeatureTable) -> list[dict[str, float]]:
        """Return the probabilities for the tracks of a table, as ``of_tracks``.

        Raises
        ------
        TableError
            If the table was extracted without tags.
        """
        if missing := set(self.names) - set(table.names):
            raise TableError(
                f"--tags: the table has no column {min(missing)}; predict from audio files"
            )
        return [self._sorted(values) for values in table.columns_of(self.names)]

    def _sorted(self, values: Array) -> dict[str, float]:
        order = np.argsort(-values, kind="stable")
        return {self.labels[tag]: float(values[tag]) for tag in order}


def _tags_of(view: EmbeddingView) -> Output | None:
    return next((output for output in view.embedding.outputs if output.labels), None)


def _with_tags(view: EmbeddingView, output: Output) -> EmbeddingView:
    """Add the output and the statistic that ``names`` needs, if the view lacks them."""
    pooling = view.pooling
    return msgspec.structs.replace(
        view,
        outputs=tuple(dict.fromkeys((*view.outputs, output.column))),
        pooling=msgspec.structs.replace(
            pooling,
            statistics=tuple(dict.fromkeys((*pooling.statistics, "mean"))),
            texture_statistics=tuple(dict.fromkeys((*pooling.texture_statistics, "mean"))),
        ),
    )
