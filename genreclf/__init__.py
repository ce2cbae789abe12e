"""genreclf: features, training, evaluation and prediction for music genre classification.

Each public name is loaded when it is first used, so that ``import genreclf`` takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from genreclf.version import __version__

if TYPE_CHECKING:
    from genreclf.config.load import load_config as load_config
    from genreclf.config.schema import Config as Config
    from genreclf.errors import AudioError as AudioError
    from genreclf.errors import ConfigError as ConfigError
    from genreclf.errors import GenreclfError as GenreclfError
    from genreclf.errors import ModelError as ModelError
    from genreclf.errors import TableError as TableError
    from genreclf.evaluation.crossvalidation import cross_validate as cross_validate
    from genreclf.evaluation.modelevaluation import evaluate_model as evaluate_model
    from genreclf.extraction.chain import extract_one as extract_one
    from genreclf.extraction.tracks import extract as extract
    from genreclf.extraction.transformer import FeatureExtractor as FeatureExtractor
    from genreclf.features.pooling import feature_names as feature_names
    from genreclf.learning.model import Model as Model
    from genreclf.parallel.workers import Workers as Workers
    from genreclf.tables.reading import load_table as load_table
    from genreclf.tables.table import FeatureTable as FeatureTable

# Public name to the module that it is loaded from.
_HOMES = {
    "AudioError": "errors",
    "Config": "config.schema",
    "ConfigError": "errors",
    "FeatureExtractor": "extraction.transformer",
    "FeatureTable": "tables.table",
    "GenreclfError": "errors",
    "Model": "learning.model",
    "ModelError": "errors",
    "TableError": "errors",
    "Workers": "parallel.workers",
    "cross_validate": "evaluation.crossvalidation",
    "evaluate_model": "evaluation.modelevaluation",
    "extract": "extraction.tracks",
    "extract_one": "extraction.chain",
    "feature_names": "features.pooling",
    "load_config": "config.load",
    "load_table": "tables.reading",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
