"""mp3 files: how long they are, and the way to their middle."""

import io
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from conftest import Samples, music, noise
from helpers import decode, message_of, whole

from genreclf.audio.decode import decode_blocks, decode_spans, describe
from genreclf.audio.mpeg import find_mpeg
from genreclf.cli import cli

av = pytest.importorskip("av", reason="needs the extra: pip install 'genreclf[codecs]'")

KINDS = {
    "constant": {"bitrate_mode": "CONSTANT"},
    "average": {"bitrate_mode": "AVERAGE"},
    "variable": {"bitrate_mode": "VARIABLE", "compression_level": 0.5},
}
RATES = [44100, 22050, 8000]  # MPEG 1, 2 and 2.5
RANDOM = np.random.default_rng(0).bytes(120_000)


def lively(path: Path, rate: int, channels: int, kind: str, seconds: float = 8) -> bytes:
    """Write an mp3 whose frames differ and lean on earlier ones, and return its bytes."""
    path.write_bytes(encoded(rate, channels, kind, seconds))
    return path.read_bytes()


@cache
def encoded(rate: int, channels: int, kind: str, seconds: float) -> bytes:
    signal = np.stack([music(seconds, rate), noise(seconds, rate, 0.2)], axis=1)[:, :channels]
    signal[: rate // 2] = 0  # so that the first bit rate is no guide to the others
    file = io.BytesIO()
    soundfile.write(file, signal, rate, format="MP3", **KINDS[kind])
    return file.getvalue()


def without_header(mp3: bytes) -> bytes:
    """Cut off the first frame, which tells the length and holds no audio."""
    assert b"Xing" in mp3[:200] or b"Info" in mp3[:200]
    second = mp3.find(mp3[:2], 4)
    while second < 1441 and (b"Xing" in mp3[second:][:200] or b"Info" in mp3[second:][:200]):
        second = mp3.find(mp3[:2], second + 1)
    return mp3[second:]


def by_ffmpeg(path: Path) -> Samples:
    """Decode all, mixed down, by another decoder than ours."""
    blocks = []
    with av.open(str(path), format="mp3") as file:
        for packet in file.demux(audio=0):
            with suppress(av.InvalidDataError):  # a tag between two files
                blocks += [frame.to_ndarray() for frame in packet.decode()]
    full_scale = 2**15 if blocks[0].dtype == np.int16 else 1
    return np.concatenate(blocks, axis=1).mean(axis=0) / full_scale


def by_soundfile_alone(path: Path, start: int, stop: int) -> Samples:
    """Read samples by libsndfile's own way to them, begun half a second early."""
    with soundfile.SoundFile(path) as file:
        early = file.samplerate // 2
        file.seek(start - early)
        samples = file.read(stop - start + early, dtype="float32", always_2d=True)[early:]
    return sum(samples.T[1:], start=samples[:, 0]) / np.float32(samples.shape[1])


def id3v2(size: int, content: bytes = RANDOM) -> bytes:
    """Make a tag of so many bytes after its header of ten."""
    sizes = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + sizes + (content * (size // len(content) + 1))[:size]


def apev2(size: int) -> bytes:
    """Make a tag with header and footer and one item."""
    item = struct.pack("<II", size, 2) + b"Cover Art (Front)\0" + (RANDOM * 200)[:size]
    ends = [
        b"APETAGEX" + struct.pack("<IIII", 2000, len(item) + 32, 1, flags) + bytes(8)
        for flags in (0xA000_0000, 0x8000_0000)
    ]
    return ends[0] + item + ends[1]


# --- the length ------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", ["constant", "variable"])
@pytest.mark.parametrize("rate", RATES)
def test_frames_are_counted_where_no_header_states_the_length(
    tmp_path: Path, rate: int, kind: str, channels: int
) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(without_header(lively(path, rate, channels, kind)))
    expected = by_ffmpeg(path)
    samples, info, _ = decode(path, whole)
    assert info.n_frames == len(samples) == len(expected)
    np.testing.assert_allclose(samples, expected, atol=1e-4)
    start = (info.n_frames - rate) // 2
    centre, _, _ = decode(path, lambda n, hz: ((n - hz) // 2, (n - hz) // 2 + hz))
    np.testing.assert_allclose(centre, expected[start : start + rate], atol=1e-4)
    blocks = np.concatenate([block for _, block in decode_blocks(path)])
    np.testing.assert_allclose(blocks, expected, atol=1e-4)


TAGS = {
    "ID3v2 in front": (id3v2(1024), b""),
    "ID3v2 of false frames": (id3v2(1024, b"\xff\xfb\x90\x64"), b""),
    "long ID3v2": (id3v2(3_000_000), b""),
    "two ID3v2": (id3v2(50) + id3v2(70_000), b""),
    "zeros in front": (bytes(60_000), b""),
    "ID3v2 and zeros": (id3v2(50) + bytes(3000), b""),
    "APEv2 in front": (apev2(90_000), b""),
    "ID3v1": (b"", b"TAG" + bytes(125)),
    "ID3v2 behind": (b"", id3v2(90_000)),
    "APEv2 behind": (b"", apev2(3_000_000)),
    "all behind": (b"", apev2(90_000) + b"LYRICSBEGIN" + RANDOM[:300] + b"TAG" + bytes(125)),
    "zeros behind": (b"", bytes(200_000)),
    "garbage behind": (b"", RANDOM),
}


@pytest.mark.parametrize("headed", [True, False])
@pytest.mark.parametrize("tags", TAGS)
def test_tags_are_no_audio(tmp_path: Path, tags: str, headed: bool) -> None:
    content = lively(tmp_path / "plain.mp3", 22050, 1, "constant")
    if not headed:
        content = without_header(content)
        (tmp_path / "plain.mp3").write_bytes(content)
    path = tmp_path / "tagged.mp3"
    path.write_bytes(TAGS[tags][0] + content + TAGS[tags][1])
    assert describe(path) == describe(tmp_path / "plain.mp3")
    for start, stop in ((0, 22050), (4 * 22050, 5 * 22050), (7 * 22050, 8 * 22050)):
        samples, _, _ = decode(path, lambda n, hz, a=start, b=stop: (a, b))
        expected, _, _ = decode(tmp_path / "plain.mp3", lambda n, hz, a=start, b=stop: (a, b))
        np.testing.assert_array_equal(samples, expected)
    decode(path, whole)


def test_inspect_says_the_same_with_a_picture_as_without(tmp_path: Path) -> None:
    content = without_header(lively(tmp_path / "plain.mp3", 22050, 1, "constant"))
    told = []
    for name, tag in (("plain.mp3", b""), ("tagged.mp3", id3v2(500_000))):
        (tmp_path / name).write_bytes(tag + content)
        arguments = ["inspect", str(tmp_path / name), "--set", "excerpt.seconds=3"]
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, done.output
        told.append(done.stdout)
    assert told[0] == told[1]
    n_samples = len(by_ffmpeg(tmp_path / "plain.mp3"))
    assert re.search(rf"duration +{n_samples / 22050:.2f} s", told[0])
    assert re.search(rf"excerpt +{n_samples / 44100 - 1.5:.2f} s to", told[0])


def header_of(mp3: bytes) -> int:
    return max(mp3[:200].find(b"Xing"), mp3[:200].find(b"Info"))


def no_count(mp3: bytes) -> bytes:
    at = header_of(mp3)
    return mp3[: at + 4] + bytes(4) + mp3[at + 8 :]


def times_the_count(factor: float) -> Callable[[bytes], bytes]:
    def changed(mp3: bytes) -> bytes:
        at = header_of(mp3) + 8
        count = round(int.from_bytes(mp3[at : at + 4]) * factor)
        return mp3[:at] + count.to_bytes(4) + mp3[at + 4 :]

    return changed


def vbri(mp3: bytes) -> bytes:
    """Put Fraunhofer's header in place of LAME's."""
    audio = without_header(mp3)
    length = len(mp3) - len(audio)
    told = struct.pack(">HHHII", 1, 0, 75, len(mp3), describe_count(audio))
    return (mp3[:4] + bytes(32) + b"VBRI" + told).ljust(length, b"\0") + audio


def describe_count(audio: bytes) -> int:
    """Count frames of 22,050 Hz, one channel."""
    kbps = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
    at = n = 0
    while at + 4 <= len(audio):
        at += 72_000 * kbps[audio[at + 2] >> 4] // 22_050 + (audio[at + 2] >> 1 & 1)
        n += 1
    return n


WRONG = {
    "no count": no_count,
    "count 0": times_the_count(0),
    "half the count": times_the_count(0.5),
    "twice the count": times_the_count(2),
    "a tenth more": times_the_count(1.1),
    "VBRI": vbri,
}


@pytest.mark.parametrize("kind", ["constant", "variable"])
@pytest.mark.parametrize("change", WRONG)
def test_a_header_that_is_wrong_is_not_believed(tmp_path: Path, change: str, kind: str) -> None:
    content = lively(tmp_path / "right.mp3", 22050, 1, kind)
    path = tmp_path / "a.mp3"
    path.write_bytes(WRONG[change](content))
    right, n_bare = describe(tmp_path / "right.mp3"), describe_count(without_header(content)) * 576
    info = describe(path)
    assert n_bare - 576 - 529 - 1 <= info.n_frames <= n_bare
    assert abs(info.seconds - right.seconds) < 0.1
    samples, _, _ = decode(path, whole)
    expected, _, _ = decode(tmp_path / "right.mp3", whole)
    shift = n_bare - info.n_frames - 576 - 529  # what is heard of the encoder's delay
    np.testing.assert_allclose(
        samples[-shift:][: len(expected) - 1200],
        expected[: len(samples) + shift][:-1200],
        atol=1e-4,
    )


@pytest.mark.parametrize("change", [lambda mp3: mp3, vbri])
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_file_that_lacks_frames_breaks_off(
    tmp_path: Path, share: float, change: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "a.mp3"
    content = change(lively(path, 22050, 1, "constant"))
    path.write_bytes(content[: round(len(content) * share)])
    told = re.search(r"breaks off after (\d\.\d) s of 8\.[01] s", message_of(path))
    assert told
    assert abs(float(told[1]) - 8 * share) < 0.3
    path.write_bytes(content[: round(len(content) * share)] + b"TAG" + bytes(125))
    assert "breaks off after" in message_of(path)


def test_a_file_without_header_ends_where_it_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    content = without_header(lively(path, 44100, 1, "constant"))
    path.write_bytes(content[: len(content) // 2 + 100])
    samples, info, _ = decode(path, whole)
    assert len(samples) == info.n_frames
    assert abs(info.seconds - 4) < 0.3


@pytest.mark.parametrize("layer", [2, 3])
def test_mpeg_audio_in_a_wav(tmp_path: Path, layer: int) -> None:
    content = (
        layer_2(tmp_path / "a.mp2")
        if layer == 2
        else lively(tmp_path / "a.mp3", 44100, 1, "average")
    )
    (tmp_path / "bare.mp3").write_bytes(content)
    tag = 0x50 if layer == 2 else 0x55
    head = struct.pack("<IHHIIHHH", 18, tag, 1, 44100, 16000, 1, 0, 0)
    riff = b"WAVEfmt " + head + b"data" + struct.pack("<I", len(content)) + content
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", len(riff)) + riff)
    np.testing.assert_array_equal(decode(path, whole)[0], decode(tmp_path / "bare.mp3", whole)[0])


def layer_2(path: Path, seconds: float = 5) -> bytes:
    """Write an mp2 and return its bytes."""
    with av.open(str(path), "w", format="mp2") as file:
        stream = file.add_stream("mp2", rate=44100, layout="mono")
        samples = (music(seconds, 44100) * 2**15).astype(np.int16)
        for at in range(0, len(samples) - 1152, 1152):
            frame = av.AudioFrame.from_ndarray(samples[None, at : at + 1152], "s16", "mono")
            frame.sample_rate, frame.pts = 44100, at
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize("tag", [b"", id3v2(100_000)])
def test_layer_2(tmp_path: Path, tag: bytes) -> None:
    path = tmp_path / "a.mp2"
    content = layer_2(path)
    expected = by_ffmpeg(path)
    path.write_bytes(tag + content)
    samples, info, _ = decode(path, whole)
    assert info.n_frames == len(expected)
    np.testing.assert_allclose(samples, expected, atol=1e-4)


@pytest.mark.parametrize(
    "content", [b"\xff", b"ID3", b"\xff\xfb" * 3000, b"ID3" + b"\x7f" * 9, RANDOM]
)
def test_what_is_no_mp3_is_left_to_others(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp3").write_bytes(content)
    assert find_mpeg(tmp_path / "a.mp3") == ()


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_other_files_are_not_searched(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / name, music(2, 22050), 22050)
    assert find_mpeg(tmp_path / name) == ()
    renamed = (tmp_path / name).rename(tmp_path / "renamed.mp3")
    assert find_mpeg(renamed) == ()


# --- several in one file ---------------------------------------------------------------------


def joined(folder: Path, *files: tuple[int, int, str], between: bytes = b"") -> Path:
    """Put mp3s of so many hertz and channels one behind the other; each is 2 s longer."""
    contents = [
        lively(folder / "part.mp3", rate, channels, kind, 3 + 2 * i)
        for i, (rate, channels, kind) in enumerate(files)
    ]
    path = folder / "joined.mp3"
    path.write_bytes(between.join(contents))
    return path


@pytest.mark.parametrize("between", [b"", id3v2(500), b"TAG" + bytes(125) + id3v2(99_999), RANDOM])
@pytest.mark.parametrize("kinds", [("constant", "constant"), ("variable", "constant", "average")])
def test_all_of_a_joined_mp3_is_decoded(tmp_path: Path, kinds: tuple[str], between: bytes) -> None:
    path = joined(tmp_path, *((22050, 1, kind) for kind in kinds), between=between)
    samples, info, _ = decode(path, whole)
    seconds = sum(3 + 2 * i for i in range(len(kinds)))
    assert info.n_frames == len(samples)
    assert seconds <= info.seconds < seconds + 0.1 * len(kinds)
    last, _, _ = decode(path, lambda n, hz: (n - 2 * hz, n - hz))
    np.testing.assert_allclose(last, samples[-2 * 22050 : -22050], atol=1e-4)
    assert last.std() > 0.01
    if between != RANDOM:
        expected = by_ffmpeg(path)
        assert abs(len(expected) - len(samples)) < 0.1 * 22050
        np.testing.assert_allclose(samples[:66150], expected[:66150], atol=1e-3)


def test_parts_of_other_channels_are_decoded(tmp_path: Path) -> None:
    path = joined(tmp_path, (22050, 1, "constant"), (22050, 2, "constant"), (22050, 1, "variable"))
    samples, info, _ = decode(path, whole)
    assert (info.channels, len(samples)) == (2, info.n_frames)
    assert abs(info.seconds - 15) < 0.3
    # The last part, with what its encoder added behind.
    alone, _, _ = decode(tmp_path / "part.mp3", whole)
    n_last = describe_count(without_header((tmp_path / "part.mp3").read_bytes())) * 576 - 576 - 529
    np.testing.assert_allclose(samples[-n_last:][: len(alone) - 1200], alone[:-1200], atol=1e-4)


def test_parts_of_another_rate_are_named(tmp_path: Path) -> None:
    path = joined(tmp_path, (44100, 2, "constant"), (22050, 1, "constant"))  # 3 s, 5 s
    _, info, [note] = decode_spans(path, lambda info: [(0, info.n_frames)])
    assert note.startswith("3.0 s of 8.0 s are left out")
    assert note.endswith(" from the 22050 Hz of the rest")
    assert info.sample_rate_hz == 22050
    assert abs(info.seconds - 5) < 0.1


@pytest.mark.parametrize("damage", ["zeros", "hole", "half a frame"])
def test_what_is_between_frames_is_passed_over(tmp_path: Path, damage: str) -> None:
    content = without_header(lively(tmp_path / "a.mp3", 44100, 2, "constant"))
    at = len(content) // 4
    path = tmp_path / "damaged.mp3"
    between = {"zeros": bytes(3000), "hole": b"", "half a frame": content[:100]}[damage]
    path.write_bytes(content[:at] + between + content[at + 300 :])
    samples, info, _ = decode(path, whole)
    assert len(samples) == info.n_frames
    assert abs(info.seconds - 8) < 0.15


# --- the way to the middle -------------------------------------------------------------------


def size_of_part(path: Path, start: int, stop: int) -> int:
    """Count the bytes that libsndfile is given; 0 if it is given the file."""
    [mpeg] = find_mpeg(path)
    part = mpeg.excerpt(path, start, stop)
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


def test_no_header_means_no_delay_to_shift_by(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(without_header(lively(path, 44100, 1, "constant")))
    samples, _, _ = decode(path, lambda n, hz: (3 * hz, 5 * hz))
    np.testing.assert_array_equal(samples, by_soundfile_alone(path, 3 * 44100, 5 * 44100))
    assert size_of_part(path, 3 * 44100, 5 * 44100) > 0


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


def damaged(content: bytes) -> Iterator[bytes]:
    """Yield versions of an mp3 with bytes changed, cut out and put in."""
    random = np.random.default_rng(0)
    for _ in range(25):
        changed = bytearray(content)
        for at in random.integers(0, len(content), 10):
            changed[at] = random.integers(256)
        cut, put = sorted(random.integers(0, len(content), 2)), random.bytes(random.integers(3000))
        yield bytes(changed[: cut[0]] + put + changed[cut[1] :])


@pytest.mark.parametrize("headed", [True, False])
def test_damage_gives_as_many_samples_as_stated_or_a_reason(tmp_path: Path, headed: bool) -> None:
    content = lively(tmp_path / "a.mp3", 22050, 1, "variable", 3)
    for i, content_now in enumerate(damaged(content if headed else without_header(content))):
        path = tmp_path / f"{i}.mp3"
        path.write_bytes(content_now)
        [mpeg, *_] = find_mpeg(path) or (None,)
        if headed or mpeg is None:
            continue
        samples, info, _ = decode(path, whole)
        assert info.n_frames - 0.1 * 22050 <= len(samples) <= info.n_frames
