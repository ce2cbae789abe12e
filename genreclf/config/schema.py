"""Every number of the pipeline, as a frozen and validated ``Config`` read from TOML.

Units stand in the names (``sample_rate_hz``, ``seconds``); bins and frames where there is no
unit. ``configs/default.toml`` gives the reason for each value.
"""

import hashlib
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from genreclf.config.bands import Emphasis, band_bins, check_mel_bands, mel_edges
from genreclf.config.sections import Count, NotNegative, Positive, Section

# Of one track: spectra of ten minutes take some hundreds of megabytes.
LONGEST_SECONDS = 600

# Raised whenever the same configuration would give other numbers than before, so that tables
# of both are never mixed.
FEATURES_VERSION = 2

Statistic = Literal["mean", "var", "max", "min", "std", "median", "skewness", "kurtosis"]
Strategy = Literal["centre", "start", "full", "multi", "energy", "window", "highlight"]
Separation = Literal["hpss", "none"]
Scaling = Literal["log", "standard"]
Resampler = Literal["soxr_hq", "kaiser_best"]
PadMode = Literal["constant", "reflect"]
Delta = Literal["regression", "difference"]
Rms = Literal["spectrum", "waveform"]
Weighting = Literal["none", "sqrt", "tfidf"]
OnsetAggregate = Literal["mean", "median"]
BinsPerOctave = Literal[12, 24, 36]
FrameFeature = Literal[
    "harmonic.chroma", "harmonic.tonnetz", "harmonic.waveform",
    "percussive.onset_strength", "percussive.waveform",
    "mix.mfcc", "mix.mfcc_delta", "mix.mfcc_delta2", "mix.centroid", "mix.bandwidth",
    "mix.rolloff", "mix.flatness", "mix.contrast", "mix.rms", "mix.zero_crossing_rate",
    "mix.chroma", "mix.mel", "mix.cqt", "mix.chroma_cqt", "harmonic.chroma_cqt",
    "harmonic.tonnetz_cqt", "mix.flux",
]  # fmt: skip
TrackFeature = Literal[
    "percussive.tempo", "percussive.tempogram", "percussive.pulse_clarity",
    "percussive.onset_rate", "mix.tempo", "mix.low_energy", "mix.modulation_4hz",
    "mix.spectral_pattern", "mix.delta_spectral_pattern", "mix.fluctuation_pattern",
    "mix.correlation_pattern",
]  # fmt: skip
Feature = FrameFeature | TrackFeature
_FEATURES = get_args(FrameFeature) + get_args(TrackFeature)
_OF_MEL_BANDS = {
    "percussive.onset_strength", "percussive.tempo", "percussive.tempogram",
    "percussive.pulse_clarity", "percussive.onset_rate", "mix.tempo",
    "mix.mfcc", "mix.mfcc_delta", "mix.mfcc_delta2", "mix.mel", "mix.modulation_4hz",
}  # fmt: skip
_OF_CQT = {"mix.cqt", "mix.chroma_cqt", "harmonic.chroma_cqt", "harmonic.tonnetz_cqt"}
_WAVEFORMS = {"harmonic.waveform", "percussive.waveform"}
CHOICES: Mapping[str, tuple[str, ...]] = {
    "statistics": get_args(Statistic),
    "strategy": get_args(Strategy),
    "from_seconds": ("a number of seconds", "energy"),
    "separation": get_args(Separation),
    "resampler": get_args(Resampler),
    "pad_mode": get_args(PadMode),
    "delta": get_args(Delta),
    "rms": get_args(Rms),
    "onset_aggregate": get_args(OnsetAggregate),
    "select": _FEATURES,
    "joint": get_args(FrameFeature),
    "texture_statistics": get_args(Statistic),
    "covariance": get_args(FrameFeature),
    "modulation": get_args(FrameFeature),
    "keep_frames": get_args(FrameFeature),
    "weighting": get_args(Weighting),
    "scaling": get_args(Scaling),
    "max_hz": ("nyquist", "a frequency in Hz"),
    "cqt_bins_per_octave": tuple(map(str, get_args(BinsPerOctave))),
    "rms_dbfs": ("a level in dB from -60 to 0", "as recorded"),
}


# Keys of ``Excerpt`` that only one strategy reads.
_OF_STRATEGY = {"earlier_seconds": "centre", "excerpts": "multi", "from_seconds": "window"}


class Excerpt(Section, frozen=True):
    """Which seconds of a track are listened to."""

    strategy: Strategy = "centre"
    seconds: Annotated[float, Meta(ge=1, le=LONGEST_SECONDS)] = 29.12
    earlier_seconds: Annotated[float, Meta(ge=0, le=600)] = 0.0
    excerpts: Annotated[int, Meta(ge=2, le=100)] = 3
    from_seconds: Annotated[float, Meta(ge=0, le=1e6)] | Literal["energy"] = "energy"
    min_seconds: Annotated[float, Meta(ge=1, le=600)] = 1.0

    def __post_init__(self) -> None:
        if self.min_seconds > self.seconds:
            raise ValueError(f"min_seconds is longer than seconds = {self.seconds:g}")
        defaults = dict(zip(self.__struct_fields__, self.__struct_defaults__, strict=True))
        for key, strategy in _OF_STRATEGY.items():
            if getattr(self, key) != defaults[key] and self.strategy != strategy:
                raise ValueError(
                    f"{key} says nothing with strategy = {self.strategy!r}, only with {strategy!r}"
                )
        if self.longest_seconds > LONGEST_SECONDS:
            raise ValueError(
                f"excerpts = {self.excerpts} of {self.seconds:g} s are more than "
                f"{LONGEST_SECONDS} s together"
            )

    @property
    def longest_seconds(self) -> float:
        """Seconds of all that is listened to of a track, at most."""
        if self.strategy == "full":
            return LONGEST_SECONDS
        return self.seconds * (self.excerpts if self.strategy == "multi" else 1)

    @property
    def by_ear(self) -> bool:
        """Whether all of a track has to be heard before it is known what to listen to."""
        if self.strategy == "window":
            return self.from_seconds == "energy"
        return self.strategy in ("energy", "highlight")


class Audio(Section, frozen=True):
    """What the samples are brought to."""

    sample_rate_hz: Annotated[int, Meta(ge=4000, le=192_000)] = 12_000
    resampler: Resampler = "soxr_hq"
    rms_dbfs: Annotated[float, Meta(ge=-60, le=0)] | Literal["as recorded"] = -20.0


class Spectra(Section, frozen=True):
    """The one short-time Fourier transform, its band and mel bands; the constant-Q transform."""

    n_fft: Annotated[int, Meta(ge=64, le=32_768)] = 1024
    hop_length: Annotated[int, Meta(ge=16, le=32_768)] = 256
    pad_mode: PadMode = "constant"
    n_mels: Annotated[int, Meta(ge=8, le=512)] = 128
    min_hz: Annotated[float, Meta(ge=0, le=96_000)] = 0.0
    max_hz: Annotated[float, Meta(gt=0, le=96_000)] | Literal["nyquist"] = "nyquist"
    mel_emphasis: Annotated[float, Meta(ge=1, le=16)] = 1.0
    mel_emphasis_min_hz: Annotated[float, Meta(ge=0, le=96_000)] = 4000.0
    mel_emphasis_max_hz: Annotated[float, Meta(gt=0, le=96_000)] = 11_000.0
    cqt_min_hz: Annotated[float, Meta(ge=10, le=20_000)] = 30.0
    cqt_max_hz: Annotated[float, Meta(ge=20, le=40_000)] = 3000.0
    cqt_bins_per_octave: BinsPerOctave = 12

    @property
    def emphasis(self) -> Emphasis:
        """Where mel bands lie denser than elsewhere."""
        return Emphasis(self.mel_emphasis, self.mel_emphasis_min_hz, self.mel_emphasis_max_hz)

    def __post_init__(self) -> None:
        if self.max_hz != "nyquist" and self.min_hz >= self.max_hz:
            raise ValueError(f"min_hz is not below max_hz = {self.max_hz:g}")
        if self.mel_emphasis_min_hz >= self.mel_emphasis_max_hz:
            raise ValueError("mel_emphasis_min_hz is not below mel_emphasis_max_hz")
        if self.cqt_max_hz < 2 * self.cqt_min_hz:
            raise ValueError("cqt_max_hz is not an octave above cqt_min_hz")
        if self.n_fft % 2:
            raise ValueError("n_fft is an odd number; an even one is needed")
        if self.hop_length > self.n_fft:
            raise ValueError(f"hop_length is larger than n_fft = {self.n_fft}: skips samples")


class Hpss(Section, frozen=True):
    """Harmonic-percussive separation: median filter lengths, mask and margins."""

    harmonic_kernel_frames: Annotated[int, Meta(ge=3, le=501)] = 31
    percussive_kernel_bins: Annotated[int, Meta(ge=3, le=501)] = 31
    mask_power: Annotated[float, Meta(gt=0, le=16)] = 2.0
    harmonic_margin: Annotated[float, Meta(ge=1, le=100)] = 1.0
    percussive_margin: Annotated[float, Meta(ge=1, le=100)] = 1.0


class Features(Section, frozen=True):
    """Which features there are, and the numbers inside their definitions."""

    select: Annotated[tuple[Feature, ...], Meta(min_length=1)] = (
        "harmonic.chroma",
        "harmonic.tonnetz",
        "percussive.onset_strength",
        "percussive.tempo",
        "percussive.tempogram",
        "percussive.pulse_clarity",
        "percussive.onset_rate",
        "mix.mfcc",
        "mix.mfcc_delta",
        "mix.mfcc_delta2",
        "mix.centroid",
        "mix.bandwidth",
        "mix.rolloff",
        "mix.flatness",
        "mix.contrast",
        "mix.rms",
        "mix.zero_crossing_rate",
    )
    n_mfcc: Annotated[int, Meta(ge=1, le=128)] = 20
    delta: Delta = "regression"
    delta_frames: Annotated[int, Meta(ge=3, le=99)] = 9
    rolloff_fraction: Annotated[float, Meta(gt=0, lt=1)] = 0.85
    contrast_min_hz: Annotated[float, Meta(ge=20, le=2000)] = 200.0
    contrast_quantile: Annotated[float, Meta(gt=0, lt=0.5)] = 0.02
    rms: Rms = "spectrum"
    onset_aggregate: OnsetAggregate = "mean"
    tempo_prior_bpm: Annotated[float, Meta(ge=30, le=300)] = 120.0
    tempogram_min_bpm: Annotated[float, Meta(ge=10, le=200)] = 30.0
    tempo_max_bpm: Annotated[float, Meta(ge=60, le=600)] = 320.0
    tempogram_seconds: Annotated[float, Meta(ge=2, le=60)] = 8.0

    def __post_init__(self) -> None:
        if twice := _twice(self.select):
            raise ValueError(f"select names {twice} twice")
        if self.delta_frames % 2 == 0:
            raise ValueError("delta_frames is an even number; the window needs a middle frame")
        if self.tempogram_min_bpm >= self.tempo_max_bpm:
            raise ValueError("tempogram_min_bpm is not below tempo_max_bpm")


class Pooling(Section, frozen=True):
    """Which statistics over time make a column each, and which frames are kept beside them."""

    statistics: Annotated[tuple[Statistic, ...], Meta(min_length=1)] = ("mean", "var", "max")
    joint: tuple[FrameFeature, ...] = ()
    texture_seconds: Annotated[float, Meta(ge=0, le=600)] = 0.0
    texture_statistics: Annotated[tuple[Statistic, ...], Meta(min_length=1)] = ("mean", "var")
    covariance: tuple[FrameFeature, ...] = ()
    modulation: tuple[FrameFeature, ...] = ()
    modulation_edges_hz: Annotated[
        tuple[Annotated[float, Meta(gt=0, le=1000)], ...], Meta(min_length=2)
    ] = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
    keep_frames: tuple[FrameFeature, ...] = ()
    frames_per_track: Annotated[int, Meta(ge=1, le=10_000)] = 256

    def __post_init__(self) -> None:
        names = ("statistics", "joint", "texture_statistics", "covariance", "modulation")
        for name in (*names, "keep_frames"):
            if twice := _twice(getattr(self, name)):
                raise ValueError(f"{name} names {twice} twice")
        edges = self.modulation_edges_hz
        if any(low >= high for low, high in pairwise(edges)):
            raise ValueError("modulation_edges_hz do not rise from each to the next")


def _twice(names: tuple[str, ...]) -> str | None:
    """Return the first name that stands there more than once."""
    return next((name for i, name in enumerate(names) if name in names[:i]), None)


class View(Section, frozen=True, kw_only=True):
    """One way of looking at a file: what decides the features of one chain of stages."""

    separation: Separation = "hpss"
    excerpt: Excerpt = Excerpt()
    audio: Audio = Audio()
    spectra: Spectra = Spectra()
    hpss: Hpss = Hpss()
    features: Features = Features()
    pooling: Pooling = Pooling()

    def __post_init__(self) -> None:
        if self.features.n_mfcc > self.spectra.n_mels:
            raise ValueError(f"features.n_mfcc is more than spectra.n_mels = {self.spectra.n_mels}")
        rate, spectra = self.audio.sample_rate_hz, self.spectra
        self._check_band()
        made = _WAVEFORMS | (_OF_CQT - {"mix.cqt", "mix.chroma_cqt"} if self.separates else set())
        waveforms = made.intersection(self.features.select)
        if waveforms and spectra.hop_length > spectra.n_fft / 2:
            raise ValueError(
                f"features.select names {min(waveforms)}, for which spectra.hop_length has to be "
                f"half of n_fft = {spectra.n_fft} at most"
            )
        if unknown := [n for n in self.pooling.keep_frames if n not in self.features.select]:
            raise ValueError(f"pooling.keep_frames names {unknown[0]}, which features.select lacks")
        if self.features.tempogram_seconds * rate / spectra.hop_length < 4:
            raise ValueError("features.tempogram_seconds is shorter than four hops")
        highest_band_hz = self.pooling.modulation_edges_hz[-2]
        if self.pooling.modulation and highest_band_hz >= rate / spectra.hop_length / 2:
            raise ValueError(
                f"pooling.modulation_edges_hz: a band begins at {highest_band_hz:g} Hz, but frames "
                f"tell no more than {rate / spectra.hop_length / 2:g} Hz; take a shorter hop"
            )
        frames = self.excerpt.longest_seconds * self.audio.sample_rate_hz / self.spectra.hop_length
        if frames * self.spectra.n_fft > 2**28:
            raise ValueError(
                "excerpt.seconds, audio.sample_rate_hz and spectra together make a spectrogram "
                "of over a gigabyte; take a shorter excerpt or a longer hop"
            )

    def _check_band(self) -> None:
        """Refuse what has no frequency of its own, or none at this sample rate."""
        rate, spectra, selected = self.audio.sample_rate_hz, self.spectra, self.features.select
        low, high = self.band_hz
        if high > rate / 2:
            raise ValueError(f"spectra.max_hz is above the Nyquist frequency, {rate / 2:g} Hz")
        band = band_bins(low, high, rate, spectra.n_fft)
        if band.stop - band.start < 2:
            raise ValueError(
                "spectra.min_hz and spectra.max_hz have less than two bins of "
                f"{rate / spectra.n_fft:.1f} Hz between them"
            )
        patterns = [name for name in selected if name.endswith("_pattern")]
        if patterns and high < 110:
            raise ValueError(
                f"spectra.max_hz leaves less than an octave, from 53 Hz up, for {patterns[0]}"
            )
        if "mix.contrast" in selected:
            self._check_contrast(band.start * rate / spectra.n_fft)
        if _OF_MEL_BANDS.intersection(selected):
            if spectra.mel_emphasis > 1 and spectra.mel_emphasis_min_hz >= high:
                raise ValueError(f"spectra.mel_emphasis_min_hz is not below {high:g} Hz")
            edges = mel_edges(spectra.n_mels, low, high, spectra.emphasis)
            check_mel_bands(edges, rate, spectra.n_fft)
            if "mix.mel" in selected and len(set(map(round, edges[1:-1]))) < spectra.n_mels:
                raise ValueError("spectra.n_mels makes mel bands that are not 1 Hz apart")
        # A bin of the transform is a few semitones wide, and tuning moves it by half a one.
        if _OF_CQT.intersection(selected) and spectra.cqt_max_hz * 2 ** (1 / 4) > rate / 2:
            raise ValueError(
                f"spectra.cqt_max_hz = {spectra.cqt_max_hz:g} is too near the Nyquist frequency, "
                f"{rate / 2:g} Hz"
            )

    def _check_contrast(self, lowest_hz: float) -> None:
        edge, high = self.features.contrast_min_hz, self.band_hz[1]
        bin_hz = self.audio.sample_rate_hz / self.spectra.n_fft
        if edge * 2 > high:
            raise ValueError(
                "features.contrast_min_hz leaves no octave below "
                f"{'the Nyquist frequency' if self.spectra.max_hz == 'nyquist' else f'{high:g} Hz'}"
            )
        if edge < lowest_hz + bin_hz:
            raise ValueError(
                f"features.contrast_min_hz is below the width of a bin, {bin_hz:.1f} Hz"
                f"{f', above {lowest_hz:g} Hz' if lowest_hz else ''}: the lowest band is empty"
            )

    @property
    def band_hz(self) -> tuple[float, float]:
        """Lowest and highest frequency that features of a spectrum see."""
        nyquist_hz = self.audio.sample_rate_hz / 2
        spectra = self.spectra
        return spectra.min_hz, nyquist_hz if spectra.max_hz == "nyquist" else spectra.max_hz

    @property
    def separates(self) -> bool:
        """Whether a feature needs the harmonic or the percussive part."""
        of_parts = any(not name.startswith("mix.") for name in self.features.select)
        return of_parts and self.separation != "none"


class ExtractionConfig(View, frozen=True, kw_only=True):
    """All that decides what the features of a file are; it travels with every table.

    Either one view, by the fields of ``View``, or several, whose features stand side by side.
    """

    views: tuple[View, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        selected = {name for view in self.each_view for name in view.features.select}
        for view in self.each_view:
            for key in ("covariance", "modulation"):
                if unselected := set(getattr(view.pooling, key)) - selected:
                    raise ValueError(
                        f"pooling.{key} names {min(unselected)}, which features.select does not"
                    )
        if not self.views:
            return
        for name in View.__struct_fields__:
            if getattr(self, name) != getattr(View(), name):
                raise ValueError(f"{name} beside views: it belongs into each of the views")
        if twice := _twice(tuple(name for view in self.views for name in view.features.select)):
            raise ValueError(f"views: features.select names {twice} in two of them")

    @property
    def each_view(self) -> tuple[View, ...]:
        """The views, or this configuration as the only one."""
        return self.views or (self,)

    @property
    def takes_several(self) -> bool:
        """Whether a view listens to several excerpts of a track."""
        return any(view.excerpt.strategy == "multi" for view in self.each_view)

    @property
    def extraction(self) -> "ExtractionConfig":
        """The part that decides the features, without how they are learned from."""
        return ExtractionConfig(
            **{name: getattr(self, name) for name in ExtractionConfig.__struct_fields__}
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain values, as they stand in a TOML or JSON file.

        Beside views, the fields of a single one say nothing, and are left out.
        """
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        for name in View.__struct_fields__ if self.views else ("views",):
            del plain[name]
        return plain

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that two configurations share only if the features agree."""
        canonical = msgspec.json.encode(
            [FEATURES_VERSION, self.extraction.to_dict()], order="sorted"
        )
        return hashlib.sha256(canonical).hexdigest()[:16]


class _Classifier(Section, frozen=True, tag_field="name"):
    """Hyperparameters of one classifier, under the names that scikit-learn gives them."""

    @property
    def name(self) -> str:
        """The name that the command line and the TOML file use."""
        return str(self.__struct_config__.tag)


class Svm(_Classifier, frozen=True, tag="svm"):
    """Support vector machine with a radial basis function kernel."""

    C: Positive = 3.0
    gamma: Positive | Literal["scale", "auto"] = "scale"


class Logistic(_Classifier, frozen=True, tag="logistic"):
    """Multinomial logistic regression."""

    C: Positive = 0.3


class Lda(_Classifier, frozen=True, tag="lda"):
    """Linear discriminant analysis with Ledoit–Wolf shrinkage."""

    shrinkage: Annotated[float, Meta(ge=0, le=1)] | Literal["auto"] = "auto"


class Knn(_Classifier, frozen=True, tag="knn"):
    """K nearest neighbours."""

    n_neighbors: Count = 9
    weights: Literal["uniform", "distance"] = "distance"


class RandomForest(_Classifier, frozen=True, tag="random-forest"):
    """Random forest."""

    n_estimators: Annotated[int, Meta(ge=1, le=10_000)] = 300
    max_depth: Count | None = None
    min_samples_leaf: Count = 1


class GradientBoosting(_Classifier, frozen=True, tag="gradient-boosting"):
    """Histogram-based gradient boosting."""

    learning_rate: Positive = 0.1
    max_iter: Annotated[int, Meta(ge=1, le=10_000)] = 100
    max_leaf_nodes: Annotated[int, Meta(ge=2, le=1_000_000)] = 15
    l2_regularization: NotNegative = 1.0


class Ensemble(_Classifier, frozen=True, tag="ensemble"):
    """Vote of a support vector machine, discriminant analysis and extremely random trees."""

    C: Positive = 3.0
    n_estimators: Annotated[int, Meta(ge=1, le=10_000)] = 300
    max_features: Annotated[float, Meta(gt=0, le=1)] = 0.2
    min_samples_leaf: Count = 1


class Mlp(_Classifier, frozen=True, tag="mlp"):
    """Multi-layer perceptron with one hidden layer or more."""

    hidden_layer_sizes: Annotated[tuple[Count, ...], Meta(max_length=16)] = (128,)
    alpha: NotNegative = 1.0
    max_iter: Count = 500


ClassifierConfig = Svm | Logistic | Lda | Knn | RandomForest | GradientBoosting | Mlp | Ensemble
CLASSIFIERS: tuple[str, ...] = tuple(
    str(kind.__struct_config__.tag) for kind in ClassifierConfig.__args__
)


class Codebook(Section, frozen=True):
    """How kept frames become columns: as the histogram of the words that stand for them."""

    words: Annotated[int, Meta(ge=2, le=4096)] | Literal["auto", "off"] = "auto"
    weighting: Weighting = "sqrt"

    @property
    def n_words(self) -> int:
        """How many words each kept feature has; 0 where there are none, or it is not settled."""
        return self.words if isinstance(self.words, int) else 0


class Evaluation(Section, frozen=True):
    """How cross-validation is done."""

    folds: Annotated[int, Meta(ge=2, le=1000)] = 10
    bootstrap_samples: Annotated[int, Meta(ge=100, le=100_000)] = 2000


class Config(ExtractionConfig, frozen=True, kw_only=True):
    """The whole configuration: what the features are, and how a classifier learns from them."""

    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    scaling: Scaling = "log"
    scaling_limit: Positive | Literal["off"] = 4.0
    pca: Annotated[float, Meta(gt=0, lt=1)] | Count | Literal["auto", "off"] = "auto"
    codebook: Codebook = Codebook()
    classifier: ClassifierConfig = Svm()
    evaluation: Evaluation = Evaluation()

    def with_extraction(self, extraction: ExtractionConfig) -> "Config":
        """Return this way of learning for features that were made with ``extraction``."""
        parts = {name: getattr(extraction, name) for name in ExtractionConfig.__struct_fields__}
        return msgspec.structs.replace(self, **parts)
