"""Harmonic–percussive source separation by median filtering (Fitzgerald 2010)."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from genreclf.config import ExtractionConfig, Hpss
from genreclf.medians import running_median
from genreclf.spectra import Array, Spectrum

__all__ = ["Parts", "hpss", "separate"]


class Parts(NamedTuple):
    """The three spectra that features are computed from."""

    harmonic: Spectrum
    percussive: Spectrum
    mix: Spectrum


def separate(mix: Spectrum, config: ExtractionConfig) -> Parts:
    """Split a spectrum into harmonic and percussive parts, or use it for both."""
    if config.separation == "none":
        return Parts(mix, mix, mix)
    harmonic, percussive = hpss(mix.magnitude, config.hpss)
    return Parts(replace(mix, magnitude=harmonic), replace(mix, magnitude=percussive), mix)


def hpss(magnitude: Array, settings: Hpss) -> tuple[Array, Array]:
    """Split a magnitude spectrogram with soft masks.

    Tones are ridges along time, which a median over frames keeps, and hits are ridges along
    frequency, which a median over bins keeps. With H and P the two filtered spectrograms, p the
    ``mask_power`` and m the margin, the harmonic mask is H^p / (H^p + (m P)^p), and the
    percussive one the same with H and P exchanged. At margin 1 the parts add up to the input;
    above it (Driedger, Müller & Disch 2014) what belongs clearly to neither is left out.

    Same result as ``librosa.decompose.hpss`` within float32 rounding.

    Parameters
    ----------
    magnitude : (bins, t) float32
    settings : Hpss

    Returns
    -------
    harmonic, percussive : (bins, t) float32
    """
    over_frames = np.ascontiguousarray(magnitude.T)
    along_time = running_median(over_frames, settings.harmonic_kernel_frames)
    along_time = np.ascontiguousarray(along_time.T)
    along_frequency = running_median(magnitude, settings.percussive_kernel_bins)
    split_silence = settings.harmonic_margin == 1 and settings.percussive_margin == 1
    silent_share = np.float32(0.5 if split_silence else 0)
    harmonic = magnitude * _soft_mask(
        along_time, along_frequency * np.float32(settings.harmonic_margin),
        settings.mask_power, silent_share,
    )  # fmt: skip
    if split_silence:
        return harmonic, magnitude - harmonic
    percussive = magnitude * _soft_mask(
        along_frequency, along_time * np.float32(settings.percussive_margin),
        settings.mask_power, silent_share,
    )  # fmt: skip
    return harmonic, percussive


def _soft_mask(part: Array, other: Array, power: float, silent_share: np.float32) -> Array:
    """Return part^power / (part^power + other^power), and ``silent_share`` where both are 0."""
    larger = np.maximum(part, other)
    silent = larger < np.finfo(np.float32).tiny
    larger[silent] = 1
    # Relative to the larger one, no power can overflow, nor both underflow.
    part_power = np.power(part / larger, np.float32(power))
    other_power = np.power(other / larger, np.float32(power))
    total = np.maximum(part_power + other_power, np.float32(0.5))  # is 1 at least, or silent
    return np.where(silent, silent_share, part_power / total)
