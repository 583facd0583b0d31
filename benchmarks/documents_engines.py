"""One engine in a process of its own: reads files, times them, writes what it read.

    python benchmarks/documents_engines.py KIND ENGINE OUT_FOLDER CORE FILE...

An engine is a function from a path to text (ENGINES), to tables (TABLE_ENGINES) or to the Markdown
of each page (PAGE_ENGINES). Imports are not
timed. Prints one JSON object.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Cells = list[tuple[int, int, int, int, str]]
Reader = Callable[[str], Any]


def doctune() -> Reader:
    from doctune.documents import parse_pdf

    return lambda path: parse_pdf(Path(path)).text


def pypdfium2() -> Reader:
    import pypdfium2

    def read(path: str) -> str:
        with pypdfium2.PdfDocument(path) as document:
            return "\n".join(page.get_textpage().get_text_range() for page in document)

    return read


def pdfplumber() -> Reader:
    import pdfplumber

    def read(path: str) -> str:
        texts = []
        with pdfplumber.open(path) as document:
            for page in document.pages:
                texts.append(page.extract_text() or "")
                page.close()
        return "\n".join(texts)

    return read


def pdfminer() -> Reader:
    from pdfminer.high_level import extract_text

    return extract_text


def pypdf() -> Reader:
    import pypdf

    return lambda path: "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)


def pymupdf() -> Reader:
    import pymupdf

    def read(path: str) -> str:
        with pymupdf.open(path) as document:
            return "\n".join(page.get_text() for page in document)

    return read


def pymupdf4llm() -> Reader:
    import pymupdf4llm

    return lambda path: pymupdf4llm.to_markdown(path, show_progress=False)


def pdftotext() -> Reader:
    program = shutil.which("pdftotext")
    if not program:
        raise ImportError("pdftotext")

    def read(path: str) -> str:
        done = subprocess.run(
            [program, "-raw", path, "-"], capture_output=True, check=True, timeout=3600
        )
        return done.stdout.decode("utf-8", "replace")

    return read


def docling_parse() -> Reader:
    from docling_core.types.doc.page import TextCellUnit
    from docling_parse.pdf_parser import DoclingPdfParser

    parser = DoclingPdfParser(loglevel="fatal")

    def read(path: str) -> str:
        lines = []
        for _, page in parser.load(path_or_stream=path).iterate_pages():
            lines += [cell.text for cell in page.iterate_cells(unit_type=TextCellUnit.LINE)]
        return "\n".join(lines)

    return read


def kreuzberg() -> Reader:
    import kreuzberg

    return lambda path: kreuzberg.extract_file_sync(path).content


def liteparse() -> Reader:
    import liteparse

    parser = liteparse.LiteParse(ocr_enabled=False)
    return lambda path: parser.parse(path).text


def pdf_oxide() -> Reader:
    import pdf_oxide

    def read(path: str) -> str:
        document = pdf_oxide.PdfDocument(path)
        return "\n".join(document.extract_text(page) for page in range(document.page_count()))

    return read


def opendataloader() -> Reader:
    import tempfile

    import opendataloader_pdf

    def read(path: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            opendataloader_pdf.convert([path], output_dir=folder, format="text", quiet=True)
            return next(Path(folder).glob("*.txt")).read_text("utf-8", "replace")

    return read


def doctune_tables() -> Reader:
    from doctune.documents import parse_pdf

    return lambda path: [
        (table.page, _grid_cells(table.rows, table.spans)) for table in parse_pdf(Path(path)).tables
    ]


def pdfplumber_tables() -> Reader:
    import pdfplumber

    def read(path: str) -> list[tuple[int, Cells]]:
        with pdfplumber.open(path) as document:
            return [
                (page.page_number, _grid_cells(table))
                for page in document.pages
                for table in page.extract_tables()
            ]

    return read


def pymupdf_tables() -> Reader:
    import pymupdf

    def read(path: str) -> list[tuple[int, Cells]]:
        with pymupdf.open(path) as document:
            return [
                (page.number + 1, _grid_cells(table.extract()))
                for page in document
                for table in page.find_tables().tables
            ]

    return read


def camelot_hybrid() -> Reader:
    import camelot

    return lambda path: [
        (int(table.page), _grid_cells(table.df.values.tolist()))
        for table in camelot.read_pdf(path, pages="all", flavor="hybrid", suppress_stdout=True)
    ]


def doctune_pages() -> Reader:
    from doctune.documents import parse_pdf
    from doctune.documents.model import render_markdown

    return lambda path: [render_markdown(page.blocks) for page in parse_pdf(Path(path)).pages]


def pymupdf4llm_pages() -> Reader:
    import pymupdf4llm

    return lambda path: [
        chunk["text"]
        for chunk in pymupdf4llm.to_markdown(path, page_chunks=True, show_progress=False)
    ]


def markitdown_pages() -> Reader:
    from markitdown import MarkItDown

    reader = MarkItDown()
    # It marks no pages: the whole stands for each.
    return lambda path: [reader.convert(path).markdown]


def docling_pages() -> Reader:
    from docling.document_converter import DocumentConverter

    converter = DocumentConverter()

    def read(path: str) -> list[str]:
        document = converter.convert(path).document
        return [document.export_to_markdown(page_no=number) for number in sorted(document.pages)]

    return read


def pdfplumber_pages() -> Reader:
    import pdfplumber

    def read(path: str) -> list[str]:
        with pdfplumber.open(path) as document:
            return [
                "\n\n".join([page.extract_text() or "", *map(_as_markdown, page.extract_tables())])
                for page in document.pages
            ]

    return read


def pypdf_pages() -> Reader:
    import pypdf

    return lambda path: [page.extract_text() for page in pypdf.PdfReader(path).pages]


def _as_markdown(rows: list[list[str | None]]) -> str:
    return "\n".join("| " + " | ".join(cell or "" for cell in row) + " |" for row in rows)


def _grid_cells(rows: Any, spans: Any = ()) -> Cells:
    """The cells of a grid; (row, column, rows, columns) in `spans` cover more than one place."""
    size = {(row, column): (down, across) for row, column, down, across in spans or ()}
    cells: Cells = []
    for r, row in enumerate(rows):
        for c, text in enumerate(row):
            down, across = size.get((r, c), (1, 1))
            cells.append((r, r + down - 1, c, c + across - 1, text or ""))
    return cells


ENGINES: dict[str, Callable[[], Reader]] = {
    f.__name__: f
    for f in (
        doctune,
        pypdfium2,
        pdfplumber,
        pdfminer,
        pypdf,
        pymupdf,
        pymupdf4llm,
        pdftotext,
        docling_parse,
        kreuzberg,
        liteparse,
        pdf_oxide,
        opendataloader,
    )
}
TABLE_ENGINES: dict[str, Callable[[], Reader]] = {
    "doctune": doctune_tables,
    "pdfplumber": pdfplumber_tables,
    "pymupdf": pymupdf_tables,
    "camelot_hybrid": camelot_hybrid,
}


# Markdown by page.
PAGE_ENGINES: dict[str, Callable[[], Reader]] = {
    "doctune": doctune_pages,
    "pymupdf4llm": pymupdf4llm_pages,
    "markitdown": markitdown_pages,
    "docling": docling_pages,
    "pdfplumber": pdfplumber_pages,
    "pypdf": pypdf_pages,
}


def main() -> None:
    kind, engine, out, core, *files = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})
    makers = {"tables": TABLE_ENGINES, "pages": PAGE_ENGINES}.get(kind, ENGINES)
    try:
        read = makers[engine]()
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
        return
    seconds: dict[str, float] = {}
    cpu_seconds: dict[str, float] = {}
    errors: dict[str, str] = {}
    for number, file in enumerate(files):
        start, cpu_start = time.perf_counter(), _cpu_seconds()
        try:
            result = read(file)
        except Exception as error:  # an engine may fail in any way of its own
            errors[file] = f"{type(error).__name__}: {error}"[:200]
            result = "" if kind == "text" else []
        seconds[file] = time.perf_counter() - start
        cpu_seconds[file] = _cpu_seconds() - cpu_start
        Path(out, f"{number}.json").write_text(json.dumps(result), "utf-8", "replace")
    peak = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    report = {"seconds": seconds, "cpu_seconds": cpu_seconds, "errors": errors}
    print(json.dumps({**report, "peak_mb": peak / 1024}))


def _cpu_seconds() -> float:
    """What the process and the children that it waited for have used, to the microsecond."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
