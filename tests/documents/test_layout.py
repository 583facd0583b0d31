"""Reading order, words, and what stands on a page besides its text."""

from collections.abc import Callable
from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate

from doctune.documents import parse_pdf
from doctune.documents.hyphens import Vocabulary
from doctune.documents.language import detect_language
from doctune.documents.lines import Line
from doctune.documents.words import join_lines
from tests.documents.conftest import heading, prose
from tests.documents.rawpdf import one_page, stream, write_raw

MakePdf = Callable[..., Path]


def draw(path: Path, rows: list[tuple[float, float, str]], size: float = 10) -> Path:
    canvas = Canvas(str(path), pagesize=A4)
    canvas.setFont("Helvetica", size)
    for x, y, text in rows:
        canvas.drawString(x, y, text)
    canvas.save()
    return path


def test_columns_are_read_one_after_the_other(tmp_path: Path) -> None:
    width = A4[0] / 2 - 60
    frames = [Frame(40 + i * (width + 40), 60, width, 720, id=str(i)) for i in (0, 1)]
    document = BaseDocTemplate(str(tmp_path / "columns.pdf"), pagesize=A4)
    document.addPageTemplates(PageTemplate(frames=frames))
    texts = [f"Part {n} of the story is told here. " * 12 for n in range(12)]
    document.build([prose(text) for text in texts])
    text = parse_pdf(tmp_path / "columns.pdf").text
    places = [text.index(f"Part {n} of") for n in range(12)]
    assert places == sorted(places)


def test_columns_drawn_line_by_line_are_put_in_order(tmp_path: Path) -> None:
    rows = []
    for line in range(20):
        rows += [(50, 780 - 14 * line, f"left line {line:02d} of the first column here")]
        rows += [(320, 780 - 14 * line, f"right line {line:02d} of the second column")]
    rows.sort(key=lambda row: (row[2][-20:], row[1]))
    text = parse_pdf(draw(tmp_path / "mixed.pdf", rows)).text
    assert text.index("left line 19") < text.index("right line 00")


def test_a_paragraph_goes_on_over_the_page(make_pdf: MakePdf) -> None:
    long = " ".join(f"sentence {n} of a paragraph that never seems to end" for n in range(120))
    document = parse_pdf(make_pdf("long.pdf", [heading("Title"), prose(long)], header="Running"))
    assert len(document.pages) > 1
    (paragraph,) = [block for block in document.blocks if block.kind == "paragraph"]
    assert paragraph.text == long


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_boxes_of_rotated_pages_are_as_shown(tmp_path: Path, rotation: int) -> None:
    content = stream(b"BT /F1 12 Tf 72 700 Td (Hello there, turned page) Tj ET")
    objects = one_page(content, page=b"/Rotate %d" % rotation)
    document = parse_pdf(write_raw(tmp_path / "turned.pdf", objects))
    (page,) = document.pages
    expected = (792, 612) if rotation % 180 else (612, 792)
    assert (page.width, page.height) == expected
    (block,) = page.blocks
    assert 0 <= block.bbox[0] < block.bbox[2] <= page.width
    assert 0 <= block.bbox[1] < block.bbox[3] <= page.height
    # The text's baseline lies near the left, the bottom or the right edge after the turn.
    side = {90: block.bbox[2] - 700 > -5, 180: block.bbox[1] > 690, 270: block.bbox[0] < 100}
    assert side[rotation]


def line(text: str, hyphen: bool = False) -> Line:
    return Line(text, 0, hyphen)


@pytest.mark.parametrize(
    ("before", "after", "elsewhere", "joined"),
    [
        ("the transi-", "tion was", "a transition", "the transition was"),
        ("a star-", "forming cloud", "star-forming regions", "a star-forming cloud"),
        ("state-", "of-the-art work", "", "state-of-the-art work"),
        (
            "the far-",
            "infrared light",
            "it is far from the infrared and of the",
            "the far-infrared light",
        ),
        ("Donaudampf-", "schiff", "", "Donaudampfschiff"),
    ],
)
def test_broken_hyphens_are_joined_and_real_ones_kept(
    before: str, after: str, elsewhere: str, joined: str
) -> None:
    vocabulary = Vocabulary([line(before, True), line(after), line(elsewhere)])
    assert join_lines([before, after], vocabulary) == joined


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The pump starts when the pressure in the tank falls below the lower limit.", "en"),
        ("Die Pumpe startet, wenn der Druck im Tank unter die untere Grenze sinkt.", "de"),
        (
            "La pompe d\u00e9marre quand la pression dans le r\u00e9servoir est sous la limite.",
            "fr",
        ),
        (
            "\u30dd\u30f3\u30d7\u306f\u5727\u529b\u304c\u4e0b\u304c\u308b\u3068\u59cb\u52d5\u3057\u307e\u3059\u3002\u305d\u308c\u304b\u3089\u6b62\u307e\u308a\u307e\u3059\u3002",
            "ja",
        ),
        ("12 34 56", ""),
    ],
)
def test_language_is_told(text: str, language: str) -> None:
    assert detect_language(text) == language


def test_chapter_headings_are_no_running_lines_and_titles_that_change_are(
    tmp_path: Path,
) -> None:
    canvas = Canvas(str(tmp_path / "book.pdf"), pagesize=A4)
    for number in range(12):
        canvas.setFont("Helvetica", 9)
        canvas.drawString(72, 810, f"CHAPTER {number // 3 + 1}. THE {'ABCD'[number // 3]} PUMP")
        canvas.setFont("Helvetica-Bold", 16)
        canvas.drawString(72, 760, f"{number + 1} Section")
        canvas.setFont("Helvetica", 10)
        for row in range(20):
            canvas.drawString(72, 730 - 14 * row, f"Page {number} says in line {row} what is new.")
        canvas.showPage()
    canvas.save()
    document = parse_pdf(tmp_path / "book.pdf")
    kinds = {
        kind: [b.text for b in document.blocks if b.kind == kind] for kind in ("header", "heading")
    }
    assert len(kinds["header"]) == 12
    assert kinds["heading"] == [f"{number + 1} Section" for number in range(12)]


def test_lists_are_nested_by_their_indentation(tmp_path: Path) -> None:
    rows = [
        (72, 700, "1. Open the valve of the tank."),
        (90, 685, "a) Turn it to the left."),
        (90, 670, "b) Wait for the water."),
        (72, 655, "2. Press start."),
    ]
    blocks = parse_pdf(draw(tmp_path / "list.pdf", rows)).blocks
    assert [(block.kind, block.level) for block in blocks] == [
        ("list", 1),
        ("list", 2),
        ("list", 2),
        ("list", 1),
    ]


def test_a_hyphen_that_the_document_sets_behind_a_beginning_is_kept() -> None:
    elsewhere = [line("multi-task and multi-user systems are better than multi-core ones")]
    vocabulary = Vocabulary([line("a multi-", True), line("cue"), *elsewhere])
    assert join_lines(["a multi-", "cue model"], vocabulary) == "a multi-cue model"
    plain = Vocabulary([line("a multi-", True), line("cue")])
    assert join_lines(["a multi-", "tude"], plain) == "a multitude"


def test_halves_of_broken_words_are_no_evidence_for_a_hyphen() -> None:
    lines = [line("we find that the account-", True), line("ing of the firm is in order")]
    vocabulary = Vocabulary([*lines, line("this is the account of the firm that it is for")])
    assert join_lines(["account-", "ing"], vocabulary) == "accounting"


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        (["of Navier-", "Stokes flow"], "of Navier-Stokes flow"),
        (["die Vor-", "und Nachteile"], "die Vor- und Nachteile"),
        (["COVID-", "19 cases"], "COVID-19 cases"),
    ],
)
def test_hyphens_of_names_and_of_parts_left_out_are_kept(parts: list[str], joined: str) -> None:
    assert join_lines(parts, Vocabulary([])) == joined


def test_the_hyphen_of_an_address_is_kept() -> None:
    vocabulary = Vocabulary([])
    parts = ["see example.org/the-", "manual for more"]
    assert join_lines(parts, vocabulary) == "see example.org/the-manual for more"


def test_initials_begin_no_list(tmp_path: Path) -> None:
    rows = [
        (
            72,
            700,
            "The pumps were tried by O. Sonnberg, by K. Alba, by the men of the workshop and by",
        ),
        (72, 688, "T. Borea, who wrote the first report on them."),
        (72, 660, "A. M. Tollen wrote the second one."),
    ]
    blocks = parse_pdf(draw(tmp_path / "names.pdf", rows)).blocks
    assert [block.kind for block in blocks] == ["paragraph", "paragraph"]
    assert "and by T. Borea, who" in blocks[0].text


def test_entries_that_hang_are_blocks_of_their_own(tmp_path: Path) -> None:
    rows = [
        (
            72,
            700,
            "Anders, R. I., Saio, H., Ekman, S., Georg, C., & Meynet, G. 2016, Pumps and their,",
        ),
        (84, 688, "valves, 591, 8"),
        (
            72,
            676,
            "Boch, T., Pineau, F., & Derrier, S. 2012, in Proceedings of the Society, Vol. 461, N.",
        ),
        (
            84,
            664,
            "P. Tanks and pumps, and what was learnt of them in the years that were spent,",
        ),
        (84, 652, "volume two"),
        (72, 640, "Cutri, R. M. 2013, Supplement"),
    ]
    blocks = parse_pdf(draw(tmp_path / "sources.pdf", rows)).blocks
    assert [block.text[:5] for block in blocks] == ["Ander", "Boch,", "Cutri"]
    assert blocks[1].text.endswith("Vol. 461, N. " + rows[3][2] + " volume two")


def test_an_item_with_a_small_bullet_is_one_block(tmp_path: Path) -> None:
    content = stream(
        b"BT /F1 6 Tf 72 700 Td (\\225) Tj /F1 10 Tf 9 0 Td (Grey and coloured: in grey) Tj "
        b"0 -12 Td (they are common in medicine.) Tj ET"
    )
    document = parse_pdf(write_raw(tmp_path / "item.pdf", one_page(content)))
    assert [(block.kind, block.text) for block in document.blocks] == [
        ("list", "\u2022 Grey and coloured: in grey they are common in medicine.")
    ]
    assert document.blocks[0].size == 10
