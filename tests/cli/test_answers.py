"""`doctune ask`, `search` and `index` on an index of their own."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from doctune.cli import app
from doctune.errors import UsageError
from tests.dataset.corpora import write_corpus
from tests.knowledge.conftest import manual, warranty


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("answers")
    write_corpus(folder / "documents", manual(), warranty())
    done = CliRunner().invoke(app, ["index", f"{folder}/documents", "--out", f"{folder}/index"])
    assert done.exit_code == 0, done.output
    return folder / "index"


def test_a_question_gets_its_answer_and_where_it_stands(index: Path) -> None:
    done = CliRunner().invoke(app, ["ask", "How long is the motor covered?", "--index", str(index)])

    assert done.exit_code == 0, done.output
    assert "36 months" in done.stdout.splitlines()[0]
    assert "[1] warranty.pdf, page 1:" in done.stdout


def test_a_file_of_questions_is_answered_line_by_line_in_order(index: Path, tmp_path: Path) -> None:
    questions = ["What does E07 mean?", "Who owns the moon?", "How long is the motor covered?"]
    file, out = tmp_path / "questions.jsonl", tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps({"question": q, "id": 7}) + "\n" for q in questions))

    done = CliRunner().invoke(
        app, ["ask", "--file", str(file), "--out", str(out), "--index", str(index)]
    )

    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["question"] for row in rows] == questions
    assert all(set(row) == {"question", "answer", "sources"} for row in rows)
    assert set(rows[0]["sources"][0]) == {"file", "page", "text"}
    assert rows[1]["sources"] == []


def test_search_shows_page_and_score(index: Path) -> None:
    done = CliRunner().invoke(
        app, ["search", "dishwasher", "--top", "2", "--json", "--index", str(index)]
    )

    found = json.loads(done.stdout)
    assert len(found) == 2
    assert found[0]["pages"] == [1]
    assert found[0]["score"] >= found[1]["score"]
    assert "bowl" in found[0]["heading"][-1]


@pytest.mark.parametrize(
    ("line", "message"),
    [("nonsense", "line 2 is not JSON"), ('{"q": 1}', 'line 2 has no "question"')],
)
def test_a_bad_line_is_named(index: Path, tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"question": "Why?"}\n' + line + "\n")

    done = CliRunner().invoke(
        app, ["ask", "--file", str(file), "--out", str(tmp_path / "a"), "--index", str(index)]
    )

    assert isinstance(done.exception, UsageError)
    assert done.exception.exit_code == 2
    assert message in str(done.exception)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "arguments", [["ask"], ["ask", "Why?", "--file", "x"], ["ask", "--file", "x"]]
)
def test_what_cannot_be_asked_is_a_usage_error(arguments: list[str]) -> None:
    assert isinstance(CliRunner().invoke(app, arguments).exception, UsageError)


def test_without_a_run_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    done = CliRunner().invoke(app, ["ask", "Why?"])

    assert "run `doctune run` first" in str(done.exception)
