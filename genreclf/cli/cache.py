"""``genreclf cache``: what is kept from run to run."""

from typing import TYPE_CHECKING

import click

from genreclf.cli.output import plural, say

if TYPE_CHECKING:
    from genreclf.extraction.cache import CacheInfo


@click.group()
def cache() -> None:
    """Look at or clear the cache of features.

    extract and predict keep the features of each file, by its audio and the configuration, so that
    no file is computed twice, also under another name or with other tags. The least recently used
    go first when it grows beyond 256 MiB. It lives in the platform's folder for caches, or in the
    folder that the environment variable GENRECLF_CACHE names.

    \b
    Examples:
      genreclf cache info
      genreclf cache clear
    """


@cache.command()
def info() -> None:
    """Show where the cache is, and what it holds."""
    from genreclf.extraction.cache import cache_info

    say(_told(cache_info()))


@cache.command()
def clear() -> None:
    """Empty the cache."""
    from genreclf.extraction.cache import clear_cache

    say(f"{_told(clear_cache())} cleared")


def _told(found: "CacheInfo") -> str:
    tracks, mebibytes = plural(found.n_tracks, "track"), found.n_bytes / 2**20
    return f"{found.file}: {tracks}, {mebibytes:.1f} MiB"
