"""Tiny networks in ONNX files, with what they compute known."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from genreclf.config.frontends import Waveform
from genreclf.config.networks import Network

DESCRIPTION = """\
name = "{name}"
file = "{name}.onnx"
licence = "CC0-1.0"
source = "https://example.org"

[input]
name = "mel"
layout = "{layout}"

[frontend]
kind = "{kind}"
{frontend}

[patches]
{patches}

[[outputs]]
name = "mean"
as = "mean"
size = 64
"""
PATCHES = 'unit = "frames"\nlength = 96\nhop = 48'


def saved(model: onnx.ModelProto, folder: Path, **changes: str) -> Path:
    """Write a model and its description, and return the path of the model."""
    words = {
        "name": "tiny", "layout": "batch,time,bands", "kind": "vggish", "frontend": "",
        "patches": PATCHES,
    } | changes  # fmt: skip
    path = folder / f"{words['name']}.onnx"
    path.write_bytes(model.SerializeToString())
    path.with_suffix(".toml").write_text(DESCRIPTION.format(**words), encoding="utf-8")
    return path


def model(
    nodes: list[onnx.NodeProto],
    shape: tuple[int | str, ...] = ("batch", 96, 64),
    output_shape: tuple[int | str, ...] | None = ("batch", 64),
    weights: dict[str, Any] | None = None,
    domain: str = "",
) -> onnx.ModelProto:
    """Make a model with the input "mel" and the output "mean"."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("mel", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, output_shape)],
        [onnx.numpy_helper.from_array(np.asarray(a), name) for name, a in (weights or {}).items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def stand_in(network: Network) -> onnx.ModelProto:
    """Make a network with the inputs and outputs of a description: each output is the mean."""
    axes = network.input.layout.split(",")
    lengths: dict[str, int | str] = {"batch": "batch", "1": 1, "samples": "samples"}
    if not isinstance(network.frontend, Waveform):
        in_samples = network.patches.unit == "samples"
        lengths["bands"] = network.frontend.n_mels
        lengths["time"] = (
            1 + network.patches.length // network.frontend.hop_length
            if in_samples
            else network.patches.length
        )
    nodes, weights = [], {"frames": np.array([0, -1, 320], np.int64)}
    for i, output in enumerate(network.outputs):
        given, over = network.input.name, list(range(1, len(axes)))
        if output.kind == "frames":
            nodes.append(helper.make_node("Reshape", [given, "frames"], ["framed"]))
            given, over = "framed", [2]
        nodes.append(helper.make_node("ReduceMean", [given], [f"mean{i}"], axes=over, keepdims=1))
        shape = [0, -1, 1] if output.kind == "frames" else [0, 1]
        weights |= {
            f"shape{i}": np.array(shape, np.int64),
            f"ones{i}": np.ones((1, output.size), np.float32),
        }
        nodes.append(helper.make_node("Reshape", [f"mean{i}", f"shape{i}"], [f"flat{i}"]))
        nodes.append(helper.make_node("MatMul", [f"flat{i}", f"ones{i}"], [output.name]))
    port = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "tiny",
        [port(network.input.name, TensorProto.FLOAT, [lengths[axis] for axis in axes])],
        [port(output.name, TensorProto.FLOAT, None) for output in network.outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def mean_over(axis: int, shape: tuple[int | str, ...] = ("batch", 96, 64)) -> onnx.ModelProto:
    """Make a network whose embedding is the mean of its input over time."""
    node = helper.make_node("ReduceMean", ["mel"], ["mean"], axes=[axis], keepdims=0)
    return model([node], shape)
