"""Local copies of folders and files, by URI.

The stages read local paths only; what they are given may be a path, a Cloud Storage FUSE mount or
any URL that fsspec knows (`gs://`, `s3://`, ...). Only this module distinguishes them.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from doctune.digests import digest_value
from doctune.errors import StorageError
from doctune.files import atomic_folder, exclusively
from doctune.vertex_environment import mounted_path


def cache_folder() -> Path:
    """Returns the folder for files that can be made or downloaded again (`DOCTUNE_CACHE`)."""
    root = os.environ.get("DOCTUNE_CACHE")
    return Path(root) if root else Path.home() / ".cache" / "doctune"


def local_folder(uri: str) -> Path:
    """Returns a local folder with the contents of `uri`, downloaded if necessary.

    A download is kept in the cache by URI: artifacts are content-addressed and never change.

    Raises:
        StorageError: Nothing is there, or it cannot be read.
    """
    if (path := _on_disk(uri, "folder", Path.is_dir)) is not None:
        return path
    target = cache_folder() / "artifacts" / digest_value(uri.rstrip("/"))
    if not target.is_dir():
        # A second process finds it there: a folder that may be in use is never replaced.
        with exclusively(target, f"downloading {uri}"):
            if not target.is_dir():
                _download(uri.rstrip("/"), target)
    return target


def local_file(uri: str) -> Path:
    """Returns a local copy of the file at `uri`, downloaded if necessary.

    A download is kept in the cache until the file changes: test sets may be replaced.

    Raises:
        StorageError: Nothing is there, or it cannot be read.
    """
    if (path := _on_disk(uri, "file", Path.is_file)) is not None:
        return path
    with _storage_errors(uri):
        filesystem, root = filesystem_of(uri)
        target = cache_folder() / "artifacts" / digest_value([uri, filesystem.ukey(root)])
        path = target / Path(root).name
        if not path.is_file():
            with exclusively(target, f"downloading {uri}"):
                if not path.is_file():
                    with atomic_folder(target, replace=False) as folder:
                        filesystem.get_file(root, str(folder / path.name))
    return path


def _on_disk(uri: str, kind: str, is_right: Callable[[Path], bool]) -> Path | None:
    """Returns the local path of `uri`, if it is a path or in a mounted bucket; else None."""
    if "://" not in uri or uri.startswith("file://"):
        path = Path(uri.removeprefix("file://"))
        if not is_right(path):
            raise StorageError(f"{path} is not a {kind}: give an existing {kind} or a gs:// URI.")
        return path
    mounted = mounted_path(uri)
    return mounted if mounted is not None and is_right(mounted) else None


def filesystem_of(uri: str) -> tuple[Any, str]:
    """Returns fsspec's file system for a path or URL, and the path in it.

    Raises:
        ValueError, ImportError: fsspec does not support this kind of URL, or lacks its package.
    """
    # gcsfs probes a service at import that may not answer, for up to a minute per call.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    import fsspec

    return fsspec.core.url_to_fs(uri)


@contextmanager
def _storage_errors(uri: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ImportError, ValueError) as error:
        raise StorageError(f"{uri} cannot be read: {error}.") from error


def _download(uri: str, target: Path) -> None:
    with _storage_errors(uri):
        filesystem, root = filesystem_of(uri)
        names = filesystem.find(root)
        if not names:
            raise StorageError(f"{uri} holds no files: check the URI.")
        with atomic_folder(target, replace=False) as folder:
            for name in names:
                relative = Path(str(name)).relative_to(root)
                if ".." in relative.parts:
                    raise StorageError(f"{uri} holds a file with an unsafe name: {name}.")
                (folder / relative).parent.mkdir(parents=True, exist_ok=True)
                with filesystem.open(name, "rb") as source, (folder / relative).open("wb") as file:
                    shutil.copyfileobj(source, file, 8 << 20)
