"""Files made to break readers: each ends as text or as a reason, and the run goes on."""

from collections.abc import Callable
from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

from doctune.documents import ParseOptions, PdfError, parse_corpus, parse_pdf
from tests.documents.rawpdf import one_page, stream, write_raw, zeros_packed

SESAME = "open sesame"
HELLO = stream(b"BT /F1 12 Tf 72 700 Td (Hello there) Tj ET")


def page_tree_loop() -> dict[int, bytes]:
    return {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 7 >>",
    }


def million_pages() -> dict[int, bytes]:
    levels = 6
    objects = {1: b"<< /Type /Catalog /Pages 2 0 R >>"}
    for level in range(levels):
        kids = b" ".join([b"%d 0 R" % (3 + level)] * 10)
        count = 10 ** (levels - level)
        objects[2 + level] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (count, kids)
    objects[2 + levels] = b"<< /Type /Page /MediaBox [0 0 10 10] >>"
    return objects


def deep_nesting() -> dict[int, bytes]:
    objects = one_page(HELLO, page=b"/Deep 6 0 R")
    objects[6] = b"[" * 100_000 + b"]" * 100_000
    return objects


def forms_in_a_circle() -> dict[int, bytes]:
    objects = one_page(stream(b"/X0 Do"), resources=b"/XObject << /X0 6 0 R >>")
    for number in range(6, 206):
        following = number + 1 if number < 205 else 6
        objects[number] = stream(
            b"/X0 Do",
            b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] "
            b"/Resources << /XObject << /X0 %d 0 R >> >>" % following,
        )
    return objects


def huge_image() -> dict[int, bytes]:
    content = stream(b"q 99 0 0 99 0 0 cm /X0 Do Q BT /F1 12 Tf 72 700 Td (Hello there) Tj ET")
    objects = one_page(content, resources=b"/XObject << /X0 6 0 R >>")
    objects[6] = stream(
        zeros_packed(1),
        b"/Type /XObject /Subtype /Image /Width 60000 /Height 60000 /BitsPerComponent 8 "
        b"/ColorSpace /DeviceRGB",
        packed=True,
    )
    return objects


def script_and_attachment() -> dict[int, bytes]:
    objects = one_page(HELLO)
    objects[1] = (
        b"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /JavaScript /JS (app.alert(1)) >> "
        b"/Names << /EmbeddedFiles << /Names [(x) << /EF << /F 6 0 R >> >>] >> >> >>"
    )
    objects[6] = stream(b"MZ not run", b"/Type /EmbeddedFile")
    return objects


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (page_tree_loop, ""),
        (forms_in_a_circle, ""),
        (deep_nesting, "Hello there"),
        (huge_image, "Hello there"),
        (script_and_attachment, "Hello there"),
    ],
)
def test_what_can_be_read_of_a_twisted_file_is_read(
    tmp_path: Path, build: Callable[[], dict[int, bytes]], text: str
) -> None:
    document = parse_pdf(write_raw(tmp_path / "twisted.pdf", build()))
    assert document.text == text


def test_a_million_pages_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PdfError, match="1000000 pages"):
        parse_pdf(write_raw(tmp_path / "bomb.pdf", million_pages()))


def encrypted_pdf(folder: Path) -> Path:
    """Writes a file that `SESAME` opens."""
    path = folder / "locked.pdf"
    canvas = Canvas(str(path), encrypt=SESAME)
    canvas.drawString(72, 700, "A secret about pumps")
    canvas.save()
    return path


def test_a_password_opens_an_encrypted_file(tmp_path: Path) -> None:
    path = encrypted_pdf(tmp_path)
    for password, reason in ((None, "no password was given"), ("wrong", "does not open it")):
        with pytest.raises(PdfError, match=reason):
            parse_pdf(path, ParseOptions(password=password))
    assert parse_pdf(path, ParseOptions(password=SESAME)).text == "A secret about pumps"


def test_a_run_over_bad_files_names_each_and_reads_the_good_one(tmp_path: Path) -> None:
    folder = tmp_path / "pdfs"
    folder.mkdir()
    write_raw(folder / "good.pdf", one_page(HELLO))
    write_raw(folder / "inflates.pdf", one_page(stream(zeros_packed(300), packed=True)))
    write_raw(folder / "million.pdf", million_pages())
    (folder / "empty.pdf").touch()
    (folder / "picture.pdf").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    whole = (folder / "good.pdf").read_bytes()
    (folder / "half.pdf").write_bytes(whole[: len(whole) // 3])
    options = ParseOptions(
        max_failure_share=0.9, workers=1, memory_limit_mb=300, output_limit_mb=1, timeout_seconds=30
    )
    summary = parse_corpus(folder, tmp_path / "out", options)
    assert summary.files_parsed == 1
    reasons = {reject.source: reject.reason for reject in summary.rejects}
    for source, part in {
        "inflates.pdf": "memory_limit_mb",
        "million.pdf": "max_pages",
        "empty.pdf": "empty",
        "picture.pdf": "not a PDF",
        "half.pdf": "truncated",
    }.items():
        assert part in reasons[source], reasons


def test_more_text_than_allowed_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "pdfs"
    folder.mkdir()
    write_raw(folder / "good.pdf", one_page(HELLO))
    row = b"(" + b"word " * 200 + b") Tj 0 -1.5 Td "
    objects = one_page(stream(b"BT /F1 1.6 Tf 1 780 Td " + row * 500 + b"ET"))
    objects[2] = b"<< /Type /Pages /Kids [3 0 R 3 0 R 3 0 R] /Count 3 >>"
    write_raw(folder / "wordy.pdf", objects)
    summary = parse_corpus(
        folder, tmp_path / "out", ParseOptions(workers=1, output_limit_mb=1, max_failure_share=0.9)
    )
    assert [reject.source for reject in summary.rejects] == ["wordy.pdf"]
    assert "output_limit_mb" in summary.rejects[0].reason


def test_a_slow_file_is_given_up(tmp_path: Path) -> None:
    folder = tmp_path / "pdfs"
    folder.mkdir()
    write_raw(folder / "good.pdf", one_page(HELLO))
    write_raw(folder / "slow.pdf", one_page(stream(b"0 0 m 1 1 l S " * 5_000_000)))
    options = ParseOptions(max_failure_share=0.9, workers=1, timeout_seconds=1.0)
    summary = parse_corpus(folder, tmp_path / "out", options)
    assert [reject.source for reject in summary.rejects] == ["slow.pdf"]
    assert "timeout_seconds" in summary.rejects[0].reason
