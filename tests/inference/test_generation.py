"""Answers equal those of transformers' own `generate`, in any batch, with less work."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

from doctune.errors import ModelError
from doctune.inference import decoding
from doctune.inference.completion import Completion
from doctune.inference.decoding import SLACK_COLUMNS
from doctune.inference.generation import TextGenerator
from doctune.inference.onednn import PackedLinear
from doctune.inference.options import GenerationOptions
from doctune.inference.slot_cache import SlotCache
from tests.evaluation.tiny_models import write_model

GREEDY = GenerationOptions(max_new_tokens=12)
QUESTIONS = [
    "What does the valve hold?",
    "How?",
    "When does the engine of the red pump turn, and which seal is to clean before it turns?",
    "Which oil?",
    "What does the filter do when the water is green?",
    "How many litre of oil are in the engine?",
]
CONVERSATIONS = [
    [{"role": "system", "content": "You answer in short."}, {"role": "user", "content": question}]
    for question in QUESTIONS
]


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> TextGenerator:
    generator = TextGenerator.load(write_model(tmp_path_factory.mktemp("model"), seed=5))
    # A random model hardly ever ends its turn: let some frequent token do so as well.
    generator.model.generation_config.eos_token_id = [1, *range(300, 330)]
    return generator


def reference_answers(generator: TextGenerator, max_new_tokens: int) -> list[str]:
    texts = []
    for messages in CONVERSATIONS:
        ids = generator.encode(messages)
        output = generator.model.generate(
            input_ids=torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=generator.tokenizer.pad_token_id,
        )
        tokens = output[0, len(ids) :].tolist()
        end = next((i for i, t in enumerate(tokens) if t in generator.stop_tokens()), len(tokens))
        texts.append(generator.tokenizer.decode(tokens[:end], skip_special_tokens=True).strip())
    return texts


@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_greedy_answers_are_those_of_transformers(
    generator: TextGenerator, batch_size: int
) -> None:
    answers = generator.generate(CONVERSATIONS, GREEDY, batch_size=batch_size)
    assert [answer.text for answer in answers] == reference_answers(generator, 12)


def test_answers_end_at_different_lengths_and_say_why(generator: TextGenerator) -> None:
    answers = generator.generate(CONVERSATIONS, GREEDY)
    assert len({answer.completion_tokens for answer in answers}) > 1
    for answer in answers:
        assert answer.finish_reason == ("length" if answer.completion_tokens == 12 else "stop")


def test_an_answer_that_has_ended_is_no_longer_computed(
    generator: TextGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = watch(generator, monkeypatch)
    answers = generator.generate(CONVERSATIONS, GREEDY)
    prefix, prompts, *steps = [rows * tokens for rows, tokens in shapes]
    encoded = [generator.encode(messages) for messages in CONVERSATIONS]
    assert prefix >= 8
    assert prompts == len(encoded) * (max(map(len, encoded)) - prefix)
    assert sum(steps) < sum(answer.completion_tokens for answer in answers) + len(answers)


def test_each_answer_is_handed_over_as_soon_as_it_is_complete(generator: TextGenerator) -> None:
    seen: dict[int, Completion] = {}
    order: list[int] = []

    def keep(index: int, answer: Completion) -> None:
        order.append(index)
        seen[index] = answer

    answers = generator.generate(CONVERSATIONS, GREEDY, on_answer=keep)
    assert [seen[index] for index in range(len(answers))] == answers
    lengths = [answers[index].completion_tokens for index in order]
    assert lengths == sorted(lengths)


def test_a_seeded_answer_does_not_depend_on_its_batch(generator: TextGenerator) -> None:
    options = GenerationOptions(max_new_tokens=8, temperature=1.0, top_p=0.9, seed=7)
    together = generator.generate(CONVERSATIONS, options)
    alone = [generator.generate([messages], options)[0] for messages in CONVERSATIONS]
    assert together == alone
    other = GenerationOptions(max_new_tokens=8, temperature=1.0, top_p=0.9, seed=8)
    assert generator.generate(CONVERSATIONS, other) != together


def test_without_a_seed_answers_vary(generator: TextGenerator) -> None:
    options = GenerationOptions(max_new_tokens=12, temperature=1.5)
    assert len({generator.generate(CONVERSATIONS[:1], options)[0].text for _ in range(8)}) > 1


def watch(generator: TextGenerator, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Notes the shape of each forward pass: rows, tokens a row."""
    shapes: list[tuple[int, int]] = []
    forward = generator.model.forward

    def watched(*args: Any, **kwargs: Any) -> Any:
        shapes.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    monkeypatch.setattr(generator.model, "forward", watched)
    return shapes


def test_waiting_prompts_take_the_place_of_answers_that_have_ended(
    generator: TextGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = generator.generate(CONVERSATIONS * 4, GREEDY, batch_size=1)
    shapes = watch(generator, monkeypatch)

    answers = generator.generate(CONVERSATIONS * 4, GREEDY, batch_size=4)

    assert answers == expected
    steps = [rows for rows, tokens in shapes if tokens == 1]
    assert max(steps) == 4
    assert sum(steps) <= sum(answer.completion_tokens for answer in answers)
    # Where batches were answered one after the other, each would end with few rows.
    assert len(steps) < 0.75 * len(answers) / 4 * GREEDY.max_new_tokens
    assert sum(rows == 4 for rows in steps) > len(steps) / 2


def test_the_cache_keeps_to_its_bound(
    generator: TextGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = generator.generate(CONVERSATIONS, GREEDY)
    longest = max(answer.prompt_tokens for answer in expected)
    per_token = 2 * 2 * 2 * 8 * 4  # keys and values, layers, heads, size of a head, float32
    row = longest + GREEDY.max_new_tokens + SLACK_COLUMNS
    monkeypatch.setattr(generator, "cache_bytes", 2 * row * per_token)
    shapes = watch(generator, monkeypatch)

    answers = generator.generate(CONVERSATIONS, GREEDY)

    assert answers == expected
    assert max(rows for rows, _ in shapes) == 2


def test_a_long_run_moves_its_cache_to_the_front(
    generator: TextGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = generator.generate(CONVERSATIONS * 3, GREEDY, batch_size=2)
    moved: list[int] = []
    trim = SlotCache.trim

    def watched(cache: SlotCache, columns: int) -> None:
        moved.append(columns)
        trim(cache, columns)

    monkeypatch.setattr(decoding, "SLACK_COLUMNS", 1)
    monkeypatch.setattr(SlotCache, "trim", watched)

    assert generator.generate(CONVERSATIONS * 3, GREEDY, batch_size=2) == expected
    assert moved


@pytest.mark.parametrize("batch_size", [2, 16])
def test_a_model_that_sees_only_the_last_tokens_answers_as_in_transformers(
    generator: TextGenerator, batch_size: int
) -> None:
    torch.manual_seed(3)
    config = MistralConfig(
        vocab_size=len(generator.tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=9,
        eos_token_id=1,
    )
    windowed = TextGenerator(MistralForCausalLM(config).eval(), generator.tokenizer)

    answers = windowed.generate(CONVERSATIONS, GREEDY, batch_size=batch_size)

    assert [answer.text for answer in answers] == reference_answers(windowed, 12)


def test_nothing_to_answer_is_no_answers(generator: TextGenerator) -> None:
    assert generator.generate([]) == []


def test_packed_layers_compute_what_the_plain_ones_do() -> None:
    torch.manual_seed(0)
    for bias in (True, False):
        plain = torch.nn.Linear(96, 160, bias=bias)
        packed = PackedLinear(plain)
        with torch.inference_mode():
            for shape in ((1, 96), (2, 7, 96), (300, 96)):
                rows = torch.randn(shape)
                torch.testing.assert_close(packed(rows), plain(rows), rtol=1e-5, atol=1e-5)


def test_the_loaded_model_keeps_no_plain_layer_on_x86(generator: TextGenerator) -> None:
    kinds = {type(module) for module in generator.model.modules()}
    if PackedLinear in kinds:
        assert torch.nn.Linear not in kinds


def test_a_folder_without_a_model_is_one_plain_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model that can be loaded") as raised:
        TextGenerator.load(tmp_path / "nothing")
    assert "\n" not in str(raised.value)
