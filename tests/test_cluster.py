"""On a cluster of real processes: two workers, restarted by their nannies when they die."""

import logging
import multiprocessing
import os
import platform
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from worker_functions import (
    die_when_told,
    fail_at_two,
    hang_at_two,
    kill_parent_when_told,
    later_if_even,
    slow_square,
    square,
)

from genreclf.cli import cli
from genreclf.config.load import load_config
from genreclf.errors import GenreclfError
from genreclf.extraction.tracks import Failure, extract_tracks
from genreclf.library.sources import Track
from genreclf.parallel.workers import WorkerError

dask = pytest.importorskip("dask", reason="needs the extra dask")
distributed = pytest.importorskip("distributed", reason="needs the extra dask")

# Below, as they need what is looked for above.
from genreclf.parallel import cluster  # noqa: E402
from genreclf.parallel.cluster import DaskWorkers  # noqa: E402

# Only the deaths that are meant here would count, so that one repetition is enough.
DEATHS_ALLOWED = 1


@contextmanager
def local_cluster(n_workers: int) -> Iterator[str]:
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": DEATHS_ALLOWED}),
        distributed.LocalCluster(
            n_workers=n_workers, threads_per_worker=1, processes=True, dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as local,
    ):  # fmt: skip
        yield local.scheduler_address


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with local_cluster(2) as address:
        yield address


@pytest.fixture
def mortal_scheduler() -> Iterator[str]:
    """Yield a cluster whose workers may be killed.

    A nanny gives a worker up that dies while it is being restarted, so no other test may depend on
    these workers, and there is one more of them than may die.
    """
    with local_cluster(DEATHS_ALLOWED + 2) as address:
        yield address


@pytest.fixture
def client(scheduler: str) -> Iterator[Any]:
    with distributed.Client(scheduler, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


def extract(*arguments: object) -> Any:
    return CliRunner().invoke(cli, ["extract", *map(str, arguments)])


@pytest.mark.slow
@pytest.mark.processes
def test_the_same_table_and_the_same_failures_as_here(
    scheduler: str, genre_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(genre_folder)  # relative paths have to be found too
    (tmp_path / "empty.mp3").touch()
    inputs = ["tonal", "noisy", tmp_path / "empty.mp3", "missing.mp3"]
    where = {"here": ["--jobs", 1, "--no-cache"],
             "there": ["--backend", "dask", "--scheduler", scheduler]}  # fmt: skip
    for name, options in where.items():
        outputs = ["-o", tmp_path / f"{name}.csv", "--errors", tmp_path / f"{name}-errors.csv"]
        done = extract(*inputs, *outputs, *options)
        assert done.exit_code == 3, done.output
        assert "12 tracks, 2 failed" in done.stderr
    for suffix in (".csv", "-errors.csv"):
        here, there = (tmp_path / f"{name}{suffix}" for name in where)
        assert here.read_bytes() == there.read_bytes()


@pytest.mark.slow
@pytest.mark.processes
def test_results_come_in_order_and_nothing_stays_on_the_cluster(
    scheduler: str, client: Any
) -> None:
    with DaskWorkers(scheduler) as workers:
        assert list(workers.map(square, [3, 1, 2, 3])) == [(n, n * n) for n in (3, 1, 2, 3)]
        assert [result for _, result in workers.map(later_if_even, range(6))] == list(range(6))
        results = workers.map(slow_square, iter(range(10**9)))  # taken a few ahead only
        assert [next(results) for _ in range(3)] == [(0, 0), (1, 1), (2, 4)]
        results.close()
    left = [
        *client.run(lambda dask_worker: list(dask_worker.plugins)).values(),
        client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.worker_plugins)),
    ]
    assert not [name for names in left for name in names if "genreclf" in name]
    processes = client.run(multiprocessing.active_children)
    assert list(processes.values()) == [[], []]


@pytest.mark.slow
@pytest.mark.processes
def test_what_a_killed_worker_had_at_hand_is_done_by_others(mortal_scheduler: str) -> None:
    with DaskWorkers(mortal_scheduler) as workers:
        results = workers.map(slow_square, range(40))
        first = [next(results) for _ in range(5)]
        with distributed.Client(mortal_scheduler, set_as_default=False) as client:
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        assert first + list(results) == [(n, n * n) for n in range(40)]


@pytest.mark.slow
@pytest.mark.processes
def test_an_item_that_kills_its_process_again_and_again_costs_itself_only(scheduler: str) -> None:
    items = ["a", "SIGSEGV", "b", 7, "c"]
    with DaskWorkers(scheduler) as workers:
        results = dict(workers.map(die_when_told, items))
    assert list(results) == items
    assert [results[item] for item in "abc"] == list("abc")
    assert isinstance(results["SIGSEGV"], WorkerError)
    assert signal.strsignal(signal.SIGSEGV) in results["SIGSEGV"].reason
    assert "exit status 7" in results[7].reason


@pytest.mark.slow
@pytest.mark.processes
def test_an_item_that_kills_dask_workers_costs_itself_only(mortal_scheduler: str) -> None:
    with DaskWorkers(mortal_scheduler) as workers:
        results = dict(workers.map(kill_parent_when_told, ["a", "kill", *"bcdef"]))
    assert isinstance(results["kill"], WorkerError)
    assert f"{DEATHS_ALLOWED + 1} Dask workers died" in results.pop("kill").reason
    assert results == {name: name for name in "abcdef"}


@pytest.mark.slow
@pytest.mark.processes
def test_an_item_that_hangs_costs_itself_only(scheduler: str, client: Any) -> None:
    with DaskWorkers(scheduler, seconds_an_item=1) as workers:
        results = dict(workers.map(hang_at_two, range(5)))
    assert results.pop(2) == WorkerError("took longer than 1 s")
    assert results == {n: n for n in (0, 1, 3, 4)}


@pytest.mark.slow
@pytest.mark.processes
def test_exceptions_of_the_function_are_raised(scheduler: str) -> None:
    with DaskWorkers(scheduler) as workers, pytest.raises(KeyError, match="two"):
        list(workers.map(fail_at_two, range(5)))


@pytest.mark.slow
@pytest.mark.processes
def test_workers_of_other_versions_are_refused(
    scheduler: str, client: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cluster, "numbers_depend_on", lambda: {"numpy": "0.9"})
    (tmp_path / "a.mp3").touch()
    done = extract(tmp_path, "--backend", "dask", "--scheduler", scheduler)
    assert done.exit_code == 1
    [line] = done.stderr.splitlines()
    assert "(here 0.9); other versions give other numbers" in line


@pytest.mark.slow
@pytest.mark.processes
def test_other_processors_are_warned_of(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "threadpool_info", lambda: [{"architecture": "Abacus"}])
    with pytest.warns(UserWarning, match=r"2 of 2 workers .* than this one \(Abacus\)"):
        DaskWorkers(scheduler).__exit__()


@pytest.mark.parametrize("kind", ["closed port", "something else", "no address"])
def test_no_scheduler_is_told_in_one_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    (tmp_path / "a.mp3").touch()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if kind == "something else":
            other.listen()
        port = other.getsockname()[1]
        address = "nowhere" if kind == "no address" else f"tcp://127.0.0.1:{port}"
        done = extract(tmp_path, "--backend", "dask", "--scheduler", address)
    assert done.exit_code == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"genreclf: {address}: no Dask scheduler answers there")


def test_a_cluster_without_workers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(cluster, "CHECK_SECONDS", 0.1)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        pytest.raises(GenreclfError, match="has had no worker"),
        DaskWorkers(empty.scheduler_address) as workers,
    ):
        list(workers.map(square, [1]))


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "genreclf.parallel.cluster")
    (tmp_path / "a.mp3").touch()
    done = extract(tmp_path, "--backend", "dask", "--scheduler", "tcp://127.0.0.1:1")
    assert done.exit_code == 1
    [line] = done.stderr.splitlines()
    assert line.endswith("pip install 'genreclf[dask]'")


@pytest.mark.parametrize(
    "options",
    [
        ["--backend", "dask"],
        ["--scheduler", "tcp://127.0.0.1:1"],
        ["--backend", "dask", "--scheduler", "tcp://127.0.0.1:1", "--jobs", 2],
    ],
)
def test_options_that_do_not_go_together(options: list[object], tmp_path: Path) -> None:
    done = extract(tmp_path, *options)
    assert done.exit_code == 2
    assert "--backend dask" in done.stderr


@pytest.mark.parametrize("exists", [True, False])
def test_failures_on_another_machine_name_it(
    exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Elsewhere:
        def map(self, function: Any, items: Any) -> Iterator[Any]:
            monkeypatch.setattr(platform, "node", lambda: "node7")
            return ((item, function(item)) for item in items)

    file = tmp_path / "a.mp3"
    if exists:
        file.write_text("no audio")
    workers: Any = Elsewhere()
    [outcome] = extract_tracks([Track(file)], load_config(), workers)
    assert isinstance(outcome, Failure)
    assert outcome.error.startswith(str(file))
    assert "on node7" in outcome.error
    assert ("must exist there" in outcome.error) == (not exists)
