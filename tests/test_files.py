import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from genreclf.files import beside, folder_written_whole, locked, written_whole


def test_the_file_appears_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with written_whole(path) as aside:
        assert aside.parent == tmp_path
        assert aside.suffix == ".csv"
        aside.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_older_file_is_replaced_at_once(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with path.open() as reader:
        with written_whole(path) as aside:
            aside.write_text("new")
            assert path.read_text() == "old"
        assert reader.read() == "old"
    assert path.read_text() == "new"


LONG = {"ASCII": b"x" * 251 + b".csv", "UTF-8": b"\xd0\x96" * 125 + b".csv",
        "a long suffix": b"x." + b"y" * 253}  # fmt: skip
if sys.platform.startswith("linux"):  # elsewhere names are text
    LONG["no UTF-8"] = b"\xe9" * 251 + b".csv"


@pytest.mark.parametrize("name", LONG.values(), ids=LONG)
def test_any_name_that_file_systems_take_is_written(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    with written_whole(path) as aside:
        aside.write_text("new")
    assert [os.fsencode(file.name) for file in tmp_path.iterdir()] == [name]
    other = beside(path, ".partial")
    other.touch()
    assert other == beside(path, ".partial") != beside(path.with_name("y" * 255), ".partial")
    assert beside(tmp_path / "t.csv", ".partial") == tmp_path / "t.csv.partial"


def write_half(path: Path, error: BaseException) -> None:
    with written_whole(path) as aside:
        aside.write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt(), SystemExit(3)])
def test_an_exception_leaves_nothing_behind(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(type(error)):
        write_half(path, error)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_exception_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"), written_whole(tmp_path / "out.csv"):
        raise ValueError("broken")
    assert list(tmp_path.iterdir()) == []


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with written_whole(path) as first, written_whole(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # the outer one is done last
    assert list(tmp_path.iterdir()) == [path]


def test_the_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with written_whole(tmp_path / "out.csv") as aside:
        aside.write_text("")
    assert (tmp_path / "out.csv").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError),
        written_whole(tmp_path / "missing/out.csv") as aside,
    ):
        aside.write_text("new")


def test_a_device_stays_one(tmp_path: Path) -> None:
    # As with --errors /dev/null or --json /dev/stdout; as root it would be replaced for all.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with written_whole(pipe) as aside:
            aside.write_text("new")
        assert pipe.is_fifo()
        assert os.read(reader, 100) == b"new"
    finally:
        os.close(reader)


def test_a_link_goes_on_to_point_at_the_file(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "out.csv"
    link.symlink_to("there/real.csv")
    with written_whole(link) as aside:
        aside.write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "there/real.csv").read_text() == "new"
    assert list((tmp_path / "there").iterdir()) == [tmp_path / "there/real.csv"]


def test_a_folder_replaces_another_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "out"
    link.symlink_to("there")
    for text in ("old", "new"):
        with folder_written_whole(link) as aside:
            (aside / f"{text}.txt").write_text(text)
    assert link.is_symlink()
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["new.txt"]
    really_replace = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if (self / "newer.txt").exists():
            raise OSError(errno.EACCES, "Permission denied")
        return really_replace(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="denied"), folder_written_whole(link) as aside:
        (aside / "newer.txt").touch()
    with pytest.raises(KeyError), folder_written_whole(link):
        raise KeyError
    assert (link / "new.txt").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "there"]


def hold(path: Path) -> "subprocess.Popen[str]":
    """Start a process that holds the lock until it is told to end or is killed."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from genreclf.files import locked\n"
        "with locked(Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def assert_locked(path: Path) -> None:
    with pytest.raises(BlockingIOError), locked(path):
        pass


def test_a_lock_keeps_others_out_until_it_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with hold(path) as process:
        assert_locked(path)
        assert_locked(path)
        process.communicate("")
    assert not path.exists()
    with locked(path):
        assert_locked(path)
    with locked(path):
        pass


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    with hold(tmp_path / "lock") as process:
        process.kill()
    with locked(tmp_path / "lock"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_on_a_file_that_was_removed_is_none(tmp_path: Path) -> None:
    # As when the first of three runs ends while the second one waits: the third must see the
    # lock of the second.
    path = tmp_path / "lock"
    removed: list[int] = []
    really_open = Path.open

    def removed_meanwhile(self: Path, mode: str):
        file = really_open(self, mode)
        if not removed:
            removed.append(os.fstat(file.fileno()).st_ino)
            self.unlink()
        return file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", removed_meanwhile)
        lock = locked(path)
        lock.__enter__()
    assert removed
    assert_locked(path)
    lock.__exit__(None, None, None)


def test_a_locked_file_keeps_its_content_and_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("kept, ")
    with locked(path), path.open("a") as file:
        file.write("and added")
    assert path.read_text() == "kept, and added"
    with locked(path):
        os.truncate(path, 0)
    assert not path.exists()


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(OSError, match=r"No space left on device: .*a\.txt"), written_whole(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []
