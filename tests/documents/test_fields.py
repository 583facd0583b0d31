"""Form fields: check boxes with their labels, values behind theirs, values that nothing draws."""

from pathlib import Path

from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from doctune.documents import parse_pdf
from tests.documents.rawpdf import one_page, stream, write_raw


def test_boxes_and_values_stand_with_their_labels(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    form = canvas.acroForm
    canvas.drawString(72, 700, "Name:")
    form.textfield(name="n", x=120, y=694, width=200, height=20, value="Ada Marlow")
    for number, (label, checked) in enumerate((("Member", True), ("Guest", False))):
        canvas.drawString(72, 660 - 30 * number, label)
        form.checkbox(name=label, x=130, y=655 - 30 * number, checked=checked, size=14)
    canvas.save()
    text = parse_pdf(tmp_path / "a.pdf").text
    assert text.split("\n\n") == ["Name: Ada Marlow", "[x] Member", "[ ] Guest"]


def test_a_value_without_an_appearance_is_read(tmp_path: Path) -> None:
    content = stream(b"BT /F1 12 Tf 72 700 Td (Street:) Tj ET")
    objects = one_page(content, page=b"/Annots [6 0 R]")
    objects[6] = (
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (s) /V (Mill Lane 7) /F 4 "
        b"/Rect [130 690 300 712] >>"
    )
    path = write_raw(tmp_path / "a.pdf", objects)
    assert parse_pdf(path).text == "Street: Mill Lane 7"


def test_vertical_writing_is_read_from_right_to_left(tmp_path: Path) -> None:
    pdfmetrics.registerFont(UnicodeCIDFont("HeiseiMin-W3", isVertical=True))
    columns = [
        "\u6c34\u304c\u4f4e\u304f\u306a\u308b\u3068\u30dd\u30f3\u30d7\u304c\u52d5\u304d\u307e\u3059\u3002",
        "\u9ad8\u304f\u306a\u308b\u3068\u6b62\u307e\u308a\u307e\u3059\u3002\u5f01\u306f\u95a2\u4fc2\u3042\u308a\u307e\u305b\u3093\u3002",
    ]
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=A4)
    canvas.setFont("HeiseiMin-W3", 14)
    for number, column in enumerate(columns):
        canvas.drawString(500 - 24 * number, 760, column)
    canvas.save()
    assert parse_pdf(tmp_path / "a.pdf").text == "".join(columns)


def widget(rect: bytes, entries: bytes) -> bytes:
    return b"<< /Type /Annot /Subtype /Widget /F 4 /Rect [%s] %s >>" % (rect, entries)


def test_each_box_of_a_row_stands_before_its_own_label(tmp_path: Path) -> None:
    content = stream(
        b"BT /F1 12 Tf 72 700 Td (Pets) Tj 60 0 Td (Dog) Tj 60 0 Td (Cat) Tj "
        b"-120 -30 Td (I agree) Tj ET"
    )
    objects = one_page(content, page=b"/Annots [6 0 R 7 0 R 8 0 R]")
    objects[6] = widget(b"118 698 130 710", b"/FT /Btn /T (d) /V /Yes /AS /Yes")
    objects[7] = widget(b"178 698 190 710", b"/FT /Btn /T (c) /AS /Off")
    objects[8] = widget(b"118 668 130 680", b"/FT /Btn /T (a) /V /Yes")
    path = write_raw(tmp_path / "a.pdf", objects)
    assert parse_pdf(path).text.split("\n\n") == ["Pets [x] Dog [ ] Cat", "[x] I agree"]


def test_a_value_that_a_field_inherits_is_read(tmp_path: Path) -> None:
    objects = one_page(stream(b"BT /F1 12 Tf 72 700 Td (Street:) Tj ET"), page=b"/Annots [6 0 R]")
    objects[1] = b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [7 0 R] >> >>"
    objects[6] = widget(b"130 690 300 712", b"/Parent 7 0 R")
    objects[7] = b"<< /FT /Tx /T (s) /V (Mill Lane 7) /Kids [6 0 R] >>"
    assert parse_pdf(write_raw(tmp_path / "a.pdf", objects)).text == "Street: Mill Lane 7"


def test_a_value_without_a_label_beside_it_is_a_line_of_its_own(tmp_path: Path) -> None:
    content = stream(b"BT /F1 12 Tf 72 700 Td (Name of the owner) Tj 0 -80 Td (The end) Tj ET")
    objects = one_page(content, page=b"/Annots [6 0 R]")
    objects[6] = widget(b"72 660 300 682", b"/FT /Tx /T (z) /V (Ada Marlow)")
    text = parse_pdf(write_raw(tmp_path / "a.pdf", objects)).text
    assert text.split("\n\n") == ["Name of the owner", "Ada Marlow", "The end"]
