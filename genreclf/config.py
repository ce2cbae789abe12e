"""Every number of the pipeline, as a frozen and validated ``Config`` read from TOML.

Units stand in the names (``sample_rate_hz``, ``seconds``); bins and frames where there is no
unit. ``configs/default.toml`` gives the reason for each value.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct

from genreclf.errors import ConfigError

__all__ = [
    "CLASSIFIERS",
    "Config",
    "ExtractionConfig",
    "config_from_dict",
    "load_config",
    "override",
    "preset_names",
    "presets_folder",
]

# Raised whenever the same configuration would give other numbers than before, so that tables
# of both are never mixed.
FEATURES_VERSION = 1

Positive = Annotated[float, Meta(gt=0, le=1e12)]  # TOML knows infinity, no estimator does
NotNegative = Annotated[float, Meta(ge=0, le=1e12)]
Count = Annotated[int, Meta(ge=1)]
_Kind = TypeVar("_Kind", bound=Struct)
Statistic = Literal["mean", "var", "max", "min", "std", "median", "skewness", "kurtosis"]
Separation = Literal["hpss", "none"]
_CHOICES = {"pooling": get_args(Statistic), "separation": get_args(Separation)}


class _Section(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the TOML file: frozen, and no key but the ones it names."""


class Excerpt(_Section, frozen=True):
    """Which seconds of a track are listened to."""

    seconds: Annotated[float, Meta(ge=1, le=600)] = 29.12
    min_seconds: Annotated[float, Meta(ge=1, le=600)] = 1.0

    def __post_init__(self) -> None:
        if self.min_seconds > self.seconds:
            raise ValueError(f"min_seconds is longer than seconds = {self.seconds:g}")


class Audio(_Section, frozen=True):
    """What the samples are brought to."""

    sample_rate_hz: Annotated[int, Meta(ge=4000, le=192_000)] = 12_000


class Spectra(_Section, frozen=True):
    """The one short-time Fourier transform, and the mel bands over it."""

    n_fft: Annotated[int, Meta(ge=64, le=32_768)] = 1024
    hop_length: Annotated[int, Meta(ge=16, le=32_768)] = 256
    n_mels: Annotated[int, Meta(ge=8, le=512)] = 128

    def __post_init__(self) -> None:
        if self.n_fft % 2:
            raise ValueError("n_fft is an odd number; an even one is needed")
        if self.hop_length > self.n_fft:
            raise ValueError(f"hop_length is larger than n_fft = {self.n_fft}: skips samples")


class Hpss(_Section, frozen=True):
    """Harmonic-percussive separation: median filter lengths, mask and margins."""

    harmonic_kernel_frames: Annotated[int, Meta(ge=3, le=501)] = 31
    percussive_kernel_bins: Annotated[int, Meta(ge=3, le=501)] = 31
    mask_power: Annotated[float, Meta(gt=0, le=16)] = 2.0
    harmonic_margin: Annotated[float, Meta(ge=1, le=100)] = 1.0
    percussive_margin: Annotated[float, Meta(ge=1, le=100)] = 1.0


class Features(_Section, frozen=True):
    """The numbers inside the feature definitions."""

    n_mfcc: Annotated[int, Meta(ge=1, le=128)] = 20
    delta_frames: Annotated[int, Meta(ge=3, le=99)] = 9
    rolloff_fraction: Annotated[float, Meta(gt=0, lt=1)] = 0.85
    contrast_min_hz: Annotated[float, Meta(ge=20, le=2000)] = 200.0
    contrast_quantile: Annotated[float, Meta(gt=0, lt=0.5)] = 0.02
    tempo_prior_bpm: Annotated[float, Meta(ge=30, le=300)] = 120.0
    tempogram_min_bpm: Annotated[float, Meta(ge=10, le=200)] = 30.0
    tempo_max_bpm: Annotated[float, Meta(ge=60, le=600)] = 320.0
    tempogram_seconds: Annotated[float, Meta(ge=2, le=60)] = 8.0

    def __post_init__(self) -> None:
        if self.delta_frames % 2 == 0:
            raise ValueError("delta_frames is an even number; the window needs a middle frame")
        if self.tempogram_min_bpm >= self.tempo_max_bpm:
            raise ValueError("tempogram_min_bpm is not below tempo_max_bpm")


class Pooling(_Section, frozen=True):
    """Which statistics over time make a column each."""

    statistics: Annotated[tuple[Statistic, ...], Meta(min_length=1)] = ("mean", "var", "max")

    def __post_init__(self) -> None:
        if len(set(self.statistics)) < len(self.statistics):
            raise ValueError("statistics names one of them twice")


class ExtractionConfig(_Section, frozen=True, kw_only=True):
    """All that decides what the features of a file are; it travels with every table."""

    separation: Separation = "hpss"
    excerpt: Excerpt = Excerpt()
    audio: Audio = Audio()
    spectra: Spectra = Spectra()
    hpss: Hpss = Hpss()
    features: Features = Features()
    pooling: Pooling = Pooling()

    def __post_init__(self) -> None:
        if self.features.n_mfcc > self.spectra.n_mels:
            raise ValueError(f"features.n_mfcc is more than spectra.n_mels = {self.spectra.n_mels}")
        if self.features.contrast_min_hz * 2 > self.audio.sample_rate_hz / 2:
            raise ValueError(
                "features.contrast_min_hz leaves no octave below the Nyquist frequency"
            )
        rate, spectra = self.audio.sample_rate_hz, self.spectra
        if self.features.contrast_min_hz < rate / spectra.n_fft:
            raise ValueError(
                "features.contrast_min_hz is below the width of a bin, "
                f"{rate / spectra.n_fft:.1f} Hz: the lowest band is empty"
            )
        if self.features.tempogram_seconds * rate / spectra.hop_length < 4:
            raise ValueError("features.tempogram_seconds is shorter than four hops")
        frames = self.excerpt.seconds * self.audio.sample_rate_hz / self.spectra.hop_length
        if frames * self.spectra.n_fft > 2**28:
            raise ValueError(
                "excerpt.seconds, audio.sample_rate_hz and spectra together make a spectrogram "
                "of over a gigabyte; take a shorter excerpt or a longer hop"
            )

    @property
    def extraction(self) -> "ExtractionConfig":
        """The part that decides the features, without how they are learned from."""
        return ExtractionConfig(
            **{name: getattr(self, name) for name in ExtractionConfig.__struct_fields__}
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain values, as they stand in a TOML or JSON file."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that two configurations share only if the features agree."""
        canonical = msgspec.json.encode(
            [FEATURES_VERSION, self.extraction.to_dict()], order="sorted"
        )
        return hashlib.sha256(canonical).hexdigest()[:16]


class _Classifier(_Section, frozen=True, tag_field="name"):
    """Hyperparameters of one classifier, under the names that scikit-learn gives them."""

    @property
    def name(self) -> str:
        """The name that the command line and the TOML file use."""
        return str(self.__struct_config__.tag)


class Svm(_Classifier, frozen=True, tag="svm"):
    """Support vector machine with a radial basis function kernel."""

    C: Positive = 10.0
    gamma: Positive | Literal["scale", "auto"] = "scale"


class Logistic(_Classifier, frozen=True, tag="logistic"):
    """Multinomial logistic regression."""

    C: Positive = 0.1


class Lda(_Classifier, frozen=True, tag="lda"):
    """Linear discriminant analysis with Ledoit–Wolf shrinkage."""

    shrinkage: Annotated[float, Meta(ge=0, le=1)] | Literal["auto"] = "auto"


class Knn(_Classifier, frozen=True, tag="knn"):
    """K nearest neighbours."""

    n_neighbors: Count = 9
    weights: Literal["uniform", "distance"] = "distance"


class RandomForest(_Classifier, frozen=True, tag="random-forest"):
    """Random forest."""

    n_estimators: Annotated[int, Meta(ge=1, le=10_000)] = 300
    max_depth: Count | None = None
    min_samples_leaf: Count = 1


class GradientBoosting(_Classifier, frozen=True, tag="gradient-boosting"):
    """Histogram-based gradient boosting."""

    learning_rate: Positive = 0.1
    max_iter: Annotated[int, Meta(ge=1, le=10_000)] = 100
    max_leaf_nodes: Annotated[int, Meta(ge=2)] = 15
    l2_regularization: NotNegative = 1.0


class Mlp(_Classifier, frozen=True, tag="mlp"):
    """Multi-layer perceptron with one hidden layer or more."""

    hidden_layer_sizes: tuple[Count, ...] = (128,)
    alpha: NotNegative = 1.0
    max_iter: Count = 500


ClassifierConfig = Svm | Logistic | Lda | Knn | RandomForest | GradientBoosting | Mlp
CLASSIFIERS: tuple[str, ...] = tuple(
    str(kind.__struct_config__.tag) for kind in ClassifierConfig.__args__
)


class Evaluation(_Section, frozen=True):
    """How cross-validation is done."""

    folds: Annotated[int, Meta(ge=2, le=1000)] = 10
    bootstrap_samples: Annotated[int, Meta(ge=100, le=100_000)] = 2000


class Config(ExtractionConfig, frozen=True, kw_only=True):
    """The whole configuration: what the features are, and how a classifier learns from them."""

    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    pca: Annotated[float, Meta(gt=0, lt=1)] | Count | Literal["off"] = 0.99
    classifier: ClassifierConfig = Svm()
    evaluation: Evaluation = Evaluation()

    def with_extraction(self, extraction: ExtractionConfig) -> "Config":
        """Return this way of learning for features that were made with ``extraction``."""
        parts = {name: getattr(extraction, name) for name in ExtractionConfig.__struct_fields__}
        return msgspec.structs.replace(self, **parts)


def presets_folder() -> Path:
    """Return the folder of the named configurations, in a checkout as in an installed wheel."""
    inside_wheel = Path(__file__).parent / "configs"
    return inside_wheel if inside_wheel.is_dir() else Path(__file__).parent.parent / "configs"


def preset_names() -> list[str]:
    """Return the names that ``load_config`` and ``--config`` know."""
    return sorted(path.stem for path in presets_folder().glob("*.toml"))


def load_config(source: str | Path = "default", overrides: Iterable[str] = ()) -> Config:
    """Read a configuration.

    Parameters
    ----------
    source : str or Path
        Name of a preset (``"default"``, ``"wide"``) or path of a TOML file. What the file does
        not name keeps its default value.
    overrides : iterable of str
        ``key=value`` pairs that win over the file, as in ``classifier.C=10``.

    Returns
    -------
    Config

    Raises
    ------
    ConfigError
        If there is no such file, or it is not TOML, or a key is unknown, or a value is of the
        wrong type or out of range. The message names file, key and value.

    Examples
    --------
    >>> load_config("wide").audio.sample_rate_hz
    22050
    >>> load_config(overrides=["classifier.C=3"]).classifier.C
    3.0
    """
    path = _config_path(source)
    config = config_from_dict(_read_toml(path), str(source))
    return override(config, overrides)


def override(config: Config, overrides: Iterable[str]) -> Config:
    """Return ``config`` with ``key=value`` pairs replaced; see ``load_config``."""
    overrides = list(overrides)
    if not overrides:
        return config
    tree = config.to_dict()
    for text in overrides:
        key, value = _parse_override(text)
        _assign(tree, key, value, text)
    return config_from_dict(tree, "--set")


def config_from_dict(tree: Mapping[str, Any], source: str) -> Config:
    """Validate plain values, as ``tomllib`` or ``json`` gives them, into a ``Config``.

    Raises
    ------
    ConfigError
        Names ``source``, the key and the value.
    """
    classifier = tree.get("classifier")
    if isinstance(classifier, Mapping) and "name" not in classifier:
        tree = {**tree, "classifier": {"name": Svm().name, **classifier}}
    return _convert(tree, source, Config)


def extraction_config_from_dict(tree: Mapping[str, Any], source: str) -> ExtractionConfig:
    """As ``config_from_dict``, for what a feature table carries."""
    return _convert(tree, source, ExtractionConfig)


def _convert(tree: Mapping[str, Any], source: str, kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_explain(str(error), tree)}") from None


def _explain(message: str, tree: Mapping[str, Any]) -> str:
    """Turn ``Expected `int` - at `$.spectra.n_fft``` into a line with the key and its value."""
    reason, _, place = message.partition(" - at `$")
    keys = [key for key in re.split(r"[.\[\]`]+", place) if key]
    unknown = re.search(r"unknown field `(.+)`", reason)
    if unknown:
        return f"unknown key {'.'.join([*keys, unknown[1]])}"
    value: Any = tree
    for key in keys:
        value = value[int(key) if isinstance(value, list | tuple) else key]
    reason = reason[:1].lower() + reason[1:]
    for jargon, word in _WORDS.items():
        reason = reason.replace(f"`{jargon}`", word)
    if keys == ["classifier", "name"]:
        reason = f"no such classifier; there are {', '.join(CLASSIFIERS)}"
    elif "enum value" in reason and keys[0] in _CHOICES:
        reason = f"can be {', '.join(_CHOICES[keys[0]])}"
    if not keys or isinstance(value, Mapping):
        return f"{'.'.join(keys)}: {reason}".removeprefix(": ")
    return f"{'.'.join(keys)} = {value!r}: {reason}"


# msgspec's words for types, and those of a person who writes TOML.
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "array": "a list",
    "object": "a table",
    "bool": "true or false",
}


def _config_path(source: str | Path) -> Path:
    if str(source) in preset_names():
        return presets_folder() / f"{source}.toml"
    path = Path(source)
    if not path.is_file():
        raise ConfigError(
            f"{source}: no such file and no such preset; presets: {', '.join(preset_names())}"
        )
    return path


def _read_toml(path: Path) -> dict[str, Any]:
    max_bytes = 1_000_000
    try:
        if path.stat().st_size > max_bytes:
            raise ConfigError(f"{path}: over {max_bytes:,} bytes; that is no configuration file")
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from None


def _parse_override(text: str) -> tuple[list[str], Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip() or "\n" in text:
        raise ConfigError(f"--set {text}: expected KEY=VALUE, as in classifier.C=10")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()  # a bare word, as in classifier.gamma=scale
    return key.strip().split("."), parsed


def _assign(tree: dict[str, Any], keys: list[str], value: Any, text: str) -> None:
    *parents, last = keys
    for parent in parents:
        branch = tree.get(parent)
        if not isinstance(branch, dict):
            raise ConfigError(f"--set {text}: unknown key {'.'.join(keys)}")
        tree = branch
    # Another classifier starts from its own defaults, not from the last one's hyperparameters.
    if keys == ["classifier", "name"] and tree.get("name") != value:
        tree.clear()
    tree[last] = value
