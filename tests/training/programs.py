"""Training as a program of its own, to be killed, told to end, or joined by others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def start_training(
    data: tuple[Path, Path],
    model_dir: Path,
    options: dict[str, Any],
    environment: dict[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Starts `python -m doctune.training`; its log is on standard error."""
    command = [
        *(sys.executable, "-W", "ignore", "-m", "doctune.training", "--train", data[0]),
        *("--validation", data[1], "--model-dir", model_dir, "--options", json.dumps(options)),
    ]
    return subprocess.Popen(
        [str(part) for part in command],
        env={**os.environ, **ENVIRONMENT, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def cluster(index: int, port: int) -> dict[str, str]:
    """What Vertex AI tells a worker of a job with two."""
    pools = {"workerpool0": [f"127.0.0.1:{port}"], "workerpool1": ["127.0.0.1:1"]}
    task = {"type": f"workerpool{index}", "index": 0, "trial": ""}
    return {"CLUSTER_SPEC": json.dumps({"cluster": pools, "environment": "cloud", "task": task})}


def adapter_weights(model_dir: Path) -> dict[str, Any]:
    """Returns the tensors of a trained adapter."""
    from safetensors.torch import load_file

    return dict(load_file(model_dir / "adapter/adapter_model.safetensors"))
