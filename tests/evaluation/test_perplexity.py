"""Perplexity is that of the answer's tokens alone, whatever the batch."""

import math
from pathlib import Path

import pytest
import torch

from doctune.evaluation import perplexity
from doctune.evaluation.bootstrap import Bootstrap
from doctune.evaluation.comparison import compare, likelihood_sample
from doctune.evaluation.perplexity import answer_tokens, plan_batches, score_answers
from doctune.evaluation.samples import bits_sample
from doctune.evaluation.test_set import load_test_set
from doctune.inference.generation import TextGenerator
from tests.evaluation.tiny_models import write_model


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
    monkeypatch.setattr(generator.model.config, "max_position_embeddings", 48)
    examples = load_test_set(test_path).examples[:2]
    for scored in score_answers(generator, examples):
        assert math.isfinite(scored.nll)
        assert scored.tokens < 48


def test_models_with_different_tokenizers_are_not_compared_by_perplexity(
    tmp_path: Path, base_dir: Path, test_path: Path
) -> None:
    """The same model, whose tokenizer cuts words into smaller pieces, would look better."""
    other = write_model(tmp_path / "other", seed=0, vocabulary=280)
    examples = load_test_set(test_path).examples
    likelihoods = {
        name: score_answers(TextGenerator.load(folder), examples)
        for name, folder in (("base", base_dir), ("tuned", other))
    }
    samples = {
        name: {
            "perplexity": likelihood_sample(found),
            "bits_per_byte": bits_sample([x.nll for x in found], [x.size for x in found]),
        }
        for name, found in likelihoods.items()
    }
    bootstrap = Bootstrap(resamples=200, confidence=0.95, seed=0)
    assert sum(x.tokens for x in likelihoods["tuned"]) > sum(x.tokens for x in likelihoods["base"])
    assert [gain.metric for gain in compare(samples, bootstrap).gains] == ["bits_per_byte"]
    same = {"base": samples["base"], "tuned": dict(samples["base"])}
    assert {gain.metric for gain in compare(same, bootstrap).gains} == set(samples["base"])


def test_bits_a_byte_are_those_of_the_text(generator: TextGenerator, test_path: Path) -> None:
    (example,) = load_test_set(test_path).examples[:1]
    (scored,) = score_answers(generator, [example])
    assert scored.size == len(example.reference.encode())
    bits = bits_sample([scored.nll], [scored.size]).value
    assert bits == pytest.approx(scored.nll / math.log(2) / len(example.reference))
