"""A short run of what run.py does at length."""

from pathlib import Path

import pytest

pytest.importorskip("resource", reason="Windows limits no process's memory")

from run import fuzz

pytestmark = [pytest.mark.slow, pytest.mark.processes]


@pytest.mark.parametrize(
    ("kind", "n"),
    [
        ("audio", 50),
        ("table", 30),
        ("label", 60),
        ("config", 40),
        ("model", 15),
        ("network", 60),
    ],
)
def test_damage_gives_a_result_or_a_reason(
    kind: str, n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = fuzz(kind, n, tmp_path)
    assert report.broken == []
    assert report.counts["error"]
    assert report.counts.total() == n
