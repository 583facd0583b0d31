"""Installs a training job's Python packages from Cloud Storage."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from doctune.localvertex.jobs.processes import exit_reason, run_program
from doctune.localvertex.names import identifier
from doctune.localvertex.tracker import JobFailedError
from doctune.localvertex.vertex import Vertex


async def install_packages(
    vertex: Vertex,
    uris: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    log_path: Path,
) -> None:
    """Downloads packages and installs them, with dependencies, into the job's environment.

    Raises:
        JobFailedError: A package cannot be installed; the message has pip's output.
        ApiError: NOT_FOUND: a package is missing.
    """
    for uri in uris:
        path = folder / identifier(uri)
        path.write_bytes(await vertex.objects.read(uri))
        command = ["python", "-m", "pip", "install", "--quiet", str(path)]
        code = await run_program(command, environment, log_path, cwd=folder)
        if code != 0:
            raise JobFailedError(
                f"The package {uri} cannot be installed: pip {exit_reason(code, log_path)}"
            )
