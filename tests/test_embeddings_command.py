"""``genreclf embeddings``: getting musicnn without an index, listing, showing."""

import hashlib
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers import run

from genreclf.config.networks import network_from_dict, network_names
from genreclf.embeddings import wheel


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENRECLF_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "networks"


def test_list_names_each_network_with_its_licence() -> None:
    done = run("embeddings", "list")
    assert done.exit_code == 0
    for name in network_names():
        assert name in done.stdout
    listed = json.loads(run("embeddings", "list", "--json", "-").stdout)
    by_name = {network["name"]: network for network in listed}
    assert by_name["musicnn"]["licence"] == "ISC"
    assert by_name["musicnn"]["path"] is None
    assert by_name["musicnn"]["needs"] == ["genreclf embeddings get musicnn"]


def test_show_prints_a_description_that_can_be_read_back() -> None:
    import tomllib

    done = run("embeddings", "show", "musicnn")
    assert "genreclf embeddings get musicnn" in done.stderr
    shown = network_from_dict(tomllib.loads(done.stdout), "shown")
    assert shown.frontend.hop_length == 256
    asked = json.loads(run("embeddings", "show", "musicnn", "--json", "-").stdout)
    assert asked["patch_seconds"] == pytest.approx(2.992)
    assert run("embeddings", "show", "nothing").exit_code == 1


def test_pip_is_asked_for_one_file_and_its_failure_is_one_line(
    monkeypatch: pytest.MonkeyPatch, own_folder: Path
) -> None:
    asked: list[list[str]] = []

    def pip(command: list[str], **_: Any) -> Any:
        asked.append(command)
        requirements = Path(command[-1]).read_text(encoding="ascii")
        assert requirements == f"musicnn==0.1.0 --hash=sha256:{wheel.SHA256}\n"
        return SimpleNamespace(
            returncode=1, stderr="WARNING: x\nERROR: No matching distribution\nbye\n", stdout=""
        )

    monkeypatch.setattr(subprocess, "run", pip)
    done = run("embeddings", "get", "musicnn")
    assert done.exit_code == 1
    assert done.stderr.startswith("genreclf: pip download musicnn==0.1.0 failed: ERROR: No match")
    assert len(done.stderr.splitlines()) == 1
    [command] = asked
    assert {"download", "--no-deps", "--require-hashes", "--only-binary=:all:"} <= set(command)
    assert not own_folder.exists()
    done = run("embeddings", "get", "panns")
    assert "cannot be fetched" in done.stderr


def test_only_the_known_wheel_is_read(tmp_path: Path) -> None:
    other = tmp_path / "musicnn-0.1.0-py3-none-any.whl"
    other.write_bytes(b"PK")
    done = run("embeddings", "import", other)
    assert done.exit_code == 1
    assert hashlib.sha256(b"PK").hexdigest()[:16] in done.stderr
    for name, reason in (("x.zip", "cannot be imported"), ("no.whl", "cannot be read")):
        done = run("embeddings", "import", tmp_path / name)
        assert done.exit_code == 1
        assert reason in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_verify_says_what_is_missing() -> None:
    done = run("embeddings", "verify")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "no network is here" in done.stderr
    done = run("embeddings", "verify", "musicnn")
    assert done.exit_code == 1
    assert "genreclf embeddings get musicnn" in done.stderr
