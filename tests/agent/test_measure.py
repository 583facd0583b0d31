"""The figures of an agent: each case marked, follow-ups asked in their conversation."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from doctune.agent.measure import load_cases
from doctune.cli import app
from doctune.errors import EvaluationError
from tests.agent.corpus import Corpus

ROOT = Path(__file__).parents[2]


def case(question: str, facts: list[str], file: str, page: int, **more: object) -> dict:
    expects = "answer" if facts else "refusal"
    answer = facts[0] if facts else "The documents do not say."
    return {
        "question": question,
        "answer": answer,
        "key_facts": facts,
        "source": file,
        "page": page,
        "expects": expects,
        **more,
    }


CASES = (
    case("How often is the filter of the Arlo 3 rinsed?", ["14 days"], "arlo-3-manual.pdf", 1),
    case("How long is the motor covered?", ["36 months"], "warranty.pdf", 9),
    case("How loud is the Arlo 3?", ["99 decibels"], "arlo-3-manual.pdf", 3),
    case("And the Arlo 5?", ["480 watts"], "arlo-3-manual.pdf", 2,
         earlier=["How many watts does the Arlo 3 need while grinding?"]),
    case("Who founded the company that makes bicycles in Lisbon?", [], "", 0),
    case("How often is the lid wiped?", [], "", 0),
)  # fmt: skip


def test_the_command_counts_right_pages_and_refusals(corpus: Corpus, tmp_path: Path) -> None:
    file, out = tmp_path / "cases.jsonl", tmp_path / "marked.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in CASES))
    arguments = ["evaluate-agent", "--questions", str(file), "--index", str(corpus.index)]
    done = CliRunner().invoke(app, [*arguments, "--json", "--out", str(out)])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.output.splitlines()[-1])
    marked = [json.loads(line) for line in out.read_text().splitlines()]
    assert [one["right"] for one in marked[:5]] == [True, True, False, True, True]
    assert [one["page_right"] for one in marked[:4]] == [True, False, None, True]
    assert marked[3]["standalone"] == "How many watts does the Arlo 5 need while grinding?"
    assert figures["right_follow_up"] == 1
    assert figures["page_right"] == pytest.approx(2 / 3, abs=1e-3)
    assert figures["refused_right"] in (0.5, 1)
    assert figures["refused_wrong"] == 0
    assert figures["unsupported"] == 0
    assert figures["retrieval_ms"] > 0
    assert figures["plain_chain_right"] is None  # no chain was asked
    assert set(figures["stage_ms"]) == {"closest", "find"}
    assert 0 < figures["stage_ms"]["find"] <= figures["answer_ms_p95"]


def test_chat_goes_on_over_lines_and_shows_sources(corpus: Corpus) -> None:
    lines = "How many watts does the Arlo 3 need while grinding?\nAnd the Arlo 5?\n"
    done = CliRunner().invoke(app, ["chat", "--index", str(corpus.index)], input=lines)
    assert done.exit_code == 0, done.output
    assert "480 watts" in done.output
    assert "[1] arlo-3-manual.pdf, page 2" in done.output


def test_a_line_that_is_no_case_is_named(tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text("[]\n")
    with pytest.raises(EvaluationError, match="line 1"):
        load_cases(file)


def test_the_samples_follow_ups_can_be_read() -> None:
    cases = load_cases(ROOT / "samples" / "follow_ups.jsonl")
    assert len(cases) == 20
    assert all(one.earlier for one in cases)
