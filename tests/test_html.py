"""The HTML report as a browser, a screen reader and a person with bad intentions meet it."""

import base64
import csv
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import HOSTILE, Document
from helpers import run
from sample_tables import blobs, texts
from sklearn.metrics import confusion_matrix

from genreclf.config.load import load_config
from genreclf.config.schema import Config
from genreclf.evaluation import importance
from genreclf.evaluation.crossvalidation import cross_validate
from genreclf.evaluation.importance import ImportanceMeter
from genreclf.reports.html import Measured, html_report
from genreclf.reports.trackmap import N_COLOURS
from genreclf.tables.table import FeatureTable


def report(table: FeatureTable, config: Config | None = None) -> str:
    config = config or load_config(overrides=["classifier.name=lda", "evaluation.folds=4"])
    meter = ImportanceMeter(table, config)
    evaluation = cross_validate(table, config, on_model=meter)
    return html_report(
        Measured(evaluation, table, meter), evaluation.to_dict(), ["genreclf", "evaluate"]
    )


def three_parts(**blobs_options: Any) -> FeatureTable:
    table = blobs(n_features=6, **blobs_options)
    table.names[:] = [f"{part}.f{i}" for part in ("harmonic", "percussive", "mix") for i in (0, 1)]
    return table


@pytest.fixture(scope="module")
def plain() -> str:
    return report(three_parts(n_per_genre=15, n_genres=4, spread=0.7,
                              group=lambda genre, i: f"{genre}-{i // 3}"))  # fmt: skip


@pytest.fixture(scope="module")
def hostile() -> str:
    table = three_parts(n_per_genre=8, n_genres=len(HOSTILE), spread=1.0)
    names = texts(HOSTILE)
    labels = names[[int(label.removeprefix("genre")) for label in table.labels]]
    paths = texts([f"{label}/{i}{label}" for i, label in enumerate(labels)])
    return report(FeatureTable(paths, labels, table.groups, table.names, table.values))


def style_of(text: str) -> str:
    [(_, css)] = Document(text).all("style")
    return css


def test_nothing_is_loaded_and_nothing_runs(plain: str, hostile: str) -> None:
    for text in (plain, hostile):
        document = Document(text)
        tags = {tag for tag, _, _ in document.elements}
        assert not tags & {"script", "img", "iframe", "object", "embed", "base", "form"}
        for tag, attributes, _ in document.elements:
            assert not {name for name in attributes if name.startswith("on")}, tag
            assert "style" not in attributes
            for name in ("src", "href", "xlink:href"):
                assert (attributes.get(name) or "#").startswith("#") or tag == "link"
        assert [attributes["href"] for attributes, _ in document.all("link")] == ["data:,"]
        assert not re.search(r"@import|url\(|https?://", style_of(text))
    assert not re.search(r"https?://", plain)


def test_the_policy_names_the_style_by_its_hash(plain: str) -> None:
    policy = next(
        attributes["content"] or ""
        for attributes, _ in Document(plain).all("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    digest = hashlib.sha256(style_of(plain).encode()).digest()
    assert f"style-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_hostile_names_stay_text(hostile: str) -> None:
    document = Document(hostile)
    assert len(document.all("style")) == 1
    shown = {text for _, text in document.all("bdi")}
    assert {name for name in HOSTILE if name.isprintable() and len(name) <= 40} <= shown
    assert "\N{REPLACEMENT CHARACTER}gnp.exe" in shown
    assert "caf\N{REPLACEMENT CHARACTER}" in shown
    everything = hostile.encode("utf-8").decode("utf-8")  # no lone surrogates
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", everything)
    assert "x" * 400 not in everything


def test_it_can_be_heard_as_well_as_seen(plain: str, hostile: str) -> None:
    for text in (plain, hostile):
        document = Document(text)
        [(html, _)] = document.all("html")
        assert html["lang"] == "en"
        titles = [title for _, title in document.all("title")]
        assert "genreclf" in titles[0]
        ids = [attributes["id"] for _, attributes, _ in document.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        levels = [int(tag[1]) for tag, _, _ in document.elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(b <= a + 1 for a, b in pairwise(levels))
        for tag, attributes, _ in document.elements:
            for name in ("aria-labelledby", "aria-describedby"):
                assert set((attributes.get(name) or "").split()) <= set(ids)
            if tag == "svg" and attributes.get("aria-hidden") != "true":
                assert attributes["role"] == "img"
                assert len((attributes["aria-labelledby"] or "").split()) == 2
            if tag == "th":
                assert attributes["scope"] in {"row", "col"}
            if tag == "a":
                assert (attributes["href"] or "")[1:] in ids
        assert len(document.all("caption")) == len(document.all("table"))
        scrolled = [a for _, a, _ in document.elements if (a.get("class") or "").startswith("scro")]
        assert all(a["tabindex"] == "0" and a["aria-labelledby"] for a in scrolled)


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    shares = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_the_contrast_that_wcag_asks_for(plain: str, scheme: str) -> None:
    light, dark = re.findall(r":root \{([^}]*--paper[^}]*)\}", style_of(plain))
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", light if scheme == "light" else dark))
    for background in ("paper", "panel"):
        for text in ("ink", "soft", "link"):
            assert contrast(colours[text], colours[background]) >= 4.5, (text, background)
        for mark in ("fill", "line", *(f"c{i}" for i in range(N_COLOURS))):
            assert contrast(colours[mark], colours[background]) >= 3, (mark, background)
    assert contrast(colours["ink"], colours["fill"]) >= 3  # an interval across its bar
    for shade in range(1, 11):
        text = colours["on-low" if shade < 6 else "on-high"]
        assert contrast(text, colours[f"s{shade}"]) >= 4.5, shade


def cells_of_matrix(text: str) -> list[list[int]]:
    matrix = text[text.index('aria-labelledby="confusion-caption"') :]
    body = matrix[matrix.index("<tbody>") : matrix.index("</tbody>")]
    rows = [re.findall(r"<td[^>]*>(\d*)</td>", row) for row in body.split("</tr>")[:-1]]
    return [[int(cell or 0) for cell in row] for row in rows]


def test_the_figures_are_those_of_the_evaluation(plain: str) -> None:
    table = three_parts(n_per_genre=15, n_genres=4, spread=0.7,
                        group=lambda genre, i: f"{genre}-{i // 3}")  # fmt: skip
    config = load_config(overrides=["classifier.name=lda", "evaluation.folds=4"])
    evaluation = cross_validate(table, config)
    held_out = evaluation.held_out
    expected = confusion_matrix(held_out.labels, held_out.predicted)
    cells = np.array(cells_of_matrix(plain))
    np.testing.assert_array_equal(cells[:, :-1], expected)
    np.testing.assert_array_equal(cells[:, -1], expected.sum(axis=1))
    low, high = evaluation.interval
    for share in (evaluation.accuracy, low, high, evaluation.ungrouped_accuracy or 0):
        assert f"{share:.1%}" in plain
    assert plain.count("<use href") - 4 == len(table)  # every track, and the key


def test_the_most_confidently_wrong_come_first() -> None:
    table = three_parts(n_per_genre=20, n_genres=3, spread=6.0)
    mislabelled = [5, 31, 44]
    for row in mislabelled:
        table.labels[row] = next(g for g in table.genres if g != table.labels[row])
    text = report(table)
    section = text[text.index('id="doubtful"') : text.index('id="table"')]
    listed = re.findall(r'class="path"><bdi>([^<]*)<', section)
    assert set(listed[:3]) == {table.paths[row] for row in mislabelled}


def test_tables_of_very_many_genres_and_tracks_give_small_files() -> None:
    text = report(three_parts(n_per_genre=36, n_genres=70, spread=3.0))
    assert len(text) < 1_000_000
    cells = np.array(cells_of_matrix(text))
    assert cells.shape == (60, 61)
    assert cells[:, :-1].sum() == 70 * 36
    assert "The map shows 2000 of 2520 tracks" in text
    assert "11 others" in text


def test_two_genres_that_are_told_apart_and_missing_values_are_reported_too() -> None:
    table = three_parts(n_per_genre=10, n_genres=2, spread=9.0)
    table.values[3, 2] = np.nan
    table.values[:, 5] = 1.0
    text = report(table)
    assert "all predictions are correct" in text
    assert "1 (0.8%)" in text


def test_an_accuracy_no_better_than_the_baseline_is_called_so() -> None:
    text = report(three_parts(n_per_genre=12, n_genres=2, spread=0.0))
    assert "The interval is not above that" in text


def test_the_same_table_gives_the_same_report(plain: str) -> None:
    again = report(three_parts(n_per_genre=15, n_genres=4, spread=0.7,
                               group=lambda genre, i: f"{genre}-{i // 3}"))  # fmt: skip
    assert again == plain


def only_mix_tells(n: int = 200) -> FeatureTable:
    table = three_parts(n_per_genre=n // 2, n_genres=2, spread=0.0)
    table.values[:, 4] += np.where(table.labels == "genre0", 8, -8)
    return table


def test_what_alone_tells_the_genre_is_worth_all_that_is_above_chance() -> None:
    table, config = only_mix_tells(), load_config(overrides=["classifier.name=lda"])
    meter = ImportanceMeter(table, config)
    accuracy = cross_validate(table, config, on_model=meter).accuracy
    first, *others = meter.importances()
    assert (first.name, first.n_columns) == ("mix", 2)
    assert first.low < first.drop < first.high
    assert accuracy - first.drop == pytest.approx(0.5, abs=0.06)
    for other in others:
        assert other.low <= 0 <= other.high
        assert other.drop == pytest.approx(0, abs=0.02)


def test_importance_is_measured_on_held_out_tracks_only() -> None:
    table, config = only_mix_tells(40), load_config(overrides=["classifier.name=lda"])
    seen: list[str] = []
    cross_validate(table, config, on_model=lambda pipeline, part: seen.extend(part.paths))
    assert sorted(seen) == sorted(table.paths)


@pytest.mark.parametrize("n", [10, 1000, 30_000])
def test_importance_costs_a_bounded_number_of_predictions(n: int) -> None:
    class Counting:
        n_predicted = 0

        def predict(self, values: Any) -> Any:
            self.n_predicted += len(values)
            return np.full(len(values), "genre0", dtype=object)

    table, pipeline = only_mix_tells(n), Counting()
    meter = ImportanceMeter(table, Config())
    meter(pipeline, table)
    assert meter.n_tracks == min(n, importance.MOST_PREDICTIONS // 3 + 1)
    assert pipeline.n_predicted <= 1.4 * importance.MOST_PREDICTIONS
    assert 1 <= meter.n_repeats <= importance.MOST_REPEATS


def test_the_template_is_part_of_the_package() -> None:
    for name in ("report.html", "report.css"):
        assert (files("genreclf.reports") / "templates" / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def table_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("html") / "table.csv"
    three_parts(n_per_genre=10, spread=1.0).save(path)
    return path


def test_evaluate_writes_a_report_beside_text_and_json(table_file: Path, tmp_path: Path) -> None:
    options = ("--classifier", "lda", "--target-precision", "0.8", "--permutations", 20)
    plain = run("evaluate", table_file, *options)
    done = run("evaluate", table_file, *options, "--html", tmp_path / "r.html")
    assert done.exit_code == 0, done.output
    assert done.stdout == plain.stdout
    assert "report written to " in done.stderr
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    Document(text)
    assert "have to be withheld" in text
    assert "The probability of such an accuracy by chance is p = 0.0" in text
    assert "Which features the accuracy depends on" in text
    assert "<span>--target-precision</span> <span>0.8</span>" in text
    done = run("evaluate", table_file, *options, "--html", tmp_path / "s.html", "--json", "-")
    assert done.stdout.startswith("{")
    assert (tmp_path / "s.html").is_file()
    low = ("evaluate", table_file, "--classifier", "lda", "--target-precision", "0.5")
    done = run(*low, "--html", tmp_path / "t.html")
    accuracy = re.search(r"^accuracy (\S+)", done.stdout)
    assert accuracy is not None
    assert (
        f"a precision of 50% needs no threshold: {accuracy[1]} of all predictions are correct"
        in done.stdout
    )
    assert "A precision of 50% needs no threshold" in (tmp_path / "t.html").read_text(
        encoding="utf-8"
    )


def test_train_reports_its_cross_validation_and_evaluate_a_saved_model(
    table_file: Path, tmp_path: Path
) -> None:
    model = tmp_path / "m.joblib"
    done = run("train", table_file, "-o", model, "--classifier", "lda",
               "--html", tmp_path / "t.html")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "10-fold cross-validation" in (tmp_path / "t.html").read_text(encoding="utf-8")
    done = run("evaluate", table_file, "--model", model, "--html", tmp_path / "e.html")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "e.html").read_text(encoding="utf-8")
    Document(text)
    assert "accuracy of the saved model on the" in text
    assert "Which features the accuracy depends on" in text
    assert "held out" not in text
    assert "copies of one another" not in text


def test_wrong_usage_is_told_beforehand(table_file: Path, tmp_path: Path) -> None:
    done = run("train", table_file, "--no-evaluate", "--html", tmp_path / "r.html")
    assert done.exit_code == 2
    assert "--no-evaluate" in done.stderr
    for name in (table_file, "-", tmp_path / "r.pdf"):
        done = run("evaluate", table_file, "--html", name)
        assert done.exit_code == 2
        assert ".html" in done.stderr


def test_a_file_name_that_is_no_text_stands_in_a_report(
    tmp_path: Path, write_surrogate: Callable[[Path], Path]
) -> None:
    table = write_surrogate(tmp_path)
    done = run("evaluate", table, "--classifier", "lda", "--html", tmp_path / "r.html")
    assert done.exit_code == 0, done.output
    assert "\N{REPLACEMENT CHARACTER}.mp3" in (tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.fixture
def write_surrogate() -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "t.csv"
        table = three_parts(n_per_genre=10, spread=1.0)
        with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "label", *table.names])
            for i, row in enumerate(table.values):
                writer.writerow([f"{i}\udce9.mp3", table.labels[i], *row])
        return path

    return write


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the report with")
def test_a_browser_has_nothing_to_complain_of(hostile: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(hostile, encoding="utf-8")
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr",
            "--window-size=390,844", "--dump-dom", page.as_uri(),
        ],
        capture_output=True, timeout=60, check=True, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert b"CONSOLE" not in done.stderr
    drawn = done.stdout.decode("utf-8")
    assert drawn.count("<use ") == hostile.count("<use ")
    assert "<script" not in drawn
