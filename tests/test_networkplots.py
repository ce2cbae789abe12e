"""The pictures of optimisers and of the adversarial game show what was computed."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from helpers import run
from scipy.stats import norm

torch = pytest.importorskip("torch", reason="needs PyTorch, the extra torch")

from genreclf.learning.networks import onedimensional  # noqa: E402
from genreclf.learning.networks.onedimensional import coverage, draw_data, play  # noqa: E402


def test_coverage_counts_equally_probable_bins() -> None:
    middles = (np.arange(20) + 0.5) / 20
    assert coverage(norm.ppf(middles), "gaussian") == 1
    assert coverage(norm.ppf(middles[:7]), "gaussian") == 7 / 20
    assert coverage(np.array([-1e9, 1e9]), "two-modes") == 2 / 20
    assert coverage(draw_data("two-modes", 1000, 0), "two-modes") == 1
    one_mode = draw_data("two-modes", 1000, 0)
    assert 0.45 <= coverage(one_mode[one_mode > 0], "two-modes") <= 0.55


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = msgspec.structs.replace(onedimensional.SETTINGS, steps=20)
    monkeypatch.setattr(onedimensional, "SETTINGS", settings)
    monkeypatch.setattr(onedimensional, "GRID", np.linspace(-5, 5, 11))


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_the_game_is_drawn(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / f"g.{suffix}"
    done = run("plot", "gan", "--data", "gaussian", "-o", picture)
    assert done.exit_code == 0, done.output
    assert [line.partition(" ")[0] for line in done.stdout.splitlines()] == ["without", "with"]
    start = picture.read_bytes()[:8]
    assert start.startswith({"png": b"\x89PNG", "gif": b"GIF89a"}[suffix])


@pytest.mark.usefixtures("short")
def test_moments_are_from_before_the_training_to_its_end() -> None:
    game = play("two-modes", minibatch_discrimination=True, n_moments=3)
    assert [moment.step for moment in game.moments] == [0, 10, 20]
    for moment in game.moments:
        assert moment.generated.shape == (1000,)
        assert ((moment.judged > 0) & (moment.judged < 1)).all()


def test_optimisers_are_drawn_and_do_what_the_textbook_says(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = run("plot", "optimizers", "-o", tmp_path / "o.svg")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    names = ["sgd", "adagrad", "rmsprop", "rmsprop-nesterov", "adam"]
    assert [line.partition(" ")[0] for line in lines] == names
    assert all(": seen (" in line for line in lines)
    picture = (tmp_path / "o.svg").read_text(encoding="utf-8")
    assert all(f">{name}<" in picture for name in [*names, "quadratic", "Rosenbrock"])


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    done = run("plot", "optimizers", "-o", tmp_path / "o.gif")
    assert done.exit_code == 2
    done = run("plot", "gan", "-o", tmp_path / "g.mp4")
    assert done.exit_code == 2
    assert ".gif" in done.stderr


@pytest.mark.slow
def test_minibatch_discrimination_keeps_the_generator_from_collapsing() -> None:
    """Ten pairs of networks: on two modes, at least seven are better, by both measures."""
    without, with_ = (
        play("two-modes", minibatch_discrimination=how, n_networks=10) for how in (False, True)
    )
    better = (with_.coverages > without.coverages) & (with_.distances < without.distances)
    assert better.sum() >= 7
    assert with_.coverages.mean() > without.coverages.mean() + 0.3
