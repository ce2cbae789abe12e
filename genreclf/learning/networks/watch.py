"""Who watches the training of a network, epoch by epoch, and whether it may be interrupted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch that has ended.

    Attributes
    ----------
    number, n_epochs : int
        The first one is 1; there are at most ``n_epochs``.
    loss : float
        Of the training tracks.
    validation_loss, validation_accuracy : float or None
        Of the validation tracks; None without them.
    seconds_left : float
        If all epochs are run.
    """

    number: int
    n_epochs: int
    loss: float
    validation_loss: float | None
    validation_accuracy: float | None
    seconds_left: float


@dataclass(frozen=True)
class Watch:
    """What happens after an epoch, and at Ctrl-C.

    Attributes
    ----------
    on_epoch : callable
    interruptible : bool
        Whether Ctrl-C ends the training and keeps the best epoch so far. Otherwise it is an
        exception, as everywhere.
    """

    on_epoch: Callable[[Epoch], object] = lambda epoch: None
    interruptible: bool = False


_current: ContextVar[Watch] = ContextVar("watch", default=Watch())  # noqa: B039


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Watch the trainings within a block, of this process only."""
    token = _current.set(watch)
    try:
        yield
    finally:
        _current.reset(token)


def current_watch() -> Watch:
    """Return who watches at present."""
    return _current.get()
