"""The /gcs mount of a container, for programs that run without one.

On Vertex AI, buckets are mounted under /gcs. Here the storage emulator keeps objects as files: a
path under /gcs in a command line becomes the path of that file, as KFP's executor is told.
"""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from doctune.runner import mounted_executor

_MOUNT = re.compile(r"(?<![\w/.-])/gcs/(?=[a-z0-9])")


def mounted(command: Sequence[str], storage: Path) -> list[str]:
    """Returns a command line with paths under /gcs as paths of the emulator's files.

    KFP's executor looks there too, for artifacts with a gs:// URI.

    Args:
        storage: The folder in which the emulator keeps a folder for each bucket.
    """
    executor = f"-m {mounted_executor.__name__} {shlex.quote(str(storage))}"
    return [
        _MOUNT.sub(f"{storage}/", part).replace(f"-m {mounted_executor.EXECUTOR}", executor)
        for part in command
    ]
