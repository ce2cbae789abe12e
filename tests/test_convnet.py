"""The convolutional network on spectrograms, and the numpy that predicts with it."""

import copy
import json
import pickletools
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import run
from numpy.typing import NDArray
from sample_tables import MEL_SETTINGS, N_BANDS, N_FRAMES, song_table, spectrograms, texts
from scipy.ndimage import correlate
from scipy.special import log_softmax
from sklearn.base import clone

from genreclf.config.load import load_config
from genreclf.config.schema import Config
from genreclf.errors import ConfigError, GenreclfError, ModelError, TableError
from genreclf.evaluation.crossvalidation import cross_validate
from genreclf.learning.card import Card
from genreclf.learning.classifiers.convnet import Convnet
from genreclf.learning.convnet import SpectrogramNetwork, _validation_tracks, only_feature
from genreclf.learning.curves import LearningCurves
from genreclf.learning.model import Model
from genreclf.learning.modelfile import bundled_model
from genreclf.learning.networks.batches import Alteration, Spectrograms, crops, shuffled_batches
from genreclf.learning.networks.layers import POOLS, forward, pools_for
from genreclf.learning.networks.optimizers import Optimizer
from genreclf.learning.networks.watch import Epoch, Watch, watched
from genreclf.learning.pipelines import Task
from genreclf.learning.training import fit_model, training_seconds
from genreclf.tables.frames import Frames
from genreclf.tables.inputs import FrameInputs, inputs
from genreclf.tables.reading import load_table

SMALL = [
    "classifier.name=convnet", "classifier.channels=4", "classifier.epochs=6", "classifier.crop=1",
    "classifier.mixup=0", "classifier.optimizer.learning_rate=0.02", "evaluation.folds=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch", reason="needs PyTorch, the extra torch")


def configured(*overrides: str) -> Config:
    return load_config(overrides=[*MEL_SETTINGS, *SMALL, *overrides])


def given(frames: NDArray[np.floating]) -> FrameInputs:
    return FrameInputs(np.zeros((len(frames), 2), np.float32), Frames({"mix.mel": frames}))


def small_network(**changes: Any) -> SpectrogramNetwork:
    return SpectrogramNetwork(
        **{"channels": 4, "epochs": 6, "crop": 1.0, "mixup": 0.0, "patience": 99,
           "optimizer": {"learning_rate": 0.02}, **changes}
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(torch: Any) -> Model:
    return fit_model(song_table(), configured())


# --- layers in numpy ---------------------------------------------------------------------------


def test_pooling_leaves_one_value_of_a_published_spectrogram() -> None:
    assert pools_for(96, 1366) == list(POOLS)


@pytest.mark.parametrize("shape", [(96, 1366), (96, 683), (128, 2000), (20, 30), (1, 1), (5, 500)])
def test_pooling_leaves_one_value_of_any_spectrogram(shape: tuple[int, int]) -> None:
    height, width = shape
    for high, wide in pools_for(*shape):
        height, width = height // high, width // wide
    assert (height, width) == (1, 1)


@pytest.mark.parametrize("shape", [(24, 60), (13, 37), (3, 2)])
def test_blocks_are_those_of_the_paper_by_scipy(shape: tuple[int, int]) -> None:
    """Convolution, bias, ELU and then pooling, as published, each by its definition."""
    random = np.random.default_rng(0)
    kernels = [random.normal(0, 0.3, (3, 3, n_in, 3)) for n_in in (1, 3, 3, 3, 3)]
    biases = [random.standard_normal(3) for _ in kernels]
    spectrogram = random.standard_normal(shape)
    values, pools = spectrogram[:, :, None], pools_for(*shape)
    for kernel, bias, (high, wide) in zip(kernels, biases, pools, strict=True):
        maps = [
            sum(correlate(values[:, :, i], kernel[:, :, i, o], mode="constant")
                for i in range(values.shape[2]))
            for o in range(3)
        ]  # fmt: skip
        values = np.stack(maps, axis=2) + bias
        values = np.where(values > 0, values, np.exp(np.minimum(values, 0)) - 1)
        rows, columns = len(values) // high, values.shape[1] // wide
        values = values[: rows * high, : columns * wide]
        values = values.reshape(rows, high, columns, wide, 3).max(axis=(1, 3))
    singles = [[array.astype(np.float32) for array in arrays] for arrays in (kernels, biases)]
    ours = forward(spectrogram.astype(np.float32), *singles, pools)
    np.testing.assert_allclose(ours, values[0, 0], atol=1e-5)


def test_numpy_predicts_what_pytorch_does(torch: Any) -> None:
    from genreclf.learning.networks.convnet import Network

    random = np.random.default_rng(0)
    net = Network(8, 3, pools_for(96, 400), random)
    for norm in net.norms:
        for values in (norm.weight, norm.bias, norm.running_mean):
            values.data = torch.from_numpy(random.normal(0, 1, 8).astype(np.float32))
        norm.running_var.data = torch.from_numpy(random.uniform(0.2, 3, 8).astype(np.float32))
    given = random.standard_normal((2, 96, 400)).astype(np.float32)
    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(given)).numpy()
    weights = net.weights()
    kernels = [weights[f"kernel{i}"] for i in range(5)]
    biases = [weights[f"bias{i}"] for i in range(5)]
    for spectrogram, scores in zip(given, expected, strict=True):
        features = forward(spectrogram, kernels, biases, net.pools)
        ours = features @ weights["linear"] + weights["offset"]
        np.testing.assert_allclose(ours, scores, atol=1e-4, rtol=1e-4)


# --- batches -----------------------------------------------------------------------------------


def test_bands_are_standardised_by_training_tracks() -> None:
    frames, train = spectrograms(20), np.array([0, 3, 4, 11])
    read = Spectrograms.standardised(Frames({"m": frames}), "m", train).read(np.arange(20))
    assert read.dtype == np.float32
    of_train = frames[train].astype(np.float64)
    mean, spread = of_train.mean(axis=(0, 2)), of_train.std(axis=(0, 2))
    expected = (frames.astype(np.float64) - mean[:, None]) / spread[:, None]
    np.testing.assert_allclose(read, expected, atol=1e-4)


def test_a_band_that_never_varies_stays_finite() -> None:
    frames = spectrograms(4)
    frames[:, 3] = -80
    read = Spectrograms.standardised(Frames({"m": frames}), "m", np.arange(4)).read(np.arange(4))
    np.testing.assert_array_equal(read[:, 3], 0)


@pytest.mark.parametrize(("length", "n_crops"), [(100, 1), (50, 2), (45, 3), (10, 10)])
def test_crops_cover_the_excerpt(length: int, n_crops: int) -> None:
    found = list(crops(np.arange(100)[None], length))
    assert [part.shape for part in found] == [(1, length)] * n_crops
    assert set(np.concatenate(found, axis=1)[0]) == set(range(100))


def test_random_crops_are_parts_of_the_tracks() -> None:
    whole = np.arange(6 * 2 * 30, dtype=np.float32).reshape(6, 2, 30)
    targets = np.eye(6, dtype=np.float32)
    starts = set()
    for seed in range(20):
        altered, same = Alteration(12, 0, 0, 0).apply(whole, targets, np.random.default_rng(seed))
        assert same is targets
        for track, part in zip(whole, altered, strict=True):
            start = int(part[0, 0] - track[0, 0])
            np.testing.assert_array_equal(part, track[:, start : start + 12])
            starts.add(start)
    assert starts == set(range(19))


def test_mixup_mixes_tracks_as_their_targets() -> None:
    random = np.random.default_rng(1)
    tracks = random.standard_normal((5, 3, 8)).astype(np.float32)
    altered, targets = Alteration(8, 0.4, 0, 0).apply(tracks, np.eye(5, dtype=np.float32), random)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    assert ((targets > 0) & (targets < 1)).any()
    np.testing.assert_allclose(altered, np.tensordot(targets, tracks, 1), atol=1e-5)


def test_masks_are_as_wide_as_allowed() -> None:
    ones = np.ones((300, 10, 20), np.float32)
    altered, _ = Alteration(20, 0, 4, 7).apply(ones, ones[:, 0, :2], np.random.default_rng(0))
    widths = [((track == 0).all(axis=1).sum(), (track == 0).all(axis=0).sum()) for track in altered]
    for n_masked, widest in zip(zip(*widths, strict=True), (4, 7), strict=True):
        assert set(n_masked) == set(range(widest + 1))


@pytest.mark.parametrize(("n", "size"), [(2, 16), (3, 2), (17, 16), (100, 16)])
def test_no_batch_has_a_single_track(n: int, size: int) -> None:
    batches = shuffled_batches(n, size, np.random.default_rng(0))
    assert sorted(np.concatenate(batches)) == list(range(n))
    assert min(map(len, batches)) >= 2
    assert max(map(len, batches)) <= max(size, 3)


def test_validation_groups_are_whole_and_in_proportion() -> None:
    random = np.random.default_rng(0)
    units = random.integers(60, size=400)
    codes = units % 3
    held_out = _validation_tracks(codes, units, 0.2, seed=0)
    assert not set(units[held_out]) & set(units[~held_out])
    np.testing.assert_allclose(np.bincount(codes[held_out]) / np.bincount(codes), 0.2, atol=0.06)
    assert (_validation_tracks(codes, units, 0.2, seed=0) == held_out).all()
    assert not _validation_tracks(codes, units, 0.0, seed=0).any()


def test_a_genre_of_one_group_is_not_for_validation() -> None:
    codes = np.repeat([0, 1, 1, 1, 1], 5)
    units = np.repeat([0, 1, 2, 3, 4], 5)
    held_out = _validation_tracks(codes, units, 0.2, seed=0)
    assert held_out.sum() == 5
    assert (codes[held_out] == 1).all()
    assert not _validation_tracks(np.array([0, 1]), np.array([0, 1]), 0.5, seed=0).any()


# --- training ----------------------------------------------------------------------------------


def test_it_learns_eight_clips_by_heart(torch: Any) -> None:
    random = np.random.default_rng(0)
    frames, labels = random.normal(-40, 8, (8, N_BANDS, N_FRAMES)), texts(["a", "b"] * 4)
    net = small_network(channels=8, epochs=30, validation=0.0).fit(given(frames), labels)
    assert list(net.predict(given(frames))) == list(labels)
    curves = LearningCurves(**net.history_)
    assert curves.loss[-1] < 0.2 < curves.loss[0]
    assert not curves.is_validated
    assert curves.best_epoch == 30


def test_the_same_seed_gives_the_same_network(torch: Any) -> None:
    table, settings = song_table(12), {"crop": 0.5, "mixup": 0.2, "mask_bands": 3, "epochs": 2}
    first, second, other = (
        small_network(**settings, random_state=seed).fit(
            inputs(table, configured()), table.labels, groups=table.groups
        )
        for seed in (1, 1, 2)
    )
    for name, weights in first.weights_.items():
        np.testing.assert_array_equal(weights, second.weights_[name])
    assert not np.array_equal(first.weights_["kernel1"], other.weights_["kernel1"])
    assert clone(first).get_params() == first.get_params()


def test_the_best_epoch_is_that_of_the_validation_groups(trained: Model) -> None:
    table, net = song_table(), trained.pipeline["classify"]
    table = table.take(table.canonical_order())
    codes = np.searchsorted(net.classes_, table.labels)
    units = np.unique(table.groups, return_inverse=True)[1]
    held_out = _validation_tracks(codes, units, net.validation, net.random_state)
    assert 0 < held_out.sum() < 8
    scores = net.decision_function(inputs(table.take(held_out), configured()))
    # Both genres have as many training tracks, so that their weights are 1.
    loss = -log_softmax(scores, axis=1)[np.arange(len(scores)), codes[held_out]].mean()
    curves = trained.curves
    assert curves is not None
    best = curves.best_epoch - 1
    assert min(curves.validation_loss) == curves.validation_loss[best]
    assert curves.validation_loss[best] == pytest.approx(loss, abs=1e-4)
    accuracy = (scores.argmax(axis=1) == codes[held_out]).mean()
    assert curves.validation_accuracy[best] == pytest.approx(accuracy)


def test_frames_on_the_disk_are_read_a_batch_at_a_time(
    torch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song_table().save(tmp_path / "t.npz")
    table, read = load_table(tmp_path / "t.npz"), []
    original = Frames.__getitem__

    def counted(self: Frames, name: str) -> NDArray[np.float16]:
        read.append(self.n_tracks)
        return original(self, name)

    monkeypatch.setattr(Frames, "__getitem__", counted)
    monkeypatch.setattr("genreclf.tables.frames.BATCH_TRACKS", 7)
    config = configured("classifier.batch_size=5", "classifier.epochs=2")
    model = fit_model(table, config)
    read_to_train = list(read)
    monkeypatch.setattr(Frames, "__getitem__", original)
    assert max(read_to_train) == 5
    assert sum(read_to_train) == 2 * len(table)  # in each epoch once
    in_memory = fit_model(song_table(), config).predict_proba(table)
    np.testing.assert_array_equal(model.predict_proba(table), in_memory)


def test_classes_weigh_the_same(torch: Any) -> None:
    from genreclf.learning.networks.convnet import Examples, _Training

    codes, n = np.array([0, 0, 0, 1]), 4
    frames = Spectrograms.standardised(Frames({"m": spectrograms(n)}), "m", np.arange(n))
    settings = Convnet(channels=2, crop=1.0, mixup=0.0, epochs=1, batch_size=4, device="cpu")
    training = _Training(Examples(frames, codes, 2, np.arange(n), codes[:0]), settings, 0)
    scores = torch.tensor([[1.0, 2], [0, 3], [2, 2], [0, 1]])
    ours = training._loss(scores, torch.eye(2)[torch.from_numpy(codes)])
    weights = torch.tensor([n / 2 / 3, n / 2 / 1])
    theirs = torch.nn.functional.cross_entropy(scores, torch.from_numpy(codes), weight=weights)
    assert float(ours) == pytest.approx(float(theirs), rel=1e-6)


def test_training_ends_without_improvement(torch: Any) -> None:
    frames = np.random.default_rng(0).normal(-40, 8, (12, N_BANDS, N_FRAMES))  # of chance
    labels = texts(["a", "b"] * 6)
    net = small_network(epochs=40, patience=2, validation=0.3).fit(given(frames), labels)
    curves = LearningCurves(**net.history_)
    assert curves.stopped == "no improvement"
    assert len(curves.loss) == curves.best_epoch + 2 < 40


def stop_in_epoch_three(epoch: Epoch) -> None:
    if epoch.number == 3:
        raise KeyboardInterrupt


def test_an_interruption_keeps_the_best_epoch_if_it_may(torch: Any) -> None:
    table, config = song_table(12), configured()
    with watched(Watch(stop_in_epoch_three)), pytest.raises(KeyboardInterrupt):
        fit_model(table, config)
    with watched(Watch(stop_in_epoch_three, interruptible=True)):
        model = fit_model(table, config)
    assert model.curves is not None
    assert model.curves.was_interrupted
    assert len(model.curves.loss) == 3
    assert np.isfinite(model.predict_proba(table)).all()


def test_a_loss_that_is_no_number_is_told(torch: Any) -> None:
    config = configured("classifier.optimizer.name=sgd", "classifier.optimizer.learning_rate=1e12")
    with pytest.raises(ConfigError, match=r"classifier\.optimizer\.learning_rate = 1e\+12: the lo"):
        fit_model(song_table(12), config)


def test_memory_that_runs_out_is_told(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from genreclf.learning.networks import convnet

    def fail(*_: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 GB")

    monkeypatch.setattr(convnet.Network, "forward", fail)
    with pytest.raises(GenreclfError, match=r"lower classifier\.batch_size \(16\), classifier\.cr"):
        fit_model(song_table(12), configured())


def test_a_device_that_is_not_there_is_told(torch: Any) -> None:
    for device in {"cuda", "mps"} - {"cuda" if torch.cuda.is_available() else "mps"}:
        with pytest.raises(ConfigError, match=f"device = '{device}': PyTorch finds none here"):
            fit_model(song_table(12), configured(f"classifier.device={device}"))


def test_frames_are_needed_and_of_one_feature() -> None:
    table = song_table(12)
    for learn in (cross_validate, fit_model):
        with pytest.raises(TableError, match="has none; extract the music with --config convnet-i"):
            learn(replace(table, frames=None), configured())
    both = Frames({name: spectrograms(12) for name in ("mix.mel", "mix.cqt")})
    with pytest.raises(TableError, match=r"of one feature, and the table has mix\.mel, mix\.cqt"):
        only_feature(both)


# --- models ------------------------------------------------------------------------------------


def test_unseen_groups_are_classified_and_calibrated(torch: Any) -> None:
    evaluation = cross_validate(song_table(), configured())
    assert evaluation.accuracy == 1
    assert evaluation.held_out.probabilities.max() < 1


@pytest.mark.parametrize("name", ["m.joblib", "m.skops"])
def test_a_model_file_holds_no_torch_and_predicts_without_it(
    trained: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name.endswith(".skops"):
        pytest.importorskip("skops", reason="skops is an extra")
    trained.save(tmp_path / name)
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it is an error from now on
    again, unseen = Model.load(tmp_path / name), song_table(12, seed=5)
    probabilities = again.predict_proba(unseen)
    np.testing.assert_array_equal(probabilities, trained.predict_proba(unseen))
    assert list(again.predict(unseen)) == list(unseen.labels)
    assert again.curves == trained.curves
    [first, *_] = again.predict_table(unseen, explained=True)
    assert first.explanation == {}
    with pytest.raises(GenreclfError, match="convnet needs PyTorch, which is not installed"):
        fit_model(song_table(), configured())
    if name.endswith(".joblib"):
        content = (tmp_path / name).read_bytes()
        named = {str(value) for _, value, _ in pickletools.genops(content) if value is not None}
        assert not [text for text in named if text.startswith("torch")]


def test_the_batch_of_a_track_does_not_change_its_prediction(trained: Model) -> None:
    table = song_table(12, seed=5)
    together = trained.predict_proba(table)
    alone = [trained.predict_proba(table.take([row]))[0] for row in range(12)]
    np.testing.assert_array_equal(together, alone)


DAMAGES = {
    "kernel": lambda net: net.weights_.update(kernel2=np.zeros((3, 3, 4, 5), np.float32)),
    "huge": lambda net: net.weights_.update(kernel0=np.zeros((3, 3, 1, 10**5), np.float32)),
    "missing": lambda net: net.weights_.pop("linear"),
    "bands": lambda net: setattr(net, "mean_", net.mean_[:-1]),
    "crop": lambda net: setattr(net, "crop", 1e-9),
    "channels": lambda net: setattr(net, "channels", 10**9),
    "text": lambda net: setattr(net, "crop", "half"),
    "not a number": lambda net: net.weights_.update(offset=np.full(2, np.nan, np.float32)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_strangers_network_of_impossible_shape_is_one_line(
    trained: Model, tmp_path: Path, damage: str
) -> None:
    pytest.importorskip("skops", reason="skops is an extra")
    spoilt = copy.deepcopy(trained)
    DAMAGES[damage](spoilt.pipeline["classify"])
    spoilt.save(tmp_path / "m.skops")
    with pytest.raises(ModelError, match=r"m\.skops: ") as caught:
        Model.load(tmp_path / "m.skops")
    assert len(str(caught.value).splitlines()) == 1


def test_impossible_curves_of_a_card_are_told() -> None:
    plain = LearningCurves([1.0, 0.5], [1.0, 0.9], [0.2, 0.5], 2, "all epochs")
    assert "epoch 2: 50% of validation tracks correct, loss 0.90" in plain.summary()
    for changes in ({"best_epoch": 3}, {"validation_loss": [1.0]}, {"loss": "none"}):
        card = {"curves": {**{name: getattr(plain, name) for name in plain.__struct_fields__},
                           **changes}}  # fmt: skip
        with pytest.raises(ModelError, match=r"m\.joblib: not a genreclf model: "):
            Card.from_dict(card | EMPTY_CARD, "m.joblib")


EMPTY_CARD = {
    "genres": ["a", "b"], "feature_names": ["f"], "config": {}, "from_audio": False, "counts": {},
    "versions": {}, "evaluation": None, "threshold": 0.0, "created": "",
}  # fmt: skip


# --- commands ----------------------------------------------------------------------------------


def test_commands_train_draw_and_predict(
    torch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, model, report = (tmp_path / name for name in ("t.npz", "m.joblib", "r.html"))
    song_table().save(table)
    settings = [word for override in SMALL for word in ("--set", override)]
    done = run("train", table, "-o", model, "--html", report, "--device", "cpu", *settings)
    assert done.exit_code == 0, done.output
    assert "here are 24" in done.stderr
    assert "note: convnet will take at most about" in done.stderr
    epochs = [line for line in done.stderr.splitlines() if line.startswith("epoch ")]
    assert len(epochs) == 6  # of the final model only
    assert all("; validation: loss " in line and "correct" in line for line in epochs)
    assert "epoch 1 of 6" in epochs[0]
    assert "left" in epochs[0]
    html = report.read_text()
    assert html.count("<polyline") == 3
    assert "solid: training tracks; dashed: validation tracks" in html
    predicted = run("predict", "--table", table, "--model", model, "--explain", "--format", "csv")
    assert predicted.exit_code == 0
    assert "no explanations for convnet" in predicted.stderr
    assert "training 6 epochs (all epochs)" in " ".join(run("inspect", model).stdout.split())
    evaluated = run("evaluate", table, "--model", model, "--json", "-")
    assert json.loads(evaluated.stdout)["accuracy"] > 0.9


def test_an_interrupted_training_is_written_and_told(
    torch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(epoch: Epoch) -> str:
        stop_in_epoch_three(epoch)
        return ""

    monkeypatch.setattr("genreclf.cli.progress._epoch_line", interrupt)
    song_table(12).save(tmp_path / "t.npz")
    settings = [word for override in SMALL for word in ("--set", override)]
    model = tmp_path / "m.joblib"
    done = run("train", tmp_path / "t.npz", "-o", model, "--no-evaluate", *settings)
    assert done.exit_code == 130
    assert "genreclf: interrupted; the best is kept: 3 epochs (interrupted)" in done.stderr
    assert run("predict", "--table", tmp_path / "t.npz", "--model", model).exit_code == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals to one process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_real_interruption_keeps_the_best_epoch(
    number: signal.Signals, torch: Any, tmp_path: Path
) -> None:
    song_table().save(tmp_path / "t.npz")
    endless = ["--set", "classifier.epochs=10000", "--set", "classifier.patience=10000"]
    command = [
        sys.executable, "-m", "genreclf", "train", "t.npz", "-o", "m.joblib", "--no-evaluate",
        *[word for override in SMALL for word in ("--set", override)], *endless,
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch 5 of"):
                process.send_signal(number)
                break
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert "genreclf: interrupted; the best is kept: " in rest
    assert Model.load(tmp_path / "m.joblib").curves is not None


def test_hyperparameters_reach_the_estimator() -> None:
    config = configured("classifier.mask_bands=3", "classifier.threads=2", "seed=7")
    for calibrated in (True, False):
        task = Task(song_table(12), config, calibrated)
        found = config.classifier.pipeline(task)["classify"].get_params()
        assert (found.pop("calibrated"), found.pop("random_state")) == (calibrated, 7)
        optimizer = Optimizer(**found.pop("optimizer"))
        assert Convnet(**found, optimizer=optimizer) == config.classifier


def test_curves_are_drawn_from_the_card(trained: Model, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is an extra")
    trained.save(tmp_path / "m.joblib")
    assert run("plot", "training", tmp_path / "m.joblib", "-o", tmp_path / "c.svg").exit_code == 0
    assert "validation tracks" in (tmp_path / "c.svg").read_text()
    other = run("plot", "training", bundled_model(), "-o", tmp_path / "d.svg")
    assert other.exit_code == 1
    assert "ensemble has no learning curves; only convnet has" in other.stderr


def test_a_device_is_for_networks(tmp_path: Path) -> None:
    song_table(12).save(tmp_path / "t.npz")
    done = run("evaluate", tmp_path / "t.npz", "--device", "cpu")
    assert done.exit_code == 2
    assert "--device is for --classifier convnet; svm" in done.stderr


# --- what is said before the training ------------------------------------------------------------


def test_the_time_is_foretold_by_tracks_epochs_crops_and_channels() -> None:
    table = song_table()
    seconds = training_seconds(table, configured())
    twice = table.take(np.tile(np.arange(len(table)), 2))
    assert training_seconds(twice, configured()) == pytest.approx(2 * seconds)
    assert training_seconds(table, configured(), calibrated=False) == seconds
    assert training_seconds(table, configured("classifier.epochs=12")) == 2 * seconds
    assert training_seconds(table, configured("classifier.crop=0.25")) == seconds / 4
    assert training_seconds(table, configured("classifier.channels=8")) > 2 * seconds


def test_few_tracks_are_named_beside_those_of_the_literature() -> None:
    classifier = configured().classifier
    said = classifier.advice(230)
    assert said is not None
    assert all(part in said for part in ("100,000", "a million", "here are 230", "Pons et al."))
    assert classifier.advice(2_000_000) is None
    assert load_config().classifier.advice(3) is None
