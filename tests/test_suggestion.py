"""Which tracks to label next."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import run
from sample_models import QUICK
from sample_tables import blobs, texts
from sklearn.pipeline import Pipeline

from genreclf.errors import TableError
from genreclf.learning.model import Model
from genreclf.learning.suggestion import choose, suggest, unlabelled
from genreclf.tables.table import FeatureTable


def simplex(margins: list[float]) -> np.ndarray:
    """Probabilities of three genres with these margins."""
    rows = [[(1 + margin) / 2 - 0.01, (1 - margin) / 2 - 0.01, 0.02] for margin in margins]
    return np.array(rows)


def partly(table: FeatureTable, n_labelled: int) -> FeatureTable:
    labels = table.labels.copy()
    labels[n_labelled:] = ""
    return replace(table, labels=labels)


@pytest.fixture(scope="module")
def table_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("suggest") / "features.csv"
    partly(blobs(12, 3), 18).save(path)
    return path


def test_margins_are_those_of_the_two_most_probable_genres() -> None:
    probabilities = simplex([0.9, 0.1, 0.5, 0.0, 0.7])
    assert list(choose(probabilities, np.eye(5), 3, "margin", 0)) == [3, 1, 2]
    two = np.array([[0.6, 0.4], [0.45, 0.55]])
    assert list(choose(two, np.eye(2), 2, "margin", 0)) == [1, 0]


def test_clusters_give_no_two_alike() -> None:
    """Three clouds; the most uncertain tracks are all in the first."""
    random = np.random.default_rng(0)
    space = np.repeat([[0.0, 0], [50, 0], [0, 50]], 10, axis=0) + random.standard_normal((30, 2))
    margins = random.uniform(0.4, 0.9, 30)
    margins[:10] = random.uniform(0.0, 0.2, 10)
    probabilities = simplex(list(margins))
    assert set(choose(probabilities, space, 3, "margin", 0) // 10) == {0}
    chosen = choose(probabilities, space, 3, "clusters", 0)
    expected = [10 * cloud + margins[10 * cloud : 10 * cloud + 10].argmin() for cloud in range(3)]
    assert sorted(chosen) == expected
    assert list(margins[chosen]) == sorted(margins[chosen])


def test_without_probabilities_typical_tracks_come_first() -> None:
    random = np.random.default_rng(0)
    sizes = [20, 5, 10]
    centres = np.repeat([[0.0, 0], [50, 0], [0, 50]], sizes, axis=0)
    space = centres + random.standard_normal((35, 2))
    chosen = choose(None, space, 3, "clusters", 0)
    assert centres[chosen].tolist() == [[0.0, 0], [0, 50], [50, 0]]
    for row in chosen:
        cloud = space[(centres == centres[row]).all(axis=1)]
        distances = np.linalg.norm(cloud - cloud.mean(axis=0), axis=1)
        assert np.linalg.norm(space[row] - cloud.mean(axis=0)) == pytest.approx(distances.min())


def test_few_or_equal_tracks_are_no_problem() -> None:
    same = np.zeros((4, 2))
    assert len(choose(simplex([0.1] * 4), same, 3, "clusters", 0)) == 1
    assert sorted(choose(simplex([0.1] * 4), same, 9, "clusters", 0)) == [0, 1, 2, 3]
    assert len(choose(None, same, 9, "clusters", 0)) == 1
    assert len(choose(None, same, 9, "random", 0)) == 4


def test_only_tracks_without_a_label_can_be_suggested() -> None:
    table = partly(blobs(4, 2), 3)
    twice = replace(
        table.take(np.array([0, 3, 3, 4])),
        paths=texts([table.paths[0], table.paths[3], "new.mp3", ""]),
        labels=texts(["jazz"] * 4),
    )
    found = unlabelled(table, [(Path("other.csv"), twice)])
    assert list(found.paths) == [*table.paths[3:], "new.mp3"]
    assert set(found.labels) == {""}
    heard = unlabelled(table, exclude=[f"elsewhere/{table.paths[4]}", "of another table.mp3"])
    assert list(heard.paths) == [table.paths[3], *table.paths[5:]]
    for lost in (table.take(np.arange(3)), replace(table, paths=texts([""] * 8))):
        with pytest.raises(TableError, match="no track to suggest"):
            unlabelled(lost)
    other = replace(twice, names=["f0", "f1", "f2", "f3", "f4", "x"])
    with pytest.raises(TableError, match=r"^other.csv: 1 of 6 feature columns are missing, f5"):
        unlabelled(table, [(Path("other.csv"), other)])


def test_suggestions_do_not_depend_on_the_order_of_rows() -> None:
    table = partly(blobs(10, 3, spread=1), 12)
    model = Model.fit(table, QUICK)
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    for method in ("clusters", "margin", "random"):
        found = suggest(unlabelled(table), 5, model, method=method)
        assert found == suggest(unlabelled(shuffled), 5, model, method=method)
        assert len({suggestion.path for suggestion in found}) == 5
    expected = np.sort(model.predict_proba(unlabelled(table)), axis=1)
    least = np.sort(expected[:, -1] - expected[:, -2])[:5]
    margins = [found.margin for found in suggest(unlabelled(table), 5, model, method="margin")]
    np.testing.assert_allclose(margins, least)


@pytest.mark.parametrize(("n_labelled", "n_genres"), [(2, 2), (14, 13)])
def test_few_labels_are_enough(n_labelled: int, n_genres: int) -> None:
    table = partly(blobs(4, n_genres), n_labelled)
    found = suggest(unlabelled(table), 3, Model.fit(table))
    assert len(found) == 3


def test_classifiers_that_take_no_columns_are_served_too() -> None:
    table = partly(blobs(10, 3, spread=1), 12)
    model = Model.fit(table, QUICK)
    alone = replace(model, pipeline=Pipeline([("classify", model.pipeline)]))
    assert len(suggest(unlabelled(table), 5, alone)) == 5


def test_the_list_is_a_table_and_records(table_file: Path) -> None:
    shown = run("suggest", table_file, "-n", 4, "--classifier", "lda")
    assert shown.exit_code == 0, shown.output
    assert "4 of 18 unlabelled tracks" in shown.stderr
    lines = run("suggest", table_file, "-n", 4, "--classifier", "lda", "--format", "jsonl").stdout
    records = [json.loads(line) for line in lines.splitlines()]
    assert len(records) == 4
    for record in records:
        assert record["path"] in shown.stdout
        best, second, *_ = record["probabilities"].values()
        assert record["margin"] == pytest.approx(best - second)
        assert (record["genre"], record["confidence"]) == next(
            iter(record["probabilities"].items())
        )
    text = run("suggest", table_file, "-n", 4, "--classifier", "lda", "--format", "csv").stdout
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["path"] for row in rows] == [record["path"] for record in records]
    assert [float(row["margin"]) for row in rows] == [record["margin"] for record in records]


def test_playlist_and_page_name_the_same_tracks(table_file: Path, tmp_path: Path) -> None:
    playlist, page = tmp_path / "next.m3u8", tmp_path / "review.html"
    done = run("suggest", table_file, "-n", 3, "--format", "csv", "--classifier", "lda",
               "--playlist", playlist, "--html", page)  # fmt: skip
    assert done.exit_code == 0, done.output
    paths = [row["path"] for row in csv.DictReader(done.stdout.splitlines())]
    entries = [
        line for line in playlist.read_text(encoding="utf-8").splitlines() if line[:1] != "#"
    ]
    assert [Path(entry).name for entry in entries] == [Path(path).name for path in paths]
    html = page.read_text(encoding="utf-8")
    assert all(f'"path": "{path}"' in html for path in paths)
    assert f"playlist written to {playlist}" in done.stderr
    wrong = run("suggest", table_file, "--playlist", tmp_path / "features.csv")
    assert wrong.exit_code == 2


def test_a_model_stands_in_for_labels(table_file: Path, tmp_path: Path) -> None:
    table = blobs(12, 3)
    Model.fit(table, QUICK).save(tmp_path / "model.joblib")
    none = tmp_path / "none.csv"
    partly(table, 0).save(none)
    cold = run("suggest", none, "-n", 3, "--format", "jsonl")
    assert cold.exit_code == 0, cold.output
    assert "there is no model yet" in cold.stderr
    assert json.loads(cold.stdout.splitlines()[0])["genre"] is None
    assert "file" in run("suggest", none, "-n", 3).stdout
    assert run("suggest", none, "--method", "margin").exit_code == 1

    warm = run("suggest", none, "-n", 3, "--format", "jsonl", "--model", tmp_path / "model.joblib")
    assert {*json.loads(warm.stdout.splitlines()[0])["probabilities"]} == set(table.genres)
    speech = tmp_path / "corrections.csv"
    speech.write_text(f"path,label\n{json.loads(cold.stdout.splitlines()[0])['path']},not music\n")
    rest = run("suggest", none, "-n", 99, "--without", speech, "--format", "csv")
    assert len(rest.stdout.splitlines()) == 36  # the header, and all but one
    more = run("suggest", table_file, "-n", 99, "--unlabelled", none, "--format", "jsonl",
               "--classifier", "lda")  # fmt: skip
    assert len(more.stdout.splitlines()) == 18  # those with a label in the table are left out
    both = run("suggest", none, "--model", tmp_path / "model.joblib", "--classifier", "lda")
    assert both.exit_code == 2
    assert run("suggest", none, "--trust").exit_code == 2
