"""PyTorch when it is asked for: its import, seeds and threads, and losses that are no numbers."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from genreclf.errors import ConfigError, GenreclfError


def require_torch(what: str) -> None:
    """Check that PyTorch is there, before any work is done.

    Parameters
    ----------
    what : str
        What needs it, for the message.

    Raises
    ------
    GenreclfError
        If it is not installed.
    """
    try:
        import torch  # noqa: F401
    except ImportError:
        raise GenreclfError(
            f"{what} needs PyTorch, which is not installed: pip install 'genreclf[torch]' (on "
            "Linux this can install gigabytes of CUDA; https://pytorch.org/get-started/locally/ "
            "has a smaller build for the CPU)"
        ) from None


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Let PyTorch draw from ``seed`` and use one thread; afterwards everything is as before.

    Sums that are split among threads round differently.
    """
    import torch

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(n_threads)


def check_loss(loss: float, step: int, key: str, learning_rate: float) -> None:
    """Refuse a loss that is infinite or no number: nothing can be learned after it.

    Parameters
    ----------
    loss : float
    step : int
        Steps so far, for the message.
    key : str
        Of the learning rate in the configuration.
    learning_rate : float

    Raises
    ------
    ConfigError
    """
    if not math.isfinite(loss):
        raise ConfigError(
            f"{key} = {learning_rate:g}: the loss is {loss} after {step} steps; lower it"
        )
