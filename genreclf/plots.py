"""Pictures of music, features and results, drawn by matplotlib into PNG, SVG or PDF files.

Colours are those of Okabe & Ito (2008), which colour-blind people can tell apart.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from genreclf.errors import GenreclfError, one_line
from genreclf.files import written_whole

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["COLOURS", "check_plot", "figure", "plot_timeline"]

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
FORMATS = (".png", ".svg", ".pdf")


def check_plot(path: Path) -> None:
    """Refuse what could not be drawn, before any work goes into it.

    Raises
    ------
    GenreclfError
        If the suffix is none of a picture's, or matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise GenreclfError(
            f"{path}: a picture's name ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        )
    try:
        import matplotlib.figure  # noqa: F401  is it there?
    except ImportError:
        raise GenreclfError(
            "pictures need matplotlib, which is not installed: pip install 'genreclf[plot]'"
        ) from None


@contextmanager
def figure(path: Path, width_inches: float = 8.0, height_inches: float = 5.0) -> Iterator["Figure"]:
    """Yield an empty figure, and write it when the block ends; whole or not at all.

    Raises
    ------
    GenreclfError
        As ``check_plot``.
    """
    check_plot(path)
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # Fonts stay text in SVG, and nothing of the date or of chance gets into a file.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "genreclf", "font.size": 9}):
        drawn = Figure((width_inches, height_inches), dpi=150, layout="constrained")
        yield drawn
        kind = path.suffix.lower().removeprefix(".")
        undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
        with written_whole(path) as aside:
            drawn.savefig(aside, format=kind, metadata=undated)


def plot_timeline(
    path: Path,
    borders: Sequence[float],
    probabilities: "NDArray[np.float64]",
    genres: Sequence[str],
    title: str = "",
) -> None:
    """Draw how the probabilities of genres change along a track, one on top of the other.

    Parameters
    ----------
    path : Path
        Picture to write.
    borders : sequence of n + 1 float
        Seconds between which each of n windows stands.
    probabilities : (n, n_genres) array
        NaN in a window of silence, which is left blank.
    genres : sequence of str
        Names of the columns. Of more than there are colours, the least probable are put together.
    title : str
    """
    import numpy as np
    from matplotlib.ticker import FuncFormatter

    order = np.argsort(-np.nansum(probabilities, axis=0), kind="stable")
    n_named = len(order) if len(order) <= len(COLOURS) else len(COLOURS) - 1
    shares = [probabilities[:, column] for column in order[:n_named]]
    names = [genres[column] for column in order[:n_named]]
    if n_named < len(order):
        shares.append(probabilities[:, order[n_named:]].sum(axis=1))
        names.append(f"{len(order) - n_named} others")
    colours = [*COLOURS[:n_named], *("#999999" for _ in names[n_named:])]
    with figure(path, 9, 4) as drawn:
        axes = drawn.subplots()
        below = np.zeros(len(probabilities))
        for share, name, colour in zip(shares, names, colours, strict=True):
            axes.stairs(
                below + share, borders, baseline=below, fill=True, color=colour,
                linewidth=0, label=_plain(name),
            )  # fmt: skip
            below = below + share
        axes.set(xlim=(borders[0], borders[-1]), ylim=(0, 1), xlabel="time (min:s)")
        axes.set_ylabel("probability")
        axes.set_title(_plain(title), loc="left")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x // 60:.0f}:{x % 60:02.0f}"))
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, reverse=True)


def _plain(text: str) -> str:
    """Keep names from being taken for formulas, hidden labels, or what steers a terminal."""
    line = one_line(text).replace("$", r"\$")
    return f"\N{ZERO WIDTH SPACE}{line}" if line.startswith("_") else line
