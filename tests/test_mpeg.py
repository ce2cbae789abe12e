"""mp3 files whose header does not tell their length."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import Samples, music

from genreclf.audio import decode, describe
from genreclf.mpeg import with_true_length

RATES = [44100, 22050, 8000]  # MPEG 1, 2 and 2.5
FRAME_LIMIT = 1441  # bytes of the longest first frame
ENCODER_DELAY = 576  # samples that LAME puts in front, and that its own header tells to drop


def variable_rate(path: Path, rate: int, channels: int = 1) -> Samples:
    """Write an mp3 that begins with silence, whose bit rate is no guide to the rest."""
    signal = np.concatenate([np.zeros(3 * rate, np.float32), music(9, rate)])
    samples = np.repeat(signal[:, None], channels, axis=1)
    soundfile.write(path, samples, rate, bitrate_mode="VARIABLE", compression_level=0.3)
    return signal


def without_length(path: Path) -> Path:
    """Cut off the first frame, which tells the length and holds no audio."""
    content = path.read_bytes()
    assert b"Xing" in content[:200]
    second = content.find(content[:2], 4)
    while second < FRAME_LIMIT and b"Xing" in content[second : second + 200]:
        second = content.find(content[:2], second + 1)
    stripped = path.with_name("stripped.mp3")
    stripped.write_bytes(content[second:])
    return stripped


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_length_is_counted_where_no_header_tells_it(
    tmp_path: Path, rate: int, channels: int
) -> None:
    variable_rate(tmp_path / "a.mp3", rate, channels)
    stripped = without_length(tmp_path / "a.mp3")
    told = describe(tmp_path / "a.mp3").n_frames
    assert abs(soundfile.info(stripped).frames - told) > rate  # what libsndfile believes
    assert abs(describe(stripped).n_frames - told) <= 2 * 1152 + ENCODER_DELAY


@pytest.mark.parametrize("rate", RATES)
def test_samples_are_those_of_the_file_with_a_header(tmp_path: Path, rate: int) -> None:
    variable_rate(tmp_path / "a.mp3", rate)
    stripped = without_length(tmp_path / "a.mp3")
    start = 5 * rate
    expected, _, _ = decode(tmp_path / "a.mp3", lambda n, hz: (start, start + rate))
    samples, _, _ = decode(stripped, lambda n, hz: (start, start + rate + 4000))
    lags = [lag for lag in range(4000) if np.allclose(samples[lag : lag + 500], expected[:500],
                                                      atol=1e-5)]  # fmt: skip
    assert len(lags) == 1
    np.testing.assert_allclose(samples[lags[0] : lags[0] + rate], expected, atol=1e-5)


def test_tag_before_the_audio_is_passed_over(tmp_path: Path) -> None:
    variable_rate(tmp_path / "a.mp3", 22050)
    stripped = without_length(tmp_path / "a.mp3")
    plain = describe(stripped).n_frames
    tag = b"ID3\x04\x00\x00" + bytes((0, 0, 8, 0)) + b"\xff\xfb" * 512  # 1,024 bytes
    stripped.write_bytes(tag + stripped.read_bytes())
    assert describe(stripped).n_frames == plain


@pytest.mark.parametrize("name", ["a.mp3", "a.wav", "a.flac"])
def test_files_that_tell_their_length_are_left_alone(tmp_path: Path, name: str) -> None:
    if name == "a.mp3":
        variable_rate(tmp_path / name, 22050)
    else:
        soundfile.write(tmp_path / name, music(2, 22050), 22050)
    assert with_true_length(tmp_path / name) is None


def test_constant_rate_needs_no_help(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.mp3", music(5, 22050), 22050, bitrate_mode="CONSTANT")
    content = (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "b.mp3").write_bytes(content.replace(b"Info", b"\0\0\0\0", 1))
    assert with_true_length(tmp_path / "b.mp3") is None


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"ID3", b"\xff\xfb" * 3000, b"ID3" + b"\x7f" * 9]
)
def test_what_is_no_mp3_is_left_to_others(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp3").write_bytes(content)
    assert with_true_length(tmp_path / "a.mp3") is None
