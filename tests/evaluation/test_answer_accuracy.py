"""Right and wrong by rules, against 300 answers that a reader marked before the rules were written.

The marks are never changed to fit the rules. A third of the questions was held out until the rules
stood: then kappa was 0.90 on it, and two faults that it showed were mended: a denial after a comma
and "which", and a plain "Yes" with words of its own.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from doctune.evaluation.answer_accuracy import derive_key_facts, grade_answer
from doctune.evaluation.questions import Question, load_questions

HERE = Path(__file__).parent
FILES = ("marked_pairs.jsonl", "marked_pairs_held_out.jsonl")
QUESTIONS = load_questions(HERE.parents[1] / "samples" / "questions.jsonl")


def marked(*names: str) -> list[dict[str, Any]]:
    lines = [line for name in names for line in (HERE / name).open(encoding="utf-8")]
    return [json.loads(line) for line in lines]


def agreement(pairs: list[dict[str, Any]]) -> float:
    """Cohen's kappa of the rules with the reader."""
    human = [pair["right"] for pair in pairs]
    rules = [
        grade_answer(
            pair["question"],
            pair["answer"],
            reference=pair["reference"],
            key_facts=pair["key_facts"],
            expects="refusal" if pair["kind"] == "unanswerable" else "answer",
        ).right
        for pair in pairs
    ]
    count = len(pairs)
    observed = sum(a == b for a, b in zip(human, rules, strict=True)) / count
    both = sum(human) * sum(rules) + (count - sum(human)) * (count - sum(rules))
    by_chance = both / count**2
    return (observed - by_chance) / (1 - by_chance)


def test_rules_agree_with_a_reader_on_300_answers() -> None:
    pairs = marked(*FILES)
    assert len(pairs) == 300
    assert len({pair["kind"] for pair in pairs}) >= 10
    assert len({pair["document"] for pair in pairs}) >= 8
    assert 0.4 < sum(pair["right"] for pair in pairs) / 300 < 0.6
    assert agreement(pairs) >= 0.9


def test_they_agree_on_the_third_that_was_held_out() -> None:
    held_out = marked(FILES[1])
    assert len(held_out) >= 100
    assert not {p["question"] for p in held_out} & {p["question"] for p in marked(FILES[0])}
    assert agreement(held_out) >= 0.9


def test_kappa_tells_a_marker_of_no_worth() -> None:
    pairs = marked(*FILES)
    assert agreement([{**pair, "answer": pair["reference"]} for pair in pairs]) < 0.1


@pytest.mark.parametrize("entry", QUESTIONS, ids=lambda entry: entry.question)
def test_the_reference_of_each_sample_question_is_right(entry: Question) -> None:
    grade = grade_answer(
        entry.question,
        entry.answer,
        reference=entry.answer,
        key_facts=entry.key_facts,
        expects=entry.expects,
    )
    assert grade.right, grade


def test_hardly_any_answer_to_another_question_is_taken_for_right() -> None:
    asked = [entry for entry in QUESTIONS if entry.expects != "refusal"]
    taken = [
        grade_answer(
            entry.question,
            other.answer,
            reference=entry.answer,
            key_facts=entry.key_facts,
        ).right
        for entry in asked
        for other in asked
        if other is not entry
    ]
    assert sum(taken) / len(taken) < 0.02  # some do answer: two ask for the same price


def test_an_answer_where_none_is_wanted_is_wrong_and_a_refusal_right() -> None:
    refused = grade_answer("who?", "The documents do not say.", reference="-", expects="refusal")
    assert refused.right
    assert refused.refused
    assert not grade_answer("who?", "Ann Lee.", reference="-", expects="refusal").right


def test_a_refusal_of_what_the_documents_answer_is_marked_as_one() -> None:
    grade = grade_answer(
        "How long?", "The documents do not say.", reference="10 minutes.", key_facts=["10 minutes"]
    )
    assert not grade.right
    assert grade.refused
    assert grade.missing == ("10 minutes",)


def test_two_numbers_for_one_contradict() -> None:
    grade = grade_answer(
        "How often?", "Every 90 or 180 days.", reference="Every 90 days.", key_facts=["90 days"]
    )
    assert grade.contradicted == ("180 days",)


def test_without_key_facts_they_are_read_from_the_reference() -> None:
    reference = "The tank TK-40 holds 120 litres instead of 90."
    assert derive_key_facts("How much does the tank hold?", reference) == ("120 litres", "tk40")
    assert grade_answer("How much?", "TK-40: 120 l", reference=reference).right
    assert not grade_answer("How much?", "TK-40: 90 l", reference=reference).right


def test_a_reference_without_numbers_and_names_needs_most_of_its_words() -> None:
    reference = "Close the inlet and let the cistern drain."
    question = "What do I do first?"
    assert grade_answer(question, "Close the inlet, then drain the cistern.", reference=reference)
    assert not grade_answer(question, "Open the door.", reference=reference).right
