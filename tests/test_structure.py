"""Songs whose sections are known: is the highlight in the chorus?"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import Samples, music, noise

from genreclf.audio.audiofile import AudioInfo
from genreclf.config.views import Excerpt as Settings
from genreclf.features.scan import Scan, scan
from genreclf.features.selection import choose_spans
from genreclf.features.structure import find_structure

RATE = 11_025
Writer = Callable[..., Path]
Section = tuple[str, float, float]


# --- songs of the form ABABCBB ---------------------------------------------------------------

PROGRESSIONS = ((0, 4, 5, 3), (5, 3, 0, 4), (1, 4, 0, 5), (3, 4, 2, 5), (0, 3, 4, 4), (0, 2, 3, 1))
MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)


def song(seed: int) -> tuple[Samples, list[Section]]:
    """A song of its own key, tempo, instruments and loudness, and where its sections are.

    Of half of the songs all sections have the same instruments; of half, each repetition has
    another melody.
    """
    random = np.random.default_rng(seed)
    key, scale = int(random.integers(12)), (MAJOR, MINOR)[seed % 2]
    same_instruments, vary = random.random(2) < 0.5
    chords = random.permutation(len(PROGRESSIONS))
    seconds = dict(zip("ABC", random.uniform(8, 18, 3), strict=True))
    timbres = random.uniform((0.4, 0.3, 0.0), (2.2, 5.0, 0.05), (3, 3))
    gains = dict(zip("ABC", 10 ** (random.uniform(-4, 4, 3) / 20), strict=True))
    parts, sections, at = [], [], 0.0
    for number, name in enumerate("ABABCBB"):
        kind = "ABC".index(name)
        pitches = [
            [48 + key + scale[(degree + step) % 7] + 12 * ((degree + step) // 7) for step in triad]
            for degree in PROGRESSIONS[chords[kind]]
            for triad in [(0, 2, 4)]
        ]
        melody = np.random.default_rng([seed, kind, number if vary else 0])
        part = section(pitches, seconds[name], timbres[0 if same_instruments else kind], melody)
        parts.append(gains[name] * part)
        sections.append((name, at, at + len(part) / RATE))
        at = sections[-1][2]
    samples = np.concatenate(parts)
    samples += 10 ** random.uniform(-4, -2) * random.standard_normal(len(samples))
    if random.random() < 0.3:  # a fade-out
        samples[-5 * RATE :] *= np.linspace(1, 0, 5 * RATE)
    return (0.8 * samples / np.abs(samples).max()).astype(np.float32), sections


def section(
    pitches: list[list[int]], seconds: float, timbre: np.ndarray, melody: np.random.Generator
) -> np.ndarray:
    """Twice four chords, each struck four times, with a melody and hits of noise above."""
    roll_off, decay, hits = timbre
    length = round(seconds * RATE / 32)
    t = np.arange(length) / RATE

    @cache
    def struck(chord: int, above: int) -> np.ndarray:
        hz = 440 * 2 ** ((np.array([*pitches[chord], pitches[chord][above] + 12]) - 69) / 12)
        partials = np.outer(hz, np.arange(1, 7)).ravel()
        heights = np.tile(np.arange(1, 7) ** -roll_off, len(hz)) * (partials < RATE / 2)
        tones: np.ndarray = heights @ np.sin(2 * np.pi * partials[:, None] * t)
        return tones * np.exp(-decay * t)

    strikes = [
        struck(strike // 4 % 4, int(melody.integers(3)))
        + 4 * hits * melody.standard_normal(length) * np.exp(-30 * t)
        for strike in range(32)
    ]
    part = np.concatenate(strikes)
    return 0.1 * part / np.sqrt(np.mean(part**2))


def share_inside(span: tuple[float, float], sections: list[Section], name: str) -> float:
    """Share of a span that is in sections of a name."""
    start, stop = span
    overlaps = (min(stop, b) - max(start, a) for kind, a, b in sections if kind == name)
    return sum(max(0, overlap) for overlap in overlaps) / (stop - start)


SONGS = 12


@pytest.fixture(scope="module")
def scans(write_audio: Writer) -> list[tuple[Scan, list[Section]]]:
    made = []
    for seed in range(SONGS):
        samples, sections = song(seed)
        # Decoding is tested elsewhere; mp3 is what real songs are.
        path = write_audio("song.mp3" if seed % 4 == 0 else "song.wav", samples, RATE)
        made.append((scan(path, timbre=True), sections))
    return made


@pytest.mark.parametrize("length", [0.75, 1.5], ids=["within a chorus", "within two"])
def test_the_highlight_is_in_the_chorus(
    scans: list[tuple[Scan, list[Section]]], length: float
) -> None:
    hits = []
    for track, sections in scans:
        _, start, stop = sections[1]
        settings = Settings(strategy="highlight", seconds=length * (stop - start))
        [(first, last)] = choose_spans(track, track.info, settings)
        assert last - first == round(settings.seconds * RATE)
        hits.append(share_inside((first / RATE, last / RATE), sections, "B") > 0.95)
    assert np.mean(hits) >= 0.95


def test_the_highlight_of_songs_of_one_chord_per_section(write_audio: Writer) -> None:
    hits = []
    for seed in range(10):
        samples, sections = plain_song(seed)
        track = scan(write_audio("plain.wav", samples, RATE), timbre=True)
        _, start, stop = sections[1]
        span = span_of(track, 0.75 * (stop - start))
        hits.append(share_inside(span, sections, "B") > 0.95)
    assert np.mean(hits) >= 0.9


def plain_song(seed: int) -> tuple[Samples, list[Section]]:
    """Each section is one chord, to the sample the same whenever it returns."""
    random = np.random.default_rng(seed)
    seconds = dict(zip("ABC", random.uniform(8, 20, 3), strict=True))
    roots = dict(zip("ABC", 48 + random.permutation(12)[:3], strict=True))
    parts, sections, at = [], [], 0.0
    for name in "ABABCBB":
        t = np.arange(round(seconds[name] * RATE)) / RATE
        hz = 440 * 2 ** ((roots[name] + np.array([0, 4, 7]) - 69) / 12)
        parts.append(sum(np.sin(2 * np.pi * pitch * t) for pitch in hz))
        sections.append((name, at, at + len(t) / RATE))
        at = sections[-1][2]
    samples = np.concatenate(parts) / 4
    return (samples + 1e-3 * random.standard_normal(len(samples))).astype(np.float32), sections


def test_sections_that_sound_alike_share_a_letter(
    scans: list[tuple[Scan, list[Section]]],
) -> None:
    agreed = []
    for track, sections in scans:
        structure = track.structure
        assert structure is not None
        assert structure.segments[0][2] == "A"
        edges = [start for start, _, _ in structure.segments] + [structure.segments[-1][1]]
        assert edges == sorted(edges)
        middles = [(start + stop) / 2 for _, start, stop in sections]
        letters = [
            next(name for start, stop, name in structure.segments if start <= at < stop)
            for at in middles
        ]
        agreed.append(letters[0] == letters[2] and letters[1] == letters[3] != letters[0])
    assert np.mean(agreed) >= 0.7


def test_of_repetitions_the_loudest_is_chosen() -> None:
    verse, chorus, bridge = (noise_like(kind, 20) for kind in range(3))
    parts = [verse, chorus, verse, chorus, bridge, chorus, verse]
    for loudest in (1, 3, 5):
        loudness = [0.5 + (i == loudest) for i in range(len(parts))]
        start, stop = span_of(scan_of(parts, loudness), 10)
        assert 20 * loudest <= start
        assert stop <= 20 * (loudest + 1)


def test_a_section_that_returns_more_often_wins_over_a_louder_one() -> None:
    verse, chorus = (noise_like(kind, 20) for kind in range(2))
    track = scan_of([verse, chorus, verse, chorus, chorus], [1.5, 1, 1.5, 1, 1])
    start, stop = span_of(track, 15)
    assert any(a <= start and stop <= b for a, b in [(20, 40), (60, 100)])


def noise_like(kind: int, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Chroma and MFCC of a section, without any sound."""
    random = np.random.default_rng(kind)
    n = round(2 * seconds)
    shape = np.random.default_rng(100 + kind)
    chroma = shape.uniform(0, 1, (12, 1)) + random.uniform(0, 0.1, (12, n))
    return chroma, shape.normal(0, 10, (14, 1)) + random.normal(0, 1, (14, n))


def scan_of(parts: list[tuple[np.ndarray, np.ndarray]], loudness: list[float]) -> Scan:
    chroma, mfcc = (np.concatenate(rows, axis=1) for rows in zip(*parts, strict=True))
    energies = np.repeat(np.square(loudness), [5 * part[0].shape[1] for part in parts])
    info = AudioInfo(len(energies) * RATE // 10, RATE, 1, "WAV", "PCM_16")
    return Scan(info, energies, energies.astype(np.float32), chroma, mfcc)


def span_of(track: Scan, seconds: float) -> tuple[float, float]:
    settings = Settings(strategy="highlight", seconds=seconds)
    [(first, last)] = choose_spans(track, track.info, settings)
    return first / RATE, last / RATE


def test_the_loudest_part_is_chosen_if_nothing_repeats() -> None:
    track = scan_of([noise_like(0, 10)], [1])  # too short to have sections
    assert find_structure(track) is None
    energies = np.ones(100)
    energies[40:60] = 2
    assert span_of(replace(track, energies=energies), 2) == pytest.approx((4, 6), abs=0.01)


def test_blocks_of_a_long_track_are_larger() -> None:
    verse, chorus = (noise_like(kind, 130) for kind in range(2))
    track = scan_of([verse, chorus, verse, chorus, chorus], [1] * 5)
    structure = find_structure(track)
    assert structure is not None
    assert structure.block_seconds == 1
    assert len(structure.labels) == 650
    start, stop = span_of(track, 60)
    assert any(a <= start and stop <= b for a, b in [(130, 260), (390, 650)])


# --- one pass over a track -------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1000, 8000, 11_025, 44_100])
def test_energies_and_peaks_are_those_of_the_samples(write_audio: Writer, rate: int) -> None:
    signal = noise(7.77, rate)
    found = scan(write_audio("a.flac", signal, rate), timbre=False)
    assert found.chroma.shape == (12, 0)
    size = round(rate / 10)
    assert len(found.energies) == len(signal) // size
    for i, (energy, peak) in enumerate(zip(found.energies, found.peaks, strict=True)):
        piece = signal[i * size : (i + 1) * size]
        assert energy == pytest.approx(np.mean(piece**2), rel=1e-3)
        assert peak == pytest.approx(np.abs(piece).max(), abs=1e-4)


@pytest.mark.parametrize("block", [1000, 77_777, 500_000])
def test_a_scan_does_not_depend_on_the_blocks_of_the_decoder(
    write_audio: Writer, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    path = write_audio("a.wav", np.stack([music(20, 22_050)] * 2, axis=1), 22_050)
    expected = scan(path, timbre=True)
    monkeypatch.setattr("genreclf.audio.decode.BLOCK_SAMPLES", block)
    found = scan(path, timbre=True)
    np.testing.assert_allclose(found.energies, expected.energies, rtol=1e-6)
    np.testing.assert_allclose(found.chroma, expected.chroma, atol=1e-4)
    assert found.mfcc.shape == expected.mfcc.shape
    # The floor of 80 dB below the loudest is that of a block.
    assert np.abs(found.mfcc - expected.mfcc).mean() < 1


def test_chroma_is_of_the_notes_that_are_played(write_audio: Writer) -> None:
    t = np.arange(20 * RATE) / RATE
    hz = np.where(t < 10, 440.0, 523.25)
    path = write_audio("a.wav", 0.5 * np.sin(2 * np.pi * np.cumsum(hz) / RATE), RATE)
    chroma = scan(path, timbre=True).chroma
    assert abs(chroma.shape[1] - 40) <= 1
    assert set(chroma[:, 1:19].argmax(axis=0)) == {9}
    assert set(chroma[:, 21:-1].argmax(axis=0)) == {0}


@pytest.mark.parametrize("kind", ["silence", "one tone", "noise"])
def test_structure_of_signals_without_any(kind: str) -> None:
    n = 100
    chroma, mfcc = np.zeros((12, n)), np.zeros((14, n))
    if kind == "one tone":
        chroma[3] = 1
    if kind == "noise":
        chroma, mfcc = noise_like(0, n / 2)
    track = scan_of([(chroma, mfcc)], [0 if kind == "silence" else 1])
    start, stop = span_of(track, 10)
    assert start >= 0
    assert stop <= 50
    assert stop - start == pytest.approx(10, abs=0.01)
