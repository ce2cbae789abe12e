"""The pictures and curves of optimisers and of the adversarial game show what was computed."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from helpers import run
from sample_tables import blobs, song_table
from scipy.stats import norm

from genreclf.config.load import load_config, override
from genreclf.learning.curves import LearningCurves
from genreclf.learning.networks.optimizers import Optimizer
from genreclf.tables.columns import Columns
from genreclf.tables.reading import load_table

torch = pytest.importorskip("torch", reason="needs PyTorch, the extra torch")

from genreclf.learning.networks import comparison, onedimensional  # noqa: E402
from genreclf.learning.networks.comparison import expectations, learning_curves  # noqa: E402
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


def curves(*losses: float, start: float = 2.0) -> LearningCurves:
    return LearningCurves([start, *losses], [], [], 1, "all epochs")


def test_expectations_on_learning_curves_are_compared_with_the_losses() -> None:
    as_expected = {
        "sgd": curves(1.5, 1.4, 1.0),
        "adagrad": curves(1.2, 1.15, 1.1),
        "rmsprop": curves(1.3, 0.9, 0.5),
        "rmsprop-nesterov": curves(1.0, 0.6, 0.5),
        "adam": curves(0.9, 0.7, 0.6, start=1.8),
    }
    assert [found.seen for found in expectations(as_expected)] == [True] * 5
    first = expectations(as_expected)[0]
    assert (first.optimizer, first.measured) == ("sgd", "sgd in epoch 4, adam in epoch 2")
    assert "by 8%" in expectations(as_expected)[1].measured  # from 1.2 to 1.1
    none = expectations(dict.fromkeys(as_expected, curves(1.5, 1.4, 1.0)))
    # The same curve for all: only what asks for "as soon" is seen.
    assert [found.seen for found in none] == [False, False, False, True, False]
    slow = {**as_expected, "rmsprop-nesterov": curves(1.9, 1.8, 1.7)}
    found = expectations(slow)[3]
    assert not found.seen
    assert "rmsprop-nesterov in no epoch" in found.measured


@pytest.fixture(scope="module")
def mel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mel") / "mel.npz"
    song_table().save(path)
    return path


SMALL = [
    "classifier.channels=2", "classifier.epochs=3", "classifier.crop=1", "classifier.batch_size=8",
]  # fmt: skip


def with_settings(*settings: str) -> list[str]:
    return [part for text in settings for part in ("--set", text)]


def test_learning_curves_of_all_optimisers_are_drawn(mel: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "c.svg"
    done = run("plot", "optimizers", mel, *with_settings(*SMALL), "-o", picture)
    assert done.exit_code == 0, done.output
    names = ["sgd", "adagrad", "rmsprop", "rmsprop-nesterov", "adam"]
    assert [line.partition(" ")[0] for line in done.stdout.splitlines()] == names
    assert "5 trainings" in done.stderr
    text = picture.read_text(encoding="utf-8")
    assert all(f">{name}<" in text for name in [*names, "epoch"])
    assert "accuracy, validation tracks" in text


def test_all_optimisers_start_with_the_same_batches(
    mel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same optimiser under two names, the curves are the same; and patience ends none."""
    table = load_table(mel, Columns())
    monkeypatch.setattr(comparison, "OPTIMIZERS", dict.fromkeys("ab", Optimizer("sgd", 0.3)))
    config = load_config(overrides=["classifier.name=convnet", "classifier.patience=1", *SMALL])
    found = learning_curves(table, config)
    assert found["a"] == found["b"]
    assert (len(found["a"].loss), found["a"].stopped) == (3, "all epochs")
    other = learning_curves(table, override(config, ["seed=1"]))
    assert other["a"].loss != found["a"].loss


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["classifier.name=svm"], "classifier.name = 'svm'"),
        (["classifier.optimizer.learning_rate=0.1"], "classifier.optimizer"),
    ],
)
def test_settings_without_meaning_are_refused(
    settings: list[str], message: str, mel: Path, tmp_path: Path
) -> None:
    done = run("plot", "optimizers", mel, *with_settings(*settings), "-o", tmp_path / "c.png")
    assert done.exit_code == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_table_without_spectrograms_is_refused(tmp_path: Path) -> None:
    blobs().save(tmp_path / "t.csv")
    done = run("plot", "optimizers", tmp_path / "t.csv", "-o", tmp_path / "c.png")
    assert done.exit_code == 1
    assert "--config convnet-input" in done.stderr
    done = run("plot", "optimizers", "--set", "seed=1", "-o", tmp_path / "c.png")
    assert done.exit_code == 2


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    done = run("plot", "optimizers", "-o", tmp_path / "o.gif")
    assert done.exit_code == 2
    done = run("plot", "gan", "-o", tmp_path / "g.mp4")
    assert done.exit_code == 2
    assert ".gif" in done.stderr


@pytest.mark.slow
def test_minibatch_discrimination_keeps_the_generator_from_collapsing() -> None:
    """Ten seeds: on two modes, at least seven games are better, by both measures."""
    games = [
        [play("two-modes", minibatch_discrimination=how, seed=seed) for how in (False, True)]
        for seed in range(10)
    ]
    better = [
        with_.coverage > without.coverage and with_.distance < without.distance
        for without, with_ in games
    ]
    assert sum(better) >= 7
    gains = [with_.coverage - without.coverage for without, with_ in games]
    assert np.mean(gains) > 0.3
