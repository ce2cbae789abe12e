import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from genreclf.config.load import (
    config_from_dict,
    config_of_model,
    extraction_config_from_dict,
    load_config,
    override,
    preset_names,
    presets_folder,
)
from genreclf.config.schema import CLASSIFIERS, Config, ExtractionConfig
from genreclf.errors import ConfigError
from genreclf.features.catalogue import FEATURES


def leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= leaves(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = list(value) if isinstance(value, tuple) else value
    return flat


# Another value for each key that is no number.
ANOTHER = {
    "separation": "none",
    "excerpt.strategy": "full",
    "excerpt.from_seconds": 30.0,
    "audio.resampler": "kaiser_best",
    "spectra.pad_mode": "reflect",
    "spectra.max_hz": 5000.0,
    "spectra.cqt_bins_per_octave": 24,
    "features.select": ["mix.tempo"],
    "features.engine": "librosa",
    "features.delta": "difference",
    "features.rms": "waveform",
    "features.onset_aggregate": "median",
    "pooling.statistics": ["median"],
    "pooling.joint": ["mix.mfcc"],
    "pooling.texture_statistics": ["median"],
    "pooling.covariance": ["mix.mfcc"],
    "pooling.modulation": ["mix.mfcc"],
    "pooling.modulation_edges_hz": [1.0, 2.0],
    "pooling.keep_frames": ["mix.mfcc"],
}


# What has to be there for a key to say anything.
BESIDE = {
    "excerpt.excerpts": ["excerpt.strategy=multi"],
    "excerpt.from_seconds": ["excerpt.strategy=window"],
}


def another(key: str, value: Any) -> Any:
    """A value that the key accepts in place of its default."""
    if key in ANOTHER:
        return ANOTHER[key]
    # Odd and even numbers stay so.
    return value + 2 if isinstance(value, int) else value * 1.01 + 0.01


EXTRACTION_LEAVES = leaves(ExtractionConfig().to_dict())


def test_the_default_preset_is_the_default_and_names_every_key_and_feature() -> None:
    text = (presets_folder() / "default.toml").read_text(encoding="utf-8")
    assert leaves(tomllib.loads(text)) == leaves(Config().to_dict())
    assert load_config() == load_config("default") == Config()
    assert set(re.findall(r'"((?:harmonic|percussive|mix)\.\w+)"', text)) == set(FEATURES)


@pytest.mark.parametrize("name", preset_names())
def test_presets_load_and_survive_a_round_trip(name: str) -> None:
    config = load_config(name)
    assert config_from_dict(config.to_dict(), name) == config


def test_wide_is_the_full_band_at_librosas_defaults() -> None:
    config = load_config("wide")
    spectra = config.spectra
    assert (config.audio.sample_rate_hz, spectra.n_fft, spectra.hop_length) == (22050, 2048, 512)
    assert config.hpss == Config().hpss


def test_presets_are_those_of_the_folder() -> None:
    assert preset_names() == [
        "accurate", "convnet-input", "default", "fast", "gtzan-mfcc", "gtzan133", "gtzan57",
        "musicnn", "musicnn-fast", "perception", "pitch", "rhythm", "speech-music", "wide",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=r"narrow: no such .*; presets: accurate, convnet-.*"):
        load_config("narrow")


def test_what_a_file_does_not_name_keeps_its_default(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("seed = 7\n[spectra]\nhop_length = 512\n")
    changed = leaves(Config().to_dict()) | {"seed": 7, "spectra.hop_length": 512}
    assert leaves(load_config(path).to_dict()) == changed
    assert load_config(str(path)) == load_config(path)


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.touch()
    assert load_config(path) == Config()


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("colour = 3", "colour", ""),
        ("[spectra]\nn_ftt = 3", "spectra.n_ftt", ""),
        ("[hpss.deep]\nx = 1", "hpss.deep", ""),
        ('[classifier]\nname = "svm"\nk = 3', "classifier.k", ""),
        ('seed = "x"', "seed", "'x'"),
        ("[spectra]\nn_fft = 1024.5", "spectra.n_fft", "1024.5"),
        ("[spectra]\nn_fft = true", "spectra.n_fft", "True"),
        ("spectra = 3", "spectra", "3"),
        ("seed = 1979-05-27", "seed", "1979"),
        ('separation = "nmf"', "separation", "'nmf'"),
        ("seed = -1", "seed", "-1"),
        ("seed = 4294967296", "seed", "4294967296"),
        ("[audio]\nsample_rate_hz = 10", "audio.sample_rate_hz", "10"),
        ("[excerpt]\nseconds = nan", "excerpt.seconds", "nan"),
        ("[hpss]\nmask_power = inf", "hpss.mask_power", "inf"),
        ("pca = 1.0", "pca", "1.0"),
        ("pca = 0", "pca", "0"),
        ('pca = "on"', "pca", "'on'"),
        ("[pooling]\nstatistics = []", "pooling.statistics", "[]"),
        ('[pooling]\nstatistics = ["mean", "mode"]', "statistics", "'mode'"),
        ('[pooling]\njoint = ["mix.tempo"]', "joint", "'mix.tempo'"),
        ('[pooling]\ncovariance = ["mix.tempo"]', "pooling.covariance", "'mix.tempo'"),
        ('[pooling]\nmodulation = ["mfcc"]', "pooling.modulation", "'mfcc'"),
        ("[pooling]\ntexture_seconds = -1", "pooling.texture_seconds", "-1"),
        ("[pooling]\ntexture_statistics = []", "pooling.texture_statistics", "[]"),
        ("[pooling]\nmodulation_edges_hz = [1.0]", "pooling.modulation_edges_hz", "[1.0]"),
        ("[features]\nselect = []", "features.select", "[]"),
        ('[features]\nselect = ["mix.mfcc", "mfcc"]', "features.select", "'mfcc'"),
        ('[features]\ndelta = "slope"', "features.delta", "'slope'"),
        ('[features]\nrms = "frames"', "features.rms", "'frames'"),
        ('[features]\nonset_aggregate = "max"', "features.onset_aggregate", "'max'"),
        ('[spectra]\npad_mode = "edge"', "spectra.pad_mode", "'edge'"),
        ('[audio]\nresampler = "linear"', "audio.resampler", "'linear'"),
        ('[excerpt]\nstrategy = "middle"', "excerpt.strategy", "'middle'"),
        (
            '[excerpt]\nfrom_seconds = "chorus"',
            "excerpt.from_seconds",
            "a number of seconds, energy",
        ),
        ("[excerpt]\nexcerpts = 1", "excerpt.excerpts", "1"),
        ("[excerpt]\nearlier_seconds = -1", "excerpt.earlier_seconds", "-1"),
        ('[classifier]\nname = "svn"', "classifier.name", "'svn'"),
        ('[classifier]\nname = "svm"\nC = 0', "classifier.C", "0"),
        ('[classifier]\nname = "svm"\ngamma = "large"', "classifier.gamma", "'large'"),
        ('[classifier]\nname = "mlp"\nhidden_layer_sizes = [9, 0]', "hidden_layer_sizes", "0"),
        ('[classifier]\nname = "svm"\ngamma = inf', "classifier.gamma", "inf"),
        ('[classifier]\nname = "mlp"\nalpha = inf', "classifier.alpha", "inf"),
        ("[evaluation]\nfolds = 1", "evaluation.folds", "1"),
        ("[spectra]\nmin_hz = -1", "spectra.min_hz", "-1"),
        ("[spectra]\nmax_hz = 'top'", "spectra.max_hz", "'top'"),
        ("[spectra]\nmel_emphasis = 0.5", "spectra.mel_emphasis", "0.5"),
        ("[spectra]\ncqt_bins_per_octave = 13", "spectra.cqt_bins_per_octave", "13"),
    ],
)
def test_a_wrong_value_is_told_by_file_key_and_value(
    tmp_path: Path, text: str, key: str, value: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert key in message
    assert value in message.partition(key)[2]
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("excerpt = {seconds = 2.0, min_seconds = 3.0}", ["excerpt", "min_seconds", "2"]),
        (
            'excerpt = {strategy = "energy", earlier_seconds = 1.0}',
            ["earlier_seconds", "energy", "centre"],
        ),
        ("excerpt = {excerpts = 4}", ["excerpts", "centre", "multi"]),
        ("excerpt = {from_seconds = 30.0}", ["from_seconds", "centre", "window"]),
        ('excerpt = {strategy = "multi", seconds = 201.0}', ["3 of 201 s", "600 s"]),
        ('excerpt = {strategy = "full"}\nspectra = {hop_length = 16}', ["excerpt.seconds"]),
        ("spectra = {n_fft = 1023}", ["spectra", "n_fft", "even"]),
        ("spectra = {hop_length = 2048}", ["spectra", "hop_length", "1024"]),
        ("features = {delta_frames = 8}", ["features", "delta_frames"]),
        ("features = {tempogram_min_bpm = 100.0, tempo_max_bpm = 90.0}", ["tempogram_min_bpm"]),
        ("features = {n_mfcc = 100}\nspectra = {n_mels = 64}", ["features.n_mfcc", "64"]),
        ("audio = {sample_rate_hz = 4000}\nfeatures = {contrast_min_hz = 1500.0}", ["Nyquist"]),
        ('pooling = {statistics = ["mean", "mean"]}', ["pooling", "statistics", "mean twice"]),
        ('pooling = {joint = ["mix.rms", "mix.rms"]}', ["pooling", "joint", "mix.rms twice"]),
        ('pooling = {covariance = ["mix.rms", "mix.rms"]}', ["covariance", "mix.rms twice"]),
        ('pooling = {modulation = ["mix.chroma"]}', ["modulation", "mix.chroma", "select"]),
        ("pooling = {modulation_edges_hz = [1.0, 1.0]}", ["modulation_edges_hz", "rise"]),
        (
            'pooling = {modulation = ["mix.rms"]}\nspectra = {hop_length = 512}\n'
            "audio = {sample_rate_hz = 8000}",
            ["modulation_edges_hz", "8 Hz", "7.8125 Hz"],
        ),
        ('features = {select = ["mix.rms", "mix.rms"]}', ["features", "select", "mix.rms twice"]),
        ("excerpt = {seconds = 600.0}\nspectra = {hop_length = 16}", ["excerpt.seconds"]),
        (
            'features = {select = ["harmonic.waveform"]}\nspectra = {hop_length = 513}',
            ["harmonic.waveform", "hop_length", "1024"],
        ),
        (
            'features = {select = ["harmonic.chroma_cqt"]}\nspectra = {hop_length = 513}',
            ["harmonic.chroma_cqt", "hop_length", "1024"],
        ),
        ("spectra = {n_fft = 256}\naudio = {sample_rate_hz = 22050}", ["n_mels = 128", "256"]),
        ("spectra = {min_hz = 2000.0, max_hz = 2000.0}", ["spectra", "min_hz", "2000"]),
        ("spectra = {max_hz = 6000.1}", ["spectra.max_hz", "Nyquist", "6000 Hz"]),
        ("spectra = {min_hz = 7000.0}", ["spectra.min_hz", "two bins"]),
        ("spectra = {min_hz = 2000.0, max_hz = 2010.0}", ["spectra.min_hz", "two bins", "11.7"]),
        ("spectra = {max_hz = 300.0, n_mels = 20}", ["contrast_min_hz", "octave", "300 Hz"]),
        ("spectra = {min_hz = 195.0}", ["contrast_min_hz", "lowest band is empty"]),
        (
            "spectra = {min_hz = 2000.0, max_hz = 3000.0, n_fft = 512}\n"
            "features = {select = ['mix.mfcc']}",
            ["spectra.n_mels = 128", "narrower than a bin"],
        ),
        ("spectra = {mel_emphasis = 2.0, mel_emphasis_min_hz = 6000.0}", ["mel_emphasis_min_hz"]),
        ("spectra = {mel_emphasis_min_hz = 500.0, mel_emphasis_max_hz = 400.0}", ["emphasis_min"]),
        ("spectra = {cqt_min_hz = 2000.0}", ["cqt_max_hz", "octave"]),
        (
            "features = {select = ['mix.cqt']}\naudio = {sample_rate_hz = 6000}",
            ["spectra.cqt_max_hz = 3000", "Nyquist", "3000 Hz"],
        ),
        (
            "features = {select = ['mix.mel']}\nspectra = {min_hz = 1000.0, max_hz = 1060.0, "
            "n_fft = 32768, n_mels = 100}",
            ["spectra.n_mels", "1 Hz apart"],
        ),
    ],
)
def test_values_that_do_not_go_together(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert all(word in str(caught.value) for word in ["mine.toml", *words])


@pytest.mark.parametrize(
    "content",
    [b"seed 3\n", b"seed = \n", b"[spectra\n", b"seed = 1\nseed = 2\n", b"\xff\xfe\0", b"\0"],
)
def test_what_is_no_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"broken\.toml: cannot be read as TOML: ."):
        load_config(path)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.toml"
    path.write_bytes(b"#" * 100_000)
    assert load_config(path) == Config()
    path.write_bytes(b"#" * 100_001)
    with pytest.raises(ConfigError, match=r"large\.toml: over 100,000 bytes"):
        load_config(path)


@pytest.mark.parametrize("source", ["", ".", "no/such.toml", "wide.toml"])
def test_no_such_file(source: str) -> None:
    with pytest.raises(ConfigError, match="no such file and no such preset"):
        load_config(source)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("seed=3", "seed", 3),
        (" seed = 3 ", "seed", 3),
        ("pca=0.9", "pca", 0.9),
        ("pca=12", "pca", 12),
        ("pca=off", "pca", "off"),
        ('pca="off"', "pca", "off"),
        ("excerpt.seconds=10", "excerpt.seconds", 10.0),
        ("classifier.gamma=auto", "classifier.gamma", "auto"),
        ("classifier.gamma=1e-3", "classifier.gamma", 0.001),
        ("separation=none", "separation", "none"),
        ('pooling.statistics=["std", "median"]', "pooling.statistics", ["std", "median"]),
    ],
)
def test_an_override_changes_one_value(text: str, key: str, value: Any) -> None:
    expected = leaves(Config().to_dict()) | {key: value}
    assert leaves(load_config(overrides=[text]).to_dict()) == expected


@pytest.mark.parametrize(
    ("key", "value", "choices"),
    [
        ("features.select", '["mfcc"]', ["mix.mfcc", "harmonic.waveform", "percussive.tempo"]),
        ("features.delta", "slope", ["regression, difference"]),
        ("spectra.pad_mode", "edge", ["constant, reflect"]),
        ("audio.resampler", "linear", ["soxr_hq, kaiser_best"]),
    ],
)
def test_choices_are_named(key: str, value: str, choices: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=[f"{key}={value}"])
    assert all(choice in str(caught.value) for choice in choices)


@pytest.mark.parametrize(
    ("select", "separation", "separates"),
    [
        ('["mix.mfcc", "mix.tempo"]', "hpss", False),
        ('["mix.mfcc", "percussive.tempo"]', "hpss", True),
        ('["harmonic.waveform"]', "hpss", True),
        ('["harmonic.waveform"]', "none", False),
    ],
)
def test_parts_are_separated_for_features_of_them_only(
    select: str, separation: str, separates: bool
) -> None:
    config = load_config(overrides=[f"features.select={select}", f"separation={separation}"])
    assert config.separates is separates


@pytest.mark.parametrize(
    ("select", "overrides"),
    [
        ("mix.chroma", ["audio.sample_rate_hz=44100", "spectra.n_fft=512"]),  # no mel bands
        ("mix.mfcc", ["spectra.max_hz=250", "spectra.n_mels=20"]),  # no contrast
        ("mix.mfcc", ["audio.sample_rate_hz=5000"]),  # no constant-Q transform
        ("mix.mfcc", ["spectra.n_mels=64", "spectra.mel_emphasis_min_hz=7000"]),  # no emphasis
    ],
)
def test_what_no_feature_needs_is_not_checked(select: str, overrides: list[str]) -> None:
    config = load_config(overrides=[f'features.select=["{select}"]', *overrides])
    assert config.features.select == (select,)


def test_the_last_override_wins_over_the_file() -> None:
    config = load_config("wide", ["spectra.n_mels=64", "spectra.n_mels=96"])
    assert config.spectra.n_mels == 96
    assert config.spectra.n_fft == load_config("wide").spectra.n_fft


def test_overriding_nothing_changes_nothing() -> None:
    config = load_config("wide")
    assert override(config, []) == config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour=3", ["colour"]),
        ("spectra.colour=3", ["spectra.colour"]),
        ("colour.x=3", ["colour.x"]),
        ("spectra.n_fft.x=3", ["spectra.n_fft.x"]),
        ("seed=x", ["seed", "'x'"]),
        ("seed=", ["seed", "''"]),
        ("seed=2.5", ["seed", "2.5"]),
        ("pooling.statistics=mean", ["pooling.statistics", "'mean'"]),
        ("pooling.statistics=[mean]", ["pooling.statistics", "[mean]"]),
        ("seed", ["KEY=VALUE"]),
        ("", ["KEY=VALUE"]),
        ("=3", ["KEY=VALUE"]),
        ("classifier=svm", ["classifier", "'svm'"]),
    ],
)
def test_a_malformed_override(text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=[text])
    assert all(word in str(caught.value) for word in ["--set", *words])


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_another_classifier_starts_from_its_own_defaults(name: str) -> None:
    config = load_config(overrides=["classifier.C=77", f"classifier.name={name}"])
    assert config.classifier.name == name
    plain = config_from_dict({"classifier": {"name": name}}, "test").classifier
    if name == "svm":  # named again, it stays as it is
        assert config.classifier == load_config(overrides=["classifier.C=77"]).classifier
    else:
        assert config.classifier == plain


def test_hyperparameters_of_another_classifier_follow_its_name() -> None:
    config = load_config(overrides=["classifier.name=mlp", "classifier.hidden_layer_sizes=[8, 4]"])
    assert leaves(config.to_dict()["classifier"]) == {
        "name": "mlp", "hidden_layer_sizes": [8, 4], "alpha": 1.0, "max_iter": 500,
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"classifier\.C"):
        load_config(overrides=["classifier.name=knn", "classifier.C=3"])


@pytest.mark.parametrize("key", EXTRACTION_LEAVES)
def test_the_fingerprint_changes_with_every_value_of_the_extraction(key: str) -> None:
    *parents, last = key.split(".")
    before = load_config(overrides=BESIDE.get(key, []))
    tree = before.to_dict()
    branch = tree
    for parent in parents:
        branch = branch[parent]
    branch[last] = another(key, EXTRACTION_LEAVES[key])
    assert config_from_dict(tree, key).fingerprint != before.fingerprint


@pytest.mark.parametrize("preset", ["default", "accurate"])
def test_files_from_before_there_was_a_level_are_of_the_level_as_recorded(preset: str) -> None:
    config = load_config(preset, ["audio.rms_dbfs=as recorded"])
    older = config.to_dict()
    for view in older.get("views", [older]):
        del view["audio"]["rms_dbfs"]
    assert config_of_model(older, "m.joblib") == config
    of_table = {key: older[key] for key in config.extraction.to_dict()}
    assert extraction_config_from_dict(of_table, "t.csv") == config.extraction
    assert config_from_dict(older, "new.toml") == load_config(preset)


@pytest.mark.parametrize(
    "text", ["seed=1", "pca=off", "classifier.C=1", "classifier.name=knn", "evaluation.folds=3"]
)
def test_the_fingerprint_does_not_change_with_how_is_learned(text: str) -> None:
    assert load_config(overrides=[text]).fingerprint == Config().fingerprint
    assert load_config(overrides=[text]) != Config()


def test_the_fingerprint_is_that_of_the_extraction() -> None:
    config = load_config("wide")
    assert type(config.extraction) is ExtractionConfig
    assert config.extraction.fingerprint == config.fingerprint != Config().fingerprint
    assert len(config.fingerprint) == 16


def test_the_fingerprint_changes_with_the_features_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Config().fingerprint
    monkeypatch.setattr("genreclf.config.schema.FEATURES_VERSION", 1_000_000)
    assert Config().fingerprint != before


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    code = "from genreclf.config.schema import Config; print(Config().fingerprint)"
    for hash_seed in ("1", "2"):
        shown = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert shown.strip() == Config().fingerprint


def test_learning_from_features_of_another_configuration() -> None:
    mine, theirs = load_config(overrides=["seed=5", "classifier.name=lda"]), load_config("wide")
    joined = mine.with_extraction(theirs.extraction)
    assert joined.extraction == theirs.extraction
    assert (joined.seed, joined.classifier) == (5, mine.classifier)


@pytest.mark.parametrize("section", [None, "spectra", "pooling", "classifier", "evaluation"])
def test_a_configuration_is_frozen_and_hashable(section: str | None) -> None:
    config = Config()
    part: Any = config if section is None else getattr(config, section)
    field = part.__struct_fields__[0]
    with pytest.raises(AttributeError):
        setattr(part, field, getattr(part, field))
    assert hash(part) == hash(Config() if section is None else getattr(Config(), section))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a." * 300 + "a = 1", "over 200 dots in a line"),
        ("a = " + "[" * 5000, "nested too deeply"),
        ("a = 1" + "0" * 5000, "4300 digits"),
        ("seed = 1" + "0" * 4000, "seed = a number with hundreds of digits"),
        ("pca = 1" + "0" * 30, "expected a whole number <= 1000000"),
        ("k" * 10_000 + " = 1", "unknown key kkk"),
        ("separation = '" + "x" * 10_000 + "'", "…: can be hpss, none"),
    ],
)
def test_files_made_with_ill_will_are_told_in_one_line(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "evil.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    told = str(caught.value)
    assert told.startswith(f"{path}: ")
    assert reason in told
    assert len(told) < 500
    assert told.isprintable()


@pytest.mark.parametrize("value", ["x" * 10_000, "[" * 5000, "1" + "0" * 5000, "\x1b[31m"])
def test_an_override_of_a_stranger_is_told_in_one_line(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^--set") as caught:
        load_config(overrides=[f"separation={value}"])
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()
