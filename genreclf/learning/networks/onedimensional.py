"""The adversarial game in one dimension, where it can be watched.

A generator has to learn a normal distribution, or a mixture of two. With two modes, it may make
samples of one only: the mode collapse that minibatch discrimination was made for.
"""

from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm, wasserstein_distance

from genreclf.learning.augmentation.settings import Gan, GanOptimizer
from genreclf.learning.networks.adversarial import AdversarialNetworks, train_gan

Doubles = NDArray[np.float64]

# Means and standard deviations of the modes, which are equally probable.
DATA = {"gaussian": ((0.0,), (1.0,)), "two-modes": ((-1.5, 1.5), (0.5, 0.5))}

SETTINGS = Gan(
    activation="softplus",
    noise_dimensions=1,
    generator_layers=(8,),
    discriminator_layers=(16,),
    batch_size=16,
    steps=2500,
    optimizer=GanOptimizer(learning_rate=0.005, beta1=0.9),
)
GRID = np.linspace(-5, 5, 101)
N_SAMPLES = 1000
N_BINS = 20


@dataclass(frozen=True, eq=False)
class Moment:
    """What the networks do after a number of steps."""

    step: int
    generated: Doubles  # (N_SAMPLES,)
    judged: Doubles  # (len(GRID),): D, the probability of being data, in a batch of data


@dataclass(frozen=True, eq=False)
class Game:
    """One game, and how well the generator has learned.

    Attributes
    ----------
    settings : Gan
    moments : list of Moment
        From before the first step to the end.
    coverage : float
        See ``coverage``.
    distance : float
        Wasserstein distance between generated samples and data.
    """

    settings: Gan
    moments: list[Moment]
    coverage: float
    distance: float


def draw_data(data: str, n: int, seed: int) -> Doubles:
    """Draw n values of a data set, (n,)."""
    random = np.random.default_rng(seed)
    means, deviations = map(np.array, DATA[data])
    mode = random.integers(len(means), size=n)
    return means[mode] + deviations[mode] * random.standard_normal(n)


def density(data: str) -> Doubles:
    """Return the probability density of a data set on ``GRID``."""
    means, deviations = DATA[data]
    return np.mean([norm.pdf(GRID, *mode) for mode in zip(means, deviations, strict=True)], axis=0)


def coverage(values: Doubles, data: str) -> float:
    """Return the share of ``N_BINS`` equally probable bins of the data that hold a value."""
    means, deviations = DATA[data]
    modes = zip(means, deviations, strict=True)
    below = np.mean([norm.cdf(values, *mode) for mode in modes], axis=0)
    reached = np.unique(np.minimum(N_BINS * below, N_BINS - 1).astype(int))
    return len(reached) / N_BINS


def play(data: str, *, minibatch_discrimination: bool, seed: int = 0, n_moments: int = 2) -> Game:
    """Let a generator and a discriminator learn a data set.

    Parameters
    ----------
    data : str
        Key of ``DATA``.
    minibatch_discrimination : bool
    seed : int
        Of the data, the first weights, the batches and the noise.
    n_moments : int
        Moments that are kept, evenly spaced; the first is before the training.
    """
    settings = msgspec.structs.replace(SETTINGS, minibatch_discrimination=minibatch_discrimination)
    values = draw_data(data, 2 * N_SAMPLES, seed)
    kept = set(np.linspace(0, settings.steps, n_moments).astype(int).tolist())
    moments = []

    def watch(step: int, networks: AdversarialNetworks) -> None:
        if step in kept:
            generated = networks.sample(np.zeros(N_SAMPLES, dtype=int), seed)[:, 0]
            others = values[: settings.batch_size - 1]
            moments.append(Moment(step, generated, _judged(networks, others)))

    codes = np.zeros(len(values), dtype=int)
    train_gan(values[:, None], codes, settings, seed, on_step=watch)
    generated = moments[-1].generated
    distance = float(wasserstein_distance(generated, values))
    return Game(settings, moments, coverage(generated, data), distance)


def _judged(networks: AdversarialNetworks, others: Doubles) -> Doubles:
    """Return D for each value of ``GRID`` in a batch with others."""
    classes = torch.zeros(1 + len(others), dtype=torch.int64)
    logits = []
    with torch.no_grad():
        for value in GRID:
            batch = torch.as_tensor([value, *others], dtype=torch.float32)
            logits.append(float(networks.judge(batch[:, None], classes)[0]))
    return 1 / (1 + np.exp(-np.array(logits)))
