"""Networks in ONNX files, which may come from anyone: checks, and a session of onnxruntime.

A file is parsed before onnxruntime sees it. It holds only operators of the ONNX standard, whose
number of steps does not depend on data, and all of its weights. So it cannot run code, open another
file, or loop for ever. What it computes has limited memory.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np

from genreclf.config.frontends import FRONTENDS, Waveform
from genreclf.config.networks import Layout, Network, Output
from genreclf.errors import NetworkError, one_line, shortened
from genreclf.features.spectra import Array

MAX_FILE_BYTES = 1_000_000_000
_MAX_MEMORY_BYTES = 2**31
_MAX_NODES = 100_000
_MAX_AXIS = 10_000_000
_MAX_BATCH = 1024
_BATCH = 2  # patches at a time, if the file leaves that open: more take memory, and no less time

_STANDARD = ("", "ai.onnx")
_RANDOM = frozenset(
    {
        "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
        "RandomUniformLike",
    }
)  # fmt: skip


class Port(NamedTuple):
    """An input or output of a file: its name, type of elements, and axes.

    An axis is a number, or a name if its length is free.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Contents(NamedTuple):
    """What an ONNX file holds."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    n_nodes: int
    n_parameters: int
    opset: int


def has_packages() -> bool:
    """Return True if the packages of the extra ``onnx`` are installed."""
    from importlib.util import find_spec

    return all(find_spec(package) is not None for package in ("onnx", "onnxruntime"))


def read_contents(content: bytes, name: str) -> Contents:
    """Check an ONNX file, and return what it holds.

    Parameters
    ----------
    content : bytes
    name : str
        Beginning of error messages.

    Raises
    ------
    NetworkError
        If it is not an ONNX file, or one that genreclf does not run.
    """
    model = _parsed(content, name)
    graph = model.graph
    try:
        _check(model, len(content))
    except ValueError as error:
        raise NetworkError(f"{name}: {error}") from None
    weights = {tensor.name for tensor in graph.initializer}
    return Contents(
        tuple(_port(value) for value in graph.input if value.name not in weights),
        tuple(_port(value) for value in graph.output),
        len(graph.node),
        sum(math.prod(tensor.dims) for tensor in graph.initializer),
        max((o.version for o in model.opset_import if o.domain in _STANDARD), default=0),
    )


def skeleton(contents: Contents, file: str, sha256: str) -> str:
    """Return a draft of a description; what the file does not say is left empty."""
    inputs = contents.inputs or (Port("", "float", ()),)
    lines = [
        f"name = {_quoted(_word(Path(file).stem, '-'))}",
        f"file = {_quoted(file)}",
        f"sha256 = {_quoted(sha256)}",
        'licence = ""                # of the weights, as in "CC-BY-NC-SA-4.0"',
        "non_commercial = false",
        'source = ""                 # where to get it',
        "",
        "[input]",
        f"name = {_quoted(inputs[0].name)}",
        f'layout = ""                 # {" or ".join(_layouts(inputs[0]))}',
        "",
        "[frontend]",
        f'kind = ""                   # {", ".join(FRONTENDS)}',
        "",
        "[patches]                   # without it, the network gets the whole excerpt",
        'unit = "frames"             # or "samples"',
        "length = 0",
        "hop = 0",
    ]
    for output in contents.outputs:
        size = output.shape[-1] if output.shape else 0
        lines += [
            "",
            "[[outputs]]",
            f"name = {_quoted(output.name)}",
            f"as = {_quoted(_word(output.name, '_'))}",
            f"size = {size if isinstance(size, int) else 0}",
            'kind = "embedding"          # or "tags", "frames"',
        ]
    return "\n".join(lines) + "\n"


def _layouts(port: Port) -> list[str]:
    """Return the layouts with as many axes as an input."""
    layouts: tuple[str, ...] = get_args(Layout)
    n_axes = len(port.shape)
    return [name for name in layouts if n_axes in (0, name.count(",") + 1)] or list(layouts)


def _word(text: str, separator: str) -> str:
    """Return a name as descriptions allow it."""
    words = re.findall("[a-z0-9]+", text.lower())
    return separator.join(words).lstrip("0123456789" + separator)[:40] or "network"


def _quoted(text: str) -> str:
    return json.dumps(one_line(text), ensure_ascii=False)


def _parsed(content: bytes, name: str) -> Any:
    try:
        import onnx
    except ImportError:
        raise NetworkError(
            f"{name}: ONNX files need packages that are not installed: pip install 'genreclf[onnx]'"
        ) from None
    if len(content) > MAX_FILE_BYTES:
        raise NetworkError(f"{name}: over {MAX_FILE_BYTES:,} bytes, too large for a network")
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # of Protocol Buffers; its type depends on the version
        raise NetworkError(f"{name}: not an ONNX file ({shortened(error)})") from None
    if not model.graph.node:
        raise NetworkError(f"{name}: not an ONNX file, or one without operators")
    return model


def _check(model: Any, n_bytes: int) -> None:
    """Refuse what could run code, read other files, loop, or fill the memory."""
    if len(model.functions) or len(model.graph.sparse_initializer):
        raise ValueError("holds functions or sparse weights; export the model without them")
    if len(model.graph.node) > _MAX_NODES:
        raise ValueError(f"has over {_MAX_NODES:,} operators")
    for tensor in _tensors(model.graph):
        _check_tensor(tensor, n_bytes)
    for node in model.graph.node:
        _check_node(node)
    for value in (*model.graph.input, *model.graph.output):
        for axis in _port(value).shape:
            if isinstance(axis, int) and not 0 < axis <= _MAX_AXIS:
                raise ValueError(f"{shortened(value.name)} has an axis of length {axis}")


def _tensors(graph: Any) -> Iterator[Any]:
    """Yield all weights and constants."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("sparse_tensor") or len(attribute.sparse_tensors):
                raise ValueError("holds sparse constants; export the model without them")
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _check_tensor(tensor: Any, n_bytes: int) -> None:
    if tensor.data_location == tensor.EXTERNAL or len(tensor.external_data):
        raise ValueError(
            f"weights {shortened(tensor.name)} are in another file; save the model as one file"
        )
    # Small types have two elements in a byte.
    if min(tensor.dims, default=0) < 0 or math.prod(tensor.dims) > 2 * n_bytes:
        raise ValueError(f"weights {shortened(tensor.name)} are larger than the file")


def _check_node(node: Any) -> None:
    name = shortened(node.op_type)
    if node.domain not in _STANDARD:
        raise ValueError(
            f"needs the operator {name} of {shortened(node.domain)!r}; only those of the ONNX "
            "standard are run; export the model without it"
        )
    if any(attribute.HasField("g") or len(attribute.graphs) for attribute in node.attribute):
        raise ValueError(
            f"has the operator {name}; control flow, which could loop for ever, is not run; "
            "export the model without it"
        )
    if node.op_type in _RANDOM:
        raise ValueError(
            f"has the operator {name}, which gives other numbers every time; export the model "
            "without it"
        )


def _port(value: Any) -> Port:
    from onnx import TensorProto

    tensor = value.type.tensor_type
    axes = (
        int(axis.dim_value) if axis.HasField("dim_value") else axis.dim_param or "?"
        for axis in tensor.shape.dim
    )
    known = tensor.elem_type in TensorProto.DataType.values()
    dtype = TensorProto.DataType.Name(tensor.elem_type).lower() if known else "unknown"
    return Port(value.name, dtype, tuple(axes))


class OnnxNetwork:
    """A network in an ONNX file, ready to run.

    Parameters
    ----------
    content : bytes
    network : Network
        Its description.

    Raises
    ------
    NetworkError
        If the file is refused, or its inputs and outputs are not as described.
    """

    def __init__(self, content: bytes, network: Network) -> None:
        self._name = f"network {network.name}"
        contents = read_contents(content, self._name)
        port = self._described_input(contents, network)
        named = {port.name for port in contents.outputs}
        for output in network.outputs:
            if output.name not in named:
                raise NetworkError(
                    f"{self._name}: its file has no output {shortened(output.name)}; it has "
                    f"{shortened(', '.join(sorted(named)), 300)}; correct the description"
                )
        self._input, self._layout = network.input.name, network.input.layout
        self._fixed_batch = self._batch_of(port)
        self.batch = self._fixed_batch or _BATCH
        self._session = self._opened(content)

    def _described_input(self, contents: Contents, network: Network) -> Port:
        """Return the one input, which the description names."""
        ports = {port.name: port for port in contents.inputs}
        if list(ports) != [network.input.name]:
            raise NetworkError(
                f"{self._name}: its file has the inputs "
                f"{shortened(', '.join(ports) or 'none', 300)}, but the description says "
                f"{network.input.name}; correct it"
            )
        port, axes = ports[network.input.name], network.input.layout.split(",")
        takes = f"{self._name}: input {shortened(port.name)} takes"
        if port.dtype != "float":
            raise NetworkError(f"{takes} {port.dtype}; export the model with an input of float32")
        lengths = dict(zip(axes, port.shape, strict=False))
        if len(port.shape) not in (0, len(axes)) or lengths.get("1", 1) != 1:
            raise NetworkError(
                f"{takes} the shape {shortened(port.shape)}, not {network.input.layout}; correct "
                "input.layout in the description"
            )
        for axis, (what, key, described) in _described_lengths(network).items():
            length = lengths.get(axis, described)
            if isinstance(length, int) and length != described:
                raise NetworkError(
                    f"{takes} {length} {what}, but {key} = {described} in the description; "
                    "correct it"
                )
        return port

    def _batch_of(self, port: Port) -> int:
        """Return how many patches the file takes at a time; 0 if that is free."""
        first = port.shape[0] if port.shape and self._layout != "samples" else "free"
        if not isinstance(first, int):
            return 0
        if first > _MAX_BATCH:
            raise NetworkError(f"{self._name}: takes {first} patches at a time, which is too many")
        return first

    def _opened(self, content: bytes) -> Any:
        import onnxruntime

        _limit_memory()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = 4  # errors come as exceptions
        options.add_session_config_entry("session.use_env_allocators", "1")
        try:
            return onnxruntime.InferenceSession(
                content,
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=["ConstantFolding"],  # computes before memory is limited
            )
        except Exception as error:  # onnxruntime's have no common class
            raise NetworkError(
                f"{self._name}: onnxruntime cannot load its file; export it again: {_reason(error)}"
            ) from None

    def run(self, batch: Array, outputs: Sequence[Output]) -> list[Array]:
        """Return the outputs for a batch of patches, each (batch, …)."""
        n_patches = len(batch)
        if self._fixed_batch * batch[0].nbytes > _MAX_MEMORY_BYTES:
            raise NetworkError(
                f"{self._name}: {self._fixed_batch} patches at a time take over 2 GB; export the "
                "model for one"
            )
        if self._fixed_batch:
            batch = np.concatenate(
                [batch, np.zeros((self._fixed_batch - n_patches, *batch.shape[1:]), np.float32)]
            )
        names = [output.name for output in outputs]
        try:
            found = self._session.run(names, {self._input: _arranged(batch, self._layout)})
        except Exception as error:
            raise NetworkError(
                f"{self._name}: cannot be run on input of the shape {batch.shape}: {_reason(error)}"
            ) from None
        return [
            self._numbers(values, output)[:n_patches]
            for values, output in zip(found, outputs, strict=True)
        ]

    def _numbers(self, values: Any, output: Output) -> Array:
        """Return an output as an array whose first axis is that of patches."""
        if not isinstance(values, np.ndarray | np.generic) or values.dtype.kind not in "biuf":
            raise NetworkError(
                f"{self._name}: output {shortened(output.name)} holds no numbers; leave it out of "
                "the description"
            )
        array = np.asarray(values)
        return array[None] if self._layout == "samples" or not array.ndim else array


def _described_lengths(network: Network) -> dict[str, tuple[str, str, int]]:
    """Return, for axes whose length is described: what they count, the key, and the length."""
    patches, frontend = network.patches, network.frontend
    of_patches = "patches.length", patches.length
    if isinstance(frontend, Waveform):
        return {"samples": ("samples", *of_patches)} if patches.unit == "samples" else {}
    bands = {"bands": ("bands", "frontend.n_mels", frontend.n_mels)}
    return bands | ({"time": ("frames", *of_patches)} if patches.unit == "frames" else {})


@lru_cache(maxsize=1)
def _limit_memory() -> None:
    """Give all sessions of this process one allocator with a limit."""
    import onnxruntime as ort

    ort.set_default_logger_severity(4)
    ort.disable_telemetry_events()
    kind, use = ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, ort.OrtMemType.DEFAULT
    arena = ort.OrtArenaCfg({"max_mem": _MAX_MEMORY_BYTES, "arena_extend_strategy": 1})
    ort.create_and_register_allocator(ort.OrtMemoryInfo("Cpu", kind, 0, use), arena)


def _arranged(batch: Array, layout: Layout) -> Array:
    """Bring patches, (batch, time, bands) or (batch, samples), into the order of a layout."""
    axes = layout.split(",")
    if layout == "samples":
        return np.ascontiguousarray(batch[0])
    ours = ["batch", "time", "bands"] if batch.ndim == 3 else ["batch", "samples"]
    arranged = batch.transpose([ours.index(axis) for axis in axes if axis != "1"])
    for i, axis in enumerate(axes):
        if axis == "1":
            arranged = np.expand_dims(arranged, i)
    return np.ascontiguousarray(arranged)


def _reason(error: Exception) -> str:
    """Return onnxruntime's message in one line, without its codes and places in its source."""
    text = " ".join(str(error).rpartition("Status Message: ")[2].split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : |\S+\.(cc|h):\d+ .*?\) ", "", text)
    return shortened(text or type(error).__name__, 300)
