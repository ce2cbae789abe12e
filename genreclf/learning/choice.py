"""Choose the model for predictions, and the confidence below which they are ``unknown``."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from genreclf.learning.modelfile import bundled_model

if TYPE_CHECKING:
    from genreclf.learning.model import Model
    from genreclf.learning.thresholds import Threshold


def default_model() -> tuple[Path, str]:
    """Return the model of this folder, of GENRECLF_MODEL, or the bundled one; and which it is."""
    if (own := Path("model.joblib")).exists():
        return own, f"{own} in this folder"
    if named := os.environ.get("GENRECLF_MODEL"):
        return Path(named), f"{named} (GENRECLF_MODEL)"
    return bundled_model(), (
        "the bundled one (ten Western genres as of 2001); it is correct for five to seven of ten "
        "songs, and 'genreclf train' makes one for your genres"
    )


@dataclass(frozen=True)
class ModelChoice:
    """A model file and a threshold.

    Attributes
    ----------
    path : Path
    trusted : bool
        See ``Model.load``.
    threshold : float, "auto" or None
        Confidence below which the prediction is ``unknown``; ``"auto"`` is the one that the model's
        evaluation suggests, None the one that the model has.
    """

    path: Path
    trusted: bool = False
    threshold: float | Literal["auto"] | None = None

    def load(self) -> "tuple[Model, Threshold | None]":
        """Load the model; also return the threshold that ``"auto"`` found."""
        from genreclf.learning.model import Model  # slow to import; a model is chosen first

        model = Model.load(self.path, trusted=self.trusted)
        if self.threshold is None:
            return model, None
        if self.threshold != "auto":
            return replace(model, threshold=self.threshold), None
        found = model.sensible_threshold()
        return replace(model, threshold=found.confidence), found
