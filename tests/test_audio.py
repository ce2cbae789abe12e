import math
import os
import re
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import librosa
import numpy as np
import pytest
import scipy.signal
import soundfile
from conftest import music, noise, sine
from helpers import decode, message_of, whole, with_last_position
from numpy.typing import NDArray

from genreclf.audio.audiofile import Samples
from genreclf.audio.decode import CANCELS, decode_blocks, decode_spans, describe
from genreclf.audio.resampling import resample
from genreclf.config.views import Resampler
from genreclf.errors import AudioError

LOSSLESS = {
    "wav": ("WAV", "PCM_16"),
    "wav24": ("WAV", "PCM_24"),
    "wav_float": ("WAV", "FLOAT"),
    "wav_double": ("WAV", "DOUBLE"),
    "flac": ("FLAC", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "w64": ("W64", "PCM_16"),
}
LOSSY = {
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mu-law": ("WAV", "ULAW"),
}


def write(path: Path, samples: Samples, rate: int, kind: str) -> Path:
    container, codec = (LOSSLESS | LOSSY)[kind]
    if not soundfile.check_format(container, codec):
        pytest.skip(f"this libsndfile writes no {codec} in {container}")
    soundfile.write(path, samples, rate, format=container, subtype=codec)
    return path


# --- what is decoded -------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_mix_down_is_the_mean_of_the_channels(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "a.wav"
    signals = np.stack([noise(1, 8000, seed=i) for i in range(channels)], axis=1)
    soundfile.write(path, signals, 8000, subtype="FLOAT")
    samples, info, _ = decode(path, whole)
    np.testing.assert_allclose(samples, signals.mean(axis=1), atol=1e-7)
    assert samples.dtype == np.float32
    assert info.channels == channels


OPPOSITE = {
    "inverted": [1, -1],
    "inverted and weaker": [1, -0.8],
    "inverted and louder": [-0.5, 0.6],
    "two of six": [1, -1, 0, 0, 0, 0],
    "four of six": [1, 1, 0, 0, -1, -1],
}


def mixed_down(path: Path, channels: Samples) -> tuple[Samples, tuple[str, ...]]:
    """Write (channels, n) samples to a file, and decode it; with what is told of that."""
    soundfile.write(path, channels.T, 8000, subtype="FLOAT")
    [mixed], _, notes = decode_spans(path, lambda info: [(0, info.n_frames)])
    return mixed, notes


@pytest.mark.parametrize("kind", OPPOSITE)
def test_channels_that_cancel_are_mixed_as_if_none_were_inverted(tmp_path: Path, kind: str) -> None:
    gains = np.array(OPPOSITE[kind], np.float32)[:, None]
    signal = music(2, 8000)
    mixed, notes = mixed_down(tmp_path / "a.wav", gains * signal)
    sign = np.sign(gains[np.abs(gains).argmax()])
    np.testing.assert_allclose(mixed, sign * np.abs(gains).mean() * signal, atol=1e-6)
    assert notes == (CANCELS,)
    offset, notes = mixed_down(tmp_path / "offset.wav", gains * signal + np.float32(0.25))
    assert np.corrcoef(offset, signal)[0, 1] ** 2 == pytest.approx(1, abs=1e-6)
    assert notes == (CANCELS,)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg"])
def test_channels_that_cancel_up_to_rounding_and_coding_are_corrected(
    tmp_path: Path, suffix: str
) -> None:
    signal, dither = music(4, 22_050), noise(4, 22_050, 1 / 2**15, seed=3)
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.stack([signal + dither, -signal], axis=1), 22_050)
    mixed, _, _ = decode(path, whole)
    n = len(signal)
    assert np.corrcoef(mixed[:n], signal)[0, 1] ** 2 > 0.9


@pytest.mark.parametrize("share", [-0.7, -0.5, 0, 0.5, 1])
@pytest.mark.parametrize("n_channels", [2, 6, 8])
def test_ordinary_channels_are_averaged_bit_for_bit(
    tmp_path: Path, share: float, n_channels: int
) -> None:
    channels = np.stack([noise(1, 8000, seed=seed) for seed in range(n_channels)])
    channels[1] = share * channels[0] + math.sqrt(1 - share**2) * channels[1]
    mixed, notes = mixed_down(tmp_path / "a.wav", channels)
    expected = sum(channels[1:], start=channels[0]) / np.float32(n_channels)
    np.testing.assert_array_equal(mixed, expected)
    assert notes == ()
    [(_, alone)] = decode_blocks(tmp_path / "a.wav")
    np.testing.assert_array_equal(alone, expected)


@pytest.mark.parametrize("n_channels", [2, 6, 32])
def test_one_channel_that_sounds_does_not_cancel(tmp_path: Path, n_channels: int) -> None:
    channels = np.zeros((n_channels, 8000), np.float32)
    channels[1] = sine(440, 1, 8000)
    mixed, notes = mixed_down(tmp_path / "a.wav", channels)
    np.testing.assert_array_equal(mixed, channels[1] / np.float32(n_channels))
    assert notes == ()


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (48000, 2)])
def test_int16_is_scaled_to_one(tmp_path: Path, rate: int, channels: int) -> None:
    random = np.random.default_rng(0)
    integers = random.integers(-(2**15), 2**15, (rate // 2, channels), dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", integers, rate, subtype="PCM_16")
    samples, info, _ = decode(tmp_path / "a.wav", whole)
    np.testing.assert_allclose(samples, integers.mean(axis=1) / 2**15, atol=1e-7)
    assert (info.sample_rate_hz, info.channels) == (rate, channels)


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("span", [(0, 1), (1234, 9876), (15_000, 16_000)])
def test_span_equals_soundfiles_own_read_of_it(
    tmp_path: Path, kind: str, span: tuple[int, int]
) -> None:
    path = write(tmp_path / "a", music(2, 8000), 8000, kind)
    samples, _, start = decode(path, lambda n, rate: span)
    expected, _ = soundfile.read(path, start=span[0], stop=span[1], dtype="float32")
    np.testing.assert_array_equal(samples, expected)
    assert start == span[0]


def test_span_is_asked_for_with_length_and_rate(tmp_path: Path) -> None:
    asked = []
    path = write(tmp_path / "a.wav", sine(440, 1.5, 8000), 8000, "wav")
    decode(path, lambda n, rate: asked.append((n, rate)) or (0, 10))
    assert asked == [(12_000, 8000)]


def test_only_the_span_is_read(tmp_path: Path) -> None:
    signal = noise(1, 8000)
    signal[:2000] = signal[6000:] = np.nan  # reading any of this would raise
    path = write(tmp_path / "a.wav", signal, 8000, "wav_float")
    samples, _, _ = decode(path, lambda n, rate: (2000, 6000))
    np.testing.assert_array_equal(samples, signal[2000:6000])


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_give_the_signal_back(tmp_path: Path, kind: str) -> None:
    signal = music(2, 44100)
    samples, _, _ = decode(write(tmp_path / "a", signal, 44100, kind), whole)
    np.testing.assert_allclose(samples, signal, atol=2**-15)


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_formats_give_nearly_the_signal_back(tmp_path: Path, kind: str) -> None:
    signal = sine(440, 3, 48000) + sine(1000, 3, 48000, 0.2)
    samples, info, _ = decode(write(tmp_path / "a", signal, 48000, kind), whole)
    assert abs(info.seconds - 3) < 0.1
    n = min(len(samples), len(signal))
    # Also says that the decoder does not shift the signal by the encoder's delay.
    assert np.corrcoef(samples[4800 : n - 4800], signal[4800 : n - 4800])[0, 1] > 0.99


@pytest.mark.parametrize("kind", LOSSY)
@pytest.mark.parametrize("start", [1, 50_000, 123_456])
def test_seeking_in_lossy_formats_hits_the_sample(tmp_path: Path, kind: str, start: int) -> None:
    path = write(tmp_path / "a", music(4, 48000), 48000, kind)
    all_of_it, _, _ = decode(path, whole)
    part, _, _ = decode(path, lambda n, rate: (start, start + 20_000))
    np.testing.assert_allclose(part, all_of_it[start : start + 20_000], atol=1e-5)


@pytest.mark.parametrize("start", [1, 22_049, 22_051, 50_000, 123_456])
def test_seeking_in_an_mp3_whose_frames_lean_on_earlier_ones(tmp_path: Path, start: int) -> None:
    # At this level of compression the bit reservoir spans many frames.
    soundfile.write(tmp_path / "a.mp3", noise(4, 44_100), 44_100, compression_level=0.9)
    all_of_it, _, _ = decode(tmp_path / "a.mp3", whole)
    part, _, _ = decode(tmp_path / "a.mp3", lambda n, rate: (start, start + 20_000))
    np.testing.assert_allclose(part, all_of_it[start : start + 20_000], atol=1e-5)


@pytest.mark.parametrize("name", ["A.MP3", "wrong.wav", "none"])
def test_the_suffix_does_not_matter(tmp_path: Path, name: str) -> None:
    samples, info, _ = decode(write(tmp_path / name, music(2, 22050), 22050, "mp3"), whole)
    assert info.container == "MP3"
    assert len(samples) == 2 * 22050


def test_odd_names_and_symbolic_links_are_opened(tmp_path: Path) -> None:
    path = write(tmp_path / "Ü 音楽 'a' #1 %d.flac", sine(440, 1, 8000), 8000, "flac")
    link = tmp_path / "link"
    link.symlink_to(path)
    assert len(decode(link, whole)[0]) == 8000


@pytest.mark.parametrize("kind", [*LOSSLESS, *LOSSY])
def test_describe_reads_the_header(tmp_path: Path, kind: str) -> None:
    stereo = np.stack([music(2, 48000), noise(2, 48000)], axis=1)
    info = describe(write(tmp_path / "a", stereo, 48000, kind))
    container, codec = (LOSSLESS | LOSSY)[kind]
    assert (info.container, info.codec) == (container, codec)
    assert (info.n_frames, info.sample_rate_hz, info.channels) == (96_000, 48_000, 2)
    assert info.seconds == 2


# --- resampling ------------------------------------------------------------------------------

RESAMPLERS: dict[Resampler, float] = {"soxr_hq": 1e-3, "kaiser_best": 3e-3}


@pytest.mark.parametrize("to_hz", [12_000, 22_050])
@pytest.mark.parametrize(
    "from_hz", [8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 44_056]
)
@pytest.mark.parametrize("n", [50_000, 44_101])
def test_resample_equals_librosa(from_hz: int, to_hz: int, n: int) -> None:
    signal = music(8, 8000)[:n]
    expected = librosa.resample(signal, orig_sr=from_hz, target_sr=to_hz, res_type="soxr_hq")
    resampled = resample(signal, from_hz, to_hz)
    assert len(resampled) == -(-n * to_hz // from_hz)
    np.testing.assert_allclose(resampled, expected[: len(resampled)], atol=1e-7)
    assert resampled.dtype == np.float32


@pytest.mark.parametrize("n", [1, 2, 3, 10])
@pytest.mark.parametrize(("from_hz", "to_hz"), [(44_100, 12_000), (8000, 12_000)])
def test_resample_gives_ceil_of_the_ratio_for_a_few_samples(
    from_hz: int, to_hz: int, n: int
) -> None:
    assert len(resample(sine(440, 1, 8000)[:n], from_hz, to_hz)) == -(-n * to_hz // from_hz)


def windowed_sinc(up: int, down: int) -> NDArray[np.float64]:
    """ "kaiser_best" at ``up`` times the sample rate, as scipy designs it."""
    step = np.floor(512 * min(1, up / down)) / 512  # the truncation in resampy before 0.4
    half = int(64 * up / step)
    cutoff = 0.9475937167399596 * step / up
    return scipy.signal.firwin(2 * half + 1, cutoff, window=("kaiser", 14.769656459379492))


@pytest.mark.parametrize(
    ("from_hz", "to_hz"),
    [(22_050, 12_000), (44_100, 12_000), (48_000, 12_000), (44_100, 22_050), (8000, 12_000)],
)
@pytest.mark.parametrize("n", [50_000, 44_101, 300])
def test_kaiser_best_equals_scipys_polyphase_filter(from_hz: int, to_hz: int, n: int) -> None:
    signal = music(8, 8000)[:n]
    divisor = np.gcd(from_hz, to_hz)
    up, down = to_hz // divisor, from_hz // divisor
    window = windowed_sinc(up, down)
    expected = scipy.signal.resample_poly(signal.astype(np.float64), up, down, window=window)
    resampled = resample(signal, from_hz, to_hz, "kaiser_best")
    assert len(resampled) == -(-n * to_hz // from_hz)
    assert resampled.dtype == np.float32
    whole = n * to_hz // from_hz  # like resampy, no sample beyond the last whole one
    # firwin scales to a gain of 1, which resampy misses by as much as its steps are truncated.
    gain = min(1, up / down) / (np.floor(512 * min(1, up / down)) / 512)
    np.testing.assert_allclose(resampled[:whole], gain * expected[:whole], atol=2e-5)


def test_resamplers_differ_in_the_highest_twelfth_of_the_band_only() -> None:
    for hz, alike in [(500, True), (4900, True), (5700, False)]:
        signal = sine(hz, 2, 22_050)
        ours = resample(signal, 22_050, 12_000)[2000:-2000]
        theirs = resample(signal, 22_050, 12_000, "kaiser_best")[2000:-2000]
        assert np.allclose(ours, theirs, atol=3e-3) is alike


def test_resample_to_the_same_rate_changes_nothing() -> None:
    signal = noise(1, 12_000)
    np.testing.assert_array_equal(resample(signal, 12_000, 12_000), signal)


def test_resample_keeps_a_tone_and_drops_what_is_above_nyquist() -> None:
    signal = sine(1000, 2, 44_100) + sine(9000, 2, 44_100)
    for resampler, tolerance in RESAMPLERS.items():
        middle = resample(signal, 44_100, 12_000, resampler)[2000:-2000]
        np.testing.assert_allclose(middle, sine(1000, 2, 12_000)[2000:-2000], atol=tolerance)


# --- what cannot be decoded ------------------------------------------------------------------


def test_missing_file(tmp_path: Path) -> None:
    assert "no such file" in message_of(tmp_path / "missing.mp3")


def test_file_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"x")
    assert "not a directory" in message_of(tmp_path / "a.mp3" / "b.mp3")


def test_dangling_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "link.wav").symlink_to(tmp_path / "gone.wav")
    assert "no such file" in message_of(tmp_path / "link.wav")


def test_name_too_long(tmp_path: Path) -> None:
    assert "too long" in message_of(tmp_path / ("a" * 5000))


def test_folder(tmp_path: Path) -> None:
    assert "a folder, not an audio file" in message_of(tmp_path)


def test_fifo_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    assert "not a regular file" in message_of(tmp_path / "pipe.wav")


@pytest.mark.parametrize("suffix", ["mp3", "wav", "flac", "ogg", "raw", "txt"])
def test_file_of_0_bytes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"empty.{suffix}"
    path.touch()
    assert "0 bytes" in message_of(path)


@pytest.mark.parametrize("suffix", ["mp3", "wav", "flac", "ogg", "raw", "txt"])
def test_text_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"text.{suffix}"
    path.write_text("These are words.\n" * 100)
    assert "no audio could be decoded" in message_of(path)


@pytest.mark.parametrize("content", [b"words " * 100, bytes(10_000)], ids=["text", "zeros"])
def test_message_about_a_false_mp3_does_not_deny_that_it_exists(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "false.mp3"
    path.write_bytes(content)
    assert "not exist" not in message_of(path)


@pytest.mark.parametrize("kind", ["wav", "flac", "aiff", "au"])
def test_file_of_0_samples(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "a", np.zeros(0, np.float32), 8000, kind)
    assert "no audio could be decoded" in message_of(path)


def test_describe_raises_as_decode_does(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no such file"):
        describe(tmp_path / "missing.wav")


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("n_bytes", [4, 12, 20])
def test_header_that_breaks_off(tmp_path: Path, kind: str, n_bytes: int) -> None:
    path = write(tmp_path / "a", sine(440, 1, 8000), 8000, kind)
    path.write_bytes(path.read_bytes()[:n_bytes])
    assert "no audio could be decoded" in message_of(path)


@pytest.mark.parametrize("kind", ["wav", "wav_float", "aiff", "au", "w64"])
def test_pcm_file_that_breaks_off_states_how_much_was_there(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "a", music(10, 8000), 8000, kind)
    content = path.read_bytes()
    bytes_a_sample = 4 if kind == "wav_float" else 2
    path.write_bytes(content[: len(content) - 6 * 8000 * bytes_a_sample])
    message = message_of(path)
    assert "4.0 s" in message
    assert "10.0 s" in message


def test_aiff_that_sox_wrote_into_a_pipe(tmp_path: Path) -> None:
    path = write(tmp_path / "a", music(3, 8000), 8000, "aiff")
    expected = decode(path, whole)[0]
    content = bytearray(path.read_bytes())
    unknown = 0x7F00_0000
    for at, value in (
        (content.index(b"FORM") + 4, unknown + 80),
        (content.index(b"COMM") + 10, unknown // 2),  # in frames
        (content.index(b"SSND") + 4, unknown + 8),
    ):
        content[at : at + 4] = value.to_bytes(4)
    path.write_bytes(content)
    np.testing.assert_array_equal(decode(path, whole)[0], expected)


def test_mp3_that_breaks_off_states_how_much_was_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", noise(10, 22050), 22050, "mp3")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match=r"after [45]\.\d s of 10\.0 s; the file is damaged"):
        decode(path, whole)


def test_break_before_the_span_is_not_reported_as_later_than_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", noise(10, 22050), 22050, "mp3")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 4])
    with pytest.raises(AudioError) as caught:
        decode(path, lambda n, rate: (6 * rate, 8 * rate))
    message = str(caught.value)
    assert "damaged" in message
    assert "6.0 s" not in message  # there were 2.5 s


def test_flac_that_breaks_off(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", music(10, 22050), 22050, "flac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    message = message_of(path)
    assert "10.0 s" in message
    assert "0.0 s" not in message.replace("10.0 s", "")  # some 5 s are there


def with_chunk(wav: bytes, at: int, n_bytes: int = 40_000) -> bytes:
    """Insert a chunk of metadata into a wav file."""
    chunk = b"LIST" + struct.pack("<I", n_bytes) + b"INFO" + bytes(n_bytes - 4)
    content = wav[:at] + chunk + wav[at:]
    return content[:4] + struct.pack("<I", len(content) - 8) + content[8:]


@pytest.mark.parametrize("kept", [0, 100], ids=["missing", "cut"])
def test_wav_that_lacks_metadata_after_the_audio_is_decoded(tmp_path: Path, kept: int) -> None:
    signal = music(10, 8000)
    path = write(tmp_path / "a.wav", signal, 8000, "wav")
    content = path.read_bytes()
    path.write_bytes(with_chunk(content, len(content))[: len(content) + kept])
    np.testing.assert_allclose(decode(path, whole)[0], signal, atol=2**-15)


def test_wav_with_metadata_before_the_audio_that_breaks_off(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", music(10, 8000), 8000, "wav")
    content = with_chunk(path.read_bytes(), 36)
    path.write_bytes(content)
    assert len(decode(path, whole)[0]) == 80_000
    path.write_bytes(content[: -6 * 16_000])
    assert "4.0 s of 10.0 s" in message_of(path)


def test_part_before_the_break_is_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", noise(10, 22050), 22050, "mp3")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    samples, _, _ = decode(path, lambda n, rate: (0, 4 * rate))
    assert len(samples) == 4 * 22050


def test_mp3_that_lacks_its_last_frame_is_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", noise(5, 22050), 22050, "mp3")
    path.write_bytes(path.read_bytes()[:-100])
    samples, info, _ = decode(path, whole)
    assert 0 < info.n_frames - len(samples) < 2205


def test_wav_of_a_stream_with_unknown_length_is_decoded(tmp_path: Path) -> None:
    # What ffmpeg writes into a pipe: both sizes in the header are the largest there is.
    signal = music(2, 8000)
    path = write(tmp_path / "a.wav", signal, 8000, "wav")
    content = bytearray(path.read_bytes())
    assert content[36:40] == b"data"
    content[4:8] = content[40:44] = b"\xff" * 4
    path.write_bytes(content)
    np.testing.assert_allclose(decode(path, whole)[0], signal, atol=2**-15)


@pytest.mark.parametrize("claimed", [2**63 - 1, 2**50])
def test_ogg_that_claims_an_endless_length_is_counted(tmp_path: Path, claimed: int) -> None:
    path = write(tmp_path / "a.ogg", music(5, 22050), 22050, "ogg")
    expected, info, _ = decode(path, whole)
    path.write_bytes(with_last_position(path.read_bytes(), claimed))
    assert soundfile.info(path).frames > 2**48
    assert abs(describe(path).n_frames - info.n_frames) < 2048
    samples, _, _ = decode(path, lambda n, rate: (n // 2, n // 2 + rate))
    start = describe(path).n_frames // 2
    np.testing.assert_allclose(samples, expected[start : start + 22050], atol=1e-5)


def test_ogg_without_an_end_is_counted_beyond_ten_minutes(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    with soundfile.SoundFile(path, "w", 8000, 1, format="OGG", subtype="VORBIS") as file:
        for _ in range(660):
            file.write(np.zeros(8000, np.float32))
    path.write_bytes(with_last_position(path.read_bytes(), 2**50))
    assert abs(describe(path).seconds - 660) < 0.1


def test_ogg_that_claims_too_much_breaks_off(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ogg", music(5, 22050), 22050, "ogg")
    path.write_bytes(with_last_position(path.read_bytes(), 100 * 22050))
    assert re.search(r"breaks off after [45]\.\d s of 100\.0 s", message_of(path))


@pytest.mark.parametrize("n_zeros", [1, 1000, 60_000])
def test_mp3_after_zeros(tmp_path: Path, n_zeros: int) -> None:
    path = write(tmp_path / "a.mp3", music(3, 22050), 22050, "mp3")
    expected, info, _ = decode(path, whole)
    path.write_bytes(bytes(n_zeros) + path.read_bytes())
    samples, theirs, _ = decode(path, whole)
    assert abs(theirs.n_frames - info.n_frames) <= 3 * 1152
    lag = min(range(2500), key=lambda n: np.abs(samples[n:][:9999] - expected[:9999]).max())
    np.testing.assert_allclose(samples[lag:][:9999], expected[:9999], atol=1e-4)


@pytest.mark.parametrize("rate", [1, 999, 2**31 - 1])
def test_sample_rates_that_no_music_has(tmp_path: Path, rate: int) -> None:
    path = write(tmp_path / "a.wav", noise(5, 8000), 8000, "wav")
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, 24, rate)
    path.write_bytes(content)
    assert f"sample rate of {rate} Hz" in message_of(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(tmp_path: Path, bad: float) -> None:
    signal = noise(1, 8000)
    signal[4000] = bad
    assert "not finite" in message_of(write(tmp_path / "a.wav", signal, 8000, "wav_float"))


@pytest.mark.parametrize("pair", [(np.inf, -np.inf), (np.nan, 0), (0, np.inf)])
def test_values_whose_mean_is_not_finite(tmp_path: Path, pair: tuple[float, float]) -> None:
    stereo = np.zeros((8000, 2), np.float32)
    stereo[4000] = pair
    assert "not finite" in message_of(write(tmp_path / "a.wav", stereo, 8000, "wav_float"))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("amplitude", [1e6, 1e19, 3e38])
def test_absurdly_large_values(tmp_path: Path, channels: int, amplitude: float) -> None:
    signal = np.full((8000, channels), amplitude, np.float32)
    assert "times full scale" in message_of(write(tmp_path / "a", signal, 8000, "wav_float"))


def test_values_somewhat_beyond_full_scale_are_not_clipped(tmp_path: Path) -> None:
    signal = sine(440, 1, 8000, amplitude=3.0)
    samples, _, _ = decode(write(tmp_path / "a", signal, 8000, "wav_float"), whole)
    np.testing.assert_array_equal(samples, signal)


def test_name_with_a_null_byte() -> None:
    message_of(Path("a\0b.wav"))


# --- a whole file in blocks ------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOSSLESS | LOSSY)
def test_blocks_together_are_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("genreclf.audio.decode.BLOCK_SAMPLES", 30_000)
    stereo = np.stack([music(4, 48_000), music(4, 48_000, seed=1)], axis=1)
    path = write(tmp_path / "a", stereo, 48_000, kind)
    expected, info, _ = decode(path, whole)
    infos, blocks = zip(*decode_blocks(path), strict=True)
    assert set(infos) == {info}
    assert all(len(block) == 15_000 for block in blocks[:-1])
    np.testing.assert_allclose(np.concatenate(blocks), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["mp3", "flac", "wav"])
def test_blocks_of_a_stream_that_breaks_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("genreclf.audio.decode.BLOCK_SAMPLES", 20_000)
    path = write(tmp_path / f"a.{kind}", noise(10, 22050), 22050, kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match=r"after [345]\.\d s of 10\.0 s; the file is damaged"):
        list(decode_blocks(path))
    assert len(next(decode_blocks(path))[1]) == 20_000  # what comes before the break is given


@pytest.mark.parametrize(
    ("value", "reason"), [(np.nan, "not finite"), (np.inf, "not finite"), (1e6, "damaged")]
)
def test_blocks_of_values_that_no_music_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, reason: str
) -> None:
    monkeypatch.setattr("genreclf.audio.decode.BLOCK_SAMPLES", 10_000)
    signal = noise(10, 8000)
    signal[79_000] = value
    path = write(tmp_path / "a.wav", signal, 8000, "wav_float")
    with pytest.raises(AudioError, match=reason):
        list(decode_blocks(path))


# --- what decoding must leave alone ----------------------------------------------------------


def test_decoding_in_two_threads_leaves_standard_error_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", music(2, 22050), 22050, "mp3")
    first_is_in, second_is_in, first_is_out = Event(), Event(), Event()

    # The first thread enters and leaves before the second one. Waiting ends at some time, lest a
    # decoder that lets in only one thread would hang.
    def first() -> None:
        def span(n_frames: int, sample_rate_hz: int) -> tuple[int, int]:
            first_is_in.set()
            second_is_in.wait(2)
            return 0, n_frames

        decode(path, span)
        first_is_out.set()

    def second() -> None:
        def span(n_frames: int, sample_rate_hz: int) -> tuple[int, int]:
            second_is_in.set()
            first_is_out.wait(2)
            return 0, n_frames

        first_is_in.wait(2)
        decode(path, span)

    kept = os.dup(2)
    try:
        before = os.fstat(2)
        with ThreadPoolExecutor(2) as pool:
            for future in [pool.submit(first), pool.submit(second)]:
                future.result()
        after = os.fstat(2)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino)


def test_damaged_files_print_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.mp3", noise(4, 22050), 22050, "mp3")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    message_of(path)
    path.write_bytes(b"ID3" + bytes(5000))
    message_of(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_no_file_stays_open(tmp_path: Path) -> None:
    good = write(tmp_path / "good.wav", sine(440, 1, 8000), 8000, "wav")
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no audio")
    cut = write(tmp_path / "cut.mp3", noise(4, 22050), 22050, "mp3")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        decode(good, whole)
        message_of(bad)
        message_of(cut)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
