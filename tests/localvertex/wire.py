"""REST requests as curl would send them."""

import time

import requests

SESSION = requests.Session()
SESSION.trust_env = False


def ask(local, path, body=None, method=None):
    """Returns the status and the JSON of an answer; `body` is JSON text or a document."""
    method = method or ("GET" if body is None else "POST")
    payload = {"data": body} if isinstance(body, str) else {"json": body}
    answer = SESSION.request(method, f"{local.endpoint}{path}", timeout=30, **payload)
    return answer.status_code, answer.json()


def call(local, name, body=None, method=None):
    """Returns the JSON of an answer under /v1 that must be a success."""
    status, answer = ask(local, f"/v1/{name}", body, method)
    assert status == 200, answer
    return answer


def finished(local, operation, seconds=20):
    """Waits for an operation and returns it."""
    return wait_for(
        lambda: (found := call(local, operation["name"])).get("done") and found, seconds
    )


def wait_for(condition, seconds=20):
    """Returns the first true value of `condition`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return value
