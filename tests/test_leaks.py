"""Columns that tell the genre alone: the number of a genre, a row or an artist."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from sample_tables import blobs, texts
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from genreclf.cli import cli
from genreclf.learning.leaks import leak_notes, leaking_columns
from genreclf.tables.table import FeatureTable

GENRES = np.repeat(["blues", "classical", "disco", "jazz", "rock"], 40)
NUMBER = np.repeat(np.arange(5), 40)
RANDOM = np.random.default_rng(0)


def table_of(genres: NDArray[Any], **columns: NDArray[Any]) -> FeatureTable:
    return FeatureTable(
        paths=texts([f"{i}.mp3" for i in range(len(genres))]),
        labels=texts(list(genres)),
        groups=texts([""] * len(genres)),
        names=list(columns),
        values=np.column_stack(list(columns.values())).astype(np.float32),
    )


LEAKS: dict[str, NDArray[Any]] = {
    "number of the genre": NUMBER,
    "scaled": (NUMBER - NUMBER.mean()) / NUMBER.std(),
    "whether it is disco": NUMBER == 2,
    "a bit of the number": NUMBER & 1,
    "missing for jazz only": np.where(NUMBER == 3, np.nan, 0.5),
    "with mistakes": np.where(np.arange(200) % 25 == 0, 0, NUMBER),
    "number of the row": np.arange(200),
    "scaled number of the row": np.arange(200) / 199,
    "with gaps": np.sort(RANDOM.choice(2000, 200, replace=False)),
    "number of the artist": RANDOM.permutation(40)[np.repeat(np.arange(40), 5)],
    "with noise": NUMBER + RANDOM.normal(0, 0.02, 200),
}
HARMLESS: dict[str, NDArray[Any]] = {
    "noise": RANDOM.standard_normal(200),
    "constant": np.ones(200),
    "whole": RANDOM.integers(0, 200, 200),
    "binary": RANDOM.integers(0, 2, 200),
    "rare": RANDOM.random(200) < 0.01,
    "telling": NUMBER + RANDOM.normal(0, 0.5, 200),
    "missing": np.where(RANDOM.random(200) < 0.2, np.nan, RANDOM.standard_normal(200)),
    "huge": 1e30 * RANDOM.standard_normal(200),
}


@pytest.mark.parametrize(
    "order", [lambda rows: rows, RANDOM.permutation], ids=["sorted", "shuffled"]
)
def test_columns_that_tell_the_genre_are_found_and_no_others(
    order: Callable[[NDArray[np.intp]], NDArray[np.intp]],
) -> None:
    table = table_of(GENRES, **LEAKS, **HARMLESS).take(order(np.arange(200)))
    assert set(leaking_columns(table)) == set(LEAKS)


def test_the_share_is_that_of_the_nearest_neighbour() -> None:
    values = np.sort(RANDOM.choice(100_000, 200, replace=False)).astype(np.float64)
    found = leaking_columns(table_of(GENRES, f=values))
    nearest = KNeighborsClassifier(n_neighbors=1)
    expected = cross_val_score(nearest, values[:, None], GENRES, cv=LeaveOneOut())
    assert found == {"f": pytest.approx(expected.mean(), abs=0.01)}


def test_a_feature_may_well_tell_two_or_three_genres() -> None:
    for n_genres in (2, 3):
        table = blobs(40, n_genres, spread=100)
        assert leaking_columns(table) == {}
    few = table_of(np.array(["slow"] * 6 + ["fast"] * 6), beats=np.arange(12))
    assert leaking_columns(few) == {}


def test_tracks_without_a_label_and_own_columns_do_not_count() -> None:
    genres = np.where(np.arange(200) % 3 == 0, "", GENRES)
    table = table_of(genres, genre_id=np.where(genres == "", 7, NUMBER), **HARMLESS)
    assert leaking_columns(table) == {"genre_id": 1.0}
    own = table_of(GENRES, **{"percussive.tempo": NUMBER, "mix.rms.mean": np.arange(200)})
    assert leaking_columns(own) == {}
    assert leaking_columns(table_of(np.full(200, "rock"), f=NUMBER)) == {}
    assert leaking_columns(table_of(np.full(200, ""), f=NUMBER)) == {}


def test_many_columns_are_one_sentence() -> None:
    hot = {f"is_{i}": i == NUMBER for i in range(5)} | {f"id{i}": NUMBER + i for i in range(9)}
    [note] = leak_notes(table_of(GENRES, **hot))
    assert note.startswith("each of these columns alone determines the genre: is_0 (100%), is_1 ")
    assert " and 6 more; " in note
    assert note.count("(100%)") == 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise with genres; with the numbers of the rows; and with the number of the genre."""
    folder = tmp_path_factory.mktemp("tables")
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.standard_normal((200, 4)), columns=[f"mfcc{i}" for i in range(4)])
    table.insert(0, "filename", [f"{i}.wav" for i in range(200)])
    table["label"] = GENRES
    table.to_csv(folder / "plain.csv", index=False)
    table.to_csv(folder / "rows.csv")
    table.assign(genre_id=NUMBER).to_csv(folder / "ids.csv", index=False)
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


LDA = ["--classifier", "lda"]
TOLD = "column genre_id alone determines the genre of 100% of the tracks"


def test_the_number_of_the_row_is_no_feature(folder: Path) -> None:
    plain = json.loads(run("evaluate", folder / "plain.csv", *LDA, "--json", "-").stdout)
    rows = json.loads(run("evaluate", folder / "rows.csv", *LDA, "--json", "-").stdout)
    assert rows["confusion_matrix"] == plain["confusion_matrix"]
    assert rows["accuracy"] < 0.35
    assert "columns that number the rows, and are not features: Unnamed: 0" in rows["notes"]


def test_the_number_of_the_genre_is_named_in_commands_and_reports(
    folder: Path, tmp_path: Path
) -> None:
    model, html = tmp_path / "m.joblib", tmp_path / "r.html"
    ids = folder / "ids.csv"
    done = run("train", ids, *LDA, "-o", model, "--no-evaluate")
    assert f"warning: {TOLD}" in done.stderr
    done = run("evaluate", ids, *LDA, "--html", html)
    assert f"warning: {TOLD}" in done.stderr
    assert f"warning: {TOLD}" in " ".join(done.stdout.split())
    assert TOLD in html.read_text(encoding="utf-8")
    for options in (LDA, ["--model", model]):
        done = run("evaluate", ids, *options, "--json", "-")
        assert f"warning: {TOLD}" in done.stderr
        assert any(text.startswith(TOLD) for text in json.loads(done.stdout)["notes"])
    ways = ["--classifiers", "lda,knn", "--repeats", "1", "--set", "evaluation.folds=2"]
    compared = json.loads(run("compare", ids, *ways, "--json", "-").stdout)
    assert any(note.startswith(TOLD) for note in compared["notes"])
    ignored = run("evaluate", ids, *LDA, "--ignore", "genre_id")
    assert TOLD not in ignored.stderr + ignored.stdout
