"""Vectors quantised to one bit per dimension: a fast first pass that selects candidates.

The share of bits in which two vectors differ estimates the angle between them. All 384 bits of
475,000 vectors are 23 MB, which a core compares in a few milliseconds; the vectors themselves are
365 MB, and reading them alone takes longer than a search may.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from doctune.inference.sentence_encoder import Floats

_WORD_BITS = 64
_CHUNK = 16_384  # rows at a time, so that what is computed of them stays in the core's cache


class Sketches:
    """The signs of vectors, and their lengths."""

    def __init__(self, vectors: npt.NDArray[np.float16]) -> None:
        rows, self._dimensions = vectors.shape
        words = -(-self._dimensions // _WORD_BITS)
        # One array a word of 64 bits: comparing goes through memory in order.
        self._words = np.empty((words, rows), dtype=np.uint64)
        self._lengths = np.empty(rows, dtype=np.float32)
        for start in range(0, rows, _CHUNK):
            part = np.asarray(vectors[start : start + _CHUNK], dtype=np.float32)
            self._lengths[start : start + _CHUNK] = np.sqrt(np.einsum("ij,ij->i", part, part))
            self._words[:, start : start + _CHUNK] = _bits(part).T
        differing = np.arange(self._dimensions + 1)
        self._cosines = np.cos(np.pi * differing / self._dimensions).astype(np.float32)

    def products(self, vector: Floats) -> Floats:
        """Returns an estimate of each vector's product with one of length 1."""
        asked = _bits(vector[None, :])[0]
        products = np.empty_like(self._lengths)
        for start in range(0, len(products), _CHUNK):
            part = slice(start, start + _CHUNK)
            differing = np.zeros(len(products[part]), dtype=np.uint16)
            for own, word in zip(self._words, asked, strict=True):
                differing += np.bitwise_count(own[part] ^ word)
            np.multiply(self._lengths[part], self._cosines[differing], out=products[part])
        return products


def _bits(rows: Floats) -> npt.NDArray[np.uint64]:
    packed = np.packbits(rows > 0, axis=1)
    padding = -packed.shape[1] % (_WORD_BITS // 8)
    return np.pad(packed, ((0, 0), (0, padding))).view(np.uint64)
