"""How near a text is to its truth: words, their order, characters; and cells of tables."""

import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Sequence

# Scripts that write no spaces count by character.
_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)


_MAX_CHARS = 100_000


def words(text: str) -> list[str]:
    """Returns the words of a text in order: NFKC, lower case, no punctuation."""
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).lower())


def word_f1(truth: list[str], found: list[str]) -> float:
    """F1 of the bags of words."""
    common = sum((Counter(truth) & Counter(found)).values())
    return 2 * common / max(1, len(truth) + len(found))


def order(truth: Sequence[Hashable], found: Sequence[Hashable]) -> float:
    """Similarity of two sequences: twice the longest common subsequence by the sum of lengths."""
    return 2 * common_subsequence(truth, found) / max(1, len(truth) + len(found))


def character_similarity(truth: str, found: str) -> float:
    """`order` of the characters of words, of the first hundred thousand: it takes their square."""
    one, other = "".join(words(truth)), "".join(words(found))
    return order(one[:_MAX_CHARS], other[:_MAX_CHARS])


def common_subsequence(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Length of the longest common subsequence, by Hyyro's bit-parallel algorithm."""
    places: dict[Hashable, int] = {}
    for position, item in enumerate(one):
        places[item] = places.get(item, 0) | 1 << position
    mask = (1 << len(one)) - 1
    row = mask
    for item in other:
        matches = row & places.get(item, 0)
        row = (row + matches | row - matches) & mask
    return len(one) - row.bit_count()


Relation = tuple[str, str, str]


def cell_relations(cells: Sequence[tuple[int, int, int, int, str]]) -> Counter[Relation]:
    """The adjacency relations of a table's cells, as the ICDAR 2013 competition counts them.

    Args:
        cells: First row, last row, first column, last column and text of each cell.
    """
    found: Counter[Relation] = Counter()
    filled = [(*cell[:4], _plain(cell[4])) for cell in cells if _plain(cell[4])]
    for top, bottom, left, right, text in filled:
        for direction in ("right", "down"):
            for other in _neighbours(filled, (top, bottom, left, right), direction):
                found[(text, other, direction)] += 1
    return found


def _neighbours(
    cells: Sequence[tuple[int, int, int, int, str]], place: tuple[int, int, int, int], to: str
) -> list[str]:
    """The nearest cells to the right of a cell or below it, one for each row or column."""
    top, bottom, left, right = place
    nearest: dict[int, tuple[int, int]] = {}
    for index, (t, b, l_, r, _) in enumerate(cells):
        if to == "right" and l_ > right:
            lines, distance = range(max(top, t), min(bottom, b) + 1), l_
        elif to == "down" and t > bottom:
            lines, distance = range(max(left, l_), min(right, r) + 1), t
        else:
            continue
        for line in lines:
            if line not in nearest or distance < nearest[line][0]:
                nearest[line] = (distance, index)
    return [cells[index][4] for index in {index for _, index in nearest.values()}]


def _plain(text: str) -> str:
    return re.sub(r"\W+", "", unicodedata.normalize("NFKC", text)).lower()
