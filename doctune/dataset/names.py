"""What a document is called in a question, and how its words are written.

A question must be understood without the page before one's eyes. "How is the filter cleaned?" is
no question in a house of twelve machines; "According to the Arlo 3 User Manual, how is the filter
cleaned?" is. So each document gets a name, and, where its title tells one, the product it is
about; the vocabulary of the whole corpus says which words point to one document alone and which
are written with a capital only because a heading or sentence begins with them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from doctune.dataset.languages import phrases_for
from doctune.dataset.records import Document
from doctune.dataset.text import collapse, is_unspaced, normalise, strip_enumeration, words

# A title that ends in one of these takes "the": "the Travel Policy".
_GENRES = frozenset(
    ["agreement", "annex", "appendix", "book", "booklet", "brochure", "bulletin", "catalog", "catalogue", "charter", "checklist", "code", "contract", "datasheet", "directive", "directory", "faq", "filing", "glossary", "guide", "guideline", "guidelines", "handbook", "instruction", "instructions", "leaflet", "letter", "list", "manual", "memo", "memorandum", "newsletter", "note", "notes", "notice", "overview", "plan", "policy", "primer", "procedure", "procedures", "programme", "protocol", "record", "reference", "regulation", "regulations", "release", "report", "review", "roadmap", "rules", "schedule", "sheet", "specification", "specifications", "standard", "statement", "summary", "supplement", "table", "tariff", "terms", "tutorial", "whitepaper"]
)
# A title is "<product> <these words>": what is left when they are taken off is the product.
_PRODUCT_GENRES = frozenset(
    ["book", "booklet", "brochure", "datasheet", "guide", "handbook", "instructions", "leaflet", "manual", "sheet", "specification", "specifications"]
)
_GENRE_WORDS = frozenset(
    ["administrator", "admin", "assembly", "care", "data", "developer", "installation", "installer", "instruction", "maintenance", "operating", "operation", "operations", "operator", "operator's", "operators", "owner", "owner's", "owners", "product", "programmer", "quick", "reference", "repair", "safety", "service", "servicing", "set-up", "setup", "start", "starter", "technical", "technician", "training", "troubleshooting", "user", "user's", "users"]
)
_JUNK_TITLE = re.compile(
    r"^(?:untitled|document\d*|microsoft word|powerpoint|slide \d|layout \d|title|cover|page \d"
    r"|contents|none|null|anonymous)|\.(?:docx?|pdf|indd|tex|dvi|pptx?|xlsx?|qxd)\b|[\\/]|^\W*$"
    r"|arxiv:|doi:|https?:",
    re.IGNORECASE,
)
_ACRONYM = re.compile(r"^(?=.*[A-Z])(?:[A-Z0-9&./-]+s?|.*\d.*|\w+[A-Z]\w*)$")
_SMALL_WORDS = frozenset(["a", "an", "and", "as", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"])
_MAX_TITLE_WORDS = 16


@dataclass(frozen=True)
class Name:
    """What a document is called."""

    title: str
    reference: str  # as it stands within a sentence: `the Travel Policy`, `"On Growth"`
    product: str  # as it stands within a sentence: `the Arlo 3`; empty if the title names none


class Vocabulary:
    """How often, and in how many documents, each word of the corpus is written, and how."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._lower: Counter[str] = Counter()
        self._capital: Counter[str] = Counter()
        self._documents: Counter[str] = Counter()
        self.size = 0
        for document in documents:
            self.size += 1
            seen: set[str] = set()
            for block in document.blocks:
                found = words(block.text)
                seen.update(word.casefold() for word in found)
                if block.kind in ("paragraph", "list"):
                    self._count_cases(found)
            self._documents.update(seen)

    def _count_cases(self, found: list[str]) -> None:
        self._lower.update(word for word in found if word.islower())
        # The first word of a paragraph has a capital in any case.
        self._capital.update(word.casefold() for word in found[1:] if word[:1].isupper())

    def natural(self, phrase: str) -> str:
        """Returns a heading as it would stand within a sentence: `Daily Care` -> `daily care`."""
        shouted = phrase.isupper() and len(phrase) > 5
        return " ".join(self._natural_word(word, shouted) for word in phrase.split(" "))

    def _natural_word(self, word: str, shouted: bool) -> str:
        core = word.strip(".,;:()[]\"'“”‘’!?")
        plain = core.casefold()
        if core.islower() or not core or not core[0].isalpha():
            return word
        common = self._lower[plain] >= self._capital[plain] and self._lower[plain] > 0
        if shouted:
            return word.lower() if common or plain in _SMALL_WORDS else word.capitalize()
        if _ACRONYM.match(core):
            return word
        if common or plain in _SMALL_WORDS:
            return word[0].lower() + word[1:]
        return word

    def is_proper(self, word: str) -> bool:
        """Whether a word is a name or a code: never written in lower case in the corpus."""
        return (word[:1].isupper() and not self._lower[word.casefold()]) or (
            any(map(str.isdigit, word)) and any(map(str.isalpha, word))
        )

    def is_distinct(self, phrase: str) -> bool:
        """Whether a phrase points to one document of the corpus without naming it."""
        content = [word for word in words(phrase) if word.casefold() not in _SMALL_WORDS]
        if len(content) < 2 and not any(map(self.is_proper, content)):
            return False
        return any(self._documents[word.casefold()] == 1 for word in content)


def name_documents(documents: Iterable[Document], vocabulary: Vocabulary) -> dict[str, Name]:
    """Returns the name of each document by its key; no two are the same."""
    documents = tuple(documents)
    titles = {document.key: _title(document) for document in documents}
    shared = Counter(normalise(title) for title in titles.values())
    names = {}
    for document in documents:
        title = titles[document.key]
        if shared[normalise(title)] > 1:
            title = f"{title} ({PurePath(document.source).stem})"
        names[document.key] = Name(
            title=title,
            reference=_reference(title, document.language),
            product=_product(title, document, vocabulary),
        )
    return names


def _title(document: Document) -> str:
    given = strip_enumeration(document.title)
    if _is_title(given):
        return given
    for block in document.blocks:
        if block.page > 2:
            break
        if block.kind == "heading" and _is_title(text := strip_enumeration(block.text)):
            return text
    stem = collapse(re.sub(r"[_\-+.]+", " ", PurePath(document.source).stem))
    return stem[:1].upper() + stem[1:] if stem else "Document"


def _is_title(text: str) -> bool:
    if not 3 <= len(text) <= 160 or _JUNK_TITLE.search(text):
        return is_unspaced(text) and 2 <= len(text) <= 40
    return sum(map(str.isalpha, text)) * 2 > len(text) and len(text.split()) <= _MAX_TITLE_WORDS


def _reference(title: str, language: str) -> str:
    quotes = phrases_for(language).quotes
    if language == "en":
        last = re.sub(r"\W*\(.*\)$|[\s\d.,:–—-]+$", "", title).rsplit(" ", 1)[-1].casefold()
        if title.casefold().startswith("the "):
            return f"the {title[4:]}"
        if last in _GENRES:
            return f"the {title}"
    return f"{quotes[:1]}{title}{quotes[1:]}"


def _product(title: str, document: Document, vocabulary: Vocabulary) -> str:
    if document.language != "en":
        return ""
    parts = [part.strip() for part in re.split(r"\s*[:–—|]\s*|\s+-\s+", title) if part.strip()]
    for part in parts:
        kept = part.split()
        if kept[-1].casefold() not in _PRODUCT_GENRES:
            continue
        while kept and kept[-1].casefold() in _PRODUCT_GENRES | _GENRE_WORDS | {"and", "&"}:
            kept.pop()
        rest = kept or (parts[0].split() if part is not parts[0] else [])
        if rest and any(map(vocabulary.is_proper, rest)):
            return _with_article(" ".join(rest), document)
    return ""


def _with_article(product: str, document: Document) -> str:
    """Says `the Arlo 3` if the document itself mostly does."""
    if product.casefold().startswith("the "):
        return f"the {product[4:]}"
    text = " ".join(block.text for block in document.blocks if block.kind == "paragraph")
    plain = len(re.findall(re.escape(product), text))
    with_article = len(re.findall(rf"\b[Tt]he {re.escape(product)}", text))
    return f"the {product}" if with_article * 2 > plain else product
