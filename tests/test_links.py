"""Files that are several, one behind the other, and FLAC that does not know its length."""

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from conftest import Samples, music, noise
from helpers import decode, message_of, whole, with_last_position

from genreclf import extract_one, load_config
from genreclf.audio.chain import adts_links, ogg_links
from genreclf.audio.decode import decode_blocks, decode_spans, describe
from genreclf.audio.flac import flac_links
from genreclf.cli import cli
from genreclf.errors import AudioError

RATE = 24_000
KINDS = {"ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"), "flac": ("FLAC", "PCM_16")}


def encoded(kind: str, samples: Samples, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    container, codec = KINDS[kind]
    soundfile.write(file, samples, rate, format=container, subtype=codec)
    return file.getvalue()


def alone(content: bytes) -> Samples:
    """Decode one link by libsndfile, mixed down."""
    samples, _ = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    return samples.mean(axis=1)


# --- all that is there is heard --------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seconds", [(1, 4), (4, 1), (2, 2, 2), (1, 3, 1, 2)], ids=str)
def test_all_links_are_decoded(tmp_path: Path, kind: str, seconds: tuple[int, ...]) -> None:
    links = [encoded(kind, music(s, RATE, seed=i)) for i, s in enumerate(seconds)]
    path = tmp_path / f"a.{kind}"
    path.write_bytes(b"".join(links))
    expected = np.concatenate([alone(link) for link in links])
    samples, info, _ = decode(path, whole)
    assert info.n_frames == len(expected)
    np.testing.assert_allclose(samples, expected, atol=1e-6)
    start = len(expected) // 2 - RATE
    centre, _, _ = decode(path, lambda n, hz: (n // 2 - hz, n // 2 + hz))
    np.testing.assert_allclose(centre, expected[start : start + 2 * RATE], atol=1e-5)
    blocks = np.concatenate([block for _, block in decode_blocks(path)])
    np.testing.assert_allclose(blocks, expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_file_twice_is_twice_as_long(tmp_path: Path, kind: str) -> None:
    # Ogg: with the same serial number in both links.
    content = encoded(kind, music(3, RATE))
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content * 2)
    np.testing.assert_allclose(decode(path, whole)[0], np.tile(alone(content), 2), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_links_of_other_channels_are_mixed_down_alike(tmp_path: Path, kind: str) -> None:
    stereo = np.stack([music(2, RATE), noise(2, RATE)], axis=1)
    links = [encoded(kind, music(2, RATE)), encoded(kind, stereo)]
    path = tmp_path / f"a.{kind}"
    path.write_bytes(b"".join(links))
    samples, info, _ = decode(path, whole)
    assert info.channels == 2
    np.testing.assert_allclose(samples, np.concatenate([*map(alone, links)]), atol=1e-6)


@pytest.mark.parametrize("kind", ["ogg", "flac"])
def test_links_of_another_rate_are_named(tmp_path: Path, kind: str) -> None:
    links = [encoded(kind, music(1, 44_100), 44_100), encoded(kind, music(4, RATE))]
    path = tmp_path / f"a.{kind}"
    path.write_bytes(b"".join(links))
    [samples], _, [note] = decode_spans(path, lambda info: [(0, info.n_frames)])
    assert note.startswith("1.0 s of 5.0 s are left out")
    assert "24000 Hz" in note
    np.testing.assert_allclose(samples, alone(links[1]), atol=1e-6)


def test_opus_of_several_rates_is_decoded_at_48_khz(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs the extra: pip install 'genreclf[codecs]'")
    links = [encoded("opus", music(s, rate), rate) for s, rate in ((1, 16_000), (3, 48_000))]
    path = tmp_path / "a.opus"
    path.write_bytes(b"".join(links))
    samples, info, _ = decode(path, whole)
    assert info.sample_rate_hz == 48_000
    assert len(samples) == info.n_frames
    assert abs(info.seconds - 4) < 0.1
    second = samples[48_000:]
    lags = [0, 312]  # FFmpeg counts what precedes the audio of the first link
    likeness = [
        np.corrcoef(second[lag:][9600:99_600], alone(links[1])[9600:99_600]) for lag in lags
    ]
    assert max(matrix[0, 1] for matrix in likeness) > 0.99


def test_a_command_notes_what_is_left_out(tmp_path: Path) -> None:
    links = [encoded("ogg", music(1, 44_100), 44_100), encoded("ogg", music(4, RATE))]
    (tmp_path / "a.ogg").write_bytes(b"".join(links))
    arguments = ["extract", tmp_path, "-o", tmp_path / "t.csv", "--jobs", "1"]
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    assert "a.ogg: 1.0 s of 5.0 s are left out" in done.stderr


def test_a_link_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    good = encoded("ogg", music(3, RATE))
    headers = encoded("ogg", music(1, RATE, seed=1))
    bad = headers[:28] + bytes(7) + headers[35:]  # no codec that is known
    (tmp_path / "a.ogg").write_bytes(good + bad)
    path = tmp_path / "a.ogg"
    [samples], _, [note] = decode_spans(path, lambda info: [(0, info.n_frames)])
    assert note.startswith("1 of the files that are joined in it are left out")
    np.testing.assert_allclose(samples, alone(good), atol=1e-6)


def test_a_link_that_states_no_length_is_named(tmp_path: Path) -> None:
    links = [encoded("ogg", music(3, RATE)), encoded("ogg", music(1, RATE, seed=1))]
    (tmp_path / "a.ogg").write_bytes(links[0] + with_last_position(links[1], 2**50))
    _, info, [note] = decode_spans(tmp_path / "a.ogg", lambda info: [(0, info.n_frames)])
    assert info.n_frames == 3 * RATE
    assert note.startswith("1 of the files that are joined in it are left out")


@pytest.mark.parametrize("kind", KINDS)
def test_one_file_is_no_chain(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(encoded(kind, music(8, RATE)))
    assert flac_links(path) == []
    assert len(ogg_links(path)) == (kind != "flac")


def test_a_chain_whose_last_link_is_cut_ends_there(tmp_path: Path) -> None:
    first, last = encoded("ogg", music(3, RATE)), encoded("ogg", music(6, RATE, seed=1))
    (tmp_path / "a.ogg").write_bytes(first + last[: len(last) * 2 // 3])
    samples, info, _ = decode(tmp_path / "a.ogg", whole)
    assert len(samples) == info.n_frames
    assert 5 < info.seconds < 8.5


# --- FLAC that was written into a pipe -------------------------------------------------------


def streamed(flac: bytes) -> bytes:
    """Blot out the length and the checksum of the samples, as a pipe leaves them."""
    return flac[:21] + bytes((flac[21] & 0xF0,)) + bytes(20) + flac[42:]


@pytest.mark.parametrize("seconds", [0.5, 1.03, 12])
@pytest.mark.parametrize("rate", [8000, 44_100])
def test_streamed_flac_keeps_its_last_block(tmp_path: Path, rate: int, seconds: float) -> None:
    content = encoded("flac", music(seconds, rate), rate)
    path = tmp_path / "a.flac"
    path.write_bytes(streamed(content))
    assert soundfile.info(path).frames > 2**48
    samples, info, _ = decode(path, whole)
    assert info.n_frames == len(samples)
    np.testing.assert_array_equal(samples, alone(content))
    np.testing.assert_array_equal(
        decode(path, lambda n, hz: (n - n // 4, n))[0], samples[len(samples) - len(samples) // 4 :]
    )


def test_streamed_flac_is_as_good_as_any(tmp_path: Path) -> None:
    content = encoded("flac", np.stack([music(20, RATE), noise(20, RATE)], axis=1))
    (tmp_path / "a.flac").write_bytes(content)
    (tmp_path / "b.flac").write_bytes(streamed(content))
    config = load_config(overrides=["excerpt.seconds=6"])
    expected = extract_one(tmp_path / "a.flac", config)
    np.testing.assert_array_equal(extract_one(tmp_path / "b.flac", config), expected)


@pytest.mark.parametrize("n_lost", [1, 100, 3000])
def test_streamed_flac_that_lacks_part_of_its_last_block(tmp_path: Path, n_lost: int) -> None:
    content = encoded("flac", noise(5, 8000), 8000)
    path = tmp_path / "a.flac"
    path.write_bytes(streamed(content)[:-n_lost])
    samples, info, _ = decode(path, whole)
    assert len(samples) == info.n_frames
    assert 0 < 5 * 8000 - len(samples) <= 2 * 4096
    np.testing.assert_array_equal(samples, alone(content)[: len(samples)])


def test_streamed_flac_of_many_minutes_has_its_true_middle(tmp_path: Path) -> None:
    signal = np.tile(noise(30, 8000), 24)  # 12 minutes
    signal[len(signal) // 2 - 4000 :][:8000] = 0
    path = tmp_path / "a.flac"
    path.write_bytes(streamed(encoded("flac", signal, 8000)))
    assert describe(path).seconds == 720
    centre, _, _ = decode(path, lambda n, hz: ((n - hz) // 2, (n + hz) // 2))
    assert not centre.any()
    assert len(decode(path, lambda n, hz: (n - hz, n))[0]) == 8000


@pytest.mark.parametrize("behind", [b"TAG" + bytes(125), b"APETAGEX" + bytes(500)])
def test_tags_around_a_streamed_flac(tmp_path: Path, behind: bytes) -> None:
    content = encoded("flac", music(3, RATE))
    path = tmp_path / "a.flac"
    path.write_bytes(b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256) + streamed(content) + behind)
    np.testing.assert_array_equal(decode(path, whole)[0], alone(content))


def test_joined_streamed_flac(tmp_path: Path) -> None:
    links = [encoded("flac", music(s, RATE, seed=s)) for s in (2, 5, 3)]
    path = tmp_path / "a.flac"
    path.write_bytes(b"".join(map(streamed, links)))
    np.testing.assert_array_equal(decode(path, whole)[0], np.concatenate([*map(alone, links)]))


def test_flac_that_is_cut_breaks_off(tmp_path: Path) -> None:
    content = encoded("flac", noise(10, RATE))
    (tmp_path / "a.flac").write_bytes(content[: len(content) // 2])
    assert "s of 10.0 s; the file is damaged" in message_of(tmp_path / "a.flac")


# --- AAC whose frames change ------------------------------------------------------------------


def aac(samples: Samples, rate: int = RATE) -> bytes:
    """Encode (n,) or (n, 2) samples as bare frames."""
    av = pytest.importorskip("av", reason="needs the extra: pip install 'genreclf[codecs]'")
    channels = samples.reshape(len(samples), -1).astype(np.float32)
    layout = "mono" if channels.shape[1] == 1 else "stereo"
    file = io.BytesIO()
    with av.open(file, "w", format="adts") as container:
        stream = container.add_stream("aac", rate=rate, layout=layout, options={"aac_pns": "0"})
        stream.bit_rate = 192_000
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(channels.T), format="fltp", layout=layout
        )
        frame.sample_rate, frame.pts = rate, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return file.getvalue()


@pytest.mark.parametrize("between", [b"", bytes(3000)], ids=["", "zeros"])
def test_aac_that_becomes_stereo_is_decoded_to_the_end(tmp_path: Path, between: bytes) -> None:
    import av

    links = [aac(music(3, RATE)), aac(music(4, RATE, seed=1)[:, None] * [1, 0.5])]
    path = tmp_path / "a.aac"
    path.write_bytes(between.join(links))
    assert [start for start, _ in adts_links(path)] == [0, len(links[0]) + len(between)]
    expected = []
    for link in links:
        with av.open(io.BytesIO(link), format="aac") as file:
            expected += [frame.to_ndarray().mean(axis=0) for frame in file.decode(audio=0)]
    samples, info, _ = decode(path, whole)
    assert info.n_frames == len(samples)
    np.testing.assert_allclose(samples, np.concatenate(expected), atol=1e-6)


def test_what_looks_like_one_frame_of_aac_begins_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.aac"
    false = b"\xff\xf1\x50\x80\x02\x00\x00 a frame?"
    path.write_bytes(aac(music(1, RATE)) + false + aac(music(1, RATE)))
    assert len(adts_links(path)) == 1


def test_aac_of_another_rate_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.aac"
    path.write_bytes(aac(music(2, 16_000), 16_000) + aac(music(4, RATE)))
    _, info, notes = decode_spans(path, lambda info: [(0, info.n_frames)])
    assert info.seconds == pytest.approx(4, abs=0.2)
    assert notes[0].startswith("2.1 s of 6.2 s are left out")


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_chains_give_samples_or_a_reason(tmp_path: Path, kind: str) -> None:
    random = np.random.default_rng(0)
    links = [encoded(kind, music(2, RATE, seed=i)) for i in range(2)]
    for i in range(15):
        content = bytearray(b"".join(streamed(link) if kind == "flac" else link for link in links))
        for at in random.integers(0, len(content), 30):
            content[at] = random.integers(256)
        path = tmp_path / f"{i}.{kind}"
        path.write_bytes(content[: random.integers(100, len(content))])
        with suppress(AudioError):
            samples, info, _ = decode(path, lambda n, hz: (0, min(n, 5 * hz)))
            assert len(samples) <= 5 * info.sample_rate_hz
            assert np.isfinite(samples).all()
