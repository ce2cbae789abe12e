"""GenreTag: the genre in one kind of tags; TagKind: reading, writing and restoring it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import msgspec

from genreclf.library.tags import clean, genre_names

_NO_ID3V1_GENRE = 255


class GenreTag(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The genre in one kind of tags of a file, with all that is needed to restore it.

    Attributes
    ----------
    kind : str
        "id3", "vorbis", "mp4", "asf" or "ape"; in ``others`` also "id3v1", "info" (of WAV) and
        "freeform" (of MP4).
    values : list of str or None
        As in the file; for ID3v1 the number of the genre. None if there is no genre.
    tagged : bool
        Whether the file has tags of this kind.
    version : tuple of int, optional
        Version of ID3.
    encoding : int, optional
        Encoding of texts in ID3.
    places : list, optional
        Place and spelling of each value. Vorbis comments: index and key; APEv2 and WAV: index and
        all bytes of the item in hexadecimal; freeform MP4: type of data and key.
    others : list of GenreTag
        The other kinds of tags in the file that can hold a genre, in order.
    """

    kind: str
    values: list[str] | None = None
    tagged: bool = True
    version: tuple[int, ...] | None = None
    encoding: int | None = None
    places: list[tuple[int, str]] | None = None
    others: list["GenreTag"] = []

    @property
    def genres(self) -> list[str]:
        """The names of the genres in all kinds of tags, each once."""
        own = [name for text in self.values or () for name in genre_names(clean(text))]
        return list(dict.fromkeys([*own, *(name for tag in self.others for name in tag.genres)]))

    @property
    def to_write(self) -> list["GenreTag"]:
        """The tags to write: all that hold a genre, and this one unless another replaces it."""
        others = [tag for tag in self.others if tag.genres]
        replaced = not self.tagged and any(tag.kind != "id3v1" for tag in others)
        return others if replaced else [self, *others]

    def reads(self, values: Sequence[str]) -> bool:
        """Return True if every tag that holds a genre holds these values."""
        own = msgspec.structs.replace(self, others=[])
        with_genre = [tag for tag in (own, *self.others) if tag.genres]
        return bool(with_genre) and all(tag.values == as_written(tag, values) for tag in with_genre)


def as_written(tag: GenreTag, values: Sequence[str]) -> list[str]:
    """Return the values that are read after a genre is written; for ID3v1 its number."""
    return [str(id3v1_number(values[0]))] if tag.kind == "id3v1" else list(values)


def id3v1_number(genre: str) -> int:
    """Return ID3v1's number of a genre; 255 if it has none."""
    from mutagen.id3 import TCON

    names = [name.casefold() for name in TCON.GENRES]
    return names.index(genre.casefold()) if genre.casefold() in names else _NO_ID3V1_GENRE


def require_genres(found: bool) -> None:
    """Refuse a backup that would change anything but genres."""
    if not found:
        raise ValueError("the backup holds something other than genres")


class TagKind(ABC):
    """One kind of tags."""

    @abstractmethod
    def read(self, path: Path) -> GenreTag:
        """Read the genre."""

    @abstractmethod
    def write(self, path: Path, before: GenreTag, values: Sequence[str]) -> None:
        """Replace the genres."""

    @abstractmethod
    def restore(self, path: Path, before: GenreTag) -> None:
        """Write the previous genres back."""
