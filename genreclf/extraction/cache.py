"""A cache of features, which finds them by the audio of a file, not by its name.

It is one SQLite file in the platform's cache folder, or in ``GENRECLF_CACHE``. Processes share it,
and it survives a crash. Its values are numbers with a checksum; joblib.Memory and diskcache store
pickles, which run code when they are read.

The cache maps two kinds of keys. Features are found by a digest of the audio (so that tags may
change), the suffix (which decides how files without a header are decoded), the fingerprint of the
configuration and the versions of the libraries that decide the last digits. The digest is found by
path, inode, size and times of change, so that a known file need not be read. Git relies on the same
values, and like git this does not rely on them just after a file changed.
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
from genreclf.versions import numbers_depend_on, version_of

MAX_BYTES = 2**28  # about 150,000 tracks; above it, the least recently used quarter is deleted
LARGEST_FILE = 2**27  # reading a larger file takes longer than computing its features
STABLE_SECONDS = 2  # resolution of time stamps on FAT, the coarsest of all file systems
USED_STEP_SECONDS = 3600  # resolution of the time of last use, so that most hits write nothing
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
    """Where the cache is, and what it holds."""

    file: Path
    n_tracks: int
    n_bytes: int


class Cache:
    """The cache as one process uses it, for one configuration.

    After an error, one warning is printed and the cache is not used. A damaged file is deleted.

    Parameters
    ----------
    file : Path
        It is made if it does not exist.
    config : ExtractionConfig
    """

    def __init__(self, file: Path, config: ExtractionConfig) -> None:
        self._connection: sqlite3.Connection | None = None
        self._file = file
        self._config = config
        self._made_with = f"{config.fingerprint}, {_numbers_depend_on(config)}".encode()
        with self._warned():
            self._connection = _connect(file)

    def __enter__(self) -> "Cache":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def __del__(self) -> None:
        self._close()

    def get_or_compute(
        self, path: Path, compute: Callable[[Path], Measured]
    ) -> tuple[Measured, bool]:
        """Return the features of a file and whether they come from the cache, or compute them.

        They are the same bits and the same notes either way. Exceptions of ``compute`` are raised;
        numbers that are not finite are not stored.
        """
        before = _Status.of(path)
        key, found = self._find(path, before)
        if found is not None:
            return found, True
        measured = compute(path)
        finite = measured.not_finite(self._config) is None
        # A file that changed meanwhile may have been hashed before and decoded after the change.
        if key is not None and finite and _Status.of(path) == before:
            with self._warned():
                self._put(key, pack(measured, self._config))
        return measured, False

    def get(self, path: Path) -> Measured | None:
        """Return the features of a file, if the cache has them."""
        return self._find(path, _Status.of(path))[1]

    def _find(self, path: Path, status: "_Status | None") -> tuple[bytes | None, Measured | None]:
        """Return the key of a file's features, and the features; None for what is not known."""
        key, content = None, None
        if status is not None:
            with self._warned():
                key = self._key(path, status)
                content = None if key is None else self._get(key)
        return key, None if content is None else unpack(content, self._config)

    def _key(self, path: Path, status: "_Status") -> bytes | None:
        """Return the key of the features; None for a file that only the decoder should read."""
        content = self._get(status.digest)
        if content is None:
            is_stable = time.time_ns() - status.changed_ns > STABLE_SECONDS * 10**9
            try:
                content = audio_digest(path)
            except OSError:
                return None
            if is_stable:
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
            return None  # a damaged value, which SQLite does not detect; it will be replaced
        if (now := int(time.time())) - row[1] > USED_STEP_SECONDS:
            self._connection.execute("UPDATE pairs SET used = ? WHERE key = ?", (now, key))
        return bytes(value)

    def _put(self, key: bytes, value: bytes) -> None:
        """Store a pair; a full cache first loses the pairs that were not used for longest."""
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
    def _warned(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            self._close()
            _warn(self._file, error)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _numbers_depend_on(config: ExtractionConfig) -> dict[str, str]:
    """Return what decides the last digits, with what runs the networks of a configuration."""
    runs_onnx = any(network.file.endswith(".onnx") for network in config.networks)
    runner = {"onnxruntime": version_of("onnxruntime")} if runs_onnx else {}
    return numbers_depend_on() | runner


def cache_file() -> Path:
    """Return the file of the cache, in ``$GENRECLF_CACHE`` or the platform's cache folder.

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
    from platformdirs import user_cache_dir  # slow to import, and used by few commands

    try:
        folder = user_cache_dir("genreclf", appauthor=False)
    except RuntimeError:
        return None
    return None if folder.startswith("~") else folder  # older versions of platformdirs return it so


def prepare_cache(file: Path) -> bool:
    """Make the cache ready for the processes that share it, and return True if it can be used.

    A warning says if it cannot, or if it was damaged and starts again empty.
    """
    for _ in range(2):
        try:
            _connect(file).close()
            return True
        except (OSError, sqlite3.Error) as error:
            if not _warn(file, error):
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
    """Empty the cache, even while others use it, and return what it held.

    Raises
    ------
    GenreclfError
        If it cannot be written.
    """
    held = cache_info()
    if not held.n_bytes:
        return held
    try:
        # Not deleted, because processes that have it open would lose what they write.
        with closing(_connect(held.file)) as connection:
            connection.execute("DELETE FROM pairs")
            connection.execute("VACUUM")
    except (OSError, sqlite3.Error) as error:
        if not _is_damage(error):
            raise GenreclfError(f"{held.file}: cannot be cleared: {_reason(error)}") from None
        _unlink(held.file)
    return held


class _Status(NamedTuple):
    """A file's path, inode, size and times as a digest, which changes when the content does."""

    digest: bytes
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> "_Status | None":
        """Read the status; None for a file that is too large or has its header in another file."""
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
    execute("PRAGMA synchronous = NORMAL")  # a power cut may lose rows, but never the whole cache
    [page_bytes] = execute("PRAGMA page_size").fetchone()
    execute(f"PRAGMA max_page_count = {MAX_BYTES // page_bytes}")
    if execute("PRAGMA user_version").fetchone() != (_LAYOUT,):
        execute("BEGIN IMMEDIATE")
        if execute("PRAGMA user_version").fetchone() != (_LAYOUT,):  # unless another process did it
            execute("DROP TABLE IF EXISTS pairs")
            execute(_SCHEMA)
            execute(f"PRAGMA user_version = {_LAYOUT}")
        execute("COMMIT")


def _warn(file: Path, error: Exception) -> bool:
    """Warn of an error, delete the file if it is damaged, and return True if it was."""
    damaged = _is_damage(error)
    if damaged:
        _unlink(file)
    consequence = "is damaged and was dropped" if damaged else f"is not used: {_reason(error)}"
    warnings.warn(f"the cache {file} {consequence}", stacklevel=4)
    return damaged


def _is_damage(error: Exception) -> bool:
    """Return True for a file that is not a cache, False for one that cannot be used now."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary error code
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _parts(file: Path) -> list[Path]:
    return [file.with_name(file.name + suffix) for suffix in ("", "-wal", "-shm")]


def _unlink(file: Path) -> None:
    for part in _parts(file):
        part.unlink(missing_ok=True)


def _digest(*parts: bytes) -> bytes:
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(len(part).to_bytes(8) + part)
    return hasher.digest()


def _checksum(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(key + value, digest_size=_CHECKSUM_BYTES).digest()
