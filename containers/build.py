"""Build the images of the steps with podman or Docker.

    python containers/build.py [IMAGE...] [--gpu] [--engine docker] [--base IMAGE]

Names and tag are those that the compiled specs use (`images` of vertex_config.yaml), so that a
spec runs in what was built. The base is the pinned one; where it can neither be found nor pulled, a
local `python:3.11-slim` is taken instead, and that is said.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from doctune import limits  # noqa: E402
from doctune.configuration.settings import load_vertex_settings  # noqa: E402
from doctune.errors import DoctuneError, UsageError  # noqa: E402

IMAGES = ("ops", "documents", "gateway", "serving", "training")
WITH_TORCH = ("serving", "training")
LOCAL_BASE = "docker.io/library/python:3.11-slim"
_WHEELS = ROOT / "build/wheels"


def main() -> int:
    """Builds; returns the exit code."""
    options = _arguments()
    try:
        engine = find_engine(options.engine)
        base = find_base(engine, options.base)
        for image in options.images or IMAGES:
            build(engine, image, base=base, gpu=options.gpu and image in WITH_TORCH)
    except DoctuneError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def find_engine(wanted: str | None) -> str:
    """Returns the program that builds.

    Raises:
        UsageError: There is none.
    """
    for engine in [wanted] if wanted else ["podman", "docker"]:
        if shutil.which(engine):
            return engine
    missing = f"{wanted} is not" if wanted else "Neither podman nor docker is"
    raise UsageError(
        f"{missing} installed: install one (Debian: apt-get install podman buildah), or name "
        "yours with ENGINE=PROGRAM."
    )


def find_base(engine: str, wanted: str | None) -> str:
    """Returns the base image.

    Raises:
        UsageError: No base can be had.
    """
    pinned = wanted or pinned_base()
    if _is_here(engine, pinned) or _run([engine, "pull", "--quiet", pinned]) == 0:
        return pinned
    if not wanted and _is_here(engine, LOCAL_BASE):
        print(
            f"build.py: {pinned} cannot be pulled: building on the {LOCAL_BASE} of this machine.",
            file=sys.stderr,
        )
        return LOCAL_BASE
    raise UsageError(
        f"The base image {pinned} is not here and cannot be pulled: give one that can with "
        f"BASE_IMAGE=IMAGE, or make a local {LOCAL_BASE} (docs/images.md)."
    )


def build(engine: str, image: str, *, base: str, gpu: bool) -> str:
    """Builds one image; returns its name.

    Raises:
        DoctuneError: The engine could not.
    """
    settings = load_vertex_settings().images
    name = f"{settings.prefix}/{image}:{settings.tag}"
    command = [
        *(engine, "build", "--file", f"containers/{image}/Dockerfile", "--tag", name),
        *("--build-arg", f"BASE_IMAGE={base}", "--build-arg", f"COMMIT={_commit()}"),
        # podman's own format has no HEALTHCHECK.
        *(["--format", "docker"] if Path(engine).name == "podman" else []),
    ]
    if image in WITH_TORCH:
        command += ["--build-arg", f"VARIANT={'gpu' if gpu else 'cpu'}"]
        if index := os.environ.get("TORCH_INDEX_URL"):
            command += ["--build-arg", f"TORCH_INDEX_URL={index}"]
        elif not gpu:
            command += ["--build-context", f"wheels={_torch_for_cpu()}"]
    print(f"Building {name}", flush=True)
    if subprocess.run([*command, "."], cwd=ROOT, check=False).returncode != 0:
        raise DoctuneError(f"{name} could not be built: the lines above say why.")
    return name


def _torch_for_cpu() -> Path:
    """Returns a folder with the torch that pip of this machine finds for CPU."""
    pinned = (ROOT / "containers/training/requirements-cpu.txt").read_text().splitlines()[-1]
    if not list(_WHEELS.glob(f"{pinned.replace('==', '-')}*+cpu*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--python-version", "3.11", "--implementation", "cp"]
        command += ["--platform", "manylinux_2_28_x86_64", "--dest", str(_WHEELS), pinned]
        if _run(command) != 0:
            raise DoctuneError(f"pip could not download {pinned}: its lines above say why.")
    return _WHEELS


def pinned_base() -> str:
    """Returns the base that the Dockerfiles pin."""
    text = (ROOT / "containers/ops/Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"^ARG BASE_IMAGE=(\S+)$", text, re.MULTILINE)
    if found is None:
        raise DoctuneError("containers/ops/Dockerfile pins no base: give BASE_IMAGE=IMAGE.")
    return found[1]


def _commit() -> str:
    """Returns the commit of the source, with "-dirty" where it was changed since."""
    done = subprocess.run(
        ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=limits.TOOL.seconds,
    )
    return done.stdout.strip() or "unknown"


def _is_here(engine: str, image: str) -> bool:
    return _run([engine, "image", "inspect", image], quiet=True) == 0


def _run(command: list[str], *, quiet: bool = False) -> int:
    errors = subprocess.DEVNULL if quiet else None
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=errors, check=False).returncode


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"of {', '.join(IMAGES)}")
    parser.add_argument("--engine", help="podman or docker; else the first that is installed")
    parser.add_argument("--base", help="base image; else the pinned one")
    parser.add_argument(
        "--gpu",
        action="store_true",
        help="serving and training with CUDA, in place of those for CPU",
    )
    options = parser.parse_args()
    if unknown := set(options.images) - set(IMAGES):
        parser.error(f"unknown image {', '.join(sorted(unknown))}: known are {', '.join(IMAGES)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
