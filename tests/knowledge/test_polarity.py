"""The side of a yes or no, by rules on what the evidence says."""

import pytest

from doctune.knowledge.lexical import tokens
from doctune.knowledge.polarity import denies_premise, forbids_beside, side_of, wrong_detail
from doctune.knowledge.questions import read_question


@pytest.mark.parametrize(
    ("question", "evidence", "side"),
    [
        ("Is old water dangerous?", "Old water is not dangerous, but it tastes flat.", "no"),
        ("Can I fold the sail?", "Roll the dry sail, never fold it.", "no"),
        ("Is the belt covered?", "The belt, the cloth and the cell wear out and are not covered.",
         "no"),
        ("Will my settings be lost?", "Settings survive the change.", "no"),
        ("Did sales of services fall?", "Sales of services increased by 4 %.", "no"),
        ("Can I use beach sand?", "Sand from the beach rusts the foot.", "no"),
        ("May I use the blue cloth?", "Only the blue cloth may be used.", "yes"),
        ("May I use a paper cloth?", "Only the blue cloth may be used.", "no"),
        ("Is it forbidden to wash the filter?", "Do not wash the filter.", "yes"),
        ("Does a repair take more than 20 days?", "A repair takes 12 days.", "no"),
        ("Is two weeks enough notice?", "Notice must be given within 21 days.", "yes"),
        ("Is the sill heated?", "The sill of the larger unit is heated.", "yes"),
        ("Is the open day free?", "Open day: 17 May 2031, no charge.", "yes"),
        ("Does washing a filter end anything?", "A washed filter looks clean and filters nothing. "
         "It ends the warranty.", "yes"),
        ("Does the tilt grow with the core?", "As the core is increased, the tilt gets smaller.",
         "no"),
        ("Is the lid red?", "The lid is blue.", "no"),
        ("Do I have to fit the shelf?", "The shelf is optional.", "no"),
        ("Do I have to know the address?", "With a server you don't need the address.", "no"),
        ("Do I have to close the lid?", "The lid must be closed.", "yes"),
        ("Is it a good idea to skip the check?", "Skipping the check is insecure.", "no"),
        ("Is the shop open on Mondays?", "The shop is open on Tuesday and Friday.", "no"),
        ("Is the shop open on Fridays?", "The shop is open on Tuesday and Friday.", "yes"),
        ("May I paint the wall blue?", "You may paint it in another colour; it is white.", "yes"),
        ("Do I need leave for a cat?", "Cats are welcome without asking.", "no"),
        ("Can I keep a reptile?", "Reptiles are not kept in the building at all.", "no"),
        ("Does the guarantee cover belts?", "Wear parts, which are belts, are left out.", "no"),
        ("Can I lift the lid on my own?", "The lid is moved by two people.", "no"),
        ("Can I lift the lid with a friend?", "The lid is moved by two people.", "yes"),
        ("Is it ok to leave my cup on it?", "Nothing is put on it, least of all a drink.", "no"),
        ("Can my 12 year old come in?", "Nobody under 16 is let in.", "no"),
        ("Can a 15-year-old fly it?", "Pilots must be 16 or older and pass a test.", "no"),
        ("Can a 17-year-old fly it?", "Pilots must be 16 or older and pass a test.", "yes"),
        ("Do I need a note on day 2?", "A note is needed from the fourth day on.", "no"),
        ("Do I need a note on the fifth day?", "A note is needed from the fourth day on.", "yes"),
    ],
)  # fmt: skip
def test_the_side_follows_from_what_is_said(question: str, evidence: str, side: str) -> None:
    assert side_of(read_question(question), evidence, tokens) == side


@pytest.mark.parametrize(
    ("question", "evidence", "denied"),
    [
        ("Which soap is best for the tank?", "Do not use soap on the tank.", True),
        ("Why does the small unit's heater stay cold?", "The small unit has no heater.", True),
        ("How long does a drape last?", "A drape lasts 36 months.", False),
        ("What must I never do to the drape?", "Never fold the drape.", False),
    ],
)
def test_a_premise_that_the_evidence_denies_is_noticed(
    question: str, evidence: str, denied: bool
) -> None:
    assert denies_premise(read_question(question), evidence, tokens) is denied


def test_the_sentence_beside_denies_with_the_verb_of_the_one_before() -> None:
    question = read_question("Can the basket go into the dishwasher?")
    evidence = "The tank may go into the dishwasher."

    assert forbids_beside(question, evidence, "The basket may not: it loses its shine.", tokens)
    assert not forbids_beside(question, evidence, "The lamp may not: it breaks.", tokens)


def test_a_figure_of_the_same_kind_that_differs_is_a_wrong_premise() -> None:
    question = read_question("The filter lasts a full year, so when do I change it?")

    assert wrong_detail(question, "It is replaced every 180 days.")
    assert not wrong_detail(question, "It is replaced every 12 months.")
    assert not wrong_detail(question, "It costs 31 crowns.")


def test_another_colour_or_day_is_a_wrong_premise() -> None:
    question = read_question("Where do I get the red cloth?")

    assert wrong_detail(question, "The blue cloth is sold by the workshop.")
    assert not wrong_detail(question, "The red cloth and the blue cloth are sold by the workshop.")
