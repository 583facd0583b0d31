"""An answer leads back to the examples, pages and feedback that taught it."""

from doctune.feedback.trace import lessons
from tests.feedback.corpus import example


def test_an_answer_leads_to_its_feedback_and_page_and_not_to_other_parts() -> None:
    taught = example("sill", "Please tell me the depth of the sill") | {"feedback": ["fb_1"]}
    rows = [example("pump"), example("mast"), taught, example("sill", answer="It is 90 mm.")]
    found = lessons(rows, "What is the depth of the sill?", "140 mm")
    assert [(one.file, one.feedback, one.says_it) for one in found] == [
        ("sill.pdf", ("fb_1",), True),
        ("sill.pdf", (), False),
    ]
    assert found[0].pages == (1,)


def test_a_question_that_nothing_taught_leads_nowhere() -> None:
    assert lessons([example("sill")], "Who painted the fence?", "Ben") == []
