"""Checks of a view that no single section can make."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from genreclf.config.bands import band_bins, check_mel_bands, mel_edges
from genreclf.features.catalogue import FEATURES, Feature, Need

if TYPE_CHECKING:
    from genreclf.config.views import View


def check_view(view: "View") -> None:
    """Refuse sections that contradict each other, and features that a view cannot compute.

    Raises
    ------
    ValueError
        With the key and what to change.
    """
    if view.features.n_mfcc > view.spectra.n_mels:
        raise ValueError(f"features.n_mfcc is more than spectra.n_mels = {view.spectra.n_mels}")
    _check_band(view)
    features = [FEATURES[name] for name in view.features.select]
    for need, check in _CHECKS.items():
        for feature in features:
            if need in feature.needs:
                check(view, feature)
                break
    _check_pooling(view)
    _check_size(view)


def _check_band(view: "View") -> None:
    rate, n_fft = view.audio.sample_rate_hz, view.spectra.n_fft
    low, high = view.band_hz
    if high > rate / 2:
        raise ValueError(f"spectra.max_hz is above the Nyquist frequency, {rate / 2:g} Hz")
    band = band_bins(low, high, rate, n_fft)
    if band.stop - band.start < 2:
        raise ValueError(
            f"spectra.min_hz and spectra.max_hz have fewer than two bins of {rate / n_fft:.1f} Hz "
            "between them"
        )


def _check_cent_bands(view: "View", feature: Feature) -> None:
    if view.band_hz[1] < 110:
        raise ValueError(
            f"spectra.max_hz leaves less than an octave, from 53 Hz up, for {feature.name}"
        )


def _check_octave_bands(view: "View", feature: Feature) -> None:
    edge, (low, high) = view.features.contrast_min_hz, view.band_hz
    rate, n_fft = view.audio.sample_rate_hz, view.spectra.n_fft
    if edge * 2 > high:
        raise ValueError(
            "features.contrast_min_hz leaves no octave below "
            f"{'the Nyquist frequency' if view.spectra.max_hz == 'nyquist' else f'{high:g} Hz'}"
        )
    bin_hz = rate / n_fft
    lowest_hz = band_bins(low, high, rate, n_fft).start * bin_hz
    if edge < lowest_hz + bin_hz:
        raise ValueError(
            f"features.contrast_min_hz is below the width of a bin, {bin_hz:.1f} Hz"
            f"{f', above {lowest_hz:g} Hz' if lowest_hz else ''}: the lowest band is empty"
        )


def _check_mel_bands(view: "View", feature: Feature) -> None:
    spectra, (low, high) = view.spectra, view.band_hz
    if spectra.mel_emphasis > 1 and spectra.mel_emphasis_min_hz >= high:
        raise ValueError(f"spectra.mel_emphasis_min_hz is not below {high:g} Hz")
    edges = mel_edges(spectra.n_mels, low, high, spectra.emphasis)
    check_mel_bands(edges, view.audio.sample_rate_hz, spectra.n_fft)


def _check_distinct_mel_bands(view: "View", feature: Feature) -> None:
    """Refuse mel bands that would have the same name."""
    edges = mel_edges(view.spectra.n_mels, *view.band_hz, view.spectra.emphasis)
    if len(set(map(round, edges[1:-1]))) < view.spectra.n_mels:
        raise ValueError("spectra.n_mels makes mel bands that are less than 1 Hz apart")


def _check_constant_q(view: "View", feature: Feature) -> None:
    nyquist_hz = view.audio.sample_rate_hz / 2
    # A bin of the transform is a few semitones wide, and tuning moves it by half a semitone.
    if view.spectra.cqt_max_hz * 2 ** (1 / 4) > nyquist_hz:
        raise ValueError(
            f"spectra.cqt_max_hz = {view.spectra.cqt_max_hz:g} is too near the Nyquist frequency, "
            f"{nyquist_hz:g} Hz"
        )


def _check_overlap(view: "View", feature: Feature) -> None:
    if view.spectra.hop_length > view.spectra.n_fft / 2:
        raise ValueError(
            f"features.select names {feature.name}, for which spectra.hop_length has to be at most "
            f"half of n_fft = {view.spectra.n_fft}"
        )


def _check_overlap_of_parts(view: "View", feature: Feature) -> None:
    if view.separates:
        _check_overlap(view, feature)


_CHECKS: Mapping[Need, Callable[["View", Feature], None]] = {
    "cent bands": _check_cent_bands,
    "octave bands": _check_octave_bands,
    "mel bands": _check_mel_bands,
    "distinct mel bands": _check_distinct_mel_bands,
    "constant-Q": _check_constant_q,
    "overlapping frames": _check_overlap,
    "overlapping frames of parts": _check_overlap_of_parts,
}


def _check_pooling(view: "View") -> None:
    pooling, frame_rate_hz = view.pooling, view.audio.sample_rate_hz / view.spectra.hop_length
    if unknown := [name for name in pooling.keep_frames if name not in view.features.select]:
        raise ValueError(f"pooling.keep_frames names {unknown[0]}, which features.select lacks")
    strategy = view.excerpt.strategy
    if pooling.keep_frames and pooling.frames_per_track == "all" and strategy in ("full", "multi"):
        raise ValueError(
            'pooling.frames_per_track = "all" needs one excerpt of the same length for every '
            f'track; excerpt.strategy = "{strategy}" does not give that'
        )
    if view.features.tempogram_seconds * frame_rate_hz < 4:
        raise ValueError("features.tempogram_seconds is shorter than four hops")
    highest_band_hz = pooling.modulation_edges_hz[-2]
    if pooling.modulation and highest_band_hz >= frame_rate_hz / 2:
        raise ValueError(
            f"pooling.modulation_edges_hz: a band begins at {highest_band_hz:g} Hz, but frames "
            f"hold no more than {frame_rate_hz / 2:g} Hz; take a shorter hop"
        )


def _check_size(view: "View") -> None:
    frames = view.excerpt.longest_seconds * view.audio.sample_rate_hz / view.spectra.hop_length
    if frames * view.spectra.n_fft > 2**28:
        raise ValueError(
            "excerpt.seconds, audio.sample_rate_hz and spectra together make a spectrogram "
            "of over a gigabyte; take a shorter excerpt or a longer hop"
        )
