"""Validation that asks about learnt facts in phrasings that train does not hold."""

import json
from pathlib import Path
from typing import Any

import pytest

from doctune.dataset import DatasetOptions, prepare_dataset
from doctune.dataset.splitting import SIDES
from tests.dataset.corpora import Paper, write_corpus

OPTIONS = DatasetOptions(validation="phrasings", validation_share=0.15)


def _papers(count: int) -> list[Paper]:
    papers = []
    for number in range(count):
        paper = Paper(f"{number}.pdf", title=f"Machine {number} Manual")
        for noun in ("drum", "valve", "mast", "kettle", "lantern", "sieve"):
            days = 10 * number + len(noun)
            paper.heading(f"Care of the {noun} of machine {number}")
            paper.text(f"The {noun} of machine {number} must be oiled every {days} days.")
            paper.text(f"A {noun}{number} is a part that turns {days + 3} times before it rests.")
        papers.append(paper)
    return papers


def _prepared(out: Path, papers: list[Paper], options: DatasetOptions) -> tuple[Any, Any]:
    summary = prepare_dataset(
        write_corpus(out / "in", *papers),
        **{f"{side}_path": out / f"{side}.jsonl" for side in SIDES},
        manifest_path=out / "manifest.json",
        card_path=out / "card.md",
        options=options,
    )
    rows = {side: [json.loads(line) for line in (out / f"{side}.jsonl").open()] for side in SIDES}
    return summary, rows


def _question(row: dict[str, Any]) -> str:
    return row["messages"][0]["content"]


def test_validation_asks_what_train_holds_in_words_that_it_does_not(tmp_path: Path) -> None:
    _, rows = _prepared(tmp_path, _papers(8), OPTIONS)

    learnt = {row["fact"] for row in rows["train"]}
    questions = {_question(row) for row in rows["train"]}
    assert rows["validation"]
    for row in rows["validation"]:
        assert row["fact"] in learnt
        assert _question(row) not in questions
    facts = [row["fact"] for row in rows["validation"]]
    assert len(set(facts)) == len(facts)  # one phrasing of a fact at most


def test_the_share_is_kept_as_far_as_there_are_facts_in_several_phrasings(tmp_path: Path) -> None:
    _, rows = _prepared(tmp_path, _papers(8), OPTIONS)

    held, learnt = len(rows["validation"]), len(rows["train"])
    several = len({row["fact"] for row in rows["train"]})
    assert held == min(round(0.15 * (held + learnt)), several) > 0


def test_documents_are_kept_out_for_the_test_alone(tmp_path: Path) -> None:
    summary, rows = _prepared(tmp_path / "a", _papers(8), OPTIONS)
    before, _ = _prepared(tmp_path / "b", _papers(8), DatasetOptions())

    files = {side: {row["source"]["file"] for row in rows[side]} for side in SIDES}
    assert not files["test"] & (files["train"] | files["validation"])
    assert files["validation"] <= files["train"]
    assert summary.kept_out == len(files["test"]) < before.kept_out
    manifest = json.loads((tmp_path / "a/manifest.json").read_text())
    assert "phrasings that train does not hold" in manifest["note"]


def test_one_phrasing_cannot_be_held_out_of_one() -> None:
    with pytest.raises(ValueError, match="needs phrasings of 2 or more"):
        DatasetOptions(validation="phrasings", phrasings=1)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        _prepared(tmp_path / name, _papers(5), OPTIONS)

    for side in SIDES:
        assert (tmp_path / f"a/{side}.jsonl").read_bytes() == (
            tmp_path / f"b/{side}.jsonl"
        ).read_bytes()
