"""Learning curves: how the loss and the accuracy of a network change while it is trained."""

from typing import Literal

import msgspec

Stopped = Literal["all epochs", "no improvement", "interrupted"]


class LearningCurves(msgspec.Struct, frozen=True):
    """The training of a network, epoch by epoch.

    Attributes
    ----------
    loss : list of float
        Mean cross-entropy of the training tracks in each epoch, with class weights, crops and
        whatever else makes them harder.
    validation_loss, validation_accuracy : list of float
        Of the validation tracks; empty if there were none.
    best_epoch : int
        The epoch whose weights were kept, from 1: that of the lowest validation loss, or the last.
    stopped : str
        Why the training ended.
    """

    loss: list[float]
    validation_loss: list[float]
    validation_accuracy: list[float]
    best_epoch: int
    stopped: Stopped

    def __post_init__(self) -> None:
        n = len(self.loss)
        validated = {len(self.validation_loss), len(self.validation_accuracy)}
        if not (1 <= self.best_epoch <= n and validated in ({n}, {0})):
            raise ValueError("learning curves have a value for each epoch, or none")

    @property
    def is_validated(self) -> bool:
        """Whether there were validation tracks."""
        return bool(self.validation_loss)

    @property
    def was_interrupted(self) -> bool:
        """Whether the user stopped the training."""
        return self.stopped == "interrupted"

    def summary(self) -> str:
        """Describe the training in one line."""
        line = f"{len(self.loss)} epochs ({self.stopped}), the weights of epoch {self.best_epoch}"
        if not self.is_validated:
            return line
        best = self.best_epoch - 1
        return (
            f"{line}: {self.validation_accuracy[best]:.0%} of validation tracks correct, loss "
            f"{self.validation_loss[best]:.2f}"
        )
