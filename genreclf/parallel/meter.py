"""Counting what is done, and estimating the time left."""

import time
from collections.abc import Callable


def duration(seconds: float) -> str:
    """Round seconds for people."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def rate(n: int, seconds: float, unit: str = "tracks") -> str:
    """Return the number of items per second, as text."""
    speed = n / max(seconds, 1e-3)
    return f"{speed:.{2 if speed < 1 else 1 if speed < 100 else 0}f} {unit}/s"


class Meter:
    """Counts what is done, and estimates the time left.

    The estimate uses only the pace of items that were computed: not that of cached ones, nor the
    first, which includes the start of the workers.
    """

    def __init__(
        self, total: int | None, unit: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total, self.unit = total, unit
        self.done = self.failed = self.cached = 0
        self._clock = clock
        self._started = self._last = clock()
        self._paced, self._paced_seconds = 0, 0.0
        self.on_advance: Callable[[], object] = lambda: None

    def __call__(self, *, failed: bool = False, cached: bool = False) -> None:
        """Count one item."""
        now = self._clock()
        if not cached and self.done > self.cached:
            self._paced += 1
            self._paced_seconds += now - self._last
        self._last = now
        self.done += 1
        self.failed += failed
        self.cached += cached
        self.on_advance()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self._clock() - self._started

    @property
    def seconds_left(self) -> float | None:
        """None as long as the pace is unknown."""
        if self.total is None or not self._paced:
            return None
        return (self.total - self.done) * self._paced_seconds / self._paced

    def __str__(self) -> str:
        """Return rate, time left and failures; empty if the total is unknown."""
        if self.total is None or not self.done:
            return ""
        left = self.seconds_left
        n, seconds = (
            (self.done, self.seconds) if left is None else (self._paced, self._paced_seconds)
        )
        parts = [rate(n, seconds, self.unit)] if self.unit else []
        parts += [f"{duration(left)} left"] if left is not None else []
        parts += [f"{self.failed} failed"] if self.failed else []
        return ", ".join(parts)
