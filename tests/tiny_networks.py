"""Tiny networks in ONNX files, with what they compute known."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

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


def mean_over(axis: int, shape: tuple[int | str, ...] = ("batch", 96, 64)) -> onnx.ModelProto:
    """Make a network whose embedding is the mean of its input over time."""
    node = helper.make_node("ReduceMean", ["mel"], ["mean"], axes=[axis], keepdims=0)
    return model([node], shape)
