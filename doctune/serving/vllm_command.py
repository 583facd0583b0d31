"""The command line and environment that start vLLM for a model, without importing vLLM."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from doctune.errors import ModelError
from doctune.serving.options import ServingOptions

SERVED_NAME = "tuned"
OPTIONS_VARIABLE = "DOCTUNE_SERVING_OPTIONS"  # as JSON, for the front within vLLM's process
FRONT = "doctune.serving.front.Front"

_MODULE = "vllm.entrypoints.openai.api_server"
_DRIVERS = "/usr/local/nvidia/lib64:/usr/local/cuda/lib64"  # where Vertex AI puts them


def vllm_command(options: ServingOptions, weights: Path) -> list[str]:
    """Returns the command that serves a folder of weights.

    With adapters, the weights are their shared base, and each adapter is a model of its own name.
    """
    command = [sys.executable, "-m", _MODULE]
    command += ["--host", options.host, "--port", str(options.port)]
    command += ["--model", str(weights), "--served-model-name", SERVED_NAME]
    command += ["--dtype", "bfloat16", "--max-num-seqs", str(options.max_batch_size)]
    # Without it, requests without sampling parameters would use those of generation_config.json.
    command += ["--generation-config", "vllm"]
    command += ["--gpu-memory-utilization", f"{options.gpu_memory_share:g}"]
    if options.max_model_tokens:
        command += ["--max-model-len", str(options.max_model_tokens)]
    if options.quantization:
        command += ["--quantization", options.quantization]
    adapters = options.adapter_folders
    if adapters:
        command += ["--enable-lora", "--max-loras", str(len(adapters))]
        command += ["--max-lora-rank", str(options.max_lora_rank)]
        command += ["--lora-modules", *(f"{name}={path}" for name, path in adapters.items())]
    return [*command, "--enable-prefix-caching", "--middleware", FRONT]


def vllm_environment(options: ServingOptions, environment: Mapping[str, str]) -> dict[str, str]:
    """Returns vLLM's environment: no telemetry, no downloads, and the drivers' path."""
    known = environment.get("LD_LIBRARY_PATH", "")
    return {
        **environment,
        OPTIONS_VARIABLE: options.model_dump_json(),
        "LD_LIBRARY_PATH": f"{_DRIVERS}:{known}" if known else _DRIVERS,
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }


def run_vllm(options: ServingOptions, weights: Path) -> NoReturn:
    """Replaces this process by vLLM, so that it gets the signals and sets the exit code.

    Raises:
        ModelError: vLLM is not installed.
    """
    if importlib.util.find_spec("vllm") is None:
        raise ModelError(
            "vLLM is not installed here: use an image that has it, or --engine native."
        )
    command = vllm_command(options, weights)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, vllm_environment(options, os.environ))  # noqa: S606 - no shell
