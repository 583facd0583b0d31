"""Mutated files: each ends as text or as a reason, however many there are."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doctune.documents import ParseOptions, PdfError, parse_corpus, parse_pdf
from doctune.documents.pool import Outcome, Task, WorkerPool
from tests.documents.rawpdf import one_page, stream, write_raw


def rich_page() -> dict[int, bytes]:
    """A small file, not packed, that has most of what a reader has to follow."""
    content = (
        b"q 0.5 w 72 500 200 60 re S 72 530 m 272 530 l S 170 500 m 170 560 l S Q "
        b"BT /F1 12 Tf 72 700 Td (The pump starts at low pressure,) Tj 0 -14 Td "
        b"[(and it st) -20 (ops again.)] TJ ET BT /F1 9 Tf 80 540 Td (Pump) Tj 90 0 Td (Price) Tj "
        b"-90 -30 Td (Alba) Tj 90 0 Td (340) Tj ET q 40 0 0 40 400 400 cm /X1 Do Q /X0 Do"
    )
    objects = one_page(
        stream(content),
        resources=b"/XObject << /X0 6 0 R /X1 7 0 R >>",
        page=b"/Annots [8 0 R 9 0 R]",
    )
    objects[1] = (
        b"<< /Type /Catalog /Pages 2 0 R /Outlines 10 0 R /AcroForm << /Fields [9 0 R] >> >>"
    )
    objects[6] = stream(
        b"BT /F1 10 Tf 300 700 Td (Within a form) Tj ET",
        b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /Font << /F1 5 0 R >> >>",
    )
    objects[7] = stream(
        bytes(range(64)),
        b"/Type /XObject /Subtype /Image /Width 8 /Height 8 /BitsPerComponent 8 "
        b"/ColorSpace /DeviceGray",
    )
    objects[8] = (
        b"<< /Type /Annot /Subtype /Link /Rect [72 690 200 712] "
        b"/A << /S /URI /URI (https://example.org) >> >>"
    )
    objects[9] = (
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /V (Nimbrel) /DA (/F1 10 Tf) "
        b"/Rect [72 440 200 460] >>"
    )
    objects[10] = b"<< /First 11 0 R /Last 11 0 R /Count 1 >>"
    objects[11] = b"<< /Title (Pumps) /Parent 10 0 R /Dest [3 0 R /Fit] >>"
    return objects


PIECES = (
    b"/Kids",
    b"/Length -1",
    b"<<",
    b">>",
    b"[",
    b"endobj",
    b"endstream",
    b"0 0 R",
    b"3 0 R",
    b"6 0 R",
    b"9" * 12,
    b"-2147483648",
    b"1e38",
    b"BT",
    b"Tj",
    b"cm",
    b"\xff\xfe",
)


def mutate(content: bytes, random: Random) -> bytes:
    """Returns bytes with up to eight places cut, doubled, overwritten or filled with syntax."""
    mutant = bytearray(content)
    for _ in range(random.randint(1, 8)):
        place = random.randrange(len(mutant))
        end = place + random.randint(0, 30)
        replaced = (random.choice(PIECES), random.randbytes(4), mutant[place:end] * 2, b"")
        mutant[place:end] = random.choice(replaced)
    return bytes(mutant)


def test_the_file_that_is_mutated_reads_well(tmp_path: Path) -> None:
    document = parse_pdf(write_raw(tmp_path / "rich.pdf", rich_page()))
    for text in ("low pressure,", "Within a form", "340"):
        assert text in document.text
    assert document.tables
    assert any(block.links for block in document.blocks)


def test_a_run_over_thousands_of_mutated_files_ends(tmp_path: Path) -> None:
    folder = tmp_path / "pdfs"
    folder.mkdir()
    whole = write_raw(folder / "whole.pdf", rich_page()).read_bytes()
    random = Random(20311127)  # noqa: S311 (the same files each time)
    for number in range(2000):
        (folder / f"{number}.pdf").write_bytes(mutate(whole, random))
    options = ParseOptions(
        max_failure_share=0.9, workers=2, timeout_seconds=20, memory_limit_mb=512, ocr="off"
    )
    summary = parse_corpus(folder, tmp_path / "out", options)
    rows = pq.read_table(tmp_path / "out" / "documents.parquet").to_pylist()
    assert len(rows) == summary.files_parsed + summary.files_rejected == 2001
    assert summary.files_parsed > 500
    assert {row["reason"] for row in rows} <= {
        None,
        "damaged",
        "truncated",
        "encrypted",
        "not a PDF",
        "too large",
    }
    assert all(row["error"] for row in rows if row["status"] == "rejected")


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    options = ParseOptions(
        max_failure_share=0.9, workers=1, memory_limit_mb=1024, timeout_seconds=20
    )
    with WorkerPool(1, options) as pool:
        yield pool


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated_files_end_as_text_or_as_a_reason(
    manual: Path, tmp_path: Path, pool: WorkerPool, data: st.DataObject
) -> None:
    # One packed, with a bit of everything; the other open, so that its content changes, too.
    whole = data.draw(st.sampled_from([manual, write_raw(tmp_path / "rich.pdf", rich_page())]))
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 12))):
        place = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(st.binary(max_size=8) | st.sampled_from(PIECES))
        removed = data.draw(st.integers(0, 40))
        content[place : place + removed] = piece
    mutant = tmp_path / "mutant.pdf"
    mutant.write_bytes(content)
    outcomes: list[Outcome] = []

    def keep(_: Task, outcome: Outcome) -> list[Task]:
        outcomes.append(outcome)
        return []

    pool.run([Task(0, mutant), Task(0, mutant, 0, 5)], keep)
    assert len(outcomes) == 2
    for outcome in outcomes:
        if isinstance(outcome, PdfError):
            assert outcome.reason not in ("timeout", "out of memory"), outcome
            assert "bug in the parser" not in str(outcome)
