"""Functions that the commands for training share."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genreclf.cli import options
from genreclf.cli.output import note, plural, write_text
from genreclf.errors import TableError
from genreclf.parallel.meter import duration

if TYPE_CHECKING:
    from genreclf.config.schema import Config, ExtractionConfig
    from genreclf.evaluation.result import Evaluation
    from genreclf.evaluation.trainings import Trainings
    from genreclf.reports.html import Measured
    from genreclf.tables.columns import Columns
    from genreclf.tables.table import FeatureTable

LONG_SECONDS = 600  # trainings that take longer are announced


def check_extraction(
    configs: Iterable[str], overrides: Iterable[str], made_with: "ExtractionConfig | None"
) -> None:
    """Refuse values, and warn of configurations, that would change the features of a table.

    Parameters
    ----------
    configs, overrides : iterable of str
        Values of --config, whose other sections count, and of --set.
    made_with : ExtractionConfig or None
        What the features were made with; None if genreclf did not make them.
    """
    from genreclf.config.load import extraction_changes, load_config
    from genreclf.config.schema import ExtractionConfig

    for text in extraction_changes(made_with, overrides):
        key = text.partition("=")[0].strip()
        raise click.UsageError(
            f"{text}: {key} is fixed in the table, which already holds its features; to change "
            f"it, extract them again: genreclf extract PATH... --set {text}"
        )
    for config in configs:
        theirs, ours = load_config(config).extraction, made_with or ExtractionConfig()
        names = ExtractionConfig.__struct_fields__
        differing = [name for name in names if getattr(theirs, name) != getattr(ours, name)]
        if differing and config != "default":
            note(
                f"note: --config {config}: its {', '.join(differing)} have no effect, because the "
                "table already holds its features; only the settings for learning count"
            )


def check_learning(learning: options.Learning, made_with: "ExtractionConfig | None") -> None:
    """Refuse or warn of options for learning that would change the features of a table."""
    check_extraction([learning.config], learning.overrides, made_with)


def announce_augmentation(configs: "Iterable[Config]") -> None:
    """Print what a GAN was measured to be worth; without PyTorch, fail before any work.

    Raises
    ------
    GenreclfError
        If PyTorch is not installed.
    """
    if any(config.augment == "gan" for config in configs):
        from genreclf.learning.augmentation.gan import GAN_MEASURED
        from genreclf.learning.networks.runtime import require_torch

        require_torch("--augment gan")
        note(f"note: {GAN_MEASURED}")


def load_checked(table: Path, columns: "Columns", learning: options.Learning) -> "FeatureTable":
    """Load a table that the options for learning fit."""
    from genreclf.tables.reading import load_table

    announce_augmentation([learning.settings()])
    features = load_table(table, columns)
    check_learning(learning, features.config)
    if features.config is not None and learning.leaves_classifier:
        _name_classifier_of_preset(features.config)
    return features


def _name_classifier_of_preset(made_with: "ExtractionConfig") -> None:
    """Say how to train the classifier of the preset that a table was made with."""
    from genreclf.config.load import load_config, preset_of

    if (preset := preset_of(made_with)) is None:
        return
    theirs, ours = load_config(preset).classifier.name, load_config().classifier.name
    if theirs != ours:
        note(
            f"note: the table was made with the preset {preset}, but the classifier is {ours}; "
            f"--config {preset} uses the preset's ({theirs})"
        )


def warn_of_leaks(table: "FeatureTable") -> None:
    """Warn of columns that determine the genre alone, before any training."""
    from genreclf.learning.leaks import leak_notes

    for text in leak_notes(table):
        note(f"warning: {text}")


def announce(trainings: "Trainings", jobs: int) -> None:
    """Print what is approximated, and the estimated time if it is long, with what takes less.

    The time of a network is always printed, and before it what to expect of it.
    """
    from genreclf.evaluation.trainings import LINEAR

    _announce_approximation(trainings, jobs)
    seconds, table = trainings.seconds(jobs), trainings.table
    classifier = trainings.config.classifier
    if advice := classifier.advice(len(table)):
        note(f"note: {advice}")
    if seconds < LONG_SECONDS and not classifier.takes_frames:
        return
    name, how = classifier.name, "at most about" if classifier.takes_frames else "about"
    text = (
        f"note: {name} will take {how} {duration(seconds)} for "
        f"{plural(len(table.genres), 'genre')} in {plural(len(table), 'track')} "
        f"({plural(trainings.number, 'training')})"
    )
    if name not in LINEAR and seconds >= LONG_SECONDS:
        quicker = duration(trainings.linear_seconds(jobs))
        text += f"; --classifier {' or '.join(LINEAR)} about {quicker}"
    note(text)


def _announce_approximation(trainings: "Trainings", jobs: int) -> None:
    from genreclf.config.load import override
    from genreclf.learning.resolution import approximation

    text = approximation(trainings.config, trainings.table)
    if text is None:
        return
    exact_kernel = "classifier.kernel_approximation=off"
    exact = duration(trainings.seconds(jobs, override(trainings.config, [exact_kernel])))
    approximated = duration(trainings.seconds(jobs))
    note(
        f"note: {text}; --set {exact_kernel} trains the exact machine in about {exact} instead of "
        f"{approximated}"
    )


def summarised(
    evaluation: "Evaluation", target_precision: float | None, **options: Any
) -> tuple[dict[str, Any], str | None]:
    """Return ``Evaluation.to_dict``, without a threshold if the target cannot be reached, and why.

    The other results are kept.
    """
    try:
        return evaluation.to_dict(target_precision, **options), None
    except TableError as error:
        return evaluation.to_dict(**options), str(error)


def write_html(path: Path, measured: "Measured", result: dict[str, Any]) -> None:
    """Write the HTML report of an evaluation."""
    from genreclf.reports.html import html_report

    command = ["genreclf", *click.get_current_context().find_root().obj]
    write_text(path, html_report(measured, result, command), "report")
