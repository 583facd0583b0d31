"""A Gemini on this machine: the generateContent call of its REST wire, over real HTTP."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[str], str]


@dataclass
class FakeGemini:
    """What was asked, and what to fail with before answering."""

    address: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)


def parts_of(prompt: str) -> dict[str, str]:
    """Returns what stands between the tags of a prompt."""
    return {name: text.strip() for name, text in re.findall(r"<(\w+)>\n(.*?)\n</\1>", prompt, re.S)}


@contextmanager
def fake_gemini(answer: Answer) -> Iterator[FakeGemini]:
    """Yields a server that answers each prompt with the text that `answer` returns."""
    fake = FakeGemini()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fake.requests.append(body)
            fake.paths.append(self.path)
            if fake.failures:
                status = fake.failures.pop(0)
                error = {"code": status, "message": "not now", "status": "UNAVAILABLE"}
                self._send(status, {"error": error})
                return
            text = answer(body["contents"][0]["parts"][0]["text"])
            content = {"role": "model", "parts": [{"text": text}]}
            self._send(200, {"candidates": [{"content": content, "finishReason": "STOP"}]})

        def _send(self, status: int, value: dict[str, Any]) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Keeps quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    fake.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
