"""How units are divided, and what stays together."""

import json
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doctune.dataset import DatasetOptions, prepare_dataset
from doctune.dataset.splitting import SIDES, Unit, assign_sides, group_units
from doctune.dataset.text import normalise, sentences
from doctune.digests import digest_file
from doctune.errors import DatasetError
from tests.dataset.corpora import Paper, write_corpus

sizes = st.lists(st.integers(1, 400), min_size=3, max_size=60)


def groups_of(counts: list[int]) -> list[tuple[Unit, ...]]:
    return [(Unit(f"unit-{number}", count),) for number, count in enumerate(counts)]


@given(counts=sizes, seed=st.integers(0, 99))
def test_every_side_gets_a_unit(counts: list[int], seed: int) -> None:
    sides = assign_sides(groups_of(counts), DatasetOptions(seed=seed))

    assert set(sides.values()) == set(SIDES)
    assert len(sides) == len(counts)


@given(counts=st.lists(st.integers(5, 15), min_size=40, max_size=80), seed=st.integers(0, 99))
def test_shares_are_met_when_units_are_many(counts: list[int], seed: int) -> None:
    options = DatasetOptions(seed=seed)

    sides = assign_sides(groups_of(counts), options)

    for side, share in (("test", options.test_share), ("validation", options.validation_share)):
        held = sum(count for at, count in enumerate(counts) if sides[f"unit-{at}"] == side)
        assert abs(held / sum(counts) - share) < 0.05


@given(counts=st.lists(st.integers(20, 40), min_size=30, max_size=30), seed=st.integers(0, 99))
def test_a_new_unit_moves_few_others(counts: list[int], seed: int) -> None:
    options = DatasetOptions(seed=seed)
    before = assign_sides(groups_of(counts), options)

    after = assign_sides(groups_of([*counts, 30]), options)

    assert sum(before[key] != after[key] for key in before) <= 6


def test_near_copies_form_a_group() -> None:
    base = " ".join(f"word{number} and more" for number in range(200))
    texts = {"a": base, "b": base.replace("word7 ", "other "), "c": base[::-1]}

    groups = group_units([Unit(key, 1) for key in texts], texts.__getitem__)

    assert [tuple(unit.key for unit in group) for group in groups] == [("a", "b"), ("c",)]


NOUNS = ["drum", "valve", "mast", "kettle", "lantern", "sieve", "hinge", "spool"]
SHARED = "Never open the housing of the machine while the red lamp on its side is lit."


@st.composite
def papers(draw: st.DrawFn) -> list[Paper]:
    made = []
    for number in range(draw(st.integers(3, 6))):
        paper = Paper(f"{number}.pdf", title=f"Machine {number} Manual")
        for noun in draw(st.lists(st.sampled_from(NOUNS), min_size=1, max_size=4, unique=True)):
            days = draw(st.integers(2, 400))
            paper.heading(f"Care of the {noun}")
            paper.text(f"The {noun} of machine {number} must be oiled every {days} days.")
            if draw(st.booleans()):
                paper.text(SHARED)
            if draw(st.booleans()):
                paper.table(["Property", "Value"], ["Weight", f"{days} kg"], ["Width", "2 m"])
        made.append(paper)
    return made


def prepared(made: list[Paper], seed: int, out: Path) -> dict[str, list[dict]] | None:
    try:
        prepare_dataset(
            write_corpus(out / "in", *made),
            **{f"{side}_path": out / f"{side}.jsonl" for side in SIDES},
            manifest_path=out / "manifest.json",
            card_path=out / "card.md",
            options=DatasetOptions(seed=seed),
        )
    except DatasetError:
        return None
    return {
        side: [json.loads(line) for line in (out / f"{side}.jsonl").read_text().splitlines()]
        for side in SIDES
    }


def telling(rows: list[dict], *, with_passages: bool) -> set[str]:
    """All sentences of six words or more that a side holds."""
    texts = [message["content"] for row in rows for message in row["messages"]]
    if with_passages:
        texts += [row["passage"] for row in rows]
    found = {
        normalise(sentence)
        for text in texts
        for line in text.splitlines()
        for sentence in sentences(line)
    }
    return {sentence for sentence in found if len(sentence.split()) >= 6}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made=papers(), seed=st.integers(0, 9))
def test_no_sentence_stands_on_two_sides(made: list[Paper], seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = prepared(made, seed, Path(folder))
    if rows is None:
        return
    assert all(rows.values())
    for earlier, later in (("train", "validation"), ("train", "test"), ("validation", "test")):
        known = telling(rows[earlier], with_passages=True)
        assert not known & telling(rows[later], with_passages=False)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made=papers(), seed=st.integers(0, 9))
def test_same_input_same_bytes(made: list[Paper], seed: int) -> None:
    digests = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            if prepared(made, seed, Path(folder)) is None:
                return
            digests.append([digest_file(path) for path in sorted(Path(folder).glob("*.*"))])
    assert digests[0] == digests[1]


def test_every_near_copy_of_a_large_group_is_found_however_many_there_are() -> None:
    """A form filled in five hundred times, each differently, and texts of their own between."""
    form = " ".join(f"field{number} of the form is" for number in range(120))
    texts = {}
    for number in range(500):
        own = " ".join(f"value{number}x{field}" for field in range(number % 60))
        texts[f"form-{number}"] = f"{form} {own}"
        texts[f"own-{number}"] = " ".join(f"word{number}y{at}" for at in range(200))
    texts |= {f"copy-{number}": texts["form-7"] for number in range(500)}

    groups = group_units([Unit(key, 1) for key in texts], texts.__getitem__)

    sizes = sorted(map(len, groups))
    assert sizes == [1] * 500 + [1000]


def test_grouping_takes_time_in_proportion_to_the_units() -> None:
    """Twice the near copies, not four times the comparisons."""
    from doctune.dataset import cleaning

    form = " ".join(f"field{number} of the form is" for number in range(120))
    counts = []
    for size in (200, 400, 800):
        texts = {f"{number}": f"{form} value{number} " * 2 for number in range(size)}
        compared = 0
        plain = cleaning.similarity

        def counting(first: frozenset[int], second: frozenset[int]) -> float:
            nonlocal compared
            compared += 1
            return plain(first, second)  # noqa: B023

        cleaning.similarity = counting
        try:
            group_units([Unit(key, 1) for key in texts], texts.__getitem__)
        finally:
            cleaning.similarity = plain
        counts.append(compared)
    assert counts[1] <= 2.2 * counts[0]
    assert counts[2] <= 2.2 * counts[1]
