"""Tracks with several excerpts, which are stored, and learned from one by one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from conftest import music, noise
from helpers import run
from sample_tables import blobs
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from genreclf.config.load import load_config
from genreclf.config.schema import Config
from genreclf.errors import TableError
from genreclf.evaluation.comparison import compare
from genreclf.evaluation.crossvalidation import cross_validate
from genreclf.evaluation.importance import ImportanceMeter
from genreclf.evaluation.modelevaluation import evaluate_model
from genreclf.evaluation.variants import Variant
from genreclf.extraction.chain import extract_one, measure
from genreclf.extraction.tracks import Failure, extract
from genreclf.extraction.windows import measure_windows, with_length
from genreclf.features.measured import pack, unpack
from genreclf.learning.calibration import TemperatureScaled
from genreclf.learning.excerpts import ExcerptPipeline
from genreclf.learning.model import Model
from genreclf.learning.prediction import Prediction, predict_windows
from genreclf.learning.resolution import resolve
from genreclf.learning.suggestion import suggest
from genreclf.learning.timeline import short_window_note
from genreclf.learning.training import fit_pipeline
from genreclf.library.sources import Track
from genreclf.tables.columns import Columns
from genreclf.tables.kept import NO_EXCERPTS, frames_path
from genreclf.tables.reading import load_table
from genreclf.tables.table import FeatureTable

Writer = Callable[..., Path]
RATE = 8000
SETTINGS = [
    "excerpt.strategy=multi",
    "excerpt.seconds=1",
    "separation=none",
    'features.select=["mix.mfcc", "mix.tempo"]',
    "classifier.name=lda",
]
MULTI = load_config(overrides=SETTINGS)
SINGLE = load_config(overrides=SETTINGS[1:])


def of_excerpts(n_excerpts: int = 3, spread: float = 1.0, **settings: int) -> FeatureTable:
    """Clouds of tracks, whose excerpts are around them; ``values`` are their means."""
    table = blobs(spread=spread, **settings)
    shape = (len(table), n_excerpts, len(table.names))
    around = np.random.default_rng(1).standard_normal(shape)
    excerpts = (table.values[:, None] + around).astype(np.float32)
    return replace(table, values=excerpts.mean(axis=1), excerpts=excerpts)


# --- measured --------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "parts"), [(9, [0, 1, 2]), (2.5, [0, 0, 1]), (1.5, [0] * 3)])
def test_each_excerpt_has_the_statistics_of_a_file_of_its_own(
    write_audio: Writer, seconds: float, parts: list[int]
) -> None:
    samples = music(seconds, RATE)
    n = max(parts) + 1
    starts = [round(((i + 0.5) * seconds / n - 0.5) * RATE) for i in range(n)]
    files = [write_audio(f"{i}.wav", samples[s : s + RATE], RATE) for i, s in enumerate(starts)]
    expected = np.array([extract_one(files[part], SINGLE) for part in parts])
    measured = measure(write_audio("all.wav", samples, RATE), MULTI)
    assert measured.excerpts is not None
    np.testing.assert_allclose(measured.excerpts, expected, rtol=1e-3, atol=1e-3)
    again = unpack(pack(measured, MULTI), MULTI)
    assert again is not None
    assert again.excerpts is not None
    assert again.excerpts.tobytes() == measured.excerpts.tobytes()
    assert unpack(pack(measured, MULTI)[: -4 * measured.excerpts.size], MULTI) is None


def test_a_view_of_one_excerpt_is_beside_each_of_the_others(
    write_audio: Writer, tmp_path: Path
) -> None:
    file = tmp_path / "views.toml"
    file.write_text(
        '[[views]]\nexcerpt = {strategy = "multi", seconds = 1, excerpts = 2}\n'
        'features.select = ["mix.rms"]\naudio.rms_dbfs = "as recorded"\n'
        '[[views]]\nexcerpt.seconds = 2\nfeatures.select = ["mix.centroid"]\n'
    )
    config = load_config(file)
    path = write_audio("a.wav", np.concatenate([noise(3, RATE), music(3, RATE)]), RATE)
    measured = measure(path, config)
    assert measured.excerpts is not None
    first, second = measured.excerpts
    assert (first[:3] != second[:3]).all()
    np.testing.assert_array_equal(first[3:], second[3:])
    np.testing.assert_array_equal(first[3:], measured.statistics[3:])


@pytest.fixture(scope="module")
def table(genre_folder: Path) -> FeatureTable:
    return extract(genre_folder, MULTI)


@pytest.fixture(scope="module")
def model(table: FeatureTable) -> Model:
    return Model.fit(table, MULTI)


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_excerpts_come_back_from_the_disk(table: FeatureTable, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"features{suffix}"
    table.save(path)
    read = load_table(path)
    assert table.excerpts is not None
    assert isinstance(read.excerpts, np.memmap)
    np.testing.assert_array_equal(read.excerpts, table.excerpts)
    names = table.names[5:2:-1]
    part = read.with_columns(names)
    np.testing.assert_array_equal(part.excerpts, table.excerpts[:, :, 5:2:-1])
    part.save(path)
    some = load_table(path, Columns(features=(names[1],)))
    assert some.names == [names[1]]
    np.testing.assert_array_equal(some.excerpts, table.excerpts[:, :, 4:5])


def test_a_table_without_its_folder_learns_from_tracks(
    table: FeatureTable, tmp_path: Path, genre_folder: Path
) -> None:
    path = tmp_path / "features.csv"
    replace(table, excerpts=None).save(path)
    assert not frames_path(path).exists()
    old = load_table(path)
    assert NO_EXCERPTS in old.notes
    pooled = Model.fit(old, MULTI)
    assert not isinstance(pooled.pipeline, ExcerptPipeline)
    file = genre_folder / "noisy" / "1.mp3"
    [found] = pooled.predict_files([file])
    assert isinstance(found, Prediction)
    [expected] = pooled.pipeline.predict_proba(extract_one(file, MULTI)[None])
    assert list(found.probabilities.values()) == pytest.approx(sorted(expected)[::-1])


def test_a_model_of_excerpts_needs_them(model: Model, table: FeatureTable) -> None:
    without = replace(table, excerpts=None)
    with pytest.raises(TableError, match="no statistics of single excerpts, which the model"):
        model.predict(without)
    damaged = np.array(table.excerpts)
    damaged[1, 2, 3] = np.nan
    with pytest.raises(TableError, match="single excerpts are not finite: they are damaged"):
        model.predict(replace(table, excerpts=damaged))


def test_excerpts_that_are_damaged_are_an_error_of_one_line(
    table: FeatureTable, tmp_path: Path
) -> None:
    path = tmp_path / "features.csv"
    for damaged, reason in {
        np.zeros((2, 2)).tobytes(): "is damaged",
        b"": "is damaged",
    }.items():
        table.save(path)
        (frames_path(path) / "excerpts.npy").write_bytes(damaged)
        with pytest.raises(TableError, match=reason):
            load_table(path)
    table.save(path)
    np.save(frames_path(path) / "excerpts.npy", np.zeros((3, 3, 61), np.float64))
    with pytest.raises(TableError, match=r"\(3, 3, 61\) float64, not \(12, 3, 61\) float32"):
        load_table(path)
    table.take(np.arange(12)[::-1]).save(path.with_name("other.csv"))
    (frames_path(path) / "frames.json").write_bytes(
        (frames_path(path.with_name("other.csv")) / "frames.json").read_bytes()
    )
    with pytest.raises(TableError, match="other tracks, or in another order"):
        load_table(path)


# --- learned ---------------------------------------------------------------------------------


def test_the_probability_of_a_track_is_the_geometric_mean_over_its_excerpts() -> None:
    table = of_excerpts()
    settings = ["scaling=standard", "scaling_limit=off", "classifier.name=logistic"]
    config = resolve(load_config(overrides=settings), table)
    pipeline = fit_pipeline(table, config, calibrated=False)
    rows = np.concatenate(table.excerpts).astype(np.float64)
    scaler = StandardScaler().fit(rows)
    theirs = LogisticRegression(C=0.3, class_weight="balanced", max_iter=2000)
    theirs.fit(scaler.transform(rows), np.repeat(table.labels, 3))
    product = theirs.predict_proba(scaler.transform(rows)).reshape(-1, 3, 3).prod(axis=1) ** (1 / 3)
    expected = product / product.sum(axis=1, keepdims=True)
    found = pipeline.predict_proba(table.excerpts)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_array_equal(
        pipeline.predict(table.excerpts), theirs.classes_[expected.argmax(axis=1)]
    )
    windows = pipeline.predict_proba(table.excerpts[:, 0])
    singles = theirs.predict_proba(scaler.transform(rows[::3]))
    np.testing.assert_allclose(windows, singles, atol=1e-4)


def test_samples_that_belong_together_are_calibrated_as_one() -> None:
    table = of_excerpts()
    once = TemperatureScaled(GaussianNB()).fit(table.values, table.labels)
    thrice = TemperatureScaled(GaussianNB(), n_together=3)
    thrice.fit(np.repeat(table.values, 3, axis=0), np.repeat(table.labels, 3))
    assert thrice.mean_temperature_ == pytest.approx(once.temperature_, rel=1e-6)
    assert thrice.temperature_ == pytest.approx(once.temperature_, rel=1e-6)


def test_excerpts_of_a_track_are_not_on_both_sides_of_a_fold() -> None:
    """A classifier that recognises tracks knows nothing of random labels of others."""
    table = of_excerpts(n_per_genre=30, n_genres=2)
    labels = np.random.default_rng(0).permutation(table.labels)
    excerpts = np.repeat(table.values[:, None], 3, axis=1)
    scaled = TemperatureScaled(KNeighborsClassifier(3), n_together=3)
    scaled.fit(np.concatenate(excerpts), np.repeat(labels, 3))
    assert scaled.predict_proba(table.values).max(axis=1).mean() < 0.7


def test_tracks_and_windows_have_a_temperature_each() -> None:
    """Each fits the probabilities of tracks, or of single excerpts, that were not trained on."""
    table, unheard = (of_excerpts(n_per_genre=150, spread=0.5, seed=0).take(part)
                      for part in (slice(0, 225), slice(225, 450)))  # fmt: skip
    config = resolve(load_config(overrides=["classifier.name=lda"]), table)
    pipeline = fit_pipeline(table, config)
    codes = np.searchsorted(pipeline.classes_.astype(str), unheard.labels.astype(str))
    for given, truth in (
        (unheard.excerpts, codes),
        (np.concatenate(unheard.excerpts), np.repeat(codes, 3)),
    ):
        scores = pipeline.predict_log_proba(given)

        def loss(log_t: float, scores=scores, truth=truth) -> float:
            return -log_softmax(scores / np.exp(log_t), axis=1)[range(len(truth)), truth].mean()

        best = np.exp(minimize_scalar(loss, bounds=(-2, 2), method="bounded").x)
        assert best == pytest.approx(1, abs=0.2)


def test_an_evaluation_tells_how_the_features_of_its_table_were_made(table: FeatureTable) -> None:
    config = Config(classifier=MULTI.classifier)
    assert config.excerpt.strategy == "centre"
    assert cross_validate(table, config).to_dict()["config"]["excerpt"]["strategy"] == "multi"


def test_what_excerpts_are_for_is_decided_by_the_table(table: FeatureTable) -> None:
    assert resolve(MULTI, table).learn_from == "excerpts"
    assert resolve(MULTI, replace(table, excerpts=None)) == MULTI
    tracks = msgspec.structs.replace(MULTI, learn_from="tracks")
    assert resolve(tracks, table) == tracks
    words = load_config(overrides=[*SETTINGS, "codebook.words=8"])
    each = msgspec.structs.replace(MULTI, learn_from="excerpts")
    with pytest.raises(TableError, match="holds no statistics of single excerpts; extract it"):
        resolve(each, replace(table, excerpts=None))
    with pytest.raises(TableError, match="a codebook takes the frames of whole tracks"):
        resolve(msgspec.structs.replace(words, learn_from="excerpts"), with_frames(table))


def with_frames(table: FeatureTable) -> FeatureTable:
    from genreclf.tables.frames import Frames

    return replace(table, frames=Frames({"mix.mfcc": np.zeros((len(table), 20, 4), np.float16)}))


def test_a_codebook_learns_from_tracks(genre_folder: Path) -> None:
    settings = [*SETTINGS, 'pooling.keep_frames=["mix.mfcc"]', "codebook.words=4"]
    config = load_config(overrides=settings)
    table = extract(genre_folder, config)
    assert table.excerpts is not None
    model = Model.fit(table, config)
    path = Path(table.paths[3])
    [found] = model.predict_files([path])
    assert isinstance(found, Prediction)
    expected = model.predict_proba(table.take(np.array([3])))[0]
    assert list(found.probabilities.values()) == pytest.approx(sorted(expected)[::-1])


# --- predicted -------------------------------------------------------------------------------


def test_files_are_predicted_exactly_as_the_rows_of_the_table(
    model: Model, table: FeatureTable, tmp_path: Path
) -> None:
    assert isinstance(model.pipeline, ExcerptPipeline)
    table.save(tmp_path / "features.csv")
    rows = list(model.predict_table(load_table(tmp_path / "features.csv")))
    for _ in range(2):  # computed, then from the cache
        files = list(model.predict_files(table.paths, cache=tmp_path / "cache.sqlite"))
        assert files == rows
    evaluated = evaluate_model(model, table)
    predicted = [row.genre for row in rows]
    assert list(evaluated.held_out.predicted) == predicted


def test_windows_are_predicted_as_single_excerpts(model: Model, write_audio: Writer) -> None:
    path = write_audio("b.wav", np.concatenate([music(2, RATE), noise(2, RATE)]), RATE)
    found = measure_windows(Track(path), with_length(model.config, None), 1)
    assert not isinstance(found, Failure)
    assert found.spans == [(0, 1), (1, 2), (2, 3), (3, 4)]
    windows = predict_windows(model, str(path), [each for each in found.measured if each])
    for (start, _), window in zip(found.spans, windows, strict=True):
        samples = np.concatenate([music(2, RATE), noise(2, RATE)])[round(start * RATE) :][:RATE]
        alone = extract_one(write_audio("c.wav", samples, RATE), SINGLE)
        [expected] = model.pipeline.predict_proba(alone[None])
        shares = [window.probabilities[genre] for genre in model.genres]
        np.testing.assert_allclose(shares, expected, atol=0.01)


def test_windows_as_long_as_excerpts_need_no_warning(model: Model) -> None:
    assert short_window_note(model, None) is None
    assert short_window_note(model, 1) is None
    tracks = replace(model, config=msgspec.structs.replace(model.config, learn_from="tracks"))
    note = short_window_note(tracks, 1)
    assert note is not None
    assert "excerpts of 3 s" in note
    assert "--set excerpt.strategy=multi --set excerpt.seconds=1 -o" in note


def test_suggestions_of_tracks_to_label(model: Model, table: FeatureTable) -> None:
    suggested = suggest(table, 4, model)
    rows = [list(table.paths).index(each.path) for each in suggested]
    expected = np.sort(model.predict_proba(table.take(np.array(rows))), axis=1)[:, ::-1]
    found = [list(each.probabilities.values()) for each in suggested]
    np.testing.assert_allclose(found, expected)


def test_an_explanation_adds_up(model: Model, table: FeatureTable) -> None:
    [found] = model.predict_table(table.take(np.array([0])), explained=True)
    scale = model.pipeline["standardise"]
    average = scale.inverse_transform(np.zeros((1, len(table.names))))
    of_average = model.pipeline.predict_proba(np.repeat(average[:, None], 3, axis=1))[0]
    gained = found.confidence - of_average[model.genres.index(found.genre)]
    assert sum(found.explanation.values()) == pytest.approx(gained, abs=1e-6)


def test_a_track_is_novel_if_most_of_its_excerpts_are(table: FeatureTable, model: Model) -> None:
    assert table.excerpts is not None
    strange = np.array(table.excerpts[:2])
    strange[0, :1] += 1e4
    strange[1, :2] += 1e4
    found = list(model.predict_table(replace(table.take(np.arange(2)), excerpts=strange)))
    assert [each.novel for each in found] == [False, True]


@pytest.mark.parametrize("suffix", ["joblib", "skops"])
def test_model_files(model: Model, table: FeatureTable, tmp_path: Path, suffix: str) -> None:
    if suffix == "skops":
        pytest.importorskip("skops", reason="skops is an extra")
    path = tmp_path / f"m.{suffix}"
    model.save(path)
    again = Model.load(path)
    np.testing.assert_array_equal(again.predict_proba(table), model.predict_proba(table))
    assert again.config.learn_from == "excerpts"


# --- evaluated -------------------------------------------------------------------------------


def test_excerpts_find_what_their_mean_hides() -> None:
    """Genres whose excerpts differ only in their product: tracks have the same mean."""
    random = np.random.default_rng(0)
    n = 60
    labels = np.array(["in phase", "out of phase"] * (n // 2), dtype=object)
    sides = random.choice([-1.0, 1.0], (n, 2))
    sides = np.stack((sides, -sides), axis=1)  # two excerpts on opposite sides
    sides[labels == "out of phase", :, 1] = -sides[labels == "out of phase", :, 0]
    sides[labels == "in phase", :, 1] = sides[labels == "in phase", :, 0]
    excerpts = (2 * sides + random.normal(0, 0.5, sides.shape)).astype(np.float32)
    table = replace(
        blobs(n_per_genre=n // 2, n_genres=2, n_features=2),
        labels=labels, values=excerpts.mean(axis=1), excerpts=excerpts,
    )  # fmt: skip
    settings = Config(), load_config(overrides=["learn_from=tracks"])
    each, tracks = (cross_validate(table, config).accuracy for config in settings)
    assert each > 0.95
    assert tracks < 0.8
    variants = [Variant(str(i), table, config) for i, config in enumerate(settings)]
    of_each, of_tracks = compare(variants, repeats=1).scores
    assert (of_each.accuracy, of_tracks.accuracy) == pytest.approx((each, tracks))


def test_importance_exchanges_all_excerpts_of_a_track() -> None:
    table = of_excerpts(spread=3.0)
    table = replace(table, names=["a1", "a2", "a3", "b1", "b2", "b3"])
    assert table.excerpts is not None
    table.excerpts[:, :, 3:] = 0.0  # these columns say nothing
    meter = ImportanceMeter(table, Config())
    cross_validate(table, Config(), on_model=meter)
    drops = {found.name: found.drop for found in meter.importances()}
    assert drops["a"] > 0.3
    assert drops["b"] == pytest.approx(0, abs=0.01)


def test_commands(genre_folder: Path, tmp_path: Path) -> None:
    table, model = tmp_path / "t.csv", tmp_path / "m.joblib"
    options = [word for setting in SETTINGS[:-1] for word in ("--set", setting)]
    assert run("extract", genre_folder, "-o", table, "--jobs", 1, *options).exit_code == 0
    assert "excerpts" in run("inspect", table).stdout
    done = run("train", table, "-o", model, "--classifier", "lda", "--no-evaluate", "--search")
    assert done.exit_code == 0, done.output
    files = run("predict", genre_folder, "--model", model, "--format", "csv")
    rows = run("predict", "--table", table, "--model", model, "--format", "csv")
    assert files.stdout == rows.stdout
    lines = run("predict", genre_folder / "noisy" / "1.mp3", "--model", model, "--timeline")
    assert "noisy" in lines.stdout
    (frames_path(table) / "excerpts.npy").unlink()
    assert NO_EXCERPTS in " ".join(run("inspect", table).output.split())
    done = run("train", table, "-o", model, "--classifier", "lda", "--no-evaluate")
    assert done.stderr.count(f"note: {NO_EXCERPTS}") == 1
