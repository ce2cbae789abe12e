"""Networks in ONNX files: what they compute, and what a stranger's file cannot do."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs genreclf[onnx]")
pytest.importorskip("onnxruntime", reason="needs genreclf[onnx]")

from conftest import music, noise
from helpers import run
from onnx import TensorProto, helper
from tiny_networks import mean_over, model, saved, stand_in

from genreclf.config.networks import Network, load_network, network_names
from genreclf.embeddings.frontends import network_input
from genreclf.embeddings.importing import _trial, import_file, read_onnx
from genreclf.embeddings.runner import embed, prepare
from genreclf.embeddings.store import keep_weights
from genreclf.errors import AudioError, ConfigError, NetworkError

RATE = 16_000


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    monkeypatch.setenv("GENRECLF_DATA", str(folder))
    return folder


def imported(tmp_path: Path, made: Any, **changes: str) -> Network:
    [(network, _)] = import_file(saved(made, tmp_path, **changes))
    return network


def patch_means(samples: Any, network: Network, length: int = 96, hop: int = 48) -> Any:
    """What the network of ``mean_over`` gives, in numpy."""
    mel = network_input(samples, network.frontend)
    starts = range(0, len(mel) - length + 1, hop)
    return np.stack([mel[at : at + length].mean(axis=0) for at in starts], axis=1)


@pytest.mark.parametrize(
    ("layout", "axis", "shape"),
    [
        ("batch,time,bands", 1, ("batch", 96, 64)),
        ("batch,bands,time", 2, ("batch", 64, 96)),
        ("batch,time,bands,1", 1, ("batch", 96, 64, 1)),
        ("batch,1,time,bands", 2, (4, 1, 96, 64)),  # takes four patches at a time
    ],
)
def test_patches_in_any_layout_give_their_embeddings(
    tmp_path: Path, layout: str, axis: int, shape: tuple[int | str, ...]
) -> None:
    network = imported(tmp_path, mean_over(axis, shape), layout=layout)
    samples = music(6, RATE)
    [found] = embed(samples, network, ["mean"]).values()
    assert found.dtype == np.float32
    assert network.frame_seconds("mean") == pytest.approx(0.48)
    np.testing.assert_allclose(found, patch_means(samples, network), rtol=1e-5, atol=1e-6)


def test_frames_of_a_whole_excerpt_from_samples(tmp_path: Path) -> None:
    # Frames of 100 samples as they are: reshaping is a network, too.
    node = helper.make_node("Reshape", ["mel", "shape"], ["mean"])
    made = model([node], ("batch", "n"), None, {"shape": np.array([1, -1, 64], np.int64)})
    path = saved(made, tmp_path, layout="batch,samples", kind="waveform", patches="",
                 frontend="sample_rate_hz = 16000")  # fmt: skip
    text = path.with_suffix(".toml").read_text(encoding="utf-8")
    path.with_suffix(".toml").write_text(text + 'kind = "frames"\nseconds = 0.004\n')
    [(network, _)] = import_file(path)
    samples = noise(1, RATE)
    [found] = embed(samples, network, ["mean"]).values()
    np.testing.assert_array_equal(found, samples.reshape(-1, 64).T)


def test_short_excerpts_are_refused_repeated_or_filled(tmp_path: Path) -> None:
    samples = noise(0.5, RATE)
    network = imported(tmp_path, mean_over(1))
    with pytest.raises(AudioError, match=r"^0.50 s of audio, but network tiny needs 0.97 s$"):
        embed(samples, network, ["mean"])
    for shorter, longer in (
        ("repeat", np.concatenate([samples, samples])[:15_600]),
        ("zeros", np.pad(samples, (0, 15_600 - len(samples)))),
        ("repeat and zeros", np.pad(samples, (0, 15_600 - len(samples)))),  # one fits
    ):
        patches = f'unit = "frames"\nlength = 96\nhop = 48\nshorter = "{shorter}"'
        network = imported(tmp_path, mean_over(1), patches=patches)
        [found] = embed(samples, network, ["mean"]).values()
        np.testing.assert_allclose(found, patch_means(longer, network), rtol=1e-5, atol=1e-6)


def test_whole_repetitions_are_followed_by_zeros(tmp_path: Path) -> None:
    samples = noise(0.4, RATE)
    patches = 'unit = "frames"\nlength = 96\nhop = 48\nshorter = "repeat and zeros"'
    network = imported(tmp_path, mean_over(1), patches=patches)
    [found] = embed(samples, network, ["mean"]).values()
    longer = np.concatenate([samples, samples, np.zeros(15_600 - 2 * len(samples), np.float32)])
    np.testing.assert_allclose(found, patch_means(longer, network), rtol=1e-5, atol=1e-6)


def test_an_imported_network_keeps_its_comments_and_gets_its_digest(
    tmp_path: Path, own_folder: Path
) -> None:
    path = saved(mean_over(1), tmp_path)
    described = path.with_suffix(".toml")
    described.write_text("# mine\n" + described.read_text(encoding="utf-8"), encoding="utf-8")
    done = run("embeddings", "import", path)
    assert done.exit_code == 0, done.output
    kept = (own_folder / "networks" / "tiny.toml").read_text(encoding="utf-8")
    assert "# mine" in kept
    network = load_network("tiny")
    assert len(network.sha256) == 64
    prepare(network)
    assert run("embeddings", "verify", "tiny").stdout == "tiny: intact, runs\n"
    [file] = (own_folder / "networks").glob("*.onnx")
    file.write_bytes(b"x" + file.read_bytes())
    done = run("embeddings", "verify")
    assert done.exit_code == 1
    assert "SHA-256" in done.stderr


@pytest.mark.parametrize("name", [n for n in network_names() if not load_network(n).sha256])
def test_files_of_the_shipped_descriptions_can_be_imported(tmp_path: Path, name: str) -> None:
    shipped = load_network(name)
    file = tmp_path / shipped.file
    file.write_bytes(stand_in(shipped).SerializeToString())
    [(network, _)] = import_file(file)  # whose description is found by the name of the file
    assert network.name == name
    assert load_network(name) == network
    samples = noise(network.patch_seconds + 2, network.sample_rate_hz)
    for output, found in zip(
        network.outputs, embed(samples, network, [o.column for o in network.outputs]).values(),
        strict=True,
    ):  # fmt: skip
        assert found.shape[0] == output.size
        seen = len(samples) / network.sample_rate_hz / network.frame_seconds(output.column)
        assert 1 <= found.shape[1] <= seen + 1
        np.testing.assert_array_equal(found, found[:1].repeat(output.size, axis=0))


def test_a_description_at_a_path_means_the_file_beside_it(tmp_path: Path) -> None:
    described = saved(mean_over(1), tmp_path).with_suffix(".toml")
    network = load_network("tiny.toml", tmp_path)
    with pytest.raises(NetworkError, match=r"genreclf embeddings import tiny\.onnx"):
        prepare(network)
    import_file(described)
    prepare(network)
    assert network == load_network("tiny")


def test_a_description_names_its_file_and_a_name_is_taken_once(tmp_path: Path) -> None:
    path = saved(mean_over(1), tmp_path)
    [(network, _)] = import_file(path.with_suffix(".toml"))
    assert network == load_network("tiny")
    taken = saved(mean_over(1), tmp_path, name="musicnn")
    with pytest.raises(ConfigError, match="choose another"):
        import_file(taken)
    other = tmp_path / "other.onnx"
    other.write_bytes(path.read_bytes())
    with pytest.raises(NetworkError, match=r"other.onnx: has no description"):
        import_file(other)
    assert import_file(other, str(path.with_suffix(".toml")))
    other.write_bytes(b"\x08")
    with pytest.raises(NetworkError, match=r"other.onnx: not the file that .*tiny.toml describes"):
        import_file(other, "tiny")
    with pytest.raises(NetworkError, match=r"other.onnx: not an ONNX file"):
        import_file(other, str(path.with_suffix(".toml")))


def loop() -> Any:
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", [a], [b]) for a, b in (("go", "go_on"), ("v", "w"))],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []),
         value("v", TensorProto.FLOAT, None)],
        [value("go_on", TensorProto.BOOL, []), value("w", TensorProto.FLOAT, None)],
    )  # fmt: skip
    node = helper.make_node("Loop", ["", "true", "mel"], ["mean"], body=body)
    return model([node], weights={"true": np.array(True)})


def external() -> Any:
    made = mean_over(1)
    tensor = made.graph.initializer.add()
    tensor.name, tensor.data_type, tensor.data_location = "w", TensorProto.FLOAT, tensor.EXTERNAL
    tensor.dims.append(1)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    return made


def giant() -> Any:
    made = mean_over(1)
    tensor = made.graph.initializer.add()
    tensor.name, tensor.data_type = "w", TensorProto.FLOAT
    tensor.dims.extend([2**40, 2**20])
    return made


def memory_hungry() -> Any:
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceMean", ["zeros"], ["zero"], keepdims=0),
        helper.make_node("ReduceMean", ["mel"], ["real"], axes=[1], keepdims=0),
        helper.make_node("Add", ["real", "zero"], ["mean"]),
    ]
    return model(nodes, weights={"size": np.array([2**20, 2**14], np.int64)})


def with_node(op: str, domain: str = "", **attributes: Any) -> Any:
    return model([helper.make_node(op, ["mel"], ["mean"], domain=domain, **attributes)],
                 domain=domain)  # fmt: skip


HOSTILE = {
    "loop": (loop, "operator Loop; control flow, which could loop for ever"),
    "external data": (external, "in another file"),
    "giant weights": (giant, "larger than the file"),
    "custom operator": (lambda: with_node("Pwn", "evil.example"), "'evil.example'"),
    "random": (lambda: with_node("RandomNormalLike"), "other numbers every time"),
    "memory": (memory_hungry, "cannot be run"),
    "wrong size": (lambda: mean_over(2), "does not fit size = 64"),
    "unknown operator": (lambda: with_node("NoSuchThing"), "onnxruntime cannot load"),
    "not finite": (lambda: with_node("Log"), "not finite"),
    "other input": (lambda: mean_over(1, ("batch", "n")), "takes the shape"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_strangers_file_is_refused_in_one_line(
    tmp_path: Path, own_folder: Path, name: str
) -> None:
    make, reason = HOSTILE[name]
    made = make()
    if name == "not finite":
        made.graph.node.insert(0, helper.make_node("ReduceMean", ["mel"], ["m"], axes=[1],
                                                   keepdims=0))  # fmt: skip
        made.graph.node[1].input[0] = "m"
    path = saved(made, tmp_path)
    done = run("embeddings", "import", path)
    assert done.exit_code == 1
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert not list(own_folder.glob("networks/*.onnx"))
    assert not list(own_folder.glob("networks/*.toml"))


def averaged(*nodes: Any, **weights: Any) -> Any:
    """A network of nodes that make "mean" of "m", the mean of the input over time."""
    mean = helper.make_node("ReduceMean", ["mel"], ["m"], axes=[1], keepdims=0)
    return model([mean, *nodes], weights=weights)


def large_doubles() -> Any:
    nodes = [
        helper.make_node("Cast", ["m"], ["double"], to=TensorProto.DOUBLE),
        helper.make_node("Sub", ["double", "large"], ["mean"]),
    ]
    made = averaged(*nodes, large=np.array(1e300))
    made.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    return made


def words() -> Any:
    made = averaged(helper.make_node("Cast", ["m"], ["mean"], to=TensorProto.STRING))
    made.graph.output[0].type.tensor_type.elem_type = TensorProto.STRING
    return made


def halves() -> Any:
    made = mean_over(1)
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    made.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    return made


def in_training() -> Any:
    node = helper.make_node("Dropout", ["m", "share", "training"], ["mean"])
    return averaged(node, share=np.float32(0.5), training=np.array(True))


def one_number() -> Any:
    return model([helper.make_node("ReduceMean", ["mel"], ["mean"], keepdims=0)], output_shape=())


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (one_number, r"output mean has the shape \(1,\) for 2 patches"),
        (words, "output mean holds no numbers"),
        (large_doubles, "numbers that are not finite"),
        (halves, "takes float16; export the model with an input of float32"),
        (in_training, "mean has other values each time; export the model for inference"),
        (lambda: mean_over(1, ("batch", 7, 64)), "takes 7 frames, but patches.length = 96"),
        (lambda: mean_over(1, ("batch", 96, 32)), "takes 32 bands, but frontend.n_mels = 64"),
        (lambda: mean_over(1, (1024, "n", "n")), None),
    ],
)
def test_what_a_file_gives_is_told_with_the_remedy(
    tmp_path: Path, make: Any, reason: str | None
) -> None:
    made = make()
    described = saved(made, tmp_path).with_suffix(".toml")
    network = load_network(described)
    keep_weights(network, made.SerializeToString())
    found = _trial(network)  # what a worker does at the import
    assert found is None if reason is None else re.search(reason, found or "")


def test_outputs_that_would_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = imported(tmp_path, mean_over(1))
    samples = noise(30, RATE)
    assert embed(samples, network, ["mean"])["mean"].shape == (64, 61)
    monkeypatch.setattr("genreclf.embeddings.runner._MOST_VALUES", 3000)
    with pytest.raises(NetworkError, match=r"increase patches\.hop"):
        embed(samples, network, ["mean"])


def test_inspect_prints_what_a_description_needs(tmp_path: Path) -> None:
    path = saved(mean_over(1), tmp_path)
    done = run("inspect", path)
    assert done.exit_code == 0, done.stderr
    for text in ("mel: float, batch by 96 by 64", 'layout = ""', "batch,time,bands", "size = 64"):
        assert text in done.stdout
    contents, skeleton = read_onnx(path)
    assert contents.n_nodes == 1
    done = run("inspect", path, "--plot", tmp_path / "x.png")
    assert done.exit_code == 2
    # Filled in, it is a description.
    filled = skeleton.replace('licence = ""', 'licence = "x"').replace(
        'source = ""', 'source = "x"'
    )
    filled = filled.replace('layout = ""', 'layout = "batch,time,bands"')
    filled = filled.replace('kind = "" ', 'kind = "vggish" ').replace("length = 0", "length = 96")
    path.with_suffix(".toml").write_text(filled.replace("hop = 0", "hop = 96"), encoding="utf-8")
    [(network, _)] = import_file(path)
    assert network.output("mean").size == 64


def test_the_extra_is_named_when_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(mean_over(1), tmp_path)
    network = load_network(path.with_suffix(".toml"))
    monkeypatch.setattr("genreclf.embeddings.runner.has_packages", lambda: False)
    with pytest.raises(
        NetworkError,
        match=r"pip install 'genreclf\[onnx\]', then genreclf embeddings import tiny.onnx",
    ):
        prepare(network)
