"""Intervals and tests keep what they promise, where the truth is known: artists are simulated."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).resolve().parents[1] / "benchmarks" / "statistics.py"


@pytest.fixture(scope="module")
def simulation() -> Any:
    spec = importlib.util.spec_from_file_location("benchmarked_statistics", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("n_artists", "n_tracks"), [(12, 10), (20, 5), (200, 1)])
def test_the_interval_holds_the_accuracy_on_new_artists(
    simulation: Any, n_artists: int, n_tracks: int
) -> None:
    covered, _, bias = simulation.coverage(simulation.World(n_artists, n_tracks, 1), 150)
    assert covered >= 0.9  # two standard errors below 95 %
    assert abs(bias) < 0.06  # ten folds of 12 artists are ten points too low


@pytest.mark.parametrize(("n_artists", "n_tracks"), [(12, 10), (200, 1)])
def test_random_labels_get_chance(simulation: Any, n_artists: int, n_tracks: int) -> None:
    """With ten folds, a genre that is tested would be trained on less than the others."""
    above, held = simulation.random_labels(simulation.World(n_artists, n_tracks, 1), 150)
    assert above == pytest.approx(0, abs=0.02)
    assert held >= 0.92


def test_chance_between_equally_good_tables_is_seldom_called_a_difference(simulation: Any) -> None:
    world = simulation.World(20, 5, 1)
    assert simulation.called_different(world, 60, simulation.apart) <= 0.1
    assert simulation.called_different(world, 30, simulation.better) >= 0.1
