"""A quick configuration, its tables, and models with other cards."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sample_tables import blobs

from genreclf.config.load import load_config
from genreclf.features.pooling import feature_names
from genreclf.learning.card import Card
from genreclf.learning.model import Model
from genreclf.learning.modelfile import write_model
from genreclf.tables.table import FeatureTable

# Two seconds without separation, and the quickest classifier.
QUICK = load_config(
    overrides=[
        "excerpt.seconds=2", "separation=none", "classifier.name=lda", "evaluation.folds=2"
    ]
)  # fmt: skip


def own_table(seed: int = 0) -> FeatureTable:
    """A table as if extracted with ``QUICK``: real columns, random values."""
    names = feature_names(QUICK)
    table = blobs(12, 3, len(names), seed=seed)
    return replace(table, names=names, config=QUICK.extraction)


def edited(model: Model, path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Save a model with another card."""
    plain = copy.deepcopy(model.to_dict())
    change(plain)

    class Changed(Card):
        def to_dict(self) -> dict[str, Any]:
            return plain

    card = Changed(**{name: getattr(model, name) for name in Card.__dataclass_fields__})
    write_model(path, {"pipeline": model.pipeline, "novelty": model.novelty}, card)
    return path
