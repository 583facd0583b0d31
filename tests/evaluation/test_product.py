"""When the product answers by the model's words, and when by the quotation."""

import pytest

from doctune.evaluation.product import Answering, Offered, speaks_itself

QUOTED = "The sill is a small block of glass."


@pytest.mark.parametrize(
    ("way", "words", "supported", "own"),
    [
        ("quote", "A block of glass.", True, False),
        ("model", "A block of glass.", False, True),
        ("hybrid", "A block of glass.", True, True),
        ("hybrid", "A block of wood.", False, False),
        ("hybrid", "The documents do not say.", True, False),
        ("hybrid", "", True, False),
        ("hybrid", "\ufffd\ufffd\ufffd", True, False),
        ("hybrid", " ... ", True, False),
        ("hybrid", "水", True, True),
    ],
)
def test_the_model_speaks_where_it_says_something_that_the_passages_bear_out(
    way: Answering, words: str, supported: bool, own: bool
) -> None:
    assert speaks_itself(way, Offered(quoted=QUOTED, words=words), lambda _: supported) is own


def test_the_model_does_not_answer_where_the_index_finds_nothing() -> None:
    offered = Offered(quoted="The documents do not say.", words="A block of glass.")

    assert not speaks_itself("hybrid", offered, lambda _: True)
