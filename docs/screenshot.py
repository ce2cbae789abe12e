"""Draw the picture of ``docs/how-to/listening.md``: the page of an audit of synthesised music.

    python docs/screenshot.py docs/how-to/listening.png

Needs playwright (extra ``test``) and Chromium. The commands of the page are run first.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright
from run import ROOT, run_commands

PAGE = ROOT / "docs" / "how-to" / "listening.md"


def draw(review: Path, picture: Path) -> None:
    """Open a review page, choose a genre, and take a picture while the next track plays."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 960, "height": 820})
        page.goto(review.resolve().as_uri())
        for key in ("1", "j", "1", "j", "Space"):
            page.keyboard.press(key)
        page.wait_for_timeout(2000)
        page.locator("#status").evaluate("(status) => { status.textContent = ''; }")
        page.evaluate("scrollBy(0, -140)")  # the tracks before are in the picture
        page.screenshot(path=picture)
        browser.close()


def main() -> None:
    """Make the page in a new folder, and the picture."""
    picture = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("data").symlink_to(ROOT / "data")
        run_commands(PAGE)
        draw(Path("review.html"), picture)
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
