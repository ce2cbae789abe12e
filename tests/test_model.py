import copy
import pickle
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sample_models import QUICK, edited, own_table
from sample_tables import blobs, texts

from genreclf.config.load import load_config
from genreclf.config.schema import Config
from genreclf.errors import ModelError, TableError
from genreclf.evaluation.crossvalidation import cross_validate
from genreclf.evaluation.modelevaluation import evaluate_model
from genreclf.extraction.tracks import Failure, extract
from genreclf.learning.model import Model
from genreclf.learning.prediction import Prediction
from genreclf.learning.training import fit_pipeline
from genreclf.tables.reading import load_table
from genreclf.tables.table import FeatureTable


@pytest.fixture(scope="module")
def own() -> FeatureTable:
    return own_table()


@pytest.fixture(scope="module")
def fitted(own: FeatureTable) -> Model:
    return Model.fit(own, QUICK)


@pytest.fixture(scope="module")
def foreign() -> Model:
    return Model.fit(blobs(12, 3), QUICK)


def test_a_model_is_the_pipeline_fitted_to_the_table(own: FeatureTable, fitted: Model) -> None:
    pipeline = fit_pipeline(own.take(own.canonical_order()), QUICK)
    np.testing.assert_array_equal(fitted.predict_proba(own), pipeline.predict_proba(own.values))
    assert list(fitted.predict(own)) == list(pipeline.predict(own.values)) == list(own.labels)
    assert fitted.genres == ["genre0", "genre1", "genre2"]
    assert fitted.counts == {"genre0": 12, "genre1": 12, "genre2": 12}
    assert fitted.feature_names == own.names
    assert fitted.from_audio
    assert fitted.evaluation is None
    assert datetime.fromisoformat(fitted.created).utcoffset() is not None


@pytest.mark.parametrize("name", ["svm", "logistic", "knn"])
def test_a_model_comes_back_with_the_same_predictions(tmp_path: Path, name: str) -> None:
    config = load_config(overrides=[f"classifier.name={name}", "evaluation.folds=2"])
    table = blobs(12, 3, spread=0.7)
    model = Model.fit(table, config, evaluation=cross_validate(table, config))
    model.save(tmp_path / "m.joblib")
    read = Model.load(tmp_path / "m.joblib")
    np.testing.assert_array_equal(read.predict_proba(table), model.predict_proba(table))
    for attribute in (
        "genres", "feature_names", "config", "from_audio", "counts", "versions", "evaluation",
        "created",
    ):  # fmt: skip
        assert getattr(read, attribute) == getattr(model, attribute), attribute
    assert read.evaluation is not None
    assert 0 < read.evaluation["accuracy"] <= 1


def test_probabilities_come_in_the_order_of_the_genres() -> None:
    table = replace(blobs(12, 3), labels=texts(["zydeco", "Afrobeat", "jazz"] * 12))
    model = Model.fit(table, QUICK)
    assert model.genres == ["Afrobeat", "jazz", "zydeco"]
    probabilities = model.predict_proba(table)
    assert probabilities.shape == (36, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    order = texts(model.genres)
    assert list(order[probabilities.argmax(axis=1)]) == list(table.labels)


def test_predictions_of_a_table_name_paths_and_fall_in_probability(
    own: FeatureTable, fitted: Model
) -> None:
    predictions = list(fitted.predict_table(own))
    assert [prediction.path for prediction in predictions] == list(own.paths)
    assert [prediction.genre for prediction in predictions] == list(fitted.predict(own))
    for prediction, row in zip(predictions, fitted.predict_proba(own), strict=True):
        assert list(prediction.probabilities.values()) == sorted(row, reverse=True)
        assert prediction.probabilities == dict(zip(fitted.genres, row, strict=True))
        assert prediction.confidence == row.max()
        assert all(type(p) is float for p in prediction.probabilities.values())


def test_tracks_without_a_label_take_no_part(own: FeatureTable) -> None:
    labels = own.labels.copy()
    labels[:3] = ""
    model = Model.fit(replace(own, labels=labels), QUICK)
    labelled = own.take(np.arange(3, len(own)))
    expected = fit_pipeline(labelled.take(labelled.canonical_order()), QUICK)
    np.testing.assert_array_equal(model.predict_proba(own), expected.predict_proba(own.values))
    assert sum(model.counts.values()) == len(own) - 3


@pytest.mark.parametrize("labels", [["rock"] * 6, ["rock"] * 3 + [""] * 3, [""] * 6])
def test_two_genres_are_needed(labels: list[str]) -> None:
    with pytest.raises(TableError):
        Model.fit(replace(blobs(3, 2), labels=texts(labels)), QUICK)


def test_the_extraction_is_the_tables_and_the_learning_the_configs(own: FeatureTable) -> None:
    other = load_config("wide", ["seed=9", "classifier.name=knn"])
    model = Model.fit(own, other)
    assert model.config.extraction == QUICK.extraction
    assert (model.config.seed, model.config.classifier) == (9, other.classifier)


def test_searching_keeps_what_it_found_in_the_config() -> None:
    table = blobs(15, 2, spread=0.5)
    config = load_config(overrides=["classifier.name=lda", "classifier.shrinkage=0.99"])
    model = Model.fit(table, config, search=True)
    found = model.config.classifier
    assert found != config.classifier
    estimator = model.pipeline["classify"].estimator_
    assert estimator.shrinkage == found.shrinkage


def test_a_model_of_a_table_from_elsewhere_predicts_tables_but_not_audio(
    foreign: Model, song: Path
) -> None:
    assert not foreign.from_audio
    assert list(foreign.predict(blobs(12, 3))) == list(blobs(12, 3).labels)
    with pytest.raises(ModelError, match="trained on a table that genreclf did not make"):
        list(foreign.predict_files([song]))


def test_columns_in_another_order_are_put_right(own: FeatureTable, fitted: Model) -> None:
    order = np.random.default_rng(0).permutation(len(own.names))
    shuffled = replace(own, names=[own.names[i] for i in order], values=own.values[:, order])
    np.testing.assert_array_equal(fitted.predict_proba(shuffled), fitted.predict_proba(own))
    more = replace(
        own,
        names=["extra", *own.names],
        values=np.column_stack((np.ones(len(own)), own.values)).astype(np.float32),
    )
    np.testing.assert_array_equal(fitted.predict_proba(more), fitted.predict_proba(own))


def test_missing_columns_are_refused(foreign: Model) -> None:
    table = blobs(2, 2)
    fewer = replace(table, names=table.names[1:], values=table.values[:, 1:])
    with pytest.raises(TableError, match=r"1 of 6 feature columns are missing, f0 first"):
        foreign.predict(fewer)


def test_a_table_of_another_configuration_is_refused(own: FeatureTable, fitted: Model) -> None:
    other = load_config("wide").extraction
    with pytest.raises(TableError, match="made with another configuration") as caught:
        fitted.predict(replace(own, config=other))
    assert QUICK.fingerprint in str(caught.value)
    assert other.fingerprint in str(caught.value)
    assert "genreclf predict MUSIC --model MODEL" in str(caught.value)
    wide = replace(fitted, config=load_config("wide", ["seed=3"]))
    with pytest.raises(TableError, match="genreclf extract MUSIC --config wide -o TABLE"):
        wide.predict(own)


def test_evaluating_compares_with_the_tables_labels(own: FeatureTable, fitted: Model) -> None:
    labels = own.labels.copy()
    labels[:9] = np.roll(labels[:9], 1)  # of another genre each
    result = evaluate_model(fitted, replace(own, labels=labels))
    assert result.splits["kind"] == "model"
    assert result.accuracy == pytest.approx(27 / 36)
    with pytest.raises(TableError, match="another configuration"):
        evaluate_model(fitted, replace(own, config=load_config("wide").extraction))


def test_from_a_folder_of_music_to_predictions(genre_folder: Path, tmp_path: Path) -> None:
    extract(genre_folder, QUICK).save(tmp_path / "t.csv")
    table = load_table(tmp_path / "t.csv")
    Model.fit(table, QUICK).save(tmp_path / "m.joblib")
    model = Model.load(tmp_path / "m.joblib")
    damaged = tmp_path / "damaged.mp3"
    damaged.write_bytes(b"no audio")
    paths = [*sorted(genre_folder.glob("*/*.mp3")), damaged, tmp_path / "missing.mp3"]
    found = list(model.predict_files(paths))
    assert [f.path if isinstance(f, Prediction) else str(f.track.path) for f in found] == [
        str(path) for path in paths
    ]
    assert [type(f) for f in found] == [Prediction] * 12 + [Failure] * 2
    from_table = {prediction.path: prediction for prediction in model.predict_table(table)}
    for prediction in found[:12]:
        assert isinstance(prediction, Prediction)
        assert prediction.genre == Path(prediction.path).parent.name
        expected = from_table[prediction.path]
        assert prediction.probabilities == pytest.approx(expected.probabilities, rel=1e-9)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("a text\nof two lines\n"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\0" * 100),
        lambda path: path.write_bytes(bytes(range(256)) * 40),
        lambda path: path.write_bytes(b"PK\x03\x04"),
        lambda path: path.write_bytes(pickle.dumps({"a": 1})),
        lambda path: path.write_bytes(pickle.dumps({"format": "genreclf-model"})),
        lambda path: path.write_bytes(b"\x80\x04cgenreclf.model\nNoSuchClass\n."),
        lambda path: path.write_bytes(b"\x80\x04cno.such.module\nThing\n."),
        lambda path: joblib.dump([1, 2], path),
        lambda path: joblib.dump(np.eye(2), path),
        lambda path: path.mkdir(),
        lambda path: None,
    ],
    ids=[
        "text", "empty", "zeros", "bytes", "zip", "dict", "incomplete", "no class", "no module",
        "list", "array", "folder", "missing",
    ],
)  # fmt: skip
def test_what_is_no_model_is_told_in_one_line(tmp_path: Path, write: Callable[[Path], Any]) -> None:
    path = tmp_path / "m.joblib"
    write(path)
    with pytest.raises(ModelError) as caught:
        Model.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message) > len(f"{path}: ") + 5
    assert "\n" not in message


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_model_that_is_cut_off(tmp_path: Path, foreign: Model, share: float) -> None:
    path = tmp_path / "m.joblib"
    foreign.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(
        ModelError, match=r"m\.joblib: not a genreclf model, or a damaged one"
    ) as caught:
        Model.load(path)
    assert "\n" not in str(caught.value)


def test_other_versions_are_warned_of_once_in_one_line(tmp_path: Path, foreign: Model) -> None:
    def older(card: dict[str, Any]) -> None:
        card["versions"] |= {"scikit-learn": "1.3.2", "numpy": "1.2.3"}

    old = pickle.loads(pickle.dumps(foreign.pipeline))
    steps = [step for _, step in old.steps if step != "passthrough"]
    for step in steps:
        step.__dict__["_sklearn_version"] = "1.3.2"  # what scikit-learn itself looks at
    path = edited(replace(foreign, pipeline=old), tmp_path / "m.joblib", older)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = Model.load(path)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert str(path) in message
    assert "scikit-learn 1.3.2" in message
    assert "numpy 1.2.3" in message
    assert "\n" not in message
    assert list(model.predict(blobs(12, 3))) == list(blobs(12, 3).labels)


def test_another_patch_release_is_not_worth_a_warning(tmp_path: Path, foreign: Model) -> None:
    def patched(card: dict[str, Any]) -> None:
        major, minor, *_ = card["versions"]["scikit-learn"].split(".")
        card["versions"]["scikit-learn"] = f"{major}.{minor}.99"

    path = edited(foreign, tmp_path / "m.joblib", patched)
    assert Model.load(path).genres == foreign.genres  # warnings are errors here


def test_a_model_of_another_format_is_refused(tmp_path: Path, foreign: Model) -> None:
    path = edited(foreign, tmp_path / "m.joblib", lambda card: card.update(format_version=99))
    with pytest.raises(ModelError, match="a model of format 99, but this genreclf reads format 3"):
        Model.load(path)


def test_writing_over_a_model_is_whole_or_not_at_all(
    tmp_path: Path, foreign: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.joblib"
    foreign.save(path)
    before = path.read_bytes()

    def disk_full(payload: object, target: Path, **options: object) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(joblib, "dump", disk_full)
    with pytest.raises(ModelError, match=r"m\.joblib: cannot be written: No space left"):
        foreign.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_writing_where_nothing_can_be_written(tmp_path: Path, foreign: Model) -> None:
    with pytest.raises(ModelError, match="cannot be written: No such file"):
        foreign.save(tmp_path / "missing/m.joblib")


def test_the_same_table_gives_the_same_model(own: FeatureTable, fitted: Model) -> None:
    again = Model.fit(own_table(), QUICK)
    unseen = own_table(seed=1)
    np.testing.assert_array_equal(again.predict_proba(unseen), fitted.predict_proba(unseen))
    assert Model.fit(own_table()).config == Config().with_extraction(QUICK.extraction)


def test_estimators_that_fail_on_some_values_are_told(fitted: Model, own: FeatureTable) -> None:
    damaged = replace(fitted, pipeline=copy.deepcopy(fitted.pipeline))
    for _, step in damaged.pipeline.steps:
        if hasattr(step, "mean_"):
            step.mean_ = np.full_like(step.mean_, np.nan)
    with pytest.raises(ModelError, match=r"the model cannot predict, .*NaN"):
        list(damaged.predict_table(own))
