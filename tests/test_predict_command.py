"""``predict`` for libraries: thresholds, timelines, explanations, playlists, tags."""

import csv
import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from conftest import clicks, music, noise
from helpers import run
from mutagen.apev2 import APEv2
from sample_models import QUICK, edited

from genreclf.config.load import load_config
from genreclf.evaluation.crossvalidation import cross_validate
from genreclf.extraction.tracks import extract
from genreclf.learning.model import Model
from genreclf.learning.modelfile import bundled_model, read_card
from genreclf.library.tags import read_tags

RATE = 22050


@pytest.fixture(scope="module")
def model(genre_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.joblib"
    table = extract(genre_folder, QUICK)
    Model.fit(table, QUICK, evaluation=cross_validate(table, QUICK)).save(path)
    return path


@pytest.fixture
def library(genre_folder: Path, tmp_path: Path) -> Path:
    """Two tonal files, one of them tagged, and a noisy one."""
    folder = tmp_path / "library"
    folder.mkdir()
    for name, genre in (("a", "tonal"), ("b", "tonal"), ("c", "noisy")):
        shutil.copy(genre_folder / genre / "0.mp3", folder / f"{name}.mp3")
    file = mutagen.File(folder / "b.mp3")
    file.add_tags()
    file.tags.add(mutagen.id3.TCON(encoding=3, text="Rock"))
    file.save()
    return folder


@pytest.fixture(scope="module")
def changing(write_audio: Callable[..., Path]) -> Path:
    noisy = clicks(126, 6, RATE) + noise(6, RATE, 0.02, seed=2)
    parts = (music(6, RATE, seed=1, bpm=60), np.zeros(2 * RATE, np.float32), noisy)
    return write_audio("changing.wav", np.concatenate(parts), RATE)


def records(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def genres(folder: Path) -> dict[str, tuple[str, ...]]:
    return {path.name: read_tags(path).get("genre", ()) for path in sorted(folder.glob("*.mp3"))}


def test_a_table_is_printed_in_pieces(
    model: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run("predict", ".", "--model", model, cwd=library).stdout
    assert whole.count("confidence") == 1
    monkeypatch.setattr(sys.modules["genreclf.cli.predictions"], "TABLE_ROWS", 2)
    pieces = run("predict", ".", "--model", model, cwd=library).stdout
    assert pieces.count("confidence") == 2
    for name in "abc":
        assert f"{name}.mp3" in pieces


def test_the_threshold_that_a_model_knows(model: Path, library: Path, tmp_path: Path) -> None:
    known = read_card(model).evaluation
    assert known is not None
    assert known["accuracy"] == 1
    done = run("predict", library, "--model", model, "--threshold", "auto")
    assert (
        "threshold: 0; its evaluation had no wrong predictions, so nothing is withheld"
        in done.stderr
    )
    assert "unknown" not in done.stdout
    suggested = {"suggested_threshold": {"confidence": 0.9999, "precision": 0.5, "coverage": 0.5}}
    some = known | suggested | {"accuracy": 0.9}
    replace(Model.load(model), evaluation=some).save(tmp_path / "some.joblib")
    done = run("predict", library, "--model", tmp_path / "some.joblib", "--threshold", "auto")
    assert "threshold: 1.00; 50% of the tracks" in done.stderr
    assert "measured without groups" in done.stderr
    # It is the confidence of a genre, and not that of "unknown".
    assert re.search(r"unknown │ +(tonal|noisy) \d+% │", done.stdout)
    surest = {"target_precision": 0.9, "confidence": 0.9999, "precision": 1, "coverage": 0.1}
    asked = replace(Model.load(model), evaluation=known | {"threshold": surest})
    asked.save(tmp_path / "asked.joblib")
    done = run("predict", library, "--model", tmp_path / "asked.joblib", "--threshold", "auto",
               "--format", "jsonl")  # fmt: skip
    assert all(
        (record["genre"] == "unknown") == (record["confidence"] < 0.9999)
        for record in records(done.stdout)
    )
    replace(asked, evaluation=None).save(tmp_path / "none.joblib")
    done = run("predict", library, "--model", tmp_path / "none.joblib", "--threshold", "auto")
    assert done.exit_code == 1
    assert "not evaluated and has no threshold" in done.stderr
    assert run("predict", library, "--threshold", "high").exit_code == 2
    nonsense = {"threshold": {"x": 1}}
    damaged = edited(asked, tmp_path / "d.joblib", lambda card: card.update(evaluation=nonsense))
    done = run("predict", library, "--model", damaged, "--threshold", "auto")
    assert "evaluation is damaged" in done.stderr


def test_the_bundled_model_knows_a_threshold(short_song: Path) -> None:
    known = read_card(bundled_model()).evaluation
    assert known is not None
    threshold = known["suggested_threshold"]
    assert 0.3 < threshold["confidence"] < 0.7
    done = run("predict", short_song, "--model", bundled_model(), "--threshold", "auto")
    told = f"threshold: {threshold['confidence']:.2f}; {threshold['coverage']:.0%} of the tracks"
    assert told in done.stderr


def test_a_threshold_to_a_tenth_where_the_evaluation_is_older(model: Path) -> None:
    known = dict(read_card(model).evaluation or {})
    known.pop("suggested_threshold", None)
    older = replace(Model.load(model), evaluation=known)
    confidence = older.sensible_threshold().confidence
    assert confidence == pytest.approx(round(confidence, 1))


def test_loudness_decides_nothing(tmp_path: Path) -> None:
    for seed in range(3):
        signal = music(12, RATE, seed=seed, bpm=80 + 20 * seed)
        for decibels in (0, 6, 20, 40):
            path = tmp_path / f"{seed} at {decibels}.wav"
            # In floating point, so that a lower level loses nothing.
            soundfile.write(path, signal * 10 ** (-decibels / 20), RATE, subtype="FLOAT")
    done = run("predict", tmp_path, "--model", bundled_model(), "--format", "jsonl", "--jobs", 1)
    answers = records(done.stdout)
    assert len(answers) == 12
    for record, loud in zip(answers, np.repeat(answers[::4], 4), strict=True):
        assert record["genre"] == loud["genre"]
        assert record["confidence"] == pytest.approx(loud["confidence"], abs=0.01)
        assert record.get("novel") == loud.get("novel")


def test_a_review_page_has_the_files_with_answers_and_reasons(
    model: Path, library: Path, tmp_path: Path
) -> None:
    (library / "broken.mp3").write_text("no music")
    page = tmp_path / "review.html"
    done = run("predict", library, "--model", model, "--format", "jsonl", "--html", page)
    assert done.exit_code == 3
    predicted = {record["path"]: record for record in records(done.stdout) if "genre" in record}
    [data] = re.findall(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    found = json.loads(data)
    assert {item["path"] for item in found["items"]} == set(predicted)
    assert found["excerpt"]["seconds"] == QUICK.excerpt.seconds
    for item in found["items"]:
        record = predicted[item["path"]]
        assert item["prediction"] == [record["genre"], pytest.approx(record["confidence"])]
        assert item["uri"] == Path(item["path"]).as_uri()
        assert item["reasons"]
        assert not item["label"]
        [(start, stop)] = item["spans"]
        seconds = soundfile.info(item["path"]).duration
        wanted = min(QUICK.excerpt.seconds, seconds)
        assert (start, stop) == pytest.approx(
            ((seconds - wanted) / 2, (seconds + wanted) / 2), abs=0.01
        )
    before = page.read_bytes()
    done = run("predict", library / "broken.mp3", "--model", model, "--html", page)
    assert done.exit_code == 1
    assert page.read_bytes() == before


def test_explanations_in_table_and_jsonl(model: Path, library: Path) -> None:
    table = run("predict", library, "--model", model, "--explain").stdout
    assert "because" in table
    assert re.search(r"[+-]\d", table)
    done = run("predict", library, "--model", model, "--explain", "--format", "jsonl")
    for record in records(done.stdout):
        explanation = record["explanation"]
        assert isinstance(explanation, list)
        assert {tuple(part) for part in explanation} == {("group", "contribution")}
        assert {"rhythm", "timbre (MFCC)"} < {part["group"] for part in explanation}
    plain = run("predict", library, "--model", model, "--format", "jsonl")
    assert all("explanation" not in record for record in records(plain.stdout))


def test_a_timeline_in_every_format(model: Path, changing: Path) -> None:
    options = ["predict", changing, "--model", model, "--timeline", "--step", 2]
    text = run(*options).stdout
    assert "AAA·BBB" in text
    assert re.search(r"0:00 .* 0:06 .* tonal", text)
    assert re.search(r"0:06 .* 0:08 .* silence", text)
    assert re.search(r"0:08 .* 0:14 .* noisy", text)
    [record] = records(run(*options, "--format", "jsonl").stdout)
    assert record["path"] == str(changing)
    line = record["timeline"]
    assert isinstance(line, list)
    assert [part["genre"] for part in line] == ["tonal"] * 3 + [None] + ["noisy"] * 3
    assert [(part["start"], part["stop"]) for part in line] == [
        (start, start + 2) for start in range(0, 14, 2)
    ]
    assert line[0]["confidence"] == max(line[0]["probabilities"].values())
    assert line[3]["confidence"] is None
    assert line[3]["probabilities"] == {}
    rows = list(csv.DictReader(io.StringIO(run(*options, "--format", "csv").stdout)))
    assert [row["genre"] for row in rows] == [part["genre"] or "" for part in line]
    assert float(rows[0]["tonal"]) == line[0]["probabilities"]["tonal"]


@pytest.mark.parametrize(("seconds", "warned"), [(1, True), (2, False)])
def test_windows_far_shorter_than_the_excerpts_get_a_warning(
    tmp_path: Path, genre_folder: Path, seconds: float, warned: bool
) -> None:
    config = load_config(
        overrides=["excerpt.seconds=3", "separation=none", "features.select=['mix.mfcc']"]
    )
    model = tmp_path / "model.joblib"
    Model.fit(extract(genre_folder, config), config).save(model)
    song = genre_folder / "noisy" / "1.mp3"
    done = run("predict", song, "--model", model, "--timeline", "--window", seconds)
    assert done.exit_code == 0
    assert (
        "less than half as long as the excerpts of 3 s" in " ".join(done.stderr.split())
    ) == warned


def test_timelines_of_several_files_and_failures(model: Path, library: Path) -> None:
    (library / "bad.mp3").write_bytes(b"")
    done = run("predict", library, "--model", model, "--timeline", "--format", "jsonl")
    assert done.exit_code == 3
    found = records(done.stdout)
    assert [Path(str(record["path"])).name for record in found] == [
        "a.mp3", "b.mp3", "bad.mp3", "c.mp3",
    ]  # fmt: skip
    assert ["error" in record for record in found] == [False, False, True, False]
    assert "4" not in done.stderr.split("failed")[0].split(",")[0]
    assert "3 tracks, 1 failed" in done.stderr


def test_a_timeline_is_drawn(model: Path, changing: Path, library: Path, tmp_path: Path) -> None:
    picture = tmp_path / "a.svg"
    done = run("predict", changing, "--model", model, "--timeline", "--plot", picture)
    assert done.exit_code == 0
    text = picture.read_text()
    for shown in ("tonal", "noisy", "changing.wav", "probability"):
        assert shown in text
    done = run("predict", library, "--model", model, "--timeline", "--plot", picture)
    assert done.exit_code == 2
    assert "draws one file, not 3" in done.stderr


def test_playlists(model: Path, library: Path, tmp_path: Path) -> None:
    done = run("predict", library, "--model", model, "--m3u", tmp_path / "new/lists")
    assert done.exit_code == 0
    assert "2 playlists written" in done.stderr
    text = (tmp_path / "new/lists/tonal.m3u8").read_text()
    assert "../../library/a.mp3" in text
    assert "../../library/b.mp3" in text
    run("predict", library, "--model", bundled_model(), "--m3u", tmp_path / "p", "--threshold", 1)
    assert {path.name for path in (tmp_path / "p").iterdir()} <= {"unknown.m3u8", "novel.m3u8"}


def test_tags_are_never_written_unasked_nor_in_a_dry_run(model: Path, library: Path) -> None:
    before = {path: path.read_bytes() for path in library.iterdir()}
    run("predict", library, "--model", model)
    done = run("predict", library, "--model", model, "--write-tags", "--dry-run", "-q")
    assert done.exit_code == 0
    assert f"{library / 'a.mp3'}: genre none -> tonal" in done.stderr
    assert f"{library / 'b.mp3'}: genre Rock -> tonal" in done.stderr
    assert {path: path.read_bytes() for path in library.iterdir()} == before


def test_tags_are_written_and_restored(model: Path, library: Path, tmp_path: Path) -> None:
    backup = tmp_path / "tags.jsonl"
    before = genres(library)
    done = run("predict", library, "--model", model, "--write-tags", "--backup", backup,
               "--format", "jsonl")  # fmt: skip
    assert done.exit_code == 0
    predicted = {Path(str(r["path"])).name: (r["genre"],) for r in records(done.stdout)}
    assert genres(library) == predicted
    assert "3 tags written" in done.stderr
    assert f"genreclf tags restore {backup}" in done.stderr
    again = run("predict", library, "--model", model, "--write-tags", "--backup", backup)
    assert "0 tags written, 3 already as predicted" in again.stderr
    told = run("tags", "restore", backup, "--dry-run")
    assert f"{library / 'b.mp3'}: genre tonal -> Rock" in told.stdout
    assert genres(library) == predicted
    restored = run("tags", "restore", backup)
    assert restored.exit_code == 0
    assert restored.stdout == told.stdout
    assert "3 tags restored" in restored.stderr
    assert genres(library) == before
    assert "0 tags restored, 3 already as before" in run("tags", "restore", backup).stderr


def test_only_missing_genres_are_written(model: Path, library: Path, tmp_path: Path) -> None:
    ape = APEv2()
    ape["Genre"] = "Jazz"
    ape.save(library / "a.mp3")
    numbered = mutagen.File(library / "c.mp3")
    numbered.add_tags()
    numbered.tags.add(mutagen.id3.TCON(encoding=0, text=["(250)"]))  # which is no genre
    numbered.save()
    before = {name: (library / name).read_bytes() for name in ("a.mp3", "b.mp3")}
    options = ["predict", library, "--model", model, "--write-tags", "--only-missing"]
    told = run(*options, "--dry-run").stderr
    assert f"{library / 'c.mp3'}: genre none -> noisy" in told
    assert "1 tag would be written, 2 with a genre left alone, 0 unknown" in told
    done = run(*options, "--backup", tmp_path / "tags.jsonl")
    assert "1 tag written, 2 with a genre left alone, 0 unknown" in done.stderr
    assert genres(library) == {"a.mp3": ("Jazz",), "b.mp3": ("Rock",), "c.mp3": ("noisy",)}
    assert {name: (library / name).read_bytes() for name in before} == before
    run("tags", "restore", tmp_path / "tags.jsonl")
    assert mutagen.id3.ID3(library / "c.mp3", translate=False)["TCON"].text == ["(250)"]


def test_a_name_of_255_bytes_is_written(model: Path, library: Path, tmp_path: Path) -> None:
    long = (library / "b.mp3").rename(library / ("\u0416" * 125 + ".mp3"))
    backup = tmp_path / "tags.jsonl"
    done = run("predict", long, "--model", model, "--write-tags", "--backup", backup)
    assert done.exit_code == 0
    assert genres(library)[long.name] == ("tonal",)
    assert run("tags", "restore", backup).exit_code == 0
    assert genres(library)[long.name] == ("Rock",)


def test_a_file_that_was_written_twice_gets_its_first_tag(
    model: Path, library: Path, tmp_path: Path
) -> None:
    backup, other = tmp_path / "tags.jsonl", tmp_path / "other.joblib"
    Model.load(model).save(other)
    renamed = Model.load(model)
    replace(renamed, genres=["x", "y"]).save(other)
    for used in (model, other):
        run("predict", library, "--model", used, "--write-tags", "--backup", backup)
    assert set(genres(library).values()) == {("x",), ("y",)}
    assert run("tags", "restore", backup, "--dry-run").stdout.count("->") == 6
    run("tags", "restore", backup)
    assert genres(library) == {"a.mp3": (), "b.mp3": ("Rock",), "c.mp3": ()}


def test_backups_go_to_the_data_folder_unless_told_otherwise(
    model: Path, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENRECLF_DATA", str(tmp_path / "data"))
    done = run("predict", library, "--model", model, "--write-tags", "-v")  # not trusted here
    assert done.exit_code == 1
    done = run("predict", library, "--model", model, "--trust", "--write-tags", "-v")
    assert f"{library / 'a.mp3'}: genre none -> tonal" in done.stderr
    [backup] = (tmp_path / "data/tags").iterdir()
    assert run("tags", "restore", backup).exit_code == 0


def test_unknown_and_novel_files_keep_their_tags(
    model: Path, library: Path, tmp_path: Path, write_audio: Callable[..., Path]
) -> None:
    before = genres(library)
    done = run("predict", library, "--model", bundled_model(), "--write-tags", "--threshold", 1)
    assert "0 tags written, 0 already as predicted, 3 unknown or novel" in done.stderr
    assert genres(library) == before
    strange = write_audio("strange.flac", noise(4, RATE, 0.5), RATE, tmp_path)
    done = run("predict", strange, "--model", bundled_model(), "--write-tags", "--format", "jsonl")
    [record] = records(done.stdout)
    assert record["novel"] is True
    assert "1 unknown or novel" in done.stderr
    assert read_tags(strange) == {}


def test_files_that_cannot_be_written_are_told(model: Path, library: Path, tmp_path: Path) -> None:
    (library / "a.mp3").chmod(0o444)
    backup = tmp_path / "tags.jsonl"
    for options in (["--dry-run"], ["--backup", backup]):
        done = run("predict", library, "--model", model, "--write-tags", *options)
        assert done.exit_code == 3
        assert "a.mp3: its genre tag cannot be written; the file is read-only" in done.stderr
        assert "1 failed" in done.stderr
    assert genres(library)["a.mp3"] == ()
    (library / "c.mp3").unlink()
    done = run("tags", "restore", backup)
    assert done.exit_code == 3
    assert "c.mp3: no such file" in done.stderr
    assert genres(library)["b.mp3"] == ("Rock",)
    assert run("tags", "restore", library / "b.mp3").exit_code == 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--window", 5], "--window needs --timeline"),
        (["--plot", "a.png"], "--plot needs --timeline"),
        (["--dry-run"], "--dry-run needs --write-tags"),
        (["--only-missing"], "--only-missing needs --write-tags"),
        (["--backup", "b.jsonl"], "--backup needs --write-tags"),
        (["--timeline", "--write-tags"], "--write-tags is about whole files"),
        (["--timeline", "--explain"], "--explain is about whole files"),
        (["--write-tags", "--dry-run", "--backup", "b"], "there is nothing to --backup"),
        (["--timeline", "--window", 0.5], "0.5"),
    ],
)
def test_options_without_effect_are_wrong_usage(
    model: Path, song: Path, options: list[object], reason: str
) -> None:
    done = run("predict", song, "--model", model, *options)
    assert done.exit_code == 2
    assert reason in done.stderr


def test_tables_have_no_files_to_write(model: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("path,label,group,x\n")
    for option in ("--write-tags", "--timeline"):
        done = run("predict", "--table", table, "--model", model, option)
        assert done.exit_code == 2
        assert f"{option} needs audio files" in done.stderr
