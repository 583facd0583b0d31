"""Figures, ranges of them, and places in an order."""

import math

import pytest

from doctune.knowledge.figures import Span, by_place, figures, span_at_start
from doctune.knowledge.lexical import tokens


@pytest.mark.parametrize(
    ("label", "low", "high"),
    [
        ("7 to 14 degrees", 7, 14),
        ("7\u201314", 7, 14),
        ("below 7", -math.inf, 7),
        ("up to 1,000", -math.inf, 1000),
        ("above 14", 14, math.inf),
        ("65 or older", 65, math.inf),
        ("18 years and over", 18, math.inf),
    ],
)
def test_a_range_is_read_from_a_label(label: str, low: float, high: float) -> None:
    assert span_at_start(label) == Span(low, high)


@pytest.mark.parametrize("label", ["3 litres", "2022", "E7", "Sweden"])
def test_what_is_no_range_has_none(label: str) -> None:
    assert span_at_start(label) is None


def test_a_place_in_an_order_is_held_against_one_that_evidence_names() -> None:
    onward = "A note is needed from the fourth day on."

    assert by_place("day 2 of being ill", onward) is False
    assert by_place("the 6th day", onward) is True
    assert by_place("on the fourth day", "It ends on the fourth day.") is True
    assert by_place("on two days", onward) is None


@pytest.mark.parametrize(
    ("text", "dimension"), [("5 pounds", "money"), ("8 GB", "data"), ("2.5 bar", "pressure")]
)
def test_a_unit_tells_what_a_figure_counts(text: str, dimension: str) -> None:
    assert [figure.dimension for figure in figures(text)] == [dimension]


def test_an_irregular_form_has_the_stem_of_its_word() -> None:
    assert tokens("kept frozen children") == tokens("keep freeze child")
