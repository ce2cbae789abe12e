"""What has to hold for every file: a valid result, or one line that says what is wrong.

Each function returns ``result``, ``error``, or ``BROKEN`` with the reason. They run in worker
processes, whose death or delay is a breach too.
"""

import io
import os
import resource
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

import numpy as np
from rich.console import Console

from genreclf.config.load import load_config
from genreclf.config.networks import read_network
from genreclf.embeddings.importing import read_onnx
from genreclf.embeddings.onnxfile import OnnxNetwork
from genreclf.errors import GenreclfError
from genreclf.extraction.tracks import Row, extract_tracks
from genreclf.features.pooling import feature_names
from genreclf.learning.model import Model
from genreclf.learning.modelfile import read_card
from genreclf.library.labelcounts import count_labels
from genreclf.library.sources import Track
from genreclf.reports.inspection import model_report, onnx_report, table_report
from genreclf.reports.labels import labels_report
from genreclf.tables.labelfiles import read_labels, write_labels
from genreclf.tables.reading import load_table
from genreclf.tables.table import FeatureTable

# All features, of two seconds in the middle of six: they have to be sought for.
AUDIO_CONFIG = load_config(overrides=["excerpt.seconds=2"])
MAX_CHARACTERS = 1000  # of a line that a person is to read
Check = Callable[[str, str], str]


class BrokenError(AssertionError):
    """A property that does not hold."""


def limit_memory(n_bytes: int) -> None:
    """Let this process have no more address space than that."""
    resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))


def _property(check: Callable[[str, str], None]) -> Check:
    """Make a verdict of what a check raises, and of what it lets out."""

    @wraps(check)
    def verdict(given: str, harmless: str) -> str:
        try:
            with _nothing_leaks(given):
                check(given, harmless)
        except GenreclfError as error:
            return _verdict_of_line(str(error), given)
        except BrokenError as error:
            return f"BROKEN {error}"
        except Exception as error:
            return f"BROKEN raises {type(error).__name__}: {str(error)[:300]!r}"
        return "result"

    return verdict


def _verdict_of_line(line: str, given: str) -> str:
    start = given if os.sep in given else "--set"
    if not line.startswith(start):
        return f"BROKEN does not begin with the name: {line[:300]!r}"
    if len(line.splitlines()) != 1 or len(line) > MAX_CHARACTERS:
        return f"BROKEN {len(line)} characters in {len(line.splitlines())} lines: {line[:300]!r}"
    return "error"


@contextmanager
def _nothing_leaks(given: str) -> Iterator[None]:
    """Allow no warning but ours, and nothing on standard error, not even from C."""
    sys.stderr.flush()
    before = os.dup(2)
    with tempfile.TemporaryFile() as caught, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
        caught.seek(0)
        written = caught.read(300)
    for warning in warned:
        if not str(warning.message).startswith(given):
            raise BrokenError(f"warns {warning.category.__name__}: {str(warning.message)[:300]!r}")
    if written:
        raise BrokenError(f"writes to standard error: {written!r}")


@_property
def check_audio(given: str, harmless: str) -> None:
    """A row of finite features of the right length, or the reason why there is none."""
    [outcome] = extract_tracks([Track(Path(given))], AUDIO_CONFIG)
    if not isinstance(outcome, Row):
        if outcome.stage != "audio":
            raise BrokenError(outcome.error)
        raise GenreclfError(outcome.error)
    expected = len(feature_names(AUDIO_CONFIG))
    values = outcome.measured.statistics
    if values.shape != (expected,) or not np.isfinite(values).all():
        raise BrokenError(f"{np.isfinite(values).sum()} finite features of {expected}")


@_property
def check_table(given: str, harmless: str) -> None:
    """A table that can be shown, and classified or refused."""
    table = load_table(given)
    shape = (len(table.paths), len(table.names))
    if table.values.shape != shape or np.isinf(table.values).any():
        raise BrokenError(
            f"values of shape {table.values.shape}, {np.isinf(table.values).sum()} infinite"
        )
    _show(lambda console: table_report(table, console))
    _classify(Model.load(harmless, trusted=True), table)


@_property
def check_label(given: str, harmless: str) -> None:
    """Labels that can be counted, and of which one changes and nothing else."""
    file = read_labels(given)
    _show(lambda console: labels_report(count_labels(file.labels, file.groups), console))
    output = Path(given).with_name(f"relabelled{Path(given).suffix}")
    write_labels(file, {0: harmless}, output)
    written = read_labels(output)
    if written.labels != [harmless, *file.labels[1:]] or written.paths != file.paths:
        raise BrokenError("other labels or paths than were written")


@_property
def check_config(given: str, harmless: str) -> None:
    """A configuration that audio can be extracted with."""
    is_file = os.sep in given
    config = load_config(given) if is_file else load_config(overrides=[given])
    size = sum(
        view.excerpt.seconds * view.audio.sample_rate_hz / view.spectra.hop_length
        * view.spectra.n_fft
        for view in config.spectral_views
    )  # fmt: skip
    if size > 2**24 or config.networks:  # which are not here
        return
    [outcome] = extract_tracks([Track(Path(harmless))], config)
    if isinstance(outcome, Row):
        if outcome.measured.statistics.shape != (len(feature_names(config)),):
            raise BrokenError("features of another number")
    elif outcome.stage != "audio":
        raise BrokenError(outcome.error)


@_property
def check_model(given: str, harmless: str) -> None:
    """A card that can be shown, and a model that predicts or is refused; nothing runs."""
    os.environ["GENRECLF_DATA"] = "of another user"  # who trusts none of these files
    refused = None
    try:
        card = read_card(Path(given))
        _show(lambda console: model_report(card, console))
    except GenreclfError as error:
        refused = error
    try:
        model = Model.load(given)
        if refused or given.endswith(".joblib"):
            raise BrokenError("is loaded although nobody trusts it, or its card cannot be read")
        _classify(model, load_table(harmless))
    finally:
        if Path("harm").exists():
            Path("harm").rmdir()
            raise BrokenError("runs what is in the pickle")


@_property
def check_network(given: str, harmless: str) -> None:
    """A description, or a network that can be shown and run or refused; it opens no other file."""
    if given.endswith(".toml"):
        read_network(Path(given))
        return
    contents, skeleton = read_onnx(Path(given))
    _show(lambda console: onnx_report(contents, skeleton, console))
    described = read_network(Path(harmless))
    patch = np.random.default_rng(0).random((3, 8, 4), dtype=np.float32)
    try:
        network = OnnxNetwork(Path(given).read_bytes(), described)
        network.run(patch[: network.batch], described.outputs)
    except GenreclfError as error:
        raise GenreclfError(f"{given}: {error}") from None


def _classify(model: Model, table: FeatureTable) -> None:
    try:
        predictions = list(model.predict_table(table))
    except GenreclfError as error:
        if len(str(error).splitlines()) != 1:
            raise BrokenError(f"several lines: {error}") from None
        return
    for prediction in predictions:
        if not np.isfinite(list(prediction.probabilities.values())).all():
            raise BrokenError("probabilities that are not finite")


def _show(report: Callable[[Console], None]) -> None:
    """Print for a person, and look for what would steer the terminal."""
    text = io.StringIO()
    report(Console(file=text, width=100))
    for line in text.getvalue().split("\n"):
        if not line.isprintable():
            raise BrokenError(f"shows {line[:200]!r}")
