"""Detects numbered headings, and assigns the levels of all headings.

The level comes from the outline, from the heading's number, or from its size.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from doctune.documents import fonts
from doctune.documents.lines import Line
from doctune.documents.model import Block
from doctune.documents.pdfium import OutlineEntry

# A single letter may also be an article: "A small pump".
_NUMBER = re.compile(r"^(?:\d{1,3}(?:\.\d{1,3})*|[A-Z](?:\.\d{1,3})+)(?=\.?\s)")
_APPENDIX = re.compile(
    r"^(?:appendix|anhang|annexe?|ap\u00e9ndice|appendice|"
    r"\u043f\u0440\u0438\u043b\u043e\u0436\u0435\u043d\u0438\u0435|\u4ed8\u9332|\u9644\u5f55)"
    r"\s*(?P<number>[A-Z\u0410-\u042f\d](?:\.\d{1,3})*)(?:[.:\s]|$)",
    re.IGNORECASE,
)
_ROMAN = r"(?:X{0,3}(?:IX|IV|V?I{0,3}))"
_PARTS = re.compile(r"^(?:\d{1,2}|[A-Z])(?:\.\d{1,2}){1,4}\.?\s+(?=[^\W\d_]{2}|A\s)")  # 2.1 Noise
_CHAPTER = re.compile(rf"^(?:\d{{1,2}}\.?|{_ROMAN}\.)\s+(?=[^\W\d_]{{2}})")  # 2. NOISE, II. NOISE
_LETTER = re.compile(r"^[A-Z]\.\s+(?=[^\W\d_]{2}|A\s)")  # B. Noise
# The dots that lead to a page number.
LEADERS = re.compile(r"(?:\s?[.\u2026\u00b7]){4,}\s*\w{0,5}$")
# An entry of a table of contents: title and page.
ENTRY = re.compile(r"\D\s\d{1,4}$")
_STOPS = ".,;:\u3002"
_MAX_CHARS = 80
_LARGER = 1.02  # than the body
_ROMAN_NUMBER = re.compile(rf"^{_ROMAN}\.\s")
_LEAST_ROMAN = 2
_MAX_LEVEL = 6
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")


def is_lone_heading(line: Line, body: float) -> bool:
    """Returns whether an isolated line is a heading although it is neither bold nor large.

    Papers set headings in capitals, in italics or in the font of the text. Then a number followed
    by a capitalised title decides.

    Args:
        body: The font size of the running text, in points.
    """
    text = line.text
    first = text[0]
    if not (first.isdigit() or first.isupper()) or len(text) > _MAX_CHARS:
        return False
    if text[-1] in _STOPS or ENTRY.search(text) or LEADERS.search(text):
        return False
    if _APPENDIX.match(text):
        return True
    number = _PARTS.match(text)
    if number:
        return not text[number.end()].islower()
    number = _CHAPTER.match(text)
    if number:
        title = text[number.end() :]
        return title.isupper() or (line.size > _LARGER * body and title[0].isupper())
    number = _LETTER.match(text)
    return number is not None and bool(line.font & fonts.ITALIC or text[number.end() :].isupper())


def assign_levels(
    pages: Sequence[Sequence[Block]], outline: Sequence[OutlineEntry]
) -> list[list[Block]]:
    """Returns the blocks with a level on each heading.

    A heading in the outline has its level there. The level of a numbered heading is the number of
    parts of its number. Others get the level of most headings of the same size, or else one by
    the rank of their size.
    """
    depths = {_plain(entry.title): entry.level for entry in outline}
    headings = [block for page in pages for block in page if block.kind == "heading"]
    named = _levels_by_size(headings, lambda block: depths.get(_plain(block.text), 0))
    roman = sum(1 for block in headings if _ROMAN_NUMBER.match(block.text)) >= _LEAST_ROMAN
    numbered = _levels_by_size(headings, lambda block: _level_of_number(block, roman))
    ranks = _ranks(headings)

    def level(block: Block) -> int:
        size = _size(block)
        found = depths.get(_plain(block.text)) or named.get(size)
        found = found or _level_of_number(block, roman)
        if not found and block is headings[0]:
            return 1  # the title
        found = found or numbered.get(size)
        return min(_MAX_LEVEL, found or ranks[size])

    return [
        [replace(b, level=level(b)) if b.kind == "heading" else b for b in page] for page in pages
    ]


def _levels_by_size(
    headings: Sequence[Block], level_of: Callable[[Block], int]
) -> dict[float, int]:
    """Returns the most common level of each size, among headings that have a level."""
    seen: dict[float, Counter[int]] = {}
    for block in headings:
        level = level_of(block)
        if level:
            seen.setdefault(_size(block), Counter())[level] += 1
    return {size: levels.most_common(1)[0][0] for size, levels in seen.items()}


def _level_of_number(block: Block, roman: bool) -> int:
    """Returns how many parts the number of a heading has; 0 if it has none.

    If chapters have Roman numerals, letters number their sections.
    """
    text = block.text
    if roman and _ROMAN_NUMBER.match(text):
        return 1
    if _LETTER.match(text):
        return 2 if roman else 1
    appendix = _APPENDIX.match(text)
    number = _NUMBER.match(text)
    found = appendix["number"] if appendix else number.group() if number else None
    return found.count(".") + 1 if found else 0


def _ranks(headings: Sequence[Block]) -> dict[float, int]:
    """Returns the rank of each size; the document's title is not counted."""
    sizes = sorted({_size(block) for block in headings}, reverse=True)
    ranks = {size: rank for rank, size in enumerate(sizes, start=1)}
    largest = [block for block in headings if _size(block) == sizes[0]]
    if len(largest) == 1 and len(sizes) > 1 and largest[0] is headings[0]:
        ranks = {size: max(1, rank - 1) for size, rank in ranks.items()}
    return ranks


def _size(block: Block) -> float:
    return round(block.size * 2) / 2


def _plain(text: str) -> str:
    return _NOT_ALPHANUMERIC.sub("", text).lower()
