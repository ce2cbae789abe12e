import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from worker_functions import (
    die_when_told,
    fail_at_two,
    hang_at_two,
    later_if_even,
    own_timeout,
    print_from_c,
    process_id,
    square,
)

from genreclf.parallel.workers import WorkerError, Workers

pytestmark = pytest.mark.processes


def map_in_workers(function, items, jobs, seconds_an_item=None):
    with Workers(jobs, seconds_an_item) as workers:
        yield from workers.map(function, items)


def environment() -> dict[str, str]:
    """Let a script elsewhere import what the tests import."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    return {**os.environ, "PYTHONPATH": path}


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_with_their_items_in_order(jobs: int) -> None:
    numbers = [3, 1, 2, 3, *range(20)]
    assert list(map_in_workers(square, numbers, jobs)) == [(n, n * n) for n in numbers]


def test_a_slow_item_does_not_change_the_order() -> None:
    assert [result for _, result in map_in_workers(later_if_even, range(6), 2)] == list(range(6))


def test_a_script_without_a_guard_is_told_what_it_lacks(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from worker_functions import square\n"
        "from genreclf import Workers\n"
        "with Workers(2) as workers:\n"
        "    print(list(workers.map(square, range(20))))\n"
    )
    done = subprocess.run(
        [sys.executable, script], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1  # the script's own, and none of its workers'
    assert 'under if __name__ == "__main__":' in done.stderr.splitlines()[-1]


def test_no_items_need_no_worker() -> None:
    assert list(map_in_workers(square, [], 2)) == []


def test_a_worker_that_dies_costs_its_item_only() -> None:
    items = ["a", "SIGSEGV", "b", 7, "c", "SIGKILL", "d"]
    results = dict(map_in_workers(die_when_told, items, 2))
    assert list(results) == items
    assert [results[item] for item in "abcd"] == list("abcd")
    causes = {item: results[item] for item in ("SIGSEGV", 7, "SIGKILL")}
    assert all(isinstance(error, WorkerError) for error in causes.values())
    assert signal.strsignal(signal.SIGSEGV) in causes["SIGSEGV"].reason
    assert signal.strsignal(signal.SIGKILL) in causes["SIGKILL"].reason
    assert "exit status 7" in causes[7].reason


def test_an_item_that_takes_too_long_costs_itself_only() -> None:
    results = dict(map_in_workers(hang_at_two, range(5), 2, seconds_an_item=1))
    assert results.pop(2) == WorkerError("took longer than 1 s")
    assert results == {n: n for n in (0, 1, 3, 4)}


def test_exceptions_of_the_function_are_raised() -> None:
    results = map_in_workers(fail_at_two, range(5), 2)
    assert [next(results), next(results)] == [(0, 0), (1, 1)]
    with pytest.raises(KeyError, match="two"):
        next(results)
    assert multiprocessing.active_children() == []


def test_a_timeout_of_the_function_itself_is_raised_like_any_exception() -> None:
    with pytest.raises(TimeoutError, match="Connection timed out"):
        list(map_in_workers(own_timeout, [1], 1))


def test_items_are_taken_a_few_ahead_only() -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    results = map_in_workers(square, endless(), 2)
    for expected in range(1, 6):
        assert next(results) == (expected, expected**2)
        assert taken < expected + 10
    results.close()


def test_stopping_early_leaves_no_process() -> None:
    results = map_in_workers(process_id, itertools.count(), 2)
    workers = {process for _, process in itertools.islice(results, 20)}
    assert workers
    assert os.getpid() not in workers
    results.close()
    assert multiprocessing.active_children() == []
    assert not any(map(alive, workers))


def test_stopping_early_ends_work_under_way() -> None:
    results = map_in_workers(hang_at_two, [0, 2, 2], 2)
    assert next(results) == (0, 0)
    results.close()
    assert multiprocessing.active_children() == []


def test_processes_that_cannot_be_started(tmp_path: Path) -> None:
    code = (
        "import multiprocessing\n"
        "from genreclf.errors import GenreclfError\n"
        "from genreclf.parallel.workers import Workers\n"
        "if __name__ == '__main__':\n"
        "    multiprocessing.set_executable('/nonexistent')\n"
        "    try:\n"
        "        with Workers(1) as workers:\n"
        "            print(list(workers.map(str, range(20))))\n"
        "    except GenreclfError as error:\n"
        "        print(error)\n"
    )
    (tmp_path / "main.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=tmp_path, env=environment(), capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert "worker processes cannot be started" in done.stdout


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    code = (
        "from worker_functions import announce_and_hang\n"
        "from genreclf.parallel.workers import Workers\n"
        "if __name__ == '__main__':\n"
        "    with Workers(1) as workers:\n"
        "        list(workers.map(announce_and_hang, ['process']))\n"
    )
    (tmp_path / "main.py").write_text(code)
    parent = subprocess.Popen(
        [sys.executable, "main.py"], cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL
    )
    announced = tmp_path / "process"
    while not announced.exists():
        assert parent.poll() is None
        time.sleep(0.02)
    worker = int(announced.read_text())
    assert alive(worker)
    parent.kill()
    parent.wait()
    for _ in range(500):
        if not alive(worker):
            break
        time.sleep(0.02)
    assert not alive(worker)


def test_a_timeout_of_the_function_is_not_taken_for_ours() -> None:
    with pytest.raises(TimeoutError, match="Connection timed out"):
        list(map_in_workers(own_timeout, [1], 1, seconds_an_item=60))


def test_what_c_libraries_print_is_kept_out_of_the_results(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert list(map_in_workers(print_from_c, ["Error A : 3C"], 1)) == [("Error A : 3C",) * 2]
    assert capfd.readouterr().out == ""
