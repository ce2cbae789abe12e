"""What a person reads: evaluations, tables, models and audio files as text."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from genreclf.errors import one_line

if TYPE_CHECKING:  # to print a prediction, nothing that fits or evaluates is needed
    from genreclf.audio.excerpt import Excerpt
    from genreclf.config.schema import ExtractionConfig
    from genreclf.evaluation.audit import Audit, Finding
    from genreclf.learning.card import Card
    from genreclf.learning.prediction import Prediction
    from genreclf.learning.thresholds import Threshold
    from genreclf.learning.timeline import Timeline
    from genreclf.tables.table import FeatureTable

_KINDS = {
    "grouped": "{n_folds}-fold cross-validation, groups kept together",
    "stratified": "{n_folds}-fold cross-validation",
    "folds": "the table's own {n_folds} folds",
    "split": "the table's own split into training and test",
    "held-out": "one group in ten held out",
    "model": "a saved model on the tracks of this table",
}


def printable(text: object) -> str:
    """Replace what would steer a terminal, break a line, or be taken for rich's markup.

    What standard output has no character for is escaped here, before columns get their width.
    """
    return escape(_shown(one_line(text)))


def _shown(text: str, instead: str | None = None) -> str:
    """Return a text as standard output can show it: escaped, or something else in its place."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    fitting = text.encode(encoding, "backslashreplace").decode(encoding)
    return fitting if instead is None or fitting == text else instead


class Records(Table):
    """A table that loses its lines where the console is too narrow for it, and then its columns.

    In place of columns, each row is a list of its cells with their names.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Print the table, or its rows one below the other."""
        if not self._fits(console, options):
            self.box, self.padding, self.pad_edge = None, (0, 1, 0, 0), False
        if self._fits(console, options):
            yield from super().__rich_console__(console, options)
            return
        if self.title:
            yield self.title
        for cells in zip(*(column.cells for column in self.columns), strict=True):
            name = Column(max_width=options.max_width // 3)
            grid = Table.grid(name, Column(overflow="fold"), padding=(0, 2))
            for column, cell in zip(self.columns, cells, strict=True):
                if cell != "":
                    whole = escape(cell.path) if isinstance(cell, FilePath) else cell
                    grid.add_row(column.header, whole)
            yield grid
            yield ""
        if self.caption:
            yield self.caption

    def _fits(self, console: Console, options: ConsoleOptions) -> bool:
        """Tell whether there is room for each column's longest word."""
        wide = options.update(max_width=_ANY_WIDTH)
        return self.__rich_measure__(console, wide).minimum <= options.max_width


_ANY_WIDTH = 10_000
_NAME_WIDTH = 30  # of a file's name, that a table has to have room for


@dataclass(frozen=True)
class FilePath:
    """A path in a column of a table, which loses its beginning first where it is too long.

    Its end tells it apart from others.
    """

    path: str

    @property
    def name(self) -> str:
        """The last part."""
        return self.path.replace("\\", "/").rpartition("/")[2]

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Ask for room for the name at least."""
        longest = cell_len(self.path)
        return Measurement(min(longest, 1 + cell_len(self.name), _NAME_WIDTH), longest)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Print as much of it as there is room for."""
        yield Text(self.fitted(options.max_width), no_wrap=True)

    def fitted(self, width: int) -> str:
        """Leave out the beginning, or the middle of a name that is too long by itself."""
        if cell_len(self.path) <= width:
            return self.path
        gap = _shown("…", "...")
        room = max(width - len(gap), 0)
        head = 0 if cell_len(self.name) <= room else room // 2
        return set_cell_size(self.name, head) + gap + _tail(self.path, room - head)


def _tail(text: str, width: int) -> str:
    """Return the end of a text, so many columns of a terminal wide."""
    start = len(text)
    while start and cell_len(text[start - 1 :]) <= width:
        start -= 1
    return text[start:]


def _path(text: object) -> FilePath:
    return FilePath(_shown(one_line(text)))


def evaluation_report(result: dict[str, Any], console: Console) -> None:
    """Print what ``Evaluation.to_dict`` holds: accuracy, what to hold it against, where it errs."""
    for line in summary_lines(result):
        console.print(line, highlight=False)
    console.print()
    console.print(_per_genre_table(result))
    console.print(_confusion_table(result, console.width))
    console.print(_reliability_table(result))
    told = result.get("warnings", [])
    _print_notes([text for text in result["notes"] if text not in told], console)


def without_groups(splits: dict[str, Any]) -> bool:
    """Tell whether tracks of one group may have been on both sides of our own folds."""
    return splits.get("kind") == "stratified" or not splits.get("grouped", True)


def threshold_line(found: "Threshold", evaluation: dict[str, Any]) -> str:
    """Say what the suggested threshold of a model is, and what its evaluation says of it."""
    if not found.confidence:
        if "threshold" in evaluation:
            why = "all predictions of its evaluation together were correct often enough"
        elif found.precision == 1:
            why = "its evaluation had no wrong predictions"
        else:
            why = "its evaluation had too few wrong predictions to find one"
        return f"threshold: 0; {why}, so nothing is withheld"
    line = (
        f"threshold: {found.confidence:.2f}; {found.coverage:.0%} of the tracks of its evaluation "
        f"reach it, and {found.precision:.0%} of those are correct"
    )
    if without_groups(evaluation.get("splits", {})):
        line += "; measured without groups, so expect less for artists not in the training tracks"
    return line


def how_measured(splits: dict[str, Any]) -> str:
    """Say in a few words what kind of splits an accuracy was measured with."""
    return _KINDS[splits["kind"]].format(**splits)


def summary_lines(result: dict[str, Any]) -> list[str]:
    """Say in words how good a classifier is, from ``Evaluation.to_dict``."""
    low, high = result["accuracy_ci95"]
    how = how_measured(result["splits"])
    lines = [
        f"accuracy {result['accuracy']:.1%}  (95 % interval {low:.1%} to {high:.1%}; "
        f"{result['n_tracks']} tracks, {how})",
        f"always answering the most frequent genre: {result['baseline_accuracy']:.1%}; guessing "
        f"in proportion: {result['chance_accuracy']:.1%}",
        f"balanced accuracy {result['balanced_accuracy']:.1%}, macro F1 {result['macro_f1']:.3f}; "
        f"top-2 accuracy {result['top2_accuracy']:.1%}, top-3 {result['top3_accuracy']:.1%}",
    ]
    ungrouped = result.get("ungrouped_accuracy")
    if ungrouped is not None:
        points = 100 * (ungrouped - result["accuracy"])
        lines.insert(
            1,
            f"ignoring groups it would be {ungrouped:.1%}, {abs(points):.1f} points "
            f"{'more' if points >= 0 else 'less'}; the accuracy above is the one to expect on "
            "artists or albums that were not in the training set",
        )
    # Beside the accuracy, which they are about.
    lines[1:1] = [f"warning: {printable(text)}" for text in result.get("warnings", [])]
    if "permutation_p_value" in result:
        lines.append(f"so high an accuracy by chance: p = {result['permutation_p_value']:.2g}")
    if "threshold" in result:
        found = result["threshold"]
        some = (
            f"{found['coverage']:.1%} of the tracks get a confidence of {found['confidence']:.1%} "
            f"or more, and {found['precision']:.1%} of those are right"
        )
        everything = f"no answer has to be withheld: {found['precision']:.1%} are right"
        lines.append(
            f"{some if found['confidence'] else everything} "
            f"({100 * found['target_precision']:.6g}% asked for){_ungrouped_clause(result)}"
        )
    elif "suggested_threshold" in result and result["accuracy"] < 1:
        found = result["suggested_threshold"]
        lines.append(
            f"answers with a confidence below {found['confidence']:.1%} are more often wrong than "
            "right; predict --threshold auto withholds them; "
            f"{found['coverage']:.1%} of the tracks remain, and {found['precision']:.1%} of those "
            f"are right{_ungrouped_clause(result)}"
        )
    return lines


def _ungrouped_clause(result: dict[str, Any]) -> str:
    return "; measured without groups" if without_groups(result["splits"]) else ""


def _per_genre_table(result: dict[str, Any]) -> Table:
    table = Records("genre", *(_right(name) for name in ("precision", "recall", "F1", "tracks")))
    for genre, scores in result["per_genre"].items():
        table.add_row(
            printable(genre),
            *(f"{scores[name]:.2f}" for name in ("precision", "recall", "f1")),
            str(scores["n"]),
        )
    return table


def _reliability_table(result: dict[str, Any]) -> Table:
    """Compare what the predictions say of themselves with how often they are right."""
    columns = (_right(name) for name in ("confidence", "tracks", "on average", "right"))
    table = Records(*columns, title=f"calibration: confidence is {calibration_clause(result)}")
    if without_groups(result["splits"]):
        table.caption = "measured without groups"
    for part in result["reliability"]:
        table.add_row(
            f"{part['low']:.0%} to {part['high']:.0%}", str(part["n"]),
            f"{part['confidence']:.0%}", f"{part['accuracy']:.0%}",
        )  # fmt: skip
    return table


def calibration_clause(result: dict[str, Any]) -> str:
    """Say by how much confidence is off, and how much of that chance would do as well."""
    error = 100 * result["expected_calibration_error"]
    clause = f"off by {error:.1f} points on average"
    if "calibration_error_by_chance" not in result:  # the card of an older model
        return clause
    low, high = (100 * bound for bound in result["calibration_error_by_chance_ci95"])
    chance = f"so many tracks give {low:.1f} to {high:.1f} by chance"
    if error <= high:
        return f"{clause}, no more than chance ({chance})"
    excess = 100 * result["excess_calibration_error"]
    return f"{clause}, {excess:.1f} more than by chance ({chance})"


def _confusion_table(result: dict[str, Any], width: int) -> Table:
    """Rows are true genres, columns predicted ones; numbered where their names do not fit."""
    genres, matrix = [printable(genre) for genre in result["genres"]], result["confusion_matrix"]
    first = max(map(len, genres)) + 4
    room = (width - first) // len(genres) - 3
    heads = [genre[: max(room, 1)] for genre in genres]
    if len(set(heads)) < len(heads) or room < 2:
        heads = [str(i + 1) for i in range(len(genres))]
        genres = [f"{i + 1} {genre}" for i, genre in enumerate(genres)]
    table = Table("true \\ predicted", *(_right(head) for head in heads), title="confusion")
    for i, (genre, row) in enumerate(zip(genres, matrix, strict=True)):
        if sum(row):
            cells = [_cell(n, diagonal=i == j) for j, n in enumerate(row)]
            table.add_row(genre, *cells)
    return table


def _cell(n: int, *, diagonal: bool) -> str:
    if not n:
        return _shown(NOTHING, ".")
    return f"[bold]{n}[/bold]" if diagonal else str(n)


def _right(name: str) -> Column:
    return Column(name, justify="right", no_wrap=True)


def genre_counts(labels: Iterable[str]) -> str:
    """List genres with their numbers of tracks in one line."""
    counts = Counter(labels)
    named = [f"{printable(genre)} {n}" for genre, n in sorted(counts.items()) if genre]
    if counts[""]:
        named.append(f"without label {counts['']}")
    return ", ".join(named)


def predictions_table(predictions: "Sequence[Prediction]", top: int) -> Table:
    """One row a file: the genre, how sure, the runners-up, and whether it is like nothing known."""
    any_novel = any(prediction.novel for prediction in predictions)
    any_explained = any(prediction.explanation for prediction in predictions)
    table = Records("file", "genre", _right("confidence"))
    if top > 1:
        table.add_column("then")
    if any_explained:
        table.add_column("because of (points against the average track)")
    if any_novel:
        table.add_column("note")
    for prediction in predictions:
        ranked = list(prediction.probabilities.items())
        others = ", ".join(f"{printable(genre)} {p:.0%}" for genre, p in ranked[1:top])
        cells: list[str | FilePath] = [_path(prediction.path), printable(prediction.genre)]
        # The confidence is not that of "unknown": name the genre that it belongs to.
        withheld = prediction.genre != ranked[0][0]
        of = f"{printable(ranked[0][0])} " if withheld else ""
        cells.append(f"{of}{prediction.confidence:.0%}")
        cells += [others] if top > 1 else []
        cells += [_reasons(prediction.explanation)] if any_explained else []
        cells += ["novel" if prediction.novel else ""] if any_novel else []
        table.add_row(*cells)
    return table


_MOST_REASONS = 3


def _reasons(explanation: dict[str, float]) -> str:
    """Name what counted most, in percentage points."""
    largest = list(explanation.items())[:_MOST_REASONS]
    return ", ".join(f"{printable(group)} {100 * share:+.0f}" for group, share in largest)


_STRIP_WIDTH = 60
_SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SILENT = "silence"
NOTHING = "·"


def timeline_report(timeline: "Timeline", console: Console) -> None:
    """Print the stretches of a track that have one genre each, and all of it as a strip of signs.

    Each sign of the strip is as long a part of the track as the others.
    """
    from genreclf.learning.prediction import UNKNOWN  # which has made the timeline, and is heavy

    runs = timeline.runs()
    genres = dict.fromkeys(run.genre for run in runs if run.genre is not None)
    signs: dict[str | None, str] = dict(zip(genres, _SIGNS, strict=False))
    table = Records("", _right("from"), _right("to"), "genre", _right("confidence"))
    if any(run.novel for run in runs):
        table.add_column("note")
    for run in runs:
        # The confidence of an answer that is withheld is not that of "unknown".
        withheld = run.confidence is None or run.genre == UNKNOWN
        sure = "" if withheld else f"{run.confidence:.0%}"
        cells = [_clock(run.start), _clock(run.stop), printable(run.genre or SILENT), sure]
        noted = (["novel"] if run.novel else [""]) if len(table.columns) > len(cells) + 1 else []
        table.add_row(_sign(run.genre, signs), *cells, *noted)
    begin, end = runs[0].start, runs[-1].stop
    width = min(_STRIP_WIDTH, len(timeline.windows))
    times = [begin + (end - begin) * (i + 0.5) / width for i in range(width)]
    strip = (next(run.genre for run in runs if time <= run.stop) for time in times)
    shown = "".join(_sign(genre, signs) for genre in strip)
    console.print(f"{printable(timeline.path)}\n{shown}", highlight=False, soft_wrap=True)
    console.print(table)


def _sign(genre: str | None, signs: dict[str | None, str]) -> str:
    return _shown(NOTHING, ".") if genre is None else signs.get(genre, "?")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def table_report(table: "FeatureTable", console: Console) -> None:
    """Print what a feature table holds."""
    facts = [
        ("tracks", len(table)),
        ("genres", genre_counts(table.labels) or "none"),
        ("groups", len(set(table.groups) - {""}) or "none"),
        ("features", f"{len(table.names)}, {table.names[0]} to {table.names[-1]}"),
        ("missing values", int((table.values != table.values).sum())),
        ("frames", _kept_frames(table.config) if table.frames is not None else "none kept"),
        ("configuration", table.config.fingerprint if table.config else "none: from elsewhere"),
    ]
    if table.assignments:
        facts.insert(3, ("folds, splits", ", ".join(table.assignments)))
    _print_facts(facts, console)
    if table.config:
        _print_config(table.config.to_dict(), console)
    _print_notes(table.notes, console)


def _kept_frames(config: "ExtractionConfig | None") -> str:
    from genreclf.features.measured import frame_shapes

    shapes = frame_shapes(config) if config is not None else {}
    return ", ".join(f"{name} ({d} by {n})" for name, (d, n) in shapes.items()) or "none"


def model_report(model: "Card", console: Console) -> None:
    """Print what a model is, what it was trained on and how good it is."""
    packages = ", ".join(f"{name} {version}" for name, version in model.versions.items())
    facts = [
        ("trained", model.created),
        ("classifier", model.config.classifier.name),
        ("genres", ", ".join(f"{printable(g)} {n}" for g, n in model.counts.items())),
        ("features", f"{len(model.feature_names)}, {model.feature_names[0]} to "
                     f"{model.feature_names[-1]}"),
        ("codebook", f"{model.config.codebook.n_words} words each of {_kept_frames(model.config)}"
                     if model.config.codebook.n_words else "none"),
        ("predicts from", "audio and tables" if model.from_audio else "tables only"),
        ("answers 'unknown'", f"below {model.threshold:.1%}" if model.threshold else "never"),
        ("versions", packages),
        ("configuration", model.config.fingerprint),
    ]  # fmt: skip
    _print_facts(facts, console)
    for line in _evaluation_lines(model):
        console.print(line, highlight=False)
    _print_config(model.config.to_dict(), console)


def _evaluation_lines(model: "Card") -> list[str]:
    if model.evaluation is None:
        return ["never evaluated"]
    try:
        return [printable(line) for line in summary_lines(model.evaluation)]
    except (KeyError, TypeError, ValueError, ArithmeticError):  # a card may come from anyone
        return ["its evaluation cannot be read"]


def audit_report(audit: "Audit", console: Console, most: int) -> None:
    """Print doubtful labels, and recordings that are there more than once.

    Parameters
    ----------
    audit : Audit
    console : Console
    most : int
        Labels, and recordings, to show at most.
    """
    doubtful = audit.of_kind("label")
    if audit.accuracy is not None:
        console.print(
            f"{len(doubtful)} of {audit.n_tracks} labels contradict what is predicted for a track "
            f"that was not heard before (right for {audit.accuracy:.1%} of the tracks: the lower "
            "that is, the more right labels are doubted)",
            highlight=False,
        )
    if doubtful:
        console.print(_doubtful_table(doubtful[:most]))
        _tell_of_more(len(doubtful), most, console)
    copies = _by_recording(audit.of_kind("exact", "near"))
    exact = sum(tracks[0].kind == "exact" for tracks in copies)
    console.print(
        f"{len(copies)} recordings are there more than once: {exact} with identical features, "
        f"{len(copies) - exact} with features that differ a little",
        highlight=False,
    )
    if copies:
        # Those that need a decision first.
        copies.sort(key=lambda tracks: not tracks[0].labels_differ)
        console.print(_copies_table(copies[:most]))
        _tell_of_more(len(copies), most, console)
    _print_notes(audit.notes, console)


def _doubtful_table(findings: "Sequence[Finding]") -> Table:
    table = Records("file", "label", _right("probability"), "predicted", _right("probability"))
    for found in findings:
        table.add_row(
            _path(found.path), printable(found.label), f"{found.label_confidence:.1%}",
            printable(found.predicted), f"{found.confidence:.0%}",
        )  # fmt: skip
    return table


def _by_recording(findings: "Iterable[Finding]") -> "list[list[Finding]]":
    tracks: dict[int | None, list[Finding]] = {}
    for found in findings:
        tracks.setdefault(found.recording, []).append(found)
    return list(tracks.values())


def _copies_table(copies: "Iterable[Sequence[Finding]]") -> Table:
    table = Records("copies", "file", "label", _right("distance"))
    for tracks in copies:
        kind = f"{tracks[0].kind}{', labels differ' if tracks[0].labels_differ else ''}"
        for i, found in enumerate(tracks):
            table.add_row(
                "" if i else kind, _path(found.path), printable(found.label),
                f"{found.distance:.2f}", end_section=i == len(tracks) - 1,
            )  # fmt: skip
    return table


def _tell_of_more(n: int, most: int, console: Console) -> None:
    if n > most:
        console.print(f"and {n - most} more (--top, --csv and --json show them)", highlight=False)


def audio_report(
    excerpts: "Sequence[Excerpt]",
    strategy: str,
    tags: dict[str, str],
    features: dict[str, float],
    *,
    show_all: bool,
    console: Console,
) -> None:
    """Print what an audio file is, which seconds of it are used and why, and its features.

    Without ``show_all``, only those features that are no statistics over frames.
    """
    info = excerpts[0].info
    facts = [
        ("duration", f"{info.seconds:.2f} s"),
        ("sample rate", f"{info.sample_rate_hz} Hz, {info.channels} channels"),
        ("codec", f"{info.container}, {info.codec}"),
        *(("tag " + name, value) for name, value in tags.items()),
        ("strategy", strategy),
        *(("excerpt", _span(excerpt)) for excerpt in excerpts),
    ]
    _print_facts(facts, console)
    table = Records("feature", _right("value"))
    shown = {name: value for name, value in features.items() if show_all or name.count(".") == 1}
    for name, value in shown.items():
        table.add_row(name, f"{value:.6g}")
    if shown:
        console.print(table)
    if n_others := len(features) - len(shown):
        console.print(f"and {n_others} more features (--all)", highlight=False)


def _span(excerpt: "Excerpt") -> str:
    padding = (len(excerpt.samples) / excerpt.sample_rate_hz - excerpt.seconds) / 2
    padded = f", {padding:.2f} s of silence added on each side" if padding > 0.01 else ""
    return f"{excerpt.start_seconds:.2f} s to {excerpt.stop_seconds:.2f} s{padded}"


def comparison_report(differences: dict[str, float], console: Console) -> None:
    """Print how far each feature is from librosa's, relative to its largest value."""
    table = Records("feature", _right("largest relative difference"))
    for name, difference in differences.items():
        table.add_row(name, f"{difference:.1e}")
    console.print(table)


def variants_report(result: dict[str, Any], console: Console) -> None:
    """Print what ``Comparison.to_dict`` holds: accuracies, differences, verdicts."""
    groups = result["n_groups"]
    tracks = f"{result['n_tracks']} tracks" + (f" in {groups} groups" if groups else "")
    how = _KINDS[result["splits"]["kind"]].format(**result["splits"])
    repeats = result["splits"]["n_repeats"]
    console.print(f"{tracks}, {how}{f', {repeats} times' if repeats > 1 else ''}", highlight=False)
    console.print(_variants_table(result))
    if result["reference"] is None:
        console.print(_pairs_table(result))
    for line in comparison_lines(result):
        console.print(printable(line), highlight=False)
    _print_notes(result["notes"], console)


def _variants_table(result: dict[str, Any]) -> Table:
    """One row a variant; with a reference, how much the others differ from it."""
    found = {} if result["reference"] is None else {
        difference["variant"]: difference for difference in result["comparisons"]
    }  # fmt: skip
    columns = ["columns", "accuracy", "95 %", *(_DIFFERENCE if found else ())]
    table = Records("variant", *map(_right, columns), *(["verdict"] if found else []))
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
    table = Records("variant", "against", *map(_right, _DIFFERENCE), "verdict")
    for found in result["comparisons"]:
        names = printable(found["variant"]), printable(found["reference"])
        table.add_row(*names, *_difference_cells(found))
    return table


_DIFFERENCE = ("points", "95 %", "p")


def _difference_cells(found: dict[str, Any]) -> list[str]:
    low, high = found["difference_ci95"]
    interval = f"{100 * low:+.1f} to {100 * high:+.1f}"
    points = f"{100 * found['difference']:+.1f}"
    return [points, interval, _p(found["p_holm"]), found["verdict"]]


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def comparison_lines(result: dict[str, Any]) -> list[str]:
    """Say in words which differences are more than noise, from ``Comparison.to_dict``."""
    found = result["comparisons"]
    return [*map(_difference_line, found), *_which_test(found, result), *_smallest(found)]


def _difference_line(found: dict[str, Any]) -> str:
    names = found["variant"], found["reference"]
    if found["verdict"] == "same":
        return "{} gives the same answers as {}".format(*names)
    points, (low, high) = 100 * found["difference"], found["difference_ci95"]
    p_values = f"p {_equals(found['p_holm'])}"
    if found["test"] in ("t", "group_t"):
        p_values += f", by permutation {_p(found['permutation']['p_value'])}"
    elif found["t_test"] is not None:
        p_values += f", by t-test {_p(found['t_test']['p_value'])}"
    facts = f"(95 % {100 * low:.1f} to {100 * high:.1f}; {p_values})"
    if found["verdict"] == "noise":
        less = f"{names[0]} differs from {names[1]} by {points:+.1f} points"
        return f"{less}, no more than noise {facts}"
    return f"{names[0]} is {found['verdict']} than {names[1]} by {abs(points):.1f} points {facts}"


def _equals(p_value: float) -> str:
    return _p(p_value) if p_value < 0.001 else f"= {_p(p_value)}"


def _which_test(found: Sequence[dict[str, Any]], result: dict[str, Any]) -> list[str]:
    """Say what decides, and why."""
    n_folds = len(result["splits"]["n_test"])
    n_units = found[0]["permutation"]["n_units"]
    single = "tracks" if n_units == result["n_tracks"] else "recordings"
    units = "groups" if result["n_groups"] else single
    lines = []
    if any(difference["test"] in ("t", "group_t") for difference in found):
        lines.append(
            f"p is the larger one of a t-test over {n_units} {units} and, where folds are enough, "
            f"one over {n_folds} folds (Nadeau & Bengio 2003)"
        )
    permuted = [difference for difference in found if difference["test"] == "permutation"]
    if permuted:
        lines.append(
            f"{'elsewhere p' if lines else 'p'} is that of the permutation test, which exchanges "
            f"the answers of {n_units} {units}: a t-test needs several folds, several groups, and "
            "differences that vary"
        )
    if len(found) > 1:
        lines.append(f"p is corrected for {len(found)} comparisons (Holm 1979), intervals are not")
    return lines


def _smallest(found: Sequence[dict[str, Any]]) -> list[str]:
    """Say what so many tracks can tell at all."""
    widths = [high - low for low, high in (each["difference_ci95"] for each in found) if high > low]
    if not widths:
        return []
    points = 100 * sorted(widths)[len(widths) // 2] / 2
    return [f"on these tracks, a difference below some {points:.1f} points is lost in the noise"]


def _print_notes(notes: Iterable[str], console: Console) -> None:
    for note in notes:
        console.print(f"note: {one_line(note)}", markup=False, highlight=False)


def _print_facts(facts: Sequence[tuple[str, object]], console: Console) -> None:
    grid = Table.grid(padding=(0, 2))
    for name, value in facts:
        grid.add_row(printable(name), printable(value))
    console.print(grid)


def _print_config(tree: dict[str, Any], console: Console) -> None:
    for line in config_lines(tree):
        console.print(f"  {line}", markup=False, highlight=False)


def config_lines(tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Write a configuration as lines of ``key = value``, as --set takes them."""
    for key, value in tree.items():
        if key == "views":
            for i, view in enumerate(value):
                yield from config_lines(view, f"views.{i}.")
        elif isinstance(value, dict):
            yield from config_lines(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key} = {json.dumps(value)}"
