"""Descriptions of networks: the shipped ones, what is refused, and by which words."""

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from genreclf.config.frontends import FRONTENDS
from genreclf.config.networks import (
    Network,
    load_network,
    network_from_dict,
    network_names,
    networks_folder,
)
from genreclf.errors import ConfigError


def description(**changes: Any) -> dict[str, Any]:
    """A description as TOML gives it."""
    plain = {
        "name": "tiny", "file": "tiny.onnx", "licence": "CC0-1.0", "source": "here",
        "input": {"name": "mel", "layout": "batch,time,bands"},
        "frontend": {"kind": "vggish"},
        "patches": {"unit": "frames", "length": 96, "hop": 48},
        "outputs": [{"name": "y", "as": "embedding", "size": 128}],
    }  # fmt: skip
    return plain | changes


@pytest.mark.parametrize("name", network_names())
def test_shipped_descriptions_are_valid_and_say_where_they_come_from(name: str) -> None:
    network = load_network(name)
    assert network.name == name
    assert network.licence
    assert network.source.startswith("https://")
    assert bool(network.sha256) == network.tested


def test_musicnn_is_described_as_published() -> None:
    network = load_network("musicnn")
    assert network.sample_rate_hz == 16_000
    assert network.frame_seconds("penultimate") == pytest.approx(187 * 256 / 16_000)
    assert [(out.column, out.size) for out in network.outputs] == [
        ("penultimate", 200), ("mean_pool", 753), ("max_pool", 753), ("tags", 50),
    ]  # fmt: skip
    assert network.output("tags").labels[:2] == ("rock", "pop")
    assert load_network("musicnn-mtt").output("tags").labels[:2] == ("guitar", "classical")


def test_the_page_shows_a_valid_description_and_every_front_end() -> None:
    page = Path(__file__).parent.parent / "docs" / "how-to" / "embeddings.md"
    text = page.read_text(encoding="utf-8")
    [shown] = [
        block for block in re.findall(r"```toml\n(.+?)```", text, re.S) if "licence" in block
    ]
    network = network_from_dict(tomllib.loads(shown), "shown")
    assert network.output("tags").labels == ("rock", "folk", "jazz")
    for name in (*FRONTENDS, *(path.stem for path in networks_folder().glob("*.toml"))):
        assert f"`{name}`" in text


def test_a_description_survives_json() -> None:
    network = load_network("musicnn")
    assert msgspec.json.decode(msgspec.json.encode(network), type=Network) == network
    assert hash(network) == hash(load_network("musicnn"))


def test_what_defines_the_numbers_is_not_its_words() -> None:
    plain = description()
    network = network_from_dict(plain, "x")
    assert network_from_dict(plain | {"licence": "MIT"}, "x").defining == network.defining
    other_output = [{"name": "z", "as": "embedding", "size": 128}]
    for change in (
        {"frontend": {"kind": "yamnet"}},
        {"input": {"name": "mel", "layout": "batch,bands,time"}},
        {"outputs": other_output},  # another node of the same file, in columns of the same names
    ):
        other = network_from_dict(plain | change, "x")
        assert other.defining != network.defining


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "A b"}, "name = 'A b'"),
        ({"file": "../x.onnx"}, "file = '../x.onnx': expected the name of an .onnx file"),
        ({"input": {"layout": "samples"}}, "input.name is missing"),
        ({"frontend": {"kind": "vggish", "max_hz": 126.0}}, "no bin of the spectrum"),
        ({"patches": {"unit": "frames", "length": 10_000_000, "hop": 1}}, "over a gigabyte"),
        ({"file": "x.onnx\n"}, "file ="),
        ({"sha256": "12"}, "sha256 = '12'"),
        ({"licence": "a\x1b[31mb"}, "one line without control characters"),
        ({"frontend": {"kind": "mine"}}, "there are musicnn, vggish"),
        ({"frontend": {"kind": "vggish", "window": "hamming"}}, "can be hann, symmetric hann"),
        ({"frontend": {"kind": "vggish", "max_hz": 9000.0}}, "Nyquist"),
        ({"frontend": {"kind": "vggish", "hop_length": 800}}, "skips samples"),
        ({"frontend": {"kind": "vggish", "log_offset": 0.0}}, "silence has no logarithm"),
        ({"frontend": {"kind": "vggish", "n_fft": 511}}, "odd"),
        ({"frontend": {"kind": "vggish", "gain": 2}}, "unknown key frontend.gain"),
        ({"frontend": {"kind": "waveform"}}, "sample_rate_hz"),
        ({"frontend": {"kind": "waveform", "sample_rate_hz": 8000}}, "does not fit the front-end"),
        ({"input": {"name": "x", "layout": "time"}}, "can be batch,time,bands"),
        ({"patches": {"unit": "frames"}}, "length and hop have to be given"),
        ({"patches": {"length": 3}}, "no effect"),
        ({"outputs": []}, "outputs"),
        ({"outputs": [{"name": "y", "as": "a.b", "size": 1}]}, "outputs.0.as"),
        ({"outputs": [{"name": "y", "as": "a", "size": 0}]}, "outputs.0.size"),
        ({"outputs": [{"name": "y", "as": "a", "size": 1}] * 2}, "two are named 'a'"),
        (
            {"outputs": [{"name": "y", "as": "a", "size": 2, "kind": "tags", "labels": ["b"]}]},
            "1 labels",
        ),
        (
            {"outputs": [{"name": "y", "as": "a", "size": 2, "kind": "frames", "seconds": 1.0}]},
            "do not overlap",
        ),
    ],
)
def test_what_is_wrong_is_named_in_one_line(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        network_from_dict(description(**changes), "tiny.toml")
    message = str(caught.value)
    assert message.startswith("tiny.toml: ")
    assert reason in message
    assert len(message.splitlines()) == 1


def test_descriptions_are_found_by_name_and_by_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENRECLF_DATA", str(tmp_path))
    shipped = networks_folder() / "musicnn.toml"
    text = shipped.read_text(encoding="utf-8").replace('"musicnn"', '"mine"', 1)
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    assert load_network("mine.toml", tmp_path).name == "mine"
    assert load_network(tmp_path / "mine.toml").name == "mine"
    with pytest.raises(ConfigError, match=r"mine: no network of this name.*musicnn"):
        load_network("mine")
    (tmp_path / "networks").mkdir()
    (tmp_path / "mine.toml").rename(tmp_path / "networks" / "mine.toml")
    assert load_network("mine").name == "mine"
    assert "mine" in network_names()
