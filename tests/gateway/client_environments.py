"""Virtual environments for clients whose pins clash with ours, made once and kept in the cache."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest
from filelock import FileLock

from doctune.artifacts import cache_folder
from tests.conftest import OUTSIDE

# The last three are what `adk eval` needs of google-adk[eval] to compare answers by words.
AGENTS = (
    "litellm==1.110.2",
    "google-adk==2.13.0",
    "mcp",
    "rouge-score==0.1.2",
    "pandas",
    "google-cloud-aiplatform==2.7.0",
)
OPEN_WEBUI = ("open-webui==0.12.4",)

_INSTALL_SECONDS = 240


def client_python(packages: tuple[str, ...]) -> Path:
    """Returns the interpreter of an environment that holds packages.

    Where the registry cannot give them, the test is skipped with the installer's own words:
    docs/unproved.md says what then is not shown.
    """
    folder = cache_folder() / "clients" / "+".join(name.replace("==", "-") for name in packages)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock", timeout=_INSTALL_SECONDS):
        return _installed(folder, packages)


def _installed(folder: Path, packages: tuple[str, ...]) -> Path:
    python = folder / "bin" / "python"
    if (folder / "ready").is_file():
        return python
    venv.create(folder, with_pip=True, clear=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", *packages]
    try:
        done = subprocess.run(
            install, env=OUTSIDE, capture_output=True, text=True, timeout=_INSTALL_SECONDS
        )
        problem = done.stderr.strip().splitlines()[-1:] if done.returncode else []
    except subprocess.TimeoutExpired:
        problem = [f"not done in {_INSTALL_SECONDS} s"]
    if problem:
        pytest.skip(f"{', '.join(packages)} cannot be installed here: {problem[0][:300]}")
    (folder / "ready").touch()
    return python


def run_client(python: Path, program: str, *arguments: str) -> str:
    """Runs a program of `programs/` and returns the last line that it printed."""
    path = Path(__file__).with_name("programs") / program
    done = subprocess.run(
        [str(python), str(path), *arguments],
        capture_output=True,
        text=True,
        timeout=180,
        env={"PATH": str(Path(sys.executable).parent), "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1]
