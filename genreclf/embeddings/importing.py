"""Import the file of a network that a person has, try it, and see what is here."""

import hashlib
import re
import tomllib
from pathlib import Path

import msgspec
import numpy as np

from genreclf.config.networks import (
    Network,
    description_path,
    networks_folder,
    own_networks_folder,
    read_network,
)
from genreclf.embeddings.onnxfile import MAX_FILE_BYTES, Contents, read_contents, skeleton
from genreclf.embeddings.runner import embed, prepare
from genreclf.embeddings.store import keep_weights, weights_file
from genreclf.embeddings.wheel import import_wheel
from genreclf.errors import ConfigError, GenreclfError, NetworkError
from genreclf.files import written_whole
from genreclf.parallel.workers import WorkerError, Workers

_TRIAL_SECONDS = 120.0  # may a network take for a few seconds of audio
_TRIAL_AUDIO_SECONDS = 2  # more than a patch


def import_file(file: Path, description: str | None = None) -> list[tuple[Network, Path]]:
    """Import musicnn's wheel, an ONNX file, or a description with the file beside it.

    An ONNX file is checked and tried before it is kept.

    Parameters
    ----------
    file : Path
        .whl, .onnx or .toml.
    description : str, optional
        Name or path of the description of an ONNX file. Without it, the TOML file of the same name
        beside it, or a shipped description that names the file.

    Returns
    -------
    list of Network, Path
        The networks, and the files that were written into the user's data folder.

    Raises
    ------
    ConfigError, NetworkError
        In one line: what is wrong with the file or its description.
    """
    suffix = file.suffix.lower()
    if suffix == ".whl":
        return import_wheel(file)
    if suffix == ".toml":
        return [_import_onnx(file.parent / read_network(file).file, file)]
    if suffix == ".onnx":
        return [_import_onnx(file, _description_of(file, description))]
    raise NetworkError(f"{file}: not a .whl, .onnx or .toml file, so it cannot be imported")


def _description_of(file: Path, description: str | None) -> Path:
    """Return the description that belongs to an ONNX file."""
    if description is not None:
        return description_path(description)
    if (beside := file.with_suffix(".toml")).is_file():
        return beside
    for path in sorted(networks_folder().glob("*.toml")):
        if read_network(path).file == file.name:
            return path
    raise NetworkError(
        f"{file}: has no description; write {beside.name} beside it (`genreclf inspect "
        f"{file.name}` prints a draft), or name one with --description"
    )


def _import_onnx(file: Path, described: Path) -> tuple[Network, Path]:
    content = _content(file)
    network = read_network(described)
    digest = hashlib.sha256(content).hexdigest()
    if network.file.endswith(".npz"):
        raise NetworkError(f"{file}: {described} describes {network.file}, not an ONNX file")
    if network.sha256 not in ("", digest):
        raise NetworkError(
            f"{file}: not the file that {described} describes (SHA-256 {digest[:16]}…, expected "
            f"{network.sha256[:16]}…)"
        )
    read_contents(content, str(file))
    text = _with_digest(described, digest)
    network = msgspec.structs.replace(network, sha256=digest)
    _check_name(network, described)
    kept = weights_file(network)
    is_new = not kept.exists()
    keep_weights(network, content)
    try:
        try_network(network)
        _keep_description(network.name, text)
    except GenreclfError:
        if is_new:
            kept.unlink(missing_ok=True)
        raise
    return network, kept


def read_onnx(file: Path) -> tuple[Contents, str]:
    """Return what an ONNX file holds, and a draft of its description.

    Raises
    ------
    NetworkError
        If it is not an ONNX file, or one that genreclf does not run.
    """
    content = _content(file)
    contents = read_contents(content, str(file))
    return contents, skeleton(contents, file.name, hashlib.sha256(content).hexdigest())


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise NetworkError(f"{file}: over {MAX_FILE_BYTES:,} bytes, too large for a network")
        return file.read_bytes()
    except OSError as error:
        raise NetworkError(f"{file}: cannot be read: {error.strerror or error}") from None


def _with_digest(described: Path, digest: str) -> str:
    """Return the text of a description, with its comments, and the SHA-256 of its file."""
    text = described.read_text(encoding="utf-8-sig")
    without = re.sub(r"(?m)^\s*sha256\s*=.*\n?", "", text)
    completed = f'sha256 = "{digest}"\n{without}'
    try:
        tomllib.loads(completed)
    except ValueError:
        raise ConfigError(f'{described}: write sha256 = "{digest}" into it') from None
    return completed


def _check_name(network: Network, described: Path) -> None:
    """Refuse a name that already means another network."""
    shipped = networks_folder() / f"{network.name}.toml"
    if not shipped.is_file() or described.resolve() == shipped.resolve():
        return
    same = read_network(shipped)
    if msgspec.structs.replace(same, sha256=same.sha256 or network.sha256) != network:
        raise ConfigError(
            f"{described}: genreclf describes another network with the name {network.name!r}; "
            "choose another name"
        )


def _keep_description(name: str, text: str) -> None:
    file = own_networks_folder() / f"{name}.toml"
    try:
        with written_whole(file) as aside:
            aside.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NetworkError(f"{file}: cannot be written: {error.strerror or error}") from None


def try_network(network: Network) -> None:
    """Run a network on a few seconds of noise, in a process that may die or hang.

    Raises
    ------
    NetworkError, AudioError
        If it does not give what its description says.
    """
    prepare(network)
    with Workers(1, _TRIAL_SECONDS) as workers:
        _, result = next(iter(workers.map(_trial, [network])))
    if isinstance(result, WorkerError):
        raise NetworkError(
            f"network {network.name}: cannot be used: for some seconds of noise, {result.reason}"
        )
    if isinstance(result, str):
        raise NetworkError(result)


def _trial(network: Network) -> str | None:
    """Return what is wrong with a network."""
    seconds = network.patch_seconds + _TRIAL_AUDIO_SECONDS
    n_samples = round(seconds * network.sample_rate_hz)
    noise = np.random.default_rng(0).standard_normal(n_samples).astype(np.float32)
    columns = [output.column for output in network.outputs]
    try:
        first, second = (embed(0.1 * noise, network, columns) for _ in range(2))
    except GenreclfError as error:
        return str(error)
    for column, rows in first.items():
        if not np.array_equal(rows, second[column]):
            return (
                f"network {network.name}: {column} has other values each time; export the model "
                "for inference, without random operators"
            )
    return None
