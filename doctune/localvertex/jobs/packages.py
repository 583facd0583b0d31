"""The Python packages that a training job brings along from Cloud Storage."""

import asyncio
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from doctune.localvertex.jobs.archives import unpack
from doctune.localvertex.jobs.processes import JobFailedError
from doctune.localvertex.vertex import Vertex


async def unpack_packages(vertex: Vertex, uris: Sequence[str], folder: Path) -> None:
    """Fetches packages and unpacks them into one folder, for the module path.

    Their dependencies must be in the environment that stands for the image.

    Raises:
        JobFailedError: A package is not an archive.
        ApiError: NOT_FOUND: a package is not there.
    """
    for uri in uris:
        content = await vertex.objects.read(uri)
        try:
            await asyncio.to_thread(unpack, content, uri, folder)
        except (tarfile.TarError, zipfile.BadZipFile, OSError) as error:
            raise JobFailedError(f"The package {uri} cannot be unpacked: {error}.") from error
