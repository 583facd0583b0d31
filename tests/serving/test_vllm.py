"""The vLLM launcher: its command line, and the contract tests over an engine behind the front."""

import ast
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from doctune.processes import stop_process
from doctune.serving.options import ServingOptions, options_from
from doctune.serving.vllm_command import vllm_command, vllm_environment
from tests.serving.conftest import IN_VLLMS_PLACE, ROOT, Server, start_server
from tests.serving.contract import *  # noqa: F403 - over this module's server


@pytest.fixture(scope="module")
def server(artifact: Path) -> Iterator[Server]:
    """`--engine vllm`, with a program of the tests in vLLM's place."""
    started = start_server(str(artifact), "--engine", "vllm", environment=IN_VLLMS_PLACE)
    try:
        started.wait_until_ready()
        yield started
    finally:
        stop_process(started.process.pid)
        started.process.communicate(timeout=60)


def test_health_says_what_the_native_engine_says(server: Server) -> None:
    assert httpx.get(f"{server.url}/health").json() == {"status": "ready"}


def options(**more) -> ServingOptions:
    return ServingOptions(model_uri="gs://b/m", engine="vllm", port=9000, host="10.0.0.1", **more)


def test_the_command_line_of_a_merged_model() -> None:
    command = vllm_command(options(max_model_tokens=4096, max_batch_size=256), Path("/m/model"))
    assert command[1:] == [
        *("-m", "vllm.entrypoints.openai.api_server"),
        *("--host", "10.0.0.1", "--port", "9000"),
        *("--model", "/m/model", "--served-model-name", "tuned"),
        *("--dtype", "bfloat16", "--max-num-seqs", "256"),
        *("--generation-config", "vllm"),
        *("--gpu-memory-utilization", "0.9"),
        *("--max-model-len", "4096"),
        *("--enable-prefix-caching", "--middleware", "doctune.serving.front.Front"),
    ]


def test_the_command_line_of_a_base_with_adapters_in_fp8() -> None:
    command = vllm_command(
        options(quantization="fp8", adapters="a=/m/a,b=/m/b", max_lora_rank=32), Path("/m/base")
    )
    text = " ".join(command)
    assert "--quantization fp8 --enable-lora --max-loras 2 --max-lora-rank 32" in text
    assert "--lora-modules a=/m/a b=/m/b" in text


def test_the_environment_names_the_drivers_and_asks_nobody() -> None:
    made = vllm_environment(options(), {"LD_LIBRARY_PATH": "/x", "PATH": "/bin"})
    assert made["LD_LIBRARY_PATH"] == "/usr/local/nvidia/lib64:/usr/local/cuda/lib64:/x"
    assert made["VLLM_NO_USAGE_STATS"] == made["HF_HUB_OFFLINE"] == "1"
    assert made["PATH"] == "/bin"


@pytest.mark.parametrize("adapters", ["a", "=x", "a=", "a=/x,a=/y", "tuned=/x"])
def test_adapters_that_are_none_are_refused(adapters: str) -> None:
    with pytest.raises(Exception, match="NAME=FOLDER"):
        options_from({}, {"model_uri": "x", "adapters": adapters})


def test_without_vllm_the_program_says_so(artifact: Path) -> None:
    server = start_server(str(artifact), "--engine", "vllm")
    log = server.process.communicate(timeout=60)[1].decode()
    assert server.process.returncode == 1
    assert "vLLM is not installed here" in log


def test_the_front_imports_nothing_whose_version_is_the_engines() -> None:
    seen, todo = set(), ["doctune/serving/front.py"]
    while todo:
        path = ROOT / todo.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        for node in ast.parse(path.read_text()).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] not in ("fastapi", "starlette", "torch", "transformers")
                todo.append(name.replace(".", "/") + ".py")
