"""The convolutional network of Choi, Fazekas, Sandler & Cho 2017, and its training in PyTorch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from genreclf.errors import ConfigError, GenreclfError
from genreclf.learning.classifiers.convnet import Convnet
from genreclf.learning.curves import LearningCurves, Stopped
from genreclf.learning.networks.batches import (
    Alteration,
    Spectrograms,
    crop_length,
    crops,
    shuffled_batches,
)
from genreclf.learning.networks.layers import POOLS, Pool, pools_for
from genreclf.learning.networks.optimizers import make_optimizer
from genreclf.learning.networks.runtime import check_loss, reproducible
from genreclf.learning.networks.watch import Epoch, current_watch

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]

_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")


class Network(nn.Module):
    """Five blocks of convolution, batch normalisation, max pooling and ELU, and a linear layer.

    The paper has ELU before the pooling, which gives the same values (see ``layers``) with eight
    times as many exponentials.

    Parameters
    ----------
    n_channels : int
        Of each block.
    n_classes : int
    pools : sequence of (int, int)
    random : numpy.random.Generator
        Draws the first weights: of the convolutions from a normal distribution as in He et al.
        2015, which the authors' code has.
    """

    def __init__(
        self, n_channels: int, n_classes: int, pools: Sequence[Pool], random: np.random.Generator
    ) -> None:
        super().__init__()
        self.pools = pools
        inputs = [1, *(n_channels for _ in POOLS[1:])]
        # Batch normalisation subtracts any bias.
        self.convolutions = nn.ModuleList(
            nn.Conv2d(n_in, n_channels, 3, padding=1, bias=False) for n_in in inputs
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(n_channels) for _ in POOLS)
        self.linear = nn.Linear(n_channels, n_classes)
        with torch.no_grad():
            for convolution in self.convolutions:
                _draw(convolution.weight, 2.0, random)
            _draw(self.linear.weight, 1.0, random)
            self.linear.bias.zero_()

    def forward(self, spectrograms: Tensor) -> Tensor:
        """Return the scores of (n, d, t), (n, n_classes)."""
        values = spectrograms[:, None].contiguous(memory_format=torch.channels_last)
        for convolution, norm, pool in zip(self.convolutions, self.norms, self.pools, strict=True):
            values = functional.elu(functional.max_pool2d(norm(convolution(values)), pool))
        return self.linear(values.flatten(1))

    def weights(self) -> dict[str, Floats]:
        """Return the weights as ``SpectrogramNetwork`` keeps them, with folded normalisation."""
        found = {}
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            kernel = convolution.weight * scale[:, None, None, None]
            found[f"kernel{i}"] = kernel.permute(2, 3, 1, 0)  # (3, 3, n_in, n_out)
            found[f"bias{i}"] = norm.bias - scale * norm.running_mean
        found |= {"linear": self.linear.weight.T, "offset": self.linear.bias}
        return {
            name: np.array(values.detach().cpu().numpy(), np.float32, order="C")
            for name, values in found.items()
        }


def _draw(weights: Tensor, gain: float, random: np.random.Generator) -> None:
    fan_in = weights[0].numel()
    drawn = random.normal(0, (gain / fan_in) ** 0.5, tuple(weights.shape))
    weights.copy_(torch.from_numpy(drawn.astype(np.float32)))


@dataclass(frozen=True, eq=False)
class Examples:
    """What a network learns from.

    Attributes
    ----------
    spectrograms : Spectrograms
    codes : (n_tracks,) array of int
        The class of each track.
    n_classes : int
    train, validation : arrays of int
        Tracks to learn from, and tracks whose loss decides when to stop.
    """

    spectrograms: Spectrograms
    codes: Indices
    n_classes: int
    train: Indices
    validation: Indices


@dataclass(frozen=True, eq=False)
class Trained:
    """The weights of the best epoch, and how it was found."""

    weights: dict[str, Floats]
    curves: LearningCurves
    scores: Floats  # of the validation tracks, (n, n_classes)


def train(examples: Examples, settings: Convnet, seed: int) -> Trained:
    """Train a network until the loss of the validation tracks has not fallen for a while.

    The same seed gives the same network on a CPU with the same number of threads.

    Raises
    ------
    ConfigError
        If the loss is not finite, or there is no such device.
    GenreclfError
        If memory runs out.
    """
    deterministic = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
    with reproducible(seed), deterministic, _memory_errors_explained(settings):
        torch.set_num_threads(settings.threads)
        training = _Training(examples, settings, seed)
        return training.best(training.run())


def find_device(name: str) -> str:
    """Return the device that ``auto`` means, or check that there is one of this name.

    Raises
    ------
    ConfigError
    """
    found = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return next(device for device, is_there in found.items() if is_there)
    if not found[name]:
        raise ConfigError(f"classifier.device = '{name}': PyTorch finds none here; use auto or cpu")
    return name


@contextmanager
def _memory_errors_explained(settings: Convnet) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(
            words in str(error) for words in _OUT_OF_MEMORY
        ):
            raise
        raise GenreclfError(
            f"the network is out of memory: lower classifier.batch_size ({settings.batch_size}), "
            f"classifier.crop ({settings.crop:g}) or classifier.channels ({settings.channels})"
        ) from None


@dataclass(eq=False)
class _Progress:
    """The epochs so far: loss, and loss and accuracy of the validation tracks; and the best one."""

    epochs: list[tuple[float, float | None, float | None]] = field(default_factory=list)
    best_epoch: int = 0
    weights: dict[str, Floats] = field(default_factory=dict)
    scores: Floats = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def curves(self, stopped: Stopped) -> LearningCurves:
        """Return the learning curves."""
        loss, validation_loss, accuracy = (
            [value for value in curve if value is not None]
            for curve in zip(*self.epochs, strict=True)
        )
        return LearningCurves(loss, validation_loss, accuracy, self.best_epoch, stopped)


class _Training:
    """A network that is being trained."""

    def __init__(self, examples: Examples, settings: Convnet, seed: int) -> None:
        self._examples, self._settings = examples, settings
        self._random = np.random.default_rng(seed)
        self._device = find_device(settings.device)
        spectrograms = examples.spectrograms
        length = crop_length(spectrograms.n_frames, settings.crop)
        self._alteration = Alteration(
            length, settings.mixup, settings.mask_bands, settings.mask_frames
        )
        pools = pools_for(len(spectrograms.mean), length)
        network = Network(settings.channels, examples.n_classes, pools, self._random)
        self.network = network.to(self._device, memory_format=torch.channels_last)
        self._optimizer = make_optimizer(network.parameters(), settings.optimizer)
        n_of_class = np.bincount(examples.codes[examples.train], minlength=examples.n_classes)
        balanced = len(examples.train) / np.maximum(n_of_class, 1) / examples.n_classes
        self._class_weights = self._tensor(balanced.astype(np.float32))
        self._n_steps = 0
        self.progress = _Progress()

    def run(self) -> Stopped:
        """Run epochs until there is a reason to stop, and return the reason."""
        watch, settings, start = current_watch(), self._settings, perf_counter()
        try:
            for number in range(1, settings.epochs + 1):
                self._run_epoch(number)
                left = (perf_counter() - start) / number * (settings.epochs - number)
                watch.on_epoch(Epoch(number, settings.epochs, *self.progress.epochs[-1], left))
                if number - self.progress.best_epoch >= settings.patience:
                    return "no improvement"
        except KeyboardInterrupt:
            if not (watch.interruptible and self.progress.best_epoch):
                raise
            return "interrupted"
        return "all epochs"

    def best(self, stopped: Stopped) -> Trained:
        """Return the weights of the best epoch."""
        progress = self.progress
        return Trained(progress.weights, progress.curves(stopped), progress.scores)

    def _run_epoch(self, number: int) -> None:
        progress, codes = self.progress, self._examples.codes[self._examples.validation]
        loss = self._learn()
        if not len(codes):
            progress.epochs.append((loss, None, None))
            progress.best_epoch, progress.weights = number, self.network.weights()
            return
        scores = self._validation_scores()
        targets = self._tensor(self._one_hot(codes))
        validation_loss = self._checked(float(self._loss(self._tensor(scores), targets)))
        accuracy = float(np.mean(scores.argmax(axis=1) == codes))
        earlier = (before for _, before, _ in progress.epochs if before is not None)
        least = min(earlier, default=np.inf)
        progress.epochs.append((loss, validation_loss, accuracy))
        if validation_loss < least:
            progress.weights, progress.scores = self.network.weights(), scores
            progress.best_epoch = number

    def _learn(self) -> float:
        """Learn from each training track once, and return the mean loss."""
        examples, random = self._examples, self._random
        self.network.train()
        total = 0.0
        for part in shuffled_batches(len(examples.train), self._settings.batch_size, random):
            rows = examples.train[part]
            altered, targets = self._alteration.apply(
                examples.spectrograms.read(rows), self._one_hot(examples.codes[rows]), random
            )
            total += self._step(self._tensor(altered), self._tensor(targets)) * len(rows)
        return total / len(examples.train)

    def _step(self, spectrograms: Tensor, targets: Tensor) -> float:
        def closure() -> float:
            self._optimizer.zero_grad()
            loss = self._loss(self.network(spectrograms), targets)
            loss.backward()
            return float(loss.detach())

        loss = self._optimizer.step(closure)
        self._n_steps += 1
        return self._checked(loss)

    def _checked(self, loss: float) -> float:
        rate = self._settings.optimizer.learning_rate
        check_loss(loss, self._n_steps, "classifier.optimizer.learning_rate", rate)
        return loss

    def _loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy, in which all classes weigh the same."""
        weighted = targets * self._class_weights
        return -(weighted * functional.log_softmax(scores, dim=1)).sum() / weighted.sum()

    def _validation_scores(self) -> Floats:
        """Return the mean scores of the crops of each validation track."""
        rows, size = self._examples.validation, self._settings.batch_size
        self.network.eval()
        found = []
        with torch.no_grad():
            for start in range(0, len(rows), size):
                whole = self._examples.spectrograms.read(rows[start : start + size])
                parts = crops(whole, self._alteration.length)
                scores = [self.network(self._tensor(part)) for part in parts]
                found.append(torch.stack(scores).mean(dim=0).cpu().numpy())
        return np.concatenate(found)

    def _one_hot(self, codes: Indices) -> Floats:
        return np.eye(self._examples.n_classes, dtype=np.float32)[codes]

    def _tensor(self, values: Floats) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)
