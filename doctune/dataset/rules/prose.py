"""Facts in running text.

Sections, questions that the document itself asks, terms with their meanings, sentences that answer
a question, and the continuation of a passage.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from doctune.dataset.lexicon import APOSTROPHES, DASHES, WIDE_QUESTION, lexicon
from doctune.dataset.records import Block, Fact
from doctune.dataset.rules import english
from doctune.dataset.rules.lists import SITUATION, is_item, items_of
from doctune.dataset.sections import Section
from doctune.dataset.text import collapse, is_prose, normalise, sentences, words
from doctune.dataset.view import View

_TERM = re.compile(
    rf"^(?P<term>[^:.;!?\n]{{2,50}}?)\s*(?::|\s[{DASHES}-])\s+(?P<meaning>\S.{{15,}})$", re.DOTALL
)
_GLOSSARY = re.compile(
    r"\b(?:glossary|definitions?|terminology|list of terms|terms and definitions|abbreviations|"
    r"acronyms|glossar|begriffe|definitionen|glossaire|d[e\u00e9]finitions|glosario|glossario)\b",
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
_QUESTION_WORDS = re.compile(
    r"^(?:what|who|whom|whose|which|when|where|why|how|can|could|may|must|should|shall|do|does|"
    r"did|is|are|was|were|will|would|has|have|am)\b",
    re.IGNORECASE,
)
_SHORT_FORM = re.compile(r"[a-z] \(([A-Z][A-Z0-9]{1,7})s?\)")
_LONG_FORM_CHARACTERS = 90
_MOST_TERM_WORDS = 6
_OPENING_PAGES = 5  # on which an introduction is the document's, and not a chapter's
_MOST_HEADING_WORDS = 14
_NO_TERMS = frozenset(["source", "sources", "note", "notes", "example", "figure", "table"])
_LEAST_COMPLETION_WORDS = 6
# Answers have several sentences here: fewer phrasings leave room for more facts.
_QUESTIONS_A_SECTION = 2


def section_facts(view: View) -> Iterator[Fact]:
    """Asks what each section says; a heading that is a question is used as it is."""
    headings = Counter(normalise(section.heading) for section in view.sections)
    for section in view.sections:
        if not section.blocks:
            continue
        if section.heading.endswith(("?", WIDE_QUESTION)):
            yield from _answered_heading(view, section)
            continue
        first = _opening(section)
        if first is not None and not (_is_glossary(view, section) and _TERM.match(first.text)):
            yield from _section_lead(view, section, first, headings)


def _opening(section: Section) -> Block | None:
    """Returns the first paragraph of prose, unless a list or table comes before it."""
    for block in section.blocks:
        if block.kind == "paragraph" and is_prose(sentences(block.text)[0]):
            return None if _begins_low(block.text) else block
        if block.kind not in ("paragraph", "caption"):
            return None
    return None


def _begins_low(text: str) -> bool:
    """Whether a text begins in lower case, so that its beginning is missing."""
    return next(filter(str.isalpha, text), "A").islower()


def _section_lead(
    view: View, section: Section, paragraph: Block, headings: Counter[str]
) -> Iterator[Fact]:
    answer = view.lead(paragraph.text)
    if (
        answer[-1:] == ":"
        or not is_prose(answer)
        or (view.english and _LEANING_START.match(answer))
    ):
        return
    if len(section.heading.split()) > _MOST_HEADING_WORDS:
        return
    doc, topic = view.name.reference, view.topic(section.heading)
    plain = normalise(section.heading)
    if not section.heading and (not view.english or section.number):
        return
    opens = paragraph.page <= _OPENING_PAGES
    if view.english and opens and (not plain or plain in lexicon("introduction_headings")):
        candidates = [f"What is {doc} about?", f"Can you give me an overview of {doc}?"]
    elif view.english and SITUATION.match(topic):
        topic = english.first_person(topic)
        candidates = [
            f"According to {doc}, what should I do {topic}?",
            f"What does {doc} say about what to do {topic}?",
        ]
    else:
        if headings[plain] > 1 and len(section.path) > 1:
            topic = f"{topic} ({view.topic(section.path[-2])})"
        candidates = [template.format(doc=doc, topic=topic) for template in view.phrases.section]
        if view.english and view.name.product and normalise(view.name.product) not in plain:
            candidates.append(f"What should I know about {topic} for {view.name.product}?")
    yield view.fact(
        "section",
        view.choose(candidates, section.number)[:_QUESTIONS_A_SECTION],
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
    first, rest = body[0], body[1:]
    answer = first.text if first.kind == "list" else view.lead(first.text, budget)
    used = [first]
    if answer.endswith(":"):
        listed = [block for block in rest if block.kind == "list"]
        answer = "\n".join([answer, *(f"- {item.text}" for item in items_of(listed))])
        used += listed
    yield from _own_question(view, section, collapse(section.heading), answer, used)


def own_question_facts(view: View) -> Iterator[Fact]:
    """Yields questions with answers: `Q: ... A: ...`, or a question and the next paragraph."""
    for section, block in _blocks(view, "paragraph"):
        text = collapse(block.text)
        match = _LABELLED.match(text)
        if match:
            question, answer = match["question"], match["answer"]
        else:
            question, *rest = sentences(text)
            answer = " ".join(rest)
            asks = question.endswith("?") and _QUESTION_WORDS.match(question)
            if not rest or not asks or "?" in answer or section.heading.endswith("?"):
                continue
        yield from _own_question(
            view, section, question, view.lead(answer, view.options.answer_tokens * 2), [block]
        )


def _own_question(
    view: View, section: Section, question: str, answer: str, blocks: list[Block]
) -> Iterator[Fact]:
    start = blocks[0].index
    asked = view.ask([question], question, "faq", start) if view.english else ()
    yield view.fact(
        "faq",
        tuple(dict.fromkeys((question, *asked)))[: view.options.phrasings],
        answer,
        section=section,
        passage="\n\n".join(block.text for block in blocks),
        pages=_pages(*blocks),
        block=start,
    )


def sentence_facts(view: View) -> Iterator[Fact]:
    """Yields facts of single English sentences: definitions, amounts, times, conditions."""
    if not view.english:
        return
    for section, block in _blocks(view, "paragraph", "list"):
        texts = [block.text] if block.kind == "paragraph" else [i.text for i in items_of([block])]
        for number, sentence in enumerate(one for text in texts for one in sentences(text)):
            found = english.question_of(sentence, view.vocabulary)
            if found is None or not view.vocabulary.is_specific(found.subject):
                continue
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
    """Yields the entries of a glossary: `Term: meaning`, as paragraphs or list items."""
    found = False
    for section, block in _blocks(view, "paragraph", "list"):
        if not _is_glossary(view, section):
            continue
        entries = [block.text] if block.kind == "paragraph" else [i.text for i in items_of([block])]
        for entry in entries:
            match = _TERM.match(collapse(entry))
            term = normalise(match["term"]) if match else ""
            if match and term not in _NO_TERMS and len(match["term"].split()) <= _MOST_TERM_WORDS:
                found = True
                yield _term(view, section, block, match["term"], match["meaning"])
    if not found:
        yield from _headed_terms(view)


def _is_glossary(view: View, section: Section) -> bool:
    return any(_GLOSSARY.search(title) for title in (*section.path, view.name.title))


def _headed_terms(view: View) -> Iterator[Fact]:
    """Yields terms that are headings, in a document that is a glossary."""
    if not _GLOSSARY.search(view.name.title):
        return
    for section in view.sections:
        if 1 <= len(section.heading.split()) <= _MOST_TERM_WORDS and section.blocks:
            first = section.blocks[0]
            if first.kind == "paragraph":
                yield _term(view, section, first, section.heading, first.text)


def _term(view: View, section: Section, block: Block, term: str, meaning: str) -> Fact:
    term, answer = collapse(term), view.lead(collapse(meaning))
    if view.english:
        of_meaning = re.match(r"(the|an?) ", answer) if " " in term else None
        article = of_meaning[1].replace("an", "a") if of_meaning else ""
        natural = view.topic(term)
        named = natural[:1].isupper()
        subject = view.vocabulary.with_article(natural, "" if named else article)
        texts = [f"What is {subject}?", f'What does the term "{term}" mean?']
        asked = view.ask(texts, subject, "term", term)
        if answer[0].islower():  # "Wring: a shake of ..." needs a subject and a verb
            answer = f"{subject[0].upper()}{subject[1:]} is {answer}"
    else:
        templates = view.phrases.section
        filled = [template.format(doc=view.name.reference, topic=term) for template in templates]
        asked = view.choose(filled, "term", term)
    # An answer that contains its term needs no label.
    labelled = answer if normalise(term) in normalise(answer)[:60] else f"{term}: {answer}"
    return view.fact(
        "definition",
        asked,
        labelled,
        section=section,
        passage=f"{term}: {meaning}",
        pages=_pages(block),
        block=block.index,
    )


def acronym_facts(view: View) -> Iterator[Fact]:
    """Asks what an acronym stands for, from `Daily Flow Index (DFI)`, if the initials match."""
    if not view.english:
        return
    seen: set[str] = set()
    for section, block in _blocks(view, "paragraph", "list"):
        text = collapse(block.text)
        for match in _SHORT_FORM.finditer(text):
            before = text[max(0, match.start() - _LONG_FORM_CHARACTERS) : match.start() + 1]
            short, full = match[1], _expansion(before, match[1])
            if not full or short in seen:
                continue
            seen.add(short)
            texts = [f"What does {short} stand for?", f"What is the meaning of {short}?"]
            yield view.fact(
                "definition",
                view.ask(texts, short, "acronym", short),
                f"{short} stands for {full}.",
                section=section,
                passage=block.text,
                pages=_pages(block),
                block=block.index,
            )


def _expansion(before: str, short: str) -> str:
    """Returns the last words whose initials spell the acronym; small words may be skipped."""
    found = list(re.finditer(rf"[A-Za-z][\w{APOSTROPHES}]*", before))
    for start in range(len(found) - 1, max(-1, len(found) - len(short) - 4), -1):
        tail = [match[0] for match in found[start:]]
        initials = "".join(
            word[0] for word in tail if word.casefold() not in lexicon("small_words")
        )
        if initials.upper() == short and len(tail) > 1:
            # A footnote number may be attached to the last word.
            return re.sub(r"(?<=[a-z])\d+$", "", before[found[start].start() :])
    return ""


def outline_facts(view: View) -> Iterator[Fact]:
    """Asks for the topics of a document and its larger sections, from their headings."""
    if not view.english:
        return
    children: dict[int, list[Section]] = {}
    for section in view.sections:
        if section.heading and not section.heading.endswith("?"):
            children.setdefault(section.parent, []).append(section)
    for parent, found in children.items():
        distinct = {normalise(section.heading) for section in found}
        if not 4 <= len(distinct) == len(found) <= 12:
            continue
        above = view.sections[parent] if parent >= 0 else None
        if above and len(above.heading.split()) > _MOST_HEADING_WORDS:
            continue
        part = f'the section "{collapse(above.heading)}" of ' if above else ""
        where = f"{part}{view.name.reference}"
        topics = [view.topic(section.heading) for section in found]
        texts = [f"Which topics does {where} cover?", f"What are the parts of {where}?"]
        yield view.fact(
            "outline",
            view.choose(texts, "outline", parent)[:1],
            f"{where[0].upper()}{where[1:]} covers {', '.join(topics[:-1])} and {topics[-1]}.",
            section=above or found[0],
            passage="\n".join(section.heading for section in found),
            pages=tuple(sorted({section.page for section in found})),
            block=found[0].start,
        )


def completion_facts(view: View) -> Iterator[Fact]:
    """Gives the beginning of a chunk's prose and asks for what comes next."""
    for chunk in view.chunks:
        prose = [
            sentence
            for paragraph in chunk.text.split("\n\n")
            if "\n" not in paragraph and not is_item(paragraph)
            for sentence in sentences(paragraph)
            if is_prose(sentence) and not _is_tabular(sentence)
        ]
        if len(prose) < 3:
            continue
        cut = len(prose) // 2
        beginning = " ".join(prose[max(0, cut - 3) : cut])
        if _begins_low(beginning) or _begins_low(prose[cut]):
            continue
        answer = view.lead(" ".join(prose[cut:]))
        if len(words(answer)) < _LEAST_COMPLETION_WORDS or ":" in (answer[-1], beginning[-1]):
            continue
        texts = [
            template.format(doc=view.name.reference, text=beginning)
            for template in view.phrases.completion
        ]
        yield view.fact(
            "completion",
            view.choose(texts, "completion", chunk.number)[:1],
            answer,
            section=view.sections[chunk.section],
            passage=chunk.text,
            pages=chunk.pages,
            block=chunk.block,
        )


def _is_tabular(sentence: str) -> bool:
    found = words(sentence)
    return sum(any(map(str.isdigit, word)) for word in found) * 3 > len(found)


def _blocks(view: View, *kinds: str) -> Iterator[tuple[Section, Block]]:
    for section in view.sections:
        for block in section.blocks:
            if block.kind in kinds:
                yield section, block


def _pages(*blocks: Block) -> tuple[int, ...]:
    return tuple(sorted({block.page for block in blocks}))
