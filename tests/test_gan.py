"""Adversarial networks: losses, minibatch discrimination, and what they generate."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers import run
from sample_tables import blobs

from genreclf.config.load import load_config
from genreclf.errors import ConfigError
from genreclf.learning.augmentation.gan import GAN_MEASURED, GanSampler
from genreclf.learning.augmentation.settings import Gan, GanOptimizer
from genreclf.learning.training import fit_pipeline

torch = pytest.importorskip("torch", reason="needs PyTorch, the extra torch")

from genreclf.learning.networks.adversarial import (  # noqa: E402
    discriminator_loss,
    generator_loss,
    train_gan,
)
from genreclf.learning.networks.minibatch import MinibatchDiscrimination  # noqa: E402

ROOT = Path(__file__).parent.parent
SMALL = Gan(
    noise_dimensions=2, generator_layers=(4,), discriminator_layers=(6,), batch_size=8, steps=20
)


def test_losses_are_those_of_the_minimax_game() -> None:
    """Goodfellow et al. 2014, equation 1, and the remark below it."""
    random = np.random.default_rng(0)
    logits = 2 * random.standard_normal((2, 50))
    of_data, of_generated = 1 / (1 + np.exp(-logits))
    data, generated = torch.as_tensor(logits)
    np.testing.assert_allclose(
        discriminator_loss(data, generated),
        -(np.log(of_data).mean() + np.log(1 - of_generated).mean()),
        rtol=1e-12,
    )
    for form, expected in (
        ("saturating", np.log(1 - of_generated)),
        ("non-saturating", -np.log(of_generated)),
    ):
        found = generator_loss(generated, form)
        np.testing.assert_allclose(found, expected.mean(), rtol=1e-12)


def test_a_sure_discriminator_gives_the_non_saturating_form_a_gradient_only() -> None:
    gradients = []
    for form in ("saturating", "non-saturating"):
        logits = torch.full((4,), -30.0, dtype=torch.float64, requires_grad=True)
        generator_loss(logits, form).backward()
        gradients.append(float(logits.grad.abs().sum()))
    assert gradients[0] < 1e-12
    assert gradients[1] == pytest.approx(1)


def test_a_discriminator_that_cannot_tell_has_the_loss_of_the_fixed_point() -> None:
    assert float(discriminator_loss(torch.zeros(5), torch.zeros(5))) == pytest.approx(np.log(4))


def minibatch() -> MinibatchDiscrimination:
    torch.manual_seed(0)
    return MinibatchDiscrimination(4, 3, 2).double()


def test_minibatch_discrimination_is_as_published() -> None:
    """Salimans et al. 2016, section 3.2, with the mean over the batch for the sum."""
    layer = minibatch()
    features = torch.randn(5, 4, dtype=torch.float64)
    found = layer(features).detach().numpy()
    np.testing.assert_array_equal(found[..., :4], features)
    tensor = layer.tensor.detach().numpy().reshape(4, 3, 2)
    for i in range(5):
        for kernel in range(3):
            rows = features.numpy() @ tensor[:, kernel]
            similar = [np.exp(-np.abs(rows[i] - rows[j]).sum()) for j in range(5)]
            assert found[i, 4 + kernel] == pytest.approx(np.mean(similar))


def test_gradients_of_minibatch_discrimination() -> None:
    layer = minibatch()
    features = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    tensor = layer.tensor.detach().requires_grad_()

    def of_both(features: "torch.Tensor", tensor: "torch.Tensor") -> "torch.Tensor":
        return torch.func.functional_call(layer, {"tensor": tensor}, features)

    assert torch.autograd.gradcheck(of_both, (features, tensor))


@pytest.mark.parametrize("name", ["sgd", "adagrad", "rmsprop", "rmsprop-nesterov", "adam"])
def test_training_repeats_with_any_optimiser_and_draws_from_its_own_seed(name: str) -> None:
    settings = Gan(**{**vars_of(SMALL), "optimizer": GanOptimizer(name)})
    values, codes = blobs(10, 2, 3).values.astype(np.float64), np.tile([0, 1], 10)
    torch.manual_seed(7)
    expected = torch.rand(1)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(7)
        networks = train_gan(values, codes, settings, seed)
        drawn.append(networks.sample(np.array([0, 1, 1]), 5))
        assert torch.rand(1) == expected  # the caller's draws are not disturbed
    assert drawn[0].shape == (3, 3)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).all()


def vars_of(settings: Gan) -> dict[str, object]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__}


def test_the_game_is_watched_step_by_step() -> None:
    steps = []
    values = np.random.default_rng(0).standard_normal((9, 1))
    train_gan(
        values, np.zeros(9, dtype=int), SMALL, 0, on_step=lambda step, networks: steps.append(step)
    )
    assert steps == list(range(21))


def test_a_loss_that_is_no_number_stops_with_a_sentence() -> None:
    settings = Gan(**{**vars_of(SMALL), "optimizer": GanOptimizer("sgd", 1e12), "steps": 200})
    values = np.random.default_rng(0).standard_normal((9, 3))
    with pytest.raises(ConfigError, match=r"^gan\.optimizer\.learning_rate = 1e\+12: .* lower it$"):
        train_gan(values, np.zeros(9, dtype=int), settings, 0)


def test_samples_are_of_their_genre_and_of_the_space_that_they_come_from() -> None:
    table = blobs(40, 3, 4, spread=3)
    kept = np.flatnonzero((table.labels != "genre2") | (np.arange(120) < 24))
    table = table.take(kept)
    values = table.values * [1, 100, 1, 0.01] + [0, 0, 50, 0]
    X, y = GanSampler(0, Gan(steps=300)).fit_resample(values, table.labels)
    made = X[len(table) :]
    assert set(y[len(table) :]) == {"genre2"}
    assert len(made) == 32
    means = np.array([values[table.labels == genre].mean(axis=0) for genre in table.genres])
    distances = np.linalg.norm((made[:, None] - means) / values.std(axis=0), axis=2)
    assert (distances.argmin(axis=1) == 2).mean() > 0.9
    assert (made.std(axis=0) > 0).all()


def test_the_command_says_what_the_gan_was_measured_to_be_worth(tmp_path: Path) -> None:
    blobs(8, 2, 3).save(tmp_path / "t.csv")
    quick = ["--classifier", "lda", "--set", "evaluation.folds=2"]
    done = run("evaluate", tmp_path / "t.csv", "--augment", "gan", *quick)
    assert done.exit_code == 0, done.output
    assert f"note: {GAN_MEASURED}" in done.stderr
    figures = re.findall(r"[+-]\d+\.\d ± \d+\.\d", GAN_MEASURED)
    assert len(figures) == 4
    for page in ("benchmarks/accuracy.md", "docs/how-to/scarce-genres.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert all(figure in text for figure in figures)


def test_a_pipeline_learns_from_what_the_gan_makes() -> None:
    table = blobs(20, 3, 4).take(np.flatnonzero(np.arange(60) % 3 + np.arange(60) // 30 > 0))
    config = load_config(overrides=["augment=gan", "gan.steps=5", "classifier.name=lda"])
    pipelines = [fit_pipeline(table, config, calibrated=False) for _ in range(2)]
    np.testing.assert_array_equal(*(each.predict_proba(table.values) for each in pipelines))
