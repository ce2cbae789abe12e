"""Card: what a model is, as plain values that can be read without running anything."""

from dataclasses import dataclass, fields
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from genreclf.config.load import config_of_model
from genreclf.config.schema import Config
from genreclf.errors import ModelError, shortened


@dataclass(frozen=True, eq=False, kw_only=True)
class Card:
    """What a model tells apart, what it was made from and how good it is.

    Attributes
    ----------
    genres : list of str
        In the order of the probabilities' columns.
    feature_names : list of str
        The columns that the model takes, in order.
    config : Config
        What the features were made with and how they were learned from.
    from_audio : bool
        Whether ``config`` made the features, so that the model can predict from audio; False
        for a model of a table from elsewhere.
    counts : dict of str to int
        Training tracks a genre.
    versions : dict of str to str
    evaluation : dict or None
        As ``Evaluation.to_dict`` gives it.
    threshold : float
        Confidence below which the answer is ``unknown``.
    created : str
        Date and time, ISO 8601, UTC.
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

    def require_audio(self) -> None:
        """Refuse to predict from audio with features that nobody knows how to make.

        Raises
        ------
        ModelError
            If the model was trained on a table from elsewhere.
        """
        if not self.from_audio:
            raise ModelError(
                "this model was trained on a table from elsewhere, so that nobody knows how to "
                "make its features from audio; predict from such a table with --table"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, fit for JSON."""
        plain = {field.name: getattr(self, field.name) for field in fields(Card)}
        return {**plain, "config": self.config.to_dict()}

    @staticmethod
    def from_dict(plain: Any, source: str) -> "Card":
        """Check and take what ``to_dict`` gave.

        Raises
        ------
        ModelError
            Names ``source`` and what is wrong.
        ConfigError
            If the configuration is none.
        """
        try:
            checked = msgspec.convert(plain, _PlainCard)
        except (msgspec.ValidationError, RecursionError, UnicodeEncodeError) as error:
            reason = shortened(error, 300)
            raise ModelError(f"{source}: not a genreclf model: {reason}") from None
        values = {field.name: getattr(checked, field.name) for field in fields(Card)}
        return Card(**{**values, "config": config_of_model(checked.config, source)})


class _PlainCard(msgspec.Struct):
    """The same before the configuration is made of it: what a file has to hold."""

    genres: Annotated[list[str], Meta(min_length=2)]
    feature_names: Annotated[list[str], Meta(min_length=1)]
    config: dict[str, Any]
    from_audio: bool
    counts: dict[str, int]
    versions: dict[str, str]
    evaluation: dict[str, Any] | None
    threshold: Annotated[float, Meta(ge=0, le=1)]
    created: str

    def __post_init__(self) -> None:
        for names in (self.genres, self.feature_names):
            if len(set(names)) < len(names):
                raise ValueError("a genre or a feature is named twice")
