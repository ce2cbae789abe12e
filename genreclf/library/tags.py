"""Read the tags inside audio files: title, artist, genre.

A file may hold several kinds of tags: APEv2 beside ID3v2 in an mp3, RIFF INFO beside ID3 in WAV.
Each value is taken from the first of them that has it.
"""

import re
import stat
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from genreclf.errors import AudioError, shortened
from genreclf.library.containers import chunks, kind_of
from genreclf.library.streamtags import read_at, read_behind

Tags = dict[str, tuple[str, ...]]
_Values = Mapping[str, Iterable[str]]

_NAMES = ("title", "artist", "album", "albumartist", "genre", "date")
# Their names in each kind of tags. Vorbis comments and APEv2 do not distinguish upper case.
_ID3, _MP4, _ASF, _RIFF, _AIFF = (
    dict(zip(_NAMES, keys.split(), strict=True))
    for keys in (
        "TIT2 TPE1 TALB TPE2 TCON TDRC",
        "\xa9nam \xa9ART \xa9alb aART \xa9gen \xa9day",
        "Title Author WM/AlbumTitle WM/AlbumArtist WM/Genre WM/Year",
        "INAM IART IPRD - IGNR ICRD",
        "NAME AUTH - - - -",
    )
)
_SYNONYMS = {
    "albumartist": ("albumartist", "album artist", "album_artist"),
    "date": ("date", "year"),
}
FREEFORM = "----:com.apple.iTunes:"

# Where tags are in each kind of file, in the order in which players of such files look for them.
PLACES: Mapping[str, tuple[str, ...]] = {
    "mp3": ("id3", "ape", "id3v1"),
    "aac": ("id3", "ape", "id3v1"),
    "ape": ("ape", "id3", "id3v1"),
    "flac": ("vorbis", "id3", "ape", "id3v1"),
    "ogg": ("vorbis",),
    "mp4": ("mp4", "freeform"),
    "asf": ("asf",),
    "wav": ("id3", "info"),
    "aiff": ("id3", "texts"),
    "dsf": ("id3",),
}

# Tracks can be grouped by the first of these tags that they have. Albums with the same title are
# one group, because groups that are too small make the accuracy too high, and large ones do not.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "artist": ("artist", "albumartist"),
    "album": ("album",),
    "albumartist": ("albumartist", "artist"),
}

_LONGEST = 1000  # characters; a longer title is damage, or not meant for people
LONGEST_CHUNK = 2**20
# Times the bytes of a compressed frame. Texts need ten; zlib reaches a thousand.
_MOST_UNPACKED = 50

_CODE = r"\(([0-9]+|RX|CR)\)"
_CODES_AND_NAME = re.compile(rf"((?:{_CODE})*)(.*)", re.DOTALL)
_BARE_CODE = re.compile("-?[0-9]+|RX|CR")


def read_tags(path: Path) -> Tags:
    """Read the common tags of an audio file.

    They may be ID3v2, ID3v1, Vorbis comments, MP4, ASF, APEv2, or the texts of WAV and AIFF.

    Returns
    -------
    dict of str to tuple of str
        ``title``, ``artist``, ``album``, ``albumartist``, ``genre`` and ``date`` if the file has
        them, each value one clean line. ID3's numbers for genres are replaced by their names.

    Raises
    ------
    AudioError
        If the file does not exist, or its tags are damaged.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe may never return
            raise AudioError(f"{path}: not a file, so it has no tags")
        tags = _from_all_places(path)
    except OSError as error:
        raise AudioError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except AudioError:
        raise
    except Exception as error:  # of any type, depending on the damage
        reason = shortened(str(error) or type(error).__name__, 200)
        raise AudioError(f"{path}: its tags cannot be read: {reason}") from None
    return {name: tags[name] for name in _NAMES if name in tags}


def clean(text: str) -> str:
    """Return a text as one line of printable characters; empty if it is too long."""
    if len(text) > _LONGEST:
        return ""
    composed = unicodedata.normalize("NFC", text)
    return " ".join("".join(char if char.isprintable() else " " for char in composed).split())


def genre_names(text: str) -> list[str]:
    """Return the genres that a value names, without numbers that have no genre.

    ID3 has numbers for genres: "17" and "(17)" are Rock, "(4)Eurodisco" is Disco and, more exactly,
    Eurodisco. Programs copy them into other kinds of tags.
    """
    from mutagen.id3 import TCON

    if _BARE_CODE.fullmatch(text):
        text = f"({text})"
    match = _CODES_AND_NAME.fullmatch(text)
    codes, name = (match[1], match[3].strip()) if match else ("", text)
    known = {"RX": "Remix", "CR": "Cover"} | {str(n): genre for n, genre in enumerate(TCON.GENRES)}
    names = [known.get(code.lstrip("0") or "0", "") for code in re.findall(_CODE, codes)]
    name = "" if re.fullmatch(r"\(-[0-9]+\)", name) else name
    name = name[1:] if name.startswith("((") else name  # how ID3 escapes a parenthesis
    return list(dict.fromkeys(filter(None, [*names, name])))


def _cleaned(found: _Values) -> Tags:
    texts = {name: list(filter(None, map(clean, values))) for name, values in found.items()}
    if "genre" in texts:
        texts["genre"] = [name for text in texts["genre"] for name in genre_names(text)]
    return {name: tuple(values) for name, values in texts.items() if values}


def _from_all_places(path: Path) -> Tags:
    """Take each value from the first place that has it; damage counts if no place has any."""
    tags: Tags = {}
    damage: Exception | None = None
    with path.open("rb") as file:
        kind = kind_of(file, path.suffix)
    for place in PLACES.get(kind, ("unknown",)):
        try:
            tags = _cleaned(_READERS[place](path)) | tags
        except Exception as error:  # of any type, depending on the damage
            damage = damage or error
    if damage is not None and not tags:
        raise damage
    return tags


def is_bare(path: Path) -> bool:
    """Return True if tags are around the stream, not in a container."""
    with path.open("rb") as file:
        return "id3v1" in PLACES.get(kind_of(file, path.suffix), ())


def open_id3(path: Path, *, load_v1: bool = False) -> Any:
    """Return the ID3v2 tag in front of a stream or in a container; None if there is none.

    It is not translated into ID3v2.4, so that other frames can be written as they were read, and
    numbers that have no genre do not become "Unknown".
    """
    from mutagen.id3 import ID3, ID3NoHeaderError

    _bound_unpacking()
    if not is_bare(path):
        return open_tagged(path, translate=False, load_v1=False).tags
    try:
        return ID3(path, translate=False, load_v1=load_v1)
    except ID3NoHeaderError:
        return None


def _bound_unpacking() -> None:
    """Keep compressed frames of ID3 from filling the memory: mutagen unpacks without a bound."""
    from mutagen.id3 import _frames

    vars(_frames)["zlib"] = _BoundedZlib


class _BoundedZlib:
    """The part of zlib that mutagen uses; what expands more than text and pictures is an error."""

    error = zlib.error

    @staticmethod
    def decompress(packed: bytes) -> bytes:
        unpacking = zlib.decompressobj()
        unpacked = unpacking.decompress(packed, _MOST_UNPACKED * len(packed))
        if not unpacking.eof:
            raise zlib.error("cut off, or unpacks to too much")
        return unpacked


def open_tagged(path: Path, **options: Any) -> Any:
    """Open a file with mutagen by its content, not its name; None if mutagen does not know it."""
    import mutagen
    from mutagen.aiff import AIFF
    from mutagen.asf import ASF
    from mutagen.dsf import DSF
    from mutagen.flac import FLAC
    from mutagen.mp4 import MP4
    from mutagen.wave import WAVE

    _bound_unpacking()
    with path.open("rb") as file:
        kind = kind_of(file, path.suffix)
    types = {"aiff": AIFF, "asf": ASF, "dsf": DSF, "flac": FLAC, "mp4": MP4, "wav": WAVE}
    of_kind: Any = types.get(kind)
    return mutagen.File(path) if of_kind is None else of_kind(path, **options)


def _read_id3(path: Path) -> _Values:
    return _values(open_id3(path))


def _read_own(path: Path) -> _Values:
    """Read the one kind of tags that a container has."""
    file = open_tagged(path)
    return {} if file is None else _values(file.tags)


def _read_ape(path: Path) -> _Values:
    from mutagen.apev2 import APEv2

    tag = read_behind(path, "ape")
    return _values(APEv2(BytesIO(tag))) if tag else {}


def _read_id3v1(path: Path) -> _Values:
    from mutagen.id3 import ParseID3v1

    return _id3_values(ParseID3v1(read_behind(path, "id3v1")) or {})


def _values(tags: Any) -> _Values:
    from mutagen.asf import ASFTags
    from mutagen.id3 import ID3
    from mutagen.mp4 import MP4Tags

    if tags is None:
        return {}
    if isinstance(tags, ID3):
        return _id3_values(tags)
    if isinstance(tags, MP4Tags | ASFTags):
        keys = _MP4 if isinstance(tags, MP4Tags) else _ASF
        return {name: map(str, tags[key]) for name, key in keys.items() if key in tags}
    return {
        name: [value for key in _SYNONYMS.get(name, (name,)) for value in _texts(tags, key)]
        for name in _NAMES
    }


def _id3_values(frames: Any) -> _Values:
    keys = _ID3 | ({} if "TDRC" in frames else {"date": "TYER"})  # before ID3v2.4
    return {name: map(str, frames[key].text) for name, key in keys.items() if key in frames}


def _texts(tags: Mapping[str, Any], key: str) -> list[str]:
    """Return the values of a Vorbis comment or of an APEv2 item; none of a binary item."""
    from mutagen.apev2 import APEBinaryValue

    values = tags.get(key, ())
    return [] if isinstance(values, APEBinaryValue) else [str(value) for value in values]


def _read_freeform(path: Path) -> _Values:
    """Read the freeform atoms of MP4 files, as Mp3tag and foobar2000 write them."""
    tags = open_tagged(path).tags or {}
    texts: dict[str, list[str]] = {}
    for key in tags:
        if key.lower().startswith(FREEFORM.lower()):
            values = [bytes(value).decode("utf-8", "replace") for value in tags[key]]
            texts.setdefault(key[len(FREEFORM) :].lower(), []).extend(values)
    return _values(texts)


def _read_chunks(path: Path) -> _Values:
    """Read the texts of WAV (LIST INFO) and AIFF files."""
    texts: dict[str, list[str]] = {}
    with path.open("rb") as file:
        for chunk in chunks(file):
            if chunk.name in (b"LIST", b"NAME", b"AUTH") and chunk.size <= LONGEST_CHUNK:
                body = read_at(file, chunk.body, chunk.size)
                if body[:4] == b"INFO":
                    for key, value in info_items(body[4:]):
                        texts.setdefault(key.decode("latin-1"), []).append(decoded(value))
                elif chunk.name != b"LIST":
                    texts.setdefault(chunk.name.decode(), []).append(decoded(body))
    keys = _RIFF | {name: key for name, key in _AIFF.items() if key in texts}
    return {name: texts[key] for name, key in keys.items() if key in texts}


def info_items(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Go through the texts of a LIST INFO chunk: their names, and their bytes."""
    at = 0
    while at + 8 < len(body):
        size = int.from_bytes(body[at + 4 : at + 8], "little")
        yield body[at : at + 4], body[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def decoded(value: bytes) -> str:
    """Decode a text of unknown encoding."""
    value = value.partition(b"\0")[0]
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


_READERS: Mapping[str, Callable[[Path], _Values]] = {
    "id3": _read_id3,
    "ape": _read_ape,
    "id3v1": _read_id3v1,
    "freeform": _read_freeform,
    "info": _read_chunks,
    "texts": _read_chunks,
    **dict.fromkeys(("vorbis", "mp4", "asf", "unknown"), _read_own),
}
