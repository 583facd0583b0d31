"""Writes the pages and what is known of them: `python -m tests.documents.pages.build FOLDER`.

`benchmarks/documents_pages.py FOLDER` then measures who finds it.
"""

import json
import sys
from pathlib import Path

from tests.documents.pages import drawn, edges, filled
from tests.documents.pages.sheet import Sheet


def build(folder: Path) -> None:
    """Writes a PDF for each page into a folder, and their facts to `expected.jsonl`."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = []
    for page in (*drawn.PAGES, *edges.PAGES, *filled.PAGES):
        name = f"{page.__name__}.pdf"
        sheet = Sheet(folder / name)
        found = page(sheet)
        sheet.canvas.save()
        facts += [
            {"pdf": name, "page": 1, "id": f"{page.__name__}_{number}", **fact}
            for number, fact in enumerate(found)
        ]
    lines = [json.dumps(fact) + "\n" for fact in facts]
    (folder / "expected.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    build(Path(sys.argv[1]))
