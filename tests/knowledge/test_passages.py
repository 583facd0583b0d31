"""How a document is cut into passages and units."""

from doctune.dataset.records import Block, Document
from doctune.knowledge.passages import Passage, cut_document


def _document(*blocks: tuple[str, str], rows: tuple[tuple[str, ...], ...] = ()) -> Document:
    made = [
        Block(
            page=1 + at // 8,
            index=at,
            kind=kind,
            level=1 if kind in ("heading", "list") else 0,
            text=text,
            rows=rows if kind == "table" else (),
            header_rows=1 if kind == "table" else 0,
            bbox=(10.0, 10.0 * at, 90.0, 10.0 * at + 8),
        )
        for at, (kind, text) in enumerate(blocks)
    ]
    return Document("d" * 64, "guide.pdf", "Guide", "en", 2, tuple(made))


def _cut(document: Document, least: int = 60, most: int = 200) -> list[Passage]:
    return cut_document(document, (document.title,), least=least, most=most)


def test_a_passage_never_crosses_a_heading() -> None:
    passages = _cut(
        _document(
            ("heading", "Water"),
            ("paragraph", "Draw it."),
            ("heading", "Fire"),
            ("paragraph", "Put it out."),
        )
    )

    assert [(passage.heading, passage.text) for passage in passages] == [
        (("Water",), "Draw it."),
        (("Fire",), "Put it out."),
    ]


def test_a_passage_ends_between_sentences_before_it_is_too_long() -> None:
    sentence = "The pump lifts ten litres of water a minute from the well."
    passages = _cut(_document(("heading", "Pump"), ("paragraph", " ".join([sentence] * 40))))

    assert all(len(passage.text.split()) <= 200 for passage in passages)
    assert all(passage.text.endswith("well.") for passage in passages)
    assert sum(len(passage.units) for passage in passages) == 40


def test_a_list_is_a_unit_beside_its_items_and_keeps_its_lead_in() -> None:
    (passage,) = _cut(
        _document(
            ("heading", "Claims"),
            ("paragraph", "Terms differ. Send us three things:"),
            ("list", "• the number"),
            ("list", "• a photograph"),
        )
    )

    assert [(unit.kind, unit.lead) for unit in passage.units[2:]] == [
        ("list", "Send us three things:"),
        ("item", "Send us three things:"),
        ("item", "Send us three things:"),
    ]
    assert passage.units[2].text == "• the number\n• a photograph"
    assert passage.units[3].text == "the number"


def test_a_row_is_a_unit_with_the_heads_of_its_columns_and_their_unit() -> None:
    rows = (("Distance, metres", "Mark 1", "Mark 2"), ("Wall", "4.2", "6.8"))
    (passage,) = _cut(_document(("heading", "Site"), ("table", "x"), rows=rows))

    assert passage.units[0].text == "Wall — Mark 1: 4.2 metres; Mark 2: 6.8 metres"


def test_units_name_the_page_and_the_box_they_stand_on() -> None:
    blocks = [("heading", "A")] + [("paragraph", f"Sentence number {n}.") for n in range(9)]
    (passage,) = _cut(_document(*blocks))

    assert passage.pages == (1, 2)
    assert passage.units[-1].page == 2
    assert passage.units[-1].box == (10.0, 90.0, 90.0, 98.0)
