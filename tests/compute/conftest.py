"""Settings and prices of the project's own files, and Google's quota service on this machine."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud.cloudquotas_v1 import CloudQuotasClient
from google.cloud.cloudquotas_v1.services.cloud_quotas.transports import CloudQuotasRestTransport

from doctune.compute.prices import PriceTable, load_prices

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture(scope="session")
def prices() -> PriceTable:
    return load_prices(CONFIG)


@pytest.fixture
def compiled_resources(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Compiles train-and-deploy with variables of the environment; what each step asks for."""

    def compile_with(**variables: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "compile.py", "--out", str(tmp_path)],
            cwd=CONFIG.parent,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        spec = next(yaml.safe_load_all((tmp_path / "pipelines/train_and_deploy.yaml").read_text()))
        return {
            name.removeprefix("exec-"): executor["container"]["resources"]
            for name, executor in spec["deploymentSpec"]["executors"].items()
            if "container" in executor
        }

    return compile_with


@pytest.fixture
def quota_service() -> Iterator[Callable[..., CloudQuotasClient]]:
    """Google's own client on a server that lists the given quotas, one a page."""
    servers = []

    def serve(quotas: list[dict[str, Any]], status: int = 200) -> CloudQuotasClient:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = int(self.path.partition("pageToken=")[2].partition("&")[0] or 0)
                body: dict[str, Any] = {"quotaInfos": quotas[page : page + 1]}
                if page + 1 < len(quotas):
                    body["nextPageToken"] = str(page + 1)
                if status != 200:
                    body = {"error": {"code": status, "message": "Permission denied on quotas"}}
                paths.append(self.path)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        transport = CloudQuotasRestTransport(
            host=f"127.0.0.1:{server.server_port}",
            url_scheme="http",
            credentials=AnonymousCredentials(),
        )
        client = CloudQuotasClient(transport=transport)
        client.paths = paths
        return client

    paths: list[str] = []
    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
