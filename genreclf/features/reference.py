"""The same features by librosa's own functions, one call each, as a script would.

Slow, and needed for one thing: to hold ours against them, in the tests, in the benchmarks and in
``genreclf inspect --compare-librosa``. Needs the ``librosa`` extra.
"""

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from genreclf.audio.decode import PREROLL_SECONDS, describe
from genreclf.audio.excerpt import centre_span, with_level
from genreclf.audio.resampling import resample
from genreclf.config.bands import band_bins
from genreclf.config.schema import ExtractionConfig
from genreclf.config.views import Features, View
from genreclf.errors import ConfigError
from genreclf.features.constantq import cqt_frequencies
from genreclf.features.spectra import Array


def librosa_features(path: Path, config: ExtractionConfig) -> dict[str, Array]:
    """Compute every selected feature that librosa has.

    Returns
    -------
    dict of str to (d, t) array
        Under the keys of ``compute_features``, those of all views together.

    Raises
    ------
    ConfigError
        If librosa is not installed.
    """
    librosa = _librosa()
    features: dict[str, Array] = {}
    for view in config.each_view:
        recipes = _recipes(librosa, _load(librosa, path, view), view)
        with np.errstate(invalid="ignore", divide="ignore"):  # its tempo may be one of NaN
            features |= {name: recipes[name]() for name in view.features.select if name in recipes}
    return features


def _recipes(librosa: Any, y: Array, view: View) -> dict[str, Callable[[], Array]]:
    rate, n_fft = view.audio.sample_rate_hz, view.spectra.n_fft
    hop, settings = view.spectra.hop_length, view.features
    framing = {"n_fft": n_fft, "hop_length": hop}
    padded = {**framing, "pad_mode": view.spectra.pad_mode}
    framed = {"frame_length": n_fft, "hop_length": hop}
    stft = librosa.stft(y, **padded)
    whole = np.abs(stft)
    parts = _parts(librosa, whole, view)
    hz = librosa.fft_frequencies(sr=rate, n_fft=n_fft)
    inside = (hz >= view.band_hz[0]) & (hz <= view.band_hz[1])
    of_mix: dict[str, Any] = {"y": y, "sr": rate, **padded}
    if not inside.all():
        of_mix = {"S": whole[inside], "sr": rate, "freq": hz[inside]}
    of_flatness = {name: of_mix[name] for name in of_mix if name not in ("sr", "freq")}
    octaves = math.ceil(round(math.log2(hz[inside][-1] / settings.contrast_min_hz), 9))
    # Where librosa wants all bins, those beyond the band are silent.
    mix, harmonic, percussive = (part * inside[:, None] for part in (whole, *parts))
    chroma = cache(lambda: _chroma(librosa, harmonic, view))
    chroma_cqt = cache(
        lambda: _chroma_cqt(
            librosa, _waveform(librosa, parts[0], stft, len(y), framing)[0], harmonic, view
        )
    )
    recipes: dict[str, Callable[[], Array]] = {
        "harmonic.chroma": chroma,
        "harmonic.tonnetz": lambda: librosa.feature.tonnetz(chroma=chroma()),
        "harmonic.chroma_cqt": chroma_cqt,
        "harmonic.tonnetz_cqt": lambda: librosa.feature.tonnetz(chroma=chroma_cqt()),
        "harmonic.waveform": lambda: _waveform(librosa, parts[0], stft, len(y), framing),
        "percussive.waveform": lambda: _waveform(librosa, parts[1], stft, len(y), framing),
        "mix.chroma": lambda: _chroma(librosa, mix, view),
        "mix.chroma_cqt": lambda: _chroma_cqt(librosa, y, mix, view),
        "mix.cqt": lambda: librosa.amplitude_to_db(_cqt(librosa, y, mix, view)),
        "mix.centroid": lambda: librosa.feature.spectral_centroid(**of_mix),
        "mix.bandwidth": lambda: librosa.feature.spectral_bandwidth(**of_mix),
        "mix.rolloff": lambda: librosa.feature.spectral_rolloff(
            **of_mix, roll_percent=settings.rolloff_fraction
        ),
        "mix.flatness": lambda: librosa.feature.spectral_flatness(**of_flatness),
        "mix.contrast": lambda: librosa.feature.spectral_contrast(
            **of_mix, n_bands=octaves,
            fmin=settings.contrast_min_hz, quantile=settings.contrast_quantile,
        ),
        "mix.rms": lambda: (
            librosa.feature.rms(S=mix, **framed)
            if settings.rms == "spectrum"
            else librosa.feature.rms(y=y, **framed, pad_mode=view.spectra.pad_mode)
        ),
        "mix.zero_crossing_rate": lambda: librosa.feature.zero_crossing_rate(y, **framed),
    }  # fmt: skip
    if view.spectra.mel_emphasis == 1:  # librosa has no mel bands of another density
        recipes |= _recipes_of_mel_bands(librosa, y, mix, percussive, view)
    return recipes


def _recipes_of_mel_bands(
    librosa: Any, y: Array, mix: Array, percussive: Array, view: View
) -> dict[str, Callable[[], Array]]:
    spectra, settings, rate = view.spectra, view.features, view.audio.sample_rate_hz
    hop, (low, high) = spectra.hop_length, view.band_hz
    of_mix = {
        "y": y, "sr": rate, "n_fft": spectra.n_fft, "hop_length": hop,
        "pad_mode": spectra.pad_mode, "n_mels": spectra.n_mels, "fmin": low, "fmax": high,
    }  # fmt: skip
    mfcc = cache(lambda: librosa.feature.mfcc(**of_mix, n_mfcc=settings.n_mfcc))
    onsets = cache(lambda: _onsets(librosa, percussive, view))
    return {
        "percussive.onset_strength": lambda: onsets()[None],
        "percussive.tempo": lambda: _tempo(librosa, onsets(), view),
        "percussive.onset_rate": lambda: _onset_rate(librosa, onsets(), rate, hop),
        "mix.tempo": lambda: _tempo(librosa, _onsets(librosa, mix, view), view),
        "mix.mel": lambda: librosa.power_to_db(librosa.feature.melspectrogram(**of_mix)),
        "mix.mfcc": mfcc,
        "mix.mfcc_delta": lambda: _delta(librosa, mfcc(), settings, 1),
        "mix.mfcc_delta2": lambda: _delta(librosa, mfcc(), settings, 2),
    }


def _chroma(librosa: Any, magnitude: Array, view: View) -> Array:
    chroma: Array = librosa.feature.chroma_stft(
        S=magnitude**2, sr=view.audio.sample_rate_hz, n_fft=view.spectra.n_fft,
        tuning=_tuning(librosa, magnitude, view),
    )  # fmt: skip
    return chroma


def _tuning(librosa: Any, magnitude: Array, view: View) -> float:
    """Tell the deviation in semitones from the peaks within the band, of which ends are none."""
    rate, n_fft = view.audio.sample_rate_hz, view.spectra.n_fft
    limits = {}
    if view.band_hz != (0, rate / 2):
        bins = band_bins(*view.band_hz, rate, n_fft)
        limits = {
            "fmin": max(150.0, (bins.start + 1) * rate / n_fft),
            "fmax": min(4000.0, (bins.stop - 1) * rate / n_fft),
        }
    tuning: float = librosa.estimate_tuning(S=magnitude**2, sr=rate, n_fft=n_fft, **limits)
    return tuning


def _cqt(librosa: Any, y: Array, magnitude: Array, view: View) -> Array:
    """Transform samples into constant-Q bins, tuned by what their STFT tells, as ours are."""
    hz, bins_per_octave = cqt_frequencies(view.spectra), view.spectra.cqt_bins_per_octave
    cqt: Array = librosa.cqt(
        y, sr=view.audio.sample_rate_hz, hop_length=view.spectra.hop_length, fmin=hz[0],
        n_bins=len(hz), bins_per_octave=bins_per_octave, pad_mode=view.spectra.pad_mode,
        tuning=_tuning(librosa, magnitude, view) * bins_per_octave / 12,
    )  # fmt: skip
    return np.abs(cqt)


def _chroma_cqt(librosa: Any, y: Array, magnitude: Array, view: View) -> Array:
    chroma: Array = librosa.feature.chroma_cqt(
        C=_cqt(librosa, y, magnitude, view), fmin=cqt_frequencies(view.spectra)[0],
        bins_per_octave=view.spectra.cqt_bins_per_octave,
    )  # fmt: skip
    return chroma


def _onsets(librosa: Any, magnitude: Array, view: View) -> Array:
    spectra, rate = view.spectra, view.audio.sample_rate_hz
    mel = librosa.feature.melspectrogram(
        S=magnitude**2, sr=rate, n_fft=spectra.n_fft, n_mels=spectra.n_mels,
        fmin=view.band_hz[0], fmax=view.band_hz[1],
    )  # fmt: skip
    onsets: Array = librosa.onset.onset_strength(
        S=librosa.power_to_db(mel), sr=rate, n_fft=spectra.n_fft, hop_length=spectra.hop_length,
        aggregate=getattr(np, view.features.onset_aggregate),
    )  # fmt: skip
    return onsets


def _tempo(librosa: Any, onsets: Array, view: View) -> Array:
    tempo: Array = librosa.feature.tempo(
        onset_envelope=onsets, sr=view.audio.sample_rate_hz, hop_length=view.spectra.hop_length,
        start_bpm=view.features.tempo_prior_bpm, ac_size=view.features.tempogram_seconds,
        max_tempo=view.features.tempo_max_bpm,
    )  # fmt: skip
    return tempo[None]


def _onset_rate(librosa: Any, onsets: Array, rate: int, hop: int) -> Array:
    detected = librosa.onset.onset_detect(onset_envelope=onsets, sr=rate, hop_length=hop)
    return np.array([[len(detected) * rate / hop / len(onsets)]])


def _delta(librosa: Any, mfcc: Array, settings: Features, order: int) -> Array:
    if settings.delta == "difference":
        return np.diff(mfcc, order)
    delta: Array = librosa.feature.delta(mfcc, width=settings.delta_frames, order=order)
    return delta


def _waveform(
    librosa: Any, part: Array, stft: Any, n_samples: int, framing: dict[str, int]
) -> Array:
    """As ``librosa.effects.hpss`` once did: to the middle of the last frame, and then zeros."""
    y = librosa.istft(part * np.exp(1j * np.angle(stft)), **framing)
    waveform: Array = librosa.util.fix_length(y, size=n_samples)
    return waveform[None]


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


def _load(librosa: Any, path: Path, view: View) -> Array:
    """Load the centre, starting a little earlier: see ``PREROLL_SECONDS``."""
    if view.excerpt.strategy != "centre":
        raise ConfigError(
            f"excerpt.strategy = {view.excerpt.strategy!r}: librosa is compared on the centre "
            "only; add --set excerpt.strategy=centre"
        )
    info = describe(path)
    start, stop = centre_span(info.n_frames, info.sample_rate_hz, view.excerpt)
    early = min(start, round(PREROLL_SECONDS * info.sample_rate_hz))
    # librosa cuts to whole samples: half a sample more keeps it from losing one.
    offset = (start - early + 0.5) / info.sample_rate_hz
    duration = (stop - start + early + 0.5) / info.sample_rate_hz
    y, native = librosa.load(path, sr=None, offset=offset, duration=duration)
    y, rate = with_level(y[early:], view.audio), view.audio.sample_rate_hz
    if view.audio.resampler != "soxr_hq":  # librosa has it no more: all but the resampling is its
        return resample(y, native, rate, view.audio.resampler)
    # Rounding in librosa's length can add a sample.
    return librosa.resample(y, orig_sr=native, target_sr=rate)[: round(view.excerpt.seconds * rate)]


def _parts(librosa: Any, magnitude: Array, view: View) -> Any:
    if not view.separates:
        return magnitude, magnitude
    hpss = view.hpss
    return librosa.decompose.hpss(
        magnitude,
        kernel_size=(hpss.harmonic_kernel_frames, hpss.percussive_kernel_bins),
        power=hpss.mask_power,
        margin=(hpss.harmonic_margin, hpss.percussive_margin),
    )
