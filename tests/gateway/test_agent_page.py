"""The chat page with an agent, in a real browser: an answer's source opens its page."""

from collections.abc import Iterator

import pytest

from doctune.localvertex.ports import free_port
from tests.agent.corpus import Corpus
from tests.evaluation.browser import browser_is_installed, open_browser
from tests.gateway.conftest import Gateway, start_gateway, stop_gateway
from tests.gateway.test_page import ask, severe, sign_in, until

pytestmark = pytest.mark.skipif(not browser_is_installed(), reason="no Chromium is installed")

_FRAMED = """
const picture = document.querySelector('#page-picture');
const canvas = document.createElement('canvas');
canvas.width = picture.naturalWidth; canvas.height = picture.naturalHeight;
const drawing = canvas.getContext('2d');
drawing.drawImage(picture, 0, 0);
const pixels = drawing.getImageData(0, 0, canvas.width, canvas.height).data;
let count = 0;
for (let i = 0; i < pixels.length; i += 4) {
  if (pixels[i] === 214 && pixels[i + 1] === 118 && pixels[i + 2] === 0) count++;
}
return count;
"""


@pytest.fixture
def front(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    dead = f"http://127.0.0.1:{free_port()}/v1#tuned"
    agent = {"index": str(corpus.index), "pdfs": str(corpus.pdfs)}
    options = {
        "models": {"unused": {"upstreams": [dead]}},
        "agents": {"handbook-agent": agent},
    }
    started = start_gateway(tmp_path_factory.mktemp("agent-page"), options)
    try:
        # The encoder is loaded by then, so that the page waits for an answer alone.
        started.chat(model="handbook-agent")
        yield started
    finally:
        stop_gateway(started)


def test_a_source_opens_the_page_with_the_box_drawn_and_is_there_after_a_reload(
    front: Gateway,
) -> None:
    with open_browser() as browser:
        browser.send("POST", "/url", {"url": f"{front.url}/"})
        sign_in(browser, front.key)
        browser.run("document.querySelector('#model').value = 'handbook-agent'")
        ask(browser, "How often is the filter of the Arlo 3 rinsed?")
        until(browser, "document.querySelector('li.assistant .sources button')")
        assert "14 days" in browser.run("return document.querySelector('#messages').innerText")
        browser.run("location.reload()")
        until(browser, "document.querySelector('li.assistant .sources button')")
        shown = browser.run("return document.querySelector('.sources button').innerText")
        assert shown.startswith("[1] arlo-3-manual.pdf, page 1")
        browser.run("document.querySelector('.sources button').click()")
        until(browser, "document.querySelector('#page-picture').naturalWidth > 500")
        assert browser.run(_FRAMED) > 500
        browser.run("document.querySelector('#page-close').click()")
        assert browser.run("return document.querySelector('#page').open") is False
        assert severe(browser) == []
