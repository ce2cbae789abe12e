"""How a review page of many tracks loads, scrolls and takes keys, in Chromium.

    python benchmarks/review.py [--tracks 2000]

Needs playwright (extra ``test``) and Chromium. Frames are those that the browser asked the page
for; without a screen, it draws on the processor.
"""

import shutil
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from playwright.sync_api import Page, sync_playwright

from genreclf.reports.review import ReviewItem, review_page

GENRES = [f"genre {i}" for i in range(10)]
COUNT_FRAMES = """() => {
  window.frames = [];
  let last = performance.now();
  const count = (now) => { frames.push(now - last); last = now; requestAnimationFrame(count); };
  requestAnimationFrame(count);
}"""
PRESS = """(key) => {
  const start = performance.now();
  document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  document.body.offsetHeight;  // lay out
  return performance.now() - start;
}"""


def items(n: int) -> list[ReviewItem]:
    """Make tracks with random probabilities."""
    random = np.random.default_rng(0)
    shares = np.sort(random.dirichlet(np.full(len(GENRES), 0.5), n))[:, ::-1]
    return [
        ReviewItem(
            path=f"music/artist {i % 97}/{i:05}.mp3", label=GENRES[i % 10], doubts=("label",),
            probabilities=dict(zip(random.permutation(GENRES), map(float, row), strict=True)),
            explanation={"rhythm": 0.2, "harmony": -0.1},
        )
        for i, row in enumerate(shares)
    ]  # fmt: skip


def measure(page: Page, address: str) -> None:
    """Load a page, scroll it with the wheel, and press keys."""
    start = time.perf_counter()
    page.goto(address)
    click.echo(f"loaded in {time.perf_counter() - start:.2f} s")
    page.evaluate(COUNT_FRAMES)
    page.mouse.move(500, 500)
    for _ in range(100):
        page.mouse.wheel(0, 300)
        page.wait_for_timeout(16)
    frames = np.array(page.evaluate("frames"))
    click.echo(
        f"scrolling: {len(frames)} frames, median {np.median(frames):.0f} ms, "
        f"95 % within {np.quantile(frames, 0.95):.0f} ms"
    )
    for key, what in (("j", "next track"), ("1", "choice")):
        times = [page.evaluate(PRESS, key) for _ in range(50)]
        click.echo(f"{what}: median {np.median(times):.0f} ms, longest {max(times):.0f} ms")


@click.command()
@click.option("--tracks", default=2000, show_default=True)
def main(tracks: int) -> None:
    """Measure a page of tracks whose files do not exist."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "review.html"
        file.write_text(review_page(items(tracks), GENRES), encoding="utf-8")
        click.echo(f"{tracks} tracks, {file.stat().st_size / 1e6:.1f} MB")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        measure(browser.new_page(viewport={"width": 1100, "height": 900}), file.as_uri())
        browser.close()


if __name__ == "__main__":
    main()
