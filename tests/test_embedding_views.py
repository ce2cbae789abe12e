"""Views of embeddings: their configuration, their columns, and all that reads a view."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import music
from sample_models import own_table

from genreclf.audio.decode import describe
from genreclf.cli import cli
from genreclf.config.load import (
    config_from_dict,
    extraction_changes,
    extraction_config_from_dict,
    load_config,
    override,
)
from genreclf.config.networks import load_network
from genreclf.config.schema import Config, ExtractionConfig
from genreclf.config.views import EmbeddingView, SpectralView
from genreclf.embeddings import runner
from genreclf.embeddings.frontends import network_input
from genreclf.embeddings.musicnn import VARIABLES, Musicnn
from genreclf.embeddings.store import keep_weights, packed_arrays
from genreclf.errors import ConfigError, ModelError, NetworkError, TableError
from genreclf.extraction.chain import extract_frames, extract_one, measure
from genreclf.extraction.tracks import extract, extract_tracks
from genreclf.features.compute import compare_with_librosa
from genreclf.features.measured import frame_shapes
from genreclf.features.pooling import feature_names
from genreclf.learning.explanation import MOST_GROUPS, OTHERS, column_groups
from genreclf.learning.model import Model
from genreclf.learning.networktags import NetworkTags
from genreclf.learning.prediction import Prediction
from genreclf.library.sources import Track
from genreclf.tables.reading import load_table
from genreclf.tables.table import FeatureTable

BOTH = """
[[views]]
excerpt.seconds = 7.0
features.select = ["mix.centroid", "percussive.tempo"]

[[views]]
embedding = "noise"
outputs = ["penultimate", "tags"]
excerpt.seconds = 7.0
"""
run = CliRunner().invoke


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """The arrays of a network that has learned nothing."""
    draw = np.random.default_rng(0)
    found = {}
    for name, shape in VARIABLES.items():
        scale = 0.5 if len(shape) == 1 else np.prod(shape[:-1]) ** -0.5
        found[name] = np.abs(draw.normal(0, scale, shape)).astype(np.float32)
        if name.endswith("kernel"):
            found[name] *= draw.choice([-1, 1], shape).astype(np.float32)
    return found


@pytest.fixture(scope="module")
def data(arrays: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's data folder with that network, which is called "noise"."""
    import hashlib

    import tomli_w

    folder, content = tmp_path_factory.mktemp("data"), packed_arrays(arrays)
    plain = msgspec.to_builtins(load_network("musicnn"))
    plain |= {"name": "noise", "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "networks").mkdir()
    (folder / "networks" / "noise.toml").write_text(tomli_w.dumps(plain), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENRECLF_DATA", str(folder))
        keep_weights(load_network("noise"), content)
    return folder


@pytest.fixture(autouse=True)
def _data(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENRECLF_DATA", str(data))


@pytest.fixture
def both(tmp_path: Path) -> Path:
    path = tmp_path / "both.toml"
    path.write_text(BOTH)
    return path


@pytest.fixture(scope="module")
def seven(write_audio: Callable[..., Path]) -> Path:
    """Seven seconds at the rate of the network: two patches."""
    return write_audio("seven.wav", music(7, 16_000), 16_000)


# --- the configuration -----------------------------------------------------------------------


def test_the_key_embedding_makes_a_view_of_embeddings(both: Path) -> None:
    first, second = load_config(both).views
    assert isinstance(first, SpectralView)
    assert isinstance(second, EmbeddingView)
    assert second.embedding == load_network("noise")
    assert second.audio.sample_rate_hz == 16_000
    assert load_config(both).networks == (second.embedding,)
    assert EmbeddingView(embedding=second.embedding).outputs == ("penultimate",)


def test_a_table_holds_the_description_and_needs_no_file(
    both: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = load_config(both)
    monkeypatch.setenv("GENRECLF_DATA", str(tmp_path / "elsewhere"))
    tree = json.loads(json.dumps(config.extraction.to_dict()))
    assert extraction_config_from_dict(tree, "json") == config.extraction
    assert config_from_dict(json.loads(json.dumps(config.to_dict())), "json") == config
    assert feature_names(config)[-50] == "noise.tags.rock.max"


def test_a_table_names_no_file_of_this_machine(both: Path) -> None:
    tree = load_config(both).extraction.to_dict()
    tree["views"][1]["embedding"] = "noise"
    with pytest.raises(ConfigError, match=r"t\.csv: views\.1\.embedding = 'noise': expected"):
        extraction_config_from_dict(tree, "t.csv")
    tree = load_config(both).extraction.to_dict()
    tree["views"][1]["embedding"]["file"] = "/etc/passwd"
    with pytest.raises(ConfigError, match=r"views\.1\.embedding\.file = '/etc/passwd'"):
        extraction_config_from_dict(tree, "t.csv")


def test_the_fingerprint_is_of_the_numbers_not_of_the_words(both: Path) -> None:
    config = load_config(both)

    def changed(**changes: Any) -> str:
        tree = config.extraction.to_dict()
        tree["views"][1]["embedding"] |= changes
        return extraction_config_from_dict(tree, "json").fingerprint

    assert changed(licence="another", citation="new") == config.fingerprint
    assert changed(sha256="0" * 64) != config.fingerprint
    assert load_config(both, ["outputs=['tags']"]).fingerprint != config.fingerprint


def test_overrides_reach_the_views_that_have_the_key(both: Path) -> None:
    config = load_config(both, ["excerpt.seconds=5", "spectra.n_mels=64", "embedding=musicnn-mtt"])
    assert [view.excerpt.seconds for view in config.views] == [5, 5]
    assert config.spectral_views[0].spectra.n_mels == 64
    assert [network.name for network in config.networks] == ["musicnn-mtt"]
    assert extraction_changes(config.extraction, ["outputs=['tags']", "seed=3"]) == [
        "outputs=['tags']"
    ]
    alone = Config(views=config.views[1:])
    with pytest.raises(ConfigError, match=r"--set spectra\.n_mels=64: no view has this key"):
        override(alone, ["spectra.n_mels=64"])


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ('embedding = "nois"', ["embedding: nois: no network", "musicnn, musicnn-mtt, noise"]),
        ("embedding = 3", ["views.0.embedding = 3", "a table"]),
        ('outputs = ["tag"]', ["views.0.outputs.0 = 'tag': can be penultimate, mean_pool"]),
        ('outputs = ["tags", "tags"]', ["outputs names tags twice"]),
        ('pooling.statistics = ["mode"]', ["views.0.pooling.statistics.0 = 'mode': can be mean"]),
        ('pooling.joint = ["mix.mfcc"]', ["views.0.pooling.joint.0", "can be noise.penultimate"]),
        ('pooling.keep_frames = ["noise.tags"]', ["can be noise.penultimate"]),
        ('pooling.modulation = ["noise.penultimate"]', ["begins at 8 Hz", "take a shorter hop"]),
        ("separation = 'none'", ["unknown key views.0.separation"]),
        ('preset = "wide"', ["unknown key views.0.preset"]),
        (
            'outputs = ["max_pool"]\npooling.covariance = ["noise.max_pool"]',
            ["286,140 columns", "take fewer"],
        ),
    ],
)
def test_views_that_cannot_be(tmp_path: Path, view: str, words: list[str]) -> None:
    path = tmp_path / "mine.toml"
    named = view if view.startswith("embedding") else f'embedding = "noise"\n{view}'
    path.write_text(f"[[views]]\n{named}")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert all(word in message for word in ["mine.toml", *words]), message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("output", "pooling", "words"),
    [
        ({"kind": "frames", "seconds": 5e-324}, {}, "seconds is shorter than a sample"),
        (
            {"size": 30_000},
            {"keep_frames": ["noise.penultimate"], "frames_per_track": 10_000},
            "frames_per_track keeps 300,000,000 values a track",
        ),
        ({"size": 90_000}, {}, "270,000 columns"),
    ],
)
def test_a_description_from_anyone_fills_no_memory(
    both: Path, output: dict[str, Any], pooling: dict[str, Any], words: str
) -> None:
    tree = load_config(both).extraction.to_dict()
    view = tree["views"][1]
    view["outputs"] = ["penultimate"]
    view["embedding"]["outputs"][0] |= output
    view["pooling"] |= pooling
    with pytest.raises(ConfigError, match=words):
        extraction_config_from_dict(tree, "t.csv")


def test_two_views_cannot_have_the_same_embedding(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[views]]\nembedding = "noise"\n' * 2)
    with pytest.raises(ConfigError, match=r"outputs name noise\.penultimate in two of them"):
        load_config(path)


# --- the features ----------------------------------------------------------------------------


def test_columns_are_statistics_over_the_patches_of_the_excerpt(
    both: Path, seven: Path, arrays: dict[str, np.ndarray]
) -> None:
    config = load_config(both)
    values = dict(zip(feature_names(config), extract_one(seven, config), strict=True))
    [excerpt], _ = extract_frames(seven, ExtractionConfig(views=config.views[1:]))
    spectrogram = network_input(excerpt.samples, config.networks[0].frontend)
    network = Musicnn(arrays)
    patches = [network(spectrogram[start : start + 187]) for start in (0, 187)]
    expected = np.array([patch["penultimate"] for patch in patches])
    for name, statistic in (("mean", np.mean), ("var", np.var), ("max", np.max)):
        ours = [values[f"noise.penultimate.{row:03d}.{name}"] for row in range(200)]
        np.testing.assert_allclose(ours, statistic(expected, axis=0), rtol=1e-5, atol=1e-6)
    tags = np.mean([patch["tags"] for patch in patches], axis=0)
    assert values["noise.tags.rock.mean"] == pytest.approx(tags[0], rel=1e-5)
    assert values["noise.tags.happy.mean"] == pytest.approx(tags[-1], rel=1e-5)
    spectral = ExtractionConfig(views=config.views[:1])
    np.testing.assert_array_equal(list(values.values())[:4], extract_one(seven, spectral))


def test_both_views_are_decoded_once(
    both: Path, seven: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genreclf.audio import excerpt

    calls = []
    decode = excerpt.decode_spans

    def counted(path: Path, needed: Any) -> Any:
        def spans(info: Any) -> Any:
            calls.append(needed(info))
            return calls[-1]

        return decode(path, spans)

    monkeypatch.setattr(excerpt, "decode_spans", counted)
    extract_one(seven, load_config(both))
    assert calls == [[(0, describe(seven).n_frames)]]


def test_frames_of_embeddings_are_kept(both: Path, seven: Path) -> None:
    text = both.read_text() + 'pooling.keep_frames = ["noise.penultimate"]\n'
    both.write_text(text + 'pooling.frames_per_track = "all"\n')
    config = load_config(both)
    assert frame_shapes(config) == {"noise.penultimate": (200, 2)}
    kept = measure(seven, config).frames["noise.penultimate"]
    frames = extract_frames(seven, config)[1]["noise.penultimate"]
    np.testing.assert_array_equal(kept, frames.astype(np.float16))


def test_without_the_network_one_line_says_how_to_get_it(
    both: Path, seven: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = load_config(both)
    monkeypatch.setenv("GENRECLF_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(NetworkError, match="first run: genreclf embeddings get noise"):
        next(extract_tracks([Track(seven)], config))
    runner._engine.cache_clear()  # as in a worker on another machine, where nothing was prepared
    with pytest.raises(NetworkError, match="first run: genreclf embeddings get noise"):
        measure(seven, config)


# --- the commands ----------------------------------------------------------------------------


def test_commands_take_embeddings(both: Path, seven: Path, tmp_path: Path) -> None:
    output = tmp_path / "table.csv"
    done = run(cli, ["extract", str(seven), "--config", str(both), "-o", str(output)])
    assert done.exit_code == 0, done.output
    table, expected = load_table(output), extract([seven], load_config(both))
    np.testing.assert_array_equal(table.values, expected.values)
    assert table.config == load_config(both).extraction != Config().extraction
    shown = run(cli, ["inspect", str(seven), "--config", str(both), "--all"]).stdout
    assert "noise.penultimate.199.max" in shown


@pytest.mark.slow
def test_librosa_is_compared_with_features_of_the_catalogue_only(both: Path, seven: Path) -> None:
    compared = compare_with_librosa(seven, load_config(both))
    assert list(compared) == ["mix.centroid", "percussive.tempo"]


# --- what a model makes of them ----------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(data: Path, seven: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model of embeddings without tags, trained on random values."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENRECLF_DATA", str(data))
        path = tmp_path_factory.mktemp("config") / "both.toml"
        path.write_text(BOTH.replace(', "tags"', "") + 'pooling.statistics = ["var"]\n')
        config = load_config(path, ["classifier.name=logistic"])
    names = feature_names(config)
    values = np.random.default_rng(0).normal(size=(12, len(names))).astype(np.float32) ** 2
    table = FeatureTable(
        paths=np.array([f"{i}.wav" for i in range(12)], dtype=object),
        labels=np.array(["a", "b"] * 6, dtype=object),
        groups=np.array([str(i) for i in range(12)], dtype=object),
        names=names,
        values=values,
        config=config.extraction,
    )
    return Model.fit(table, config)


def test_columns_of_a_network_are_a_group_of_their_own(trained: Model) -> None:
    groups = column_groups(trained.feature_names, trained.config)
    assert {name: len(columns) for name, columns in groups.items()} == {
        "spectral shape": 3, "rhythm": 1, "embedding: noise": 200,
    }  # fmt: skip
    assert column_groups(["noise.penultimate.000.mean", "mix.rms.mean"]).keys() == {
        "loudness", OTHERS,
    }  # fmt: skip


def test_views_of_many_networks_are_still_few_groups(trained: Model) -> None:
    view = trained.config.views[1]
    assert isinstance(view, EmbeddingView)
    views = tuple(
        EmbeddingView(embedding=msgspec.structs.replace(view.embedding, name=f"n{i}"))
        for i in range(30)
    )
    config = ExtractionConfig(views=views)
    assert len(column_groups(feature_names(config), config)) == MOST_GROUPS


def test_tags_are_those_of_the_network_and_change_no_prediction(
    trained: Model, seven: Path, arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    model = tmp_path / "m.joblib"
    trained.save(model)
    [plain], [tagged] = (
        [json.loads(line) for line in run(cli, arguments).stdout.splitlines()]
        for arguments in (
            ["predict", str(seven), "--model", str(model), "--format", "jsonl", *more]
            for more in ([], ["--tags"])
        )
    )
    tags = tagged.pop("tags")
    assert tagged == plain
    [prediction] = trained.predict_files([seven], tags=True)
    assert isinstance(prediction, Prediction)
    assert prediction.tags == tags
    [excerpt], _ = extract_frames(seven, ExtractionConfig(views=trained.config.views[1:]))
    network = trained.config.networks[0]
    spectrogram = network_input(excerpt.samples, network.frontend)
    patches = [Musicnn(arrays)(spectrogram[start : start + 187])["tags"] for start in (0, 187)]
    expected = dict(zip(network.output("tags").labels, np.mean(patches, axis=0), strict=True))
    assert tags == pytest.approx({tag: float(share) for tag, share in expected.items()}, rel=1e-5)
    assert list(tags.values()) == sorted(tags.values(), reverse=True)


def test_tags_in_csv_have_a_column_each_and_in_a_table_the_first_three(
    trained: Model, seven: Path, tmp_path: Path
) -> None:
    model, missing = tmp_path / "m.joblib", tmp_path / "missing.wav"
    missing.write_bytes(b"")
    trained.save(model)
    command = ["predict", str(seven), str(missing), "--model", str(model), "--tags"]
    header, first, failed = csv.reader(run(cli, [*command, "--format", "csv"]).stdout.splitlines())
    assert header[:7] == ["path", "genre", "confidence", "a", "b", "novel", "error"]
    assert header[7:9] == ["tag:rock", "tag:pop"]
    assert len(header) == len(first) == len(failed) == 57
    assert failed[7:] == [""] * 50
    [prediction] = trained.predict_files([seven], tags=True)
    assert isinstance(prediction, Prediction)
    assert float(first[7]) == prediction.tags["rock"]
    shown = run(cli, command, env={"COLUMNS": "200"}).stdout
    most_probable = ", ".join(f"{tag} {p:.0%}" for tag, p in list(prediction.tags.items())[:3])
    assert most_probable in shown


def test_tags_need_a_network_that_gives_them(trained: Model, seven: Path) -> None:
    done = run(cli, ["predict", str(seven), "--tags"])
    assert done.exit_code != 0
    assert "not come from a network with tags" in done.stderr
    table = replace(own_table(), config=trained.config.extraction)
    with pytest.raises(TableError, match=r"no column noise\.tags\.00s\.mean; predict from audio"):
        NetworkTags.of(trained.config).of_table(table)
    view = trained.config.views[1]
    pooling = msgspec.structs.replace(view.pooling, joint=("noise.tags",))
    joined = msgspec.structs.replace(view, outputs=("tags",), pooling=pooling)
    with pytest.raises(ModelError, match=r"pooling\.joint joins noise\.tags"):
        NetworkTags.of(Config(views=(joined,)))


def test_a_model_says_which_network_it_needs_and_its_licence(
    trained: Model, tmp_path: Path
) -> None:
    trained.save(tmp_path / "m.joblib")
    shown = run(cli, ["inspect", str(tmp_path / "m.joblib")]).stdout
    assert "network noise" in shown
    assert "licence ISC" in shown
