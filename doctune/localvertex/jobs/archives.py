"""Python packages as archives, made importable without an installer."""

import io
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path


def unpack(content: bytes, name: str, target: Path) -> None:
    """Unpacks a wheel or a source distribution so that its modules lie right in `target`.

    Raises:
        tarfile.TarError, zipfile.BadZipFile, OSError: It is no such archive.
    """
    target.mkdir(parents=True, exist_ok=True)
    if name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                archive.extract(member, target)  # which keeps names inside the folder
        return
    with tempfile.TemporaryDirectory(dir=target) as folder:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(folder, filter="data")
        inner = list(Path(folder).iterdir())
        # A source distribution has one folder, NAME-VERSION, around everything.
        root = inner[0] if len(inner) == 1 and inner[0].is_dir() else Path(folder)
        shutil.copytree(root, target, dirs_exist_ok=True)
