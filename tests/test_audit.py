import csv
import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import run
from sample_tables import blobs, texts
from sklearn.linear_model import LogisticRegression

from genreclf.config.load import load_config
from genreclf.evaluation.audit import Audit, audit
from genreclf.evaluation.crossvalidation import choose_splits, cross_validate
from genreclf.tables.table import FeatureTable

FOUR_FOLDS = load_config(overrides=["classifier.name=logistic", "evaluation.folds=4"])
COLUMNS = [
    "kind", "path", "label", "predicted", "confidence", "label_confidence", "recording",
    "distance", "labels_differ",
]  # fmt: skip


def with_faults(group: bool = False) -> tuple[FeatureTable, dict[str, str]]:
    """Four genres of 30 tracks with wrong labels, and their right ones; four copies at the end.

    The first two copies are identical to their originals, the others nearly; the second and the
    third bear another label.
    """
    table = blobs(30, 4, 20, spread=2, group=lambda genre, i: f"{genre}-{i}" if group else "")
    labels = table.labels.copy()
    wrong = np.array([3, 25, 58, 77, 100, 113])
    right = dict(zip(table.paths[wrong], table.labels[wrong], strict=True))
    labels[wrong] = [f"genre{(int(label[-1]) + 1) % 4}" for label in labels[wrong]]
    originals = np.array([0, 1, 2, 4])
    copies = replace(table, labels=labels).take(np.r_[np.arange(120), originals])
    copies.paths[120:] = [f"copy of {path}" for path in table.paths[originals]]
    copies.values[122:] *= 1.001
    copies.labels[[121, 122]] = ["genre3", "genre0"]
    return copies, right


@pytest.fixture(scope="module")
def audited() -> Audit:
    return audit(with_faults()[0], FOUR_FOLDS)


def test_wrong_labels_are_found_with_the_right_ones(audited: Audit) -> None:
    _, right = with_faults()
    doubtful = audited.of_kind("label")
    found = {finding.path: finding.predicted for finding in doubtful}
    assert right.items() <= found.items()
    # Nothing else but the two copies whose labels differ from those of their originals.
    assert set(found) - set(right) == {"copy of 1/000.mp3", "copy of 2/000.mp3"}
    unlikely = [finding.label_confidence for finding in doubtful]
    assert unlikely == sorted(unlikely)
    for finding in doubtful:
        assert finding.predicted != finding.label
        assert finding.confidence > 5 * finding.label_confidence


def test_copies_are_named_with_their_kind_and_whether_labels_differ(audited: Audit) -> None:
    copies = audited.of_kind("exact", "near")
    assert [(c.recording, c.path, c.kind, c.labels_differ) for c in copies] == [
        (1, "0/000.mp3", "exact", False),
        (1, "copy of 0/000.mp3", "exact", False),
        (2, "1/000.mp3", "exact", True),
        (2, "copy of 1/000.mp3", "exact", True),
        (3, "2/000.mp3", "near", True),
        (3, "copy of 2/000.mp3", "near", True),
        (4, "0/001.mp3", "near", False),
        (4, "copy of 0/001.mp3", "near", False),
    ]
    assert all((c.distance == 0) == (c.kind == "exact") for c in copies)


def test_sound_tables_have_no_findings() -> None:
    result = audit(blobs(30, 4, 20, spread=2), FOUR_FOLDS)
    assert result.findings == []
    assert result.n_tracks == 120
    assert result.accuracy is not None


def test_labels_that_features_tell_nothing_of_are_not_doubted() -> None:
    table = blobs(50, 4, 20, spread=0)
    result = audit(table, FOUR_FOLDS)
    assert result.accuracy is not None
    assert result.accuracy < 0.4
    assert result.findings == []


def test_no_label_is_judged_by_what_was_trained_on_its_group() -> None:
    table, right = with_faults(group=True)
    result = audit(table, FOUR_FOLDS)
    evaluation = cross_validate(table, FOUR_FOLDS)
    assert evaluation.splits["kind"] == "grouped"
    assert result.accuracy == evaluation.accuracy
    assert set(right) <= {finding.path for finding in result.of_kind("label")}


def test_groups_take_no_further_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = []
    real = LogisticRegression.fit

    def counted(self: LogisticRegression, X: Any, y: Any) -> Any:
        fits.append(len(y))
        return real(self, X, y)

    monkeypatch.setattr(LogisticRegression, "fit", counted)
    audit(with_faults(group=True)[0], FOUR_FOLDS)
    assert len(fits) == 4


def test_genres_of_one_group_are_named() -> None:
    table, _ = with_faults(group=True)
    one = replace(table, groups=np.where(table.labels == "genre2", "one", table.groups))
    result = audit(one, FOUR_FOLDS)
    assert any(note.startswith("not tested: genre2") for note in result.notes)
    assert "genre2" not in {finding.predicted for finding in result.of_kind("label")}
    assert result.of_kind("label")


def test_a_table_without_labels_has_its_copies_found() -> None:
    table, _ = with_faults()
    result = audit(replace(table, labels=texts([""] * len(table))))
    assert result.accuracy is None
    assert {finding.kind for finding in result.findings} == {"exact", "near"}
    assert {finding.labels_differ for finding in result.findings} == {False}
    assert result.notes == ["no labels: looked for copies only"]


def test_labels_that_cannot_be_predicted_are_no_error() -> None:
    table, _ = with_faults()
    result = audit(replace(table, labels=texts(["one"] * len(table))))
    assert len(result.findings) == 8
    [note] = result.notes
    assert note.startswith("looked for copies only, because labels cannot be predicted: all")


def test_without_cleanlab_copies_are_found_and_the_remedy_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    path = tmp_path / "t.csv"
    with_faults()[0].save(path)
    done = run("audit", path)
    assert done.exit_code == 0
    assert "4 recordings have copies" in done.stdout
    assert "pip install 'genreclf[audit]'" in " ".join(done.stdout.split())


def test_copies_are_kept_in_one_fold_without_being_called_groups() -> None:
    table, _ = with_faults()
    splits = choose_splits(table, FOUR_FOLDS)
    assert splits.kind == "stratified"
    assert len(splits.folds) == 4
    for train, test in splits.folds:
        for original, copy in zip([0, 1, 2, 4], range(120, 124), strict=True):
            assert (original in train) == (copy in train) != (copy in test)
    evaluation = cross_validate(table, FOUR_FOLDS)
    assert evaluation.ungrouped_accuracy is None
    [note] = [note for note in evaluation.notes if "copies" in note]
    assert note.startswith("8 tracks are copies of one another (4 recordings)")
    assert any(note.startswith("no groups:") for note in evaluation.notes)


def test_copies_join_the_groups_that_they_are_in() -> None:
    table, _ = with_faults(group=True)
    apart = replace(table, groups=np.where(np.arange(124) >= 120, "sampler", table.groups))
    splits = choose_splits(apart, FOUR_FOLDS)
    assert splits.kind == "grouped"
    for _, test in splits.folds:
        together = {row in test for row in [0, 1, 2, 4, 120, 121, 122, 123]}
        assert len(together) == 1


def test_a_copy_makes_no_difference_to_the_number_of_folds() -> None:
    table, _ = with_faults()
    keep = np.ones(124, dtype=bool)
    keep[np.flatnonzero(table.labels == "genre3")[3:]] = False
    splits = choose_splits(table.take(keep), FOUR_FOLDS)
    assert splits.notes[0] == "3 folds instead of 4: genre3 has 3 tracks"


def test_published_folds_are_run_as_they_are_and_copies_apart_are_counted() -> None:
    table, _ = with_faults()
    folds = np.array([str(row % 2) for row in range(124)], dtype=object)
    folds[[120, 121]] = folds[[0, 1]]
    folds[[122, 123]] = ["1", "1"]  # their originals are in fold 0
    for published in (replace(table, folds=folds),
                      replace(table, split=np.where(folds == "0", "train", "test"))):  # fmt: skip
        evaluation = cross_validate(published, FOUR_FOLDS)
        assert evaluation.splits["kind"] in ("folds", "split")
        [note] = [note for note in evaluation.notes if "copies" in note]
        assert note.startswith("2 recordings have copies in both the training and the test set")


def test_csv_and_json_hold_the_same_findings(tmp_path: Path, audited: Audit) -> None:
    path = tmp_path / "t.csv"
    with_faults()[0].save(path)
    options = ("--classifier", "logistic", "--set", "evaluation.folds=4")
    done = run("audit", path, *options, "--csv", tmp_path / "found.csv", "--json", "-")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result == audited.to_dict()
    assert set(result) == {"n_tracks", "accuracy", "findings", "notes"}
    rows = list(csv.DictReader(io.StringIO((tmp_path / "found.csv").read_text())))
    assert list(rows[0]) == COLUMNS
    as_text = [
        {key: "" if value is None else str(value) for key, value in finding.items()}
        for finding in result["findings"]
    ]
    assert rows == as_text


def test_the_report_shows_what_needs_a_decision_first(tmp_path: Path) -> None:
    table, _ = with_faults()
    table.paths[121] = "copy \x1b[31m[bold].mp3"
    path = tmp_path / "t.csv"
    table.save(path)
    options = ("--classifier", "logistic", "--set", "evaluation.folds=4")
    done = run("audit", path, *options, "--top", 2)
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.stdout
    assert "[bold].mp3" in done.stdout
    assert "and 6 more (--top, --csv and --json show them)" in done.stdout
    assert "and 2 more (--top, --csv and --json show them)" in done.stdout
    assert "2 with identical features" in " ".join(done.stdout.split())
    assert done.stdout.count("labels differ") == 2


def test_names_that_are_no_text_are_escaped(tmp_path: Path) -> None:
    table, _ = with_faults()
    table.paths[120] = b"caf\xe9.mp3".decode("utf-8", "surrogateescape")
    table.labels[:] = ""
    table.save(tmp_path / "t.csv")
    done = run("audit", tmp_path / "t.csv", "--csv", tmp_path / "found.csv")
    assert done.exit_code == 0, done.output
    assert "caf\\udce9.mp3" in (tmp_path / "found.csv").read_text()
