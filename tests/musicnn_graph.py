"""musicnn as an ONNX graph, layer by layer, for onnxruntime."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

EPSILON = 1e-3


class Graph:
    """Nodes and weights, as they are added."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self.variables, self.nodes, self.weights = variables, [], []

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        output = output or f"{op}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def constant(self, value: Any) -> str:
        name = f"weights{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def normalise(self, given: str, i: int, **output: str) -> str:
        name = f"batch_normalization_{i}" if i else "batch_normalization"
        keys = ("gamma", "beta", "moving_mean", "moving_variance")
        values = [self.constant(self.variables[f"{name}/{key}"]) for key in keys]
        return self.add("BatchNormalization", given, *values, epsilon=EPSILON, **output)

    def convolve(self, given: str, i: int) -> str:
        name = f"conv2d_{i}" if i else "conv2d"
        kernel = self.variables[f"{name}/kernel"].transpose(3, 2, 0, 1)
        before = (kernel.shape[2] - 1) // 2
        found = self.add(
            "Conv", given, self.constant(kernel), self.constant(self.variables[f"{name}/bias"]),
            pads=[before, 0, kernel.shape[2] - 1 - before, 0],
        )  # fmt: skip
        return self.normalise(self.add("Relu", found), i + 1)

    def dense(self, given: str, name: str) -> str:
        weights = self.constant(self.variables[f"{name}/kernel"])
        return self.add("Gemm", given, weights, self.constant(self.variables[f"{name}/bias"]))


def musicnn_graph(variables: Mapping[str, Any]) -> onnx.ModelProto:
    """Make the model with the input "melspectrogram", (batch, time, 96)."""
    graph = Graph(variables)
    axis = graph.constant(np.array([1], np.int64))
    x = graph.normalise(graph.add("Unsqueeze", "melspectrogram", axis), 0)
    last = graph.constant(np.array([3], np.int64))
    blocks = [
        graph.add("ReduceMax", graph.convolve(x, i), axes=[3], keepdims=0) for i in range(5)
    ]  # (batch, filters, time)
    front = graph.add("Concat", *blocks, axis=1)

    def middle(given: str, i: int) -> str:
        image = graph.add("Unsqueeze", graph.add("Transpose", given, perm=[0, 2, 1]), axis)
        return graph.add("Squeeze", graph.convolve(image, i), last)

    one = middle(front, 5)
    two = graph.add("Add", middle(one, 6), one)
    three = graph.add("Add", middle(two, 7), two)
    maps = graph.add("Concat", front, one, two, three, axis=1)
    strongest = graph.add("ReduceMax", maps, axes=[2], keepdims=0, output="max_pool")
    mean = graph.add("ReduceMean", maps, axes=[2], keepdims=0, output="mean_pool")
    two_each = graph.constant(np.array([2], np.int64))
    pair = [graph.add("Unsqueeze", pooled, two_each) for pooled in (strongest, mean)]
    flat = graph.add("Flatten", graph.add("Concat", *pair, axis=2))
    hidden = graph.add("Relu", graph.dense(graph.normalise(flat, 9), "dense"))
    penultimate = graph.normalise(hidden, 10, output="penultimate")
    graph.add("Sigmoid", graph.dense(penultimate, "dense_1"), output="tags")

    value = helper.make_tensor_value_info
    sizes = {"penultimate": 200, "mean_pool": 753, "max_pool": 753, "tags": 50}
    made = helper.make_graph(
        graph.nodes, "musicnn",
        [value("melspectrogram", TensorProto.FLOAT, ["batch", "time", 96])],
        [value(name, TensorProto.FLOAT, ["batch", size]) for name, size in sizes.items()],
        graph.weights,
    )  # fmt: skip
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
