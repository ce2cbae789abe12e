"""What numbers and model files depend on."""

import platform
from importlib.metadata import PackageNotFoundError, version

from genreclf import __version__

__all__ = ["versions"]

_PACKAGES = ("numpy", "scipy", "scikit-learn", "librosa", "soundfile", "soxr")


def versions() -> dict[str, str]:
    """Return the versions of genreclf, Python and the packages that decide the numbers."""
    found = {"genreclf": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
