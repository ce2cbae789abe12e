"""What a configuration leaves to the table that is learned from."""

import msgspec
import numpy as np

from genreclf.config.schema import Config
from genreclf.learning.classifiers import kernel
from genreclf.learning.codebook import resolve_codebook
from genreclf.learning.excerpts import resolve_rows, rows_per_track
from genreclf.tables.table import FeatureTable


def resolve(config: Config, table: FeatureTable) -> Config:
    """Decide how many words a codebook has, what a row is, and whether a kernel is approximated.

    The features are those of the table. All folds and the final model of a table use the same
    decision.

    Raises
    ------
    TableError
        If a codebook or excerpts are asked for, but the table has no frames or no excerpts.
    """
    if table.config is not None:
        config = config.with_extraction(table.config)
    config = resolve_rows(resolve_codebook(config, table), table)
    n_tracks = int(np.count_nonzero(table.labels != ""))
    classifier = config.classifier.resolved(n_tracks * rows_per_track(config, table))
    return msgspec.structs.replace(config, classifier=classifier)


def approximation(config: Config, table: FeatureTable) -> str | None:
    """Say that a kernel is approximated because the table is large; None if it is not."""
    config, configured = resolve(config, table), config.classifier
    if config.classifier == configured:
        return None
    rows = "tracks" if rows_per_track(config, table) == 1 else "excerpts"
    return (
        f"{config.classifier.description}, because there are more than {kernel.EXACT_UP_TO:,} "
        f"{rows}"
    )
