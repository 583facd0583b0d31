"""What a question asks for, and whether a text has it."""

import pytest

from doctune.knowledge.expectation import counts, has_kind, named, wanted_noun
from doctune.knowledge.questions import read_question
from doctune.knowledge.vocabulary import AskedWord


@pytest.mark.parametrize(
    ("question", "text", "has"),
    [
        ("Who is the director of the museum?", "The director decides within a month.", False),
        ("Who is the director of the museum?", "The director, Ada Brandt, decides.", True),
        ("Who founded Harrow Mills?", "Harrow Mills makes flour.", False),
        ("Who may enter?", "The warden may enter.", True),
        ("what's the phone number of the depot", "Telephone the depot and say where.", False),
        ("what's the phone number of the depot", "The depot: 0451 22 90 31.", True),
        ("What is the email address for complaints?", "Complaints go to the desk.", False),
        ("What is the email address for complaints?", "Complaints: desk@depot.example", True),
        ("what colour are the vans", "The vans carry eight crates.", False),
        ("what colour are the vans", "The vans are green.", True),
        ("What is the name of the owner?", "The owner pays for the roof.", False),
        ("What is the name of the owner?", "The owner is Ada Brandt.", True),
        ("How old is the mill?", "The mill grinds for 12 days.", False),
        ("How old is the mill?", "The mill was built in 1871.", True),
        ("How old is the mill?", "The mill is in the Old Yard, 12 miles off.", False),
        ("What time does the shop open?", "The shop answers within two days.", False),
        ("What time does the shop open?", "The shop is open from 9:30.", True),
        ("What colour pen should I use?", "Write with a soft pencil.", True),
        ("Where can I buy a hive?", "A hive stands in the shade.", False),
        ("Where can I buy a hive?", "Hives are sold at the depot.", True),
    ],
)
def test_what_is_asked_for_is_told_by_its_looks(question: str, text: str, has: bool) -> None:
    assert has_kind(read_question(question), [text]) is has


@pytest.mark.parametrize(
    ("question", "noun"),
    [
        ("Which breed is the gentlest?", ["breed"]),
        ("how many eggs does a hen lay", ["eggs"]),
        ("What is the boiling point of ammonia?", ["boiling"]),
        ("What is the best way to clean it?", []),
        ("Is there wifi in the hall?", ["wifi"]),
        ("can i borrow a tandem", ["tandem"]),
        ("How do I make mead?", ["mead"]),
        ("When does it open?", []),
        ("how much caffeine has a cup", ["caffeine"]),
        ("Is the flat furnished?", ["furnished"]),
        ("Is the motor covered?", []),
        ("Are dogs allowed in the yard?", ["dogs"]),
        ("what's the right time for a shot", []),
        ("how do I put a piece of wood on the lathe", []),
        ("What are the steps for changing the belt?", []),
        ("is there a children's choir", ["children's", "choir"]),
        ("do I have to be able to read music", []),
        ("where can I park at the mill", ["park"]),
        ("where do I put the glass", []),
        ("Who won the prize?", ["won"]),
    ],
)
def test_the_noun_that_is_asked_for_is_read(question: str, noun: list[str]) -> None:
    assert wanted_noun(read_question(question)) == noun


def test_a_noun_counts_as_named_by_a_near_word() -> None:
    asked = [AskedWord("breed", {"breed": 1.0, "race": 0.7}), AskedWord("bee", {"bee": 1.0})]

    assert named(asked, ["breed"], [{"bee"}, {"race"}]) == 0.7
    assert named(asked, ["breed"], [{"bee"}]) == 0.0
    assert named(asked, [], [{"bee"}]) == 1.0


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("Each member may reserve four tickets.", False),
        ("The choir has 64 members.", True),
        ("There are no members under 16.", True),
        ("Members: 64.", True),
    ],
)
def test_a_number_answers_how_many_only_of_what_it_counts(text: str, has: bool) -> None:
    asked = [AskedWord("member", {"member": 1.0}), AskedWord("choir", {"choir": 1.0})]

    assert counts(read_question("how many members has the choir"), asked, [text]) is has
