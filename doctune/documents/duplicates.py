"""Detects near-duplicate documents by the paragraphs that they share (MinHash sketches)."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from itertools import combinations

from doctune.documents.model import Block

_MIN_CHARS = 40
_SKETCH = 512  # the smallest hashes of paragraphs: a consistent sample over documents
_NEAR = 0.7


def sketch(blocks: Iterable[Block]) -> list[int]:
    """Returns the smallest hashes of a document's paragraphs, at most 512 of them."""
    hashes = {
        int.from_bytes(blake2b(block.text.lower().encode(), digest_size=8).digest(), "big")
        for block in blocks
        if block.kind in ("paragraph", "list") and len(block.text) >= _MIN_CHARS
    }
    return sorted(hashes)[:_SKETCH]


def near_duplicates(sketches: Mapping[str, list[int]]) -> list[tuple[str, str, float]]:
    """Returns pairs of documents that share most paragraphs, with their Jaccard similarity."""
    holders: defaultdict[int, list[str]] = defaultdict(list)
    for source, hashes in sketches.items():
        for value in hashes:
            holders[value].append(source)
    shared: Counter[tuple[str, str]] = Counter()
    for sources in holders.values():
        # A paragraph of very many documents, such as a licence, is no evidence for a pair.
        if 1 < len(sources) <= 20:
            shared.update(combinations(sorted(sources), 2))
    found = []
    for (one, other), count in shared.items():
        share = count / (len(sketches[one]) + len(sketches[other]) - count)
        if share >= _NEAR:
            found.append((one, other, share))
    return sorted(found)
