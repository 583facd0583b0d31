"""The report in a real browser: what it shows, how it is searched, dark mode, print, keyboard."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.evaluation.browser import Browser, browser_is_installed, open_browser
from tests.evaluation.test_evaluator import run
from tests.evaluation.tiny_models import make_row, write_rows, write_tuned

pytestmark = pytest.mark.skipif(
    not browser_is_installed(), reason="needs chromium and chromedriver on PATH"
)

VISIBLE = (
    "return [...document.querySelectorAll('article[data-side]')]"
    ".filter(a => !a.hidden).map(a => a.id)"
)
HOSTILE = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, tuned_dir: Path, base_dir: Path) -> Path:
    folder = tmp_path_factory.mktemp("report")
    rows = [make_row(number) for number in range(30)]
    rows[4]["messages"][0]["content"] = HOSTILE
    rows[5]["passage"] = "The zanzibar clause of the passage."
    test_path = write_rows(folder / "test.jsonl", rows)
    champion = write_tuned(folder / "champion", base_dir, seed=2)
    run(folder, tuned_dir, test_path, champion_uri=str(champion))
    return folder / "report.html"


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def browser(window: Browser, report: Path) -> Browser:
    window.emulate()
    window.open(report)
    return window


def test_the_verdict_is_the_first_thing_seen(browser: Browser) -> None:
    top = browser.run(
        "const v = document.getElementById('verdict').getBoundingClientRect();"
        "return [v.top, v.bottom, innerHeight, document.querySelector('h1').innerText]"
    )
    assert 0 <= top[0] < top[1] < top[2]
    assert "released" in top[3]


def test_nothing_is_fetched_and_nothing_is_reported_as_an_error(browser: Browser) -> None:
    fetched = browser.run(
        "return performance.getEntriesByType('resource').map(e => e.name)"
        ".filter(n => !n.startsWith('data:'))"
    )
    assert fetched == []
    assert [entry for entry in browser.log() if entry["level"] == "SEVERE"] == []


def test_text_of_documents_and_models_stays_text(browser: Browser) -> None:
    assert browser.run("return document.title").startswith("Evaluation:")
    assert (
        browser.run("return document.querySelectorAll('article img, article script').length") == 0
    )
    assert HOSTILE in browser.run("return document.getElementById('example-5').textContent")


def test_a_screenshot_shows_text_and_colour(browser: Browser, tmp_path: Path) -> None:
    picture = browser.screenshot()
    (tmp_path / "report.png").write_bytes(picture)
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000  # an empty page compresses to a few kilobytes


def test_the_search_keeps_what_holds_all_words_even_in_the_passage(browser: Browser) -> None:
    assert len(browser.run(VISIBLE)) == 30
    browser.press("/")
    browser.press(*"zanzibar clause")
    assert browser.run(VISIBLE) == ["example-6"]
    assert browser.run("return document.getElementById('count').textContent") == (
        "1 of 30 examples"
    )
    browser.press("\ue00c")  # Escape
    assert len(browser.run(VISIBLE)) == 30


@pytest.mark.parametrize("choice", ["worse", "better", "kind:table"])
def test_the_filter_keeps_one_side_or_kind(browser: Browser, choice: str) -> None:
    browser.run(
        f"const s = document.getElementById('show'); s.value = '{choice}';"
        "s.dispatchEvent(new Event('change'))"
    )
    field, wanted = ("kind", "table") if ":" in choice else ("side", choice)
    kept = browser.run(
        "return [...document.querySelectorAll('article[data-side]')].filter(a => !a.hidden)"
        f".map(a => a.dataset.{field})"
    )
    assert set(kept) <= {wanted}
    total = browser.run(
        f"return document.querySelectorAll('article[data-{field}={wanted}]').length"
    )
    assert len(kept) == total


def test_examples_are_walked_and_passages_opened_with_the_keyboard(browser: Browser) -> None:
    first, second = browser.run(VISIBLE)[:2]
    focused = "return document.activeElement.id"
    browser.press("j")
    assert browser.run(focused) == first
    browser.press("j")
    assert browser.run(focused) == second
    browser.press("k", "o")
    assert browser.run(focused) == first
    assert browser.run("return document.activeElement.querySelector('details').open")


def test_the_tab_key_reaches_the_skip_link_first(browser: Browser) -> None:
    browser.press("\ue004")
    assert browser.run("return document.activeElement.textContent") == "To the examples"


def contrast(browser: Browser, selector: str) -> float:
    """Returns the contrast (WCAG) of an element's text with the page."""
    return browser.run(
        "const lum = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(v => v / 255)"
        ".map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);"
        "return 0.2126 * r + 0.7152 * g + 0.0722 * b };"
        f"const t = lum(getComputedStyle(document.querySelector('{selector}')).color);"
        "const p = lum(getComputedStyle(document.body).backgroundColor);"
        "return (Math.max(t, p) + 0.05) / (Math.min(t, p) + 0.05)"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(browser: Browser, scheme: str) -> None:
    browser.emulate(prefers_color_scheme=scheme)
    background = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 24, 29)")
    for selector in ("h1", ".dim", "#metrics td", ".range"):
        assert contrast(browser, selector) >= 4.5


def test_in_print_the_tools_go_and_everything_else_stays(browser: Browser) -> None:
    browser.emulate(media="print")
    assert (
        browser.run("return getComputedStyle(document.querySelector('.tools')).display") == "none"
    )
    printed = browser.print_pdf()
    assert printed.startswith(b"%PDF")
    assert printed.count(b"/Type /Page\n") >= 2 or printed.count(b"/Type/Page") >= 2


def test_a_narrow_window_needs_no_sideways_scrolling(browser: Browser) -> None:
    browser.devtools(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True},
    )
    try:
        widths = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1] + 1
    finally:
        browser.devtools("Emulation.clearDeviceMetricsOverride", {})
