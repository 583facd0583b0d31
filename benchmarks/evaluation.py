"""Wall time of answering a test set: doctune against lm-evaluation-harness, side by side.

    python benchmarks/evaluation.py            # a table
    python benchmarks/evaluation.py --json     # and one last line of JSON with ratio_vs_lm_eval
    python benchmarks/evaluation.py --device cuda --examples 512

Both answer the same prompts (the same token ids, by the model's own chat template) with the same
weights in float32, greedily, with the same limit on new tokens, the same batch size and as many
threads, and both score the answers. Each runs in a process of its own; what is timed is answering
and scoring, without imports and without loading the model. They take turns, `--rounds` times, and
the medians are compared, so that a busy machine slows both; the time on the CPU, which a busy
machine changes little, is compared too. The answers must be the same: both are
greedy, and all but a few ties in the last bit of a float must agree, or the benchmark fails. On a
GPU both compute in bfloat16, where such ties are frequent: how many answers agree is told only.

lm-evaluation-harness is installed on the first run into a virtual environment of its own beside
doctune's cache; it sees this environment's torch and transformers, so both use the same.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

LM_EVAL = "lm-eval==0.4.13"
LEAST_AGREEMENT = 0.9

_PARTS = ("pump", "boiler", "filter", "valve", "gauge", "cartridge", "cover", "sensor")
_TASKS = (
    "How often should the {part} be cleaned, and with what?",
    "What is the {part} for?",
    "Name three things to check before opening the {part}.",
    "The {part} makes a noise. What should I do?",
)


def make_rows(count: int) -> list[dict[str, str]]:
    """Returns questions of the kinds that a test set holds: general ones, and about a passage."""
    from doctune.evaluation.general_prompts import general_examples

    general = [
        {"question": example.question, "reference": example.reference}
        for example in general_examples()
    ]
    rows = []
    for number in range(count):
        if number % 2:
            rows.append(general[number // 2 % len(general)])
            continue
        part = _PARTS[number // 2 % len(_PARTS)]
        task = _TASKS[number // 16 % len(_TASKS)].format(part=part)
        passage = (
            f"The {part} of series {number} is cleaned every {number % 7 + 2} weeks with warm "
            "water. Close the inlet first, wait until the pressure is gone, and wear gloves."
        )
        rows.append({"question": f"{passage * (number % 3)}\n{task}".strip(), "reference": passage})
    return rows


def answer_with_doctune(model: Path, rows: list[dict[str, str]], job: dict[str, Any]) -> None:
    """Answers and scores with doctune; writes seconds and answers to `job["out"]`."""
    from doctune.evaluation.metrics import compute_metrics
    from doctune.inference.generation import TextGenerator
    from doctune.inference.options import GenerationOptions

    generator = TextGenerator.load(model)
    started, cpu_started = time.perf_counter(), time.process_time()
    answers = generator.generate(
        [[{"role": "user", "content": row["question"]}] for row in rows],
        GenerationOptions(max_new_tokens=job["max_new_tokens"]),
        batch_size=job["batch_size"],
    )
    texts = [answer.text for answer in answers]
    compute_metrics(
        {
            "predictions": texts,
            "references": [row["reference"] for row in rows],
            "questions": [row["question"] for row in rows],
            "passages": [""] * len(rows),
        }
    )
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    tokens = sum(answer.completion_tokens for answer in answers)
    result = {"seconds": seconds, "cpu_seconds": cpu, "answers": texts, "tokens": tokens}
    Path(job["out"]).write_text(json.dumps(result), encoding="utf-8")


def answer_with_lm_eval(model: Path, rows: list[dict[str, str]], job: dict[str, Any]) -> None:
    """Answers and scores with lm-evaluation-harness, as a task of its own kind."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data.jsonl")
        _write_prompts(data, rows, tokenizer)
        task = {
            "task": "doctune_benchmark",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(data)}},
            "test_split": "test",
            "output_type": "generate_until",
            "doc_to_text": "{{prompt}}",
            "doc_to_target": "{{reference}}",
            "generation_kwargs": {
                "until": [tokenizer.eos_token],
                "max_gen_toks": job["max_new_tokens"],
                "do_sample": False,
            },
            "metric_list": [{"metric": "chrf"}, {"metric": "bleu"}],
        }
        model_of_lm_eval = HFLM(
            pretrained=str(model),
            dtype="float32" if job["device"] == "cpu" else "bfloat16",
            batch_size=job["batch_size"],
            device=job["device"],
        )
        started, cpu_started = time.perf_counter(), time.process_time()
        results = simple_evaluate(
            model=model_of_lm_eval,
            tasks=[task],
            task_manager=TaskManager(include_defaults=False),
            log_samples=True,
            bootstrap_iters=0,
        )
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    samples = sorted(results["samples"]["doctune_benchmark"], key=lambda one: one["doc_id"])
    answers = [sample["resps"][0][0].strip() for sample in samples]
    tokens = sum(len(tokenizer(answer, add_special_tokens=False).input_ids) for answer in answers)
    result = {"seconds": seconds, "cpu_seconds": cpu, "answers": answers, "tokens": tokens}
    Path(job["out"]).write_text(json.dumps(result), encoding="utf-8")


def _write_prompts(path: Path, rows: list[dict[str, str]], tokenizer: Any) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            messages = [{"role": "user", "content": row["question"]}]
            prompt = tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False
            )
            file.write(json.dumps({"prompt": prompt, "reference": row["reference"]}) + "\n")


_SIDES = {"doctune": answer_with_doctune, "lm_eval": answer_with_lm_eval}


def lm_eval_python(given: str) -> str:
    """Returns an interpreter that has lm-eval, installing it on the first run."""
    if given:
        return given
    from benchmarks.environments import python_with

    return str(python_with([LM_EVAL], beside_doctune=True))


def run_side(side: str, python: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs one side in a process of its own and returns what it measured."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.json")
        job = {
            "side": side,
            "model": arguments.model,
            "examples": arguments.examples,
            "max_new_tokens": arguments.max_new_tokens,
            "batch_size": arguments.batch_size,
            "device": arguments.device,
            "out": str(out),
        }
        root = str(Path(__file__).parents[1])
        environment = {
            **os.environ,
            **({"CUDA_VISIBLE_DEVICES": ""} if arguments.device == "cpu" else {}),
            "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
            "OMP_NUM_THREADS": str(arguments.threads),
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        command = [python, __file__, "--job", json.dumps(job)]
        done = subprocess.run(
            command,
            env=environment,
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
            timeout=3600,
        )
        if done.returncode:
            raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
        return json.loads(out.read_text(encoding="utf-8"))


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=64)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--lm-eval-python", default="", help="An interpreter that has lm-eval.")
    parser.add_argument("--json", action="store_true", help="Print one last line of JSON.")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        job = json.loads(arguments.job)
        _SIDES[job["side"]](Path(job["model"]), make_rows(job["examples"]), job)
        return
    from doctune.inference.base_model import resolve_base_model

    arguments.model = str(resolve_base_model(arguments.model))
    pythons = {"doctune": sys.executable, "lm_eval": lm_eval_python(arguments.lm_eval_python)}
    results: dict[str, list[dict[str, Any]]] = {side: [] for side in pythons}
    for number in range(arguments.rounds):
        for side, python in pythons.items():
            results[side].append(run_side(side, python, arguments))
            last = results[side][-1]
            print(
                f"round {number + 1}: {side:8} {last['seconds']:7.1f} s, "
                f"{last['cpu_seconds']:7.1f} s of CPU",
                flush=True,
            )
    report(results, arguments)


def report(results: dict[str, list[dict[str, Any]]], arguments: argparse.Namespace) -> None:
    """Prints the comparison; fails where the two did not give the same answers."""
    first = results["doctune"][0]
    pairs = list(zip(first["answers"], results["lm_eval"][0]["answers"], strict=True))
    agreement = sum(ours == theirs for ours, theirs in pairs) / len(pairs)
    per_1000, cpu_per_1000 = (
        {
            side: statistics.median(run[clock] for run in runs) / arguments.examples * 1000
            for side, runs in results.items()
        }
        for clock in ("seconds", "cpu_seconds")
    )
    ratio = per_1000["lm_eval"] / per_1000["doctune"]
    cpu_ratio = cpu_per_1000["lm_eval"] / cpu_per_1000["doctune"]
    for side, seconds in per_1000.items():
        speed = results[side][0]["tokens"] * 1000 / arguments.examples / seconds
        print(f"{side:8} {seconds:9.1f} s per 1,000 examples, {speed:8.0f} tokens/s")
    print(
        f"doctune is {ratio:.2f} times as fast, {cpu_ratio:.2f} times by CPU; "
        f"{agreement:.0%} of the answers are the same"
    )
    if arguments.json:
        line = {
            "ratio_vs_lm_eval": round(ratio, 3),
            "cpu_ratio_vs_lm_eval": round(cpu_ratio, 3),
            "seconds_per_1000": round(per_1000["doctune"], 1),
            "seconds_per_1000_lm_eval": round(per_1000["lm_eval"], 1),
            "same_answers": round(agreement, 3),
            "examples": arguments.examples,
            "tokens": first["tokens"],
            "tokens_lm_eval": results["lm_eval"][0]["tokens"],
            "device": arguments.device,
            "max_new_tokens": arguments.max_new_tokens,
            "batch_size": arguments.batch_size,
            "threads": arguments.threads,
        }
        print(json.dumps(line))
    if arguments.device == "cpu" and agreement < LEAST_AGREEMENT:
        raise SystemExit("The two did not answer the same: the times cannot be compared.")


if __name__ == "__main__":
    main()
