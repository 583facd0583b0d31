"""A killed evaluation goes on where it stopped and ends with the same numbers."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from doctune.evaluation.checkpoint import Checkpoint
from doctune.generation import TextGenerator
from tests.evaluation.test_evaluator import run
from tests.evaluation.tiny_models import make_row, write_rows

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
    whole = run(tmp_path / "whole", tuned_dir, test_path)
    out = tmp_path / "out"
    died = subprocess.run(
        [sys.executable, "-c", _DYING_EVALUATION, out, tuned_dir, test_path, "50"],
        check=False,
        capture_output=True,
        cwd=Path(__file__).parents[2],
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
    assert answered == [30]  # 40 of base and 10 of tuned had been answered
    timed = ("latency", "tokens_per_second")
    for name, value in whole.scores.items():
        if not name.startswith(timed):
            assert resumed.scores[name] == pytest.approx(value, rel=1e-5, abs=1e-9)
    assert not list((tmp_path / "cache" / "evaluations").glob("*.jsonl"))


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


def test_keeping_a_result_costs_less_than_a_millisecond() -> None:
    checkpoint = Checkpoint({"test": "speed"})
    started = time.monotonic()
    for position in range(1000):
        checkpoint.add("completion", position, {"text": "word " * 40})
    assert time.monotonic() - started < 1.0
