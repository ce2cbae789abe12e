import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import music

from genreclf.config.load import load_config
from genreclf.config.schema import Config, ExtractionConfig
from genreclf.extraction import journal
from genreclf.extraction.journal import extract_resumably, journal_path
from genreclf.extraction.tracks import Failure, Outcome, Row, build_table, extract_tracks
from genreclf.library.sources import Track

# Two seconds without separation: some milliseconds a track.
QUICK = load_config(overrides=["excerpt.seconds=2", "separation=none"])


@pytest.fixture
def tracks(tmp_path: Path) -> list[Track]:
    made = []
    for i in range(5):
        path = tmp_path / f"música {i}.wav"
        soundfile.write(path, music(2, 12000, seed=i), 12000)
        made.append(Track(path, f"genre{i % 2}", "g"))
    return made


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "features.csv"


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose features were really computed."""
    names: list[str] = []

    def counted(tracks: Iterable[Track], *rest: Any) -> Iterator[Outcome]:
        for outcome in extract_tracks(tracks, *rest):
            names.append(outcome.track.path.name)
            yield outcome

    monkeypatch.setattr(journal, "extract_tracks", counted)
    return names


def run(tracks: list[Track], output: Path, config: Config = QUICK) -> list[Row]:
    rows = list(extract_resumably(tracks, config, output))
    assert all(isinstance(row, Row) for row in rows)
    return rows


def stop_after(n: int, tracks: list[Track], output: Path) -> None:
    outcomes = extract_resumably(tracks, QUICK, output)
    assert len(list(islice(outcomes, n))) == n
    outcomes.close()


def assert_like_uninterrupted(
    rows: list[Row], tracks: list[Track], config: ExtractionConfig = QUICK
) -> None:
    expected = build_table((row for row in extract_tracks(tracks, config)), config)
    table = build_table(rows, config)
    for column in ("paths", "labels", "groups"):
        assert list(getattr(table, column)) == list(getattr(expected, column))
    assert table.values.tobytes() == expected.values.tobytes()


def test_the_journal_stands_beside_the_output(tmp_path: Path) -> None:
    assert journal_path(tmp_path / "a.csv") == tmp_path / "a.csv.partial"


@pytest.mark.parametrize("n", [0, 1, 3, 5])
def test_a_second_run_computes_only_what_the_first_did_not(
    tracks: list[Track], output: Path, computed: list[str], n: int
) -> None:
    stop_after(n, tracks, output)
    assert computed == [track.path.name for track in tracks[:n]]
    computed.clear()
    rows = run(tracks, output)
    assert computed == [track.path.name for track in tracks[n:]]
    assert_like_uninterrupted(rows, tracks)
    computed.clear()
    assert_like_uninterrupted(run(tracks, output), tracks)
    assert computed == []


def test_each_row_is_on_the_disk_before_it_is_given_out(tracks: list[Track], output: Path) -> None:
    outcomes = extract_resumably(tracks, QUICK, output)
    for n, outcome in enumerate(outcomes, start=1):
        lines = journal_path(output).read_text(encoding="ascii").split("\n")
        assert sum(bool(line) for line in lines) == n
        assert outcome.track == tracks[n - 1]


def test_interruptions_again_and_again(
    tracks: list[Track], output: Path, computed: list[str]
) -> None:
    for n in range(1, 5):
        stop_after(n, tracks, output)
    assert_like_uninterrupted(run(tracks, output), tracks)
    assert sorted(computed) == sorted(track.path.name for track in tracks)


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 100])
def test_a_line_cut_off_is_ignored_and_spoils_no_other(
    tracks: list[Track], output: Path, computed: list[str], cut: int
) -> None:
    stop_after(3, tracks, output)
    path = journal_path(output)
    path.write_bytes(path.read_bytes()[:-cut])
    computed.clear()
    assert_like_uninterrupted(run(tracks, output), tracks)
    assert computed == [track.path.name for track in tracks[2:]]
    computed.clear()
    run(tracks, output)
    assert computed == []


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"\xff\0garbage\n", b'{"a": 3}\n', b"[1, 2]\n", b'["a", "!"]\n', b"3"]
)
def test_a_journal_of_something_else_is_ignored(
    tracks: list[Track], output: Path, content: bytes
) -> None:
    journal_path(output).write_bytes(content)
    assert_like_uninterrupted(run(tracks[:2], output), tracks[:2])


def test_another_configuration_computes_all_anew(
    tracks: list[Track], output: Path, computed: list[str]
) -> None:
    run(tracks, output)
    computed.clear()
    other = load_config(overrides=["excerpt.seconds=2", "separation=none", "spectra.n_mels=64"])
    assert_like_uninterrupted(run(tracks, output, other), tracks, other)
    assert len(computed) == len(tracks)


def test_what_is_not_extraction_changes_nothing(
    tracks: list[Track], output: Path, computed: list[str]
) -> None:
    run(tracks, output)
    computed.clear()
    overrides = ["excerpt.seconds=2", "separation=none", "seed=4", "classifier.name=knn"]
    run(tracks, output, load_config(overrides=overrides))
    assert computed == []


def test_a_changed_file_is_computed_anew(
    tracks: list[Track], output: Path, computed: list[str]
) -> None:
    run(tracks, output)
    computed.clear()
    soundfile.write(tracks[1].path, music(2, 12000, seed=77), 12000)
    assert_like_uninterrupted(run(tracks, output), tracks)
    assert computed == [tracks[1].path.name]


def test_labels_are_those_of_this_run(
    tracks: list[Track], output: Path, computed: list[str]
) -> None:
    run(tracks, output)
    computed.clear()
    renamed = [replace(track, label="other", group=None) for track in tracks]
    assert_like_uninterrupted(run(renamed, output), renamed)
    assert computed == []


def test_failures_are_tried_anew(tracks: list[Track], output: Path, computed: list[str]) -> None:
    missing = replace(tracks[0], path=tracks[0].path.with_name("later.wav"))
    first = list(extract_resumably([missing, *tracks[1:]], QUICK, output))
    assert [type(outcome) for outcome in first] == [Failure, Row, Row, Row, Row]
    tracks[0].path.rename(missing.path)
    computed.clear()
    rows = run([missing, *tracks[1:]], output)
    assert computed == ["later.wav"]
    assert_like_uninterrupted(rows, [missing, *tracks[1:]])


def test_failures_only_leave_no_row(tmp_path: Path, output: Path) -> None:
    [outcome] = extract_resumably([Track(tmp_path / "missing.wav")], QUICK, output)
    assert isinstance(outcome, Failure)
    assert journal_path(output).read_text() == ""


def test_all_tracks_come_once(tracks: list[Track], output: Path) -> None:
    stop_after(2, tracks[2:], output)
    rows = run(tracks, output)
    assert {row.track for row in rows} == set(tracks)
    assert len(rows) == len(tracks)
    assert all(np.isfinite(row.measured.statistics).all() for row in rows)


def test_a_row_of_another_length_is_computed_anew(
    tracks: list[Track], output: Path, computed: list[str]
) -> None:
    run(tracks, output)
    path = journal_path(output)
    first, *others = [line for line in path.read_text().split("\n") if line]
    identity, *_ = json.loads(first)
    path.write_text("\n".join([json.dumps([identity, "AACAPw=="]), *others]))
    computed.clear()
    assert_like_uninterrupted(run(tracks, output), tracks)
    assert computed == [tracks[0].path.name]
