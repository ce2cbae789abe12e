"""Pictures of music, features and results, drawn by matplotlib into PNG, SVG or PDF files.

Colours are those of Okabe & Ito (2008), which colour-blind people can tell apart.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from genreclf.errors import GenreclfError
from genreclf.files import written_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "check_plot", "figure"]

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
