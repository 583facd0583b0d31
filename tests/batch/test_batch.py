"""A file of questions: resumable, idempotent, failed rows apart."""

import csv
import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from doctune.batch.rows import read_rows, write_rows
from doctune.batch.run import BatchAnswer, answer_batch
from doctune.batch.ways import in_requests
from doctune.errors import DeploymentError, UsageError


class Echo:
    """Answers with the question; remembers what it was asked, and fails as it is told."""

    way = "echo"

    def __init__(self, *, refuse: str = "", stop_after: int = 10**9) -> None:
        self.asked: list[list[str]] = []
        self.refuse, self.stop_after = refuse, stop_after

    def __call__(self, questions: Sequence[str]) -> list[BatchAnswer]:
        if len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        self.asked.append(list(questions))
        if self.refuse and any(self.refuse in question for question in questions):
            raise DeploymentError("the endpoint refuses this one.")
        return [BatchAnswer(f"re: {q}", ({"file": "a.pdf", "page": 3},)) for q in questions]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    rows = [{"id": f"q{n}", "question": f"Question {n}?"} for n in range(10)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_question_gets_its_answer_in_order_with_its_sources(source: Path) -> None:
    out = source.with_name("answers.jsonl")
    done = answer_batch(source, out, Echo(), shard_rows=4)
    assert (done.rows, done.answered, done.failed, done.shards) == (10, 10, 0, 3)
    rows = lines(out)
    assert [row["id"] for row in rows] == [f"q{n}" for n in range(10)]
    assert rows[3]["answer"] == "re: Question 3?"
    assert rows[3]["sources"] == [{"file": "a.pdf", "page": 3}]
    assert lines(source.with_name("answers.failed.jsonl")) == []


def test_a_run_that_was_ended_goes_on_and_a_complete_one_asks_nothing(source: Path) -> None:
    out = source.with_name("answers.jsonl")
    with pytest.raises(KeyboardInterrupt):
        answer_batch(source, out, Echo(stop_after=2), shard_rows=4)
    assert not out.exists()
    second = Echo()
    done = answer_batch(source, out, second, shard_rows=4)
    assert done.done_before == 2
    assert second.asked == [["Question 8?", "Question 9?"]]
    before, third = out.read_bytes(), Echo()
    assert answer_batch(source, out, third, shard_rows=4).done_before == 3
    assert third.asked == []
    assert out.read_bytes() == before


def test_failed_rows_stand_apart_with_the_reason_and_can_be_asked_again(source: Path) -> None:
    with source.open("a") as file:
        file.write('{"id": "q10"}\nno json\n')
    out = source.with_name("answers.jsonl")
    done = answer_batch(source, out, Echo(refuse="Question 5"), shard_rows=4)
    assert (done.answered, done.failed) == (9, 3)
    failed = {row["id"]: row for row in lines(out.with_name("answers.failed.jsonl"))}
    assert failed["q5"]["error"] == "the endpoint refuses this one."
    assert failed["q10"]["error"] == "no text in question or prompt"
    assert failed["12"]["row"] == 12
    assert "not JSON" in failed["12"]["error"]
    again = Echo()
    done = answer_batch(source, out, again, shard_rows=4, retry_failed=True)
    assert again.asked == [["Question 5?"]]
    assert (done.answered, done.failed) == (10, 2)
    assert [row["id"] for row in lines(out)][5] == "q5"


def test_where_nothing_is_answered_the_run_ends_and_keeps_what_was_done(source: Path) -> None:
    out = source.with_name("answers.jsonl")
    with pytest.raises(DeploymentError):
        answer_batch(source, out, Echo(refuse="Question"), shard_rows=4)
    assert not out.exists()
    assert answer_batch(source, out, Echo(), shard_rows=4).answered == 10


def test_answers_of_another_file_or_way_are_not_mixed(source: Path) -> None:
    out = source.with_name("answers.jsonl")
    answer_batch(source, out, Echo(), shard_rows=4)
    source.write_text('{"question": "Another?"}\n')
    with pytest.raises(UsageError, match="other questions"):
        answer_batch(source, out, Echo(), shard_rows=4)


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_tables_are_read_and_written(tmp_path: Path, kind: str) -> None:
    source, out = tmp_path / f"in.{kind}", tmp_path / f"out.{kind}"
    rows = [{"id": "a", "question": 'Wie "groß"?\nGenau?'}, {"id": "", "question": "Why?"}]
    write_rows(source, rows, ("id", "question"))
    assert [row.id for row in read_rows(source)] == ["a", "2"]
    assert answer_batch(source, out, Echo()).answered == 2
    read = {
        "csv": lambda: list(csv.DictReader(out.open(newline=""))),
        "parquet": lambda: pq.read_table(out).to_pylist(),
        "jsonl": lambda: lines(out),
    }[kind]()
    assert read[0]["answer"] == 're: Wie "groß"?\nGenau?'
    sources = read[0]["sources"]
    assert (sources if kind == "jsonl" else json.loads(sources))[0]["page"] == 3


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_rows_are_written_one_by_one(tmp_path: Path, kind: str) -> None:
    """24 MB of answers, of which a fraction is in memory."""
    path = tmp_path / f"answers.{kind}"
    tracemalloc.start()
    written = write_rows(
        path, ({"answer": f"{n} {'x' * 4_000}"} for n in range(6_000)), ("answer",)
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert written == 6_000
    assert peak < 10 << 20
    if kind == "parquet":
        assert pq.read_metadata(path).num_rows == 6_000


def test_the_answers_do_not_replace_the_questions(source: Path) -> None:
    before = source.read_bytes()
    with pytest.raises(UsageError, match="holds the questions"):
        answer_batch(source, source.parent / "." / source.name, Echo())
    assert source.read_bytes() == before


def test_a_table_holds_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write_rows(path, [{"answer": '=HYPERLINK("x")'}], ("answer",))
    assert path.read_text().splitlines()[1].startswith("\"'=")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("q.txt", "?", "none of .jsonl"),
        ("q.jsonl", "", "holds no rows"),
        ("q.csv", "a,b\n1,2\n", "no column question"),
        ("q.parquet", "text", "cannot be read"),
        ("missing.jsonl", None, "is missing"),
    ],
)
def test_what_is_no_file_of_questions_is_refused(tmp_path, name, content, message) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=message):
        read_rows(path)


def test_requests_keep_the_order() -> None:
    sent: list[list[str]] = []

    def ask(prompts: list[str]) -> list[str]:
        sent.append(prompts)
        return [prompt.upper() for prompt in prompts]

    assert in_requests(ask, 2, 2)(list("abcde")) == list("ABCDE")
    assert sorted(map(len, sent)) == [1, 2, 2]


def test_a_row_with_half_a_character_costs_itself_alone(source: Path) -> None:
    with source.open("a") as file:
        file.write('{"id": "half", "question": "What is \\ud83d?"}\n')
    done = answer_batch(source, source.with_name("answers.jsonl"), Echo(), shard_rows=4)
    assert (done.answered, done.failed) == (10, 1)
    (failed,) = lines(source.with_name("answers.failed.jsonl"))
    assert "half a surrogate pair" in failed["error"]
