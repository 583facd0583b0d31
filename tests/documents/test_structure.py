"""What a file says about its content: deep page trees, layers, tags, texts that replace others."""

import zlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from doctune.documents import ParseOptions, parse_corpus, parse_pdf
from doctune.documents.optional_content import has_optional_content
from doctune.documents.paths import parse_paths
from tests.documents.rawpdf import one_page, stream, write_raw

_LINES = [f"Line {name} of the page about pumps and their limits." for name in "ABCDEF"]


def shown(x: int, y: int, text: str) -> bytes:
    return b"BT /F1 11 Tf %d %d Td (%s) Tj ET\n" % (x, y, text.encode("latin-1"))


def test_a_page_under_five_thousand_levels_is_read(tmp_path: Path) -> None:
    objects = one_page(stream(shown(72, 700, "Deep down")))
    depth, base = 5_000, 100
    fonts = objects[3].index(b"/Resources")
    resources = objects[3][fonts:].removesuffix(b" >>")
    objects[2] = b"<< /Type /Pages /Kids [%d 0 R] /Count 1 %s >>" % (base, resources)
    for level in range(depth):
        parent = base + level - 1 if level else 2
        kid = base + level + 1 if level < depth - 1 else 3
        objects[base + level] = b"<< /Type /Pages /Parent %d 0 R /Kids [%d 0 R] /Count 1 >>" % (
            parent,
            kid,
        )
    objects[3] = b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 612 792] /Contents 4 0 R >>" % (
        base + depth - 1
    )
    document = parse_pdf(write_raw(tmp_path / "a.pdf", objects), ParseOptions(ocr="off"))
    assert [page.text for page in document.pages] == ["Deep down"]


def layered(path: Path, packed: bool = False) -> Path:
    """A layer that is off over one that is on, at the same place; one in a form; one outside."""
    content = (
        shown(72, 740, _LINES[0])
        + b"/OC /On BDC "
        + shown(72, 700, "English words")
        + b"EMC\n"
        + b"/OC /Off BDC "
        + shown(72, 700, "Mots absents")
        + b"EMC\n"
        + b"/Fm Do\n"
    )
    resources = b"/Properties << /On 6 0 R /Off 7 0 R >> /XObject << /Fm 8 0 R >>"
    objects = one_page(stream(content), resources=resources)
    objects[1] = (
        b"<< /Type /Catalog /Pages 2 0 R /OCProperties << /OCGs [6 0 R 7 0 R] "
        b"/D << /OFF [7 0 R] >> >> >>"
    )
    objects[6] = b"<< /Type /OCG /Name (English) >>"
    objects[7] = b"<< /Type /OCG /Name (French) >>"
    objects[8] = stream(
        shown(72, 600, "Encore absents"),
        b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] /OC 7 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >>",
    )
    return write_raw(path, objects)


def test_content_that_is_off_by_default_is_left_out_and_counted(tmp_path: Path) -> None:
    path = layered(tmp_path / "a.pdf")
    page = parse_pdf(path, ParseOptions(ocr="off")).pages[0]
    assert "English words" in page.text
    assert "absents" not in page.text
    assert page.hidden_chars == len("Motsabsents") + len("Encoreabsents")
    assert page.lost_chars == 0
    kept = parse_pdf(path, ParseOptions(ocr="off", hidden_text=True))
    assert "Mots absents" in kept.text


def packed_objects(objects: dict[int, bytes]) -> bytes:
    """An object stream."""
    bodies = b" ".join(objects.values())
    starts = [
        sum(len(body) + 1 for body in list(objects.values())[:at]) for at in range(len(objects))
    ]
    head = b" ".join(b"%d %d" % pair for pair in zip(objects, starts, strict=True)) + b" "
    entries = b"/Type /ObjStm /N %d /First %d" % (len(objects), len(head))
    return stream(zlib.compress(head + bodies), entries, packed=True)


@pytest.mark.parametrize(
    ("packed", "later", "declared"),
    [
        ({1: b"<< /Type /Catalog /Pages 2 0 R /OCProperties << >> >>"}, b"", True),
        ({1: b"<< /Type /Catalog /Pages 2 0 R >>"}, b"", False),
        # Another object that mentions layers, and a catalog that a later change replaced.
        ({1: b"<< /Type /Catalog >>", 9: b"<< /Title (OCProperties) >>"}, b"", False),
        ({1: b"<< /Type /Catalog >>"}, b"1 0 obj << /Type /Catalog /OCProperties << >> >>", True),
    ],
)
def test_layers_are_known_from_a_catalog_in_an_object_stream(
    tmp_path: Path, packed: dict[int, bytes], later: bytes, declared: bool
) -> None:
    filler = b"%" + b"x" * 300_000 + b"\n"  # more than is searched at once
    content = b"%PDF-1.7\n" + filler + b"8 0 obj\n" + packed_objects(packed) + b"\nendobj\n"
    path = tmp_path / "a.pdf"
    path.write_bytes(content + later + b"\ntrailer << /Root 1 0 R >>\nstartxref\n0\n%%EOF\n")
    assert has_optional_content(path) == declared


def test_actual_text_replaces_what_is_drawn(tmp_path: Path) -> None:
    content = (
        b"BT /F1 11 Tf 72 700 Td (The ) Tj /Span << /ActualText (office) >> BDC (o*ce) Tj EMC "
        b"( is open) Tj ET"
    )
    path = write_raw(tmp_path / "a.pdf", one_page(stream(content)))
    assert parse_pdf(path).text == "The office is open"


def tagged(path: Path, content: bytes, tags: dict[int, bytes], kids: list[int], ids: int) -> Path:
    """A tagged page: `tags` are the elements from object 20 on, `kids` those of the root."""
    objects = one_page(stream(content), page=b"/StructParents 0")
    objects[1] = (
        b"<< /Type /Catalog /Pages 2 0 R /MarkInfo << /Marked true >> /StructTreeRoot 10 0 R >>"
    )
    refs = b" ".join(b"%d 0 R" % kid for kid in kids)
    objects[10] = b"<< /Type /StructTreeRoot /K [%s] /ParentTree 11 0 R >>" % refs
    parents = b" ".join(b"%d 0 R" % (20 + number) for number in range(ids))
    objects[11] = b"<< /Nums [0 [%s]] >>" % parents
    objects |= tags
    return write_raw(path, objects)


def element(kind: bytes, mcid: int, more: bytes = b"") -> bytes:
    return b"<< /Type /StructElem /S /%s /P 10 0 R /Pg 3 0 R /K %d %s >>" % (kind, mcid, more)


def test_the_order_of_sane_tags_is_kept(tmp_path: Path) -> None:
    content = b""
    order = [3, 0, 4, 1, 5, 2]  # drawn in this order, tagged from A to F
    for mcid, place in enumerate(order):
        content += b"/P << /MCID %d >> BDC " % mcid
        content += shown(72, 700 - 60 * place, _LINES[place]) + b"EMC\n"
    kids = [20 + order.index(place) for place in range(6)]
    tags = {20 + number: element(b"P", number) for number in range(6)}
    path = tagged(tmp_path / "a.pdf", content, tags, kids, 6)
    assert parse_pdf(path).text.split("\n\n") == _LINES


def test_tags_that_leave_text_out_are_not_followed(tmp_path: Path) -> None:
    content = b"".join(
        b"/P << /MCID %d >> BDC " % mcid + shown(72, 700 - 60 * mcid, line) + b"EMC\n"
        for mcid, line in enumerate(_LINES)
    )
    tags = {20 + number: element(b"P", number) for number in range(6)}
    path = tagged(tmp_path / "a.pdf", content, tags, [25, 21], 6)
    assert parse_pdf(path).text.split("\n\n") == _LINES


def test_the_description_of_a_figure_is_its_text(tmp_path: Path) -> None:
    content = b"/P << /MCID 0 >> BDC " + shown(72, 700, _LINES[0]) + b"EMC\n"
    content += b"/Figure << /MCID 1 >> BDC q 100 0 0 80 72 560 cm 0 0 1 rg 0 0 1 1 re f Q EMC\n"
    content += b"/P << /MCID 2 >> BDC " + shown(72, 500, _LINES[1]) + b"EMC\n"
    tags = {
        20: element(b"P", 0),
        21: element(b"Figure", 1, b"/Alt (A blue pump from the side)"),
        22: element(b"P", 2),
    }
    path = tagged(tmp_path / "a.pdf", content, tags, [20, 21, 22], 3)
    document = parse_pdf(path, ParseOptions(ocr="off"))
    figure = document.blocks[1]
    assert (figure.kind, figure.text) == ("figure", "A blue pump from the side")
    assert figure.bbox == (72.0, 152.0, 172.0, 232.0)
    assert "A blue pump from the side" in document.markdown
    assert document.pages[0].lost_chars == 0


def portfolio(path: Path, names: list[bytes]) -> Path:
    """A cover page with a PDF attached under each name, and a text file."""
    inner = write_raw(path.parent / "inner.raw", one_page(stream(shown(72, 700, "Inner page"))))
    objects = one_page(stream(shown(72, 700, "Cover page")))
    pairs = []
    for number, name in enumerate([*names, b"notes.txt"]):
        spec, content = 20 + 2 * number, 21 + 2 * number
        objects[spec] = b"<< /Type /Filespec /F (%s) /UF (%s) /EF << /F %d 0 R >> >>" % (
            name,
            name,
            content,
        )
        data = inner.read_bytes() if name != b"notes.txt" else b"only text"
        objects[content] = stream(data, b"/Type /EmbeddedFile")
        pairs.append(b"(%s) %d 0 R" % (name, spec))
    inner.unlink()
    objects[1] = (
        b"<< /Type /Catalog /Pages 2 0 R /Names << /EmbeddedFiles << /Names [%s] >> >> "
        b"/Collection << /View /T >> >>" % b" ".join(pairs)
    )
    return write_raw(path, objects)


def test_attached_files_are_named_in_a_warning(tmp_path: Path) -> None:
    (warning,) = parse_pdf(portfolio(tmp_path / "a.pdf", [b"part.pdf"])).warnings
    assert warning.startswith("2 files are attached")
    assert "part.pdf, notes.txt" in warning


def test_attached_pdfs_are_documents_where_asked(tmp_path: Path) -> None:
    path = portfolio(tmp_path / "a.pdf", [b"../part.pdf"])
    document = parse_pdf(path, ParseOptions(attachments=True))
    assert document.text == "Cover page"
    assert {name: inner.text for name, inner in document.attached.items()} == {
        "part.pdf": "Inner page"
    }


def test_a_corpus_has_a_row_for_each_attached_pdf(tmp_path: Path) -> None:
    portfolio(tmp_path / "in" / "a.pdf", [b"one.pdf", b"two.pdf"])
    options = ParseOptions(workers=1, attachments=True)
    summary = parse_corpus(tmp_path / "in", tmp_path / "out", options)
    rows = pq.read_table(tmp_path / "out" / "documents.parquet").to_pylist()
    assert [(row["source"], row["duplicate_of"]) for row in rows] == [
        ("a.pdf", None),
        ("a.pdf/one.pdf", None),
    ]
    assert summary.pages == 2
    texts = pq.read_table(tmp_path / "out" / "blocks.parquet").column("text").to_pylist()
    assert texts == ["Cover page", "Inner page"]


def test_attached_pdfs_get_an_output_file_of_their_own(tmp_path: Path) -> None:
    path = portfolio(tmp_path / "a.pdf", [b"part.pdf"])
    parse_paths([path], tmp_path / "out", "markdown", ParseOptions(workers=1, attachments=True))
    assert (tmp_path / "out" / "a.md").read_text() == "Cover page\n"
    assert (tmp_path / "out" / "a" / "part.md").read_text() == "Inner page\n"
