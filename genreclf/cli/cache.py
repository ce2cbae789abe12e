"""``genreclf cache``: the cache of features."""

from typing import TYPE_CHECKING

import click

from genreclf.cli.output import plural, say

if TYPE_CHECKING:
    from genreclf.extraction.cache import CacheInfo


@click.group()
def cache() -> None:
    """Show or clear the cache of features.

    extract, compare and predict cache the features of each file, so that they are computed only
    once, even if the file is renamed or its tags change. Above 256 MiB, the least recently used
    features are deleted. The cache is in the platform's cache folder, or in the folder that the
    environment variable GENRECLF_CACHE names.

    \b
    Examples:
      genreclf cache info
      genreclf cache clear
    """


@cache.command()
def info() -> None:
    """Show where the cache is, and how much it contains.

    \b
    Example:
      genreclf cache info
    """
    from genreclf.extraction.cache import cache_info

    say(_described(cache_info()))


@cache.command()
def clear() -> None:
    """Delete everything in the cache.

    \b
    Example:
      genreclf cache clear
    """
    from genreclf.extraction.cache import clear_cache

    say(f"{_described(clear_cache())} cleared")


def _described(found: "CacheInfo") -> str:
    tracks, mebibytes = plural(found.n_tracks, "track"), found.n_bytes / 2**20
    return f"{found.file}: {tracks}, {mebibytes:.1f} MiB"
