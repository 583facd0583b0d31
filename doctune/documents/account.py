"""Silent loss: what PDFium has of a page and no block holds.

Every look at a page moves text about: into cells, captions, figures, other pages. The count is
made on what comes out, against what went in, so that no step can lose text unseen. A paragraph or
a table may go on over pages and stands where it begins: what a page's blocks hold beyond its own
text is set against the pages after it.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from doctune.documents.model import Block
from doctune.documents.page_lines import PageLines
from doctune.documents.words import clean_text

_NOT_COUNTED = bytes([*range(33), ord("-"), 127])  # white space, hyphens (those at line ends go)
_NOT_ASCII = re.compile("[^\x00-\x7f]+")
_SIGNS = frozenset("-\u00ad\u2010\u2011\ufffe\ufffd\ufeff")  # hyphens, and what is no character

Counts = Counter[int]


def count_characters(text: str) -> Counts:
    """Counts the characters of a text by code, without white space, hyphens and accents."""
    if text.isascii():
        return Counter(text.encode("ascii").translate(None, _NOT_COUNTED))
    found = Counter(text.encode("ascii", "ignore").translate(None, _NOT_COUNTED))
    odd = unicodedata.normalize("NFKD", clean_text("".join(_NOT_ASCII.findall(text))))
    found.update(
        ord(char)
        for char in odd
        if char not in _SIGNS and not char.isspace() and unicodedata.category(char)[0] not in "MCZ"
    )
    return found


def count_page(page: PageLines) -> Counts:
    """Counts what there is for a reader on a page, with glyphs as they were mended."""
    there = count_characters(page.text)
    if page.text and page.mended:
        there -= count_characters("".join([old for old, _ in page.mended]))
        there += count_characters("".join([new for _, new in page.mended]))
    return there - count_characters("".join(page.hidden)) if page.hidden else there


def count_lost(texts: Sequence[Counts], blocks: Sequence[Sequence[Block]]) -> list[int]:
    """Returns how many characters of each page no block holds.

    Args:
        texts: What there is to read on each page, counted.
        blocks: Of each page.
    """
    lost = []
    held: Counts = Counter()
    for there, page in zip(texts, blocks, strict=True):
        held += count_characters("".join([_text_of(block) for block in page]))
        lost.append((there - held).total())
        held -= there
    return lost


def _text_of(block: Block) -> str:
    return "".join(map("".join, block.rows)) if block.rows else block.text
