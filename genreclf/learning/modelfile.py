"""Model files: the fitted estimators, a card that is read without them, and whom to trust.

``.joblib`` holds a pickle, and loading a pickle runs whatever its maker put there. So the only
such files that are loaded just so are those that this user wrote or has said yes to: their SHA-256
is kept in the user's data folder. ``.skops`` holds data only, and is loaded when it has no types
but those listed here. The card is JSON in both; nothing heavy is imported to read it.
"""

import hashlib
import io
import json
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

from platformdirs import user_data_path

from genreclf.errors import ModelError, shortened
from genreclf.files import shipped, written_whole
from genreclf.learning.card import Card

SUFFIXES = (".joblib", ".skops")
FORMAT, FORMAT_VERSION = "genreclf-model", 2
CARD_NAME = "genreclf.json"

# The model that comes with genreclf, made by data/train_bundled.py.
BUNDLED_SHA256 = "6abf766cabecef981cdf8d396ffe0f266eb7ffcc295a7e7b3a4b91baddf8bd1c"

# A joblib file ends in the card, its length and this; whoever unpickles stops before.
_END = b"genreclf"
_LENGTH = struct.Struct("<Q")
_MAX_CARD_BYTES = 50_000_000
_MAX_SKOPS_BYTES = 2_000_000_000

# What a model of ours holds beyond what skops allows by itself. Not its trees: made with ill
# will, they make scikit-learn read outside their arrays.
SAFE_TYPES = frozenset(
    {
        "genreclf.learning.calibration.TemperatureScaled",
        "genreclf.learning.classifiers.EvenLda",
        "genreclf.learning.classifiers.SoftVote",
        "genreclf.learning.codebook.Codebook",
        "genreclf.learning.novelty.NoveltyDetector",
        "genreclf.learning.scaling.LogScaler",
        "numpy.dtype",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.utils._bunch.Bunch",
    }
)


def bundled_model() -> Path:
    """Return the path of the model that comes with genreclf, in a checkout as in a wheel."""
    return shipped("data") / "gtzan.joblib"


def write_model(
    path: Path, estimators: dict[str, Any], card: Card, compress: int | tuple[str, int] = 0
) -> None:
    """Write a model file, whole or not at all, and remember it as one to be trusted.

    Parameters
    ----------
    path : Path
    estimators : dict
    card : Card
    compress : int or tuple
        As ``joblib.dump`` takes it. A compressed file is read by genreclf only: joblib itself
        stumbles over the card at its end.

    Raises
    ------
    ModelError
        If the file cannot be written, or skops is missing for ``.skops``.
    """
    import joblib

    plain = {"format": FORMAT, "format_version": FORMAT_VERSION, **card.to_dict()}
    text = json.dumps(plain).encode()
    try:
        with written_whole(path) as aside:
            if _is_skops(path):
                _write_skops(aside, estimators, text)
            else:
                joblib.dump(estimators, aside, compress=compress)
                with aside.open("ab") as file:
                    file.write(text + _LENGTH.pack(len(text)) + _END)
    except OSError as error:
        raise ModelError(f"{path}: cannot be written: {error.strerror or error}") from None
    trust(path)


def check_writer(path: Path) -> None:
    """Refuse a name that no model can be written to, before there is a model.

    Raises
    ------
    ModelError
        If skops is missing for ``.skops``.
    """
    if _is_skops(path):
        _skops(path)


def _write_skops(path: Path, estimators: dict[str, Any], card: bytes) -> None:
    _skops(path).dump(estimators, path, compression=ZIP_DEFLATED)
    with ZipFile(path, "a") as archive:
        archive.writestr(CARD_NAME, card)


def read_card(path: Path) -> Card:
    """Read what a model is, without loading it.

    Raises
    ------
    ModelError
        If it is not a model of genreclf.
    """
    with _readable(path):
        text = _skops_card(path) if _is_skops(path) else _joblib_parts(path.read_bytes())[1]
        plain = json.loads(text)
    if not isinstance(plain, dict) or plain.pop("format", None) != FORMAT:
        raise ModelError(f"{path}: not a genreclf model")
    if (version := plain.pop("format_version", None)) != FORMAT_VERSION:
        raise ModelError(
            f"{path}: a model of format {shortened(version)}, but this genreclf reads "
            f"{FORMAT_VERSION}; train it anew"
        )
    return Card.from_dict(plain, str(path))


def read_model(path: Path, *, trusted: bool = False) -> dict[str, Any]:
    """Load the estimators of a model file.

    Parameters
    ----------
    path : Path
    trusted : bool
        Load it whoever made it.

    Raises
    ------
    ModelError
        If it is damaged, or was made by someone else and is not known to be harmless.
    """
    if _is_skops(path):
        return _read_skops(path, trusted or is_trusted(path))
    with _readable(path):
        content = path.read_bytes()  # once, so that what is loaded is what was looked at
    if not (trusted or _is_known(hashlib.sha256(content).hexdigest())):
        raise ModelError(
            f"{path}: not written by your genreclf; a joblib model can run any code when it is "
            "loaded: if you trust whoever made it, say so with --trust (or ask for a .skops file)"
        )
    import joblib

    with _readable(path), _versions_not_told():
        estimators: dict[str, Any] = joblib.load(io.BytesIO(_joblib_parts(content)[0]))
    if trusted:
        trust(path)
    return estimators


def _joblib_parts(content: bytes) -> tuple[bytes, bytes]:
    """Return the pickle and the card of a joblib file."""
    body, end = content[: -len(_END)], content[-len(_END) :]
    length = _LENGTH.unpack(body[-_LENGTH.size :])[0] if end == _END else 0
    if not 0 < length < min(len(body), _MAX_CARD_BYTES):
        raise ValueError("it has no card")
    body = body[: -_LENGTH.size]
    return body[:-length], body[-length:]


def _is_skops(path: Path) -> bool:
    return path.suffix.lower() == ".skops"


def _skops(path: Path) -> Any:
    try:
        import skops.io
    except ImportError:
        raise ModelError(
            f"{path}: .skops models need skops, which is not installed: "
            "pip install 'genreclf[skops]'"
        ) from None
    return skops.io


def _skops_card(path: Path) -> bytes:
    with ZipFile(path) as archive:
        if archive.getinfo(CARD_NAME).file_size > _MAX_CARD_BYTES:
            raise ValueError("its card is too large")
        return archive.read(CARD_NAME)


def _read_skops(path: Path, trusted: bool) -> dict[str, Any]:
    skops = _skops(path)
    with _readable(path), _versions_not_told():
        with ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MAX_SKOPS_BYTES:
                raise ValueError("it unpacks to over 2 GB")
        strange = set(skops.get_untrusted_types(file=path))
        if not trusted and not strange <= SAFE_TYPES:
            raise ModelError(
                f"{path}: holds {shortened(min(strange - SAFE_TYPES))}, which is not known to be "
                "harmless; if you trust whoever made it, say so with --trust"
            )
        estimators: dict[str, Any] = skops.load(path, trusted=sorted(strange))
        return estimators


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what damaged files raise, which is whatever their bytes lead to, into one line."""
    try:
        yield
    except ModelError:
        raise
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; train a model first, or name one") from None
    except BadZipFile:
        raise ModelError(f"{path}: not a genreclf model, or a damaged one") from None
    except Exception as error:
        reason = shortened((str(error) or type(error).__name__).splitlines()[0], 300)
        raise ModelError(f"{path}: not a genreclf model, or a damaged one ({reason})") from None


@contextmanager
def _versions_not_told() -> Iterator[None]:
    """Silence a warning for each part of a pipeline; one in our own words tells it all."""
    from sklearn.exceptions import InconsistentVersionWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        warnings.filterwarnings("ignore", r"Reading `\.npy`")
        yield


def trust(path: Path) -> None:
    """Remember the content of a file as trusted.

    Warns where the user's data folder cannot be written.
    """
    if is_trusted(path):
        return
    record = _record()
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        with record.open("a", encoding="ascii") as file:
            file.write(f"{_sha256(path)}\n")
    except OSError as error:
        warnings.warn(
            f"{record}: cannot be written ({error.strerror}); {path} will need --trust",
            stacklevel=2,
        )


def is_trusted(path: Path) -> bool:
    """Tell whether a file is bundled, or this user's genreclf wrote it or was told to trust it."""
    try:
        return _is_known(_sha256(path))
    except OSError:
        return False


def _is_known(digest: str) -> bool:
    try:
        return digest == BUNDLED_SHA256 or digest in _record().read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return False


def data_folder() -> Path:
    """Return where genreclf keeps what is the user's own; it need not exist."""
    folder = os.environ.get("GENRECLF_DATA")
    return Path(folder) if folder else user_data_path("genreclf")


def _record() -> Path:
    return data_folder() / "trusted-models.sha256"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
