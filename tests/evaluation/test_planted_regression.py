"""A model that is worse on one kind of question and better on average is caught, end to end."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from doctune.evaluation.perplexity import answer_tokens
from doctune.evaluation.score_card import read_card
from doctune.evaluation.test_set import load_test_set
from doctune.inference.generation import TextGenerator
from doctune.publishing import write_manifest
from tests.evaluation.test_evaluator import run
from tests.evaluation.tiny_models import make_row, make_tokenizer, write_rows

BASE_STEPS, TUNED_STEPS = 12, 8
WORSE_KIND = "table"


def teach(base_dir: Path, folder: Path, rows: list[dict[str, Any]], steps: int) -> Path:
    """Trains a copy of a model on the rows, answers only, and writes it as `tune_model` does."""
    from transformers import AutoModelForCausalLM

    folder.mkdir()
    reader = TextGenerator.load(base_dir)
    path = write_rows(folder / "taught.jsonl", rows)
    encoded = [answer_tokens(reader, example) for example in load_test_set(path).examples]
    width = max(len(prompt) + len(answer) for prompt, answer in encoded)
    ids = torch.zeros((len(encoded), width), dtype=torch.long)
    labels = torch.full_like(ids, -100)
    for line, wanted, (prompt, answer) in zip(ids, labels, encoded, strict=True):
        line[: len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        wanted[len(prompt) : len(prompt) + len(answer)] = torch.tensor(answer)
    model: Any = AutoModelForCausalLM.from_pretrained(base_dir, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(steps):
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder / "model")
    make_tokenizer().save_pretrained(folder / "model")
    record = {"base_model": str(base_dir), "base_model_digest": ""}
    (folder / "training.json").write_text(json.dumps(record), encoding="utf-8")
    write_manifest(folder)
    return folder


@pytest.fixture(scope="module")
def learner(
    tmp_path_factory: pytest.TempPathFactory, base_dir: Path, rows: list[dict[str, Any]]
) -> Path:
    """A base model that knows a little of everything, so that there is something to lose."""
    folder = tmp_path_factory.mktemp("learner") / "base"
    return teach(base_dir, folder, rows, BASE_STEPS) / "model"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    rows = [make_row(number) for number in range(48)]
    for number, row in enumerate(rows):
        # Questions that tell their kind, as real ones do.
        row["messages"][0]["content"] = f"{row['kind']}: {row['messages'][0]['content']}"
        if row["kind"] == WORSE_KIND:
            row["messages"][1]["content"] = f"{number} litre | red | {number + 1} bolt"
    return rows


def test_a_planted_regression_is_caught_with_its_slice_named(
    tmp_path: Path, learner: Path, rows: list[dict[str, Any]]
) -> None:
    others = [row for row in rows if row["kind"] != WORSE_KIND]
    # What is not taught any more is forgotten while the rest improves.
    model_dir = teach(learner, tmp_path / "worse", others, TUNED_STEPS)
    test_path = write_rows(tmp_path / "test.jsonl", rows)
    evaluation = run(tmp_path / "out", model_dir, test_path)
    assert evaluation.scores["perplexity_gain_low"] > 0.1  # better on average, beyond chance
    assert (evaluation.outcome, evaluation.passed) == ("lose", False)
    assert f"but on the slice kind {WORSE_KIND} (16 examples)" in evaluation.reason
    card = read_card(tmp_path / "out" / "scores.json")
    assert card.worst_slice == f"kind {WORSE_KIND}"
    page = (tmp_path / "out" / "report.html").read_text()
    assert f'id="worst-slice">kind {WORSE_KIND}<' in page


def test_a_model_that_is_better_everywhere_is_released(
    tmp_path: Path, learner: Path, rows: list[dict[str, Any]]
) -> None:
    model_dir = teach(learner, tmp_path / "better", rows, TUNED_STEPS)
    test_path = write_rows(tmp_path / "test.jsonl", rows)
    evaluation = run(tmp_path / "out", model_dir, test_path)
    assert (evaluation.outcome, evaluation.passed) == ("no_incumbent", True)
    assert evaluation.scores["perplexity_gain_low"] > 0
