"""Releases versions in processes that can be killed after any change they make.

Reads one JSON object a line: {"id", "version", "endpoint", "kill_after", ...}. Each is carried out
in a child of its own, which sends itself SIGKILL once Vertex AI has answered that many requests
that change something. Writes one line a child when it ends: {"id", "killed", "error"}.
"""

import json
import os
import signal
import sys
import threading

import requests
from google.api_core.future.polling import DEFAULT_POLLING

from doctune.errors import DoctuneError
from doctune.vertex import deploy_model, init_session, locks, release_steps, smoke_test

QUESTION = [{"prompt": "What does the pump have?"}]


def kill_after(changes: int) -> None:
    """Makes this process kill itself when so many of its changes have been answered."""
    left = changes
    send = requests.Session.request

    def request(self, method, url, *arguments, **options):
        nonlocal left
        answer = send(self, method, url, *arguments, **options)
        if method.upper() != "GET" and not url.split("?")[0].endswith((":predict", "/token")):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return answer

    requests.Session.request = request


def release(order: dict) -> str:
    smoke_test._FIRST_PAUSE_SECONDS = 0.05
    smoke_test._LEAST_SECONDS = 1.0
    locks._CLOCK_SKEW_SECONDS = 0.2
    if order.get("lease_seconds"):
        # Every lock of this process is soon over, whatever it does.
        lease = order["lease_seconds"]
        release_steps.STEP_SECONDS = lease
        release_steps.LONGEST_SECONDS = release_steps.DEPLOY_SECONDS = lease
        release_steps.UNDEPLOY_SECONDS = lease
        release_steps.MARGIN_SECONDS = 0.0
    if order.get("kill_after"):
        kill_after(order["kill_after"])
    try:
        deploy_model(
            order["version"],
            endpoint_name=order["endpoint"],
            smoke_instances=QUESTION,
            traffic_percentage=50,
            judged_against=order.get("judged_against"),
            owner=order.get("owner", ""),
            wait_seconds=60.0,
        )
    except DoctuneError as error:
        return str(error)
    return ""


def fork(order: dict) -> tuple[int, int]:
    """Starts a child; returns its pid and the pipe that it writes its error to."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.dup2(2, 1)  # where the SDK says what it creates
        os.write(write, release(order).encode())
        os._exit(0)
    os.close(write)
    return child, read


def report(order: dict, child: int, pipe: int, output: threading.Lock) -> None:
    with os.fdopen(pipe, encoding="utf-8") as lines:
        error = lines.read()
    killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    with output:
        sys.stdout.write(json.dumps({"id": order["id"], "killed": killed, "error": error}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    # Once, for all children.
    DEFAULT_POLLING._initial = 0.1  # seconds: a deployment takes less here
    init_session(sys.argv[1], "us-central1", "gs://doctune-test-staging")
    shared = threading.Lock()
    for line in sys.stdin:
        given = json.loads(line)
        threading.Thread(target=report, args=(given, *fork(given), shared)).start()
