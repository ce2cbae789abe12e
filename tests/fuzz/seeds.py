"""What is damaged: audio of every format at hand, tables, configurations, models and networks."""

import io
import json
import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import soundfile
from mutations import STRANGE, literal, mutated, mutated_text, mutated_tree
from numpy.typing import NDArray
from properties import AUDIO_CONFIG

from genreclf.config.load import load_config, preset_names, presets_folder
from genreclf.features.pooling import feature_names
from genreclf.learning.model import Model
from genreclf.tables.table import FeatureTable

SECONDS, RATE = 6, 22_050
# Container and codec for PyAV, beyond what libsndfile writes.
LIBAV = {
    "aac.m4a": ("ipod", "aac"),
    "alac.m4a": ("ipod", "alac"),
    "aac.aac": ("adts", "aac"),
    "aac.mka": ("matroska", "aac"),
    "wma.wma": ("asf", "wmav2"),
    "wavpack.wv": ("wv", "wavpack"),
    "tta.tta": ("tta", "tta"),
    "ac3.ac3": ("ac3", "ac3"),
}


@dataclass(frozen=True)
class Bomb:
    """Unpickles by making a folder, of which the properties know."""

    victim: str

    def __reduce__(self) -> Any:
        return Path.mkdir, (Path(self.victim),)


def _music() -> NDArray[np.float64]:
    time = np.arange(SECONDS * RATE)[:, None] / RATE
    noise = np.random.default_rng(0).standard_normal((len(time), 2))
    chord = sum(np.sin(2 * np.pi * hz * time) for hz in (220, 277.18, 329.63))
    return 0.1 * chord * (1 + np.sin(9 * time)) + 0.01 * noise


def song(path: Path) -> Path:
    soundfile.write(path, _music(), RATE)
    return path


def audio_seeds(folder: Path) -> list[Path]:
    """Write one file of each format, and of each way of telling an mp3's length."""
    stereo = _music()
    for container in soundfile.available_formats():
        if container not in ("RAW", "SD2"):  # without a header, with one in another file
            for subtype in soundfile.available_subtypes(container):
                path = folder / f"{container}.{subtype}.{container.lower()}"
                _write(path, stereo, container, subtype)
    for mode in ("CONSTANT", "AVERAGE", "VARIABLE"):
        soundfile.write(folder / f"{mode}.mp3", stereo, RATE, bitrate_mode=mode)
    _without_length(folder / "VARIABLE.mp3", folder / "no length.mp3")
    _join(folder)
    for name, (container, codec) in LIBAV.items():
        _encode(folder / name, stereo.astype(np.float32), container, codec)
    return sorted(path for path in folder.iterdir() if path.stat().st_size)


def _write(path: Path, stereo: NDArray[Any], container: str, subtype: str) -> None:
    for samples, rate in ((stereo, RATE), (stereo[:, 0], RATE), (stereo[:, 0], 48_000)):
        try:
            soundfile.write(path, samples, rate, subtype, format=container)
            return
        except (soundfile.LibsndfileError, ValueError):
            path.unlink(missing_ok=True)  # mono only, or certain rates only, or read only


def _without_length(path: Path, target: Path) -> None:
    """Blot out the frame that tells the length of a variable-rate mp3."""
    target.write_bytes(path.read_bytes().replace(b"Xing", b"\0\0\0\0", 1))


def _join(folder: Path) -> None:
    """Put files one behind the other, and blot out a length as a pipe does."""
    for name in ("OGG.VORBIS.ogg", "OGG.OPUS.ogg", "FLAC.PCM_16.flac", "CONSTANT.mp3"):
        content = (folder / name).read_bytes()
        (folder / f"joined {name}").write_bytes(content * 2)
    flac = (folder / "FLAC.PCM_16.flac").read_bytes()
    (folder / "streamed.flac").write_bytes(
        flac[:21] + bytes((flac[21] & 0xF0,)) + bytes(4) + flac[26:]
    )


def _encode(path: Path, stereo: NDArray[np.float32], container: str, codec: str) -> None:
    try:
        import av
    except ImportError:
        return
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=44_100, layout="stereo")
        stream.codec_context.format = {"alac": "s16p", "wavpack": "s16p", "tta": "s16"}.get(
            codec, "fltp"
        )
        stream.bit_rate = 128_000
        stream.codec_context.open()
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(stereo.T), format="fltp", layout="stereo"
        )
        frame.sample_rate, frame.pts = RATE, 0
        resampler = av.AudioResampler(
            stream.codec_context.format.name,
            "stereo",
            44_100,
            stream.codec_context.frame_size or 4096,
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))


def table(n_tracks: int = 24) -> FeatureTable:
    """Return a table as ``extract`` makes it, with names and labels that are hard to write."""
    names = feature_names(AUDIO_CONFIG)
    values = np.random.default_rng(0).standard_normal((n_tracks, len(names))).astype(np.float32)
    values[: n_tracks // 2] += 1
    text = [f"=músic/\x1b[31m{i},\"'\n.mp3" for i in range(n_tracks)]
    return FeatureTable(
        paths=np.array(text, dtype=object),
        labels=np.array(
            [("@röck", "blues")[i * 2 // n_tracks] for i in range(n_tracks)], dtype=object
        ),
        groups=np.array([f"artist {i // 2}" for i in range(n_tracks)], dtype=object),
        names=names,
        values=values,
        config=AUDIO_CONFIG.extraction,
    )


def damaged_audio(seeds: list[Path], folder: Path, number: int, random: Random) -> Path:
    seed, other = seeds[number % len(seeds)], random.choice(seeds)
    path = folder / f"{number}{seed.suffix}"
    path.write_bytes(mutated(seed.read_bytes(), other.read_bytes(), random))
    return path


def table_seeds(folder: Path) -> list[Path]:
    for suffix in (".csv", ".parquet", ".npz"):
        table().save(folder / f"own{suffix}")
    frame = table().to_frame().iloc[:, :12].rename(columns={"path": "filename"})
    frame.to_csv(folder / "foreign.csv", index=False)
    return sorted(folder.iterdir())


def damaged_table(seeds: list[Path], folder: Path, number: int, random: Random) -> Path:
    seed, other = seeds[number % len(seeds)], random.choice(seeds)
    path = folder / f"{number}{seed.suffix}"
    data = seed.read_bytes()
    if seed.suffix == ".csv":
        data = mutated_text(data.decode("utf-8", "surrogateescape"), random)
    elif seed.suffix == ".npz" and random.random() < 0.6:
        data = _member_damaged(
            data, lambda member: mutated(member, other.read_bytes(), random), random
        )
    else:
        data = mutated(data, other.read_bytes(), random)
    path.write_bytes(data)
    return path


def _member_damaged(data: bytes, damage: Callable[[bytes], bytes], random: Random) -> bytes:
    """Damage a file inside a zip archive, whose checksum is right nevertheless."""
    with ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = random.choice(sorted(members))
    members[name] = damage(members[name])
    return _zipped(members)


def _zipped(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


def damaged_config(folder: Path, number: int, random: Random) -> str:
    """Return the path of a TOML file, or the KEY=VALUE of a --set."""
    name = random.choice(preset_names())
    text = (presets_folder() / f"{name}.toml").read_text(encoding="utf-8")
    if number % 2:
        path = folder / f"{number}.toml"
        path.write_bytes(mutated_text(text, random))
        return str(path)
    keys, tree = [], load_config(name).to_dict()
    while isinstance(tree, dict):
        keys.append(random.choice(sorted(tree)))
        tree = tree[keys[-1]]
    value = literal(random.choice(STRANGE)) if random.random() < 0.8 else json.dumps(tree)
    override = f"{'.'.join(keys)}={value}"
    if random.random() < 0.3:
        override = mutated(override.encode(), b"", random).decode("utf-8", "replace")
    return override.replace("\0", "").replace("/", "")  # neither a NUL nor a path


def trained(classifier: str) -> Model:
    return Model.fit(table(), load_config(overrides=[f"classifier.name={classifier}"]))


def model_seeds(folder: Path, classifiers: Iterable[str]) -> list[Path]:
    for classifier in classifiers:
        model = trained(classifier)
        model.save(folder / f"{classifier}.joblib")
        if classifier != "ensemble":  # holds trees, which need trust
            model.save(folder / f"{classifier}.skops")
    return sorted(folder.iterdir())


def damaged_model(seeds: list[Path], folder: Path, number: int, random: Random) -> Path:
    seed, other = seeds[number % len(seeds)], random.choice(seeds)
    path = folder / f"{number}{seed.suffix}"
    damage = _skops_damaged if seed.suffix == ".skops" else _joblib_damaged
    path.write_bytes(damage(seed.read_bytes(), other.read_bytes(), random))
    return path


DESCRIPTION = """\
name = "tiny"
file = "tiny.onnx"
licence = "CC0-1.0"
source = "here"
input = { name = "mel", layout = "batch,time,bands" }
frontend = { kind = "vggish", n_mels = 4 }
patches = { unit = "frames", length = 8, hop = 8 }
outputs = [{ name = "mean", as = "mean", size = 5 }, { name = "y", as = "y", size = 5 }]
"""


def network_seeds(folder: Path) -> list[Path]:
    """Write a small network with weights, constants and operators of several kinds."""
    (folder / "tiny.toml").write_text(DESCRIPTION, encoding="utf-8")
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        return [folder / "tiny.toml"]
    weights = np.random.default_rng(0).random((4, 5), dtype=np.float32)
    shape = numpy_helper.from_array(np.array([-1, 8, 5], np.int64))
    nodes = [
        helper.make_node("MatMul", ["mel", "weights"], ["product"]),
        helper.make_node("Constant", [], ["shape"], value=shape),
        helper.make_node("Reshape", ["product", "shape"], ["shaped"]),
        helper.make_node("Relu", ["shaped"], ["rectified"]),
        helper.make_node("ReduceMean", ["rectified"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Softmax", ["mean"], ["y"], axis=-1),
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, axes)
        for name, axes in (("mel", ["n", 8, 4]), ("mean", ["n", 5]), ("y", ["n", 5]))
    ]
    graph = helper.make_graph(
        nodes, "tiny", ports[:1], ports[1:], [numpy_helper.from_array(weights, "weights")]
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    (folder / "tiny.onnx").write_bytes(model.SerializeToString())
    return sorted(folder.iterdir())


def damaged_network(seeds: list[Path], folder: Path, number: int, random: Random) -> Path:
    seed = seeds[number % len(seeds)]
    path = folder / f"{number}{seed.suffix}"
    if seed.suffix == ".toml":
        path.write_bytes(mutated_text(seed.read_text(encoding="utf-8"), random))
    elif random.random() < 0.5:
        path.write_bytes(mutated(seed.read_bytes(), seeds[0].read_bytes(), random))
    else:
        path.write_bytes(_onnx_damaged(seed.read_bytes(), random))
    return path


def _onnx_damaged(data: bytes, random: Random) -> bytes:
    """Change shapes, types, operators and names of a model that can be parsed nevertheless."""
    import onnx

    model = onnx.load_model_from_string(data)
    graph = model.graph
    for _ in range(random.choice((1, 1, 3))):
        node, weights = random.choice(graph.node), graph.initializer[0]
        size = random.choice((0, 1, 3, 2**31, 2**62, -1))
        way = random.randrange(8)
        if way == 0:
            tensor = node.attribute[0].t if node.op_type == "Constant" else weights
            tensor.dims.append(size)
        elif way == 1:
            weights.data_type = random.randrange(30)
        elif way == 2:
            node.op_type = random.choice(_OPERATORS)
        elif way == 3:
            random.choice((*graph.input, *graph.output)).name = random.choice(_NAMES)
        elif way == 4:
            axes = graph.input[0].type.tensor_type.shape.dim
            random.choice(axes).dim_value = size
        elif way == 5:
            model.opset_import[0].version = random.choice((0, 1, 6, 99, 2**40))
        elif way == 6 and len(node.input):
            node.input[0] = random.choice(("", "y", "mean", "\x1b[31m", "no such"))
        else:
            model.ir_version = random.choice((0, 1, 99, 2**40))
    return model.SerializeToString()


_NAMES = ("", "mel", "\x1b[31m", "a\nb", "É" * 1000, "[red]", "../../x")
_OPERATORS = (
    "", "Loop", "If", "Scan", "Expand", "Tile", "Range", "ConstantOfShape", "RandomNormal", "Conv",
    "Log", "Sqrt", "NonZero", "Resize", "Gather", "\x1b[31m", "É" * 1000, "Identity", "Sum", "Pad",
)  # fmt: skip


def _joblib_damaged(data: bytes, other: bytes, random: Random) -> bytes:
    """Damage the bytes or the card, or put a pickle that does harm before a perfect card."""
    card_bytes = int.from_bytes(data[-16:-8], "little")
    pickled, card, end = data[: -16 - card_bytes], data[-16 - card_bytes : -16], data[-8:]
    way = random.randrange(3)
    if way == 0:
        return mutated(data, other, random)
    if way == 1:
        card = _card_damaged(card, random)
    else:
        pickled = pickle.dumps({"pipeline": Bomb("harm"), "novelty": None})
    return pickled + card + len(card).to_bytes(8, "little") + end


def _skops_damaged(data: bytes, other: bytes, random: Random) -> bytes:
    if random.random() < 0.2:
        return mutated(data, other, random)
    with ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = random.choice(["schema.json", "genreclf.json", *sorted(members)])
    if name.endswith(".json"):
        members[name] = _card_damaged(members[name], random)
    else:
        members[name] = mutated(members[name], other, random)
    return _zipped(members)


def _card_damaged(card: bytes, random: Random) -> bytes:
    tree = json.loads(card)
    for _ in range(random.choice((1, 1, 3))):
        tree = mutated_tree(tree, random)
        if not isinstance(tree, dict | list):
            break
    return json.dumps(tree).replace("0" * 4000, "0" * 5000).encode()
