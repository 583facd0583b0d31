"""Names of documents in questions, and the vocabulary of the corpus.

A question must be understood without its page. "How is the filter cleaned?" is ambiguous in a
corpus about twelve machines; "According to the Arlo 3 User Manual, how is the filter cleaned?" is
not. So each document gets a name and, if its title has one, the product it is about. The vocabulary
of the whole corpus decides which words identify one document, and which are capitalised only
because they begin a heading or sentence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath

from doctune.dataset.languages import phrases_for
from doctune.dataset.lexicon import DASHES, QUOTES, lexicon
from doctune.dataset.records import Document
from doctune.dataset.text import (
    collapse,
    is_unspaced,
    normalise,
    sentences,
    strip_enumeration,
    words,
)

_JUNK_TITLE = re.compile(
    r"^(?:untitled|document\d*|microsoft word|powerpoint|slide \d|layout \d|title|cover|page \d"
    r"|contents|none|null|anonymous|key points|abstract|highlights|background|introduction|summary"
    r"|research article|original article|open access|letter to the editor|sample"
    r")\b(?!.{12})|^united states securities and exchange commission"
    r"|\.(?:docx?|pdf|indd|tex|dvi|pptx?|xlsx?|qxd)\b|\\|^[./~]|/.*/|^\W*$"
    r"|arxiv:|doi:|https?:|\b\d{5}\b|^form \d|^for the .*\bperiod ended\b"
    # A line that goes on elsewhere: "... July 30, 2023 OR".
    r"|\b(?:and|or|of|the|for|to|with|by)$|^\(|^commission file|^\W*\d[\d\W]*$",
    re.IGNORECASE,
)
_ACRONYM = re.compile(r"^(?=.*[A-Z])(?:[A-Z0-9&./-]+s?|.*\d.*|\w+[A-Z]\w*)$")
_SUBTITLE = re.compile(rf"\s*[:|]\s+|\s+[-{DASHES}]\s+")
_MAX_TITLE_WORDS = 16
_MAX_GIVEN_WORDS = 30  # of the title that a file itself states
_ARTICLES = {"a": "a", "an": "a", "the": "the"}


@dataclass(frozen=True)
class Name:
    """What a document is called."""

    title: str
    short: str  # the title without its subtitle
    subtitle: str  # empty if the title has none
    reference: str  # as it stands within a sentence: `the Travel Policy`, `"On Growth"`
    product: str  # in the form used within a sentence: `the Arlo 3`; empty if the title has none


class Vocabulary:
    """How often, and in how many documents, each word of the corpus is written, and how."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._lower: Counter[str] = Counter()
        self._capital: Counter[str] = Counter()
        self._documents: Counter[str] = Counter()
        self._after_article: dict[str, Counter[str]] = {"a": Counter(), "the": Counter()}
        self.size = 0
        for document in documents:
            self.size += 1
            seen: set[str] = set()
            for block in document.blocks:
                found = words(block.text)
                seen.update(word.casefold() for word in found)
                self._lower.update(word for word in found if word.islower())
                if block.kind in ("paragraph", "list"):
                    self._count_articles(found)
                    self._capital.update(_capital_within_sentence(block.text))
            self._documents.update(seen)
        self._titles_capitalised = _capitalises_titles(documents)

    def _count_articles(self, found: list[str]) -> None:
        for article, word in pairwise(found):
            plain = article.casefold()
            if plain in _ARTICLES:
                self._after_article[_ARTICLES[plain]][word.casefold()] += 1

    def with_article(self, term: str, fallback: str = "") -> str:
        """Returns a term with the article that it usually has in the corpus, if any.

        Args:
            term: In the form used within a sentence, without an article.
            fallback: The article if the corpus has no evidence: "the", "a" or none.
        """
        first = words(term)[0].casefold()
        total = self._lower[first] + self._capital[first]
        article = max(self._after_article, key=lambda word: self._after_article[word][first])
        if self._after_article[article][first] * 6 <= total:
            article = fallback
        if not article:
            return term
        return f"{'an' if article == 'a' and first[0] in 'aeiou' else article} {term}"

    def natural(self, phrase: str) -> str:
        """Returns a heading in the form used within a sentence: `Daily Care` -> `daily care`."""
        found = phrase.split(" ")
        if phrase.isupper() and len(phrase) > 5:
            return " ".join(self._natural_word(word, shouted=True) for word in found)
        if self._titles_capitalised:
            return " ".join(map(self._natural_word, found))
        # If headings are in sentence case, only the first word is changed to lower case.
        code, rest = (found[:1], found[1:]) if any(map(str.isdigit, found[0])) else ([], found)
        if code and rest:
            return " ".join([*code, self.natural(" ".join(rest))])
        named = len(found) > 1 and found[1][:1].isupper() and not self._lower[found[0].casefold()]
        return phrase if named else " ".join([self._natural_word(found[0]), *found[1:]])

    def _natural_word(self, word: str, shouted: bool = False) -> str:
        core = word.strip(f".,;:()[]\"'!?{QUOTES}")
        plain = core.casefold()
        if core.islower() or not core or not core[0].isalpha():
            return word
        common = self._lower[plain] >= self._capital[plain] or plain in lexicon("small_words")
        if shouted:
            known = self._lower[plain] or plain in lexicon("small_words")
            return word.lower() if known and common else word.capitalize()
        if _ACRONYM.match(core) or not common:
            return word
        # All parts of a compound: "Non-Trade" -> "non-trade".
        return re.sub(r"(?:^|(?<=[\W_]))\w", lambda letter: letter[0].lower(), word)

    def is_proper(self, word: str) -> bool:
        """Whether a word is a name or a code: a letter with a digit, or mostly capitalised."""
        plain = word.casefold()
        if any(map(str.isdigit, word)) or (word.isupper() and len(word) > 1):
            return any(map(str.isalpha, word))
        return word[:1].isupper() and self._capital[plain] > self._lower[plain]

    def is_noun(self, word: str) -> bool:
        """Whether a word occurs with an article in the corpus."""
        plain = word.casefold()
        return any(counts[plain] for counts in self._after_article.values())

    def is_common(self, word: str) -> bool:
        """Whether a word is not a name: it is mostly in lower case."""
        plain = word.casefold()
        return self._lower[plain] > 0 and self._lower[plain] >= self._capital[plain]

    def is_specific(self, phrase: str) -> bool:
        """Whether a phrase is clear without its document, in a corpus about one subject."""
        content = self._content(phrase)
        if any(map(self.is_proper, content)):
            return True
        return any(
            word.casefold() not in lexicon("generic_nouns") and not word.isdigit()
            for word in content
        )

    def is_distinct(self, phrase: str) -> bool:
        """Whether a phrase identifies one document of the corpus without naming it."""
        content = self._content(phrase)
        if len(content) < 2 and not any(map(self.is_proper, content)):
            return False
        return any(self._documents[word.casefold()] == 1 for word in content)

    def _content(self, phrase: str) -> list[str]:
        return [word for word in words(phrase) if word.casefold() not in lexicon("small_words")]


def _capitalises_titles(documents: Sequence[Document]) -> bool:
    """Whether the headings are mostly Written Like This."""
    found = [
        word
        for document in documents
        for block in document.blocks
        if block.kind == "heading" and not block.text.isupper()
        for word in words(strip_enumeration(block.text))[1:]
        if word[0].isalpha() and word.casefold() not in lexicon("small_words")
    ]
    return sum(word[0].isupper() for word in found) * 2 > len(found)


def _capital_within_sentence(text: str) -> Iterator[str]:
    """Yields, in lower case, the words with a capital that begin no sentence."""
    for sentence in sentences(text):
        if sentence[-1] not in (".", "!", "?", ";", ":"):
            continue  # tables of contents and labels are capitalised like headings
        for word in words(sentence)[1:]:
            if word[:1].isupper() and not word.isupper():
                yield word.casefold()


def name_documents(documents: Iterable[Document], vocabulary: Vocabulary) -> dict[str, Name]:
    """Returns the name of each document by its key; no two are the same."""
    documents = tuple(documents)
    titles = {document.key: _title(document) for document in documents}
    shorts = {key: _without_subtitle(title) for key, title in titles.items()}
    same_short = Counter(map(normalise, shorts.values()))
    same_title = Counter(map(normalise, titles.values()))
    text = {
        document.key: " ".join(block.text for block in document.blocks if block.kind != "table")
        for document in documents
    }
    names = {}
    for document in documents:
        title, short = titles[document.key], shorts[document.key]
        if same_title[normalise(title)] > 1:
            title = short = f"{title} ({PurePath(document.source).stem})"
        elif same_short[normalise(short)] > 1:
            short = title
        names[document.key] = Name(
            title=title,
            short=short,
            subtitle=" ".join(_SUBTITLE.split(titles[document.key])[1:]),
            reference=_reference(short, document.language),
            product=_product(title, document.language, text[document.key], vocabulary),
        )
    return names


def _title(document: Document) -> str:
    given = _unshouted(strip_enumeration(document.title))
    if _is_title(given, _MAX_GIVEN_WORDS):
        return given
    for block in document.blocks:
        if block.page > 2:
            break
        if block.kind == "heading" and _is_title(text := strip_enumeration(block.text)):
            return _unshouted(text)
    stem = collapse(re.sub(r"[_\-+.]+", " ", PurePath(document.source).stem))
    if not re.search(r"[^\W\d]{3}", stem):  # "2201 00037" is no name
        return f"Document {stem}".strip()
    return stem[:1].upper() + stem[1:]


def _unshouted(title: str) -> str:
    """`ANNUAL REPORT OF ACME` -> `Annual Report of Acme`; shorter words may be abbreviations."""
    if not title.isupper() or " " not in title:
        return title
    found = [
        word.lower() if word.casefold() in lexicon("small_words") else word.capitalize()
        for word in title.split()
    ]
    return " ".join([found[0].capitalize(), *found[1:]])


def _is_title(text: str, most_words: int = _MAX_TITLE_WORDS) -> bool:
    if not 3 <= len(text) <= 200 or _JUNK_TITLE.search(text):
        return is_unspaced(text) and 2 <= len(text) <= 60
    return sum(map(str.isalpha, text)) * 2 > len(text) and len(text.split()) <= most_words


def _without_subtitle(title: str) -> str:
    head = _SUBTITLE.split(title, maxsplit=1)[0]
    return head if len(head.split()) >= 2 or head.casefold() in lexicon("title_genres") else title


def _reference(title: str, language: str) -> str:
    if language == "en":
        head = re.sub(rf"\W*\(.*\)$|[\s\d.,:{DASHES}-]+$", "", title)
        last = head.rsplit(" ", 1)[-1].casefold()
        if last in lexicon("title_genres") and (last[-1] != "s" or last == "terms"):
            return f"the {title[4:] if title.casefold().startswith('the ') else title}"
    quotes = phrases_for(language).quotes
    return f"{quotes[:1]}{title}{quotes[1:]}"


def _product(title: str, language: str, text: str, vocabulary: Vocabulary) -> str:
    """Returns what is left of `<product> <kind of document>`, or of `<product>: <kind>`."""
    if language != "en":
        return ""
    parts = [part for part in _SUBTITLE.split(title) if part]
    for part in parts:
        kept = part.split()
        if not kept or kept[-1].casefold() not in lexicon("product_genres"):
            continue
        droppable = lexicon("product_genres") | lexicon("product_genre_words") | {"and", "&"}
        while kept and kept[-1].casefold().replace("\u2019", "'") in droppable:
            kept.pop()
        rest = kept or (parts[0].split() if part is not parts[0] else [])
        if not all(word.isdigit() or vocabulary.is_common(word) for word in rest):
            return _with_article(" ".join(rest), text)
    return ""


def _with_article(product: str, text: str) -> str:
    """Says `the Arlo 3` if the document itself mostly puts an article before it."""
    if product.casefold().startswith("the "):
        return f"the {product[4:]}"
    plain = len(re.findall(re.escape(product), text))
    articles = len(re.findall(rf"\b(?:[Tt]he|[Aa]n?|[Ee]ach|[Ee]very) {re.escape(product)}", text))
    return f"the {product}" if articles * 2 > plain else product
