"""Which of the evidence becomes the answer."""

from doctune.knowledge.compose import HeadingMatch, compose
from doctune.knowledge.evidence import Evidence
from doctune.knowledge.index import Hit
from doctune.knowledge.lexical import tokens
from doctune.knowledge.passages import Passage, Unit
from doctune.knowledge.questions import read_question

STEPS = Unit("list", "1. Empty the tank.\n2. Rinse it twice.", 2)


def _evidence(number: int, heading: str, *units: Unit, score: float) -> Evidence:
    passage = Passage((heading,), " ".join(unit.text for unit in units), (2,), (), units)
    return Evidence(Hit(number, number, units[0], score), passage, 0, score, 0.5)


def _answer(question: str, *evidence: Evidence, named: dict[str, HeadingMatch]) -> str:
    return compose(
        read_question(question),
        evidence,
        tokens,
        lambda heading: False,
        lambda word: 1.0,
        lambda heading: named.get(heading, HeadingMatch(0.0, 0.0)),
    ).text


def test_steps_under_a_heading_that_names_the_task_are_quoted() -> None:
    calendar = _evidence(
        0, "Calendar", Unit("sentence", "Wash the tank every 60 days.", 1), score=2.0
    )
    washing = _evidence(
        1, "Washing the tank", Unit("sentence", "It takes an hour.", 2), STEPS, score=1.5
    )
    named = {"Washing the tank": HeadingMatch(0.9, 2.0)}

    assert STEPS.text in _answer("How can I clean the tank?", calendar, washing, named=named)
    assert STEPS.text not in _answer("How can I clean the tank?", calendar, washing, named={})
    assert STEPS.text not in _answer(
        "How often is the tank washed?", calendar, washing, named=named
    )


def test_the_paragraph_of_instructions_answers_how_something_is_done() -> None:
    first, last = (10.0, 1.0, 90.0, 20.0), (10.0, 30.0, 90.0, 50.0)
    units = (
        Unit("sentence", "Dip the tip into the jug, then lower it.", 2, first),
        Unit("sentence", "Stop at 65 degrees.", 2, first),
        Unit("sentence", "Skimmed milk foams more than whole milk.", 2, last),
    )
    passage = Passage(("Steaming milk",), " ".join(unit.text for unit in units), (2,), (), units)
    best = Evidence(Hit(2, 0, units[2], 2.0), passage, 2, 2.0, 0.5)

    answer = _answer("How do I froth milk?", best, named={"Steaming milk": HeadingMatch(0.8, 2.0)})

    assert answer.startswith(f"{units[0].text} {units[1].text}")


def test_the_rows_that_a_question_compares_are_quoted_together() -> None:
    rows = tuple(
        Unit("row", f"{land} — Full day: {sum_} euros", 1, label=land, cells=(("Full day", sum_),))
        for land, sum_ in (("Sweden", "29 euros"), ("Japan", "52 euros"), ("Germany", "28 euros"))
    )
    answer = _answer(
        "where is more paid, Sweden or Germany", _evidence(0, "A", *rows, score=2.0), named={}
    )

    assert answer == "Sweden — Full day: 29 euros. Germany — Full day: 28 euros."


def test_a_yes_or_no_in_a_table_is_the_side() -> None:
    row = Unit("row", "Moving — Note: no", 1, label="Moving", cells=(("Note", "no"),))

    answer = _answer("Do I need a note when moving?", _evidence(0, "A", row, score=2.0), named={})

    assert answer == "No. Moving — Note: no."


def test_a_further_unit_is_quoted_where_it_is_nearly_as_good() -> None:
    first = _evidence(0, "A", Unit("sentence", "The lid is blue.", 1), score=2.0)
    near = _evidence(1, "B", Unit("sentence", "The lid is made of tin.", 1), score=1.6)
    far = _evidence(2, "C", Unit("sentence", "The lid weighs little.", 1), score=1.4)

    answer = _answer("Tell me about the lid", first, near, far, named={})

    assert answer == "The lid is blue. The lid is made of tin."


def test_the_rows_of_a_table_decide_which_of_two_is_more() -> None:
    rows = tuple(
        Unit(
            "row", f"{place} — Fee: {fee}", 1, label=place, cells=(("Kept at", "4 C"), ("Fee", fee))
        )
        for place, fee in (("Tank", "61 euros"), ("Freezer", "24 euros"), ("Shelf", "2 euros"))
    )
    table = _evidence(0, "A", *rows, score=2.0)

    dearer = _answer("is the tank dearer than the freezer?", table, named={})
    cheaper = _answer("is the tank cheaper than the freezer?", table, named={})

    assert dearer.startswith("Yes. Tank")
    assert "24 euros" in dearer
    assert "Shelf" not in dearer
    assert cheaper.startswith("No. Tank")


def test_the_columns_of_a_row_decide_which_of_two_is_more() -> None:
    cells = (("Arlo 3", "9 kg"), ("Arlo 5", "23 kg"))
    row = Unit("row", "Weight — Arlo 3: 9 kg; Arlo 5: 23 kg", 1, label="Weight", cells=cells)

    modes = tuple(
        Unit("row", f"{mode} — Top speed: {speed}", 1, label=label, cells=(("Top speed", speed),))
        for mode, label, speed in (
            ("Still", "Still, near roofs", "3 m/s"),
            ("Sport", "Sport", "9 m/s"),
        )
    )
    slow = _answer(
        "is still mode faster than sport mode", _evidence(0, "A", *modes, score=2.0), named={}
    )
    assert slow.startswith("No. Still")

    answer = _answer(
        "Is the Arlo 3 heavier than the Arlo 5?", _evidence(0, "A", row, score=2.0), named={}
    )

    assert answer.startswith("No. ")


def test_what_is_forbidden_two_sentences_on_denies_a_request() -> None:
    box = (10.0, 1.0, 90.0, 20.0)
    units = (
        Unit("sentence", "The oxygen alarm is a rising tone.", 1, box),
        Unit("sentence", "Leave the room at once.", 1, box),
        Unit("sentence", "Do not go back for anything.", 1, box),
    )

    answer = _answer(
        "Can I run back for my bag when the oxygen alarm sounds?",
        _evidence(0, "A", *units, score=2.0),
        named={},
    )

    assert answer.startswith("No. The oxygen alarm")


def test_the_list_that_is_quoted_is_cited_with_its_own_page() -> None:
    passage = Passage(("Washing",), "…", (1, 2), (), (Unit("sentence", "Wash it.", 1), STEPS))
    best = Evidence(Hit(0, 0, passage.units[0], 2.0), passage, 0, 2.0, 0.5)

    composed = compose(
        read_question("How do I do the washing?"),
        [best],
        tokens,
        lambda heading: False,
        lambda word: 1.0,
        lambda heading: HeadingMatch(0.0, 0.0),
    )

    assert STEPS.text in composed.text
    assert [one.unit.page for one in composed.used] == [2]
