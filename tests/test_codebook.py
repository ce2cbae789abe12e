"""The codebook: scikit-learn's own clusters and weights, from training tracks only."""

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import noise
from numpy.typing import NDArray
from sample_tables import texts
from sklearn.base import clone
from sklearn.cluster import MiniBatchKMeans
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from genreclf.cli import cli
from genreclf.config.load import load_config
from genreclf.config.schema import Config
from genreclf.errors import ConfigError, TableError
from genreclf.evaluation import folds
from genreclf.evaluation.crossvalidation import choose_splits, cross_validate
from genreclf.evaluation.modelevaluation import evaluate_model
from genreclf.learning.codebook import Codebook, resolve_codebook
from genreclf.learning.model import Model
from genreclf.learning.training import fit_pipeline, tune
from genreclf.tables.frames import Frames
from genreclf.tables.inputs import FrameInputs, inputs
from genreclf.tables.reading import load_table
from genreclf.tables.table import FeatureTable

N_FRAMES, N_ROWS = 60, 3
# The statistics are one column, the frames have three rows.
OVERRIDES = [
    'features.select=["mix.mfcc", "mix.rms"]',
    "features.n_mfcc=3",
    'pooling.statistics=["mean"]',
    'pooling.keep_frames=["mix.mfcc"]',
    f"pooling.frames_per_track={N_FRAMES}",
]


def configured(*overrides: str) -> Config:
    learning = ["evaluation.folds=3", "classifier.name=lda", "codebook.words=8"]
    return load_config(overrides=[*OVERRIDES, *learning, *overrides])


def frames_of(n: int, seed: int = 0) -> NDArray[np.float64]:
    """Frames of n tracks, (n, d, t), each around three of nine centres."""
    random = np.random.default_rng(seed)
    centres = 3 * np.random.default_rng(9).standard_normal((9, N_ROWS))
    which = (random.integers(9, size=(n, 1)) + random.integers(3, size=(n, N_FRAMES))) % 9
    frames = centres[which] + 0.3 * random.standard_normal((n, N_FRAMES, N_ROWS))
    return frames.transpose(0, 2, 1)


def given(frames: NDArray[np.floating]) -> FrameInputs:
    """What the step takes: two statistics, and the frames of a feature."""
    return FrameInputs(np.zeros((len(frames), 2), np.float32), Frames({"mix.mfcc": frames}))


def histograms(codebook: Codebook, frames: NDArray[np.floating]) -> NDArray[np.float64]:
    return codebook.transform(given(frames))[:, 2:]


def in_rows(kept: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.concatenate([track.T for track in kept])


def test_it_can_be_cloned_like_any_estimator() -> None:
    codebook = Codebook(8, "tfidf", random_state=3).fit(given(frames_of(9)))
    copy = clone(codebook)
    assert copy.get_params() == {"words": 8, "weighting": "tfidf", "random_state": 3}
    with pytest.raises(NotFittedError):
        copy.transform(given(frames_of(9)))
    again = pickle.loads(pickle.dumps(copy.fit(given(frames_of(9)))))
    for other in (copy, again):
        np.testing.assert_array_equal(
            histograms(other, frames_of(9)), histograms(codebook, frames_of(9))
        )


def test_scikit_learn_counts_and_indexes_what_it_takes() -> None:
    frames = frames_of(9)
    for rows in (np.array([3, 1]), np.arange(9) > 5, slice(2, 4)):
        some = _safe_indexing(given(frames), rows)
        assert len(some) == _num_samples(some) == len(frames[rows])
        np.testing.assert_array_equal(some.frames["mix.mfcc"], frames[rows])


def oracle(train: NDArray[np.floating], unseen: NDArray[np.floating]) -> tuple[Any, Any]:
    """Count words of training tracks and others by scikit-learn's own clustering."""
    scale = StandardScaler().fit(in_rows(train))
    clusters = MiniBatchKMeans(8, n_init=3, random_state=5)
    clusters.fit(scale.transform(in_rows(train)))
    return tuple(
        np.array([np.bincount(words, minlength=8) for words in
                  clusters.predict(scale.transform(in_rows(kept))).reshape(-1, N_FRAMES)])
        for kept in (train, unseen)
    )  # fmt: skip


def test_histograms_are_those_of_mini_batch_k_means() -> None:
    train, unseen = frames_of(30), frames_of(7, seed=1)
    counts, unseen_counts = oracle(train, unseen)
    shares = Codebook(8, "none", random_state=5).fit(given(train))
    np.testing.assert_array_equal(histograms(shares, train), counts / N_FRAMES)
    np.testing.assert_array_equal(histograms(shares, unseen), unseen_counts / N_FRAMES)
    roots = histograms(Codebook(8, "sqrt", random_state=5).fit(given(train)), unseen)
    np.testing.assert_allclose(roots, np.sqrt(unseen_counts / N_FRAMES))
    np.testing.assert_allclose((roots**2).sum(axis=1), 1)


def test_weights_are_those_of_scikit_learns_tfidf() -> None:
    train, unseen = frames_of(30), frames_of(7, seed=1)
    counts, unseen_counts = oracle(train, unseen)
    assert len(set((counts > 0).sum(axis=0))) > 1
    codebook = Codebook(8, "tfidf", random_state=5).fit(given(train))
    theirs = TfidfTransformer().fit(counts)
    np.testing.assert_allclose(codebook.idf_["mix.mfcc"], theirs.idf_)
    expected = theirs.transform(unseen_counts).toarray()
    np.testing.assert_allclose(histograms(codebook, unseen), expected)


def test_the_order_of_frames_does_not_matter() -> None:
    kept = frames_of(5)
    codebook = Codebook(8).fit(given(kept))
    mixed = kept[:, :, np.random.default_rng(0).permutation(N_FRAMES)]
    np.testing.assert_array_equal(histograms(codebook, mixed), histograms(codebook, kept))


def test_many_tracks_are_learned_from_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genreclf.learning.codebook.MOST_FRAMES", 90)
    kept = frames_of(30)
    few = Codebook(8).fit(given(kept))
    evenly = Codebook(8).fit(given(kept[:, :, ::20]))  # 90 of 1,800: every 20th
    np.testing.assert_array_equal(few.words_["mix.mfcc"], evenly.words_["mix.mfcc"])


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, whole = frames_of(30), Codebook(8, "tfidf").fit(given(frames_of(30)))
    monkeypatch.setattr("genreclf.tables.frames.BATCH_TRACKS", 7)
    parts = Codebook(8, "tfidf").fit(given(kept))
    np.testing.assert_array_equal(histograms(parts, kept), histograms(whole, kept))


# --- in the pipeline ---------------------------------------------------------------------------

CALM = np.repeat([-1.0, 1.0], N_FRAMES // 2)
WILD = np.repeat([-np.sqrt(2), 0.0, 0.0, np.sqrt(2)], N_FRAMES // 4)


def song_table(n: int = 12, config: Config | None = None) -> FeatureTable:
    """Two genres whose tracks have the same mean and variance, but another distribution.

    The statistics are chance.
    """
    random = np.random.default_rng(0)
    curves = np.array([CALM, WILD])[np.arange(2 * n) % 2]
    curves = random.permuted(curves, axis=1)
    kept = np.repeat(curves[:, None], N_ROWS, axis=1)
    kept = kept + 0.05 * random.standard_normal(kept.shape)
    return FeatureTable(
        paths=texts([f"{i}.mp3" for i in range(2 * n)]),
        labels=texts(["calm", "wild"] * n),
        groups=texts([""] * 2 * n),
        names=["mix.mfcc.00.mean", "mix.mfcc.01.mean", "mix.mfcc.02.mean", "mix.rms.mean"],
        values=random.standard_normal((2 * n, 4)).astype(np.float32),
        config=(config or configured()).extraction,
        frames=Frames({"mix.mfcc": kept.astype(np.float16)}),
    )


def test_it_tells_what_mean_and_variance_cannot() -> None:
    assert (CALM.mean(), CALM.var()) == pytest.approx((WILD.mean(), WILD.var()))
    table = song_table()
    assert cross_validate(table, configured("codebook.words=off")).accuracy < 0.75
    for weighting in ("none", "sqrt", "tfidf"):
        chosen = configured(f"codebook.weighting={weighting}")
        assert cross_validate(table, chosen).accuracy == 1


def test_words_are_learned_from_training_tracks_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Garbage in one track's frames changes the words of every fold but the one that tests it."""
    fitted: list[Pipeline] = []

    def kept(*given: Any, **how: Any) -> Pipeline:
        fitted.append(fit_pipeline(*given, **how))
        return fitted[-1]

    monkeypatch.setattr(folds, "fit_pipeline", kept)
    table, config = song_table(), configured()
    table = table.take(table.canonical_order())
    cross_validate(table, config)
    assert table.frames is not None
    garbage = table.frames["mix.mfcc"].copy()
    garbage[7] = 1000 * np.random.default_rng(1).standard_normal(garbage[7].shape)
    cross_validate(replace(table, frames=Frames({"mix.mfcc": garbage})), config)
    clean, spoilt = fitted[:3], fitted[3:]
    for before, after, (_, test) in zip(
        clean, spoilt, choose_splits(table, config).folds, strict=True
    ):
        first, second = (pipeline["codebook"] for pipeline in (before, after))
        for name in ("words_", "mean_"):
            learned, again = getattr(first, name)["mix.mfcc"], getattr(second, name)["mix.mfcc"]
            assert np.array_equal(learned, again) == (7 in test)


def test_columns_have_telling_names() -> None:
    table, config = song_table(), configured("codebook.words=3")
    step = fit_pipeline(table, config)["codebook"]
    words = [f"codebook.mix.mfcc.{word}" for word in ("000", "001", "002")]
    assert list(step.get_feature_names_out(table.names)) == [*table.names, *words]
    columns = step.transform(inputs(table, config))
    np.testing.assert_array_equal(columns[:, :4], table.values)


def test_complete_frames_have_no_codebook_unless_it_is_asked_for() -> None:
    config = load_config(overrides=[*OVERRIDES[:-1], 'pooling.frames_per_track="all"'])
    table = replace(song_table(), config=config.extraction)
    assert resolve_codebook(config, table).codebook.n_words == 0
    asked = resolve_codebook(load_config(overrides=["codebook.words=8"]), table)
    assert asked.codebook.n_words == 8


def test_auto_is_on_where_there_are_frames() -> None:
    table, config = song_table(), configured("codebook.words=auto")
    assert resolve_codebook(config, table).codebook.words == 64
    assert resolve_codebook(config, replace(table, frames=None)) == config
    assert cross_validate(table, config).config.codebook.n_words == 64
    assert Model.fit(table, config).config.codebook.n_words == 64
    without = Model.fit(replace(table, frames=None), config)
    assert "codebook" not in without.pipeline.named_steps


def test_words_without_frames_are_refused() -> None:
    table = replace(song_table(), frames=None)
    for learn in (cross_validate, Model.fit):
        with pytest.raises(TableError, match=r"codebook.words = 8: the table has no frames.*--set"):
            learn(table, configured())
    model = Model.fit(song_table(), configured())
    with pytest.raises(TableError, match="no frames, which the model's codebook needs"):
        model.predict(table)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_frames_that_are_not_finite_are_refused(bad: float) -> None:
    table = song_table()
    assert table.frames is not None
    table.frames["mix.mfcc"][2, 1, 5] = bad
    with pytest.raises(TableError, match=r"frames of mix\.mfcc are not finite"):
        cross_validate(table, configured())


def test_components_are_counted_with_words() -> None:
    table = song_table()
    fit_pipeline(table, configured("pca=12"))  # four statistics, eight words
    with pytest.raises(ConfigError, match="24 tracks with 12 columns have at most 12"):
        fit_pipeline(table, configured("pca=13"))


def test_tuning_tunes_with_the_codebook() -> None:
    table, config = song_table(), configured("classifier.name=logistic")
    tuned = tune(table, config)
    assert tuned.codebook == config.codebook
    assert fit_pipeline(table, tuned).n_features_in_ == 4


# --- from audio to predictions -----------------------------------------------------------------


@pytest.fixture(scope="module")
def loudness_songs(tmp_path_factory: pytest.TempPathFactory, write_audio) -> Path:
    """Noise at two levels, and at three, whose mean and variance in dB are alike."""
    folder = tmp_path_factory.mktemp("levels")
    random = np.random.default_rng(0)
    for i in range(8):
        for genre, levels in (("two", 6 * CALM), ("three", 6 * WILD)):
            decibels = random.uniform(-1, 1) + random.uniform(0.85, 1.15) * levels
            gain = 10 ** (np.repeat(np.roll(decibels, random.integers(60)), 600) / 20)
            write_audio(f"{genre}/{i}.wav", gain * noise(3, 12000, 0.05, seed=i), 12000, folder)
    return folder


@pytest.fixture(scope="module")
def extracted(loudness_songs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    table = tmp_path_factory.mktemp("table") / "features.csv"
    settings = [*OVERRIDES, "excerpt.seconds=3", 'pooling.statistics=["mean", "var"]']
    # The level in dB, and nothing of the timbre.
    settings += ['features.select=["mix.mfcc"]', "features.n_mfcc=1", "separation=none"]
    options = [word for override in settings for word in ("--set", override)]
    run("extract", loudness_songs, "-o", table, "--jobs", 2, *options)
    return table


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def records(text: str) -> dict[str, dict[str, float]]:
    found = [json.loads(line) for line in text.splitlines()]
    return {record["path"]: record["probabilities"] for record in found}


LEARNING = ["--classifier", "lda", "--set", "codebook.words=8", "--set", "evaluation.folds=4"]


def test_levels_are_told_by_the_codebook_only(extracted: Path) -> None:
    table = load_table(extracted)
    assert cross_validate(table, configured("codebook.words=off")).accuracy < 0.8
    assert cross_validate(table, configured()).accuracy == 1


@pytest.mark.parametrize("name", ["m.joblib", "m.skops"])
def test_predictions_from_audio_and_from_the_table_are_the_same(
    loudness_songs: Path, extracted: Path, tmp_path: Path, name: str
) -> None:
    if name.endswith(".skops"):
        pytest.importorskip("skops", reason="skops is an extra")
    model = tmp_path / name
    run("train", extracted, "-o", model, "--no-evaluate", *LEARNING)
    options = ["--model", model, "--format", "jsonl"]
    from_audio = records(run("predict", loudness_songs, *options))
    from_table = records(run("predict", "--table", extracted, *options))
    assert len(from_audio) == 16
    assert from_audio.keys() == from_table.keys()
    for path, probabilities in from_audio.items():  # one track at a time rounds otherwise
        assert probabilities == pytest.approx(from_table[path], abs=1e-9)
    table = load_table(extracted)
    assert list(Model.load(model).predict(table)) == list(table.labels)
    assert evaluate_model(Model.load(model), table).accuracy == 1
    assert "8 words each of mix.mfcc (1 by 60)" in run("inspect", model)


def test_a_table_with_frames_of_another_configuration_is_refused(extracted: Path) -> None:
    table = load_table(extracted)
    model = Model.fit(table, configured())
    other = replace(table, config=configured("pooling.frames_per_track=61").extraction)
    with pytest.raises(TableError, match="another configuration"):
        model.predict(other)


def test_a_stored_model_holds_no_frames(extracted: Path, tmp_path: Path) -> None:
    table = load_table(extracted)
    model = Model.fit(table, configured())
    learned = [values for values in vars(model.pipeline["codebook"]).values() if values != 0]
    arrays = [array for found in learned if isinstance(found, dict) for array in found.values()]
    assert max(map(np.size, arrays)) <= 8 * N_ROWS
