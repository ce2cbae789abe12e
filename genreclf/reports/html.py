"""The HTML report: one file that shows the accuracy of a classifier, and its errors.

It loads nothing and runs nothing: no scripts, one style sheet that the content security policy
names by its hash, and pictures as inline SVG. The template escapes all text, in one place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

import numpy as np

from genreclf.errors import shortened
from genreclf.evaluation.importance import ImportanceMeter
from genreclf.evaluation.intervals import wilson_interval
from genreclf.evaluation.result import Evaluation
from genreclf.learning.curves import LearningCurves
from genreclf.reports.confusion import largest_genres
from genreclf.reports.console import config_lines
from genreclf.reports.evaluation import calibration_clause, how_measured, is_ungrouped
from genreclf.reports.learningcurves import curve_charts
from genreclf.reports.pages import csp_hash, environment
from genreclf.reports.trackmap import N_COLOURS, track_map
from genreclf.tables.table import FeatureTable

# Limits that keep the report readable and the file small for any table.
MOST_GENRES = 200
MOST_MATRIX_GENRES = 60
MOST_CONFUSIONS = 8
MOST_DOUBTFUL = 25
LONGEST_PATH = 160


@dataclass(frozen=True, eq=False)
class Measured:
    """What a report shows.

    Attributes
    ----------
    evaluation : Evaluation
    table : FeatureTable
        The evaluated table, to which ``held_out.rows`` refers.
    meter : ImportanceMeter
        After it has measured the classifiers of the evaluation.
    curves : LearningCurves or None
        Of the final model, if it is a network.
    """

    evaluation: Evaluation
    table: FeatureTable
    meter: ImportanceMeter
    curves: LearningCurves | None = None


def html_report(measured: Measured, result: dict[str, Any], command: Sequence[str]) -> str:
    """Write the report of an evaluation as one HTML document.

    Parameters
    ----------
    measured : Measured
    result : dict
        From ``evaluation.to_dict``, with ``threshold`` and ``permutation_p_value`` if wanted.
    command : sequence of str
        The command that writes this report.

    Returns
    -------
    str
        Without lone surrogates and control characters, whatever the table holds.
    """
    evaluation, table, meter = measured.evaluation, measured.table, measured.meter
    templates = environment()
    templates.filters["short_path"] = _short_path
    shown_map = track_map(evaluation, table)
    n_marks = len(shown_map["legend"]) if shown_map else 0
    css = templates.get_template("report.css").render(n_marks=n_marks, n_colours=N_COLOURS)
    return templates.get_template("report.html").render(
        result=result,
        css=css,
        style_source=csp_hash(css),
        how=how_measured(result["splits"]),
        ungrouped=is_ungrouped(result["splits"]),
        accuracies=_accuracies(result),
        genres=_most_frequent(evaluation),
        confusion=_confusion(evaluation),
        calibration=calibration_clause(result),
        confidence=_confidence(evaluation),
        map=shown_map,
        importances=meter.importances(),
        meter=meter,
        curves=curve_charts(measured.curves) if measured.curves else None,
        doubtful=_confidently_wrong(evaluation, table),
        facts=_facts(result, table),
        config=_shown_config(evaluation, table),
        command=[quote(argument) for argument in command],
    )


def _short_path(path: str) -> str:
    """Shorten a path in the middle; the end is the most informative part."""
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
        "random guesses": result["chance_accuracy"],
    }
    return [*rows, *({"name": name, "share": s} for name, s in others.items() if s is not None)]


def _most_frequent(evaluation: Evaluation) -> list[tuple[str, dict[str, float]]]:
    """Return the scores of the genres, by name; of too many genres, only the most frequent."""
    by_number = sorted(evaluation.per_genre.items(), key=lambda genre: -genre[1]["n"])
    return sorted(by_number[:MOST_GENRES])


def _confusion(evaluation: Evaluation) -> dict[str, Any]:
    """Return counts with their shade, 0 to 10 by share of the row, and the largest confusions."""
    names, counts = largest_genres(evaluation.genres, evaluation.confusion, MOST_MATRIX_GENRES)
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

    Confident learning ranks labels by this normalised margin (Northcutt, Jiang & Chuang 2021).
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
    fingerprint = table.config.fingerprint if table.config else "none (foreign table)"
    return [*facts, ("configuration of the features", fingerprint)]


def _shown_config(evaluation: Evaluation, table: FeatureTable) -> list[str]:
    """List the configuration of the features, if known, and of learning."""
    config = evaluation.config
    if table.config is not None:
        return list(config_lines(config.to_dict()))
    learning = ("seed", "scaling", "pca", "classifier", "evaluation")
    return list(config_lines({key: config.to_dict()[key] for key in learning}))
