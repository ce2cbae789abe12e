"""A comparison as text: accuracies, differences, and whether they are more than noise."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from genreclf.reports.console import Records, print_line, print_notes, printable, right
from genreclf.reports.evaluation import how_measured

_DIFFERENCE = ("points", "95 %", "p")


def comparison_report(result: dict[str, Any], console: Console) -> None:
    """Print what ``Comparison.to_dict`` returns."""
    groups, repeats = result["n_groups"], result["splits"]["n_repeats"]
    tracks = f"{result['n_tracks']} tracks" + (f" in {groups} groups" if groups else "")
    times = f", {repeats} times" if repeats > 1 else ""
    print_line(f"{tracks}, {how_measured(result['splits'])}{times}", console)
    console.print(_variants_table(result))
    if result["reference"] is None:
        console.print(_pairs_table(result))
    for line in comparison_lines(result):
        print_line(printable(line), console)
    print_notes(result["notes"], console)


def _variants_table(result: dict[str, Any]) -> Table:
    """One row per variant; with a reference, also the difference from it."""
    found = {} if result["reference"] is None else {
        difference["variant"]: difference for difference in result["comparisons"]
    }  # fmt: skip
    columns = ["columns", "accuracy", "95 %", *(_DIFFERENCE if found else ())]
    table = Records("variant", *map(right, columns), *(["verdict"] if found else []))
    for variant in result["variants"]:
        low, high = variant["accuracy_ci95"]
        cells = [
            str(variant["n_columns"]),
            f"{variant['accuracy']:.1%}",
            f"{low:.0%} to {high:.0%}",
        ]
        if variant["name"] in found:
            cells += _difference_cells(found[variant["name"]])
        elif found:
            cells += ["", "", "", "reference"]
        table.add_row(printable(variant["name"]), *cells)
    return table


def _pairs_table(result: dict[str, Any]) -> Table:
    table = Records("variant", "reference", *map(right, _DIFFERENCE), "verdict")
    for found in result["comparisons"]:
        names = printable(found["variant"]), printable(found["reference"])
        table.add_row(*names, *_difference_cells(found))
    return table


def _difference_cells(found: dict[str, Any]) -> list[str]:
    low, high = found["difference_ci95"]
    interval = f"{100 * low:+.1f} to {100 * high:+.1f}"
    points = f"{100 * found['difference']:+.1f}"
    return [points, interval, _p(found["p_holm"]), found["verdict"]]


def comparison_lines(result: dict[str, Any]) -> list[str]:
    """State which differences are more than noise, from ``Comparison.to_dict``."""
    found = result["comparisons"]
    return [*map(_difference_line, found), *_test_lines(found, result), *_detectable_lines(found)]


def _difference_line(found: dict[str, Any]) -> str:
    variant, reference = found["variant"], found["reference"]
    if found["verdict"] == "same":
        return f"{variant} and {reference} predict the same genre for every track"
    points, (low, high) = 100 * found["difference"], found["difference_ci95"]
    p_values = f"p {_equals(found['p_holm'])}"
    if found["test"] in ("t", "group_t"):
        p_values += f", by permutation {_p(found['permutation']['p_value'])}"
    elif found["t_test"] is not None:
        p_values += f", by t-test {_p(found['t_test']['p_value'])}"
    facts = f"(95 % {100 * low:.1f} to {100 * high:.1f}; {p_values})"
    if found["verdict"] == "noise":
        return f"{variant} differs from {reference} by {points:+.1f} points, within noise {facts}"
    return f"{variant} is {found['verdict']} than {reference} by {abs(points):.1f} points {facts}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def _equals(p_value: float) -> str:
    return _p(p_value) if p_value < 0.001 else f"= {_p(p_value)}"


def _test_lines(found: Sequence[dict[str, Any]], result: dict[str, Any]) -> list[str]:
    """State which test decides, and why."""
    n_folds = len(result["splits"]["n_test"])
    n_units = found[0]["permutation"]["n_units"]
    single = "tracks" if n_units == result["n_tracks"] else "recordings"
    units = "groups" if result["n_groups"] else single
    lines = []
    if any(difference["test"] in ("t", "group_t") for difference in found):
        lines.append(
            f"p is the larger one of a t-test over {n_units} {units} and, if there are enough "
            f"folds, one over {n_folds} folds (Nadeau & Bengio 2003)"
        )
    if any(difference["test"] == "permutation" for difference in found):
        lines.append(
            f"{'otherwise p' if lines else 'p'} is from the permutation test, which exchanges the "
            f"predictions of {n_units} {units}: a t-test needs several folds, several groups, and "
            "differences that vary"
        )
    if len(found) > 1:
        lines.append(
            f"p is corrected for {len(found)} comparisons (Holm 1979), the intervals are not"
        )
    return lines


def _detectable_lines(found: Sequence[dict[str, Any]]) -> list[str]:
    """State the smallest difference that this number of tracks can show."""
    widths = [high - low for low, high in (each["difference_ci95"] for each in found) if high > low]
    if not widths:
        return []
    points = 100 * sorted(widths)[len(widths) // 2] / 2
    return [f"with these tracks, differences below about {points:.1f} points cannot be detected"]
