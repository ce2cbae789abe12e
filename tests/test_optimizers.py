"""Each optimiser follows its published algorithm, step by step, in double precision."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from genreclf.learning.networks.optimizers import Optimizer, make_optimizer

torch = pytest.importorskip("torch", reason="needs PyTorch, the extra torch")

Doubles = NDArray[np.float64]
Gradient = Callable[[Doubles], Doubles]

STEPS, START = 100, (-1.2, 1.0)
FUNCTIONS = {
    "quadratic": lambda x, y: x**2 + 10 * y**2 + x * y,
    "Rosenbrock": lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
}
GRADIENTS: dict[str, Gradient] = {
    "quadratic": lambda w: np.array([2 * w[0] + w[1], 20 * w[1] + w[0]]),
    "Rosenbrock": lambda w: np.array(
        [2 * (w[0] - 1) - 400 * w[0] * (w[1] - w[0] ** 2), 200 * (w[1] - w[0] ** 2)]
    ),
}
SETTINGS = [
    Optimizer("sgd", 2e-4, momentum=0.0),
    Optimizer("sgd", 2e-4),
    Optimizer("adagrad", 0.1, epsilon=1e-7),
    Optimizer("rmsprop", 0.01, epsilon=1e-6),
    Optimizer("rmsprop", 0.01, rho=0.5),
    Optimizer("rmsprop-nesterov", 1e-3, epsilon=1e-12),
    Optimizer("rmsprop-nesterov", 1e-3, rho=0.99, momentum=0.5),
    Optimizer("adam", 0.05),
    Optimizer("adam", 0.05, beta1=0.5, beta2=0.9, epsilon=1e-4),
]


def published(settings: Optimizer, gradient: Gradient) -> Doubles:
    """Algorithms 8.2 and 8.4 to 8.7 of Goodfellow, Bengio & Courville 2016, (STEPS, 2)."""
    rate, rho, alpha, delta = (
        settings.learning_rate, settings.rho, settings.momentum, settings.epsilon
    )  # fmt: skip
    rho1, rho2 = settings.beta1, settings.beta2
    w, r, s, v, path = np.array(START), np.zeros(2), np.zeros(2), np.zeros(2), []
    for t in range(1, STEPS + 1):
        g = gradient(w + alpha * v if settings.name == "rmsprop-nesterov" else w)
        match settings.name:
            case "sgd":
                v = alpha * v - rate * g
            case "adagrad":
                r = r + g * g
                v = -rate / (delta + np.sqrt(r)) * g
            case "rmsprop":
                r = rho * r + (1 - rho) * g * g
                v = -rate / np.sqrt(delta + r) * g
            case "rmsprop-nesterov":
                r = rho * r + (1 - rho) * g * g
                v = alpha * v - rate / np.sqrt(delta + r) * g
            case "adam":
                s, r = rho1 * s + (1 - rho1) * g, rho2 * r + (1 - rho2) * g * g
                v = -rate * s / (1 - rho1**t) / (np.sqrt(r / (1 - rho2**t)) + delta)
        w = w + v
        path.append(w)
    return np.array(path)


def followed(settings: Optimizer, function: str) -> Doubles:
    weights = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = make_optimizer([weights], settings)
    path = []

    def closure() -> "torch.Tensor":
        optimizer.zero_grad()
        loss = FUNCTIONS[function](*weights)
        loss.backward()
        return loss

    for _ in range(STEPS):
        optimizer.step(closure)
        path.append(weights.detach().numpy().copy())
    return np.array(path)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_each_step_is_that_of_the_published_algorithm(settings: Optimizer, function: str) -> None:
    expected = published(settings, GRADIENTS[function])
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(followed(settings, function), expected, rtol=0, atol=1e-6)


def test_without_momentum_a_closure_is_not_needed() -> None:
    weights = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = make_optimizer([weights], SETTINGS[3])
    FUNCTIONS["quadratic"](*weights).backward()
    optimizer.step()
    first = published(SETTINGS[3], GRADIENTS["quadratic"])[0]
    np.testing.assert_allclose(weights.detach().numpy(), first, atol=1e-12)
    with pytest.raises(ValueError, match="closure"):
        make_optimizer([weights], SETTINGS[5]).step()


def test_weights_without_a_gradient_stay() -> None:
    used, unused = (torch.ones(2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    optimizer = make_optimizer([used, unused], SETTINGS[5])
    for _ in range(3):
        optimizer.step(lambda: (used**2).sum().backward())
    assert (unused == 1).all()
    assert (used < 1).all()


def test_a_state_that_was_saved_goes_on_as_before() -> None:
    settings = SETTINGS[5]
    weights = [torch.tensor(START, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    optimizers = [make_optimizer([each], settings) for each in weights]
    for turn in range(20):
        for one, optimizer in zip(weights, optimizers, strict=True):
            optimizer.zero_grad()
            optimizer.step(lambda one=one: FUNCTIONS["quadratic"](*one).backward())
        if turn == 9:
            optimizers[1] = make_optimizer([weights[1]], settings)
            optimizers[1].load_state_dict(copy.deepcopy(optimizers[0].state_dict()))
    np.testing.assert_array_equal(weights[0].detach().numpy(), weights[1].detach().numpy())
