"""The learning curves in the HTML report: two charts of lines over epochs."""

from typing import Any

from genreclf.learning.curves import LearningCurves

WIDTH, HEIGHT, MARGIN = 640, 180, 10


def curve_charts(curves: LearningCurves) -> dict[str, Any]:
    """Return charts of loss and accuracy, as the template draws them.

    Returns
    -------
    dict
        Charts, each with lines of points in an area of ``width`` by ``height``, the horizontal
        place of the best epoch, and a summary.
    """
    n = len(curves.loss)
    highest = max([*curves.loss, *curves.validation_loss, 1e-9])
    charts = [_chart("Loss", highest, {
        "training tracks": curves.loss, "validation tracks": curves.validation_loss
    })]  # fmt: skip
    if curves.is_validated:
        lines = {"validation tracks": curves.validation_accuracy}
        charts.append(_chart("Accuracy", 1.0, lines))
    return {
        "charts": charts,
        "best_x": round(_x(curves.best_epoch - 1, n), 1),
        "n_epochs": n,
        "summary": curves.summary(),
        "width": WIDTH,
        "height": HEIGHT,
        "bottom": HEIGHT - MARGIN,
    }


def _chart(name: str, highest: float, lines: dict[str, list[float]]) -> dict[str, Any]:
    drawn = {
        label: " ".join(
            f"{_x(i, len(values)):.1f},{_y(value / highest):.1f}" for i, value in enumerate(values)
        )
        for label, values in lines.items()
        if values
    }
    return {"name": name, "highest": f"{highest:.3g}", "lines": drawn}


def _x(epoch: int, n_epochs: int) -> float:
    return MARGIN + (WIDTH - 2 * MARGIN) * epoch / max(1, n_epochs - 1)


def _y(share: float) -> float:
    return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * share
