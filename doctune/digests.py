"""SHA-256 digests of files, folders and settings, for lineage and caching."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_CHUNK_BYTES = 1 << 20


def digest_file(path: Path) -> str:
    """Returns the hex SHA-256 of a file's bytes."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            sha.update(chunk)
    return sha.hexdigest()


def digest_files(files: Iterable[tuple[str, Path]]) -> str:
    """Returns one digest of (name, file) pairs, whatever order they come in."""
    sha = hashlib.sha256()
    for name, path in sorted(files):
        sha.update(f"{name}\0{digest_file(path)}\n".encode())
    return sha.hexdigest()


def digest_folder(folder: Path, pattern: str = "**/*") -> str:
    """Returns one digest of the names and contents of the files under a folder."""
    return digest_files(
        (path.relative_to(folder).as_posix(), path)
        for path in folder.glob(pattern)
        if path.is_file()
    )


def digest_value(value: Any) -> str:
    """Returns the digest of a JSON-like value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
