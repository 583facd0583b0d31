"""Counts lost text: the characters that PDFium has of a page and no block holds.

Each parsing step moves text: into cells, captions, figures, other pages. The characters of the
final blocks are compared with those of the page, so that no step can lose text unnoticed. A
paragraph or table that spans pages belongs to the page it begins on, so a surplus of one page is
offset against the pages after it.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence

from doctune.documents import native
from doctune.documents.model import Block
from doctune.documents.page_lines import PageLines
from doctune.documents.words import clean_text

_NOT_COUNTED = frozenset("-\u00ad\u2010\u2011\ufffe\ufffd\ufeff")  # hyphens and non-characters
_MOST_KNOWN = 20_000  # characters

Counts = dict[str, int]


def count_characters(text: str) -> Counts:
    """Counts the characters of a text, without white space, hyphens and accents."""
    counts: Counts = {}
    # Processes each distinct character once, not each character of the page.
    for char, count in _occurrences(text).items():
        plain = _PLAIN[char]
        if len(plain) == 1:
            counts[plain] = counts.get(plain, 0) + count
            continue
        for part in plain:
            counts[part] = counts.get(part, 0) + count
    return counts


def _occurrences(text: str) -> dict[str, int]:
    """Returns how often each character occurs."""
    if native.module and hasattr(native.module, "count_codes"):
        return native.module.count_codes(text)
    return Counter(text)


class _PlainLetters(dict[str, str]):
    """The letters of each character without accents; "" where it is not counted."""

    def __missing__(self, char: str) -> str:
        plain = "".join(
            part
            for part in unicodedata.normalize("NFKD", clean_text(char))
            if part not in _NOT_COUNTED
            and not part.isspace()
            and (part.isascii() or unicodedata.category(part)[0] not in "MCZ")
            and part.isprintable()
        )
        if len(self) < _MOST_KNOWN:
            self[char] = plain
        return plain


_PLAIN = _PlainLetters()


def count_page(page: PageLines) -> Counts:
    """Counts the visible characters of a page, after the replacement of glyphs."""
    there = count_characters(page.text)
    if page.text and page.replaced:
        _add(there, count_characters("".join([new for _, new in page.replaced])))
        _take(there, count_characters("".join([old for old, _ in page.replaced])))
    for description in page.described:
        _add(there, count_characters(description.text))
    if page.hidden:
        _take(there, count_characters("".join(page.hidden)))
    return there


def count_lost(texts: Sequence[Counts], blocks: Sequence[Sequence[Block]]) -> list[int]:
    """Returns how many characters of each page no block holds.

    Args:
        texts: The character counts of each page.
        blocks: The blocks of each page.
    """
    lost = []
    held: Counts = {}
    for there, page in zip(texts, blocks, strict=True):
        _add(held, count_characters("".join([_text_of(block) for block in page])))
        lost.append(_take(held, there))
    return lost


def _add(counts: Counts, more: Counts) -> None:
    for char, count in more.items():
        counts[char] = counts.get(char, 0) + count


def _take(counts: Counts, less: Counts) -> int:
    """Subtracts counts, down to zero; returns by how much they exceeded."""
    missing = 0
    for char, count in less.items():
        left = counts.get(char, 0) - count
        if left < 0:
            missing -= left
            left = 0
        counts[char] = left
    return missing


def _text_of(block: Block) -> str:
    return "".join(map("".join, block.rows)) if block.rows else block.text
