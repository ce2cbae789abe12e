"""Run other programs' code, in this Python if it has the package, or in another.

The environment variable GENRECLF_ORACLES names a Python with tensorflow, essentia, transformers,
torchlibrosa and torchvggish, which are too large, or under too strict a licence, to be among the
packages for the tests. Those that it lacks are skipped.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

_MISSING = 77
_RUN = """\
import sys
from importlib.util import find_spec
import numpy as np
if find_spec({package!r}) is None:
    sys.exit({missing})
given = dict(np.load(sys.argv[1]))
{code}
np.savez(sys.argv[2], **found)
"""


def ask(
    package: str, code: str, folder: Path, **given: ArrayLike
) -> Mapping[str, NDArray[np.float32]]:
    """Run ``code``, which makes a dictionary ``found`` of the arrays in ``given``."""
    python = sys.executable if find_spec(package) else os.environ.get("GENRECLF_ORACLES")
    if python is None:
        pytest.skip(f"needs {package}, or GENRECLF_ORACLES=PYTHON with it")
    np.savez(folder / "given.npz", **{name: np.asarray(value) for name, value in given.items()})
    script = folder / "oracle.py"
    script.write_text(_RUN.format(package=package, missing=_MISSING, code=code), encoding="utf-8")
    done = subprocess.run(
        [python, script, folder / "given.npz", folder / "found.npz"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == _MISSING:
        pytest.skip(f"GENRECLF_ORACLES has no {package}")
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(np.load(folder / "found.npz"))
