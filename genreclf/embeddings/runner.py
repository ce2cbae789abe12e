"""From the samples of an excerpt to the embeddings of a network."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Protocol

import numpy as np

from genreclf.audio.audiofile import Samples
from genreclf.config.networks import Network, Output
from genreclf.embeddings.frontends import n_samples, network_input
from genreclf.embeddings.musicnn import Musicnn
from genreclf.embeddings.onnxfile import OnnxNetwork, has_packages
from genreclf.embeddings.store import has_weights, read_weights, unpacked_arrays
from genreclf.errors import AudioError, NetworkError, shortened
from genreclf.features.spectra import Array

_MOST_VALUES = 2**28  # of all outputs for one excerpt: a gigabyte


class Engine(Protocol):
    """What runs a network.

    Attributes
    ----------
    batch : int
        How many patches at a time, at most.
    """

    batch: int

    def run(self, batch: Array, outputs: Sequence[Output]) -> list[Array]:
        """Return the outputs for a batch of patches, each (batch, …)."""


def prepare(network: Network) -> None:
    """Check that a network can run here, before work starts.

    Raises
    ------
    NetworkError
        If its file is not there or not the right one, or a package is missing. The message has the
        commands that bring them.
    """
    _weights(network)


def _weights(network: Network) -> bytes:
    if commands := commands_to_get(network):
        raise NetworkError(
            f"network {network.name} cannot be used yet; first run: {', then '.join(commands)}"
        )
    return read_weights(network)


def commands_to_get(network: Network) -> list[str]:
    """Return the commands that get what a network still needs."""
    is_onnx = network.file.endswith(".onnx")
    commands = []
    if is_onnx and not has_packages():
        commands.append("pip install 'genreclf[onnx]'")
    if not has_weights(network):
        from_source = f"import {network.file} (from {network.source})"
        commands.append(f"genreclf embeddings {from_source if is_onnx else f'get {network.name}'}")
    return commands


def embed(samples: Samples, network: Network, columns: Sequence[str]) -> dict[str, Array]:
    """Compute embeddings of an excerpt.

    Parameters
    ----------
    samples : (n,) float32
        At ``network.sample_rate_hz``.
    network : Network
    columns : sequence of str
        Which outputs, by the names that their columns have.

    Returns
    -------
    dict of str to (d, t) float32
        One column for each patch, or each frame of an output of kind "frames". The same numbers in
        every process if BLAS has one thread.

    Raises
    ------
    AudioError
        Without the name of the audio file: if the excerpt is too short for the network, or the
        network gives numbers that are not finite.
    NetworkError
        If the network cannot be loaded, or its outputs are not as described.
    """
    outputs = [network.output(column) for column in columns]
    engine = _engine(network)
    inputs = patches(samples, network)
    parts: list[list[Array]] = [[] for _ in outputs]
    n_values = 0
    while batch := list(islice(inputs, engine.batch)):
        for part, found, output in zip(
            parts, engine.run(np.stack(batch), outputs), outputs, strict=True
        ):
            part.append(_rows(found, output, len(batch), network))
            n_values += part[-1].size
        if n_values > _MOST_VALUES:
            raise NetworkError(
                f"network {network.name}: its outputs for one excerpt take over a gigabyte; "
                "increase patches.hop in its description"
            )
    return {
        output.column: np.ascontiguousarray(np.concatenate(part).T)
        for output, part in zip(outputs, parts, strict=True)
    }


def patches(samples: Samples, network: Network) -> Iterator[Array]:
    """Yield what the network sees at a time, without the axis of the batch."""
    cut, frontend = network.patches, network.frontend
    if cut.unit == "excerpt":
        yield network_input(_lengthened(samples, n_samples(1, frontend), network), frontend)
        return
    in_samples = cut.unit == "samples"
    needed = cut.length if in_samples else n_samples(cut.length, frontend)
    samples = _lengthened(samples, needed, network)
    whole = samples if in_samples else network_input(samples, frontend)
    for start in range(0, len(whole) - cut.length + 1, cut.hop):
        patch = whole[start : start + cut.length]
        yield network_input(patch, frontend) if in_samples else patch


def _lengthened(samples: Samples, needed: int, network: Network) -> Samples:
    """Make an excerpt as long as one patch, as the description says."""
    if len(samples) >= needed:
        return samples
    if network.patches.shorter == "refuse" or not len(samples):
        rate = network.sample_rate_hz
        raise AudioError(
            f"{len(samples) / rate:.2f} s of audio, but network {network.name} needs "
            f"{needed / rate:.2f} s"
        )
    if network.patches.shorter == "repeat and zeros":
        samples = np.tile(samples, needed // len(samples))
    if network.patches.shorter != "repeat":
        return np.pad(samples, (0, needed - len(samples)))
    return np.resize(samples, needed)  # which repeats


def _rows(found: Array, output: Output, n_patches: int, network: Network) -> Array:
    """Check an output and return it as (rows, size)."""
    per_patch = found.size // (n_patches * output.size)
    fits = found.shape[:1] == (n_patches,) and found.size == per_patch * n_patches * output.size
    if output.kind == "frames":
        fits = fits and found.ndim > 1 and found.shape[-1] == output.size
    elif per_patch != 1:
        fits = False
    if not fits:
        raise NetworkError(
            f"network {network.name}: output {shortened(output.name)} has the shape "
            f"{found.shape} for {n_patches} patches, which does not fit size = {output.size} "
            f"and kind = {output.kind!r} in its description"
        )
    with np.errstate(over="ignore"):
        rows = found.reshape(-1, output.size).astype(np.float32, copy=False)
    if not np.isfinite(rows).all():
        raise AudioError(
            f"network {network.name} gives numbers that are not finite ({output.column})"
        )
    return rows


@lru_cache(maxsize=2)
def _engine(network: Network) -> Engine:
    content = _weights(network)  # again, because this may be a worker on another machine
    if network.file.endswith(".onnx"):
        return OnnxNetwork(content, network)
    try:
        return _MusicnnEngine(Musicnn(unpacked_arrays(content)))
    except Exception as error:  # a damaged archive can raise anything
        raise NetworkError(
            f"network {network.name}: its file does not contain musicnn ({shortened(error, 200)})"
        ) from None


class _MusicnnEngine:
    batch = 1

    def __init__(self, network: Musicnn) -> None:
        self._network = network

    def run(self, batch: Array, outputs: Sequence[Output]) -> list[Array]:
        found = [self._network(patch) for patch in batch]
        return [np.stack([each[output.name] for each in found]) for output in outputs]
