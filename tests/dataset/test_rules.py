"""What the rules make of headings, lists and tables."""

from pathlib import Path

from doctune.dataset import DatasetOptions
from doctune.dataset.generator import RuleGenerator
from doctune.dataset.records import Fact, read_corpus
from doctune.dataset.tokens import TokenCounter
from doctune.dataset.view import view_documents
from tests.dataset.corpora import Paper, write_corpus


def facts_of(tmp_path: Path, *papers: Paper) -> list[Fact]:
    """What is made of the first paper."""
    corpus = read_corpus(write_corpus(tmp_path, *papers))
    view = view_documents(corpus, TokenCounter(), DatasetOptions())[0]
    return RuleGenerator().generate(view)


def answer_to(question: str, facts: list[Fact]) -> str:
    answers = [fact.answer for fact in facts if question in fact.questions]
    assert answers, [question for fact in facts for question in fact.questions]
    return answers[0]


def manual() -> Paper:
    return Paper("arlo.pdf", title="Arlo 3 User Manual").heading("Arlo 3 User Manual")


def test_a_section_question_names_the_document(tmp_path: Path) -> None:
    paper = manual().heading("Installation").text("Stand the Arlo 3 on a level bench of oak.")

    (fact,) = [fact for fact in facts_of(tmp_path, paper) if fact.kind == "section"]

    assert all("Arlo 3" in question for question in fact.questions)
    assert fact.answer == "Stand the Arlo 3 on a level bench of oak."
    assert fact.heading == ("Installation",)


def test_a_heading_that_asks_is_answered_by_its_paragraph(tmp_path: Path) -> None:
    paper = manual().heading("Can I wash the drum?").text("Yes, with cold water and no soap.")

    assert answer_to("Can I wash the drum?", facts_of(tmp_path, paper)).startswith("Yes, with cold")


def test_numbered_steps_answer_how_to(tmp_path: Path) -> None:
    paper = manual().heading("2.1 Replacing the drum")
    paper.items("1. Open the lid.", "2. Lift the old drum out.", "3. Close the lid again.")

    facts = facts_of(tmp_path, paper)

    steps = next(fact for fact in facts if fact.kind == "steps" and "1." in fact.answer)
    assert any("replace the drum" in question for question in steps.questions)
    assert steps.answer == "1. Open the lid.\n2. Lift the old drum out.\n3. Close the lid again."
    assert any("second step to replace the drum" in q for fact in facts for q in fact.questions)


def test_a_list_is_asked_for_by_the_sentence_that_opens_it(tmp_path: Path) -> None:
    paper = manual().heading("Delivery").text("The box contains the following parts:")
    paper.text("The small box contains three things:")
    paper.items("- a drum of beech", "- a lid of brass", "- a key")

    (fact,) = [fact for fact in facts_of(tmp_path, paper) if fact.kind == "list"]

    assert any("the small box" in question for question in fact.questions)
    assert "- a lid of brass" in fact.answer


def test_a_number_that_ends_a_sentence_is_no_list_item(tmp_path: Path) -> None:
    paper = manual().heading("Noise").text("The drum hums as long as the count is above")
    paper.items("120. Near dwellings keep the lid shut.")

    (fact,) = [fact for fact in facts_of(tmp_path, paper) if fact.kind == "section"]

    assert "above 120." in fact.answer


def test_a_cell_is_asked_for_by_row_and_column(tmp_path: Path) -> None:
    paper = manual().heading("Prices").text("We keep the price of a drum low.")
    paper.table(["Part", "Price (EUR)"], ["DR-10", "31"], ["DR-11", "44"])

    assert answer_to("What is the price of DR-10?", facts_of(tmp_path, paper)) == (
        "The price of DR-10 is 31 EUR."
    )


def test_a_table_of_properties_is_about_the_product(tmp_path: Path) -> None:
    paper = (
        manual().heading("Data").table(["Property", "Value"], ["Weight", "14 kg"], ["Width", "2 m"])
    )

    assert answer_to("What is the weight of Arlo 3?", facts_of(tmp_path, paper)) == (
        "The weight of Arlo 3 is 14 kg."
    )


def test_a_table_that_compares_things_asks_for_each(tmp_path: Path) -> None:
    paper = manual().heading("Data").text("The weight of an Arlo is low.")
    paper.table(["", "Arlo 3", "Arlo 5"], ["Weight, kilograms", "14", "21"])

    assert answer_to("What is the weight for the Arlo 5?", facts_of(tmp_path, paper)) == (
        "The weight for the Arlo 5 is 21 kilograms."
    )


def test_a_code_has_a_meaning(tmp_path: Path) -> None:
    paper = manual().heading("Codes").text("The display shows a code.")
    paper.table(
        ["Code", "Meaning", "Mend"],
        ["A02", "Drum worn", "Replace the drum"],
        ["A03", "No power", "Look at the plug"],
    )

    facts = facts_of(tmp_path, paper)

    assert answer_to("What does the code A02 mean?", facts) == "The code A02 means: Drum worn."
    assert (
        answer_to("What should I do about the code A03?", facts)
        == "The code A03: Look at the plug."
    )


def test_figures_of_a_report_name_period_and_scale(tmp_path: Path) -> None:
    paper = Paper("q.pdf", title="Acme Quarterly Report").heading("Results")
    paper.text("Our total net sales and our gross margin rose.")
    paper.table(
        ["(in millions)", "Three months ended", ""],
        ["", "June 2031", "June 2030"],
        ["Total net sales", "$ 82", "$ 81"],
        ["Gross margin", "35", "—"],
    )

    facts = facts_of(tmp_path, paper)

    answers = {fact.answer for fact in facts if fact.kind == "table"}
    assert "Total net sales for three months ended June 2031: $82 (in millions)." in answers
    assert not any("—" in answer for answer in answers)


def test_a_table_whose_keys_repeat_is_not_asked_for_them(tmp_path: Path) -> None:
    paper = manual().heading("Data").text("The price is low.")
    paper.table(["Part", "Price"], ["Drum", "3"], ["Drum", "4"], ["Lid", "5"])

    answers = [fact.answer for fact in facts_of(tmp_path, paper) if fact.kind == "table"]

    assert answers
    assert not any("drum" in answer.casefold() for answer in answers)


def test_a_glossary_entry_becomes_a_definition(tmp_path: Path) -> None:
    paper = Paper("g.pdf", title="Glossary").heading("A to Z")
    paper.text(
        "Wring: a shake of the drape that frees the water.", "Every wring ends; a wring is short."
    )

    assert answer_to("What is a wring?", facts_of(tmp_path, paper)) == (
        "A wring is a shake of the drape that frees the water."
    )


def test_an_abbreviation_is_explained_where_the_initials_agree(tmp_path: Path) -> None:
    paper = manual().heading("Terms").text("The Daily Flow Index (DFI) rises, and so (QQQ) falls.")

    facts = facts_of(tmp_path, paper)

    assert answer_to("What does DFI stand for?", facts) == "DFI stands for Daily Flow Index."
    assert not any("QQQ" in question for fact in facts for question in fact.questions)


def test_contents_and_references_are_not_learnt(tmp_path: Path) -> None:
    paper = manual().heading("Contents").text("Drums and their care ........ 3")
    paper.heading("Drums").text("The drum is a cask of beech that turns at night.")
    paper.heading("References").text("Smith, J. The drum is a toy that rolls. Acme Press.")

    text = "\n".join(f"{fact.questions} {fact.answer}" for fact in facts_of(tmp_path, paper))

    assert "cask of beech" in text
    assert "........" not in text
    assert "Smith" not in text


def test_a_paragraph_cut_by_a_page_is_whole_again(tmp_path: Path) -> None:
    paper = manual().heading("Care").text("The lid of the drum must be")
    paper.new_page().text("oiled every 30 days with linseed oil.")

    assert answer_to("How often must the lid of the drum be oiled?", facts_of(tmp_path, paper)) == (
        "The lid of the drum must be oiled every 30 days with linseed oil."
    )


def test_a_question_without_the_name_is_asked_only_if_its_subject_tells_enough(
    tmp_path: Path,
) -> None:
    paper = manual().heading("Care").text("The unit weighs 14 kilograms in all.")

    questions = [q for fact in facts_of(tmp_path, paper) for q in fact.questions]

    assert "How much does the unit weigh?" not in questions


def test_the_seed_chooses_among_phrasings(tmp_path: Path) -> None:
    paper = manual().heading("Installation").text("Stand the Arlo 3 on a level bench of oak.")
    corpus = read_corpus(write_corpus(tmp_path, paper))

    chosen = set()
    for seed in range(12):
        view = view_documents(corpus, TokenCounter(), DatasetOptions(seed=seed))[0]
        chosen.update(fact.questions for fact in RuleGenerator().generate(view))

    assert len(chosen) > 2
