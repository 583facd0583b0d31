"""Prompts keep within the model's context, with room for the answer, in asking and in scoring."""

from pathlib import Path

import pytest

from doctune.errors import EvaluationError
from doctune.evaluation.answers import AnswerCollector
from doctune.evaluation.context import fit_prompt
from doctune.evaluation.test_set import Example, load_test_set
from doctune.inference.completion import Completion
from doctune.inference.generation import TextGenerator
from doctune.inference.openvino_generator import OpenVinoGenerator
from tests.evaluation.tiny_models import make_row, write_rows

CONTEXT = 512  # of the tiny models


@pytest.fixture(scope="module")
def generator(base_dir: Path) -> TextGenerator:
    return TextGenerator.load(base_dir)


def long_example(words: int) -> Example:
    text = " ".join(f"oil{number}" for number in range(words)) + " what opens the valve?"
    return Example(
        index=0,
        prompt=({"role": "user", "content": text},),
        reference="The pump opens the valve.",
        kind="",
        passage="",
        source={},
    )


def test_a_prompt_that_fits_is_left_alone(generator: TextGenerator) -> None:
    example = long_example(3)
    assert fit_prompt(generator, example.prompt, 32) == example.prompt


def test_a_long_prompt_loses_its_start_and_keeps_template_and_question(
    generator: TextGenerator,
) -> None:
    kept = fit_prompt(generator, long_example(2000).prompt, 100)
    ids = generator.encode(kept)
    assert CONTEXT - 110 <= len(ids) <= CONTEXT - 100
    text = generator.tokenizer.decode(ids)
    assert text.startswith("<|start|>user")
    assert text.endswith("what opens the valve?<|end|>\n<|start|>assistant\n")


def test_earlier_turns_go_before_the_question_and_the_system_turn_stays(
    generator: TextGenerator,
) -> None:
    turns = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "oil " * 600},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "what opens the valve?"},
    ]
    assert fit_prompt(generator, turns, 64) == (turns[0], turns[3])


def test_answers_without_room_for_a_question_are_refused(generator: TextGenerator) -> None:
    with pytest.raises(EvaluationError, match=r"context of 512: lower evaluation\.max_new_tokens"):
        fit_prompt(generator, long_example(1).prompt, 511)


def test_no_model_is_asked_beyond_its_context(
    tmp_path: Path, base_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [make_row(number) for number in range(3)]
    rows[1]["messages"][0]["content"] = long_example(2000).question
    examples = load_test_set(write_rows(tmp_path / "test.jsonl", rows)).examples
    reached: list[Completion] = []
    generate = TextGenerator.generate

    def watched(self: TextGenerator, *args: object, **kwargs: object) -> list[Completion]:
        found = generate(self, *args, **kwargs)  # type: ignore[arg-type]
        reached.extend(found)
        return found

    monkeypatch.setattr(TextGenerator, "generate", watched)
    answers = AnswerCollector(
        "base", base_dir, examples, (), test_digest="x", max_new_tokens=40, batch_size=4
    ).answers()
    assert len(reached) == 3
    assert all(one.prompt_tokens + 40 <= CONTEXT for one in reached)
    assert answers.prompts_cut == 1


def test_the_engine_that_serves_answers_and_its_answers_are_kept_apart(
    tmp_path: Path, base_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = load_test_set(
        write_rows(tmp_path / "test.jsonl", [make_row(number) for number in range(3)])
    ).examples
    asked: list[str] = []
    generate = OpenVinoGenerator.generate

    def watched(self: OpenVinoGenerator, *args: object, **kwargs: object) -> list[Completion]:
        asked.append("openvino")
        return generate(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(OpenVinoGenerator, "generate", watched)
    of = {
        engine: AnswerCollector(
            "tuned",
            base_dir,
            examples,
            (),
            test_digest="y",
            max_new_tokens=8,
            batch_size=4,
            quiz=[example.prompt for example in examples],
            engine=engine,
        ).answers()
        for engine in ("openvino", "native")
    }
    assert asked == ["openvino"] * 2  # the examples, and the quiz
    assert [len(one.texts) for one in of.values()] == [3, 3]
    assert all(one.seconds > 0 for one in of["openvino"].completions)
    # Likelihoods are the model's, whoever answers.
    assert of["openvino"].likelihoods == of["native"].likelihoods
