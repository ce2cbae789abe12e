from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from conftest import music, noise, sine

from genreclf.audio.audiofile import Samples
from genreclf.audio.excerpt import load_excerpt, load_excerpts
from genreclf.audio.placement import centre_span
from genreclf.audio.resampling import resample
from genreclf.config.load import load_config
from genreclf.config.schema import ExtractionConfig
from genreclf.config.views import Excerpt as Settings
from genreclf.errors import AudioError
from genreclf.extraction.chain import extract_one
from genreclf.features.spectra import mix_spectrum

Writer = Callable[..., Path]
DEFAULT = ExtractionConfig()
AS_RECORDED = ["audio.rms_dbfs=as recorded"]
RATE = DEFAULT.audio.sample_rate_hz
HOP = DEFAULT.spectra.hop_length
SIZE = 349_440


def silence(seconds: float, rate: int) -> Samples:
    return np.zeros(round(seconds * rate), dtype=np.float32)


# --- tracks longer than the excerpt ----------------------------------------------------------


@pytest.mark.parametrize("preset", ["default", "wide"])
def test_excerpt_is_the_middle_of_the_track(write_audio: Writer, preset: str) -> None:
    config = load_config(preset, AS_RECORDED)
    stereo = np.stack([noise(33, 16_000, seed=1), noise(33, 16_000, seed=2)], axis=1)
    path = write_audio("long.wav", stereo, 16_000)
    excerpt = load_excerpt(path, config)

    start = (33 * 16_000 - round(29.12 * 16_000)) // 2
    span, _ = soundfile.read(path, start=start, frames=round(29.12 * 16_000), dtype="float32")
    expected = librosa.resample(
        span.mean(axis=1),
        orig_sr=16_000,
        target_sr=config.audio.sample_rate_hz,
        res_type="soxr_hq",
    )
    np.testing.assert_allclose(excerpt.samples, expected, atol=1e-6)
    assert excerpt.samples.dtype == np.float32
    assert excerpt.start_seconds == start / 16_000
    assert excerpt.audio == slice(0, len(expected))
    assert excerpt.sample_rate_hz == config.audio.sample_rate_hz
    assert excerpt.info.seconds == 33


def test_excerpt_of_an_mp3_begins_where_it_says(song: Path) -> None:
    excerpt = load_excerpt(song, load_config(overrides=AS_RECORDED))
    assert abs(excerpt.start_seconds - (40 - 29.12) / 2) < 0.05
    whole, rate = soundfile.read(song, dtype="float32")
    start = round(excerpt.start_seconds * rate)
    expected = resample(whole[start : start + round(29.12 * rate)], rate, RATE)
    np.testing.assert_allclose(excerpt.samples, expected[:SIZE], atol=1e-4)


def test_middle_of_the_track_is_the_middle_of_the_excerpt(write_audio: Writer) -> None:
    signal = silence(60, 8000)
    signal[30 * 8000] = 0.9
    excerpt = load_excerpt(write_audio("long.wav", signal, 8000), DEFAULT)
    assert abs(int(np.abs(excerpt.samples).argmax()) - SIZE // 2) <= 1


@pytest.mark.parametrize("rate", [8000, 11_025, 12_000, 22_050, 44_056, 44_100, 48_000])
@pytest.mark.parametrize("seconds", [29.12, 30])
def test_default_excerpt_has_349_440_samples_and_1366_frames(
    write_audio: Writer, rate: int, seconds: float
) -> None:
    excerpt = load_excerpt(write_audio("a.wav", sine(440, seconds, rate), rate), DEFAULT)
    assert excerpt.samples.shape == (SIZE,)
    assert mix_spectrum(excerpt, DEFAULT).magnitude.shape == (513, 1366)
    assert excerpt.audio == slice(0, SIZE)
    assert excerpt.seconds == pytest.approx(29.12)


def test_wide_excerpt_has_642_096_samples_and_1255_frames(write_audio: Writer) -> None:
    config = load_config("wide")
    excerpt = load_excerpt(write_audio("a.wav", sine(440, 30, 44_100), 44_100), config)
    assert excerpt.samples.shape == (642_096,)
    assert mix_spectrum(excerpt, config).magnitude.shape == (1025, 1255)


@pytest.mark.parametrize("n_frames", [1, 7, 100, 799, 800, 801, 1000, 1001, 12_345])
def test_centre_span_leaves_out_as_much_before_as_after(n_frames: int) -> None:
    start, stop = centre_span(n_frames, 100, Settings(seconds=8))
    assert stop - start == min(n_frames, 800)
    assert 0 <= (n_frames - stop) - start <= 1


@pytest.mark.parametrize("n_frames", [1, 700, 800, 801, 900, 1000, 1001, 12_345])
@pytest.mark.parametrize("earlier", [0.01, 1, 3, 100])
def test_an_earlier_span_is_moved_as_far_as_the_track_goes(n_frames: int, earlier: float) -> None:
    centred, _ = centre_span(n_frames, 100, Settings(seconds=8))
    start, stop = centre_span(n_frames, 100, Settings(seconds=8, earlier_seconds=earlier))
    assert start == max(0, centred - round(100 * earlier))
    assert stop - start == min(n_frames, 800)


@pytest.mark.parametrize("n_samples", [660_000, 661_794, 675_808])
def test_gtzans_clips_are_decoded_as_published(write_audio: Writer, n_samples: int) -> None:
    clip = noise(31, 22_050)[:n_samples]
    path = write_audio("clip.wav", clip, 22_050)
    whole = load_excerpt(path, load_config("gtzan57"))
    np.testing.assert_allclose(whole.unpadded, clip, atol=2**-15)
    first = load_excerpt(path, load_config("gtzan-mfcc"))
    assert (first.start_seconds, first.seconds) == (0, 29)


@pytest.mark.parametrize("seconds", [2, 10, 30.5, 40])
def test_views_of_one_file_have_the_excerpts_of_each_alone(
    write_audio: Writer, seconds: float
) -> None:
    path = write_audio("a.flac", noise(seconds, 16_000), 16_000)
    views = [load_config(preset) for preset in ("default", "gtzan-mfcc", "gtzan57")]
    views.append(load_config(overrides=["excerpt.seconds=1", "excerpt.earlier_seconds=20"]))
    for [excerpt], view in zip(load_excerpts(path, views), views, strict=True):
        alone = load_excerpt(path, view)
        np.testing.assert_array_equal(excerpt.samples, alone.samples)
        assert (excerpt.audio, excerpt.start_seconds) == (alone.audio, alone.start_seconds)


def test_silence_in_the_excerpt_of_a_view_is_refused(write_audio: Writer) -> None:
    signal = np.concatenate([noise(5, RATE), silence(30, RATE)])
    path = write_audio("a.wav", signal, RATE)
    views = [load_config(), load_config(overrides=["excerpt.seconds=10"])]
    load_excerpts(path, views[:1])
    with pytest.raises(AudioError, match="only silence"):
        load_excerpts(path, views)


# --- tracks shorter than the excerpt ---------------------------------------------------------


@pytest.mark.parametrize("preset", ["default", "wide"])
@pytest.mark.parametrize("seconds", [1.0, 1.7321, 5.0, 28.9, 29.08, 29.11, 29.1199])
def test_short_track_is_padded_on_both_sides(
    write_audio: Writer, preset: str, seconds: float
) -> None:
    config = load_config(preset, AS_RECORDED)
    rate, hop = config.audio.sample_rate_hz, config.spectra.hop_length
    signal = noise(seconds, rate)
    excerpt = load_excerpt(write_audio("short.flac", signal, rate), config)
    before, after = excerpt.audio.start, len(excerpt.samples) - excerpt.audio.stop
    half = (before + after) / 2
    assert len(excerpt.samples) == round(29.12 * rate)
    assert half - hop <= before <= half <= after <= half + hop
    np.testing.assert_allclose(excerpt.samples[excerpt.audio], signal, atol=2**-15)
    assert not excerpt.samples[:before].any()
    assert not excerpt.samples[excerpt.audio.stop :].any()
    assert excerpt.start_seconds == 0
    assert excerpt.seconds == len(signal) / rate


def test_short_track_is_resampled_before_it_is_padded(short_song: Path) -> None:
    excerpt = load_excerpt(short_song, load_config(overrides=AS_RECORDED))
    signal, rate = soundfile.read(short_song, dtype="float32")
    expected = librosa.resample(signal, orig_sr=rate, target_sr=RATE, res_type="soxr_hq")
    # librosa multiplies by an inexact ratio, and rounds 60,000 up to 60,001 samples.
    np.testing.assert_allclose(excerpt.samples[excerpt.audio], expected[:60_000], atol=1e-4)


# --- tracks that are too short ---------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100])
def test_track_of_one_second_is_enough(write_audio: Writer, rate: int) -> None:
    excerpt = load_excerpt(write_audio("a.wav", sine(440, 1, rate), rate), DEFAULT)
    assert excerpt.seconds == 1


@pytest.mark.parametrize("seconds", [0.01, 0.5, 0.9])
def test_track_under_one_second_is_refused(write_audio: Writer, seconds: float) -> None:
    path = write_audio("tiny.wav", sine(440, seconds, 8000), 8000)
    with pytest.raises(AudioError) as caught:
        load_excerpt(path, DEFAULT)
    message = str(caught.value)
    assert message.startswith(f"{path}: holds {seconds:.2f} s of audio; at least 1 s")
    assert len(message.splitlines()) == 1


def test_message_does_not_round_up_to_what_is_needed(write_audio: Writer) -> None:
    path = write_audio("tiny.wav", sine(440, 0.998, 8000), 8000)
    with pytest.raises(AudioError, match=r"holds 0\.99"):
        load_excerpt(path, DEFAULT)


def test_configured_minimum_is_kept(write_audio: Writer) -> None:
    path = write_audio("a.wav", sine(440, 2.5, 8000), 8000)
    load_excerpt(path, load_config(overrides=["excerpt.min_seconds=2.5"]))
    with pytest.raises(AudioError, match=r"holds 2\.50 s of audio; at least 3 s"):
        load_excerpt(path, load_config(overrides=["excerpt.min_seconds=3"]))


def test_configured_length_is_kept(write_audio: Writer) -> None:
    config = load_config(overrides=["excerpt.seconds=2.5", *AS_RECORDED])
    signal = noise(10, RATE)
    excerpt = load_excerpt(write_audio("a.wav", signal, RATE), config)
    assert excerpt.start_seconds == 3.75
    np.testing.assert_allclose(excerpt.samples, signal[45_000:75_000], atol=2**-15)


# --- level -----------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["default", "wide", "fast", "accurate", "rhythm"])
def test_a_gain_changes_no_feature(tmp_path: Path, preset: str) -> None:
    config = load_config(preset)
    values = []
    for decibels in (0, 6, 40):
        path = tmp_path / f"{decibels}.wav"
        # In floating point, so that a lower level loses nothing.
        signal = 10 ** (-decibels / 20) * music(12, 22_050)
        soundfile.write(path, signal, 22_050, subtype="FLOAT")
        values.append(extract_one(path, config))
    for quieter in values[1:]:
        np.testing.assert_allclose(quieter, values[0], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("level", [-20.0, -33.5])
def test_an_excerpt_has_the_configured_root_mean_square(write_audio: Writer, level: float) -> None:
    config = load_config(overrides=[f"audio.rms_dbfs={level}"])
    excerpt = load_excerpt(write_audio("a.wav", sine(440, 40, RATE, 0.3), RATE), config)
    assert 20 * np.log10(np.sqrt(np.mean(excerpt.samples**2.0))) == pytest.approx(level, abs=1e-3)
    # The root mean square of a sine is its amplitude by the square root of 2.
    assert np.abs(excerpt.samples).max() == pytest.approx(2**0.5 * 10 ** (level / 20), rel=1e-3)


def test_the_padding_of_a_short_track_does_not_count_for_its_level(write_audio: Writer) -> None:
    excerpt = load_excerpt(write_audio("a.wav", noise(3, RATE), RATE), DEFAULT)
    assert np.sqrt(np.mean(excerpt.unpadded**2.0)) == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("preset", ["gtzan57", "gtzan-mfcc", "gtzan133"])
def test_published_features_are_those_of_the_level_as_recorded(preset: str) -> None:
    assert all(view.audio.rms_dbfs == "as recorded" for view in load_config(preset).each_view)
