"""Every number of the pipeline, as a frozen and validated ``Config`` read from TOML.

Units are part of the names (``sample_rate_hz``, ``seconds``). ``configs/default.toml`` gives the
reason for each value.
"""

import hashlib
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from genreclf.config.networks import Network
from genreclf.config.sections import Count, Positive, Section
from genreclf.config.views import KIND_OF_VIEW, OWN_ENGINE, EmbeddingView, SpectralView
from genreclf.learning.augmentation.settings import Augment, Gan
from genreclf.learning.classifiers import ClassifierConfig
from genreclf.learning.classifiers.svm import Svm

# Increased whenever the same configuration gives other numbers than before, so that old and new
# tables are never mixed.
FEATURES_VERSION = 2

Scaling = Literal["log", "standard"]
Weighting = Literal["none", "sqrt", "tfidf"]
LearnFrom = Literal["auto", "excerpts", "tracks"]


class ExtractionConfig(SpectralView, frozen=True, kw_only=True, tag=False):
    """All that decides the features of a file; every table carries it.

    Either one view, by the fields of ``SpectralView``, or several, whose features are side by side.
    """

    views: tuple[SpectralView | EmbeddingView, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        selected = {name for view in self.each_view for name in view.feature_names}
        for view in self.each_view:
            for key in ("covariance", "modulation"):
                if unselected := set(getattr(view.pooling, key)) - selected:
                    raise ValueError(
                        f"pooling.{key} names {min(unselected)}, which features.select does not"
                    )
        if not self.views:
            return
        for name in SpectralView.__struct_fields__:
            if getattr(self, name) != getattr(SpectralView(), name):
                raise ValueError(f"{name} is set beside views; set it in each view instead")
        names = tuple(name for view in self.views for name in view.feature_names)
        if twice := [name for i, name in enumerate(names) if name in names[:i]]:
            raise ValueError(f"views: features.select or outputs name {twice[0]} in two of them")

    @property
    def each_view(self) -> tuple[SpectralView | EmbeddingView, ...]:
        """The views, or this configuration as the only one."""
        return self.views or (self,)

    @property
    def spectral_views(self) -> tuple[SpectralView, ...]:
        """The views with features of the catalogue."""
        return tuple(view for view in self.each_view if isinstance(view, SpectralView))

    @property
    def networks(self) -> tuple[Network, ...]:
        """The pretrained networks whose embeddings are used, each once."""
        embedding_views = (view for view in self.each_view if isinstance(view, EmbeddingView))
        return tuple(dict.fromkeys(view.embedding for view in embedding_views))

    @property
    def n_excerpts(self) -> int:
        """How many excerpts a track has, at most, in the view with the most."""
        return max(view.excerpt.number for view in self.each_view)

    @property
    def extraction(self) -> "ExtractionConfig":
        """The part that decides the features, without the settings of learning."""
        return ExtractionConfig(
            **{name: getattr(self, name) for name in ExtractionConfig.__struct_fields__}
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain values, as in a TOML or JSON file.

        If there are views, the fields of a single view have no effect and are left out.
        """
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        for name in SpectralView.__struct_fields__ if self.views else ("views",):
            del plain[name]
        for view in plain.get("views", ()):
            del view[KIND_OF_VIEW]
        return plain

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that two configurations share only if the features agree."""
        plain = self.extraction.to_dict()
        for view, values in zip(self.each_view, plain.get("views", [plain]), strict=True):
            if isinstance(view, EmbeddingView):
                values["embedding"] = view.embedding.defining
            elif values["features"]["engine"] == OWN_ENGINE:
                del values["features"]["engine"]  # as in versions with a single engine
        canonical = msgspec.json.encode([FEATURES_VERSION, plain], order="sorted")
        return hashlib.sha256(canonical).hexdigest()[:16]


CLASSIFIERS: tuple[str, ...] = tuple(
    str(kind.__struct_config__.tag) for kind in ClassifierConfig.__args__
)
AUGMENT: tuple[str, ...] = get_args(Augment)


class Codebook(Section, frozen=True):
    """How stored frames become columns: as histograms of clusters (words)."""

    words: Annotated[int, Meta(ge=2, le=4096)] | Literal["auto", "off"] = "auto"
    weighting: Weighting = "sqrt"

    @property
    def n_words(self) -> int:
        """Number of words per feature; 0 if there are none or "auto" is not resolved."""
        return self.words if isinstance(self.words, int) else 0


class Evaluation(Section, frozen=True):
    """Settings of cross-validation."""

    folds: Annotated[int, Meta(ge=2, le=1000)] = 10
    bootstrap_samples: Annotated[int, Meta(ge=100, le=100_000)] = 2000


class Config(ExtractionConfig, frozen=True, kw_only=True):
    """The whole configuration: what the features are, and how a classifier learns from them."""

    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    scaling: Scaling = "log"
    scaling_limit: Positive | Literal["off"] = 4.0
    pca: Annotated[float, Meta(gt=0, lt=1)] | Count | Literal["auto", "off"] = "auto"
    learn_from: LearnFrom = "auto"
    codebook: Codebook = Codebook()
    augment: Augment = "none"
    gan: Gan = Gan()
    classifier: ClassifierConfig = Svm()
    evaluation: Evaluation = Evaluation()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.augment != "none" and self.classifier.takes_frames:
            raise ValueError(
                f"augment = {self.augment!r} adds synthetic samples of features, but "
                f"{self.classifier.name} learns from frames"
            )

    @property
    def takes_frames(self) -> bool:
        """Whether a pipeline takes frames: those of a codebook, or of a network."""
        return bool(self.codebook.n_words) or self.classifier.takes_frames

    def with_extraction(self, extraction: ExtractionConfig) -> "Config":
        """Return a copy that learns from features made with ``extraction``."""
        parts = {name: getattr(extraction, name) for name in ExtractionConfig.__struct_fields__}
        return msgspec.structs.replace(self, **parts)
