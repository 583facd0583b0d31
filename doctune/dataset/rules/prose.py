"""Facts in running text: what a section says, questions that headings ask, definitions, sentences
that answer a question, and the continuation of a passage."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from doctune.dataset.records import Block, Fact
from doctune.dataset.rules import english
from doctune.dataset.rules.lists import is_list, items_of
from doctune.dataset.sections import Section
from doctune.dataset.text import collapse, normalise, sentences, words
from doctune.dataset.view import View

_INTRODUCTIONS = frozenset(
    ["introduction", "overview", "summary", "abstract", "about", "about", "this", "document", "about", "this", "manual", "about", "this", "guide", "about", "this", "book", "at", "a", "glance", "executive", "summary"]
) | {"about this document", "about this manual", "about this guide", "at a glance"}
_LEADING_COLON = re.compile(
    r"^(?P<term>[^:.;!?\n]{2,50}?)\s*(?::|\s[–—-])\s+(?P<meaning>\S.{15,})$", re.DOTALL
)
_GLOSSARY = re.compile(
    r"\b(?:glossary|definitions?|terms|terminology|abbreviations|acronyms|glossar|begriffe|"
    r"glossaire|glosario|glossario|definitionen|définitions)\b",
    re.IGNORECASE,
)
_LEANING_START = re.compile(
    r"^(?:it|this|these|they|that|those|such|however|also|therefore|thus|moreover|in addition|"
    r"as a result|and|but|or)\b",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    r"^(?:Q|Question)\s*[:.]\s*(?P<question>.+?\?)\s*(?:A|Answer)\s*[:.]\s*(?P<answer>.+)$",
    re.DOTALL,
)


def section_facts(view: View) -> Iterator[Fact]:
    """Asks what the document says under each heading; a heading that is a question asks itself."""
    paths = Counter(normalise(section.heading) for section in view.sections)
    for section in view.sections:
        paragraphs = [block for block in section.blocks if block.kind == "paragraph"]
        if not section.heading:
            continue
        if section.heading.endswith(("?", "？")):
            yield from _answered_heading(view, section)
        elif paragraphs and section.blocks[0].kind in ("paragraph", "caption"):
            yield from _section_lead(view, section, paragraphs[0], paths)


def _section_lead(
    view: View, section: Section, paragraph: Block, headings: Counter[str]
) -> Iterator[Fact]:
    answer = view.lead(paragraph.text)
    topic = view.topic(section.heading)
    if answer.endswith(":") or (view.english and _LEANING_START.match(answer)):
        return
    candidates = []
    if view.english and normalise(section.heading) in _INTRODUCTIONS:
        candidates = [
            f"What is {view.name.reference} about?",
            f"What does {view.name.reference} cover?",
            f"Can you give me an overview of {view.name.reference}?",
        ]
    else:
        if headings[normalise(section.heading)] > 1 and len(section.path) > 1:
            topic = f"{topic} ({view.topic(section.path[-2])})"
        candidates = [
            template.format(doc=view.name.reference, topic=topic)
            for template in view.phrases.section
        ]
        if view.english and view.name.product:
            candidates.append(f"What should I know about {topic} for {view.name.product}?")
    yield view.fact(
        "section",
        view.choose(candidates, section.number),
        answer,
        section=section,
        passage=paragraph.text,
        pages=_pages(paragraph),
        block=section.start,
    )


def _answered_heading(view: View, section: Section) -> Iterator[Fact]:
    body = [block for block in section.blocks if block.kind in ("paragraph", "list")]
    if not body:
        return
    budget = view.options.answer_tokens * 2
    parts = [view.lead(body[0].text, budget) if not is_list(body[0]) else body[0].text]
    if len(body) > 1 and is_list(body[1]) and parts[0].endswith(":"):
        parts.append(body[1].text)
    question = collapse(section.heading)
    candidates = [question]
    if view.english:
        candidates += view.ask([question], question, "faq", section.number)
    yield view.fact(
        "faq",
        tuple(dict.fromkeys(candidates))[: view.options.phrasings],
        "\n".join(parts),
        section=section,
        passage="\n\n".join(block.text for block in body[: len(parts)]),
        pages=_pages(*body[: len(parts)]),
        block=section.start,
    )


def labelled_faq_facts(view: View) -> Iterator[Fact]:
    """Pairs written as `Q: ... A: ...` within paragraphs."""
    for section, block in _blocks(view, "paragraph"):
        match = _LABELLED.match(block.text)
        if match:
            question = collapse(match["question"])
            yield view.fact(
                "faq",
                view.ask([question], question, "faq", block.index) if view.english else (question,),
                view.lead(match["answer"], view.options.answer_tokens * 2),
                section=section,
                passage=block.text,
                pages=_pages(block),
                block=block.index,
            )


def sentence_facts(view: View) -> Iterator[Fact]:
    """Asks what single English sentences answer: definitions, amounts, times, conditions."""
    if not view.english:
        return
    for section, block in _blocks(view, "paragraph"):
        for number, sentence in enumerate(sentences(block.text)):
            for found in english.questions(sentence, view.vocabulary):
                yield view.fact(
                    found.kind,
                    view.ask(list(found.texts), found.subject, block.index, number),
                    sentence,
                    section=section,
                    passage=block.text,
                    pages=_pages(block),
                    block=block.index,
                )


def glossary_facts(view: View) -> Iterator[Fact]:
    """Entries of a glossary: `Term: meaning`, as paragraphs or as the items of a list."""
    for section in view.sections:
        in_glossary = any(_GLOSSARY.search(heading) for heading in section.path)
        if not in_glossary:
            continue
        for block in section.blocks:
            entries = items_of(block) if is_list(block) else [block.text]
            for entry in entries if block.kind in ("paragraph", "list") else ():
                match = _LEADING_COLON.match(entry)
                if match and len(match["term"].split()) <= 6:
                    yield _entry(view, section, block, match["term"], match["meaning"])


def _entry(view: View, section: Section, block: Block, term: str, meaning: str) -> Fact:
    term, meaning = collapse(term), collapse(meaning)
    if view.english:
        subject = view.topic(term)
        texts = [f"What does {subject} mean?", f'What does the term "{term}" mean?']
        asked = view.ask(texts, subject, "glossary", term)
    else:
        asked = view.choose(
            [
                template.format(doc=view.name.reference, topic=term)
                for template in view.phrases.section
            ],
            "glossary",
            term,
        )
    return view.fact(
        "definition",
        asked,
        f"{term}: {view.lead(meaning)}",
        section=section,
        passage=block.text,
        pages=_pages(block),
        block=block.index,
    )


_ACRONYM = re.compile(r"((?:[A-Za-z][\w’'-]*[ -]){1,7}[A-Za-z][\w’'-]*) \(([A-Z][A-Z0-9]{1,7})s?\)")


def acronym_facts(view: View) -> Iterator[Fact]:
    """`Daily Flow Index (DFI)` answers what DFI stands for, where the initials agree."""
    seen: set[str] = set()
    for section, block in _blocks(view, "paragraph", "list"):
        for match in _ACRONYM.finditer(collapse(block.text)):
            short, full = match[2], _expansion(match[1], match[2])
            if not full or short in seen or not view.english:
                continue
            seen.add(short)
            yield view.fact(
                "definition",
                view.ask(
                    [f"What does {short} stand for?", f"What is the meaning of {short}?"],
                    short,
                    "acronym",
                    short,
                ),
                f"{short} stands for {full}.",
                section=section,
                passage=block.text,
                pages=_pages(block),
                block=block.index,
            )


def _expansion(before: str, short: str) -> str:
    """Returns the last words whose initials spell the acronym; small words may be skipped."""
    found = re.findall(r"[A-Za-z][\w’']*", before)
    for start in range(len(found) - 1, -1, -1):
        initials = "".join(word[0] for word in found[start:] if word[0].isupper() or len(word) > 3)
        if initials.upper() == short:
            position = before.rfind(found[start]) if start else 0
            return before[position:] if before[position:].count(" ") >= 1 else ""
        if len(found) - start > len(short) + 3:
            break
    return ""


def outline_facts(view: View) -> Iterator[Fact]:
    """Which topics a document and its larger sections have, from their headings."""
    if not view.english:
        return
    children: dict[int, list[Section]] = {}
    for section in view.sections:
        if section.heading and not section.heading.endswith("?"):
            children.setdefault(section.parent, []).append(section)
    for parent, found in children.items():
        if not 3 <= len(found) <= 12:
            continue
        above = view.sections[parent] if parent >= 0 else None
        part = f"the section on {view.topic(above.heading)} of " if above else ""
        where = f"{part}{view.name.reference}"
        topics = [view.topic(section.heading) for section in found]
        listed = ", ".join(topics[:-1]) + f" and {topics[-1]}"
        yield view.fact(
            "outline",
            view.choose(
                [f"Which topics does {where} cover?", f"What are the parts of {where}?"],
                "outline",
                parent,
            )[:1],
            f"{where[0].upper()}{where[1:]} covers {listed}.",
            section=above or found[0],
            passage="\n".join(section.heading for section in found),
            pages=tuple(sorted({section.page for section in found})),
            block=found[0].start,
        )


def completion_facts(view: View) -> Iterator[Fact]:
    """Gives the beginning of a chunk's prose and asks for what comes next."""
    for chunk in view.chunks:
        section = view.sections[chunk.section]
        prose = [
            sentence
            for paragraph in chunk.text.split("\n\n")
            if "|" not in paragraph and "\n" not in paragraph
            for sentence in sentences(paragraph)
        ]
        if len(prose) < 3:
            continue
        cut = max(1, len(prose) // 2)
        beginning = " ".join(prose[max(0, cut - 3) : cut])
        answer = view.lead(" ".join(prose[cut:]))
        if len(words(answer)) < 6:
            continue
        yield view.fact(
            "completion",
            view.choose(
                [
                    template.format(doc=view.name.reference, text=beginning)
                    for template in view.phrases.completion
                ],
                "completion",
                chunk.number,
            )[:1],
            answer,
            section=section,
            passage=chunk.text,
            pages=chunk.pages,
            block=chunk.block,
        )


def _blocks(view: View, *kinds: str) -> Iterator[tuple[Section, Block]]:
    for section in view.sections:
        for block in section.blocks:
            if block.kind in kinds:
                yield section, block


def _pages(*blocks: Block) -> tuple[int, ...]:
    return tuple(sorted({block.page for block in blocks}))
