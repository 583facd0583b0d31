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

# White space, hyphens (those at line ends go) and what stands for no character.
_NOT_COUNTED = re.compile(
    "[\\s\\-\u00ad\u2010\u2011\ufffe\ufffd\x00-\x1f\u200b-\u200f\u2028-\u202e]+"
)


def count_characters(text: str) -> Counter[str]:
    """Counts the characters of a text, white space and hyphens left out."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", clean_text(text))
    return Counter(_NOT_COUNTED.sub("", text))


def count_page(page: PageLines) -> Counter[str]:
    """Counts what there is to read on a page, with glyphs as they were mended."""
    there = count_characters(page.text)
    if page.text and page.mended:
        there -= count_characters("".join([old for old, _ in page.mended]))
        there += count_characters("".join([new for _, new in page.mended]))
    return there


def count_lost(texts: Sequence[Counter[str]], blocks: Sequence[Sequence[Block]]) -> list[int]:
    """Returns how many characters of each page no block holds.

    Args:
        texts: What there is to read on each page, counted.
        blocks: Of each page.
    """
    lost = []
    held: Counter[str] = Counter()
    for there, page in zip(texts, blocks, strict=True):
        held += count_characters("".join([_text_of(block) for block in page]))
        lost.append((there - held).total())
        held -= there
    return lost


def _text_of(block: Block) -> str:
    return "".join(map("".join, block.rows)) if block.rows else block.text
