"""Run the commands that a page shows, and fail if the output differs.

    python docs/run.py docs/tutorial.md docs/notebooks/first-look.ipynb

Commands are the lines that begin with ``$`` in ``console`` blocks. They run one after the other in
an empty folder that contains a link to the project's ``data``. The output must be what the page
shows, except that ``…`` stands for any number of lines, and that figures may differ, because other
versions of numpy and scikit-learn round differently. Of a notebook, the code cells run.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


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


def pattern(lines: list[str]) -> str:
    """Return a regular expression that matches the shown lines with any figures."""
    return "".join(r"(?:.*\n)*?" if line == "…" else _fitting(line) for line in lines)


def _fitting(line: str) -> str:
    parts = re.split(r"(\d+|[\s━─┏┳┓┡╇┩└┴┘│┃]+)", line)  # columns are as wide as their figures
    fitting = [r"\d+" if part.isdigit() else re.escape(part) for part in parts[::2]]
    spaces = [r"\d+" if part.isdigit() else r"[\s━─┏┳┓┡╇┩└┴┘│┃]*" for part in parts[1::2]]
    return "".join(map(str.__add__, fitting, [*spaces, r"\s*\n"]))


def run_commands(page: Path) -> None:
    """Run the commands of a page in this folder."""
    for command, shown in steps(page):
        print(f"$ {command}", flush=True)
        done = subprocess.run(command, shell=True, text=True, capture_output=True)
        output = done.stdout + done.stderr
        if done.returncode or not re.fullmatch(pattern(shown), output):
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
