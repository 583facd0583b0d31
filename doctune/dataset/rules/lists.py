"""Facts in lists: the steps of a task, and enumerations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from doctune.dataset.lexicon import DASHES, WIDE_COLON
from doctune.dataset.records import Block, Fact
from doctune.dataset.rules import english
from doctune.dataset.rules.verbs import base_form, is_imperative
from doctune.dataset.sections import Section
from doctune.dataset.text import collapse, normalise
from doctune.dataset.view import View

_BULLETS = (
    f"\u2022\u2023\u25aa\u25e6\u25cf\u25cb\u25a0\u25a1\u00b7\u25b8\u25ba\u2713\u2714*-{DASHES}"
)
_MARKER = re.compile(
    rf"^\s*(?:(?P<bullet>[{re.escape(_BULLETS)}])\s*"
    r"|(?P<number>(?:(?:step\s+)?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[.):]|\(\w{1,3}\)|[\u2460-\u2473]))"
    r"(?:\s+|$))",
    re.IGNORECASE,
)
_HOW_TO = re.compile(r"^how (?:to|do i|do you|can i) (?P<goal>.+?)\??$", re.IGNORECASE)
_PROCEDURE = re.compile(
    r"^(?:the )?(?:steps?|procedure|process|instructions?|sequence) (?:of|for|to) (?P<what>.+)$",
    re.IGNORECASE,
)
SITUATION = re.compile(r"^(?:when|if|in case|after|before) (?!to\b)\w+ \w+", re.IGNORECASE)
_INTRODUCED_TASK = re.compile(
    r"(?:^|[.!?]\s+)To (?P<goal>[a-z][^,;:.]{4,60})(?:[,:]| (?:do|proceed|follow)\b)[^.]*:?$"
)
_CLAUSE = re.compile(r"^(?:what|who|whom|which|when|where|why|how|if)\b", re.IGNORECASE)
_MOST_HEADING_WORDS = 12
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


@dataclass(frozen=True)
class Item:
    """One item of a list, without its bullet or number."""

    text: str
    depth: int  # 0 for the outermost
    numbered: bool
    lettered: bool = False


@dataclass(frozen=True)
class _Group:
    """A list within a section: its blocks and items, and the paragraph directly before."""

    section: Section
    before: Block | None
    blocks: tuple[Block, ...]
    items: tuple[Item, ...]
    alone: bool  # whether it is the section's only list

    @property
    def passage(self) -> str:
        return "\n".join(
            block.text for block in ((self.before,) if self.before else ()) + self.blocks
        )

    @property
    def pages(self) -> tuple[int, ...]:
        return tuple(sorted({block.page for block in self.blocks}))


def items_of(blocks: Iterable[Block]) -> tuple[Item, ...]:
    """Returns the items of list blocks; a line or block without a bullet continues an item."""
    items: list[Item] = []
    for block in blocks:
        for line in block.text.splitlines():
            text = collapse(line)
            match = _MARKER.match(text)
            rest = text[match.end() :] if match else ""
            number: str = (match["number"] or "") if match else ""
            lettered = number.strip("(")[:1].isalpha()
            under = bool(items) and lettered and items[0].numbered and not items[0].lettered
            if items and (not rest or under):
                # No bullet, a number that ends a sentence ("... above" / "120."), or a) under 1.
                items[-1] = replace(items[-1], text=f"{items[-1].text} {text}")
            else:
                depth = max(0, block.level - 1)
                items.append(Item(rest or text, depth, bool(number), lettered))
    return tuple(replace(item, text=item.text.rstrip(" ;,")) for item in items if item.text)


def is_item(text: str) -> bool:
    """Whether a text begins with the bullet or number of a list item."""
    return bool(_MARKER.match(text))


def list_facts(view: View) -> Iterator[Fact]:
    """Yields the steps (`How do I ...?`) and enumerations of each section."""
    for section in view.sections:
        for group in _groups(section):
            if len(group.items) < 2 or sum(len(item.text) for item in group.items) < 20:
                continue
            orders = sum(is_imperative(item.text) for item in group.items)
            if view.english and orders * 2 > len(group.items):
                yield from _steps(view, group)
            else:
                yield from _enumeration(view, group)


def _groups(section: Section) -> list[_Group]:
    runs: list[tuple[Block | None, list[Block]]] = []
    previous: Block | None = None
    for block in section.blocks:
        if block.kind == "list" and previous is not None and previous.kind == "list":
            runs[-1][1].append(block)
        elif block.kind == "list":
            before = previous if previous and previous.kind == "paragraph" else None
            runs.append((before, [block]))
        previous = block
    return [
        _Group(section, before, tuple(blocks), items_of(blocks), alone=len(runs) == 1)
        for before, blocks in runs
    ]


def _goal_of(heading: str, view: View) -> tuple[str, str]:
    """Returns a heading as infinitive (`replace the sieve`) and gerund (`replacing the sieve`).

    Both are empty if it is not a task.
    """
    topic = view.topic(heading)
    match = _HOW_TO.match(topic)
    if match:
        return match["goal"], ""
    match = _PROCEDURE.match(topic)
    if match:
        return "", match["what"]
    first, _, rest = topic.partition(" ")
    base = base_form(first)
    if base and rest:
        return f"{base} {rest}", topic
    if rest and is_imperative(topic) and len(topic.split()) <= 10:
        return topic[0].lower() + topic[1:], ""
    return "", topic if first.endswith("ing") and len(first) > 5 else ""


def _steps(view: View, group: _Group) -> Iterator[Fact]:
    heading = group.section.heading
    goal, doing = _goal_of(heading, view) if heading else ("", "")
    introduced = _INTRODUCED_TASK.search(collapse(group.before.text)) if group.before else None
    if introduced and not (group.alone and goal):
        goal, doing = introduced["goal"], ""
    elif not group.alone or not heading:
        return
    topic = view.topic(heading)
    if goal:
        texts = [f"How do I {goal}?", f"What are the steps to {goal}?", f"How can I {goal}?"]
    elif SITUATION.match(topic):
        topic = english.first_person(topic)
        texts = [f"What should I do {topic}?", f"What are the steps {topic}?"]
    else:
        about = doing or topic
        texts = [f"What are the steps for {about}?", f"What are the instructions for {about}?"]
    subject = goal or doing or topic
    start = group.blocks[0].index
    numbered = group.items[0].numbered
    answer = "\n".join(
        f"{at}. {item.text}" if numbered else f"- {item.text}"
        for at, item in enumerate(group.items, start=1)
    )
    if view.counter.count(answer) <= view.options.answer_tokens * 2:
        asked = view.ask(texts, subject, "steps", start)
        yield _fact(view, "steps", asked, answer, group)
    if numbered and len(group.items) >= 3 and (goal or doing):
        ending = f"to {goal}" if goal else f"for {doing}"
        for ordinal, item in zip(_ORDINALS, group.items, strict=False):
            text = f"What is the {ordinal} step {ending}?"
            asked = view.ask([text], subject, "step", start, ordinal)[:1]
            yield _fact(view, "steps", asked, item.text, group)


def _enumeration(view: View, group: _Group) -> Iterator[Fact]:
    shallowest = min(item.depth for item in group.items)
    answer = "\n".join(f"{'  ' * (item.depth - shallowest)}- {item.text}" for item in group.items)
    opening = ""
    if group.before is not None:
        text = collapse(group.before.text)
        if text.endswith((":", WIDE_COLON)) and len(text) < 200:
            opening = text
    texts = _enumeration_questions(view, group, opening)
    if texts:
        answer = f"{opening}\n{answer}" if opening else answer
        yield _fact(view, "list", texts, answer, group)


def _enumeration_questions(view: View, group: _Group, opening: str) -> tuple[str, ...]:
    if view.english and opening:
        found = english.question_of(f"{opening[:-1].rstrip()}.", view.vocabulary)
        if found:
            return view.ask(list(found.texts), found.subject, "list", normalise(opening))
    heading = group.section.heading
    if not heading or not group.alone or len(heading.split()) > _MOST_HEADING_WORDS:
        return ()
    topic, doc = view.topic(heading), view.name.reference
    if not view.english:
        texts = [template.format(doc=doc, topic=topic) for template in view.phrases.section]
    else:
        texts = [f'What does {doc} list under "{collapse(heading)}"?']
        if not _CLAUSE.match(topic):
            texts.append(f"Which points does {doc} list about {topic}?")
    return view.choose(texts, "list", group.section.number)


def _fact(view: View, kind: str, questions: tuple[str, ...], answer: str, group: _Group) -> Fact:
    return view.fact(
        kind,
        questions,
        answer,
        section=group.section,
        passage=group.passage,
        pages=group.pages,
        block=group.blocks[0].index,
    )
