"""A fault in a look at a page costs that look, never the page and never the file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doctune.documents import parse_pdf
from doctune.documents.stages import Stages
from doctune.documents.tables.grid import grid_of_cells

_run = Stages.run


def words(path: Path) -> set[str]:
    """All words that are in any block of a file."""
    blocks = parse_pdf(path).blocks
    return {word.strip("|-") for block in blocks for word in block.text.split()}


def fail_in(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a stage raise on every page."""

    def run(self: Stages, name: str, pages: Any, look: Callable[[], Any], default: Any) -> Any:
        def broken() -> Any:
            raise IndexError(f"tuple index out of range in {stage}")

        return _run(self, name, pages, broken if name == stage else look, default)

    monkeypatch.setattr(Stages, "run", run)


@pytest.fixture
def stages(manual: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all stages that reading the manual goes through."""
    seen: dict[str, None] = {}

    def run(self: Stages, name: str, pages: Any, look: Callable[[], Any], default: Any) -> Any:
        seen[name] = None
        return _run(self, name, pages, look, default)

    monkeypatch.setattr(Stages, "run", run)
    parse_pdf(manual)
    monkeypatch.setattr(Stages, "run", _run)
    return list(seen)


def test_a_fault_in_any_stage_loses_no_text_and_is_told(
    manual: Path, stages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {"tables", "figures", "footnotes", "levels of headings"} <= set(stages)
    whole = words(manual)
    for stage in stages:
        fail_in(stage, monkeypatch)
        document = parse_pdf(manual)
        told = [warning for warning in document.warnings if stage in warning]
        assert told, f"nothing says that {stage} failed: {document.warnings}"
        assert "IndexError" in told[0]
        missing = whole - words(manual)
        assert len(missing) <= 2, f"without {stage}, these words are lost: {missing}"
        monkeypatch.setattr(Stages, "run", _run)


def test_a_fault_on_one_page_leaves_the_others_as_they_are(
    manual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: Stages, name: str, pages: Any, look: Callable[[], Any], default: Any) -> Any:
        if name == "tables" and pages == 2:
            raise_from = ZeroDivisionError("of page two")

            def look() -> Any:
                raise raise_from

        return _run(self, name, pages, look, default)

    whole = parse_pdf(manual)
    monkeypatch.setattr(Stages, "run", run)
    read = parse_pdf(manual)
    assert read.warnings == (
        "Looking for tables failed on page 2, read without them (ZeroDivisionError: of page two).",
    )
    assert [p.blocks for p in read.pages if p.number != 2] == [
        p.blocks for p in whole.pages if p.number != 2
    ]


def test_memory_that_runs_out_is_no_fault_of_a_stage() -> None:
    def look() -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        Stages().run("tables", 1, look, None)


def test_drawn_cells_whose_text_shows_nothing_are_no_table() -> None:
    assert not grid_of_cells([((0.0, 0.0, 10.0, 10.0), ""), ((10.0, 0.0, 20.0, 10.0), "")]).is_table
