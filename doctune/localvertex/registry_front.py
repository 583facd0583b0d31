"""Artifact Registry for pipelines, as far as `kfp.registry.RegistryClient` and templates need it.

A version is the SHA-256 of a spec. A repository exists once something is uploaded to it.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from doctune.files import atomic_path
from doctune.localvertex import names
from doctune.localvertex.api.codec import Document
from doctune.localvertex.api.errors import ApiError, Status, invalid, not_found
from doctune.localvertex.store import Transaction
from doctune.localvertex.vertex import Vertex

HOST = "artifactregistry.googleapis.com"
TEMPLATE_HOST = re.compile(r"(?P<location>[a-z0-9-]+)-kfp\.pkg\.dev")

VERSION = "KfpVersion"
TAG = "KfpTag"

_REPOSITORY = r"/(?P<project>[^/]+)/(?P<repository>[^/]+)"
_UPLOAD = re.compile(rf"{_REPOSITORY}/?")
_DOWNLOAD = re.compile(rf"{_REPOSITORY}/(?P<package>[^/]+)/(?P<version>[^/]+)")
_RESOURCE = re.compile(
    r"/v1/(?P<repository>projects/[^/]+/locations/[^/]+/repositories/[^/]+)/packages"
    r"(?:/(?P<package>[^/]+)(?:/(?P<collection>versions|tags)(?:/(?P<item>[^/]+))?)?)?"
)
_TAG_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")


@dataclass(frozen=True)
class _Request:
    """A request to Artifact Registry's own API."""

    method: str
    repository: str
    package: str
    collection: str
    item: str
    query: dict[str, str]
    body: Document


async def answer(vertex: Vertex, request: web.Request) -> web.Response:
    """Answers one request; errors have Google's shape."""
    try:
        host = request.host.partition(":")[0]
        if (match := TEMPLATE_HOST.fullmatch(host)) is not None:
            return await _template(vertex, request, match["location"])
        return web.json_response(_resource(vertex, await _parse(request)))
    except ApiError as error:
        return web.json_response(error.rest_body(), status=error.status.http_code)


async def _template(vertex: Vertex, request: web.Request, location: str) -> web.Response:
    if request.method == "POST" and (match := _UPLOAD.fullmatch(request.path)) is not None:
        repository = _repository(match["project"], location, match["repository"])
        return web.Response(text=_upload(vertex, repository, await _form(request)))
    if request.method == "GET" and (match := _DOWNLOAD.fullmatch(request.path)) is not None:
        package = f"{_repository(match['project'], location, match['repository'])}/packages"
        content = _download(vertex, f"{package}/{match['package']}", match["version"])
        return web.Response(body=content, content_type="application/yaml")
    raise ApiError(
        Status.NOT_FOUND, f"{request.method} {request.path} is not a method of this API."
    )


async def _form(request: web.Request) -> dict[str, Any]:
    form = await request.post()
    content = form.get("content")
    if not isinstance(content, web.FileField):
        raise invalid("the form has no file `content`.")
    tags = [tag for tag in str(form.get("tags", "")).split(",") if tag]
    return {"content": content.file.read(), "tags": tags}


def _upload(vertex: Vertex, repository: str, form: dict[str, Any]) -> str:
    content: bytes = form["content"]
    try:
        package = str(next(iter(yaml.safe_load_all(content)))["pipelineInfo"]["name"])
    except (yaml.YAMLError, KeyError, TypeError, StopIteration) as error:
        raise invalid(
            "the file is not a compiled pipeline: it has no pipelineInfo.name."
        ) from error
    version = f"sha256:{hashlib.sha256(content).hexdigest()}"
    with atomic_path(_file(vertex, version)) as temporary:
        temporary.write_bytes(content)
    parent = f"{repository}/packages/{package}"
    name = f"{parent}/versions/{version}"
    moment = names.timestamp()
    with vertex.store.transaction() as transaction:
        known = transaction.find(VERSION, name) or {"name": name, "createTime": moment}
        transaction.put(VERSION, name, {**known, "updateTime": moment})
        for tag in form["tags"]:
            _set_tag(transaction, parent, tag, name)
    return f"{package}/{version}"


def _download(vertex: Vertex, package: str, version: str) -> bytes:
    with vertex.store.transaction() as transaction:
        if not version.startswith("sha256:"):
            tagged = transaction.get(TAG, f"{package}/tags/{version}")
            version = names.identifier(tagged["version"])
        transaction.get(VERSION, f"{package}/versions/{version}")
    return _file(vertex, version).read_bytes()


def _resource(vertex: Vertex, request: _Request) -> Document:
    with vertex.store.transaction() as transaction:
        if not request.collection:
            return _packages(transaction, request)
        kind = VERSION if request.collection == "versions" else TAG
        parent = f"{request.repository}/packages/{request.package}"
        name = f"{parent}/{request.collection}/{request.item}"
        if request.method == "GET" and request.item:
            return transaction.get(kind, name)
        if request.method == "GET":
            found = transaction.list(kind, parent=parent)
            return {request.collection: found} if found else {}
        if request.method == "DELETE" and request.item:
            return _delete(transaction, kind, name)
        if kind == TAG and request.method in ("POST", "PATCH"):
            tag = request.item or request.query.get("tagId", "")
            if request.method == "POST" and transaction.find(TAG, f"{parent}/tags/{tag}"):
                raise ApiError(Status.ALREADY_EXISTS, f"the tag {tag} is there already.")
            return _set_tag(transaction, parent, tag, str(request.body.get("version", "")))
    raise ApiError(Status.UNIMPLEMENTED, f"{request.method} of {request.collection}")


def _packages(transaction: Transaction, request: _Request) -> Document:
    below = f"{request.repository}/packages/"
    newest: dict[str, Document] = {}
    for version in transaction.list(VERSION):
        package = version["name"].rpartition("/versions/")[0]
        if package.startswith(below):
            times = {key: version[key] for key in ("createTime", "updateTime")}
            newest.setdefault(package, {"name": package, **times})
    if not request.package:
        return {"packages": list(newest.values())} if newest else {}
    name = below + request.package
    if name not in newest:
        raise not_found("Package", name)
    if request.method == "DELETE":
        transaction.delete_below(name)
        return {"done": True}
    return newest[name]


def _delete(transaction: Transaction, kind: str, name: str) -> Document:
    if kind == VERSION:
        holders = [tag["name"] for tag in transaction.list(TAG) if tag["version"] == name]
        if holders:
            raise ApiError(
                Status.FAILED_PRECONDITION,
                f"{name} has the tags {', '.join(map(names.identifier, holders))}.",
            )
    transaction.delete(kind, name)
    return {"done": True} if kind == VERSION else {}


def _set_tag(transaction: Transaction, package: str, tag: str, version: str) -> Document:
    if not _TAG_NAME.fullmatch(tag):
        raise invalid(f"{tag!r} is not a tag: lower-case letters, digits and `-`.")
    transaction.get(VERSION, version)
    document = {"name": f"{package}/tags/{tag}", "version": version}
    transaction.put(TAG, document["name"], document)
    return document


async def _parse(request: web.Request) -> _Request:
    match = _RESOURCE.fullmatch(request.path)
    if match is None:
        raise ApiError(
            Status.UNIMPLEMENTED, f"{request.method} {request.path} is not implemented here."
        )
    try:
        body = json.loads(await request.read() or b"{}")
    except ValueError as error:
        raise invalid(f"Invalid JSON payload received. {error}") from error
    return _Request(
        method=request.method,
        repository=match["repository"],
        package=match["package"] or "",
        collection=match["collection"] or "",
        item=match["item"] or "",
        query=dict(request.query),
        body=body,
    )


def _repository(project: str, location: str, repository: str) -> str:
    return f"projects/{project}/locations/{location}/repositories/{repository}"


def _file(vertex: Vertex, version: str) -> Path:
    digest = version.removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise not_found("Version", version)
    return vertex.config.state_dir / "registry" / f"{digest}.yaml"
