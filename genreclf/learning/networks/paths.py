"""The paths of optimisers on two functions, and whether they do what textbooks say of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genreclf.learning.networks.optimizers import Optimizer, make_optimizer

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Landscape:
    """A function of two weights, for numbers and tensors, where to start, and its minimum."""

    value: Callable[[Any, Any], Any]
    start: tuple[float, float]
    minimum: tuple[float, float]
    extent: tuple[float, float, float, float]  # what to draw: left, right, bottom, top


LANDSCAPES = {
    "quadratic": Landscape(
        lambda x, y: (x**2 + 20 * y**2) / 2, (-4.0, 1.5), (0.0, 0.0), (-4.5, 1.5, -2.0, 2.0)
    ),
    "Rosenbrock": Landscape(
        lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
        (-1.2, 1.0), (1.0, 1.0), (-1.8, 1.8, -0.7, 2.2),
    ),
}  # fmt: skip
N_STEPS = 500

# Near the largest learning rates with which each still settles on both functions.
OPTIMIZERS = {
    "sgd": Optimizer("sgd", 0.001, momentum=0.0),
    "adagrad": Optimizer("adagrad", 0.1),
    "rmsprop": Optimizer("rmsprop", 0.01),
    "rmsprop-nesterov": Optimizer("rmsprop-nesterov", 0.001),
    "adam": Optimizer("adam", 0.1),
}

Paths = Mapping[str, Mapping[str, Doubles]]  # by landscape and optimiser


def path(settings: Optimizer, landscape: Landscape, n_steps: int = N_STEPS) -> Doubles:
    """Follow an optimiser, (n_steps + 1, 2), from the start on."""
    weights = torch.tensor(landscape.start, dtype=torch.float64, requires_grad=True)
    optimizer = make_optimizer([weights], settings)

    def closure() -> float:
        optimizer.zero_grad()
        loss = landscape.value(*weights)
        loss.backward()
        return loss.item()

    points = [weights.detach().numpy().copy()]
    for _ in range(n_steps):
        optimizer.step(closure)
        points.append(weights.detach().numpy().copy())
    return np.array(points)


def all_paths() -> Paths:
    """Follow all optimisers on both functions."""
    return {
        name: {optimizer: path(settings, landscape) for optimizer, settings in OPTIMIZERS.items()}
        for name, landscape in LANDSCAPES.items()
    }


def losses(name: str, points: Doubles) -> Doubles:
    """Return the value of a landscape along a path, (n_steps + 1,)."""
    return LANDSCAPES[name].value(*points.T)


@dataclass(frozen=True)
class Expectation:
    """What a textbook leads to expect of an optimiser, and whether it was seen."""

    optimizer: str
    text: str
    measured: str
    seen: bool


def expectations(paths: Paths) -> list[Expectation]:
    """Compare the paths with what Goodfellow, Bengio & Courville (2016, chapter 8) explain."""
    bowl, valley = paths["quadratic"], paths["Rosenbrock"]
    lengths = {name: _lengths(points) for name, points in bowl.items()}
    ends = {name: float(losses("Rosenbrock", points)[-1]) for name, points in valley.items()}
    along, across = np.abs(bowl["sgd"][50] / bowl["sgd"][0])
    steps = lengths["adagrad"]
    first = {name: float(lengths[name][0]) / OPTIMIZERS[name].learning_rate for name in lengths}
    return [
        Expectation(
            "sgd", "is slow along a narrow valley, because the steep sides limit the learning rate",
            f"after 50 steps, {along:.0%} of the way along is left and {across:.0%} across",
            bool(along > 2 * across),
        ),
        Expectation(
            "adagrad", "accumulates squares that only grow, so its steps only shrink",
            f"steps from {steps[0]:.2g} to {steps[-1]:.2g}", bool((np.diff(steps) < 1e-12).all()),
        ),
        Expectation(
            "rmsprop", "forgets old squares, and goes on where adagrad has slowed down",
            f"loss {ends['rmsprop']:.2g}, adagrad {ends['adagrad']:.2g} in Rosenbrock's valley",
            ends["rmsprop"] < ends["adagrad"],
        ),
        Expectation(
            "rmsprop-nesterov", "gathers speed along the valley, with a tenth of rmsprop's rate",
            f"loss {ends['rmsprop-nesterov']:.2g}, rmsprop {ends['rmsprop']:.2g}",
            ends["rmsprop-nesterov"] < ends["rmsprop"],
        ),
        Expectation(
            "adam", "corrects the bias of its first steps, which rmsprop does not",
            f"first steps, in learning rates: {first['adam']:.2g} and {first['rmsprop']:.2g}",
            abs(first["adam"] - 2**0.5) < 0.01 < abs(first["rmsprop"] - 2**0.5),
        ),
    ]  # fmt: skip


def _lengths(points: Doubles) -> Doubles:
    return np.linalg.norm(np.diff(points, axis=0), axis=1)
