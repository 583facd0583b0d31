"""Indexes of a corpus that stay small in memory, however many texts it has.

What was added last is held in memory. The rest is in a temporary file that SQLite keeps: point
look-ups in a file larger than memory are what a B-tree is for. It is private to its index, and is
gone when the index is. A small index never writes one.
"""

from __future__ import annotations

import hashlib
import sqlite3
from array import array
from collections.abc import Iterable, Sequence

# So many entries are held in memory before they are written: about 4 MiB.
FRESH_ENTRIES = 1 << 14
FRESH_RECORD_BYTES = 2 << 20
# SQLite's cache of pages, in KiB; a negative number is its way to say so.
_PAGE_CACHE = -(4 << 10)
# Bits of the filter that says which keys the file cannot have; 4 MiB. Most texts are new, and need
# no look-up in the file then.
_FILTER_BITS = 1 << 25
_FILTER_MASK = _FILTER_BITS - 1
_FILTER_SHIFT = 32

_CREATE_KEYS = "CREATE TABLE held (k INTEGER, v INTEGER, PRIMARY KEY (k, v)) WITHOUT ROWID"
_CREATE_RECORDS = "CREATE TABLE held (k INTEGER PRIMARY KEY, v BLOB)"


def hash_of(text: str) -> int:
    """Returns a 64-bit hash of a text, as SQLite stores integers."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


class KeyIndex:
    """The integers that were added under 64-bit keys."""

    def __init__(self) -> None:
        self._fresh: dict[int, tuple[int, ...]] = {}
        self._file: sqlite3.Connection | None = None
        self._filter = bytearray()

    def get(self, key: int) -> tuple[int, ...]:
        """Returns the integers of a key; empty if nothing was added under it."""
        fresh = self._fresh.get(key, ())
        if self._file is None or not self._may_have(key):
            return fresh
        rows = self._file.execute("SELECT v FROM held WHERE k = ?", (key,))
        return (*(value for (value,) in rows), *fresh)

    def add(self, key: int, value: int) -> None:
        """Adds an integer under a key."""
        known = self._fresh.get(key)
        self._fresh[key] = (value,) if known is None else (*known, value)
        if len(self._fresh) >= FRESH_ENTRIES:
            self._write()

    def setdefault(self, key: int, value: int) -> int:
        """Returns the first integer of a key; adds `value` where it has none."""
        if known := self.get(key):
            return known[0]
        self.add(key, value)
        return value

    def _write(self) -> None:
        if self._file is None:
            self._file = _temporary(_CREATE_KEYS)
            self._filter = bytearray(_FILTER_BITS >> 3)
        for key in self._fresh:
            first, second = key & _FILTER_MASK, key >> _FILTER_SHIFT & _FILTER_MASK
            self._filter[first >> 3] |= 1 << (first & 7)
            self._filter[second >> 3] |= 1 << (second & 7)
        # In the order of the tree, so that a page is read and written once.
        rows = sorted((key, value) for key, values in self._fresh.items() for value in values)
        _insert(self._file, rows)
        self._fresh = {}

    def _may_have(self, key: int) -> bool:
        first, second = key & _FILTER_MASK, key >> _FILTER_SHIFT & _FILTER_MASK
        return bool(
            self._filter[first >> 3] >> (first & 7) & self._filter[second >> 3] >> (second & 7) & 1
        )


class NumberedRecords:
    """Lists of 64-bit integers, numbered in the order in which they were added."""

    def __init__(self) -> None:
        self._fresh: dict[int, bytes] = {}
        self._size = self._count = 0
        self._file: sqlite3.Connection | None = None

    def add(self, numbers: Sequence[int]) -> int:
        """Adds a list; returns its number."""
        content = array("q", numbers).tobytes()
        self._fresh[self._count] = content
        self._count += 1
        self._size += len(content)
        if self._size >= FRESH_RECORD_BYTES:
            self._write()
        return self._count - 1

    def __getitem__(self, number: int) -> array[int]:
        content = self._fresh.get(number)
        if content is None:
            if self._file is None:
                raise IndexError(number)
            row = self._file.execute("SELECT v FROM held WHERE k = ?", (number,)).fetchone()
            content = row[0]
        return array("q", content)

    def _write(self) -> None:
        if self._file is None:
            self._file = _temporary(_CREATE_RECORDS)
        _insert(self._file, self._fresh.items())
        self._fresh, self._size = {}, 0


def _insert(file: sqlite3.Connection, rows: Iterable[tuple[int, int | bytes]]) -> None:
    file.execute("BEGIN")
    file.executemany("INSERT OR IGNORE INTO held VALUES (?, ?)", rows)
    file.execute("COMMIT")


def _temporary(table: str) -> sqlite3.Connection:
    # "" is SQLite's name for a private file in the folder for temporary files.
    file = sqlite3.connect("", isolation_level=None)
    for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = {_PAGE_CACHE}"):
        file.execute(f"PRAGMA {setting}")
    file.execute("PRAGMA locking_mode = EXCLUSIVE")
    file.execute(table)
    return file
