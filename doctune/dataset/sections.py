"""Splits a document into sections with heading paths, and sections into chunks within a budget.

A section is a heading with the blocks up to the next one; its path has the headings above it.
Tables of contents, lists of references and indexes are left out and counted. A paragraph that a
page break interrupts is rejoined. A chunk never spans sections. It is split between blocks if
possible, else between sentences, and between words if a single sentence is over the budget.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from doctune.dataset.lexicon import DASHES, lexicon
from doctune.dataset.records import Block, Document
from doctune.dataset.text import collapse, is_unspaced, normalise, sentences, strip_enumeration
from doctune.dataset.tokens import TokenCounter

_LEADERS = re.compile(r"(?:\.\s?){4,}\s*\d|…{2,}|(?:\.\s?){8,}|_{5,}")
_MAX_HEADING_WORDS = 24
# Column headers that a parser may take for headings: "Three Months Ended June 25, 2022 Change".
_COLUMN_HEAD = re.compile(
    r"(?:(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*\.?|(?:19|20)\d\d|\d{1,2}|"
    r"three|six|nine|twelve|months?|weeks?|quarters?|years?|ended|and|as|of|at|change|total|page|%|"
    r"q[1-4]|fy|\W)+",
    re.IGNORECASE,
)
_SCALE = re.compile(r"\s*\(?in (?:thousands|millions|billions)[^)]*\)?", re.IGNORECASE)


@dataclass(frozen=True)
class Section:
    """A heading with its position, and the blocks up to the next heading."""

    path: tuple[str, ...]  # headings from the top level to its own; () before the first
    number: int  # index in the document, from 0
    top: int  # number of the top-level section that contains it
    blocks: tuple[Block, ...]
    page: int
    start: int  # index in the document of its heading, or of its first block
    parent: int = -1  # number of the section above; -1 for none

    @property
    def heading(self) -> str:
        """The section's heading; empty before the first one."""
        return self.path[-1] if self.path else ""


@dataclass(frozen=True)
class Chunk:
    """A part of a section's text within the token budget."""

    path: tuple[str, ...]
    section: int
    number: int  # order in the document, from 0
    text: str
    pages: tuple[int, ...]
    block: int  # index in the document of its first block


@dataclass(frozen=True)
class Outline:
    """The sections of a document, and how many blocks were left out, by reason."""

    sections: tuple[Section, ...]
    skipped: Counter[str] = field(default_factory=Counter)


def outline(document: Document, titles: tuple[str, ...]) -> Outline:
    """Returns the sections of a document.

    Args:
        document: The document; the `index` of its blocks is renumbered over the whole document.
        titles: The document's names; a heading that only repeats one is not part of a path.
    """
    skipped: Counter[str] = Counter()
    if document.furniture:
        skipped["header_or_footer"] = document.furniture
    builder = _Builder(frozenset(map(normalise, titles)))
    ignoring: tuple[int, str] | None = None
    for block in _rejoined(document.blocks):
        if _is_heading(block):
            plain = normalise(strip_enumeration(block.text))
            if ignoring and block.level > ignoring[0]:
                skipped[ignoring[1]] += 1
                continue
            ignoring = _ignored_section(block, plain)
            if ignoring:
                skipped[ignoring[1]] += 1
            else:
                builder.open(block)
        elif ignoring:
            skipped[ignoring[1]] += 1
        elif _LEADERS.search(block.text) and block.kind != "table":
            skipped["table_of_contents"] += 1
        elif block.text or block.rows:
            builder.add(block)
    return Outline(sections=builder.close(), skipped=skipped)


def _ignored_section(block: Block, plain: str) -> tuple[int, str] | None:
    if plain in lexicon("contents_headings"):
        return block.level, "table_of_contents"
    if plain in lexicon("reference_headings"):
        return block.level, "references"
    return None


class _Builder:
    """Collects sections; the stack holds the open headings as (level, heading, number)."""

    def __init__(self, titles: frozenset[str]) -> None:
        self._titles = titles
        self._stack: list[tuple[int, str, int]] = []
        self._sections: list[Section] = []
        self._blocks: list[Block] = []
        self._page, self._start, self._top, self._parent = 1, 0, 0, -1

    def open(self, block: Block) -> None:
        self._finish()
        while self._stack and self._stack[-1][0] >= block.level:
            self._stack.pop()
        heading = strip_enumeration(_SCALE.sub("", block.text))
        self._page, self._start = block.page, block.index
        if normalise(heading) in self._titles:
            self._parent = -1
            self._top = len(self._sections)
            return
        self._parent = self._stack[-1][2] if self._stack else -1
        self._stack.append((block.level, heading, len(self._sections)))
        if len(self._stack) == 1:
            self._top = len(self._sections)

    def add(self, block: Block) -> None:
        if not self._blocks and not self._stack:
            self._page, self._start = block.page, block.index
        self._blocks.append(block)

    def close(self) -> tuple[Section, ...]:
        self._finish()
        return tuple(self._sections)

    def _finish(self) -> None:
        path = tuple(heading for _, heading, _ in self._stack)
        if path or self._blocks:
            self._sections.append(
                Section(
                    path=path,
                    number=len(self._sections),
                    top=self._top,
                    blocks=tuple(self._blocks),
                    page=self._page,
                    start=self._start,
                    parent=self._parent,
                )
            )
        self._blocks = []


def _is_heading(block: Block) -> bool:
    if block.kind != "heading" or not any(map(str.isalpha, _SCALE.sub("", block.text))):
        return False
    text = _SCALE.sub("", collapse(block.text))
    if _COLUMN_HEAD.fullmatch(text) or text.endswith(","):
        return False
    long = len(text) > 60 if is_unspaced(text) else len(text.split()) > _MAX_HEADING_WORDS
    return not long


def _rejoined(blocks: tuple[Block, ...]) -> Iterator[Block]:
    """Renumbers the blocks and joins paragraphs that a page break interrupts."""
    held: Block | None = None
    for position, block in enumerate(blocks):
        block = replace(block, index=position)
        if block.kind == "heading" and not _is_heading(block):
            if not any(map(str.isalpha, block.text)):
                continue
            block = replace(block, kind="paragraph", level=0)
        if held is not None and (_continues(held, block) or _is_false_item(held, block)):
            held = replace(held, text=f"{held.text} {block.text}")
            continue
        if held is not None:
            yield held
        held = block
    if held is not None:
        yield held


def _continues(first: Block, second: Block) -> bool:
    return (
        first.kind == second.kind == "paragraph"
        and second.page == first.page + 1
        and first.text[-1:].isalnum() | (first.text[-1:] in f",;-{DASHES}")
        and second.text[:1].islower()
    )


def _is_false_item(first: Block, second: Block) -> bool:
    """Whether a number at a sentence end was taken for a list item: `... above`, `120. Near`."""
    match = re.match(r"(\d{2,3})\. ", second.text)
    if second.kind != "list" or not match or first.kind not in ("paragraph", "list"):
        return False
    follows = re.match(r"(\d+)\. ", first.text)
    in_order = follows is not None and int(follows[1]) + 1 == int(match[1])
    return not in_order and first.text[-1:].isalnum()


def chunks(sections: tuple[Section, ...], counter: TokenCounter, budget: int) -> list[Chunk]:
    """Cuts sections into chunks of at most `budget` tokens each."""
    found: list[Chunk] = []
    for section in sections:
        pieces = [piece for block in section.blocks for piece in _pieces(block, counter, budget)]
        for group in _grouped(pieces, counter, budget):
            found.append(
                Chunk(
                    path=section.path,
                    section=section.number,
                    number=len(found),
                    text="\n\n".join(text for text, _ in group),
                    pages=tuple(sorted({block.page for _, block in group})),
                    block=group[0][1].index,
                )
            )
    return found


def _grouped(
    pieces: list[tuple[str, Block]], counter: TokenCounter, budget: int
) -> Iterator[list[tuple[str, Block]]]:
    group: list[tuple[str, Block]] = []
    size = 0
    for piece in pieces:
        length = counter.count(piece[0])
        if group and size + length > budget:
            yield group
            group, size = [], 0
        group.append(piece)
        size += length
    if group:
        yield group


def _pieces(block: Block, counter: TokenCounter, budget: int) -> Iterator[tuple[str, Block]]:
    if counter.count(block.text) <= budget:
        yield block.text, block
        return
    units = block.text.split("\n") if block.kind in ("table", "list", "code") else None
    separator = "\n" if units else " "
    held: list[str] = []
    size = 0
    for unit in _fitting(units or sentences(block.text), counter, budget):
        length = counter.count(unit)
        if held and size + length > budget:
            yield separator.join(held), block
            held, size = [], 0
        held.append(unit)
        size += length
    if held:
        yield separator.join(held), block


def _fitting(units: Iterable[str], counter: TokenCounter, budget: int) -> Iterator[str]:
    """Yields the units; splits those over the budget between words, or else characters."""
    for unit in units:
        if counter.count(unit) <= budget:
            yield unit
        elif is_unspaced(unit) or len(unit.split()) == 1:
            yield from _filled(unit, "", counter, budget)
        else:
            yield from _filled(_fitting(unit.split(), counter, budget), " ", counter, budget)


def _filled(
    parts: Iterable[str], separator: str, counter: TokenCounter, budget: int
) -> Iterator[str]:
    """Yields the parts joined in groups that fit the budget."""
    held: list[str] = []
    size = 0
    for part in parts:
        length = max(1, counter.count(part))
        if held and size + length > budget:
            yield separator.join(held)
            held, size = [], 0
        held.append(part)
        size += length
    if held:
        yield separator.join(held)
