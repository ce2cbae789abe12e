"""Time and memory that musicnn takes in numpy, and in onnxruntime as an ONNX file.

    genreclf embeddings get musicnn
    python benchmarks/networks.py [--rounds N]

For 29.12 s of noise on one core, with the mel spectrogram: CPU seconds, the median of the rounds,
which alternate; the largest difference between the two, of each output relative to its largest
value; and the peak of a process that does only this (Linux).
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import msgspec
import numpy as np

from genreclf.config.networks import Network, load_network
from genreclf.embeddings.musicnn import OUTPUTS
from genreclf.embeddings.runner import embed, prepare
from genreclf.embeddings.store import keep_weights, read_weights, unpacked_arrays

SECONDS = 29.12


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peak", help=argparse.SUPPRESS)  # what a child process runs
    arguments = parser.parse_args()
    if arguments.peak:
        measure_peak(msgspec.json.decode(Path(arguments.peak).read_bytes(), type=Network))
        return
    musicnn = load_network("musicnn")
    prepare(musicnn)
    with tempfile.TemporaryDirectory() as folder:
        networks = {"numpy": musicnn, "onnxruntime": as_onnx(musicnn, Path(folder))}
        compare(networks, arguments.rounds)
        for name, network in networks.items():
            description = Path(folder) / "network.json"
            description.write_bytes(msgspec.json.encode(network))
            subprocess.run([sys.executable, __file__, "--peak", description], check=True)
            print(f" at most in {name}")


def as_onnx(musicnn: Network, folder: Path) -> Network:
    """Keep musicnn as an ONNX file, in a data folder that has nothing else but musicnn."""
    sys.path.append(str(Path(__file__).parent.parent / "tests"))
    from musicnn_graph import musicnn_graph

    arrays = read_weights(musicnn)
    os.environ["GENRECLF_DATA"] = str(folder)
    keep_weights(musicnn, arrays)
    content = musicnn_graph(unpacked_arrays(arrays)).SerializeToString()
    network = msgspec.structs.replace(
        musicnn, name="graph", file="graph.onnx", sha256=hashlib.sha256(content).hexdigest()
    )
    keep_weights(network, content)
    return network


def compare(networks: dict[str, Network], rounds: int) -> None:
    """Print CPU seconds of each, and how far the embeddings differ."""
    samples, columns = noise(), list(OUTPUTS)
    found = {name: embed(samples, network, columns) for name, network in networks.items()}
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(rounds):
        for name, network in networks.items():
            started = time.process_time()
            embed(samples, network, columns)
            seconds[name].append(time.process_time() - started)
    for name, measured in seconds.items():
        print(f"{name}: {np.median(measured):.3f} s")
    for column in columns:
        ours, theirs = (of_network[column] for of_network in found.values())
        print(f"{column}: {np.abs(ours - theirs).max() / max(1, np.abs(ours).max()):.1e} apart")


def measure_peak(network: Network) -> None:
    """Print the memory that this process takes at most."""
    embed(noise(), network, list(OUTPUTS))
    [kilobytes] = re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    print(f"{int(kilobytes) / 1024:.0f} MiB", end="", flush=True)


def noise() -> np.ndarray:
    """Make an excerpt."""
    samples = np.random.default_rng(0).standard_normal(round(SECONDS * 16_000))
    return (0.1 * samples).astype(np.float32)


if __name__ == "__main__":
    main()
