import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from genreclf.errors import GenreclfError
from genreclf.reports.plots import COLOURS, check_plot, figure


def draw(path: Path) -> bytes:
    with figure(path) as drawn:
        drawn.subplots().plot([0, 1], [1, 0], color=COLOURS[0], label="chroma C#")
        drawn.axes[0].legend()
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_drawing_gives_the_same_file(tmp_path: Path, suffix: str) -> None:
    assert draw(tmp_path / f"a{suffix}") == draw(tmp_path / f"b{suffix}")


def test_text_in_svg_stays_text(tmp_path: Path) -> None:
    tree = ElementTree.fromstring(draw(tmp_path / "a.svg"))
    assert "chroma C#" in [text.text for text in tree.iter("{http://www.w3.org/2000/svg}text")]


def test_nothing_is_left_when_drawing_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), figure(tmp_path / "a.png"):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_unknown_suffixes_and_missing_matplotlib_are_told_beforehand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(GenreclfError, match=r"plot\.gif: .*\.png, \.svg or \.pdf"):
        check_plot(Path("plot.gif"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(GenreclfError, match=r"pip install 'genreclf\[plot\]'"):
        check_plot(Path("plot.png"))
