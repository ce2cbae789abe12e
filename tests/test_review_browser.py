"""The review page in a browser: keys, choices, saving, playing, and what a page may not do."""

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from documents import HOSTILE
from helpers import run

from genreclf.audio.audiofile import AudioInfo
from genreclf.audio.placement import placed_spans
from genreclf.config.views import Excerpt
from genreclf.reports.review import ReviewItem, review_page

pytestmark = pytest.mark.slow
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
RATE = 8000
GENRES = ["blues", "jazz", "pop", "rock"]
NAMES = [
    "<img src=x onerror=alert(1)>.wav", "</script><script>alert(2)</script>.wav", 'a "b", c.wav',
    "new\nline\r.wav", "#1 50%25?.wav", "caf\udce9.wav", "=1+1.wav", " blank .wav", "あé.wav",
]  # fmt: skip
Item = Callable[..., ReviewItem]
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium to open the page with")
    arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


class Opened:
    """A page in a browser, and what it asked for and complained of."""

    def __init__(self, page: Any) -> None:
        self.page, self.requests, self.complaints = page, [], []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        page.on("console", lambda message: self.complaints.append(message.text))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def run(self, script: str) -> Any:
        return self.page.evaluate(script)

    def until(self, condition: str) -> None:
        """Wait for a condition; playwright's own way is to evaluate a string, which is refused."""
        for _ in range(300):
            if self.run(condition):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(condition)

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).first.inner_text())

    @property
    def current(self) -> str:
        return self.text("[aria-current] .name bdi")

    @property
    def chosen(self) -> list[str]:
        """The state of each track."""
        states = self.run("[...document.querySelectorAll('.state')].map((e) => e.textContent)")
        return [text.removeprefix("✓ ") for text in states]

    def save(self) -> bytes:
        with self.page.expect_download() as download:
            self.page.locator("#save").click()
        assert download.value.suggested_filename == "corrections.csv"
        return Path(download.value.path()).read_bytes()


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open a page of items; in the end, no page may have asked or complained of anything."""
    opened: list[Opened] = []
    context = browser.new_context()

    def open_(
        items: Sequence[ReviewItem], *, excerpt: Excerpt | None = None, name: str = "review",
        context: Any = context, before: str = "",
    ) -> Opened:  # fmt: skip
        file = tmp_path / f"{name}.html"
        file.write_text(review_page(items, GENRES, excerpt=excerpt), encoding="utf-8")
        page = Opened(context.new_page())
        page.page.add_init_script(before)
        page.page.goto(file.as_uri())
        opened.append(page)
        return page

    yield open_
    for page in opened:
        assert page.complaints == []
        assert all(url.startswith((tmp_path.as_uri(), "data:,")) for url in page.requests)
    context.close()


@pytest.fixture
def item(tmp_path: Path) -> Item:
    """An item whose file is a tone of some seconds."""

    def make(name: str, label: str = "rock", seconds: float = 3, **facts: Any) -> ReviewItem:
        path = tmp_path / name.replace("/", "\N{FRACTION SLASH}")
        tone = np.sin(np.arange(round(seconds * RATE)) / 5).astype(np.float32) / 10
        with path.open("wb") as file:  # libsndfile takes no names that are not text
            soundfile.write(file, tone, RATE, format="WAV")
        shares = {"pop": 0.6, "rock": 0.3, "jazz": 0.06, "blues": 0.04}
        facts = {"probabilities": shares, "explanation": {"timbre": 0.3}, **facts}
        return ReviewItem(path=str(path), label=label, doubts=("label",), **facts)

    return make


# --- choosing -------------------------------------------------------------------------------------


def test_keys_choose_and_move(open_page: Open, item: Item) -> None:
    page = open_page(
        [item(f"{n}.wav", label) for n, label in enumerate(["rock", "jazz", "", "pop"])]
    )
    assert page.text("#count") == "0 of 4"
    page.press("1", "j", "0", "j", "2", "j", "n")
    assert page.chosen == ["pop", "kept", "rock", "not music"]
    assert page.text("#count") == "4 of 4"
    assert page.text("#status") == "Chosen: not music. 4 of 4 decided."
    page.press("j")
    assert page.current == "3.wav"
    assert page.text("#status") == "This is the last track."
    page.press("k", "s")
    assert page.current == "2.wav"
    page.press("k", "u")
    assert page.chosen == ["pop", "", "skipped", "not music"]
    assert page.text("#count") == "3 of 4"
    page.press("0", "k", "k", "3")  # "0" keeps jazz; the first track has no fourth genre
    assert page.chosen == ["blues", "kept", "skipped", "not music"]
    page.press("4")
    assert page.chosen[0] == "blues"


def test_typing_a_genre_is_no_shortcut(open_page: Open, item: Item) -> None:
    page = open_page([item("a.wav"), item("b.wav")])
    page.press("g")
    page.page.keyboard.type("j k 1 n s ? u")
    assert page.current == "a.wav"
    assert not page.run("document.getElementById('keys').open")
    page.press("Enter")
    assert page.chosen == ["j k 1 n s ? u", ""]
    page.press("j", "k")
    assert page.run("document.querySelector('.other input').value") == "j k 1 n s ? u"
    page.press("g", "x", "Escape", "j")
    assert page.chosen == ["j k 1 n s ? u", ""]
    assert page.current == "b.wav"
    page.press("g")
    page.page.keyboard.type(" jazz ")
    page.press("Enter", "k", "g")
    page.page.keyboard.type("slow core")
    page.page.locator("#tracks .row").nth(1).click()  # leaving the field takes what stands there
    assert page.chosen[1] == "jazz"
    assert page.page.locator('input[value=\'["genre","jazz"]\']').is_checked()


def test_a_mouse_chooses_and_goes_on_if_asked(open_page: Open, item: Item) -> None:
    page = open_page([item("a.wav"), item("b.wav"), item("c.wav")])
    page.page.locator(".choices label", has_text="pop").click()
    assert page.current == "a.wav"
    page.page.locator("#onward").check()
    page.page.locator(".choices label", has_text="Skip").click()
    assert page.current == "b.wav"
    page.press("2")
    assert page.current == "c.wav"
    page.page.locator("#tracks .row").first.click()
    page.page.locator(".choices input:checked").focus()
    page.press("ArrowLeft", "ArrowLeft")
    assert page.current == "a.wav"  # arrows choose on their way
    assert page.chosen[0] == "blues"
    page.page.reload()
    assert page.page.locator("#onward").is_checked()


def test_filters_show_some_tracks_and_keys_stay_in_them(open_page: Open, item: Item) -> None:
    items = [item("a.wav"), item("b.wav")]
    others = [
        ReviewItem(path="c.wav", doubts=("novel",)),
        ReviewItem(path="d.wav", doubts=("novel",)),
    ]
    page = open_page([*items, *others])
    shown = page.page.locator("#filters label:visible").all_inner_texts()
    assert [" ".join(text.split()) for text in shown] == [
        "All 4", "Doubtful labels 2", "Novel 2", "Not decided 4",
    ]  # fmt: skip
    page.page.locator("#filters label", has_text="Novel").click()
    assert page.page.locator("#tracks li:visible").count() == 2
    assert page.current == "c.wav"
    page.press("n", "j", "j")
    assert page.current == "d.wav"
    page.page.locator("#filters label", has_text="Not decided").click()
    assert page.page.locator("#tracks li:visible").count() == 3


def test_keys_are_listed_and_can_be_turned_off(open_page: Open, item: Item) -> None:
    page = open_page([item("a.wav"), item("b.wav")])
    page.press("?")
    assert page.page.get_by_role("dialog", name="Keys").is_visible()
    page.press("j")
    page.press("?")
    assert not page.page.get_by_role("dialog").is_visible()
    assert page.current == "a.wav"
    page.press("?")
    page.page.get_by_label("Use these keys").uncheck()
    page.press("Escape", "j", "1")
    assert page.current == "a.wav"
    assert page.text("#count") == "0 of 2"


# --- saving ---------------------------------------------------------------------------------------


def test_saved_corrections_are_applied_to_the_table(
    open_page: Open, item: Item, tmp_path: Path
) -> None:
    items = [item(name) for name in NAMES]
    page = open_page(items)
    for _ in NAMES:
        page.press("1", "j")
    saved = page.save()
    rows = list(csv.reader(io.StringIO(saved.decode("utf-8", "surrogateescape"), newline="")))
    assert rows == [["path", "label"], *([item.path, "pop"] for item in items)]
    assert page.text("#status") == f"corrections.csv is saved: {len(NAMES)} labels."
    corrections, table = tmp_path / "corrections.csv", tmp_path / "t.csv"
    corrections.write_bytes(saved)
    with table.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        csv.writer(file).writerows([["path", "label", "x"], *([i.path, "rock", 1] for i in items)])
    done = run("labels", "apply", corrections, table, "-o", tmp_path / "new.csv")
    assert done.exit_code == 0, done.output
    with (tmp_path / "new.csv").open(
        encoding="utf-8", errors="surrogateescape", newline=""
    ) as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["pop"] * len(NAMES)


def test_only_changed_labels_are_saved(open_page: Open, item: Item) -> None:
    labels = ["rock", "rock", "rock", "pop", "", "rock", "rock"]
    page = open_page([item(f"{i}.wav", label) for i, label in enumerate(labels)])
    page.page.locator("#save").click()
    assert "nothing to save" in page.text("#status")
    page.press("1", "j", "0", "j", "s", "j", "n", "j", "1", "j", "g")
    page.page.keyboard.type('free "jazz", live')
    page.press("Enter", "j", "g")
    page.page.keyboard.type("rock")  # the label itself
    page.press("Enter")
    rows = list(csv.reader(io.StringIO(page.save().decode())))
    assert [[Path(path).name, label] for path, label in rows[1:]] == [
        ["0.wav", "pop"], ["3.wav", "not music"], ["4.wav", "pop"], ["5.wav", 'free "jazz", live'],
    ]  # fmt: skip


def test_choices_survive_a_reload_and_pages_do_not_share_them(open_page: Open, item: Item) -> None:
    items = [item("a.wav"), item("b.wav"), item("c.wav")]
    page = open_page(items)
    page.press("1", "j", "g")
    page.page.keyboard.type("dub")
    page.press("Enter")
    page.page.reload()
    assert page.chosen == ["pop", "dub", ""]
    assert page.current == "b.wav"
    assert page.text("#count") == "2 of 3"
    other = open_page(items[:2], name="other")
    assert other.chosen == ["", ""]
    again = open_page(items, name="moved")
    assert again.chosen == ["pop", "dub", ""]


@pytest.mark.parametrize(
    "kept", ["5", "null", '"x"', "{", '{"choices": [[99, ["keep"]], [0, ["genre", 5]], 7]}']
)
def test_a_damaged_store_is_an_empty_one(open_page: Open, item: Item, kept: str) -> None:
    before = f"Storage.prototype.getItem = () => {json.dumps(kept)};"
    page = open_page([item("a.wav")], before=before)
    assert page.text("#count") == "0 of 1"
    page.press("1")
    assert page.chosen == ["pop"]


@pytest.mark.parametrize(
    "before",
    [
        "Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError'); };",
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', "
        "'SecurityError'); } });",
    ],
)
def test_a_browser_that_keeps_nothing_is_told_of(open_page: Open, item: Item, before: str) -> None:
    page = open_page([item("a.wav")], before=before)
    assert page.page.locator("#storage").is_visible()
    page.press("1")
    assert page.save().endswith(b"a.wav,pop\n")


# --- playing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"seconds": 1.0},
        {"seconds": 1.0, "earlier_seconds": 0.5},
        {"seconds": 1.0, "earlier_seconds": 9.0},
        {"seconds": 1.0, "strategy": "start"},
        {"seconds": 1.0, "strategy": "window", "from_seconds": 1.5},
        {"seconds": 1.0, "strategy": "window", "from_seconds": 60.0},
        {"seconds": 1.0, "strategy": "multi", "excerpts": 2},
        {"seconds": 2.0, "strategy": "multi", "excerpts": 5},
        {"seconds": 60.0},
        {"strategy": "full"},
    ],
)
def test_what_the_model_heard_is_played(open_page: Open, item: Item, settings: Any) -> None:
    excerpt = Excerpt(**settings)
    page = open_page([item("a.wav", seconds=3.3)], excerpt=excerpt)
    info = AudioInfo(round(3.3 * RATE), RATE, 1, "WAV", "PCM_16")
    spans = [(start / RATE, stop / RATE) for start, stop in placed_spans(info, excerpt)]
    assert page.run("document.querySelector('audio').readyState") == 0  # nothing is read before
    page.run(
        "window.at = []; for (const type of ['seeking', 'pause']) document.querySelector('audio')."
        "addEventListener(type, (event) => at.push([type, event.target.currentTime]))"
    )
    page.press("Space")
    page.until("at.some(([type]) => type === 'pause')")
    at = page.run("at")
    jumps = [time for kind, time in at if kind == "seeking"]
    stopped = next(time for kind, time in at if kind == "pause")
    starts = [start for start, _ in spans]
    assert (jumps or [0.0]) == pytest.approx(starts, abs=0.01)
    assert stopped == pytest.approx(spans[-1][1], abs=0.4)
    page.press("Space")  # once more, from the beginning
    page.until("!document.querySelector('audio').paused")
    assert page.run("document.querySelector('audio').currentTime") < spans[0][0] + 0.5


def test_known_seconds_are_part_of_the_address(open_page: Open, item: Item) -> None:
    page = open_page([item("a #1.wav", spans=((1.25, 2.25),))], excerpt=Excerpt(seconds=1))
    assert page.run("document.querySelector('audio').src").endswith("a%20%231.wav#t=1.25,2.25")
    assert page.text(".heard") == "The model heard 0:01 to 0:02."
    page.press("Space")
    page.until("document.querySelector('audio').currentTime > 1.2")


def test_several_known_excerpts_are_played_one_after_the_other(open_page: Open, item: Item) -> None:
    page = open_page([item("a.wav", seconds=4, spans=((0.5, 1.2), (3, 3.6)))])
    assert page.text(".heard") == "The model heard 0:01 to 0:01, 0:03 to 0:04."
    source = "document.querySelector('audio').src"
    assert page.run(source).endswith("a.wav#t=0.5")  # at the end of a fragment, browsers stop
    for _ in range(2):
        page.press("Space")
        page.until("document.querySelector('audio').currentTime > 3")
        page.until("document.querySelector('audio').paused")
        assert page.run("document.querySelector('audio').currentTime") == pytest.approx(
            3.6, abs=0.4
        )


def test_the_address_has_the_excerpt_of_a_table(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tone = np.sin(np.arange(12 * RATE) / 5).astype(np.float32) / 100
    tone[7 * RATE : 10 * RATE] *= 60
    (tmp_path / "songs").mkdir()
    soundfile.write(tmp_path / "songs" / "a #1.wav", tone, RATE)
    monkeypatch.chdir(tmp_path)
    words = ["--set", "excerpt.strategy=energy", "--set", "excerpt.seconds=3"]
    run("extract", "songs", "--labels", "none", *words, "-o", "t.csv")
    (tmp_path / "pages").mkdir()
    done = run("suggest", "t.csv", "--html", tmp_path / "pages" / "r.html")
    assert done.exit_code == 0, done.output
    page = Opened(browser.new_page())
    page.page.goto((tmp_path / "pages" / "r.html").as_uri())
    assert page.current == "a #1.wav"
    address = page.run("document.querySelector('audio').src")
    path, _, fragment = address.partition("#t=")
    assert path == (tmp_path / "songs" / "a #1.wav").as_uri()
    assert [float(second) for second in fragment.split(",")] == pytest.approx([7, 10], abs=0.11)
    page.press("Space")
    page.until("document.querySelector('audio').currentTime > 6.8")
    assert page.complaints == []
    page.page.close()


def test_space_pauses_and_moving_keeps_playing(open_page: Open, item: Item) -> None:
    page = open_page([item(name) for name in NAMES[:3]], excerpt=Excerpt(seconds=2))
    playing = (
        "!document.querySelector('audio').paused && document.querySelector('audio').currentTime"
    )
    page.press("Space")
    page.until(playing)
    assert page.text(".play .word") == "Pause"
    page.press("j")
    page.until(playing)
    assert page.page.locator("audio").count() == 1
    page.press("Space")
    page.until("document.querySelector('audio').paused")
    page.press("j")
    assert page.run("document.querySelector('audio').paused")


def test_a_part_that_is_not_known_is_said(open_page: Open, item: Item) -> None:
    page = open_page([item("a.wav")], excerpt=Excerpt(strategy="energy"))
    assert "is not known; the track plays from its start" in page.text(".heard")


def test_a_file_that_cannot_be_played_is_told_of_there(
    browser: Any, item: Item, tmp_path: Path
) -> None:
    good, missing, text = item("good.wav"), item("missing.wav"), item("text.wav")
    Path(text.path).write_text("no music")
    whole = Path(missing.path).read_bytes()
    Path(missing.path).unlink()
    impossible = ReviewItem(path="\ud800.wav", label="rock")
    (tmp_path / "r.html").write_text(review_page([good, missing, text, impossible], GENRES))
    page = Opened(browser.new_page())
    page.page.goto((tmp_path / "r.html").as_uri())
    fault = page.page.locator(".fault")
    for name in ("missing.wav", "text.wav", "\N{REPLACEMENT CHARACTER}.wav"):
        page.press("j", "Space")
        assert page.current == name
        fault.wait_for(state="visible")
        assert "cannot be played here" in fault.inner_text()
    assert str(tmp_path) not in fault.inner_text()
    page.press("n")
    assert page.chosen == ["", "", "", "not music"]
    page.press("k", "k", "Space")
    fault.wait_for(state="visible")
    assert str(missing.path) in fault.inner_text()
    Path(missing.path).write_bytes(whole)  # the disk is there now
    page.press("Space")
    fault.wait_for(state="hidden")
    page.press("k")  # which plays on
    page.until("document.querySelector('audio').currentTime > 0")
    assert fault.is_hidden()
    # The browser itself names a missing file; the script has nothing to say.
    assert {text.partition(":")[0] for text in page.complaints} <= {"Failed to load resource"}
    page.page.close()


# --- what it looks like, and to whom --------------------------------------------------------------


def many(n: int) -> list[ReviewItem]:
    shares = {"pop": 0.6, "rock": 0.3, "jazz": 0.06, "blues": 0.04}
    return [
        ReviewItem(path=f"music/{i:04}.mp3", label="rock", probabilities=shares, doubts=("label",))
        for i in range(n)
    ]


def test_two_thousand_tracks_have_one_player_and_only_the_visible_are_drawn(
    open_page: Open,
) -> None:
    page = open_page(many(2000))
    drawn = (
        "[...document.querySelectorAll('#tracks .row')].filter((row) => "
        "row.checkVisibility({ contentVisibilityAuto: true })).length"
    )
    assert 5 < page.run(drawn) < 200
    page.run("scrollTo(0, document.body.scrollHeight)")
    page.until("scrollY > 50000")
    assert page.page.locator("#tracks .row").last.is_visible()
    assert page.run(drawn) < 200
    page.page.locator("#tracks .row").nth(1990).click()
    page.press("1", "j")
    assert page.current == "1991.mp3"
    assert page.page.locator("audio").count() == page.page.locator(".body").count() == 1
    head, row = (
        page.page.locator(selector).bounding_box() for selector in ("header", "[aria-current] .row")
    )
    assert row["y"] >= head["y"] + head["height"]
    page.page.reload()
    assert page.chosen[1990] == "pop"


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_shows_everything_within_its_width(
    browser: Any, open_page: Open, width: int
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 700}, has_touch=True, is_mobile=True
    )
    long = [
        ReviewItem(
            path=f"{text}/{text}.mp3", label=text, probabilities={text: 0.7, "x" * 300: 0.3},
            explanation={text: 0.5}, doubts=("label", "copy"), copies=((text, text),),
            notes=(text,),
        )
        for text in ["a" * 400, *HOSTILE]
    ]  # fmt: skip
    page = open_page(long, context=context)
    for _ in long:
        assert page.run("document.documentElement.scrollWidth") <= width
        page.press("1", "j")
    small = page.run(
        "[...document.querySelectorAll('button, label, input[type=text]')].map((e) => "
        "e.getBoundingClientRect()).filter((box) => box.height && box.height < 24).length"
    )
    assert small == 0
    page.page.locator(".next").tap()
    page.page.locator("#help").tap()
    assert page.run("document.documentElement.scrollWidth") <= width
    context.close()


CONTRASTS = """
() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = colour.map((c) => linear(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility()) continue;
    if (element.matches("script, option, :disabled *, :disabled")) continue;
    const [a, b] = [rgba(getComputedStyle(element).color), behind(element)].map(light);
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([contrast, element.textContent.slice(0, 30)]);
  }
  return found;
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read_in_light_and_in_the_dark(
    browser: Any, open_page: Open, item: Item, scheme: str
) -> None:
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce")
    page = open_page([item("a.wav"), item("b.wav")], context=context)
    page.press("1")
    dark = page.run("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    assert dark == (scheme == "dark")
    for contrast, text in page.run(CONTRASTS):
        assert contrast >= 4.5, text
    assert page.run("getComputedStyle(document.querySelector('.chip')).transitionDuration") == "0s"
    page.press("?")
    for contrast, text in page.run(CONTRASTS):
        assert contrast >= 4.5, text
    context.close()


CONTROLS = {
    "button", "radio", "checkbox", "textbox", "combobox", "progressbar", "dialog", "radiogroup",
    "group", "article", "Audio", "slider",
}  # fmt: skip


def test_everything_has_a_name_for_screen_readers(open_page: Open, item: Item) -> None:
    page = open_page([item("a.wav"), item("b.wav", "")])
    page.press("1")
    tree = page.page.context.new_cdp_session(page.page)
    for key in ("", "?"):
        page.press(*key)
        nodes = tree.send("Accessibility.getFullAXTree")["nodes"]
        named = [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node["ignored"] and node["role"]["value"] in CONTROLS
        ]
        assert [role for role, name in named if not name.strip()] == []
    roles = {role for role, _ in named}
    assert "dialog" in roles
    page.press("Escape")
    names = page.page.get_by_role
    assert names("radio", name="pop 60%").is_checked()
    assert names("article", name="Track 1 of 2: a.wav, doubtful label").count() == 1
    assert names("progressbar", name="Tracks decided").get_attribute("value") == "1"
    assert names("status").inner_text() == "Chosen: pop. 1 of 2 decided."
    assert names("group", name="Genre").count() == 1
    assert names("heading", name="Listen and correct").count() == 1


def test_the_focus_is_seen_wherever_it_is(open_page: Open, item: Item) -> None:
    page = open_page([item("a.wav"), item("b.wav")])
    page.press("j")
    seen = (
        "(() => { for (let e = document.activeElement; e; e = e.parentElement) { const style = "
        "getComputedStyle(e); if (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) "
        ">= 2) return true; } return false; })()"
    )
    assert page.run("document.activeElement.localName") == "article"
    assert page.run(seen)
    reached = set()
    for _ in range(25):
        page.press("Tab")
        element = page.run("document.activeElement.localName")
        reached.add(element)
        if element not in ("body", "audio"):  # an audio element draws its own
            assert page.run(seen), page.run("document.activeElement.outerHTML")
    assert {"button", "input"} <= reached


# --- what it may not do ---------------------------------------------------------------------------


def test_nothing_gets_in_or_out(browser: Any, item: Item, tmp_path: Path) -> None:
    file = tmp_path / "r.html"
    file.write_text(review_page([item(name) for name in NAMES], GENRES), encoding="utf-8")
    page = Opened(browser.new_page())
    page.page.goto(file.as_uri())
    page.press("Space")
    for name in NAMES:
        page.press("1")
        page.until("document.querySelector('audio').currentTime > 0")
        assert page.page.locator(".fault").is_hidden(), ascii(name)
        page.press("J")  # with caps lock; the next track plays on
    page.save()
    assert page.complaints == []
    assert page.page.locator("#tracks img, #tracks script").count() == 0
    assert {url.partition("#")[0] for url in page.requests} <= {
        file.as_uri(), "data:,", *(Path(item(name).path).as_uri() for name in NAMES)
    }  # fmt: skip
    page.requests.clear()
    refused = page.run(
        """async () => {
          const refused = [];
          const on = (event) => refused.push(event.effectiveDirective);
          document.addEventListener("securitypolicyviolation", on);
          await fetch("http://127.0.0.1:9/").catch(() => {});
          const add = (name, facts) => {
            document.body.append(Object.assign(document.createElement(name), facts));
          };
          add("img", { src: "http://127.0.0.1:9/x.png" });
          add("audio", { src: "http://127.0.0.1:9/x.mp3", preload: "auto" });
          add("script", { textContent: "document.title = 'run'" });
          add("style", { textContent: "body { display: none }" });
          add("iframe", { src: "http://127.0.0.1:9/" });
          await new Promise((resolve) => setTimeout(resolve, 500));
          return [...new Set(refused)].sort();
        }"""
    )
    assert refused == [
        "connect-src", "frame-src", "img-src", "media-src", "script-src-elem", "style-src-elem",
    ]  # fmt: skip
    assert page.page.title() == f"genreclf review: {len(NAMES)} tracks"
    page.page.close()
