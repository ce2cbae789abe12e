"""The review page without a browser: what is on it, and what a stranger's table cannot do to it."""

import base64
import csv
import hashlib
import io
import json
import os
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from documents import HOSTILE, Document
from helpers import run
from sample_tables import blobs, texts

from genreclf.config.load import load_config
from genreclf.config.views import Excerpt
from genreclf.evaluation.audit import audit
from genreclf.learning.model import Model
from genreclf.reports.auditpage import HeldOutModels, audit_page
from genreclf.reports.review import ReviewItem, file_uri, labels_command, review_page
from genreclf.tables.table import FeatureTable

QUICK = ("--classifier", "logistic", "--set", "evaluation.folds=4")


def data_of(page: str) -> dict[str, Any]:
    [text] = [text for attrs, text in Document(page).all("script") if attrs.get("id") == "data"]
    return json.loads(text)


def in_doubt() -> tuple[FeatureTable, set[str]]:
    """Four genres of 30 tracks with 4 wrong labels, a copy of another label, one odd track."""
    table = blobs(30, 4, 20, spread=2)
    wrong = np.array([3, 25, 58, 100])
    labels = table.labels.copy()
    labels[wrong] = [f"genre{(int(label[-1]) + 1) % 4}" for label in labels[wrong]]
    table = replace(table, labels=labels).take(np.r_[np.arange(120), 7, 9])
    table.paths[120:] = ["copy of 7.mp3", "a siren.mp3"]
    table.labels[120] = "genre1"
    table.names[:] = [f"{'ab'[i % 2]}_{i}" for i in range(20)]
    table.values[121] = np.where(np.arange(20) % 2, 12, -12)
    return table, set(table.paths[wrong])


# --- the page -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile() -> str:
    items = [
        ReviewItem(
            path=f"{text}/{text}.mp3", label=text, probabilities={text: 0.6, "rock": 0.4},
            explanation={text: 0.5}, doubts=("label", "copy"), copies=((text, text),),
            notes=(text,),
        )
        for text in HOSTILE
    ]  # fmt: skip
    return review_page(items, HOSTILE, command="-rf; <b>\n.csv", notes=HOSTILE)


def test_the_policy_allows_one_script_one_style_and_files_alone(hostile: str) -> None:
    document = Document(hostile)
    [policy] = [
        str(attrs["content"]) for attrs, _ in document.all("meta")
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]  # fmt: skip
    rules = {words[0]: words[1:] for words in map(str.split, policy.split(";"))}
    [script] = [text for attrs, text in document.all("script") if "type" not in attrs]
    [style] = [text for _, text in document.all("style")]
    for rule, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules.pop(rule) == [f"'sha256-{digest}'"]
    assert rules == {
        "default-src": ["'none'"], "media-src": ["file:"], "img-src": ["data:"],
        "base-uri": ["'none'"], "form-action": ["'none'"],
    }  # fmt: skip


def test_the_page_names_nothing_that_it_would_load(hostile: str) -> None:
    for tag, attrs, _ in Document(hostile).elements:
        assert not {name for name in attrs if name.startswith("on") or name == "style"}
        assert "src" not in attrs
        assert tag == "link" or "href" not in attrs
    assert not re.search(r"https?:|fetch\(|XMLHttpRequest|WebSocket|import\(|innerHTML", hostile)


def test_texts_of_strangers_are_data_and_come_back_unchanged(hostile: str) -> None:
    document = Document(hostile)
    assert len(document.all("script")) == 2
    assert not document.all("img")
    assert not document.all("b")
    assert hostile == hostile.encode("utf-8").decode("utf-8")
    assert "\x1b" not in hostile
    for item, text in zip(data_of(hostile)["items"], HOSTILE, strict=True):
        assert item["path"] == f"{text}/{text}.mp3"
        assert item["label"] == text
        assert item["genres"] == [["rock", 0.4]]
        assert item["prediction"] == [text, 0.6]
        assert item["copies"] == [[text, text]]


def test_pages_have_one_store_each_and_the_same_page_the_same() -> None:
    item = ReviewItem(path="a.mp3", label="rock")
    pages = [
        review_page([item], ["rock"]),
        review_page([item], ["rock"]),
        review_page([replace(item, label="pop")], ["rock"]),
        review_page([item], ["rock", "pop"]),
    ]
    assert pages[0] == pages[1]
    assert len({data_of(page)["id"] for page in pages}) == 3


def test_a_page_without_tracks_and_one_of_many_genres() -> None:
    assert data_of(review_page([], []))["items"] == []
    genres = [f"g{i:03}" for i in range(300)]
    shares = dict.fromkeys(reversed(genres), 1 / 300)
    item = ReviewItem(path="a.mp3", label="g000", probabilities=shares)
    data = data_of(review_page([item], genres))
    assert data["genres"] == genres
    assert [genre for genre, _ in data["items"][0]["genres"]] == genres[:-13:-1]
    assert data["items"][0]["share"] == pytest.approx(1 / 300)


def test_without_an_answer_the_labels_of_copies_come_first() -> None:
    item = ReviewItem(path="a.mp3", label="b", copies=(("c.mp3", "d"),))
    [shown] = data_of(review_page([item], list("abcd")))["items"]
    assert shown["genres"] == [["d", None], ["a", None], ["c", None]]


@pytest.mark.parametrize(
    ("table", "column", "words"),
    [
        ("t.csv", "label", ["t.csv", "-o", "t-corrected.csv"]),
        (
            "a/b.csv",
            "my genre",
            ["a/b.csv", "-o", "a/b-corrected.csv", "--label-column", "my genre"],
        ),
        ("my <&> $x/a.npz", "label", ["my <&> $x/a.npz", "-o", "my <&> $x/a-corrected.npz"]),
    ],
)
def test_the_page_names_the_command_for_its_corrections(
    table: str, column: str, words: list[str]
) -> None:
    page = review_page([], [], command=labels_command(Path(table), column))
    *_, command = [text for _, text in Document(page).all("code")]
    assert shlex.split(command) == ["genreclf", "labels", "apply", "corrections.csv", *words]


@pytest.mark.parametrize(
    "name",
    [
        "a #1?%20%.mp3",
        "new\nline\r.mp3",
        "é ü あ.mp3",
        "caf\udce9 \udcff.mp3",
        "'\"<&>.mp3",
        "a\\b;:",
    ],
)
def test_addresses_lead_to_the_file_that_is_named(name: str, tmp_path: Path) -> None:
    address = file_uri(str(tmp_path / name))
    scheme, _, path = address.partition("://")
    assert scheme == "file"
    assert re.fullmatch(r"[\w.%/~-]+", path, re.ASCII)
    assert os.fsdecode(unquote_to_bytes(path)) == str(tmp_path / name)


def test_addresses_of_relative_and_impossible_names() -> None:
    assert file_uri("music/a.mp3") == (Path.cwd() / "music/a.mp3").as_uri()
    assert file_uri("\ud800.mp3") == ""


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"seconds": 29.12, "start": None, "excerpts": 1, "earlier": 0}),
        ({"earlier_seconds": 5.0}, {"seconds": 29.12, "start": None, "excerpts": 1, "earlier": 5}),
        ({"strategy": "start"}, {"seconds": 29.12, "start": 0, "excerpts": 1, "earlier": 0}),
        (
            {"strategy": "window", "from_seconds": 60.0},
            {"seconds": 29.12, "start": 60, "excerpts": 1, "earlier": 0},
        ),
        ({"strategy": "full"}, {"seconds": 600, "start": None, "excerpts": 1, "earlier": 0}),
        (
            {"strategy": "multi", "excerpts": 4, "seconds": 10.0},
            {"seconds": 10, "start": None, "excerpts": 4, "earlier": 0},
        ),
        ({"strategy": "energy"}, None),
        ({"strategy": "highlight"}, None),
        ({"strategy": "window"}, None),
    ],
)
def test_the_script_is_told_how_excerpts_are_placed(settings: Any, expected: Any) -> None:
    assert data_of(review_page([], [], excerpt=Excerpt(**settings)))["excerpt"] == expected


# --- audit ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    in_doubt()[0].save(folder / "t.csv")
    html = folder / "review.html"
    done = run("audit", folder / "t.csv", *QUICK, "--html", html, "--json", folder / "a.json")
    assert done.exit_code == 0, done.output
    assert f"review page written to {html}" in done.stderr
    return folder


def by_doubt(page: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for item in data_of(page)["items"]:
        for doubt in item["doubts"]:
            found.setdefault(doubt, []).append(item)
    return found


def test_audit_puts_its_findings_on_the_page(audited: Path) -> None:
    page = (audited / "review.html").read_text(encoding="utf-8")
    found = by_doubt(page)
    findings = json.loads((audited / "a.json").read_text())["findings"]
    labels = [finding for finding in findings if finding["kind"] == "label"]
    assert {item["path"] for item in found["label"]} >= in_doubt()[1]
    assert [item["path"] for item in found["label"]] == [finding["path"] for finding in labels]
    for item, finding in zip(found["label"], labels, strict=True):
        assert item["label"] == finding["label"]
        assert item["prediction"] == [finding["predicted"], pytest.approx(finding["confidence"])]
        assert item["genres"][0] == item["prediction"]
        assert item["share"] == pytest.approx(finding["label_confidence"])
    assert {item["path"] for item in found["copy"]} == {"3/001.mp3", "copy of 7.mp3"}
    pair = {item["path"]: item["copies"] for item in found["copy"]}
    assert pair["copy of 7.mp3"] == [["3/001.mp3", "genre3"]]
    assert found["novel"][0]["path"] == "a siren.mp3"
    assert len(found["novel"]) < 6
    assert "of their predictions agree with the labels" in page
    assert "genreclf labels apply corrections.csv" in page
    paths = [item["path"] for item in data_of(page)["items"]]
    assert len(paths) == len(set(paths))


def assert_explained(page: str) -> None:
    """Each probability less its reasons is that of the average track, similar in all folds."""
    averages: dict[str, list[float]] = {}
    for item in data_of(page)["items"]:
        if item["prediction"]:
            genre, share = item["prediction"]
            assert {group for group, _ in item["reasons"]} == {"a", "b"}
            rest = share - sum(contribution for _, contribution in item["reasons"])
            averages.setdefault(genre, []).append(rest)
    for rests in averages.values():
        assert max(rests) - min(rests) < 0.15
    assert sum(np.median(rests) for rests in averages.values()) == pytest.approx(1, abs=0.25)


def test_explanations_of_an_audit_add_up_to_its_probabilities(audited: Path) -> None:
    assert_explained((audited / "review.html").read_text(encoding="utf-8"))


def test_so_do_those_of_tracks_with_several_excerpts() -> None:
    table, _ = in_doubt()
    noise = np.random.default_rng(1).standard_normal((len(table), 3, 20)).astype(np.float32)
    table = replace(table, excerpts=table.values[:, None] + 2 * noise)
    config = load_config(overrides=["classifier.name=svm", "evaluation.folds=4"])
    models = HeldOutModels()
    result = audit(table, config, on_model=models.add)
    assert result.evaluation is not None
    assert result.evaluation.config.learn_from == "excerpts"
    assert_explained(audit_page(result, table, models, 100, ""))


def test_the_page_says_what_it_leaves_out(audited: Path, tmp_path: Path) -> None:
    html = tmp_path / "r.html"
    run("audit", audited / "t.csv", *QUICK, "--html", html, "--html-top", 1)
    page = html.read_text(encoding="utf-8")
    assert len(by_doubt(page)["label"]) == 1
    n = len(by_doubt((audited / "review.html").read_text(encoding="utf-8"))["label"])
    assert f"The page shows the first 1 of {n} doubtful labels." in page


def test_a_table_without_paths_is_refused_before_any_training(tmp_path: Path) -> None:
    table, _ = in_doubt()
    table.to_frame().drop(columns="path").to_csv(tmp_path / "t.csv", index=False)
    done = run("audit", tmp_path / "t.csv", *QUICK, "--html", tmp_path / "r.html")
    assert done.exit_code == 1
    assert "names no files to listen to; a review page needs the column path" in done.stderr
    assert not (tmp_path / "r.html").exists()


def test_a_table_without_labels_has_a_page_of_novel_tracks(tmp_path: Path) -> None:
    table, _ = in_doubt()
    replace(table, labels=texts([""] * len(table))).save(tmp_path / "t.csv")
    done = run("audit", tmp_path / "t.csv", "--html", tmp_path / "r.html")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    first, *others = data_of(page)["items"]
    assert first["path"] == "a siren.mp3"
    assert {tuple(item["doubts"]) for item in others} == {("novel",)}
    assert "No labels: looked for copies only." in page


# --- predict --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.joblib"
    table = blobs(30, 4, 20, spread=0.7)
    Model.fit(table, load_config(overrides=["classifier.name=lda"])).save(path)
    return path


def test_predictions_of_a_table_are_ranked_by_their_margin(model: Path, tmp_path: Path) -> None:
    table = blobs(15, 4, 20, spread=0.7, seed=0)
    table.values[:3] = 30.0
    table.paths[3] = "caf\udce9.mp3"
    table.save(tmp_path / "t.csv")
    command = ("predict", "--table", tmp_path / "t.csv", "--model", model)
    done = run(*command, "--html", tmp_path / "r.html", "--html-top", 10, "--format", "csv")
    assert done.exit_code == 0, done.output
    assert done.stdout == run(*command, "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    genres = [f"genre{i}" for i in range(4)]
    novel = [row["path"] for row in rows if row["novel"] == "true"]

    def margin(row: dict[str, str]) -> float:
        *_, second, first = sorted(float(row[genre]) for genre in genres)
        return first - second

    others = sorted((row for row in rows if row["novel"] == "false"), key=margin)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    items = data_of(page)["items"]
    assert {item["path"] for item in items if "novel" in item["doubts"]} == set(novel)
    shown = [item for item in items if "novel" not in item["doubts"]]
    assert [item["path"].replace("\udce9", r"\udce9") for item in shown] == [
        row["path"] for row in others[:10]
    ]
    assert items[: len(novel)] == [item for item in items if "novel" in item["doubts"]]
    assert f"The page shows the 10 least certain of {len(others)} other tracks." in page
    for item, row in zip(shown, others, strict=False):
        assert ("uncertain" in item["doubts"]) == (float(row["confidence"]) < 0.5)
        assert item["label"] in genres
        assert item["reasons"]


def test_explanations_are_printed_only_if_they_are_asked_for(model: Path, tmp_path: Path) -> None:
    blobs(3, 4, 20).save(tmp_path / "t.csv")
    command = ("predict", "--table", tmp_path / "t.csv", "--model", model, "--format", "jsonl")
    html = ("--html", tmp_path / "r.html")
    assert "explanation" not in run(*command, *html).stdout
    assert run(*command, *html, "--explain").stdout == run(*command, "--explain").stdout


def test_a_page_is_about_whole_files_and_ends_in_html(tmp_path: Path) -> None:
    done = run("predict", "a.mp3", "--timeline", "--html", tmp_path / "r.html")
    assert done.exit_code == 2
    assert "--html is about whole files" in done.stderr
    done = run("predict", "a.mp3", "--html", tmp_path / "r.csv")
    assert done.exit_code == 2
    assert "ends in .html" in done.stderr
