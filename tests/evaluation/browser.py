"""A headless Chromium, driven over WebDriver by chromedriver; both from PATH."""

import base64
import json
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from doctune.processes import start_process, stop_process

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_START_SECONDS = 30


def browser_is_installed() -> bool:
    """Says whether Chromium and its driver are on PATH."""
    return bool(shutil.which("chromedriver") and _chromium())


def _chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


class Browser:
    """One window."""

    def __init__(self, address: str, session: str) -> None:
        self._root = f"{address}/session/{session}"

    def open(self, page: Path) -> None:
        """Opens a file."""
        self.send("POST", "/url", {"url": page.as_uri()})

    def run(self, script: str) -> Any:
        """Runs a function body in the page and returns its value."""
        return self.send("POST", "/execute/sync", {"script": script, "args": []})

    def press(self, *keys: str) -> None:
        """Presses and releases keys, one after the other, wherever the focus is."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        source = {"type": "key", "id": "keyboard", "actions": actions}
        self.send("POST", "/actions", {"actions": [source]})

    def emulate(self, **features: str) -> None:
        """Sets media features, such as prefers_color_scheme="dark", or media="print"."""
        media = features.pop("media", "")
        parts = [
            {"name": name.replace("_", "-"), "value": value} for name, value in features.items()
        ]
        self.devtools("Emulation.setEmulatedMedia", {"media": media, "features": parts})

    def devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        """Sends a command of the DevTools protocol."""
        body = {"cmd": command, "params": parameters}
        return self.send("POST", "/goog/cdp/execute", body)

    def log(self) -> list[dict[str, Any]]:
        """Returns what the page wrote to the console since the last call."""
        return self.send("POST", "/se/log", {"type": "browser"})

    def screenshot(self) -> bytes:
        """Returns a PNG of the window."""
        return base64.b64decode(self.send("GET", "/screenshot"))

    def print_pdf(self) -> bytes:
        """Returns the page as a PDF."""
        return base64.b64decode(self.send("POST", "/print", {}))

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Sends a WebDriver command."""
        return _request(method, self._root + path, body)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Yields a headless window of 1200 by 900 pixels."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    driver = start_process([shutil.which("chromedriver") or "", f"--port={port}"], stdout=-3)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(address)
        options = {
            "binary": _chromium(),
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"],
        }
        capabilities = {
            "alwaysMatch": {
                "browserName": "chrome",
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL"},
            }
        }
        session = _request("POST", f"{address}/session", {"capabilities": capabilities})
        browser = Browser(address, session["sessionId"])
        try:
            yield browser
        finally:
            browser.send("DELETE", "")
    finally:
        stop_process(driver.pid)
        driver.wait(timeout=60)


def _wait_until_ready(address: str) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            if _request("GET", f"{address}/status")["ready"]:
                return
        except ConnectionError:
            if time.monotonic() > end:
                raise
        time.sleep(0.1)


def _request(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=60)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, parts.path, data, {"Content-Type": "application/json"})
        response = connection.getresponse()
        value = json.load(response)["value"]
        if response.status >= 400:
            raise RuntimeError(value["message"])
        return value
    finally:
        connection.close()
