"""A small serving program that honours Vertex's contract, and fails on request."""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ENVIRONMENT = {key: value for key, value in os.environ.items() if key.startswith("AIP_")}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self):
        self._send(200 if self.path == os.environ["AIP_HEALTH_ROUTE"] else 404, {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/own/"):
            said = {"path": self.path, "asked": body.decode(), "header": self.headers["X-Asked"]}
            self._send(202, said | {"deployed": ENVIRONMENT["AIP_DEPLOYED_MODEL_ID"]})
            return
        if self.path != os.environ["AIP_PREDICT_ROUTE"]:
            self._send(404, {"error": f"no route {self.path}"})
            return
        request = json.loads(body)
        for instance in request.get("instances", []):
            if instance == "die":
                os._exit(7)
            if instance == "refuse":
                self._send(422, {"detail": "this instance is refused"})
                return
            if instance == "slow":
                time.sleep(1)
        answers = [self.answer(instance) for instance in request.get("instances", [])]
        self._send(200, {"predictions": answers, "parameters": request.get("parameters")})

    def answer(self, instance):
        return {
            "echo": instance,
            "environment": ENVIRONMENT,
            "pid": os.getpid(),
            "args": sys.argv[1:],
        }

    def _send(self, status, document):
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    sys.stderr.write("serving program starts\n")
    if "--broken" in sys.argv or (
        os.environ.get("BROKEN_FILE") and Path(os.environ["BROKEN_FILE"]).exists()
    ):
        sys.exit("weights are missing: cannot serve")
    if "--never-healthy" in sys.argv:
        time.sleep(60)
    port = int(os.environ["AIP_HTTP_PORT"])
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
