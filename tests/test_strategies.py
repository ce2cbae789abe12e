"""Which seconds: every strategy from the file to the features, and to the prediction."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import Samples, music, noise
from helpers import decode

from genreclf.audio.audiofile import AudioInfo
from genreclf.audio.excerpt import Excerpt, load_excerpts
from genreclf.audio.placement import placed_spans
from genreclf.cli import cli
from genreclf.config.load import load_config
from genreclf.config.schema import Config
from genreclf.errors import AudioError
from genreclf.extraction.chain import extract_frames, extract_one
from genreclf.extraction.tracks import extract
from genreclf.features import scan, selection
from genreclf.features.catalogue import FEATURES
from genreclf.features.pooling import pool
from genreclf.features.selection import chooser

Writer = Callable[..., Path]
RATE = 8000
STRATEGIES = ("centre", "start", "full", "multi", "energy", "window", "highlight")
HEARD = ("energy", "window", "highlight")


def config_of(strategy: str, *overrides: str) -> Config:
    return load_config(overrides=[f"excerpt.strategy={strategy}", *overrides])


def excerpts_of(path: Path, config: Config) -> list[Excerpt]:
    [excerpts] = load_excerpts(path, [config], chooser(path, [config]))
    return excerpts


def spans_of(path: Path, config: Config) -> list[tuple[float, float]]:
    return [(e.start_seconds, e.stop_seconds) for e in excerpts_of(path, config)]


def bursts(levels: Sequence[float]) -> Samples:
    """Noise of a second each, at these levels."""
    return np.concatenate(
        [noise(1, RATE, amplitude=level, seed=i) for i, level in enumerate(levels)]
    )


# --- places that need no listening -----------------------------------------------------------


@pytest.mark.parametrize("seconds", [1, 2.5, 4, 40])
def test_start(write_audio: Writer, seconds: float) -> None:
    path = write_audio("a.wav", music(12, RATE), RATE)
    [excerpt] = excerpts_of(path, config_of("start", f"excerpt.seconds={seconds}"))
    assert excerpt.start_seconds == 0
    assert excerpt.seconds == min(seconds, 12)


def test_full_is_the_whole_track_without_padding(write_audio: Writer) -> None:
    path = write_audio("a.wav", music(7.3, 12_000), 12_000)
    [excerpt] = excerpts_of(path, config_of("full", "audio.rms_dbfs=as recorded"))
    np.testing.assert_allclose(excerpt.samples, music(7.3, 12_000), atol=2**-15)
    assert excerpt.audio == slice(0, len(excerpt.samples))
    expected = extract_one(path, load_config(overrides=["excerpt.seconds=7.3"]))
    np.testing.assert_array_equal(extract_one(path, config_of("full")), expected)


def test_of_a_track_of_hours_ten_minutes_are_the_full_track() -> None:
    info = AudioInfo(10 * 3600 * RATE, RATE, 2, "MP3", "MPEG_LAYER_III")
    [(start, stop)] = placed_spans(info, config_of("full").excerpt)
    assert stop - start == 600 * RATE
    assert start == info.n_frames - stop


@pytest.mark.parametrize(
    ("n_seconds", "starts"),
    [
        (60, [5, 25, 45]),
        (30, [0, 10, 20]),
        (29, [2.25, 16.75]),
        (20, [0, 10]),
        (19, [4.5]),
        (10, [0]),
        (3, [0]),
    ],
)
def test_multi_takes_the_middle_of_equal_parts(n_seconds: int, starts: list[float]) -> None:
    info = AudioInfo(n_seconds * RATE, RATE, 1, "WAV", "PCM_16")
    spans = placed_spans(info, config_of("multi", "excerpt.seconds=10").excerpt)
    assert [start / RATE for start, _ in spans] == starts
    assert {stop - start for start, stop in spans} == {min(10, n_seconds) * RATE}


@pytest.mark.parametrize(("second", "start"), [(0, 0), (12.5, 12.5), (20, 20), (21, 20), (900, 20)])
def test_window_from_a_second_on(second: float, start: float) -> None:
    settings = config_of("window", "excerpt.seconds=60", f"excerpt.from_seconds={second}").excerpt
    info = AudioInfo(80 * RATE, RATE, 1, "WAV", "PCM_16")
    assert placed_spans(info, settings) == [(start * RATE, (start + 60) * RATE)]


# --- several excerpts ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_song(write_audio: Writer) -> Path:
    parts = [music(5, 12_000, seed=seed, bpm=80 + 20 * seed) for seed in range(4)]
    return write_audio("long.wav", np.concatenate(parts), 12_000)


MULTI = config_of("multi", "excerpt.seconds=3", "excerpt.excerpts=4")


def cut(path: Path, write_audio: Writer, seconds: float) -> list[Path]:
    """The middle of each quarter of a song of 20 s as a file of its own."""
    samples, info, _ = decode(path, lambda n, rate: (0, n))
    rate = info.sample_rate_hz
    starts = [round((5 * i + (5 - seconds) / 2) * rate) for i in range(4)]
    parts = [samples[start : start + round(seconds * rate)] for start in starts]
    return [write_audio(f"{i}.wav", part, rate) for i, part in enumerate(parts)]


def test_multi_pools_over_the_frames_of_all_excerpts(long_song: Path, write_audio: Writer) -> None:
    alone = load_config(overrides=["excerpt.seconds=3"])
    each = [extract_frames(part, alone)[1] for part in cut(long_song, write_audio, 3)]
    expected = {}
    for name in alone.features.select:
        rows = np.concatenate([frames[name] for frames in each], axis=1)
        expected[name] = (
            np.median(rows, axis=1, keepdims=True) if FEATURES[name].per == "track" else rows
        )
    excerpts, frames = extract_frames(long_song, MULTI)
    assert [excerpt.start_seconds for excerpt in excerpts] == [1, 6, 11, 16]
    for name, rows in expected.items():
        np.testing.assert_allclose(frames[name], rows, atol=1e-5)
    np.testing.assert_array_equal(extract_one(long_song, MULTI), pool(frames, MULTI))


def test_silent_excerpts_are_passed_over_unless_all_are(write_audio: Writer) -> None:
    silence = np.zeros(10 * RATE, dtype=np.float32)
    config = config_of("multi", "excerpt.seconds=5")
    path = write_audio("gap.wav", np.concatenate([music(10, RATE), silence, music(10, RATE)]), RATE)
    assert [start for start, _ in spans_of(path, config)] == [2.5, 22.5]
    with pytest.raises(AudioError, match="only silence"):
        extract_one(write_audio("silent.wav", np.tile(silence, 3), RATE), config)


# --- places that need listening --------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_energy_is_the_loudest_window_that_there_is(
    write_audio: Writer, monkeypatch: pytest.MonkeyPatch, seed: int, suffix: str
) -> None:
    monkeypatch.setattr("genreclf.audio.decode.BLOCK_SAMPLES", 30_000)
    random = np.random.default_rng(seed)
    signal = bursts(random.uniform(0.001, 0.1, 40))
    path = write_audio(f"a.{suffix}", signal, RATE)
    size = round(random.uniform(2, 15) * RATE)
    [(start, stop)] = spans_of(path, config_of("energy", f"excerpt.seconds={size / RATE}"))
    total = np.concatenate(([0], np.cumsum(np.square(signal, dtype=np.float64))))
    energies = total[size:] - total[:-size]
    assert abs(start - energies.argmax() / RATE) <= 0.1
    assert stop - start == pytest.approx(size / RATE, abs=1e-3)
    assert energies[round(start * RATE)] >= 0.99 * energies.max()


@pytest.mark.parametrize(("loudest", "start"), [(2, 0), (40, 25.5), (77, 50)])
def test_window_is_around_the_loudest_moment(
    write_audio: Writer, loudest: int, start: float
) -> None:
    levels = np.full(80, 0.01)
    levels[loudest - 1 : loudest + 2] = 0.2
    path = write_audio("a.wav", bursts(levels), RATE)
    [(first, last)] = spans_of(path, config_of("window", "excerpt.seconds=30"))
    assert first == pytest.approx(start, abs=0.15)
    assert last == first + 30


def test_a_track_is_heard_once_for_all_views(
    write_audio: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_audio("a.wav", music(40, RATE), RATE)
    file = tmp_path / "views.toml"
    file.write_text(
        "".join(
            f'[[views]]\nexcerpt.strategy = "{strategy}"\nexcerpt.seconds = 5.0\n'
            f'features.select = ["{feature}"]\n'
            for strategy, feature in zip(
                ("centre", "multi", *HEARD),
                ("mix.rms", "mix.centroid", "mix.flatness", "mix.mfcc", "mix.rolloff"),
                strict=True,
            )
        )
    )
    config, calls = load_config(file), []
    monkeypatch.setattr(
        selection, "scan", lambda *a, scan=selection.scan, **b: calls.append(a) or scan(*a, **b)
    )
    together = extract_frames(path, config)[1]
    assert len(calls) == 1
    for view in config.views:
        alone = extract_frames(path, Config().with_extraction(view_as_config(view)))[1]
        for name, rows in alone.items():
            np.testing.assert_array_equal(together[name], rows)
    assert len(calls) == 1 + len(HEARD)


def view_as_config(view: object) -> Config:
    return Config(**{name: getattr(view, name) for name in view.__struct_fields__})


@pytest.mark.parametrize("strategy", ["centre", "start", "full", "multi"])
def test_the_whole_track_is_decoded_only_if_it_has_to_be(
    song: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    monkeypatch.delattr(scan, "decode_blocks")
    extract_one(song, config_of(strategy, "separation=none"))


# --- files of all kinds ----------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("seconds", [1.0, 1.3, 5.0, 29.0])
def test_tracks_shorter_than_the_excerpt_are_heard_whole(
    write_audio: Writer, strategy: str, seconds: float
) -> None:
    path = write_audio("short.flac", music(seconds, RATE), RATE)
    [(start, stop)] = spans_of(path, config_of(strategy))
    assert (start, stop) == (0, seconds)
    expected = extract_one(path, load_config())
    np.testing.assert_array_equal(extract_one(path, config_of(strategy)), expected)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_cannot_be_listened_to_is_refused_in_one_line(
    write_audio: Writer, tmp_path: Path, strategy: str
) -> None:
    cut_off = write_audio("cut.mp3", noise(20, RATE), RATE)
    cut_off.write_bytes(cut_off.read_bytes()[: cut_off.stat().st_size // 4])
    damaged = noise(20, RATE)
    damaged[10 * RATE] = np.nan
    refused = {
        write_audio("short.wav", noise(0.5, RATE), RATE): "at least 1 s is required",
        write_audio("tiny.wav", noise(0.05, RATE), RATE): "at least 1 s is required",
        write_audio("silent.wav", np.zeros(20 * RATE), RATE): "only silence",
        cut_off: "damaged or incomplete",
        tmp_path / "none.wav": "no such file",
    }
    if strategy not in ("start", "multi"):
        path = tmp_path / "nan.wav"
        import soundfile

        soundfile.write(path, damaged, RATE, subtype="FLOAT")
        refused[path] = "not finite"
    config = config_of(strategy, "excerpt.seconds=8", "separation=none")
    for path, reason in refused.items():
        with pytest.raises(AudioError, match=reason) as caught:
            extract_one(path, config)
        assert str(caught.value).startswith(f"{path}: ")
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("strategy", HEARD)
def test_a_track_of_which_only_one_place_is_not_silent(write_audio: Writer, strategy: str) -> None:
    signal = np.zeros(60 * RATE, dtype=np.float32)
    signal[40 * RATE : 50 * RATE] = music(10, RATE)
    path = write_audio("a.wav", signal, RATE)
    [(start, stop)] = spans_of(path, config_of(strategy, "excerpt.seconds=12"))
    assert min(stop, 50) - max(start, 40) >= 6


@pytest.mark.processes
def test_the_number_of_processes_changes_nothing(genre_folder: Path) -> None:
    config = config_of("highlight", "excerpt.seconds=1", "separation=none")
    one, two = (extract(genre_folder, config, jobs=jobs) for jobs in (None, 2))
    np.testing.assert_array_equal(one.values, two.values)


# --- inspect ---------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["multi", "highlight"])
def test_inspect_tells_and_draws_what_is_listened_to(
    song: Path, tmp_path: Path, strategy: str
) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "song.svg"
    settings = ["--set", f"excerpt.strategy={strategy}", "--set", "excerpt.seconds=8"]
    done = CliRunner().invoke(cli, ["inspect", str(song), *settings, "--plot", str(picture)])
    assert done.exit_code == 0, done.output
    assert strategy in done.output
    spans = spans_of(song, config_of(strategy, "excerpt.seconds=8"))
    for start, stop in spans:
        assert f"{start:.2f} s to {stop:.2f} s" in done.output
    text = picture.read_text(encoding="utf-8")
    assert "waveform" in text
    assert "energy" in text
    assert ("sections" in text) == (strategy == "highlight")
    assert (f"{spans[0][0]:.1f} s to {spans[0][1]:.1f} s" in text) == (len(spans) == 1)


def test_inspect_draws_audio_only(genre_folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "features.csv"
    table.write_text("path,label,group\n")
    for file, more in ((table, []), (genre_folder / "tonal" / "0.mp3", ["--compare-librosa"])):
        arguments = ["inspect", str(file), *more, "--plot", str(tmp_path / "a.png")]
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 2
        assert "--plot draws audio files" in done.output
