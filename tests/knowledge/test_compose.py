"""Which of the evidence becomes the answer."""

from doctune.knowledge.compose import Named, compose
from doctune.knowledge.evidence import Evidence
from doctune.knowledge.index import Hit
from doctune.knowledge.lexical import tokens
from doctune.knowledge.passages import Passage, Unit
from doctune.knowledge.questions import read_question

STEPS = Unit("list", "1. Empty the tank.\n2. Rinse it twice.", 2)


def _evidence(number: int, heading: str, *units: Unit, score: float) -> Evidence:
    passage = Passage((heading,), " ".join(unit.text for unit in units), (2,), (), units)
    return Evidence(Hit(number, number, units[0], score), passage, 0, score, 0.5)


def _answer(question: str, *evidence: Evidence, named: dict[str, Named]) -> str:
    return compose(
        read_question(question),
        evidence,
        tokens,
        lambda heading: False,
        lambda word: 1.0,
        lambda heading: named.get(heading, Named(0.0, 0.0)),
    ).text


def test_steps_under_a_heading_that_names_the_task_are_quoted() -> None:
    calendar = _evidence(
        0, "Calendar", Unit("sentence", "Wash the tank every 60 days.", 1), score=2.0
    )
    washing = _evidence(
        1, "Washing the tank", Unit("sentence", "It takes an hour.", 2), STEPS, score=1.5
    )
    named = {"Washing the tank": Named(0.9, 2.0)}

    assert STEPS.text in _answer("How can I clean the tank?", calendar, washing, named=named)
    assert STEPS.text not in _answer("How can I clean the tank?", calendar, washing, named={})
    assert STEPS.text not in _answer(
        "How often is the tank washed?", calendar, washing, named=named
    )


def test_a_further_unit_is_quoted_where_it_is_nearly_as_good() -> None:
    first = _evidence(0, "A", Unit("sentence", "The lid is blue.", 1), score=2.0)
    near = _evidence(1, "B", Unit("sentence", "The lid is made of tin.", 1), score=1.6)
    far = _evidence(2, "C", Unit("sentence", "The lid weighs little.", 1), score=1.4)

    answer = _answer("Tell me about the lid", first, near, far, named={})

    assert answer == "The lid is blue. The lid is made of tin."
