"""What is taken out, and under which name it is counted."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doctune.dataset import DatasetOptions, cleaning
from doctune.dataset.cleaning import (
    Deduplicator,
    NearIndex,
    drop_ambiguous,
    filter_facts,
    limit_kinds,
    shingles,
    similarity,
)
from doctune.dataset.records import Example, Fact
from doctune.dataset.tokens import TokenCounter

LONG = (
    "The sluice of the upper pond is opened by the keeper at dawn on every market day so that "
    "the millers below may grind the corn that was brought in during the night before"
)


def fact(answer: str, *questions: str, kind: str = "fact") -> Fact:
    return Fact(
        kind=kind,
        questions=questions or (f"What about {answer[:20]}?",),
        answer=answer,
        passage=answer,
        pages=(1,),
        heading=(),
        block=0,
    )


def example(question: str, answer: str, doc_id: str, kind: str = "fact") -> Example:
    return Example(question, answer, kind, answer, (1,), (), doc_id, f"{doc_id}.pdf", 0, 0)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("!!!", "too_short"),
        ("word " * 400, "too_long"),
        ("The value is \ufffd\ufffd of the lot.", "garbled"),
        ("(cid:12)(cid:13) is the name of the lot.", "garbled"),
        ("x q k z = p r t s", "garbled"),
        ("abc ====++++^^^^~~~~ ####@@@@ abc", "symbols"),
    ],
)
def test_unfit_answers_are_counted_by_reason(answer: str, reason: str) -> None:
    removed: Counter[str] = Counter()

    kept = list(filter_facts([fact(answer)], DatasetOptions(), TokenCounter(), removed))

    assert not kept
    assert removed == {reason: 1}


@pytest.mark.parametrize(
    "answer", ["Yes.", "毎朝必ず弁を開けること。", "Он открыт утром.", "DR-10: 31 €"]
)
def test_short_answers_of_any_script_are_fit(answer: str) -> None:
    assert list(filter_facts([fact(answer)], DatasetOptions(), TokenCounter(), Counter()))


def test_a_text_may_answer_several_questions_of_one_owner() -> None:
    seen = Deduplicator(0.85, most_questions=6)

    assert seen.admit(fact(LONG, "What?"), "a") == ("What?",)
    assert seen.admit(fact(LONG, "Why?", kind="section"), "a") == ("Why?",)


def test_the_same_text_of_another_owner_is_an_exact_copy() -> None:
    seen = Deduplicator(0.85, most_questions=6)
    seen.admit(fact(LONG, "What?"), "a")

    assert seen.admit(fact(LONG.upper(), "Why?"), "b") == ()
    assert seen.exact == 1


def test_a_reworded_text_is_a_near_copy() -> None:
    seen = Deduplicator(0.7, most_questions=6)
    seen.admit(fact(LONG, "What?"), "a")

    assert seen.admit(fact(LONG.replace("corn", "rye"), "Why?"), "b") == ()
    assert seen.near == 1


def test_texts_that_differ_in_a_number_are_two_facts() -> None:
    seen = Deduplicator(0.7, most_questions=6)
    seen.admit(fact(f"{LONG} at 14 metres", "What?"), "a")

    assert seen.admit(fact(f"{LONG} at 16 metres", "Why?"), "b") == ("Why?",)


def test_copies_of_one_text_are_not_compared_with_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A warning that ten thousand pages repeat, each time under another question."""
    compared = 0

    def counting(one: frozenset[int], two: frozenset[int]) -> float:
        nonlocal compared
        compared += 1
        return similarity(one, two)

    monkeypatch.setattr(cleaning, "similarity", counting)
    seen = Deduplicator(0.85, most_questions=6)
    for number in range(50):
        seen.admit(fact(LONG, f"What of {number}?"), "a")

    assert compared < 100


def test_short_answers_are_told_apart_by_their_questions() -> None:
    seen = Deduplicator(0.85, most_questions=6)
    seen.admit(fact("Yes.", "Can I wash it?", kind="faq"), "a")

    assert seen.admit(fact("Yes.", "May I paint the gate?", kind="faq"), "b")


def test_one_question_with_two_answers_keeps_the_first() -> None:
    seen = Deduplicator(0.85, most_questions=6)
    seen.admit(fact("The drum is made of beech and brass.", "What is it?"), "a")

    assert seen.admit(fact("The lid is cut from a single oak plank.", "What is it?"), "a") == ()
    assert seen.contradictions == 1


def test_more_questions_than_allowed_are_left_out() -> None:
    seen = Deduplicator(0.85, most_questions=2)

    assert seen.admit(fact(LONG, "One?", "Two?", "Three?"), "a") == ("One?", "Two?")


def test_a_question_that_two_documents_answer_differently_is_dropped() -> None:
    removed: Counter[str] = Counter()
    examples = [
        example("How often must the filter be changed?", "Every 30 days in summer.", "a"),
        example("How often must the filter be changed?", "After 4,000 litres of milk.", "b"),
        example("Who calls?", "The keeper calls.", "a"),
    ]

    kept = drop_ambiguous(examples, removed)

    assert [one.question for one in kept] == ["Who calls?"]
    assert removed == {"question_with_two_answers": 2}


def test_a_term_keeps_its_first_meaning() -> None:
    examples = [
        example("What is a wring?", "A wring is a shake of the drape.", "a", "definition"),
        example("What is a wring?", "It frees droplets from all threads.", "b", "definition"),
    ]

    assert drop_ambiguous(examples, Counter()) == examples[:1]


def test_tables_do_not_crowd_out_the_rest() -> None:
    removed: Counter[str] = Counter()
    facts = [fact(f"The price of {number} is {number}.", kind="table") for number in range(200)]

    kept = limit_kinds(facts, list(range(200)), 1, removed)

    assert len(kept) == 50
    assert removed == {"too_many_table": 150}


words = st.lists(st.sampled_from("abcdefghijklmnop"), min_size=1, max_size=30).map(" ".join)


@given(first=words, second=words)
def test_near_index_finds_only_what_is_above_the_threshold(first: str, second: str) -> None:
    index = NearIndex(0.6)
    index.add(shingles(first), 1)

    if list(index.find(shingles(second))):
        assert similarity(shingles(first), shingles(second)) >= 0.6
    assert list(index.find(shingles(first))) == [1]
