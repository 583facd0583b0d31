"""Facts in tables: single cells, reverse questions about numbers, and whole rows.

The question about a cell depends on its row and column. "Weight" of "Arlo 3" is a property of a
thing; a table that compares things has them as columns; "2,410" for "2024" is a figure of a period;
"Meaning" and "What to do" have special questions. A header that fits no form is quoted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from doctune.dataset.lexicon import lexicon
from doctune.dataset.records import Block, Fact
from doctune.dataset.rules.grid import (
    Grid,
    Row,
    is_period,
    is_value,
    read_grid,
    split_unit,
    with_unit,
)
from doctune.dataset.rules.verbs import base_of_third_person
from doctune.dataset.sections import Section
from doctune.dataset.text import normalise, stable_hash, words
from doctune.dataset.view import View

_DATE = re.compile(r"^(?:as of |at )?[A-Z][a-z]+ \d{1,2},? (?:19|20)\d\d$")
_ENDING_IN_PREPOSITION = re.compile(r"\b(?:from|to|of|for|at|between|per)$", re.IGNORECASE)
_ACTION_HEADER = re.compile(
    r"^(?:what to do|mend|remedy|remedies|action|actions|solution|fix|corrective action)$",
    re.IGNORECASE,
)
_DOING_HEADER = re.compile(r"^(?:what it does|effect|function|purpose)$", re.IGNORECASE)
_COST_HEADER = re.compile(r"^(?:(?:list |net |unit )?price|cost)s?$", re.IGNORECASE)
_TIME_KEY = re.compile(
    r"^(?:every|each|after|before|daily|weekly|monthly|yearly|annually|once|twice|at|on|in)\b",
    re.IGNORECASE,
)
_ODD_HEADER = re.compile(
    r"^(?:\w+ed|if|when|what|how|who|where|is|are|can|does|yes)\b|\?$", re.IGNORECASE
)
_UNSCALED = re.compile(
    r"\bper (?:\w+ )?share\b|%|\b(?:rate|percent|percentage|ratio|margin)\b", re.I
)
_SHORT_VALUE_WORDS = 12
_QUESTIONS_A_CELL = 2
_TURNED_SHARE = 3  # one number in three also gets a reverse question


@dataclass(frozen=True)
class _Table:
    """A grid, with the roles of its rows and columns."""

    view: View
    section: Section
    block: Block
    grid: Grid
    name_column: int | None  # the column that names the codes in the key column

    def thing(self, row: Row) -> str:
        """Returns the subject of a row, in the form used within a sentence."""
        header, key = self.grid.key_header, row.key
        if self.name_column is not None and (name := row.cells[self.name_column]):
            name = self.view.vocabulary.natural(name)
            return f"{name} ({key})" if "," in name or is_value(key) else f"the {name} {key}"
        plain = normalise(header)
        noun = 1 <= len(words(header)) <= 2 and plain not in lexicon("property_headers")
        noun = noun and self.view.vocabulary.is_noun(words(header)[-1])
        coded = not re.search(r"[a-z]{2}", key)
        common = len(words(key)) <= 3 and not any(map(self.view.vocabulary.is_proper, words(key)))
        timed = bool(_TIME_KEY.match(key)) or _ENDING_IN_PREPOSITION.search(header)
        if noun and not timed and (coded or common) and plain not in normalise(key):
            return f"the {self.view.vocabulary.natural(header)} {key}"
        natural = self.view.vocabulary.natural(split_unit(key)[0])
        return self.view.vocabulary.with_article(natural) if natural[:1].islower() else natural


def table_facts(view: View) -> Iterator[Fact]:
    """Asks for the cells and rows of each table that can be read with certainty."""
    for section in view.sections:
        for position, block in enumerate(section.blocks):
            grid = read_grid(section, position) if block.kind == "table" else None
            if grid is not None:
                table = _Table(view, section, block, grid, _name_column(grid))
                yield from _cells(table)
                if view.english:
                    yield from _rows(table)
                    yield from _turned(table)


def _name_column(grid: Grid) -> int | None:
    coded = sum(not re.search(r"[a-z]{3}", row.key) for row in grid.rows)
    for position, column in enumerate(grid.columns[:2]):
        names = [row.cells[position] for row in grid.rows]
        if (
            coded * 5 >= len(grid.rows) * 4
            and normalise(column) in lexicon("name_headers")
            and all(name and not is_value(name) and len(words(name)) <= 8 for name in names)
        ):
            return position
    return None


def _fact(table: _Table, row: Row, questions: tuple[str, ...], answer: str) -> Fact:
    return table.view.fact(
        "table",
        questions,
        answer,
        section=table.section,
        passage=table.grid.passage(row),
        pages=(table.block.page,),
        block=table.block.index,
    )


def _cells(table: _Table) -> Iterator[Fact]:
    view = table.view
    for number, row in enumerate(table.grid.rows):
        for column, value in zip(table.grid.columns, row.cells, strict=True):
            if not value or not column:
                continue
            key = ("cell", table.block.index, number, column)
            if view.english:
                asked, answer = _english_cell(table, row, column, value)
                questions = view.ask(asked, f"{row.key} {column}", *key) if asked else ()
            else:
                fields = {"row": row.key, "column": column, "value": value}
                asked = [
                    template.format(doc=view.name.reference, **fields)
                    for template in view.phrases.cell
                ]
                answer = view.phrases.cell_answer.format(**fields)
                questions = view.choose(asked, *key)
            if questions:
                yield _fact(table, row, questions[:_QUESTIONS_A_CELL], answer)


def _english_cell(table: _Table, row: Row, column: str, value: str) -> tuple[list[str], str]:
    """Returns questions about a cell, and the answer as a sentence; empty if no form fits."""
    if _is_property_list(table.grid):
        return _property(table, row, value)
    if is_period(column):
        return _figure(table, row, column, value)
    if is_value(column):
        return [], ""
    if table.view.vocabulary.is_proper(words(column)[0]) and not column.isupper():
        return _compared(table, row, column, value)
    return _attribute(table, row, column, value)


def _scaled(table: _Table, row: Row, value: str) -> str:
    """Returns a value with the scale of its table; shares and amounts a share are not scaled."""
    value = with_unit(value, table.grid.unit)
    exempt = not is_value(value) or "%" in value or _UNSCALED.search(row.key)
    return value if exempt else f"{value}{table.grid.scale}"


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _started(text: str) -> str:
    return text[:1].upper() + text[1:]


def _is_noun_phrase(table: _Table, header: str) -> bool:
    """Whether `the <header> of ...` is grammatical: `Price`, `Mean yield`, but not `Never`."""
    found = words(header)
    if not found or len(found) > 5 or _ODD_HEADER.search(header):
        return False
    head = re.split(r" (?:of|for|in|on|at|per|to|from|with|during|or|and)\b|[,(/]", header)[0]
    return table.view.vocabulary.is_noun((words(head) or found)[-1 if len(found) > 1 else 0])


def _be(name: str) -> str:
    """Returns `are` for `guy lines of the mast`, `is` for `mass`."""
    head = re.split(r" (?:of|for|in|on|at|per|to|from|with|during)\b|[,(]", name, maxsplit=1)[0]
    return "are" if re.search(r"[^siu]s$", head) else "is"


def _named(phrase: str, owner: str) -> str:
    """Joins `the mass, dry` and ` of the Arlo 3`, with a comma where needed."""
    return f"{phrase},{owner}" if "," in phrase and owner else f"{phrase}{owner}"


def _is_property_list(grid: Grid) -> bool:
    """Whether a table has two columns with a generic header, such as `Property, Value`."""
    return (
        len(grid.columns) == 1
        and normalise(grid.columns[0]) in lexicon("value_headers")
        and (not grid.key_header or normalise(grid.key_header) in lexicon("property_headers"))
    )


def _property(table: _Table, row: Row, value: str) -> tuple[list[str], str]:
    name, unit = split_unit(table.view.vocabulary.natural(row.key))
    value = with_unit(value, unit)
    owner = f" of {table.view.name.product}" if table.view.name.product else ""
    phrase, be = _named(f"the {name}", owner), _be(name)
    return [f"What {be} {phrase}?"], _ended(f"{_started(phrase)} {be} {value}")


def _figure(table: _Table, row: Row, column: str, value: str) -> tuple[list[str], str]:
    """Asks for the figure of a period, as in a report: `Net sales`, `2024`."""
    natural = table.view.vocabulary.natural
    key, period, subject = natural(row.key), natural(column), table.grid.subject
    when = f"as of {period.removeprefix('as of ')}" if _DATE.match(column) else f"for {period}"
    if not key[:1].islower() and subject:
        # "Ireland" or "2007" alone does not say what is counted.
        asked = [f'What does the table "{subject}" give for {key} {when}?']
        return asked, f'{key} {when}, in "{subject}": {_scaled(table, row, value)}.'
    if not key[:1].islower():
        return [], ""
    asked = [f"What is the figure for {key} {when}?", f"How much is {key} {when}?"]
    return asked, f"{_started(key)} {when}: {_scaled(table, row, value)}."


def _compared(table: _Table, row: Row, column: str, value: str) -> tuple[list[str], str]:
    """Asks about a table whose columns are things and whose rows are properties."""
    natural, header = table.view.vocabulary.natural, table.grid.key_header
    thing = f"the {column}" if any(map(str.isdigit, column)) else column
    if _ENDING_IN_PREPOSITION.search(header):
        name, unit = split_unit(f"{natural(header)} {natural(row.key)}")
    elif not header or normalise(header) in lexicon("property_headers"):
        name, unit = split_unit(natural(row.key))
    else:
        subject, unit = split_unit(natural(table.grid.subject))
        if not subject:
            return [], ""
        thing = f"{thing} ({natural(header)}: {row.key})"
        name = subject
    value = with_unit(value, unit or table.grid.unit)
    name = name if name.startswith(("the ", "a ")) else f"the {name}"
    phrase, be = _named(name, f" for {thing}"), _be(name)
    return [f"What {be} {phrase}?"], _ended(f"{_started(phrase)} {be} {_scaled(table, row, value)}")


def _attribute(table: _Table, row: Row, column: str, value: str) -> tuple[list[str], str]:
    """Asks about a table whose rows are things and whose columns are their attributes."""
    thing = table.thing(row)
    if not re.search(r"[^\W\d]", thing):
        return [], ""  # a number alone does not identify a thing
    header, unit = split_unit(column)
    name = table.view.vocabulary.natural(header)
    value = with_unit(value, unit)
    about, be = _started(thing), _be(name)
    if normalise(column) in lexicon("meaning_headers"):
        return [f"What does {thing} mean?", f"What is the meaning of {thing}?"], _ended(
            f"{about} means: {value}"
        )
    if _ACTION_HEADER.match(column):
        asked = [f"What should I do about {thing}?"]
        if not _ODD_HEADER.search(column):
            asked.append(f"What {_be(name)} the {name} for {thing}?")
        return asked, _ended(f"{about}: {value}")
    if _DOING_HEADER.match(column):
        return [f"What does {thing} do?"], _ended(f"{about}: {value}")
    if verb := base_of_third_person(header.casefold()):
        return [f"What does {thing} {verb}?"], _ended(f"{about} {header.casefold()}: {value}")
    if not _is_noun_phrase(table, header):
        asked = [f'What is listed under "{column}" for {thing}?']
        return asked, _ended(f'{about}, "{column}": {value}')
    if _TIME_KEY.match(row.key):
        return [f"What {be} the {name} {thing}?"], _ended(f"{about}: {value}")
    if not is_value(value) and len(words(value)) > 1:
        phrase = _named(f"the {name}", f" for {thing}")
        return [f"What {be} {phrase}?"], _ended(f"{_started(phrase)} {be}: {value}")
    phrase = _named(f"the {name}", f" of {thing}")
    asked = [f"What {be} {phrase}?"]
    if _COST_HEADER.match(header):
        asked.append(f"How much does {thing} cost?")
    return asked, _ended(f"{_started(phrase)} {be} {_scaled(table, row, value)}")


def _rows(table: _Table) -> Iterator[Fact]:
    """Asks for a whole row, if it has several cells that are not figures of periods."""
    grid, view = table.grid, table.view
    if any(map(is_period, grid.columns)) or any(map(is_value, grid.columns)):
        return
    for number, row in enumerate(grid.rows):
        cells = [
            (column, value)
            for position, (column, value) in enumerate(zip(grid.columns, row.cells, strict=True))
            if value and column and position != table.name_column
        ]
        if len(cells) < 2:
            continue
        thing, unit = table.thing(row), split_unit(row.key)[1]
        listed = "; ".join(
            f"{view.vocabulary.natural(split_unit(column)[0])}: "
            f"{with_unit(value, split_unit(column)[1] or unit)}"
            for column, value in cells
        )
        where = f' in the table "{grid.subject}"' if grid.subject else ""
        asked = [f"What are the details of {thing}{where}?", f"What is listed for {thing}{where}?"]
        questions = view.ask(asked, row.key, "row", table.block.index, number)[:1]
        yield _fact(table, row, questions, _ended(f"{_started(thing)}: {listed}"))


def _turned(table: _Table) -> Iterator[Fact]:
    """Asks `Which part has the price 31?`, if only one row has the number."""
    grid, view = table.grid, table.view
    if not 1 <= len(words(grid.key_header)) <= 2 or _is_property_list(grid):
        return
    if normalise(grid.key_header) in lexicon("property_headers"):
        return
    kind = view.vocabulary.natural(grid.key_header)
    for position, column in enumerate(grid.columns):
        proper = bool(column) and view.vocabulary.is_proper(words(column)[0])
        if not column or is_period(column) or is_value(column) or proper:
            continue
        if _ODD_HEADER.search(column) or base_of_third_person(column.casefold()):
            continue
        header, unit = split_unit(column)
        name = view.vocabulary.natural(header)
        values = Counter(normalise(row.cells[position]) for row in grid.rows)
        for number, row in enumerate(grid.rows):
            value = row.cells[position]
            alone = is_value(value) and values[normalise(value)] == 1
            chance = stable_hash(view.options.seed, table.block.index, number, column)
            if not alone or chance % _TURNED_SHARE:
                continue
            value = with_unit(value, unit)
            key = ("turned", table.block.index, number, column)
            asked = view.ask([f"Which {kind} has the {name} {value}?"], kind, *key)[:1]
            yield _fact(
                table, row, asked, _ended(f"{_started(table.thing(row))} has the {name} {value}")
            )
