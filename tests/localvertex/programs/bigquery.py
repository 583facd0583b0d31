"""Stands for a BigQuery emulator: answers with what it was asked, and notes its folders.

bigquery.py PORT FOLDER BUCKETS
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers every request with its method, path and body."""

    def do_POST(self) -> None:
        """Answers a POST."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = {
            "method": self.command,
            "path": self.path,
            "body": body.decode(),
            "arguments": sys.argv[2:],
        }
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
