"""Generative adversarial networks (Goodfellow et al. 2014), conditional on a class.

A generator turns noise into samples. A discriminator judges whether a sample is of the data, with
the probability D. Both train at the same time: the discriminator to tell data and generated
samples apart, the generator to be taken for data.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import one_hot, softplus

from genreclf.learning.augmentation.settings import Gan
from genreclf.learning.networks.minibatch import MinibatchDiscrimination
from genreclf.learning.networks.optimizers import make_optimizer
from genreclf.learning.networks.runtime import check_loss, reproducible

Doubles = NDArray[np.float64]
Codes = NDArray[np.integer[Any]]


# Of the generator and of the discriminator, which has to pass on a gradient everywhere.
ACTIVATIONS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module]]] = {
    "relu": (nn.ReLU, partial(nn.LeakyReLU, 0.2)),
    "tanh": (nn.Tanh, nn.Tanh),
    "softplus": (nn.Softplus, nn.Tanh),
}


class Linear(nn.Module):
    """A linear layer. In torch.nn.Linear, weights are transposed, and drawn in another order.

    Parameters
    ----------
    n_inputs, n_outputs : int
    """

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(n_inputs)
        self.weights = nn.Parameter(torch.empty(n_inputs, n_outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_outputs).uniform_(-bound, bound))

    def forward(self, batch: Tensor) -> Tensor:
        """Return (n, n_outputs) from (n, n_inputs)."""
        return torch.addmm(self.bias, batch, self.weights)


class AdversarialNetworks(nn.Module):
    """A generator and a discriminator.

    Both also see the class of each sample, as in Mirza & Osindero 2014.

    Parameters
    ----------
    n_columns : int
        Of a sample.
    n_classes : int
    settings : Gan
    """

    def __init__(self, n_columns: int, n_classes: int, settings: Gan) -> None:
        super().__init__()
        self.settings, self.n_classes = settings, n_classes
        of_generator, of_discriminator = ACTIVATIONS[settings.activation]
        inputs = settings.noise_dimensions + n_classes
        widths = [inputs, *settings.generator_layers]
        output = Linear(widths[-1], n_columns)
        self.generator = nn.Sequential(*_hidden(widths, of_generator), output)
        widths = [n_columns + n_classes, *settings.discriminator_layers]
        judged, similarities = list(_hidden(widths, of_discriminator)), widths[-1]
        if settings.minibatch_discrimination:
            n_kernels, n_dimensions = settings.kernels, settings.kernel_dimensions
            judged.append(MinibatchDiscrimination(widths[-1], n_kernels, n_dimensions))
            similarities += n_kernels
        judged.append(Linear(similarities, 1))
        self.discriminator = nn.Sequential(*judged)

    def generate(self, classes: Tensor) -> Tensor:
        """Return a sample of each class, (n, n_columns), of codes (n,)."""
        noise = torch.randn(len(classes), self.settings.noise_dimensions)
        return self.generator(torch.cat((noise, one_hot(classes, self.n_classes)), -1))

    def judge(self, samples: Tensor, classes: Tensor) -> Tensor:
        """Return the logits of D for a batch of samples, (n,).

        D = 1 / (1 + exp(-logit)). With minibatch discrimination, the other samples of the batch
        have an influence.
        """
        seen = torch.cat((samples, one_hot(classes, self.n_classes)), -1)
        return self.discriminator(seen).squeeze(-1)

    def sample(self, codes: Codes, seed: int) -> Doubles:
        """Return samples of the classes, (n, n_columns), of codes (n,)."""
        with reproducible(seed), torch.no_grad():
            classes = torch.as_tensor(codes, dtype=torch.int64)
            return self.generate(classes).numpy().astype(np.float64)


def _hidden(widths: list[int], activation: Callable[[], nn.Module]) -> Iterator[nn.Module]:
    for n_inputs, n_outputs in pairwise(widths):
        yield Linear(n_inputs, n_outputs)
        yield activation()


def discriminator_loss(of_data: Tensor, of_generated: Tensor) -> Tensor:
    """Return the mean of -log D over data plus that of -log(1 - D) over generated samples.

    Parameters
    ----------
    of_data, of_generated : (n,) tensor
        Logits of D.
    """
    return softplus(-of_data).mean() + softplus(of_generated).mean()


def generator_loss(of_generated: Tensor, form: str) -> Tensor:
    """Return what the generator minimises, of the logits of D, (n,).

    In the minimax game, this is the mean of log(1 - D), the ``"saturating"`` form. Its gradient
    vanishes where the discriminator is sure. The ``"non-saturating"`` form, the mean of -log D,
    has the same fixed point and a large gradient there (Goodfellow et al. 2014, section 3).
    """
    if form == "saturating":
        return -softplus(of_generated).mean()
    return softplus(-of_generated).mean()


def train_gan(
    values: Doubles,
    codes: Codes,
    settings: Gan,
    seed: int,
    on_step: Callable[[int, AdversarialNetworks], object] = lambda step, networks: None,
) -> AdversarialNetworks:
    """Train adversarial networks on samples of one or more classes.

    Parameters
    ----------
    values : (n, n_columns) array
        Of about zero mean and unit variance.
    codes : (n,) array of int
        The class of each sample, from 0. All classes are drawn equally often.
    settings : Gan
    seed : int
    on_step : callable
        Called with the number of steps so far and the networks, before the first and after every
        step.

    Raises
    ------
    ConfigError
        If a loss is infinite or no number.
    """
    with reproducible(seed):
        networks = AdversarialNetworks(values.shape[1], int(codes.max()) + 1, settings)
        game = _Game(networks, _Batches(values, codes, settings.batch_size))
        on_step(0, networks)
        for step in range(1, settings.steps + 1):
            for loss in game.play():
                rate = settings.optimizer.learning_rate
                check_loss(loss, step, "gan.optimizer.learning_rate", rate)
            on_step(step, networks)
    return networks


class _Batches:
    """Random batches in which all classes are equally frequent."""

    def __init__(self, values: Doubles, codes: Codes, size: int) -> None:
        order = np.argsort(codes, kind="stable")
        self.values = torch.as_tensor(values[order], dtype=torch.float32)
        self.counts = torch.as_tensor(np.bincount(codes))
        self.starts = self.counts.cumsum(0) - self.counts
        self.size = size

    def classes(self) -> Tensor:
        """Draw the classes of a batch, (size,)."""
        return torch.randint(len(self.counts), (self.size,))

    def data(self, classes: Tensor) -> Tensor:
        """Draw a sample of each class, (size, n_columns)."""
        within = torch.rand(self.size) * self.counts[classes]
        return self.values[self.starts[classes] + within.long()]


class _Game:
    """The two players, who take steps in turn."""

    def __init__(self, networks: AdversarialNetworks, batches: _Batches) -> None:
        self.networks, self.batches = networks, batches
        players = networks.discriminator, networks.generator
        chosen = networks.settings.optimizer
        self.optimizers = [make_optimizer(player.parameters(), chosen) for player in players]

    def play(self) -> Iterator[float]:
        """Let the discriminator take a step, then the generator; yield their losses."""
        for optimizer, loss in zip(
            self.optimizers, (self._of_discriminator, self._of_generator), strict=True
        ):
            yield optimizer.step(partial(_with_gradients, optimizer, loss))

    def _of_discriminator(self) -> Tensor:
        classes = self.batches.classes()
        with torch.no_grad():
            generated = self.networks.generate(classes)
        of_data = self.networks.judge(self.batches.data(classes), classes)
        return discriminator_loss(of_data, self.networks.judge(generated, classes))

    def _of_generator(self) -> Tensor:
        classes = self.batches.classes()
        generated = self.networks.generate(classes)
        return generator_loss(self.networks.judge(generated, classes), self.networks.settings.loss)


def _with_gradients(optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> float:
    """Compute a loss and its gradients."""
    optimizer.zero_grad()
    found = loss()
    found.backward()
    return found.item()
