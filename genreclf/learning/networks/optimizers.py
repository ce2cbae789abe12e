"""Optimisers: the algorithms that train networks, and the settings of each."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from genreclf.config.sections import Positive, Section

if TYPE_CHECKING:
    from torch import Tensor
    from torch import optim as torch_optim

Share = Annotated[float, Meta(ge=0, lt=1)]

# The keys, besides the learning rate, that each optimiser reads.
_READS = {
    "sgd": ("momentum",),
    "adagrad": ("epsilon",),
    "rmsprop": ("rho", "epsilon"),
    "rmsprop-nesterov": ("rho", "momentum", "epsilon"),
    "adam": ("beta1", "beta2", "epsilon"),
}


class Optimizer(Section, frozen=True):
    """How the weights of a network follow the gradient of its loss."""

    name: Literal["sgd", "adagrad", "rmsprop", "rmsprop-nesterov", "adam"] = "adam"
    learning_rate: Positive = 0.001
    rho: Share = 0.9
    momentum: Share = 0.9
    beta1: Share = 0.9
    beta2: Share = 0.999
    epsilon: Positive = 1e-8

    def __post_init__(self) -> None:
        defaults = dict(zip(self.__struct_fields__, self.__struct_defaults__, strict=True))
        for key in set(defaults) - {"name", "learning_rate", *_READS[self.name]}:
            if getattr(self, key) != defaults[key]:
                readers = " or ".join(repr(name) for name, keys in _READS.items() if key in keys)
                raise ValueError(
                    f"{key} has no effect with name = {self.name!r}, only with {readers}"
                )


def make_optimizer(parameters: "Iterable[Tensor]", settings: Optimizer) -> "torch_optim.Optimizer":
    """Return the optimiser that the settings name.

    Call its ``step`` with a closure, which clears the gradients, computes the loss, calls
    ``backward`` and returns the loss. Nesterov momentum takes the gradient at another point than
    the current one, and the other optimisers accept a closure too.

    Parameters
    ----------
    parameters : iterable of torch.Tensor
        Weights to train.
    settings : Optimizer

    Notes
    -----
    The update of a weight with gradient g at step t, with learning rate η (Goodfellow, Bengio &
    Courville 2016, "Deep Learning"):

    - ``sgd`` (algorithm 8.2; 8.1 with momentum 0): v ← momentum · v - η g, and w ← w + v.
    - ``adagrad`` (8.4): r ← r + g², and w ← w - η g / (ε + √r). r only grows, so steps only shrink.
    - ``rmsprop`` (8.5): r ← ρ r + (1 - ρ) g², and w ← w - η g / √(ε + r). r forgets old gradients.
    - ``rmsprop-nesterov`` (8.6): v ← momentum · v - η g / √(ε + r), and w ← w + v, with r as before
      and g taken at w + momentum · v.
    - ``adam`` (8.7): s ← β1 s + (1 - β1) g, r ← β2 r + (1 - β2) g², and
      w ← w - η ŝ / (√r̂ + ε), with ŝ = s / (1 - β1ᵗ) and r̂ = r / (1 - β2ᵗ). The divisions correct
      the bias of s and r, which start at zero.
    """
    from torch import optim

    from genreclf.learning.networks.rmsprop import RMSProp

    rate, epsilon = settings.learning_rate, settings.epsilon
    match settings.name:
        case "sgd":
            return optim.SGD(parameters, rate, momentum=settings.momentum)
        case "adagrad":
            return optim.Adagrad(parameters, rate, eps=epsilon)
        case "rmsprop":
            return RMSProp(parameters, rate, settings.rho, epsilon=epsilon)
        case "rmsprop-nesterov":
            return RMSProp(parameters, rate, settings.rho, settings.momentum, epsilon)
        case "adam":
            return optim.Adam(parameters, rate, (settings.beta1, settings.beta2), epsilon)
