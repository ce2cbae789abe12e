"""The HTML report: one file that tells a person how good a classifier is, and where it errs.

It loads nothing and runs nothing: no scripts, one style sheet that a content security policy names
by its hash, and pictures that are SVG within the text. Whatever a table or a name holds is escaped
by the template, in one place.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from genreclf.errors import one_line, shortened
from genreclf.evaluation.importance import ImportanceMeter
from genreclf.evaluation.intervals import wilson_interval
from genreclf.evaluation.result import Evaluation
from genreclf.learning.scaling import LogScaler
from genreclf.reports.console import config_lines
from genreclf.reports.evaluation import calibration_clause, how_measured, is_ungrouped
from genreclf.tables.table import FeatureTable

Doubles = NDArray[np.float64]

# What a person can take in, and what keeps the file small whatever the table.
MOST_GENRES = 200
MOST_MATRIX_GENRES = 60
MOST_CONFUSIONS = 8
MOST_DOUBTFUL = 25
MOST_POINTS = 2000
LONGEST_PATH = 160
N_COLOURS, N_SHAPES = 8, 7  # without a common factor: 56 marks that differ
# How many standard deviations off a feature counts at most, lest one broken track be the picture.
MAP_LIMIT = 4.0
MAP_WIDTH, MAP_HEIGHT, MAP_MARGIN = 640, 420, 14


def html_report(
    evaluation: Evaluation,
    result: dict[str, Any],
    table: FeatureTable,
    meter: ImportanceMeter,
    command: Sequence[str],
) -> str:
    """Write the report of an evaluation as one HTML document.

    Parameters
    ----------
    evaluation : Evaluation
    result : dict
        As its ``to_dict`` gives it, with ``threshold`` and ``permutation_p_value`` if wanted.
    table : FeatureTable
        What was evaluated: ``held_out.rows`` are rows of it.
    meter : ImportanceMeter
        What has seen the classifiers and the tracks held out from them.
    command : sequence of str
        The arguments that make this report, to be shown.

    Returns
    -------
    str
        Without lone surrogates and control characters, whatever the table holds.
    """
    environment = _environment()
    shown_map = _track_map(evaluation, table)
    n_marks = len(shown_map["legend"]) if shown_map else 0
    css = environment.get_template("report.css").render(n_marks=n_marks, n_colours=N_COLOURS)
    digest = hashlib.sha256(css.encode()).digest()
    return environment.get_template("report.html").render(
        result=result,
        css=css,
        css_hash=base64.b64encode(digest).decode("ascii"),
        how=how_measured(result["splits"]),
        ungrouped=is_ungrouped(result["splits"]),
        accuracies=_accuracies(result),
        genres=_most_frequent(evaluation)[:MOST_GENRES],
        confusion=_confusion(evaluation),
        calibration=calibration_clause(result),
        confidence=_confidence(evaluation),
        map=shown_map,
        importances=meter.importances(),
        meter=meter,
        doubtful=_confidently_wrong(evaluation, table),
        facts=_facts(result, table),
        config=_shown_config(evaluation, table),
        command=[quote(argument) for argument in command],
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("genreclf.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )
    environment.filters["percent"] = lambda share: f"{share:.1%}"
    environment.filters["whole"] = lambda share: f"{share:.0%}"
    environment.filters["points"] = lambda share: f"{100 * share:+.1f}"
    environment.filters["short"] = shortened
    environment.filters["short_path"] = _short_path
    return environment


def _clean(value: object) -> object:
    """Replace what is no text in all that the template prints, except in what it made itself."""
    return value if hasattr(value, "__html__") or not isinstance(value, str) else one_line(value)


def _short_path(path: str) -> str:
    """Keep the end, which tells most, and some of the beginning."""
    if len(path) <= LONGEST_PATH:
        return path
    first = LONGEST_PATH // 4
    return f"{path[:first]}…{path[first - LONGEST_PATH :]}"


def _accuracies(result: dict[str, Any]) -> list[dict[str, Any]]:
    low, high = result["accuracy_ci95"]
    rows = [{"name": "this classifier", "share": result["accuracy"], "low": low, "high": high}]
    others = {
        "this classifier, if groups are ignored": result.get("ungrouped_accuracy"),
        "always the most frequent genre": result["baseline_accuracy"],
        "random guesses in proportion": result["chance_accuracy"],
    }
    return [*rows, *({"name": name, "share": s} for name, s in others.items() if s is not None)]


def _most_frequent(evaluation: Evaluation) -> list[tuple[str, dict[str, float]]]:
    """Scores of the genres, by name; where they are too many, of the most frequent ones."""
    by_number = sorted(evaluation.per_genre.items(), key=lambda genre: -genre[1]["n"])
    return sorted(by_number[:MOST_GENRES])


def _confusion(evaluation: Evaluation) -> dict[str, Any]:
    """Give counts their shade, 0 to 10 by their share of the row; and what is confused most."""
    names, counts = _largest_genres(evaluation)
    totals = counts.sum(axis=1)
    shades = np.ceil(10 * counts / np.maximum(totals, 1)[:, None]).astype(int)
    rows = [
        {"name": names[i], "n": totals[i], "cells": list(zip(counts[i], shades[i], strict=True)),
         "number": i}
        for i in np.flatnonzero(totals)
    ]  # fmt: skip
    wrong = counts - np.diag(np.diag(counts))
    first = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(first, wrong.shape), strict=True)]
    most = [(names[i], names[j], wrong[i, j], totals[i]) for i, j in pairs if wrong[i, j]]
    return {"names": names, "rows": rows, "most": most}


def _largest_genres(evaluation: Evaluation) -> tuple[list[str], NDArray[np.int64]]:
    """Return genres and the confusion matrix, the less frequent of very many genres put together.

    Returns
    -------
    names : list of str
    counts : (n_names, n_names) array
        True genres in rows.
    """
    genres, counts = evaluation.genres, evaluation.confusion
    if len(genres) <= MOST_MATRIX_GENRES:
        return genres, counts
    order = np.argsort(-counts.sum(axis=1), kind="stable")
    place = np.full(len(genres), MOST_MATRIX_GENRES - 1)
    kept = np.sort(order[: MOST_MATRIX_GENRES - 1])
    place[kept] = np.arange(len(kept))
    gathered = np.zeros((MOST_MATRIX_GENRES, MOST_MATRIX_GENRES), dtype=np.int64)
    np.add.at(gathered, (place[:, None], place[None, :]), counts)
    return [*(genres[i] for i in kept), f"{len(genres) - len(kept)} others"], gathered


def _confidence(evaluation: Evaluation) -> dict[str, Any]:
    once = float(evaluation.weights.mean())  # copies of a recording count once in intervals
    bins = [
        {**part.to_dict(),
         "interval": wilson_interval(part.accuracy * part.n * once, part.n * once),
         "share": part.n / len(evaluation.held_out.rows)}
        for part in evaluation.reliability
    ]  # fmt: skip
    return {"bins": bins, "mean": float(evaluation.held_out.confidence.mean())}


def _confidently_wrong(evaluation: Evaluation, table: FeatureTable) -> list[dict[str, Any]]:
    """Rank wrong predictions by the margin of the predicted genre over the label.

    Least normalised margin first, as confident learning ranks labels (Northcutt, Jiang & Chuang
    2021).
    """
    held_out = evaluation.held_out
    position = {genre: column for column, genre in enumerate(evaluation.genres)}
    columns = np.array([position[label] for label in held_out.labels])
    own = held_out.probabilities[np.arange(len(columns)), columns]
    margin = np.where(held_out.correct, -np.inf, held_out.confidence - own)
    order = np.argsort(-margin, kind="stable")[:MOST_DOUBTFUL]
    return [
        {"path": table.paths[held_out.rows[i]], "row": int(held_out.rows[i]) + 1,
         "label": held_out.labels[i], "own": own[i],
         "predicted": held_out.predicted[i], "confidence": held_out.confidence[i]}
        for i in order if not held_out.correct[i]
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Point:
    """A track on the map; ``mark`` is the place of its genre in the legend."""

    x: float
    y: float
    mark: int
    path: str
    label: str
    predicted: str | None


def _track_map(evaluation: Evaluation, table: FeatureTable) -> dict[str, Any] | None:
    """Lay tracks out by their first two principal components; None if there are no two."""
    rows = np.flatnonzero(table.labels != "")
    n_labelled = len(rows)
    labels, counts = np.unique(table.labels[rows], return_counts=True)
    if n_labelled > MOST_POINTS:
        random = np.random.default_rng(evaluation.config.seed)
        rows = random.choice(rows, MOST_POINTS, replace=False)
    scores, explained = _two_components(table.values[rows])
    if scores is None:
        return None
    predicted = dict(zip(evaluation.held_out.rows, evaluation.held_out.predicted, strict=True))
    most = sorted(np.argsort(-counts, kind="stable")[: N_COLOURS * N_SHAPES - 1])
    legend = [(str(labels[i]), int(counts[i])) for i in most]
    if rest := len(labels) - len(legend):
        legend.append((f"{rest} others", n_labelled - sum(n for _, n in legend)))
    mark = {genre: i for i, (genre, _) in enumerate(legend[: len(most)])}
    x, y = _on_paper(scores[:, 0], MAP_WIDTH), _on_paper(-scores[:, 1], MAP_HEIGHT)
    points = [
        _Point(x[i], y[i], mark.get(table.labels[row], len(most)), table.paths[row],
               table.labels[row], predicted.get(row))
        for i, row in enumerate(rows)
    ]  # fmt: skip
    return {
        "points": points, "legend": legend, "explained": explained, "n_labelled": n_labelled,
        "width": MAP_WIDTH, "height": MAP_HEIGHT, "n_colours": N_COLOURS, "n_shapes": N_SHAPES,
    }  # fmt: skip


def _two_components(values: NDArray[np.float32]) -> tuple[Doubles | None, list[float]]:
    """Return the first two principal components, (n, 2), and their shares of the variance."""
    known = values[:, ~np.isnan(values).all(axis=0)]
    if min(known.shape) < 2:
        return None, []
    filled = np.where(np.isnan(known), np.nanmedian(known, axis=0), known)
    scaled = LogScaler((filled > 0).all(axis=0), MAP_LIMIT).fit_transform(filled)
    left, spread, right = np.linalg.svd(scaled - scaled.mean(axis=0), full_matrices=False)
    if spread[0] <= 1e-9:
        return None, []
    # Which end of an axis is which is arbitrary, but the same every time.
    largest = np.abs(right[:2]).argmax(axis=1)
    signs = np.sign(right[[0, 1], largest])
    shares = spread**2 / (spread**2).sum()
    return left[:, :2] * spread[:2] * signs, [float(shares[0]), float(shares[1])]


def _on_paper(coordinates: Doubles, size: float) -> list[float]:
    """Spread coordinates over a side of the map; the outermost ones lie on its edge."""
    low, high = np.quantile(coordinates, (0.002, 0.998))
    inside = (np.clip(coordinates, low, high) - low) / max(high - low, 1e-12)
    placed: list[float] = np.round(MAP_MARGIN + inside * (size - 2 * MAP_MARGIN), 1).tolist()
    return placed


def _facts(result: dict[str, Any], table: FeatureTable) -> list[tuple[str, object]]:
    splits = result["splits"]
    missing = int(np.isnan(table.values).sum())
    facts: list[tuple[str, object]] = [
        ("tracks with a label", int((table.labels != "").sum())),
        ("tracks tested", result["n_tracks"]),
        ("genres", len(table.genres)),
        ("groups (artists, albums …)", len(set(table.groups) - {""}) or "none given"),
        ("features", f"{len(table.names)}, {shortened(table.names[0])} to "
                     f"{shortened(table.names[-1])}"),
        ("missing values", f"{missing} ({missing / table.values.size:.1%})" if missing else 0),
    ]  # fmt: skip
    if "n_copies" in splits:
        facts += [
            ("tracks that are copies of one another", splits["n_copies"]),
            ("recordings with copies in training and in test", splits["n_copies_apart"]),
        ]
    fingerprint = table.config.fingerprint if table.config else "none: features from elsewhere"
    return [*facts, ("configuration of the features", fingerprint)]


def _shown_config(evaluation: Evaluation, table: FeatureTable) -> list[str]:
    """List how the features were made, where that is known, and how they were learned from."""
    config = evaluation.config
    if table.config is not None:
        return list(config_lines(config.with_extraction(table.config).to_dict()))
    learning = ("seed", "scaling", "pca", "classifier", "evaluation")
    return list(config_lines({key: config.to_dict()[key] for key in learning}))
