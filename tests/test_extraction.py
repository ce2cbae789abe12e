"""Many tracks at once: what does not belong to one of them."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genreclf.config.schema import Config
from genreclf.extraction import tracks as extraction
from genreclf.extraction.tracks import Row, extract_tracks
from genreclf.features.measured import Measured
from genreclf.library.sources import Track


class InThisProcess:
    """Stands for worker processes."""

    def map(
        self, function: Callable[[Track], Any], items: Iterable[Track]
    ) -> Iterator[tuple[Track, Any]]:
        for item in items:
            yield item, function(item)


def test_warnings_in_workers_are_collected_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grumble(path: Path, config: Config) -> Measured:
        for _ in range(2):
            warnings.warn("too loud", RuntimeWarning, stacklevel=1)
        if path.name == "1.wav":
            warnings.warn("too low", UserWarning, stacklevel=1)
        return Measured(np.zeros(3, np.float32))

    monkeypatch.setattr(extraction, "measure", grumble)
    tracks = [Track(tmp_path / f"{i}.wav") for i in range(3)]
    outcomes = extract_tracks(tracks, Config(), InThisProcess())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert all(isinstance(next(outcomes), Row) for _ in tracks)
        assert caught == []
        assert list(outcomes) == []
    texts = [str(warning.message) for warning in caught]
    assert texts == ["too loud (3 files)", "too low"]
