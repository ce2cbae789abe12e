"""Checks of a view that no single section can make."""

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from genreclf.config.bands import band_bins, check_mel_bands, mel_edges
from genreclf.config.sections import check_names
from genreclf.features.catalogue import FEATURES, Feature, Need, frame_features

if TYPE_CHECKING:
    from genreclf.config.views import EmbeddingView, SpectralView, View

_MOST_COLUMNS, _MOST_KEPT = 100_000, 100_000_000
_MOST_VALUES = 2**28  # of a spectrogram, or another input: a gigabyte


def check_spectral_view(view: "SpectralView") -> None:
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
    frame_rate_hz = view.audio.sample_rate_hz / view.spectra.hop_length
    if view.features.tempogram_seconds * frame_rate_hz < 4:
        raise ValueError("features.tempogram_seconds is shorter than four hops")
    _check_pooling(view, frame_features(), frame_rate_hz)
    if unknown := set(view.pooling.keep_frames) - set(view.features.select):
        raise ValueError(f"pooling.keep_frames names {min(unknown)}, which features.select lacks")
    _check_size(view)


def check_embedding_view(view: "EmbeddingView") -> None:
    """Refuse outputs that a network does not have, and settings that do not fit it.

    Raises
    ------
    ValueError
        With the key and what to change.
    """
    network = view.embedding
    check_names("outputs", view.outputs, [output.column for output in network.outputs])
    if network.name in (*(feature.part for feature in FEATURES.values()), "codebook"):
        raise ValueError(
            f"embedding.name = {network.name!r}: columns of other features begin with this name; "
            "choose another"
        )
    seconds, shortest = view.excerpt.seconds, network.patch_seconds
    if network.patches.shorter == "refuse" and seconds < shortest:
        raise ValueError(
            f"excerpt.seconds is shorter than the {shortest:g} s that network {network.name} needs"
        )
    rates_hz = {name: view.rate_hz(name) for name in view.feature_names}
    if max(rates_hz.values()) > network.sample_rate_hz:
        raise ValueError("embedding.outputs: seconds is shorter than a sample")
    _check_pooling(view, [name for name, rate in rates_hz.items() if rate], max(rates_hz.values()))
    seen = shortest if network.patches.unit == "samples" else view.excerpt.longest_seconds
    if network.input_size(seen) > _MOST_VALUES:
        raise ValueError(
            f"excerpt.seconds and the front-end of network {network.name} make input of over a "
            "gigabyte; take a shorter excerpt"
        )
    _check_amount(view)


def _check_amount(view: "EmbeddingView") -> None:
    """Refuse what a description from anyone could fill the memory with."""
    n_columns = sum(_n_columns(view, feature) for feature in view.feature_names)
    if n_columns > _MOST_COLUMNS:
        raise ValueError(
            f"outputs and pooling make {n_columns:,} columns, over {_MOST_COLUMNS:,}; take fewer"
        )
    pooling, n_kept = view.pooling, 0
    for feature in pooling.keep_frames:
        n = pooling.frames_per_track
        n_kept += view.output(feature).size * (view.n_values(feature) if n == "all" else n)
    if n_kept > _MOST_KEPT:
        raise ValueError(
            f"pooling.frames_per_track keeps {n_kept:,} values a track, over {_MOST_KEPT:,}; take "
            "fewer"
        )


def _n_columns(view: "EmbeddingView", feature: str) -> int:
    """Count the columns of an output without making their names."""
    pooling, size = view.pooling, view.output(feature).size
    if not view.rate_hz(feature):
        return size
    n_statistics = len(pooling.statistics)
    if pooling.texture_seconds:
        n_statistics *= len(pooling.texture_statistics)
    n_columns = n_statistics * (1 if feature in pooling.joint else size)
    n_columns += size * (size + 1) // 2 if feature in pooling.covariance else 0
    n_bands = len(pooling.modulation_edges_hz) - 1
    return n_columns + (size * n_bands if feature in pooling.modulation else 0)


def _check_band(view: "SpectralView") -> None:
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


def _check_cent_bands(view: "SpectralView", feature: Feature) -> None:
    if view.band_hz[1] < 110:
        raise ValueError(
            f"spectra.max_hz leaves less than an octave, from 53 Hz up, for {feature.name}"
        )


def _check_octave_bands(view: "SpectralView", feature: Feature) -> None:
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


def _check_mel_bands(view: "SpectralView", feature: Feature) -> None:
    spectra, (low, high) = view.spectra, view.band_hz
    if spectra.mel_emphasis > 1 and spectra.mel_emphasis_min_hz >= high:
        raise ValueError(f"spectra.mel_emphasis_min_hz is not below {high:g} Hz")
    edges = mel_edges(spectra.n_mels, low, high, spectra.emphasis)
    check_mel_bands(edges, view.audio.sample_rate_hz, spectra.n_fft)


def _check_distinct_mel_bands(view: "SpectralView", feature: Feature) -> None:
    """Refuse mel bands that would have the same name."""
    edges = mel_edges(view.spectra.n_mels, *view.band_hz, view.spectra.emphasis)
    if len(set(map(round, edges[1:-1]))) < view.spectra.n_mels:
        raise ValueError("spectra.n_mels makes mel bands that are less than 1 Hz apart")


def _check_constant_q(view: "SpectralView", feature: Feature) -> None:
    nyquist_hz = view.audio.sample_rate_hz / 2
    # A bin of the transform is a few semitones wide, and tuning moves it by half a semitone.
    if view.spectra.cqt_max_hz * 2 ** (1 / 4) > nyquist_hz:
        raise ValueError(
            f"spectra.cqt_max_hz = {view.spectra.cqt_max_hz:g} is too near the Nyquist frequency, "
            f"{nyquist_hz:g} Hz"
        )


def _check_overlap(view: "SpectralView", feature: Feature) -> None:
    if view.spectra.hop_length > view.spectra.n_fft / 2:
        raise ValueError(
            f"features.select names {feature.name}, for which spectra.hop_length has to be at most "
            f"half of n_fft = {view.spectra.n_fft}"
        )


def _check_overlap_of_parts(view: "SpectralView", feature: Feature) -> None:
    if view.separates:
        _check_overlap(view, feature)


_CHECKS: Mapping[Need, Callable[["SpectralView", Feature], None]] = {
    "cent bands": _check_cent_bands,
    "octave bands": _check_octave_bands,
    "mel bands": _check_mel_bands,
    "distinct mel bands": _check_distinct_mel_bands,
    "constant-Q": _check_constant_q,
    "overlapping frames": _check_overlap,
    "overlapping frames of parts": _check_overlap_of_parts,
}


def _check_pooling(view: "View", features: Collection[str], frame_rate_hz: float) -> None:
    """Check pooling against the features that vary over time."""
    pooling, strategy = view.pooling, view.excerpt.strategy
    for key in ("joint", "covariance", "modulation", "keep_frames"):
        check_names(f"pooling.{key}", getattr(pooling, key), features)
    if pooling.keep_frames and pooling.frames_per_track == "all" and strategy in ("full", "multi"):
        raise ValueError(
            'pooling.frames_per_track = "all" needs one excerpt of the same length for every '
            f'track; excerpt.strategy = "{strategy}" does not give that'
        )
    highest_band_hz = pooling.modulation_edges_hz[-2]
    if pooling.modulation and highest_band_hz >= frame_rate_hz / 2:
        raise ValueError(
            f"pooling.modulation_edges_hz: a band begins at {highest_band_hz:g} Hz, but frames "
            f"hold no more than {frame_rate_hz / 2:g} Hz; take a shorter hop"
        )


def _check_size(view: "SpectralView") -> None:
    frames = view.excerpt.longest_seconds * view.audio.sample_rate_hz / view.spectra.hop_length
    if frames * view.spectra.n_fft > _MOST_VALUES:
        raise ValueError(
            "excerpt.seconds, audio.sample_rate_hz and spectra together make a spectrogram "
            "of over a gigabyte; take a shorter excerpt or a longer hop"
        )
