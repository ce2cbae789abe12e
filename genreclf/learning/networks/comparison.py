"""The learning curves of the optimisers on the same tracks, and whether they are as expected."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from genreclf.config.schema import Config
from genreclf.errors import ConfigError
from genreclf.learning.classifiers.convnet import Convnet
from genreclf.learning.curves import LearningCurves
from genreclf.learning.duplicates import copies_in
from genreclf.learning.networks.optimizers import Optimizer
from genreclf.learning.networks.paths import Expectation
from genreclf.learning.training import fit_model
from genreclf.tables.table import FeatureTable

# Usual learning rates: of momentum 0.9 Krizhevsky et al. 2012, of AdaGrad PyTorch's default, of
# RMSProp Hinton's lecture, of Adam Kingma & Ba 2015. With momentum 0.9, steps in one direction add
# up to ten times the rate, so RMSProp with momentum has a tenth of the rate without.
OPTIMIZERS = {
    "sgd": Optimizer("sgd", 0.01),
    "adagrad": Optimizer("adagrad", 0.01),
    "rmsprop": Optimizer("rmsprop", 0.001),
    "rmsprop-nesterov": Optimizer("rmsprop-nesterov", 0.0001),
    "adam": Optimizer("adam", 0.001),
}

Curves = Mapping[str, LearningCurves]  # by optimiser


def network_of(config: Config) -> Convnet:
    """Return the network of a configuration.

    Raises
    ------
    ConfigError
        If the classifier is no network, or its optimiser is set.
    """
    network = config.classifier
    if not isinstance(network, Convnet):
        raise ConfigError(f"classifier.name = {network.name!r}: the optimisers train only convnet")
    if network.optimizer != Optimizer():
        raise ConfigError(
            "classifier.optimizer: all optimisers are compared, each with its own values; leave "
            "it out"
        )
    return network


def learning_curves(table: FeatureTable, config: Config) -> Curves:
    """Train the network of a configuration with each optimiser, for all epochs.

    The seed gives all of them the same first weights, batches, crops and validation tracks.

    Raises
    ------
    ConfigError
        If ``network_of`` does, or a loss is not finite.
    TableError
        If the table has no spectrograms.
    """
    network, copies, found = network_of(config), copies_in(table.labelled()), {}
    for name, optimizer in OPTIMIZERS.items():
        changed = msgspec.structs.replace(network, optimizer=optimizer, patience=network.epochs)
        model = fit_model(table, msgspec.structs.replace(config, classifier=changed), copies=copies)
        found[name] = cast(LearningCurves, model.curves)  # which a network has
    return found


def expectations(curves: Curves) -> list[Expectation]:
    """Compare the losses with what Goodfellow, Bengio & Courville (2016, chapter 8) explain."""
    losses = {name: found.loss for name, found in curves.items()}
    best = {name: _epochs_to(min(loss), loss) for name, loss in losses.items()}
    to_sgd = {name: _epochs_to(min(losses["sgd"]), loss) for name, loss in losses.items()}
    to_rmsprop = _epochs_to(min(losses["rmsprop"]), losses["rmsprop-nesterov"])
    late = {name: 1 - loss[-1] / loss[(len(loss) - 1) // 2] for name, loss in losses.items()}
    first = {name: loss[0] for name, loss in losses.items()}
    return [
        Expectation(
            "sgd", "has one rate for all weights, so adam reaches its lowest loss in fewer epochs",
            f"sgd {_reached(best['sgd'])}, adam {_reached(to_sgd['adam'])}",
            to_sgd["adam"] < best["sgd"],
        ),
        Expectation(
            "adagrad", "takes ever shorter steps, so its loss falls less than rmsprop's in the end",
            f"by {late['adagrad']:.0%} in the second half of the epochs, rmsprop's by "
            f"{late['rmsprop']:.0%}",
            late["adagrad"] < late["rmsprop"],
        ),
        Expectation(
            "rmsprop", "adapts the rate of each weight, so it reaches sgd's lowest loss in fewer "
            "epochs",
            f"rmsprop {_reached(to_sgd['rmsprop'])}, sgd {_reached(best['sgd'])}",
            to_sgd["rmsprop"] < best["sgd"],
        ),
        Expectation(
            "rmsprop-nesterov", "gathers speed, so with a tenth of rmsprop's rate it reaches "
            "rmsprop's lowest loss as soon",
            f"rmsprop-nesterov {_reached(to_rmsprop)}, rmsprop {_reached(best['rmsprop'])}",
            to_rmsprop <= best["rmsprop"],
        ),
        Expectation(
            "adam", "corrects the bias of its first steps, so it is ahead of rmsprop in the first "
            "epoch",
            f"loss {first['adam']:.3g}, rmsprop {first['rmsprop']:.3g}",
            first["adam"] < first["rmsprop"],
        ),
    ]  # fmt: skip


def _epochs_to(level: float, losses: Sequence[float]) -> float:
    """Return the first epoch, from 1, with a loss no higher than ``level``; infinite if none."""
    return next((i for i, loss in enumerate(losses, 1) if loss <= level), float("inf"))


def _reached(epoch: float) -> str:
    return f"in epoch {epoch:g}" if epoch < float("inf") else "in no epoch"
