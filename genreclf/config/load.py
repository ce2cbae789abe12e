"""Read, override and validate a ``Config``: presets, TOML files, ``--set`` and plain values."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from genreclf.config.messages import explain
from genreclf.config.networks import load_network
from genreclf.config.schema import Config, ExtractionConfig
from genreclf.config.toml import read_toml
from genreclf.config.views import KIND_OF_VIEW, EmbeddingView, SpectralView
from genreclf.errors import ConfigError, shortened
from genreclf.files import shipped
from genreclf.learning.classifiers.svm import Svm

_Kind = TypeVar("_Kind", bound=Struct)

_VIEW_KEYS = {*SpectralView.__struct_fields__, *EmbeddingView.__struct_fields__}


def presets_folder() -> Path:
    """Return the folder of the named configurations, in a checkout as in an installed wheel."""
    return shipped("configs")


def preset_names() -> list[str]:
    """Return the names that ``load_config`` and ``--config`` know."""
    return sorted(path.stem for path in presets_folder().glob("*.toml"))


def preset_text(name: str) -> str:
    """Return the TOML of a preset with its comments.

    Raises
    ------
    ConfigError
        If there is no such preset.
    """
    if name not in preset_names():
        raise ConfigError(f"no preset {shortened(name)}; there are {', '.join(preset_names())}")
    return (presets_folder() / f"{name}.toml").read_text(encoding="utf-8")


def preset_summary(name: str) -> str:
    """Return the first sentence of a preset's comment, and the networks that it needs."""
    comment = preset_text(name).partition("\n\n")[0].removeprefix("# ").replace("\n# ", " ")
    needed = [network.name for network in load_config(name).networks]
    needs = [f"; first run: genreclf embeddings get {network}" for network in needed]
    return re.split(r"\.\s+(?=[A-Z])", comment)[0] + "".join(needs)


def preset_of(config: ExtractionConfig) -> str | None:
    """Return the preset whose features are those of a configuration, if there is one."""
    names = ("default", *preset_names())  # others have the same features
    return next(
        (name for name in names if load_config(name).fingerprint == config.fingerprint), None
    )


def load_config(source: str | Path = "default", overrides: Iterable[str] = ()) -> Config:
    """Read a configuration.

    Parameters
    ----------
    source : str or Path
        Name of a preset (``"default"``, ``"wide"``) or path of a TOML file. Keys that the file
        leaves out have their default values; in a view that begins with ``preset = "…"``, those of
        the preset. ``embedding = "…"`` names a network or the path of its description, relative to
        the file.
    overrides : iterable of str
        ``key=value`` pairs that take precedence over the file, such as ``classifier.C=10``. A key
        of a view changes in all views.

    Returns
    -------
    Config

    Raises
    ------
    ConfigError
        If the file does not exist or is not TOML, a key is unknown, or a value has the wrong type
        or is out of range. The message names the file, the key and the value.

    Examples
    --------
    >>> load_config("wide").audio.sample_rate_hz
    22050
    >>> load_config(overrides=["classifier.C=3"]).classifier.C
    3.0
    """
    path = _config_path(source)
    tree = _complete(read_toml(path), str(source), path.parent)
    return override(config_from_dict(tree, str(source)), overrides)


def _complete(tree: dict[str, Any], source: str, folder: Path) -> dict[str, Any]:
    """Fill in what views name."""
    if not isinstance(views := tree.get("views"), list):
        return tree
    return {**tree, "views": [_complete_view(view, source, folder) for view in views]}


def _complete_view(view: Any, source: str, folder: Path) -> Any:
    """Fill in what a view names: a network, or the preset whose keys it begins with."""
    if not isinstance(view, dict):
        return view
    if "embedding" in view:
        return {**view, "embedding": _described(view["embedding"], source, folder)}
    if "preset" not in view:
        return view
    name = view.pop("preset")
    if name not in preset_names():
        raise ConfigError(
            f"{source}: views: no preset {name!r}; there are {', '.join(preset_names())}"
        )
    preset = read_toml(_config_path(name))
    if "views" in preset:
        raise ConfigError(f"{source}: views: preset {name!r} has views itself")
    merged = {key: preset[key] for key in SpectralView.__struct_fields__ if key in preset}
    for key, value in view.items():
        section = merged.get(key)
        if isinstance(section, dict) and isinstance(value, dict):
            value = {**section, **value}
        merged[key] = value
    return merged


def _described(embedding: Any, source: str, folder: Path) -> Any:
    """Replace the name of a network, or the path of its description, by the description."""
    if not isinstance(embedding, str):
        return embedding
    try:
        return msgspec.to_builtins(load_network(embedding, folder))
    except ConfigError as error:
        raise ConfigError(f"{source}: embedding: {error}") from None


def override(config: Config, overrides: Iterable[str]) -> Config:
    """Return ``config`` with ``key=value`` pairs replaced; see ``load_config``."""
    overrides = list(overrides)
    if not overrides:
        return config
    tree = config.to_dict()
    for text in overrides:
        key, value = _parse_override(text)
        for branch in _branches(tree, key[0], text):
            _assign(branch, key, value, text)
    return config_from_dict(_complete(tree, "--set", Path()), "--set")


def _branches(tree: dict[str, Any], key: str, text: str) -> list[dict[str, Any]]:
    """Return the tables that a key is in: the views that can have it, or the whole tree."""
    if "views" not in tree or key not in _VIEW_KEYS:
        return [tree]
    found = [view for view in tree["views"] if key in _kind_of(view).__struct_fields__]
    if not found:
        raise ConfigError(f"--set {shortened(text)}: no view has this key")
    return found


def extraction_changes(made_with: ExtractionConfig | None, overrides: Iterable[str]) -> list[str]:
    """Return the overrides that would change features of an existing table or model.

    Parameters
    ----------
    made_with : ExtractionConfig or None
        Configuration of the features; None if it is unknown.
    overrides : iterable of str
        ``key=value`` pairs.
    """
    found = []
    for text in overrides:
        if _parse_override(text)[0][0] not in {*ExtractionConfig.__struct_fields__, *_VIEW_KEYS}:
            continue
        try:
            same = made_with is not None and made_with == (
                override(Config().with_extraction(made_with), [text]).extraction
            )
        except ConfigError:  # a value that is valid only together with other changes
            same = False
        if not same:
            found.append(text)
    return found


def config_from_dict(tree: Mapping[str, Any], source: str) -> Config:
    """Convert plain values, as from ``tomllib`` or ``json``, to a validated ``Config``.

    Raises
    ------
    ConfigError
        The message names ``source``, the key and the value.
    """
    classifier = tree.get("classifier")
    if isinstance(classifier, Mapping) and "name" not in classifier:
        tree = {**tree, "classifier": {"name": Svm().name, **classifier}}
    return _convert(tree, source, Config)


def extraction_config_from_dict(tree: Mapping[str, Any], source: str) -> ExtractionConfig:
    """As ``config_from_dict``, for the configuration of a feature table."""
    return _convert(_with_old_values(tree), source, ExtractionConfig)


def config_of_model(tree: Mapping[str, Any], source: str) -> Config:
    """As ``config_from_dict``, for the configuration of a model."""
    return config_from_dict(_with_old_values(tree), source)


def _with_old_values(tree: Any) -> Any:
    """Add keys that did not exist when a file was written, with the values of that time."""
    if not isinstance(tree, Mapping):
        return tree
    if isinstance(views := tree.get("views"), list) and views:
        return {**tree, "views": [_with_old_values(view) for view in views]}
    if _kind_of(tree) is SpectralView and isinstance(audio := tree.get("audio", {}), Mapping):
        return {**tree, "audio": {"rms_dbfs": "as recorded", **audio}}
    return tree


def _convert(tree: Mapping[str, Any], source: str, kind: type[_Kind]) -> _Kind:
    # What a file of a stranger holds may be no mapping at all; msgspec refuses that.
    if isinstance(tree, Mapping) and isinstance(views := tree.get("views"), list):
        tree = {**tree, "views": [_with_kind(view) for view in views]}
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {explain(error, tree)}") from None
    except UnicodeEncodeError:  # JSON can contain half of a character
        raise ConfigError(f"{source}: holds characters that are not valid text") from None


def _with_kind(view: Any) -> Any:
    """Add what msgspec tells views apart by."""
    if not isinstance(view, Mapping):
        return view
    return {**view, KIND_OF_VIEW: _kind_of(view).__struct_config__.tag}


def _kind_of(view: Mapping[str, Any]) -> type[SpectralView] | type[EmbeddingView]:
    return EmbeddingView if "embedding" in view else SpectralView


def _config_path(source: str | Path) -> Path:
    if str(source) in preset_names():
        return presets_folder() / f"{source}.toml"
    path = Path(source)
    if not path.is_file():
        raise ConfigError(
            f"{source}: no such file and no such preset; presets: {', '.join(preset_names())}"
        )
    return path


def _parse_override(text: str) -> tuple[list[str], Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip() or "\n" in text:
        raise ConfigError(f"--set {shortened(text)}: expected KEY=VALUE, as in classifier.C=10")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        parsed = value.strip()  # a bare word, as in classifier.gamma=scale
    return key.strip().split("."), parsed


def _assign(tree: dict[str, Any], keys: list[str], value: Any, text: str) -> None:
    *parents, last = keys
    for parent in parents:
        # A section with a name may be new, and leaves out what it contains by default.
        branch = tree.setdefault(parent, {}) if "name" in tree else tree.get(parent)
        if not isinstance(branch, dict):
            raise ConfigError(f"--set {shortened(text)}: unknown key")
        tree = branch
    # Another classifier starts from its own defaults, not from the last one's hyperparameters.
    if keys == ["classifier", "name"] and tree.get("name") != value:
        tree.clear()
    tree[last] = value
