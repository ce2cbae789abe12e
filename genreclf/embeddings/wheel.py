"""The networks in musicnn's wheel: fetch it with pip, convert its checkpoints, keep the arrays.

This module alone starts another program and makes it use the network: the user's own pip, for one
version of one package whose SHA-256 is written here.
"""

import hashlib
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from genreclf.config.networks import Network, networks_folder, read_network
from genreclf.embeddings.checkpoint import read_checkpoint
from genreclf.embeddings.musicnn import VARIABLES
from genreclf.embeddings.store import keep_weights, packed_arrays
from genreclf.errors import NetworkError, shortened

REQUIREMENT = "musicnn==0.1.0"
SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
NETWORKS = {"musicnn": "musicnn/MSD_musicnn", "musicnn-mtt": "musicnn/MTT_musicnn"}

_LICENCE = "musicnn-0.1.0.dist-info/LICENSE.md"
_MAX_WHEEL_BYTES = 100_000_000
_MAX_MEMBER_BYTES = 20_000_000


def get_networks(names: Iterable[str]) -> list[tuple[Network, Path]]:
    """Fetch the wheel with pip, and keep these of its networks.

    Returns
    -------
    list of Network, Path
        The networks, and the files that were written.

    Raises
    ------
    NetworkError
        If a network is not in the wheel, pip fails, or a file cannot be written.
    """
    names = list(names)
    for name in names:
        if name not in NETWORKS:
            raise NetworkError(
                f"{shortened(name)}: cannot be fetched; only {' and '.join(NETWORKS)} can. "
                "`genreclf embeddings show NAME` says where other networks are"
            )
    with TemporaryDirectory(prefix="genreclf-") as folder:
        return import_wheel(_downloaded(Path(folder)), names)


def _downloaded(folder: Path) -> Path:
    """Let pip download the wheel into a folder, and return its path."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{REQUIREMENT} --hash=sha256:{SHA256}\n", encoding="ascii")
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:",
        "--require-hashes", "--no-input", "--disable-pip-version-check", "--quiet",
        "--dest", str(folder), "--requirement", str(requirements),
    ]  # fmt: skip
    done = subprocess.run(  # noqa: S603 - nothing in it comes from outside
        command, capture_output=True, text=True, errors="replace", check=False
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR:")] or lines
        reason = shortened(errors[-1] if errors else f"exit status {done.returncode}", 300)
        raise NetworkError(
            f"pip download {REQUIREMENT} failed: {reason}; if you have the wheel: genreclf "
            "embeddings import FILE"
        )
    return wheels[0]


def import_wheel(wheel: Path, names: Iterable[str] = tuple(NETWORKS)) -> list[tuple[Network, Path]]:
    """Convert networks in musicnn's wheel, and keep them in the user's data folder.

    Returns
    -------
    list of Network, Path
        The networks, and the files that were written.

    Raises
    ------
    NetworkError
        If it is not the wheel whose SHA-256 is known, or a file cannot be written.
    """
    try:
        if wheel.stat().st_size > _MAX_WHEEL_BYTES:
            raise NetworkError(f"{wheel}: too large for the wheel of {REQUIREMENT}")
        with wheel.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise NetworkError(f"{wheel}: cannot be read: {error.strerror or error}") from None
    if digest != SHA256:
        raise NetworkError(
            f"{wheel}: not the wheel of {REQUIREMENT} (SHA-256 {digest[:16]}…, expected "
            f"{SHA256[:16]}…)"
        )
    networks = [read_network(networks_folder() / f"{name}.toml") for name in names]
    return [(network, _kept(wheel, network)) for network in networks]


def _kept(wheel: Path, network: Network) -> Path:
    with ZipFile(wheel) as archive:
        index, data = (
            _member(archive, f"{NETWORKS[network.name]}/{name}")
            for name in (".index", ".data-00000-of-00001")
        )
        licence = _member(archive, _LICENCE)
    variables = read_checkpoint(index, data)
    arrays = packed_arrays({name: variables[name] for name in VARIABLES})
    return keep_weights(network, arrays, licence)


def _member(archive: ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _MAX_MEMBER_BYTES:
        raise NetworkError(f"{archive.filename}: {name} is too large")
    return archive.read(name)
