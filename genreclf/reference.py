"""The same features by librosa's own functions, one call each, as a script would.

Slow, and needed for one thing: to hold ours against them, in the tests, in the benchmarks and in
``genreclf inspect --compare-librosa``. Needs the ``librosa`` extra.
"""

from pathlib import Path
from typing import Any

import numpy as np

from genreclf.audio import PREROLL_SECONDS, describe
from genreclf.config import ExtractionConfig
from genreclf.errors import ConfigError
from genreclf.excerpt import centre_span
from genreclf.spectra import Array

__all__ = ["compare_with_librosa", "librosa_features"]


def librosa_features(path: Path, config: ExtractionConfig) -> dict[str, Array]:
    """Compute every feature that librosa has.

    Returns
    -------
    dict of str to (d, t) array
        Under the keys of ``compute_features``.

    Raises
    ------
    ConfigError
        If librosa is not installed.
    """
    librosa = _librosa()
    rate, n_fft = config.audio.sample_rate_hz, config.spectra.n_fft
    hop, settings = config.spectra.hop_length, config.features
    framing = {"n_fft": n_fft, "hop_length": hop}
    y = _load(librosa, path, config)
    harmonic, percussive = _parts(librosa, np.abs(librosa.stft(y, **framing)), config)
    chroma = librosa.feature.chroma_stft(S=harmonic**2, sr=rate, **framing)
    mel = librosa.feature.melspectrogram(
        S=percussive**2, sr=rate, n_fft=n_fft, n_mels=config.spectra.n_mels
    )
    onsets = librosa.onset.onset_strength(S=librosa.power_to_db(mel), sr=rate, **framing)
    detected = librosa.onset.onset_detect(onset_envelope=onsets, sr=rate, hop_length=hop)
    tempo = librosa.feature.tempo(
        onset_envelope=onsets, sr=rate, hop_length=hop, start_bpm=settings.tempo_prior_bpm,
        ac_size=settings.tempogram_seconds, max_tempo=settings.tempo_max_bpm,
    )  # fmt: skip
    mfcc = librosa.feature.mfcc(
        y=y, sr=rate, n_mfcc=settings.n_mfcc, n_mels=config.spectra.n_mels, **framing
    )
    bands = int(np.ceil(np.log2(rate / 2 / settings.contrast_min_hz)))
    of_mix = {"y": y, "sr": rate, **framing}
    framed = {"frame_length": n_fft, "hop_length": hop}
    return {
        "harmonic.chroma": chroma,
        "harmonic.tonnetz": librosa.feature.tonnetz(chroma=chroma),
        "percussive.onset_strength": onsets[None],
        "percussive.tempo": tempo[None],
        "percussive.onset_rate": np.array([[len(detected) * rate / hop / len(onsets)]]),
        "mix.mfcc": mfcc,
        "mix.mfcc_delta": librosa.feature.delta(mfcc, width=settings.delta_frames),
        "mix.mfcc_delta2": librosa.feature.delta(mfcc, width=settings.delta_frames, order=2),
        "mix.centroid": librosa.feature.spectral_centroid(**of_mix),
        "mix.bandwidth": librosa.feature.spectral_bandwidth(**of_mix),
        "mix.rolloff": librosa.feature.spectral_rolloff(
            **of_mix, roll_percent=settings.rolloff_fraction
        ),
        "mix.flatness": librosa.feature.spectral_flatness(y=y, **framing),
        "mix.contrast": librosa.feature.spectral_contrast(
            **of_mix, n_bands=bands, fmin=settings.contrast_min_hz,
            quantile=settings.contrast_quantile,
        ),
        "mix.rms": librosa.feature.rms(S=np.abs(librosa.stft(y, **framing)), **framed),
        "mix.zero_crossing_rate": librosa.feature.zero_crossing_rate(y, **framed),
    }  # fmt: skip


def compare_with_librosa(
    ours: dict[str, Array], path: Path, config: ExtractionConfig
) -> dict[str, float]:
    """Return the largest difference of each feature, relative to its largest value.

    Parameters
    ----------
    ours : dict of str to (d, t) array
        As ``compute_features`` gives them.
    path : Path
        The file that they were computed from.
    """
    theirs = librosa_features(path, config)
    return {
        name: float(np.abs(ours[name] - rows).max() / max(np.abs(rows).max(), 1e-30))
        for name, rows in theirs.items()
    }


def _librosa() -> Any:
    try:
        import librosa
    except ImportError:
        raise ConfigError(
            "comparing needs librosa, which is not installed: pip install 'genreclf[librosa]'"
        ) from None
    return librosa


def _load(librosa: Any, path: Path, config: ExtractionConfig) -> Array:
    """Load the centre, starting a little earlier: see ``PREROLL_SECONDS``."""
    info = describe(path)
    start, stop = centre_span(info.n_frames, info.sample_rate_hz, config.excerpt.seconds)
    early = min(start, round(PREROLL_SECONDS * info.sample_rate_hz))
    # librosa cuts to whole samples: half a sample more keeps it from losing one.
    offset = (start - early + 0.5) / info.sample_rate_hz
    duration = (stop - start + early + 0.5) / info.sample_rate_hz
    y, native = librosa.load(path, sr=None, offset=offset, duration=duration)
    rate = config.audio.sample_rate_hz
    # Rounding in librosa's length can add a sample.
    return librosa.resample(y[early:], orig_sr=native, target_sr=rate)[
        : round(config.excerpt.seconds * rate)
    ]


def _parts(librosa: Any, magnitude: Array, config: ExtractionConfig) -> Any:
    if config.separation == "none":
        return magnitude, magnitude
    hpss = config.hpss
    return librosa.decompose.hpss(
        magnitude,
        kernel_size=(hpss.harmonic_kernel_frames, hpss.percussive_kernel_bins),
        power=hpss.mask_power,
        margin=(hpss.harmonic_margin, hpss.percussive_margin),
    )
