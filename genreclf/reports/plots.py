"""Pictures of music, features and results, drawn by matplotlib into PNG, SVG or PDF files.

The colours are those of Okabe & Ito (2008), which colour-blind readers can distinguish.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genreclf.errors import GenreclfError, one_line
from genreclf.files import written_whole

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from genreclf.learning.curves import LearningCurves
    from genreclf.reports.spectrograms import Spectrogram

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
FORMATS = (".png", ".svg", ".pdf")
MOST_GENRES = 60


def check_plot(path: Path, formats: Sequence[str] = FORMATS) -> None:
    """Check that a picture can be drawn, before any work is done.

    Parameters
    ----------
    path : Path
    formats : sequence of str
        The suffixes that its name may have.

    Raises
    ------
    GenreclfError
        If the suffix is not that of a picture, or matplotlib is not installed.
    """
    if path.suffix.lower() not in formats:
        raise GenreclfError(
            f"{path}: the name of a picture ends in {', '.join(formats[:-1])} or {formats[-1]}"
        )
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise GenreclfError(
            "pictures need matplotlib, which is not installed: pip install 'genreclf[plot]'"
        ) from None


@contextmanager
def figure(path: Path, width_inches: float = 8.0, height_inches: float = 5.0) -> Iterator["Figure"]:
    """Yield an empty figure, and write it when the block ends, completely or not at all.

    Raises
    ------
    GenreclfError
        As ``check_plot``.
    """
    check_plot(path)
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # Text stays text in SVG, and files hold no date and no random numbers.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "genreclf", "font.size": 9}):
        drawn = Figure((width_inches, height_inches), dpi=150, layout="constrained")
        yield drawn
        kind = path.suffix.lower().removeprefix(".")
        undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
        with written_whole(path) as aside:
            drawn.savefig(aside, format=kind, metadata=undated)


@dataclass(frozen=True, kw_only=True)
class TrackPicture:
    """What ``draw_track`` shows; times in seconds."""

    seconds_a_value: float  # of the following two
    peaks: "NDArray[np.float32]"  # (n,): largest magnitude of the waveform
    energies: "NDArray[np.float64]"  # (n,): mean square
    spans: list[tuple[float, float]]  # of the excerpts
    segments: list[tuple[float, float, str]]  # similar sections share a letter


def draw_track(path: Path, track: TrackPicture) -> None:
    """Draw the waveform, energy and sections of a track, and highlight the excerpts."""
    heights = [3, 2, 0.6] if track.segments else [3, 2]
    with figure(path, height_inches=4.4 if track.segments else 3.8) as drawn:
        waveform, energy, *below = drawn.subplots(
            len(heights), sharex=True, gridspec_kw={"height_ratios": heights}
        )
        seconds = [track.seconds_a_value * (i + 0.5) for i in range(len(track.peaks))]
        waveform.fill_between(seconds, -track.peaks, track.peaks, color="0.45", linewidth=0)
        waveform.set(ylabel="waveform", ylim=(-1.05, 1.05) if max(track.peaks) <= 1 else None)
        energy.plot(seconds, track.energies, color="0.3", linewidth=0.8)
        energy.set(ylabel="energy", ylim=(0, None))
        for sections in below:
            _draw_segments(sections, track.segments)
        for start, stop in track.spans:
            for axes in (waveform, energy):
                axes.axvspan(start, stop, color=COLOURS[5], alpha=0.25, linewidth=0, zorder=2)
            for axes in below:  # a tint would change the colours of the sections
                axes.axvspan(start, stop, fill=False, edgecolor=COLOURS[7], linewidth=2)
        first, last = track.spans[0], track.spans[-1]
        named = f"{first[0]:.1f} s to {first[1]:.1f} s"
        if len(track.spans) > 1:
            named = f"{len(track.spans)} excerpts, {first[0]:.1f} s to {last[1]:.1f} s"
        waveform.set_title(f"excerpt: {named}", fontsize="medium")
        drawn.axes[-1].set(xlabel="seconds", xlim=(0, track.seconds_a_value * len(track.peaks)))


def _draw_segments(axes: "Axes", segments: list[tuple[float, float, str]]) -> None:
    letters = sorted({letter for *_, letter in segments})
    colours = {letter: COLOURS[i % len(COLOURS)] for i, letter in enumerate(letters)}
    for start, stop, letter in segments:
        axes.axvspan(start, stop, facecolor=colours[letter], alpha=0.6, edgecolor="white")
        axes.text((start + stop) / 2, 0.5, letter, ha="center", va="center", clip_on=True)
    axes.set(yticks=[], ylim=(0, 1))
    axes.set_ylabel("sections", rotation=0, ha="right", va="center")


_VERDICTS: dict[str, dict[str, Any]] = {
    "better": {"color": COLOURS[2], "label": "better"},
    "worse": {"color": COLOURS[5], "label": "worse"},
    "noise": {"color": "0.45", "markerfacecolor": "white", "label": "within noise"},
    "same": {"color": "0.45", "markerfacecolor": "white", "label": "same predictions"},
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
        If there is one, each difference is in the row of its variant.
    """
    names = [_label(variant["name"]) for variant in variants]
    n_rows = max(len(variants), len(differences))
    # Pairs have longer names.
    with figure(path, 8.5 if reference is not None else 12, 1.5 + 0.3 * n_rows) as drawn:
        left, right = drawn.subplots(1, 2, sharey=reference is not None)
        for row, variant in enumerate(variants):
            _draw_estimate(left, row, variant["accuracy"], variant["accuracy_ci95"])
        _finish(left, names, "accuracy (%) with 95 % interval")
        rows = [variant["name"] for variant in variants]
        for i, found in enumerate(differences):
            row = i if reference is None else rows.index(found["variant"])
            style = _VERDICTS[found["verdict"]]
            _draw_estimate(right, row, found["difference"], found["difference_ci95"], **style)
        right.axvline(0, color="0.3", linewidth=0.8)
        if reference is None:
            pairs = [f"{_label(d['variant'])} minus {_label(d['reference'])}" for d in differences]
            _finish(right, pairs, "paired difference (points)")
        else:
            _finish(right, names, f"difference from {_label(reference)} (points)")
            right.tick_params(axis="y", labelleft=False)
        handles, labels = right.get_legend_handles_labels()
        by_label = dict(zip(labels, handles, strict=True))  # one per verdict
        drawn.legend(
            by_label.values(), by_label.keys(), loc="outside upper right", ncols=4, frameon=False
        )


def _draw_estimate(
    axes: "Axes", row: int, value: float, interval: Sequence[float], **style: Any
) -> None:
    low, high = interval
    # Rounding may put the value outside of its interval by the last digit.
    reach = [[max(0.0, 100 * (value - low))], [max(0.0, 100 * (high - value))]]
    axes.errorbar(
        100 * value, row, xerr=reach, fmt="o", capsize=3, **{"color": COLOURS[0], **style}
    )


def _finish(axes: "Axes", names: Sequence[str], what: str) -> None:
    """Label the rows, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel(what)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def draw_timeline(
    path: Path,
    borders: Sequence[float],
    probabilities: "NDArray[np.float64]",
    genres: Sequence[str],
    title: str = "",
) -> None:
    """Draw the probabilities of genres along a track, stacked.

    Parameters
    ----------
    path : Path
    borders : sequence of n + 1 float
        Borders of n windows, in seconds.
    probabilities : (n, n_genres) array
        NaN for a window of silence, which is left blank.
    genres : sequence of str
        Names of the columns. If there are more than colours, the least probable are merged.
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
                linewidth=0, label=_label(name),
            )  # fmt: skip
            below = below + share
        axes.set(xlim=(borders[0], borders[-1]), ylim=(0, 1), xlabel="time (min:s)")
        axes.set_ylabel("probability")
        axes.set_title(_label(title), loc="left")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x // 60:.0f}:{x % 60:02.0f}"))
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, reverse=True)


def draw_spectrograms(path: Path, spectrograms: Sequence["Spectrogram"], title: str = "") -> None:
    """Draw spectrograms one below the other, with the same colour scale."""
    with figure(path, 9, 1 + 2.6 * len(spectrograms)) as drawn:
        several = drawn.subplots(len(spectrograms), sharex=True, squeeze=False)[:, 0]
        for axes, shown in zip(several, spectrograms, strict=True):
            n_rows = len(shown.hz)
            image = axes.imshow(
                shown.decibels, cmap="magma", vmin=-80, vmax=0, origin="lower", aspect="auto",
                extent=(shown.start, shown.stop, -0.5, n_rows - 0.5), interpolation="nearest",
            )  # fmt: skip
            rows = sorted({round(i * (n_rows - 1) / 6) for i in range(7)})
            axes.set_yticks(rows, [f"{shown.hz[row]:.0f}" for row in rows])
            axes.set(ylabel="Hz", title=shown.name)
        several[-1].set_xlabel("seconds of the track")
        drawn.colorbar(image, ax=list(several), label="dB below the maximum", shrink=0.8)
        drawn.suptitle(_label(title, 80), fontsize="medium")


def draw_confusion(path: Path, genres: Sequence[str], matrix: Sequence[Sequence[int]]) -> None:
    """Draw a confusion matrix with its counts; colours are shares of each true genre.

    scikit-learn's ``ConfusionMatrixDisplay`` shows counts or shares, not both, and square matrices
    only.

    Parameters
    ----------
    path : Path
    genres : sequence of str
    matrix : rows of counts
        By true genre (rows) and predicted genre (columns). Rows without tracks are left out. If
        there are more than ``MOST_GENRES`` genres, the smallest are merged.
    """
    import numpy as np

    from genreclf.reports.confusion import largest_genres

    genres, counts = largest_genres(genres, np.array(matrix), MOST_GENRES)
    matrix = counts.tolist()
    shown = [(genre, row) for genre, row in zip(genres, matrix, strict=True) if sum(row)]
    shares = [[n / sum(row) for n in row] for _, row in shown]
    size = max(4.0, 1.6 + 0.42 * len(genres))
    with figure(path, size + 1.2, max(3.0, 1.4 + 0.42 * len(shown))) as drawn:
        axes = drawn.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for i, (_, row) in enumerate(shown):
            for j, n in enumerate(row):
                if n:
                    colour = "white" if shares[i][j] > 0.55 else "black"
                    axes.text(j, i, str(n), ha="center", va="center", color=colour, fontsize=8)
        axes.set_xticks(range(len(genres)), [_label(name, 20) for name in genres], rotation=90)
        axes.set_yticks(range(len(shown)), [_label(name, 20) for name, _ in shown])
        axes.set(xlabel="predicted", ylabel="true")
        drawn.colorbar(image, label="share of the true genre")


def draw_training(path: Path, curves: "LearningCurves", title: str = "") -> None:
    """Draw the loss, and the accuracy on the validation tracks, over the epochs of a training."""
    epochs = range(1, 1 + len(curves.loss))
    with figure(path, 8, 6 if curves.is_validated else 3.5) as drawn:
        several = drawn.subplots(1 + curves.is_validated, sharex=True, squeeze=False)[:, 0]
        several[0].plot(epochs, curves.loss, color=COLOURS[0], label="training tracks")
        several[0].set(ylabel="loss", ylim=(0, None))
        if curves.is_validated:
            apart = {"color": COLOURS[5], "label": "validation tracks"}
            several[0].plot(epochs, curves.validation_loss, **apart)
            several[1].plot(epochs, [100 * share for share in curves.validation_accuracy], **apart)
            several[1].set(ylabel="accuracy (%)", ylim=(0, 100))
        for axes in several:
            axes.axvline(
                curves.best_epoch, color="0.5", linestyle=":", label=f"epoch {curves.best_epoch}"
            )
            axes.grid(color="0.9")
        several[0].legend(frameon=False)
        several[-1].set(xlabel="epoch")
        drawn.suptitle(_label(title, 80), fontsize="medium")


def draw_features(
    path: Path, values: Mapping[str, Mapping[str, "NDArray[np.float32]"]], n_left_out: int = 0
) -> None:
    """Draw the distribution of features within each genre, as box plots.

    Boxes span the middle half of the tracks, with a line at the median; whiskers span 5 to 95 %.

    Parameters
    ----------
    path : Path
    values : mapping of feature to mapping of genre to (n,) array
    n_left_out : int
        Number of genres that are not shown, for a note in the picture.
    """
    n_columns = min(3, len(values))
    n_rows = -(-len(values) // n_columns)
    n_genres = max(map(len, values.values()))
    with figure(path, 3.4 * n_columns, n_rows * (0.9 + 0.24 * n_genres)) as drawn:
        several = drawn.subplots(n_rows, n_columns, squeeze=False, sharey=True).ravel()
        for axes in several[len(values) :]:
            axes.set_visible(False)
        for axes, (feature, by_genre) in zip(several, values.items(), strict=False):
            boxes = axes.boxplot(
                list(by_genre.values()), orientation="horizontal",
                whis=(5, 95), showfliers=False, patch_artist=True, widths=0.6,
                medianprops={"color": "black"},
            )  # fmt: skip
            for box in boxes["boxes"]:
                box.set_facecolor(COLOURS[4])
            axes.set_yticks(range(1, 1 + len(by_genre)), [_label(name, 20) for name in by_genre])
            axes.set_title(_label(feature, 44), fontsize="medium")
        several[0].invert_yaxis()  # which all share
        if n_left_out:
            drawn.supxlabel(f"{n_left_out} genres of fewer tracks are not shown", fontsize="small")


def _label(name: str, most: int = 32) -> str:
    """Shorten a name in the middle, and escape it for matplotlib.

    matplotlib reads text between dollars as mathematics, and hides labels that begin with ``_``.
    """
    text = one_line(name)
    text = text if len(text) <= most else f"{text[: most // 2]}…{text[-most // 2 :]}"
    text = text.replace("$", r"\$")
    return f"\N{ZERO WIDTH SPACE}{text}" if text.startswith("_") else text
