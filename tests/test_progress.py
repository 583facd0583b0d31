"""Progress elsewhere than on a terminal: a line at the start, every few seconds, and at the end."""

import logging

import pytest

from doctune import progress as module
from doctune.progress import progress


def _lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_the_last_line_says_how_much_was_done(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "doctune.progress")

    with progress("Parsing PDFs", 4, "pages") as bar:
        bar.advance(3, note="one rejected")

    first, last = _lines(caplog)
    assert first == "[Parsing PDFs] 0/4 pages"
    assert last.startswith("[Parsing PDFs] 3/4 pages, ")
    assert last.endswith("| one rejected")


def test_no_line_is_said_twice(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "doctune.progress")
    monkeypatch.setattr(module, "LOG_INTERVAL_SECONDS", 0)

    with progress("Parsing PDFs", None, "pages") as bar:
        bar.set_total(2)
        bar.advance(2)

    assert [line.split(",")[0] for line in _lines(caplog)] == [
        "[Parsing PDFs] 0 pages",
        "[Parsing PDFs] 2/2 pages",
    ]
