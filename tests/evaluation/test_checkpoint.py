"""A killed evaluation goes on where it stopped and ends with the same numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from doctune.evaluation.checkpoint import Checkpoint
from doctune.evaluation.options import Guardrail
from doctune.evaluation.score_card import read_card
from doctune.inference.generation import TextGenerator
from tests.evaluation.test_evaluator import OPTIONS, run
from tests.evaluation.tiny_models import make_row, write_rows, write_tuned

# Evaluates as the step does, but dies without warning after some answers, as a killed one does.
_DYING_EVALUATION = """
import os, sys
from pathlib import Path
from doctune.evaluation import checkpoint
from tests.evaluation.test_evaluator import run

kept = 0
add = checkpoint.Checkpoint.add

def add_then_die(self, kind, position, result):
    global kept
    add(self, kind, position, result)
    kept += kind == "completion"
    if kept == int(sys.argv[4]):
        with self.path.open("a") as file:
            file.write('{"kind": "completion", "posi')
        os._exit(9)

checkpoint.Checkpoint.add = add_then_die
run(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
"""


def test_a_killed_evaluation_goes_on_where_it_stopped(
    tmp_path: Path, tuned_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_path = write_rows(tmp_path / "test.jsonl", [make_row(number) for number in range(40)])
    monkeypatch.setenv("DOCTUNE_CACHE", str(tmp_path / "another-cache"))
    whole = run(tmp_path / "whole", tuned_dir, test_path)
    monkeypatch.setenv("DOCTUNE_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    died = subprocess.run(
        [sys.executable, "-c", _DYING_EVALUATION, out, tuned_dir, test_path, "50"],
        check=False,
        capture_output=True,
        cwd=Path(__file__).parents[2],
        timeout=300,
    )
    assert died.returncode == 9, died.stderr.decode()
    assert not out.exists()
    answered: list[int] = []
    generate = TextGenerator.generate

    def watched(self: TextGenerator, conversations: Any, *args: Any, **kwargs: Any) -> Any:
        answered.append(len(conversations))
        return generate(self, conversations, *args, **kwargs)

    monkeypatch.setattr(TextGenerator, "generate", watched)
    resumed = run(out, tuned_dir, test_path)
    # 40 of base and 10 of tuned had been answered; the questions after them had not been begun.
    assert answered[0] == 30
    assert answered[1:] == [80]
    timed = ("latency", "tokens_per_second")
    for name, value in whole.scores.items():
        if not name.startswith(timed):
            # Other questions share a batch, and float32 sums in another order.
            assert resumed.scores[name] == pytest.approx(value, rel=1e-4, abs=1e-9)
    # What is left is the base model's: it is as it was for the next tuned model.
    assert len(list((tmp_path / "cache" / "evaluations").glob("*.jsonl"))) == 1


def test_the_base_model_is_asked_once_for_many_tuned_models(
    tmp_path: Path,
    tuned_dir: Path,
    base_dir: Path,
    test_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[Path] = []
    load = TextGenerator.load

    def watched(folder: Path) -> TextGenerator:
        loaded.append(folder)
        return load(folder)

    monkeypatch.setattr(TextGenerator, "load", watched)
    second = write_tuned(tmp_path / "second", base_dir, seed=7)

    first_scores = run(tmp_path / "a", tuned_dir, test_path).scores
    second_scores = run(tmp_path / "b", second, test_path).scores

    assert loaded == [base_dir, tuned_dir / "model", second / "model"]
    for metric in ("perplexity", "chrf", "general_perplexity", "latency"):
        assert first_scores[f"{metric}_base"] == second_scores[f"{metric}_base"]
    kept = "kept from an earlier evaluation"
    assert kept not in read_card(tmp_path / "a" / "scores.json").provenance
    assert read_card(tmp_path / "b" / "scores.json").provenance[kept] == "answers and times of base"


def test_where_latency_decides_all_models_are_timed_together(
    tmp_path: Path, tuned_dir: Path, test_path: Path
) -> None:
    guard = Guardrail(metric="latency", max_loss=10.0)
    run(tmp_path, tuned_dir, test_path, OPTIONS.model_copy(update={"guardrails": (guard,)}))
    assert not list((tmp_path / "cache" / "evaluations").glob("*.jsonl"))


def test_only_the_latest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doctune.evaluation.checkpoint.KEPT", 2)
    checkpoints = [Checkpoint({"number": number}) for number in range(4)]
    for number, checkpoint in enumerate(checkpoints):
        checkpoint.add("score", 0, {"nll": 1.0})
        os.utime(checkpoint.path, (number, number))
    checkpoints[0].keep()  # used again, so it is the latest now
    assert [checkpoint.path.exists() for checkpoint in checkpoints] == [True, False, False, True]


def test_another_test_set_or_length_starts_anew() -> None:
    first = Checkpoint({"test": "a", "max_new_tokens": 8})
    first.add("completion", 0, {"text": "x"})
    assert Checkpoint({"max_new_tokens": 8, "test": "a"}).get("completion", 0) == {"text": "x"}
    assert Checkpoint({"test": "b", "max_new_tokens": 8}).get("completion", 0) is None
    first.remove()
    assert Checkpoint({"test": "a", "max_new_tokens": 8}).get("completion", 0) is None


def test_a_torn_line_is_dropped_and_the_next_is_whole() -> None:
    first = Checkpoint({"test": "torn"})
    first.add("score", 0, {"nll": 1.0})
    with first.path.open("a", encoding="utf-8") as file:
        file.write('{"kind": "score", "pos')
    second = Checkpoint({"test": "torn"})
    second.add("score", 1, {"nll": 2.0})
    third = Checkpoint({"test": "torn"})
    assert [third.get("score", i) for i in (0, 1)] == [{"nll": 1.0}, {"nll": 2.0}]
    for line in third.path.read_text().splitlines():
        json.loads(line)
