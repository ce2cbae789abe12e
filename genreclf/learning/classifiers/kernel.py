"""What the classifiers with a kernel machine share: its approximation for many tracks."""

from typing import Annotated, ClassVar, Literal, Self

import msgspec
from msgspec import Meta

from genreclf.config.sections import Positive
from genreclf.learning.classifiers.base import Classifier, Cost

# An exact machine takes half a minute for this many tracks, and time with the square of them.
EXACT_UP_TO = 20_000
N_COMPONENTS = 2000
EXACT = Cost(6.6, 1.8, 0.02)
APPROXIMATED = Cost(2.5, 1, 0.01)


class KernelClassifier(Classifier, frozen=True):
    """A classifier that is a support vector machine, or contains one."""

    C: Positive = 3.0
    kernel_approximation: Annotated[int, Meta(ge=10, le=20_000)] | Literal["auto", "off"] = "auto"
    kernel_of: ClassVar[str] = "its kernel"

    @property
    def description(self) -> str:
        """The name, and whether the kernel is approximated."""
        if isinstance(self.kernel_approximation, str):
            return self.name
        components = f"{self.kernel_approximation:,} components"
        return f"{self.name}, {self.kernel_of} approximated by {components}"

    def resolved(self, n_tracks: int) -> Self:
        """Approximate the kernel of a large table."""
        if self.kernel_approximation != "auto" or n_tracks <= EXACT_UP_TO:
            return self
        return msgspec.structs.replace(self, kernel_approximation=N_COMPONENTS)

    def machine_seconds(self, n_tracks: int, n_columns: int, n_genres: int) -> float:
        """Estimate the time of one fit of the machine, which an approximation shortens."""
        components = self.resolved(n_tracks).kernel_approximation
        if isinstance(components, str):
            return EXACT.estimate(n_tracks, n_columns, n_genres)
        # Most of the time is spent on the components, whose number does not depend on the columns.
        seconds = APPROXIMATED.estimate(n_tracks, 300, n_genres)
        return seconds * components / N_COMPONENTS
