"""Registers files in the storage emulator's folders as objects.

On Vertex AI a bucket is mounted as a folder, and a file that is written there is an object at once.
fake-gcs-server keeps each object as a file with its metadata in an extended attribute; a file
without that is not an object to it. Here the attribute is added when somebody asks for the object.
"""

import base64
import hashlib
import json
import mimetypes
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_METADATA = "user.metadata"
_ADOPTED = "user.localvertex"
_CHUNK = 1 << 20
_NEVER = "0001-01-01T00:00:00Z"


def adopt(path: Path) -> None:
    """Registers a file that a program has written as an object; objects are not changed."""
    if not path.is_file() or not _is_stranger(path):
        return
    stat = path.stat()
    os.setxattr(path, _METADATA, json.dumps(_metadata(path, stat)).encode())
    os.setxattr(path, _ADOPTED, str(stat.st_mtime_ns).encode())


def adopt_below(folder: Path, prefix: str) -> None:
    """Registers all new files in a bucket whose name starts with `prefix`.

    Hidden folders, where caches are kept, are left out.
    """
    # The last part of a prefix may be the beginning of a name.
    start = folder / prefix.rpartition("/")[0]
    for root, folders, files in os.walk(start):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(root, name)
            if not name.startswith(".") and str(path.relative_to(folder)).startswith(prefix):
                adopt(path)


def _is_stranger(path: Path) -> bool:
    """Whether a file is not an object yet, or has changed since it was registered."""
    try:
        attributes = os.listxattr(path)
        if _METADATA not in attributes:
            return True
        if _ADOPTED not in attributes:
            return False
        return os.getxattr(path, _ADOPTED) != str(path.stat().st_mtime_ns).encode()
    except OSError:
        return False  # just deleted, or a file system without extended attributes


def _metadata(path: Path, stat: os.stat_result) -> dict[str, Any]:
    import google_crc32c

    crc, md5 = google_crc32c.Checksum(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc.update(chunk)
            md5.update(chunk)
    moment = datetime.fromtimestamp(stat.st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    md5_hash = base64.b64encode(md5.digest()).decode()
    return {
        "StorageClass": "STANDARD",
        "ContentType": mimetypes.guess_type(path.name)[0] or "application/octet-stream",
        "ContentEncoding": "",
        "ContentDisposition": "",
        "ContentLanguage": "",
        "CacheControl": "",
        "Crc32c": base64.b64encode(crc.digest()).decode(),
        "Md5Hash": md5_hash,
        "Etag": md5_hash,
        "ACL": [],
        "Metadata": {},
        "Created": moment,
        "Deleted": _NEVER,
        "Updated": moment,
        "CustomTime": _NEVER,
        "Generation": stat.st_mtime_ns // 1000,
        "RetentionMode": "",
        "RetentionRetainUntil": "",
    }
