"""What numbers and model files depend on."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from genreclf.version import __version__

_PACKAGES = ("numpy", "scipy", "scikit-learn", "librosa", "soundfile", "soxr")

# Raised when files decode to other samples than before, so that no cached features are used.
_DECODING = 2


def versions() -> dict[str, str]:
    """Return the versions of genreclf, Python and the packages that decide the numbers."""
    found = {"genreclf": __version__, "python": platform.python_version()}
    return found | {package: version_of(package) for package in _PACKAGES}


@cache
def numbers_depend_on() -> dict[str, str]:
    """Return what decides the last digits of features, beside the file and the configuration."""
    import soundfile

    decoders = f"libsndfile {soundfile.__libsndfile_version__}, av {version_of('av')}"
    return {
        "machine": platform.machine(),
        "decoders": f"{decoders}, decoding {_DECODING}",
        **{package: version_of(package) for package in ("numpy", "scipy", "soxr")},
    }


def version_of(package: str) -> str:
    """Return the version of an installed package, or "not installed"."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
