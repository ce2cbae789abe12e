"""Front-ends: what turns samples into the input of a network, as a closed list.

Each kind is a section whose defaults are the numbers that its networks were trained with. A
description of a network states only what differs.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from genreclf.config.sections import Positive, Section

Rate = Annotated[int, Meta(ge=4000, le=192_000)]
Length = Annotated[int, Meta(ge=1, le=65_536)]
Hz = Annotated[float, Meta(ge=0, le=96_000)]
Bands = Annotated[int, Meta(ge=1, le=1024)]
Constant = Annotated[float, Meta(ge=0, le=1e12)]

Window = Literal["hann", "symmetric hann"]
Padding = Literal["zeros", "reflect", "none"]
SpectrumKind = Literal["power", "magnitude"]
MelScale = Literal["slaney", "htk"]
MelNorm = Literal["slaney", "none"]
Slopes = Literal["hertz", "mel"]
Logarithm = Literal["ln", "log10", "decibels"]
Level = Literal["as recorded", "unit variance"]


class Waveform(Section, frozen=True, kw_only=True, tag_field="kind", tag="waveform"):
    """The samples themselves; with "unit variance", each patch has mean 0 and variance 1."""

    sample_rate_hz: Rate
    level: Level = "as recorded"

    @property
    def hop_length(self) -> int:
        """Samples between frames: a sample is a frame."""
        return 1


class Mel(Section, frozen=True, kw_only=True, tag_field="kind"):
    """A mel spectrogram on a logarithmic scale.

    The logarithm is ``log(max(log_scale x, log_floor) + log_offset)``, natural, to base 10, or
    10 times that. With ``range_db``, it is relative to the maximum and not below ``-range_db``.
    ``mean`` is subtracted and the difference is divided by ``deviation``.
    """

    sample_rate_hz: Rate
    n_fft: Length
    window_length: Length
    hop_length: Length
    window: Window = "hann"
    padding: Padding = "zeros"
    spectrum: SpectrumKind = "power"
    n_mels: Bands
    min_hz: Hz = 0.0
    max_hz: Hz
    mel_scale: MelScale = "slaney"
    mel_norm: MelNorm = "slaney"
    mel_slopes: Slopes = "hertz"
    log: Logarithm
    log_scale: Positive = 1.0
    log_floor: Constant = 0.0
    log_offset: Constant = 0.0
    range_db: Annotated[float, Meta(ge=0, le=1000)] = 0.0
    mean: Annotated[float, Meta(ge=-1e6, le=1e6)] = 0.0
    deviation: Annotated[float, Meta(gt=0, le=1e6)] = 1.0

    def __post_init__(self) -> None:
        if self.n_fft % 2:
            raise ValueError("n_fft is an odd number; an even one is needed")
        if self.window_length > self.n_fft:
            raise ValueError(f"window_length is larger than n_fft = {self.n_fft}")
        if self.hop_length > self.window_length:
            raise ValueError(
                f"hop_length is larger than window_length = {self.window_length}, which skips "
                "samples"
            )
        if self.min_hz >= self.max_hz:
            raise ValueError(f"min_hz is not below max_hz = {self.max_hz:g}")
        if self.max_hz - self.min_hz < self.sample_rate_hz / self.n_fft:
            raise ValueError("min_hz and max_hz have no bin of the spectrum between them")
        if self.max_hz > self.sample_rate_hz / 2:
            raise ValueError(f"max_hz is above the Nyquist frequency, {self.sample_rate_hz / 2:g}")
        if self.log_floor == 0 and self.log_offset == 0:
            raise ValueError("log_floor and log_offset are both 0: silence has no logarithm")
        if self.range_db and self.log != "decibels":
            raise ValueError('range_db has no effect with this log, only with "decibels"')


class Musicnn(Mel, frozen=True, kw_only=True, tag="musicnn"):
    """As Essentia's TensorflowInputMusiCNN, also for its Discogs-EffNet and MAEST."""

    sample_rate_hz: Rate = 16_000
    n_fft: Length = 512
    window_length: Length = 512
    hop_length: Length = 256
    window: Window = "symmetric hann"
    n_mels: Bands = 96
    max_hz: Hz = 8000.0
    log: Logarithm = "log10"
    log_scale: Positive = 10_000.0
    log_offset: Constant = 1.0


class Vggish(Mel, frozen=True, kw_only=True, tag="vggish"):
    """As in the AudioSet release of VGGish (Hershey et al. 2017)."""

    sample_rate_hz: Rate = 16_000
    n_fft: Length = 512
    window_length: Length = 400
    hop_length: Length = 160
    padding: Padding = "none"
    spectrum: SpectrumKind = "magnitude"
    n_mels: Bands = 64
    min_hz: Hz = 125.0
    max_hz: Hz = 7500.0
    mel_scale: MelScale = "htk"
    mel_norm: MelNorm = "none"
    mel_slopes: Slopes = "mel"
    log: Logarithm = "ln"
    log_offset: Constant = 0.01


class Yamnet(Vggish, frozen=True, kw_only=True, tag="yamnet"):
    """As in the AudioSet release of YAMNet: VGGish's with a smaller offset."""

    log_offset: Constant = 0.001


class Panns(Mel, frozen=True, kw_only=True, tag="panns"):
    """As PANNs' Cnn14 (Kong et al. 2020)."""

    sample_rate_hz: Rate = 32_000
    n_fft: Length = 1024
    window_length: Length = 1024
    hop_length: Length = 320
    padding: Padding = "reflect"
    n_mels: Bands = 64
    min_hz: Hz = 50.0
    max_hz: Hz = 14_000.0
    log: Logarithm = "decibels"
    log_floor: Constant = 1e-10


class Clap(Panns, frozen=True, kw_only=True, tag="clap"):
    """As LAION's CLAP with the audio encoder HTSAT, without fusion (Wu et al. 2023)."""

    sample_rate_hz: Rate = 48_000
    hop_length: Length = 480


class Openl3(Mel, frozen=True, kw_only=True, tag="openl3"):
    """As OpenL3's mel256 (Cramer et al. 2019); mel128 has ``n_mels = 128``.

    It is the front-end of OpenL3 0.4 by librosa, for files that do not contain one.
    """

    sample_rate_hz: Rate = 48_000
    n_fft: Length = 2048
    window_length: Length = 2048
    hop_length: Length = 242
    spectrum: SpectrumKind = "magnitude"
    n_mels: Bands = 256
    max_hz: Hz = 24_000.0
    log: Logarithm = "decibels"
    log_floor: Constant = 1e-10
    range_db: Annotated[float, Meta(ge=0, le=1000)] = 80.0


Frontend: TypeAlias = Musicnn | Vggish | Yamnet | Clap | Panns | Openl3 | Waveform
FRONTENDS = tuple(str(kind.__struct_config__.tag) for kind in Frontend.__args__)
