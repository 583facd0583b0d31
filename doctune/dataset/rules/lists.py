"""Facts in lists: the steps of a task, and what a list enumerates."""

from __future__ import annotations

import re
from collections.abc import Iterator

from doctune.dataset.records import Block, Fact
from doctune.dataset.rules import english
from doctune.dataset.sections import Section
from doctune.dataset.text import collapse, normalise, words
from doctune.dataset.view import View

_MARKER = re.compile(
    r"^\s*(?:(?P<bullet>[-–—•‣▪◦●○■□*·▸►✓✔])\s*|"
    r"(?P<number>(?:step\s+)?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[.):]|\(\w{1,3}\)|[①-⑳])\s+)",
    re.IGNORECASE,
)
_HOW_TO = re.compile(r"^how (?:to|do i|do you|can i) (?P<goal>.+?)\??$", re.IGNORECASE)
_STEP_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


def is_list(block: Block) -> bool:
    """Whether a block is a list, by its kind."""
    return block.kind == "list"


def items_of(block: Block) -> list[str]:
    """Returns the items of a list without their marks; a line without one continues an item."""
    items: list[str] = []
    for line in block.text.splitlines():
        match = _MARKER.match(line)
        if match or not items:
            items.append(line[match.end() :] if match else line)
        else:
            items[-1] += f" {line.strip()}"
    return [text for item in items if (text := collapse(item))]


def _is_numbered(block: Block) -> bool:
    match = _MARKER.match(block.text)
    return bool(match and match["number"])


def list_facts(view: View) -> Iterator[Fact]:
    """Steps (`How do I ...?`) and enumerations of each section."""
    for section in view.sections:
        groups = list(_groups(section))
        for before, group in groups:
            items = [item for block in group for item in items_of(block)]
            if len(items) < 2 or sum(len(item) for item in items) < 20:
                continue
            only = len(groups) == 1
            imperative = sum(map(english.is_imperative, items)) * 2 > len(items)
            if view.english and (imperative or _is_numbered(group[0])) and imperative:
                yield from _step_facts(view, section, before, group, items, only=only)
            else:
                yield from _enumeration(view, section, before, group, items, only=only)


def _groups(section: Section) -> Iterator[tuple[Block | None, list[Block]]]:
    """Yields runs of list blocks with the paragraph right before each."""
    before: Block | None = None
    group: list[Block] = []
    for block in section.blocks:
        if is_list(block):
            group.append(block)
            continue
        if group:
            yield before, group
            group = []
        before = block if block.kind == "paragraph" else None
    if group:
        yield before, group


def _goal(heading: str, view: View) -> tuple[str, str]:
    """Returns a heading as a task to do and as the doing of it; empty where it is neither."""
    topic = view.topic(heading)
    match = _HOW_TO.match(topic)
    if match:
        return match["goal"], ""
    first, _, rest = topic.partition(" ")
    base = english.base_form(first)
    if base and rest:
        return f"{base} {rest}", topic
    if rest and english.is_imperative(first) and len(topic.split()) <= 10:
        return topic[0].lower() + topic[1:], ""
    return "", topic if first.endswith("ing") else ""


def _step_facts(
    view: View,
    section: Section,
    before: Block | None,
    group: list[Block],
    items: list[str],
    *,
    only: bool,
) -> Iterator[Fact]:
    goal, doing = _goal(section.heading, view) if section.heading else ("", "")
    introduced = _purpose_of(before)
    if introduced and not (only and goal):
        goal, doing = introduced, ""
    elif not only:
        return
    if goal:
        texts = [f"How do I {goal}?", f"What are the steps to {goal}?", f"How can I {goal}?"]
        first = f"What is the {{}} step to {goal}?"
    elif section.heading:
        doing = doing or view.topic(section.heading)
        texts = [f"What are the steps for {doing}?", f"What are the instructions for {doing}?"]
        first = f"What is the {{}} step for {doing}?"
    else:
        return
    subject = goal or doing
    answer = "\n".join(f"{number}. {item}" for number, item in enumerate(items, start=1))
    pages = tuple(sorted({block.page for block in group}))
    passage = "\n".join(block.text for block in ([before] if before else []) + group)
    common = {"section": section, "passage": passage, "pages": pages, "block": group[0].index}
    if view.counter.count(answer) <= view.options.answer_tokens * 2:
        yield view.fact(
            "steps", view.ask(texts, subject, "steps", group[0].index), answer, **common
        )
    if len(items) < 3:
        return
    for ordinal, item in zip(_STEP_ORDINALS, items, strict=False):
        asked = first.format(ordinal)
        answer = f"{ordinal.capitalize()}: {item}" if len(words(item)) < 4 else item
        found = view.ask([asked], subject, "step", group[0].index, ordinal)[:1]
        yield view.fact("steps", found, answer, **common)


def _purpose_of(before: Block | None) -> str:
    """`To drain the tank:` -> `drain the tank`."""
    if before is None:
        return ""
    match = re.search(
        r"(?:^|[.!?]\s+)To (?P<goal>[a-z][^,;:.]{4,60})(?:[,:]| (?:do|proceed|follow)\b)[^.]*:?$",
        collapse(before.text),
    )
    return match["goal"] if match else ""


def _enumeration(
    view: View,
    section: Section,
    before: Block | None,
    group: list[Block],
    items: list[str],
    *,
    only: bool,
) -> Iterator[Fact]:
    answer = "\n".join(f"- {item}" for item in items)
    if view.counter.count(answer) > view.options.answer_tokens * 2:
        return
    opening = ""
    if before is not None and collapse(before.text).endswith((":", "：")):
        opening = view.lead(collapse(before.text)) if len(before.text) < 200 else ""
    texts = _enumeration_questions(view, section, opening, only=only)
    if not texts:
        return
    yield view.fact(
        "list",
        texts,
        f"{opening}\n{answer}" if opening else answer,
        section=section,
        passage="\n".join(block.text for block in ([before] if before else []) + group),
        pages=tuple(sorted({block.page for block in group})),
        block=group[0].index,
    )


def _enumeration_questions(
    view: View, section: Section, opening: str, *, only: bool
) -> tuple[str, ...]:
    if view.english and opening:
        for found in english.questions(opening.rstrip(":") + ".", view.vocabulary):
            return view.ask(list(found.texts), found.subject, "list", normalise(opening))
    if not section.heading or not only:
        return ()
    topic = view.topic(section.heading)
    if not view.english:
        texts = [
            template.format(doc=view.name.reference, topic=topic)
            for template in view.phrases.section
        ]
    else:
        texts = [
            f'What does {view.name.reference} list under "{collapse(section.heading)}"?',
            f"Which points does {view.name.reference} list about {topic}?",
        ]
    return view.choose(texts, "list", section.number)
