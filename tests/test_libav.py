"""Formats that libsndfile does not know: the same samples, whichever library reads them."""

import errno
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from conftest import Samples, clicks, music
from helpers import decode, message_of, whole
from scipy.signal import correlate

from genreclf import extract_one, load_config
from genreclf.audio import libav
from genreclf.audio.decode import decode_blocks, describe
from genreclf.cli import cli
from genreclf.errors import AudioError
from genreclf.library.sources import CODEC_SUFFIXES, find_tracks

av = pytest.importorskip("av", reason="needs the extra: pip install 'genreclf[codecs]'")

RATE = 44_100
SECONDS = 6
# Name: codec, container, sample format. The AAC encoder's noise substitution is turned off:
# what decodes it draws the noise anew each time.
LOSSLESS = {
    "alac.m4a": ("alac", "ipod", "s16p"),
    "alac24.m4a": ("alac", "ipod", "s32p"),
    "flac.mp4": ("flac", "mp4", "s16"),
    "flac.mka": ("flac", "matroska", "s16"),
    "a.wv": ("wavpack", "wv", "s16p"),
    "float.wv": ("wavpack", "wv", "fltp"),
    "a.tta": ("tta", "tta", "s16"),
}
LOSSY = {
    "aac.m4a": ("aac", "ipod", "fltp"),
    "aac.mka": ("aac", "matroska", "fltp"),
    "bare.aac": ("aac", "adts", "fltp"),
    "opus.mka": ("libopus", "matroska", "flt"),
    "a.wma": ("wmav2", "asf", "fltp"),
}


def encode(target: Any, samples: Samples, rate: int, codecs: tuple[str, str, str]) -> None:
    """Encode (n,) or (n, channels) samples into a file or a pipe."""
    codec, container, sample_format = codecs
    channels = np.ascontiguousarray(samples.reshape(len(samples), -1).T)
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(channels)]
    options = {"aac_pns": "0"} if codec == "aac" else {}
    with av.open(target, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout, options=options)
        stream.codec_context.format = sample_format
        if codecs in LOSSY.values():
            stream.bit_rate = 192_000
        stream.codec_context.open()
        frame = av.AudioFrame.from_ndarray(channels, format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        size = stream.codec_context.frame_size or 4096
        resampler = av.AudioResampler(sample_format, layout, rate, size)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))


def write(path: Path, samples: Samples, kind: str, rate: int = RATE) -> Path:
    encode(str(path), samples, rate, (LOSSLESS | LOSSY)[kind])
    return path


@pytest.fixture(scope="module")
def signal() -> Samples:
    """Music in steps of 16 bits, so that every lossless format keeps it as it is."""
    samples = music(SECONDS, 48_000)[: SECONDS * RATE] + clicks(97, SECONDS, RATE)[::-1] * 0.3
    return (np.round(samples * 2**15) / 2**15).astype(np.float32)


@pytest.fixture(scope="module")
def files(signal: Samples, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("codecs")
    found = {"wav": folder / "a.wav"}
    soundfile.write(found["wav"], signal, RATE, subtype="PCM_16")
    for kind in LOSSLESS | LOSSY:
        rate = 48_000 if "opus" in kind else RATE
        found[kind] = write(folder / kind, signal, kind, rate)
    return found


# --- what is decoded -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_give_what_the_wav_gives(files: dict[str, Path], kind: str) -> None:
    expected, info, _ = decode(files["wav"], whole)
    samples, theirs, _ = decode(files[kind], whole)
    assert (theirs.n_frames, theirs.sample_rate_hz) == (info.n_frames, info.sample_rate_hz)
    np.testing.assert_array_equal(samples, expected)


@pytest.mark.parametrize("kind", ["alac.m4a", "a.wv", "flac.mka"])
def test_features_are_those_of_the_wav(files: dict[str, Path], kind: str) -> None:
    # Shorter than the file, so that it has to be sought for.
    config = load_config(overrides=["excerpt.seconds=2"])
    expected = extract_one(files["wav"], config)
    np.testing.assert_array_equal(extract_one(files[kind], config), expected)


@pytest.mark.parametrize("kind", LOSSLESS | LOSSY)
@pytest.mark.parametrize("start", [0, 1, 5000, 44_101, 123_457, 200_000])
def test_a_part_is_what_decoding_all_gives_there(
    files: dict[str, Path], kind: str, start: int
) -> None:
    all_of_it, _, _ = decode(files[kind], whole)
    part, _, at = decode(files[kind], lambda n, rate: (start, start + 20_000))
    assert at == start
    np.testing.assert_allclose(part, all_of_it[start : start + 20_000], atol=1e-5)


@pytest.mark.parametrize("kind", LOSSLESS | LOSSY)
def test_blocks_together_are_the_whole(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("genreclf.audio.decode.BLOCK_SAMPLES", 50_000)
    expected, _, _ = decode(files[kind], whole)
    blocks = [block for _, block in decode_blocks(files[kind])]
    assert len(blocks) > 2
    np.testing.assert_array_equal(np.concatenate(blocks), expected)


@pytest.mark.parametrize("kind", ["aac.m4a", "opus.mka"])
def test_what_the_encoder_put_in_front_is_left_out(
    files: dict[str, Path], signal: Samples, kind: str
) -> None:
    samples, info, _ = decode(files[kind], whole)
    assert abs(info.n_frames - len(signal)) < 0.1 * info.sample_rate_hz
    middle = slice(100_000, 150_000)
    likeness = correlate(signal[middle.start - 3000 : middle.stop + 3000], samples[middle], "valid")
    assert likeness.argmax() == 3000
    assert np.corrcoef(signal[middle], samples[middle])[0, 1] > 0.98


def test_a_bare_stream_is_counted(tmp_path: Path) -> None:
    # Silence, then music: a bit rate that is no guide to the length.
    signal = np.concatenate([np.zeros(20 * RATE, np.float32), music(5, RATE)])
    path = write(tmp_path / "a.aac", signal, "bare.aac")
    with av.open(str(path)) as file:
        believed = file.duration / 1e6
    assert abs(believed - 25) > 1
    assert abs(describe(path).seconds - 25) < 0.1
    samples, _, _ = decode(path, lambda n, rate: (22 * rate, 23 * rate))
    assert samples.std() > 0.01


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("kind", ["a.wv", "float.wv", "alac.m4a"])
def test_mix_down_is_the_mean_of_the_channels(
    tmp_path: Path, signal: Samples, channels: int, kind: str
) -> None:
    many = np.stack([np.roll(signal, 999 * i) for i in range(channels)], axis=1)[:50_000]
    path = write(tmp_path / kind, many, kind)
    samples, info, _ = decode(path, whole)
    assert info.channels == channels
    np.testing.assert_allclose(samples, many.mean(axis=1), atol=1e-6)


def test_eight_bits_have_their_silence_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LOSSLESS, "u8.wv", ("wavpack", "wv", "u8p"))
    steps = np.tile(np.array([-1, 0, 0.5, 127 / 128], np.float32), 5000)
    samples, _, _ = decode(write(tmp_path / "a.wv", steps, "u8.wv"), whole)
    np.testing.assert_array_equal(samples, steps)


@pytest.mark.parametrize(
    ("kind", "container", "codec"),
    [("alac.m4a", "MOV", "ALAC"), ("bare.aac", "AAC", "AAC"), ("a.wma", "ASF", "WMAV2")],
)
def test_describe_reads_the_header(
    files: dict[str, Path], kind: str, container: str, codec: str
) -> None:
    info = describe(files[kind])
    assert (info.container, info.codec) == (container, codec)
    assert (info.sample_rate_hz, info.channels) == (RATE, 1)
    assert abs(info.seconds - SECONDS) < 0.1


@pytest.mark.parametrize("name", ["wrong.mp3", "none", "WRONG.WAV", "http:file"])
def test_the_content_counts_not_the_name(files: dict[str, Path], tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(files["alac.m4a"].read_bytes())
    assert describe(tmp_path / name).codec == "ALAC"


def test_such_files_are_searched_for(tmp_path: Path) -> None:
    for suffix in [*CODEC_SUFFIXES, ".mp4", ".jpg"]:
        (tmp_path / f"a{suffix}").touch()
    found = find_tracks([tmp_path])
    assert {track.path.suffix for track in found.tracks} == CODEC_SUFFIXES
    assert found.passed_over == 2


# --- what libsndfile refuses or measures wrong -----------------------------------------------


def piped(path: Path, signal: Samples, codec: str, container: str, sample_format: str) -> Path:
    """Encode into a pipe, so that no header states the length."""
    buffer = io.BytesIO()
    pipe = SimpleNamespace(write=buffer.write)
    rate = 48_000 if codec == "libopus" else RATE
    target = str(path) if container == "caf" else pipe  # no caf without seeking in it
    encode(target, signal, rate, (codec, container, sample_format))
    if target is pipe:
        path.write_bytes(buffer.getvalue())
    return path


REFUSED = {
    "opus.weba": ("libopus", "webm", "flt"),
    "aac.mka": ("aac", "matroska", "fltp"),
    "flac.mka": ("flac", "matroska", "s16"),
    "piped.wv": ("wavpack", "wv", "s16p"),
    "flac.oga": ("flac", "ogg", "s16"),
    "alac.caf": ("alac", "caf", "s16p"),
    "yamaha.wav": ("adpcm_yamaha", "wav", "s16"),
    "ac3.wav": ("ac3", "wav", "fltp"),
    "piped.wma": ("wmav2", "asf", "fltp"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_ffmpeg_decodes_is_decoded(tmp_path: Path, signal: Samples, name: str) -> None:
    path = piped(tmp_path / name, signal, *REFUSED[name])
    with av.open(str(path)) as file:
        expected = np.concatenate([libav._samples(frame) for frame in file.decode(audio=0)]).mean(
            axis=1
        )
    samples, info, _ = decode(path, whole)
    assert abs(info.n_frames - len(expected)) < 0.1 * RATE
    assert abs(info.n_frames - len(samples)) < 0.1 * RATE
    n = min(len(samples), len(expected))
    np.testing.assert_allclose(samples[:n], expected[:n], atol=1e-5)
    part, _, start = decode(path, lambda n, rate: (n // 2, n // 2 + rate))
    if name == "ac3.wav":  # its decoder adds noise
        assert np.corrcoef(part, samples[start : start + len(part)])[0, 1] > 0.97
    else:
        np.testing.assert_allclose(part, samples[start : start + len(part)], atol=1e-4)


@pytest.mark.parametrize("start", [1, 100_000, 150_000, 200_000, 250_000])
def test_the_end_of_an_ogg_is_where_it_is(tmp_path: Path, signal: Samples, start: int) -> None:
    path = piped(tmp_path / "a.oga", signal, *REFUSED["flac.oga"])
    part, _, _ = decode(path, lambda n, rate: (start, start + 10_000))
    np.testing.assert_array_equal(part, signal[start : start + 10_000])


def test_realaudio_whose_time_stamps_stand_still(tmp_path: Path) -> None:
    path = tmp_path / "a.ra"
    encode(str(path), music(12, 8000), 8000, ("real_144", "rm", "s16"))
    decoded, info, _ = decode(path, whole)
    assert info.seconds == pytest.approx(12, abs=0.05)
    assert len(decoded) == info.n_frames
    part, _, _ = decode(path, lambda n, rate: (50_000, 60_000))
    np.testing.assert_array_equal(part, decoded[50_000:60_000])


def test_gsm_in_a_wav(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", music(12, 8000), 8000, subtype="GSM610")
    expected = soundfile.SoundFile(tmp_path / "a.wav").read(12 * 8000)
    samples, info, _ = decode(tmp_path / "a.wav", whole)
    assert info.n_frames == len(expected)
    assert np.corrcoef(samples, expected)[0, 1] > 0.99
    part, _, _ = decode(tmp_path / "a.wav", lambda n, rate: (40_000, 50_000))
    np.testing.assert_allclose(part, samples[40_000:50_000], atol=1e-4)


def test_wav_whose_header_states_no_samples(files: dict[str, Path], tmp_path: Path) -> None:
    content = bytearray(files["wav"].read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = bytes(4)
    (tmp_path / "a.wav").write_bytes(content)
    np.testing.assert_array_equal(
        decode(tmp_path / "a.wav", whole)[0], decode(files["wav"], whole)[0]
    )


@pytest.mark.parametrize("name", ["a.aac", "a.mp3", "none"])
def test_aac_is_not_taken_for_mp3(files: dict[str, Path], tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(files["bare.aac"].read_bytes())
    assert describe(path).codec == "AAC"
    assert abs(describe(path).seconds - SECONDS) < 0.1


@pytest.mark.parametrize("name", ["alac.caf", "flac.oga", "yamaha.wav", "opus.weba"])
def test_without_the_extra_the_remedy_is_named(
    tmp_path: Path, signal: Samples, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = piped(tmp_path / name, signal, *REFUSED[name])
    monkeypatch.setattr(libav, "find_spec", lambda name: None)
    assert message_of(path).endswith(libav.NEEDS_EXTRA)


def test_a_codec_that_nobody_knows(files: dict[str, Path], tmp_path: Path) -> None:
    content = bytearray(files["wav"].read_bytes())
    content[20:22] = b"\x34\x12"
    (tmp_path / "a.wav").write_bytes(content)
    assert "no audio could be decoded" in message_of(tmp_path / "a.wav")


def test_damage_is_reported_with_and_without_the_extra(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(files["wav"].read_bytes()[:30])
    for _ in range(2):
        assert "No 'data' chunk marker" in message_of(path)
        assert "codecs" not in message_of(path)
        monkeypatch.setattr(libav, "find_spec", lambda name: None)


# --- what cannot be decoded ------------------------------------------------------------------


def test_a_missing_extra_is_named(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libav, "find_spec", lambda name: None)
    told = "needs the extra for more formats: pip install 'genreclf[codecs]'"
    assert message_of(files["alac.m4a"]) == f"{files['alac.m4a']}: {told}"
    (tmp_path / "text.mp3").write_text("no audio")
    assert "codecs" not in message_of(tmp_path / "text.mp3")
    assert len(decode(files["wav"], whole)[0]) == SECONDS * RATE


@pytest.mark.parametrize("suffix", sorted(CODEC_SUFFIXES))
@pytest.mark.parametrize("content", [b"words " * 1000, bytes(5000), b"\xff\xf1\x50\x80" * 50])
def test_garbage_under_any_suffix(
    tmp_path: Path, suffix: str, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    assert "no audio could be decoded" in message_of(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["alac.m4a", "flac.mka", "a.wv", "a.tta", "a.wma"])
def test_a_file_that_breaks_off_says_where(
    signal: Samples, tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    # The table of an m4a stands at its end, unless it was made for streaming.
    path = write(tmp_path / kind, signal, kind)
    if kind == "alac.m4a":
        path = fast_start(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    # FFmpeg takes the length of a wma that lacks its end for somewhat shorter.
    told = re.search(r"breaks off after (\d\.\d) s of (\d\.\d) s; the file", message_of(path))
    assert told
    assert 2 < float(told[1]) < 4.5
    assert float(told[2]) == SECONDS or kind == "a.wma"
    samples, _, _ = decode(path, lambda n, rate: (rate, 2 * rate))
    assert len(samples) == RATE
    assert capfd.readouterr() == ("", "")


def fast_start(path: Path) -> Path:
    """Move the table of an m4a to its start."""
    moved = path.with_name("moved.m4a")
    options = {"movflags": "faststart"}
    with (
        av.open(str(path)) as source,
        av.open(str(moved), "w", format="ipod", options=options) as target,
    ):
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    return moved


def test_a_film_without_sound(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", rate=25, width=64, height=64, pix_fmt="yuv420p")
        for _ in range(5):
            file.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        file.mux(stream.encode(None))
    assert "it holds none" in message_of(tmp_path / "a.mp4")


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n{}\n#EXT-X-ENDLIST\n"
CONCATENATION = "ffconcat version 1.0\nfile '{}'\n"


@pytest.mark.parametrize("text", [PLAYLIST, CONCATENATION])
def test_a_list_of_other_files_opens_none(
    files: dict[str, Path], tmp_path: Path, text: str
) -> None:
    path = tmp_path / "list.m4a"
    path.write_text(text.format(files["bare.aac"]))
    assert "no audio could be decoded" in message_of(path)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_no_file_stays_open(files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "a.m4a").write_bytes(files["alac.m4a"].read_bytes()[:2000])
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        decode(files["opus.mka"], lambda n, rate: (2 * rate, 3 * rate))
        message_of(tmp_path / "a.m4a")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_damaged_files_end(files: dict[str, Path], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for kind in ("aac.m4a", "flac.mka", "bare.aac", "a.wma", "a.wv"):
        content = bytearray(files[kind].read_bytes())
        for i in range(10):
            path = tmp_path / f"{i}-{kind}"
            for at in random.integers(0, len(content), 20):
                content[at] = random.integers(256)
            path.write_bytes(content)
            with suppress(AudioError):
                samples, info, _ = decode(path, lambda n, rate: (0, min(n, 20 * rate)))
                assert 0 < len(samples) <= 20 * info.sample_rate_hz
                assert np.isfinite(samples).all()


def test_extract_takes_them_from_folders(files: dict[str, Path], tmp_path: Path) -> None:
    folder = files["wav"].parent
    arguments = ["extract", folder, "--set", "excerpt.seconds=2", "-o", tmp_path / "t.csv"]
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    assert f"{len(files) - 1} tracks, 0 failed" in done.stderr  # mp4 may be a film


def test_a_place_before_the_file_is_damage(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lost:
        """A container whose index leads to nowhere, as the file says."""

        def __init__(self, container: Any) -> None:
            self.container = container

        def __getattr__(self, name: str) -> Any:
            return getattr(self.container, name)

        def seek(self, *_: object, **__: object) -> None:
            raise OSError(errno.EINVAL, "Invalid argument")

    opened = libav.LibavFile._opened

    @contextmanager
    def lost(self: libav.LibavFile) -> Iterator[Any]:
        with opened(self) as (container, stream):
            yield Lost(container), stream

    file = libav.LibavFile(files["aac.m4a"])
    expected = file.read(2 * RATE, 2 * RATE + 1000)
    monkeypatch.setattr(libav.LibavFile, "_opened", lost)
    # Found by counting instead, from the beginning.
    np.testing.assert_allclose(file.read(2 * RATE, 2 * RATE + 1000), expected, atol=1e-3)
