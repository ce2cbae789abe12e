"""Variants on the same folds: what is compared, and what is said of it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import noise, sine

from genreclf.cli import cli
from genreclf.config.load import load_config
from genreclf.errors import TableError
from genreclf.evaluation import comparison
from genreclf.evaluation.comparison import compare
from genreclf.evaluation.intervals import wilson_interval
from genreclf.evaluation.matching import match_tracks
from genreclf.evaluation.planning import (
    Choices,
    PlanError,
    estimate,
    extraction_variants,
    plan_comparison,
    reference_number,
    with_tables,
)
from genreclf.evaluation.variants import Variant
from genreclf.tables.table import FeatureTable

QUICK = load_config(overrides=["classifier.name=lda", "evaluation.folds=5"])


def table(distance: float, n: int = 60, seed: int = 0, groups: bool = False) -> FeatureTable:
    """Two genres, ``distance`` standard deviations apart in one of three columns."""
    random = np.random.default_rng(seed)
    labels = np.array(["folk", "rock"] * (n // 2), dtype=object)
    values = random.standard_normal((n, 3)).astype(np.float32)
    values[:, 0] += distance * (labels == "rock")
    names = [f"artist{i // 4}" if groups else "" for i in range(n)]
    return FeatureTable(
        paths=np.array([f"{i:03d}.mp3" for i in range(n)], dtype=object),
        labels=labels,
        groups=np.array(names, dtype=object),
        names=["a", "b", "c"],
        values=values,
    )


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_all_variants_are_trained_and_tested_on_the_same_tracks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[list[tuple[list[int], list[int]]]] = []
    real = comparison.predict_held_out

    def watched(table: FeatureTable, config: Any, splits: Any, *rest: Any) -> Any:
        seen.append([(list(train), list(test)) for train, test in splits.folds])
        return real(table, config, splits, *rest)

    monkeypatch.setattr(comparison, "predict_held_out", watched)
    grouped = table(1, groups=True)
    compare([Variant("a", grouped, QUICK), Variant("b", table(2, groups=True), QUICK)], repeats=2)
    assert len(seen) == 4
    assert seen[:2] == seen[2:]
    assert seen[0] != seen[1]  # another round has other folds
    for train, test in seen[0]:
        assert not set(grouped.groups[train]) & set(grouped.groups[test])


def test_a_real_difference_is_found_and_none_where_there_is_none() -> None:
    variants = [
        Variant("weak", table(0.5, n=120), QUICK),
        Variant("strong", table(6, n=120), QUICK),
        Variant("weak too", table(0.5, n=120, seed=1), QUICK),
    ]
    result = compare(variants, repeats=2)
    strong, other = result.differences
    assert (strong.variant, strong.verdict) == ("strong", "better")
    for found in (strong, other):  # the test that is less sure decides
        assert found.t_test is not None
        assert found.group_t_test is not None
        assert found.p_value == max(found.t_test.p_value, found.group_t_test.p_value)
        decides = found.t_test if found.test == "t" else found.group_t_test
        assert found.interval == decides.interval
    assert strong.interval[0] > 0
    assert other.verdict == "noise"
    assert other.interval[0] < 0 < other.interval[1]
    accuracies = [score.accuracy for score in result.scores]
    assert strong.difference == pytest.approx(accuracies[1] - accuracies[0])


def test_an_oracle_column_in_one_fold_is_no_better_table() -> None:
    """One artist of twelve is told by a leak: it is right for that artist alone."""
    labels = np.repeat(["folk", "rock"], 60).astype(object)
    names = np.repeat([f"artist{i}" for i in range(12)], 10).astype(object)
    plain = replace(table(0.3, n=120, seed=3), labels=labels, groups=names)
    told = plain.values.copy()
    told[:10, 1] -= 50
    config = load_config(overrides=["classifier.name=knn", "evaluation.folds=5"])
    leaky = replace(plain, values=told)
    result = compare([Variant("a", plain, config), Variant("b", leaky, config)], repeats=2)
    assert result.differences[0].verdict == "noise"


def test_one_artist_cannot_tell_a_difference() -> None:
    whole = replace(table(0, n=40), split=np.array(["train"] * 20 + ["test"] * 20, dtype=object))
    alone = replace(whole, groups=np.array(["x"] * 40, dtype=object))
    better = replace(alone, values=table(9, n=40).values)
    [found] = compare([Variant("a", alone, QUICK), Variant("b", better, QUICK)]).differences
    assert (found.interval, found.group_t_test, found.test) == ((-1, 1), None, "permutation")
    assert found.verdict in ("noise", "same")


def test_the_same_predictions_are_called_so() -> None:
    same = table(2)
    result = compare([Variant("a", same, QUICK), Variant("b", same, QUICK)], repeats=1)
    [difference] = result.differences
    assert difference.verdict == "same"
    assert difference.difference == 0
    assert difference.p_value == 1
    assert difference.t_test is None
    assert json.loads(json.dumps(result.to_dict()))["comparisons"][0]["p_value"] == 1


def test_each_against_each() -> None:
    variants = [Variant(str(i), table(i), QUICK) for i in range(3)]
    result = compare(variants, repeats=1, reference=None)
    pairs = [(found.reference, found.variant) for found in result.differences]
    assert pairs == [("0", "1"), ("0", "2"), ("1", "2")]


def test_tracks_are_matched_by_path_and_others_left_out() -> None:
    first, second = table(1), table(2)
    shuffled = second.take(np.random.default_rng(0).permutation(50))
    (one, two), notes = match_tracks({"a": first, "b": shuffled})
    assert list(one.paths) == list(two.paths) == [f"{i:03d}.mp3" for i in range(50)]
    np.testing.assert_array_equal(two.values, second.values[:50])
    assert notes == ["10 of 60 tracks of a are not in all tables and are left out"]


def test_tables_that_contradict_each_other_are_refused() -> None:
    first = table(1)
    labels = first.labels.copy()
    labels[3] = "jazz"
    with pytest.raises(TableError, match=r"b: labels of 1 tracks differ.*003\.mp3 is 'jazz'"):
        match_tracks({"a": first, "b": replace(first, labels=labels)})
    elsewhere = replace(first, paths=np.array([f"x/{p}" for p in first.paths], dtype=object))
    with pytest.raises(TableError, match=r"no track is in every table: a .*, b .*'x/000\.mp3'"):
        match_tracks({"a": first, "b": elsewhere})


def test_a_plan_names_only_what_varies() -> None:
    plan = plan_comparison(Choices(classifiers=["lda", "knn"], variants=["odd: pca=off"]), ["a"])
    assert [variant.name for variant in plan] == ["lda", "knn", "odd"]
    assert {variant.source for variant in plan} == {"a"}
    assert plan[2].config.classifier.name == "lda"
    plan = plan_comparison(Choices(classifiers=["lda", "knn"]), ["a", "b"])
    assert [variant.name for variant in plan] == ["a, lda", "a, knn", "b, lda", "b, knn"]
    assert reference_number(plan, "b, lda") == 2
    on_audio = plan_comparison(Choices(configs=["default", "wide"], variants=["C: classifier.C=1"]))
    assert [variant.name for variant in extraction_variants(on_audio)] == ["default", "wide"]
    with pytest.raises(PlanError, match="default and again are the same"):
        plan_comparison(Choices(classifiers=["lda"], variants=["again: excerpt.seconds=9"]), ["a"])


@pytest.mark.parametrize("published", [False, True])
def test_trainings_of_a_comparison_are_counted(published: bool) -> None:
    known = table(1)
    if published:
        known = replace(known, folds=np.array(["x", "y", "z"] * 20, dtype=object))
    plan = plan_comparison(Choices(classifiers=["lda", "knn"]), ["a"])
    variants, _ = with_tables(plan, {"a": known})
    work = estimate(variants, repeats=2)
    done: list[int] = []
    result = compare(variants, repeats=2, on_fold=lambda: done.append(1))
    assert len(done) == work.n_trainings
    assert result.splits["n_folds"] == work.n_folds
    assert result.splits["n_repeats"] == work.n_rounds


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "weak.csv", tmp_path / "strong.csv"
    for path, distance in zip(paths, (0.5, 6), strict=True):
        table(distance, groups=True).save(path)
    return paths


OPTIONS = ["--classifier", "lda", "--repeats", "1", "--set", "evaluation.folds=5"]


def test_two_tables_on_the_command_line(saved: tuple[Path, Path], tmp_path: Path) -> None:
    done = run("compare", *saved, *OPTIONS)
    assert done.exit_code == 0, done.output
    assert "60 tracks in 15 groups" in done.stdout
    assert "strong is better than weak by" in done.stdout
    picture = tmp_path / "c.png"
    done = run("compare", *saved, *OPTIONS, "--json", "-", "--plot", picture, "-q")
    result = json.loads(done.stdout)
    assert [variant["name"] for variant in result["variants"]] == ["weak", "strong"]
    [difference] = result["comparisons"]
    assert difference["verdict"] == "better"
    assert difference["more_than_noise"]
    assert result["n_groups"] == 15
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_ways_of_learning_on_one_table(saved: tuple[Path, Path]) -> None:
    options = ["--repeats", "1", "--set", "evaluation.folds=3", "--json", "-", "-q"]
    done = run("compare", saved[1], "--classifiers", "lda,knn", *options,
               "--variant", "near: classifier.name=knn classifier.n_neighbors=1")  # fmt: skip
    assert done.exit_code == 0, done.output
    variants = json.loads(done.stdout)["variants"]
    assert [variant["name"] for variant in variants] == ["lda", "knn", "near"]
    assert variants[2]["config"]["classifier"] == {
        "name": "knn", "n_neighbors": 1, "weights": "distance",
    }  # fmt: skip


def test_configurations_on_audio_with_a_file_that_fails(tmp_path: Path, write_audio: Any) -> None:
    for i in range(4):
        write_audio(f"tone/{i}.wav", sine(200 + 100 * i, 2, 8000), 8000, tmp_path)
        write_audio(f"noise/{i}.wav", noise(2, 8000, seed=i), 8000, tmp_path)
    (tmp_path / "noise" / "broken.wav").write_bytes(b"no music")
    done = run("compare", tmp_path, "--config", "fast", "--variant", "short: excerpt.seconds=1",
               "--classifier", "lda", "--repeats", "1", "--set", "evaluation.folds=2",
               "--jobs", "1", "--no-cache", "--json", "-")  # fmt: skip
    assert done.exit_code == 3, done.output
    result = json.loads(done.stdout)
    assert [variant["name"] for variant in result["variants"]] == ["fast", "short"]
    assert result["n_tracks"] == 8
    [failed] = result["failed"]
    assert Path(failed["path"]).name == "broken.wav"
    assert "no groups" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "there is only one variant"),
        (["--config", "default,wide"], "are the same: on a table"),
        (["--classifiers", "lda,svm", "--reference", "knn"], "no such variant"),
        (["--classifiers", "lda,svm", "--folds", "a", "--split", "b"], "exclude each other"),
        (["--classifiers", "lda,svm", "--labels", "none"], "are for audio"),
    ],
)
def test_what_cannot_be_compared_is_wrong_usage(
    saved: tuple[Path, Path], arguments: list[str], reason: str
) -> None:
    done = run("compare", saved[0], *arguments)
    assert done.exit_code == 2
    assert reason in " ".join(done.stderr.split())


def test_a_variant_with_an_unknown_key_is_named(saved: tuple[Path, Path]) -> None:
    done = run("compare", saved[0], "--variant", "odd: classifier.D=1")
    assert done.exit_code == 1
    assert done.stderr.startswith("genreclf: --variant odd: ")


def test_the_last_line_names_the_variant_that_fails_and_why(
    saved: tuple[Path, Path], tmp_path: Path, write_audio: Any
) -> None:
    done = run("compare", saved[0], *OPTIONS, "--variant", "many: pca=9")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith("genreclf: many: pca = 9: ")
    done = run("compare", saved[0], *OPTIONS, "--variant", "odd: excerpt.seconds=9 pca=off")
    assert done.exit_code == 2
    assert "excerpt.seconds is fixed in the table" in " ".join(done.stderr.split())
    for i in range(2):
        write_audio(f"music/tone/{i}.wav", sine(200 + 100 * i, 2, 8000), 8000, tmp_path)
        write_audio(f"music/noise/{i}.wav", noise(1.5, 8000, seed=i), 8000, tmp_path)
    quick = ["--config", "fast", "--classifier", "lda", "--jobs", "1", "--no-cache"]
    music = ["compare", tmp_path / "music", *quick]
    for length, told in (
        (3, r"long: none of 4 files gave features; the last reason: .*tone/1\.wav: .*"),
        (
            1.8,
            r"all tracks are 'tone'; .* \(2 files gave no features, .* with long: .*1\.wav: .*\)",
        ),
    ):
        done = run(*music, "--variant", f"long: excerpt.min_seconds={length}")
        assert done.exit_code == 1
        last = done.stderr.splitlines()[-1]
        assert re.fullmatch(f"genreclf: {told}", last), last


def test_copies_count_once_in_the_intervals() -> None:
    thrice = table(1.5, n=40).take(np.tile(np.arange(40), 3))
    other = load_config(overrides=["classifier.name=knn", "evaluation.folds=4"])
    result = compare([Variant("a", thrice, QUICK), Variant("b", thrice, other)], repeats=1)
    assert result.differences[0].permutation.n_units == 40
    for score in result.scores:
        n = 40 / (1 + 2 / np.pi)  # since chance is within reach
        expected = wilson_interval(score.accuracy * n, n)
        low, high = score.interval
        assert high - low == pytest.approx(expected[1] - expected[0], abs=0.05)
        assert high - low > 0.2  # of 120 independent tracks, it would be 0.16


def test_kept_frames_and_their_codebook_against_none(tmp_path: Path, write_audio: Any) -> None:
    for i in range(4):
        write_audio(f"tone/{i}.wav", sine(200 + 100 * i, 2, 8000), 8000, tmp_path / "music")
        write_audio(f"noise/{i}.wav", noise(2, 8000, seed=i), 8000, tmp_path / "music")
    features = tmp_path / "f.csv"
    done = run("extract", tmp_path / "music", "-o", features, "--config", "fast", "--jobs", "1",
               "--no-cache", "--set", 'pooling.keep_frames=["mix.mfcc"]',
               "--set", "pooling.frames_per_track=16")  # fmt: skip
    assert done.exit_code == 0, done.output
    seen: list[int] = []
    real = comparison.predict_held_out
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            comparison, "predict_held_out",
            lambda t, config, *rest: seen.append(config.codebook.n_words) or real(t, config, *rest),
        )  # fmt: skip
        done = run(
            "compare", features, "--classifier", "lda", "--repeats", "1",
            "--set", "evaluation.folds=2", "--variant", "none: codebook.words=off",
        )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert seen == [64, 0]
