"""The one form of a grounded question."""

from doctune.digests import digest_value
from doctune.knowledge.prompt import PROMPT_VERSION, PromptPassage, grounded_prompt


def test_the_passages_are_numbered_and_the_question_comes_last() -> None:
    passages = [PromptPassage("Manual", 3, " Rinse it. "), PromptPassage("Warranty", 1, "Motor.")]

    prompt = grounded_prompt("How\noften?", passages)

    assert "[1] Manual, page 3\nRinse it.\n\n[2] Warranty, page 1\nMotor." in prompt
    assert prompt.endswith("\n\nQuestion: How often?")


def test_a_changed_form_is_a_new_version() -> None:
    form = grounded_prompt("Why?", [PromptPassage("A", 1, "b")])

    # Models trained on version 1 know this very text: raise PROMPT_VERSION when it changes.
    assert (PROMPT_VERSION, digest_value(form)[:12]) == (1, "0ebfe250cbc3")
