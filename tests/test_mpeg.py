"""mp3 files: those whose header does not tell their length, and the way to their middle."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import Samples, music, noise

from genreclf.audio import decode, describe
from genreclf.mpeg import with_true_length, without_what_precedes

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


# --- the way to the middle -------------------------------------------------------------------

KINDS = {
    "constant": {"bitrate_mode": "CONSTANT"},
    "average": {"bitrate_mode": "AVERAGE"},
    "variable": {"bitrate_mode": "VARIABLE", "compression_level": 0.5},
}
ID3V2 = b"ID3\x04\x00\x00" + bytes((0, 0, 8, 0)) + b"\xff\xfb" * 512
ID3V1 = b"TAG" + bytes(125)


def lively(path: Path, rate: int, channels: int, kind: str) -> bytes:
    """Write an mp3 whose frames differ and lean on earlier ones, and return its bytes."""
    signal = np.stack([music(8, rate), noise(8, rate, 0.2)], axis=1)[:, :channels]
    soundfile.write(path, signal, rate, **KINDS[kind])
    return path.read_bytes()


def by_soundfile_alone(path: Path, start: int, stop: int) -> Samples:
    """Read samples by libsndfile's own way to them, begun half a second early."""
    with soundfile.SoundFile(path) as file:
        early = file.samplerate // 2
        file.seek(start - early)
        samples = file.read(stop - start + early, dtype="float32", always_2d=True)[early:]
    return sum(samples.T[1:], start=samples[:, 0]) / np.float32(samples.shape[1])


def size_of_part(path: Path, start: int, stop: int) -> int:
    """Count the bytes that libsndfile is given; 0 if it is given the file."""
    with path.open("rb") as mp3:
        part = without_what_precedes(mp3, start, stop)
    return len(part[0]) if part else 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [44100, 16000, 8000])
def test_the_short_way_to_the_middle_leads_to_the_same_bits(
    tmp_path: Path, rate: int, channels: int, kind: str
) -> None:
    path = tmp_path / "a.mp3"
    content = lively(path, rate, channels, kind)
    for start in (3 * rate, 4 * rate + 577):
        samples, _, _ = decode(path, lambda n, hz, at=start: (at, at + rate))
        np.testing.assert_array_equal(samples, by_soundfile_alone(path, start, start + rate))
        assert 0 < size_of_part(path, start, start + rate) < 0.6 * len(content)


@pytest.mark.parametrize("rate", [44100, 22050])
@pytest.mark.parametrize("kind", ["constant", "variable"])
@pytest.mark.parametrize("around", [(ID3V2, b""), (b"", ID3V1), (ID3V2, ID3V1)])
def test_tags_around_the_audio_do_not_shift_it(
    tmp_path: Path, around: tuple[bytes, bytes], kind: str, rate: int
) -> None:
    content = lively(tmp_path / "plain.mp3", rate, 1, kind)
    path = tmp_path / "a.mp3"
    path.write_bytes(around[0] + content + around[1])
    samples, _, _ = decode(path, lambda n, hz: (3 * rate, 5 * rate))
    expected = by_soundfile_alone(tmp_path / "plain.mp3", 3 * rate, 5 * rate)
    np.testing.assert_array_equal(samples, expected)
    assert size_of_part(path, 3 * rate, 5 * rate) > 0


def test_constant_rate_without_a_header_has_no_delay_to_shift_by(tmp_path: Path) -> None:
    content = lively(tmp_path / "tagged.mp3", 44100, 1, "constant")
    path = tmp_path / "a.mp3"
    path.write_bytes(content.replace(b"Info", bytes(4), 1))
    samples, _, _ = decode(path, lambda n, hz: (3 * hz, 5 * hz))
    np.testing.assert_array_equal(samples, by_soundfile_alone(path, 3 * 44100, 5 * 44100))
    assert size_of_part(path, 3 * 44100, 5 * 44100) > 0


@pytest.mark.parametrize("damage", ["zeros", "hole"])
def test_what_is_not_frame_after_frame_is_left_to_libsndfile(tmp_path: Path, damage: str) -> None:
    content = lively(tmp_path / "a.mp3", 44100, 2, "variable")
    at = len(content) // 4
    between = bytes(3000 if damage == "zeros" else 0)
    path = tmp_path / "damaged.mp3"
    path.write_bytes(content[:at] + between + content[at + 300 :])
    assert size_of_part(path, 5 * 44100, 6 * 44100) == 0
    samples, _, _ = decode(path, lambda n, hz: (5 * hz, 6 * hz))
    np.testing.assert_array_equal(samples, by_soundfile_alone(path, 5 * 44100, 6 * 44100))


@pytest.mark.parametrize("seconds", [(0, 1), (0.2, 5), (4, 8)], ids=str)
def test_neither_beginning_nor_end_is_taken_apart(
    tmp_path: Path, seconds: tuple[float, float]
) -> None:
    lively(tmp_path / "a.mp3", 22050, 1, "constant")
    assert size_of_part(tmp_path / "a.mp3", *(round(22050 * s) for s in seconds)) == 0


def test_damage_behind_the_samples_does_not_matter(tmp_path: Path) -> None:
    content = lively(tmp_path / "whole.mp3", 22050, 1, "constant")
    path = tmp_path / "cut.mp3"
    path.write_bytes(content[: len(content) * 3 // 4])
    samples, info, _ = decode(path, lambda n, hz: (3 * hz, 5 * hz))
    expected = by_soundfile_alone(tmp_path / "whole.mp3", 3 * 22050, 5 * 22050)
    np.testing.assert_array_equal(samples, expected)
    assert info.n_frames == 8 * 22050


def test_tag_that_libmpg123_does_not_take_for_one_is_searched_as_it_is(tmp_path: Path) -> None:
    content = lively(tmp_path / "plain.mp3", 44100, 1, "constant")
    path = tmp_path / "a.mp3"
    path.write_bytes(b"ID3\x04\x00\x00" + bytes((0, 0, 0x88, 0)) + bytes(1024) + content)
    assert size_of_part(path, 3 * 44100, 5 * 44100) == 0
    samples, _, _ = decode(path, lambda n, hz: (3 * hz, 5 * hz))
    np.testing.assert_array_equal(samples, by_soundfile_alone(path, 3 * 44100, 5 * 44100))
