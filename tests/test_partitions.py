import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from genreclf.cli import cli
from genreclf.config.load import load_config
from genreclf.errors import TableError
from genreclf.extraction.journal import exclusive_run, extract_resumably, journal_path
from genreclf.extraction.partitions import extract_in_parts
from genreclf.extraction.tracks import Row, extract_tracks
from genreclf.library.sources import Track, find_tracks
from genreclf.tables.reading import load_table

pytest.importorskip("pyarrow", reason="needs the extra parquet")

CONFIG = load_config("default", ["excerpt.seconds=2"])


def extract(*arguments: object) -> Any:
    return CliRunner().invoke(
        cli, ["extract", "--jobs", "1", "--set", "excerpt.seconds=2", *map(str, arguments)]
    )


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.parquet"))


def test_a_folder_reads_as_the_same_table_as_one_file(genre_folder: Path, tmp_path: Path) -> None:
    whole, folder = tmp_path / "whole.parquet", tmp_path / "parts.parquet"
    assert extract(genre_folder, "-o", whole).exit_code == 0
    done = extract(genre_folder, "-o", folder, "--rows-per-file", 5)
    assert done.exit_code == 0, done.output
    assert "12 tracks (12 from the cache), 0 failed" in done.stderr
    assert parts(folder) == [f"part-0000{i}.parquet" for i in range(3)]
    assert not journal_path(folder).exists()
    one, other = load_table(whole), load_table(folder)
    for name in ("paths", "labels", "groups", "values"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.names, one.config, one.notes) == (other.names, other.config, other.notes)


def test_commands_read_folders(genre_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "parts.parquet"
    extract(genre_folder, "-o", folder, "--rows-per-file", 7)
    for arguments in (
        ["train", folder, "-o", tmp_path / "model.joblib", "--no-evaluate"],
        ["evaluate", folder],
        ["inspect", folder],
    ):
        done = CliRunner().invoke(cli, list(map(str, arguments)))
        assert done.exit_code == 0, done.output
        assert re.search("12 tracks|tracks +12", done.output)


def test_finished_parts_stay_and_failures_are_tried_anew(
    genre_folder: Path, tmp_path: Path
) -> None:
    music, folder = tmp_path / "music", tmp_path / "parts.parquet"
    shutil.copytree(genre_folder, music)
    broken = music / "noisy" / "3.mp3"
    audio = broken.read_bytes()
    broken.write_bytes(b"")
    options = [music, "-o", folder, "--rows-per-file", 4, "--no-cache"]
    assert extract(*options).exit_code == 3
    first = [(folder / name).stat().st_mtime_ns for name in parts(folder)]
    done = extract(*options)
    assert done.exit_code == 3
    assert "11 tracks (11 finished by an earlier run), 1 failed" in done.stderr
    assert [(folder / name).stat().st_mtime_ns for name in parts(folder)] == first
    broken.write_bytes(audio)
    done = extract(*options)
    assert done.exit_code == 0
    # The part with the new file is of other files than before; the other two are not.
    assert "12 tracks (8 finished by an earlier run), 0 failed" in done.stderr
    assert len(load_table(folder)) == 12


def test_parts_of_more_tracks_than_now_go(genre_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "parts.parquet"
    extract(genre_folder, "-o", folder, "--rows-per-file", 5)
    extract(genre_folder / "tonal", "-o", folder, "--rows-per-file", 5)
    assert parts(folder) == ["part-00000.parquet", "part-00001.parquet"]
    assert set(load_table(folder).labels) == {"tonal"}


def test_interrupted_it_is_no_table_and_goes_on(genre_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "parts.parquet"
    tracks = find_tracks([genre_folder]).tracks
    computed: list[Track] = []

    def compute(chunk: Sequence[Track]) -> Any:
        for outcome in extract_resumably(chunk, CONFIG, folder):
            assert isinstance(outcome, Row)
            if not outcome.resumed:
                computed.append(outcome.track)
            yield outcome

    with exclusive_run(folder):
        outcomes = extract_in_parts(tracks, CONFIG, folder, 5, compute)
        seen = [next(outcomes) for _ in range(8)]
        outcomes.close()
    assert all(isinstance(row, Row) and not row.measured.statistics.size for row in seen)
    with pytest.raises(TableError, match="not all of its parts are there yet"):
        load_table(folder)
    with exclusive_run(folder):
        outcomes = list(extract_in_parts(tracks, CONFIG, folder, 5, compute))
    assert len(computed) == len(set(computed)) == len(outcomes) == 12
    reference = {row.track.path: row.measured.statistics for row in extract_tracks(tracks, CONFIG)}
    table = load_table(folder)
    np.testing.assert_array_equal(table.values, [reference[Path(p)] for p in table.paths])


def test_what_others_made_is_left_alone(genre_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "parts.parquet"
    folder.mkdir()
    (folder / "mine.parquet").touch()
    done = extract(genre_folder, "-o", folder, "--rows-per-file", 5)
    assert done.exit_code == 1
    assert "a folder that genreclf did not make" in done.stderr
    assert (folder / "mine.parquet").exists()


def test_parts_of_other_configurations_are_not_mixed(genre_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "parts.parquet"
    folder.mkdir()
    for seconds in (2, 3):
        out = folder / f"{seconds}.parquet"
        assert (
            extract(genre_folder, "-o", out, "--set", f"excerpt.seconds={seconds}").exit_code == 0
        )
    with pytest.raises(TableError, match="different columns or configurations"):
        load_table(folder)


def test_folders_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="the folder has no Parquet files"):
        load_table(tmp_path)
    (tmp_path / "_parts.json").write_text(json.dumps([1]))
    with pytest.raises(TableError, match="damaged"):
        load_table(tmp_path)


@pytest.mark.parametrize(
    "options",
    [["--rows-per-file", 5], ["-o", "a.csv", "--rows-per-file", 5], ["-o", "folder.parquet"]],
)
def test_options_that_do_not_go_together(
    options: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.parquet").mkdir()
    Path("a.mp3").touch()
    done = extract("a.mp3", *options)
    assert done.exit_code == 2
    assert "--rows-per-file" in done.stderr
