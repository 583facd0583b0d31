"""A Gemini on this machine: the generateContent call of its REST wire, over real HTTP.

Both APIs of google-genai are served, Gemini's own and Vertex AI's, and the token endpoint that
credentials for the second ask first.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = Callable[[str], str]

TOKEN_PATH, TOKEN = "/token", "a-token-of-this-test"


@dataclass
class FakeGemini:
    """What was asked, and what to fail with before answering."""

    address: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)


def write_credentials(path: Path, address: str) -> Path:
    """Writes a service account's key, made for the occasion, whose tokens come from `address`."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {
        "type": "service_account",
        "project_id": "judging",
        "private_key": pem.decode(),
        "client_email": "judge@judging.example.com",
        "token_uri": address + TOKEN_PATH,
    }
    path.write_text(json.dumps(account))
    return path


def parts_of(prompt: str) -> dict[str, str]:
    """Returns what stands between the tags of a prompt."""
    return {name: text.strip() for name, text in re.findall(r"<(\w+)>\n(.*?)\n</\1>", prompt, re.S)}


@contextmanager
def fake_gemini(answer: Answer) -> Iterator[FakeGemini]:
    """Yields a server that answers each prompt with the text that `answer` returns."""
    fake = FakeGemini()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == TOKEN_PATH:
                token = {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}
                self._send(200, token)
                return
            body = json.loads(data)
            fake.requests.append(body)
            fake.paths.append(self.path)
            fake.headers.append({name.lower(): value for name, value in self.headers.items()})
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
        thread.join(30)
