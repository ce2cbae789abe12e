"""Where the files of networks are: in the user's data folder, by name and digest.

Tables and models know a network by its SHA-256. So a file keeps its place when another version of
the same network is imported.
"""

import hashlib
import io
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from genreclf.config.networks import Network, own_networks_folder
from genreclf.errors import NetworkError
from genreclf.features.spectra import Array
from genreclf.files import written_whole

_MAX_ARRAYS_BYTES = 100_000_000


def weights_file(network: Network) -> Path:
    """Return where the file of a network is, if it is there."""
    suffix = Path(network.file).suffix
    return own_networks_folder() / f"{network.name}.{network.sha256[:16]}{suffix}"


def has_weights(network: Network) -> bool:
    """Return True if the file of a network is in the data folder."""
    return bool(network.sha256) and weights_file(network).is_file()


def read_weights(network: Network) -> bytes:
    """Return the content of the file of a network.

    Raises
    ------
    NetworkError
        If it is not there, or is not the file that the description means.
    """
    file = weights_file(network)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise NetworkError(f"{file}: cannot be read: {error.strerror or error}") from None
    if hashlib.sha256(content).hexdigest() != network.sha256:
        raise NetworkError(
            f"{file}: is not the file of network {network.name}, whose SHA-256 begins with "
            f"{network.sha256[:16]}; get or import it again"
        )
    return content


def keep_weights(network: Network, content: bytes, licence: bytes = b"") -> Path:
    """Write the file of a network, and the notice of its licence, into the user's data folder.

    Raises
    ------
    NetworkError
        If the content is not what the description means, or cannot be written.
    """
    if hashlib.sha256(content).hexdigest() != network.sha256:
        raise NetworkError(
            f"network {network.name}: not the file whose SHA-256 begins with {network.sha256[:16]}"
        )
    file = weights_file(network)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if licence:
            with written_whole(file.with_suffix(".licence.txt")) as aside:
                aside.write_bytes(licence)
        with written_whole(file) as aside:
            aside.write_bytes(content)
    except OSError as error:
        raise NetworkError(f"{file}: cannot be written: {error.strerror or error}") from None
    return file


def packed_arrays(arrays: dict[str, Array]) -> bytes:
    """Return arrays of float32 as an .npz file, the same bytes on every machine."""
    target = io.BytesIO()
    with ZipFile(target, "w", ZIP_STORED) as archive:
        for name in sorted(arrays):
            member = ZipInfo(f"{name}.npy")  # dated 1980
            member.create_system = 3  # as on Unix
            content = io.BytesIO()
            array = np.ascontiguousarray(arrays[name], dtype="<f4")
            np.lib.format.write_array(content, array, version=(1, 0))
            archive.writestr(member, content.getvalue())
    return target.getvalue()


def unpacked_arrays(content: bytes) -> dict[str, Any]:
    """Return the arrays of an .npz file.

    Raises
    ------
    ValueError, OSError, BadZipFile, …
        If it is damaged.
    """
    with ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MAX_ARRAYS_BYTES:
            raise ValueError("it unpacks to over 100 MB")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {name: _native(arrays[name]) for name in arrays.files}


def _native(array: Any) -> Any:
    """Return an array in the byte order of this machine."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)
