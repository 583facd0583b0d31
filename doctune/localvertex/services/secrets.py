"""Secret Manager: secrets, their versions, and access to what a version holds.

Payloads are stored unencrypted in the state database: use it only for secrets of development.
"""

import base64
import re

from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status, invalid, not_found, precondition
from doctune.localvertex.dispatch import Call, handles
from doctune.localvertex.services import resources

KIND = "Secret"
VERSION_KIND = "SecretVersion"

_SECRET_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_MAX_PAYLOAD_BYTES = 64 << 10
_LATEST = "latest"


@handles("SecretManagerService.CreateSecret")
def create_secret(call: Call, request: Document) -> Document:
    """Creates a secret, which holds nothing yet."""
    identifier = request.get("secret_id", "")
    if not _SECRET_ID.fullmatch(identifier):
        raise invalid(f"secret_id {identifier!r} must be letters, digits, _ and -, at most 255.")
    given = request.get("secret", {})
    if "replication" not in given:
        raise invalid("secret.replication is required.")
    name = f"{request['parent']}/secrets/{identifier}"
    if call.transaction.find(KIND, name) is not None:
        raise ApiError(Status.ALREADY_EXISTS, f"Secret [{name}] already exists.")
    secret = resources.stamp(given, call.type(KIND)) | {"name": name}
    call.transaction.put(KIND, name, secret)
    return secret


@handles("SecretManagerService.GetSecret")
def get_secret(call: Call, request: Document) -> Document:
    """Returns a secret, without what it holds."""
    return call.transaction.get(KIND, request["name"])


@handles("SecretManagerService.ListSecrets")
def list_secrets(call: Call, request: Document) -> Document:
    """Lists a project's secrets."""
    found = call.transaction.list(KIND, request["parent"])
    return resources.list_response(call, request, "secrets", KIND, found)


@handles("SecretManagerService.DeleteSecret")
def delete_secret(call: Call, request: Document) -> Document:
    """Deletes a secret with its versions."""
    call.transaction.get(KIND, request["name"])
    call.transaction.delete_below(request["name"])
    call.transaction.delete(KIND, request["name"])
    return {}


@handles("SecretManagerService.AddSecretVersion")
def add_secret_version(call: Call, request: Document) -> Document:
    """Adds a version, which is the latest from now on."""
    parent = request["parent"]
    call.transaction.get(KIND, parent)
    payload = request.get("payload", {}).get("data", "")
    if not 0 < len(base64.b64decode(payload)) <= _MAX_PAYLOAD_BYTES:
        raise invalid("payload.data must hold 1 to 65,536 bytes.")
    number = len(call.transaction.list(VERSION_KIND, parent)) + 1
    version = {
        "name": f"{parent}/versions/{number}",
        "create_time": names.timestamp(),
        "state": "ENABLED",
        "etag": resources.etag(),
        "payload": payload,
    }
    call.transaction.put(VERSION_KIND, version["name"], version)
    return _shown(version)


@handles("SecretManagerService.GetSecretVersion")
def get_secret_version(call: Call, request: Document) -> Document:
    """Returns a version, without what it holds."""
    return _shown(_version(call, request["name"]))


@handles("SecretManagerService.ListSecretVersions")
def list_secret_versions(call: Call, request: Document) -> Document:
    """Lists the versions of a secret, the latest first."""
    call.transaction.get(KIND, request["parent"])
    found = call.transaction.list(VERSION_KIND, request["parent"])
    return resources.list_response(call, request, "versions", VERSION_KIND, found, shape=_shown)


@handles("SecretManagerService.DisableSecretVersion")
def disable_secret_version(call: Call, request: Document) -> Document:
    """Keeps a version from being accessed."""
    return _turn(call, request["name"], "DISABLED")


@handles("SecretManagerService.EnableSecretVersion")
def enable_secret_version(call: Call, request: Document) -> Document:
    """Lets a version be accessed again."""
    return _turn(call, request["name"], "ENABLED")


@handles("SecretManagerService.AccessSecretVersion")
def access_secret_version(call: Call, request: Document) -> Document:
    """Returns what a version holds."""
    version = _version(call, request["name"])
    if version["state"] != "ENABLED":
        raise precondition(f"Secret Version [{version['name']}] is in {version['state']} state.")
    return {"name": version["name"], "payload": {"data": version["payload"]}}


def _turn(call: Call, name: str, state: str) -> Document:
    version = _version(call, name) | {"state": state, "etag": resources.etag()}
    call.transaction.put(VERSION_KIND, version["name"], version)
    return _shown(version)


def _version(call: Call, name: str) -> Document:
    secret, _, number = name.rpartition("/versions/")
    if number != _LATEST:
        return call.transaction.get(VERSION_KIND, name)
    call.transaction.get(KIND, secret)
    versions = call.transaction.list(VERSION_KIND, secret)
    if not versions:
        raise not_found(VERSION_KIND, name)
    return versions[0]


def _shown(version: Document) -> Document:
    return {key: value for key, value in version.items() if key != "payload"}
