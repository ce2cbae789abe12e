"""Audio for the tests, synthesised when needed; no binary fixtures."""

import getpass
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pebble
import pytest
import soundfile
from helpers import PoolInThisProcess, run
from numpy.typing import NDArray
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import estimator_checks_generator
from threadpoolctl import threadpool_limits

Samples = NDArray[np.float32]

os.environ.pop("COLUMNS", None)  # pytest-xdist sets it, and commands heed it

if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    # Two processes that compile librosa's functions into one cold cache crash: to each its own.
    cache = Path(tempfile.gettempdir()) / f"genreclf-tests-numba-{getpass.getuser()}-{worker}"
    os.environ["NUMBA_CACHE_DIR"] = str(cache)

# Many threads on small tables get into each other's way; likewise in processes of a test.
threadpool_limits(1)
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def scikit_learns_checks(*estimators: Any) -> pytest.MarkDecorator:
    """Parametrize with ``estimator, check``: what scikit-learn asks of an estimator.

    Its own decorator does that with an iterator, which pytest warns of.
    """
    checks = [pair for estimator in estimators for pair in estimator_checks_generator(estimator)]
    names = [f"{estimator}-{check.func.__name__}" for estimator, check in checks]
    return pytest.mark.parametrize(("estimator", "check"), checks, ids=names)


@pytest.fixture(autouse=True, scope="session")
def own_data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' models out of the user's list of trusted ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENRECLF_DATA", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(autouse=True, scope="session")
def workers_in_this_process() -> Iterator[None]:
    """Let workers be this process: new ones take a second each to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genreclf.parallel.workers.ProcessPool", PoolInThisProcess)
        yield


@pytest.fixture(autouse=True)
def processes_where_they_are_tested(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Give tests that are marked ``processes`` worker processes as in use."""
    if request.node.get_closest_marker("processes"):
        monkeypatch.setattr("genreclf.parallel.workers.ProcessPool", pebble.ProcessPool)


@pytest.fixture(autouse=True)
def floating_point_errors_raised() -> Iterator[None]:
    """Let no number go wrong in silence.

    What underflows is right as 0: the square of next to nothing, the likelihood of the unlikely.
    In worker processes the same errors are warnings, which come back and fail the test too.
    """
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        yield


def sine(hz: float, seconds: float, rate: int, amplitude: float = 0.5) -> Samples:
    """A tone of constant pitch."""
    t = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def noise(seconds: float, rate: int, amplitude: float = 0.1, seed: int = 0) -> Samples:
    """White noise."""
    random = np.random.default_rng(seed)
    return (amplitude * random.standard_normal(round(seconds * rate))).astype(np.float32)


def clicks(bpm: float, seconds: float, rate: int) -> Samples:
    """Short bursts of decaying noise at a steady tempo."""
    signal = np.zeros(round(seconds * rate), dtype=np.float32)
    length = round(0.03 * rate)
    burst = noise(0.03, rate, 0.5)[:length] * np.exp(-np.arange(length) / (0.006 * rate))
    for start in np.arange(0, seconds - 0.05, 60 / bpm):
        at = round(start * rate)
        signal[at : at + length] += burst
    return signal


def music(seconds: float, rate: int, seed: int = 0, bpm: float = 100) -> Samples:
    """Chords with partials and a beat over a little noise: a stand-in for real music."""
    return _music(seconds, rate, seed, bpm).copy()


@lru_cache(maxsize=64)
def _music(seconds: float, rate: int, seed: int, bpm: float) -> Samples:
    random = np.random.default_rng(seed)
    signal = clicks(bpm, seconds, rate) + noise(seconds, rate, 0.003, seed)
    bar = 240 / bpm
    for start in np.arange(0, seconds, bar):
        length = min(bar, seconds - start)
        at = round(start * rate)
        for pitch in 48 + random.integers(0, 24, size=3):
            hz = 440 * 2 ** ((pitch - 69) / 12)
            for partial in range(1, 6):
                tone = sine(hz * partial, length, rate, 0.12 / partial**1.5)
                n = min(len(tone), len(signal) - at)
                signal[at : at + n] += (tone * np.exp(-np.arange(len(tone)) / rate))[:n]
    return (0.5 * signal / np.abs(signal).max()).astype(np.float32)


@pytest.fixture(scope="session", autouse=True)
def _nobodys_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep fixtures of a wider scope than a test away from the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENRECLF_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def cache_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """New folders; pytest would look through thousands to number the next."""
    folder = tmp_path_factory.mktemp("caches")
    return (folder / str(number) for number in count())


@pytest.fixture(autouse=True)
def cache_folder(cache_folders: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test an empty cache of its own, so that it computes what it tests."""
    folder = next(cache_folders)
    folder.mkdir()
    monkeypatch.setenv("GENRECLF_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def write_audio(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write samples to a file of any format, by its suffix, and return the path."""

    def write(name: str, samples: Samples, rate: int, folder: Path | None = None) -> Path:
        path = (folder or tmp_path_factory.mktemp("audio")) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, rate)
        return path

    return write


@pytest.fixture(scope="session")
def song(write_audio: Callable[..., Path]) -> Path:
    """An mp3 of 40 s at 44.1 kHz: longer than an excerpt."""
    return write_audio("song.mp3", music(40, 44100), 44100)


@pytest.fixture(scope="session")
def short_song(write_audio: Callable[..., Path]) -> Path:
    """An mp3 of 5 s at 22.05 kHz: shorter than an excerpt."""
    return write_audio("short.mp3", music(5, 22050, seed=1), 22050)


@pytest.fixture(scope="session")
def genre_folder(
    tmp_path_factory: pytest.TempPathFactory, write_audio: Callable[..., Path]
) -> Path:
    """A folder with two genres of six short mp3s each: tones, and clicks with noise."""
    folder = tmp_path_factory.mktemp("music")
    for i in range(6):
        tones = music(4, 22050, seed=i, bpm=60)
        beats = clicks(110 + 8 * i, 4, 22050) + noise(4, 22050, 0.02, seed=i)
        write_audio(f"tonal/{i}.mp3", tones, 22050, folder)
        write_audio(f"noisy/{i}.mp3", beats, 22050, folder)
    (folder / "cover.txt").write_text("no audio")
    return folder


@pytest.fixture(scope="session")
def trained(genre_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with features.csv and model.joblib made by the commands."""
    folder = tmp_path_factory.mktemp("trained")
    extracted = run("extract", genre_folder, "-o", folder / "features.csv", "--jobs", 2)
    assert extracted.exit_code == 0, extracted.output
    assert "skipped 1 file " in extracted.stderr
    done = run("train", folder / "features.csv", "-o", folder / "model.joblib")
    assert done.exit_code == 0, done.output
    assert "accuracy" in done.stdout
    return folder


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of tracks of each fit of a support vector machine."""
    sizes: list[int] = []
    real = SVC.fit

    def counted(machine: SVC, X: Any, y: Any) -> Any:
        sizes.append(len(y))
        return real(machine, X, y)

    monkeypatch.setattr(SVC, "fit", counted)
    return sizes
