from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import music
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

from genreclf.config.load import load_config
from genreclf.config.schema import ExtractionConfig
from genreclf.errors import AudioError, ConfigError
from genreclf.extraction.chain import extract_one
from genreclf.extraction.transformer import FeatureExtractor
from genreclf.features.pooling import feature_names

QUICK = load_config(overrides=["excerpt.seconds=2", "separation=none"]).extraction
OTHER = load_config(overrides=["excerpt.seconds=2", "separation=none", "spectra.n_mels=40"])


@pytest.fixture(scope="module")
def paths(genre_folder: Path) -> list[Path]:
    return sorted(genre_folder.glob("*/*.mp3"))


@pytest.fixture(scope="module")
def genres(paths: list[Path]) -> list[str]:
    return [path.parent.name for path in paths]


def same(values: NDArray[np.float32], expected: NDArray[np.float32]) -> bool:
    return values.dtype == expected.dtype and values.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "shape",
    [
        lambda paths: paths,
        lambda paths: [str(path) for path in paths],
        lambda paths: tuple(paths),
        lambda paths: np.array([str(path) for path in paths]),
        lambda paths: np.array(paths, dtype=object)[:, None],
        lambda paths: pd.Series([str(path) for path in paths]),
        lambda paths: pd.DataFrame({"path": [str(path) for path in paths]}),
    ],
    ids=["paths", "texts", "tuple", "array", "column", "series", "frame"],
)
def test_paths_of_any_shape_become_rows_of_features(
    paths: list[Path], shape: Callable[[list[Path]], Any]
) -> None:
    chosen = paths[:3]
    expected = np.array([extract_one(path, QUICK) for path in chosen])
    values = FeatureExtractor(QUICK).fit_transform(shape(chosen))
    assert same(values, expected)


@pytest.mark.parametrize(
    "wrong", ["a.mp3", [1, 2], [[b"a", b"b"]], [["a", "b"]], [None], np.eye(2)]
)
def test_what_is_no_list_of_paths(wrong: Any) -> None:
    with pytest.raises(ValueError, match="paths of audio files"):
        FeatureExtractor().fit(wrong)
    with pytest.raises(ValueError, match="paths of audio files"):
        FeatureExtractor().transform(wrong)


def test_worker_processes_give_the_same(paths: list[Path]) -> None:
    alone = FeatureExtractor(QUICK).fit_transform(paths[:3])
    assert same(FeatureExtractor(QUICK, jobs=2).fit_transform(paths[:3]), alone)


def test_a_preset_a_file_and_a_configuration_are_the_same(
    tmp_path: Path, paths: list[Path]
) -> None:
    (tmp_path / "mine.toml").write_text('separation = "none"\n[excerpt]\nseconds = 2.0\n')
    expected = FeatureExtractor(QUICK).fit_transform(paths[:1])
    for config in (tmp_path / "mine.toml", str(tmp_path / "mine.toml"), QUICK):
        assert same(FeatureExtractor(config).fit_transform(paths[:1]), expected)
    named = FeatureExtractor("wide").fit_transform(paths[:1])
    assert same(named, extract_one(paths[0], load_config("wide"))[None])


def test_wrong_parameters_are_told_when_fitting(paths: list[Path]) -> None:
    with pytest.raises(ConfigError, match="narrow: no such file"):
        FeatureExtractor("narrow").fit(paths)
    with pytest.raises(ValueError, match="on_failure is 'skip'"):
        FeatureExtractor(on_failure="skip").fit(paths)


def test_columns_are_named(paths: list[Path]) -> None:
    extractor = FeatureExtractor(QUICK)
    names = extractor.get_feature_names_out()
    assert list(names) == feature_names(QUICK)
    assert extractor.fit_transform(paths[:1]).shape == (1, len(names))
    pipeline = make_pipeline(extractor, StandardScaler()).fit(paths[:2])
    assert list(pipeline.get_feature_names_out()) == feature_names(QUICK)


def test_data_frames_have_the_names(paths: list[Path]) -> None:
    extractor = FeatureExtractor(QUICK).set_output(transform="pandas")
    frame = extractor.fit_transform(paths[:2])
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == feature_names(QUICK)


def test_a_file_that_fails_is_an_error(tmp_path: Path, paths: list[Path]) -> None:
    missing = tmp_path / "missing.mp3"
    with pytest.raises(AudioError, match=r"missing\.mp3"):
        FeatureExtractor(QUICK).fit_transform([paths[0], missing])


def test_a_file_that_fails_is_a_row_of_nan_that_can_be_imputed(
    tmp_path: Path, paths: list[Path], genres: list[str]
) -> None:
    damaged = tmp_path / "damaged.mp3"
    damaged.write_bytes(b"no audio")
    mixed = [damaged, *paths]
    extractor = FeatureExtractor(QUICK, on_failure="nan")
    values = extractor.fit_transform(mixed)
    assert np.isnan(values[0]).all()
    assert same(values[1:], FeatureExtractor(QUICK).fit_transform(paths))
    classifier = make_pipeline(
        extractor, SimpleImputer(), StandardScaler(), LogisticRegression()
    ).fit(mixed, ["tonal", *genres])
    assert list(classifier.predict(paths)) == genres


def test_a_pipeline_learns_from_paths(paths: list[Path], genres: list[str]) -> None:
    classifier = make_pipeline(FeatureExtractor(QUICK), StandardScaler(), LogisticRegression())
    assert cross_val_score(classifier, paths, genres, cv=3).mean() == 1


def test_configurations_can_be_searched(paths: list[Path], genres: list[str]) -> None:
    classifier = make_pipeline(FeatureExtractor(), StandardScaler(), LogisticRegression())
    search = GridSearchCV(
        classifier, {"featureextractor__config": [QUICK, OTHER]}, cv=2, error_score="raise"
    ).fit(paths, genres)
    assert search.best_params_["featureextractor__config"] in (QUICK, OTHER)
    assert list(search.predict(paths)) == genres


def test_parameters_can_be_read_set_and_cloned() -> None:
    extractor = FeatureExtractor(QUICK, jobs=3, on_failure="nan")
    parameters = {"config": QUICK, "jobs": 3, "on_failure": "nan"}
    assert extractor.get_params() == parameters
    assert clone(extractor).get_params() == parameters
    assert FeatureExtractor().set_params(**parameters).get_params() == parameters
    assert isinstance(clone(extractor).config, ExtractionConfig)
    with pytest.raises(ValueError, match="colour"):
        extractor.set_params(colour=3)


def test_the_full_configuration_serves_too(paths: list[Path]) -> None:
    whole = load_config(overrides=["excerpt.seconds=2", "separation=none", "seed=4"])
    values = FeatureExtractor(whole).fit_transform(paths[:1])
    assert same(values, FeatureExtractor(QUICK).fit_transform(paths[:1]))


def test_no_paths_give_no_rows() -> None:
    assert FeatureExtractor(QUICK).fit_transform([]).shape == (0, len(feature_names(QUICK)))


def test_a_short_file_is_extracted_like_by_the_library(
    write_audio: Callable[..., Path],
) -> None:
    path = write_audio("naïve name.wav", music(3, 8000), 8000)
    assert same(FeatureExtractor(QUICK).fit_transform([path]), extract_one(path, QUICK)[None])


# Those of scikit-learn's checks that do not pass arrays of numbers to ``fit``; by itself
# ``check_estimator`` skips an estimator whose input is no two-dimensional array.
APPLICABLE = [
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_mixin_order",
]


@pytest.mark.parametrize("name", APPLICABLE)
def test_scikit_learns_contract(name: str) -> None:
    getattr(estimator_checks, name)("FeatureExtractor", FeatureExtractor())
