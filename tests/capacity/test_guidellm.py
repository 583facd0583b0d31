"""Our load test beside GuideLLM's, on a server whose speed is known: they agree within 5 %.

Opt-in: DOCTUNE_GUIDELLM names the program, in an environment of its own (`pip install guidellm`).
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from doctune.capacity.bench import BenchOptions, measure
from doctune.capacity.slo import parse_slo
from doctune.capacity.targets import AddressTarget
from tests.capacity.fake_model import slow_server
from tests.serving.tiny_model import write_tiny_model

PROGRAM = os.environ.get("DOCTUNE_GUIDELLM", "")
SECONDS = 20


@pytest.mark.skipif(not PROGRAM, reason="DOCTUNE_GUIDELLM names no program of GuideLLM")
def test_both_measure_the_same_server_alike(tmp_path: Path) -> None:
    tokenizer = write_tiny_model(tmp_path / "model") / "model"
    with slow_server(1.0, at_once=100) as address:
        _, (ours,) = measure(
            AddressTarget(address),
            [[{"role": "user", "content": "How?"}]],
            parse_slo("e2e_p95=5s"),
            BenchOptions(rates=(2.0,), seconds=SECONDS),
        )
        theirs = guidellm(address.partition("/v1")[0], tokenizer, tmp_path / "guidellm.json")

    assert ours.ttft.p50 == pytest.approx(theirs["time_to_first_token_ms"] / 1000, rel=0.05)
    assert ours.e2e.p50 == pytest.approx(theirs["request_latency"], rel=0.05)


def guidellm(url: str, tokenizer: Path, out: Path) -> dict[str, float]:
    """Returns the medians that GuideLLM finds at two requests a second."""
    command = [PROGRAM, "run", "--backend", f"kind=openai_http,target={url},model=tuned"]
    command += ["--profile", "kind=constant,rate=2"]
    command += ["--constraint", f"kind=max_duration,seconds={SECONDS}"]
    command += ["--tokenizer", f"kind=hf_auto,model={tokenizer}"]
    command += ["--data", "kind=synthetic_text,prompt_tokens=16,output_tokens=4"]
    command += ["--output", f"kind=json,path={out}", "--disable-console"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (benchmark,) = json.loads(out.read_text())["benchmarks"]
    metrics = benchmark["metrics"]
    return {
        name: metrics[name]["successful"]["median"]
        for name in ("time_to_first_token_ms", "request_latency")
    }
