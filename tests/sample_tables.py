"""Tables for the tests: clouds of points, and tables as ``extract`` makes them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from genreclf.config.load import load_config
from genreclf.features.pooling import feature_names
from genreclf.tables.frames import Frames
from genreclf.tables.table import FeatureTable

N_BANDS, N_FRAMES = 24, 60
# One second in 24 mel bands and 60 frames.
MEL_SETTINGS = [
    "separation=none", "excerpt.seconds=1", "audio.sample_rate_hz=12000", "spectra.n_fft=512",
    "spectra.hop_length=203", "spectra.n_mels=24", 'features.select=["mix.mel"]',
    'pooling.statistics=["mean"]', 'pooling.keep_frames=["mix.mel"]',
    'pooling.frames_per_track="all"',
]  # fmt: skip


def texts(values: list[str]) -> NDArray[np.object_]:
    return np.array(values, dtype=object)


def blobs(
    n_per_genre: int = 20,
    n_genres: int = 3,
    n_features: int = 6,
    spread: float = 4.0,
    seed: int = 0,
    group: Callable[[int, int], str] = lambda genre, i: "",
) -> FeatureTable:
    """Normal clouds, one a genre; ``group`` maps genre and number within it to a group."""
    random = np.random.default_rng(seed)
    centres = spread * random.standard_normal((n_genres, n_features))
    which = [(genre, i) for i in range(n_per_genre) for genre in range(n_genres)]
    genres = [genre for genre, _ in which]
    values = centres[genres] + random.standard_normal((len(which), n_features))
    return FeatureTable(
        paths=texts([f"{genre}/{i:03}.mp3" for genre, i in which]),
        labels=texts([f"genre{genre}" for genre in genres]),
        groups=texts([group(genre, i) for genre, i in which]),
        names=[f"f{column}" for column in range(n_features)],
        values=values.astype(np.float32),
    )


def any_floats(shape: tuple[int, int], seed: int = 0) -> NDArray[np.float32]:
    """Finite numbers of every magnitude, from denormals to the largest, by random bits."""
    bits = np.random.default_rng(seed).integers(0, 2**32, size=4 * shape[0] * shape[1])
    drawn = bits.astype(np.uint32).view(np.float32)
    limits = np.finfo(np.float32)
    special = [0, -0.0, limits.max, limits.min, limits.tiny, limits.smallest_subnormal, 1 / 3]
    finite = np.concatenate([np.array(special, np.float32), drawn[np.isfinite(drawn)]])
    return finite[: shape[0] * shape[1]].reshape(shape)


def own_table(n_tracks: int = 40) -> FeatureTable:
    """A table as ``extract`` makes it, with real column names but random values."""
    config = load_config("wide").extraction
    names = feature_names(config)
    return FeatureTable(
        paths=texts([f"music/{i}.mp3" for i in range(n_tracks)]),
        labels=texts([("rock", "blues", "")[i % 3] for i in range(n_tracks)]),
        groups=texts([("", "a b", "c")[i % 3] for i in range(n_tracks)]),
        names=names,
        values=any_floats((n_tracks, len(names))),
        config=config,
    )


def spectrograms(n: int, seed: int = 0) -> NDArray[np.float16]:
    """Noise in dB, by turns louder in the lower and in the upper bands."""
    random = np.random.default_rng(seed)
    found = random.normal(-40, 5, (n, N_BANDS, N_FRAMES))
    found[::2, : N_BANDS // 2] += 15
    found[1::2, N_BANDS // 2 :] += 15
    return found.astype(np.float16)


def song_table(n: int = 24, seed: int = 0) -> FeatureTable:
    """Two genres in groups of three tracks, with statistics of chance."""
    config = load_config(overrides=MEL_SETTINGS).extraction
    values = np.random.default_rng(seed).standard_normal((n, N_BANDS)).astype(np.float32)
    return FeatureTable(
        paths=texts([f"{i:03}.mp3" for i in range(n)]),
        labels=texts(["low", "high"] * (n // 2)),
        groups=texts([f"{i % 2}-{i // 6}" for i in range(n)]),
        names=feature_names(config),
        values=values,
        config=config,
        frames=Frames({"mix.mel": spectrograms(n, seed)}),
    )
