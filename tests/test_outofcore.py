import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from genreclf.cli import cli
from genreclf.config.load import load_config
from genreclf.errors import TableError
from genreclf.evaluation.modelevaluation import evaluate_model
from genreclf.evaluation.outofcore import evaluate_in_parts
from genreclf.learning import outofcore
from genreclf.learning.calibration import best_temperature
from genreclf.learning.model import Model
from genreclf.learning.outofcore import TableParts, train_in_parts
from genreclf.tables.columns import Columns
from genreclf.tables.reading import load_table
from genreclf.tables.table import FeatureTable

pytest.importorskip("pyarrow", reason="needs the extra parquet")

LDA = load_config("default", ["classifier.name=lda", "classifier.shrinkage=0.1"])
N_COLUMNS = 8


def clouds(n: int, genres: list[str], seed: int) -> FeatureTable:
    """Overlapping clouds of unequal spread, in groups of five."""
    random = np.random.default_rng(seed)
    labels = random.integers(len(genres), size=n)
    centres = np.random.default_rng(9).normal(size=(len(genres), N_COLUMNS))
    mixing = np.random.default_rng(8).normal(size=(N_COLUMNS, N_COLUMNS))
    values = centres[labels] + random.normal(size=(n, N_COLUMNS)) @ mixing / 3
    return FeatureTable(
        paths=np.array([f"{seed}/{i}.mp3" for i in range(n)], dtype=object),
        labels=np.array(genres, dtype=object)[labels],
        groups=np.array([f"{labels[i]} {seed} {i // 5}" for i in range(n)], dtype=object),
        names=[f"f{i}" for i in range(N_COLUMNS)],
        values=values.astype(np.float32),
    )


def folder_of(tmp_path: Path, genres: list[str], n: int = 400) -> Path:
    folder = tmp_path / "table.parquet"
    folder.mkdir()
    for i in range(3):
        clouds(n, genres, seed=i).save(folder / f"{i}.parquet")
    return folder


@pytest.mark.parametrize("genres", [["a", "b"], ["a", "b", "c"]])
def test_the_result_is_scikit_learns_on_all_rows_at_once(tmp_path: Path, genres: list[str]) -> None:
    folder = folder_of(tmp_path, genres)
    table = load_table(folder)
    model, reference = train_in_parts(TableParts(folder, Columns(), LDA)), Model.fit(table, LDA)
    fitted, expected = (m.pipeline[-1].estimator_ for m in (model, reference))
    np.testing.assert_allclose(fitted.coef_, expected.coef_, rtol=1e-6)
    np.testing.assert_allclose(fitted.intercept_, expected.intercept_, rtol=1e-6)
    # The temperatures are learned on other folds.
    np.testing.assert_allclose(
        model.predict_proba(table), reference.predict_proba(table), atol=0.01
    )
    assert model.counts == reference.counts
    assert model.genres == reference.genres


def test_all_rows_count_where_the_sample_is_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outofcore, "SAMPLE_ROWS", 150)
    monkeypatch.setattr(outofcore, "LEAST_OF_A_GENRE", 20)
    folder = folder_of(tmp_path, ["a", "b", "c"])
    table = load_table(folder)
    model = train_in_parts(TableParts(folder, Columns(), LDA))
    values = model.pipeline[:-1].transform(table.values)
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(values, table.labels)
    np.testing.assert_allclose(model.pipeline[-1].estimator_.coef_, oracle.coef_, rtol=1e-6)
    np.testing.assert_allclose(model.pipeline[-1].estimator_.means_, oracle.means_, atol=1e-9)
    assert sum(model.counts.values()) == len(table)


def test_a_column_that_tells_the_genre_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "table.parquet"
    folder.mkdir()
    for i in range(3):
        part = clouds(400, ["a", "b"], seed=i)
        part.values[:, 3] = part.labels == "b"
        part.save(folder / f"{i}.parquet")
    [warning] = evaluate_in_parts(TableParts(folder, Columns(), LDA)).warnings
    assert warning.startswith("column f3 alone determines the genre of 100% of the tracks")


def test_no_group_is_on_both_sides(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ["a", "b", "c"])
    evaluation = evaluate_in_parts(TableParts(folder, Columns(), LDA))
    tested = set(evaluation.held_out.groups)
    groups = load_table(folder).groups
    assert 0.05 < len(tested) / len(set(groups)) < 0.2
    # Whole groups are held out, and nothing else.
    assert len(evaluation.held_out.rows) == np.isin(groups, list(tested)).sum()
    assert evaluation.splits["kind"] == "held-out"
    known = evaluate_model(
        train_in_parts(TableParts(folder, Columns(), LDA)), load_table(folder)
    ).accuracy
    assert abs(evaluation.accuracy - known) < 0.1


def test_a_genre_in_held_out_groups_only_is_named_and_left_out(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, ["a", "b"])
    held_out = sorted(set(evaluate_in_parts(TableParts(folder, Columns(), LDA)).held_out.groups))[0]
    n = int((load_table(folder).groups == held_out).sum())
    for path in sorted(folder.iterdir()):
        table = load_table(path)
        table.labels[table.groups == held_out] = "lonely"
        table.save(path)
    evaluation = evaluate_in_parts(TableParts(folder, Columns(), LDA))
    [warning] = evaluation.warnings
    assert warning.startswith(f"not tested: {n} tracks of lonely;")
    assert evaluation.splits["n_unscored"] == n
    assert evaluation.splits["grouped"]
    found = evaluation.predictions()
    assert [each.label for each in found if not each.genre] == ["lonely"] * n
    right = [each.genre == each.label for each in found if each.genre]
    assert np.mean(right) == evaluation.accuracy


def test_labels_of_chance_are_told_at_chance(tmp_path: Path) -> None:
    folder = tmp_path / "table.parquet"
    folder.mkdir()
    table = clouds(3000, ["a", "b"], seed=0)
    table.labels[:] = np.random.default_rng(1).permutation(table.labels)
    table.save(folder / "0.parquet")
    low, high = evaluate_in_parts(TableParts(folder, Columns(), LDA)).interval
    assert low < 0.5 < high


def test_commands(tmp_path: Path) -> None:
    folder, saved = folder_of(tmp_path, ["a", "b"]), tmp_path / "model.joblib"
    options = ["--classifier", "lda", "--out-of-core"]
    done = CliRunner().invoke(cli, ["train", str(folder), "-o", str(saved), *options])
    assert done.exit_code == 0, done.output
    assert "one group in ten held out" in done.output
    model = Model.load(saved)
    assert model.evaluation is not None
    assert list(model.predict(load_table(folder))[:5])
    done = CliRunner().invoke(cli, ["evaluate", str(folder), *options, "--json", "-"])
    assert json.loads(done.stdout)["accuracy"] == model.evaluation["accuracy"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--classifier", "svm"], "use --classifier lda"),
        (["--classifier", "lda", "--features", "f0"], "too few tracks"),
    ],
)
def test_what_cannot_be_done_is_told(tmp_path: Path, arguments: list[str], reason: str) -> None:
    folder = folder_of(tmp_path, ["a", "b"], n=3)
    done = CliRunner().invoke(cli, ["evaluate", str(folder), "--out-of-core", *arguments])
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert reason in done.stderr


def test_a_single_file_is_not_read_in_parts(tmp_path: Path) -> None:
    clouds(50, ["a", "b"], seed=0).save(tmp_path / "table.parquet")
    with pytest.raises(TableError, match="a folder of Parquet files"):
        TableParts(tmp_path / "table.parquet", Columns(), LDA)


def overlapping(n: int, seed: int) -> FeatureTable:
    """Two clouds in a hundred columns, of which only the first one differs."""
    table = clouds(n, ["a", "b"], seed)
    values = np.random.default_rng(seed).normal(size=(n, 100))
    values[:, 0] += table.labels == "b"
    names = [f"f{i}" for i in range(100)]
    return replace(table, names=names, values=values.astype(np.float32))


def test_the_temperature_suits_the_classifier_of_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For one that is trained on the sample only, it would be 2.5."""
    monkeypatch.setattr(outofcore, "SAMPLE_ROWS", 600)
    folder = tmp_path / "table.parquet"
    folder.mkdir()
    for i in range(3):
        overlapping(2000, seed=i).save(folder / f"{i}.parquet")
    config = load_config("default", ["classifier.name=lda", "classifier.shrinkage=0"])
    model = train_in_parts(TableParts(folder, Columns(), config))
    new = overlapping(5000, seed=7)
    temperature = model.pipeline[-1].temperature_
    scores = model.pipeline.predict_log_proba(new.values) * temperature
    best = best_temperature(scores, (new.labels == "b").astype(int), 4000)
    assert temperature == pytest.approx(best, rel=0.25)
