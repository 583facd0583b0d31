"""Overlays: the environments of steps and jobs."""

import json
import os
import subprocess
from pathlib import Path

from doctune.runner.overlay import OUTSIDE_VARIABLE, make_overlay, overlay_environment

PROXY = "http://127.0.0.1:9"


def test_the_pip_of_an_environment_within_an_overlay_reaches_its_index_too(tmp_path: Path) -> None:
    overlay, inner = tmp_path / "overlay", tmp_path / "inner"
    make_overlay(overlay)
    outside = json.dumps({"https_proxy": "http://outside:1"})
    environment = overlay_environment(
        {"PATH": os.defpath, "https_proxy": PROXY, OUTSIDE_VARIABLE: outside}, overlay
    )
    make = [overlay / "bin" / "python", "-m", "venv", "--without-pip", inner]
    subprocess.run(make, env=environment, check=True, timeout=60)

    # What stands for pip is a module of its name that shows which proxy it was given.
    (packages,) = inner.glob("lib/python*/site-packages")
    (packages / "pip.py").write_text("import os; print(os.environ.get('https_proxy'))\n")
    (packages / "other.py").write_text("import os; print(os.environ.get('https_proxy'))\n")
    shown = [
        subprocess.run(
            [inner / "bin" / "python", "-m", module],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout.strip()
        for module in ("pip", "other")
    ]
    assert not any(packages.glob("*outer*"))
    assert shown == ["http://outside:1", PROXY]


def test_an_environment_that_asks_for_the_systems_packages_sees_the_overlays(
    tmp_path: Path,
) -> None:
    overlay, inner = tmp_path / "overlay", tmp_path / "inner"
    make_overlay(overlay)
    (packages,) = overlay.glob("lib/python*/site-packages")
    (packages / "installed_before.py").write_text("")
    environment = overlay_environment({"PATH": os.defpath}, overlay)
    make = [overlay / "bin" / "python", "-m", "venv", "--without-pip", inner]
    subprocess.run([*make, "--system-site-packages"], env=environment, check=True, timeout=60)
    look = "import installed_before, kfp"
    subprocess.run([inner / "bin" / "python", "-c", look], env=environment, check=True, timeout=60)
