"""Figures, their labels and their captions."""

from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

from doctune.documents import parse_pdf
from doctune.documents.captions import is_caption
from tests.documents.test_page_features import BODY, new_canvas, of_kind, write_lines


def draw_curve(canvas: Canvas, left: float, bottom: float) -> None:
    curve = canvas.beginPath()
    curve.moveTo(left, bottom)
    for x in range(0, 300, 50):
        curve.curveTo(left + x + 10, bottom + 120, left + x + 30, bottom, left + x + 50, bottom + 9)
    canvas.drawPath(curve)


def test_the_numbers_along_the_axes_of_a_plot_are_not_in_the_text(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "plot.pdf")
    write_lines(canvas, BODY, 780)
    draw_curve(canvas, 120, 500)
    canvas.setFont("Helvetica", 8)
    for number in range(4):
        canvas.drawRightString(114, 502 + 16 * number, f"{0.5 * number:.1f}")
    canvas.drawString(120, 486, "1 10 100 1000")
    write_lines(canvas, ["all, as Figure 1 shows for the first of them."], 460)
    canvas.save()
    text = parse_pdf(tmp_path / "plot.pdf").text
    assert "1.5" not in text
    assert "1000" not in text
    assert "nothing happens at" in text
    figures = "\n".join(block.text for block in of_kind(tmp_path / "plot.pdf", "figure"))
    assert set(figures.split()) == {"0.0", "0.5", "1.0", "1.5", "1", "10", "100", "1000"}


def test_scales_among_the_ticks_of_a_drawn_frame_are_figure_text(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "frame.pdf")
    write_lines(canvas, [*BODY, "all."], 780)
    canvas.rect(120, 500, 300, 150)
    canvas.setFont("Helvetica", 8)
    for number in range(3):
        canvas.drawRightString(114, 520 + 40 * number, str(number - 1))
    canvas.drawString(120, 486, "0    0.4    0.8    1.2    1.6")
    canvas.save()
    assert "1.2" not in parse_pdf(tmp_path / "frame.pdf").text


def test_years_over_the_columns_of_a_table_are_text(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "years.pdf")
    write_lines(canvas, [*BODY, "all."], 780)
    for column in range(4):
        canvas.drawString(250 + 80 * column, 700, f"{['June', 'July'][column % 2]} 30,")
        canvas.drawString(254 + 80 * column, 688, str(2022 - column % 2))
    canvas.save()
    text = parse_pdf(tmp_path / "years.pdf").text
    assert text.count("2022") == text.count("2021") == 2


def test_the_labels_of_a_figure_are_one_block(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "labels.pdf")
    draw_curve(canvas, 120, 500)
    canvas.setFont("Helvetica", 8)
    for x, y, label in [
        (300, 520, "valve"),
        (150, 540, "tank"),
        (380, 540, "pump"),
        (200, 510, "lid"),
    ]:
        canvas.drawString(x, y, label)
    write_lines(canvas, ["Figure 1. The pump and its parts."], 470)
    canvas.save()
    (figure,) = of_kind(tmp_path / "labels.pdf", "figure")
    assert sorted(figure.text.split()) == ["lid", "pump", "tank", "valve"]
    assert figure.caption == "Figure 1. The pump and its parts."


@pytest.mark.parametrize(
    "text", ["Figure 5. How it falls", "Fig. S2: Flow", "Table A.1 Prices", "Tabelle 3", "\u8868 3"]
)
def test_captions_are_told_by_their_beginning(text: str) -> None:
    assert is_caption(text)


@pytest.mark.parametrize(
    "text", ["Figure 5 shows how it falls", "Table of contents", "Tables, ivy"]
)
def test_sentences_about_figures_are_no_captions(text: str) -> None:
    assert not is_caption(text)


def test_a_sentence_may_wrap_before_the_name_of_a_figure(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "wrapped.pdf")
    lines = [
        "The pump starts when the pressure in the tank falls below the lower limit, as is shown in",
        "Figure 5. It stops again as soon as the upper limit is reached.",
    ]
    write_lines(canvas, lines, 700)
    canvas.save()
    (block,) = parse_pdf(tmp_path / "wrapped.pdf").blocks
    assert (block.kind, block.text) == ("paragraph", " ".join(lines))


def test_a_caption_with_wide_gaps_between_its_lines_is_one_block(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "manuscript.pdf")
    write_lines(canvas, [*BODY, "all."], 780)
    canvas.setFont("Helvetica", 8)
    lines = ["Figure 4. The pressure in the tank over a day, and the", "flow", "of the pump."]
    for number, text in enumerate(lines):
        canvas.drawString(72, 500 - 15.5 * number, text)
    canvas.save()
    (caption,) = of_kind(tmp_path / "manuscript.pdf", "caption")
    assert caption.text == " ".join(lines)


def test_a_word_broken_at_the_end_of_a_page_goes_on_after_a_figure(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "broken.pdf")
    write_lines(canvas, [*BODY * 12, "all, as the valve is shut and eas-"], 760)
    canvas.showPage()
    draw_curve(canvas, 120, 600)
    write_lines(canvas, ["Figure 1. The pump and its parts."], 570)
    write_lines(canvas, ["ily opened when the pressure falls."], 530)
    canvas.save()
    assert "is shut and easily opened" in parse_pdf(tmp_path / "broken.pdf").text


def test_years_over_short_rows_are_no_axis(tmp_path: Path) -> None:
    canvas = new_canvas(tmp_path / "rows.pdf")
    write_lines(canvas, [*BODY, "all."], 780)
    for number, text in enumerate(["2018 2019 2020 2021", "A 5 6 7 8", "B 1 9 4 2", "C 3 3 1 7"]):
        for column, word in enumerate(text.split(" ", 1 if number else 0)):
            canvas.drawString(72 + 20 * column, 700 - 14 * number, word)
    canvas.save()
    text = parse_pdf(tmp_path / "rows.pdf").text
    assert "2019" in text
    assert "1 9 4 2" in text.replace("\t", " ")
