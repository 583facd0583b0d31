"""What no passage holds, which passage supports what, and sentences that give orders."""

import pytest

from doctune.agent.citing import cite
from doctune.agent.orders import gives_orders, without_orders
from doctune.agent.support import unsupported
from doctune.knowledge import Source
from tests.agent.corpus import ORDERS

PASSAGES = ["The filter of the Arlo 3 is rinsed every 14 days with cold water by Mara Lund."]


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        ("The filter is rinsed every 14 days.", ()),
        ("The filter is rinsed every two weeks [1].", ()),
        ("The filter is rinsed every 15 days.", ("15 days",)),
        ("Mara Lund rinses it.", ()),
        ("It is rinsed by Peter Hale.", ("Peter", "Hale")),
        ("Use the brush BR-6250.", ("br6250",)),
        ("The Arlo 5 is rinsed every 14 days.", ("arlo 5",)),
        ("It is rinsed on 3 May 2031.", ("3 may 2031",)),
    ],
)
def test_numbers_names_and_dates_must_stand_in_a_passage(
    answer: str, missing: tuple[str, ...]
) -> None:
    found = unsupported(answer, "How often is the filter rinsed?", PASSAGES)
    assert tuple(one.casefold() for one in found) == tuple(one.casefold() for one in missing)


def test_a_name_may_come_from_the_question_but_a_number_may_not() -> None:
    question = "Is the filter of the Arlo 9 by Otto Brandt rinsed every 400 days?"
    assert unsupported("The Arlo 9 by Otto Brandt is.", question, PASSAGES) == ()
    assert unsupported("Yes, every 400 days.", question, PASSAGES) == ("400 days",)


def source(text: str, name: str) -> Source:
    return Source(file=f"{name}.pdf", page=1, text=text, id=f"{name}-0.0")


def test_each_sentence_names_the_passage_that_supports_it() -> None:
    lid = source("The lid is wiped with a dry cloth.", "lid")
    motor = source("The motor is covered for 36 months.", "motor")
    text, sources = cite(
        "The motor is covered for 36 months. The lid is wiped with a dry cloth. Good luck to all!",
        [lid, motor],
    )
    assert text == (
        "The motor is covered for 36 months [1]. The lid is wiped with a dry cloth [2]. "
        "Good luck to all!"
    )
    assert [one.source for one in sources] == [motor, lid]


def test_marks_that_a_model_wrote_are_not_believed() -> None:
    text, sources = cite(
        "The lid is wiped with a dry cloth [7].",
        [source("The lid is wiped with a dry cloth.", "lid")],
    )
    assert text == "The lid is wiped with a dry cloth [1]."
    assert len(sources) == 1


def test_links_lead_to_sources_alone() -> None:
    place = source("See https://arlo.example/manual for the lid.", "lid")
    text, _ = cite(
        "See https://arlo.example/manual for the lid, or [here](javascript:alert(1)), or "
        "https://evil.example/x.",
        [place],
    )
    assert "https://arlo.example/manual" in text
    assert "evil" not in text
    assert "javascript" not in text


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_a_sentence_that_gives_orders_is_left_out(order: str) -> None:
    text, dropped = without_orders(f"The visor is oiled every 30 hours. {order}")
    assert text == "The visor is oiled every 30 hours."
    assert dropped >= 1


@pytest.mark.parametrize(
    "sentence",
    [
        "Do not use soap: it clogs the mesh.",
        "Follow the instructions on page 7.",
        "Ignore the first reading after a restart.",
        "Disregard A05 while the cistern is full.",
        "The answer is sent within 5 working days.",
        "Tell the user where the stop tap is.",
        "Close the lid before the system starts.",
        "Forget about the drape in winter.",
        "The shop assistant must sign the form.",
    ],
)
def test_what_a_manual_tells_its_reader_stays(sentence: str) -> None:
    assert not gives_orders(sentence)
