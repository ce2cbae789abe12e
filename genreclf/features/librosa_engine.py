"""The features that librosa has, each by librosa's own functions, as a script would call them.

``features.engine = "librosa"`` computes features with these, and the tests compare ours with them.
librosa is imported in function bodies only: it takes seconds to import.
"""

import math
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

import numpy as np

from genreclf.audio.audiofile import Samples
from genreclf.config.bands import band_bins
from genreclf.config.views import SpectralView
from genreclf.features.catalogue import FEATURES
from genreclf.features.constantq import cqt_frequencies
from genreclf.features.spectra import Array


def librosa_features(samples: Samples, view: SpectralView) -> dict[str, Array]:
    """Compute those of the selected features that librosa has.

    Parameters
    ----------
    samples : (n,) float32
        At ``audio.sample_rate_hz``.
    view : SpectralView

    Returns
    -------
    dict of str to (rows, values) float32
    """
    analysis = _Analysis(samples, view)
    with np.errstate(invalid="ignore", divide="ignore"):  # its tempo may be NaN
        return {
            name: np.asarray(RECIPES[name](analysis), dtype=np.float32)
            for name in view.features.select
            if is_in_librosa(name, view)
        }


def is_in_librosa(name: str, view: SpectralView) -> bool:
    """Return True if librosa has a feature; it has no mel bands of another density."""
    of_dense_bands = view.spectra.mel_emphasis != 1 and "mel bands" in FEATURES[name].needs
    return name in RECIPES and not of_dense_bands


@cache
def compile_functions() -> None:
    """Import librosa, which compiles its functions on the first run of an installation.

    That takes about 30 s, and two processes that do it at the same time may crash. So it is done
    here before worker processes start.
    """
    view = SpectralView()
    noise = np.random.default_rng(0).standard_normal(2 * view.audio.sample_rate_hz)
    analysis = _Analysis(noise.astype(np.float32), view)
    for recipe in RECIPES.values():
        recipe(analysis)


class _Analysis:
    """What librosa's functions take: samples, spectra and parts, each computed at first use."""

    def __init__(self, samples: Samples, view: SpectralView) -> None:
        import librosa

        self.librosa: Any = librosa
        self.feature: Any = librosa.feature
        self.y, self.view, self.rate = samples, view, view.audio.sample_rate_hz
        self.framing = {"n_fft": view.spectra.n_fft, "hop_length": view.spectra.hop_length}
        self.hz = librosa.fft_frequencies(sr=self.rate, n_fft=view.spectra.n_fft)
        self.in_band = (self.hz >= view.band_hz[0]) & (self.hz <= view.band_hz[1])

    @cached_property
    def stft(self) -> Any:
        return self.librosa.stft(self.y, **self.framing, pad_mode=self.view.spectra.pad_mode)

    @cached_property
    def mix(self) -> Array:
        """Magnitude of the mix; bins beyond the band are silent."""
        return np.abs(self.stft) * self.in_band[:, None]

    @cached_property
    def parts(self) -> tuple[Array, Array]:
        """Magnitudes of the harmonic and the percussive part, of all bins."""
        magnitude, hpss = np.abs(self.stft), self.view.hpss
        if not self.view.separates:
            return magnitude, magnitude
        return self.librosa.decompose.hpss(
            magnitude,
            kernel_size=(hpss.harmonic_kernel_frames, hpss.percussive_kernel_bins),
            power=hpss.mask_power,
            margin=(hpss.harmonic_margin, hpss.percussive_margin),
        )

    @cached_property
    def harmonic(self) -> Array:
        return self.parts[0] * self.in_band[:, None]

    @cached_property
    def spectrum(self) -> dict[str, Any]:
        """Arguments for functions of a spectrum, which see the bins of the band only."""
        return {"S": self.mix[self.in_band], "sr": self.rate, "freq": self.hz[self.in_band]}

    @cached_property
    def chroma(self) -> Array:
        return _chroma(self, self.harmonic)

    @cached_property
    def chroma_cqt(self) -> Array:
        samples = _waveform(self, self.parts[0])[0] if self.view.separates else self.y
        return _chroma_cqt(self, samples, self.harmonic)

    @cached_property
    def onsets(self) -> Array:
        return _onsets(self, self.parts[1] * self.in_band[:, None])

    @cached_property
    def mfcc(self) -> Array:
        return self.feature.mfcc(S=_mel_db(self, self.mix), n_mfcc=self.view.features.n_mfcc)


def _chroma(a: _Analysis, magnitude: Array) -> Array:
    n_fft = a.view.spectra.n_fft
    tuning = _tuning(a, magnitude)
    return a.feature.chroma_stft(S=magnitude**2, sr=a.rate, n_fft=n_fft, tuning=tuning)


def _tuning(a: _Analysis, magnitude: Array) -> float:
    """Return the deviation in semitones, from peaks within the band but not at its ends."""
    n_fft, limits = a.view.spectra.n_fft, {}
    if a.view.band_hz != (0, a.rate / 2):
        bins = band_bins(*a.view.band_hz, a.rate, n_fft)
        limits = {
            "fmin": max(150.0, (bins.start + 1) * a.rate / n_fft),
            "fmax": min(4000.0, (bins.stop - 1) * a.rate / n_fft),
        }
    return a.librosa.estimate_tuning(S=magnitude**2, sr=a.rate, n_fft=n_fft, **limits)


def _cqt(a: _Analysis, samples: Samples, magnitude: Array) -> Array:
    """Return the constant-Q transform of samples, tuned by their STFT."""
    spectra = a.view.spectra
    hz, bins_per_octave = cqt_frequencies(spectra), spectra.cqt_bins_per_octave
    cqt = a.librosa.cqt(
        samples, sr=a.rate, hop_length=spectra.hop_length, fmin=hz[0], n_bins=len(hz),
        bins_per_octave=bins_per_octave, pad_mode=spectra.pad_mode,
        tuning=_tuning(a, magnitude) * bins_per_octave / 12,
    )  # fmt: skip
    return np.abs(cqt)


def _chroma_cqt(a: _Analysis, samples: Samples, magnitude: Array) -> Array:
    spectra = a.view.spectra
    return a.feature.chroma_cqt(
        C=_cqt(a, samples, magnitude), fmin=cqt_frequencies(spectra)[0],
        bins_per_octave=spectra.cqt_bins_per_octave,
    )  # fmt: skip


def _mel_db(a: _Analysis, magnitude: Array) -> Array:
    spectra, (low, high) = a.view.spectra, a.view.band_hz
    mel = a.feature.melspectrogram(
        S=magnitude**2, sr=a.rate, n_fft=spectra.n_fft, n_mels=spectra.n_mels, fmin=low, fmax=high
    )
    return a.librosa.power_to_db(mel)


def _onsets(a: _Analysis, magnitude: Array) -> Array:
    aggregate = getattr(np, a.view.features.onset_aggregate)
    mel_db = _mel_db(a, magnitude)
    return a.librosa.onset.onset_strength(S=mel_db, sr=a.rate, aggregate=aggregate, **a.framing)


def _tempo(a: _Analysis, onsets: Array) -> Array:
    settings = a.view.features
    tempo = a.feature.tempo(
        onset_envelope=onsets, sr=a.rate, hop_length=a.framing["hop_length"],
        start_bpm=settings.tempo_prior_bpm, ac_size=settings.tempogram_seconds,
        max_tempo=settings.tempo_max_bpm,
    )  # fmt: skip
    return tempo[None]


def _onset_rate(a: _Analysis) -> Array:
    hop = a.framing["hop_length"]
    detected = a.librosa.onset.onset_detect(onset_envelope=a.onsets, sr=a.rate, hop_length=hop)
    return np.array([[len(detected) * a.rate / hop / len(a.onsets)]])


def _delta(a: _Analysis, order: int) -> Array:
    settings = a.view.features
    if settings.delta == "difference":
        return np.diff(a.mfcc, order)
    return a.feature.delta(a.mfcc, width=settings.delta_frames, order=order)


def _contrast(a: _Analysis) -> Array:
    min_hz, quantile = a.view.features.contrast_min_hz, a.view.features.contrast_quantile
    octaves = math.ceil(round(math.log2(a.spectrum["freq"][-1] / min_hz), 9))
    return a.feature.spectral_contrast(
        **a.spectrum, n_bands=octaves, fmin=min_hz, quantile=quantile
    )


def _rms(a: _Analysis) -> Array:
    n_fft, hop_length = a.framing.values()
    if a.view.features.rms == "spectrum":
        return a.feature.rms(S=a.mix, frame_length=n_fft, hop_length=hop_length)
    pad_mode = a.view.spectra.pad_mode
    return a.feature.rms(y=a.y, frame_length=n_fft, hop_length=hop_length, pad_mode=pad_mode)


def _zero_crossing_rate(a: _Analysis) -> Array:
    n_fft, hop_length = a.framing.values()
    return a.feature.zero_crossing_rate(a.y, frame_length=n_fft, hop_length=hop_length)


def _waveform(a: _Analysis, magnitude: Array) -> Array:
    """Invert a part as ``librosa.effects.hpss`` did before 0.10: the last hop is 0."""
    samples = a.librosa.istft(magnitude * np.exp(1j * np.angle(a.stft)), **a.framing)
    return a.librosa.util.fix_length(samples, size=len(a.y))[None]


RECIPES: dict[str, Callable[[_Analysis], Array]] = {
    "harmonic.chroma": lambda a: a.chroma,
    "harmonic.tonnetz": lambda a: a.feature.tonnetz(chroma=a.chroma),
    "harmonic.chroma_cqt": lambda a: a.chroma_cqt,
    "harmonic.tonnetz_cqt": lambda a: a.feature.tonnetz(chroma=a.chroma_cqt),
    "harmonic.waveform": lambda a: _waveform(a, a.parts[0]),
    "percussive.onset_strength": lambda a: a.onsets[None],
    "percussive.tempo": lambda a: _tempo(a, a.onsets),
    "percussive.onset_rate": _onset_rate,
    "percussive.waveform": lambda a: _waveform(a, a.parts[1]),
    "mix.chroma": lambda a: _chroma(a, a.mix),
    "mix.chroma_cqt": lambda a: _chroma_cqt(a, a.y, a.mix),
    "mix.cqt": lambda a: a.librosa.amplitude_to_db(_cqt(a, a.y, a.mix)),
    "mix.tempo": lambda a: _tempo(a, _onsets(a, a.mix)),
    "mix.mel": lambda a: _mel_db(a, a.mix),
    "mix.mfcc": lambda a: a.mfcc,
    "mix.mfcc_delta": lambda a: _delta(a, 1),
    "mix.mfcc_delta2": lambda a: _delta(a, 2),
    "mix.centroid": lambda a: a.feature.spectral_centroid(**a.spectrum),
    "mix.bandwidth": lambda a: a.feature.spectral_bandwidth(**a.spectrum),
    "mix.rolloff": lambda a: a.feature.spectral_rolloff(
        **a.spectrum, roll_percent=a.view.features.rolloff_fraction
    ),
    "mix.flatness": lambda a: a.feature.spectral_flatness(S=a.spectrum["S"]),
    "mix.contrast": _contrast,
    "mix.rms": _rms,
    "mix.zero_crossing_rate": _zero_crossing_rate,
}
