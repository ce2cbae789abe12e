"""Open an audio file with the library that decodes it correctly."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Lock

import soundfile

from genreclf.audio.audiofile import AudioFile
from genreclf.audio.chain import Chain, Opener, adts_links, ogg_links
from genreclf.audio.flac import flac_links, open_flac
from genreclf.audio.libav import NEEDS_EXTRA, LibavError, LibavFile, is_for_libav
from genreclf.audio.mpeg import MpegFile, find_mpeg
from genreclf.audio.sndfile import SndFile
from genreclf.errors import AudioError
from genreclf.library.streamtags import after_tags

# How libsndfile refuses a container that it knows because of the codec in it.
_UNKNOWN_CODEC = re.compile("unsupported|unimplemented|incompatible|alformed|holds 0 samples")


@contextmanager
def open_audio(path: Path) -> Iterator[AudioFile]:
    """Open an audio file.

    Raises
    ------
    AudioError
        If it cannot be decoded.
    """
    _require_content(path)
    with _CODECS_MUTED, open_decoder(path) as file:
        yield file


def open_decoder(path: Path) -> AudioFile:
    """Open with libsndfile; if that fails, with FFmpeg if it is installed."""
    decodable = False
    try:
        file = _open_with_libsndfile(path)
        decodable = file.info.n_frames > 0
        if decodable and not _is_misread(path, file):
            return file
        file.close()
        reason = "it holds 0 samples"
    except LibavError as error:
        raise AudioError(f"{path}: {error}") from None
    except (soundfile.LibsndfileError, OSError, TypeError, ValueError) as error:
        reason = _reason(error)
    try:
        return LibavFile(path)
    except LibavError as error:
        if decodable or is_for_libav(path):
            raise AudioError(f"{path}: {error}") from None
        remedy = ""
        if str(error) == NEEDS_EXTRA and _UNKNOWN_CODEC.search(reason):
            remedy = f"; perhaps it {NEEDS_EXTRA}"
    raise AudioError(f"{path}: no audio could be decoded ({reason}){remedy}")


def _open_with_libsndfile(path: Path) -> AudioFile:
    """Open a file of one stream, or of several that are joined."""
    links: list[Opener]
    if found := find_mpeg(path):
        links = [partial(MpegFile, path, mpeg) for mpeg in found]
    elif flacs := flac_links(path):
        links = [partial(open_flac, path, link) for link in flacs]
    elif len(oggs := ogg_links(path)) > 1:
        return _open_ogg_chain(path, oggs)
    elif len(stretches := adts_links(path)) > 1:
        links = [partial(LibavFile, path, [stretch]) for stretch in stretches]
    else:
        return _open_single(path)
    return links[0]() if len(links) == 1 else Chain(links)


def _open_ogg_chain(path: Path, links: Sequence[tuple[int, int]]) -> Chain:
    """Open a chain with the library that decodes more of it.

    For Opus, libsndfile uses the sample rate before encoding, and FFmpeg always 48 kHz.
    """
    chain = Chain([partial(_open_ogg, path, link) for link in links])
    if chain.seconds_left_out:
        with suppress(LibavError):
            other = Chain([partial(LibavFile, path, [link]) for link in links])
            is_longer = other.seconds_left_out < chain.seconds_left_out
            if is_longer and other.n_failed <= chain.n_failed:
                return other
    return chain


def _open_ogg(path: Path, link: tuple[int, int]) -> AudioFile:
    try:
        return SndFile(path, [link])
    except soundfile.LibsndfileError:
        return LibavFile(path, [link])


def _open_single(path: Path) -> SndFile:
    """Open a file of any other kind; for an mp3 of free format, skip the tags in front."""
    file = SndFile(path)
    if file.info.container == "MP3":
        with path.open("rb") as opened:
            after = after_tags(opened)
        if after:
            file.close()
            file = SndFile(path, [(after, path.stat().st_size)])
    return file


def _is_misread(path: Path, file: AudioFile) -> bool:
    """Return True if libsndfile cannot seek in a file (GSM), or takes AAC for an mp3."""
    if not isinstance(file, SndFile):
        return False
    return not file.seekable or (file.info.container == "MP3" and is_for_libav(path))


def _reason(error: Exception) -> str:
    """Return libsndfile's own words, without the path that soundfile puts before them."""
    words = str(getattr(error, "error_string", None) or error).strip().rstrip(".")
    if "does not exist" in words:  # its guess if no decoder accepts the file
        words = "its format is unknown"
    return words or type(error).__name__


def _require_content(path: Path) -> None:
    """Refuse what is not a readable file."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "cannot be opened"
        raise AudioError(f"{path}: {reason.lower()}") from None
    if stat.S_ISDIR(status.st_mode):
        raise AudioError(f"{path}: {_folder_error(path)}")
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(f"{path}: not a regular file")
    if not os.access(path, os.R_OK):
        raise AudioError(f"{path}: cannot be read; permission denied")
    if status.st_size == 0:
        raise AudioError(f"{path}: no audio could be decoded (the file is 0 bytes)")


def _folder_error(path: Path) -> str:
    """Return the error for a folder that was given as a file or cannot be searched."""
    try:
        os.scandir(path).close()
    except OSError as error:
        return f"a folder that cannot be searched; {(error.strerror or str(error)).lower()}"
    return "a folder, not an audio file"


class _CodecsMuted:
    """Keeps libmpg123 from printing warnings to the C-level standard error.

    It has no option for that, and damage shows in the samples anyway. Standard error belongs to
    the whole process: the first thread to enter turns it off, and the last one to leave turns it
    on again.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._saved = -1

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._saved = _redirect_standard_error()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._saved >= 0:
                os.dup2(self._saved, 2)
                os.close(self._saved)


def _redirect_standard_error() -> int:
    """Redirect standard error to the null device; return a copy of it, or -1 if it is closed."""
    try:
        saved = os.dup(2)
    except OSError:
        return -1
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return saved


_CODECS_MUTED = _CodecsMuted()
