"""Stands in for the model server where a test is about traffic: starts in no time, fails on demand.

model_server.py [--fail] [--fail-where] [--empty] [--exit]

With --fail-where it fails once its first question names a file that is there.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self._send(200, {"status": "ready"})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "messages" in body:
            self._chat()
            return
        flag = body["instances"][0].get("prompt", "")
        if "--fail" in sys.argv or ("--fail-where" in sys.argv and Path(flag).exists()):
            self._send(500, {"error": "this server always fails"})
            return
        text = "" if "--empty" in sys.argv else f"version {os.environ['AIP_VERSION_NAME']}"
        answers = [{"text": text, "prompt_tokens": 3} for _ in body["instances"]]
        self._send(200, {"predictions": answers})

    def _chat(self):
        message = {"role": "assistant", "content": f"version {os.environ['AIP_VERSION_NAME']}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        self._send(200, {"object": "chat.completion", "choices": [choice], "usage": usage})

    def _send(self, status, document):
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    if "--exit" in sys.argv:
        sys.exit("the weights are missing")
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["AIP_HTTP_PORT"])), Handler).serve_forever()
