"""The review page in a real browser, by keyboard alone."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from doctune.database.tables import ReviewEvent, ReviewItem
from tests.database.rows import write_prediction
from tests.evaluation.browser import Browser, browser_is_installed, open_browser
from tests.gateway.conftest import Gateway
from tests.gateway.test_page import severe, sign_in_to, type_text, until

pytestmark = pytest.mark.skipif(not browser_is_installed(), reason="no Chromium is installed")

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def asked(fronted: Gateway) -> list[str]:
    """Three wrong answers, of which two are to the same question."""
    questions = ("How deep is the sill?", "Please, how deep is the sill?", f"What is {HOSTILE}?")
    predictions = [
        write_prediction(fronted.engine, question, HOSTILE, owner="tests") for question in questions
    ]
    for prediction in predictions:
        said = {"prediction_id": prediction, "kind": "correction", "correction": "140 mm"}
        assert fronted.post("/v1/feedback", said).status_code == 201
    return predictions


@pytest.fixture
def browser(fronted: Gateway, asked: list[str]) -> Iterator[Browser]:
    with open_browser() as opened:
        opened.send("POST", "/url", {"url": f"{fronted.url}/review"})
        sign_in_to(opened, fronted.new_key("eva", owner="tests", scopes=("review", "chat")))
        until(opened, "document.querySelectorAll('#queue li').length === 3")
        yield opened


def test_items_are_edited_merged_and_rejected_by_keyboard(
    browser: Browser, fronted: Gateway, asked: list[str]
) -> None:
    for keys, left in (("e", 2), ("m", 1), ("r", 0)):
        browser.run("document.activeElement.blur()")
        browser.press("\ue007")
        until(browser, "!document.querySelector('#item').hidden")
        if keys == "e":
            browser.press("e")
            until(browser, "document.activeElement.id === 'correct'")
            type_text(browser, " deep")
            browser.run("document.querySelector('[data-action=edit]').focus()")
            browser.press("\ue007")
        elif keys == "m" and left:
            _merge_or_reject(browser)
        else:
            browser.press("r")
        until(browser, f"document.querySelectorAll('#queue li').length === {left}")
        until(browser, "document.querySelector('#item').hidden")
    with Session(fronted.engine) as session:
        items = {item.prediction_id: item for item in session.scalars(select(ReviewItem))}
        acts = [event.reviewer for event in session.scalars(select(ReviewEvent))]
    assert sorted(items[name].state for name in asked)[0] == "edited"
    assert "140 mm deep" in {item.answer for item in items.values()}
    assert set(acts) == {"eva"}
    assert len(acts) == 6
    assert severe(browser) == []


def _merge_or_reject(browser: Browser) -> None:
    """Merges where a like question waits; else there is nothing to merge with, and it says so."""
    browser.press("m")
    until(
        browser,
        "document.querySelector('#item').hidden || "
        "document.querySelector('#status').innerText.includes('No other question')",
    )
    if not browser.run("return document.querySelector('#item').hidden"):
        browser.press("r")


def test_what_users_and_models_wrote_is_text_and_never_markup(browser: Browser) -> None:
    assert browser.run("return document.querySelectorAll('#queue img').length") == 0
    browser.run("document.activeElement.blur()")
    browser.press("\ue007")
    until(browser, "!document.querySelector('#item').hidden")
    assert HOSTILE in browser.run("return document.querySelector('#answer').innerText")
    assert browser.run("return document.querySelectorAll('#item p img, #item li img').length") == 0


def test_two_reviewers_are_never_on_one_item_and_a_key_without_the_scope_is_refused(
    fronted: Gateway, asked: list[str]
) -> None:
    eva, max_ = (
        fronted.new_key(name, owner="tests", scopes=("review",)) for name in ("eva2", "max")
    )
    assert fronted.post(f"/v1/review/items/{asked[0]}/claim", {}, eva).status_code == 200
    assert fronted.post(f"/v1/review/items/{asked[0]}/claim", {}, max_).status_code == 409
    queue = fronted.get("/v1/review/queue", max_).json()["data"]
    assert asked[0] not in [item["id"] for item in queue]
    decision = {"action": "accept", "answer": "140 mm"}
    path = f"/v1/review/items/{asked[0]}/decision"
    assert fronted.post(path, decision, max_).status_code == 409
    assert fronted.post(path, {"action": "accept"}, eva).status_code == 400
    assert fronted.post(path, decision, eva).json()["state"] == "accepted"
    assert fronted.get("/v1/review/queue").status_code == 403
