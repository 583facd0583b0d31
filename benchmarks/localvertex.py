"""What localvertex costs: start, memory, and the time it adds to a prediction.

    python benchmarks/localvertex.py [--predictions 500]

Prints one JSON object. The overhead of a prediction is the median of paired differences: each
request is sent to the serving program directly and through localvertex in turn, over connections
that are kept.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil
import requests

from doctune.localvertex import LocalVertex, LocalVertexConfig

_SERVER = """
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self):
        self._send({"port": os.environ["AIP_HTTP_PORT"]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        port = os.environ["AIP_HTTP_PORT"]
        self._send({"predictions": [{"port": port} for _ in body["instances"]]})

    def _send(self, document):
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["AIP_HTTP_PORT"])), Handler).serve_forever()
"""


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictions", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Path(folder, "server.py")
        server.write_text(_SERVER)
        config = LocalVertexConfig(
            state_dir=Path(folder, "state"), programs={"*/echo:*": ["{python}", str(server)]}
        )
        LocalVertex.attach_or_start(config).stop()  # fills the cache
        started = time.monotonic()
        with LocalVertex.attach_or_start(config) as local:
            requests.get(f"{local.endpoint}/localvertex/health", timeout=10).raise_for_status()
            result = {"warm_start_seconds": round(time.monotonic() - started, 3)}
            result["idle_mebibytes"] = _memory(local.status.pid)
            os.environ.update(local.environment)
            result |= _overheads(options.predictions)
    print(json.dumps(result, indent=2))


def _memory(pid: int) -> dict[str, float]:
    server = psutil.Process(pid)
    sizes = {"server": server.memory_info().rss / 2**20}
    children = server.children(recursive=True)
    sizes["storage and watchdog"] = sum(child.memory_info().rss for child in children) / 2**20
    sizes["all"] = sum(sizes.values())
    return {name: round(size, 1) for name, size in sizes.items()}


def _overheads(count: int) -> dict[str, float]:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform
    from google.protobuf import json_format, struct_pb2

    aiplatform.init(
        project="local-project", location="us-central1", credentials=AnonymousCredentials()
    )
    model = aiplatform.Model.upload(
        display_name="echo",
        serving_container_image_uri="images/echo:1",
        serving_container_predict_route="/predict",
        serving_container_health_route="/health",
    )
    endpoint = model.deploy(machine_type="n1-standard-4")
    port = endpoint.predict(instances=[1]).predictions[0]["port"]
    body = {"instances": [{"prompt": "What does the warranty cover?"}]}
    session = requests.Session()
    session.trust_env = False
    host = os.environ["GCE_METADATA_HOST"]
    over_rest = f"http://{host}/v1/{endpoint.resource_name}:predict"
    values = [json_format.ParseDict(body["instances"][0], struct_pb2.Value())]
    client = endpoint._prediction_client
    calls = {
        "direct": lambda: session.post(f"http://127.0.0.1:{port}/predict", json=body).json(),
        "rest": lambda: session.post(over_rest, json=body).json(),
        "grpc": lambda: client.predict(endpoint=endpoint.resource_name, instances=values),
    }
    times = _interleaved(calls, count)
    return {
        "direct_milliseconds": round(statistics.median(times["direct"]), 3),
        **{
            f"{name}_overhead_milliseconds": round(
                statistics.median(
                    through - direct
                    for through, direct in zip(times[name], times["direct"], strict=True)
                ),
                3,
            )
            for name in ("rest", "grpc")
        },
    }


def _interleaved(calls: dict[str, object], count: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(count):
        for name, call in calls.items():
            started = time.perf_counter()
            call()  # type: ignore[operator]
            times[name].append(1000 * (time.perf_counter() - started))
    return times


if __name__ == "__main__":
    sys.exit(main())
