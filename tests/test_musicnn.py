"""musicnn without TensorFlow: its checkpoint, its numbers, its file."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from conftest import music
from helpers import run
from oracles import ask

from genreclf.config.networks import Network, load_network
from genreclf.embeddings import wheel
from genreclf.embeddings.checkpoint import read_checkpoint
from genreclf.embeddings.frontends import network_input
from genreclf.embeddings.importing import import_file
from genreclf.embeddings.musicnn import OUTPUTS, VARIABLES, Musicnn
from genreclf.embeddings.runner import embed
from genreclf.embeddings.store import has_weights, packed_arrays, unpacked_arrays, weights_file
from genreclf.tables.reading import load_table

# --- A checkpoint, written by the definition of its format -----------------------------------


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def entry(shape: tuple[int, ...], offset: int, size: int, dtype: int = 1) -> bytes:
    sizes = b"".join(field(2, field(1, axis)) for axis in shape)
    checksum = varint(6 << 3 | 5) + b"\0\0\0\0"
    return field(1, dtype) + field(2, sizes) + field(4, offset) + field(5, size) + checksum


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    out, before = b"", b""
    for key, value in entries:
        shared = max(n for n in range(len(before) + 1) if key.startswith(before[:n]))
        rest = key[shared:]
        out += varint(shared) + varint(len(rest)) + varint(len(value)) + rest + value
        before = key
    return out + struct.pack("<II", 0, 1)


def checkpoint(arrays: dict[str, Any]) -> tuple[bytes, bytes]:
    """Write the index and the data of a bundle."""
    data, entries = b"", [(b"", field(1, 1))]
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        content = array.tobytes()
        dtype = 1 if array.dtype == np.float32 else 9
        entries.append((name.encode(), entry(array.shape, len(data), len(content), dtype)))
        data += content
    values = block(entries)
    index = block([(b"zzz", varint(0) + varint(len(values)))])
    table = values + b"\0" * 5 + index + b"\0" * 5
    handles = varint(0) + varint(0) + varint(len(values) + 5) + varint(len(index))
    footer = handles.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    return table + footer, data


ARRAYS = {
    "conv/bias": np.arange(3, dtype=np.float32),
    "conv/kernel": np.random.default_rng(0).random((2, 3, 1), dtype=np.float32),
    "beta1_power": np.float32(0.5),
    "step": np.int64(7),
}


def test_a_checkpoint_is_read_by_its_format() -> None:
    found = read_checkpoint(*checkpoint(ARRAYS))
    assert found.keys() == {"conv/bias", "conv/kernel", "beta1_power"}  # no whole numbers
    for name, array in found.items():
        np.testing.assert_array_equal(array, ARRAYS[name])


def test_a_damaged_checkpoint_is_an_error_or_harmless() -> None:
    index, data = checkpoint(ARRAYS)
    random = Random(0)
    n_errors = 0
    for _ in range(2000):
        damaged = bytearray(index)
        for _ in range(random.choice((1, 3))):
            damaged[random.randrange(len(damaged))] = random.choice((0, 1, 127, 128, 255))
        try:
            found = read_checkpoint(bytes(damaged[: random.choice((len(damaged), -9))]), data)
        except ValueError:  # of which UnicodeDecodeError is one
            n_errors += 1
        else:
            assert sum(array.nbytes for array in found.values()) <= len(data)
    assert n_errors > 1000


# --- The network -----------------------------------------------------------------------------


def random_variables(seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    variables = {}
    for name, shape in VARIABLES.items():
        values = random.standard_normal(shape) / np.prod(shape) ** 0.25
        values = np.abs(values) + 0.5 if name.endswith("variance") else values
        variables[name] = values.astype(np.float32)
    return variables


def by_definition(variables: dict[str, Any], patch: Any) -> dict[str, Any]:
    """Compute musicnn with scipy's convolutions, in double precision, layer by layer."""
    from scipy.signal import correlate

    v = {name: value.astype(np.float64) for name, value in variables.items()}

    def normalised(x: Any, i: int) -> Any:
        name = f"batch_normalization_{i}" if i else "batch_normalization"
        scale = v[f"{name}/gamma"] / np.sqrt(v[f"{name}/moving_variance"] + 1e-3)
        return (x - v[f"{name}/moving_mean"]) * scale + v[f"{name}/beta"]

    def convolved(x: Any, i: int) -> Any:
        name = f"conv2d_{i}" if i else "conv2d"
        kernel, before = v[f"{name}/kernel"][:, :, 0], (v[f"{name}/kernel"].shape[0] - 1) // 2
        x = np.pad(x, ((before, len(kernel) - 1 - before), (0, 0)))
        filters = [correlate(x, kernel[:, :, k], "valid") for k in range(kernel.shape[2])]
        return normalised(np.maximum(np.stack(filters, -1) + v[f"{name}/bias"], 0), i + 1)

    x = normalised(patch.astype(np.float64), 0)
    front = np.concatenate([convolved(x, i).max(axis=1) for i in range(5)], axis=1)
    one = convolved(front, 5)[:, 0]
    two = convolved(one, 6)[:, 0] + one
    three = convolved(two, 7)[:, 0] + two
    maps = np.concatenate([front, one, two, three], axis=1)
    pooled = normalised(np.stack([maps.max(0), maps.mean(0)], 1).ravel(), 9)
    dense = normalised(np.maximum(pooled @ v["dense/kernel"] + v["dense/bias"], 0), 10)
    logits = dense @ v["dense_1/kernel"] + v["dense_1/bias"]
    return {
        "penultimate": dense, "mean_pool": maps.mean(0), "max_pool": maps.max(0),
        "tags": 1 / (1 + np.exp(-logits)),
    }  # fmt: skip


def test_the_network_is_what_its_layers_define() -> None:
    variables = random_variables()
    patch = np.random.default_rng(1).random((24, 96), dtype=np.float32)
    expected = by_definition(variables, patch)
    for name, found in Musicnn(variables)(patch).items():
        assert found.dtype == np.float32
        assert found.shape == (OUTPUTS[name],)
        np.testing.assert_allclose(found, expected[name], rtol=1e-4, atol=1e-4)


def test_extreme_weights_give_no_warnings() -> None:
    variables = random_variables() | {"dense_1/bias": np.full(50, -1e4, np.float32)}
    tags = Musicnn(variables)(np.zeros((16, 96), np.float32))["tags"]
    np.testing.assert_array_equal(tags, 0)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("dense/bias", None, "no variable dense/bias"),
        ("dense/bias", np.zeros(3, np.float32), "of shape"),
        ("dense/bias", np.full(200, np.nan, np.float32), "not finite"),
        ("dense/bias", np.zeros(200), "float32"),
    ],
)
def test_other_variables_are_refused(name: str, value: Any, reason: str) -> None:
    variables = random_variables()
    del variables[name]
    with pytest.raises(ValueError, match=reason):
        Musicnn(variables | ({} if value is None else {name: value}))


def test_arrays_are_packed_alike_everywhere() -> None:
    arrays = {"b/x": np.arange(3, dtype=np.float32), "a": np.eye(2, dtype=np.float32)}
    packed = packed_arrays(arrays)
    assert packed == packed_arrays(dict(reversed(arrays.items())))
    for name, array in unpacked_arrays(packed).items():
        np.testing.assert_array_equal(array, arrays[name])


# --- The published weights -------------------------------------------------------------------


@pytest.fixture(scope="module")
def musicnns_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that GENRECLF_MUSICNN_WHEEL names, or one that pip downloads."""
    if given := os.environ.get("GENRECLF_MUSICNN_WHEEL"):
        return Path(given)
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", folder]
    done = subprocess.run([*command, wheel.REQUIREMENT], capture_output=True, check=False)
    found = list(folder.glob("*.whl"))
    if done.returncode or not found:
        pytest.skip("no index has musicnn 0.1.0; GENRECLF_MUSICNN_WHEEL=FILE names its wheel")
    return found[0]


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENRECLF_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture(params=["musicnn", "musicnn-mtt"])
def published(request: pytest.FixtureRequest, musicnns_wheel: Path, data_folder: Path) -> Network:
    wheel.import_wheel(musicnns_wheel, [request.param])
    return load_network(request.param)


@pytest.mark.slow
def test_the_wheel_is_imported_by_command(musicnns_wheel: Path, data_folder: Path) -> None:
    done = run("embeddings", "import", musicnns_wheel)
    assert done.exit_code == 0, done.stderr
    assert "licence: ISC" in done.stderr
    for name in ("musicnn", "musicnn-mtt"):
        file = weights_file(load_network(name))
        assert 3_000_000 < file.stat().st_size < 3_400_000
        assert "Universitat Pompeu Fabra" in file.with_suffix(".licence.txt").read_text()
    assert run("embeddings", "verify").stdout.count("intact, runs") == 2
    weights_file(load_network("musicnn")).write_bytes(b"PK")
    done = run("embeddings", "verify", "musicnn")
    assert done.exit_code == 1
    assert "get or import it again" in done.stderr


@pytest.mark.slow
def test_pip_fetches_the_wheel(data_folder: Path) -> None:
    done = run("embeddings", "get", "musicnn")
    if done.exit_code:
        assert done.stderr.startswith("genreclf: pip download musicnn==0.1.0 failed: ")
        pytest.skip("no index has musicnn 0.1.0")
    assert weights_file(load_network("musicnn")).is_file()
    assert not has_weights(load_network("musicnn-mtt"))


@pytest.mark.slow
def test_embeddings_of_an_excerpt_are_those_of_its_patches(published: Network) -> None:
    samples = music(10, 16_000)
    found = embed(samples, published, ["penultimate", "tags"])
    assert found["penultimate"].shape == (200, 3)
    assert found["tags"].min() >= 0
    assert found["tags"].max() <= 1
    patch = network_input(samples, published.frontend)[187 : 2 * 187]
    variables = unpacked_arrays(weights_file(published).read_bytes())
    expected = by_definition(variables, patch)
    np.testing.assert_allclose(found["penultimate"][:, 1], expected["penultimate"], atol=1e-4)


@pytest.mark.slow
def test_numbers_equal_onnxruntimes(published: Network, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs genreclf[onnx]")
    import msgspec
    import tomli_w
    from musicnn_graph import musicnn_graph

    model = musicnn_graph(unpacked_arrays(weights_file(published).read_bytes()))
    (tmp_path / "graph.onnx").write_bytes(model.SerializeToString())
    described = msgspec.to_builtins(published)
    described |= {"name": "graph", "file": "graph.onnx", "sha256": ""}
    (tmp_path / "graph.toml").write_text(tomli_w.dumps(described), encoding="utf-8")
    [(network, _)] = import_file(tmp_path / "graph.onnx")
    samples = music(10, 16_000, seed=3)
    expected = embed(samples, network, list(OUTPUTS))
    for name, found in embed(samples, published, list(OUTPUTS)).items():
        scale = max(1.0, float(np.abs(found).max()))
        np.testing.assert_allclose(found / scale, expected[name] / scale, rtol=0, atol=5e-6)


TENSORFLOW = """\
import sys
import tensorflow as tf
v1 = tf.compat.v1
v1.disable_eager_execution()
folder = str(given["at"])
outputs = {
    "penultimate": "model/batch_normalization_10/batchnorm/add_1", "tags": "model/Sigmoid",
    "mean_pool": "model/moments/Squeeze", "max_pool": "model/Max",
}
meta = v1.MetaGraphDef()
meta.ParseFromString(open(folder + "/model.meta", "rb").read())
graph = meta.graph_def
for node in graph.node:
    node.attr.pop("_output_shapes", None)
graph = v1.graph_util.extract_sub_graph(graph, list(outputs.values()))
variables = tf.train.load_checkpoint(folder + "/model")
feed = {}
for node in graph.node:
    if node.op == "VariableV2":
        feed[node.name + ":0"] = variables.get_tensor(node.name)
    elif node.op == "Placeholder":  # the patches, and whether this is training
        feed[node.name + ":0"] = given["patches"] if node.attr["dtype"].type == 1 else False
with tf.Graph().as_default(), v1.Session() as session:
    tf.import_graph_def(graph, name="")
    found = session.run({name: node + ":0" for name, node in outputs.items()}, feed)
found = {name: values.reshape(len(values), -1) for name, values in found.items()}
"""


@pytest.mark.slow
def test_numbers_equal_tensorflows(
    published: Network, musicnns_wheel: Path, tmp_path: Path
) -> None:
    with ZipFile(musicnns_wheel) as archive:
        for suffix in ("index", "meta", "data-00000-of-00001"):
            member = f"{wheel.NETWORKS[published.name]}/.{suffix}"
            (tmp_path / f"model.{suffix}").write_bytes(archive.read(member))
    samples = music(10, 16_000, seed=3)
    spectrogram = network_input(samples, published.frontend)
    patches = np.stack([spectrogram[at : at + 187] for at in (0, 187, 374)])
    expected = ask("tensorflow", TENSORFLOW, tmp_path, patches=patches, at=str(tmp_path))
    found = embed(samples, published, list(expected))
    for name, values in expected.items():
        scale = max(1.0, float(np.abs(values).max()))
        np.testing.assert_allclose(found[name].T / scale, values / scale, rtol=0, atol=5e-6)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["musicnn", "musicnn-fast"])
def test_presets_with_musicnn_extract_and_predict(
    preset: str, musicnns_wheel: Path, data_folder: Path, genre_folder: Path, tmp_path: Path
) -> None:
    wheel.import_wheel(musicnns_wheel)
    table, model, song = tmp_path / "a.csv", tmp_path / "a.joblib", min(genre_folder.rglob("*.mp3"))
    done = run("extract", genre_folder, "--config", preset, "--jobs", 2, "-o", table)
    assert done.exit_code == 0, done.stderr
    assert np.isfinite(load_table(table).values).all()
    done = run("train", table, "--config", preset, "-o", model)
    assert done.exit_code == 0, done.stderr
    shown = json.loads(run("predict", song, "--model", model, "--tags", "--format", "jsonl").stdout)
    assert len(shown["tags"]) == 50
    assert all(0 <= share <= 1 for share in shown["tags"].values())
