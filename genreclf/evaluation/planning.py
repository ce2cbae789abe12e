"""Plan a comparison before features are extracted: its variants, and the time that it will take."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from genreclf.config.load import load_config
from genreclf.config.schema import Config, ExtractionConfig
from genreclf.errors import ConfigError, GenreclfError
from genreclf.evaluation.crossvalidation import count_folds
from genreclf.evaluation.matching import match_tracks
from genreclf.evaluation.variants import Variant
from genreclf.learning.training import training_seconds
from genreclf.tables.table import FeatureTable


class PlanError(GenreclfError):
    """Variants that cannot be compared: too few, twice the same, or an unknown reference."""


@dataclass(frozen=True)
class Planned:
    """A variant before there are features; ``source`` names its table, or its extraction."""

    name: str
    source: str
    config: Config


@dataclass(frozen=True)
class Choices:
    """What varies between variants."""

    configs: Sequence[str] = ("default",)  # presets or TOML files
    classifiers: Sequence[str] = ()  # each is combined with each configuration
    variants: Sequence[str] = ()  # "NAME: KEY=VALUE KEY=VALUE", changes of the first configuration
    overrides: Sequence[str] = ()  # "KEY=VALUE" for all variants


def plan_comparison(choices: Choices, tables: Sequence[str] | None = None) -> list[Planned]:
    """Combine tables, configurations and classifiers into variants.

    Parameters
    ----------
    choices : Choices
    tables : sequence of str, optional
        Names of feature tables. Without them, each configuration extracts its own features.

    Raises
    ------
    PlanError
        If there are fewer than two variants, or two are the same.
    ConfigError
        If a configuration cannot be used.
    """
    configs = list(_configurations(choices))
    if tables is None:
        plan = [Planned(name, config.fingerprint, config) for name, config in configs]
    else:
        plan = [
            Planned(_joined((table, len(tables) > 1 or len(configs) == 1),
                            (name, len(configs) > 1)), table, config)
            for table in tables for name, config in configs
        ]  # fmt: skip
    _check(plan)
    return plan


def _configurations(choices: Choices) -> Iterator[tuple[str, Config]]:
    """Yield the name and the configuration of each combination; names hold only what varies."""
    several_configs, several_classifiers = len(choices.configs) > 1, len(choices.classifiers) > 1
    for config, name in zip(choices.configs, short_names(choices.configs), strict=True):
        for classifier in choices.classifiers or [""]:
            shown = (name, several_configs or not several_classifiers)
            overrides = [*_chosen(classifier), *choices.overrides]
            yield _joined(shown, (classifier, several_classifiers)), load_config(config, overrides)
    first = _chosen(choices.classifiers[0] if choices.classifiers else "")
    for text in choices.variants:
        name, changes = parse_variant(text)
        try:
            yield name, load_config(choices.configs[0], [*first, *choices.overrides, *changes])
        except ConfigError as error:
            reason = str(error).removeprefix("--set: ")
            raise ConfigError(f"--variant {name}: {reason}") from None


def _joined(*parts: tuple[str, bool]) -> str:
    return ", ".join(text for text, shown in parts if shown)


def _chosen(classifier: str) -> list[str]:
    return [f"classifier.name={classifier}"] if classifier else []


def parse_variant(text: str) -> tuple[str, list[str]]:
    """Split ``NAME: KEY=VALUE KEY=VALUE``; without a name, the values are the name.

    Raises
    ------
    PlanError
        If it holds no values.
    """
    name, colon, values = text.partition(":")
    if not colon or "=" in name:
        name, values = text, text
    # Values may hold spaces, as lists do: only a word with an equals sign begins the next one.
    changes = [part for part in re.split(r"\s+(?=[\w.]+\s*=)", values.strip()) if part]
    if not changes or not name.strip():
        raise PlanError(
            f"--variant {text!r}: expected NAME: KEY=VALUE, as in 'stiff: classifier.C=1'"
        )
    return name.strip(), changes


def short_names(sources: Sequence[str | Path]) -> list[str]:
    """Shorten paths to the names of their files if these are distinct."""
    names = [Path(source).stem for source in sources]
    return names if len(set(names)) == len(set(sources)) else [str(source) for source in sources]


def _check(plan: Sequence[Planned]) -> None:
    if len(plan) < 2:
        raise PlanError(
            f"there is only one variant, {plan[0].name}; give another table, or several --configs "
            "or --classifiers, or a --variant"
        )
    seen: dict[str, tuple[str, Config]] = {}
    for variant in plan:
        if variant.name in seen:
            raise PlanError(f"two variants are called {variant.name}")
        content = (variant.source, variant.config.with_extraction(ExtractionConfig()))
        for name, other in seen.items():
            if other == content:
                raise PlanError(
                    f"{name} and {variant.name} are the same: on a table, only the settings of "
                    "learning count; to vary the features, compare audio"
                )
        seen[variant.name] = content


def reference_number(
    plan: Sequence[Planned], name: str | None, *, all_pairs: bool = False
) -> int | None:
    """Return the number of the reference, by default the first; None for all pairs.

    Raises
    ------
    PlanError
        If there is no variant of that name, or a name is given for all pairs.
    """
    if all_pairs:
        if name is not None:
            raise PlanError("--reference and --all-pairs exclude each other")
        return None
    names = [variant.name for variant in plan]
    if name is not None and name not in names:
        raise PlanError(f"--reference {name}: no such variant; there are {', '.join(names)}")
    return 0 if name is None else names.index(name)


def extraction_variants(plan: Iterable[Planned]) -> list[Planned]:
    """Return the first variant of each extraction, for variants of audio files."""
    first: dict[str, Planned] = {}
    for variant in plan:
        first.setdefault(variant.source, variant)
    return list(first.values())


def with_tables(
    plan: Iterable[Planned], tables: Mapping[str, FeatureTable]
) -> tuple[list[Variant], list[str]]:
    """Give each planned variant its table; see ``match_tracks`` for the notes and errors."""
    matched, notes = match_tracks(tables)
    of_source = dict(zip(tables, matched, strict=True))
    return [Variant(v.name, of_source[v.source], v.config) for v in plan], notes


@dataclass(frozen=True)
class Estimate:
    """The work of a comparison."""

    n_rounds: int  # cross-validations, which run one after the other
    n_folds: int  # of a round, which can run at the same time
    n_trainings: int  # of all variants and rounds
    seconds: float  # for all trainings, on one core


def estimate(variants: Sequence[Variant], repeats: int, *, search: bool = False) -> Estimate:
    """Estimate the work of ``compare``."""
    table, config = variants[0].table, variants[0].config
    published = table.folds is not None or table.split is not None
    n_rounds = 1 if published else repeats
    n_folds = count_folds(table, config)
    once = sum(
        training_seconds(v.table, v.config, search=search, calibrated=False) for v in variants
    )
    n_trainings = n_rounds * n_folds * len(variants)
    return Estimate(n_rounds, n_folds, n_trainings, n_rounds * n_folds * once)
