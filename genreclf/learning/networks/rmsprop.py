"""RMSProp as in Goodfellow, Bengio & Courville 2016, with and without Nesterov momentum."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class RMSProp(torch.optim.Optimizer):
    """RMSProp (algorithm 8.5), and RMSProp with Nesterov momentum (algorithm 8.6).

    ``torch.optim.RMSprop`` adds ε to the root instead of the mean square, and its momentum is that
    of a heavy ball: it takes the gradient before the velocity moves the weights, not after.

    Parameters
    ----------
    parameters : iterable of Tensor
    lr : float
        Learning rate.
    rho : float
        Share of the mean square that is kept at each step; the rest is the new squared gradient.
    momentum : float
        Share of the velocity that is kept at each step. 0 is plain RMSProp.
    epsilon : float
        Added to the mean square, so that its root is never zero.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-8,
    ) -> None:
        defaults = {"lr": lr, "rho": rho, "momentum": momentum, "epsilon": epsilon}
        super().__init__(parameters, defaults)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step.

        Parameters
        ----------
        closure : callable
            Computes the loss and the gradients, and returns the loss. Only without momentum may
            the gradients have been computed before.

        Raises
        ------
        ValueError
            If there is momentum, but no closure.
        """
        if closure is None and any(group["momentum"] for group in self.param_groups):
            raise ValueError(
                "Nesterov momentum takes the gradient at another point: step needs a closure that "
                "computes it"
            )
        with torch.no_grad():
            for weights, group in self._each():
                velocity = self.state[weights].get("velocity")
                if velocity is not None:
                    weights.add_(velocity.mul_(group["momentum"]))  # the interim point
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            for weights, group in self._each():
                if weights.grad is not None:
                    self._follow(weights, weights.grad, group)
        return loss

    def _each(self) -> Iterable[tuple[Tensor, dict[str, float]]]:
        return ((weights, group) for group in self.param_groups for weights in group["params"])

    def _follow(self, weights: Tensor, gradient: Tensor, group: dict[str, float]) -> None:
        """Move the weights on from the interim point, to which the velocity has moved them."""
        state = self.state[weights]
        if not state:
            state["mean_square"] = torch.zeros_like(weights)
            if group["momentum"]:
                state["velocity"] = torch.zeros_like(weights)
        squares = state["mean_square"].mul_(group["rho"])
        squares.addcmul_(gradient, gradient, value=1 - group["rho"])
        step = group["lr"] * gradient / (squares + group["epsilon"]).sqrt()
        weights.sub_(step)
        if "velocity" in state:
            state["velocity"].sub_(step)
