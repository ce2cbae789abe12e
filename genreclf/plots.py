"""Pictures of music, features and results, drawn by matplotlib into PNG, SVG or PDF files.

Colours are those of Okabe & Ito (2008), which colour-blind people can tell apart.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genreclf.errors import GenreclfError, one_line
from genreclf.files import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "check_plot", "draw_comparison", "figure"]

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


# Of a verdict: colour, whether the dot is filled, and what the legend calls it.
_VERDICTS = {
    "better": (COLOURS[2], True, "better"),
    "worse": (COLOURS[5], True, "worse"),
    "noise": ("0.45", False, "no more than noise"),
    "same": ("0.45", False, "the same answers"),
}


def draw_comparison(
    path: Path,
    variants: Sequence[Mapping[str, Any]],
    differences: Sequence[Mapping[str, Any]],
    reference: str | None,
) -> None:
    """Draw accuracies and their paired differences, each with its 95 % interval.

    Parameters
    ----------
    path : Path
    variants, differences : sequences of mappings
        ``variants`` and ``comparisons`` of ``Comparison.to_dict``.
    reference : str or None
        If there is one, differences stand in the row of their variant.
    """
    names = [_label(variant["name"]) for variant in variants]
    n_rows = max(len(variants), len(differences))
    with figure(path, 8.5, 1.5 + 0.3 * n_rows) as drawn:
        left, right = drawn.subplots(1, 2, sharey=reference is not None)
        for row, variant in enumerate(variants):
            _draw_estimate(left, row, variant["accuracy"], variant["accuracy_ci95"], COLOURS[0])
        _finish(left, names, "accuracy (%) with 95 % interval")
        rows = [variant["name"] for variant in variants]
        for i, found in enumerate(differences):
            colour, filled, words = _VERDICTS[found["verdict"]]
            _draw_estimate(
                right, i if reference is None else rows.index(found["variant"]),
                found["difference"], found["difference_ci95"], colour, filled, words,
            )  # fmt: skip
        right.axvline(0, color="0.3", linewidth=0.8)
        if reference is None:
            pairs = [f"{_label(d['variant'])} less {_label(d['reference'])}" for d in differences]
            _finish(right, pairs, "paired difference (points)")
        else:
            _finish(right, names, f"difference from {_label(reference)} (points)")
            right.tick_params(axis="y", labelleft=False)
        handles, words = right.get_legend_handles_labels()
        by_words = dict(zip(words, handles, strict=True))
        drawn.legend(
            by_words.values(), by_words.keys(), loc="outside upper right", ncols=4, frameon=False
        )


def _draw_estimate(
    axes: "Axes", row: int, value: float, interval: Sequence[float], colour: str,
    filled: bool = True, words: str = "",
) -> None:  # fmt: skip
    low, high = interval
    axes.errorbar(
        100 * value, row,
        # A bootstrap's interval need not hold the value to the last digit.
        xerr=[[max(0.0, 100 * (value - low))], [max(0.0, 100 * (high - value))]],
        fmt="o", color=colour, markerfacecolor=colour if filled else "white", capsize=3,
        label=words or None,
    )  # fmt: skip


def _finish(axes: "Axes", names: Sequence[str], what: str) -> None:
    """Name the rows, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel(what)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _label(name: str, most: int = 32) -> str:
    """Shorten a name in its middle, and leave nothing that matplotlib takes for mathematics."""
    text = one_line(name).replace("$", r"\$")
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-most // 2 :]}"
