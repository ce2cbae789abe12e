"""Model files: fitted estimators, a card that is read without them, and which files to trust.

A ``.joblib`` file holds a pickle, and loading a pickle runs whatever code its author put there. So
genreclf loads only the joblib files that this user wrote or chose to trust: it keeps their SHA-256
in the user's data folder. A ``.skops`` file holds data only, and is loaded if it has no types but
those that are listed here. The card is JSON in both; reading it imports nothing heavy.
"""

import hashlib
import io
import json
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

from genreclf.errors import ModelError, shortened
from genreclf.files import data_folder, shipped, written_whole
from genreclf.learning.card import Card
from genreclf.versions import versions

SUFFIXES = (".joblib", ".skops")
FORMAT, FORMAT_VERSION = "genreclf-model", 3
CARD_NAME = "genreclf.json"

# The model that comes with genreclf, made by data/train_bundled.py.
BUNDLED_SHA256 = "f2f3d6b3e7db9f5b427e1e02476cfb1703acf8084c6cc23421417d96c2da7e44"

# A joblib file ends with the card, its length and this. Unpickling stops before them.
_END = b"genreclf"
_LENGTH = struct.Struct("<Q")
_MAX_CARD_BYTES = 50_000_000
_MAX_SKOPS_BYTES = 2_000_000_000

# What our models hold beyond the types that skops allows. Trees are not among them: with damaged
# ones, scikit-learn reads outside their arrays.
SAFE_TYPES = frozenset(
    {
        "genreclf.learning.augmentation.resampled.Resampled",
        "genreclf.learning.calibration.TemperatureScaled",
        "genreclf.learning.codebook.Codebook",
        "genreclf.learning.convnet.SpectrogramNetwork",
        "genreclf.learning.estimators.BalancedLda",
        "genreclf.learning.estimators.SoftVote",
        "genreclf.learning.excerpts.ExcerptPipeline",
        "genreclf.learning.nystroem.NystroemClassifier",
        "genreclf.learning.novelty.NoveltyDetector",
        "genreclf.learning.scaling.LogScaler",
        "numpy.dtype",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.utils._bunch.Bunch",
    }
)


def bundled_model() -> Path:
    """Return the path of the model that comes with genreclf."""
    return shipped("data") / "gtzan.joblib"


def write_model(
    path: Path, estimators: dict[str, Any], card: Card, compress: int | tuple[str, int] = 0
) -> None:
    """Write a complete model file, or none, and trust it from now on.

    Parameters
    ----------
    path : Path
    estimators : dict
    card : Card
    compress : int or tuple
        As for ``joblib.dump``. Only genreclf reads a compressed file: joblib fails at the card
        behind the pickle.

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
    """Refuse a file name that no model can be written to, before training starts.

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
    """Read what a model is, without loading its estimators.

    Raises
    ------
    ModelError
        If it is not a model of genreclf.
    """
    with _readable(path):
        text = _skops_card(path) if _is_skops(path) else _joblib_parts(path.read_bytes())[1]
    return _parse_card(text, path)


def _parse_card(text: bytes, path: Path) -> Card:
    with _readable(path):
        plain = json.loads(text)
    if not isinstance(plain, dict) or plain.pop("format", None) != FORMAT:
        raise ModelError(f"{path}: not a genreclf model")
    if (version := plain.pop("format_version", None)) != FORMAT_VERSION:
        raise ModelError(
            f"{path}: a model of format {shortened(version)}, but this genreclf reads format "
            f"{FORMAT_VERSION}; train it again"
        )
    return Card.from_dict(plain, str(path))


def read_model(path: Path, *, trusted: bool = False) -> tuple[Card, dict[str, Any]]:
    """Load the card and the estimators of a model file.

    Warns if it was written with other versions of genreclf, scikit-learn or numpy.

    Parameters
    ----------
    path : Path
    trusted : bool
        Load it even if someone else wrote it.

    Raises
    ------
    ModelError
        If it is damaged, or someone else wrote it and it is not known to be harmless.
    """
    card = read_card(path)
    estimators = _read_skops(path, trusted) if _is_skops(path) else _read_joblib(path, trusted)
    if not isinstance(estimators, dict) or estimators.keys() != {"pipeline", "novelty"}:
        raise ModelError(f"{path}: not a genreclf model")
    if path != bundled_model():  # the bundled model is tested with every supported version
        _warn_of_versions(path, card.versions)
    return card, estimators


def _read_joblib(path: Path, trusted: bool) -> Any:
    with _readable(path):
        content = path.read_bytes()  # read once, so that the checked bytes are the loaded ones
    if not (trusted or _is_known(hashlib.sha256(content).hexdigest())):
        raise ModelError(
            f"{path}: not written by your genreclf; a joblib model can run any code when it is "
            "loaded: if you trust its author, add --trust (or ask for a .skops file)"
        )
    import joblib

    with _readable(path), _scikit_learns_warnings_ignored():
        estimators = joblib.load(io.BytesIO(_joblib_parts(content)[0]))
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


def _read_skops(path: Path, trusted: bool) -> Any:
    skops = _skops(path)
    trusted = trusted or is_trusted(path)
    with _readable(path), _scikit_learns_warnings_ignored():
        with ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MAX_SKOPS_BYTES:
                raise ValueError("it unpacks to over 2 GB")
        strange = set(skops.get_untrusted_types(file=path))
        if not trusted and not strange <= SAFE_TYPES:
            raise ModelError(
                f"{path}: holds {shortened(min(strange - SAFE_TYPES))}, which is not known to be "
                "harmless; if you trust its author, add --trust"
            )
        return skops.load(path, trusted=sorted(strange))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn the errors of damaged files, which can be of any type, into one line."""
    try:
        yield
    except ModelError:
        raise
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"{path}: its classifier is not one of this genreclf's ({shortened(error, 200)}); "
            "train it again"
        ) from None
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; train a model first, or name one") from None
    except BadZipFile:
        raise ModelError(f"{path}: not a genreclf model, or a damaged one") from None
    except Exception as error:
        reason = shortened((str(error) or type(error).__name__).splitlines()[0], 300)
        raise ModelError(f"{path}: not a genreclf model, or a damaged one ({reason})") from None


@contextmanager
def _scikit_learns_warnings_ignored() -> Iterator[None]:
    """Ignore a warning for each step of a pipeline; ``_warn_of_versions`` gives one for all."""
    from sklearn.exceptions import InconsistentVersionWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        warnings.filterwarnings("ignore", r"Reading `\.npy`")
        yield


def _warn_of_versions(path: Path, written_with: dict[str, str]) -> None:
    now = versions()
    differing = [
        f"{package} {written_with[package]} (here {now[package]})"
        for package in ("genreclf", "scikit-learn", "numpy")
        if package in written_with and _minor(written_with[package]) != _minor(now[package])
    ]
    if differing:
        warnings.warn(
            f"{path} was written with {', '.join(differing)}; predictions may differ: train it "
            "again if in doubt",
            stacklevel=4,
        )


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def trust(path: Path) -> None:
    """Remember that the content of a file is trusted.

    Warns if the user's data folder cannot be written.
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
    """Return True for the bundled model, and for files that this user wrote or trusts."""
    try:
        return _is_known(_sha256(path))
    except OSError:
        return False


def _is_known(digest: str) -> bool:
    try:
        return digest == BUNDLED_SHA256 or digest in _record().read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return False


def _record() -> Path:
    return data_folder() / "trusted-models.sha256"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
