"""Which part of a track is used if its excerpt is silent, and the notes on that."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile
from conftest import music, noise, sine
from helpers import run

from genreclf.audio.audiofile import Samples
from genreclf.audio.decode import CANCELS
from genreclf.audio.excerpt import Excerpt
from genreclf.config.load import load_config
from genreclf.config.schema import Config
from genreclf.errors import SilenceError
from genreclf.extraction.chain import extract_one, measure
from genreclf.extraction.journal import extract_resumably
from genreclf.extraction.tracks import Row, extract, extract_tracks
from genreclf.extraction.windows import MeasuredWindows, measure_windows
from genreclf.features import selection
from genreclf.features.selection import load_chosen
from genreclf.library.sources import Track

Writer = Callable[..., Path]
RATE = 8000
STEP = 1 / 2**15
QUICK = ["excerpt.seconds=4", "separation=none"]
random = np.random.default_rng(0)


def config_of(strategy: str = "centre", *overrides: str) -> Config:
    return load_config(overrides=[*QUICK, f"excerpt.strategy={strategy}", *overrides])


def gap(kind: str, seconds: float, rate: int = RATE) -> Samples:
    """What stands for silence in 16 bits: exact steps."""
    n = round(seconds * rate)
    uniform = random.random((2, n))
    steps = {
        "zeros": np.zeros(n),
        "one step up or down": random.integers(-1, 2, n),
        "always a step": random.choice([-1, 1], n),
        "triangular dither": np.round(uniform[0] - uniform[1]),
        "on an offset": np.round(uniform[0]) + 10,
    }[kind]
    return (steps * STEP).astype(np.float32)


GAPS = ("zeros", "one step up or down", "always a step", "triangular dither", "on an offset")


def hidden_track(kind: str = "zeros", first: float = 6, seconds: float = 20) -> Samples:
    """A song, a gap, and a quieter one that is hidden behind."""
    return np.concatenate([music(first, RATE), gap(kind, seconds), 0.5 * music(3, RATE, seed=1)])


def only(path: Path, config: Config) -> Excerpt:
    [[excerpt]] = load_chosen(path, [config])
    return excerpt


# --- which part is used ---------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["centre", "start", "window"])
@pytest.mark.parametrize("kind", GAPS)
def test_the_loudest_part_is_used_instead_of_a_gap(
    write_audio: Writer, strategy: str, kind: str
) -> None:
    at = {"centre": [], "start": [], "window": ["excerpt.from_seconds=12"]}[strategy]
    signal = hidden_track(kind)
    if strategy == "start":
        signal = np.concatenate([gap(kind, 7), signal])
    path, config = write_audio("a.wav", signal, RATE), config_of(strategy, *at)
    excerpt = only(path, config)
    place = {"centre": "its middle", "start": "its beginning"}.get(strategy, "the part that exc")
    [text] = excerpt.notes
    assert text.startswith(f"{place}")
    start, stop = round(excerpt.start_seconds * RATE), round(excerpt.stop_seconds * RATE)
    assert f"the loudest 4.00 s are used instead, from {start / RATE:.1f} s on" in text
    assert measure(path, config).spans == ((excerpt.start_seconds, excerpt.stop_seconds),)
    same = write_audio("same.wav", signal[start:stop], RATE)
    np.testing.assert_array_equal(extract_one(path, config), extract_one(same, config))
    energies = np.cumsum(np.square(signal, dtype=np.float64))
    assert abs(start - np.argmax(energies[4 * RATE :] - energies[: -4 * RATE])) <= RATE // 10


@pytest.mark.parametrize("suffix", ["mp3", "ogg", "flac"])
@pytest.mark.parametrize("kind", GAPS[1:4])
def test_a_gap_that_was_coded_is_silence(write_audio: Writer, kind: str, suffix: str) -> None:
    excerpt = only(write_audio(f"a.{suffix}", hidden_track(kind), RATE), config_of())
    assert "its middle is silent" in excerpt.notes[0]
    assert excerpt.stop_seconds < 7
    silent = write_audio(f"silent.{suffix}", gap(kind, 20), RATE)
    with pytest.raises(SilenceError, match="holds only silence"):
        load_chosen(silent, [config_of()])


def test_shaped_dither_is_silence(write_audio: Writer) -> None:
    rate = 44_100
    above = scipy.signal.butter(8, 14_000, "highpass", fs=rate, output="sos")
    dither = np.round(scipy.signal.sosfilt(above, random.standard_normal(10 * rate)) * 12)
    assert dither.std() > 5
    path = write_audio("a.wav", (dither * STEP).astype(np.float32), rate)
    with pytest.raises(SilenceError):
        load_chosen(path, [config_of()])


@pytest.mark.parametrize("decibels", [-20, -40, -60])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_quiet_music_is_no_silence(tmp_path: Path, decibels: int, subtype: str) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, music(12, RATE) * 10 ** (decibels / 20), RATE, subtype=subtype)
    excerpt = only(path, config_of())
    assert (excerpt.start_seconds, excerpt.notes) == (4, ())


def test_music_with_pauses_is_used_as_configured(write_audio: Writer) -> None:
    signal = np.zeros(40 * RATE, np.float32)
    for start in np.arange(0, 40, 1.5):
        at = round(start * RATE)
        signal[at : at + RATE // 20] = noise(0.05, RATE, 0.5)
    path = write_audio("a.wav", signal, RATE)
    excerpt = only(path, config_of("centre", "excerpt.seconds=20"))
    assert (excerpt.start_seconds, excerpt.notes) == (10, ())


def test_a_little_music_at_the_edge_of_a_gap_is_left_for_more(write_audio: Writer) -> None:
    signal = hidden_track(first=14, seconds=13)
    config = config_of()
    middle = (len(signal) / RATE - 4) / 2
    assert 0.5 < 14 - middle < 1.5  # of 4 seconds
    excerpt = only(write_audio("a.wav", signal, RATE), config)
    assert excerpt.stop_seconds <= 14.1
    assert "its middle is silent" in excerpt.notes[0]
    half = np.concatenate([music(16, RATE), gap("zeros", 13)])
    assert only(write_audio("b.wav", half, RATE), config).notes == ()


@pytest.mark.parametrize("seconds", [2.5, 3.7])
def test_of_less_music_than_an_excerpt_the_gap_is_left_out(
    write_audio: Writer, seconds: float
) -> None:
    song = music(seconds, RATE)
    path = write_audio("a.wav", np.concatenate([song, gap("zeros", 30)]), RATE)
    excerpt = only(path, config_of())
    assert excerpt.seconds == pytest.approx(seconds, abs=0.11)
    np.testing.assert_allclose(
        extract_one(path, config_of()),
        extract_one(write_audio("b.wav", song, RATE), config_of()),
        rtol=0.2,
        atol=2,
    )


def test_views_share_one_scan_and_one_note(
    write_audio: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, calls = write_audio("a.wav", hidden_track(), RATE), []
    views = [config_of("centre", f"excerpt.seconds={seconds}") for seconds in (3, 5, 4)]
    scan = selection.scan
    monkeypatch.setattr(selection, "scan", lambda *a, **b: calls.append(a) or scan(*a, **b))
    several = load_chosen(path, views)
    assert len(calls) == 1
    assert [round(excerpt.seconds, 3) for [excerpt] in several] == [3, 5, 4]
    assert {excerpt.notes for [excerpt] in several} == {several[1][0].notes}
    assert re.search(r"loudest 5\.00 s", several[0][0].notes[0])


def test_damage_elsewhere_does_not_matter(tmp_path: Path) -> None:
    signal = np.concatenate([np.zeros(12 * RATE), music(1, RATE), np.zeros(12 * RATE)])
    signal[RATE] = np.nan
    soundfile.write(tmp_path / "a.wav", signal, RATE, subtype="FLOAT")
    excerpt = only(tmp_path / "a.wav", config_of())
    assert (excerpt.start_seconds, excerpt.notes) == (10.5, ())


def test_windows_of_a_gap_stay_silent(write_audio: Writer) -> None:
    track = Track(write_audio("a.wav", hidden_track("triangular dither", first=8), RATE))
    found = measure_windows(track, config_of(), step=4)
    assert isinstance(found, MeasuredWindows)
    # From 0, 4, 8, … 24 s, and the last four of 31 s.
    sounds = [window is not None for window in found.measured]
    assert sounds == [True, True, False, False, False, False, False, True]
    assert found.notes == ()


# --- notes ----------------------------------------------------------------------------


@pytest.fixture
def opposite(write_audio: Writer, tmp_path: Path) -> Path:
    signal = music(5, RATE)
    return write_audio("opposite.flac", np.stack([signal, -signal], axis=1), RATE, tmp_path)


def test_notes_come_from_cache_and_journal_too(opposite: Path, tmp_path: Path) -> None:
    tracks, config = [Track(opposite)], config_of()
    for cached in (False, True):
        [row] = extract_tracks(tracks, config, cache=tmp_path / "cache.sqlite")
        assert isinstance(row, Row)
        assert (row.cached, row.notes) == (cached, (CANCELS,))
    for resumed in (False, True):
        [row] = extract_resumably(tracks, config, tmp_path / "t.csv")
        assert isinstance(row, Row)
        assert (row.resumed, row.notes) == (resumed, (CANCELS,))
    assert f"{opposite}: {CANCELS}" in extract(opposite, config).notes


def test_extract_names_the_first_few_and_counts_the_others(tmp_path: Path) -> None:
    folder, signal = tmp_path / "songs", sine(440, 1, RATE)
    folder.mkdir()
    for i in range(7):
        soundfile.write(folder / f"{i}.wav", np.stack([signal, -signal], axis=1), RATE)
    arguments = ["extract", folder, "--labels", "none", "--jobs", 1, "-o", tmp_path / "t.csv"]
    arguments += [word for override in QUICK for word in ("--set", override)]
    told = [line for line in run(*arguments).stderr.splitlines() if line.startswith("note: ")]
    assert told[:5] == [f"note: {folder / f'{i}.wav'}: {CANCELS}" for i in range(5)]
    assert told[5] == "note: 2 more tracks with notes of this kind; -v names each"
    assert run(*arguments, "-v").stderr.count(CANCELS) == 7
    assert run(*arguments, "-q").stderr == ""


def test_predict_answers_as_for_the_same_music_with_a_note(
    opposite: Path, write_audio: Writer, tmp_path: Path
) -> None:
    plain = write_audio("plain.flac", music(5, RATE), RATE, tmp_path)
    gapped = np.concatenate([music(5, RATE), gap("one step up or down", 90)])
    hidden = write_audio("hidden.flac", gapped, RATE, tmp_path)
    done = run("predict", plain, opposite, hidden, "--format", "jsonl", "--jobs", 1)
    assert done.exit_code == 0
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len({answer["genre"] for answer in answers}) == 1
    assert answers[1]["confidence"] == pytest.approx(answers[0]["confidence"], abs=0.02)
    assert "notes" not in answers[0]
    assert answers[1]["notes"] == [CANCELS]
    assert re.match(r"its middle is silent; the loudest 5\.\d\d s are used", answers[2]["notes"][0])
    assert f"note: {opposite}: {CANCELS}\n" in done.stderr
    timeline = run("predict", opposite, "--timeline", "--format", "jsonl", "--jobs", 1)
    assert json.loads(timeline.stdout)["notes"] == [CANCELS]


def test_inspect_notes_how_channels_were_mixed(opposite: Path) -> None:
    assert f"note: {CANCELS}\n" in run("inspect", opposite).stderr
