"""Checkpoints: all that a run needs to go on as if it had never been stopped.

One safetensors file a checkpoint, with the adapter, the best adapter so far, the optimizer's state
and, as JSON in its metadata, the course so far. The order of the examples follows from seed and
step, so it needs no keeping. A folder may be a local path, a Cloud Storage FUSE mount or a URL that
fsspec knows (`gs://`); a file appears in it whole or not at all.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doctune.artifacts import filesystem_of
from doctune.errors import TrainingError
from doctune.training.course import TrainingCourse
from doctune.vertex_environment import mounted_path

if TYPE_CHECKING:
    import torch

logger = logging.getLogger("doctune.training")

_NAME = re.compile(r"step-(\d{8})\.safetensors")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a run after `course.steps` steps."""

    course: TrainingCourse
    tensors: dict[str, torch.Tensor]


class CheckpointFolder:
    """Where the checkpoints of one run are kept.

    Args:
        uri: Folder or URL; made when it does not exist.
        fingerprint: Digest of what the run depends on; checkpoints of other runs are passed over.
        keep: How many checkpoints stay, the newest.
    """

    def __init__(self, uri: str, fingerprint: str, keep: int) -> None:
        self.uri, self._fingerprint, self._keep = uri, fingerprint, keep
        place = str(mounted_path(uri) or uri)
        try:
            filesystem, root = filesystem_of(place.rstrip("/"))
            self._filesystem: Any = filesystem
            self._root = str(root)
            self._filesystem.makedirs(self._root, exist_ok=True)
        except (OSError, ValueError, ImportError) as error:
            raise TrainingError(f"Checkpoints cannot be kept in {uri}: {error}.") from error

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint and drops the oldest beyond the number to keep.

        Raises:
            TrainingError: It cannot be written; the earlier ones are still there.
        """
        from safetensors.torch import save_file

        name = f"step-{checkpoint.course.steps:08d}.safetensors"
        metadata = {
            "fingerprint": self._fingerprint,
            "course": json.dumps(asdict(checkpoint.course)),
        }
        try:
            # safetensors writes to local paths only; here, beside the place, to be renamed into it.
            local = self._filesystem.protocol in ("file", ("file", "local"))
            folder = self._root if local else None
            with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as temporary:
                path = Path(temporary, name)
                save_file(checkpoint.tensors, path, metadata)
                if local:
                    _flush(path)
                    path.replace(Path(self._root, name))
                else:
                    self._filesystem.put_file(str(path), f"{self._root}/{name}")
            for old in self._names()[: -self._keep]:
                self._filesystem.rm_file(f"{self._root}/{old}")
        # safetensors reports a full disk as its own error, with the system's words in it.
        except Exception as error:
            full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
            if not full and not isinstance(error, OSError):
                raise
            reason = "the disk is full; make room" if full else " ".join(str(error).split())
            raise TrainingError(f"No checkpoint can be written to {self.uri}: {reason}.") from error

    def newest(self) -> Checkpoint | None:
        """Returns the newest whole checkpoint of this run, if there is one.

        Raises:
            TrainingError: There are checkpoints, but none of them is whole.
        """
        broken = []
        for name in reversed(self._names()):
            try:
                found = self._read(name)
            # A file that is cut short or not safetensors at all; the library's error is its own.
            except Exception as error:
                broken.append(name)
                logger.warning(
                    "Checkpoint %s/%s is broken (%s); trying the one before", self.uri, name, error
                )
                continue
            if found is not None:
                return found
        if broken:
            raise TrainingError(
                f"No checkpoint in {self.uri} is whole ({', '.join(broken)}): "
                "delete them to start again."
            )
        return None

    def remove(self) -> None:
        """Removes the checkpoints: what they were kept for is done."""
        try:
            for name in self._names():
                self._filesystem.rm_file(f"{self._root}/{name}")
        except OSError as error:
            logger.warning("Checkpoints in %s cannot be removed: %s", self.uri, error)

    def _names(self) -> list[str]:
        try:
            paths = self._filesystem.ls(self._root, detail=False)
        except FileNotFoundError:
            return []  # object stores have no empty folders
        names = [str(path).rsplit("/", 1)[-1] for path in paths]
        return sorted(name for name in names if _NAME.fullmatch(name))

    def _read(self, name: str) -> Checkpoint | None:
        from safetensors import safe_open

        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary, name)
            self._filesystem.get_file(f"{self._root}/{name}", str(path))
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata()
                if metadata.get("fingerprint") != self._fingerprint:
                    return None
                tensors = {key: file.get_tensor(key) for key in list(file.keys())}
        return Checkpoint(course=TrainingCourse.of(json.loads(metadata["course"])), tensors=tensors)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
