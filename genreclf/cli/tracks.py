"""Functions that the commands for audio files share."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from genreclf.cli.output import detail, note, plural, print_error
from genreclf.cli.progress import counted, progress, tally
from genreclf.errors import AudioError, GenreclfError, TableError

if TYPE_CHECKING:
    from genreclf.config.schema import ExtractionConfig
    from genreclf.extraction.tracks import Failure, Outcome, Row
    from genreclf.library.labels import Labelling
    from genreclf.library.sources import Track
    from genreclf.parallel.cluster import DaskWorkers
    from genreclf.parallel.workers import Workers


def cache_in_use(no_cache: bool) -> Path | None:
    """Return the file of the feature cache, or None if it is not to be used."""
    if no_cache:
        return None
    from genreclf.extraction.cache import cache_file

    try:
        return cache_file()
    except GenreclfError as error:
        note(str(error))
        return None


def worker_count(jobs: int | None, n_items: int) -> int:
    """Return --jobs, or the cores that affinity and container limits leave to this process.

    Never more than there are items.
    """
    if n_items == 1:
        return 1
    if jobs is None:
        from joblib import cpu_count

        jobs = int(cpu_count())
    return min(jobs, n_items)


def prepare(config: "ExtractionConfig") -> None:
    """Check that librosa and the networks that a configuration needs are here, and load them."""
    from genreclf.extraction.chain import prepare

    if any(view.features.uses_librosa for view in config.spectral_views):
        _note_librosa()
    prepare(config)


def load_librosa() -> None:
    """Load librosa, and compile its functions if that was never done on this machine."""
    from genreclf.features.librosa_engine import compile_functions

    _note_librosa()
    compile_functions()


def _note_librosa() -> None:
    note("loading librosa, which compiles its functions on the first run (about 30 s)")


def audio_tracks(paths: Sequence[Path], labels: "str | Path" = "none") -> "list[Track]":
    """Find the tracks behind the arguments, and print what else was found."""
    from genreclf.library.sources import find_tracks

    sources = find_tracks(expand_standard_input(paths), labels)
    for text in sources.notes:
        note(f"note: {text}")
    if sources.passed_over:
        note(f"skipped {plural(sources.passed_over, 'file')} without an audio suffix")
    if not sources.tracks:
        raise AudioError(
            f"{', '.join(map(str, paths))}: no audio files found; looked for the suffixes of mp3, "
            "wav, flac, ogg, opus, aiff, au, caf and others"
        )
    return sources.tracks


def expand_standard_input(paths: Iterable[Path]) -> Iterator[Path]:
    """Replace ``-`` by the paths on standard input, one a line."""
    from genreclf.library.sources import read_path_list

    for path in paths:
        if str(path) == "-":
            # As bytes, because file names are bytes in any locale.
            yield from read_path_list(os.fsdecode(line) for line in sys.stdin.buffer)
        else:
            yield path


def labelled(
    tracks: "list[Track]", labelling: "Labelling", workers: "Workers | DaskWorkers"
) -> "list[Track]":
    """Add labels and groups to the tracks, each once, and print what was found."""
    from genreclf.library.labels import describe_labels, label_tracks

    tracks = list(dict.fromkeys(tracks))
    shown = (
        progress(len(tracks), "tags", "tracks")
        if labelling.needs_tags
        else nullcontext(lambda: None)
    )
    with shown as advance:
        found = label_tracks(tracks, labelling, workers, advance)
    for text in found.details:
        detail(text)
    for text in found.notes:
        note(f"note: {text}")
    for text in describe_labels(found.tracks):
        note(text)
    return found.tracks


def collect(
    tracks: "Sequence[Track]", outcomes: "Iterable[Outcome]", output: Path | None = None
) -> "tuple[list[Row], list[Failure]]":
    """Wait for the outcomes of tracks, with a progress bar and a line for each failure."""
    from genreclf.extraction.tracks import Row

    rows: list[Row] = []
    failures: list[Failure] = []
    with progress(len(tracks), "extract", "tracks") as meter:
        try:
            for outcome in counted(outcomes, meter):
                if isinstance(outcome, Row):
                    rows.append(outcome)
                else:
                    failures.append(outcome)
                    print_error(outcome.error)
        except (KeyboardInterrupt, OSError, GenreclfError) as error:
            if output is not None:
                _report_finished(error, f"{len(rows)} of {len(tracks)} files", output)
            raise
    return rows, failures


def _report_finished(error: BaseException, files: str, output: Path) -> None:
    from genreclf.extraction.journal import journal_path

    finished = f"{files} are kept; run the same command again to continue"
    if isinstance(error, OSError):  # from the journal; audio files raise none
        reason = (error.strerror or str(error)).lower()
        raise TableError(f"{journal_path(output)}: {reason}; {finished}") from None
    print_error(finished)


def warn_of_groups(tracks: "Iterable[Track]") -> None:
    """Warn that an accuracy without groups is too high, and name the options that set groups."""
    labelled = [track for track in tracks if track.label]
    if n := sum(not track.group for track in labelled):
        which = "no groups" if n == len(labelled) else f"{n} of {len(labelled)} tracks in no group"
        note(
            f"note: {which}: where an artist has several tracks, the accuracy will be too high; "
            "--group artist takes artists from the tags, --group-regex from the paths"
        )


def summary(rows: "Iterable[Row]", failures: "Sequence[Failure]", seconds: float | None) -> str:
    """Count what was extracted, and what came from earlier runs."""
    rows = list(rows)
    kept, cached = sum(row.resumed for row in rows), sum(row.cached for row in rows)
    earlier = [f"{kept} finished by an earlier run"] if kept else []
    earlier += [f"{cached} from the cache"] if cached else []
    return tally(len(rows), earlier, len(failures), seconds)
