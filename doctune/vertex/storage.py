"""Copies folders to and from Cloud Storage: in parallel, only changed files, checked by CRC32C.

An interrupted transfer resumes when it is run again: files that arrived are recognised by size and
checksum. An object is only overwritten in the generation that was read (`if_generation_match`), so
two writers cannot silently overwrite each other. Files above 8 MiB are sent in chunks by resumable
uploads, smaller ones in one request each.
"""

from __future__ import annotations

import base64
import io
import mimetypes
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doctune.errors import StorageError
from doctune.progress import Bar, progress
from doctune.vertex.errors import google_errors
from doctune.vertex.session import storage_client

if TYPE_CHECKING:
    from google.cloud import storage

_WORKERS = 8
# Files and requests open at once; also how often the progress bar moves for small files.
_BATCH = 64
_CHUNK_BYTES = 8 << 20
_URI = re.compile(r"gs://(?P<bucket>[a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?:/(?P<name>.*))?")
_PART = ".part"


@dataclass(frozen=True)
class StoredObject:
    """An object in Cloud Storage."""

    uri: str
    relative: str  # its name below the folder that was listed
    size: int  # bytes
    crc32c: str  # base64, as Cloud Storage writes it
    generation: int
    updated: str  # RFC 3339


@dataclass(frozen=True)
class TransferSummary:
    """The files and bytes that a transfer copied and skipped."""

    files_sent: int
    files_unchanged: int
    bytes_sent: int


def parse_uri(uri: str) -> tuple[str, str]:
    """Returns the bucket and the name in gs://BUCKET/NAME, without a slash at the end.

    Raises:
        StorageError: It is not such a URI.
    """
    match = _URI.fullmatch(uri)
    name = ((match["name"] if match else None) or "").rstrip("/")
    if not match or (name and not _is_safe(name)):
        raise StorageError(f"{uri!r} is not a Cloud Storage URI: write gs://BUCKET/FOLDER.")
    return match["bucket"], name


def list_folder(uri: str) -> list[StoredObject]:
    """Returns the objects below a gs:// folder, by name; none where the bucket is missing.

    Raises:
        StorageError: It cannot be listed, or holds a name that is no file path.
    """
    from google.api_core.exceptions import NotFound

    bucket, prefix = parse_uri(uri)
    prefix = f"{prefix}/" if prefix else ""
    found = []
    with google_errors(f"list {uri}", StorageError):
        try:
            for blob in storage_client().list_blobs(bucket, prefix=prefix):
                relative = blob.name[len(prefix) :]
                # Consoles make empty objects for folders.
                if not relative or relative.endswith("/"):
                    continue
                if not _is_safe(relative):
                    raise StorageError(f"{uri} holds an object with an unsafe name: {blob.name!r}.")
                found.append(_stored(blob, relative))
        except NotFound:
            return []
    return sorted(found, key=lambda item: item.relative)


def upload_folder(
    folder: Path,
    uri: str,
    *,
    overwrite: bool = True,
    last: str = "",
    only: Iterable[Path] | None = None,
) -> TransferSummary:
    """Uploads the files below a folder to gs://; identical objects are skipped.

    Hidden files and folders are left out. Objects that the folder does not have stay.

    Args:
        overwrite: Whether an object with other contents is replaced; otherwise it is an error.
        last: Name of a file below the folder that is uploaded after all others, as the mark of a
            complete folder.
        only: The files to copy; all where None.

    Raises:
        StorageError: It cannot be uploaded, or a checksum differs after the upload.
    """
    bucket, prefix = parse_uri(uri)
    paths = _files_below(folder) if only is None else only
    local = {path.relative_to(folder).as_posix(): path for path in paths}
    if not local:
        raise StorageError(f"{folder} holds no files to upload.")
    checksums = {name: crc32c_of(path) for name, path in local.items()}
    there = {item.relative: item for item in list_folder(uri)}
    changed = [
        name for name in sorted(local) if name not in there or there[name].crc32c != checksums[name]
    ]
    if not overwrite and (taken := [name for name in changed if name in there]):
        raise StorageError(
            f"{uri}/{taken[0]} already exists with other contents: choose another folder, or "
            "allow overwriting."
        )
    if not changed:
        return TransferSummary(0, len(local), 0)
    ensure_bucket(uri)
    total = sum(local[name].stat().st_size for name in changed)
    waves = [[name for name in changed if name != last], [name for name in changed if name == last]]
    with progress(f"Uploading to {uri}", total / 1e6, "MB") as bar:
        for wave in waves:
            _upload(wave, local, f"gs://{bucket}/{prefix}".rstrip("/"), there, bar)
    _verify(uri, {name: checksums[name] for name in changed})
    return TransferSummary(len(changed), len(local) - len(changed), total)


def download_folder(uri: str, folder: Path) -> TransferSummary:
    """Downloads a gs:// folder; identical files are skipped.

    A file gets its name only once it is complete and its checksum is right.

    Raises:
        StorageError: Nothing is there, or it cannot be downloaded.
    """
    items = list_folder(uri)
    if not items:
        raise StorageError(f"{uri} holds no files: check the URI.")
    wanted = [item for item in items if not _is_same(folder / item.relative, item)]
    if not wanted:
        return TransferSummary(0, len(items), 0)
    total = sum(item.size for item in wanted)
    with (
        google_errors(f"download {uri}", StorageError),
        progress(f"Downloading {uri}", total / 1e6, "MB") as bar,
    ):
        for start in range(0, len(wanted), _BATCH):
            _download(wanted[start : start + _BATCH], folder, bar)
    return TransferSummary(len(wanted), len(items) - len(wanted), total)


def sync_folder(source: str, target: str, *, overwrite: bool = True) -> TransferSummary:
    """Uploads or downloads a folder; one of source and target is a gs:// URI.

    Raises:
        StorageError: Not exactly one of them is a gs:// URI, or the transfer fails.
    """
    if source.startswith("gs://") == target.startswith("gs://"):
        raise StorageError("one of source and target must be a gs:// URI, the other a folder.")
    if source.startswith("gs://"):
        return download_folder(source, Path(target))
    return upload_folder(Path(source), target, overwrite=overwrite)


def ensure_bucket(uri: str) -> None:
    """Creates the bucket of a gs:// URI if missing: private, in the session's location.

    Raises:
        StorageError: It can be neither read nor created.
    """
    from google.api_core.exceptions import Conflict, Forbidden, NotFound

    from doctune.vertex.session import current_session

    name, _ = parse_uri(uri)
    client = storage_client()
    with google_errors(f"use the bucket gs://{name}", StorageError):
        try:
            next(iter(client.list_blobs(name, max_results=1)), None)
            return
        except Forbidden:
            # An account may be allowed to write but not to read the bucket: the write will tell.
            return
        except NotFound:
            bucket = client.bucket(name)
        bucket.iam_configuration.uniform_bucket_level_access_enabled = True
        bucket.iam_configuration.public_access_prevention = "enforced"
        try:
            client.create_bucket(bucket, location=current_session().location)
        except Conflict:
            # Another run has just created it, or it belongs to another project: then the next
            # call is forbidden.
            next(iter(client.list_blobs(name, max_results=1)), None)


def crc32c_of(path: Path) -> str:
    """Returns a file's CRC32C in Cloud Storage's base64 form."""
    import google_crc32c

    checksum = google_crc32c.Checksum()
    with path.open("rb") as file:
        for _ in checksum.consume(file, 1 << 20):
            pass
    return base64.b64encode(checksum.digest()).decode()


def _upload(
    names: Sequence[str],
    local: dict[str, Path],
    root: str,
    there: dict[str, StoredObject],
    bar: Bar,
) -> None:
    bucket_name, prefix = parse_uri(root)
    bucket = storage_client().bucket(bucket_name)

    def send(batch: Sequence[str], generation: int) -> None:
        blobs = [bucket.blob(f"{prefix}/{name}" if prefix else name) for name in batch]
        _upload_batch([local[name] for name in batch], blobs, generation, bar)

    new = [name for name in names if name not in there]
    replaced = [name for name in names if name in there]
    with google_errors(f"upload to {root}", StorageError):
        for start in range(0, len(new), _BATCH):
            # Generation 0: the object must not exist yet.
            send(new[start : start + _BATCH], 0)
        with ThreadPoolExecutor(_WORKERS) as pool:
            list(pool.map(lambda name: send([name], there[name].generation), replaced))


def _upload_batch(
    paths: Sequence[Path], blobs: Sequence[storage.Blob], generation: int, bar: Bar
) -> None:
    from google.cloud.storage import transfer_manager

    pairs: list[tuple[Any, storage.Blob]] = []
    small = 0
    with ExitStack() as stack:
        for path, blob in zip(paths, blobs, strict=True):
            blob.content_type = mimetypes.guess_type(path.name)[0]
            size = path.stat().st_size
            if size > _CHUNK_BYTES:
                blob.chunk_size = _CHUNK_BYTES
                pairs.append((stack.enter_context(_CountedFile(path, "rb", bar)), blob))
            else:
                small += size
                pairs.append((str(path), blob))
        transfer_manager.upload_many(
            pairs,
            upload_kwargs={"if_generation_match": generation, "checksum": "crc32c"},
            raise_exception=True,
            worker_type=transfer_manager.THREAD,
            max_workers=min(_WORKERS, len(pairs)),
        )
    bar.advance(small / 1e6)


def _download(items: Sequence[StoredObject], folder: Path, bar: Bar) -> None:
    from google.cloud.storage import transfer_manager

    client = storage_client()
    parts: list[tuple[Path, Path]] = []
    with ExitStack() as stack:
        pairs = []
        for item in items:
            target = folder / item.relative
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}{_PART}")
            parts.append((part, target))
            bucket, name = parse_uri(item.uri)
            blob = client.bucket(bucket).blob(name, generation=item.generation)
            pairs.append((blob, stack.enter_context(_CountedFile(part, "wb", bar))))
        stack.callback(_remove, [part for part, _ in parts])
        transfer_manager.download_many(
            pairs,
            download_kwargs={"checksum": "crc32c"},
            raise_exception=True,
            worker_type=transfer_manager.THREAD,
            max_workers=_WORKERS,
        )
        for (part, target), (_, file) in zip(parts, pairs, strict=True):
            file.close()
            part.replace(target)


def _verify(uri: str, expected: dict[str, str]) -> None:
    """Compares the checksums in Cloud Storage with those of the files that were sent."""
    if not expected:
        return
    there = {item.relative: item.crc32c for item in list_folder(uri)}
    wrong = [name for name, checksum in expected.items() if there.get(name) != checksum]
    if wrong:
        raise StorageError(
            f"{uri}/{wrong[0]} differs from the uploaded file: somebody else writes there, or the "
            "file changed during the upload. Run it again."
        )


class _CountedFile(io.FileIO):
    """A file that advances the progress bar by the bytes read or written."""

    _lock = threading.Lock()

    def __init__(self, path: Path, mode: str, bar: Bar) -> None:
        super().__init__(path, mode)
        self._bar = bar

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size) or b""
        self._advance(len(data))
        return data

    def write(self, data: Any, /) -> int:
        super().write(data)
        self._advance(len(data))
        return len(data)

    def _advance(self, amount: int) -> None:
        with self._lock:
            self._bar.advance(amount / 1e6)


def _files_below(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise StorageError(f"{folder} is not a folder.")
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden:
            yield path


def _is_safe(name: str) -> bool:
    plain = not any(ord(character) < 32 for character in name) and "\\" not in name
    return plain and not {"", ".", ".."} & set(name.split("/"))


def _is_same(path: Path, item: StoredObject) -> bool:
    return path.is_file() and path.stat().st_size == item.size and crc32c_of(path) == item.crc32c


def _stored(blob: storage.Blob, relative: str) -> StoredObject:
    return StoredObject(
        uri=f"gs://{blob.bucket.name}/{blob.name}",
        relative=relative,
        size=int(blob.size or 0),
        crc32c=blob.crc32c or "",
        generation=int(blob.generation or 0),
        updated=blob.updated.isoformat() if blob.updated else "",
    )


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
