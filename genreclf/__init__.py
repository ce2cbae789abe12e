"""genreclf: music genre classification that can be believed.

The public names are loaded when first used, so that ``import genreclf`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from genreclf.config import Config as Config
    from genreclf.config import load_config as load_config
    from genreclf.errors import AudioError as AudioError
    from genreclf.errors import ConfigError as ConfigError
    from genreclf.errors import GenreclfError as GenreclfError
    from genreclf.errors import ModelError as ModelError
    from genreclf.errors import TableError as TableError
    from genreclf.evaluation import cross_validate as cross_validate
    from genreclf.extraction import extract as extract
    from genreclf.extraction import extract_one as extract_one
    from genreclf.model import Model as Model
    from genreclf.pooling import feature_names as feature_names
    from genreclf.table import FeatureTable as FeatureTable
    from genreclf.table import load_table as load_table
    from genreclf.transformer import FeatureExtractor as FeatureExtractor
    from genreclf.workers import Workers as Workers

# Public name to the module that it is loaded from.
_HOMES = {
    "AudioError": "errors",
    "Config": "config",
    "ConfigError": "errors",
    "FeatureExtractor": "transformer",
    "FeatureTable": "table",
    "GenreclfError": "errors",
    "Model": "model",
    "ModelError": "errors",
    "TableError": "errors",
    "Workers": "workers",
    "cross_validate": "evaluation",
    "extract": "extraction",
    "extract_one": "extraction",
    "feature_names": "pooling",
    "load_config": "config",
    "load_table": "table",
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
