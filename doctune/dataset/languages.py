"""The words of a question in each language, and how a document's language is told.

English has many more ways to ask (`english.py`); the other languages quote headings and cells as
they stand, so that no grammar has to bend them. A language without an entry uses the neutral form,
which is made of the document's own words and punctuation only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from doctune.dataset.records import Document
from doctune.dataset.text import words


@dataclass(frozen=True)
class Phrases:
    """Templates: {doc} the document's name, {topic} a heading, {row} and {column} of a table,
    {value} a cell, {text} the beginning of a passage."""

    section: tuple[str, ...]
    cell: tuple[str, ...]
    cell_answer: str
    completion: tuple[str, ...]
    quotes: str = '""'  # what a document's title stands in


ENGLISH = Phrases(
    section=(
        "What does {doc} say about {topic}?",
        "According to {doc}, what should I know about {topic}?",
        "Tell me about {topic}, as described in {doc}.",
        "What can you tell me about {topic} according to {doc}?",
        "Explain {topic} according to {doc}.",
    ),
    cell=(
        "According to {doc}, what is the {column} of {row}?",
        "What is the {column} of {row}, according to {doc}?",
    ),
    cell_answer="The {column} of {row} is {value}.",
    completion=(
        "Continue this passage from {doc}: {text}",
        "Complete this text from {doc}: {text}",
        "How does this passage of {doc} go on? {text}",
    ),
)

_NEUTRAL = Phrases(
    section=("{doc}: {topic}?",),
    cell=("{doc}: {row}, {column}?",),
    cell_answer="{row}, {column}: {value}",
    completion=("{doc}: {text} …",),
    quotes="",
)

_OTHERS = {
    "de": Phrases(
        section=(
            "Was steht in {doc} zum Thema „{topic}“?",
            "Was muss ich laut {doc} über „{topic}“ wissen?",
            "Erkläre das Thema „{topic}“ nach {doc}.",
        ),
        cell=(
            "Was gibt {doc} bei „{row}“ unter „{column}“ an?",
            "Welcher Eintrag steht laut {doc} für „{row}“ unter „{column}“?",
        ),
        cell_answer="Für „{row}“ steht unter „{column}“: {value}.",
        completion=("Wie geht dieser Text aus {doc} weiter? {text}",),
        quotes="„“",
    ),
    "fr": Phrases(
        section=(
            "Que dit {doc} à propos de « {topic} » ?",
            "Selon {doc}, que faut-il savoir sur « {topic} » ?",
            "Expliquez « {topic} » d'après {doc}.",
        ),
        cell=(
            "Selon {doc}, que trouve-t-on pour « {row} » sous « {column} » ?",
            "Quelle valeur {doc} donne-t-il pour « {row} » sous « {column} » ?",
        ),
        cell_answer="Pour « {row} », on trouve sous « {column} » : {value}.",
        completion=("Comment se poursuit ce passage de {doc} ? {text}",),
        quotes="«»",
    ),
    "es": Phrases(
        section=(
            "¿Qué dice {doc} sobre «{topic}»?",
            "Según {doc}, ¿qué hay que saber sobre «{topic}»?",
            "Explica «{topic}» según {doc}.",
        ),
        cell=(
            "Según {doc}, ¿qué figura para «{row}» en «{column}»?",
            "¿Qué indica {doc} en «{column}» para «{row}»?",
        ),
        cell_answer="Para «{row}», en «{column}» figura: {value}.",
        completion=("¿Cómo continúa este pasaje de {doc}? {text}",),
        quotes="«»",
    ),
    "it": Phrases(
        section=(
            "Che cosa dice {doc} su «{topic}»?",
            "Secondo {doc}, che cosa bisogna sapere su «{topic}»?",
            "Spiega «{topic}» secondo {doc}.",
        ),
        cell=(
            "Secondo {doc}, che cosa è indicato per «{row}» sotto «{column}»?",
            "Che cosa riporta {doc} sotto «{column}» per «{row}»?",
        ),
        cell_answer="Per «{row}», sotto «{column}» è indicato: {value}.",
        completion=("Come continua questo passo di {doc}? {text}",),
        quotes="«»",
    ),
    "pt": Phrases(
        section=(
            "O que diz {doc} sobre “{topic}”?",
            "Segundo {doc}, o que é preciso saber sobre “{topic}”?",
            "Explique “{topic}” de acordo com {doc}.",
        ),
        cell=(
            "Segundo {doc}, o que consta para “{row}” em “{column}”?",
            "O que indica {doc} em “{column}” para “{row}”?",
        ),
        cell_answer="Para “{row}”, em “{column}” consta: {value}.",
        completion=("Como continua este trecho de {doc}? {text}",),
        quotes="“”",
    ),
    "nl": Phrases(
        section=(
            "Wat zegt {doc} over “{topic}”?",
            "Wat moet ik volgens {doc} weten over “{topic}”?",
            "Leg “{topic}” uit volgens {doc}.",
        ),
        cell=(
            "Wat staat er volgens {doc} bij “{row}” onder “{column}”?",
            "Wat vermeldt {doc} onder “{column}” voor “{row}”?",
        ),
        cell_answer="Bij “{row}” staat onder “{column}”: {value}.",
        completion=("Hoe gaat deze passage uit {doc} verder? {text}",),
        quotes="“”",
    ),
    "ru": Phrases(
        section=(
            "Что говорится в документе {doc} на тему «{topic}»?",
            "Что нужно знать на тему «{topic}» согласно документу {doc}?",
            "Объясните тему «{topic}» по документу {doc}.",
        ),
        cell=(
            "Что указано в документе {doc} для «{row}» в графе «{column}»?",
            "Какое значение даёт документ {doc} для «{row}» в графе «{column}»?",
        ),
        cell_answer="Для «{row}» в графе «{column}» указано: {value}.",
        completion=("Как продолжается этот отрывок из документа {doc}? {text}",),
        quotes="«»",
    ),
    "zh": Phrases(
        section=(
            "{doc}中关于“{topic}”是怎么说的？",
            "根据{doc}，关于“{topic}”需要了解什么？",
            "请根据{doc}说明“{topic}”。",
        ),
        cell=(
            "根据{doc}，“{row}”的“{column}”是什么？",
            "{doc}中“{row}”的“{column}”是多少或是什么？",
        ),
        cell_answer="“{row}”的“{column}”是{value}。",
        completion=("请续写{doc}中的这段文字：{text}",),
        quotes="《》",
    ),
    "ja": Phrases(
        section=(
            "{doc}では「{topic}」について何と書かれていますか。",
            "{doc}によると、「{topic}」について何を知っておくべきですか。",
            "{doc}に基づいて「{topic}」を説明してください。",
        ),
        cell=(
            "{doc}によると、「{row}」の「{column}」は何ですか。",
            "{doc}では「{row}」の「{column}」はどうなっていますか。",
        ),
        cell_answer="「{row}」の「{column}」は{value}です。",
        completion=("{doc}の次の文章の続きを書いてください。{text}",),
        quotes="『』",
    ),
    "ko": Phrases(
        section=(
            "{doc}에서는 “{topic}”에 대해 무엇이라고 설명합니까?",
            "{doc}에 따르면 “{topic}”에 대해 무엇을 알아야 합니까?",
        ),
        cell=("{doc}에 따르면 “{row}”의 “{column}” 항목은 무엇입니까?",),
        cell_answer="“{row}”의 “{column}” 항목: {value}.",
        completion=("{doc}에 나오는 다음 글을 이어서 쓰십시오. {text}",),
        quotes="『』",
    ),
}

# Frequent words that tell Latin-script languages apart; a few of each are enough on a page of text.
_STOP_WORDS = {
    "en": "the of and to is that for with are be this on by as or from at which an not",
    "de": "der die das und ist nicht mit für auf ein eine werden den von zu im dem sich auch bei",
    "fr": "le la les des et est une dans pour que pas sur du au avec par sont ce qui aux",
    "es": "el la los las y es una en para que no por del con se su al como más un",
    "it": "il la gli di e è una che per non con del della sono da nel si alla più un",
    "pt": "o a os as e é uma em para que não por do da com se no na ao mais",
    "nl": "de het een en van is dat niet voor met op zijn te aan wordt door bij ook als om",
}
_STOP_SETS = {language: frozenset(text.split()) for language, text in _STOP_WORDS.items()}
_SAMPLE_CHARACTERS = 20_000


def phrases_for(language: str) -> Phrases:
    """Returns the templates of a language by its two-letter code."""
    return ENGLISH if language == "en" else _OTHERS.get(language, _NEUTRAL)


def language_of(document: Document) -> str:
    """Returns the two-letter code of a document's language.

    What the parser found is taken; without that, the script and the frequent words tell. An
    unknown language is an empty string.
    """
    if re.fullmatch(r"[a-z]{2}", document.language):
        return document.language
    sample = ""
    for block in document.blocks:
        sample += f" {block.text}"
        if len(sample) > _SAMPLE_CHARACTERS:
            break
    return _guess(sample)


def _guess(sample: str) -> str:
    letters = sum(map(str.isalpha, sample))
    if not letters:
        return ""
    for language, pattern in (
        ("ja", "[\u3040-\u30ff]"),
        ("zh", "[\u4e00-\u9fff]"),
        ("ko", "[\uac00-\ud7af]"),
        ("ru", "[\u0400-\u04ff]"),
    ):
        if len(re.findall(pattern, sample)) > 0.2 * letters:
            return language
    found = [word.casefold() for word in words(sample)]
    votes = {language: sum(word in stop for word in found) for language, stop in _STOP_SETS.items()}
    best = max(votes, key=lambda language: votes[language])
    return best if votes[best] > 0.05 * len(found) else ""
