"""What a release says of itself: versions, changes, licences of what it needs."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest

import genreclf

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LICENCES = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
LISTED = dict(re.findall(r"^\| ([a-z][\w-]+) \| (?!licence)([^|]+) \|", LICENCES, re.MULTILINE))
TOOLS = {"test", "docs", "dev"}  # extras that nobody needs to use genreclf or to pass it on
FAMILIES = ("GPL", "LGPL", "AGPL", "BSD", "MIT", "ISC", "Apache")


def test_one_version_everywhere() -> None:
    version = genreclf.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert PROJECT["version"] == version
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {version}\n" in citation


def test_changelog_keeps_its_form() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    unreleased, *releases = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
    assert unreleased == "[Unreleased]"
    for release in releases:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", release)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", changelog, re.MULTILINE)) <= kinds


def declared(*, tools: bool) -> list[str]:
    """Names of the packages that genreclf needs, or that working on it needs."""
    extras = PROJECT["optional-dependencies"].items()
    lists = [requirements for extra, requirements in extras if (extra in TOOLS) == tools]
    lists += [] if tools else [PROJECT["dependencies"]]
    names = {re.split(r"[^\w-]", requirement)[0] for part in lists for requirement in part}
    return sorted(names - {"genreclf"})


def test_licences_are_listed_for_all_that_is_declared() -> None:
    assert sorted(LISTED) == declared(tools=False)
    for name in declared(tools=True):
        assert name in LICENCES


@pytest.mark.parametrize("name", LISTED)
def test_licences_are_what_the_packages_say(name: str) -> None:
    try:
        said = metadata(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    if expression := said.get("License-Expression"):
        assert LISTED[name] in expression.split(" AND ")
        return
    # Older ones use words of their own, and may put the whole text into one field.
    words = [*(said.get_all("Classifier") or []), *(said.get("License") or "").splitlines()[:1]]
    named = {family for family in FAMILIES if re.search(rf"\b{family}", " ".join(words))}
    assert not named or LISTED[name].split("-")[0] in named
