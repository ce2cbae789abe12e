"""The catalogue of features: each one is declared here, once.

To add a feature, add an entry to ``_ENTRIES`` and write the function that it names. What a
configuration may select, the checks of a configuration, columns, explanations, importances and the
documentation follow from the entry.

This module is a declaration: ``config`` imports it, so it imports no numerical library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from genreclf.config.views import SpectralView, View
    from genreclf.features.sound import Sound
    from genreclf.features.spectra import Array

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_TONNETZ_AXES = ("fifth.x", "fifth.y", "minor_third.x", "minor_third.y", "major_third.x",
                 "major_third.y")  # fmt: skip
_TEMPOGRAM_PEAKS = ("peak1", "peak2", "peak_ratio", "tempo_ratio")

# What a feature requires of a configuration; config/checks.py checks it.
Need = Literal[
    "mel bands",
    "distinct mel bands",
    "constant-Q",
    "octave bands",
    "cent bands",
    "overlapping frames",
    "overlapping frames of parts",
]


class Feature(Struct, frozen=True):
    """A feature.

    Attributes
    ----------
    name : str
        The part that it is computed from (harmonic, percussive or mix), a dot, and its own name.
    group : str
        Group of related features, by which predictions are explained.
    function : str
        Module of this folder and function, ``"timbre:mfcc"``. The function takes a ``Sound`` and
        returns a (rows, values) array.
    rows : tuple of str, or str
        Names of the rows, or the function that gives them for a ``SpectralView``.
    per : "frame", "track" or "sample"
        What it has a value for. Only values per track become columns without statistics.
    needs : tuple of Need
    """

    name: str
    group: str
    function: str
    rows: tuple[str, ...] | str = ("",)
    per: Literal["frame", "track", "sample"] = "frame"
    needs: tuple[Need, ...] = ()

    @property
    def part(self) -> str:
        """The part of the sound: harmonic, percussive or mix."""
        return self.name.partition(".")[0]

    @property
    def summary(self) -> str:
        """First line of the function's documentation."""
        return str(_resolve(self.function).__doc__).partition("\n")[0]

    def compute(self, sound: "Sound") -> "Array":
        """Compute the feature of a part of a sound, (rows, values) float32."""
        return sound.once(_resolve(self.function))

    def row_names(self, view: "SpectralView") -> tuple[str, ...]:
        """Return the names of the rows; a feature of one row has one empty name."""
        return _resolve(self.rows)(view) if isinstance(self.rows, str) else self.rows


def _resolve(function: str) -> Any:
    module, _, name = function.partition(":")
    return getattr(import_module(f"genreclf.features.{module}"), name)


_HARMONY = "harmony"
_RHYTHM = "rhythm"
_MFCC = "timbre (MFCC)"
_CHANGE = "change of timbre"
_SHAPE = "spectral shape"
_LOUDNESS = "loudness"
_PARTS = "harmonic and percussive part"

_CQT: tuple[Need, ...] = ("constant-Q",)
_PART_CQT: tuple[Need, ...] = ("constant-Q", "overlapping frames of parts")
_MEL: tuple[Need, ...] = ("mel bands",)
_CENTS: tuple[Need, ...] = ("cent bands",)
_INVERSE: tuple[Need, ...] = ("overlapping frames",)

_ENTRIES = (
    Feature("harmonic.chroma", _HARMONY, "harmony:chroma", PITCH_CLASSES),
    Feature("harmonic.tonnetz", _HARMONY, "harmony:tonnetz", _TONNETZ_AXES),
    Feature("harmonic.chroma_cqt", _HARMONY, "harmony:chroma_cqt", PITCH_CLASSES, needs=_PART_CQT),
    Feature("harmonic.tonnetz_cqt", _HARMONY, "harmony:tonnetz_cqt", _TONNETZ_AXES,
            needs=_PART_CQT),
    Feature("harmonic.waveform", _PARTS, "separation:waveform", per="sample", needs=_INVERSE),
    Feature("percussive.onset_strength", _RHYTHM, "rhythm:onset_strength", needs=_MEL),
    Feature("percussive.tempo", _RHYTHM, "rhythm:tempo", per="track", needs=_MEL),
    Feature("percussive.tempogram", _RHYTHM, "rhythm:tempogram_peaks", _TEMPOGRAM_PEAKS, "track",
            _MEL),
    Feature("percussive.pulse_clarity", _RHYTHM, "rhythm:pulse_clarity", per="track", needs=_MEL),
    Feature("percussive.onset_rate", _RHYTHM, "rhythm:onset_rate", per="track", needs=_MEL),
    Feature("percussive.waveform", _PARTS, "separation:waveform", per="sample", needs=_INVERSE),
    Feature("mix.chroma", _HARMONY, "harmony:chroma", PITCH_CLASSES),
    Feature("mix.chroma_cqt", _HARMONY, "harmony:chroma_cqt", PITCH_CLASSES, needs=_CQT),
    Feature("mix.cqt", _HARMONY, "harmony:cqt", "constantq:cqt_rows", needs=_CQT),
    Feature("mix.tempo", _RHYTHM, "rhythm:tempo", per="track", needs=_MEL),
    Feature("mix.mel", _SHAPE, "timbre:mel", "timbre:mel_rows",
            needs=("mel bands", "distinct mel bands")),
    Feature("mix.mfcc", _MFCC, "timbre:mfcc", "timbre:mfcc_rows", needs=_MEL),
    Feature("mix.mfcc_delta", _CHANGE, "timbre:mfcc_delta", "timbre:mfcc_rows", needs=_MEL),
    Feature("mix.mfcc_delta2", _CHANGE, "timbre:mfcc_delta2", "timbre:mfcc_rows", needs=_MEL),
    Feature("mix.centroid", _SHAPE, "timbre:centroid"),
    Feature("mix.bandwidth", _SHAPE, "timbre:bandwidth"),
    Feature("mix.rolloff", _SHAPE, "timbre:rolloff"),
    Feature("mix.flatness", _SHAPE, "timbre:flatness"),
    Feature("mix.flux", _CHANGE, "timbre:flux"),
    Feature("mix.contrast", _SHAPE, "timbre:contrast", "timbre:contrast_rows",
            needs=("octave bands",)),
    Feature("mix.rms", _LOUDNESS, "timbre:rms"),
    Feature("mix.low_energy", _LOUDNESS, "timbre:low_energy", per="track"),
    Feature("mix.modulation_4hz", _RHYTHM, "rhythm:modulation_4hz", per="track", needs=_MEL),
    Feature("mix.zero_crossing_rate", _SHAPE, "timbre:zero_crossing_rate"),
    Feature("mix.spectral_pattern", _SHAPE, "blocklevel:spectral_pattern",
            "blocklevel:spectral_rows", "track", _CENTS),
    Feature("mix.delta_spectral_pattern", _CHANGE, "blocklevel:delta_spectral_pattern",
            "blocklevel:delta_spectral_rows", "track", _CENTS),
    Feature("mix.fluctuation_pattern", _RHYTHM, "blocklevel:fluctuation_pattern",
            "blocklevel:fluctuation_rows", "track", _CENTS),
    Feature("mix.correlation_pattern", _SHAPE, "blocklevel:correlation_pattern",
            "blocklevel:correlation_rows", "track", _CENTS),
)  # fmt: skip

FEATURES: dict[str, Feature] = {feature.name: feature for feature in _ENTRIES}


def frame_features() -> tuple[str, ...]:
    """Return the names of the features that vary over time, which statistics can be taken of."""
    return tuple(name for name, feature in FEATURES.items() if feature.per != "track")


def feature_rows(view: "View") -> dict[str, tuple[str, ...]]:
    """Return the names of the rows of each feature of a view, in the order of their columns."""
    return {name: view.rows(name) for name in view.feature_names}


def group_of(column: str) -> str | None:
    """Return the group of the feature that a column describes; None for any other column.

    Examples
    --------
    >>> group_of("mix.mfcc.03.mean")
    'timbre (MFCC)'
    """
    feature = FEATURES.get(".".join(column.split(".", 2)[:2]))
    return feature.group if feature else None
