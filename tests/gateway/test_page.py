"""The chat page in a real browser: sign in, ask, stop, rate, correct, go on after a reload."""

import time
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from doctune.database.tables import Feedback
from tests.evaluation.browser import Browser, browser_is_installed, open_browser
from tests.gateway.conftest import Gateway
from tests.gateway.upstream import WORDS, FakeUpstream

pytestmark = pytest.mark.skipif(not browser_is_installed(), reason="no Chromium is installed")

TEXT = "".join(WORDS)
WAIT_SECONDS = 20


@pytest.fixture
def browser(fronted: Gateway) -> Iterator[Browser]:
    with open_browser() as opened:
        opened.send("POST", "/url", {"url": f"{fronted.url}/"})
        yield opened


def until(browser: Browser, condition: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not browser.run(f"return Boolean({condition})"):
        if time.monotonic() > deadline:
            page = browser.run("return document.body.innerText")
            pytest.fail(f"waited for {condition}; the page says: {page}")
        time.sleep(0.05)


def type_text(browser: Browser, text: str) -> None:
    browser.press(*text)


def sign_in_to(browser: Browser, key: str) -> None:
    until(browser, "document.querySelector('#sign-in').open")
    browser.run("document.querySelector('#key').focus()")
    type_text(browser, key)
    browser.press("\ue007")
    until(browser, "!document.querySelector('#sign-in').open")


def sign_in(browser: Browser, key: str) -> None:
    sign_in_to(browser, key)
    until(browser, "document.activeElement.id === 'question'")


def ask(browser: Browser, question: str) -> None:
    browser.run("document.querySelector('#question').focus()")
    type_text(browser, question)
    browser.press("\ue007")


def last_answer(browser: Browser) -> str:
    return str(
        browser.run("return [...document.querySelectorAll('li.assistant .text')].at(-1).innerText")
    )


def severe(browser: Browser) -> list[str]:
    return [entry["message"] for entry in browser.log() if entry["level"] == "SEVERE"]


def test_a_question_is_answered_rated_and_corrected_by_keyboard(
    browser: Browser, fronted: Gateway
) -> None:
    sign_in(browser, fronted.key)
    ask(browser, "What has a seal?")
    until(browser, "document.querySelector('li.assistant .actions')")
    assert last_answer(browser) == TEXT
    browser.run("document.querySelector('button[aria-label=Wrong]').focus()")
    browser.press("\ue00d")
    until(browser, "document.querySelector('.actions textarea')")
    browser.run("document.querySelector('.actions textarea').focus()")
    type_text(browser, "the valve")
    browser.run("document.querySelector('.actions form button').click()")
    until(browser, "document.body.innerText.includes('the correction is kept')")
    with Session(fronted.engine) as session:
        kept = {row.kind: row.value for row in session.scalars(select(Feedback))}
    assert kept == {"rating": {"rating": "down"}, "correction": {"correction": "the valve"}}
    assert severe(browser) == []


def test_an_answer_can_be_stopped_and_the_next_one_asked(
    browser: Browser, fronted: Gateway, faulty: FakeUpstream
) -> None:
    sign_in(browser, fronted.key)
    faulty.mode = "endless"
    ask(browser, "Go on")
    until(browser, "document.querySelector('li.assistant')?.innerText.includes('and and')")
    browser.run("document.querySelector('#stop').click()")
    until(browser, "document.querySelector('#stop').hidden")
    deadline = time.monotonic() + WAIT_SECONDS
    while faulty.open_streams and time.monotonic() < deadline:
        time.sleep(0.05)
    assert faulty.open_streams == 0
    faulty.mode = "ok"
    ask(browser, "And now?")
    until(browser, "document.querySelectorAll('li.assistant .actions').length === 2")
    assert last_answer(browser) == TEXT


def test_conversations_are_there_after_a_reload(browser: Browser, fronted: Gateway) -> None:
    sign_in(browser, fronted.key)
    ask(browser, "What has a seal?")
    until(browser, "document.querySelector('li.assistant .actions')")
    browser.run("location.reload()")
    until(browser, "document.querySelector('li.assistant .actions')")
    assert last_answer(browser) == TEXT
    browser.run("document.querySelector('#new').click()")
    until(browser, "!document.querySelector('li.assistant')")
    browser.run("document.querySelector('#list button').click()")
    until(browser, "document.querySelector('li.assistant')")


def test_what_a_model_says_becomes_text_and_never_markup(
    browser: Browser, fronted: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = ["<img src=x onerror=alert(1)> ", "**bold** ", "[x](javascript:alert(1)) ", "`<b>`"]
    monkeypatch.setattr("tests.gateway.upstream.WORDS", hostile)
    sign_in(browser, fronted.key)
    ask(browser, "?")
    until(browser, "document.querySelector('li.assistant .actions')")
    assert browser.run("return document.querySelectorAll('li.assistant img, a').length") == 0
    assert browser.run("return document.querySelector('li.assistant strong').innerText") == "bold"
    assert "<img src=x" in last_answer(browser)


def test_a_wrong_key_and_a_fault_are_said(
    browser: Browser, fronted: Gateway, faulty: FakeUpstream, spare: FakeUpstream
) -> None:
    until(browser, "document.querySelector('#sign-in').open")
    browser.run("document.querySelector('#key').focus()")
    type_text(browser, "nonsense")
    browser.press("\ue007")
    until(browser, "document.querySelector('#sign-in-problem').innerText.includes('not valid')")
    browser.run("document.querySelector('#key').value = ''")
    sign_in(browser, fronted.key)
    faulty.mode = spare.mode = "error"
    ask(browser, "?")
    until(browser, "document.querySelector('li.problem')?.innerText.includes('Try again')")


def test_it_fits_a_phone_and_the_dark(browser: Browser, fronted: Gateway) -> None:
    sign_in(browser, fronted.key)
    browser.devtools(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 640, "deviceScaleFactor": 1, "mobile": True},
    )
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    light = browser.run("return getComputedStyle(document.body).backgroundColor")
    browser.emulate(prefers_color_scheme="dark")
    assert browser.run("return getComputedStyle(document.body).backgroundColor") != light


def test_the_page_takes_nothing_from_elsewhere_and_no_inline_script(fronted: Gateway) -> None:
    answer = httpx.get(f"{fronted.url}/", timeout=20)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in answer.text.replace("<!doctype html>", "")
