"""TensorBoard events, if a folder for them is given and TensorBoard is installed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from doctune.vertex_environment import mounted_path

logger = logging.getLogger("doctune.training")


class Events:
    """Writes scalars to a folder; without one it does nothing.

    Args:
        folder: A path, or a `gs://` folder that Cloud Storage FUSE mounts, as on Vertex AI.
    """

    def __init__(self, folder: str = "") -> None:
        self._writer: Any = None
        if not folder:
            return
        path = mounted_path(folder) or folder
        if str(path).startswith("gs://"):
            logger.warning("TensorBoard events are not written: %s is not mounted here", folder)
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            logger.warning("TensorBoard events are not written: install tensorboard")
            return
        self._writer = SummaryWriter(str(path))

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Records the scalars of a step."""
        if self._writer is not None:
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Writes the buffered events."""
        if self._writer is not None:
            self._writer.close()
