"""The server's own client of Cloud Storage objects."""

from collections.abc import AsyncIterator
from urllib.parse import quote

import aiohttp

from doctune.localvertex.api.errors import ApiError, Status, invalid, not_found


class Objects:
    """A small asynchronous client of the storage emulator."""

    def __init__(self, url: str, client: aiohttp.ClientSession) -> None:
        self._url, self._client = url, client

    async def read(self, uri: str) -> bytes:
        """Returns the content of a gs:// object.

        Raises:
            ApiError: NOT_FOUND, or INVALID_ARGUMENT where it is no gs:// URI of an object.
        """
        bucket, name = split_uri(uri)
        url = f"{self._url}/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media"
        async with self._client.get(url) as response:
            if response.status == 404:
                raise not_found("Object", uri)
            _check(response, uri)
            return await response.read()

    async def write(self, uri: str, content: bytes, content_type: str = "text/plain") -> None:
        """Writes a gs:// object."""
        bucket, name = split_uri(uri)
        url = f"{self._url}/upload/storage/v1/b/{bucket}/o?uploadType=media&name="
        async with self._client.post(
            url + quote(name, safe=""), data=content, headers={"Content-Type": content_type}
        ) as response:
            _check(response, uri)

    async def list(self, uri: str) -> AsyncIterator[str]:
        """Yields the URIs of the objects whose name starts as `uri` does."""
        bucket, prefix = split_uri(uri)
        token = ""
        while True:
            query = {"prefix": prefix, **({"pageToken": token} if token else {})}
            url = f"{self._url}/storage/v1/b/{bucket}/o"
            async with self._client.get(url, params=query) as response:
                _check(response, uri)
                page = await response.json()
            for item in page.get("items", ()):
                yield f"gs://{bucket}/{item['name']}"
            token = page.get("nextPageToken", "")
            if not token:
                return


def split_uri(uri: str) -> tuple[str, str]:
    """Returns the bucket and the object name of a gs:// URI.

    Raises:
        ApiError: INVALID_ARGUMENT.
    """
    if not uri.startswith("gs://") or not uri.removeprefix("gs://").partition("/")[0]:
        raise invalid(f"{uri!r} is not a gs:// URI.")
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return bucket, name


def _check(response: aiohttp.ClientResponse, uri: str) -> None:
    if response.status == 404:
        raise not_found("Bucket", split_uri(uri)[0])
    if response.status >= 400:
        raise ApiError(Status.INTERNAL, f"{uri}: the storage emulator answered {response.status}.")
