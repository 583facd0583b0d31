"""Runs all rules over a document."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from doctune.dataset.records import Fact
from doctune.dataset.rules import lists, prose, tables
from doctune.dataset.view import View

_RULES: tuple[Callable[[View], Iterator[Fact]], ...] = (
    prose.section_facts,
    prose.labelled_faq_facts,
    prose.glossary_facts,
    prose.acronym_facts,
    prose.sentence_facts,
    lists.list_facts,
    tables.table_facts,
    prose.outline_facts,
    prose.completion_facts,
)


class RuleGenerator:
    """Makes examples from the structure of a document; needs no model and no network."""

    def generate(self, view: View) -> list[Fact]:
        """Returns what the rules find in a document, in its order."""
        facts = [fact for rule in _RULES for fact in rule(view)]
        return sorted(facts, key=lambda fact: fact.block)
