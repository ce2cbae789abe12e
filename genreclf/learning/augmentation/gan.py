"""Synthetic samples from a generative adversarial network."""

from sklearn.preprocessing import StandardScaler

from genreclf.learning.augmentation.sampler import Codes, Doubles, Sampler
from genreclf.learning.augmentation.settings import Gan
from genreclf.learning.networks.runtime import require_torch


class GanSampler(Sampler):
    """Train a network that is conditional on the class with all samples, and draw from it.

    Parameters
    ----------
    random_state : int
    settings : Gan, optional
    """

    def __init__(self, random_state: int = 0, settings: Gan | None = None) -> None:
        super().__init__(random_state)
        self.settings = settings

    def _make(self, values: Doubles, codes: Codes, made: Codes) -> Doubles:
        require_torch("augment = 'gan'")
        from genreclf.learning.networks.adversarial import train_gan

        scaler = StandardScaler().fit(values)
        settings = self.settings or Gan()
        networks = train_gan(scaler.transform(values), codes, settings, self.random_state)
        return scaler.inverse_transform(networks.sample(made, self.random_state)[0])
