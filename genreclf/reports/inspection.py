"""The text of ``inspect``: the contents of tables, models and audio files."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from genreclf.errors import one_line
from genreclf.reports.console import (
    Records,
    genre_counts,
    genre_numbers,
    print_config,
    print_facts,
    print_line,
    print_notes,
    printable,
    right,
)
from genreclf.reports.evaluation import summary_lines

if TYPE_CHECKING:
    from genreclf.audio.excerpt import Excerpt
    from genreclf.config.networks import Network
    from genreclf.config.schema import ExtractionConfig
    from genreclf.embeddings.onnxfile import Contents, Port
    from genreclf.learning.card import Card
    from genreclf.tables.table import FeatureTable


def table_report(table: "FeatureTable", console: Console) -> None:
    """Print what a feature table holds."""
    facts = [
        ("tracks", len(table)),
        ("genres", genre_counts(table.labels) or "none"),
        ("groups", len(set(table.groups) - {""}) or "none"),
        ("features", _features(table.names)),
        ("missing values", int((table.values != table.values).sum())),
        ("frames", _frames(table.config) if table.frames is not None else "none"),
        *(_networks(table.config) if table.config else ()),
        ("configuration", table.config.fingerprint if table.config else "none (foreign table)"),
    ]
    if table.excerpts is not None:
        facts.insert(5, ("excerpts", f"{table.excerpts.shape[1]} of each track"))
    if table.assignments:
        facts.insert(3, ("folds, splits", ", ".join(table.assignments)))
    print_facts(facts, console)
    if table.config:
        print_config(table.config.to_dict(), console)
    print_notes(table.notes, console)


def _features(names: Sequence[str]) -> str:
    return f"{len(names)}, {names[0]} to {names[-1]}"


def _frames(config: "ExtractionConfig | None") -> str:
    from genreclf.features.measured import frame_shapes

    shapes = frame_shapes(config) if config is not None else {}
    return ", ".join(f"{name} ({d} by {n})" for name, (d, n) in shapes.items()) or "none"


def _networks(config: "ExtractionConfig") -> list[tuple[str, str]]:
    """Return the pretrained networks, and what their licences allow."""
    return [
        (f"network {network.name}", f"licence {printable(network.terms)}")
        for network in config.networks
    ]


def model_report(model: "Card", console: Console) -> None:
    """Print what a model is, what it was trained on, and its accuracy."""
    n_words = model.config.codebook.n_words
    facts = [
        ("trained", model.created),
        ("classifier", model.config.classifier.description),
        ("genres", genre_numbers(model.counts)),
        ("features", _features(model.feature_names)),
        ("augmentation", _augmentation(model)),
        ("codebook", f"{n_words} words each of {_frames(model.config)}" if n_words else "none"),
        *_networks(model.config),
        *([("training", model.curves.summary())] if model.curves is not None else []),
        ("predicts from", "audio and tables" if model.from_audio else "tables only"),
        ("predicts 'unknown'", f"below {model.threshold:.1%}" if model.threshold else "never"),
        ("versions", ", ".join(f"{name} {v}" for name, v in model.versions.items())),
        ("configuration", model.config.fingerprint),
    ]
    print_facts(facts, console)
    for line in _evaluation_lines(model):
        print_line(line, console)
    print_config(model.config.to_dict(), console)


def _augmentation(model: "Card") -> str:
    made = genre_numbers(model.made)
    return f"{model.config.augment}, synthetic samples: {made}" if made else "none"


def _evaluation_lines(model: "Card") -> list[str]:
    if model.evaluation is None:
        return ["not evaluated"]
    try:
        return [printable(line) for line in summary_lines(model.evaluation)]
    except (KeyError, TypeError, ValueError, ArithmeticError):  # a card may come from anyone
        return ["its evaluation cannot be read"]


def networks_report(networks: "Sequence[Network]", console: Console) -> None:
    """Print a table of networks, which of them are here, and their licences."""
    from genreclf.embeddings.store import has_weights

    table = Records("network", "here", right("Hz"), "outputs", "licence", "tested")
    for network in networks:
        outputs = ", ".join(f"{output.column} {output.size}" for output in network.outputs)
        table.add_row(
            network.name,
            "yes" if has_weights(network) else "no",
            f"{network.sample_rate_hz}",
            printable(outputs),
            printable(network.terms),
            "yes" if network.tested else "no",
        )
    console.print(table)


def onnx_report(contents: "Contents", skeleton: str, console: Console) -> None:
    """Print what an ONNX file holds, and a draft of a description."""
    facts: list[tuple[str, object]] = [
        ("operators", f"{contents.n_nodes}, of version {contents.opset} of the standard"),
        ("parameters", contents.n_parameters),
        *(("input", _port(port)) for port in contents.inputs),
        *(("output", _port(port)) for port in contents.outputs),
    ]
    print_facts(facts, console)
    print_line("\nA description of it (.toml) has to say:\n", console)
    for line in skeleton.splitlines():
        console.print(one_line(line), markup=False, highlight=False, soft_wrap=True)


def _port(port: "Port") -> str:
    axes = " by ".join(map(str, port.shape)) or "not given"
    return f"{port.name}: {port.dtype}, {axes}"


def audio_report(
    excerpts: "Sequence[Excerpt]",
    strategy: str,
    tags: dict[str, str],
    features: dict[str, float],
    *,
    show_all: bool,
    console: Console,
) -> None:
    """Print what an audio file is, which seconds of it are used, and its features.

    Without ``show_all``, only features that are a single number per track.
    """
    info = excerpts[0].info
    channels = "1 channel" if info.channels == 1 else f"{info.channels} channels"
    facts = [
        ("duration", f"{info.seconds:.2f} s"),
        ("sample rate", f"{info.sample_rate_hz} Hz, {channels}"),
        ("codec", f"{info.container}, {info.codec}"),
        *(("tag " + name, value) for name, value in tags.items()),
        ("strategy", strategy),
        *(("excerpt", _span(excerpt)) for excerpt in excerpts),
    ]
    print_facts(facts, console)
    shown = {name: value for name, value in features.items() if show_all or name.count(".") == 1}
    table = Records("feature", right("value"))
    for name, value in shown.items():
        table.add_row(name, f"{value:.6g}")
    if shown:
        console.print(table)
    if n_others := len(features) - len(shown):
        print_line(f"and {n_others} more features (--all)", console)


def _span(excerpt: "Excerpt") -> str:
    padding = (len(excerpt.samples) / excerpt.sample_rate_hz - excerpt.seconds) / 2
    padded = f", {padding:.2f} s of silence added on each side" if padding > 0.01 else ""
    return f"{excerpt.start_seconds:.2f} s to {excerpt.stop_seconds:.2f} s{padded}"


def librosa_report(differences: dict[str, float], console: Console) -> None:
    """Print the difference of each feature from librosa's, relative to its largest value."""
    table = Records("feature", right("largest relative difference"))
    for name, difference in differences.items():
        table.add_row(name, f"{difference:.1e}")
    console.print(table)
