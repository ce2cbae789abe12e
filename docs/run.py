"""Run the commands that a page shows, and fail if the output differs.

    python docs/run.py docs/tutorial.md docs/notebooks/first-look.ipynb

Commands are the lines that begin with ``$`` in ``console`` blocks. They run one after the other in
an empty folder that contains a link to the project's ``data``. The output must be what the page
shows, except that ``…`` stands for any number of lines, and that figures may differ, because other
versions of numpy and scikit-learn round differently; whole percentages may differ by three points.
Of a notebook, the code cells run.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
POINTS = 3  # by which whole percentages may differ

_BLANK = r"[\s━─┏┳┓┡╇┩└┴┘│┃]"  # columns are as wide as their figures
_TOKEN = re.compile(rf"(?P<share>(?<![\d.])\d+(?=%))|(?P<number>\d+)|(?P<blank>{_BLANK}+)")
_FITTING = {"share": r"(\d+)", "number": r"\d+", "blank": f"{_BLANK}*"}


def steps(page: Path) -> list[tuple[str, list[str]]]:
    """Return each command of a page with the output that the page shows."""
    found: list[tuple[str, list[str]]] = []
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```console\n(.+?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def fits(lines: list[str], output: str) -> bool:
    """Return True if an output has the shown lines, and about the shown percentages."""
    text = "".join(r"(?:.*\n)*?" if line == "…" else _pattern(line) for line in lines)
    match = re.fullmatch(text, output)
    if match is None:
        return False
    shown = [token["share"] for line in lines for token in _TOKEN.finditer(line) if token["share"]]
    return all(abs(int(a) - int(b)) <= POINTS for a, b in zip(shown, match.groups(), strict=True))


def _pattern(line: str) -> str:
    """Return a regular expression that matches a line with any figures."""
    text, end = "", 0
    for token in _TOKEN.finditer(line):
        text += re.escape(line[end : token.start()]) + _FITTING[token.lastgroup or ""]
        end = token.end()
    return text + re.escape(line[end:]) + r"\s*\n"


def run_commands(page: Path) -> None:
    """Run the commands of a page in this folder."""
    for command, shown in steps(page):
        print(f"$ {command}", flush=True)
        done = subprocess.run(command, shell=True, text=True, capture_output=True)
        output = done.stdout + done.stderr
        if done.returncode or not fits(shown, output):
            wanted = "\n".join(shown)
            raise SystemExit(f"{page} shows:\n{wanted}\nbut (status {done.returncode}):\n{output}")


def run_notebook(page: Path) -> None:
    """Run the code cells of a notebook in this folder."""
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    names: dict[str, object] = {"__name__": "__main__"}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), str(page), "exec"), names)


def main() -> None:
    """Run each page that the arguments name, all in one new folder."""
    pages = [Path(name).resolve() for name in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("data").symlink_to(ROOT / "data")
        for page in pages:
            (run_notebook if page.suffix == ".ipynb" else run_commands)(page)


if __name__ == "__main__":
    main()
