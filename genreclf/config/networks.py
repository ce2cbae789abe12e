"""Descriptions of pretrained networks: a small TOML file each, validated like a configuration.

A description says all that decides the numbers of an embedding: the file by its SHA-256, the
front-end, the patches and the outputs. Tables and models carry it whole.
"""

import hashlib
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from genreclf.config.frontends import Frontend, Waveform
from genreclf.config.sections import Section
from genreclf.config.toml import read_toml
from genreclf.errors import ConfigError, is_plain, shortened
from genreclf.files import data_folder, shipped

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,39}\Z")]
Column = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}\Z")]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.(npz|onnx)\Z")]
Sha256 = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
Text = Annotated[str, Meta(max_length=1000)]
NodeName = Annotated[str, Meta(min_length=1, max_length=500)]
Size = Annotated[int, Meta(ge=1, le=100_000)]
Frames = Annotated[int, Meta(ge=0, le=10_000_000)]

_MOST_VALUES = 2**28

Layout = Literal[
    "batch,time,bands",
    "batch,bands,time",
    "batch,1,time,bands",
    "batch,1,bands,time",
    "batch,time,bands,1",
    "batch,bands,time,1",
    "batch,samples",
    "batch,1,samples",
    "samples",
]
OutputKind = Literal["embedding", "tags", "frames"]
PatchUnit = Literal["frames", "samples", "excerpt"]
Shorter = Literal["refuse", "repeat", "repeat and zeros", "zeros"]


class Input(Section, frozen=True, kw_only=True):
    """The input of a network: the name of its node, and the order of its axes."""

    name: NodeName
    layout: Layout


class Patches(Section, frozen=True, kw_only=True):
    """What the network sees at a time.

    Patches of ``length`` begin every ``hop``. In frames, they are cut from the spectrogram of the
    excerpt; in samples, each has a spectrogram of its own; "excerpt" is all of it at once. A last
    patch that is not complete is left out. ``shorter`` says what happens to an excerpt that is
    shorter than one patch: "repeat" ends within a repetition, "repeat and zeros" after a whole one.
    """

    unit: PatchUnit = "excerpt"
    length: Frames = 0
    hop: Frames = 0
    shorter: Shorter = "refuse"

    def __post_init__(self) -> None:
        if self.unit == "excerpt":
            if self.length or self.hop or self.shorter != "refuse":
                raise ValueError('length, hop and shorter have no effect with unit = "excerpt"')
        elif not self.length or not self.hop:
            raise ValueError(f"length and hop have to be given in {self.unit}")


class Output(Section, frozen=True, kw_only=True, rename={"column": "as"}):
    """An output of a network.

    "embedding" and "tags" are one vector a patch; tags are probabilities, with labels if known.
    "frames" are a vector every ``seconds`` of a patch.
    """

    name: NodeName
    column: Column
    size: Size
    kind: OutputKind = "embedding"
    labels: tuple[Text, ...] = ()
    seconds: Annotated[float, Meta(ge=0, le=600)] = 0.0

    def __post_init__(self) -> None:
        if self.labels and self.kind != "tags":
            raise ValueError(f'labels need kind = "tags", not {self.kind!r}')
        if self.labels and len(self.labels) != self.size:
            raise ValueError(f"has {len(self.labels)} labels, but size = {self.size}")
        if any(not label or not is_plain(label) for label in self.labels):
            raise ValueError("labels have to be one line each, without control characters")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("labels has a name twice")
        if (self.kind == "frames") != (self.seconds > 0):
            raise ValueError(
                'seconds, the time from one vector to the next, belongs to kind = "frames" only'
            )


class Network(Section, frozen=True, kw_only=True):
    """A pretrained network: its file, licence, input, front-end, patches and outputs.

    Attributes
    ----------
    name : str
        Also the first part of the names of its columns.
    file, sha256 : str
        The file with the weights, and its digest; "" if it is not yet known.
    tested : bool
        False if the description was written from the network's documentation alone.
    """

    name: Name
    file: FileName
    sha256: Sha256 = ""
    licence: Text
    licence_url: Text = ""
    non_commercial: bool = False
    source: Text
    citation: Text = ""
    tested: bool = False
    input: Input
    frontend: Frontend
    patches: Patches = Patches()
    outputs: Annotated[tuple[Output, ...], Meta(min_length=1, max_length=100)]

    def __post_init__(self) -> None:
        for key in ("licence", "licence_url", "source", "citation"):
            if not is_plain(getattr(self, key)):
                raise ValueError(f"{key} has to be one line without control characters")
        columns = [output.column for output in self.outputs]
        if twice := [column for i, column in enumerate(columns) if column in columns[:i]]:
            raise ValueError(f"outputs: two are named {twice[0]!r}")
        self._check_input()
        patches = self.patches
        if self.input_size(self.patch_seconds + 1) > _MOST_VALUES:
            raise ValueError(
                "patches and frontend together make input of over a gigabyte; take shorter patches "
                "or a longer hop_length"
            )
        if patches.hop < patches.length and any(out.kind == "frames" for out in self.outputs):
            raise ValueError('an output of kind "frames" needs patches that do not overlap')

    def _check_input(self) -> None:
        takes_samples = "samples" in self.input.layout
        if takes_samples != isinstance(self.frontend, Waveform):
            raise ValueError(
                f'input.layout = "{self.input.layout}" does not fit the front-end '
                f"{self.frontend.__struct_config__.tag}"
            )
        if takes_samples and self.patches.unit == "frames":
            raise ValueError('patches.unit = "frames" does not fit a waveform, which has samples')
        if self.input.layout == "samples" and self.patches.unit != "excerpt":
            raise ValueError('input.layout = "samples" takes the whole excerpt, not patches')

    @property
    def sample_rate_hz(self) -> int:
        """The sample rate that the network expects."""
        return self.frontend.sample_rate_hz

    @property
    def patch_seconds(self) -> float:
        """Duration of a patch; 0 for a whole excerpt."""
        return self._seconds(self.patches.length)

    @property
    def terms(self) -> str:
        """The licence, and whether it excludes commercial use."""
        return (self.licence or "licence unknown") + (
            ", not for commercial use" if self.non_commercial else ""
        )

    def frame_seconds(self, column: str) -> float:
        """Return the time from one frame of an output to the next; 0 if an excerpt has one."""
        return self.output(column).seconds or self._seconds(self.patches.hop)

    def _seconds(self, length: int) -> float:
        samples = 1 if self.patches.unit == "samples" else self.frontend.hop_length
        return length * samples / self.sample_rate_hz

    def input_size(self, seconds: float) -> float:
        """Count the numbers that the front-end computes with for a duration."""
        frontend, samples = self.frontend, seconds * self.sample_rate_hz
        if isinstance(frontend, Waveform):
            return samples
        return samples / frontend.hop_length * frontend.n_fft

    def output(self, column: str) -> Output:
        """Return an output by the name that its columns have.

        Raises
        ------
        ConfigError
            If there is none.
        """
        for output in self.outputs:
            if output.column == column:
                return output
        names = ", ".join(output.column for output in self.outputs)
        raise ConfigError(f"network {self.name}: no output {shortened(column)}; it has {names}")

    @property
    def defining(self) -> dict[str, Any]:
        """What decides the numbers, as plain values for a fingerprint.

        Texts for people are not part of it.
        """
        plain = msgspec.to_builtins(self)
        for output in plain["outputs"]:
            del output["labels"]
        return {
            key: plain[key] for key in ("name", "sha256", "input", "frontend", "patches", "outputs")
        }


def networks_folder() -> Path:
    """Return the folder of the descriptions that come with genreclf."""
    return shipped("networks")


def own_networks_folder() -> Path:
    """Return the user's folder of networks, which may not exist yet."""
    return data_folder() / "networks"


def network_names() -> list[str]:
    """Return the names of all described networks: the shipped ones and the user's."""
    folders = (networks_folder(), own_networks_folder())
    return sorted({path.stem for folder in folders for path in folder.glob("*.toml")})


def load_network(name_or_path: str | Path, relative_to: Path | None = None) -> Network:
    """Read a description.

    Parameters
    ----------
    name_or_path : str or Path
        A name (the user's own description comes before the shipped one), or the path of a TOML
        file.
    relative_to : Path, optional
        Folder that a path begins at.

    Returns
    -------
    Network
        If the description has no SHA-256, with that of the file beside it, if there is one.

    Raises
    ------
    ConfigError
        If there is no such description, or it is not valid.
    """
    path = description_path(name_or_path, relative_to)
    network = read_network(path)
    beside = path.with_name(network.file)
    if network.sha256 or not beside.is_file():
        return network
    with beside.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return msgspec.structs.replace(network, sha256=digest)


def description_path(name_or_path: str | Path, relative_to: Path | None = None) -> Path:
    """Return where a description is; see ``load_network``."""
    text = str(name_or_path)
    if re.fullmatch(r"[a-z][a-z0-9-]*", text):
        for folder in (own_networks_folder(), networks_folder()):
            if (path := folder / f"{text}.toml").is_file():
                return path
    path = (relative_to or Path()) / text
    if path.suffix.lower() != ".toml" or not path.is_file():
        raise ConfigError(
            f"{shortened(text)}: no network of this name, and no description (.toml) at this "
            f"path; networks: {', '.join(network_names())}"
        )
    return path


def read_network(path: Path) -> Network:
    """Read and validate the TOML file of a network.

    Raises
    ------
    ConfigError
        The message names the file, the key and the value.
    """
    return network_from_dict(read_toml(path), str(path))


def network_from_dict(tree: dict[str, Any], source: str) -> Network:
    """Convert plain values to a validated ``Network``; see ``read_network``."""
    from genreclf.config.messages import explain  # which knows all that a configuration can hold

    try:
        return msgspec.convert(tree, Network)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {explain(error, tree, Network)}") from None
