"""Of the pages that readers lose, what is known of each is in what comes out."""

from pathlib import Path

import pytest

from benchmarks.documents_facts import Fact, find_near, holds, read_facts
from doctune.documents import parse_pdf
from doctune.documents.model import render_markdown
from tests.documents.pages.build import build

_AIM = 0.95


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    build(folder)
    return folder


def test_what_is_known_of_the_pages_is_found(folder: Path) -> None:
    facts = read_facts(folder)
    markdown = {
        name: render_markdown(parse_pdf(folder / name).pages[0].blocks)
        for name in {fact.pdf for fact in facts}
    }
    failed = [fact.values for fact in facts if not holds(fact, markdown[fact.pdf])]
    assert len(markdown) >= 30
    assert len(failed) <= (1 - _AIM) * len(facts), f"{len(failed)} of {len(facts)}: {failed}"


def test_no_character_of_the_pages_is_lost(folder: Path) -> None:
    for path in folder.glob("*.pdf"):
        (page,) = parse_pdf(path).pages
        assert page.lost_chars == 0, path.name


def fact(kind: str, **values: object) -> Fact:
    return Fact("a.pdf", 1, "1", kind, values)  # type: ignore[arg-type]


def test_facts_can_fail() -> None:
    table = "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    assert holds(fact("table", cell="2", top_heading="b", left="1"), table)
    assert not holds(fact("table", cell="2", top_heading="a"), table)
    assert not holds(fact("table", cell="2", left="b"), table)
    assert holds(fact("order", before="one", after="two"), "one two")
    assert not holds(fact("order", before="two", after="one"), "one two")
    assert holds(fact("absent", text="Page 1"), "text")
    assert not holds(fact("absent", text="Page 1"), "the page 1 of it")
    assert not holds(fact("absent", text="Page 1"), ""), "of a page that was lost nothing is known"
    assert holds(fact("present", text="\u201cA\u201d  b"), '"A" b')
    assert holds(fact("math", math=r"\frac{a}{b}=c"), r"so $\frac{a}{b} = c$ it is")
    assert not holds(fact("math", math="a+b"), "a+b")


def test_a_text_may_differ_by_some_edits() -> None:
    assert find_near("live-fold", "four or five-fold its", 1) > 0
    assert find_near("live-fold", "four or ten-fold its", 1) < 0
