"""Tags inside audio files: title, artist, genre."""

from pathlib import Path

import mutagen

__all__ = ["read_tags"]

_SHOWN = ("title", "artist", "album", "genre", "date")


def read_tags(path: Path) -> dict[str, str]:
    """Read the common tags of an audio file; none where there are none or they are damaged."""
    try:
        file = mutagen.File(path, easy=True)
    except (mutagen.MutagenError, OSError):
        return {}
    if file is None or not file.tags:
        return {}
    found = {}
    for name in _SHOWN:
        values = file.tags.get(name)
        if values:
            found[name] = ", ".join(map(str, values)) if isinstance(values, list) else str(values)
    return found
