"""REST requests as curl would send them."""

import requests

from tests.waiting import wait_for

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
    name = operation["name"]
    return wait_for(
        lambda: (found := call(local, name)).get("done") and found, seconds, f"{name} to be done"
    )
