"""Getting librosa ready before worker processes need it."""

from typing import TYPE_CHECKING

from genreclf.cli.output import note

if TYPE_CHECKING:
    from genreclf.config.schema import ExtractionConfig


def prepare_engine(config: "ExtractionConfig") -> None:
    """Load librosa if a configuration computes features with it."""
    from genreclf.features.compute import prepare_engine

    if any(view.features.uses_librosa for view in config.each_view):
        _tell()
        prepare_engine(config)


def load_librosa() -> None:
    """Load librosa and compile its functions, if that has not been done on this machine."""
    from genreclf.features.librosa_engine import compile_functions

    _tell()
    compile_functions()


def _tell() -> None:
    note("loading librosa, which compiles its functions on the first run (about 30 s)")
