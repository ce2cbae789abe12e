"""Playlists: one per genre, as extended M3U in UTF-8."""

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genreclf.audio.decode import describe
from genreclf.errors import AudioError, decoded, is_plain, one_line
from genreclf.files import on_disk, written_whole
from genreclf.library.tags import clean, read_tags
from genreclf.parallel.workers import WorkerError, Workers

LONGEST_NAME = 80  # characters
LONGEST_NAME_BYTES = 240  # file systems take 255, and a number and a suffix follow
_PUNCTUATION = set(" -_&+.,'()!")
# Names that Windows reserves for devices, with any suffix.
_DEVICES = {"con", "prn", "aux", "nul"} | {f"{p}{i}" for p in ("com", "lpt") for i in range(1, 10)}


@dataclass(frozen=True, slots=True)
class Song:
    """What a player shows before it opens a file."""

    seconds: float | None
    title: str


@dataclass
class Playlists:
    """Tracks by genre, to be written as playlists into one folder."""

    folder: Path  # created if it does not exist
    n_replaced: int = 0  # older playlists that ``write`` replaced
    _tracks: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(self, name: str, path: str) -> None:
        """Add a track to the playlist of this name, once."""
        self._tracks.setdefault(name, {})[path] = None

    def write(self, workers: Workers) -> tuple[list[Path], list[str]]:
        """Write the playlists, each completely or not at all.

        Paths are relative to the folder, so that it can be moved together with the music. A track
        whose name is not text in one line is left out.

        Parameters
        ----------
        workers : Workers
            They read the lengths and tags of the songs.

        Returns
        -------
        written : list of Path
        left_out : list of str
            Paths.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        written: list[Path] = []
        left_out: list[str] = []
        taken: set[str] = set()
        for name in sorted(self._tracks):
            paths = self._tracks[name]
            if not any(is_plain(decoded(path)) for path in paths):
                left_out += paths
                continue
            file = self.folder / on_disk(f"{_free(file_name(name), taken)}.m3u8")
            self.n_replaced += file.exists()
            left_out += write_playlist(file, name, list(paths), workers)
            written.append(file)
        return written, left_out


def write_playlist(file: Path, name: str, paths: Sequence[str], workers: Workers) -> list[str]:
    """Write one playlist, in the order of the paths, completely or not at all.

    Parameters
    ----------
    file : Path
        Paths are relative to its folder.
    name : str
        What a player shows.
    paths : sequence of str
    workers : Workers
        They read the lengths and tags of the songs.

    Returns
    -------
    list of str
        Paths that are left out, because they are not text in one line.
    """
    fit = [path for path in paths if is_plain(decoded(path))]
    with written_whole(file) as aside, aside.open("w", encoding="utf-8") as lines:
        lines.write(f"#EXTM3U\n#PLAYLIST:{one_line(name)}\n")
        for path, song in workers.map(_song, fit):
            known = Song(None, "") if isinstance(song, WorkerError) else song
            lines.write(decoded(_entry(known, path, file.parent)))
    return [path for path in paths if not is_plain(decoded(path))]


def file_name(genre: str) -> str:
    """Return a file name for a genre, without a suffix, that is valid on every system."""
    text = unicodedata.normalize("NFC", genre)
    valid = (char if char.isalnum() or char in _PUNCTUATION else "_" for char in text)
    cut = "".join(valid)[:LONGEST_NAME].encode()[:LONGEST_NAME_BYTES].decode(errors="ignore")
    name = cut.strip(" .") or "_"
    return f"{name}_" if name.partition(".")[0].casefold() in _DEVICES else name


def _free(name: str, taken: set[str]) -> str:
    """Add a number to a name that is taken; upper and lower case are the same."""
    free, n = name, 1
    while free.casefold() in taken:
        n += 1
        free = f"{name} ({n})"
    taken.add(free.casefold())
    return free


def _song(path: str) -> Song:
    seconds: float | None = None
    try:
        seconds = describe(Path(path)).seconds
        tags = read_tags(Path(path))
    except AudioError:
        tags = {}
    artist, title = (", ".join(tags.get(name, ())) for name in ("artist", "title"))
    return Song(seconds, " - ".join(filter(None, (artist, title))) if title else "")


def _entry(song: Song, path: str, folder: Path) -> str:
    length = -1 if song.seconds is None else round(song.seconds)
    title = song.title or clean(decoded(Path(path).stem))
    return f"#EXTINF:{length},{title}\n{_relative(path, folder)}\n"


def _relative(path: str, folder: Path) -> str:
    try:
        # From the folder's real place, since ".." does not lead back through a link.
        relative = os.path.relpath(path, folder.resolve())
    except ValueError:  # on another drive of Windows
        return os.path.abspath(path)  # noqa: PTH100  links stay links
    # "#…" would be a comment, "c:…" a drive or a protocol, and a leading blank would be lost.
    # Not with Path, which removes the ".".
    return relative if relative.startswith("..") else os.path.join(".", relative)  # noqa: PTH118
