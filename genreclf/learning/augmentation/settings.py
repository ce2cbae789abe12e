"""What a configuration says about augmentation: the method, and the settings of the GAN."""

from itertools import pairwise
from typing import Annotated, Literal

from msgspec import Meta

from genreclf.config.sections import Count, Section
from genreclf.learning.networks.optimizers import Optimizer, Share

Augment = Literal["none", "oversample", "smote", "gaussian", "gan"]

Width = Annotated[int, Meta(ge=1, le=10_000)]
Layers = Annotated[tuple[Width, ...], Meta(min_length=1, max_length=16)]


class GanOptimizer(Optimizer, frozen=True):
    """How the weights of the GAN follow the gradients of their losses."""

    beta1: Share = 0.5  # with 0.9, the players overshoot each other (Radford et al. 2015)


class Gan(Section, frozen=True):
    """The generative adversarial network of ``augment = "gan"``."""

    loss: Literal["saturating", "non-saturating"] = "non-saturating"
    activation: Literal["relu", "tanh", "softplus"] = "relu"
    noise_dimensions: Annotated[int, Meta(ge=1, le=10_000)] = 16
    generator_layers: Layers = (64,)
    discriminator_layers: Layers = (128,)
    minibatch_discrimination: bool = True
    kernels: Annotated[int, Meta(ge=1, le=1000)] = 6
    kernel_dimensions: Annotated[int, Meta(ge=1, le=1000)] = 2
    batch_size: Annotated[int, Meta(ge=2, le=10_000)] = 64
    steps: Count = 500
    optimizer: GanOptimizer = GanOptimizer()

    @property
    def seconds(self) -> float:
        """Estimate how long one training takes on one core; measured with 60 columns."""
        networks = self.generator_layers, self.discriminator_layers
        n_weights = sum(a * b for widths in networks for a, b in pairwise((60, *widths)))
        n_compared = self.kernels * self.kernel_dimensions * self.minibatch_discrimination
        per_step = (
            2e-3 + 3e-10 * self.batch_size * n_weights + 35e-9 * self.batch_size**2 * n_compared
        )
        return self.steps * per_step

    def __post_init__(self) -> None:
        if sum(self.discriminator_layers) <= sum(self.generator_layers):
            raise ValueError(
                f"discriminator_layers have {sum(self.discriminator_layers)} units, but need more "
                f"than the {sum(self.generator_layers)} of generator_layers"
            )
