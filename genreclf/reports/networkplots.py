"""Pictures of how networks learn: paths and curves of optimisers, and the adversarial game."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genreclf.files import written_whole
from genreclf.reports.plots import COLOURS, FORMATS, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from genreclf.learning.networks.comparison import Curves
    from genreclf.learning.networks.onedimensional import Game, Moment
    from genreclf.learning.networks.paths import Paths

ANIMATION = ".gif"
GAME_FORMATS = (*FORMATS, ANIMATION)
FRAMES_PER_SECOND = 6
BINS = 50


def draw_optimizers(path: Path, paths: "Paths") -> None:
    """Draw paths of optimisers over contours, and the loss after each step.

    Parameters
    ----------
    path : Path
    paths : mapping of landscape to mapping of optimiser to (n, 2) array
    """
    import numpy as np

    from genreclf.learning.networks.paths import LANDSCAPES, losses

    with figure(path, 10, 7) as drawn:
        several = drawn.subplots(2, len(paths), squeeze=False)
        for (name, of_landscape), (above, below) in zip(paths.items(), several.T, strict=True):
            landscape = LANDSCAPES[name]
            left, right, bottom, top = landscape.extent
            x, y = np.meshgrid(np.linspace(left, right, 201), np.linspace(bottom, top, 201))
            heights = np.log10(landscape.value(x, y) + 1e-3)
            above.contour(x, y, heights, levels=14, colors="0.8", linewidths=0.6)
            for colour, (optimizer, points) in zip(COLOURS, of_landscape.items(), strict=False):
                above.plot(*points.T, color=colour, linewidth=1.2, label=optimizer)
                below.semilogy(losses(name, points) + 1e-12, color=colour, linewidth=1.2)
            above.plot(*landscape.minimum, "k*")
            above.set(title=name, xlim=(left, right), ylim=(bottom, top))
            below.set(xlabel="step", ylabel="loss", ylim=(1e-6, None))
        several[0, 0].legend(fontsize="small", loc="lower left")


def draw_learning_curves(path: Path, curves: "Curves") -> None:
    """Draw the loss, and the accuracy on the validation tracks, of several trainings.

    Parameters
    ----------
    path : Path
    curves : mapping of optimiser to LearningCurves
    """
    is_validated = all(found.is_validated for found in curves.values())
    with figure(path, 8, 6 if is_validated else 3.5) as drawn:
        several = drawn.subplots(1 + is_validated, sharex=True, squeeze=False)[:, 0]
        for colour, (optimizer, found) in zip(COLOURS, curves.items(), strict=False):
            epochs = range(1, 1 + len(found.loss))
            several[0].plot(epochs, found.loss, color=colour, label=optimizer)
            if is_validated:
                accuracies = [100 * share for share in found.validation_accuracy]
                several[1].plot(epochs, accuracies, color=colour)
        several[0].set(ylabel="loss, training tracks")
        if is_validated:
            several[1].set(ylabel="accuracy, validation tracks (%)", ylim=(0, 100))
        for axes in several:
            axes.grid(color="0.9")
        several[0].legend(frameon=False)
        several[-1].set(xlabel="epoch")


def draw_games(path: Path, data: str, games: "Sequence[Game]") -> None:
    """Draw data, generated samples and the discriminator's judgement during games, one a row.

    Parameters
    ----------
    path : Path
        A picture shows the moments before, during and after training beside each other; in a
        ``.gif`` file, they follow one another.
    data : str
        Key of ``onedimensional.DATA``.
    games : sequence of Game
        With the same number of moments.
    """
    n_moments = len(games[0].moments)
    if path.suffix.lower() == ANIMATION:
        _animate(path, data, games)
        return
    shown = [0, n_moments // 5, n_moments - 1]
    with figure(path, 10, 2.6 * len(games)) as drawn:
        grid = drawn.subplots(len(games), len(shown), squeeze=False, sharex=True)
        for row, game in zip(grid, games, strict=True):
            for axes, moment in zip(row, shown, strict=True):
                _draw_moment(axes, data, game.moments[moment])
            row[0].set_ylabel(_title(game))
        _label_lines(drawn, grid[0, 0])


def _animate(path: Path, data: str, games: "Sequence[Game]") -> None:
    """Write an animation, in which the last moment stays for two seconds."""
    from matplotlib.animation import PillowWriter
    from matplotlib.figure import Figure

    drawn = Figure((4.2 * len(games), 3.2), dpi=80, layout="constrained")
    grid = drawn.subplots(1, len(games), squeeze=False)[0]
    n_moments = len(games[0].moments)
    order = [*range(n_moments), *[n_moments - 1] * (2 * FRAMES_PER_SECOND)]
    with written_whole(path) as aside:
        writer = PillowWriter(fps=FRAMES_PER_SECOND)
        with writer.saving(drawn, aside, dpi=80):
            for number in order:
                for axes, game in zip(grid, games, strict=True):
                    axes.clear()
                    _draw_moment(axes, data, game.moments[number])
                    axes.set_xlabel(_title(game))
                if number == 0:
                    _label_lines(drawn, grid[0])
                writer.grab_frame()


def _title(game: "Game") -> str:
    return "with minibatch discr." if game.settings.minibatch_discrimination else "without"


def _draw_moment(axes: "Axes", data: str, moment: "Moment") -> None:
    from genreclf.learning.networks.onedimensional import GRID, density

    axes.hist(
        moment.generated, bins=BINS, range=(GRID[0], GRID[-1]), density=True, color=COLOURS[4],
        label="generated",
    )  # fmt: skip
    axes.plot(GRID, density(data), color=COLOURS[7], label="data")
    axes.plot(GRID, moment.judged, color=COLOURS[5], linestyle="--", label="D: taken for data")
    axes.axhline(0.5, color="0.7", linewidth=0.6, zorder=0)
    axes.set(ylim=(0, 1.05), xlim=(GRID[0], GRID[-1]), title=f"step {moment.step}")


def _label_lines(drawn: "Figure", axes: "Axes") -> None:
    handles: Any
    handles, labels = axes.get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
