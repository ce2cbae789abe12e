"""The time of each stage for one track, and of the alternatives to the fast code.

    python benchmarks/stages.py SONG... [--config default] [--rounds 8]

One process, one thread. The minimum over the rounds counts, because other work only adds time.
"""

import os

# Before numpy starts its threads.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import median_filter

from genreclf.audio.excerpt import load_excerpt
from genreclf.config.load import load_config
from genreclf.config.schema import Config
from genreclf.features import catalogue as f
from genreclf.features import medians
from genreclf.features.constantq import constant_q
from genreclf.features.pooling import pool
from genreclf.features.separation import separate
from genreclf.features.spectra import hann_window, mix_spectrum


class Stopwatch:
    """Keeps the minimum time of each function that it runs."""

    def __init__(self) -> None:
        self.least: dict[str, float] = {}

    def __call__(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function and keep its time in milliseconds."""
        start = time.perf_counter()
        result = function(*arguments)
        elapsed = 1000 * (time.perf_counter() - start)
        self.least[name] = min(elapsed, self.least.get(name, elapsed))
        return result


def time_stages(watch: Stopwatch, song: Path, config: Config) -> None:
    """Run the chain of ``extract_one``, then single features on new spectra."""
    settings = config.features
    excerpt = watch("decode and resample", load_excerpt, song, config)
    mix = watch("STFT", mix_spectrum, excerpt, config)
    parts = watch("HPSS", separate, mix, config)
    frames = watch("all features", f.compute_features, parts, excerpt, config)
    watch("pooling", pool, frames, config)
    fresh = replace(parts.mix)  # without spectra from an earlier feature
    watch("  power", lambda: fresh.power)
    watch("  mel bands, of each of two spectra", lambda: fresh.mel_db)
    watch("  chroma with tuning", f.chroma, fresh)
    onsets = watch("  onset strength", f.onset_strength, fresh)
    watch("  tempogram", f.mean_tempogram, onsets, mix.frame_rate_hz, settings)
    cepstrum = watch("  MFCC", f.mfcc, fresh, settings.n_mfcc)
    watch("  delta", f.delta, cepstrum, settings.delta_frames, 1)
    centroid = watch("  centroid", f.spectral_centroid, fresh)
    watch("  bandwidth", f.spectral_bandwidth, fresh, centroid)
    watch("  roll-off", f.spectral_rolloff, fresh, settings.rolloff_fraction)
    watch("  flatness", f.spectral_flatness, fresh)
    watch("  contrast", f.spectral_contrast, fresh, settings.contrast_min_hz, 0.02)
    watch(
        "  constant Q, if selected",
        constant_q,
        excerpt.unpadded,
        mix.sample_rate_hz,
        config.spectra,
    )
    watch("  zero crossings", f.zero_crossing_rate, excerpt, mix.n_fft, mix.hop_length)


def time_decisions(watch: Stopwatch, song: Path, config: Config) -> None:
    """Time each choice in the code and its alternatives."""
    magnitude = mix_spectrum(load_excerpt(song, config), config).magnitude
    watch("median of 31: sorting networks", medians.running_median, magnitude, 31)
    watch("median of 31: 1-D rank filter", medians._median_by_rank_filter, magnitude, 31)
    watch("median of 31: scipy's 2-D filter", median_filter, magnitude, (31, 1))
    samples = load_excerpt(song, config).samples
    windows = sliding_window_view(samples, config.spectra.n_fft)[:: config.spectra.hop_length]
    for name, kind in (("double", np.float64), ("single", np.float32)):
        window = hann_window(config.spectra.n_fft).astype(kind)
        watch(f"STFT in {name} precision", lambda w=window: _magnitude(windows, w))
    stereo = np.random.default_rng(0).standard_normal((1_284_192, 2)).astype(np.float32)
    watch("mix down 29.12 s: add channels", lambda: (stereo[:, 0] + stereo[:, 1]) / 2)
    watch("mix down 29.12 s: numpy.mean", lambda: stereo.mean(axis=1))


def _magnitude(windows: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Transform in blocks of the size that ``stft_magnitude`` takes."""
    return np.concatenate(
        [np.abs(scipy.fft.rfft(windows[i : i + 32] * window)) for i in range(0, len(windows), 32)]
    )


@click.command()
@click.argument("songs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--config", default="default", show_default=True)
@click.option("--rounds", default=8, show_default=True)
def main(songs: tuple[Path, ...], config: str, rounds: int) -> None:
    """Print milliseconds by stage, then by decision."""
    settings = load_config(config)
    stages, decisions = Stopwatch(), Stopwatch()
    for _ in range(rounds):
        for song in songs:
            time_stages(stages, song, settings)
        time_decisions(decisions, songs[0], settings)
    total = sum(ms for name, ms in stages.least.items() if not name.startswith(" "))
    for watch in (stages, decisions):
        for name, ms in watch.least.items():
            click.echo(f"{name:36s} {ms:8.2f} ms")
        click.echo()
    click.echo(f"in all {total:.1f} ms")


if __name__ == "__main__":
    main()
