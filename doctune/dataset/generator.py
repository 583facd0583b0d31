"""Generators of examples: the interface, and the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from doctune.dataset.records import Fact
from doctune.dataset.rules import lists, prose, tables
from doctune.dataset.view import View


class ExampleGenerator(Protocol):
    """Makes facts with questions from one document."""

    def generate(self, view: View) -> list[Fact]:
        """Returns the facts in the order of the document; the same view gives the same ones."""


_RULES: tuple[Callable[[View], Iterator[Fact]], ...] = (
    prose.section_facts,
    prose.own_question_facts,
    prose.glossary_facts,
    prose.acronym_facts,
    prose.sentence_facts,
    lists.list_facts,
    tables.table_facts,
    prose.outline_facts,
    prose.completion_facts,
)


class RuleGenerator:
    """Makes facts from the structure of a document; needs no model and no network."""

    def generate(self, view: View) -> list[Fact]:
        """Returns what the rules find, in the order of the document."""
        facts = [fact for rule in _RULES for fact in rule(view) if fact.questions]
        return sorted(facts, key=lambda fact: fact.block)
