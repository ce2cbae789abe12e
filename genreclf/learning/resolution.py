"""What a configuration leaves to the table that is learned from."""

import msgspec
import numpy as np

from genreclf.config.schema import Config
from genreclf.learning.codebook import resolve_codebook
from genreclf.tables.table import FeatureTable


def resolve(config: Config, table: FeatureTable) -> Config:
    """Decide how many words a codebook has, and whether a kernel is approximated.

    All folds and the final model of a table use the same decision.

    Raises
    ------
    TableError
        If a codebook is asked for, but the table has no frames.
    """
    config = resolve_codebook(config, table)
    classifier = config.classifier.resolved(int(np.count_nonzero(table.labels != "")))
    return msgspec.structs.replace(config, classifier=classifier)
