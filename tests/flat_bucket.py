"""A folder that behaves as a flat bucket under Cloud Storage FUSE: no folder in it is renamed."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def flat_bucket(root: Path) -> Iterator[Path]:
    """Makes every rename of a folder that holds something fail under `root`, as FUSE does.

    gcsfuse answers ENOSYS or EIO for buckets without a hierarchical namespace; see "rename" in
    https://cloud.google.com/storage/docs/cloud-storage-fuse/overview#limitations.
    """
    root = root.resolve()
    patch = pytest.MonkeyPatch()

    def refusing(rename: Any) -> Any:
        def guarded(source: Any, target: Any, **more: Any) -> Any:
            for end in (source, target):
                place = Path(os.fspath(end)).absolute()
                if place.is_relative_to(root) and place.is_dir() and any(place.iterdir()):
                    raise OSError(errno.ENOSYS, "rename of a folder", str(place))
            return rename(source, target, **more)

        return guarded

    for name in ("rename", "renames", "replace"):
        patch.setattr(os, name, refusing(getattr(os, name)))
    try:
        yield root
    finally:
        patch.undo()
