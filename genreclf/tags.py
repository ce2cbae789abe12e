"""Tags inside audio files: title, artist, genre."""

import stat
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from genreclf.errors import AudioError, shortened

__all__ = ["GROUPS", "Tags", "clean", "read_tags"]

Tags = dict[str, tuple[str, ...]]

_NAMES = ("title", "artist", "album", "albumartist", "genre", "date")
# What each kind of tags calls them. Vorbis comments and APEv2 know no upper case.
_ID3, _MP4, _ASF, _RIFF = (
    dict(zip(_NAMES, keys.split(), strict=True))
    for keys in (
        "TIT2 TPE1 TALB TPE2 TCON TDRC",
        "\xa9nam \xa9ART \xa9alb aART \xa9gen \xa9day",
        "Title Author WM/AlbumTitle WM/AlbumArtist WM/Genre WM/Year",
        "INAM IART IPRD - IGNR ICRD",
    )
)
_OTHERS = {"albumartist": ("albumartist", "album artist"), "date": ("date", "year")}

# What tracks can be grouped by, with the tags that tell it, the first one that is there. An album
# is its title alone: to hold together too much spoils no accuracy figure, too little does.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "artist": ("artist", "albumartist"),
    "album": ("album",),
    "albumartist": ("albumartist", "artist"),
}

# No title is as long; what is longer is damage, or not meant for people.
_LONGEST = 1000
_MOST_CHUNKS = 1000  # of a WAV file, looked through for its texts
_LONGEST_CHUNK = 2**20


def read_tags(path: Path) -> Tags:
    """Read the common tags of an audio file.

    ID3 (numbered genres by their names), Vorbis comments, MP4, ASF, APEv2, and the texts of WAV.

    Returns
    -------
    dict of str to tuple of str
        ``title``, ``artist``, ``album``, ``albumartist``, ``genre`` and ``date`` where there are
        any, each value one clean line.

    Raises
    ------
    AudioError
        If the file is not there, or its tags are damaged.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe may take for ever
            raise AudioError(f"{path}: not a file, and without tags")
        found = _values(_open(path)) or _riff_values(path)
    except OSError as error:
        raise AudioError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except AudioError:
        raise
    except Exception as error:  # damage raises whatever its bytes lead a parser to
        reason = shortened(str(error) or type(error).__name__, 200)
        raise AudioError(f"{path}: tags that cannot be read: {reason}") from None
    texts = {name: tuple(filter(None, map(clean, values))) for name, values in found.items()}
    return {name: values for name, values in texts.items() if values}


def clean(text: str) -> str:
    """Put a text into one line of printable characters; empty if that would be endless."""
    if len(text) > _LONGEST:
        return ""
    composed = unicodedata.normalize("NFC", text)
    return " ".join("".join(char if char.isprintable() else " " for char in composed).split())


def _open(path: Path) -> Any:
    """Return the tags as mutagen has them, or None."""
    import mutagen
    from mutagen.apev2 import APEv2
    from mutagen.id3 import ID3

    file = mutagen.File(path)
    if file is not None and file.tags:
        return file.tags
    for kind in (APEv2, ID3):  # also where they are not expected: APEv2 in mp3, ID3 in aac
        try:
            return kind(path)
        except mutagen.MutagenError:
            continue
    return None


def _values(tags: Any) -> dict[str, Iterable[str]]:
    from mutagen.asf import ASFTags
    from mutagen.id3 import ID3
    from mutagen.mp4 import MP4Tags

    if tags is None:
        return {}
    if isinstance(tags, ID3):
        frames: dict[str, Any] = {name: tags[key] for name, key in _ID3.items() if key in tags}
        return {
            name: frame.genres if name == "genre" else map(str, frame.text)
            for name, frame in frames.items()
        }
    if isinstance(tags, MP4Tags | ASFTags):
        keys = _MP4 if isinstance(tags, MP4Tags) else _ASF
        return {name: map(str, tags[key]) for name, key in keys.items() if key in tags}
    return {
        name: [value for key in _OTHERS.get(name, (name,)) for value in _texts(tags, key)]
        for name in _NAMES
    }


def _texts(tags: Mapping[str, Any], key: str) -> list[str]:
    """Return the values of a Vorbis comment or of an APEv2 item, of which some are binary."""
    from mutagen.apev2 import APEBinaryValue

    values = tags.get(key, ())
    return [] if isinstance(values, APEBinaryValue) else [str(value) for value in values]


def _riff_values(path: Path) -> dict[str, Iterable[str]]:
    """Read the texts that WAV files have of old (LIST INFO), which mutagen leaves alone."""
    with path.open("rb") as file:
        if file.read(12)[::8] != b"RW":  # RIFF....WAVE
            return {}
        for _ in range(_MOST_CHUNKS):
            chunk, size = file.read(4), int.from_bytes(file.read(4), "little")
            if chunk == b"LIST" and size <= _LONGEST_CHUNK:
                body = file.read(size + size % 2)
                if body[:4] == b"INFO":
                    texts = _riff_texts(body[4:])
                    return {name: texts[key] for name, key in _RIFF.items() if key in texts}
            elif len(chunk) < 4:
                break
            else:
                file.seek(size + size % 2, 1)
    return {}


def _riff_texts(body: bytes) -> dict[str, list[str]]:
    texts = {}
    while len(body) > 8:
        size = int.from_bytes(body[4:8], "little")
        key, value = body[:4].decode("latin-1"), body[8 : 8 + size].partition(b"\0")[0]
        try:
            texts[key] = [value.decode("utf-8")]
        except UnicodeDecodeError:
            texts[key] = [value.decode("latin-1")]
        body = body[8 + size + size % 2 :]
    return texts
