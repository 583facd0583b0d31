"""The report: what a person sees of a run."""

import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from doctune.documents import ParseOptions, parse_corpus
from tests.documents.conftest import code, heading, prose, ruled_table, write_pdf
from tests.documents.rawpdf import one_page, stream, write_raw

# Many files here are bad on purpose.
OPTIONS = ParseOptions(workers=1, max_failure_share=0.9)
EVIL = "</p><script>alert(1)</script>"
VOID = ("meta", "img", "link", "br")


class Page(HTMLParser):
    """What a browser makes of the report: elements with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.text.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def html(tmp_path: Path, manual: Path) -> str:
    folder = tmp_path / "pdfs"
    folder.mkdir()
    shutil.copy(manual, folder / "manual.pdf")
    shutil.copy(manual, folder / "manual again.pdf")
    rows = [["Pump", "Price"], ["<b>Alba</b>", "340"], ["Borea", "610"]]
    story = [heading("1 Prices"), prose(), ruled_table(rows), code("if low:\n    start()"), prose()]
    write_pdf(folder / "prices.pdf", story, title="Prices & terms")
    text = EVIL.encode().replace(b"(", b"\\(").replace(b")", b"\\)")
    write_raw(folder / "evil.pdf", one_page(stream(b"BT /F1 9 Tf 72 700 Td (%s) Tj ET" % text)))
    (folder / "<b>empty.pdf").write_bytes(b"")
    (folder / "half.pdf").write_bytes(b"%PDF-1.7 and no more")
    parse_corpus(folder, tmp_path / "out", OPTIONS, report_path=tmp_path / "report.html")
    return (tmp_path / "report.html").read_text()


def test_rejects_stand_first_with_their_reasons(html: str) -> None:
    text = Page(html).text
    headings = [text.index(title) for title in ("Rejected", "Files")]
    assert headings == sorted(headings)
    for words in ("<b>empty.pdf", "empty", "half.pdf", "truncated", "1 empty, 1 truncated."):
        assert headings[0] < text.index(words) < headings[1]


def test_files_are_named_with_what_was_read_of_them(html: str) -> None:
    text = " ".join(Page(html).text)
    assert "Prices & terms" in text
    assert "a copy of manual again.pdf" in text
    assert "1 table" in text
    assert "Languages: en (2 files), unknown (1 file)." in text


def test_each_box_of_a_picture_has_its_text_beside_it(html: str) -> None:
    page = Page(html)
    pictures = page.all("img")
    assert len(pictures) >= 3
    assert all(picture["alt"] for picture in pictures)
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    targets = [link["href"] for link in page.all("a")]
    assert len(targets) > 20
    assert all(target.startswith("#") and target[1:] in names for target in targets)
    for box in page.all("a"):
        if "left:" in box.get("style", ""):
            shares = [float(part.split(":")[1][:-1]) for part in box["style"].split(";")[1:]]
            assert all(0 <= share <= 100 for share in shares)


def test_tables_are_tables_and_code_keeps_its_form(html: str) -> None:
    page = Page(html)
    assert "<pre>if low:\n    start()</pre>" in html
    assert {"Pump", "Price", "<b>Alba</b>", "610"} <= set(page.text)


def test_nothing_is_run_or_fetched_from_what_was_read(html: str) -> None:
    page = Page(html)
    assert EVIL in page.text
    assert len(page.all("script")) == 1
    addresses = [
        attributes[name]
        for _, attributes in page.elements
        for name in ("src", "href", "srcset", "action", "data")
        if name in attributes
    ]
    assert all(address.startswith(("#", "data:image/jpeg;base64,")) for address in addresses)
    assert "url(" not in html
    assert "@import" not in html


def test_it_is_whole_and_says_what_it_is(html: str) -> None:
    page = Page(html)
    assert page.all("html")[0]["lang"] == "en"
    assert "width=device-width" in " ".join(meta.get("content", "") for meta in page.all("meta"))
    levels = [int(tag[1]) for tag, _ in page.elements if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(html) < 1_500_000
