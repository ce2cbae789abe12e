"""A view of a file: every number that decides its features, section by section."""

import re
from itertools import pairwise
from typing import Annotated, Literal

from msgspec import Meta
from msgspec.structs import force_setattr

from genreclf.config.bands import Emphasis
from genreclf.config.checks import check_embedding_view, check_spectral_view
from genreclf.config.networks import Network, Output
from genreclf.config.sections import Section, UnknownNameError, check_names
from genreclf.features.catalogue import FEATURES

OWN_ENGINE = "genreclf"

# What msgspec tells views apart by. Files do not hold it: load.py derives it from their keys.
KIND_OF_VIEW = "(kind of view)"

# Of one track: spectra of ten minutes take some hundreds of megabytes.
LONGEST_SECONDS = 600

Statistic = Literal["mean", "var", "max", "min", "std", "median", "skewness", "kurtosis"]
Strategy = Literal["centre", "start", "full", "multi", "energy", "window", "highlight"]
Separation = Literal["hpss", "none"]
Resampler = Literal["soxr_hq", "kaiser_best"]
PadMode = Literal["constant", "reflect"]
Delta = Literal["regression", "difference"]
Rms = Literal["spectrum", "waveform"]
OnsetAggregate = Literal["mean", "median"]
BinsPerOctave = Literal[12, 24, 36]

# Keys of ``Excerpt`` that only one strategy reads.
_OF_STRATEGY = {"earlier_seconds": "centre", "excerpts": "multi", "from_seconds": "window"}


class Excerpt(Section, frozen=True):
    """Which seconds of a track the features are computed from."""

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
                    f"{key} has no effect with strategy = {self.strategy!r}, only with {strategy!r}"
                )
        if self.longest_seconds > LONGEST_SECONDS:
            raise ValueError(
                f"excerpts = {self.excerpts} of {self.seconds:g} s are more than "
                f"{LONGEST_SECONDS} s together"
            )

    @property
    def longest_seconds(self) -> float:
        """Seconds of all excerpts of a track together, at most."""
        if self.strategy == "full":
            return LONGEST_SECONDS
        return self.seconds * self.number

    @property
    def number(self) -> int:
        """How many excerpts a track has, at most."""
        return self.excerpts if self.strategy == "multi" else 1

    @property
    def needs_scan(self) -> bool:
        """Whether the whole track has to be decoded before the excerpt can be chosen."""
        if self.strategy == "window":
            return self.from_seconds == "energy"
        return self.strategy in ("energy", "highlight")


class Audio(Section, frozen=True):
    """Sample rate and level of the samples."""

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
            raise ValueError(f"hop_length is larger than n_fft = {self.n_fft}, which skips samples")


class Hpss(Section, frozen=True):
    """Harmonic-percussive separation: median filter lengths, mask and margins."""

    harmonic_kernel_frames: Annotated[int, Meta(ge=3, le=501)] = 31
    percussive_kernel_bins: Annotated[int, Meta(ge=3, le=501)] = 31
    mask_power: Annotated[float, Meta(gt=0, le=16)] = 2.0
    harmonic_margin: Annotated[float, Meta(ge=1, le=100)] = 1.0
    percussive_margin: Annotated[float, Meta(ge=1, le=100)] = 1.0


class Features(Section, frozen=True):
    """Which features are computed, by which code, and the numbers in their definitions.

    The engine "librosa" becomes "librosa 0.11.0", or what is installed: tables and models carry the
    version that made their numbers.
    """

    select: Annotated[tuple[str, ...], Meta(min_length=1)] = (
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
    engine: str = OWN_ENGINE
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
        check_names("select", self.select, FEATURES)
        if self.engine == "librosa":
            from genreclf.versions import version_of  # takes milliseconds

            force_setattr(self, "engine", f"librosa {version_of('librosa')}")
        elif not re.fullmatch(rf"{OWN_ENGINE}|librosa \d[\w.+-]{{0,40}}", self.engine):
            raise UnknownNameError(("engine",), self.engine, (OWN_ENGINE, "librosa"))
        if self.delta_frames % 2 == 0:
            raise ValueError("delta_frames is an even number; the window needs a middle frame")
        if self.tempogram_min_bpm >= self.tempo_max_bpm:
            raise ValueError("tempogram_min_bpm is not below tempo_max_bpm")

    @property
    def uses_librosa(self) -> bool:
        """Whether librosa computes the features that it has."""
        return self.engine != OWN_ENGINE


class Pooling(Section, frozen=True):
    """Which statistics over time make a column each, and which frames are stored beside them."""

    statistics: Annotated[tuple[Statistic, ...], Meta(min_length=1)] = ("mean", "var", "max")
    joint: tuple[str, ...] = ()
    texture_seconds: Annotated[float, Meta(ge=0, le=600)] = 0.0
    texture_statistics: Annotated[tuple[Statistic, ...], Meta(min_length=1)] = ("mean", "var")
    covariance: tuple[str, ...] = ()
    modulation: tuple[str, ...] = ()
    modulation_edges_hz: Annotated[
        tuple[Annotated[float, Meta(gt=0, le=1000)], ...], Meta(min_length=2)
    ] = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
    keep_frames: tuple[str, ...] = ()
    frames_per_track: Annotated[int, Meta(ge=1, le=10_000)] | Literal["all"] = 256

    def __post_init__(self) -> None:
        for key in ("statistics", "texture_statistics"):
            check_names(key, getattr(self, key), getattr(self, key))  # only distinct
        edges = self.modulation_edges_hz
        if any(low >= high for low, high in pairwise(edges)):
            raise ValueError("modulation_edges_hz do not rise from each to the next")


class View(Section, frozen=True, kw_only=True, tag_field=KIND_OF_VIEW):
    """One chain of stages, from seconds of a track to features; a configuration may have several.

    Later stages ask a view for what they need to know of its features, and need not know its kind.
    """

    @property
    def excerpt(self) -> Excerpt:
        """Which seconds the features are computed from."""
        raise NotImplementedError

    @property
    def audio(self) -> Audio:
        """Sample rate and level of the samples."""
        raise NotImplementedError

    @property
    def pooling(self) -> Pooling:
        """How features become columns."""
        raise NotImplementedError

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features, in the order of their columns."""
        raise NotImplementedError

    def rows(self, feature: str) -> tuple[str, ...]:
        """Return the names of a feature's rows; a feature of one row has one empty name."""
        raise NotImplementedError

    def rate_hz(self, feature: str) -> float:
        """Return how many values a second a feature has; 0 of one value for the whole excerpt."""
        raise NotImplementedError

    def n_values(self, feature: str) -> int:
        """Return how many values over time a feature of a complete excerpt has."""
        raise NotImplementedError

    def group(self, feature: str) -> str:
        """Return the group of a feature, by which predictions are explained."""
        raise NotImplementedError


class SpectralView(View, frozen=True, kw_only=True, tag="spectral"):
    """Features of the catalogue, from one short-time Fourier transform."""

    separation: Separation = "hpss"
    excerpt: Excerpt = Excerpt()
    audio: Audio = Audio()
    spectra: Spectra = Spectra()
    hpss: Hpss = Hpss()
    features: Features = Features()
    pooling: Pooling = Pooling()

    def __post_init__(self) -> None:
        check_spectral_view(self)

    @property
    def band_hz(self) -> tuple[float, float]:
        """Lowest and highest frequency that features of a spectrum see."""
        nyquist_hz = self.audio.sample_rate_hz / 2
        spectra = self.spectra
        return spectra.min_hz, nyquist_hz if spectra.max_hz == "nyquist" else spectra.max_hz

    @property
    def separates(self) -> bool:
        """Whether a feature needs the harmonic or the percussive part."""
        of_parts = any(FEATURES[name].part != "mix" for name in self.features.select)
        return of_parts and self.separation != "none"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features that are selected."""
        return self.features.select

    def rows(self, feature: str) -> tuple[str, ...]:
        """Return the names of a feature's rows."""
        return FEATURES[feature].row_names(self)

    def rate_hz(self, feature: str) -> float:
        """Return the frame rate, the sample rate, or 0 of one value for the whole excerpt."""
        per, rate_hz = FEATURES[feature].per, self.audio.sample_rate_hz
        return {"track": 0, "frame": rate_hz / self.spectra.hop_length, "sample": rate_hz}[per]

    def n_values(self, feature: str) -> int:
        """Return the number of frames or samples."""
        n_samples = round(self.excerpt.seconds * self.audio.sample_rate_hz)
        of_samples = FEATURES[feature].per == "sample"
        return n_samples if of_samples else 1 + n_samples // self.spectra.hop_length

    def group(self, feature: str) -> str:
        """Return the group of a feature in the catalogue."""
        return FEATURES[feature].group


class EmbeddingView(View, frozen=True, kw_only=True, tag="embedding"):
    """Embeddings of a pretrained network, which are pooled over time as features are.

    `embedding` is the name of a network or the path of its description, and `outputs` are outputs
    of the network: by default the first that is an embedding. `excerpt` and `pooling` are as in
    other views. The sample rate is that of the network, and the level that of the file.
    """

    embedding: Network
    outputs: tuple[str, ...] = ()
    excerpt: Excerpt = Excerpt()
    pooling: Pooling = Pooling()

    def __post_init__(self) -> None:
        if not self.outputs:
            outputs = sorted(self.embedding.outputs, key=lambda output: output.kind != "embedding")
            force_setattr(self, "outputs", (outputs[0].column,))
        check_embedding_view(self)

    @property
    def audio(self) -> Audio:
        """The sample rate of the network; the level is that of the file, as in its training."""
        return Audio(sample_rate_hz=self.embedding.sample_rate_hz, rms_dbfs="as recorded")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The network's name and that of an output, as in ``musicnn.penultimate``."""
        return tuple(f"{self.embedding.name}.{output}" for output in self.outputs)

    def rows(self, feature: str) -> tuple[str, ...]:
        """Return numbers, or of tags their labels."""
        output = self.output(feature)
        if output.labels:
            return output.labels
        width = max(3, len(str(output.size - 1)))
        return tuple(f"{row:0{width}d}" for row in range(output.size))

    def rate_hz(self, feature: str) -> float:
        """Return how many vectors a second an output has; 0 of one for the whole excerpt."""
        seconds = self.embedding.frame_seconds(self.output(feature).column)
        return 1 / seconds if seconds else 0

    def n_values(self, feature: str) -> int:
        """Return how many vectors an output has, to within one."""
        return max(1, int(self.excerpt.seconds * self.rate_hz(feature)))

    def group(self, feature: str) -> str:
        """Return a name for all embeddings of the network."""
        return f"embedding: {self.embedding.name}"

    def output(self, feature: str) -> Output:
        """Return the output of the network that a feature is."""
        return self.embedding.output(feature.partition(".")[2])
