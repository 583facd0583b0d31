"""TensorBoard events, where a folder for them is given and TensorBoard is installed."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger("doctune.training")


class Events:
    """Writes scalars to a folder; without one it does nothing.

    Args:
        folder: A path or a `gs://` folder; the latter needs Cloud Storage FUSE, as Vertex AI has.
    """

    def __init__(self, folder: str = "") -> None:
        self._writer: Any = None
        if not folder:
            return
        mounted = Path("/gcs", folder.removeprefix("gs://"))
        path = str(mounted) if folder.startswith("gs://") else folder
        if folder.startswith("gs://") and not mounted.parent.is_dir():
            logger.warning("TensorBoard events are not written: %s is not mounted here", folder)
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            logger.warning("TensorBoard events are not written: install tensorboard")
            return
        self._writer = SummaryWriter(path)

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Records values after a step."""
        if self._writer is not None:
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Writes what is still held back."""
        if self._writer is not None:
            self._writer.close()


def events_folder(configured: str) -> str:
    """Returns where events go: what the user set, or what Vertex AI asks for."""
    return configured or os.environ.get("AIP_TENSORBOARD_LOG_DIR", "")
