"""Virtual environments for the packages that benchmarks compare doctune with."""

import hashlib
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

from doctune import limits
from doctune.artifacts import cache_folder


def python_with(packages: Sequence[str], *, beside_doctune: bool) -> Path:
    """Returns the interpreter of an environment with packages, which the first call makes.

    Args:
        packages: Requirements with exact versions, such as `lm-eval==0.4.9`.
        beside_doctune: Whether the environment also sees the packages of this interpreter. It then
            belongs to this interpreter, since pip installs only what is missing there.

    Raises:
        subprocess.CalledProcessError: pip could not install the packages.
    """
    here = sysconfig.get_paths()["purelib"]
    name = "-".join(packages).replace("==", "-").replace("[", "-").replace("]", "")
    if beside_doctune:
        name += f"-{hashlib.sha256(here.encode()).hexdigest()[:8]}"
    folder = cache_folder() / "benchmarks" / name
    python = folder / "bin" / "python"
    if (folder / "ready").is_file():
        return python
    print(f"Installing {' and '.join(packages)} into {folder} (once)", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True)
    if beside_doctune:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        site = folder / "lib" / version / "site-packages"
        (site / "doctune-environment.pth").write_text(here + "\n", encoding="utf-8")
    command = [str(python), "-m", "pip", "install", "--quiet", *packages]
    subprocess.run(command, check=True, stdout=sys.stderr, timeout=limits.INSTALL.seconds)
    (folder / "ready").touch()
    return python
