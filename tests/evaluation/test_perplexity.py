"""Perplexity is that of the answer's tokens alone, whatever the batch."""

import math
from pathlib import Path

import pytest
import torch

from doctune.evaluation import perplexity
from doctune.evaluation.perplexity import answer_tokens, plan_batches, score_answers
from doctune.evaluation.test_set import load_test_set
from doctune.inference.generation import TextGenerator


@pytest.fixture(scope="module")
def generator(base_dir: Path) -> TextGenerator:
    return TextGenerator.load(base_dir)


def test_the_answer_is_its_text_and_the_end_of_turn(
    generator: TextGenerator, test_path: Path
) -> None:
    example = load_test_set(test_path).examples[0]
    prompt, answer = answer_tokens(generator, example)
    decode = generator.tokenizer.decode
    assert decode(prompt) == f"<|start|>user\n{example.question}<|end|>\n<|start|>assistant\n"
    assert decode(answer) == f"{example.reference}<|end|>"


def test_likelihoods_equal_a_plain_forward_pass_of_each_example(
    generator: TextGenerator, test_path: Path
) -> None:
    examples = load_test_set(test_path).examples
    for example, scored in zip(examples, score_answers(generator, examples), strict=True):
        prompt, answer = answer_tokens(generator, example)
        with torch.inference_mode():
            logits = generator.model(torch.tensor([prompt + answer])).logits[0]
        logs = logits.log_softmax(-1)
        expected = -sum(float(logs[len(prompt) + i - 1, token]) for i, token in enumerate(answer))
        assert scored.nll == pytest.approx(expected, rel=1e-4)
        assert scored.tokens == len(answer)


def test_a_random_model_is_about_as_surprised_as_by_a_uniform_one(
    generator: TextGenerator, test_path: Path
) -> None:
    scored = score_answers(generator, load_test_set(test_path).examples)
    mean = sum(item.nll for item in scored) / sum(item.tokens for item in scored)
    assert mean > 0.5 * math.log(generator.model.config.vocab_size)


def test_batches_hold_every_row_once_within_the_bounds() -> None:
    lengths = [5, 900, 30, 30, 2000, 5000, 7, 64]
    answers = [2, 100, 10, 10, 900, 1200, 3, 60]
    batches = plan_batches(lengths, answers)
    assert sorted(index for batch in batches for index in batch) == list(range(8))
    for batch in batches:
        width = max(lengths[index] for index in batch)
        kept = max(answers[index] for index in batch) + 1
        assert len(batch) == 1 or len(batch) * width <= perplexity.MAX_BATCH_TOKENS
        assert len(batch) == 1 or len(batch) * kept <= perplexity.MAX_LOGIT_ROWS


def test_an_example_longer_than_the_context_keeps_its_answer(
    generator: TextGenerator, test_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator.model.config, "max_position_embeddings", 24)
    examples = load_test_set(test_path).examples[:2]
    for scored in score_answers(generator, examples):
        assert math.isfinite(scored.nll)
        assert scored.tokens < 24
