"""Features that were computed before, found again by the audio of a file, not by what it is called.

One SQLite file in the platform's cache folder (``GENRECLF_CACHE`` names another). SQLite comes
with Python, is kept with unusual care, lets processes share a file, and survives being killed.
joblib.Memory and diskcache keep pickles, which run code when they are read; what is kept here is
raw numbers with a checksum.

It holds pairs of two kinds. Features are found by a digest of the file's audio (so that they stay
when tags change), its suffix (which decides how formats without a header are decoded), the
configuration's fingerprint and the versions of the libraries that decide the last digits: nothing
else is ever served. The digest is found by path, inode, size and times of change, so that files
seen before need not be read. Git trusts the same signs, and like git this does not trust them for
files that changed so lately that another change might not show.
"""

import hashlib
import os
import sqlite3
import stat
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from genreclf.config.schema import ExtractionConfig
from genreclf.errors import GenreclfError
from genreclf.extraction.audiodigest import audio_digest
from genreclf.features.measured import Measured, pack, unpack
from genreclf.versions import numbers_depend_on

MAX_BYTES = 2**28  # some 150,000 tracks; then the least recently used quarter goes
LARGEST_FILE = 2**27  # to read more than this takes longer than to compute the features
SETTLED_SECONDS = 2  # the coarsest time stamps that there are, those of FAT
USED_STEP_SECONDS = 3600  # how exactly last use is kept, so that most hits write nothing
BUSY_SECONDS = 10  # how long to wait for other processes that write

_LAYOUT = 3
_SCHEMA = (
    "CREATE TABLE pairs "
    "(key BLOB PRIMARY KEY, value BLOB NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID"
)
_EVICTION = (
    "DELETE FROM pairs WHERE key IN "
    "(SELECT key FROM pairs ORDER BY used LIMIT (SELECT 1 + count(*) / 4 FROM pairs))"
)
_DIGEST_BYTES = 32
_CHECKSUM_BYTES = 8


class CacheInfo(NamedTuple):
    """Where the cache is and what it holds."""

    file: Path
    n_tracks: int
    n_bytes: int


class Cache:
    """The cache as one process uses it, for one configuration.

    Whatever goes wrong with it is told in one warning and costs no more than the time that it
    would have saved. A damaged file is dropped.

    Parameters
    ----------
    file : Path
        Made where it does not exist.
    config : ExtractionConfig
    variant : bytes
        Tells apart what is computed in several ways with one configuration.
    """

    def __init__(self, file: Path, config: ExtractionConfig, variant: bytes = b"") -> None:
        self._file = file
        self._config = config
        self._made_with = _made_with(config) + variant
        self._connection: sqlite3.Connection | None = None
        with self._trouble_told():
            self._connection = _connect(file)

    def __enter__(self) -> "Cache":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def through(
        self, path: Path, compute: Callable[[Path], tuple[Measured, ...]]
    ) -> tuple[tuple[Measured, ...], bool]:
        """Return the features of a file from the cache, or compute and keep them.

        Parameters
        ----------
        path : Path
        compute : callable
            Its exceptions are raised; neither they nor numbers that are not finite are kept.

        Returns
        -------
        measured : tuple of Measured
            The same bits and the same notes either way.
        cached : bool
            Whether they come from the cache.
        """
        before, key = _Status.of(path), None
        if before is not None:
            with self._trouble_told():
                key = self._key(path, before)
                if key is not None and (content := self._get(key)) is not None:
                    found = unpack(content, self._config)
                    if found is not None:
                        return found, True
        measured = compute(path)
        finite = all(part.not_finite(self._config) is None for part in measured)
        # What changed in between may have been hashed in one state and decoded in another.
        if key is not None and finite and _Status.of(path) == before:
            with self._trouble_told():
                self._put(key, pack(measured, self._config))
        return measured, False

    def _key(self, path: Path, status: "_Status") -> bytes | None:
        """Return what the features are found by; None for a file that is left to the decoder."""
        content = self._get(status.digest)
        if content is None:
            settled = time.time_ns() - status.changed_ns > SETTLED_SECONDS * 10**9
            content = _content(path)
            if content is None:
                return None
            if settled:
                self._put(status.digest, content)
        return _digest(b"features", content, os.fsencode(path.suffix.lower()), self._made_with)

    def _get(self, key: bytes) -> bytes | None:
        if self._connection is None:
            return None
        row = self._connection.execute(
            "SELECT CAST(value AS BLOB), CAST(used AS INTEGER) FROM pairs WHERE key = ?", (key,)
        ).fetchone()
        if row is None:
            return None
        value, checksum = row[0][:-_CHECKSUM_BYTES], row[0][-_CHECKSUM_BYTES:]
        if checksum != _checksum(key, value):
            return None  # SQLite does not notice a flipped bit; the pair will be replaced
        if (now := int(time.time())) - row[1] > USED_STEP_SECONDS:
            self._connection.execute("UPDATE pairs SET used = ? WHERE key = ?", (now, key))
        return bytes(value)

    def _put(self, key: bytes, value: bytes) -> None:
        """Keep a pair, if need be in place of those that were not used for the longest time."""
        if self._connection is None:
            return
        command = "INSERT OR REPLACE INTO pairs (key, value, used) VALUES (?, ?, ?)"
        row = (key, value + _checksum(key, value), int(time.time()))
        try:
            self._connection.execute(command, row)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            self._connection.execute(_EVICTION)
            self._connection.execute(command, row)

    @contextmanager
    def _trouble_told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            self._close()
            _tell(self._file, error)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def cache_file() -> Path:
    """Return where the cache is: in ``$GENRECLF_CACHE``, or in the platform's cache folder.

    Raises
    ------
    GenreclfError
        If this user has no home folder, as in some containers.
    """
    folder = os.environ.get("GENRECLF_CACHE") or _platforms_folder()
    if folder is None:
        raise GenreclfError("no cache: there is no home folder; GENRECLF_CACHE can name another")
    return Path(folder, "features.sqlite")


def _platforms_folder() -> str | None:
    from platformdirs import user_cache_dir  # asked for by few commands, and not quick

    try:
        folder = user_cache_dir("genreclf", appauthor=False)
    except RuntimeError:
        return None
    return None if folder.startswith("~") else folder  # which older versions leave as it is


def prepare_cache(file: Path) -> bool:
    """Make the cache ready for processes that share it.

    Returns
    -------
    bool
        Whether it can be used. If not, or if it was damaged and begins anew, a warning says so.
    """
    for _ in range(2):
        try:
            _connect(file).close()
            return True
        except (OSError, sqlite3.Error) as error:
            if not _tell(file, error):
                return False
    return False


def cache_info() -> CacheInfo:
    """Count what the cache holds.

    Raises
    ------
    GenreclfError
        If it cannot be read.
    """
    file = cache_file()
    if not file.exists():
        return CacheInfo(file, 0, 0)
    try:
        with closing(_connect(file)) as connection:
            count = "SELECT count(*) FROM pairs WHERE length(value) > ?"
            [n] = connection.execute(count, (_DIGEST_BYTES + _CHECKSUM_BYTES,)).fetchone()
    except (OSError, sqlite3.Error) as error:
        if not _is_damage(error):
            raise GenreclfError(f"{file}: cannot be read: {_reason(error)}") from None
        n = 0
    return CacheInfo(file, n, sum(part.stat().st_size for part in _parts(file) if part.exists()))


def clear_cache() -> CacheInfo:
    """Empty the cache, also while others use it, and return what it held.

    Raises
    ------
    GenreclfError
        If it cannot be written.
    """
    held = cache_info()
    if not held.n_bytes:
        return held
    try:
        # Not unlinked, since others that have it open would go on writing into nowhere.
        with closing(_connect(held.file)) as connection:
            connection.execute("DELETE FROM pairs")
            connection.execute("VACUUM")
    except (OSError, sqlite3.Error) as error:
        if not _is_damage(error):
            raise GenreclfError(f"{held.file}: cannot be cleared: {_reason(error)}") from None
        _unlink(held.file)
    return held


class _Status(NamedTuple):
    """What the file system says of a file: it changes when the content does."""

    digest: bytes
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> "_Status | None":
        """Return None for what is not to be read whole, or not alone: sd2 has its header aside."""
        try:
            status = path.stat()
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size <= LARGEST_FILE:
            return None
        if path.suffix.lower() == ".sd2":
            return None
        times = status.st_mtime_ns, status.st_ctime_ns
        facts = f"{status.st_ino} {status.st_size} {times}".encode()
        return cls(_digest(b"status", os.fsencode(path.absolute()), facts), max(times))


def _connect(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        _set_up(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection) -> None:
    execute = connection.execute
    execute("PRAGMA trusted_schema = OFF")
    execute("PRAGMA journal_mode = WAL")
    execute("PRAGMA synchronous = NORMAL")  # a power cut may cost rows, but never the whole
    [page_bytes] = execute("PRAGMA page_size").fetchone()
    execute(f"PRAGMA max_page_count = {MAX_BYTES // page_bytes}")
    if execute("PRAGMA user_version").fetchone() != (_LAYOUT,):
        execute("BEGIN IMMEDIATE")
        if execute("PRAGMA user_version").fetchone() != (_LAYOUT,):  # nor has another meanwhile
            execute("DROP TABLE IF EXISTS pairs")
            execute(_SCHEMA)
            execute(f"PRAGMA user_version = {_LAYOUT}")
        execute("COMMIT")


def _tell(file: Path, error: Exception) -> bool:
    """Warn of trouble, drop the file if it is damaged, and return whether it was."""
    damaged = _is_damage(error)
    if damaged:
        _unlink(file)
    consequence = "is damaged and was dropped" if damaged else f"is not used: {_reason(error)}"
    warnings.warn(f"the cache {file} {consequence}", stacklevel=4)
    return damaged


def _is_damage(error: Exception) -> bool:
    """Tell a file that is no cache (also by its tables) from one that cannot be had now."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest are details
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _parts(file: Path) -> list[Path]:
    return [file.with_name(file.name + suffix) for suffix in ("", "-wal", "-shm")]


def _unlink(file: Path) -> None:
    for part in _parts(file):
        part.unlink(missing_ok=True)


def _made_with(config: ExtractionConfig) -> bytes:
    return f"{config.fingerprint}, {numbers_depend_on()}".encode()


def _content(path: Path) -> bytes | None:
    """Digest the audio of a file, None if it cannot be read."""
    try:
        return audio_digest(path)
    except OSError:
        return None


def _digest(*parts: bytes) -> bytes:
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(len(part).to_bytes(8) + part)
    return hasher.digest()


def _checksum(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(key + value, digest_size=_CHECKSUM_BYTES).digest()
