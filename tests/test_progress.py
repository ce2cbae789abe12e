"""What commands tell while they work: pace, time left, and how much of it was asked for."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest
from click.testing import CliRunner, Result
from conftest import music

from genreclf.cli import cli
from genreclf.parallel.meter import Meter, duration, rate

QUICK = ["--set", "separation=none", "--set", "excerpt.seconds=2"]
PACE = r"\d+\.\d s \([\d.]+ tracks/s\)"


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def songs(tmp_path: Path, write_audio: Callable[..., Path]) -> Path:
    """Three short songs, and a file that fails."""
    folder = tmp_path / "songs"
    for i in range(3):
        write_audio(f"{i}.wav", music(2, 12000, seed=i), 12000, folder)
    (folder / "broken.mp3").write_text("no audio")
    return folder


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def advance(meter: Meter, clock: Clock, n: int, seconds: float, cached: bool = False) -> None:
    for _ in range(n):
        clock.now += seconds
        meter(cached=cached)


def test_the_time_left_is_that_of_what_is_computed() -> None:
    clock = Clock()
    meter = Meter(1000, "tracks", clock)
    assert meter.seconds_left is None
    assert str(meter) == ""
    advance(meter, clock, 500, 0.001, cached=True)
    assert meter.seconds_left is None  # nothing is known of computing
    assert str(meter) == "1000 tracks/s"
    advance(meter, clock, 1, 60.0)
    assert meter.seconds_left is None  # nor by the first, before which the workers start
    advance(meter, clock, 9, 2.0)
    assert meter.seconds_left == pytest.approx(490 * 2.0)
    assert str(meter) == "0.50 tracks/s, 16 min left"
    advance(meter, clock, 400, 0.001, cached=True)  # whose speed says nothing about the others
    assert meter.seconds_left == pytest.approx(90 * 2.0)
    clock.now += 2.0
    meter(failed=True)
    assert str(meter) == "0.50 tracks/s, 3 min left, 1 failed"
    advance(meter, clock, 89, 2.0)
    assert meter.seconds_left == 0
    assert (meter.done, meter.cached, meter.failed) == (1000, 900, 1)
    assert meter.seconds == pytest.approx(0.9 + 60 + 99 * 2.0)


def test_of_an_unknown_number_no_time_left_is_told() -> None:
    clock = Clock()
    meter = Meter(None, "tracks", clock)
    advance(meter, clock, 5, 1.0)
    assert meter.seconds_left is None
    assert str(meter) == ""


def test_what_has_no_unit_has_no_rate() -> None:
    clock = Clock()
    meter = Meter(10, clock=clock)
    advance(meter, clock, 6, 60.0)
    assert str(meter) == "4 min left"


@pytest.mark.parametrize(
    ("n", "seconds", "text"),
    [(50, 12.25, "4.1 tracks/s"), (1, 8.0, "0.12 tracks/s"), (5000, 10.0, "500 tracks/s"),
     (0, 0.0, "0.00 tracks/s")],
)  # fmt: skip
def test_rates(n: int, seconds: float, text: str) -> None:
    assert rate(n, seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.4, "3 s"), (89, "89 s"), (600, "10 min"), (7200, "2 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_extract_ends_with_a_summary(songs: Path, tmp_path: Path) -> None:
    output = tmp_path / "t.csv"
    for earlier, older in (("", ""), (r" \(3 from the cache\)", r" \(replaced\)")):
        last = run("extract", songs, *QUICK, "-o", output).stderr.splitlines()[-1]
        where = re.escape(str(output)) + older
        expected = rf"3 tracks{earlier}, 1 failed, {PACE}, written to {where}"
        assert re.fullmatch(expected, last)


def test_predict_ends_with_a_summary_if_there_are_several(songs: Path) -> None:
    for earlier in ("", r" \(3 from the cache\)"):
        done = run("predict", songs, "--format", "jsonl")
        assert re.fullmatch(rf"3 tracks{earlier}, 1 failed, {PACE}", done.stderr.splitlines()[-1])
        assert len(done.stdout.splitlines()) == 4
    assert "tracks/s" not in run("predict", songs / "0.wav").stderr


@pytest.mark.parametrize("place", ["group", "command"])
def test_quiet_tells_errors_only(songs: Path, tmp_path: Path, place: str) -> None:
    quiet = (["-q"], []) if place == "group" else ([], ["--quiet"])
    done = run(*quiet[0], "extract", songs, *QUICK, "-o", tmp_path / "t.csv", *quiet[1])
    assert done.exit_code == 3
    [line] = done.stderr.splitlines()
    assert line.startswith(str(songs / "broken.mp3"))
    assert (tmp_path / "t.csv").exists()
    done = run(*quiet[0], "predict", songs / "0.wav", "--format", "jsonl", *quiet[1])
    assert done.stderr == ""
    assert done.stdout.startswith("{")
    done = run(*quiet[0], "train", tmp_path / "no.csv", *quiet[1])
    assert done.stderr == f"genreclf: {tmp_path / 'no.csv'}: no such file\n"


def test_verbose_names_each_file_with_how_and_seconds(songs: Path, tmp_path: Path) -> None:
    options = [songs, *QUICK, "-o", tmp_path / "t.csv", "-v"]
    first, again = run("extract", *options).stderr, run("extract", *options).stderr
    for i in range(3):
        name = re.escape(str(songs / f"{i}.wav"))
        assert re.search(rf"^{name}: computed, \d+\.\d\d s$", first, re.MULTILINE)
        assert re.search(rf"^{name}: from the cache, \d+\.\d\d s$", again, re.MULTILINE)
    assert "computed," in run("-v", "predict", songs / "0.wav").stderr
    assert "computed" not in run("extract", songs, *QUICK, "--no-cache").stderr
    tagless = run("extract", *options, "--labels", "tags").stderr
    assert f"{songs / '0.wav'}: no genre tag, and so no label\n" in tagless


def test_quiet_and_verbose_exclude_each_other(songs: Path) -> None:
    for arguments in (["extract", songs, "-q", "-v"], ["-q", "extract", songs, "-v"]):
        done = run(*arguments)
        assert done.exit_code == 2
        assert "exclude each other" in done.stderr


def shown_on_a_terminal(*arguments: object, stdout: int | IO[str] = subprocess.DEVNULL) -> str:
    """Run a command whose standard error is a terminal, and return what is shown there."""
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "genreclf", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    shown = b""
    with subprocess.Popen(command, stderr=theirs, stdout=stdout, env=environment):
        os.close(theirs)
        with suppress(OSError):  # which Linux raises when the other end is closed
            while part := os.read(ours, 2**16):
                shown += part
    os.close(ours)
    return shown.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pty")
def test_a_terminal_shows_pace_time_left_and_failures(songs: Path, tmp_path: Path) -> None:
    output = ["-o", tmp_path / "t.csv", "--no-cache", "--jobs", "1"]
    shown = shown_on_a_terminal("extract", songs, *QUICK, *output)
    assert "extract" in shown
    assert re.search(r"4/4.* [\d.]+ tracks/s, 0 s left, 1 failed", shown)
    assert re.search(rf"3 tracks, 1 failed, {PACE}, written to", shown)
    assert "tracks/s" not in shown_on_a_terminal("extract", songs, *QUICK, *output, "-q")
    piped = run("extract", songs, *QUICK, *output).stderr
    assert "left" not in piped
    assert "\x1b" not in piped


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pty")
def test_lines_beside_the_bar_are_whole(songs: Path, tmp_path: Path) -> None:
    shown = shown_on_a_terminal("extract", songs, *QUICK, "-o", tmp_path / "t.csv", "-v")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).replace("\r", "\n")
    for name in ("0.wav: computed", "1.wav: computed", "2.wav: computed", "broken.mp3: "):
        assert re.search(rf"^{re.escape(str(songs))}/{name}", plain, re.MULTILINE), name


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pty")
def test_a_bar_leaves_the_results_alone(songs: Path, tmp_path: Path) -> None:
    with (tmp_path / "results").open("w") as file:
        shown_on_a_terminal("predict", songs, "--format", "csv", stdout=file)
    written = (tmp_path / "results").read_text()
    assert written == run("predict", songs, "--format", "csv").stdout
