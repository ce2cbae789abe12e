"""The cache: never another file's features, never another configuration's, never fatal."""

import os
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import mutagen
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import music, noise
from mutagen.apev2 import APEv2
from mutagen.flac import Picture
from mutagen.id3 import APIC
from sample_tags import NAMES, info_chunk, riff, samples, untagged, with_genres, written

from genreclf.cli import cli
from genreclf.config import schema as config_module
from genreclf.config.load import load_config
from genreclf.errors import AudioError
from genreclf.extraction import cache as module
from genreclf.extraction.audiodigest import audio_digest
from genreclf.extraction.cache import Cache, cache_file, cache_info, clear_cache, prepare_cache
from genreclf.extraction.tracks import extract_tracks
from genreclf.features.measured import Measured
from genreclf.features.pooling import feature_names
from genreclf.library.sources import Track

QUICK = load_config(overrides=["excerpt.seconds=2", "separation=none"])
SMALL = ["--set", "excerpt.seconds=2", "--set", "separation=none", "--jobs", "1"]


class Computation:
    """Stands for the real one; counts its calls, and gives other numbers each time."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, path: Path) -> Measured:
        self.calls += 1
        random = np.random.default_rng(self.calls)
        return Measured(random.standard_normal(len(feature_names(QUICK))).astype(np.float32))


@pytest.fixture
def compute() -> Computation:
    return Computation()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "song.mp3"
    path.write_bytes(b"content" * 1000)
    return path


def get_or_compute(path: Path, compute: Callable[[Path], Measured], config=QUICK):
    with Cache(cache_file(), config) as cache:
        measured, cached = cache.get_or_compute(path, compute)
        return measured.statistics, cached


def test_what_was_computed_is_found_again_bit_for_bit(file: Path, compute: Computation) -> None:
    first, cached = get_or_compute(file, compute)
    assert not cached
    again, cached = get_or_compute(file, compute)
    assert cached
    assert compute.calls == 1
    assert again.dtype == np.float32
    assert again.tobytes() == first.tobytes()


def test_a_cache_that_nobody_uses_any_more_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[sqlite3.Connection] = []
    connect = module._connect

    def note_connection(file: Path) -> sqlite3.Connection:
        opened.append(connect(file))
        return opened[0]

    monkeypatch.setattr(module, "_connect", note_connection)
    cache = Cache(cache_file(), QUICK)
    del cache
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


def test_notes_on_a_track_are_found_with_its_features(file: Path, compute: Computation) -> None:
    notes = ("a", "not \n \udce9")
    measured = Measured(compute(file).statistics, notes=notes)
    for known in (False, True):
        with Cache(cache_file(), QUICK) as cache:
            found, cached = cache.get_or_compute(file, lambda path: measured)
        assert (cached, found.notes) == (known, notes)
        np.testing.assert_array_equal(found.statistics, measured.statistics)


@pytest.mark.parametrize("name", ["renamed.mp3", "moved/elsewhere/song.mp3", "LOUD.MP3"])
def test_a_renamed_or_moved_file_is_recognised(
    file: Path, compute: Computation, tmp_path: Path, name: str
) -> None:
    get_or_compute(file, compute)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    assert get_or_compute(file.rename(tmp_path / name), compute)[1]


def test_another_content_under_the_same_name_is_computed(file: Path, compute: Computation) -> None:
    first, _ = get_or_compute(file, compute)
    # Same size and same time of change, as a careful editor of tags leaves them.
    before = file.stat()
    file.write_bytes(b"CONTENT" * 1000)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    again, cached = get_or_compute(file, compute)
    assert not cached
    assert not np.array_equal(first, again)


def test_the_suffix_is_part_of_what_a_file_is(file: Path, compute: Computation) -> None:
    get_or_compute(file, compute)
    assert not get_or_compute(file.rename(file.with_suffix(".au")), compute)[1]


def test_another_configuration_is_never_served(file: Path, compute: Computation) -> None:
    get_or_compute(file, compute)
    for override in ("spectra.hop_length=512", "excerpt.seconds=3", "separation=hpss"):
        other = load_config(overrides=["excerpt.seconds=2", "separation=none", override])
        assert not get_or_compute(file, compute, other)[1]
    assert get_or_compute(file, compute)[1]


def test_what_is_not_extraction_changes_nothing(file: Path, compute: Computation) -> None:
    get_or_compute(file, compute)
    learning = load_config(overrides=["excerpt.seconds=2", "separation=none", "seed=4"])
    assert get_or_compute(file, compute, learning)[1]


def test_another_version_of_the_features_is_never_served(
    file: Path, compute: Computation, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_or_compute(file, compute)
    monkeypatch.setattr(config_module, "FEATURES_VERSION", config_module.FEATURES_VERSION + 1)
    assert not get_or_compute(file, compute)[1]


def test_another_decoder_is_never_served(
    file: Path, compute: Computation, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_or_compute(file, compute)
    monkeypatch.setattr(module, "numbers_depend_on", lambda: {"decoders": "libsndfile 99"})
    assert not get_or_compute(file, compute)[1]


def test_failures_are_raised_and_not_kept(file: Path, compute: Computation) -> None:
    def fail(path: Path) -> Measured:
        raise AudioError(f"{path}: broken")

    for _ in range(2):
        with pytest.raises(AudioError, match="broken"):
            get_or_compute(file, fail)
    assert not get_or_compute(file, compute)[1]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_not_kept(file: Path, compute: Computation, bad: float) -> None:
    measured = compute(file)
    measured.statistics[3] = bad
    get_or_compute(file, lambda path: measured)
    assert not get_or_compute(file, compute)[1]


def test_a_file_that_changes_while_it_is_decoded_is_not_kept(
    file: Path, compute: Computation
) -> None:
    def change_and_compute(path: Path) -> Measured:
        path.write_bytes(b"another content")
        return compute(path)

    content = file.read_bytes()
    get_or_compute(file, change_and_compute)
    file.write_bytes(content)
    assert not get_or_compute(file, compute)[1]


def test_what_is_no_plain_file_is_left_to_the_decoder(tmp_path: Path, compute: Computation) -> None:
    os.mkfifo(tmp_path / "pipe.wav")  # reading it would hang
    (tmp_path / "empty.wav").touch()
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    names = ["pipe.wav", "empty.wav", "loop.wav", "missing.wav", "a\0b.wav", "."]
    for n, name in enumerate(names, start=1):
        assert not get_or_compute(tmp_path / name, compute)[1]
        assert compute.calls == n


def test_a_file_that_takes_longer_to_read_than_to_compute_is_left_alone(
    file: Path, compute: Computation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_FILE", file.stat().st_size - 1)
    get_or_compute(file, compute)
    assert not get_or_compute(file, compute)[1]


def test_names_that_are_no_text(tmp_path: Path, compute: Computation) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/latin-\xe9.m\xff"))
    path.write_bytes(b"content")
    get_or_compute(path, compute)
    assert get_or_compute(path, compute)[1]


# --- tags ------------------------------------------------------------------------------------


def retagged(path: Path) -> None:
    """Change all that taggers change, by mutagen's own means."""
    with_genres(path, "a genre that needs more room than there is" * 100)
    file = mutagen.File(path)
    if path.suffix == ".flac":
        file.add_picture(Picture())
        file.save(padding=lambda info: 5000)
    elif path.suffix == ".mp3":
        file.tags.add(
            APIC(encoding=0, mime="image/png", type=3, desc="", data=b"\xff\xfb" * 50_000)
        )
        file.save(v1=2)
        tags = APEv2()
        tags["Genre"] = "another"
        tags.save(path)
    elif path.suffix == ".wav":
        path.write_bytes(riff(path, info_chunk(IGNR=b"another\0")))


@pytest.mark.parametrize("name", [*NAMES, "a.aac", "a.wv", "a.oga"])
def test_tags_are_changed_without_losing_the_features(
    tmp_path: Path, compute: Computation, name: str
) -> None:
    path = untagged(tmp_path / name)
    whole, heard = path.read_bytes(), samples(path) if name in NAMES else None
    get_or_compute(path, compute)
    for genre in ("Jazz", "a genre that needs more room than there is" * 100):
        written(path, genre, tmp_path)
        assert get_or_compute(path, compute)[1]
    if heard is not None:
        retagged(path)
        assert get_or_compute(path, compute)[1]
        np.testing.assert_array_equal(samples(path), heard)  # which makes it right
    for at in (len(whole) // 3, len(whole) // 2):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert not get_or_compute(path, compute)[1]


@pytest.mark.parametrize("name", NAMES)
def test_what_shares_features_sounds_the_same(tmp_path: Path, name: str) -> None:
    """Damage where tags are: either another digest, or the same samples."""
    path = with_genres(untagged(tmp_path / name), "Rock")
    whole, random = path.read_bytes(), np.random.default_rng(0)
    digest, heard = audio_digest(path), samples(path)
    n_same = 0
    for at in random.integers(0, min(len(whole), 3000), 60):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        if audio_digest(path) == digest:
            np.testing.assert_array_equal(samples(path), heard)
            n_same += 1
    assert n_same or path.suffix not in (".mp3", ".flac", ".wma")  # which have tags in front


def test_how_much_silence_an_encoder_added_is_no_mere_tag(tmp_path: Path) -> None:
    path = untagged(tmp_path / "a.m4a")
    file = mutagen.File(path)
    digests = set()
    for n in (0, 1024, 2112):
        file["----:com.apple.iTunes:iTunSMPB"] = [b" 00000000 %08X 00000000 %016X" % (n, 20_000)]
        file.save()
        digests.add(audio_digest(path))
    assert len(digests) == 3


@pytest.mark.parametrize("kind", ["ID3v2", "ID3v1", "APEv2", "Lyrics3"])
def test_what_a_wrong_length_calls_a_tag_is_no_tag(tmp_path: Path, kind: str) -> None:
    stream = untagged(tmp_path / "a.mp3").read_bytes()
    footer = b"APETAGEX" + b"".join(n.to_bytes(4, "little") for n in (2000, 9000, 1, 1 << 31))
    tag = {
        "ID3v2": b"ID3\4\0\0" + bytes([0, 0, 40, 1]),
        "ID3v1": b"TAG" + bytes(100),
        "APEv2": footer + bytes(8),
        "Lyrics3": b"009000LYRICS200",
    }[kind]
    digests = set()
    for at in (len(stream) - 100, 100):
        path = tmp_path / f"{at}.mp3"
        changed = stream[:at] + bytes([stream[at] ^ 1]) + stream[at + 1 :]
        path.write_bytes(tag + changed if kind == "ID3v2" else changed + tag)
        digests.add(audio_digest(path))
    assert len(digests) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"\0\0\0\x08ftyp" + b"\0\0\0\x08moov" * 100_000,
        b"\0\0\0\x08ftyp" + bytes(100_000),
        b"RIFF\0\0\0\0WAVE" + b"JUNK\0\0\0\0" * 100_000,
        b"fLaC" + b"\1\0\0\0" * 100_000,
        b"fLaC" + b"\x84\0\0\x08" + b"\0\0\0\0\xff\xff\xff\xff" + b"\xff\xf8",
        b"OggS" + bytes(100_000),
        b"OggS\0",
        bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(100),
        b"ID3\4\0\0\x7f\x7f\x7f\x7f",
        b"ID3\4\0\0\0\0\0\0" * 100_000,
        b"\xff\xfb" + b"APETAGEX" * 100_000,
        b"",
    ],
    ids=range(12),
)
def test_hostile_files_are_digested_whole(tmp_path: Path, content: bytes) -> None:
    digests = set()
    for end in (b"", b"\0", b"\1"):
        (tmp_path / "a").write_bytes(content + end)
        digests.add(audio_digest(tmp_path / "a"))
    assert len(digests) == 3


# --- which files are read --------------------------------------------------------------------


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose content was digested."""
    paths: list[Path] = []
    digest = module.audio_digest

    def counted(path: Path) -> bytes | None:
        paths.append(path)
        return digest(path)

    monkeypatch.setattr(module, "audio_digest", counted)
    return paths


def test_a_file_that_was_seen_before_is_not_read(
    file: Path, compute: Computation, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STABLE_SECONDS", -1)
    get_or_compute(file, compute)
    assert get_or_compute(file, compute)[1]
    assert read == [file]
    file.write_bytes(b"CONTENT" * 1000)
    get_or_compute(file, compute)
    assert read == [file, file]


def test_a_file_that_changed_just_now_is_read(
    file: Path, compute: Computation, read: list[Path]
) -> None:
    get_or_compute(file, compute)
    assert get_or_compute(file, compute)[1]
    assert read == [file, file]


# --- size ------------------------------------------------------------------------------------


def write_songs(folder: Path, n: int) -> list[Path]:
    paths = [folder / f"{i}.mp3" for i in range(n)]
    for i, path in enumerate(paths):
        path.write_bytes(b"song %d" % i)
    return paths


def test_the_least_recently_used_go_first(
    tmp_path: Path, compute: Computation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 200_000)
    now = 1_000_000_000
    monkeypatch.setattr(module.time, "time", lambda: now)
    songs = write_songs(tmp_path, 300)  # of over a kilobyte each
    with Cache(cache_file(), QUICK) as cache:
        cache.get_or_compute(songs[0], compute)
        for song in songs:
            now += 7200
            cache.get_or_compute(song, compute)
            assert cache.get_or_compute(songs[0], compute)[1]  # in use all the time
        assert cache.get_or_compute(songs[-1], compute)[1]
        assert not cache.get_or_compute(songs[1], compute)[1]
    assert 20 < cache_info().n_tracks < 200
    assert cache_file().stat().st_size <= 200_000


def test_info_and_clear(tmp_path: Path, compute: Computation) -> None:
    assert cache_info() == (cache_file(), 0, 0)
    assert clear_cache() == (cache_file(), 0, 0)
    songs = write_songs(tmp_path, 3)
    with Cache(cache_file(), QUICK) as cache:
        for song in songs:
            cache.get_or_compute(song, compute)
        held = clear_cache()  # under a run that uses it
        assert held.n_tracks == 3
        assert held.n_bytes > 3000
        assert cache_info().n_tracks == 0
        assert not cache.get_or_compute(songs[0], compute)[1]
        assert cache.get_or_compute(songs[0], compute)[1]
    assert cache_info().n_tracks == 1


# --- trouble ---------------------------------------------------------------------------------


def fill(folder: Path, compute: Computation) -> list[Path]:
    songs = write_songs(folder, 40)
    with Cache(cache_file(), QUICK) as cache:
        for song in songs:
            cache.get_or_compute(song, compute)
    return songs


DAMAGE = {
    "text": lambda content: b"these are words\n" * 1000,
    "zeros": lambda content: bytes(len(content)),
    "truncated": lambda content: content[: len(content) // 3],
    "first page only": lambda content: content[:4096],
    "middle overwritten": lambda content: content[:4096] + b"\xff" * 30_000 + content[34_096:],
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_cache_is_dropped_with_one_line(
    tmp_path: Path, compute: Computation, kind: str
) -> None:
    songs = fill(tmp_path, compute)
    cache_file().write_bytes(DAMAGE[kind](cache_file().read_bytes()))
    calls = compute.calls
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        prepare_cache(cache_file())
        with Cache(cache_file(), QUICK) as cache:
            results = [cache.get_or_compute(song, compute) for song in songs]
    assert len(results) == 40
    assert compute.calls > calls
    [warning] = caught
    assert str(warning.message) == f"the cache {cache_file()} is damaged and was dropped"
    for song in songs:
        get_or_compute(song, compute)
    assert all(get_or_compute(song, compute)[1] for song in songs)


def test_an_empty_file_becomes_a_cache(file: Path, compute: Computation) -> None:
    cache_file().touch()
    get_or_compute(file, compute)
    assert get_or_compute(file, compute)[1]


def test_a_flipped_bit_is_not_served(file: Path, compute: Computation) -> None:
    values, _ = get_or_compute(file, compute)
    content = cache_file().read_bytes()
    vector = values.tobytes()
    at = content.index(vector[100:140])
    damaged = bytearray(content)
    damaged[at] ^= 1
    cache_file().write_bytes(damaged)
    again, cached = get_or_compute(file, compute)
    assert not cached
    assert get_or_compute(file, compute)[0].tobytes() == again.tobytes()


@pytest.mark.parametrize(
    "statement",
    ["DROP TABLE pairs", "PRAGMA user_version = 99", "ALTER TABLE pairs RENAME used TO unused"],
)
def test_tables_of_something_else(file: Path, compute: Computation, statement: str) -> None:
    get_or_compute(file, compute)
    with sqlite3.connect(cache_file()) as connection:
        connection.execute(statement)
    connection.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not get_or_compute(file, compute)[1]
    get_or_compute(file, compute)
    assert get_or_compute(file, compute)[1]


def test_values_of_another_type_are_not_served(file: Path, compute: Computation) -> None:
    get_or_compute(file, compute)
    with sqlite3.connect(cache_file()) as connection:
        connection.execute("UPDATE pairs SET value = 'text', used = 'never'")
    connection.close()
    assert not get_or_compute(file, compute)[1]


def test_a_place_that_cannot_be_written(
    file: Path, compute: Computation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENRECLF_CACHE", str(file / "below a file"))
    with pytest.warns(UserWarning, match="not used: (not a directory|file exists)"):
        assert not prepare_cache(cache_file())
    track = Track(file)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        [outcome] = extract_tracks([track], QUICK, cache=cache_file())
    assert len(caught) == 1
    assert outcome.track == track


def test_a_cache_that_others_keep_locked_costs_no_file(
    file: Path, compute: Computation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.01)
    get_or_compute(file, compute)
    other = sqlite3.connect(cache_file(), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert get_or_compute(file, compute)[1]  # reading goes on
    file.write_bytes(b"new")
    with pytest.warns(UserWarning, match="locked"):
        get_or_compute(file, compute)
    other.close()


def test_processes_share_it(tmp_path: Path, compute: Computation) -> None:
    songs = write_songs(tmp_path, 150)
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from genreclf.extraction.cache import Cache, cache_file, prepare_cache\n"
        "from genreclf.config.load import load_config\n"
        "from genreclf.features.measured import Measured\n"
        "from genreclf.features.pooling import feature_names\n"
        "config = load_config(overrides=['excerpt.seconds=2', 'separation=none'])\n"
        "n = len(feature_names(config))\n"
        "assert prepare_cache(cache_file())\n"
        "with Cache(cache_file(), config) as cache:\n"
        "    for i in range(150):\n"
        "        path = Path(sys.argv[1], f'{i}.mp3')\n"
        "        given = Measured(np.full(n, i, np.float32))\n"
        "        found, _ = cache.get_or_compute(path, lambda _: given)\n"
        "        assert (found.statistics == i).all()\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path)]
    runs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for run in runs:
        _, stderr = run.communicate(timeout=60)
        assert (run.returncode, stderr) == (0, "")
    for i, song in enumerate(songs):
        values, cached = get_or_compute(song, compute)
        assert cached
        assert (values == i).all()


# --- the commands ----------------------------------------------------------------------------


@pytest.fixture
def library(tmp_path: Path, write_audio: Callable[..., Path]) -> Path:
    for i in range(4):
        write_audio(f"library/{'ab'[i % 2]}/{i}.wav", music(2, 12000, seed=i), 12000, tmp_path)
    return tmp_path / "library"


def run(*arguments: object) -> str:
    """Run a command that succeeds, and return what it says."""
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_only_what_is_new_is_computed_and_the_table_is_the_same(
    library: Path, tmp_path: Path, write_audio: Callable[..., Path]
) -> None:
    assert "cache" not in run("extract", library, *SMALL, "-o", tmp_path / "1.csv")
    (library / "b/1.wav").rename(library / "a/renamed.wav")
    for i in (10, 11):
        write_audio(f"b/{i}.wav", noise(2, 12000, seed=i), 12000, library)
    said = run("extract", library, *SMALL, "-o", tmp_path / "2.csv")
    assert "6 tracks (4 from the cache), 0 failed" in said
    said = run("extract", library, *SMALL, "-o", tmp_path / "3.csv", "--no-cache")
    assert "6 tracks, 0 failed" in said
    assert (tmp_path / "2.csv").read_bytes() == (tmp_path / "3.csv").read_bytes()


def test_no_cache_keeps_nothing(library: Path, tmp_path: Path, cache_folder: Path) -> None:
    run("extract", library, *SMALL, "-o", tmp_path / "t.csv", "--no-cache")
    assert list(cache_folder.iterdir()) == []


def test_predict_uses_it_too(library: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    run("extract", library, *SMALL, "-o", table, "--no-cache")
    run("train", table, "--set", "evaluation.folds=2", "-o", tmp_path / "m.joblib")
    options = ["--model", tmp_path / "m.joblib", "--format", "jsonl", "--jobs", "1", "-q"]
    computed = run("predict", library, *options)
    assert cache_info().n_tracks == 4
    assert run("predict", library, *options) == computed


def test_predict_finds_features_again_after_it_has_written_tags(
    library: Path, tmp_path: Path
) -> None:
    run("extract", library, *SMALL, "-o", tmp_path / "t.csv")
    run("train", tmp_path / "t.csv", "--set", "evaluation.folds=2", "-o", tmp_path / "m.joblib")
    options = ["predict", library, "--model", tmp_path / "m.joblib", "--jobs", "1"]
    told = run(*options, "--write-tags", "--backup", tmp_path / "b.jsonl", "--threshold", 0)
    assert "4 tags written" in told
    assert "4 from the cache" in run(*options)


def test_the_cache_command(library: Path, tmp_path: Path) -> None:
    run("extract", library, *SMALL, "-o", tmp_path / "t.csv")
    assert run("cache", "info").startswith(f"{cache_file()}: 4 tracks, 0.")
    assert "4 tracks" in run("cache", "clear")
    assert "0 tracks" in run("cache", "info")


@pytest.mark.parametrize("folder", ["~/.cache/genreclf", None])
def test_without_a_home_there_is_no_cache(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str | None
) -> None:
    def user_cache_dir(*_: object, **__: object) -> str:
        if folder is None:
            raise RuntimeError("could not determine the home directory")
        return folder

    monkeypatch.delenv("GENRECLF_CACHE")
    monkeypatch.setattr("platformdirs.user_cache_dir", user_cache_dir)
    monkeypatch.chdir(tmp_path)
    assert "no home folder" in run("extract", library, *SMALL, "-o", "t.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"library", "t.csv"}


def test_the_platforms_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GENRECLF_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # Linux; elsewhere another one
    assert cache_file().name == "features.sqlite"
    assert cache_file().parent.is_absolute()
    if sys.platform == "linux":
        assert cache_file() == tmp_path / "genreclf" / "features.sqlite"


@pytest.mark.filterwarnings("default")
def test_a_damaged_cache_on_the_command_line(library: Path, tmp_path: Path) -> None:
    cache_file().write_bytes(b"no database" * 500)
    said = run("extract", library, *SMALL, "-o", tmp_path / "t.csv")
    assert said.count("dropped") == 1
    assert "4 tracks, 0 failed" in said
    assert "4 from the cache" in run("extract", library, *SMALL, "-o", tmp_path / "t.csv")
    cache_file().write_bytes(b"no database" * 500)
    run("cache", "clear")
    assert "0 tracks" in run("cache", "info")
