"""Reading a file of questions: what is wrong is said with its line."""

import json
from pathlib import Path
from typing import Any

import pytest

from doctune.errors import EvaluationError
from doctune.evaluation.questions import load_questions

GOOD: dict[str, Any] = {
    "question": "how long?",
    "answer": "10 minutes.",
    "key_facts": ["10 minutes"],
}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_questions_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", GOOD, {**GOOD, "question": "how\u2028often?"})
    assert [one.question for one in load_questions(path)] == ["how long?", "how\u2028often?"]


def test_a_line_breaker_of_unicode_within_a_question_ends_no_line(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    row = json.dumps({**GOOD, "question": "how\u2028often\x85?"}, ensure_ascii=False)
    path.write_text(row + "\n", encoding="utf-8")
    assert len(load_questions(path)) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key_facts": []}, "line 2 .*needs key_facts"),
        ({"expects": "refusal"}, "line 2 .*neither key_facts nor page"),
        ({"page": -1}, "line 2 .*page"),
        ({"answr": "x"}, "line 2 .*answr"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "q.jsonl", GOOD, {**GOOD, **change})
    with pytest.raises(EvaluationError, match=message):
        load_questions(path)


def test_an_empty_file_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text("\n")
    with pytest.raises(EvaluationError, match="no question"):
        load_questions(tmp_path / "q.jsonl")
    with pytest.raises(EvaluationError, match="cannot be read"):
        load_questions(tmp_path / "none.jsonl")
