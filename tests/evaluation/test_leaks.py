"""A training example in the test set is found, a mere likeness is not."""

from pathlib import Path
from typing import Any

import pytest

from doctune.errors import EvaluationError
from doctune.evaluation.leaks import find_leaks, refuse_leaks
from doctune.evaluation.test_set import Example, load_test_set
from tests.evaluation.tiny_models import write_rows

ANSWER = (
    "Close the inlet, wait until the gauge reads zero, loosen the four bolts of the cover, lift "
    "the cartridge out and rinse it under warm water for two minutes before putting it back."
)


def example(question: str, answer: str, index: int = 0) -> Example:
    return Example(
        index=index,
        prompt=({"role": "user", "content": question},),
        reference=answer,
        kind="",
        passage="",
        source={},
    )


def test_the_same_words_leak_whatever_their_case_and_marks() -> None:
    (leak,) = find_leaks(
        [example("What is the code?", "It is 7.")], [example("what is the CODE", "it is 7")]
    )
    assert leak.likeness == 1


def test_a_nearly_equal_long_example_leaks() -> None:
    changed = ANSWER.replace("putting it back", "putting it in")
    (leak,) = find_leaks(
        [example("How is the filter cleaned?", ANSWER)],
        [example("How is the filter cleaned?", changed)],
    )
    assert 0.9 <= leak.likeness < 1


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How is the filter cleaned?", "Not at all."),
        ("What does the bulletin say about cartridges of the older kind?", "It is 7."),
        ("How is the sieve of the big tank serviced when it is winter?", ANSWER[:90]),
    ],
)
def test_a_shared_question_or_a_shared_part_is_no_leak(question: str, answer: str) -> None:
    test = [example("How is the filter cleaned?", ANSWER), example("What is the code?", "It is 7.")]
    assert find_leaks(test, [example(question, answer)]) == []


def test_the_refusal_shows_both_places(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {
            "messages": [
                {"role": "user", "content": f"Question {number}?"},
                {"role": "assistant", "content": f"Answer {number}."},
            ]
        }
        for number in range(4)
    ]
    test = load_test_set(write_rows(tmp_path / "test.jsonl", rows[2:])).examples
    train = write_rows(tmp_path / "train.jsonl", rows[:3])
    with pytest.raises(EvaluationError) as raised:
        refuse_leaks(test, train)
    assert "line 1 is in the training set (train.jsonl, line 3, 100% alike)" in str(raised.value)
    assert '"Question 2?" -> "Answer 2."' in str(raised.value)


def test_a_clean_split_passes(tmp_path: Path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "B."}]}
    ]
    refuse_leaks([example("C?", "D.")], write_rows(tmp_path / "train.jsonl", rows))
