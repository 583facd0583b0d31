"""Progress: a bar on a terminal; elsewhere a line at the start, every few seconds, at the end."""

import contextlib
import logging
import os
import pty
import re
import subprocess
import sys

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


_ON_A_TERMINAL = """
import time
from doctune.progress import progress
with progress("Parsing PDFs", 40, "pages") as bar:
    for number in range(40):
        time.sleep(0.02)
        bar.advance(1, f"{number} of 40 files, 2 rejected")
"""


def test_a_terminal_shows_pages_rate_and_note() -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "140", "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-c", _ON_A_TERMINAL], stderr=theirs, env=environment
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal ends
        while chunk := os.read(ours, 4096):
            shown += chunk
    os.close(ours)

    assert process.wait(timeout=60) == 0
    text = shown.decode("utf-8", "replace")
    assert "Parsing PDFs" in text
    assert "40/40" in text
    assert re.search(r"\d+ pages/s", text)
    assert "2 rejected" in text
