"""Synthesise a small labelled music collection to try genreclf on.

Real genre collections are large and seldom free to pass on.  This script writes a stand-in: short
mp3 tracks in five invented styles that differ in rhythm, harmony and timbre, yet vary enough
within each style, and share enough with other styles, that it is not trivial to distinguish them.

    python data/make_demo.py demo

writes ``demo/train/<style>/<NN>.mp3``, to learn from, and ``demo/unheard/<style>-<NN>.mp3``, to
predict.  The same seed always gives the same music.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeAlias

import click
import numpy as np
import soundfile
from numpy.random import Generator
from numpy.typing import NDArray

RATE = 22_050  # Hz; coding 44.1 kHz takes twice as long
TRACKS_PER_STYLE = 10
UNHEARD_PER_STYLE = 2
SECONDS = 30.0  # a little more than the 29 s excerpts usual in genre collections
PEAK = 0.8  # leaves room for the overshoot of mp3 coding

Signal: TypeAlias = NDArray[np.float64]
Instrument: TypeAlias = Callable[[Sequence[float], float, float, Generator], Signal]
"""Plays some MIDI notes together, for so many seconds, with a brightness between 0 and 1."""
Sound: TypeAlias = Callable[[int, float, str], Signal]
"""Sounds, in a bar of some number and for so many seconds, what a symbol in a figure asks for."""

ROOTS = {"C": 0, "D": 2, "Eb": 3, "E": 4, "F": 5, "G": 7, "Ab": 8, "A": 9, "Bb": 10, "B": 11}
QUALITIES = {
    "": (0, 4, 7, 12),
    "m": (0, 3, 7, 12),
    "5": (0, 7, 12, 19),
    "sus2": (0, 2, 7, 14),
    "7": (0, 4, 7, 10),
    "m7": (0, 3, 7, 10),
    "maj7": (0, 4, 7, 11),
}


def chord(symbol: str) -> list[int]:
    """Spell a chord symbol such as ``"Bbmaj7"`` as four semitone steps above C."""
    size = 2 if symbol[1:2] == "b" else 1
    return [ROOTS[symbol[:size]] + step for step in QUALITIES[symbol[size:]]]


def pattern(steps: str) -> Iterator[tuple[float, float, str]]:
    """Read one bar of step notation as (onset, length, symbol), both in bars.

    A dash holds the previous symbol, a dot is a rest and anything else starts a note.
    """
    for start, symbol in enumerate(steps):
        if symbol not in "-.":
            tail = steps[start + 1 :]
            held = len(tail) - len(tail.lstrip("-"))
            yield start / len(steps), (1 + held) / len(steps), symbol


def clock(seconds: float) -> Signal:
    """Count sample times from zero."""
    return np.arange(int(seconds * RATE)) / RATE


def envelope(seconds: float, attack: float, decay: float) -> Signal:
    """Shape a note: linear attack, exponential decay and a short release against clicks."""
    time = clock(seconds)
    release = np.clip((seconds - time) / 0.02, 0.0, 1.0)
    shape: Signal = np.minimum(time / attack, 1.0) * np.exp(-time / decay) * release
    return shape


def frequency(note: float) -> float:
    """Convert a MIDI note number to Hz."""
    return float(440.0 * 2.0 ** ((note - 69.0) / 12.0))


def oscillator(note: float, seconds: float, rolloff: float, cutoff: float) -> Signal:
    """Sound one note whose k-th harmonic has strength ``k ** -rolloff``, fading above a cutoff."""
    # A wavetable holding only harmonics below the Nyquist frequency cannot alias.
    size = 2048
    pitch = frequency(note)
    order = np.arange(1, max(2, min(size // 4, int(0.45 * RATE / pitch))))
    spectrum = np.zeros(size // 2 + 1, dtype=complex)
    spectrum[order] = -1j * order**-rolloff * np.exp(-order * pitch / cutoff)
    table = np.fft.irfft(spectrum, size)
    table /= np.abs(table).max()
    phase = np.arange(int(seconds * RATE)) * (pitch * size / RATE)
    wave: Signal = table[phase.astype(np.int64) % size]
    return wave


def synth(
    rolloff: float, attack: float, decay: float, *, detune: float = 0.0, drive: float = 0.0
) -> Instrument:
    """Build an instrument out of oscillators, optionally detuned in pairs or overdriven."""

    def play(notes: Sequence[float], seconds: float, brightness: float, _: Generator) -> Signal:
        cutoff = 800.0 * 8.0**brightness
        voices = (-detune, detune) if detune else (0.0,)
        sound = np.zeros(int(seconds * RATE))
        for pitch in (note + voice for note in notes for voice in voices):
            sound += oscillator(pitch, seconds, rolloff, cutoff)
        sound /= np.sqrt(len(notes) * len(voices))
        if drive:
            # Distorting the sum, not each note, gives power chords their growl.
            sound = np.tanh(drive * sound)
        return sound * envelope(seconds, attack, decay)

    return play


def pluck(notes: Sequence[float], seconds: float, brightness: float, rng: Generator) -> Signal:
    """Pluck strings by Karplus-Strong: a noise burst going round an averaging delay line."""
    size = int(seconds * RATE)
    sound = np.zeros(size)
    for place, note in enumerate(notes):
        period = int(RATE / frequency(note))
        string = np.zeros(1 + size + 2 * period)
        string[1 : 1 + period] = rng.uniform(-1.0, 1.0, period)
        # No sample depends on another of the same round, so whole rounds can be computed at once.
        for at in range(1 + period, 1 + size + period, period):
            before = at - period
            string[at : at + period] = 0.498 * (string[before:at] + string[before - 1 : at - 1])
        strum = min(size, place * RATE // 60)
        sound[strum:] += string[1 : 1 + size - strum]
    shape = envelope(seconds, 0.001 + 0.02 * (1.0 - brightness), 2.0)
    sound *= shape / np.sqrt(len(notes))
    return sound


def drum_kit(rng: Generator) -> dict[str, Signal]:
    """Tune and record one drum kit."""

    def noise(seconds: float, decay: float, *, attack: float = 0.001, sharp: int = 0) -> Signal:
        # Each difference tilts white noise up by 6 dB per octave, towards metal.
        burst = np.diff(rng.standard_normal(int(seconds * RATE) + sharp), sharp) / 3.0**sharp
        return burst * envelope(seconds, attack, decay)

    def drum(pitch: float, sweep: float, decay: float) -> Signal:
        time = clock(0.4)
        turns = pitch * time + sweep * 0.03 * (1.0 - np.exp(-time / 0.03))
        return np.sin(2.0 * np.pi * turns) * envelope(0.4, 0.001, decay)

    ring = rng.uniform(0.15, 0.4)
    metal = np.sin(2.0 * np.pi * np.outer(rng.uniform(2500.0, 8000.0, 5), clock(0.6))).sum(axis=0)
    snap = noise(0.4, rng.uniform(0.05, 0.12))
    return {
        "kick": drum(rng.uniform(42.0, 60.0), rng.uniform(60.0, 250.0), rng.uniform(0.08, 0.2)),
        "snare": 0.4 * snap + 0.5 * drum(rng.uniform(160.0, 230.0), 60.0, 0.06),
        "brush": 0.2 * noise(0.3, 0.12, attack=0.05),
        "hat": 0.4 * noise(0.1, rng.uniform(0.015, 0.04), sharp=2),
        "open": 0.4 * noise(0.4, rng.uniform(0.06, 0.15), sharp=2),
        "ride": (0.3 * noise(0.6, ring, sharp=1) + 0.04 * metal) * envelope(0.6, 0.001, ring),
    }


@dataclass(frozen=True)
class Part:
    """What one player does: digits in a figure pick chord notes, ``x`` all, ``?`` any."""

    instrument: Instrument
    base: int
    level: float
    figures: str


@dataclass(frozen=True)
class Style:
    """The habits of a style; spaces separate alternatives, and dashes the chords of one."""

    tempo: tuple[float, float]
    beats: int
    progressions: str
    drums: dict[str, str]
    bass: Part
    comp: Part
    lead: Part


STYLES = {
    "ambient": Style(
        tempo=(56.0, 80.0),
        beats=4,
        progressions="Csus2-Am7-Fmaj7-Gsus2 Fmaj7-Em7 Dsus2-Asus2 Am7-Fmaj7-C-Em7",
        drums={"kick": "........ ........ x.......", "brush": "........ ........ ....x..."},
        bass=Part(synth(2.0, 0.8, 8.0), 36, 0.35, "0------- 0---2---"),
        comp=Part(synth(1.2, 1.2, 9.0, detune=0.07), 60, 0.5, "x------- x---x---"),
        lead=Part(synth(2.5, 0.05, 1.2), 72, 0.25, "..?-.... ?---..?- ........"),
    ),
    "dance": Style(
        tempo=(118.0, 132.0),
        beats=4,
        progressions="Am-F-C-G Am7-Am7-Fmaj7-G Dm-Am C-Am-F-G",
        drums={
            "kick": "x...x...x...x... x...x...x...x.x.",
            "snare": "....x.......x... ....x.......x..x",
            "open": "..x...x...x...x.",
            "hat": "................ x.x.x.x.x.x.x.x. xxxxxxxxxxxxxxxx",
        },
        bass=Part(synth(1.0, 0.005, 0.25), 36, 0.5, ".0.0.0.0 0.00.00.0.00.00. 00000000"),
        comp=Part(synth(0.7, 0.01, 0.3, detune=0.1), 60, 0.4, "x..x..x. ..x...x."),
        lead=Part(synth(0.9, 0.005, 0.2), 72, 0.3, "0.1.2.3. ?..?..?.?..?..?. ........"),
    ),
    "folk": Style(
        tempo=(84.0, 132.0),
        beats=3,
        progressions="C-G-Am-F C-F-C-G Am-G-F-Em D-A-G-D",
        drums={"kick": "...... ...... x.....", "brush": "...... ...... ..x.x."},
        bass=Part(pluck, 36, 0.35, "0----- 0---2- ......"),
        comp=Part(pluck, 48, 0.6, "0-1-2- 0-x-x- 012321"),
        lead=Part(pluck, 60, 0.5, "?-??-- ?----- ......"),
    ),
    "rock": Style(
        tempo=(96.0, 152.0),
        beats=4,
        progressions="E5-G5-A5-E5 A5-D5-E5-D5 E5-C5-D5-E5 Am-F-C-G",
        drums={
            "kick": "x...x... x..xx... x.x.x...",
            "snare": "..x...x.",
            "hat": "xxxxxxxx x.x.x.x. ........",
            "ride": "........ ........ x.x.x.x.",
        },
        bass=Part(synth(1.3, 0.005, 0.8), 28, 0.5, "00000000 0---0-0-"),
        comp=Part(synth(1.2, 0.005, 3.0, drive=6.0), 40, 0.6, "xxxxxxxx x--x--x- x-------"),
        lead=Part(synth(1.0, 0.02, 2.0, drive=3.0), 64, 0.2, "?-??--?- ........ ........"),
    ),
    "swing": Style(
        tempo=(108.0, 190.0),
        beats=4,
        progressions="Dm7-G7-Cmaj7-A7 C7-F7-C7-G7 Cmaj7-Am7-Dm7-G7 Ebmaj7-Ab7-Fm7-Bb7",
        drums={
            "ride": "x..x.xx..x.x x..x..x..x.x",
            "hat": "...x.....x..",
            "kick": "............ x..x..x..x..",
            "brush": "............ x..x.xx..x.x",
        },
        bass=Part(synth(1.8, 0.01, 0.5), 36, 0.6, "0--1--2--3-- 0--2--3--1-- 0-----2-----"),
        comp=Part(synth(1.8, 0.005, 0.7), 60, 0.4, "x....x...... ..x-....x-.."),
        lead=Part(synth(1.4, 0.04, 1.5), 72, 0.3, "?--?.??--?.? ?-??-?.....? ............"),
    ),
}


def borrow(name: str, rng: Generator) -> Style:
    """Start from a style and let a quarter of its tracks take on traits of another."""
    style = STYLES[name]
    traits = ["tempo", "progressions", "drums", "bass", "comp", "lead"]
    for trait in rng.choice(traits, rng.choice(3, p=(0.75, 0.15, 0.1)), replace=False):
        other = STYLES[str(rng.choice([other for other in STYLES if other != name]))]
        style = replace(style, **{trait: getattr(other, trait)})
    return style


def perform(track: Signal, figures: str, bar: float, rng: Generator, sound: Sound) -> None:
    """Choose one of the figures and repeat it on a track, with human timing and touch."""
    figure = str(rng.choice(figures.split()))
    level = rng.uniform(0.6, 1.3)
    bars = int(len(track) / RATE / bar) + 1
    # Some players sit out a stretch, as in the breakdown of a dance track.
    start = int(rng.integers(bars)) if rng.random() < 0.3 else bars
    for number in range(bars):
        if not start <= number < start + bars // 3:
            for onset, length, symbol in pattern(figure):
                played = level * rng.uniform(0.7, 1.0) * sound(number, length * bar, symbol)
                at = int(max(0.0, (number + onset) * bar + rng.normal(0.0, 0.004)) * RATE)
                slot = track[at : at + len(played)]
                slot += played[: len(slot)]


def perform_part(
    track: Signal, part: Part, chords: Sequence[list[int]], bar: float, rng: Generator
) -> None:
    """Let one player follow the chords."""
    brightness = rng.uniform()

    @cache  # music repeats itself
    def render(notes: tuple[int, ...], length: float) -> Signal:
        return part.level * part.instrument(notes, length, brightness, rng)

    def sound(number: int, length: float, symbol: str) -> Signal:
        tones = [part.base + tone for tone in chords[number % len(chords)]]
        if symbol.isdigit():
            tones = [tones[int(symbol)]]
        elif symbol == "?":
            tones = [int(rng.choice(tones))]
        return render(tuple(tones), length)

    perform(track, part.figures, bar, rng, sound)


def compose(style: Style, seconds: float, rng: Generator) -> Signal:
    """Play a style for a while, in a key and at a tempo of its own."""
    track = np.zeros(int(seconds * RATE))
    bar = style.beats * 60.0 / rng.uniform(*style.tempo)
    key = int(rng.integers(-5, 7))
    progression = str(rng.choice(style.progressions.split()))
    chords = [[key + tone for tone in chord(symbol)] for symbol in progression.split("-")]
    kit = drum_kit(rng)
    for drum, figures in style.drums.items():
        perform(track, figures, bar, rng, lambda *_, drum=drum: kit[drum])
    for part in (style.bass, style.comp, style.lead):
        perform_part(track, part, chords, bar, rng)
    return track


def master(track: Signal, rng: Generator) -> Signal:
    """Record a track in a room and finish it: echo, tone, hiss and loudness."""
    pitch = np.fft.rfftfreq(len(track), 1.0 / RATE)
    tone = (np.maximum(pitch, 30.0) / 1000.0) ** rng.uniform(-0.25, 0.25)
    tone /= 1.0 + (pitch / rng.uniform(4000.0, 14000.0)) ** 4
    tone *= pitch > 25.0  # neither rumble nor offset
    sound = np.fft.irfft(np.fft.rfft(track) * tone, len(track))
    sound /= np.sqrt(np.mean(sound**2))
    wet, hiss = rng.uniform(0.0, 0.4), 10.0 ** rng.uniform(-4.0, -2.0)
    channels = []
    for _ in range(2 if rng.random() < 0.15 else 1):
        channel = sound + hiss * rng.standard_normal(len(sound))
        for delay in rng.uniform(0.01, 0.15, 4):  # each echo is echoed by the next
            channel += wet * np.roll(channel, int(delay * RATE))
        channels.append(channel)
    finished = np.stack(channels, axis=1)
    level = 10.0 ** rng.uniform(-1.2, -0.7) / np.sqrt(np.mean(finished**2))
    finished *= min(level, PEAK / np.abs(finished).max())
    return finished


def make_track(path: Path, name: str, seconds: float, rng: Generator) -> Path:
    """Write one track of the named style."""
    sound = master(compose(borrow(name, rng), seconds, rng), rng)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, RATE, format="MP3", bitrate_mode="VARIABLE", compression_level=0.9)
    return path


def make_demo(
    folder: Path,
    *,
    tracks_per_style: int = TRACKS_PER_STYLE,
    seconds: float = SECONDS,
    seed: int = 0,
) -> list[Path]:
    """Write the collection and return the paths of its tracks.

    Parameters
    ----------
    folder
        Where to write; missing folders are created.
    tracks_per_style
        How many labelled tracks each style gets, next to ``UNHEARD_PER_STYLE`` unlabelled ones.
    seconds
        How long each track lasts.
    seed
        Which collection to make.

    Returns
    -------
    list of Path
        The labelled tracks of each style, each followed by its unheard ones.
    """
    jobs = []
    for style, name in enumerate(STYLES):
        labelled = [folder / "train" / name / f"{n:02}.mp3" for n in range(tracks_per_style)]
        unheard = [folder / "unheard" / f"{name}-{n:02}.mp3" for n in range(UNHEARD_PER_STYLE)]
        for part, group in enumerate((labelled, unheard)):
            for number, path in enumerate(group):
                # A stream per track: a larger collection keeps the tracks of a smaller one.
                rng = np.random.default_rng([seed, style, part, number])
                jobs.append((path, name, seconds, rng))
    # Threads help: most of the time goes into mp3 coding, which releases the interpreter lock.
    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(lambda job: make_track(*job), jobs))


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--tracks-per-style", default=TRACKS_PER_STYLE, show_default=True, type=click.IntRange(min=1)
)
@click.option("--seconds", default=SECONDS, show_default=True, type=click.FloatRange(min=5.0))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
def main(folder: Path, tracks_per_style: int, seconds: float, seed: int) -> None:
    """Write a demo collection to DIR: train/STYLE/NN.mp3 and unheard/STYLE-NN.mp3."""
    paths = make_demo(folder, tracks_per_style=tracks_per_style, seconds=seconds, seed=seed)
    click.echo(f"wrote {len(paths)} tracks to {folder}")


if __name__ == "__main__":
    main()
