"""Checkpoints: the state from which a run resumes with identical results.

Each checkpoint is one safetensors file with the adapter, the best adapter so far, the optimizer's
state and, as JSON in its metadata, the history. The order of the examples follows from seed and
step, so it is not stored. The folder may be a local path, a Cloud Storage FUSE mount or a URL that
fsspec supports (`gs://`). Files are written atomically.
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
from doctune.training.history import TrainingHistory
from doctune.vertex_environment import mounted_path

if TYPE_CHECKING:
    import torch

logger = logging.getLogger("doctune.training")

_NAME = re.compile(r"step-(\d{8})\.safetensors")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a run after `history.steps` steps."""

    history: TrainingHistory
    tensors: dict[str, torch.Tensor]


class CheckpointFolder:
    """The folder with the checkpoints of one run.

    Args:
        uri: Folder or URL; created if missing.
        fingerprint: Digest of the run's inputs; checkpoints with another one are ignored.
        keep: How many of the newest checkpoints to keep.
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
            raise TrainingError(f"Checkpoints cannot be written to {uri}: {error}.") from error

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint, and deletes the oldest ones beyond the number to keep.

        Raises:
            TrainingError: It cannot be written; the earlier ones are still there.
        """
        from safetensors.torch import save_file

        name = f"step-{checkpoint.history.steps:08d}.safetensors"
        metadata = {
            "fingerprint": self._fingerprint,
            "course": json.dumps(asdict(checkpoint.history)),
        }
        try:
            # safetensors writes to local paths only: to a temporary file, which is then moved.
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
        # safetensors wraps the error of a full disk in its own, which has only the message.
        except Exception as error:
            full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
            if not full and not isinstance(error, OSError):
                raise
            reason = "the disk is full; make room" if full else " ".join(str(error).split())
            raise TrainingError(f"No checkpoint can be written to {self.uri}: {reason}.") from error

    def newest(self) -> Checkpoint | None:
        """Returns the newest intact checkpoint of this run; None where there are none.

        Raises:
            TrainingError: There are checkpoints, but all are damaged.
        """
        broken = []
        for name in reversed(self._names()):
            try:
                found = self._read(name)
            # A truncated file or another format: safetensors raises its own error.
            except Exception as error:
                broken.append(name)
                logger.warning(
                    "Checkpoint %s/%s is broken (%s); trying an older one", self.uri, name, error
                )
                continue
            if found is not None:
                return found
        if broken:
            raise TrainingError(
                f"No intact checkpoint in {self.uri} ({', '.join(broken)}): "
                "delete them to start again."
            )
        return None

    def remove(self) -> None:
        """Removes the checkpoints, once the run has finished."""
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
        return Checkpoint(
            history=TrainingHistory.from_dict(json.loads(metadata["course"])), tensors=tensors
        )


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
