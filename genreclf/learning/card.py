"""Card: what a model is, as plain values that are read without loading its estimators."""

from dataclasses import dataclass, field, fields
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from genreclf.config.load import config_of_model
from genreclf.config.schema import Config
from genreclf.errors import ModelError, shortened
from genreclf.learning.curves import LearningCurves


@dataclass(frozen=True, eq=False, kw_only=True)
class Card:
    """What a model predicts, what it was trained on, and how accurate it is.

    Attributes
    ----------
    genres : list of str
        In the order of the columns of the probabilities.
    feature_names : list of str
        The columns that the model takes, in order.
    config : Config
        How the features are computed, and how the model was trained.
    from_audio : bool
        Whether the features were computed with ``config``, so that the model can predict from
        audio. False for a model of a table that genreclf did not make.
    counts : dict of str to int
        Training tracks of each genre.
    made : dict of str to int
        Number of synthetic samples of each scarce genre, for training only.
    versions : dict of str to str
        Of genreclf and the packages that it uses.
    evaluation : dict or None
        As ``Evaluation.to_dict`` returns it.
    threshold : float
        Confidence below which the model predicts ``unknown``.
    created : str
        Date and time, ISO 8601, UTC.
    curves : LearningCurves or None
        How a network was trained; None for other classifiers.
    """

    genres: list[str]
    feature_names: list[str]
    config: Config
    from_audio: bool
    counts: dict[str, int]
    versions: dict[str, str]
    evaluation: dict[str, Any] | None
    threshold: float
    created: str
    curves: LearningCurves | None = None
    made: dict[str, int] = field(default_factory=dict)

    def require_audio(self) -> None:
        """Raise if the model cannot predict from audio.

        Raises
        ------
        ModelError
            If the model was trained on a table that genreclf did not make.
        """
        if not self.from_audio:
            raise ModelError(
                "this model was trained on a table that genreclf did not make, so its features "
                "cannot be computed from audio; predict from such a table with --table"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return values that JSON can hold."""
        plain = {field.name: getattr(self, field.name) for field in fields(Card)}
        curves = msgspec.to_builtins(self.curves)
        return {**plain, "config": self.config.to_dict(), "curves": curves}

    @staticmethod
    def from_dict(plain: Any, source: str) -> "Card":
        """Check the plain values of a card, and return the card.

        Raises
        ------
        ModelError
            Names ``source`` and what is wrong.
        ConfigError
            If the configuration is not valid.
        """
        try:
            checked = msgspec.convert(plain, _PlainCard)
        except (msgspec.ValidationError, RecursionError, UnicodeEncodeError) as error:
            reason = shortened(error, 300)
            raise ModelError(f"{source}: not a genreclf model: {reason}") from None
        values = {field.name: getattr(checked, field.name) for field in fields(Card)}
        return Card(**{**values, "config": config_of_model(checked.config, source)})


class _PlainCard(msgspec.Struct):
    """What a file has to hold, with the configuration not checked yet."""

    genres: Annotated[list[str], Meta(min_length=2)]
    feature_names: Annotated[list[str], Meta(min_length=1)]
    config: dict[str, Any]
    from_audio: bool
    counts: dict[str, int]
    versions: dict[str, str]
    evaluation: dict[str, Any] | None
    threshold: Annotated[float, Meta(ge=0, le=1)]
    created: str
    curves: LearningCurves | None = None
    made: dict[str, int] = {}

    def __post_init__(self) -> None:
        for names in (self.genres, self.feature_names):
            if len(set(names)) < len(names):
                raise ValueError("a genre or a feature is named twice")
