"""System messages reach a model whose chat template has no place for them."""

from pathlib import Path

import pytest

from doctune.inference.chat_template import knows_system_role, without_system_role
from doctune.inference.generation import TextGenerator
from doctune.training.examples import tokenize_conversations
from tests.serving.tiny_model import write_tiny_model

SYSTEM = {"role": "system", "content": "Answer in short."}
USER = {"role": "user", "content": "What does the pump have?"}
MERGED = {"role": "user", "content": "Answer in short.\n\nWhat does the pump have?"}
GEMMA_LIKE = (
    "{% for message in messages %}"
    "{% if message.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SILENT = GEMMA_LIKE.replace("{{ raise_exception('System role not supported') }}", "{% continue %}")


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> TextGenerator:
    folder: Path = write_tiny_model(tmp_path_factory.mktemp("model"))
    return TextGenerator.load(folder / "model")


@pytest.mark.parametrize("template", [GEMMA_LIKE, SILENT], ids=["refuses", "drops"])
def test_a_system_message_goes_in_front_of_the_first_user_turn(
    generator: TextGenerator, template: str
) -> None:
    generator.tokenizer.chat_template = template
    asked = TextGenerator(generator.model, generator.tokenizer)
    assert not knows_system_role(generator.tokenizer)
    assert asked.encode([SYSTEM, USER]) == asked.encode([MERGED])


def test_training_teaches_the_prompt_that_serving_asks(generator: TextGenerator) -> None:
    generator.tokenizer.chat_template = GEMMA_LIKE
    answer = {"role": "assistant", "content": "a seal"}
    taught = tokenize_conversations([[SYSTEM, USER, answer]], generator.tokenizer, 128)
    asked = TextGenerator(generator.model, generator.tokenizer).encode([SYSTEM, USER])
    assert taught.examples[0].input_ids[: len(asked)] == asked


def test_a_template_with_a_system_role_keeps_it(generator: TextGenerator) -> None:
    generator.tokenizer.chat_template = GEMMA_LIKE.replace(
        "{{ raise_exception('System role not supported') }}", ""
    )
    assert knows_system_role(generator.tokenizer)
    asked = TextGenerator(generator.model, generator.tokenizer)
    assert asked.fitted([SYSTEM, USER]) == [SYSTEM, USER]


def test_a_conversation_that_does_not_begin_with_the_user_is_left_as_it_is() -> None:
    messages = [SYSTEM, {"role": "assistant", "content": "Hello."}, USER]
    assert without_system_role(messages) == messages
