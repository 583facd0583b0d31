"""What `benchmarks/answers.py` makes of answers: shares, intervals, kinds, the printed table."""

from collections.abc import Sequence

import pytest

from benchmarks.answers import Way, measure, print_tables
from doctune.evaluation.questions import Question
from doctune.evaluation.quiz import Item, Passage
from doctune.evaluation.quiz_scores import Marked, mark_answer
from doctune.feedback.analysis import wilson

TRUE = Passage(file="a.pdf", pages=(3,), text="The filter is rinsed every 14 days.")
OTHER = Passage(file="a.pdf", pages=(4,), text="The lid is blue.")
ITEMS = (
    Item(
        question=Question(
            question="how often do i rinse the filter",
            answer="Every 14 days.",
            key_facts=("14 days",),
            fact="rinsed every 14 days",
            source="a.pdf",
            page=3,
            kind="number",
        )
    ),
    Item(
        question=Question(
            question="so the lid is red, right?",
            answer="No, the lid is blue.",
            key_facts=("blue",),
            fact="The lid is blue",
            source="a.pdf",
            page=4,
            kind="fact",
            expects="correction",
        )
    ),
    Item(question=Question(question="who painted it?", answer="Unknown.", expects="refusal")),
)
FOUND = ((OTHER, OTHER, OTHER, TRUE), (OTHER,), (OTHER,))


def marked(*answers: str) -> Sequence[Marked]:
    pairs = zip(ITEMS, answers, FOUND, strict=True)
    return [mark_answer(item, text, found[:3], cites=1) for item, text, found in pairs]


@pytest.fixture
def way() -> Way:
    answers = marked("Every 14 days.", "No, the lid is blue.", "The documents do not say.")
    return Way(name="quote", marked=answers, found=FOUND)


def test_each_share_has_its_count_and_interval(way: Way) -> None:
    row = measure(way, ITEMS)
    assert (row["right"]["count"], row["right"]["of"]) == (3, 3)
    assert row["right"]["low"] < 1 == row["right"]["high"]
    assert (row["recall_at_3"]["count"], row["recall_at_5"]["count"]) == (1, 2)
    assert row["recall_at_3"]["of"] == 2  # of the questions whose source is known
    assert (row["page_right"]["count"], row["page_right"]["of"]) == (1, 2)
    assert (row["refused_right"]["count"], row["refused_wrong"]["count"]) == (1, 0)


def test_corrections_and_refusals_are_kinds_of_their_own(way: Way) -> None:
    kinds = measure(way, ITEMS)["by_kind"]
    assert set(kinds) == {"number", "wrong premise", "unanswerable"}


def test_a_way_without_passages_has_no_recall(way: Way) -> None:
    row = measure(Way(name="base_closed", marked=marked("No.", "No.", "No.")), ITEMS)
    assert row["recall_at_3"] is None
    assert row["right"]["count"] == 0


def test_the_tables_have_a_row_a_way(way: Way, capsys: pytest.CaptureFixture[str]) -> None:
    print_tables([way, Way(name="product", marked=way.marked, found=FOUND)], ITEMS, "quote")
    shown = capsys.readouterr().out
    assert "| quotation alone | 3 of 3 (100%, 44% to 100%) | 1 of 2 | 1 of 1 | 0 of 2 |" in shown
    assert "| the product's own choice (quote) |" in shown
    assert "| right, by kind | number | unanswerable | wrong premise |" in shown


def test_wilsons_interval_is_that_of_the_textbook() -> None:
    low, high = wilson(77, 120)
    assert (round(low, 3), round(high, 3)) == (0.553, 0.722)
    assert wilson(0, 10)[0] == pytest.approx(0, abs=1e-12)
    assert wilson(10, 10)[1] == pytest.approx(1)
