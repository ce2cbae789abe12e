"""A network on spectrograms as a scikit-learn classifier, which predicts without PyTorch."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from genreclf.errors import TableError
from genreclf.learning.calibration import best_temperature
from genreclf.learning.classifiers.convnet import Convnet
from genreclf.learning.networks.batches import Spectrograms, crop_length, crops
from genreclf.learning.networks.layers import POOLS, forward, pools_for
from genreclf.learning.networks.optimizers import Optimizer
from genreclf.learning.networks.runtime import require_torch
from genreclf.learning.splits import own_groups
from genreclf.tables.frames import Frames
from genreclf.tables.inputs import FrameInputs

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Indices = NDArray[np.intp]
Texts = NDArray[np.object_]

SHUFFLES_TRIED = 100
MOST_CHANNELS, SHORTEST_CROP = 512, 0.1  # of a model, which may come from anyone


class SpectrogramNetwork(ClassifierMixin, BaseEstimator):
    """Convolutional network of Choi, Fazekas, Sandler & Cho 2017 (arXiv 1703.09179).

    It takes the frames of tracks, of one feature, and learns from random crops. A prediction is
    that of the mean scores of as few crops as cover the excerpt. The validation groups
    decide which epoch is best; their scores also give the temperature of the probabilities (Guo et
    al. 2017), because training again in each of several folds would take too long. They have
    few tracks, and the epoch is the best for these, so confidence is a little too high.

    Parameters
    ----------
    channels, crop, mixup, mask_bands, mask_frames, epochs, patience, validation, batch_size,
    device, threads
        See ``Convnet``.
    optimizer : dict, optional
        The values of ``Optimizer``.
    calibrated : bool
        Learn a temperature.
    random_state : int

    Attributes
    ----------
    classes_ : (n_classes,) array
    mean_, spread_ : (d,) float32
        Of each band, from the training tracks.
    weights_ : dict of str to array
        See ``networks.convnet.Network.weights``.
    temperature_ : float
    history_ : dict
        The values of ``LearningCurves``.
    """

    def __init__(
        self,
        channels: int = 32,
        crop: float = 0.5,
        mixup: float = 0.2,
        mask_bands: int = 0,
        mask_frames: int = 0,
        epochs: int = 60,
        patience: int = 20,
        validation: float = 0.15,
        batch_size: int = 16,
        device: str = "auto",
        threads: int = 1,
        optimizer: Mapping[str, Any] | None = None,
        calibrated: bool = True,
        random_state: int = 0,
    ) -> None:
        self.channels = channels
        self.crop = crop
        self.mixup = mixup
        self.mask_bands = mask_bands
        self.mask_frames = mask_frames
        self.epochs = epochs
        self.patience = patience
        self.validation = validation
        self.batch_size = batch_size
        self.device = device
        self.threads = threads
        self.optimizer = optimizer
        self.calibrated = calibrated
        self.random_state = random_state

    def fit(
        self, X: FrameInputs, y: ArrayLike, groups: Texts | None = None
    ) -> "SpectrogramNetwork":
        """Train the network.

        Parameters
        ----------
        X : FrameInputs
            With frames of one feature.
        y : (n_tracks,) array
        groups : (n_tracks,) array of str, optional
            Whole groups are set aside for validation.

        Raises
        ------
        TableError
            If there are frames of several features.
        GenreclfError
            If PyTorch is not installed, memory runs out, or the loss is not finite.
        """
        require_torch("--classifier convnet")
        from genreclf.learning.networks.convnet import Examples, train

        labels = np.asarray(y)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        self.n_features_in_ = X.shape[1]
        units = np.unique(own_groups(_groups(groups, len(codes))), return_inverse=True)[1]
        held_out = _validation_tracks(codes, units, self.validation, self.random_state)
        train_rows, validation_rows = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        spectrograms = Spectrograms.standardised(X.frames, only_feature(X.frames), train_rows)
        self.mean_, self.spread_ = spectrograms.mean, spectrograms.spread
        examples = Examples(spectrograms, codes, len(self.classes_), train_rows, validation_rows)
        trained = train(examples, self._settings(), self.random_state)
        self.weights_ = trained.weights
        self.history_ = msgspec.to_builtins(trained.curves)
        self.temperature_ = 1.0
        if self.calibrated and len(validation_rows):
            scores, n_units = trained.scores.astype(np.float64), len(set(units[validation_rows]))
            self.temperature_ = best_temperature(scores, codes[validation_rows], n_units)
        return self

    def _settings(self) -> Convnet:
        names = set(Convnet.__struct_fields__) - {"optimizer"}
        optimizer = msgspec.convert(dict(self.optimizer or {}), Optimizer)
        return Convnet(**{name: getattr(self, name) for name in names}, optimizer=optimizer)

    def predict(self, X: FrameInputs) -> NDArray[Any]:
        """Return the most probable class of each track."""
        most_probable = self.predict_log_proba(X).argmax(axis=1)
        return cast(NDArray[Any], self.classes_[most_probable])

    def predict_proba(self, X: FrameInputs) -> Doubles:
        """Return calibrated probabilities, (n_tracks, n_classes)."""
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: FrameInputs) -> Doubles:
        """Return the logarithms of the probabilities, (n_tracks, n_classes)."""
        return log_softmax(self.decision_function(X) / self.temperature_, axis=1)

    def decision_function(self, X: FrameInputs) -> Doubles:
        """Return the scores of the network, (n_tracks, n_classes).

        Raises
        ------
        ValueError
            If the weights do not fit each other or the frames, in a model that is damaged.
        """
        check_is_fitted(self)
        feature = only_feature(X.frames)
        self._check_shapes(X.frames.shapes[feature])
        spectrograms = Spectrograms(X.frames, feature, self.mean_, self.spread_)
        scores = [self._scores(track) for batch in spectrograms.batches() for track in batch]
        return np.array(scores, dtype=np.float64).reshape(-1, len(self.classes_))

    def _scores(self, spectrogram: Floats) -> Floats:
        """Return the mean scores of the crops of a track, (n_classes,)."""
        length = crop_length(spectrogram.shape[1], self.crop)
        pools = pools_for(len(spectrogram), length)
        kernels = [self.weights_[f"kernel{i}"] for i in range(len(POOLS))]
        biases = [self.weights_[f"bias{i}"] for i in range(len(POOLS))]
        features = [forward(part, kernels, biases, pools) for part in crops(spectrogram, length)]
        return np.mean(features, axis=0) @ self.weights_["linear"] + self.weights_["offset"]

    def _check_shapes(self, shape: tuple[int, int]) -> None:
        """Refuse weights by which a prediction could fill the memory, or give nonsense."""
        n, n_classes = self.channels, len(self.classes_)
        expected = {"linear": (n, n_classes), "offset": (n_classes,)}
        for i in range(len(POOLS)):
            expected |= {f"kernel{i}": (3, 3, n if i else 1, n), f"bias{i}": (n,)}
        found = {name: np.shape(values) for name, values in self.weights_.items()}
        bands = {np.shape(self.mean_), np.shape(self.spread_)}
        if not (1 <= n <= MOST_CHANNELS and SHORTEST_CROP <= self.crop <= 1):
            raise ValueError("the network has impossible hyperparameters")
        if found != expected or bands != {shape[:1]}:
            raise ValueError("the weights of the network have wrong shapes")


def only_feature(frames: Frames) -> str:
    """Return the name of the feature whose frames are kept.

    Raises
    ------
    TableError
        If there are several.
    """
    if len(frames) > 1:
        raise TableError(
            f"convnet takes the frames of one feature, and the table has {', '.join(frames)}; "
            "extract it again with one of them in pooling.keep_frames"
        )
    return next(iter(frames))


def _groups(groups: Texts | None, n: int) -> Texts:
    return np.full(n, "", dtype=object) if groups is None else groups


def _validation_tracks(
    codes: Indices, units: Indices, share: float, seed: int
) -> NDArray[np.bool_]:
    """Choose a share of the groups whose genres are balanced, and leave every genre some others.

    Parameters
    ----------
    codes, units : (n_tracks,) arrays of int
        Numbers of genres and of groups.
    share : float
        Of the tracks. If no choice leaves every genre some tracks, nothing is set aside.
    seed : int

    Returns
    -------
    (n_tracks,) bool
    """
    random, counts = np.random.default_rng(seed), np.bincount(codes)
    n_units = len(np.unique(units))
    n_held_out = max(1, round(share * n_units)) if share else 0
    best, least = np.zeros(len(codes), dtype=bool), np.inf
    for _ in range(SHUFFLES_TRIED if n_held_out else 0):
        chosen = np.isin(units, random.permutation(n_units)[:n_held_out])
        taken = np.bincount(codes[chosen], minlength=len(counts))
        imbalance = np.abs(taken - share * counts).sum()
        if (taken < counts).all() and imbalance < least:
            best, least = chosen, imbalance
    return best
