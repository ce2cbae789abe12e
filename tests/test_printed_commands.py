"""Every command that README, documentation and help print runs, on stand-ins for what it names."""

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from conftest import music, noise

from genreclf.cli import cli

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "data/gtzan.md",
         "benchmarks/accuracy.md", *sorted(str(path.relative_to(ROOT)) for path in
                                                  (ROOT / "docs").rglob("*.md"))]  # fmt: skip

# What does not run here, by what the command holds, and why.
NOT_RUN = {
    "embeddings get": "uses the internet; tests/test_musicnn.py has pip download the same",
    "embeddings import": "needs the file of a network; tests/test_onnx.py makes one",
    "embeddings verify musicnn": "needs musicnn; tests/test_musicnn.py has it",
    "embeddings.toml": "needs musicnn; tests/test_embedding_views.py has a small network",
    "embeddings.csv": "needs musicnn, likewise",
    " --tags": "needs a model of a network, likewise",
    "convnet.skops": "needs PyTorch; tests/test_convnet.py trains a small network",
    "both.": "likewise, and takes minutes",
    "demo.sh": "installs the package; a release runs it (release.sh)",
    "test.sh": "is what runs these tests",
    "pip": "installs packages",
    "-m venv": "makes an environment",
    "/activate": "enters an environment",
    ".venv-dev": "needs the environment of a developer; .ci/run runs the same checks",
    "tests/fuzz/run.py": "takes an hour; tests/test_audio.py and others try some of its inputs",
    "FOLDER_OF_TABLES": "needs the published tables",
    "fma.parquet": "needs FMA's tables",
    "make_demo.py": "makes the music that has stand-ins here; tests/test_docs.py runs it",
    "doubtful.csv": "needs the demo's own music; .ci/run has docs/run.py compare all output",
    "corrected.csv": "likewise",
    "--augment gan": "needs PyTorch; tests/test_gan.py trains such a network",
    "plot optimizers": "needs PyTorch; tests/test_networkplots.py draws them",
    "plot gan": "needs PyTorch, likewise",
    "--scheduler": "needs a Dask cluster; tests/test_cluster.py has one",
    "dask ": "starts a Dask cluster",
    "SLURM": "needs Slurm",
    "$part": "needs Slurm",
    "fish/": "writes into the folder of a shell",
    "bash-completion/": "writes into the folder of a shell",
    "fpath": "writes into the folder of a shell",
    "--out-of-core": "needs more tracks than there are here; tests/test_outofcore.py has them",
}
# What would take minutes: the same with fewer folds.
QUICKER = {
    "svm,lda,ensemble": ["--repeats", "1", "--set", "evaluation.folds=2"],
    "random-forest": ["--set", "evaluation.folds=2"],
}
GENRECLF = re.compile(r"(?:(?P<feed>.+?) \| )?genreclf (?P<words>.+?)"
                      r"(?: < (?P<source>\S+))?(?: > (?P<target>\S+))?")  # fmt: skip
# As beets 2.14 prints them; the order of the columns is none that anybody chose.
BEET = """#!/bin/sh
case $1 in
export) printf 'path,albumartist,genres\\n'
    for song in "$PWD"/music/*/*/*; do
        artist=$(basename "$(dirname "$song")"); genre=$(basename "$(dirname "$(dirname "$song")")")
        printf '%s,%s,%s\\n' "$song" "$artist" "$genre"
    done;;
ls) ls "$PWD"/music/*/*/*;;
esac
"""


def blocks(text: str) -> Iterator[list[str]]:
    """The commands of each block, one a line."""
    for kind, block in re.findall(r"^```(sh|console)\n(.+?)^```", text, re.MULTILINE | re.DOTALL):
        lines = re.sub(r" \|\n\s*", " | ", re.sub(r" \\\n\s*", " ", block))  # that go on below
        if kind == "console":
            yield re.findall(r"^\$ (.+)$", lines, re.MULTILINE)
        elif "<<" in lines or "#SBATCH" in lines:
            yield [lines]  # a script
        else:
            yield lines.splitlines()


def commands_in(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [line for block in blocks(text) for line in block]


def examples_in_help() -> dict[str, list[str]]:
    """Of each command and subcommand."""
    found = {}
    for name, command in cli.commands.items():
        below = [*getattr(command, "commands", {}).values()]
        texts = [
            paragraph
            for each in (command, *below)
            for paragraph in (each.help or "").split("\n\n")
            if "\b" in paragraph  # kept as it is, not prose
        ]
        found[name] = list(
            dict.fromkeys(
                re.sub(r"\s+", " ", line)
                for text in texts
                for line in re.findall(r"^\s*((?:find [^|]*\| )?genreclf .*)$", text, re.MULTILINE)
            )
        )
    return found


def reason_not_to_run(command: str) -> str | None:
    return next((why for part, why in NOT_RUN.items() if part in command), None)


class InThisProcess:
    """Stands in for ``Workers``, whose processes would take most of the time."""

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> "InThisProcess":
        return self

    def __exit__(self, *_: object) -> None: ...

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return ((item, function(item)) for item in items)


def run(command: str) -> None:
    """Run a command in this folder: genreclf in this process, all else by a shell."""
    absolute = re.sub(r"(?<![\w.])/(?:nfs/)?music\b", "music", command)
    parts = None if "\n" in absolute else GENRECLF.fullmatch(absolute)
    if parts is None:
        done = subprocess.run(["bash", "-c", absolute], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        return
    words = shlex.split(parts["words"])
    if words[:2] == ["config", "init"]:  # which replaces nothing
        Path([*words, "genreclf.toml"][2]).unlink(missing_ok=True)
    if "--rows-per-file" in words:  # of which an example before made a file
        Path("features.parquet").unlink(missing_ok=True)
    words += [word for part, more in QUICKER.items() if part in words for word in more]
    stdin = Path(parts["source"]).read_text() if parts["source"] else None
    if parts["feed"]:
        feed = ["bash", "-c", parts["feed"]]
        stdin = subprocess.run(feed, capture_output=True, text=True, check=True).stdout
    result = CliRunner().invoke(cli, words, input=stdin)
    assert result.exit_code == 0, f"{command}\n{result.output}"
    if parts["target"]:
        Path(parts["target"]).write_text(result.stdout)


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the commands name: music, tables, models."""
    folder = tmp_path_factory.mktemp("printed")
    rows = []
    for n, genre in enumerate(("folk", "rock")):
        for i in range(6):
            song = music(2, 12000, seed=i, bpm=70 + 60 * n) + noise(2, 12000, 0.02 * n, seed=i)
            path = f"music/{genre}/artist{n}{i // 2}/{i:02}.flac"
            for name in (path, f"demo/train/{genre}/{i:02}.mp3"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(folder / name, song, 12000)
            rows.append((path, genre, f"artist{n}{i // 2}"))
    (folder / "demo/unheard").mkdir()
    for name in ("folk-01", "rock-00"):
        source = folder / f"demo/train/{name[:4]}/{name[-2:]}.mp3"
        shutil.copy(source, folder / f"demo/unheard/{name}.mp3")
    shutil.copy(folder / "demo/train/folk/00.mp3", folder / "song.mp3")
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "group"), *rows])
    (folder / "playlist.txt").write_text("song.mp3\n")
    (folder / "corrections.csv").write_text("path,label\nfolk/artist00/00.flac,rock\n")
    (folder / "spellings.csv").write_text("from,to\nFolk,folk\n")
    (folder / "beet").write_text(BEET)
    (folder / "beet").chmod(0o755)
    write_published_tables(folder)
    return folder


def write_published_tables(folder: Path) -> None:
    """Write tables with the columns of those that the commands are about."""
    random = np.random.default_rng(0)
    of_librosa = ["length", "chroma_stft_mean", "rms_mean", "spectral_centroid_mean",
                  "rolloff_mean", "zero_crossing_rate_mean", "tempo", "mfcc1_mean"]  # fmt: skip
    of_mfcc = ["length", "mfcc.00.mean", "mfcc.00.std", "mfcc_delta.00.mean", "mfcc_delta.00.std"]
    for names, features in (
        (("gtzan-librosa57.csv", "gtzan.csv", "foreign.csv"), of_librosa),
        (("gtzan-mfcc.csv", "a.csv", "b.csv"), of_mfcc),
    ):
        for name in names:
            lines = [",".join(["path", "label", "genre", "artist", "sturm_fold", *features])]
            for i in range(48):
                genre, artist = "ab"[i % 2], f"artist{i % 12}"
                values = random.standard_normal(len(features)) + 2 * (i % 2)
                values[0] = 661_500  # the length is the same in both
                told = [f"{i}.wav", genre, genre, artist, str(i % 12 // 4), *map(str, values)]
                lines.append(",".join(told))
            (folder / name).write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def made(stand_ins: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, with tables and a model of its music."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(stand_ins)
        patch.setattr("genreclf.parallel.workers.Workers", InThisProcess)
        patch.setenv("GENRECLF_CACHE", str(stand_ins / "cache"))
        labels = "--labels manifest.csv"
        run(f"genreclf extract music {labels} -o features.csv")
        run(f"genreclf extract music {labels} -o features.npz")
        run("genreclf evaluate features.csv --classifier lda --json result.json")
        run("genreclf train features.csv --classifier lda -o model.joblib")
        run("genreclf predict song.mp3 --write-tags --backup tags.jsonl")
        some_labels = re.sub(r'([1-3]\.flac",)"\w+"', r'\1""', Path("features.csv").read_text())
        Path("library.csv").write_text(some_labels.replace("music/", "library/"))
        run("genreclf config init my.toml")
        run("genreclf config init other.toml")
    return stand_ins


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the folder to work in, with the cache of the first."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("genreclf.parallel.workers.Workers", InThisProcess)
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.setenv("GENRECLF_CACHE", str(made / "cache"))
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), os.environ["PATH"]]))


def runnable(commands: list[str]) -> list[str]:
    return [command for command in commands if command and not reason_not_to_run(command)]


PRINTED = {page: commands_in(page) for page in PAGES}
HELP = examples_in_help()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the shell of the pages is bash")
@pytest.mark.parametrize("page", [page for page in PAGES if runnable(PRINTED[page])])
@pytest.mark.usefixtures("here")
def test_commands_of_a_page_run(page: str) -> None:
    for command in runnable(PRINTED[page]):
        run(command)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the shell of the help is bash")
@pytest.mark.parametrize("name", [name for name in HELP if runnable(HELP[name])])
@pytest.mark.usefixtures("here")
def test_examples_of_help_run(name: str) -> None:
    for command in runnable(HELP[name]):
        run(command)


def test_each_reason_not_to_run_a_command_is_needed() -> None:
    printed = [line for lines in (*PRINTED.values(), *HELP.values()) for line in lines]
    unneeded = [part for part in NOT_RUN if not any(part in line for line in printed)]
    assert not unneeded
