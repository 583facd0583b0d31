"""A proxy in front of fake-gcs-server that adds missing features of Cloud Storage.

Requests and answers are streamed through, except for these:

- the project number of buckets, which the SDK compares with the project's own: that of the project
  that a bucket was made in, the configured one's for others;
- IAM policies of buckets, and tests of permissions (everything is allowed);
- files that programs have written into a mounted bucket are objects as soon as they are asked for;
- preconditions on generations where fake-gcs-server ignores them: resumable uploads, downloads,
  deletions. A resumable upload is checked when it begins.
"""

import asyncio
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import aiohttp
from aiohttp import web

from doctune.localvertex.api.codec import Document
from doctune.localvertex.forwarding import body_of, pass_on
from doctune.localvertex.mount import adopt, adopt_below
from doctune.localvertex.names import ProjectNumbers
from doctune.localvertex.services.resources import etag
from doctune.localvertex.store import Store

POLICY = "BucketPolicy"
_OWNER = "BucketOwner"

_BUCKET = re.compile(r"/storage/v1/b(?:/(?P<bucket>[^/]+))?/?")
_IAM = re.compile(r"/storage/v1/b/(?P<bucket>[^/]+)/iam(?P<test>/testPermissions)?")
_OBJECT = re.compile(r"(?:/download)?/storage/v1/b/(?P<bucket>[^/]+)/o/(?P<object>[^/]+)")
_OBJECTS = re.compile(r"/storage/v1/b/(?P<bucket>[^/]+)/o/?")
_UPLOAD = re.compile(r"(?:/resumable)?/upload/storage/v1/b/(?P<bucket>[^/]+)/o/?")
# The XML API's, as in https://storage.googleapis.com/BUCKET/OBJECT.
_PLAIN_OBJECT = re.compile(
    r"/(?!(?:storage|upload|resumable|download|batch)/)(?P<bucket>[^/]+)/(?P<object>.+)"
)
# Uploads with the object's metadata as JSON in the first part or the whole body.
_NAMED_IN_BODY = ("multipart", "resumable")
_NAME = re.compile(rb'"name"\s*:\s*(?P<name>"(?:[^"\\]|\\.)*")')


class StorageFront:
    """The request handler."""

    def __init__(
        self,
        url: str,
        folder: Path,
        store: Store,
        projects: ProjectNumbers,
        client: aiohttp.ClientSession,
    ) -> None:
        """
        Args:
            url: Where fake-gcs-server answers.
            folder: Where it keeps a folder for each bucket.
            client: A session that does not decompress what it passes on.
        """
        self._url, self._folder, self._store = url, folder, store
        self._projects, self._client = projects, client

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answers one request."""
        if (match := _IAM.fullmatch(request.path)) is not None:
            return await self._iam(request, match["bucket"], testing=match["test"] is not None)
        kind = request.query.get("uploadType", "")
        if _leaves_its_bucket(request, await _name_in_body(request, kind)):
            return _invalid_name()
        await self._adopt_files(request)
        if (refusal := await self._refused_by_precondition(request)) is not None:
            return refusal
        if _BUCKET.fullmatch(request.path) is not None:
            return await self._bucket(request)
        if request.method == "POST" and kind in _NAMED_IN_BODY:
            return await self._pass_on(request, await request.read())
        return await self._pass_on(request, body_of(request))

    async def _adopt_files(self, request: web.Request) -> None:
        """Registers files that a program wrote to the mounted bucket, if a request needs them."""
        path = request.raw_path.partition("?")[0]
        if match := _OBJECT.match(path) or _PLAIN_OBJECT.fullmatch(path):
            file = self._folder / unquote(match["bucket"]) / unquote(match["object"])
            await asyncio.to_thread(adopt, file)
        elif (match := _OBJECTS.fullmatch(path)) and request.method == "GET":
            folder = self._folder / unquote(match["bucket"])
            await asyncio.to_thread(adopt_below, folder, request.query.get("prefix", ""))

    async def _pass_on(
        self, request: web.Request, body: bytes | aiohttp.StreamReader | None
    ) -> web.StreamResponse:
        url = f"{self._url}{_emulated_path(request)}"
        return await pass_on(self._client, request, url, body)

    async def _bucket(self, request: web.Request) -> web.Response:
        async with self._client.request(
            request.method,
            f"{self._url}{request.raw_path}",
            data=await request.read(),
            headers={"Content-Type": request.headers.get("Content-Type", "application/json")},
        ) as answer:
            content = await answer.read()
            if answer.status != 200 or answer.content_type != "application/json":
                return web.Response(
                    body=content, status=answer.status, content_type=answer.content_type
                )
        if request.method == "DELETE":
            self._forget(request.path)
            return web.Response(status=204)
        document = json.loads(content or b"{}")
        if request.method == "POST" and (project := request.query.get("project")):
            number = self._projects.number(project)
            with self._store.transaction() as transaction:
                transaction.put(_OWNER, document["name"], {"number": number}, parent="buckets")
        for bucket in document.get("items", [document]):
            if bucket.get("kind") == "storage#bucket":
                bucket["projectNumber"] = self._owner(bucket["name"])
        return web.json_response(document)

    def _owner(self, bucket: str) -> str:
        with self._store.transaction() as transaction:
            owner = transaction.find(_OWNER, bucket)
        return owner["number"] if owner else self._projects.number(self._projects.default)

    def _forget(self, path: str) -> None:
        match = _BUCKET.fullmatch(path)
        bucket = unquote(match["bucket"]) if match and match["bucket"] else ""
        with self._store.transaction() as transaction:
            for kind in (_OWNER, POLICY):
                if transaction.find(kind, bucket) is not None:
                    transaction.delete(kind, bucket)

    async def _iam(self, request: web.Request, bucket: str, *, testing: bool) -> web.Response:
        if testing:
            return web.json_response(
                {
                    "kind": "storage#testIamPermissionsResponse",
                    "permissions": request.query.getall("permissions", []),
                }
            )
        policy: Document = {"bindings": [], "version": 1}
        if request.method == "PUT":
            policy = json.loads(await request.read())
        with self._store.transaction() as transaction:
            if request.method == "PUT":
                policy["etag"] = etag()
                transaction.put(POLICY, bucket, policy, parent="buckets")
            policy = transaction.find(POLICY, bucket) or policy
        return web.json_response({"kind": "storage#policy", **policy})

    async def _refused_by_precondition(self, request: web.Request) -> web.Response | None:
        wanted = request.query.get("ifGenerationMatch")
        unwanted = request.query.get("ifGenerationNotMatch")
        if wanted is None and unwanted is None:
            return None
        target = await _target(request)
        if target is None:
            return None
        generation = await self._generation(*target)
        if wanted is not None and wanted != generation:
            return _storage_error(412, "conditionNotMet")
        if unwanted is not None and unwanted == generation:
            if request.method == "GET":
                return web.Response(status=304)
            return _storage_error(412, "conditionNotMet")
        return None

    async def _generation(self, bucket: str, name: str) -> str:
        """Returns the generation of an object; "0" if it does not exist, as in preconditions."""
        url = f"{self._url}/storage/v1/b/{quote(bucket, safe='')}/o/{quote(name, safe='')}"
        async with self._client.get(url) as answer:
            if answer.status != 200:
                return "0"
            return str((await answer.json()).get("generation", "0"))


async def _name_in_body(request: web.Request, kind: str) -> str:
    """Returns the object name in an upload's body, after reading the whole body."""
    if request.method != "POST" or kind not in _NAMED_IN_BODY:
        return ""
    match = _NAME.search(await request.read())
    return str(json.loads(match["name"])) if match else ""


def _emulated_path(request: web.Request) -> str:
    """Returns the emulator's path for a request."""
    path = request.raw_path
    match = _PLAIN_OBJECT.fullmatch(path.partition("?")[0])
    if match is None or request.method not in ("GET", "HEAD"):
        return path
    name = quote(unquote(match["object"]), safe="")
    return f"/download/storage/v1/b/{match['bucket']}/o/{name}?alt=media"


def _leaves_its_bucket(request: web.Request, name: str) -> bool:
    """Whether an object's file would be outside its bucket's folder."""
    path = unquote(request.raw_path.partition("?")[0])
    names = [name, path, request.query.get("name", ""), request.query.get("prefix", "")]
    return any(part in ("..", ".") for name in names for part in name.split("/"))


def _invalid_name() -> web.Response:
    message = "Object and bucket names with a part `.` or `..` are refused here."
    error = {"code": 400, "message": message, "errors": [{"message": message, "reason": "invalid"}]}
    return web.json_response({"error": error}, status=400)


async def _target(request: web.Request) -> tuple[str, str] | None:
    """Returns the bucket and the object of a request with preconditions."""
    match = _OBJECT.fullmatch(request.raw_path.partition("?")[0])
    if match is not None and request.method in ("GET", "DELETE"):
        return unquote(match["bucket"]), unquote(match["object"])
    match = _UPLOAD.fullmatch(request.path)
    begins = request.method == "POST" and request.query.get("uploadType") == "resumable"
    if match is not None and begins:
        name = request.query.get("name") or json.loads(await request.read()).get("name", "")
        return match["bucket"], name
    return None


def _storage_error(status: int, reason: str) -> web.Response:
    message = "At least one of the pre-conditions you specified did not hold."
    error: dict[str, Any] = {
        "code": status,
        "message": message,
        "errors": [{"message": message, "domain": "global", "reason": reason}],
    }
    return web.json_response({"error": error}, status=status)
