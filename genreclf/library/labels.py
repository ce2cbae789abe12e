"""Add labels and groups to tracks: from tags, regular expressions and a label map."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from genreclf.errors import AudioError, TableError, listed, shortened
from genreclf.library.labelmap import read_label_map, spelled_differently, spelling, words_of
from genreclf.library.sources import Sources, Track, found_in_paths
from genreclf.library.tags import GROUPS, Tags, clean, read_tags
from genreclf.parallel.workers import WorkerError, Workers

if TYPE_CHECKING:
    from genreclf.parallel.cluster import DaskWorkers

FEWEST_TO_WARN = 5  # fewer tracks may well have a genre each
_GUESTS = re.compile(r"\s[(\[]?(feat|ft|featuring)\b.*", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Labelling:
    """Where labels and groups come from; see ``extract``.

    Raises
    ------
    TableError
        If the parts contradict each other.
    """

    labels: str | Path = "folder"
    label_map: str | Path | None = None
    group: str | None = None
    group_regex: str | None = None
    label_regex: str | None = None

    def __post_init__(self) -> None:
        if self.group is not None and self.group not in GROUPS:
            raise TableError(f"group = {shortened(self.group)}: can be {', '.join(GROUPS)}")
        if self.group is not None and self.group_regex is not None:
            raise TableError("groups come from tags or from a regular expression, not from both")
        if self.labels != "folder" and self.label_regex is not None:
            raise TableError(
                "labels come from a regular expression or from tags, a manifest or nowhere, not "
                "from both"
            )
        if self.labels == "none" and self.label_map is not None:
            raise TableError("a label map needs labels, but there are none")

    @property
    def of_paths(self) -> "str | Path":
        """Where ``find_tracks`` takes labels from."""
        return self.labels if self.label_regex is None else "none"

    @property
    def needs_tags(self) -> bool:
        """Whether tags have to be read."""
        return self.labels == "tags" or self.group is not None


def label_tracks(
    tracks: Sequence[Track],
    labelling: Labelling,
    workers: "Workers | DaskWorkers | None" = None,
    on_tags: Callable[[], object] = lambda: None,
) -> Sources:
    """Add labels and groups from tags, regular expressions and a label map to tracks.

    Parameters
    ----------
    tracks : sequence of Track
        From ``find_tracks``. Groups that they already have, from a manifest, stay.
    labelling : Labelling
    workers : Workers, optional
        Processes that read the tags, since a malicious file may crash one; None reads in this
        process.
    on_tags : callable
        Called after each file whose tags were read.

    Returns
    -------
    Sources
        With a note of each kind of track that lacks something, and its paths as details.

    Raises
    ------
    TableError
        If the map cannot be read, or the regular expression is invalid or matches nothing.
    """
    report = _Report(len(tracks))
    spellings = None if labelling.label_map is None else read_label_map(Path(labelling.label_map))
    if labelling.needs_tags:
        tags = _read_each([track.path for track in tracks], workers, on_tags)
        tracks = [_with_tags(*pair, labelling, report) for pair in zip(tracks, tags, strict=True)]
    paths = [str(track.path) for track in tracks]
    if labelling.label_regex is not None and tracks:
        found = found_in_paths(paths, labelling.label_regex, "label")
        tracks = [_with_label(*pair, report) for pair in zip(tracks, found, strict=True)]
    if labelling.group_regex is not None and tracks:
        found = found_in_paths(paths, labelling.group_regex, "group")
        tracks = [_with_group(*pair, report) for pair in zip(tracks, found, strict=True)]
    if spellings is not None:
        tracks = [_with_spelling(track, spellings, report) for track in tracks]
    else:
        report.compare_spellings(tracks)
    return Sources(list(tracks), notes=report.notes(), details=report.details)


def describe_labels(tracks: Sequence[Track], most: int = 12) -> list[str]:
    """Return lines on the labels of tracks.

    The most frequent labels with their numbers of tracks, and a warning if there are nearly as many
    labels as tracks. Nothing for a single track, or without labels.
    """
    counts = Counter(track.label for track in tracks if track.label)
    if not counts or len(tracks) < 2:
        return []
    frequent = [f"{label} {n}" for label, n in sorted(counts.most_common(most))]
    more = [f"{len(counts) - most} more"] if len(counts) > most else []
    n_labelled = counts.total()
    without = [f"{len(tracks) - n_labelled} without"] if len(tracks) > n_labelled else []
    found = "1 genre" if len(counts) == 1 else f"{len(counts)} genres"
    lines = [f"{found}: {listed([*frequent, *more, *without], most + 2)}"]
    if n_labelled >= FEWEST_TO_WARN and len(counts) > n_labelled / 2:
        lines.append(
            f"warning: {len(counts)} labels for {n_labelled} tracks: are these genres, and not "
            "artists or titles? --labels and --label-regex choose another source"
        )
    return lines


class _Report:
    """How many tracks lack something, by kind, and which."""

    def __init__(self, n_tracks: int) -> None:
        self.details: list[str] = []
        self.unmapped: Counter[str] = Counter()
        self._n_tracks = n_tracks
        self._kinds: Counter[str] = Counter()
        self._more: list[str] = []

    def add(self, kind: str, path: Path, reason: str | None = None) -> None:
        """Count a track, and name it in the details."""
        self._kinds[kind] += 1
        self.details.append(reason or f"{path}: {kind}")

    def compare_spellings(self, tracks: Iterable[Track]) -> None:
        """Note labels that are probably the same genre."""
        labels = sorted({track.label for track in tracks if track.label})
        several = sorted(" and ".join(map(repr, same)) for same in spelled_differently(labels))
        if several:
            self._more.append(
                f"genres with several spellings, which count as different: {listed(several)}; a "
                "label map unites them (--label-map)"
            )

    def notes(self) -> list[str]:
        """Return a line for each kind."""
        notes = [f"{kind}: {n} of {self._n_tracks} tracks" for kind, n in self._kinds.items()]
        if self.unmapped:
            counts = [f"{label} {n}" for label, n in self.unmapped.most_common()]
            notes.append(f"labels that are not in the map stay as they are: {listed(counts)}")
        return notes + self._more


def _read_each(
    paths: Sequence[Path], workers: "Workers | DaskWorkers | None", on_tags: Callable[[], object]
) -> Iterator[Tags | str]:
    """Yield the tags of each file, or why they cannot be read."""
    if workers is None:
        pairs: Iterable[tuple[Path, Tags | str | WorkerError]]
        pairs = ((path, _tags_or_reason(path)) for path in paths)
    else:
        pairs = workers.map(_tags_or_reason, paths)
    for path, result in pairs:
        on_tags()
        yield f"{path}: {result.reason}" if isinstance(result, WorkerError) else result


def _tags_or_reason(path: Path) -> Tags | str:
    try:
        return read_tags(path)
    except AudioError as error:
        return str(error)


def _with_tags(track: Track, tags: Tags | str, labelling: Labelling, report: _Report) -> Track:
    if isinstance(tags, str):
        report.add("tags that cannot be read", track.path, tags)
        return track
    if labelling.labels == "tags":
        genres = _genres(tags)
        if not genres:
            report.add("no genre tag, and so no label", track.path)
        elif len(genres) > 1:
            report.add("several genres; the first one is used", track.path)
        track = replace(track, label=genres[0] if genres else None)
    if labelling.group is not None and track.group is None:
        group = _group(tags, labelling.group)
        if group is None:
            report.add(f"no {labelling.group} tag, and so no group", track.path)
        track = replace(track, group=group)
    return track


def _with_label(track: Track, found: str, report: _Report) -> Track:
    if not found:
        report.add("no label found in the path", track.path)
    return replace(track, label=found or None)


def _with_group(track: Track, found: str, report: _Report) -> Track:
    if not (track.group or found):
        report.add("no group found in the path", track.path)
    return replace(track, group=track.group or found or None)


def _genres(tags: Tags) -> list[str]:
    """Return the genres, each once in any spelling; some programs join them by ``;``."""
    parts = [part.strip() for value in tags.get("genre", ()) for part in value.split(";")]
    return list({spelling(part): part for part in reversed(parts) if part}.values())[::-1]


def _group(tags: Tags, kind: str) -> str | None:
    for name in GROUPS[kind]:
        for value in tags.get(name, ()):
            # Guests do not change the artist: "Someone feat. Someone Else".
            return words_of(value if name == "album" else _GUESTS.sub("", value) or value)
    return None


def _with_spelling(track: Track, spellings: Mapping[str, str], report: _Report) -> Track:
    if not track.label:
        return track
    label = spellings.get(spelling(track.label))
    if label is None:
        label = clean(track.label)
        report.unmapped[label] += 1
    elif not label:
        report.add("label removed by the map", track.path)
    return replace(track, label=label or None)
