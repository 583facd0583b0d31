"""Indexes that are partly in a file answer as those in memory do, and stay small."""

import random
import tracemalloc
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doctune.dataset import DatasetOptions, spilling
from doctune.dataset.cleaning import Deduplicator
from doctune.dataset.records import Fact
from doctune.dataset.spilling import KeyIndex, NumberedRecords, hash_of

number = st.integers(-(2**63), 2**63 - 1)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spilling, "FRESH_ENTRIES", 8)
    monkeypatch.setattr(spilling, "FRESH_RECORD_BYTES", 64)


@given(added=st.lists(st.tuples(st.sampled_from([-(2**63), -5, 0, 7, 2**63 - 1]), number)))
def test_a_key_has_what_was_added_under_it(added: list[tuple[int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spilling, "FRESH_ENTRIES", 2)
        index, expected = KeyIndex(), defaultdict(set)
        for key, value in added:
            index.add(key, value)
            expected[key].add(value)

        assert {key: set(index.get(key)) for key in expected} == expected
        assert index.get(12345) == ()


@given(lists=st.lists(st.lists(number, max_size=20), max_size=20))
def test_a_record_is_read_by_its_number(lists: list[list[int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spilling, "FRESH_RECORD_BYTES", 64)
        records = NumberedRecords()

        assert [records.add(each) for each in lists] == list(range(len(lists)))
        assert [list(records[at]) for at in range(len(lists))] == lists


def test_any_text_has_a_hash() -> None:
    assert hash_of("a") == hash_of("a") != hash_of("b")
    assert isinstance(hash_of("\ud800"), int)


def _facts(count: int) -> list[Fact]:
    drawn = random.Random(3)  # noqa: S311
    words = ["pump", "valve", "filter", "water", "engine", "seal", "bolt", "litre", "lamp"]
    facts = []
    for _ in range(count):
        answer = " ".join(drawn.choice(words) for _ in range(drawn.choice((3, 6, 8))))
        if facts and drawn.random() < 0.4:
            answer = drawn.choice(facts).answer + drawn.choice(("", " too", " 7"))
        asked = tuple(
            f"what of {drawn.randrange(count // 3)}" for _ in range(drawn.randrange(1, 4))
        )
        kind = drawn.choice(("fact", "table", "definition"))
        facts.append(Fact(kind, asked, answer, "passage", (1,), ("Heading",), 0))
    return facts


def _admitted(facts: list[Fact]) -> tuple[list[tuple[str, ...]], tuple[int, int, int]]:
    seen = Deduplicator.of(DatasetOptions())
    found = [seen.admit(fact, ("a", "b")[at % 2]) for at, fact in enumerate(facts)]
    return found, (seen.exact, seen.near, seen.contradictions)


def test_deduplication_with_a_file_is_that_in_memory(request: pytest.FixtureRequest) -> None:
    facts = _facts(600)
    in_memory = _admitted(facts)
    request.getfixturevalue("small")

    assert _admitted(facts) == in_memory
    assert all(in_memory[1])  # copies of each sort were among them


@pytest.mark.usefixtures("small")
def test_deduplication_holds_no_more_for_more_facts() -> None:
    """Python's own memory; SQLite's cache of pages is bounded by its setting."""
    held = []
    for count in (300, 1_200):
        facts = _facts(count)
        _admitted(facts[:50])
        tracemalloc.start()
        seen = Deduplicator.of(DatasetOptions())
        for fact in facts:
            seen.admit(fact, "a")
        held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert held[1] < 1.2 * held[0]
