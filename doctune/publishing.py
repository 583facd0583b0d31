"""Publishes folders safely in buckets: files are copied first, the manifest is written last.

An artifact's path may be in a bucket that Cloud Storage FUSE mounts (`/gcs/...`). On a bucket
without hierarchical namespace a non-empty folder cannot be renamed, so writing beside and renaming
does not work. Instead a folder is made in a scratch folder and copied when it is complete;
`manifest.json` lists its files and is written last. A folder without a manifest, or with missing
files, is incomplete and is refused.

To replace a folder, the old manifest is removed first, then the old files: a reader in between is
refused, and never sees a mixture.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from doctune.artifacts import cache_folder
from doctune.digests import digest_file
from doctune.errors import StorageError
from doctune.files import write_json

MANIFEST_FILE = "manifest.json"

_CHUNK_BYTES = 8 << 20


@dataclass(frozen=True)
class PublishedFile:
    """One file of a published folder."""

    name: str  # relative to the folder
    size: int  # bytes
    sha256: str


@contextmanager
def published_folder(path: Path) -> Iterator[Path]:
    """Yields a scratch folder; publishes its contents at `path` on success.

    `path` is not changed before the block has ended without an error.
    """
    scratch_root = cache_folder() / "scratch"
    scratch_root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{path.name}-", dir=scratch_root) as scratch:
        yield Path(scratch)
        publish(Path(scratch), path)


def publish(source: Path, target: Path) -> None:
    """Copies a folder's files to `target`, removes other files there, and writes the manifest."""
    manifest = target / MANIFEST_FILE
    manifest.unlink(missing_ok=True)
    files = [_copy(source, name, target) for name in _names(source)]
    kept = {file.name for file in files}
    for name in _names(target):
        if name not in kept:
            (target / name).unlink()
    for folder in sorted(filter(Path.is_dir, target.rglob("*")), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    write_manifest(target, files)


def write_manifest(folder: Path, files: list[PublishedFile] | None = None) -> None:
    """Writes the manifest of a folder, by default of all files in it."""
    if files is None:
        files = [_described(folder, name) for name in _names(folder)]
    write_json(folder / MANIFEST_FILE, {"files": [asdict(file) for file in files]})


def require_whole(folder: Path, remedy: str) -> None:
    """Raises if a folder was not published completely.

    Args:
        remedy: How to fix that, such as "train it again".

    Raises:
        StorageError: It has no manifest, or a file of it is missing or of another size.
    """
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
        listed = {str(file["name"]): int(file["size"]) for file in manifest["files"]}
    except FileNotFoundError as error:
        raise StorageError(
            f"{folder} has no {MANIFEST_FILE}, so it is incomplete: {remedy}."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{folder / MANIFEST_FILE} lists no files ({error}): {remedy}."
        ) from error
    for name, size in listed.items():
        path = folder / name
        if ".." in PurePosixPath(name).parts or not path.is_file():
            raise StorageError(f"{path} is missing, but {MANIFEST_FILE} lists it: {remedy}.")
        if path.stat().st_size != size:
            raise StorageError(f"{path} differs from its entry in {MANIFEST_FILE}: {remedy}.")


def _names(folder: Path) -> list[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name != MANIFEST_FILE)


def _copy(source: Path, name: str, target: Path) -> PublishedFile:
    place = target / name
    place.parent.mkdir(parents=True, exist_ok=True)
    # On a disk, a process that has the old file mapped keeps it.
    place.unlink(missing_ok=True)
    sha = hashlib.sha256()
    with (source / name).open("rb") as given, place.open("wb") as written:
        while chunk := given.read(_CHUNK_BYTES):
            sha.update(chunk)
            written.write(chunk)
    return PublishedFile(name, place.stat().st_size, sha.hexdigest())


def _described(folder: Path, name: str) -> PublishedFile:
    path = folder / name
    return PublishedFile(name, path.stat().st_size, digest_file(path))
