"""Reading a test set: what is kept, and the one line that says what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from doctune.errors import EvaluationError
from doctune.evaluation.test_set import load_test_set
from tests.evaluation.tiny_models import make_row, write_rows


def test_an_example_keeps_prompt_reference_and_where_it_came_from(test_path: Path) -> None:
    example = load_test_set(test_path).examples[3]
    assert example.index == 3
    assert example.question == "What does part 3 of the in do?"
    assert example.reference.startswith("Part 3 opens")
    assert (example.kind, example.document) == ("section", "manual-3.pdf")
    assert "manual says" in example.passage


def test_the_digest_follows_the_bytes(tmp_path: Path, test_path: Path) -> None:
    other = write_rows(tmp_path / "other.jsonl", [make_row(number) for number in range(11)])
    assert load_test_set(test_path).digest != load_test_set(other).digest


def test_a_draw_repeats_with_its_seed_and_keeps_file_order(test_path: Path) -> None:
    drawn = [load_test_set(test_path, max_examples=5, seed=seed).examples for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert [example.index for example in drawn[0]] == sorted(example.index for example in drawn[0])


USER = {"role": "user", "content": "How?"}
ANSWER = {"role": "assistant", "content": "So."}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"line 2 is not JSON"),
        ("[]", r"line 2: \"messages\" must hold"),
        (json.dumps({"messages": [ANSWER]}), r"line 2: \"messages\" must hold"),
        (json.dumps({"messages": [USER, {"role": "assistant"}]}), r"needs a text"),
        (json.dumps({"messages": [ANSWER, USER]}), r"must be the user's and the assistant's"),
        (json.dumps({"messages": [USER, {**ANSWER, "content": " "}]}), r"answer is empty"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text(json.dumps(make_row(1)) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(EvaluationError, match=message) as raised:
        load_test_set(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such test set"), (b"", "holds no examples"), (b"\xff\xfe\n", "not UTF-8")],
)
def test_a_missing_or_empty_file_is_one_plain_line(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "test.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EvaluationError, match=message):
        load_test_set(path)


def test_rows_without_source_or_kind_are_accepted(tmp_path: Path) -> None:
    row: dict[str, Any] = {"messages": [USER, ANSWER]}
    (example,) = load_test_set(write_rows(tmp_path / "test.jsonl", [row])).examples
    assert (example.kind, example.document, example.passage) == ("", "", "")
